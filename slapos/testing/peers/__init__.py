"""The real SlapOS as a peer of tests: its master, its node, its command line.  Made by ``make peers`` as root."""

from slapos.testing.peers.machine import PeerMachine, missing, peers_root
from slapos.testing.peers.node import RealCommand, RealNode, checked
from slapos.testing.peers.proxy import SlapProxy

__all__ = ["PeerMachine", "RealCommand", "RealNode", "SlapProxy", "checked", "missing", "peers_root"]

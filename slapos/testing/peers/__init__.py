"""The real SlapOS as a peer of tests: its master, its node, its command line.  Made by ``make peers`` as root."""

from slapos.testing.peers.machine import PeerMachine, missing, peers_root
from slapos.testing.peers.node import Credentials, RealCommand, RealNode
from slapos.testing.peers.proxy import SlapProxy

__all__ = ["Credentials", "PeerMachine", "RealCommand", "RealNode", "SlapProxy", "missing", "peers_root"]

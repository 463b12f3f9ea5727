"""Where a site (a master and a node on one machine, made by ``slapos up``) keeps what it has."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

from slapos.slap.config import state_directory
from slapos.system.short_paths import run_directory

ROOT_STATE = "/srv/hyperopenx"
ROOT_CATALOGUE = "/opt/hyperopenx/catalogue"
CATALOGUE_VARIABLE = "HYPEROPENX_CATALOGUE"
#: Names the site in the environment of what it starts, so that ``down`` finds it after any crash.
SITE_VARIABLE = "HYPEROPENX_SITE"


@dataclass(frozen=True)
class Layout:
    """Paths of a site below its state directory.  ``node`` is the name of its node."""

    state: str
    catalogue: str
    node: str = "local"

    @property
    def master(self) -> str:
        return os.path.join(self.state, "master")

    @property
    def master_config(self) -> str:
        return os.path.join(self.master, "master.cfg")

    @property
    def node_directory(self) -> str:
        return os.path.join(self.state, "node", self.node)

    @property
    def node_config(self) -> str:
        return os.path.join(self.node_directory, "slapos.cfg")

    @property
    def client(self) -> str:
        return os.path.join(self.state, "client")

    @property
    def client_config(self) -> str:
        return os.path.join(self.client, "slapos-client.cfg")

    @property
    def log(self) -> str:
        return os.path.join(self.state, "log")

    @property
    def run(self) -> str:
        return run_directory(self.state, "site")

    @property
    def command(self) -> str:
        """The script that runs ``slapos`` against this site from any directory."""
        return os.path.join(self.state, "bin", "slapos")


def catalogue_directory() -> str:
    """Where the releases of this machine lie: ``$HYPEROPENX_CATALOGUE``, else what belongs to how we were started."""
    if chosen := os.environ.get(CATALOGUE_VARIABLE):
        return os.path.abspath(chosen)
    return ROOT_CATALOGUE if os.geteuid() == 0 else os.getcwd()


def site_layout() -> Layout:
    return Layout(state=state_directory(), catalogue=catalogue_directory())


def release_path(catalogue: str, name: str) -> str:
    """The profile of a release of the catalogue."""
    return os.path.join(catalogue, "software", name, "software.cfg")


def program(name: str) -> str:
    """A program installed beside the Python that runs us."""
    return os.path.join(os.path.dirname(sys.executable), name)

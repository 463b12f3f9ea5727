"""What goes to another master, and what comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from slapos.model.states import InstanceState


@dataclass(frozen=True)
class Asked:
    """An order as it goes out."""

    title: str
    release: str
    software_type: str
    shared: bool
    state: InstanceState
    parameters: Mapping[str, str]
    sla: Mapping[str, str]

    @property
    def kind(self) -> dict[str, object]:
        """What must be named again to take it back, whatever became of the order here."""
        return {"release": self.release, "software_type": self.software_type, "shared": self.shared}


@dataclass(frozen=True)
class Served:
    """Where the other master serves it, and what is published there; ``status`` as its node reports it."""

    node: str
    partition: str
    guid: str
    connection: Mapping[str, str]
    status: str = ""


@dataclass(frozen=True)
class Elsewhere:
    """An order that another master has accepted: the row that says so, and its answer (None: not served yet)."""

    number: int
    master: str
    served: Served | None

"""Who asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from slapos.model.states import PrincipalKind, Role


@dataclass(frozen=True)
class Principal:
    """A proven identity.

    ``reference`` is ``COMP-<n>`` for a node, ``SOFTINST-<n>`` for an instance, a login for a person.
    ``projects`` maps project references to the role held there (people only).
    """

    kind: PrincipalKind
    reference: str = ""
    projects: Mapping[str, Role] = field(default_factory=dict)


ANYONE = Principal(PrincipalKind.ANYONE)

"""Plans: what will be done, in which order and why, and what will not be done and why.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from slapos.model.errors import HyperopenxError, NotReady, machine_error


class Kind(StrEnum):
    """What an action does.  Each has exactly one effect (``partition.apply``, ``software.apply``, ``store.apply``)."""

    # a release
    BUILD = "build"
    REMOVE_RELEASE = "remove-release"
    FORGET_RELEASE = "forget-release"
    # the store of built parts
    SPARE_PART = "spare-part"
    MARK_PART = "mark-part"
    REMOVE_PART = "remove-part"
    SWEEP_STORE = "sweep-store"
    # a started partition, in the order in which they are planned
    PREPARE = "prepare"
    CERTIFY = "certify"
    WRITE = "write"
    RUN = "run-buildout"
    ADD = "add-service"
    START = "start-service"
    RESTART = "restart-service"
    RELOAD = "reload-service"
    REMOVE = "remove-service"
    CHILDREN = "report-children"
    PROMISES = "check-promises"
    # a partition that stops or ends
    STOP = "stop-service"
    HOLD = "hold-data"
    PRERM = "run-prerm"
    WIPE = "wipe"
    SCAN = "scan"
    FORGET = "forget"


PHRASES: Mapping[Kind, str] = {
    Kind.BUILD: "build {}",
    Kind.REMOVE_RELEASE: "remove {}",
    Kind.FORGET_RELEASE: "forget {}",
    Kind.SPARE_PART: "end the grace time of the part {}",
    Kind.MARK_PART: "begin the grace time of the part {}",
    Kind.REMOVE_PART: "remove the part {}",
    Kind.SWEEP_STORE: "remove what killed builds left in {}",
    Kind.PREPARE: "prepare the directory of {}",
    Kind.CERTIFY: "make the certificate of {}",
    Kind.WRITE: "write the order and the profile of {}",
    Kind.RUN: "run buildout in {}",
    Kind.ADD: "start the new service {}",
    Kind.START: "start the service {}",
    Kind.RESTART: "restart the service {}",
    Kind.RELOAD: "reload the service {}",
    Kind.REMOVE: "stop and remove the service {}",
    Kind.CHILDREN: "tell the master which instances {} requests",
    Kind.PROMISES: "check the promises of {}",
    Kind.STOP: "stop the service {}",
    Kind.HOLD: "keep the data of {} for its retention delay",
    Kind.PRERM: "run the pre-destruction script {}",
    Kind.WIPE: "wipe {}",
    Kind.SCAN: "look for leftovers of {} on the machine",
    Kind.FORGET: "make {} ready for the next instance",
}


@dataclass(frozen=True)
class Action:
    """One thing to do.  ``subject`` is a partition, a release or a service; ``reason`` completes "because …"."""

    kind: Kind
    subject: str
    reason: str

    def __str__(self) -> str:
        return f"{PHRASES[self.kind].format(self.subject)}: {self.reason}"


@dataclass(frozen=True)
class Skip:
    """One thing that is not done, and why.  ``waiting``: something else must happen first, which is no error."""

    subject: str
    reason: str
    waiting: bool = False

    def __str__(self) -> str:
        return f"{self.subject}: {self.reason}"


@dataclass(frozen=True)
class Plan:
    """Ordered actions, and what is left out.  ``partial``: the rest can be planned only once these are done."""

    subject: str
    actions: tuple[Action, ...] = ()
    skips: tuple[Skip, ...] = ()
    partial: bool = False

    def as_data(self) -> dict[str, Any]:
        """JSON: ``{"subject", "actions": [{"kind", "subject", "reason", "sentence"}], "skips": […], "partial"}``."""
        return {
            "subject": self.subject,
            "actions": [
                {"kind": str(a.kind), "subject": a.subject, "reason": a.reason, "sentence": str(a)}
                for a in self.actions
            ],
            "skips": [{"subject": s.subject, "reason": s.reason, "waiting": s.waiting} for s in self.skips],
            "partial": self.partial,
        }


@dataclass(frozen=True)
class Outcome:
    """What became of a plan.  ``failed`` is the action at which it stopped, with its ``error``."""

    done: tuple[Action, ...] = ()
    failed: Action | None = None
    error: HyperopenxError | None = None

    @property
    def waiting(self) -> bool:
        """Stopped because something else must happen first."""
        return isinstance(self.error, NotReady)


Effect = Callable[[Action], None]


def apply_plan(
    plan: Plan, effects: Mapping[Kind, Effect], on_action: Callable[[Action], None] | None = None
) -> Outcome:
    """Do the actions in order through the one table ``effects``; stop at the first that fails.

    ``on_action`` is told of each action before it starts.  An error that is not ours goes through: a defect.
    """
    done: list[Action] = []
    for action in plan.actions:
        if on_action is not None:
            on_action(action)
        try:
            effects[action.kind](action)
        except HyperopenxError as error:
            return Outcome(tuple(done), action, error)
        except OSError as error:
            return Outcome(tuple(done), action, machine_error(error))
        done.append(action)
    return Outcome(tuple(done))


def printing_effects(write: Callable[[str], None]) -> dict[Kind, Effect]:
    """The effects of a dry run: every action only says what it would do."""

    def effect(action: Action) -> None:
        write(str(action))

    return dict.fromkeys(Kind, effect)


def plan_lines(plans: Iterable[Plan]) -> list[str]:
    """Plans as text for people: one headline per subject, actions in order, then what is left out."""
    lines: list[str] = []
    printing = printing_effects(lambda text: lines.append(f"  {text}"))
    for plan in plans:
        lines.append(f"{plan.subject}:" if plan.actions or plan.skips else f"{plan.subject}: nothing to do")
        apply_plan(plan, printing)
        if plan.partial:
            lines.append("  then: decided by what these actions leave")
        lines += [f"  not done: {skip}" for skip in plan.skips]
    return lines

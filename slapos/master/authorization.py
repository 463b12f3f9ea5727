"""Who may do what: one pure table ``(principal, action, subject) → allowed | reason``.

Every service asks :func:`check` before it reads or writes.  What no line allows is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from slapos.model.errors import Refused, Unauthenticated
from slapos.model.principal import Principal
from slapos.model.states import PrincipalKind, Role


class Action(StrEnum):
    """What is asked for."""

    INSTANCE_REQUEST = "request an instance in a project"
    INSTANCE_REQUEST_CHILD = "request an instance in a tree"
    INSTANCE_READ = "see an instance"
    INSTANCE_CHANGE = "rename an instance"
    INSTANCE_PUBLISH = "publish connection parameters"
    INSTANCE_REPORT = "report on an instance"
    INSTANCE_CHILDREN = "say which instances it still requests"
    INSTANCE_BANG = "have an instance processed again"
    INSTANCE_CERTIFY = "get a certificate for an instance"
    NODE_READ = "see a node"
    NODE_STATE = "see what a node must bring about"
    NODE_REPORT = "report as a node"
    NODE_BANG = "have a node processed again"
    NODE_CREATE = "make a node in a project"
    SUPPLY = "supply a release on a node"
    PROJECT_READ = "see a project"
    TOKEN_CREATE = "make an enrolment token"
    CERTIFICATE_REVOKE = "revoke a certificate"
    ENROL = "enrol with a token"
    CA_READ = "fetch the certificate of the authority"


@dataclass(frozen=True)
class Subject:
    """What the action is about; fields that do not apply stay empty.

    ``node`` is where an instance lives (``COMP-<n>``).  ``same_tree``: the asking instance and this one have the same
    root; ``hosted``: this shared instance is served by the asking instance; ``requested``: the asking instance
    requested it directly.
    """

    project: str = ""
    instance: str = ""
    node: str = ""
    same_tree: bool = False
    hosted: bool = False
    requested: bool = False


Rule = Callable[[Principal, Subject], bool]


def _always(principal: Principal, subject: Subject) -> bool:
    return True


def _reader(principal: Principal, subject: Subject) -> bool:
    return subject.project in principal.projects


def _member(principal: Principal, subject: Subject) -> bool:
    return principal.projects.get(subject.project) in (Role.OWNER, Role.MEMBER)


def _owner(principal: Principal, subject: Subject) -> bool:
    return principal.projects.get(subject.project) is Role.OWNER


def _own_node(principal: Principal, subject: Subject) -> bool:
    return bool(subject.node) and subject.node == principal.reference


def _itself(principal: Principal, subject: Subject) -> bool:
    return bool(subject.instance) and subject.instance == principal.reference


def _own_tree(principal: Principal, subject: Subject) -> bool:
    return subject.same_tree


def _itself_or_served(principal: Principal, subject: Subject) -> bool:
    return _itself(principal, subject) or subject.hosted


def _itself_or_near(principal: Principal, subject: Subject) -> bool:
    return _itself_or_served(principal, subject) or subject.requested


_USER: dict[Action, Rule] = {
    Action.INSTANCE_REQUEST: _member,
    Action.INSTANCE_READ: _reader,
    Action.INSTANCE_CHANGE: _member,
    Action.INSTANCE_BANG: _member,
    Action.NODE_READ: _reader,
    Action.NODE_STATE: _reader,
    Action.NODE_BANG: _member,
    Action.NODE_CREATE: _owner,
    Action.SUPPLY: _owner,
    Action.PROJECT_READ: _reader,
}
_NODE: dict[Action, Rule] = {
    Action.INSTANCE_READ: _own_node,
    Action.INSTANCE_REPORT: _own_node,
    Action.INSTANCE_CHILDREN: _own_node,
    Action.INSTANCE_BANG: _own_node,
    Action.INSTANCE_CERTIFY: _own_node,
    Action.NODE_READ: _own_node,
    Action.NODE_STATE: _own_node,
    Action.NODE_REPORT: _own_node,
    Action.NODE_BANG: _own_node,
}
_INSTANCE: dict[Action, Rule] = {
    Action.INSTANCE_REQUEST_CHILD: _own_tree,
    Action.INSTANCE_READ: _itself_or_near,
    Action.INSTANCE_CHANGE: _itself_or_served,
    Action.INSTANCE_REPORT: _itself_or_served,
    Action.INSTANCE_PUBLISH: _itself_or_served,
    Action.INSTANCE_CHILDREN: _itself,
    Action.INSTANCE_BANG: _own_tree,
    Action.INSTANCE_CERTIFY: _itself,
}
_ANYONE: dict[Action, Rule] = {Action.ENROL: _always, Action.CA_READ: _always}

TABLE: dict[PrincipalKind, dict[Action, Rule]] = {
    PrincipalKind.OPERATOR: dict.fromkeys(Action, _always),
    PrincipalKind.USER: {**_ANYONE, **_USER},
    PrincipalKind.NODE: {**_ANYONE, **_NODE},
    PrincipalKind.INSTANCE: {**_ANYONE, **_INSTANCE},
    PrincipalKind.SERVICE: {},
    PrincipalKind.ANYONE: _ANYONE,
}


def refusal(principal: Principal, action: Action, subject: Subject) -> str | None:
    """None when allowed, else the reason as a sentence."""
    rule = TABLE[principal.kind].get(action)
    if rule is not None and rule(principal, subject):
        return None
    who = f"{principal.kind.value} {principal.reference}".strip()
    about = " ".join(text for text in (subject.instance, subject.node if not subject.instance else "") if text)
    where = f" of project {subject.project}" if subject.project and principal.kind is PrincipalKind.USER else ""
    return f"{who} may not {action.value}{f' ({about})' if about else ''}{where}."


def check(principal: Principal, action: Action, subject: Subject) -> None:
    """Raises :class:`Unauthenticated` for anyone, :class:`Refused` for the others, unless the table allows it."""
    reason = refusal(principal, action, subject)
    if reason is None:
        return
    if principal.kind is PrincipalKind.ANYONE:
        raise Unauthenticated(f"To {action.value}, say who you are.", hint="Use a client certificate of this master.")
    raise Refused(
        reason,
        context={"principal": principal.reference, "kind": principal.kind.value, "action": action.name.lower()},
        hint="Ask an owner of the project, or the operator of the master.",
    )

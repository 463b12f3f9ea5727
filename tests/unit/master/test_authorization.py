"""The table of rights as a matrix: every kind, every action, near and far subjects."""

from __future__ import annotations

import pytest

from slapos.master.authorization import TABLE, Action, Subject, check, refusal
from slapos.model.errors import Refused, Unauthenticated
from slapos.model.principal import ANYONE, Principal
from slapos.model.states import PrincipalKind, Role

NODE = Principal(PrincipalKind.NODE, "COMP-1")
INSTANCE = Principal(PrincipalKind.INSTANCE, "SOFTINST-1")
OPERATOR = Principal(PrincipalKind.OPERATOR, "admin")
SERVICE = Principal(PrincipalKind.SERVICE, "SOFTINST-1")
OWNER, MEMBER, VIEWER = (Principal(PrincipalKind.USER, role, {"main": role}) for role in Role)

OWN = Subject(project="main", instance="SOFTINST-1", node="COMP-1", same_tree=True)
FAR = Subject(project="other", instance="SOFTINST-2", node="COMP-2")

PUBLIC = {Action.ENROL, Action.CA_READ}
SEES = {Action.INSTANCE_READ, Action.NODE_READ, Action.NODE_STATE, Action.PROJECT_READ}
ORDERS = SEES | {Action.INSTANCE_REQUEST, Action.INSTANCE_CHANGE, Action.INSTANCE_BANG, Action.NODE_BANG}
ALLOWED = [
    (OPERATOR, OWN, set(Action)),
    (OPERATOR, FAR, set(Action)),
    (OWNER, OWN, PUBLIC | ORDERS | {Action.SUPPLY, Action.NODE_CREATE}),
    (MEMBER, OWN, PUBLIC | ORDERS),
    (VIEWER, OWN, PUBLIC | SEES),
    (OWNER, FAR, PUBLIC),
    (
        NODE,
        OWN,
        PUBLIC
        | {
            Action.INSTANCE_READ,
            Action.INSTANCE_REPORT,
            Action.INSTANCE_CHILDREN,
            Action.INSTANCE_BANG,
            Action.INSTANCE_CERTIFY,
            Action.NODE_READ,
            Action.NODE_STATE,
            Action.NODE_REPORT,
            Action.NODE_BANG,
        },
    ),
    (NODE, FAR, PUBLIC),
    (NODE, Subject(project="main"), PUBLIC),
    (
        INSTANCE,
        OWN,
        PUBLIC
        | {
            Action.INSTANCE_REQUEST_CHILD,
            Action.INSTANCE_READ,
            Action.INSTANCE_CHANGE,
            Action.INSTANCE_REPORT,
            Action.INSTANCE_PUBLISH,
            Action.INSTANCE_CHILDREN,
            Action.INSTANCE_BANG,
            Action.INSTANCE_CERTIFY,
        },
    ),
    (INSTANCE, FAR, PUBLIC),
    (
        INSTANCE,
        Subject(instance="SOFTINST-3", same_tree=True),
        PUBLIC | {Action.INSTANCE_REQUEST_CHILD, Action.INSTANCE_BANG},
    ),
    (
        INSTANCE,
        Subject(instance="SOFTINST-3", hosted=True),
        PUBLIC | {Action.INSTANCE_READ, Action.INSTANCE_CHANGE, Action.INSTANCE_REPORT, Action.INSTANCE_PUBLISH},
    ),
    (INSTANCE, Subject(instance="SOFTINST-3", requested=True), PUBLIC | {Action.INSTANCE_READ}),
    (SERVICE, OWN, set()),
    (ANYONE, OWN, PUBLIC),
    (ANYONE, Subject(), PUBLIC),
]


@pytest.mark.parametrize(("principal", "subject", "allowed"), ALLOWED)
def test_matrix(principal: Principal, subject: Subject, allowed: set[Action]) -> None:
    assert {action for action in Action if refusal(principal, action, subject) is None} == allowed


def test_every_kind_has_a_line() -> None:
    assert set(TABLE) == set(PrincipalKind)


def test_refusals_say_who_and_what() -> None:
    assert refusal(NODE, Action.NODE_STATE, Subject(node="COMP-2")) == (
        "node COMP-1 may not see what a node must bring about (COMP-2)."
    )
    with pytest.raises(Unauthenticated):
        check(ANYONE, Action.NODE_STATE, OWN)
    with pytest.raises(Refused) as caught:
        check(VIEWER, Action.INSTANCE_REQUEST, Subject(project="main"))
    assert caught.value.message == "user viewer may not request an instance in a project of project main."

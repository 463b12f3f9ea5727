"""Tokens, certificates, revocation, idempotency keys, usage."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from slapos.master.services import idempotency, identities, nodes, usage
from slapos.master.services.identities import Enrolment
from slapos.model.errors import HyperopenxError, InputError, NotFound, Refused, Unauthenticated
from slapos.model.principal import Principal
from slapos.model.states import PrincipalKind, Role
from tests.unit.master.world import OPERATOR, START, World, node_principal, user


@dataclass(frozen=True)
class Certificate:
    serial: str
    kind: str
    reference: str
    not_after: float = START + 1_000


def token(world: World, enrolment: Enrolment, by: Principal = OPERATOR) -> str:
    return world.storage.write(lambda tx: identities.create_token(tx, by, enrolment, world.now))


def redeem(world: World, text: str, name: str = "") -> Principal:
    return world.storage.write(lambda tx: identities.redeem_token(tx, text, world.now, name=name))


def recognise(world: World, serial: str, kind: PrincipalKind, reference: str) -> Principal:
    return world.storage.read(lambda tx: identities.principal_of_certificate(tx, serial, kind, reference, world.now))


def keep(world: World, certificate: Certificate) -> None:
    world.storage.write(lambda tx: identities.record_certificate(tx, OPERATOR, certificate, world.now))


def test_nodes_are_numbered_and_never_again(world: World) -> None:
    assert [world.enrol(), world.enrol()] == ["COMP-1", "COMP-2"]
    again = redeem(world, token(world, Enrolment(PrincipalKind.NODE, "COMP-1")))
    assert again == Principal(PrincipalKind.NODE, "COMP-1")
    with pytest.raises(NotFound):
        token(world, Enrolment(PrincipalKind.NODE, "COMP-3"))
    assert world.enrol() == "COMP-3"


def test_a_failed_enrolment_takes_no_number_back(world: World) -> None:
    text = token(world, Enrolment(PrincipalKind.NODE))

    def interrupted(tx) -> None:  # type: ignore[no-untyped-def]
        identities.redeem_token(tx, text, world.now)
        raise NotFound("interrupted")

    with pytest.raises(NotFound):
        world.storage.write(interrupted)
    assert redeem(world, text).reference in ("COMP-1", "COMP-2")  # the token is good still


def test_a_token_enrols_once_within_a_day(world: World) -> None:
    text = token(world, Enrolment(PrincipalKind.USER, "jane", role=Role.OWNER))
    late = token(world, Enrolment(PrincipalKind.USER, "joe"))
    assert redeem(world, text) == Principal(PrincipalKind.USER, "jane", {"main": Role.OWNER})
    world.now += 86_401
    for bad in (text, late, "guess", ""):
        with pytest.raises(Refused) as caught:
            redeem(world, bad)
        assert caught.value.reference == "invalid-token"


def test_no_tool_takes_a_token_for_an_option(world: World) -> None:
    """``--token <token>``: tools of the field cannot be given one that begins with a dash."""
    assert all(token(world, Enrolment(PrincipalKind.NODE)).isalnum() for _ in range(200))


def test_only_the_operator_makes_tokens(world: World) -> None:
    for who in (user(role=Role.OWNER), node_principal("COMP-1")):
        with pytest.raises(Refused):
            token(world, Enrolment(PrincipalKind.USER, "x"), by=who)
    for wrong in (
        Enrolment(PrincipalKind.INSTANCE, "x"),
        Enrolment(PrincipalKind.USER, "a/b"),
        Enrolment(PrincipalKind.USER, ""),
        Enrolment(PrincipalKind.USER, "x", project="a b"),
    ):
        with pytest.raises(InputError):
            token(world, wrong)


def test_a_certificate_says_who_someone_is_today(world: World) -> None:
    redeem(world, token(world, Enrolment(PrincipalKind.USER, "jane")))
    keep(world, Certificate("a1", "user", "jane"))
    assert recognise(world, "a1", PrincipalKind.USER, "jane").projects == {"main": Role.MEMBER}
    world.storage.write(lambda tx: identities.set_role(tx, "main", "jane", None))
    assert recognise(world, "a1", PrincipalKind.USER, "jane").projects == {}
    cases = {
        "certificate-unknown": [("b2", PrincipalKind.USER, "jane"), ("a1", PrincipalKind.USER, "joe")],
        "principal-gone": [("c3", PrincipalKind.OPERATOR, "jane"), ("d4", PrincipalKind.NODE, "COMP-9")],
    }
    keep(world, Certificate("c3", "operator", "jane"))
    keep(world, Certificate("d4", "node", "COMP-9"))
    for reference, wrong in cases.items():
        for serial, kind, name in wrong:
            with pytest.raises(Unauthenticated) as caught:
                recognise(world, serial, kind, name)
            assert caught.value.reference == reference
    world.now += 1_001
    with pytest.raises(Unauthenticated):
        recognise(world, "a1", PrincipalKind.USER, "jane")


def test_revocation_acts_at_once(world: World) -> None:
    world.storage.write(lambda tx: identities.ensure_operator(tx, "admin", world.now))
    node = world.enrol()
    keep(world, Certificate("a1", "node", node))
    keep(world, Certificate("b2", "operator", "admin"))
    recognise(world, "b2", PrincipalKind.OPERATOR, "admin")

    def revoke(by: Principal, serial: str) -> None:
        world.storage.write(lambda tx: identities.revoke_certificate(tx, by, serial, world.now, "lost"))

    with pytest.raises(Refused):
        revoke(node_principal(node), "b2")
    with pytest.raises(NotFound):
        revoke(OPERATOR, "zz")
    revoke(node_principal(node), "a1")
    revoke(OPERATOR, "a1")
    with pytest.raises(Unauthenticated) as caught:
        recognise(world, "a1", PrincipalKind.NODE, node)
    assert caught.value.reference == "certificate-revoked"


def test_a_gone_instance_is_nobody(world: World) -> None:
    world.node()
    site = world.request("site")
    keep(world, Certificate("a1", "instance", site.guid))
    recognise(world, "a1", PrincipalKind.INSTANCE, site.guid)
    world.destroy(site)
    recognise(world, "a1", PrincipalKind.INSTANCE, site.guid)
    world.report_destroyed(site)
    with pytest.raises(Unauthenticated):
        recognise(world, "a1", PrincipalKind.INSTANCE, site.guid)


def test_answers_are_remembered_for_a_week(world: World) -> None:
    answer = {"b": [1, None], "a": "é"}
    world.storage.write(lambda tx: idempotency.remember(tx, OPERATOR, "k", answer, world.now))

    def ask(who: Principal, key: str) -> object:
        return world.storage.read(lambda tx: idempotency.remembered(tx, who, key))

    assert ask(OPERATOR, "k") == answer
    assert ask(user("admin"), "k") is None and ask(OPERATOR, "other") is None
    world.now += idempotency.KEPT_SECONDS + 1
    keys = [f"l{number}" for number in range(8 * idempotency.TRIM_EVERY)]
    world.storage.write(lambda tx: [idempotency.remember(tx, OPERATOR, key, {}, world.now) for key in keys])
    assert ask(OPERATOR, "k") is None
    assert [ask(OPERATOR, key) for key in keys] == [{}] * len(keys)


def test_usage_is_delivered_once(world: World) -> None:
    node = world.enrol()

    def deliver(identifier: str, document: str = "<x/>", by: str = node) -> bool:
        who = node_principal(by)
        return world.storage.write(lambda tx: usage.deliver(tx, who, node, identifier, document, world.now))

    assert [deliver("a"), deliver("a"), deliver("b")] == [True, False, True]
    found = world.storage.read(lambda tx: usage.list_usage(tx, user(), "main"))
    assert [(each.node, each.identifier, each.document) for each in found] == [(node, "a", "<x/>"), (node, "b", "<x/>")]
    assert len(world.storage.read(lambda tx: usage.list_usage(tx, user(), "main", found[0].number))) == 1
    for wrong in (lambda: deliver("", ""), lambda: deliver("c", "x" * (usage.DOCUMENT_LIMIT + 1))):
        with pytest.raises(InputError):
            wrong()
    with pytest.raises(HyperopenxError):
        deliver("d", by="COMP-9")
    with pytest.raises(Refused):
        world.storage.read(lambda tx: usage.list_usage(tx, user(project="x"), "main"))


def may_make_key(world: World, text: str) -> bool:
    return world.storage.read(lambda tx: identities.may_make_key(tx, text))


def makes_keys_for(world: World, number: int) -> bool:
    return world.storage.read(lambda tx: identities.makes_keys_for(tx, number))


def test_the_last_enrolment_says_who_makes_the_keys_of_a_node(world: World) -> None:
    plain, legacy = Enrolment(PrincipalKind.NODE), Enrolment(PrincipalKind.NODE, legacy_keys=True)
    for number, (wanted, made_here) in enumerate([(plain, False), (legacy, True)], start=1):
        text = token(world, wanted)
        assert may_make_key(world, text) is made_here
        assert redeem(world, text).reference == f"COMP-{number}"
        assert makes_keys_for(world, number) is made_here
    redeem(world, token(world, Enrolment(PrincipalKind.NODE, "COMP-2")))
    redeem(world, token(world, Enrolment(PrincipalKind.NODE, "COMP-1", legacy_keys=True)))
    assert (makes_keys_for(world, 1), makes_keys_for(world, 2), makes_keys_for(world, 3)) == (True, False, False)
    assert not may_make_key(world, "guess")


def test_the_key_of_an_operator_is_made_where_it_is_used(world: World) -> None:
    with pytest.raises(InputError) as caught:
        token(world, Enrolment(PrincipalKind.OPERATOR, "root", legacy_keys=True))
    assert caught.value.context["field"] == "legacy_keys"


def test_a_node_may_name_itself_where_its_token_does_not(world: World) -> None:
    named = token(world, Enrolment(PrincipalKind.NODE, name="of the token"))
    unnamed = token(world, Enrolment(PrincipalKind.NODE))
    for text in (named, unnamed):
        redeem(world, text, "of the node")
    found = world.storage.read(lambda tx: nodes.list_nodes(tx, OPERATOR, world.now))
    assert [each.name for each in found] == ["of the token", "of the node"]

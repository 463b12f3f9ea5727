"""Which master serves a request: every rule of spec/04 §8, and what refuses a circle."""

from __future__ import annotations

import pytest

from slapos.master.allocation.sla import FORWARDED_BY, MASTER_URL, SOURCE, parse_sla
from slapos.master.forwarding.plan import (
    LONGEST_CHAIN,
    OtherMaster,
    Ourselves,
    Standing,
    find_master,
    make_plan,
    normal_url,
    sla_to_send,
    title_there,
)
from slapos.model.errors import Conflict, InputError, NotFound
from slapos.model.objects import InstanceRequest
from slapos.model.states import InstanceState

HERE = Ourselves("here", frozenset({("cloud.example.org", 8443)}), frozenset({"https://front.example.org:443/slap/"}))
LISTED, NAMED = "https://example.org/listed.cfg", "https://example.org/other.cfg"
PROXY = OtherMaster(url="http://proxy.example.org:5000", releases=(LISTED,))
FULL = OtherMaster(url="https://full.example.org/slap", key="k", cert="c")
OTHERS = (FULL, PROXY)
NEW = Standing()


def order(release: str = NAMED, state: InstanceState | None = None, **sla: str) -> InstanceRequest:
    return InstanceRequest("shop", release, sla=sla, state=state)


@pytest.mark.parametrize(
    ("request_", "standing", "expected"),
    [
        (order(), NEW, None),
        (order(LISTED), NEW, PROXY),
        (order(master_url="http://PROXY.example.org:5000/"), NEW, PROXY),
        (order(master_url="https://full.example.org:443/slap/"), NEW, FULL),
        (order(LISTED, master_url="https://full.example.org/slap"), NEW, FULL),
        (order(master_url="https://cloud.example.org:8443"), NEW, None),
        (order(LISTED, master_url="https://front.example.org/slap"), NEW, None),
        (order(LISTED, master_url=" "), NEW, PROXY),
        (order(LISTED), Standing(placed=True), None),
        (order(master_url=PROXY.url), Standing(placed=True), None),
        (order(), Standing(served_by=FULL.url), FULL),
        (order(LISTED), Standing(served_by=FULL.url), FULL),
        (order(master_url=FULL.url), Standing(served_by=FULL.url), FULL),
        (order(LISTED, InstanceState.DESTROYED), NEW, None),
        (order(NAMED, InstanceState.DESTROYED), Standing(served_by=PROXY.url), PROXY),
        (order(LISTED, InstanceState.STOPPED), NEW, PROXY),
        (order(LISTED, **{FORWARDED_BY: "there elsewhere"}), NEW, PROXY),
    ],
)
def test_where_it_goes(request_: InstanceRequest, standing: Standing, expected: OtherMaster | None) -> None:
    assert make_plan(request_, standing, OTHERS, HERE) is expected


@pytest.mark.parametrize(
    ("request_", "standing", "kind", "reference"),
    [
        (order(master_url="http://unknown.example.org/"), NEW, NotFound, "no-such-master"),
        (order(master_url="https://cloud.example.org:9/"), NEW, NotFound, "no-such-master"),
        (order(master_url="https://cloud.example.org:8443/x"), NEW, NotFound, "no-such-master"),
        (order(master_url="file:///etc/passwd"), NEW, InputError, "invalid-url"),
        (order(master_url="http://proxy.example.org:99999/"), NEW, InputError, "invalid-url"),
        (order(master_url="http://me@proxy.example.org:5000/"), NEW, InputError, "invalid-url"),
        (order(master_url=PROXY.url), Standing(served_by=FULL.url), Conflict, "served-elsewhere"),
        (order(), Standing(served_by="http://forgotten.example.org:80/"), NotFound, "no-such-master"),
        (order(LISTED, **{FORWARDED_BY: "there here"}), NEW, Conflict, "forwarding-loop"),
        (order(NAMED, **{FORWARDED_BY: "here"}), NEW, Conflict, "forwarding-loop"),
        (order(NAMED, **{FORWARDED_BY: "x " * LONGEST_CHAIN}), NEW, Conflict, "forwarding-loop"),
    ],
)
def test_what_is_refused(request_: InstanceRequest, standing: Standing, kind: type[Exception], reference: str) -> None:
    with pytest.raises(kind) as caught:
        make_plan(request_, standing, OTHERS, HERE)
    assert caught.value.reference == reference  # type: ignore[attr-defined]
    assert caught.value.context["field"].startswith("sla.")  # type: ignore[attr-defined]


def test_a_chain_of_masters_ends_where_it_began() -> None:
    """A → B → C → A: each adds itself to what it sends."""
    sla = {MASTER_URL: "http://b.example.org/", "capability": "gpu"}
    for name in ("a", "b", "c"):
        sla = sla_to_send(sla, PROXY, Ourselves(name), "user_shop")
    assert sla == {"capability": "gpu", FORWARDED_BY: "a b c", SOURCE: "user_shop"}
    with pytest.raises(Conflict, match="circle"):
        make_plan(order(LISTED, **sla), NEW, OTHERS, Ourselves("a"))


def test_what_travels_is_no_reason_to_wait_where_it_is_allocated() -> None:
    sent = sla_to_send({"computer_guid": "COMP-9", "project_guid": "ours"}, FULL, HERE, "user_shop")
    assert sent == {"computer_guid": "COMP-9", FORWARDED_BY: "here", SOURCE: "user_shop"}
    assert parse_sla({**sent, MASTER_URL: "https://cloud.example.org:8443/"}).refusals == ()


def test_as_an_instance_there_no_source_is_named_and_a_project_is_when_configured() -> None:
    other = OtherMaster(url="http://x", node="COMP-1", partition="slappart0", project="theirs")
    assert sla_to_send({SOURCE: "old"}, other, HERE, "t") == {FORWARDED_BY: "here", "project_guid": "theirs"}


@pytest.mark.parametrize(
    ("requester", "title", "turn", "expected"),
    [
        ("user", "fw1", 0, "user_fw1"),
        ("slappart0", "fw2", 0, "slappart0_fw2"),
        ("slappart0", "fw2", 2, "slappart0-3_fw2"),
    ],
)
def test_titles_there(requester: str, title: str, turn: int, expected: str) -> None:
    assert title_there(requester, title, turn) == expected


def test_long_titles_fit_and_stay_apart() -> None:
    first, second = (title_there("user", "x" * 199 + end) for end in "ab")
    assert len(first) == len(second) == 200
    assert first != second


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("HTTP://Example.ORG", "http://example.org:80/"),
        ("https://[2001:DB8::1]:8443", "https://[2001:db8::1]:8443/"),
        ("https://example.org/slap//", "https://example.org:443/slap/"),
    ],
)
def test_one_spelling_per_master(text: str, expected: str) -> None:
    assert normal_url(text) == normal_url(expected) == expected
    assert find_master(expected, [OtherMaster(url=text, key="k", cert="c")]).url == expected

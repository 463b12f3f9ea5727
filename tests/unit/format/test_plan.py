"""What formatting would do, decided from what is there."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from slapos.model.errors import Conflict, HyperopenxError, MachineError, Refused
from slapos.node.config import NodeConfig
from slapos.node.format.layout import resource_document
from slapos.node.format.plan import Directory, FormatKind, FormatPlan, Observed, User, Wish, plan_format
from slapos.node.format.wish import make_wish


def config(ipv6_there: bool = True, **more: object) -> Wish:
    values = {
        "computer_id": "COMP-1",
        "master_url": "https://localhost",
        "software_root": "/srv/n/software",
        "instance_root": "/srv/n/instance",
        "state_directory": "/srv/n/state",
        "partition_amount": 2,
        "alter_user": True,
        "alter_network": True,
    }
    return make_wish(NodeConfig(**{**values, **more}), machine="m", ipv6=ipv6_there)


def observed(**more: object) -> Observed:
    values = {
        "root": True,
        "uid": 0,
        "gid": 0,
        "users": {},
        "groups": {},
        "directories": {},
        "addresses": frozenset({"::1"}),
        "ipv6": True,
        "unreachable": "",
        "record": {},
        "resources": {},
    }
    return Observed(**{**values, **more})


ORDINARY = {"alter_user": False, "alter_network": False}
USER = {"root": False, "uid": 1000, "gid": 1000}


def kinds(plan: FormatPlan) -> list[str]:
    return [f"{action.kind} {action.subject}" for action in plan.actions]


def done(wish: Wish, before: Observed, plan: FormatPlan, count: int | None = None) -> Observed:
    """What is there after the first ``count`` actions: the effects as data."""
    users, directories = dict(before.users), dict(before.directories)
    addresses, resources, record = set(before.addresses), dict(before.resources), before.record
    for action in plan.actions[:count]:
        if action.kind is FormatKind.RECORD:
            record = action.details["record"]
        elif action.kind is FormatKind.MAKE_USER:
            number = 900 + len(users)
            users[action.subject] = User(number, number, action.details["home"])
        elif action.kind in {FormatKind.MAKE_DIRECTORY, FormatKind.OWN_DIRECTORY}:
            owner = users.get(action.details["user"])
            uid = before.uid if owner is None else owner.uid
            directories[action.subject] = Directory(uid, uid, action.details["mode"])
        elif action.kind is FormatKind.ADD_ADDRESS:
            addresses.add(action.subject)
        elif action.kind is FormatKind.DESCRIBE:
            resources[Path(action.subject).parent.name] = action.details["document"]
    software = wish.software_user
    groups = {} if software is None else {software: tuple(name for name in users if name != software)}
    return dataclasses.replace(
        before,
        users=users,
        groups=groups,
        directories=directories,
        addresses=frozenset(addresses),
        resources=resources,
        record=record,
    )


def test_root_makes_everything_in_a_safe_order() -> None:
    plan = plan_format(config(), observed())
    assert kinds(plan)[:9] == [
        "record local",
        "make-user hoxslapsoft",
        "make-user hoxslapuser0",
        "make-user hoxslapuser1",
        "make-directory /srv/n/instance",
        "make-directory /srv/n/software",
        "make-directory /srv/n/instance/slappart0",
        "make-directory /srv/n/instance/slappart1",
        f"add-address {plan.places[0].addresses[1]}",
    ]
    assert [place.addresses[0] for place in plan.places] == ["127.1.1.1", "127.1.2.1"]
    assert plan.actions[2].details["groups"] == ("hoxslapsoft",)
    assert plan.actions[0].details["record"]["created"]["users"] == ["hoxslapsoft", "hoxslapuser0", "hoxslapuser1"]
    assert plan.skips == ()


def test_an_ordinary_user_makes_directories_only_and_is_told_so() -> None:
    plan = plan_format(config(**ORDINARY), observed(**USER))
    assert {action.kind for action in plan.actions} == {
        FormatKind.RECORD,
        FormatKind.MAKE_DIRECTORY,
        FormatKind.DESCRIBE,
    }
    assert [place.addresses for place in plan.places] == [("127.1.1.1", "::1"), ("127.1.2.1", "::1")]
    assert [place.user for place in plan.places] == [None, None]
    assert plan.places[0].ports[1] < plan.places[1].ports[0]
    assert [skip.subject for skip in plan.skips] == ["users", "addresses"]
    assert "alter_user is off" in plan.skips[0].reason


@pytest.mark.parametrize("root", [True, False])
def test_an_interrupted_format_goes_on_with_the_rest(root: bool) -> None:
    wish, before = (config(), observed()) if root else (config(**ORDINARY), observed(**USER))
    whole = plan_format(wish, before)
    for count in range(len(whole.actions) + 1):
        after = done(wish, before, whole, count)
        rest = plan_format(wish, after)
        assert kinds(rest) == kinds(whole)[count:], count
        assert plan_format(wish, done(wish, after, rest)).actions == ()


def test_a_restart_of_the_machine_takes_the_addresses_only() -> None:
    wish, before = config(), observed()
    after = done(wish, before, plan_format(wish, before))
    plan = plan_format(wish, dataclasses.replace(after, addresses=frozenset({"::1"})))
    assert {action.kind for action in plan.actions} == {FormatKind.ADD_ADDRESS}
    assert len(plan.actions) == 2


def test_more_partitions_leave_the_others_as_they_are() -> None:
    wish, before = config(), observed()
    after = done(wish, before, plan_format(wish, before))
    plan = plan_format(config(partition_amount=3), after)
    changed = [action for action in plan.actions if action.kind is not FormatKind.RECORD]
    assert all("slappart2" in str(a) or "slapuser2" in str(a) or a.kind is FormatKind.ADD_ADDRESS for a in changed)
    assert len([action for action in changed if action.kind is FormatKind.ADD_ADDRESS]) == 1


def test_addresses_stay_when_the_number_of_the_node_changes() -> None:
    wish, before = config(), observed()
    first = plan_format(wish, before)
    after = done(wish, before, first)
    assert [place.addresses for place in plan_format(config(node_number=9), after).places] == [
        place.addresses for place in first.places
    ]


def test_a_node_with_ipv6_only() -> None:
    assert all(
        len(place.addresses) == 1 and place.addresses[0].startswith("fd")
        for place in plan_format(config(ipv4=False), observed()).places
    )
    assert [place.addresses for place in plan_format(config(ipv4=False, **ORDINARY), observed(**USER)).places] == [
        ("::1",),
        ("::1",),
    ]
    without = plan_format(config(ipv6_there=False), observed(ipv6=False))
    assert [place.addresses for place in without.places] == [("127.1.1.1",), ("127.1.2.1",)]
    assert [skip.subject for skip in without.skips] == ["IPv6"]


def test_three_nodes_share_nothing() -> None:
    plans = [
        plan_format(
            config(
                name_prefix=f"n{number}",
                node_number=number,
                instance_root=f"/srv/{number}/instance",
                software_root=f"/srv/{number}/software",
            ),
            observed(),
        )
        for number in (1, 2, 3)
    ]
    subjects = [
        {a.subject for a in plan.actions if a.kind is not FormatKind.RECORD}
        | {address for place in plan.places for address in place.addresses}
        for plan in plans
    ]
    assert not subjects[0] & subjects[1]
    assert not subjects[1] & subjects[2]
    assert not subjects[0] & subjects[2]
    assert len({port for plan in plans for place in plan.places for port in place.ports}) == 12


@pytest.mark.parametrize(
    ("wish", "there", "kind", "reference"),
    [
        ({}, {"root": False}, Refused, "not-root"),
        ({"partition_amount": 2}, {"record": {"partitions": 3}}, Conflict, "fewer-partitions"),
        ({}, {"unreachable": "/root"}, MachineError, "unreachable-directory"),
        ({"ipv4": False, "ipv6_there": False}, {"ipv6": False}, MachineError, "no-address"),
        (
            {},
            {"users": {"hoxslapuser0": User(5, 5, "/srv/other/slappart0")}},
            Conflict,
            "user-taken",
        ),
        (
            {},
            {"users": {"hoxslapuser0": User(0, 0, "/srv/n/instance/slappart0")}},
            Conflict,
            "user-taken",
        ),
    ],
)
def test_what_a_person_must_decide_is_refused(
    wish: dict, there: dict, kind: type[HyperopenxError], reference: str
) -> None:
    with pytest.raises(kind) as caught:
        plan_format(config(**wish), observed(**there))
    assert caught.value.reference == reference
    assert caught.value.hint


def test_wrong_modes_owners_and_groups_are_corrected() -> None:
    wish, before = config(), observed()
    after = done(wish, before, plan_format(wish, before))
    path = "/srv/n/instance/slappart0"
    wrong = {**after.directories, path: dataclasses.replace(after.directories[path], mode=0o777)}
    assert kinds(plan_format(wish, dataclasses.replace(after, directories=wrong))) == [f"own-directory {path}"]
    wrong = {**after.directories, path: Directory(0, 0, 0o750)}
    assert kinds(plan_format(wish, dataclasses.replace(after, directories=wrong))) == [f"own-directory {path}"]
    groups = {"hoxslapsoft": ("hoxslapuser1",)}
    assert kinds(plan_format(wish, dataclasses.replace(after, groups=groups))) == ["join-group hoxslapuser0"]


def test_the_description_has_the_members_of_the_field() -> None:
    place = plan_format(config(), observed()).places[0]
    document = resource_document(place, "hoxslapsoft")
    assert set(document) == {
        "reference",
        "path",
        "user",
        "address_list",
        "ipv6_range",
        "tap",
        "tun",
        "external_storage_list",
        "port_range",
    }
    assert document["user"] == {
        "name": "hoxslapuser0",
        "path": "/srv/n/instance/slappart0",
        "shell": "/bin/sh",
        "additional_group_list": ["hoxslapsoft"],
    }
    assert document["address_list"][0] == {"addr": "127.1.1.1", "netmask": "255.255.255.255"}
    assert len(document["tap"]) == 9

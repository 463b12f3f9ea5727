"""What the requester wants, as options."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from slapos.model.errors import InputError, MachineError, ProfileError
from slapos.model.objects import Address, SharedInstance
from slapos.slap.documents import instance_to_data
from tests.unit.cookbook.engine import Master, Partition, connection_section, instance, write_document

HOSTILE = "a ${buildout:directory} {{ x }} %(y)s '\" \n ; # é 🙂 "
PROFILE = "[buildout]\nparts = slap-configuration\n[slap-configuration]\nrecipe = hyperopenx:slapconfiguration"


def configured(partition: Partition, document: dict[str, Any], profile: str = PROFILE) -> Any:
    path = write_document(partition.directory.parent / "instance.json", **document)
    partition.done(profile + "\n", slap__connection=connection_section(path))
    return lambda option: partition.option("slap-configuration", option)


def test_plain_parameters_and_identity(partition: Partition) -> None:
    parameters = {"title": HOSTILE, "big": "x" * 1_000_000, "${odd}\nkey": "v", "_": "{}", "$schema": "s"}
    option = configured(
        partition,
        {
            "parameters": parameters,
            "addresses": (Address("lo", "::1"), Address("lo", "127.0.1.2"), Address("lo", "127.0.1.1")),
        },
    )
    assert option("configuration") == parameters
    assert option("configuration.title") == HOSTILE and option("configuration.big") == parameters["big"]
    with pytest.raises(ProfileError):
        option("configuration.${odd}\nkey")
    assert (option("ipv4"), option("ipv4-random")) == (["127.0.1.1", "127.0.1.2"], "127.0.1.1")
    assert (option("ipv6"), option("ipv6-random")) == (["::1"], "::1")
    assert (option("slap-software-type"), option("instance-guid"), option("timestamp")) == (
        "default",
        "SOFTINST-7",
        "17",
    )
    assert (option("slap-computer-id"), option("slap-computer-partition-id")) == ("COMP-1", "slappart0")
    assert (option("instance-title"), option("root-instance-title"), option("instance-state")) == (
        "site",
        "site",
        "started",
    )
    before = partition.snapshot()
    configured(partition, {"parameters": parameters})
    assert partition.snapshot() == before


def test_the_recipe_wins_over_defaults_of_the_profile(partition: Partition) -> None:
    profile = PROFILE + "\nconfiguration.title = default\nconfiguration.colour = red"
    option = configured(partition, {"parameters": {"title": "given"}}, profile)
    assert (option("configuration.title"), option("configuration.colour")) == ("given", "red")


def test_json_parameters(partition: Partition) -> None:
    value = {"title": HOSTILE, "port": 80, "deep": {"a": [1, None]}}
    option = configured(partition, {"parameters": {"_": json.dumps(value)}}, PROFILE + ".serialised")
    assert option("configuration") == value
    assert (option("configuration.port"), option("configuration.deep")) == (80, {"a": [1, None]})
    with pytest.raises(InputError, match="JSON"):
        configured(partition, {"parameters": {"_": "{"}}, PROFILE + ".serialised")


def test_shared_instances_are_listed_as_the_field_expects(partition: Partition) -> None:
    shared = SharedInstance("SOFTINST-9", "front", "default", {"url": "u"}, timestamp=3)
    option = configured(partition, {"shared_instances": (shared,)})
    assert option("slave-instance-list") == [
        {
            "slave_reference": "SOFTINST-9",
            "slave_title": "front",
            "slap_software_type": "default",
            "timestamp": 3,
            "url": "u",
        }
    ]


def test_facts_of_format_and_storage(partition: Partition, tmp_path: Path) -> None:
    partition.directory.mkdir()
    resource = {
        "tap": {"name": "tap0", "ipv4_addr": "1.2.3.4"},
        "tun": None,
        "address_list": [{"addr": "::1"}],
        "ipv4": 1,
    }
    (partition.directory / ".slapos-resource").write_text(json.dumps(resource))
    (tmp_path / "disks/disk1/slappart0").mkdir(parents=True)
    option = configured(partition, {}, PROFILE + f"\nstorage-home = {tmp_path}/disks")
    assert (option("tap-name"), option("tap-ipv4-addr")) == ("tap0", "1.2.3.4")
    assert option("address-list") == [{"addr": "::1"}] and option("ipv4") == []
    link = partition.directory / "DATA/disk1"
    assert option("storage-dict") == {"disk1": str(link)}
    assert link.readlink() == tmp_path / "disks/disk1/slappart0"


def test_without_a_document_the_master_is_asked(partition: Partition, master: Master) -> None:
    answer = instance_to_data(instance(parameters={"title": "x"}))
    master.answers["hyperopenx.get.v0.instance"] = answer
    partition.done(PROFILE + "\n", slap__connection=connection_section(url=master.url))
    assert partition.option("slap-configuration", "configuration.title") == "x"
    assert master.messages("hyperopenx.get.v0.instance") == [
        {"computer_guid": "COMP-1", "compute_partition_id": "slappart0"}
    ]


def test_a_damaged_document_and_no_master_are_named(partition: Partition, tmp_path: Path) -> None:
    (tmp_path / "cut.json").write_text('{"guid": ')
    with pytest.raises(MachineError, match=r"cut\.json"):
        partition.done(PROFILE + "\n", slap__connection=connection_section(tmp_path / "cut.json"))
    with pytest.raises(ProfileError, match="server-url"):
        partition.done(PROFILE + "\n")


SCHEMA = {
    "type": "object",
    "required": ["title"],
    "properties": {
        "title": {"type": "string"},
        "port": {"type": "integer", "default": 8080},
        "tls": {"default": {}, "properties": {"strict": {"type": "boolean", "default": True}}},
    },
}


@pytest.fixture
def release(tmp_path: Path) -> Path:
    directory = tmp_path / "software" / "0123"
    directory.mkdir(parents=True)
    entry = {"request": "in.json", "response": "in.json", "serialisation": "json-in-xml"}
    types = {"default": entry, "flat": {**entry, "serialisation": "xml"}}
    types |= {"default-slave": {**entry, "software-type": "default", "shared": True}}
    (directory / "software.cfg.json").write_text(json.dumps({"software-type": types}))
    (directory / "in.json").write_text(json.dumps(SCHEMA))
    return directory / "software.cfg.json"


def judged(release: Path, extra: str = "") -> str:
    return f"{PROFILE}.jsonschema\njsonschema = {release}\n{extra}"


def test_the_schema_judges_and_completes(partition: Partition, release: Path) -> None:
    document = {"parameters": {"_": json.dumps({"title": "a"})}}
    option = configured(partition, document, judged(release, "set-default = main"))
    assert option("configuration") == {"title": "a", "port": 8080, "tls": {"strict": True}}
    with pytest.raises(InputError, match=r"\$\.title") as caught:
        configured(partition, {"parameters": {"_": "{}"}}, judged(release))
    assert caught.value.reference == "schema-violation"
    configured(partition, {"parameters": {"_": "{}"}}, judged(release, "validate-parameters = none"))
    with pytest.raises(ProfileError):
        configured(partition, document, judged(release, "set-default = perhaps"))
    with pytest.raises(ProfileError, match="descriptor"):
        configured(partition, document, judged(release.parent / "absent.cfg.json"))


def test_flat_texts_become_typed_on_demand(partition: Partition, release: Path) -> None:
    document = {"software_type": "flat", "parameters": {"title": "5", "port": "81"}}
    assert configured(partition, document, judged(release))("configuration") == {"title": "5", "port": "81"}
    option = configured(partition, document, judged(release, "unstringify = all\nset-default = all"))
    assert option("configuration") == {"title": "5", "port": 81, "tls": {"strict": True}}


def test_invalid_shared_instances_are_set_apart(partition: Partition, release: Path) -> None:
    shared = tuple(
        SharedInstance(f"SOFTINST-{number}", "s", "default", {"_": text})
        for number, text in enumerate(('{"title": "a"}', '{"title": 1}', "{"))
    )
    document = {"parameters": {"_": '{"title": "a"}'}, "shared_instances": shared}
    option = configured(partition, document, judged(release, "set-default = shared"))
    assert option("valid-shared-instance-list") == [
        {"reference": "SOFTINST-0", "parameters": {"title": "a", "port": 8080, "tls": {"strict": True}}}
    ]
    invalid = option("invalid-shared-instance-list")
    assert [entry["reference"] for entry in invalid] == ["SOFTINST-1", "SOFTINST-2"]
    assert "$.title" in invalid[0]["errors"][0]

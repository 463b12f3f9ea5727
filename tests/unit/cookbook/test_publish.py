"""What the requester gets back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from slapos.model.errors import InputError, ProfileError
from slapos.model.objects import SharedInstance
from slapos.slap.documents import instance_to_data
from tests.unit.cookbook.engine import GUID, Master, Partition, connection_section, instance, write_document

METHOD = "hyperopenx.put.v0.connection"
PROFILE = "[buildout]\nparts = publish\n[publish]\nrecipe = hyperopenx:publish"
HOSTILE = "a ${buildout:directory} {{ x }} %(y)s '\" \n ; # é 🙂 "


@pytest.fixture(autouse=True)
def answering(master: Master) -> None:
    master.answers[METHOD] = {"generation": 3}


def published(master: Master) -> list[Any]:
    return [message["connection"] for message in master.messages(METHOD)]


def test_options_are_published_once(partition: Partition, master: Master) -> None:
    profile = PROFILE + "\nurl = ${given:url}\nport = ${given:port}\n-hidden = x\n"
    given = {"url": HOSTILE, "port": 80}
    for _ in range(2):
        partition.done(profile, slap__connection=connection_section(url=master.url), given=given)
    assert master.messages(METHOD) == [{"instance_guid": GUID, "connection": {"url": HOSTILE, "port": "80"}}]


def test_a_megabyte_arrives_and_a_nul_is_named(partition: Partition, master: Master) -> None:
    connection = connection_section(url=master.url)
    partition.done(PROFILE + "\nbig = ${given:x}\n", slap__connection=connection, given={"x": "x" * 1_000_000})
    assert published(master)[0]["big"] == "x" * 1_000_000
    with pytest.raises(InputError, match=r"connection\.big") as caught:
        partition.done(PROFILE + "\nbig = ${given:x}\n", slap__connection=connection, given={"x": "\0"})
    assert caught.value.reference == "invalid-text"


def test_serialised_values_keep_their_types(partition: Partition, master: Master) -> None:
    profile = PROFILE + ".serialised\nb = ${given:b}\na = ${given:a}\n"
    partition.done(profile, slap__connection=connection_section(url=master.url), given={"b": {"x": [1]}, "a": HOSTILE})
    (connection,) = published(master)
    assert json.loads(connection["_"]) == {"a": HOSTILE, "b": {"x": [1]}}
    assert connection["_"].startswith('{"a"')


def test_other_sections_are_included_and_chosen_names_only(partition: Partition, master: Master) -> None:
    profile = (
        PROFILE
        + "\n-extends = one\na = own\n[one]\n-extends = two\na = one\nb = one\n[two]\n-publish = c\nc = 1\nd = 2\n"
    )
    partition.done(profile, slap__connection=connection_section(url=master.url))
    assert published(master) == [{"a": "own", "b": "one", "c": "1"}]
    with pytest.raises(ProfileError, match="one → two → one"):
        partition.done(
            profile.replace("-publish = c", "-publish = c\n-extends = one"),
            slap__connection=connection_section(url=master.url),
        )


def test_nothing_is_sent_that_the_master_surely_has(partition: Partition, master: Master, tmp_path: Path) -> None:
    document = tmp_path / "i.json"

    def process(url: str, known: str, extra: str = "") -> int:
        shared = SharedInstance("SOFTINST-9", "s", "default", {}, connection={"url": known})
        write_document(document, connection={"url": known}, shared_instances=(shared,))
        partition.done(f"{PROFILE}\nurl = {url}\n{extra}", slap__connection=connection_section(document, master.url))
        return len(published(master))

    assert process("u", known="u") == 1  # never sent by us: who knows how old the document is
    assert process("u", known="u") == 1
    assert process("v", known="u") == 2
    assert process("v", known="u") == 3  # the document does not show it yet
    assert process("u", known="u") == 4  # and an old document is no proof
    assert process("u", known="u") == 4
    assert process("u", known="u", extra="-slave-reference = SOFTINST-9\n") == 5
    assert process("u", known="u", extra="-slave-reference = SOFTINST-9\n") == 5
    assert master.calls[-1][1] == {"instance_guid": "SOFTINST-9", "connection": {"url": "u"}}


EARLY = """
[buildout]
parts = early publish
[early]
recipe = hyperopenx:publish-early
-init =
  password secret:passwd
[secret]
recipe = hyperopenx:password
storage-path =
[publish]
recipe = hyperopenx:publish.serialised
-extends = early
url = u
"""


def test_a_generated_value_is_published_at_once_and_then_kept(
    partition: Partition, master: Master, tmp_path: Path
) -> None:
    document = tmp_path / "i.json"
    connection: dict[str, str] = {}

    def remember(message: dict[str, Any]) -> dict[str, Any]:
        connection.clear()
        connection.update(message["connection"])
        return {"generation": 1}

    master.answers[METHOD] = remember
    master.answers["hyperopenx.get.v0.instance"] = lambda _: instance_to_data(instance(connection=dict(connection)))
    passwords = []
    for number in range(4):
        # At the second time the document is older than what was published.
        write_document(document, connection={} if number == 1 else connection)
        partition.done(EARLY, slap__connection=connection_section(document, master.url))
        passwords.append(partition.option("secret", "passwd"))
    assert len(set(passwords)) == 1 and len(passwords[0]) == 32
    early, *final = (json.loads(item["_"]) for item in published(master))
    assert early == {"password": passwords[0]}
    assert final == [{"password": passwords[0], "url": "u"}] * 2


def test_a_forced_value_and_a_section_used_too_early(partition: Partition, master: Master) -> None:
    master.answers["hyperopenx.get.v0.instance"] = instance_to_data(instance())
    connection = connection_section(url=master.url)
    partition.done(EARLY.replace("-init =", "password = forced\n-init ="), slap__connection=connection)
    assert partition.option("secret", "passwd") == "forced"
    master.answers["hyperopenx.get.v0.instance"] = instance_to_data(instance(connection={"_": '{"password": "p"}'}))
    with pytest.raises(ProfileError) as caught:
        partition.done(EARLY.replace("parts = early", "parts = secret early"), slap__connection=connection)
    assert caught.value.reference == "used-too-early"
    with pytest.raises(ProfileError, match="name section:option"):
        partition.done(EARLY.replace("secret:passwd", "secret"), slap__connection=connection)

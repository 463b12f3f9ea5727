"""``slapos cache`` as people type it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from slapos.cli.main import run
from tests.functional.cache.servers import TOKEN, cache_server
from tests.unit.build.cache.stage import FILES, LINKS, Stage, build, inputs

PART = inputs(options={"version": "1"})
NAME = f"tool/{PART.digest}"


class Person:
    """Types commands in a directory with a store; ``store`` names it."""

    def __init__(self, top: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.stage = Stage(top)
        self.capsys = capsys
        self.store = f"--store={self.stage.builder.roots[0]}"

    def types(self, *words: str) -> Any:
        """The result as data; the command must succeed."""
        code = run([*words, "--format", "json"])
        told = self.capsys.readouterr()
        assert code == 0, told.err
        return json.loads(told.out)

    def fails(self, *words: str) -> dict[str, Any]:
        code = run([*words, "--format", "json"])
        told = self.capsys.readouterr()
        assert code != 0
        error: dict[str, Any] = json.loads(told.err.splitlines()[-1])["error"]
        return error


@pytest.fixture
def person(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Person:
    monkeypatch.chdir(tmp_path)
    made = Person(tmp_path, capsys)
    build(made.stage.builder, PART, FILES, LINKS)
    made.types("cache", "keygen", "key")
    made.types("cache", "keygen", "other")
    return made


def test_from_a_key_to_a_part(person: Person) -> None:
    assert os.stat("key").st_mode & 0o777 == 0o600
    assert person.fails("cache", "keygen", "key")["reference"] == "exists"
    pushed = person.types("cache", "push", "cache", "--key", "key", person.store)
    assert [(part["name"], part["outcome"]) for part in pushed["parts"]] == [(NAME, "pushed")]
    assert person.types("cache", "push", "cache", "tool", "--key", "key", person.store)["parts"][0]["outcome"] == "kept"
    signed = person.types("cache", "sign", "cache", "--key", "other", person.store)
    assert [part["outcome"] for part in signed["parts"]] == ["signed"]
    person.stage.move_away()
    both = ("--trust", "key.pub", "--trust", "other.pub", "--signatures", "2")
    pulled = person.types("cache", "pull", NAME, "--cache", "cache", *both, person.store)
    assert pulled["parts"] == [{"part": NAME, "location": f"{person.stage.builder.roots[0]}/{NAME}"}]
    assert person.types("cache", "push", "cache", "--key", "key", person.store)["parts"] == []  # it was not built here


def test_what_is_refused(person: Person) -> None:
    person.types("cache", "push", "cache", "--key", "key", person.store)
    person.stage.move_away()
    pull = ("cache", "pull", NAME, "--cache", "cache", person.store)
    revoked = json.loads(json.dumps(person.fails(*pull, "--trust", "key.pub", "--revoked", "key.pub")))
    assert revoked["reference"] == "not-trusted" and "revoked" in revoked["message"]
    assert person.fails(*pull, "--trust", "other.pub")["reference"] == "not-trusted"
    assert person.fails(*pull, "--trust", "nokey")["reference"] == "invalid-key"
    assert person.fails(*pull, "--trust", "key")["reference"] == "invalid-key"  # the secret half is no public key
    absent = ("cache", "pull", f"tool/{'0' * 32}", "--cache", "cache", "--trust", "key.pub", person.store)
    assert person.fails(*absent)["reference"] == "not-in-cache"
    assert person.fails("cache", "pull", "tool", *pull[3:], "--trust", "key.pub")["reference"] == "invalid-part-name"
    assert (
        person.fails("cache", "push", "cache", "nothing", "--key", "key", person.store)["reference"] == "no-such-part"
    )
    assert person.fails("cache", "push", "ftp://x", "--key", "key", person.store)["reference"] == "invalid-cache-url"
    assert person.fails("cache", "push", "cache", "--key", "key.pub", person.store)["reference"] == "invalid-key"
    assert person.stage.is_clean()


def test_a_new_key_takes_the_place_of_an_old_one(person: Person) -> None:
    person.types("cache", "push", "cache", "--key", "key", person.store)
    sign = ("cache", "sign", "cache", NAME, "--key", "other", "--believing")
    assert person.fails(*sign, "other.pub")["reference"] == "not-trusted"
    assert person.types(*sign, "key.pub")["parts"][0]["outcome"] == "signed"
    person.stage.move_away()
    new = ("--trust", "other.pub", "--revoked", "key.pub")
    person.types("cache", "pull", NAME, "--cache", "cache", *new, person.store)


def test_collection(person: Person) -> None:
    person.types("cache", "push", "cache", "--key", "key", person.store)
    assert person.types("cache", "gc", "cache", "--older-than", "1")["removed"] == []
    planned = person.types("cache", "gc", "cache", "--max-size", "0", "--dry-run")
    assert len(planned["removed"]) == 3 and planned["left"] > 0
    done = person.types("cache", "gc", "cache", "--max-size", "0")
    assert [one["path"] for one in done["removed"]] == [one["path"] for one in planned["removed"]]
    assert done["left"] == 0 and not [path for path in Path("cache").rglob("*") if path.is_file()]


def test_through_a_server(person: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    with cache_server(Path("served").absolute()) as url:
        refused = person.fails("cache", "push", url, "--key", "key", person.store)
        assert refused["reference"] == "cache-read-only" and "token" in refused["message"]
        monkeypatch.setenv("HYPEROPENX_CACHE_TOKEN", TOKEN)
        assert person.types("cache", "push", url, "--key", "key", person.store)["parts"][0]["outcome"] == "pushed"
        monkeypatch.delenv("HYPEROPENX_CACHE_TOKEN")
        person.stage.move_away()
        person.types("cache", "pull", NAME, "--cache", url, "--trust", "key.pub", person.store)
        assert person.fails("cache", "gc", url)["reference"] == "no-list"


def test_who_guesses(person: Person) -> None:
    Path("token").write_text("short\n")
    refused = person.fails("cache", "serve", "served", "--token-file", "token")
    assert refused["reference"] == "weak-token"
    assert person.fails("cache", "serve", "served", "--listen", "nowhere")["reference"] == "usage"

"""What was pushed comes back exactly; what a cache lacks is none; two at once make one."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from slapos.build.cache.publish import push
from slapos.build.store.store import Store
from slapos.model.errors import BuildFailed, Conflict
from tests.unit.build.cache.stage import FILES, KEY, LINKS, OTHER_KEY, Stage, build, inputs, snapshot

PART = inputs(options={"version": "1"})


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    made = Stage(tmp_path)
    build(made.builder, PART, FILES, LINKS)
    return made


def test_a_part_comes_back_exactly(stage: Stage) -> None:
    location = stage.builder.find("tool", PART.digest)
    assert location is not None
    before, record = snapshot(location), stage.builder.record("tool", PART.digest)
    assert stage.publish(PART).outcome == "pushed"
    stage.move_away()
    client = stage.client()
    assert client.pull("tool", PART.digest, stage.node)
    assert client.refusals == []
    assert snapshot(location) == before
    pulled = stage.node.record("tool", PART.digest)
    assert pulled is not None and record is not None
    assert (pulled.content, pulled.inputs, pulled.built_at) == (record.content, record.inputs, record.built_at)
    assert (pulled.seconds, pulled.builder, pulled.sandbox) == ({"make": 12.5}, record.builder, "bubblewrap")
    assert KEY.public.id in pulled.fetched


def test_an_archive_is_the_same_for_the_same_tree(stage: Stage, tmp_path: Path) -> None:
    other = Stage(tmp_path / "other")
    stage.publish(PART)
    archive = next((stage.cache_directory / "archives").iterdir())
    stage.move_away()
    build(stage.node, PART, FILES, LINKS)  # at the same place, later
    push(stage.stored(PART), stage.builder, other.cache, KEY)
    again = next((other.cache_directory / "archives").iterdir())
    assert (archive.name, archive.read_bytes()) == (again.name, again.read_bytes())


def test_what_a_cache_lacks_is_no_refusal(stage: Stage) -> None:
    client = stage.client()
    assert client.lookup("absent", "0" * 32) is None
    assert not client.pull("absent", "0" * 32, stage.node)
    assert client.refusals == []


def test_parts_that_files_name_come_first(stage: Stage) -> None:
    library = inputs("library")
    lies = build(stage.builder, library, {"lib/data": "x"})
    user = inputs("user", dependencies={"library": library.digest})
    build(stage.builder, user, {"share/config": f"library = {lies}/lib/data\n"}, {"data": f"{lies}/lib/data"})
    stage.publish(library)
    stage.publish(user)
    stage.move_away()
    client = stage.client()
    assert not client.pull("user", user.digest, stage.node)
    assert [error.reference for error in client.refusals] == ["missing-part"]
    assert stage.is_clean()
    assert client.pull_needs("user", user.digest, stage.node)
    assert {part.part for part in stage.node.parts()} == {"library", "user"}


def test_a_link_out_of_the_store_is_not_pushed(stage: Stage) -> None:
    made_from = inputs("linked")
    build(stage.builder, made_from, {"a": "a"}, {"python": "/usr/bin/python3"})
    with pytest.raises(BuildFailed, match="no part of the store") as raised:
        stage.publish(made_from)
    assert raised.value.reference == "unfit-link"
    assert not list(stage.cache_directory.rglob("*"))


def test_a_part_that_changed_in_the_store_is_not_pushed(stage: Stage) -> None:
    path = Path(stage.stored(PART).location, "share", "greeting")
    path.chmod(0o644)
    path.write_text("other")
    with pytest.raises(BuildFailed) as raised:
        stage.publish(PART)
    assert raised.value.reference == "changed-part"


def test_a_second_builder_signs_what_it_built_too(stage: Stage) -> None:
    stage.publish(PART)
    assert stage.publish(PART).outcome == "kept"
    assert stage.publish(PART, OTHER_KEY).outcome == "signed"
    stage.move_away()
    both = stage.client(keys=(KEY, OTHER_KEY), signatures=2)
    assert both.pull("tool", PART.digest, stage.node)


def test_a_second_builder_does_not_sign_what_it_did_not_get(stage: Stage) -> None:
    stage.publish(PART)
    stage.move_away()
    build(stage.node, PART, {**FILES, "share/greeting": "other"}, LINKS)
    with pytest.raises(Conflict) as raised:
        stage.publish(PART, OTHER_KEY)
    assert raised.value.reference == "different-content"
    assert stage.publish(PART, OTHER_KEY, replace=True).outcome == "pushed"
    old = stage.client()
    stage.node.remove("tool", PART.digest)
    assert not old.pull("tool", PART.digest, stage.node)  # its key did not sign what is there now
    assert [error.reference for error in old.refusals] == ["not-trusted"]


def test_a_second_builder_does_not_sign_an_archive_that_holds_something_else(stage: Stage) -> None:
    stage.publish(PART)
    archive = next((stage.cache_directory / "archives").iterdir())
    archive.write_bytes(archive.read_bytes()[:-1] + b"\0")
    with pytest.raises(BuildFailed) as raised:
        stage.publish(PART, OTHER_KEY)
    assert raised.value.reference == "wrong-archive"


def test_who_did_not_build_does_not_sign(stage: Stage) -> None:
    stage.publish(PART)
    stage.move_away()
    assert stage.client().pull("tool", PART.digest, stage.node)
    with pytest.raises(Conflict) as raised:
        stage.publish(PART, OTHER_KEY)
    assert raised.value.reference == "not-built-here"


def test_the_next_cache_serves_when_one_is_wrong(stage: Stage, tmp_path: Path) -> None:
    stage.publish(PART)
    bad = tmp_path / "bad"
    (bad / "parts/tool" / PART.digest).mkdir(parents=True)
    (bad / "parts/tool" / PART.digest / "manifest.json").write_text("rubbish")
    stage.move_away()
    client = stage.client(str(bad), stage.cache.url)
    assert client.pull("tool", PART.digest, stage.node)
    assert [error.reference for error in client.refusals] == ["not-trusted"]


def _pull(url: str, root: str, key: str, results: multiprocessing.Queue[bool]) -> None:
    from slapos.build.cache.client import CacheClient
    from slapos.build.cache.settings import CacheSettings

    results.put(CacheClient(CacheSettings((url,), (key,))).pull("tool", PART.digest, Store((root,))))


def test_two_at_once_make_one(stage: Stage) -> None:
    stage.publish(PART)
    stage.move_away()
    context = multiprocessing.get_context("spawn")
    results: multiprocessing.Queue[bool] = context.Queue()
    arguments = (stage.cache.url, stage.node.roots[0], KEY.public.text, results)
    processes = [context.Process(target=_pull, args=arguments) for _ in range(3)]
    for process in processes:
        process.start()
    assert [results.get(timeout=60) for _ in processes] == [True] * 3
    for process in processes:
        process.join()
    assert len(list(stage.node.parts())) == 1

"""The store: digests of inputs and contents, parts made once and whole, users, and what nobody uses."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slapos.build.store import building as building_module
from slapos.build.store.building import MARK, make_read_only
from slapos.build.store.content import RECORD, content_digest, content_of
from slapos.build.store.contents import altered_parts, list_contents
from slapos.build.store.history import expected_seconds
from slapos.build.store.inputs import Inputs, differences
from slapos.build.store.plan import Held, plan_removal
from slapos.build.store.record import PartRecord, read_part_record, write_record
from slapos.build.store.store import Store
from slapos.build.store.unused import remove_part, remove_unused
from slapos.build.store.users import note_use, used_parts
from slapos.model.errors import BuildFailed, Conflict, InputError, InternalError, MachineError
from slapos.system.as_owner import as_owner
from slapos.system.processes import Launch, start
from slapos.system.proctable import is_alive, start_time

TEXTS = st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3)
INPUTS = st.builds(
    Inputs,
    part=st.text(max_size=5),
    recipe=st.text(max_size=5),
    identity=st.text(max_size=5),
    options=TEXTS,
    sources=st.lists(st.lists(st.text(max_size=3), max_size=2).map(tuple), max_size=2).map(tuple),
    patches=st.lists(st.tuples(st.text(max_size=3), st.text(max_size=3)), max_size=2).map(tuple),
    dependencies=TEXTS,
    toolchain=TEXTS,
)


def inputs(part: str = "tool", **more: object) -> Inputs:
    return Inputs(**{"part": part, "recipe": "r", "identity": "i", **more})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store((str(tmp_path / "store"),))


def build(store: Store, what: Inputs, fill: Callable[[str], object] | None = None) -> str:
    with store.building(what.part, what.digest) as building:
        assert building is not None
        os.mkdir(building.tree)
        (fill or (lambda tree: Path(tree, "file").write_text("content")))(building.tree)
        building.stages["make"] = 2.0
        building.finish(what)
        return building.location


@given(INPUTS)
def test_inputs_are_the_same_after_a_round_trip(made: Inputs) -> None:
    again = Inputs.from_data(made.as_data())
    assert again == made
    assert again.digest == made.digest
    assert differences(made, again) == []


@given(INPUTS, INPUTS)
def test_what_has_another_digest_has_a_difference_that_can_be_told(one: Inputs, other: Inputs) -> None:
    if one.part == other.part and one.digest != other.digest:
        assert all(change.sentence and "\n" not in change.sentence for change in differences(one, other))
        assert differences(one, other)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"options": {"a": "2"}}, "option `a` changed: 1 → 2"),
        ({"options": {}}, "option `a` is gone, it was: 1"),
        ({"options": {"a": "1", "b": "x"}}, "option `b` is new: x"),
        ({"sources": (("c",),)}, "the accepted sha256 of source 1 changed: b → c"),
        ({"patches": (("p", "2"),)}, "the patch p changed"),
        ({"patches": ()}, "the patch p is gone"),
        ({"dependencies": {"openssl": "2"}}, "openssl changed"),
        ({"toolchain": {"gcc": "13"}}, "gcc 12 → 13"),
        ({"recipe": "other:cmmi"}, "the recipe changed: r → other:cmmi"),
        ({"identity": "j"}, "the recipe r changed: interface=1 source=0123456789abcdef → j"),
        ({"identity": "interface=2 source=77be01d2"}, "the recipe r has another interface: 1 → 2"),
        (
            {"identity": "interface=1 source=77be01d2ffffffff"},
            "the code of the recipe r changed: 01234567 → 77be01d2",
        ),
    ],
)
def test_each_difference_has_a_sentence(change: dict[str, object], sentence: str) -> None:
    old = inputs(
        identity="interface=1 source=0123456789abcdef",
        options={"a": "1"},
        sources=(("b",),),
        patches=(("p", "1"),),
        dependencies={"openssl": "1"},
        toolchain={"gcc": "12"},
    )
    new = dataclasses.replace(old, **change)  # type: ignore[arg-type]
    assert new.digest != old.digest
    assert [found.sentence for found in differences(old, new)] == [sentence]


def test_the_order_of_patches_counts_and_that_of_accepted_digests_does_not() -> None:
    old = inputs(patches=(("a", "1"), ("b", "2")), sources=(("x", "y"),))
    turned = dataclasses.replace(old, patches=(("b", "2"), ("a", "1")))
    assert differences(old, turned)[0].name == "their order"
    assert dataclasses.replace(old, sources=(("y", "x"),)).digest == old.digest


def test_a_long_option_shows_only_what_differs() -> None:
    words = [f"--with-{number}" for number in range(20)]
    other = [*words[:10], "--without-ten", *words[11:]]
    old, new = inputs(options={"c": " ".join(words)}), inputs(options={"c": " ".join(other)})
    assert differences(old, new)[0].sentence == "option `c` changed: … --with-10 … → … --without-ten …"


@pytest.mark.parametrize("data", [{}, {"part": 1}, {**inputs().as_data(), "options": {"a": 1}}, {"inputs": []}])
def test_what_are_no_inputs_is_refused(data: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        Inputs.from_data(data)


CHANGES: dict[str, Callable[[Path], object]] = {
    "bytes": lambda tree: (tree / "a" / "file").write_text("other"),
    "name": lambda tree: (tree / "a" / "file").rename(tree / "a" / "flie"),
    "mode": lambda tree: (tree / "a" / "file").chmod(0o755),
    "target": lambda tree: ((tree / "link").unlink(), (tree / "link").symlink_to("elsewhere")),
    "a directory": lambda tree: (tree / "b").mkdir(),
    "a file instead of a directory": lambda tree: ((tree / "empty").rmdir(), (tree / "empty").write_text("")),
}


@pytest.mark.parametrize("change", CHANGES)
def test_each_change_of_a_tree_changes_its_digest(tmp_path: Path, change: str) -> None:
    tree = tmp_path / "tree"
    for directory in ("a", "empty"):
        (tree / directory).mkdir(parents=True)
    (tree / "a" / "file").write_text("some")
    (tree / "link").symlink_to("a/file")
    before = content_digest(str(tree))
    os.utime(tree / "a" / "file", (1, 1))
    (tree / RECORD).write_text("not a part of it")
    assert content_digest(str(tree)) == before
    CHANGES[change](tree)
    assert content_digest(str(tree)) != before


def test_references_are_found_in_bytes_and_links(tmp_path: Path) -> None:
    digest = "0123456789abcdef" * 2
    (tmp_path / "program").write_bytes(b"\0RPATH=/s/openssl/" + digest.encode() + b"/lib:/elsewhere/x/y\0")
    (tmp_path / "link").symlink_to(f"/long store/zlib/{digest}/lib")
    (tmp_path / "other").write_text(f"/s/too/{digest}f and /s/short/0123 and /t/away/{digest}")
    found = content_of(str(tmp_path), ("/s", "/long store"))
    assert found.references == (f"openssl/{digest}", f"zlib/{digest}")
    assert found.size == sum((tmp_path / name).stat().st_size for name in ("program", "other"))


def test_a_part_appears_whole_and_read_only(store: Store) -> None:
    what = inputs()
    location = build(store, what, lambda tree: (Path(tree, "run").touch(0o700), os.mkdir(f"{tree}/d", 0o700)))
    assert store.find("tool", what.digest) == store.location("tool", what.digest) == location
    modes = {path: stat.S_IMODE(os.lstat(path).st_mode) for path in (location, f"{location}/run", f"{location}/d")}
    assert set(modes.values()) == {0o555}
    assert [found.location for found in store.parts()] == [location]
    assert expected_seconds(store) == {"tool": 2.0}
    with store.building("tool", what.digest) as nothing:
        assert nothing is None


def test_nothing_stays_of_a_build_that_fails(store: Store) -> None:
    what = inputs()
    with pytest.raises(ZeroDivisionError), store.building("tool", what.digest) as building:
        assert building is not None
        os.makedirs(building.location)
        Path(building.work, "half").touch()
        raise ZeroDivisionError
    assert not os.path.exists(building.location)
    assert os.listdir(os.path.join(store.root, ".work")) == []


def test_a_part_may_be_made_where_it_will_lie(store: Store) -> None:
    what = inputs()
    with store.building("tool", what.digest) as building:
        assert building is not None
        os.makedirs(building.location)
        Path(building.location, "file").write_text("here")
        assert store.find("tool", what.digest) is None, "without a record it is nothing"
        building.finish(what)
    assert Path(store.location("tool", what.digest), "file").read_text() == "here"


def test_what_a_killed_build_left_is_replaced_and_what_still_runs_of_it_is_ended(store: Store) -> None:
    what = inputs()
    store.prepare()
    location = os.path.join(store.root, "tool", what.digest)
    os.makedirs(location)
    Path(location, "half").touch()
    orphan = start(["sleep", "60"], launch=Launch(environment={"PATH": os.defpath, MARK: location}))
    key = (orphan.pid, start_time(orphan.pid))
    build(store, what)
    assert orphan.popen.wait(10) == -signal.SIGTERM
    assert not is_alive(*key)
    assert set(os.listdir(location)) == {RECORD, "file"}


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: (Path(path).touch(), os.chmod(path, 0o4755))])
def test_a_part_holds_plain_files_only(store: Store, make: Callable[[str], object]) -> None:
    with pytest.raises(BuildFailed) as caught:
        build(store, inputs(), lambda tree: make(f"{tree}/odd"))
    assert caught.value.reference == "unfit-file"
    assert list(store.parts()) == []


def test_an_empty_part_is_none(store: Store) -> None:
    with pytest.raises(BuildFailed, match="nothing was made"):
        build(store, inputs(), lambda tree: None)


def test_other_inputs_than_announced_are_a_defect(store: Store) -> None:
    with pytest.raises(InternalError), store.building("tool", inputs().digest) as building:
        assert building is not None
        os.mkdir(building.tree)
        Path(building.tree, "file").touch()
        building.finish(inputs(options={"a": "1"}))
    assert list(store.parts()) == []


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"inputs": {}}', b"\xff"])
def test_a_part_without_a_whole_record_is_built_again(store: Store, damage: bytes) -> None:
    what = inputs()
    location = build(store, what)
    os.chmod(location, 0o755)
    os.chmod(f"{location}/{RECORD}", 0o644)
    Path(location, RECORD).write_bytes(damage)
    assert store.find("tool", what.digest) is None
    assert build(store, what) == location
    assert store.find("tool", what.digest) == location


def test_a_record_of_another_part_makes_nothing_whole(store: Store) -> None:
    location = build(store, inputs())
    copy = Path(store.root, "tool", "f" * 32)
    shutil.copytree(location, copy)
    assert store.find("tool", "f" * 32) is None
    assert len(list(store.parts())) == 1


def test_one_builds_while_the_other_waits(store: Store) -> None:
    what = inputs()
    with store.building("tool", what.digest) as building:
        assert building is not None
        with pytest.raises(Conflict, match="The part tool is in use"), store.building("tool", what.digest, 0.05):
            raise AssertionError("two at once")


def test_several_roots(tmp_path: Path) -> None:
    what = inputs()
    first, second = str(tmp_path / "first"), str(tmp_path / "second")
    there = build(Store((second,)), what)
    both = Store((first, second))
    assert both.root == first
    assert both.find("tool", what.digest) == there, "it is built nowhere twice"
    assert both.location("tool", "a" * 32) == f"{first}/tool/{'a' * 32}"
    assert {found.location for found in both.parts()} == {there}


def test_a_part_of_another_store_that_is_named_is_needed(tmp_path: Path) -> None:
    base = inputs("base")
    first, second = str(tmp_path / "first"), str(tmp_path / "second")
    there = build(Store((second,)), base)
    both = Store((first, second))
    tool = inputs("tool")
    build(both, tool, lambda tree: Path(tree, "names").write_text(there))
    record = both.record("tool", tool.digest)
    assert record is not None
    assert record.needs == (f"base/{base.digest}",)


def test_a_part_is_begun_without_a_look_at_all_processes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what a killed build left may still have some."""
    looked: list[str] = []
    monkeypatch.setattr(building_module, "end_orphans", looked.append)
    what = inputs()
    location = build(store, what)
    assert looked == []
    os.chmod(location, 0o755)
    os.unlink(f"{location}/{RECORD}")
    build(store, what)
    os.makedirs(os.path.join(store.root, ".work", f"other-{inputs('other').digest}"))
    build(store, inputs("other"))
    assert [path.rpartition("/")[0] for path in looked] == [f"{store.root}/tool", f"{store.root}/other"]


@pytest.mark.parametrize("roots", [(), ("relative",)])
def test_what_is_no_store(roots: tuple[str, ...]) -> None:
    with pytest.raises(InputError):
        Store(roots)


@pytest.mark.parametrize(("part", "digest"), [("../x", "a" * 32), ("x", "../" + "a" * 29), ("x", "A" * 32), ("", "a")])
def test_names_do_not_lead_out_of_the_store(store: Store, part: str, digest: str) -> None:
    with pytest.raises(InputError):
        store.location(part, digest)


def test_a_store_that_nobody_here_may_write_to(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = Store((str(tmp_path / "file" / "store"),))
    assert not store.is_writable
    assert store.location("tool", "a" * 32).startswith(str(tmp_path))
    note_use(store, str(tmp_path), [])
    with pytest.raises(MachineError) as caught:
        store.prepare()
    assert caught.value.reference == "no-writable-store"


def test_a_record_is_read_back(tmp_path: Path) -> None:
    record = PartRecord(
        inputs=inputs(dependencies={"a": "1"}), built_at=1.5, seconds={"make": 2.0}, references=("b/2", "a/1")
    )
    write_record(str(tmp_path), record)
    assert read_part_record(str(tmp_path)) == record
    assert record.needs == ("a/1", "b/2")


NAMES = st.sampled_from([f"p{number}/{number}" for number in range(6)])
HELD = st.lists(
    st.builds(
        Held,
        name=NAMES,
        needs=st.lists(NAMES, max_size=3).map(tuple),
        size=st.integers(0, 9),
        since=st.floats(0, 100),
    ),
    unique_by=lambda held: held.name,
)


@given(HELD, st.sets(NAMES), st.floats(0, 100))
def test_what_is_used_or_needed_by_it_is_never_removed(held: list[Held], used: set[str], keep: float) -> None:
    plan = plan_removal(held, used, 100.0, keep)
    removed = {part.name for part in plan.removed}
    left = {part.name: part for part in held if part.name not in removed}
    assert not removed & used
    assert all(need not in removed for part in left.values() for need in part.needs)
    assert all(100.0 - part.since >= keep for part in held if part.name in removed)
    assert len(plan.removed) + len(plan.kept) + plan.used == len(held)


def test_what_no_release_uses_goes_with_what_killed_builds_left(store: Store, tmp_path: Path) -> None:
    base, other = inputs("base"), inputs("other")
    tool = inputs("tool", dependencies={"base": base.digest})
    for what in (base, tool, other):
        build(store, what)
    release = tmp_path / "release"
    release.mkdir()
    note_use(store, str(release), [f"tool/{tool.digest}"])
    os.makedirs(os.path.join(store.root, "half", "a" * 32))
    os.makedirs(os.path.join(store.root, ".work", f"half-{'a' * 32}", "source"))
    assert [part.name for part in remove_unused(store, 3600.0).kept] == [f"other/{other.digest}"]
    assert [part.name for part in remove_unused(store, 0.0).removed] == [f"other/{other.digest}"]
    assert {found.part for found in store.parts()} == {"base", "tool"}
    assert os.listdir(os.path.join(store.root, ".work")) == []
    assert os.listdir(os.path.join(store.root, "half")) == []
    release.rmdir()
    assert used_parts(store) == {}
    assert remove_unused(store, 0.0).sentence.startswith("0 parts are used, 2 are not (")
    assert list(store.parts()) == []


def test_a_part_that_is_used_or_needed_by_now_is_not_removed(store: Store, tmp_path: Path) -> None:
    base = inputs("base")
    tool = inputs("tool", dependencies={"base": base.digest})
    names = [f"{what.part}/{what.digest}" for what in (base, tool)]
    for what in (base, tool):
        build(store, what)
    assert remove_part(store, names[0]) == 0, "the tool needs it"
    note_use(store, str(tmp_path), names[1:])
    assert remove_part(store, names[1]) == 0
    note_use(store, str(tmp_path), [], only=True)
    with store.lock(f"tool-{tool.digest}"):
        assert remove_part(store, names[1]) == 0
        assert [part.reason for part in remove_unused(store, 0.0).kept] == [
            "somebody is busy with it or what needs it"
        ] * 2
    assert [remove_part(store, name) for name in reversed(names)] == [7, 7]
    assert remove_part(store, names[1]) == 0, "it is gone"


@pytest.mark.root
def test_who_cannot_be_seen_is_not_gone(passable: Path) -> None:
    store = Store((str(passable / "store"),))
    private = passable / "private"
    (private / "release").mkdir(parents=True)
    private.chmod(0o700)
    os.mkdir(store.root)
    os.chown(store.root, 4321, 4321)
    as_owner(store.root, note_use, store, str(private / "release"), ["tool/1"])
    assert as_owner(store.root, used_parts, store) == {str(private / "release"): ["tool/1"]}


def test_what_is_being_built_stays(store: Store) -> None:
    what = inputs()
    with store.building("tool", what.digest) as building:
        assert building is not None
        remove_unused(store, 0.0)
        assert os.path.isdir(building.work)


def test_an_altered_part_is_found(store: Store) -> None:
    location = build(store, inputs())
    assert list(altered_parts(store)) == []
    os.chmod(f"{location}/file", 0o644)
    Path(location, "file").write_text("altered")
    assert [part.location for part in altered_parts(store)] == [location]
    assert [entry.name for entry in list_contents(store)] == [f"tool/{inputs().digest}"]


def test_modes_do_not_depend_on_who_built(tmp_path: Path) -> None:
    trees = []
    for umask in (0o077, 0o002):
        tree = tmp_path / str(umask)
        before = os.umask(umask)
        tree.mkdir()
        (tree / "plain").touch()
        (tree / "program").touch(0o777)
        os.umask(before)
        make_read_only(str(tree))
        trees.append(content_digest(str(tree)))
    assert trees[0] == trees[1]


def _built_by(root: str, part: str) -> int:
    """Build a part as whoever this is; the user whose it is."""
    os.umask(0o022)
    store = Store((root,))
    what = inputs(part)
    with store.building(part, what.digest, 5.0) as building:
        if building is not None:
            os.mkdir(building.tree)
            Path(building.tree, "file").write_text(part)
            building.finish(what)
    note_use(store, f"/nowhere/{os.geteuid()}", [f"{part}/{what.digest}"])
    return os.stat(store.location(part, what.digest)).st_uid


@pytest.fixture
def passable() -> Iterator[Path]:
    """A directory that other users can pass, unlike those of pytest."""
    with tempfile.TemporaryDirectory(prefix="hox-store-") as directory:
        os.chmod(directory, 0o755)
        yield Path(directory)


@pytest.mark.root
def test_users_of_one_group_share_a_store(passable: Path) -> None:
    root = passable / "store"
    homes = {uid: passable / str(uid) for uid in (0, 4321, 4322)}
    for uid, path in {**homes, 0: root}.items():
        path.mkdir()
        os.chown(path, uid, 100)
    root.chmod(0o2775)
    first, second = str(homes[4321]), str(homes[4322])
    assert as_owner(first, _built_by, str(root), "one") == 4321
    assert as_owner(second, _built_by, str(root), "one") == 4321, "it is there already"
    assert as_owner(second, _built_by, str(root), "two") == 4322
    left = root / ".work" / f"three-{inputs('three').digest}.4321"
    left.mkdir(0o700)
    os.chown(left, 4321, 100)
    assert as_owner(second, _built_by, str(root), "three") == 4322, "what the other left is not in the way"
    for name in (".locks", ".work", ".users"):
        assert stat.S_IMODE((root / name).stat().st_mode) == 0o2770

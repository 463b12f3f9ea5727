"""Builds that tests keep: fresh for the sources that they were made of, and never taken away from who uses them."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from slapos.build.release import COMPLETED, is_complete
from slapos.model.errors import MachineError
from slapos.testing.builds import VARIABLE, KeptBuild, keep_build


@pytest.fixture(name="clone")
def fixture_clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "builds"))
    clone = tmp_path / "clone"
    for name in ("component/a/buildout.cfg", "stack/b/buildout.cfg", "software/c/software.cfg", "software/c/test/t.py"):
        path = clone / name
        path.parent.mkdir(parents=True)
        path.write_text(name)
    return clone


def build(kept: KeptBuild) -> bool:
    """As a node does; whether there was anything to build."""
    if is_complete(kept.built):
        return False
    os.makedirs(kept.built, exist_ok=True)
    Path(kept.built, COMPLETED).touch()
    return True


def built(kept: KeptBuild) -> bool:
    with kept.held(lambda: build(kept)) as was:
        return was


def test_the_catalogue_is_copied_as_it_is_now(clone: Path) -> None:
    kept = keep_build("c", clone)
    assert Path(kept.release).read_text() == "software/c/software.cfg"
    (clone / "software/c/software.cfg").write_text("other")
    (clone / "component/a/buildout.cfg").unlink()
    (clone / "component/a/run").write_text("#!/bin/sh\n")
    (clone / "component/a/run").chmod(0o755)
    again = keep_build("c", clone)
    copied = again.directory / "catalogue" / "component" / "a"
    assert again == kept
    assert Path(kept.release).read_text() == "other"
    assert [path.name for path in copied.iterdir()] == ["run"]
    assert os.access(copied / "run", os.X_OK)


def test_built_once_and_again_when_a_source_changed(clone: Path) -> None:
    assert built(keep_build("c", clone))
    assert not built(keep_build("c", clone))
    (clone / "software/c/test/t.py").write_text("another test")
    assert not built(keep_build("c", clone))
    (clone / "stack/b/buildout.cfg").write_text("other")
    assert built(keep_build("c", clone))


def test_a_build_that_was_cut_is_not_taken_for_one(clone: Path) -> None:
    kept = keep_build("c", clone)
    with pytest.raises(ZeroDivisionError), kept.held(lambda: 1 // 0):
        pass
    assert built(kept)


def test_nobody_builds_below_who_uses_it(clone: Path) -> None:
    kept = keep_build("c", clone)
    begun = threading.Event()

    def build_later() -> bool:
        begun.set()
        return build(kept)

    def use() -> None:
        with kept.held(build_later):
            pass

    with kept.held(lambda: build(kept)):
        (clone / "stack/b/buildout.cfg").write_text("other")
        keep_build("c", clone)
        other = threading.Thread(target=use)
        other.start()
        assert not begun.wait(0.2)
        assert is_complete(kept.built)
    other.join(10)
    assert begun.is_set()


def test_builds_of_a_clone_that_is_gone_go(clone: Path, tmp_path: Path) -> None:
    old = keep_build("c", clone)
    assert built(old)
    clone.rename(tmp_path / "moved")
    new = keep_build("c", tmp_path / "moved")
    assert not old.directory.exists()
    assert built(new)


def test_a_directory_that_others_can_change_is_refused(
    clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    monkeypatch.setenv(VARIABLE, str(open_to_all))
    with pytest.raises(MachineError, match="others could change"):
        keep_build("c", clone)
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    monkeypatch.setenv(VARIABLE, str(link))
    with pytest.raises(MachineError, match="others could change"):
        keep_build("c", clone)

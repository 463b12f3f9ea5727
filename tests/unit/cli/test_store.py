"""``slapos store`` on real stores."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from slapos.build.store.inputs import Inputs
from slapos.build.store.store import Store
from slapos.cli.main import run
from slapos.model.errors import InputError
from slapos.system.as_owner import as_owner

INPUTS = Inputs("tool", "test:make", "1")


@pytest.fixture
def store(tmp_path: Path) -> str:
    root = str(tmp_path / "store")
    with Store((root,)).building("tool", INPUTS.digest) as building:
        assert building is not None
        os.mkdir(building.tree)
        Path(building.tree, "file").write_text("content")
        building.finish(INPUTS)
    return root


def told(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, object]:
    capsys.readouterr()
    code = run(["--format", "json", "store", *words])
    return code, json.loads(capsys.readouterr().out)


def test_list_check_and_clean_up(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = told(capsys, "list", "--store", store)
    assert code == 0
    assert isinstance(found, list)
    assert [(entry["name"], entry["size"], entry["users"]) for entry in found] == [(f"tool/{INPUTS.digest}", 7, [])]
    assert told(capsys, "check", "--store", store) == (0, [])
    path = Path(store, "tool", INPUTS.digest, "file")
    path.chmod(0o644)
    path.write_text("altered")
    code, altered = told(capsys, "check", "--store", store)
    assert code == 1
    assert isinstance(altered, list)
    assert [part["location"] for part in altered] == [str(path.parent)]
    for words, left in ((["--keep", "0", "--dry-run"], 1), ([], 1), (["--keep", "0"], 0)):
        assert run(["store", "gc", "--store", store, *words]) == 0
        assert len(list(Store((store,)).parts())) == left
    assert "0 parts are used, 1 are not" in capsys.readouterr().out


def _refuse() -> None:
    raise InputError("no", reference="so-it-is")


@pytest.mark.root
def test_root_works_with_the_rights_of_the_owner(tmp_path: Path) -> None:
    os.chown(tmp_path, 4321, 4322)
    assert as_owner(str(tmp_path), lambda: [os.geteuid(), os.getegid(), os.getgroups()]) == [4321, 4322, []]
    with pytest.raises(InputError, match="no"):
        as_owner(str(tmp_path), _refuse)
    secret = tmp_path / "secret"
    secret.touch(0o600)
    assert os.geteuid() == 0

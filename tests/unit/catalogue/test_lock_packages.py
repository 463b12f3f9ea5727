"""Locks of ``venv`` and ``npm`` that are refreshed by the real pip and npm, from registries of the tests."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from slapos.build.requirements import logical_lines, read_pin
from slapos.cli import main as entry
from tests.unit.build.sources import only_wheels_of
from tests.unit.build.test_npm import tarball
from tests.unit.build.test_venv import ANY, wheel
from tests.unit.build.web import Web, serving

VENV = "[buildout]\nparts = tools\n\n[tools]\nrecipe = hyperopenx:venv\nrequirements = @BASE@/requirements.txt\n"
NPM = "[buildout]\nparts = app\n\n[app]\nrecipe = hyperopenx:npm\npackage-lock = @BASE@/package-lock.json\n"
NODE = pytest.mark.skipif(not os.path.exists("/usr/bin/npm"), reason="the machine has no npm")


def write_profile(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "software.cfg"
    path.write_text(text.replace("@BASE@", "${:_profile_base_location_}"))
    return path


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where pip looks, and nowhere else."""
    directory = tmp_path / "wheels"
    directory.mkdir()
    return only_wheels_of(directory, monkeypatch)


def pinned(path: Path) -> dict[str, tuple[str, int]]:
    """Name → version and number of hashes."""
    pins = [read_pin(line) for _, line in logical_lines(path.read_text())]
    return {pin.name: (pin.version, len(pin.hashes)) for pin in pins if pin}


@ANY
def test_requirements_go_to_what_is_wanted(tmp_path: Path, wheels: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profile = write_profile(tmp_path, VENV)
    before = profile.read_bytes()
    first = wheel(wheels, "answer", "1.0")
    wheel(wheels, "other", "1.0")
    (tmp_path / "requirements.in").write_text("answer\nother<2\n")
    assert entry.run(["lock", str(profile)]) == 0
    lock = tmp_path / "requirements.txt"
    assert pinned(lock) == {"answer": ("1.0", 1), "other": ("1.0", 1)}
    assert first.split("--hash=")[1].strip() in lock.read_text()
    assert "wheels" not in lock.read_text(), "where it came from is not written"
    assert "[tools] answer: nothing → 1.0 (sha256:" in capsys.readouterr().out
    lock.write_text(f"# why these\n\n{lock.read_text()}")
    wheel(wheels, "answer", "1.1")
    wheel(wheels, "other", "2.0")
    assert entry.run(["lock", str(profile), "--check"]) == 1
    assert pinned(lock)["answer"] == ("1.0", 1), "nothing was written"
    assert entry.run(["lock", str(profile)]) == 0
    assert pinned(lock) == {"answer": ("1.1", 1), "other": ("1.0", 1)}
    assert lock.read_text().startswith("# why these\n\nanswer==1.1 \\\n    --hash=sha256:")
    capsys.readouterr()
    assert entry.run(["lock", str(profile), "--check"]) == 0
    assert "nothing changed" in capsys.readouterr().out
    assert profile.read_bytes() == before
    assert entry.run(["lock", str(profile), "--package", "answer"]) == 2
    assert "requirements.in" in capsys.readouterr().err


@ANY
def test_without_a_file_of_wishes_versions_stay(tmp_path: Path, wheels: Path) -> None:
    profile = write_profile(tmp_path, VENV)
    lock = tmp_path / "requirements.txt"
    other = f'gone==3 ; python_version < "3" --hash=sha256:{"0" * 64}\n'
    lock.write_text(wheel(wheels, "answer", "1.0") + other)
    kept = lock.read_text()
    wheel(wheels, "answer", "1.1")
    assert entry.run(["lock", str(profile)]) == 0
    assert lock.read_text() == kept
    assert entry.run(["lock", str(profile), "tools", "--package", "answer>1"]) == 0
    assert pinned(lock) == {"answer": ("1.1", 1)}


@ANY
def test_other_bytes_of_the_same_version(tmp_path: Path, wheels: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profile = write_profile(tmp_path, VENV)
    lock = tmp_path / "requirements.txt"
    lock.write_text(f"answer==1.0 --hash=sha256:{'a' * 64}\n")
    wheel(wheels, "answer", "1.0")
    assert entry.run(["lock", str(profile)]) == 5
    assert "--accept" in capsys.readouterr().err
    assert pinned(lock) == {"answer": ("1.0", 1)}
    assert entry.run(["lock", str(profile), "--accept"]) == 0
    assert pinned(lock) == {"answer": ("1.0", 2)}, "the file for another machine stays accepted"


@ANY
@pytest.mark.parametrize(
    ("text", "arguments", "code", "word"),
    [
        ("answer==1.0\n", [], 2, "requirements.txt:1"),
        ("", [], 2, "--package"),
        ("", ["tools", "--package", "no-such-thing-at-all"], 69, "no-such-thing-at-all"),
        ("", ["tools", "--version", "2"], 2, "versions of their own"),
    ],
)
def test_requirements_that_cannot_be_refreshed(
    tmp_path: Path,
    wheels: Path,
    capsys: pytest.CaptureFixture[str],
    text: str,
    arguments: list[str],
    code: int,
    word: str,
) -> None:
    profile = write_profile(tmp_path, VENV)
    (tmp_path / "requirements.txt").write_text(text)
    assert entry.run(["lock", str(profile), *arguments]) == code
    assert word in capsys.readouterr().err
    assert (tmp_path / "requirements.txt").read_text() == text


@ANY
def test_an_interpreter_of_the_release_counts_by_its_version(
    tmp_path: Path, wheels: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = VENV + "python = ${python3:location}/bin/python3\n\n[python3]\nrecipe = hyperopenx:cmmi\nversion = @V@\n"
    old = wheel(wheels, "answer", "1.0")
    name = "answer-1.0-py3-none-any.whl"
    os.rename(wheels / name, wheels / "answer-1.0-cp39-none-any.whl")
    (tmp_path / "requirements.in").write_text("answer\n")
    assert entry.run(["lock", str(write_profile(tmp_path, text.replace("@V@", "3.13.5"))), "tools"]) == 69
    assert "answer" in capsys.readouterr().err
    assert entry.run(["lock", str(write_profile(tmp_path, text.replace("@V@", "3.9.2"))), "tools"]) == 0
    assert old.split("--hash=")[1].strip() in (tmp_path / "requirements.txt").read_text()


def test_a_file_that_does_not_lie_beside_the_profile(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profile = write_profile(tmp_path, VENV.replace("@BASE@", "https://example.net"))
    assert entry.run(["lock", str(profile)]) == 2
    assert "no file beside the profile" in capsys.readouterr().err


def offer(web: Web, name: str, *versions: str, **needs: str) -> None:
    """A registry's document of a package, and its files."""
    known = {}
    for version in versions:
        data = tarball(name, {"index.js": f"// {version}\n"}, {"version": version, "dependencies": needs})
        web.files[f"/{name}/-/{name}-{version}.tgz"] = data
        integrity = base64.b64encode(hashlib.sha512(data).digest()).decode()
        dist = {"tarball": f"{web.url}/{name}/-/{name}-{version}.tgz", "integrity": f"sha512-{integrity}"}
        known[version] = {"name": name, "version": version, "dependencies": needs, "dist": dist}
    document = {"name": name, "dist-tags": {"latest": versions[-1]}, "versions": known}
    web.files[f"/{name}"] = json.dumps(document).encode()


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """What npm is configured for."""
    with serving() as web:
        monkeypatch.setenv("npm_config_registry", f"{web.url}/")
        monkeypatch.setenv("npm_config_userconfig", str(tmp_path / "npmrc"))
        yield web


def places(tmp_path: Path) -> dict[str, Any]:
    lock = json.loads((tmp_path / "package-lock.json").read_text())
    return {path: entry["version"] for path, entry in lock["packages"].items() if path}


@NODE
def test_a_package_lock_goes_to_what_is_wanted(
    tmp_path: Path, registry: Web, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = write_profile(tmp_path, NPM)
    offer(registry, "other", "1.0.0")
    offer(registry, "answer", "1.0.0", "2.0.0", other="^1.0.0")
    (tmp_path / "package.json").write_text('{"name": "app", "version": "1.0.0", "dependencies": {"answer": "^1.0.0"}}')
    assert entry.run(["lock", str(profile)]) == 0
    assert places(tmp_path) == {"node_modules/answer": "1.0.0", "node_modules/other": "1.0.0"}
    text = (tmp_path / "package-lock.json").read_text()
    assert "127.0.0.1" not in text and "resolved" not in text, "no address of a registry"
    offer(registry, "other", "1.0.0", "1.1.0")
    capsys.readouterr()
    assert entry.run(["lock", str(profile), "--check"]) == 1
    assert "[app] node_modules/other: 1.0.0 (sha512-" in capsys.readouterr().out
    assert (tmp_path / "package-lock.json").read_text() == text
    assert entry.run(["lock", str(profile)]) == 0
    assert places(tmp_path)["node_modules/other"] == "1.1.0"
    capsys.readouterr()
    assert entry.run(["lock", str(profile), "--check"]) == 0
    assert "nothing changed" in capsys.readouterr().out
    registry.files["/other"] = registry.files["/other"].replace(b'"sha512-', b'"sha512-AAAA')
    assert entry.run(["lock", str(profile)]) == 5
    assert "node_modules/other 1.1.0" in capsys.readouterr().err


@NODE
def test_a_package_lock_made_from_names(tmp_path: Path, registry: Web, capsys: pytest.CaptureFixture[str]) -> None:
    profile = write_profile(tmp_path, NPM)
    offer(registry, "answer", "1.0.0", "2.0.0")
    assert entry.run(["lock", str(profile)]) == 2
    assert "--package" in capsys.readouterr().err
    assert entry.run(["lock", str(profile), "app", "--package", "answer@1"]) == 0
    assert places(tmp_path) == {"node_modules/answer": "1.0.0"}
    offer(registry, "answer", "1.0.0", "1.5.0", "2.0.0")
    assert entry.run(["lock", str(profile)]) == 0
    assert places(tmp_path) == {"node_modules/answer": "1.5.0"}, "the lock says what is wanted"
    assert entry.run(["lock", str(profile), "app", "--package", "no-such-thing-at-all"]) == 69
    assert "no-such-thing-at-all" in capsys.readouterr().err
    (tmp_path / "package-lock.json").write_text("[]")
    assert entry.run(["lock", str(profile)]) == 2
    assert "package-lock.json" in capsys.readouterr().err

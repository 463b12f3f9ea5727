"""The recipe ``npm`` with the real npm; the packages are made and served by the tests, but for one of the registry."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from slapos.build.sandbox import available
from slapos.build.store.store import Store
from slapos.system.processes import run
from tests.unit.build.sources import archive, build, built, failure
from tests.unit.build.web import Web, serving

pytestmark = pytest.mark.skipif(not os.path.exists("/usr/bin/npm"), reason="the machine has no npm")
PROFILE = "[buildout]\nparts = app\n[app]\nrecipe = hyperopenx:npm\n"
BESIDE = "package-lock = ${:_profile_base_location_}/package-lock.json\n"
SEMVER = "sha512-oVekP1cKtI+CTDvHWYFUcMtsK/00wmAEfyqKfNdARm8u1wNVhSgaX7A8d4UuIlUI5e84iEwOhs7ZPYRmzU9U6A=="


def tarball(name: str, files: dict[str, str], more: dict[str, Any] | None = None) -> bytes:
    """A package with ``files``; programs have its name."""
    package = {"name": name, "version": "1.0.0", "bin": {name: "run.js"}, **(more or {})}
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for path, text in {"package.json": json.dumps(package), **files}.items():
            member = tarfile.TarInfo(f"package/{path}")
            member.size, member.mode = len(text.encode()), 0o755
            tar.addfile(member, io.BytesIO(text.encode()))
    return stream.getvalue()


def entry(web: Web, name: str, data: bytes, **more: Any) -> dict[str, Any]:
    """What a lock says of a package, which is served from now on."""
    web.files[f"/{name}.tgz"] = data
    integrity = base64.b64encode(hashlib.sha512(data).digest()).decode()
    facts = {"version": "1.0.0", "resolved": f"{web.url}/{name}.tgz", "integrity": f"sha512-{integrity}"}
    return {**facts, "bin": {name: "run.js"}, **more}


def write_lock(tmp_path: Path, packages: dict[str, Any], wanted: dict[str, str]) -> None:
    root = {"name": "app", "version": "1.0.0", "dependencies": wanted}
    entries = {"": root, **{f"node_modules/{name}": facts for name, facts in packages.items()}}
    lock = {"name": "app", "version": "1.0.0", "lockfileVersion": 3, "requires": True, "packages": entries}
    (tmp_path / "package-lock.json").write_text(json.dumps(lock))


RUN = '#!/usr/bin/env node\nconsole.log("answer", require("other"))\n'


def locked(tmp_path: Path, web: Web, script: str = "echo from-script > made") -> None:
    """``answer``, which has an install script, and ``other``, which it needs."""
    needs = {"dependencies": {"other": "1.0.0"}, "scripts": {"install": script}}
    answer = entry(web, "answer", tarball("answer", {"run.js": RUN}, needs), dependencies={"other": "1.0.0"})
    other = entry(web, "other", tarball("other", {"index.js": "module.exports = 42\n", "run.js": ""}))
    write_lock(tmp_path, {"answer": {**answer, "hasInstallScript": True}, "other": other}, {"answer": "1.0.0"})


def test_programs_run_and_scripts_ran_without_network(tmp_path: Path) -> None:
    with serving() as web:
        locked(tmp_path, web)
        result = build(tmp_path, f"{PROFILE}{BESIDE}promises = @@LOCATION@@/node_modules/other/index.js")
    assert result.outcome == "done", result.error
    location = built(tmp_path, "app")
    assert run([f"{location}/node_modules/.bin/answer"]).text == "answer 42\n"
    assert (location / "node_modules" / "answer" / "made").read_text() == "from-script\n"
    record = next(iter(Store((str(tmp_path / "store"),)).parts())).record
    assert available() or record.sandbox.startswith("bubblewrap")
    more = f"location = {tmp_path}/work/here\nscripts = false\n"
    assert build(tmp_path, PROFILE + BESIDE + more, offline="true").outcome == "done", "it was fetched"
    here = tmp_path / "work" / "here" / "node_modules"
    assert run([f"{here}/.bin/answer"]).text == "answer 42\n"
    assert not (here / "answer" / "made").exists()


@pytest.mark.skipif(bool(available()), reason="no sandbox here")
def test_a_script_has_no_network(tmp_path: Path) -> None:
    with serving() as web:
        locked(tmp_path, web, f"node -e \"fetch('{web.url}/other.tgz').catch(() => process.exit(7))\"")
        error = failure(build(tmp_path, PROFILE + BESIDE))
        assert [path for path, _ in web.requests].count("/other.tgz") == 1, "npm alone had it"
    assert error.context["log"].endswith("app.log")
    assert not list((tmp_path / "store").glob("app/*"))


def test_other_bytes_are_not_kept(tmp_path: Path) -> None:
    with serving() as web:
        locked(tmp_path, web)
        right = web.files["/other.tgz"]
        web.files["/other.tgz"] = tarball("other", {"index.js": "module.exports = 43\n"})
        assert failure(build(tmp_path, PROFILE + BESIDE)).reference == "wrong-checksum"
        assert failure(build(tmp_path, PROFILE + BESIDE, offline="true")).reference == "offline"
        web.files["/other.tgz"] = right
        result = build(tmp_path, PROFILE + BESIDE)
        assert result.outcome == "done", result.error


def test_a_package_that_is_gone(tmp_path: Path) -> None:
    with serving() as web:
        locked(tmp_path, web)
        del web.files["/other.tgz"]
        assert failure(build(tmp_path, PROFILE + BESIDE)).reference == "source-unreachable"


@pytest.mark.parametrize(
    ("facts", "word"),
    [
        ({"integrity": None}, "integrity"),
        ({"integrity": "sha1-AAAA"}, "integrity"),
        ({"resolved": "git+ssh://git@example.net/x.git#0"}, "git+ssh"),
        ({"resolved": "file:../x", "link": True}, "link"),
    ],
)
def test_packages_that_nothing_pins(tmp_path: Path, facts: dict[str, Any], word: str) -> None:
    whole = {"version": "1.0.0", "resolved": "https://example.net/x.tgz", "integrity": SEMVER, **facts}
    write_lock(tmp_path, {"x": {name: fact for name, fact in whole.items() if fact is not None}}, {"x": "1.0.0"})
    error = failure(build(tmp_path, PROFILE + BESIDE))
    assert error.reference == "unpinned-requirement"
    assert word in error.message


@pytest.mark.parametrize("text", ["", "[]", '{"lockfileVersion": 1, "dependencies": {}}', '{"packages": {"": 3}}'])
def test_files_that_are_no_lock(tmp_path: Path, text: str) -> None:
    assert failure(build(tmp_path, PROFILE + BESIDE)).reference == "missing-file"
    (tmp_path / "package-lock.json").write_text(text)
    assert failure(build(tmp_path, PROFILE + BESIDE)).reference == "invalid-file"


def test_a_package_of_the_registry(tmp_path: Path) -> None:
    facts = {"version": "7.6.3", "integrity": SEMVER, "bin": {"semver": "bin/semver.js"}}
    write_lock(tmp_path, {"semver": facts}, {"semver": "7.6.3"})
    result = build(tmp_path, PROFILE + BESIDE)
    assert result.outcome == "done", result.error
    assert run([f"{built(tmp_path, 'app')}/node_modules/.bin/semver", "1.2.3"]).text == "1.2.3\n"


def test_packages_are_there_before_anything_is_built(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    cache = tmp_path_factory.mktemp("cache")  # not below the profile: what names a file there is not stored
    install = "install:\n\tmkdir -p $(DESTDIR)$(HERE)\n\tcp seen $(DESTDIR)$(HERE)\n"
    source = archive(tmp_path / "first.tar", {"Makefile": f"all:\n\tls $(CACHE) > seen 2>&1 || true\n{install}"})
    first = f"[first]\nrecipe = hyperopenx:cmmi\n{source}make-options = HERE=@@LOCATION@@ CACHE={cache}/npm\n"
    with serving() as web:
        locked(tmp_path, web)
        text = f"{PROFILE}{BESIDE}promises = ${{first:location}}/seen\n{first}"
        result = build(tmp_path, text, sandbox="false", **{"download-cache": str(cache)})
    assert result.outcome == "done", result.error
    fetched = {path.name for path in (cache / "npm").iterdir() if path.is_dir()}
    assert len(fetched) == 1
    assert fetched <= set((built(tmp_path, "first") / "seen").read_text().split())

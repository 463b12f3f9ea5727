"""The recipe ``venv`` with real pip and uv; the wheels are made by the tests, but for one of the index."""

from __future__ import annotations

import base64
import hashlib
import os
import zipfile
from pathlib import Path

import pytest

from slapos.build.requirements import logical_lines
from slapos.build.sandbox import available
from slapos.build.store.store import Store
from slapos.system.processes import run
from tests.unit.build.sources import archive, build, built, failure, only_wheels_of

PROFILE = "[buildout]\nparts = tools\n[tools]\nrecipe = hyperopenx:venv\n"
BESIDE = "requirements = ${:_profile_base_location_}/requirements.txt\n"
ANY = pytest.mark.skipif(not os.path.exists("/usr/bin/python3"), reason="the machine has no /usr/bin/python3")
pytestmark = ANY


def wheel(directory: Path, name: str = "answer", version: str = "1.0") -> str:
    """A distribution with a module and a program; its line."""
    directory.mkdir(exist_ok=True)
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"def main():\n    print('{name} {version}')\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name} = {name}:main\n",
    }
    record = "".join(f"{path},sha256={_digest(text)},{len(text)}\n" for path, text in files.items())
    path = directory / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for member, text in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            archive.writestr(member, text)
    return f"{name}=={version} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where pip looks, and nowhere else."""
    directory = tmp_path / "wheels"
    directory.mkdir()
    return only_wheels_of(directory, monkeypatch)


def test_programs_run_and_a_comment_changes_nothing(tmp_path: Path, wheels: Path) -> None:
    lines = [wheel(wheels, name) for name in ("answer", "other")]
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("# made by nobody\n" + "".join(lines).replace(" --hash", " \\\n    --hash"))
    result = build(tmp_path, f"{PROFILE}{BESIDE}promises = @@LOCATION@@/bin/answer")
    assert result.outcome == "done", result.error
    location = built(tmp_path, "tools")
    assert run([f"{location}/bin/answer"]).text == "answer 1.0\n"
    assert run([f"{location}/bin/python", "-c", "import other; other.main()"]).text == "other 1.0\n"
    record = next(iter(Store((str(tmp_path / "store"),)).parts())).record
    assert available() or record.sandbox.startswith("bubblewrap")
    cached = list(location.glob("lib/python3*/site-packages/__pycache__/answer.*.pyc"))
    assert cached and cached[0].read_bytes()[4] == 1, "checked neither by time nor by content"
    requirements.write_text("".join(lines))
    assert build(tmp_path, f"{PROFILE}{BESIDE}promises = @@LOCATION@@/bin/answer").outcome == "done"
    assert built(tmp_path, "tools") == location, "only the layout of the file changed"
    requirements.write_text(lines[0])
    assert build(tmp_path, f"{PROFILE}{BESIDE}promises = @@LOCATION@@/bin/answer").outcome == "done"
    assert len(list((tmp_path / "store" / "tools").iterdir())) == 2, "another part"


def test_what_was_fetched_serves_offline(tmp_path: Path, wheels: Path) -> None:
    (tmp_path / "requirements.txt").write_text(wheel(wheels))
    place = f"{PROFILE}{BESIDE}location = {tmp_path}/work/here\n"
    assert failure(build(tmp_path, place, offline="true")).reference == "offline"
    assert build(tmp_path, place).outcome == "done"
    assert run([f"{tmp_path}/work/here/bin/answer"]).text == "answer 1.0\n"
    for path in wheels.iterdir():
        path.unlink()
    assert build(tmp_path, f"{place}promises =", offline="true").outcome == "done"


def test_other_bytes_and_missing_wheels(tmp_path: Path, wheels: Path) -> None:
    line = wheel(wheels)
    requirements = tmp_path / "requirements.txt"
    requirements.write_text(line[:-5] + "0000\n")
    error = failure(build(tmp_path, PROFILE + BESIDE))
    assert error.reference == "wrong-checksum", error.message
    requirements.write_text(line.replace("answer", "nowhere"))
    error = failure(build(tmp_path, PROFILE + BESIDE))
    assert error.reference == "source-unreachable"
    assert "nowhere==1.0" in error.message
    assert not list((tmp_path / "store").glob("tools/*"))


@pytest.mark.parametrize(
    "text",
    [
        "answer\n",
        "answer==1.0\n",
        "answer>=1.0 --hash=sha256:" + "0" * 64,
        "answer==1.* --hash=sha256:" + "0" * 64,
        "answer==1.0 --hash=md5:" + "0" * 32,
        "answer @ https://example.net/answer.whl --hash=sha256:" + "0" * 64,
        "-r other.txt",
        "--index-url https://example.net/",
        "-e .",
        "# nothing\n\n",
        "answer==1.0 \\\n --hash=sha256:" + "0" * 63,
    ],
)
def test_requirements_that_pin_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "requirements.txt").write_text(text)
    error = failure(build(tmp_path, PROFILE + BESIDE))
    assert error.reference == "unpinned-requirement"
    assert "[tools] requirements" in error.message


def test_files_that_are_not_there(tmp_path: Path, wheels: Path) -> None:
    assert failure(build(tmp_path, PROFILE + BESIDE)).reference == "missing-file"
    (tmp_path / "requirements.txt").write_bytes(b"\xff\xfe")
    assert failure(build(tmp_path, PROFILE + BESIDE)).reference == "invalid-file"
    (tmp_path / "requirements.txt").write_text(wheel(wheels))
    error = failure(build(tmp_path, f"{PROFILE}{BESIDE}python = {tmp_path}/python"))
    assert error.reference == "source-unreachable"
    assert f"{tmp_path}/python" in error.message


def test_a_wheel_of_the_index(tmp_path: Path) -> None:
    digest = "9deba5723312380e77435581c6bf4935c94cbfab9b1ed33ef8d238ea168eb760"
    (tmp_path / "requirements.txt").write_text(f"iniconfig==2.1.0 --hash=sha256:{digest}\n")
    result = build(tmp_path, PROFILE + BESIDE)
    assert result.outcome == "done", result.error
    done = run([f"{built(tmp_path, 'tools')}/bin/python", "-c", "import iniconfig; print(iniconfig.__file__)"])
    assert done.text.startswith(str(built(tmp_path, "tools")))


def test_lines() -> None:
    text = "a==1 \\\n  --hash=x \\\n  # why\n  --hash=y\n\n# b\nc==2 # d\n"
    assert list(logical_lines(text))[-1] == (7, "c==2")
    assert list(logical_lines("a==1 \\\n  --hash=x\n")) == [(1, "a==1 --hash=x")]


def test_wheels_are_there_before_anything_is_built(
    tmp_path: Path, wheels: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """And for an interpreter that is itself to be built, as soon as that is there."""
    makefile = (
        "all:\n\tls $(CACHE) > seen 2>&1 || true\n"
        "install:\n\tmkdir -p $(DESTDIR)$(HERE)/bin\n\tcp seen $(DESTDIR)$(HERE)\n"
        "\tln -s /usr/bin/python3 $(DESTDIR)$(HERE)/bin/python3\n"
    )
    source = archive(tmp_path / "first.tar", {"Makefile": makefile})
    seen = {}
    for name, option in (("ahead", "promises"), ("later", "python")):
        directory = tmp_path / name
        directory.mkdir()
        (directory / "requirements.txt").write_text(wheel(wheels))
        cache = tmp_path_factory.mktemp("cache")  # not below the profile: what names a file there is not stored
        options = f"recipe = hyperopenx:cmmi\n{source}make-options = HERE=@@LOCATION@@ CACHE={cache}/wheels\n"
        text = f"{PROFILE}{BESIDE}{option} = ${{first:location}}/bin/python3\n[first]\n{options}"
        result = build(directory, text, sandbox="false", **{"download-cache": str(cache)})
        assert result.outcome == "done", result.error
        assert run([f"{built(directory, 'tools')}/bin/answer"]).text == "answer 1.0\n"
        fetched = {path.name for path in (cache / "wheels").iterdir() if path.is_dir()}
        assert len(fetched) == 1
        seen[name] = fetched <= set((built(directory, "first") / "seen").read_text().split())
    assert seen == {"ahead": True, "later": False}

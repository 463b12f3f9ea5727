"""The recipe ``debian`` with packages that dpkg-deb made, and with real ones of the archive."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from slapos.build.fetch.debian_packages import DebianPackages
from slapos.build.recipe import Source
from slapos.model.errors import NotFound, Unavailable
from slapos.system.processes import Launch, check_run, run
from tests.unit.build.sources import build, built, failure

pytestmark = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb is not installed")
FOLDER = "usr/lib/x86_64-linux-gnu/private"
PROFILE = """[buildout]
parts = tool
offline = true
[tool]
recipe = hyperopenx:debian
mirrors = {mirror}
packages =
{packages}
{more}"""


def package(tmp_path: Path, name: str, fill: Path, compression: str = "xz") -> str:
    """A package of the files below ``fill``; its line."""
    control = fill / "DEBIAN"
    control.mkdir(exist_ok=True)
    (control / "control").write_text(
        f"Package: {name}\nVersion: 1.0\nArchitecture: all\nMaintainer: nobody <n@example.net>\nDescription: test\n"
    )
    (control / "postinst").write_text(f"#!/bin/sh\ntouch {tmp_path}/script-ran\n")
    (control / "postinst").chmod(0o755)
    file = tmp_path / "mirror" / "pool" / f"{name}.deb"
    file.parent.mkdir(parents=True, exist_ok=True)
    check_run(["dpkg-deb", "--root-owner-group", f"-Z{compression}", "--build", str(fill), str(file)])
    return line(name, file)


def line(name: str, file: Path) -> str:
    return f"  {name}=1.0 {hashlib.sha256(file.read_bytes()).hexdigest()} pool/{file.name}"


def files(directory: Path, texts: dict[str, str]) -> Path:
    for name, text in texts.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    return directory


def compiled(tmp_path: Path) -> list[str]:
    """A program of one package that needs a library of another, in a directory of its own."""
    library, program = tmp_path / "library", tmp_path / "program"
    (library / FOLDER).mkdir(parents=True)
    (program / "usr" / "bin").mkdir(parents=True)
    source = files(tmp_path / "c", {"a.c": "int answer(void) { return 42; }", "m.c": MAIN})
    launch = Launch(directory=str(source), environment={"PATH": os.defpath})
    made = f"{library}/{FOLDER}/libanswer.so.1"
    check_run(["gcc", "-shared", "-fPIC", "-Wl,-soname,libanswer.so.1", "-o", made, "a.c"], launch=launch)
    check_run(["gcc", "-o", f"{program}/usr/bin/tell", "m.c", made], launch=launch)
    (program / "usr" / "bin" / "again").symlink_to("/usr/bin/tell")
    files(program, {"usr/bin/script": '#!/bin/sh\necho "$0 $WORD"\ntell "$@"\n'})
    return [package(tmp_path, "libanswer1", library, "zstd"), package(tmp_path, "tell", program)]


MAIN = '#include <stdio.h>\nint answer(void);\nint main(int n, char **v) { printf("%d %s\\n", answer(), v[n - 1]); }\n'


def profile(tmp_path: Path, packages: list[str], more: str = "") -> str:
    return PROFILE.format(mirror=tmp_path / "mirror", packages="\n".join(packages), more=more)


def test_programs_find_their_libraries_and_each_other(tmp_path: Path) -> None:
    more = "environment = WORD=it's @@LOCATION@@\npromises = @@LOCATION@@/usr/bin/tell"
    result = build(tmp_path, profile(tmp_path, compiled(tmp_path), more))
    assert result.outcome == "done", result.error
    location = built(tmp_path, "tool")
    assert run([f"{location}/usr/bin/tell"]).code == 127, "without its wrapper it lacks a library"
    assert run([f"{location}/wrapped/tell", "a  b$"]).text == "42 a  b$\n"
    assert run([f"{location}/wrapped/again", "x"]).text == "42 x\n", "an absolute link stays in the prefix"
    assert run([f"{location}/wrapped/script", "y"]).text == f"{location}/usr/bin/script it's {location}\n42 y\n"
    assert not (tmp_path / "script-ran").exists(), "no script of a package is run"


def test_a_program_elsewhere_is_wrapped_when_named(tmp_path: Path) -> None:
    fill = files(tmp_path / "fill", {"usr/lib/x/bin/one": "#!/bin/sh\necho one\n", "usr/bin/both": "#!/bin/sh\n"})
    pinned = [package(tmp_path, "xx", fill, "gzip")]
    assert build(tmp_path, profile(tmp_path, pinned, "programs = usr/lib/x/bin/*")).outcome == "done"
    location = built(tmp_path, "tool")
    assert run([f"{location}/wrapped/one"]).text == "one\n"
    error = failure(build(tmp_path, profile(tmp_path, pinned, "programs = usr/lib/y/*")))
    assert error.reference == "missing-program"


def test_two_packages_with_the_same_file(tmp_path: Path) -> None:
    pinned = [
        package(tmp_path, name, files(tmp_path / name, {"usr/share/same": name, f"usr/share/{name}": name}))
        for name in ("one", "two")
    ]
    error = failure(build(tmp_path, profile(tmp_path, pinned)))
    assert error.reference == "conflicting-files"
    assert not list((tmp_path / "store").glob("tool/*"))


@pytest.mark.parametrize("damage", ["no package", "cut", "no data", "other bytes", "gone"])
def test_files_that_are_not_what_they_should_be(tmp_path: Path, damage: str) -> None:
    pinned = package(tmp_path, "xx", files(tmp_path / "fill", {"usr/bin/x": "#!/bin/sh\n"}))
    file = tmp_path / "mirror" / "pool" / "xx.deb"
    data = file.read_bytes()
    if damage == "gone":
        file.unlink()
    else:
        changed = {
            "no package": b"MZ",
            "cut": data[: len(data) - 80],
            "no data": data[:200],
            "other bytes": data + b"\n",
        }
        file.write_bytes(changed[damage])
    if damage not in ("other bytes", "gone"):
        pinned = line("xx", file)
    error = failure(build(tmp_path, profile(tmp_path, [pinned])))
    expected = {"other bytes": "wrong-checksum", "gone": "source-unreachable"}
    assert error.reference == expected.get(damage, "damaged-archive"), error.message
    assert not list((tmp_path / "store").glob("tool/*"))


@pytest.mark.parametrize(
    "text",
    ["", "hello", "hello=1 abc pool/a.deb", f"hello=1 {'0' * 64} ../a.deb", f"hello=1 {'0' * 64} /etc/a.deb"],
)
def test_lines_that_pin_nothing(tmp_path: Path, text: str) -> None:
    error = failure(build(tmp_path, profile(tmp_path, [f"  {text}"])))
    assert error.reference == "invalid-option"
    assert "packages" in error.message


@pytest.fixture(scope="module")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A download cache whose indexes several tests share."""
    return tmp_path_factory.mktemp("downloads")


@pytest.mark.timeout(600)
def test_a_real_program_of_debian(tmp_path: Path, downloads: Path) -> None:
    packages = DebianPackages(directory=str(downloads / "apt-binary"))
    pinned = packages.lock(["jq"])
    assert {"jq", "libjq1"} <= {item.name for item in pinned}
    assert not {"libc6"} & {item.name for item in pinned}
    text = profile(tmp_path, [f"  {item.line}" for item in pinned]).replace("offline = true\n", "")
    result = build(tmp_path, text, **{"download-cache": str(downloads)})
    assert result.outcome == "done", result.error
    jq = built(tmp_path, "tool") / "wrapped" / "jq"
    assert run([str(jq), "-c", ".a"], stdin=b'{"a": [1, 2]}').text == "[1,2]\n"
    with pytest.raises(NotFound, match="no-such-package-at-all"):
        packages.lock(["no-such-package-at-all"])


def test_an_archive_without_a_signature_gives_nothing(tmp_path: Path) -> None:
    pinned = package(tmp_path, "xx", files(tmp_path / "fill", {"usr/bin/x": "#!/bin/sh\n"}))
    repository = tmp_path / "mirror"
    digest = pinned.split()[1]
    index = f"Package: xx\nVersion: 1.0\nArchitecture: all\nFilename: pool/xx.deb\nSHA256: {digest}\n\n"
    files(repository / "dists" / "bookworm", {"main/binary-amd64/Packages": index})
    size, total = len(index), hashlib.sha256(index.encode()).hexdigest()
    release = "Suite: stable\nCodename: bookworm\nComponents: main\nArchitectures: amd64\nSHA256:\n"
    files(repository / "dists" / "bookworm", {"Release": f"{release} {total} {size} main/binary-amd64/Packages\n"})
    apt = files(tmp_path / "apt", {"sources.list": f"deb file:{repository} bookworm main\n"})
    archive = DebianPackages(directory=str(tmp_path / "lists"), apt_directory=str(apt))
    source = Source("deb:pool/xx.deb", (digest,))
    with pytest.raises(Unavailable, match="not signed"):
        archive.fetch("pool/xx.deb", source, str(tmp_path / "got"), 60.0)
    assert not (tmp_path / "got").exists()
    trusted = f"deb [trusted=yes] file:{repository} bookworm main\n"
    files(apt, {"sources.list": trusted})
    assert archive.fetch("pool/xx.deb", source, str(tmp_path / "got"), 60.0) == digest, "only the signature was missing"

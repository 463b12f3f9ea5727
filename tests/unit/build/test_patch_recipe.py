"""The recipe ``patch`` with the real program: what another part gives, files, archives, and mistakes."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from slapos.build.store.store import Store
from tests.unit.build.profiles import outcomes_of
from tests.unit.build.sources import archive, build, built, failure

DIFF = """--- hello.sh
+++ hello.sh
@@ -1,2 +1,2 @@
 #!/bin/sh
-echo hello
+echo patched
"""
HELLO = "#!/bin/sh\necho hello\n"
INSTALL = """all:
install:
\tmkdir -p $(DESTDIR)$(HERE)
\tcp -a hello.sh data $(DESTDIR)$(HERE)
\tln -s $(HERE)/hello.sh $(DESTDIR)$(HERE)/link
"""
BESIDE = "patches = ${:_profile_base_location_}/word.patch\n"


def profile(tmp_path: Path, more: str) -> str:
    """``plain`` is the source as it is, ``changed`` what the test says."""
    (tmp_path / "word.patch").write_text(DIFF)
    source = archive(tmp_path / "plain.tar", {"Makefile": INSTALL, "hello.sh": HELLO, "data/notes.txt": "kept\n"})
    return f"""[buildout]
parts = changed
[plain]
recipe = hyperopenx:cmmi
{source}make-options = HERE=@@LOCATION@@
[changed]
recipe = hyperopenx:patch
{more}"""


def test_a_copy_of_what_another_part_gives_is_patched(tmp_path: Path) -> None:
    pin = hashlib.sha256(DIFF.encode()).hexdigest()
    (tmp_path / "tree").mkdir()
    for name, text in {"hello.sh": HELLO, "notes.txt": "kept\n"}.items():
        (tmp_path / "tree" / name).write_text(text)
    (tmp_path / "tree" / "link").symlink_to(tmp_path / "tree" / "hello.sh")
    (tmp_path / "tree" / "hello.sh").chmod(0o555)
    (tmp_path / "word.patch").write_text(DIFF)
    text = f"[buildout]\nparts = changed\n[changed]\nrecipe = hyperopenx:patch\nsource = {tmp_path}/tree\n"
    text += BESIDE.rstrip() + f"#sha256={pin}\n"
    assert outcomes_of(build(tmp_path, text, store="")) == {"changed": "installed"}
    changed = tmp_path / "work" / "parts" / "changed"
    assert (changed / "hello.sh").read_text() == HELLO.replace("hello", "patched")
    assert (changed / "notes.txt").read_text() == "kept\n"
    assert os.readlink(changed / "link") == "hello.sh", "it does not lead back into the original"
    assert (tmp_path / "tree" / "hello.sh").read_text() == HELLO, "the original stays"
    assert outcomes_of(build(tmp_path, text, store="")) == {"changed": "kept"}
    (tmp_path / "tree" / "notes.txt").write_text("other\n")
    assert outcomes_of(build(tmp_path, text, store="")) == {"changed": "installed"}
    assert (changed / "notes.txt").read_text() == "other\n"


def test_a_stored_part_is_made_from_a_stored_part(tmp_path: Path) -> None:
    result = build(tmp_path, profile(tmp_path, "source = ${plain:location}\n" + BESIDE))
    assert result.outcome == "done", result.error
    changed, plain = built(tmp_path, "changed"), built(tmp_path, "plain")
    assert (changed / "hello.sh").read_text() == HELLO.replace("hello", "patched")
    assert (plain / "hello.sh").read_text() == HELLO
    record = next(
        item.record for item in Store((str(tmp_path / "store"),)).parts() if item.record.inputs.part == "changed"
    )
    assert record.inputs.patches == (("word.patch", hashlib.sha256(DIFF.encode()).hexdigest()),)
    assert record.inputs.dependencies.keys() == {"plain"}
    assert not record.references, "nothing in it leads to the original"
    (tmp_path / "word.patch").write_text(DIFF.replace("patched", "again"))
    text = (tmp_path / "profile.cfg").read_text()
    assert build(tmp_path, text).outcome == "done"
    assert len(list((tmp_path / "store" / "changed").iterdir())) == 2, "another patch makes another part"


@pytest.mark.parametrize("unpack", ["true", "false"])
def test_a_source_of_its_own(tmp_path: Path, unpack: str) -> None:
    (tmp_path / "hello.sh").write_text(HELLO)
    digest = hashlib.sha256(HELLO.encode()).hexdigest()
    single = f"url = {tmp_path}/hello.sh\nsha256 = {digest}\nunpack = false\n"
    source = archive(tmp_path / "one.tar", {"hello.sh": HELLO}) if unpack == "true" else single
    result = build(tmp_path, profile(tmp_path, source + BESIDE))
    assert result.outcome == "done", result.error
    assert (built(tmp_path, "changed") / "hello.sh").read_text() == HELLO.replace("hello", "patched")


def test_one_file_of_another_part(tmp_path: Path) -> None:
    result = build(tmp_path, profile(tmp_path, "source = ${plain:location}/hello.sh\n" + BESIDE))
    assert result.outcome == "done", result.error
    assert os.listdir(built(tmp_path, "changed")) in (
        ["hello.sh", ".hyperopenx-part.json"],
        [".hyperopenx-part.json", "hello.sh"],
    )


@pytest.mark.parametrize(
    ("more", "reference", "word"),
    [
        ("", "missing-option", "source"),
        ("source = /etc\nurl = /x\n" + BESIDE, "invalid-option", "one of the two"),
        ("source = ${plain:location}\n", "missing-option", "patches"),
        ("source = ${plain:location}/nowhere\n" + BESIDE, "missing-file", "nowhere"),
        ("source = ${plain:location}\npatches = ${:_profile_base_location_}/no.patch\n", "missing-patch", "no.patch"),
        ("source = ${plain:location}/data\n" + BESIDE, "patch-failed", "word.patch"),
        ("source = ${plain:location}\npatch-options = -p7\n" + BESIDE, "patch-failed", "word.patch"),
        ("source = ${plain:location}\npatch-binary = no-such-patch\n" + BESIDE, "cannot-start", "no-such-patch"),
        ("source = ${plain:location}\npromises = @@LOCATION@@/gone\n" + BESIDE, "broken-promise", "gone"),
        ("source = ${plain:location}\n" + BESIDE.rstrip() + "#sha256=" + "0" * 64, "wrong-checksum", "word.patch"),
    ],
)
def test_mistakes(tmp_path: Path, more: str, reference: str, word: str) -> None:
    error = failure(build(tmp_path, profile(tmp_path, more)))
    assert error.reference == reference, error.message
    assert word in error.message
    assert not list((tmp_path / "store").glob("changed/*"))


def test_a_patch_does_not_write_outside(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("hello\n")
    text = profile(tmp_path, "source = ${plain:location}\n" + BESIDE)
    for name in (
        f"{tmp_path}/victim",
        "../victim",
        "../../../../../../../../../../../../../../../" + str(tmp_path)[1:] + "/victim",
    ):
        (tmp_path / "word.patch").write_text(f"--- {name}\n+++ {name}\n@@ -1 +1 @@\n-hello\n+outside\n")
        assert failure(build(tmp_path, text)).reference == "patch-failed"
        assert (tmp_path / "victim").read_text() == "hello\n"

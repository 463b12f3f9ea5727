"""What is written into a partition: data that nobody evaluates, and digests that change when there is work."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from slapos.build.profile.reader import final_text, parse
from slapos.build.release import release_directory
from slapos.build.values import loads
from slapos.model.errors import MachineError
from slapos.model.states import Health
from slapos.node import profile
from slapos.node.config import NodeConfig
from slapos.node.layout import Layout
from slapos.slap.documents import instance_from_data
from tests.unit.node.samples import instance

CONFIG = NodeConfig(computer_id="COMP-1", master_url="https://127.0.0.1:8443", software_root="/s", instance_root="/i")
PATHS = Layout("/state", "/run", "/log", "/certs")
HOSTILE = "/r/${buildout:directory} $x %(y)s #a ;b\n[evil]\nrecipe = x"


def files(**changes: object) -> profile.Files:
    return profile.make_files(CONFIG, PATHS, "slappart0", instance(**changes), "[buildout]\nparts =\n")


def test_release_url_is_data_in_the_profile() -> None:
    text = files(release=HOSTILE).profile.decode()
    assert "\n[evil]" not in text
    option = parse(text, "buildout.cfg")["slap-connection"]["software-release-url"]
    assert loads(final_text(option)) == HOSTILE


def test_a_buildout_of_the_release_gets_texts(tmp_path: Path) -> None:
    """It does not know how ours writes data; nothing of a value is evaluated or begins a section there either."""
    config = dataclasses.replace(CONFIG, software_root=str(tmp_path), shared_part_list=("/a", "/b"))
    program = Path(release_directory(str(tmp_path), HOSTILE)) / "bin" / "buildout"
    program.parent.mkdir(parents=True)
    program.touch(mode=0o755)
    made = profile.make_files(config, PATHS, "slappart0", instance(release=HOSTILE), "[buildout]\nparts =\n")
    text = made.profile.decode()
    assert "!json!" not in text
    assert "\n[evil]" not in text
    options = {name: final_text(steps) for name, steps in parse(text, "buildout.cfg")["slap-connection"].items()}
    assert options["software-release-url"] == "/r/$${buildout:directory} $x %(y)s #a ;b\n[evil]\nrecipe = x"
    assert (options["shared-part-list"], options["server-url"]) == ("/a\n/b", "https://127.0.0.1:8443")


def test_master_of_the_field_is_named_with_its_dialect_and_without_certificates() -> None:
    """Without TLS there is nobody to show them to; recipes would look for the files."""
    plain = dataclasses.replace(CONFIG, master_url="http://127.0.0.1:5000")
    named = profile.connection_options(plain, "slappart0", instance(), PATHS)
    assert (named["key-file"], named["cert-file"], named["dialect"]) == ("", "", "slap")
    secure = profile.connection_options(dataclasses.replace(CONFIG, dialect="slap"), "slappart0", instance(), PATHS)
    assert (secure["key-file"], secure["dialect"]) == ("/certs/slappart0.key", "slap")
    assert "dialect" not in profile.connection_options(CONFIG, "slappart0", instance(), PATHS), (
        "as it was written before"
    )


def test_document_is_the_instance() -> None:
    made = instance(parameters={"a": HOSTILE, "☃": "\U0001f600"})
    document = profile.make_document(made)
    assert instance_from_data(json.loads(document)) == made


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"health": Health.OK, "sentence": "serving", "reported_state": "started"}, True),
        ({"connection": {"url": "https://x"}}, True),
        ({"generation": 99}, True),
        ({"timestamp": 8}, False),
        ({"parameters": {"text": "other"}}, False),
        ({"software_type": "other"}, False),
    ],
)
def test_only_orders_are_a_reason_to_run(changes: dict[str, object], same: bool) -> None:
    assert (profile.order_digest(instance(**changes)) == profile.order_digest(instance())) is same
    assert (files(**changes).digest == files().digest) is same


def test_digest_of_what_somebody_damaged_is_empty() -> None:
    assert profile.files_digest(b"{", b"") == ""
    assert profile.files_digest(b'{"guid": 1}', b"") == ""


def test_template_is_read_from_the_release_and_never_through_a_link(tmp_path: Path) -> None:
    with pytest.raises(MachineError) as caught:
        profile.read_template(str(tmp_path))
    assert caught.value.reference == "no-instance-profile"
    (tmp_path / "template.cfg").write_text("old name")
    assert profile.read_template(str(tmp_path)) == "old name"
    (tmp_path / "instance.cfg").write_text("new name")
    assert profile.read_template(str(tmp_path)) == "new name"
    (tmp_path / "instance.cfg").unlink()
    (tmp_path / "instance.cfg").symlink_to("/etc/passwd")
    with pytest.raises(Exception, match="not a regular file"):
        profile.read_template(str(tmp_path))

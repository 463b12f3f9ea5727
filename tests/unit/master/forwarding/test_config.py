"""``[multimaster/<url>]`` sections: read back as written, every mistake named."""

from __future__ import annotations

from pathlib import Path

import pytest

from slapos.master.config import MasterConfig, load_config, write_config
from slapos.master.forwarding.identity import ourselves, run_id
from slapos.master.forwarding.plan import OtherMaster
from slapos.master.legacy import LegacyListener
from slapos.model.errors import InputError

SECTION = """
[multimaster/https://Other.example.org]
key = keys/user.key
cert = /etc/user.pem
ca = keys/ca.pem
software-release-list =
    https://example.org/a.cfg
    https://example.org/b.cfg
computer = COMP-1
partition = slappart3
"""


def load(directory: Path, text: str) -> MasterConfig:
    path = directory / "master.cfg"
    path.write_text("[master]\nport = 8443\n" + text)
    return load_config(str(path))


def test_a_section_as_the_field_writes_it(tmp_path: Path) -> None:
    assert load(tmp_path, SECTION).other_masters == (
        OtherMaster(
            url="https://other.example.org:443/",
            key=str(tmp_path / "keys/user.key"),
            cert="/etc/user.pem",
            ca=str(tmp_path / "keys/ca.pem"),
            releases=("https://example.org/a.cfg", "https://example.org/b.cfg"),
            node="COMP-1",
            partition="slappart3",
        ),
    )


def test_what_is_written_is_read_back_equal(tmp_path: Path) -> None:
    others = (
        OtherMaster(url="http://[::1]:5000", releases=("/opt/a.cfg",)),
        OtherMaster(url="https://x.example.org/slap", key="/k", cert="/c", ca="/a", project="theirs"),
    )
    config = MasterConfig(state_directory=str(tmp_path), other_masters=others)
    write_config(config)
    assert load_config(config.path) == config


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("[multimaster/ftp://x]", "no http or https URL"),
        ("[multimaster/http://x:port]", "no http or https URL|[Pp]ort"),
        ("[multimaster/https://x]", "key and cert are needed"),
        ("[multimaster/http://x]\nkey = a", "belong together"),
        ("[multimaster/http://x]\ncomputer = a", "computer and partition belong together"),
        ("[multimaster/http://x]\nreleases = a", "option releases is unknown"),
        ("[multimaster/http://x]\n[multimaster/http://X:80/]", "has a section already"),
    ],
)
def test_mistakes_are_named_with_their_section(tmp_path: Path, section: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        load(tmp_path, section)
    assert caught.value.context["field"].startswith("multimaster/")


def test_sections_are_no_option_of_the_master(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="other_masters is unknown"):
        load(tmp_path, "other_masters = http://x")


def test_a_master_knows_its_own_addresses(tmp_path: Path) -> None:
    config = MasterConfig(
        state_directory=str(tmp_path),
        port=8443,
        public_url="https://cloud.example.org/slap",
        server_names=("alias.example.org",),
        insecure_legacy_listener=LegacyListener("127.0.0.1", 5000),
    )
    me = ourselves(config, "ca")
    for url in ("https://cloud.example.org:443/slap/", "https://alias.example.org:8443/", "http://127.0.0.1:5000/"):
        assert me.is_at(url), url
    for url in ("https://alias.example.org:9443/", "https://other.example.org:8443/", "https://localhost:8443/x/"):
        assert not me.is_at(url), url


def test_the_run_id_is_that_of_the_authority() -> None:
    assert run_id("one") == run_id("one") != run_id("two")
    assert len(run_id("one")) == 32 and run_id("one").isalnum()

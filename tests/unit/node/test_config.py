"""The configuration of a node, read and written."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from slapos.model.errors import InputError, NotFound
from slapos.node.config import NodeConfig, load_config, parse_size, write_config
from slapos.node.context import make_client, make_directories
from slapos.node.profile import cache_options
from slapos.slap.classic_calls import known_authority
from slapos.slap.client import Client
from slapos.slap.foreign.master import ForeignMaster

MINIMAL = """[slapos]
computer_id = COMP-1
master_url = https://127.0.0.1:8443
software_root = /opt/slapgrid
instance_root = /srv/slapgrid
unknown_key = kept out of the way
"""
PLAIN = MINIMAL.replace("https://127.0.0.1:8443", "http://127.0.0.1:5000")


def write(tmp_path: Path, text: str) -> str:
    path = tmp_path / "slapos.cfg"
    path.write_text(text)
    return str(path)


def test_written_is_read_back(tmp_path: Path) -> None:
    config = NodeConfig(
        computer_id="COMP-7",
        master_url="https://[::1]:8443/100%",
        software_root="/s",
        instance_root="/i",
        partition_timeout=12.5,
        ipv4=False,
        name="third",
        state_directory="/state",
        run_directory="/run/x",
        log_directory="/log",
        certificate_repository_path="/certs",
        download_cache="/cache",
        store_root=("/store", "/nfs/store"),
        dialect="slap",
        poll_period=7.5,
    )
    path = str(tmp_path / "slapos.cfg")
    write_config(path, config)
    assert load_config(path) == config


def test_file_of_an_existing_node(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, MINIMAL + "[slapformat]\npartition_amount = 3\ninterface_name = lo\n"))
    assert config.partition_names == ("slappart0", "slappart1", "slappart2")
    assert config.state_directory == str(tmp_path / "state")
    assert config.store_root == (os.path.join(os.path.dirname(config.software_root), "store"),)
    assert config.software_min_free_space == 1000 * 1024**2


def test_users_carry_the_prefix_of_the_node(tmp_path: Path) -> None:
    config = dataclasses.replace(load_config(write(tmp_path, MINIMAL)), alter_user=True, name_prefix="n2")
    assert config.partition_user("slappart3") == "n2slapuser3"
    assert config.software_user_name == "n2slapsoft"
    assert dataclasses.replace(config, alter_user=False).partition_user("slappart3") is None


def test_unknown_partition_is_said() -> None:
    config = NodeConfig(computer_id="C", master_url="u", software_root="/s", instance_root="/i", partition_amount=2)
    with pytest.raises(NotFound, match="no partition 'slappart2'; it has 2"):
        config.partition_index("slappart2")


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("[slapos]\ncomputer_id = COMP-1\n", "master_url"),
        (MINIMAL.replace("/opt/slapgrid", "relative"), "software_root"),
        (MINIMAL + "promise_timeout = soon\n", "promise_timeout"),
        (MINIMAL + "software_min_free_space = much\n", "software_min_free_space"),
        (MINIMAL + "[slapformat]\nnode_number = 251\n", "node_number"),
        (MINIMAL + "[hyperopenx]\ndialect = soap\n", "dialect"),
        (MINIMAL + "[hyperopenx]\npoll_period = 0\n", "poll_period"),
        (MINIMAL + "[hyperopenx]\npoll_period = nan\n", "poll_period"),
        (PLAIN + "[hyperopenx]\ndialect = hyperopenx\n", "master_url"),
        (MINIMAL + "[slapformat]\nipv6 = maybe\n", "ipv6"),
        (MINIMAL + "[slapformat]\npartition_base_name = a/b\n", "partition_base_name"),
        ("not an INI file", ""),
    ],
)
def test_wrong_values_name_their_key(tmp_path: Path, text: str, field: str) -> None:
    with pytest.raises(InputError) as caught:
        load_config(write(tmp_path, text))
    assert caught.value.reference == "invalid-configuration"
    assert field in caught.value.context.get("field", "")


@pytest.mark.parametrize(
    ("text", "foreign", "certified"),
    [
        (MINIMAL, False, True),
        (MINIMAL + "[hyperopenx]\ndialect = hyperopenx\n", False, True),
        (MINIMAL + "[hyperopenx]\ndialect = slap\n", True, True),
        ("PLAIN", True, False),
        ("PLAIN[hyperopenx]\ndialect = slap\n", True, False),
    ],
)
def test_dialect_of_the_master(tmp_path: Path, text: str, foreign: bool, certified: bool) -> None:
    """A master named without TLS is one of the field, whose instances have no certificates."""
    config = load_config(write(tmp_path, text.replace("PLAIN", PLAIN)))
    assert (config.client_config.foreign, config.certified) == (foreign, certified)
    assert isinstance(make_client(config), ForeignMaster if foreign else Client)


def test_authority_lies_beside_the_certificates_of_partitions(tmp_path: Path) -> None:
    """Where the classic library looks for it; none where none is named, and the new one once it changed."""
    authority = tmp_path / "ca.pem"
    config = load_config(write(tmp_path, MINIMAL + f"master_ca_file = {authority}\n"))
    shared = Path(config.certificate_repository_path) / "ca.pem"
    make_directories(config)
    assert not shared.exists()
    for text in ("first", "second", "second"):
        authority.write_text(text)
        make_directories(config)
        assert shared.read_text() == text
    assert shared.stat().st_mode & 0o777 == 0o644
    assert known_authority(str(shared.parent / "slappart0.crt")) == str(shared)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(NotFound) as caught:
        load_config(str(tmp_path / "absent.cfg"))
    assert caught.value.reference == "no-node-configuration"


def test_line_break_cannot_add_an_option(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, MINIMAL))
    with pytest.raises(InputError, match="line break"):
        write_config(str(tmp_path / "x"), dataclasses.replace(config, master_url="https://a\nkey_file = /etc/shadow"))


def test_sizes() -> None:
    assert [parse_size("f", text) for text in ("5", "1K", "2 m", "1000M", "3GB")] == [
        5,
        1024,
        2 * 1024**2,
        1000 * 1024**2,
        3 * 1024**3,
    ]


CERTIFICATES = """\
-----BEGIN CERTIFICATE-----
MIIB
AAA=
-----END CERTIFICATE-----
-----BEGIN CERTIFICATE-----
MIIC
-----END CERTIFICATE-----"""


def test_caches(tmp_path: Path) -> None:
    """Ours in our section, the field's older one in its own, as a real node's file has it."""
    own = "[hyperopenx]\ncache_urls = /a s3://b?endpoint=http://c%%20\ncache_keys = ed25519:x\n  /k\n"
    own += "cache_signatures = 2\n"
    old = "[networkcache]\ndownload-dir-url = http://d\ndownload-cache-url = http://c\nupload-dir-url = http://u\n"
    certificates = CERTIFICATES.replace("\n", "\n  ")
    config = load_config(write(tmp_path, f"{MINIMAL}\n{own}{old}signature-certificate-list = {certificates}\n"))
    assert config.cache_urls == ("/a", "s3://b?endpoint=http://c%20")
    assert (config.cache_keys, config.cache_signatures) == (("ed25519:x", "/k"), 2)
    assert (config.networkcache_dir_url, config.networkcache_cache_url) == ("http://d", "http://c")
    assert config.networkcache_certificates == CERTIFICATES
    write_config(str(tmp_path / "again"), config)
    assert load_config(str(tmp_path / "again")) == config


def test_no_signature_is_no_number_of_signatures(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least 1"):
        load_config(write(tmp_path, f"{MINIMAL}\n[hyperopenx]\ncache_signatures = 0\n"))


def test_what_no_profile_changes(tmp_path: Path) -> None:
    """A run gets all options of caches, so that they win over a release's own; files of keys are read before."""
    config = load_config(write(tmp_path, MINIMAL))
    assert set(cache_options(config).values()) == {"", "1"}
    key = "ed25519:" + "A" * 43 + "="
    (tmp_path / "keys").write_text(f"{key}  # of the build farm\n")
    configured = dataclasses.replace(config, cache_urls=("/cache",), cache_keys=(str(tmp_path / "keys"),))
    assert cache_options(configured)["binary-cache-keys"] == key
    with pytest.raises(InputError, match="no public key"):
        cache_options(dataclasses.replace(configured, cache_keys=("ed25519:none",)))

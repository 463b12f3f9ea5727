"""Where a client finds its master."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from slapos.model.errors import InputError
from slapos.slap.config import ClientConfig, client_config_text, load_client_config


@pytest.fixture(autouse=True)
def _apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLAPOS_CLIENT_CONFIGURATION", raising=False)
    monkeypatch.setenv("HYPEROPENX_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def _write(path: Path, url: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"[slapos]\nmaster_url = {url}\n")


def test_round_trip_with_percent_signs(tmp_path: Path) -> None:
    config = ClientConfig("https://[::1]:8443", "/a%b/u.pem", "/a%b/u.key", "/a%b/ca.pem")
    path = tmp_path / "c.cfg"
    path.write_text(client_config_text(config))
    found = load_client_config(str(path))
    assert found == ClientConfig(config.master_url, config.cert_file, config.key_file, config.ca_file, str(path))


def test_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(tmp_path / "home/.slapos/slapos-client.cfg", "https://home")
    assert load_client_config().master_url == "https://home"
    _write(tmp_path / "state/client/slapos-client.cfg", "https://state")
    assert load_client_config().master_url == "https://state"
    _write(tmp_path / "named.cfg", "https://named")
    monkeypatch.setenv("SLAPOS_CLIENT_CONFIGURATION", str(tmp_path / "named.cfg"))
    assert load_client_config().master_url == "https://named"
    assert load_client_config(str(tmp_path / "home/.slapos/slapos-client.cfg")).master_url == "https://home"


def test_relative_files_lie_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "c.cfg").write_text("[slapos]\nmaster_url=https://m/\nmaster_ca_file=ca.pem\n")
    assert load_client_config(str(tmp_path / "c.cfg")).ca_file == str(tmp_path / "ca.pem")


def test_nothing_found() -> None:
    with pytest.raises(InputError) as caught:
        load_client_config()
    assert caught.value.reference == "no-client-configuration"


def test_masters_of_the_field_are_named_as_such(tmp_path: Path) -> None:
    config = ClientConfig("http://127.0.0.1:5000", dialect="slap", rest_url="http://127.0.0.1:5000/hateoas/")
    path = tmp_path / "c.cfg"
    path.write_text(client_config_text(config))
    assert load_client_config(str(path)) == dataclasses.replace(config, path=str(path))
    assert config.foreign and not ClientConfig("https://m").foreign
    assert ClientConfig("https://m", dialect="slap").foreign
    _write(path, "http://m")
    with pytest.raises(InputError) as caught:
        load_client_config(str(path))
    assert "dialect = slap" in caught.value.hint


@pytest.mark.parametrize("text", ["", "x", "[slapos]\n", "[slapos]\nmaster_url = http://m\n", "[slapos]\n[slapos]\n"])
def test_wrong_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.cfg").write_text(text)
    with pytest.raises(InputError) as caught:
        load_client_config(str(tmp_path / "c.cfg"))
    assert caught.value.context["file"].endswith("c.cfg")

"""Making, starting and keeping a master: whatever was cut, the next start goes on."""

from __future__ import annotations

import itertools
import os
import ssl
import stat
import time
from pathlib import Path

import pytest

from slapos.master.config import MasterConfig, load_config, write_config
from slapos.master.initialise import initialise
from slapos.master.services import identities
from slapos.master.storage.database import open_storage
from slapos.master.tls import ensure_server_certificate, load_server_certificate, server_context
from slapos.model.errors import InputError
from slapos.model.states import PrincipalKind
from slapos.pki import files
from slapos.pki.authority import Authority
from slapos.pki.certificates import describe
from slapos.slap.client import Client, load_client_config
from slapos.testing.master import MasterServer

DAY = 86400.0


class _Cut(BaseException):
    """The process dies here."""


def _everything(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and "master.db" not in path.name
    }


def test_again_changes_nothing(tmp_path: Path) -> None:
    config = MasterConfig(state_directory=str(tmp_path / "master"))
    found = initialise(config)
    before = _everything(tmp_path)
    assert initialise(config) == found
    assert _everything(tmp_path) == before
    assert stat.S_IMODE(os.stat(found.key_path).st_mode) == 0o600
    assert load_client_config(found.config_path).master_url == config.url


def test_cut_anywhere_and_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dies at each rename in turn; what was made before is kept, and the operator is known in the end."""
    for survives in itertools.count():
        config = MasterConfig(state_directory=str(tmp_path / str(survives) / "master"))
        cut = _initialise_cut(config, monkeypatch, survives)
        ca = Path(config.below("ca", "ca.key"))
        before = ca.read_bytes() if ca.exists() else None
        found = initialise(config)
        assert before in (None, ca.read_bytes())
        assert files.recover_pair(found.key_path, found.certificate_path)
        info = describe(files.load_text(found.certificate_path))
        storage = open_storage(config.database)
        known = storage.read(
            lambda tx, serial=info.serial: identities.principal_of_certificate(
                tx, serial, PrincipalKind.OPERATOR, "admin", time.time()
            )
        )
        storage.close()
        assert known.reference == "admin"
        if not cut:
            break
    assert survives > 8


def _initialise_cut(config: MasterConfig, monkeypatch: pytest.MonkeyPatch, survives: int) -> bool:
    left, rename = iter(range(survives)), os.rename

    def cut(*arguments: str) -> None:
        if next(left, None) is None:
            raise _Cut
        rename(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", cut)
        try:
            initialise(config)
        except _Cut:
            return True
    return False


def test_configuration_round_trip(tmp_path: Path) -> None:
    config = MasterConfig(
        state_directory=str(tmp_path),
        host="::1",
        port=1234,
        database_url="postgresql+psycopg://user:p%40ss@/db",
        public_url="https://example.org",
        allowed_release_roots=("/a b", "/c"),
        allow_private_addresses=True,
        server_names=("example.org", "10.0.0.1"),
        certificate_names=("*.example.org",),
        client_directory="/client",
    )
    write_config(config)
    assert load_config(config.path) == config
    assert stat.S_IMODE(os.stat(config.path).st_mode) == 0o600


@pytest.mark.parametrize(
    "text", ["", "[master]\nport = x\n", "[master]\nport = 70000\n", "[master]\nprot = 1\n", "[other]\n"]
)
def test_wrong_configuration_names_the_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "master.cfg").write_text(text)
    with pytest.raises(InputError) as caught:
        load_config(str(tmp_path / "master.cfg"))
    assert caught.value.context["file"] == str(tmp_path / "master.cfg")


def test_server_certificate_is_renewed_for_new_connections(tmp_path: Path) -> None:
    """From half-life on, by the running context; the authority stays."""
    config = MasterConfig(state_directory=str(tmp_path / "master"))
    initialise(config)
    now = time.time()
    context = server_context(config)
    first = describe(files.load_text(config.below("server.pem")))
    assert not ensure_server_certificate(config, now + 44 * DAY)
    assert ensure_server_certificate(config, now + 46 * DAY)
    load_server_certificate(context, config)
    assert describe(files.load_text(config.below("server.pem"))).serial != first.serial
    assert isinstance(context, ssl.SSLContext)


def test_server_certificate_follows_its_names_and_its_authority(tmp_path: Path) -> None:
    config = MasterConfig(state_directory=str(tmp_path / "master"))
    initialise(config)
    renamed = MasterConfig(state_directory=config.state_directory, server_names=("cloud.example.org",))
    assert ensure_server_certificate(renamed, time.time())
    assert "cloud.example.org" in describe(files.load_text(config.below("server.pem"))).names
    assert not ensure_server_certificate(renamed, time.time())
    for path in (config.below("ca", "ca.key"), config.below("ca", "ca.pem")):
        os.unlink(path)
    Authority(config.below("ca")).create(time.time())
    assert ensure_server_certificate(renamed, time.time())


def test_sigterm_and_idle_connections(tmp_path: Path) -> None:
    with MasterServer(tmp_path) as master:
        clients: list[Client] = [master.operator for _ in range(5)]
        for client in clients:
            client.nodes()
        started = time.monotonic()
        assert master.stop() == 0
        assert time.monotonic() - started < 2

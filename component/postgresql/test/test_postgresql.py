"""postgresql: a real server with checksums and TLS keeps data over a crash, and its extensions work."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from slapos.system.processes import Completed, Launch, run
from slapos.system.users import Identity
from slapos.testing.components import Component
from slapos.testing.master import free_port
from slapos.testing.waiting import wait_for

Serving = Callable[..., AbstractContextManager[Path]]


class Cluster:
    """A data directory below a directory of its own; ``port`` is that of TLS on 127.0.0.1."""

    def __init__(self, component: Component, directory: Path, user: Identity | None) -> None:
        self.component, self.directory, self.user = component, directory, user
        self.port = free_port()

    def run(self, program: str, *arguments: str, stdin: bytes | None = None) -> Completed:
        launch = Launch(directory=str(self.directory), user=self.user)
        return run([self.component.path("bin", program), *arguments], launch=launch, stdin=stdin, timeout=120)

    def sql(self, text: str, host: str = "") -> str:
        connection = f"host={host or self.directory} port={self.port} user=owner dbname=postgres"
        done = self.run("psql", "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", connection, stdin=text.encode())
        return done.text.strip() if done.code == 0 else f"failed: {done.text}"

    @property
    def command(self) -> list[str]:
        options = {
            "unix_socket_directories": self.directory,
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "ssl": "on",
            "ssl_cert_file": self.directory / "certificate.pem",
            "ssl_key_file": self.directory / "key.pem",
        }
        words = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        return [self.component.path("bin/postgres"), "-D", str(self.directory / "data"), *words]


@pytest.fixture(name="cluster")
def fixture_cluster(component: Component, certificate: Path, nobody: Identity | None) -> Iterator[Cluster]:
    directory = Path(tempfile.mkdtemp(prefix="hox-component-"))  # short: a socket lies in it
    for file in (certificate, certificate.parent / "key.pem"):
        shutil.copy(file, directory)
        (directory / file.name).chmod(0o600)
    if nobody is not None:
        for path in (directory, *directory.iterdir()):
            os.chown(path, nobody.uid, nobody.gid)
    cluster = Cluster(component, directory, nobody)
    options = ["--username=owner", "--data-checksums", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    done = cluster.run("initdb", "-D", str(directory / "data"), "--auth=trust", "--encoding=UTF8", *options)
    assert done.code == 0, done.text
    yield cluster
    shutil.rmtree(directory)


def test_data_and_extensions(cluster: Cluster, serving: Serving) -> None:
    with serving(*cluster.command, user=cluster.user) as log:
        wait_for(lambda: cluster.sql("SELECT 1") == "1", 30, f"postgres answers; {log.read_text()}")
        assert cluster.sql("SHOW server_version") == "17.11"
        assert cluster.sql("SHOW data_checksums") == "on"
        assert cluster.sql("SELECT upper('é')") == "É"
        assert (
            cluster.sql("SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()", "127.0.0.1") == "t|TLSv1.3"
        )
        cluster.sql("CREATE TABLE packed(x text COMPRESSION pglz); INSERT INTO packed SELECT repeat('x', 100000)")
        cluster.sql("CREATE EXTENSION pgcrypto; CREATE EXTENSION pg_trgm; CREATE EXTENSION postgres_fdw")
        assert cluster.sql("SELECT crypt('secret', hash) = hash FROM crypt('secret', gen_salt('bf', 4)) hash") == "t"
        assert cluster.sql("SELECT encode(digest('abc', 'sha256'), 'hex')").startswith("ba7816bf8f01cfea")
        assert cluster.sql("SELECT convert_from(decrypt(encrypt('x', 'k', 'aes'), 'k', 'aes'), 'UTF8')") == "x"
        dump = cluster.run("pg_dump", "-h", str(cluster.directory), "-p", str(cluster.port), "-U", "owner", "-Fc",
                           "-Zzstd", "-f", str(cluster.directory / "dump"), "postgres")  # fmt: skip
        assert dump.code == 0, dump.text
        assert "TABLE DATA public packed" in cluster.run("pg_restore", "-l", str(cluster.directory / "dump")).text


def test_what_was_committed_survives_a_crash(cluster: Cluster, serving: Serving) -> None:
    for turn in range(2):
        with serving(*cluster.command, user=cluster.user) as log:
            wait_for(lambda: cluster.sql("SELECT 1") == "1", 30, f"postgres answers; {log.read_text()}")
            if turn == 0:
                assert cluster.sql("CREATE TABLE kept(n int); INSERT INTO kept SELECT generate_series(1, 1000)") == ""
                main = (cluster.directory / "data/postmaster.pid").read_text().split("\n")[0]
                os.kill(int(main), signal.SIGQUIT)  # at once, without a checkpoint
                wait_for(lambda: not (cluster.directory / "data/postmaster.pid").exists(), 20, "postgres is gone")
            else:
                assert cluster.sql("SELECT count(*), sum(n) FROM kept") == "1000|500500"
                assert "database system was not properly shut down" in log.read_text()

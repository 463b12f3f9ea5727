"""Real servers of binary caches: ours, as an operator starts it; a plain one; OpenStack Swift with its S3 interface.

Swift is Debian's package ``python3-swift``, run by the machine's own Python: it is no stand-in, it is what clouds run.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from botocore.config import Config
from botocore.session import Session

from slapos.system.processes import CLEAN_ENVIRONMENT, Launch, run, start
from slapos.system.proctable import end_tree
from slapos.testing.waiting import wait_for

SECONDS = 60.0
SYSTEM_PYTHON = "/usr/bin/python3"
COMMAND = (sys.executable, "-c", "from slapos.cli.start import main; main()")
TOKEN = "a-token-of-the-test-that-is-long"
ACCOUNT, SECRET, BUCKET = "test:tester", "a-secret-of-the-test", "cache"


@contextmanager
def served(command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> Iterator[str]:
    """A server that prints its URL; ended, with all that it started, at the end of the block."""
    path = os.pathsep.join([os.getcwd(), *(entry for entry in sys.path if entry)])
    given = {**CLEAN_ENVIRONMENT, "HOME": str(log.parent), **(environment or {"PYTHONPATH": path})}
    process = start(command, launch=Launch(environment=given), output=str(log))
    try:
        yield wait_for(lambda: _url_in(log), SECONDS, f"{command[0]} serves")
    finally:
        end_tree(process.pid, 2.0)
        process.wait()


def _url_in(log: Path) -> str:
    found = re.search(r"https?://[0-9.]+:\d+", log.read_text()) if log.exists() else None
    return found[0] if found else ""


@contextmanager
def cache_server(directory: Path, *options: str) -> Iterator[str]:
    """``slapos cache serve DIRECTORY`` with uploads; its URL."""
    token = directory.parent / "token"
    token.write_text(TOKEN)
    words = ("cache", "serve", str(directory), "--listen", "127.0.0.1:0", "--token-file", str(token), *options)
    with served((*COMMAND, *words), directory.parent / "serve.log") as url:
        yield url


@contextmanager
def plain_server(directory: Path) -> Iterator[str]:
    """Python's own web server: it knows files and nothing else."""
    words = ("-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(directory))
    with served((sys.executable, *words), directory.parent / "plain.log") as url:
        yield url


def swift_missing() -> str:
    """Why there is no Swift here; empty when there is."""
    if shutil.which(SYSTEM_PYTHON) is None or run([SYSTEM_PYTHON, "-c", "import swift, eventlet"]).code != 0:
        return "OpenStack Swift is not installed (Debian package python3-swift)"
    return ""


@contextmanager
def s3_server() -> Iterator[str]:
    """Swift with an empty bucket; its URL."""
    top = tempfile.mkdtemp(prefix="hox-swift-")
    program = str(Path(__file__).with_name("swift_servers.py"))
    try:
        with served(
            [SYSTEM_PYTHON, program, f"{top}/swift", "127.0.0.1"], Path(top, "log"), {"SWIFT_KEY": SECRET}
        ) as url:
            client = Session().create_client(
                "s3",
                region_name="us-east-1",
                endpoint_url=url,
                aws_access_key_id=ACCOUNT,
                aws_secret_access_key=SECRET,
                config=Config(s3={"addressing_style": "path"}),
            )
            client.create_bucket(Bucket=BUCKET)
            client.close()
            yield url
    finally:
        shutil.rmtree(top, ignore_errors=True)

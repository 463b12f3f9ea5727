"""Copies of the database, made while it is in use, and their return.

SQLite: the online backup API, so the copy is one consistent snapshot.  PostgreSQL: ``pg_dump`` in its custom format,
when the machine has it (the client tools of the server's version or newer).
"""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import sqlite3

from sqlalchemy.engine import make_url

from slapos.master.storage import postgresql, sqlite
from slapos.model.errors import InputError, MachineError, NotFound
from slapos.system.files import sync_directory
from slapos.system.processes import CLEAN_ENVIRONMENT, Launch, check_run

TIME_LIMIT = 3600.0  # seconds, for pg_dump and pg_restore


def backup(url: str, path: str) -> None:
    """Writes a consistent copy to ``path`` (mode 0600), complete or not at all."""
    path = os.path.abspath(path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    temporary = f"{path}.{os.getpid()}.tmp"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)
    os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        if postgresql.is_postgresql(url):
            _run_tool(url, "pg_dump", "--format=custom", "--no-owner", f"--file={temporary}")
        else:
            _copy(sqlite.path_of(url), temporary)
        _sync(temporary)
        os.rename(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    sync_directory(os.path.dirname(path))


def restore(url: str, path: str) -> None:
    """Puts a copy made by :func:`backup` in place of the database.  The master must be stopped.

    With SQLite, the database that was there is kept beside it as ``<name>.before-restore``.
    """
    if not os.path.isfile(path):
        raise NotFound(
            f"There is no backup at {path}.", reference="no-such-backup", context={"path": path}, hint="Check the path."
        )
    if postgresql.is_postgresql(url):
        _run_tool(url, "pg_restore", "--clean", "--if-exists", "--no-owner", "--single-transaction", path)
        return
    target = sqlite.path_of(url)
    temporary = f"{target}.{os.getpid()}.restoring"
    _check(path)
    _copy(path, temporary)
    os.chmod(temporary, 0o600)
    _sync(temporary)
    if os.path.exists(target):
        backup(url, f"{target}.before-restore")
    for leftover in (f"{target}-wal", f"{target}-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(leftover)
    os.rename(temporary, target)
    sync_directory(os.path.dirname(target))


def before_upgrade_path(url: str, revision: str, directory: str | None) -> str | None:
    """Where the copy made before an upgrade goes; without ``directory`` beside an SQLite file, else nowhere."""
    if sqlite.is_sqlite(url):
        path = sqlite.path_of(url)
        directory = directory or os.path.dirname(path)
        return os.path.join(directory, f"{os.path.basename(path)}.before-{revision}")
    if directory is None:
        return None
    return os.path.join(os.path.abspath(directory), f"{make_url(url).database}.before-{revision}")


def _copy(source: str, target: str) -> None:
    """One consistent snapshot of ``source``, as a file that needs no WAL beside it."""
    with (
        contextlib.closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as reader,
        contextlib.closing(sqlite3.connect(target)) as writer,
    ):
        reader.backup(writer)
        writer.execute("PRAGMA journal_mode = DELETE")


def _check(path: str) -> None:
    try:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            found = connection.execute("PRAGMA integrity_check").fetchone()[0]
            connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.DatabaseError as error:
        found = str(error)
    if found != "ok":
        raise InputError(
            f"{path} is not a whole backup of a master: {found}.",
            reference="invalid-backup",
            context={"field": "path", "path": path, "found": found},
            hint="Take another backup; nothing was changed.",
        )


def _sync(path: str) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _run_tool(url: str, name: str, *arguments: str) -> None:
    """A client tool of PostgreSQL on this database; the password travels in its environment."""
    parts = make_url(url)
    environment = dict(CLEAN_ENVIRONMENT)
    if parts.password is not None:
        environment["PGPASSWORD"] = str(parts.password)
    bare = parts.set(drivername="postgresql", password=None).render_as_string(hide_password=False)
    command = [_tool(name), f"--dbname={bare}", *arguments]
    check_run(command, launch=Launch(environment=environment), timeout=TIME_LIMIT)


def _tool(name: str) -> str:
    found = shutil.which(name) or next(iter(sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"), reverse=True)), None)
    if found is None:
        raise MachineError(
            f"{name} is not installed, and a PostgreSQL database is copied with it.",
            reference="no-postgresql-tools",
            context={"tool": name},
            hint="Install the package postgresql-client.",
        )
    return found

"""Bringing a database to the schema of this program, with Alembic.

The revisions lie in ``migrations/versions`` inside the package.  Before an existing database is changed, a backup
is written as ``<name>.before-<revision>``.
"""

from __future__ import annotations

import logging
import os
from typing import Any

from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection, Engine, text

from slapos.master.storage import backups, postgresql, sqlite
from slapos.model.errors import Conflict, MachineError

logger = logging.getLogger(__name__)


def scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", os.path.join(os.path.dirname(__file__), "migrations"))
    return ScriptDirectory.from_config(config)


def head() -> str:
    """The revision that this program needs."""
    return str(scripts().get_current_head())


def current_revision(connection: Connection) -> str | None:
    """None for an empty database."""
    return MigrationContext.configure(connection).get_current_revision()


def upgrade(url: str, *, revision: str = "head", backup_directory: str | None = None) -> None:
    """Creates or upgrades the database; several processes may start together."""
    engine = _engine(url)
    try:
        with engine.connect() as connection:
            with connection.begin():
                found = current_revision(connection)
            if found == head():
                return
            _check_known(found)
            if found is not None:
                _backup(url, found, backup_directory)
            _run(connection, revision)
    finally:
        engine.dispose()


def _engine(url: str) -> Engine:
    if postgresql.is_postgresql(url):
        return postgresql.writer_engine(url)
    directory = os.path.dirname(sqlite.path_of(url))
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
    except OSError as error:
        raise MachineError(
            f"The directory {directory} of the database cannot be made: {error.strerror}.",
            reference="no-database-directory",
            context={"directory": directory, "cause": error.strerror},
            hint="Choose another directory, or make it.",
        ) from error
    return sqlite.writer_engine(url)


def _run(connection: Connection, revision: str) -> None:
    script = scripts()

    def steps(found: Any, context: MigrationContext) -> Any:
        return script._upgrade_revs(revision, found)

    with connection.begin():
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": postgresql.UPGRADE_LOCK})
        with EnvironmentContext(Config(), script, fn=steps) as environment:
            environment.configure(connection=connection, transactional_ddl=False)
            environment.run_migrations()


def _check_known(found: str | None) -> None:
    if found is None:
        return
    try:
        scripts().get_revision(found)
    except CommandError as error:
        raise Conflict(
            f"The database has the schema {found}, which this program does not know: it was written by a newer one.",
            reference="database-too-new",
            context={"revision": found, "known": head()},
            hint="Start the newer program, or restore a backup made before the upgrade.",
        ) from error


def _backup(url: str, found: str, directory: str | None) -> None:
    path = backups.before_upgrade_path(url, found, directory)
    if path is None:
        logger.warning("The database is upgraded from schema %s without a copy: no backup directory is set", found)
        return
    logger.info("Before the upgrade from schema %s, the database is copied to %s", found, path)
    backups.backup(url, path)

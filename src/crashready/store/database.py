# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Opens the store: makes the file, connects, brings the schema up to date."""

from __future__ import annotations

import datetime as dt
import os
import stat
import typing as t

import sqlalchemy as sa

from ..exits import ToolError
from . import migrations
from .models import SchemaStep
from .place import VARIABLE, file_of, store_url

__all__ = ["StoreError", "open_engine", "upgrade", "version_of"]

#: How long one process waits for another that writes to the same SQLite file.
_BUSY_S = 30


class StoreError(ToolError):
    """The store cannot be used. The text names it without its password."""


def open_engine(asked: str | None = None, steps: t.Sequence[migrations.Step] = migrations.STEPS) -> sa.Engine:
    """An engine for the store that was asked for, made if it is absent and brought to the newest schema.

    Raises StoreError where it cannot be opened, is damaged, or is newer than this program.
    """
    url = store_url(asked)
    try:
        shown = sa.make_url(url).render_as_string(hide_password=True)
    except (sa.exc.ArgumentError, ValueError) as exc:
        # What does not parse as an URL may hold a password anywhere.
        raise StoreError("--store or {0}: not an URL that SQLAlchemy understands".format(VARIABLE)) from exc
    try:
        _prepare_file(url)
        engine = _engine(url)
        upgrade(engine, shown, steps)
    except OSError as exc:
        raise StoreError("{0}: {1}. Name another place with --store or {2}".format(shown, exc, VARIABLE)) from exc
    except ImportError as exc:
        raise StoreError(
            "{0}: the database driver {1} is missing. Run: pip install 'crashready[postgresql]'".format(shown, exc.name)
        ) from exc
    except sa.exc.SQLAlchemyError as exc:
        raise StoreError("{0}: {1}".format(shown, _told(exc))) from exc
    return engine


def _told(error: sa.exc.SQLAlchemyError) -> str:
    """The first line of what the database said, without the statement and its values."""
    cause = getattr(error, "orig", None) or error
    lines = str(cause).strip().splitlines()
    return lines[0] if lines else type(cause).__name__


def _prepare_file(url: str) -> None:
    """The file belongs to its owner alone: it names the hosts whose next crash is lost."""
    path = file_of(url)
    if path is None:
        return
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        os.makedirs(folder, mode=0o700, exist_ok=True)
        os.chmod(folder, 0o700)  # makedirs obeys the umask alone
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError("not a plain file")
        if stat.S_IMODE(status.st_mode) & 0o077:
            os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)


def _engine(url: str) -> sa.Engine:
    if sa.make_url(url).get_backend_name() != "sqlite":
        return sa.create_engine(url, pool_pre_ping=True)
    engine = sa.create_engine(url, connect_args={"timeout": _BUSY_S})
    sa.event.listen(engine, "connect", _on_connect)
    sa.event.listen(engine, "begin", _on_begin)
    return engine


def _on_connect(connection: t.Any, _record: t.Any) -> None:
    # Python's sqlite3 opens no transaction before DDL; so it must not open any, and _on_begin does
    # (SQLAlchemy, "Serializable isolation / Savepoints / Transactional DDL" of the dialect SQLite).
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys = ON")


def _on_begin(connection: sa.Connection) -> None:
    # IMMEDIATE: a deferred transaction that turns to writing fails at once where another one wrote in between.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def version_of(connection: sa.Connection) -> int:
    """The version of the schema; 0 for a store without tables. Raises StoreError for somebody else's database."""
    names = set(sa.inspect(connection).get_table_names())
    if SchemaStep.__tablename__ not in names:
        ours = set(SchemaStep.metadata.tables)
        if names & ours:
            raise StoreError(
                "the database has a table {0} but no table {1}: it is not a store of crashready. Name another "
                "database or file with --store".format(sorted(names & ours)[0], SchemaStep.__tablename__)
            )
        return 0
    return int(connection.scalar(sa.select(sa.func.max(SchemaStep.version))) or 0)


def upgrade(engine: sa.Engine, shown: str, steps: t.Sequence[migrations.Step] = migrations.STEPS) -> None:
    """Carry out what is missing, all of it or nothing. Raises StoreError where the store is newer."""
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            # Two programs that open an empty database at the same time; released with the transaction.
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7269463)")
        found, newest = version_of(connection), steps[-1].version
        if found > newest:
            raise StoreError(
                "{0}: the store has schema version {1}, this crashready knows up to {2}. Use the newer crashready that "
                "wrote it, or name another store with --store".format(shown, found, newest)
            )
        if found == newest:
            return
        SchemaStep.metadata.create_all(connection, [t.cast(sa.Table, SchemaStep.__table__)])
        for step in steps:
            if step.version > found:
                step.apply(connection)
                now = dt.datetime.now(dt.timezone.utc)
                connection.execute(sa.insert(SchemaStep).values(version=step.version, name=step.name, applied_at=now))

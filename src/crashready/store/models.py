# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What the store keeps, as SQLAlchemy's typed models.

Names: tables are plural nouns in snake case, a foreign key is `<singular>_id`, a moment ends
in `_at` and is UTC, a JSON text is canonical (sorted keys, no blanks; `history.canonical`) and
stands beside the columns that are searched. A new table (runs) is a class here
and one more step in `migrations`; a test compares the two.
"""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

__all__ = ["Base", "Crash", "Drill", "FactsSnapshot", "Host", "Judgement", "SchemaStep", "Soak", "Utc"]


class Utc(sa.types.TypeDecorator[dt.datetime]):
    """A moment: aware in Python, UTC without a zone in the database, so that SQLite and PostgreSQL compare alike."""

    impl = sa.DateTime
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: sa.Dialect) -> dt.datetime | None:
        """Refuse a moment without a zone: it would be read as another one elsewhere."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment without a time zone: {0}".format(value))
        return value.astimezone(dt.timezone.utc).replace(tzinfo=None)

    def process_result_value(self, value: dt.datetime | None, dialect: sa.Dialect) -> dt.datetime | None:
        """Give it back with its zone."""
        return None if value is None else value.replace(tzinfo=dt.timezone.utc)


class Base(DeclarativeBase):
    """Constraints have the same names in every database, so that a migration can name them."""

    metadata = sa.MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class SchemaStep(Base):
    """One migration that was carried out. The highest version is that of the store."""

    __tablename__ = "schema_steps"

    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(sa.String(100))
    applied_at: Mapped[dt.datetime] = mapped_column(Utc)


class Host(Base):
    """A machine by the name under which the inventory, or its own crash, knows it."""

    __tablename__ = "hosts"
    __table_args__ = (sa.UniqueConstraint("name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(255))
    first_seen_at: Mapped[dt.datetime] = mapped_column(Utc)


class FactsSnapshot(Base):
    """What a host looked like from `taken_at` (first seen so) to `seen_at` (last seen so)."""

    __tablename__ = "facts_snapshots"
    __table_args__ = (sa.Index(None, "host_id", "taken_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    host_id: Mapped[int] = mapped_column(sa.ForeignKey("hosts.id", ondelete="CASCADE"))
    taken_at: Mapped[dt.datetime] = mapped_column(Utc)
    seen_at: Mapped[dt.datetime] = mapped_column(Utc)
    #: SHA-256 of what lasts of `facts` (`_core.history.lasting`), hexadecimal; of schema 1: of all of it
    digest: Mapped[str] = mapped_column(sa.String(64))
    facts: Mapped[str] = mapped_column(sa.Text)


class Crash(Base):
    """A crash record. `event` tells one crash from the next of the same signature (`triage.event_of`)."""

    __tablename__ = "crash_records"
    __table_args__ = (
        # PostgreSQL and SQLite hold two NULLs for different; `history` looks before it adds one without a host.
        sa.UniqueConstraint("host_id", "signature_exact", "event"),
        sa.Index(None, "signature_exact"),
        sa.Index(None, "signature_similar"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    host_id: Mapped[int | None] = mapped_column(sa.ForeignKey("hosts.id", ondelete="CASCADE"))
    facts_id: Mapped[int | None] = mapped_column(sa.ForeignKey("facts_snapshots.id", ondelete="SET NULL"))
    event: Mapped[str] = mapped_column(sa.String(64))
    crashed_at: Mapped[dt.datetime | None] = mapped_column(Utc)
    recorded_at: Mapped[dt.datetime] = mapped_column(Utc)
    signature_exact: Mapped[str] = mapped_column(sa.String(200))
    signature_similar: Mapped[str] = mapped_column(sa.String(200))
    kind: Mapped[str] = mapped_column(sa.String(40))
    path: Mapped[str | None] = mapped_column(sa.String(40))
    driver: Mapped[str | None] = mapped_column(sa.String(64))
    kernel_release: Mapped[str | None] = mapped_column(sa.String(128))
    record: Mapped[str] = mapped_column(sa.Text)


class Judgement(Base):
    """What `crashready check` said of a host, from `taken_at` (first said so) to `seen_at` (last said so)."""

    __tablename__ = "judgements"
    __table_args__ = (sa.Index(None, "host_id", "taken_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    host_id: Mapped[int] = mapped_column(sa.ForeignKey("hosts.id", ondelete="CASCADE"))
    taken_at: Mapped[dt.datetime] = mapped_column(Utc)
    seen_at: Mapped[dt.datetime] = mapped_column(Utc)
    state: Mapped[str] = mapped_column(sa.String(16))
    capture: Mapped[str] = mapped_column(sa.String(16))
    verdict: Mapped[str | None] = mapped_column(sa.String(16))
    digest: Mapped[str] = mapped_column(sa.String(64))  #: SHA-256 of `judgement`, hexadecimal
    judgement: Mapped[str] = mapped_column(sa.Text)  #: of `_core.history.brief_judgement`


class Drill(Base):
    """The outcome of one drill of a host, as `crashready drill` keeps it."""

    __tablename__ = "drills"
    __table_args__ = (sa.UniqueConstraint("host_id", "drill_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    host_id: Mapped[int] = mapped_column(sa.ForeignKey("hosts.id", ondelete="CASCADE"))
    drill_id: Mapped[str] = mapped_column(sa.String(64))
    drilled_at: Mapped[dt.datetime] = mapped_column(Utc)
    state: Mapped[str] = mapped_column(sa.String(16))
    kind: Mapped[str | None] = mapped_column(sa.String(16))
    outcome: Mapped[str] = mapped_column(sa.Text)


class Soak(Base):
    """One NIC of a host in one soak: the record that the host kept, and what became of it, at the last look."""

    __tablename__ = "soaks"
    __table_args__ = (sa.UniqueConstraint("host_id", "soak_id", "nic"), sa.Index(None, "experiment"))

    id: Mapped[int] = mapped_column(primary_key=True)
    host_id: Mapped[int] = mapped_column(sa.ForeignKey("hosts.id", ondelete="CASCADE"))
    soak_id: Mapped[str] = mapped_column(sa.String(64))
    nic: Mapped[str] = mapped_column(sa.String(32))
    experiment: Mapped[str] = mapped_column(sa.String(64))
    phase: Mapped[str] = mapped_column(sa.String(16))
    started_at: Mapped[dt.datetime] = mapped_column(Utc)
    seen_at: Mapped[dt.datetime] = mapped_column(Utc)
    outcome: Mapped[str] = mapped_column(sa.String(16))  #: one of `_core.soakrecord.OUTCOMES`
    record: Mapped[str] = mapped_column(sa.Text)  #: {"record": ..., "outcome": ...}

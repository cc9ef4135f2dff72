# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""How a store of an older version becomes one of the newest, in one transaction.

A step is never changed once it was released: it says what the schema was at that version,
in tables of its own and not in those of `models`, which go on changing. A store that is
newer than this program is refused. Steps only add, or copy before they drop, so a failed
one leaves the store as it was (SQLite and PostgreSQL both roll back DDL).
"""

from __future__ import annotations

import typing as t

import sqlalchemy as sa

from .models import Base, Utc

__all__ = ["NEWEST", "STEPS", "Step"]


class Step(t.NamedTuple):
    """One version of the schema and how it comes from the version before."""

    version: int
    name: str
    apply: t.Callable[[sa.Connection], None]


def _frozen() -> sa.MetaData:
    return sa.MetaData(naming_convention=Base.metadata.naming_convention)


def _first(connection: sa.Connection) -> None:
    tables = _frozen()
    sa.Table(
        "hosts",
        tables,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("first_seen_at", Utc, nullable=False),
        sa.UniqueConstraint("name"),
    )
    sa.Table(
        "facts_snapshots",
        tables,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("host_id", sa.ForeignKey("hosts.id", ondelete="CASCADE"), nullable=False),
        sa.Column("taken_at", Utc, nullable=False),
        sa.Column("seen_at", Utc, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("facts", sa.Text, nullable=False),
        sa.Index(None, "host_id", "taken_at"),
    )
    _first_crash_records(tables)
    tables.create_all(connection)


def _first_crash_records(tables: sa.MetaData) -> None:
    sa.Table(
        "crash_records",
        tables,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("host_id", sa.ForeignKey("hosts.id", ondelete="CASCADE")),
        sa.Column("facts_id", sa.ForeignKey("facts_snapshots.id", ondelete="SET NULL")),
        sa.Column("event", sa.String(64), nullable=False),
        sa.Column("crashed_at", Utc),
        sa.Column("recorded_at", Utc, nullable=False),
        sa.Column("signature_exact", sa.String(200), nullable=False),
        sa.Column("signature_similar", sa.String(200), nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("path", sa.String(40)),
        sa.Column("driver", sa.String(64)),
        sa.Column("kernel_release", sa.String(128)),
        sa.Column("record", sa.Text, nullable=False),
        sa.UniqueConstraint("host_id", "signature_exact", "event"),
        sa.Index(None, "signature_exact"),
        sa.Index(None, "signature_similar"),
    )


def _second(connection: sa.Connection) -> None:
    tables = _frozen()
    sa.Table("hosts", tables, sa.Column("id", sa.Integer, primary_key=True))  # there already; foreign keys name it
    judgements = sa.Table(
        "judgements",
        tables,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("host_id", sa.ForeignKey("hosts.id", ondelete="CASCADE"), nullable=False),
        sa.Column("taken_at", Utc, nullable=False),
        sa.Column("seen_at", Utc, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("capture", sa.String(16), nullable=False),
        sa.Column("verdict", sa.String(16)),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("judgement", sa.Text, nullable=False),
        sa.Index(None, "host_id", "taken_at"),
    )
    drills = sa.Table(
        "drills",
        tables,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("host_id", sa.ForeignKey("hosts.id", ondelete="CASCADE"), nullable=False),
        sa.Column("drill_id", sa.String(64), nullable=False),
        sa.Column("drilled_at", Utc, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("kind", sa.String(16)),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.UniqueConstraint("host_id", "drill_id"),
    )
    tables.create_all(connection, [judgements, drills])


def _third(connection: sa.Connection) -> None:
    tables = _frozen()
    sa.Table("hosts", tables, sa.Column("id", sa.Integer, primary_key=True))
    soaks = sa.Table(
        "soaks",
        tables,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("host_id", sa.ForeignKey("hosts.id", ondelete="CASCADE"), nullable=False),
        sa.Column("soak_id", sa.String(64), nullable=False),
        sa.Column("nic", sa.String(32), nullable=False),
        sa.Column("experiment", sa.String(64), nullable=False),
        sa.Column("phase", sa.String(16), nullable=False),
        sa.Column("started_at", Utc, nullable=False),
        sa.Column("seen_at", Utc, nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("record", sa.Text, nullable=False),
        sa.UniqueConstraint("host_id", "soak_id", "nic"),
        sa.Index(None, "experiment"),
    )
    tables.create_all(connection, [soaks])


#: In order. The next one is appended: Step(4, "what it brings", function).
STEPS: tuple[Step, ...] = (
    Step(1, "hosts, facts snapshots and crash records", _first),
    Step(2, "judgements of hosts and drills", _second),
    Step(3, "soaks", _third),
)

NEWEST = STEPS[-1].version

# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What commands ask the store: add what was seen, and what was seen before."""

from __future__ import annotations

import datetime as dt
import json
import typing as t

import sqlalchemy as sa
from sqlalchemy.orm import Session

from . import looks, soaks
from .canonical import Unfit, canonical
from .database import StoreError, open_engine
from .looks import Kept, Look, Standing
from .models import Crash, Drill, FactsSnapshot, Host

__all__ = ["Added", "Kept", "Look", "Snapshot", "Standing", "Store", "Unfit", "canonical"]

_T = t.TypeVar("_T")


class Snapshot(t.NamedTuple):
    """Facts of a host, and when they were seen so: first and last."""

    id: int
    host: str
    taken_at: dt.datetime
    seen_at: dt.datetime
    facts: dict[str, t.Any]


class Added(t.NamedTuple):
    """Where a crash record is kept; `new` is false where the same crash was there already."""

    id: int
    new: bool


class Store:
    """The history. Every method is one transaction; a moment has a time zone. Raises StoreError."""

    def __init__(self, asked: str | None = None) -> None:
        self._engine = open_engine(asked)

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_about: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections."""
        self._engine.dispose()

    def _transaction(self, work: t.Callable[[Session], _T]) -> _T:
        try:
            with Session(self._engine) as session, session.begin():
                return work(session)
        except sa.exc.SQLAlchemyError as exc:
            told = str(getattr(exc, "orig", None) or exc).splitlines()
            raise StoreError("the store: {0}".format(told[0] if told else type(exc).__name__)) from exc

    def add_facts(self, host: str, facts: t.Mapping[str, t.Any], seen_at: dt.datetime) -> int:
        """Keep facts of a host; where nothing that lasts has changed, only `seen_at` moves. Gives the id.

        Parts that were not looked at (`--subset`) stay as they were seen last.
        """

        def work(session: Session) -> int:
            owner = looks.host_of(session, host, seen_at)
            newest = looks.newest_facts(session, owner.id)
            number, made = looks.keep_facts(session, owner.id, facts, seen_at, newest)
            if not made:
                row = session.get_one(FactsSnapshot, number)
                row.seen_at = max(row.seen_at, seen_at)
            return number

        return self._transaction(work)

    def remember(self, seen: t.Sequence[Look]) -> Kept:
        """Keep looks at hosts."""
        return self._transaction(lambda session: looks.keep_looks(session, seen))

    def forget(self, before: dt.datetime | None = None) -> int:
        """Delete looks that were last seen so before a moment (KEEP_DAYS ago); how many. Each host keeps its newest."""
        limit = before or dt.datetime.now(dt.timezone.utc) - dt.timedelta(days=looks.KEEP_DAYS)
        return self._transaction(lambda session: looks.forget(session, limit))

    def standings(self, moment: dt.datetime) -> dict[str, Standing]:
        """What was known of every host at a moment, by name."""
        return self._transaction(lambda session: looks.standings(session, moment))

    def facts_by_id(self, ids: t.Sequence[int]) -> dict[int, dict[str, t.Any]]:
        """The facts of snapshots, by `Standing.facts_id`."""
        return self._transaction(lambda session: looks.facts_by_id(session, ids))

    def armed_since(self) -> dict[str, dt.datetime]:
        """Since when each host has been armed at every look, by name; hosts that are not armed are left out."""
        return self._transaction(looks.armed_since)

    def add_drill(self, outcome: t.Mapping[str, t.Any], drilled_at: dt.datetime) -> Added:
        """Keep the outcome of a drill (`_core.drilloutcome.judge_steps`). The same drill again replaces it.

        What was read of a drill stays where the other outcome has no record: that is of before it was read. Raises
        Unfit for an outcome without host or drill id.
        """
        host, drill_id = outcome.get("host"), outcome.get("drill_id")
        if not isinstance(host, str) or not isinstance(drill_id, str) or not host or not drill_id:
            raise Unfit("the outcome of a drill names no host or no drill")
        record = outcome.get("record")
        kind = record.get("kind") if isinstance(record, dict) else None
        values = {"drilled_at": drilled_at, "state": str(outcome.get("state") or "unproven")[:16]}
        values.update(kind=_short(kind, 16), outcome=canonical(outcome))

        def work(session: Session) -> Added:
            owner = looks.host_of(session, host, drilled_at)
            wanted = (Drill.host_id == owner.id, Drill.drill_id == drill_id[:64])
            same = session.scalars(sa.select(Drill).where(*wanted)).first()
            if same is not None and record is None and json.loads(same.outcome).get("record") is not None:
                return Added(same.id, False)
            row = same or Drill(host_id=owner.id, drill_id=drill_id[:64])
            for name, value in values.items():
                setattr(row, name, value)
            session.add(row)
            session.flush()
            return Added(row.id, same is None)

        return self._transaction(work)

    def last_drills(self) -> dict[str, dict[str, t.Any]]:
        """The last drill of every host, by name: {drill_id, drilled_at, state, kind}."""
        query = sa.select(Drill, Host.name).join(Host).order_by(Drill.drilled_at, Drill.id)

        def work(session: Session) -> dict[str, dict[str, t.Any]]:
            found = {}
            for row, name in session.execute(query):
                told = {"drill_id": row.drill_id, "drilled_at": row.drilled_at.isoformat()}
                found[name] = {**told, "state": row.state, "kind": row.kind}
            return found

        return self._transaction(work)

    def add_soak(self, host: str, record: t.Any, outcome: t.Any, seen_at: dt.datetime) -> Added:
        """Keep one host's part of a soak (`_core.soakrecord`). The same again replaces it, unless that knows less.

        Raises Unfit for a record of another version, half of one, and an outcome that is none.
        """
        values = soaks.values_of(record, outcome, seen_at)
        return Added(*self._transaction(lambda session: soaks.keep(session, host, values)))

    def soaks(self, experiment: str | None = None) -> list[dict[str, t.Any]]:
        """Soaks of an experiment, or the newest of all, oldest first: {host, seen_at, record, outcome} each."""
        return self._transaction(lambda session: soaks.find(session, experiment))

    def experiments(self) -> dict[str, dt.datetime]:
        """The names of all experiments with the time at which their last soak began, the newest first."""
        return self._transaction(soaks.experiments)

    def facts_at(self, host: str, moment: dt.datetime | None) -> Snapshot | None:
        """What a host looked like at a moment: its last snapshot before; None where none is that old.

        Without a moment, the last snapshot of all.
        """
        query = sa.select(FactsSnapshot, Host.name).join(Host).where(Host.name == host)
        if moment is not None:
            query = query.where(FactsSnapshot.taken_at <= moment)
        query = query.order_by(FactsSnapshot.taken_at.desc(), FactsSnapshot.id.desc()).limit(1)
        return self._transaction(lambda session: next((_snapshot(row) for row in session.execute(query)), None))

    def latest_facts(self) -> dict[str, Snapshot]:
        """The last snapshot of every host, by name."""
        order = (FactsSnapshot.taken_at.desc(), FactsSnapshot.id.desc())
        rank = sa.func.row_number().over(partition_by=FactsSnapshot.host_id, order_by=order).label("rank")
        ranked = sa.select(FactsSnapshot.id, rank).subquery()
        query = (
            sa.select(FactsSnapshot, Host.name)
            .join(Host)
            .join(ranked, ranked.c.id == FactsSnapshot.id)
            .where(ranked.c.rank == 1)
        )
        return self._transaction(
            lambda session: {found.host: found for found in map(_snapshot, session.execute(query).all())}
        )

    def add_crash(
        self,
        record: t.Mapping[str, t.Any],
        host: str | None,
        event: str,
        crashed_at: dt.datetime | None,
        recorded_at: dt.datetime,
        facts_id: int | None = None,
    ) -> Added:
        """Keep a crash record. The same crash again (host, exact signature, event) replaces what was known of it."""
        values = _crash_values(record, event, crashed_at, recorded_at, facts_id)

        def work(session: Session) -> Added:
            owner = looks.host_of(session, host, recorded_at).id if host else None
            same = session.scalars(
                sa.select(Crash).where(
                    Crash.host_id.is_(None) if owner is None else Crash.host_id == owner,
                    Crash.signature_exact == values["signature_exact"],
                    Crash.event == event,
                )
            ).first()
            if same is None:
                row = Crash(host_id=owner, **values)
                session.add(row)
                session.flush()
                return Added(row.id, True)
            for name, value in values.items():
                # What an earlier look knew and this one does not stays.
                if value is not None:
                    setattr(same, name, value)
            return Added(same.id, False)

        return self._transaction(work)

    def crashes(self, exact: str | None = None, similar: str | None = None) -> list[dict[str, t.Any]]:
        """Crashes with one of the signatures, or all, oldest first.

        Each: id, host, event, crashed_at, signature {exact, similar}, kind, path, driver, kernel (release).
        """
        query = sa.select(Crash, Host.name).join(Host, isouter=True).order_by(Crash.crashed_at, Crash.id)
        asked = [Crash.signature_exact == exact] if exact is not None else []
        if similar is not None:
            asked.append(Crash.signature_similar == similar)
        if asked:
            query = query.where(sa.or_(*asked))
        return self._transaction(lambda session: [_crash(*row) for row in session.execute(query).all()])

    def record(self, crash_id: int) -> dict[str, t.Any] | None:
        """One crash record as it was kept."""
        text = self._transaction(lambda session: session.scalar(sa.select(Crash.record).where(Crash.id == crash_id)))
        return t.cast("dict[str, t.Any]", json.loads(text)) if text is not None else None


def _snapshot(row: t.Any) -> Snapshot:
    found, name = row  # FactsSnapshot and its host's name
    return Snapshot(found.id, name, found.taken_at, found.seen_at, json.loads(found.facts))


def _crash_values(
    record: t.Mapping[str, t.Any],
    event: str,
    crashed_at: dt.datetime | None,
    recorded_at: dt.datetime,
    facts_id: int | None,
) -> dict[str, t.Any]:
    signature = record.get("signature") or {}
    kernel = record.get("kernel") or {}
    return {
        "facts_id": facts_id,
        "event": event,
        "crashed_at": crashed_at,
        "recorded_at": recorded_at,
        "signature_exact": str(signature.get("exact") or "")[:200],
        "signature_similar": str(signature.get("similar") or "")[:200],
        "kind": str(record.get("kind") or "unknown")[:40],
        "path": _short(record.get("path"), 40),
        "driver": _short(record.get("driver"), 64),
        "kernel_release": _short(kernel.get("release"), 128),
        "record": canonical(record),
    }


def _short(value: t.Any, limit: int) -> str | None:
    return str(value)[:limit] if value is not None else None


def _crash(found: Crash, host: str | None) -> dict[str, t.Any]:
    return {
        "id": found.id,
        "host": host,
        "event": found.event,
        "crashed_at": found.crashed_at.isoformat() if found.crashed_at else None,
        "signature": {"exact": found.signature_exact, "similar": found.signature_similar},
        "kind": found.kind,
        "path": found.path,
        "driver": found.driver,
        "kernel": found.kernel_release,
    }

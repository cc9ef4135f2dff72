# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Looks at a rack: kept in rows that are made when something changed, else only said to be seen again.

Ten thousand hosts that stayed as they were cost one reading of digests and one bulk
update. `history.Store` has the transactions around these functions.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import typing as t

import sqlalchemy as sa
from sqlalchemy.orm import Session

from .._core.history import lasting, merged, same_facts
from .canonical import Unfit, canonical
from .models import Crash, FactsSnapshot, Host, Judgement

__all__ = [
    "KEEP_DAYS",
    "Kept",
    "Look",
    "Standing",
    "armed_since",
    "facts_by_id",
    "forget",
    "host_of",
    "keep_facts",
    "keep_looks",
    "newest_facts",
    "standings",
]

#: How long a look is kept after it was last seen so; the newest of a host stays for ever.
KEEP_DAYS = 730

#: Values in one IN (...): SQLite before 3.32 takes 999.
_CHUNK = 500

_Row = t.Union[FactsSnapshot, Judgement]


class Look(t.NamedTuple):
    """One look at a host: its facts, what was judged of them (`_core.history.brief_judgement`), and when."""

    host: str
    facts: t.Mapping[str, t.Any] | None
    judgement: t.Mapping[str, t.Any] | None
    seen_at: dt.datetime


class Kept(t.NamedTuple):
    """What came of looks: hosts with something new, hosts as before, and why the facts of others are not kept."""

    changed: int
    same: int
    unfit: dict[str, str]


class Standing(t.NamedTuple):
    """What was known of a host at a moment; the facts themselves are fetched with `facts_by_id`."""

    facts_id: int | None
    judgement_id: int | None
    taken_at: dt.datetime  #: since when it looked so
    seen_at: dt.datetime  #: when it was last seen so
    judgement: dict[str, t.Any] | None


class _Last(t.NamedTuple):
    id: int
    digest: str
    taken_at: dt.datetime
    seen_at: dt.datetime


def host_of(session: Session, name: str, seen_at: dt.datetime) -> Host:
    """The row of a host, made where there is none."""
    found = session.scalars(sa.select(Host).where(Host.name == name[:255])).first()
    if found is None:
        found = Host(name=name[:255], first_seen_at=seen_at)
        session.add(found)
        session.flush()
    return found


def _hosts(session: Session, looks: t.Sequence[Look]) -> dict[str, int]:
    names = sorted({look.host[:255] for look in looks})
    found = {
        name: number for number, name in session.execute(sa.select(Host.id, Host.name).where(Host.name.in_(names)))
    }
    seen_at = {look.host[:255]: look.seen_at for look in looks}
    missing = [{"name": name, "first_seen_at": seen_at[name]} for name in names if name not in found]
    if missing:
        session.execute(sa.insert(Host), missing)
        rows = session.execute(sa.select(Host.id, Host.name).where(Host.name.in_([each["name"] for each in missing])))
        found.update({name: number for number, name in rows})
    return found


def _last(
    session: Session, model: type[_Row], hosts: t.Sequence[int], moment: dt.datetime | None = None
) -> dict[int, _Last]:
    """The last row of each host, or the last one that began at or before a moment; without its text."""
    rank = sa.func.row_number().over(partition_by=model.host_id, order_by=(model.taken_at.desc(), model.id.desc()))
    query = sa.select(model.id, model.host_id, model.digest, model.taken_at, model.seen_at, rank.label("rank"))
    query = query.where(model.host_id.in_(hosts))
    if moment is not None:
        query = query.where(model.taken_at <= moment)
    ranked = query.subquery()
    rows = session.execute(sa.select(ranked).where(ranked.c.rank == 1))
    return {row.host_id: _Last(row.id, row.digest, row.taken_at, row.seen_at) for row in rows}


def newest_facts(session: Session, host_id: int) -> _Last | None:
    """The newest snapshot of a host, without its facts."""
    return _last(session, FactsSnapshot, [host_id]).get(host_id)


def _before(
    session: Session, model: type[_Row], host_id: int, newest: _Last | None, seen_at: dt.datetime
) -> _Last | None:
    """The row that a look may belong to: the newest one, unless the look is older than that."""
    if newest is None or newest.taken_at <= seen_at:
        return newest
    return _last(session, model, [host_id], seen_at).get(host_id)


def keep_facts(
    session: Session, host_id: int, facts: t.Mapping[str, t.Any], seen_at: dt.datetime, newest: _Last | None
) -> tuple[int, bool]:
    """Keep facts of a host: (id, whether a row was made). Raises Unfit."""
    kept = _without_candidates(facts)
    text = canonical(kept)
    digest = _digest(canonical(lasting(kept)))
    last = _before(session, FactsSnapshot, host_id, newest, seen_at)
    if last is not None:
        same = last.digest == digest
        if not same:
            known = json.loads(
                session.scalar(sa.select(FactsSnapshot.facts).where(FactsSnapshot.id == last.id)) or "{}"
            )
            same = same_facts(known, kept)
            if not same:
                kept = merged(known, kept)
                text, digest = canonical(kept), _digest(canonical(lasting(kept)))
        if same:
            return last.id, False
    row = FactsSnapshot(host_id=host_id, taken_at=seen_at, seen_at=seen_at, digest=digest, facts=text)
    session.add(row)
    session.flush()
    return row.id, True


def _without_candidates(facts: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """What apt offers is large and old by tomorrow."""
    kernel = facts.get("kernel")
    if not isinstance(kernel, dict) or not kernel.get("candidates"):
        return dict(facts)
    return {**facts, "kernel": {**kernel, "candidates": None}}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def keep_looks(session: Session, looks: t.Sequence[Look]) -> Kept:
    """Keep one look a host. Raises nothing for facts that cannot be kept: `unfit` has them."""
    changed, same, unfit = 0, 0, {}
    for start in range(0, len(looks), _CHUNK):
        part = looks[start : start + _CHUNK]
        hosts = _hosts(session, part)
        facts, judgements = (_last(session, model, list(hosts.values())) for model in (FactsSnapshot, Judgement))
        again: dict[type[_Row], list[dict[str, t.Any]]] = {FactsSnapshot: [], Judgement: []}
        for look in part:
            host_id = hosts[look.host[:255]]
            try:
                new = _keep(session, look, host_id, facts.get(host_id), judgements.get(host_id), again)
            except Unfit as exc:
                unfit[look.host] = str(exc)
                continue
            changed, same = changed + new, same + (not new)
        session.flush()
        for model, rows in again.items():
            if rows:
                session.execute(sa.update(model), rows)
    return Kept(changed, same, unfit)


def _keep(
    session: Session,
    look: Look,
    host_id: int,
    last_facts: _Last | None,
    last_judgement: _Last | None,
    again: dict[type[_Row], list[dict[str, t.Any]]],
) -> bool:
    """Whether something of the look is new; what is not goes into `again`."""
    new = False
    if look.facts is not None:
        number, made = keep_facts(session, host_id, look.facts, look.seen_at, last_facts)
        new = made
        if not made:
            again[FactsSnapshot].append({"id": number, "seen_at": _later(look.seen_at, number, last_facts)})
    if look.judgement is not None:
        text = canonical(look.judgement)
        last = _before(session, Judgement, host_id, last_judgement, look.seen_at)
        if last is not None and last.digest == _digest(text):
            again[Judgement].append({"id": last.id, "seen_at": max(last.seen_at, look.seen_at)})
        else:
            session.add(_judgement_row(look, host_id, text))
            new = True
    return new


def _later(seen_at: dt.datetime, number: int, last: _Last | None) -> dt.datetime:
    return max(seen_at, last.seen_at) if last is not None and last.id == number else seen_at


def _judgement_row(look: Look, host_id: int, text: str) -> Judgement:
    judged = look.judgement or {}
    return Judgement(
        host_id=host_id,
        taken_at=look.seen_at,
        seen_at=look.seen_at,
        state=str(judged.get("state") or "unknown")[:16],
        capture=str(judged.get("capture") or "unknown")[:16],
        verdict=str(judged["verdict"])[:16] if judged.get("verdict") else None,
        digest=_digest(text),
        judgement=text,
    )


# --- looking back ----------------------------------------------------------------------------------------------------


def standings(session: Session, moment: dt.datetime) -> dict[str, Standing]:
    """What was known of every host at a moment, by name. Hosts that were looked at later only are left out."""
    names: dict[int, str] = {row.id: row.name for row in session.execute(sa.select(Host.id, Host.name))}
    found: dict[str, Standing] = {}
    every = list(names)
    for start in range(0, len(every), _CHUNK):
        part = every[start : start + _CHUNK]
        facts, judged = (_last(session, model, part, moment) for model in (FactsSnapshot, Judgement))
        texts = _judgements(session, [last.id for last in judged.values()])
        for host_id in part:
            rows = [last for last in (facts.get(host_id), judged.get(host_id)) if last is not None]
            if rows:
                of_facts, of_judgement = facts.get(host_id), judged.get(host_id)
                found[names[host_id]] = Standing(
                    of_facts.id if of_facts else None,
                    of_judgement.id if of_judgement else None,
                    max(row.taken_at for row in rows),
                    max(row.seen_at for row in rows),
                    json.loads(texts[of_judgement.id]) if of_judgement else None,
                )
    return found


def _judgements(session: Session, ids: t.Sequence[int]) -> dict[int, str]:
    rows = session.execute(sa.select(Judgement.id, Judgement.judgement).where(Judgement.id.in_(ids)))
    return {row.id: row.judgement for row in rows}


def facts_by_id(session: Session, ids: t.Sequence[int]) -> dict[int, dict[str, t.Any]]:
    """Facts of snapshots."""
    found: dict[int, dict[str, t.Any]] = {}
    for start in range(0, len(ids), _CHUNK):
        part = ids[start : start + _CHUNK]
        rows = session.execute(sa.select(FactsSnapshot.id, FactsSnapshot.facts).where(FactsSnapshot.id.in_(part)))
        found.update({number: json.loads(text) for number, text in rows})
    return found


def armed_since(session: Session) -> dict[str, dt.datetime]:
    """Since when each host was judged armed without a break; a look without an answer breaks nothing."""
    query = (
        sa.select(Host.name, Judgement.capture, Judgement.taken_at)
        .join(Host, Host.id == Judgement.host_id)
        .where(Judgement.capture != "unknown")
        .order_by(Judgement.host_id, Judgement.taken_at.desc(), Judgement.id.desc())
    )
    found: dict[str, dt.datetime] = {}
    ended: set[str] = set()
    for name, capture, taken_at in session.execute(query):
        if capture != "armed":
            ended.add(name)
        elif name not in ended:
            found[name] = taken_at
    return found


def forget(session: Session, before: dt.datetime) -> int:
    """Delete looks that were last seen before a moment; not the newest of a host, not what a crash record names."""
    count = 0
    for model in (FactsSnapshot, Judgement):
        rank = sa.func.row_number().over(partition_by=model.host_id, order_by=(model.taken_at.desc(), model.id.desc()))
        ranked = sa.select(model.id, rank.label("rank")).subquery()
        newest = sa.select(ranked.c.id).where(ranked.c.rank == 1)
        doomed = sa.delete(model).where(model.seen_at < before, model.id.not_in(newest))
        if model is FactsSnapshot:
            doomed = doomed.where(model.id.not_in(sa.select(Crash.facts_id).where(Crash.facts_id.is_not(None))))
        done = session.execute(doomed.execution_options(synchronize_session=False))
        count += t.cast("sa.CursorResult[t.Any]", done).rowcount
    return count

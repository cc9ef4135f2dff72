# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Soaks in the store: a row for each NIC of a host in each soak, as it was seen last."""

from __future__ import annotations

import datetime as dt
import json
import typing as t

import sqlalchemy as sa
from sqlalchemy.orm import Session

from .._core.errors import ParseError
from .._core.experimenttrial import trial_of
from .canonical import Unfit, canonical
from .looks import host_of
from .models import Host, Soak

__all__ = ["LIMIT", "experiments", "find", "keep", "values_of"]

#: How many rows are read at once, the newest: a soak of the longest kind has about 20 kB.
LIMIT = 2000
#: How much an outcome says. A look at a host that was away, or has lost its record, replaces none that knew more.
_KNOWS = {"lost": 0, "running": 1, "stopped": 2, "silent": 2, "panic": 3}


def values_of(record: t.Any, outcome: t.Any, seen_at: dt.datetime) -> dict[str, t.Any]:
    """The columns of a soak but for its host. Raises Unfit."""
    try:
        trial = trial_of(record, outcome)
        started_at = dt.datetime.fromisoformat(trial.started_at.replace("Z", "+00:00"))
    except (ParseError, ValueError) as exc:
        raise Unfit("a soak: {0}".format(exc)) from exc
    return {
        "soak_id": trial.soak_id,
        "nic": trial.nic[:32],
        "experiment": trial.experiment,
        "phase": trial.phase,
        "started_at": started_at,
        "seen_at": seen_at,
        "outcome": trial.outcome,
        "record": canonical({"record": record, "outcome": outcome}),
    }


def keep(session: Session, host: str, values: dict[str, t.Any]) -> tuple[int, bool]:
    """Keep it; the id of its row, and whether that is new."""
    owner = host_of(session, host, values["seen_at"])
    wanted = (Soak.host_id == owner.id, Soak.soak_id == values["soak_id"], Soak.nic == values["nic"])
    same = session.scalars(sa.select(Soak).where(*wanted)).first()
    if same is not None and _KNOWS[values["outcome"]] < _KNOWS.get(same.outcome, 0):
        return same.id, False
    row = same or Soak(host_id=owner.id)
    for name, value in values.items():
        setattr(row, name, value)
    session.add(row)
    session.flush()
    return row.id, same is None


def find(session: Session, experiment: str | None) -> list[dict[str, t.Any]]:
    """Rows of an experiment, or of all, oldest first; of more than LIMIT the newest."""
    # An id begins with the controller's time; a host's own clock may be set between two soaks.
    query = sa.select(Soak, Host.name).join(Host).order_by(Soak.soak_id.desc(), Soak.id.desc()).limit(LIMIT)
    if experiment is not None:
        query = query.where(Soak.experiment == experiment)
    rows = session.execute(query).all()
    return [{"host": name, "seen_at": found.seen_at.isoformat(), **json.loads(found.record)} for found, name in rows][
        ::-1
    ]


def experiments(session: Session) -> dict[str, dt.datetime]:
    """Names of experiments and when the last soak of each began, the newest first."""
    last = sa.func.max(Soak.started_at, type_=Soak.started_at.type)
    query = sa.select(Soak.experiment, last).group_by(Soak.experiment).order_by(last.desc(), Soak.experiment)
    return {row[0]: row[1] for row in session.execute(query)}

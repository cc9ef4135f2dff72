# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Experiments of the store, judged: what `crashready soak --show` and the report have in common.

The store keeps each run as the hosts recorded it. The verdict is made of the runs
whenever it is asked for, at the confidence that is asked for.
"""

from __future__ import annotations

import argparse
import datetime as dt
import sys
import typing as t

from ._core.errors import ParseError
from ._core.experiment import judge_experiment, span_text
from ._core.experimenttrial import Trial, trial_of
from ._core.text import clean

if t.TYPE_CHECKING:
    from .store.history import Store

__all__ = ["CONFIDENCE", "confidence", "judged_experiments", "render_experiment", "trials_of"]

CONFIDENCE = 0.95
#: A crash record and the end of a soak that are no further apart are of one panic: between the last sample and the
#: panic lie two intervals at most, and the host's clock is set by whole seconds (`soakrecord`).
_SAME_CRASH_S = 60.0

Row = dict[str, t.Any]


def confidence(text: str) -> float:
    """A confidence on the command line; argparse's error for what is none."""
    value = float(text)
    if not 0.5 <= value <= 0.9999:
        raise argparse.ArgumentTypeError("{0} is not between 0.5 and 0.9999".format(text))
    return value


def trials_of(rows: t.Iterable[Row], crashes: t.Sequence[Row] = ()) -> list[Trial]:
    """Trials of rows {host, record, outcome}; a row that is none is said and left out.

    `crashes` are those of the store: they say where a crash sits, and which it was where the host had no triage yet
    when it was asked.
    """
    found = []
    for row in rows:
        try:
            found.append(trial_of(row["record"], _explained(row, crashes), str(row["host"])))
        except ParseError as exc:
            told = "crashready: a soak of {0} is left out: {1}"
            print(told.format(clean(str(row["host"]), 80), clean(str(exc), 300)), file=sys.stderr)
    return found


def _explained(row: Row, crashes: t.Sequence[Row]) -> t.Any:
    """The outcome, with the signature and the path of its crash record."""
    outcome = row["outcome"]
    if not isinstance(outcome, dict) or outcome.get("outcome") != "panic":
        return outcome
    signature = outcome.get("signature")
    exact = signature.get("exact") if isinstance(signature, dict) else None
    if isinstance(exact, str):
        same = [crash for crash in crashes if crash["signature"]["exact"] == exact]
    else:
        apart = {at: _apart_s(crash, row) for at, crash in enumerate(crashes)}
        near = {at: seconds for at, seconds in apart.items() if seconds is not None and seconds <= _SAME_CRASH_S}
        same = [crashes[min(near, key=lambda at: near[at])]] if near else []
    if not same:
        return outcome
    kept = {key: value or None for key, value in same[-1]["signature"].items()}
    return {**outcome, "signature": signature if exact else kept, "path": same[-1]["path"]}


def _apart_s(crash: Row, row: Row) -> float | None:
    """Seconds between a crash and the end of a soak, by the host's own clock; None for another host's."""
    if str(crash["host"]).partition(".")[0].lower() != str(row["host"]).partition(".")[0].lower():
        return None
    try:
        started = dt.datetime.fromisoformat(row["record"]["started_at"].replace("Z", "+00:00"))
        crashed = dt.datetime.fromisoformat(crash["crashed_at"])
        return abs((crashed - started).total_seconds() - float(row["outcome"]["time_to_panic_s"]))
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def judged_experiments(store: Store, name: str | None = None, level: float = CONFIDENCE) -> list[Row]:
    """The experiment of a name, or all, each judged (`_core.experiment.judge_experiment`)."""
    groups: dict[str, list[Trial]] = {}
    for trial in trials_of(store.soaks(name), store.crashes()):
        groups.setdefault(trial.experiment, []).append(trial)
    return [judge_experiment(trials, level) for trials in groups.values()]


def render_experiment(judged: Row) -> str:
    """A judged experiment for people: the verdict, why, every run."""
    lines = ["{0}: {1}".format(judged["name"], judged["verdict"].upper())]
    lines += ["  - " + line for line in judged["says"]]
    for host in judged["hosts"]:
        for when in ("before", "after"):
            if host[when]:
                lines.append("  {0} {1} {2}: {3}".format(host["host"], host["nic"], when, host[when]))
    runs = judged["runs"][-40:]
    cells: list[tuple[str, ...]] = [
        ("RUN", "PHASE", "HOST", "NIC", "PROFILE", "OUTCOME", "AFTER", "PACKETS/S", "SIGNATURE OR REASON")
    ]
    cells += [_cells(run) for run in runs]
    widths = [max(len(row[at]) for row in cells) for at in range(len(cells[0]))]
    lines += ["  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in cells]
    more = len(judged["runs"]) - len(runs) + judged["more_runs"]
    if more:
        lines.append("  and {0} earlier runs: --json has them".format(more))
    return "\n".join(lines)


def _cells(run: Row) -> tuple[str, ...]:
    pace = run["packets_per_s"]
    words = (run["id"], run["phase"], run["host"], run["nic"], run["profile"], run["outcome"])
    last = run["signature"] or run["reason"] or ""
    seconds, packets = span_text(run["seconds"]), "?" if pace is None else "{0:.0f}".format(pace)
    return (*(clean(str(word), 60) for word in words), seconds, packets, clean(str(last), 100))

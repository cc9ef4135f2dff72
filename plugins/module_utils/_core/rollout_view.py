# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""A rollout for people: the order before it begins, and what was done, where it stopped and what is left."""

from __future__ import annotations

import typing as t

from .text import clean

__all__ = ["counts_of", "failure_of", "render_summary", "unfinished_of"]

_HEAD = ("WAVE", "HOST", "STATE", "WHY")
_WIDTH = 72
#: States of hosts, and the word for them in the last line, in its order.
_COUNTED = (
    ("done", "done"),
    ("planned", "planned"),
    ("failed", "failed"),
    ("left", "left"),
    ("unreachable", "not reached"),
)

Summary = t.Mapping[str, t.Any]


def counts_of(summary: Summary) -> dict[str, int]:
    """How many hosts are in which state, without those that no host is in."""
    states = [row["state"] for row in summary["hosts"]]
    return {state: states.count(state) for state, _word in _COUNTED if state in states}


def unfinished_of(summary: Summary) -> dict[str, str]:
    """Hosts that a run must not end well with, and why."""
    return {row["host"]: row["says"] for row in summary["hosts"] if row["state"] not in ("done", "planned")}


def render_summary(summary: Summary, width: int = 0) -> str:
    """A table of hosts in their order and one line of numbers; a list where `width` is too narrow for the table."""
    rows = [_row(summary, row) for row in summary["hosts"]]
    text = _table(rows)
    if width and max(map(len, text.splitlines())) > width:
        text = "\n".join("{1}: {2}\n  wave {0}: {3}".format(*row) for row in rows)
    lines = [text, "", _numbers(summary)]
    lines += [clean(note, 300) for note in summary["notes"]]
    stopped = summary["stopped"]
    if stopped:
        where = " at {0}".format(clean(stopped["host"], 80)) if stopped["host"] else ""
        lines.append("stopped{0}: {1}".format(where, clean(stopped["says"], 600)))
    return "\n".join(lines)


def _row(summary: Summary, row: t.Mapping[str, t.Any]) -> tuple[str, str, str, str]:
    kinds = {wave["wave"]: wave["kind"] for wave in summary["waves"]} if row["wave"] is not None else {}
    wave = "{0} {1}".format(row["wave"], kinds.get(row["wave"], "")) if row["wave"] is not None else "-"
    says = row["says"] or row["reason"]
    drained = "; it is still drained" if row["drained"] and row["state"] != "done" else ""
    return wave, clean(row["host"], 80), row["state"], clean(says + drained, 600)


def _table(rows: t.Sequence[tuple[str, str, str, str]]) -> str:
    widths = [max(len(row[column]) for row in (_HEAD, *rows)) for column in range(3)]
    out = []
    for row in (_HEAD, *rows):
        first, *more = _wrap(row[3])
        cells = [cell.ljust(size) for cell, size in zip(row[:3], widths)]
        out.append("  ".join([*cells, first]).rstrip())
        out += [" " * (sum(widths) + 6) + line for line in more]
    return "\n".join(out)


def _wrap(text: str) -> list[str]:
    lines = [""]
    for word in text.split(" "):
        if lines[-1] and len(lines[-1]) + 1 + len(word) > _WIDTH:
            lines.append(word)
        else:
            lines[-1] = "{0} {1}".format(lines[-1], word).strip()
    return lines


def _numbers(summary: Summary) -> str:
    counts = counts_of(summary)
    told = ["{0} {1}".format(counts[state], word) for state, word in _COUNTED if state in counts]
    return "{0} hosts in {1} waves: {2}".format(len(summary["hosts"]), len(summary["waves"]), ", ".join(told) or "none")


#: What timeout(1) ends with where the time was over.
_TOO_LONG = 124


def failure_of(result: t.Any) -> str:
    """Why a task of Ansible failed, in one line: of a loop the item that failed, of a command what it said."""
    if not isinstance(result, dict):
        return clean(str(result), 300)
    items = result.get("results")
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict) and (item.get("failed") or item.get("unreachable")):
            return failure_of(item)
    says = clean(str(result.get("msg") or "failed"), 300)
    words = result.get("cmd")
    if not isinstance(words, list) or "rc" not in result:
        return says
    if words[:1] == ["timeout"] and len(words) > 3:
        limit, words = words[2], words[3:]
        if result["rc"] == _TOO_LONG:
            says = "it took longer than {0} s".format(limit)
    said = clean(str(result.get("stderr") or result.get("stdout") or ""), 200)
    told = [says, "exit code {0}".format(result["rc"]), *([said] if said else [])]
    return clean("{0}: {1}".format(" ".join(str(word) for word in words), ", ".join(told)), 500)

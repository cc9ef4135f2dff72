# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""A report for the terminal: what counts first, and nothing of ten thousand hosts that are well."""

from __future__ import annotations

import typing as t

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ._core.experiment import span_text
from ._core.rack_view import STATES
from ._core.text import clean

__all__ = ["show"]

_STYLES = {"bad": "red", "unknown": "yellow", "suspect": "magenta", "well": "green"}
_HOSTS, _ODD, _SIGNATURES, _SOAKS, _REMEDIES, _NAMES = 40, 20, 15, 15, 15, 5

_Row = dict[str, t.Any]


def show(report: _Row) -> None:
    """Print it: sections, hosts that are not well, odd ones, crashes, soaks, remedies, a line with the sums."""
    console = Console(highlight=False, markup=False)
    wide = console if console.is_terminal else Console(highlight=False, markup=False, width=200)
    for part in (_sections, _hosts, _odd, _crashes, _soaks):
        table, more = part(report)
        if table is not None and table.row_count:
            wide.print(table)
            if more > 0:
                console.print("and {0} more: --html or --json has all of them".format(more), soft_wrap=True)
            console.print()
    _remedies(report, console)
    console.print(_sums(report["summary"]), soft_wrap=True)


def _table(title: str, *columns: str) -> Table:
    return Table(*columns, title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)


def _text(value: t.Any, limit: int = 120) -> Text:
    return Text("?" if value is None else clean(str(value), limit))


def _sections(report: _Row) -> tuple[Table | None, int]:
    counts: dict[str, dict[str, int]] = {}
    for host in report["hosts"]:
        section = counts.setdefault(host["section"], dict.fromkeys(STATES, 0))
        section[host["state"]] += 1
    if len(counts) < 2:
        return None, 0
    table = _table("Racks and groups", "WHERE", *(state.upper() for state in STATES))
    for name in sorted(counts)[:_HOSTS]:
        cells = [Text(str(count), style=_STYLES[state] if count else "dim") for state, count in counts[name].items()]
        table.add_row(_text(name or "elsewhere", 60), *cells)
    return table, len(counts) - _HOSTS


def _hosts(report: _Row) -> tuple[Table, int]:
    table = _table("Hosts that are not well", "HOST", "STATE", "CAPTURE", "ARMED SINCE", "PROVEN", "PAIRINGS", "WHAT")
    hosts = [host for host in report["hosts"] if host["state"] != "well"]
    for host in hosts[:_HOSTS]:
        proven = {True: "yes", False: "no", None: "?"}[host["proven"]["state"]]
        since = (host["armed_since"] or "-")[:10]
        state = Text(host["state"], style=_STYLES[host["state"]])
        says = Text("\n".join(host["says"][:4]))
        table.add_row(_text(host["host"], 80), state, host["capture"], since, proven, host["verdict"], says)
    return table, len(hosts) - _HOSTS


def _odd(report: _Row) -> tuple[Table, int]:
    table = _table("Odd ones", "NIC", "DRIVER", "FIRMWARE", "KERNEL", "HOSTS", "VERDICT", "WHY")
    odd = [triple for triple in report["triples"] if triple["odd"]]
    for triple in sorted(odd, key=lambda triple: triple["hosts"])[:_ODD]:
        cells = [_text(triple[name], 60) for name in ("driver", "firmware", "kernel")]
        why = Text("\n".join(triple["odd"]))
        table.add_row(_text(triple["model"] or triple["ids"], 60), *cells, str(triple["hosts"]), triple["verdict"], why)
    return table, len(odd) - _ODD


def _crashes(report: _Row) -> tuple[Table, int]:
    table = _table("Crashes", "SIGNATURE", "KIND", "WHERE", "CRASHES", "HOSTS", "FIRST", "LAST")
    for group in report["crashes"][:_SIGNATURES]:
        days = [(group[name] or "?")[:10] for name in ("first", "last")]
        where = group["function"] or group["driver"] or group["path"]
        signature = _text(group["signature"] or "not explained: crashready triage FOLDER", 60)
        count, hosts = str(len(group["crashes"])), Text(_names(group["hosts"]))
        table.add_row(signature, _text(group["kind"], 40), _text(where, 60), count, hosts, *days)
    return table, len(report["crashes"]) - _SIGNATURES


def _soaks(report: _Row) -> tuple[Table, int]:
    table = _table("Soaks", "EXPERIMENT", "VERDICT", "RUNS", "PANICS", "SILENT AFTER", "NEEDED", "WHY")
    for soak in report["soaks"][:_SOAKS]:
        # The host that asks for most is what the verdict waits for.
        host = max(soak["hosts"], key=lambda host: (host["panics"] + host["panics_after"], host["needed_s"] or 0))
        needed = "-" if host["needed_s"] is None else span_text(host["needed_s"])
        panics, why = str(sum(run["outcome"] == "panic" for run in soak["runs"])), Text("\n".join(soak["says"][:3]))
        silent = span_text(host["silent_s"]) if host["after"] else "-"
        table.add_row(_text(soak["name"], 64), soak["verdict"], str(len(soak["runs"])), panics, silent, needed, why)
    return table, len(report["soaks"]) - _SOAKS


def _remedies(report: _Row, console: Console) -> None:
    remedies = report["remedies"]
    if remedies:
        console.print("What to do", style="bold")
    for remedy in remedies[:_REMEDIES]:
        style = "red" if remedy["severity"] == "error" else "yellow"
        told = "{0} ({1})".format(remedy["says"], _names(remedy["hosts"]))
        console.print(Text.assemble((remedy["severity"], style), " ", told), soft_wrap=True)
        for command in remedy["commands"][:3]:
            console.print("    " + command, soft_wrap=True)
        if len(remedy["commands"]) > 3:
            console.print("    and {0} more such commands: --json".format(len(remedy["commands"]) - 3))
    if len(remedies) > _REMEDIES:
        console.print("and {0} more: --html or --json has all of them".format(len(remedies) - _REMEDIES))
    if remedies:
        console.print()


def _names(names: t.Sequence[str]) -> str:
    shown = ", ".join(clean(name, 60) for name in names[:_NAMES])
    return "{0} and {1} more".format(shown, len(names) - _NAMES) if len(names) > _NAMES else shown


def _sums(summary: _Row) -> str:
    states = ", ".join("{0} {1}".format(count, state) for state, count in summary["states"].items())
    told = "{0} hosts: {1}; {2} armed, {3} proven, {4} with an odd NIC; {5} crashes, {6} signatures"
    counts = (summary["proven"], summary["odd"], summary["crashes"], summary["signatures"])
    return told.format(summary["hosts"], states, summary["captures"]["armed"], *counts)

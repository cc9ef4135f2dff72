# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""`crashready report`: where a rack stands, for the terminal, as JSON, as one page of HTML.

Hosts are looked at and judged as `crashready check` does it; the store adds since when
they are armed, their drills and their crashes. What is put together is `_core.rack_view`.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import pathlib
import sys
import typing as t

from ._core import rack_view
from ._core.text import clean
from .check import add_judge_arguments, as_json, exit_code, looks
from .exits import USAGE, ToolError
from .experiments import judged_experiments
from .inventory_hosts import NoHosts
from .remember import drilled_at, memory_for, open_store

if t.TYPE_CHECKING:
    from .check import Checked, Looked

__all__ = ["SCHEMA", "Drilled", "add_arguments", "drills_of_folder", "run", "write_page"]

SCHEMA = rack_view.SCHEMA

#: Variables of the inventory that say where a host stands.
_VARIABLES = (rack_view.RACK, rack_view.UNIT, rack_view.GROUP, "group_names")
_RECORDS = "crashready-drills"
_OUTCOME_LIMIT = 4 * 1024 * 1024
_FILES_LIMIT = 50_000


class Drilled(t.NamedTuple):
    """The outcome of a drill, and when it was."""

    outcome: dict[str, t.Any]
    at: dt.datetime


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Whose report, and in which form."""
    parser.add_argument("--json", action="store_true", help="one JSON object with sorted keys")
    parser.add_argument(
        "--html", metavar="FILE", type=pathlib.Path, help="write one page of HTML that needs no network"
    )
    parser.add_argument("--title", metavar="TEXT", default="Rack report", help="heading of the page")
    parser.add_argument(
        "--records",
        metavar="FOLDER",
        type=pathlib.Path,
        help="outcomes of drills, as `crashready drill` keeps them (default: {0}, where it is there)".format(_RECORDS),
    )
    add_judge_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Look, put together, show; the exit code is that of `crashready check`."""
    if arguments.recorded and arguments.inventory and not arguments.local:
        print("crashready report: --from and -i are two ways to the same: give one of them", file=sys.stderr)
        return USAGE
    rows: dict[str, dict[str, t.Any]] = {}
    checked: list[Checked] = []
    drills = drills_of_folder(arguments.records)
    try:
        with memory_for(arguments, by_itself=True) as memory:
            for looked in looks(arguments, _VARIABLES):
                checked.append(looked.checked._replace(judged=None))  # the state is what counts; a judgement is large
                rows[looked.checked.host] = _row(looked)
                memory.add(looked)
            for drilled in drills:
                memory.add_drill(drilled.outcome, drilled.at)
    except NoHosts as exc:
        print("crashready report: {0}".format(exc), file=sys.stderr)
        return USAGE
    report = rack_view.make_report(
        list(rows.values()),
        dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds"),
        arguments.inventory or ("rack",),
        **_known(arguments, drills),
    )
    _show(report, arguments)
    return exit_code(checked, arguments.fail_on)


def _row(looked: Looked) -> dict[str, t.Any]:
    checked = {
        **as_json(looked.checked),
        "cause": looked.cause,
        "next": looked.next.format(host="HOST", address="HOST"),
    }
    return rack_view.host_row(looked.checked.host, looked.facts, checked, rack_view.place_of(looked.variables))


def _show(report: dict[str, t.Any], arguments: argparse.Namespace) -> None:
    if arguments.html is not None:
        from .report_html import page

        write_page(arguments.html, page(report, arguments.title))
        print("crashready report: {0} is written".format(arguments.html), file=sys.stderr)
    if arguments.json:
        print(json.dumps(report, indent=2, sort_keys=True))
    elif arguments.html is None:
        from .report_table import show

        show(report)


def write_page(path: pathlib.Path, text: str) -> None:
    """Write the page at once, or not at all. A new one is its owner's alone, an old one keeps its mode.

    Raises ToolError.
    """
    temporary = path.with_name(".{0}.{1}".format(path.name, os.getpid()))
    try:
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            os.fchmod(stream.fileno(), mode)
            stream.write(text)
        temporary.replace(path)
    except OSError as exc:
        temporary.unlink(missing_ok=True)
        raise ToolError("the page cannot be written to {0}: {1}".format(path, exc.strerror or exc)) from exc


# --- what is known beside the hosts' own word ------------------------------------------------------------------------


def _known(arguments: argparse.Namespace, drills: t.Sequence[Drilled]) -> dict[str, t.Any]:
    """Crashes, drills, soaks and dates of arming, of the store and of the folder of drills."""
    found = {str(each.outcome["host"]): _drill(each) for each in sorted(drills, key=lambda each: each.at)}
    known: dict[str, t.Any] = {"drills": found}
    store = None if arguments.no_store else open_store(arguments.store, must=bool(arguments.store), make=False)
    if store is not None:
        with store:
            known["crashes"] = store.crashes()
            known["armed_since"] = {host: moment.isoformat() for host, moment in store.armed_since().items()}
            known["experiments"] = judged_experiments(store)
            for host, drill in store.last_drills().items():
                known_of = found.get(host)
                # The same drill may have hung when the file was written, and have been read since then.
                same = known_of is not None and known_of["drill_id"] == drill["drill_id"]
                if known_of is None or same or known_of["drilled_at"] < drill["drilled_at"]:
                    found[host] = drill
    return known


def drills_of_folder(folder: pathlib.Path | None) -> list[Drilled]:
    """Outcomes of drills, as `crashready drill --records` keeps them.

    A file that is none is said and left out. Raises ToolError for a folder that was named and is not there.
    """
    place = folder or pathlib.Path(_RECORDS)
    try:
        names = sorted(name for name in os.listdir(place) if name.endswith(".json"))[:_FILES_LIMIT]
    except OSError as exc:
        if folder is None:
            return []
        raise ToolError("the folder of drills {0}: {1}".format(place, exc.strerror)) from exc
    found = []
    for name in names:
        try:
            found.append(_drilled(place / name))
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as exc:
            told = "crashready report: {0}: no outcome of a drill ({1})"
            print(told.format(clean(str(place / name), 300), clean(str(exc), 200)), file=sys.stderr)
    return found


def _drilled(path: pathlib.Path) -> Drilled:
    """One outcome. Raises KeyError, TypeError, ValueError, OverflowError, RecursionError or OSError."""
    with path.open(encoding="utf-8") as stream:
        outcome = json.loads(stream.read(_OUTCOME_LIMIT))
        written_s = os.fstat(stream.fileno()).st_mtime
    if not isinstance(outcome["host"], str) or not isinstance(outcome["drill_id"], str):
        raise ValueError("it names no host or no drill")
    return Drilled(outcome, drilled_at(outcome, written_s))


def _drill(drilled: Drilled) -> dict[str, t.Any]:
    outcome = drilled.outcome
    record = outcome.get("record")
    kind = record.get("kind") if isinstance(record, dict) else None
    return {
        "drill_id": outcome["drill_id"],
        "drilled_at": drilled.at.isoformat(timespec="seconds"),
        "state": clean(str(outcome.get("state")), 16),
        "kind": clean(str(kind), 16) if kind else None,
    }

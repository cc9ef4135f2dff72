# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""`crashready pairings`: the database of known bad pairings, and what it says of a machine."""

from __future__ import annotations

import argparse
import datetime
import importlib.util
import json
import os
import sys
import types
import typing as t

from rich.console import Console
from rich.table import Table

from ._core import cve_index, judge, pairing_database, remedy, waiver
from ._core.derived_bugs import DerivedBugs
from ._core.errors import CoreError
from ._core.pairing_entry import Entry
from .exits import BAD, UNKNOWN, USAGE, WELL, ToolError
from .pairings_bugs import add_bugs_parser
from .pairings_changelog import add_changelog_parser
from .pairings_import import add_import_parser
from .version import collection_root

__all__ = ["add_arguments", "exit_code", "load_database", "read_waivers", "run"]

#: Version of the shape of what `--json` prints for list, lint and explain.
SCHEMA = 1

#: Facts of a host with a hundred NICs have some hundred kB.
_FACTS_LIMIT = 16 * 1024 * 1024

_STYLES = {"bad": "red", "unknown": "yellow", "suspect": "magenta", "waived": "cyan", "clear": "green"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The subcommands; each sets `action`, a function of the parsed arguments that gives the exit code."""
    subparsers = parser.add_subparsers(dest="subcommand", metavar="SUBCOMMAND", required=True)
    shown = _subcommand(subparsers, "list", "every entry in a line", _list)
    shown.add_argument("--driver", metavar="NAME", help="only entries about this driver or module")
    shown.add_argument("--use", choices=("pin", "advise", "file-check", "info", "historical"), help="only of this use")
    shown = _subcommand(subparsers, "show", "one entry with its ranges, remedy and sources", _show)
    shown.add_argument("id", metavar="ID", help="as `crashready pairings list` shows it")
    _subcommand(subparsers, "lint", "check the entries: structure, meaning, contradictions", _lint)
    shown = _subcommand(
        subparsers, "explain", "judge a machine: each NIC's verdict with its reasons, and the remedy", _explain
    )
    shown.add_argument(
        "facts", nargs="?", metavar="FACTS", help="file from `crashready facts --json`, - for stdin; else this machine"
    )
    shown.add_argument("--host", metavar="NAME", default="", help="its name, for waivers of single hosts")
    shown.add_argument("--waivers", metavar="FILE", help="YAML file with a list of waivers (crashready_waivers)")
    shown.add_argument(
        "--suite", metavar="SUITE", action="append", help="a kernel may come from here (repeatable); else from anywhere"
    )
    add_bugs_parser(subparsers, load_derived)
    add_import_parser(subparsers)
    add_changelog_parser(subparsers)


def _subcommand(
    subparsers: t.Any, name: str, about: str, action: t.Callable[[argparse.Namespace], int]
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = subparsers.add_parser(name, help=about, description=about)
    parser.add_argument(
        "--dir",
        metavar="FOLDER",
        action="append",
        default=[],
        help="entries of your own, beside the shipped (repeatable)",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object with sorted keys")
    parser.set_defaults(action=action)
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Run the subcommand that was chosen."""
    return int(arguments.action(arguments))


def _files() -> types.ModuleType:
    """The collection's reader of the database: plugin_utils has no package of its own below `crashready`."""
    path = os.path.join(collection_root(), "plugins", "plugin_utils", "pairings.py")
    name = "crashready._pairing_files"
    found = sys.modules.get(name)
    if found is None:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        found = importlib.util.module_from_spec(spec)
        sys.modules[name] = found  # typing.NamedTuple looks there for the module of its fields
        spec.loader.exec_module(found)
    return found


def _read(folders: t.Sequence[str]) -> tuple[list[t.Any], t.Any, list[t.Any]]:
    """Files of entries, the file of the coverage, and faults of structure."""
    files = _files()
    documents, faults = files.read_folders(list(folders))
    coverage, more = files.read_coverage()
    return documents, coverage, [*faults, *more]


def load_derived() -> cve_index.CveIndex:
    """The shipped index of CVEs of NIC drivers. Raises ToolError."""
    try:
        return cve_index.load_index(_files().read_derived())
    except (OSError, ValueError, CoreError) as exc:
        raise ToolError("the index of CVEs cannot be read: {0}".format(exc)) from exc


def load_database(folders: t.Sequence[str] = ()) -> judge.Database:
    """The shipped database with the folders of a user. Raises ToolError that names file, line and field."""
    try:
        return pairing_database.build_database(*_read(folders))
    except CoreError as exc:
        raise ToolError(str(exc)) from exc


def _print_json(value: t.Any) -> None:
    print(json.dumps(value, indent=2, sort_keys=True))


# --- list and show -------------------------------------------------------------------------------------------------


def _console() -> Console:
    """As wide as the terminal; in a pipe wide enough that no id is cut."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=160)


def _list(arguments: argparse.Namespace) -> int:
    entries = [
        entry
        for _name, entry in sorted(load_database(arguments.dir).entries.items())
        if arguments.driver in (None, *entry.modules) and arguments.use in (None, entry.use)
    ]
    if arguments.json:
        _print_json({"schema": SCHEMA, "entries": [_brief(entry) for entry in entries]})
        return WELL
    table = Table("id", "driver", "use", "class", "firmware", "kernel with the fix", box=None, pad_edge=False)
    for entry in entries:
        brief = _brief(entry)
        table.add_row(
            entry.id, brief["driver"], entry.use, brief["class"], brief["firmware"], entry.remedy_kernel or "-"
        )
    console = _console()
    console.print(table)
    console.print("{0} entries".format(len(entries)))
    return WELL


def _brief(entry: Entry) -> dict[str, t.Any]:
    wanted = entry.firmware
    decided = "range" if wanted.ranges else "file" if wanted.files else "condition" if wanted.part else "-"
    return {
        "id": entry.id,
        "driver": entry.raw["driver"],
        "modules": sorted(entry.modules),
        "use": entry.use,
        "confidence": entry.confidence,
        "class": entry.raw["symptom"]["class"],
        "firmware": decided,
        "summary": entry.summary,
        "kernel": entry.remedy_kernel,
        "cve": sorted(entry.cve),
        "own": entry.own,
    }


def _show(arguments: argparse.Namespace) -> int:
    entry = load_database(arguments.dir).entries.get(arguments.id)
    if entry is None:
        print(
            "crashready: no entry is called {0!r}; see: crashready pairings list".format(arguments.id), file=sys.stderr
        )
        return USAGE
    if arguments.json:
        _print_json(entry.raw)
        return WELL
    console = _console()
    console.print(entry.id, style="bold", markup=False)
    for label, lines in _parts(entry):
        for index, line in enumerate(lines):
            console.print("  {0:<12} {1}".format("" if index else label, line), markup=False, soft_wrap=True)
    return WELL


def _parts(entry: Entry) -> list[tuple[str, list[str]]]:
    raw = entry.raw
    rows = raw["kernel"].get("affected") or []
    streams = raw.get("debian") or {}
    return [
        ("summary", [entry.summary]),
        ("use", ["{0} ({1})".format(entry.use, entry.confidence)]),
        ("symptom", ["{0}, set off by: {1}".format(raw["symptom"]["class"], raw["symptom"].get("trigger", "?"))]),
        ("driver", [", ".join(sorted(entry.modules))]),
        ("cards", ["{0}: {1}".format(each["vendor"], " ".join(each["devices"])) for each in raw.get("pci") or []]),
        ("kernel", [_row(row) for row in rows] or [entry.kernel.text or "every kernel"]),
        ("Debian", ["{0}: {1}".format(name, _stream(stream)) for name, stream in streams.items()]),
        ("firmware", _firmware_lines(entry)),
        ("look for", list(entry.look_for)),
        ("remedy", [line for line in [entry.remedy_kernel, *(_advice_line(each) for each in entry.advice)] if line]),
        ("CVE", [", ".join(sorted(entry.cve))] if entry.cve else []),
        ("sources", list(raw["sources"])),
        ("file", [entry.path]),
    ]


def _row(row: dict[str, t.Any]) -> str:
    assumed = " (assumed)" if row.get("first_bad_assumed") else ""
    return "{branch}: bad from {first_bad}{0} to before {1}".format(
        assumed, row["first_good"] or "no fix so far", **row
    )


def _stream(stream: dict[str, t.Any]) -> str:
    if stream["fixed"] == "all":
        return "no package has it"
    since = "since {0}, ".format(stream["first_bad"]) if stream.get("first_bad") else ""
    return since + ("fixed in {0}".format(stream["fixed"]) if stream["fixed"] else "no fix so far")


def _firmware_lines(entry: Entry) -> list[str]:
    wanted = entry.firmware
    if not wanted.part:
        return ["no part of it"]
    lines = [
        " and ".join("{0} {1}".format(operator, limit) for operator, limit in sorted(limits.items()))
        + (" ({0})".format(condition) if condition else "")
        for limits, condition in wanted.ranges
    ]
    lines += ["needs {0}".format(name) for name in wanted.files]
    return (lines or ["no version is known that decides it"]) + ([wanted.note] if wanted.note else [])


def _advice_line(each: t.Mapping[str, str]) -> str:
    return "{0}: {1}".format(each["command"], each["says"]) if each["command"] else each["says"]


# --- lint ----------------------------------------------------------------------------------------------------------


def _lint(arguments: argparse.Namespace) -> int:
    documents, coverage, faults = _read(arguments.dir)
    entries, wrong = pairing_database.build_entries(documents)
    faults = [*faults, *wrong]
    if not faults:
        try:
            pairing_database.build_database(documents, coverage)
        except pairing_database.DatabaseError as exc:
            faults = list(exc.faults)
    if arguments.json:
        _print_json({"schema": SCHEMA, "entries": len(entries), "faults": [fault._asdict() for fault in faults]})
    else:
        for fault in faults:
            print(fault)
        print("{0} entries, {1} faults".format(len(entries), len(faults)))
    return BAD if faults else WELL


# --- explain -------------------------------------------------------------------------------------------------------


def exit_code(verdict: str) -> int:
    """This tool's exit code for a verdict; suspect asks a person to look, and alone is no failure."""
    return {"bad": BAD, "unknown": UNKNOWN}.get(verdict, WELL)


def _explain(arguments: argparse.Namespace) -> int:
    database = load_database(arguments.dir)
    waivers = read_waivers(arguments.waivers, database)
    facts, today = _facts(arguments.facts), datetime.date.today().isoformat()
    found = judge.judge_host(facts, database, waivers, arguments.host, today)
    derived = DerivedBugs(load_derived()).of(facts) if found["remedies"] else None
    found["remedy"] = remedy.choose_remedy(facts, database, arguments.suite, waivers, arguments.host, today, derived)
    if arguments.json:
        _print_json(found)
    else:
        _render(found)
    return exit_code(found["verdict"])


def read_waivers(path: str | None, database: judge.Database) -> list[waiver.Waiver]:
    """The waivers of a YAML file: a list of them, or `crashready_waivers` with one. None: there are none.

    Raises ToolError for a file that cannot be read, and for a waiver of no entry in `database`.
    """
    if path is None:
        return []
    value, _lines, faults = _files().read_yaml(path)
    if faults:
        raise ToolError("; ".join(str(fault) for fault in faults))
    if isinstance(value, dict) and set(value) == {"crashready_waivers"}:
        value = value["crashready_waivers"]
    try:
        return waiver.parse_waivers(value, database.entries)
    except CoreError as exc:
        raise ToolError("{0}: {1}".format(path, exc)) from exc


def _facts(path: str | None) -> t.Any:
    """The facts of this machine, or those in a file: as the command prints them or as Ansible keeps them."""
    if path is None:
        from ._host.facts import collect_facts
        from ._host.local import LocalHost

        return collect_facts(LocalHost(), ("nics", "kernel", "capture", "candidates"))
    try:
        with open(sys.stdin.fileno() if path == "-" else path, encoding="utf-8", closefd=path != "-") as stream:
            text = stream.read(_FACTS_LIMIT + 1)
        if len(text) > _FACTS_LIMIT:
            raise ToolError("{0} is larger than {1} bytes: these are no facts".format(path, _FACTS_LIMIT))
        facts = json.loads(text)
    except (OSError, ValueError, RecursionError) as exc:
        raise ToolError("{0} has no facts: {1}. Make them with: crashready facts --json".format(path, exc)) from exc
    for key in ("ansible_facts", "crashready"):
        facts = facts[key] if isinstance(facts, dict) and isinstance(facts.get(key), dict) else facts
    if not isinstance(facts, dict) or "nics" not in facts:
        raise ToolError("{0} has no facts with NICs. Make them with: crashready facts --json".format(path))
    return facts


def _render(found: dict[str, t.Any]) -> None:
    console = _console()
    console.print("kernel {0}".format(found["kernel"]["says"]), markup=False)
    for nic in found["nics"]:
        console.print("{0}: ".format(nic["name"]), end="", markup=False, style="bold")
        console.print(nic["verdict"], style=_STYLES[nic["verdict"]])
        for reason in (*nic["reasons"], *nic["waived"]):
            for line in _reason_lines(reason):
                console.print(line, markup=False, soft_wrap=True)
        for text in nic["unknown"]:
            console.print("  unknown: {0}".format(text), markup=False, soft_wrap=True)
    for each in found["waivers"]:
        if each["expired"]:
            says = "the waiver of {entry} ended on {until} and waives nothing ({reason})"
            console.print(says.format(**each), style="red", markup=False, soft_wrap=True)
    _render_remedy(console, found["remedy"])


def _reason_lines(reason: dict[str, t.Any]) -> list[str]:
    word = "waived until {0}".format(reason["waiver"]["until"]) if "waiver" in reason else reason["verdict"]
    lines = ["  {0}: {1} ({2})".format(word, reason["entry"], reason["use"]), "    " + reason["says"]]
    lines.append("    kernel {result}: {says}".format(**reason["kernel"]))
    if reason["firmware"]:
        lines.append("    firmware {result}: {says}".format(**reason["firmware"]))
    return lines + ["    look for: {0}".format(text) for text in reason["look_for"]]


def _render_remedy(console: Console, plan: dict[str, t.Any]) -> None:
    def say(text: str) -> None:
        console.print(text, markup=False, soft_wrap=True)

    say("remedy: {0}".format(plan["says"]))
    choice = plan["choice"]
    if choice:
        for row in choice["needs_files"]:
            state = "missing" if row["present"] is False else "not seen"
            say("  needs /lib/firmware/{path}: {0}".format(state, **row))
        if choice["derived"]:
            counts = {name: len(choice["derived"][name]) for name in ("fixes", "brings")}
            says = "  of the known CVEs of its NIC drivers it fixes {fixes} and brings {brings}; {undecided} undecided"
            say(says.format(undecided=choice["derived"]["undecided"], **counts))
        for note in choice["notes"]:
            say("  note: {0}".format(note))
        say("  dumps of it: {reason}".format(**choice["capture"]))
        if choice["capture"]["crash"]:
            say("  {crash}".format(**choice["capture"]))
    for each in plan["refused"]:
        say("  not {package} {version} ({0}): {reason}".format(", ".join(each["suites"]), **each))
    for each in plan["advice"]:
        say("  or: {0}".format(_advice_line(each)))

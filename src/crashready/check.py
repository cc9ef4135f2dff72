# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""`crashready check`: would this rack keep its next panic, and does a known bad pairing wait in it?

Facts of an inventory's hosts, of recorded ones, or of this machine; each host is
armed or not, and each NIC has its verdict. The worst host decides the exit code: 1
for something bad, before 2 for something unknown, so that a monitor may call it.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import pathlib
import socket
import sys
import typing as t

from ._core.rack import capture_state
from ._core.text import clean
from .exits import BAD, UNKNOWN, USAGE, WELL, ToolError
from .inventory_arguments import add_rack_arguments, asked_of
from .inventory_hosts import NoHosts
from .remember import add_store_arguments, memory_for

__all__ = [
    "SCHEMA",
    "STATES",
    "Checked",
    "Judge",
    "Looked",
    "add_arguments",
    "add_judge_arguments",
    "as_json",
    "capture_state",
    "check_host",
    "exit_code",
    "looks",
    "run",
]

#: Version of the shape of `--json`: docs/check.schema.json.
SCHEMA = 1
#: Of a host, worst first.
STATES = ("bad", "unknown", "suspect", "well")

_SUBSETS = ("nics", "kernel", "capture", "crashes")
_FACTS_LIMIT = 32 * 1024 * 1024
_RACK_LIMIT = 1024 * 1024 * 1024
_FILES_LIMIT = 50_000

Facts = dict[str, t.Any]


class Checked(t.NamedTuple):
    """Where one host stands."""

    host: str
    state: str  #: one of STATES
    capture: str  #: "armed", "not armed", "unknown" or "not applicable"
    says: tuple[str, ...]  #: what is bad or unknown, and what to do, a line each
    judged: dict[str, t.Any] | None  #: of `_core.judge.judge_host`
    failure: str  #: why there are no facts


class Looked(t.NamedTuple):
    """One host as it was looked at: its judgement, and what that was made of."""

    checked: Checked
    facts: Facts | None
    variables: t.Mapping[str, t.Any]  #: of the inventory, those that were asked for
    seen_at: datetime.datetime
    cause: str = ""  #: why there are no facts: the heading of a key of `fanout.outcome.CAUSES`
    next: str = ""  #: what to do about it
    asked: bool = True  #: False where the run was ended before its turn came: that is no look


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Whose facts, what counts as bad, and how to show it."""
    parser.add_argument("--json", action="store_true", help="one JSON object with sorted keys")
    add_judge_arguments(parser)


def add_judge_arguments(parser: argparse.ArgumentParser) -> None:
    """Whose facts, what they are judged by, and what counts as bad."""
    parser.add_argument(
        "--from",
        dest="recorded",
        metavar="PATH",
        action="append",
        type=pathlib.Path,
        help="recorded facts in place of hosts: a folder with HOST.json files or archives of `sos report`, or one such "
        "file (can be repeated)",
    )
    parser.add_argument(
        "--fail-on", choices=("bad", "suspect"), default="bad", help="count a suspect pairing as bad (default: bad)"
    )
    parser.add_argument(
        "--dir", metavar="FOLDER", action="append", default=[], help="pairing entries of your own, beside the shipped"
    )
    parser.add_argument("--waivers", metavar="FILE", help="YAML file with a list of waivers (crashready_waivers)")
    add_store_arguments(parser, "looks at an inventory are kept without it")
    add_rack_arguments(parser)


# --- judging ---------------------------------------------------------------------------------------------------------


def check_host(host: str, facts: t.Any, judged: dict[str, t.Any]) -> Checked:
    """Put the state of the capture and the verdict of the pairings together; the worse one counts."""
    from ._core.judge import why_bad

    capture, says = capture_state(facts)
    verdict = str(judged["verdict"])
    if verdict == "bad":
        says += why_bad(judged).split("\n")
    elif verdict in ("unknown", "suspect"):
        says.append(str(judged["says"]))
    for each in judged["waivers"]:
        if each["expired"]:
            says.append("the waiver of {entry} ended on {until}".format(**each))
    states = [{"not armed": "bad", "unknown": "unknown"}.get(capture, "well")]
    states.append(verdict if verdict in STATES else "well")
    return Checked(host, min(states, key=STATES.index), capture, tuple(clean(line, 600) for line in says), judged, "")


def exit_code(checked: t.Iterable[Checked], fail_on: str = "bad") -> int:
    """The worst host counts; a suspect one only where it was asked for, and then beside what is unknown as well."""
    states = set()
    for each in checked:
        states.add(each.state)
        if _has_suspect(each):
            states.add("suspect")
    if "bad" in states or (fail_on == "suspect" and "suspect" in states):
        return BAD
    return UNKNOWN if "unknown" in states or not states else WELL


def _has_suspect(checked: Checked) -> bool:
    """Whether an entry speaks of a NIC here, though what is not known of the host stands above it."""
    nics = checked.judged["nics"] if checked.judged else ()
    return any(reason["verdict"] == "suspect" for nic in nics for reason in nic["reasons"])


class Judge:
    """The database, read once for each set of folders, and the waivers of each host."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._folders = tuple(arguments.dir)
        self._waivers_file = arguments.waivers
        self._today = datetime.date.today().isoformat()
        self._databases: dict[tuple[str, ...], t.Any] = {}
        self._waivers: dict[tuple[tuple[str, ...], str], list[t.Any]] = {}

    def check(self, host: str, facts: t.Any, variables: t.Mapping[str, t.Any]) -> Checked:
        """Judge one host. Raises ToolError for entries or waivers that cannot be read."""
        from ._core.judge import judge_host

        own = variables.get("crashready_pairings_dirs") or ()
        folders = (*self._folders, *([own] if isinstance(own, str) else [str(each) for each in own]))
        database = self._database(folders)
        waivers = self._waivers_of(host, folders, variables.get("crashready_waivers"))
        return check_host(host, facts, judge_host(facts, database, waivers, host, self._today))

    def _database(self, folders: tuple[str, ...]) -> t.Any:
        from .pairings import load_database

        if folders not in self._databases:
            self._databases[folders] = load_database(folders)
        return self._databases[folders]

    def _waivers_of(self, host: str, folders: tuple[str, ...], told: t.Any) -> list[t.Any]:
        from ._core.errors import CoreError
        from ._core.waiver import parse_waivers
        from .pairings import read_waivers

        key = (folders, json.dumps(told, sort_keys=True, default=str))
        if key not in self._waivers:
            database = self._database(folders)
            try:
                mine = parse_waivers(json.loads(key[1]), database.entries) if told else []
            except CoreError as exc:
                raise ToolError("crashready_waivers of {0}: {1}".format(host, exc)) from exc
            self._waivers[key] = [*read_waivers(self._waivers_file, database), *mine]
        return self._waivers[key]


# --- whose facts -----------------------------------------------------------------------------------------------------


def run(arguments: argparse.Namespace) -> int:
    """Judge and show; the worst host decides the exit code."""
    if arguments.recorded and arguments.inventory and not arguments.local:
        print("crashready check: --from and -i are two ways to the same: give one of them", file=sys.stderr)
        return USAGE
    checked = []
    try:
        with memory_for(arguments, by_itself=True) as memory:
            for looked in looks(arguments):
                checked.append(looked.checked)
                memory.add(looked)
    except NoHosts as exc:
        print("crashready check: {0}".format(exc), file=sys.stderr)
        return USAGE
    _show(checked, arguments)
    return exit_code(checked, arguments.fail_on)


def looks(arguments: argparse.Namespace, variables: t.Sequence[str] = ()) -> t.Iterator[Looked]:
    """Look at the hosts that the options name, and judge each. Raises NoHosts for wrong usage, ToolError.

    `variables` are further ones of the inventory that the caller wants of each host.
    """
    judge = Judge(arguments)
    if arguments.recorded:
        for path in arguments.recorded:
            yield from _of_records(judge, path)
    elif arguments.inventory and not arguments.local:
        yield from _of_rack(judge, arguments, variables)
    else:
        yield _of_this_machine(judge)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)


def _of_this_machine(judge: Judge) -> Looked:
    from ._host.facts import collect_facts
    from ._host.local import LocalHost

    facts = collect_facts(LocalHost(), _SUBSETS)
    return Looked(judge.check(clean(socket.gethostname(), 128), facts, {}), facts, {}, _now())


def _of_rack(judge: Judge, arguments: argparse.Namespace, variables: t.Sequence[str]) -> t.Iterator[Looked]:
    from .fanout.outcome import CAUSES
    from .fanout.rack_facts import ask_rack
    from .inventory_hosts import JUDGE_VARIABLES, read_rack

    rack = read_rack(arguments.inventory, asked_of(arguments, (*JUDGE_VARIABLES, *variables)))
    outcomes = ask_rack(rack, _SUBSETS, arguments)
    moment = _now()
    for target in rack.targets:
        outcome, known = outcomes[target.name], target.variables
        if outcome.cause:
            checked = _without_facts(target.name, "{0}: {1}".format(outcome.cause, outcome.says))
            cause = CAUSES[outcome.cause]
            yield Looked(checked, None, known, moment, cause.title, cause.next, outcome.cause != "interrupted")
        else:
            facts = outcome.facts()
            yield Looked(judge.check(target.name, facts, known), facts, known, moment)


def _without_facts(host: str, why: str) -> Checked:
    return Checked(clean(host, 200), "unknown", "unknown", (clean(why, 600),), None, clean(why, 600))


def _of_records(judge: Judge, path: pathlib.Path) -> t.Iterator[Looked]:
    """What a path has, with the time at which each file was written."""
    for host, facts, failure, seen_at in _recorded(path):
        if failure:
            yield Looked(_without_facts(host, failure), None, {}, seen_at, failure)
        else:
            yield Looked(judge.check(host, facts, {}), facts, {}, seen_at)


def _recorded(path: pathlib.Path) -> t.Iterator[tuple[str, t.Any, str, datetime.datetime]]:
    """(host, facts, why there are none, when the file was written) of each host of a path. Raises ToolError."""
    if path.is_dir():
        try:
            names = sorted(name for name in os.listdir(path) if not name.startswith("."))[:_FILES_LIMIT]
        except OSError as exc:
            raise ToolError("{0}: {1}".format(path, exc.strerror)) from exc
        files = [path / name for name in names if (path / name).is_file() and _is_record(name)]
        if not files:
            raise ToolError("{0} has no HOST.json and no archive of `sos report`".format(path))
    elif path.is_file():
        files = [path]
    else:
        raise ToolError("there is no {0}".format(path))
    for file in files:
        try:
            written_at = datetime.datetime.fromtimestamp(file.stat().st_mtime, datetime.timezone.utc)
        except (OSError, ValueError, OverflowError):
            written_at = _now()
        for host, facts, failure in _of_file(file):
            yield host, facts, failure, written_at


def _is_record(name: str) -> bool:
    from .sosreport import SUFFIXES

    return name.endswith((".json", *SUFFIXES))


def _of_file(path: pathlib.Path) -> t.Iterator[tuple[str, t.Any, str]]:
    from .sosreport import SUFFIXES, Unusable, facts_of_sosreport

    try:
        if path.name.endswith(SUFFIXES):
            yield (*facts_of_sosreport(str(path)), "")
            return
        value = _read_json(path)
    except Unusable as exc:
        yield path.name, None, "{0}: {1}".format(path, exc)
        return
    except (OSError, ValueError, RecursionError) as exc:
        yield path.name.removesuffix(".json"), None, "{0}: no facts of a host: {1}".format(path, exc)
        return
    if isinstance(value, dict) and isinstance(value.get("hosts"), dict):
        yield from _of_rack_file(value["hosts"])
        return
    for key in ("ansible_facts", "crashready"):
        if isinstance(value, dict) and isinstance(value.get(key), dict):
            value = value[key]
    right = isinstance(value, dict) and isinstance(value.get("schema"), int)
    name = path.name.removesuffix(".json")
    yield name, value if right else None, "" if right else "{0}: no facts of Crashready".format(path)


def _read_json(path: pathlib.Path) -> t.Any:
    """A file of one host, or what `crashready facts -i ... --json` printed of a whole rack."""
    with path.open("rb") as stream:
        data = stream.read(64)
        limit = _RACK_LIMIT if b'"hosts"' in data else _FACTS_LIMIT
        data += stream.read(limit)
    if len(data) > limit:
        raise ValueError("it has more than {0} bytes".format(limit))
    return json.loads(data)


def _of_rack_file(hosts: dict[str, t.Any]) -> t.Iterator[tuple[str, t.Any, str]]:
    for name, entry in hosts.items():
        facts = entry.get("facts") if isinstance(entry, dict) else None
        failure = entry.get("failure") if isinstance(entry, dict) else None
        if isinstance(facts, dict):
            yield name, facts, ""
        else:
            says = failure.get("says") if isinstance(failure, dict) else None
            yield name, None, str(says or "there were no facts of it")


# --- showing ---------------------------------------------------------------------------------------------------------


def _show(checked: list[Checked], arguments: argparse.Namespace) -> None:
    if arguments.json:
        hosts = {each.host: as_json(each) for each in checked}
        worst = min((each.state for each in checked), key=STATES.index, default="unknown")
        print(json.dumps({"schema": SCHEMA, "state": worst, "hosts": hosts}, indent=2, sort_keys=True))
        return
    _show_table(checked)


def as_json(checked: Checked) -> dict[str, t.Any]:
    """A host as docs/check.schema.json has it."""
    return {
        "state": checked.state,
        "capture": checked.capture,
        "says": list(checked.says),
        "pairings": checked.judged,
        "failure": checked.failure or None,
    }


def _show_table(checked: list[Checked]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    styles = {"bad": "red", "unknown": "yellow", "suspect": "magenta", "well": "green"}
    table = Table("HOST", "STATE", "CAPTURE", "PAIRINGS", "WHAT", box=None, pad_edge=False)
    for each in sorted(checked, key=lambda each: STATES.index(each.state)):
        verdict = str(each.judged["verdict"]) if each.judged else "unknown"
        table.add_row(
            clean(each.host, 80),
            Text(each.state, style=styles[each.state]),
            each.capture,
            verdict,
            "\n".join(each.says),
        )
    console = Console(highlight=False, markup=False)
    (console if console.is_terminal else Console(highlight=False, markup=False, width=200)).print(table)
    counts = ["{0} {1}".format(sum(each.state == state for each in checked), state) for state in STATES]
    console.print("{0} hosts: {1}".format(len(checked), ", ".join(counts)))

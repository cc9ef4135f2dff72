# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""`crashready drill`: panics hosts one at a time, with consent by name, and says whose capture is proven.

Its run is kept in a folder with every event. `--resume` goes on with an earlier one, for the hosts that have no
verdict yet; a panic under way is read where it was left, and each further one needs a yes again.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import pathlib
import shutil
import sys
import typing as t

from . import collection
from ._core.drill import strangers
from ._core.drilloutcome import SCHEMA, render_outcomes
from ._core.drillrecord import KINDS
from ._core.text import clean
from .exits import BAD, UNKNOWN, USAGE, WELL, ToolError
from .inventory_hosts import Asked, NoHosts, read_rack
from .rack_run import WrongUsage, refuse_changes, show_end, without_yes
from .remember import add_keeping_arguments, drilled_at, keeper_for

if t.TYPE_CHECKING:
    from .playbook_run import RunFolder
    from .remember import Memory

__all__ = ["add_arguments", "ask", "command_line", "exit_code", "left_of", "outcomes_of", "run"]

_PLAYBOOK = collection.NAME + ".drill"
_STATES = {"proven": WELL, "would go": WELL, "unreachable": UNKNOWN, "unproven": BAD, "refused": BAD, "hung": BAD}
#: What a drill was, rather than an attempt at one: these replace an earlier file.
_DRILLED = ("proven", "unproven", "hung")
#: Where nothing is left to do: nobody panics twice because a run is gone on with.
_FINISHED = ("proven", "unproven", "would go")
_OUTCOME_LIMIT = 4 * 1024 * 1024

Outcome = dict[str, t.Any]


def _hosts(text: str) -> list[str]:
    hosts = [host.strip() for host in text.split(",")]
    if not all(hosts):
        raise argparse.ArgumentTypeError("{0!r} is not a list HOST,HOST".format(text))
    return hosts


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that are ours; those of --ansible go to ansible-playbook as they are."""
    parser.add_argument("hosts", nargs="*", metavar="HOST", help="hosts to panic, by their names in the inventory")
    parser.add_argument("-i", "--inventory", action="append", help="inventory of the rack (can be repeated)")
    parser.add_argument(
        "--yes",
        metavar="HOST[,HOST]",
        action="append",
        default=[],
        type=_hosts,
        help="hosts that may panic without a question; each has to be named, there is no all",
    )
    parser.add_argument("--kind", choices=KINDS, help="how they panic (default: sysrq, or crash_drill_kind)")
    parser.add_argument("--timeout", metavar="SECONDS", type=int, help="how long to wait for a host to come back")
    parser.add_argument("--check", action="store_true", help="panic nothing, say which hosts could go")
    parser.add_argument("--json", action="store_true", help="the outcomes as one JSON object")
    parser.add_argument(
        "--records",
        metavar="FOLDER",
        type=pathlib.Path,
        default=pathlib.Path("crashready-drills"),
        help="where the outcomes are kept, one file a host (default: crashready-drills)",
    )
    parser.add_argument(
        "-e", "--extra-vars", metavar="VARS", action="append", default=[], help="as for ansible-playbook"
    )
    parser.add_argument("--run-folder", metavar="FOLDER", type=pathlib.Path, help="where folders of runs are made")
    parser.add_argument(
        "--resume",
        metavar="RUN",
        nargs="?",
        const="last",
        help="go on with an earlier run: its folder, or without one the last; each panic needs a yes again",
    )
    parser.add_argument("--ansible", metavar="OPTION", action="append", default=[], help="handed to ansible-playbook")
    add_keeping_arguments(parser)


def ask(host: str, kind: str | None, prompt: t.Callable[[str], str] = input) -> str | None:
    """Ask for the yes to one panic: None where the name was typed, else what was said instead."""
    print(
        "{0} will panic now{1}: every process on it dies at once. It comes back by itself after its dump, if its "
        "capture works; if not, somebody has to reset it.".format(host, " ({0})".format(kind) if kind else ""),
        file=sys.stderr,
    )
    try:
        said = prompt("Type the name of the host to let it panic, anything else to leave it alone: ")
    except EOFError:
        said = ""
    return None if said.strip() == host else said.strip()


def _consents(arguments: argparse.Namespace, hosts: list[str]) -> tuple[list[str], list[Outcome]]:
    """Hosts with a yes, and the outcomes of those that the operator said no to."""
    yes = [host for given in arguments.yes for host in given]
    if arguments.check or not sys.stdin.isatty():
        return yes, []  # a yes may stand in the inventory; without one the playbook refuses
    declined = []
    for host in hosts:
        if host in yes:
            continue
        said = ask(host, arguments.kind)
        if said is None:
            yes.append(host)
        else:
            reason = "you did not type its name ({0!r}): it was left alone".format(clean(said, 60))
            declined.append(_outcome(host, "refused", reason, ""))
    return yes, declined


def _outcome(host: str, state: str, reason: str, after: str) -> Outcome:
    shape: Outcome = {"schema": SCHEMA, "host": host, "state": state, "reasons": [reason], "next": after}
    shape.update(
        notes=[], drill_id=None, estimate=None, record=None, proposal=None, timeline=[], console=[], channels=[]
    )
    return {**shape, "returned_after_s": None}


def command_line(arguments: argparse.Namespace, hosts: t.Sequence[str]) -> list[str]:
    """The ansible-playbook command line, without the program and without a yes."""
    words = [_PLAYBOOK]
    for inventory in arguments.inventory:
        words += ["-i", inventory]
    words += ["--check"] if arguments.check else []
    for variables in arguments.extra_vars:
        words += ["-e", variables]
    return [*words, "-e", json.dumps({"crashready_hosts": list(hosts), **_variables(arguments)}), *arguments.ansible]


def _variables(arguments: argparse.Namespace) -> dict[str, t.Any]:
    ours: dict[str, t.Any] = {}
    if arguments.kind:
        ours["crash_drill_kind"] = arguments.kind
    if arguments.timeout is not None:
        ours["crash_drill_timeout_s"] = arguments.timeout
    return ours


def outcomes_of(folder: pathlib.Path, hosts: t.Iterable[str], code: int) -> list[Outcome]:
    """What the playbook wrote of each host; `code` is how ansible-playbook ended."""
    found = []
    for host in hosts:
        try:
            with (folder / (host + ".json")).open(encoding="utf-8") as stream:
                outcome = json.loads(stream.read(_OUTCOME_LIMIT))
            if outcome["state"] not in _STATES or outcome["host"] != host:
                raise ValueError(outcome["state"])
        except FileNotFoundError:
            reason = "the run ended (ansible-playbook: {0}) before this host; its output is above".format(code)
            outcome = _outcome(host, "unreachable", reason, "run the same command again")
        except (OSError, ValueError, KeyError, TypeError) as exc:
            reason = "its outcome cannot be read: {0}".format(clean(str(exc), 200))
            outcome = _outcome(host, "unproven", reason, "run the same command again")
        found.append(outcome)
    return found


def exit_code(outcomes: t.Iterable[Outcome]) -> int:
    """The worst host counts, 1 before 2."""
    codes = {_STATES[outcome["state"]] for outcome in outcomes}
    return BAD if BAD in codes else UNKNOWN if UNKNOWN in codes else WELL


def left_of(folder: pathlib.Path, hosts: t.Iterable[str]) -> list[str]:
    """Hosts of an earlier run that have no verdict yet, by the outcomes that it wrote."""
    return [outcome["host"] for outcome in outcomes_of(folder, hosts, 0) if outcome["state"] not in _FINISHED]


def _keep(folder: pathlib.Path, records: pathlib.Path, outcomes: t.Iterable[Outcome], memory: Memory) -> None:
    """In the folder of records, and in the store: with one moment, so that `crashready report` reads one drill."""
    for outcome in outcomes:
        path = folder / (outcome["host"] + ".json")
        if outcome["state"] in _DRILLED and path.exists():
            new = records / (".{0}.{1}".format(path.name, os.getpid()))
            shutil.copy2(path, new)
            new.replace(records / path.name)
            if outcome["drill_id"]:
                memory.add_drill(outcome, _moment(outcome, path.stat().st_mtime))


def _moment(outcome: Outcome, written_s: float) -> dt.datetime:
    try:
        return drilled_at(outcome, written_s)
    except (KeyError, TypeError, ValueError, OverflowError):  # a clock that no calendar has
        return dt.datetime.fromtimestamp(written_s, dt.timezone.utc)


class _Begun(t.NamedTuple):
    """A run that is about to go (on): its folder, the words without a yes, the hosts that are to be drilled."""

    folder: RunFolder
    words: list[str]
    hosts: list[str]

    @property
    def outcomes(self) -> pathlib.Path:
        """Where the playbook writes them."""
        return self.folder.path / "outcomes"


def _prepared(arguments: argparse.Namespace) -> _Begun:
    """A new run, or what is left of an earlier one. Raises ToolError."""
    from .playbook_run import RunFolder, last_run

    if arguments.resume is None:
        hosts = list(dict.fromkeys(arguments.hosts))
        words = command_line(arguments, hosts)
        folder = RunFolder.make("drill", words, arguments.run_folder)
        folder.record["hosts"] = hosts
        folder.write()
        (folder.path / "outcomes").mkdir(mode=0o700)
        return _Begun(folder, words, hosts)
    path = last_run("drill") if arguments.resume == "last" else pathlib.Path(arguments.resume)
    folder = RunFolder.open(path, "drill")
    named = folder.record.get("hosts")
    if not isinstance(named, list) or not all(isinstance(host, str) for host in named):
        raise ToolError("{0} does not say which hosts were to be drilled".format(path))
    words = without_yes(folder.record["argv"], "crash_drill_consent")
    if "--check" in words:
        raise ToolError("{0} was a run with --check, which leaves nothing to go on with".format(path))
    told = _variables(arguments)
    same = not told or json.dumps({"crashready_hosts": named, **told}) in words
    refuse_changes(path, words, arguments, {} if same else told, arguments.ansible)
    hosts = left_of(folder.path / "outcomes", named)
    return _Begun(folder, [*words, "-e", json.dumps({"crashready_hosts": hosts})], hosts)


def _play(
    arguments: argparse.Namespace, begun: _Begun, hosts: list[str], yes: list[str], memory: Memory
) -> list[Outcome]:
    """Run the playbook for these hosts; progress goes to standard error."""
    from .playbook_run import ask_passwords, run_playbook
    from .playbook_view import view_for

    records = arguments.records.absolute()
    try:
        records.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise ToolError("the outcomes cannot be kept: {0}. Choose another folder with --records".format(exc)) from exc
    for host in hosts:  # of an earlier attempt
        (begun.outcomes / (host + ".json")).unlink(missing_ok=True)
    ours = {"crashready_hosts": hosts, "crashready_yes_panic": yes, "crash_drill_records": str(begun.outcomes)}
    words = [*begun.words, "-e", json.dumps(ours)]
    passwords = ask_passwords(words)
    view = view_for("drill")
    try:
        done = run_playbook(words, begun.folder, view, passwords)
    finally:
        view.close()
    outcomes = outcomes_of(begun.outcomes, hosts, done.code)
    if not any((begun.outcomes / (host + ".json")).exists() for host in hosts):
        show_end(begun.folder, done.status)
    _keep(begun.outcomes, records, outcomes, memory)
    return outcomes


def _wrong(arguments: argparse.Namespace) -> list[str]:
    """What was asked for and cannot be."""
    if arguments.resume is not None:
        return ["--resume takes hosts and inventory from the run; leave them out"] if arguments.hosts else []
    if not arguments.inventory or not arguments.hosts:
        return ["an inventory and names of hosts are needed: -i INVENTORY HOST, or --resume"]
    try:
        known = [target.name for target in read_rack(arguments.inventory, Asked()).targets]
    except NoHosts as exc:
        return [str(exc)]
    return [problem.message for problem in strangers(list(dict.fromkeys(arguments.hosts)), known)]


def _wrong_yes(arguments: argparse.Namespace, hosts: t.Container[str]) -> list[str]:
    names = [host for given in arguments.yes for host in given if host not in hosts]
    return ["--yes names {0!r}, which is not to be drilled".format(clean(host, 80)) for host in names]


def run(arguments: argparse.Namespace) -> int:
    """Check the names, ask, run the playbook, show the outcomes. Raises ToolError before anything was done."""
    collection.check(collection.chosen_copy())
    wrong = _wrong(arguments)
    if arguments.resume is None:
        wrong += _wrong_yes(arguments, arguments.hosts)
    begun = None
    try:
        begun = _prepared(arguments) if not wrong else None
    except WrongUsage as exc:
        wrong.append(str(exc))
    if begun is not None and arguments.resume is not None:
        wrong = _wrong_yes(arguments, begun.hosts)
    if begun is None or wrong:
        print("crashready drill: {0}. Nothing was done.".format("; ".join(wrong)), file=sys.stderr)
        return USAGE
    if not begun.hosts:
        print("crashready drill: every host of that run has its verdict", file=sys.stderr)
        return WELL
    yes, declined = _consents(arguments, begun.hosts)
    left = [host for host in begun.hosts if host not in [outcome["host"] for outcome in declined]]
    done = []
    if left:
        with keeper_for(arguments) as memory:  # before a panic: a store that was named has to be there
            done = _play(arguments, begun, left, yes, memory)
    outcomes = sorted([*done, *declined], key=lambda outcome: begun.hosts.index(outcome["host"]))
    if arguments.json:
        print(json.dumps({"schema": SCHEMA, "hosts": outcomes}, indent=2, sort_keys=True))
    else:
        print(render_outcomes(outcomes))
    code = exit_code(outcomes)
    again = "; go on: crashready drill --resume {0}".format(begun.folder.path)
    unfinished = left_of(begun.outcomes, begun.hosts) and not arguments.check
    print("events of this run: {0}{1}".format(begun.folder.path, again if unfinished else ""), file=sys.stderr)
    return code

# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""`crashready drill`: panics hosts one at a time, with consent by name, and says whose capture is proven."""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import typing as t

from . import collection
from ._core.drill import strangers
from ._core.drilloutcome import SCHEMA, render_outcomes
from ._core.drillrecord import KINDS
from ._core.text import clean
from .exits import BAD, UNKNOWN, USAGE, WELL, ToolError

__all__ = ["add_arguments", "ask", "command_line", "exit_code", "inventory_hosts", "outcomes_of", "run"]

_PLAYBOOK = collection.NAME + ".drill"
_STATES = {"proven": WELL, "would go": WELL, "unreachable": UNKNOWN, "unproven": BAD, "refused": BAD, "hung": BAD}
#: What a drill was, rather than an attempt at one: these replace an earlier file.
_DRILLED = ("proven", "unproven", "hung")
_OUTCOME_LIMIT = 4 * 1024 * 1024

Outcome = dict[str, t.Any]


def _hosts(text: str) -> list[str]:
    hosts = [host.strip() for host in text.split(",")]
    if not all(hosts):
        raise argparse.ArgumentTypeError("{0!r} is not a list HOST,HOST".format(text))
    return hosts


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that are ours; those of --ansible go to ansible-playbook as they are."""
    parser.add_argument("hosts", nargs="+", metavar="HOST", help="hosts to panic, by their names in the inventory")
    parser.add_argument(
        "-i", "--inventory", required=True, action="append", help="inventory of the rack (can be repeated)"
    )
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
    parser.add_argument("--ansible", metavar="OPTION", action="append", default=[], help="handed to ansible-playbook")


def _program(name: str) -> list[str]:
    program = os.path.join(os.path.dirname(sys.executable), name)
    # "python -m ansible playbook" is ansible-playbook; "python -m ansible adhoc" is ansible.
    return (
        [program] if os.path.exists(program) else [sys.executable, "-m", "ansible", name.partition("-")[2] or "adhoc"]
    )


def inventory_hosts(inventories: t.Sequence[str]) -> list[str]:
    """Names of all hosts, as Ansible itself reads the inventories. Raises ToolError."""
    command = [*_program("ansible"), "all", "--list-hosts"]
    for inventory in inventories:
        command += ["-i", inventory]
    done = subprocess.run(
        command,
        env={**collection.environment(), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    names = re.findall(r"(?m)^ {4}(\S+)$", done.stdout)
    if done.returncode != 0 or not names:
        said = clean((done.stderr or done.stdout)[-600:], 500)
        raise ToolError(
            "the inventory has no host that Ansible can read ({0}). Look at it with: {1}".format(
                said, "ansible-inventory --graph -i " + " -i ".join(inventories)
            )
        )
    return names


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
    shape.update(notes=[], drill_id=None, estimate=None, record=None, proposal=None, timeline=[], console=[])
    return {**shape, "returned_after_s": None}


def command_line(arguments: argparse.Namespace, hosts: t.Sequence[str], yes: t.Sequence[str], folder: str) -> list[str]:
    """The ansible-playbook command line, without the program."""
    words = [_PLAYBOOK]
    for inventory in arguments.inventory:
        words += ["-i", inventory]
    words += ["--check"] if arguments.check else []
    for variables in arguments.extra_vars:
        words += ["-e", variables]
    ours: dict[str, t.Any] = {"crashready_hosts": list(hosts), "crashready_yes_panic": list(yes)}
    ours["crash_drill_records"] = folder
    if arguments.kind:
        ours["crash_drill_kind"] = arguments.kind
    if arguments.timeout is not None:
        ours["crash_drill_timeout_s"] = arguments.timeout
    return [*words, "-e", json.dumps(ours), *arguments.ansible]


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


def _keep(folder: pathlib.Path, records: pathlib.Path, outcomes: t.Iterable[Outcome]) -> None:
    for outcome in outcomes:
        path = folder / (outcome["host"] + ".json")
        if outcome["state"] in _DRILLED and path.exists():
            os.replace(path, records / path.name)


def _play(arguments: argparse.Namespace, hosts: list[str], yes: list[str]) -> list[Outcome]:
    """Run the playbook; its own output goes to standard error."""
    records = arguments.records.absolute()
    try:
        records.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(prefix=".run-", dir=records)
    except OSError as exc:
        raise ToolError("the outcomes cannot be kept: {0}. Choose another folder with --records".format(exc)) from exc
    with folder as name:
        command = [*_program("ansible-playbook"), *command_line(arguments, hosts, yes, name)]
        sys.stderr.flush()
        code = subprocess.call(command, env=collection.environment(), stdout=sys.stderr.fileno())
        outcomes = outcomes_of(pathlib.Path(name), hosts, code)
        _keep(pathlib.Path(name), records, outcomes)
    return outcomes


def run(arguments: argparse.Namespace) -> int:
    """Check the names, ask, run the playbook, show the outcomes. Raises ToolError before anything was done."""
    hosts = list(dict.fromkeys(arguments.hosts))
    collection.check(collection.chosen_copy())
    wrong = [problem.message for problem in strangers(hosts, inventory_hosts(arguments.inventory))]
    for host in (host for given in arguments.yes for host in given):
        if host not in hosts:
            wrong.append("--yes names {0!r}, which is not to be drilled".format(clean(host, 80)))
    if wrong:
        print("crashready drill: {0}. Nothing was done.".format("; ".join(wrong)), file=sys.stderr)
        return USAGE
    yes, declined = _consents(arguments, hosts)
    left = [host for host in hosts if host not in [outcome["host"] for outcome in declined]]
    done = _play(arguments, left, yes) if left else []
    outcomes = sorted([*done, *declined], key=lambda outcome: hosts.index(outcome["host"]))
    if arguments.json:
        print(json.dumps({"schema": SCHEMA, "hosts": outcomes}, indent=2, sort_keys=True))
    else:
        print(render_outcomes(outcomes))
    return exit_code(outcomes)

# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""`crashready harden`: the playbook rackops.crashready.harden_crash with consent spelled out.

Its run is kept in a folder with every event. `--resume` goes on with an earlier one:
the same inventory and options, and only the hosts that were not finished.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import shutil
import sys
import typing as t

from . import collection
from ._core.rack import UNFINISHED, Row, render
from ._core.text import clean
from .exits import BAD, FAILED, UNKNOWN, USAGE, WELL, ToolError

__all__ = ["add_arguments", "command_line", "exit_code", "rack_exit_code", "run", "unfinished"]

_PLAYBOOK = collection.NAME + ".harden_crash"

#: Exit codes of ansible-playbook (ansible/executor/task_queue_manager.py, ansible/errors): 2 is "a host failed",
#: 4 "a host was unreachable" or a playbook that does not parse, 6 both, 8 "the play was ended by a failure".
_EXITS = {0: WELL, 2: BAD, 3: BAD, 4: UNKNOWN, 5: USAGE, 6: BAD, 8: BAD}


def _hosts(text: str) -> list[str]:
    hosts = [host.strip() for host in text.split(",")]
    if not all(hosts):
        raise argparse.ArgumentTypeError("{0!r} is neither a list HOST,HOST nor the word all".format(text))
    return hosts


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that are ours; what follows `--` goes to ansible-playbook as it is."""
    parser.add_argument("-i", "--inventory", action="append", help="inventory of the rack (can be repeated)")
    parser.add_argument("--check", action="store_true", help="change nothing, say what would change")
    parser.add_argument("--diff", action="store_true", help="show the changes of files")
    parser.add_argument("--limit", metavar="HOSTS", help="only these hosts (an Ansible pattern)")
    parser.add_argument(
        "--yes-reboot",
        metavar="HOST[,HOST]|all",
        action="append",
        default=[],
        type=_hosts,
        help="the hosts that may be rebooted, one at a time; without it only those that the inventory allows",
    )
    parser.add_argument(
        "-e", "--extra-vars", metavar="VARS", action="append", default=[], help="as for ansible-playbook"
    )
    parser.add_argument("--json", action="store_true", help="where every host stands, as one JSON object")
    parser.add_argument("--run-folder", metavar="FOLDER", type=pathlib.Path, help="where folders of runs are made")
    parser.add_argument(
        "--resume",
        metavar="RUN",
        nargs="?",
        const="last",
        help="go on with an earlier run: its folder, or without one the last; a yes to reboots has to be given again",
    )
    parser.add_argument("rest", nargs="*", metavar="-- ANSIBLE_OPTION", help="handed to ansible-playbook")


def command_line(arguments: argparse.Namespace) -> list[str]:
    """The ansible-playbook command line, without the program."""
    words = [_PLAYBOOK]
    for inventory in arguments.inventory or ():
        words += ["-i", inventory]
    words += ["--check"] if arguments.check else []
    words += ["--diff"] if arguments.diff else []
    words += ["--limit", arguments.limit] if arguments.limit else []
    for variables in arguments.extra_vars:
        words += ["-e", variables]
    hosts = [host for given in arguments.yes_reboot for host in given]
    if hosts:
        words += ["-e", json.dumps({"crashready_yes_reboot": hosts})]
    return words + list(arguments.rest)


def exit_code(code: int) -> int:
    """This tool's exit code for one of ansible-playbook."""
    return _EXITS.get(code, FAILED)


def rack_exit_code(report: pathlib.Path, code: int) -> int:
    """This tool's exit code from where the hosts stand; without a report that of ansible-playbook.

    The playbook fails for an unreachable host as for a bad one, so that its own code cannot tell them apart.
    """
    try:
        states = {row["state"] for row in json.loads(report.read_text(encoding="utf-8"))["rows"]}
    except (OSError, ValueError, KeyError, TypeError):
        # No table was written: a run that ended well without one has reached no host at all.
        return exit_code(code) or UNKNOWN
    if states & {"failed", "not armed", "pending reboot"}:
        return BAD
    return UNKNOWN if "unreachable" in states else exit_code(code)


def run(arguments: argparse.Namespace) -> int:
    """Run the playbook, show where every host stands. Raises ToolError before anything was done."""
    from .playbook_run import ask_passwords, run_playbook
    from .playbook_view import view_for

    if not arguments.inventory and arguments.resume is None:
        print("crashready harden: an inventory is needed: -i INVENTORY, or --resume", file=sys.stderr)
        return USAGE
    missing = [given for given in arguments.inventory or () if "," not in given and not os.path.exists(given)]
    if missing:
        print("crashready harden: no such inventory: {0}".format(", ".join(missing)), file=sys.stderr)
        return USAGE
    collection.check(collection.chosen_copy())
    folder, words = _prepared(arguments)
    if words is None:
        print("crashready harden: every host of that run is finished", file=sys.stderr)
        return WELL
    words = [*words, "-e", json.dumps({"crashready_report_file": str(folder.report)})]
    folder.report.unlink(missing_ok=True)
    passwords = ask_passwords(words)
    view = view_for("harden")
    try:
        done = run_playbook(words, folder, view, passwords)
    finally:
        view.close()
    _show(folder, arguments.json)
    code = rack_exit_code(folder.report, done.code)
    if done.status == "canceled" or code not in (WELL, BAD, UNKNOWN):
        _show_end(folder, done.status)
    again = "crashready harden --resume {0}".format(done.folder)
    print("events of this run: {0}{1}".format(done.folder, "; go on: " + again if code else ""), file=sys.stderr)
    return UNKNOWN if done.status == "canceled" and code == FAILED else code


def _prepared(arguments: argparse.Namespace) -> tuple[t.Any, list[str] | None]:
    """The folder of the run and the words for ansible-playbook; None where nothing is left to do."""
    from .playbook_run import RunFolder, last_run

    if arguments.resume is None:
        words = command_line(arguments)
        return RunFolder.make("harden", words, arguments.run_folder), words
    path = last_run("harden") if arguments.resume == "last" else pathlib.Path(arguments.resume)
    folder = RunFolder.open(path, "harden")
    words = [str(word) for word in folder.record["argv"]]
    if "--check" in words:
        raise ToolError("{0} was a run with --check, which leaves nothing to go on with".format(path))
    yes = [host for given in arguments.yes_reboot for host in given]
    # A yes is for the run in which it was given: a rack that is gone on with a week later needs another.
    words = [*_without_yes(words), *(["-e", json.dumps({"crashready_yes_reboot": yes})] if yes else [])]
    left = unfinished(folder.report)
    if left is not None and not left:
        return folder, None
    if left is not None:
        words = [*words, "--limit", ",".join(left)]
    return folder, words


def _without_yes(words: list[str]) -> list[str]:
    kept: list[str] = []
    for word in words:
        if "crashready_yes_reboot" in word:
            kept.pop()  # its -e
        else:
            kept.append(word)
    return kept


def unfinished(report: pathlib.Path) -> list[str] | None:
    """Hosts that an earlier attempt left unfinished; None where it wrote no report."""
    try:
        rows = json.loads(report.read_text(encoding="utf-8"))["rows"]
        return [str(row["host"]) for row in rows if row["state"] in UNFINISHED]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _show(folder: t.Any, as_json: bool) -> None:
    """The report of the playbook: the result of this command."""
    try:
        report = json.loads(folder.report.read_text(encoding="utf-8"))
        rows = [Row(**row) for row in report["rows"]]
    except (OSError, ValueError, KeyError, TypeError):
        return
    if as_json:
        print(json.dumps(report, indent=2, sort_keys=True))
        return
    print(render(rows, shutil.get_terminal_size((0, 0)).columns))
    pending = [row.host for row in rows if row.state == "pending reboot"]
    if pending:
        print("\nNext: crashready harden --resume {0} --yes-reboot {1}".format(folder.path, ",".join(pending)))


def _show_end(folder: t.Any, status: str) -> None:
    """The last lines of Ansible where it came to no report of its own."""
    attempt = folder.path / "artifacts" / str(len(folder.record["attempts"])) / "stdout"
    try:
        lines = [clean(line, 300) for line in attempt.read_text(encoding="utf-8", errors="replace").split("\n")]
    except OSError as exc:
        raise ToolError("ansible-playbook ended ({0}) without a word: {1}".format(status, exc)) from exc
    print("ansible-playbook ended: {0}".format(status), file=sys.stderr)
    print("\n".join([line for line in lines if line.strip()][-12:]), file=sys.stderr)

# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""`crashready harden`: the playbook rackops.crashready.harden_crash with consent spelled out."""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

from . import collection
from .exits import BAD, FAILED, UNKNOWN, USAGE, WELL

__all__ = ["add_arguments", "command_line", "exit_code", "rack_exit_code", "run"]

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
    parser.add_argument(
        "-i", "--inventory", required=True, action="append", help="inventory of the rack (can be repeated)"
    )
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
    parser.add_argument("rest", nargs="*", metavar="-- ANSIBLE_OPTION", help="handed to ansible-playbook")


def command_line(arguments: argparse.Namespace) -> list[str]:
    """The ansible-playbook command line, without the program."""
    words = [_PLAYBOOK]
    for inventory in arguments.inventory:
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
    """Run the playbook in the foreground: its output is the result. Raises ToolError before anything was done."""
    copy = collection.chosen_copy()
    collection.check(copy)
    program = os.path.join(os.path.dirname(sys.executable), "ansible-playbook")
    start = [program] if os.path.exists(program) else [sys.executable, "-m", "ansible", "playbook"]
    with tempfile.TemporaryDirectory(prefix="crashready-") as folder:
        report = pathlib.Path(folder, "rack.json")
        command = [*start, *command_line(arguments), "-e", json.dumps({"crashready_report_file": str(report)})]
        return rack_exit_code(report, subprocess.call(command, env=collection.environment()))

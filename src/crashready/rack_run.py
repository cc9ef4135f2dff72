# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What `harden` and `pin` share: a playbook for a rack, with consent to reboots, a report of every host, `--resume`.

The run is kept in a folder with every event. `--resume` goes on with an earlier one:
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

if t.TYPE_CHECKING:
    from .playbook_run import RunFolder

__all__ = [
    "RackPlaybook",
    "Recorded",
    "WrongUsage",
    "add_run_arguments",
    "command_line",
    "exit_code",
    "host_names",
    "rack_exit_code",
    "refuse_changes",
    "run_rack",
    "show_end",
    "unfinished",
    "without_yes",
]

#: Exit codes of ansible-playbook (ansible/executor/task_queue_manager.py, ansible/errors): 2 is "a host failed",
#: 4 "a host was unreachable" or a playbook that does not parse, 6 both, 8 "the play was ended by a failure".
_EXITS = {0: WELL, 2: BAD, 3: BAD, 4: UNKNOWN, 5: USAGE, 6: BAD, 8: BAD}


class WrongUsage(Exception):
    """Options that cannot be meant. The text says which; nothing was done."""


class RackPlaybook(t.NamedTuple):
    """A command that runs a playbook; its options beside the common ones become variables."""

    command: str
    playbook: str
    variables: t.Callable[[argparse.Namespace], dict[str, t.Any]] = lambda _arguments: {}
    #: Those of `variables` that are a person's yes: they hold for the run in which they were given.
    consents: t.Callable[[argparse.Namespace], dict[str, t.Any]] = lambda _arguments: {}
    #: What is different where the playbook keeps a record of its own; see `rollout`.
    recorded: Recorded | None = None


class Recorded(t.NamedTuple):
    """A playbook that knows by its record how far every host is: `--resume` leaves it all of them."""

    variable: str  #: has the path of the record
    file: str  #: its name in the folder of the run
    once: tuple[str, ...]  #: variables that hold for one attempt, beside consents
    kept_as: t.Callable[[argparse.Namespace], str]  #: the command in the name of the folder
    finished: t.Callable[[RunFolder], bool]  #: whether nothing is left to do
    show: t.Callable[[RunFolder, bool], None]  #: the result on standard output, as JSON or for people
    code: t.Callable[[RunFolder, int], int]  #: this tool's exit code, from that of ansible-playbook


def host_names(text: str) -> list[str]:
    """A list HOST,HOST, or the word all; argparse's error for anything else."""
    hosts = [host.strip() for host in text.split(",")]
    if not all(hosts):
        raise argparse.ArgumentTypeError("{0!r} is neither a list HOST,HOST nor the word all".format(text))
    return hosts


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
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
        type=host_names,
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


def command_line(what: RackPlaybook, arguments: argparse.Namespace) -> list[str]:
    """The ansible-playbook command line, without the program."""
    words = [what.playbook]
    for inventory in arguments.inventory or ():
        words += ["-i", inventory]
    words += ["--check"] if arguments.check else []
    words += ["--diff"] if arguments.diff else []
    words += ["--limit", arguments.limit] if arguments.limit else []
    for variables in arguments.extra_vars:
        words += ["-e", variables]
    ours = what.variables(arguments)
    words += ["-e", json.dumps(ours)] if ours else []
    return [*words, *_consent_words(what, arguments), *arguments.rest]


def _consent_words(what: RackPlaybook, arguments: argparse.Namespace) -> list[str]:
    """Each yes in an option of its own, so that `without_yes` finds it."""
    hosts = [host for given in arguments.yes_reboot for host in given]
    consents = {"crashready_yes_reboot": hosts, **what.consents(arguments)}
    return [word for name, value in consents.items() if value for word in ("-e", json.dumps({name: value}))]


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


def run_rack(what: RackPlaybook, arguments: argparse.Namespace) -> int:
    """Run the playbook, show where every host stands. Raises ToolError before anything was done."""
    from .playbook_run import ask_passwords, run_playbook
    from .playbook_view import view_for

    name = "crashready {0}".format(what.command)
    wrong = _wrong(arguments)
    if wrong:
        print("{0}: {1}".format(name, wrong), file=sys.stderr)
        return USAGE
    collection.check(collection.chosen_copy())
    try:
        folder, words = _prepared(what, arguments)
    except WrongUsage as exc:
        print("{0}: {1}. Nothing was done.".format(name, exc), file=sys.stderr)
        return USAGE
    if words is None:
        print("{0}: every host of that run is finished".format(name), file=sys.stderr)
        return WELL
    files = {"crashready_report_file": str(folder.report)}
    if what.recorded:
        files[what.recorded.variable] = str(folder.path / what.recorded.file)
    words = [*words, "-e", json.dumps(files)]
    folder.report.unlink(missing_ok=True)
    passwords = ask_passwords(words)
    view = view_for(what.command)
    try:
        done = run_playbook(words, folder, view, passwords)
    finally:
        view.close()
    if what.recorded:
        what.recorded.show(folder, arguments.json)
        code = what.recorded.code(folder, done.code)
    else:
        _show(what, folder, arguments.json)
        code = rack_exit_code(folder.report, done.code)
    if done.status == "canceled" or code not in (WELL, BAD, UNKNOWN):
        show_end(folder, done.status)
    again = "{0} --resume {1}".format(name, done.folder)
    goes_on = code and folder.record["command"] == what.command
    print("events of this run: {0}{1}".format(done.folder, "; go on: " + again if goes_on else ""), file=sys.stderr)
    return UNKNOWN if done.status == "canceled" and code == FAILED else code


def _wrong(arguments: argparse.Namespace) -> str:
    """Why it cannot be known which hosts are meant; empty where it can."""
    if not arguments.inventory and arguments.resume is None:
        return "an inventory is needed: -i INVENTORY, or --resume"
    missing = [given for given in arguments.inventory or () if "," not in given and not os.path.exists(given)]
    return "no such inventory: {0}".format(", ".join(missing)) if missing else ""


def _prepared(what: RackPlaybook, arguments: argparse.Namespace) -> tuple[t.Any, list[str] | None]:
    """The folder of the run and the words for ansible-playbook; None where nothing is left to do."""
    from .playbook_run import RunFolder, last_run

    if arguments.resume is None:
        words = command_line(what, arguments)
        kept_as = what.recorded.kept_as(arguments) if what.recorded else what.command
        return RunFolder.make(kept_as, words, arguments.run_folder), words
    path = last_run(what.command) if arguments.resume == "last" else pathlib.Path(arguments.resume)
    folder = RunFolder.open(path, what.command)
    words = [str(word) for word in folder.record["argv"]]
    if "--check" in words:
        raise ToolError("{0} was a run with --check, which leaves nothing to go on with".format(path))
    refuse_changes(path, words, arguments, what.variables(arguments), arguments.rest)
    # A yes is for the run in which it was given: a rack that is gone on with a week later needs another.
    words = [*without_yes(words, *(what.recorded.once if what.recorded else ())), *_consent_words(what, arguments)]
    if what.recorded:
        return folder, None if what.recorded.finished(folder) else words
    left = unfinished(folder.report)
    if left is not None and not left:
        return folder, None
    if left is not None:
        words = [*words, "--limit", ",".join(left)]
    return folder, words


def refuse_changes(
    path: pathlib.Path,
    words: t.Container[str],
    arguments: argparse.Namespace,
    ours: t.Mapping[str, t.Any],
    rest: t.Iterable[str] = (),
) -> None:
    """A run goes on as it was begun. Raises WrongUsage for options that it was not begun with.

    They would be without effect, and a `--check` or a `--limit` without effect boots hosts that nobody meant.
    """
    new = ["--check"] if arguments.check else []
    limit = getattr(arguments, "limit", None)
    new += ["--limit"] if limit and limit not in words else []
    new += ["-e " + given for given in arguments.extra_vars if given not in words]
    new += [json.dumps(ours)] if ours and json.dumps(ours) not in words else []
    new += [word for word in rest if word not in words]
    if new:
        raise WrongUsage("{0} goes on as it was begun; leave out: {1}".format(path, clean(" ".join(new), 300)))


def without_yes(words: t.Iterable[str], *more: str) -> list[str]:
    """The words of an earlier run less every consent that was given for it, by `-e`; `more` are other names of one."""
    kept: list[str] = []
    for word in words:
        if any(name in word for name in ("crashready_yes_", *more)):
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


def _show(what: RackPlaybook, folder: t.Any, as_json: bool) -> None:
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
        says = "\nNext: crashready {0} --resume {1} --yes-reboot {2}"
        print(says.format(what.command, folder.path, ",".join(pending)))


def show_end(folder: t.Any, status: str) -> None:
    """The last lines of Ansible where it came to no report of its own."""
    attempt = folder.path / "artifacts" / str(len(folder.record["attempts"])) / "stdout"
    try:
        lines = [clean(line, 300) for line in attempt.read_text(encoding="utf-8", errors="replace").split("\n")]
    except OSError as exc:
        raise ToolError("ansible-playbook ended ({0}) without a word: {1}".format(status, exc)) from exc
    print("ansible-playbook ended: {0}".format(status), file=sys.stderr)
    print("\n".join([line for line in lines if line.strip()][-12:]), file=sys.stderr)

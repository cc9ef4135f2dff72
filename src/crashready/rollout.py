# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""`crashready rollout`: the playbook rackops.crashready.rollout, which hardens a rack in waves; see `rack_run`.

Its record is `rollout.json` in the folder of the run; `--resume` gives that to the playbook again.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import shutil
import typing as t

from . import collection
from ._core.errors import CoreError, ParseError
from ._core.rollout import parse_batches, parse_canaries
from ._core.rollout_record import LIMIT_BYTES, SCHEMA, is_finished, parse_record, summary_of
from ._core.rollout_view import counts_of, render_summary
from ._core.window import parse_duration, parse_window
from .exits import BAD, UNKNOWN, ToolError
from .rack_run import RackPlaybook, Recorded, add_run_arguments, exit_code, host_names, run_rack

if t.TYPE_CHECKING:
    from .playbook_run import RunFolder

__all__ = ["ROLLOUT", "add_arguments", "run", "summary_in"]

_RECORD = "rollout.json"
_PLAN = "crashready_rollout_plan"


def _checked(parse: t.Callable[[str], t.Any], keep: bool = False) -> t.Callable[[str], t.Any]:
    """A type for argparse: the value of `parse`, or the text itself where it is only to be checked."""

    def check(text: str) -> t.Any:
        try:
            value = parse(text)
        except CoreError as exc:
            raise argparse.ArgumentTypeError(str(exc)) from exc
        return text if keep else value

    return check


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The order and the options of every playbook; what follows `--` goes to ansible-playbook as it is."""
    parser.add_argument("--plan", action="store_true", help="show the order, do nothing")
    parser.add_argument(
        "--batch",
        metavar="SIZES",
        type=_checked(parse_batches, keep=True),
        help="how many hosts go at once after the canaries, such as 1,2,4,25%% (default: 1); the last one holds on",
    )
    parser.add_argument(
        "--canaries", metavar="N", type=_checked(parse_canaries), help="how many of each pairing go alone (default: 1)"
    )
    parser.add_argument(
        "--soak", metavar="DURATION", type=_checked(parse_duration), help="traffic on each host after its change (15m)"
    )
    parser.add_argument(
        "--yes-soak",
        metavar="HOST[,HOST]",
        action="append",
        default=[],
        type=host_names,
        help="hosts that may carry that traffic, with their peers; each has to be named, there is no all",
    )
    parser.add_argument(
        "--window",
        metavar="WINDOW",
        action="append",
        type=_checked(parse_window, keep=True),
        help="when hosts may go, such as 'Sat 22:00-04:00 UTC' (can be repeated), in place of crashready_window",
    )
    parser.add_argument(
        "--wait",
        metavar="DURATION",
        type=_checked(parse_duration),
        help="how long to wait for a window to open; without it the rollout stops and says when it opens",
    )
    parser.add_argument(
        "--step", metavar="ROLE", action="append", help="apply this role to each host instead of hardening it"
    )
    add_run_arguments(parser)


def _variables(arguments: argparse.Namespace) -> dict[str, t.Any]:
    told = {
        "crashready_rollout_batch": arguments.batch,
        "crashready_rollout_canaries": arguments.canaries,
        "crashready_rollout_soak_seconds": arguments.soak,
        "crashready_rollout_wait_seconds": arguments.wait,
        "crashready_rollout_step": arguments.step,
        "crashready_window": arguments.window,
    }
    return {name: value for name, value in told.items() if value is not None}


def _record_in(folder: RunFolder) -> dict[str, t.Any] | None:
    """The record of a run; None where it has none yet. Raises ToolError for one that cannot be used."""
    path = folder.path / _RECORD
    try:
        with path.open(encoding="utf-8") as stream:
            return parse_record(stream.read(LIMIT_BYTES))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, ParseError) as exc:
        says = "the record {0} cannot be used: {1}. Begin anew without --resume: hosts that are done stay as they are"
        raise ToolError(says.format(path, exc)) from exc


def _finished(folder: RunFolder) -> bool:
    record = _record_in(folder)
    return record is not None and is_finished(record) and set(counts_of(summary_of(record))) <= {"done"}


def summary_in(folder: RunFolder) -> dict[str, t.Any] | None:
    """What the playbook wrote at its end; where it did not come to that, what its record says."""
    try:
        summary = json.loads(pathlib.Path(folder.report).read_text(encoding="utf-8"))
        if summary["schema"] == SCHEMA and isinstance(summary["hosts"], list):
            return t.cast("dict[str, t.Any]", summary)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    record = _record_in(folder)
    return None if record is None else summary_of(record)


def _show(folder: RunFolder, as_json: bool) -> None:
    summary = summary_in(folder)
    if summary is None:
        return
    if as_json:
        print(json.dumps(summary, indent=2, sort_keys=True))
    else:
        print(render_summary(summary, shutil.get_terminal_size((0, 0)).columns))


def _code(folder: RunFolder, code: int) -> int:
    """The worst host counts; a host that is only left for later is as one that waits for its reboot."""
    summary = summary_in(folder)
    if summary is None:
        return exit_code(code) or UNKNOWN
    states = set(counts_of(summary))
    if "failed" in states or ("left" in states and not summary["plan"]):
        return BAD
    if "unreachable" in states:
        return UNKNOWN
    return exit_code(code) if states else UNKNOWN


def _once(arguments: argparse.Namespace) -> dict[str, t.Any]:
    """What holds for one attempt: the yes to traffic, and that the order is only looked at."""
    return {_PLAN: arguments.plan, "crashready_yes_soak": [host for given in arguments.yes_soak for host in given]}


ROLLOUT = RackPlaybook(
    "rollout",
    collection.NAME + ".rollout",
    _variables,
    _once,
    Recorded(
        "crashready_rollout_record",
        _RECORD,
        (_PLAN,),
        lambda arguments: "rolloutplan" if arguments.plan else "rollout",
        _finished,
        _show,
        _code,
    ),
)


def run(arguments: argparse.Namespace) -> int:
    """Run the playbook, show what was done and what is left. Raises ToolError before anything was done."""
    return run_rack(ROLLOUT, arguments)

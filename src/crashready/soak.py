# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""`crashready soak`: real traffic across named NICs, with consent by name, as an experiment before and after a fix.

The hosts carry the traffic and keep the records by themselves, so a controller that goes away loses nothing:
`--collect` reads them, `--resume` waits for them and goes on with the repetitions that are left. What a soak says is
`_core.experiment`; the run and its folder are `soak_run`.
"""

from __future__ import annotations

import argparse
import ipaddress
import json
import pathlib
import re
import sys
import typing as t

from . import collection
from ._core.errors import CoreError
from ._core.experiment import is_bad, is_open
from ._core.soak import pairs_from
from ._core.soakprofile import PROFILES, check_seconds, make_profile
from ._core.soakrecord import NAME
from ._core.text import clean
from .exits import BAD, UNKNOWN, USAGE, WELL, ToolError
from .experiments import CONFIDENCE, confidence, judged_experiments, render_experiment, trials_of
from .inventory_hosts import Asked, NoHosts, read_rack
from .rack_run import WrongUsage, refuse_changes
from .remember import add_keeping_arguments, keeper_for, open_store

if t.TYPE_CHECKING:
    from .remember import Memory
    from .soak_run import SoakRun

__all__ = ["SCHEMA", "add_arguments", "ask", "duration", "pair", "run"]

#: Version of the shape of `crashready soak --json`: docs/soak.schema.json.
SCHEMA = 1

_PLAYBOOK = collection.NAME + ".soak"
_DURATION = re.compile(r"([0-9]{1,9})(s|m|h|d|w|)")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_PHASES = ("before", "after")

Row = dict[str, t.Any]


# --- options ---------------------------------------------------------------------------------------------------------


def duration(text: str) -> int:
    """Seconds of 90, 90s, 2m, 1h, 7d, 2w; argparse's error for anything else."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise argparse.ArgumentTypeError("{0!r} is no time such as 90s, 2m, 1h or 7d".format(text))
    try:
        return check_seconds(int(found.group(1)) * _UNITS[found.group(2)])
    except CoreError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from exc


def pair(text: str) -> Row:
    """SERVER:NIC=CLIENT:NIC, each with /ADDRESS where the NIC has several; argparse's error for anything else."""
    ends = text.split("=")
    if len(ends) != 2:
        raise argparse.ArgumentTypeError("{0!r} is not SERVER:NIC=CLIENT:NIC".format(text))
    return {"server": _end(ends[0]), "client": _end(ends[1])}


def _end(text: str) -> dict[str, str]:
    place, slash, address = text.partition("/")
    host, _colon, nic = place.rpartition(":")
    if not host or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,14}", nic):
        raise argparse.ArgumentTypeError("{0!r} is not HOST:NIC or HOST:NIC/ADDRESS".format(text))
    if not slash:
        return {"host": host, "nic": nic}
    try:
        return {"host": host, "nic": nic, "address": str(ipaddress.ip_address(address))}
    except ValueError as exc:
        raise argparse.ArgumentTypeError("{0!r}: {1}".format(text, exc)) from exc


def _hosts(text: str) -> list[str]:
    hosts = [host.strip() for host in text.split(",")]
    if not all(hosts):
        raise argparse.ArgumentTypeError("{0!r} is not a list HOST,HOST".format(text))
    return hosts


def _parameter(text: str) -> tuple[str, t.Any]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError("{0!r} is not NAME=VALUE".format(text))
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _count(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 1000:
        raise argparse.ArgumentTypeError("{0} is not between 1 and 1000".format(text))
    return value


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that are ours; those of --ansible go to ansible-playbook as they are."""
    parser.add_argument("-i", "--inventory", action="append", help="inventory of the rack (can be repeated)")
    parser.add_argument(
        "--pair",
        metavar="SERVER:NIC=CLIENT:NIC",
        action="append",
        default=[],
        type=pair,
        help="between which two NICs; HOST:NIC/ADDRESS where a NIC has several addresses (can be repeated)",
    )
    parser.add_argument("--profile", choices=sorted(PROFILES), default="bulk", help="kind of traffic (default: bulk)")
    parser.add_argument(
        "--duration", metavar="TIME", type=duration, default=600, help="90s, 2m, 1h, 7d (default: ten minutes)"
    )
    parser.add_argument("--rate", metavar="MBIT", type=int, help="at most so many Mbit/s (default: what goes)")
    parser.add_argument(
        "--set",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        type=_parameter,
        help="another parameter of the profile, see the role nic_soak (can be repeated)",
    )
    _add_experiment(parser)
    _add_yes(parser)
    _add_run(parser)
    add_keeping_arguments(parser)


def _add_experiment(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("experiment")
    group.add_argument("--name", metavar="EXPERIMENT", help="the experiment that this run is part of")
    group.add_argument("--phase", choices=_PHASES, help="before or after the fix; goes with --name")
    group.add_argument(
        "--repeat", metavar="N", type=_count, default=1, help="so often; after a panic once the hosts are armed again"
    )
    group.add_argument(
        "--confidence",
        metavar="SHARE",
        type=confidence,
        default=CONFIDENCE,
        help="at which silence counts as fixed (default: 0.95)",
    )
    group.add_argument("--show", metavar="EXPERIMENT", help="the verdict of an experiment from the store, no traffic")
    group.add_argument("--json", action="store_true", help="the verdict and all runs as one JSON object")


def _add_yes(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("consent")
    group.add_argument(
        "--yes-soak",
        metavar="HOST[,HOST]",
        action="append",
        default=[],
        type=_hosts,
        help="hosts that may be loaded without a question; each has to be named, there is no all",
    )
    group.add_argument(
        "--yes-management",
        action="store_true",
        help="also a NIC that carries the management traffic: the hosts may be out of reach meanwhile",
    )


def _add_run(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("run")
    group.add_argument("--check", action="store_true", help="start nothing, say which hosts could go")
    group.add_argument("--detach", action="store_true", help="start it and come back; the hosts go on by themselves")
    group.add_argument(
        "--collect", metavar="RUN", nargs="?", const="last", help="read what the hosts of an earlier run have so far"
    )
    group.add_argument(
        "--resume",
        metavar="RUN",
        nargs="?",
        const="last",
        help="wait for an earlier run and go on with its repetitions; further traffic needs a yes again",
    )
    group.add_argument(
        "--rearm-timeout",
        metavar="SECONDS",
        type=int,
        default=1800,
        help="how long a host may take to be armed again after a panic (default: 1800)",
    )
    group.add_argument(
        "-e", "--extra-vars", metavar="VARS", action="append", default=[], help="as for ansible-playbook"
    )
    group.add_argument("--run-folder", metavar="FOLDER", type=pathlib.Path, help="where folders of runs are made")
    group.add_argument("--ansible", metavar="OPTION", action="append", default=[], help="handed to ansible-playbook")


def _parameters(arguments: argparse.Namespace) -> dict[str, t.Any]:
    rate = {} if arguments.rate is None else {"rate_mbps": arguments.rate}
    return {**rate, **dict(arguments.set)}


def _plan(arguments: argparse.Namespace) -> Row:
    """What of the options makes the soak, as the folder of the run keeps it."""
    return {
        "name": arguments.name,
        "phase": arguments.phase or "single",
        "pairs": arguments.pair,
        "profile": arguments.profile,
        "parameters": _parameters(arguments),
        "seconds": arguments.duration,
        "repeat": arguments.repeat,
    }


# --- what is wrong with them -----------------------------------------------------------------------------------------


def _ends(pairs: t.Iterable[Row]) -> list[dict[str, str]]:
    return [each[side] for each in pairs for side in ("server", "client")]


def _wrong(arguments: argparse.Namespace) -> list[str]:
    """What was asked for and cannot be, of a new run."""
    if not arguments.inventory or not arguments.pair:
        return ["an inventory and a pair are needed: -i INVENTORY --pair SERVER:NIC=CLIENT:NIC, or --resume"]
    wrong = _wrong_experiment(arguments)
    try:
        make_profile(arguments.profile, _parameters(arguments))
        pairs_from(arguments.pair, {target.name for target in read_rack(arguments.inventory, Asked()).targets})
    except (CoreError, NoHosts) as exc:
        wrong.append(str(exc))
    return wrong + _wrong_yes(arguments, [end["host"] for end in _ends(arguments.pair)])


def _wrong_yes(arguments: argparse.Namespace, hosts: t.Container[str]) -> list[str]:
    names = [host for given in arguments.yes_soak for host in given if host not in hosts]
    return ["--yes-soak names {0!r}, which is in no pair".format(clean(host, 80)) for host in names]


def _wrong_experiment(arguments: argparse.Namespace) -> list[str]:
    wrong = []
    if bool(arguments.name) != bool(arguments.phase):
        wrong.append("--name and --phase go together: before or after which fix")
    if arguments.name and not NAME.fullmatch(arguments.name):
        wrong.append("--name {0!r} is not made of letters, digits, . _ -".format(clean(arguments.name, 80)))
    if arguments.detach and arguments.repeat > 1:
        wrong.append("--detach starts one soak; leave --repeat out")
    return wrong


# --- consent ---------------------------------------------------------------------------------------------------------


def ask(end: t.Mapping[str, str], told: str, prompt: t.Callable[[str], str] = input) -> bool:
    """Ask for the yes to load one host: whether its name was typed."""
    says = "{0} will have {1} on {2}. What else it does gets slower, and it may panic: that is what is looked for."
    print(says.format(end["host"], told, end["nic"]), file=sys.stderr)
    try:
        said = prompt("Type the name of the host to load it, anything else to leave it alone: ")
    except EOFError:
        said = ""
    return said.strip() == end["host"]


def _consents(arguments: argparse.Namespace, plan: Row) -> tuple[list[str], list[str]]:
    """Hosts with a yes, and why nothing is begun: one no is enough, half of a pair carries nothing."""
    yes = [host for given in arguments.yes_soak for host in given]
    if arguments.check or not sys.stdin.isatty():
        return yes, []  # a yes may stand in the inventory; without one the playbook refuses
    told = "{0} s of traffic ({1})".format(plan["seconds"], plan["profile"])
    for end in _ends(plan["pairs"]):
        if end["host"] not in yes:
            if not ask(end, told):
                return yes, ["{0}: you did not type its name: nothing was begun".format(clean(end["host"], 80))]
            yes.append(end["host"])
    return yes, []


# --- a run -----------------------------------------------------------------------------------------------------------


def _words(arguments: argparse.Namespace) -> list[str]:
    """The ansible-playbook command line, without the program, a yes and what the soak is."""
    words = [_PLAYBOOK]
    for inventory in arguments.inventory:
        words += ["-i", inventory]
    words += ["--check"] if arguments.check else []
    for variables in arguments.extra_vars:
        words += ["-e", variables]
    return [*words, *arguments.ansible]


def _begun(arguments: argparse.Namespace) -> SoakRun:
    """A new run, or an earlier one. Raises ToolError, WrongUsage."""
    from .soak_run import SoakRun

    earlier = arguments.resume or arguments.collect
    if earlier is None:
        return SoakRun.make(_words(arguments), _plan(arguments), arguments.run_folder)
    found = SoakRun.open(earlier)
    refuse_changes(found.folder.path, found.words, arguments, {}, arguments.ansible)
    given = {key: value for key, value in _plan(arguments).items() if key in ("pairs", "name") and value}
    if any(found.plan[key] != value for key, value in given.items()):
        raise WrongUsage("--resume and --collect take pairs and experiment from the run; leave them out")
    return found


def run(arguments: argparse.Namespace) -> int:
    """Check, ask, soak, judge, show. Raises ToolError before anything was done."""
    if arguments.show is not None:
        return _show_kept(arguments)
    collection.check(collection.chosen_copy())
    earlier = arguments.resume is not None or arguments.collect is not None
    wrong = [] if earlier else _wrong(arguments)
    if arguments.resume is not None and arguments.collect is not None:
        wrong.append("--resume and --collect are two ways to go on: give one of them")
    try:
        begun = None if wrong else _begun(arguments)
        if begun is not None:
            wrong += _wrong_yes(arguments, [end["host"] for end in _ends(begun.plan["pairs"])])
        if begun is None or wrong:
            raise WrongUsage("; ".join(wrong))
    except WrongUsage as exc:
        print("crashready soak: {0}. Nothing was done.".format(exc), file=sys.stderr)
        return USAGE
    with keeper_for(arguments) as memory:  # before the traffic: a store that was named has to be there
        return _soak(arguments, begun, memory)


def _soak(arguments: argparse.Namespace, begun: SoakRun, memory: Memory) -> int:
    begun.take_up(memory, wait=arguments.collect is None)
    if arguments.collect is None and begun.left() > 0:
        yes, declined = _consents(arguments, begun.plan)
        if declined:
            begun.refuse(declined, BAD)
        else:
            begun.go_on(memory, yes, arguments)
    judged = None if arguments.check else _judged(begun, memory, arguments.confidence)
    _show(judged, begun.problems, arguments.json)
    again = "; go on: crashready soak --resume {0}".format(begun.folder.path)
    more = begun.is_open and not arguments.check
    print("events of this run: {0}{1}".format(begun.folder.path, again if more else ""), file=sys.stderr)
    return _exit_code(judged, begun, arguments)


def _judged(begun: SoakRun, memory: Memory, level: float) -> Row | None:
    """The experiment with all that the store has of it; without a store of this run alone."""
    from ._core.experiment import judge_experiment

    if memory.store is not None:
        try:
            found = judged_experiments(memory.store, begun.plan["name"], level)
            if found:
                return found[0]
        except ToolError as exc:
            print("crashready soak: judged by this run alone: {0}".format(clean(str(exc), 400)), file=sys.stderr)
    trials = trials_of([part for part in begun.parts() if part["record"] is not None])
    return judge_experiment(trials, level) if trials else None


def _show(judged: Row | None, problems: list[str], as_json: bool) -> None:
    if as_json:
        print(json.dumps({"schema": SCHEMA, "experiment": judged, "problems": problems}, indent=2, sort_keys=True))
        return
    for problem in problems:
        print("  - " + problem)
    if judged is not None:
        print(render_experiment(judged))


def _exit_code(judged: Row | None, begun: SoakRun, arguments: argparse.Namespace) -> int:
    """The verdict's, and that of what this run could not do; the worst counts, 1 before 2."""
    codes = [begun.refusal]
    if judged is None:
        codes += [] if arguments.check else [begun.refusal or UNKNOWN]
    elif arguments.detach and begun.is_running:
        codes += [BAD] if is_bad(judged) else []  # it was started, which is what was asked for
    else:
        codes.append(_verdict_code(judged))
        codes += [UNKNOWN] if begun.is_running and judged["verdict"] != "fixed" else []
    return BAD if BAD in codes else max(codes)


def _verdict_code(judged: Row) -> int:
    return BAD if is_bad(judged) else UNKNOWN if is_open(judged) else WELL


def _show_kept(arguments: argparse.Namespace) -> int:
    """The verdict of an experiment that the store has."""
    store = open_store(arguments.store, must=True, make=False)
    if store is None:
        raise ToolError("there is no history yet: no experiment {0!r}".format(clean(arguments.show, 80)))
    with store:
        found = judged_experiments(store, arguments.show, arguments.confidence)
        if not found:
            known = ", ".join(list(store.experiments())[:20]) or "none"
            told = "crashready soak: there is no experiment {0!r}; known, the latest first: {1}"
            print(told.format(clean(arguments.show, 80), known), file=sys.stderr)
            return USAGE
    _show(found[0], [], arguments.json)
    return _verdict_code(found[0])

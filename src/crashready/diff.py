# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""`crashready diff`: what changed in a rack since a date, from the looks that `check` and `report` have kept.

It asks no host: it compares what was known at one moment with what was known at
another. The comparison is `_core.history`.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import re
import sys
import typing as t

from ._core.history import SCHEMA, SENSES, Change, compare_looks, standing_of, worst_sense
from ._core.text import clean
from .exits import BAD, UNKNOWN, USAGE, WELL, ToolError
from .inventory_arguments import asked_of
from .inventory_hosts import NoHosts, read_rack
from .remember import add_store_arguments, open_store

if t.TYPE_CHECKING:
    from .store.history import Standing, Store

__all__ = ["SCHEMA", "HostDiff", "add_arguments", "compare", "exit_code", "moment_of", "run"]

_AGO = re.compile(r"([0-9]{1,4}) ?(h|d|w)")
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}
#: More changed hosts than these are shown by change and not by host.
_HOSTS_SHOWN = 40
_NAMES_SHOWN = 6
#: Hosts whose facts are held at once.
_PART = 200


class HostDiff(t.NamedTuple):
    """What became of one host between two moments."""

    host: str
    standing: str  #: one of `_core.history.STANDINGS`
    before: dt.datetime | None  #: when it was last seen as it was before
    after: dt.datetime | None  #: when it was last seen as it is
    changes: tuple[Change, ...]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Between which moments, of which hosts, and how to show it."""
    parser.add_argument(
        "--since",
        metavar="DATE",
        required=True,
        type=moment_of,
        help="2026-11-01, 2026-11-01T08:00 (of this machine's time zone, or with one: +00:00), or how long ago: 7d",
    )
    parser.add_argument(
        "--until", metavar="DATE", type=_end_of, help="the later moment (default: now); a day counts to its end"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object with sorted keys")
    add_store_arguments(parser, "", optional=False)
    rack = parser.add_argument_group("hosts of an inventory (without -i: every host of the store)")
    rack.add_argument("-i", "--inventory", action="append", help="an Ansible inventory (can be repeated)")
    rack.add_argument("-l", "--limit", metavar="HOSTS", help="only these hosts (an Ansible pattern)")
    rack.add_argument("-e", "--extra-vars", metavar="VARS", action="append", default=[], help="as for Ansible")
    rack.add_argument("--vault-id", metavar="ID", action="append", default=[], help="as for Ansible")
    rack.add_argument("--vault-password-file", metavar="FILE", action="append", default=[], help="as for Ansible")
    rack.add_argument("-J", "--ask-vault-password", action="store_true", help="as for Ansible")


# --- moments ---------------------------------------------------------------------------------------------------------


def moment_of(text: str, end: bool = False) -> dt.datetime:
    """A moment as people write it. A day is its beginning, or its `end`. Raises argparse.ArgumentTypeError."""
    ago = _AGO.fullmatch(text.strip())
    if ago:
        return dt.datetime.now(dt.timezone.utc) - dt.timedelta(**{_UNITS[ago.group(2)]: int(ago.group(1))})
    try:
        moment = dt.datetime.fromisoformat(text.strip())
        if end and re.fullmatch(r"[0-9]{4}-?[0-9]{2}-?[0-9]{2}", text.strip()):
            moment += dt.timedelta(days=1, microseconds=-1)
        return moment.astimezone(dt.timezone.utc)
    except (ValueError, OverflowError, OSError) as exc:
        told = "{0!r} is no date: 2026-11-01, 2026-11-01T08:00, or how long ago: 7d, 12h, 2w"
        raise argparse.ArgumentTypeError(told.format(clean(text, 60))) from exc


def _end_of(text: str) -> dt.datetime:
    return moment_of(text, end=True)


# --- comparing -------------------------------------------------------------------------------------------------------


def compare(store: Store, since: dt.datetime, until: dt.datetime, names: t.Sequence[str] | None) -> list[HostDiff]:
    """What became of each host; of `names`, or of every host that the store knew by `until`."""
    then, now = store.standings(since), store.standings(until)
    wanted = sorted(now if names is None else {name[:255] for name in names})
    standings = {name: standing_of(since, then.get(name), now.get(name)) for name in wanted}
    pairs = [(name, then[name], now[name]) for name in wanted if standings[name] == "changed"]
    changes = dict(_changes(store, pairs))
    found = []
    for name in wanted:
        before, after = then.get(name), now.get(name)
        mine = changes.get(name, ())
        standing = "same" if standings[name] == "changed" and not mine else standings[name]
        seen = [each.seen_at if each else None for each in (before, after)]
        found.append(HostDiff(name, standing, seen[0], seen[1], mine))
    return found


def _changes(
    store: Store, pairs: t.Sequence[tuple[str, Standing, Standing]]
) -> t.Iterator[tuple[str, tuple[Change, ...]]]:
    """The changes of hosts, of which the store gives the facts of some at a time."""
    for start in range(0, len(pairs), _PART):
        part = pairs[start : start + _PART]
        ids = {each.facts_id for _name, *both in part for each in both if each.facts_id is not None}
        facts = store.facts_by_id(sorted(ids))
        for name, before, after in part:
            looks = [facts.get(each.facts_id or 0) for each in (before, after)]
            yield name, tuple(compare_looks(looks[0], looks[1], before.judgement, after.judgement))


def exit_code(found: t.Iterable[HostDiff]) -> int:
    """BAD for a change for the worse, UNKNOWN for any other and for a host without two looks, WELL for none."""
    found = list(found)
    if any(worst_sense(each.changes) == "worse" for each in found):
        return BAD
    return WELL if found and all(each.standing == "same" for each in found) else UNKNOWN


def run(arguments: argparse.Namespace) -> int:
    """Compare and show."""
    until = arguments.until or dt.datetime.now(dt.timezone.utc)
    if until <= arguments.since:
        print("crashready diff: --until is not after --since", file=sys.stderr)
        return USAGE
    try:
        names = _names(arguments)
    except NoHosts as exc:
        print("crashready diff: {0}".format(exc), file=sys.stderr)
        return USAGE
    store = open_store(arguments.store, must=True, make=False)
    if store is None:
        raise ToolError("there is no history yet. Make one: crashready check -i INVENTORY (it keeps what it sees)")
    with store:
        found = compare(store, arguments.since, until, names)
    if arguments.json:
        print(json.dumps(_as_json(found, arguments.since, until), indent=2, sort_keys=True))
    else:
        _show(found, arguments.since, until)
    return exit_code(found)


def _names(arguments: argparse.Namespace) -> list[str] | None:
    """Names of the hosts of the inventory; None without one. Raises NoHosts."""
    if not arguments.inventory:
        if arguments.limit:
            raise NoHosts("--limit needs an inventory (-i)")
        return None
    arguments.become, arguments.ask_become_pass = False, False
    return [target.name for target in read_rack(arguments.inventory, asked_of(arguments)).targets]


# --- showing ---------------------------------------------------------------------------------------------------------


def _as_json(found: t.Sequence[HostDiff], since: dt.datetime, until: dt.datetime) -> dict[str, t.Any]:
    hosts = {
        each.host: {
            "standing": each.standing,
            "before": each.before.isoformat() if each.before else None,
            "after": each.after.isoformat() if each.after else None,
            "changes": [change._asdict() for change in each.changes],
        }
        for each in found
        if each.standing != "same"
    }
    return {
        "schema": SCHEMA,
        "since": since.isoformat(),
        "until": until.isoformat(),
        "summary": {
            "hosts": len(found),
            "same": sum(each.standing == "same" for each in found),
            "changed": sum(each.standing == "changed" for each in found),
            "worse": sum(worst_sense(each.changes) == "worse" for each in found),
            "not_compared": sum(each.standing not in ("same", "changed") for each in found),
        },
        "hosts": hosts,
    }


_STYLES = {"worse": "red", "unknown": "yellow", "other": "", "better": "green"}


def _show(found: t.Sequence[HostDiff], since: dt.datetime, until: dt.datetime) -> None:
    from rich.console import Console

    changed = [each for each in found if each.changes]
    console = Console(highlight=False, markup=False)
    wide = console if console.is_terminal else Console(highlight=False, markup=False, width=200)
    if changed:
        wide.print(_by_host(changed) if len(changed) <= _HOSTS_SHOWN else _by_change(changed))
    for standing, says in (
        ("new", "looked at for the first time since then"),
        ("not looked at", "not looked at since then"),
        ("never looked at", "never looked at"),
    ):
        names = [each.host for each in found if each.standing == standing]
        if names:
            console.print("{0}: {1}".format(says, _named(names)), soft_wrap=True)
    worse = sum(worst_sense(each.changes) == "worse" for each in found)
    shown = [moment.astimezone().strftime("%Y-%m-%d %H:%M") for moment in (since, until)]
    told = "{0} hosts from {1} to {2}: {3} changed, {4} of them for the worse"
    console.print(told.format(len(found), *shown, len(changed), worse), soft_wrap=True)


def _by_host(changed: t.Sequence[HostDiff]) -> t.Any:
    from rich.table import Table
    from rich.text import Text

    table = Table("HOST", "SENSE", "WHAT CHANGED", box=None, pad_edge=False)
    for each in sorted(changed, key=lambda each: (SENSES.index(each.changes[0].sense), each.host)):
        for number, change in enumerate(each.changes):
            sense = Text(change.sense, style=_STYLES[change.sense])
            table.add_row("" if number else clean(each.host, 80), sense, Text(clean(change.says, 400)))
    return table


def _by_change(changed: t.Sequence[HostDiff]) -> t.Any:
    """The same change of many hosts is one line."""
    from rich.table import Table
    from rich.text import Text

    found: dict[tuple[str, str], list[str]] = {}
    for each in changed:
        for change in each.changes:
            found.setdefault((change.sense, change.says), []).append(each.host)
    table = Table("SENSE", "WHAT CHANGED", "HOSTS", box=None, pad_edge=False)
    for (sense, says), names in sorted(found.items(), key=lambda item: (SENSES.index(item[0][0]), -len(item[1]))):
        table.add_row(Text(sense, style=_STYLES[sense]), Text(clean(says, 400)), Text(_named(names)))
    return table


def _named(names: t.Sequence[str]) -> str:
    shown = ", ".join(clean(name, 80) for name in names[:_NAMES_SHOWN])
    more = len(names) - _NAMES_SHOWN
    return "{0} and {1} more".format(shown, more) if more > 0 else shown

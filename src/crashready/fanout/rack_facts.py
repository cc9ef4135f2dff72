# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""`crashready facts -i INVENTORY`: facts of every host of a rack, as a table, as JSON, as a folder of files."""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import os
import pathlib
import sys
import typing as t

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .._core.text import clean, human_bytes
from ..exits import UNKNOWN, USAGE, WELL, ToolError
from ..inventory_arguments import asked_of, limits_of
from ..inventory_hosts import NoHosts, Rack, read_rack
from ..remember import memory_for
from .gather import gather
from .outcome import Outcome
from .progress import progress_for, summary

__all__ = ["SCHEMA", "ask_rack", "run_rack", "save"]

#: Version of the shape of `crashready facts -i INVENTORY --json`: docs/facts-rack.schema.json.
SCHEMA = 1

#: Bytes: 255 are what a folder takes (limits.h: NAME_MAX), and the extension and a temporary name come on top.
_FILE_NAME_LIMIT = 200


def run_rack(arguments: argparse.Namespace) -> int:
    """Ask, show, and say who did not answer. 0 when every host answered, else 2."""
    try:
        rack = read_rack(arguments.inventory, asked_of(arguments))
    except NoHosts as exc:
        print("crashready facts: {0}".format(exc), file=sys.stderr)
        return USAGE
    outcomes = ask_rack(rack, arguments.subset, arguments)
    if arguments.save is not None:
        save(arguments.save, outcomes.values())
    if arguments.remember:
        _remember(outcomes, arguments)
    if arguments.json:
        write_json(outcomes, sys.stdout)
    else:
        show_table(outcomes)
    return UNKNOWN if any(outcome.cause for outcome in outcomes.values()) else WELL


def _remember(outcomes: t.Mapping[str, Outcome], arguments: argparse.Namespace) -> None:
    moment = datetime.datetime.now(datetime.timezone.utc)
    with memory_for(arguments, by_itself=False) as memory:
        for name, outcome in outcomes.items():
            if not outcome.cause:
                memory.add_facts(name, outcome.facts(), None, moment)


def ask_rack(rack: Rack, subsets: t.Sequence[str], arguments: argparse.Namespace) -> dict[str, Outcome]:
    """Ask every host with progress on standard error, and name there those without facts."""
    outcomes = gather(rack, subsets, limits_of(arguments), progress_for())
    text = summary(outcomes.values())
    if text:
        print(text, file=sys.stderr)
    return outcomes


def save(folder: pathlib.Path, outcomes: t.Iterable[Outcome]) -> None:
    """Write HOST.json for every host with facts, as `--from` and `crashready triage` read them. Raises ToolError."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for outcome in outcomes:
            if outcome.packed is not None:
                _write(folder / (_file_name(outcome.host) + ".json"), outcome.facts())
    except OSError as exc:
        raise ToolError("facts cannot be kept in {0}: {1}".format(folder, exc.strerror or exc)) from exc


def _file_name(host: str) -> str:
    """A host's name as a file's: an inventory may call a host `../../etc/passwd`. No two hosts share one."""
    name = "".join(sign if sign.isalnum() or sign in "-_." else "_" for sign in host)
    name = name.encode()[:_FILE_NAME_LIMIT].decode(errors="ignore")
    name = "_" + name[1:] if name.startswith(".") else name or "_"
    if name == host:
        return name
    return name + "-" + hashlib.sha256(host.encode(errors="surrogatepass")).hexdigest()[:8]


def _write(path: pathlib.Path, facts: t.Any) -> None:
    temporary = path.with_name(".{0}.{1}".format(path.name, os.getpid()))
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        json.dump(facts, stream, indent=2, sort_keys=True)
        stream.write("\n")
    temporary.replace(path)


def write_json(outcomes: t.Mapping[str, Outcome], stream: t.TextIO) -> None:
    """One JSON object with sorted keys, a line a host: never are the facts of two hosts unpacked at once.

    A line, because json's quick encoder does not indent; for ten thousand hosts that is a quarter of a minute.
    """
    stream.write('{\n  "hosts": {')
    for number, name in enumerate(sorted(outcomes)):
        text = json.dumps(_entry(outcomes[name]), sort_keys=True)
        stream.write("{0}\n    {1}: {2}".format("," if number else "", json.dumps(name), text))
    answered = sum(not outcome.cause for outcome in outcomes.values())
    stream.write('\n  }},\n  "schema": {0},\n  "summary": {{\n    "answered": {1},\n'.format(SCHEMA, answered))
    stream.write('    "asked": {0}\n  }}\n}}\n'.format(len(outcomes)))


def _entry(outcome: Outcome) -> dict[str, t.Any]:
    entry: dict[str, t.Any] = {
        "way": outcome.way,
        "note": outcome.note or None,
        "seconds": outcome.seconds,
        "attempts": outcome.attempts,
        "facts": outcome.facts(),
        "failure": None,
    }
    if outcome.cause:
        entry["failure"] = {"cause": outcome.cause, "says": outcome.says, "next": outcome.next}
    return entry


def show_table(outcomes: t.Mapping[str, Outcome]) -> None:
    """A line a NIC; what a host did not say is a question mark."""
    table = Table("HOST", "KERNEL", "ARMED", "RESERVED", "CRASHES", "NICS", box=None, pad_edge=False)
    for name, outcome in outcomes.items():
        if outcome.cause:
            table.add_row(clean(name, 80), "-", "?", "-", "-", Text("no facts: " + outcome.cause, style="red"))
        else:
            table.add_row(clean(name, 80), *_cells(outcome.facts() or {}))
    console = Console(highlight=False)
    (console if console.is_terminal else Console(highlight=False, width=200)).print(table)


def _mapping(value: t.Any) -> dict[str, t.Any]:
    return value if isinstance(value, dict) else {}


def _cells(facts: dict[str, t.Any]) -> list[str | Text]:
    """Cells of a table; the facts are a host's word and may have any shape."""
    capture, kernel = _mapping(facts.get("capture")), _mapping(facts.get("kernel"))
    armed, reserved, crashes = capture.get("armed"), capture.get("reserved_bytes"), facts.get("crashes")
    word = (
        "n/a"
        if capture.get("applicable") is False
        else {True: "yes", False: "no"}[armed]
        if isinstance(armed, bool)
        else "?"
    )
    nics = [_nic(nic) for nic in facts.get("nics") or [] if isinstance(nic, dict) and not nic.get("virtual")]
    return [
        Text(clean(str(kernel.get("release") or "?"), 40)),
        Text(word, style={"yes": "green", "no": "red"}.get(word, "")),
        human_bytes(reserved) if isinstance(reserved, int) and not isinstance(reserved, bool) else "?",
        str(len(crashes)) if isinstance(crashes, list) else "?",
        Text("\n".join(nics[:16]) or "none seen"),
    ]


def _nic(nic: dict[str, t.Any]) -> str:
    pci, firmware = _mapping(nic.get("pci")), _mapping(nic.get("firmware")).get("raw")
    ids = "{0}:{1} ".format(pci["vendor"], pci.get("device")) if pci.get("vendor") else ""
    shown = "{0} {1}{2} fw {3}".format(nic.get("name"), ids, nic.get("driver") or "?", firmware or "?")
    return clean(shown, 80)

# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""`crashready facts`: what machines look like, without judgement. This one, or with -i every host of an inventory.

Of this machine it runs with the standard library of Python 3.9 alone: this module and what it imports at its head
must stay so.
"""

from __future__ import annotations

import argparse
import datetime
import json
import pathlib
import socket
import typing as t

from ._core.text import clean, human_bytes
from .exits import WELL
from .inventory_arguments import add_rack_arguments
from .remember import add_store_arguments, memory_for

__all__ = ["add_arguments", "render", "run"]

_Facts = dict[str, t.Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to collect, how to show it, and whose it is."""
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--json", action="store_true", help="one JSON object with sorted keys")
    shown.add_argument("--table", action="store_true", help="for people (the default)")
    from ._host.facts import DEFAULT_SUBSETS, SUBSETS

    parser.add_argument(
        "--subset",
        type=_subsets,
        default=DEFAULT_SUBSETS,
        metavar="NAME[,NAME]",
        help="only these of: {0}; without this option all but {1}".format(
            ", ".join(SUBSETS), ", ".join(name for name in SUBSETS if name not in DEFAULT_SUBSETS)
        ),
    )
    parser.add_argument(
        "--save", metavar="FOLDER", type=pathlib.Path, help="with -i: also write HOST.json for every host into FOLDER"
    )
    add_store_arguments(parser, "without it nothing is kept")
    add_rack_arguments(parser)


def _subsets(text: str) -> tuple[str, ...]:
    from ._host.facts import subsets_of

    try:
        return subsets_of([name.strip() for name in text.split(",")])
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def run(arguments: argparse.Namespace) -> int:
    """Print the facts. Nulls are no error: facts judge nothing."""
    if arguments.inventory and not arguments.local:
        from .fanout.rack_facts import run_rack

        return run_rack(arguments)
    from ._host.facts import collect_facts
    from ._host.local import LocalHost

    facts = collect_facts(LocalHost(), arguments.subset)
    if arguments.remember:
        with memory_for(arguments, by_itself=False) as memory:
            memory.add_facts(
                clean(socket.gethostname(), 128), facts, None, datetime.datetime.now(datetime.timezone.utc)
            )
    print(json.dumps(facts, indent=2, sort_keys=True) if arguments.json else render(facts))
    return WELL


def render(facts: _Facts) -> str:
    """Facts as text for people; what could not be read is a question mark with its reason."""
    parts = []
    for name, render_part in (("kernel", _kernel), ("nics", _nics), ("capture", _capture), ("crashes", _crashes)):
        if facts.get(name) is not None:
            parts.append(render_part(facts[name]))
    parts.append(_unread_lines(facts.get("unread") or {}))
    return "\n\n".join(part for part in parts if part)


def _shown(value: t.Any, reason: str | None = None) -> str:
    if value is None:
        return "? ({0})".format(clean(reason)) if reason else "?"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return clean(str(value))


def _lines(title: str, rows: t.Iterable[tuple[str, str]]) -> str:
    return "\n".join([title] + ["  {0:<14} {1}".format(label, text) for label, text in rows])


def _field(facts: _Facts, name: str) -> str:
    return _shown(facts.get(name), (facts.get("unread") or {}).get(name))


def _size(facts: _Facts, name: str) -> str:
    value = facts.get(name)
    return human_bytes(value) if isinstance(value, int) else _field(facts, name)


def _kernel(kernel: _Facts) -> str:
    package = "{0} {1}".format(_field(kernel, "package"), _field(kernel, "package_version"))
    next_boot = kernel.get("next_boot") or {}
    return _lines(
        "Kernel",
        [
            ("running", "{0} {1}".format(_field(kernel, "release"), _shown(kernel.get("machine")))),
            ("package", package),
            ("stream", _field(kernel, "stream")),
            ("next boot", _shown(next_boot.get("release"), next_boot.get("reason"))),
            ("boot loader", "{0}, {1}".format(_field(kernel, "boot_loader"), _field(kernel, "firmware_type"))),
            ("secure boot", _field(kernel, "secure_boot")),
        ],
    )


def _nic_row(nic: _Facts) -> list[str]:
    pci = nic.get("pci") or {}
    ids = "{0}:{1}".format(pci.get("vendor"), pci.get("device")) if pci else "-"
    firmware = nic.get("firmware") or {}
    speed = nic.get("speed_mbps")
    return [
        _shown(nic.get("name")),
        ids if pci.get("vendor") else "-",
        _field(nic, "driver"),
        _shown(firmware.get("raw"), (nic.get("unread") or {}).get("firmware")),
        "-" if speed is None else "{0} Mb/s".format(speed),
        _field(nic, "link"),
        _shown(pci.get("model")) if pci else ("virtual" if nic.get("virtual") else "-"),
    ]


def _nics(nics: list[_Facts]) -> str:
    rows = [["NIC", "PCI ids", "driver", "firmware", "speed", "link", "model"]] + [_nic_row(nic) for nic in nics]
    if len(rows) == 1:
        return "No NICs"
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)


def _capture(capture: _Facts) -> str:
    if capture.get("applicable") is False:
        return _lines("Crash capture", [("applicable", "no ({0})".format(_shown(capture.get("applicable_reason"))))])
    rows = [
        ("armed", _field(capture, "armed")),
        ("reserved", _size(capture, "reserved_bytes")),
        ("suggested", _size(capture, "suggested_bytes")),
        ("proven", _field(capture, "proven")),
    ]
    for problem in capture.get("problems") or []:
        rows.append(("problem", _problem(problem)))
    return _lines("Crash capture", rows)


def _problem(problem: t.Any) -> str:
    if not isinstance(problem, dict):
        return clean(str(problem))
    text = problem.get("message") or problem.get("text") or problem.get("id")
    remedy = problem.get("remedy")
    return clean(str(text)) + ("; remedy: {0}".format(clean(str(remedy))) if remedy else "")


def _crashes(crashes: list[_Facts]) -> str:
    rows = []
    for crash in crashes:
        state = "valid" if crash.get("valid") else "not valid: {0}".format(_shown(crash.get("reason")))
        rows.append((_shown(crash.get("stamp")), "{0}  {1}".format(_shown(crash.get("path")), state)))
    return _lines("Crashes", rows) if rows else "No crashes"


def _unread_lines(unread: dict[str, str]) -> str:
    return (
        _lines("Not read", [(clean(name), clean(reason)) for name, reason in sorted(unread.items())]) if unread else ""
    )

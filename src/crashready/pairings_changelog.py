# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""`crashready pairings changelog`: what a Debian kernel changelog says of a driver between two package versions."""

from __future__ import annotations

import argparse
import gzip
import json
import pathlib
import typing as t
import zlib

from ._core import cve_index, deb_changelog
from ._core.errors import ParseError
from ._core.text import clean
from .exits import UNKNOWN, WELL, ToolError

__all__ = ["add_changelog_arguments", "add_changelog_parser", "run_changelog"]


def add_changelog_arguments(parser: argparse.ArgumentParser) -> None:
    """FILE, `--driver`, `--from`, `--to` and `--json`."""
    parser.add_argument(
        "file",
        metavar="FILE",
        type=pathlib.Path,
        help="changelog of a kernel, also as .gz (/usr/share/doc/linux-doc-6.12/changelog.Debian.gz)",
    )
    parser.add_argument(
        "--driver",
        metavar="NAME",
        action="append",
        required=True,
        help="driver as ethtool -i shows it (can be repeated)",
    )
    parser.add_argument(
        "--from", dest="from_version", metavar="VERSION", required=True, help="package version that runs, 6.1.170-3"
    )
    parser.add_argument(
        "--to", dest="to_version", metavar="VERSION", required=True, help="package version that is looked at, 6.1.192-2"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")


def add_changelog_parser(subparsers: t.Any) -> None:
    """Put `changelog` among the subcommands of `crashready pairings`; `action` is then `run_changelog`."""
    about = "what a Debian kernel changelog lists for a driver between two package versions"
    parser = subparsers.add_parser("changelog", help=about, description=about)
    add_changelog_arguments(parser)
    parser.set_defaults(action=run_changelog)


def _read(file: pathlib.Path) -> str:
    try:
        with open(file, "rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            stream: t.Any = gzip.GzipFile(fileobj=raw) if packed else raw
            data: bytes = stream.read(deb_changelog.TEXT_LIMIT + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ToolError("{0}: {1}".format(file, clean(str(error), 120))) from error
    return data.decode("utf-8", "replace")


def run_changelog(arguments: argparse.Namespace) -> int:
    """Print the list. Returns WELL, or UNKNOWN where it cannot be all of the difference (the reason is printed)."""
    try:
        found = deb_changelog.items_between(
            deb_changelog.parse_changelog(_read(arguments.file)),
            arguments.from_version,
            arguments.to_version,
            arguments.driver,
        )
    except ParseError as error:
        raise ToolError("{0}: {1}".format(arguments.file, error)) from error
    for row in [*found["items"], *found["taken_back"]]:
        row["class"] = cve_index.classify(row["title"])
    if arguments.json:
        print(json.dumps({"schema": 1, **found}, indent=2, sort_keys=True))
    else:
        print(_shown(found))
    return WELL if found["complete"] else UNKNOWN


def _shown(found: dict[str, t.Any]) -> str:
    lines = []
    for heading, rows in (("Came in", found["items"]), ("Taken back", found["taken_back"])):
        if rows:
            lines.append("{0} ({1})".format(heading, len(rows)))
            lines += [_row(row) for row in rows]
    lines = lines or ["Nothing is listed for these drivers"]
    mark = "complete" if found["complete"] else "not complete"
    return "\n".join([*lines, "{0}: {1}".format(mark, found["reason"])])


def _row(row: dict[str, t.Any]) -> str:
    tags = [*row["cves"], *("Debian #{0}".format(number) for number in row["closes"])]
    return "  {0:<16} {1:<10} {2}{3}".format(
        row["version"], row["class"], row["title"], " ({0})".format(", ".join(tags)) if tags else ""
    )

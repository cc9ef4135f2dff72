# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""`crashready pairings import`: from the kernel's CVE records to the index of driver bugs in data/derived.

Reads a checkout of the kernel CNA's repository `vulns` (cve/published/YEAR/*.json,
with the .dyad beside each record where there is one), any folder or file of CVE
JSON 5 records, and JSON lines {"cve", "title", "files", "ranges"}. The same
records give the same bytes, in whatever order they come.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import pathlib
import re
import sys
import tempfile
import typing as t

from ._core import cve_index
from ._core.errors import ParseError
from ._core.text import clean
from .exits import UNKNOWN, WELL, ToolError

__all__ = ["add_import_arguments", "add_import_parser", "run_import"]

#: The largest record of August 2026 has 130 kB; a row of JSON lines is smaller.
RECORD_LIMIT = 8 * 1024 * 1024
LINE_LIMIT = 1024 * 1024
#: The repository had 14,948 published records in August 2026.
RECORDS_LIMIT = 200_000

#: Reasons that say nothing against the input.
_HARMLESS = re.compile(r"touches no NIC driver|names no source file|state REJECTED|state RESERVED")

_Record = t.Union[dict[str, t.Any], tuple[t.Any, t.Sequence[cve_index.Range]]]


def _date(text: str) -> str:
    if not re.match(r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])\Z", text):
        raise argparse.ArgumentTypeError("{0!r} is no date: YYYY-MM-DD".format(clean(text, 32)))
    return text


def add_import_arguments(parser: argparse.ArgumentParser) -> None:
    """PATH..., `-o`, `--source`, `--date` and `--json`."""
    parser.add_argument(
        "paths",
        nargs="+",
        metavar="PATH",
        type=pathlib.Path,
        help="a checkout of the kernel CNA's vulns, a folder or file of CVE JSON 5 records, or JSON lines",
    )
    parser.add_argument("-o", "--output", metavar="FILE", type=pathlib.Path, help="write the index here, not to stdout")
    parser.add_argument(
        "--source", metavar="TEXT", type=lambda text: clean(text, 200), help="where the records are from"
    )
    parser.add_argument("--date", metavar="YYYY-MM-DD", type=_date, help="the day that the records are of")
    parser.add_argument("--json", action="store_true", help="with -o: the summary as one JSON object on stdout")


def add_import_parser(subparsers: t.Any) -> None:
    """Put `import` among the subcommands of `crashready pairings`; `action` is then `run_import`."""
    about = "build the index of known driver bugs from the kernel's CVE records"
    parser = subparsers.add_parser("import", help=about, description=about)
    add_import_arguments(parser)
    parser.set_defaults(action=run_import)


# ---------------------------------------------------------------------------------------------------------------------
# Reading


class _Reading:
    """What was read, and why records were left out; shows where it is on a terminal."""

    def __init__(self) -> None:
        self.read = 0
        self.skipped: dict[str, list[str]] = {}

    def skip(self, name: str, reason: str) -> None:
        names = self.skipped.setdefault(reason, [])
        names.append(name)

    def count(self) -> None:
        self.read += 1
        if self.read > RECORDS_LIMIT:
            raise ToolError("more than {0} records: this is no set of the kernel's CVEs".format(RECORDS_LIMIT))
        if self.read % 250 == 0 and sys.stderr.isatty():
            print("\r{0} records read".format(self.read), end="", file=sys.stderr, flush=True)

    def records(self, paths: t.Iterable[pathlib.Path]) -> t.Iterator[_Record]:
        for path in paths:
            for file in _files(path):
                yield from self._lines(file) if file.suffix == ".jsonl" else self._one(file)
        if self.read >= 250 and sys.stderr.isatty():
            print(file=sys.stderr)

    def _lines(self, file: pathlib.Path) -> t.Iterator[_Record]:
        try:
            with open(file, encoding="utf-8", errors="replace") as stream:
                for number in range(1, RECORDS_LIMIT + 2):
                    line = stream.readline(LINE_LIMIT + 1)
                    if not line:
                        return
                    if line.strip():
                        yield from self._parsed(line, "{0}:{1}".format(file.name, number), LINE_LIMIT)
                    while len(line) > LINE_LIMIT and not line.endswith("\n"):
                        line = stream.readline(LINE_LIMIT + 1)
        except OSError as error:
            raise ToolError("{0}: {1}".format(file, error.strerror)) from error

    def _one(self, file: pathlib.Path) -> t.Iterator[_Record]:
        text = _text(file)
        for record in self._parsed(text, file.name, RECORD_LIMIT):
            dyad = file.with_suffix(".dyad")
            if not dyad.is_file():
                yield record
                continue
            try:
                yield record, cve_index.parse_dyad(_text(dyad))
            except ParseError as error:
                self.skip(dyad.name, "the dyad cannot be read: {0}".format(error))

    def _parsed(self, text: str, name: str, limit: int) -> t.Iterator[dict[str, t.Any]]:
        self.count()
        if len(text) > limit:
            self.skip(name, "longer than {0} characters".format(limit))
            return
        try:
            record = json.loads(text)
        except (ValueError, RecursionError):
            self.skip(name, "not JSON")
            return
        yield record


def _text(file: pathlib.Path) -> str:
    try:
        with open(file, encoding="utf-8", errors="replace") as stream:
            return stream.read(RECORD_LIMIT + 1)
    except OSError as error:
        raise ToolError("{0}: {1}".format(file, error.strerror)) from error


def _files(path: pathlib.Path) -> t.Iterator[pathlib.Path]:
    """The record files at a path, sorted; a checkout's rejected and reserved records lie beside and are left alone."""
    if path.is_file():
        yield path
        return
    if not path.is_dir():
        raise ToolError("{0}: no such file or folder".format(path))
    published = path / "cve" / "published"
    root = published if published.is_dir() else path
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            file = pathlib.Path(folder, name)
            if file.suffix in (".json", ".jsonl") and not name.startswith(".") and file.is_file():
                yield file


# ---------------------------------------------------------------------------------------------------------------------
# Writing


def _write(file: pathlib.Path, text: str) -> None:
    """All of the text or nothing: readers of the old file are never shown half of the new one."""
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="ascii", dir=file.parent, prefix=".{0}.".format(file.name), delete=False
        ) as stream:
            try:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
                os.chmod(stream.name, 0o644)
                os.replace(stream.name, file)
            except BaseException:
                os.unlink(stream.name)
                raise
    except OSError as error:
        raise ToolError("{0} was not written: {1}".format(file, error.strerror)) from error


def _summary(reading: _Reading, index: cve_index.CveIndex) -> dict[str, t.Any]:
    classes = collections.Counter(bug.bug_class for bug in index.bugs)
    return {
        "schema": 1,
        "read": reading.read,
        "used": len(index.bugs),
        "drivers": len(index.by_driver),
        "classes": dict(sorted(classes.items())),
        "skipped": [
            {"reason": reason, "count": len(names), "examples": names[:3]}
            for reason, names in sorted(reading.skipped.items(), key=lambda pair: (-len(pair[1]), pair[0]))
        ],
    }


def _shown(summary: dict[str, t.Any]) -> str:
    lines = ["{read} records read, {used} used, for {drivers} drivers".format(**summary)]
    lines += ["  {0:<11} {1}".format(name, count) for name, count in summary["classes"].items()]
    for row in summary["skipped"]:
        lines.append(
            "  left out {0}: {1} (such as {2})".format(row["count"], row["reason"], ", ".join(row["examples"]))
        )
    return "\n".join(lines)


def run_import(arguments: argparse.Namespace) -> int:
    """Build and write the index.

    Returns WELL, or UNKNOWN where a record could not be read (the index then lacks it, and the summary says which).
    Raises ToolError where nothing could be used or written.
    """
    reading = _Reading()
    try:
        index = cve_index.build_index(reading.records(arguments.paths), arguments.source, arguments.date, reading.skip)
    except ParseError as error:
        raise ToolError(str(error)) from error
    summary = _summary(reading, index)
    if not index.bugs:
        raise ToolError(
            "no record of a NIC driver in {0}\n{1}".format(", ".join(map(str, arguments.paths)), _shown(summary))
        )
    text = cve_index.dump_index(index)
    if arguments.output is None:
        sys.stdout.write(text)
        print(_shown(summary), file=sys.stderr)
    else:
        _write(arguments.output, text)
        print(json.dumps(summary, sort_keys=True) if arguments.json else _shown(summary))
    return WELL if all(_HARMLESS.search(reason) for reason in reading.skipped) else UNKNOWN

# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Compares what the parser makes of the corpus with what a reader wrote down before, and prints the confusion tables.

Run it from the checkout: `python tests/corpus/confusion.py`. Markdown goes to standard output; the exit code is 1
where a record differs from its expectation.
"""

from __future__ import annotations

import collections
import json
import pathlib
import re
import sys
import typing as t

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]

Case = tuple[pathlib.Path, dict[str, t.Any]]


def cases() -> list[Case]:
    """Every log with its expectation, in the order of names."""
    return [
        (log, json.loads(log.with_suffix(".json").read_text(encoding="utf-8")))
        for log in sorted(HERE.glob("*.log"))
        if log.with_suffix(".json").is_file()
    ]


def _plain(name: str | None) -> str | None:
    """A function's name without the compiler's suffix: readers wrote some down with and some without it."""
    return re.sub(r"\.(?:isra|constprop|part|cold|lto_priv)(?:\.\d+)*", "", name) if name else name


def differences(expected: dict[str, t.Any], record: dict[str, t.Any]) -> list[str]:
    """One line for each field that differs."""
    found = {
        "function": _plain(record["function"]),
        "taint": None if record["taint"] is None else sorted(flag[0] for flag in record["taint"]),
        "kernel": record["kernel"]["release"],
        "hardware": ", BIOS ".join(part for part in (record["hardware"], record["bios"]) if part) or None,
        "arch": {"aarch64": "arm64"}.get(record["arch"], record["arch"]),
    }
    lines = []
    for key, told in expected.items():
        if key in ("frames_start", "complete"):
            continue
        wanted = _comparable(key, told)
        seen = found.get(key, record.get(key))
        if seen != wanted:
            lines.append("{0}: expected {1!r}, seen {2!r}".format(key, wanted, seen))
    lines += _frames(expected, record)
    if "complete" in expected and record["source"]["complete"] != expected["complete"]:
        lines.append("complete: expected {0}, seen {1}".format(expected["complete"], record["source"]["complete"]))
    return lines


def _comparable(key: str, value: t.Any) -> t.Any:
    if value is None:
        return None
    if key == "function":
        return _plain(value)
    if key == "hardware":
        return re.sub(r", BIOS$", "", value)
    return sorted(value) if key == "taint" else value


def _frames(expected: dict[str, t.Any], record: dict[str, t.Any]) -> list[str]:
    """The record's first frame is the fault itself, which readers left out where it is not part of the trace."""
    wanted = [_plain(name) for name in expected.get("frames_start") or []]
    seen = [_plain(frame["function"]) for frame in record["frames"] if not frame["inlined"]]
    if seen[: len(wanted)] == wanted or seen[1 : len(wanted) + 1] == wanted:
        return []
    return ["frames: expected {0}, seen {1}".format(wanted, seen[: len(wanted) + 1])]


def confusion(pairs: t.Iterable[tuple[str | None, str | None]]) -> str:
    """A table as markdown: rows are what a reader saw, columns what the parser says."""
    counted = collections.Counter((str(expected), str(seen)) for expected, seen in pairs)
    names = sorted({name for pair in counted for name in pair})
    lines = ["| expected \\ seen | " + " | ".join(names) + " |", "|---|" + "---:|" * len(names)]
    for row in names:
        cells = [str(counted[(row, column)] or "") for column in names]
        if any(cells):
            lines.append("| {0} | ".format(row) + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> int:
    """Print both tables and every difference."""
    sys.path.insert(0, str(ROOT / "src"))
    from crashready._core.oops import read_log
    from crashready.triage_tables import read_tables

    tables = read_tables()
    records = [(log, case["expected"], read_log(log.read_bytes(), tables).to_dict()) for log, case in cases()]
    for key in ("path", "kind"):
        print(
            "## {0}\n\n{1}\n".format(key, confusion((want.get(key), record[key]) for unused, want, record in records))
        )
    wrong = {log.name: differences(want, record) for log, want, record in records}
    wrong = {name: lines for name, lines in wrong.items() if lines}
    print("{0} logs, {1} as expected in every field".format(len(records), len(records) - len(wrong)))
    for name, lines in wrong.items():
        print("\n- {0}\n".format(name) + "\n".join("  - " + line for line in lines))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The shipped pairing entries and the derived index: form, meaning, and that no two of them contradict each other."""

from __future__ import annotations

import json
import pathlib
import re
import typing as t

import jsonschema
import pytest
import yaml
from ansible_collections.rackops.crashready.plugins.module_utils._core import cve_index, debversion, pairing_entry

DATA = pathlib.Path(__file__).resolve().parents[3] / "data"
FILES = sorted((DATA / "pairings").glob("*.yml"))
SCHEMA = json.loads((DATA / "pairings" / "schema.json").read_text(encoding="utf-8"))
Entry = dict[str, t.Any]

every_entry = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def _entry(path: pathlib.Path) -> Entry:
    entry: Entry = yaml.safe_load(path.read_text(encoding="utf-8"))
    return entry


def _release(text: str) -> tuple[int, ...]:
    numbers = tuple(int(number) for number in text.split("."))
    return numbers + (0,) * (3 - len(numbers))


def test_there_are_entries() -> None:
    assert len(FILES) > 80
    uses = [_entry(path)["suggested_use"] for path in FILES]
    assert uses.count("pin") >= 24
    assert uses.count("file-check") == 4


@every_entry
def test_form(path: pathlib.Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.isascii()
    assert "SPDX-License-Identifier: GPL-3.0-or-later" in text.splitlines()[1]
    jsonschema.Draft202012Validator(SCHEMA).validate(_entry(path))


@every_entry
def test_meaning(path: pathlib.Path) -> None:
    """Reads as an entry, is named like its file, and names where it can be read again."""
    entry = _entry(path)
    assert pairing_entry.read_entry(entry, path.name).id == path.stem
    assert all(source.strip() for source in entry["sources"])
    assert entry["driver"] in entry["modules"]
    assert entry.get("look_for"), "what a person looks for where facts cannot decide"


@every_entry
def test_kernel_ranges_are_half_open(path: pathlib.Path) -> None:
    """first_bad at or before first_good, both of the row's branch, one row a branch."""
    rows = _entry(path)["kernel"].get("affected") or []
    assert len({row["branch"] for row in rows}) == len(rows)
    for row in rows:
        bad, good = row["first_bad"], row["first_good"]
        for version in (bad, good):
            if version not in (None, "unknown") and row["branch"] != "mainline":
                assert version.startswith(row["branch"] + "."), row
        if bad != "unknown" and good is not None:
            assert _release(bad) <= _release(good), row


@every_entry
def test_debian_agrees_with_upstream(path: pathlib.Path) -> None:
    """A Debian package with the fix is of an upstream release that has it, unless Debian picked the fix itself."""
    entry = _entry(path)
    rows = {row["branch"]: row for row in entry["kernel"].get("affected") or []}
    for stream, known in (entry.get("debian") or {}).items():
        if known["fixed"] in (None, "all"):
            continue
        upstream = debversion.upstream(known["fixed"])
        row = rows.get(".".join(upstream.split(".")[:2]))
        if row is not None and row["first_good"] is not None:
            assert _release(upstream) >= _release(row["first_good"]), stream
        if known.get("first_bad") and row is not None:
            assert _release(debversion.upstream(known["first_bad"])) >= _release(row["first_bad"]), stream


def _commits(value: t.Any) -> t.Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in ("commit", "introducing_stable_commit"):
                yield inner
            yield from _commits(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _commits(inner)


@every_entry
def test_ids(path: pathlib.Path) -> None:
    entry = _entry(path)
    assert all(isinstance(commit, str) and re.fullmatch(r"[0-9a-f]{8,40}", commit) for commit in _commits(entry))
    assert all(re.fullmatch(r"CVE-\d{4}-\d{4,7}", cve) for cve in entry.get("cve") or [])


@every_entry
def test_evidence_allows_the_use(path: pathlib.Path) -> None:
    """What only users reported never pins, and a firmware condition without a version decides nothing."""
    entry = _entry(path)
    firmware = entry["firmware"]
    if entry["confidence"] == "reported-by-users":
        assert entry["suggested_use"] != "pin"
    if entry["suggested_use"] == "pin" and firmware["part_of_pairing"]:
        assert firmware["affected"]
    if firmware["part_of_pairing"] and not (firmware.get("affected") or firmware.get("files")):
        assert firmware["decidable_from_host"] is False


@every_entry
def test_log_lines_are_expressions(path: pathlib.Path) -> None:
    for text in _entry(path)["symptom"].get("dmesg") or []:
        assert re.compile(text).search("") is None, "matches every line: {0}".format(text)


@every_entry
def test_commands(path: pathlib.Path) -> None:
    """Commands are whole ones: {nic} is the only gap to fill."""
    for action in _entry(path)["remedy"].get("actions") or []:
        command = action.get("command", "")
        assert not re.search(r"[{}<>]", command.replace("{nic}", "").replace(" > ", " ")), command
        assert not re.search(r"\bIFACE\b", command), command


def test_no_contradiction() -> None:
    entries = [pairing_entry.read_entry(_entry(path), path.name) for path in FILES]
    assert pairing_entry.find_conflicts(entries) == []
    assert len({entry.id for entry in entries}) == len(entries)


# --- the derived index -----------------------------------------------------------------------------------------------

INDEX = DATA / "derived" / "nic-cves.json"


def test_index_is_as_the_command_writes_it() -> None:
    text = INDEX.read_text(encoding="utf-8")
    assert cve_index.dump_index(cve_index.load_index(text)) == text


def test_index_has_no_sentences() -> None:
    """Ids, versions, commits, paths and classes alone: nothing of a record's text."""
    lines = INDEX.read_text(encoding="utf-8").splitlines()
    for line in lines[2:-1]:
        row = json.loads(line.rstrip(","))
        assert set(row) == {"class", "cve", "drivers", "files", "ranges"}
        assert " " not in line


def test_entries_and_index_agree_on_fixes() -> None:
    """Where an entry and a record both name the fixed release of a branch, it is the same one."""
    bugs = {bug.cve: bug for bug in cve_index.load_index(INDEX.read_text(encoding="utf-8")).bugs}
    compared = 0
    for path in FILES:
        entry = _entry(path)
        bug = bugs.get((entry.get("cve") or ["-"])[0])
        if bug is None:
            continue
        fixed = {
            "mainline" if cve_index.parse_release(pair.fixed).mainline else pair.fixed.rpartition(".")[0]: pair.fixed
            for pair in bug.ranges
            if pair.fixed is not None
        }
        for row in entry["kernel"].get("affected") or []:
            if row["first_good"] is not None and row["branch"] in fixed:
                assert row["first_good"] == fixed[row["branch"]], (path.stem, row)
                compared += 1
    assert compared > 200

# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""docs/g-table.md has every finding, and names tests that exist."""

from __future__ import annotations

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TABLE = (ROOT / "docs/g-table.md").read_text(encoding="utf-8") if (ROOT / "docs").is_dir() else ""
FINDINGS = (ROOT / "docs/kdump-on-debian.md").read_text(encoding="utf-8") if TABLE else ""
#: Scenarios stay in the repository: a copy of the collection without them has nothing to compare.
HAS_SCENARIOS = (ROOT / "molecule").is_dir()


def rows() -> dict[str, str]:
    return {match.group(1): line for line in TABLE.splitlines() if (match := re.match(r"\| \[(G\d+)\]", line))}


def test_every_finding_has_its_row() -> None:
    assert list(rows()) == re.findall(r"(?m)^\| (G\d+) \|", FINDINGS)


def test_rows_lead_to_the_finding_of_their_number() -> None:
    for number, line in rows().items():
        (anchor,) = re.findall(r"kdump-on-debian\.md#(\S+?)\)", line)
        assert anchor.startswith(number.lower() + "-")
        assert "(#{0})".format(anchor) in FINDINGS


def test_a_row_shows_something_or_says_that_nothing_does() -> None:
    for number, line in rows().items():
        assert "::" in line or "not yet shown" in line.lower(), number


@pytest.mark.skipif(not HAS_SCENARIOS, reason="a copy without the scenarios")
@pytest.mark.parametrize("name", sorted(set(re.findall(r"`([^`]+::\w+)`", TABLE))))
def test_named_tests_exist(name: str) -> None:
    path, _colons, function = name.partition("::")
    file = ROOT / path.replace("...", "tests/unit/plugins/module_utils", 1)
    assert re.search(r"(?m)^def {0}\(".format(function), file.read_text(encoding="utf-8")), name

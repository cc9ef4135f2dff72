# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Levels and budgets as measured (G9 of docs/kdump-on-debian.md)."""

from __future__ import annotations

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import ParseError
from ansible_collections.rackops.crashready.plugins.module_utils._core.makedumpfile import (
    budget,
    reads,
    upstream_numbers,
)

GIB = 1024**3


@pytest.mark.parametrize(
    ("tool", "kernel", "level", "finds_free_pages"),
    [
        ("1:1.7.2-1", "6.1.0-41-amd64", 31, True),
        ("1:1.7.2-1", "5.10.0-30-amd64", 31, True),
        ("1:1.7.2-1", "6.12.95+deb12-amd64", 17, True),
        ("1:1.7.2-1", "6.5.0-0.deb12.1-amd64", 17, False),
        ("1:1.7.6-1", "6.1.0-41-amd64", 31, True),
        ("1:1.7.6-1", "6.12.117+deb13-amd64", 31, False),
        ("1:1.7.6-1", "7.3.4+deb13-amd64", 17, False),
        ("1:1.7.8-1", "6.12.117+deb13-amd64", 31, True),
        ("1:1.7.8-1", "6.18.2-amd64", 17, False),
        ("1:1.6.8-4", "5.10.0-30-amd64", 17, False),
        (None, "6.1.0-41-amd64", 17, False),
        ("1:1.7.2-1", None, 17, False),
    ],
)
def test_pair(tool: str | None, kernel: str | None, level: int, finds_free_pages: bool) -> None:
    reading = reads(tool, kernel)
    assert (reading.level, reading.finds_free_pages) == (level, finds_free_pages)
    assert reading.reason


def test_budget_grows_with_what_is_kept() -> None:
    proven, no_free = budget(reads("1.7.2", "6.1.0"), 64 * GIB), budget(reads("1.7.6", "6.12.1"), 64 * GIB)
    seventeen = budget(reads("1.7.2", "6.12.1"), 64 * GIB)
    assert proven.needed_bytes < seventeen.needed_bytes < no_free.needed_bytes == 64 * GIB
    assert all(found.minimum_bytes < found.needed_bytes for found in (proven, seventeen, no_free))


@pytest.mark.parametrize("text", ["", "abc", "-1.2", ":1"])
def test_no_version(text: str) -> None:
    with pytest.raises(ParseError):
        upstream_numbers(text)

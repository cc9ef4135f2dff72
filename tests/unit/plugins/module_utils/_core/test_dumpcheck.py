# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What a dump is compared with."""

from __future__ import annotations

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core.dumpcheck import (
    Expectation,
    expectation_from,
    unmet,
)
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import ParseError

DUMP = {"build_id": "ab" * 20, "release": "6.1.0-56-amd64", "crash_time": 1795439109}
DMESG = {"markers": {"drill-1": True, "drill-2": False}}


@pytest.mark.parametrize(
    ("expected", "count"),
    [
        (Expectation(), 0),
        (Expectation("ab" * 20, "6.1.0-56-amd64", "drill-1", 1795439109.9), 0),
        (Expectation(build_id="cd" * 20), 1),
        (Expectation(build_id="running"), 1),
        (Expectation(release="6.12.0"), 1),
        (Expectation(marker="drill-2"), 1),
        (Expectation(marker="never asked"), 1),
        (Expectation(newer_than=1795439110), 1),
        (Expectation("cd" * 20, "6.12.0", "drill-2", 1795439110), 4),
    ],
)
def test_unmet(expected: Expectation, count: int) -> None:
    assert len(unmet(DUMP, DMESG, expected)) == count


@pytest.mark.parametrize(("dump", "dmesg"), [(None, None), ({}, {}), ({"build_id": None}, {"markers": {}})])
def test_what_was_not_read_does_not_hold(dump, dmesg) -> None:
    assert len(unmet(dump, dmesg, Expectation("ab" * 20, "6.1", "m", 5))) == 4


def test_running_becomes_the_running_kernel() -> None:
    assert expectation_from({"build_id": "running", "marker": None}, "ef" * 20) == Expectation("ef" * 20)
    unknown = expectation_from({"build_id": "running"}, None)
    assert unmet({"build_id": None}, None, unknown) == [
        "the build id of the running kernel is not known (/sys/kernel/notes)"
    ]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"build_id": "latest"}, "neither 'running' nor hex"),
        ({"build_id": "12"}, "neither 'running' nor hex"),
        ({"marker": "  "}, "expect.marker"),
        ({"marker": "x" * 201}, "expect.marker"),
        ({"newer_than": "boot"}, "not a number"),
        ({"colour": "red"}, "unknown keys colour"),
    ],
)
def test_wrong_usage(given, told: str) -> None:
    with pytest.raises(ParseError, match=told):
        expectation_from(given, "ef" * 20)

# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Filters about verdicts."""

from __future__ import annotations

import typing as t

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.rackops.crashready.plugins.filter.crashready import FilterModule, why_bad, worst_verdict
from ansible_collections.rackops.crashready.plugins.module_utils._core import judge

from ...pairings_seen import database, host, running


def test_the_filters_are_known() -> None:
    assert {"worst_verdict", "why_bad"} <= set(FilterModule().filters())


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        (["clear", "suspect"], "suspect"),
        (["suspect", "unknown"], "unknown"),
        (["unknown", "bad", "clear"], "bad"),
        (["clear", "waived"], "waived"),
        ([], "unknown"),
        (["green"], "unknown"),
        ({"a": 1}.keys(), "unknown"),
    ],
)
def test_worst_verdict(verdicts: t.Any, expected: str) -> None:
    assert worst_verdict(verdicts) == expected


@pytest.mark.parametrize("value", ["clear", None, 5])
def test_worst_verdict_takes_a_list(value: t.Any) -> None:
    with pytest.raises(AnsibleFilterError, match="a list of verdicts"):
        worst_verdict(value)


def test_why_bad() -> None:
    assert why_bad(judge.judge_host(host(), database())).startswith("enp1s0: atlantic-test: ")
    assert why_bad(judge.judge_host(host(kernel=running("6.1.192-2")), database())) == ""


@pytest.mark.parametrize("value", [{}, None, "x", {"nics": [5]}])
def test_why_bad_takes_a_host(value: t.Any) -> None:
    with pytest.raises(AnsibleFilterError, match="pairing_verdict"):
        why_bad(value)

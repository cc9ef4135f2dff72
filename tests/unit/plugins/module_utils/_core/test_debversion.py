# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Debian versions, with dpkg itself as the judge where it is there."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core import debversion
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import ParseError
from hypothesis import given, settings
from hypothesis import strategies as st

DPKG = shutil.which("dpkg")

# Each smaller than the next, by dpkg 1.22.22. The kernels are real ones.
ASCENDING = [
    ("6.12.95-1~bpo12+1", "6.12.95-1~deb12u1"),
    ("6.12.95-1~deb12u1", "6.12.95-1"),
    ("6.1.176-1", "6.1.192-2"),
    ("6.1.192-2", "6.12.117-1"),
    ("6.12.117-1", "7.3.4-1~bpo13+1"),
    ("7.4~rc3-1~exp1", "7.4-1"),
    ("1:1.8.1", "1:1.10.7"),
    ("9.9-1", "1:0.1-1"),
    ("1.0~", "1.0"),
    ("1.0~~", "1.0~"),
    ("1.0", "1.0a"),
    ("1.0a", "1.0+"),
    ("1.0a", "1.0."),
    ("1.0-1", "1.0-1.1"),
    ("1.9", "1.10"),
    ("2.0-1-1", "2.0-2-1"),
]
EQUAL = [("1.0", "1.00"), ("1.0-0", "1.0"), ("0:1", "1"), ("1.0-00", "1.0-0"), ("1.a", "1.a0")]


@pytest.mark.parametrize(("less", "more"), ASCENDING)
def test_order(less: str, more: str) -> None:
    assert debversion.compare(less, more) == -1
    assert debversion.compare(more, less) == 1
    assert debversion.parse(less) < debversion.parse(more)


@pytest.mark.parametrize(("left", "right"), EQUAL)
def test_equal(left: str, right: str) -> None:
    assert debversion.compare(left, right) == 0
    assert debversion.parse(left) == debversion.parse(right)
    assert hash(debversion.parse(left)) == hash(debversion.parse(right))


def test_parts() -> None:
    version = debversion.parse(" 2:1.2-3-4~bpo12+1\n")
    assert (version.epoch, version.upstream, version.revision) == (2, "1.2-3", "4~bpo12+1")
    assert str(version) == "2:1.2-3-4~bpo12+1"
    assert version != "2:1.2-3-4~bpo12+1"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("6.12.95-1~bpo12+1", "6.12.95-1"),
        ("6.12.117-1~deb12u1", "6.12.117-1"),
        ("6.1.192-2", "6.1.192-2"),
        ("6.12~rc7-1~exp1", "6.12~rc7-1"),
        ("1:20250410~bpo12+1", "1:20250410"),
    ],
)
def test_base(text: str, expected: str) -> None:
    assert debversion.base(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "a:1", "-1:1", ":1", "1:", "1-", "-1", "1 2", "1_2", "1-1_2", "1/2", "\u0661:1", "9" * 257, "4294967296:1"],
)
def test_refused(text: str) -> None:
    with pytest.raises(ParseError):
        debversion.parse(text)


_part = st.text(alphabet="0129aZ.+~", min_size=1, max_size=7)
_version = st.tuples(
    st.sampled_from(["", "0:", "1:"]), _part, st.one_of(st.just(""), _part.map(lambda r: "-" + r))
).map(lambda t: t[0] + "1" + t[1] + t[2])


@pytest.mark.skipif(not DPKG, reason="dpkg is not installed")
@settings(max_examples=120, deadline=None)
@given(_version, _version)
def test_same_as_dpkg(left: str, right: str) -> None:
    relation = {-1: "lt", 0: "eq", 1: "gt"}[debversion.compare(left, right)]
    assert subprocess.run([DPKG or "", "--compare-versions", left, relation, right], check=False).returncode == 0


@given(st.lists(_version, min_size=2, max_size=8))
def test_total_order(texts: list[str]) -> None:
    ordered = sorted(map(debversion.parse, texts))
    assert all(debversion.compare(str(a), str(b)) <= 0 for a, b in zip(ordered, ordered[1:]))

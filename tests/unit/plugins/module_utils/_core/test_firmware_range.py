# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Firmware ranges: within one grammar, one chip and one line of releases, or not at all."""

from __future__ import annotations

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import CoreError, ParseError
from ansible_collections.rackops.crashready.plugins.module_utils._core.firmware import (
    COMPARISONS,
    IncomparableError,
    bound,
    compare,
    in_range,
    parse_firmware,
)
from hypothesis import given
from hypothesis import strategies as st

MULTIPLANE = {"ge": "40.1000", "le": "42.1000"}


@pytest.mark.parametrize(
    ("driver", "raw", "limits", "comparison", "hit"),
    [
        ("mlx5_core", "20.40.1000 (MT_0000000224)", MULTIPLANE, "minor.sub", True),  # Debian bug 1086520
        ("mlx5_core", "20.39.9999 (MT_0000000224)", MULTIPLANE, "minor.sub", False),
        ("mlx5_core", "28.42.1000 (MT_0000000834)", MULTIPLANE, "minor.sub", True),
        ("mlx5_core", "20.42.1001 (MT_0000000224)", MULTIPLANE, "minor.sub", False),
        ("mlx5_core", "20.43.1014 (MT_0000000224)", MULTIPLANE, "minor.sub", False),
        ("mlx5_core", "12.17.1502 (MT_2180110032)", {"lt": "12.17.2020"}, "full", True),
        ("mlx5_core", "12.17.2020 (MT_2180110032)", {"lt": "12.17.2020"}, "full", False),
        ("bnxt_en", "212.0.92.0", {"eq": "212"}, "major", True),
        ("bnxt_en", "233.0.151.0/pkg 233.1.135.7", {"eq": "212"}, "major", False),
        ("bnxt_en", "217.0.59.0/pkg 21.70.6.32", {"le": "217"}, "major", True),
        ("bnxt_en", "218.0.166.0/pkg 21.80.9.3", {"le": "217"}, "major", False),
        ("bnxt_en", "218.0.166.0", {"lt": "218.0.167"}, "full", True),
        ("bnxt_en", "218.0.167.1", {"lt": "218.0.167"}, "full", False),
        ("ixgbe", "0x800007b5", {"eq": "0x800007b5"}, "equal-only", True),
        ("ixgbe", "0x800007B5, 1.1276.0", {"eq": "0x800007b5"}, "equal-only", True),
        ("ixgbe", "0x80000c67, 1.1276.0", {"eq": "0x800007b5"}, "equal-only", False),
    ],
)
def test_in_range(driver: str, raw: str, limits: dict[str, str], comparison: str, hit: bool) -> None:
    assert in_range(parse_firmware(driver, raw), limits, comparison) is hit


@pytest.mark.parametrize(
    ("driver", "raw", "device", "limits", "comparison"),
    [
        ("mlx5_core", "20.40.1000 (DEL0000000027)", None, MULTIPLANE, "minor.sub"),  # an OEM's own releases
        ("mlx5_core", "20.40.1000", None, MULTIPLANE, "minor.sub"),  # the PSID is not shown
        ("mlx5_core", "14.17.1502 (MT_2420110034)", None, {"lt": "12.17.2020"}, "full"),  # another chip
        ("i40e", "9.20 0x8000d95e 1.3353.0", "1572", {"lt": "9.32"}, "full"),  # X710 or X722: not said
        ("ixgbe", "0x800007b5", None, {"lt": "0x80000c67"}, "full"),
        ("igc", "1082:8770", None, {"ge": "2017"}, "full"),
        ("bnxt_en", "212.0.92", None, {"ge": "212.0.92.1"}, "full"),  # a number that is not there
    ],
)
def test_no_order_is_no_answer(
    driver: str, raw: str, device: str | None, limits: dict[str, str], comparison: str
) -> None:
    with pytest.raises(CoreError):
        in_range(parse_firmware(driver, raw, device), limits, comparison)


def test_a_train_that_is_named_makes_them_comparable() -> None:
    seen = parse_firmware("i40e", "9.20 0x8000d95e 1.3353.0", "1572")
    assert in_range(seen, {"lt": "9.50"}, "full", "x710")
    with pytest.raises(IncomparableError):
        in_range(seen, {"lt": "9.50"}, "full", "x722")


@pytest.mark.parametrize("text", ["", "x", "1.", "0x80", "1.2.3.4.5", "1" * 11, "\u0661.2"])
def test_no_bound(text: str) -> None:
    with pytest.raises(ParseError):
        bound(text)


VERSIONS = st.lists(st.integers(0, 500), min_size=4, max_size=4).map(lambda parts: ".".join(map(str, parts)))


@given(VERSIONS, VERSIONS, VERSIONS)
def test_order_is_total_within_a_grammar(one: str, other: str, third: str) -> None:
    a, b, c = (parse_firmware("bnxt_en", text) for text in (one, other, third))
    assert compare(a, b) == -compare(b, a)
    assert (compare(a, b) == 0) == (a.components == b.components)
    if compare(a, b) <= 0 and compare(b, c) <= 0:
        assert compare(a, c) <= 0
    assert in_range(a, {"ge": other}, "full") != in_range(a, {"lt": other}, "full")
    assert in_range(a, {"le": other}, "full") != in_range(a, {"gt": other}, "full")


@given(st.sampled_from(["i40e", "mlx5_core", "bnxt_en", "ixgbe", "qede", "tg3"]), st.text(max_size=40))
def test_whatever_text_gives_an_answer_or_a_reason(driver: str, raw: str) -> None:
    for comparison in COMPARISONS:
        try:
            in_range(parse_firmware(driver, raw), {"eq": "1"}, comparison)
        except CoreError:
            continue
        # An answer is only given for versions that have one.
        assert parse_firmware(driver, raw).components

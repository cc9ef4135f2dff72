# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""How much silence is enough: values from a pocket calculator, and what holds for all of them."""

from __future__ import annotations

import math

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core.experimentsilence import judge_silence
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("times_s", "exposure_s", "confidence", "needed_s", "by"),
    [
        # n = 1: T * (1 / 0.05 - 1) = 19 T, the story's ninety seconds
        ([90], 90, 0.95, 1710, "times"),
        # a silent hour before the panic makes the fault rarer: 19 * 3690
        ([90], 3690, 0.95, 70110, "times"),
        # n = 2: sqrt(20) = 4.472136
        ([90, 90], 180, 0.95, 624.98, "times"),
        # n = 3: the cube root of 20 is 2.714418
        ([80, 90, 100], 270, 0.95, 462.89, "times"),
        # n = 1 at 0.5: 1 / 0.5 - 1 = 1, less than three times the longest
        ([90], 90, 0.5, 270, "longest"),
        # n = 10: the tenth root of 20 is 1.349283, 314.35 s; three times the longest is more
        ([90] * 9 + [120], 930, 0.95, 360, "longest"),
        # n = 5 at 0.99: the fifth root of 100 is 2.511886, 1.511886 * 450 = 680.35
        ([90] * 5, 450, 0.99, 680.35, "times"),
    ],
)
def test_silence_that_is_needed(
    times_s: list[float], exposure_s: float, confidence: float, needed_s: float, by: str
) -> None:
    silence = judge_silence(times_s, exposure_s, 0, confidence)
    assert silence.needed_s == pytest.approx(needed_s, rel=1e-4)
    assert (silence.by, silence.chance, silence.enough) == (by, 1.0, False)
    assert silence.left_s == silence.needed_s


@pytest.mark.parametrize(
    ("times_s", "exposure_s", "silent_s", "chance"),
    [
        ([90], 90, 90, 0.5),
        ([90], 90, 810, 0.1),
        ([90, 90], 180, 180, 0.25),
        ([90] * 3, 270, 270, 0.125),
        ([60] * 2, 300, 600, 1 / 9),
    ],
)
def test_chance_of_a_silence(times_s: list[float], exposure_s: float, silent_s: float, chance: float) -> None:
    assert judge_silence(times_s, exposure_s, silent_s, 0.95).chance == pytest.approx(chance)


@pytest.mark.parametrize(
    ("times_s", "exposure_s", "silent_s", "confidence"),
    [
        ([], 90, 1, 0.95),
        ([0.5], 90, 1, 0.95),
        ([90], 89, 1, 0.95),
        ([90], 90, -1, 0.95),
        ([90], 90, 1, 0),
        ([90], 90, 1, 1),
        ([math.inf], math.inf, 1, 0.95),
        ([90], 90, math.nan, 0.95),
    ],
)
def test_what_cannot_be_judged(times_s: list[float], exposure_s: float, silent_s: float, confidence: float) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        judge_silence(times_s, exposure_s, silent_s, confidence)


TIMES = st.lists(st.floats(1, 1e6), min_size=1, max_size=30)
EXTRA = st.floats(0, 1e7)
SILENT = st.floats(0, 1e9)
CONFIDENCE = st.floats(0.5, 0.9999)


@given(TIMES, EXTRA, SILENT, SILENT, CONFIDENCE)
def test_more_silence_never_says_less(
    times: list[float], extra: float, one: float, other: float, confidence: float
) -> None:
    less, more = (judge_silence(times, sum(times) + extra, s, confidence) for s in sorted((one, other)))
    assert more.chance <= less.chance
    assert more.left_s <= less.left_s
    assert more.needed_s == less.needed_s


@given(TIMES, EXTRA, SILENT, CONFIDENCE)
def test_enough_is_what_the_formula_asks_for(
    times: list[float], extra: float, silent_s: float, confidence: float
) -> None:
    found = judge_silence(times, sum(times) + extra, silent_s, confidence)
    if found.enough:
        assert found.chance <= (1 - confidence) * (1 + 1e-9)
        assert silent_s >= 3 * max(times)
    exact = judge_silence(times, sum(times) + extra, found.needed_s, confidence)
    assert exact.enough
    assert 0 <= exact.chance <= (1 - confidence) * (1 + 1e-6)


@given(st.floats(1, 1e5), st.integers(1, 20), SILENT, CONFIDENCE)
def test_more_panics_ask_for_less_silence(time_s: float, count: int, silent_s: float, confidence: float) -> None:
    """In the same time before: the fault is the more frequent one."""
    exposure_s = time_s * 25
    few, many = (judge_silence([time_s] * n, exposure_s, silent_s, confidence) for n in (count, count + 1))
    assert many.needed_s <= few.needed_s
    assert many.chance <= few.chance


@given(TIMES, EXTRA, st.tuples(CONFIDENCE, CONFIDENCE))
def test_more_confidence_asks_for_more_silence(
    times: list[float], extra: float, confidences: tuple[float, float]
) -> None:
    low, high = (judge_silence(times, sum(times) + extra, 0, c) for c in sorted(confidences))
    assert low.needed_s <= high.needed_s

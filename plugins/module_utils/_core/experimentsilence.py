# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""How much silence supports "fixed", given the times to panic that were seen before. The one place with statistics."""

from __future__ import annotations

import math
import typing as t

__all__ = ["FACTOR", "SHORTEST_S", "Silence", "judge_silence"]

#: The silence has to be this many times the longest time to panic as well.
FACTOR = 3.0
#: A dump is dated by whole seconds, so no time to panic is known better.
SHORTEST_S = 1.0


class Silence(t.NamedTuple):
    """What a silence says."""

    chance: float  #: that there would be as much silence although nothing was fixed, 0 to 1
    needed_s: float  #: how much silence supports "fixed" at the confidence that was asked for
    left_s: float  #: how much of it is missing
    by: str  #: what `needed_s` is of: "times" (the chance) or "longest" (FACTOR times the longest time to panic)

    @property
    def enough(self) -> bool:
        """Whether there was as much silence as is needed."""
        return self.left_s == 0.0


def judge_silence(
    times_s: t.Sequence[float], exposure_s: float, silent_s: float, confidence: float, factor: float = FACTOR
) -> Silence:
    """What `silent_s` seconds of silence say after panics at `times_s`, each counted from the start of its run.

    `exposure_s` is all the time under this load before the fix, T: the sum of `times_s`, and of runs without a panic.

    The model: under this load the fault has a constant hazard, the number of panics in T is Poisson distributed with
    an unknown rate, and before the panics each order of magnitude of that rate was as likely as another (density
    1/rate, Jeffreys' rule for the rate of an exponential distribution). After n panics the rate has a gamma
    distribution of shape n and rate T; averaged over it, no panic comes in S further seconds of the same, unfixed
    machine with the chance

        (T / (T + S)) ** n

    "Fixed" is supported at confidence c where that is at most 1 - c, so the silence that is needed is

        T * ((1 - c) ** (-1 / n) - 1)

    For n = 1 and c = 0.95 that is 19 T, for n = 3 it is 1.71 T: panics that were seen again are worth more than hours.

    Where the model does not hold. A hazard that grows with the time since the boot, or that waits for a packet, a
    counter or a leak to reach a mark, has times to panic that lie close together, far from exponential; the formula
    then asks for too little with many panics. So the silence has to be `factor` times the longest time seen, too. A
    hazard that hangs on the number of packets takes as many packets as before: comparing those is
    `experiment.judge_experiment`. A hazard that hangs on what was not there (another peer, another season's heat) is
    beyond any silence. With n = 1 nearly everything comes from the prior: take it as weak.

    Raises ValueError for no panic, a time below SHORTEST_S, an exposure that is less than its times, a negative
    silence, a confidence outside 0 to 1, values that are not finite.
    """
    _check(times_s, exposure_s, silent_s, confidence, factor)
    count = len(times_s)
    chance = math.exp(-count * math.log1p(silent_s / exposure_s))
    by_times_s = exposure_s * math.expm1(-math.log1p(-confidence) / count)
    by_longest_s = factor * max(times_s)
    needed_s = max(by_times_s, by_longest_s)
    by = "times" if by_times_s >= by_longest_s else "longest"
    return Silence(chance, needed_s, max(0.0, needed_s - silent_s), by)


def _check(times_s: t.Sequence[float], exposure_s: float, silent_s: float, confidence: float, factor: float) -> None:
    if not times_s:
        raise ValueError("without a panic before, silence after it says nothing")
    if not all(math.isfinite(value) for value in (*times_s, exposure_s, silent_s, confidence, factor)):
        raise ValueError("a time that is not finite")
    if min(times_s) < SHORTEST_S or factor < 0:
        raise ValueError("times to panic from {0:g} s on, and a factor from 0 on".format(SHORTEST_S))
    # Sums of floating point numbers in another order differ in their last digits.
    if exposure_s < sum(times_s) * (1 - 1e-9):
        raise ValueError("an exposure of {0:g} s is less than the times to panic in it".format(exposure_s))
    if silent_s < 0 or not 0 < confidence < 1:
        raise ValueError("silence {0:g} s at confidence {1:g}".format(silent_s, confidence))

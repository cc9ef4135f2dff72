# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Watches over a soak: what a sample of the host means, and when it is time to stop.

Pure: samples and times in, a record and a verdict out. Times are seconds of CLOCK_BOOTTIME, so that nobody who sets a
clock shortens or lengthens a soak (clock_gettime(2)).
"""

from __future__ import annotations

import collections
import re
import typing as t

from .soakrecord import Samples
from .text import clean

__all__ = ["Sample", "Sensor", "Verdict", "Watch", "damage_counters", "is_damage", "parse_interrupts"]

#: Counters of /sys/class/net/NIC/statistics that mean damage (Documentation/ABI/testing/sysfs-class-net-statistics).
#: Dropped and missed packets are not among them: a fast sender makes them on a sound wire.
_DAMAGE = frozenset(
    (
        *("rx_errors", "tx_errors", "rx_crc_errors", "rx_frame_errors", "rx_length_errors"),
        *("tx_aborted_errors", "tx_carrier_errors", "tx_heartbeat_errors", "tx_window_errors"),
    )
)
#: The sums of the others, where the driver fills them.
_SUMS = ("rx_errors", "tx_errors")
_TOLD = re.compile(r"err|drop|miss|fail|crc|bad|timeout|fifo|over|abort|collision|carrier|no_buff|alloc|reset", re.I)
_KEPT = 300
#: How long the traffic may pause by itself, between two pieces or while a sample is late.
_GRACE_S = 4.0
#: Bytes a second below which a NIC is idle: ARP and the like are less, the smallest rate (1 Mbit/s) is more.
_FLOW_BYTES_S = 20_000
_SPAN_S = 60.0
#: A sensor has to say it that often in a row.
_HOT_TIMES = 2


class Sensor(t.NamedTuple):
    """One temperature. `limit_c`: the sensor's own crit, else its max; None where it has none."""

    name: str
    celsius: float
    limit_c: float | None
    of_nic: bool = False


class Sample(t.NamedTuple):
    """One look at the host. None: it could not be seen."""

    at_s: float  #: CLOCK_BOOTTIME
    statistics: t.Mapping[str, int] | None  #: of the NIC; None: it is gone
    link_changes: int | None = None
    ethtool: t.Mapping[str, int] | None = None
    interrupts: t.Mapping[str, int] | None = None
    sensors: tuple[Sensor, ...] = ()
    others: t.Mapping[str, int] = {}  #: damage of each other NIC


class Verdict(t.NamedTuple):
    """How the soak ended: one of the record's states, and why."""

    state: str
    reason: str | None


def is_damage(counter: str) -> bool:
    """Whether a counter of the statistics means that something is broken."""
    return counter in _DAMAGE


def damage_counters(statistics: t.Mapping[str, int]) -> int:
    """The packets that were broken, each once: the sums of the driver, or the parts where these are more."""
    sums = sum(statistics.get(name, 0) for name in _SUMS)
    parts = sum(count for name, count in statistics.items() if name in _DAMAGE and name not in _SUMS)
    return max(sums, parts)


def parse_interrupts(text: str, numbers: t.Container[str], words: t.Collection[str]) -> dict[str, int]:
    """Of /proc/interrupts the lines with these numbers, or that name one of these words: {"45 eth0-TxRx-0": count}.

    The count is the sum over the CPUs.
    """
    lines = text.splitlines()
    cpus = len(lines[0].split()) if lines else 0
    found: dict[str, int] = {}
    for line in lines[1:8192]:
        number, colon, rest = line.partition(":")
        fields = rest.split()
        counts, told = fields[:cpus], fields[cpus:]
        number = number.strip()
        if not colon or not counts or not all(count.isdigit() for count in counts):
            continue
        named = any(word in re.split(r"[^A-Za-z0-9_.:]+", " ".join(told)) for word in words)
        if number.isdigit() and (number in numbers or named):
            found[clean("{0} {1}".format(number, told[-1] if told else ""), 60)] = sum(int(c) for c in counts)
    return dict(list(found.items())[:_KEPT])


class _Counters:
    """Increases since the first look. A counter that falls was set to zero: a driver does that when it resets."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}
        self.grown: collections.Counter[str] = collections.Counter()
        self.was_reset = False

    def take(self, counts: t.Mapping[str, int]) -> None:
        for name, count in counts.items():
            before = self._last.get(name, count)
            if count < before:
                self.was_reset = True
            self.grown[name] += count - before if count >= before else count
        self._last.update(counts)

    def told(self, limit: int = _KEPT, only: t.Callable[[str], t.Any] = lambda _name: True) -> dict[str, int]:
        """Those that rose; where they are too many, such as sound like trouble first."""
        rose = [name for name, count in self.grown.items() if count and only(name)]
        rose.sort(key=lambda name: (_TOLD.search(name) is None, name))
        return {clean(name, 80): self.grown[name] for name in rose[:limit]}


class _Rate:
    """How much a count rose within the last minute."""

    def __init__(self) -> None:
        self._seen: collections.deque[tuple[float, int]] = collections.deque()

    def take(self, at_s: float, total: int) -> int:
        self._seen.append((at_s, total))
        while len(self._seen) > 1 and self._seen[1][0] <= at_s - _SPAN_S:
            self._seen.popleft()
        return total - self._seen[0][1]


class Watch:
    """One soak on one host, from its first sample to its end.

    The soak begins with the traffic: until it flows `elapsed_s` is 0. `waits_s` is how long it may take to begin.
    """

    def __init__(self, parameters: t.Mapping[str, t.Any], planned_s: float, nic: str, waits_s: float) -> None:
        self._parameters, self._planned_s, self._nic, self._waits_s = parameters, planned_s, nic, waits_s
        self._statistics, self._ethtool, self._interrupts = _Counters(), _Counters(), _Counters()
        self._link, self._others = _Counters(), _Counters()
        # A twentieth of the rate: on a NIC that others use too, their traffic is not ours.
        self._floor_bytes_s = max((parameters["rate_mbps"] or 0) * 125_000 / 20, _FLOW_BYTES_S)
        self._rate = _Rate()
        self._others_rate: dict[str, _Rate] = collections.defaultdict(_Rate)
        self._hot: collections.Counter[str] = collections.Counter()
        self._samples = Samples()
        self._first_s: float | None = None
        self._began_s: float | None = None
        self._last_s = 0.0
        self._flowed_s = 0.0  #: when traffic was last seen
        self.silent_s = 0.0
        self.flows = False

    @property
    def began(self) -> bool:
        """Whether the traffic has begun."""
        return self._began_s is not None

    def elapsed_s(self, now_s: float) -> float:
        """Since the traffic began."""
        return 0.0 if self._began_s is None else max(now_s - self._began_s, 0.0)

    def take(self, sample: Sample) -> Verdict | None:
        """One more sample; a verdict ends the soak."""
        if sample.statistics is None:
            return Verdict("stopped", "{0} is gone: its counters cannot be read any more".format(self._nic))
        if self._first_s is None:
            self._first_s = self._last_s = self._flowed_s = sample.at_s
        self._count(sample, sample.statistics)
        damage = self._damage(sample)
        if self._began_s is not None:
            self._samples.add(self._row(sample))
        if damage is not None:
            return Verdict("stopped", damage)
        return self._end(sample.at_s)

    def _count(self, sample: Sample, statistics: t.Mapping[str, int]) -> None:
        before = self._bytes()
        self._statistics.take(statistics)
        self._ethtool.take(sample.ethtool or {})
        self._interrupts.take(sample.interrupts or {})
        self._others.take(sample.others)
        if sample.link_changes is not None:
            self._link.take({"link_changes": sample.link_changes})
        span_s = sample.at_s - self._last_s
        self.flows = span_s > 0 and (self._bytes() - before) / span_s >= self._floor_bytes_s
        if self.flows:
            if self._began_s is None:
                self._began_s = self._flowed_s = self._last_s
            gap_s = sample.at_s - self._flowed_s
            # A pause counts when the traffic has come back: what follows the last packet proves nothing.
            self.silent_s += gap_s if gap_s <= self._parameters["pause_s"] + span_s + _GRACE_S else span_s
            self._flowed_s = sample.at_s
        self._last_s = sample.at_s

    def _bytes(self) -> int:
        return self._statistics.grown["rx_bytes"] + self._statistics.grown["tx_bytes"]

    def _row(self, sample: Sample) -> list[t.Any]:
        grown = self._statistics.grown
        temperature = max((each.celsius for each in sample.sensors if each.of_nic), default=None)
        if temperature is None:
            temperature = max((each.celsius for each in sample.sensors), default=None)
        return [
            round(self.elapsed_s(sample.at_s), 1),
            *(grown[name] for name in ("rx_bytes", "tx_bytes", "rx_packets", "tx_packets")),
            damage_counters(grown),
            None if temperature is None else round(temperature, 1),
        ]

    def _damage(self, sample: Sample) -> str | None:
        limit = self._parameters["errors_per_minute_max"]
        rose = self._rate.take(sample.at_s, damage_counters(self._statistics.grown))
        if rose > limit:
            names = ", ".join(sorted(name for name in _DAMAGE if self._statistics.grown[name]))
            told = "{0}: {1} errors within a minute ({2}), more than {3}"
            return told.format(self._nic, rose, names, limit)
        # Down and up again are two changes.
        flaps = (self._link.grown["link_changes"] + 1) // 2
        if flaps > self._parameters["flaps_max"]:
            told = "{0}: its link went down {1} times, more than {2}"
            return told.format(self._nic, flaps, self._parameters["flaps_max"])
        for name in sorted(sample.others):
            rose = self._others_rate[name].take(sample.at_s, self._others.grown[name])
            if rose > limit:
                told = "another NIC, {0}, has {1} errors within a minute, more than {2}"
                return told.format(clean(name, 16), rose, limit)
        return self._heat(sample) if self._parameters["temperature_stop"] else None

    def _heat(self, sample: Sample) -> str | None:
        for sensor in sample.sensors:
            hot = sensor.limit_c is not None and sensor.celsius >= sensor.limit_c
            self._hot[sensor.name] = self._hot[sensor.name] + 1 if hot else 0
            if self._hot[sensor.name] >= _HOT_TIMES:
                told = "the sensor {0} is at {1:.0f} degrees, and its own limit is {2:.0f}"
                return told.format(clean(sensor.name, 60), sensor.celsius, sensor.limit_c)
        return None

    def _end(self, now_s: float) -> Verdict | None:
        if self._began_s is None:
            if now_s - (self._first_s or 0.0) > self._waits_s:
                told = "no traffic came over {0} within {1:.0f} s: {2}"
                return Verdict("failed", told.format(self._nic, self._waits_s, "the peer was not there"))
            return None
        if self.elapsed_s(now_s) >= self._planned_s:
            return Verdict("done", None)
        quiet_s = now_s - self._flowed_s - self._parameters["pause_s"]
        if quiet_s > self._parameters["patience_s"]:
            told = "no traffic over {0} for {1:.0f} s, after {2:.0f} s of soak: the peer is gone"
            return Verdict("failed", told.format(self._nic, quiet_s, self._flowed_s - self._began_s))
        return None

    def figures(self) -> dict[str, t.Any]:
        """What of the record is of the samples: elapsed_s, silent_s, traffic, errors, ethtool, interrupts, samples."""
        grown = self._statistics.grown
        errors = self._statistics.told(only=_TOLD.search)
        errors.update(self._link.told())
        errors.update({"other:" + name: count for name, count in self._others.told().items()})
        elapsed_s = round(self.elapsed_s(self._last_s), 1)
        return {
            "elapsed_s": elapsed_s,
            "silent_s": min(round(self.silent_s, 1), elapsed_s),
            "traffic": {name: grown[name] for name in ("rx_bytes", "tx_bytes", "rx_packets", "tx_packets")},
            "errors": errors,
            "ethtool": self._ethtool.told(),
            "interrupts": self._interrupts.told(),
            "samples": self._samples.rows(),
        }

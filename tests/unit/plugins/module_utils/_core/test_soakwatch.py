# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""When a soak ends: its time, damage, a peer that is gone. Times are those of CLOCK_BOOTTIME, no other clock counts."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core import soakprofile, soakrecord, soakwatch
from ansible_collections.rackops.crashready.plugins.module_utils._core.soakwatch import Sample, Sensor, Verdict, Watch
from ansible_collections.rackops.crashready.tests.unit.soak_seen import record

MB = 1_000_000


class Host:
    """Gives samples, one each two seconds, with what changed since the one before."""

    def __init__(self, seconds: int = 60, waits_s: float = 30, **parameters: t.Any) -> None:
        self.watch = Watch(soakprofile.make_profile("bulk", {"patience_s": 10, **parameters}), seconds, "eth1", waits_s)
        self.now_s = 1000.0
        self.counts = dict.fromkeys(("rx_bytes", "tx_bytes", "rx_packets", "tx_packets"), 5)
        self.more: dict[str, t.Any] = {"link_changes": 7}

    def sample(self, flow: int = 10 * MB, after_s: float = 2.0, **changes: t.Any) -> Verdict | None:
        self.now_s += after_s
        self.counts["rx_bytes"] += flow
        for name in list(changes):
            if name in soakwatch._DAMAGE or name in self.counts:
                self.counts[name] = self.counts.get(name, 0) + changes.pop(name)
        self.more.update(changes)
        return self.watch.take(Sample(at_s=self.now_s, statistics=dict(self.counts), **self.more))

    def until_it_ends(self, limit: int = 200, **each: t.Any) -> Verdict:
        for _step in range(limit):
            verdict = self.sample(**each)
            if verdict is not None:
                return verdict
        raise AssertionError("it goes on")


def test_a_soak_is_done_after_its_time() -> None:
    host = Host(60)
    host.sample(flow=0)
    assert host.until_it_ends() == Verdict("done", None)
    figures = host.watch.figures()
    assert (figures["elapsed_s"], figures["silent_s"]) == (60.0, 60.0)
    assert figures["traffic"]["rx_bytes"] == 30 * 10 * MB
    assert figures["samples"][-1][:2] == [60.0, 300 * MB]
    assert soakrecord.parse(soakrecord.render({**record(), **figures}))["elapsed_s"] == 60.0


def test_it_begins_with_the_traffic() -> None:
    host = Host(10)
    for _step in range(5):
        assert host.sample(flow=0) is None
    assert not host.watch.began
    assert host.watch.figures()["samples"] == []
    host.sample()
    assert host.watch.elapsed_s(host.now_s) == 2.0
    assert host.until_it_ends() == Verdict("done", None)
    assert host.watch.figures()["elapsed_s"] == 10.0


def test_a_peer_that_never_comes() -> None:
    verdict = Host(60, waits_s=30).until_it_ends(flow=0)
    assert verdict.state == "failed"
    assert "no traffic came over eth1 within 30 s" in str(verdict.reason)


def test_a_peer_that_dies() -> None:
    host = Host(600)
    for _step in range(10):
        assert host.sample() is None
    verdict = host.until_it_ends(flow=100)
    assert verdict.state == "failed"
    assert "the peer is gone" in str(verdict.reason)
    figures = host.watch.figures()
    assert figures["silent_s"] == 18.0, "what follows the last packet proves nothing"
    assert figures["elapsed_s"] == 30.0


def test_a_peer_that_comes_back_in_time_is_no_end_but_no_silence_either() -> None:
    host = Host(60)
    host.sample()
    for _step in range(5):
        assert host.sample() is None
    for _step in range(4):
        assert host.sample(flow=0) is None
    assert host.until_it_ends() == Verdict("done", None)
    assert host.watch.figures()["silent_s"] == 52.0


def test_the_pauses_of_a_profile_are_part_of_it() -> None:
    host = Host(120, burst_s=2, pause_s=8)
    host.sample()
    for _round in range(12):
        host.sample()
        for _step in range(4):
            host.sample(flow=0)
    assert host.watch.figures()["silent_s"] == 112.0, "all but the last pause"


def test_others_on_the_same_nic_are_not_the_soak() -> None:
    """5 MB in two seconds are less than a twentieth of 900 Mbit/s."""
    host = Host(600, rate_mbps=900)
    for _step in range(5):
        host.sample(flow=200 * MB)
    assert "the peer is gone" in str(host.until_it_ends(flow=5 * MB).reason)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"rx_crc_errors": 40}, "errors within a minute (rx_crc_errors)"),
        ({"tx_errors": 61}, "61 errors within a minute (tx_errors)"),
        ({"sensors": (Sensor("coretemp temp1", 101.0, 100.0),)}, "coretemp temp1 is at 101 degrees"),
    ],
)
def test_damage_ends_a_soak(changes: dict[str, t.Any], told: str) -> None:
    host = Host(600)
    host.sample()
    verdict = host.until_it_ends(limit=3, **changes)
    assert verdict.state == "stopped"
    assert told in str(verdict.reason)


def test_flaps_end_a_soak() -> None:
    host = Host(600)
    host.sample()
    assert host.sample(link_changes=13) is None
    verdict = host.sample(link_changes=14)
    assert verdict == Verdict("stopped", "eth1: its link went down 4 times, more than 3")
    assert host.watch.figures()["errors"] == {"link_changes": 7}


def test_errors_of_another_nic_end_a_soak() -> None:
    host = Host(600)
    host.sample(others={"eth0": 5})
    assert host.sample(others={"eth0": 65}) is None
    verdict = host.sample(others={"eth0": 66})
    assert verdict is not None
    assert verdict.reason == "another NIC, eth0, has 61 errors within a minute, more than 60"
    assert host.watch.figures()["errors"]["other:eth0"] == 61


def test_a_nic_that_is_gone_ends_a_soak() -> None:
    host = Host(600)
    host.sample()
    verdict = host.watch.take(Sample(host.now_s + 2, None))
    assert verdict is not None
    assert (verdict.state, "eth1 is gone" in str(verdict.reason)) == ("stopped", True)


@pytest.mark.parametrize(
    "changes",
    [
        {"rx_crc_errors": 1},  # 30 a minute
        {"sensors": (Sensor("x", 99.0, 100.0),)},
        {"sensors": (Sensor("x", 400.0, None),)},
    ],
)
def test_what_is_no_damage(changes: dict[str, t.Any]) -> None:
    assert Host(300).until_it_ends(**changes) == Verdict("done", None)


def test_one_hot_sample_is_none() -> None:
    host = Host(600)
    hot, cool = (Sensor("x", celsius, 100.0) for celsius in (101.0, 50.0))
    for sensor in (cool, hot, cool, hot):
        assert host.sample(sensors=(sensor,)) is None
    assert host.sample(sensors=(hot,)) is not None


def test_heat_is_left_to_the_user_who_says_so() -> None:
    hot = (Sensor("x", 101.0, 100.0, of_nic=True), Sensor("y", 120.0, None))
    host = Host(20, temperature_stop=False)
    assert host.until_it_ends(sensors=hot) == Verdict("done", None)
    assert host.watch.figures()["samples"][-1][6] == 101.0, "the NIC's own sensor is the one that is kept"


def test_a_driver_that_resets_its_counters_counts_on() -> None:
    host = Host(600)
    host.sample()
    host.sample()
    host.counts["rx_bytes"] = 0
    host.sample(flow=7 * MB)
    assert host.watch.figures()["traffic"]["rx_bytes"] == 17 * MB


def test_counters_of_a_week_are_bounded() -> None:
    host = Host(600)
    host.sample(ethtool=dict.fromkeys(map("q{0}_packets".format, range(5000)), 0))
    grown = dict.fromkeys(map("q{0}_packets".format, range(5000)), 1)
    host.sample(ethtool={**grown, "rx_alloc_fail": 0})
    host.sample(ethtool={**grown, "rx_alloc_fail": 2}, interrupts={"1 a": 1})
    found = host.watch.figures()["ethtool"]
    assert len(found) == 300
    assert found["rx_alloc_fail"] == 2, "what sounds like trouble is kept first"
    host.more = {}
    for _step in range(3000):
        host.sample()
    assert len(soakrecord.render(record(**{**host.watch.figures(), "state": "done"}))) < soakrecord.LIMIT_BYTES / 4


def test_damage_is_counted_once() -> None:
    assert soakwatch.damage_counters({"rx_errors": 5, "rx_crc_errors": 5, "rx_dropped": 9}) == 5
    assert soakwatch.damage_counters({"rx_errors": 0, "rx_crc_errors": 4, "tx_carrier_errors": 1}) == 5
    assert not soakwatch.is_damage("rx_missed_errors")


#: From a virtual machine with two CPUs; the vectors of a NIC that has the number 37 to 39.
INTERRUPTS = """\
           CPU0       CPU1
 24:          2          0  IO-APIC   5-edge      ACPI:Ged
 37:          0          0 PCI-MSIX-0000:00:03.0   0-edge      virtio2-config
 38:          0     184465 PCI-MSIX-0000:00:03.0   1-edge      virtio2-input.0
 45:         10         20 PCI-MSIX-0000:03:00.0   1-edge      eth1-TxRx-0
 46:         10         20 PCI-MSIX-0000:03:00.0   1-edge      eth10-TxRx-0
NMI:          1          1   Non-maskable interrupts
ERR:          0
"""


def test_interrupts_of_a_nic() -> None:
    assert soakwatch.parse_interrupts(INTERRUPTS, {"37", "38"}, ["eth1"]) == {
        "37 virtio2-config": 0,
        "38 virtio2-input.0": 184465,
        "45 eth1-TxRx-0": 30,
    }


@pytest.mark.parametrize("text", ["", "\n", "CPU0\n:::\n 1: x\n", "\0" * 50, "CPU0\n" + "9" * 9000])
def test_what_are_no_interrupts(text: str) -> None:
    assert soakwatch.parse_interrupts(text, {"1"}, ["eth1"]) == {}

# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Profiles with their bounds, and what iperf3 is told."""

from __future__ import annotations

import pathlib
import re
import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core import soakprofile as profiles
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import CoreError


@pytest.mark.parametrize("name", list(profiles.PROFILES))
def test_every_profile_is_within_its_own_bounds(name: str) -> None:
    made = profiles.make_profile(name)
    given = {key: value for key, value in made.items() if key != "name"}
    assert profiles.make_profile(name, given) == made
    assert made["name"] == name
    assert profiles.describe(profiles.with_link(made, [1000])).startswith(name + ": ")


@pytest.mark.parametrize(
    ("name", "given", "told"),
    [
        ("fast", {}, "no profile"),
        ("bulk", {"threads": 1}, "threads is none of"),
        ("bulk", {"streams": 0}, "streams is a whole number from 1 to 128"),
        ("bulk", {"streams": 129}, "128"),
        ("bulk", {"streams": True}, "whole number"),
        ("bulk", {"streams": "4; reboot"}, "whole number"),
        ("bulk", {"streams": None}, "needs a number"),
        ("bulk", {"udp": 1}, "yes or no"),
        ("bulk", {"udp": True}, "more than a datagram"),
        ("udp", {"mss_bytes": 500}, "of TCP"),
        ("bidirectional", {"reverse": True}, "exclude"),
        ("bulk", {"pause_s": 5}, "needs burst_s"),
        ("bulk", [1], "mapping"),
    ],
)
def test_wrong_parameters(name: str, given: t.Any, told: str) -> None:
    with pytest.raises(CoreError, match=told):
        profiles.make_profile(name, given)


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(CoreError) as caught:
        profiles.make_profile("bulk", {"streams": 0, "port": 80, "x": 1})
    assert all(word in str(caught.value) for word in ("streams", "port", "x is none"))


@pytest.mark.parametrize("seconds", [4, 0, -1, 120 * 86400 + 1, True, "60", None, 60.5])
def test_no_time_for_a_soak(seconds: t.Any) -> None:
    with pytest.raises(CoreError, match="120 days"):
        profiles.check_seconds(seconds)


@pytest.mark.parametrize(
    ("planned_s", "given", "expected"), [(60, {}, 2), (7200, {}, 5), (700000, {}, 10), (700000, {"interval_s": 1}, 1)]
)
def test_interval(planned_s: int, given: dict[str, t.Any], expected: int) -> None:
    assert profiles.interval_for(profiles.make_profile("bulk", given), planned_s) == expected


@pytest.mark.parametrize(
    ("name", "given", "speeds", "expected"),
    [
        ("bulk", {}, [10000, 10000], None),
        ("bulk", {"rate_mbps": 1000}, [1000, 10000], 1000),
        ("bulk", {"rate_mbps": 1000}, [None, None], 1000),
        ("udp", {}, [10000, 1000], 800),
        ("udp", {"rate_mbps": 5}, [None, None], 5),
        ("small-packets", {}, [None, None], None),
    ],
)
def test_rate_of_the_link(name: str, given: dict[str, t.Any], speeds: list[int | None], expected: int | None) -> None:
    assert profiles.with_link(profiles.make_profile(name, given), speeds)["rate_mbps"] == expected


@pytest.mark.parametrize(
    ("name", "given", "speeds", "told"),
    [
        ("bulk", {"rate_mbps": 1001}, [10000, 1000], "more than the link carries"),
        ("udp", {}, [None, None], "stated rate_mbps"),
    ],
)
def test_rate_beyond_the_link(name: str, given: dict[str, t.Any], speeds: list[int | None], told: str) -> None:
    with pytest.raises(CoreError, match=told):
        profiles.with_link(profiles.make_profile(name, given), speeds)


def test_pieces_end_with_the_soak() -> None:
    made = profiles.make_profile("bulk")
    assert profiles.next_piece(made, 0, 3600) == profiles.Piece(60, None, 0)
    assert profiles.next_piece(made, 3590.5, 3600).seconds == 10
    assert profiles.next_piece(made, 3600, 3600).seconds == 1
    assert profiles.next_piece(profiles.make_profile("storage"), 0, 3600) == profiles.Piece(10, None, 5)


def test_ramp_goes_up_in_steps_to_the_rate() -> None:
    made = profiles.make_profile("bulk", {"rate_mbps": 600, "ramp_s": 50})
    rates = [profiles.next_piece(made, elapsed, 3600) for elapsed in (0, 10, 20, 30, 40, 50)]
    assert [piece.rate_mbps for piece in rates] == [100, 200, 300, 400, 500, 600]
    assert rates[0].seconds == 10
    unlimited = profiles.make_profile("bulk", {"ramp_s": 50})
    assert profiles.next_piece(unlimited, 0, 3600, speed_mbps=1200).rate_mbps == 200
    assert profiles.next_piece(unlimited, 0, 3600).rate_mbps is None, "of an unknown link there is no part"
    assert profiles.next_piece(unlimited, 50, 3600, speed_mbps=1200).rate_mbps is None


def test_server_is_bound_to_the_nic() -> None:
    argv = profiles.server_argv(profiles.make_profile("bulk"), "eth1", "192.0.2.2")
    text = " ".join(argv)
    assert "iperf3 --server --bind 192.0.2.2 --bind-dev eth1 --port 5210" in text


@pytest.mark.parametrize(
    ("name", "given", "there", "absent"),
    [
        ("bulk", {}, ["--parallel 4", "--snd-timeout"], ["--bitrate", "--udp", "--bidir", "--rcv-timeout"]),
        ("bulk", {"rate_mbps": 100}, ["--bitrate 25000000"], []),
        ("bulk", {"reverse": True}, ["--reverse", "--rcv-timeout"], ["--snd-timeout"]),
        ("bidirectional", {}, ["--bidir", "--rcv-timeout"], ["--reverse"]),
        ("small-packets", {}, ["--udp", "--bitrate 0", "--length 64"], ["--set-mss"]),
        ("bulk", {"mss_bytes": 500, "no_delay": True}, ["--set-mss 500", "--no-delay"], []),
    ],
)
def test_client(name: str, given: dict[str, t.Any], there: list[str], absent: list[str]) -> None:
    made = profiles.make_profile(name, given)
    piece = profiles.next_piece(made, 0, 60)
    text = " ".join(profiles.client_argv(made, "eth1", "192.0.2.1", "192.0.2.2", piece))
    assert text.startswith("iperf3 --client 192.0.2.2 --bind 192.0.2.1 --bind-dev eth1 --port 5210 --json")
    assert all(word in text for word in there)
    assert not any(word in text for word in absent)


def test_document_has_every_profile_and_parameter_with_its_bounds() -> None:
    text = (pathlib.Path(__file__).resolve().parents[5] / "docs" / "soak.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    named = {name: row for row in rows for name in re.findall(r"`([a-z_-]+)`", row[0])}
    assert set(profiles.PROFILES) <= set(named)
    for name, (default, low, high) in profiles._BOUNDS.items():
        row = named[name]
        place = re.findall(r"`([a-z_-]+)`", row[0]).index(name)
        told = [cell.split(",") for cell in row[1:3]]
        shown = "" if default is None else str(default).lower()
        assert told[0][place if len(told[0]) > 1 else 0].strip() == shown, name
        bounds = "" if low is None else "{0} - {1}".format(low, high)
        assert told[1][place if len(told[1]) > 1 else 0].strip() == bounds, name

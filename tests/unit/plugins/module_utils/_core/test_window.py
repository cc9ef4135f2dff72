# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Maintenance windows: what is taken and refused, over midnight, in zones with summer time."""

from __future__ import annotations

import datetime
import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import ParseError
from ansible_collections.rackops.crashready.plugins.module_utils._core.window import (
    next_fit,
    parse_duration,
    parse_window,
    parse_windows,
    render_moment,
    rest_s,
)

HOUR = 3600


class Summer(datetime.tzinfo):
    """Two hours ahead of UTC until Sunday 2026-10-25 01:00 UTC, then one: Central Europe in that autumn.

    A zone of the tests' own, since the machine may have no zone files.
    """

    def utcoffset(self, dt: datetime.datetime | None) -> datetime.timedelta:
        if dt is None:
            return datetime.timedelta(hours=1)
        wall = dt.replace(tzinfo=None)
        hours = (
            2
            if wall < datetime.datetime(2026, 10, 25, 2) or (wall < datetime.datetime(2026, 10, 25, 3) and not dt.fold)
            else 1
        )
        return datetime.timedelta(hours=hours)

    def dst(self, dt: datetime.datetime | None) -> datetime.timedelta:
        return self.utcoffset(dt) - datetime.timedelta(hours=1)

    def tzname(self, dt: datetime.datetime | None) -> str:
        return "CE(S)T"


def zones(name: str) -> datetime.tzinfo:
    return {
        "UTC": datetime.timezone.utc,
        "Europe/Berlin": Summer(),
        "Asia/Kolkata": datetime.timezone(datetime.timedelta(hours=5.5)),
    }[name]


def at(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.timezone.utc)


# 2026-11-28 is a Saturday.
@pytest.mark.parametrize(
    ("window", "now", "rest"),
    [
        ("Sat 22:00-04:00 UTC", "2026-11-28T21:59", 0),
        ("Sat 22:00-04:00 UTC", "2026-11-28T22:00", 6 * HOUR),
        ("Sat 22:00-04:00 UTC", "2026-11-29T03:00", HOUR),
        ("Sat 22:00-04:00 UTC", "2026-11-29T04:00", 0),
        ("Sat 22:00-04:00", "2026-11-29T03:00", HOUR),
        ("saturday 22:00-04:00 UTC", "2026-11-29T03:00", HOUR),
        ("02:00-05:00 UTC", "2026-11-25T04:00", HOUR),
        ("daily 02:00-05:00 UTC", "2026-11-25T04:00", HOUR),
        ("Mon-Fri 02:00-05:00 UTC", "2026-11-28T04:00", 0),
        ("Fri-Mon 02:00-05:00 UTC", "2026-11-29T04:00", HOUR),
        ("Fri-Mon 02:00-05:00 UTC", "2026-12-01T04:00", 0),
        ("Mon,Sat 00:00-24:00 UTC", "2026-11-28T12:00", 12 * HOUR),
        ("Sat 22:00-04:00 Asia/Kolkata", "2026-11-28T16:30", 6 * HOUR),
        # The night in which the clock goes back has an hour more.
        ("Sat 22:00-04:00 Europe/Berlin", "2026-10-24T20:00", 7 * HOUR),
        ("Sat 22:00-04:00 Europe/Berlin", "2026-10-31T21:00", 6 * HOUR),
    ],
)
def test_what_is_left_of_a_window(window: str, now: str, rest: float) -> None:
    assert rest_s([parse_window(window)], at(now), zones) == rest


def test_windows_that_touch_are_one() -> None:
    windows = parse_windows(["Sat 22:00-24:00 UTC", "Sun 00:00-03:00 UTC", "Sun 02:00-04:00 UTC"])
    assert rest_s(windows, at("2026-11-28T22:00"), zones) == 6 * HOUR


def test_without_windows_it_is_always_open() -> None:
    assert parse_windows(None) == parse_windows("") == ()
    assert rest_s((), at("2026-11-28T22:00"), zones) is None
    assert next_fit((), at("2026-11-28T22:00"), 1e9, zones) == at("2026-11-28T22:00")


@pytest.mark.parametrize(
    ("need", "now", "expected"),
    [
        (HOUR, "2026-11-24T00:00", "2026-11-28T22:00"),
        (HOUR, "2026-11-29T01:00", "2026-11-29T01:00"),
        (HOUR, "2026-11-29T03:30", "2026-12-05T22:00"),
        (6 * HOUR, "2026-11-28T22:00", "2026-11-28T22:00"),
        (6 * HOUR, "2026-11-28T22:01", "2026-12-05T22:00"),
        (7 * HOUR, "2026-11-28T22:00", None),
    ],
)
def test_the_next_moment_that_fits(need: float, now: str, expected: str | None) -> None:
    found = next_fit([parse_window("Sat 22:00-04:00 UTC")], at(now), need, zones)
    assert found == (at(expected) if expected else None)


@pytest.mark.parametrize(
    "text",
    [
        *("", "Sat", "Sat 22:00", "22-04", "Sat 22:00-22:00", "Sat 24:00-02:00", "Sat 25:00-26:00", "Sat 22:60-23:00"),
        *(
            "Sut 22:00-04:00",
            "Sa 22:00-04:00",
            "Mon-Tue-Wed 22:00-04:00",
            "Mon- 22:00-04:00",
            "Sat 22:00-04:00 UTC UTC",
        ),
        *("Sat 22:00-04:00 ../../etc/passwd", "Sat\n22:00-04:00", "x" * 300, "Sat " * 60 + "22:00-04:00"),
    ],
)
def test_what_is_no_window(text: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse_window(text)
    assert "is no window" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [5, {"a": 1}, [5], [None], ["Sat 22:00-04:00"] * 65])
def test_what_is_no_list_of_windows(value: t.Any) -> None:
    with pytest.raises(ParseError):
        parse_windows(value)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("15m", 900), ("2h", 7200), ("7d", 604800), ("1w", 604800), ("0", 0)]
)
def test_durations(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "1.5h", "-1", "1y", "99999999", "1 h 2 m"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ParseError, match="is no duration"):
        parse_duration(text)


def test_a_moment_for_people() -> None:
    assert render_moment(at("2026-11-28T22:00")) == "Sat 2026-11-28 22:00 UTC"

# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Maintenance windows: `Sat 22:00-04:00 Europe/Berlin`, and what of one is left at a moment.

The clock and the time zones are the caller's: a moment comes in as an aware datetime, a zone by its IANA name through
`zones`. Times of a window are those of a clock on the wall there; what a change to summer time takes from a night is
missing in its length.
"""

from __future__ import annotations

import datetime as dt
import re
import typing as t

from .errors import ParseError
from .text import clean

__all__ = ["Window", "Zones", "next_fit", "parse_duration", "parse_window", "parse_windows", "render_moment", "rest_s"]

#: A time zone by its name. Raises CoreError for one that is not known.
Zones = t.Callable[[str], dt.tzinfo]

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY_S = 86400
_WINDOW = re.compile(
    r"(?:(?P<days>[A-Za-z][A-Za-z, -]*?) +)?(?P<h1>\d{1,2}):(?P<m1>\d\d) *- *(?P<h2>\d{1,2}):(?P<m2>\d\d)"
    r"(?: +(?P<zone>[A-Za-z][A-Za-z0-9_+/-]{0,63}))?"
)
_EXPECTED = "expected DAYS HH:MM-HH:MM ZONE, such as 'Sat 22:00-04:00 UTC', 'Mon-Fri 02:00-05:00 Europe/Berlin'"
_WINDOWS_LIMIT = 64
#: How far ahead is looked: a weekly window of today that is over opens again in seven days and lasts one more.
_AHEAD_DAYS = 8

_UNITS_S = {"": 1, "s": 1, "m": 60, "h": 3600, "d": _DAY_S, "w": 7 * _DAY_S}
_DURATION = re.compile(r"(\d{1,7})([smhdw]?)")


class Window(t.NamedTuple):
    """An opening that comes back every week."""

    text: str
    days: frozenset[int]  #: on which it opens; 0 is Monday
    start_s: int  #: after midnight
    end_s: int  #: after the same midnight; more than a day where it ends on the next one
    zone: str


class Opening(t.NamedTuple):
    """One stretch of time, in UTC."""

    start: dt.datetime
    end: dt.datetime


def parse_duration(text: str) -> int:
    """Seconds of `90`, `90s`, `15m`, `2h`, `7d`, `1w`. Raises ParseError."""
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        says = "{0!r} is no duration: expected a number with s, m, h, d or w, such as 15m"
        raise ParseError(says.format(clean(text, 60)))
    return int(found.group(1)) * _UNITS_S[found.group(2)]


def parse_windows(value: t.Any) -> tuple[Window, ...]:
    """Windows of a variable: a text, a list of texts, or nothing. Raises ParseError."""
    if value is None or value == "":
        return ()
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, (list, tuple)) or not all(isinstance(text, str) for text in texts):
        raise ParseError("{0}, or a list of these, got {1}".format(_EXPECTED, clean(repr(value), 80)))
    if len(texts) > _WINDOWS_LIMIT:
        raise ParseError("{0} windows are more than the {1} that one host may have".format(len(texts), _WINDOWS_LIMIT))
    return tuple(parse_window(text) for text in texts)


def parse_window(text: str) -> Window:
    """One window. Raises ParseError."""
    found = _WINDOW.fullmatch(text.strip()) if len(text) <= 200 else None
    if found is None:
        raise ParseError("{0!r} is no window: {1}".format(clean(text, 80), _EXPECTED))
    start = _seconds(text, found.group("h1"), found.group("m1"))
    end = _seconds(text, found.group("h2"), found.group("m2"))
    if start in (end, _DAY_S):
        raise ParseError("{0!r} is no window: it ends where it begins".format(clean(text, 80)))
    days = _days(text, found.group("days"))
    return Window(clean(text, 120), days, start, end if end > start else end + _DAY_S, found.group("zone") or "UTC")


def _seconds(text: str, hours: str, minutes: str) -> int:
    seconds = int(hours) * 3600 + int(minutes) * 60
    if int(minutes) > 59 or seconds > _DAY_S:
        raise ParseError("{0!r} is no window: {1}:{2} is no time of a day".format(clean(text, 80), hours, minutes))
    return seconds


def _days(text: str, words: str | None) -> frozenset[int]:
    if words is None or words.lower() == "daily":
        return frozenset(range(7))
    found: set[int] = set()
    for part in words.replace(" ", "").split(","):
        ends = [_day(text, name) for name in part.split("-")]
        if len(ends) > 2:
            raise ParseError("{0!r} is no window: {1!r} is no range of days".format(clean(text, 80), part))
        found.update((ends[0] + step) % 7 for step in range((ends[-1] - ends[0]) % 7 + 1))
    return frozenset(found)


def _day(text: str, name: str) -> int:
    names = [number for number, day in enumerate(_DAYS) if name[:3].lower() == day]
    if len(name) < 3 or not names:
        raise ParseError("{0!r} is no window: {1!r} is no day of a week".format(clean(text, 80), name))
    return names[0]


def _openings(windows: t.Sequence[Window], now: dt.datetime, zones: Zones) -> list[Opening]:
    """What is open now or opens within eight days, in order; what touches is one."""
    found = sorted(opening for window in windows for opening in _of_one(window, now, zones))
    merged: list[Opening] = []
    for opening in found:
        if merged and opening.start <= merged[-1].end:
            merged[-1] = Opening(merged[-1].start, max(merged[-1].end, opening.end))
        else:
            merged.append(opening)
    return merged


def _of_one(window: Window, now: dt.datetime, zones: Zones) -> t.Iterator[Opening]:
    zone = zones(window.zone)
    today = now.astimezone(zone).date()
    for ahead in range(-2, _AHEAD_DAYS + 1):
        day = today + dt.timedelta(days=ahead)
        if day.weekday() in window.days:
            opening = Opening(_moment(day, window.start_s, zone), _moment(day, window.end_s, zone))
            if opening.end > now and opening.start < opening.end:
                yield opening


def _moment(day: dt.date, seconds: int, zone: dt.tzinfo) -> dt.datetime:
    """A time on the wall there, in UTC. In a gap of summer time it is what it would have been before the change."""
    days, rest = divmod(seconds, _DAY_S)
    wall = dt.datetime.combine(day + dt.timedelta(days=days), dt.time(rest // 3600, rest % 3600 // 60), tzinfo=zone)
    return wall.astimezone(dt.timezone.utc)


def rest_s(windows: t.Sequence[Window], now: dt.datetime, zones: Zones) -> float | None:
    """Seconds until the windows close; 0 where they are closed, None where there are none, which is always open."""
    if not windows:
        return None
    for opening in _openings(windows, now, zones):
        if opening.start <= now:
            return (opening.end - now).total_seconds()
    return 0.0


def next_fit(windows: t.Sequence[Window], now: dt.datetime, need_s: float, zones: Zones) -> dt.datetime | None:
    """The first moment from `now` on at which `need_s` seconds fit in; None where no opening is that long."""
    if not windows:
        return now
    for opening in _openings(windows, now, zones):
        start = max(opening.start, now)
        if (opening.end - start).total_seconds() >= need_s:
            return start
    return None


def render_moment(moment: dt.datetime) -> str:
    """A moment for people: `Sat 2026-11-28 22:00 UTC`."""
    at = moment.astimezone(dt.timezone.utc)
    return "{0} {1:%Y-%m-%d %H:%M} UTC".format(_DAYS[at.weekday()].capitalize(), at)

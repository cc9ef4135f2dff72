# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What a page draws of a report (`rack_view.make_report`): matrix, timeline, and the hosts in few bytes.

Bounds are here: a page has to stay usable with ten thousand hosts, and with one that
answers in ten thousand ways.
"""

from __future__ import annotations

import datetime
import json
import typing as t

__all__ = ["matrix_of", "packed_hosts", "script_json", "timeline_of"]

_KERNELS = 16
_CARDS = 200
_SIGNATURES = 40
#: The timeline in units: its width, the margin at both sides, how far apart marks are (crashes that fall into one step
#: are one mark), the height of a line and of the axis.
_WIDTH, _MARGIN, _STEP, _LINE, _AXIS = 1000, 50, 10, 46, 40
_TICKS = 4

Row = dict[str, t.Any]


def script_json(value: t.Any) -> str:
    """JSON that can stand inside of a script element of HTML: no text in it can end the element or begin a comment.

    >>> script_json({"a": "</script><!--"})
    '{"a":"\\\\u003c/script\\\\u003e\\\\u003c!--"}'
    """
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    for sign in "<>&":
        text = text.replace(sign, "\\u{0:04x}".format(ord(sign)))
    return text


# --- NIC x firmware x kernel -----------------------------------------------------------------------------------------


def matrix_of(triples: t.Sequence[Row]) -> Row:
    """Rows are cards with their firmware, columns kernels: {kernels, rows, more_kernels, more_rows}.

    A row is {model, ids, driver, firmware, cells, odd, verdict}; a cell is a triple of the report or None. The kernels
    of most hosts come first; rows of one card stand together.
    """
    hosts: dict[str | None, int] = {}
    for triple in triples:
        hosts[triple["kernel"]] = hosts.get(triple["kernel"], 0) + triple["hosts"]
    kernels = sorted(hosts, key=lambda kernel: (-hosts[kernel], str(kernel)))
    shown = kernels[:_KERNELS]
    rows: dict[tuple[t.Any, ...], Row] = {}
    for triple in triples:
        key = (str(triple["driver"]), str(triple["ids"]), str(triple["firmware"]))
        row = rows.setdefault(
            key,
            {
                **{name: triple[name] for name in ("model", "ids", "driver", "firmware")},
                "cells": [None] * len(shown),
                "hosts": 0,
            },
        )
        row["model"] = row["model"] or triple["model"]
        row["hosts"] += triple["hosts"]
        if triple["kernel"] in shown:
            row["cells"][shown.index(triple["kernel"])] = triple
    order = sorted(rows)
    if len(order) > _CARDS:
        most = sorted(order, key=lambda key: (-_weight(rows[key]), -rows[key]["hosts"], key))[:_CARDS]
        order = sorted(most)
    return {
        "kernels": shown,
        "rows": [rows[key] for key in order],
        "more_kernels": len(kernels) - len(shown),
        "more_rows": len(rows) - len(order),
    }


def _weight(row: Row) -> int:
    """What must not be cut off a matrix that is too long: bad ones, then odd ones."""
    cells = [cell for cell in row["cells"] if cell]
    return 2 * any(cell["verdict"] == "bad" for cell in cells) + any(cell["odd"] for cell in cells)


# --- crashes on a timeline -------------------------------------------------------------------------------------------


def timeline_of(groups: t.Sequence[Row]) -> Row | None:
    """Marks of crashes to draw: {width, height, axis, first, last, ticks, rows, more}; None where no crash has a time.

    A tick is {x, says}; a row, one signature, {signature, says, nic, y, marks [{x, radius, count, says}]}.
    """
    moments = [moment for group in groups for crash in group["crashes"] for moment in [_moment(crash["at"])] if moment]
    if not moments:
        return None
    first, last = min(moments), max(moments)
    # One crash, or several at once, stand in the middle of a day.
    if last - first < datetime.timedelta(hours=1):
        first, last = first - datetime.timedelta(hours=12), last + datetime.timedelta(hours=12)
    rows = [_line(group, first, last) for group in groups[:_SIGNATURES]]
    shown = [row for row in rows if row["marks"]]
    for number, row in enumerate(shown):
        row["y"] = number * _LINE + _LINE * 2 // 3
    return {
        "width": _WIDTH,
        "height": len(shown) * _LINE + _AXIS,
        "axis": len(shown) * _LINE,
        "margin": _MARGIN,
        "first": _day(first, last, first),
        "last": _day(first, last, last),
        "ticks": [_tick(first, last, number) for number in range(_TICKS + 1)],
        "rows": shown,
        "more": len(groups) - len(rows),
    }


def _moment(text: t.Any) -> datetime.datetime | None:
    """An ISO 8601 text of a host, or None."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=datetime.timezone.utc)
        return moment.astimezone(datetime.timezone.utc)
    except (ValueError, OverflowError):
        return None


def _x(moment: datetime.datetime, first: datetime.datetime, last: datetime.datetime) -> int:
    steps = (_WIDTH - 2 * _MARGIN) // _STEP
    return _MARGIN + round((moment - first) / (last - first) * steps) * _STEP


def _day(first: datetime.datetime, last: datetime.datetime, moment: datetime.datetime) -> str:
    short = last - first < datetime.timedelta(days=3)
    return moment.strftime("%Y-%m-%d %H:%M" if short else "%Y-%m-%d")


def _tick(first: datetime.datetime, last: datetime.datetime, number: int) -> Row:
    moment = first + (last - first) * number / _TICKS
    return {"x": _MARGIN + (_WIDTH - 2 * _MARGIN) * number // _TICKS, "says": _day(first, last, moment)}


def _line(group: Row, first: datetime.datetime, last: datetime.datetime) -> Row:
    marks: dict[int, list[Row]] = {}
    for crash in group["crashes"]:
        moment = _moment(crash["at"])
        if moment is not None:
            marks.setdefault(_x(moment, first, last), []).append(crash)
    return {
        "signature": group["signature"],
        "says": "{0} {1}".format(group["kind"] or "not explained yet", group["function"] or group["driver"] or ""),
        "nic": str(group["path"] or "").startswith("nic"),
        "marks": [
            {"x": x, "radius": min(5 + len(crashes), 12), "count": len(crashes), "says": _mark(crashes)}
            for x, crashes in sorted(marks.items())
        ],
    }


def _mark(crashes: t.Sequence[Row]) -> str:
    names = sorted({crash["host"] for crash in crashes})
    shown = ", ".join(names[:3]) + (" and {0} more".format(len(names) - 3) if len(names) > 3 else "")
    return "{0} {1}: {2}".format(str(crashes[0]["at"])[:16].replace("T", " "), "UTC", shown)


# --- hosts -----------------------------------------------------------------------------------------------------------

#: The fields of a packed host, in their order; texts are numbers of `texts`.
FIELDS = (
    *("host", "section", "unit", "group", "state", "capture", "verdict", "kernel", "reserved", "armed_since"),
    *("proven", "proven_says", "drilled_at", "crashes", "nics", "says"),
)


def packed_hosts(report: Row) -> Row:
    """Hosts and triples for the page's script: {fields, texts, hosts, triples}; every text is there once."""
    texts: dict[str, int] = {}

    def number(text: t.Any) -> int | None:
        return None if text is None else texts.setdefault(str(text), len(texts))

    hosts = [_packed(host, number) for host in report["hosts"]]
    names = ("model", "ids", "driver", "firmware", "kernel", "verdict")
    triples = [[*(number(triple[name]) for name in names), len(triple["odd"])] for triple in report["triples"]]
    return {"fields": FIELDS, "texts": list(texts), "hosts": hosts, "triples": triples}


def _packed(host: Row, number: t.Callable[[t.Any], int | None]) -> list[t.Any]:
    proven = host["proven"]
    drilled_at = (proven["drill"] or {}).get("drilled_at")
    return [
        host["host"],
        number(host["section"]),
        number(host["unit"]),
        number(host["group"]),
        *(number(host[name]) for name in ("state", "capture", "verdict", "kernel")),
        host["reserved_bytes"],
        number(_date(host["armed_since"])),
        proven["state"],
        number(proven["reason"]),
        number(_date(drilled_at)),
        host["crashes"],
        [[nic["triple"], number(" ".join(nic["names"]))] for nic in host["nics"]],
        [number(line) for line in host["says"]],
    ]


def _date(text: t.Any) -> str | None:
    return str(text)[:10] if text else None

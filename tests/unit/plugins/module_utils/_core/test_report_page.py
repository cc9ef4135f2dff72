# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What a page draws: the matrix within bounds, marks on a timeline, JSON that cannot leave its element."""

from __future__ import annotations

import html.parser
import json
import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core import report_page
from ansible_collections.rackops.crashready.plugins.module_utils._core.report_page import (
    matrix_of,
    packed_hosts,
    script_json,
    timeline_of,
)
from hypothesis import given, settings
from hypothesis import strategies as st


class _Scripts(html.parser.HTMLParser):
    """The texts of script elements, and every other tag."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: t.Any) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


@settings(deadline=None)
@given(st.recursive(st.text() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_json_stays_in_its_element(value: t.Any) -> None:
    text = script_json(value)
    assert json.loads(text) == value
    assert text.isascii()
    assert not set(text) & set("<>&")


@pytest.mark.parametrize("evil", ["</script><b>", "<!--<script>", "]]>", "&lt;", "\u2028"])
def test_json_in_a_page(evil: str) -> None:
    parser = _Scripts()
    parser.feed("<script>{0}</script>".format(script_json([evil])))
    assert parser.tags == ["script"]
    assert json.loads(parser.text) == [evil]


def triple(
    firmware: str | None = "1.0", kernel: str | None = "6.12", hosts: int = 1, **more: t.Any
) -> dict[str, t.Any]:
    made = {"model": "X710", "ids": "8086:1572", "driver": "i40e", "firmware": firmware, "kernel": kernel}
    return {**made, "verdict": "clear", "hosts": hosts, "nics": hosts, "odd": [], **more}


def test_matrix() -> None:
    triples = [
        triple(hosts=5),
        triple("0.9", "6.1", 2),
        triple(None, "6.1", 9),
        triple(ids="15b3:1017", driver="mlx5_core"),
    ]
    made = matrix_of(triples)
    assert made["kernels"] == ["6.1", "6.12"], "that of most hosts first"
    cells = [
        (row["driver"], row["firmware"], [cell and cell["hosts"] for cell in row["cells"]]) for row in made["rows"]
    ]
    assert cells == [
        ("i40e", "0.9", [2, None]),
        ("i40e", "1.0", [None, 5]),
        ("i40e", None, [9, None]),
        ("mlx5_core", "1.0", [None, 1]),
    ]
    assert (made["more_rows"], made["more_kernels"]) == (0, 0)


def test_a_matrix_has_bounds_and_keeps_what_counts() -> None:
    triples = [triple("{0:04}".format(number), "k{0}".format(number % 99), 2) for number in range(5000)]
    triples += [triple("zzzz", "k0", 1, verdict="bad"), triple("zzzy", "k0", 1, odd=["firmware: ..."])]
    made = matrix_of(triples)
    assert (len(made["rows"]), made["more_rows"]) == (200, 4802)
    assert (len(made["kernels"]), made["more_kernels"]) == (16, 83)
    assert {"zzzz", "zzzy"} <= {row["firmware"] for row in made["rows"]}


def group(*moments: str | None, signature: str | None = "cr1:x:1", path: str | None = "nic_rx") -> dict[str, t.Any]:
    crashes = [{"host": "h{0}".format(number), "at": at, "kernel": None} for number, at in enumerate(moments)]
    made = {"signature": signature, "kind": "bug", "path": path, "driver": "i40e", "function": None}
    return {**made, "crashes": crashes, "hosts": [], "first": None, "last": None}


def test_timeline() -> None:
    made = timeline_of(
        [group("2026-09-01T00:00:00+00:00", "2026-09-11T00:00:00Z"), group("2026-09-06T00:00:00+00:00", path="none")]
    )
    assert made is not None
    assert (made["first"], made["last"]) == ("2026-09-01", "2026-09-11")
    first, second = made["rows"]
    assert [mark["x"] for mark in first["marks"]] == [50, 950]
    assert [mark["x"] for mark in second["marks"]] == [500]
    assert (first["nic"], second["nic"]) == (True, False)
    assert [tick["x"] for tick in made["ticks"]] == [50, 275, 500, 725, 950]
    assert made["ticks"][2]["says"] == "2026-09-06"
    assert 0 < first["y"] < second["y"] < made["axis"] < made["height"]


def test_crashes_of_one_moment_are_one_mark() -> None:
    made = timeline_of([group(*["2026-09-01T12:00:00+00:00"] * 7)])
    assert made is not None
    (mark,) = made["rows"][0]["marks"]
    assert (mark["x"], mark["count"], mark["radius"]) == (500, 7, 12)
    assert mark["says"] == "2026-09-01 12:00 UTC: h0, h1, h2 and 4 more"
    assert made["first"] == "2026-09-01 00:00"


@pytest.mark.parametrize("moments", [(), (None,), ("yesterday", "9999-99-99", "0001-01-01T00:00:00+23:00")])
def test_no_time_no_timeline(moments: tuple[str | None, ...]) -> None:
    assert timeline_of([group(*moments)]) is None


def test_a_timeline_has_bounds() -> None:
    moments = ["2026-{0:02}-{1:02}T00:00:00+00:00".format(month, day) for month in range(1, 13) for day in range(1, 28)]
    made = timeline_of([group(*moments, signature=str(number)) for number in range(60)])
    assert made is not None
    assert (len(made["rows"]), made["more"]) == (40, 20)
    assert max(len(row["marks"]) for row in made["rows"]) <= 91


def test_packed_hosts_say_each_text_once() -> None:
    host = {
        "host": "a",
        "section": "Rack A",
        "unit": "1",
        "group": None,
        "state": "bad",
        "capture": "armed",
        "verdict": "bad",
        "kernel": "6.12",
        "reserved_bytes": 5,
        "armed_since": "2026-08-01T00:00:00+00:00",
        "proven": {"state": True, "reason": None, "drill": {"drilled_at": "2026-11-20T10:00:00+00:00"}},
        "crashes": 2,
        "nics": [{"names": ["eth0", "eth1"], "triple": 0}],
        "says": ["one", "two"],
    }
    packed = packed_hosts({"hosts": [host, {**host, "host": "b"}], "triples": [triple(odd=["x"])]})
    texts = packed["texts"]
    assert len(set(texts)) == len(texts)
    read = dict(zip(report_page.FIELDS, packed["hosts"][1]))
    assert set(read) == set(packed["fields"])
    assert len(packed["hosts"][1]) == len(packed["fields"])
    assert (read["host"], texts[read["section"]], texts[read["state"]]) == ("b", "Rack A", "bad")
    assert (texts[read["armed_since"]], texts[read["drilled_at"]]) == ("2026-08-01", "2026-11-20")
    assert [texts[number] for number in read["says"]] == ["one", "two"]
    assert read["nics"] == [[0, texts.index("eth0 eth1")]]
    assert packed["triples"] == [
        [*(texts.index(word) for word in ("X710", "8086:1572", "i40e", "1.0", "6.12", "clear")), 1]
    ]

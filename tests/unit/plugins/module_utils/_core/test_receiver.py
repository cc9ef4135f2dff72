# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Datagrams of netconsole as lines: real ones of both formats, lost, reordered and hostile ones."""

from __future__ import annotations

import re

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import CoreError, ParseError
from ansible_collections.rackops.crashready.plugins.module_utils._core.receiver import (
    Bucket,
    Limits,
    Sender,
    allowed_by,
    file_name,
    limits_from,
    needs_rotation,
    rotated_names,
)
from hypothesis import given
from hypothesis import strategies as st


def feed(*datagrams: bytes) -> list[str]:
    sender = Sender()
    return [line for datagram in datagrams for line in sender.feed(datagram, 0.0)] + sender.flush()


@pytest.mark.parametrize(
    ("datagrams", "lines"),
    [
        # Documentation/networking/netconsole.rst, "Extended console", and with `release` and a caller's field.
        (
            [b"6,444,501151268,-;netconsole: network logging started\n"],
            ["[  501.151268] netconsole: network logging started"],
        ),
        ([b"6.4.0,6,444,501151268,-;netconsole: started\n"], ["[  501.151268] netconsole: started"]),
        ([b"4,5,1000,-,caller=T1;who\n"], ["[    0.001000] who"]),
        (
            [b"6,416,1758426,-,ncfrag=0/32;the first chunk,", b"6,416,1758426,-,ncfrag=16/32; the 2nd chunk.."],
            ["[    1.758426] the first chunk, the 2nd chunk.."],
        ),
        # The first one was lost, the last one was lost, the second came first.
        ([b"6,416,1758426,-,ncfrag=16/33; the 2nd chunk."], ["[    1.758426] \u2026the 2nd chunk."]),
        ([b"6,416,1758426,-,ncfrag=0/33;the first chunk,"], ["[    1.758426] the first chunk, \u2026"]),
        (
            [b"6,416,1,-,ncfrag=16/20;late", b"6,416,1,-,ncfrag=0/20;the first chunk,"],
            ["[    0.000001] \u2026late", "[    0.000001] the first chunk, \u2026"],
        ),
        # Two records that were cut into each other.
        ([b"6,1,1,-,ncfrag=0/9;aaa", b"6,2,2,-;b\n"], ["[    0.000001] aaa \u2026", "[    0.000002] b"]),
        # The plain format: a line in pieces, several in one.
        ([b"Kernel pa", b"nic - not syncing\nBUG: one\nrest"], ["Kernel panic - not syncing", "BUG: one", "rest"]),
        ([b"plain rest", b"6,1,1,-;extended\n"], ["plain rest", "[    0.000001] extended"]),
        ([b"\x1b]0;owned\x07 \xff\xfe \xe2\x80\xaetxt\n"], ["]0;owned  \ufffd\ufffd  txt"]),
        ([b"", b"\n\n", b"\0\n"], []),
    ],
)
def test_lines(datagrams: list[bytes], lines: list[str]) -> None:
    assert [line for line in feed(*datagrams) if line] == lines


@given(st.lists(st.binary(max_size=300), max_size=8))
def test_garbage_is_text_within_bounds(datagrams: list[bytes]) -> None:
    for line in feed(*datagrams):
        assert not re.search("[\x00-\x1f\x7f-\x9f\u2028\u202e]", line)
        assert len(line) < 5000


def test_a_line_without_end_is_bounded() -> None:
    sender = Sender()
    found = [line for _count in range(40) for line in sender.feed(b"z" * 1000, 0.0)]
    assert found
    assert sum(map(len, found)) < 40000


@pytest.mark.parametrize(
    ("address", "name"),
    [("192.0.2.7", "192.0.2.7.log"), ("::ffff:192.0.2.7", "192.0.2.7.log"), ("fe80::1%eth0", "fe80--1.log")],
)
def test_names(address: str, name: str) -> None:
    assert file_name(address) == name


@pytest.mark.parametrize("address", ["../../etc/passwd", "", "host", "1.2.3.4/..", "/"])
def test_what_is_no_address_has_no_file(address: str) -> None:
    with pytest.raises(ParseError):
        file_name(address)


def test_allowed() -> None:
    networks = limits_from({"allow": ["192.0.2.0/24", "2001:db8::1"]}).allow
    assert [allowed_by(each, networks) for each in ("::ffff:192.0.2.9", "2001:db8::1", "198.51.100.1", "::1")] == [
        *(True, True, False, False)
    ]
    assert allowed_by("198.51.100.1", ()) is True


@pytest.mark.parametrize(
    "given_",
    [{"allow": ["everybody"]}, {"keep": 0}, {"rate_bytes_s": True}, {"file_bytes": "1M"}, {"hosts": 0}, {"else": 1}],
)
def test_limits_that_cannot_be_meant(given_: dict[str, object]) -> None:
    with pytest.raises(CoreError):
        limits_from(given_)


def test_bucket_fills_with_time_and_not_beyond() -> None:
    bucket = Bucket(Limits(rate_bytes_s=1024, burst_bytes=4096), 0.0)
    assert [bucket.take(4096, 0.0), bucket.take(1, 0.0), bucket.take(1024, 1.0)] == [True, False, True]
    assert bucket.take(4097, 1000.0) is False
    assert bucket.take(10, -5.0) is True, "a clock that goes back gives nothing and takes nothing"


def test_rotation() -> None:
    assert needs_rotation(0, 1 << 40, Limits()) is False
    assert needs_rotation(Limits().file_bytes, 1, Limits()) is True
    assert rotated_names("a.log", 1) == [("a.log", "a.log.1")]

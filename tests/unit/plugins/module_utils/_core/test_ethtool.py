# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The ioctl structures, against layouts written out by hand from include/uapi/linux/ethtool.h."""

from __future__ import annotations

import struct
import sys

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core import ethtool
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import ParseError


def drvinfo(driver: bytes, version: bytes, firmware: bytes, bus: bytes) -> bytes:
    fields = [struct.pack("=I", 3)]
    fields += [text.ljust(32, b"\0") for text in (driver, version, firmware, bus, b"")]
    return b"".join(fields) + bytes(12) + struct.pack("=5I", 1, 2, 3, 4, 5)


def test_commands_have_the_size_and_number_of_the_kernels_header():
    assert len(ethtool.pack_drvinfo()) == 196
    assert len(ethtool.pack_channels()) == 36
    assert int.from_bytes(ethtool.pack_drvinfo()[:4], sys.byteorder) == 3
    assert int.from_bytes(ethtool.pack_channels()[:4], sys.byteorder) == 0x3C


def test_drvinfo():
    answer = drvinfo(b"i40e", b"6.1.0-56-amd64", b"9.20 0x8000d8bd 1.3353.0", b"0000:02:00.0")
    assert ethtool.unpack_drvinfo(answer) == ("i40e", "6.1.0-56-amd64", "9.20 0x8000d8bd 1.3353.0", "0000:02:00.0")


def test_a_text_without_a_terminating_zero_ends_with_its_field():
    assert ethtool.unpack_drvinfo(drvinfo(b"d", b"v", b"f" * 32, b"b"))[2:] == ("f" * 32, "b")


def test_bytes_after_the_zero_and_bytes_that_are_no_utf8():
    assert ethtool.unpack_drvinfo(drvinfo(b"d\0left over", b"\xff\xfe", b"", b""))[:2] == ("d", "\ufffd\ufffd")


def test_channels_are_the_counts_in_use_and_not_the_maxima():
    answer = struct.pack("=9I", 0x3C, 101, 102, 103, 104, 1, 2, 3, 4)
    assert ethtool.unpack_channels(answer) == {"rx": 1, "tx": 2, "other": 3, "combined": 4}


@pytest.mark.parametrize("unpack", [ethtool.unpack_drvinfo, ethtool.unpack_channels])
@pytest.mark.parametrize("answer", [b"", b"\0" * 35, b"\0" * 500])
def test_an_answer_of_another_size_is_refused(unpack, answer):
    with pytest.raises(ParseError, match="expected"):
        unpack(answer)


def test_request_holds_the_name_and_the_address():
    request = ethtool.pack_request("enp2s0f0", 0x1234)
    assert request[:16] == b"enp2s0f0" + bytes(8)
    assert int.from_bytes(request[16 : 16 + struct.calcsize("P")], sys.byteorder) == 0x1234
    assert len(request) == 40


@pytest.mark.parametrize("name", ["", "a" * 16, "a\0b", "\u00e9" * 8])
def test_a_name_that_no_interface_can_have_is_refused(name):
    with pytest.raises(ParseError):
        ethtool.pack_request(name, 0)


def test_statistics_are_paired_by_their_place():
    names = struct.pack("=3I", 0x1B, 1, 2) + b"rx_crc_errors".ljust(32, b"\0") + b"x" * 32
    counts = struct.pack("=2I", 0x1D, 2) + struct.pack("=2Q", 7, 1 << 63)
    assert ethtool.unpack_statistics(names, counts) == {"rx_crc_errors": 7, "x" * 32: 1 << 63}
    assert len(ethtool.pack_statistics_names(2)) == len(names)
    assert len(ethtool.pack_statistics(2)) == len(counts)
    assert ethtool.pack_statistics_names(2)[:12] == names[:12]
    assert ethtool.pack_statistics(2)[:8] == counts[:8]


@pytest.mark.parametrize(("said", "there"), [(2, 3), (3, 3), (1 << 31, 1 << 31)])
def test_statistics_that_do_not_fit_are_refused(said, there):
    """A driver that changes its channels in between has another number of counters."""
    names = struct.pack("=3I", 0x1B, 1, said) + bytes(64)
    with pytest.raises(ParseError, match="counters, for 2"):
        ethtool.unpack_statistics(names, struct.pack("=2I", 0x1D, there) + bytes(16))


def test_count_of_statistics_is_bounded():
    assert ethtool.statistics_count(drvinfo(b"d", b"v", b"f", b"b")) == 2
    answer = drvinfo(b"d", b"v", b"f", b"b")[:-20] + struct.pack("=5I", 1, 1 << 30, 3, 4, 5)
    with pytest.raises(ParseError, match="more than"):
        ethtool.statistics_count(answer)
    with pytest.raises(ParseError, match="expected"):
        ethtool.statistics_count(answer[:-1])

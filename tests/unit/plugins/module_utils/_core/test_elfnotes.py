# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""ELF notes: the head of a real /sys/kernel/notes, and damaged ones."""

from __future__ import annotations

import struct

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core import elfnotes
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import ParseError
from hypothesis import given
from hypothesis import strategies as st

# /sys/kernel/notes of a 6.18 x86_64 guest: build id, then a "Linux" note of 6 bytes.
REAL = bytes.fromhex(
    "040000001400000003000000474e5500 6ecd6ec21ec69416e50a8aa6737e500901ddb47a"
    "0600000004000000010100004c696e7578000000 00000000"
)


def test_real_notes() -> None:
    assert elfnotes.build_id(REAL) == "6ecd6ec21ec69416e50a8aa6737e500901ddb47a"
    assert [(n.name, n.type, len(n.data)) for n in elfnotes.parse_notes(REAL)] == [("GNU", 3, 20), ("Linux", 0x101, 4)]


def test_big_endian() -> None:
    assert elfnotes.build_id(struct.pack(">III", 4, 2, 3) + b"GNU\0\xab\xcd\0\0") == "abcd"


def test_without_a_build_id() -> None:
    assert elfnotes.build_id(b"") is None
    assert elfnotes.build_id(REAL[36:]) is None
    assert elfnotes.build_id(struct.pack("<III", 4, 0, 3) + b"GNU\0") is None


@pytest.mark.parametrize("data", [REAL[:30], b"\xff" * 64, b"x" * (elfnotes.NOTES_LIMIT + 1)])
def test_damaged(data: bytes) -> None:
    with pytest.raises(ParseError):
        elfnotes.build_id(data)


@given(st.binary(max_size=120))
def test_anything_ends(data: bytes) -> None:
    try:
        found = elfnotes.build_id(data)
    except ParseError:
        return
    assert found is None or len(found) <= 128

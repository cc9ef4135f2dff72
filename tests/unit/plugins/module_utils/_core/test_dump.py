# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Reading the head and the end of dumps."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import struct

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core import dump, flattened
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import ParseError
from ansible_collections.rackops.crashready.tests.unit.plugins.module_utils.dump_writer import (
    NAMES,
    boundaries,
    elf_parts,
    flat,
    kdump,
    kdump_parts,
    plain,
    reader,
)
from hypothesis import given, settings
from hypothesis import strategies as st

BUILD_ID = "eb4fbcd037e7253717950bf2b93bd5566f47c56f"


def read(data: bytes, thorough: bool = False) -> dump.Dump:
    return dump.read_dump(reader(data), len(data), thorough)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("flattened_", [True, False])
def test_kdump(order: str, flattened_: bool) -> None:
    data = kdump(flattened_, order=order)
    found = read(data)
    assert found.complete is True
    assert found.complete_reason is None
    assert (found.format, found.flattened, found.compression) == ("kdump", flattened_, None)
    assert found.byte_order == {"<": "little", ">": "big"}[order]
    assert found.utsname == dump.Utsname(*NAMES[:5])
    assert found.vmcoreinfo is not None
    assert found.vmcoreinfo == ("6.1.0-56-amd64", BUILD_ID, 4096, 1795439109)
    assert (found.dump_level, found.page_compression, found.machine) == (31, "zlib", "x86_64")
    assert found.size_bytes == len(data)
    assert found.reassembled_bytes == (len(kdump(False)) if flattened_ else None)
    assert not found.unread


def test_arm64_with_pages_of_64_kib() -> None:
    names = ("Linux", "arm1", "6.12.117-arm64", "#1 SMP", "aarch64", "(none)")
    found = read(kdump(block=65536, names=names, status=0x2, level=17))
    assert (found.machine, found.page_compression, found.dump_level) == ("aarch64", "lzo", 17)
    assert found.complete is True


@pytest.mark.parametrize(("status", "name"), [(0, "none"), (1, "zlib"), (2, "lzo"), (4, "snappy"), (0x20, "zstd")])
def test_page_compression(status: int, name: str) -> None:
    assert read(kdump(status=status)).page_compression == name


@pytest.mark.parametrize(("order", "machine", "name"), [("<", 62, "x86_64"), ("<", 183, "aarch64"), (">", 22, "s390x")])
@pytest.mark.parametrize("write", [flat, plain])
def test_elf(order: str, machine: int, name: str, write) -> None:
    found = read(write(elf_parts(order=order, machine=machine)))
    assert (found.format, found.machine, found.complete) == ("elf", name, True)
    assert (found.release, found.utsname, found.dump_level) == ("6.1.0-56-amd64", None, None)
    assert set(found.unread) == {"utsname", "dump_level"}


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (gzip.compress(b"KDUMP"), "gzip"),
        (bz2.compress(b"KDUMP"), "bzip2"),
        (lzma.compress(b"KDUMP"), "xz"),
        (bytes.fromhex("04224d18") + bytes(20), "lz4"),
        (bytes.fromhex("28b52ffd") + bytes(20), "zstd"),
    ],
)
def test_compressed_is_told_and_not_looked_into(data: bytes, name: str) -> None:
    found = read(data)
    assert (found.format, found.compression, found.complete) == ("compressed", name, None)
    assert found.unread == {"complete": "compressed with {0}: not looked into".format(name)}


def test_empty_is_not_complete() -> None:
    found = read(b"")
    assert (found.format, found.complete, found.complete_reason) == ("empty", False, "0 bytes")


def test_lkcd_is_named() -> None:
    assert read(struct.pack("<Q", 0xA8190173618F23ED) + bytes(100)).format == "lkcd"


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"\0" * 4096, "4096 bytes that begin with 00 00"),
        (b"<html><body>404", "begin with 3c 68"),
        (b"KDUM", "4 bytes that begin with 4b 44 55 4d"),
        (b"\x7fELF\1\1\1" + bytes(60), "class 1"),
        (plain(elf_parts(kind=2)), "type 2, not a core"),
    ],
)
def test_garbage_tells_what_was_seen(data: bytes, told: str) -> None:
    with pytest.raises(ParseError, match=told):
        read(data)


PARTS = kdump_parts()
WHOLE = flat(PARTS)
CUTS = sorted(
    {max(16, at + by) for at in boundaries(PARTS) for by in (-1, 0, 1, 15)} | {len(WHOLE) - 1, len(WHOLE) - 16}
)


@pytest.mark.parametrize("cut", CUTS)
def test_flattened_cut_anywhere_is_truncated(cut: int) -> None:
    found = read(WHOLE[:cut])
    assert found.flattened
    assert found.complete is False
    assert found.complete_reason is not None
    assert "truncated" in found.complete_reason


def test_flattened_cut_behind_its_head_still_says_whose_it_is() -> None:
    found = read(WHOLE[: boundaries(PARTS)[9]])
    assert (found.release, found.complete) == ("6.1.0-56-amd64", False)
    assert found.utsname is not None
    assert found.utsname.nodename == "db1"


@pytest.mark.parametrize("back", [1, 50, 500, 3000, 6000, 9000, 14000])
def test_plain_kdump_cut_is_truncated(back: int) -> None:
    data = kdump(False)
    found = read(data[:-back])
    assert found.complete is False
    assert found.complete_reason is not None
    assert "truncated" in found.complete_reason


def test_plain_kdump_whose_descriptors_were_not_written() -> None:
    # makedumpfile writes the page data first and the last descriptors at its end.
    parts = kdump_parts()
    offset, table = parts[-1]
    found = read(plain([*parts[:-1], (offset, table[:-48] + bytes(48))]))
    assert (found.complete, found.complete_reason) == (False, "damaged: a page of 0 bytes at byte 0")


def test_incomplete_flag_of_makedumpfile() -> None:
    for data in (kdump(False, status=0x9), kdump(True, status=0x9), plain(elf_parts(flags=1))):
        found = read(data)
        assert (found.complete, found.complete_reason) == (False, "makedumpfile marked it as incomplete")


def test_split_dump_is_not_known_to_be_complete() -> None:
    found = read(kdump(False, split=1))
    assert found.complete is None
    assert "complete" in found.unread


def test_large_bitmap_is_counted_only_when_thorough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dump, "_BITMAP_QUICK", 1024)
    data = kdump(False)
    assert read(data).complete is None
    assert read(data, thorough=True).complete is True
    assert read(data[:-1], thorough=True).complete is False


def test_elf_cut_is_truncated() -> None:
    data = plain(elf_parts())
    for cut in (20, 64, 100, 4000, len(data) - 1):
        assert read(data[:cut]).complete is False


def test_bytes_behind_the_end_flag() -> None:
    assert read(WHOLE + b"x" * 7).complete_reason == "7 bytes follow the end flag"


@pytest.mark.parametrize(
    ("record", "told"),
    [
        (struct.pack(">qq", -5, 10), "says offset -5, size 10"),
        (struct.pack(">qq", 0, 0), "says offset 0, size 0"),
        (struct.pack(">qq", -1, 5), "says offset -1, size 5"),
        (struct.pack(">qq", 1 << 60, 5), "damaged"),
        (struct.pack(">qq", 1 << 20, 1 << 50), "truncated"),
    ],
)
def test_damaged_record(record: bytes, told: str) -> None:
    found = read(flat(PARTS, end=False) + record + bytes(100))
    assert found.complete is False
    assert told in str(found.complete_reason)
    assert found.release == "6.1.0-56-amd64"


def test_end_flag_counts_where_not_all_records_are_walked() -> None:
    good = flattened.walk_flattened(reader(WHOLE), len(WHOLE), records=3)
    assert (good.complete, good.whole, good.records) == (True, False, 3)
    bad = flattened.walk_flattened(reader(WHOLE[:-1]), len(WHOLE) - 1, records=3)
    assert (bad.complete, bad.whole) == (False, False)


def test_walk_reads_little_of_a_large_dump() -> None:
    parts = [*PARTS, *((1 << 20 | index << 17, bytes(65536)) for index in range(64))]
    data = flat(parts)
    taken = []

    def read_at(offset: int, length: int) -> bytes:
        taken.append(length)
        return data[offset : offset + length]

    assert dump.read_dump(read_at, len(data)).complete is True
    assert sum(taken) < len(data) / 4


def test_later_record_wins() -> None:
    # makedumpfile writes the sub header again when it has erased something (update_eraseinfo_of_sub_header).
    sub = dict(PARTS)[4096]
    again = sub[:8] + struct.pack("<i", 17) + sub[12:]
    assert read(flat([*PARTS, (4096, again)])).dump_level == 17


def test_flattened_records_that_hold_no_dump() -> None:
    found = read(flat([(0, b"hello, this is no dump")]))
    assert (found.format, found.flattened, found.complete) == ("unknown", True, False)
    assert "format" in found.unread


def test_other_version_of_the_flattened_format() -> None:
    found = read(WHOLE[:24] + struct.pack(">q", 2) + WHOLE[32:])
    assert found.complete_reason == "flattened format of type 1, version 2; type 1, version 1 is known"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None),
        ("", None),
        ("OSRELEASE=5.10.0-28-amd64\n", ("5.10.0-28-amd64", None, None, None)),
        ("BUILD-ID=xyz\nPAGESIZE=4097\nCRASHTIME=99999999999999999999\nOSRELEASE=\x1b[2J\n", ("[2J", None, None, None)),
        (
            "OSRELEASE=a\nOSRELEASE=b\nCRASHTIME=1\nCRASHTIME=2\nBUILD-ID=ABCDEF0123456789\n",
            ("a", "abcdef0123456789", None, 2),
        ),
    ],
)
def test_vmcoreinfo(text, expected) -> None:
    found = read(kdump(vmcoreinfo=text))
    assert found.vmcoreinfo == expected
    assert found.complete is True


@pytest.mark.parametrize(("offset", "size"), [(-1, 100), (4300, 1 << 40), (1 << 60, 10), (1 << 40, 100), (0, 5)])
def test_vmcoreinfo_at_a_hostile_place(offset: int, size: int) -> None:
    parts = kdump_parts()
    sub = dict(parts)[4096]
    parts.append((4096, sub[:32] + struct.pack("<qQ", offset, size) + sub[48:]))
    for data in (flat(parts), plain(parts)):
        found = read(data)
        assert found.vmcoreinfo is None
        assert "vmcoreinfo" in found.unread


@pytest.mark.parametrize(
    ("at", "value", "told"),
    [
        (428, 4095, "block size 4095"),
        (428, -1, "block size -1"),
        (432, 0, "sub header of 0 blocks"),
        (432, 1 << 30, "sub header of"),
        (8, 0, "header version 0"),
    ],
)
def test_hostile_header(at: int, value: int, told: str) -> None:
    data = bytearray(kdump(False))
    struct.pack_into("<i", data, at, value)
    found = read(bytes(data))
    assert found.complete is False
    assert told in str(found.complete_reason)


def test_names_are_made_fit_to_show() -> None:
    names = ("Linux", "evil\x1b]0;x\x07", "6.1", "\xff\xfe", "x86_64", "")
    found = read(kdump(names=names))
    assert found.utsname is not None
    assert found.utsname.nodename == "evil ]0;x"


def test_qemus_own_dump_has_only_the_machine() -> None:
    # dump-guest-memory of QEMU 7.2 with format kdump-zlib: seen on a guest of Linux 6.1.0-56-amd64.
    found = read(kdump(names=("", "", "", "", "x86_64", ""), level=1))
    assert found.utsname == (None, None, None, None, "x86_64")
    assert found.release == "6.1.0-56-amd64"
    assert "utsname" in found.unread


def test_facts_are_json_and_name_what_is_missing() -> None:
    facts = dump.dump_facts(read(kdump(vmcoreinfo="OSRELEASE=5.8.0\n")))
    assert json.loads(json.dumps(facts)) == facts
    assert (facts["release"], facts["build_id"], facts["crash_time"]) == ("5.8.0", None, None)
    assert {"build_id", "crash_time"} <= set(facts["unread"])


MAGICS = st.sampled_from(
    [WHOLE[:4096], WHOLE, b"KDUMP   \6\0\0\0", kdump(False), plain(elf_parts()), b"\x7fELF\2\1", b""]
)


@settings(max_examples=300, deadline=None)
@given(start=MAGICS, garbage=st.binary(max_size=600), at=st.integers(0, 30000), thorough=st.booleans())
def test_garbage_never_escapes(start: bytes, garbage: bytes, at: int, thorough: bool) -> None:
    at = min(at, len(start))
    data = start[:at] + garbage + start[at + len(garbage) :]
    try:
        found = read(data, thorough)
    except ParseError:
        return
    json.dumps(dump.dump_facts(found))
    assert (found.complete is True) == (found.complete_reason is None)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=2000))
def test_records_of_garbage_never_escape(garbage: bytes) -> None:
    data = WHOLE[:4096] + garbage
    assert flattened.walk_flattened(reader(data), len(data)).records <= len(garbage)

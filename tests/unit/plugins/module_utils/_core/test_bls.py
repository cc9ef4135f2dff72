# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Boot loader entries as Debian's systemd-boot and kernel-install leave them."""

from __future__ import annotations

import contextlib
import struct

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core import bls
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import ParseError
from hypothesis import given
from hypothesis import strategies as st

MACHINE = "0123456789abcdef0123456789abcdef"


def entry(version: str, *, tries: str = "", sort_key: str = "debian", machine: str = MACHINE) -> bls.LoaderEntry:
    # /usr/lib/kernel/install.d/90-loaderentry.install of systemd 257 writes these keys
    text = """\
# Boot Loader Specification type#1 entry
title      Debian GNU/Linux 13 (trixie)
version    {0}
machine-id {1}
{2}options    root=UUID=3f2c ro quiet crashkernel=256M
linux      /{1}/{0}/linux
initrd     /{1}/{0}/initrd.img-{0}
""".format(version, machine, "sort-key   {0}\n".format(sort_key) if sort_key else "")
    return bls.parse_loader_entry("{0}-{1}{2}.conf".format(machine, version, tries), text)


def test_entry() -> None:
    found = entry("6.12.117+deb13-amd64", tries="+2-1")
    assert found == bls.LoaderEntry(
        id=MACHINE + "-6.12.117+deb13-amd64.conf",
        title="Debian GNU/Linux 13 (trixie)",
        version="6.12.117+deb13-amd64",
        machine_id=MACHINE,
        sort_key="debian",
        kernel="/" + MACHINE + "/6.12.117+deb13-amd64/linux",
        cmdline="root=UUID=3f2c ro quiet crashkernel=256M",
        initrds=("/" + MACHINE + "/6.12.117+deb13-amd64/initrd.img-6.12.117+deb13-amd64",),
        tries_left=2,
    )


def test_lines_add_up() -> None:
    found = bls.parse_loader_entry("a.conf", "options a\noptions  b c \ninitrd /1\ninitrd /2\n\n#options d\ntitle\n")
    assert (found.cmdline, found.initrds, found.title, found.tries_left) == ("a b c", ("/1", "/2"), "a.conf", None)


def order(*entries: bls.LoaderEntry) -> list[str]:
    return [e.version + ("!" if e.tries_left == 0 else "") for e in bls.sort_entries(entries)]


def test_newest_first_and_bad_ones_last() -> None:
    entries = [entry("6.12.9-amd64"), entry("7.3.4-amd64", tries="+0-3"), entry("6.12.117-amd64"), entry("6.1.0-amd64")]
    expected = ["6.12.117-amd64", "6.12.9-amd64", "6.1.0-amd64", "7.3.4-amd64!"]
    assert order(*entries) == expected
    assert order(*reversed(entries)) == expected


def test_sort_keys_come_before_their_absence() -> None:
    assert order(entry("9-a", sort_key=""), entry("1-b", sort_key="zz"), entry("2-c", sort_key="aa")) == [
        "2-c",
        "1-b",
        "9-a",
    ]


VERSIONS = [  # UAPI.10's own examples, each smaller than the next
    ("11~rc1", "11"),
    ("11", "11-1"),
    ("122.1", "123~rc1-1"),
    ("123~rc1-1", "123"),
    ("123", "123-a"),
    ("123-a", "123-a.1"),
    ("123-a.1", "123-1"),
    ("123-1", "123-1.1"),
    ("123^post1", "123.a-1"),
    ("123.a-1", "123.1-1"),
    ("123a-1", "124-1"),
]


@pytest.mark.parametrize(("less", "more"), VERSIONS)
def test_version_order(less: str, more: str) -> None:
    assert order(entry(less), entry(more)) == [more, less]
    assert order(entry(more), entry(less)) == [more, less]


def test_default() -> None:
    old, new = entry("6.1.0-amd64"), entry("6.12.9-amd64")
    menu = bls.sort_entries([old, new])
    none: dict[str, str | None] = {"once": None, "variable": None, "pattern": None}
    assert bls.choose_default(menu, **none)[:2] == (new, False)
    assert bls.choose_default(menu, **{**none, "pattern": "*-6.1.0-*"})[:2] == (old, False)
    assert bls.choose_default(menu, **{**none, "variable": old.id, "pattern": new.id})[:2] == (old, False)
    assert bls.choose_default(menu, **{**none, "once": old.id, "variable": new.id})[:2] == (old, True)
    assert bls.choose_default(menu, **{**none, "pattern": "gone.conf"})[:2] == (new, False)
    assert bls.choose_default(menu, **{**none, "pattern": "@saved"})[0] is None
    assert bls.choose_default([], **none)[0] is None


def test_loader_conf() -> None:
    assert bls.parse_loader_conf("#timeout 9\ntimeout 3\n\ndefault  a*.conf\n")["default"] == "a*.conf"
    with pytest.raises(ParseError):
        bls.parse_loader_conf("x" * (bls.TEXT_LIMIT + 1))


def pe(sections: dict[str, bytes]) -> bytes:
    table = b""
    body = b""
    start = 0x80 + 24 + 40 * len(sections)
    for name, data in sections.items():
        table += struct.pack("<8sIIII16x", name.encode(), len(data), 0, len(data), start + len(body))
        body += data
    head = b"MZ" + b"\0" * 58 + struct.pack("<I", 0x80)
    return head.ljust(0x80, b"\0") + b"PE\0\0" + struct.pack("<HH12xHH", 0x8664, len(sections), 0, 0) + table + body


def test_pe_sections() -> None:
    data = pe({".uname": b"6.12.117+deb13-amd64", ".cmdline": b"ro quiet"})
    sections = bls.parse_pe_sections(data[: bls.PE_HEADER_BYTES])
    offset, size = sections[".cmdline"]
    assert data[offset : offset + size] == b"ro quiet"


@pytest.mark.parametrize("data", [b"", b"MZ", b"\x7fELF" + b"\0" * 200, pe({".a": b"x"})[:100], b"MZ" + b"\xff" * 200])
def test_not_a_pe_file(data: bytes) -> None:
    with pytest.raises(ParseError):
        bls.parse_pe_sections(data)


@given(st.binary(max_size=200))
def test_any_pe_ends(tail: bytes) -> None:
    data = pe({})[:0x80] + b"PE\0\0" + tail
    with contextlib.suppress(ParseError):
        assert isinstance(bls.parse_pe_sections(data), dict)


def test_efi_text() -> None:
    assert bls.decode_efi_text(b"\6\0\0\0" + "systemd-boot 257.9\0junk".encode("utf-16-le")) == "systemd-boot 257.9"
    assert bls.decode_efi_text(b"") == ""
    assert "\x1b" not in bls.decode_efi_text(b"\6\0\0\0" + "\x1b[31m".encode("utf-16-le"))

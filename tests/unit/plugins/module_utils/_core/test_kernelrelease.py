# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Kernel version texts, real ones unless said."""

from __future__ import annotations

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core import kernelrelease
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import ParseError

_TOOLS = "(debian-kernel@lists.debian.org) (x86_64-linux-gnu-gcc-14 (Debian 14.2.0-19) 14.2.0, GNU ld 2.44)"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            # strings of linux-image-6.12.117+deb13-cloud-amd64 6.12.117-1
            "Linux version 6.12.117+deb13-cloud-amd64 "
            + _TOOLS
            + " #1 SMP PREEMPT_DYNAMIC Debian 6.12.117-1 (2026-11-12)\n",
            ("6.12.117+deb13-cloud-amd64", "6.12.117-1", "2026-11-12"),
        ),
        (
            "Linux version 6.1.0-56-amd64 " + _TOOLS + " #1 SMP PREEMPT_DYNAMIC Debian 6.1.192-2 (2026-11-16)",
            ("6.1.0-56-amd64", "6.1.192-2", "2026-11-16"),
        ),
        (
            "Linux version 6.12.95+deb12-amd64 " + _TOOLS + " #1 SMP Debian 6.12.95-1~bpo12+1 (2026-08-01)",
            ("6.12.95+deb12-amd64", "6.12.95-1~bpo12+1", "2026-08-01"),
        ),
        (
            # the compiler's own "Debian 14.2.0-19" is no kernel package
            "Linux version 6.18.44-custom " + _TOOLS + " #1 SMP PREEMPT_DYNAMIC Mon Nov  2 10:00:00 UTC 2026",
            ("6.18.44-custom", None, None),
        ),
        ("Linux version 6.1.0 x #1 SMP Debian _bad_ (2026-11-16)", ("6.1.0", None, None)),
    ],
)
def test_proc_version(line: str, expected: tuple[str, str | None, str | None]) -> None:
    assert tuple(kernelrelease.parse_proc_version(line)) == expected


@pytest.mark.parametrize("line", ["", "Linux version ", "Darwin Kernel Version 23", "\x00" * 99])
def test_not_a_version(line: str) -> None:
    with pytest.raises(ParseError):
        kernelrelease.parse_proc_version(line)


STREAMS = [
    ("6.1.0-56-amd64", "6.1.192-2", "linux-signed-amd64", "stable"),
    ("6.12.117+deb13-amd64", "6.12.117-1", "linux-signed-amd64", "stable"),
    ("6.12.90+deb13.1-amd64", "6.12.90-2", None, "stable"),
    ("6.12.117+deb13-cloud-arm64", "6.12.117-1", None, "stable"),
    ("7.3.4+deb13-amd64", "7.3.4-1~bpo13+1", "linux-signed-amd64", "backports"),
    ("6.12.95+deb12-amd64", "6.12.95-1~bpo12+1", None, "backports"),
    # the same uname -r as a backport's would be
    ("6.12.117+deb12-amd64", "6.12.117-1~deb12u1", None, "security"),
    ("6.1.0-0.deb11.52-amd64", "6.1.180-1~deb11u1", "linux-signed-6.1-amd64", "security"),
    ("6.8.12-30-pve", None, None, "foreign"),
    ("6.8.0-45-generic", None, None, "foreign"),
    ("6.11.5-1-liquorix-amd64", "6.11-9.1", None, "foreign"),
    ("6.18.44-custom", None, None, "foreign"),
    ("6.18.44-custom", "6.18.44-1", None, "foreign"),
    ("7.4-rc3-amd64", "7.4~rc3-1~exp1", None, "foreign"),
    ("5.14.0-503.el9.x86_64", None, None, "foreign"),
]


@pytest.mark.parametrize(("release", "version", "source", "expected"), STREAMS, ids=[s[0] for s in STREAMS])
def test_stream(release: str, version: str | None, source: str | None, expected: str) -> None:
    stream = kernelrelease.find_stream(release, version, source)
    assert stream.name == expected
    assert stream.reason


@pytest.mark.parametrize(
    ("release", "expected"),
    [
        ("6.1.0-56-amd64", "amd64"),
        ("6.12.117+deb13-cloud-amd64", "cloud-amd64"),
        ("6.12.117+deb13-rt-amd64", "rt-amd64"),
        ("6.1.0-56-686-pae", "686-pae"),
        ("6.12.117+deb13-arm64-16k", "arm64-16k"),
        ("6.8.12-30-pve", None),
        ("6.18.44-custom", None),
        ("", None),
    ],
)
def test_flavour(release: str, expected: str | None) -> None:
    assert kernelrelease.flavour(release) == expected


def test_taint() -> None:
    assert kernelrelease.decode_taint(0) == []
    # O and E: what a DKMS module on a Debian kernel leaves
    assert [flag[0] for flag in kernelrelease.decode_taint(12288)] == ["O", "E"]
    assert kernelrelease.decode_taint(1 << 40) == ["?: bit 40, unknown here"]
    assert "".join(flag[0] for flag in kernelrelease.decode_taint((1 << 20) - 1)) == "PFSRMBUDAWCIOELKXTNJ"
    for value in (-1, 1 << 64):
        with pytest.raises(ParseError):
            kernelrelease.decode_taint(value)

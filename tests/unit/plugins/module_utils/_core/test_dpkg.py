# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Stanzas of dpkg's status file; the texts are a Debian 13 host's, shortened."""

from __future__ import annotations

import time

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core import dpkg
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import ParseError

STATUS = """\
Package: dpkg
Status: install ok installed
Priority: required
Architecture: amd64
Version: 1.22.22
Description: Debian package management system
 This package provides the low-level infrastructure.
 .
 Package: in-a-description

Package: linux-image-6.12.117+deb13-amd64
Status: install ok installed
Priority: optional
Section: kernel
Maintainer: Debian Kernel Team <debian-kernel@lists.debian.org>
Architecture: amd64
Source: linux-signed-amd64 (6.12.117+1)
Version: 6.12.117-1

Package: linux-image-6.12.90+deb13-amd64
Status: deinstall ok config-files
Architecture: amd64
Source: linux-signed-amd64 (6.12.90+1)
Version: 6.12.90-1
Config-Version: 6.12.90-1

Package: linux-image-amd64
Status: hold ok half-configured
Architecture: amd64
Source: linux-signed-amd64 (6.12.117+1)
Version: 6.12.117-1

Package: libc6
Status: install reinstreq half-installed
Architecture: i386
Source: glibc
Version: 2.41-12
"""


def test_only_the_wanted_ones() -> None:
    found = dpkg.parse_packages(STATUS, lambda name: name.startswith("linux-image"))
    assert [(p.name, p.version, p.want, p.state, p.installed) for p in found] == [
        ("linux-image-6.12.117+deb13-amd64", "6.12.117-1", "install", "installed", True),
        ("linux-image-6.12.90+deb13-amd64", "6.12.90-1", "deinstall", "config-files", False),
        ("linux-image-amd64", "6.12.117-1", "hold", "half-configured", False),
    ]
    assert (found[0].source, found[0].source_version) == ("linux-signed-amd64", "6.12.117+1")


def test_source_is_the_package_itself_unless_told() -> None:
    (found,) = dpkg.parse_packages(STATUS, {"dpkg"}.__contains__)
    assert (found.source, found.source_version, found.architecture) == ("dpkg", "1.22.22", "amd64")
    (libc,) = dpkg.parse_packages(STATUS, {"libc6"}.__contains__)
    assert (libc.source, libc.source_version, libc.error) == ("glibc", "2.41-12", "reinstreq")


def test_a_description_is_no_stanza() -> None:
    assert dpkg.parse_packages(STATUS, {"in-a-description"}.__contains__) == []


def test_unfinished() -> None:
    assert [(p.name, p.state) for p in dpkg.unfinished(STATUS)] == [
        ("linux-image-amd64", "half-configured"),
        ("libc6", "half-installed"),
    ]


def test_package_need_not_come_first() -> None:
    text = (
        "Version: 2\nPackage: a\nStatus: install ok installed\n\nVersion: 3\nStatus: install ok installed\nPackage: b"
    )
    assert [(p.name, p.version) for p in dpkg.parse_packages(text, {"a", "b"}.__contains__)] == [("a", "2"), ("b", "3")]


def test_a_list_of_apt_has_no_status() -> None:
    text = "Package: linux-image-amd64\nSource: linux-signed-amd64 (7.3.4+1~bpo13+1)\nVersion: 7.3.4-1~bpo13+1\n"
    (found,) = dpkg.parse_packages(text, {"linux-image-amd64"}.__contains__)
    assert (found.version, found.state, found.installed) == ("7.3.4-1~bpo13+1", "", False)


def test_garbage_gives_clean_texts_or_nothing() -> None:
    assert dpkg.parse_packages("", lambda name: True) == []
    assert dpkg.parse_packages("\x00\xff" * 1000, lambda name: True) == []
    (found,) = dpkg.parse_packages("Package: a\nVersion: 1\x1b[31m" + "9" * 9999, lambda name: True)
    assert found.version.startswith("1 [31m9")
    assert len(found.version) <= 256
    assert found.state == ""


def test_too_many_are_refused_in_bounded_time() -> None:
    # No empty line anywhere: every name belongs to one endless stanza.
    text = "Package: linux-image-1\n" * 400_000
    start = time.perf_counter()
    with pytest.raises(ParseError, match="more than 10000"):
        dpkg.parse_packages(text, lambda name: True)
    assert time.perf_counter() - start < 5


def test_a_large_file_takes_no_time() -> None:
    # 6000 packages, 6 MB: twice a full host. The aim for a real one is well below 100 ms.
    filler = "Package: p{0}\nStatus: install ok installed\nVersion: 1\nDescription: x\n" + " text\n" * 160 + "\n"
    text = "".join(filler.format(index) for index in range(6000)) + STATUS
    start = time.perf_counter()
    found = dpkg.parse_packages(text, lambda name: name.startswith("linux-image"))
    assert len(found) == 3
    assert len(dpkg.unfinished(text)) == 2
    assert time.perf_counter() - start < 1


def status(*packages: tuple[str, str]) -> str:
    text = "Package: {0}\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n{1}\n"
    return "".join(text.format(name, fields) for name, fields in packages)


TOOLS = (
    ("kdump-tools", "Depends: kexec-tools, busybox | busybox-static, ucf (>= 1.0), debconf (>= 0.5) | debconf-2.0\n"),
    ("kexec-tools", "Pre-Depends: libz:any\n"),
    ("busybox", ""),
    ("ucf", "Depends: sensible-utils\n"),
    ("sensible-utils", ""),
    ("libz", "Provides: zlib (= 1), z-virtual\n"),
    ("debconf", "Provides: debconf-2.0\n"),
)


@pytest.mark.parametrize(
    ("others", "kept"),
    [
        ((), {}),
        ((("grub", "Depends: ucf\n"),), {"ucf": "grub", "sensible-utils": "ucf"}),
        ((("x", "Depends: busybox | busybox-static\n"),), {"busybox": "x"}),
        # another alternative stays
        ((("x", "Depends: busybox | busybox-static\n"), ("busybox-static", "")), {}),
        # by a name that it provides
        ((("x", "Pre-Depends: z-virtual\n"),), {"libz": "x"}),
        ((("x", "Recommends: ucf\nSuggests: ucf\n"),), {}),
    ],
)
def test_removable_takes_nothing_along(others: tuple[tuple[str, str], ...], kept: dict[str, str]) -> None:
    names = ["kdump-tools", "kexec-tools", "busybox", "ucf", "sensible-utils", "libz", "not-there"]
    going, needed = dpkg.removable(status(*TOOLS, *others), names)
    assert needed == kept
    assert going == sorted(set(names) - {"not-there"} - set(kept))


def test_removable_takes_what_was_removed_and_left_its_files() -> None:
    text = status(*TOOLS) + "Package: old\nStatus: deinstall ok config-files\nVersion: 1\nDepends: busybox\n\n"
    assert dpkg.removable(text, ["old", "busybox", "kdump-tools"]) == (["busybox", "kdump-tools", "old"], {})

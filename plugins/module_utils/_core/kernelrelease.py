# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What the version texts of a kernel say: release, Debian package version, where it comes from, its taints.

`uname -r` names an ABI and not a version: 6.1.0-56-amd64 is 6.1.192-2, and there
is no formula. The package version stands in /proc/version.
"""

from __future__ import annotations

import re
import typing as t

from . import debversion
from .errors import ParseError
from .text import clean

__all__ = [
    "BACKPORTS",
    "FOREIGN",
    "SECURITY",
    "STABLE",
    "TAINTS",
    "KernelVersion",
    "Stream",
    "decode_taint",
    "find_stream",
    "flavour",
    "parse_proc_version",
]

STABLE = "stable"
SECURITY = "security"
BACKPORTS = "backports"
FOREIGN = "foreign"

#: uname(2) holds 64 bytes a field; /proc/version is one line of some hundred.
TEXT_LIMIT = 4096

_PROC_VERSION = re.compile(r"Linux version (\S+) ")
# include/generated/utsversion.h as Debian's build sets it: "Debian 6.1.192-2 (2026-11-16)"
_DEBIAN_BUILD = re.compile(r" Debian (\S+) \((\d{4}-\d\d-\d\d)\)")
_FLAVOUR = re.compile(
    r"-((?:cloud-|rt-)?(?:amd64(?:-unsigned)?|arm64(?:-16k)?|686(?:-pae)?|armmp(?:-lpae)?|powerpc64le(?:-64k)?|riscv64|s390x))\Z"
)

# Who else builds kernels for Debian hosts: a mark in the release, and what to call it.
_FOREIGN_RELEASES = (
    (re.compile(r"-pve\Z"), "a Proxmox kernel: Ubuntu's base with picks of its own"),
    (re.compile(r"[.\-]liquorix-"), "a Liquorix kernel"),
    (re.compile(r"-xanmod|-x64v[1-4]-"), "a XanMod kernel"),
    (re.compile(r"-(?:generic|lowlatency|generic-hwe|gcp|aws|azure|oracle|kvm)\Z"), "an Ubuntu kernel"),
    (re.compile(r"-truenas|\+truenas"), "a TrueNAS kernel"),
    (re.compile(r"\.el\d+|\.fc\d+"), "a kernel of the Red Hat family"),
    (re.compile(r"-rpi-|\+rpt"), "a Raspberry Pi kernel"),
    (re.compile(r"-microsoft-standard|-WSL2"), "a WSL kernel"),
)

#: Bits of /proc/sys/kernel/tainted, kernel/panic.c: letter and meaning (Documentation/admin-guide/tainted-kernels.rst).
TAINTS: tuple[tuple[str, str], ...] = (
    ("P", "a proprietary module was loaded"),
    ("F", "a module was force loaded"),
    ("S", "the processor or system is out of specification"),
    ("R", "a module was force unloaded"),
    ("M", "a machine check exception was reported"),
    ("B", "a bad page was referenced or has unexpected flags"),
    ("U", "a userspace application asked for it"),
    ("D", "the kernel died before: there was an oops or BUG"),
    ("A", "an ACPI table was overridden by the user"),
    ("W", "the kernel issued a warning"),
    ("C", "a staging driver was loaded"),
    ("I", "a workaround for a bug in platform firmware is applied"),
    ("O", "an externally built (out-of-tree) module was loaded"),
    ("E", "an unsigned module was loaded"),
    ("L", "a soft lockup occurred"),
    ("K", "the kernel was live patched"),
    ("X", "an auxiliary taint, defined for and used by distributors"),
    ("T", "the kernel was built with the struct randomization plugin"),
    ("N", "an in-kernel test has been run"),
    ("J", "userspace used a mutating debug operation of fwctl"),
)


class KernelVersion(t.NamedTuple):
    """What /proc/version says."""

    release: str
    package_version: str | None  #: None for a kernel that Debian did not build
    build_date: str | None  #: YYYY-MM-DD, with the same condition


class Stream(t.NamedTuple):
    """Where a kernel comes from."""

    name: str | None  #: "stable", "security", "backports", "foreign"; None when nothing tells
    reason: str


def parse_proc_version(text: str) -> KernelVersion:
    """Take /proc/version (or the same line of a dump's log) apart. Raises ParseError on anything else.

    >>> parse_proc_version("Linux version 6.1.0-56-amd64 (x) (gcc-12) #1 SMP Debian 6.1.192-2 (2026-11-16)")
    KernelVersion(release='6.1.0-56-amd64', package_version='6.1.192-2', build_date='2026-11-16')
    """
    match = _PROC_VERSION.match(text[:TEXT_LIMIT])
    if not match:
        raise ParseError("not a kernel's version line: {0!r}".format(clean(text, 80)))
    build = _DEBIAN_BUILD.search(text[:TEXT_LIMIT])
    version, date = (build.group(1), build.group(2)) if build else (None, None)
    if version is not None:
        try:
            debversion.parse(version)
        except ParseError:
            version = date = None
    return KernelVersion(clean(match.group(1), 128), version, date)


def flavour(release: str) -> str | None:
    """Debian's flavour at the end of a release, which names the metapackage; None for another kernel's.

    >>> flavour("6.12.117+deb13-cloud-amd64"), flavour("6.1.0-56-amd64"), flavour("6.8.12-30-pve")
    ('cloud-amd64', 'amd64', None)
    """
    match = _FLAVOUR.search(release)
    return match.group(1).replace("-unsigned", "") if match else None


def find_stream(release: str, package_version: str | None, source: str | None = None) -> Stream:
    """Judge by release, package version and, where dpkg knows it, the source package.

    Stable and security builds of one release carry the same form of version; only
    the archive knows which suite a build was published in. So the own kernel of a
    Debian release is "stable" here, and "security" is what exists in the security
    archive alone: a newer kernel line rebuilt for an older release (source
    linux-6.12, `~deb12u1`; linux-6.1 in Debian 11).
    """
    for pattern, name in _FOREIGN_RELEASES:
        if pattern.search(release):
            return Stream(FOREIGN, name)
    if package_version is None:
        return Stream(FOREIGN, "not built by Debian: its version line names no Debian package version")
    if "~bpo" in package_version:
        return Stream(BACKPORTS, "the version {0} is a backport".format(clean(package_version, 80)))
    if flavour(release) is None:
        return Stream(FOREIGN, "no flavour of Debian's kernel packages in the release {0}".format(clean(release, 80)))
    return _debian_stream(package_version, source)


def _debian_stream(package_version: str, source: str | None) -> Stream:
    rebuilt = re.search(r"~deb(\d+)u\d+\Z", package_version)
    newer_line = re.match(r"linux(?:-signed)?-(\d+\.\d+)\b", source or "")
    if rebuilt or newer_line:
        line = newer_line.group(1) if newer_line else ".".join(debversion.upstream(package_version).split(".")[:2])
        which = " for Debian {0}".format(rebuilt.group(1)) if rebuilt else ""
        return Stream(SECURITY, "the newer line {0}{1}, which only the security archive carries".format(line, which))
    if re.search(r"[~+]exp\d|~rc\d", package_version):
        return Stream(FOREIGN, "from Debian experimental: {0}".format(clean(package_version, 80)))
    return Stream(STABLE, "the release's own kernel {0}".format(clean(package_version, 80)))


def decode_taint(value: int) -> list[str]:
    """Letters with their meaning, "W: the kernel issued a warning"; a bit that is not known is named by its number.

    >>> decode_taint(512)
    ['W: the kernel issued a warning']
    """
    if not 0 <= value < 1 << 64:
        raise ParseError("not a taint value: {0}".format(value))
    flags: list[str] = []
    for bit in range(value.bit_length()):
        if value >> bit & 1:
            letter, meaning = TAINTS[bit] if bit < len(TAINTS) else ("?", "bit {0}, unknown here".format(bit))
            flags.append("{0}: {1}".format(letter, meaning))
    return flags

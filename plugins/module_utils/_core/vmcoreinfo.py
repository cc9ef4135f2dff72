# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""VMCOREINFO: the text that a kernel leaves in each dump about itself.

Written by kernel/vmcore_info.c (kernel/crash_core.c before Linux 6.9): lines of
KEY=value. BUILD-ID is there since Linux 5.9; CRASHTIME is the last line and
comes at the moment of the panic.
"""

from __future__ import annotations

import re
import typing as t

from .text import clean

__all__ = ["LIMIT_BYTES", "Vmcoreinfo", "parse_vmcoreinfo"]

#: The kernel gives it one page (VMCOREINFO_BYTES), and the largest page of a Debian kernel is 64 KiB.
LIMIT_BYTES = 128 * 1024

_LINE = re.compile(r"^(OSRELEASE|BUILD-ID|PAGESIZE|CRASHTIME)=(.*)$", re.MULTILINE)


class Vmcoreinfo(t.NamedTuple):
    """The few keys that tell which kernel and which moment; None where a key is missing or garbage."""

    release: str | None
    build_id: str | None  #: lower-case hex
    page_size: int | None  #: bytes
    crash_time: int | None  #: seconds since the epoch, by the clock of the kernel that crashed


def parse_vmcoreinfo(raw: bytes) -> Vmcoreinfo:
    """Read the text. Garbage gives None for the key, never an error."""
    text = raw[:LIMIT_BYTES].decode("utf-8", "replace")
    seen: dict[str, str] = {}
    for key, value in _LINE.findall(text):
        if key == "CRASHTIME" or key not in seen:
            seen[key] = value.strip("\0 \r")
    build_id = seen.get("BUILD-ID", "").lower()
    page_size = _number(seen.get("PAGESIZE", ""), 1 << 20)
    return Vmcoreinfo(
        release=clean(seen.get("OSRELEASE", ""), 65) or None,
        build_id=build_id if re.fullmatch("[0-9a-f]{16,128}", build_id) else None,
        page_size=page_size if page_size and page_size & (page_size - 1) == 0 else None,
        crash_time=_number(seen.get("CRASHTIME", ""), 1 << 40),
    )


def _number(text: str, limit: int) -> int | None:
    if not re.fullmatch("[0-9]{1,15}", text):
        return None
    return int(text) if 0 < int(text) <= limit else None

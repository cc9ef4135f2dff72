# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Which files of a pstore folder belong to one crash. Names alone: the parts are put in order where they are read.

The kernel names a record dmesg-<backend>-<id> (fs/pstore/inode.c: pstore_mkfile). efi_pstore
makes the id of the time: (seconds * 100 + part) * 1000 + count (drivers/firmware/efi/efi-pstore.c:
generic_id), so several crashes can be told apart; ramoops and erst only count.
"""

from __future__ import annotations

import re
import typing as t

__all__ = ["Group", "group_records"]

_RECORD = re.compile(r"dmesg-(efi|efi_pstore|ramoops|erst|nvram|blk|zone|[a-z_]{2,20})-([0-9]{1,20})(\.enc\.z)?")
#: The parts of one crash are written one after the other; another crash needs a boot in between.
_GAP_S = 60
_NAMES_LIMIT = 4096


class Group(t.NamedTuple):
    """Records of one crash."""

    name: str  #: stable: "efi-1700000000", "ramoops"
    files: tuple[str, ...]
    seconds: int | None  #: since the epoch, by the clock of the host; None: the backend does not say
    unreadable: tuple[str, ...]  #: left compressed by the kernel, which could not unpack them


def group_records(names: t.Iterable[str]) -> list[Group]:
    """The crashes in a pstore folder, oldest first where that is known."""
    timed: list[tuple[int, str]] = []
    others: dict[str, list[str]] = {}
    for name in sorted(names)[:_NAMES_LIMIT]:
        match = _RECORD.fullmatch(name)
        if match is None:
            continue
        backend, number = match.group(1), int(match.group(2))
        if backend.startswith("efi") and number >= 10**14:
            timed.append((number // 100_000, name))
        else:
            others.setdefault(backend, []).append(name)
    found: list[tuple[str, int | None, list[str]]] = []
    for seconds, name in sorted(timed):
        if found and seconds - (found[-1][1] or 0) <= _GAP_S:
            found[-1][2].append(name)
        else:
            found.append(("efi-{0}".format(seconds), seconds, [name]))
    found += [(backend, None, files) for backend, files in sorted(others.items())]
    return [_group(*each) for each in found]


def _group(name: str, seconds: int | None, files: t.Sequence[str]) -> Group:
    packed = tuple(file for file in files if file.endswith(".enc.z"))
    return Group(name, tuple(file for file in files if file not in packed), seconds, packed)

# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Files and units that a role keeps on a host: what differs from what is wanted, in the order of carrying out."""

from __future__ import annotations

import hashlib
import typing as t

from .plan import Change

__all__ = ["File", "Found", "plan_files", "plan_units"]


class File(t.NamedTuple):
    """One file that should be there. `shown` stands for the content in differences: a digest, or without secrets."""

    content: bytes
    why: str
    mode: int = 0o644
    shown: str | None = None


class Found(t.NamedTuple):
    """One file that is there."""

    content: bytes
    mode: int
    uid: int
    shown: str | None = None


def _digest(content: bytes) -> str:
    return "{0} bytes, SHA-256 {1}\n".format(len(content), hashlib.sha256(content).hexdigest())


def plan_files(
    wanted: t.Mapping[str, File | None], seen: t.Mapping[str, Found | None], gone: str = "it is not wanted any more"
) -> list[Change]:
    """A change for each path whose content, mode or owner differs. None: the file should not be there."""
    changes = []
    for path, after in wanted.items():
        before = seen.get(path)
        if after is None:
            if before is not None:
                changes.append(Change("file", path, _shown(before, None), None, gone, {"content": None}))
            continue
        data = {"content": after.content, "mode": after.mode}
        if before is None or before.content != after.content:
            old = None if before is None else _shown(before, after)
            changes.append(Change("file", path, old, _shown(after, after), after.why, data))
        elif before.mode != after.mode or before.uid != 0:
            old = "mode {0:04o}, owner {1}".format(before.mode, before.uid)
            changes.append(Change("file", path, old, "mode {0:04o}, owner 0".format(after.mode), after.why, data))
    return changes


def _shown(file: File | Found, wanted: File | None) -> str:
    """The text for people. What was there is never shown where the file may hold a secret."""
    if file.shown is not None:
        return file.shown
    if (wanted is not None and wanted.shown is not None) or b"\0" in file.content:
        return _digest(file.content)
    return file.content.decode("utf-8", "replace")


def plan_units(wanted: t.Mapping[str, bool], enabled: t.Mapping[str, bool], why: str) -> list[Change]:
    """A change for each unit that is enabled and should not be, or the other way round."""
    words = {True: "enabled", False: "not enabled"}
    return [
        Change("unit", unit, words[not on], words[on], why, {"on": on})
        for unit, on in wanted.items()
        if enabled.get(unit, False) != on
    ]

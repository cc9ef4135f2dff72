# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Writes the files and switches the units that `_core.fileplan` planned."""

from __future__ import annotations

import os
import typing as t

from .._core.drillrecord import FOLDER
from .._core.fileplan import Found
from .._core.plan import Change
from .._host.base import Host, Unreadable
from .bootloader import must
from .files import Stopped, write_file

__all__ = ["apply_file", "apply_unit", "look_at", "runs_systemd"]

#: More than any file that is compared here; a program in a zip is some 300 KiB.
_LIMIT = 16 * 1024 * 1024


def look_at(host: Host, paths: t.Iterable[str]) -> dict[str, Found | None]:
    """The files as they are; None where one is absent. Raises Stopped where one cannot be read."""
    seen: dict[str, Found | None] = {}
    for path in paths:
        try:
            status = host.lstat(path)
            seen[path] = Found(host.read_bytes(path, _LIMIT), status.mode, status.uid)
        except Unreadable as exc:
            if exc.reason != "not found":
                raise Stopped("reading {0}".format(path), exc.reason, "run as root") from exc
            seen[path] = None
    return seen


def apply_file(change: Change) -> None:
    """Write or remove one file. Raises Stopped."""
    try:
        if change.data["content"] is None:
            os.unlink(change.target)
        else:
            if change.target.startswith(FOLDER + "/"):
                # Whoever comes first makes it, and it is root's alone.
                os.makedirs(FOLDER, mode=0o700, exist_ok=True)
            write_file(change.target, change.data["content"], change.data["mode"])
    except OSError as exc:
        raise Stopped("writing {0}".format(change.target), str(exc), "look at the filesystem and run again") from exc


def apply_unit(host: Host, change: Change) -> None:
    """Enable or disable one unit. Raises Stopped."""
    verb = "enable" if change.data["on"] else "disable"
    must(host, ["systemctl", verb, change.target], "{0} could not be {1}d".format(change.target, verb))


def runs_systemd(host: Host) -> bool:
    """False in an image, and in a container without systemd."""
    return host.exists("/run/systemd/system")

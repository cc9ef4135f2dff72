# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The record of what a host was before the kdump role, and what else going back needs to know."""

from __future__ import annotations

import posixpath
import typing as t

from .._core import shellconf
from .._core.dpkg import removable
from .._core.errors import CoreError, ParseError
from .._core.kdumpbefore import LIMIT_BYTES, PATH, Before, parse
from .._core.text import clean
from .base import Host, Unreadable
from .packages import STATUS

__all__ = ["read_before", "see_past"]

#: What kdump-tools puts into place at its installation, through ucf.
SHIPPED_CONFIG = "/usr/share/kdump-tools/kdump-tools.conf"
_FILE_LIMIT = 256 * 1024


def read_before(host: Host) -> Before | None:
    """The record; None where there is none. Raises ParseError where it is not one that root alone wrote."""
    for path, kind in ((posixpath.dirname(PATH), "directory"), (PATH, "file")):
        try:
            status = host.lstat(path)
        except Unreadable as exc:
            if exc.reason == "not found":
                return None
            raise ParseError("{0}: {1}".format(path, exc.reason)) from exc
        if status.kind != kind or status.uid != 0 or status.mode & 0o022:
            message = "{0} is a {1} with mode {2:04o} of user {3}, and not root's alone"
            raise ParseError(message.format(path, status.kind, status.mode, status.uid))
        if status.size > LIMIT_BYTES and kind == "file":
            raise ParseError("{0} has {1} bytes; {2} at most".format(path, status.size, LIMIT_BYTES))
    try:
        return parse(host.read_bytes(PATH, LIMIT_BYTES).decode("utf-8", "replace"))
    except Unreadable as exc:
        raise ParseError("{0}: {1}".format(PATH, exc.reason)) from exc
    except ParseError as exc:
        raise ParseError("{0}: {1}".format(PATH, exc)) from exc


def see_past(host: Host) -> dict[str, t.Any]:
    """{before, refused, shipped, leaving, needed, folders}, as `_core.kdumpabsent.plan_removal` wants it.

    `refused` says why a record that is there is not believed; then `before` is None.
    """
    past: dict[str, t.Any] = {"before": None, "refused": None, "leaving": [], "needed": {}, "folders": {}}
    try:
        past["before"] = before = read_before(host)
    except ParseError as exc:
        before = None
        past["refused"] = clean(str(exc), 300)
    past["shipped"] = _shipped(host)
    if before is not None:
        past["folders"] = {path: _folder(host, path) for path in before.folders}
        try:
            past["leaving"], past["needed"] = removable(host.read(STATUS), before.packages)
        except (Unreadable, CoreError) as exc:
            past["refused"] = "what dpkg has installed could not be read: {0}".format(clean(str(exc), 200))
    return past


def _shipped(host: Host) -> str | None:
    try:
        text = host.read_bytes(SHIPPED_CONFIG, _FILE_LIMIT).decode("utf-8", "surrogateescape")
        shellconf.parse_shellconf(text)
    except (Unreadable, CoreError):
        return None
    return text


def _folder(host: Host, path: str) -> dict[str, t.Any] | None:
    try:
        status, names = host.lstat(path), host.listdir(path)
    except Unreadable:
        return None
    return {"mode": status.mode, "uid": status.uid, "names": names} if status.kind == "directory" else None

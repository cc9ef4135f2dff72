# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Puts the triage that runs after a boot on a host, or takes it away."""

from __future__ import annotations

import contextlib
import os
import typing as t

from .._core import triage_unit
from .._core.plan import Change, as_diff, as_results
from .._core.text import clean
from .._core.triage_unit import CONFIG, PATH_UNIT, PROGRAM, SERVICE
from .._host.base import Host, Unreadable
from .files import Stopped, write_file

__all__ = ["converge"]

_MODES = {PROGRAM: 0o644, CONFIG: 0o600, SERVICE: 0o644, PATH_UNIT: 0o644}
_LIMIT = 8 * 1024 * 1024


def converge(host: Host, wanted: triage_unit.Wanted, check_mode: bool = False) -> dict[str, t.Any]:
    """Look, plan, change, look again: {changed, changes, diff}. Raises Stopped, and ParseError for a value."""
    changes = triage_unit.plan(wanted, _look(host))
    if changes and not check_mode:
        for change in changes:
            _apply(host, change)
        _settle(host, wanted)
        left = triage_unit.plan(wanted, _look(host))
        if left:
            names = ", ".join(change.name for change in left)
            raise Stopped("the triage unit is not as wanted after the change", names, "look at it with systemctl cat")
    return {"changed": bool(changes), "changes": as_results(changes), "diff": as_diff(changes)}


def _look(host: Host) -> triage_unit.Seen:
    files: dict[str, bytes | None] = {}
    for path in _MODES:
        try:
            files[path] = host.read_bytes(path, _LIMIT)
        except Unreadable as exc:
            if exc.reason != "not found":
                raise Stopped("reading {0}".format(path), exc.reason, "run as root") from exc
            files[path] = None
    return triage_unit.Seen(files, {os.path.basename(path): _enabled(host, path) for path in (SERVICE, PATH_UNIT)})


def _enabled(host: Host, path: str) -> bool:
    """By the link that `systemctl enable` makes: the same on a running system and in an image."""
    link = "/etc/systemd/system/multi-user.target.wants/" + os.path.basename(path)
    try:
        return host.lstat(link).kind == "link"
    except Unreadable:
        return False


def _apply(host: Host, change: Change) -> None:
    if change.kind == "unit":
        _must(host, ["systemctl", "enable" if change.data["on"] else "disable", change.target])
        return
    try:
        content = change.data["content"]
        if content is None:
            os.unlink(change.target)
        else:
            write_file(change.target, content, _MODES[change.target])
    except OSError as exc:
        raise Stopped("writing {0}".format(change.target), str(exc), "look at the filesystem and run again") from exc


def _settle(host: Host, wanted: triage_unit.Wanted) -> None:
    """systemd reads the units again and watches; in an image or a container without systemd there is none."""
    if not host.exists("/run/systemd/system"):
        return
    _must(host, ["systemctl", "daemon-reload"])
    unit = os.path.basename(PATH_UNIT)
    if wanted.present:
        # restart, not start: a path unit that runs keeps watching the old folder.
        _must(host, ["systemctl", "restart", unit])
        return
    with contextlib.suppress(Unreadable):
        host.run(["systemctl", "stop", unit])


def _must(host: Host, argv: t.Sequence[str]) -> None:
    try:
        done = host.run(argv)
    except Unreadable as exc:
        raise Stopped(" ".join(argv), exc.reason, "this role needs systemd; leave crash_triage_unit off") from exc
    if done.rc != 0:
        raise Stopped(" ".join(argv), clean(done.err, 400) or "exit code {0}".format(done.rc), "systemctl status")

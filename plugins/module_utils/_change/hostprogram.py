# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Puts a program with its systemd units on a host, or takes it away."""

from __future__ import annotations

import contextlib
import os
import typing as t

from .._core import host_program
from .._core.host_program import Layout, Unit
from .._core.plan import Change, as_diff, as_results
from .._core.text import clean
from .._host.base import Host, Unreadable
from .files import Stopped, write_file

__all__ = ["converge"]

_LIMIT = 16 * 1024 * 1024


def converge(
    host: Host, layout: Layout, wanted: t.Mapping[str, bytes] | None, check_mode: bool = False
) -> dict[str, t.Any]:
    """Look, plan, change, look again: {changed, changes, diff}. Without `wanted` all of it goes. Raises Stopped."""
    changes = host_program.plan(layout, wanted, _look(host, layout))
    if changes and not check_mode:
        if wanted is None:
            _stop(host, layout)
        for change in changes:
            _apply(host, change)
        _settle(host, layout, wanted is not None)
        left = host_program.plan(layout, wanted, _look(host, layout))
        if left:
            names = ", ".join(change.name for change in left)
            raise Stopped("the program's units are not as wanted after the change", names, "look with systemctl cat")
    return {"changed": bool(changes), "changes": as_results(changes), "diff": as_diff(changes)}


def _look(host: Host, layout: Layout) -> host_program.Seen:
    files: dict[str, bytes | None] = {}
    for file in layout.files:
        try:
            files[file.path] = host.read_bytes(file.path, _LIMIT)
        except Unreadable as exc:
            if exc.reason != "not found":
                raise Stopped("reading {0}".format(file.path), exc.reason, "run as root") from exc
            files[file.path] = None
    output = layout.output(files)
    return host_program.Seen(
        files,
        {unit.name: _enabled(host, unit) for unit in layout.enabled},
        output if output is not None and host.exists(output) else None,
    )


def _enabled(host: Host, unit: Unit) -> bool:
    """By the link that `systemctl enable` makes: the same on a running system and in an image."""
    link = "/etc/systemd/system/{0}.wants/{1}".format(unit.wanted_by, unit.name)
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
            write_file(change.target, content, change.data["mode"])
    except OSError as exc:
        raise Stopped("writing {0}".format(change.target), str(exc), "look at the filesystem and run again") from exc


def _runs(host: Host) -> bool:
    """In an image, or a container without systemd, nobody hears."""
    return host.exists("/run/systemd/system")


def _stop(host: Host, layout: Layout) -> None:
    """What runs at this moment must not write its file again behind our back."""
    if _runs(host):
        with contextlib.suppress(Unreadable):
            host.run(["systemctl", "stop", *(unit.name for unit in reversed(layout.units))])


def _settle(host: Host, layout: Layout, present: bool) -> None:
    """systemd reads the units again and watches."""
    if not _runs(host):
        return
    _must(host, ["systemctl", "daemon-reload"])
    for unit in layout.units:
        if unit.restart and present:
            # restart, not start: a path unit that runs keeps watching the old folder, a timer its old times.
            _must(host, ["systemctl", "restart", unit.name])


def _must(host: Host, argv: t.Sequence[str]) -> None:
    try:
        done = host.run(argv)
    except Unreadable as exc:
        raise Stopped(" ".join(argv), exc.reason, "this needs systemd on the host; take the role off it") from exc
    if done.rc != 0:
        raise Stopped(" ".join(argv), clean(done.err, 400) or "exit code {0}".format(done.rc), "systemctl status")

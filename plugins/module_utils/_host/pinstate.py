# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Where the kernel transaction of a host stands, by what it wrote down of itself."""

from __future__ import annotations

import typing as t

from .._core.errors import ParseError
from .._core.kernel_pin_state import STATE_FILE, TEXT_LIMIT, State, parse_state
from .._core.text import clean
from .base import Host, Unreadable

__all__ = ["collect_pin", "read_pin_state"]


def read_pin_state(host: Host) -> tuple[State | None, str | None]:
    """The transaction, or why it cannot be seen; (None, None): there is none.

    The file is root's alone, or it is not believed: it names packages to remove.
    """
    try:
        status = host.lstat(STATE_FILE)
        if status.kind != "file" or status.uid != 0 or status.mode & 0o022:
            shown = "{0} is a {1} of mode {2:04o} and owner {3}, not root's own file"
            return None, shown.format(STATE_FILE, status.kind, status.mode, status.uid)
        return parse_state(host.read(STATE_FILE, TEXT_LIMIT + 1)), None
    except ParseError as exc:
        return None, clean(str(exc))
    except Unreadable as exc:
        return None, None if exc.reason == "not found" else clean(str(exc))


def collect_pin(host: Host, unread: dict[str, str]) -> dict[str, t.Any] | None:
    """The `kernel.pin` fact: {stage, package, version, suite, old_release, new_release}, None where there is none."""
    state, reason = read_pin_state(host)
    if reason is not None:
        unread["pin"] = reason
    if state is None:
        return None
    shown = ("stage", "package", "version", "suite", "old_release", "new_release")
    return {field: getattr(state, field) for field in shown}

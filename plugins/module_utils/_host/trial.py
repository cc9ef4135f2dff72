# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What is left of a trial boot that came back by itself: why did it?"""

from __future__ import annotations

import re
import typing as t

from .._core.kernel_pin_state import STATE_FILE, State
from .._core.text import clean
from .base import Host, Unreadable

__all__ = ["collect_evidence"]

_LINES = 6
_FOLDER = "/var/crash"


def collect_evidence(host: Host, seen: t.Mapping[str, t.Any]) -> list[str]:
    """Sentences for a person, each about one thing that was seen; the first says where the host is."""
    state: State | None = seen["state"]
    if state is None:
        return []
    running = seen["kernel"]["release"]
    found = ["{0} was to be booted once; the host runs {1}".format(state.new_release, running)]
    if seen["one_shot"]["set"]:
        found.append("the boot loader has not taken the choice for one boot: it is still set")
    if seen["guard_report"]:
        found.append("the guard of the trial ended it: {0}".format(seen["guard_report"]))
    found += _dumps(host)
    found += _journal(host, state.new_release)
    if len(found) == 1:
        found.append("the trial left nothing behind: it ended before its root filesystem could be written")
    return found


def _dumps(host: Host) -> list[str]:
    """Dumps that are younger than the transaction's own note of the arming."""
    try:
        since = host.lstat(STATE_FILE).mtime
        names = [name for name in host.listdir(_FOLDER)[:1024] if re.match(r"(?:.*-)?\d{12}\Z", name)]
        young = [name for name in names if host.lstat(_FOLDER + "/" + name).mtime >= since]
    except Unreadable:
        return []
    return ["a dump came since: {0}/{1}".format(_FOLDER, clean(name, 80)) for name in young[-2:]]


def _journal(host: Host, release: str) -> list[str]:
    """The last words of the boot before this one, where the journal is kept and that boot was the trial."""
    argv = ["journalctl", "-b", "-1", "-k", "-o", "cat", "--no-pager", "-n", "1", "-g", "^Linux version"]
    try:
        first = host.run(argv, timeout_s=60)
        if first.rc != 0 or release not in first.out:
            return []
        last = host.run(["journalctl", "-b", "-1", "-n", str(_LINES), "-o", "cat", "--no-pager"], timeout_s=60)
    except Unreadable:
        return []
    words = [clean(line, 160) for line in last.out.splitlines()[-_LINES:] if line.strip()]
    return ["its journal ends with: {0}".format(" / ".join(words))] if words else []

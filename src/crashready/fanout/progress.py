# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What a person sees while hosts are asked, and the summary of those without facts. All of it on standard error."""

from __future__ import annotations

import sys
import typing as t

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from .._core.text import clean
from .gather import Watcher
from .outcome import CAUSES, Outcome

__all__ = ["LiveProgress", "PlainProgress", "progress_for", "summary"]

#: Hosts that a summary names for one cause; the rest is in --json.
_NAMES_LIMIT = 10


class PlainProgress:
    """A line for each host that failed, and one every tenth of the way; for logs and pipes."""

    def __init__(self, stream: t.TextIO) -> None:
        self._stream = stream
        self._total = self._done = self._failed = 0

    def begin(self, total: int) -> None:
        """Remember how many there are."""
        self._total = total

    def done(self, outcome: Outcome) -> None:
        """Print a line where there is something to say."""
        self._done += 1
        if outcome.cause:
            self._failed += 1
            self._say("{0}: {1}: {2}".format(clean(outcome.host, 80), CAUSES[outcome.cause].title, outcome.says))
        step = max(10, self._total // 10)
        if self._done % step == 0 and self._done < self._total:
            self._say("{0} of {1} hosts asked, {2} without facts".format(self._done, self._total, self._failed))

    def end(self) -> None:
        """Nothing is left open."""

    def _say(self, text: str) -> None:
        print(text, file=self._stream, flush=True)


class LiveProgress:
    """A bar on the terminal; failures scroll by above it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._failed = 0
        self._bar = Progress(
            TextColumn("asking"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[failed]}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            refresh_per_second=5,
        )

    def begin(self, total: int) -> None:
        """Show the bar."""
        self._task = self._bar.add_task("", total=total, failed="")
        self._bar.start()

    def done(self, outcome: Outcome) -> None:
        """Move the bar."""
        if outcome.cause:
            self._failed += 1
            line = Text(clean(outcome.host, 80) + ": ").append(CAUSES[outcome.cause].title, style="red")
            self._console.print(line.append(": " + outcome.says))
        self._bar.update(self._task, advance=1, failed="{0} without facts".format(self._failed) if self._failed else "")

    def end(self) -> None:
        """Take the bar away."""
        self._bar.stop()


def progress_for() -> Watcher:
    """A bar on a terminal, lines elsewhere."""
    console = Console(stderr=True, highlight=False)
    return LiveProgress(console) if console.is_terminal else PlainProgress(sys.stderr)


def summary(outcomes: t.Iterable[Outcome]) -> str:
    """Hosts without facts by cause, with the next step; and those that were reached in an unusual way."""
    failed: dict[str, list[Outcome]] = {}
    notes: dict[str, list[str]] = {}
    for outcome in outcomes:
        if outcome.cause:
            failed.setdefault(outcome.cause, []).append(outcome)
        if outcome.note and outcome.way == "system ssh":
            notes.setdefault(outcome.note, []).append(outcome.host)
    lines = []
    for cause in CAUSES:
        if cause in failed:
            lines += _cause_lines(cause, failed[cause])
    for note, hosts in sorted(notes.items()):
        lines.append("asked by the system's ssh, because of {0}: {1}".format(clean(note, 120), _named(hosts)))
    return "\n".join(lines)


def _cause_lines(cause: str, found: list[Outcome]) -> list[str]:
    lines = ["{0} ({1}): {2}".format(CAUSES[cause].title, len(found), _named([each.host for each in found]))]
    lines += ["  seen: {0}".format(says) for says in list(dict.fromkeys(each.says for each in found))[:3]]
    return [*lines, "  next: {0}".format(clean(found[0].next, 300))]


def _named(hosts: list[str]) -> str:
    shown = ", ".join(clean(host, 80) for host in hosts[:_NAMES_LIMIT])
    more = len(hosts) - _NAMES_LIMIT
    return "{0} and {1} more".format(shown, more) if more > 0 else shown

# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What a person sees while a playbook runs: plays, steps, and where each host stands."""

from __future__ import annotations

import sys
import time
import typing as t

from rich.console import Console, Group
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from ._core.text import clean
from .playbook_run import Event

__all__ = ["LiveView", "PlainView", "view_for"]

_ENDED = {
    "runner_on_ok": "ok",
    "runner_on_failed": "failed",
    "runner_on_unreachable": "unreachable",
    "runner_on_skipped": "skipped",
}
_STYLES = {"changed": "yellow", "failed": "red", "unreachable": "red", "ignored": "magenta"}


class _Step(t.NamedTuple):
    """One host at one step."""

    host: str
    task: str
    state: str  #: "started", "ok", "changed", "skipped", "failed", "ignored" or "unreachable"
    says: str


def _result(data: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    result = data.get("res")
    return result if isinstance(result, dict) else {}


def _step(event: Event) -> _Step | None:
    """What an event says of a host; None where it speaks of none."""
    kind, data = event.get("event"), event.get("event_data") or {}
    host, task = data.get("host"), data.get("task")
    if not isinstance(host, str):
        return None
    name = clean(str(task or ""), 90)
    if kind == "runner_on_start":
        return _Step(clean(host, 60), name, "started", "")
    state = _ENDED.get(str(kind))
    if state is None:
        return None
    result = _result(data)
    if state == "ok" and result.get("changed"):
        state = "changed"
    if state == "failed" and data.get("ignore_errors"):
        state = "ignored"
    says = clean(" ".join(str(result.get("msg") or "").split()), 300) if state in ("failed", "unreachable") else ""
    return _Step(clean(host, 60), name, state, says)


def _diff(event: Event) -> str:
    """The difference that a step showed (--diff), as Ansible printed it."""
    if event.get("event") != "runner_on_file_diff":
        return ""
    return "\n".join(clean(line, 400) for line in str(event.get("stdout") or "").split("\n"))


class PlainView:
    """A line for each step that did something; for logs and pipes."""

    def __init__(self, stream: t.TextIO) -> None:
        self._stream = stream

    def event(self, event: Event) -> None:
        """Print what an event says, if it says something."""
        kind, data = event.get("event"), event.get("event_data") or {}
        if kind == "playbook_on_play_start":
            self._say("== {0}".format(clean(str(data.get("name") or ""), 120)))
        elif kind in ("warning", "error"):
            self._say(clean(str(event.get("stdout") or ""), 400))
        step = _step(event)
        if step is not None and step.state not in ("started", "ok", "skipped"):
            self._say(
                "{0}: {1}: {2}{3}".format(step.host, step.state, step.task, ": " + step.says if step.says else "")
            )
        difference = _diff(event)
        if difference:
            self._say(difference)

    def _say(self, text: str) -> None:
        if text:
            print(text, file=self._stream, flush=True)

    def close(self) -> None:
        """Nothing is left open."""


class LiveView:
    """A table that stays in place: each host with its step; what has to be read later scrolls by above it."""

    def __init__(self, title: str, console: Console) -> None:
        self._title = title
        self._console = console
        self._play = ""
        self._hosts: dict[str, _Step] = {}
        self._since: dict[str, float] = {}
        self._counts: dict[str, dict[str, int]] = {}
        self._live = Live(get_renderable=self._render, console=console, refresh_per_second=4, transient=True)
        self._live.start()

    def event(self, event: Event) -> None:
        """Take an event into the table."""
        data = event.get("event_data") or {}
        if event.get("event") == "playbook_on_play_start":
            self._play = clean(str(data.get("name") or ""), 120)
            self._console.print(Text(self._play, style="bold"))
        step = _step(event)
        if step is not None:
            self._hosts[step.host] = step
            self._since[step.host] = time.monotonic()
            if step.state != "started":
                counts = self._counts.setdefault(step.host, {})
                counts[step.state] = counts.get(step.state, 0) + 1
            if step.state in _STYLES:
                line = Text("{0}: ".format(step.host)).append(step.state, style=_STYLES[step.state])
                line.append(": {0}{1}".format(step.task, ": " + step.says if step.says else ""))
                self._console.print(line)
        difference = _diff(event)
        if difference:
            self._console.print(Text(difference))

    def _render(self) -> Group:
        table = Table(box=None, pad_edge=False, show_header=False)
        for _name in range(4):
            table.add_column(overflow="ellipsis", no_wrap=True)
        now = time.monotonic()
        busy = sorted(self._hosts.values(), key=lambda step: (step.state != "started", step.host))
        room = max(3, self._console.size.height - 6)
        for step in busy[:room]:
            waits = "{0:.0f} s".format(now - self._since[step.host]) if step.state == "started" else ""
            changed = self._counts.get(step.host, {}).get("changed", 0)
            state = Text(step.state, style=_STYLES.get(step.state, "green" if step.state == "ok" else ""))
            table.add_row(
                step.host, state, step.task, "{0}{1}".format(waits, "  {0} changed".format(changed) if changed else "")
            )
        more = len(busy) - room
        lines: list[t.Any] = [Spinner("line", Text(" {0}: {1}".format(self._title, self._play))), table]
        return Group(*lines, Text("and {0} more hosts".format(more)) if more > 0 else Text(""))

    def close(self) -> None:
        """Take the table away."""
        self._live.stop()


def view_for(title: str) -> PlainView | LiveView:
    """A table on a terminal, lines elsewhere; on standard error, so that the result stays alone on standard output."""
    console = Console(stderr=True, highlight=False)
    return LiveView(title, console) if console.is_terminal and not console.is_dumb_terminal else PlainView(sys.stderr)

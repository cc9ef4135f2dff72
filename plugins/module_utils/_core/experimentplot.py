# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The picture of an experiment: each run as a bar on a logarithmic axis of time, as SVG that a page can hold.

Colours come from classes of the page (`fill-bad`, `fill-well`, ...), so that it is light or dark as the page is. What a
bar says stands beside it in words; the table of runs has the same.
"""

from __future__ import annotations

import html
import math
import typing as t

from .experiment import span_text
from .text import clean

__all__ = ["RUNS_SHOWN", "bars_of", "render_plot"]

#: The newest runs of each host that are drawn.
RUNS_SHOWN = 24
_HOSTS_SHOWN = 12
#: In units of the picture: its width, the margin at both sides, the height of a bar, of a line with it, of the axis.
_WIDTH, _MARGIN, _BAR, _LINE, _AXIS = 1000, 50, 12, 40, 40
#: Where the axis may end, and its marks, in seconds.
_MARKS = (1, 10, 60, 600, 3600, 21600, 86400, 604800, 2592000, 31536000, 315360000)
_WORDS = {1: "1 s", 10: "10 s", 60: "1 min", 600: "10 min", 3600: "1 h", 21600: "6 h", 86400: "1 d", 604800: "1 week"}
_WORDS.update({2592000: "30 d", 31536000: "1 year", 315360000: "10 years"})

Row = t.Mapping[str, t.Any]


class _Bar(t.NamedTuple):
    """One line of the picture."""

    says: str
    seconds: float
    kind: str  #: "panic", "silent", "lost", "sum"
    mark_s: float | None = None  #: where a mark stands: the silence that is needed


def bars_of(judged: Row) -> list[_Bar]:
    """What is drawn of a judged experiment, from the top down; the texts alone tell it all."""
    found = []
    for host in judged["hosts"][:_HOSTS_SHOWN]:
        runs = [run for run in judged["runs"] if (run["host"], run["nic"]) == (host["host"], host["nic"])]
        found += [_bar(run) for run in runs[-RUNS_SHOWN:]]
        if host["needed_s"] is not None and host["after"] is not None:
            says = "{0}: silent for {1} after, {2} are needed"
            texts = (clean(str(host["host"]), 60), span_text(host["silent_s"]), span_text(host["needed_s"]))
            found.append(_Bar(says.format(*texts), host["silent_s"], "sum", host["needed_s"]))
    return found


def _bar(run: Row) -> _Bar:
    kind = run["outcome"] if run["outcome"] in ("panic", "lost") else "silent"
    span = span_text(run["seconds"])
    what = {
        "panic": "panic after {0}",
        "lost": "lost after {0}, not known how it ended",
        "stopped": "stopped after {0}, no panic",
        "running": "runs for {0}, no panic so far",
    }.get(run["outcome"], "silent for {0}")
    when = {"single": "soak"}.get(run["phase"], run["phase"])
    return _Bar("{0}, {1}: {2}".format(clean(str(run["host"]), 60), when, what.format(span)), run["seconds"], kind)


def render_plot(judged: Row, ident: str) -> str:
    """An svg element. `ident` makes its ids, [a-z0-9-]; texts are escaped, numbers are finite."""
    bars = bars_of(judged)
    longest = max([1.0, *(run.seconds for run in bars), *(run.mark_s or 0.0 for run in bars)])
    end = next((mark for mark in _MARKS[1:] if mark >= longest), _MARKS[-1])
    height = len(bars) * _LINE + _AXIS
    title = "Runs of {0} by their time, {1}".format(judged["name"], judged["verdict"])
    about = "Times on a logarithmic axis. " + "; ".join(run.says for run in bars[:40])
    parts = [
        '<svg viewBox="0 0 {0} {1}" role="img" aria-labelledby="{2}-title {2}-about">'.format(_WIDTH, height, ident),
        '<title id="{0}-title">{1}</title>'.format(ident, _escaped(title)),
        '<desc id="{0}-about">{1}</desc>'.format(ident, _escaped(about)),
        *_axis(end, len(bars) * _LINE),
    ]
    for number, run in enumerate(bars):
        parts += _drawn(run, number * _LINE, end)
    return "\n".join([*parts, "</svg>"])


def _escaped(text: str) -> str:
    return html.escape(clean(text, 4000), quote=True)


def _x(seconds: float, end: float) -> float:
    """The axis begins at one second; what is shorter stands at its beginning."""
    share = math.log10(min(max(seconds, 1.0), end)) / math.log10(end)
    return round(_MARGIN + share * (_WIDTH - 2 * _MARGIN), 1)


def _axis(end: float, bottom: int) -> list[str]:
    found = []
    for mark in _MARKS:
        if mark <= end:
            x = _x(mark, end)
            found.append('<line x1="{0}" x2="{0}" y1="0" y2="{1}"></line>'.format(x, bottom + 8))
            says = '<text class="muted" x="{0}" y="{1}" text-anchor="middle">{2}</text>'
            found.append(says.format(x, bottom + 26, _WORDS[mark]))
    return found


def _drawn(run: _Bar, top: int, end: float) -> list[str]:
    x, y = _x(run.seconds, end), top + _LINE - _BAR - 6
    names = {"panic": "fill-bad", "lost": "fill-unknown", "sum": "fill-sum"}
    shape = '<rect class="{0}" x="{1}" y="{2}" width="{3}" height="{4}"><title>{5}</title></rect>'
    width = round(max(x - _MARGIN, 2.0), 1)
    found = [
        '<text x="{0}" y="{1}">{2}</text>'.format(_MARGIN, y - 5, _escaped(run.says)),
        shape.format(names.get(run.kind, "fill-well"), _MARGIN, y, width, _BAR, _escaped(run.says)),
    ]
    middle = y + _BAR // 2
    if run.kind == "panic":  # a disc at the end, so that it is not told by its colour alone
        found.append('<circle class="fill-bad" cx="{0}" cy="{1}" r="{2}"></circle>'.format(x, middle, _BAR - 3))
    if run.mark_s is not None:
        need = '<rect class="fill-text" x="{0}" y="{1}" width="3" height="{2}"><title>needed: {3}</title></rect>'
        found.append(need.format(_x(run.mark_s, end), y - 4, _BAR + 8, span_text(run.mark_s)))
    return found

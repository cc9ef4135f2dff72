# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""A report as one page of HTML: no network, no script but its own, nothing of a host but as text.

The page's Content-Security-Policy names its style and its script by their hashes, so
that markup which slipped through an escape would still not run. Hosts are embedded as
JSON that cannot end its element; the script makes text nodes of them.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import pathlib
import typing as t

from ._core.experiment import span_text
from ._core.experimentplot import render_plot
from ._core.rack_view import CAPTURES, STATES
from ._core.report_page import matrix_of, packed_hosts, script_json, timeline_of
from ._core.text import clean
from .version import version

__all__ = ["page", "policy"]

_TEMPLATES = pathlib.Path(__file__).with_name("templates")
_NAMES, _SIGNATURES, _REMEDIES = 400, 200, 200
_SOAKS, _RUNS = 40, 60
#: The state by which a verdict of an experiment is drawn.
_SOAK_STATES = {
    "not fixed": "bad",
    "reproduced": "bad",
    "inconclusive": "unknown",
    "fixed": "well",
    "not reproduced": "suspect",
}

#: How a state looks beside its colour.
GLYPHS = {"bad": "\u2715", "unknown": "?", "suspect": "~", "well": "\u2713"}


@functools.cache
def _part(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def policy(style: str, script: str) -> str:
    """The Content-Security-Policy of a page with exactly this style and this script."""
    digests = [
        base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii") for text in (style, script)
    ]
    return (
        "default-src 'none'; style-src 'sha256-{0}'; script-src 'sha256-{1}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    ).format(*digests)


def page(report: dict[str, t.Any], title: str) -> str:
    """The page of a report (`_core.rack_view.make_report`)."""
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = _part("report.css"), _part("report.js")
    data = {**packed_hosts(report), "states": STATES, "captures": CAPTURES, "glyphs": GLYPHS}
    soaks = report["soaks"][:_SOAKS]
    # render_plot escapes every text of a host.
    plots = [Markup(render_plot(each, "soak-{0}".format(number))) for number, each in enumerate(soaks)]  # noqa: S704
    drivers = sorted({triple["driver"] for triple in report["triples"] if triple["driver"]})
    return environment.get_template("report.html.j2").render(
        title=clean(title, 120),
        report=report,
        version=version(),
        policy=policy(style, script),
        style=Markup(style),  # noqa: S704  our own file
        script=Markup(script),  # noqa: S704  our own file
        data=Markup(script_json(data)),  # noqa: S704  script_json leaves no sign that HTML knows
        states=STATES,
        glyphs=GLYPHS,
        drivers=drivers,
        matrix=matrix_of(report["triples"]),
        timeline=timeline_of(report["crashes"]),
        names=_NAMES,
        signatures=_SIGNATURES,
        remedies=_REMEDIES,
        soaks=list(zip(soaks, plots, strict=True)),
        soak_states=_SOAK_STATES,
        span=span_text,
        runs=_RUNS,
    )

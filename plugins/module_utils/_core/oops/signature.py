# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Signatures: the same bug gives the same one on another host and after a rebuild, another bug another one.

What changes from build to build is left out: addresses, offsets, suffixes of the
compiler, line numbers; and what changes from run to run: what was interrupted, the
way into the interrupt, the machinery that prints. A prefix says the version of the
rule, since signatures of two versions cannot be compared.
"""

from __future__ import annotations

import hashlib
import re
import typing as t

from .report import Report
from .tables import Tables, normalise
from .trace import Frame
from .verdict import Verdict

__all__ = ["DEPTH", "VERSION", "make_signature"]

VERSION = "cr1"
#: Frames that the exact signature looks at, and those of the similar one.
DEPTH = 10
_TOP = 2

#: Kinds that one bug can show itself as: a freed object is a null pointer on one day and a wild one on another.
_CLASSES = {
    "null_deref": "access",
    "page_fault": "access",
    "general_protection": "access",
    "soft_lockup": "stall",
    "hard_lockup": "stall",
    "rcu_stall": "stall",
}
_CODELESS = frozenset(("sysrq", "mce", "oom_panic"))


def make_signature(report: Report, verdict: Verdict, cause_line: str, tables: Tables) -> dict[str, str | None]:
    """`exact` and `similar` ("cr1:x:...", "cr1:s:..."), and what they were made of in words: `text`, `similar_text`.

    All four are None where neither frames nor words tell one event from another.
    """
    kind = report.kind
    group = _CLASSES.get(kind, kind)
    if kind == "netdev_watchdog":
        parts = [verdict.driver] if verdict.driver else []
        return _signed([kind, *parts], [group, *parts]) if parts else _nothing()
    if kind in _CODELESS:
        return _signed([kind], [group])
    frames = _meaningful(report, tables)
    names = [_name(frame) for frame in frames]
    if not names:
        words = _words(cause_line)
        return _signed([kind, words], [group, words]) if kind not in ("unknown",) and words else _nothing()
    return _signed([kind, *names[:DEPTH]], [group, *_top(frames, verdict, tables)])


def _nothing() -> dict[str, str | None]:
    return {"exact": None, "similar": None, "text": None, "similar_text": None}


def _signed(exact: t.Sequence[str], similar: t.Sequence[str]) -> dict[str, str | None]:
    exact_text, similar_text = (" < ".join(parts) for parts in (exact, similar))
    return {
        "exact": "{0}:x:{1}".format(VERSION, _digest(exact_text)),
        "similar": "{0}:s:{1}".format(VERSION, _digest(similar_text)),
        "text": exact_text,
        "similar_text": similar_text,
    }


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]


def _meaningful(report: Report, tables: Tables) -> list[Frame]:
    """Frames of the fault's own context without those that say nothing of it."""
    end = report.borders[0] if report.borders else len(report.frames)
    kept: list[Frame] = []
    for frame in report.frames[:end]:
        if tables.has_role("softirq", frame.function) or tables.has_role("hardirq", frame.function):
            break
        if frame.inlined or _says_nothing(frame, report.kind, tables):
            continue
        kept.append(frame)
    return kept


def _says_nothing(frame: Frame, kind: str, tables: Tables) -> bool:
    if frame.module is not None:
        return False
    roles = ["machinery", "noise", "entries", "task", "poll_callers"]
    if kind == "hung_task":
        roles.append("waits")
    return any(tables.has_role(role, frame.function) for role in roles)


def _name(frame: Frame) -> str:
    name = normalise(frame.function)
    return "{0}!{1}".format(frame.module, name) if frame.module else name


def _top(frames: t.Sequence[Frame], verdict: Verdict, tables: Tables) -> list[str]:
    """The owner and the first frames that are no helpers: what stays when a compiler inlines differently."""
    roles = ("helpers_any", "helpers_rx", "helpers_tx", "waits")
    own = [
        frame for frame in frames if frame.module or not any(tables.has_role(role, frame.function) for role in roles)
    ]
    chosen = own or list(frames)
    owner = verdict.driver or chosen[0].module or "kernel"
    count = 1 if verdict.driver else _TOP
    return [owner, *(_name(frame) for frame in chosen[:count])]


def _words(line: str) -> str:
    """A message without its numbers, addresses and quoted values."""
    line = re.sub(r"\b(?:0x)?[0-9a-f]*\d[0-9a-f]*\b", "N", line[:300])
    return re.sub(r"[^A-Za-z_. -]+", " ", line).strip()[:120]

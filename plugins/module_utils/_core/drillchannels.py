# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What each channel brought of a drill. None of it decides whether the capture is proven: the dump does that alone."""

from __future__ import annotations

import json
import re
import typing as t

from .channels import NAMES
from .drillrecord import FOLDER, marker
from .text import clean

__all__ = ["RECORD_PATH", "Heard", "hear", "judge_heard", "parse_record", "render_record"]

RECORD_PATH = FOLDER + "/drill-channels.json"
#: "proven": the drill's id and its panic came through; "not proven": armed, and they did not; "not armed"; "not seen".
STATES = ("proven", "not proven", "not armed", "not seen")

#: The words of a panic in a kernel log, whatever its kind (kernel/panic.c, drivers/tty/sysrq.c).
_PANIC = re.compile(r"Kernel panic - not syncing|sysrq: Trigger a crash")


class Heard(t.NamedTuple):
    """What was found in one place. `arrived`: the drill's id; `panic`: the panic after it; None: nobody could look."""

    arrived: bool | None
    panic: bool
    where: str  #: or why nobody could look


def hear(text: str, drill_id: str, where: str) -> Heard:
    """Look for a drill in the text of a channel. pstore writes the newest part first, so that order says nothing."""
    return Heard(marker(drill_id) in text, _PANIC.search(text) is not None, where)


def judge_heard(
    armed: t.Mapping[str, t.Any], heard: t.Mapping[str, Heard | None], dump_opened: bool
) -> list[dict[str, t.Any]]:
    """[{name, state, reason}] of every channel. `armed` is what was seen before the panic: name -> armed or None."""
    found = [{"name": "kdump", "state": "proven" if dump_opened else "not proven", "reason": _kdump(dump_opened)}]
    for name in NAMES[1:]:
        state, reason = _judge(name, armed.get(name), heard.get(name))
        found.append({"name": name, "state": state, "reason": clean(reason, 300)})
    return found


def _kdump(opened: bool) -> str:
    return "the dump of this drill was opened" if opened else "no dump of this drill was opened"


def _judge(name: str, armed: bool | None, heard: Heard | None) -> tuple[str, str]:
    # The journal is for what came before: nobody writes it down after the panic.
    if heard is not None and heard.arrived and (heard.panic or name == "journal"):
        return "proven", heard.where
    if armed is False:
        return "not armed", "before the panic it was not armed"
    if heard is None or heard.arrived is None:
        return "not seen", heard.where if heard is not None else "nobody looked at its other end"
    if heard.arrived:
        return "not proven", "{0}: the drill's id is there and its panic is not".format(heard.where)
    return "not proven", "{0}: nothing of this drill".format(heard.where)


def render_record(drill_id: str, when_s: float, channels: t.Sequence[t.Mapping[str, t.Any]]) -> str:
    """What is kept on the host."""
    found = {"schema": 1, "drill_id": drill_id, "when_s": when_s, "channels": list(channels)}
    return json.dumps(found, indent=1, sort_keys=True) + "\n"


def parse_record(text: str) -> dict[str, str]:
    """State by name of the last drill; {} where the record is not to be believed."""
    try:
        found = json.loads(text)["channels"]
        states = {str(each["name"]): str(each["state"]) for each in found[: len(NAMES)]}
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return {name: state for name, state in states.items() if name in NAMES and state in STATES}

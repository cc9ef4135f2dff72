# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""How a drill of one host ended, from the results of its steps: what the controller keeps and the command shows."""

from __future__ import annotations

import typing as t

from .text import clean, human_bytes

__all__ = ["NAMES", "SCHEMA", "STATES", "heard", "judge_steps", "members_from", "render_outcomes"]

#: Version of the shape of an outcome.
SCHEMA = 1
#: The worst first. "would go": check mode.
STATES = ("hung", "unproven", "refused", "unreachable", "proven", "would go")
#: The steps whose results an outcome is made of, in their order.
NAMES = ("check", "shrink", "prepare", "panic", "wait", "read")

_Result = t.Mapping[str, t.Any]
_CONSOLE_LINES = 40


def members_from(given: t.Any) -> dict[str, str | None]:
    """The other members of a group, each with the reason why it cannot take over, or None.

    `given` is what a loop over action=peer registered under `results`, or such a mapping already.
    """
    if isinstance(given, t.Mapping):
        return {clean(str(name), 255): clean(str(why), 300) if why else None for name, why in given.items()}
    found: dict[str, str | None] = {}
    for result in given or ():
        if isinstance(result, t.Mapping) and "item" in result:
            found[clean(str(result["item"]), 255)] = _why_not(result)
    return found


def _why_not(result: _Result) -> str | None:
    if result.get("unreachable"):
        return "it does not answer ({0})".format(clean(str(result.get("msg") or "unreachable"), 200))
    if result.get("failed") or "boot_id" not in result:
        return clean(str(result.get("msg") or "it could not be looked at"), 200)
    if result.get("in_capture"):
        return "it is in its capture kernel"
    return clean(str(result["under_way"]), 200) if result.get("under_way") else None


def heard(result: _Result | None, error: str | None, boot_id_before: str) -> str:
    """One of "new boot", "old boot", "capture kernel" or "silent (why)": what a host that is waited for said."""
    if result is None or "boot_id" not in result:
        told = error or (result or {}).get("msg") or "no answer"
        return "silent ({0})".format(clean(str(told), 160))
    if result.get("in_capture"):
        return "capture kernel"
    return "old boot" if result["boot_id"] == boot_id_before else "new boot"


def judge_steps(host: str, steps: t.Mapping[str, t.Any], check_mode: bool) -> dict[str, t.Any]:
    """The outcome of one host.

    `steps` has the registered results by NAMES (absent: not reached) and `console`, what the console command
    printed. Gives {schema, host, state, reasons, next, notes, drill_id, estimate, record, proposal, channels, timeline,
    console}. `channels` has {name, state, reason} of each, and decides nothing.
    """
    check = _step(steps, "check")
    state, reasons, after = _state(steps, check_mode)
    read, wait = _step(steps, "read"), _step(steps, "wait")
    console = str((steps.get("console") or {}).get("stdout") or "") if isinstance(steps.get("console"), dict) else ""
    return {
        "schema": SCHEMA,
        "host": clean(host, 255),
        "state": state,
        "reasons": [clean(str(reason), 600) for reason in reasons],
        "next": after,
        "notes": [clean(str(note), 300) for note in check.get("notes") or ()],
        "drill_id": check.get("drill_id") or _step(steps, "prepare").get("drill_id"),
        "estimate": check.get("estimate"),
        "record": read.get("record"),
        "proposal": read.get("proposal"),
        "channels": _channels(read.get("channels")),
        "timeline": wait.get("timeline") or [],
        "returned_after_s": wait.get("after_s") if wait.get("returned") else None,
        "console": [clean(line, 300) for line in console.splitlines()[-_CONSOLE_LINES:]],
    }


def _channels(given: t.Any) -> list[dict[str, str]]:
    """What each channel brought, as the host's own record has it."""
    return [
        {key: clean(str(each.get(key)), 300) for key in ("name", "state", "reason")}
        for each in given or ()
        if isinstance(each, t.Mapping)
    ][:16]


def _step(steps: t.Mapping[str, t.Any], name: str) -> dict[str, t.Any]:
    """The result of a step that was reached and not skipped, else {}."""
    found = steps.get(name)
    if not isinstance(found, t.Mapping) or found.get("skipped"):
        return {}
    return dict(found)


def _state(steps: t.Mapping[str, t.Any], check_mode: bool) -> tuple[str, list[str], str]:
    for name in ("check", "prepare"):
        result = _step(steps, name)
        if result.get("unreachable"):
            return "unreachable", [_told(result)], "try: ansible HOST -m ansible.builtin.ping"
        if result.get("failed"):
            return _refused(result)
    if not _step(steps, "check"):
        return "refused", ["the host was not reached by this run"], "run again"
    if check_mode:
        return "would go", [], ""
    shrunk, panic = _step(steps, "shrink"), _step(steps, "panic")
    if shrunk.get("failed") or shrunk.get("unreachable"):
        return "unproven", [_told(shrunk)], "boot the host again, then choose a larger reservation"
    if panic.get("failed") and not panic.get("unreachable"):
        return _refused(panic)
    wait = _step(steps, "wait")
    if wait and not wait.get("returned"):
        return "hung", [_told(wait)], _HUNG
    return _verdict(_step(steps, "read"))


_HUNG = (
    "look at its console and reset it (BMC, hypervisor); when it is back run the same command: "
    "it reads what the drill left and makes no further panic"
)


def _refused(result: _Result) -> tuple[str, list[str], str]:
    blockers = [blocker for blocker in result.get("blockers") or () if isinstance(blocker, t.Mapping)]
    if not blockers:
        return "refused", [_told(result)], "mend it, then the same command"
    remedies = dict.fromkeys(clean(str(blocker.get("remedy")), 300) for blocker in blockers)
    return "refused", [str(blocker.get("message")) for blocker in blockers], "; ".join(remedies)


def _verdict(read: _Result) -> tuple[str, list[str], str]:
    again = "mend it, then the same command once more"
    if not read:
        return (
            "unproven",
            ["the run ended before the dump was looked at"],
            "run the same command: it reads what is there",
        )
    if read.get("unreachable"):
        told = "it came back and then did not answer: {0}".format(_told(read))
        return "unreachable", [told], "run the same command: it reads what the drill left"
    if read.get("failed"):
        return "unproven", [_told(read)], again
    if read.get("proven") is True:
        return "proven", [], ""
    return "unproven", [str(reason) for reason in read.get("reasons") or ["nothing says why"]], again


def _told(result: _Result) -> str:
    return clean(str(result.get("msg") or "failed without a word"), 600)


def render_outcomes(outcomes: t.Iterable[t.Mapping[str, t.Any]]) -> str:
    """The outcomes for people: a few lines a host."""
    lines = []
    for outcome in outcomes:
        lines.append("{0}: {1}".format(clean(str(outcome["host"]), 80), str(outcome["state"]).upper()))
        lines += ["  - " + clean(str(reason), 600) for reason in outcome["reasons"]]
        lines += ["  note: " + clean(str(note), 300) for note in outcome["notes"]]
        lines += ["  " + text for text in _figures(outcome)]
        if outcome["console"]:
            lines += ["  the end of its console:", *("  | " + clean(str(line), 300) for line in outcome["console"])]
        if outcome["next"]:
            lines.append("  Next: " + clean(str(outcome["next"]), 400))
    return "\n".join(lines)


def _figures(outcome: t.Mapping[str, t.Any]) -> list[str]:
    record, proposal = outcome.get("record"), outcome.get("proposal") or outcome.get("estimate")
    lines = []
    if record and record.get("dump_bytes") is not None:
        lines.append(
            "dump {0}, {1}; capture took {2} s; {3} of {4} left at the fullest".format(
                clean(str(record["dump_path"]), 200),
                human_bytes(record["dump_bytes"]),
                "?" if record["seconds"] is None else record["seconds"],
                _size(record["lowest_available_bytes"]),
                _size((record.get("identity") or {}).get("reserved_bytes")),
            )
        )
    if outcome.get("returned_after_s") is not None:
        lines.append("back after {0:.0f} s".format(outcome["returned_after_s"]))
    for each in outcome.get("channels") or ():
        lines.append(
            "channel {0}: {1} ({2})".format(*(clean(str(each[key]), 300) for key in ("name", "state", "reason")))
        )
    if proposal:
        way = "smallest safe reservation, measured" if outcome.get("proposal") else "reservation, estimated"
        lines.append("{0}: crashkernel={1} = {2}".format(way, proposal["crashkernel"], proposal["reason"]))
        lines += ["  " + _beside(entry) for entry in proposal["usual"]]
    return lines


def _size(size: int | None) -> str:
    return "?" if size is None else human_bytes(size)


def _beside(entry: t.Mapping[str, t.Any]) -> str:
    saved = entry["saved_bytes"]
    told = "{0} saved".format(human_bytes(saved)) if saved >= 0 else "too small by {0}".format(human_bytes(-saved))
    return "{0} reserves {1}: {2}".format(entry["whose"], human_bytes(entry["bytes"]), told)

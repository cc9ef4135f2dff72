# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""One row a host: where it stands after a run of harden-crash.yml, and the table of all."""

from __future__ import annotations

import typing as t

from .errors import CoreError
from .text import clean, human_bytes

__all__ = [
    "Row",
    "capture_state",
    "host_list",
    "judge_host",
    "next_command",
    "render",
    "render_blocks",
    "render_table",
    "why_not_armed",
]

#: Version of the shape of a written report.
SCHEMA = 1
#: States that a run must not end well with.
UNFINISHED = ("failed", "unreachable", "not armed", "pending reboot")


class Row(t.NamedTuple):
    """Where one host stands. Texts are fit for a terminal."""

    host: str
    #: "armed", "pending reboot", "not armed", "failed", "unreachable", "not applicable", "removed" (kdump_state:
    #: absent); in check mode also "would change"; after a run for the kernel alone "pinned" or "not pinned"
    state: str
    nics: tuple[str, ...]
    kernel: str
    armed: str
    reserved: str
    problems: tuple[str, ...]
    remedy: str


def host_list(value: t.Any) -> list[str]:
    """Host names as a list: what a user gave as a list, or as one text with commas.

    Raises CoreError for anything else; a lone name must not turn into its letters.
    """
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise CoreError("expected host names in a list or with commas between them, got {0!r}".format(value))
    return [name.strip() for name in names if name.strip()]


def why_not_armed(result: t.Mapping[str, t.Any]) -> str:
    """What stands against the next dump in a result of the module `kdump`; empty where nothing does."""
    if not result["applicable"] or result.get("state") == "absent":
        return ""
    errors = [problem for problem in result["problems"] if problem["severity"] == "error"]
    if result["armed"] is True and not errors:
        return ""
    state = "armed" if result["armed"] is True else "not armed"
    messages = "; ".join(problem["message"] for problem in errors)
    remedies = "; ".join(dict.fromkeys(problem["remedy"] for problem in errors))
    return "{0}: {1}. Next: {2}".format(state, messages, remedies)


def capture_state(facts: t.Any) -> tuple[str, list[str]]:
    """Whether a host would keep its next panic, by its facts, and what stands against it.

    "armed" needs a capture kernel that is loaded and no problem that may lose the dump; what was not seen is "unknown".
    "not applicable" is a container. Facts are the word of a host: any JSON is taken.
    """
    capture = facts.get("capture") if isinstance(facts, dict) else None
    if not isinstance(capture, dict):
        return "unknown", ["the facts have no capture"]
    if capture.get("applicable") is False:
        return "not applicable", []
    armed = capture.get("armed")
    if not isinstance(armed, bool):
        reason = (capture.get("unread") or {}).get("armed") if isinstance(capture.get("unread"), dict) else None
        return "unknown", ["it was not seen whether it is armed: {0}".format(clean(str(reason or "no reason given")))]
    told = capture.get("problems")
    problems = [each for each in told if _is_problem(each)] if isinstance(told, list) else []
    why = why_not_armed({"applicable": True, "armed": armed, "problems": problems})
    return ("not armed", [clean(why, 600)]) if why else ("armed", [])


def _is_problem(value: t.Any) -> bool:
    return isinstance(value, dict) and all(isinstance(value.get(key), str) for key in ("severity", "message", "remedy"))


def judge_host(name: str, seen: t.Mapping[str, t.Any], check_mode: bool) -> Row:
    """Make the row of one host.

    `seen` has `facts` (the crashready facts or None), `result` (of the module kdump,
    or None), `failure` (a message or None), `unreachable` (bool), and where it was asked
    for `verdict` (a host of pairing_verdict) and `pin` (a result of the module kernel_pin).
    """
    facts, result = seen.get("facts") or {}, seen.get("result")
    capture = (result or {}).get("capture") or facts.get("capture") or {}
    state, problems, remedy = _state(seen, result, check_mode)
    lost = state in ("failed", "unreachable")
    return Row(
        host=clean(name, 60),
        state=state,
        nics=tuple(_nic(nic) for nic in facts.get("nics") or () if not nic.get("virtual")),
        kernel=clean(str((facts.get("kernel") or {}).get("release") or "?"), 40),
        # What was seen before a failure is not what is.
        armed="?" if lost else {True: "yes", False: "no", None: "?"}[capture.get("armed")],
        reserved="?" if lost or capture.get("reserved_bytes") is None else human_bytes(capture["reserved_bytes"]),
        problems=tuple(clean(problem, 400) for problem in [*problems, *_pairing(seen)]),
        remedy=clean(remedy, 300),
    )


def _state(
    seen: t.Mapping[str, t.Any], result: t.Mapping[str, t.Any] | None, check_mode: bool
) -> tuple[str, list[str], str]:
    if seen.get("unreachable"):
        return "unreachable", [str(seen.get("failure") or "no answer")], "try: ansible HOST -m ping"
    if seen.get("failure"):
        return "failed", [str(seen["failure"])], ""
    if result is None:
        return _pin_state(seen.get("pin"), check_mode)
    if check_mode and result["changes"]:
        return "would change", [change["name"] for change in result["changes"]], ""
    if result.get("state") == "absent":
        return "removed", [*result["kept"], *result["reboot_reasons"]], ""
    if not result["applicable"]:
        return "not applicable", [str(result["capture"].get("applicable_reason"))], ""
    if result["reboot_required"]:
        return "pending reboot", list(result["reboot_reasons"]), ""
    pin = seen.get("pin") or {}
    if pin.get("phase") in ("staged", "armed"):
        waits = "the kernel {0} {1} waits for its trial boot".format(pin.get("package"), pin.get("version"))
        return "pending reboot", [waits], ""
    why = why_not_armed(result)
    if why:
        return "not armed", [why], ""
    return "armed", [p["message"] for p in result["problems"]], ""


def _pin_state(pin: t.Any, check_mode: bool) -> tuple[str, list[str], str]:
    """Of a run that was about the kernel alone: a result of the module `kernel_pin`."""
    if not isinstance(pin, dict):
        return "failed", ["the host was not reached by this run"], "run again"
    if check_mode and pin["changes"]:
        return "would change", [change["name"] for change in pin["changes"]], ""
    what, phase = "{0} {1}".format(pin.get("package"), pin.get("version")), pin.get("phase")
    if phase == "committed":
        return "pinned", [], ""
    if phase == "none":
        return "not pinned", [], ""
    if phase in ("staged", "armed"):
        return "pending reboot", ["the kernel {0} waits for its trial boot".format(what)], ""
    says = {"failed": "failed and was taken away", "returned": "came back and is not taken away yet"}
    told = says.get(str(phase), "runs and is not judged yet")
    return "failed", ["the trial of {0} {1}".format(what, told)], "run again"


def _pairing(seen: t.Mapping[str, t.Any]) -> list[str]:
    """What is known against the NICs of a host, and what mends it, unless the kernel that does runs by now."""
    verdict, pin = seen.get("verdict") or {}, seen.get("pin") or {}
    if verdict.get("verdict") != "bad" or pin.get("phase") == "committed":
        return []
    remedy = verdict.get("remedy") or {}
    lines = ["bad pairing: {0}".format(verdict.get("says")), "remedy: {0}".format(remedy.get("says"))]
    if remedy.get("choice") and not pin:
        lines.append("to have it: -e backports_kernel_enabled=true, or backports_kernel_enabled: true in the inventory")
    return lines


def _nic(nic: t.Mapping[str, t.Any]) -> str:
    pci = nic.get("pci") or {}
    ids = "{0}:{1}".format(pci["vendor"], pci["device"]) if pci.get("vendor") else "no PCI"
    firmware = (nic.get("firmware") or {}).get("raw") or "?"
    return clean("{0} {1} {2} fw {3}".format(nic.get("name"), ids, nic.get("driver") or "?", firmware), 80)


_HEAD = ("HOST", "NICS (DRIVER, FIRMWARE)", "KERNEL", "ARMED", "RESERVED", "STATE, PROBLEMS")


def render_table(rows: t.Sequence[Row], width: int = 72) -> str:
    """The rows as a plain table; long cells are wrapped, columns are as wide as needed."""
    cells: list[tuple[tuple[str, ...], ...]] = [tuple((text,) for text in _HEAD)]
    for row in rows:
        last = [row.state, *(line for problem in row.problems for line in _wrap("- " + problem, width))]
        cells.append(
            ((row.host,), row.nics or ("none seen",), (row.kernel,), (row.armed,), (row.reserved,), tuple(last))
        )
    widths = [max(len(line) for columns in cells for line in columns[column]) for column in range(len(_HEAD))]
    out = []
    for number, columns in enumerate(cells):
        for index in range(max(len(cell) for cell in columns)):
            line = [(cell[index] if index < len(cell) else "").ljust(size) for cell, size in zip(columns, widths)]
            out.append("  ".join(line).rstrip())
        if number == 0:
            out.append("  ".join("-" * size for size in widths))
    return "\n".join(out)


def render(rows: t.Sequence[Row], columns: int) -> str:
    """The table, or blocks where a terminal of that width is too narrow for it; 0: the width is not known."""
    table = render_table(rows)
    if columns and max(map(len, table.splitlines())) > columns:
        return render_blocks(rows, columns)
    return table


def render_blocks(rows: t.Sequence[Row], width: int) -> str:
    """The same for a terminal that the table does not fit into: one block of lines a host, wrapped at `width`."""
    width = max(width, 24)
    out = []
    for row in rows:
        facts = "kernel {0}, armed {1}, reserved {2}".format(row.kernel, row.armed, row.reserved)
        lines = [facts, *(row.nics or ("no NIC seen",)), *("- " + problem for problem in row.problems)]
        out.append("\n".join(_wrap("{0}: {1}".format(row.host, row.state), width)))
        out += ["  " + part for line in lines for part in _wrap(line, width - 2)]
    return "\n".join(out)


def _wrap(text: str, width: int) -> list[str]:
    lines, line = [], ""
    for word in text.split(" "):
        if line and len(line) + 1 + len(word) > width:
            lines.append(line)
            line = "  " + word
        else:
            line = line + " " + word if line else word
    return [*lines, line]


def next_command(rows: t.Sequence[Row], command: str) -> str:
    """What to run next, in one line; empty where nothing is left. `command` is the command of this run."""
    pending = [row.host for row in rows if row.state == "pending reboot"]
    others = [row.host for row in rows if row.state in UNFINISHED and row.state != "pending reboot"]
    if pending:
        quoted = ", ".join('"{0}"'.format(name) for name in pending)
        command = "{0} -e '{{\"crashready_yes_reboot\": [{1}]}}'".format(command, quoted)
    if others:
        return "mend what is listed, then: {0}".format(command)
    return command if pending else ""

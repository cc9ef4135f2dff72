# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The page that `crashready triage` prints: verdict first, then the annotated trace, then the rack.

A page is a list of lines, and a line is a list of (style, text). So the same page is plain text on a
Python without rich, and coloured where rich is there; no text from a log is ever read as markup.
"""

from __future__ import annotations

import re
import sys
import typing as t

from ._core.text import clean

__all__ = ["Line", "page", "show"]

Line = list[tuple[str, str]]
_Result = t.Mapping[str, t.Any]

_PATHS = {
    "nic_rx": "in a NIC's receive path",
    "nic_tx": "in a NIC's transmit path",
    "nic_other": "in a NIC driver, outside of receive and transmit",
    "none": "not in a NIC driver",
}
_STYLES = {
    "head": "bold",
    "bad": "bold red",
    "unknown": "yellow",
    "well": "green",
    "used": "bold",
    "dim": "dim",
    "plain": "",
}
_WORRYING = re.compile("error|drop|missed")
_HOSTS_SHOWN = 12
_OTHERS_SHOWN = 4
_FRAMES_SHOWN = 32
_STACK_SHOWN = 12


def page(result: _Result) -> list[Line]:
    """All lines. Every text of a host or a log goes through `clean` here, whatever was done before."""
    parts = [_verdict(result), _what(result), _trace(result), _vmcore(result), _entries(result), _fleet(result)]
    parts += [_tiers(result), _draft(result)]
    lines: list[Line] = []
    for part in parts:
        if part:
            lines += [*part, []]
    return lines


def show(lines: t.Sequence[Line]) -> None:
    """Print them, with rich where it is there and standard output is a terminal."""
    if sys.stdout.isatty():
        try:
            from rich.console import Console
            from rich.text import Text
        except ImportError:
            pass
        else:
            console = Console(highlight=False, soft_wrap=True)
            for line in lines:
                console.print(Text.assemble(*((text, _STYLES[style]) for style, text in line)))
            return
    for line in lines:
        print("".join(text for _style, text in line).rstrip())


def _text(value: t.Any, limit: int = 200) -> str:
    return "?" if value is None else clean(str(value), limit)


def _texts(holder: t.Mapping[str, t.Any], *keys: str) -> list[str]:
    return [_text(holder.get(key)) for key in keys]


def _row(label: str, value: str, style: str = "plain") -> Line:
    return [("dim", "  {0:<11}".format(label)), (style, value)]


def _head(text: str) -> Line:
    return [("head", text)]


# --- parts -----------------------------------------------------------------------------------------------------------


def _verdict(result: _Result) -> list[Line]:
    source = result.get("source") or {}
    when = "  {0}  {1}".format(_text(result.get("crashed_at") or "at an unknown time"), _text(source.get("name")))
    told = [("head", _text(result.get("host") or "a host that is not named")), ("dim", when)]
    kind = result.get("kind")
    if kind == "unknown":
        return [told, [("unknown", "UNKNOWN: {0}".format(_text(result.get("reason") or "no crash was read")))]]
    path, driver = result.get("path"), result.get("driver")
    words = _PATHS.get(str(path), "where is not known")
    if driver is not None:
        words = "{0}: {1}".format(words, _text(driver))
    style = "bad" if str(path).startswith("nic") else "unknown" if path is None else "plain"
    verdict = "{0} {1}".format(_text(kind).upper().replace("_", " "), words)
    second: Line = [(style, verdict)]
    if result.get("confidence") is not None:
        second.append(("dim", "  (confidence: {0})".format(_text(result["confidence"]))))
    lines = [told, second]
    if result.get("reason"):
        lines.append([("plain", "  because {0}".format(_text(result["reason"], 300)))])
    if result.get("context_path") is not None:
        below = "  below it stood {0} of {1}".format(_text(result["context_path"]), _text(result.get("context_driver")))
        lines.append([("dim", below)])
    return lines


def _what(result: _Result) -> list[Line]:
    kernel, signature = result.get("kernel") or {}, result.get("signature") or {}
    where = _text(result.get("function"))
    if result.get("module"):
        where += " [{0}]".format(_text(result["module"]))
    ran = "{0} on CPU {1}, task {2}".format(*_texts(result, "context", "cpu", "task"))
    rows = [_row("cause", _text(result.get("cause_line"), 300)), _row("in", where), _row("ran in", ran)]
    rows.append(_row("kernel", "{0} ({1})".format(*_texts(kernel, "release", "package_version"))))
    taint = result.get("taint")
    rows.append(_row("taint", "?" if taint is None else "; ".join(_text(each) for each in taint) or "none"))
    if result.get("hardware"):
        rows.append(_row("hardware", _text(result["hardware"])))
    rows.append(_row("signature", "{0}  similar {1}".format(*_texts(signature, "exact", "similar"))))
    facts = result.get("facts")
    for nic in (facts or {}).get("nics") or ():
        if result.get("driver") in (nic.get("driver"), None):
            shown = "{0}  {1} {2}  firmware {3}".format(*_texts(nic, "name", "driver", "ids", "firmware"))
            rows.append(_row("NIC", shown))
    if facts is not None:
        when = "before the crash" if facts.get("before_the_crash") else "not from before the crash"
        rows.append(_row("facts", "{0}, seen {1} ({2})".format(*_texts(facts, "from", "seen_at"), when), "dim"))
    return rows if result.get("kind") != "unknown" else []


def _trace(result: _Result) -> list[Line]:
    frames = [frame for frame in result.get("frames") or () if isinstance(frame, dict)]
    if not frames:
        return []
    used = {_text(name).split(" ")[0].split("+")[0] for name in result.get("frames_used") or ()}
    driver = result.get("driver")
    lines = [_head("Trace, innermost first (> decided the verdict)")]
    for frame in frames[:_FRAMES_SHOWN]:
        name, module = _text(frame.get("function"), 160), frame.get("module")
        decided = name in used
        place = "" if frame.get("offset") is None else "+{0:#x}".format(frame["offset"])
        line: Line = [("used" if decided else "dim", "  {0} {1}{2}".format(">" if decided else " ", name, place))]
        if module:
            line.append(("bad" if module == driver else "plain", "  [{0}]".format(_text(module))))
        if frame.get("inlined"):
            line.append(("dim", "  inlined"))
        lines.append(line)
    if len(frames) > _FRAMES_SHOWN:
        lines.append([("dim", "    and {0} more".format(len(frames) - _FRAMES_SHOWN))])
    return lines


def _vmcore(result: _Result) -> list[Line]:
    core = result.get("vmcore")
    if not core:
        return []
    lines = [_head("Memory dump, read by {0} with symbols from {1}".format(*_texts(core, "reader", "symbols")))]
    if core.get("crash_output"):
        return lines + [[("plain", "  " + _text(line))] for line in core["crash_output"][: 2 * _FRAMES_SHOWN]]
    crashed = core.get("crashed") or {}
    if crashed:
        title = "CPU {0} crashed, task {1} ({2})".format(*_texts(crashed, "cpu", "task", "pid"))
        lines += _stack(title, crashed, _FRAMES_SHOWN)
    for processor in core.get("processors") or ():
        if processor.get("cpu") != crashed.get("cpu"):
            title = "CPU {0}, task {1} ({2})".format(*_texts(processor, "cpu", "task", "pid"))
            lines += _stack(title, processor, _STACK_SHOWN)
    for device in core.get("netdevs") or ():
        lines += _netdev(device, result.get("driver"))
    for module in core.get("modules") or ():
        version = _text(module.get("version") or "that of the kernel")
        lines.append(_row("module", "{0}, version {1}".format(_text(module.get("name")), version)))
    return lines


def _stack(title: str, holder: t.Mapping[str, t.Any], limit: int) -> list[Line]:
    frames = holder.get("frames") or []
    lines: list[Line] = [[("plain", "  " + title)]]
    for frame in frames[:limit]:
        module = "  [{0}]".format(_text(frame["module"])) if frame.get("module") else ""
        place = ("dim", "  {0}".format(_text(frame.get("source") or "")))
        lines.append([("plain", "    {0}{1}".format(_text(frame.get("function")), module)), place])
    if len(frames) > limit:
        lines.append([("dim", "    and {0} more".format(len(frames) - limit))])
    return lines


def _netdev(device: t.Mapping[str, t.Any], driver: t.Any) -> list[Line]:
    state = [word for word, key in (("up", "up"), ("carrier", "carrier")) if device.get(key)]
    name, rx_queues, tx_queues = _texts(device, "name", "rx_queues", "tx_queues")
    shown = "{0}  {1}  {2}, {3} rx and {4} tx queues".format(
        name, _text(device.get("driver") or "-"), " ".join(state) or "down", rx_queues, tx_queues
    )
    lines = [_row("netdev", shown, "used" if driver is not None and device.get("driver") == driver else "plain")]
    for queue in device.get("queues") or ():
        stopped = [name for name in ("drv_xoff", "stack_xoff", "frozen") if queue.get(name)]
        if stopped or queue.get("waiting_packets") or queue.get("in_flight_bytes"):
            number, flying, waiting = _texts(queue, "queue", "in_flight_bytes", "waiting_packets")
            how = ", ".join(stopped) or "running"
            told = "tx queue {0}: {1}; {2} bytes in flight, {3} packets waiting".format(number, how, flying, waiting)
            lines.append(_row("", told, "unknown" if stopped else "plain"))
    counts = sorted((device.get("statistics") or {}).items())
    bad = ["{0} {1}".format(_text(key), _text(count)) for key, count in counts if _WORRYING.search(key)]
    if bad:
        lines.append(_row("", ", ".join(bad)))
    polls = sorted({_text(napi.get("poll")) for napi in device.get("napi") or () if napi.get("scheduled")})
    if polls:
        lines.append(_row("", "polling: {0}".format(", ".join(polls))))
    return lines


def _entries(result: _Result) -> list[Line]:
    entries = result.get("entries") or []
    if not entries:
        return []
    lines = [_head("Pairing entries")]
    others = [row for row in entries if not row.get("matches")]
    for row in [row for row in entries if row.get("matches")][:_HOSTS_SHOWN]:
        named = ", ".join(_text(name) for name in row.get("functions") or ())
        style = "bad" if row.get("verdict") == "bad" else "unknown"
        note = "  in the trace: {0}".format(named) if named else "  it names no function"
        lines.append([(style, "  {0}  {1}".format(*_texts(row, "verdict", "entry"))), ("dim", note)])
        lines.append([("plain", "    {0}".format(_text(row.get("says"), 300)))])
        if row.get("remedy"):
            lines.append([("well", "    remedy: {0}".format(_text(row["remedy"], 300)))])
    if len(lines) == 1:
        lines.append([("plain", "  none of them is this crash")])
    if others:
        names = ", ".join(_text(row.get("entry")) for row in others[:_OTHERS_SHOWN])
        more = " and {0} more".format(len(others) - _OTHERS_SHOWN) if len(others) > _OTHERS_SHOWN else ""
        lines.append([("dim", "  this card and kernel may have these too: {0}{1}".format(names, more))])
    return lines


def _fleet(result: _Result) -> list[Line]:
    fleet = result.get("fleet") or {}
    if result.get("kind") == "unknown" or not fleet:
        return []
    unread = fleet.get("unread") or {}
    lines = [_head("Blast radius ({0} hosts looked at)".format(_text(fleet.get("hosts_looked_at"))))]
    same = fleet.get("same_signature") or {}
    for level, words in (("exact", "same signature"), ("similar", "similar signature")):
        rows = same.get(level) or []
        names = ["{0} ({1}x)".format(_text(row.get("host") or "not named"), row.get("crashes")) for row in rows]
        lines.append(_row_of(words, names, "bad"))
    for key, words, style in (
        ("same_pairing", "same pairing, waits for it", "bad"),
        ("undecided", "may have it, not all was seen", "unknown"),
        ("other_firmware", "control group, other firmware", "plain"),
        ("other_kernel", "control group, other kernel", "plain"),
    ):
        names = _by_host(fleet.get(key) or ())
        lines.append(_row_of(words, names, style))
    for name, reason in sorted(unread.items()):
        lines.append([("dim", "  {0}: not known, {1}".format(_text(name), _text(reason)))])
    return lines


def _by_host(rows: t.Iterable[t.Mapping[str, t.Any]]) -> list[str]:
    """One text a host: its NICs of the same firmware and kernel together."""
    nics: dict[tuple[str, ...], list[str]] = {}
    for row in rows:
        key = (*_texts(row, "host", "firmware", "kernel"), " had it" if row.get("crashed") else "")
        nics.setdefault(key, []).append(_text(row.get("nic")))
    told = "{0}{4} ({3}, firmware {1}, kernel {2})"
    return [told.format(host, fw, kernel, " ".join(names), had) for (host, fw, kernel, had), names in nics.items()]


def _row_of(label: str, names: t.Sequence[str], style: str) -> Line:
    shown = list(names[:_HOSTS_SHOWN])
    if len(names) > len(shown):
        shown.append("and {0} more".format(len(names) - len(shown)))
    told = ("\n" + " " * 33).join(shown) if len(shown) > 1 and len(shown[0]) > 30 else ", ".join(shown)
    return [("dim", "  {0:<31}".format(label)), (style if names else "dim", told or "none")]


def _tiers(result: _Result) -> list[Line]:
    lines = [_head("Read by")]
    for tier in result.get("tiers") or ():
        done = tier.get("ran")
        told = "yes" if done else "no: {0}".format(_text(tier.get("reason"), 600))
        lines.append(_row(_text(tier.get("name")), told, "well" if done else "dim"))
    for name, reason in sorted((result.get("files_unread") or {}).items()):
        lines.append(_row("not read", "{0}: {1}".format(_text(name), _text(reason)), "unknown"))
    return lines


def _draft(result: _Result) -> list[Line]:
    text = result.get("draft")
    if not text:
        return []
    lines = [_head("No pairing entry matches. A draft (--draft FILE writes it):")]
    return lines + [[("plain", "  " + _indented(line))] for line in text.splitlines()]


def _indented(line: str) -> str:
    body = line.lstrip(" ")
    return " " * (len(line) - len(body)) + clean(body, 1000)

# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Takes kernel messages out of whatever carried them: dmesg, journal, syslog, netconsole, pstore, a serial line.

Every stage is a generator and holds one line, so a log of any size is read in the
same memory. The one exception is pstore, whose parts must be put in order: it is
held back up to `PSTORE_LIMIT` characters.
"""

from __future__ import annotations

import codecs
import json
import re
import typing as t

__all__ = ["LINE_LIMIT", "Line", "kernel_lines", "raw_lines", "strip_prefix"]

#: Characters of a message that are looked at. printk's own record holds 1024 - 48 (PRINTKRB_RECORD_MAX).
LINE_LIMIT = 4096
#: Characters of a line with all that surrounds the message; a record of `journalctl -o json` has some 30 fields.
RAW_LIMIT = 64 * 1024
#: More than any pstore backend keeps: efi_pstore and ramoops hold some 100 KiB, ERST a little more.
PSTORE_LIMIT = 2 * 1024 * 1024


class Line(t.NamedTuple):
    """One message of the kernel."""

    text: str  #: without any prefix; at most LINE_LIMIT characters, no terminal escapes
    time_s: float | None  #: since boot, where the line carries it
    caller: str | None  #: "T123" or "C0" (CONFIG_PRINTK_CALLER): who wrote it


Chunks = t.Union[str, bytes, t.Iterable[t.Union[str, bytes]]]

# CSI sequences, OSC strings up to their end, two-character escapes. Bounded, so that a lone ESC costs little.
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]{0,32}[ -/]{0,4}[@-~]|\][^\x07\x1b]{0,256}(?:\x07|\x1b\\)?|[@-Z\\^_=>78c])")
_CONTROLS = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def raw_lines(chunks: Chunks) -> t.Iterator[str]:
    """Lines of at most RAW_LIMIT characters, without the empty ones; the rest of a longer one is dropped."""
    if isinstance(chunks, (str, bytes)):
        chunks = _pieces(chunks)
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    rest, skipping = "", False
    for chunk in chunks:
        text = decoder.decode(chunk) if isinstance(chunk, bytes) else chunk
        parts = text.replace("\r", "\n").split("\n") if "\r" in text else text.split("\n")
        parts[0] = parts[0] if skipping else rest + parts[0]
        for number, part in enumerate(parts[:-1]):
            if part and not (skipping and number == 0):
                yield part[:RAW_LIMIT]
        skipping = skipping and len(parts) == 1
        rest = "" if skipping else parts[-1]
        if len(rest) > RAW_LIMIT:
            yield rest[:RAW_LIMIT]
            rest, skipping = "", True
    rest += decoder.decode(b"", final=True)
    if rest and not skipping:
        yield rest[:RAW_LIMIT]


def _pieces(text: str | bytes) -> t.Iterator[str | bytes]:
    for start in range(0, len(text), RAW_LIMIT):
        yield text[start : start + RAW_LIMIT]


def kernel_lines(chunks: Chunks) -> t.Iterator[Line]:
    """Messages of the kernel in the order in which it wrote them; lines of user space in a journal are left out."""
    last_s: float | None = None
    for raw in _in_order(raw_lines(chunks)):
        line = strip_prefix(raw)
        if line is None:
            continue
        if line.time_s is None and last_s is not None:
            line = _without_speech(line, last_s)
        last_s = line.time_s or last_s
        yield line


def _without_speech(line: Line, last_s: float) -> Line:
    """On a serial line: without what a program wrote before the kernel cut in.

    Only among lines that bear stamps at their beginning: there no message of the kernel can hold one in its
    middle and none at its head, whatever text a device or a task's name brought into it.
    """
    spoken = _SPOKEN.match(line.text)
    if spoken is None:
        return line
    found = _strip_stamps(line.text[spoken.end() :])
    return found if found.time_s is not None and found.time_s >= last_s else line


# What comes before a message. Each begins with a fixed form, is tried once a turn and is bounded.
_KERNEL_STAMP = re.compile(r"(?:<\d{1,3}>)?\[ {0,8}(\d{1,12}\.\d{1,9})\] ?(?:\[ {0,8}([TC]\d{1,9})\] ?)?")
_MONTHS = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_CLOCK = r"\d\d:\d\d(?::\d\d)?(?:[.,]\d{1,9})?"
_SYSLOG = re.compile(
    r"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) )?"
    r"(?:"
    + (_MONTHS + r" [ 0-3]?\d " + _CLOCK + r"(?: \d{4})?")  # rsyslog, journalctl -o short, logread
    + (r"|\d{4}-\d\d-\d\d[T ]" + _CLOCK + r"(?: ?(?:Z|UTC|[A-Z]{3,4}|[+-]\d\d:?\d\d))?")  # ISO 8601
    + r")[ \t]"
)
_MONOTONIC = re.compile(r"\[ {0,8}\d{1,12}\.\d{1,9}\] (?=[\w.-]{1,64} [^\s:\[\]]{1,64}(?:\[\d{1,9}\])?: )")
_WHO = re.compile(r"(?:[\w.:-]{1,64} )?([^\s:\[\]]{1,64})(?:\[\d{1,9}\])?: ?")
_JOURNAL = re.compile(r"[\w.-]{1,64} (?:kernel|[\w@.-]{1,64}\[\d{1,9}\]|systemd|sshd|audit): ")
_HOST = re.compile(r"[\w.:-]{1,64} (?=(?:<\d{1,3}>)?\[ {0,8}\d{1,12}\.\d{1,9}\])")
_EXTENDED = re.compile(r"(\d{1,4}),(\d{1,19}),(\d{1,19}),([^;,]{0,8})((?:,[\w=/.-]{1,64}){0,4});")
_FACILITY = re.compile(r"(?:kern|user|daemon) {0,3}\.?:? ?(?:emerg|alert|crit|err|warn|notice|info|debug) {0,4}:? ")
_DATE_BRACKET = re.compile(
    r"\[(?:[A-Z][a-z]{2} " + _MONTHS + r" [ 0-3]?\d [\d:]{5,8} \d{4}"  # dmesg -T
    r"|" + _MONTHS + r"[ 0-3]?\d [\d:]{5,8}"  # dmesg -H
    r"| {0,6}[+<]? {0,6}\d{1,9}\.\d{1,9}>?"  # dmesg -d, -e
    r"|\d{4}-\d\d-\d\d[T ][\d:]{5,8}(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?"  # picocom, ser2net, conserver
    r"|[\d:]{8}(?:\.\d{1,9})?)\] ?"
)
_CALLER = re.compile(r"\[ {0,8}([TC]\d{1,9})\] ?")
_LEVEL = re.compile(r"<\d{1,3}>")
# On a serial line a later message can begin in the middle of an earlier one's stamp: "[ 17[ 1725.950079] Unable ...".
_TORN = re.compile(r"\[ {0,8}\d{0,12}\.?\d{0,9}(?=\[ {0,8}\d{1,12}\.\d{1,9}\] )")
# A program's words on a serial line, cut off where the kernel began to write: "real se[  309.256285]  ? sock_poll".
_SPOKEN = re.compile(r"[^\[\]]{1,80}(?=\[ {0,8}\d{1,12}\.\d{6}\] )")
_BARE = re.compile(r"kernel: ?(?=\S)")  # the rest of a journal's line whose date and host somebody cut
_QUOTE = re.compile(r"(?:[>|] ?){1,12}")  # a long thread of a mailing list quotes many times
_PSTORE = re.compile(
    r"(?:\S{1,40}:? )?(?:Panic|Oops|Emergency|Restart|Halt|Poweroff|Shutdown|Unknown)#(\d{1,6}) Part(\d{1,6})$"
)


def strip_prefix(raw: str) -> Line | None:
    """One line without what its carrier put before it; None for a line that is not the kernel's."""
    match = _KERNEL_STAMP.match(raw)
    if match and "\x1b" not in raw:
        rest = raw[match.end() :]
        if not _who(rest):
            return Line(_plain(rest), float(match.group(1)), match.group(2))
    if raw.startswith("{"):
        return _from_json(raw)
    text = _ESCAPES.sub("", raw) if "\x1b" in raw else raw
    return _strip_carrier(text.strip("\r\n\x00"))


def _who(text: str) -> bool:
    """Whether "host identifier:" stands here, as in `journalctl -o short-monotonic`."""
    return _JOURNAL.match(text) is not None


def _strip_carrier(text: str) -> Line | None:
    text = text.lstrip()
    quote = _QUOTE.match(text)
    if quote:
        text = text[quote.end() :].lstrip()
    extended = _EXTENDED.match(text)
    if extended:
        caller = re.search(r"caller=([TC]\d{1,9})", extended.group(5))
        return Line(_plain(text[extended.end() :]), int(extended.group(3)) / 1e6, caller.group(1) if caller else None)
    if text.startswith("MESSAGE="):  # journalctl -o export
        text = text[8:]
    stamp = _carrier_stamp(text)
    if stamp:
        # A comma before the fraction is `dmesg --time-format iso`, which names no sender.
        rest = text[stamp.end() :] if "," in stamp.group(0) else _without_sender(text[stamp.end() :])
        if rest is None:
            return None
        text = rest
    return _strip_stamps(text)


def _carrier_stamp(text: str) -> re.Match[str] | None:
    stamp = _SYSLOG.match(text)
    if stamp is None:
        stamp = _MONOTONIC.match(text)
        if stamp is not None and not _who(text[stamp.end() :]):
            return None
    return stamp


def _without_sender(text: str) -> str | None:
    """What stands behind "host kernel:"; None where another program speaks, whose words are no evidence."""
    text = text.lstrip(" ")
    facility = _FACILITY.match(text)
    if facility:
        text = text[facility.end() :]
    if text.startswith(("[", "<")):
        return text
    host = _HOST.match(text)
    if host:
        return text[host.end() :]
    who = _WHO.match(text)
    if who:
        return text[who.end() :] if who.group(1) == "kernel" else None
    return text


def _strip_stamps(text: str) -> Line:
    """Levels, time stamps and callers in any order, at most six of them."""
    time_s, caller = None, None
    cut = _BARE.match(text) or _TORN.match(text)
    text = text[cut.end() :] if cut else text
    for _turn in range(6):
        match = _KERNEL_STAMP.match(text)
        if match:
            time_s, caller = float(match.group(1)), match.group(2) or caller
        else:
            match = _LEVEL.match(text) or _CALLER.match(text) or _DATE_BRACKET.match(text) or _FACILITY.match(text)
            if not match:
                break
            if match.re is _CALLER:
                caller = match.group(1)
        text = text[match.end() :]
    return Line(_plain(text), time_s, caller)


def _plain(text: str) -> str:
    text = text[:LINE_LIMIT]
    return (text if text.isascii() and text.isprintable() else _CONTROLS.sub(" ", text)).rstrip()


def _from_json(raw: str) -> Line | None:
    """A record of `journalctl -o json`; a message that is not UTF-8 is a list of bytes there."""
    try:
        record = json.loads(raw)
    except (ValueError, RecursionError):
        return _strip_carrier(raw)
    if not isinstance(record, dict):
        return None
    who = record.get("_TRANSPORT") or record.get("SYSLOG_IDENTIFIER")
    if who not in (None, "kernel"):
        return None
    message = record.get("MESSAGE")
    if isinstance(message, list):
        message = bytes(byte for byte in message if isinstance(byte, int) and 0 <= byte < 256).decode(
            "utf-8", "replace"
        )
    if not isinstance(message, str):
        return None
    line = _strip_stamps(_ESCAPES.sub("", message))
    stamp = record.get("_SOURCE_MONOTONIC_TIMESTAMP")
    if line.time_s is None and isinstance(stamp, str) and stamp.isdigit() and len(stamp) < 20:
        return line._replace(time_s=int(stamp) / 1e6)
    return line


def _in_order(raws: t.Iterator[str]) -> t.Iterator[str]:
    """The same lines, with the parts of pstore records from the oldest to the newest.

    fs/pstore/platform.c writes a dump in parts and Part1 holds the end of the log. Files
    are joined by name more often than by number, so the parts may come in any order.
    """
    for raw in raws:
        part = _PSTORE.match(raw.strip()) if "Part" in raw else None
        if part is None:
            yield raw
            continue
        blocks, held = [_Block(int(part.group(1)), int(part.group(2)))], 0
        for raw_next in raws:
            part = _PSTORE.match(raw_next.strip()) if "Part" in raw_next else None
            if part:
                blocks.append(_Block(int(part.group(1)), int(part.group(2))))
            else:
                blocks[-1].lines.append(raw_next)
            held += len(raw_next) + 64  # with what an empty block takes
            if held > PSTORE_LIMIT:
                break
        for block in sorted(blocks, key=lambda item: (item.dump, -item.part)):
            yield from block.lines


class _Block:
    """The lines of one part of a pstore record."""

    def __init__(self, dump: int, part: int) -> None:
        self.dump = dump
        self.part = part
        self.lines: list[str] = []

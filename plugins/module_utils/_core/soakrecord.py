# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What a soak leaves on each of its two hosts, and what became of it.

The program of the soak replaces the record after every sample (`_change/soak.py`); a panic leaves the last one. It is
checked when it is read all the same: half of a file, another version and a value out of its range are ParseError.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import typing as t

from .errors import ParseError
from .text import clean

__all__ = [
    "FOLDER",
    "ID",
    "LIMIT_BYTES",
    "NAME",
    "OUTCOMES",
    "PHASES",
    "SAMPLES_LIMIT",
    "SCHEMA",
    "SIDES",
    "STATES",
    "Crash",
    "Samples",
    "check_outcome",
    "new_id",
    "newest_id",
    "of_pair",
    "outcome",
    "parse",
    "plan_path",
    "record_path",
    "render",
    "utc_text",
]

SCHEMA = 1
FOLDER = "/var/lib/crashready/soaks"
LIMIT_BYTES = 256 * 1024
SAMPLES_LIMIT = 500
SIDES = ("client", "server")
PHASES = ("before", "after", "single")
#: done: the planned time is over. stopped: by hand, or since it did damage. failed: it could not go on.
STATES = ("running", "done", "stopped", "failed")
#: Of a host; `of_pair` takes the first of these that one of the two has. "silent" alone is a soak without a fault.
OUTCOMES = ("panic", "lost", "stopped", "running", "silent")

ID = re.compile(r"s-[0-9]{8}T[0-9]{6}-[0-9a-f]{4}")
#: Of an experiment.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_BOOT_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_UTC = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)
_UTC_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
#: A crash may be dated this much before the last sample, or after it, and still be what ended the soak: the clock of
#: the host is set by whole seconds, and between the sample and the panic lies one interval.
_CLOCK_SLACK_S = 15.0

Seen = t.Mapping[str, t.Any]
Crash = t.Mapping[str, t.Any]  #: one of the facts' `crashes`


def new_id(now_utc_s: float, noise: bytes) -> str:
    """The id of a soak, the same on both hosts, from the time and two random bytes.

    >>> new_id(0, bytes([1, 255]))
    's-19700101T000000-01ff'
    """
    if len(noise) != 2:
        raise ParseError("a soak's id takes 2 random bytes, not {0}".format(len(noise)))
    return "s-{0:%Y%m%dT%H%M%S}-{1}".format(dt.datetime.fromtimestamp(now_utc_s, dt.timezone.utc), noise.hex())


def record_path(soak_id: str) -> str:
    """Where a host keeps the record. Raises ParseError for what is no id."""
    return "{0}/{1}.json".format(FOLDER, _checked_id(soak_id))


def plan_path(soak_id: str) -> str:
    """Where a host keeps what the program is to do. Raises ParseError for what is no id."""
    return "{0}/{1}.plan".format(FOLDER, _checked_id(soak_id))


def newest_id(names: t.Iterable[str]) -> str | None:
    """Of the names in FOLDER the id of the newest soak; an id begins with its time."""
    found = [name[: -len(".json")] for name in names if name.endswith(".json")]
    return max((soak_id for soak_id in found if ID.fullmatch(soak_id)), default=None)


def utc_text(now_utc_s: float) -> str:
    """A time as records have it: "2026-11-23T13:05:00Z"."""
    return dt.datetime.fromtimestamp(now_utc_s, dt.timezone.utc).strftime(_UTC_FORMAT)


def _checked_id(soak_id: str) -> str:
    if not ID.fullmatch(soak_id):
        raise ParseError("{0!r} is no id of a soak (s-YYYYmmddTHHMMSS-xxxx)".format(clean(soak_id, 60)))
    return soak_id


# --- the record -------------------------------------------------------------------------------------------------------


def render(record: Seen) -> str:
    """JSON with sorted keys, as `parse` reads it."""
    return json.dumps(record, sort_keys=True, separators=(",", ":")) + "\n"


def parse(text: str) -> dict[str, t.Any]:
    """A record, every value checked and every text cleaned. Raises ParseError with what is wrong with it.

    Keys: schema, id, name, phase, side, host, peer, nic, address, peer_address, profile {name, parameters}, planned_s,
    boot_id, kernel, kernel_package, driver, firmware, started_at (UTC), elapsed_s (CLOCK_BOOTTIME), silent_s (of that
    the time in which the NIC carried the traffic, the pauses of the profile included), state, reason, traffic
    {rx_bytes, tx_bytes, rx_packets, tx_packets}, errors {counter: increase}, samples [[elapsed_s, rx_bytes, tx_bytes,
    rx_packets, tx_packets, errors, temperature_c or null]] (counts since the start), and since they may be missing in
    what others write: interval_s, crashes_before [paths] (null: not seen), ethtool {counter: increase}, interrupts
    {line: increase}, unread {field: reason}. kernel_package, driver and firmware are null with the reason in unread.
    """
    found = _object(text)
    record = {key: check(key, found[key]) for key, check in _CHECKS.items() if key in found}
    missing = sorted(set(_CHECKS) - set(record) - set(_LATER))
    if missing:
        raise ParseError("the record lacks {0}: another version wrote it".format(", ".join(missing[:5])))
    for key, value in _LATER.items():
        record.setdefault(key, json.loads(value))
    if record["silent_s"] > record["elapsed_s"]:
        raise ParseError("silent_s {0} is more than elapsed_s {1}".format(record["silent_s"], record["elapsed_s"]))
    return record


def _object(text: str) -> dict[str, t.Any]:
    if len(text) > LIMIT_BYTES:
        raise ParseError("the record has {0} characters, more than {1}".format(len(text), LIMIT_BYTES))
    if not text.strip():
        raise ParseError("the record is empty")
    try:
        found = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as exc:
        raise ParseError("the record is half-written, or none: {0}".format(clean(str(exc), 120))) from exc
    if not isinstance(found, dict):
        raise ParseError("the record is no object")
    schema = found.get("schema")
    if isinstance(schema, bool) or not isinstance(schema, int):
        raise ParseError("the record says no schema: it is none of a soak")
    if schema != SCHEMA:
        newer = "a newer" if schema > SCHEMA else "an older"
        told = "the record is of schema {0}, from {1} Crashready; this one reads {2}"
        raise ParseError(told.format(schema, newer, SCHEMA))
    return found


def _no_constant(name: str) -> t.NoReturn:
    raise ValueError("{0} is no number of JSON".format(name))


def _wrong(key: str, value: t.Any) -> ParseError:
    return ParseError("{0}: {1!r} does not belong there".format(key, clean(str(value)[:400], 80)))


def _number(low: float, high: float) -> t.Callable[[str, t.Any], t.Any]:
    def check(key: str, value: t.Any) -> t.Any:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            raise _wrong(key, value)
        return value

    return check


def _word(grammar: re.Pattern[str]) -> t.Callable[[str, t.Any], str]:
    def check(key: str, value: t.Any) -> str:
        if not isinstance(value, str) or not grammar.fullmatch(value):
            raise _wrong(key, value)
        return value

    return check


def _one_of(choices: tuple[str, ...]) -> t.Callable[[str, t.Any], str]:
    def check(key: str, value: t.Any) -> str:
        if value not in choices:
            raise _wrong(key, value)
        return str(value)

    return check


def _text(limit: int, nullable: bool = False) -> t.Callable[[str, t.Any], str | None]:
    def check(key: str, value: t.Any) -> str | None:
        if value is None and nullable:
            return None
        if not isinstance(value, str):
            raise _wrong(key, value)
        return clean(value, limit)

    return check


def _table(limit: int, check_value: t.Callable[[str, t.Any], t.Any]) -> t.Callable[[str, t.Any], dict[str, t.Any]]:
    def check(key: str, value: t.Any) -> dict[str, t.Any]:
        if not isinstance(value, dict) or len(value) > limit:
            raise _wrong(key, value)
        return {
            clean(name, 80): check_value("{0}.{1}".format(key, clean(name, 80)), each) for name, each in value.items()
        }

    return check


def _profile(key: str, value: t.Any) -> dict[str, t.Any]:
    if not isinstance(value, dict) or len(value) > 32 or not isinstance(value.get("name"), str):
        raise _wrong(key, value)
    for each in value.values():
        if each is not None and not isinstance(each, (bool, int, float, str)):
            raise _wrong(key, each)
    return {clean(name, 40): clean(each, 80) if isinstance(each, str) else each for name, each in value.items()}


def _traffic(key: str, value: t.Any) -> dict[str, int]:
    counts = _table(4, _COUNT)(key, value)
    if set(counts) != {"rx_bytes", "tx_bytes", "rx_packets", "tx_packets"}:
        raise _wrong(key, sorted(counts))
    return counts


def _samples(key: str, value: t.Any) -> list[list[t.Any]]:
    if not isinstance(value, list) or len(value) > SAMPLES_LIMIT:
        raise _wrong(key, "a list of {0}".format(len(value)) if isinstance(value, list) else value)
    for sample in value:
        if not isinstance(sample, list) or len(sample) != 7:
            raise _wrong(key, sample)
        for count in sample[:6]:
            _COUNT(key, count)
        if sample[6] is not None:
            _number(-300, 2000)(key, sample[6])
    if any(sample[0] > after[0] for sample, after in zip(value, value[1:])):
        raise ParseError("samples: their times do not rise")
    return value


def _utc(key: str, value: t.Any) -> str:
    try:
        return utc_text(_utc_seconds(_word(_UTC)(key, value)))
    except ValueError as exc:
        raise _wrong(key, value) from exc


def _paths(key: str, value: t.Any) -> list[str] | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) > 1000 or not all(isinstance(path, str) for path in value):
        raise _wrong(key, value)
    return [clean(path, 400) for path in value]


_COUNT = _number(0, float(1 << 80))
_SECONDS = _number(0, 10.0 * 366 * 86400)

_CHECKS: dict[str, t.Callable[[str, t.Any], t.Any]] = {
    "schema": _number(SCHEMA, SCHEMA),
    "id": _word(ID),
    "name": _word(NAME),
    "phase": _one_of(PHASES),
    "side": _one_of(SIDES),
    "host": _text(255),
    "peer": _text(255),
    "nic": _text(16),
    "address": _text(64),
    "peer_address": _text(64),
    "profile": _profile,
    "planned_s": _SECONDS,
    "boot_id": _word(_BOOT_ID),
    "kernel": _text(200),
    "kernel_package": _text(200, nullable=True),
    "driver": _text(64, nullable=True),
    "firmware": _text(200, nullable=True),
    "started_at": _utc,
    "elapsed_s": _SECONDS,
    "silent_s": _SECONDS,
    "state": _one_of(STATES),
    "reason": _text(1000, nullable=True),
    "traffic": _traffic,
    "errors": _table(400, _COUNT),
    "samples": _samples,
    "interval_s": _number(0.05, 3600),
    "crashes_before": _paths,
    "ethtool": _table(400, _number(-float(1 << 80), float(1 << 80))),
    "interrupts": _table(400, _COUNT),
    "unread": _table(64, _text(256)),
}
#: What a record may lack, and what stands for it then.
_LATER = {"interval_s": "5", "crashes_before": "null", "ethtool": "{}", "interrupts": "{}", "unread": "{}"}


class Samples:
    """Samples of a soak of any length in a list of bounded length.

    One in `stride` is kept; where the list is full every second one goes and the stride doubles, so that a week keeps
    its shape. The newest is there besides.
    """

    def __init__(self, limit: int = SAMPLES_LIMIT) -> None:
        self._limit = max(limit, 4)
        self._kept: list[list[t.Any]] = []
        self._newest: list[t.Any] | None = None
        self._stride = 1
        self._count = 0

    def add(self, sample: list[t.Any]) -> None:
        """The next one in time."""
        if self._count % self._stride == 0:
            if len(self._kept) >= self._limit - 1:
                self._kept = self._kept[::2]
                self._stride *= 2
            if self._count % self._stride == 0:
                self._kept.append(sample)
        self._count += 1
        self._newest = sample

    def rows(self) -> list[list[t.Any]]:
        """Those that were kept, and the newest."""
        if self._newest is None or self._kept[-1] is self._newest:
            return list(self._kept)
        return [*self._kept, self._newest]


# --- what became of it ------------------------------------------------------------------------------------------------


def outcome(
    record: Seen | None,
    boot_id_now: str | None,
    crashes: t.Sequence[Crash] | None,
    alive: bool | None = None,
) -> dict[str, t.Any]:
    """What became of a soak on one host: its keys are those of `_told`.

    `boot_id_now`: None where the host does not answer. `crashes`: the facts' list, None where it could not be seen.
    `alive`: whether the unit of the soak runs; None where nobody looked. `outcome` is one of OUTCOMES: a "panic" takes
    another boot id and a crash that was not there at the start. `time_to_panic_s` counts from the start of the soak,
    by the dump's own time where that fits to the last sample, else it is the last sample's. `signature` is that of
    the crash record ({exact, similar}) and `path` where it says that the fault sits (nic_rx, ...), both null without a
    triage. `reason` is null for "silent" alone.
    """
    if record is None:
        return _told("lost", None, "the host has no record of this soak")
    last_s = record["samples"][-1][0] if record["samples"] else record["elapsed_s"]
    if record["state"] == "done":
        return _told("silent", last_s, None)
    if record["state"] in ("stopped", "failed"):
        return _told("stopped", last_s, record["reason"] or "it was stopped, and says no reason")
    if boot_id_now is None:
        return _told("lost", last_s, "the host does not answer; that alone is no panic")
    if boot_id_now == record["boot_id"]:
        if alive is False:
            return _told("stopped", last_s, "the soak's program ended without a word; see its journal")
        return _told(
            "running", last_s, "it runs, {0:.0f} of {1:.0f} s".format(record["elapsed_s"], record["planned_s"])
        )
    return _after_boot(record, crashes, last_s)


def _told(word: str, last_s: float | None, reason: str | None) -> dict[str, t.Any]:
    return {
        "outcome": word,
        "time_to_panic_s": None,
        "dump": None,
        "signature": None,
        "path": None,
        "last_sample_s": last_s,
        "reason": reason,
    }


def _after_boot(record: Seen, crashes: t.Sequence[Crash] | None, last_s: float) -> dict[str, t.Any]:
    if crashes is None:
        return _told("lost", last_s, "the host has rebooted, and its crashes could not be read: run as root")
    new = sorted((crash for crash in crashes if _is_new(record, crash)), key=lambda crash: _crashed_s(crash) or 0.0)
    if not new:
        told = (
            "the host has rebooted in the middle of the soak and left no dump and no crash record: that is no proof of"
        )
        return _told("lost", last_s, told + " a panic. Look whether the capture is armed, and at the console")
    crash = new[0]
    crashed_s = _crashed_s(crash)
    apart_s = None if crashed_s is None else crashed_s - _utc_seconds(record["started_at"])
    # The clock of the host may have been set in between; then only the sample is to be believed.
    fits = apart_s is not None and last_s <= apart_s <= last_s + 2 * record["interval_s"] + _CLOCK_SLACK_S
    valid = crash.get("valid") is True
    kernel_says = (crash.get("dmesg") or {}).get("panic") or (crash.get("record") or {}).get("cause_line")
    found = _told("panic", last_s, clean(str(kernel_says or "panic"), 300))
    if not valid:
        found["reason"] += " (no whole dump: {0})".format(clean(str(crash.get("reason") or "unknown"), 200))
    found["time_to_panic_s"] = float(apart_s) if fits and apart_s is not None else float(last_s)
    found["dump"] = clean(str((crash.get("dump") or {}).get("path") or crash.get("path")), 400) if valid else None
    found["signature"], found["path"] = ((crash.get("record") or {}).get(key) for key in ("signature", "path"))
    return found


def _is_new(record: Seen, crash: Crash) -> bool:
    """By the list from before the start; without one by the clock."""
    if crash.get("foreign") is True:
        return False
    if record["crashes_before"] is not None and clean(str(crash.get("path")), 400) in record["crashes_before"]:
        return False
    if record["crashes_before"] is not None and crash.get("files"):
        return True
    # A record whose dump was thinned out has another path than its folder had: there the time decides.
    crashed_s = _crashed_s(crash)
    return crashed_s is not None and crashed_s >= _utc_seconds(record["started_at"]) - _CLOCK_SLACK_S


def _utc_seconds(text: str) -> int:
    return int(dt.datetime.strptime(text, _UTC_FORMAT).replace(tzinfo=dt.timezone.utc).timestamp())


def _crashed_s(crash: Crash) -> float | None:
    """Seconds since 1970 by the clock of the host that crashed."""
    found = (crash.get("dump") or {}).get("crash_time")
    if isinstance(found, (int, float)) and not isinstance(found, bool) and 0 < found < 1 << 40:
        return float(found)
    try:
        text = str((crash.get("record") or {}).get("crashed_at"))
        moment = dt.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except (ValueError, OverflowError):
        return None
    return None if moment.tzinfo is None else (moment - _EPOCH).total_seconds()


def check_outcome(value: t.Any) -> dict[str, t.Any]:
    """An outcome that a host told, every value checked and every text cleaned. Raises ParseError."""
    if not isinstance(value, dict) or value.get("outcome") not in OUTCOMES:
        raise ParseError("no outcome of a soak: {0}".format(clean(str(value)[:400], 120)))
    found = _told(value["outcome"], None, None)
    for key in ("time_to_panic_s", "last_sample_s"):
        found[key] = None if value.get(key) is None else _SECONDS(key, value[key])
    for key, limit in (("dump", 400), ("path", 40), ("reason", 1000)):
        found[key] = _text(limit, nullable=True)(key, value.get(key))
    if value.get("signature") is not None:
        found["signature"] = _table(4, _text(200, nullable=True))("signature", value["signature"])
    if found["outcome"] == "panic" and found["time_to_panic_s"] is None:
        raise ParseError("a panic without its time")
    return found


def of_pair(outcomes: t.Sequence[Seen]) -> dict[str, t.Any]:
    """Of the two hosts of a pair the outcome that counts: a panic of one is the reason why the other lost its peer.

    Raises ValueError for an empty list.
    """
    return dict(min(outcomes, key=lambda found: OUTCOMES.index(found["outcome"])))

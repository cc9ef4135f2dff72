# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""One host in one soak, as an experiment counts it: from its record and what became of it (`soakrecord`)."""

from __future__ import annotations

import json
import math
import typing as t

from . import soakrecord
from .errors import ParseError
from .experimentsilence import SHORTEST_S
from .text import clean

__all__ = ["Build", "Trial", "same_signature", "trial_of"]

#: Parameters of a profile that are none of the load (`soakprofile`): how it is watched, and when it ends.
_WATCHING = frozenset(
    ("interval_s", "port", "patience_s", "errors_per_minute_max", "flaps_max", "temperature_stop", "piece_s")
)

Signature = tuple[t.Optional[str], t.Optional[str]]  #: exact, similar


class Build(t.NamedTuple):
    """What of a host a fix may change. None: not seen."""

    kernel: str | None
    kernel_package: str | None
    driver: str | None
    firmware: str | None

    @property
    def shown(self) -> str:
        """For people: kernel, driver, firmware."""
        package = " ({0})".format(self.kernel_package) if self.kernel_package else ""
        words = ["kernel {0}{1}".format(self.kernel or "not seen", package)]
        words.append("driver {0}".format(self.driver or "not seen"))
        words.append("firmware {0}".format(self.firmware or "not seen"))
        return ", ".join(words)


class Trial(t.NamedTuple):
    """One host in one soak. Times are seconds."""

    soak_id: str
    experiment: str
    phase: str  #: before, after or single
    host: str
    peer: str
    side: str
    nic: str
    load: str  #: the profile with those parameters that make the load, as canonical JSON: equal loads are equal texts
    profile: str  #: its name
    build: Build
    started_at: str
    planned_s: float
    outcome: str  #: one of soakrecord.OUTCOMES
    seconds: float  #: to the panic, else the time with traffic and without one; of a lost run to its last sample
    signature: Signature | None
    dump: str | None
    counted_s: float  #: seconds in which the packets were counted; 0: no sample was kept
    rx_packets: int
    tx_packets: int
    errors: int
    reason: str | None
    nic_path: bool | None  #: whether the crash sits in a NIC driver; None where that is not known

    @property
    def panicked(self) -> bool:
        """Whether a panic ended it."""
        return self.outcome == "panic"

    @property
    def signature_text(self) -> str | None:
        """The exact signature, else the similar one; None without a triage."""
        return (self.signature[0] or self.signature[1]) if self.signature else None


def same_signature(one: Signature | None, other: Signature | None) -> bool | None:
    """Whether two panics are of one bug; None where one of them has no signature.

    The similar signature counts too: another kernel inlines other functions, and the exact one has every frame.
    """
    if one is None or other is None:
        return None
    pairs = [(mine, theirs) for mine, theirs in zip(one, other) if mine and theirs]
    return any(mine == theirs for mine, theirs in pairs) if pairs else None


def trial_of(record: t.Any, outcome: t.Any, host: str | None = None) -> Trial:
    """From a record and its outcome (`soakrecord.parse`, `soakrecord.outcome`); `host` as the inventory calls it.

    Raises ParseError: another version, half of a record, an outcome that is none.
    """
    try:
        known = soakrecord.parse(json.dumps(record))
    except (TypeError, ValueError, RecursionError) as exc:
        raise ParseError("the record of a soak is no JSON: {0}".format(clean(str(exc), 120))) from exc
    if not isinstance(outcome, dict) or outcome.get("outcome") not in soakrecord.OUTCOMES:
        raise ParseError("{0}: no outcome of a soak".format(known["id"]))
    word = str(outcome["outcome"])
    counted_s, packets = _packets(known)
    signature = _signature(outcome.get("signature"))
    return Trial(
        soak_id=known["id"],
        experiment=known["name"],
        phase=known["phase"],
        host=clean(host if host is not None else known["host"], 255),
        peer=known["peer"],
        side=known["side"],
        nic=known["nic"],
        load=json.dumps(
            {key: known["profile"][key] for key in known["profile"] if key not in _WATCHING}, sort_keys=True
        ),
        profile=known["profile"]["name"],
        build=Build(known["kernel"], known["kernel_package"], known["driver"], known["firmware"]),
        started_at=known["started_at"],
        planned_s=float(known["planned_s"]),
        outcome=word,
        seconds=_seconds(word, known, outcome),
        signature=signature,
        dump=clean(str(outcome["dump"]), 400) if isinstance(outcome.get("dump"), str) else None,
        counted_s=counted_s,
        rx_packets=packets[0],
        tx_packets=packets[1],
        errors=int(sum(known["errors"].values())),
        reason=clean(str(outcome["reason"]), 400) if isinstance(outcome.get("reason"), str) else None,
        nic_path=_nic_path(outcome.get("path")),
    )


def _number(value: t.Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        raise ParseError("{0}: {1!r} is no number of seconds".format(what, clean(str(value)[:200], 60)))
    return float(value)


def _seconds(word: str, record: dict[str, t.Any], outcome: dict[str, t.Any]) -> float:
    if word == "panic":
        return max(SHORTEST_S, _number(outcome.get("time_to_panic_s"), "time_to_panic_s"))
    if word == "lost":
        return _number(outcome.get("last_sample_s") or 0, "last_sample_s")
    return float(record["silent_s"])


def _signature(value: t.Any) -> Signature | None:
    """A crash record's {exact, similar}; texts are bounded as the store keeps them."""
    if not isinstance(value, dict):
        return None
    exact, similar = (
        clean(value[key], 200) or None if isinstance(value.get(key), str) else None for key in ("exact", "similar")
    )
    return (exact, similar) if exact or similar else None


def _nic_path(path: t.Any) -> bool | None:
    return path.startswith("nic_") if isinstance(path, str) and path else None


def _packets(record: dict[str, t.Any]) -> tuple[float, tuple[int, int]]:
    """Seconds and packets (received, sent) of the last sample: what was counted up to a panic, and no further."""
    if record["samples"]:
        last = record["samples"][-1]
        return float(last[0]), (int(last[3]), int(last[4]))
    traffic = record["traffic"]
    return float(record["elapsed_s"]), (int(traffic["rx_packets"]), int(traffic["tx_packets"]))

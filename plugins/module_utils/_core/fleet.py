# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""From one crash to every other host that waits for the same: the blast radius in a rack.

A host waits for it where it has the same pairing: a card of the same PCI ids, its driver and
firmware, on the same kernel. The control group has the same card with another firmware, or on
another kernel: where it stays up, that difference is what matters. What a host did not tell is
`undecided` and never taken for different.
"""

from __future__ import annotations

import typing as t

from . import judge
from .kernel_range import Kernel, running_kernel
from .text import clean

__all__ = ["Rack", "blast_radius", "crashed_kernel", "matching_entries"]

#: Facts by host name: the object `crashready` of each.
Rack = t.Mapping[str, t.Any]

_LISTED = 10_000


class _Pairing(t.NamedTuple):
    """A card in a host, as far as it was seen."""

    host: str
    nic: str
    driver: str | None
    ids: str | None  #: "8086:1572"
    firmware: str | None
    kernel: str | None  #: Debian's package version, or else the release

    def shown(self) -> dict[str, t.Any]:
        return self._asdict()


def blast_radius(
    record: t.Mapping[str, t.Any],
    host: str | None,
    facts: t.Any,
    rack: Rack,
    crashes: t.Sequence[t.Mapping[str, t.Any]] = (),
) -> dict[str, t.Any]:
    """Who else had it, who waits for it, and who is the control group.

    `host` and `facts` are of the machine that crashed (None: not known), `crashes` are earlier ones
    ({host, crashed_at, signature {exact, similar}}). Gives {same_signature {exact, similar},
    pairing [cards of the crashed host], same_pairing, undecided, other_firmware, other_kernel,
    hosts_looked_at, unread}; a row about a host is {host, nic, driver, ids, firmware, kernel, crashed}.
    """
    signature = _mapping(record.get("signature"))
    unread: dict[str, str] = {}
    result: dict[str, t.Any] = {
        "same_signature": _same_signature(signature, crashes, host),
        "pairing": [],
        "same_pairing": [],
        "undecided": [],
        "other_firmware": [],
        "other_kernel": [],
        "hosts_looked_at": len(rack),
        "unread": unread,
    }
    driver = record.get("driver")
    if not isinstance(driver, str):
        unread["pairing"] = "no NIC driver is to blame" if record.get("path") == "none" else "no driver is named"
        return result
    kernel = crashed_kernel(record, facts)
    own = _pairings(host or "?", facts, driver, kernel.package_version or kernel.release)
    if not own:
        unread["pairing"] = _why_no_card(facts, driver)
        own = [_Pairing(host or "?", "?", driver, None, None, kernel.package_version or kernel.release)]
    else:
        result["pairing"] = [each.shown() for each in own]
    if not rack:
        unread["rack"] = "no facts of other hosts (-i RACK, --facts DIR, or a store with history)"
    exact = result["same_signature"]["exact"]
    crashed = {row["host"] for row in exact}
    for name in sorted(rack)[:_LISTED]:
        if name != host:
            _sort_in(result, own, _pairings(name, rack[name], driver, None), name in crashed)
    return result


def _same_signature(
    signature: t.Mapping[str, t.Any], crashes: t.Sequence[t.Mapping[str, t.Any]], host: str | None
) -> dict[str, list[dict[str, t.Any]]]:
    """Hosts that died of it before: with the exact signature, and those that only have the similar one."""
    found: dict[str, dict[str | None, dict[str, t.Any]]] = {"exact": {}, "similar": {}}
    for crash in crashes:
        theirs = _mapping(crash.get("signature"))
        level = next(
            (name for name in ("exact", "similar") if theirs.get(name) and theirs[name] == signature.get(name)), None
        )
        if level is None:
            continue
        name = crash.get("host")
        row = found[level].setdefault(name, {"host": name, "crashes": 0, "last": None, "this_host": name == host})
        row["crashes"] += 1
        row["last"] = max(filter(None, (row["last"], crash.get("crashed_at"))), default=None)
    order = {level: sorted(rows.values(), key=lambda row: str(row["host"])) for level, rows in found.items()}
    known = {row["host"] for row in order["exact"]}
    order["similar"] = [row for row in order["similar"] if row["host"] not in known]
    return order


def crashed_kernel(record: t.Mapping[str, t.Any], facts: t.Any) -> Kernel:
    """The kernel that crashed: what the log says of it, and where the facts are of the same one, their detail."""
    said = _mapping(record.get("kernel"))
    release, version = said.get("release"), said.get("package_version")
    now = _mapping(_mapping(facts).get("kernel"))
    same = now.get("release") == release and (version is None or now.get("package_version") in (None, version))
    if release is not None and same:
        return running_kernel(now if version is None else {**now, "package_version": version})
    return running_kernel({"release": release, "package_version": version, "machine": record.get("arch")})


def _pairings(host: str, facts: t.Any, driver: str, kernel: str | None) -> list[_Pairing]:
    """The cards of a host that this driver drives; `kernel` in place of the one that the facts name."""
    now = _mapping(_mapping(facts).get("kernel"))
    running = kernel or _text(now.get("package_version")) or _text(now.get("release"))
    found = []
    for name, card in judge.physical_cards(facts) or ():
        if driver in (card.driver, card.module):
            ids = "{0}:{1}".format(*card.pci[:2]) if card.pci and None not in card.pci[:2] else None
            found.append(_Pairing(host, name, card.driver, ids, _text(card.firmware), running))
    return found


def _why_no_card(facts: t.Any, driver: str) -> str:
    cards = judge.physical_cards(facts)
    if cards is None:
        return "no facts of the host that crashed, so its card and firmware are not known"
    return "the facts of the host have no NIC of the driver {0}".format(clean(driver, 60))


def _sort_in(result: dict[str, t.Any], own: t.Sequence[_Pairing], theirs: t.Sequence[_Pairing], crashed: bool) -> None:
    """Each NIC of another host into the list where it belongs, by the card of the crashed host it is nearest to."""
    order = ("same_pairing", "other_firmware", "other_kernel", "undecided")
    for other in theirs:
        places = {place for place in (_compare(each, other) for each in own) if place is not None}
        if places:
            result[min(places, key=order.index)].append({**other.shown(), "crashed": crashed})


def _compare(own: _Pairing, other: _Pairing) -> str | None:
    """The list for a NIC of another host; None: it is another card, or differs in both firmware and kernel."""
    if own.ids is not None and other.ids is not None and own.ids != other.ids:
        return None
    pairs = ((own.ids, other.ids), (own.firmware, other.firmware), (own.kernel, other.kernel))
    if any(None in pair for pair in pairs[1:]) or None in pairs[0]:
        differs = any(None not in pair and pair[0] != pair[1] for pair in pairs)
        # A card without any firmware version (virtual ones) is the same on both sides.
        both_none = own.firmware is None and other.firmware is None and None not in pairs[0] and None not in pairs[2]
        if both_none:
            return "same_pairing" if own.kernel == other.kernel else "other_kernel"
        return None if differs else "undecided"
    if own.firmware == other.firmware:
        return "same_pairing" if own.kernel == other.kernel else "other_kernel"
    return "other_firmware"


# --- entries ---------------------------------------------------------------------------------------------------------


def matching_entries(record: t.Mapping[str, t.Any], facts: t.Any, database: judge.Database) -> list[dict[str, t.Any]]:
    """The pairing entries that speak of this crash, best first.

    Each: {entry, verdict (of this card and kernel), functions [of the entry that are in the trace],
    matches, says, remedy}. `matches` is false where the entry is about the same card and kernel and
    names other functions (or shares no more than a poll routine): the host has that fault too, but it
    is not what it died of.
    """
    driver = record.get("driver")
    if not isinstance(driver, str):
        return []
    kernel = crashed_kernel(record, facts)
    cards = [card for _name, card in judge.physical_cards(facts) or () if driver in (card.driver, card.module)]
    if not cards:
        # Without facts: the driver alone, of which nothing else was seen.
        cards = [judge.Card(driver, driver, None, "no facts of the host", None, True, None, None, ())]
    frames = {_plain(frame.get("function")) for frame in record.get("frames") or () if isinstance(frame, dict)}
    found: dict[str, dict[str, t.Any]] = {}
    for card in cards:
        for reason in _reasons(card, kernel, database):
            entry = database.entries[reason["entry"]]
            named = [name for name in _functions(entry) if _plain(name) in frames]
            telling = [name for name in named if _tells(name, record)]
            row = {
                "entry": reason["entry"],
                "verdict": reason["verdict"],
                "functions": named,
                "matches": bool(telling) or not _functions(entry),
                "says": clean(entry.summary, 400),
                "remedy": clean(entry.remedy_kernel, 400) or None,
            }
            kept = found.setdefault(reason["entry"], row)
            if row["verdict"] == judge.ORDER[0]:
                kept["verdict"] = row["verdict"]
    return sorted(
        found.values(), key=lambda row: (not row["matches"], -len(row["functions"]), row["verdict"], row["entry"])
    )


def _reasons(card: judge.Card, kernel: Kernel, database: judge.Database) -> list[dict[str, t.Any]]:
    """What the database says of a card; where its PCI ids are not known, every entry of the driver is asked."""
    reasons = list(database.judge(card, kernel).reasons)
    if card.pci is None and card.pci_unread:
        known = {reason["entry"] for reason in reasons}
        for entry in database.of_modules(name for name in (card.driver, card.module) if name):
            result = database.kernel_result(entry, kernel, card.driver or "")
            if entry.id not in known and result.result != "good":
                reasons.append({"entry": entry.id, "verdict": judge.SUSPECT})
    return reasons


def _functions(entry: t.Any) -> list[str]:
    return [
        name for name in _mapping(_mapping(entry.raw).get("symptom")).get("functions") or () if isinstance(name, str)
    ]


def _tells(name: str, record: t.Mapping[str, t.Any]) -> bool:
    """Whether a function in the trace says something: every receive fault has the driver's poll routine below it."""
    return "poll" not in name.lower().split("_") or _plain(record.get("function")) == _plain(name)


def _plain(function: t.Any) -> str:
    """A function's name up to what a compiler added."""
    return str(function).split(".", 1)[0]


def _mapping(value: t.Any) -> t.Mapping[str, t.Any]:
    return value if isinstance(value, dict) else {}


def _text(value: t.Any) -> str | None:
    return clean(value, 128) or None if isinstance(value, str) else None

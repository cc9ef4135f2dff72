# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Two looks at the same host, and what is not as it was: firmware, kernel, reservation, NICs, problems, verdict.

A look has facts and a judgement; either may be missing. What one of the two looks did
not see is no difference, except that something which was seen before is not seen any
more: that is said, with the sense "unknown". Facts are the word of a host: any JSON is
taken and nothing is raised.
"""

from __future__ import annotations

import typing as t

from .judge import ORDER
from .text import clean, human_bytes

__all__ = [
    "KINDS",
    "PARTS",
    "SCHEMA",
    "SENSES",
    "STANDINGS",
    "Change",
    "brief_judgement",
    "compare_facts",
    "compare_judgements",
    "compare_looks",
    "lasting",
    "merged",
    "same_facts",
    "standing_of",
    "worst_sense",
]

#: Version of the shape of `crashready diff --json`: docs/diff.schema.json.
SCHEMA = 1
#: What of the facts is looked at on its own (`--subset`); a look without one says nothing about it.
PARTS = ("nics", "kernel", "capture", "crashes")
#: Worst first. "other": neither better nor worse by itself; "unknown": what was seen is not seen any more.
SENSES = ("worse", "unknown", "other", "better")
#: Of a host between two moments. "new": there is no look from before the first; "not looked at": none after it;
#: "never looked at": none at all.
STANDINGS = ("changed", "new", "not looked at", "never looked at", "same")
#: Every kind of a change, with the heading under which people find it.
KINDS: dict[str, str] = {
    "answer": "whether the host gave facts",
    "state": "state of the host",
    "verdict": "verdict of its pairings",
    "pairings": "pairing entries that match",
    "armed": "armed",
    "reservation": "memory reserved for the capture kernel",
    "proven": "proven by a drill",
    "problem": "problem of the crash capture",
    "crash": "crash",
    "kernel": "running kernel",
    "firmware": "firmware of a NIC",
    "driver": "driver of a NIC",
    "nic": "a NIC",
}

_STATES = ("bad", "unknown", "suspect", "well")
_NICS_LIMIT = 1024
_LIST_LIMIT = 512

#: What changes by itself from one look to the next, by the object that has it.
_FLEETING: dict[str, frozenset[str]] = {
    "": frozenset(("unread",)),
    "kernel": frozenset(("candidates",)),
    "space": frozenset(("free_bytes", "reason")),
    "nics": frozenset(("link", "speed_mbps")),
}


class Change(t.NamedTuple):
    """One difference. `about` names what it is about where a host has several; texts are fit for a terminal."""

    kind: str  #: one of KINDS
    about: str
    before: str | None
    after: str | None
    sense: str  #: one of SENSES
    says: str


# --- what is kept ----------------------------------------------------------------------------------------------------


def lasting(facts: t.Any) -> t.Any:
    """The facts without what differs from look to look (free space, links, reasons of nulls): what a digest is of."""
    return _lasting(facts, "", 0)


def _lasting(value: t.Any, name: str, depth: int) -> t.Any:
    if depth > 64:
        return None
    if isinstance(value, dict):
        left_out = _FLEETING[""] | _FLEETING.get(name, frozenset())
        return {key: _lasting(each, str(key), depth + 1) for key, each in value.items() if key not in left_out}
    if isinstance(value, list):
        return [_lasting(each, name, depth + 1) for each in value]
    return value


def same_facts(before: t.Any, now: t.Any) -> bool:
    """Whether a look shows nothing new: all that it has is as it was. A part that it did not look at does not count."""
    if not isinstance(before, dict) or not isinstance(now, dict):
        return bool(before == now)
    keys = (set(before) | set(now)) - {part for part in PARTS if part not in now} - {"unread"}
    missing = object()
    for key in keys:
        then = before.get(key, missing)
        if then is missing or key not in now or _lasting(then, key, 1) != _lasting(now[key], key, 1):
            return False
    return True


def merged(before: t.Any, now: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The facts of a look, with the parts that it did not look at as they were seen last."""
    kept = {part: before[part] for part in PARTS if part in before} if isinstance(before, dict) else {}
    return {**kept, **now}


def brief_judgement(state: str, capture: str, judged: t.Any, failure: str) -> dict[str, t.Any]:
    """What the history keeps of a host in `crashready check`: {state, capture, verdict, entries, failure}."""
    judged = _mapping(judged)
    entries = [clean(str(entry), 120) for entry in judged.get("entries") or ()][:_LIST_LIMIT]
    verdict = judged.get("verdict")
    return {
        "state": state,
        "capture": capture,
        "verdict": verdict if verdict in ORDER else None,
        "entries": sorted(entries),
        "failure": clean(failure, 300) or None,
    }


def standing_of(since: t.Any, before: t.Any, after: t.Any) -> str:
    """One of STANDINGS by what the store knew of a host at two moments; "changed" means that a comparison may tell.

    `before` and `after` are None or have `facts_id`, `judgement_id` and `seen_at`, which compares with `since`.
    """
    if after is None:
        return "never looked at"
    if after.seen_at < since:
        return "not looked at"
    if before is None:
        return "new"
    same = (before.facts_id, before.judgement_id) == (after.facts_id, after.judgement_id)
    return "same" if same else "changed"


def worst_sense(changes: t.Iterable[Change]) -> str | None:
    """The worst of changes, in the order of SENSES; None where there are none."""
    return min((change.sense for change in changes), key=SENSES.index, default=None)


# --- comparing -------------------------------------------------------------------------------------------------------


def compare_looks(
    facts_before: t.Any, facts_after: t.Any, judged_before: t.Any = None, judged_after: t.Any = None
) -> list[Change]:
    """Every difference between two looks at a host, worst first."""
    answer = _answers(_mapping(judged_before), _mapping(judged_after))
    found = [*answer] if answer else compare_judgements(judged_before, judged_after)
    if not _mapping(judged_after).get("failure"):
        found += compare_facts(facts_before, facts_after)
    kinds = list(KINDS)
    return sorted(found, key=lambda change: (SENSES.index(change.sense), kinds.index(change.kind), change.about))


def _answers(before: dict[str, t.Any], after: dict[str, t.Any]) -> list[Change]:
    """A host that gave facts and does not any more, or the other way round."""
    if not before or not after or bool(before.get("failure")) == bool(after.get("failure")):
        return []
    if after.get("failure"):
        why = clean(str(after["failure"]), 300)
        return [Change("answer", "", "facts", "none", "unknown", "it gave no facts: {0}".format(why))]
    return [Change("answer", "", "none", "facts", "better", "it gives facts again")]


def compare_judgements(before: t.Any, after: t.Any) -> list[Change]:
    """Of two judgements (`brief_judgement`): state, verdict, matching entries."""
    before, after = _mapping(before), _mapping(after)
    if not before or not after or before.get("failure") or after.get("failure"):
        return []
    found = []
    for kind, order in (("state", _STATES), ("verdict", ORDER)):
        then, now = before.get(kind), after.get(kind)
        if then in order and now in order and then != now:
            sense = "worse" if order.index(now) < order.index(then) else "better"
            sense = "unknown" if now == "unknown" else sense
            found.append(Change(kind, "", then, now, sense, "{0} was {1}, is {2}".format(kind, then, now)))
    return found + _entries(before, after)


def _entries(before: dict[str, t.Any], after: dict[str, t.Any]) -> list[Change]:
    then, now = ({str(each) for each in judged.get("entries") or ()} for judged in (before, after))
    came = [Change("pairings", name, None, name, "worse", name + " matches now") for name in sorted(now - then)]
    went = [Change("pairings", name, name, None, "better", name + " matches no more") for name in sorted(then - now)]
    return came + went


def compare_facts(before: t.Any, after: t.Any) -> list[Change]:
    """Of the facts of two looks. A part that either of them did not look at is left out."""
    before, after = _mapping(before), _mapping(after)
    found: list[Change] = []
    for part, compare in (("kernel", _kernel), ("capture", _capture), ("nics", _nics), ("crashes", _crashes)):
        if part in before and part in after:
            found += compare(before[part], after[part])
    return found


def _mapping(value: t.Any) -> dict[str, t.Any]:
    return value if isinstance(value, dict) else {}


def _shown(value: t.Any, limit: int = 120) -> str | None:
    """A fact as text; None for one that was not seen."""
    if value is None or isinstance(value, (dict, list)):
        return None
    return "yes" if value is True else "no" if value is False else clean(str(value), limit)


def _moved(
    kind: str, about: str, before: str | None, after: str | None, what: str, sense: str = "other"
) -> list[Change]:
    """A value that was seen and is another one, or is not seen any more."""
    if before is None or before == after:
        return []
    if after is None:
        return [Change(kind, about, before, None, "unknown", "{0} was {1}, is not seen any more".format(what, before))]
    return [Change(kind, about, before, after, sense, "{0} was {1}, is {2}".format(what, before, after))]


def _kernel(before: t.Any, after: t.Any) -> list[Change]:
    return _moved("kernel", "", _running(before), _running(after), "the kernel")


def _running(kernel: t.Any) -> str | None:
    kernel = _mapping(kernel)
    release, version = _shown(kernel.get("release")), _shown(kernel.get("package_version"))
    if release is None or version is None:
        return release
    return "{0} ({1})".format(release, version)


# --- capture ---------------------------------------------------------------------------------------------------------


def _capture(before: t.Any, after: t.Any) -> list[Change]:
    before, after = _mapping(before), _mapping(after)
    found = [*_armed(before, after), *_reservation(before, after), *_proven(before, after)]
    return found + _problems(before.get("problems"), after.get("problems"))


def _armed(before: dict[str, t.Any], after: dict[str, t.Any]) -> list[Change]:
    then, now = (_truth(each.get("armed")) for each in (before, after))
    return _moved("armed", "", then, now, "armed", "better" if now == "yes" else "worse")


def _truth(value: t.Any) -> str | None:
    return _shown(value) if isinstance(value, bool) else None


def _size(value: t.Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _reservation(before: dict[str, t.Any], after: dict[str, t.Any]) -> list[Change]:
    then, now = (_size(each.get("reserved_bytes")) for each in (before, after))
    if then is None or then == now:
        return []
    shown = [None if size is None else human_bytes(size) if size else "nothing" for size in (then, now)]
    if then and now == 0:
        return [Change("reservation", "", shown[0], shown[1], "worse", "it lost its reservation of " + str(shown[0]))]
    if now and not then:
        return [Change("reservation", "", shown[0], shown[1], "better", "{0} are reserved now".format(shown[1]))]
    return _moved("reservation", "", shown[0], shown[1], "the reservation")


def _proven(before: dict[str, t.Any], after: dict[str, t.Any]) -> list[Change]:
    """No drill (null) is a standing of its own here: a first proof is news."""
    then, now = before.get("proven"), after.get("proven")
    if then is now or "proven" not in before or "proven" not in after:
        return []
    if now is True:
        return [Change("proven", "", _truth(then), "yes", "better", "a drill has proven the capture")]
    if then is True:
        why = clean(str(_mapping(after.get("unread")).get("proven") or "no reason given"), 300)
        sense = "worse" if now is False else "unknown"
        return [Change("proven", "", "yes", _truth(now), sense, "it was proven: {0}".format(why))]
    return []


def _problems(before: t.Any, after: t.Any) -> list[Change]:
    if not isinstance(before, list) or not isinstance(after, list):
        return []
    then, now = _by_id(before), _by_id(after)
    found = []
    for name in sorted(set(now) - set(then)):
        severity, message = now[name]
        found.append(Change("problem", name, None, message, "worse" if severity == "error" else "other", message))
    for name in sorted(set(then) - set(now)):
        message = then[name][1]
        found.append(Change("problem", name, message, None, "better", "no more: " + message))
    return found


def _by_id(problems: list[t.Any]) -> dict[str, tuple[str, str]]:
    """Severity and message of each problem, by its id."""
    found = {}
    for each in problems[:_LIST_LIMIT]:
        if isinstance(each, dict) and isinstance(each.get("id"), str):
            found[clean(each["id"], 80)] = (str(each.get("severity")), clean(str(each.get("message")), 300))
    return found


# --- crashes and NICs ------------------------------------------------------------------------------------------------


def _crashes(before: t.Any, after: t.Any) -> list[Change]:
    """New ones. One that is gone was taken away by retention or by hand, and says nothing about the host."""
    if not isinstance(before, list) or not isinstance(after, list):
        return []
    then = {key for each in before if isinstance(each, dict) for key in _crash_keys(each)}
    found = []
    for each in after[:_LIST_LIMIT]:
        if isinstance(each, dict) and not then & _crash_keys(each):
            about = clean(str(each.get("path") or each.get("stamp") or "?"), 200)
            kind = _shown(_mapping(each.get("record")).get("kind"), 40)
            says = "a crash came: {0}{1}".format(about, " ({0})".format(kind) if kind else "")
            found.append(Change("crash", about, None, about, "worse", says))
    return found


def _crash_keys(crash: dict[str, t.Any]) -> set[str]:
    """What a crash is known by: its folder, and once it was explained its event."""
    names = (crash.get("path"), _mapping(crash.get("record")).get("event"), crash.get("stamp"))
    return {str(name)[:4096] for name in names[:2] if name} or {str(names[2])[:80]}


class _Nic(t.NamedTuple):
    """What counts of a NIC."""

    name: str
    mac: str | None
    ids: str | None
    driver: str | None
    firmware: str | None

    @property
    def shown(self) -> str:
        return "{0} ({1}, {2})".format(self.name, self.ids or "no PCI ids", self.driver or "driver not seen")


def _nics(before: t.Any, after: t.Any) -> list[Change]:
    if not isinstance(before, list):
        return []
    if not isinstance(after, list):
        return [Change("nic", "", "seen", None, "unknown", "its NICs are not seen any more")]
    then, now = _cards(before), _cards(after)
    gone, came = {key: then[key] for key in then if key not in now}, {key: now[key] for key in now if key not in then}
    found = []
    for key in then:
        if key in now:
            found += _nic(then[key], now[key])
    for nic in list(gone.values()):
        twin = next((key for key, other in came.items() if nic.mac and other.mac == nic.mac), None)
        if twin is not None:
            other = came.pop(twin)
            says = "{0} is in another slot".format(other.shown)
            found += [Change("nic", nic.name, nic.shown, other.shown, "other", says), *_nic(nic, other)]
        else:
            found.append(Change("nic", nic.name, nic.shown, None, "worse", "the NIC {0} is gone".format(nic.shown)))
    for nic in came.values():
        found.append(Change("nic", nic.name, None, nic.shown, "other", "the NIC {0} came".format(nic.shown)))
    return found


def _cards(nics: list[t.Any]) -> dict[str, _Nic]:
    """NICs with a device behind them, by their place on the bus, or else by their name."""
    found = {}
    for each in nics[:_NICS_LIMIT]:
        if not isinstance(each, dict) or each.get("virtual"):
            continue
        pci = _mapping(each.get("pci"))
        name = _shown(each.get("name"), 60) or "?"
        words = [_shown(pci.get(key), 8) for key in ("vendor", "device", "subsystem_vendor", "subsystem_device")]
        ids = "{0}:{1}".format(words[0], words[1]) if words[0] and words[1] else None
        if ids and words[2] and words[3]:
            ids += " subsystem {0}:{1}".format(words[2], words[3])
        firmware = _shown(_mapping(each.get("firmware")).get("raw"), 64)
        key = _shown(pci.get("address"), 40) or "name " + name
        found[key] = _Nic(name, _shown(each.get("mac"), 40), ids, _shown(each.get("driver"), 40), firmware)
    return found


def _nic(before: _Nic, after: _Nic) -> list[Change]:
    name = after.name
    if before.ids != after.ids and before.ids and after.ids:
        says = "another card: was {0}, is {1}".format(before.shown, after.shown)
        return [Change("nic", name, before.shown, after.shown, "other", says)]
    found = _moved("nic", name, before.name, after.name, "the name of the NIC")
    found += _moved("driver", name, before.driver, after.driver, "the driver of {0}".format(name))
    return found + _moved("firmware", name, before.firmware, after.firmware, "the firmware of {0}".format(name))

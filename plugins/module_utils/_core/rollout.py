# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The order of a rollout: one canary for each pairing, then batches that leave every redundancy group its others.

`plan_waves` takes hosts as the inventory and the facts have them and gives waves with a reason for each position;
`judge_gate` says whether a host is worse after its change than before. Nothing here is done to a host. Ten thousand
hosts are planned in one sort and one heap.
"""

from __future__ import annotations

import heapq
import ipaddress
import re
import typing as t

from . import judge
from .errors import CoreError, ParseError
from .health_gate import compare
from .problems import Problem
from .rack_view import is_plain_name
from .text import clean

__all__ = [
    "BATCH",
    "CANARY",
    "Candidate",
    "Plan",
    "Position",
    "Size",
    "Wave",
    "can_be_ordered",
    "judge_gate",
    "left_out",
    "look_of",
    "pairing_of",
    "parse_batches",
    "parse_canaries",
    "plan_waves",
]

CANARY, BATCH = "canary", "batch"
#: More canaries of one pairing than this are a batch.
_CANARIES_LIMIT = 100
_SIZES_LIMIT = 100
_NICS_LIMIT = 1024
_SIZE = re.compile(r"([1-9][0-9]{0,5})(%?)")
_PAIRING_LIMIT = 600


class Size(t.NamedTuple):
    """How many hosts may go at once."""

    number: int
    percent: bool  #: of all hosts of the rollout

    def of(self, hosts: int) -> int:
        """At least one, and of a share of hosts no more than it is."""
        return max(1, hosts * self.number // 100) if self.percent else self.number


class Candidate(t.NamedTuple):
    """A host that a rollout is asked for."""

    host: str
    pairing: str | None  #: of `pairing_of`; None: not seen
    rack: str | None = None
    groups: tuple[str, ...] = ()  #: redundancy groups, whose members stand in for each other
    windows: tuple[str, ...] = ()
    opens_in_s: float = 0  #: until its windows open; 0: open, or it has none
    answers: bool = True
    left: str = ""  #: why it is not to be touched


class Position(t.NamedTuple):
    """Where a host stands in the order, and why."""

    host: str
    wave: int  #: from 1
    reason: str


class Wave(t.NamedTuple):
    """Hosts that go at the same time."""

    kind: str  #: CANARY or BATCH
    hosts: tuple[str, ...]


class Plan(t.NamedTuple):
    """The order of a rollout."""

    waves: tuple[Wave, ...]
    positions: t.Mapping[str, Position]
    left: t.Mapping[str, str]  #: hosts that are not in it, and why


def parse_batches(value: t.Any) -> tuple[Size, ...]:
    """Sizes of batches: `1,2,4,25%`, or a list of such. The last one holds for all further ones. Raises ParseError."""
    words = value.split(",") if isinstance(value, str) else value if isinstance(value, (list, tuple)) else [value]
    found = []
    for word in words:
        match = _SIZE.fullmatch(str(word).strip()) if isinstance(word, (int, str)) and word is not True else None
        if match is None or (match.group(2) and int(match.group(1)) > 100):
            says = "{0!r} is no size of a batch: expected numbers or shares of all hosts, such as 1,2,4,25%"
            raise ParseError(says.format(clean(str(word), 60)))
        found.append(Size(int(match.group(1)), bool(match.group(2))))
    if not found or len(found) > _SIZES_LIMIT:
        raise ParseError("{0} sizes of batches were given, expected 1 to {1}".format(len(found), _SIZES_LIMIT))
    return tuple(found)


def parse_canaries(value: t.Any) -> int:
    """How many canaries each pairing gets. Raises ParseError."""
    text = str(value).strip()
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,3}", text) or int(text) > _CANARIES_LIMIT:
        says = "{0!r} is no number of canaries: expected 0 to {1}"
        raise ParseError(says.format(clean(text, 60), _CANARIES_LIMIT))
    return int(text)


def can_be_ordered(host: str) -> bool:
    """Whether a name means this one host among the hosts of a play, and is no pattern."""
    try:
        return is_plain_name(host) or bool(ipaddress.ip_address(host))
    except ValueError:
        return False


def pairing_of(facts: t.Any) -> str | None:
    """What a canary stands for: the kinds of NICs with driver and firmware, and the kernel. None where not seen.

    Facts are the word of a host: any JSON is taken.
    """
    cards = judge.physical_cards(facts)
    if cards is None:
        return None
    kernel = facts.get("kernel")
    release = kernel.get("release") if isinstance(kernel, dict) else None
    if not isinstance(release, str):
        return None
    kinds = set()
    for _name, card in cards:
        ids = "{0}:{1}".format(*card.pci[:2]) if card.pci and None not in card.pci[:2] else "no PCI"
        kinds.add("{0} {1} {2}".format(ids, card.driver or "no driver", card.firmware or "no firmware"))
    shown = clean(" + ".join(sorted(kinds)), _PAIRING_LIMIT)
    return "{0} on {1}".format(shown or "no NIC", clean(release, 80))


# --- the order -------------------------------------------------------------------------------------------------------


class _Ranked(t.NamedTuple):
    """A candidate with what places it."""

    rank: int  #: in the inventory
    hosts: Candidate
    bucket: int  #: no two of one bucket go at the same time


def plan_waves(candidates: t.Sequence[Candidate], sizes: t.Sequence[Size], canaries: int = 1) -> Plan:
    """The order of all candidates that may go.

    Canaries go alone, those whose window opens first before others, then those of the largest pairing. Batches follow
    window by window and rack by rack.
    """
    left = left_out(candidates)
    going = [each for each in candidates if each.host not in left]
    ranked = [_Ranked(rank, each, bucket) for rank, (each, bucket) in enumerate(zip(going, _buckets(going)))]
    waves: list[Wave] = []
    positions: dict[str, Position] = {}
    chosen = _place_canaries(ranked, canaries, waves, positions)
    rest = [each for each in ranked if each.rank not in chosen]
    _place_batches(rest, [size.of(len(going)) for size in sizes], waves, positions)
    return Plan(tuple(waves), positions, left)


def left_out(candidates: t.Iterable[Candidate]) -> dict[str, str]:
    """Hosts that must stay, and why: what the candidate says, or another of its redundancy group does not answer."""
    candidates = list(candidates)
    left = {each.host: each.left for each in candidates if each.left}
    silent: dict[str, str] = {}
    for each in candidates:
        if not each.answers:
            silent.update(dict.fromkeys(each.groups, each.host))
    for each in candidates:
        missing = [group for group in each.groups if group in silent]
        if missing and each.host not in left:
            says = "{0}, which stands in for it (redundancy group {1}), does not answer"
            left[each.host] = says.format(silent[missing[0]], missing[0])
    return left


def _buckets(candidates: t.Sequence[Candidate]) -> list[int]:
    """A number for each candidate, the same for those that share a group, also through a third one."""
    parents = list(range(len(candidates)))

    def root(number: int) -> int:
        while parents[number] != number:
            parents[number] = parents[parents[number]]
            number = parents[number]
        return number

    first: dict[str, int] = {}
    for number, each in enumerate(candidates):
        for group in each.groups:
            parents[root(number)] = root(first.setdefault(group, number))
    return [root(number) for number in range(len(candidates))]


def _place_canaries(
    ranked: t.Sequence[_Ranked], canaries: int, waves: list[Wave], positions: dict[str, Position]
) -> set[int]:
    """Ranks of the canaries, each of which is a wave."""
    kinds: dict[str, list[_Ranked]] = {}
    for each in ranked:
        # What was not seen is like nothing else.
        kinds.setdefault(each.hosts.pairing or "NICs that were not seen on " + each.hosts.host, []).append(each)
    order = sorted(kinds, key=lambda kind: (min(each.hosts.opens_in_s for each in kinds[kind]), -len(kinds[kind])))
    buckets: set[int] = set()
    racks: set[str | None] = set()
    chosen: set[int] = set()
    for kind in order:
        members = kinds[kind]
        for number in range(min(canaries, len(members))):
            best = min(
                (each for each in members if each.rank not in chosen),
                key=lambda each: (
                    each.hosts.opens_in_s,
                    each.bucket in buckets,
                    each.hosts.rack in racks and each.hosts.rack is not None,
                    each.rank,
                ),
            )
            chosen.add(best.rank)
            buckets.add(best.bucket)
            racks.add(best.hosts.rack)
            waves.append(Wave(CANARY, (best.hosts.host,)))
            reason = _canary_reason(best.hosts, kind, number, len(members))
            positions[best.hosts.host] = Position(best.hosts.host, len(waves), reason)
    return chosen


def _canary_reason(candidate: Candidate, kind: str, number: int, members: int) -> str:
    if members == 1:
        says = "the only host with {0}".format(kind)
    else:
        says = "canary {0} of {1} hosts with {2}".format(number + 1, members, kind)
    return says + _where(candidate)


def _where(candidate: Candidate) -> str:
    rack = "; rack {0}".format(candidate.rack) if candidate.rack else ""
    return rack + ("; window {0}".format(", ".join(candidate.windows)) if candidate.windows else "")


def _place_batches(
    rest: t.Sequence[_Ranked], limits: t.Sequence[int], waves: list[Wave], positions: dict[str, Position]
) -> None:
    """Hosts of other windows are never in one batch: there may be no moment that is in both."""
    classes: dict[tuple[str, ...], list[_Ranked]] = {}
    for each in rest:
        classes.setdefault(each.hosts.windows, []).append(each)
    batches = 0
    for members in sorted(classes.values(), key=lambda members: min(each.hosts.opens_in_s for each in members)):
        queue = _Queue(members)
        while queue:
            batch = queue.take(limits[min(batches, len(limits) - 1)])
            batches += 1
            waves.append(Wave(BATCH, tuple(each.hosts.host for each, _last in batch)))
            for each, last in batch:
                reason = "batch {0}{1}{2}".format(batches, _where(each.hosts), _after(each.hosts, last, positions))
                positions[each.hosts.host] = Position(each.hosts.host, len(waves), reason)


def _after(candidate: Candidate, last: str | None, positions: t.Mapping[str, Position]) -> str:
    if last is None:
        return ""
    says = "; after {0} of its redundancy group {1} (wave {2})"
    return says.format(last, ", ".join(candidate.groups), positions[last].wave)


class _Queue:
    """Hosts rack by rack, of which the first of each bucket may be taken."""

    def __init__(self, members: t.Sequence[_Ranked]) -> None:
        racks: dict[str | None, int] = {}
        for each in members:
            racks.setdefault(each.hosts.rack, len(racks))
        ordered = sorted(members, key=lambda each: (racks[each.hosts.rack], each.rank))
        self._waiting: dict[int, list[tuple[int, _Ranked]]] = {}
        for place, each in reversed(list(enumerate(ordered))):
            self._waiting.setdefault(each.bucket, []).append((place, each))
        self._heads = [(waiting[-1][0], bucket) for bucket, waiting in self._waiting.items()]
        heapq.heapify(self._heads)
        self._last: dict[int, str] = {}

    def __bool__(self) -> bool:
        return bool(self._heads)

    def take(self, limit: int) -> list[tuple[_Ranked, str | None]]:
        """At most so many, each of another bucket, with the host of its bucket that went before it."""
        buckets = [heapq.heappop(self._heads)[1] for _number in range(min(limit, len(self._heads)))]
        found = []
        for bucket in buckets:
            waiting = self._waiting[bucket]
            _place, each = waiting.pop()
            found.append((each, self._last.get(bucket)))
            self._last[bucket] = each.hosts.host
            if waiting:
                heapq.heappush(self._heads, (waiting[-1][0], bucket))
        return found


# --- the gate --------------------------------------------------------------------------------------------------------

Look = t.Mapping[str, t.Any]


def look_of(facts: t.Any, health: t.Any, judged: t.Any) -> dict[str, t.Any]:
    """What the gate compares; None for what was not seen.

    {armed, proven, proven_says, verdict, verdict_says, release, links {name of a NIC: whether it has link}, health},
    where `health` is what `_host.health` read, or None where nobody asked for it.
    """
    facts = _mapping(facts)
    capture, kernel = _mapping(facts.get("capture")), _mapping(facts.get("kernel"))
    unread = _mapping(capture.get("unread"))
    verdict = judged.get("verdict") if isinstance(judged, dict) else None
    release = kernel.get("release")
    return {
        "armed": _truth(capture.get("armed")),
        "proven": _truth(capture.get("proven")),
        "proven_says": clean(str(unread.get("proven") or ""), 200),
        "verdict": verdict if verdict in judge.ORDER else judge.UNKNOWN,
        "verdict_says": clean(str(judged.get("says") or ""), 300) if isinstance(judged, dict) else "",
        "release": clean(release, 80) if isinstance(release, str) else None,
        "links": _links_of(facts),
        "health": health if isinstance(health, dict) else None,
    }


def _links_of(facts: t.Mapping[str, t.Any]) -> dict[str, bool | None]:
    nics = facts.get("nics")
    found = {}
    for nic in nics[:_NICS_LIMIT] if isinstance(nics, list) else ():
        if isinstance(nic, dict) and isinstance(nic.get("name"), str) and nic.get("virtual") is False:
            found[clean(nic["name"], 32)] = _truth(nic.get("link"))
    return found


def _mapping(value: t.Any) -> dict[str, t.Any]:
    return value if isinstance(value, dict) else {}


def _truth(value: t.Any) -> bool | None:
    return value if isinstance(value, bool) else None


def judge_gate(before: Look | None, after: Look | None) -> list[Problem]:
    """What is worse after than before, errors first; both are of `look_of`, None where the host did not answer.

    What was bad before is not held against the change. A proof that lapsed since what it was made with has changed is
    a warning, as the change was wanted; the next drill tells.
    """
    if after is None:
        return [Problem("lost", "error", None, "it does not answer after its change", "look at its console")]
    found = [] if before is None else [*_verdict(before, after), *_capture(before, after), *_health(before, after)]
    return sorted(found, key=lambda finding: finding.severity)


def _verdict(before: Look, after: Look) -> t.Iterator[Problem]:
    if judge.ORDER.index(after["verdict"]) < judge.ORDER.index(before["verdict"]):
        says = "its pairing was {0} and is {1}: {2}"
        message = says.format(before["verdict"], after["verdict"], after.get("verdict_says") or "no reason given")
        yield Problem("verdict", "error", None, clean(message, 400), "crashready pairings explain")


def _capture(before: Look, after: Look) -> t.Iterator[Problem]:
    if before["armed"] is True and after["armed"] is not True:
        seen = "is not" if after["armed"] is False else "nobody can see whether it is"
        yield Problem("armed", "error", None, "it was armed and {0}".format(seen), "systemctl status kdump-tools")
    if before["proven"] is True and after["proven"] is not True:
        lapsed = after["proven"] is False and "has lapsed" in after["proven_says"]
        message = "its capture was proven and is not: {0}".format(after["proven_says"] or "no reason given")
        yield Problem("proven", "warning" if lapsed else "error", None, message, "crashready drill")


def _health(before: Look, after: Look) -> t.Iterator[Problem]:
    if before["health"] is None:
        yield from _links(before, after)
        return
    if after["health"] is None:
        message = "its links, addresses and units were seen before and cannot be read"
        yield Problem("health_unread", "error", None, message, "run again")
        return
    try:
        # Which kernel it was to boot is the matter of the step that booted it.
        findings = compare(before["health"], after["health"], after["health"]["release"])
    except (KeyError, TypeError, AttributeError, ValueError) as exc:
        raise CoreError("this is no health of a host: {0!r}".format(exc)) from exc
    yield from (each for each in findings if each.id != "not_armed")


def _links(before: Look, after: Look) -> t.Iterator[Problem]:
    for name, link in before["links"].items():
        if link is True and after["links"].get(name) is not True:
            seen = "none" if after["links"].get(name) is False else "one that cannot be seen"
            yield Problem("link", "error", None, "{0} had link and has {1}".format(name, seen), "ip link; dmesg")

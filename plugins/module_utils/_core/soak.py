# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""A soak: which hosts, may it start on this one, and what its program is told.

Real traffic across one NIC can take a host down, which is what it is for. So everything that stands against it is
found before the first packet, all of it at once.
"""

from __future__ import annotations

import ipaddress
import json
import re
import typing as t

from . import soakprofile, soakrecord
from .errors import CoreError, ParseError
from .problems import Problem
from .routes import checked_interface
from .text import clean

__all__ = [
    "Asked",
    "End",
    "Pair",
    "Plan",
    "addresses_of",
    "choose_addresses",
    "conclude",
    "find_blockers",
    "make_plan",
    "pairs_from",
    "parse_plan",
    "render_plan",
    "sides_of",
    "unit_of",
]

Seen = t.Mapping[str, t.Any]
_HOST_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,254}")
_PLAN_LIMIT = 256 * 1024


def unit_of(soak_id: str) -> str:
    """The systemd unit of a soak."""
    return "crashready-soak@{0}.service".format(soak_id)


# --- which hosts ------------------------------------------------------------------------------------------------------


class End(t.NamedTuple):
    """One end of the wire. `address` None: the first that has a peer in its subnet."""

    host: str
    nic: str
    address: str | None = None


class Pair(t.NamedTuple):
    """The two ends."""

    server: End
    client: End


def pairs_from(given: t.Any, inventory: t.Container[str]) -> list[Pair]:
    """From a list of {server: {host, nic, address}, client: {...}}. Raises CoreError with everything that is wrong."""
    if not isinstance(given, (list, tuple)) or not given or len(given) > 1000:
        raise CoreError("no pair is named: crashready_pairs is a list of {server: {host, nic}, client: {host, nic}}")
    pairs: list[Pair] = []
    wrong: list[str] = []
    for number, each in enumerate(given, 1):
        try:
            if not isinstance(each, t.Mapping) or set(each) != {"server", "client"}:
                raise CoreError("it has the keys server and client, and no others")
            pair = Pair(_end(each["server"], "server"), _end(each["client"], "client"))
            if pair.server.host == pair.client.host:
                raise CoreError("both ends are {0}: the traffic would not leave it".format(pair.server.host))
            pairs.append(pair)
        except CoreError as exc:
            wrong.append("pair {0}: {1}".format(number, exc))
    names = [end.host for pair in pairs for end in pair]
    wrong += ["{0} is no host of the inventory".format(name) for name in sorted(set(names)) if name not in inventory]
    wrong += [
        "{0} is in more than one pair: a host soaks one NIC in one run".format(name)
        for name in sorted(set(names))
        if names.count(name) > 1
    ]
    if wrong:
        raise CoreError("; ".join(wrong))
    return pairs


def _end(given: t.Any, side: str) -> End:
    if not isinstance(given, t.Mapping) or not {"host", "nic"} <= set(given) <= {"host", "nic", "address"}:
        raise CoreError("{0} has host and nic, and may have address".format(side))
    host = given["host"]
    if not isinstance(host, str) or not _HOST_NAME.fullmatch(host):
        raise CoreError("{0}: {1!r} is no name of a host".format(side, clean(str(host), 60)))
    address = given.get("address")
    nic = checked_interface(str(given["nic"]), "{0}: nic".format(side))
    return End(host, nic, _address(address, side) if address else None)


def _address(text: t.Any, what: str) -> str:
    try:
        # Without a zone: whatever stands behind a "%" is any text, and would go on to a command line.
        return str(ipaddress.ip_address(str(text).replace("%", "/")))
    except ValueError as exc:
        raise CoreError("{0}: {1!r} is no IP address".format(what, clean(str(text), 60))) from exc


def sides_of(pairs: t.Sequence[Pair]) -> dict[str, dict[str, t.Any]]:
    """For each host {side, nic, address, peer, peer_nic, peer_address} as the playbook gives it to the role."""
    found: dict[str, dict[str, t.Any]] = {}
    for pair in pairs:
        for side, own, peer in (("server", pair.server, pair.client), ("client", pair.client, pair.server)):
            found[own.host] = {
                "side": side,
                "nic": own.nic,
                "address": own.address or "",
                "peer": peer.host,
                "peer_nic": peer.nic,
                "peer_address": peer.address or "",
            }
    return found


# --- may it start -----------------------------------------------------------------------------------------------------


class Asked(t.NamedTuple):
    """What the user wants of one host, and what the peer said of itself (its own `look`, {} where it said nothing)."""

    name: str  #: inventory name of the host
    side: str
    nic: str
    peer: str
    profile: Seen  #: as make_profile gives it
    seconds: int
    consent: str | None = None
    address: str | None = None
    peer_address: str | None = None
    unarmed_ok: bool = False
    management_ok: bool = False
    soak_id: str = ""
    experiment: str = ""
    phase: str = "single"
    offer: t.Mapping[str, t.Any] = {}


def find_blockers(seen: Seen, asked: Asked) -> list[Problem]:
    """Every reason not to start. `seen` is what `_change.soakhost.look` gives."""
    found = [*_consent(asked), *_place(seen, asked)]
    nic = seen["nic"]
    if not nic["exists"]:
        told = "{0} has no NIC {1}".format(asked.name, asked.nic)
        return [*found, _problem("no_nic", told, "see the names with: ip -brief link")]
    return [*found, *_nic(nic, asked), *_way(seen, asked), *_profile(seen, asked), *_running(seen, asked)]


def _problem(name: str, message: str, remedy: str) -> Problem:
    return Problem(name, "error", None, message, remedy)


def _consent(asked: Asked) -> t.Iterator[Problem]:
    if asked.consent == asked.name:
        return
    message = "nobody said yes to a load on {0}, which may take it down".format(asked.name)
    if asked.consent:
        message += " (the yes is for {0!r})".format(clean(asked.consent, 80))
    remedy = "set nic_soak_consent: {0} for this host, or name it in crashready_yes_soak"
    yield _problem("no_consent", message, remedy.format(asked.name))


def _place(seen: Seen, asked: Asked) -> t.Iterator[Problem]:
    if seen["euid"] != 0:
        yield _problem("root", "a soak needs root on the host", "set become: true (ansible-playbook -b)")
    if seen["boot_id"] is None:
        told = "the boot id of {0} cannot be read, so that a panic could not be told"
        yield _problem("boot_id", told.format(asked.name), "look at /proc/sys/kernel/random/boot_id")
    elif seen["boot_id"] == asked.offer.get("boot_id"):
        told = "{0} and {1} are one machine: they have the same boot id"
        yield _problem("one_machine", told.format(asked.name, asked.peer), "name two machines")
    if not asked.offer:
        told = "nothing is known of the peer {0}: it did not answer".format(asked.peer)
        yield _problem("no_peer", told, "try: ansible {0} -m ansible.builtin.ping".format(asked.peer))
    if not seen["applicable"]:
        told = "a soak wants a host with a kernel of its own: {0}".format(seen["applicable_reason"])
        yield _problem("container", told, "soak the machine below it")
    elif seen["armed"] is not True and not asked.unarmed_ok:
        told = "no capture kernel is loaded on {0}: a panic would be lost".format(asked.name)
        yield _problem("not_armed", told, "run harden-crash.yml for this host, or set nic_soak_unarmed_ok: true")


def _nic(nic: Seen, asked: Asked) -> t.Iterator[Problem]:
    if nic["up"] is False:
        yield _problem("down", "{0} is down".format(asked.nic), "ip link set {0} up".format(asked.nic))
    elif nic["carrier"] is not True:
        told = "{0} has no link".format(asked.nic)
        yield _problem(
            "no_link", told, "look at the cable and at the peer's end: ip -brief link show {0}".format(asked.nic)
        )
    if not nic["addresses"]:
        told = "{0} has no address that a peer could reach".format(asked.nic)
        if nic["unread"].get("addresses"):
            told = "the addresses of {0} cannot be read: {1}".format(asked.nic, nic["unread"]["addresses"])
        yield _problem("no_address", told, "give it one in a subnet that only this wire has")
    elif asked.address and asked.address not in [text for text, _length in nic["addresses"]]:
        told = "{0} does not have the address {1}".format(asked.nic, asked.address)
        yield _problem("no_address", told, "it has: {0}".format(", ".join(text for text, _length in nic["addresses"])))


def _way(seen: Seen, asked: Asked) -> t.Iterator[Problem]:
    nic = seen["nic"]
    offered = _offered(asked)
    chosen = None
    if _wanted(nic["addresses"], asked.address) and offered.get("addresses"):
        try:
            chosen = addresses_of(seen, asked)
        except CoreError as exc:
            yield _problem("no_subnet", str(exc), "give both ends addresses of one subnet")
    if chosen is not None and seen["routes"].get(chosen[1], asked.nic) != asked.nic:
        told = "the way to {0} leaves by {1} and not by {2}"
        device = seen["routes"][chosen[1]] or "no NIC at all"
        remedy = "give the wire a subnet that no other NIC of the host has; see: ip route get {0}"
        yield _problem("route", told.format(chosen[1], device, asked.nic), remedy.format(chosen[1]))
    why = seen["management"]["devices"].get(asked.nic)
    if why and not asked.management_ok:
        told = "{0} carries the way to {1}: {2}".format(asked.nic, asked.name, why)
        yield _problem(
            "management", told, "name another NIC; where you can do without it: nic_soak_management_ok: true"
        )


def _offered(asked: Asked) -> Seen:
    """What the peer says of its NIC, as far as it is an object at all."""
    found = asked.offer.get("nic")
    return found if isinstance(found, t.Mapping) else {}


def addresses_of(seen: Seen, asked: Asked) -> tuple[str, str]:
    """(own, peer's) address of the soak, the same pair on both hosts. Raises CoreError."""
    own = _wanted(seen["nic"]["addresses"], asked.address)
    peer = _wanted(_offered(asked).get("addresses"), asked.peer_address)
    if asked.side == "server":
        return choose_addresses(own, peer, asked.peer)
    theirs, mine = choose_addresses(peer, own, asked.name)
    return mine, theirs


def _wanted(addresses: t.Any, wanted: str | None) -> list[tuple[str, int]]:
    """Of a host's addresses, checked: they may be another host's word."""
    found = []
    for each in addresses if isinstance(addresses, (list, tuple)) else ():
        if isinstance(each, (list, tuple)) and len(each) == 2 and isinstance(each[1], int) and 0 <= each[1] <= 128:
            found.append((_address(each[0], "address"), each[1]))
    return [each for each in found if wanted is None or each[0] == wanted]


def choose_addresses(
    server: t.Sequence[tuple[str, int]], client: t.Sequence[tuple[str, int]], name: str
) -> tuple[str, str]:
    """The first two that are in one subnet by both ends' word. Raises CoreError."""
    for own, own_length in server:
        for peer, peer_length in client:
            if own != peer and _in(peer, own, own_length) and _in(own, peer, peer_length):
                return own, peer
    told = "no address here ({0}) is in one subnet with one of {1} ({2})"
    shown = [", ".join("{0}/{1}".format(*each) for each in each_end) or "none" for each_end in (server, client)]
    raise CoreError(told.format(shown[0], name, shown[1]))


def _in(address: str, of: str, length: int) -> bool:
    try:
        return ipaddress.ip_address(address) in ipaddress.ip_network("{0}/{1}".format(of, length), strict=False)
    except ValueError:
        return False


def _profile(seen: Seen, asked: Asked) -> t.Iterator[Problem]:
    own, peer = seen["nic"], _offered(asked)
    try:
        soakprofile.with_link(asked.profile, [own["speed_mbps"], _count(peer.get("speed_mbps"))])
    except CoreError as exc:
        yield _problem("rate", str(exc), "set rate_mbps in crashready_soak_parameters (nic_soak_parameters)")
    mtu = soakprofile.needed_mtu(asked.profile)
    if mtu is not None and (own["mtu"] is None or own["mtu"] < mtu):
        told = "the profile {0} needs an MTU of {1}, and {2} has {3}"
        told = told.format(asked.profile["name"], mtu, asked.nic, own["mtu"] or "one that cannot be read")
        yield _problem("mtu", told, "ip link set {0} mtu {1} on both ends, and at the switch".format(asked.nic, mtu))
    if seen["iperf3"] is False:
        yield _problem("iperf3", "iperf3 is not installed on {0}".format(asked.name), "apt-get install iperf3")


def _count(value: t.Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 31 else None


def _running(seen: Seen, asked: Asked) -> t.Iterator[Problem]:
    for other in seen["records"]["running"]:
        if other["id"] != asked.soak_id and other["nic"] == asked.nic:
            told = "another soak, {0}, runs over {1} now (with {2})"
            remedy = (
                "wait for it, or stop it: ansible {0} -b -m rackops.crashready.nic_soak -a 'state=stopped soak_id={1}'"
            )
            yield _problem(
                "running", told.format(other["id"], asked.nic, other["peer"]), remedy.format(asked.name, other["id"])
            )


# --- what the program is told -----------------------------------------------------------------------------------------


class Plan(t.NamedTuple):
    """All that the program on the host needs: its record as it begins, and the speed for a ramp without a rate."""

    record: dict[str, t.Any]
    speed_mbps: int | None


def make_plan(seen: Seen, asked: Asked, now_utc_s: float) -> Plan:
    """The soak of this host; call it where `find_blockers` found nothing. Raises CoreError."""
    address, peer_address = addresses_of(seen, asked)
    speeds = [seen["nic"]["speed_mbps"], _count(_offered(asked).get("speed_mbps"))]
    profile = soakprofile.with_link(asked.profile, speeds)
    planned_s = soakprofile.check_seconds(asked.seconds)
    if not soakrecord.NAME.fullmatch(asked.experiment):
        raise CoreError("{0!r} is no name of an experiment".format(clean(asked.experiment, 80)))
    record = {
        "schema": soakrecord.SCHEMA,
        "id": asked.soak_id,
        "name": asked.experiment,
        "phase": asked.phase,
        "side": asked.side,
        "host": asked.name,
        "peer": asked.peer,
        "nic": asked.nic,
        "address": address,
        "peer_address": peer_address,
        "profile": profile,
        "planned_s": planned_s,
        "boot_id": seen["boot_id"],
        **seen["identity"],
        "started_at": soakrecord.utc_text(now_utc_s),
        "elapsed_s": 0,
        "silent_s": 0,
        "state": "running",
        "reason": None,
        "traffic": dict.fromkeys(("rx_bytes", "tx_bytes", "rx_packets", "tx_packets"), 0),
        "errors": {},
        "samples": [],
        "interval_s": soakprofile.interval_for(profile, planned_s),
        "crashes_before": seen["crashes_before"],
    }
    known = [speed for speed in speeds if speed]
    return Plan(soakrecord.parse(soakrecord.render(record)), min(known) if known else None)


def render_plan(plan: Plan) -> str:
    """As `parse_plan` reads it."""
    return json.dumps({"record": plan.record, "speed_mbps": plan.speed_mbps}, sort_keys=True, indent=1) + "\n"


def parse_plan(text: str) -> Plan:
    """What `render_plan` wrote. Raises ParseError."""
    try:
        found = json.loads(text) if len(text) <= _PLAN_LIMIT else None
    except (ValueError, RecursionError) as exc:
        raise ParseError("the plan is half-written, or none: {0}".format(clean(str(exc), 120))) from exc
    if not isinstance(found, dict) or set(found) != {"record", "speed_mbps"}:
        raise ParseError("this is no plan of a soak")
    record = soakrecord.parse(json.dumps(found["record"]))
    given = {key: value for key, value in record["profile"].items() if key != "name"}
    try:
        profile = soakprofile.make_profile(record["profile"]["name"], given)
    except CoreError as exc:
        raise ParseError(str(exc)) from exc
    return Plan({**record, "profile": profile}, _count(found["speed_mbps"]))


# --- how it ended -----------------------------------------------------------------------------------------------------


def conclude(
    pairs: t.Sequence[Pair], facts: t.Mapping[str, Seen], waited: bool, check_mode: bool = False
) -> dict[str, t.Any]:
    """{told [a line for each pair], failed [lines], panics [hosts]} from the fact `crashready_soak` of each host.

    In check mode a host of which nothing is known would start. A panic is what a soak is there to find, so it is no
    failure; what was refused, stopped or lost is one, and what still runs where it was waited for.
    """
    told, failed, panics = [], [], []
    for pair in pairs:
        known = [(end.host, _believed((facts.get(end.host) or {}).get("outcome"))) for end in pair]
        ends = "{0} ({1}) and {2} ({3})".format(pair.server.host, pair.server.nic, pair.client.host, pair.client.nic)
        if check_mode and not any(outcome for _host, outcome in known):
            told.append("{0}: would start".format(ends))
            continue
        found = [dict(outcome or _NOTHING, host=host) for host, outcome in known if outcome or not check_mode]
        counts = soakrecord.of_pair(found)
        # Where both ends stopped, one of them says no more than that the other did.
        both = counts["outcome"] == "stopped" and len({each["outcome"] for each in found}) == 1
        line = "{0}: {1}".format(ends, "; ".join(_line(each) for each in (found if both else [counts])))
        told.append(line)
        panics += [each["host"] for each in found if each["outcome"] == "panic"]
        if counts["outcome"] in ("lost", "stopped") or (waited and counts["outcome"] == "running"):
            failed.append(line)
    return {"told": told, "failed": failed, "panics": panics}


def _believed(outcome: t.Any) -> dict[str, t.Any] | None:
    """As a host told it; what is none is nothing that was heard."""
    try:
        return None if outcome is None else soakrecord.check_outcome(outcome)
    except ParseError as exc:
        return {**_NOTHING, "reason": str(exc)}


_NOTHING: dict[str, t.Any] = {
    "outcome": "lost",
    "time_to_panic_s": None,
    "dump": None,
    "signature": None,
    "path": None,
    "last_sample_s": None,
    "reason": "nothing was heard of it",
}


def _line(outcome: Seen) -> str:
    word, host = outcome["outcome"], outcome["host"]
    if word == "panic":
        kept = "its dump is {0}".format(outcome["dump"]) if outcome["dump"] else "without a whole dump"
        return "{0} panicked after {1:.0f} s; {2}: {3}".format(
            host, outcome["time_to_panic_s"], kept, outcome["reason"]
        )
    if word == "silent":
        return "silent for {0:.0f} s".format(outcome["last_sample_s"] or 0)
    return "{0} on {1}: {2}".format(word, host, outcome["reason"])

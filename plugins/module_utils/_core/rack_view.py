# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""One picture of a rack: hosts in their places, NIC x firmware x kernel with the odd ones, crashes, remedies.

`host_row` takes what was seen and judged of one host and keeps the little that a
picture needs, so that ten thousand hosts fit; `make_report` puts the rows together.
Texts of hosts are cleaned and bounded here. What is put into a command line has a
grammar, and is left out of it where it does not keep to it.
"""

from __future__ import annotations

import re
import shlex
import typing as t

from . import judge
from .text import clean

__all__ = [
    "CAPTURES",
    "GROUP",
    "RACK",
    "SCHEMA",
    "STATES",
    "UNIT",
    "Place",
    "crash_rows",
    "harden_command",
    "host_row",
    "is_plain_name",
    "make_report",
    "odd_values",
    "place_of",
]

#: Version of the shape of `crashready report --json`: docs/report.schema.json.
SCHEMA = 1
#: Of a host, worst first: those of `crashready check`.
STATES = ("bad", "unknown", "suspect", "well")
CAPTURES = ("armed", "not armed", "unknown", "not applicable")

#: Variables of the inventory that say where a host stands.
RACK, UNIT, GROUP = "crashready_rack_name", "crashready_rack_unit", "crashready_redundancy_group"

#: How many hosts of one kind of card make a majority that others can differ from.
_USUAL_FROM = 3
#: Host names in one command: a line of a shell is at most 128 KiB long (MAX_ARG_STRLEN, include/uapi/linux/binfmts.h).
_HOSTS_IN_COMMAND = 200
_CARDS_LIMIT = 256
_CRASHES_LIMIT = 64
_PROBLEMS_LIMIT = 64
_SAYS_LIMIT = 40

#: A host name that is no pattern of Ansible's and no word of a shell; a NIC's name likewise.
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}")
_NIC = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@:-]{0,31}")

Row = dict[str, t.Any]


class Place(t.NamedTuple):
    """Where a host stands, as the inventory has it."""

    rack: str | None  #: of `crashready_rack_name`
    unit: str | None  #: of `crashready_rack_unit`
    group: str | None  #: of `crashready_redundancy_group`
    section: str  #: under which heading it is shown


def is_plain_name(name: str) -> bool:
    """Whether a host's name means that one host in `--limit` and in a shell, and nothing else."""
    return _PLAIN.fullmatch(name) is not None and name not in ("all", "ungrouped")


def place_of(variables: t.Mapping[str, t.Any]) -> Place:
    """From variables of the inventory; without any, the first of the host's own groups."""
    rack, unit, group = (_word(variables.get(name)) for name in (RACK, UNIT, GROUP))
    groups = variables.get("group_names")
    names = [_word(each) for each in groups if each != "ungrouped"] if isinstance(groups, (list, tuple)) else []
    return Place(rack, unit, group, rack or group or next((name for name in names if name), None) or "")


def _word(value: t.Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    return clean(str(value), 80) or None


def _mapping(value: t.Any) -> dict[str, t.Any]:
    return value if isinstance(value, dict) else {}


def _text(value: t.Any, limit: int = 120) -> str | None:
    return clean(value, limit) or None if isinstance(value, str) else None


# --- one host --------------------------------------------------------------------------------------------------------


def host_row(host: str, facts: t.Any, checked: t.Mapping[str, t.Any], place: Place) -> Row:
    """What a picture needs of a host.

    `checked` is what `crashready check --json` says of it ({state, capture, says, pairings, failure}), with `cause` and
    `next` for a host without facts.
    """
    facts, judged = _mapping(facts), _mapping(checked.get("pairings"))
    capture, kernel = _mapping(facts.get("capture")), _mapping(facts.get("kernel"))
    reserved = capture.get("reserved_bytes")
    return {
        "host": clean(host, 200),
        "rack": place.rack,
        "unit": place.unit,
        "group": place.group,
        "section": place.section,
        "state": checked["state"],
        "capture": checked["capture"],
        "verdict": str(judged.get("verdict") or "unknown"),
        "says": [clean(str(line), 600) for line in checked["says"]][:_SAYS_LIMIT],
        "failure": _text(checked.get("failure"), 600),
        "kernel": _kernel(kernel),
        "reserved_bytes": reserved if isinstance(reserved, int) and not isinstance(reserved, bool) else None,
        "proven": _proven(capture),
        "cards": _cards(facts, judged, _kernel(kernel)),
        "crashes": _crashes(host, facts.get("crashes")),
        "asks": [*_asks_of_pairings(judged), *_asks_of_capture(capture), *_ask_of_failure(checked)],
    }


def _kernel(kernel: dict[str, t.Any]) -> str | None:
    release, version = _text(kernel.get("release")), _text(kernel.get("package_version"))
    return "{0} ({1})".format(release, version) if release and version else release


def _proven(capture: dict[str, t.Any]) -> Row:
    proven = capture.get("proven")
    proven = proven if isinstance(proven, bool) else None
    reason = _text(_mapping(capture.get("unread")).get("proven"), 300)
    return {"state": proven, "reason": None if proven else reason or "not seen"}


def _cards(facts: dict[str, t.Any], judged: dict[str, t.Any], kernel: str | None) -> list[Row]:
    """Its cards, those of the same kind together: {names, model, ids, driver, firmware, kernel, verdict}."""
    verdicts = {nic.get("name"): nic.get("verdict") for nic in judged.get("nics") or () if isinstance(nic, dict)}
    models = _models(facts.get("nics"))
    found: dict[tuple[t.Any, ...], Row] = {}
    for name, card in (judge.physical_cards(facts) or [])[:_CARDS_LIMIT]:
        ids = "{0}:{1}".format(*card.pci[:2]) if card.pci and None not in card.pci[:2] else None
        firmware = _text(card.firmware, 64)
        row = found.setdefault(
            (ids, card.driver, firmware),
            {"names": [], "model": models.get(name), "ids": ids, "driver": card.driver, "firmware": firmware},
        )
        row["names"].append(name)
        row["kernel"] = kernel
        row["verdict"] = judge.worst([row.get("verdict", judge.CLEAR), str(verdicts.get(name))])
    return list(found.values())


def _models(nics: t.Any) -> dict[str, str | None]:
    found = {}
    for nic in nics if isinstance(nics, list) else ():
        if isinstance(nic, dict) and isinstance(nic.get("name"), str):
            found[clean(nic["name"], 64)] = _text(_mapping(nic.get("pci")).get("model"))
    return found


def _crashes(host: str, crashes: t.Any) -> list[Row]:
    """What lies in its crash folder, as crash_rows takes it. A dump that nobody explained has no signature."""
    found = []
    for each in (crashes if isinstance(crashes, list) else [])[:_CRASHES_LIMIT]:
        if not isinstance(each, dict):
            continue
        record = _mapping(each.get("record"))
        where = _text(each.get("path"), 200)
        found.append(
            {
                "host": clean(host, 200),
                "event": _text(record.get("event")) or where,
                "at": _text(record.get("crashed_at"), 40) or _stamped(each.get("stamp")),
                "signature": _text(_mapping(record.get("signature")).get("exact"), 200),
                **{key: _text(record.get(key)) for key in ("kind", "path", "driver", "function")},
                "kernel": _text(_mapping(record.get("kernel")).get("release")),
                "folder": where,
            }
        )
    return found


def _stamped(stamp: t.Any) -> str | None:
    """The time in a folder's name (kdump-config: date +%Y%m%d%H%M, the host's own zone), as if it were UTC."""
    if not isinstance(stamp, str) or not re.fullmatch(r"(19|20)[0-9]{10}", stamp):
        return None
    return "{0}-{1}-{2}T{3}:{4}:00+00:00".format(stamp[:4], stamp[4:6], stamp[6:8], stamp[8:10], stamp[10:12])


# --- what it asks for ------------------------------------------------------------------------------------------------


def _asks_of_pairings(judged: dict[str, t.Any]) -> list[Row]:
    found = []
    for remedy in judged.get("remedies") or ():
        entry, nics = str(remedy["entry"]), [str(name) for name in remedy["nics"]]
        if remedy.get("kernel"):
            says = "{0}: {1}".format(entry, clean(str(remedy["kernel"]), 400))
            found.append({"kind": "kernel", "says": says, "command": "", "entry": entry, "severity": "error"})
        plain = all(_NIC.fullmatch(name) for name in nics)
        for each in remedy.get("advice") or ():
            says = "{0}: {1}".format(entry, clean(str(each.get("says") or each.get("kind")), 400))
            command = clean(str(each.get("command") or ""), 400)
            if command and not plain:
                says, command = says + " (a NIC's name is not fit for a command line)", ""
            found.append({"kind": "host", "says": says, "command": command, "entry": entry, "severity": "error"})
    return found


def _asks_of_capture(capture: dict[str, t.Any]) -> list[Row]:
    found = []
    problems = capture.get("problems") if capture.get("applicable") is not False else None
    for each in (problems if isinstance(problems, list) else [])[:_PROBLEMS_LIMIT]:
        if not isinstance(each, dict) or not isinstance(each.get("remedy"), str):
            continue
        remedy = clean(each["remedy"], 400)
        kind = "harden" if "harden-crash.yml" in remedy else "text"
        severity = "error" if each.get("severity") == "error" else "warning"
        says = "the crash capture: run the playbook" if kind == "harden" else remedy
        found.append({"kind": kind, "says": says, "command": "", "entry": None, "severity": severity})
    return found


def _ask_of_failure(checked: t.Mapping[str, t.Any]) -> list[Row]:
    if not checked.get("failure"):
        return []
    says = "no facts: {0}".format(clean(str(checked.get("cause") or "see the host"), 200))
    after = clean(str(checked.get("next") or ""), 300)
    if after:
        says += "; {0}".format(after)
    return [{"kind": "text", "says": says, "command": "", "entry": None, "severity": "error"}]


def harden_command(inventory: t.Sequence[str], hosts: t.Sequence[str], more: t.Sequence[str] = ()) -> list[str]:
    """`crashready harden` for these hosts, as often as one command line cannot hold them all."""
    start = ["crashready", "harden", *(word for each in inventory for word in ("-i", each))]
    commands = []
    for first in range(0, len(hosts), _HOSTS_IN_COMMAND):
        part = hosts[first : first + _HOSTS_IN_COMMAND]
        commands.append(" ".join(shlex.quote(word) for word in [*start, "--limit", ",".join(part), *more]))
    return commands


def _remedies(rows: t.Sequence[Row], inventory: t.Sequence[str]) -> list[Row]:
    """Each remedy once, with its hosts; errors before warnings, then those of most hosts."""
    found: dict[tuple[str, ...], Row] = {}
    for row in rows:
        for ask in row["asks"]:
            key = (ask["kind"], ask["says"], ask["command"])
            remedy = found.setdefault(key, {**ask, "hosts": []})
            if ask["severity"] == "error":
                remedy["severity"] = "error"
            if not remedy["hosts"] or remedy["hosts"][-1] != row["host"]:
                remedy["hosts"].append(row["host"])
    order = sorted(found.values(), key=lambda each: (each["severity"] != "error", -len(each["hosts"]), each["says"]))
    return [_remedy(each, inventory) for each in order]


def _remedy(remedy: Row, inventory: t.Sequence[str]) -> Row:
    """With the commands: {says, severity, entry, where, commands, hosts, by_hand}."""
    plain = [name for name in remedy["hosts"] if is_plain_name(name)]
    commands: list[str] = []
    where = "text"
    if remedy["kind"] in ("harden", "kernel"):
        more = ("-e", "backports_kernel_enabled=true") if remedy["kind"] == "kernel" else ()
        where, commands = "controller", harden_command(inventory, plain, more)
    elif remedy["command"]:
        where, commands = "host", [remedy["command"]]
    return {
        "says": remedy["says"],
        "severity": remedy["severity"],
        "entry": remedy["entry"],
        "where": where,
        "commands": commands,
        "hosts": remedy["hosts"],
        "by_hand": [] if where != "controller" else [name for name in remedy["hosts"] if not is_plain_name(name)],
    }


# --- triples and the odd ones ----------------------------------------------------------------------------------------


def odd_values(counts: t.Mapping[str | None, int]) -> tuple[str | None, set[str]]:
    """The usual value of a card's firmware or kernel, and those that are odd beside it.

    The usual one has more than half of at least three hosts; without one nothing is odd. What was not seen (None)
    is neither.
    """
    total = sum(counts.values())
    known = {value: count for value, count in counts.items() if value is not None}
    if total < _USUAL_FROM or not known:
        return None, set()
    usual = max(sorted(known), key=lambda value: known[value])
    if known[usual] * 2 <= total:
        return None, set()
    return usual, {value for value in known if value != usual}


def _triples(rows: t.Sequence[Row]) -> tuple[list[Row], dict[tuple[t.Any, ...], int]]:
    """Each NIC x firmware x kernel once, those of a card together, and the number of each."""
    found: dict[tuple[t.Any, ...], Row] = {}
    for row in rows:
        for card in row["cards"]:
            key = _triple_key(card)
            triple = found.setdefault(
                key,
                {
                    **{name: card[name] for name in ("model", "ids", "driver", "firmware", "kernel")},
                    "verdict": judge.CLEAR,
                    "hosts": 0,
                    "nics": 0,
                    "odd": [],
                },
            )
            triple["model"] = triple["model"] or card["model"]
            triple["verdict"] = judge.worst([triple["verdict"], card["verdict"]])
            triple["hosts"] += 1
            triple["nics"] += len(card["names"])
    _mark_odd(list(found.values()))
    order = sorted(found, key=lambda key: tuple(str(part) for part in key))
    return [found[key] for key in order], {key: number for number, key in enumerate(order)}


def _triple_key(card: Row) -> tuple[t.Any, ...]:
    return tuple(card[name] for name in ("driver", "ids", "firmware", "kernel"))


def _mark_odd(triples: t.Sequence[Row]) -> None:
    """Give each triple the reasons why it is an odd one among the hosts with the same card and driver."""
    of_card: dict[tuple[t.Any, ...], list[Row]] = {}
    for triple in triples:
        of_card.setdefault((triple["ids"], triple["driver"]), []).append(triple)
    for same in of_card.values():
        for what in ("firmware", "kernel"):
            counts: dict[str | None, int] = {}
            for triple in same:
                counts[triple[what]] = counts.get(triple[what], 0) + triple["hosts"]
            usual, odd = odd_values(counts)
            for triple in same:
                if triple[what] in odd:
                    says = "{0}: {1} of {2} with this card have {3}"
                    triple["odd"].append(says.format(what, counts[usual], sum(counts.values()), usual))


# --- crashes ---------------------------------------------------------------------------------------------------------


def crash_rows(rows: t.Sequence[Row], kept: t.Iterable[t.Mapping[str, t.Any]]) -> list[Row]:
    """Crashes of these hosts: what lies on them, and what the store has ({host, event, crashed_at, signature, ...}).

    One crash that both have is one; what the store knows of it counts.
    """
    names = {row["host"] for row in rows}
    short = {name.partition(".")[0].lower(): name for name in sorted(names)}
    found = {(crash["host"], crash["event"]): crash for row in rows for crash in row["crashes"]}
    for each in kept:
        host = str(each.get("host") or "")
        host = host if host in names else short.get(host.partition(".")[0].lower(), "") if host else ""
        if host:
            event = _text(each.get("event"))
            known, told = found.get((host, event), {}), _kept_crash(host, each)
            seen = {key: value for key, value in told.items() if value is not None}
            found[(host, event)] = {**told, **known, **seen}
    return sorted(found.values(), key=lambda crash: (crash["at"] or "", crash["host"], str(crash["event"])))


def _kept_crash(host: str, crash: t.Mapping[str, t.Any]) -> Row:
    return {
        "host": host,
        "event": _text(crash.get("event")),
        "at": _text(crash.get("crashed_at"), 40),
        "signature": _text(_mapping(crash.get("signature")).get("exact"), 200),
        **{key: _text(crash.get(key)) for key in ("kind", "path", "driver", "function", "kernel")},
    }


def _by_signature(crashes: t.Sequence[Row]) -> list[Row]:
    """Crashes of one signature together, most crashes first; those that nobody explained come last."""
    found: dict[str | None, Row] = {}
    for crash in crashes:
        signature = crash["signature"]
        group = found.setdefault(
            signature,
            {
                "signature": signature,
                **{key: crash.get(key) for key in ("kind", "path", "driver", "function")},
                "first": None,
                "last": None,
                "hosts": [],
                "crashes": [],
            },
        )
        group["crashes"].append({key: crash.get(key) for key in ("host", "at", "kernel", "folder")})
        if crash["at"]:
            group["first"] = min(filter(None, (group["first"], crash["at"])))
            group["last"] = max(filter(None, (group["last"], crash["at"])))
        if crash["host"] not in group["hosts"]:
            group["hosts"].append(crash["host"])
    return sorted(
        found.values(), key=lambda each: (each["signature"] is None, -len(each["crashes"]), str(each["signature"]))
    )


# --- all of it -------------------------------------------------------------------------------------------------------


def make_report(
    rows: t.Sequence[Row],
    generated_at: str,
    inventory: t.Sequence[str] = ("rack",),
    crashes: t.Iterable[t.Mapping[str, t.Any]] = (),
    armed_since: t.Mapping[str, str] | None = None,
    drills: t.Mapping[str, t.Mapping[str, t.Any]] | None = None,
    experiments: t.Iterable[Row] = (),
) -> Row:
    """The report of docs/report.schema.json: {schema, generated_at, summary, hosts, triples, crashes, soaks, remedies}.

    `rows` are of `host_row`, `crashes`, `armed_since` and `drills` what the store knows, by host, `experiments` those
    that `experiment.judge_experiment` judged. Moments are texts.
    """
    triples, numbers = _triples(rows)
    all_crashes = crash_rows(rows, crashes)
    count: dict[str, int] = {}
    for crash in all_crashes:
        count[crash["host"]] = count.get(crash["host"], 0) + 1
    hosts = [
        _host(row, numbers, (armed_since or {}).get(row["host"]), (drills or {}).get(row["host"]), count)
        for row in sorted(rows, key=lambda row: (STATES.index(row["state"]), row["host"]))
    ]
    groups = _by_signature(all_crashes)
    return {
        "schema": SCHEMA,
        "generated_at": generated_at,
        "summary": {
            "hosts": len(hosts),
            "states": {state: sum(host["state"] == state for host in hosts) for state in STATES},
            "captures": {word: sum(host["capture"] == word for host in hosts) for word in CAPTURES},
            "proven": sum(host["proven"]["state"] is True for host in hosts),
            "odd": sum(any(triples[nic["triple"]]["odd"] for nic in host["nics"]) for host in hosts),
            "crashes": len(all_crashes),
            "signatures": sum(group["signature"] is not None for group in groups),
        },
        "hosts": hosts,
        "triples": triples,
        "crashes": groups,
        "soaks": _soaks({row["host"] for row in rows}, experiments),
        "remedies": _remedies(rows, inventory),
    }


def _soaks(names: set[str], experiments: t.Iterable[Row]) -> list[Row]:
    """Experiments with one of these hosts, the latest first."""
    found = [each for each in experiments if any(host["host"] in names for host in each["hosts"])]
    return sorted(found, key=lambda each: str(each["runs"][-1]["id"]), reverse=True)


def _host(
    row: Row,
    numbers: t.Mapping[tuple[t.Any, ...], int],
    armed_since: str | None,
    drill: t.Mapping[str, t.Any] | None,
    crashes: t.Mapping[str, int],
) -> Row:
    shown = {key: value for key, value in row.items() if key not in ("asks", "cards", "crashes")}
    proven = row["proven"]
    last = {key: drill.get(key) for key in ("state", "kind", "drilled_at")} if drill else None
    shown["proven"] = {**proven, "drill": last}
    shown["armed_since"] = armed_since if row["capture"] == "armed" else None
    shown["nics"] = [{"names": card["names"], "triple": numbers[_triple_key(card)]} for card in row["cards"]]
    shown["crashes"] = crashes.get(row["host"], 0)
    return shown

# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The facts of a host against the database of known bad pairings: a verdict for each NIC, with its reasons.

Kernel and firmware are two tests with three results each (bad, good, undecided).
A good one ends the matter. Only an entry that may be called bad (pin, file-check),
with every test decided bad, gives `bad`; everything else that is not good gives
`suspect`. Where no entry matches, the coverage says whether that means `clear` or
`unknown`. Facts are the word of a host: any JSON is taken, and nothing is raised.
"""

from __future__ import annotations

import typing as t

from . import firmware
from .coverage import Coverage
from .errors import CoreError
from .kernel_range import BAD, GOOD, UNDECIDED, Kernel, Numbers, Result, judge_kernel, running_kernel
from .pairing_entry import Cards, Entry
from .text import clean
from .waiver import Waiver

__all__ = [
    "CLEAR",
    "ORDER",
    "SCHEMA",
    "SUSPECT",
    "UNKNOWN",
    "WAIVED",
    "Card",
    "CardVerdict",
    "Database",
    "advice_for",
    "judge_host",
    "physical_cards",
    "tainted_by_foreign_modules",
    "why_bad",
    "worst",
]

#: Version of the shape that `judge_host` returns.
SCHEMA = 1
SUSPECT = "suspect"
WAIVED = "waived"
CLEAR = "clear"
UNKNOWN = "unknown"
#: Worst first. Unknown comes before suspect: nobody has looked there at all.
ORDER = (BAD, UNKNOWN, SUSPECT, WAIVED, CLEAR)

_NICS_LIMIT = 1024
_FILES_LIMIT = 256
_CACHE_LIMIT = 100_000
_OUT_OF_TREE = 1 << 12  # TAINT_OOT_MODULE, include/linux/panic.h

#: Drivers in the kernel that report a version of their own and not the kernel's release: read in Linux 6.1 and 6.12.
_OWN_VERSIONS: dict[str, t.Callable[[str], bool]] = {
    "virtio_net": lambda version: version == "1.0.0",
    "vmxnet3": lambda version: version.endswith("-k-NAPI"),
}


def worst(verdicts: t.Iterable[str]) -> str:
    """The one that counts of several, in the order of ORDER; of none, and for a word that is none, UNKNOWN."""
    known = (verdict if verdict in ORDER else UNKNOWN for verdict in verdicts)
    return min(known, key=ORDER.index, default=UNKNOWN)


class Card(t.NamedTuple):
    """What a NIC is, without what differs between two of the same: judgements are kept by it."""

    driver: str | None
    module: str | None
    own: bool | None  #: whether the driver is the kernel's own; entries speak of no other
    origin: str  #: why that is False or None
    pci: tuple[str | None, str | None, str | None, str | None] | None  #: ids; None: it has none
    pci_unread: bool
    virtual_function: bool | None
    firmware: str | None
    files: tuple[tuple[str, bool | None], ...]


class CardVerdict(t.NamedTuple):
    """The judgement of a card on a kernel, before waivers."""

    reasons: tuple[dict[str, t.Any], ...]  #: of entries; "verdict" is BAD or SUSPECT
    unknown: tuple[str, ...]  #: why the absence of a match would not mean "clear"
    rows: tuple[str, ...]  #: entries whose kernel test says bad and whose firmware test does not say good


class Database:
    """Entries by module, and what was judged before. One for many hosts; not for several threads."""

    def __init__(self, entries: t.Iterable[Entry], coverage: Coverage | None = None) -> None:
        self.entries = {entry.id: entry for entry in entries}
        self.coverage = coverage or Coverage()
        self._by_module: dict[str, list[Entry]] = {}
        for entry in sorted(self.entries.values(), key=lambda entry: entry.id):
            for module in sorted({firmware.grammar_of(name) for name in entry.modules}):
                self._by_module.setdefault(module, []).append(entry)
        self._kernels: dict[tuple[str, str, Kernel], Result] = {}
        self._cards: dict[tuple[Card, Kernel], CardVerdict] = {}

    def judge(self, card: Card, kernel: Kernel) -> CardVerdict:
        """The judgement of one card on one kernel; the same question is answered once."""
        key = (card, kernel)
        found = self._cards.get(key)
        if found is None:
            if len(self._cards) >= _CACHE_LIMIT:
                self._cards.clear()
            found = self._cards[key] = _judge_card(card, kernel, self)
        return found

    def of_modules(self, names: t.Iterable[str]) -> list[Entry]:
        """Entries about any of these modules or drivers, each once, by id."""
        found = {entry.id: entry for name in names for entry in self._by_module.get(name, ())}
        return [found[name] for name in sorted(found)]

    def kernel_result(self, entry: Entry, kernel: Kernel, driver: str) -> Result:
        """The kernel test of an entry."""
        key = (entry.id, driver, kernel)
        found = self._kernels.get(key)
        if found is None:
            if len(self._kernels) >= _CACHE_LIMIT:
                self._kernels.clear()
            found = self._kernels[key] = judge_kernel(entry.kernel, kernel, self._looked_up_to(entry, kernel, driver))
        return found

    def _looked_up_to(self, entry: Entry, kernel: Kernel, driver: str) -> Numbers | None:
        """ "No fix so far" ages with the review. Of a user's entry and of a file that a kernel needs it does not."""
        if entry.own or entry.use == "file-check":
            return None
        return self.coverage.reviewed(driver, kernel)


# --- facts ---------------------------------------------------------------------------------------------------------


def _text(value: t.Any, limit: int = 128) -> str | None:
    return clean(value, limit) or None if isinstance(value, str) else None


def _mapping(value: t.Any) -> dict[str, t.Any]:
    return value if isinstance(value, dict) else {}


def tainted_by_foreign_modules(kernel: t.Any) -> bool | None:
    """Whether a module from outside of the kernel was loaded since boot (taint O); None where that was not seen."""
    value = _mapping(_mapping(kernel).get("taint")).get("value")
    return bool(value & _OUT_OF_TREE) if isinstance(value, int) and not isinstance(value, bool) else None


def physical_cards(facts: t.Any) -> list[tuple[str, Card]] | None:
    """Name and card of each interface that is not virtual, in the order of the facts; None where they have no NICs."""
    facts = _mapping(facts)
    nics, kernel = facts.get("nics"), _mapping(facts.get("kernel"))
    if not isinstance(nics, list):
        return None
    found = []
    for nic in nics[:_NICS_LIMIT]:
        if isinstance(nic, dict) and nic.get("virtual") is not True:
            found.append((_text(nic.get("name"), 64) or "?", _card(nic, kernel)))
    return found


def _card(nic: dict[str, t.Any], kernel: dict[str, t.Any]) -> Card:
    unread, pci, driver = _mapping(nic.get("unread")), nic.get("pci"), _text(nic.get("driver"), 64)
    ids = None
    if isinstance(pci, dict):
        vendor, device, board_vendor, board = (
            _text(pci.get(key), 16) for key in ("vendor", "device", "subsystem_vendor", "subsystem_device")
        )
        ids = (vendor, device, board_vendor, board)
    seen = {**_mapping(kernel.get("firmware_files")), **_mapping(nic.get("firmware_files"))}
    own, origin = _driver_of_kernel(driver, _text(nic.get("driver_version")), kernel)
    return Card(
        driver=driver,
        module=_text(nic.get("module"), 64),
        own=own,
        origin=origin,
        pci=ids,
        pci_unread=None in ids[:2] if ids is not None else "pci" in unread or pci is not None,
        virtual_function=True if nic.get("vf_of") else None if "vf_of" in unread else False,
        firmware=_raw_firmware(nic),
        files=tuple(sorted((str(name), there) for name, there in list(seen.items())[:_FILES_LIMIT] if _known(there))),
    )


def _known(there: t.Any) -> bool:
    return isinstance(there, bool)


def _driver_of_kernel(driver: str | None, version: str | None, kernel: dict[str, t.Any]) -> tuple[bool | None, str]:
    """Whether a driver is the running kernel's own, and why it is not or why that cannot be told.

    A driver in the kernel reports the kernel's release, or (some) a version of its
    own. A module from outside sets a taint when it is loaded, so that without the
    taint there is none; with it, a version that is not the kernel's is a foreign driver.
    """
    foreign = tainted_by_foreign_modules(kernel)
    if foreign is False or (version is not None and version == _text(kernel.get("release"))):
        return True, ""
    is_own = _OWN_VERSIONS.get(driver or "")
    if version is not None and is_own is not None and is_own(version):
        return True, ""
    seen = "version {0}".format(version) if version else "a version that was not seen"
    if foreign and version is not None:
        says = "the driver {0} ({1}) is not the kernel's own: the database does not speak of it"
        return False, says.format(driver, seen)
    return None, "it was not seen whether the driver {0} ({1}) is the kernel's own".format(driver, seen)


def _raw_firmware(nic: dict[str, t.Any]) -> str | None:
    """As the driver said it: its length tells whether it was cut, so it is not cleaned here."""
    raw = _mapping(nic.get("firmware")).get("raw")
    return raw[:64] if isinstance(raw, str) else None


# --- one card ------------------------------------------------------------------------------------------------------


def _judge_card(card: Card, kernel: Kernel, database: Database) -> CardVerdict:
    if card.driver is None:
        return CardVerdict((), ("the driver of this NIC is not known",), ())
    if card.own is False:
        return CardVerdict((), (card.origin,), ())
    unknown = [card.origin] if card.own is None else []
    entries = database.of_modules(firmware.grammar_of(name) for name in (card.driver, card.module) if name)
    if card.pci_unread and any(entry.cards for entry in entries):
        unknown.append("the PCI ids of this NIC are not known")
        entries = [entry for entry in entries if not entry.cards]
    gap = database.coverage.gap(card.driver, kernel)
    unknown += [gap] if gap else []
    if kernel.upstream is None:
        return CardVerdict((), tuple(unknown), ())
    reasons, rows = [], []
    for entry in entries:
        reason, row = _judge_entry(entry, card, kernel, database)
        rows += [entry.id] if row else []
        reasons += [reason] if reason else []
    return CardVerdict(tuple(reasons), tuple(unknown), tuple(rows))


def _judge_entry(entry: Entry, card: Card, kernel: Kernel, database: Database) -> tuple[dict[str, t.Any] | None, bool]:
    """The reason that an entry gives, if it gives one, and whether its kernel test said bad."""
    matched = _match(entry, card, kernel)
    if matched == GOOD:
        return None, False
    of_kernel = database.kernel_result(entry, kernel, card.driver or "")
    if of_kernel.result == GOOD:
        return None, False
    of_firmware = _judge_firmware(entry, card) if entry.firmware.part else None
    if of_firmware is not None and of_firmware.result == GOOD:
        return None, False
    tests = [matched, of_kernel.result, BAD if card.own else UNDECIDED]
    tests += [of_firmware.result] if of_firmware else []
    decided = all(test == BAD for test in tests)
    return _reason(entry, decided and entry.may_be_bad, of_kernel, of_firmware), (
        of_kernel.result == BAD and entry.use != "file-check"
    )


def _match(entry: Entry, card: Card, kernel: Kernel) -> str:
    """BAD: it is one of the entry's cards; GOOD: it is none of them; UNDECIDED: that could not be seen."""
    results = [BAD]
    if entry.architectures:
        results.append(
            UNDECIDED if kernel.architecture is None else BAD if kernel.architecture in entry.architectures else GOOD
        )
    exact = False
    if entry.cards:
        ids = card.pci or (None, None, None, None)
        found = [_match_ids(cards, ids) for cards in entry.cards]
        results.append(BAD if BAD in found else UNDECIDED if UNDECIDED in found else GOOD)
        exact = any(cards.vendor == ids[0] and ids[1] in cards.devices for cards in entry.cards)
    if card.virtual_function is not False:
        results.append(_match_virtual_function(entry, card, exact))
    return GOOD if GOOD in results else UNDECIDED if UNDECIDED in results else BAD


def _match_virtual_function(entry: Entry, card: Card, exact: bool) -> str:
    if entry.virtual_functions is True or (entry.virtual_functions is None and exact):
        return BAD
    if card.virtual_function is None:
        return UNDECIDED
    return GOOD if entry.virtual_functions is False else UNDECIDED


def _match_ids(cards: Cards, ids: tuple[str | None, str | None, str | None, str | None]) -> str:
    vendor, device, board_vendor, board = ids
    if vendor != cards.vendor or device is None:
        return GOOD
    if device not in cards.devices and not device.startswith(cards.prefixes or ("?",)):
        return GOOD
    if not cards.subsystems:
        return BAD
    if board_vendor is None:
        return UNDECIDED
    devices = {wanted for name, wanted in cards.subsystems if name == board_vendor}
    if not devices:
        return GOOD
    if None in devices or board in devices:
        return BAD
    return UNDECIDED if board is None else GOOD


def _judge_firmware(entry: Entry, card: Card) -> Result:
    wanted = entry.firmware
    if wanted.files:
        return _judge_files(wanted.files, wanted.any_file, dict(card.files))
    if not wanted.ranges:
        return Result(UNDECIDED, wanted.note or "upstream names no version")
    if not card.firmware:
        return Result(UNDECIDED, "the firmware version of this NIC is not known")
    try:
        seen = firmware.parse_firmware(card.driver or "", card.firmware, card.pci[1] if card.pci else None)
        if seen.grammar != wanted.grammar:
            return Result(UNDECIDED, "the range is for {0}, not for {1}".format(wanted.grammar, seen.grammar))
        return _in_ranges(entry, seen, clean(card.firmware, 48))
    except CoreError as exc:
        return Result(UNDECIDED, str(exc))


def _in_ranges(entry: Entry, seen: firmware.Firmware, shown: str) -> Result:
    open_rows = []
    for limits, condition in entry.firmware.ranges:
        try:
            hit = firmware.in_range(seen, limits, entry.firmware.comparison, entry.firmware.train)
        except CoreError as exc:
            open_rows.append(str(exc))
            continue
        says = " and ".join("{0} {1}".format(operator, limits[operator]) for operator in sorted(limits))
        if hit and condition:
            open_rows.append("{0} is {1}, which counts for: {2}".format(shown, says, condition))
        elif hit:
            return Result(BAD, "{0} is in the bad range ({1})".format(shown, says))
    if open_rows:
        return Result(UNDECIDED, open_rows[0])
    return Result(GOOD, "{0} is outside of the bad range".format(shown))


def _judge_files(files: tuple[str, ...], any_file: bool, there: t.Mapping[str, bool | None]) -> Result:
    seen = [there.get(name) for name in files]
    missing = [name for name, found in zip(files, seen) if found is False]
    if (any_file and True in seen) or all(found is True for found in seen):
        return Result(GOOD, "the firmware files are there")
    if missing and (not any_file or len(missing) == len(files)):
        return Result(BAD, "/lib/firmware has no {0}".format(", ".join(missing)))
    return Result(UNDECIDED, "it was not seen whether /lib/firmware has {0}".format(", ".join(files)))


def _reason(entry: Entry, bad: bool, of_kernel: Result, of_firmware: Result | None) -> dict[str, t.Any]:
    return {
        "entry": entry.id,
        "verdict": BAD if bad else SUSPECT,
        "use": entry.use,
        "confidence": entry.confidence,
        "says": entry.summary,
        "kernel": of_kernel._asdict(),
        "firmware": of_firmware._asdict() if of_firmware else None,
        "look_for": [] if bad else list(entry.look_for),
        "remedy": {"kernel": entry.remedy_kernel, "advice": [dict(each) for each in entry.advice]},
    }


def advice_for(reason: t.Mapping[str, t.Any], nic: str) -> list[dict[str, str]]:
    """The advice of a reason with the name of the interface in its commands.

    Entries without exact commands write IF for the interface, as ethtool(8) does not.
    """
    found = []
    for each in reason["remedy"]["advice"]:
        command = each["command"].replace("{nic}", nic)
        says = _with_name(each["says"], nic) if not command else each["says"]
        found.append({"entry": reason["entry"], "kind": each["kind"], "command": command, "says": says})
    return found


def _with_name(text: str, nic: str) -> str:
    return " ".join(nic if word == "IF" else word for word in text.split(" "))


# --- one host ------------------------------------------------------------------------------------------------------


def judge_host(
    facts: t.Any,
    database: Database,
    waivers: t.Sequence[Waiver] = (),
    host: str = "",
    today: str = "",
    kernel: Kernel | None = None,
) -> dict[str, t.Any]:
    """Judge the NICs of a host on the kernel that it runs, or on `kernel` where one is given.

    `facts` is the object `crashready`. `today` (YYYY-MM-DD) is needed where there
    are waivers. Returns {schema, host, verdict, kernel, nics, entries, remedies,
    waivers, says}; a NIC is {name, verdict, reasons, waived, unknown, rows}. The
    verdict of the host is its worst NIC's; without any NIC it is unknown.
    """
    kernel_facts = _mapping(_mapping(facts).get("kernel"))
    judged = kernel or running_kernel(kernel_facts)
    here = {waiver.entry: waiver for waiver in waivers if waiver.holds(host, today)}
    cards = physical_cards(facts)
    nics = [_judge_nic(name, database.judge(card, judged), here, today) for name, card in cards or ()]
    verdict = worst(nic["verdict"] for nic in nics)
    named = {reason["entry"] for nic in nics for reason in nic["reasons"]}
    about = [waiver for waiver in waivers if waiver.speaks_of(host)]
    return {
        "schema": SCHEMA,
        "host": clean(host, 128),
        "verdict": verdict,
        "kernel": _kernel_facts(judged),
        "nics": nics,
        "entries": sorted(named),
        "remedies": _remedies(nics),
        "waivers": [waiver.as_facts(today) for waiver in about],
        "says": _says(verdict, nics, cards is None),
    }


def _judge_nic(name: str, found: CardVerdict, waivers: t.Mapping[str, Waiver], today: str) -> dict[str, t.Any]:
    reasons = [reason for reason in found.reasons if reason["entry"] not in waivers]
    waived = [
        dict(reason, waiver=waivers[reason["entry"]].as_facts(today))
        for reason in found.reasons
        if reason["entry"] in waivers
    ]
    verdicts = [reason["verdict"] for reason in reasons]
    verdicts += [UNKNOWN] if found.unknown else []
    verdicts += [WAIVED] if waived else []
    return {
        "name": name,
        "verdict": worst([*verdicts, CLEAR]),
        "reasons": sorted(reasons, key=lambda reason: (ORDER.index(reason["verdict"]), reason["entry"])),
        "waived": waived,
        "unknown": list(found.unknown),
        "rows": list(found.rows),
    }


def _kernel_facts(kernel: Kernel) -> dict[str, t.Any]:
    return {
        "release": kernel.release,
        "package_version": kernel.package_version,
        "upstream_version": ".".join(str(part) for part in kernel.upstream) if kernel.upstream else None,
        "stream": kernel.stream,
        "foreign": kernel.foreign,
        "says": kernel.says,
    }


def _remedies(nics: t.Sequence[dict[str, t.Any]]) -> list[dict[str, t.Any]]:
    """What the bad ones ask for, each entry once with the NICs that it is about."""
    found: dict[str, dict[str, t.Any]] = {}
    for nic in nics:
        for reason in nic["reasons"]:
            if reason["verdict"] == BAD:
                first = {"entry": reason["entry"], "kernel": reason["remedy"]["kernel"], "nics": [], "advice": []}
                remedy = found.setdefault(reason["entry"], first)
                remedy["nics"].append(nic["name"])
                remedy["advice"] += [each for each in advice_for(reason, nic["name"]) if each not in remedy["advice"]]
    return list(found.values())


def _says(verdict: str, nics: t.Sequence[dict[str, t.Any]], unseen: bool) -> str:
    if unseen:
        return "unknown: the facts have no NICs (gather_subset without nics?)"
    if not nics:
        return "unknown: no NIC with a device behind it was seen"
    lines = []
    for nic in nics:
        if nic["verdict"] == verdict:
            entries = [reason["entry"] for reason in nic["reasons"] if reason["verdict"] == verdict]
            entries += [reason["entry"] for reason in nic["waived"]] if verdict == WAIVED else []
            lines.append("{0} ({1})".format(nic["name"], ", ".join(entries or nic["unknown"] or ["no entry matches"])))
    return "{0}: {1}".format(verdict, "; ".join(lines))


def why_bad(judged: t.Mapping[str, t.Any]) -> str:
    """One line about each bad pairing in a result of `judge_host`; empty where none is bad."""
    lines = []
    for nic in judged["nics"]:
        for reason in nic["reasons"]:
            if reason["verdict"] == BAD:
                tests = [reason["kernel"]["says"]]
                tests += [reason["firmware"]["says"]] if reason["firmware"] else []
                lines.append("{0}: {1}: {2}".format(nic["name"], reason["entry"], "; ".join(tests)))
    return "\n".join(lines)

# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""One entry of the database of known bad pairings: from a mapping to a typed value, and what no schema can check.

data/pairings/schema.json says how an entry is built; this module takes a mapping
of that form and says whether it makes sense: ranges that are ranges, versions of
the stream that they stand under, a use that its evidence allows. It also compares
entries with each other. Whatever is wrong is named by its field ("kernel.affected.0").
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from . import debversion, firmware
from .errors import CoreError, ParseError
from .kernel_range import MAINLINE, STREAMS, Branch, Condition, Row, StreamRange, parse_release
from .text import clean

__all__ = [
    "Cards",
    "Entry",
    "EntryError",
    "FirmwareCondition",
    "Problem",
    "find_conflicts",
    "merge_entries",
    "read_entry",
]

#: Grammars have the driver's name; the entries use the family's where that is shorter.
_PARSERS = {"mlx5": "mlx5_core", "virtio": "virtio_net"}
_PART = frozenset(("trigger", "required-file", "state", "board-design", "feature"))
_NO_PART = frozenset(("victim", "seen", "system-bios"))
#: A repeated group that itself repeats: such an expression can take exponential time.
_NESTED = re.compile(r"\([^()]*[*+}][^()]*\)[*+{]")
_REBUILT = {"deb11u": "~deb11u", "deb12u": "~deb12u", "bpo12": "~bpo12", "bpo13": "~bpo13"}


class Problem(t.NamedTuple):
    """Something wrong with an entry."""

    path: str  #: the file it came from
    field: str  #: dotted, with list indexes as numbers; empty for the whole
    message: str


class EntryError(CoreError):
    """An entry that cannot be used; `problems` has everything that is wrong with it."""

    def __init__(self, problems: t.Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join("{0}: {1}: {2}".format(*problem) for problem in problems))


@dataclasses.dataclass(frozen=True)
class Cards:
    """PCI ids that an entry is about. No `subsystems`: every board; a device of None there: every one of the vendor."""

    vendor: str
    devices: frozenset[str]
    prefixes: tuple[str, ...]
    subsystems: tuple[tuple[str, str | None], ...] = ()


@dataclasses.dataclass(frozen=True)
class FirmwareCondition:
    """What an entry asks of firmware. Without `ranges` and `files` no text can decide it."""

    part: bool
    grammar: str = ""
    comparison: str = ""
    train: str = ""
    ranges: tuple[tuple[t.Mapping[str, str], str], ...] = ()  #: limits for firmware.in_range, and a condition or ""
    files: tuple[str, ...] = ()
    any_file: bool = False
    note: str = ""


@dataclasses.dataclass(frozen=True, eq=False)
class Entry:
    """One known bad pairing. `own` is true for the user's; `raw` is the mapping it was read from."""

    id: str
    use: str
    confidence: str
    modules: frozenset[str]
    cards: tuple[Cards, ...]
    virtual_functions: bool | None
    architectures: frozenset[str]
    firmware: FirmwareCondition
    kernel: Condition
    fix: tuple[str, ...]
    cve: frozenset[str]
    summary: str
    look_for: tuple[str, ...]
    remedy_kernel: str
    advice: tuple[t.Mapping[str, str], ...]
    replaces: str | None
    own: bool
    path: str
    raw: t.Mapping[str, t.Any]

    @property
    def may_be_bad(self) -> bool:
        """Whether a match may be called bad: `pin` and `file-check`, unless users alone reported it."""
        return self.use in ("pin", "file-check") and self.confidence != "reported-by-users"


def read_entry(mapping: t.Mapping[str, t.Any], path: str = "", own: bool = False) -> Entry:
    """Make an entry of a mapping that the schema has accepted. Raises EntryError with all problems found."""
    reader = _Reader(mapping, path)
    try:
        entry = reader.entry(own)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as exc:
        # Only where the schema was not asked: the field is then named by the error itself.
        raise EntryError([Problem(path, "", "not an entry: {0!r}".format(exc))]) from exc
    if reader.problems:
        raise EntryError(reader.problems)
    return entry


class _Reader:
    """Reads one mapping and gathers what is wrong with it."""

    def __init__(self, mapping: t.Mapping[str, t.Any], path: str) -> None:
        self._mapping = mapping
        self._path = path
        self.problems: list[Problem] = []

    def _complain(self, field: str, message: str) -> None:
        self.problems.append(Problem(self._path, field, message))

    def entry(self, own: bool) -> Entry:
        given = self._mapping
        condition = self._kernel(given["kernel"], given.get("debian") or {})
        wanted = self._firmware(given["firmware"])
        self._check_use(given, condition, wanted)
        self._check_symptom(given["symptom"])
        if given.get("replaces") is not None and not own:
            self._complain("replaces", "a shipped entry replaces none")
        arch = given.get("arch") or ()
        fixed = given["kernel"].get("fixed_mainline") or {}
        return Entry(
            id=given["id"],
            use=given["suggested_use"],
            confidence=given["confidence"],
            modules=frozenset((given["driver"], *given["modules"])),
            cards=tuple(_cards(each) for each in given.get("pci") or ()),
            virtual_functions=given.get("virtual_functions"),
            architectures=frozenset((arch,) if isinstance(arch, str) else arch),
            firmware=wanted,
            kernel=condition,
            fix=tuple(str(fixed[key]) for key in ("commit",) if fixed.get(key)),
            cve=frozenset(given.get("cve") or ()),
            summary=clean(given["symptom"]["summary"], 1200),
            look_for=_look_for(given),
            remedy_kernel=clean(given["remedy"].get("kernel") or "", 1200),
            advice=self._advice(given["remedy"]),
            replaces=given.get("replaces"),
            own=own,
            path=self._path,
            raw=given,
        )

    # --- kernel ----------------------------------------------------------------------------------------------------

    def _kernel(self, given: t.Mapping[str, t.Any], debian: t.Mapping[str, t.Any]) -> Condition:
        rows = []
        for index, row in enumerate(given.get("affected") or ()):
            read = self._row("kernel.affected.{0}".format(index), row)
            if read is not None:
                rows.append(read)
        self._check_rows(rows)
        if given.get("any") and (rows or debian):
            self._complain("kernel.any", "every kernel, and ranges beside it: one of them is wrong")
        fixed = given.get("fixed_mainline") or {}
        return Condition(
            rows=tuple(rows),
            debian={name: self._stream(name, stream) for name, stream in debian.items()},
            any_kernel=bool(given.get("any")),
            text=clean(given.get("text") or "", 1200),
            open_branches=frozenset(parse_release(text)[:2] for text in given.get("open_branches_in_cna_data") or ()),
            every_branch_named=fixed.get("version_evidence") == "kernel-cna",
        )

    def _row(self, field: str, given: t.Mapping[str, t.Any]) -> Row | None:
        branch: Branch | None = None if given["branch"] == MAINLINE else parse_release(given["branch"])[:2]
        try:
            first_bad = None if given["first_bad"] == "unknown" else parse_release(given["first_bad"])
            first_good = None if given["first_good"] is None else parse_release(given["first_good"])
        except ParseError as exc:
            self._complain(field, str(exc))
            return None
        for name, version in (("first_bad", first_bad), ("first_good", first_good)):
            if branch is not None and version is not None and version[:2] != branch:
                self._complain(field + "." + name, "{0} is not of the branch {1}".format(given[name], given["branch"]))
        # Equal is an empty range: brought and mended within one cycle (CVE-2024-44933 in 6.11).
        if first_bad is not None and first_good is not None and first_bad > first_good:
            self._complain(field, "first_bad {0[first_bad]} is after first_good {0[first_good]}".format(given))
        return Row(branch, first_bad, first_good, bool(given.get("first_bad_assumed")))

    def _check_rows(self, rows: t.Sequence[Row]) -> None:
        for index, row in enumerate(rows):
            for other in rows[:index]:
                if row.branch == other.branch and _overlap(row, other):
                    name = "{0}.{1}".format(*row.branch) if row.branch else MAINLINE
                    self._complain("kernel.affected.{0}".format(index), "a second, overlapping row of " + name)

    def _stream(self, name: str, given: t.Mapping[str, t.Any]) -> StreamRange:
        field = "debian." + name
        if given["fixed"] == "all":
            if given.get("first_bad"):
                self._complain(field, "no package has the fault (all), and a first one that has it")
            return StreamRange(True, None, None)
        first_bad = self._package(field + ".first_bad", name, given.get("first_bad"))
        fixed = self._package(field + ".fixed", name, given["fixed"])
        if first_bad is not None and fixed is not None and first_bad >= fixed:
            self._complain(field, "first_bad {0} is not before fixed {1}".format(first_bad, fixed))
        return StreamRange(False, first_bad, fixed)

    def _package(self, field: str, stream: str, text: str | None) -> debversion.DebianVersion | None:
        if text is None:
            return None
        try:
            version = debversion.parse(text)
            numbers = parse_release(version.upstream)
        except ParseError as exc:
            self._complain(field, str(exc))
            return None
        mark, branch = STREAMS[stream]
        if branch is not None and numbers[:2] != branch:
            self._complain(field, "{0} is not of {1}, whose kernels are {2}.{3}".format(text, stream, *branch))
        # Backports carry first_bad of the package they were made from.
        if mark and _REBUILT[mark] not in text and "first_bad" not in field:
            self._complain(field, "{0} is not a version of {1} ({2})".format(text, stream, _REBUILT[mark]))
        if not mark and "~" in version.revision:
            self._complain(field, "{0} is a rebuild, {1} has the packages they are made from".format(text, stream))
        return version

    # --- firmware --------------------------------------------------------------------------------------------------

    def _firmware(self, given: t.Mapping[str, t.Any]) -> FirmwareCondition:
        part, role = bool(given["part_of_pairing"]), given.get("role")
        if (part and role in _NO_PART) or (not part and role in _PART):
            self._complain("firmware.role", "{0} does not go with part_of_pairing: {1}".format(role, str(part).lower()))
        ranges, files = given.get("affected") or (), tuple(given.get("files") or ())
        decidable = bool(given.get("decidable_from_host"))
        if part and decidable != bool(ranges or files):
            self._complain("firmware.decidable_from_host", "true goes with ranges or files, and they with it")
        if files and given.get("role") != "required-file":
            self._complain("firmware.files", "files go with the role required-file")
        if any(".." in name.split("/") for name in files):
            self._complain("firmware.files", "a file outside of /lib/firmware")
        grammar = _PARSERS.get(given.get("parser") or "", given.get("parser") or "")
        if grammar not in ("", "file") and not firmware.has_grammar(grammar):
            self._complain("firmware.parser", "no grammar for {0!r}".format(grammar))
        if ranges:
            self._check_ranges(given)
        return FirmwareCondition(
            part=part,
            grammar=firmware.grammar_of(grammar),
            comparison=given.get("compare") or "",
            train=given.get("train") or "",
            ranges=tuple(
                ({key: value for key, value in row.items() if key != "when"}, clean(row.get("when") or "", 200))
                for row in ranges
            ),
            files=files,
            any_file=bool(given.get("any_file")),
            note=clean(given.get("note") or "", 1200),
        )

    def _check_ranges(self, given: t.Mapping[str, t.Any]) -> None:
        comparison = given.get("compare")
        if not comparison or not given.get("parser"):
            self._complain("firmware", "ranges need parser and compare")
        for index, row in enumerate(given["affected"]):
            field = "firmware.affected.{0}".format(index)
            limits = {key: value for key, value in row.items() if key != "when"}
            if not limits:
                self._complain(field, "a condition without a limit")
            elif comparison == "equal-only" and set(limits) != {"eq"}:
                self._complain(field, "equal-only takes eq alone")
            elif comparison != "equal-only":
                self._check_limits(field, limits)

    def _check_limits(self, field: str, limits: t.Mapping[str, str]) -> None:
        try:
            numbers = {key: firmware.bound(value) for key, value in limits.items()}
        except ParseError as exc:
            self._complain(field, str(exc))
            return
        low, high = numbers.get("ge", numbers.get("gt")), numbers.get("le", numbers.get("lt"))
        if low is not None and high is not None and low > high:
            self._complain(field, "an empty range")
        if len({"ge", "gt"} & set(limits)) == 2 or len({"le", "lt"} & set(limits)) == 2:
            self._complain(field, "two lower or two upper ends")
        if "eq" in limits and len(limits) > 1:
            self._complain(field, "eq stands alone")

    # --- the rest --------------------------------------------------------------------------------------------------

    def _check_use(self, given: t.Mapping[str, t.Any], kernel: Condition, wanted: FirmwareCondition) -> None:
        use = given["suggested_use"]
        if use == "pin":
            begins = kernel.any_kernel or kernel.debian or any(row.first_bad is not None for row in kernel.rows)
            if not begins:
                self._complain("suggested_use", "a pin needs a range of kernels with a beginning")
            if wanted.part and not wanted.ranges:
                self._complain("suggested_use", "a pin whose firmware condition has no range can never be decided")
            if given["confidence"] == "reported-by-users":
                self._complain("suggested_use", "what only users reported never changes a kernel")
        if (use == "file-check") != bool(wanted.files):
            self._complain("suggested_use", "file-check and firmware.files go together")

    def _check_symptom(self, given: t.Mapping[str, t.Any]) -> None:
        for index, text in enumerate(given.get("dmesg") or ()):
            field = "symptom.dmesg.{0}".format(index)
            try:
                re.compile(text)
            except re.error as exc:
                self._complain(field, "not a regular expression: {0}".format(exc))
            if _NESTED.search(text):
                self._complain(field, "a repeated group that repeats inside can take for ever")

    def _advice(self, given: t.Mapping[str, t.Any]) -> tuple[t.Mapping[str, str], ...]:
        advice = []
        for index, action in enumerate(given.get("actions") or ()):
            command = action.get("command") or ""
            if re.search(r"[{}]", command.replace("{nic}", "")):
                self._complain("remedy.actions.{0}.command".format(index), "{nic} is the only placeholder")
            untested = " (untested)" if action.get("untested") else ""
            advice.append(
                {
                    "kind": action["kind"],
                    "command": clean(command, 300),
                    "says": clean(action["says"], 1200) + untested,
                }
            )
        if not advice:
            advice = [{"kind": "other", "command": "", "says": clean(text, 1200)} for text in given.get("other") or ()]
        return tuple(advice)


def _cards(given: t.Mapping[str, t.Any]) -> Cards:
    exact = frozenset(device for device in given["devices"] if not device.endswith("*"))
    prefixes = tuple(sorted(device[:-1] for device in given["devices"] if device.endswith("*")))
    boards = tuple((board["vendor"], board.get("device")) for board in given.get("subsystems") or ())
    return Cards(given["vendor"], exact, prefixes, boards)


#: What sets a fault off, as something to look for where the entry names nothing better.
_TRIGGERS = {
    "traffic": "",
    "traffic-ptp": "whether hardware time stamps (PTP) are used on this card",
    "config": "whether queues, rings or offloads of this card are changed while it runs",
    "firmware-event": "messages of the driver about events of the firmware",
    "firmware-error": "messages of the driver about failed firmware commands",
    "firmware-update": "whether the card is flashed while this kernel runs",
    "pcie-error": "AER messages of this card",
    "sriov": "whether virtual functions of this card are used",
    "kdump": "whether the dump is written across the network",
    "kexec": "whether kernels are started by kexec, as the capture kernel is",
    "xdp": "whether an XDP program is attached to this card (ip -details link)",
    "suspend": "whether this machine suspends",
    "shutdown": "whether this machine hangs or resets when it shuts down",
    "link-change": "whether the link of this card goes up and down",
    "module-unload": "whether the driver is unloaded",
    "tx-timeout": "messages of a transmit timeout (NETDEV WATCHDOG)",
    "self-test": "whether ethtool -t is run on this card",
    "device-removal": "whether the card is unplugged or its driver unbound",
    "monitoring": "whether the statistics of this card are polled often",
}


def _look_for(given: t.Mapping[str, t.Any]) -> tuple[str, ...]:
    if given.get("look_for"):
        return tuple(clean(text, 1200) for text in given["look_for"])
    symptom, found = given["symptom"], []
    if given["firmware"]["part_of_pairing"] and given["firmware"].get("note"):
        found.append("firmware: {0}".format(clean(given["firmware"]["note"], 1200)))
    if _TRIGGERS.get(symptom.get("trigger") or ""):
        found.append(_TRIGGERS[symptom["trigger"]])
    found += ["in the kernel's log: {0}".format(clean(text, 256)) for text in symptom.get("dmesg") or ()]
    if not found and symptom.get("functions"):
        found.append("in a call trace: {0}".format(", ".join(symptom["functions"][:4])))
    return tuple(found or [clean(symptom["summary"], 1200)])


def _overlap(one: Row, other: Row) -> bool:
    """An unknown beginning or end is as far away as can be."""
    start = max(one.first_bad or (0, 0, 0), other.first_bad or (0, 0, 0))
    ends = [row.first_good for row in (one, other) if row.first_good is not None]
    return not ends or start < min(ends)


# --- entries among each other --------------------------------------------------------------------------------------


def merge_entries(entries: t.Iterable[Entry]) -> tuple[list[Entry], list[Problem]]:
    """Entries in force: the user's take the place of those that they replace. Problems name both files."""
    there: dict[str, Entry] = {}
    problems = []
    ordered = sorted(entries, key=lambda entry: entry.own)
    for entry in ordered:
        other = there.get(entry.id)
        if other is not None and not (entry.own and not other.own and entry.replaces == entry.id):
            hint = "; say `replaces: {0}` to take its place".format(entry.id) if entry.own and not other.own else ""
            problems.append(Problem(entry.path, "id", "{0} is also in {1}{2}".format(entry.id, other.path, hint)))
            continue
        there[entry.id] = entry
    for entry in ordered:
        if entry.replaces is None or there.get(entry.id) is not entry or entry.replaces == entry.id:
            continue
        replaced = there.get(entry.replaces)
        if replaced is None or replaced.own:
            problems.append(Problem(entry.path, "replaces", "no shipped entry is called {0}".format(entry.replaces)))
        else:
            del there[entry.replaces]
    return list(there.values()), problems


def find_conflicts(entries: t.Sequence[Entry]) -> list[Problem]:
    """Pins about the same fault and the same cards that call one kernel bad and good; each names both files."""
    pins = [entry for entry in entries if entry.use == "pin"]
    by_module: dict[str, list[Entry]] = {}
    problems = []
    for entry in pins:
        others = {id(other): other for module in entry.modules for other in by_module.get(module, ())}
        for other in others.values():
            where = _contradiction(entry, other) if _same_fault(entry, other) and _same_cards(entry, other) else ""
            if where:
                says = "{0} and {1} in {2} are about the same fault and differ in {3}"
                problems.append(Problem(entry.path, "kernel", says.format(entry.id, other.id, other.path, where)))
        for module in entry.modules:
            by_module.setdefault(module, []).append(entry)
    return problems


def _same_fault(one: Entry, other: Entry) -> bool:
    if one.fix and other.fix:
        length = min(len(one.fix[0]), len(other.fix[0]))
        return one.fix[0][:length] == other.fix[0][:length]
    return bool(one.cve & other.cve)


def _same_cards(one: Entry, other: Entry) -> bool:
    if not one.cards or not other.cards:
        return True
    return any(_meet(left, right) for left in one.cards for right in other.cards)


def _meet(left: Cards, right: Cards) -> bool:
    if left.vendor != right.vendor:
        return False
    if left.devices & right.devices:
        return True
    return any(
        name.startswith(prefix)
        for cards, others in ((left, right), (right, left))
        for prefix in cards.prefixes
        for name in (*others.devices, *others.prefixes)
    )


def _contradiction(one: Entry, other: Entry) -> str:
    """The first branch or stream for which the two give different ends of the bad range."""
    ours = {row.branch: (row.first_bad, row.first_good) for row in one.kernel.rows}
    for row in other.kernel.rows:
        if row.branch in ours and ours[row.branch] != (row.first_bad, row.first_good):
            return "{0}.{1}".format(*row.branch) if row.branch else MAINLINE
    for name, stream in other.kernel.debian.items():
        if name in one.kernel.debian and one.kernel.debian[name] != stream:
            return name
    return ""

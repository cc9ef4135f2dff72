# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The derived tier of the pairing data: which published driver bugs a kernel version carries.

The kernel's CVE numbering authority publishes, for each of its records, where a
bug came in and where it was fixed, one pair a stable branch. That is all this
index keeps: driver, CVE, pairs with their commits, and a class that reviewed
words of the title give. It is machine-made: nothing here may change a kernel by
itself, and no record says anything about firmware.

How a record is read (docs/process/cve of the kernel CNA; their `.dyad` files):

- A version of two numbers (and 2.6.N) is a mainline release, of three a stable one.
- `0` as the introducing version means "since the first kernel", as the fixing one
  "no fix is recorded". Neither means "not affected".
- A branch that has a pair of its own is judged by its pairs alone; several pairs
  of one branch (applied, reverted, applied again) are several bad stretches. A
  pair whose introducing version is in the branch leaves older point releases good.
- A branch without a pair is judged by the mainline pair, as ended branches must
  be. Introduced and fixed in the same release is an empty stretch.
- "Not fixed" holds only as far as the data reaches: beyond the newest point
  release that any record names for that branch it is undecided, because records
  gain branches later (6.12 got the fix of CVE-2026-53009 at 6.12.114, after the
  record was written).
"""

from __future__ import annotations

import functools
import json
import re
import typing as t

from .errors import ParseError
from .nic_modules import modules_of_files
from .text import clean

__all__ = [
    "CLASSES",
    "Bug",
    "CveIndex",
    "Range",
    "Release",
    "bug_from_record",
    "bugs_in",
    "build_index",
    "carries",
    "classify",
    "compare",
    "dump_index",
    "load_index",
    "parse_dyad",
    "parse_release",
]

FORMAT = "crashready-cve-index"
SCHEMA = 1

#: Far more than any record has: CVE-2025-21816 has 24 pairs.
PAIR_LIMIT = 256
FILE_LIMIT = 256
#: All of the kernel's records, three times over.
BUG_LIMIT = 50_000
_TEXT_LIMIT = 4096

#: Hexadecimal digits of a commit that are kept; git's own tools show 12 for Linux.
_COMMIT_DIGITS = 12

_CVE = re.compile(r"CVE-\d{4}-\d{4,7}\Z")
_RELEASE = re.compile(r"(\d{1,3}(?:\.\d{1,5}){1,3})(?:[~-]rc(\d{1,3}))?\Z")
_COMMIT = re.compile(r"[0-9a-f]{8,40}\Z")

CLASSES = ("corruption", "crash", "hang", "info-leak", "leak", "other")

# Words of titles, most serious first: the first that matches gives the class. Reviewed against the 953 NIC
# records of 2026-08-21. A title that names no effect ("fix error handling in ...") is "other", not harmless.
_WORDS = (
    (
        "corruption",
        r"use[- ]after|user-after-free|\buafs?\b|double[- ](?:free|deallocation|memory|destroy|dma)"
        r"|out[- ]of[- ](?:bound|range)|\boob\b|overflow|underflow|overrun|corrupt|write-after-free"
        r"|access after free|freed page|off-by-one"
        r"|invalid (?:buffer|memory|page|read)|slab-out|past the end|illegal (?:access|register)",
    ),
    (
        "crash",
        r"\bnull\b(?! terminat)|null-?ptr|\bnpd\b|dereference|\bderef\b|panic(?!_on_warn)|crash|\boops\b"
        r"|(?-i:\bBUG(?:_ON)?\b)|page fault|divi(?:de|sion)|segmentation fault|general protection"
        r"|scheduling while atomic",
    ),
    (
        "hang",
        r"dead-?locks?|\bhang(?:s|ing)?\b|\bhung\b|lock-?ups?|\bstall|(?:endless|infinite) loop|recursi|livelock"
        r"|interrupt storm|sleep(?:ing)? (?:in|from)|stuck|atomic context",
    ),
    ("info-leak", r"info(?:rmation)?[- ]?leak|memory disclosure|stack leak|kernel pointer"),
    ("leak", r"\b(?<!count )leak|memleak|refcount|ref count|missing (?:free|of_node_put)"),
)
_CLASSES = tuple((name, re.compile(pattern, re.IGNORECASE)) for name, pattern in _WORDS)


class Release(t.NamedTuple):
    """A version of the kernel upstream: branch (6, 12) or (2, 6, 25), point release, and whether it is a candidate."""

    branch: tuple[int, ...]
    point: int
    candidate: bool = False

    @property
    def mainline(self) -> bool:
        """A release of the mainline, not of a stable branch."""
        return self.point == 0


class Range(t.NamedTuple):
    """One bad stretch, from `introduced` to before `fixed`.

    introduced: version, "0" since the first kernel, None not known. fixed: version, None no fix recorded.
    Commits: hexadecimal, or None.
    """

    introduced: str | None
    introduced_commit: str | None
    fixed: str | None
    fixed_commit: str | None


class Bug(t.NamedTuple):
    """One record: only facts, no text of it."""

    cve: str
    bug_class: str  #: one of CLASSES
    drivers: tuple[str, ...]
    files: tuple[str, ...]
    ranges: tuple[Range, ...]

    def as_row(self) -> dict[str, t.Any]:
        """What lists and reports show: `cve`, `class`, `drivers`."""
        return {"cve": self.cve, "class": self.bug_class, "drivers": list(self.drivers)}


class CveIndex:
    """Bugs by driver, and how far the data reaches.

    `known_until` maps a branch to the newest point release that a record names;
    `newest_mainline` is the newest mainline release that one names. `source` and
    `date` (YYYY-MM-DD or None) say where the records came from.
    """

    def __init__(self, bugs: t.Iterable[Bug], source: str | None = None, date: str | None = None) -> None:
        self.source, self.date = source, date
        self.bugs = tuple(sorted(bugs, key=lambda bug: _cve_order(bug.cve)))
        if len(self.bugs) > BUG_LIMIT:
            raise ParseError("{0} records, more than {1}".format(len(self.bugs), BUG_LIMIT))
        self.by_driver: dict[str, list[Bug]] = {}
        self.known_until: dict[tuple[int, ...], int] = {}
        self.newest_mainline: tuple[int, ...] = (0,)
        for bug in self.bugs:
            for driver in bug.drivers:
                self.by_driver.setdefault(driver, []).append(bug)
            for pair in bug.ranges:
                self._reach(pair.introduced)
                self._reach(pair.fixed)

    def _reach(self, version: str | None) -> None:
        if version in (None, "0"):
            return
        release = parse_release(str(version))
        if release.mainline:
            self.newest_mainline = max(self.newest_mainline, release.branch)
        else:
            self.known_until[release.branch] = max(self.known_until.get(release.branch, 0), release.point)

    def reaches(self, release: Release) -> bool:
        """Whether "no fix recorded" can be held against this release."""
        return release.point <= self.known_until.get(release.branch, 0) and release.branch <= self.newest_mainline


def _cve_order(cve: str) -> tuple[int, ...]:
    return tuple(int(number) for number in cve.split("-")[1:])


@functools.lru_cache(maxsize=4096)
def parse_release(text: str) -> Release:
    """Take an upstream version apart; Debian writes a candidate as 7.3~rc4, the kernel as 7.3-rc4.

    >>> parse_release("6.12.117")[:2], parse_release("2.6.25")[:2], parse_release("7.3~rc4")
    (((6, 12), 117), ((2, 6, 25), 0), Release(branch=(7, 3), point=0, candidate=True))
    """
    match = _RELEASE.match(text.strip()) if len(text) <= 64 else None
    if not match:
        raise ParseError("not a version of the kernel: {0!r}".format(clean(text, 48)))
    numbers = tuple(int(number) for number in match.group(1).split("."))
    length = 3 if numbers[:2] == (2, 6) else 2
    if len(numbers) > length + 1 or len(numbers) < length:
        raise ParseError("not a version of the kernel: {0!r}".format(clean(text, 48)))
    return Release(numbers[:length], numbers[length] if len(numbers) > length else 0, match.group(2) is not None)


def classify(title: str) -> str:
    """The class that the words of a commit's title give, "other" where they name no effect.

    >>> classify("ice: fix double-free of tx_buf skb"), classify("sfc: fix deadlock in RSS config read")
    ('corruption', 'hang')
    """
    for name, pattern in _CLASSES:
        if pattern.search(title[:_TEXT_LIMIT]):
            return name
    return "other"


def _version(value: t.Any, none: str | None) -> str | None:
    """A version as the index keeps it; "0" and what is absent become `none`."""
    if value is None or value in ("", "0", 0):
        return none
    if not isinstance(value, str):
        raise ParseError("not a version of the kernel: {0}".format(type(value).__name__))
    # A record fixed in a candidate names it ("7.3-rc1"): the release that it leads to is the first with the fix.
    release = parse_release(value)
    text = ".".join(str(number) for number in release.branch)
    return text if release.mainline else "{0}.{1}".format(text, release.point)


def _commit(value: t.Any) -> str | None:
    if not isinstance(value, str) or not _COMMIT.match(value.lower()):
        return None
    return value.lower()[:_COMMIT_DIGITS]


def _pair(introduced: t.Any, introduced_commit: t.Any, fixed: t.Any, fixed_commit: t.Any) -> Range:
    return Range(_version(introduced, "0"), _commit(introduced_commit), _version(fixed, None), _commit(fixed_commit))


def parse_dyad(text: str) -> tuple[Range, ...]:
    """The pairs of a `.dyad` file of the kernel CNA: "vulnerable_version:id:fixed_version:id" a line, # comments."""
    pairs = []
    for line in text[: 256 * PAIR_LIMIT].splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        parts = line.strip().split(":")
        if len(parts) != 4:
            raise ParseError("not a line of a dyad: {0!r}".format(clean(line, 80)))
        pairs.append(_pair(*parts))
    return _bounded(pairs)


def _bounded(pairs: t.Sequence[Range]) -> tuple[Range, ...]:
    if not pairs:
        raise ParseError("no range of versions")
    if len(pairs) > PAIR_LIMIT:
        raise ParseError("{0} ranges, more than {1}".format(len(pairs), PAIR_LIMIT))
    for pair in pairs:
        _check_order(pair)
    return tuple(dict.fromkeys(pairs))


def _check_order(pair: Range) -> None:
    if pair.fixed is None or pair.introduced in (None, "0"):
        return
    low, high = parse_release(str(pair.introduced)), parse_release(pair.fixed)
    if (low.branch, low.point) > (high.branch, high.point):
        raise ParseError("introduced in {0}, after it was fixed in {1}".format(pair.introduced, pair.fixed))


# ---------------------------------------------------------------------------------------------------------------------
# Records


def bug_from_record(record: t.Any, ranges: t.Sequence[Range] | None = None) -> Bug:
    """One record as a `Bug`: a CVE JSON 5 record or a row {"cve", "title", "files", "ranges"}.

    `ranges` take the place of the record's own (a `.dyad` beside it is exact where
    an old record is not). Raises ParseError with the reason why it cannot be used.
    """
    if not isinstance(record, dict):
        raise ParseError("not an object but {0}".format(type(record).__name__))
    cve, title, files, own = _cve_record(record) if "containers" in record else _row(record)
    if not isinstance(cve, str) or not _CVE.match(cve):
        raise ParseError("no CVE id")
    names = tuple(sorted({clean(name, 200) for name in files if isinstance(name, str)}))
    if not names or len(names) > FILE_LIMIT:
        raise ParseError("names no source file" if not names else "names {0} source files".format(len(names)))
    drivers = modules_of_files(names)
    if not drivers:
        raise ParseError("touches no NIC driver of the table")
    pairs = _bounded(list(ranges if ranges else own()))
    return Bug(cve, classify(title if isinstance(title, str) else ""), drivers, names, pairs)


_Parts = tuple[t.Any, t.Any, t.Sequence[t.Any], t.Callable[[], list[Range]]]


def _row(row: dict[str, t.Any]) -> _Parts:
    files, ranges = row.get("files"), row.get("ranges")

    def read() -> list[Range]:
        if not isinstance(ranges, list) or any(not isinstance(pair, list) or len(pair) != 4 for pair in ranges):
            raise ParseError("`ranges` is not a list of four each")
        return [_pair(*pair) for pair in ranges[: PAIR_LIMIT + 1]]

    return row.get("cve"), row.get("title"), files if isinstance(files, list) else [], read


def _objects(value: t.Any) -> list[dict[str, t.Any]]:
    """The objects of a list, and none of what is something else."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _cve_record(record: dict[str, t.Any]) -> _Parts:
    metadata = record.get("cveMetadata") if isinstance(record.get("cveMetadata"), dict) else {}
    containers = record.get("containers")
    cna = containers.get("cna") if isinstance(containers, dict) else None
    if not isinstance(metadata, dict) or not isinstance(cna, dict):
        raise ParseError("not a CVE JSON 5 record: no containers.cna")
    state = metadata.get("state")
    if state != "PUBLISHED":
        raise ParseError("state {0}".format(clean(str(state), 32)))
    blocks = _objects(cna.get("affected"))
    lists = [block["programFiles"] for block in blocks if isinstance(block.get("programFiles"), list)]
    files = [name for names in lists for name in names]
    # bippy of 2024 wrote cveID, newer records have the standard's cveId.
    cve = metadata.get("cveId") or metadata.get("cveID")
    return cve, cna.get("title"), files, lambda: _ranges_of(cna, blocks)


def _ranges_of(cna: dict[str, t.Any], blocks: list[dict[str, t.Any]]) -> list[Range]:
    """cpeApplicability repeats the dyad line by line; without it the blocks of `affected` are put together."""
    versions = [row for block in blocks for row in _objects(block.get("versions"))]
    commits = [row for row in versions if row.get("versionType") == "git"]
    applicability = [
        match
        for entry in _objects(cna.get("cpeApplicability"))
        for node in _objects(entry.get("nodes"))
        for match in _objects(node.get("cpeMatch"))
        if match.get("vulnerable") is True
    ]
    if applicability:
        # Both lists are the lines of one dyad, in its order. Lists of unlike length cannot be put side by side.
        known = commits if len(commits) == len(applicability) else [{}] * len(applicability)
        return [
            _pair(
                match.get("versionStartIncluding"),
                commit.get("version"),
                match.get("versionEndExcluding"),
                commit.get("lessThan"),
            )
            for match, commit in zip(applicability, known)
        ]
    return _ranges_without_cpe([row for row in versions if row.get("versionType") != "git"])


def _ranges_without_cpe(rows: list[dict[str, t.Any]]) -> list[Range]:
    """From rows "affected from .. lessThan .." and "unaffected from .. to the end of its branch"."""
    pairs = [
        _pair(row.get("version"), None, row.get("lessThan"), None)
        for row in rows
        if row.get("status") == "affected" and row.get("lessThan")
    ]
    covered = {parse_release(pair.fixed).branch for pair in pairs if pair.fixed}
    starts = [str(row["version"]) for row in rows if row.get("status") == "affected" and row.get("version")]
    start = max((_version(text, "0") or "0" for text in starts if text != "0"), key=_mainline_first, default="0")
    for row in rows:
        if row.get("status") != "unaffected" or not row.get("lessThanOrEqual"):
            continue
        fixed = parse_release(str(row.get("version")))
        if not fixed.mainline and fixed.branch in covered:
            continue
        # A branch older than the release that brought the bug got it by a backport; the row does not say where.
        late = start != "0" and parse_release(start).branch > fixed.branch
        pairs.append(_pair(start, None, row.get("version"), None)._replace(introduced=None if late else start))
    return pairs


def _mainline_first(text: str) -> tuple[bool, tuple[int, ...]]:
    release = parse_release(text) if text != "0" else Release((0,), 0)
    return release.mainline, release.branch


def build_index(
    records: t.Iterable[t.Any],
    source: str | None = None,
    date: str | None = None,
    skipped: t.Callable[[str, str], None] | None = None,
) -> CveIndex:
    """An index from records of either form, or from (record, ranges) pairs.

    `skipped(cve or "?", reason)` hears of every record that was not used. The last record of a CVE wins.
    """
    bugs: dict[str, Bug] = {}
    for item in records:
        record, ranges = item if isinstance(item, tuple) else (item, None)
        try:
            bug = bug_from_record(record, ranges)
        except ParseError as error:
            if skipped is not None:
                skipped(_name(record), str(error))
            continue
        bugs[bug.cve] = bug
        if len(bugs) > BUG_LIMIT:
            raise ParseError("more than {0} records".format(BUG_LIMIT))
    return CveIndex(bugs.values(), source, date)


def _name(record: t.Any) -> str:
    if not isinstance(record, dict):
        return "?"
    metadata = record.get("cveMetadata") if isinstance(record.get("cveMetadata"), dict) else record
    name = metadata.get("cveId") or metadata.get("cveID") or record.get("cve") if isinstance(metadata, dict) else None
    return clean(name, 20) if isinstance(name, str) else "?"


# ---------------------------------------------------------------------------------------------------------------------
# The file


def dump_index(index: CveIndex) -> str:
    """The index as JSON, one line a CVE, the same text for the same records."""
    header = {
        "format": FORMAT,
        "schema": SCHEMA,
        "source": index.source,
        "date": index.date,
        "count": len(index.bugs),
        "drivers": {driver: len(bugs) for driver, bugs in sorted(index.by_driver.items())},
        "newest_mainline": ".".join(str(number) for number in index.newest_mainline),
    }
    head = json.dumps(header, ensure_ascii=True, sort_keys=True)
    lines = ",\n".join(_line(bug) for bug in index.bugs)
    return '{{"header": {0},\n"bugs": [\n{1}\n]}}\n'.format(head, lines)


def _line(bug: Bug) -> str:
    row = {
        "cve": bug.cve,
        "class": bug.bug_class,
        "drivers": bug.drivers,
        "files": bug.files,
        "ranges": bug.ranges,
    }
    return json.dumps(row, ensure_ascii=True, separators=(",", ":"))


def load_index(text: str) -> CveIndex:
    """An index from the text that `dump_index` wrote. Raises ParseError with what is wrong."""
    try:
        data = json.loads(text)
    except ValueError as error:
        raise ParseError("not JSON: {0}".format(clean(str(error), 120))) from error
    except RecursionError as error:
        raise ParseError("not an index: nested too deep") from error
    header = data.get("header") if isinstance(data, dict) else None
    if not isinstance(header, dict) or header.get("format") != FORMAT or header.get("schema") != SCHEMA:
        raise ParseError("not an index of format {0}, schema {1}".format(FORMAT, SCHEMA))
    rows = data.get("bugs")
    if not isinstance(rows, list) or len(rows) != header.get("count"):
        raise ParseError(
            "the index is cut: its header promises {0} records".format(clean(str(header.get("count")), 16))
        )
    texts = {name: clean(value) if isinstance(value, str) else None for name, value in header.items()}
    return CveIndex((_bug(row) for row in rows), texts.get("source"), texts.get("date"))


def _bug(row: t.Any) -> Bug:
    if not isinstance(row, dict) or not isinstance(row.get("cve"), str) or not _CVE.match(row["cve"]):
        raise ParseError("a record of the index without a CVE id")
    pairs, drivers, files = row.get("ranges"), row.get("drivers"), row.get("files")
    if not isinstance(pairs, list) or any(not isinstance(pair, list) or len(pair) != 4 for pair in pairs):
        raise ParseError("{0}: `ranges` is not a list of four each".format(row["cve"]))
    if not isinstance(drivers, list) or not isinstance(files, list) or row.get("class") not in CLASSES:
        raise ParseError("{0}: `drivers`, `files` or `class` is not as it should be".format(row["cve"]))
    ranges = [
        Range(
            pair[0] if pair[0] in (None, "0") else _version(pair[0], "0"),
            _commit(pair[1]),
            _version(pair[2], None),
            _commit(pair[3]),
        )
        for pair in pairs
    ]
    names = tuple(clean(str(name), 64) for name in drivers)
    return Bug(row["cve"], row["class"], names, tuple(clean(str(name), 200) for name in files), _bounded(ranges))


# ---------------------------------------------------------------------------------------------------------------------
# Judging


def carries(index: CveIndex, bug: Bug, release: Release) -> bool | None:
    """True: the release has the bug; False: it is fixed there or never was; None: the data cannot tell."""
    own = [pair for pair in bug.ranges if _of_branch(pair, release.branch)]
    if own:
        answers = [_in_own(index, pair, release) for pair in own]
    else:
        answers = [_in_mainline(index, pair, release) for pair in bug.ranges if _of_mainline(pair)]
    return True if True in answers else None if None in answers else False


def _of_branch(pair: Range, branch: tuple[int, ...]) -> bool:
    for text in (pair.introduced, pair.fixed):
        if text not in (None, "0"):
            release = parse_release(str(text))
            if not release.mainline and release.branch == branch:
                return True
    return False


def _of_mainline(pair: Range) -> bool:
    """A pair that mainline releases, and branches without a pair, are judged by."""
    if pair.fixed is not None:
        return parse_release(pair.fixed).mainline
    return pair.introduced in (None, "0") or parse_release(str(pair.introduced)).mainline


def _in_own(index: CveIndex, pair: Range, release: Release) -> bool | None:
    fixed = parse_release(pair.fixed) if pair.fixed is not None else None
    if fixed is not None and (release.branch, release.point) >= (fixed.branch, fixed.point):
        return False
    begun = _begun(pair, release)
    if begun and (fixed is None or fixed.branch != release.branch):
        return True if index.reaches(release) else None
    return begun


def _begun(pair: Range, release: Release) -> bool | None:
    """Whether the bad stretch has begun at or before this release of the pair's own branch."""
    if pair.introduced is None:
        return None
    if pair.introduced == "0":
        return True
    start = parse_release(pair.introduced)
    if start.branch == release.branch:
        return release.point >= start.point if not release.candidate or not start.mainline else None
    # Brought by a later mainline release, or by another stable branch: then it came here by a backport, at a point
    # that the pair does not name.
    return True if start.mainline and start.branch < release.branch else None


def _in_mainline(index: CveIndex, pair: Range, release: Release) -> bool | None:
    low = _after(pair.introduced, release, absent=None)
    high = False if pair.fixed is None else _after(pair.fixed, release, absent=False)
    if low is False or high is True:
        return False
    if low is None or high is None:
        return None
    return True if index.reaches(release) else None


def _after(text: str | None, release: Release, absent: bool | None) -> bool | None:
    """Whether `release` is at or after the mainline release `text`; None within its candidates."""
    if text is None:
        return absent
    if text == "0":
        return True
    mark = parse_release(text)
    if mark.branch == release.branch and release.candidate:
        return None
    return mark.branch < release.branch or (mark.branch == release.branch and mark.point <= release.point)


def bugs_in(index: CveIndex, driver: str, upstream_version: str) -> dict[str, t.Any]:
    """What a kernel of this upstream version carries in one driver.

    Returns `carries`, `fixed` (fixed there, or never there) and `undecided`, each a
    list of {"cve", "class", "drivers"} in the order of the ids; `driver_known` is
    false where no record names the driver (then the lists say nothing), and
    `newer_than_data` true where the version is newer than any record. Raises ParseError for a version that is none.
    """
    release = parse_release(upstream_version)
    lists: dict[bool | None, list[dict[str, t.Any]]] = {True: [], False: [], None: []}
    for bug in index.by_driver.get(driver, []):
        lists[carries(index, bug, release)].append(bug.as_row())
    return {
        "carries": lists[True],
        "fixed": lists[False],
        "undecided": lists[None],
        "driver_known": driver in index.by_driver,
        "newer_than_data": not index.reaches(release),
    }


def compare(index: CveIndex, drivers: t.Iterable[str], from_version: str, to_version: str) -> dict[str, t.Any]:
    """What changes for these drivers between two upstream versions.

    Returns `fixes` (carried before, not after), `brings` (not before, carried after)
    and `undecided` (cannot be told at one of the two), each a list of
    {"cve", "class", "drivers"} without repeats.
    """
    before, after = parse_release(from_version), parse_release(to_version)
    bugs = {bug.cve: bug for driver in drivers for bug in index.by_driver.get(driver, [])}
    outcome: dict[str, list[dict[str, t.Any]]] = {"fixes": [], "brings": [], "undecided": []}
    for cve in sorted(bugs, key=_cve_order):
        was, becomes = carries(index, bugs[cve], before), carries(index, bugs[cve], after)
        if was is becomes and was is not None:
            continue
        kind = "undecided" if None in (was, becomes) else "fixes" if was else "brings"
        outcome[kind].append(bugs[cve].as_row())
    return outcome

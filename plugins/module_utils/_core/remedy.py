# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Which kernel in reach mends a host's bad pairings: every candidate is judged as the running kernel was.

A newer kernel is not always the cure: a frozen backport can carry more known faults
than the newest point release of the old branch. So a candidate has to carry a fix
and to bring no bad pairing of its own; of those the one with the fewest known rows
is taken, then the same branch, then the newest. The others are kept with the reason.
"""

from __future__ import annotations

import re
import typing as t

from . import debversion
from .debversion import DebianVersion
from .errors import CoreError, ParseError
from .judge import Database, advice_for, judge_host, physical_cards, tainted_by_foreign_modules
from .kernel_range import BAD, Kernel, candidate_kernel, running_kernel
from .kernelrelease import flavour
from .makedumpfile import reads, upstream_numbers
from .text import clean
from .waiver import Waiver

__all__ = ["SCHEMA", "choose_remedy", "crash_reads", "release_guess", "required_files"]

#: Version of the shape that `choose_remedy` returns.
SCHEMA = 1

_CANDIDATES_LIMIT = 256
_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]{1,127}")

#: crash(8) up to this version does not know kernels from this one on (docs/kdump-on-debian.md, G10).
_CRASH: tuple[tuple[tuple[int, ...], tuple[int, int]], ...] = (
    ((8, 0, 3), (6, 4)),
    ((8, 0, 6), (6, 13)),
    ((9, 0, 2), (7, 0)),
)

#: Without a bad pairing the kernel stays, but that is no word of comfort where nothing was seen.
_NOTHING_BAD = {
    "clear": "no pairing of this host is bad: the kernel stays",
    "waived": "what is bad is waived: the kernel stays",
}
_UNDECIDED = "no pairing of this host is known to be bad, and its verdict is {0}: no kernel is changed for that"

_Facts = dict[str, t.Any]


class _Candidate(t.NamedTuple):
    """One version of one package, with what judging it gave."""

    package: str
    version: str
    suites: tuple[str, ...]
    kernel: Kernel
    verdict: str
    bad: frozenset[tuple[str, str]]  #: (NIC, entry)
    open: frozenset[tuple[str, str]]  #: entries that could not be decided
    rows: frozenset[tuple[str, str]]
    files: tuple[_Facts, ...]

    @property
    def order(self) -> DebianVersion:
        return debversion.parse(self.version)


def choose_remedy(
    facts: t.Any,
    database: Database,
    suites: t.Collection[str] | None = None,
    waivers: t.Sequence[Waiver] = (),
    host: str = "",
    today: str = "",
    derived: t.Mapping[str, t.Mapping[str, t.Any]] | None = None,
) -> _Facts:
    """What to do about the bad pairings of a host.

    `facts` is the object `crashready`, with the subset `candidates`; `suites` bounds
    the reach (`backports_kernel_suites`; None: every suite that apt knows). `derived`
    has for package versions what the index of CVEs says (derived_bugs.py).

    Returns {schema, needed, choice, refused, blocked, advice, says}. `choice` is None or
    {package, version, suite, suites, release_guess, fixes, left, rows, rows_now,
    same_branch, verdict, needs_files, capture, notes, derived}; `refused` has
    {package, version, suites, reason}; `blocked` are the versions that apt must not
    take, since they would be bad for this host. Raises nothing on whatever facts.
    """
    facts = facts if isinstance(facts, dict) else {}
    now = judge_host(facts, database, waivers, host, today)
    kernel_facts = facts.get("kernel") if isinstance(facts.get("kernel"), dict) else {}
    running = running_kernel(kernel_facts)
    wanted = _pairs(now, BAD)
    mendable = frozenset(pair for pair in wanted if database.entries[pair[1]].use != "file-check")
    result: _Facts = {"schema": SCHEMA, "needed": bool(wanted), "choice": None, "refused": [], "blocked": []}
    result["advice"] = _advice(now)
    if not wanted:
        return dict(result, says=_NOTHING_BAD.get(str(now["verdict"]), _UNDECIDED.format(now["verdict"])))
    if not mendable:
        return dict(result, says="a firmware file is missing: the kernel stays, install the file")
    found = _candidates(kernel_facts, facts, database, (waivers, host, today))
    if found is None:
        says = "no candidates were collected: gather the facts with the subset candidates"
        return dict(result, says=says)
    taken, refused = _sift(found, running, wanted, mendable, suites)
    result["refused"] = refused
    result["blocked"] = sorted({each.version for each in found if _is_bad(each, running, wanted, mendable)})
    if not taken:
        return dict(result, says=_no_remedy(mendable, refused))
    best = min(taken, key=_preference(running, mendable))
    for other in sorted(taken, key=_preference(running, mendable)):
        if other is not best:
            refused.append(_refusal(other, "{0} {1} is better: {2}".format(*_better(best, other, running, mendable))))
    choice = _choice(best, now, running, facts, mendable, derived)
    return dict(result, choice=choice, says=_chosen(choice))


def _pairs(verdict: _Facts, kind: str) -> frozenset[tuple[str, str]]:
    return frozenset(
        (nic["name"], reason["entry"])
        for nic in verdict["nics"]
        for reason in nic["reasons"]
        if reason["verdict"] == kind
    )


def _advice(verdict: _Facts) -> list[dict[str, str]]:
    """From bad entries: what helps beside a kernel, with the interface's name."""
    found: list[dict[str, str]] = []
    for nic in verdict["nics"]:
        for reason in nic["reasons"]:
            if reason["verdict"] == BAD:
                found += [each for each in advice_for(reason, nic["name"]) if each not in found]
    return found


# --- candidates ----------------------------------------------------------------------------------------------------


def _candidates(
    kernel: _Facts, facts: _Facts, database: Database, waiving: tuple[t.Sequence[Waiver], str, str]
) -> list[_Candidate] | None:
    """Every offered package once, judged; what is not a package of that form is left out. None: nothing collected."""
    offered = kernel.get("candidates")
    if not isinstance(offered, dict):
        return None
    found: dict[tuple[str, str], list[str]] = {}
    for suite, packages in offered.items():
        for each in packages if isinstance(packages, list) else ():
            name, version = (each.get("package"), each.get("version")) if isinstance(each, dict) else (None, None)
            if _is_package(name, version) and len(found) < _CANDIDATES_LIMIT:
                found.setdefault((str(name), str(version)), []).append(clean(str(suite), 128))
    machine = kernel.get("machine") if isinstance(kernel.get("machine"), str) else None
    return [
        _judged(package, version, tuple(dict.fromkeys(suites)), machine, facts, database, waiving)
        for (package, version), suites in found.items()
    ]


def _is_package(name: t.Any, version: t.Any) -> bool:
    if not isinstance(name, str) or not isinstance(version, str) or _NAME.fullmatch(name) is None:
        return False
    try:
        debversion.parse(version)
    except ParseError:
        return False
    return version == version.strip()


def _judged(
    package: str,
    version: str,
    suites: tuple[str, ...],
    machine: str | None,
    facts: _Facts,
    database: Database,
    waiving: tuple[t.Sequence[Waiver], str, str],
) -> _Candidate:
    kernel = candidate_kernel(version, machine)
    waivers, host, today = waiving
    verdict = judge_host(facts, database, waivers, host, today, kernel=kernel)
    files = required_files(facts, database, kernel)
    of_files = {row["entry"] for row in files}
    return _Candidate(
        package=package,
        version=version,
        suites=suites,
        kernel=kernel,
        verdict=verdict["verdict"],
        bad=frozenset(pair for pair in _pairs(verdict, BAD) if pair[1] not in of_files),
        open=_pairs(verdict, "suspect"),
        rows=frozenset((nic["name"], entry) for nic in verdict["nics"] for entry in nic["rows"]),
        files=tuple(files),
    )


def required_files(facts: t.Any, database: Database, kernel: Kernel) -> list[_Facts]:
    """Files below /lib/firmware that a kernel needs for this host's NICs: [{path, present, entry, nics, says}].

    From entries of the use file-check alone. `present` is None where the facts do not say.
    """
    found: dict[tuple[str, str], _Facts] = {}
    for name, card in physical_cards(facts) or ():
        # The same question as in judging, asked as if no file were there: then every entry that matches speaks.
        asked = card._replace(files=())
        there = dict(card.files)
        for reason in database.judge(asked, kernel).reasons:
            entry = database.entries[reason["entry"]]
            for path in entry.firmware.files:
                row: _Facts = {
                    "path": path,
                    "present": there.get(path),
                    "entry": entry.id,
                    "nics": [],
                    "says": entry.summary,
                }
                found.setdefault((entry.id, path), row)["nics"].append(name)
    return list(found.values())


def _sift(
    candidates: t.Sequence[_Candidate],
    running: Kernel,
    wanted: frozenset[tuple[str, str]],
    mendable: frozenset[tuple[str, str]],
    suites: t.Collection[str] | None,
) -> tuple[list[_Candidate], list[_Facts]]:
    """Candidates that may be taken, and the others with the reason."""
    taken, refused = [], []
    for candidate in candidates:
        reason = _reason_against(candidate, running, wanted, mendable, suites)
        if reason:
            refused.append(_refusal(candidate, reason))
        else:
            taken.append(candidate)
    return taken, refused


def _reason_against(
    candidate: _Candidate,
    running: Kernel,
    wanted: frozenset[tuple[str, str]],
    mendable: frozenset[tuple[str, str]],
    suites: t.Collection[str] | None,
) -> str:
    if suites is not None and not set(candidate.suites) & set(suites):
        return "backports_kernel_suites does not allow {0}".format(", ".join(candidate.suites))
    if candidate.version == running.package_version:
        return "it is what runs"
    if candidate.kernel.upstream is None:
        return "its version is not one of a released kernel"
    brought = candidate.bad - wanted
    if brought:
        return "it brings a bad pairing that the running kernel does not have: {0}".format(_names(brought))
    kept = mendable & candidate.bad
    if kept == mendable:
        return "it does not carry the fix: {0} stays bad".format(_names(kept))
    undecided = (mendable - kept) & candidate.open
    if undecided and undecided | kept == mendable:
        return "whether it carries the fix cannot be told: {0}".format(_names(undecided))
    return ""


def _is_bad(
    candidate: _Candidate,
    running: Kernel,
    wanted: frozenset[tuple[str, str]],
    mendable: frozenset[tuple[str, str]],
) -> bool:
    """Whether an upgrade to it would be wrong for this host, whichever suite it comes from.

    What runs is left out: apt would offer to remove the kernel that a failed trial falls back to.
    """
    if candidate.version == running.package_version:
        return False
    return bool(candidate.bad - wanted) or mendable <= candidate.bad


def _refusal(candidate: _Candidate, reason: str) -> _Facts:
    return {
        "package": candidate.package,
        "version": candidate.version,
        "suites": list(candidate.suites),
        "reason": reason,
    }


def _names(pairs: t.Iterable[tuple[str, str]]) -> str:
    return ", ".join(sorted("{1} ({0})".format(*pair) for pair in pairs))


def _left(candidate: _Candidate, mendable: frozenset[tuple[str, str]]) -> frozenset[tuple[str, str]]:
    return mendable & (candidate.bad | candidate.open)


class _Newest:
    """Sorts the newer version first."""

    def __init__(self, version: DebianVersion) -> None:
        self.version = version

    def __lt__(self, other: _Newest) -> bool:
        return other.version < self.version


def _preference(
    running: Kernel, mendable: frozenset[tuple[str, str]]
) -> t.Callable[[_Candidate], tuple[int, int, bool, bool, _Newest, str]]:
    def key(candidate: _Candidate) -> tuple[int, int, bool, bool, _Newest, str]:
        return (
            len(_left(candidate, mendable)),
            len(candidate.rows),
            candidate.kernel.branch != running.branch,
            any(row["present"] is False for row in candidate.files),
            _Newest(candidate.order),
            # A branch that follows the release (linux-image-amd64) before one that is pinned by its name.
            candidate.package,
        )

    return key


def _better(
    best: _Candidate, other: _Candidate, running: Kernel, mendable: frozenset[tuple[str, str]]
) -> tuple[str, str, str]:
    why = "the same kernel by another package"
    if len(_left(best, mendable)) != len(_left(other, mendable)):
        why = "this one leaves {0}".format(_names(_left(other, mendable)))
    elif len(best.rows) != len(other.rows):
        why = "{0} known rows against {1}".format(len(best.rows), len(other.rows))
    elif (best.kernel.branch == running.branch) != (other.kernel.branch == running.branch):
        why = "it stays on the branch that runs"
    elif best.order != other.order:
        why = "it is newer, and otherwise as good"
    return best.package, best.version, why


# --- the choice ----------------------------------------------------------------------------------------------------


def _choice(
    best: _Candidate,
    now: _Facts,
    running: Kernel,
    facts: _Facts,
    mendable: frozenset[tuple[str, str]],
    derived: t.Mapping[str, t.Mapping[str, t.Any]] | None,
) -> _Facts:
    left = _left(best, mendable)
    counts = (derived or {}).get(best.version)
    return {
        "package": best.package,
        "version": best.version,
        "suite": best.suites[0] if best.suites else None,
        "suites": list(best.suites),
        "release_guess": release_guess(best.version, running.release),
        "fixes": sorted({entry for _nic, entry in mendable - left}),
        "left": sorted({entry for _nic, entry in left}),
        "rows": len(best.rows),
        "rows_now": sum(len(nic["rows"]) for nic in now["nics"]),
        "same_branch": best.kernel.branch == running.branch,
        "verdict": best.verdict,
        "needs_files": [row for row in best.files if row["present"] is not True],
        "capture": _capture(facts, best.kernel),
        "notes": _notes(best, facts, running),
        "derived": dict(counts) if counts is not None else None,
    }


def _notes(best: _Candidate, facts: _Facts, running: Kernel) -> list[str]:
    notes = []
    if tainted_by_foreign_modules(facts.get("kernel")) is not False:
        notes.append("modules built outside of the kernel (DKMS, ZFS) have to be built for it before it is booted")
    if best.kernel.branch != running.branch:
        branches = ["{0}.{1}".format(*kernel.branch) if kernel.branch else "?" for kernel in (running, best.kernel)]
        notes.append("the branch changes from {0} to {1}".format(*branches))
    if best.verdict == "unknown":
        notes.append(
            "the database does not cover this kernel for every NIC: nothing known against it is all that is said"
        )
    return notes


def _capture(facts: _Facts, kernel: Kernel) -> _Facts:
    """What the host's makedumpfile and crash make of a kernel to come (G9, G10)."""
    capture = facts.get("capture")
    capture = capture if isinstance(capture, dict) else {}
    tools, managed = capture.get("tools"), capture.get("managed")
    packages = managed.get("packages") if isinstance(managed, dict) else None
    makedumpfile = tools.get("makedumpfile") if isinstance(tools, dict) else None
    crash = packages.get("crash") if isinstance(packages, dict) else None
    shown = ".".join(str(part) for part in kernel.upstream or ())
    try:
        reading = reads(makedumpfile if isinstance(makedumpfile, str) else None, shown or None)._asdict()
    except ParseError as exc:
        reading = {"level": 17, "finds_free_pages": False, "reason": str(exc)}
    return {
        "makedumpfile": clean(makedumpfile, 80) if isinstance(makedumpfile, str) else None,
        "dump_level": reading["level"],
        "finds_free_pages": reading["finds_free_pages"],
        "reason": reading["reason"],
        "crash": crash_reads(crash if isinstance(crash, str) else None, kernel),
    }


def crash_reads(version: str | None, kernel: Kernel) -> str:
    """What is known against a version of crash(8) on a kernel, empty where nothing is. Sources: G10."""
    if version is None or kernel.branch is None:
        return ""
    try:
        tool = upstream_numbers(version)[:3]
    except CoreError as exc:
        return str(exc)
    for last, first_unread in _CRASH:
        if tool <= last:
            if kernel.branch >= first_unread:
                says = "crash {0} does not know kernels from {1}.{2} on: open its dumps on another machine (G10)"
                return says.format(clean(version, 40), *first_unread)
            return ""
    return ""


def release_guess(version: str, running: str | None) -> str | None:
    """`uname -r` of a package of 6.12 or later, whose name carries the point release; None: there is no formula.

    >>> release_guess("6.12.117-1~deb12u1", "6.1.0-56-amd64"), release_guess("6.12.90-2", "6.12.41+deb13-amd64")
    ('6.12.117+deb12-amd64', '6.12.90+deb13.1-amd64')
    """
    kernel, kind = candidate_kernel(version), flavour(running or "")
    rebuilt = re.search(r"~(?:bpo|deb)([0-9]{1,2})(?:\+|u)[0-9]+\Z", version)
    respin = re.search(r"-([1-9][0-9]?)(?:~|\Z)", version)
    if kernel.branch is None or kernel.branch < (6, 12) or kind is None or respin is None:
        return None
    if not rebuilt and kernel.branch != (6, 12):
        return None
    release = rebuilt.group(1) if rebuilt else "13"
    count = int(respin.group(1)) - 1
    upstream = ".".join(str(part) for part in kernel.upstream or ())
    return "{0}+deb{1}{2}-{3}".format(upstream, release, ".{0}".format(count) if count else "", kind)


def _no_remedy(mendable: frozenset[tuple[str, str]], refused: t.Sequence[_Facts]) -> str:
    says = "no kernel in reach fixes {0}".format(_names(mendable))
    if not refused:
        return says + ": apt offers no kernel"
    return "{0}: {1} refused".format(says, len(refused))


def _chosen(choice: _Facts) -> str:
    says = "{package} {version} from {suite} fixes {0}".format(", ".join(choice["fixes"]), **choice)
    if choice["left"]:
        says += "; it leaves {0}, and no kernel in reach mends more".format(", ".join(choice["left"]))
    missing = [row["path"] for row in choice["needs_files"] if row["present"] is False]
    if missing:
        says += "; before it is booted /lib/firmware needs {0}".format(", ".join(missing))
    return says

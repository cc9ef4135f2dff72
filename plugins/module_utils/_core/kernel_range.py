# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Whether a kernel carries a fault: Debian's packages first, then upstream ranges per branch. Three results.

A row of ranges is half open: first_bad has the fault, first_good has it no more.
A branch without a row of its own is judged by the row "mainline". Debian's own
version decides for Debian's kernels, since Debian picks fixes before and after
the point release that has them; a rebuild (~bpo12+1, ~deb12u1) has the fixes of
its base although it sorts before it (debversion.base).
"""

from __future__ import annotations

import dataclasses
import functools
import re
import typing as t

from . import debversion, kernelrelease
from .debversion import DebianVersion
from .errors import ParseError
from .text import clean

__all__ = [
    "BAD",
    "GOOD",
    "MAINLINE",
    "STREAMS",
    "UNDECIDED",
    "Condition",
    "Kernel",
    "Result",
    "Row",
    "StreamRange",
    "candidate_kernel",
    "judge_kernel",
    "parse_release",
    "running_kernel",
]

BAD = "bad"
GOOD = "good"
#: Never taken for either of the two.
UNDECIDED = "undecided"

MAINLINE = "mainline"

Numbers = tuple[int, int, int]
Branch = tuple[int, int]

#: Keys of an entry's `debian`: what stands behind the `~` of the version, and the branch; None where it changes.
STREAMS: dict[str, tuple[str, Branch | None]] = {
    "bullseye": ("", (5, 10)),
    "bullseye_security_6_1": ("deb11u", (6, 1)),
    "bookworm": ("", (6, 1)),
    "bookworm_security_6_12": ("deb12u", (6, 12)),
    "bookworm_backports": ("bpo12", None),
    "trixie": ("", (6, 12)),
    "trixie_backports": ("bpo13", None),
}
#: A rebuild is made from a package of the release whose own kernel is of that branch.
_PARENTS: dict[Branch, str] = {(5, 10): "bullseye", (6, 1): "bookworm", (6, 12): "trixie"}

#: Branches with years of point releases: a fix without a row here may have reached them all the same.
_LONG_TERM = frozenset(((4, 19), (5, 4), (5, 10), (5, 15), (6, 1), (6, 6), (6, 12), (6, 18)))

_RELEASE = re.compile(r"([0-9]{1,3})\.([0-9]{1,4})(?:\.([0-9]{1,5}))?(?![0-9]|\.[0-9])")
_ARCHITECTURES = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "armv7l": "armhf",
    "i686": "i386",
    "i586": "i386",
    "ppc64le": "ppc64el",
    "riscv64": "riscv64",
    "s390x": "s390x",
}


class Result(t.NamedTuple):
    """One test of a pairing: BAD, GOOD or UNDECIDED, and what it rests on."""

    result: str
    says: str


@dataclasses.dataclass(frozen=True)
class Row:
    """One range of upstream versions of a branch (None: mainline). No `first_bad`: unknown; no `first_good`: no fix."""

    branch: Branch | None
    first_bad: Numbers | None
    first_good: Numbers | None
    assumed: bool = False  #: the start of the branch stands for a first_bad that is not known


@dataclasses.dataclass(frozen=True)
class StreamRange:
    """The packages of one stream of Debian. `clean`: none of them has the fault. `fixed` None: no fix so far."""

    clean: bool
    first_bad: DebianVersion | None
    fixed: DebianVersion | None


@dataclasses.dataclass(frozen=True)
class Condition:
    """Everything that an entry says of kernels."""

    rows: tuple[Row, ...] = ()
    debian: t.Mapping[str, StreamRange] = dataclasses.field(default_factory=dict)
    any_kernel: bool = False
    text: str = ""
    #: Long-term branches of which the CNA says that they have no fix.
    open_branches: frozenset[Branch] = frozenset()
    #: The CNA names every stable branch that a fix went to, so that a branch without a row has none.
    every_branch_named: bool = False


class Kernel(t.NamedTuple):
    """A kernel as far as it can be told; hashable, so that judgements of it can be kept."""

    release: str | None
    package_version: str | None
    upstream: Numbers | None
    base: DebianVersion | None  #: of Debian's kernels alone: the version that a rebuild was made from
    stream: str | None  #: a key of STREAMS
    foreign: str | None  #: who built it, where that was not Debian
    architecture: str | None

    @property
    def branch(self) -> Branch | None:
        """Such as (6, 12)."""
        return self.upstream[:2] if self.upstream else None

    @property
    def says(self) -> str:
        """What it is, for people."""
        name = self.package_version or self.release or "a kernel of which no version was seen"
        return "{0} ({1})".format(name, self.foreign) if self.foreign else name


def parse_release(text: str) -> Numbers:
    """Three numbers of an upstream version at the start of a text; the third is 0 where it has two.

    Raises ParseError. A release candidate is none of the versions that a range can be tested with.

    >>> parse_release("6.1.192"), parse_release("6.18"), parse_release("6.8.12-30-pve")
    ((6, 1, 192), (6, 18, 0), (6, 8, 12))
    """
    match = _RELEASE.match(text)
    if match is None or re.match(r"[~-]?rc[0-9]", text[match.end() :]):
        raise ParseError("not a released kernel version: {0!r}".format(clean(text, 60)))
    return int(match.group(1)), int(match.group(2)), int(match.group(3) or 0)


def running_kernel(facts: t.Any) -> Kernel:
    """The kernel of `crashready.kernel`; whatever is not a text there counts as not seen."""
    facts = facts if isinstance(facts, dict) else {}
    release, version = _text(facts.get("release")), _text(facts.get("package_version"))
    machine = _text(facts.get("machine"))
    stream, reason = _text(facts.get("stream")), _text(facts.get("stream_reason"))
    if stream is None and release is not None and version is not None:
        stream, reason = kernelrelease.find_stream(release, version)
    if stream == kernelrelease.FOREIGN:
        foreign = reason or "not built by Debian"
        return Kernel(release, None, _numbers(release), None, None, foreign, _architecture(machine))
    if stream is None and version is None:
        return Kernel(release, None, None, None, None, None, _architecture(machine))
    return _debian_kernel(release, version, machine)


def candidate_kernel(version: str, machine: str | None = None, release: str | None = None) -> Kernel:
    """The kernel that a package of Debian would bring, by the package's version."""
    return _debian_kernel(release, clean(version, 128), machine)


def _debian_kernel(release: str | None, version: str | None, machine: str | None) -> Kernel:
    try:
        parsed = debversion.parse(version or "")
        base = debversion.parse(debversion.base(parsed.text))
    except ParseError:
        return Kernel(release, version, None, None, None, None, _architecture(machine))
    upstream = _numbers(parsed.upstream)
    suffix = parsed.revision.partition("~")[2]
    stream = None
    for name, (mark, branch) in STREAMS.items():
        fits = suffix.startswith(mark) if mark else not suffix
        if upstream and fits and branch in (None, upstream[:2]):
            stream = name
    return Kernel(release, version, upstream, base, stream, None, _architecture(machine))


def _text(value: t.Any) -> str | None:
    return clean(value, 128) or None if isinstance(value, str) else None


def _numbers(text: str | None) -> Numbers | None:
    try:
        return parse_release(text) if text else None
    except ParseError:
        return None


def _architecture(machine: str | None) -> str | None:
    return _ARCHITECTURES.get(machine or "")


def judge_kernel(condition: Condition, kernel: Kernel, reviewed: Numbers | None = None) -> Result:
    """Test one kernel. `reviewed`: the last version that "no fix so far" was looked up in; None: it has no end."""
    if condition.any_kernel:
        return Result(BAD, "every kernel")
    if not condition.rows and not condition.debian:
        return Result(UNDECIDED, condition.text or "the entry names no range of kernels")
    if kernel.upstream is None:
        return Result(UNDECIDED, "the version of the kernel is not known: {0}".format(kernel.says))
    by_upstream = _by_upstream(condition, kernel.upstream, reviewed)
    if kernel.foreign:
        return _of_foreign(by_upstream, kernel)
    by_package = _by_package(condition, kernel, reviewed)
    if by_package is None:
        return by_upstream
    if {by_upstream.result, by_package.result} != {BAD, GOOD}:
        return by_package
    says = "{0}; by its upstream version alone it would be {1} ({2}), but Debian's package decides"
    return by_package._replace(says=says.format(by_package.says, by_upstream.result, by_upstream.says))


def _of_foreign(by_upstream: Result, kernel: Kernel) -> Result:
    """Who builds kernels from another base picks fixes at will: its upstream version acquits, it does not convict."""
    says = "{0}, judged by upstream version ({1})".format(by_upstream.says, kernel.foreign)
    if by_upstream.result == BAD:
        return Result(UNDECIDED, says + ": the fix may have been picked")
    return Result(by_upstream.result, says)


def _by_package(condition: Condition, kernel: Kernel, reviewed: Numbers | None) -> Result | None:
    """By the stream's own versions; what those call bad may still have been rebuilt from a mended package."""
    found = None
    for stream in (kernel.stream, _PARENTS.get(kernel.branch or (0, 0))):
        known = condition.debian.get(stream or "")
        if known is None or kernel.base is None:
            continue
        result = _in_stream(known, kernel, stream or "", reviewed)
        if result.result == GOOD or found is None:
            found = result
        if result.result == GOOD:
            break
    return found


def _in_stream(known: StreamRange, kernel: Kernel, stream: str, reviewed: Numbers | None) -> Result:
    base, shown = t.cast(DebianVersion, kernel.base), kernel.package_version
    if known.clean:
        return Result(GOOD, "no package of {0} has the fault".format(stream))
    if known.first_bad is not None and base < _base(known.first_bad):
        return Result(GOOD, "{0} is older than {1}, which brought it to {2}".format(shown, known.first_bad, stream))
    if known.fixed is None:
        if _newer(kernel.upstream, reviewed):
            return Result(UNDECIDED, "{0} is newer than what was reviewed; no fix in {1} then".format(shown, stream))
        return Result(BAD, "no package of {0} has the fix so far".format(stream))
    if base >= _base(known.fixed):
        return Result(GOOD, "{0} has the fix, {1} has it since {2}".format(shown, stream, known.fixed))
    return Result(BAD, "{0} is older than {1}, which brought the fix to {2}".format(shown, known.fixed, stream))


@functools.lru_cache(maxsize=4096)
def _base_of(text: str) -> DebianVersion:
    return debversion.parse(debversion.base(text))


def _base(version: DebianVersion) -> DebianVersion:
    """What a version was rebuilt from. Entries name the same few hundred, a rack asks for them again and again."""
    return _base_of(version.text)


def _newer(upstream: Numbers | None, reviewed: Numbers | None) -> bool:
    return bool(upstream and reviewed and upstream[:2] == reviewed[:2] and upstream > reviewed)


def _by_upstream(condition: Condition, upstream: Numbers, reviewed: Numbers | None) -> Result:
    rows = [row for row in condition.rows if row.branch == upstream[:2]]
    if rows:
        return _worst([_in_row(row, upstream, reviewed) for row in rows])
    rows = [row for row in condition.rows if row.branch is None]
    if rows:
        return _by_mainline(condition, upstream, _worst([_in_row(row, upstream, None) for row in rows]))
    if not condition.rows:
        return Result(UNDECIDED, "no range of upstream versions is known")
    if all(row.first_bad is not None and row.first_bad[2] > 0 and not row.assumed for row in condition.rows):
        return Result(GOOD, "it came into point releases of other branches alone")
    return Result(UNDECIDED, "nothing is known of the branch {0}.{1}".format(*upstream))


def _by_mainline(condition: Condition, upstream: Numbers, result: Result) -> Result:
    """Ended branches never get a row of their own; one that is kept for years may have got a fix that has no row."""
    branch = upstream[:2]
    open_end = branch in _LONG_TERM and upstream[2] > 0 and branch not in condition.open_branches
    mended = any(row.branch is None and row.first_good is not None for row in condition.rows)
    if result.result == BAD and open_end and mended and not condition.every_branch_named:
        return Result(UNDECIDED, "{0}, but the fix may have reached {1}.{2}.y".format(result.says, *upstream))
    return result


def _worst(results: list[Result]) -> Result:
    order = (BAD, UNDECIDED, GOOD)
    return min(results, key=lambda result: order.index(result.result))


def _in_row(row: Row, upstream: Numbers, reviewed: Numbers | None) -> Result:
    shown, where = _dots(upstream), "{0}.{1}.y".format(*row.branch) if row.branch else "mainline"
    if row.first_good is not None and upstream >= row.first_good:
        return Result(GOOD, "{0} has the fix, {1} has it since {2}".format(shown, where, _dots(row.first_good)))
    if row.first_bad is None:
        fixed = "fixed in {0}".format(_dots(row.first_good)) if row.first_good else "not fixed so far"
        return Result(UNDECIDED, "since when {0} has it is not known; {1}".format(where, fixed))
    if upstream < row.first_bad:
        return Result(GOOD, "{0} is older than {1}, which brought it to {2}".format(shown, _dots(row.first_bad), where))
    since = "{0}{1}".format(_dots(row.first_bad), " (assumed)" if row.assumed else "")
    if row.first_good is None:
        if _newer(upstream, reviewed):
            return Result(UNDECIDED, "{0} is newer than what was reviewed; no fix in {1} then".format(shown, where))
        return Result(BAD, "{0}: bad since {1}, not fixed so far".format(shown, since))
    return Result(BAD, "{0}: bad from {1} to before {2}".format(shown, since, _dots(row.first_good)))


def _dots(numbers: Numbers) -> str:
    return ".".join(str(number) for number in numbers)

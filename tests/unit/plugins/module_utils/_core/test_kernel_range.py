# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Ranges are half open; Debian's package decides for Debian's kernels; what is not known is undecided."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core import debversion, kernel_range
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import ParseError
from ansible_collections.rackops.crashready.plugins.module_utils._core.kernel_range import (
    BAD,
    GOOD,
    UNDECIDED,
    Condition,
    Row,
    StreamRange,
    candidate_kernel,
    judge_kernel,
    parse_release,
    running_kernel,
)
from ansible_collections.rackops.crashready.plugins.module_utils._core.pairing_entry import read_entry
from hypothesis import given
from hypothesis import strategies as st

from ....pairings_seen import ENTRY, entry

ATLANTIC = read_entry(ENTRY).kernel


@pytest.mark.parametrize(
    ("version", "result"),
    [
        ("6.1.158-1", BAD),
        ("6.1.159-1", GOOD),
        ("6.1.192-2", GOOD),
        ("6.12.60-1", BAD),
        ("6.12.62-1", BAD),  # upstream has the fix, Debian's first package with it is the one after
        ("6.12.63-1", GOOD),
        ("6.12.63-1~bpo12+1", GOOD),  # sorts before 6.12.63-1 and has its fixes
        ("6.12.57-1~bpo12+1", BAD),
        ("6.12.96-1~deb12u1", GOOD),
        ("6.12.73-1~deb12u1", GOOD),  # a rebuild from a mended package of trixie, before the stream's own first
        ("6.12.48-1~deb12u1", BAD),
        ("6.1.158-1~deb11u1", BAD),  # no key of its own: by the package that it was made from
        ("6.1.159-1~deb11u1", GOOD),
        ("6.16.3-1~bpo13+1", BAD),  # no branch row, no stream: mainline
        ("6.18.2-1~bpo13+1", GOOD),
        ("5.10.223-1", GOOD),  # older than the release that brought it
        ("7.3.4-1", GOOD),
    ],
)
def test_debian_kernels(version: str, result: str) -> None:
    assert judge_kernel(ATLANTIC, candidate_kernel(version)).result == result


def test_where_package_and_upstream_differ_the_package_decides_and_says_so() -> None:
    found = judge_kernel(ATLANTIC, candidate_kernel("6.12.62-1"))
    assert found.result == BAD
    assert "by its upstream version alone it would be good" in found.says
    assert "Debian's package decides" in found.says


@pytest.mark.parametrize(
    ("release", "result"),
    [
        ("6.8.12-30-pve", UNDECIDED),  # bad upstream, but Proxmox picks fixes
        ("6.17.9-1-pve", UNDECIDED),
        ("6.18.1-1-pve", GOOD),
        ("4.19.0-generic", GOOD),
        ("nonsense", UNDECIDED),
    ],
)
def test_foreign_kernels_are_never_bad(release: str, result: str) -> None:
    kernel = running_kernel(
        {"release": release, "stream": "foreign", "stream_reason": "a Proxmox kernel", "package_version": "6.8.12-30"}
    )
    found = judge_kernel(ATLANTIC, kernel)
    assert found.result == result
    assert "a Proxmox kernel" in found.says


def row(branch: str | None, first_bad: str | None, first_good: str | None) -> Row:
    numbers = [parse_release(text) if text else None for text in (first_bad, first_good)]
    return Row(parse_release(branch)[:2] if branch else None, numbers[0], numbers[1])


@pytest.mark.parametrize(
    ("rows", "upstream", "result"),
    [
        ([row("6.1", "6.1.42", "6.1.113")], "6.1.41", GOOD),  # came in by a stable backport
        ([row("6.1", "6.1.42", "6.1.113")], "6.1.42", BAD),
        ([row("6.1", "6.1.42", "6.1.113")], "6.1.112", BAD),
        ([row("6.1", "6.1.42", "6.1.113")], "6.1.113", GOOD),
        ([row(None, None, "6.4")], "6.4.0", GOOD),  # first_bad unknown: above is good
        ([row(None, None, "6.4")], "6.3.9", UNDECIDED),  # below is not known
        ([row(None, "6.11", "6.11")], "6.11.0", GOOD),  # CVE-2024-44933: brought and mended in one cycle
        ([row("6.10", "6.10.4", "6.10.5"), row(None, "6.11", "6.11")], "6.10.4", BAD),
        ([row(None, "5.16.4", None)], "5.16.3", GOOD),
        ([row(None, "5.16.4", None)], "5.16.4", BAD),
        ([row(None, "5.16.4", None)], "6.1.100", BAD),  # a file that is needed: nothing that a fix could mend
        ([row(None, "5.4", "6.17")], "5.10.200", UNDECIDED),  # a long-term branch without a row
        ([row(None, "5.4", "6.17")], "6.16.4", BAD),  # an ended branch never gets one
        ([row("6.6", "6.6.28", "6.6.29")], "6.12.3", GOOD),  # a regression of one point release
        ([row("6.1", "6.1.0", "6.1.9")], "6.18.3", UNDECIDED),  # nothing said of other branches
        # Applied, reverted and applied again: two rows of one branch (CVE-2026-53009 in 6.12).
        ([row("6.12", "6.12.0", "6.12.91"), row("6.12", "6.12.92", "6.12.114")], "6.12.91", GOOD),
        ([row("6.12", "6.12.0", "6.12.91"), row("6.12", "6.12.92", "6.12.114")], "6.12.92", BAD),
        ([], "6.1.1", UNDECIDED),
    ],
)
def test_upstream_rows(rows: list[Row], upstream: str, result: str) -> None:
    assert judge_kernel(Condition(tuple(rows)), candidate_kernel(upstream + "-1")).result == result


def test_a_long_term_branch_is_bad_where_the_cna_names_every_branch_or_this_one() -> None:
    rows = (row(None, "5.4", "6.17"),)
    kernel = candidate_kernel("5.10.200-1")
    assert judge_kernel(Condition(rows, every_branch_named=True), kernel).result == BAD
    assert judge_kernel(Condition(rows, open_branches=frozenset({(5, 10)})), kernel).result == BAD


def test_no_fix_so_far_ends_where_the_review_ended() -> None:
    stream = {"trixie": StreamRange(False, debversion.parse("6.12.25-1"), None)}
    condition = Condition((row("6.12", "6.12.23", None),), stream)
    for version, result in (("6.12.22-1", GOOD), ("6.12.25-1", BAD), ("6.12.117-1", BAD), ("6.12.118-1", UNDECIDED)):
        assert judge_kernel(condition, candidate_kernel(version), (6, 12, 117)).result == result, version
    assert judge_kernel(condition, candidate_kernel("6.12.118-1")).result == BAD, "a user's entry does not age"


@pytest.mark.parametrize(
    ("version", "stream"),
    [
        ("5.10.262-1", "bullseye"),
        ("6.1.180-1~deb11u1", "bullseye_security_6_1"),
        ("6.1.192-2", "bookworm"),
        ("6.12.117-1~deb12u1", "bookworm_security_6_12"),
        ("6.12.95-1~bpo12+1", "bookworm_backports"),
        ("6.12.117-1", "trixie"),
        ("7.3.4-1~bpo13+1", "trixie_backports"),
        ("6.1.90-1~bpo11+1", None),
        ("7.3.4-1", None),
        ("6.12~rc7-1~exp1", None),
    ],
)
def test_streams(version: str, stream: str | None) -> None:
    assert candidate_kernel(version).stream == stream


def test_kernels_of_which_nothing_is_known() -> None:
    for facts in (None, [], {}, {"release": 5}, {"release": "x" * 9999}, {"package_version": "\x1b[31m"}):
        found = judge_kernel(ATLANTIC, running_kernel(facts))
        assert found.result == UNDECIDED, facts


@pytest.mark.parametrize("text", ["", "6", "v6.1", "6.1-rc3", "6.12~rc7", "6.1.1.1", "x6.1", "6.1.999999"])
def test_no_release(text: str) -> None:
    with pytest.raises(ParseError):
        parse_release(text)


NUMBERS = st.tuples(st.just(6), st.just(12), st.integers(0, 400))


@given(NUMBERS, NUMBERS, NUMBERS)
def test_ranges_are_half_open(one: t.Any, other: t.Any, kernel: t.Any) -> None:
    first_bad, first_good = sorted((one, other))
    condition = Condition((Row((6, 12), first_bad, first_good),))

    def result(numbers: t.Any) -> str:
        return judge_kernel(condition, candidate_kernel("{0}.{1}.{2}-1".format(*numbers))).result

    assert result(first_good) == GOOD
    assert result(first_bad) == (BAD if first_bad < first_good else GOOD)
    assert result(kernel) == (BAD if first_bad <= kernel < first_good else GOOD)


@given(NUMBERS, st.sampled_from(["", "~bpo12+1", "~deb12u1", "~bpo12+2"]))
def test_a_rebuild_has_the_fixes_of_its_base(numbers: t.Any, suffix: str) -> None:
    """Where a stream says nothing of its own."""
    condition = read_entry(entry(debian={"trixie": {"fixed": "6.12.63-1"}})).kernel
    base = "{0}.{1}.{2}-1".format(*numbers)
    assert (
        judge_kernel(condition, candidate_kernel(base + suffix)).result
        == judge_kernel(condition, candidate_kernel(base)).result
    )


@given(st.dictionaries(st.sampled_from(["release", "package_version", "stream", "machine"]), st.text() | st.none()))
def test_unreadable_is_never_decided_by_accident(facts: t.Any) -> None:
    kernel = running_kernel(facts)
    if kernel.upstream is None:
        assert judge_kernel(ATLANTIC, kernel).result == UNDECIDED


def test_streams_are_those_of_the_schema() -> None:
    assert set(kernel_range.STREAMS) >= set(ENTRY["debian"])

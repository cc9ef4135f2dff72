# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Changelogs of Debian's kernels: shape, versions and items as in linux-doc-6.12 6.12.117-1~deb12u1, cut short."""

from __future__ import annotations

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core import deb_changelog
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import ParseError
from hypothesis import given
from hypothesis import strategies as st

CHANGELOG = """\
linux-6.12 (6.12.117-1~deb12u1) bookworm-security; urgency=high

  * Rebuild for bookworm

 -- A Maintainer <a@example.org>  Sat, 14 Nov 2026 13:56:01 +0100

linux (6.12.117-1) trixie-security; urgency=high

  * New upstream stable update:
    https://www.kernel.org/pub/linux/kernel/v6.x/ChangeLog-6.12.116
    - [arm64] net: hns3: fix a title that is wrapped onto the next line of the
      changelog (CVE-2026-90001)
    https://www.kernel.org/pub/linux/kernel/v6.x/ChangeLog-6.12.117
    - Revert "tg3: something that was wrong"

  [ A Maintainer ]
  * Bump ABI to 1
  * ext4: fix NULL folio dereference in mballoc (Closes: #1154101)

 -- A Maintainer <a@example.org>  Thu, 12 Nov 2026 10:30:20 +0100

linux (6.12.115-1) trixie-security; urgency=high

  * New upstream stable update:
    https://www.kernel.org/pub/linux/kernel/v6.x/ChangeLog-6.12.114
    - ice: fix double-free of tx_buf skb (CVE-2026-53009)
    - bnxt_en: Disable EOP for TPA on all chips to prevent data corruption

 -- A Maintainer <a@example.org>  Mon, 02 Nov 2026 10:30:20 +0100

linux (6.12.113-1) trixie-security; urgency=medium

  * New upstream stable update:
    https://www.kernel.org/pub/linux/kernel/v6.x/ChangeLog-6.12.112
    - tg3: something that was wrong
  * bnxt_en: fix DMA mapping length for padded small packets (Closes: #1149564)

 -- A Maintainer <a@example.org>  Mon, 26 Oct 2026 10:30:20 +0100

linux (6.12.94-1) trixie-security; urgency=medium

  * New upstream stable update:
    https://www.kernel.org/pub/linux/kernel/v6.x/ChangeLog-6.12.91
    - ice: fix double-free of tx_buf skb
    - ice: Fix ice_ptp_read_tx_hwtstamp_status_eth56g
    https://www.kernel.org/pub/linux/kernel/v6.x/ChangeLog-6.12.92
    - Revert "ice: fix double-free of tx_buf skb"

 -- A Maintainer <a@example.org>  Mon, 29 Jun 2026 10:30:20 +0100

linux (6.12.90-1) trixie-security; urgency=medium

  * New upstream stable update:
    https://www.kernel.org/pub/linux/kernel/v6.x/ChangeLog-6.12.90
    - qede: fix a thing

 -- A Maintainer <a@example.org>  Mon, 01 Jun 2026 10:30:20 +0100
"""
PARSED = deb_changelog.parse_changelog(CHANGELOG)


def test_stanzas() -> None:
    assert PARSED.versions == (
        "6.12.117-1~deb12u1",
        "6.12.117-1",
        "6.12.115-1",
        "6.12.113-1",
        "6.12.94-1",
        "6.12.90-1",
    )
    first, second = PARSED.stanzas[:2]
    assert (first.package, first.suite, first.date) == (
        "linux-6.12",
        "bookworm-security",
        "Sat, 14 Nov 2026 13:56:01 +0100",
    )
    assert second.items == (
        deb_changelog.Item(
            "[arm64] net: hns3: fix a title that is wrapped onto the next line of the changelog (CVE-2026-90001)",
            "6.12.116",
            ("CVE-2026-90001",),
            (),
        ),
        deb_changelog.Item('Revert "tg3: something that was wrong"', "6.12.117", (), ()),
        deb_changelog.Item("Bump ABI to 1", None, (), ()),
        deb_changelog.Item("ext4: fix NULL folio dereference in mballoc (Closes: #1154101)", None, (), (1154101,)),
    )


@pytest.mark.parametrize(
    ("text", "title", "taken_back"),
    [
        ("[arm64,armhf] net: dsa: x (CVE-2024-1234) (Closes: #1, #2)", "net: dsa: x", False),
        ('Revert "ice: fix A"', "ice: fix a", True),
        ('Revert "Revert "ice: fix A""', "ice: fix a", False),
        ("ice:  fix   a.", "ice: fix a", False),
        ("net: foo() (bar): baz", "net: foo() (bar): baz", False),
        ('Revert "', 'revert "', False),
    ],
)
def test_normal_title(text: str, title: str, taken_back: bool) -> None:
    found, back = deb_changelog.normal_title(text)
    assert (found.rstrip('"'), back) == (title.rstrip('"'), taken_back)


def test_history_of_a_fix_that_was_taken_back() -> None:
    assert deb_changelog.history(PARSED, "ice: fix double-free of tx_buf skb") == (
        ("6.12.94-1", "6.12.91", True),
        ("6.12.94-1", "6.12.92", False),
        ("6.12.115-1", "6.12.114", True),
    )


@pytest.mark.parametrize(
    ("title", "fixed"),
    [
        ("ice: fix double-free of tx_buf skb", ("6.12.115-1", "6.12.114")),
        ("bnxt_en: fix DMA mapping length for padded small packets", ("6.12.113-1", None)),
        ("tg3: something that was wrong", None),
        ("ice: fix double-free", None),  # the beginning of a title is not the title
    ],
)
def test_first_fixed(title: str, fixed: tuple[str, str | None] | None) -> None:
    assert deb_changelog.first_fixed(PARSED, title) == fixed


def _titles(from_version: str, to_version: str, *drivers: str) -> tuple[list[str], list[str], bool]:
    found = deb_changelog.items_between(PARSED, from_version, to_version, drivers)
    return [row["title"] for row in found["items"]], [row["title"] for row in found["taken_back"]], found["complete"]


@pytest.mark.parametrize(
    ("low", "high", "driver", "expected"),
    [
        ("6.12.90-1", "6.12.94-1", "ice", (["ice: Fix ice_ptp_read_tx_hwtstamp_status_eth56g"], [], True)),
        ("6.12.94-1", "6.12.117-1", "ice", (["ice: fix double-free of tx_buf skb"], [], True)),
        ("6.12.113-1", "6.12.117-1~deb12u1", "tg3", ([], ['Revert "tg3: something that was wrong"'], True)),
        ("6.12.90-1", "6.12.117-1", "tg3", ([], [], True)),
        ("6.12.113-1", "6.12.113-1", "bnxt_en", ([], [], True)),
        ("6.12.95-1~bpo12+1", "6.12.115-1", "ice", (["ice: fix double-free of tx_buf skb"], [], False)),
        ("6.1.192-2", "6.12.94-1", "qede", (["qede: fix a thing"], [], False)),
        ("6.12.117-1", "6.12.90-1", "ice", ([], [], False)),
    ],
)
def test_items_between(low: str, high: str, driver: str, expected: tuple[list[str], list[str], bool]) -> None:
    assert _titles(low, high, driver) == expected


def test_item_in_full() -> None:
    found = deb_changelog.items_between(PARSED, "6.12.94-1", "6.12.115-1", ["bnxt_en"])
    assert found["items"] == [
        {
            "title": "bnxt_en: fix DMA mapping length for padded small packets",
            "version": "6.12.113-1",
            "upstream": None,
            "modules": ["bnxt_en"],
            "cves": [],
            "closes": [1149564],
        },
        {
            "title": "bnxt_en: Disable EOP for TPA on all chips to prevent data corruption",
            "version": "6.12.115-1",
            "upstream": "6.12.114",
            "modules": ["bnxt_en"],
            "cves": [],
            "closes": [],
        },
    ]


def test_why_a_list_is_not_complete() -> None:
    reasons = [
        deb_changelog.items_between(PARSED, low, high, ["ice"])["reason"]
        for low, high in (("6.12.117-1", "6.12.90-1"), ("6.12.91-1", "6.12.94-1"))
    ]
    assert reasons == [
        "6.12.90-1 is older than 6.12.117-1: read it the other way round",
        "the changelog has no upload 6.12.91-1",
    ]
    other = CHANGELOG.replace("(6.12.90-1)", "(6.11.10-1)")
    found = deb_changelog.items_between(deb_changelog.parse_changelog(other), "6.11.10-1", "6.12.94-1", ["ice"])
    assert found["complete"] is False
    assert "different branches" in found["reason"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        "apt (2.6.1) unstable; urgency=medium\n",
        "linux (not a version) x; urgency=low\n",
        "linux (6.1;1) x; urgency=low\n",
        "\x00\x01binary",
    ],
)
def test_no_changelog(text: str) -> None:
    with pytest.raises(ParseError):
        deb_changelog.parse_changelog(text)


def test_bounds() -> None:
    with pytest.raises(ParseError, match="characters"):
        deb_changelog.parse_changelog("x" * (deb_changelog.TEXT_LIMIT + 1))
    with pytest.raises(ParseError, match="lines"):
        deb_changelog.parse_changelog("\n" * (deb_changelog.LINE_LIMIT + 1))
    with pytest.raises(ParseError, match="uploads"):
        deb_changelog.parse_changelog("linux (6.1.1-1) x; urgency=low\n" * (deb_changelog.STANZA_LIMIT + 1))
    with pytest.raises(ParseError):
        deb_changelog.items_between(PARSED, "no version", "6.12.94-1", ["ice"])


def test_long_items_are_cut() -> None:
    text = "linux (6.1.1-1) x; urgency=low\n  * ice: {0}\n{1}".format("a" * 5000, "    b\n" * 5000)
    ((item,),) = [stanza.items for stanza in deb_changelog.parse_changelog(text).stanzas]
    assert len(item.text) <= 1024


@given(st.text(max_size=400))
def test_any_text_gives_a_changelog_or_a_reason(text: str) -> None:
    try:
        stanzas = deb_changelog.parse_changelog("linux (6.1.1-1) x; urgency=low\n" + text).stanzas
    except ParseError:
        return
    assert stanzas[0].version == "6.1.1-1"

# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The first and the last dump of a signature stay."""

from __future__ import annotations

from ansible_collections.rackops.crashready.plugins.module_utils._core.retention import Kept, removable


def names(*crashes: tuple[str, str | None]) -> list[str]:
    return [each.path for each in removable(Kept(stamp, signature, stamp) for stamp, signature in crashes)]


def test_the_middle_goes() -> None:
    assert names(("3", "a"), ("1", "a"), ("2", "a"), ("4", "a")) == ["2", "3"]


def test_two_of_a_kind_and_other_kinds_stay() -> None:
    assert names(("1", "a"), ("2", "b"), ("3", "a"), ("4", "b"), ("5", "c")) == []


def test_without_a_signature_nothing_goes() -> None:
    assert names(("1", None), ("2", None), ("3", None), ("4", "")) == []

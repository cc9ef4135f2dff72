# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Which pstore records are one crash."""

from __future__ import annotations

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core.pstore import group_records

# (seconds * 100 + part) * 1000 + count, drivers/firmware/efi/efi-pstore.c
ONE = ["dmesg-efi_pstore-170000000001001", "dmesg-efi_pstore-170000000002001", "dmesg-efi_pstore-170000000103001"]
LATER = "dmesg-efi_pstore-170010000001001"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], []),
        (["console-ramoops-0", "README", "dmesg-"], []),
        (ONE, [("efi-1700000000", 3, 1700000000)]),
        ([LATER, *ONE], [("efi-1700000000", 3, 1700000000), ("efi-1700100000", 1, 1700100000)]),
        (["dmesg-ramoops-1", "dmesg-ramoops-0"], [("ramoops", 2, None)]),
        (["dmesg-erst-6873247", "dmesg-ramoops-0"], [("erst", 1, None), ("ramoops", 1, None)]),
        (["dmesg-efi-7"], [("efi", 1, None)]),
    ],
)
def test_groups(names: list[str], expected: list[tuple[str, int, int | None]]) -> None:
    assert [(group.name, len(group.files), group.seconds) for group in group_records(names)] == expected


def test_what_the_kernel_could_not_unpack_is_named() -> None:
    (group,) = group_records(["dmesg-ramoops-0", "dmesg-ramoops-1.enc.z"])
    assert (group.files, group.unreadable) == (("dmesg-ramoops-0",), ("dmesg-ramoops-1.enc.z",))

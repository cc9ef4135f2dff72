# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""A reservation of this host's own: estimated from what it has, or measured by a drill."""

from __future__ import annotations

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core.crashkernel import (
    LEAST_MARGIN,
    MIB,
    Needs,
    estimate,
    propose,
    usual,
)
from hypothesis import given
from hypothesis import strategies as st

GIB = 1024 * MIB
SEEN = Needs(2 * GIB, 45 * MIB, 8 * MIB, 30 * MIB, 9 * MIB, 2, (), 0)


def test_estimate_is_the_sum_that_is_shown() -> None:
    found = estimate(SEEN)
    total = sum(size for _what, size in found.parts)
    assert found.total_bytes is not None
    assert total <= found.total_bytes < total + 16 * MIB
    assert found.total_bytes % (16 * MIB) == 0
    assert all("{0}".format(what) in found.reason for what, _size in found.parts)
    assert not [what for what, _size in found.parts if "not seen" in what]


@pytest.mark.parametrize(
    ("needs", "part", "size"),
    [
        (SEEN._replace(nics=(("mlx5_core", 2, 63),)), "NIC driver mlx5_core (2 ports, 63 queues now)", 256 * MIB),
        (SEEN._replace(nics=(("igb", 1, None),)), "NIC driver igb (1 ports)", 32 * MIB),
        (SEEN._replace(nics=(("ice", 1, 8),), page_size=65536), "NIC driver ice (1 ports, 8 queues now)", 144 * MIB),
        (SEEN._replace(kdf_bytes=GIB), "unlocking LUKS (argon2)", GIB),
        (SEEN._replace(kdf_bytes=None), "unlocking LUKS (argon2) (not seen, assumed)", GIB),
        (SEEN._replace(memory_bytes=1024 * GIB), "page bitmaps of makedumpfile", 64 * MIB),
        (SEEN._replace(cpus=256), "notes of 256 CPUs", MIB),
        (SEEN._replace(unpacked_bytes=None), "capture initrd, unpacked", 32 * MIB),
        (SEEN._replace(kernel_bytes=None), "kernel code and data (not seen, assumed)", 48 * MIB),
    ],
)
def test_terms(needs: Needs, part: str, size: int) -> None:
    assert dict(estimate(needs).parts)[part] == size


def test_more_needs_more() -> None:
    plain = estimate(SEEN).total_bytes or 0
    assert (estimate(SEEN._replace(nics=(("mlx5_core", 1, 8),))).total_bytes or 0) >= plain + 128 * MIB
    assert (estimate(SEEN._replace(modules_bytes=40 * MIB)).total_bytes or 0) > plain


@pytest.mark.parametrize(
    ("reserved", "lowest", "expected"),
    [
        (256 * MIB, 100 * MIB, 208 * MIB),  # 156 in use, a quarter on top
        (192 * MIB, 10 * MIB, 240 * MIB),  # it was too close: the proposal is larger than what there is
        (512 * MIB, 440 * MIB, 128 * MIB),  # 72 in use: kernel and initrd before systemd need more, 45 + 8 + 30 + 32
    ],
)
def test_proposal(reserved: int, lowest: int, expected: int) -> None:
    assert propose(reserved, lowest, SEEN).total_bytes == expected


@given(st.integers(64 * MIB, 8 * GIB), st.integers(0, 9 * GIB))
def test_proposal_keeps_its_margin(reserved: int, lowest: int) -> None:
    total = propose(reserved, lowest, SEEN).total_bytes or 0
    used = max(0, reserved - lowest)
    assert total >= used + max(LEAST_MARGIN, used // 4)
    assert total % (16 * MIB) == 0


def test_beside_what_others_reserve() -> None:
    found = {entry.whose: (entry.bytes // MIB, entry.saved_bytes // MIB) for entry in usual(16 * GIB, 208 * MIB)}
    assert found == {
        "Debian 12": (128, -80),
        "Debian 13": (192, -16),
        "Ubuntu": (512, 304),
        "Crashready without a drill": (512, 304),
    }
    assert "Ubuntu" not in {entry.whose for entry in usual(GIB, 208 * MIB)}, "it reserves nothing there"

# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The grammar of crashkernel= (kernel: Documentation/admin-guide/kdump/kdump.rst) and what is suggested."""

from __future__ import annotations

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core.crashkernel import (
    nominal_memory,
    parse_crashkernel,
    render_size,
    suggest,
)
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import ParseError
from hypothesis import given
from hypothesis import strategies as st

MIB = 1024 * 1024
GIB = 1024 * MIB


@pytest.mark.parametrize(
    ("text", "memory", "expected"),
    [
        ("256M", 2 * GIB, 256 * MIB),
        ("262144K", 2 * GIB, 256 * MIB),
        ("1G", 2 * GIB, GIB),
        ("512M,high", 64 * GIB, 512 * MIB),
        ("128M,low", 64 * GIB, 128 * MIB),
        ("256M@16M", 2 * GIB, 256 * MIB),
        # Debian 12's and 13's packaged values
        ("384M-:128M", 2 * GIB, 128 * MIB),
        ("384M-:128M", 256 * MIB, 0),
        ("512M-:192M", 512 * MIB, 192 * MIB),
        # Ubuntu's
        ("2G-4G:320M,4G-32G:512M,32G-64G:1024M,64G-128G:2048M,128G-:4096M", 4 * GIB, 512 * MIB),
        ("2G-4G:320M,4G-32G:512M,32G-64G:1024M,64G-128G:2048M,128G-:4096M", GIB, 0),
        ("2G-4G:320M,4G-32G:512M,32G-64G:1024M,64G-128G:2048M,128G-:4096M", 4096 * GIB, 4096 * MIB),
    ],
)
def test_size_for_a_host(text: str, memory: int, expected: int) -> None:
    assert parse_crashkernel(text).bytes_for(memory) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "M",
        "256X",
        "256M;reboot",
        "auto",
        "256M,sideways",
        "256M,high,low",
        "256M\n",
        "4G-2G:128M",
        "2G-4G",
        "2G-4G:",
        "1" * 600,
        "256M@x",
        "-256M",
    ],
)
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(ParseError):
        parse_crashkernel(text)


@given(st.text(max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parsed = parse_crashkernel(text)
    except ParseError:
        return
    assert parsed.bytes_for(GIB) >= 0


@pytest.mark.parametrize(
    ("memory", "expected"),
    [
        (640 * MIB, None),
        (1000 * MIB, 192 * MIB),
        (1955 * MIB, 256 * MIB),  # a guest of 2 GiB as the kernel counts it
        (4 * GIB, 256 * MIB),
        (16 * GIB, 512 * MIB),
        # what 8, 64 and 256 GiB look like to the kernel
        (7937 * MIB, 512 * MIB),
        (64150 * MIB, 768 * MIB),
        (257500 * MIB, 1024 * MIB),
        (60 * GIB, 512 * MIB),
        (128 * GIB, 768 * MIB),
        (768 * GIB, 1024 * MIB),
        (2048 * GIB, 2048 * MIB),
    ],
)
def test_suggestion_by_memory(memory: int, expected: int | None) -> None:
    suggestion = suggest(memory, ())
    assert suggestion.total_bytes == expected
    assert sum(size for _what, size in suggestion.parts) == (expected or 0)


def test_driver_that_must_stay_costs_memory() -> None:
    alone = suggest(16 * GIB, ()).total_bytes
    assert alone is not None
    assert suggest(16 * GIB, ("mlx5_core",)).total_bytes == alone + 128 * MIB
    assert suggest(16 * GIB, ("mlx5_core", "mlx5_core")).total_bytes == alone + 128 * MIB
    assert suggest(16 * GIB, ("mlx5_core",), page_size=65536).total_bytes == alone + 192 * MIB


@given(st.integers(GIB, 1024 * GIB), st.integers(0, 64 * MIB))
def test_suggestion_is_the_same_after_the_reservation(memory: int, kept_by_the_kernel: int) -> None:
    """The kernel shows a little less after a boot with a reservation; the plan must not change its mind."""
    if nominal_memory(memory) == nominal_memory(memory - kept_by_the_kernel):
        assert suggest(memory, ()) == suggest(memory - kept_by_the_kernel, ())


@given(st.integers(1, 1 << 50))
def test_rendered_size_is_never_less(size: int) -> None:
    assert parse_crashkernel(render_size(size)).bytes_for(GIB) >= size

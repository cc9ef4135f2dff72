# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What an action plugin sends along, and folders that end up in a unit file."""

from __future__ import annotations

import base64
import zlib

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import ParseError
from ansible_collections.rackops.crashready.plugins.module_utils._core.host_program import (
    folder_for_unit,
    unpack_program,
)

PACKED = zlib.compress(b"PK" * 1000)


def test_a_program_comes_whole() -> None:
    assert unpack_program(base64.b64encode(PACKED).decode()) == b"PK" * 1000


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (None, "the action plugin"),
        ("", "the action plugin"),
        ("%%%=", "program: "),
        (base64.b64encode(b"no zlib").decode(), "program: "),
        (base64.b64encode(PACKED[:-6]).decode(), "cut off"),
        (base64.b64encode(zlib.compress(bytes(17 << 20))).decode(), "larger than"),
    ],
    ids=["none", "empty", "no base64", "no zlib", "cut", "a bomb"],
)
def test_what_is_no_program(given: str | None, told: str) -> None:
    with pytest.raises(ParseError, match=told):
        unpack_program(given)


@pytest.mark.parametrize("folder", ["/srv/x\nExecStart=/bin/sh", "relative", "/a b", "/a%n", ""])
def test_a_folder_that_breaks_the_unit_is_refused(folder: str) -> None:
    with pytest.raises(ParseError, match="cannot be the"):
        folder_for_unit(folder, "folder")

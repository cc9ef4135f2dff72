# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The unit of a soak reads the plan and writes the record of its id, and no boot starts it."""

from __future__ import annotations

import configparser

from ansible_collections.rackops.crashready.plugins.module_utils._core import (
    host_program,
    soak,
    soak_unit,
    soakrecord,
)
from ansible_collections.rackops.crashready.tests.unit.soak_seen import ID


def test_unit() -> None:
    files = soak_unit.wanted_files(b"zip")
    assert set(files) == {file.path for file in soak_unit.LAYOUT.files}
    unit = configparser.RawConfigParser(strict=False)
    unit.read_string(files[soak_unit.SERVICE].decode("ascii"))
    command = unit["Service"]["ExecStart"].replace("%i", ID).split()
    assert command[2:] == [soak_unit.PROGRAM, soakrecord.plan_path(ID), soakrecord.record_path(ID)]
    assert unit["Service"]["ReadWritePaths"] == soakrecord.FOLDER
    assert "CAP_NET_RAW" in unit["Service"]["CapabilityBoundingSet"], "binding to a device takes it"
    assert unit["Service"]["Restart"] == "no"
    assert not unit.has_section("Install")
    assert soak_unit.SERVICE.rpartition("/")[2].replace("@", "@" + ID) == soak.unit_of(ID)


def test_nothing_is_enabled() -> None:
    seen = host_program.Seen(dict.fromkeys(soak_unit.wanted_files(b"")), {})
    changes = host_program.plan(soak_unit.LAYOUT, soak_unit.wanted_files(b"zip"), seen)
    assert {change.kind for change in changes} == {"file"}

# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The units of the metrics: what they may, and values that cannot be meant."""

from __future__ import annotations

import json

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core import host_program, metrics_unit
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import ParseError
from ansible_collections.rackops.crashready.plugins.module_utils._core.host_program import Seen
from ansible_collections.rackops.crashready.plugins.module_utils._core.metrics_unit import LAYOUT, Wanted, wanted_files

WANTED = wanted_files(Wanted(True, b"PK", "/srv/textfiles/", 600)) or {}


def test_the_program_writes_where_the_service_may() -> None:
    assert json.loads(WANTED[metrics_unit.CONFIG]) == {"file": "/srv/textfiles/crashready.prom"}
    service = WANTED[metrics_unit.SERVICE].decode()
    assert "ReadWritePaths=-/srv/textfiles/\n" in service
    assert "ProtectSystem=strict" in service
    assert "RestrictAddressFamilies=AF_UNIX\n" in service
    assert "OnUnitActiveSec=600\n" in WANTED[metrics_unit.TIMER].decode()


def test_the_timer_alone_is_enabled() -> None:
    changes = host_program.plan(LAYOUT, WANTED, Seen({}, {}))
    assert [change.target for change in changes if change.kind == "unit"] == ["crashready-metrics.timer"]
    assert host_program.plan(LAYOUT, WANTED, Seen(WANTED, {"crashready-metrics.timer": True})) == []


@pytest.mark.parametrize("interval_s", [0, 59, 86401, -1])
def test_intervals_that_cannot_be_meant(interval_s: int) -> None:
    with pytest.raises(ParseError, match="interval_s"):
        wanted_files(Wanted(True, b"", interval_s=interval_s))


@pytest.mark.parametrize("config", [b"", b"{", b"[]", b'"x"', b'{"file": 5}', b'{"file": "/etc/passwd"}', b"[" * 9999])
def test_a_strange_configuration_names_no_file_to_remove(config: bytes) -> None:
    assert LAYOUT.output({metrics_unit.CONFIG: config}) is None

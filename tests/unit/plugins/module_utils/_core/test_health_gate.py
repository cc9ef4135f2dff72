# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What stands against a kernel after its trial boot."""

from __future__ import annotations

import copy
import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core.health_gate import (
    compare,
    passed,
    render_findings,
)

NEW = "7.3.4+deb13-amd64"
PROBLEM = {"id": "space", "severity": "error", "message": "too little room", "remedy": "make some"}


def nic(name: str = "eno1", **changed: t.Any) -> dict[str, t.Any]:
    addresses = [{"address": "192.0.2.5/24", "fixed": True}, {"address": "2001:db8::5/64", "fixed": False}]
    mac = "00:00:5e:00:53:01"
    return {"name": name, "kind": "physical", "mac": mac, "link": True, "addresses": addresses, **changed}


def health(**changed: t.Any) -> dict[str, t.Any]:
    return {
        "release": NEW,
        "boot_id": "x",
        "nics": [nic()],
        "default_routes": [{"family": 4, "interface": "eno1"}],
        "failed_units": ["old.service"],
        "system_state": "degraded",
        "armed": True,
        "capture_problems": [],
        "unread": {},
        **changed,
    }


def ids(after: dict[str, t.Any], before: dict[str, t.Any] | None = None) -> list[str]:
    return [
        f.id for f in compare(before or health(release="6.12.117+deb13-amd64"), after, NEW) if f.severity == "error"
    ]


def test_a_host_as_well_as_before_passes() -> None:
    findings = compare(health(), health(), NEW)
    assert findings == []
    assert passed(findings)


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ({"release": "6.12.117+deb13-amd64"}, ["kernel"]),
        ({"nics": []}, ["nic_gone"]),
        ({"nics": [nic(name="enp3s0")]}, ["nic_gone"]),
        ({"nics": None, "unread": {"nics": "permission denied"}}, ["nics_unread"]),
        ({"nics": [nic(link=False)]}, ["nic_link"]),
        ({"nics": [nic(link=None)]}, ["nic_link"]),
        ({"nics": [nic(mac="00:00:5e:00:53:99")]}, ["nic_mac"]),
        ({"nics": [nic(addresses=[])]}, ["nic_address", "nic_address"]),
        ({"nics": [nic(addresses=[{"address": "192.0.2.5/24", "fixed": True}])]}, ["nic_address"]),
        # another address by lease, or by another prefix of the router, is told and no fault
        (
            {"nics": [nic(addresses=[{"address": "192.0.2.5/24", "fixed": True}, {"address": "2001:db8::9/64"}])]},
            [],
        ),
        ({"default_routes": []}, ["default_route"]),
        ({"default_routes": None}, ["default_route"]),
        ({"default_routes": [{"family": 4, "interface": "eno2"}]}, ["default_route"]),
        ({"failed_units": ["old.service", "nfs.service"]}, ["unit_failed"]),
        ({"failed_units": None}, ["units_unread"]),
        ({"failed_units": []}, []),
        ({"system_state": "starting"}, ["still_starting"]),
        ({"armed": False}, ["not_armed"]),
        ({"armed": None}, ["not_armed"]),
        ({"capture_problems": [PROBLEM]}, ["capture_space"]),
        ({"capture_problems": [{**PROBLEM, "severity": "warning"}]}, []),
        ({"nics": [nic(), nic(name="new0")]}, []),
    ],
)
def test_what_got_worse_is_found(after: dict[str, t.Any], expected: list[str]) -> None:
    assert ids(health(**after)) == expected


def test_a_renamed_nic_is_called_by_its_new_name() -> None:
    (finding,) = [f for f in compare(health(), health(nics=[nic(name="enp3s0")]), NEW) if f.id == "nic_gone"]
    assert "is now called enp3s0" in finding.message


@pytest.mark.parametrize(
    ("both", "expected"),
    [
        ({"nics": [nic(link=False)]}, []),
        ({"armed": False}, []),
        ({"capture_problems": [PROBLEM]}, []),
        ({"nics": None}, []),
        ({"failed_units": None}, []),
        ({"default_routes": []}, []),
    ],
)
def test_what_was_bad_before_is_not_held_against_it(both: dict[str, t.Any], expected: list[str]) -> None:
    assert ids(health(**copy.deepcopy(both)), health(**both)) == expected


def test_findings_in_one_line() -> None:
    findings = compare(health(), health(nics=[nic(link=False)], armed=False), NEW)
    assert not passed(findings)
    assert "eno1 had link and has no link" in render_findings(findings)
    assert "no capture kernel is loaded for this kernel" in render_findings(findings)

# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The record is read where root alone could have written it, and nowhere else."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core import kdumpbefore
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import ParseError
from ansible_collections.rackops.crashready.plugins.module_utils._host.kdumpbefore import read_before, see_past
from ansible_collections.rackops.crashready.plugins.module_utils._host.tree import TreeHost

FOLDER = "/var/lib/crashready"
BEFORE = kdumpbefore.Before(("kdump-tools", "ucf"), {}, {"/var/crash": None}, {}, {}, False, ())
TEXT = kdumpbefore.render(BEFORE)
STATUS = (
    "Package: kdump-tools\nStatus: install ok installed\nVersion: 1\nDepends: ucf\n\n"
    "Package: ucf\nStatus: install ok installed\nVersion: 1\n\n"
    "Package: grub-common\nStatus: install ok installed\nVersion: 1\nDepends: ucf\n\n"
)


def host(text: t.Any = TEXT, **stat: t.Any) -> TreeHost:
    files = {kdumpbefore.PATH: text, "/var/lib/dpkg/status": STATUS, "/var/crash/kexec_cmd": ""}
    closed = {kdumpbefore.PATH: {"mode": 0o600}, FOLDER: {"mode": 0o700}}
    return TreeHost({"files": files, "stat": {**closed, **stat}})


def test_record_of_root() -> None:
    assert read_before(host()) == BEFORE
    assert read_before(TreeHost({"files": {"/etc/hostname": "x"}})) is None


@pytest.mark.parametrize(
    ("text", "stat", "reason"),
    [
        (TEXT, {kdumpbefore.PATH: {"mode": 0o602}}, "mode 0602"),
        (TEXT, {kdumpbefore.PATH: {"mode": 0o620}}, "mode 0620"),
        (TEXT, {kdumpbefore.PATH: {"mode": 0o600, "uid": 1000}}, "user 1000"),
        # who may write the folder may put another file there
        (TEXT, {FOLDER: {"mode": 0o777}}, "mode 0777"),
        (TEXT, {FOLDER: {"uid": 33}}, "user 33"),
        (TEXT, {kdumpbefore.PATH: {"size": 2**30}}, "at most"),
        ({"link": "/etc/hostname"}, {}, "link"),
        ({"error": "permission denied"}, {}, "permission denied"),
        ("{}", {}, "schema"),
        ("\x00\xff", {}, "not JSON"),
    ],
)
def test_record_that_is_not_believed(text: t.Any, stat: dict[str, t.Any], reason: str) -> None:
    with pytest.raises(ParseError, match=reason):
        read_before(host(text, **stat))
    past = see_past(host(text, **stat))
    assert (past["before"], past["leaving"]) == (None, [])
    assert reason in past["refused"]


def test_past() -> None:
    past = see_past(host())
    assert past["refused"] is None
    assert past["leaving"] == ["kdump-tools"]
    assert past["needed"] == {"ucf": "grub-common"}
    assert past["folders"] == {"/var/crash": {"mode": 0o755, "uid": 0, "names": ["kexec_cmd"]}}
    assert past["shipped"] is None

# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The module nic_soak: arguments in, JSON out. No traffic is made here."""

from __future__ import annotations

import json
import typing as t

import pytest
import yaml
from ansible_collections.rackops.crashready.plugins.module_utils._change.files import Stopped
from ansible_collections.rackops.crashready.plugins.module_utils._core import soakprofile, soakrecord
from ansible_collections.rackops.crashready.plugins.module_utils._core.problems import Problem
from ansible_collections.rackops.crashready.plugins.modules import nic_soak
from ansible_collections.rackops.crashready.plugins.plugin_utils import host_program
from ansible_collections.rackops.crashready.tests.unit.soak_seen import ID

try:  # ansible-core 2.19 on
    from ansible.module_utils.testing import patch_module_args
except ImportError:
    pytest.skip("ansible-core before 2.19", allow_module_level=True)

HOST = {"name": "store1", "soak_id": ID, "side": "client", "nic": "enp3s0", "peer": "store2"}


@pytest.fixture(autouse=True)
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, tuple[t.Any, ...]]]:
    """Every step of `_change` is played."""
    made: list[tuple[str, tuple[t.Any, ...]]] = []
    for name in ("look_for", "look_at", "check", "start", "stop"):
        monkeypatch.setattr(
            nic_soak.steps, name, lambda *args, name=name: made.append((name, args)) or {"changed": False, "offer": {}}
        )
    return made


def run(capsys: pytest.CaptureFixture[str], **given: t.Any) -> dict[str, t.Any]:
    with patch_module_args(given), pytest.raises(SystemExit):
        nic_soak.main()
    out: dict[str, t.Any] = json.loads(capsys.readouterr().out)
    return out


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "state"),
        ({"state": "loaded"}, "value of state must be one of"),
        ({"state": "checked"}, "name, soak_id, side, nic, peer"),
        ({"state": "stopped"}, "soak_id"),
        ({"state": "paired"}, "done on the controller"),
        ({"state": "waited"}, "done on the controller"),
        ({"state": "concluded"}, "done on the controller"),
        ({"state": "started", **HOST}, "the action plugin of this module makes it"),
        ({"state": "checked", **HOST, "nic": "../x"}, "no name of a network interface"),
        ({"state": "looked", "nic": "a b"}, "no name of a network interface"),
        ({"state": "checked", **HOST, "soak_id": "x"}, "no id of a soak"),
        ({"state": "checked", **HOST, "seconds": 1}, "120 days"),
        ({"state": "checked", **HOST, "profile": "fast"}, "value of profile must be one of"),
        ({"state": "checked", **HOST, "parameters": {"streams": 1000}}, "1 to 128"),
    ],
)
def test_wrong_usage(
    capsys: pytest.CaptureFixture[str], calls: list[t.Any], given: dict[str, t.Any], told: str
) -> None:
    result = run(capsys, **given)
    assert result["failed"] is True
    assert told in result["msg"]
    assert [name for name, _about in calls if name != "look_for"] == []


def test_arguments_reach_the_step(capsys: pytest.CaptureFixture[str], calls: list[t.Any]) -> None:
    given = {**HOST, "consent": "store1", "address": "", "parameters": {"rate_mbps": 100}, "management": ["192.0.2.9"]}
    run(capsys, state="started", program=host_program.pack("soak"), _ansible_check_mode=True, **given)
    ((name, (_host, asked, program, _now, check_mode, management)),) = calls
    assert (name, check_mode, management) == ("start", True, ["192.0.2.9"])
    assert program == host_program.build("soak")
    assert (asked.name, asked.consent, asked.address, asked.offer) == ("store1", "store1", None, {})
    assert (asked.profile["name"], asked.profile["rate_mbps"], asked.seconds) == ("bulk", 100, 120)


def test_look(capsys: pytest.CaptureFixture[str], calls: list[t.Any]) -> None:
    run(capsys, state="looked")
    run(capsys, state="looked", soak_id=ID, nic="enp3s0")
    assert [(name, about[1]) for name, about in calls] == [("look_for", None), ("look_for", ID), ("look_at", "enp3s0")]


def test_every_reason_is_returned(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_about: t.Any) -> None:
        raise nic_soak.steps.Refused([Problem("no_link", "error", None, "no link", "plug it in")])

    def fail(*_about: t.Any) -> None:
        raise Stopped("it", "seen", "do that")

    monkeypatch.setattr(nic_soak.steps, "check", refuse)
    monkeypatch.setattr(nic_soak.steps, "stop", fail)
    result = run(capsys, state="checked", **HOST)
    assert result["msg"] == "no link. Next: plug it in"
    assert result["blockers"][0]["id"] == "no_link"
    assert run(capsys, state="stopped", soak_id=ID)["msg"] == "it: seen. Next: do that"


def test_documentation_names_every_option_with_its_choices() -> None:
    options = yaml.safe_load(nic_soak.DOCUMENTATION)["options"]
    assert set(options) == set(nic_soak.ARGUMENT_SPEC)
    for name, spec in nic_soak.ARGUMENT_SPEC.items():
        for key in ("type", "choices", "default", "required", "elements"):
            assert options[name].get(key) == spec.get(key), (name, key)
    assert tuple(soakprofile.PROFILES) == nic_soak.PROFILE_NAMES
    assert tuple(options["phase"]["choices"]) == soakrecord.PHASES
    assert set(options["side"]["choices"]) == set(soakrecord.SIDES)

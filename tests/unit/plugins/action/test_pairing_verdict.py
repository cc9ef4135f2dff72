# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The action pairing_verdict on the shipped database: hosts, variables, waivers, and what stops it."""

from __future__ import annotations

import json
import pathlib
import types
import typing as t

import pytest
import yaml
from ansible.errors import AnsibleActionFail
from ansible_collections.rackops.crashready.plugins.action.pairing_verdict import ActionModule

from ...pairings_seen import ENTRY, entry, host, running

BAD = host({"pci": {"vendor": "1d6a", "device": "07b1"}})
CLEAR = host({"pci": {"vendor": "1d6a", "device": "07b1"}}, running("6.1.192-2"))
HOSTS = {
    "store1": {"ansible_facts": {"crashready": BAD}},
    "store2": {"ansible_facts": {"crashready": CLEAR}},
    "store3": {},
}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> t.Callable[..., dict[str, t.Any]]:
    """Runs the action as Ansible would, for the host store1, without a play around it."""
    monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *args, **kwargs: {})

    def act(arguments: dict[str, t.Any] | None = None, **variables: t.Any) -> dict[str, t.Any]:
        action = object.__new__(ActionModule)
        action._task = types.SimpleNamespace(args=arguments or {}, action="pairing_verdict")
        action._loader = types.SimpleNamespace(path_dwim=lambda path: str(tmp_path / path))
        action._templar = types.SimpleNamespace(template=lambda value: value)
        found = action.run(task_vars={"inventory_hostname": "store1", "hostvars": HOSTS, **variables})
        assert json.loads(json.dumps(found)) == found, "it goes through JSON as it is"
        return found

    return act


def test_the_host_of_the_task(run: t.Any) -> None:
    found = run()
    assert (found["changed"], found["verdict"], list(found["hosts"])) == (False, "bad", ["store1"])
    assert found["hosts"]["store1"]["entries"] == ["atlantic-rx-frag-overflow"]
    assert "no candidates were collected" in found["hosts"]["store1"]["remedy"]["says"]


def test_many_hosts_and_one_without_facts(run: t.Any) -> None:
    found = run({"hosts": ["store1", "store2", "store3", "nobody"]})
    verdicts = {name: each["verdict"] for name, each in found["hosts"].items()}
    assert verdicts == {"store1": "bad", "store2": "clear", "store3": "unknown", "nobody": "unknown"}
    assert found["verdict"] == "bad"


def test_facts_of_the_task(run: t.Any) -> None:
    assert run({"facts": CLEAR})["verdict"] == "clear"
    with pytest.raises(AnsibleActionFail, match="facts are of one host"):
        run({"facts": CLEAR, "hosts": ["a", "b"]})


WAIVER = {"entry": "atlantic-rx-frag-overflow", "reason": "jumbo frames are off", "until": "2999-12-31"}


def test_waivers_of_the_variable_and_of_the_task(run: t.Any) -> None:
    assert run(crashready_waivers=[WAIVER])["verdict"] == "waived"
    assert run({"waivers": []}, crashready_waivers=[WAIVER])["verdict"] == "bad"
    expired = run(crashready_waivers=[{**WAIVER, "until": "2020-01-01"}])
    assert expired["verdict"] == "bad"
    assert [each["entry"] for each in expired["expired"]] == ["atlantic-rx-frag-overflow"]


def test_a_broken_waiver_stops_the_run(run: t.Any) -> None:
    with pytest.raises(AnsibleActionFail, match=r"crashready_waivers\[0\]: until.*nothing changed"):
        run(crashready_waivers=[{**WAIVER, "until": "some day"}])


def test_entries_of_a_user(run: t.Any, tmp_path: pathlib.Path) -> None:
    (tmp_path / "mine").mkdir()
    mine = entry(id="mine", kernel={"any": True}, debian=None)
    (tmp_path / "mine" / "mine.yml").write_text(yaml.safe_dump(mine), encoding="utf-8")
    found = run({"hosts": ["store2"]}, crashready_pairings_dirs=["mine"])
    assert found["hosts"]["store2"]["entries"] == ["mine"]


def test_a_broken_entry_stops_the_run_with_file_line_and_field(run: t.Any, tmp_path: pathlib.Path) -> None:
    (tmp_path / "mine").mkdir()
    text = yaml.safe_dump({**ENTRY, "id": "mine", "suggested_use": "panic"}, sort_keys=False)
    (tmp_path / "mine" / "mine.yml").write_text(text, encoding="utf-8")
    line = next(number for number, each in enumerate(text.splitlines(), 1) if each.startswith("suggested_use"))
    with pytest.raises(AnsibleActionFail, match=r"mine/mine\.yml:{0}: suggested_use: .*panic".format(line)):
        run(crashready_pairings_dirs=["mine"])


def test_suites_bound_the_remedy(run: t.Any) -> None:
    offered = {"bookworm-security": [{"package": "linux-image-amd64", "version": "6.1.192-2"}]}
    facts = host({"pci": {"vendor": "1d6a", "device": "07b1"}}, {"candidates": offered})
    plan = run({"facts": facts})["hosts"]["store1"]["remedy"]
    assert plan["choice"]["version"] == "6.1.192-2"
    plan = run({"facts": facts}, backports_kernel_suites=["bookworm-backports"])["hosts"]["store1"]["remedy"]
    assert plan["choice"] is None
    assert "does not allow bookworm-security" in plan["refused"][0]["reason"]

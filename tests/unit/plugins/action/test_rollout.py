# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The action rollout, step by step as the playbook calls it; its clock is a fake, its record a real file."""

from __future__ import annotations

import datetime as dt
import json
import pathlib
import stat
import types
import typing as t

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.rackops.crashready.plugins.action import rollout as module
from ansible_collections.rackops.crashready.plugins.action.rollout import ActionModule

NIC = {"name": "eth0", "pci": {"vendor": "8086", "device": "10fb"}, "driver": "ixgbe", "virtual": False, "link": True}
FACTS = {"nics": [NIC], "kernel": {"release": "6.1"}, "capture": {"armed": True, "proven": None, "unread": {}}}
HEALTH = {
    "release": "6.1",
    "nics": [{"name": "eth0", "kind": "physical", "mac": "m", "link": True, "addresses": []}],
    "default_routes": [],
    "failed_units": [],
    "system_state": "running",
    "armed": True,
    "capture_problems": [],
    "unread": {},
}
JUDGED = {"verdict": "clear", "says": "clear"}
Variables = dict[str, t.Any]


def host(**more: t.Any) -> Variables:
    return {"ansible_facts": {"crashready": FACTS}, "crashready_verdict": JUDGED, "kdump_reboot_ok": True, **more}


class Clock:
    """2026-11-28 is a Saturday."""

    def __init__(self) -> None:
        self.now = dt.datetime(2026, 11, 28, 21, tzinfo=dt.timezone.utc)
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += dt.timedelta(seconds=seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(module, "_now", lambda: found.now)
    monkeypatch.setattr(module, "_sleep", found.sleep)
    return found


class Rack:
    """Runs the action as Ansible would, without a play around it."""

    def __init__(self, path: pathlib.Path, hosts: dict[str, Variables]) -> None:
        self.path = path
        self.hosts = hosts
        self.check_mode = False

    def act(self, action: str, name: str = "a", **arguments: t.Any) -> dict[str, t.Any]:
        plugin = object.__new__(ActionModule)
        given = {"action": action, "record": str(self.path), **arguments}
        plugin._task = types.SimpleNamespace(args=given, action="rollout", check_mode=self.check_mode)
        own = self.hosts.get(name, {})
        found = plugin.run(task_vars={"inventory_hostname": name, "hostvars": self.hosts, "groups": {}, **own})
        assert json.loads(json.dumps(found)) == found, "it goes through JSON as it is"
        return found

    def plan(self, **arguments: t.Any) -> dict[str, t.Any]:
        return self.act("plan", hosts=list(self.hosts), **arguments)

    def go(self, name: str, health: Variables | None = None) -> None:
        """One host from its look to its end."""
        self.act("change", name, look={"health": HEALTH})
        self.act("gate", name, look={"health": health or HEALTH}, verdict={"hosts": {name: JUDGED}})
        self.act("done", name)

    @property
    def record(self) -> dict[str, t.Any]:
        found = module.read_record(str(self.path))
        assert found is not None
        return found


@pytest.fixture
def rack(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path, clock: Clock) -> t.Callable[..., Rack]:
    monkeypatch.setattr("ansible.plugins.action.ActionBase.run", lambda *args, **kwargs: {})
    return lambda **hosts: Rack(tmp_path / "rollout.json", hosts)


def test_a_rollout_from_its_plan_to_its_end(rack: t.Callable[..., Rack], tmp_path: pathlib.Path) -> None:
    it = rack(a=host(), b=host(), c=host())
    planned = it.plan(batch="2")
    assert (planned["order"], planned["sizes"]) == (["a", "b", "c"], [1, 2])
    assert stat.S_IMODE(it.path.stat().st_mode) == 0o600
    for wave in (["a"], ["b", "c"]):
        begun = it.act("begin", wave[0], hosts=wave)
        assert begun["go"]
        for name in wave:
            it.go(name)
        assert it.act("end", wave[0], hosts=wave)["go"]
    summary = tmp_path / "rack.json"
    told = it.act("report", dest=str(summary))
    assert told["unfinished"] == {}
    assert told["says"] == "3 hosts in 2 waves: 3 done"
    assert json.loads(summary.read_text()) == told["summary"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rack.json", "rollout.json"], "nothing else is left"
    # All are done: the next run is a new rollout.
    assert it.plan()["order"] == ["a", "b", "c"]


def test_a_host_that_is_worse_stops_it(rack: t.Callable[..., Rack]) -> None:
    it = rack(a=host(), b=host())
    it.plan()
    it.act("begin", hosts=["a"])
    it.act("change", look={"health": HEALTH})
    worse = {"health": {**HEALTH, "failed_units": ["ssh.service"]}}
    with pytest.raises(AnsibleActionFail, match=r"a is worse than before: ssh\.service failed and was well before"):
        it.act("gate", look=worse, verdict={"hosts": {"a": JUDGED}})
    it.act("fail", msg="Host is not worse than before: ssh.service")
    assert it.act("end", hosts=["a"]) == {"changed": False, "go": False}
    assert it.act("begin", "b", hosts=["b"])["go"] is False
    assert it.act("report")["unfinished"] == {
        "a": "Host is not worse than before: ssh.service",
        "b": "untouched: the rollout stopped at a before its turn",
    }
    # Started again it goes on there, and the host is held against what it was at first.
    assert it.plan()["order"] == ["a", "b"]
    it.act("begin", hosts=["a"])
    it.act("change", look=worse)
    with pytest.raises(AnsibleActionFail, match="worse than before"):
        it.act("gate", look=worse, verdict={"hosts": {"a": JUDGED}})
    it.act("fail", msg="again")
    it.plan()
    it.go("a")
    assert it.record["hosts"]["a"]["phase"] == "done"


@pytest.mark.parametrize("result", [{"unreachable": True, "msg": "no route"}, {"failed": True, "msg": "no route"}])
def test_a_host_that_does_not_come_back(rack: t.Callable[..., Rack], result: Variables) -> None:
    it = rack(a=host())
    it.plan()
    it.act("begin", hosts=["a"])
    it.act("change", look={"health": HEALTH})
    with pytest.raises(AnsibleActionFail, match="does not answer after its change: no route"):
        it.act("gate", look=result, verdict={"hosts": {}})


def test_a_host_that_is_silent_before_its_turn_is_not_touched(rack: t.Callable[..., Rack]) -> None:
    it = rack(a=host())
    it.plan()
    it.act("begin", hosts=["a"])
    with pytest.raises(AnsibleActionFail, match="did not answer before its turn, and nothing was changed on it: gone"):
        it.act("change", look={"unreachable": True, "msg": "gone"})
    assert it.record["hosts"]["a"]["phase"] == "planned"


def test_drained_and_not_put_back_is_known(rack: t.Callable[..., Rack]) -> None:
    it = rack(a=host())
    it.plan()
    it.act("begin", hosts=["a"])
    it.act("change", look={"health": HEALTH}, drains=True, drained=True)
    assert it.record["hosts"]["a"]["phase"] == "draining"
    it.act("fail", msg="could not be drained", drained=False)
    it.act("fail", msg="of the block around it")
    entry = it.record["hosts"]["a"]
    assert (entry["drained"], entry["says"]) == (False, "could not be drained"), "the task that knows more has said it"


def test_who_is_left_and_why(rack: t.Callable[..., Rack]) -> None:
    it = rack(
        a=host(kdump_reboot_ok=False),
        b=host(__crashready_facts={"unreachable": True}),
        c=host(crashready_failure="no Python"),
        d=host(crashready_redundancy_group="g"),
        e=host(crashready_redundancy_group="g", __crashready_facts={"unreachable": True}),
        f=host(kdump_reboot_ok=False),
        **{"web[1]": host()},
    )
    planned = it.plan(consents=["f"])
    assert planned["order"] == ["f"]
    left = {row["host"]: (row["state"], row["reason"]) for row in planned["summary"]["hosts"] if row["host"] != "f"}
    assert left["a"][1].startswith("no yes to its reboot")
    assert left["b"] == ("unreachable", "it did not answer")
    assert left["c"][1] == "it could not be looked at: no Python"
    assert left["d"][1] == "e, which stands in for it (redundancy group g), does not answer"
    assert left["web[1]"][1].startswith("its name is a pattern")


def test_groups_of_drills_count_as_well(rack: t.Callable[..., Rack]) -> None:
    it = rack(a=host(crash_drill_group="stores"), b=host(), c=host())
    planned = it.act("plan", "x", hosts=["a", "b", "c"], batch="9", canaries=0)
    assert planned["sizes"] == [3]
    it.path.unlink()
    it.hosts["x"] = {"groups": {"stores": ["a", "b"]}}
    assert it.act("plan", "x", hosts=["a", "b", "c"], batch="9", canaries=0)["sizes"] == [2, 1]


def test_only_the_order(rack: t.Callable[..., Rack], tmp_path: pathlib.Path) -> None:
    it = rack(a=host(kdump_reboot_ok=False), b=host(kdump_reboot_ok=False))
    planned = it.plan(plan_only=True, dest=str(tmp_path / "plan.json"))
    assert planned["order"] == [], "no wave begins"
    assert [wave["hosts"] for wave in planned["summary"]["waves"]] == [["a"], ["b"]]
    assert "the order if all had" in planned["summary"]["notes"][0]
    assert not it.path.exists()
    assert json.loads((tmp_path / "plan.json").read_text())["plan"] is True


def test_check_mode_writes_nothing(rack: t.Callable[..., Rack]) -> None:
    it = rack(a=host(), b=host())
    it.check_mode = True
    assert it.plan()["order"] == ["a", "b"]
    assert it.act("begin", hosts=["a"])["go"]
    it.go("a")
    it.act("fail", msg="x")
    assert it.act("end", hosts=["a"])["go"]
    it.act("report")
    assert not it.path.exists()


# --- windows ---------------------------------------------------------------------------------------------------------

WINDOW = "Sat 22:00-04:00 UTC"


def test_a_window_that_is_closed_stops_with_the_next_opening(rack: t.Callable[..., Rack], clock: Clock) -> None:
    it = rack(a=host(crashready_window=WINDOW))
    it.plan()
    assert it.act("begin", hosts=["a"], wait_s=3599)["go"] is False
    stopped = it.record["stopped"]
    assert stopped["host"] is None
    assert stopped["says"].endswith("Next: run again from Sat 2026-11-28 22:00 UTC")
    assert clock.slept == []
    assert it.act("report")["unfinished"] == {"a": "untouched: the rollout stopped before its turn"}
    clock.now += dt.timedelta(hours=1)
    it.plan()
    assert it.act("begin", hosts=["a"])["go"]


def test_it_waits_for_a_window_as_long_as_it_may(rack: t.Callable[..., Rack], clock: Clock) -> None:
    it = rack(a=host(crashready_window=[WINDOW]))
    it.plan()
    assert it.act("begin", hosts=["a"], wait_s=3600)["go"]
    assert clock.slept == [3600.0]


def test_a_wave_that_does_not_fit_the_rest_waits_for_the_next_week(rack: t.Callable[..., Rack], clock: Clock) -> None:
    it = rack(a=host(crashready_window=WINDOW), b=host(crashready_window=WINDOW))
    it.plan()
    clock.now = dt.datetime(2026, 11, 29, 3, 10, tzinfo=dt.timezone.utc)
    assert it.act("begin", hosts=["a"], wave_s=1800)["go"], "50 minutes are left"
    it.go("a")
    clock.now += dt.timedelta(minutes=15)
    it.act("end", hosts=["a"])
    assert it.act("begin", "b", hosts=["b"], wave_s=1200, soak_s=1000)["go"] is False
    assert "2100 s are left" in it.record["stopped"]["says"]
    assert it.record["stopped"]["says"].endswith("run again from Sat 2026-12-05 22:00 UTC")


def test_what_a_wave_took_counts_more_than_what_it_was_thought_to_take(
    rack: t.Callable[..., Rack], clock: Clock
) -> None:
    it = rack(a=host(crashready_window=WINDOW), b=host(crashready_window=WINDOW))
    it.plan()
    clock.now = dt.datetime(2026, 11, 29, 0, 0, tzinfo=dt.timezone.utc)
    it.act("begin", hosts=["a"], wave_s=600)
    it.go("a")
    clock.now += dt.timedelta(hours=2, minutes=30)
    it.act("end", hosts=["a"])
    assert it.act("begin", "b", hosts=["b"], wave_s=600)["go"] is False


def test_a_window_that_is_never_long_enough(rack: t.Callable[..., Rack]) -> None:
    it = rack(a=host(crashready_window="22:00-22:10"))
    it.plan()
    assert it.act("begin", hosts=["a"], wave_s=1800)["go"] is False
    assert "no window (22:00-22:10) is as long as the 1800 s" in it.record["stopped"]["says"]


@pytest.mark.parametrize("window", ["tomorrow", 5, "Sat 22:00-04:00 Middle/Earth"])
def test_a_window_that_is_none(rack: t.Callable[..., Rack], window: t.Any) -> None:
    with pytest.raises(AnsibleActionFail, match="rollout: "):
        rack(a=host(crashready_window=window)).plan()


# --- the file --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "says"), [('{"schema":1,"ho', "broken off"), ('{"schema":2}', "newer version"), ("\udcff", "decode")]
)
def test_a_record_that_cannot_be_used(rack: t.Callable[..., Rack], text: str, says: str) -> None:
    it = rack(a=host())
    it.path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(AnsibleActionFail) as caught:
        it.plan()
    assert says in str(caught.value)
    assert str(it.path) in str(caught.value)
    assert it.path.read_bytes() == text.encode("utf-8", "surrogateescape"), "it is left as it is"


def test_a_record_that_is_gone_in_the_middle(rack: t.Callable[..., Rack]) -> None:
    with pytest.raises(AnsibleActionFail, match="is gone in the middle"):
        rack(a=host()).act("begin", hosts=["a"])


def test_a_place_that_is_none(rack: t.Callable[..., Rack], tmp_path: pathlib.Path) -> None:
    it = rack(a=host())
    it.path = tmp_path / "none" / "rollout.json"
    with pytest.raises(AnsibleActionFail, match="cannot be written"):
        it.plan()


def test_what_raises_leaves_the_record(rack: t.Callable[..., Rack]) -> None:
    it = rack(a=host())
    it.plan()
    before = it.path.read_text()
    with pytest.raises(AnsibleActionFail, match="a cannot go from planned to done"):
        it.act("done")
    assert it.path.read_text() == before

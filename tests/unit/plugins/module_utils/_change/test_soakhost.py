# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The steps of a soak on a host: what refuses it, what is started once and no more, and what became of it."""

from __future__ import annotations

import pathlib
import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._change import files as files_module
from ansible_collections.rackops.crashready.plugins.module_utils._change import soakhost as steps
from ansible_collections.rackops.crashready.plugins.module_utils._change.files import Stopped
from ansible_collections.rackops.crashready.plugins.module_utils._core import soak, soakprofile, soakrecord
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import CoreError
from ansible_collections.rackops.crashready.plugins.module_utils._host import soak as host_soak
from ansible_collections.rackops.crashready.plugins.module_utils._host.base import Completed
from ansible_collections.rackops.crashready.plugins.module_utils._host.local import LocalHost
from ansible_collections.rackops.crashready.tests.unit.soak_seen import BOOT, ID, OTHER, crash, looked, record

UNIT = "crashready-soak@{0}.service".format(ID)
OFFER = {"boot_id": OTHER, "nic": {"addresses": [["192.0.2.2", 24]], "speed_mbps": 10000}}
ASKED = soak.Asked(
    "store1",
    "client",
    "enp3s0",
    "store2",
    soakprofile.make_profile("bulk"),
    120,
    consent="store1",
    soak_id=ID,
    experiment="store-rx",
    offer=OFFER,
)


class Box(LocalHost):
    """The local machine with a boot of its own; commands are written down, and units are in `active`."""

    def __init__(self) -> None:
        super().__init__()
        self.boot, self.ran, self.active = BOOT, t.cast("list[list[str]]", []), t.cast("set[str]", set())
        self.route = '[{"dst": "192.0.2.2", "dev": "enp3s0"}]'
        self.there = {"/run/systemd/system", "/usr/bin/iperf3"}
        self.start_fails = self.dies = False

    @property
    def euid(self) -> int:
        return 0

    def exists(self, path: str) -> bool:
        return path in self.there

    def read_line(self, path: str) -> str:
        return self.boot if path == "/proc/sys/kernel/random/boot_id" else super().read_line(path)

    def run(self, argv: t.Sequence[str], timeout_s: float = 60, env: t.Any = None, stdin: t.Any = None) -> Completed:
        self.ran.append(list(argv))
        if argv[:2] == ["systemctl", "show"]:
            return Completed(0, "active\n" if argv[-1] in self.active else "inactive\n", "")
        if argv[:2] == ["systemctl", "start"]:
            if self.start_fails:
                return Completed(1, "", "Unit not found.")
            self.active.update([] if self.dies else [argv[-1]])
        if argv[:2] == ["systemctl", "stop"]:
            self.active.discard(argv[-1])
        return Completed(0, self.route if argv[0] == "ip" else "", "")


class Stage(t.NamedTuple):
    """The host, what is seen of it, and the folder that stands for /var/lib/crashready/soaks."""

    box: Box
    seen: dict[str, t.Any]
    facts: dict[str, t.Any]
    folder: pathlib.Path

    def keep(self, text: str | None = None, **more: t.Any) -> None:
        self.folder.mkdir(exist_ok=True)
        (self.folder / (ID + ".json")).write_text(soakrecord.render(record(**more)) if text is None else text)

    def start(self, check_mode: bool = False, asked: soak.Asked = ASKED) -> dict[str, t.Any]:
        return steps.start(self.box, asked, b"zip", 1795439100.0, check_mode)


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> Stage:
    made = Stage(Box(), looked(iperf3=None, offer={}), {"crashes": [], "capture": {}}, tmp_path / "soaks")
    monkeypatch.setattr(soakrecord, "FOLDER", str(made.folder))
    monkeypatch.setattr(steps, "look_at", lambda *_about: made.seen)
    monkeypatch.setattr(steps, "collect_facts", lambda *_about: made.facts)
    monkeypatch.setattr(steps, "_SETTLES_S", 0)
    monkeypatch.setattr(files_module.os, "fchown", lambda *_about: None)
    installed = {"changes": [{"name": "file soak.pyz"}], "diff": [], "changed": True}
    monkeypatch.setattr(steps.hostprogram, "converge", lambda *_about: dict(installed))
    return made


def test_start(stage: Stage) -> None:
    found = stage.start()
    assert found["changed"]
    assert [change["name"] for change in found["changes"]] == ["file soak.pyz", "soak {0} over enp3s0".format(ID)]
    assert "bulk: TCP, 4 streams, 120 s, client of store2" in found["diff"][-1]["after"]
    assert found["record"]["state"] == "running"
    assert soak.parse_plan((stage.folder / (ID + ".plan")).read_text()).record["id"] == ID
    assert soakrecord.parse((stage.folder / (ID + ".json")).read_text()) == found["record"]
    assert ["systemctl", "start", UNIT] in stage.box.ran
    assert stage.folder.stat().st_mode & 0o777 == 0o700


def test_the_same_id_a_second_time_changes_nothing(stage: Stage) -> None:
    stage.start()
    before = len(stage.box.ran)
    again = stage.start()
    assert (again["changed"], again["changes"], again["record"]["id"]) == (False, [], ID)
    assert not [argv for argv in stage.box.ran[before:] if "start" in argv]


def test_check_mode_tells_the_same_and_starts_nothing(stage: Stage) -> None:
    stage.box.there.discard("/usr/bin/iperf3")
    told = stage.start(check_mode=True)
    assert told["changed"]
    assert not stage.folder.exists()
    assert not [argv for argv in stage.box.ran if argv[:2] == ["systemctl", "start"]]
    stage.box.there.add("/usr/bin/iperf3")
    assert stage.start()["changes"] == told["changes"]


def test_refused_starts_nothing(stage: Stage) -> None:
    stage.seen["armed"] = False
    stage.box.there.discard("/usr/bin/iperf3")
    with pytest.raises(steps.Refused) as caught:
        stage.start(asked=ASKED._replace(consent="no"))
    assert {each.id for each in caught.value.blockers} == {"no_consent", "not_armed", "iperf3"}
    assert "Next: " in str(caught.value)
    assert not stage.folder.exists()


def test_a_way_that_leaves_by_another_nic(stage: Stage) -> None:
    stage.box.route = '[{"dst": "192.0.2.2", "dev": "enp1s0"}]'
    with pytest.raises(steps.Refused, match="leaves by enp1s0 and not by enp3s0"):
        steps.check(stage.box, ASKED)
    stage.box.route = "{"
    with pytest.raises(steps.Refused, match="cannot be seen"):
        steps.check(stage.box, ASKED)


def test_check(stage: Stage) -> None:
    assert steps.check(stage.box, ASKED) == {"address": "192.0.2.1", "peer_address": "192.0.2.2", "offer": {}}
    assert not [argv for argv in stage.box.ran if argv[0] == "systemctl"]


def test_a_record_that_is_half_written_is_not_overwritten(stage: Stage) -> None:
    stage.keep(soakrecord.render(record())[:100])
    with pytest.raises(Stopped, match=r"half-written.*take another id"):
        stage.start()


def test_a_unit_that_does_not_start_leaves_nothing(stage: Stage) -> None:
    stage.box.start_fails = True
    with pytest.raises(Stopped, match="Unit not found"):
        stage.start()
    assert list(stage.folder.iterdir()) == []


def test_a_program_that_dies_at_once_says_why(stage: Stage) -> None:
    stage.box.dies = True
    with pytest.raises(Stopped, match=r"did not stay up: it ended at once. Next: journalctl -u crashready-soak@"):
        stage.start()


def test_without_systemd(stage: Stage) -> None:
    stage.box.there.discard("/run/systemd/system")
    with pytest.raises(Stopped, match="systemd does not run here"):
        stage.start()


def test_stop(stage: Stage) -> None:
    stage.keep()
    stage.box.active.add(UNIT)
    assert steps.stop(stage.box, ID, True)["changed"]
    assert UNIT in stage.box.active
    assert steps.stop(stage.box, ID, False)["changed"]
    assert UNIT not in stage.box.active
    again = steps.stop(stage.box, ID, False)
    assert (again["changed"], again["record"]["id"]) == (False, ID)
    with pytest.raises(CoreError, match="no id"):
        steps.stop(stage.box, "../x", False)


# --- what became of it ------------------------------------------------------------------------------------------------


def test_nothing_was_ever_soaked(stage: Stage) -> None:
    found = steps.look_for(stage.box, None)
    assert (found["soak_id"], found["record"], found["outcome"]["outcome"]) == (None, None, "lost")


def test_the_newest_is_looked_for(stage: Stage) -> None:
    stage.keep(state="done")
    found = steps.look_for(stage.box, None)
    assert (found["soak_id"], found["outcome"]["outcome"], found["pending"]) == (ID, "silent", False)


def test_it_runs(stage: Stage) -> None:
    stage.keep()
    stage.box.active.add(UNIT)
    assert steps.look_for(stage.box, ID)["outcome"]["outcome"] == "running"
    stage.box.active.clear()
    assert "without a word" in steps.look_for(stage.box, ID)["outcome"]["reason"]


def test_another_boot_with_a_dump(stage: Stage) -> None:
    stage.keep()
    stage.box.boot = OTHER
    stage.facts["crashes"] = [crash()]
    found = steps.look_for(stage.box, ID)
    assert (found["outcome"]["outcome"], found["outcome"]["time_to_panic_s"]) == ("panic", 91.0)
    assert (found["alive"], found["pending"]) == (False, False)
    stage.facts["crashes"] = []
    assert steps.look_for(stage.box, ID)["outcome"]["outcome"] == "lost"


def test_a_capture_kernel_has_not_written_its_dump_yet(stage: Stage) -> None:
    stage.keep()
    stage.box.boot = OTHER
    stage.box.there.add("/proc/vmcore")
    found = steps.look_for(stage.box, ID)
    assert (found["in_capture"], found["outcome"]["outcome"]) == (True, "lost")
    assert "look again" in found["outcome"]["reason"]


def test_a_triage_that_still_works_is_pending(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.keep()
    stage.box.boot = OTHER
    stage.facts["crashes"] = [crash(record=None)]
    assert not steps.look_for(stage.box, ID)["pending"], "there is no triage on this host"
    stage.box.there.add("/etc/systemd/system/crashready-triage.service")
    assert not steps.look_for(stage.box, ID)["pending"], "it has ended"
    states = {"show": "activating\n", "is-system-running": "running\n"}
    monkeypatch.setattr(stage.box, "run", lambda argv, **_more: Completed(0, states[argv[1]], ""))
    assert steps.look_for(stage.box, ID)["pending"]
    states.update({"show": "inactive\n", "is-system-running": "starting\n"})
    assert steps.look_for(stage.box, ID)["pending"], "the boot that wants it is not over"


@pytest.mark.parametrize(
    ("text", "told"),
    [("", "is empty"), ('{"schema": 9}', "a newer Crashready"), ('{"schema": 0}', "an older Crashready")],
)
def test_a_record_that_is_none(stage: Stage, text: str, told: str) -> None:
    stage.keep(text)
    found = steps.look_for(stage.box, ID)
    assert (found["record"], found["outcome"]["outcome"]) == (None, "lost")
    assert told in found["outcome"]["reason"]
    assert ID in found["outcome"]["reason"]


# --- the look before --------------------------------------------------------------------------------------------------


def test_look_at_this_machine() -> None:
    """The real one, as far as it shows itself: the loopback is no NIC to soak, and nothing raises."""
    found = steps.look_at(LocalHost(), "lo")
    assert set(looked()) | {"offer"} == set(found)
    assert found["nic"]["exists"]
    assert found["identity"]["driver"] is None
    assert found["identity"]["unread"]["driver"]
    assert set(found["identity"]) == set(looked()["identity"])
    assert found["offer"]["boot_id"] == found["boot_id"]
    assert soak.find_blockers(found, ASKED._replace(nic="lo"))


def test_identity_of_a_card() -> None:
    facts = {
        "kernel": {
            "release": "6.1.0-56-amd64",
            "package": "linux-image-6.1.0-56-amd64",
            "package_version": "6.1.192-2",
        },
        "nics": [{"name": "enp3s0", "driver": "igb", "firmware": {"raw": "3.25, 0x800005d0"}, "unread": {}}],
    }
    assert steps._identity(facts, "enp3s0") == {
        "kernel": "6.1.0-56-amd64",
        "kernel_package": "linux-image-6.1.0-56-amd64 6.1.192-2",
        "driver": "igb",
        "firmware": "3.25, 0x800005d0",
        "unread": {},
    }
    facts["nics"] = None
    assert set(steps._identity(facts, "enp3s0")["unread"]) == {"driver", "firmware"}


def test_host_reads_through_the_folder_of_the_record(stage: Stage) -> None:
    stage.keep()
    stage.box.active.add(UNIT)
    found = host_soak.see_records(stage.box, soak.unit_of)
    assert [each["id"] for each in found["running"]] == [ID]

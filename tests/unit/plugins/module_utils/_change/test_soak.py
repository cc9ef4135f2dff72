# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The program of a soak: with an iperf3 that is played and a clock of its own, and for real over a pair of links."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import sys
import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._change import files as files_module
from ansible_collections.rackops.crashready.plugins.module_utils._change import soak as program
from ansible_collections.rackops.crashready.plugins.module_utils._core import soak, soakprofile, soakrecord
from ansible_collections.rackops.crashready.plugins.module_utils._core.soakwatch import Sample
from ansible_collections.rackops.crashready.plugins.module_utils._host.local import LocalHost
from ansible_collections.rackops.crashready.tests.unit.soak_seen import BOOT, ID, LATER, OTHER, looked

DONE = {"end": {"sum_sent": {"bytes": 50_000_000}}}


def make(side: str = "client", seconds: int = 60, name: str = "bulk", **parameters: t.Any) -> soak.Plan:
    offer = {"boot_id": OTHER, "nic": {"addresses": [["192.0.2.2", 24]], "speed_mbps": 10000}}
    profile = soakprofile.make_profile(name, {"patience_s": 20, "interval_s": 2, **parameters})
    asked = soak.Asked("a", side, "enp3s0", "b", profile, seconds, soak_id=ID, experiment="x", offer=offer)
    return soak.make_plan(looked(), asked, 0)


class Played:
    """An iperf3: how long it runs, how it ends, what it prints."""

    def __init__(self, stage: Stage, argv: t.Sequence[str]) -> None:
        self.stage, self.argv, self.began_s, self.stopped = stage, list(argv), stage.now_s, False
        length = int(argv[argv.index("--time") + 1]) if "--time" in argv else 10**9
        self.lasts_s = length if stage.answer.get("error") is None else 0.25

    def ended(self) -> int | None:
        if self.stage.now_s - self.began_s < self.lasts_s:
            return None
        return 1 if self.stage.answer.get("error") else 0

    def text(self) -> str:
        return json.dumps(self.stage.answer)

    def stop(self) -> None:
        self.stopped = True


class Stage:
    """A host with a clock that only sleeping moves; the NIC carries bytes while an iperf3 runs that is no failure."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, path: pathlib.Path) -> None:
        self.now_s, self.answer, self.children = 5000.0, dict(DONE), t.cast("list[Played]", [])
        self.bytes = 7
        self.path = path / "record.json"
        self.at: dict[float, t.Callable[[], t.Any]] = {}
        self.flows: bool | None = None
        self.kept: list[dict[str, t.Any]] = []
        monkeypatch.setattr(program, "see_sample", lambda _host, _nic, at_s: self.sample(at_s))
        monkeypatch.setattr(program, "nic_bytes", lambda _host, _nic: self.bytes)
        monkeypatch.setattr(files_module.os, "fchown", lambda *_about: None)
        write = program.write_file
        monkeypatch.setattr(program, "write_file", lambda *what: (self.kept.append(json.loads(what[1])), write(*what)))

    def sample(self, at_s: float) -> Sample:
        return Sample(at_s, {"rx_bytes": 0, "tx_bytes": self.bytes, "rx_packets": 0, "tx_packets": 0})

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        for at_s in [at_s for at_s in self.at if self.now_s >= at_s]:
            self.at.pop(at_s)()
        running = bool(self.children) and not self.answer.get("error") and self.children[-1].ended() is None
        if running if self.flows is None else self.flows:
            self.bytes += int(100_000_000 * seconds)

    def start(self, argv: t.Sequence[str]) -> Played:
        self.children.append(Played(self, argv))
        return self.children[-1]

    def run(self, plan: soak.Plan) -> dict[str, t.Any]:
        self.stop = program._Stop()
        found = program.run(
            LocalHost(), plan, str(self.path), self.stop, lambda: self.now_s, self.sleep, t.cast("t.Any", self.start)
        )
        assert soakrecord.parse(self.path.read_text()) == {**found, "unread": found["unread"]}
        assert self.path.stat().st_mode & 0o777 == 0o600
        assert self.children[-1].stopped, "no iperf3 is left behind"
        return found


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> Stage:
    return Stage(monkeypatch, tmp_path)


def test_client_sends_piece_after_piece(stage: Stage) -> None:
    found = stage.run(make(seconds=150))
    assert (found["state"], found["reason"]) == ("done", None)
    assert 150 <= found["elapsed_s"] <= 153
    assert found["silent_s"] >= 145
    pieces = [int(child.argv[child.argv.index("--time") + 1]) for child in stage.children]
    assert pieces[:2] == [60, 60]
    assert sum(pieces) <= 155
    assert len(stage.kept) >= 75, "after each sample it is on disk"
    assert {each["state"] for each in stage.kept[:-1]} == {"running"}


def test_server_listens_until_the_end(stage: Stage) -> None:
    found = stage.run(make("server", seconds=100))
    assert found["state"] == "done"
    assert len(stage.children) == 1
    assert stage.children[0].argv[1] == "--server"


def test_peer_that_dies(stage: Stage) -> None:
    stage.at[5030.0] = lambda: stage.answer.update(error="unable to connect to server: Connection refused")
    found = stage.run(make(seconds=600, piece_s=10))
    assert found["state"] == "failed"
    assert "Connection refused" in found["reason"]
    assert 28 <= found["silent_s"] <= 42
    assert found["elapsed_s"] < 90


def test_peer_that_comes_back(stage: Stage) -> None:
    stage.at[5030.0] = lambda: stage.answer.update(error="Connection refused")
    stage.at[5045.0] = lambda: stage.answer.pop("error")
    found = stage.run(make(seconds=120, piece_s=10))
    assert found["state"] == "done"
    assert 95 <= found["silent_s"] < 118


def test_peer_that_was_never_there(stage: Stage) -> None:
    stage.answer = {"error": "no route to host"}
    found = stage.run(make())
    assert found["state"] == "failed"
    assert "b (192.0.2.2) could not be reached for 20 s: no route to host" in found["reason"]
    assert (found["elapsed_s"], found["samples"]) == (0.0, [])


def test_server_that_cannot_listen(stage: Stage) -> None:
    stage.answer = {"error": "unable to start listener for connections: Address already in use"}
    found = stage.run(make("server"))
    assert found["state"] == "failed"
    assert "does not stay up" in found["reason"]
    assert "Address already in use" in found["reason"]
    assert len(stage.children) == 5


def test_client_of_the_server_dies(stage: Stage) -> None:
    stage.flows = True
    stage.at[5060.0] = lambda: setattr(stage, "flows", False)
    found = stage.run(make("server", seconds=600))
    assert found["state"] == "failed"
    assert "the peer is gone" in found["reason"]
    assert 56 <= found["silent_s"] <= 62


def test_client_that_hangs_is_killed(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Played, "ended", lambda _self: None)
    stage.flows = True
    found = stage.run(make(seconds=300, piece_s=60))
    assert found["state"] == "done"
    assert len(stage.children) == 3, "60 s and 45 s more, each"


def test_traffic_that_goes_another_way(stage: Stage) -> None:
    """The NIC counts what others send, a tenth of what iperf3 says to have moved."""
    stage.answer = {"end": {"sum_sent": {"bytes": 60 * 10**9}}}
    found = stage.run(make(seconds=600))
    assert found["state"] == "failed"
    assert "the traffic does not go over enp3s0: iperf3 moved 60000000000 bytes" in found["reason"]
    assert len(stage.children) == 2, "once may be a counter that lags"


def test_told_to_stop(stage: Stage) -> None:
    def told() -> None:
        stage.stop.ask()  # there is no stop yet

    stage.at[5030.0] = told
    found = stage.run(make(seconds=600))
    assert (found["state"], "told to" in found["reason"]) == ("stopped", True)


def test_the_clock_of_the_wall_ends_nothing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    for at_s, year in ((5010.0, 1e9), (5020.0, 4e9), (5030.0, 0.0)):
        stage.at[at_s] = lambda year=year: monkeypatch.setattr(program.time, "time", lambda: year)
    found = stage.run(make(seconds=60))
    assert found["state"] == "done"
    assert 60 <= found["elapsed_s"] <= 63


@pytest.mark.parametrize(
    ("text", "error", "moved"),
    [
        (json.dumps(DONE), None, 50_000_000),
        ('{"end": {"sum_sent": {"bytes": 5}, "sum_sent_bidir_reverse": {"bytes": 7}}}', None, 12),
        ('{"error": "unable to connect\\u001b[0m"}', "unable to connect [0m", 0),
        ("", "iperf3 said nothing", 0),
        ("Killed", "Killed", 0),
        ('{"end": {"sum_sent": {"bytes": true}}}', None, 0),
        ("[" * 9000, "[" * 300, 0),
    ],
)
def test_what_iperf3_says(text: str, error: str | None, moved: int) -> None:
    assert program._said(text) == (error, moved)


def test_output_is_bounded_and_never_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "_OUTPUT_LIMIT", 1000)
    child = program.Child([sys.executable, "-c", "print('x' * 300000 + 'end')"])
    while child.ended() is None:
        pass
    assert child.text().endswith("xend\n")
    assert len(child.text()) == 1000
    child.stop()


def test_a_second_soak_on_the_same_nic(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files_module.os, "fchown", lambda *_about: None)
    plan = tmp_path / "x.plan"
    plan.write_text(soak.render_plan(make()))
    with program._alone("enp3s0", str(tmp_path)):
        assert program.main([str(plan), str(tmp_path / "x.json")], str(tmp_path)) == 1
    found = soakrecord.parse((tmp_path / "x.json").read_text())
    assert (found["state"], found["reason"]) == ("failed", "another soak runs over enp3s0")


@pytest.mark.parametrize("text", [None, "", "{", soak.render_plan(make())[:500]])
def test_a_plan_that_is_none(text: str | None, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    if text is not None:
        (tmp_path / "x.plan").write_text(text)
    assert program.main([str(tmp_path / "x.plan"), str(tmp_path / "x.json")], str(tmp_path)) == 1
    assert "crashready: " in capsys.readouterr().err
    assert not (tmp_path / "x.json").exists()


# --- for real ---------------------------------------------------------------------------------------------------------

#: Two links into another network; iperf3 is bound to the one that is named.
NETWORK = """\
set -e
mount -t tmpfs none /run
mkdir -p /run/netns
ip netns add far
for n in 0 1; do
    ip link add eth$n type veth peer name p$n
    ip link set p$n netns far
    ip link set eth$n up
    ip addr add 198.51.10$n.1/24 dev eth$n
    ip netns exec far ip link set p$n up
    ip netns exec far ip addr add 198.51.10$n.2/24 dev p$n
done
mount -t sysfs none /sys
echo made
ip netns exec far "$PYTHON" -I "$FOLDER/soak.pyz" "$FOLDER/server.plan" "$FOLDER/server.json" &
"$PYTHON" -I "$FOLDER/soak.pyz" "$FOLDER/client.plan" "$FOLDER/client.json"
wait
cat /sys/class/net/eth0/statistics/tx_bytes
"""


@pytest.mark.slow
def test_over_real_links(tmp_path: pathlib.Path) -> None:
    """Both sides as the hosts run them: the zip, a real iperf3, bound to one of two NICs."""
    from ansible_collections.rackops.crashready.plugins.plugin_utils import host_program

    if shutil.which("iperf3") is None or shutil.which("ip") is None:
        pytest.skip("iperf3 and iproute2 are needed: apt-get install --no-install-recommends iperf3 iproute2")
    if os.geteuid() != 0:
        pytest.skip("SO_BINDTODEVICE in a network of its own takes root")
    (tmp_path / "soak.pyz").write_bytes(host_program.build("soak"))
    profile = soakprofile.make_profile("bidirectional", {"rate_mbps": 200, "interval_s": 1, "patience_s": 5})
    ends = {"client": ("eth1", "198.51.101.1", BOOT), "server": ("p1", "198.51.101.2", OTHER)}
    for side, peer in (("client", "server"), ("server", "client")):
        nic, address, boot = ends[side]
        offer = {"boot_id": LATER, "nic": {"addresses": [[ends[peer][1], 24]]}}
        asked = soak.Asked(side, side, nic, peer, profile, 5, soak_id=ID, experiment="real", offer=offer)
        plan = soak.make_plan(looked(boot_id=boot, nic={"addresses": [[address, 24]]}), asked, 0)
        (tmp_path / (side + ".plan")).write_text(soak.render_plan(plan))
    done = subprocess.run(
        ["unshare", "--net", "--mount", "sh", "-c", NETWORK],
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "FOLDER": str(tmp_path), "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if "made" not in done.stdout:
        pytest.skip("no links can be made here: {0}".format(done.stderr.strip()[-200:]))
    records = {side: soakrecord.parse((tmp_path / (side + ".json")).read_text()) for side in ends}
    for side, found in records.items():
        assert (found["state"], found["reason"]) == ("done", None), (side, done.stderr)
        assert found["silent_s"] >= 4
        assert len(found["samples"]) >= 5
        # 200 Mbit/s in both directions for 5 s are 125 MB each way.
        assert 60_000_000 < found["traffic"]["rx_bytes"] < 250_000_000
        assert 60_000_000 < found["traffic"]["tx_bytes"] < 250_000_000
    assert int(done.stdout.split()[-1]) < 100_000, "nothing went over the other NIC"

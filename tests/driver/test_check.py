# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""`crashready check`: the worst host decides, unknown is never good, and a kdump that is not armed is never green."""

from __future__ import annotations

import copy
import itertools
import json
import pathlib
import subprocess
import typing as t

import pytest

from crashready._host.facts import collect_facts
from crashready._host.tree import TreeHost
from crashready.check import STATES, Checked, capture_state, check_host, exit_code
from crashready.exits import BAD, UNKNOWN, WELL

ROOT = pathlib.Path(__file__).resolve().parents[2]
Run = t.Callable[..., subprocess.CompletedProcess[str]]

ERROR = {"id": "x", "severity": "error", "message": "too small", "remedy": "reserve more"}
WARNING = {"id": "y", "severity": "warning", "message": "might be better", "remedy": "do it"}


@pytest.mark.parametrize(
    ("capture", "state"),
    [
        ({"applicable": True, "armed": True, "problems": []}, "armed"),
        ({"applicable": True, "armed": True, "problems": [WARNING]}, "armed"),
        ({"applicable": True, "armed": True, "problems": [ERROR]}, "not armed"),
        ({"applicable": True, "armed": False, "problems": []}, "not armed"),
        ({"applicable": True, "armed": None, "problems": []}, "unknown"),
        ({"applicable": None, "armed": True, "problems": None}, "armed"),
        ({"applicable": False, "armed": None}, "not applicable"),
        ({"armed": "yes"}, "unknown"),
        ({"armed": 1}, "unknown"),
        ({}, "unknown"),
        (None, "unknown"),
        ([], "unknown"),
        ({"applicable": True, "armed": True, "problems": ["junk", {"severity": "error"}]}, "armed"),
    ],
)
def test_capture(capture: t.Any, state: str) -> None:
    found, says = capture_state({"capture": capture})
    assert found == state
    assert bool(says) == (state in ("not armed", "unknown"))
    assert capture_state(None)[0] == "unknown"


def verdict(word: str) -> dict[str, t.Any]:
    return {"verdict": word, "nics": [], "waivers": [], "says": word + ": eth0"}


@pytest.mark.parametrize(
    ("armed", "word", "state"),
    [
        (True, "clear", "well"),
        (True, "waived", "well"),
        (True, "suspect", "suspect"),
        (True, "unknown", "unknown"),
        (True, "bad", "bad"),
        (False, "clear", "bad"),
        (None, "clear", "unknown"),
        (None, "suspect", "unknown"),
        (False, "unknown", "bad"),
        (None, "bad", "bad"),
    ],
)
def test_state_of_a_host(armed: bool | None, word: str, state: str) -> None:
    facts = {"capture": {"applicable": True, "armed": armed, "problems": []}}
    assert check_host("h", facts, verdict(word)).state == state


def of_states(*states: str) -> list[Checked]:
    return [Checked("h", state, "armed", (), None, "") for state in states]


@pytest.mark.parametrize("states", [c for n in range(1, 4) for c in itertools.combinations_with_replacement(STATES, n)])
def test_exit_code_is_that_of_the_worst_host(states: tuple[str, ...]) -> None:
    plain, strict = exit_code(of_states(*states)), exit_code(of_states(*states), "suspect")
    if "bad" in states:
        assert (plain, strict) == (BAD, BAD)
    elif "unknown" in states:
        assert (plain, strict) == (UNKNOWN, BAD if "suspect" in states else UNKNOWN)
    else:
        assert (plain, strict) == (WELL, BAD if "suspect" in states else WELL)
    assert exit_code([]) == UNKNOWN, "no host is no good news"


def test_what_is_unknown_hides_no_suspect() -> None:
    """A foreign kernel is unknown to every row without a range; `--fail-on suspect` asks for the rows that speak."""
    judged = {**verdict("unknown"), "nics": [{"name": "eth0", "reasons": [{"verdict": "suspect", "entry": "x"}]}]}
    host = check_host("h", {"capture": {"applicable": True, "armed": True, "problems": []}}, judged)
    assert host.state == "unknown"
    assert (exit_code([host]), exit_code([host], "suspect")) == (UNKNOWN, BAD)


def recorded(name: str) -> dict[str, t.Any]:
    manifest = json.loads((ROOT / "tests/unit/cases/trees" / (name + ".json")).read_text(encoding="utf-8"))
    return collect_facts(TreeHost(manifest))


@pytest.fixture(scope="module")
def armed() -> dict[str, t.Any]:
    """Recorded guest of the test rack, as if armed; its e1000e is no card that the database speaks of as bad."""
    facts = recorded("guest-bookworm-e1000e")
    facts["capture"].update(armed=True, problems=[], applicable=True)
    facts["nics"] = []
    return facts


def nic(driver: str, vendor: str, device: str, version: str) -> dict[str, t.Any]:
    ids = {"vendor": vendor, "device": device, "subsystem_vendor": vendor, "subsystem_device": "0001", "unread": {}}
    names = {"name": "eth0", "driver": driver, "module": driver, "driver_version": version}
    return {**names, "pci": ids, "firmware": {"raw": "1.0"}, "virtual": False, "vf_of": None, "unread": {}}


def test_recorded_folder(crashready: Run, tmp_path: pathlib.Path, armed: dict[str, t.Any]) -> None:
    folder = tmp_path / "facts"
    folder.mkdir()
    bare = recorded("guest-bookworm-e1000e")
    bare["capture"]["armed"] = False
    (folder / "bare.json").write_text(json.dumps(bare))
    (folder / "broken.json").write_text("{")
    (folder / "other.json").write_text('{"a": 1}')
    (folder / "cache.json").write_text(json.dumps({"ansible_facts": {"crashready": armed}}))
    (folder / "notes.txt").write_text("left alone")
    done = crashready("check", "--from", str(folder), "--json")
    assert done.returncode == 1, done.stderr
    answer = json.loads(done.stdout)
    assert answer["schema"] == 1
    assert answer["state"] == "bad"
    assert {name: each["state"] for name, each in answer["hosts"].items()} == {
        "bare": "bad",
        "broken": "unknown",
        "other": "unknown",
        "cache": "unknown",
    }
    assert answer["hosts"]["bare"]["capture"] == "not armed"
    assert answer["hosts"]["cache"]["capture"] == "armed"
    assert answer["hosts"]["broken"]["failure"]
    (folder / "bare.json").unlink()
    assert crashready("check", "--from", str(folder)).returncode == 2
    rack = {"schema": 1, "hosts": {"a": {"facts": bare}, "b": {"facts": None, "failure": {"says": "refused"}}}}
    (tmp_path / "rack.json").write_text(json.dumps({"hosts": rack["hosts"], "schema": 1}))
    done = crashready("check", "--from", str(tmp_path / "rack.json"), "--json")
    assert {name: each["state"] for name, each in json.loads(done.stdout)["hosts"].items()} == {
        "a": "bad",
        "b": "unknown",
    }


def test_a_bad_pairing_makes_an_armed_host_bad_until_it_is_waived(
    crashready: Run, tmp_path: pathlib.Path, armed: dict[str, t.Any]
) -> None:
    """atlantic on 6.1.140-1: CVE-2025-68301, mended in 6.1.159-1 (data/pairings/atlantic-rx-frag-overflow.yml)."""
    entry, facts = "atlantic-rx-frag-overflow", copy.deepcopy(armed)
    facts["nics"] = [nic("atlantic", "1d6a", "07b1", "6.1.0-37-amd64")]
    facts["kernel"].update(release="6.1.0-37-amd64", package_version="6.1.140-1", upstream_version="6.1.140")
    facts["kernel"].update(stream="stable", taint={"value": 0, "flags": []})
    path = tmp_path / "host.json"
    path.write_text(json.dumps(facts))
    done = crashready("check", "--from", str(path), "--json")
    host = json.loads(done.stdout)["hosts"]["host"]
    assert (done.returncode, host["state"], host["capture"]) == (1, "bad", "armed")
    assert entry in " ".join(host["says"])
    assert entry in crashready("check", "--from", str(path)).stdout
    waivers = tmp_path / "waivers.yml"
    waivers.write_text("- {{entry: {0}, until: '2099-01-01', reason: tested by hand}}\n".format(entry))
    done = crashready("check", "--from", str(path), "--json", "--waivers", str(waivers))
    assert entry not in json.loads(done.stdout)["hosts"]["host"]["pairings"]["entries"], done.stderr
    assert crashready("check", "--from", str(path), "--waivers", "/nowhere").returncode == 4


def test_this_machine_and_wrong_usage(crashready: Run, tmp_path: pathlib.Path) -> None:
    done = crashready("check", "--json")
    assert done.returncode in (0, 1, 2)
    (host,) = json.loads(done.stdout)["hosts"].values()
    assert host["state"] in STATES
    assert crashready("check", "--from", str(tmp_path), "-i", "x").returncode == 3
    assert crashready("check", "--fail-on", "never").returncode == 3
    done = crashready("check", "--from", str(tmp_path))
    assert (done.returncode, done.stdout) == (4, "")
    assert "no HOST.json" in done.stderr
    assert crashready("check", "--from", str(tmp_path / "missing")).returncode == 4


def test_inventory(crashready: Run, tmp_path: pathlib.Path) -> None:
    inventory = tmp_path / "rack"
    inventory.write_text("nobody ansible_host=127.0.0.1 ansible_port=1\n")
    done = crashready("check", "-i", str(inventory), "--json", "--retries", "0")
    assert done.returncode == 2, done.stderr
    host = json.loads(done.stdout)["hosts"]["nobody"]
    assert host["state"] == "unknown"
    assert "refused" in host["failure"]
    assert crashready("check", "-i", "/nowhere/rack").returncode == 3

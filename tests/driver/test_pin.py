# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""`crashready pin`: the real playbook and role around hosts that are played; nothing is installed and nothing boots."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import sys
import typing as t

import pytest

from crashready.exits import BAD, USAGE

ROOT = pathlib.Path(__file__).resolve().parents[2]
Crashready = t.Callable[..., "subprocess.CompletedProcess[str]"]

#: Stands in for the module on the hosts, which are told apart by the version that they are asked for.
FAKE = """\
import json
from ansible.module_utils.basic import AnsibleModule


def main():
    options = ("state package suite mirror manage_source blocked_versions deadline_s panic_s watchdog_s "
               "lock_timeout_s arm step version").split()
    module = AnsibleModule(argument_spec={{name: {{"type": "raw"}} for name in options}}, supports_check_mode=True)
    given = module.params
    with open({folder!r} + "/calls", "a") as stream:
        stream.write(json.dumps([given["version"], given["step"], given["state"]]) + "\\n")
    if given["version"] == "broken":
        module.fail_json(msg="refused: /boot is full")
    phase = {{"gate": "trial", "commit": "committed"}}.get(given["step"], given["version"])
    module.exit_json(
        changed=False, phase=phase, new_release="6.12.9", package="linux-image-amd64", version="6.12.9-1",
        suite="s", notes=[], changes=[], hang_protected=True, gate={{"passed": True}}, evidence=[],
    )


main()
"""
LOCAL = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "ansible_become": False}
#: Each host and the phase that it is in; a host that was left in its trial is judged, which needs no boot.
HOSTS = {"judged": "trial", "unasked": "staged", "nothing": "none", "broken": "broken"}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("stage")
    place = folder / "collections" / "ansible_collections" / "rackops" / "crashready"
    place.mkdir(parents=True)
    for name in ("plugins", "playbooks", "roles", "meta"):
        shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "galaxy.yml", place)
    (place / "plugins/modules/kernel_pin.py").write_text(FAKE.format(folder=str(folder)))
    hosts: dict[str, dict[str, t.Any]] = {name: {"backports_kernel_version": phase} for name, phase in HOSTS.items()}
    hosts["away"] = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}
    (folder / "rack.json").write_text(json.dumps({"all": {"vars": LOCAL, "hosts": hosts}}))
    return folder


@pytest.mark.slow
def test_a_rack_is_brought_as_far_as_it_may(stage: pathlib.Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "crashready", "pin", "-i", "rack.json", "--json", "--yes-reboot", "judged,nothing"],
        cwd=stage,
        env={
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(stage / "collections"),
            "XDG_STATE_HOME": str(stage / "state"),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == BAD, done.stderr
    rows = {row["host"]: row for row in json.loads(done.stdout)["rows"]}
    assert {host: row["state"] for host, row in rows.items()} == {
        "judged": "pinned",
        "unasked": "pending reboot",
        "nothing": "not pinned",
        "broken": "failed",
        "away": "unreachable",
    }
    assert "waits for its trial boot" in rows["unasked"]["problems"][0]
    assert "/boot is full" in rows["broken"]["problems"][0]
    calls = [json.loads(line) for line in (stage / "calls").read_text().splitlines()]
    assert [call for call in calls if call[1] in ("gate", "commit")] == [
        [None, "gate", None],
        [None, "commit", None],
    ], "one host had a yes and a trial to judge"
    (folder,) = (stage / "state" / "crashready" / "runs").iterdir()
    assert "crashready pin --resume {0}".format(folder) in done.stderr


def test_wrong_usage(crashready: Crashready, tmp_path: pathlib.Path) -> None:
    for words in ([], ["-i", "/no/such/rack"], ["-i", "x,", "--state", "gone"], ["-i", "x,", "--yes-hang", ","]):
        done = crashready("pin", *words, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (USAGE, ""), done.stderr

# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""A rack in two halves, each asked by a worker of its own: ansible-runner transmit | worker | process (docs/scale.md).

The workers get nothing but the stream: folders of their own, and the collection that is installed where they run.
"""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import typing as t

import pytest

from crashready import collection

HALLS = {"hall1": ["store1", "store2"], "hall2": ["store3", "store4"]}
RUNNER = (sys.executable, "-m", "ansible_runner")


class Halves(t.NamedTuple):
    """What is there after both workers are done."""

    folder: pathlib.Path  #: of the controller
    streams: dict[str, bytes]  #: what each worker sent back
    facts: pathlib.Path  #: of all hosts, one file a host


def environment(home: pathlib.Path) -> dict[str, str]:
    env = collection.environment()
    env["PATH"] = os.pathsep.join([os.path.dirname(sys.executable), env.get("PATH", os.defpath)])
    return {**env, "ANSIBLE_HOME": str(home), "ANSIBLE_NOCOLOR": "1"}


def runner(*words: str | pathlib.Path, given: bytes = b"", home: pathlib.Path) -> bytes:
    argv = [*RUNNER, *(str(word) for word in words)]
    done = subprocess.run(argv, input=given, env=environment(home), capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, (words[0], done.stdout[-3000:], done.stderr[-3000:])
    return done.stdout


@pytest.fixture(scope="module")
def halves(tmp_path_factory: pytest.TempPathFactory) -> Halves:
    place = tmp_path_factory.mktemp("workers")
    folder = place / "controller"
    for name in ("env", "inventory", "project"):
        (folder / name).mkdir(parents=True)
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    children = {hall: {"hosts": dict.fromkeys(hosts)} for hall, hosts in HALLS.items()}
    (folder / "inventory" / "hosts.json").write_text(json.dumps({"all": {"vars": local, "children": children}}))
    variables = {"crashready_become": False, "crashready_subset": ["kernel", "nics"]}
    (folder / "env" / "extravars").write_text(json.dumps(variables))
    jobs = {}
    for hall in HALLS:
        words = ("-p", "rackops.crashready.facts", "--limit", hall, "-i", hall)
        jobs[hall] = runner("transmit", folder, *words, home=place / "home")
    # Both at once, as on two machines; what a worker keeps is below its own folder.
    workers = {}
    for hall in HALLS:
        argv = [*RUNNER, "worker", "--private-data-dir", str(place / ("worker-" + hall))]
        workers[hall] = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(place / hall)
        )
    for hall, worker in workers.items():
        assert worker.stdin is not None
        worker.stdin.write(jobs[hall])
        worker.stdin.close()
    streams = {}
    for hall, worker in workers.items():
        assert worker.stdout is not None
        streams[hall] = worker.stdout.read()
        assert worker.wait(timeout=120) == 0
    for hall in HALLS:
        runner("process", folder, "-i", hall, given=streams[hall], home=place / "home")
    (place / "facts").mkdir()
    # As docs/scale.md does it with jq. Since ansible-core 2.19 a cache wraps what it keeps, and prefixes its names.
    for path in sorted(folder.glob("artifacts/*/fact_cache/s1_*")):
        kept = json.loads(path.read_text())["__payload__"]
        (place / "facts" / (path.name.removeprefix("s1_") + ".json")).write_text(kept)
    return Halves(folder, streams, place / "facts")


def test_each_worker_had_its_half(halves: Halves) -> None:
    for hall, hosts in HALLS.items():
        artifacts = halves.folder / "artifacts" / hall
        assert (artifacts / "rc").read_text() == "0"
        assert sorted(path.name for path in (artifacts / "fact_cache").iterdir()) == ["s1_" + host for host in hosts]
        events = [json.loads(path.read_text()) for path in (artifacts / "job_events").glob("*.json")]
        assert {each["event_data"]["host"] for each in events if each["event"] == "runner_on_ok"} == set(hosts)


def test_halves_are_one_rack_again(
    halves: Halves, crashready: t.Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    told = json.loads(crashready("check", "--json", "--from", str(halves.facts)).stdout)
    assert sorted(told["hosts"]) == sorted(host for hosts in HALLS.values() for host in hosts)
    ours = json.loads(crashready("facts", "--json").stdout)
    for host in told["hosts"]:
        facts = json.loads((halves.facts / (host + ".json")).read_text())["crashready"]
        assert facts["kernel"]["release"] == ours["kernel"]["release"]
        assert "capture" not in facts


def test_a_worker_that_got_no_whole_stream_says_so(tmp_path: pathlib.Path) -> None:
    argv = [*RUNNER, "worker", "--private-data-dir", str(tmp_path / "worker")]
    done = subprocess.run(
        argv, input=b'{"kwargs": {', env=environment(tmp_path), capture_output=True, timeout=60, check=False
    )
    told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith(b"{")]
    assert [each["status"] for each in told if "status" in each] == ["error"]


def test_a_stream_that_was_cut_leaves_no_exit_code(halves: Halves, tmp_path: pathlib.Path) -> None:
    """`process` itself ends with 0 then: what counts is the file rc, and docs/scale.md says so."""
    (tmp_path / "controller" / "project").mkdir(parents=True)
    first = halves.streams["hall1"].splitlines(keepends=True)[0]
    runner("process", tmp_path / "controller", "-i", "hall1", given=first, home=tmp_path / "home")
    assert not (tmp_path / "controller" / "artifacts" / "hall1" / "rc").exists()
    assert (halves.folder / "artifacts" / "hall1" / "rc").exists()

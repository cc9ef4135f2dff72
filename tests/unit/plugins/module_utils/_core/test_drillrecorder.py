# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The script of the capture kernel, run by this machine's own sh with its own /proc."""

from __future__ import annotations

import pathlib
import subprocess
import time

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core import drillrecorder
from ansible_collections.rackops.crashready.plugins.module_utils._core.drillrecord import FOLDER, parse_capture

ID = "0123456789abcdef"


def script(folder: pathlib.Path) -> str:
    return drillrecorder.recorder_files(ID)[drillrecorder.SCRIPT].replace(FOLDER, str(folder))


def run_for(text: str, seconds: float) -> None:
    process = subprocess.Popen(["sh", "-c", text], stderr=subprocess.PIPE, text=True)
    time.sleep(seconds)
    assert process.poll() is None, process.communicate()
    process.kill()
    process.wait()


def test_it_writes_what_it_saw(tmp_path: pathlib.Path) -> None:
    (tmp_path / "drill.json").write_text("{}")
    run_for(script(tmp_path), 2.5)
    record = parse_capture((tmp_path / "capture.json").read_text())
    uptime = float(pathlib.Path("/proc/uptime").read_text().split()[0])
    assert record.drill_id == ID
    assert uptime - 60 < record.seconds <= uptime
    assert 0 < record.lowest_available_bytes < record.total_bytes


def test_it_keeps_the_lowest(tmp_path: pathlib.Path) -> None:
    """With a /proc/meminfo of ours: down and up again."""
    (tmp_path / "drill.json").write_text("{}")
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 200 kB\nMemFree: 1 kB\nMemAvailable: 90 kB\n")
    text = script(tmp_path).replace("/proc/meminfo", str(meminfo))
    process = subprocess.Popen(["sh", "-c", text])
    try:
        for available in (20, 80):
            time.sleep(1.5)
            meminfo.write_text("MemTotal: 200 kB\nMemFree: 1 kB\nMemAvailable: {0} kB\n".format(available))
        time.sleep(1.5)
    finally:
        process.kill()
        process.wait()
    assert parse_capture((tmp_path / "capture.json").read_text()).lowest_available_bytes == 20 * 1024


def test_without_a_drill_it_writes_nothing(tmp_path: pathlib.Path) -> None:
    """/var is not mounted yet: nothing may be written below its mount point."""
    run_for(script(tmp_path), 1.5)
    assert list(tmp_path.iterdir()) == []


def test_it_runs_in_the_capture_kernel_alone() -> None:
    files = drillrecorder.recorder_files(ID)
    assert set(files) == set(drillrecorder.FILES)
    assert "ConditionPathExists=/proc/vmcore\n" in files[drillrecorder.UNIT]
    assert "DefaultDependencies=no\n" in files[drillrecorder.UNIT]
    assert "[Install]" not in files[drillrecorder.UNIT]
    assert drillrecorder.DROP_IN.startswith("/etc/systemd/system/kdump-tools-dump.service.d/")
    assert "Wants={0}\n".format(drillrecorder.UNIT_NAME) in files[drillrecorder.DROP_IN]


@pytest.mark.parametrize(
    ("kind", "last"),
    [
        ("sysrq", "echo c >/proc/sysrq-trigger"),
        ("under_load", "echo c >/proc/sysrq-trigger"),
        ("nmi", "sync"),
        ("softirq", "modprobe lkdtm && echo PANIC >/sys/kernel/debug/provoke-crash/INT_TASKLET_ENTRY"),
    ],
)
def test_the_id_is_written_before_the_panic(kind: str, last: str) -> None:
    steps = drillrecorder.panic_script(kind, ID).split("; ")
    # Critical: less is not shown by a console, nor by netconsole, on a host that was booted with "quiet".
    assert steps[0] == "echo '<2>crashready-drill-{0}' >/dev/kmsg".format(ID)
    assert "timeout 10 journalctl --sync" in steps
    assert steps[-1] == last
    assert "sync" in steps

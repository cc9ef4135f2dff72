# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The role crash_metrics: its service writes on Debian 11 to 13, the exporter of Debian reads, nothing of it stays."""

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest
import testinfra

FOLDER = pathlib.Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
OLD = "crashready-bullseye"
UNIT = "rackops.crashready.crash_metrics_unit"
FILES = (
    "/usr/local/lib/crashready/metrics.pyz",
    "/etc/crashready/metrics.json",
    "/etc/systemd/system/crashready-metrics.service",
    "/etc/systemd/system/crashready-metrics.timer",
)


@pytest.fixture(scope="module")
def old() -> t.Any:
    """The host that converge gave the role to; it is none of the group that the verifier names."""
    return testinfra.get_host("ansible://" + OLD, ansible_inventory=str(FOLDER / "rack.yml"))


def names(result: dict[str, t.Any]) -> list[str]:
    assert "changes" in result, result
    return [change["name"] for change in result["changes"]]


def look(host: t.Any) -> None:
    """One run of the service, which ends after it has written; its journal where it failed."""
    done = host.run("systemctl start crashready-metrics.service || journalctl -u crashready-metrics.service -n 30")
    assert host.run("systemctl is-failed crashready-metrics.service").rc != 0, done.stdout


def test_exporter_of_debian_reads_what_the_timer_s_service_writes(old: t.Any) -> None:
    assert old.check_output("systemctl is-enabled crashready-metrics.timer") == "enabled"
    assert old.check_output("systemctl is-active crashready-metrics.timer") == "active"
    look(old)
    ask = "python3 -c \"import urllib.request as u; print(u.urlopen('http://127.0.0.1:9100/metrics').read().decode())\""
    shown = old.check_output(ask)
    assert "crashready_capture_applicable 0" in shown
    assert 'crashready_kernel_pin{stage="none"} 1' in shown
    assert "node_textfile_scrape_error 0" in shown


def test_role_in_check_mode_its_removal_and_its_refusal(old: t.Any, play: t.Callable[..., t.Any]) -> None:
    done = play("rackops.crashready.metrics", "--limit", OLD, "--check", "-e", "crash_metrics_state=absent")
    assert done.rc == 0, done.out
    assert all(old.file(path).exists for path in FILES)
    assert play("rackops.crashready.metrics", "--limit", OLD, "-e", "crash_metrics_state=absent").rc == 0
    assert not [path for path in FILES if old.file(path).exists]
    assert not old.file("/var/lib/prometheus/node-exporter/crashready.prom").exists
    assert old.run("systemctl is-active crashready-metrics.timer").rc != 0
    assert names(old.ansible(UNIT, "state=absent", check=False)) == []
    done = play("rackops.crashready.metrics", "--limit", OLD, "-e", "crash_metrics_folder=/nowhere")
    assert done.rc != 0
    assert "nobody would read the metrics" in " ".join(done.out.split())
    assert not [path for path in FILES if old.file(path).exists]


def test_service_writes_on_every_release(host: t.Any) -> None:
    host.check_output("mkdir -p /srv/textfiles")
    options = "folder=/srv/textfiles"
    foretold = names(host.ansible(UNIT, options, check=True))
    assert names(host.ansible(UNIT, options, check=False)) == foretold
    assert names(host.ansible(UNIT, options, check=False)) == []
    look(host)
    written = host.file("/srv/textfiles/crashready.prom")
    assert (written.mode, written.user) == (0o644, "root")
    assert "crashready_capture_applicable 0\n" in written.content_string
    assert len(names(host.ansible(UNIT, "state=absent", check=False))) == 6, "four files, the timer, what it wrote"
    assert not written.exists

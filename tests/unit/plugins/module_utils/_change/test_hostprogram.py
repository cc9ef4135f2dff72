# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Putting the units on a host and taking them away, on a machine that is files alone."""

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._change import hostprogram
from ansible_collections.rackops.crashready.plugins.module_utils._change.files import Stopped
from ansible_collections.rackops.crashready.plugins.module_utils._core import metrics_unit, triage_unit
from ansible_collections.rackops.crashready.plugins.module_utils._core.host_program import Layout
from ansible_collections.rackops.crashready.plugins.module_utils._host.base import Completed
from ansible_collections.rackops.crashready.plugins.module_utils._host.local import LocalHost

LINKS = "/etc/systemd/system/{0}.wants/"


class Image(LocalHost):
    """A root in a folder, and a systemctl that makes and removes the links."""

    def __init__(self, root: str, works: bool = True) -> None:
        super().__init__(root)
        self.root = root
        self.works = works
        self.ran: list[str] = []

    def run(self, argv: t.Sequence[str], *_args: t.Any, **_more: t.Any) -> Completed:
        self.ran.append(" ".join(argv))
        if not self.works:
            return Completed(1, "", "Failed to enable unit: Read-only file system")
        target = "timers.target" if argv[-1].endswith(".timer") else "multi-user.target"
        link = self.root + LINKS.format(target) + argv[-1]
        if argv[1] == "enable":
            os.makedirs(os.path.dirname(link), exist_ok=True)
            os.symlink("/etc/systemd/system/" + argv[-1], link)
        elif argv[1] == "disable":
            os.unlink(link)
        return Completed(0, "", "")


@pytest.fixture
def root(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Writing goes below the root too."""

    def write(path: str, data: bytes, mode: int = 0o644) -> None:
        target = pathlib.Path(str(tmp_path) + path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        target.chmod(mode)

    real = os.unlink

    def unlink(path: str) -> None:
        real(path if path.startswith(str(tmp_path)) else str(tmp_path) + path)

    monkeypatch.setattr(hostprogram, "write_file", write)
    monkeypatch.setattr(hostprogram.os, "unlink", unlink)
    return str(tmp_path)


TRIAGE = (triage_unit.LAYOUT, triage_unit.wanted_files(triage_unit.Wanted(True, b"PK")))
METRICS = (metrics_unit.LAYOUT, metrics_unit.wanted_files(metrics_unit.Wanted(True, b"PK")))
BOTH = pytest.mark.parametrize(("layout", "wanted"), [TRIAGE, METRICS], ids=["triage", "metrics"])
Files = t.Mapping[str, bytes]


@BOTH
def test_there_and_away_again(root: str, layout: Layout, wanted: Files) -> None:
    host = Image(root)
    predicted = hostprogram.converge(host, layout, wanted, check_mode=True)
    assert host.ran == []
    assert os.listdir(root) == []
    done = hostprogram.converge(host, layout, wanted)
    assert done["changes"] == predicted["changes"]
    assert {file.path: os.stat(root + file.path).st_mode & 0o777 for file in layout.files} == {
        file.path: file.mode for file in layout.files
    }
    assert hostprogram.converge(host, layout, wanted)["changed"] is False
    gone = hostprogram.converge(host, layout, None)
    assert gone["changed"] is True
    assert not [name for _path, _folders, names in os.walk(root) for name in names]
    assert hostprogram.converge(host, layout, None)["changed"] is False


def test_the_secret_is_root_s_alone(root: str) -> None:
    hostprogram.converge(Image(root), *TRIAGE)
    assert os.stat(root + triage_unit.CONFIG).st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("layout", "wanted", "unit"),
    [(*TRIAGE, "crashready-triage.path"), (*METRICS, "crashready-metrics.timer")],
    ids=["triage", "metrics"],
)
def test_a_running_systemd_reads_the_units_again(root: str, layout: Layout, wanted: Files, unit: str) -> None:
    os.makedirs(root + "/run/systemd/system")
    host = Image(root)
    hostprogram.converge(host, layout, wanted)
    assert host.ran[-2:] == ["systemctl daemon-reload", "systemctl restart " + unit]
    host.ran.clear()
    hostprogram.converge(host, layout, None)
    assert host.ran[0].startswith("systemctl stop " + unit), "before its files go"
    assert host.ran[-1] == "systemctl daemon-reload"


def test_metrics_that_nobody_writes_any_more_go(root: str) -> None:
    """Else node_exporter would read them for ever: at a removal, and where the folder becomes another one."""
    host = Image(root)
    hostprogram.converge(host, *METRICS)
    old = pathlib.Path(root + metrics_unit.TEXTFILES, metrics_unit.NAME)
    old.parent.mkdir(parents=True)
    old.write_text("crashready_armed 1\n")
    assert hostprogram.converge(host, *METRICS)["changed"] is False, "what the program writes is not ours to compare"
    elsewhere = metrics_unit.wanted_files(metrics_unit.Wanted(True, b"PK", "/srv/textfiles"))
    names = [change["name"] for change in hostprogram.converge(host, metrics_unit.LAYOUT, elsewhere)["changes"]]
    assert "file {0}/{1}".format(metrics_unit.TEXTFILES, metrics_unit.NAME) in names
    assert not old.exists()
    new = pathlib.Path(root, "srv", "textfiles", metrics_unit.NAME)
    new.parent.mkdir(parents=True)
    new.write_text("crashready_armed 1\n")
    hostprogram.converge(host, metrics_unit.LAYOUT, None)
    assert not new.exists()


@BOTH
def test_a_systemctl_that_fails_stops(root: str, layout: Layout, wanted: Files) -> None:
    with pytest.raises(Stopped, match="Read-only file system"):
        hostprogram.converge(Image(root, works=False), layout, wanted)


def test_a_change_that_did_not_hold_is_found(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hostprogram, "write_file", lambda *_args: None)
    with pytest.raises(Stopped, match="not as wanted after the change"):
        hostprogram.converge(Image(root), *TRIAGE)

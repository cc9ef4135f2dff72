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
from ansible_collections.rackops.crashready.plugins.module_utils._change import triageunit
from ansible_collections.rackops.crashready.plugins.module_utils._change.files import Stopped
from ansible_collections.rackops.crashready.plugins.module_utils._core.triage_unit import CONFIG, SERVICE, Wanted
from ansible_collections.rackops.crashready.plugins.module_utils._host.base import Completed
from ansible_collections.rackops.crashready.plugins.module_utils._host.local import LocalHost

LINKS = "/etc/systemd/system/multi-user.target.wants/"


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
        link = self.root + LINKS + argv[-1]
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

    monkeypatch.setattr(triageunit, "write_file", write)
    monkeypatch.setattr(triageunit.os, "unlink", unlink)
    return str(tmp_path)


WANTED = Wanted(True, b"PK")


def test_there_and_away_again(root: str) -> None:
    host = Image(root)
    predicted = triageunit.converge(host, WANTED, check_mode=True)
    assert host.ran == []
    assert not os.path.exists(root + SERVICE)
    done = triageunit.converge(host, WANTED)
    assert done["changes"] == predicted["changes"]
    assert os.stat(root + CONFIG).st_mode & 0o777 == 0o600
    assert triageunit.converge(host, WANTED)["changed"] is False
    gone = triageunit.converge(host, Wanted(False))
    assert gone["changed"] is True
    assert not os.path.exists(root + SERVICE)
    assert triageunit.converge(host, Wanted(False))["changed"] is False


def test_a_running_systemd_reads_the_units_again(root: str) -> None:
    os.makedirs(root + "/run/systemd/system")
    host = Image(root)
    triageunit.converge(host, WANTED)
    assert host.ran[-2:] == ["systemctl daemon-reload", "systemctl restart crashready-triage.path"]


def test_a_systemctl_that_fails_stops(root: str) -> None:
    with pytest.raises(Stopped, match="Read-only file system"):
        triageunit.converge(Image(root, works=False), WANTED)


def test_a_change_that_did_not_hold_is_found(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triageunit, "write_file", lambda *_args: None)
    with pytest.raises(Stopped, match="not as wanted after the change"):
        triageunit.converge(Image(root), WANTED)

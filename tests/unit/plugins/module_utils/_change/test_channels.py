# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Carrying out the channels' plan: in which order, and that a second look decides."""

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._change import channels as change
from ansible_collections.rackops.crashready.plugins.module_utils._change.files import Stopped
from ansible_collections.rackops.crashready.plugins.module_utils._core import channels as core
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import CoreError
from ansible_collections.rackops.crashready.plugins.module_utils._core.fileplan import Found
from ansible_collections.rackops.crashready.plugins.module_utils._core.netconsole import settings_from
from ansible_collections.rackops.crashready.plugins.module_utils._core.receiver import Limits
from ansible_collections.rackops.crashready.plugins.module_utils._host.base import Completed
from ansible_collections.rackops.crashready.plugins.module_utils._host.local import LocalHost

NETCONSOLE = settings_from({"receiver": "192.0.2.9"})


class Host(LocalHost):
    """Writes down what is run."""

    def __init__(self) -> None:
        super().__init__()
        self.ran: list[str] = []

    def run(self, argv: t.Sequence[str], *_args: t.Any, **_more: t.Any) -> Completed:
        self.ran.append(" ".join(argv))
        return Completed(0, "", "")


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch) -> tuple[Host, dict[str, t.Any]]:
    """A BIOS host in memory: files that are written are seen by the next look."""
    seen: dict[str, t.Any] = {
        "applicable": True,
        "applicable_reason": None,
        "kdump_armed": False,
        "kdump_unread": None,
        "cmdline": "ro",
        "efi": True,
        "iomem": None,
        "post_notifiers": False,
        "pstore": {
            "backend": None,
            "unread": None,
            "mounted": True,
            "collected": True,
            "unit_there": False,
            "loaded": [],
        },
        "netconsole": {"targets": [], "ours": False, "running": False, "said": "", "unread": None},
        "consoles": [],
        "journal": True,
        "units": {},
        "ours": [],
        "enabled_by_us": [],
        "files": {},
        "boot": {"loader": "none", "entries": [], "releases": []},
        "kernel_cmdline": None,
        "vendor_cmdline": None,
        "sender": None,
        "steps": [],
    }
    host = Host()

    def apply(_host: t.Any, each: t.Any) -> None:
        seen["steps"].append(each.name)
        if each.kind == "file":
            content = each.data["content"]
            seen["files"][each.target] = None if content is None else Found(content, each.data["mode"], 0)
        if each.kind == "disarm":
            seen["netconsole"]["ours"] = False

    def sender(_host: t.Any, _layout: t.Any, files: t.Any, check_mode: bool = False) -> dict[str, t.Any]:
        changed = files != seen["sender"]
        if changed and not check_mode:
            seen["steps"].append("sender comes" if files else "sender goes")
            seen["sender"] = files
            seen["netconsole"]["ours"] = seen["netconsole"]["ours"] or files is not None
        return {"changed": changed, "changes": [], "diff": []}

    monkeypatch.setattr(change, "_look", lambda _host: {**seen, "files": dict(seen["files"])})
    monkeypatch.setattr(change, "_APPLY", dict.fromkeys(change._APPLY, apply))
    monkeypatch.setattr(change.hostprogram, "converge", sender)
    return host, seen


def test_there_twice_and_away(box: tuple[Host, dict[str, t.Any]]) -> None:
    host, seen = box
    wanted = core.Wanted(netconsole=NETCONSOLE)
    predicted = change.converge(host, wanted, b"PK", check_mode=True)
    assert (predicted["changed"], seen["steps"]) == (True, [])
    done = change.converge(host, wanted, b"PK")
    # The firmware has no store to give: that is told by the facts, and is no change that was made.
    assert [each["name"] for each in predicted["changes"] if "efi_pstore" not in each["name"]] == [
        each["name"] for each in done["changes"]
    ]
    assert seen["steps"][-1] == "sender comes"
    assert change.converge(host, wanted, b"PK")["changed"] is False
    seen["steps"].clear()
    change.converge(host, core.Wanted(present=False), b"")
    assert seen["steps"].index("sender goes") < seen["steps"].index("disarm netconsole")
    assert change.converge(host, core.Wanted(present=False), b"")["changed"] is False


def test_a_change_that_did_not_hold_is_found(
    box: tuple[Host, dict[str, t.Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(change, "_APPLY", dict.fromkeys(change._APPLY, lambda *_about: None))
    with pytest.raises(Stopped, match="still to be done"):
        change.converge(box[0], core.Wanted(), b"")


def test_a_port_that_is_none(box: tuple[Host, dict[str, t.Any]]) -> None:
    with pytest.raises(CoreError, match="no UDP port"):
        change.converge_receiver(box[0], Limits(), 70000, b"")


def test_files_are_written_with_their_mode(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ansible_collections.rackops.crashready.plugins.module_utils._change import files, managed
    from ansible_collections.rackops.crashready.plugins.module_utils._core.fileplan import File, plan_files

    monkeypatch.setattr(files.os, "fchown", lambda *_about: None)
    path = str(tmp_path / "folder" / "file")
    wanted = {path: File(b"x\n", "why", 0o600)}
    host = LocalHost()
    for each in plan_files(wanted, managed.look_at(host, [path])):
        managed.apply_file(each)
    assert os.stat(path).st_mode & 0o777 == 0o600
    found = {path: (managed.look_at(host, [path])[path] or Found(b"", 0, 0))._replace(uid=0)}
    assert plan_files(wanted, found) == []
    os.chmod(path, 0o644)
    widened = {path: found[path]._replace(mode=0o644)}
    assert [(each.before, each.after) for each in plan_files(wanted, widened)] == [
        ("mode 0644, owner 0", "mode 0600, owner 0")
    ]
    for each in plan_files({path: None}, found):
        managed.apply_file(each)
    assert not os.path.exists(path)

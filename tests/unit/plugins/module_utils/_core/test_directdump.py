# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Dumps that the capture kernel sends itself: the settings, the way back, the proof."""

from __future__ import annotations

import subprocess
import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core import directdump, shellconf
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import CoreError
from ansible_collections.rackops.crashready.plugins.module_utils._core.kdump import CONFIG

TEXT = 'USE_KDUMP=1\n#SSH="<user at server>"\nHOSTTAG="ip"\nFTP_PASSWORD=hunter2\nNFS="old:/x"\n'
SSH = directdump.checked("ssh", "crash@crash.example.org", directdump.DEFAULT_KEY)


def carried_out(direct: directdump.Direct | None, text: str, record: str | None) -> tuple[str, str | None]:
    for change in directdump.plan(direct, text, record):
        if change.target == CONFIG:
            text = change.data["content"].decode()
        else:
            record = change.data["content"].decode() if change.data["content"] is not None else None
    return text, record


def test_set_and_taken_back() -> None:
    text, record = carried_out(SSH, TEXT, None)
    values = shellconf.parse_shellconf(text).values
    assert (values["SSH"], values["SSH_KEY"]) == ("crash@crash.example.org", directdump.DEFAULT_KEY)
    assert (values["HOSTTAG"], values.get("NFS")) == ("hostname", None)
    assert directdump.plan(SSH, text, record) == []
    back, gone = carried_out(None, text, record)
    assert directdump.values_before(back) == directdump.values_before(TEXT)
    assert (gone, directdump.plan(None, back, None)) == (None, [])


def test_a_change_of_mind_keeps_what_was_first() -> None:
    text, record = carried_out(SSH, TEXT, None)
    text, record = carried_out(directdump.checked("nfs", "nas:/crashes", "/x"), text, record)
    assert shellconf.parse_shellconf(text).values["NFS"] == "nas:/crashes"
    assert directdump.values_before(carried_out(None, text, record)[0])["NFS"] == "old:/x"


def test_the_password_is_not_shown() -> None:
    shown = "".join("{0}{1}".format(change.before, change.after) for change in directdump.plan(SSH, TEXT, None))
    assert "hunter2" not in shown


def test_without_kdump_tools() -> None:
    assert directdump.plan(None, None, None) == []
    with pytest.raises(CoreError, match="install kdump-tools"):
        directdump.plan(SSH, None, None)


@pytest.mark.parametrize(
    ("kind", "target", "key"),
    [
        ("ssh", "crash.example.org", "/k"),
        ("ssh", "a@b;reboot", "/k"),
        ("ssh", "-oX@b", "/k"),
        ("ssh", "a@b", "k"),
        ("ssh", "a@b", "/k $(x)"),
        ("nfs", "nas", "/k"),
        ("nfs", "nas:/x;reboot", "/k"),
    ],
)
def test_what_cannot_be_meant(kind: str, target: str, key: str) -> None:
    with pytest.raises(CoreError):
        directdump.checked(kind, target, key)


def test_the_probe_writes_reads_and_takes_away(tmp_path: t.Any) -> None:
    script = directdump.probe_argv(SSH, str(tmp_path / "crash"), "0123")[-1]
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "proved\n"
    assert list((tmp_path / "crash").iterdir()) == []


def test_the_probe_finds_a_target_that_cannot_be_written(tmp_path: t.Any) -> None:
    (tmp_path / "crash").write_text("a file")
    script = directdump.probe_argv(SSH, str(tmp_path / "crash"), "0123")[-1]
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode != 0, done.stdout) == (True, "")


def test_the_probe_asks_nobody() -> None:
    assert {"BatchMode=yes", "StrictHostKeyChecking=yes"} <= set(directdump.probe_argv(SSH, "/var/crash", "0123"))
    nfs = directdump.probe_argv(directdump.checked("nfs", "nas:/crashes", "/k"), "/var/crash", "0123")
    assert nfs[:2] == ["unshare", "--mount"]
    assert "nas:/crashes /mnt && {" in nfs[-1]
    assert "/var/crash" not in nfs[-1]


@pytest.mark.parametrize(
    ("append", "proved", "told"),
    [
        ("reset_devices panic=10", None, None),
        ("reset_devices", "Connection refused", "not proved"),
        ("reset_devices module_blacklist=e1000e", None, "Run the role kdump"),
        ("systemd.mask=network-online.target", None, "no network"),
    ],
)
def test_armed_only_with_a_network_and_a_proof(append: str, proved: str | None, told: str | None) -> None:
    found = directdump.not_armed(SSH, {"KDUMP_CMDLINE_APPEND": append}, proved)
    assert (found is None) if told is None else (told in str(found))

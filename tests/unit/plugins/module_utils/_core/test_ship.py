# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What goes elsewhere and how the far end is spoken to; the program itself runs in `_change/test_ship.py`."""

from __future__ import annotations

import contextlib
import hashlib
import pathlib
import subprocess
import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core import ship, ship_unit
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import CoreError, ParseError
from ansible_collections.rackops.crashready.plugins.module_utils._core.ship import Entry, chosen_files, settings_from
from hypothesis import given
from hypothesis import strategies as st

SSH = {"kind": "ssh", "folder": "crashes", "host": "crash.example.org", "user": "crash"}
STAMP = "202611232201"
DIGEST = "a" * 64


def files(*names: str) -> list[Entry]:
    return [Entry(name, "file", 10) for name in names]


@pytest.mark.parametrize(
    ("there", "encrypt", "seal", "send"),
    [
        (["dump.{0}", "dmesg.{0}"], "", [], ["dmesg.{0}", "dump.{0}"]),
        (["dump.{0}", "dmesg.{0}"], "age", ["dmesg.{0}", "dump.{0}"], ["dmesg.{0}.age", "dump.{0}.age"]),
        (["dump.{0}", "dump.{0}.age"], "age", [], ["dump.{0}.age"]),
        (["dump.{0}.age"], "age", [], ["dump.{0}.age"]),
        # Changed from age to gpg: what was encrypted for another stays where it is.
        (["dump.{0}.age", "dump.{0}"], "gpg", ["dump.{0}"], ["dump.{0}.gpg"]),
        (["dump.{0}.gz"], "", [], ["dump.{0}.gz"]),
        (["dump-incomplete", "vmcore-incomplete", ".crashready-dump.{0}"], "", [], []),
    ],
)
def test_chosen(there: list[str], encrypt: str, seal: list[str], send: list[str]) -> None:
    found = chosen_files(files(*(name.format(STAMP) for name in there)), encrypt)
    assert found[:2] == ([name.format(STAMP) for name in seal], [name.format(STAMP) for name in send])


def test_what_is_left_out_is_said() -> None:
    entries = [Entry("dump." + STAMP, "link", 3), Entry("dmesg." + STAMP, "file", 0), Entry("a\nb", "file", 1)]
    refused = "; ".join(chosen_files(entries, "")[2])
    assert "a link, no file" in refused
    assert "0 bytes" in refused
    assert "\n" not in refused


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "../other"},
        {"name": ""},
        {"rate_bytes_s": -1},
        {"retry_s": 0},
        {"encrypt": "rot13"},
        {"suspect": "perhaps"},
        {"keep_plain": False},
        {"crash_folder": "var/crash"},
        {"avoid": ["eth0;x"]},
        {"else": 1},
        {"target": {**SSH, "folder": "a/../../b"}},
        {"target": {**SSH, "folder": "$(reboot)"}},
        {"target": {**SSH, "folder": "-rf"}},
        {"target": {**SSH, "host": "-oProxyCommand=reboot"}},
        {"target": {**SSH, "user": "-x"}},
        {"target": {**SSH, "port": 0}},
        {"target": {**SSH, "kind": "ftp"}},
        {"target": {"kind": "nfs", "folder": "crashes", "export": "nas"}},
        {"target": {"kind": "nfs", "folder": "crashes", "export": "nas:/x", "options": "exec -o suid"}},
        {"target": {"kind": "folder", "folder": "relative"}},
    ],
)
def test_settings_that_cannot_be_meant(changed: dict[str, t.Any]) -> None:
    with pytest.raises(CoreError):
        settings_from({"name": "store1", "target": SSH, **changed})


@pytest.mark.parametrize(
    "target",
    [
        SSH,
        {"kind": "nfs", "folder": "crashes", "export": "[2001:db8::1]:/srv/crash", "options": "vers=4.2"},
        {"kind": "folder", "folder": "/mnt/crashes"},
        None,
    ],
)
def test_settings_come_back_from_their_file(target: dict[str, t.Any] | None) -> None:
    settings = settings_from({"name": "store1", "target": target, "encrypt": "age", "keep_plain": False})
    assert ship.parse(ship.render(settings)) == settings


@pytest.mark.parametrize("text", ["", "[]", '{"target": 3}', "{" * 5000])
def test_settings_that_are_garbage(text: str) -> None:
    with pytest.raises(CoreError):
        ship.parse(text)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("have {0}\nfs 100 40 60 40% /\n".format(DIGEST), (DIGEST, 0, 61440)),
        ("part 17\nfs 100 40 60 40% /\n", (None, 17, 61440)),
        ("part     17\n", (None, 17, None)),
        ("none\ndf: no such file\n", (None, 0, None)),
    ],
)
def test_answers(text: str, answer: tuple[t.Any, ...]) -> None:
    assert ship.parse_answer(text) == answer


@pytest.mark.parametrize(
    "text", ["", "Welcome to the machine\nnone\n", "have x\n", "part -1\n", "have \x1b[2J" + DIGEST]
)
def test_answers_of_something_else(text: str) -> None:
    with pytest.raises(ParseError, match="POSIX shell"):
        ship.parse_answer(text)


@given(st.text(max_size=200))
def test_no_answer_is_a_traceback(text: str) -> None:
    with contextlib.suppress(ParseError):
        assert ship.parse_answer(text).part_bytes >= 0


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_scripts_are_read_by_the_login_shell_as_they_are_meant(shell: str, tmp_path: t.Any) -> None:
    for script in (ship.probe_script("it's", "a b", "$(x)"), ship.put_script("it's", "$(x)", 0)):
        subprocess.run([shell, "-c", script], cwd=tmp_path, check=True, stdin=subprocess.DEVNULL, capture_output=True)
    assert [path.name for path in (tmp_path / "it's").iterdir()] == ["$(x)"]


def test_two_that_write_one_part_find_out(tmp_path: t.Any) -> None:
    """The second one has seen another length than there is now."""
    put = ["sh", "-c", ship.put_script("far", "part", 0)]
    assert subprocess.run(put, cwd=tmp_path, input=b"1234567", check=False).returncode == 0
    other = ["sh", "-c", ship.put_script("far", "part", 3)]
    done = subprocess.run(other, cwd=tmp_path, input=b"x", check=False)
    assert (done.returncode, "another shipment" in ship.far_end_error(done.returncode, "")) == (71, True)
    assert (tmp_path / "far" / "part").read_bytes() == b"1234567"


@pytest.mark.parametrize(
    ("there", "digest", "code", "left"),
    [
        (None, "right", 0, {"name": b"dump"}),
        # It came there between the look and the end: what was first stays.
        (b"another", "right", 74, {"name": b"another", "part": b"dump"}),
        (None, "wrong", 73, {}),
    ],
)
def test_a_name_is_given_once_and_only_to_what_is_right(
    tmp_path: pathlib.Path, there: bytes | None, digest: str, code: int, left: dict[str, bytes]
) -> None:
    folder = tmp_path / "far"
    folder.mkdir()
    (folder / "part").write_bytes(b"dump")
    if there is not None:
        (folder / "name").write_bytes(there)
    wanted = hashlib.sha256(b"dump").hexdigest() if digest == "right" else DIGEST
    script = ship.commit_script("far", "name", "part", wanted)
    done = subprocess.run(["sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert done.stdout.startswith("kept " + wanted) is (code == 0)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == left


def test_what_is_mounted_where() -> None:
    text = (
        "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
        "40 22 0:50 / /mnt/my\\040crashes rw,nosuid shared:1 - nfs4 nas:/a rw\n"
        "41 22 0:51 / /mnt/my\\040crashes rw - nfs4 nas:/b rw\n"
        "garbage\n - x\n"
    )
    assert ship.mount_source(text, "/mnt/my crashes") == "nas:/b"
    assert ship.mount_source(text, "/mnt") is None


# --- the units --------------------------------------------------------------------------------------------------------

PINNED = "crash.example.org ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDummyDummyDummyDummyDummyDummyDummyDummyDumm"


def unit(target: dict[str, t.Any] | None, **more: t.Any) -> dict[str, bytes]:
    settings = settings_from({"name": "store1", "target": target, **more})
    return ship_unit.wanted_files(settings, b"PK", PINNED, "age1qqqq\n") or {}


def test_the_unit_may_do_what_its_target_needs_and_no_more() -> None:
    over_ssh = unit(SSH)[ship_unit.SERVICE].decode()
    assert "CAP_SYS_ADMIN" not in over_ssh
    assert "PrivateDevices=yes" in over_ssh
    nfs = unit({"kind": "nfs", "folder": "crashes", "export": "nas:/crashes"})[ship_unit.SERVICE].decode()
    assert "CAP_SYS_ADMIN" in nfs
    mount = unit({"kind": "folder", "folder": "/mnt/crashes"})[ship_unit.SERVICE].decode()
    assert "ReadWritePaths=-/var/crash -/mnt/crashes\n" in mount
    assert "ConditionPathExists=!/proc/vmcore" in over_ssh


def test_files_by_what_is_wanted() -> None:
    assert ship.KNOWN_HOSTS in unit(SSH)
    assert ship.RECIPIENTS not in unit(SSH)
    assert {ship.RECIPIENTS} == {path for path in unit(None, encrypt="age") if path.startswith("/etc/crashready/ship_")}
    assert ship_unit.wanted_files(None, b"") is None


@pytest.mark.parametrize("text", ["", "# nothing\n", "crash.example.org", "crash.example.org ssh-rsa \x1b[2J"])
def test_without_a_pinned_key_nothing_is_sent(text: str) -> None:
    with pytest.raises(CoreError):
        ship_unit.checked_known_hosts(text)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("age", "AGE-SECRET-KEY-1QQQQ"),
        ("gpg", "-----BEGIN PGP PRIVATE KEY BLOCK-----"),
        ("gpg", "0xDEADBEEF"),
        ("age", "nobody"),
        ("age", ""),
    ],
)
def test_recipients_that_cannot_be_meant(kind: str, text: str) -> None:
    with pytest.raises(CoreError):
        ship_unit.checked_recipients(kind, text)

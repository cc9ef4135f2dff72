# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""`kdump_state: absent`: the host is as it was before the role, compared line by line; then the role comes back."""

from __future__ import annotations

import typing as t

import pytest

RECORD = "/var/lib/crashready/kdump.json"
CONFIG = "/etc/default/kdump-tools"
OWN_FILES = (
    "/etc/default/grub.d/zz-crashready.cfg",
    "/etc/sysctl.d/zz-crashready.conf",
    "/etc/tmpfiles.d/crashready.conf",
    "/etc/systemd/system/crashready-capture-deadline.service",
)


def kdump(host: t.Any, options: str = "state=absent", check: bool = False) -> dict[str, t.Any]:
    result = host.ansible("rackops.crashready.kdump", options, check=check)
    assert "changes" in result, result
    return result


def names(result: dict[str, t.Any]) -> list[str]:
    return [change["name"] for change in result["changes"]]


def snapshot(host: t.Any) -> list[str]:
    return host.check_output("/root/snapshot.sh").splitlines()


def difference(before: list[str], after: list[str]) -> str:
    """Lines that went and lines that came, for a person; empty where there are none."""
    gone = ["-" + line for line in before if line not in after]
    return "\n".join(gone + ["+" + line for line in after if line not in before])


def had_kdump_tools(host: t.Any) -> bool:
    return any(line.startswith("kdump-tools:") for line in host.file("/root/before.txt").content_string.splitlines())


def test_record_is_root_s_alone(host: t.Any) -> None:
    assert host.file(RECORD).mode == 0o600
    assert host.file("/var/lib/crashready").mode == 0o700
    assert host.run("su -s /bin/sh nobody -c 'cat %s'", RECORD).rc != 0


def test_check_mode_foretells_and_changes_nothing(host: t.Any) -> None:
    before = snapshot(host)
    foretold = names(kdump(host, check=True))
    assert "file " + OWN_FILES[0] in foretold
    assert "boot_loader grub" in foretold
    assert ("package kdump-tools" in foretold) is not had_kdump_tools(host)
    assert difference(before, snapshot(host)) == ""


def test_host_is_as_it_was(host: t.Any) -> None:
    foretold = names(kdump(host, check=True))
    result = kdump(host)
    assert names(result) == foretold
    assert result["kept"] == []
    before = host.file("/root/before.txt").content_string.splitlines()
    assert difference(before, snapshot(host)) == ""


def test_second_removal_changes_nothing(host: t.Any) -> None:
    assert names(kdump(host)) == []


def test_host_that_never_had_the_role_is_not_touched(host: t.Any) -> None:
    """By now no mark of the role is left, and the administrator's own kdump-tools stay as they are."""
    assert not host.file(RECORD).exists
    assert difference(host.file("/root/before.txt").content_string.splitlines(), snapshot(host)) == ""


def test_role_comes_back(host: t.Any, harden: t.Callable[..., t.Any]) -> None:
    name = host.check_output("hostname")
    done = harden("--limit", name, "-e", "kdump_crashkernel=256M")
    assert done.rc == 0, done.out
    assert names(kdump(host, "crashkernel=256M", check=True)) == []
    assert all(host.file(path).exists for path in OWN_FILES)


@pytest.mark.parametrize(
    "damage",
    [
        "chmod 666 %s" % RECORD,
        "sh -c 'mv %s /root/moved && ln -s /root/moved %s'" % (RECORD, RECORD),
    ],
)
def test_record_that_is_not_to_be_believed_is_refused(host: t.Any, damage: str) -> None:
    host.check_output("cp -p %s /root/record" % RECORD)
    host.check_output(damage)
    try:
        before = snapshot(host)
        result = host.ansible("rackops.crashready.kdump", "state=absent", check=False)
        assert "changes" not in result, result
        assert RECORD in result["msg"]
        assert "Next:" in result["msg"]
        assert difference(before, snapshot(host)) == ""
    finally:
        host.check_output("rm -f %s && cp -p /root/record %s" % (RECORD, RECORD))


def test_dumps_and_later_words_of_the_administrator_stay(host: t.Any) -> None:
    """A crash folder with a dump stays closed; a line that was written after the role stays, the role's go back."""
    host.check_output("mkdir -p /var/crash/202601010000 && touch /var/crash/202601010000/dump.202601010000")
    host.check_output("sh -c 'echo HOSTTAG=ip >> %s'" % CONFIG)
    result = kdump(host)
    assert host.file("/var/crash/202601010000/dump.202601010000").exists
    assert host.file("/var/crash").mode == 0o700
    assert any("/var/crash, closed" in line for line in result["kept"]), result["kept"]
    if had_kdump_tools(host):
        read = host.check_output("sh -c '. %s; echo $USE_KDUMP,$KDUMP_FAIL_CMD,$HOSTTAG,$MAKEDUMP_ARGS'" % CONFIG)
        assert read == "0,reboot -f,ip,"
        host.check_output("sed -i /^HOSTTAG=/d %s" % CONFIG)
    else:
        assert not host.file(CONFIG).exists
    host.check_output("rm -r /var/crash/202601010000")


def test_removal_without_a_record_by_the_playbook(host: t.Any, harden: t.Callable[..., t.Any]) -> None:
    """Packages stay, the role's own files go, the settings become what Debian ships; the table says it."""
    name = host.check_output("hostname")
    assert harden("--limit", name, "-e", "kdump_crashkernel=256M").rc == 0
    host.check_output("rm " + RECORD)
    done = harden("--limit", name, "-e", "kdump_state=absent")
    assert done.rc == 0, done.out
    assert "removed" in done.out
    assert "no record says that the role installed them" in done.out.replace("\n", " ")
    assert not any(host.file(path).exists for path in OWN_FILES)
    assert host.package("kdump-tools").is_installed
    shipped = "sh -c '. /usr/share/kdump-tools/kdump-tools.conf; echo $USE_KDUMP,$MAKEDUMP_ARGS,$KDUMP_CMDLINE_APPEND'"
    configured = shipped.replace("/usr/share/kdump-tools/kdump-tools.conf", CONFIG)
    assert host.check_output(configured) == host.check_output(shipped)
    assert "crashkernel=256M" not in host.file("/boot/grub/grub.cfg").content_string


def test_role_comes_back_at_last(host: t.Any, harden: t.Callable[..., t.Any]) -> None:
    done = harden("--limit", host.check_output("hostname"), "-e", "kdump_crashkernel=256M")
    assert done.rc == 0, done.out

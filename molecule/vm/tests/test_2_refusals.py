# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Hosts that cannot or may not be armed end in a clear, failing message, never in green."""

from __future__ import annotations

import os
import pathlib
import re
import time
import typing as t

import pytest
import testinfra

FOLDER = pathlib.Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
NAME = "crashready-bookworm"
LIMIT = ("--limit", NAME)


@pytest.fixture(scope="module")
def host() -> t.Any:
    """One guest is enough, whatever hosts the verifier names."""
    return testinfra.get_host("ansible://" + NAME, ansible_inventory=str(FOLDER / "rack.yml"))


def wait_for_ssh(host: t.Any) -> None:
    """sshd starts itself anew at a reload; an emulated guest needs seconds for that."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            host.run("true")
            return
        except RuntimeError:
            time.sleep(1)
    raise AssertionError("no answer over ssh within 120 s")


def test_armed_rack_costs_few_execs_and_changes_nothing(host: t.Any, harden: t.Callable[..., t.Any]) -> None:
    """Counted at the server: sshd logs each exec (LogLevel VERBOSE), from the session's own scope."""
    host.check_output("sh -c 'echo LogLevel VERBOSE > /etc/ssh/sshd_config.d/verbose.conf; systemctl reload ssh'")
    wait_for_ssh(host)
    since = host.check_output("date +%s")
    done = harden(*LIMIT)
    assert done.rc == 0, done.out
    assert re.search(NAME + r"\s+: ok=\d+\s+changed=0", done.out), done.out
    log = host.check_output("journalctl -t sshd -t sshd-session --since @{0} -o cat".format(since))
    sessions = len(re.findall(r"Starting session: command", log))
    print("SSH execs of an armed host:", sessions)
    assert 1 <= sessions <= 6, log


def test_without_permission_to_reboot(host: t.Any, harden: t.Callable[..., t.Any]) -> None:
    boot = host.file("/proc/sys/kernel/random/boot_id").content_string
    try:
        done = harden(*LIMIT, "-e", "kdump_crashkernel=224M", "-e", "kdump_reboot_ok=false")
        assert done.rc != 0
        assert "pending reboot" in done.out
        assert re.search(r"Next: ansible-playbook .*crashready_yes_reboot.*{0}".format(NAME), done.out), done.out
        assert host.file("/proc/sys/kernel/random/boot_id").content_string == boot, "no reboot without a yes"
    finally:
        again = harden(*LIMIT)
    assert again.rc == 0, again.out


def test_masked_unit(host: t.Any, harden: t.Callable[..., t.Any]) -> None:
    host.check_output("systemctl mask kdump-tools.service")
    try:
        done = harden(*LIMIT)
        assert done.rc != 0
        assert "kdump-tools.service is masked" in done.out
        assert "systemctl unmask kdump-tools.service" in done.out
    finally:
        host.check_output("systemctl unmask kdump-tools.service")
    assert harden(*LIMIT).rc == 0


def test_too_little_memory(harden: t.Callable[..., t.Any]) -> None:
    done = harden("--limit", "crashready-small")
    assert done.rc != 0
    assert re.search(r"no crash kernel reservation fits this host.*MiB of memory", done.out, re.S), done.out


def test_unreachable_host_is_in_the_table(harden: t.Callable[..., t.Any]) -> None:
    done = harden("--limit", "crashready-small", "-e", "ansible_port=9")
    assert done.rc != 0
    assert re.search(r"crashready-small .*unreachable", done.out), done.out


def test_wrong_sudo_password(host: t.Any, harden: t.Callable[..., t.Any]) -> None:
    """The user oncall may use sudo with a password, and this is not it."""
    done = harden(*LIMIT, "-e", "ansible_user=oncall", "-e", "ansible_become_password=not-the-password-1")
    assert done.rc != 0
    assert re.search(r"(?i)incorrect sudo password|sudo.*password|Duplicate become password", done.out), done.out
    assert "failed" in done.out
    assert "not-the-password-1" not in done.out


def test_full_disk(host: t.Any, harden: t.Callable[..., t.Any]) -> None:
    """Nothing is written where the rest would not fit: a cut grub.cfg does not boot."""
    host.check_output("sed -i 's/crashkernel=256M/crashkernel=64M/' /boot/grub/grub.cfg")
    before = host.file("/boot/grub/grub.cfg").sha256sum
    # What ordinary users may still take, less a little: ext4 keeps 16 MiB beyond that even from root.
    blocks, size = map(int, host.check_output("stat -f -c '%a %S' /").split())
    try:
        host.check_output("fallocate -l %s /root/filler", str(blocks * size - 1536 * 1024))
        done = harden(*LIMIT)
        assert done.rc != 0
        assert re.search(r"/boot has \S+ \S+ free, 2 MiB are needed", done.out), done.out
        assert host.file("/boot/grub/grub.cfg").sha256sum == before
    finally:
        host.check_output("rm -f /root/filler")
    again = harden(*LIMIT)
    assert again.rc == 0, again.out


def test_kexec_disabled(host: t.Any, harden: t.Callable[..., t.Any]) -> None:
    """Last: only a boot takes it back."""
    host.check_output("kdump-config unload")
    host.check_output("sh -c 'echo kernel.kexec_load_disabled = 1 > /etc/sysctl.d/99-hardening.conf; sysctl --system'")
    done = harden(*LIMIT)
    assert done.rc != 0
    assert "kexec_load_disabled=1" in done.out
    assert "/etc/sysctl.d/99-hardening.conf" in done.out
    host.check_output("rm /etc/sysctl.d/99-hardening.conf")

# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""A kernel that panics, that nobody can reach, or that loses a NIC: the host is back on the old one by itself."""

from __future__ import annotations

import typing as t

NETWORK_AWAY = """systemctl mask --runtime --now systemd-networkd.service
for interface in /sys/class/net/e*; do ip link set "${interface##*/}" down; done"""

#: Tasks of the highest real-time priority on every CPU: init gets no time any more, interrupts are still answered.
#: Since Linux 6.12 the fair server would keep 5 % for all others, whatever sched_rt_runtime_us says.
HANG = """echo -1 >/proc/sys/kernel/sched_rt_runtime_us
mountpoint -q /sys/kernel/debug || mount -t debugfs debugfs /sys/kernel/debug
for server in /sys/kernel/debug/sched/fair_server/cpu*/runtime; do echo 0 >$server; done
echo sabotage-hangs-now >/dev/kmsg
for cpu in $(seq $(nproc)); do chrt -f 99 sh -c 'while :; do :; done' & done
wait"""


def assert_back(box: t.Any, done: t.Any, old: str) -> None:
    """On the old kernel, armed, with nothing of the trial left, and the play says it."""
    assert done.rc != 0
    assert box.sh("uname -r") == old
    assert box.sh("cat /sys/kernel/kexec_crash_loaded") == "1"
    # GRUB empties the variable as it boots the entry; it does not take its name away (docs: "Environment block").
    environment = box.sh("grub-editenv /boot/grub/grubenv list").splitlines()
    assert not [line for line in environment if line.startswith("next_entry=") and line != "next_entry="]
    assert box.sh("ls /boot/vmlinuz-7* 2>/dev/null; ls /etc/grub.d/42_crashready 2>/dev/null; true") == ""
    assert "Pin-Priority: -1" in box.sh("cat /etc/apt/preferences.d/crashready-kernel.pref")
    again = box.pin("arm=true", check=True)
    assert "was tried on this host and came back" in again["msg"], again


def test_panic_before_anything_is_armed(trixie: t.Any) -> None:
    old = trixie.sh("uname -r")
    trixie.sabotage("echo c >/proc/sysrq-trigger", wanted="sysinit.target")
    try:
        done = trixie.harden(backports_kernel_enabled=True)
    finally:
        trixie.mend()
    assert "came back by itself and runs {0}".format(old) in done.out.replace("\n", " "), done.out
    assert "Kernel panic" in trixie.console()
    assert_back(trixie, done, old)
    trixie.figure("panicked in its trial and came back by itself")
    trixie.pin("state=absent")


def test_trial_that_nobody_can_reach(trixie: t.Any) -> None:
    """As a driver without its firmware leaves it: no network. The guard ends it at its deadline."""
    old = trixie.sh("uname -r")
    trixie.sabotage(NETWORK_AWAY, wanted="multi-user.target", after="systemd-networkd.service")
    try:
        done = trixie.harden(backports_kernel_enabled=True, backports_kernel_deadline_s=420)
    finally:
        trixie.mend()
    text = done.out.replace("\n", " ")
    assert "came back by itself and runs {0}".format(old) in text, done.out
    assert "was not confirmed within 420 s" in text
    assert "was not confirmed within 420 s" in trixie.console()
    assert_back(trixie, done, old)
    trixie.figure("without network in its trial; the guard ended it")
    trixie.pin("state=absent")


def test_trial_without_its_card_fails_the_gate(trixie: t.Any) -> None:
    """Reachable over the other card: the gate sees what is missing, and the host is booted back."""
    old = trixie.sh("uname -r")
    trixie.sabotage("modprobe -r e1000e", wanted="multi-user.target", after="systemd-networkd.service")
    try:
        done = trixie.harden(backports_kernel_enabled=True, backports_kernel_gate_wait_s=60)
    finally:
        trixie.mend()
    text = done.out.replace("\n", " ")
    assert "is gone" in text
    assert "was booted back and runs {0}".format(old) in text, done.out
    assert_back(trixie, done, old)
    trixie.figure("lost its e1000e in the trial; booted back")
    trixie.pin("state=absent")


def test_trial_that_hangs_hard(trixie: t.Any) -> None:
    """Nothing of the kernel is left to act: the hardware watchdog (QEMU's i6300esb) resets the machine."""
    old = trixie.sh("uname -r")
    trixie.sabotage(HANG, wanted="multi-user.target", after="systemd-networkd.service")
    try:
        done = trixie.harden(backports_kernel_enabled=True, backports_kernel_watchdog_s=120)
    finally:
        trixie.mend()
    assert "came back by itself and runs {0}".format(old) in done.out.replace("\n", " "), done.out
    console = trixie.console()
    assert "sabotage-hangs-now" in console
    # Neither a panic nor the guard's orderly reboot ended it.
    hung = console.rpartition("sabotage-hangs-now")[2].partition("Linux version")[0]
    assert "Kernel panic" not in hung, hung
    assert "was not confirmed within" not in hung, hung
    assert_back(trixie, done, old)
    trixie.figure("hung hard in its trial; the watchdog reset it")
    trixie.pin("state=absent")

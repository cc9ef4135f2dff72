# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The kernel of backports: tried, kept, armed; its next panic gives a dump that opens; and the default follows."""

from __future__ import annotations

import time
import typing as t

#: A kernel package that has nothing in it but the names of the files which the boot menu is made from.
NEWER = """set -e
cd /tmp
release=$(uname -r | sed 's/^\\([0-9]*\\.[0-9]*\\)\\.[0-9]*/\\1.99/')
cp /boot/vmlinuz-$(uname -r) /boot/vmlinuz-$release
cp /boot/initrd.img-$(uname -r) /boot/initrd.img-$release
update-grub >/dev/null 2>&1
echo $release
"""


def test_kernel_is_tried_and_kept(trixie: t.Any) -> None:
    old = trixie.sh("uname -r")
    done = trixie.harden(backports_kernel_enabled=True)
    assert done.rc == 0, done.out
    new = trixie.sh("uname -r")
    assert new != old
    assert new.startswith("7."), new
    assert trixie.sh("cat /sys/kernel/kexec_crash_loaded") == "1"
    assert trixie.sh("grep -c crashready.trial=1 /proc/cmdline") == "1"
    assert trixie.sh("test -e /boot/vmlinuz-{0} && test -e /boot/initrd.img-{0} && echo there".format(old)) == "there"
    assert old not in trixie.sh("apt-get -s autoremove")
    trixie.figure("{0} replaced by {1}".format(old, new))


def test_second_run_changes_nothing(trixie: t.Any) -> None:
    done = trixie.harden(backports_kernel_enabled=True)
    assert done.rc == 0, done.out
    assert "changed=0" in done.out
    assert "bad pairing" not in done.out


def test_it_boots_by_default_and_without_the_guard(trixie: t.Any) -> None:
    new, boot = trixie.sh("uname -r"), trixie.sh("cat /proc/sys/kernel/random/boot_id")
    trixie.sh("systemd-run --on-active=1 systemctl reboot")
    limit = time.monotonic() + 900
    while trixie.guest.boot_id() in (None, boot):
        assert time.monotonic() < limit, trixie.console()[-3000:]
        time.sleep(2)
    trixie.guest.wait_settled(600)
    assert trixie.sh("uname -r") == new
    assert "crashready.trial" not in trixie.sh("cat /proc/cmdline")
    assert trixie.sh("cat /sys/kernel/kexec_crash_loaded") == "1"


def test_default_follows_a_newer_kernel_of_the_line(trixie: t.Any) -> None:
    release = trixie.sh(NEWER)
    try:
        assert trixie.pin("step=commit", check=True)["default_release"] == release
        menu = trixie.sh("grep -m2 'set default=' /boot/grub/grub.cfg")
        assert "gnulinux-{0}-advanced-".format(release) in menu
    finally:
        trixie.sh("rm -f /boot/vmlinuz-{0} /boot/initrd.img-{0}; update-grub".format(release))
    assert trixie.pin("step=commit", check=True)["default_release"] == trixie.sh("uname -r")


def test_next_panic_gives_a_dump_that_opens(trixie: t.Any) -> None:
    boot = trixie.sh("cat /proc/sys/kernel/random/boot_id")
    trixie.sh("rm -rf /var/crash/2*; echo pinned-kernel-panics >/dev/kmsg; sync")
    trixie.sh("systemd-run --on-active=2 sh -c 'sync; echo c >/proc/sysrq-trigger'")
    limit = time.monotonic() + 1800
    while trixie.guest.boot_id() in (None, boot):
        assert time.monotonic() < limit, trixie.console()[-3000:]
        time.sleep(2)
    trixie.guest.wait_settled(600)
    expected = "newest=true expect={'build_id':'running','marker':'pinned-kernel-panics'}"
    result = trixie.host.ansible("rackops.crashready.crash_dump_info", expected, check=False)
    assert result["opened"] is True, result
    assert result["problems"] == [], result
    trixie.figure("dump of {0}: opened".format(trixie.sh("uname -r")))


def test_pin_goes(trixie: t.Any) -> None:
    """The choice is the administrator's again; the kernels stay."""
    result = trixie.pin("state=absent")
    assert result["changed"] is True
    assert trixie.pin("state=absent")["changed"] is False
    names = "/etc/apt/preferences.d/crashready-kernel.pref /etc/default/grub.d/zz-crashready-kernel.cfg"
    assert trixie.sh("ls {0} 2>/dev/null; true".format(names)) == ""
    assert trixie.sh("ls /boot/vmlinuz-7* | wc -l") == "1"

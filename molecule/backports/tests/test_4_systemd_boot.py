# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The same transaction where no GRUB is: systemd-boot takes the entry for one boot out of an EFI variable."""

from __future__ import annotations

import typing as t


def test_panic_comes_back_by_itself(without_grub: t.Any) -> None:
    box = without_grub
    old = box.sh("uname -r")
    box.sabotage("echo c >/proc/sysrq-trigger", wanted="sysinit.target")
    try:
        done = box.harden(backports_kernel_enabled=True)
    finally:
        box.mend()
    assert "came back by itself and runs {0}".format(old) in done.out.replace("\n", " "), done.out
    assert done.rc != 0
    assert "Kernel panic" in box.console()
    assert box.sh("uname -r") == old
    assert box.sh("cat /sys/kernel/kexec_crash_loaded") == "1"
    assert "crashready-trial" not in box.sh("bootctl list --no-pager")
    assert "was tried on this host and came back" in box.pin("arm=true", check=True)["msg"]
    box.figure("systemd-boot: panicked in its trial and came back by itself")
    box.pin("state=absent")


def test_kernel_is_tried_and_kept(without_grub: t.Any) -> None:
    box = without_grub
    old = box.sh("uname -r")
    done = box.harden(backports_kernel_enabled=True)
    assert done.rc == 0, done.out
    new = box.sh("uname -r")
    assert new != old
    assert new.startswith("7."), new
    assert box.sh("cat /sys/kernel/kexec_crash_loaded") == "1"
    assert box.sh("grep -c crashready.trial=1 /proc/cmdline") == "1"
    listed = box.sh("bootctl list --no-pager")
    assert old in listed
    assert "crashready-trial" not in listed
    default = [block for block in listed.split("\n\n") if "(default)" in block]
    assert len(default) == 1, listed
    assert new in default[0], listed
    box.figure("systemd-boot: {0} replaced by {1}".format(old, new))

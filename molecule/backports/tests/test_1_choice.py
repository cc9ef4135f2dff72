# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Which kernel is chosen, what check mode says, and what is refused: nothing is booted here."""

from __future__ import annotations

import typing as t

#: /boot moves onto an mdraid1 of two loop devices. mdadm is unpacked, not installed: its scripts would build every
#: initrd anew. grub-probe asks it for the members.
BOOT_ON_MDRAID = """set -e
cd /root
apt-get -qq download mdadm
dpkg-deb --fsys-tarfile mdadm_*.deb | tar -x -C / ./sbin/mdadm 2>/dev/null ||
    dpkg-deb --fsys-tarfile mdadm_*.deb | tar -x -C / ./usr/sbin/mdadm
modprobe raid1
truncate -s 400M /root/md.0 /root/md.1
members="$(losetup --find --show /root/md.0) $(losetup --find --show /root/md.1)"
mdadm --create /dev/md0 --run --level=1 --raid-devices=2 --metadata=1.2 --assume-clean $members
mkfs.ext4 -q /dev/md0
mount /dev/md0 /mnt
cp -a /boot/. /mnt
umount /mnt
mount /dev/md0 /boot
grub-probe --target=abstraction /boot/grub
"""
BOOT_BACK = """umount /boot; umount /mnt; mdadm --stop /dev/md0
losetup -D; rm -f /root/md.0 /root/md.1 /root/mdadm_*.deb /usr/sbin/mdadm; true"""


def unwrapped(out: str) -> str:
    """The table's last column in one line: it is the only one that goes on in lines below."""
    return " ".join(out.split())


def test_bad_pairing_is_shown_and_nothing_changes_without_a_yes(bookworm: t.Any) -> None:
    """The line of the security archive wins over a backport that is no longer updated."""
    before = bookworm.sh("dpkg -l 'linux-image-*' | sha256sum; sha256sum /boot/grub/grub.cfg")
    done = bookworm.harden()
    assert done.rc == 0, done.out
    text = unwrapped(done.out)
    assert "bad pairing: bad: enp0s3 (test-e1000e-in-6-1)" in text
    assert "remedy: linux-image-6.12-amd64 6.12." in text
    assert "from bookworm-security fixes test-e1000e-in-6-1" in text
    assert "backports_kernel_enabled=true" in text
    assert bookworm.sh("dpkg -l 'linux-image-*' | sha256sum; sha256sum /boot/grub/grub.cfg") == before


def test_backports_are_chosen_where_only_they_are_allowed(bookworm: t.Any) -> None:
    """The stale backport carries a known fault of virtio, which somebody has to live with to take it."""
    waiver = {"entry": "virtio-net-big-packet-len", "reason": "a test rack", "until": "2099-12-31"}
    done = bookworm.harden("--check", backports_kernel_suites=["bookworm-backports"], crashready_waivers=[waiver])
    assert "from bookworm-backports" in unwrapped(done.out), done.out
    refused = bookworm.harden("--check", backports_kernel_suites=["bookworm-backports"])
    assert "no kernel in reach fixes test-e1000e-in-6-1" in unwrapped(refused.out), refused.out


def test_suite_that_is_gone_is_a_clear_message(bookworm: t.Any) -> None:
    result = bookworm.pin("suite=bookworm-backports-sloppy version=6.12.95-1~bpo12+1", check=True)
    assert "changes" not in result, result
    assert "cannot be had from bookworm-backports-sloppy" in result["msg"]


def test_check_mode_names_the_packages_and_changes_nothing(trixie: t.Any) -> None:
    before = trixie.sh("find /etc /boot /var/lib/crashready -newer /proc/1/stat -type f | sort")
    result = trixie.pin("arm=true", check=True)
    names = [change["name"] for change in result["changes"]]
    assert any(name.startswith("package linux-image-7") for name in names), names
    assert names[-1] == "one_shot grub"
    assert trixie.sh("find /etc /boot /var/lib/crashready -newer /proc/1/stat -type f | sort") == before


def test_boot_on_mdraid_is_refused(trixie: t.Any) -> None:
    """G35: GRUB reads through mdraid and cannot write, so the entry for one boot would be taken for ever."""
    try:
        assert "mdraid1x" in trixie.sh(BOOT_ON_MDRAID)
        result = trixie.pin("arm=true", check=True)
    finally:
        trixie.sh(BOOT_BACK)
    assert "changes" not in result, result
    assert "does not write through mdraid1x" in result["msg"], result
    assert "changes" in trixie.pin("arm=true", check=True)


def test_hold_and_full_boot_are_refused(trixie: t.Any) -> None:
    trixie.sh("apt-mark hold linux-image-amd64")
    try:
        assert "on hold" in trixie.pin("arm=true", check=True)["msg"]
    finally:
        trixie.sh("apt-mark unhold linux-image-amd64")
    blocks, size = map(int, trixie.sh("stat -f -c '%a %S' /").split())
    trixie.sh("fallocate -l {0} /root/filler".format(blocks * size - 20 * 1024 * 1024))
    try:
        assert "are needed for a kernel more" in trixie.pin("arm=true", check=True)["msg"]
    finally:
        trixie.sh("rm -f /root/filler")

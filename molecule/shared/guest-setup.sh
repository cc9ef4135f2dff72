#!/bin/sh
# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
#
# Runs once inside the image while it is made: the parts of a bootable host that roles look at.
set -eu

: >/etc/machine-id
# udev of a container would work on the devices of the machine below it. There are no consoles and no timers to wait for.
systemctl mask --quiet systemd-udevd.service systemd-udevd-kernel.socket systemd-udevd-control.socket \
    console-getty.service getty.target apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_reap.service

# On an overlay filesystem grub-probe fails, and update-grub with it. This answers as for a plain disk.
dpkg-divert --local --rename --quiet --add /usr/sbin/grub-probe
cat >/usr/sbin/grub-probe <<'SHIM'
#!/bin/sh
# Test image: answers for a host with one ext4 partition on a GPT disk.
target=fs
while [ $# -gt 0 ]; do
    case $1 in
    --target=*) target=${1#--target=} ;;
    -t | --target) target=$2; shift ;;
    esac
    shift
done
case $target in
device) echo /dev/vda1 ;;
fs) echo ext2 ;;
fs_uuid) echo 6b0b2f6c-2a57-4a38-93d5-52a31c41e3ab ;;
partmap) echo gpt ;;
drive) echo '(hd0,gpt1)' ;;
disk) echo /dev/vda ;;
compatibility_hint) echo 'hd0,gpt1' ;;
esac
SHIM
chmod 755 /usr/sbin/grub-probe
cp /usr/share/grub/default/grub /etc/default/grub

# Two files with the names of a kernel: grub-mkconfig makes its entries from names alone.
: >/boot/vmlinuz-6.1.0-99-amd64
: >/boot/initrd.img-6.1.0-99-amd64
mkdir -p /boot/grub
update-grub 2>/dev/null
grep -q 'vmlinuz-6.1.0-99-amd64' /boot/grub/grub.cfg

#!/bin/sh
# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
#
# Prints what a role may change on a host, one line a thing, so that two moments can be compared line by line.
set -eu
export LC_ALL=C

# /etc as a whole. The linker's cache is made anew by dpkg's triggers, the lock file by useradd.
find /etc -mindepth 1 ! -path /etc/ld.so.cache ! -path /etc/.pwd.lock -printf '%p %y %m %U:%G %l\n' | sort
find /etc -type f ! -path /etc/ld.so.cache ! -path /etc/.pwd.lock -exec sha256sum {} + | sort -k 2
sha256sum /boot/grub/grub.cfg
find /boot /var/crash /var/lib/kdump /var/lib/crashready -maxdepth 1 -printf '%p %y %m %U:%G\n' 2>/dev/null | sort || true
dpkg-query --show --showformat '${Package}:${Architecture} ${Version} ${Status}\n' | sort
apt-mark showmanual | sed 's/^/manual: /' | sort
systemctl list-unit-files --no-legend --no-pager | sed 's/  */ /g' | sort
grep -A 3 -E '^Name: (kdump|kexec)-tools/' /var/cache/debconf/config.dat || true

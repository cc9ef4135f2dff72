# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The VM rack: real Debian guests under QEMU for tests, molecule and the demo.

`image` builds a bootable disk once and keeps it in the user's cache, `guest`
runs one machine on an overlay of it, `rack` keeps several of them in a run
directory and writes the inventory by which Ansible reaches them.
"""

# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What only a memory dump tells, read on the triage host: never on the one that crashed.

`deb` and `download` fetch, `symbols` finds the debug symbols of a build id, `stacks` runs drgn
(or `crash`) on the dump in a process of its own (`drgn_child`), because a dump is hostile input
and the readers are C.
"""

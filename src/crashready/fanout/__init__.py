# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Facts of many hosts at once: one connection and one exec a host.

`inventory_hosts` says who the hosts are; here is how they are reached and asked.

- `program`: the collectors as one compressed program, and the command that starts it
- `outcome`: what came of a host, and every cause of a failure with the next step
- `ssh_options`, `known_hosts`, `ssh_keys`: what OpenSSH's files say of a connection
- `connect`, `stream`, `conversation`: one connection, one exec, one answer
- `through_ansible`: hosts that are reached in another way than by SSH
- `gather`: all of them, some at a time
- `progress`: what the person who waits sees
"""

#!/usr/bin/python
# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors

from __future__ import annotations

DOCUMENTATION = r"""
module: rack_report
short_description: Prints where every host of a run stands
version_added: 0.1.0
description:
  - Prints a table of hosts with NICs, firmware, kernel, capture state and problems, and the one next command.
  - Runs on the controller and connects to nothing. Hosts that failed or could not be reached are in it as well.
  - Reads what the playbook C(rackops.crashready.harden_crash) left in the variables of each host.
author:
  - The Crashready authors (@rackops)
options:
  hosts:
    description: Names of the hosts, in the order of the table.
    type: list
    elements: str
    required: true
  dest:
    description: File on the controller that gets the same as JSON (mode 0600).
    type: path
attributes:
  check_mode:
    description: Can run in check mode.
    support: full
"""

EXAMPLES = r"""
- name: Everybody sees where the rack stands
  rackops.crashready.rack_report:
    hosts: "{{ ansible_play_hosts_all }}"
  run_once: true
"""

RETURN = r"""
rows:
  description: One row a host.
  returned: success
  type: list
  elements: dict
unfinished:
  description: Hosts that the run must not end well with, and why.
  returned: success
  type: dict
next:
  description: The next command; empty where nothing is left to do.
  returned: success
  type: str
"""

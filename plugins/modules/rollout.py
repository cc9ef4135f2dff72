#!/usr/bin/python
# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors

from __future__ import annotations

DOCUMENTATION = r"""
module: rollout
short_description: Plans a rollout, keeps its record and holds its gate
version_added: 0.1.0
description:
  - Each action is one step of the playbook C(rackops.crashready.rollout). It runs on the controller and connects to
    nothing.
  - The record is one JSON file on the controller (mode 0600). A rollout that stopped goes on from it; half of a record,
    and one of a newer version, are refused.
  - In check mode nothing is written.
author:
  - The Crashready authors (@rackops)
options:
  action:
    description:
      - V(plan) makes the order of O(hosts), or takes up that of the record.
      - V(begin) says whether the wave of O(hosts) may begin, V(end) whether another one may follow.
      - V(change) notes that this host is about to be drained, or to be changed; V(gate) compares it with what it was
        before; V(done) and V(fail) end its turn.
      - V(report) shows what was done, where it stopped and what is left.
    type: str
    required: true
    choices: [plan, begin, change, gate, done, fail, end, report]
  record:
    description: The record of the rollout.
    type: path
    required: true
  hosts:
    description: Names of hosts, for O(action=plan), O(action=begin) and O(action=end).
    type: list
    elements: str
  batch:
    description:
      - Sizes of the batches as numbers of hosts or shares of all of them, a list or one text such as V(1,2,4,25%).
        The last one holds for all further ones.
    type: raw
    default: "1"
  canaries:
    description: How many hosts of each pairing go alone, before every batch.
    type: raw
    default: 1
  consents:
    description: Hosts with a yes to a reboot beside those of C(kdump_reboot_ok); V(all) for every host.
    type: list
    elements: str
    default: []
  plan_only:
    description: Show the order and write no record.
    type: bool
    default: false
  dest:
    description: File on the controller that gets the summary as JSON (mode 0600).
    type: path
  wave_s:
    description: Seconds that a wave may take, for O(action=begin) and a maintenance window; a longer wave counts more.
    type: int
    default: 1800
  soak_s:
    description: Seconds of its soak on top.
    type: int
    default: 0
  wait_s:
    description: Seconds to wait for a window that is closed, or too short by now. Where it is longer the rollout stops.
    type: int
    default: 0
  look:
    description: Result of M(rackops.crashready.host_health), for O(action=change) and O(action=gate).
    type: raw
  verdict:
    description: Result of M(rackops.crashready.pairing_verdict), for O(action=gate).
    type: raw
  drains:
    description: Whether the host is drained before it is changed.
    type: bool
    default: false
  drained:
    description: Whether the host is out of service from now on.
    type: bool
  msg:
    description: Why the host failed.
    type: str
    default: ""
attributes:
  check_mode:
    description: Can run in check mode.
    support: full
seealso:
  - module: rackops.crashready.host_health
"""

EXAMPLES = r"""
- name: Order of a rollout is shown
  rackops.crashready.rollout:
    action: plan
    record: crashready-rollout.json
    hosts: "{{ ansible_play_hosts_all }}"
    batch: "{{ crashready_rollout_batch }}"
    plan_only: true
  run_once: true
"""

RETURN = r"""
summary:
  description: The order, and how far each host is.
  returned: for plan and report
  type: dict
order:
  description: Hosts that are still to go, in their order.
  returned: for plan
  type: list
  elements: str
sizes:
  description: How many of them go at once, wave by wave.
  returned: for plan
  type: list
  elements: int
go:
  description: Whether this wave, or the next one, may begin.
  returned: for begin and end
  type: bool
says:
  description: What is shown to the user.
  returned: for begin and report
  type: str
findings:
  description: What was found that does not stop the rollout.
  returned: for gate
  type: list
  elements: dict
unfinished:
  description: Hosts that the run must not end well with, and why.
  returned: for report
  type: dict
"""

#!/usr/bin/python
# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors

from __future__ import annotations

DOCUMENTATION = r"""
module: pairing_verdict
short_description: Judges NICs, drivers, firmware and kernel against known bad pairings
version_added: 0.1.0
description:
  - Gives each NIC of a host a verdict. V(bad) means that an entry of the database matches; V(suspect) that one matches
    except for something that could not be read; V(unknown) that the database does not cover it; V(clear) that it was
    reviewed and nothing matches; V(waived) that what matches is waived. The worst one is the verdict of the host.
  - Where a pairing is bad, every kernel that apt offers is judged as well, and the best one is named, with the reason
    why each other one is not it. Needs the facts with the subset C(candidates).
  - Runs on the controller, connects to nothing and changes nothing. Reads the entries of the collection and those of
    O(dirs); a broken entry ends the task with its file, line and field, since a database with a hole would call clear
    what it does not know.
  - Needs the Python module C(jsonschema) on the controller.
author:
  - The Crashready authors (@rackops)
options:
  hosts:
    description:
      - Hosts to judge, by the facts that are in their variables. The default is the host of the task.
      - With C(run_once) and all hosts the database is read once.
    type: list
    elements: str
  facts:
    description: Facts of the host, the object C(crashready), instead of those in its variables.
    type: dict
  dirs:
    description:
      - Folders of the controller with entries of one's own. The default is the variable C(crashready_pairings_dirs).
      - An entry there takes the place of a shipped one where it says C(replaces) with its id.
    type: list
    elements: path
  waivers:
    description:
      - Known bad pairings that you live with, each with C(entry), C(reason), C(until) (the last day, YYYY-MM-DD) and
        C(hosts) where it is not for all. The default is the variable C(crashready_waivers).
      - A waiver whose day is over is reported and waives nothing.
    type: list
    elements: raw
  suites:
    description:
      - Suites from which a kernel may come. The default is the variable C(backports_kernel_suites), and without it
        every suite that apt knows.
    type: list
    elements: str
attributes:
  check_mode:
    description: Can run in check mode.
    support: full
"""

EXAMPLES = r"""
- name: Facts are there, with the kernels that apt offers
  rackops.crashready.crash_facts:
    gather_subset: [min, candidates]

- name: Every host of the play is judged
  rackops.crashready.pairing_verdict:
    hosts: "{{ ansible_play_hosts }}"
    waivers:
      - entry: tg3-reset-task-race
        hosts: [store1]
        reason: no PCIe errors seen in a year; replaced in spring
        until: "2027-03-31"
  run_once: true
  register: pairings

- name: The bad ones are named
  ansible.builtin.debug:
    msg: "{{ pairings.hosts[inventory_hostname] | rackops.crashready.why_bad }}"
"""

RETURN = r"""
verdict:
  description: The worst verdict of all hosts, in the order bad, unknown, suspect, waived, clear.
  returned: success
  type: str
hosts:
  description: The judgement of each host by its name.
  returned: success
  type: dict
  contains:
    verdict:
      description: The worst verdict of its NICs.
      type: str
    says:
      description: The same in a line.
      type: str
    kernel:
      description: The kernel that was judged.
      type: dict
    nics:
      description: Name, verdict, reasons, waived and unknown of each NIC.
      type: list
      elements: dict
    entries:
      description: Ids of the entries that match.
      type: list
      elements: str
    remedies:
      description: What the bad entries ask for.
      type: list
      elements: dict
    waivers:
      description: Waivers that speak of this host, with whether they have expired.
      type: list
      elements: dict
    remedy:
      description: The kernel that mends it (C(choice)), those that were refused with the reason, advice, and C(says).
      type: dict
expired:
  description: Waivers whose last day is over.
  returned: success
  type: list
  elements: dict
"""

#!/usr/bin/python
# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors

from __future__ import annotations

DOCUMENTATION = r"""
module: crash_metrics_unit
short_description: Has a host write its metrics for node_exporter by itself
version_added: 0.1.0
description:
  - Installs a small program with the systemd units C(crashready-metrics.timer) and C(crashready-metrics.service), which
    writes what M(rackops.crashready.crash_facts) sees as metrics into the folder of node_exporter's textfile
    collector. The file is replaced as a whole.
  - The program is the collectors of this collection in one file. It needs Python 3.9 on the host and nothing else.
author:
  - The Crashready authors (@rackops)
extends_documentation_fragment:
  - rackops.crashready.attributes
options:
  state:
    description: Whether the units should be there. With V(absent) the file with the metrics goes as well.
    type: str
    choices: [present, absent]
    default: present
  folder:
    description: Folder of the textfile collector, by default that of Debian's package prometheus-node-exporter.
    type: path
    default: /var/lib/prometheus/node-exporter
  interval_s:
    description: Seconds from one look to the next.
    type: int
    default: 300
  program:
    description: The program, compressed. The action plugin makes it from the collection.
    type: str
seealso:
  - module: rackops.crashready.crash_facts
"""

EXAMPLES = r"""
- name: Host writes its metrics
  rackops.crashready.crash_metrics_unit:
    interval_s: 600

- name: Host does so no more
  rackops.crashready.crash_metrics_unit:
    state: absent
"""

RETURN = r"""
changes:
  description: What was done, or would be.
  returned: success
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.rackops.crashready.plugins.module_utils._change.files import Stopped
from ansible_collections.rackops.crashready.plugins.module_utils._change.hostprogram import converge
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import CoreError
from ansible_collections.rackops.crashready.plugins.module_utils._core.host_program import unpack_program
from ansible_collections.rackops.crashready.plugins.module_utils._core.metrics_unit import LAYOUT, Wanted, wanted_files
from ansible_collections.rackops.crashready.plugins.module_utils._host.local import LocalHost
from ansible_collections.rackops.crashready.plugins.module_utils._host.python import too_old

ARGUMENTS = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "folder": {"type": "path", "default": "/var/lib/prometheus/node-exporter"},
    "interval_s": {"type": "int", "default": 300},
    "program": {"type": "str"},
}


def main() -> None:
    # no_log: not into the journal of the host, where the whole program would be a line.
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True, no_log=True)
    if too_old():
        module.fail_json(msg=too_old())
    given = module.params
    present = given["state"] == "present"
    try:
        program = unpack_program(given["program"]) if present else b""
        wanted = Wanted(present, program, given["folder"], given["interval_s"])
        result = converge(LocalHost(), LAYOUT, wanted_files(wanted), module.check_mode)
    except (CoreError, Stopped) as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(**result)


if __name__ == "__main__":
    main()

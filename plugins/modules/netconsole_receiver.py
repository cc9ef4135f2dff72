#!/usr/bin/python
# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors

from __future__ import annotations

DOCUMENTATION = r"""
module: netconsole_receiver
short_description: Keeps the kernel messages that dying hosts send, one file a host
version_added: 0.1.0
description:
  - Installs a small program with a systemd socket and a service. It writes one file for each address that sends, into
    C(/var/log/crashready-netconsole), limited in rate and size, without control characters.
  - The service runs as a user of its own without a network of its own. It needs Python 3.9 on this machine.
author:
  - The Crashready authors (@rackops)
extends_documentation_fragment:
  - rackops.crashready.attributes
options:
  state:
    description: Whether the receiver should be there. With V(absent) the files that it kept stay.
    type: str
    choices: [present, absent]
    default: present
  port:
    description: UDP port.
    type: int
    default: 6666
  allow:
    description: Networks and addresses that may write. Empty means everybody; anybody can forge a source address.
    type: list
    elements: str
    default: []
  rate_bytes_s:
    description: What one host may write in the long run. A burst of one MiB comes on top.
    type: int
    default: 65536
  file_bytes:
    description: Size after which a file is set aside and a new one begun.
    type: int
    default: 16777216
  keep:
    description: How many older files a host has.
    type: int
    default: 3
  hosts:
    description: How many hosts have a file at most.
    type: int
    default: 256
  program:
    description: The program, compressed. The action plugin makes it from the collection.
    type: str
seealso:
  - module: rackops.crashready.crash_channels
"""

EXAMPLES = r"""
- name: This machine keeps what dying hosts say
  rackops.crashready.netconsole_receiver:
    allow: [192.0.2.0/24]
"""

RETURN = r"""
changes:
  description: What was done, or would be.
  returned: success
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.rackops.crashready.plugins.module_utils._change.channels import converge_receiver
from ansible_collections.rackops.crashready.plugins.module_utils._change.files import Stopped
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import CoreError
from ansible_collections.rackops.crashready.plugins.module_utils._core.host_program import unpack_program
from ansible_collections.rackops.crashready.plugins.module_utils._core.receiver import limits_from
from ansible_collections.rackops.crashready.plugins.module_utils._host.local import LocalHost
from ansible_collections.rackops.crashready.plugins.module_utils._host.python import too_old

ARGUMENTS = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "port": {"type": "int", "default": 6666},
    "allow": {"type": "list", "elements": "str", "default": []},
    "rate_bytes_s": {"type": "int", "default": 65536},
    "file_bytes": {"type": "int", "default": 16777216},
    "keep": {"type": "int", "default": 3},
    "hosts": {"type": "int", "default": 256},
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
        names = ("allow", "rate_bytes_s", "file_bytes", "keep", "hosts")
        limits = limits_from({name: given[name] for name in names}) if present else None
        program = unpack_program(given["program"]) if present else b""
        result = converge_receiver(LocalHost(), limits, given["port"], program, module.check_mode)
    except (CoreError, Stopped) as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(**result)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors

from __future__ import annotations

DOCUMENTATION = r"""
module: crash_triage_unit
short_description: Has a host read its crash by itself after the boot that followed
version_added: 0.1.0
description:
  - Installs a small program and the systemd units C(crashready-triage.service) and C(crashready-triage.path), which
    read new crashes after each boot, leave their records where M(rackops.crashready.crash_facts) finds them, and tell
    a webhook where one is given.
  - The program is the triage of this collection in one file. It needs Python 3.9 on the host and nothing else.
author:
  - The Crashready authors (@rackops)
extends_documentation_fragment:
  - rackops.crashready.attributes
options:
  state:
    description: Whether the units should be there.
    type: str
    choices: [present, absent]
    default: present
  folder:
    description: The crash folder of kdump-tools.
    type: path
    default: /var/crash
  thin_out:
    description: Whether the program removes dumps as O(rackops.crashready.crash_triage#module:thin_out) does.
    type: bool
    default: false
  webhook:
    description:
      - Address that gets each new record as JSON by POST. Redirects are not followed. A record that was not taken is
        sent again at the next run.
    type: str
  webhook_header:
    description: Name of a header to send along, such as V(Authorization).
    type: str
  webhook_secret:
    description: Value of that header. It lies on the host in a file that root alone can read.
    type: str
  program:
    description: The program, compressed. The action plugin makes it from the collection.
    type: str
seealso:
  - module: rackops.crashready.crash_triage
"""

EXAMPLES = r"""
- name: Host reads its crash after the boot
  rackops.crashready.crash_triage_unit:
    webhook: https://hooks.example.org/crash
    webhook_header: Authorization
    webhook_secret: "{{ vault_crash_hook }}"

- name: Host does so no more
  rackops.crashready.crash_triage_unit:
    state: absent
"""

RETURN = r"""
changes:
  description: What was done, or would be. The secret is not in it.
  returned: success
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.rackops.crashready.plugins.module_utils._change.files import Stopped
from ansible_collections.rackops.crashready.plugins.module_utils._change.hostprogram import converge
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import CoreError
from ansible_collections.rackops.crashready.plugins.module_utils._core.host_program import unpack_program
from ansible_collections.rackops.crashready.plugins.module_utils._core.triage_unit import (
    LAYOUT,
    Wanted,
    wanted_files,
    webhook_from,
)
from ansible_collections.rackops.crashready.plugins.module_utils._host.local import LocalHost
from ansible_collections.rackops.crashready.plugins.module_utils._host.python import too_old

ARGUMENTS = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "folder": {"type": "path", "default": "/var/crash"},
    "thin_out": {"type": "bool", "default": False},
    "webhook": {"type": "str"},
    "webhook_header": {"type": "str"},
    "webhook_secret": {"type": "str", "no_log": True},
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
        webhook = webhook_from(given["webhook"], given["webhook_header"], given["webhook_secret"])
        wanted = Wanted(present, program, given["folder"], given["thin_out"], webhook)
        result = converge(LocalHost(), LAYOUT, wanted_files(wanted), module.check_mode)
    except (CoreError, Stopped) as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(**result)


if __name__ == "__main__":
    main()

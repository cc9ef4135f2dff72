#!/usr/bin/python
# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors

from __future__ import annotations

DOCUMENTATION = r"""
module: host_health
short_description: Says how well a host is, with its facts
version_added: 0.1.0
description:
  - Reads links, addresses, default routes, failed units and whether the host is armed, so that the same look before and
    after a change shows what the change has cost.
  - Returns the facts of M(rackops.crashready.crash_facts) (V(min)) with them, in one connection.
  - Changes nothing. Needs Python 3.9 on the target and nothing else.
author:
  - The Crashready authors (@rackops)
extends_documentation_fragment:
  - rackops.crashready.attributes
  - rackops.crashready.attributes.facts
options: {}
seealso:
  - module: rackops.crashready.crash_facts
  - module: rackops.crashready.rollout
"""

EXAMPLES = r"""
- name: Host is looked at before its change
  rackops.crashready.host_health:
  register: before
"""

RETURN = r"""
ansible_facts:
  description: The facts of M(rackops.crashready.crash_facts), under the key C(crashready).
  returned: success
  type: dict
health:
  description: What was seen; null with the reason under C(unread) where it was not.
  returned: success
  type: dict
  contains:
    release:
      description: The running kernel.
      type: str
      returned: always
    boot_id:
      description: The id of this boot.
      type: str
      returned: always
    nics:
      description: Interfaces with MAC, link and addresses; those of containers and guests are left out.
      type: list
      elements: dict
      returned: always
    default_routes:
      description: Family and interface of each.
      type: list
      elements: dict
      returned: always
    failed_units:
      description: Units that systemd says have failed.
      type: list
      elements: str
      returned: always
    system_state:
      description: What C(systemctl is-system-running) says.
      type: str
      returned: always
    armed:
      description: Whether a capture kernel is loaded.
      type: bool
      returned: always
    capture_problems:
      description: What keeps the host from keeping its next panic.
      type: list
      elements: dict
      returned: always
    unread:
      description: Why something is null.
      type: dict
      returned: always
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.rackops.crashready.plugins.module_utils._host.facts import DEFAULT_SUBSETS, collect_facts
from ansible_collections.rackops.crashready.plugins.module_utils._host.health import collect_health
from ansible_collections.rackops.crashready.plugins.module_utils._host.local import LocalHost
from ansible_collections.rackops.crashready.plugins.module_utils._host.python import too_old


def main() -> None:
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    if too_old():
        module.fail_json(msg=too_old())
    host = LocalHost()
    facts = collect_facts(host, DEFAULT_SUBSETS)
    health = collect_health(host, facts["kernel"])
    module.exit_json(changed=False, ansible_facts={"crashready": facts}, health=health)


if __name__ == "__main__":
    main()

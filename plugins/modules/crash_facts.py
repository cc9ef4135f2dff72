#!/usr/bin/python
# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors

from __future__ import annotations

DOCUMENTATION = r"""
module: crash_facts
short_description: Collects what decides whether a Debian host keeps its next panic
version_added: 0.1.0
description:
  - Collects NICs with driver and firmware, the kernel with its package and boot entry, the state of the crash
    capture with every problem and its remedy, and the dumps that lie in the crash folder.
  - Facts say what was seen. What could not be read is null, with the reason under C(unread) of the same object.
  - Runs as root or as a user; as a user some fields are null.
  - Needs Python 3.9 on the target and nothing else.
author:
  - The Crashready authors (@rackops)
extends_documentation_fragment:
  - rackops.crashready.attributes
  - rackops.crashready.attributes.facts
options:
  gather_subset:
    description:
      - Which facts to collect. V(min) stands for V(nics), V(kernel), V(capture) and V(crashes); V(all) adds
        V(candidates), the kernels that apt offers, which cost more than everything else.
      - A name with a leading V(!) leaves that subset out.
    type: list
    elements: str
    default: [min]
seealso:
  - module: rackops.crashready.kdump
"""

EXAMPLES = r"""
- name: Facts of the host are known
  rackops.crashready.crash_facts:

- name: Only the capture state is known
  rackops.crashready.crash_facts:
    gather_subset: [capture]

- name: Kernels that apt offers are known as well
  rackops.crashready.crash_facts:
    gather_subset: [all]
"""

RETURN = r"""
ansible_facts:
  description: The facts, under one key.
  returned: success
  type: dict
  contains:
    crashready:
      description: Facts of this host; C(schema) is the version of their shape.
      type: dict
      returned: success
      contains:
        nics:
          description: Network interfaces with PCI ids, driver and firmware.
          type: list
          elements: dict
          returned: when the subset was asked for
        kernel:
          description: Running, installed and next kernel, with package, version and stream.
          type: dict
          returned: when the subset was asked for
        capture:
          description: Whether the host is armed, what is reserved, and every problem with its remedy.
          type: dict
          returned: when the subset was asked for
        crashes:
          description: What lies in the crash folder, valid or not.
          type: list
          elements: dict
          returned: when the subset was asked for
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.rackops.crashready.plugins.module_utils._host.facts import collect_facts, subsets_of
from ansible_collections.rackops.crashready.plugins.module_utils._host.local import LocalHost
from ansible_collections.rackops.crashready.plugins.module_utils._host.python import too_old


def main() -> None:
    module = AnsibleModule(
        argument_spec={"gather_subset": {"type": "list", "elements": "str", "default": ["min"]}},
        supports_check_mode=True,
    )
    if too_old():
        module.fail_json(msg=too_old())
    try:
        subsets = subsets_of(module.params["gather_subset"])
    except ValueError as exc:
        module.fail_json(msg="gather_subset: {0}".format(exc))
    module.exit_json(changed=False, ansible_facts={"crashready": collect_facts(LocalHost(), subsets)})


if __name__ == "__main__":
    main()

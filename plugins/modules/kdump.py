#!/usr/bin/python
# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors

from __future__ import annotations

DOCUMENTATION = r"""
module: kdump
short_description: Arms the crash capture of a Debian host, or takes it back
version_added: 0.1.0
description:
  - Installs and sets up kdump-tools so that the next panic of the host leaves a dump, on Debian 12 and 13 with GRUB
    or systemd-boot.
  - Looks at the host, plans every change, refuses or carries out, and looks again. Files, packages, units, sysctls and
    boot entries are compared each time; that a capture kernel is loaded is never taken as proof of the rest.
  - Never reboots. RV(reboot_required) says that the reservation takes effect with the next boot.
  - Changes nothing where something stands in the way (another system, kexec disabled, a masked unit, an interrupted
    dpkg, too little space, a GRUB configuration that cannot be generated); the message names each with the next step.
  - With O(state=absent) it goes back to what was before its first change, by a record that it keeps on the host
    (C(/var/lib/crashready/kdump.json)). Packages that it installed are purged where nothing else needs them; a crash
    folder with dumps stays, closed.
author:
  - The Crashready authors (@rackops)
extends_documentation_fragment:
  - rackops.crashready.attributes
options:
  state:
    description:
      - V(present) arms the host, V(absent) leaves it as it was before.
      - Without a record V(absent) removes the module's own files, gives the settings of kdump-tools the values that
        Debian ships, and leaves packages alone. A host that has nothing of this module is not touched.
    type: str
    choices: [present, absent]
    default: present
  crashkernel:
    description:
      - Memory reserved for the capture kernel, as the kernel parameter of that name takes it, for example V(256M) or
        V(512M,high) or V(2G-8G:256M,8G-:512M).
      - V(auto) takes a size from the host's memory, architecture and the NIC drivers that the capture kernel needs.
    type: str
    default: auto
  crash_folder:
    description: Where dumps go. The folder becomes 0700 and root's.
    type: path
    default: /var/crash
  dump_level:
    description:
      - Dump level of makedumpfile (C(-d)).
      - By default 31 where the installed makedumpfile is proven on the kernel, else 17.
    type: int
  keep_dumps:
    description: How many dumps kdump-tools keeps; V(0) keeps all. It removes the oldest, which is the most useful one.
    type: int
    default: 0
  capture_blocked_drivers:
    description:
      - Modules that the capture kernel must not load.
      - By default every NIC driver, unless the root filesystem, the crash folder or the dump target needs it.
    type: list
    elements: str
  capture_panic_s:
    description: Seconds after which a panic of the capture kernel reboots.
    type: int
    default: 10
  capture_deadline_s:
    description:
      - Seconds after which a capture that does not end is reset.
      - By default 30 minutes, and a minute for each 4 GiB of memory.
    type: int
  sysctls:
    description: Kernel settings that decide which faults panic. Those of the running kernel follow at once.
    type: dict
  extra_packages:
    description: More packages, for example V(crash).
    type: list
    elements: str
    default: []
  manage_boot_loader:
    description: Whether to set the kernel command line in GRUB or systemd-boot.
    type: bool
    default: true
  lock_timeout_s:
    description: How long to wait for another dpkg to end.
    type: int
    default: 120
seealso:
  - module: rackops.crashready.crash_facts
"""

EXAMPLES = r"""
- name: Host keeps its next panic after the next boot
  rackops.crashready.kdump:

- name: Host reserves 256 MiB for the capture kernel
  rackops.crashready.kdump:
    crashkernel: 256M

- name: Host is as it was before
  rackops.crashready.kdump:
    state: absent
"""

RETURN = r"""
changes:
  description: Every change, carried out or (in check mode) to be carried out.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Kind and object of the change.
      type: str
      returned: always
    why:
      description: Reason for it.
      type: str
      returned: always
    before:
      description: What was seen, or null where there was nothing.
      type: str
      returned: always
    after:
      description: What it becomes.
      type: str
      returned: always
state:
  description: The state that was asked for.
  returned: success
  type: str
kept:
  description: What stays although this module brought or changed it, with the reason.
  returned: state is absent
  type: list
  elements: str
reboot_required:
  description: Whether the host has to boot again before it can be armed, or before reserved memory is its own again.
  returned: success
  type: bool
reboot_reasons:
  description: Why.
  returned: success
  type: list
  elements: str
crashkernel:
  description: The value of crashkernel= that boot entries have.
  returned: state is present
  type: str
reservation:
  description: The sum that the suggested size comes from.
  returned: state is present
  type: str
dump_level:
  description: Dump level in use.
  returned: state is present
  type: int
dump_level_reason:
  description: Why this level.
  returned: state is present
  type: str
blocked_drivers:
  description: Modules kept out of the capture kernel.
  returned: state is present
  type: list
  elements: str
blocked_reason:
  description: Why these.
  returned: state is present
  type: str
applicable:
  description: Whether the host has a kernel of its own; false in a container.
  returned: success
  type: bool
armed:
  description: Whether a capture kernel is loaded now, read from the kernel; null where that is not applicable.
  returned: success
  type: bool
problems:
  description: What still keeps the host from keeping its next panic; empty in check mode and for state absent.
  returned: success
  type: list
  elements: dict
capture:
  description: The capture facts after the changes, as M(rackops.crashready.crash_facts) gives them.
  returned: success
  type: dict
blockers:
  description: What stood in the way; nothing was changed.
  returned: failure
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.rackops.crashready.plugins.module_utils._change.files import Stopped
from ansible_collections.rackops.crashready.plugins.module_utils._change.kdump import Blocked, converge
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import CoreError
from ansible_collections.rackops.crashready.plugins.module_utils._core.kdump import wanted_from
from ansible_collections.rackops.crashready.plugins.module_utils._host.local import LocalHost
from ansible_collections.rackops.crashready.plugins.module_utils._host.python import too_old

ARGUMENT_SPEC = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "crashkernel": {"type": "str", "default": "auto"},
    "crash_folder": {"type": "path", "default": "/var/crash"},
    "dump_level": {"type": "int"},
    "keep_dumps": {"type": "int", "default": 0},
    "capture_blocked_drivers": {"type": "list", "elements": "str"},
    "capture_panic_s": {"type": "int", "default": 10},
    "capture_deadline_s": {"type": "int"},
    "sysctls": {"type": "dict"},
    "extra_packages": {"type": "list", "elements": "str", "default": []},
    "manage_boot_loader": {"type": "bool", "default": True},
    "lock_timeout_s": {"type": "int", "default": 120},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    if too_old():
        module.fail_json(msg=too_old())
    try:
        wanted = wanted_from(module.params)
        result = converge(LocalHost(), wanted, module.check_mode, module.params["lock_timeout_s"])
    except Blocked as exc:
        module.fail_json(msg=str(exc), blockers=[blocker._asdict() for blocker in exc.blockers])
    except (CoreError, Stopped) as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(**result)


if __name__ == "__main__":
    main()

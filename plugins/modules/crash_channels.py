#!/usr/bin/python
# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors

from __future__ import annotations

DOCUMENTATION = r"""
module: crash_channels
short_description: Gives the last words of a host more ways out than its dump
version_added: 0.1.0
description:
  - Sets up pstore (in the firmware of UEFI, or in memory that was reserved for it), netconsole over a NIC that is not
    the suspect one, a serial console, and a journal that outlives the boot.
  - Says of each channel whether the next panic would leave something in it. A channel that is configured is not
    thereby armed.
  - Never boots the host. What waits for a boot is said in RV(reboot_reasons).
author:
  - The Crashready authors (@rackops)
extends_documentation_fragment:
  - rackops.crashready.attributes
options:
  state:
    description: Whether the channels of this module should be there. V(absent) takes back what it did.
    type: str
    choices: [present, absent]
    default: present
  pstore:
    description: Whether C(efi_pstore) is loaded on a UEFI host, and C(systemd-pstore) empties it after a boot.
    type: bool
    default: true
  pstore_before_kdump:
    description:
      - Whether a panic is written to pstore before the capture kernel starts (C(crash_kexec_post_notifiers)).
      - Without it pstore stands behind kdump and gets nothing while a capture kernel is loaded. With it more code of
        the dying kernel runs before the dump, so that the dump is a little less certain.
    type: bool
    default: false
  ramoops_address:
    description:
      - Physical address of memory that you reserved and that survives a reboot, such as V(0x8000000). It is never
        guessed, and refused where the kernel uses it.
    type: str
  ramoops_size:
    description: Its size in bytes.
    type: int
  ramoops_ecc:
    description: Whether records carry error correction.
    type: bool
    default: true
  netconsole_receiver:
    description: IP address that gets the kernel's messages. Without it there is no netconsole.
    type: str
  netconsole_port:
    description: UDP port of the receiver.
    type: int
    default: 6666
  netconsole_source_port:
    description: UDP port that is sent from.
    type: int
    default: 6665
  netconsole_interface:
    description: NIC to send over. By default the route decides, past those in O(netconsole_avoid).
    type: str
  netconsole_avoid:
    description: NICs whose pairing is bad or suspect. Where another one leads to the receiver that one is taken.
    type: list
    elements: str
    default: []
  netconsole_suspect:
    description: What to do where nothing but a NIC of O(netconsole_avoid) leads to the receiver.
    type: str
    choices: [warn, refuse]
    default: warn
  netconsole_extended:
    description: Whether to send in the extended format, with sequence and time, where the kernel knows it.
    type: bool
    default: true
  serial:
    description: Console for the kernel, such as V(ttyS0,115200n8). C(/dev/console) stays what it was.
    type: str
  serial_grub:
    description: Whether GRUB's own menu is on that port as well.
    type: bool
    default: false
  journal:
    description: Whether the journal is kept on disk.
    type: bool
    default: true
  journal_max:
    description: The most that it takes there.
    type: str
    default: 1G
  manage_boot_loader:
    description: Whether GRUB or systemd-boot is told the words for the kernel command line.
    type: bool
    default: true
  program:
    description: The program that keeps netconsole armed, compressed. The action plugin makes it from the collection.
    type: str
seealso:
  - module: rackops.crashready.netconsole_receiver
  - module: rackops.crashready.crash_facts
"""

EXAMPLES = r"""
- name: Last words of the host leave by pstore, by the network and into the journal
  rackops.crashready.crash_channels:
    netconsole_receiver: 192.0.2.9
    netconsole_avoid: [eth2]

- name: Channels of the host are as they were before
  rackops.crashready.crash_channels:
    state: absent
"""

RETURN = r"""
changes:
  description: What was done, or would be.
  returned: success
  type: list
  elements: dict
channels:
  description: Name, C(armed) (true, false or null) and reason of each channel, as the facts have them.
  returned: success
  type: list
  elements: dict
reboot_required:
  description: Whether something waits for a boot.
  returned: success
  type: bool
reboot_reasons:
  description: What.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.rackops.crashready.plugins.module_utils._change.channels import converge
from ansible_collections.rackops.crashready.plugins.module_utils._change.files import Stopped
from ansible_collections.rackops.crashready.plugins.module_utils._core.channels import wanted_from
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import CoreError
from ansible_collections.rackops.crashready.plugins.module_utils._core.host_program import unpack_program
from ansible_collections.rackops.crashready.plugins.module_utils._host.local import LocalHost
from ansible_collections.rackops.crashready.plugins.module_utils._host.python import too_old

ARGUMENTS = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "pstore": {"type": "bool", "default": True},
    "pstore_before_kdump": {"type": "bool", "default": False},
    "ramoops_address": {"type": "str"},
    "ramoops_size": {"type": "int"},
    "ramoops_ecc": {"type": "bool", "default": True},
    "netconsole_receiver": {"type": "str"},
    "netconsole_port": {"type": "int", "default": 6666},
    "netconsole_source_port": {"type": "int", "default": 6665},
    "netconsole_interface": {"type": "str"},
    "netconsole_avoid": {"type": "list", "elements": "str", "default": []},
    "netconsole_suspect": {"type": "str", "choices": ["warn", "refuse"], "default": "warn"},
    "netconsole_extended": {"type": "bool", "default": True},
    "serial": {"type": "str"},
    "serial_grub": {"type": "bool", "default": False},
    "journal": {"type": "bool", "default": True},
    "journal_max": {"type": "str", "default": "1G"},
    "manage_boot_loader": {"type": "bool", "default": True},
    "program": {"type": "str"},
}


def main() -> None:
    # no_log: not into the journal of the host, where the whole program would be a line.
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True, no_log=True)
    if too_old():
        module.fail_json(msg=too_old())
    try:
        wanted = wanted_from(module.params)
        program = unpack_program(module.params["program"]) if wanted.present and wanted.netconsole else b""
        result = converge(LocalHost(), wanted, program, module.check_mode)
    except (CoreError, Stopped) as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(**result)


if __name__ == "__main__":
    main()

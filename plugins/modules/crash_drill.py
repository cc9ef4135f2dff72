#!/usr/bin/python
# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors

from __future__ import annotations

DOCUMENTATION = r"""
module: crash_drill
short_description: Panics a host on purpose and proves that its dump can be opened
version_added: 0.1.0
description:
  - The steps of a crash drill, one O(action) each. The role C(rackops.crashready.crash_drill) and the playbook
    C(rackops.crashready.drill) put them in order; use those.
  - B(V(panic) crashes the host at once.) It wants O(consent) to be the name of this very host.
  - A dump counts when it was opened, is of the kernel that panicked, names this drill in its kernel log before the
    panic, is of the panic that was asked for, and is root's alone.
  - The verdict lies in C(/var/lib/crashready/proof.json) on the host, for root alone. The fact C(capture.proven)
    holds it against the kernel, the command line, the reservation and the capture settings of now; it lapses by
    itself where one of these has changed.
author:
  - The Crashready authors (@rackops)
extends_documentation_fragment:
  - rackops.crashready.attributes
attributes:
  diff_mode:
    description: There is no file whose change would be worth showing.
    support: none
options:
  action:
    description:
      - V(peer) tells whether a host is up, and changes nothing.
      - V(check) tells whether the host may go, with every reason against it, and what its capture should need.
      - V(prepare) looks again, writes down what is, and puts a recorder for the capture kernel in place.
      - V(panic) lets the host panic some seconds later. With O(kind=nmi) it arms C(kernel.unknown_nmi_panic) and the
        NMI has to come from outside.
      - V(wait) waits on the controller until the host answers in another boot.
      - V(heard) looks on the machine that receives netconsole what came through. Changes nothing.
      - V(read) opens the dump, judges and records.
      - V(clear) takes away what V(prepare) put there; the verdict stays.
      - V(shrink) gives memory of the reservation back to the running kernel, until the next boot.
      - V(conclude) makes the outcome of the steps on the controller and writes it to O(dest).
    type: str
    required: true
    choices: [peer, check, prepare, panic, wait, heard, read, clear, shrink, conclude]
  name:
    description: Name of the host in the inventory.
    type: str
  consent:
    description: The yes to a panic; has to be equal to O(name).
    type: str
  kind:
    description:
      - How the host panics. V(sysrq) is C(echo c > /proc/sysrq-trigger); V(under_load) is the same and refuses where
        the NIC carries less than 1 MiB a second.
      - V(nmi) wants an NMI from a BMC or a hypervisor. V(softirq) wants the module C(lkdtm), which Debian's kernels
        are usually built without; then it is refused.
    type: str
    choices: [sysrq, under_load, nmi, softirq]
    default: sysrq
  group:
    description: Name of the redundancy group of the host, where it has one.
    type: str
  members:
    description:
      - The other members of O(group), as a loop over O(action=peer) registered them under C(results), or as a mapping
        of names to the reason why each cannot take over (null where it can).
    type: raw
  ready:
    description: That there is a command which makes the load (V(under_load)) or the NMI (V(nmi)).
    type: bool
    default: false
  controller_boot_id:
    description: Boot id of the controller; filled in by itself.
    type: str
  interface:
    description: Network interface that has to carry the load; by default all that have a driver are counted.
    type: str
  drill_id:
    description: Id of the drill, as V(prepare) returned it.
    type: str
  boot_id_before:
    description: For V(wait), the boot in which the host was told to panic.
    type: str
  timeout_s:
    description: For V(wait), the limit in seconds.
    type: int
    default: 3600
  delay_s:
    description: For V(wait), seconds before the first look.
    type: int
    default: 15
  scratch:
    description: For V(read), a directory with room for the dump; by default the crash folder.
    type: path
  receiver_folder:
    description: For V(heard), the folder of the receiver of netconsole.
    type: path
    default: /var/log/crashready-netconsole
  receiver:
    description: For V(read), what V(heard) returned on the machine that receives netconsole.
    type: dict
  console:
    description: For V(read), what the serial console said.
    type: str
  size:
    description: For V(shrink), the size as the kernel takes it, such as V(128M).
    type: str
  steps:
    description: For V(conclude), the registered results by the name of the action, and C(console).
    type: dict
  dest:
    description: For V(conclude), the file on the controller.
    type: path
seealso:
  - module: rackops.crashready.crash_dump_info
  - module: rackops.crashready.crash_facts
"""

EXAMPLES = r"""
- name: Host may panic now
  rackops.crashready.crash_drill:
    action: check
    name: "{{ inventory_hostname }}"
    consent: store1

- name: What a drill left is read
  rackops.crashready.crash_drill:
    action: read
  register: drill

- name: Host has nothing of a drill
  rackops.crashready.crash_drill:
    action: clear
"""

RETURN = r"""
boot_id:
  description: Boot id of the host.
  returned: action is peer, check, prepare, panic or wait
  type: str
in_capture:
  description: Whether the kernel that answers is a capture kernel.
  returned: action is peer
  type: bool
under_way:
  description: That a drill is under way on this host, or null.
  returned: action is peer
  type: str
resume:
  description: Whether a drill of an earlier boot waits to be read; then no panic is made.
  returned: action is check
  type: bool
boot_id_before:
  description: The boot in which that drill began.
  returned: action is check
  type: str
limit_s:
  description: After how many seconds a host that is not back can be given up.
  returned: action is check
  type: int
notes:
  description: What the user should know besides.
  returned: action is check
  type: list
  elements: str
estimate:
  description: What the capture kernel should need, as a sum (C(parts)), and what others would reserve (C(usual)).
  returned: action is check
  type: dict
drill_id:
  description: Id of the drill.
  returned: action is check, prepare or panic
  type: str
waits_for_nmi:
  description: Whether an NMI has to come from outside now.
  returned: action is panic
  type: bool
returned:
  description: Whether the host answers in another boot; true as well where it never left the old one.
  returned: action is wait
  type: bool
after_s:
  description: After how many seconds.
  returned: action is wait
  type: float
timeline:
  description: What the host said, one entry for each change; C(at_s) counts from the beginning of the waiting.
  returned: action is wait
  type: list
  elements: dict
proven:
  description: Whether the drill proves the capture.
  returned: action is read
  type: bool
reasons:
  description: Why not, one sentence each.
  returned: action is read
  type: list
  elements: str
record:
  description: The verdict as it is kept on the host.
  returned: action is read
  type: dict
proposal:
  description: The smallest safe reservation by what was measured, as RV(estimate); null without a proof.
  returned: action is read
  type: dict
opened:
  description: What opening the dump gave, as M(rackops.crashready.crash_dump_info) returns it; null without a dump.
  returned: action is read
  type: dict
channels:
  description:
    - What each channel brought of the drill, with C(name), C(state) (C(proven), C(not proven), C(not armed) or
      C(not seen)) and C(reason). It has no say in RV(proven).
  returned: action is read
  type: list
  elements: dict
arrived:
  description: Whether the drill's id is in a file of the receiver; null where that could not be looked at.
  returned: action is heard
  type: bool
panic:
  description: Whether its panic is there too.
  returned: action is heard
  type: bool
where:
  description: In which file, or why not.
  returned: action is heard
  type: str
removed:
  description: Files that were taken away.
  returned: action is clear
  type: list
  elements: str
reserved_bytes:
  description: Size of the reservation now.
  returned: action is shrink
  type: int
before_bytes:
  description: Size of the reservation before.
  returned: action is shrink
  type: int
outcome:
  description: How the drill ended, as it is written to O(dest).
  returned: action is conclude
  type: dict
blockers:
  description: Every reason why the host may not go, with its remedy; nothing was changed.
  returned: failure
  type: list
  elements: dict
"""

import os
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.rackops.crashready.plugins.module_utils._change import drill as steps
from ansible_collections.rackops.crashready.plugins.module_utils._change.files import Stopped
from ansible_collections.rackops.crashready.plugins.module_utils._core.crashkernel import parse_crashkernel
from ansible_collections.rackops.crashready.plugins.module_utils._core.drill import Asked
from ansible_collections.rackops.crashready.plugins.module_utils._core.drilloutcome import members_from
from ansible_collections.rackops.crashready.plugins.module_utils._core.drillrecord import KINDS
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import CoreError
from ansible_collections.rackops.crashready.plugins.module_utils._host.local import LocalHost
from ansible_collections.rackops.crashready.plugins.module_utils._host.python import too_old

ACTIONS = ("peer", "check", "prepare", "panic", "wait", "heard", "read", "clear", "shrink", "conclude")
ARGUMENT_SPEC = {
    "action": {"type": "str", "required": True, "choices": list(ACTIONS)},
    "name": {"type": "str"},
    "consent": {"type": "str"},
    "kind": {"type": "str", "choices": list(KINDS), "default": "sysrq"},
    "group": {"type": "str"},
    "members": {"type": "raw"},
    "ready": {"type": "bool", "default": False},
    "controller_boot_id": {"type": "str"},
    "interface": {"type": "str"},
    "drill_id": {"type": "str"},
    "boot_id_before": {"type": "str"},
    "timeout_s": {"type": "int", "default": 3600},
    "delay_s": {"type": "int", "default": 15},
    "scratch": {"type": "path"},
    "receiver_folder": {"type": "path", "default": "/var/log/crashready-netconsole"},
    "receiver": {"type": "dict"},
    "console": {"type": "str"},
    "size": {"type": "str"},
    "steps": {"type": "dict"},
    "dest": {"type": "path"},
}
REQUIRED_IF = [
    ("action", "check", ("name",)),
    ("action", "prepare", ("name",)),
    ("action", "panic", ("name", "drill_id")),
    ("action", "heard", ("drill_id",)),
    ("action", "shrink", ("size",)),
]


def run(given, check_mode):
    """One step on this host."""
    host, now_s = LocalHost(), time.time()
    asked = Asked(
        name=given["name"] or "",
        consent=given["consent"],
        kind=given["kind"],
        group=given["group"] or None,
        members=members_from(given["members"]),
        controller_boot_id=given["controller_boot_id"],
        ready=given["ready"],
    )
    actions = {
        "peer": lambda: steps.peer(host, now_s),
        "check": lambda: steps.check(host, asked, now_s),
        "prepare": lambda: steps.prepare(host, asked, os.urandom(8), now_s, check_mode),
        "panic": lambda: steps.panic(host, given["drill_id"], asked, given["interface"], check_mode),
        "heard": lambda: steps.heard(host, given["drill_id"], given["receiver_folder"]),
        "read": lambda: steps.read(host, given["scratch"], check_mode, given["receiver"], given["console"]),
        "clear": lambda: steps.clear(host, check_mode),
        "shrink": lambda: steps.shrink(host, parse_crashkernel(given["size"]).bytes_for(0), check_mode),
    }
    if given["action"] not in actions:
        raise CoreError("action={0} is done on the controller: call it in a task".format(given["action"]))
    return actions[given["action"]]()


def main():
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, required_if=REQUIRED_IF, supports_check_mode=True)
    if too_old():
        module.fail_json(msg=too_old())
    try:
        result = run(module.params, module.check_mode)
    except steps.Refused as exc:
        module.fail_json(msg=str(exc), blockers=[blocker._asdict() for blocker in exc.blockers])
    except (CoreError, Stopped) as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(**result)


if __name__ == "__main__":
    main()

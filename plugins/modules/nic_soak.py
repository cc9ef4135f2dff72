#!/usr/bin/python
# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors

from __future__ import annotations

DOCUMENTATION = r"""
module: nic_soak
short_description: Real traffic across one NIC for a stated time, detached on the host
version_added: 0.1.0
description:
  - The steps of a soak, one O(state) each. The role C(rackops.crashready.nic_soak) and the playbook
    C(rackops.crashready.soak) put them in order on both hosts of a pair; use those.
  - B(The traffic can take the host down,) which is what it is for. V(started) wants O(consent) to be the name of this
    very host.
  - A program on the host keeps iperf3 at work, bound to the NIC, and samples the host. It runs by systemd without
    whoever started it, and stops by itself where it does damage. Its record lies in
    C(/var/lib/crashready/soaks), for root alone, and is on disk after each sample.
  - A soak ended in a panic where the host runs another boot and has a crash that was not there before. A host that
    only does not answer is lost, and no more.
author:
  - The Crashready authors (@rackops)
extends_documentation_fragment:
  - rackops.crashready.attributes
options:
  state:
    description:
      - V(paired) checks O(pairs) on the controller and makes the id of the soak.
      - V(looked) tells what became of the soak O(soak_id), of the newest without it, and with O(nic) what a peer has
        to know of this host. Changes nothing.
      - V(checked) tells whether the soak may start here, with every reason against it. Changes nothing.
      - V(started) checks again and starts it. The same O(soak_id) a second time changes nothing.
      - V(waited) looks from the controller until the soak has ended, and waits for a host that is lost to return.
      - V(stopped) ends it.
      - V(concluded) makes on the controller what is told of all pairs, from the fact C(crashready_soak) of each host.
    type: str
    required: true
    choices: [paired, looked, checked, started, waited, stopped, concluded]
  name:
    description: Name of the host in the inventory.
    type: str
  consent:
    description: The yes to this load; has to be equal to O(name).
    type: str
  soak_id:
    description: Id of the soak, the same on both hosts, such as V(s-20261123T130500-0a1b).
    type: str
  experiment:
    description: Name of the experiment that the soak belongs to.
    type: str
    default: soak
  phase:
    description: Which run of the experiment this is.
    type: str
    choices: [before, after, single]
    default: single
  side:
    description: Which end of the wire this host is.
    type: str
    choices: [server, client]
  nic:
    description: The NIC that carries the traffic.
    type: str
  address:
    description: Address of that NIC; by default the first that is in one subnet with the peer.
    type: str
  peer:
    description: Name of the other host in the inventory.
    type: str
  peer_address:
    description: Address of the peer's NIC; by default the first that is in one subnet with this host.
    type: str
  offer:
    description: What V(looked) returned as RV(offer) on the peer.
    type: dict
  profile:
    description: Kind of traffic.
    type: str
    choices: [bulk, small-packets, many-flows, bidirectional, jumbo, udp, storage]
    default: bulk
  parameters:
    description: What should be different from the profile; see the documentation of the soak for names and bounds.
    type: dict
  seconds:
    description: How long the traffic flows.
    type: int
    default: 120
  unarmed_ok:
    description: Start without a loaded capture kernel; a panic leaves nothing then.
    type: bool
    default: false
  management_ok:
    description: Start on a NIC that carries the way to this host.
    type: bool
    default: false
  management:
    description: Addresses by which Ansible comes to this host; filled in by itself.
    type: list
    elements: str
    default: []
  timeout_s:
    description: For V(waited), how long at most; by default the time of the soak and an hour.
    type: int
  return_limit_s:
    description: For V(waited), after how long a host that does not answer is given up.
    type: int
    default: 1800
  pairs:
    description: For V(paired) and V(concluded), a list of pairs with C(server) and C(client),
      each with C(host), C(nic) and, where wanted, C(address).
    type: raw
  inventory:
    description: For V(paired), the names of the hosts that there are.
    type: list
    elements: str
  waited:
    description: For V(concluded), whether the soak was waited for.
    type: bool
    default: true
  program:
    description: The program, compressed. The action plugin makes it from the collection.
    type: str
seealso:
  - module: rackops.crashready.crash_facts
  - module: rackops.crashready.crash_drill
"""

EXAMPLES = r"""
- name: What became of the newest soak is told
  rackops.crashready.nic_soak:
    state: looked

- name: Soak is over
  rackops.crashready.nic_soak:
    state: stopped
    soak_id: s-20261123T130500-0a1b
"""

RETURN = r"""
soak_id:
  description: Id of the soak, null where the host has none.
  returned: state is paired, looked or waited
  type: str
sides:
  description: For each host its side, NIC, address and peer.
  returned: state is paired
  type: dict
hosts:
  description: Names of all hosts of the pairs.
  returned: state is paired
  type: list
  elements: str
boot_id:
  description: Boot id of the host.
  returned: state is looked or waited
  type: str
in_capture:
  description: Whether the kernel that answers is a capture kernel, whose dump may not be written yet.
  returned: state is looked
  type: bool
record:
  description: The record of the soak as the host keeps it, null where it has none that can be read.
  returned: state is looked, started, waited or stopped
  type: dict
alive:
  description: Whether its program runs; null where nobody can say.
  returned: state is looked
  type: bool
pending:
  description: Whether the triage still reads the crash that ended it.
  returned: state is looked
  type: bool
outcome:
  description:
    - What became of it, with C(outcome) (C(panic), C(lost), C(stopped), C(running) or C(silent)), C(time_to_panic_s),
      C(dump), C(signature), C(path), C(last_sample_s) and C(reason).
  returned: state is looked or waited
  type: dict
offer:
  description: What a peer has to know of this host, with C(boot_id) and C(nic).
  returned: state is looked with a NIC, or checked
  type: dict
address:
  description: Address of this host for the soak.
  returned: state is checked
  type: str
peer_address:
  description: Address of the peer for the soak.
  returned: state is checked
  type: str
changes:
  description: What was done, or would be.
  returned: state is started or stopped
  type: list
  elements: dict
told:
  description: One line for each pair.
  returned: state is concluded
  type: list
  elements: str
failed_pairs:
  description: The lines of those pairs that were refused, stopped or lost.
  returned: state is concluded
  type: list
  elements: str
panics:
  description: Names of the hosts that panicked.
  returned: state is concluded
  type: list
  elements: str
blockers:
  description: Every reason why the soak may not start here, with its remedy; nothing was changed.
  returned: failure
  type: list
  elements: dict
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.rackops.crashready.plugins.module_utils._change import soakhost as steps
from ansible_collections.rackops.crashready.plugins.module_utils._change.files import Stopped
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import CoreError
from ansible_collections.rackops.crashready.plugins.module_utils._core.host_program import unpack_program
from ansible_collections.rackops.crashready.plugins.module_utils._core.routes import checked_interface
from ansible_collections.rackops.crashready.plugins.module_utils._core.soak import Asked
from ansible_collections.rackops.crashready.plugins.module_utils._core.soakprofile import check_seconds, make_profile
from ansible_collections.rackops.crashready.plugins.module_utils._core.soakrecord import record_path
from ansible_collections.rackops.crashready.plugins.module_utils._host.local import LocalHost
from ansible_collections.rackops.crashready.plugins.module_utils._host.python import too_old

STATES = ("paired", "looked", "checked", "started", "waited", "stopped", "concluded")
PROFILE_NAMES = ("bulk", "small-packets", "many-flows", "bidirectional", "jumbo", "udp", "storage")
ARGUMENT_SPEC = {
    "state": {"type": "str", "required": True, "choices": list(STATES)},
    "name": {"type": "str"},
    "consent": {"type": "str"},
    "soak_id": {"type": "str"},
    "experiment": {"type": "str", "default": "soak"},
    "phase": {"type": "str", "choices": ["before", "after", "single"], "default": "single"},
    "side": {"type": "str", "choices": ["server", "client"]},
    "nic": {"type": "str"},
    "address": {"type": "str"},
    "peer": {"type": "str"},
    "peer_address": {"type": "str"},
    "offer": {"type": "dict"},
    "profile": {"type": "str", "choices": list(PROFILE_NAMES), "default": "bulk"},
    "parameters": {"type": "dict"},
    "seconds": {"type": "int", "default": 120},
    "unarmed_ok": {"type": "bool", "default": False},
    "management_ok": {"type": "bool", "default": False},
    "management": {"type": "list", "elements": "str", "default": []},
    "timeout_s": {"type": "int"},
    "return_limit_s": {"type": "int", "default": 1800},
    "pairs": {"type": "raw"},
    "inventory": {"type": "list", "elements": "str"},
    "waited": {"type": "bool", "default": True},
    "program": {"type": "str"},
}
NEEDED = ("name", "soak_id", "side", "nic", "peer")
REQUIRED_IF = [("state", "checked", NEEDED), ("state", "started", NEEDED), ("state", "stopped", ("soak_id",))]


def asked_from(given):
    """What the user wants of this host, checked."""
    record_path(given["soak_id"])
    return Asked(
        name=given["name"],
        side=given["side"],
        nic=checked_interface(given["nic"], "nic"),
        peer=given["peer"],
        profile=make_profile(given["profile"], given["parameters"]),
        seconds=check_seconds(given["seconds"]),
        consent=given["consent"],
        address=given["address"] or None,
        peer_address=given["peer_address"] or None,
        unarmed_ok=given["unarmed_ok"],
        management_ok=given["management_ok"],
        soak_id=given["soak_id"],
        experiment=given["experiment"],
        phase=given["phase"],
        offer=given["offer"] or {},
    )


def run(given, check_mode):
    """One step on this host."""
    host, state = LocalHost(), given["state"]
    if state == "looked":
        found = steps.look_for(host, given["soak_id"])
        if given["nic"]:
            found["offer"] = steps.look_at(host, checked_interface(given["nic"], "nic"), given["management"])["offer"]
        return found
    if state == "checked":
        return steps.check(host, asked_from(given), given["management"])
    if state == "started":
        program = unpack_program(given["program"])
        return steps.start(host, asked_from(given), program, time.time(), check_mode, given["management"])
    if state == "stopped":
        return steps.stop(host, given["soak_id"], check_mode)
    raise CoreError("state={0} is done on the controller: call it in a task".format(state))


def main():
    # no_log: not into the journal of the host, where the whole program would be a line.
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, required_if=REQUIRED_IF, supports_check_mode=True, no_log=True)
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

#!/usr/bin/python
# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors

from __future__ import annotations

DOCUMENTATION = r"""
module: kernel_pin
short_description: Replaces the kernel of a Debian host as a transaction with a way back
version_added: 0.1.0
description:
  - Brings another kernel of Debian's archive beside the running one, arms one trial boot of it, judges that boot, and
    makes the kernel the default or takes it away again. One call does one step; between O(step=stage) and O(step=gate)
    somebody has to boot the host, which this module never does.
  - The running kernel is made the explicit default before the package comes, so that every boot but the trial is the
    proven kernel. A trial that panics, drops to a shell or is not confirmed in time ends in a reboot into it.
  - Looks at the host, plans every change, refuses or carries out, and looks again.
  - Changes nothing where something stands in the way (a boot loader that cannot note that the trial was taken, a
    hold, a pin of the administrator, an interrupted dpkg, too little space, a suite that the mirror does not have,
    an unsigned kernel under Secure Boot); the message names each with the next step.
author:
  - The Crashready authors (@rackops)
extends_documentation_fragment:
  - rackops.crashready.attributes
options:
  state:
    description:
      - V(present) carries out O(step).
      - V(absent) gives the choice of the kernel back to the administrator. Source, preferences, default entry and
        record go; kernels stay installed.
    type: str
    choices: [present, absent]
    default: present
  step:
    description:
      - V(stage) brings the kernel and arms its trial boot.
      - V(gate) judges the trial boot that runs.
      - V(commit) makes a kernel that passed the gate, and its updates, what the host boots.
      - V(rollback) takes back a trial that failed or is not wanted any more. Its version is blocked.
    type: str
    choices: [stage, gate, commit, rollback]
    default: stage
  package:
    description:
      - Metapackage of the kernel, of a flavour or of one kernel line and a flavour (V(linux-image-6.12-amd64)).
    type: str
    default: linux-image-amd64
  version:
    description: Version of O(package). By default the newest one in O(suite).
    type: str
  suite:
    description: Suite that the kernel comes from. By default the backports of the host's release.
    type: str
  mirror:
    description: Mirror for O(suite). By default the one that the host takes its own release from.
    type: str
  manage_source:
    description: Whether to write a source for O(suite) where apt has none.
    type: bool
    default: true
  blocked_versions:
    description: Versions of the kernel known as bad; apt never takes them.
    type: list
    elements: str
    default: []
  arm:
    description:
      - Whether O(step=stage) also chooses the trial for the next boot.
      - With V(false) the kernel is brought and everything is looked at, and the next boot stays the old kernel.
    type: bool
    default: true
  deadline_s:
    description: Seconds after the trial's start at which it ends by itself, unless the gate was passed.
    type: int
    default: 600
  panic_s:
    description: Seconds after which a panic of the trial reboots.
    type: int
    default: 30
  watchdog_s:
    description: Time limit of a hardware watchdog during the trial, where the host has one.
    type: int
    default: 180
  lock_timeout_s:
    description: How long to wait for another dpkg to end.
    type: int
    default: 120
seealso:
  - module: rackops.crashready.kdump
  - module: rackops.crashready.crash_facts
"""

EXAMPLES = r"""
- name: Next boot tries the newest kernel of backports
  rackops.crashready.kernel_pin:

- name: Next boot tries this kernel
  rackops.crashready.kernel_pin:
    package: linux-image-6.12-amd64
    version: 6.12.117-1~deb12u1
    suite: bookworm-security

- name: Trial boot is judged
  rackops.crashready.kernel_pin:
    step: gate

- name: Kernel that passed is the default
  rackops.crashready.kernel_pin:
    step: commit
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
phase:
  description:
    - Where the host stands after this call.
    - V(none), V(armed) (the next boot is the trial), V(trial) (it runs), V(passed), V(returned) (back on the old
      kernel), V(committed), V(failed) (the trial was taken away).
  returned: success
  type: str
would_arm:
  description: In check mode, whether a real run would arm a trial boot.
  returned: success
  type: bool
package:
  description: Metapackage of the transaction.
  returned: success
  type: str
version:
  description: Version of it.
  returned: success
  type: str
suite:
  description: Suite that it comes from.
  returned: success
  type: str
running_release:
  description: Release of the running kernel.
  returned: success
  type: str
old_release:
  description: The kernel to come back to.
  returned: success
  type: str
new_release:
  description: The kernel that is tried.
  returned: success
  type: str
default_release:
  description: The kernel that boots when no single boot was chosen; null where only the boot loader knows.
  returned: success
  type: str
notes:
  description: What changes with that kernel beside it (dump tools, DKMS, updates, watchdog), each with what to do.
  returned: success
  type: list
  elements: dict
hang_protected:
  description: Whether a hardware watchdog ends a hard hang of the trial.
  returned: success
  type: bool
reboot_required:
  description: Whether the transaction waits for a boot.
  returned: success
  type: bool
gate:
  description: C(passed), C(findings) and C(says) (the errors in one line) of the gate; null in other steps.
  returned: success
  type: dict
evidence:
  description: What was found of a trial that came back.
  returned: success
  type: list
  elements: str
needed:
  description: Whether the pin is still needed; false where the release itself has caught up, null without a pin.
  returned: success
  type: bool
needed_reason:
  description: The versions that say so.
  returned: success
  type: str
blockers:
  description: What stood in the way; nothing was changed.
  returned: failure
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.rackops.crashready.plugins.module_utils._change.files import Stopped
from ansible_collections.rackops.crashready.plugins.module_utils._change.kdump import Blocked
from ansible_collections.rackops.crashready.plugins.module_utils._change.kernel_pin import converge
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import CoreError
from ansible_collections.rackops.crashready.plugins.module_utils._core.kernel_pin import wanted_from
from ansible_collections.rackops.crashready.plugins.module_utils._host.local import LocalHost
from ansible_collections.rackops.crashready.plugins.module_utils._host.python import too_old

ARGUMENT_SPEC = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "step": {"type": "str", "choices": ["stage", "gate", "commit", "rollback"], "default": "stage"},
    "package": {"type": "str", "default": "linux-image-amd64"},
    "version": {"type": "str"},
    "suite": {"type": "str"},
    "mirror": {"type": "str"},
    "manage_source": {"type": "bool", "default": True},
    "arm": {"type": "bool", "default": True},
    "blocked_versions": {"type": "list", "elements": "str", "default": []},
    "deadline_s": {"type": "int", "default": 600},
    "panic_s": {"type": "int", "default": 30},
    "watchdog_s": {"type": "int", "default": 180},
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

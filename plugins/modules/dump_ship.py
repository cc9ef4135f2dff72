#!/usr/bin/python
# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors

from __future__ import annotations

DOCUMENTATION = r"""
module: dump_ship
short_description: Copies dumps elsewhere after the boot that followed, and encrypts them where that is wanted
version_added: 0.1.0
description:
  - Installs a small program with a systemd service, a timer and a path unit. It copies dumps over SSH or NFS, or into a
    folder of another filesystem that is mounted.
  - A file has its final name there only after its SHA-256 was computed there. What fails is tried again, later each
    time. Nothing is sent over a NIC of O(avoid) where another one leads there.
  - Where a host has no disk, O(direct) has kdump-tools itself send the dump, after a write to the target has come back.
author:
  - The Crashready authors (@rackops)
extends_documentation_fragment:
  - rackops.crashready.attributes
options:
  state:
    description: Whether copies should be made. With V(absent) those that were made stay.
    type: str
    choices: [present, absent]
    default: present
  name:
    description: Folder of this host at the far end.
    type: str
  crash_folder:
    description: The crash folder of kdump-tools.
    type: path
    default: /var/crash
  to:
    description: How copies go. V(none) encrypts in place at most.
    type: str
    choices: [none, ssh, nfs, folder]
    default: none
  host:
    description: For V(ssh), the far end.
    type: str
  user:
    description: For V(ssh), who to be there. It needs a POSIX shell and C(sha256sum).
    type: str
    default: crash
  port:
    description: For V(ssh), the port.
    type: int
    default: 22
  folder:
    description: Folder at the far end. For V(folder), the path of the mount itself.
    type: str
    default: crashes
  export:
    description:
      - For V(nfs), such as V(nas:/crashes). It is mounted while it is copied to.
      - For V(folder), what has to be mounted there; another mount gets nothing.
    type: str
  nfs_options:
    description: For V(nfs), more options of mount.
    type: str
    default: ""
  known_hosts:
    description: For V(ssh), the host key of the far end as C(ssh-keyscan) prints it. Without it nothing is sent.
    type: str
  key_file:
    description: For V(ssh), a private key on the host. Without it one is made; RV(public_key) is to be allowed there.
    type: path
  rate_bytes_s:
    description: The most that is sent in a second; 0 for as fast as it goes.
    type: int
    default: 0
  encrypt:
    description: Encrypt dumps on the host, for recipients whose private key is not there.
    type: str
    choices: ["", age, gpg]
    default: ""
  recipients:
    description: Public keys. Of age one a line, of gpg one armoured key.
    type: str
  keep_plain:
    description: Whether the dump that was encrypted stays beside it. The kernel log always stays.
    type: bool
    default: true
  avoid:
    description: NICs whose pairing is bad or suspect.
    type: list
    elements: str
    default: []
  suspect:
    description: What to do where nothing but a NIC of O(avoid) leads there.
    type: str
    choices: [warn, refuse]
    default: warn
  retry_s:
    description: After how long a copy that failed is tried again; twice as long each time.
    type: int
    default: 300
  retry_most_s:
    description: The longest such wait.
    type: int
    default: 21600
  direct:
    description: Have the capture kernel send the dump itself, for hosts without a disk. Nothing is kept on the host.
    type: str
    choices: ["", ssh, nfs]
    default: ""
  direct_target:
    description: C(user@host) or C(host:/path).
    type: str
  direct_key:
    description: For O(direct=ssh), the private key on the host.
    type: path
    default: /root/.ssh/kdump_id_rsa
  program:
    description: The program, compressed. The action plugin makes it from the collection.
    type: str
seealso:
  - module: rackops.crashready.kdump
"""

EXAMPLES = r"""
- name: Dumps are copied to the crash server after the boot
  rackops.crashready.dump_ship:
    name: store1
    to: ssh
    host: crashes.example.org
    known_hosts: crashes.example.org ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE...

- name: No copies are made any more
  rackops.crashready.dump_ship:
    state: absent
"""

RETURN = r"""
changes:
  description: What was done, or would be. No key is in it.
  returned: success
  type: list
  elements: dict
public_key:
  description: The key that the far end has to allow, or null.
  returned: success
  type: str
direct:
  description: C(armed) (null where it is not wanted), C(reason) and C(notes) of direct dumps.
  returned: success
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.rackops.crashready.plugins.module_utils._change.dumpship import converge_all
from ansible_collections.rackops.crashready.plugins.module_utils._change.files import Stopped
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import CoreError
from ansible_collections.rackops.crashready.plugins.module_utils._core.host_program import unpack_program
from ansible_collections.rackops.crashready.plugins.module_utils._host.local import LocalHost
from ansible_collections.rackops.crashready.plugins.module_utils._host.python import too_old

ARGUMENTS = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "name": {"type": "str"},
    "crash_folder": {"type": "path", "default": "/var/crash"},
    "to": {"type": "str", "choices": ["none", "ssh", "nfs", "folder"], "default": "none"},
    "host": {"type": "str"},
    "user": {"type": "str", "default": "crash"},
    "port": {"type": "int", "default": 22},
    "folder": {"type": "str", "default": "crashes"},
    "export": {"type": "str"},
    "nfs_options": {"type": "str", "default": ""},
    "known_hosts": {"type": "str", "no_log": False},
    "key_file": {"type": "path", "no_log": False},
    "rate_bytes_s": {"type": "int", "default": 0},
    "encrypt": {"type": "str", "choices": ["", "age", "gpg"], "default": ""},
    "recipients": {"type": "str"},
    "keep_plain": {"type": "bool", "default": True},
    "avoid": {"type": "list", "elements": "str", "default": []},
    "suspect": {"type": "str", "choices": ["warn", "refuse"], "default": "warn"},
    "retry_s": {"type": "int", "default": 300},
    "retry_most_s": {"type": "int", "default": 21600},
    "direct": {"type": "str", "choices": ["", "ssh", "nfs"], "default": ""},
    "direct_target": {"type": "str"},
    "direct_key": {"type": "path", "default": "/root/.ssh/kdump_id_rsa", "no_log": False},
    "program": {"type": "str"},
}
REQUIRED_IF = [
    ("state", "present", ("name",)),
    ("to", "ssh", ("host", "known_hosts")),
    ("to", "nfs", ("export",)),
    ("direct", "ssh", ("direct_target",)),
    ("direct", "nfs", ("direct_target",)),
]


def main() -> None:
    # no_log: not into the journal of the host, where the whole program would be a line.
    module = AnsibleModule(argument_spec=ARGUMENTS, required_if=REQUIRED_IF, supports_check_mode=True, no_log=True)
    if too_old():
        module.fail_json(msg=too_old())
    try:
        program = unpack_program(module.params["program"]) if module.params["state"] == "present" else b""
        result = converge_all(LocalHost(), module.params, program, module.check_mode)
    except (CoreError, Stopped) as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(**result)


if __name__ == "__main__":
    main()

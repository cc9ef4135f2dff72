#!/usr/bin/python
# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors

from __future__ import annotations

DOCUMENTATION = r"""
module: crash_triage
short_description: Reads the crashes that lie on a host and leaves a record of each
version_added: 0.1.0
description:
  - Reads the kernel logs that kdump-tools and pstore kept, and where a crash has a dump and no log, the log out of the
    dump. Names what died, where, which driver owns it, and gives it a signature by which the same crash is found again.
  - Leaves each record as a file below O(records), where M(rackops.crashready.crash_facts) finds it.
  - Needs no debug symbols and fetches nothing. The command C(crashready triage) on the controller goes deeper.
  - With O(thin_out) the dumps of a crash that came again and again are removed, save the first and the last.
author:
  - The Crashready authors (@rackops)
extends_documentation_fragment:
  - rackops.crashready.attributes
options:
  folder:
    description: The crash folder of kdump-tools. The folders of systemd-pstore and pstore are looked into as well.
    type: path
    default: /var/crash
  path:
    description: A kernel log, a dump or a folder of either, to be read instead.
    type: path
  which:
    description:
      - V(unread) are the crashes without a record, V(newest) is the last one, V(all) are all of them.
    type: str
    choices: [unread, newest, all]
    default: unread
  records:
    description: Where the records lie. The folder is made, 0700 and root's.
    type: path
    default: /var/lib/crashready/crashes
  keep_record:
    description: Whether to write the records, not only to return them.
    type: bool
    default: true
  thin_out:
    description:
      - Whether to remove crash folders between the first and the last of the same exact signature.
      - Their records stay. A crash without a signature is never removed.
    type: bool
    default: false
  tables:
    description:
      - What the triage knows of drivers. The action plugin reads it from C(data/triage) of the collection.
    type: dict
seealso:
  - module: rackops.crashready.crash_facts
  - module: rackops.crashready.crash_dump_info
"""

EXAMPLES = r"""
- name: Crashes of the host are read
  rackops.crashready.crash_triage:
  register: triage

- name: The last crash is known, and nothing is written
  rackops.crashready.crash_triage:
    which: newest
    keep_record: false

- name: A crash loop leaves its first and its last dump
  rackops.crashready.crash_triage:
    thin_out: true
"""

RETURN = r"""
records:
  description: The records of this run, as C(crashready triage --json) gives them before it asks the rack.
  returned: success
  type: list
  elements: dict
  contains:
    kind:
      description: What happened, such as V(null_deref) or V(soft_lockup); V(unknown) where there is no crash in it.
      returned: success
      type: str
    path:
      description: V(nic_rx), V(nic_tx), V(nic_other) or V(none); null where the log does not tell.
      returned: success
      type: str
    driver:
      description: The NIC driver that owns the fault.
      returned: success
      type: str
    signature:
      description: C(exact) and C(similar), by which the same crash is found again.
      returned: success
      type: dict
    path_of_crash:
      description: The folder or file that was read.
      returned: success
      type: str
files:
  description:
    - Files of the crashes of this run, each with C(path), C(size_bytes) and C(kind) (V(record), V(dmesg) or V(dump)).
  returned: success
  type: list
  elements: dict
known:
  description: How many crashes had a record before.
  returned: success
  type: int
removed:
  description: Crash folders that were removed, or would be.
  returned: success
  type: list
  elements: str
changes:
  description: What was done, or would be.
  returned: success
  type: list
  elements: dict
unread:
  description: What could not be seen, with the reason.
  returned: success
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.rackops.crashready.plugins.module_utils._change.crashtriage import WHICH, Wanted, triage_host
from ansible_collections.rackops.crashready.plugins.module_utils._change.files import Stopped
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import CoreError
from ansible_collections.rackops.crashready.plugins.module_utils._core.oops import tables_from
from ansible_collections.rackops.crashready.plugins.module_utils._host.crashrecords import FOLDER
from ansible_collections.rackops.crashready.plugins.module_utils._host.local import LocalHost
from ansible_collections.rackops.crashready.plugins.module_utils._host.python import too_old

ARGUMENTS = {
    "folder": {"type": "path", "default": "/var/crash"},
    "path": {"type": "path"},
    "which": {"type": "str", "choices": list(WHICH), "default": "unread"},
    "records": {"type": "path", "default": FOLDER},
    "keep_record": {"type": "bool", "default": True},
    "thin_out": {"type": "bool", "default": False},
    "tables": {"type": "dict"},
}


def main() -> None:
    # no_log: not into the journal of the host, where all the tables would be a line.
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True, no_log=True)
    if too_old():
        module.fail_json(msg=too_old())
    given = dict(module.params)
    tables = given.pop("tables")
    for name in ("folder", "path", "records"):
        if given[name] is not None and not given[name].startswith("/"):
            module.fail_json(msg="{0}: {1!r} is not an absolute path".format(name, given[name]))
    if tables is None:
        module.fail_json(msg="tables: the action plugin of this module gives them; call it by its full name")
    try:
        result = triage_host(LocalHost(), Wanted(**given), tables_from(tables), module.check_mode)
    except (CoreError, Stopped) as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(**result)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors

from __future__ import annotations

DOCUMENTATION = r"""
module: crash_dump_info
short_description: Opens a kernel crash dump and tells whether it is the panic that it should be
version_added: 0.1.0
description:
  - Opens one dump of the host. Reads its head and its end, puts a flattened one together with C(makedumpfile -R),
    gets the kernel log out of it with C(makedumpfile --dump-dmesg), and finds the panic in that.
  - Compares the dump with what it should be (O(expect)); a dump counts only when all of that holds.
  - A dump that cannot be opened, or is another one, is a result and not a failure; see RV(opened) and RV(problems).
    The module fails only where it is used wrongly.
  - Needs C(makedumpfile) on the host, for a compressed dump its decompressor too, and to be root.
  - Writes to a private directory below O(scratch) alone, which it removes again; that is so in check mode as well.
    It needs room there for the dump and 128 MiB, and looks before it begins.
author:
  - The Crashready authors (@rackops)
extends_documentation_fragment:
  - rackops.crashready.attributes
attributes:
  check_mode:
    description: Can run in check mode; it changes nothing either way.
    support: full
  diff_mode:
    description: There is no change to show.
    support: none
options:
  path:
    description:
      - A dump file, or a crash directory as kdump-tools makes it, such as V(/var/crash/202611231305).
      - Exactly one of O(path) and O(newest) is needed.
      - The dump of another machine is a problem in a crash directory; a file given by name may be of any machine.
    type: path
  newest:
    description: Take the newest crash directory of O(folder).
    type: bool
  folder:
    description: The crash folder (C(KDUMP_COREDIR) of kdump-tools).
    type: path
    default: /var/crash
  scratch:
    description:
      - Directory with room for the dump.
      - By default O(folder), or V(/var/tmp) where there is no such folder.
    type: path
  expect:
    description: What the dump should be. Something that is expected and cannot be read is a problem too.
    type: dict
    suboptions:
      build_id:
        description: Build id of the kernel in hex digits, or V(running) for that of the kernel now running.
        type: str
      release:
        description: Release of the kernel, as C(uname -r) says it.
        type: str
      marker:
        description: A word or text that stands in the kernel log before the panic, such as the id of a drill.
        type: str
      newer_than:
        description: The panic happened at this time or later, in seconds since the epoch by the clock of the host.
        type: float
seealso:
  - module: rackops.crashready.crash_facts
"""

EXAMPLES = r"""
- name: Newest dump is opened
  rackops.crashready.crash_dump_info:
    newest: true
  register: crash_dump

- name: Drill has left its own dump, of the kernel now running
  rackops.crashready.crash_dump_info:
    newest: true
    expect:
      build_id: running
      marker: drill-7f3a
      newer_than: 1795439100
  register: drill_dump
  failed_when: not drill_dump.opened

- name: One dump is opened where there is more room
  rackops.crashready.crash_dump_info:
    path: /var/crash/202611231305
    scratch: /srv/scratch
"""

RETURN = r"""
opened:
  description: Whether the dump could be opened and is what was expected.
  returned: success
  type: bool
  sample: true
problems:
  description: Why RV(opened) is false, one sentence each; empty where it is true.
  returned: success
  type: list
  elements: str
  sample: ["truncated: it ends at byte 8192 without the end flag"]
file:
  description: The dump file; the O(path) given, or null, where none was found.
  returned: success
  type: str
  sample: /var/crash/202611231305/dump.202611231305
dump:
  description: What the head and the end of the dump say; null where they could not be read.
  returned: success
  type: dict
  contains:
    format:
      description: V(kdump), V(elf), V(lkcd), V(compressed), V(empty) or V(unknown).
      returned: success
      type: str
    flattened:
      description: Whether it is in makedumpfile's flattened format.
      returned: success
      type: bool
    compression:
      description: How the whole file is compressed, or null.
      returned: success
      type: str
    complete:
      description: Whether all of it is there; null where that is not known.
      returned: success
      type: bool
    complete_reason:
      description: Why RV(dump.complete) is not true.
      returned: success
      type: str
    size_bytes:
      description: Size of the file that was read, decompressed.
      returned: success
      type: int
    reassembled_bytes:
      description: Size of a flattened dump when put together.
      returned: success
      type: int
    utsname:
      description: C(uname) of the kernel that crashed, with its host name; null for an ELF core.
      returned: success
      type: dict
    release:
      description: Release of the kernel.
      returned: success
      type: str
    build_id:
      description: Build id of the kernel, in hex digits.
      returned: success
      type: str
    crash_time:
      description: When it crashed, in seconds since the epoch.
      returned: success
      type: int
    dump_level:
      description: Which pages makedumpfile left out.
      returned: success
      type: int
    unread:
      description: What could not be read, with the reason.
      returned: success
      type: dict
dmesg:
  description: What the kernel log in the dump says; null where it could not be had.
  returned: success
  type: dict
  contains:
    panic:
      description: The message of the panic.
      returned: success
      type: str
      sample: "Kernel panic - not syncing: sysrq triggered crash"
    causes:
      description: The messages that tell a fault, the first one first.
      returned: success
      type: list
      elements: str
    sysrq:
      description: Whether the panic was asked for by sysrq.
      returned: success
      type: bool
    version:
      description: The C(Linux version) line, where the log still holds it.
      returned: success
      type: str
    markers:
      description: Whether the marker that was asked for stands in the log before the panic.
      returned: success
      type: dict
    size_bytes:
      description: Size of the kernel log.
      returned: success
      type: int
tool:
  description: The C(version) of makedumpfile, and the C(warnings) that it printed about this dump.
  returned: success
  type: dict
scratch_bytes:
  description: How much was written below O(scratch) and removed again.
  returned: success
  type: int
crash:
  description: The crash directory as RV(rackops.crashready.crash_facts#module:ansible_facts.crashready.crashes) has it;
    null where O(path) is a file.
  returned: success
  type: dict
unread:
  description: What could not be seen, with the reason.
  returned: success
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.rackops.crashready.plugins.module_utils._change.opendump import prove_dump
from ansible_collections.rackops.crashready.plugins.module_utils._core.dumpcheck import expectation_from
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import ParseError
from ansible_collections.rackops.crashready.plugins.module_utils._host.crashes import running_build_id
from ansible_collections.rackops.crashready.plugins.module_utils._host.local import LocalHost
from ansible_collections.rackops.crashready.plugins.module_utils._host.python import too_old

ARGUMENTS = {
    "path": {"type": "path"},
    "newest": {"type": "bool"},
    "folder": {"type": "path", "default": "/var/crash"},
    "scratch": {"type": "path"},
    "expect": {
        "type": "dict",
        "options": {
            "build_id": {"type": "str"},
            "release": {"type": "str"},
            "marker": {"type": "str"},
            "newer_than": {"type": "float"},
        },
    },
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    if too_old():
        module.fail_json(msg=too_old())
    given = module.params
    if bool(given["newest"]) == bool(given["path"]):
        module.fail_json(msg="give either path or newest: true, and not both")
    for name in ("path", "folder", "scratch"):
        if given[name] is not None and not given[name].startswith("/"):
            module.fail_json(msg="{0}: {1!r} is not an absolute path".format(name, given[name]))
    host = LocalHost()
    build_id = running_build_id(host)
    try:
        expected = expectation_from(given["expect"], build_id)
    except ParseError as exc:
        module.fail_json(msg=str(exc))
    result = prove_dump(host, given["path"], given["folder"], given["scratch"], expected, build_id)
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()

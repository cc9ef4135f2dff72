# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What a host looked like, as `_host.capture` and `_host.kernel` see it: a starting point for tables of tests."""

from __future__ import annotations

import copy
import typing as t

from ansible_collections.rackops.crashready.plugins.module_utils._core import kdump
from ansible_collections.rackops.crashready.plugins.module_utils._core.makedumpfile import reads

GIB = 1024**3
RELEASE = "6.12.95+deb13-amd64"

KERNEL: dict[str, t.Any] = {
    "release": RELEASE,
    "next_boot": {"release": RELEASE, "index": 0},
    "installed": [{"release": RELEASE, "package": "linux-image", "vmlinuz": True, "initrd": True}],
    "lockdown": "none",
    "secure_boot": False,
}

FRESH: dict[str, t.Any] = {
    "applicable": True,
    "applicable_reason": None,
    "armed": False,
    "reserved_bytes": 0,
    "suggested_bytes": 256 * 1024 * 1024,
    "memory_bytes": 2 * GIB,
    "page_size": 4096,
    "running_release": RELEASE,
    "secure_boot": False,
    "lockdown": "none",
    "cmdline": {"text": "BOOT_IMAGE=/boot/vmlinuz root=UUID=0 ro quiet", "crashkernel": []},
    "config": {},
    "files": {},
    "vendor_cmdline": None,
    "folder": None,
    "packages": {
        "kdump-tools": None,
        "makedumpfile": None,
        "kexec-tools": None,
        "initramfs-tools-core": "0.148",
        "crash": None,
    },
    "makedumpfile_to_come": "1.7.6",
    "debconf": {},
    "unit": {"name": "kdump-tools.service", "enabled": False, "masked": None},
    "sysctl": {
        "kernel.kexec_load_disabled": "0",
        "kernel.panic_on_oops": "0",
        "kernel.panic": "0",
        "kernel.hardlockup_panic": "0",
    },
    "kexec_disabled_by": None,
    "xen": False,
    "mkinitramfs": True,
    "conffile_changed": None,
    "initrds": {
        RELEASE: {
            "path": "/var/lib/kdump/initrd.img-" + RELEASE,
            "present": False,
            "kept": False,
            "bytes": None,
            "mtime": None,
        }
    },
    "nic_modules": ["e1000e", "ixgbe"],
    "storage": {"network": False, "reason": "local", "targets": [], "interfaces": [], "nic_modules": []},
    "boot": {
        "loader": "grub",
        "entries": [{"title": "Debian", "release": RELEASE, "crashkernel": [], "generated": True, "is_next": True}],
    },
    "loaded": None,
    "space": {
        "path": "/var/crash",
        "total_bytes": 9 * GIB,
        "free_bytes": 8 * GIB,
        "needed_bytes": 2 * GIB,
        "minimum_bytes": GIB // 8,
        "reason": "x",
    },
    "reading": reads("1.7.6", RELEASE),
    "unread": {},
}


def fresh(**changed: t.Any) -> dict[str, t.Any]:
    """A host without kdump; keys replaced as told."""
    return {**copy.deepcopy(FRESH), **changed}


def armed(wanted: kdump.Wanted | None = None, **changed: t.Any) -> dict[str, t.Any]:
    """The same host as the role leaves it: every change of its own plan carried out."""
    wanted = wanted or kdump.Wanted()
    seen = fresh()
    for _round in range(3):
        desired = kdump.desired_state(wanted, seen, KERNEL)
        for change in kdump.plan(wanted, desired, seen, KERNEL):
            _carry_out(seen, change)
        seen["cmdline"]["crashkernel"] = [desired.crashkernel]
        seen["reserved_bytes"] = seen["suggested_bytes"]
    seen["config"] = dict(desired.config)
    seen["loaded"] = {
        "cmdline": "root=UUID=0 ro quiet " + desired.append,
        "initrd": "/var/lib/kdump/initrd.img",
        "release": RELEASE,
        "older_than_initrd": False,
        "older_than_config": False,
    }
    return {**seen, **changed}


def _carry_out(seen: dict[str, t.Any], change: t.Any) -> None:
    if change.kind == "package":
        seen["packages"][change.target] = {"makedumpfile": "1:1.7.6-1"}.get(change.target, "1")
        seen["unit"]["enabled"] = True
    elif change.kind == "debconf":
        seen["debconf"][change.target] = change.after
    elif change.kind == "file":
        seen["files"][change.target] = {"text": change.data["text"], "mode": 0o644, "uid": 0, "sha256": "", "mtime": 0}
    elif change.kind == "directory":
        seen["folder"] = {"path": change.target, "mode": 0o700, "uid": 0, "kind": "directory", "strangers": []}
    elif change.kind == "sysctl":
        seen["sysctl"][change.target] = change.data["value"]
    elif change.kind == "boot_loader":
        for entry in seen["boot"]["entries"]:
            entry["crashkernel"] = [change.after.partition("=")[2]]
    elif change.kind == "capture_initrd":
        seen["initrds"][change.data["release"]] = {"present": True, "kept": True, "bytes": 1, "mtime": 1, "path": ""}
    elif change.kind == "load":
        seen["armed"] = True
    else:
        assert change.kind == "unit", change

# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""A Debian 13 host as `_host.kernel_pin` sees it, in each phase of a kernel transaction: a start for tables."""

from __future__ import annotations

import copy
import typing as t

from ansible_collections.rackops.crashready.plugins.module_utils._core import kernel_pin
from ansible_collections.rackops.crashready.plugins.module_utils._core import kernel_pin_files as files
from ansible_collections.rackops.crashready.plugins.module_utils._core.aptsources import Source
from ansible_collections.rackops.crashready.plugins.module_utils._core.kernel_pin_state import State

OLD, NEW = "6.12.117+deb13-amd64", "7.3.4+deb13-amd64"
VERSION = "7.3.4-1~bpo13+1"
BOOT, OTHER_BOOT = "11111111-2222-4333-8444-555555555555", "99999999-2222-4333-8444-555555555555"
TEMPLATE = "gnulinux-advanced-X>gnulinux-{release}-advanced-X"
MIB = 1024 * 1024

WANTED = kernel_pin.Wanted(suite="trixie-backports", version=VERSION)

OFFER: dict[str, t.Any] = {
    "package": "linux-image-amd64",
    "version": VERSION,
    "suite": "trixie-backports",
    "release": NEW,
    "image": "linux-image-" + NEW,
    "packages": {"linux-image-" + NEW: VERSION, "linux-modules-" + NEW: VERSION},
    "headers_package": "linux-headers-amd64",
    "pins": ["linux-base"],
    "signed": True,
    "download_bytes": 120 * MIB,
    "installed_bytes": 120 * MIB,
}


def kernel(release: str, version: str) -> dict[str, t.Any]:
    return {
        "release": release,
        "package": "linux-image-" + release,
        "package_version": version,
        "vmlinuz": True,
        "initrd": True,
    }


def entry(release: str, **changed: t.Any) -> dict[str, t.Any]:
    return {
        "title": release,
        "id": "gnulinux-{0}-advanced-X".format(release),
        "release": release,
        "cmdline": "root=UUID=0 ro quiet",
        "generated": True,
        **changed,
    }


FRESH: dict[str, t.Any] = {
    "os": {"id": "debian", "version_id": "13", "codename": "trixie", "name": "Debian GNU/Linux 13 (trixie)"},
    "euid": 0,
    "applicable": True,
    "applicable_reason": None,
    "xen": False,
    "mkinitramfs": True,
    "kernel": {
        "release": OLD,
        "package": "linux-image-" + OLD,
        "package_version": "6.12.117-1",
        "stream": "stable",
        "stream_reason": "the release's own",
        "secure_boot": False,
        "installed": [kernel(OLD, "6.12.117-1")],
    },
    "boot_id": BOOT,
    "state": None,
    "state_unread": None,
    "packages": {"linux-image-amd64": "6.12.117-1", "linux-image-" + OLD: "6.12.117-1", "linux-base": "4.12.1"},
    "holds": [],
    "files": {},
    "sources": [Source("http://x/debian", "trixie", ("main", "non-free-firmware"), None, "debian.sources")],
    "pins": [],
    "tools": {"makedumpfile": "1:1.7.6-1", "crash": None},
    "watchdog": {"hardware": True, "identity": "i6300ESB timer"},
    "guard_report": None,
    "dpkg_interrupted": None,
    "free_bytes": {"/boot": 500 * MIB, "/var": 5000 * MIB, "/etc": 500 * MIB, "/usr": 5000 * MIB},
    "kernel_bytes": {"image": 13 * MIB, "initrd": 60 * MIB},
    "grub_dry_run": {"rc": 0, "entries": 3, "said": ""},
    "gate": None,
    "boot": {
        "loader": "grub",
        "entries": [entry(OLD)],
        "unread": None,
        "trial": None,
        "default_release": OLD,
        "default_pattern": None,
        "template": TEMPLATE,
        "template_reason": "",
        "entry_of": {},
    },
    "one_shot": {"able": True, "reason": "GRUB writes its environment block on ext2", "set": None},
    "offer": OFFER,
    "offer_unread": None,
    "stable_version": "6.12.117-1",
    "firmware_offers": {},
    "dkms": {"modules": [], "missing": []},
    "drivers_missing": [],
    "firmware_losses": [],
    "firmware_unread": "it is not unpacked yet",
}


def fresh(**changed: t.Any) -> dict[str, t.Any]:
    """A host that no transaction has touched; a value that is a dict changes keys of the one that is there."""
    seen = copy.deepcopy(FRESH)
    for key, value in changed.items():
        if isinstance(value, dict) and isinstance(seen.get(key), dict):
            seen[key].update(value)
        else:
            seen[key] = value
    return seen


def carry_out(seen: dict[str, t.Any], changes: t.Iterable[t.Any], wanted: kernel_pin.Wanted = WANTED) -> None:
    """What `_change.kernel_pin` makes of a host, as far as a plan can see it."""
    for change in changes:
        _CARRY[change.kind](seen, change, wanted)


def _file(seen: dict[str, t.Any], change: t.Any, wanted: t.Any) -> None:
    seen["files"][change.target] = {"text": change.data["text"], "mode": change.data["mode"], "uid": 0}


def _remove_file(seen: dict[str, t.Any], change: t.Any, wanted: t.Any) -> None:
    seen["files"][change.target] = None


def _package(seen: dict[str, t.Any], change: t.Any, wanted: t.Any) -> None:
    seen["packages"][change.target] = change.data["version"]
    if change.target == "linux-image-" + NEW:
        seen["kernel"]["installed"].insert(0, kernel(NEW, VERSION))
        seen["boot"]["entries"].insert(0, entry(NEW))
        seen["firmware_unread"] = None


def _purge(seen: dict[str, t.Any], change: t.Any, wanted: t.Any) -> None:
    for name in change.data["packages"]:
        del seen["packages"][name]
    seen["kernel"]["installed"] = [k for k in seen["kernel"]["installed"] if k["release"] != NEW]


def _boot_default(seen: dict[str, t.Any], change: t.Any, wanted: t.Any) -> None:
    if change.target == "systemd-boot":
        seen["boot"]["default_pattern"] = change.data["pattern"]
        return
    newest = seen["kernel"]["installed"][0]["release"]
    seen["boot"]["default_release"] = change.data["release"] or newest


def _boot_entry(seen: dict[str, t.Any], change: t.Any, wanted: t.Any) -> None:
    words = change.data.get("words")
    trial = words and entry(NEW, id=files.TRIAL_ID, cmdline="root=UUID=0 ro quiet " + words, generated=False)
    seen["boot"]["trial"] = trial or None


def _one_shot(seen: dict[str, t.Any], change: t.Any, wanted: t.Any) -> None:
    seen["one_shot"]["set"] = change.data["entry"]


def _state(seen: dict[str, t.Any], change: t.Any, wanted: kernel_pin.Wanted) -> None:
    stage, state = change.data["stage"], seen["state"]
    if stage in ("staged", "armed"):
        installed = state.installed if state else tuple(OFFER["packages"])
        prior = state.prior_default if state else seen["boot"]["default_pattern"]
        state = State(
            stage, wanted.package, VERSION, wanted.suite, OLD, NEW, seen["boot_id"], installed, prior, {"nics": None}
        )
    seen["state"] = state._replace(stage=stage, boot_id=seen["boot_id"])


def _forget(seen: dict[str, t.Any], change: t.Any, wanted: t.Any) -> None:
    seen["state"] = None


_CARRY: t.Mapping[str, t.Callable[[dict[str, t.Any], t.Any, kernel_pin.Wanted], None]] = {
    "file": _file,
    "remove_file": _remove_file,
    "package": _package,
    "purge": _purge,
    "boot_default": _boot_default,
    "boot_entry": _boot_entry,
    "loader_entry": _boot_entry,
    "one_shot": _one_shot,
    "state": _state,
    "forget": _forget,
}


def run(seen: dict[str, t.Any], wanted: kernel_pin.Wanted = WANTED) -> list[str]:
    """Plan a step and carry it out; the names of what was done. A second plan finds nothing."""
    changes = kernel_pin.plan(wanted, seen)
    carry_out(seen, changes, wanted)
    left = [change.name for change in kernel_pin.plan(wanted, seen)]
    assert left == [], left
    return [change.name for change in changes]


def booted(seen: dict[str, t.Any], release: str) -> dict[str, t.Any]:
    """The same host after a boot: the loader has taken the choice for one boot."""
    seen = copy.deepcopy(seen)
    seen["boot_id"] = OTHER_BOOT if seen["boot_id"] == BOOT else BOOT
    seen["one_shot"]["set"] = None
    seen["kernel"].update(release=release, package="linux-image-" + release)
    seen["kernel"]["package_version"] = VERSION if release == NEW else "6.12.117-1"
    return seen

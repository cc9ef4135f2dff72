# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What is seen of the channels of a host: pstore, netconsole, serial console, journal."""

from __future__ import annotations

import json
import re
import typing as t

from .._core import channels, netconsole
from .._core.text import clean
from . import routes
from .base import Host, Unreadable, look

__all__ = ["see_channels", "targets"]

Seen = dict[str, t.Any]

_BACKEND = "/sys/module/pstore/parameters/backend"
_NOTIFIERS = "/sys/module/kernel/parameters/crash_kexec_post_notifiers"
_WANTS = "/etc/systemd/system/{0}.wants/{1}"
_LIMIT = 64
_FILE_LIMIT = 64 * 1024


def see_channels(host: Host, capture: t.Mapping[str, t.Any]) -> Seen:
    """What `_core.channels` judges; `capture` is what `_host.capture.see_capture` saw.

    Its plan wants `files`, `boot`, `kernel_cmdline` and `vendor_cmdline` besides; `_change.channels` adds them.
    """
    unread: dict[str, str] = {}
    said = _said(host)
    found = look(unread, "netconsole", targets, host)
    recorded = look({}, "record", host.read, channels.RECORD, _FILE_LIMIT) or ""
    ours, units = channels.parse_record(recorded)
    return {
        "applicable": capture["applicable"],
        "applicable_reason": capture["applicable_reason"],
        "kdump_armed": capture["armed"],
        "kdump_unread": capture["unread"].get("armed"),
        "cmdline": capture["cmdline"]["text"],
        "efi": host.exists("/sys/firmware/efi/efivars"),
        "iomem": _iomem(host),
        "post_notifiers": _flag(host, _NOTIFIERS),
        "pstore": _pstore(host),
        "netconsole": {
            "targets": found or [],
            "ours": any(target["name"] == netconsole.TARGET for target in found or []),
            "running": said is not None,
            "said": said or "",
            "unread": None if unread.get("netconsole") in (None, "not found") else unread["netconsole"],
        },
        "consoles": _consoles(host),
        "journal": _journal(host),
        "units": {channels.PSTORE_UNIT: _enabled(host, channels.PSTORE_UNIT)},
        "ours": ours,
        "enabled_by_us": units,
    }


def _flag(host: Host, path: str) -> bool | None:
    text = look({}, path, host.read_line, path)
    return None if text is None else text in ("Y", "1")


def _pstore(host: Host) -> Seen:
    """`backend` is the name of the store, or None; "(null)" is how the kernel shows that there is none."""
    unread: dict[str, str] = {}
    backend = look(unread, "backend", host.read_line, _BACKEND)
    mounts = look({}, "mounts", host.read, "/proc/mounts", 1024 * 1024) or ""
    there = any(
        host.exists("{0}/{1}".format(folder, channels.PSTORE_UNIT))
        for folder in ("/usr/lib/systemd/system", "/lib/systemd/system")
    )
    return {
        "backend": clean(backend, 40) if backend and backend not in ("(null)", "null") else None,
        "unread": None if unread.get("backend") in (None, "not found") else unread["backend"],
        "mounted": re.search(r"(?m)^\S+ /sys/fs/pstore pstore ", mounts) is not None,
        "collected": _enabled(host, channels.PSTORE_UNIT),
        "unit_there": there,
        "loaded": [name for name in ("efi_pstore", "ramoops") if host.exists("/sys/module/" + name)],
    }


def _enabled(host: Host, name: str) -> bool:
    for target in ("sysinit.target", "multi-user.target"):
        try:
            if host.lstat(_WANTS.format(target, name)).kind == "link":
                return True
        except Unreadable:
            continue
    return False


def targets(host: Host) -> list[Seen]:
    """Targets of netconsole as the kernel has them: [{name, enabled, device, receiver, carrier}]. Raises Unreadable."""
    found = []
    for name in host.listdir(netconsole.CONFIGFS)[:_LIMIT]:
        folder = "{0}/{1}".format(netconsole.CONFIGFS, name)
        values = {key: look({}, key, host.read_line, folder + "/" + key) for key in _KEYS}
        if values["enabled"] is None:
            continue
        device = clean(values["dev_name"] or "", 20) or None
        found.append(
            {
                "name": clean(name, 60),
                "enabled": values["enabled"] == "1",
                "device": device,
                "receiver": clean(values["remote_ip"] or "", 60) or None,
                "carrier": routes.carrier(host, device) if device and "/" not in device else None,
            }
        )
    return found


_KEYS = ("enabled", "dev_name", "remote_ip")


def _said(host: Host) -> str | None:
    """Why our unit has not armed it, or a warning; "" where all is well, None where it does not run."""
    text = look({}, "state", host.read, netconsole.STATE, _FILE_LIMIT)
    if text is None:
        return None
    try:
        return clean(str(json.loads(text).get("said") or ""), 300)
    except (ValueError, AttributeError, RecursionError):
        return ""


def _consoles(host: Host) -> list[str] | None:
    """Serial ports that the kernel prints to: /proc/consoles, flag E (fs/proc/consoles.c)."""
    text = look({}, "consoles", host.read, "/proc/consoles", _FILE_LIMIT)
    if text is None:
        return None
    found = re.findall(r"(?m)^((?:tty[A-Z]+|hvc|sclp|usb)\S{0,8})\s+\S{3}\s+\([^)]*E[^)]*\)", text)
    return [clean(name, 20) for name in found[:_LIMIT]]


def _journal(host: Host) -> bool | None:
    """By where journald writes now: it keeps system.journal open in one of two places (systemd-journald(8))."""
    identity = look({}, "machine-id", host.read_line, "/etc/machine-id")
    if not identity or not re.match(r"[0-9a-f]{32}\Z", identity):
        return None
    if host.exists("/var/log/journal/{0}/system.journal".format(identity)):
        return True
    return False if host.exists("/run/log/journal/{0}/system.journal".format(identity)) else None


def _iomem(host: Host) -> list[tuple[int, int, str]] | None:
    """Regions of physical memory; None without root, who alone is shown the addresses."""
    text = look({}, "iomem", host.read, "/proc/iomem", 1024 * 1024)
    found = re.findall(r"(?m)^\s*([0-9a-f]{1,16})-([0-9a-f]{1,16}) : (.{1,80})$", text or "")
    regions = [(int(low, 16), int(high, 16), clean(name, 80)) for low, high, name in found]
    return regions if any(high for _low, high, _name in regions) else None

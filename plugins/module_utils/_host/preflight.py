# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What must be known about a host before anything on it is changed."""

from __future__ import annotations

import re
import typing as t

from .._core.text import clean
from .base import Host, Unreadable
from .capture import collect_os
from .packages import unfinished_packages

__all__ = ["see_preflight"]


def see_preflight(host: Host, kernel: t.Mapping[str, t.Any], dry_run: bool) -> dict[str, t.Any]:
    """Look at release, dpkg's state and free space; with `dry_run` run grub-mkconfig without an output file."""
    return {
        "os": collect_os(host),
        "euid": host.euid,
        "dpkg_interrupted": _dpkg_interrupted(host),
        "free_bytes": {path: _free(host, path) for path in ("/boot", "/var", "/etc")},
        "kernels": kernel.get("installed") or [],
        "initrd_bytes": _largest_initrd(host),
        "grub_dry_run": _grub_dry_run(host) if dry_run else None,
    }


def _dpkg_interrupted(host: Host) -> str | None:
    """What makes apt refuse to install: dpkg's own journal, or packages left half done."""
    try:
        return ", ".join(unfinished_packages(host)[:5]) or None
    except Unreadable as exc:
        return "its status could not be read ({0})".format(exc.reason)


def _free(host: Host, path: str) -> int | None:
    try:
        return host.space(path).free
    except Unreadable:
        return None


def _largest_initrd(host: Host) -> int:
    try:
        names = [name for name in host.listdir("/boot") if name.startswith("initrd.img-")]
        return max((host.lstat("/boot/" + name).size for name in names), default=0)
    except Unreadable:
        return 0


def _grub_dry_run(host: Host) -> dict[str, t.Any] | None:
    """grub-mkconfig(8) without -o writes to standard output alone."""
    if not host.exists("/usr/sbin/grub-mkconfig") or not host.exists("/boot/grub"):
        return None
    try:
        done = host.run(["/usr/sbin/grub-mkconfig"], timeout_s=600)
    except Unreadable as exc:
        return {"rc": None, "entries": 0, "said": exc.reason}
    said = [
        line for line in done.err.splitlines() if not line.startswith(("Found ", "Generating ", "Warning: os-prober"))
    ]
    return {
        "rc": done.rc,
        "entries": len(re.findall(r"(?m)^\s*menuentry ", done.out)),
        "said": clean(" / ".join(said[-4:]), 400),
    }

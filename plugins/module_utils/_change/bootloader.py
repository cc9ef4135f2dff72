# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Has the boot loader follow what was written for it: update-grub, or systemd-boot's kernel-install."""

from __future__ import annotations

import os
import typing as t

from .._core import shellconf
from .._core.errors import ParseError
from .._core.text import clean
from .._host.base import Completed, Host, Unreadable
from .._host.bootentries import GRUB_CFG
from .files import Stopped

__all__ = ["GRUB_CFG", "follow", "loader_entries", "must"]


def must(
    host: Host, argv: t.Sequence[str], what: str, timeout_s: float = 300, env: t.Mapping[str, str] | None = None
) -> Completed:
    """Run a program that has to end well. Raises Stopped with its last words."""
    try:
        done = host.run(argv, timeout_s=timeout_s, env=env)
    except Unreadable as exc:
        raise Stopped(what, exc.reason, "run it by hand: {0}".format(" ".join(argv))) from exc
    if done.rc != 0:
        seen = clean((done.err or done.out)[-600:], 400) or "rc {0}".format(done.rc)
        raise Stopped(what, seen, "run it by hand: {0}".format(" ".join(argv)))
    return done


def follow(host: Host, loader: str, releases: t.Iterable[str]) -> None:
    """Generate the boot entries anew: of GRUB the menu, of systemd-boot those of `releases`. Raises Stopped."""
    if loader == "grub":
        what = "GRUB's configuration could not be generated (now undone)"
        must(host, ["update-grub"], what, 900, {"LC_ALL": "", "LANG": _language(host)})
        return
    for release in releases:
        image, initrd = "/boot/vmlinuz-" + release, "/boot/initrd.img-" + release
        argv = ["kernel-install", "add", release, image] + ([initrd] if host.exists(initrd) else [])
        must(host, argv, "the boot entry of {0} could not be written (now undone)".format(release), 600)


def _language(host: Host) -> str:
    """LANG as the administrator's own update-grub has it: titles of the menu are translated, and are names.

    GRUB_DEFAULT and saved_entry may hold such a title; /etc/grub.d/00_header also sets the menu's language from LANG.
    """
    try:
        found = shellconf.parse_shellconf(host.read("/etc/default/locale", 64 * 1024)).values.get("LANG")
    except (ParseError, Unreadable):
        found = None
    return found or os.environ.get("LANG", "C")


def loader_entries(host: Host) -> list[str]:
    """systemd-boot's entry files, which kernel-install rewrites one by one."""
    found = []
    for folder in ("/efi/loader/entries", "/boot/efi/loader/entries", "/boot/loader/entries"):
        try:
            found += ["{0}/{1}".format(folder, name) for name in host.listdir(folder)]
        except Unreadable:
            continue
    return found

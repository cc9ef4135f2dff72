# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Firmware files that the modules of NICs name (MODULE_FIRMWARE), and whether the kernel would find them."""

from __future__ import annotations

import posixpath

from .._core.modfirmware import parse_modinfo_firmware
from .base import Host, Unreadable

__all__ = ["FirmwareFiles", "is_there", "modinfo"]

#: Where the kernel looks, in its order (drivers/base/firmware_loader/main.c, fw_path).
_FOLDERS = ("/lib/firmware/updates/{0}", "/lib/firmware/updates", "/lib/firmware/{0}", "/lib/firmware")
#: Endings of files that it unpacks itself (CONFIG_FW_LOADER_COMPRESS_XZ and _ZSTD).
_ENDINGS = ("", ".xz", ".zst")
_FILES_LIMIT = 256


def is_there(host: Host, release: str, name: str) -> bool:
    """Whether a kernel of this release finds a firmware file, by its path below /lib/firmware."""
    folders = [folder.format(release) for folder in _FOLDERS]
    return any(host.exists(posixpath.join(folder, name + ending)) for folder in folders for ending in _ENDINGS)


def modinfo(host: Host, release: str, module: str, field: str) -> list[str]:
    """Values of one field of a module of that kernel. Raises Unreadable, as where it has no such module."""
    try:
        done = host.run(["modinfo", "-k", release, "-F", field, module], timeout_s=30)
    except Unreadable as exc:
        raise Unreadable("modinfo", "modinfo: " + exc.reason) from exc
    if done.rc != 0:
        raise Unreadable(module, "modinfo finds no module {0} of {1}".format(module, release))
    return done.out.splitlines()[:2000]


class FirmwareFiles:
    """Asks once for each driver, however many interfaces it drives."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._seen: dict[str, dict[str, bool]] = {}

    def of(self, module: str) -> dict[str, bool]:
        """{path below /lib/firmware: whether it is there} of a module and those that it builds on.

        qede's files are named by qed. Most drivers name none. Raises Unreadable.
        """
        if module not in self._seen:
            self._seen[module] = self._look(module)
        return self._seen[module]

    def _look(self, module: str) -> dict[str, bool]:
        release = self._release()
        below = ",".join(modinfo(self._host, release, module, "depends")).split(",")
        names = [
            name
            for each in dict.fromkeys([module, *(word for word in below if word)])
            for name in parse_modinfo_firmware("\n".join(modinfo(self._host, release, each, "firmware")))
        ]
        return {name: is_there(self._host, release, name) for name in sorted(set(names))[:_FILES_LIMIT]}

    def _release(self) -> str:
        try:
            return self._host.read_line("/proc/sys/kernel/osrelease")
        except Unreadable as exc:
            raise Unreadable(exc.path, "release of the kernel: " + exc.reason) from exc

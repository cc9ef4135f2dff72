# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""A raw disk in a file: its partitions, its loop device, its mounts."""

from __future__ import annotations

import contextlib
import os
import pathlib
import stat
import time
import typing as t

from . import commands
from .errors import LabError, ToolError

__all__ = ["attached", "bound", "mounted", "unmount_below", "write_disk"]


def write_disk(path: pathlib.Path, disk_bytes: int, partitions: str, log: pathlib.Path | None = None) -> None:
    """Make a sparse disk file with partitions as sfdisk(8) reads them. Raises FileExistsError, ToolError."""
    with path.open("xb") as stream:
        stream.truncate(disk_bytes)
    commands.run(["sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", str(path)], stdin=partitions, log=log)


def _partition_node(device: str, number: int) -> str:
    """The device node of a partition, made by hand where no udev does it."""
    name = "{0}p{1}".format(device, number)
    sysfs = pathlib.Path("/sys/block", pathlib.Path(device).name, pathlib.Path(name).name, "dev")
    for _ in range(50):
        if sysfs.exists():
            break
        time.sleep(0.1)
    else:
        raise LabError("{0}: the kernel does not show the partition ({1})".format(device, sysfs))
    time.sleep(0.2)
    if not pathlib.Path(name).exists():
        major, minor = (int(part) for part in sysfs.read_text().split(":"))
        os.mknod(name, 0o600 | stat.S_IFBLK, os.makedev(major, minor))
    return name


def _retry(argv: list[str], log: pathlib.Path | None = None) -> None:
    """Run a command that may find its device busy for a moment."""
    for attempt in range(20):
        try:
            commands.run(argv, log=log)
            return
        except ToolError:
            if attempt == 19:
                raise
            time.sleep(0.5)


@contextlib.contextmanager
def attached(path: pathlib.Path, count: int, log: pathlib.Path | None = None) -> t.Iterator[tuple[str, list[str]]]:
    """Attach a disk file to a loop device; yields the device of the disk and of its first `count` partitions."""
    device = commands.run(["losetup", "--find", "--show", str(path)], log=log).stdout.strip()
    try:
        commands.run(["partx", "--add", device], log=log, check=False)  # the kernel may have found it already
        partitions = [_partition_node(device, number) for number in range(1, count + 1)]
        try:
            yield device, partitions
        finally:
            commands.run(["partx", "--delete", device], log=log, check=False)
            for partition in partitions:
                with contextlib.suppress(OSError):
                    os.unlink(partition)
    finally:
        _retry(["losetup", "--detach", device], log)


@contextlib.contextmanager
def mounted(source: str, target: pathlib.Path, options: t.Sequence[str] = ()) -> t.Iterator[pathlib.Path]:
    """Mount while the context lasts."""
    target.mkdir(exist_ok=True)
    commands.run(["mount", *options, source, str(target)])
    try:
        yield target
    finally:
        _retry(["umount", str(target)])


@contextlib.contextmanager
def bound(root: pathlib.Path, uuid: str, partition: str) -> t.Iterator[None]:
    """/dev, /proc and /sys inside a root, for boot loader tools.

    While they run the root file system must be found by its UUID in /dev/disk/by-uuid, or
    grub-mkconfig writes the loop device into grub.cfg and the guest waits for it for ever.
    """
    link = pathlib.Path("/dev/disk/by-uuid", uuid)
    with contextlib.ExitStack() as stack:
        if not link.is_symlink():
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to("../../" + pathlib.Path(partition).name)
            stack.callback(link.unlink, missing_ok=True)
        stack.enter_context(mounted("/dev", root / "dev", ["--bind"]))
        stack.enter_context(mounted("proc", root / "proc", ["-t", "proc"]))
        stack.enter_context(mounted("sysfs", root / "sys", ["-t", "sysfs"]))
        yield


def unmount_below(folder: pathlib.Path, mountinfo: str) -> list[str]:
    """Mount points below a folder, deepest first (what a killed build left behind)."""
    prefix = str(folder).rstrip("/") + "/"
    points = [line.split(" ")[4].replace("\\040", " ") for line in mountinfo.splitlines() if line.count(" ") > 4]
    return sorted((point for point in points if point.startswith(prefix)), key=len, reverse=True)

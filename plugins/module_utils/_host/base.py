# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The interface through which collectors see a machine.

The same collectors run on a live host (`local.LocalHost`), on a tree recorded
in one file (`tree.TreeHost`: tests, saved facts) and, later, on an archive.
Every path is absolute *inside* the host and is a `str`.
"""

from __future__ import annotations

import abc
import typing as t

__all__ = ["Completed", "DriverInfo", "FileStatus", "Host", "Space", "Unreadable", "look"]

#: More than any file that a collector reads on purpose (dpkg's status file is
#: about 10 MB on a full desktop). A larger one is cut, never read whole.
READ_LIMIT = 32 * 1024 * 1024


class Unreadable(Exception):
    """Something could not be seen. `reason` is short, stable and fit for a report.

    The reasons in use: "not found", "permission denied (not root)",
    "not supported by the driver", "not a directory", "timed out after N s",
    or the operating system's own message.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__("{0}: {1}".format(path, reason))
        self.path = path
        self.reason = reason


class Completed(t.NamedTuple):
    """The end of a process that ran."""

    rc: int
    out: str
    err: str


class FileStatus(t.NamedTuple):
    """What `lstat` says, as far as facts need it."""

    kind: str  #: "file", "directory", "link", "device" or "other"
    mode: int  #: permission bits alone, such as 0o700
    uid: int
    gid: int
    size: int  #: bytes
    mtime: float  #: seconds since the epoch


class Space(t.NamedTuple):
    """Bytes of a filesystem; `free` is what an ordinary user may take, so that something is left for root."""

    total: int
    free: int


class DriverInfo(t.NamedTuple):
    """struct ethtool_drvinfo of include/uapi/linux/ethtool.h; texts are as the driver gave them."""

    driver: str
    version: str
    firmware: str
    bus_info: str


_T = t.TypeVar("_T")


def look(unread: dict[str, str], field: str, read: t.Callable[..., _T], *args: t.Any, **kwargs: t.Any) -> _T | None:
    """What `read(*args, **kwargs)` gives; where it cannot be seen, None with the reason left in `unread[field]`."""
    try:
        return read(*args, **kwargs)
    except Unreadable as exc:
        unread[field] = exc.reason
        return None


class Host(abc.ABC):
    """One machine. Each method raises `Unreadable` where the thing cannot be seen."""

    @property
    @abc.abstractmethod
    def euid(self) -> int:
        """Effective user id of the collector; 0 is root."""

    @abc.abstractmethod
    def read_bytes(self, path: str, limit: int = READ_LIMIT, offset: int = 0) -> bytes:
        """At most `limit` bytes of a file from `offset`; links are followed."""

    @abc.abstractmethod
    def listdir(self, path: str) -> list[str]:
        """Names in a directory, sorted."""

    @abc.abstractmethod
    def readlink(self, path: str) -> str:
        """The text of a symbolic link."""

    @abc.abstractmethod
    def realpath(self, path: str) -> str:
        """The path with every link resolved, still inside the host. Never raises: as far as it exists."""

    @abc.abstractmethod
    def lstat(self, path: str) -> FileStatus:
        """Status of the path itself, not of what a link points to."""

    @abc.abstractmethod
    def space(self, path: str) -> Space:
        """Size and free bytes of the filesystem that holds a path (the nearest existing parent)."""

    @abc.abstractmethod
    def run(
        self,
        argv: t.Sequence[str],
        timeout_s: float = 60,
        env: t.Mapping[str, str] | None = None,
        stdin: str | None = None,
    ) -> Completed:
        """Run a program without a shell, with LC_ALL=C. A non-zero end is not an error here."""

    @abc.abstractmethod
    def driver_info(self, interface: str) -> DriverInfo:
        """ETHTOOL_GDRVINFO of a network interface."""

    @abc.abstractmethod
    def channels(self, interface: str) -> dict[str, int]:
        """ETHTOOL_GCHANNELS: the counts in use, keys "rx", "tx", "other", "combined"."""

    def statistics(self, interface: str) -> dict[str, int]:
        """The driver's own counters (ETHTOOL_GSTRINGS, ETHTOOL_GSTATS) by name; only a live host has them."""
        raise Unreadable(interface, "the driver's counters are not recorded")

    # What follows is built from the above and the same for every kind of host.

    def read(self, path: str, limit: int = READ_LIMIT) -> str:
        """A file as text; bytes that are not UTF-8 become U+FFFD, NUL bytes stay."""
        return self.read_bytes(path, limit).decode("utf-8", "replace")

    def read_line(self, path: str) -> str:
        """The first line of a small file (sysfs, procfs), without blanks around it."""
        text = self.read(path, 64 * 1024)
        return text.split("\n", 1)[0].strip()

    def exists(self, path: str) -> bool:
        """Whether the path, with links followed, is there and can be looked at."""
        try:
            # A link that is still there after resolving leads in a circle.
            return self.lstat(self.realpath(path)).kind != "link"
        except Unreadable:
            return False

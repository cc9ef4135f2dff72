# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""A machine recorded in one manifest: for tests, and for facts taken along.

A directory cannot be committed in its place: PCI addresses hold ":", and
ansible-test's sanity checks refuse such names and directory links.
"""

from __future__ import annotations

import base64
import binascii
import posixpath
import typing as t

from .._core.errors import ParseError
from .base import READ_LIMIT, Completed, DriverInfo, FileStatus, Host, Space, Unreadable
from .links import resolve

__all__ = ["TreeHost"]

_KEYS = frozenset(("source", "files", "directories", "commands", "ethtool", "channels", "euid", "space", "stat"))
_DEFAULT_MODE = {"file": 0o644, "directory": 0o755, "link": 0o777}


class TreeHost(Host):
    """Answers from a manifest (a dict as JSON gives it); ParseError where that is malformed.

    - `source`: where the content comes from (text, not read here)
    - `files`: {path: text | {"link": target} | {"base64": bytes} | {"error": reason}};
      an error with paths below it is a directory that cannot be listed
    - `directories`: paths of directories without a file in them; all others are implied
    - `stat`: {path: {kind, mode, uid, gid, size, mtime}}, each optional; mode as 448 or "0700"
    - `commands`: {argv joined by blanks: {rc, out, err} | {"error": reason}}
    - `ethtool`: {interface: {driver, version, firmware, bus_info} | {"error": reason}}
    - `channels`: {interface: {rx, tx, other, combined} | {"error": reason}}
    - `space`: {path: [total bytes, free bytes]}; the nearest parent counts
    - `euid`: 0 unless told
    """

    def __init__(self, manifest: t.Mapping[str, t.Any]) -> None:
        unknown = sorted(set(manifest) - _KEYS)
        if unknown:
            raise ParseError("unknown keys in the manifest: {0}".format(", ".join(unknown)))
        self._euid = int(manifest.get("euid", 0))
        self._contents: dict[str, bytes] = {}
        self._links: dict[str, str] = {}
        self._errors: dict[str, str] = {}
        self._names: dict[str, set[str]] = {"/": set()}
        for path in manifest.get("directories", ()):
            self._make_directory(_checked(path))
        for path, entry in manifest.get("files", {}).items():
            self._add(_checked(path), entry)
        self._refuse_impossible()
        self._stat: dict[str, dict[str, t.Any]] = dict(manifest.get("stat", {}))
        self._commands: dict[str, dict[str, t.Any]] = dict(manifest.get("commands", {}))
        self._ethtool: dict[str, dict[str, str]] = dict(manifest.get("ethtool", {}))
        self._channels: dict[str, dict[str, t.Any]] = dict(manifest.get("channels", {}))
        self._space = {_checked(path): pair for path, pair in manifest.get("space", {}).items()}

    @property
    def euid(self) -> int:
        return self._euid

    def read_bytes(self, path: str, limit: int = READ_LIMIT, offset: int = 0) -> bytes:
        real = self._real(path)
        if real in self._errors:
            raise Unreadable(path, self._errors[real])
        if real in self._names:
            raise Unreadable(path, "is a directory")
        if real not in self._contents:
            raise self._absent(path, real)
        return self._contents[real][offset : offset + limit]

    def listdir(self, path: str) -> list[str]:
        real = self._real(path)
        if real in self._errors:
            raise Unreadable(path, self._errors[real])
        if real in self._contents:
            raise Unreadable(path, "not a directory")
        if real not in self._names:
            raise self._absent(path, real)
        return sorted(self._names[real])

    def readlink(self, path: str) -> str:
        here = resolve(path, self._links.get, follow_last=False)
        if here in self._links:
            return self._links[here]
        if here in self._contents or here in self._names or here in self._errors:
            raise Unreadable(path, "not a symbolic link")
        raise self._absent(path, here)

    def realpath(self, path: str) -> str:
        return resolve(path, self._links.get)

    def lstat(self, path: str) -> FileStatus:
        here = resolve(path, self._links.get, follow_last=False)
        kind = self._kind(here)
        if kind is None:
            raise self._absent(path, here)
        told = self._stat.get(here, {})
        mode = told.get("mode", _DEFAULT_MODE[kind])
        return FileStatus(
            kind=str(told.get("kind", kind)),
            mode=int(mode, 8) if isinstance(mode, str) else int(mode),
            uid=int(told.get("uid", 0)),
            gid=int(told.get("gid", 0)),
            size=int(told.get("size", self._size(here, kind))),
            mtime=float(told.get("mtime", 0)),
        )

    def space(self, path: str) -> Space:
        here = self.realpath(path)
        while here not in self._space:
            if here == "/":
                raise Unreadable(path, "not found")
            here = posixpath.dirname(here)
        total, free = self._space[here]
        return Space(int(total), int(free))

    def run(
        self,
        argv: t.Sequence[str],
        timeout_s: float = 60,
        env: t.Mapping[str, str] | None = None,
        stdin: str | None = None,
    ) -> Completed:
        answer = self._commands.get(" ".join(argv), {"error": "not found"})
        if "error" in answer:
            raise Unreadable(argv[0], str(answer["error"]))
        return Completed(int(answer.get("rc", 0)), str(answer.get("out", "")), str(answer.get("err", "")))

    def driver_info(self, interface: str) -> DriverInfo:
        answer = self._asked(self._ethtool, interface)
        return DriverInfo(*(str(answer.get(key, "")) for key in ("driver", "version", "firmware", "bus_info")))

    def channels(self, interface: str) -> dict[str, int]:
        answer = self._asked(self._channels, interface)
        return {key: int(answer.get(key, 0)) for key in ("rx", "tx", "other", "combined")}

    def _asked(self, answers: t.Mapping[str, t.Mapping[str, t.Any]], interface: str) -> t.Mapping[str, t.Any]:
        if interface not in answers:
            known = self.exists("/sys/class/net/" + interface)
            raise Unreadable(interface, "not supported by the driver" if known else "not found")
        if "error" in answers[interface]:
            raise Unreadable(interface, str(answers[interface]["error"]))
        return answers[interface]

    def _real(self, path: str) -> str:
        real = resolve(path, self._links.get)
        if real in self._links:
            raise Unreadable(path, "too many symbolic links")
        return real

    def _absent(self, path: str, real: str) -> Unreadable:
        """As the kernel says it: a file among the parents is another thing than nothing there."""
        parent = posixpath.dirname(real)
        while parent != "/":
            if parent in self._links:
                return Unreadable(path, "too many symbolic links")
            if parent in self._contents:
                return Unreadable(path, "not a directory")
            if parent in self._errors:
                return Unreadable(path, self._errors[parent])
            parent = posixpath.dirname(parent)
        return Unreadable(path, "not found")

    def _kind(self, path: str) -> str | None:
        if path in self._links:
            return "link"
        if path in self._names:
            return "directory"
        if path in self._contents or path in self._errors:
            return "file"
        return None

    def _size(self, path: str, kind: str) -> int:
        if kind == "link":
            return len(self._links[path].encode("utf-8", "surrogateescape"))
        return len(self._contents.get(path, b""))

    def _make_directory(self, path: str) -> None:
        while path != "/":
            self._names.setdefault(path, set())
            parent, name = posixpath.split(path)
            self._names.setdefault(parent, set()).add(name)
            path = parent

    def _add(self, path: str, entry: t.Any) -> None:
        parent, name = posixpath.split(path)
        self._make_directory(parent)
        self._names[parent].add(name)
        if isinstance(entry, str):
            self._contents[path] = entry.encode("utf-8", "surrogateescape")
            return
        if not isinstance(entry, dict) or len(entry) != 1:
            raise ParseError("{0}: neither a text nor one of link, base64, error".format(path))
        form, value = next(iter(entry.items()))
        if form == "link":
            self._links[path] = str(value)
        elif form == "error":
            self._errors[path] = str(value)
        elif form == "base64":
            try:
                self._contents[path] = base64.b64decode(value, validate=True)
            except (binascii.Error, TypeError, ValueError) as exc:
                raise ParseError("{0}: not base64: {1}".format(path, exc)) from exc
        else:
            raise ParseError("{0}: unknown form {1!r}".format(path, form))

    def _refuse_impossible(self) -> None:
        """A file or a link with something below it would be found by one path and missed by another."""
        for path in self._names:
            if path in self._contents or path in self._links:
                raise ParseError("{0}: a file or link cannot have paths below it".format(path))


def _checked(path: str) -> str:
    if not path.startswith("/") or posixpath.normpath(path) != path or path.startswith("//"):
        raise ParseError("{0!r}: not a plain absolute path".format(path))
    return path

# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""known_hosts as OpenSSH reads it (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT): which key a host must show.

Read once for a run. A name is found by its text in a table; only hashed names and
patterns are tried one by one.
"""

from __future__ import annotations

import base64
import binascii
import fnmatch
import hmac
import os
import secrets
import threading
import typing as t

__all__ = ["Known", "KnownHosts"]

_FILE_LIMIT = 32 * 1024 * 1024


class Known(t.NamedTuple):
    """What the files say of a host: (type, blob) of its keys, and whether a certificate authority stands for it."""

    keys: tuple[tuple[str, bytes], ...]
    revoked: tuple[bytes, ...]
    has_authority: bool


class _Entry(t.NamedTuple):
    marker: str
    kind: str
    blob: bytes


class KnownHosts:
    """The known_hosts files of a run. For several threads."""

    def __init__(self) -> None:
        self._files: dict[str, _File] = {}
        self._lock = threading.Lock()

    def look_up(self, paths: t.Sequence[str], name: str) -> Known:
        """What the files say of a host; `name` is `host` or `[host]:port`."""
        found = [entry for path in paths for entry in self._file(path).of(name)]
        return Known(
            tuple((entry.kind, entry.blob) for entry in found if not entry.marker),
            tuple(entry.blob for entry in found if entry.marker == "@revoked"),
            any(entry.marker == "@cert-authority" for entry in found),
        )

    def add(self, path: str, name: str, kind: str, blob: bytes, hash_name: bool) -> bool:
        """Write a key that was accepted into a file; False where that cannot be done."""
        shown = _hashed(name) if hash_name else name
        line = "{0} {1} {2}\n".format(shown, kind, base64.b64encode(blob).decode("ascii"))
        with self._lock:
            try:
                os.makedirs(os.path.dirname(path) or ".", mode=0o700, exist_ok=True)
                handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
                with os.fdopen(handle, "a", encoding="ascii") as stream:
                    stream.write(line)
            except (OSError, ValueError):
                return False
            self._files.pop(path, None)
        return True

    def _file(self, path: str) -> _File:
        with self._lock:
            if path not in self._files:
                self._files[path] = _File(path)
            return self._files[path]


class _File:
    """One file; a line that does not parse is no entry, as for OpenSSH."""

    def __init__(self, path: str) -> None:
        self._plain: dict[str, list[_Entry]] = {}
        self._hashed: list[tuple[bytes, bytes, _Entry]] = []
        self._patterns: list[tuple[list[str], _Entry]] = []
        try:
            with open(path, encoding="utf-8", errors="replace") as stream:
                text = stream.read(_FILE_LIMIT)
        except OSError:
            return
        for line in text.split("\n"):
            self._take(line)

    def _take(self, line: str) -> None:
        words = line.split()
        marker = words.pop(0) if words and words[0].startswith("@") else ""
        if len(words) < 3 or words[0].startswith("#"):
            return
        try:
            entry = _Entry(marker, words[1], base64.b64decode(words[2], validate=True))
            self._take_names(words[0], entry)
        except (binascii.Error, ValueError):
            return

    def _take_names(self, names: str, entry: _Entry) -> None:
        if names.startswith("|1|"):
            salt, digest = names[3:].split("|", 1)
            self._hashed.append((base64.b64decode(salt), base64.b64decode(digest), entry))
            return
        patterns = [name.lower() for name in names.split(",") if name]
        if any(sign in names for sign in "*?!"):
            self._patterns.append((patterns, entry))
            return
        for name in patterns:
            self._plain.setdefault(name, []).append(entry)

    def of(self, name: str) -> list[_Entry]:
        """Entries about a name."""
        name = name.lower()
        found = list(self._plain.get(name, ()))
        data = name.encode("utf-8", "replace")
        found += [entry for salt, digest, entry in self._hashed if hmac.digest(salt, data, "sha1") == digest]
        return found + [entry for patterns, entry in self._patterns if _matches(patterns, name)]


def _matches(patterns: list[str], name: str) -> bool:
    """Whether one fits and none with a `!` does. `[` and `]` stand for themselves in known_hosts."""
    hit = False
    for pattern in patterns:
        negated, plain = pattern.startswith("!"), pattern.lstrip("!").replace("[", "[[]")
        if fnmatch.fnmatchcase(name, plain):
            if negated:
                return False
            hit = True
    return hit


def _hashed(name: str) -> str:
    salt = secrets.token_bytes(20)
    digest = hmac.digest(salt, name.lower().encode("utf-8"), "sha1")
    return "|1|{0}|{1}".format(*(base64.b64encode(part).decode("ascii") for part in (salt, digest)))

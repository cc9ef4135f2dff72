# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Dumps that leave the capture kernel over the network, for hosts without a disk: kdump-tools' own SSH and NFS.

G3 and G32 of docs/kdump-on-debian.md: where the far end does not answer, kdump-tools keeps nothing and says that all is
well. So this is for hosts that have no other way, and only after a write to the target has come back.
"""

from __future__ import annotations

import json
import re
import shlex
import typing as t

from . import shellconf
from .errors import CoreError
from .kdump import CONFIG, masked
from .plan import Change
from .text import clean

__all__ = ["KEYS", "RECORD", "Direct", "checked", "not_armed", "plan", "probe_argv", "settings", "values_before"]

#: What of kdump-tools' settings is ours while this is wanted.
KEYS = ("SSH", "SSH_KEY", "NFS", "HOSTTAG")
RECORD = "/var/lib/crashready/direct-dump.json"
DEFAULT_KEY = "/root/.ssh/kdump_id_rsa"

_SSH = re.compile(r"(?P<user>[a-z_][a-z0-9_.-]{0,63})@(?P<host>[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?)\Z")
_NFS = re.compile(r"(?P<host>[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?):/[A-Za-z0-9._/-]{0,255}\Z")
_KEY = re.compile(r"/[A-Za-z0-9._/-]{1,200}\Z")


class Direct(t.NamedTuple):
    """The target: "ssh" with user@host, or "nfs" with host:/path."""

    kind: str
    target: str
    key: str = DEFAULT_KEY

    @property
    def host(self) -> str:
        """The name or address of the far end."""
        match = (_SSH if self.kind == "ssh" else _NFS).match(self.target)
        return match.group("host") if match else ""


def checked(kind: str, target: str, key: str) -> Direct:
    """From a user's values, which end up in a file that a shell sources. Raises CoreError."""
    if not (_SSH if kind == "ssh" else _NFS).match(target):
        expected = "user@host" if kind == "ssh" else "host:/path"
        raise CoreError("direct_target: {0!r} is no {1}".format(clean(target, 80), expected))
    if not _KEY.match(key):
        raise CoreError("direct_key: {0!r} is no plain path".format(clean(key, 80)))
    return Direct(kind, target, key)


def settings(direct: Direct) -> dict[str, str | None]:
    """The variables of kdump-tools.conf(5). None: out of force."""
    # HOSTTAG=ip takes the last address that `ip addr` shows, so that docker0 wins (G32).
    found: dict[str, str | None] = {"SSH": None, "SSH_KEY": None, "NFS": None, "HOSTTAG": "hostname"}
    if direct.kind == "ssh":
        found.update(SSH=direct.target, SSH_KEY=direct.key)
    else:
        found.update(NFS=direct.target)
    return found


def values_before(text: str) -> dict[str, str | None]:
    """What the settings said before, to be put back. Raises ParseError."""
    there = shellconf.parse_shellconf(text).values
    return {key: there.get(key) for key in KEYS}


def plan(direct: Direct | None, text: str | None, record: str | None) -> list[Change]:
    """The change of /etc/default/kdump-tools, and the record of what was. Raises CoreError."""
    if text is None:
        if direct is None:
            return []
        raise CoreError("{0} is not there: install kdump-tools first (role kdump)".format(CONFIG))
    if direct is None:
        before = _parse_record(record)
        if before is None:
            return []
        after = shellconf.edit(text, before)
        gone = Change("file", RECORD, "there", None, "direct dumps are not wanted", {"content": None})
        return [*_changed(text, after, "direct dumps are not wanted"), gone]
    changes = _changed(text, shellconf.edit(text, settings(direct)), "the capture kernel sends the dump there")
    if changes and record is None:
        content = json.dumps(values_before(text), sort_keys=True) + "\n"
        data = {"content": content.encode("utf-8"), "mode": 0o600}
        changes.insert(0, Change("file", RECORD, None, "what was before\n", "so that it can be taken back", data))
    return changes


def _changed(before: str, after: str, why: str) -> list[Change]:
    if before == after:
        return []
    # mode None: the administrator's stays; the file may hold a password.
    data = {"content": after.encode("utf-8", "surrogateescape"), "mode": None}
    return [Change("file", CONFIG, masked(before), masked(after), why, data)]


def _parse_record(text: str | None) -> dict[str, str | None] | None:
    try:
        found = json.loads(text or "")
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or set(found) != set(KEYS):
        return None
    return {key: value if isinstance(value, str) and value.isprintable() else None for key, value in found.items()}


def probe_argv(direct: Direct, folder: str, noise: str) -> list[str]:
    """A program that writes to the target, reads it back and takes it away; it prints "proved" where all went well.

    As kdump-config does it, with root's own known_hosts; but where that would ask a question, this fails.
    """
    name = "{0}/.crashready-{1}".format(folder, noise)
    script = 'umask 077; mkdir -p -- {0} && printf %s {2} >{1} && [ "$(cat {1})" = {2} ] && rm -f -- {1} && echo proved'
    script = script.format(shlex.quote(folder), shlex.quote(name), noise)
    if direct.kind == "ssh":
        options = ["BatchMode=yes", "StrictHostKeyChecking=yes", "ConnectTimeout=20", "IdentitiesOnly=yes"]
        words = [word for option in options for word in ("-o", option)]
        return ["ssh", "-i", direct.key, *words, "--", direct.target, script]
    # kdump-config mounts with the same options over the crash folder; here it is mounted where nobody else sees it.
    inner = script.replace(shlex.quote(folder), "/mnt").replace(shlex.quote(name), "/mnt/.crashready-" + noise)
    mount = "mount -t nfs -o nolock,tcp,soft,timeo=100,retrans=3 {0} /mnt && {{ {1}; }}".format(
        shlex.quote(direct.target), inner
    )
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", mount]


def not_armed(direct: Direct, config: t.Mapping[str, t.Any], proved: str | None) -> str | None:
    """Why a panic would not reach the target; None where it should. `proved` is what kept the probe from it."""
    if proved is not None:
        return "the target is not proved: {0}".format(proved)
    append = str(config.get("KDUMP_CMDLINE_APPEND") or "")
    for word in ("module_blacklist=", "systemd.mask=network-online.target"):
        if word in append:
            return "the capture kernel is told {0}: it has no network. Run the role kdump after this one".format(word)
    return None

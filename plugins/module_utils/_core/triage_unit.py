# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The event path on a host: a systemd unit that reads a crash after the boot that followed it.

Pure: what the files say, and what has to change. `_change/triageunit.py` carries it out.
"""

from __future__ import annotations

import hashlib
import json
import re
import typing as t

from .errors import ParseError
from .plan import Change

__all__ = ["CONFIG", "PATH_UNIT", "PROGRAM", "SERVICE", "Seen", "Wanted", "Webhook", "plan", "webhook_from"]

PROGRAM = "/usr/local/lib/crashready/triage.pyz"
CONFIG = "/etc/crashready/triage.json"
SERVICE = "/etc/systemd/system/crashready-triage.service"
PATH_UNIT = "/etc/systemd/system/crashready-triage.path"

_UNITS = ("crashready-triage.service", "crashready-triage.path")
_FOLDER = re.compile(r"/[A-Za-z0-9._/+@-]{1,200}")
_URL = re.compile(r"https?://[!-~]{1,1000}")
_HEADER = re.compile(r"[A-Za-z0-9-]{1,64}")

# After kdump-tools: where that finds a dump of its own boot it moves it before the reboot, and in a normal boot it
# loads the capture kernel, which is the more urgent thing. A path unit sees changes alone, and the dump was written
# before this boot, so the service is wanted by the boot as well.
_SERVICE_TEXT = """\
# Written by the Ansible role rackops.crashready.crash_triage; changes are lost at its next run.
[Unit]
Description=Read the crash that was kept, and leave its record
Documentation=https://docs.kernel.org/admin-guide/kdump/kdump.html
After=local-fs.target kdump-tools.service systemd-pstore.service{after}
{wants}ConditionPathExists={program}

[Service]
Type=oneshot
ExecStart=/usr/bin/python3 -I {program} {config}
StateDirectory=crashready
ProtectSystem=strict
ReadWritePaths={writable}
ProtectHome=yes
PrivateTmp=yes
NoNewPrivileges=yes
RestrictAddressFamilies={families}
{network}MemoryMax=1G
TimeoutStartSec=15min
Nice=10
UMask=0077

[Install]
WantedBy=multi-user.target
"""

_PATH_TEXT = """\
# Written by the Ansible role rackops.crashready.crash_triage; changes are lost at its next run.
[Unit]
Description=Watch for crashes that come after the boot

[Path]
PathChanged={folder}
PathChanged=/var/lib/systemd/pstore
Unit=crashready-triage.service

[Install]
WantedBy=multi-user.target
"""


class Webhook(t.NamedTuple):
    """Where a new record is sent. `value` is a secret."""

    url: str
    header: str | None = None
    value: str | None = None


class Wanted(t.NamedTuple):
    """What should be on the host. Without `present` nothing of it."""

    present: bool
    program: bytes = b""
    folder: str = "/var/crash"
    thin_out: bool = False
    webhook: Webhook | None = None


class Seen(t.NamedTuple):
    """What is there: files by path (None: absent) and each unit's state as systemctl says it."""

    files: t.Mapping[str, bytes | None]
    enabled: t.Mapping[str, bool]


def webhook_from(url: str | None, header: str | None, value: str | None) -> Webhook | None:
    """Check what a user gave. Raises ParseError that does not repeat the secret."""
    if not url:
        if header or value:
            raise ParseError("a header for the webhook and no webhook")
        return None
    if not _URL.fullmatch(url):
        raise ParseError("the webhook is no http or https address without blanks")
    if bool(header) != bool(value):
        raise ParseError("the webhook's header needs a name and a value")
    if header and not _HEADER.fullmatch(header):
        raise ParseError("the name of the webhook's header has other letters than A-Z, 0-9 and -")
    if value and (len(value) > 4096 or not value.isprintable() or not value.isascii()):
        raise ParseError("the value of the webhook's header is not one line of ASCII")
    return Webhook(url, header, value)


def files_for(wanted: Wanted) -> dict[str, bytes]:
    """The files by path. Raises ParseError for a folder that cannot stand in a unit file."""
    if not _FOLDER.fullmatch(wanted.folder):
        raise ParseError("{0!r} cannot be the crash folder of a systemd unit".format(wanted.folder))
    hook = wanted.webhook
    config = {"folder": wanted.folder, "thin_out": wanted.thin_out, "webhook": hook._asdict() if hook else None}
    service = _SERVICE_TEXT.format(
        after=" network-online.target" if hook else "",
        wants="Wants=network-online.target\n" if hook else "",
        program=PROGRAM,
        config=CONFIG,
        writable="-{0}".format(wanted.folder) if wanted.thin_out else "/var/lib/crashready",
        families="AF_UNIX AF_INET AF_INET6 AF_NETLINK" if hook else "AF_UNIX",
        network="" if hook else "PrivateNetwork=yes\n",
    )
    return {
        PROGRAM: wanted.program,
        CONFIG: (json.dumps(config, sort_keys=True, indent=1) + "\n").encode("ascii"),
        SERVICE: service.encode("ascii"),
        PATH_UNIT: _PATH_TEXT.format(folder=wanted.folder).encode("ascii"),
    }


def plan(wanted: Wanted, seen: Seen) -> list[Change]:
    """What differs: files first, then the units."""
    wanted_files: dict[str, bytes | None] = dict.fromkeys((PROGRAM, CONFIG, SERVICE, PATH_UNIT))
    if wanted.present:
        wanted_files.update(files_for(wanted))
    changes = []
    for path, after in wanted_files.items():
        before = seen.files.get(path)
        if before != after:
            why = "the triage after a boot needs it" if after is not None else "no triage after a boot is wanted"
            changes.append(Change("file", path, _shown(path, before), _shown(path, after), why, {"content": after}))
    for unit in _UNITS:
        if seen.enabled.get(unit, False) != wanted.present:
            words = {True: "enabled", False: "not enabled"}
            why = "the unit runs after each boot" if wanted.present else "no triage after a boot is wanted"
            changes.append(
                Change(
                    "unit",
                    unit,
                    words[seen.enabled.get(unit, False)],
                    words[wanted.present],
                    why,
                    {"on": wanted.present},
                )
            )
    if not wanted.present:
        # Disabled while its file is still there: systemctl knows no unit without one.
        changes.sort(key=lambda change: change.kind == "file")
    return changes


def _shown(path: str, content: bytes | None) -> str | None:
    """For the diff: never the secret, and of the program its digest."""
    if content is None:
        return None
    if path == PROGRAM:
        return "a zip of {0} bytes, SHA-256 {1}\n".format(len(content), hashlib.sha256(content).hexdigest())
    text = content.decode("utf-8", "replace")
    if path == CONFIG:
        # The address as well: a token often stands in its path.
        text = re.sub(r'("value": )"(?:[^"\\]|\\.)*"', r'\1"(not shown)"', text)
        return re.sub(r'("url": "https?://[^"/?@]*)[^"]*"', r'\1/(not shown)"', text)
    return text

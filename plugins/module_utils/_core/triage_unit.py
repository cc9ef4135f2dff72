# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The event path on a host: a systemd unit that reads a crash after the boot that followed it.

Pure: what the files say. `host_program` plans, `_change/hostprogram.py` carries it out.
"""

from __future__ import annotations

import json
import re
import typing as t

from .errors import ParseError
from .host_program import FOLDER, File, Layout, Unit, folder_for_unit, shown_program

__all__ = ["CONFIG", "LAYOUT", "PATH_UNIT", "PROGRAM", "SERVICE", "Wanted", "Webhook", "wanted_files", "webhook_from"]

PROGRAM = FOLDER + "/triage.pyz"
CONFIG = "/etc/crashready/triage.json"
SERVICE = "/etc/systemd/system/crashready-triage.service"
PATH_UNIT = "/etc/systemd/system/crashready-triage.path"

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
    folder_for_unit(wanted.folder, "crash folder")
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


def wanted_files(wanted: Wanted) -> dict[str, bytes] | None:
    """The files by path, None where nothing of it should be there. Raises ParseError."""
    return files_for(wanted) if wanted.present else None


def _shown_config(content: bytes) -> str:
    """For the diff: never the secret, nor the address' path, in which a token often stands."""
    text = re.sub(r'("value": )"(?:[^"\\]|\\.)*"', r'\1"(not shown)"', content.decode("utf-8", "replace"))
    return re.sub(r'("url": "https?://[^"/?@]*)[^"]*"', r'\1/(not shown)"', text)


#: Both units are wanted by the boot: the path unit sees what comes later, the service what came before.
LAYOUT = Layout(
    files=(File(PROGRAM, shown=shown_program), File(CONFIG, 0o600, _shown_config), File(SERVICE), File(PATH_UNIT)),
    units=(Unit(SERVICE, "multi-user.target"), Unit(PATH_UNIT, "multi-user.target", restart=True)),
    needed_by="the triage after a boot needs it",
    not_wanted="no triage after a boot is wanted",
)

# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The units that copy dumps elsewhere after the boot: what their files say.

Pure. `host_program` plans, `_change/hostprogram.py` carries it out; the program is `_change/ship.py`.
"""

from __future__ import annotations

from . import ship
from .errors import CoreError
from .host_program import FOLDER, File, Layout, Unit, folder_for_unit, shown_program
from .ship import Settings

__all__ = ["LAYOUT", "checked_known_hosts", "checked_recipients", "wanted_files"]

PROGRAM = FOLDER + "/ship.pyz"
CONFIG = "/etc/crashready/ship.json"
SERVICE = "/etc/systemd/system/crashready-ship.service"
TIMER = "/etc/systemd/system/crashready-ship.timer"
PATH_UNIT = "/etc/systemd/system/crashready-ship.path"

# After the triage: with dump_ship_keep_plain false it would find nothing left to read. A private mount namespace: an
# NFS export that is mounted while it is copied to is seen by nobody else, and goes with the process.
_SERVICE_TEXT = """\
# Written by the Ansible role rackops.crashready.dump_ship; changes are lost at its next run.
[Unit]
Description=Copy the dumps of earlier crashes elsewhere
Wants=network-online.target
After=network-online.target local-fs.target kdump-tools.service crashready-triage.service
ConditionPathExists={program}
# In the capture kernel the dump is still being written.
ConditionPathExists=!/proc/vmcore

[Service]
Type=oneshot
ExecStart=/usr/bin/python3 -I {program} {config}
StateDirectory=crashready
StateDirectoryMode=0700
RuntimeDirectory=crashready-ship
RuntimeDirectoryMode=0700
ProtectSystem=strict
ReadWritePaths=-{folder}{writable}
ProtectHome=yes
PrivateTmp=yes
{devices}NoNewPrivileges=yes
CapabilityBoundingSet=CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_CHOWN CAP_NET_RAW{capabilities}
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
ProtectControlGroups=yes
ProtectClock=yes
RestrictSUIDSGID=yes
RestrictRealtime=yes
LockPersonality=yes
SystemCallArchitectures=native
MemoryMax=1G
TimeoutStartSec=12h
Nice=15
IOSchedulingClass=idle
UMask=0077
"""

_TIMER_TEXT = """\
# Written by the Ansible role rackops.crashready.dump_ship; changes are lost at its next run.
[Unit]
Description=Try again to copy dumps elsewhere

[Timer]
OnBootSec=120
OnUnitInactiveSec=300
RandomizedDelaySec=60

[Install]
WantedBy=timers.target
"""

_PATH_TEXT = """\
# Written by the Ansible role rackops.crashready.dump_ship; changes are lost at its next run.
[Unit]
Description=Watch for dumps to copy elsewhere

[Path]
PathChanged={folder}
Unit=crashready-ship.service

[Install]
WantedBy=multi-user.target
"""


def wanted_files(
    settings: Settings | None, program: bytes, known_hosts: str = "", recipients: str = ""
) -> dict[str, bytes] | None:
    """The files by path; None where nothing of it should be there. Raises CoreError."""
    if settings is None:
        return None
    folder_for_unit(settings.crash_folder, "crash folder")
    target = settings.target
    kind = target.kind if target else ""
    service = _SERVICE_TEXT.format(
        program=PROGRAM,
        config=CONFIG,
        folder=settings.crash_folder,
        writable=" -" + target.folder if target and kind == "folder" else "",
        # mount(8) needs both; copies over SSH need neither.
        devices="" if kind == "nfs" else "PrivateDevices=yes\nProtectKernelModules=yes\n",
        capabilities=" CAP_SYS_ADMIN" if kind == "nfs" else "",
    )
    files = {
        PROGRAM: program,
        CONFIG: ship.render(settings).encode("ascii"),
        SERVICE: service.encode("ascii"),
        TIMER: _TIMER_TEXT.encode("ascii"),
        PATH_UNIT: _PATH_TEXT.format(folder=settings.crash_folder).encode("ascii"),
    }
    if kind == "ssh":
        files[ship.KNOWN_HOSTS] = checked_known_hosts(known_hosts).encode("ascii")
    if settings.encrypt:
        files[ship.RECIPIENTS] = checked_recipients(settings.encrypt, recipients).encode("ascii")
    return files


def checked_known_hosts(text: str) -> str:
    """Lines as ssh-keyscan(1) prints them. Raises CoreError: without a pinned key nothing is sent."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if not lines:
        raise CoreError("known_hosts: the key of the far end has to be given; it is never taken on faith")
    for line in lines:
        words = line.split()
        if len(words) < 3 or not line.isascii() or not line.isprintable() or len(line) > 8192:
            raise CoreError("known_hosts: {0!r} is no line of a known_hosts file".format(line[:80]))
    return "\n".join(lines) + "\n"


def checked_recipients(kind: str, text: str) -> str:
    """Public keys: of age its recipients, of gpg one armoured key. Raises CoreError, also for a private key."""
    if "SECRET" in text.upper() or "PRIVATE KEY" in text:
        raise CoreError("recipients: this is a private key; it does not belong on a host that can be lost")
    lines = [line.strip() for line in text.strip().splitlines()]
    if not text.isascii() or len(text) > 65536 or not lines:
        raise CoreError("recipients: a public key has to be given as ASCII")
    if kind == "gpg" and lines[0] != "-----BEGIN PGP PUBLIC KEY BLOCK-----":
        raise CoreError("recipients: gpg wants one armoured public key (gpg --armor --export KEY)")
    if kind == "age" and not all(line.startswith(("age1", "ssh-", "#")) or not line for line in lines):
        raise CoreError("recipients: age wants lines that begin with age1 or ssh-")
    return "\n".join(lines) + "\n"


LAYOUT = Layout(
    files=(
        File(PROGRAM, shown=shown_program),
        File(CONFIG, 0o600),
        File(ship.KNOWN_HOSTS),
        File(ship.RECIPIENTS),
        File(SERVICE),
        File(TIMER),
        File(PATH_UNIT),
    ),
    units=(
        Unit(SERVICE),
        Unit(TIMER, "timers.target", restart=True),
        Unit(PATH_UNIT, "multi-user.target", restart=True),
    ),
    needed_by="dumps are copied elsewhere after the boot",
    not_wanted="no copies are wanted",
)

# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The program of a soak on a host and its systemd unit.

Pure: what the files say. `host_program` plans, `_change/hostprogram.py` carries it out; the program is
`_change/soak.py`.
"""

from __future__ import annotations

import typing as t

from . import soakrecord
from .host_program import FOLDER, File, Layout, Unit, shown_program

__all__ = ["LAYOUT", "PROGRAM", "SERVICE", "wanted_files"]

PROGRAM = FOLDER + "/soak.pyz"
SERVICE = "/etc/systemd/system/crashready-soak@.service"

# Nothing wants this unit: a soak is started by hand, runs until its end without whoever started it, and is over after
# a boot. CAP_NET_RAW is what binding to a device takes; CAP_DAC_READ_SEARCH that root reads what drivers close.
_SERVICE_TEXT = """\
# Written by the Ansible role rackops.crashready.nic_soak; changes are lost at its next run.
[Unit]
Description=Traffic across one NIC (soak %i)
After=network-online.target
ConditionPathExists={program}
# The capture kernel has other things to do.
ConditionPathExists=!/proc/vmcore

[Service]
Type=exec
ExecStart=/usr/bin/python3 -I {program} {folder}/%i.plan {folder}/%i.json
Restart=no
TimeoutStopSec=30
RuntimeDirectory=crashready-soak
RuntimeDirectoryPreserve=yes
ProtectSystem=strict
ReadWritePaths={folder}
ProtectHome=yes
PrivateTmp=yes
NoNewPrivileges=yes
CapabilityBoundingSet=CAP_NET_RAW CAP_DAC_READ_SEARCH
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
MemoryMax=1G
TasksMax=512
UMask=0077
"""


def wanted_files(program: bytes) -> dict[str, bytes]:
    """The files by path."""
    service = _SERVICE_TEXT.format(program=PROGRAM, folder=soakrecord.FOLDER)
    return {PROGRAM: program, SERVICE: service.encode("ascii")}


LAYOUT: t.Final = Layout(
    files=(File(PROGRAM, shown=shown_program), File(SERVICE)),
    units=(Unit(SERVICE),),
    needed_by="a soak needs it",
    not_wanted="no soak is wanted",
)

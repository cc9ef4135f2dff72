# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The unit that keeps netconsole armed on a host, and the one that receives: what their files say.

Pure. `host_program` plans, `_change/hostprogram.py` carries it out; the programs are `_change/netconsole.py` and
`_change/receiver.py`.
"""

from __future__ import annotations

import json

from . import netconsole
from .host_program import FOLDER, File, Layout, Unit, shown_program
from .netconsole import Settings
from .receiver import Limits

__all__ = ["RECEIVER", "RECEIVER_FOLDER", "SENDER", "receiver_files", "sender_files"]

PROGRAM = FOLDER + "/netconsole.pyz"
CONFIG = "/etc/crashready/netconsole.json"
SERVICE = "/etc/systemd/system/crashready-netconsole.service"

RECEIVER_PROGRAM = FOLDER + "/netconsole-receiver.pyz"
RECEIVER_CONFIG = "/etc/crashready/netconsole-receiver.json"
RECEIVER_SERVICE = "/etc/systemd/system/crashready-netconsole-receiver.service"
RECEIVER_SOCKET = "/etc/systemd/system/crashready-netconsole-receiver.socket"
#: Where the files of the hosts are; with DynamicUser= a link into /var/log/private.
RECEIVER_FOLDER = "/var/log/crashready-netconsole"

_SERVICE_TEXT = """\
# Written by the Ansible role rackops.crashready.crash_channels; changes are lost at its next run.
[Unit]
Description=Kernel messages over the network, past a NIC that may be about to die
Documentation=https://docs.kernel.org/networking/netconsole.html
Wants=network-online.target modprobe@netconsole.service sys-kernel-config.mount
After=network-online.target modprobe@netconsole.service sys-kernel-config.mount
ConditionPathExists={program}
# The capture kernel has no NIC to spare, and its messages are not those of the panic.
ConditionPathExists=!/proc/vmcore

[Service]
Type=notify
ExecStart=/usr/bin/python3 -I {program} {config}
# When this ends the kernel goes on sending: a host may panic while it shuts down.
Restart=always
RestartSec=30
RuntimeDirectory=crashready-netconsole
RuntimeDirectoryMode=0755
RuntimeDirectoryPreserve=restart
ProtectSystem=strict
ReadWritePaths=-/sys/kernel/config
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
NoNewPrivileges=yes
CapabilityBoundingSet=CAP_NET_RAW CAP_NET_ADMIN CAP_DAC_OVERRIDE
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
MemoryMax=128M

[Install]
WantedBy=multi-user.target
"""

_RECEIVER_SERVICE_TEXT = """\
# Written by the Ansible role rackops.crashready.crash_channels; changes are lost at its next run.
[Unit]
Description=Keep what dying hosts say, one file a host
# A socket that is restarted takes this along: it cannot give its port to a service that runs already.
Requires=crashready-netconsole-receiver.socket
ConditionPathExists={program}

[Service]
ExecStart=/usr/bin/python3 -I {program} {config}
Restart=on-failure
RestartSec=5
DynamicUser=yes
LogsDirectory=crashready-netconsole
LogsDirectoryMode=0750
UMask=0027
# The port comes from systemd; nothing else of the network is needed, and nothing is sent.
PrivateNetwork=yes
RestrictAddressFamilies=AF_UNIX
ProtectSystem=strict
ProtectHome=yes
PrivateDevices=yes
PrivateUsers=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
ProtectProc=invisible
ProcSubset=pid
RestrictNamespaces=yes
RestrictRealtime=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
CapabilityBoundingSet=
MemoryMax=256M
TasksMax=4
"""

_RECEIVER_SOCKET_TEXT = """\
# Written by the Ansible role rackops.crashready.crash_channels; changes are lost at its next run.
[Unit]
Description=Port for the kernel messages of dying hosts

[Socket]
ListenDatagram={port}
# A panic is a burst, and nobody sends it twice.
ReceiveBuffer=4M

[Install]
WantedBy=sockets.target
"""


def sender_files(settings: Settings | None, program: bytes) -> dict[str, bytes] | None:
    """The files by path on a host that sends; None where nothing of it should be there."""
    if settings is None:
        return None
    return {
        PROGRAM: program,
        CONFIG: netconsole.render(settings).encode("ascii"),
        SERVICE: _SERVICE_TEXT.format(program=PROGRAM, config=CONFIG).encode("ascii"),
    }


def receiver_files(limits: Limits | None, port: int, program: bytes) -> dict[str, bytes] | None:
    """The files by path on the host that receives; None where nothing of it should be there."""
    if limits is None:
        return None
    config = {**limits._asdict(), "allow": list(limits.allow)}
    return {
        RECEIVER_PROGRAM: program,
        RECEIVER_CONFIG: (json.dumps(config, sort_keys=True, indent=1) + "\n").encode("ascii"),
        RECEIVER_SERVICE: _RECEIVER_SERVICE_TEXT.format(program=RECEIVER_PROGRAM, config=RECEIVER_CONFIG).encode(
            "ascii"
        ),
        RECEIVER_SOCKET: _RECEIVER_SOCKET_TEXT.format(port=port).encode("ascii"),
    }


SENDER = Layout(
    files=(File(PROGRAM, shown=shown_program), File(CONFIG), File(SERVICE)),
    units=(Unit(SERVICE, "multi-user.target", restart=True),),
    needed_by="it keeps netconsole armed, also when a link changes",
    not_wanted="no netconsole is wanted",
)
RECEIVER = Layout(
    files=(
        File(RECEIVER_PROGRAM, shown=shown_program),
        File(RECEIVER_CONFIG),
        File(RECEIVER_SERVICE),
        File(RECEIVER_SOCKET),
    ),
    units=(Unit(RECEIVER_SERVICE), Unit(RECEIVER_SOCKET, "sockets.target", restart=True)),
    needed_by="what dying hosts say is kept here",
    not_wanted="nothing is received here",
)

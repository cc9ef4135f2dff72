# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The metrics of a host in node_exporter's textfile folder: a systemd timer and a service that runs our program.

Pure: what the files say. `host_program` plans, `_change/hostprogram.py` carries it out.
"""

from __future__ import annotations

import json
import typing as t

from .errors import ParseError
from .host_program import FOLDER, File, Layout, Unit, folder_for_unit, shown_program

__all__ = ["CONFIG", "LAYOUT", "NAME", "PROGRAM", "SERVICE", "TEXTFILES", "TIMER", "Wanted", "wanted_files"]

PROGRAM = FOLDER + "/metrics.pyz"
CONFIG = "/etc/crashready/metrics.json"
SERVICE = "/etc/systemd/system/crashready-metrics.service"
TIMER = "/etc/systemd/system/crashready-metrics.timer"
#: Where Debian's package prometheus-node-exporter looks (its README.textfile).
TEXTFILES = "/var/lib/prometheus/node-exporter"
#: Of the file there: node_exporter reads *.prom and nothing else.
NAME = "crashready.prom"

# Network: /sys/class/net of the host is read, so it keeps the host's network namespace, and gets no socket but
# AF_UNIX. Devices: what the root filesystem and the crash folder lie on is found below /dev. Capabilities: a folder
# of root's or of the user prometheus is written to, files of any owner are read.
_SERVICE_TEXT = """\
# Written by the Ansible role rackops.crashready.crash_metrics; changes are lost at its next run.
[Unit]
Description=Write what Crashready knows of this host for node_exporter
ConditionPathExists={program}

[Service]
Type=oneshot
ExecStart=/usr/bin/python3 -I {program} {config}
ProtectSystem=strict
ReadWritePaths=-{folder}
ProtectHome=read-only
PrivateTmp=yes
NoNewPrivileges=yes
CapabilityBoundingSet=CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH
RestrictAddressFamilies=AF_UNIX
IPAddressDeny=any
ProtectControlGroups=yes
ProtectClock=yes
RestrictSUIDSGID=yes
RestrictRealtime=yes
LockPersonality=yes
SystemCallArchitectures=native
MemoryMax=512M
TimeoutStartSec=2min
Nice=10
UMask=0022
"""

_TIMER_TEXT = """\
# Written by the Ansible role rackops.crashready.crash_metrics; changes are lost at its next run.
[Unit]
Description=Look every {interval_s} s at what Crashready knows of this host

[Timer]
OnBootSec=60
OnUnitActiveSec={interval_s}
RandomizedDelaySec={spread_s}

[Install]
WantedBy=timers.target
"""


class Wanted(t.NamedTuple):
    """What should be on the host. Without `present` nothing of it."""

    present: bool
    program: bytes = b""
    folder: str = TEXTFILES
    interval_s: int = 300


def wanted_files(wanted: Wanted) -> dict[str, bytes] | None:
    """The files by path, None where nothing should be there. Raises ParseError."""
    if not wanted.present:
        return None
    folder_for_unit(wanted.folder, "textfile folder")
    if not 60 <= wanted.interval_s <= 86400:
        raise ParseError("interval_s: {0} is not between 60 and 86400 seconds".format(wanted.interval_s))
    config = {"file": "{0}/{1}".format(wanted.folder.rstrip("/"), NAME)}
    service = _SERVICE_TEXT.format(program=PROGRAM, config=CONFIG, folder=wanted.folder)
    timer = _TIMER_TEXT.format(interval_s=wanted.interval_s, spread_s=wanted.interval_s // 10)
    return {
        PROGRAM: wanted.program,
        CONFIG: (json.dumps(config, sort_keys=True, indent=1) + "\n").encode("ascii"),
        SERVICE: service.encode("ascii"),
        TIMER: timer.encode("ascii"),
    }


def _output(files: t.Mapping[str, bytes | None]) -> str | None:
    """The file that the program writes with this configuration: one that nobody writes any more would be read on."""
    try:
        path = json.loads(files.get(CONFIG) or b"{}").get("file")
    except (ValueError, AttributeError, RecursionError):
        return None
    return path if isinstance(path, str) and path.startswith("/") and path.endswith("/" + NAME) else None


LAYOUT = Layout(
    files=(File(PROGRAM, shown=shown_program), File(CONFIG), File(SERVICE), File(TIMER)),
    units=(Unit(SERVICE), Unit(TIMER, "timers.target", restart=True)),
    needed_by="the metrics of the host need it",
    not_wanted="no metrics of the host are wanted there",
    output=_output,
)

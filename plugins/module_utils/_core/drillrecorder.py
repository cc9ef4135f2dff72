# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What runs in the capture kernel during a drill, and what makes the panic.

The capture kernel boots the host's own root filesystem with systemd.unit=kdump-tools-dump.service. A drop-in of that
unit wants the recorder, so that the capture command line stays as it is; in a normal boot nothing asks for that unit,
and the recorder wants /proc/vmcore besides. Nothing heavier than sh runs there.
"""

from __future__ import annotations

import typing as t

from .drillrecord import CAPTURE_PATH, FOLDER, SCHEMA, STATE_PATH, marker

__all__ = ["DROP_IN", "FILES", "SCRIPT", "UNIT", "UNIT_NAME", "panic_script", "recorder_files"]

#: On the root filesystem: /var may come later in the capture kernel, or not at all.
SCRIPT = "/etc/crashready/capture-record"
UNIT_NAME = "crashready-capture-record.service"
UNIT = "/etc/systemd/system/" + UNIT_NAME
DROP_IN = "/etc/systemd/system/kdump-tools-dump.service.d/zz-crashready-drill.conf"
FILES = (SCRIPT, UNIT, DROP_IN)

_DROP_IN = """\
# Written by rackops.crashready for one crash drill, and removed after it.
[Unit]
Wants={unit}
"""

_UNIT = """\
# Written by rackops.crashready for one crash drill, and removed after it.
[Unit]
Description=Record of time and memory in the capture kernel
DefaultDependencies=no
ConditionPathExists=/proc/vmcore

[Service]
Type=simple
OOMScoreAdjust=-1000
ExecStart=/bin/sh {script}
"""

# MemAvailable is looked at five times a second and written once a second: a rename of a file that was synced, so that
# a reset at any moment leaves a whole record. Each look is a fork of sleep and nothing else. Where the state of the
# drill cannot be seen yet (/var comes later, or is read-only) the figures are kept and written later.
_SCRIPT = """\
# Written by rackops.crashready for one crash drill, and removed after it.
lowest= lowest_at=0 total=0 wrote=-1
while :; do
    available=
    while read -r key value rest; do
        case $key in
            MemTotal:) total=$value ;;
            MemAvailable:)
                available=$value
                break
                ;;
        esac
    done </proc/meminfo
    read -r uptime rest </proc/uptime
    now=${{uptime%%.*}}
    if [ -n "$available" ] && {{ [ -z "$lowest" ] || [ "$available" -lt "$lowest" ]; }}; then
        lowest=$available lowest_at=$now
    fi
    if [ "$now" -ne "$wrote" ] && [ -n "$lowest" ] && [ -e {state} ]; then
        kills=0
        while read -r key value; do
            case $key in oom_kill)
                kills=$value
                break
                ;;
            esac
        done </proc/vmstat
        wrote=$now
        if printf '{{"schema": {schema}, "drill_id": "{drill_id}", "seconds": %d, "total_bytes": %d, '\\
'"lowest_available_bytes": %d, "lowest_at_s": %d, "oom_kills": %d}}\\n' \\
            "$now" "$((total * 1024))" "$((lowest * 1024))" "$lowest_at" "$kills" 2>/dev/null >{new}; then
            sync {new} && mv {new} {target} && sync {folder}
        fi
    fi
    sleep 0.2
done
"""


def recorder_files(drill_id: str) -> dict[str, str]:
    """Path -> text of what one drill puts on the host."""
    return {
        SCRIPT: _SCRIPT.format(
            schema=SCHEMA,
            drill_id=drill_id,
            state=STATE_PATH,
            new=CAPTURE_PATH + ".new",
            target=CAPTURE_PATH,
            folder=FOLDER,
        ),
        UNIT: _UNIT.format(script=SCRIPT),
        DROP_IN: _DROP_IN.format(unit=UNIT_NAME),
    }


_TRIGGERS: t.Mapping[str, str] = {
    "sysrq": "echo c >/proc/sysrq-trigger",
    "under_load": "echo c >/proc/sysrq-trigger",
    # The tenth tasklet after this panics (cpoint_count of lkdtm).
    "softirq": "modprobe lkdtm && echo PANIC >/sys/kernel/debug/provoke-crash/INT_TASKLET_ENTRY",
}


def panic_script(kind: str, drill_id: str) -> str:
    """What a shell runs to panic the host; for an NMI all but the trigger, which comes from outside.

    The drill's id goes to the kernel log right before: earlier it could have been pushed out of the log's buffer. As
    critical (<2>): with "quiet" a console, and netconsole is one, shows nothing less, and journald writes that out at
    once (systemd-journald.service(8)).
    """
    steps = ["echo '<2>{0}' >/dev/kmsg".format(marker(drill_id)), "timeout 10 journalctl --sync", "sync"]
    if kind in _TRIGGERS:
        steps.append(_TRIGGERS[kind])
    return "; ".join(steps)

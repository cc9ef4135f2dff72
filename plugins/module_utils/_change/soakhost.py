# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The steps of a soak on one of its hosts: look, check, start, stop.

What runs then is `_change/soak.py`, by systemd and without whoever started it.
"""

from __future__ import annotations

import os
import time
import typing as t

from .._core import soak, soak_unit, soakprofile, soakrecord
from .._core.errors import CoreError, ParseError
from .._core.plan import Change, as_diff, as_results
from .._core.problems import Problem
from .._core.soak import Asked
from .._core.text import clean
from .._host.base import Host, Unreadable, look
from .._host.drill import boot_id
from .._host.facts import collect_facts
from .._host.soak import read_record, route_device, see_management, see_nic, see_records, unit_runs
from . import hostprogram
from .bootloader import must
from .files import Stopped, write_file
from .managed import runs_systemd

__all__ = ["Refused", "check", "look_at", "look_for", "start", "stop"]

#: How long a program may take to fail that fails at its start: a port in use, no such address.
_SETTLES_S = 2.0
_TRIAGE = "crashready-triage.service"

Seen = dict[str, t.Any]


class Refused(Exception):
    """The soak may not start here, or nothing could be found out; with every reason."""

    def __init__(self, blockers: t.Sequence[Problem]) -> None:
        told = "; ".join("{0}. Next: {1}".format(each.message, each.remedy) for each in blockers)
        super().__init__(clean(told, 3000))
        self.blockers = list(blockers)


# --- looking ----------------------------------------------------------------------------------------------------------


def look_for(host: Host, soak_id: str | None) -> Seen:
    """{soak_id, boot_id, in_capture, record, alive, pending, outcome}: of the soak that is named, or of the newest.

    `in_capture`: the kernel that answers is a capture kernel, whose dump is not yet written. `pending`: the host has
    panicked and its triage still reads the crash. Raises Stopped and ParseError.
    """
    wanted = soak_id or see_records(host, soak.unit_of)["newest"]
    now = look({}, "boot_id", boot_id, host)
    said: Seen = {"soak_id": wanted, "boot_id": now, "in_capture": host.exists("/proc/vmcore")}
    if wanted is None:
        return {
            **said,
            "record": None,
            "alive": False,
            "pending": False,
            "outcome": soakrecord.outcome(None, now, None),
        }
    record, refused = _record(host, wanted)
    alive = unit_runs(host, soak.unit_of(wanted))
    crashes = None
    if record is not None and record["state"] == "running" and record["boot_id"] != now:
        crashes = collect_facts(host, ("crashes", "capture"))["crashes"]
    outcome = soakrecord.outcome(record, now, crashes, alive)
    if refused is not None:
        outcome["reason"] = refused
    elif said["in_capture"] and outcome["outcome"] == "lost":
        outcome["reason"] = "the host is in its capture kernel, which may still write the dump: look again"
    pending = outcome["outcome"] == "panic" and outcome["signature"] is None and _triage_works(host)
    return {**said, "record": record, "alive": alive, "pending": pending, "outcome": outcome}


def _triage_works(host: Host) -> bool:
    """Whether the triage after a boot is at work, or the boot that wants it is not over."""
    try:
        state = host.run(["systemctl", "show", "--property=ActiveState", "--value", _TRIAGE], timeout_s=20).out.strip()
        boots = host.run(["systemctl", "is-system-running"], timeout_s=20).out.strip()
        installed = host.exists("/etc/systemd/system/" + _TRIAGE)
    except Unreadable:
        return False
    return installed and (state == "activating" or boots in ("initializing", "starting"))


def _record(host: Host, soak_id: str) -> tuple[Seen | None, str | None]:
    """The record, or why it is none. Raises Stopped."""
    try:
        return read_record(host, soak_id), None
    except ParseError as exc:
        return None, "{0}: {1}".format(soakrecord.record_path(soak_id), exc)
    except Unreadable as exc:
        raise Stopped("reading the record of {0}".format(soak_id), exc.reason, "run as root") from exc


def look_at(host: Host, nic: str, management: t.Sequence[str] = ()) -> Seen:
    """All of this host that the soak has to know before it, and `offer`: what its peer has to know of it."""
    facts = collect_facts(host, ("nics", "kernel", "capture", "crashes"))
    found = see_nic(host, nic)
    now = look({}, "boot_id", boot_id, host)
    capture, crashes = facts["capture"], facts["crashes"]
    return {
        "euid": host.euid,
        "boot_id": now,
        "applicable": capture["applicable"],
        "applicable_reason": capture["applicable_reason"],
        "armed": capture["armed"],
        "nic": found,
        "routes": {},
        "management": see_management(host, management),
        "iperf3": None,
        "records": see_records(host, soak.unit_of),
        "identity": _identity(facts, nic),
        "crashes_before": None if crashes is None else [str(crash["path"]) for crash in crashes],
        "offer": {
            "boot_id": now,
            "nic": {key: found[key] for key in ("name", "addresses", "speed_mbps", "mtu")},
        },
    }


def _identity(facts: t.Mapping[str, t.Any], nic: str) -> Seen:
    """Of the record: which kernel, driver and firmware carry the traffic."""
    kernel = facts["kernel"]
    card: t.Mapping[str, t.Any] = next((each for each in facts["nics"] or () if each["name"] == nic), {})
    reasons = card.get("unread") or {}
    package = None
    if kernel.get("package"):
        package = "{0} {1}".format(kernel["package"], kernel.get("package_version") or "").strip()
    found: Seen = {
        "kernel": str(kernel.get("release") or "unknown"),
        "kernel_package": package,
        "driver": card.get("driver"),
        "firmware": (card.get("firmware") or {}).get("raw"),
    }
    unread = {
        "kernel_package": "the running kernel is of no package that is installed",
        "driver": reasons.get("driver") or "it has no driver that it names",
        "firmware": reasons.get("firmware.raw") or reasons.get("firmware") or "the driver names none",
    }
    found["unread"] = {field: clean(str(why), 200) for field, why in unread.items() if found[field] is None}
    return found


# --- checking and starting --------------------------------------------------------------------------------------------


def check(host: Host, asked: Asked, management: t.Sequence[str] = ()) -> Seen:
    """Whether the soak may start here; changes nothing. Raises Refused."""
    seen = look_at(host, asked.nic, management)
    _judge(host, seen, asked)
    address, peer_address = soak.addresses_of(seen, asked)
    return {"address": address, "peer_address": peer_address, "offer": seen["offer"]}


def _judge(host: Host, seen: Seen, asked: Asked) -> None:
    try:
        _own, peer_address = soak.addresses_of(seen, asked)
        seen["routes"] = {peer_address: route_device(host, peer_address)}
    except CoreError:
        pass  # said by find_blockers
    except Unreadable as exc:
        told = "the way to the peer cannot be seen: {0}".format(exc)
        raise Refused([Problem("route", "error", None, told, "apt-get install iproute2")]) from exc
    blockers = soak.find_blockers(seen, asked)
    if blockers:
        raise Refused(blockers)


def start(
    host: Host, asked: Asked, program: bytes, now_utc_s: float, check_mode: bool, management: t.Sequence[str] = ()
) -> Seen:
    """Begin the soak of this id; a second time nothing happens. {changed, changes, diff, record}.

    Raises Refused, Stopped and CoreError.
    """
    record, refused = _record(host, asked.soak_id)
    if refused is not None:
        raise Stopped("the soak {0} has a record already".format(asked.soak_id), refused, "take another id")
    if record is not None:
        return {"changed": False, "changes": [], "diff": [], "record": record}
    seen = look_at(host, asked.nic, management)
    # Check mode has installed nothing.
    seen["iperf3"] = None if check_mode else host.exists("/usr/bin/iperf3")
    _judge(host, seen, asked)
    plan = soak.make_plan(seen, asked, now_utc_s)
    installed = hostprogram.converge(host, soak_unit.LAYOUT, soak_unit.wanted_files(program), check_mode)
    told = "{0}, {1} s, {2} of {3}\n".format(
        soakprofile.describe(plan.record["profile"]), asked.seconds, asked.side, asked.peer
    )
    change = Change("soak", "{0} over {1}".format(asked.soak_id, asked.nic), None, told, "it was asked for by name")
    result = {
        "changed": True,
        "changes": installed["changes"] + as_results([change]),
        "diff": installed["diff"] + as_diff([change]),
        "record": plan.record,
    }
    if not check_mode:
        result["record"] = _begin(host, plan, asked.soak_id)
    return result


def _begin(host: Host, plan: soak.Plan, soak_id: str) -> Seen:
    if not runs_systemd(host):
        raise Stopped("the soak cannot be started", "systemd does not run here", "soak a host with systemd")
    try:
        os.makedirs(soakrecord.FOLDER, mode=0o700, exist_ok=True)
        write_file(soakrecord.plan_path(soak_id), soak.render_plan(plan).encode("ascii"), 0o600)
        write_file(soakrecord.record_path(soak_id), soakrecord.render(plan.record).encode("ascii"), 0o600)
    except OSError as exc:
        raise Stopped("writing the plan of the soak", str(exc), "look at the filesystem of /var/lib") from exc
    unit = soak.unit_of(soak_id)
    try:
        must(host, ["systemctl", "start", unit], "{0} could not be started".format(unit))
    except Stopped:
        _forget(soak_id)
        raise
    time.sleep(_SETTLES_S)
    record, refused = _record(host, soak_id)
    if record is not None and record["state"] == "running" and unit_runs(host, unit):
        return record
    why = (record or {}).get("reason") or refused or "it ended at once"
    raise Stopped("{0} did not stay up".format(unit), why, "journalctl -u {0}".format(unit))


def _forget(soak_id: str) -> None:
    """Of a soak that never was."""
    for path in (soakrecord.plan_path(soak_id), soakrecord.record_path(soak_id)):
        try:
            os.unlink(path)
        except OSError:
            continue


def stop(host: Host, soak_id: str, check_mode: bool) -> Seen:
    """End the soak; its record says so. {changed, changes, diff, record}. Raises Stopped and ParseError."""
    unit = soak.unit_of(soak_id)
    soakrecord.record_path(soak_id)
    running = unit_runs(host, unit)
    changes = [Change("soak", soak_id, "running\n", "stopped\n", "it was asked for")] if running else []
    if changes and not check_mode:
        must(host, ["systemctl", "stop", unit], "{0} could not be stopped".format(unit))
    record, _refused = _record(host, soak_id)
    return {"changed": bool(changes), "changes": as_results(changes), "diff": as_diff(changes), "record": record}

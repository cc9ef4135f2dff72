# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The health gate: whether a host is as well under its new kernel as it was before the boot.

What was bad before is not held against the new kernel; what was not seen before cannot be missed after.
But a thing that was seen before and cannot be read after is a finding: unknown is never good.
"""

from __future__ import annotations

import typing as t

from .problems import Problem
from .text import clean

__all__ = ["compare", "passed", "render_findings"]

Health = t.Mapping[str, t.Any]


def compare(before: Health, after: Health, release: str) -> list[Problem]:
    """Findings of a boot into `release`, errors first.

    `before` and `after` are what `_host.health` read: {release, boot_id, nics [{name, kind, mac, link,
    addresses [{address, fixed}]}], default_routes [{family, interface}], failed_units, system_state, armed,
    capture_problems, unread}.
    """
    found = [
        *_release(after, release),
        *_nics(before, after),
        *_routes(before, after),
        *_units(before, after),
        *_capture(before, after),
    ]
    return sorted(found, key=lambda finding: finding.severity)


def passed(findings: t.Iterable[Problem]) -> bool:
    """Whether nothing stands against the new kernel."""
    return not any(finding.severity == "error" for finding in findings)


def render_findings(findings: t.Iterable[Problem]) -> str:
    """The errors in one line for a message."""
    return "; ".join(finding.message for finding in findings if finding.severity == "error")


def _error(name: str, message: str, remedy: str) -> Problem:
    return Problem(name, "error", None, clean(message, 400), remedy)


def _warning(name: str, message: str, remedy: str) -> Problem:
    return Problem(name, "warning", None, clean(message, 400), remedy)


def _release(after: Health, release: str) -> t.Iterator[Problem]:
    if after["release"] != release:
        message = "kernel {0} runs, {1} was to be booted".format(after["release"], release)
        yield _error("kernel", message, "see the console of the boot, /var/crash and journalctl -b -1")


_LOST_NIC = "look at dmesg of this boot for its driver and firmware; the host goes back to its old kernel"


def _nics(before: Health, after: Health) -> t.Iterator[Problem]:
    if before["nics"] is None:
        return
    if after["nics"] is None:
        reason = after["unread"].get("nics", "unknown")
        yield _error("nics_unread", "the NICs could not be read: {0}".format(reason), _LOST_NIC)
        return
    there = {nic["name"]: nic for nic in after["nics"]}
    names = {nic["mac"]: nic["name"] for nic in after["nics"] if nic["mac"]}
    for nic in before["nics"]:
        now = there.get(nic["name"])
        if now is None:
            renamed = names.get(nic["mac"]) if nic["kind"] == "physical" else None
            how = "is now called {0}".format(renamed) if renamed else "is gone"
            yield _error("nic_gone", "{0} ({1}) {2}".format(nic["name"], nic["mac"], how), _LOST_NIC)
            continue
        yield from _one_nic(nic, now)


def _one_nic(nic: Health, now: Health) -> t.Iterator[Problem]:
    name = nic["name"]
    if nic["mac"] and now["mac"] != nic["mac"] and nic["kind"] == "physical":
        yield _error("nic_mac", "{0} had the MAC {1} and has {2}".format(name, nic["mac"], now["mac"]), _LOST_NIC)
    if nic["link"] and not now["link"]:
        state = "no link" if now["link"] is False else "a link state that cannot be read"
        yield _error("nic_link", "{0} had link and has {1}".format(name, state), _LOST_NIC)
    have = {entry["address"] for entry in now["addresses"]}
    for entry in nic["addresses"]:
        if entry["address"] in have:
            continue
        if entry["fixed"]:
            yield _error("nic_address", "{0} has lost {1}".format(name, entry["address"]), _LOST_NIC)
        elif not any(_family(address) == _family(entry["address"]) for address in have):
            message = "{0} has lost {1} and got no other one".format(name, entry["address"])
            yield _error("nic_address", message, _LOST_NIC)
        else:
            message = "{0} had {1} by lease and has another address now".format(name, entry["address"])
            yield _warning("nic_lease", message, "look whether clients know the new address")


def _family(address: str) -> int:
    return 6 if ":" in address else 4


def _routes(before: Health, after: Health) -> t.Iterator[Problem]:
    now = {(route["family"], route["interface"]) for route in after["default_routes"] or ()}
    for route in before["default_routes"] or ():
        if (route["family"], route["interface"]) not in now:
            message = "the default route (IPv{0}) over {1} is gone".format(route["family"], route["interface"])
            yield _error("default_route", message, "look at the network configuration's log of this boot")


def _units(before: Health, after: Health) -> t.Iterator[Problem]:
    if after["system_state"] in ("initializing", "starting"):
        yield _error("still_starting", "the boot has not ended (systemd: starting)", "wait, then look again")
    if before["failed_units"] is None:
        return
    if after["failed_units"] is None:
        reason = after["unread"].get("failed_units", "unknown")
        yield _error("units_unread", "the units could not be read: {0}".format(reason), "systemctl --failed")
        return
    for unit in after["failed_units"]:
        if unit not in before["failed_units"]:
            yield _error("unit_failed", "{0} failed and was well before".format(unit), "systemctl status " + unit)


def _capture(before: Health, after: Health) -> t.Iterator[Problem]:
    if after["armed"] is not True and before["armed"] is not True:
        message = "no capture kernel is loaded, and none was before: a panic now leaves no dump"
        yield _warning("not_armed", message, "run harden-crash.yml for this host")
        return
    if after["armed"] is not True:
        message = "no capture kernel is loaded for this kernel; before the boot there was one"
        yield _error("not_armed", message, "systemctl status kdump-tools, and the role kdump")
        return
    known = {problem["id"] for problem in before["capture_problems"]}
    for problem in after["capture_problems"]:
        if problem["severity"] == "error" and problem["id"] not in known:
            yield _error("capture_" + problem["id"], problem["message"], problem["remedy"])

# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The plan of `state: absent`: what leads back to the host as it was before the kdump role.

What the record (`_core.kdumpbefore`) has is restored. Without it the role's own
files go, what it edited gets Debian's shipped values, and packages stay.
"""

from __future__ import annotations

import re
import typing as t

from . import cmdline as kernel_cmdline
from . import kdump, shellconf
from .kdumpbefore import OWN_FILES, PATH, Before, FileBefore
from .plan import Change

__all__ = ["Removal", "leaves_reservation", "plan_removal"]

#: What the role sets in /etc/default/kdump-tools; KDUMP_KEXEC_ARGS is the role's where it is exactly "-s".
_CONFIG_KEYS = (
    "USE_KDUMP",
    "KDUMP_KERNEL",
    "KDUMP_INITRD",
    "KDUMP_COREDIR",
    "MAKEDUMP_ARGS",
    "KDUMP_DUMP_DMESG",
    "KDUMP_NUM_DUMPS",
    "KDUMP_CMDLINE_APPEND",
)
#: What kdump-config leaves in the crash folder beside dumps.
LEFT_BY_KDUMP_CONFIG = ("kexec_cmd", "kdump_lock")

Seen = t.Mapping[str, t.Any]


class Removal(t.NamedTuple):
    """Changes in the order of carrying out, and what stays although the role brought it, with the reason."""

    changes: list[Change]
    kept: list[str]


def plan_removal(wanted: kdump.Wanted, capture: Seen, kernel: Seen, past: Seen) -> Removal:
    """Every change that leads back.

    `past` is what `_host.kdumpbefore` saw: `before` (Before or None), `shipped` (the
    package's own settings, or None), `leaving` (packages that can go), `needed`
    ({package: who needs it}), `folders` ({path: {mode, uid, names} or None}).
    A host on which nothing is the role's is left alone.
    """
    before: Before | None = past["before"]
    if before is None and not any(capture["files"].get(path) for path in OWN_FILES):
        return Removal([], [])
    plan = _Plan(wanted, capture, kernel, past)
    for step in (_sysctls, _unit, _config, _boot_files, _debconf, _packages, _folders, _boot_loader, _load, _own_files):
        step(plan)
    return Removal(plan.changes, plan.kept)


class _Plan:
    """What the steps of the plan look at, and what they find."""

    def __init__(self, wanted: kdump.Wanted, capture: Seen, kernel: Seen, past: Seen) -> None:
        self.wanted, self.capture, self.kernel, self.past = wanted, capture, kernel, past
        self.before: Before | None = past["before"]
        self.leaving: list[str] = past["leaving"]
        self.changes: list[Change] = []
        self.kept: list[str] = []

    @property
    def tools_stay(self) -> bool:
        """Whether kdump-tools is there now and afterwards."""
        return bool(self.capture["packages"].get("kdump-tools")) and "kdump-tools" not in self.leaving

    @property
    def kexec_works(self) -> bool:
        """False where nothing can be loaded or unloaded before the next boot (G21)."""
        return bool(self.capture["applicable"] and self.capture["sysctl"].get("kernel.kexec_load_disabled") != "1")

    def add(self, kind: str, target: str, before: str | None, after: str | None, why: str, **data: t.Any) -> None:
        self.changes.append(Change(kind, target, before, after, why, data))

    def write(self, path: str, text: str, mode: int, why: str) -> None:
        """A file with this text, where it is another one."""
        seen = self.capture["files"][path]
        if seen["text"] != text or seen["mode"] != mode:
            shown = (kdump.masked(seen["text"]), kdump.masked(text))
            self.add("file", path, *shown, why, text=text, mode=mode)

    def remove(self, path: str, why: str) -> None:
        seen = self.capture["files"].get(path)
        if seen:
            self.add("file", path, kdump.masked(seen["text"]), None, why)


def _sysctls(plan: _Plan) -> None:
    """The running kernel goes back where it still has the role's value; another one is somebody's later word."""
    seen = plan.capture["files"].get(kdump.SYSCTL_DROP_IN)
    ours = dict(re.findall(r"(?m)^([a-z0-9._]+) = (\S+)$", seen["text"] if seen else ""))
    if plan.before is None:
        if ours and plan.capture["applicable"]:
            plan.kept.append("sysctls of the running kernel, until the next boot: no record says what they were")
        return
    for name, value in sorted(plan.before.sysctls.items()):
        now = plan.capture["sysctl"].get(name)
        if plan.capture["applicable"] and now is not None and now != value and ours.get(name, now) == now:
            plan.add("sysctl", name, now, value, "the running kernel had this before", value=value)


def _unit(plan: _Plan) -> None:
    was_enabled = plan.before is None or plan.before.unit_enabled
    if plan.capture["armed"] and not (plan.tools_stay and was_enabled):
        if plan.kexec_works:
            plan.add("unload", "capture kernel", "loaded", "not loaded", "nothing loaded it before the role")
        elif plan.capture["applicable"]:
            plan.kept.append("the loaded capture kernel, until the next boot: kexec is disabled")
    if plan.tools_stay and not was_enabled and plan.capture["unit"]["enabled"]:
        plan.add("unit", kdump.UNIT, "enabled", "disabled", "it was disabled before the role", enabled=False)


def _config(plan: _Plan) -> None:
    """/etc/default/kdump-tools: what the record has, else what the package ships; it goes with its package."""
    seen = plan.capture["files"].get(kdump.CONFIG)
    if not seen or "kdump-tools" in plan.leaving:
        return
    original, mode, why = plan.past["shipped"], seen["mode"], "the value that Debian ships"
    if plan.before is not None and "kdump-tools" not in plan.before.packages:
        recorded = plan.before.files.get(kdump.CONFIG)
        if recorded is None:
            plan.remove(kdump.CONFIG, "it was not there before the role")
            return
        original, mode, why = recorded.text, recorded.mode, "as it was before the role"
    if original is None:
        plan.kept.append("settings in {0}: the package's own could not be read".format(kdump.CONFIG))
        return
    plan.write(kdump.CONFIG, _restored(seen["text"], original), mode, why)


def _restored(current: str, original: str) -> str:
    """The original byte for byte where nothing but our keys differs, else the text with our keys as they were."""
    now = shellconf.parse_shellconf(current).values
    keys = [*_CONFIG_KEYS, *(["KDUMP_KEXEC_ARGS"] if now.get("KDUMP_KEXEC_ARGS") == "-s" else [])]
    ours = {key: now[key] for key in keys if now.get(key) is not None}
    if shellconf.edit(original, ours) == current:
        return original
    then = shellconf.parse_shellconf(original).values
    return shellconf.edit(current, {key: then.get(key) for key in keys})


def _boot_files(plan: _Plan) -> None:
    if not plan.wanted.boot_loader:
        return
    plan.remove(kdump.GRUB_DROP_IN, "the kernel command line is the administrator's again")
    seen = plan.capture["files"].get(kdump.SYSTEMD_BOOT_CMDLINE)
    if not seen or plan.capture["boot"]["loader"] != "systemd-boot":
        return
    recorded: FileBefore | None = plan.before.files.get(kdump.SYSTEMD_BOOT_CMDLINE) if plan.before else None
    if plan.before and recorded is None and plan.capture["vendor_cmdline"] is not None:
        plan.remove(kdump.SYSTEMD_BOOT_CMDLINE, "it was not there before the role")
        return
    text = _boot_text(seen["text"], recorded)
    mode = recorded.mode if recorded else seen["mode"]
    plan.write(kdump.SYSTEMD_BOOT_CMDLINE, text, mode, "the kernel command line is the administrator's again")
    if plan.before and recorded is None:
        message = "{0}, without crashkernel=: kernel-install would take the running command line in its place"
        plan.kept.append(message.format(kdump.SYSTEMD_BOOT_CMDLINE))


def _boot_text(current: str, recorded: FileBefore | None) -> str:
    line = kernel_cmdline.remove(" ".join(current.split()), "crashkernel")
    if recorded is None:
        return line + "\n"
    text = recorded.text or ""
    bare = " ".join(text.split())
    for parameter in ("crashkernel", "BOOT_IMAGE", "initrd"):
        bare = kernel_cmdline.remove(bare, parameter)
    if bare == line:
        return text
    then = [p.raw for p in kernel_cmdline.parse(text) if p.name == "crashkernel"]
    return " ".join([line, *then]).strip() + "\n"


def _debconf(plan: _Plan) -> None:
    if plan.before is None or not plan.tools_stay:
        return  # it goes with the package
    for question, value in sorted(plan.before.debconf.items()):
        now = plan.capture["debconf"].get(question)
        if question == "kdump-tools/use_kdump" and now != value:
            plan.add("debconf", question, now, value, "the answer before the role", value=value)


def _packages(plan: _Plan) -> None:
    """What the role installed, less what something else needs by now."""
    for name in plan.leaving:
        plan.add("package", name, "installed", None, "the role installed it")
    for name, who in sorted(plan.past["needed"].items()):
        plan.kept.append("package {0}: {1} needs it".format(name, who))
    if plan.before is None and plan.tools_stay:
        plan.kept.append("packages: no record says that the role installed them (apt-get purge kdump-tools)")


def _folders(plan: _Plan) -> None:
    """Crash folders as they were; one with dumps stays closed, since a dump holds the host's memory (G5)."""
    for path, then in sorted((plan.before.folders if plan.before else {}).items()):
        now = plan.past["folders"].get(path)
        if now is None:
            continue
        shown = "mode {0:04o}, owner {1}"
        before = shown.format(now["mode"], now["uid"])
        if [name for name in now["names"] if name not in LEFT_BY_KDUMP_CONFIG]:
            if then is None or before != shown.format(then.mode, then.uid):
                plan.kept.append("the crash folder {0}, closed: it is not empty".format(path))
        elif then is None:
            plan.add("directory", path, before, None, "it was not there before the role")
        elif before != shown.format(then.mode, then.uid):
            after = shown.format(then.mode, then.uid)
            plan.add("directory", path, before, after, "as it was before the role", mode=then.mode, uid=then.uid)


def _boot_loader(plan: _Plan) -> None:
    """Behind the packages: kdump-tools generates GRUB's menu when it goes, with its own drop-in still there (G22)."""
    boot = plan.capture["boot"]
    generated = [entry for entry in boot["entries"] if entry["generated"]]
    if not plan.wanted.boot_loader or boot["loader"] not in ("grub", "systemd-boot") or not generated:
        return
    seen = sorted({" ".join(entry["crashkernel"]) or "none" for entry in generated})
    data = {"releases": [k["release"] for k in plan.kernel["installed"] or () if k["vmlinuz"]]}
    before = "crashkernel={0}".format(", ".join(seen))
    plan.add("boot_loader", boot["loader"], before, _shown(plan.before), "boot entries follow", **data)


def _shown(before: Before | None) -> str:
    if before is None:
        return "what the administrator's and Debian's files say"
    return "crashkernel={0}".format(" ".join(before.crashkernel) or "none")


def _load(plan: _Plan) -> None:
    """A capture kernel that stays is loaded again with the settings that are in force by then (G8)."""
    changed = [change for change in plan.changes if change.target == kdump.CONFIG]
    unloaded = any(change.kind == "unload" for change in plan.changes)
    if not changed or unloaded or not (plan.capture["armed"] and plan.tools_stay and plan.kexec_works):
        return
    text = changed[0].data.get("text", "")
    if shellconf.parse_shellconf(text).values.get("USE_KDUMP") == "1":
        plan.add("load", "capture kernel", "loaded", "loaded with the settings before", "its settings change")
    else:
        plan.add("unload", "capture kernel", "loaded", "not loaded", "the settings before do not ask for one")


def _own_files(plan: _Plan) -> None:
    """Last: a run that breaks off before leaves the marks by which the next one goes on."""
    for path in OWN_FILES:
        if path != kdump.GRUB_DROP_IN:
            plan.remove(path, "it is the role's")
    if plan.before is not None:
        plan.add("file", PATH, "what was before the role", None, "nothing is left to go back to")


def leaves_reservation(capture: Seen, removal: Removal, before: Before | None) -> list[str]:
    """Why the host has to boot again before its memory is its own; empty where it need not.

    `removal` is what is still to be done: in check mode the boot entries are foretold from the record.
    """
    running = capture["cmdline"]["crashkernel"]
    if not capture["applicable"] or not running:
        return []
    upcoming = [entry for entry in capture["boot"]["entries"] if entry["is_next"]]
    then = upcoming[0]["crashkernel"] if upcoming else None
    if any(change.kind == "boot_loader" for change in removal.changes):
        then = list(before.crashkernel) if before else []
    if then is None or then == running:
        return []
    shown = " ".join("crashkernel=" + value for value in running)
    after = " ".join("crashkernel=" + value for value in then) or "no crashkernel="
    return ["memory stays reserved until the next boot: the running kernel has {0}, the next {1}".format(shown, after)]

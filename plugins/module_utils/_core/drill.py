# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""A crash drill: may this host go now, and does what it left prove its capture."""

from __future__ import annotations

import re
import typing as t

from .drillrecord import Before, CaptureRecord, Proof
from .problems import Problem
from .text import clean, human_bytes

__all__ = [
    "LOAD_LEAST",
    "STALE_S",
    "Asked",
    "Found",
    "busy_arrays",
    "find_blockers",
    "judge",
    "make_proof",
    "strangers",
]

MIB = 1024 * 1024
#: What may still wait to be written after a sync; more means that something writes all the time.
DIRTY_LIMIT = 64 * MIB
#: A drill that was prepared and never panicked is given up after this long, in seconds.
STALE_S = 3600
#: Below this nobody calls a NIC loaded, in bytes a second.
LOAD_LEAST = 1024 * 1024

Seen = t.Mapping[str, t.Any]


# --- may this host go -------------------------------------------------------------------------------------------------


class Asked(t.NamedTuple):
    """What the user wants, and what the controller knows of the rack."""

    name: str  #: inventory name of the host
    consent: str | None = None  #: has to be the same name
    kind: str = "sysrq"
    group: str | None = None  #: the redundancy group, where one is named
    members: t.Mapping[str, str | None] = {}  #: the others in it; the text says why one cannot take over now
    controller_boot_id: str | None = None
    ready: bool = False  #: for nmi and under_load: the command that does it is given


def strangers(asked: t.Iterable[str], inventory: t.Container[str]) -> list[Problem]:
    """One problem for each name that is no host of the inventory."""
    return [
        Problem(
            "not_in_inventory",
            "error",
            None,
            "{0!r} is no host of the inventory; a drill takes host names, no groups and no patterns".format(
                clean(name, 80)
            ),
            "see the names with: ansible-inventory -i INVENTORY --graph",
        )
        for name in asked
        if name not in inventory
    ]


def find_blockers(seen: Seen, asked: Asked, now_s: float) -> list[Problem]:
    """Every reason not to let this host panic now. `seen` is what `_host.drill.see_drill` gives."""
    return [
        *_consent(asked),
        *_place(seen, asked),
        *_not_armed(seen),
        *_under_way(seen, now_s),
        *_group(asked),
        *_storage(seen),
        *_packages(seen),
        *_kind(seen, asked),
    ]


def _problem(name: str, message: str, remedy: str, gap: str | None = None) -> Problem:
    return Problem(name, "error", gap, message, remedy)


def _consent(asked: Asked) -> t.Iterator[Problem]:
    if asked.consent == asked.name:
        return
    message = "nobody said yes to a panic of {0}".format(asked.name)
    if asked.consent:
        message += " (the yes is for {0!r})".format(clean(asked.consent, 80))
    yield _problem(
        "no_consent", message, "set crash_drill_consent: {0}, or type the name at the prompt".format(asked.name)
    )


def _place(seen: Seen, asked: Asked) -> t.Iterator[Problem]:
    if seen["euid"] != 0:
        yield _problem("root", "a drill needs root", "set become: true (ansible-playbook -b)")
    if not seen["applicable"]:
        message = "no panic of its own: {0}".format(seen["applicable_reason"])
        yield _problem("container", message, "drill the machine below it", "G34")
    if asked.controller_boot_id and asked.controller_boot_id == seen["boot_id"]:
        message = "{0} runs on the kernel that this command runs on: nobody would be left to look".format(asked.name)
        yield _problem("controller", message, "start the drill from another machine")
    if seen["boot_id"] is None:
        message = "the boot id cannot be read: {0}".format(seen["unread"].get("boot_id"))
        yield _problem("boot_id", message, "look at /proc/sys/kernel/random/boot_id on the host")


def _not_armed(seen: Seen) -> t.Iterator[Problem]:
    if not seen["applicable"]:
        return
    if seen["armed"] is not True:
        message = "no capture kernel is loaded: the panic would be lost"
        yield _problem("not_armed", message, "run harden-crash.yml for this host", "G2")
    for problem in seen["problems"]:
        if problem["severity"] == "error" and problem["id"] not in ("not_armed", "armed_unread"):
            yield _problem(problem["id"], problem["message"], problem["remedy"], problem["gap"])


def _under_way(seen: Seen, now_s: float) -> t.Iterator[Problem]:
    clear = "ansible HOST -b -m rackops.crashready.crash_drill -a 'action=clear'"
    if seen["state_refused"]:
        message = "the state of a drill on this host is not to be believed: {0}".format(seen["state_refused"])
        yield _problem("state", message, "look at it, then: {0}".format(clear))
    before = seen["state"]
    if before is None or before.boot_id != seen["boot_id"] or not 0 <= now_s - before.began_s < STALE_S:
        return
    message = "another drill ({0}, {1}) began {2:.0f} s ago and has not panicked yet".format(
        before.drill_id, before.kind, now_s - before.began_s
    )
    yield _problem("under_way", message, "wait for it; where nobody runs it any more: {0}".format(clear))


def _group(asked: Asked) -> t.Iterator[Problem]:
    if asked.group is None:
        return
    group = clean(asked.group, 80)
    if not asked.members:
        message = "{0} is the only member of its redundancy group {1}: nothing takes over".format(asked.name, group)
        yield _problem("alone", message, "drain it, then leave crash_drill_group empty for this host")
    for member, why in sorted(asked.members.items()):
        if why:
            message = "{0} of the same redundancy group {1} cannot take over: {2}".format(
                clean(member, 80), group, clean(why, 200)
            )
            yield _problem("member_down", message, "bring {0} back first".format(clean(member, 80)))


def _storage(seen: Seen) -> t.Iterator[Problem]:
    for array, what in seen["arrays"]:
        message = "the RAID array {0} is {1}".format(array, what)
        yield _problem("raid", message, "wait until /proc/mdstat shows it whole and idle")
    for device in seen["damaged"]:
        message = "the filesystem on {0} has recorded errors".format(clean(device, 60))
        yield _problem("filesystem", message, "check it (fsck) before the host loses power on purpose")
    dirty = seen["dirty_bytes"]
    if dirty is None:
        message = "it could not be seen what still has to be written: {0}".format(seen["unread"].get("dirty_bytes"))
        yield _problem("dirty", message, "look at Dirty in /proc/meminfo")
    elif dirty > DIRTY_LIMIT:
        message = "{0} wait to be written even after a sync: something writes all the time".format(human_bytes(dirty))
        yield _problem("dirty", message, "drain the host first (crash_drill_before_command)")
    if seen["sync_failed"]:
        yield _problem("sync", "sync failed: {0}".format(seen["sync_failed"]), "find the disk that does not answer")


def _packages(seen: Seen) -> t.Iterator[Problem]:
    if seen["busy_packages"]:
        message = "packages are being changed now ({0} runs)".format(", ".join(seen["busy_packages"]))
        yield _problem("dpkg_running", message, "wait until it has ended")
    if seen["dpkg_interrupted"]:
        message = "dpkg was interrupted: {0}".format(seen["dpkg_interrupted"])
        yield _problem("dpkg_interrupted", message, "dpkg --configure -a")


def _kind(seen: Seen, asked: Asked) -> t.Iterator[Problem]:
    if asked.kind == "nmi":
        if not seen["unknown_nmi_panic"]:
            message = "this kernel has no kernel.unknown_nmi_panic: an NMI from outside does not panic it"
            yield _problem("nmi", message, "use the kind sysrq")
        elif not asked.ready:
            message = "an NMI has to come from outside: a BMC or a hypervisor"
            remedy = "set crash_drill_nmi_command, such as: ipmitool -I lanplus -H BMC chassis power diag"
            yield _problem("nmi", message, remedy)
    elif asked.kind == "softirq" and not seen["lkdtm"]:
        message = "a panic inside softirq needs the kernel's crash test module, and this kernel has no lkdtm"
        yield _problem("softirq", message, "use the kind sysrq, or a kernel with CONFIG_LKDTM")
    elif asked.kind == "under_load" and not asked.ready:
        message = "there is no load: nothing says what makes the traffic"
        yield _problem("under_load", message, "set crash_drill_load_command, such as: iperf3 --client PEER --time 600")


_MD_ARRAY = re.compile(r"^(md\S{1,40}) : (\S+)")
_MD_WORK = re.compile(r"\b(resync|recovery|reshape|check|repair)\s*=\s*(\S{1,20})")
_MD_MEMBERS = re.compile(r"\[([U_]{1,512})\]")


def busy_arrays(mdstat: str) -> list[tuple[str, str]]:
    """Arrays of /proc/mdstat that are not whole and idle: (name, what it does), such as ("md0", "in recovery (12.6%)").

    The format is that of md_seq_show in drivers/md/md.c.
    """
    found: list[tuple[str, str]] = []
    name = ""
    for line in mdstat.splitlines()[:4096]:
        array = _MD_ARRAY.match(line)
        if array:
            name = clean(array.group(1), 40)
            continue
        work, members = _MD_WORK.search(line), _MD_MEMBERS.search(line)
        if name and work:
            found.append((name, "in {0} ({1})".format(work.group(1), clean(work.group(2), 20))))
        elif name and members and "_" in members.group(1):
            found.append((name, "degraded [{0}]".format(members.group(1)[:64])))
    return found


# --- the verdict ------------------------------------------------------------------------------------------------------


class Found(t.NamedTuple):
    """What was there after the panic."""

    boot_id: str | None
    opened: Seen | None  #: result of `_change.opendump.prove_dump`; None: no crash directory is new
    folder_closed: bool  #: the crash folder is root's alone
    dump_uid: int | None
    capture: CaptureRecord | None
    capture_unread: str | None  #: why there is no capture record
    dump_mtime_s: float | None
    deadline_s: int | None  #: after which a capture is reset, where that unit is installed


#: What the kernel log of each kind says (drivers/tty/sysrq.c, arch/x86/kernel/nmi.c, drivers/misc/lkdtm).
_NMI_PANIC = re.compile(r"Kernel panic - not syncing: NMI")
_LKDTM_PANIC = re.compile(r"Kernel panic - not syncing: dumptest")


def judge(before: Before, found: Found) -> list[str]:
    """Why the drill does not prove the capture, one sentence each; empty: proven."""
    if found.boot_id == before.boot_id:
        return ["the host did not panic: it still runs the boot that the drill began in ({0})".format(before.boot_id)]
    opened = found.opened
    if opened is None:
        message = "no dump: nothing new lies in {0}. {1}"
        return [message.format(before.folder, _how_far(found)), *_memory(found)]
    reasons = [clean(str(problem), 400) for problem in opened["problems"]]
    if not opened["opened"] and not reasons:
        reasons.append("the dump was not opened, and nothing says why")
    reasons += _is_of_kind(before.kind, opened.get("dmesg") or {})
    reasons += _owner(found, opened)
    if reasons:
        reasons += [_how_far(found), *_memory(found)]
    return reasons


def _is_of_kind(kind: str, dmesg: Seen) -> list[str]:
    panic = dmesg.get("panic")
    if panic is None:
        return []  # said by the opening
    right = {
        "sysrq": dmesg.get("sysrq") is True,
        "under_load": dmesg.get("sysrq") is True,
        "nmi": _NMI_PANIC.match(panic) is not None,
        "softirq": _LKDTM_PANIC.match(panic) is not None,
    }[kind]
    return [] if right else ["the dump is of another panic than the drill's ({0}): {1}".format(kind, clean(panic, 200))]


def _owner(found: Found, opened: Seen) -> list[str]:
    exposed = list((opened.get("crash") or {}).get("exposed") or [])
    reasons = []
    if exposed and not found.folder_closed:
        reasons.append("others than root can read it: {0} (G5)".format(clean("; ".join(map(str, exposed)), 300)))
    if found.dump_uid not in (0, None):
        reasons.append("the dump belongs to uid {0}, not to root".format(found.dump_uid))
    return reasons


def _how_far(found: Found) -> str:
    """What is known of a capture that did not end well."""
    record = found.capture
    if record is None:
        told = "the capture kernel left no word of itself ({0}): it never started, or died before its systemd ran"
        return told.format(found.capture_unread or "no record") + "; the console would show it"
    if found.deadline_s is not None and record.seconds >= found.deadline_s - 2:
        told = "the capture did not end within its time limit of {0} s and was reset (G26), {1} s after it had begun"
        return told.format(found.deadline_s, record.seconds)
    return "the capture kernel was last seen {0} s after its start".format(record.seconds)


def _memory(found: Found) -> list[str]:
    record = found.capture
    if record is None:
        return []
    told = "of {0} the capture kernel had {1} left at its fullest ({2} s after its start)".format(
        human_bytes(record.total_bytes), human_bytes(record.lowest_available_bytes), record.lowest_at_s
    )
    if record.oom_kills:
        return [
            "{0}, and it killed {1} processes for want of memory: the reservation is too small (G15)".format(
                told, record.oom_kills
            )
        ]
    if record.lowest_available_bytes < 8 * MIB:
        return [told + ": the reservation is too small (G15)"]
    return [told]


def make_proof(before: Before, found: Found, reasons: t.Sequence[str]) -> Proof:
    """The record of a drill."""
    opened = found.opened or {}
    dump = opened.get("dump") or {}
    crashed = dump.get("crash_time")
    record = found.capture
    seconds = record.seconds if record is not None else None
    if seconds is None and found.dump_mtime_s is not None and isinstance(crashed, int):
        # Both by the clock of the host, which the capture kernel reads from the hardware: good to a few seconds.
        apart = int(found.dump_mtime_s) - crashed
        seconds = apart if 0 <= apart < 7 * 86400 else None
    file = opened.get("file") if dump else None
    return Proof(
        drill_id=before.drill_id,
        when_s=float(crashed) if isinstance(crashed, int) and not reasons else before.began_s,
        kind=before.kind,
        proven=not reasons,
        reasons=tuple(clean(reason, 400) for reason in reasons),
        identity=before.identity,
        dump_path=clean(str(file), 4096) if file else None,
        dump_bytes=dump.get("size_bytes"),
        seconds=seconds,
        lowest_available_bytes=record.lowest_available_bytes if record is not None else None,
        oom_kills=record.oom_kills if record is not None else None,
    )

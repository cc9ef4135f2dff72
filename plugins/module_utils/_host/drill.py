# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What a crash drill has to know of a host before it, and what it left behind."""

from __future__ import annotations

import json
import posixpath
import re
import typing as t

from .._core import drillrecord, kdump
from .._core.cmdline import values as cmdline_values
from .._core.crashkernel import Needs
from .._core.drill import busy_arrays
from .._core.drillchannels import Heard, hear
from .._core.drillrecord import marker
from .._core.errors import ParseError
from .._core.text import clean
from .base import Host, Unreadable, look
from .packages import unfinished_packages
from .storage import nic_modules

__all__ = [
    "boot_id",
    "deadline_s",
    "dirty_bytes",
    "hear_journal",
    "hear_pstore",
    "hear_receiver",
    "read_before",
    "read_capture",
    "read_proof",
    "see_drill",
    "see_needs",
    "traffic",
]

Seen = dict[str, t.Any]
_T = t.TypeVar("_T")

_BOOT_ID = "/proc/sys/kernel/random/boot_id"
_MEMINFO_LIMIT = 64 * 1024
_PROCESSES_LIMIT = 65536
#: Programs that change packages. "unattended-upgr" is how the kernel cuts the name.
_CHANGERS = frozenset(("dpkg", "apt", "apt-get", "aptitude", "unattended-upgr", "apt.systemd.dai"))


def boot_id(host: Host) -> str:
    """The random id of this boot. Raises Unreadable."""
    return clean(host.read_line(_BOOT_ID), 64)


def see_drill(host: Host, capture: t.Mapping[str, t.Any], problems: t.Sequence[t.Mapping[str, t.Any]]) -> Seen:
    """What `_core.drill.find_blockers` wants; `capture` is what see_capture saw, `problems` as facts show them."""
    unread: dict[str, str] = {}
    state, refused = _read_state(host)
    return {
        "euid": host.euid,
        "boot_id": look(unread, "boot_id", boot_id, host),
        "in_capture": host.exists("/proc/vmcore"),
        "applicable": capture["applicable"],
        "applicable_reason": capture["applicable_reason"],
        "armed": capture["armed"],
        "problems": list(problems),
        "state": state,
        "state_refused": refused,
        "arrays": busy_arrays(look({}, "mdstat", host.read, "/proc/mdstat", 1024 * 1024) or ""),
        "damaged": _damaged(host),
        "dirty_bytes": look(unread, "dirty_bytes", dirty_bytes, host),
        "sync_failed": None,
        "busy_packages": _busy_packages(host),
        "dpkg_interrupted": _dpkg_interrupted(host),
        "unknown_nmi_panic": host.exists("/proc/sys/kernel/unknown_nmi_panic"),
        "lkdtm": _has_module(host, "lkdtm"),
        "unread": unread,
    }


def _read_state(host: Host) -> tuple[drillrecord.Before | None, str | None]:
    try:
        return read_before(host), None
    except ParseError as exc:
        return None, clean(str(exc), 300)


def _damaged(host: Host) -> list[str]:
    """ext4 filesystems in use whose superblock counts errors (Documentation/ABI/testing/sysfs-fs-ext4)."""
    try:
        names = host.listdir("/sys/fs/ext4")
    except Unreadable:
        return []
    found = []
    for name in names:
        count = look({}, name, host.read_line, "/sys/fs/ext4/{0}/errors_count".format(name))
        if count and count.isdigit() and int(count):
            found.append(clean(name, 60))
    return found


def dirty_bytes(host: Host) -> int:
    """What waits to be written to disks. Raises Unreadable."""
    text = host.read("/proc/meminfo", _MEMINFO_LIMIT)
    sizes = re.findall(r"^(?:Dirty|Writeback):\s+(\d{1,15}) kB", text, re.M)
    if len(sizes) != 2:
        raise Unreadable("/proc/meminfo", "no Dirty and Writeback in it")
    return sum(int(size) for size in sizes) * 1024


def _busy_packages(host: Host) -> list[str]:
    """Programs at work on packages, by the names of the processes."""
    try:
        numbers = [name for name in host.listdir("/proc") if name.isdigit()][:_PROCESSES_LIMIT]
    except Unreadable:
        return []
    found = set()
    for number in numbers:
        name = look({}, "comm", host.read_line, "/proc/{0}/comm".format(number))
        if name in _CHANGERS and not _only_waits(host, number):
            found.add(name)
    return sorted(found)


def _only_waits(host: Host, number: str) -> bool:
    """unattended-upgrades.service is there all the time, to hold a shutdown back while an upgrade runs."""
    line = look({}, "cmdline", host.read, "/proc/{0}/cmdline".format(number), 4096) or ""
    return "unattended-upgrade-shutdown" in line


def _dpkg_interrupted(host: Host) -> str | None:
    try:
        return clean(", ".join(unfinished_packages(host)[:5]), 300) or None
    except Unreadable as exc:
        return "its status could not be read ({0})".format(exc.reason)


def _has_module(host: Host, name: str) -> bool:
    try:
        return host.run(["modinfo", "-n", name]).rc == 0
    except Unreadable:
        return False


# --- what a drill left ------------------------------------------------------------------------------------------------


def read_before(host: Host) -> drillrecord.Before | None:
    """The host before its panic; None where no drill is under way. Raises ParseError where it is not to be believed."""
    return _record(host, drillrecord.STATE_PATH, drillrecord.parse_before)


def read_capture(host: Host) -> drillrecord.CaptureRecord | None:
    """What the capture kernel wrote of itself; None where there is nothing. Raises ParseError."""
    return _record(host, drillrecord.CAPTURE_PATH, drillrecord.parse_capture)


def read_proof(host: Host) -> tuple[drillrecord.Proof | None, str | None]:
    """The last verdict, or the reason why there is none to be seen; (None, None): no drill was recorded."""
    try:
        return _record(host, drillrecord.PROOF_PATH, drillrecord.parse_proof), None
    except ParseError as exc:
        return None, clean(str(exc), 300)


def _record(host: Host, path: str, parse: t.Callable[[str], _T]) -> _T | None:
    """One record that root alone could have written."""
    for place, kind in ((posixpath.dirname(path), "directory"), (path, "file")):
        try:
            status = host.lstat(place)
        except Unreadable as exc:
            if exc.reason == "not found":
                return None
            raise ParseError("{0}: {1}".format(place, exc.reason)) from exc
        if status.kind != kind or status.uid != 0 or status.mode & 0o022:
            told = "{0} is a {1} with mode {2:04o} of user {3}, and not root's alone"
            raise ParseError(told.format(place, status.kind, status.mode, status.uid))
    try:
        return parse(host.read(path, drillrecord.LIMIT_BYTES))
    except Unreadable as exc:
        raise ParseError("{0}: {1}".format(path, exc.reason)) from exc
    except ParseError as exc:
        raise ParseError("{0}: {1}".format(path, exc)) from exc


def deadline_s(host: Host) -> int | None:
    """After how many seconds a capture boot is reset; None where that unit is not installed."""
    text = look({}, "deadline", host.read, kdump.DEADLINE_UNIT, 64 * 1024) or ""
    match = re.search(r"^ExecStart=.*?\bsleep (\d{1,7});", text, re.M)
    return int(match.group(1)) if match else None


def traffic(host: Host, interface: str | None) -> int:
    """Bytes that the NICs (or one of them) have received and sent since they are up. Raises Unreadable."""
    names = [interface] if interface else [name for name in host.listdir("/sys/class/net") if nic_modules(host, name)]
    total = 0
    for name in names:
        for way in ("rx_bytes", "tx_bytes"):
            text = host.read_line("/sys/class/net/{0}/statistics/{1}".format(name, way))
            if not text.isdigit():
                raise Unreadable(name, "its counters are no numbers")
            total += int(text)
    return total


# --- what came through the channels -----------------------------------------------------------------------------------

_TEXT_LIMIT = 4 * 1024 * 1024
_PSTORE = ("/sys/fs/pstore", "/var/lib/systemd/pstore")
_PSTORE_FILES = 512


def hear_pstore(host: Host, drill_id: str, began_s: float) -> Heard:
    """In the records of pstore, wherever systemd-pstore has moved them, that are newer than the drill's beginning."""
    best = Heard(False, False, " and ".join(_PSTORE))
    for folder in _PSTORE:
        texts = []
        for path in _files_below(host, folder, 3):
            status = look({}, path, host.lstat, path)
            # The clock of the firmware may be some minutes off.
            if status is not None and status.mtime >= began_s - 3600:
                texts.append(look({}, path, host.read, path, _TEXT_LIMIT // 16) or "")
        found = hear("\n".join(texts), drill_id, folder)
        if (found.arrived, found.panic) > (best.arrived, best.panic):
            best = found
    return best


def _files_below(host: Host, folder: str, depth: int) -> list[str]:
    found: list[str] = []
    try:
        names = host.listdir(folder)
    except Unreadable:
        return []
    for name in names:
        path = "{0}/{1}".format(folder, name)
        status = look({}, path, host.lstat, path)
        if status is not None and status.kind == "directory" and depth:
            found += _files_below(host, path, depth - 1)
        elif status is not None and status.kind == "file":
            found.append(path)
    return found[:_PSTORE_FILES]


def hear_journal(host: Host, drill_id: str, of_boot: str) -> Heard:
    """In the kernel messages that the journal has of the boot that panicked."""
    argv = ["journalctl", "--quiet", "--no-pager", "--output=cat", "--boot=" + of_boot.replace("-", ""), "--dmesg"]
    try:
        done = host.run([*argv, "--lines=5000"], timeout_s=120)
    except Unreadable as exc:
        return Heard(None, False, "journalctl: {0}".format(exc.reason))
    if done.rc != 0 and not done.out:
        return Heard(False, False, "the journal has nothing of that boot")
    return hear(done.out, drill_id, "the journal of that boot")


def hear_receiver(host: Host, drill_id: str, folder: str) -> Heard:
    """In the newest files of a receiver of netconsole, on the machine where it runs."""
    try:
        names = [name for name in host.listdir(folder) if re.search(r"\.log(?:\.1)?\Z", name)]
    except Unreadable as exc:
        return Heard(None, False, "{0} on the receiver: {1}".format(folder, exc.reason))
    best = Heard(False, False, "the files of the receiver")
    for name in names[:_PSTORE_FILES]:
        path = "{0}/{1}".format(folder, name)
        status = look({}, path, host.lstat, path)
        if status is None or status.kind != "file":
            continue
        tail = look({}, path, host.read_bytes, path, _TEXT_LIMIT, max(0, status.size - _TEXT_LIMIT)) or b""
        text = tail.decode("utf-8", "replace")
        # Of this host and this panic: another host's panic may lie in another file.
        found = hear(text[max(0, text.find(marker(drill_id))) :], drill_id, "{0} on the receiver".format(path))
        if found.arrived and (found.panic, True) > (best.panic, bool(best.arrived)):
            best = found
    return best


# --- what the capture boot takes memory for ---------------------------------------------------------------------------


def see_needs(host: Host, capture: t.Mapping[str, t.Any]) -> Needs:
    """The terms of `_core.crashkernel.estimate`; `capture` is what see_capture saw."""
    append = (capture["config"].get("KDUMP_CMDLINE_APPEND") or "").strip()
    blocked = {name for text in cmdline_values(append, "module_blacklist") for name in (text or "").split(",")}
    initrd = capture["initrds"].get(capture["running_release"]) or {}
    return Needs(
        memory_bytes=capture["memory_bytes"] or 0,
        kernel_bytes=look({}, "iomem", _kernel_bytes, host),
        initrd_bytes=initrd.get("bytes"),
        unpacked_bytes=look({}, "initrd", _unpacked_bytes, host, initrd.get("path")),
        modules_bytes=look({}, "modules", _modules_bytes, host, blocked),
        cpus=look({}, "cpus", _cpus, host),
        nics=tuple(_kept_nics(host, blocked)),
        kdf_bytes=look({}, "luks", _kdf_bytes, host),
        page_size=capture["page_size"],
    )


def _kernel_bytes(host: Host) -> int:
    """Code, read-only data, data and bss of the running kernel. Without root all addresses are 0."""
    text = host.read("/proc/iomem", 1024 * 1024)
    ranges = re.findall(r"^\s*([0-9a-f]{1,16})-([0-9a-f]{1,16}) : Kernel (?:code|rodata|data|bss)$", text, re.M)
    size = sum(int(end, 16) - int(start, 16) + 1 for start, end in ranges)
    if size < 1024 * 1024:
        raise Unreadable("/proc/iomem", "it shows no addresses")
    return size


def _unpacked_bytes(host: Host, path: str | None) -> int:
    if path is None:
        raise Unreadable("capture initrd", "not found")
    done = host.run(["lsinitramfs", "-l", path], timeout_s=300)
    sizes = re.findall(r"^-[rwxsStT-]{9}\s+\d+\s+\S+\s+\S+\s+(\d{1,12})\s", done.out, re.M)
    if done.rc != 0 or not sizes:
        raise Unreadable(path, "lsinitramfs lists nothing")
    return sum(int(size) for size in sizes)


def _modules_bytes(host: Host, blocked: t.Container[str]) -> int:
    """Sizes in /proc/modules (proc(5)) of what the capture kernel may load as well."""
    total = 0
    for line in host.read("/proc/modules", 1024 * 1024).splitlines():
        words = line.split()
        if len(words) > 1 and words[1].isdigit() and words[0] not in blocked:
            total += int(words[1])
    return total


def _cpus(host: Host) -> int:
    """The list of online CPUs, such as "0-63,128"."""
    total = 0
    for part in host.read_line("/sys/devices/system/cpu/online").split(","):
        first, _dash, last = part.partition("-")
        if not first.isdigit() or not (last or first).isdigit():
            raise Unreadable("/sys/devices/system/cpu/online", "not a list of CPUs")
        total += int(last or first) - int(first) + 1
    return total


def _kept_nics(host: Host, blocked: t.Container[str]) -> list[tuple[str, int, int | None]]:
    try:
        names = host.listdir("/sys/class/net")
    except Unreadable:
        return []
    ports: dict[str, list[str]] = {}
    for name in names:
        for module in nic_modules(host, name):
            if module not in blocked:
                ports.setdefault(module, []).append(name)
    return [(module, len(there), _queues(host, there)) for module, there in sorted(ports.items())]


def _queues(host: Host, interfaces: t.Iterable[str]) -> int | None:
    total = 0
    for name in interfaces:
        found = look({}, name, host.channels, name)
        if found is None:
            return None
        total += found["combined"] + max(found["rx"], found["tx"])
    return total


def _kdf_bytes(host: Host) -> int:
    """Memory that the key derivation of the most demanding open LUKS2 volume takes; 0 where there is none (G28)."""
    try:
        names = [name for name in host.listdir("/sys/block") if name.startswith("dm-")]
    except Unreadable:
        return 0
    most = 0
    for name in names:
        kind = look({}, name, host.read_line, "/sys/block/{0}/dm/uuid".format(name)) or ""
        if not kind.startswith("CRYPT-LUKS2-"):
            continue
        for below in host.listdir("/sys/block/{0}/slaves".format(name)):
            most = max(most, _luks_memory(host, "/dev/" + below))
    return most


def _luks_memory(host: Host, device: str) -> int:
    done = host.run(["cryptsetup", "luksDump", "--dump-json-metadata", device])
    try:
        slots = json.loads(done.out)["keyslots"].values()
        return max((int(slot["kdf"].get("memory", 0)) for slot in slots), default=0) * 1024  # in KiB
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise Unreadable(device, "cryptsetup does not tell its key slots") from exc

# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Ways for evidence to leave a dying host besides the dump: pstore, netconsole, serial console, journal.

What the role crash_channels puts on a host, and which channels are armed by what was seen. `_change/channels.py`
carries it out; netconsole's own program is `netconsole_unit`'s. A channel is armed where the next panic would leave
something in it, not where it is configured.
"""

from __future__ import annotations

import json
import re
import typing as t

from . import cmdline as kernel_cmdline
from . import grubdropin
from .errors import CoreError
from .fileplan import File, Found, plan_files, plan_units
from .netconsole import Settings, settings_from
from .plan import Change

__all__ = [
    "FILES",
    "NAMES",
    "Ramoops",
    "Wanted",
    "judge_channels",
    "parse_record",
    "plan",
    "reboot_reasons",
    "wanted_from",
    "words",
]

Seen = t.Mapping[str, t.Any]

#: In the order in which they are looked at after a panic.
NAMES = ("kdump", "pstore", "netconsole", "serial", "journal")

MODULES_LOAD = "/etc/modules-load.d/crashready-channels.conf"
MODPROBE = "/etc/modprobe.d/crashready-channels.conf"
JOURNALD = "/etc/systemd/journald.conf.d/zz-crashready.conf"
GRUB_DROP_IN = "/etc/default/grub.d/zz-crashready-channels.cfg"
SYSTEMD_BOOT_CMDLINE = "/etc/kernel/cmdline"
FILES = (MODULES_LOAD, MODPROBE, JOURNALD, GRUB_DROP_IN)
PSTORE_UNIT = "systemd-pstore.service"
#: What we put on the command line and which units of others we enabled, so that it can be taken back.
RECORD = "/var/lib/crashready/channels.json"

_MARK = "# Managed by rackops.crashready (role crash_channels); changes are overwritten.\n"
_NOTIFIERS = "crash_kexec_post_notifiers"


class Ramoops(t.NamedTuple):
    """A region of memory that the user knows to be reserved and to survive a reboot. Bytes."""

    address: int
    size: int
    ecc: bool = True


class Wanted(t.NamedTuple):
    """What the user asked for."""

    present: bool = True
    pstore: bool = True
    before_kdump: bool = False
    ramoops: Ramoops | None = None
    netconsole: Settings | None = None
    serial: str = ""  #: "ttyS0,115200n8"
    serial_grub: bool = False
    journal: bool = True
    journal_max: str = "1G"
    boot_loader: bool = True


_SERIAL = re.compile(r"(tty(?:S|AMA|MXS|PS|SAC|USB)\d{1,2}|hvc\d)(?:,(\d{3,7})([eno]?)([5-8]?)(r?))?\Z")
_OWN_WORD = re.compile(r"(?:console=[A-Za-z0-9,]{2,40}|crash_kexec_post_notifiers=1)\Z")
_SIZE = re.compile(r"[1-9]\d{0,5}[KMGT]\Z")


def wanted_from(given: t.Mapping[str, t.Any]) -> Wanted:
    """Check a module's parameters. Raises CoreError."""
    serial, size = given["serial"] or "", given["journal_max"]
    if serial and not _SERIAL.match(serial):
        raise CoreError("serial: {0!r} is no console such as ttyS0,115200n8".format(serial[:60]))
    if given["serial_grub"] and not serial.startswith("ttyS"):
        raise CoreError("serial_grub: GRUB drives ttyS ports alone, and serial is {0!r}".format(serial[:60]))
    if not _SIZE.match(size):
        raise CoreError("journal_max: {0!r} is no size such as 500M or 2G".format(size[:40]))
    receiver = given["netconsole_receiver"]
    settings = None
    if receiver:
        names = ("port", "source_port", "interface", "avoid", "suspect", "extended")
        values = {name: given["netconsole_" + name] for name in names}
        settings = settings_from({"receiver": receiver, **values, "interface": values["interface"] or None})
    return Wanted(
        present=given["state"] == "present",
        pstore=given["pstore"],
        before_kdump=given["pstore_before_kdump"],
        ramoops=_ramoops(given),
        netconsole=settings,
        serial=serial,
        serial_grub=given["serial_grub"],
        journal=given["journal"],
        journal_max=size,
        boot_loader=given["manage_boot_loader"],
    )


def _ramoops(given: t.Mapping[str, t.Any]) -> Ramoops | None:
    address, size = given["ramoops_address"], given["ramoops_size"]
    if not address and not size:
        return None
    if not address or not size:
        raise CoreError("ramoops: address and size belong together; an address is never guessed")
    if not given["pstore"]:
        raise CoreError("ramoops: it is a store of pstore, and pstore is switched off")
    if not re.match(r"0x[0-9a-f]{1,16}\Z", address.lower()):
        raise CoreError("ramoops: {0!r} is no address such as 0x8000000".format(address[:40]))
    count = int(address, 16)
    if count % 4096 or size % 4096 or not 65536 <= size <= 1 << 28:
        raise CoreError("ramoops: address and size are multiples of 4096, and the size is 64 KiB to 256 MiB")
    return Ramoops(count, size, given["ramoops_ecc"])


# --- the plan ---------------------------------------------------------------------------------------------------------


def words(wanted: Wanted) -> tuple[list[str], list[str]]:
    """Words for the kernel command line: before those that are there, and after them."""
    # The last console= becomes /dev/console (Documentation/admin-guide/serial-console.rst). Ours come first, so that
    # where a passphrase is asked for stays what it was: the administrator's last one, or the screen.
    front = ["console=" + wanted.serial, "console=tty0"] if wanted.serial else []
    return front, [_NOTIFIERS + "=1"] if wanted.before_kdump and wanted.pstore else []


def plan(wanted: Wanted, seen: Seen) -> list[Change]:
    """Every change, in order. `seen` is what `_host.channels.see_channels` gives, with `files`. Raises CoreError."""
    gone = "no such channel is wanted"
    files: dict[str, File | None] = dict.fromkeys(FILES)
    if wanted.present:
        files.update(_files(wanted, seen))
    units = {}
    if wanted.present and wanted.pstore and seen["pstore"]["unit_there"]:
        units[PSTORE_UNIT] = True
    elif PSTORE_UNIT in seen["enabled_by_us"]:
        units[PSTORE_UNIT] = False
    of_files = plan_files(files, seen["files"], gone)
    of_units = plan_units(units, seen["units"], "it runs at every boot" if wanted.present else gone)
    # A unit is disabled while its file is there.
    changes = of_units + of_files if not wanted.present else of_files + of_units
    changes += _boot(wanted, seen)
    changes += _now(wanted, seen, of_files) if seen["applicable"] else []
    # Last: while it is not written, a run that was cut is done again from what it meant to do.
    return changes + plan_files({RECORD: _record(wanted, seen)}, seen["files"], gone)


def _record(wanted: Wanted, seen: Seen) -> File | None:
    if not wanted.present:
        return None
    front, back = words(wanted)
    ours = set(seen["enabled_by_us"])
    if wanted.pstore and seen["pstore"]["unit_there"] and not seen["units"].get(PSTORE_UNIT, False):
        ours.add(PSTORE_UNIT)
    if not wanted.pstore:
        ours.discard(PSTORE_UNIT)
    values = {"units": sorted(ours), "words": [*front, *back] if wanted.boot_loader else []}
    return File((json.dumps(values, sort_keys=True) + "\n").encode("ascii"), "so that it can be taken back", 0o600)


def parse_record(text: str) -> tuple[list[str], list[str]]:
    """(words, units) of what `_record` wrote; ([], []) where it is not to be believed."""
    try:
        found = json.loads(text)
        names = [found["words"], found["units"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        return [], []
    if not all(isinstance(each, list) and all(isinstance(name, str) for name in each) for each in names):
        return [], []
    return [word for word in names[0] if _OWN_WORD.match(word)], [name for name in names[1] if name == PSTORE_UNIT]


def _files(wanted: Wanted, seen: Seen) -> dict[str, File | None]:
    found: dict[str, File | None] = {}
    modules = (["efi_pstore"] if wanted.pstore and seen["efi"] else []) + (["ramoops"] if wanted.ramoops else [])
    modules += ["netconsole"] if wanted.netconsole else []
    if modules:
        text = _MARK + "".join(name + "\n" for name in modules)
        found[MODULES_LOAD] = File(text.encode("ascii"), "the channels' drivers are there from the boot on")
    if wanted.ramoops:
        _check_region(wanted.ramoops, seen)
        text = "{0}options ramoops mem_address={1:#x} mem_size={2:#x} ecc={3:d}\n".format(_MARK, *wanted.ramoops)
        found[MODPROBE] = File(text.encode("ascii"), "ramoops uses the memory that you reserved")
    if wanted.journal:
        text = "{0}[Journal]\nStorage=persistent\nSystemMaxUse={1}\n".format(_MARK, wanted.journal_max)
        found[JOURNALD] = File(text.encode("ascii"), "the journal outlives a boot")
    front, back = words(wanted)
    if wanted.boot_loader and seen["boot"]["loader"] == "grub" and (front or back):
        text = grub_drop_in(wanted)
        found[GRUB_DROP_IN] = File(text.encode("ascii"), "the kernel command line has what the channels need")
    return found


def grub_drop_in(wanted: Wanted) -> str:
    """The fragment for GRUB, by the same builder as the one that reserves crash memory."""
    front, back = words(wanted)
    removed = [grubdropin.of_parameter(word.partition("=")[0]) for word in back]
    if wanted.serial:
        device = wanted.serial.partition(",")[0]
        # ttyS1 is not ttyS10: after the name or its options a word ends.
        removed.append(r"console={0}\(,[^[:space:]]*\)*\b".format(device))
    comments = (_MARK[2:-1], "docs/channels.md says what each word is for.")
    text = grubdropin.drop_in(comments, removed, " ".join(front), " ".join(back))
    return text + (_grub_serial(wanted.serial) if wanted.serial_grub else "")


def _grub_serial(serial: str) -> str:
    """GRUB's own menu on the port (info grub, "Serial terminal"); the screen stays."""
    match = _SERIAL.match(serial)
    device, speed, parity, bits = match.group(1, 2, 3, 4) if match else ("ttyS0", None, None, None)
    parities = {"n": "no", "o": "odd", "e": "even"}
    command = "serial --unit={0} --speed={1} --word={2} --parity={3} --stop=1".format(
        device[4:], speed or "9600", bits or "8", parities[parity or "n"]
    )
    terminals = 'GRUB_TERMINAL_INPUT="console serial"\nGRUB_TERMINAL_OUTPUT="gfxterm serial"\n'
    return '{0}GRUB_SERIAL_COMMAND="{1}"\n'.format(terminals, command)


def _check_region(region: Ramoops, seen: Seen) -> None:
    """Memory that the kernel uses itself would be overwritten by a record, and the record by the kernel."""
    iomem = seen["iomem"]
    if not seen["applicable"] or seen["pstore"]["backend"] == "ramoops":
        return  # a driver that holds the region shows under its own name
    if iomem is None:
        raise CoreError("ramoops: /proc/iomem could not be read, so that nothing tells whether the region is reserved")
    end = region.address + region.size - 1
    touched = sorted({name for low, high, name in iomem if low <= end and high >= region.address})
    inside = any(low <= region.address and end <= high for low, high, name in iomem if name.lower() == "reserved")
    if "System RAM" in touched and not inside:
        raise CoreError(
            "ramoops: {0:#x}-{1:#x} is not reserved: the kernel uses it as {2}. Reserve it first (memmap=, a region of "
            "the firmware or of the device tree)".format(region.address, end, ", ".join(touched))
        )


def _boot(wanted: Wanted, seen: Seen) -> list[Change]:
    """The boot entries, and systemd-boot's own file where that is the loader."""
    if not wanted.boot_loader:
        return []
    boot, ours = seen["boot"], seen["ours"]
    front, back = words(wanted) if wanted.present else ([], [])
    changes = []
    if boot["loader"] == "systemd-boot":
        after = _systemd_boot_line(seen, front, back)
        if after is not None:
            why = "the kernel command line follows"
            data = {"content": after.encode("utf-8", "surrogateescape"), "mode": 0o644}
            changes.append(Change("file", SYSTEMD_BOOT_CMDLINE, seen["kernel_cmdline"], after, why, data))
    drop = [word for word in ours if word not in front + back]
    wrong = [entry["title"] for entry in boot["entries"] if entry["generated"] and _wrong(entry, front + back, drop)]
    if wrong and boot["loader"] in ("grub", "systemd-boot"):
        before = "without {0}".format(" ".join(front + back)) if front + back else "with {0}".format(" ".join(drop))
        told = " ".join(front + back) or "without {0}".format(" ".join(drop))
        data = {"releases": boot["releases"]}
        changes.append(
            Change("boot_loader", boot["loader"], before, told, "{0} boot entries follow".format(len(wrong)), data)
        )
    return changes


def _wrong(entry: Seen, needed: t.Sequence[str], drop: t.Sequence[str]) -> bool:
    there = kernel_cmdline.split(entry["cmdline"][: kernel_cmdline.LINE_LIMIT * 2])
    return any(word not in there for word in needed) or any(word in there for word in drop)


def _systemd_boot_line(seen: Seen, front: t.Sequence[str], back: t.Sequence[str]) -> str | None:
    """/etc/kernel/cmdline with our words and without those that we put there before; None where it is right."""
    written = seen["kernel_cmdline"]
    if written is None and not (front or back):
        return None
    base = written if written is not None else seen["vendor_cmdline"] or seen["cmdline"] or ""
    there = [
        word for word in kernel_cmdline.split(" ".join(base.split())) if not word.startswith(("BOOT_IMAGE=", "initrd="))
    ]
    kept = [word for word in there if word not in seen["ours"] and word not in [*front, *back]]
    line = " ".join([*front, *kept, *back]) + "\n"
    return None if written is not None and line.split() == written.split() else line


def _now(wanted: Wanted, seen: Seen, of_files: t.Sequence[Change]) -> list[Change]:
    """What takes effect without a boot."""
    changed = {change.target for change in of_files}
    changes: list[Change] = []
    store = seen["pstore"]
    if wanted.present and wanted.pstore and not store["backend"]:
        drivers = (["ramoops"] if wanted.ramoops else []) + (["efi_pstore"] if seen["efi"] else [])
        changes += [
            Change("load_module", name, "not loaded", "loaded", "pstore gets a store", {})
            for name in drivers
            if name not in store["loaded"]
        ]
    if JOURNALD in changed:
        changes.append(Change("restart", "systemd-journald.service", None, "restarted", "it reads its settings", {}))
    on = wanted.present and wanted.netconsole is not None
    if not on and seen["netconsole"]["ours"]:
        changes.append(Change("disarm", "netconsole", "armed by this role", None, "no such channel is wanted", {}))
    post = seen["post_notifiers"]
    if wanted.present and wanted.pstore and wanted.before_kdump and post is False:
        why = "a panic is written to pstore before kdump begins"
        changes.append(Change("notifiers", _NOTIFIERS, "N", "Y", why, {"value": "1"}))
    elif not (wanted.present and wanted.before_kdump) and post and seen["files"].get(GRUB_DROP_IN) and _had(seen):
        changes.append(Change("notifiers", _NOTIFIERS, "Y", "N", "kdump goes first again", {"value": "0"}))
    return changes


def _had(seen: Seen) -> bool:
    """Whether our own fragment is what asked for the notifiers."""
    found: Found | None = seen["files"].get(GRUB_DROP_IN)
    return found is not None and _NOTIFIERS.encode("ascii") in found.content


def reboot_reasons(wanted: Wanted, seen: Seen) -> list[str]:
    """What waits for a boot of the host; the role does not boot it."""
    if not seen["applicable"] or not wanted.present or not wanted.boot_loader:
        return []
    there = kernel_cmdline.split(seen["cmdline"] or "")
    front, back = words(wanted)
    missing = [word for word in front + back if word not in there and word != _NOTIFIERS + "=1"]
    if not missing:
        return []
    reasons = ["the running kernel was booted without {0}".format(" ".join(missing))]
    if seen["boot"]["loader"] not in ("grub", "systemd-boot"):
        reasons.append("no GRUB and no systemd-boot was found: put them on its command line where this host boots from")
    return reasons


# --- which are armed --------------------------------------------------------------------------------------------------


def judge_channels(seen: Seen) -> list[dict[str, t.Any]]:
    """[{name, armed (true, false or null), reason}]: what would leave the host at its next panic, and why (not)."""
    if not seen["applicable"]:
        return [{"name": name, "armed": None, "reason": seen["applicable_reason"]} for name in NAMES]
    judged = (_kdump(seen), _pstore(seen), _netconsole(seen), _serial(seen), _journal(seen))
    return [{"name": name, "armed": armed, "reason": reason} for name, (armed, reason) in zip(NAMES, judged)]


_Judged = tuple[t.Optional[bool], str]


def _kdump(seen: Seen) -> _Judged:
    armed = seen["kdump_armed"]
    if armed is None:
        return None, seen["kdump_unread"] or "it could not be seen whether a capture kernel is loaded"
    return armed, "a capture kernel is loaded" if armed else "no capture kernel is loaded"


def _pstore(seen: Seen) -> _Judged:
    store = seen["pstore"]
    if store["unread"]:
        return None, store["unread"]
    if not store["backend"]:
        return False, "the kernel has no store for it (no efi_pstore, ramoops or erst is loaded)"
    if not store["mounted"]:
        return False, "/sys/fs/pstore is not mounted: what {0} keeps is never read".format(store["backend"])
    if seen["kdump_armed"] and not seen["post_notifiers"]:
        # G33: the panic jumps into the capture kernel before pstore is written.
        told = "{0} stands behind kdump: while a capture kernel is loaded a panic is not written there"
        return False, told.format(store["backend"])
    if not store["collected"]:
        return True, "{0}; nothing empties it, systemd-pstore.service is not enabled".format(store["backend"])
    return True, store["backend"]


def _netconsole(seen: Seen) -> _Judged:
    found = seen["netconsole"]
    targets = found["targets"]
    live = [target for target in targets if target["enabled"]]
    if not live:
        if found["unread"]:
            return None, found["unread"]
        return False, found["said"] or ("its target is switched off" if targets else "no target is set up")
    dead = [target for target in live if target["carrier"] is False]
    if len(dead) == len(live):
        return False, "{0} has no link".format(", ".join(sorted(target["device"] or "?" for target in dead)))
    told = ["to {0} over {1}".format(each["receiver"], each["device"]) for each in live if each not in dead]
    return True, "; ".join(told + ([found["said"]] if found["said"] else []))


def _serial(seen: Seen) -> _Judged:
    if seen["consoles"] is None:
        return None, "/proc/consoles could not be read"
    if seen["consoles"]:
        return True, ", ".join(seen["consoles"]) + "; whether anybody listens is not seen from here"
    return False, "no serial port is a console of the running kernel"


def _journal(seen: Seen) -> _Judged:
    if seen["journal"] is None:
        return None, "it could not be seen where the journal lies"
    if seen["journal"]:
        return True, "persistent; it has what came before the panic, seldom the panic itself"
    return False, "the journal lies in memory and is lost with the host"

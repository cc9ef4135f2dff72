# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Record a host as one manifest for tests/unit/cases/trees (the form is that of _host/tree.py: TreeHost).

    tests/record_tree.py --source "QEMU guest, trixie, e1000e" ssh -p 2222 root@host > tree.json

The words after the options are a command that runs `python3 -` on the host; this file goes
there through standard input, so that nothing is left behind. Standard library, Python 3.9.
Hardware addresses become ones of the documentation range (RFC 9542); read the result before
it is committed all the same: it holds names and network addresses of the host.
"""

from __future__ import annotations

import argparse
import array
import base64
import fcntl
import glob
import json
import os
import re
import socket
import stat
import struct
import subprocess
import sys
import typing as t

#: Files whose text is facts.
TEXTS = """
/etc/default/grub /etc/default/grub.d/* /etc/default/kdump-tools /etc/fstab /etc/kernel/* /etc/kernel/*.d/*
/etc/debian_version /etc/os-release /etc/sysctl.conf /etc/sysctl.d/* /usr/lib/sysctl.d/* /etc/initramfs-tools/conf.d/*
/boot/grub/grub.cfg /boot/grub/grubenv /boot/grub/custom.cfg
/proc/cmdline /proc/version /proc/meminfo /proc/mounts /proc/self/mountinfo /proc/iomem /proc/net/route
/proc/net/bonding/* /proc/sys/kernel/arch /proc/sys/kernel/hostname /proc/sys/kernel/osrelease /proc/sys/kernel/tainted
/proc/sys/kernel/kexec_load_disabled /proc/sys/kernel/panic* /proc/sys/kernel/*_panic
/proc/sys/kernel/hung_task_panic /proc/sys/kernel/unknown_nmi_panic /proc/sys/kernel/sysrq /proc/sys/vm/panic_on_oom
/proc/sys/vm/nr_hugepages /proc/sys/kernel/random/boot_id
/sys/kernel/kexec_crash_loaded /sys/kernel/kexec_crash_size /sys/kernel/kexec_loaded /sys/kernel/notes
/sys/kernel/security/lockdown /sys/firmware/efi/fw_platform_size
/sys/firmware/efi/efivars/SecureBoot-* /sys/firmware/efi/efivars/SetupMode-*
/var/lib/kdump/kexec_cmd /var/crash/kexec_cmd /var/lib/kdump/mem-* /var/lib/kdump/size_*
/etc/systemd/system/kdump-tools* /etc/systemd/system/kdump-tools*/* /lib/systemd/system/kdump-tools*
/run/systemd/container /run/.containerenv
""".split()

#: Folders whose names count; regular files in them are recorded without content.
NAMES = (
    "/boot /boot/grub /var/lib/kdump /var/crash /var/crash/* /sys/firmware /var/lib/dpkg/updates /etc/default/grub.d"
    " /etc/systemd/system /etc/systemd/system/*.wants /sys/class/iscsi_connection /sys/class/iscsi_session"
).split()

#: Single files whose presence or link alone counts.
PRESENT = (
    "/usr/sbin/mkinitramfs /usr/sbin/grub-mkconfig /usr/bin/dracut /usr/sbin/dracut /usr/bin/makedumpfile"
    " /usr/sbin/kexec /usr/sbin/kdump-config /lib /sbin /bin"
).split()

PACKAGES = re.compile(
    r"^(linux-(image|headers)-|kdump-tools|makedumpfile|kexec-tools|crash$|initramfs-tools|dracut|grub-|systemd-boot"
    r"|drgn|firmware-|python3$|base-files$)"
)
DEVICE_ATTRIBUTES = (
    "vendor device subsystem_vendor subsystem_device class revision numa_node modalias uevent config removable"
    " partition size dev"
).split()
NET_ATTRIBUTES = (
    "address addr_assign_type addr_len carrier dev_id dev_port duplex flags ifindex iflink mtu operstate speed"
    " tx_queue_len type uevent"
).split()

SIOCETHTOOL = 0x8946  # linux/sockios.h
ETHTOOL_GDRVINFO, ETHTOOL_GCHANNELS = 0x3, 0x3C  # linux/ethtool.h
LIMIT = 256 * 1024


class Recorder:
    """Takes things into a manifest; what cannot be read is recorded with its reason."""

    def __init__(self) -> None:
        self.files: dict[str, t.Any] = {}
        self.directories: set[str] = set()
        self.stat: dict[str, t.Any] = {}

    def text(self, path: str, keep: t.Callable[[str], str] = str) -> None:
        """A file with its content; a link as a link, and what it points to as well."""
        if not path.startswith("/proc/"):  # /lib is a link itself: below it is /usr/lib
            path = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
        try:
            if os.path.islink(path) and not path.startswith("/proc/"):  # /proc/mounts leads through our own pid
                self.link(path)
                path = os.path.realpath(path)
            if os.path.isdir(path):
                return
            with open(path, "rb") as stream:
                data = stream.read(LIMIT)
        except FileNotFoundError:
            return
        except PermissionError:
            self.files[path] = {"error": "permission denied (not root)"}
            return
        except OSError as exc:
            self.files[path] = {"error": exc.strerror or str(exc)}
            return
        try:
            self.files[path] = keep(data.decode("utf-8"))
        except UnicodeDecodeError:
            self.files[path] = {"base64": base64.b64encode(data).decode("ascii")}
        self.status(path)

    def link(self, path: str) -> None:
        """A symbolic link, as it reads."""
        if os.path.islink(path):
            self.files[path] = {"link": os.readlink(path)}

    def status(self, path: str) -> None:
        """Mode, owner and size, for files that are not the kernel's own."""
        if path.startswith(("/proc/", "/sys/")):
            return
        found = os.lstat(path)
        self.stat[path] = {"mode": "{0:04o}".format(stat.S_IMODE(found.st_mode)), "uid": found.st_uid}
        self.stat[path].update({"gid": found.st_gid, "size": found.st_size, "mtime": int(found.st_mtime)})

    def names(self, folder: str) -> None:
        """What lies in a folder, without contents."""
        if not os.path.isdir(folder) or os.path.islink(folder):
            return
        self.directories.add(folder)
        self.status(folder)
        for name in sorted(os.listdir(folder)):
            path = os.path.join(folder, name)
            if os.path.islink(path):
                self.link(path)
            elif os.path.isdir(path):
                self.directories.add(path)
                self.status(path)
            elif path not in self.files:
                self.files[path] = ""
                self.status(path)

    def device(self, folder: str) -> None:
        """A device in /sys and all above it that have a driver or a bus."""
        while folder.count("/") > 2 and folder not in self.directories:
            self.directories.add(folder)
            for name in DEVICE_ATTRIBUTES:
                self.text(os.path.join(folder, name))
            for name in ("subsystem", "driver", "physfn"):
                self.link(os.path.join(folder, name))
            driver = os.path.realpath(os.path.join(folder, "driver"))
            if os.path.islink(os.path.join(folder, "driver")):
                self.directories.add(driver)
                self.link(driver + "/module")
                module = os.path.realpath(driver + "/module")
                if os.path.isdir(module):
                    self.directories.add(module)
                    self.text(module + "/version")
            address = os.path.basename(folder)
            if re.match(r"^[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$", address):
                self.link("/sys/bus/pci/devices/" + address)
                self.text("/run/udev/data/+pci:" + address)
            folder = os.path.dirname(folder)

    def interface(self, name: str) -> None:
        """A network interface with its device."""
        self.link("/sys/class/net/" + name)
        base = os.path.realpath("/sys/class/net/" + name)
        self.directories.add(base)
        for attribute in NET_ATTRIBUTES:
            self.text(os.path.join(base, attribute))
        for attribute in ("device", "subsystem", "master", "upper*", "lower*"):
            for path in glob.glob(os.path.join(base, attribute)):
                self.link(path)
        for attribute in ("bonding/*", "bridge/bridge_id"):
            for path in glob.glob(os.path.join(base, attribute)):
                self.text(path)
        self.directories.update(glob.glob(base + "/queues/*"))
        if os.path.islink(base + "/device"):
            self.device(os.path.realpath(base + "/device"))

    def block(self, name: str) -> None:
        """A block device or partition with what it lies on."""
        self.link("/sys/class/block/" + name)
        base = os.path.realpath("/sys/class/block/" + name)
        self.text(base + "/dev")
        with open(base + "/dev", encoding="ascii") as stream:
            self.link("/sys/dev/block/" + stream.read().strip())
        for attribute in ("size", "partition", "uevent", "dm/name", "dm/uuid", "md/level", "removable", "ro"):
            self.text(os.path.join(base, attribute))
        for path in glob.glob(base + "/slaves/*"):
            self.link(path)
        if os.path.isdir(base + "/slaves"):
            self.directories.add(base + "/slaves")
        self.link(base + "/device")
        if os.path.islink(base + "/device"):
            self.device(os.path.realpath(base + "/device"))


def ethtool(interface: str, command: int, size: int) -> bytes:
    """One ethtool ioctl; OSError where the driver has no answer."""
    data = array.array("B", struct.pack("I", command) + bytes(size - 4))
    request = struct.pack("16sP", interface.encode(), data.buffer_info()[0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        fcntl.ioctl(link, SIOCETHTOOL, request)
    return data.tobytes()


def asked(interface: str) -> tuple[dict[str, t.Any], dict[str, t.Any]]:
    """struct ethtool_drvinfo and ethtool_channels of an interface."""

    def field(data: bytes, start: int, length: int) -> str:
        return data[start : start + length].split(b"\0")[0].decode("utf-8", "replace")

    info: dict[str, t.Any]
    counts: dict[str, t.Any]
    try:
        data = ethtool(interface, ETHTOOL_GDRVINFO, 196)
        info = {"driver": field(data, 4, 32), "version": field(data, 36, 32), "firmware": field(data, 68, 32)}
        info["bus_info"] = field(data, 100, 32)
    except OSError:
        info = {"error": "not supported by the driver"}
    try:
        numbers = struct.unpack("9I", ethtool(interface, ETHTOOL_GCHANNELS, 36))
        counts = dict(zip(("rx", "tx", "other", "combined"), numbers[5:9]))
    except OSError:
        counts = {"error": "not supported by the driver"}
    return info, counts


def relevant_packages(status: str) -> str:
    """The paragraphs of dpkg's status file that say something about kernels, boot and capture, shortened."""
    kept = []
    for paragraph in status.split("\n\n"):
        name = re.match(r"Package: (\S+)", paragraph)
        if name and PACKAGES.match(name[1]):
            short = re.sub(r"(?m)^Description: .*\n( .*\n?)*", "Description: (cut)\n", paragraph + "\n")
            kept.append(re.sub(r"(?m)^Conffiles:\n( .*\n?)*", "", short).rstrip("\n"))
    return "\n\n".join(kept) + "\n"


def relevant_ids(text: str, pairs: t.Iterable[tuple[str, str]]) -> str:
    """The lines of pci.ids for some (vendor, device) pairs, their vendors and subsystems."""
    wanted = set(pairs)
    kept, vendor, device = [], "", False
    for line in text.splitlines():
        if re.match(r"^[0-9a-f]{4}  ", line):
            vendor, device = line[:4], False
            if any(vendor == pair[0] for pair in wanted):
                kept.append(line)
        elif line.startswith("\t\t"):
            if device:
                kept.append(line)
        elif line.startswith("\t"):
            device = (vendor, line[1:5]) in wanted
            if device:
                kept.append(line)
        elif line and not line.startswith("#"):
            vendor = ""  # the list of classes at the end
    return "\n".join(kept) + "\n"


def command(argv: t.Sequence[str]) -> dict[str, t.Any]:
    """What a program says."""
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            env={**os.environ, "LC_ALL": "C"},
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return {"error": "not found"}
    return {"rc": done.returncode, "out": done.stdout.decode("utf-8", "replace")[:20000]}


def record_files(taken: Recorder) -> None:
    """Everything that lies in a list above."""
    for pattern in TEXTS:
        for path in sorted(glob.glob(pattern)):
            taken.text(path)
    for pattern in NAMES:
        for path in sorted(glob.glob(pattern)):
            taken.names(path)
    for path in PRESENT:
        if os.path.islink(path):
            taken.link(path)
        elif os.path.exists(path):
            taken.files[path] = ""
    taken.text("/var/lib/dpkg/status", relevant_packages)


def record_devices(taken: Recorder, interfaces: t.Sequence[str]) -> None:
    """Interfaces, block devices and what pci.ids says of them."""
    for name in interfaces:
        if os.path.islink("/sys/class/net/" + name):
            taken.interface(name)
    for name in sorted(os.listdir("/sys/class/block")):
        if not name.startswith(("loop", "ram", "sr", "fd")):
            taken.block(name)
    pairs = []
    for path in glob.glob("/sys/bus/pci/devices/*"):
        if path in taken.files:
            ids = [taken.files[os.path.realpath(path) + "/" + key].strip()[2:] for key in ("vendor", "device")]
            pairs.append((ids[0], ids[1]))
    taken.text("/usr/share/misc/pci.ids", lambda text: relevant_ids(text, pairs))


def record() -> dict[str, t.Any]:
    """The manifest of the machine this runs on."""
    taken = Recorder()
    interfaces = sorted(os.listdir("/sys/class/net"))
    record_files(taken)
    record_devices(taken, interfaces)
    answers = {name: asked(name) for name in interfaces}
    space = {}
    for path in ("/", "/boot", "/var", "/var/crash", "/etc"):
        if os.path.ismount(path) or path == "/":
            sizes = os.statvfs(path)
            space[path] = [sizes.f_blocks * sizes.f_frsize, sizes.f_bavail * sizes.f_frsize]
    return {
        "euid": os.geteuid(),
        "files": dict(sorted(taken.files.items())),
        "directories": sorted(taken.directories),
        "stat": taken.stat,
        "commands": {"uname -m": command(["uname", "-m"])},
        "ethtool": {name: answer[0] for name, answer in answers.items()},
        "channels": {name: answer[1] for name, answer in answers.items()},
        "space": space,
    }


def without_addresses(text: str) -> str:
    """The same text with 00:00:5e:00:53:xx for each hardware address, the same one for the same."""
    known: dict[str, str] = {}

    def documented(match: re.Match[str]) -> str:
        address = match[0].lower()
        if address in ("00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff"):
            return match[0]
        return known.setdefault(address, "00:00:5e:00:53:{0:02x}".format(len(known) + 1))

    return re.sub(r"(?i)(?<![0-9a-f:])([0-9a-f]{2}:){5}[0-9a-f]{2}(?![0-9a-f:])", documented, text)


def main() -> int:
    """On the controller: send this file to the host and print the manifest."""
    parser = argparse.ArgumentParser(description="Record a host as a manifest for tests.")
    parser.add_argument("--source", required=True, help="where the tree comes from, in words")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="reaches the host, such as: ssh root@host")
    options = parser.parse_args()
    with open(__file__, encoding="utf-8") as stream:
        script = stream.read()
    done = subprocess.run(
        [*options.command, "python3", "-", "--record"],
        input=script,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        check=True,
    )
    print(without_addresses(json.dumps({"source": options.source, **json.loads(done.stdout)}, indent=1)))
    return 0


if __name__ == "__main__":
    if sys.argv[1:] == ["--record"]:
        json.dump(record(), sys.stdout)
    else:
        sys.exit(main())

# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Facts from the archive that `sos report` makes: NICs with firmware, the kernel, and whether the host was armed.

An archive holds some of a host's files and the output of commands. What collectors
look for elsewhere (sysfs links, ids of cards) is put together from `ethtool -i`,
`lspci -nnvv`, `uname -a`, `sysctl -a` and `dpkg -l` (sos, report/plugins/networking.py,
pci.py, kernel.py, dpkg.py), so that the same collectors run. What is not in the archive
is not "not found": it was not recorded. So no directory is listed that the archive may
hold in part, and the problems of a capture, which follow from what is absent, are not
judged.

The archive is a stranger's file: it is read in one pass, nothing is unpacked to disk,
links are not followed, and files, sizes and the whole stream are bounded.
"""

from __future__ import annotations

import lzma
import posixpath
import re
import tarfile
import typing as t
import zlib

from ._core.errors import ParseError
from ._core.text import clean
from ._host.base import READ_LIMIT, FileStatus, Unreadable
from ._host.facts import collect_facts
from ._host.tree import TreeHost

__all__ = ["SUFFIXES", "ArchiveHost", "Unusable", "facts_of_sosreport", "read_archive"]

SUFFIXES = (".tar", ".tar.xz", ".tar.gz", ".tar.bz2", ".tgz", ".txz")
_MEMBERS_LIMIT = 500_000
_FILE_LIMIT = 8 * 1024 * 1024
_KEPT_LIMIT = 64 * 1024 * 1024
#: Of the unpacked stream. A support archive has up to some GB of logs; a bomb has more.
_STREAM_LIMIT = 32 * 1024 * 1024 * 1024
_NICS_LIMIT = 1024

NOT_RECORDED = "not in the archive"

_COMMANDS = re.compile(r"(?:ethtool_-[il]_[\w.:@-]{1,64}|lspci_-nnvv|lspci|uname_-a|sysctl_-a|dpkg_-l|hostname)\Z")
_FILES = re.compile(
    r"(?:proc/(?:version|cmdline|meminfo|sys/kernel/\w+)|sys/kernel/kexec_crash_(?:loaded|size)|etc/os-release|"
    r"usr/lib/os-release|etc/debian_version|var/lib/dpkg/status|sys/class/net/[\w.:-]{1,64}/device/numa_node)\Z"
)
#: Drivers of interfaces with nothing behind them, as `ethtool -i` names them (drivers/net, net/8021q, net/bridge).
_VIRTUAL = frozenset(
    "bonding bridge dummy geneve gre ifb ip_vti ipip ipvlan macsec macvlan macvtap netkit nlmon openvswitch sit team "
    "tun veth vrf vxlan wireguard 802.1q".split()
)
_PCI = re.compile(r"(?:([0-9a-f]{4,8}):)?([0-9a-f]{2}:[0-9a-f]{2}\.[0-7])\Z")


class Unusable(Exception):
    """The file is no archive of sos, or cannot be read. The text says why."""


class Archive(t.NamedTuple):
    """What was kept of an archive: files by absolute path, output of commands by sos's name for them."""

    name: str
    files: dict[str, bytes]
    commands: dict[str, str]


def read_archive(path: str) -> Archive:
    """The parts of an archive that facts need. Raises Unusable."""
    files: dict[str, bytes] = {}
    commands: dict[str, str] = {}
    kept = 0
    try:
        with tarfile.open(path, "r|*") as archive:
            for number, member in enumerate(archive):
                if number >= _MEMBERS_LIMIT or member.offset > _STREAM_LIMIT:
                    raise Unusable("more than {0} files or {1} bytes in it".format(_MEMBERS_LIMIT, _STREAM_LIMIT))
                inside = _inside(member.name)
                if not member.isfile() or inside is None or member.size > _FILE_LIMIT:
                    continue
                kept += member.size
                if kept > _KEPT_LIMIT:
                    raise Unusable("more than {0} bytes of what is wanted".format(_KEPT_LIMIT))
                stream = archive.extractfile(member)
                data = stream.read(_FILE_LIMIT) if stream is not None else b""
                if inside.startswith("sos_commands/"):
                    commands.setdefault(posixpath.basename(inside), data.decode("utf-8", "replace"))
                else:
                    files["/" + inside] = data
    except (tarfile.TarError, OSError, EOFError, lzma.LZMAError, zlib.error, ValueError) as exc:
        raise Unusable("it cannot be read as a tar archive: {0}".format(clean(str(exc), 200))) from exc
    if not commands:
        raise Unusable("it has no sos_commands: not made by `sos report`, or encrypted")
    name = commands.get("hostname", "").strip() or posixpath.basename(path).removeprefix("sosreport-").split(".")[0]
    return Archive(clean(name.split("\n")[0], 128), files, commands)


def _inside(name: str) -> str | None:
    """The path below the archive's one top directory, where it is one that is wanted."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if len(parts) < 2 or ".." in parts:
        return None
    inside = "/".join(parts[1:])
    if parts[1] == "sos_commands":
        return inside if len(parts) == 4 and _COMMANDS.match(parts[3]) else None
    return inside if _FILES.match(inside) else None


class ArchiveHost(TreeHost):
    """An archive as a machine. Nothing is absent: what is not there was not recorded."""

    def __init__(self, archive: Archive) -> None:
        tree = _Tree(archive)
        super().__init__(tree.manifest)
        self._whole = tree.whole

    def _known(self, path: str) -> bool:
        """Whether absence means absence: below a directory that was put together here as a whole."""
        return any(path == each or path.startswith(each + "/") for each in self._whole)

    def _recorded(self, path: str, error: Unreadable) -> Unreadable:
        if error.reason == "not found" and not self._known(path):
            return Unreadable(path, NOT_RECORDED)
        return error

    def read_bytes(self, path: str, limit: int = READ_LIMIT, offset: int = 0) -> bytes:
        """As `Host` has it, with what was not recorded told apart."""
        try:
            return super().read_bytes(path, limit, offset)
        except Unreadable as exc:
            raise self._recorded(path, exc) from exc

    def listdir(self, path: str) -> list[str]:
        """As `Host` has it, with what was not recorded told apart."""
        if not self._known(path):
            raise Unreadable(path, NOT_RECORDED)
        return super().listdir(path)

    def readlink(self, path: str) -> str:
        """As `Host` has it, with what was not recorded told apart."""
        try:
            return super().readlink(path)
        except Unreadable as exc:
            raise self._recorded(path, exc) from exc

    def lstat(self, path: str) -> FileStatus:
        """As `Host` has it, with what was not recorded told apart."""
        try:
            return super().lstat(path)
        except Unreadable as exc:
            raise self._recorded(path, exc) from exc


class _Tree:
    """The manifest of a TreeHost, put together from an archive."""

    def __init__(self, archive: Archive) -> None:
        self._commands = archive.commands
        self._cards = _cards(archive.commands.get("lspci_-nnvv") or archive.commands.get("lspci") or "")
        self.whole = ["/sys/class/net"]
        self.files: dict[str, t.Any] = {
            path: data.decode("utf-8", "surrogateescape")
            for path, data in archive.files.items()
            if not path.startswith("/sys/class/net/")
        }
        self._numa = {
            path.split("/")[4]: data.decode("utf-8", "replace")
            for path, data in archive.files.items()
            if path.startswith("/sys/class/net/")
        }
        self.ethtool: dict[str, dict[str, str]] = {}
        self.channels: dict[str, dict[str, t.Any]] = {}
        self.directories = ["/sys/class/net"]
        self._kernel()
        self._packages()
        self._nics()
        self.manifest = {
            "files": self.files,
            "directories": self.directories,
            "ethtool": self.ethtool,
            "channels": self.channels,
        }

    def _kernel(self) -> None:
        """Release, version and machine from `uname -a`; /proc/sys from `sysctl -a`."""
        words = self._commands.get("uname_-a", "").split()
        if len(words) > 5 and words[0] == "Linux":
            self.files.setdefault("/proc/sys/kernel/osrelease", words[2] + "\n")
            version = "Linux version {0} (uname) {1}\n".format(words[2], " ".join(words[3:]))
            self.files.setdefault("/proc/version", version)
            machine = words[-2] if words[-1] == "GNU/Linux" else words[-1]
            self.files.setdefault("/proc/sys/kernel/arch", machine + "\n")
        for line in self._commands.get("sysctl_-a", "").split("\n"):
            found = re.match(r"kernel\.(\w{1,64}) = (.{0,400})\Z", line)
            if found:
                self.files.setdefault("/proc/sys/kernel/" + found[1], found[2] + "\n")

    def _packages(self) -> None:
        """dpkg's list as its status file has it: names, versions, states. dpkg(1): ii is installed, rc is removed."""
        states = {"i": "installed", "c": "config-files", "U": "unpacked", "F": "half-configured", "H": "half-installed"}
        stanzas = []
        for line in self._commands.get("dpkg_-l", "").split("\n"):
            found = re.match(r"([uihrp])([nciUFHWt])([R ]) ?\s*(\S{1,128})\s+(\S{1,128})\s+(\S{1,32})", line)
            if found and found[2] in states:
                want = {"i": "install", "h": "hold", "r": "deinstall", "p": "purge"}.get(found[1], "unknown")
                stanzas.append(
                    "Package: {0}\nStatus: {1} {2} {3}\nArchitecture: {4}\nVersion: {5}\n".format(
                        found[4].split(":")[0],
                        want,
                        "reinstreq" if found[3] == "R" else "ok",
                        states[found[2]],
                        found[6],
                        found[5],
                    )
                )
        if stanzas:
            self.files.setdefault("/var/lib/dpkg/status", "\n".join(stanzas))

    def _nics(self) -> None:
        names = sorted(name[len("ethtool_-i_") :] for name in self._commands if name.startswith("ethtool_-i_"))
        if not names:
            self.whole, self.directories = [], []
        for name in names[:_NICS_LIMIT]:
            values = _pairs(self._commands["ethtool_-i_" + name])
            if not values.get("driver") or name == "lo":
                continue
            self.ethtool[name] = {
                "driver": values["driver"],
                "version": values.get("version", ""),
                "firmware": values.get("firmware-version", ""),
                "bus_info": values.get("bus-info", ""),
            }
            self.channels[name] = _channels(self._commands.get("ethtool_-l_" + name, ""))
            self._interface(name, values["driver"], values.get("bus-info", ""))

    def _interface(self, name: str, driver: str, bus: str) -> None:
        """The links and files of sysfs that lead from an interface to its card."""
        base = "/sys/class/net/" + name
        for field in ("address", "carrier", "speed", "queues", "master"):
            self.files[base + "/" + field] = {"error": NOT_RECORDED}
        if driver.split(maxsplit=1)[0].lower() in _VIRTUAL and not _PCI.match(bus.lower()):
            return
        found = _PCI.match(bus.lower())
        place = "/sys/devices/{0}".format(
            "pci0000:00/{0}:{1}".format(found[1] or "0000", found[2]) if found else "unknown/" + name
        )
        self.files[base + "/device"] = {"link": place}
        self.files[place + "/driver"] = {
            "link": "/sys/bus/{0}/drivers/{1}".format("pci" if found else "unknown", driver)
        }
        self.files[place + "/physfn"] = {"error": NOT_RECORDED}
        if not found:
            self.files[place + "/subsystem"] = {"link": "/sys/bus/unknown"}
            return
        address = posixpath.basename(place)
        self.files.setdefault("/sys/bus/pci/devices/" + address, {"link": place})
        self.files[place + "/subsystem"] = {"link": "/sys/bus/pci"}
        if name in self._numa:
            self.files[place + "/numa_node"] = self._numa[name]
        card = self._cards.get(address)
        if card is None:
            return
        for field, value in card.items():
            if field in ("vendor", "device", "subsystem_vendor", "subsystem_device") and value:
                self.files[place + "/" + field] = "0x{0}\n".format(value)
        if card.get("model"):
            self.files["/run/udev/data/+pci:" + address] = "E:ID_MODEL_FROM_DATABASE={0}\n".format(card["model"])
        if card.get("module"):
            self.files["/sys/bus/pci/drivers/{0}/module".format(driver)] = {"link": "/sys/module/" + card["module"]}


def _pairs(text: str) -> dict[str, str]:
    """`key: value` lines of ethtool(8)."""
    pairs = (line.split(":", 1) for line in text[:65536].split("\n") if ":" in line)
    return {clean(key, 64): clean(value, 128) for key, value in pairs}


def _channels(text: str) -> dict[str, t.Any]:
    """The counts in use, which `ethtool -l` prints after the possible ones."""
    current = text[:65536].partition("Current hardware settings:")[2]
    values = {key.lower(): value for key, value in _pairs(current).items()}
    counts = {key: int(values[key]) for key in ("rx", "tx", "other", "combined") if values.get(key, "").isdigit()}
    return counts or {"error": NOT_RECORDED}


_HEAD = re.compile(
    r"(?:([0-9a-f]{4,8}):)?([0-9a-f]{2}:[0-9a-f]{2}\.[0-7]) [^\n]{0,200}?\[[0-9a-f]{4}\]: "
    r"([^\n]{0,300}?) \[([0-9a-f]{4}):([0-9a-f]{4})\]"
)
_SUBSYSTEM = re.compile(r"(?m)^\s+Subsystem: [^\n]{0,300}?\[([0-9a-f]{4}):([0-9a-f]{4})\]")
_MODULE = re.compile(r"(?m)^\s+Kernel driver in use: (\S{1,64})")


def _cards(text: str) -> dict[str, dict[str, str]]:
    """Cards by PCI address from `lspci -nnvv`."""
    found = {}
    for block in re.split(r"\n(?=\S)", text[: 4 * 1024 * 1024]):
        head = _HEAD.match(block)
        if head is None:
            continue
        card = {"model": clean(head[3], 120), "vendor": head[4], "device": head[5]}
        subsystem, module = _SUBSYSTEM.search(block), _MODULE.search(block)
        if subsystem:
            card.update(subsystem_vendor=subsystem[1], subsystem_device=subsystem[2])
        if module and re.fullmatch(r"[\w-]+", module[1]):
            card["module"] = module[1].replace("-", "_")
        found["{0}:{1}".format(head[1] or "0000", head[2])] = card
    return found


def facts_of_sosreport(path: str) -> tuple[str, dict[str, t.Any]]:
    """Name and facts of the host in an archive. Raises Unusable."""
    archive = read_archive(path)
    try:
        host = ArchiveHost(archive)
        facts = collect_facts(host, ("nics", "kernel"))
    except ParseError as exc:
        raise Unusable("its parts contradict each other: {0}".format(exc)) from exc
    facts["capture"] = _capture(host)
    return archive.name, facts


def _capture(host: ArchiveHost) -> dict[str, t.Any]:
    """What an archive can tell of the capture: what was loaded and reserved."""
    unread: dict[str, str] = {"problems": NOT_RECORDED, "applicable": NOT_RECORDED}

    def line(field: str, path: str) -> str | None:
        try:
            return host.read_line(path)
        except Unreadable as exc:
            unread[field] = exc.reason
            return None

    armed, size = (
        line("armed", "/sys/kernel/kexec_crash_loaded"),
        line("reserved_bytes", "/sys/kernel/kexec_crash_size"),
    )
    return {
        "applicable": None,
        "armed": None if armed is None else armed == "1",
        "reserved_bytes": int(size) if size and re.fullmatch("[0-9]{1,18}", size) else None,
        "problems": None,
        "unread": unread,
    }

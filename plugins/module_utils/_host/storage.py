# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Whether the files that a dump needs lie across the network, and on which NICs.

Decides which NIC drivers the capture kernel must have (G25): none for a local
dump, those below the route to the server for iSCSI, NVMe over TCP or NFS. Where
the way cannot be followed the answer is "all of them": a capture kernel that
lacks its disk keeps nothing.
"""

from __future__ import annotations

import ipaddress
import re
import typing as t

from .base import Host, Unreadable

__all__ = ["collect_storage", "nic_modules"]

_NETWORK_FILESYSTEMS = frozenset(
    [
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "ceph",
        "9p",
        "glusterfs",
        "fuse.glusterfs",
        "fuse.sshfs",
        "ocfs2",
        "gfs2",
        "lustre",
    ]
)
# No disk below them; an overlay is a container's.
_MEMORY_FILESYSTEMS = frozenset(["tmpfs", "ramfs", "overlay", "squashfs"])
_NETWORK_DISKS = re.compile(r"^(nbd|rbd|drbd)\d")


class _Mount(t.NamedTuple):
    point: str
    device: str  # major:minor
    filesystem: str
    source: str
    options: str


def collect_storage(host: Host, folder: str) -> dict[str, t.Any]:
    """Return {network, reason, targets, interfaces, nic_modules}.

    `network` is True, False or None (not seen); `nic_modules` are the modules the
    capture kernel needs for its disks, or None where that could not be followed.
    """
    try:
        mounts = parse_mountinfo(host.read("/proc/self/mountinfo", 4 * 1024 * 1024))
    except Unreadable as exc:
        return _answer(None, "the mounts could not be read ({0})".format(exc.reason), (), None, None)
    reasons: list[str] = []
    targets: list[str | None] = []
    unseen: list[str] = []
    for point in dict.fromkeys(mounts_below(mounts, ("/", "/usr", "/var", "/var/lib", folder))):
        parts = _network_parts(host, mounts[point])
        if parts is None:
            unseen.append("the disks below {0} ({1}) could not be seen".format(point, mounts[point].filesystem))
        for reason, target in parts or ():
            reasons.append("{0} is on {1}".format(point, reason))
            targets.append(target)
    if unseen:
        return _answer(None, "; ".join([*reasons, *unseen]), (), None, None)
    if not reasons:
        return _answer(False, "the root filesystem and {0} are local".format(folder), (), [], [])
    known = [target for target in targets if target]
    reason = "; ".join(dict.fromkeys(reasons))
    interfaces = None
    if len(known) == len(targets):
        interfaces = _interfaces_towards(host, known)
    modules = None
    if interfaces is not None:
        found = [nic_modules(host, name) for name in interfaces]
        modules = sorted({module for part in found for module in part}) if all(found) else None
    return _answer(True, reason, known, interfaces, modules)


def _answer(
    network: bool | None, reason: str, targets: t.Sequence[str], interfaces: list[str] | None, modules: list[str] | None
) -> dict[str, t.Any]:
    return {
        "network": network,
        "reason": reason,
        "targets": list(targets),
        "interfaces": interfaces,
        "nic_modules": modules,
    }


def parse_mountinfo(text: str) -> dict[str, _Mount]:
    """Mount point to mount, the uppermost one where several are stacked (proc_pid_mountinfo(5))."""
    mounts = {}
    for line in text.splitlines():
        left, _dash, right = line.partition(" - ")
        fields, after = left.split(" "), right.split(" ")
        if len(fields) < 6 or len(after) < 3:
            continue
        point = _unescape(fields[4])
        mounts[point] = _Mount(point, fields[2], after[0], _unescape(after[1]), fields[5] + "," + after[2])
    return mounts


def _unescape(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match.group(1), 8)), text)


def mounts_below(mounts: t.Mapping[str, t.Any], paths: t.Iterable[str]) -> list[str]:
    """The mount points that hold the given paths."""
    found = []
    for path in paths:
        point = path
        while point != "/" and point not in mounts:
            point = point.rsplit("/", 1)[0] or "/"
        if point in mounts:
            found.append(point)
    return found


def _network_parts(host: Host, mount: _Mount) -> list[tuple[str, str | None]] | None:
    """(what it is, address of the server or None) for each network part of one mount; None where none can be seen."""
    if mount.filesystem in _NETWORK_FILESYSTEMS:
        match = re.search(r"(?:^|,)addr=([0-9a-fA-F.:]+)", mount.options)
        return [(mount.filesystem, match.group(1) if match else None)]
    disks = _disks(host, mount)
    if not disks:
        return [] if mount.filesystem in _MEMORY_FILESYSTEMS else None
    parts: list[tuple[str, str | None]] = []
    for device in disks:
        name = device.rsplit("/", 1)[-1]
        if "/session" in device:
            parts.append(("iSCSI disk " + name, _iscsi_target(host, device)))
        elif _NETWORK_DISKS.match(name):
            parts.append(("network disk " + name, None))
        elif "/fcoe" in device:
            parts.append(("FCoE disk " + name, None))
        else:
            fabric = _nvme_over_fabrics(host, name)
            if fabric is None:
                return None
            parts += fabric
    return parts


def _disks(host: Host, mount: _Mount) -> list[str]:
    """sysfs paths of the real disks below a mount, through dm and md."""
    start = host.realpath("/sys/dev/block/" + mount.device)
    todo = [start]
    if not host.exists(start) and mount.source.startswith("/dev/"):
        # btrfs mounts have an anonymous device number; the source names a member.
        name = host.realpath(mount.source).rsplit("/", 1)[-1]
        todo = [host.realpath("/sys/class/block/" + member) for member in _btrfs_members(host, name)]
    found: list[str] = []
    seen: set[str] = set()
    while todo and len(seen) < 256:
        path = todo.pop()
        if path in seen:
            continue
        seen.add(path)
        try:
            below = host.listdir(path + "/slaves")
        except Unreadable:
            below = []
        if not below and host.exists(path + "/partition"):
            below_disk = path.rsplit("/", 1)[0]
            todo.append(below_disk)
            continue
        todo += [host.realpath("/sys/class/block/" + name) for name in below]
        if not below and host.exists(path):
            found.append(path)
    return found


def _btrfs_members(host: Host, name: str) -> list[str]:
    """Every device of the btrfs that has this one: /sys/fs/btrfs/UUID/devices links each (kernel fs/btrfs/sysfs.c)."""
    try:
        for uuid in host.listdir("/sys/fs/btrfs"):
            folder = "/sys/fs/btrfs/{0}/devices".format(uuid)
            members = host.listdir(folder) if host.exists(folder) else []
            if name in members:
                return members
    except Unreadable:
        pass
    return [name]


def _iscsi_target(host: Host, device: str) -> str | None:
    match = re.search(r"/session(\d+)/", device)
    try:
        connections = [c for c in host.listdir("/sys/class/iscsi_connection") if match]
        for name in connections:
            if match and name.startswith("connection{0}:".format(match.group(1))):
                return host.read_line("/sys/class/iscsi_connection/{0}/address".format(name)) or None
    except Unreadable:
        pass
    return None


def _nvme_over_fabrics(host: Host, name: str) -> list[tuple[str, str | None]] | None:
    match = re.match(r"(nvme\d+)", name)
    if match is None:
        return []
    controller = "/sys/class/nvme/" + match.group(1)
    try:
        transport = host.read_line(controller + "/transport")
        if transport not in ("tcp", "rdma"):
            return []
        address = re.search(r"traddr=([0-9a-fA-F.:]+)", host.read_line(controller + "/address"))
    except Unreadable:
        return None
    return [("NVMe over {0} disk {1}".format(transport, name), address.group(1) if address else None)]


def _interfaces_towards(host: Host, targets: t.Sequence[str]) -> list[str] | None:
    """Network interfaces that the routes to the targets use, with what lies below bonds, bridges and VLANs."""
    try:
        routes = parse_routes(host.read("/proc/net/route", 4 * 1024 * 1024))
    except Unreadable:
        return None
    found: list[str] = []
    for target in targets:
        name = route_to(routes, target)
        if name is None:
            return None
        found += _physical(host, name)
    return sorted(set(found))


def parse_routes(text: str) -> list[tuple[int, int, str]]:
    """(network, mask, interface) of /proc/net/route, whose numbers are hexadecimal in host (little-endian) order."""
    routes = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        try:
            network = int.from_bytes(bytes.fromhex(fields[1]), "little")
            mask = int.from_bytes(bytes.fromhex(fields[7]), "little")
        except (IndexError, ValueError):
            continue
        routes.append((network, mask, fields[0]))
    return routes


def route_to(routes: t.Sequence[tuple[int, int, str]], target: str) -> str | None:
    """Interface of the longest prefix; None for IPv6 (not in this table) and without a route."""
    try:
        address = int(ipaddress.IPv4Address(target))
    except ValueError:
        return None
    fitting = [(mask, name) for network, mask, name in routes if address & mask == network]
    return max(fitting)[1] if fitting else None


def _physical(host: Host, name: str) -> list[str]:
    todo, found = [name], []
    seen: set[str] = set()
    while todo and len(seen) < 64:
        current = todo.pop()
        if current in seen:
            continue
        seen.add(current)
        try:
            names = host.listdir("/sys/class/net/" + current)
        except Unreadable:
            continue
        lower = [entry[len("lower_") :] for entry in names if entry.startswith("lower_")]
        todo += lower
        if not lower:
            found.append(current)
    return found


def nic_modules(host: Host, interface: str) -> list[str]:
    """Kernel modules that drive an interface; empty where the driver is built in and for virtual interfaces."""
    try:
        link = host.readlink("/sys/class/net/{0}/device/driver/module".format(interface))
    except Unreadable:
        return []
    return [link.rsplit("/", 1)[-1]]

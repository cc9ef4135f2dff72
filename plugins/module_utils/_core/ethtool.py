# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Packs and unpacks the structures of the ethtool ioctl.

Source: include/uapi/linux/ethtool.h (struct ethtool_drvinfo, struct
ethtool_channels, struct ethtool_gstrings, struct ethtool_stats),
include/uapi/linux/if.h (struct ifreq). The commands are on the list that
dev_ethtool() answers without CAP_NET_ADMIN.
"""

from __future__ import annotations

import struct
import typing as t

from .errors import ParseError

__all__ = [
    "GCHANNELS",
    "GDRVINFO",
    "GSTATS",
    "GSTRINGS",
    "SIOCETHTOOL",
    "pack_channels",
    "pack_drvinfo",
    "pack_request",
    "pack_statistics",
    "pack_statistics_names",
    "statistics_count",
    "unpack_channels",
    "unpack_drvinfo",
    "unpack_statistics",
]

SIOCETHTOOL = 0x8946
GDRVINFO = 0x03
GCHANNELS = 0x3C
GSTRINGS = 0x1B
GSTATS = 0x1D
#: ETH_SS_STATS of enum ethtool_stringset.
_STATISTICS_SET = 1
#: ETH_GSTRING_LEN.
_NAME_OF_COUNTER_BYTES = 32
#: More counters than any driver has (mlx5 with 128 queues: some 5000); what is above is not read.
_COUNTERS_MAX = 32768

#: IFNAMSIZ counts the terminating zero.
_NAME_BYTES = 16
#: struct ifreq is the name and a union; the largest member, struct ifmap, has 24 bytes on 64-bit machines.
_REQUEST_BYTES = 40
#: cmd, driver, version, fw_version, bus_info, erom_version, reserved2, five counters.
_DRVINFO = struct.Struct("=I32s32s32s32s32s12s5I")
#: cmd, four maxima, then the counts in use: rx, tx, other, combined.
_CHANNELS = struct.Struct("=9I")


def pack_request(interface: str, address: int) -> bytes:
    """struct ifreq that points at a command buffer; ParseError where the name cannot be an interface's."""
    name = interface.encode("utf-8", "surrogateescape")
    if not name or len(name) >= _NAME_BYTES or b"\0" in name:
        raise ParseError("interface name of {0} bytes does not fit struct ifreq".format(len(name)))
    return struct.pack("@{0}sP".format(_NAME_BYTES), name, address).ljust(_REQUEST_BYTES, b"\0")


def pack_drvinfo() -> bytes:
    """An ETHTOOL_GDRVINFO command to be filled by the kernel."""
    return GDRVINFO.to_bytes(4, _byteorder()).ljust(_DRVINFO.size, b"\0")


def pack_channels() -> bytes:
    """An ETHTOOL_GCHANNELS command to be filled by the kernel."""
    return GCHANNELS.to_bytes(4, _byteorder()).ljust(_CHANNELS.size, b"\0")


def unpack_drvinfo(answer: bytes) -> tuple[str, str, str, str]:
    """Driver, version, firmware and bus of a filled ETHTOOL_GDRVINFO.

    The texts end at the first zero; a driver that fills all 32 bytes leaves
    none, so the length is a bound too. Bytes that are not UTF-8 become U+FFFD.
    """
    if len(answer) != _DRVINFO.size:
        raise ParseError("ethtool_drvinfo has {0} bytes, expected {1}".format(len(answer), _DRVINFO.size))
    fields = _DRVINFO.unpack(answer)
    return _text(fields[1]), _text(fields[2]), _text(fields[3]), _text(fields[4])


def unpack_channels(answer: bytes) -> dict[str, int]:
    """The channel counts in use, by the names rx, tx, other, combined."""
    if len(answer) != _CHANNELS.size:
        raise ParseError("ethtool_channels has {0} bytes, expected {1}".format(len(answer), _CHANNELS.size))
    counts = _CHANNELS.unpack(answer)
    return {"rx": counts[5], "tx": counts[6], "other": counts[7], "combined": counts[8]}


def statistics_count(answer: bytes) -> int:
    """How many counters the driver has: n_stats of a filled ETHTOOL_GDRVINFO. Raises ParseError."""
    if len(answer) != _DRVINFO.size:
        raise ParseError("ethtool_drvinfo has {0} bytes, expected {1}".format(len(answer), _DRVINFO.size))
    # After the texts: n_priv_flags, n_stats, testinfo_len, eedump_len, regdump_len.
    count = int(_DRVINFO.unpack(answer)[8])
    if count > _COUNTERS_MAX:
        raise ParseError("{0} counters are more than {1}".format(count, _COUNTERS_MAX))
    return count


def pack_statistics_names(count: int) -> bytes:
    """An ETHTOOL_GSTRINGS command for the names of the counters: cmd, string_set, len, then 32 bytes a name."""
    return struct.pack("=3I", GSTRINGS, _STATISTICS_SET, count) + bytes(count * _NAME_OF_COUNTER_BYTES)


def pack_statistics(count: int) -> bytes:
    """An ETHTOOL_GSTATS command: cmd, n_stats, then 8 bytes a counter."""
    return struct.pack("=2I", GSTATS, count) + bytes(count * 8)


def unpack_statistics(names: bytes, counts: bytes) -> dict[str, int]:
    """The counters by name, from both answers. Raises ParseError where they do not fit each other."""
    said, there = struct.unpack_from("=I", names, 8)[0], struct.unpack_from("=I", counts, 4)[0]
    room = min((len(names) - 12) // _NAME_OF_COUNTER_BYTES, (len(counts) - 8) // 8)
    if said != there or said > room:
        raise ParseError("the driver gave {0} names and {1} counters, for {2}".format(said, there, room))
    found: dict[str, int] = {}
    for index in range(said):
        start = 12 + index * _NAME_OF_COUNTER_BYTES
        name = _text(names[start : start + _NAME_OF_COUNTER_BYTES]).strip()
        if name:
            found[name] = struct.unpack_from("=Q", counts, 8 + index * 8)[0]
    return found


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode("utf-8", "replace")


def _byteorder() -> t.Literal["little", "big"]:
    return "little" if struct.pack("=H", 1) == b"\x01\x00" else "big"

# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Packs and unpacks the structures of the ethtool ioctl.

Source: include/uapi/linux/ethtool.h (struct ethtool_drvinfo, struct
ethtool_channels), include/uapi/linux/if.h (struct ifreq). Both commands are
on the list that dev_ethtool() answers without CAP_NET_ADMIN.
"""

from __future__ import annotations

import struct
import typing as t

from .errors import ParseError

__all__ = [
    "GCHANNELS",
    "GDRVINFO",
    "SIOCETHTOOL",
    "pack_channels",
    "pack_drvinfo",
    "pack_request",
    "unpack_channels",
    "unpack_drvinfo",
]

SIOCETHTOOL = 0x8946
GDRVINFO = 0x03
GCHANNELS = 0x3C

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


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode("utf-8", "replace")


def _byteorder() -> t.Literal["little", "big"]:
    return "little" if struct.pack("=H", 1) == b"\x01\x00" else "big"

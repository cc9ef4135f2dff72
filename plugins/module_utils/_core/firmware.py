# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Firmware versions of network cards, in the words of each driver.

The text comes from ETHTOOL_GDRVINFO, and every driver writes it in its own
way. One grammar a driver turns it into named fields and, where the numbers
have an order, into integers that may be compared: only within one grammar and
one train (chip family, OEM line), since the same number means different things
elsewhere. What cannot be read raises `ParseError`; there is no "empty version"
that could compare equal to another.

Source of each form: the driver's get_drvinfo in Linux 6.1, 6.12 and 7.3.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t

from .errors import CoreError, ParseError
from .text import clean

__all__ = [
    "COMPARISONS",
    "Firmware",
    "IncomparableError",
    "bound",
    "compare",
    "grammar_of",
    "has_grammar",
    "in_range",
    "parse_firmware",
]

#: ETHTOOL_FWVERS_LEN, with the terminating zero. A text of 31 bytes may have lost its end.
_FIELD_BYTES = 32


class IncomparableError(CoreError):
    """Two versions have no order between them: the answer is "unknown", never "equal"."""


@dataclasses.dataclass(frozen=True)
class Firmware:
    """One firmware version as read.

    `fields` are named texts for people. `components` decide: with `ordered`
    they are integers, compared left to right; without, two versions are the
    same or undecided. `complete` is false where the driver's 32 bytes cut the text.
    """

    grammar: str
    train: str
    fields: tuple[tuple[str, str], ...]
    components: tuple[int | str, ...]
    ordered: bool
    complete: bool

    def as_facts(self) -> dict[str, t.Any]:
        """The form that goes into facts (JSON)."""
        return {
            "grammar": self.grammar,
            "train": self.train,
            "fields": dict(self.fields),
            "components": list(self.components),
            "ordered": self.ordered,
            "complete": self.complete,
        }


class _Reading(t.NamedTuple):
    """What a grammar gives: fields that are None are left out."""

    fields: dict[str, str | None]
    components: tuple[int | str, ...]
    ordered: bool = True
    train: str = ""


def parse_firmware(driver: str, raw: str, device: str | None = None) -> Firmware:
    """Read the firmware text of a driver (its name as the kernel has it, "ixgbe").

    `device` is the PCI device id ("1572"); with it the drivers that serve
    several chip families get one train a family. Raises ParseError where the
    driver reports none, has no grammar here, or the text is not in it.
    """
    name = _ALIASES.get(driver, driver)
    text = raw.strip()
    if name in _WITHOUT_FIRMWARE:
        raise ParseError("{0}: {1}".format(clean(driver, 32), _WITHOUT_FIRMWARE[name]))
    if text.upper() in ("", "N/A"):
        raise ParseError("the driver reports none")
    if name not in _GRAMMARS:
        raise ParseError("no grammar for the driver {0!r}".format(clean(driver, 32)))
    if len(raw) > _FIELD_BYTES or not (text.isascii() and text.isprintable()):
        raise _unlike(name, text)
    complete = len(raw) < _FIELD_BYTES - 1
    reading = _GRAMMARS[name](text if complete else _without_last_field(name, text), device)
    return Firmware(
        grammar=name,
        train=reading.train,
        fields=tuple((key, value) for key, value in reading.fields.items() if value),
        components=reading.components,
        ordered=reading.ordered,
        complete=complete,
    )


def compare(left: Firmware, right: Firmware) -> int:
    """-1, 0 or 1 as `left` is older than, the same as or newer than `right`.

    Raises IncomparableError across grammars or trains, and between two
    different versions of a grammar that has no order.
    """
    if (left.grammar, left.train) != (right.grammar, right.train):
        raise IncomparableError(
            "{0} ({1}) and {2} ({3}) have no common order".format(
                left.grammar, left.train or "any", right.grammar, right.train or "any"
            )
        )
    if left.ordered and right.ordered:
        ours, theirs = _integers(left), _integers(right)
        return (ours > theirs) - (ours < theirs)
    if left.components == right.components and left.complete and right.complete:
        return 0
    raise IncomparableError("{0} versions of this form have no order".format(left.grammar))


#: How a range counts: all numbers, the first, those after the chip's number, or the same text and no more.
COMPARISONS = ("full", "major", "minor.sub", "equal-only")

_BOUND = re.compile(r"[0-9]{1,10}(?:\.[0-9]{1,10}){0,3}")
_OPERATORS: dict[str, t.Callable[[tuple[int, ...], tuple[int, ...]], bool]] = {
    "ge": lambda version, limit: version >= limit,
    "gt": lambda version, limit: version > limit,
    "le": lambda version, limit: version <= limit,
    "lt": lambda version, limit: version < limit,
    "eq": lambda version, limit: version == limit,
}


def grammar_of(driver: str) -> str:
    """The name under which a driver's grammar is kept: "mlx5_core" for "mlx5_core.sf", the driver's own otherwise."""
    return _ALIASES.get(driver, driver)


def has_grammar(driver: str) -> bool:
    """Whether the firmware texts of a driver can be read here."""
    return grammar_of(driver) in _GRAMMARS


def bound(text: str) -> tuple[int, ...]:
    """The numbers of one end of a range, "42.1000" or "212". Raises ParseError."""
    if _BOUND.fullmatch(text) is None:
        raise ParseError("not an end of a firmware range: {0!r}".format(clean(text, 48)))
    return _dotted(text)


def in_range(firmware: Firmware, limits: t.Mapping[str, str], comparison: str, train: str = "") -> bool:
    """Whether a version lies within `limits` (keys ge, gt, le, lt, eq; all must hold).

    A limit with fewer numbers than the version speaks of its first ones: 217.3 is
    "le 217". `train` is the chip family or release line that the limits are given
    for; a grammar that has several needs it, except that "minor.sub" leaves the
    chip out and holds for the card vendor's own line. Raises IncomparableError
    where there is no order, ParseError for a limit that is none.
    """
    if comparison == "equal-only":
        return _is_same(firmware, limits)
    _require_train(firmware, comparison, train)
    numbers = _numbers_for(firmware, comparison)
    held = True
    for operator, text in limits.items():
        limit = bound(text)
        if len(limit) > len(numbers):
            raise IncomparableError("{0} has too few numbers for {1}".format(_dots(numbers) or "it", clean(text, 48)))
        if comparison == "full" and firmware.grammar == "mlx5_core" and limit[0] != numbers[0]:
            raise IncomparableError("the limit {0} is of another chip".format(clean(text, 48)))
        held = held and _OPERATORS[operator](numbers[: len(limit)], limit)
    return held


def _is_same(firmware: Firmware, limits: t.Mapping[str, str]) -> bool:
    wanted = limits.get("eq", "").lower()
    if set(limits) != {"eq"}:
        raise ParseError('where there is no order, "eq" is the one limit that can be tested')
    if not firmware.complete or firmware.train.endswith("oem"):
        raise IncomparableError("{0} of another line, or cut short".format(firmware.grammar))
    return wanted == ".".join(str(part) for part in firmware.components).lower()


def _require_train(firmware: Firmware, comparison: str, train: str) -> None:
    if not firmware.ordered:
        raise IncomparableError("{0} versions of this form have no order".format(firmware.grammar))
    line = firmware.train
    if firmware.grammar == "mlx5_core" and not train:
        line = line.partition(" ")[2]
        if line == "mt":
            return
        raise IncomparableError("the releases of {0} are its own".format(line or "a card whose PSID is not shown"))
    if line != train:
        raise IncomparableError(
            "{0} ({1}) is not of the line that the range is for ({2})".format(
                firmware.grammar, line or "any", train or "any"
            )
        )


def _numbers_for(firmware: Firmware, comparison: str) -> tuple[int, ...]:
    numbers = _integers(firmware)
    # mlx5 keeps the chip in its train: components are what follows it.
    chip = firmware.train.partition(" ")[0] if firmware.grammar == "mlx5_core" else ""
    if comparison == "minor.sub":
        return numbers if chip else numbers[1:]
    if chip:
        numbers = (int(chip), *numbers)
    return numbers[:1] if comparison == "major" else numbers


def _dots(numbers: tuple[int, ...]) -> str:
    return ".".join(str(number) for number in numbers)


def _integers(firmware: Firmware) -> tuple[int, ...]:
    return tuple(part for part in firmware.components if isinstance(part, int))


def _unlike(grammar: str, text: str) -> ParseError:
    return ParseError("not a firmware version of {0}: {1!r}".format(grammar, clean(text, 48)))


def _without_last_field(grammar: str, text: str) -> str:
    kept = text.rsplit(None, 1)[0] if len(text.split()) > 1 else ""
    if not kept:
        raise _unlike(grammar, text)
    return kept


def _match(grammar: str, pattern: t.Pattern[str], text: str) -> dict[str, str | None]:
    found = pattern.fullmatch(text)
    if found is None:
        raise _unlike(grammar, text)
    return found.groupdict()


def _dotted(text: str | None) -> tuple[int, ...]:
    return tuple(int(part) for part in (text or "").split("."))


def _hex_pair(text: str) -> tuple[int, int]:
    """NVM versions are printed as "%x.%02x": 9.05 < 9.20 < 9.54, each part by base 16."""
    major, minor = text.split(".")
    return int(major, 16), int(minor, 16)


# One function a grammar. [0-9] and not \d, which also takes the digits of other scripts.

_NVM = re.compile(
    r"(?P<nvm>[0-9a-f]{1,2}\.[0-9a-f]{2})"
    r"(?: (?P<etrack>0x[0-9a-f]{1,8})(?: (?P<image>[0-9]{1,3}\.[0-9]{1,5}\.[0-9]{1,3}))?)?",
    re.IGNORECASE,
)
_OEM = re.compile(r"(?P<oem>[0-9a-f]{1,4}\.[0-9a-f]{1,4}\.[0-9a-f]{1,4})", re.IGNORECASE)
#: The X722 counts its NVM on its own. The ids are those of I40E_MAC_X722 in i40e_set_mac_type().
_X722 = frozenset(("0dda", "37ce", "37cf", "37d0", "37d1", "37d2", "37d3"))


def _read_i40e(text: str, device: str | None) -> _Reading:
    family = "" if device is None else "x722" if device in _X722 else "x710"
    if _OEM.fullmatch(text):
        return _oem(text, "i40e", family)
    fields = _match("i40e", _NVM, text)
    return _Reading(fields, _hex_pair(fields["nvm"] or ""), train=family)


def _read_ice(text: str, device: str | None) -> _Reading:
    fields = _match("ice", _NVM, text)
    return _Reading(fields, _hex_pair(fields["nvm"] or ""), train=device or "")


def _oem(text: str, grammar: str, family: str) -> _Reading:
    fields = _match(grammar, _OEM, text)
    return _Reading(fields, (text.lower(),), ordered=False, train=(family + " oem").strip())


_ETRACK = re.compile(
    r"(?P<etrack>0x[0-9a-f]{8})(?:, (?P<option_rom>[0-9]{1,3}\.[0-9]{1,5}\.[0-9]{1,3}))?", re.IGNORECASE
)


def _read_ixgbe(text: str, device: str | None) -> _Reading:
    if _OEM.fullmatch(text):
        return _oem(text, "ixgbe", "")
    fields = _match("ixgbe", _ETRACK, text)
    # One card is "0x61c10001" to ixgbe 4.2.1 and "0x61c10001, 255.65535.255" to 5.5.5: the eTrack id alone counts.
    return _Reading(fields, ((fields["etrack"] or "").lower(),), ordered=False)


_IGB = re.compile(
    r"(?P<nvm>[0-9]{1,3}\.[0-9]{1,3})"
    r"(?:, (?P<etrack>0x[0-9a-f]{8})(?:, (?P<option_rom>[0-9]{1,3}\.[0-9]{1,5}\.[0-9]{1,3}))?|\.(?P<build>[0-9]{1,5}))",
    re.IGNORECASE,
)
#: i210 and i211 without flash: "%2d.%2d-%d", so blanks stand inside.
_IGB_INVM = re.compile(r"(?P<invm>[0-9]{1,3}\. ?[0-9]{1,3})-(?P<image_type>[0-9]{1,3})")


def _read_igb(text: str, device: str | None) -> _Reading:
    invm = _IGB_INVM.fullmatch(text)
    if invm:
        return _Reading(invm.groupdict(), (text.replace(" ", ""),), ordered=False, train="invm")
    fields = _match("igb", _IGB, text)
    return _Reading(fields, _dotted(fields["nvm"]), train=device or "")


_IGC = re.compile(r"(?P<nvm>[0-9a-f]{1,4}):(?P<phy>[0-9a-f]{1,4})", re.IGNORECASE)


def _read_igc(text: str, device: str | None) -> _Reading:
    fields = _match("igc", _IGC, text)
    return _Reading(fields, (text.lower(),), ordered=False)


_E1000E = re.compile(r"(?P<nvm>[0-9]{1,3}\.[0-9]{1,3})-(?P<image>[0-9]{1,3})")


def _read_e1000e(text: str, device: str | None) -> _Reading:
    return _Reading(_match("e1000e", _E1000E, text), (text,), ordered=False)


_MLX5 = re.compile(
    r"(?P<version>(?P<chip>[0-9]{1,5})\.(?P<minor>[0-9]{1,5})\.(?P<build>[0-9]{4,5}))(?: \((?P<psid>[^()]{1,16})\))?"
)


def _read_mlx5(text: str, device: str | None) -> _Reading:
    found = _match("mlx5_core", _MLX5, text)
    psid = found["psid"]
    # The first number is the chip. A card with an OEM's PSID follows the OEM's own releases.
    line = "" if psid is None else "mt" if psid.startswith("MT_") else psid
    fields = {"version": found["version"], "psid": psid}
    components = (int(found["minor"] or ""), int(found["build"] or ""))
    return _Reading(fields, components, train="{0} {1}".format(found["chip"], line).strip())


_THREE = re.compile(r"(?P<version>[0-9]{1,5}(?:\.[0-9]{1,5}){2})")
_FOUR = re.compile(r"(?P<version>[0-9]{1,10}(?:\.[0-9]{1,10}){3})")


def _read_three(grammar: str) -> t.Callable[[str, str | None], _Reading]:
    def read(text: str, device: str | None) -> _Reading:
        fields = _match(grammar, _THREE, text)
        return _Reading(fields, _dotted(fields["version"]))

    return read


def _read_four(grammar: str) -> t.Callable[[str, str | None], _Reading]:
    def read(text: str, device: str | None) -> _Reading:
        fields = _match(grammar, _FOUR, text)
        return _Reading(fields, _dotted(fields["version"]))

    return read


_BNXT = re.compile(r"(?P<version>[0-9]{1,5}(?:\.[0-9]{1,5}){2,3})(?:/pkg(?: (?P<package>\S.*))?)?")


def _read_bnxt(text: str, device: str | None) -> _Reading:
    fields = _match("bnxt_en", _BNXT, text)
    if fields["package"] == "N/A":
        fields["package"] = None
    # The package text follows the server vendor's own scheme (Dell 21.40.22.21) and is not compared.
    return _Reading(fields, _dotted(fields["version"]))


_BNX = re.compile(
    r"(?:(?P<vendor>[^ ]{1,16}(?: [^ ]{1,16})?) )?bc (?P<bootcode>[0-9]{1,3}(?:\.[0-9]{1,3}){2})(?: (?P<rest>.+))?"
)


def _read_bnx(grammar: str) -> t.Callable[[str, str | None], _Reading]:
    """Of bnx2 and bnx2x: boot code, with "mbi 7.15.42" or a text of the board before it, PHY or NCSI after."""

    def read(text: str, device: str | None) -> _Reading:
        fields = _match(grammar, _BNX, text)
        return _Reading(fields, _dotted(fields["bootcode"]))

    return read


_TG3 = re.compile(
    r"(?:(?P<self_boot>sb )|(?:(?!bc )(?P<vendor>[^ ]{1,20}) )?(?:bc )?)(?:(?P<chip>[0-9]{4,5}[a-z]{0,2})-)?"
    r"v(?P<bootcode>[0-9]{1,3}\.[0-9]{1,3})(?P<letter>[a-z]?)(?:,? (?P<management>.+))?"
)


def _read_tg3(text: str, device: str | None) -> _Reading:
    found = _TG3.fullmatch(text)
    if found is None:  # a board's own text
        return _Reading({"text": text}, (text,), ordered=False, train="text")
    bootcode, letter = found.group("bootcode"), found.group("letter")
    fields = {
        "vendor": found.group("vendor"),
        "chip": found.group("chip"),
        "bootcode": bootcode + letter,
        "management": found.group("management"),
    }
    # 3.29 < 3.29a < 3.44
    components = (*_dotted(bootcode), ord(letter) - ord("a") + 1 if letter else 0)
    return _Reading(fields, components, train="sb" if found.group("self_boot") else found.group("chip") or "")


_BE2NET = re.compile(r"(?P<running>[0-9]{1,5}(?:\.[0-9]{1,5}){3})(?: \[(?P<on_flash>[0-9]{1,5}(?:\.[0-9]{1,5}){3})\])?")


def _read_be2net(text: str, device: str | None) -> _Reading:
    fields = _match("be2net", _BE2NET, text)
    return _Reading(fields, _dotted(fields["running"]))


_QEDE = re.compile(
    r"(?:mbi (?P<mbi>[0-9]{1,3}(?:\.[0-9]{1,3}){2}))?"
    r"(?: ?(?P<open>\[)?mfw (?P<mfw>[0-9]{1,3}(?:\.[0-9]{1,3}){3})(?(open)\]))?"
    r"(?: storm (?P<storm>[0-9]{1,3}(?:\.[0-9]{1,3}){3}))?"
)


def _read_qede(text: str, device: str | None) -> _Reading:
    fields = _match("qede", _QEDE, text)
    del fields["open"]
    if fields["mfw"]:
        return _Reading(fields, _dotted(fields["mfw"]), train="mfw")
    if fields["mbi"]:
        return _Reading(fields, _dotted(fields["mbi"]), train="mbi")
    raise _unlike("qede", text)


_CXGB4 = re.compile(r"(?P<version>[0-9]{1,3}(?:\.[0-9]{1,3}){3})(?:, TP (?P<tp>[0-9]{1,3}(?:\.[0-9]{1,3}){3}))?")


def _read_cxgb4(text: str, device: str | None) -> _Reading:
    fields = _match("cxgb4", _CXGB4, text)
    return _Reading(fields, _dotted(fields["version"]))


_SFC = re.compile(r"(?P<version>[0-9]{1,5}(?:\.[0-9]{1,5}){3})(?: (?P<datapath>.+))?")


def _read_sfc(text: str, device: str | None) -> _Reading:
    fields = _match("sfc", _SFC, text)
    return _Reading(fields, _dotted(fields["version"]))


def _read_nfp(text: str, device: str | None) -> _Reading:
    parts = text.split()
    if not 1 <= len(parts) <= 4:
        raise _unlike("nfp", text)
    fields: dict[str, str | None] = dict(zip(("vnic", "nsp", "mip", "application"), parts))
    return _Reading(fields, tuple(parts), ordered=False)


_HNS3_HEX = re.compile(r"0x[0-9a-f]{8}", re.IGNORECASE)


def _read_hns3(text: str, device: str | None) -> _Reading:
    if _HNS3_HEX.fullmatch(text):  # one number, as the driver of 4.14 vendor kernels prints it
        return _Reading({"version": text.lower()}, (text.lower(),), ordered=False, train="hex")
    fields = _match("hns3", _FOUR, text)
    return _Reading(fields, _dotted(fields["version"]))


def _read_text(text: str, device: str | None) -> _Reading:
    """Drivers that pass on what the device says: the same text is the same version, no more."""
    return _Reading({"text": text}, (text,), ordered=False)


_GRAMMARS: dict[str, t.Callable[[str, str | None], _Reading]] = {
    "atlantic": _read_three("atlantic"),
    "be2net": _read_be2net,
    "bnx2": _read_bnx("bnx2"),
    "bnx2x": _read_bnx("bnx2x"),
    "bnxt_en": _read_bnxt,
    "cxgb4": _read_cxgb4,
    "e1000e": _read_e1000e,
    "enic": _read_text,
    "hinic": _read_text,
    "hns3": _read_hns3,
    "i40e": _read_i40e,
    "ice": _read_ice,
    "igb": _read_igb,
    "igc": _read_igc,
    "ionic": _read_text,
    "ixgbe": _read_ixgbe,
    "liquidio": _read_text,
    "mlx4": _read_three("mlx4"),
    "mlx5_core": _read_mlx5,
    "netxen_nic": _read_three("netxen_nic"),
    "nfp": _read_nfp,
    "qede": _read_qede,
    "qlcnic": _read_three("qlcnic"),
    "r8152": _read_text,
    "r8169": _read_text,
    "sfc": _read_sfc,
    "tg3": _read_tg3,
}

_ALIASES = {
    "LiquidIO": "liquidio",
    "mlx4_core": "mlx4",
    "mlx4_en": "mlx4",
    "mlx5_core.eth": "mlx5_core",
    "mlx5_core.sf": "mlx5_core",
    "mlx5_core[ib_ipoib]": "mlx5_core",
    "mlx5e_rep": "mlx5_core",
    "sfc_ef100": "sfc",
    "sfc_siena": "sfc",
    "cxgb4vf": "cxgb4",
}

_VIRTUAL_FUNCTION = "a virtual function does not report it: ask its physical function"
_NO_FIRMWARE = "the driver has no firmware version"
#: usbnet_get_drvinfo writes the driver's own description there ("CDC NCM"), which changes with no firmware.
_DESCRIPTION = "the driver reports a description, not a firmware version"

_WITHOUT_FIRMWARE = {
    **dict.fromkeys(("iavf", "i40evf", "ixgbevf", "igbvf", "fm10kvf"), _VIRTUAL_FUNCTION),
    **dict.fromkeys(
        ("ena", "virtio_net", "vmxnet3", "hv_netvsc", "xen-netfront", "vif", "gve", "veth", "bonding", "bridge", "tun"),
        _NO_FIRMWARE,
    ),
    **dict.fromkeys(
        ("asix", "ax88179_178a", "cdc_ether", "cdc_mbim", "cdc_ncm", "rndis_host", "smsc75xx", "smsc95xx"), _DESCRIPTION
    ),
}

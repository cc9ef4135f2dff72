# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What one guest of a rack is to be."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from .errors import LabError
from .recipe import BOOTS, FIRMWARES, SUITES

__all__ = ["CARDS", "GuestSpec", "parse_guest", "wire_path"]

#: Cards that can be put under test: QEMU's device name. igb needs QEMU 8.
CARDS = ("e1000", "e1000e", "igb", "rtl8139", "virtio-net-pci", "vmxnet3")

_HOSTNAME = re.compile(r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")


@dataclasses.dataclass(frozen=True)
class GuestSpec:
    """One guest: `nics` are the cards besides the one that carries ssh.

    A card is `e1000e`, on a network of its own, or `e1000e@web2`, on a wire to the guest web2, which has a card
    on a wire to this one. A wire carries frames and nothing else: no address is given out on it.
    """

    name: str
    suite: str
    memory_mib: int = 2048
    cpus: int = 2
    nics: tuple[str, ...] = ()
    firmware: str = "bios"
    loader: str = "grub"
    watchdog: bool = False  #: an emulated i6300esb, armed only when the guest opens it
    groups: tuple[str, ...] = ()
    #: Inventory variables of this host, any JSON value.
    variables: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        for valid, complaint in (
            (_HOSTNAME.match(self.name), "{0!r} cannot be a host name".format(self.name)),
            (self.suite in SUITES, "no release {0!r}: one of {1}".format(self.suite, ", ".join(SUITES))),
            (self.firmware in FIRMWARES, "no firmware {0!r}: one of {1}".format(self.firmware, ", ".join(FIRMWARES))),
            (
                (self.firmware, self.loader) in BOOTS,
                "no image boots through {0} with {1}: one of {2}".format(
                    self.firmware, self.loader, ", ".join(" with ".join(pair) for pair in BOOTS)
                ),
            ),
            (128 <= self.memory_mib <= 1 << 20, "memory is in MiB, 128 or more: {0}".format(self.memory_mib)),
            (1 <= self.cpus <= 255, "cpus: {0}".format(self.cpus)),
            (len(self.nics) <= 8, "at most 8 cards"),
        ):
            if not valid:
                raise LabError("guest {0}: {1}".format(self.name, complaint))
        for card, peer in self.cards():
            if card not in CARDS:
                raise LabError("guest {0}: no card {1!r}: one of {2}".format(self.name, card, ", ".join(CARDS)))
            self._check_wire(peer)
        for group in self.groups:
            if not re.fullmatch(r"[a-z_][a-z0-9_]*", group):
                raise LabError("guest {0}: {1!r} cannot be an inventory group".format(self.name, group))

    def _check_wire(self, peer: str | None) -> None:
        if peer is None:
            return
        if not _HOSTNAME.match(peer) or peer == self.name:
            raise LabError("guest {0}: a wire leads to another guest, not to {1!r}".format(self.name, peer))
        if self.peers().count(peer) > 1:
            raise LabError("guest {0}: two wires to {1}; one is known".format(self.name, peer))
        # sun_path of unix(7) has 107 bytes, and QEMU gets the path relative to the guest's folder.
        if len(wire_path(self.name, peer)) > 107:
            raise LabError("guest {0}: its name and {1!r} are too long for a wire".format(self.name, peer))

    def cards(self) -> list[tuple[str, str | None]]:
        """(QEMU's device name, the guest at the other end of its wire or None) of each card."""
        parts = [nic.partition("@") for nic in self.nics]
        return [(card, peer if at else None) for card, at, peer in parts]

    def peers(self) -> list[str]:
        """The guests that this one has a wire to."""
        return [peer for _card, peer in self.cards() if peer is not None]

    def to_json(self) -> dict[str, t.Any]:
        """As kept in the rack's state."""
        return {**dataclasses.asdict(self), "nics": list(self.nics), "groups": list(self.groups)}

    @classmethod
    def from_json(cls, kept: t.Mapping[str, t.Any]) -> GuestSpec:
        """The reverse of `to_json`."""
        return cls(**{**kept, "nics": tuple(kept["nics"]), "groups": tuple(kept["groups"])})


def wire_path(name: str, peer: str) -> str:
    """The socket at which the guest `name` takes what comes from `peer`, seen from the folder of any guest."""
    return "../{0}/wire-{1}".format(name, peer)


def parse_guest(text: str) -> GuestSpec:
    """Read a guest such as `name=trixie,memory=2048,cpus=2,nic=e1000e@peer,firmware=uefi,loader=grub,group=web`.

    All after the release is optional; `nic` and `group` may be repeated. Raises LabError that says
    what is wrong with which part.
    """
    head, *options = text.split(",")
    name, equals, suite = head.partition("=")
    if not equals:
        raise LabError("{0!r}: a guest begins with NAME=SUITE, such as web1=trixie".format(text))
    given: dict[str, t.Any] = {"nics": [], "groups": []}
    for option in options:
        key, _, value = option.partition("=")
        if key in ("memory", "cpus"):
            if not value.isdecimal():
                raise LabError("{0}: {1} is a number, not {2!r}".format(name, key, value))
            given["memory_mib" if key == "memory" else key] = int(value)
        elif key in ("nic", "group"):
            given[key + "s"].append(value)
        elif key in ("firmware", "loader"):
            given[key] = value
        elif key == "watchdog":
            given[key] = value in ("", "yes", "true", "1")
        else:
            known = "memory, cpus, nic, firmware, loader, watchdog, group"
            raise LabError("{0}: unknown option {1!r}; known: {2}".format(name, key, known))
    given.update(nics=tuple(given["nics"]), groups=tuple(given["groups"]))
    return GuestSpec(name, suite, **given)

# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""netconsole over a chosen NIC: what stands in configfs for one target, and what the unit that keeps it so is told.

Documentation/networking/netconsole.rst. The kernel sends by itself, past its own routing table and past ARP: NIC,
addresses and the MAC of the next hop have to be given, and have to stay right when they change.
"""

from __future__ import annotations

import json
import typing as t

from .errors import CoreError, ParseError
from .routes import Way, checked_address, checked_interface

__all__ = ["CONFIGFS", "STATE", "TARGET", "Settings", "attributes", "differing", "render", "settings_from"]

CONFIGFS = "/sys/kernel/config/netconsole"
#: Name of our directory in it; others that an administrator made are left alone.
TARGET = "crashready"
STATE = "/run/crashready-netconsole/state.json"
#: What the kernel itself defaults to.
PORT = 6666
SOURCE_PORT = 6665


class Settings(t.NamedTuple):
    """Where the messages go."""

    receiver: str
    port: int = PORT
    source_port: int = SOURCE_PORT
    interface: str | None = None  #: None: by route
    avoid: tuple[str, ...] = ()  #: NICs whose pairing is not clear
    suspect: str = "warn"  #: or "refuse": what to do where there is no other way
    extended: bool = True


def settings_from(given: t.Mapping[str, t.Any]) -> Settings:
    """Check values of a user or of a file: the fields of Settings by name. Raises CoreError."""
    unknown = set(given) - set(Settings._fields)
    if unknown:
        raise CoreError("netconsole: unknown settings: {0}".format(", ".join(sorted(unknown))))
    if not given.get("receiver"):
        raise CoreError("netconsole: no receiver is given")
    values = {**Settings("")._asdict(), **given}
    for name in ("port", "source_port"):
        if isinstance(values[name], bool) or not isinstance(values[name], int) or not 0 < values[name] < 65536:
            raise CoreError("netconsole: {0} {1!r} is no UDP port".format(name, values[name]))
    if values["suspect"] not in ("warn", "refuse"):
        raise CoreError("netconsole: suspect is {0!r}, expected warn or refuse".format(values["suspect"]))
    values["receiver"] = checked_address(str(values["receiver"]), "the netconsole receiver")
    if values["interface"] is not None:
        values["interface"] = checked_interface(str(values["interface"]), "the netconsole interface")
    values["avoid"] = tuple(checked_interface(str(name), "an interface to avoid") for name in values["avoid"] or ())
    values["extended"] = bool(values["extended"])
    return Settings(**values)


def render(settings: Settings) -> str:
    """The file that the unit reads; `settings_from` takes it back."""
    return json.dumps({**settings._asdict(), "avoid": list(settings.avoid)}, indent=1, sort_keys=True) + "\n"


def parse(text: str) -> Settings:
    """Read what `render` wrote. Raises CoreError."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise ParseError("the settings of netconsole are no JSON") from exc
    if not isinstance(found, dict):
        raise ParseError("the settings of netconsole are no object")
    return settings_from(found)


def attributes(settings: Settings, way: Way, mac: str, known: t.Collection[str]) -> list[tuple[str, str]]:
    """Names and values to write, in order; the target has to be off while they are written.

    `known` are the names that this kernel has: `extended` came with 4.4, `release` with 6.6. Raises CoreError.
    """
    if way.suspect and settings.suspect == "refuse":
        raise CoreError(way.reason)
    if way.source is None:
        raise CoreError("{0} has no address that could send to {1}".format(way.device, settings.receiver))
    values = [
        ("dev_name", way.device),
        ("local_port", str(settings.source_port)),
        ("remote_port", str(settings.port)),
        ("local_ip", way.source),
        ("remote_ip", settings.receiver),
        ("remote_mac", mac),
    ]
    extended = settings.extended and "extended" in known
    if "extended" in known:
        values.append(("extended", "1" if extended else "0"))
    if "release" in known:
        # The kernel refuses it without the extended format.
        values.append(("release", "1" if extended else "0"))
    return values


def differing(wanted: t.Iterable[tuple[str, str]], seen: t.Mapping[str, str | None]) -> list[str]:
    """Names whose value in the kernel is another one, and "enabled" where the target is off."""
    names = [name for name, value in wanted if (seen.get(name) or "").strip().lower() != value.lower()]
    return names + ([] if (seen.get("enabled") or "").strip() == "1" else ["enabled"])

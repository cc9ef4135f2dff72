# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The kinds of traffic that a soak makes, their parameters with bounds, and what iperf3 is told.

The options are those that iperf3 3.12 (Debian 12) and 3.18 (Debian 13) share; their limits are in src/iperf.h of both:
128 streams, 1 MiB a write, 65507 bytes a datagram, 16 bytes at least, 9216 bytes of MSS.
"""

from __future__ import annotations

import typing as t

from .errors import CoreError
from .text import clean

__all__ = [
    "PROFILES",
    "SECONDS_MAX",
    "SECONDS_MIN",
    "Piece",
    "check_seconds",
    "client_argv",
    "describe",
    "interval_for",
    "make_profile",
    "needed_mtu",
    "next_piece",
    "server_argv",
    "with_link",
]

Parameters = t.Mapping[str, t.Any]

SECONDS_MIN, SECONDS_MAX = 5, 120 * 86400
#: Of the speed of the link, what datagrams without a stated rate take.
_UDP_SHARE = 0.8
#: A ramp goes up in so many steps.
_RAMP_STEPS = 5

#: Every parameter: its default, its least and its most (None: a yes or no); null is allowed where it is the default.
_BOUNDS: dict[str, tuple[t.Any, t.Any, t.Any]] = {
    "udp": (False, None, None),
    "streams": (4, 1, 128),
    "length_bytes": (128 * 1024, 16, 1024 * 1024),
    "mss_bytes": (None, 88, 9216),
    "no_delay": (False, None, None),
    "bidirectional": (False, None, None),
    "reverse": (False, None, None),
    "mtu": (None, 68, 65535),
    "rate_mbps": (None, 1, 800_000),
    "burst_s": (None, 1, 600),
    "pause_s": (0, 0, 600),
    "ramp_s": (0, 0, 3600),
    "piece_s": (60, 5, 600),
    "port": (5210, 1024, 65535),
    "interval_s": (None, 1, 60),
    "patience_s": (120, 5, 3600),
    # What ends a soak, since it does damage.
    "errors_per_minute_max": (60, 0, 1_000_000),
    "flaps_max": (3, 0, 10_000),
    "temperature_stop": (True, None, None),
}

#: What differs from the defaults.
PROFILES: dict[str, dict[str, t.Any]] = {
    "bulk": {},
    "small-packets": {"udp": True, "streams": 4, "length_bytes": 64},
    "many-flows": {"streams": 64},
    "bidirectional": {"bidirectional": True},
    "jumbo": {"mtu": 9000},
    "udp": {"udp": True, "length_bytes": 1400},
    "storage": {"streams": 8, "length_bytes": 1024 * 1024, "bidirectional": True, "burst_s": 10, "pause_s": 5},
}
_DATAGRAM_MAX = 65507
#: Profiles whose datagrams go as fast as the host can make them, where no rate is stated.
_UNLIMITED_UDP = frozenset(("small-packets",))


def make_profile(name: str, given: Parameters | None = None) -> dict[str, t.Any]:
    """All parameters of a profile with what the user wants else. Raises CoreError with everything that is wrong."""
    if name not in PROFILES:
        raise CoreError("{0!r} is no profile; there are {1}".format(clean(str(name), 40), ", ".join(PROFILES)))
    given = {} if given is None else given
    if not isinstance(given, t.Mapping):
        raise CoreError("the parameters of a soak are a mapping of names to values")
    strangers = sorted(clean(str(key), 40) for key in given if key not in _BOUNDS)
    wrong = ["{0} is none of {1}".format(key, ", ".join(_BOUNDS)) for key in strangers]
    values = {key: default for key, (default, _low, _high) in _BOUNDS.items()}
    values.update(PROFILES[name])
    for key, value in given.items():
        if key in _BOUNDS:
            wrong += _fit(values, key, value)
    wrong += _together(values) if not wrong else []
    if wrong:
        raise CoreError("parameters of the soak: {0}".format("; ".join(wrong)))
    return {"name": name, **values}


def _fit(values: dict[str, t.Any], key: str, value: t.Any) -> list[str]:
    default, low, high = _BOUNDS[key]
    if low is None:
        if not isinstance(value, bool):
            return ["{0} is yes or no, not {1!r}".format(key, clean(str(value), 40))]
    elif value is None:
        if default is not None:
            return ["{0} needs a number".format(key)]
    elif isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        return ["{0} is a whole number from {1} to {2}, not {3!r}".format(key, low, high, clean(str(value), 40))]
    values[key] = value
    return []


def _together(values: Parameters) -> t.Iterator[str]:
    if values["bidirectional"] and values["reverse"]:
        yield "bidirectional and reverse exclude each other"
    if values["udp"] and values["length_bytes"] > _DATAGRAM_MAX:
        yield "length_bytes {0} is more than a datagram holds ({1})".format(values["length_bytes"], _DATAGRAM_MAX)
    if values["udp"] and (values["mss_bytes"] or values["no_delay"]):
        yield "mss_bytes and no_delay are of TCP, and this is UDP"
    if values["pause_s"] and not values["burst_s"]:
        yield "pause_s {0} needs burst_s: how long the traffic flows between two pauses".format(values["pause_s"])


def check_seconds(seconds: t.Any) -> int:
    """How long a soak takes. Raises CoreError."""
    if isinstance(seconds, bool) or not isinstance(seconds, int) or not SECONDS_MIN <= seconds <= SECONDS_MAX:
        message = "a soak takes {0} s to {1} s (120 days), not {2!r}"
        raise CoreError(message.format(SECONDS_MIN, SECONDS_MAX, clean(str(seconds), 40)))
    return seconds


def interval_for(parameters: Parameters, planned_s: float) -> int:
    """Seconds between two samples; each is one write to disk."""
    if parameters["interval_s"] is not None:
        return int(parameters["interval_s"])
    return 2 if planned_s <= 3600 else 5 if planned_s <= 86400 else 10


def needed_mtu(parameters: Parameters) -> int | None:
    """What both NICs have to carry in one frame; None: anything."""
    return parameters["mtu"]  # type: ignore[no-any-return]


def with_link(parameters: Parameters, speeds_mbps: t.Sequence[int | None]) -> dict[str, t.Any]:
    """With the rate that the link allows, `speeds_mbps` of its two ends. Raises CoreError where it cannot be.

    A speed that is not known (None: many virtual NICs) bounds nothing; then datagrams need a stated rate.
    """
    known = [speed for speed in speeds_mbps if speed]
    speed = min(known) if known else None
    rate = parameters["rate_mbps"]
    if rate is not None and speed is not None and rate > speed:
        told = "rate_mbps {0} is more than the link carries ({1} Mbit/s)"
        raise CoreError(told.format(rate, speed))
    if rate is None and parameters["udp"] and parameters["name"] not in _UNLIMITED_UDP:
        if speed is None:
            raise CoreError("the speed of the link is not known, so that datagrams need a stated rate_mbps")
        rate = max(int(speed * _UDP_SHARE), 1)
    return {**parameters, "rate_mbps": rate}


def describe(parameters: Parameters) -> str:
    """One line for people.

    >>> describe(make_profile("bidirectional", {"rate_mbps": 500}))
    'bidirectional: TCP, 4 streams, both ways, at most 500 Mbit/s'
    """
    words = ["UDP" if parameters["udp"] else "TCP", "{0} streams".format(parameters["streams"])]
    if parameters["bidirectional"]:
        words.append("both ways")
    if parameters["reverse"]:
        words.append("from the server")
    if parameters["rate_mbps"] is not None:
        words.append("at most {0} Mbit/s".format(parameters["rate_mbps"]))
    if parameters["pause_s"]:
        words.append("{0} s of traffic, {1} s of pause".format(parameters["burst_s"], parameters["pause_s"]))
    return "{0}: {1}".format(parameters["name"], ", ".join(words))


# --- what iperf3 is told ----------------------------------------------------------------------------------------------


class Piece(t.NamedTuple):
    """One run of the client: how long, at which rate (None: as fast as it goes), and the pause after it."""

    seconds: int
    rate_mbps: float | None
    pause_s: int


def next_piece(parameters: Parameters, elapsed_s: float, planned_s: float, speed_mbps: int | None = None) -> Piece:
    """The piece that begins now. A week is many of them, so that one that hangs costs no more than itself.

    While the ramp lasts each is a step of it: of the rate, or of the link's speed where no rate is stated.
    """
    left_s = max(int(planned_s - elapsed_s + 0.999), 1)
    seconds = min(parameters["burst_s"] or parameters["piece_s"], left_s)
    rate = parameters["rate_mbps"]
    ramp_s = parameters["ramp_s"]
    full = rate or speed_mbps
    if elapsed_s < ramp_s and full:
        step_s = max(ramp_s / _RAMP_STEPS, 1.0)
        step = min(int(elapsed_s / step_s) + 1, _RAMP_STEPS)
        return Piece(min(seconds, int(step_s + 0.999)), max(full * step / (_RAMP_STEPS + 1), 0.1), 0)
    return Piece(seconds, rate, parameters["pause_s"])


def server_argv(parameters: Parameters, nic: str, address: str) -> list[str]:
    """The server: bound to the NIC itself, not to its address alone (SO_BINDTODEVICE, socket(7): needs CAP_NET_RAW)."""
    return [
        *("iperf3", "--server", "--bind", address, "--bind-dev", nic, "--port", str(parameters["port"])),
        # A client that died is given up before the patience of the soak ends.
        *("--rcv-timeout", str(_timeout_ms(parameters))),
        *("--json", "--interval", "0"),
    ]


def client_argv(parameters: Parameters, nic: str, address: str, peer_address: str, piece: Piece) -> list[str]:
    """The client of one piece; its output is one JSON object, small, without the lines in between."""
    argv = [
        *("iperf3", "--client", peer_address, "--bind", address, "--bind-dev", nic, "--port", str(parameters["port"])),
        *("--json", "--interval", "0", "--time", str(piece.seconds), "--parallel", str(parameters["streams"])),
        *("--length", str(parameters["length_bytes"]), "--connect-timeout", "5000"),
    ]
    # iperf3 refuses --rcv-timeout where it does not receive.
    receives = parameters["bidirectional"] or parameters["reverse"]
    argv += ["--rcv-timeout" if receives else "--snd-timeout", str(_timeout_ms(parameters))]
    if parameters["udp"]:
        argv += ["--udp", "--udp-counters-64bit"]
    rate = _rate(parameters, piece)
    if rate is not None:
        argv += ["--bitrate", rate]
    for name, option in (("bidirectional", "--bidir"), ("reverse", "--reverse"), ("no_delay", "--no-delay")):
        if parameters[name]:
            argv.append(option)
    if parameters["mss_bytes"] is not None:
        argv += ["--set-mss", str(parameters["mss_bytes"])]
    return argv


def _rate(parameters: Parameters, piece: Piece) -> str | None:
    """--bitrate is of one stream; 0 is no limit, which for UDP has to be said."""
    if piece.rate_mbps is None:
        return "0" if parameters["udp"] else None
    return str(max(int(piece.rate_mbps * 1_000_000 / parameters["streams"]), 1000))


def _timeout_ms(parameters: Parameters) -> int:
    return max(min(int(parameters["patience_s"] * 500), 30_000), 2000)

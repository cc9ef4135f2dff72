# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What a host remembers of its kernel transaction: /var/lib/crashready/kernel_pin.json.

The file decides which kernel is removed after a failed trial, so it is checked like any text from
outside: its size, every type, and a grammar for each name that ends up in a file or on a command line.
"""

from __future__ import annotations

import json
import re
import typing as t

from .errors import ParseError

__all__ = [
    "ARMED",
    "COMMITTED",
    "FAILED",
    "PASSED",
    "STAGED",
    "STATE_FILE",
    "TEXT_LIMIT",
    "State",
    "parse_state",
    "render_state",
]

STATE_FILE = "/var/lib/crashready/kernel_pin.json"
#: A host with a hundred interfaces needs some 40 KiB.
TEXT_LIMIT = 512 * 1024
SCHEMA = 1

STAGED = "staged"  #: the kernel comes or is there; no boot of it is chosen yet
ARMED = "armed"  #: the next boot is the trial
PASSED = "passed"  #: the gate was passed in the boot that `boot_id` names
COMMITTED = "committed"  #: the new kernel is the default
FAILED = "failed"  #: the trial came back, and what it brought was taken away
_STAGES = (STAGED, ARMED, PASSED, COMMITTED, FAILED)

_RELEASE = re.compile(r"\d[0-9A-Za-z.+~_-]{0,127}\Z")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9.+-]{1,127}\Z")
_VERSION = re.compile(r"[0-9A-Za-z.+~:-]{1,128}\Z")
_SUITE = re.compile(r"[a-z0-9][a-z0-9./-]{0,63}\Z")
_BOOT_ID = re.compile(r"[0-9a-f-]{36}\Z")


class State(t.NamedTuple):
    """One transaction."""

    stage: str
    package: str  #: metapackage that was asked for
    version: str
    suite: str
    old_release: str  #: the kernel to come back to
    new_release: str
    boot_id: str  #: of the boot that wrote this
    installed: tuple[str, ...]  #: packages that came with this transaction
    prior_default: str | None  #: systemd-boot's default before, None under GRUB or where none was set
    before: t.Mapping[str, t.Any] | None  #: health before the trial, see health_gate


def render_state(state: State) -> str:
    """The file's text."""
    return json.dumps({"schema": SCHEMA, **state._asdict()}, indent=1, sort_keys=True) + "\n"


def parse_state(text: str) -> State:
    """Read the file. Raises ParseError that names the field."""
    if len(text) > TEXT_LIMIT:
        raise ParseError("{0} has {1} characters; {2} at most".format(STATE_FILE, len(text), TEXT_LIMIT))
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise ParseError("{0} is not JSON: {1}".format(STATE_FILE, exc)) from exc
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        raise ParseError("{0} has another schema than {1}".format(STATE_FILE, SCHEMA))
    for field, pattern in _GRAMMAR:
        if not isinstance(data.get(field), str) or not pattern.match(data[field]):
            raise ParseError("{0}: {1} is not what this program writes".format(STATE_FILE, field))
    installed = data.get("installed")
    if not isinstance(installed, list) or len(installed) > 64 or not all(_is_package(name) for name in installed):
        raise ParseError("{0}: installed is no list of packages".format(STATE_FILE))
    prior = data.get("prior_default")
    if prior is not None and not (isinstance(prior, str) and re.match(r"[\x21-\x7e]{1,255}\Z", prior)):
        raise ParseError("{0}: prior_default is no name of an entry".format(STATE_FILE))
    before = data.get("before")
    if before is not None:
        _check_health(before)
    fields = {name: data[name] for name, _pattern in _GRAMMAR}
    return State(**fields, installed=tuple(installed), prior_default=prior, before=before)


_GRAMMAR = (
    ("stage", re.compile("(?:{0})\\Z".format("|".join(_STAGES)))),
    ("package", _PACKAGE),
    ("version", _VERSION),
    ("suite", _SUITE),
    ("old_release", _RELEASE),
    ("new_release", _RELEASE),
    ("boot_id", _BOOT_ID),
)


def _is_package(name: t.Any) -> bool:
    return isinstance(name, str) and _PACKAGE.match(name) is not None


def _check_health(health: t.Any) -> None:
    """The shape that health_gate.compare reads, no more."""
    if not isinstance(health, dict):
        raise ParseError("{0}: before is no object".format(STATE_FILE))
    for field, rows in _LISTS.items():
        value = health.get(field)
        if value is None and field != "capture_problems":
            continue
        if not isinstance(value, list) or len(value) > 4096 or not all(_fits(row, rows) for row in value):
            raise ParseError("{0}: before.{1} is not what this program writes".format(STATE_FILE, field))
    if health.get("armed") not in (True, False, None):
        raise ParseError("{0}: before.armed is no yes or no".format(STATE_FILE))


_TEXT = (str, type(None))
_LISTS: t.Mapping[str, t.Any] = {
    "nics": {"name": str, "kind": str, "mac": _TEXT, "link": (bool, type(None)), "addresses": list},
    "default_routes": {"family": int, "interface": str},
    "failed_units": str,
    "capture_problems": {"id": str},
}


def _fits(row: t.Any, shape: t.Any) -> bool:
    if not isinstance(shape, dict):
        return isinstance(row, shape)
    if not isinstance(row, dict) or not all(isinstance(row.get(key), kind) for key, kind in shape.items()):
        return False
    addresses = row.get("addresses", [])
    return all(isinstance(a, dict) and isinstance(a.get("address"), str) and "fixed" in a for a in addresses)

# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The inventory of a rack: an ordinary hosts.yml, reached as a user's own hosts would be."""

from __future__ import annotations

import json
import pathlib
import re
import shlex
import typing as t

from .guest import Guest

__all__ = ["inventory", "known_hosts", "render_yaml"]

_PLAIN_KEY = re.compile(r"^[A-Za-z_][A-Za-z0-9_-]*$")


def inventory(guests: t.Sequence[Guest], known: pathlib.Path) -> dict[str, t.Any]:
    """The inventory as a value: hosts under `all`, one group per release and per group of a guest."""
    options = ["UserKnownHostsFile=" + ('"{0}"'.format(known) if " " in str(known) else str(known))]
    options += ["GlobalKnownHostsFile=none", "StrictHostKeyChecking=yes", "IdentitiesOnly=yes"]
    hosts = {}
    groups: dict[str, dict[str, t.Any]] = {}
    for guest in guests:
        reach: dict[str, t.Any] = {"ansible_host": "127.0.0.1", "ansible_port": guest.port}
        reach["ansible_ssh_private_key_file"] = str(guest.private_key)
        hosts[guest.spec.name] = {**reach, **guest.spec.variables}
        for group in (guest.spec.suite, *guest.spec.groups):
            groups.setdefault(group, {"hosts": {}})["hosts"][guest.spec.name] = {}
    common = {
        "ansible_user": "root",
        "ansible_ssh_common_args": shlex.join([word for option in options for word in ("-o", option)]),
        "ansible_python_interpreter": "/usr/bin/python3",
        "ansible_ssh_timeout": 60,  # the default of 10 s is too short for an emulated guest under load
    }
    top: dict[str, t.Any] = {"vars": common, "hosts": hosts}
    if groups:
        top["children"] = groups
    return {"all": top}


def known_hosts(ports_and_keys: t.Iterable[tuple[int, t.Sequence[str]]]) -> str:
    """Text of a known_hosts file: every host key of every guest at its loopback port."""
    lines = ["[127.0.0.1]:{0} {1}\n".format(port, key) for port, keys in ports_and_keys for key in keys]
    return "".join(lines)


def render_yaml(value: t.Mapping[str, t.Any], indent: int = 0) -> str:
    """A mapping as block YAML; scalars and lists in JSON, which is YAML too."""
    lines = []
    for key, item in value.items():
        name = key if _PLAIN_KEY.match(key) else json.dumps(key)
        if isinstance(item, t.Mapping) and item:
            lines.append("{0}{1}:\n{2}".format(" " * indent, name, render_yaml(item, indent + 2)))
        else:
            lines.append("{0}{1}: {2}\n".format(" " * indent, name, json.dumps(item)))
    return "".join(lines)

# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What dpkg has installed on a host, from its status file: no process is started."""

from __future__ import annotations

import typing as t

from .._core.dpkg import Package, parse_packages, unfinished
from .._core.errors import ParseError
from .base import Host, Unreadable

__all__ = ["STATUS", "index_packages", "installed_packages", "known_packages", "unfinished_packages"]

#: dpkg replaces the file as a whole, so a reader sees either the old or the new state.
STATUS = "/var/lib/dpkg/status"

Wanted = t.Union[t.Container[str], t.Callable[[str], bool]]


def known_packages(host: Host, wanted: Wanted) -> list[Package]:
    """Every package that dpkg knows under a wanted name: installed, half installed, or removed with its files left.

    `wanted` is a container of names or a function of a name. Raises Unreadable
    where there is no dpkg.
    """
    accept = wanted if callable(wanted) else wanted.__contains__
    try:
        return parse_packages(host.read(STATUS), accept)
    except ParseError as exc:
        raise Unreadable(STATUS, str(exc)) from exc


def installed_packages(host: Host, wanted: Wanted) -> dict[str, str]:
    """Versions of the packages that are fully installed, by name.

    Where two architectures of one package are installed the later one goes under
    `name:arch`. Raises Unreadable where there is no dpkg.
    """
    found = index_packages(package for package in known_packages(host, wanted) if package.installed)
    return {key: package.version for key, package in found.items()}


def index_packages(packages: t.Iterable[Package]) -> dict[str, Package]:
    """By name; a second one of the same name goes under `name:arch`."""
    found: dict[str, Package] = {}
    for package in packages:
        key = package.name if package.name not in found else "{0.name}:{0.architecture}".format(package)
        found[key] = package
    return found


def unfinished_packages(host: Host) -> list[str]:
    """Names with dpkg's state of what a broken run left behind, such as "linux-image-amd64 (half-configured)".

    An entry "dpkg's own journal" stands for files in /var/lib/dpkg/updates: dpkg
    was interrupted while it wrote, and refuses to run until `dpkg --configure -a`.
    """
    found = ["{0.name} ({0.state})".format(package) for package in unfinished(host.read(STATUS))]
    try:
        journal = [name for name in host.listdir("/var/lib/dpkg/updates") if name.isdigit()]
    except Unreadable:
        journal = []
    return found + (["dpkg's own journal"] if journal else [])

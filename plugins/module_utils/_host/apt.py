# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Kernels that apt could install, per suite. Reads what the last `apt update` left; nothing is fetched."""

from __future__ import annotations

import re
import typing as t

from .._core.aptpolicy import parse_policy
from .._core.errors import ParseError
from .._core.text import clean
from .base import Host, Unreadable

__all__ = ["kernel_candidates"]

# Without these apt-cache, as root, writes its caches anew when the lists have changed: facts leave no trace.
_READ_ONLY = ("-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache=")
_NAMES_LIMIT = 64


def kernel_candidates(host: Host, flavour: str = "amd64") -> dict[str, list[dict[str, t.Any]]]:
    """{suite: [{"package", "version", "priority", "candidate"}]} of the metapackages of a flavour.

    These are `linux-image-<flavour>` and those of one kernel line such as
    `linux-image-6.12-<flavour>` (Debian 12's security archive). `candidate` is true
    for the version that apt would choose now. Newest first. Raises Unreadable.
    """
    names = _metapackages(host, flavour)
    suites: dict[str, list[dict[str, t.Any]]] = {}
    if not names:
        return suites
    out = _apt_cache(host, "policy", *names)
    try:
        policies = parse_policy(out)
    except ParseError as exc:
        raise Unreadable("apt-cache policy", str(exc)) from exc
    for policy in policies:
        for offered in policy.versions:
            entry = {
                "package": policy.package,
                "version": offered.version,
                "priority": offered.priority,
                "candidate": offered.version == policy.candidate,
            }
            for suite in offered.suites:
                suites.setdefault(suite, []).append(dict(entry))
    return suites


def _metapackages(host: Host, flavour: str) -> list[str]:
    pattern = re.compile(r"linux-image-(?:\d+\.\d+-)?{0}\Z".format(re.escape(flavour)))
    names = {line for line in _apt_cache(host, "pkgnames", "linux-image-").split() if pattern.match(line)}
    return sorted(names)[:_NAMES_LIMIT]


def _apt_cache(host: Host, *arguments: str) -> str:
    done = host.run(["apt-cache", *_READ_ONLY, *arguments], timeout_s=60)
    if done.rc != 0:
        said = clean(done.err) or "apt-cache ended with {0}".format(done.rc)
        raise Unreadable("apt-cache " + arguments[0], said)
    return done.out

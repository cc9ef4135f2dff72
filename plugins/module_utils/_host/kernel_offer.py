# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Which kernel a suite offers, with all that has to come with it, as apt's lists tell. Nothing is fetched."""

from __future__ import annotations

import re
import typing as t

from .._core import debversion
from .._core.aptpolicy import Policy, parse_policy
from .._core.dpkg import find_stanzas
from .._core.errors import CoreError, ParseError
from .._core.text import clean
from .base import Completed, Host, Unreadable

__all__ = ["collect_firmware_offers", "collect_offer", "stable_version"]

_OUTPUT_LIMIT = 4 * 1024 * 1024

_DEPENDENCY = re.compile(r"([a-z0-9][a-z0-9.+-]+)(?::\S+)?\s*(?:\((<<|<=|=|>=|>>)\s*([^\s)]+)\))?\Z")
_IMAGE = re.compile(r"linux-image-(\d\S*)\Z")

Facts = dict[str, t.Any]


def collect_offer(
    host: Host, package: str, version: str | None, suite: str, headers: bool, options: t.Sequence[str] = ()
) -> Facts:
    """The kernel behind a metapackage. Raises Unreadable, whose reason says what the suite has instead.

    {package, version, suite, release, image, packages {name: version}, headers_package, pins, signed,
    download_bytes, installed_bytes}: `packages` is what has to be installed in exactly this version, headers
    included where they are asked for and there; `pins` are further packages that only this suite has new enough.
    `options` are given to apt-cache, so that lists of another place can be asked.
    """
    meta_headers = package.replace("linux-image-", "linux-headers-", 1)
    policies = {policy.package: policy for policy in _policies(host, options, [package, meta_headers])}
    chosen = _choose(policies.get(package), package, version, suite)
    meta = _show(host, options, {package: chosen}).get(package, {})
    image = next((name for name, _op, _v in _dependencies(meta) if _IMAGE.match(name)), None)
    if image is None:
        raise Unreadable(package, "{0} {1} depends on no kernel image".format(package, chosen))
    shown = _show(host, options, {image: chosen})
    if image not in shown:
        raise Unreadable(image, "it is not in the lists, {0} is".format(package))
    wish = {image: chosen, **_exact(shown[image], chosen)}
    has_headers = (
        any(v.version == chosen for v in policies[meta_headers].versions) if meta_headers in policies else False
    )
    if headers and has_headers:
        wish[image.replace("linux-image-", "linux-headers-", 1)] = chosen
    shown = _show(host, options, wish)
    return {
        "package": package,
        "version": chosen,
        "suite": suite,
        "release": re.sub(r"-unsigned\Z", "", image[len("linux-image-") :]),
        "image": image,
        "packages": {name: chosen for name in wish if name in shown},
        "headers_package": meta_headers if has_headers else None,
        "pins": _pins(host, shown, wish, suite),
        "signed": not image.endswith("-unsigned") and not package.endswith("-unsigned"),
        "download_bytes": sum(_number(fields.get("Size")) for fields in shown.values()),
        "installed_bytes": sum(_number(fields.get("Installed-Size")) for fields in shown.values()) * 1024,
    }


def _choose(policy: Policy | None, package: str, version: str | None, suite: str) -> str:
    if policy is None or not policy.versions:
        raise Unreadable(package, "apt knows no package of that name")
    offered = [v.version for v in policy.versions if suite in v.suites]
    if not offered:
        known = sorted({name for v in policy.versions for name in v.suites})
        reason = "the lists have nothing of {0}; {1} is offered by {2}"
        raise Unreadable(package, reason.format(suite, package, ", ".join(known) or "no suite"))
    if version is None:
        return max(offered, key=debversion.parse)
    if version not in offered:
        raise Unreadable(package, "{0} has {1} and not {2}".format(suite, ", ".join(offered[:4]), version))
    return version


def stable_version(host: Host, package: str) -> str | None:
    """The newest version of a package that suites other than backports and proposed ones offer. Raises Unreadable."""
    found = []
    for policy in _policies(host, (), [package]):
        for offered in policy.versions:
            names = [suite for suite in offered.suites if not re.search(r"backports|proposed|experimental", suite)]
            if names:
                found.append(offered.version)
    return max(found, key=debversion.parse) if found else None


def collect_firmware_offers(host: Host, packages: t.Sequence[str], suite: str) -> dict[str, str]:
    """{package: newest version} that a suite offers, of the packages named."""
    offers: dict[str, str] = {}
    for policy in _policies(host, (), packages) if packages else ():
        versions = [offered.version for offered in policy.versions if suite in offered.suites]
        if versions:
            offers[policy.package] = max(versions, key=debversion.parse)
    return offers


def _policies(host: Host, options: t.Sequence[str], names: t.Sequence[str]) -> list[Policy]:
    try:
        found = parse_policy(_apt_cache(host, options, "policy", *names))
        for policy in found:
            for offered in policy.versions:
                debversion.parse(offered.version)
    except ParseError as exc:
        raise Unreadable("apt-cache policy", str(exc)) from exc
    return found


def _show(host: Host, options: t.Sequence[str], wanted: t.Mapping[str, str]) -> dict[str, dict[str, str]]:
    """{name: {field: text}} of packages in exact versions; what is not in the lists is left out.

    One call for all; apt-cache(8) shows those that it has and ends badly where one is missing.
    """
    words = ["{0}={1}".format(name, version) for name, version in wanted.items()]
    done = _run_apt_cache(host, options, "show", *words)
    found: dict[str, dict[str, str]] = {}
    try:
        stanzas = list(find_stanzas(done.out[:_OUTPUT_LIMIT], lambda _name: True))
    except ParseError as exc:
        raise Unreadable("apt-cache show", str(exc)) from exc
    for name, stanza in stanzas:
        pairs = re.findall(r"\n([A-Z][A-Za-z-]+): ([^\n]*)", stanza)
        fields = {field: clean(value, 16 * 1024) for field, value in pairs}
        if fields.get("Version") == wanted.get(name):
            found[clean(name)] = fields
    return found


def _dependencies(fields: t.Mapping[str, str]) -> list[tuple[str, str | None, str | None]]:
    """Those without an alternative: (name, relation, version)."""
    line = ", ".join(fields[key] for key in ("Pre-Depends", "Depends") if key in fields)
    matches = [_DEPENDENCY.match(part.strip()) for part in line.split(",")]
    return [(m.group(1), m.group(2), m.group(3)) for m in matches if m]


def _exact(fields: t.Mapping[str, str], version: str) -> dict[str, str]:
    """The parts of a kernel that is packaged in parts, as from Linux 7 on: they have the very same version."""
    return {name: version for name, op, v in _dependencies(fields) if op == "=" and v == version}


def _pins(host: Host, shown: t.Mapping[str, t.Mapping[str, str]], wish: t.Mapping[str, str], suite: str) -> list[str]:
    """Dependencies that every other suite of this host is too old for."""
    needs = [(n, v) for fields in shown.values() for n, op, v in _dependencies(fields) if op in (">=", ">>", "=") and v]
    needs = [(name, version) for name, version in dict.fromkeys(needs) if name not in wish]
    names = sorted({name for name, _version in needs})
    others = {policy.package: _elsewhere(policy, suite) for policy in (_policies(host, (), names) if names else ())}
    found = set()
    for name, version in needs:
        best = others.get(name)
        try:
            if best is None or debversion.compare(best, version) < 0:
                found.add(name)
        except CoreError:
            continue
    return sorted(found)


def _elsewhere(policy: Policy, suite: str) -> str | None:
    versions = [offered.version for offered in policy.versions if set(offered.suites) - {suite}]
    return max(versions, key=debversion.parse) if versions else None


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isdigit() and len(text) < 16 else 0


def _run_apt_cache(host: Host, options: t.Sequence[str], *arguments: str) -> Completed:
    # With its caches: without them each call reads all lists anew, some seconds on a busy host.
    return host.run(["apt-cache", *options, *arguments], timeout_s=120)


def _apt_cache(host: Host, options: t.Sequence[str], *arguments: str) -> str:
    done = _run_apt_cache(host, options, *arguments)
    if done.rc != 0:
        said = clean(done.err) or "apt-cache ended with {0}".format(done.rc)
        raise Unreadable("apt-cache " + arguments[0], said)
    return done.out

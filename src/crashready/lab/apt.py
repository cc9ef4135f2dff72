# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What the controller's own apt knows about reaching Debian, so that guests can reach it the same way."""

from __future__ import annotations

import dataclasses
import os
import re

from . import commands
from .errors import LabError

__all__ = ["Mirrors", "guest_setting", "parse_settings", "pick_mirror", "read_mirrors", "read_settings"]

#: The settings of apt.conf(5) that decide whether a mirror can be used at all. Names of files
#: on the controller (CaInfo, SslCert) are left out: they mean nothing inside a guest.
_WANTED = re.compile(
    r"""^Acquire::(
        Check-Valid-Until | Check-Date | Min-ValidTime | Max-ValidTime | Max-FutureTime
      | ForceIPv4 | ForceIPv6 | Retries | Languages::
      | https?::([^:]+::)?(Proxy | Timeout | Pipeline-Depth | No-Cache | Dl-Limit | Verify-Peer | Verify-Host)
    )$""",
    re.VERBOSE,
)
_LINE = re.compile(r'^(?P<name>[A-Za-z][^\s"]*) "(?P<value>[^"]*)";$')

#: How a guest of QEMU's user network reaches the loopback address of its controller.
_LOOPBACK = re.compile(r"//(localhost|127\.\d+\.\d+\.\d+|\[::1\])(?=[:/]|$)")


@dataclasses.dataclass(frozen=True)
class Mirrors:
    """Base addresses of the archive, such as `http://HOST/debian` and `http://HOST/debian-security`."""

    main: str
    security: str

    def sources(self, suite: str) -> list[str]:
        """One-line sources.list entries of a release with updates, backports and security."""
        components = "main non-free-firmware"
        return [
            "deb {0} {1} {2}".format(self.main, suite, components),
            "deb {0} {1}-updates {2}".format(self.main, suite, components),
            "deb {0} {1}-backports {2}".format(self.main, suite, components),
            "deb {0} {1}-security {2}".format(self.security, suite, components),
        ]


def pick_mirror(sites: str) -> str | None:
    """The archive's address out of `apt-get indextargets --format '$(SITE)'`, None when there is none."""
    found = sorted({line.strip().rstrip("/") for line in sites.splitlines() if re.search(r"/debian/?$", line.strip())})
    return found[0] if found else None


def read_mirrors() -> Mirrors:
    """The mirrors that this machine uses; DEBIAN_MIRROR and DEBIAN_SECURITY_MIRROR override them."""
    main = os.environ.get("DEBIAN_MIRROR", "").rstrip("/") or None
    if main is None:
        listed = commands.run(
            ["apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages"], check=False, timeout_s=60
        )
        main = pick_mirror(listed.stdout)
    if main is None:
        raise LabError(
            "no Debian mirror in this machine's apt sources (an address that ends in /debian). "
            "Set DEBIAN_MIRROR to the one to use and start again."
        )
    security = os.environ.get("DEBIAN_SECURITY_MIRROR", "").rstrip("/") or main + "-security"
    return Mirrors(main, security)


def parse_settings(dump: str) -> list[tuple[str, str]]:
    """The (name, value) pairs of `apt-config dump` that guests need; lists keep their order."""
    pairs = []
    for line in dump.splitlines():
        match = _LINE.match(line)
        if match and match["value"] and _WANTED.match(match["name"]):
            pairs.append((match["name"], match["value"]))
    return pairs


def read_settings() -> list[tuple[str, str]]:
    """`parse_settings` of this machine."""
    return parse_settings(commands.run(["apt-config", "dump"], timeout_s=60).stdout)


def guest_setting(pair: tuple[str, str]) -> str:
    """One line of apt.conf for a guest: a proxy on the controller's loopback is 10.0.2.2 from there."""
    name, value = pair
    return '{0} "{1}";'.format(name, _LOOPBACK.sub("//10.0.2.2", value))

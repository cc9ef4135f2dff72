# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""apt-cache policy, as Debian 13 and 12 printed it."""

from __future__ import annotations

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core import aptpolicy
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import ParseError

# Debian 13 with backports, November 2026.
TRIXIE = """\
linux-image-amd64:
  Installed: (none)
  Candidate: 6.12.117-1
  Version table:
     7.3.4-1~bpo13+1 100
        100 http://deb.debian.org/debian trixie-backports/main amd64 Packages
     6.12.117-1 500
        500 http://deb.debian.org/debian trixie/main amd64 Packages
        500 http://deb.debian.org/debian-security trixie-security/main amd64 Packages
linux-image-cloud-amd64:
  Installed: 6.12.117-1
  Candidate: 6.12.117-1
  Version table:
     7.3.4-1~bpo13+1 100
        100 http://deb.debian.org/debian trixie-backports/main amd64 Packages
 *** 6.12.117-1 500
        500 http://deb.debian.org/debian trixie/main amd64 Packages
        500 http://deb.debian.org/debian-security trixie-security/main amd64 Packages
        100 /var/lib/dpkg/status
"""


def test_trixie() -> None:
    plain, cloud = aptpolicy.parse_policy(TRIXIE)
    assert (plain.package, plain.installed, plain.candidate) == ("linux-image-amd64", None, "6.12.117-1")
    assert plain.versions == (
        aptpolicy.OfferedVersion("7.3.4-1~bpo13+1", 100, ("trixie-backports",), False),
        aptpolicy.OfferedVersion("6.12.117-1", 500, ("trixie", "trixie-security"), False),
    )
    assert cloud.installed == "6.12.117-1"
    assert [v.installed for v in cloud.versions] == [False, True]


def test_pins_and_odd_sources() -> None:
    text = """\
linux-image-amd64:
  Installed: 6.1.1-1
  Candidate: 6.12.95-1~bpo12+1
  Package pin: 6.12.95-1~bpo12+1
  Version table:
     6.12.95-1~bpo12+1 990
       -10 http://m.example/debian bookworm/updates/main amd64 Packages
        100 http://m.example/flat ./ Packages
 *** 6.1.1-1 -1
        100 /var/lib/dpkg/status
"""
    (policy,) = aptpolicy.parse_policy(text)
    assert policy.versions[0].suites == ("bookworm/updates",)
    assert policy.versions[1] == aptpolicy.OfferedVersion("6.1.1-1", -1, (), True)


@pytest.mark.parametrize("text", ["", "N: Unable to locate package nosuch\n", "  Installed: 1\n", "\x1b[31m\n:::\n"])
def test_nothing_known(text: str) -> None:
    assert [p.versions for p in aptpolicy.parse_policy(text)] in ([], [()])


def test_too_long() -> None:
    with pytest.raises(ParseError):
        aptpolicy.parse_policy("x" * (aptpolicy.TEXT_LIMIT + 1))

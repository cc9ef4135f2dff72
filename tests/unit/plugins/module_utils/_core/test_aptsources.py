# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Sources and preferences of apt, as administrators write them."""

from __future__ import annotations

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core.aptpins import (
    matches,
    parse_preferences,
    pins_of,
)
from ansible_collections.rackops.crashready.plugins.module_utils._core.aptsources import (
    Source,
    debian_mirror,
    find_suite,
    parse_deb822,
    parse_one_line,
    render_deb822,
)
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import ParseError
from hypothesis import given
from hypothesis import strategies as st

#: What Debian 13's installer writes, with a mirror of one's own and a source that is off.
DEB822 = """Types: deb deb-src
URIs: http://deb.debian.org/debian/
Suites: trixie trixie-updates
Components: main non-free-firmware
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

# kept for later
Types: deb
URIs: https://mirror.example.org/debian
Suites: trixie-backports
Components: main
Enabled: no

Types: deb-src
URIs: http://deb.debian.org/debian/
Suites: trixie-backports
Components: main
"""
ONE_LINE = """# deb cdrom:[Debian GNU/Linux 12]/ bookworm main
deb http://deb.debian.org/debian bookworm main contrib # ours
deb [arch=amd64 signed-by=/etc/apt/keyrings/own.gpg] https://mirror.example.org/debian stable-backports main
deb-src http://deb.debian.org/debian bookworm main
not a source
"""


def test_deb822() -> None:
    found = parse_deb822(DEB822, "debian.sources")
    keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
    components = ("main", "non-free-firmware")
    uri = "http://deb.debian.org/debian/"
    assert found == [
        Source(uri, "trixie", components, keyring, "debian.sources"),
        Source(uri, "trixie-updates", components, keyring, "debian.sources"),
    ]


def test_an_embedded_key_is_no_path() -> None:
    text = "Types: deb\nURIs: http://x/debian\nSuites: trixie\nComponents: main\nSigned-By:\n -----BEGIN PGP\n .\n"
    assert [source.signed_by for source in parse_deb822(text, "x")] == [None]


def test_one_line() -> None:
    first, second = parse_one_line(ONE_LINE, "sources.list")
    assert (first.suite, first.components, first.signed_by) == ("bookworm", ("main", "contrib"), None)
    assert (second.suite, second.signed_by) == ("stable-backports", "/etc/apt/keyrings/own.gpg")


def source(suite: str, uri: str = "http://x/debian", components: tuple[str, ...] = ("main",)) -> Source:
    return Source(uri, suite, components, None, "f")


@pytest.mark.parametrize(
    ("suites", "found"),
    [
        (("trixie", "trixie-backports"), "trixie-backports"),
        (("trixie", "stable-backports"), None),  # of whatever stable is by then
        (("stable", "stable-backports"), "stable-backports"),
        (("trixie", "bookworm-backports"), None),
        ((), None),
    ],
)
def test_suite_that_is_there_already(suites: tuple[str, ...], found: str | None) -> None:
    one = find_suite([source(suite) for suite in suites], "trixie-backports", "trixie")
    assert (one and one.suite) == found


def test_suite_without_main_does_not_count() -> None:
    assert find_suite([source("trixie-backports", components=("contrib",))], "trixie-backports", "trixie") is None


def test_mirror_is_that_of_the_release() -> None:
    sources = [source("trixie-security", "http://s/"), source("trixie", "http://own/debian"), source("stable")]
    mirror = debian_mirror(sources, "trixie")
    assert mirror is not None
    assert mirror.uri == "http://own/debian"
    assert debian_mirror([source("trixie-security")], "trixie") is None


def test_what_is_rendered_is_read_back() -> None:
    one = Source("http://x/debian", "trixie-backports", ("main", "non-free-firmware"), "/k.gpg", "f")
    assert parse_deb822(render_deb822(one, "two\nlines"), "f") == [one]


@given(st.text(max_size=2000))
def test_garbage_gives_sources_or_nothing(text: str) -> None:
    parse_deb822(text, "f")
    parse_one_line(text, "f")
    parse_preferences(text, "f")


def test_limits() -> None:
    for parse in (parse_deb822, parse_one_line, parse_preferences):
        with pytest.raises(ParseError):
            parse("x" * (256 * 1024 + 1), "f")


PREFERENCES = """# ours
Explanation: nothing from there
Package: *
Pin: release a=trixie-backports
Pin-Priority: 100

Package: linux-image-* /^linux-headers-[0-9]/
Pin: version 6.12.*
Pin-Priority: 1001

Package: broken
Pin: release a=x
"""


def test_preferences() -> None:
    pins = parse_preferences(PREFERENCES, "/etc/apt/preferences")
    assert [(p.packages, p.priority, p.where) for p in pins] == [
        (("*",), 100, "/etc/apt/preferences:2"),
        (("linux-image-*", "/^linux-headers-[0-9]/"), 1001, "/etc/apt/preferences:7"),
    ]


@pytest.mark.parametrize(
    ("pattern", "package", "expected"),
    [
        ("linux-image-*", "linux-image-amd64", True),
        ("/image/", "linux-image-amd64", True),
        ("/^image/", "linux-image-amd64", False),
        ("/^foo-[[:digit:]]/", "linux-image-amd64", False),
        ("/^linux-[[:alpha:]]+-amd64$/", "linux-image-amd64", True),
        ("/[[:digit:/", "linux-image-amd64", True),  # not understood: better reported than overruled
        ("/(/", "linux-image-amd64", True),
        ("linux-image-amd64", "linux-image-amd64", True),
        ("*", "linux-image-amd64", True),
    ],
)
def test_patterns(pattern: str, package: str, expected: bool) -> None:
    assert matches(pattern, package) is expected


def test_a_rule_for_everything_is_no_pin_of_kernels() -> None:
    pins = parse_preferences(PREFERENCES, "f")
    assert [p.priority for p in pins_of(pins, ["linux-image-amd64"])] == [1001]
    assert pins_of(pins, ["bash"]) == []

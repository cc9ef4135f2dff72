# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""cmdline against what lib/cmdline.c does."""

from __future__ import annotations

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core import cmdline
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import CoreError, ParseError
from hypothesis import given
from hypothesis import strategies as st

# Debian 13 under GRUB, kdump-tools' own drop-in in force.
REAL = (
    "BOOT_IMAGE=/boot/vmlinuz-6.12.117+deb13-amd64 root=UUID=3f2c8a51-8a0e-4f0e-9c53-7a1f0a0b1c2d"
    " ro quiet crashkernel=512M-:192M\n"
)


def test_a_real_line() -> None:
    assert cmdline.values(REAL, "crashkernel") == ["512M-:192M"]
    assert cmdline.last_value(REAL, "root") == "UUID=3f2c8a51-8a0e-4f0e-9c53-7a1f0a0b1c2d"
    assert cmdline.values(REAL, "quiet") == [None]
    assert cmdline.values(REAL, "panic") == []
    assert cmdline.last_value(REAL, "panic") is None


PARSED = [
    ('a="x y" b', [("a", "x y"), ("b", None)]),
    ('"a=x y" b', [("a", "x y"), ("b", None)]),
    ('a=x" "y', [("a", 'x" "y')]),
    ('a="x', [("a", "x")]),
    ("a= b", [("a", ""), ("b", None)]),
    ("a=b=c", [("a", "b=c")]),
    ("=x", [("=x", None)]),
    ('""', [("", None)]),
    ("\ta\n\nb\x0b", [("a", None), ("b", None)]),
    ("a\u2003b", [("a\u2003b", None)]),
]


@pytest.mark.parametrize(("text", "expected"), PARSED, ids=[p[0] for p in PARSED])
def test_parse(text: str, expected: list[tuple[str, str | None]]) -> None:
    assert [(p.name, p.value) for p in cmdline.parse(text)] == expected


def test_dash_and_underscore_are_the_same_in_names_alone() -> None:
    line = "module-blacklist=i40e,a-b module_blacklist=ixgbe"
    assert cmdline.values(line, "module_blacklist") == ["i40e,a-b", "ixgbe"]
    assert cmdline.remove(line, "module-blacklist") == ""


def test_remove_keeps_the_rest_as_it_stood() -> None:
    line = ' ro crashkernel=1G,high  dyndbg="file a.c +p" crashkernel=256M,low crashkernels=1 -- single'
    assert cmdline.remove(line, "crashkernel") == 'ro dyndbg="file a.c +p" crashkernels=1 -- single'
    assert cmdline.remove(line, "crashkernel", "ro", "dyndbg") == "crashkernels=1 -- single"


def test_append_stays_before_inits_own_words() -> None:
    assert cmdline.append("ro -- single", "crashkernel=256M", "panic=10") == "ro crashkernel=256M panic=10 -- single"
    assert cmdline.append("", "a=b c") == 'a="b c"'


@pytest.mark.parametrize("word", ['a"b c"d e', "a\nb", 'x y"', "a b\x00"])
def test_render_refuses_what_has_no_form(word: str) -> None:
    with pytest.raises(CoreError, match="not fit"):
        cmdline.render([word])


def test_too_long() -> None:
    with pytest.raises(ParseError):
        cmdline.split("x" * (cmdline.TEXT_LIMIT + 1))


@given(st.text(alphabet='ab="- \t\u00e9', max_size=40))
def test_words_survive_rendering(text: str) -> None:
    words = cmdline.split(text)
    assert cmdline.split(cmdline.render(words)) == words
    assert cmdline.remove(text) == cmdline.render(words)


@given(st.lists(st.text(alphabet="ab= -_", min_size=1, max_size=10), max_size=6))
def test_rendered_words_mean_what_they_were(words: list[str]) -> None:
    wanted = [word for word in words if word]
    seen = [p.name if p.value is None else p.name + "=" + p.value for p in cmdline.parse(cmdline.render(wanted))]
    assert seen == wanted

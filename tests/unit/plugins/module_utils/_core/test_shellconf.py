# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""shellconf: dash and systemd themselves are asked wherever they are there."""

from __future__ import annotations

import pathlib
import shutil
import subprocess

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core import shellconf
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import CoreError, ParseError
from hypothesis import given, settings
from hypothesis import strategies as st

DASH = shutil.which("dash")
#: Reads environment.d files with the same parser as EnvironmentFile=, then expands variables, which tests avoid.
GENERATOR = pathlib.Path("/usr/lib/systemd/user-environment-generators/30-systemd-environment-d-generator")

# Debian 13, grub2 2.12-9+deb13: /usr/share/grub/default/grub, shortened.
GRUB_DEFAULT = """\
# If you change this file or any /etc/default/grub.d/*.cfg file,
# run 'update-grub' afterwards to update /boot/grub/grub.cfg.

GRUB_DEFAULT=0
GRUB_TIMEOUT=5
GRUB_DISTRIBUTOR=`( . /etc/os-release && echo ${NAME} )`
GRUB_CMDLINE_LINUX_DEFAULT="quiet"
GRUB_CMDLINE_LINUX=""

# Uncomment to disable graphical terminal
#GRUB_TERMINAL=console
# you can see them in real GRUB with the command `videoinfo'
#GRUB_GFXMODE=640x480
"""

# Debian 13, kdump-tools 1:1.10.7: /usr/share/kdump-tools/kdump-tools.conf, shortened.
KDUMP_DEFAULT = """\
# ---------------------------------------------------------------------------
# Crash dump facilities:
# KDUMP_COREDIR - local path to save the vmcore to.
USE_KDUMP=1
KDUMP_COREDIR="/var/crash"
#KDUMP_FAIL_CMD="reboot -f"

# MAKEDUMP_ARGS - extra arguments passed to makedumpfile (8).  The default,
#     if unset, is to pass '-c -d 31' telling makedumpfile to use compression
#MAKEDUMP_ARGS="-c -d 31"
#     "reset_devices systemd.unit=kdump-tools-dump.service nr_cpus=1 irqpoll usbcore.nousb"
#KDUMP_CMDLINE=""
#KDUMP_CMDLINE_APPEND="reset_devices systemd.unit=kdump-tools-dump.service nr_cpus=1 irqpoll usbcore.nousb"
"""


def dash(text: str, *names: str) -> dict[str, str]:
    """The values after dash has sourced the text, in an empty environment."""
    script = "".join('\nprintf "%s\\0" "{0}=${0}"'.format(name) for name in names)
    done = subprocess.run(
        [DASH or "dash", "-c", text + script], env={}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False
    )
    pairs = (item.partition("=") for item in done.stdout.decode("utf-8", "surrogateescape").split("\0") if item)
    return {name: value for name, _equals, value in pairs}


def systemd(text: str, folder: pathlib.Path) -> dict[str, str]:
    """The values as systemd's environment file parser reads them."""
    (folder / "environment.d").mkdir(exist_ok=True)
    (folder / "environment.d" / "10-test.conf").write_text(text)
    env = {"XDG_CONFIG_HOME": str(folder), "HOME": "/nonexistent"}
    done = subprocess.run([str(GENERATOR)], env=env, stdout=subprocess.PIPE, check=True, text=True)
    # The generator prints what a shell can read again.
    names = [line.partition("=")[0] for line in done.stdout.splitlines() if "=" in line]
    return {name: value for name, value in dash(done.stdout, *names).items() if name in text}


def test_real_grub_defaults() -> None:
    conf = shellconf.parse_shellconf(GRUB_DEFAULT)
    assert conf.values == {
        "GRUB_DEFAULT": "0",
        "GRUB_TIMEOUT": "5",
        "GRUB_DISTRIBUTOR": None,
        "GRUB_CMDLINE_LINUX_DEFAULT": "quiet",
        "GRUB_CMDLINE_LINUX": "",
    }
    assert [(p.line, p.fatal) for p in conf.problems] == [(6, False)]
    dropin = 'GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT crashkernel=512M-:192M"\n'
    after = shellconf.parse_shellconf(dropin, conf.values)
    assert after.values["GRUB_CMDLINE_LINUX_DEFAULT"] == "quiet crashkernel=512M-:192M"
    assert after.values["GRUB_TIMEOUT"] == "5"


READ = [
    ("A=b", "b"),
    ("A=", ""),
    ("A='x $y `z` \\n'", "x $y `z` \\n"),
    ('A="x \\$y \\`z\\` \\" \\\\ \\n"', 'x $y `z` " \\ \\n'),
    ("A=x\\ y\\$z", "x y$z"),
    ("A='a'\"b\"c", "abc"),
    ("A=one#two # three", "one#two"),
    ("A=one;A=two", "two"),
    ("A=one B=x", "one"),
    ("A=one \\\n  B=x", "one"),
    ('A="one \\\n  two"', "one   two"),
    ("A='one\ntwo'", "one\ntwo"),
    ("export A=x", "x"),
    ("  \tA=x  ", "x"),
    ("B=y\nA=${B}z$B", "yzy"),
    ("A=$UNSET_", ""),
    ("A=${UNSET_:-fallback}", "fallback"),
    ("B=\nA=${B:-x}${B-y}", "x"),
    ("B=1\nA=${B:+x}${C+y}", "x"),
    ('B=1\nA="${C:+$C }${B:+$B }end"', "1 end"),
    ("A=x\nA=$A$A", "xx"),
    ("A=x\nunset A", ""),
    ("A=5$", "5$"),
    ('A="$ x"', "$ x"),
    ("#A=no\nA=yes", "yes"),
    ("A=x\r\nB=y", "x\r"),
    ("A=(", None),
    ("A=$(echo x)", None),
    ("A=`echo x`", None),
    ("A=$((1+1))", None),
    ("A=$HOME/x", None),
    ("A=~/x", None),
    ("if true; then A=x; fi", None),
    ("[ -e /nonexistent ] && A=x", None),
    ("A=x\nfalse ||\nA=y", None),
    ("B=`id`\nA=$B", None),
]


@pytest.mark.parametrize(("text", "expected"), READ, ids=[case[0] for case in READ])
def test_reading(text: str, expected: str | None) -> None:
    conf = shellconf.parse_shellconf(text)
    assert conf.values.get("A", "") == expected
    if expected is None:
        assert conf.problems, "an unknown value is always explained"
    elif DASH:
        assert dash(text, "A") == {"A": expected}


PROBLEMS = [
    ("A=1\nB+=2\n", 2, "dash", False),
    ("A=1\n\necho hello\n", 3, "a command", False),
    ("A=1 echo hello\n", 1, "a command", False),
    (". /etc/os-release\n", 1, "a command", False),
    ('A=1\nB="open\nC=2\n', 2, "double quote", True),
    ("A=1\nB='open\nC=2\n", 2, "single quote", True),
    ("A=1\nB=`open\n", 2, "backquote", True),
    ("A=1\nB=$(open\n", 2, "never closed", True),
    ("A=1\ncat <<EOF\nB=2\nEOF\n", 2, "here-document", True),
    ("A=1\nif true; then\nB=2\n", 4, "block", True),
    ("A=1\n<<<<<<< mine\n", 2, "here-document", True),
    ("A=1\r\n", 1, "carriage return", False),
]


@pytest.mark.parametrize(("text", "line", "words", "fatal"), PROBLEMS, ids=[p[0] for p in PROBLEMS])
def test_problems_name_the_line(text: str, line: int, words: str, fatal: bool) -> None:
    problem = shellconf.parse_shellconf(text).problems[-1]
    assert (problem.line, problem.fatal) == (line, fatal)
    assert words in problem.reason
    if fatal:
        with pytest.raises(ParseError, match="line {0}".format(line)):
            shellconf.edit(text, {"A": "2"})


def test_what_a_condition_sets_is_not_taken_for_known_later() -> None:
    conf = shellconf.parse_shellconf("A=1\nif x; then\n  A=2\nfi\nB=$A\nC=3\n")
    assert conf.values == {"A": None, "B": None, "C": "3"}


def test_growth_is_bounded() -> None:
    text = "A=xxxxxxxxxxxxxxxx\n" + "A=$A$A\n" * 64
    assert shellconf.parse_shellconf(text).values["A"] is None
    with pytest.raises(ParseError):
        shellconf.parse_shellconf("A=1\n" * (shellconf.TEXT_LIMIT // 4 + 1))


@pytest.mark.skipif(not DASH, reason="dash is not installed")
@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="AB='\"\\$` #;\n\txy{}", max_size=24))
def test_never_contradicts_dash(tail: str) -> None:
    text = "B=b\nA=" + tail
    conf = shellconf.parse_shellconf(text)
    if any(p.fatal for p in conf.problems):
        return
    known = {name: value for name, value in conf.values.items() if value is not None and name in "AB"}
    # A command that is not run could do anything in theory, but not to these names here.
    seen = dash(text + "\n", "A", "B")
    if len(seen) == 2:
        assert {name: seen[name] for name in known} == known


@pytest.mark.parametrize("value", ["$\\\nA", "$\\\n{A}", '"$\\\nA"', "$B\\\nA", "$\\\n"])
def test_a_line_continuation_inside_an_expansion_is_not_guessed(value: str) -> None:
    """dash joins the lines first: `$`, continuation, `A` is `$A`."""
    assert shellconf.parse_shellconf("B=b\nA=" + value).values["A"] is None


SYSTEMD = [
    "A=b # c",
    "A=b c  ",
    "A='b'  c",
    "A='b' \"c\" d",
    'A=b"c d"',
    "A=b\\ c\\x",
    'A="b\\n\\"c"',
    'A="b\\\n c"',
    "; note\nA=1",
    "# note\n\n  A=1  ",
    "A=1\nA=2",
    "A =1",
    "A=",
    "A=1\r\nB=2\r\n",
    "export A=1\nB=2",
    "garbage\nB=2",
    "A='open B=2",
]


@pytest.mark.skipif(not (GENERATOR.exists() and DASH), reason="systemd's environment generator is not installed")
@pytest.mark.parametrize("text", SYSTEMD)
def test_environment_file_as_systemd_reads_it(text: str, tmp_path: pathlib.Path) -> None:
    ours = {name: value for name, value in shellconf.parse_environment_file(text).items() if value}
    assert ours == {name: value for name, value in systemd(text, tmp_path).items() if value}


@pytest.mark.skipif(not DASH, reason="dash is not installed")
@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(min_codepoint=32, max_codepoint=0x17F, exclude_characters="\x7f"), max_size=30))
def test_quoted_values_read_the_same_everywhere(value: str) -> None:
    text = "A=" + shellconf.quote(value)
    assert dash(text, "A") == {"A": value}
    assert shellconf.parse_shellconf(text).values == {"A": value}
    assert shellconf.parse_environment_file(text) == {"A": value}


@pytest.mark.parametrize("value", ["a\nb", "a\x00b", "a\x1b[31m", "a\rb", "\x7f"])
def test_control_characters_are_refused(value: str) -> None:
    with pytest.raises(CoreError, match="control character"):
        shellconf.quote(value)
    with pytest.raises(CoreError):
        shellconf.edit("A=1\n", {"A": value})


def test_edit_of_the_real_kdump_file() -> None:
    wanted = {
        "KDUMP_COREDIR": "/srv/crash",
        "MAKEDUMP_ARGS": "-c -d 17",
        "KDUMP_NUM_DUMPS": "3",
        "KDUMP_FAIL_CMD": None,
    }
    new = shellconf.edit(KDUMP_DEFAULT, wanted)
    before, after = KDUMP_DEFAULT.splitlines(), new.splitlines()
    assert [line for line in after if line not in before] == [
        'KDUMP_COREDIR="/srv/crash"',
        'MAKEDUMP_ARGS="-c -d 17"',
        'KDUMP_NUM_DUMPS="3"',
    ]
    assert [line for line in before if line not in after] == [
        'KDUMP_COREDIR="/var/crash"',
        '#MAKEDUMP_ARGS="-c -d 31"',
    ]
    assert shellconf.edit(new, wanted) == new


EDITS = [
    ("unchanged when equal, whatever the quotes", "A='x'\n", {"A": "x"}, "A='x'\n"),
    ("replaced in place", "A=1\nB=2\n", {"A": "x y"}, 'A="x y"\nB=2\n'),
    ("the last one counts", "A=1\nA=2\n", {"A": "3"}, 'A=1\nA="3"\n'),
    ("added without a final newline", "B=1", {"A": "3"}, 'B=1\nA="3"\n'),
    ("added to nothing", "", {"A": ""}, 'A=""\n'),
    ("brought into force", "#A=1\nB=2\n", {"A": "3"}, 'A="3"\nB=2\n'),
    ("prose is no sample", "# A=x is the default\n", {"A": "3"}, '# A=x is the default\nA="3"\n'),
    ("a longer name is another", "#AB=1\nAA=2\n", {"A": "3"}, '#AB=1\nAA=2\nA="3"\n'),
    ("taken out of force", "A=1\nB=2\nA=3\n", {"A": None}, "#A=1\nB=2\n#A=3\n"),
    ("taken out when absent", "B=2\n", {"A": None}, "B=2\n"),
    ("continued lines", "A=a\\\nb\nB=2\n", {"A": None}, "#A=a\\\n#b\nB=2\n"),
    ("continued lines, set", 'A="a \\\n b"\nB=2\n', {"A": "c"}, 'A="c"\nB=2\n'),
    ("the comment stays, above", "A=1 # why\n", {"A": "2"}, '# why\nA="2"\n'),
    ("a comment that systemd takes for the value", "A=1 # why\n", {"A": "1"}, '# why\nA="1"\n'),
    ("two in a line", "A=1 B=2\n", {"A": "3"}, 'A=1 B=2\nA="3"\n'),
    ("under a condition", "if x; then\n A=1\nfi\n", {"A": "3"}, 'if x; then\n A=1\nfi\nA="3"\n'),
    ("exported, which systemd does not read", "export A=1\n", {"A": "1"}, 'export A=1\nA="1"\n'),
    ("a sample inside quotes is text", "B='\n#A=1\n'\n", {"A": "3"}, "B='\n#A=1\n'\nA=\"3\"\n"),
    ("a sample under a condition", "if x; then\n#A=1\nfi\n", {"A": "3"}, 'if x; then\n#A=1\nfi\nA="3"\n'),
    ("special signs", "A=1\n", {"A": "it's $5"}, 'A="it\'s \\$5"\n'),
]


@pytest.mark.parametrize(("text", "changes", "expected"), [e[1:] for e in EDITS], ids=[e[0] for e in EDITS])
def test_edit(text: str, changes: dict[str, str | None], expected: str) -> None:
    once = shellconf.edit(text, changes)
    assert once == expected
    assert shellconf.edit(once, changes) == once


def test_edit_refuses_what_it_cannot_keep() -> None:
    with pytest.raises(ParseError, match="line 2 sets A"):
        shellconf.edit("B=1\nexport A=1\n", {"A": None})
    with pytest.raises(CoreError, match="not a name"):
        shellconf.edit("", {"A-B": "1"})


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="AB='\"\\$` #;\nxy", max_size=40), st.text(alphabet="ab '\"\\$`#;", max_size=8))
def test_edit_reads_back_or_refuses(text: str, value: str) -> None:
    try:
        new = shellconf.edit(text, {"A": value})
    except CoreError:
        return
    assert shellconf.parse_shellconf(new).values["A"] == value
    assert shellconf.parse_environment_file(new)["A"] == value
    assert shellconf.edit(new, {"A": value}) == new

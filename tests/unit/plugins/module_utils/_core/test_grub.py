# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""GRUB's menu: files that grub-mkconfig wrote, and what GRUB itself booted.

cases/grub/debian-13.cfg and debian-12-saved.cfg were made by grub-mkconfig of
grub2-common 2.12 and 2.06 in a Debian tree with two kernels and kdump-tools
(grub-probe replaced by one with a made-up disk; GRUB_DEFAULT=saved in Debian 12's).
"""

from __future__ import annotations

import contextlib
import pathlib
import time

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core import grub
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import ParseError
from hypothesis import given, settings
from hypothesis import strategies as st

CASES = pathlib.Path(__file__).resolve().parents[3] / "cases" / "grub"
UUID = "3f2c8a51-8a0e-4f0e-9c53-7a1f0a0b1c2d"


def read(name: str) -> str:
    return (CASES / name).read_text()


def test_debian_13() -> None:
    menu = grub.parse_grub_cfg(read("debian-13.cfg"))
    first, submenu, *rest = menu.entries
    assert first == grub.MenuEntry(
        title="Debian GNU/Linux",
        id="gnulinux-simple-" + UUID,
        position=(0,),
        submenu=False,
        conditional=False,
        section="10_linux",
        loader="linux",
        kernel="/boot/vmlinuz-7.3.4+deb13-cloud-amd64",
        cmdline="root=/dev/sda1 ro quiet crashkernel=512M-:192M",
        initrds=("/boot/initrd.img-7.3.4+deb13-cloud-amd64",),
        line=103,
    )
    assert (submenu.title, submenu.submenu, submenu.position) == ("Advanced options for Debian GNU/Linux", True, (1,))
    # G18: kdump-tools' own drop-in leaves the recovery entries without a reservation.
    assert [(e.position, e.kernel[14:20], "crashkernel" in e.cmdline) for e in rest[:-1]] == [
        ((1, 0), "7.3.4+", True),
        ((1, 1), "7.3.4+", False),
        ((1, 2), "6.12.1", True),
        ((1, 3), "6.12.1", False),
    ]
    firmware = rest[-1]
    assert (firmware.title, firmware.conditional, firmware.kernel) == ("UEFI Firmware Settings", True, "")
    assert (firmware.position, firmware.section) == ((2,), "30_uefi-firmware")
    assert menu.sources == ("${config_directory}/custom.cfg", "$prefix/custom.cfg")


RELEASES_13 = {
    None: ("7.3.4", False),
    "0": ("7.3.4", True),
    "1": ("7.3.4", True),
    "1>2": ("6.12.117", True),
    "Advanced options for Debian GNU/Linux>Debian GNU/Linux, with Linux 6.12.117+deb13-cloud-amd64": ("6.12.117", True),
    "gnulinux-advanced-{0}>gnulinux-6.12.117+deb13-cloud-amd64-advanced-{0}".format(UUID): ("6.12.117", True),
    "gnulinux-no-more": ("7.3.4", True),
    "2": (None, True),  # the firmware's entry, if it is there
    "3": ("7.3.4", True),
}


@pytest.mark.parametrize("next_entry", RELEASES_13)
def test_next_entry_in_debian_13(next_entry: str | None) -> None:
    version, once = RELEASES_13[next_entry]
    block = {"next_entry": next_entry} if next_entry else {"saved_entry": "1>2"}
    found = grub.next_boot(grub.parse_grub_cfg(read("debian-13.cfg")), block)
    assert (found.entry and found.entry.kernel.split("-")[1].split("+")[0]) == version
    assert found.once == once
    assert found.reason


@pytest.mark.parametrize(
    ("block", "position", "once"),
    [
        (None, (0,), False),
        ({}, (0,), False),
        ({"saved_entry": "1>2"}, (1, 2), False),
        ({"saved_entry": "gnulinux-advanced-{0}>gnulinux-gone-advanced-{0}".format(UUID)}, (1, 0), False),
        ({"saved_entry": "1>2", "next_entry": "1>0"}, (1, 0), True),
        # grub-reboot of old releases: the default was taken from saved_entry before it is put back
        ({"saved_entry": "1>2", "prev_saved_entry": "0"}, (1, 2), False),
    ],
)
def test_saved_default_in_debian_12(block: dict[str, str] | None, position: tuple[int, ...], once: bool) -> None:
    found = grub.next_boot(grub.parse_grub_cfg(read("debian-12-saved.cfg")), block)
    assert found.entry is not None
    assert (found.entry.position, found.once) == (position, once)


# Booted in QEMU with GRUB 2.06-13+deb12 and 2.12 of Debian 13, timeout=0: the same answers from both.
MENU = """\
set timeout=0
set default={0}
menuentry 'Zero' --id zero {{ echo "GOT 0"; halt }}
submenu 'Sub one' --id sub1 {{
  menuentry 'Sub zero' --id subzero {{ echo "GOT 1,0"; halt }}
  menuentry 'Sub one entry' --id s1 {{ echo "GOT 1,1"; halt }}
  menuentry 'a>b' --id gt {{ echo "GOT 1,2"; halt }}
}}
menuentry '6.1 kernel' --id six {{ echo "GOT 2"; halt }}
menuentry '1st choice' --id first {{ echo "GOT 3"; halt }}
menuentry 'x>y' --id xy {{ echo "GOT 4"; halt }}
menuentry '5' --id five {{ echo "GOT 5"; halt }}
menuentry 'last' --id last {{ echo "GOT 6"; halt }}
"""
BOOTED = {
    "0": "0",
    "1": "1,0",
    '"1>1"': "1,1",
    '"1>2"': "1,2",
    '"1st choice"': "1,0",
    '"6.1 kernel"': "6",
    '"5"': "5",
    "five": "5",
    '"x>>y"': "4",
    '"sub1>a>>b"': "1,2",
    '"Sub one>s1"': "1,1",
    "nope": "0",
    '"-1"': "0",
    '" 2"': "2",
    "0x2": "2",
    '"03"': "3",
    '"2abc"': "2",
    '"9abc"': "0",
    '"6abc"': "6",
    '""': "0",
    '"1>9"': "1,0",
    '"1>nope"': "1,0",
    "0b": "0",
    '"1 >1"': "1,1",
    "sub1": "1,0",
    '"1>"': "1,0",
    '"Zero>1"': "0",
    "099": "0",
    "08": "0",
}


@pytest.mark.parametrize("default", BOOTED)
def test_default_as_grub_booted_it(default: str) -> None:
    found = grub.next_boot(grub.parse_grub_cfg(MENU.format(default)), None)
    assert found.entry is not None
    assert ",".join(map(str, found.entry.position)) == BOOTED[default]


def test_a_number_that_overflows_is_left_open() -> None:
    assert grub.next_boot(grub.parse_grub_cfg(MENU.format("99999999999")), None).entry is None


UNDECIDED = [
    'if [ "$grub_platform" = "efi" ]; then\n set default=1\nfi\n',
    "if sleep --interruptible 5; then\n set default=1\nfi\n",
    'set default="$prefix"\n',
    "for x in a b; do\n set default=$x\ndone\n",
    'if [ "${feature_x}" = y ]; then\n set a=1\nelse\n set default=1\nfi\n',
]


@pytest.mark.parametrize("head", UNDECIDED)
def test_what_only_grub_knows_is_left_open(head: str) -> None:
    found = grub.next_boot(grub.parse_grub_cfg(MENU.format("0").replace("set default=0\n", head)), {})
    assert found.entry is None
    assert "only GRUB" in found.reason


DECIDED = [
    ('if [ -z "$recordfail" ]; then\n set default=2\nelse\n set default=0\nfi\n', "2"),
    (
        'load_env\nif [ "$a" = 1 ]; then\n set default=0\nelif [ "$b" = 2 ]; then\n set default=3\n'
        "else\n set default=4\nfi\n",
        "3",
    ),
    ('set x=five\nset default="$x"\nunset x\n', "5"),
    ("set default='$x'\n", "0"),
    ("default=4\n", "4"),
    ("function f {\n set default=4\n}\n", "0"),
]


@pytest.mark.parametrize(("head", "position"), DECIDED)
def test_what_the_files_decide(head: str, position: str) -> None:
    found = grub.next_boot(grub.parse_grub_cfg(MENU.format("0").replace("set default=0\n", head)), {"b": "2"})
    assert found.entry is not None
    assert ",".join(map(str, found.entry.position)) == position


def test_words_of_an_entry() -> None:
    text = """\
menuentry "It's \\"quoted\\"" --unrestricted --users 'root' --class os --id=own {
  if [ x = y ]; then insmod gzio; fi
  linux /vmlinuz root=LABEL='a b' dyndbg="file x.c +p" $more \\
    crashkernel=256M # comment
  initrd /ucode.img /initrd.img
}
menuentry 'Don'\\''t' { chainloader +1 }
"""
    entry, chain = grub.parse_grub_cfg(text).entries
    assert (entry.title, entry.id) == ('It\'s "quoted"', "own")
    # As grub_create_loader_cmdline() does it: quotes around a whole word with a blank.
    assert entry.cmdline == '"root=LABEL=a b" "dyndbg=file x.c +p" $more crashkernel=256M'
    assert entry.initrds == ("/ucode.img", "/initrd.img")
    assert (chain.title, chain.id, chain.loader, chain.kernel) == ("Don't", "Don't", "chainloader", "")


def test_xen() -> None:
    # the form that /etc/grub.d/20_linux_xen writes
    text = """\
### BEGIN /etc/grub.d/20_linux_xen ###
menuentry 'Debian GNU/Linux, with Xen hypervisor' {
  multiboot2 /boot/xen-4.17-amd64.gz placeholder dom0_mem=4G ${xen_rm_opts}
  module2 /boot/vmlinuz-6.1.0-56-amd64 placeholder root=/dev/sda1 ro quiet
  module2 --nounzip /boot/initrd.img-6.1.0-56-amd64
}
"""
    (entry,) = grub.parse_grub_cfg(text).entries
    assert (entry.loader, entry.kernel) == ("multiboot", "/boot/vmlinuz-6.1.0-56-amd64")
    assert (entry.cmdline, entry.initrds) == ("root=/dev/sda1 ro quiet", ("/boot/initrd.img-6.1.0-56-amd64",))


def test_entries_made_by_functions_are_not_counted() -> None:
    menu = grub.parse_grub_cfg("function f {\n menuentry a {\n linux /x\n }\n}\nmenuentry b {\n linux /y\n}\n")
    assert [(e.title, e.position, e.kernel) for e in menu.entries] == [("b", (0,), "/y")]


BROKEN = [
    ("}", "line 1: a closing brace"),
    ("menuentry a {\n", "line 1: this menuentry is never closed"),
    ("a\nif [ x ]; then\n}\nfi", "line 3: a closing brace"),
    ("\n\necho 'open", "line 3: a quote"),
    ('\necho "open', "line 2: a quote"),
    ("fi", "line 1: fi closes nothing"),
    ("while x; do\nfi", "line 2: fi closes nothing"),
    ("else", "line 1: else without if"),
    ("submenu a {\n" * 40, "nested deeper than 16"),
    ("if [ a ]; then\n" * 40, "nested deeper than 16"),
    ("menuentry a {\n}\n" * 5000, "more than 4096 entries"),
    ("if [ a ]; then\n" + "elif [ b ]; then\nset default=1\n" * 5000 + "fi", "more than 64 branches"),
    ("a\x00b", "NUL"),
    ("x" * (10 * 1024 * 1024), "at most"),
]


@pytest.mark.parametrize(("text", "message"), BROKEN, ids=[case[1] for case in BROKEN])
def test_broken(text: str, message: str) -> None:
    with pytest.raises(ParseError, match=message):
        grub.parse_grub_cfg(text)


LARGE = {
    "dollars": "${" * 500_000,
    "words": "a " * 500_000,
    "quotes": "'a'" * 300_000,
    "backslashes": "\\" * 1_000_000,
    "entries": "menuentry a {\n linux /x\n}\n" * 4096,
    "growing": 'set default="$default$default"\n' * 30_000,
    "control": "\x01\x1b\x9f" * 300_000,
}


@pytest.mark.parametrize("name", LARGE)
def test_large_input_ends_soon(name: str) -> None:
    start = time.perf_counter()
    with contextlib.suppress(ParseError):
        grub.next_boot(grub.parse_grub_cfg(LARGE[name]), {"next_entry": "1>" * 2000})
    assert time.perf_counter() - start < 10


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from([*"{};\n\"'\\$", "if ", "fi\n", "then ", "else ", "menuentry a ", "set default=", "1"]))
)
def test_anything_ends_in_an_answer_or_a_parse_error(parts: list[str]) -> None:
    try:
        menu = grub.parse_grub_cfg("".join(parts))
    except ParseError:
        return
    found = grub.next_boot(menu, {})
    assert found.entry is None or found.entry in menu.entries


# --- grubenv


def block(text: str) -> bytes:
    data = grub.ENVBLK_SIGNATURE + text.encode()
    return data + b"#" * (1024 - len(data))


def test_grubenv_as_grub_editenv_writes_it() -> None:
    # grub-editenv 2.12 create; set 'saved_entry=a>b\c' next_entry=1
    text = "# WARNING: Do not edit this file by tools other than grub-editenv!!!\nsaved_entry=a>b\\\\c\nnext_entry=1\n"
    assert grub.parse_grubenv(block(text)) == {"saved_entry": "a>b\\c", "next_entry": "1"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("a=1\\\n2\nb=\n", {"a": "1\n2", "b": ""}),
        ("#a=1\nb=2\n", {"b": "2"}),
        ("a=b=c\nnoequals\n", {"a": "b=c"}),
        ("a=unterminated", {}),
    ],
)
def test_grubenv(text: str, expected: dict[str, str]) -> None:
    assert grub.parse_grubenv(block(text)) == expected


@pytest.mark.parametrize("data", [b"", b"\0" * 1024, b"a=1\n", grub.ENVBLK_SIGNATURE + b"#" * 70000])
def test_not_a_grubenv(data: bytes) -> None:
    with pytest.raises(ParseError):
        grub.parse_grubenv(data)


def test_path_to_an_entry_is_what_grub_follows() -> None:
    """What GRUB_DEFAULT has to be for each entry of a recorded menu leads back to that entry."""
    menu = grub.parse_grub_cfg((CASES / "debian-13.cfg").read_text())
    for entry in menu.entries:
        if entry.kernel:
            spec = grub.spec_of(menu, entry)
            assert grub._choose(menu, spec)[0] == entry, spec
    (title,) = grub.parse_grub_cfg("menuentry 'a>b' {\n linux /v\n}\n").entries
    assert grub.spec_of(grub.GrubMenu((title,), (), ()), title) == "a>>b"

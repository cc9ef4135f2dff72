# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Files of the kernel transaction: what they do when a shell, awk or apt's grammar reads them."""

from __future__ import annotations

import pathlib
import re
import subprocess

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core import kernel_pin_files as files
from ansible_collections.rackops.crashready.plugins.module_utils._core.aptpins import parse_preferences, pins_of
from ansible_collections.rackops.crashready.plugins.module_utils._core.aptsources import Source, parse_deb822
from ansible_collections.rackops.crashready.plugins.module_utils._core.grub import next_boot, parse_grub_cfg
from ansible_collections.rackops.crashready.plugins.module_utils._core.shellconf import parse_shellconf

CASES = pathlib.Path(__file__).resolve().parents[3] / "cases" / "grub"
OLD, NEW = "6.12.117+deb13-amd64", "7.3.4+deb13-amd64"
TEMPLATE = "gnulinux-advanced-X>gnulinux-{release}-advanced-X"


def chosen(tmp_path: pathlib.Path, releases: list[str], text: str, before: str = "0") -> str:
    """GRUB_DEFAULT after grub-mkconfig's shell has read the fragment, on a /boot of these kernels."""
    for release in releases:
        (tmp_path / ("vmlinuz-" + release)).write_text("x")
        (tmp_path / ("initrd.img-" + release)).write_text("x")
    (tmp_path / "vmlinuz-9.9.9+deb13-amd64").write_text("x")  # no initrd, so it is never the one
    script = "set -e\nGRUB_DEFAULT={0}\n{1}\necho $GRUB_DEFAULT".format(before, text.replace("/boot", str(tmp_path)))
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("line", "flavour", "never", "expected"),
    [
        (None, "amd64", (), "7.3.10+deb13-amd64"),
        (None, "amd64", ("7.3.10+deb13-amd64",), "7.3.4+deb13-amd64"),
        ("6.12", "amd64", (), "6.12.117+deb13-amd64"),
        ("6.1", "amd64", (), "6.1.0-56-amd64"),
        (None, "rt-amd64", (), "6.12.117+deb13-rt-amd64"),
        (None, "cloud-amd64", (), "7.4.1+deb13-cloud-amd64"),
        ("5.10", "amd64", (), None),
    ],
)
def test_default_follows_a_line(
    tmp_path: pathlib.Path, line: str | None, flavour: str, never: tuple[str, ...], expected: str | None
) -> None:
    releases = [OLD, NEW, "7.3.10+deb13-amd64", "6.12.99+deb13-amd64", "6.1.0-56-amd64", "6.1.0-9-amd64"]
    releases += ["6.12.117+deb13-rt-amd64", "7.4.1+deb13-cloud-amd64", "7.9.0-pve", "6.12.117+deb13-arm64"]
    text = files.grub_drop_in(TEMPLATE, [files.branch_pattern(line, flavour)], never, "why")
    found = chosen(tmp_path, releases, text)
    assert found == (TEMPLATE.replace("{release}", expected) if expected else "0")


def test_hold_falls_back_to_its_line(tmp_path: pathlib.Path) -> None:
    patterns = [files.exact_pattern(OLD), files.branch_pattern("6.12", "amd64")]
    text = files.grub_drop_in(TEMPLATE, patterns, [NEW], "why")
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert OLD in chosen(tmp_path / "a", [OLD, NEW, "6.12.200+deb13-amd64"], text)
    assert "6.12.200+deb13-amd64" in chosen(tmp_path / "b", [NEW, "6.12.200+deb13-amd64"], text)


def test_a_default_of_the_administrator_stays_where_nothing_fits(tmp_path: pathlib.Path) -> None:
    text = files.grub_drop_in(TEMPLATE, [files.exact_pattern("1.2.3-amd64")], [], "why")
    assert chosen(tmp_path, [OLD], text, before="saved") == "saved"


def test_exact_is_exact() -> None:
    assert re.fullmatch(files.exact_pattern("6.1.0-9-amd64"), "6.1.0-9-amd64")
    assert not re.fullmatch(files.exact_pattern("6.1.0-9-amd64"), "6x1.0-9-amd64")


MENU = (CASES / "debian-13.cfg").read_text(encoding="utf-8")
TEN_LINUX = MENU[MENU.index("### BEGIN /etc/grub.d/10_linux ###") : MENU.index("### END /etc/grub.d/10_linux ###")]


def trial(tmp_path: pathlib.Path, release: str, ten_linux: str = TEN_LINUX) -> str:
    """What the script adds to a menu whose 10_linux writes the recorded one."""
    (tmp_path / ("vmlinuz-" + release)).write_text("x")
    (tmp_path / ("initrd.img-" + release)).write_text("x")
    (tmp_path / "menu").write_text(ten_linux)
    (tmp_path / "10_linux").write_text("#!/bin/sh\ncat '{0}/menu'\n".format(tmp_path))
    text = files.grub_script(release, files.trial_words(30, None)).replace("/boot", str(tmp_path))
    (tmp_path / files.TRIAL_SECTION).write_text(text)
    for name in ("10_linux", files.TRIAL_SECTION):
        (tmp_path / name).chmod(0o755)
    done = subprocess.run([str(tmp_path / files.TRIAL_SECTION)], capture_output=True, text=True, check=True)
    return done.stdout


def test_trial_entry_is_the_kernels_own_with_more_words(tmp_path: pathlib.Path) -> None:
    menu = parse_grub_cfg(TEN_LINUX + trial(tmp_path, "6.12.117+deb13-cloud-amd64"))
    (entry,) = [e for e in menu.entries if e.id == files.TRIAL_ID]
    own = next(e for e in menu.entries if e.id.startswith("gnulinux-6.12.117+deb13-cloud-amd64-advanced-"))
    assert entry.position == (len({e.position[0] for e in menu.entries}) - 1,)
    assert (entry.kernel, entry.initrds) == (own.kernel, own.initrds)
    assert entry.cmdline == own.cmdline + " " + files.trial_words(30, None)
    assert "menuentry 'Crashready: one trial boot' --class debian" in trial(tmp_path, "6.12.117+deb13-cloud-amd64")


def test_trial_entry_is_booted_once(tmp_path: pathlib.Path) -> None:
    text = MENU.replace("### END /etc/grub.d/10_linux ###", "### END /etc/grub.d/10_linux ###\n")
    menu = parse_grub_cfg(text + trial(tmp_path, "6.12.117+deb13-cloud-amd64"))
    once = next_boot(menu, {"next_entry": files.TRIAL_ID})
    assert once.entry is not None
    assert (once.entry.id, once.once) == (files.TRIAL_ID, True)
    after = next_boot(menu, {})
    assert after.entry is not None
    assert after.entry.id != files.TRIAL_ID


def test_words_go_before_those_of_init(tmp_path: pathlib.Path) -> None:
    with_init = TEN_LINUX.replace(" quiet crashkernel=512M-:192M", " quiet crashkernel=512M-:192M -- single")
    menu = parse_grub_cfg(trial(tmp_path, "6.12.117+deb13-cloud-amd64", with_init))
    (entry,) = menu.entries
    assert entry.cmdline.endswith(files.GUARD_UNIT_NAME + " -- single")


def test_no_entry_without_the_kernels_own(tmp_path: pathlib.Path) -> None:
    assert trial(tmp_path, "5.10.0-1-amd64") == ""


def test_preferences_name_the_kernel_alone() -> None:
    text = files.preferences(
        "amd64", "trixie-backports", ["linux-base"], headers=False, follow=True, blocked=["7.4.1-1~bpo13+1"]
    )
    pins = parse_preferences(text, "f")
    assert [(pin.pin, pin.priority) for pin in pins] == [
        ("version 7.4.1-1~bpo13+1", -1),
        ("release n=trixie-backports", 500),
    ]
    named = ("linux-image-amd64", "linux-image-" + NEW, "linux-modules-" + NEW, "linux-binary-" + NEW, "linux-base")
    for name in named:
        assert pins_of(pins[1:], [name]), name
    for name in ("linux-image-cloud-amd64", "linux-libc-dev", "linux-perf", "linux-headers-amd64", "bash"):
        assert not pins_of(pins[1:], [name]), name


def test_a_trial_pins_no_metapackage() -> None:
    text = files.preferences("amd64", "trixie-backports", [], headers=True, follow=False, blocked=[])
    pins = parse_preferences(text, "f")
    assert not pins_of(pins, ["linux-image-amd64", "linux-headers-amd64"])
    assert pins_of(pins, ["linux-headers-" + NEW])
    follow = files.preferences("amd64", "trixie-backports", [], headers=True, follow=True, blocked=[])
    assert pins_of(parse_preferences(follow, "f"), ["linux-headers-amd64"])


def test_protection_is_of_one_kernel() -> None:
    (pattern,) = re.findall(r'"(\^[^"]+)"', files.apt_conf(OLD))
    assert re.match(pattern, "linux-image-" + OLD)
    assert not re.match(pattern, "linux-image-6x12.117+deb13-amd64")
    assert not re.match(pattern, "linux-image-" + NEW)


def test_source() -> None:
    one = Source("http://x/debian", "trixie-backports", ("main",), "/k.gpg", files.SOURCE)
    assert parse_deb822(files.source_file(one), files.SOURCE) == [one]


def test_loader_entry_is_sorted_last() -> None:
    original = "title Debian\nversion 7.3.4\nsort-key debian\noptions root=UUID=x ro\nlinux /v\ninitrd /i\n"
    lines = files.loader_entry(original, "panic=30").splitlines()
    assert lines[:2] == ["title Crashready: one trial boot", "sort-key zz-crashready"]
    assert [line for line in lines if line.startswith("options")] == ["options root=UUID=x ro", "options panic=30"]
    assert "linux /v" in lines


def run_guard(tmp_path: pathlib.Path, uptime_s: int, mark: bool) -> tuple[str, list[str]]:
    """The guard's script on a machine of stubs, which end it where a real one would be gone."""
    text = files.guard_script(600)
    for path in ("/proc/uptime", "/proc/sysrq-trigger", "/dev/console", "/dev/kmsg", "/var/lib", "/run", "/boot"):
        text = text.replace(path, str(tmp_path) + path)
    for folder in ("proc", "dev", "run/crashready", "boot/grub"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "proc/uptime").write_text("{0}.52 100.00\n".format(uptime_s))
    (tmp_path / "boot/grub/grubenv").write_text("")
    if mark:
        (tmp_path / "run/crashready/gate-passed").write_text("x")
    (tmp_path / "bin").mkdir()
    stubs = {"sleep": "echo sleep $1 >>{0}/log", "systemctl": "echo systemctl $@ >>{0}/log", "sync": ":"}
    stubs["grub-editenv"] = "echo grub-editenv $@ >>{0}/log"
    for name, body in stubs.items():
        (tmp_path / "bin" / name).write_text("#!/bin/sh\n" + body.format(tmp_path) + "\n")
        (tmp_path / "bin" / name).chmod(0o755)
    text = text.replace("PATH=/usr/sbin", "PATH={0}/bin:/usr/sbin".format(tmp_path))
    subprocess.run(["sh", "-c", text], capture_output=True, text=True, check=True, timeout=20)
    log = (tmp_path / "log").read_text().splitlines() if (tmp_path / "log").exists() else []
    trigger = tmp_path / "proc/sysrq-trigger"
    return trigger.read_text().strip() if trigger.exists() else "", log


def test_guard_leaves_a_confirmed_trial_alone(tmp_path: pathlib.Path) -> None:
    trigger, log = run_guard(tmp_path, 20, mark=True)
    assert trigger == ""
    assert [line for line in log if line.startswith("systemctl")] == []


def test_guard_ends_a_trial_at_its_deadline(tmp_path: pathlib.Path) -> None:
    trigger, log = run_guard(tmp_path, 601, mark=False)
    assert trigger == "b"
    assert "systemctl --no-block reboot" in log
    assert log.count("grub-editenv {0}/boot/grub/grubenv unset next_entry".format(tmp_path)) == 2
    assert "was not confirmed within 600 s" in (tmp_path / "var/lib/crashready/trial-guard.log").read_text()


def test_settings_of_the_shell_are_readable_to_us_too() -> None:
    """GRUB_DEFAULT is set under an `if`, so a reader that runs nothing must not take it for settled."""
    text = files.grub_drop_in(TEMPLATE, [files.exact_pattern(OLD)], [], "why")
    assert parse_shellconf(text).values.get("GRUB_DEFAULT") is None

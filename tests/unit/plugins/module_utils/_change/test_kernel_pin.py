# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Steps of the kernel transaction that go wrong on the way: what is taken back, and what the message says."""

from __future__ import annotations

import os
import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._change import kernel_pin
from ansible_collections.rackops.crashready.plugins.module_utils._change.files import Stopped
from ansible_collections.rackops.crashready.plugins.module_utils._change.kdump import Blocked
from ansible_collections.rackops.crashready.plugins.module_utils._core.kernel_pin import Wanted
from ansible_collections.rackops.crashready.plugins.module_utils._core.kernel_pin_state import ARMED, PASSED, State
from ansible_collections.rackops.crashready.plugins.module_utils._core.plan import Change
from ansible_collections.rackops.crashready.plugins.module_utils._host.base import Completed
from ansible_collections.rackops.crashready.plugins.module_utils._host.tree import TreeHost

OLD, NEW, VERSION = "6.12.117+deb13-amd64", "7.3.4+deb13-amd64", "7.3.4-1~bpo13+1"
IMAGE, META = "linux-image-" + NEW, "linux-image-amd64"
BOOT = "11111111-2222-4333-8444-555555555555"
WANTED = Wanted(suite="trixie-backports")


class Machine(TreeHost):
    """Keeps what was run; a command that begins with a key of `answers` gets that answer, any other one succeeds."""

    def __init__(self, answers: t.Mapping[str, Completed] | None = None) -> None:
        super().__init__({"files": {"/proc/sys/kernel/osrelease": OLD + "\n"}})
        self.ran: list[str] = []
        self.answers = answers or {}

    def run(self, argv: t.Sequence[str], *_args: t.Any, **_more: t.Any) -> Completed:
        line = " ".join(argv)
        self.ran.append(line)
        return next((done for key, done in self.answers.items() if line.startswith(key)), Completed(0, "", ""))


def package(name: str, before: t.Any = None) -> Change:
    return Change("package", name, before, VERSION, "wanted", {"version": VERSION})


def view(probed: bool = False) -> t.Any:
    seen = {"offer": {"release": NEW}, "state": None, "boot": {"loader": "grub"}}
    return kernel_pin._View(seen, [], [], probed)


def apply(host: Machine, *changes: Change, **more: t.Any) -> None:
    kernel_pin._apply_all(host, WANTED, view(**more), list(changes), 5)


FAILED = Completed(100, "", "E: Sub-process /usr/bin/dpkg returned an error code (1)\n")


def test_packages_come_in_one_run_of_apt() -> None:
    host = Machine()
    apply(host, package(IMAGE), package(META, "6.12.117-1"))
    (line,) = host.ran
    assert line.startswith("apt-get -q -y --no-install-recommends --no-remove --allow-downgrades")
    assert line.endswith("install -- {0}={2} {1}={2}".format(IMAGE, META, VERSION))


def test_lists_are_fetched_first_where_only_a_probe_had_them() -> None:
    host = Machine()
    apply(host, package(IMAGE), probed=True)
    assert host.ran[0].endswith(" update")
    assert " install -- " in host.ran[1]


def test_installation_that_fails_takes_back_what_is_new_and_nothing_else() -> None:
    """The metapackage was there before: purging it would leave the host without kernel updates."""
    host = Machine({"apt-get -q -y --no-install-recommends": FAILED})
    with pytest.raises(Stopped, match="error code") as caught:
        apply(host, package(IMAGE), package(META, "6.12.117-1"), package("firmware-misc-nonfree"))
    assert "taking it back" not in str(caught.value)
    purges = [line for line in host.ran if " purge " in line]
    assert purges
    assert {line.rpartition("-- ")[2] for line in purges} == {IMAGE}


def test_both_errors_are_told_where_taking_back_fails_too() -> None:
    locked = Completed(100, "", "E: locked\n")
    host = Machine({"apt-get -q -y --no-install-recommends": FAILED, "apt-get -q -s purge": locked})
    with pytest.raises(Stopped, match=r"error code.*And taking it back failed.*E: locked.*dpkg --audit"):
        apply(host, package(IMAGE))


def test_boot_menu_that_would_boot_another_kernel_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    undone: list[list[str]] = []

    class Kept:
        def __init__(self, paths: list[str]) -> None:
            self.paths = paths

        def restore(self) -> None:
            undone.append(self.paths)

    monkeypatch.setattr(kernel_pin, "Snapshot", Kept)
    monkeypatch.setattr(kernel_pin, "_menu", lambda _host: {"boot": {"default_release": NEW}})
    default = Change("boot_default", "grub", None, OLD, "G36", {"release": OLD, "pattern": None})
    host = Machine()
    with pytest.raises(Stopped, match="would boot {0} by default, not {1}".format(NEW, OLD).replace("+", r"\+")):
        apply(host, default)
    assert host.ran == ["update-grub"]
    (paths,) = undone
    assert any(path.startswith("/boot/grub") for path in paths)


def test_boot_menu_that_cannot_be_made_is_put_back_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    undone: list[bool] = []
    monkeypatch.setattr(kernel_pin, "_undo", lambda _snapshot: undone.append(True))
    host = Machine({"update-grub": Completed(1, "", "/etc/default/grub.d/own.cfg: 3: Syntax error\n")})
    trial = Change("boot_entry", "grub", None, NEW, "", {"release": NEW, "words": "panic=30"})
    with pytest.raises(Stopped, match=r"own\.cfg: 3: Syntax error"):
        apply(host, trial)
    assert undone == [True]


@pytest.mark.parametrize("found", [None, "something-else"])
def test_choice_for_one_boot_that_does_not_stick_is_an_error(
    found: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel_pin, "_menu", lambda _host: {"one_shot": {"set": found}})
    with pytest.raises(Stopped, match="is {0!r} afterwards".format(found)):
        apply(Machine(), Change("one_shot", "grub", None, "crashready-trial", "", {"entry": "crashready-trial"}))


def test_choice_for_one_boot_of_systemd_boot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_pin, "_menu", lambda _host: {"one_shot": {"set": "crashready-trial.conf"}})
    host = Machine()
    entry = "crashready-trial.conf"
    apply(host, Change("one_shot", "systemd-boot", None, entry, "", {"entry": entry}))
    assert host.ran == ["bootctl set-oneshot crashready-trial.conf"]


def test_full_disk_is_told_with_the_change(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_args: t.Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(kernel_pin, "write_file", full)
    source = Change("file", "/etc/apt/sources.list.d/x.sources", None, "x", "", {"text": "x", "mode": 0o644})
    with pytest.raises(Stopped, match=r"x\.sources.*No space left"):
        apply(Machine(), source)


def test_guard_knows_before_the_record_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the two a guard that ends its wait must find the mark, or it reboots a host that is proven."""
    state = State(ARMED, META, VERSION, "trixie-backports", OLD, NEW, BOOT, (), None, None)
    seen = {"boot_id": BOOT, "state": state}
    written: list[str] = []
    monkeypatch.setattr(kernel_pin, "_look", lambda *_: kernel_pin._View(seen, [], [], False))
    monkeypatch.setattr(kernel_pin, "write_file", lambda path, *_: written.append(path))
    monkeypatch.setattr(os, "makedirs", lambda *_a, **_k: None)
    apply(Machine(), Change("state", "state", ARMED, PASSED, "", {"stage": PASSED}))
    assert written == [kernel_pin.files.GUARD_MARK, kernel_pin.STATE_FILE]


def test_host_that_is_refused_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Machine()
    with pytest.raises(Blocked):
        kernel_pin.converge(host, Wanted(suite="trixie-backports"), check_mode=False)
    assert not [line for line in host.ran if line.split()[0] in ("update-grub", "grub-reboot", "grub-editenv")]
    assert not [line for line in host.ran if " install " in line or " purge " in line]

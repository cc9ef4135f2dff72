# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Firmware that a driver of another kernel would not find."""

from __future__ import annotations

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core.modfirmware import (
    find_losses,
    firmware_packages,
    found_in,
    parse_modinfo_firmware,
    slot,
)

# modinfo -F firmware bnx2x of Linux 6.1 and of 5.15: both name the version before their own as well.
NEW = [
    "bnx2x/bnx2x-e2-7.13.21.0.fw",
    "bnx2x/bnx2x-e1-7.13.21.0.fw",
    "bnx2x/bnx2x-e2-7.13.15.0.fw",
    "bnx2x/bnx2x-e1-7.13.15.0.fw",
]
OLD = ["bnx2x/bnx2x-e2-7.13.15.0.fw", "bnx2x/bnx2x-e1-7.13.15.0.fw"]


@pytest.mark.parametrize(
    ("running", "coming", "there", "slots"),
    [
        (OLD, NEW, set(OLD), []),  # the older one will do
        (OLD, NEW[:2], set(OLD), ["bnx2x/bnx2x-e2-#.fw", "bnx2x/bnx2x-e1-#.fw"]),
        (OLD, NEW[:2], {*OLD, NEW[0] + ".xz"}, ["bnx2x/bnx2x-e1-#.fw"]),
        (OLD, NEW[:2], set(), []),  # nothing is lost that was never there
        (["intel/ice/ddp/ice.pkg"], ["intel/ice/ddp/ice.pkg"], {"intel/ice/ddp/ice.pkg.zst"}, []),
        ([], ["qed/qed_init_values_zipped-8.59.1.0.bin"], set(), []),
        (
            ["qed/qed_init_values_zipped-8.42.2.0.bin"],
            ["qed/qed_init_values_zipped-8.59.1.0.bin"],
            {"qed/qed_init_values_zipped-8.42.2.0.bin"},
            ["qed/qed_init_values_zipped-#.bin"],
        ),
        (OLD, [], set(OLD), []),
    ],
)
def test_losses(running: list[str], coming: list[str], there: set[str], slots: list[str]) -> None:
    assert [loss.slot for loss in find_losses("bnx2x", running, coming, there)] == slots


def test_a_loss_names_what_helps() -> None:
    (loss, _other) = find_losses("bnx2x", OLD, NEW[:2], set(OLD))
    assert loss.wanted == ("bnx2x/bnx2x-e2-7.13.21.0.fw",)
    assert loss.had == ("bnx2x/bnx2x-e2-7.13.15.0.fw",)
    assert loss.packages == ("firmware-bnx2x",)
    assert firmware_packages("e1000e") == ()


def test_slots_differ_by_chip() -> None:
    assert len({slot(name) for name in ("x-e1-1.2.fw", "x-e1h-1.2.fw", "x-e2-1.3.fw")}) == 3


def test_hostile_names_are_left_out() -> None:
    text = "a/b.fw\n../../etc/shadow\n/etc/shadow\n\x1b[31m.fw\nx/../y\n" + "z" * 300 + "\n"
    assert parse_modinfo_firmware(text) == ["a/b.fw"]
    assert found_in(["a", "b"], {"a.xz"}) == ["a"]

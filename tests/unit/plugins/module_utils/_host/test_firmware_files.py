# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Which firmware files a driver names, and whether its kernel would find them."""

from __future__ import annotations

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._host.base import Unreadable
from ansible_collections.rackops.crashready.plugins.module_utils._host.firmware_files import FirmwareFiles, is_there
from ansible_collections.rackops.crashready.plugins.module_utils._host.tree import TreeHost

RELEASE = "6.1.0-56-amd64"
QED = "qed/qed_init_values_zipped-8.59.1.0.bin"


def host(*files, modules=None):
    commands = {}
    for module, (depends, firmware) in (modules or {}).items():
        for field, lines in (("depends", [",".join(depends)]), ("firmware", firmware)):
            commands["modinfo -k {0} -F {1} {2}".format(RELEASE, field, module)] = {
                "rc": 0, "out": "".join(line + "\n" for line in lines)
            }  # fmt: skip
    texts = {"/proc/sys/kernel/osrelease": RELEASE + "\n", **dict.fromkeys(files, "")}
    return TreeHost({"source": "made", "files": texts, "commands": commands})


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/lib/firmware/" + QED, True),
        ("/lib/firmware/" + QED + ".xz", True),
        ("/lib/firmware/updates/" + QED + ".zst", True),
        ("/lib/firmware/" + RELEASE + "/" + QED, True),
        ("/lib/firmware/updates/" + RELEASE + "/" + QED, True),
        ("/lib/firmware/6.1.0-55-amd64/" + QED, False),
        ("/lib/firmware/" + QED + ".gz", False),
        ("/usr/local/lib/firmware/" + QED, False),
    ],
)
def test_where_the_kernel_looks(path, expected):
    assert is_there(host(path), RELEASE, QED) is expected


def test_files_of_the_modules_below_count():
    """qede names none; qed, on which it builds, does."""
    modules = {"qede": (["qed"], []), "qed": (["crc8"], [QED]), "crc8": ([], [])}
    assert FirmwareFiles(host(modules=modules)).of("qede") == {QED: False}
    assert FirmwareFiles(host("/lib/firmware/" + QED, modules=modules)).of("qede") == {QED: True}


def test_a_driver_without_files():
    assert FirmwareFiles(host(modules={"e1000e": ([], [])})).of("e1000e") == {}


def test_names_that_lead_elsewhere_are_left_out():
    modules = {"evil": ([], ["../../etc/shadow", "/etc/shadow", "a/b.bin"])}
    assert FirmwareFiles(host(modules=modules)).of("evil") == {"a/b.bin": False}


def test_each_driver_is_asked_once():
    tree = host(modules={"ice": ([], ["intel/ice/ddp/ice.pkg"])})
    asked = []
    run = tree.run
    tree.run = lambda argv, **more: asked.append(argv) or run(argv, **more)
    files = FirmwareFiles(tree)
    assert files.of("ice") == files.of("ice")
    assert len(asked) == 2


def test_no_modinfo_and_no_module():
    with pytest.raises(Unreadable):
        FirmwareFiles(host()).of("ice")
    missing = host()
    missing._commands["modinfo -k {0} -F depends ice".format(RELEASE)] = {"rc": 1, "err": "not found"}
    with pytest.raises(Unreadable, match="no module ice"):
        FirmwareFiles(missing).of("ice")

# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Installed packages from a recorded status file, and from the machine that runs the tests."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._host import packages
from ansible_collections.rackops.crashready.plugins.module_utils._host.base import Unreadable
from ansible_collections.rackops.crashready.plugins.module_utils._host.local import LocalHost
from ansible_collections.rackops.crashready.plugins.module_utils._host.tree import TreeHost

STATUS = """\
Package: kdump-tools
Status: install ok installed
Architecture: amd64
Version: 1:1.10.7

Package: makedumpfile
Status: install ok unpacked
Architecture: amd64
Version: 1:1.7.6-1

Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.41-12

Package: libc6
Status: install ok installed
Architecture: i386
Version: 2.41-11
"""


def host(status: str = STATUS, **files: str) -> TreeHost:
    return TreeHost({"files": {packages.STATUS: status, **files}})


def test_installed() -> None:
    wanted = ("kdump-tools", "makedumpfile", "crash")
    assert packages.installed_packages(host(), wanted) == {"kdump-tools": "1:1.10.7"}
    assert [p.state for p in packages.known_packages(host(), wanted)] == ["installed", "unpacked"]


def test_two_architectures() -> None:
    found = packages.installed_packages(host(), lambda name: name.startswith("libc"))
    assert found == {"libc6": "2.41-12", "libc6:i386": "2.41-11"}


def test_unfinished() -> None:
    assert packages.unfinished_packages(host()) == ["makedumpfile (unpacked)"]
    journal = host("", **{"/var/lib/dpkg/updates/0001": "x"})
    assert packages.unfinished_packages(journal) == ["dpkg's own journal"]


def test_no_dpkg() -> None:
    with pytest.raises(Unreadable, match="not found"):
        packages.installed_packages(TreeHost({"files": {}}), ("a",))


def test_too_many() -> None:
    with pytest.raises(Unreadable, match="more than"):
        packages.known_packages(host("Package: a\n\n" * 20_000), ("a",))


@pytest.mark.skipif(not shutil.which("dpkg-query"), reason="dpkg is not installed")
def test_same_as_dpkg_query() -> None:
    shown = "${Package}|${Version}|${Architecture}|${Status}|${source:Package}|${source:Version}\n"
    done = subprocess.run(["dpkg-query", "-W", "-f", shown], stdout=subprocess.PIPE, text=True, check=True)
    found = packages.known_packages(LocalHost(), lambda name: True)
    ours = [
        "{0.name}|{0.version}|{0.architecture}|{0.want} {0.error} {0.state}|{0.source}|{0.source_version}".format(p)
        for p in found
    ]
    assert sorted(ours) == sorted(done.stdout.splitlines())

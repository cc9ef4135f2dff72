# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Purging packages: a dry run first, and nothing where apt would take others along."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._change import apt
from ansible_collections.rackops.crashready.plugins.module_utils._change.files import Stopped
from ansible_collections.rackops.crashready.plugins.module_utils._host.tree import TreeHost

DRY = "apt-get -q -s purge -- kdump-tools makedumpfile"
REAL = "apt-get -q -y -o DPkg::Lock::Timeout=7 purge -- kdump-tools makedumpfile"
# As apt 2.6.1 of Debian 12 prints them.
WELL = "Purg kdump-tools [1:1.8.1]\nPurg makedumpfile [1:1.7.2-1]\n"


def purge(dry: dict[str, t.Any], real: dict[str, t.Any] | None = None) -> None:
    """With no answer for the real run, reaching it is an error of another text."""
    commands = {DRY: dry, **({REAL: real} if real else {})}
    apt.purge(TreeHost({"commands": commands}), ["kdump-tools", "makedumpfile"], 7)


def test_goes_through() -> None:
    purge({"out": "Reading package lists...\n" + WELL}, {"out": "Removing kdump-tools ...\n"})


@pytest.mark.parametrize(
    "line", ["Purg linux-image-amd64 [6.1.1]", "Remv grub-pc [2.06]", "Inst busybox-static (1 Debian:12)"]
)
def test_nothing_is_done_where_others_would_be_touched(line: str) -> None:
    with pytest.raises(Stopped, match="touch others with them: {0}".format(line.split()[1])):
        purge({"out": WELL + line + "\n"})


def test_dry_run_that_fails() -> None:
    with pytest.raises(Stopped, match="dpkg --configure -a"):
        purge({"rc": 100, "err": "E: dpkg was interrupted, you must manually run 'dpkg --configure -a'\n"})


def test_run_that_fails_says_what_apt_said() -> None:
    with pytest.raises(Stopped, match=r"Could not get lock.*Next: wait for the process"):
        purge({"out": WELL}, {"rc": 100, "err": "E: Could not get lock /var/lib/dpkg/lock-frontend\n"})


def test_reason_of_dpkg_comes_before_the_line_of_apt() -> None:
    """apt's line says no more than that dpkg failed; this is a post-installation script on Debian 12."""
    err = (
        "dpkg: error processing package linux-image-6.12.95+deb12-amd64 (--configure):\n"
        " installed linux-image-6.12.95+deb12-amd64 package post-installation script subprocess returned error 1\n"
        "Errors were encountered while processing:\n"
        " linux-image-6.12.95+deb12-amd64\n"
        "E: Sub-process /usr/bin/dpkg returned an error code (1)\n"
    )
    with pytest.raises(Stopped, match=r"--configure\): installed .* returned error 1 / E: Sub-process"):
        purge({"out": WELL}, {"rc": 100, "err": err})

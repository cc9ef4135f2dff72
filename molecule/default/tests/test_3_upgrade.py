# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""kdump-tools goes from Debian 12's version to 13's, as in an upgrade of the release: no question, our values stay."""

from __future__ import annotations

import os
import pathlib
import re
import typing as t

import pytest
import testinfra

FOLDER = pathlib.Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
CONFIG = "/etc/default/kdump-tools"
READ = 'sh -c \'. %s; printf "%%s|%%s|%%s" "$USE_KDUMP" "$MAKEDUMP_ARGS" "$KDUMP_CMDLINE_APPEND"\'' % CONFIG


@pytest.fixture(scope="module")
def host() -> t.Any:
    return testinfra.get_host("ansible://crashready-bookworm", ansible_inventory=str(FOLDER / "rack.yml"))


def test_upgrade_asks_nothing_and_keeps_our_values(host: t.Any) -> None:
    before = host.check_output(READ), host.package("kdump-tools").version
    assert before[0].startswith("1|-F -c -d ")
    host.check_output("sh -c 'sed -i s/bookworm/trixie/g $(grep -rl bookworm /etc/apt)'")
    host.check_output("apt-get -q update")
    # No --force-conf*, and no terminal: dpkg's question would end this with an error, ucf's would show.
    done = host.run("DEBIAN_FRONTEND=noninteractive apt-get -q -y install kdump-tools </dev/null 2>&1")
    assert done.rc == 0, done.stdout
    assert not re.search(r"(?i)configuration file '.*'|what would you like to do", done.stdout), done.stdout
    assert host.package("kdump-tools").version != before[1], "it is the version of Debian 13"
    assert host.check_output(READ) == before[0]
    assert host.file("/etc/default/grub.d/kdump-tools.cfg").exists
    assert not host.file("/etc/default/grub.d/kdump-tools.cfg.dpkg-new").exists
    assert not host.file("/etc/default/grub.d/kdump-tools.cfg.dpkg-dist").exists


def test_boot_entries_still_have_ours_alone(host: t.Any) -> None:
    lines = re.findall(r"(?m)^\s*linux\s+.*$", host.file("/boot/grub/grub.cfg").content_string)
    assert lines
    assert all(re.findall(r"crashkernel=\S+", line) == ["crashkernel=256M"] for line in lines)


def test_role_finds_nothing_to_mend_but_what_the_new_tools_read(host: t.Any) -> None:
    """A newer makedumpfile may be trusted with another dump level; nothing else may differ."""
    result = host.ansible("rackops.crashready.kdump", "crashkernel=256M", check=True)
    assert {change["name"] for change in result["changes"]} <= {"file " + CONFIG}, result

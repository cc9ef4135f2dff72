# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Phase 2 stops at the host that does not come back, and the hosts after it are left alone and listed.

A container whose init is told to reboot ends, and nothing starts it again: to the
controller it is a host that does not come back. So that a reboot is needed at all
these two hide that they are containers (rack.sh disguise), and the kernel that they show, the
machine's, has no crashkernel= of theirs. Capture initrds for it cannot be built
here, so files stand in for them.
"""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import typing as t

import pytest
import testinfra

FOLDER = pathlib.Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
PROJECT = pathlib.Path(os.environ["MOLECULE_PROJECT_DIRECTORY"])
LOST, WAITING = "crashready-lost", "crashready-waiting"
#: No sysctl of the machine below is touched; a short wait for a host that is gone.
VARIABLES = '{"kdump_crashkernel": "256M", "kdump_sysctls": {}, "kdump_reboot_timeout_s": 15, "kdump_reboot_ok": true}'
STAND_IN = """
touch /run/still-here
DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends kdump-tools makedumpfile kexec-tools \
  initramfs-tools-core >/dev/null
for release in $(uname -r) 6.1.0-99-amd64; do
  echo initrd > /var/lib/kdump/initrd.img-$release
  cp /etc/kdump/sysctl.conf /var/lib/kdump/latest_sysctls-$release
done
"""


def of(name: str) -> t.Any:
    return testinfra.get_host("ansible://" + name, ansible_inventory=str(FOLDER / "rack.yml"))


@pytest.fixture(scope="module")
def rollout(harden: t.Callable[..., t.Any]) -> t.Any:
    """The whole run, with consent for both hosts."""
    if subprocess.run(["grep", "-q", "crashkernel=256M", "/proc/cmdline"], check=False).returncode == 0:
        pytest.skip("this machine's own kernel has crashkernel=256M: no reboot would be needed")
    for name in (LOST, WAITING):
        subprocess.run(["sh", str(PROJECT / "molecule/shared/rack.sh"), "disguise", name], check=True)
        of(name).check_output("sh -c '%s'" % STAND_IN)
    return harden("--limit", LOST + "," + WAITING, "-e", VARIABLES)


def test_run_fails_and_says_who_did_not_return(rollout: t.Any) -> None:
    assert rollout.rc != 0
    assert re.search(LOST + r" .*failed\n.*- Host has booted again: Timed out", rollout.out), rollout.out


def test_host_after_it_is_configured_and_was_not_rebooted(rollout: t.Any) -> None:
    host = of(WAITING)
    assert "crashkernel=256M" in host.file("/boot/grub/grub.cfg").content_string, "phase 1 was for both"
    assert host.file("/run/still-here").exists, "memory of this boot: it has not been rebooted"
    assert re.search(WAITING + r".*pending reboot", rollout.out), rollout.out


def test_what_is_left_comes_with_the_next_command(rollout: t.Any) -> None:
    found = re.search(r"(?m)^Next: (.*)$", rollout.out)
    assert found, rollout.out
    assert "harden-crash.yml" in found.group(1)
    assert "crashready_yes_reboot" in found.group(1)
    assert WAITING in found.group(1)
    assert LOST not in found.group(1).partition("crashready_yes_reboot")[2]


def test_started_again_it_goes_on_from_there(rollout: t.Any, harden: t.Callable[..., t.Any]) -> None:
    """The lost host is unreachable by now; the other one still waits, its configuration is not done twice."""
    done = harden("--limit", LOST + "," + WAITING, "-e", VARIABLES.replace("true", "false"))
    assert done.rc != 0
    assert re.search(LOST + r".*unreachable", done.out), done.out
    assert re.search(WAITING + r".*pending reboot", done.out), done.out
    assert re.search(WAITING + r"\s+: ok=\d+\s+changed=0", done.out), done.out

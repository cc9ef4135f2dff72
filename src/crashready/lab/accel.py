# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Which accelerator really runs a guest here.

/dev/kvm can open on a machine where no guest ever starts (nested virtualisation that is
shown but not given), so the only proof is a guest: the kernel of an image is booted without
a root file system and must come as far as its panic. The answer holds for one boot of the
controller and is kept in the cache.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import platform
import subprocess

from . import commands
from .errors import LabError
from .image import cache_root
from .progress import Progress

__all__ = ["QEMU", "Accelerator", "choose", "probe_kvm"]

QEMU = "qemu-system-x86_64"
PROBE_LIMIT_S = 20.0


@dataclasses.dataclass(frozen=True)
class Accelerator:
    """How guests run: name "kvm" or "tcg", and why."""

    name: str
    reason: str

    def options(self) -> list[str]:
        """QEMU's options for it."""
        if self.name == "kvm":
            return ["-accel", "kvm", "-cpu", "host"]
        # Not `max`: the C library then takes its widest vector routines, which are the slowest to
        # emulate (measured: 114 against 90 s of processor time for one boot of Debian 13).
        return ["-accel", "tcg,thread=multi", "-cpu", "qemu64,+rdrand,-svm"]


def choose(kernel: pathlib.Path, progress: Progress) -> Accelerator:
    """KVM where it works, else emulation; CRASHREADY_ACCEL=kvm or tcg overrides the probe."""
    wanted = os.environ.get("CRASHREADY_ACCEL")
    if wanted:
        if wanted not in ("kvm", "tcg"):
            raise LabError("CRASHREADY_ACCEL is {0!r}: kvm or tcg are known".format(wanted))
        return Accelerator(wanted, "CRASHREADY_ACCEL")
    if platform.machine() != "x86_64":
        return Accelerator("tcg", "guests are x86_64, this machine is {0}".format(platform.machine()))
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return Accelerator("tcg", "/dev/kvm cannot be opened by this user")
    boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    known = cache_root() / "accelerator.json"
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        kept = json.loads(known.read_text("utf-8"))
        if kept["boot_id"] == boot:
            return Accelerator(str(kept["name"]), str(kept["reason"]))
    with progress.step("probe KVM with a guest (at most {0:g} s)".format(PROBE_LIMIT_S)):
        reason = probe_kvm(kernel)
    found = Accelerator("tcg", reason) if reason else Accelerator("kvm", "a guest ran on it")
    with contextlib.suppress(OSError):
        known.write_text(json.dumps({"boot_id": boot, **dataclasses.asdict(found)}) + "\n", "utf-8")
    return found


def probe_kvm(kernel: pathlib.Path, limit_s: float = PROBE_LIMIT_S, qemu: str = QEMU) -> str:
    """Boot a kernel under KVM until it panics for want of a root; returns "" or why KVM is of no use."""
    argv = [qemu, "-nodefaults", "-no-user-config", "-machine", "q35", "-accel", "kvm", "-cpu", "host", "-m", "512"]
    argv += ["-display", "none", "-no-reboot", "-serial", "stdio", "-kernel", str(kernel)]
    # panic=-1 resets at once, and -no-reboot turns the reset into the end of QEMU.
    argv += ["-append", "console=ttyS0 panic=-1"]
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=limit_s, check=False)
    except subprocess.TimeoutExpired:
        return "a guest under KVM did not get through its boot in {0:g} s".format(limit_s)
    except OSError as exc:
        return "{0}: {1}".format(qemu, exc.strerror or exc)
    if b"Kernel panic" in done.stdout:
        return ""
    words = commands.clean_tail(done.stderr.decode("utf-8", "replace"), 1)
    return "a guest under KVM did not start: {0}".format(words or "QEMU ended with {0}".format(done.returncode))

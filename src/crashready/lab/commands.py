# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Running other programs: always with a time limit, always with their last words in the error."""

from __future__ import annotations

import os
import pathlib
import re
import shlex
import shutil
import subprocess
import typing as t

from .errors import ToolError

__all__ = ["clean_tail", "require_tools", "run"]

#: Program -> the Debian package that brings it.
PACKAGES = {
    "apt-config": "apt",
    "apt-get": "apt",
    "losetup": "mount",
    "mcopy": "mtools",
    "mkfs.ext4": "e2fsprogs",
    "mkfs.vfat": "dosfstools",
    "mmdebstrap": "mmdebstrap",
    "partx": "util-linux",
    "qemu-img": "qemu-utils",
    "sfdisk": "fdisk",
    "qemu-system-x86_64": "qemu-system-x86",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
}

#: Control sequences of a terminal (ECMA-48: CSI and OSC), as systemd and GRUB write them on a console.
_TERMINAL = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\))")

#: Administration programs are not on every user's PATH.
SEARCH_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])


def clean_tail(text: str, lines: int = 30) -> str:
    """The last lines of a program's output or a console, without control characters.

    Terminal sequences of a guest must not reach the user's terminal.
    """
    kept = _TERMINAL.sub("", text).replace("\r", "").split("\n")
    while kept and not kept[-1].strip():
        kept.pop()
    return "\n".join("".join(c for c in line if c == "\t" or c.isprintable())[:300] for line in kept[-lines:])


def require_tools(names: t.Iterable[str], purpose: str) -> None:
    """Raise ToolError naming every missing program and the one apt command that brings them."""
    missing = [name for name in names if shutil.which(name, path=SEARCH_PATH) is None]
    if missing:
        packages = sorted({PACKAGES.get(name, name) for name in missing})
        raise ToolError(
            "{0}: not installed here: {1}. Run: sudo apt install --no-install-recommends {2}".format(
                purpose, ", ".join(missing), " ".join(packages)
            )
        )


def run(
    argv: t.Sequence[str],
    *,
    timeout_s: float = 120,
    log: pathlib.Path | None = None,
    check: bool = True,
    env: t.Mapping[str, str] | None = None,
    stdin: str | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program without a shell; its output is returned and, with `log`, kept.

    Raises ToolError when it is missing, runs out of time or (with `check`) ends with a non-zero status.
    """
    merged = dict(os.environ, PATH=SEARCH_PATH, LC_ALL="C.UTF-8", **(env or {}))
    shown = shlex.join(argv)
    try:
        done = subprocess.run(
            list(argv),
            input=stdin,
            stdin=None if stdin is not None else subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout_s,
            env=merged,
            check=False,
        )
    except FileNotFoundError as exc:
        raise ToolError("not installed: {0} (package {1})".format(argv[0], PACKAGES.get(argv[0], argv[0]))) from exc
    except subprocess.TimeoutExpired as exc:
        raise ToolError("no end after {0:g} s: {1}".format(timeout_s, shown[:300])) from exc
    if log is not None:
        with log.open("a", encoding="utf-8") as stream:
            stream.write("$ {0}\n{1}{2}".format(shown, done.stdout, done.stderr))
    if check and done.returncode != 0:
        where = "" if log is None else "\nwhole output: {0}".format(log)
        raise ToolError(
            "ended with {0}: {1}\n{2}{3}".format(
                done.returncode, shown[:300], clean_tail(done.stdout + "\n" + done.stderr), where
            )
        )
    return done

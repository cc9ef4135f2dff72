# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""`crashready setup`: makes a checkout ready to work.

Makes `.venv`, installs what the lock file names and the checkout itself into it,
and links the checkout there as ansible_collections/rackops/crashready. Runs with
the standard library alone, started by the root's `./crashready` with the system's
Python. Everything is said on standard error: standard output belongs to results.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import typing as t

from .exits import WELL, ToolError
from .version import checkout_root

__all__ = [
    "PYTHONS",
    "SYSTEM_PACKAGES",
    "add_arguments",
    "digest",
    "ensure_packages",
    "is_ready",
    "link_typing_tree",
    "prepare",
    "run",
    "say",
]

#: First and last Python (major, minor) of the controller; the lock files are made for these.
PYTHONS = ((3, 11), (3, 13))

#: Debian packages by purpose. The first name says what needs them when they are installed.
SYSTEM_PACKAGES: dict[str, tuple[str, ...]] = {
    "virtual environment": ("python3-venv",),
    "checks of the sources": ("git", "shellcheck"),
    "report page": ("chromium", "chromium-driver", "fonts-dejavu-core"),
    "test containers": (
        "aardvark-dns",
        "ca-certificates",
        "conmon",
        "debian-archive-keyring",
        "iptables",
        "mmdebstrap",
        "netavark",
        "openssh-client",
        "podman",
        "runc",
    ),
    "virtual machines": (
        "debian-archive-keyring",
        "dosfstools",
        "e2fsprogs",
        "fdisk",
        "grub-pc-bin",
        "grub2-common",
        "mmdebstrap",
        "mtools",
        "openssh-client",
        "ovmf",
        "qemu-system-x86",
        "qemu-utils",
    ),
}

_STAMP = ".crashready-setup"
#: Files after whose change the virtual environment is made up to date again. `./crashready` has the same list.
_INPUTS = ("requirements.lock", "pyproject.toml", "galaxy.yml")
_DEV_INPUTS = ("requirements-dev.lock",)


def say(text: str) -> None:
    """One line for the person who waits."""
    print("crashready setup: {0}".format(text), file=sys.stderr, flush=True)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`--dev`: the tools of the tests too."""
    parser.add_argument("--dev", action="store_true", help="also what the tests and the linters need")


def run(arguments: argparse.Namespace) -> int:
    """Make the checkout ready and say how to go on. Raises ToolError with what to do when that fails."""
    root = _root()
    prepare(root, dev=arguments.dev)
    say("ready. In a shell: . {0}/.venv/bin/activate".format(root))
    return WELL


def _root() -> str:
    root = checkout_root()
    if root is None:
        raise ToolError("setup is for a checkout; this crashready is an installed package and needs none")
    return root


# The virtual environment


def digest(root: str, dev: bool = False) -> str:
    """What the stamp of a finished set-up must say: a hash of the place and of the files that decide its contents."""
    hashed = hashlib.sha256((root + "\n").encode())
    for name in _INPUTS + (_DEV_INPUTS if dev else ()):
        with open(os.path.join(root, name), "rb") as stream:
            hashed.update(stream.read())
    return hashed.hexdigest()


def _stamp_path(root: str, dev: bool) -> str:
    return os.path.join(root, ".venv", _STAMP + ("-dev" if dev else ""))


def is_ready(root: str, dev: bool = False) -> bool:
    """Whether the set-up was finished for the files as they are now."""
    try:
        with open(_stamp_path(root, dev), encoding="ascii") as stream:
            return stream.read().strip() == digest(root, dev)
    except (OSError, ValueError):
        return False


def prepare(root: str, dev: bool = False) -> None:
    """Bring `.venv` to what the lock files say; does nothing but refresh links when it is there already."""
    # Tools that were installed once are kept up to date: an old ruff beside a new lock would be a riddle.
    dev = dev or os.path.exists(_stamp_path(root, True))
    if not (is_ready(root) and (is_ready(root, True) or not dev)):
        _install(root, dev)
    _link_collection(root)
    link_typing_tree(root)


def _install(root: str, dev: bool) -> None:
    for stale in (_stamp_path(root, False), _stamp_path(root, True)):
        if os.path.exists(stale):
            os.unlink(stale)
    _make_venv(root)
    lock = "requirements-dev.lock" if dev else "requirements.lock"
    say("installing {0} ({1})".format(lock, "about a minute" if dev else "about 20 seconds"))
    _pip(root, "install", "--require-hashes", "--requirement", os.path.join(root, lock))
    _pip(root, "install", "--no-deps", "--no-build-isolation", "--editable", root)
    for with_dev in (False, True) if dev else (False,):
        with open(_stamp_path(root, with_dev), "w", encoding="ascii") as stream:
            stream.write(digest(root, with_dev) + "\n")


def _make_venv(root: str) -> None:
    python = os.path.join(root, ".venv", "bin", "python")
    if _venv_works(root, python):
        return
    here = sys.version_info[:2]
    if not PYTHONS[0] <= here <= PYTHONS[1]:
        raise ToolError(
            "the controller needs Python {0} to {1}, this is {2} ({3})".format(
                _dotted(PYTHONS[0]), _dotted(PYTHONS[1]), _dotted(here), sys.executable
            )
        )
    if not _has_ensurepip():
        ensure_packages("virtual environment")
    say("making .venv with Python {0} ({1})".format(_dotted(here), sys.executable))
    _checked([sys.executable, "-m", "venv", "--clear", os.path.join(root, ".venv")], "making the virtual environment")


def _venv_works(root: str, python: str) -> bool:
    """Whether a venv is there, was made for this place (its scripts name it) and its Python and pip still run."""
    pip = os.path.join(root, ".venv", "bin", "pip")
    try:
        with open(pip, encoding="utf-8") as stream:
            mine = os.path.join(root, ".venv") in stream.readline()
        done = subprocess.run(
            [python, "-c", "import pip, sys; print(sys.version_info[0], sys.version_info[1])"],
            capture_output=True,
            text=True,
            check=False,
        )
        version = tuple(int(number) for number in done.stdout.split())
    except (OSError, ValueError):
        return False
    return mine and done.returncode == 0 and PYTHONS[0] <= version <= PYTHONS[1]


def _has_ensurepip() -> bool:
    # Debian splits ensurepip off into python3-venv; a venv made without it has no pip.
    probe = [sys.executable, "-c", "import ensurepip, venv"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def _dotted(numbers: t.Sequence[int]) -> str:
    return ".".join(str(number) for number in numbers)


def _pip(root: str, *words: str) -> None:
    # --isolated would also drop the user's own index and proxy settings, which must hold. Quiet: what goes wrong
    # is still said. PIP_REQUIRE_VIRTUALENV and the like do no harm inside a venv; PIP_USER would.
    python = os.path.join(root, ".venv", "bin", "python")
    env = {name: value for name, value in os.environ.items() if name not in ("PIP_USER", "PIP_TARGET", "PYTHONPATH")}
    env["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    _checked([python, "-m", "pip", "--quiet", "--quiet", *words], "pip " + " ".join(words[:1]), env=env)


def _checked(argv: list[str], what: str, env: dict[str, str] | None = None) -> None:
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=2, check=False, env=env)
    if done.returncode:
        raise ToolError("{0} failed (exit code {1}): {2}".format(what, done.returncode, " ".join(argv)))


# Links inside .venv, none of which is ever committed


def _link_collection(root: str) -> None:
    namespace = os.path.join(root, ".venv", "collections", "ansible_collections", "rackops")
    os.makedirs(namespace, exist_ok=True)
    _link(os.path.join("..", "..", "..", ".."), os.path.join(namespace, "crashready"))


def link_typing_tree(root: str) -> str:
    """Show mypy one package `crashready` with `_core`, `_host`, `_change` inside, as it is at run time.

    `src/crashready/__init__.py` extends `__path__`, which no type checker follows. Returns the tree's path.
    """
    tree = os.path.join(root, ".venv", "typing")
    package = os.path.join(tree, "crashready")
    shutil.rmtree(package, ignore_errors=True)
    os.makedirs(package)
    for part in (os.path.join("src", "crashready"), os.path.join("plugins", "module_utils")):
        for name in sorted(os.listdir(os.path.join(root, part))):
            if not name.startswith("__pycache__"):
                _link(os.path.join("..", "..", "..", part, name), os.path.join(package, name))
    return tree


def _link(target: str, place: str) -> None:
    try:
        os.symlink(target, place)
    except FileExistsError:
        if os.path.islink(place) and os.readlink(place) == target:
            return
        if not os.path.islink(place):
            raise ToolError("{0} is in the way of a link to {1}; remove it".format(place, target)) from None
        os.unlink(place)
        os.symlink(target, place)


# Packages of the system


def _missing(packages: t.Iterable[str]) -> list[str]:
    wanted = list(packages)
    asked = ["dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Status}\\n", *wanted]
    out = subprocess.run(asked, capture_output=True, text=True, check=False).stdout
    there = {line.split()[0] for line in out.splitlines() if line.endswith(" installed")}
    return [name for name in wanted if name not in there]


def ensure_packages(purpose: str) -> None:
    """Install the Debian packages of a purpose (a key of SYSTEM_PACKAGES) that are missing, and say so.

    As root, or with sudo. Raises ToolError with the command to run where neither is there or it fails.
    """
    if shutil.which("apt-get") is None:
        say("no apt-get here: these must be there for {0}: {1}".format(purpose, " ".join(SYSTEM_PACKAGES[purpose])))
        return
    missing = _missing(SYSTEM_PACKAGES[purpose])
    if not missing:
        return
    install = ["apt-get", "install", "--yes", "--no-install-recommends", *missing]
    if os.geteuid() == 0:
        prefix = []
    elif shutil.which("sudo"):
        prefix = ["sudo"] if sys.stdin.isatty() else ["sudo", "--non-interactive"]
    else:
        raise ToolError("{0} needs packages. As root run: {1}".format(purpose, " ".join(install)))
    say("installing for {0}: {1}".format(purpose, " ".join(missing)))
    quiet = ["env", "DEBIAN_FRONTEND=noninteractive"]
    _checked([*prefix, *quiet, "apt-get", "update", "--quiet=2"], "apt-get update")
    _checked(
        [*prefix, *quiet, install[0], "--quiet=2", "--option=Dpkg::Use-Pty=0", *install[1:]],
        "installing packages for {0}".format(purpose),
    )

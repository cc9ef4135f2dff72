# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Builds the module of this folder for kernels of Debian's archive, on the controller, outside every guest.

    python tests/story/build.py trixie 6.12.117+deb13-amd64 7.3.4+deb13-amd64

prints the path of one .ko a kernel, in the order asked for. A throw-away root of that release (mmdebstrap) gets each
kernel's own headers, build programs and compiler; of the headers only the files, since the package of Debian 13
depends on the whole kernel. It takes root, and half a minute when nothing is in the cache; results are kept there
under a key over the sources and this file.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import pathlib
import re
import shutil
import sys
import typing as t

from crashready.lab import apt, commands, disk
from crashready.lab.errors import LabError
from crashready.lab.image import cache_root
from crashready.lab.progress import Progress
from crashready.lab.recipe import SUITES

__all__ = ["NAME", "SOURCES", "headers_script", "key", "modules"]

NAME = "ringfault"
SOURCES = pathlib.Path(__file__).resolve().parent / "module"
ROOT_LIMIT_S = 1800
BUILD_LIMIT_S = 600
#: What `uname -r` says of a kernel of Debian; it becomes part of package names and paths.
_RELEASE = re.compile(r"^[0-9][0-9A-Za-z.+~]*(-[0-9A-Za-z.+~]+)*-amd64\Z")

#: Inside the root: what the headers of each kernel depend on is installed, but not a kernel; the headers are unpacked.
#: Not with dpkg-deb --extract, which makes a folder of the link /lib. Without the vmlinux among them (type information
#: alone) no BTF is made for the module, which needs none.
_HEADERS = """set -eu
cd /root
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
apt-get -o APT::Sandbox::User=root download {packages}
for package in linux-headers-*.deb; do dpkg-deb --field "$package" Depends; done | tr ',|' '\\n\\n' |
    sed -e 's/[(].*//' -e 's/ //g' |
    grep -E '^(linux-headers-.*-common|linux-kbuild-.*|linux-compiler-.*|gcc-[0-9]+(-for-host)?)$' | sort -u >needed
apt-get install --yes --no-install-recommends binutils make $(cat needed)
for package in linux-headers-*.deb; do dpkg-deb --fsys-tarfile "$package" | tar -x -C / ./usr/src; done
rm -f linux-headers-*.deb /usr/src/linux-headers-*-amd64/vmlinux
"""

#: objtool of Linux 7 reads /proc/self/limits; the mount goes with the process, however it ends.
_BUILD = """set -eu
mount -t proc proc "$1/proc"
chroot "$1" make -s -C "/usr/src/linux-headers-$2" M=/module modules
exec chroot "$1" strip --strip-debug "/module/$3.ko"
"""


def key() -> str:
    """Twelve hexadecimal digits over the sources of the module and this file."""
    digest = hashlib.sha256()
    for path in [*sorted(SOURCES.iterdir()), pathlib.Path(__file__).resolve()]:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def headers_script(releases: t.Sequence[str]) -> str:
    """The script that fetches and unpacks the headers of kernels."""
    return _HEADERS.format(packages=" ".join("linux-headers-" + release for release in releases))


def modules(suite: str, releases: t.Sequence[str], progress: Progress) -> dict[str, pathlib.Path]:
    """Kernel release -> path of the module built for it. Raises LabError.

    All that are missing are built in one root; a second process waits for the first.
    """
    if suite not in SUITES:
        raise LabError("no release {0!r}: one of {1}".format(suite, ", ".join(SUITES)))
    for release in releases:
        if not _RELEASE.match(release):
            raise LabError("not the release of a kernel of Debian: {0!r}, such as 6.12.117+deb13-amd64".format(release))
    folder = cache_root() / "story"
    folder.mkdir(parents=True, exist_ok=True)
    kept = {release: folder / "{0}-{1}-{2}.ko".format(NAME, release, key()) for release in releases}
    with (folder / ".lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        missing = [release for release, path in kept.items() if not path.is_file()]
        if missing:
            with progress.step("module for {0} of {1}".format(", ".join(missing), suite)):
                _build(suite, {release: kept[release] for release in missing}, folder)
    return kept


def _preflight() -> None:
    purpose = "building a kernel module"
    if os.geteuid() != 0:
        raise LabError("{0} needs root (a root file system with its device nodes, chroot)".format(purpose))
    commands.require_tools(["mmdebstrap", "apt-config", "apt-get", "unshare", "chroot", "mount"], purpose)


def _build(suite: str, wanted: t.Mapping[str, pathlib.Path], folder: pathlib.Path) -> None:
    """Build in a work folder, which goes in any case; build.log beside it is the latest build's."""
    _preflight()
    for left in folder.glob(".build-*"):
        _remove(left)
    work = folder / ".build-{0}".format(os.getpid())
    work.mkdir(mode=0o755)
    log = folder / "build.log"
    log.write_text("", "utf-8")
    try:
        root = _root(suite, work, log)
        _inside(root, headers_script(list(wanted)), log)
        for release, target in wanted.items():
            built = _compile(root, release, log)
            shutil.copyfile(built, work / "ko")
            os.replace(work / "ko", target)
    finally:
        _remove(work)


def _remove(work: pathlib.Path) -> None:
    """Remove a work folder, never through a mount that a killed mmdebstrap left."""
    for point in disk.unmount_below(work, pathlib.Path("/proc/self/mountinfo").read_text("utf-8")):
        commands.run(["umount", point])
    shutil.rmtree(work)


def _root(suite: str, work: pathlib.Path, log: pathlib.Path) -> pathlib.Path:
    """A minimal system of the release, with apt."""
    root = work / "root"
    argv = ["mmdebstrap", "--mode=root", "--variant=apt", "--skip=cleanup/apt/lists", "--dpkgopt=force-unsafe-io"]
    argv += ['--aptopt={0} "{1}";'.format(name, value) for name, value in apt.read_settings()]
    argv += ["--dpkgopt=path-exclude=/usr/share/{0}/*".format(name) for name in ("doc", "locale", "man")]
    commands.run([*argv, suite, str(root), *apt.read_mirrors().sources(suite)], log=log, timeout_s=ROOT_LIMIT_S)
    names = root / "etc/resolv.conf"
    names.unlink(missing_ok=True)
    shutil.copyfile("/etc/resolv.conf", names)
    return root


def _inside(root: pathlib.Path, script: str, log: pathlib.Path) -> None:
    commands.run(["chroot", str(root), "sh", "-s"], stdin=script, log=log, timeout_s=ROOT_LIMIT_S)


def _compile(root: pathlib.Path, release: str, log: pathlib.Path) -> pathlib.Path:
    """Compile for one kernel; returns the module, which is checked to be for that kernel."""
    place = root / "module"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(SOURCES, place)
    argv = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _BUILD, "sh", str(root), release, NAME]
    commands.run(argv, log=log, timeout_s=BUILD_LIMIT_S)
    built = place / (NAME + ".ko")
    if b"\0vermagic=" + release.encode() + b" " not in built.read_bytes():
        raise LabError("{0} was not built for {1}; see {2}".format(built.name, release, log))
    return built


def main(arguments: t.Sequence[str] | None = None) -> int:
    """The command line; 0, or 4 with the reason on standard error."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("suite", choices=SUITES)
    parser.add_argument("releases", nargs="+", metavar="RELEASE", help="as `uname -r` says it")
    options = parser.parse_args(arguments)
    try:
        built = modules(options.suite, options.releases, Progress())
    except LabError as exc:
        print("build.py: {0}".format(exc), file=sys.stderr)
        return 4
    for release in options.releases:
        print(built[release])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

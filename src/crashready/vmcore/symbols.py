# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Finds the debug symbols of a kernel by its build id: on this machine, in the cache, or from Debian.

In this order: a folder that was named; /usr/lib/debug; the cache ($XDG_CACHE_HOME/crashready/symbols/<build id>/);
debuginfod ($DEBUGINFOD_URLS, else Debian's); the package linux-image-*-dbg, from which vmlinux and the
modules asked for are taken as it streams by. Whatever the way, a file counts only when its own build id
is the dump's and it has debug information.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import typing as t
import urllib.parse

from .._core.errors import ParseError
from .._core.text import human_bytes
from . import deb
from .download import Download, DownloadError, Progress, download_to, quiet
from .elf import read_elf

__all__ = ["Kernel", "NoSymbols", "Source", "Symbols", "add_modules", "cache_folder", "find_symbols", "package_urls"]

_SYSTEM = "/usr/lib/debug"
_DEBUGINFOD = "https://debuginfod.debian.net"
#: A build id of GNU ld is 20 bytes; debuginfod's paths carry it in lower-case hex.
_BUILD_ID = re.compile(r"[0-9a-f]{16,128}")
_PACKAGE_LIMIT = 4 * 1024**3
#: A vmlinux is about 0.7 GB; two modules and some room come on top.
_ROOM = 3 * 1024**3
_MODULES_LIMIT = 16
_RELEASE = re.compile(r"[0-9][A-Za-z0-9.+~_-]{1,80}")
_VERSION = re.compile(r"[0-9][A-Za-z0-9.+~-]{1,80}")
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_URIS = re.compile(r"^'(https?://[^'\s]+)' (\S+) (\d+)(?: SHA256:([0-9a-f]{64}))?", re.MULTILINE)


class NoSymbols(Exception):
    """There are none to be had; the text says where was looked and what each place said."""


class Kernel(t.NamedTuple):
    """Which kernel the symbols are for. Only `build_id` is needed; the rest finds Debian's package."""

    build_id: str
    release: str | None = None
    package_version: str | None = None
    machine: str | None = None  #: as `uname -m` says it


@dataclasses.dataclass
class Symbols:
    """Files with debug information. `absent`: modules that were looked for and are not where vmlinux came from."""

    vmlinux: str
    modules: dict[str, str]
    origin: str
    absent: list[str] = dataclasses.field(default_factory=list)


class Source(t.NamedTuple):
    """Where a package may be."""

    url: str
    sha256: str | None = None  #: from apt's signed index


def cache_folder() -> str:
    """`$XDG_CACHE_HOME/crashready/symbols`, by default below ~/.cache."""
    cache = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(cache):
        cache = os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(cache, "crashready", "symbols")


def find_symbols(
    kernel: Kernel, modules: t.Collection[str], place: str = "auto", progress: Progress = quiet
) -> Symbols:
    """Find or fetch vmlinux and, as far as they exist, the modules.

    `place`: "auto", or a folder or linux-image-*-dbg package to look in and nowhere else.
    Raises NoSymbols.
    """
    if not _BUILD_ID.fullmatch(kernel.build_id):
        raise NoSymbols("the dump names no build id (VMCOREINFO has one since Linux 5.9)")
    wanted = sorted({deb.module_name(name) for name in modules})
    said: list[str] = []
    if place != "auto":
        return _from_place(kernel, wanted, place, progress)
    found = _in_folder(kernel, wanted, _SYSTEM) or _in_cache(kernel, wanted)
    if found is not None:
        return found
    try:
        return _fetch(kernel, wanted, progress, said)
    except OSError as exc:
        raise NoSymbols("the cache {0}: {1}".format(cache_folder(), exc)) from exc


def _from_place(kernel: Kernel, wanted: list[str], place: str, progress: Progress) -> Symbols:
    if os.path.isfile(place):
        try:
            with open(place, "rb") as stream, _cache(kernel) as folder:
                _take(stream, kernel, wanted, folder)
        except (ParseError, OSError) as exc:
            raise NoSymbols("{0}: {1}".format(place, exc)) from exc
        found = _in_cache(kernel, wanted)
        if found is not None:
            return dataclasses.replace(found, origin=place)
    found = _in_folder(kernel, wanted, place)
    if found is None:
        raise NoSymbols("{0}: no vmlinux with debug information and build id {1}".format(place, kernel.build_id))
    del progress
    return found


# --- on this machine -------------------------------------------------------------------------------------------------


def _fits(path: str, build_id: str | None) -> bool:
    try:
        found = read_elf(path)
    except (OSError, ParseError):
        return False
    return found.has_dwarf and (build_id is None or found.build_id == build_id)


def _in_folder(kernel: Kernel, wanted: list[str], root: str) -> Symbols | None:
    """Look where Debian's packages, debuginfod's layout and a hand would put them below `root`."""
    build_id = kernel.build_id
    names = [".build-id/{0}/{1}.debug".format(build_id[:2], build_id[2:]), "vmlinux"]
    if kernel.release and _RELEASE.fullmatch(kernel.release):
        tails = ["boot/vmlinux-{0}", "vmlinux-{0}", "lib/modules/{0}/vmlinux", "usr/lib/modules/{0}/vmlinux"]
        names += [tail.format(kernel.release) for tail in tails]
        names += ["usr/lib/debug/" + tail.format(kernel.release) for tail in tails]
    vmlinux = next((path for path in (os.path.join(root, name) for name in names) if _fits(path, build_id)), None)
    if vmlinux is None:
        return None
    modules = _modules_below(root, kernel.release, wanted)
    return Symbols(vmlinux, modules, root, [name for name in wanted if name not in modules])


def _modules_below(root: str, release: str | None, wanted: list[str]) -> dict[str, str]:
    """Module files by name. Their build ids are compared later: only the dump knows them."""
    found: dict[str, str] = {}
    places = [root]
    if release and _RELEASE.fullmatch(release):
        below = ("lib/modules/", "usr/lib/modules/", "usr/lib/debug/lib/modules/", "usr/lib/debug/usr/lib/modules/")
        inside = [os.path.join(root, place + release) for place in below]
        places = [place for place in inside if os.path.isdir(place)] or [root]
    for place in places if wanted else []:
        for seen, (folder, _folders, files) in enumerate(os.walk(place)):
            for file in files:
                name = deb.module_name(re.sub(r"\.ko(\.debug)?$", "", file))
                if name in wanted and file != name and name not in found and _fits(os.path.join(folder, file), None):
                    found[name] = os.path.join(folder, file)
            if seen > 20_000 or len(found) == len(wanted):
                break
    return found


def _in_cache(kernel: Kernel, wanted: list[str], partly: bool = False) -> Symbols | None:
    """What was fetched before; `partly`: without modules that nobody has looked for yet."""
    folder = os.path.join(cache_folder(), kernel.build_id)
    vmlinux = os.path.join(folder, "vmlinux")
    if not _fits(vmlinux, kernel.build_id):
        return None
    there = {name: os.path.join(folder, name + ".ko") for name in wanted}
    modules = {name: path for name, path in there.items() if _fits(path, None)}
    if not partly and not set(wanted) <= set(modules) | _absent(folder):
        return None
    return Symbols(vmlinux, modules, "cache " + folder, sorted(set(wanted) - set(modules)))


def _absent(folder: str) -> set[str]:
    """Modules that the source of this folder does not have: not asked for again."""
    try:
        with open(os.path.join(folder, "absent.json"), encoding="ascii") as stream:
            return {name for name in json.loads(stream.read(64 * 1024)) if isinstance(name, str)}
    except (OSError, ValueError, TypeError):
        return set()


# --- from elsewhere --------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _cache(kernel: Kernel) -> t.Iterator[str]:
    """The cache folder of a build id, locked, so that two runs do not fetch the same."""
    base = cache_folder()
    os.makedirs(base, mode=0o700, exist_ok=True)
    folder = os.path.join(base, kernel.build_id)
    with open(folder + ".lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        os.makedirs(folder, mode=0o700, exist_ok=True)
        free = shutil.disk_usage(folder).free
        if free < _ROOM:
            told = "{0} free, {1} needed".format(human_bytes(free), human_bytes(_ROOM))
            raise OSError("no room for debug symbols: {0}".format(told))
        yield folder


def _fetch(kernel: Kernel, wanted: list[str], progress: Progress, said: list[str]) -> Symbols:
    with _cache(kernel) as folder:
        found = _in_cache(kernel, wanted)  # another run may have fetched it while this one waited
        partly = _in_cache(kernel, wanted, partly=True)
        if found is None and partly is None and not wanted:
            found = _from_debuginfod(kernel, wanted, folder, progress, said)
        if found is None:
            found = _from_package(kernel, wanted, folder, progress, said) or partly
        if found is None and wanted:
            # Last, since it knows files by build id, and those of the modules are not known yet (`add_modules`).
            found = _from_debuginfod(kernel, wanted, folder, progress, said)
    if found is None:
        raise NoSymbols("; ".join(said) or "nowhere to fetch them from")
    return found


def add_modules(kernel: Kernel, symbols: Symbols, build_ids: t.Mapping[str, str], progress: Progress = quiet) -> bool:
    """Ask debuginfod for modules whose build ids the dump told. True where one came."""
    came = False
    try:
        with _cache(kernel) as folder:
            for name, build_id in sorted(build_ids.items())[:_MODULES_LIMIT]:
                path = os.path.join(folder, name + ".ko")
                if name in symbols.absent and _BUILD_ID.fullmatch(build_id) and re.fullmatch(r"\w{1,56}", name):
                    came = _module_from_debuginfod(path, build_id, progress) or came
                    if _fits(path, build_id):
                        symbols.modules[name] = path
    except OSError:
        return came
    return came


def _module_from_debuginfod(path: str, build_id: str, progress: Progress) -> bool:
    for base in _debuginfod_urls():
        try:
            download_to("{0}/buildid/{1}/debuginfo".format(base, build_id), path + ".new", deb.FILE_LIMIT, progress)
        except DownloadError:
            continue
        if _fits(path + ".new", build_id):
            os.replace(path + ".new", path)
            return True
        os.unlink(path + ".new")
    return False


def _debuginfod_urls() -> list[str]:
    return [base.rstrip("/") for base in (os.environ.get("DEBUGINFOD_URLS") or _DEBUGINFOD).split()]


def _from_debuginfod(
    kernel: Kernel, wanted: list[str], folder: str, progress: Progress, said: list[str]
) -> Symbols | None:
    path = os.path.join(folder, "vmlinux")
    for base in _debuginfod_urls():
        url = "{0}/buildid/{1}/debuginfo".format(base, kernel.build_id)
        try:
            download_to(url, path + ".new", deb.FILE_LIMIT, progress)
        except DownloadError as exc:
            said.append("debuginfod: {0}".format(exc))
            continue
        if _fits(path + ".new", kernel.build_id):
            os.replace(path + ".new", path)
            found = _in_cache(kernel, wanted, partly=True)
            return None if found is None else dataclasses.replace(found, origin="debuginfod {0}".format(base))
        os.unlink(path + ".new")
        said.append("{0}: what it gave is not that kernel's".format(url))
    return None


def _from_package(
    kernel: Kernel, wanted: list[str], folder: str, progress: Progress, said: list[str]
) -> Symbols | None:
    sources = package_urls(kernel)
    if not sources:
        said.append("the log names no Debian package version, so there is no linux-image-*-dbg to look for")
    for source in sources:
        try:
            with Download(source.url, _PACKAGE_LIMIT, progress=progress) as stream:
                _take(_Hashed(stream, source.sha256), kernel, wanted, folder)
        except (DownloadError, ParseError) as exc:
            said.append(str(exc) if isinstance(exc, DownloadError) else "{0}: {1}".format(source.url, exc))
            continue
        found = _in_cache(kernel, wanted)
        if found is not None:
            return dataclasses.replace(found, origin=source.url)
    return None


class _Hashed:
    """Hashes what streams by, and reads the rest where a digest is there to compare."""

    def __init__(self, stream: deb.Readable, sha256: str | None) -> None:
        self._stream = stream
        self._wanted = sha256
        self._hash = hashlib.sha256()

    def read(self, size: int = 1024 * 1024) -> bytes:
        data = self._stream.read(size)
        self._hash.update(data)
        return data

    def finish(self) -> None:
        """Raises ParseError where the package is not the one that apt's index names."""
        if self._wanted is None:
            return
        while self.read():
            pass
        if self._hash.hexdigest() != self._wanted:
            raise ParseError("its SHA-256 is not the one in apt's index")


def _take(stream: deb.Readable, kernel: Kernel, wanted: list[str], folder: str) -> None:
    """Take the files out into the cache; each appears there only when it is whole and of the right kernel."""
    with tempfile.TemporaryDirectory(prefix=".taking-", dir=folder) as private:
        taken = deb.take_symbols(stream, wanted, private)
        if isinstance(stream, _Hashed):
            stream.finish()
        vmlinux = taken.pop("vmlinux", None)
        if vmlinux is None:
            raise ParseError("no vmlinux in the package")
        found = read_elf(vmlinux)
        if found.build_id != kernel.build_id:
            raise ParseError("its vmlinux has build id {0}, the dump {1}".format(found.build_id, kernel.build_id))
        for path in taken.values():
            os.replace(path, os.path.join(folder, os.path.basename(path)))
        absent = sorted((_absent(folder) | set(wanted)) - set(taken))
        with open(os.path.join(private, "absent.json"), "w", encoding="ascii") as file:
            json.dump(absent, file)
        os.replace(os.path.join(private, "absent.json"), os.path.join(folder, "absent.json"))
        os.replace(vmlinux, os.path.join(folder, "vmlinux"))


def package_urls(kernel: Kernel) -> list[Source]:
    """Where linux-image-<release>-dbg of exactly this version may be, best first.

    apt's own answer comes first, since its index is signed; then the pools of the archive. With
    DEBIAN_MIRROR (and DEBIAN_SECURITY_MIRROR) these are asked alone.
    """
    architecture = _ARCHITECTURES.get(kernel.machine or "")
    release, version = kernel.release or "", kernel.package_version or ""
    if architecture is None or not _RELEASE.fullmatch(release) or not _VERSION.fullmatch(version):
        return []
    package = "linux-image-{0}-dbg".format(release)
    file = urllib.parse.quote("{0}_{1}_{2}.deb".format(package, version, architecture), safe="~+")
    line = ".".join(version.split(".")[:2])
    urls = []
    main = os.environ.get("DEBIAN_MIRROR", "https://deb.debian.org/debian").rstrip("/")
    security = os.environ.get("DEBIAN_SECURITY_MIRROR", main + "-security").rstrip("/")
    for source in ("linux", "linux-" + line):
        urls.append("{0}/pool/updates/main/l/{1}/{2}".format(security, source, file))
        urls.append("{0}/pool/main/l/{1}/{2}".format(main, source, file))
    known = [] if "DEBIAN_MIRROR" in os.environ else _ask_apt(package, version)
    return [*known, *(Source(url) for url in urls if url not in {source.url for source in known})]


def _ask_apt(package: str, version: str) -> list[Source]:
    argv = ["apt-get", "download", "--print-uris", "{0}={1}".format(package, version)]
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60, errors="replace"
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [Source(match.group(1), match.group(4)) for match in _URIS.finditer(done.stdout)]

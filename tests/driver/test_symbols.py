# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Debug symbols by build id: the package as a stream, downloads that break, the cache. All on the loopback address."""

from __future__ import annotations

import http.server
import io
import lzma
import os
import pathlib
import re
import struct
import tarfile
import threading
import typing as t

import pytest

from crashready._core.errors import ParseError
from crashready.vmcore import deb, download, symbols
from crashready.vmcore.download import Download, DownloadError, download_to
from crashready.vmcore.elf import ElfFile, read_elf
from crashready.vmcore.symbols import Kernel, NoSymbols, find_symbols

BUILD_ID = "eb4fbcd037e7253717950bf2b93bd5566f47c56f"
MODULE_ID = "7188f7714bf2eec73f14825793f3eeed253e9adc"
RELEASE, VERSION = "6.1.0-56-amd64", "6.1.192-2"
KERNEL = Kernel(BUILD_ID, RELEASE, VERSION, "x86_64")
#: As linux-image-6.1.0-56-amd64-dbg 6.1.192-2 has them; trixie's packages have usr/lib/modules instead.
VMLINUX = "./usr/lib/debug/boot/vmlinux-" + RELEASE
E1000E = "./usr/lib/debug/lib/modules/{0}/kernel/drivers/net/ethernet/intel/e1000e/e1000e.ko".format(RELEASE)


def elf(build_id: str = BUILD_ID, dwarf: bool = True, padding: int = 4000) -> bytes:
    """An ELF file with a build id note and, perhaps, debug information."""
    note = struct.pack("<III", 4, len(build_id) // 2, 3) + b"GNU\0" + bytes.fromhex(build_id)
    names = b"\0.note.gnu.build-id\0.debug_info\0.shstrtab\0"
    debug = os.urandom(padding)
    at = {"note": 64, "debug": 64 + len(note), "names": 64 + len(note) + len(debug)}
    table = at["names"] + len(names)
    rows = [(0, 0, 0, 0), (1, 7, at["note"], len(note))]
    rows.append((20 if dwarf else 0, 1, at["debug"], len(debug)))
    rows.append((32, 3, at["names"], len(names)))
    sections = b"".join(struct.pack("<IIQQQQIIQQ", n, k, 0, 0, o, s, 0, 0, 1, 0) for n, k, o, s in rows)
    head = b"\x7fELF\2\1\1" + bytes(9)
    head += struct.pack("<HHIQQQIHHHHHH", 1, 62, 1, 0, 0, table, 0, 64, 0, 0, 64, len(rows), 3)
    return head + note + debug + names + sections


def package(files: t.Mapping[str, bytes], packing: str = "xz") -> bytes:
    """A Debian package with these files."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        link = tarfile.TarInfo("./usr/lib/debug/vmlinux-" + RELEASE)
        link.type, link.linkname = tarfile.SYMTYPE, "boot/vmlinux-" + RELEASE
        archive.addfile(link)
    data = lzma.compress(out.getvalue()) if packing == "xz" else out.getvalue()
    name = {"xz": "data.tar.xz", "none": "data.tar", "zst": "data.tar.zst"}[packing]
    return b"!<arch>\n" + b"".join(
        "{0:<16}{1:<12}{2:<6}{2:<6}{3:<8}{4:<10}`\n".format(member, 0, 0, 100644, len(content)).encode()
        + content
        + b"\n" * (len(content) % 2)
        for member, content in (("debian-binary", b"2.0\n"), ("control.tar.xz", b"odd"), (name, data))
    )


WHOLE = {VMLINUX: elf(), E1000E: elf(MODULE_ID), "./usr/lib/debug/other": b"x" * 100_000}


# --- ELF -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (elf(), ElfFile(BUILD_ID, True)),
        (elf(dwarf=False), ElfFile(BUILD_ID, False)),
        (elf()[:-64], ElfFile(None, False)),
        (b"\x7fELF\2\1\1" + b"\xff" * 200, ElfFile(None, False)),
    ],
)
def test_elf(tmp_path: pathlib.Path, content: bytes, expected: ElfFile) -> None:
    (tmp_path / "f").write_bytes(content)
    assert read_elf(str(tmp_path / "f")) == expected


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"\x7fELF\1\1\1" + bytes(100), b"MZ" + bytes(100)])
def test_no_elf(tmp_path: pathlib.Path, content: bytes) -> None:
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(ParseError):
        read_elf(str(tmp_path / "f"))


# --- packages --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("packing", ["xz", "none"])
def test_what_is_wanted_is_taken_and_nothing_else(tmp_path: pathlib.Path, packing: str) -> None:
    taken = deb.take_symbols(io.BytesIO(package(WHOLE, packing)), ["e1000e", "absent"], str(tmp_path))
    assert sorted(taken) == ["e1000e", "vmlinux"]
    assert sorted(os.listdir(tmp_path)) == ["e1000e.ko", "vmlinux"]
    assert (tmp_path / "vmlinux").read_bytes() == WHOLE[VMLINUX]


def test_the_stream_is_left_when_all_is_there(tmp_path: pathlib.Path) -> None:
    files = {VMLINUX: elf(), "./usr/lib/debug/later": os.urandom(30_000_000)}
    stream = io.BytesIO(package(files, "none"))
    deb.take_symbols(stream, [], str(tmp_path))
    assert stream.tell() < 10_000_000


def test_modules_by_either_way_of_writing_and_either_place(tmp_path: pathlib.Path) -> None:
    place = "./usr/lib/debug/usr/lib/modules/{0}/kernel/drivers/net/{1}.ko.debug"
    files = {VMLINUX: elf(), place.format(RELEASE, "dwmac-generic"): elf(MODULE_ID)}
    taken = deb.take_symbols(io.BytesIO(package(files)), ["dwmac_generic"], str(tmp_path))
    assert taken["dwmac_generic"] == str(tmp_path / "dwmac_generic.ko")


@pytest.mark.parametrize(
    "name",
    ["/etc/vmlinux", "./usr/lib/debug/../../../etc/vmlinux", "./usr/lib/debug/boot/x/../vmlinux", "../vmlinux-1"],
)
def test_paths_of_the_archive_lead_nowhere(tmp_path: pathlib.Path, name: str) -> None:
    (tmp_path / "in").mkdir()
    assert deb.take_symbols(io.BytesIO(package({name: elf()})), [], str(tmp_path / "in")) == {}
    assert os.listdir(tmp_path / "in") == []


_PACKAGE = package(WHOLE)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "ends early"),
        (b"not a package at all", "does not begin"),
        (_PACKAGE[:100], "ends early"),
        (_PACKAGE[:-500], "ends early|damaged package"),
        (_PACKAGE[:2000] + b"\xff" * 2000 + _PACKAGE[4000:], "damaged package"),
        (package(WHOLE, "zst"), "compressed with xz"),
        (b"!<arch>\n" + b"x" * 60, "damaged ar header"),
        (b"!<arch>\n" + b"data.tar.xz".ljust(48) + b"9" * 10 + b"`\n" + b"x", "ends early|damaged package"),
    ],
)
def test_damaged_packages(tmp_path: pathlib.Path, content: bytes, told: str) -> None:
    with pytest.raises(ParseError, match=told):
        deb.take_symbols(io.BytesIO(content), ["e1000e"], str(tmp_path))


def test_a_bomb_has_an_end(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deb, "_UNPACKED_LIMIT", 10_000_000)
    files = {"./usr/lib/debug/zeros": bytes(50_000_000), VMLINUX: elf()}
    with pytest.raises(ParseError, match="unpacks to more"):
        deb.take_symbols(io.BytesIO(package(files)), [], str(tmp_path))
    monkeypatch.setattr(deb, "FILE_LIMIT", 1000)
    with pytest.raises(ParseError, match="more than 1000"):
        deb.take_symbols(io.BytesIO(package({VMLINUX: elf()})), [], str(tmp_path))


# --- a server --------------------------------------------------------------------------------------------------------


class Server(http.server.ThreadingHTTPServer):
    """Files by path. `breaks`: after how many bytes each of the next connections ends."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.breaks: list[int] = []
        self.asked: list[tuple[str, str | None]] = []
        self.ranges = True
        self.url = "http://127.0.0.1:{0}".format(self.server_address[1])


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = t.cast(Server, self.server)
        wanted = self.headers.get("Range")
        server.asked.append((self.path, wanted))
        content = server.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        match = re.fullmatch(r"bytes=(\d+)-", wanted or "")
        start = int(match.group(1)) if match and server.ranges else 0
        if start >= len(content) > 0:
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        stop = server.breaks.pop(0) if server.breaks else len(content)
        self.wfile.write(content[start : start + stop])

    def log_message(self, *_args: t.Any) -> None:
        return


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> t.Iterator[Server]:
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever, daemon=True)
        thread.start()
        monkeypatch.setenv("DEBUGINFOD_URLS", made.url + "/none " + made.url + "/dbg/")
        monkeypatch.setenv("DEBIAN_MIRROR", made.url + "/debian")
        monkeypatch.delenv("DEBIAN_SECURITY_MIRROR", raising=False)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        monkeypatch.setattr(symbols, "_SYSTEM", str(tmp_path / "no-system"))
        monkeypatch.setattr(download.time, "sleep", lambda _seconds: None)
        yield made
        made.shutdown()


POOL = "/debian/pool/main/l/linux/linux-image-{0}-dbg_{1}_amd64.deb".format(RELEASE, VERSION)
SECURITY_POOL = "/debian-security/pool/updates/main/l/linux/linux-image-{0}-dbg_{1}_amd64.deb".format(RELEASE, VERSION)
VMLINUX_BY_ID = "/dbg/buildid/{0}/debuginfo".format(BUILD_ID)


def test_a_broken_download_goes_on_where_it_broke(server: Server) -> None:
    content = os.urandom(3_000_000)
    server.files["/f"] = content
    server.breaks = [1_000_000, 7, 0, 500_000]
    seen: list[int] = []
    with Download(server.url + "/f", 10_000_000, progress=lambda _what, done, _total: seen.append(done)) as stream:
        got = b"".join(iter(stream.read, b""))
    assert got == content
    assert [each[1] for each in server.asked] == [
        None,
        "bytes=1000000-",
        "bytes=1000007-",
        "bytes=1000007-",
        "bytes=1500007-",
    ]
    assert seen == sorted(seen)


def test_a_server_that_never_gives_on(server: Server) -> None:
    server.files["/f"] = b"x" * 1000
    server.breaks = [10] + [0] * 50
    with pytest.raises(DownloadError, match="at byte 10"), Download(server.url + "/f", 10_000) as stream:
        list(iter(stream.read, b""))
    assert len(server.asked) < 10


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://x"])
def test_no_other_schemes(url: str) -> None:
    with pytest.raises(DownloadError, match="only http"):
        Download(url, 10)


def test_more_than_the_limit_is_refused(server: Server) -> None:
    server.files["/f"] = b"x" * 1000
    with pytest.raises(DownloadError, match="more than the limit"):
        Download(server.url + "/f", 999)


def test_a_part_from_before_is_gone_on_with(server: Server, tmp_path: pathlib.Path) -> None:
    content = os.urandom(200_000)
    server.files["/f"] = content
    path = tmp_path / "f"
    (tmp_path / "f.part").write_bytes(content[:150_000])
    download_to(server.url + "/f", str(path), 1_000_000)
    assert path.read_bytes() == content
    assert server.asked == [("/f", "bytes=150000-")]
    assert not (tmp_path / "f.part").exists()


def test_a_part_that_is_too_long_is_begun_anew(server: Server, tmp_path: pathlib.Path) -> None:
    server.files["/f"] = b"short"
    (tmp_path / "f.part").write_bytes(b"much longer than that")
    download_to(server.url + "/f", str(tmp_path / "f"), 1_000_000)
    assert (tmp_path / "f").read_bytes() == b"short"


def test_without_modules_debuginfod_is_asked(server: Server) -> None:
    server.files[VMLINUX_BY_ID] = elf()
    found = find_symbols(KERNEL, [])
    assert found.origin == "debuginfod {0}/dbg".format(server.url)
    assert read_elf(found.vmlinux).build_id == BUILD_ID
    asked = len(server.asked)
    assert find_symbols(KERNEL, []).origin.startswith("cache ")
    assert len(server.asked) == asked, "the cache asks nobody"


def test_modules_come_out_of_the_package(server: Server) -> None:
    server.files[SECURITY_POOL] = package(WHOLE)
    found = find_symbols(KERNEL, ["e1000e", "built-in"])
    assert found.origin == server.url + SECURITY_POOL
    assert (sorted(found.modules), found.absent) == (["e1000e"], ["built_in"])
    asked = len(server.asked)
    assert find_symbols(KERNEL, ["built_in", "e1000e"]).absent == ["built_in"]
    assert len(server.asked) == asked, "what the package lacks is not looked for again"
    assert oct(os.stat(symbols.cache_folder()).st_mode)[-3:] == "700"


def test_a_module_that_came_later_is_fetched(server: Server) -> None:
    server.files[POOL] = package(WHOLE)
    find_symbols(KERNEL, ["absent"])
    assert sorted(find_symbols(KERNEL, ["e1000e"]).modules) == ["e1000e"]


def test_modules_by_build_id(server: Server) -> None:
    server.files[VMLINUX_BY_ID] = elf()
    found = find_symbols(KERNEL, ["e1000e"])
    assert (found.modules, found.absent) == ({}, ["e1000e"])
    assert symbols.add_modules(KERNEL, found, {"e1000e": MODULE_ID}) is False
    server.files["/dbg/buildid/{0}/debuginfo".format(MODULE_ID)] = elf(MODULE_ID)
    assert symbols.add_modules(KERNEL, found, {"e1000e": MODULE_ID, "../x": MODULE_ID, "e": "zz"}) is True
    assert sorted(found.modules) == ["e1000e"]


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({}, "HTTP 404"),
        ({POOL: package({VMLINUX: elf("ab" * 20)})}, "its vmlinux has build id abab"),
        ({POOL: package({E1000E: elf()})}, "no vmlinux in the package"),
        ({POOL: _PACKAGE[:3000]}, "ends early|damaged package"),
        ({VMLINUX_BY_ID: elf("ab" * 20)}, "not that kernel's"),
        ({VMLINUX_BY_ID: elf(dwarf=False)}, "not that kernel's"),
        ({VMLINUX_BY_ID: b""}, "not that kernel's"),
    ],
)
def test_nothing_that_fits(server: Server, files: dict[str, bytes], told: str) -> None:
    server.files.update(files)
    with pytest.raises(NoSymbols, match=told):
        find_symbols(KERNEL, ["e1000e"])
    left = os.listdir(os.path.join(symbols.cache_folder(), BUILD_ID))
    assert not [name for name in left if not name.endswith(".part")], "nothing that does not fit is kept"


def test_a_package_with_a_digest_is_read_to_its_end(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    server.files[POOL] = package(WHOLE)
    wrong = symbols.Source(server.url + POOL, "0" * 64)
    monkeypatch.setattr(symbols, "package_urls", lambda _kernel: [wrong])
    with pytest.raises(NoSymbols, match="SHA-256"):
        find_symbols(KERNEL, ["e1000e"])


@pytest.mark.parametrize(
    "kernel",
    [
        Kernel(BUILD_ID, None, None, "x86_64"),
        Kernel(BUILD_ID, "../../x", VERSION, "x86_64"),
        Kernel(BUILD_ID, RELEASE, "1 2", "x86_64"),
        Kernel(BUILD_ID, RELEASE, VERSION, "s390x"),
    ],
)
def test_no_package_for_what_is_no_kernel_of_debian(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEBIAN_MIRROR", "http://127.0.0.1:1/debian")
    assert symbols.package_urls(kernel) == []


def test_what_apt_says_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    """The line is that of apt 2.6.1."""
    apt = tmp_path / "apt-get"
    apt.write_text("#!/bin/sh\necho \"'http://h/p/x.deb' x.deb 858383044 SHA256:{0}\"\n".format("ab" * 32))
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.delenv("DEBIAN_MIRROR", raising=False)
    found = symbols.package_urls(KERNEL)
    assert found[0] == symbols.Source("http://h/p/x.deb", "ab" * 32)
    assert found[1].url.startswith("https://")


@pytest.mark.parametrize("build_id", ["", "xyz", "../" * 10, "AB" * 20])
def test_a_build_id_is_one(build_id: str) -> None:
    with pytest.raises(NoSymbols, match="names no build id"):
        find_symbols(KERNEL._replace(build_id=build_id), [])


def test_a_folder_or_package_that_was_named(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = tmp_path / "debug"
    for name in (VMLINUX, E1000E):
        (root / name[len("./usr/lib/debug/") :]).parent.mkdir(parents=True)
        (root / name[len("./usr/lib/debug/") :]).write_bytes(WHOLE[name])
    found = find_symbols(KERNEL, ["e1000e", "other"], str(root))
    assert (sorted(found.modules), found.absent) == (["e1000e"], ["other"])
    with pytest.raises(NoSymbols, match="no vmlinux with debug information"):
        find_symbols(KERNEL._replace(build_id="ab" * 20), [], str(root))
    (tmp_path / "x.deb").write_bytes(_PACKAGE)
    assert find_symbols(KERNEL, ["e1000e"], str(tmp_path / "x.deb")).origin == str(tmp_path / "x.deb")
    (tmp_path / "y.deb").write_bytes(b"no package")
    with pytest.raises(NoSymbols, match="does not begin"):
        find_symbols(KERNEL._replace(build_id="ab" * 20), [], str(tmp_path / "y.deb"))


def test_a_full_disk_is_said_before_anything_is_fetched(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(symbols, "_ROOM", 1 << 60)
    with pytest.raises(NoSymbols, match="no room for debug symbols"):
        find_symbols(KERNEL, [])
    assert server.asked == []

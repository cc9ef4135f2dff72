# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Finding crashes behind a path, and reading their logs whatever they are packed in."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import json
import lzma
import pathlib
import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import ParseError
from ansible_collections.rackops.crashready.plugins.module_utils._core.oops import Tables, tables_from
from ansible_collections.rackops.crashready.plugins.module_utils._host import crashlogs
from ansible_collections.rackops.crashready.plugins.module_utils._host.base import Unreadable
from ansible_collections.rackops.crashready.plugins.module_utils._host.local import LocalHost
from ansible_collections.rackops.crashready.tests.unit.plugins.module_utils.dump_writer import kdump

ROOT = pathlib.Path(__file__).resolve().parents[5]
#: A real one, with its source beside it (tests/corpus).
LOG = (ROOT / "tests" / "corpus" / "05-i40e-xsk-memcpy.log").read_bytes()
STAMP = "202611231305"
HOST = LocalHost()


@pytest.fixture(scope="module")
def tables() -> Tables:
    folder = ROOT / "data" / "triage"
    names = ("core", "drivers", "rules")
    return tables_from({name: json.loads((folder / (name + ".json")).read_text(encoding="utf-8")) for name in names})


def find(path: pathlib.Path) -> list[crashlogs.CrashSource]:
    return crashlogs.find_sources(HOST, str(path))


def read(path: pathlib.Path, tables: Tables) -> tuple[t.Any, str]:
    (source,) = find(path)
    return crashlogs.read_source(source, tables, crashlogs.log_chunks(HOST, source.logs, {}))


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress, bz2.compress], ids=["plain", "gz", "xz", "bz2"])
def test_a_log_in_any_packing_gives_one_record(tmp_path: pathlib.Path, tables: Tables, pack: t.Any) -> None:
    file = tmp_path / "a log\nof today"
    file.write_bytes(pack(LOG))
    record, event = read(file, tables)
    assert (record.kind, record.path, record.driver) == ("page_fault", "nic_rx", "i40e")
    # The event is that of the crash, not of the file.
    plain = crashlogs.read_source(crashlogs.CrashSource("x", "text", "x"), tables, [LOG])
    assert event == plain[1]


def test_the_folder_of_kdump_tools(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / ("db1-" + STAMP)
    folder.mkdir()
    (folder / ("dmesg." + STAMP)).write_bytes(LOG)
    (folder / ("dump." + STAMP)).write_bytes(kdump())
    (folder / "dump-incomplete").write_bytes(b"x")
    (source,) = find(tmp_path)
    assert (source.kind, source.name, source.host) == ("kdump", "db1-" + STAMP, "db1")
    assert source.logs == (str(folder / ("dmesg." + STAMP)),)
    assert source.dump == str(folder / ("dump." + STAMP)), "not the half one"
    assert source.crashed_at == 1795439109, "VMCOREINFO knows it better than the name"


def test_the_name_of_a_folder_tells_the_time(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / STAMP
    folder.mkdir()
    (folder / ("dmesg." + STAMP)).write_bytes(LOG)
    (folder / ("dump." + STAMP)).write_bytes(b"")
    (source,) = find(folder)
    assert source.crashed_at == crashlogs.seconds_of_stamp(STAMP) == 1795439100
    assert source.dump is None
    assert dict(source.unread) == {"dump." + STAMP: "0 bytes (G1)"}


def test_pstore_folders(tmp_path: pathlib.Path, tables: Tables) -> None:
    half = len(LOG) // 2
    (tmp_path / "dmesg-efi_pstore-170000000001001").write_bytes(b"Oops#1 Part1\n" + LOG[half:])
    (tmp_path / "dmesg-efi_pstore-170000000002001").write_bytes(b"Oops#1 Part2\n" + LOG[:half])
    (source,) = find(tmp_path)
    assert (source.kind, source.crashed_at) == ("pstore", 1700000000)
    record, _event = crashlogs.read_source(source, tables, crashlogs.log_chunks(HOST, source.logs, {}))
    assert record.kind == "page_fault"


def test_systemd_pstore_and_other_distributions(tmp_path: pathlib.Path) -> None:
    (tmp_path / "1700000000" / "001").mkdir(parents=True)
    (tmp_path / "1700000000" / "001" / "dmesg.txt").write_bytes(LOG)
    (tmp_path / "127.0.0.1-2026-11-23-13:05:00").mkdir()
    (tmp_path / "127.0.0.1-2026-11-23-13:05:00" / "vmcore-dmesg.txt").write_bytes(LOG)
    assert sorted(source.logs[0].rsplit("/", 1)[-1] for source in find(tmp_path)) == ["dmesg.txt", "vmcore-dmesg.txt"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "0 bytes"),
        (b"\x1f\x8b\x08\0" + b"\xff" * 60, "damaged gzip"),
        (b"\xfd7zXZ\0" + b"\xff" * 60, "damaged xz"),
        (b"BZh9" + b"\xff" * 60, "damaged bzip2"),
    ],
)
def test_damaged_files_say_so(tmp_path: pathlib.Path, tables: Tables, content: bytes, told: str) -> None:
    (tmp_path / "log").write_bytes(content)
    with pytest.raises(ParseError, match=told):
        read(tmp_path / "log", tables)


def test_an_archive_that_is_cut_off_gives_what_is_there(tmp_path: pathlib.Path, tables: Tables) -> None:
    """A capture kernel that ran out of space leaves such files; the crash stands at the end of the log, or not."""
    (tmp_path / "log.gz").write_bytes(gzip.compress(LOG * 3)[:-12])
    record, _event = read(tmp_path / "log.gz", tables)
    assert record.kind == "page_fault"


def test_binary_garbage_is_no_crash(tmp_path: pathlib.Path, tables: Tables) -> None:
    (tmp_path / "garbage").write_bytes(bytes(range(256)) * 4096)
    record, _event = read(tmp_path / "garbage", tables)
    assert record.kind == "unknown"


def test_a_packed_bomb_has_an_end(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crashlogs, "LOG_LIMIT", 3_000_000)
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(b"\0" * 50_000_000))
    unread: dict[str, str] = {}
    chunks = list(crashlogs.log_chunks(HOST, [str(tmp_path / "bomb.gz")], unread))
    assert "only its first 3000000 bytes" in unread[str(tmp_path / "bomb.gz")]
    assert sum(map(len, chunks)) == 3_000_000
    assert max(map(len, chunks)) <= 1024 * 1024


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("dump", kdump()[:2000], "truncated"),
        ("vmcore", b"\x7fELF" + b"\0" * 100, "ELF"),
        ("core", (pathlib.Path("/bin/sh").read_bytes())[:4096], "not a core"),
    ],
)
def test_a_dump_that_cannot_be_read_is_a_reason(tmp_path: pathlib.Path, name: str, content: bytes, told: str) -> None:
    (tmp_path / name).write_bytes(content)
    (source,) = find(tmp_path / name)
    assert source.kind == "dump"
    reason = dict(source.unread).get("dump") or (source.head.complete_reason if source.head is not None else "")
    assert told in (reason or "")


def test_nothing_there(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ParseError, match="no crash in this folder"):
        find(tmp_path)
    with pytest.raises(Unreadable):
        find(tmp_path / "absent")
    with pytest.raises(ParseError, match="neither a file nor a folder"):
        find(pathlib.Path("/dev/null"))


def test_links_in_a_circle_end(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "back").symlink_to(tmp_path)
    with pytest.raises(ParseError):
        find(tmp_path)


def test_a_log_without_stamps_is_told_by_its_text(tables: Tables) -> None:
    bare = b"\n".join(line.split(b"] ", 1)[-1] for line in LOG.splitlines())
    source = crashlogs.CrashSource("x", "text", "x")
    first, second = (crashlogs.read_source(source, tables, [text])[1] for text in (bare, bare + b"\nmore"))
    assert first != second
    assert crashlogs.read_source(source, tables, [bare])[1] == first


def test_damage_behind_the_crash_leaves_the_crash(tmp_path: pathlib.Path, tables: Tables) -> None:
    noise = hashlib.sha512(b"noise").digest() * 100_000
    packed = bytearray(gzip.compress(LOG + noise, 0))
    middle = len(packed) // 2
    packed[middle : middle + 200_000] = b"\xff" * 200_000  # stored blocks of 64 kB: a header is hit
    (tmp_path / "log.gz").write_bytes(bytes(packed))
    unread: dict[str, str] = {}
    (source,) = find(tmp_path / "log.gz")
    record, _event = crashlogs.read_source(source, tables, crashlogs.log_chunks(HOST, source.logs, unread))
    assert record.kind == "page_fault"
    assert "damaged gzip" in unread[str(tmp_path / "log.gz")]

# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""`crashready triage`: from files to pages and objects, by the tiers that can run."""

from __future__ import annotations

import contextlib
import gzip
import importlib.util
import json
import os
import pathlib
import re
import shutil
import stat
import struct
import subprocess
import sys
import time
import typing as t

import pytest
import yaml

from crashready import cli, triage_page, triage_tiers
from crashready._core.oops import Tables
from crashready._host.crashlogs import find_sources
from crashready._host.local import LocalHost
from crashready.exits import ToolError
from crashready.fleet import facts_of_inventory, read_facts_folder
from crashready.triage_tables import read_tables
from crashready.triage_tiers import Options, read_crash
from crashready.vmcore import stacks, symbols

Run = t.Callable[..., "subprocess.CompletedProcess[str]"]

ROOT = pathlib.Path(__file__).resolve().parents[2]
CORPUS = ROOT / "tests" / "corpus"
LOG = CORPUS / "05-i40e-xsk-memcpy.log"
STAMP = "202611231305"
FIRMWARE = "9.20 0x8000d8bd 1.3353.0"


@pytest.fixture(autouse=True)
def _own_places(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    """No test touches the history or the cache of whoever runs it, or the network."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("DEBUGINFOD_URLS", "http://127.0.0.1:1")
    monkeypatch.setenv("DEBIAN_MIRROR", "http://127.0.0.1:1/debian")
    monkeypatch.delenv("CRASHREADY_STORE", raising=False)


@pytest.fixture(scope="module")
def tables() -> Tables:
    return read_tables()


def objects(done: subprocess.CompletedProcess[str]) -> list[dict[str, t.Any]]:
    assert "Traceback" not in done.stderr, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def facts(folder: pathlib.Path, host: str, firmware: str = FIRMWARE, release: str = "6.17.0-custom") -> None:
    nic = {
        "name": "enp2s0f0",
        "driver": "i40e",
        "pci": {"vendor": "8086", "device": "1572"},
        "firmware": {"raw": firmware},
        "virtual": False,
    }
    kernel = {"release": release, "package_version": None, "machine": "x86_64"}
    folder.mkdir(exist_ok=True)
    (folder / (host + ".json")).write_text(json.dumps({"schema": 1, "nics": [nic], "kernel": kernel}), encoding="utf-8")


# --- the command -----------------------------------------------------------------------------------------------------


def test_one_object_a_line(crashready: Run) -> None:
    done = crashready("triage", "--json", str(LOG), str(CORPUS / "15-iavf-xmit-null.log"))
    assert done.returncode == 1
    first, second = objects(done)
    assert (first["path"], first["driver"], first["kind"]) == ("nic_rx", "i40e", "page_fault")
    assert second["driver"] == "iavf"
    tiers = {tier["name"]: tier["ran"] for tier in first["tiers"]}
    assert tiers == {"text": True, "dmesg": False, "drgn": False}
    assert all(tier["reason"] for tier in first["tiers"] if not tier["ran"])


def test_the_object_is_what_the_schema_says(crashready: Run, tmp_path: pathlib.Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((ROOT / "docs" / "crash-record.schema.json").read_text(encoding="utf-8"))
    (tmp_path / "nothing").write_text("hello\n", encoding="utf-8")
    names = [str(path) for path in sorted(CORPUS.glob("*.log"))[::4]] + [str(tmp_path / "nothing")]
    found = objects(crashready("triage", "--json", "--no-store", *names))
    assert len(found) == len(names)
    validator = jsonschema.Draft202012Validator(schema)
    assert [error.message for each in found for error in validator.iter_errors(each)] == []
    assert {key for each in found for key in each} <= set(schema["properties"])


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "0 bytes"),
        (b"hello\n", "no fault"),
        (bytes(range(256)) * 1000, "no fault|no line"),
        (b"\x7fELF" + bytes(500), "class 0"),
        (b"KDUMP   " + bytes(500), "version 0"),
        (b"\xfd7zXZ\0" + b"\xff" * 100, "damaged xz"),
    ],
)
def test_no_crash_is_unknown(crashready: Run, tmp_path: pathlib.Path, content: bytes, told: str) -> None:
    file = tmp_path / "a file\nwith \x1b[31mcolour"
    file.write_bytes(content)
    done = crashready("triage", str(file))
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    assert re.search(told, done.stdout + done.stderr)


def test_the_other_files_go_on(crashready: Run) -> None:
    done = crashready("triage", "--json", "/nonexistent", str(LOG))
    assert done.returncode == 1
    assert len(objects(done)) == 1
    assert "/nonexistent: not found" in done.stderr


@pytest.mark.parametrize("words", [(), ("--tier", "gdb", "x"), ("--symbols",)])
def test_wrong_usage(crashready: Run, words: tuple[str, ...]) -> None:
    done = crashready("triage", *words)
    assert (done.returncode, done.stdout) == (3, "")


def test_symbols_that_are_not_there(crashready: Run) -> None:
    done = crashready("triage", "--symbols", "/nonexistent/debug", str(LOG))
    assert done.returncode == 4
    assert "--symbols /nonexistent/debug" in done.stderr


def test_standard_input(crashready: Run) -> None:
    argv = [sys.executable, "-m", "crashready", "triage", "--json", "-"]
    done = subprocess.run(argv, input=LOG.read_bytes(), capture_output=True, check=False)
    assert done.returncode == 1
    assert json.loads(done.stdout)["driver"] == "i40e"
    done = subprocess.run(argv, input=b"KDUMP   " + bytes(100), capture_output=True, check=False)
    assert done.returncode == 2
    assert b"Save it to a file" in done.stderr


def test_the_text_tier_needs_the_standard_library_alone(tmp_path: pathlib.Path) -> None:
    """-S leaves site-packages out, -E the environment: no SQLAlchemy, PyYAML, rich or drgn."""
    code = "import sys; sys.path.insert(0, {0!r}); from crashready.cli import main; sys.exit(main())".format(
        str(ROOT / "src")
    )
    done = subprocess.run(
        [sys.executable, "-S", "-E", "-c", code, "triage", str(LOG)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    assert done.returncode == 1, done.stderr
    assert "in a NIC's receive path: i40e" in done.stdout
    assert "no history: " in done.stderr
    assert len(done.stderr.splitlines()) == 2, "one line for each thing that is lost"


def test_the_page_holds_nothing_for_the_terminal(crashready: Run, tmp_path: pathlib.Path) -> None:
    text = LOG.read_text(encoding="utf-8").replace("swapper/34", "x\x1b]0;gone\x07\u202e[red]")
    (tmp_path / "log").write_text(text, encoding="utf-8")
    done = crashready("triage", str(tmp_path / "log"), "--host", "s0\x1b[2J")
    assert "\x1b" not in done.stdout
    assert "\u202e" not in done.stdout
    assert "i40e" in done.stdout


def test_the_page_with_rich(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    triage_page.show([[("bad", "BAD [/red] [link=x]y"), ("plain", "")], []])
    assert "BAD [/red] [link=x]y" in capsys.readouterr().out, "nothing of a log is markup"


# --- the rack --------------------------------------------------------------------------------------------------------


def test_the_blast_radius_from_recorded_facts(crashready: Run, tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "facts"
    facts(folder, "s0")
    facts(folder, "s1.example.org")
    facts(folder, "s2", firmware="9.20 0x8000d8c5 1.3295.0")
    facts(folder, "s3", release="6.18.1-custom")
    (folder / "broken.json").write_text("{", encoding="utf-8")
    done = crashready("triage", "--json", str(LOG), "--facts", str(folder), "--host", "s0")
    (found,) = objects(done)
    assert "broken.json: no facts of a host" in done.stderr
    rack = found["fleet"]
    assert [row["host"] for row in rack["same_pairing"]] == ["s1.example.org"]
    assert [row["host"] for row in rack["other_firmware"]] == ["s2"]
    assert [row["host"] for row in rack["other_kernel"]] == ["s3"]
    assert [(row["host"], row["crashes"]) for row in rack["same_signature"]["exact"]] == [("s0", 1)]
    assert found["facts"]["nics"][0]["firmware"] == FIRMWARE
    page = crashready("triage", str(LOG), "--host", "s1").stdout
    assert "same signature                 s0 (1x), s1.example.org (1x)" in page, "the store remembers both"
    assert "s2 (enp2s0f0, firmware" in page, "and the facts"


def test_history_is_the_owners_alone(crashready: Run, tmp_path: pathlib.Path) -> None:
    crashready("triage", str(LOG))
    store = tmp_path / "state" / "crashready" / "store.sqlite3"
    assert stat.S_IMODE(store.stat().st_mode) == 0o600
    again = objects(crashready("triage", "--json", str(LOG)))
    assert [row["crashes"] for row in again[0]["fleet"]["same_signature"]["exact"]] == [1], "the same crash, once"


def test_without_a_store_nothing_is_written(crashready: Run, tmp_path: pathlib.Path) -> None:
    assert crashready("triage", "--no-store", str(LOG)).returncode == 1
    assert not (tmp_path / "state").exists()


def test_records_of_other_hosts_count(crashready: Run, tmp_path: pathlib.Path) -> None:
    """What their own triage left, as crash_facts brings it."""
    first = objects(crashready("triage", "--json", "--no-store", str(LOG)))[0]
    facts(tmp_path / "facts", "s7")
    file = tmp_path / "facts" / "s7.json"
    seen = json.loads(file.read_text(encoding="utf-8"))
    seen["crashes"] = [{"path": "/x", "record": {"signature": first["signature"], "event": "e"}}, 7, {"record": "x"}]
    file.write_text(json.dumps({"ansible_facts": {"crashready": seen}}), encoding="utf-8")
    done = crashready("triage", "--json", "--no-store", "--facts", str(tmp_path / "facts"), str(LOG))
    assert [row["host"] for row in objects(done)[0]["fleet"]["same_signature"]["exact"]] == [None, "s7"]


def test_a_draft_is_written_once(crashready: Run, tmp_path: pathlib.Path) -> None:
    log = str(CORPUS / "19-r8168-netdev-watchdog.log")
    draft = tmp_path / "draft.yml"
    done = crashready("triage", "--draft", str(draft), log)
    assert done.returncode == 1, done.stderr
    assert yaml.safe_load(draft.read_text(encoding="utf-8"))["driver"] == "r8168"
    assert "No pairing entry matches" in done.stdout
    again = crashready("triage", "--draft", str(draft), log)
    assert again.returncode == 4
    assert "File exists" in again.stderr
    none = crashready("triage", "--draft", str(tmp_path / "none.yml"), str(CORPUS / "39-sysrq-then-abort.log"))
    assert "was not written" in none.stderr
    assert not (tmp_path / "none.yml").exists()


def test_facts_of_an_inventory(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As `facts -i` asks: the machine itself, and one host that is not there."""
    rack = tmp_path / "rack"
    here = "here ansible_connection=local ansible_python_interpreter={0}\n".format(sys.executable)
    rack.write_text(here + "gone ansible_host=127.0.0.1 ansible_port=1\n")
    found = facts_of_inventory([str(rack)])
    assert sorted(found) == ["here"]
    assert found["here"].facts["kernel"]["release"] == os.uname().release
    assert found["here"].origin == "asked now"
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "not every host answered (1 did)" in shown.err
    assert "the connection was refused (1): gone" in shown.err


@pytest.mark.parametrize(
    ("inventory", "told"),
    [("/no/such/rack", "there is no inventory"), ("127.0.0.1:1,", "no host of 127.0.0.1:1, gave facts")],
)
def test_an_inventory_without_facts(inventory: str, told: str) -> None:
    with pytest.raises(ToolError, match=told):
        facts_of_inventory([inventory])


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"schema": "x"}', "[" * 100_000, '{"ansible_facts": {"crashready": []}}', "\x00"]
)
def test_facts_that_are_none(tmp_path: pathlib.Path, content: str) -> None:
    (tmp_path / "x.json").write_text(content, encoding="utf-8")
    assert read_facts_folder(str(tmp_path)) == {}


def test_facts_that_cannot_be_kept_cost_their_host_alone(crashready: Run, tmp_path: pathlib.Path) -> None:
    facts(tmp_path / "facts", "s0")
    (tmp_path / "facts" / "s1.json").write_text('{"schema": 1, "x": NaN}', encoding="utf-8")
    done = crashready("triage", str(LOG), "--facts", str(tmp_path / "facts"))
    assert done.returncode == 1
    assert "the facts of s1 are not kept" in done.stderr


# --- dumps -----------------------------------------------------------------------------------------------------------

_INFO = b"OSRELEASE=6.1.0-56-amd64\nBUILD-ID=" + b"ab" * 20 + b"\nPAGESIZE=4096\nCRASHTIME=1795439109\n"


def dump() -> bytes:
    """An ELF core with VMCOREINFO and a page of nothing (System V ABI, chapter 4)."""
    name, notes = b"VMCOREINFO\0", b""
    notes = (
        struct.pack("<III", len(name), len(_INFO), 0)
        + name.ljust(12, b"\0")
        + _INFO.ljust(-(-len(_INFO) // 4) * 4, b"\0")
    )
    head = b"\x7fELF\2\1\1" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 4, 62, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    head += struct.pack("<IIQQQQQQ", 4, 0, 176, 0, 0, len(notes), len(notes), 0)
    head += struct.pack("<IIQQQQQQ", 1, 0, 4096, 0, 0, 4096, 4096, 0)
    return (head + notes).ljust(4096, b"\0") + bytes(4096)


MAKEDUMPFILE = """#!/bin/sh
case $1 in
-v) echo "makedumpfile: version 1.7.2 (released on 20 Oct 2022)" ;;
--dump-dmesg) {0} ;;
esac
"""


@pytest.fixture
def makedumpfile(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> t.Callable[[str], None]:
    folder = tmp_path / "bin"
    folder.mkdir()

    def make(command: str) -> None:
        (folder / "makedumpfile").write_text(MAKEDUMPFILE.format(command), encoding="utf-8")
        (folder / "makedumpfile").chmod(0o755)

    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    return make


def crash_of(tables: Tables, path: pathlib.Path, **options: t.Any) -> triage_tiers.Crash:
    (source,) = find_sources(LocalHost(), str(path))
    return read_crash(source, tables, Options(scratch=str(path.parent), **options))


def reasons(crash: triage_tiers.Crash) -> dict[str, str | None]:
    return {tier["name"]: tier["reason"] for tier in crash.tiers}


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_the_log_comes_out_of_the_dump(
    tables: Tables, tmp_path: pathlib.Path, makedumpfile: t.Callable[[str], None], pack: t.Any
) -> None:
    makedumpfile('cp {0} "$3"'.format(LOG))
    (tmp_path / "dump").write_bytes(pack(dump()))
    crash = crash_of(tables, tmp_path / "dump", symbols="never")
    assert crash.record["driver"] == "i40e"
    assert reasons(crash)["text"] == "no kernel log beside the dump"
    # The real one of the corpus died without a panic line; the log was read all the same.
    assert reasons(crash)["dmesg"] is None
    assert "--symbols never" in (reasons(crash)["drgn"] or "")
    assert sorted(os.listdir(tmp_path)) == ["bin", "dump"], "nothing is left of the scratch"


@pytest.mark.parametrize(
    ("command", "content", "told"),
    [
        ("exit 1", dump(), "ended with 1"),
        ("sleep 0; echo no log", dump(), "wrote no log"),
        ("exit 0", dump()[:5000], "truncated"),
        ("exit 0", dump()[:100], "truncated|damaged"),
    ],
)
def test_a_dump_that_cannot_be_opened_says_why(
    tables: Tables,
    tmp_path: pathlib.Path,
    makedumpfile: t.Callable[[str], None],
    command: str,
    content: bytes,
    told: str,
) -> None:
    makedumpfile(command)
    folder = tmp_path / STAMP
    folder.mkdir()
    (folder / ("dump." + STAMP)).write_bytes(content)
    crash = crash_of(tables, folder, symbols="never")
    assert not crash.found
    assert re.search(told, reasons(crash)["dmesg"] or "")


def test_a_log_beside_a_broken_dump_still_answers(tables: Tables, tmp_path: pathlib.Path) -> None:
    folder = tmp_path / STAMP
    folder.mkdir()
    (folder / ("dump." + STAMP)).write_bytes(dump()[:4500])
    shutil.copy(LOG, folder / ("dmesg." + STAMP))
    crash = crash_of(tables, folder, symbols="never")
    assert crash.record["driver"] == "i40e"


def test_the_tier_that_was_asked_for_is_the_highest(tables: Tables, tmp_path: pathlib.Path) -> None:
    (tmp_path / "dump").write_bytes(dump())
    crash = crash_of(tables, tmp_path / "dump", tier="text")
    assert not crash.found
    assert reasons(crash)["dmesg"] == "not asked for (--tier text)"


def test_symbols_that_cannot_be_had_are_a_reason(
    tables: Tables, tmp_path: pathlib.Path, makedumpfile: t.Callable[[str], None]
) -> None:
    makedumpfile('cp {0} "$3"'.format(LOG))
    (tmp_path / "dump").write_bytes(dump())
    crash = crash_of(tables, tmp_path / "dump")
    if stacks.reader_at_hand() is None:
        assert "neither drgn" in (reasons(crash)["drgn"] or "")
    else:
        assert "no debug symbols: " in (reasons(crash)["drgn"] or "")
    assert crash.found


# --- drgn ------------------------------------------------------------------------------------------------------------

DRGN = pytest.mark.skipif(importlib.util.find_spec("drgn") is None, reason="drgn has wheels for x86_64 alone")


@DRGN
@pytest.mark.parametrize("content", [b"", b"KDUMP   " + bytes(5000), dump(), dump()[:200], os.urandom(10_000)])
def test_drgn_on_a_hostile_dump_is_a_sentence(tmp_path: pathlib.Path, content: bytes) -> None:
    (tmp_path / "core").write_bytes(content)
    (tmp_path / "vmlinux").write_bytes(content)
    found = symbols.Symbols(str(tmp_path / "vmlinux"), {}, "a test")
    result = None
    with contextlib.suppress(stacks.NotRead):
        result = stacks.by_drgn(str(tmp_path / "core"), found, [])
    if result is not None:
        assert result["crashed"] is None
        assert result["problems"]


@DRGN
def test_drgn_has_limits(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stacks, "_MEMORY_BYTES", 64 * 1024 * 1024)
    (tmp_path / "core").write_bytes(dump())
    with pytest.raises(stacks.NotRead):
        stacks.by_drgn(str(tmp_path / "core"), symbols.Symbols(str(tmp_path / "core"), {}, "a test"), [])


def test_a_reader_that_hangs_is_ended(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "python").write_text("#!/bin/sh\nsleep 60\n")
    (tmp_path / "python").chmod(0o755)
    monkeypatch.setattr(stacks.sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr(stacks, "_WALL_S", 0.5)
    started = time.monotonic()
    with pytest.raises(stacks.NotRead, match="timed out"):
        stacks.by_drgn("/dev/null", symbols.Symbols("/dev/null", {}, "a test"), [])
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("echo garbage", "no answer"),
        ("echo '[]'", "no object"),
        ("kill -9 $$", "signal 9"),
        ("echo oops >&2; exit 3", "oops"),
    ],
)
def test_a_reader_that_breaks_is_a_sentence(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, script: str, told: str
) -> None:
    (tmp_path / "python").write_text("#!/bin/sh\n{0}\n".format(script))
    (tmp_path / "python").chmod(0o755)
    monkeypatch.setattr(stacks.sys, "executable", str(tmp_path / "python"))
    with pytest.raises(stacks.NotRead, match=told):
        stacks.by_drgn("/dev/null", symbols.Symbols("/dev/null", {}, "a test"), [])


VMCORE = os.environ.get("CRASHREADY_TEST_VMCORE", "")


@DRGN
@pytest.mark.slow
@pytest.mark.skipif(not VMCORE, reason="CRASHREADY_TEST_VMCORE=FOLDER:SYMBOLS names no dump with its symbols")
def test_a_real_dump(tables: Tables, tmp_path: pathlib.Path) -> None:
    folder, place = VMCORE.split(":")
    (source,) = find_sources(LocalHost(), folder)
    crash = read_crash(source, tables, Options(symbols=place, scratch=str(tmp_path)))
    assert reasons(crash)["drgn"] is None
    assert crash.vmcore is not None
    functions = [frame["function"] for frame in crash.vmcore["crashed"]["frames"]]
    assert "__crash_kexec" in functions
    assert len(crash.vmcore["processors"]) >= 1
    assert any(device["name"] == "lo" for device in crash.vmcore["netdevs"])


# --- size and speed --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_long_log_takes_no_memory(tmp_path: pathlib.Path) -> None:
    noise = "".join("[{0:12.6f}] eth0: link is up\n".format(number / 10) for number in range(20_000)).encode()
    with open(tmp_path / "log", "wb") as stream:
        for _each in range(80):
            stream.write(noise)
        stream.write(LOG.read_bytes())
    # VmHWM begins anew with exec; ru_maxrss keeps what the process that forked had (getrusage(2), Linux).
    code = (
        "import re, sys; from crashready.cli import main; code = main(sys.argv[1:]);"
        " print(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1], file=sys.stderr); sys.exit(code)"
    )
    argv = [sys.executable, "-c", code, "triage", "--no-store", "--json", str(tmp_path / "log")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert json.loads(done.stdout)["driver"] == "i40e"
    assert int(done.stderr.split()[-1]) < 200 * 1024, "kilobytes"


def test_heavy_imports_wait(tmp_path: pathlib.Path) -> None:
    code = (
        "import sys, crashready.triage, crashready.triage_tables, crashready.triage_page;"
        "print([name for name in ('sqlalchemy', 'rich', 'yaml', 'drgn', 'ansible') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_it_is_a_command() -> None:
    assert cli.COMMANDS["triage"].module == "crashready.triage"

# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""tests/story: its reader of type information, its build, and that nothing which is shipped knows of its module."""

from __future__ import annotations

import importlib.util
import json
import lzma
import pathlib
import random
import re
import struct
import subprocess
import sys
import types
import typing as t

import pytest
import yaml

from crashready._core import kernel_range
from crashready._core.pairing_draft import draft_entry
from crashready._core.pairing_entry import read_entry
from crashready.lab import apt, image
from crashready.lab.errors import LabError
from crashready.lab.progress import Progress

ROOT = pathlib.Path(__file__).resolve().parents[2]
STORY = ROOT / "tests" / "story"
#: Recorded from Debian's packages by tests/story/record_btf.py: linux-image 6.12.117-1 of trixie, and linux-modules
#: 7.2.12-1~bpo13+1 of trixie-backports, in which several structures stand twice.
RELEASES = ("6.12.117", "7.2.12")


def _module(name: str) -> types.ModuleType:
    spec = importlib.util.spec_from_file_location("story_" + name, STORY / (name + ".py"))
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


btf = _module("btf")
build = _module("build")


def recorded(release: str, part: str) -> bytes:
    return lzma.decompress((STORY / "btf" / "e1000e-{0}.{1}.xz".format(release, part)).read_bytes())


def read(release: str) -> t.Any:
    return btf.Btf(recorded(release, "module"), btf.Btf(recorded(release, "base")))


# --- the reader of type information -----------------------------------------------------------------------------------

#: As drivers/net/ethernet/intel/e1000e/e1000.h lays them out on amd64, in both kernels.
LAYOUT = {
    "e1000_ring.count": 28,
    "e1000_ring.next_to_clean": 34,
    "e1000_ring.buffer_info": 56,
    "e1000_buffer.skb": 8,
    "e1000_buffer.ps_pages": 16,  # in a structure in a union, neither of which has a name
    "e1000_buffer": 40,
}


@pytest.mark.parametrize("release", RELEASES)
def test_offsets_of_a_real_driver(release: str) -> None:
    assert btf.values(read(release), {what: what for what in LAYOUT}) == LAYOUT


def test_copies_of_a_structure_are_real() -> None:
    assert len(read("7.2.12").structures("e1000_ring")) == 2


@pytest.mark.parametrize(
    ("what", "complaint"),
    [
        ("e1000_rung.count", "no struct e1000_rung"),
        ("e1000_ring.cuont", "there is no e1000_ring.cuont"),
        ("e1000_ring.ring_idx", "there is no e1000_ring.ring_idx"),
        ("", "no struct "),
        ("e1000_ring.", "names no member"),
    ],
)
def test_what_is_not_there_is_said(what: str, complaint: str) -> None:
    with pytest.raises(btf.BtfError, match=complaint):
        btf.values(read("6.12.117"), {"name": what})


def test_a_module_without_its_base_is_refused() -> None:
    with pytest.raises(btf.BtfError, match="beyond the strings"):
        btf.values(btf.Btf(recorded("6.12.117", "module")), {"name": "e1000_ring"})


def encoded(types: t.Sequence[tuple[t.Any, ...]], strings: t.Sequence[str]) -> bytes:
    """BTF of (name, kind, flag, size, elements); names are numbers of `strings`, the first of which is empty."""
    places = [sum(len(text) + 1 for text in strings[:number]) for number in range(len(strings))]
    body = b""
    for name, kind, flag, size, elements in types:
        body += struct.pack("<III", places[name], int(flag) << 31 | kind << 24 | len(elements), size)
        for member, inner, bits in elements:
            body += struct.pack("<III", places[member], inner, bits)
    text = b"".join(one.encode() + b"\0" for one in strings)
    return struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(body), len(body), len(text)) + body + text


NAMES = ("", "ring", "head", "flag")


def struct_of(bits: int, flag: bool = False, size: int = 16) -> tuple[t.Any, ...]:
    return (1, 4, flag, size, [(2, 0, bits)])


@pytest.mark.parametrize(
    ("types", "complaint"),
    [
        ([struct_of(3 << 24 | 8, flag=True)], "bit field"),
        ([struct_of(4)], "bit field"),
        ([struct_of(64), struct_of(32)], "not the same in every copy: 8, 4"),
        ([struct_of(8 * 4096)], "beyond its structure"),
        ([(1, 77, False, 0, [])], "unknown kind 77"),
        ([(1, 4, False, 8, [(0, 1, 0)])], "more than 8 structures inside one another"),
        ([(1, 4, False, 8, [(0, 9, 0)])], "no type 9"),
    ],
)
def test_types_that_cannot_be_trusted_are_refused(types: list[tuple[t.Any, ...]], complaint: str) -> None:
    with pytest.raises(btf.BtfError, match=complaint):
        btf.Btf(encoded(types, NAMES)).offset("ring", "head")


def test_a_whole_member_among_bit_fields_has_an_offset() -> None:
    assert btf.Btf(encoded([struct_of(64, flag=True)], NAMES)).offset("ring", "head") == 8


def test_damaged_type_information_is_one_kind_of_error() -> None:
    """Cut anywhere, and with bytes turned around: a number or BtfError, never anything else."""
    whole = recorded("6.12.117", "module")
    base = btf.Btf(recorded("6.12.117", "base"))
    chance = random.Random(7)
    damaged = [whole[: chance.randrange(len(whole))] for _time in range(20)]
    for _time in range(40):
        turned = bytearray(whole)
        for _byte in range(30):
            turned[chance.randrange(len(turned))] = chance.randrange(256)
        damaged.append(bytes(turned))
    refused = 0
    for data in damaged:
        try:
            found = btf.values(btf.Btf(data, base), {what: what for what in LAYOUT})
            assert all(isinstance(value, int) for value in found.values())
        except btf.BtfError:
            refused += 1
    assert refused >= 20


def test_the_command_prints_parameters_of_a_module(tmp_path: pathlib.Path) -> None:
    """As it runs in a guest: a process of its own; raw BTF is what /sys/kernel/btf has."""
    for part in ("module", "base"):
        (tmp_path / part).write_bytes(recorded("6.12.117", part))
    argv = [sys.executable, "-I", str(STORY / "btf.py"), "--base", str(tmp_path / "base"), str(tmp_path / "module")]
    done = subprocess.run([*argv, "ring_count=e1000_ring.count", "buffer_size=e1000_buffer"], check=False, **RUN)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ring_count=28 buffer_size=40\n", "")
    done = subprocess.run([*argv, "ring_count=e1000_ring.counter"], check=False, **RUN)
    assert (done.returncode, done.stdout) == (4, "")
    assert "there is no e1000_ring.counter" in done.stderr


RUN: dict[str, t.Any] = {"capture_output": True, "text": True, "timeout": 60}


def test_type_information_is_found_in_an_elf_file(tmp_path: pathlib.Path) -> None:
    """A .ko.xz as Debian packs it: here with two sections and nothing else."""
    names, content = b"\0.BTF\0.shstrtab\0", recorded("6.12.117", "module")
    head = struct.pack("<6s10xHHIQQQIHHHHHH", b"\x7fELF\x02\x01", 1, 62, 1, 0, 0, 64, 0, 64, 0, 0, 64, 3, 2)
    start = 64 + 3 * 64
    table = bytes(64)
    for name, at, size in ((1, start, len(content)), (6, start + len(content), len(names))):
        table += struct.pack("<IIQQQQ24x", name, 1, 0, 0, at, size)
    path = tmp_path / "e1000e.ko.xz"
    path.write_bytes(lzma.compress(head + table + content + names))
    base = btf.Btf(recorded("6.12.117", "base"))
    assert btf.load(path, base).offset("e1000_ring", "buffer_info") == 56
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(btf.BtfError):
        btf.load(path, base)


# --- the build ------------------------------------------------------------------------------------------------------


@pytest.fixture
def cache(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    monkeypatch.setenv("CRASHREADY_CACHE", str(tmp_path))
    return tmp_path / "story"


def test_only_what_is_missing_is_built(cache: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def instead(suite: str, wanted: dict[str, pathlib.Path], folder: pathlib.Path) -> None:
        asked.append((suite, sorted(wanted)))
        for path in wanted.values():
            path.write_bytes(b"")

    monkeypatch.setattr(build, "_build", instead)
    quiet = Progress(quiet=True)
    first = build.modules("trixie", ["6.12.117+deb13-amd64"], quiet)
    both = build.modules("trixie", ["6.12.117+deb13-amd64", "7.3.4+deb13-amd64"], quiet)
    again = build.modules("trixie", list(both), quiet)
    assert asked == [("trixie", ["6.12.117+deb13-amd64"]), ("trixie", ["7.3.4+deb13-amd64"])]
    assert first.items() <= both.items()
    assert again == both
    assert {path.parent for path in both.values()} == {cache}
    assert len(set(both.values())) == 2


def test_another_source_is_another_module(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    before = build.key()
    assert re.fullmatch("[0-9a-f]{12}", before)
    for path in build.SOURCES.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(build, "SOURCES", tmp_path)
    assert build.key() == before
    (tmp_path / "ringfault.c").write_text("another")
    assert build.key() != before


@pytest.mark.parametrize(
    ("suite", "release", "complaint"),
    [
        ("sid", "6.12.117+deb13-amd64", "'sid'"),
        ("trixie", "", "not the release of a kernel"),
        ("trixie", "../6.12-amd64", "not the release of a kernel"),
        ("trixie", "6.12-amd64; reboot", "not the release of a kernel"),
        ("trixie", "6.12.117+deb13-arm64", "not the release of a kernel"),
        ("trixie", "6.12.117+deb13-amd64\n", "not the release of a kernel"),
    ],
)
def test_names_that_are_no_kernel_are_refused(cache: pathlib.Path, suite: str, release: str, complaint: str) -> None:
    with pytest.raises(LabError, match=complaint):
        build.modules(suite, [release], Progress(quiet=True))


@pytest.mark.parametrize("release", ["6.1.0-56-amd64", "6.12.117+deb13-amd64", "6.12.117+deb13-cloud-amd64"])
def test_headers_are_those_of_the_kernel(release: str) -> None:
    assert "download linux-headers-{0}\n".format(release) in build.headers_script([release])


def test_without_root_nothing_is_begun(cache: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(LabError, match="needs root"):
        build.modules("trixie", ["6.12.117+deb13-amd64"], Progress(quiet=True))
    assert [path.name for path in cache.iterdir()] == [".lock"]


def test_a_failed_build_leaves_its_log_and_nothing_else(cache: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """mmdebstrap is played by a program that fails."""
    program = cache.parent / "mmdebstrap"
    program.write_text("#!/bin/sh\necho no such suite >&2\nexit 25\n")
    program.chmod(0o755)
    monkeypatch.setattr(build, "_preflight", lambda: None)
    monkeypatch.setattr(apt, "read_settings", list)
    monkeypatch.setattr(apt, "read_mirrors", lambda: apt.Mirrors("http://m/debian", "http://m/debian-security"))
    monkeypatch.setattr("crashready.lab.commands.SEARCH_PATH", "{0}:/usr/bin:/bin".format(cache.parent))
    with pytest.raises(LabError, match=r"ended with 25(.|\n)*no such suite"):
        build.modules("trixie", ["6.12.117+deb13-amd64"], Progress(quiet=True))
    assert "no such suite" in (cache / "build.log").read_text()
    assert sorted(path.name for path in cache.iterdir()) == [".lock", "build.log"]


def test_cache_is_the_labs(cache: pathlib.Path) -> None:
    assert cache.parent == image.cache_root()


# --- the kernels ----------------------------------------------------------------------------------------------------

#: Names in the archive of trixie with its security and backports, 2026-11-24, and some that have to be passed over.
OFFERED = """linux-image-6.12.107+deb13-amd64
linux-image-6.12.117+deb13-amd64
linux-image-6.12.117+deb13-cloud-amd64
linux-image-6.12.117+deb13-amd64-unsigned
linux-image-amd64
linux-image-7.2.9+deb13-amd64
linux-image-7.2.12+deb13-amd64
linux-image-7.2.12+deb13-rt-amd64
linux-image-7.3.4+deb13-amd64
linux-image-7.3.4+deb13-amd64-dbg
"""
RUNNING = "6.12.117+deb13-amd64"


@pytest.fixture
def choose(monkeypatch: pytest.MonkeyPatch) -> t.Callable[..., t.Any]:
    monkeypatch.setitem(sys.modules, "build", build)
    return t.cast("t.Callable[..., t.Any]", _module("plan").choose)


def test_kernels_are_those_that_the_archive_has(choose: t.Callable[..., t.Any]) -> None:
    plan = choose(OFFERED.splitlines(keepends=True), RUNNING)
    assert plan._asdict() == {
        "running": RUNNING,
        "control": "7.2.12+deb13-amd64",
        "newest": "7.3.4+deb13-amd64",
        "first": "6.12.0",
        "before": "7.3",
    }


def test_a_later_build_of_a_version_is_the_newer_one(choose: t.Callable[..., t.Any]) -> None:
    listed = ["linux-image-{0}-amd64".format(name) for name in ("7.2.12+deb13.1", "7.2.12+deb13", "7.3.4+deb13")]
    assert choose(listed, RUNNING).control == "7.2.12+deb13.1-amd64"


@pytest.mark.parametrize(
    ("listed", "running", "complaint"),
    [
        ("", RUNNING, "no kernel of a later line"),
        ("linux-image-6.12.118+deb13-amd64", RUNNING, "no kernel of a later line"),
        ("linux-image-7.3.4+deb13-amd64", RUNNING, "no kernel between"),
        (OFFERED, "6.1.0-56-amd64", "from Debian 13 on"),
    ],
)
def test_an_archive_without_them_is_a_clear_message(
    choose: t.Callable[..., t.Any], listed: str, running: str, complaint: str
) -> None:
    with pytest.raises(LabError, match=complaint):
        choose(listed.splitlines(), running)


# --- the crash ------------------------------------------------------------------------------------------------------

#: What the serial console of a guest of the lab said, from the fault to the start of its capture kernel.
OOPS = STORY / "oops" / "e1000e-6.12.117.log"
PLAN = {"first": "6.12.0", "before": "7.3"}


def test_triage_sees_the_drivers_own_fault(crashready: t.Callable[..., subprocess.CompletedProcess[str]]) -> None:
    assert build.NAME in OOPS.read_text("utf-8")  # it is there to be seen, among the modules
    done = crashready("triage", "--json", "--no-store", str(OOPS))
    assert done.returncode == 1, done.stderr
    record = json.loads(done.stdout)
    assert (record["kind"], record["path"], record["driver"]) == ("null_deref", "nic_rx", "e1000e")
    assert (record["function"], record["module"], record["context"]) == ("e1000_clean_rx_irq", "e1000e", "softirq")
    assert [frame["function"] for frame in record["frames"]][:3] == ["e1000_clean_rx_irq", "e1000e_poll", "__napi_poll"]
    assert build.NAME not in json.dumps({**record, "modules": None})


def test_reviewed_draft_has_the_range_of_the_module(
    crashready: t.Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    """The kernels that fault are those that the entry calls bad."""
    record = json.loads(crashready("triage", "--json", "--no-store", str(OOPS)).stdout)
    draft, reason = draft_entry(record, "story-one", None)
    assert draft is not None, reason
    reviewed = _module("review").review(yaml.safe_load(draft), **PLAN)
    entry = read_entry({**reviewed, "pci": [{"vendor": "8086", "devices": ["10d3"]}]})
    assert entry.may_be_bad
    judged = {}
    for version in ("6.12.117-1", "7.2.12-1~bpo13+1", "7.3.4-1~bpo13+1", "6.1.192-2"):
        kernel = kernel_range.candidate_kernel(version, "x86_64")
        judged[version] = kernel_range.judge_kernel(entry.kernel, kernel).result
    assert list(judged.values()) == ["bad", "bad", "good", "good"], judged


# --- what is shipped ------------------------------------------------------------------------------------------------


def _shipped() -> list[pathlib.Path]:
    """Every file of the collection and of the wheel."""
    asked = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(asked, cwd=ROOT, capture_output=True, check=True, text=True).stdout.split("\0")
    elsewhere = ("tests/", "molecule/", "changelogs/")
    return [ROOT / name for name in names if name and not name.startswith(elsewhere) and (ROOT / name).is_file()]


def test_nothing_that_is_shipped_knows_of_the_module() -> None:
    """Triage least of all: it has to see a driver's own fault."""
    source = (build.SOURCES / "ringfault.c").read_text("utf-8")
    (word,) = re.findall(r'#define WORD "(\S+)"', source)
    files = _shipped()
    assert {path.relative_to(ROOT).parts[0] for path in files} >= {"plugins", "src", "data", "roles", "playbooks"}
    known = [build.NAME.encode(), word.encode()]
    told = [path for path in files if any(name in path.read_bytes() for name in known)]
    assert [str(path.relative_to(ROOT)) for path in told] == []


def test_the_module_is_not_in_the_collection_nor_in_the_wheel() -> None:
    galaxy = yaml.safe_load((ROOT / "galaxy.yml").read_text("utf-8"))
    assert {"tests", "molecule"} <= set(galaxy["build_ignore"])
    (parts,) = re.findall(r"^PARTS = \((.*)\)$", (ROOT / "hatch_build.py").read_text("utf-8"), re.MULTILINE)
    assert "tests" not in parts
    assert "molecule" not in parts


def test_the_module_says_its_licence_and_where_it_refuses() -> None:
    """What happens in a guest is the scenario story's; here, that no check was taken out by mistake."""
    source = (build.SOURCES / "ringfault.c").read_text("utf-8")
    assert source.startswith("// SPDX-License-Identifier: GPL-2.0-or-later\n")
    assert 'MODULE_LICENSE("GPL")' in source
    start = source[source.index("static int __init") :]
    probe = start.index("register_kprobe")
    for check in ('dmi_match(DMI_SYS_VENDOR, "QEMU")', "has_word(WORD)", "is_kdump_kernel()", "is_offset("):
        assert 0 < start.index(check) < probe

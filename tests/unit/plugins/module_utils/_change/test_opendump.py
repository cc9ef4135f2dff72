# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Opening a dump with the tools of the machine.

Stand-ins for makedumpfile are put in front of PATH: what they do is what
makedumpfile 1.7.2 was seen to do with dumps of a Debian guest.
"""

from __future__ import annotations

import gzip
import os
import pathlib
import sys
import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._change import opendump
from ansible_collections.rackops.crashready.plugins.module_utils._core.dumpcheck import Expectation
from ansible_collections.rackops.crashready.plugins.module_utils._host.base import Space
from ansible_collections.rackops.crashready.plugins.module_utils._host.local import LocalHost
from ansible_collections.rackops.crashready.tests.unit.plugins.module_utils.dump_writer import elf_parts, kdump, plain

NODE = os.uname().nodename
NAMES = ("Linux", NODE, "6.1.0-56-amd64", "#1 SMP", "x86_64", "(none)")
LOG = (
    "[ 1.0] Linux version 6.1.0-56-amd64\n[ 2.8] drill-7f3a\n[ 3.9] Kernel panic - not syncing: sysrq triggered crash\n"
)
S = "202611231305"

STUB = """#!{python}
import os, struct, sys
if sys.argv[1] == "-v":
    print("makedumpfile: version 1.7.2 (released on 20 Oct 2022)")
elif sys.argv[1] == "-R":
    source = sys.stdin.buffer
    head = source.read(4096)
    assert head.startswith(b"makedumpfile"), head[:16]
    with open(sys.argv[2], "xb") as target:
        while True:
            offset, size = struct.unpack(">qq", source.read(16))
            if offset < 0:
                break
            target.seek(offset)
            target.write(source.read(size))
    print("\\nThe dumpfile is saved to " + sys.argv[2] + ".\\n\\nmakedumpfile Completed.")
elif sys.argv[1] == "--dump-dmesg":
    magic = open(sys.argv[2], "rb").read(8)
    if magic not in (b"KDUMP   ", b"\\x7fELF\\2\\1\\1\\0"):
        sys.exit("get_elf_info: not a core")
    print("The kernel version is not supported.\\nThe makedumpfile operation may be incomplete.\\n")
    open(sys.argv[3], "x").write(open({log!r}).read())
    print("The dmesg log is saved to " + sys.argv[3] + ".\\n\\nmakedumpfile Completed.")
"""


class RootsHost(LocalHost):
    """The machine, where everything belongs to root, also for a test run as a user."""

    def lstat(self, path: str) -> t.Any:
        return super().lstat(path)._replace(uid=0)


@pytest.fixture
def rack(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """tmp_path with `bin`, `scratch`, `crash` and a makedumpfile that writes what is in `log`."""
    for name in ("bin", "scratch", "crash"):
        (tmp_path / name).mkdir()
    (tmp_path / "log").write_text(LOG)
    stub(tmp_path, STUB.format(python=sys.executable, log=str(tmp_path / "log")))
    monkeypatch.setenv("PATH", "{0}:{1}".format(tmp_path / "bin", os.environ["PATH"]))
    return tmp_path


def stub(rack: pathlib.Path, text: str) -> None:
    (rack / "bin" / "makedumpfile").write_text(text)
    (rack / "bin" / "makedumpfile").chmod(0o755)


def crash(rack: pathlib.Path, data: bytes, name: str = "dump." + S) -> pathlib.Path:
    folder = rack / "crash" / S
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(data)
    return folder / name


def opened(rack: pathlib.Path, path: pathlib.Path, **given: t.Any) -> dict[str, t.Any]:
    result = opendump.open_dump(LocalHost(), str(path), str(rack / "scratch"), **given)
    assert os.listdir(rack / "scratch") == []
    return result


@pytest.mark.parametrize(
    "data",
    [kdump(), kdump(False), plain(elf_parts()), gzip.compress(kdump()), gzip.compress(kdump(False))],
    ids=["flattened", "plain", "elf", "gzip of flattened", "gzip of plain"],
)
def test_opened(rack: pathlib.Path, data: bytes) -> None:
    result = opened(rack, crash(rack, data), markers=["drill-7f3a", "drill-9"])
    assert (result["opened"], result["problems"], result["unread"]) == (True, [], {})
    assert result["dump"]["release"] == "6.1.0-56-amd64"
    assert result["dump"]["complete"] is True
    assert result["dmesg"]["panic"] == "Kernel panic - not syncing: sysrq triggered crash"
    assert result["dmesg"]["markers"] == {"drill-7f3a": True, "drill-9": False}
    assert result["dmesg"]["size_bytes"] == len(LOG)
    assert result["tool"] == {
        "version": "1.7.2",
        "warnings": ["The kernel version is not supported.", "The makedumpfile operation may be incomplete."],
    }
    assert result["scratch_bytes"] >= len(LOG)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "0 bytes"),
        (b"garbage", "no known dump format"),
        (kdump()[:-16], "without the end flag"),
        (kdump(False)[:-1], "truncated"),
        (kdump(False, split=1), "not known whether it is complete: one of several files of a split dump"),
        (gzip.compress(kdump()[:-16]), "without the end flag"),
        (gzip.compress(kdump())[:-20], "gzip ended with 1: gzip: stdin: unexpected end of file"),
        (gzip.compress(gzip.compress(kdump())), "compressed twice: gzip inside gzip"),
    ],
)
def test_not_opened(rack: pathlib.Path, data: bytes, told: str) -> None:
    result = opened(rack, crash(rack, data))
    assert result["opened"] is False
    assert len(result["problems"]) == 1
    assert told in result["problems"][0]
    assert result["dmesg"] is None
    assert result["unread"]["dmesg"] == result["problems"][0]


def test_no_dump_there(rack: pathlib.Path) -> None:
    assert opened(rack, rack / "crash" / "nothing")["problems"] == [str(rack / "crash" / "nothing") + ": not found"]


def test_a_link_is_not_followed(rack: pathlib.Path) -> None:
    crash(rack, kdump())
    (rack / "crash" / "link").symlink_to(rack / "crash" / S / ("dump." + S))
    assert "is not a plain file" in opened(rack, rack / "crash" / "link")["problems"][0]


def test_makedumpfile_missing(rack: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = crash(rack, kdump())

    class WithoutTools(LocalHost):
        def run(self, argv, **given):
            return super().run([name.replace("makedumpfile", "no-such-tool") for name in argv], **given)

    result = opendump.open_dump(WithoutTools(), str(path), str(rack / "scratch"))
    assert result["problems"] == ["makedumpfile is not installed (apt-get install makedumpfile)"]
    assert result["dump"]["release"] == "6.1.0-56-amd64"


def test_makedumpfile_failing(rack: pathlib.Path) -> None:
    stub(
        rack,
        "#!/bin/sh\n[ $1 = -v ] && exec echo version 1.7.2\n"
        "[ $1 = -R ] && exec cp {0} $2\necho 'Cannot read prb.'; echo; echo makedumpfile Failed.; exit 1\n".format(
            rack / "plain"
        ),
    )
    (rack / "plain").write_bytes(kdump(False))
    result = opened(rack, crash(rack, kdump()))
    assert result["problems"] == ["makedumpfile --dump-dmesg ended with 1: Cannot read prb."]


def test_reassembling_that_makes_another_dump(rack: pathlib.Path) -> None:
    stub(rack, "#!/bin/sh\n[ $1 = -v ] && exec echo version 1.7.2\nexec cp {0} $2\n".format(rack / "other"))
    (rack / "other").write_bytes(kdump(False, vmcoreinfo="OSRELEASE=5.10\n"))
    assert "another dump" in opened(rack, crash(rack, kdump()))["problems"][0]


def test_log_without_a_panic(rack: pathlib.Path) -> None:
    (rack / "log").write_text("[ 1.0] all is well\n")
    result = opened(rack, crash(rack, kdump()))
    assert result["problems"] == ["its kernel log (19 bytes) has no panic line"]
    assert result["dmesg"]["panic"] is None


def test_no_room(rack: pathlib.Path) -> None:
    path = crash(rack, kdump())

    class Full(LocalHost):
        def space(self, path: str) -> Space:
            return Space(10**9, 130 * 1024 * 1024)

    result = opendump.open_dump(Full(), str(path), str(rack / "scratch"))
    assert "no room to open it in {0}".format(rack / "scratch") in result["problems"][0]
    assert os.listdir(rack / "scratch") == []


def test_what_grows_is_stopped_at_the_room_there_is(rack: pathlib.Path) -> None:
    path = crash(rack, gzip.compress(bytes(64 * 1024 * 1024)))

    class Small(LocalHost):
        def space(self, path: str) -> Space:
            return Space(10**9, (128 + 16 + 16) * 1024 * 1024)

    result = opendump.open_dump(Small(), str(path), str(rack / "scratch"))
    assert result["problems"] == ["gzip ended with -25: it wants to write more than there is room for"]
    assert os.listdir(rack / "scratch") == []


def test_private_directory_is_private_and_stale_ones_go(rack: pathlib.Path) -> None:
    stale, fresh = rack / "scratch" / ".crashready-open-old", rack / "scratch" / ".crashready-open-new"
    for folder in (stale, fresh):
        folder.mkdir()
        (folder / "core").write_text("secret")
    os.utime(stale, (1, 1))
    seen = []

    class Watching(LocalHost):
        def run(self, argv, **given):
            seen.extend(path.stat().st_mode & 0o777 for path in (rack / "scratch").iterdir() if path != fresh)
            return super().run(argv, **given)

    result = opendump.open_dump(Watching(), str(crash(rack, kdump())), str(rack / "scratch"))
    assert result["opened"] is True
    assert seen[-1] == 0o700
    assert os.listdir(rack / "scratch") == [fresh.name]


def test_no_scratch_directory(rack: pathlib.Path) -> None:
    result = opendump.open_dump(LocalHost(), str(crash(rack, kdump())), str(rack / "nowhere"))
    assert result["problems"] == ["no private directory in {0}: No such file or directory".format(rack / "nowhere")]


def proven(rack: pathlib.Path, path: str | None = None, **expected: t.Any) -> dict[str, t.Any]:
    scratch = str(rack / "scratch")
    return opendump.prove_dump(RootsHost(), path, str(rack / "crash"), scratch, Expectation(**expected), None)


def test_newest_is_proven(rack: pathlib.Path) -> None:
    older = rack / "crash" / "202611231200"
    older.mkdir()
    path = crash(rack, kdump(names=NAMES))
    result = proven(rack, marker="drill-7f3a", release="6.1.0-56-amd64", newer_than=1795439109)
    assert (result["opened"], result["problems"]) == (True, [])
    assert result["file"] == str(path)
    assert result["crash"]["stamp"] == S


def test_another_panic_is_not_opened(rack: pathlib.Path) -> None:
    crash(rack, kdump(names=NAMES))
    result = proven(rack, marker="drill-8", build_id="ab" * 20, newer_than=1795439110)
    assert result["opened"] is False
    assert len(result["problems"]) == 3


def test_compressed_in_its_directory_is_proven(rack: pathlib.Path) -> None:
    crash(rack, gzip.compress(kdump(names=NAMES)), "dump.{0}.gz".format(S))
    result = proven(rack)
    assert (result["opened"], result["crash"]["valid"]) == (True, False)


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_another_machines_dump(rack: pathlib.Path, compress: t.Callable[[bytes], bytes]) -> None:
    names = ("Linux", "other-host", *NAMES[2:])
    path = crash(rack, compress(kdump(names=names)))
    assert proven(rack)["problems"] == ["foreign: it is the memory of 'other-host'"]
    assert proven(rack, str(path))["problems"] == []  # named by hand: a dump brought here to be looked at


@pytest.mark.parametrize(
    ("make", "told"), [(None, "no crash directory in"), (b"", "has 0 bytes"), (kdump(names=NAMES)[:5000], "truncated")]
)
def test_nothing_to_open(rack: pathlib.Path, make: bytes | None, told: str) -> None:
    if make is not None:
        crash(rack, make)
    result = proven(rack)
    assert result["opened"] is False
    assert len(result["problems"]) == 1
    assert told in result["problems"][0]
    assert set(result) == {
        "file", "opened", "problems", "dump", "dmesg", "tool", "scratch_bytes", "crash", "unread",
    }  # fmt: skip

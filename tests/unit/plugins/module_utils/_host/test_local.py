# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The live machine: files and processes of the machine that runs the tests."""

from __future__ import annotations

import array
import errno
import fcntl
import os
import signal
import struct
import time

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core import ethtool
from ansible_collections.rackops.crashready.plugins.module_utils._host import local
from ansible_collections.rackops.crashready.plugins.module_utils._host.base import Completed, Unreadable
from ansible_collections.rackops.crashready.plugins.module_utils._host.local import LocalHost


def reason(call, *args, **kwargs):
    with pytest.raises(Unreadable) as caught:
        call(*args, **kwargs)
    return caught.value.reason


@pytest.fixture
def tree(tmp_path):
    """A small root: /etc/os -> /usr/os, a link that climbs, a loop."""
    (tmp_path / "usr").mkdir()
    (tmp_path / "usr/os").write_bytes(b"0123456789")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os").symlink_to("/usr/os")
    (tmp_path / "etc/climb").symlink_to("../../../../../../../usr/os")
    (tmp_path / "etc/dir").symlink_to("/usr")
    (tmp_path / "etc/loop").symlink_to("loop")
    (tmp_path / "etc/out").symlink_to("/nowhere/at/all")
    return tmp_path


@pytest.fixture
def rooted(tree):
    return LocalHost(str(tree))


@pytest.mark.parametrize("path", ["/usr/os", "/etc/os", "/etc/climb", "/etc/dir/os", "/../etc/./dir/../usr/os"])
def test_links_stay_inside_the_root(rooted, path):
    assert rooted.read(path) == "0123456789"
    assert rooted.realpath(path) == "/usr/os"


def test_a_link_out_of_the_root_finds_nothing_there(tree, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "secret"
    outside.write_text("secret")
    (tree / "etc/secret").symlink_to(outside)
    assert reason(LocalHost(str(tree)).read, "/etc/secret") == "not found"


def test_reads_are_bounded(rooted):
    assert rooted.read_bytes("/usr/os", limit=3) == b"012"
    assert rooted.read_bytes("/usr/os", limit=3, offset=8) == b"89"
    assert rooted.read_bytes("/usr/os", limit=0) == b""


def test_a_big_file_is_read_in_pieces_up_to_the_limit(tree, rooted):
    (tree / "big").write_bytes(b"x" * 700_000)
    assert len(rooted.read_bytes("/big")) == 700_000
    assert len(rooted.read_bytes("/big", limit=600_001)) == 600_001


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("read_bytes", "/nothing", "not found"),
        ("read_bytes", "/usr", "is a directory"),
        ("read_bytes", "/usr/os/x", "not a directory"),
        ("read_bytes", "/etc/loop", "too many symbolic links"),
        ("read_bytes", "/a\0b", "not a valid path"),
        ("read_bytes", "/\udfff", "not a valid path"),
        ("listdir", "/usr/os", "not a directory"),
        ("listdir", "/nothing", "not found"),
        ("readlink", "/usr/os", "not a symbolic link"),
        ("readlink", "/nothing", "not found"),
        ("lstat", "/nothing", "not found"),
        ("lstat", "/a\0b", "not a valid path"),
        ("space", "/a\0b", "not a valid path"),
    ],
)
@pytest.mark.parametrize("with_root", [True, False])
def test_reasons(tree, method, path, expected, with_root):
    host, start = (LocalHost(str(tree)), "") if with_root else (LocalHost(), str(tree))
    assert reason(getattr(host, method), start + path) == expected


@pytest.mark.parametrize(
    ("number", "euid", "expected"),
    [
        (errno.EACCES, 1000, "permission denied (not root)"),
        (errno.EPERM, 1000, "permission denied (not root)"),
        (errno.EPERM, 0, "permission denied"),
        (errno.EIO, 0, "input/output error"),
        (errno.EINVAL, 0, "invalid argument"),
        (errno.ENOMEM, 0, os.strerror(errno.ENOMEM)),
    ],
)
def test_reasons_of_the_operating_system(monkeypatch, tmp_path, number, euid, expected):
    def fail(*args, **kwargs):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(local.os, "geteuid", lambda: euid)
    monkeypatch.setattr(local.os, "listdir", fail)
    assert reason(LocalHost().listdir, str(tmp_path)) == expected


def test_a_fifo_does_not_hold_the_collector(tree, rooted):
    os.mkfifo(tree / "fifo")
    assert reason(rooted.read, "/fifo") == "not a regular file"
    assert reason(LocalHost().read, "/dev/zero") == "not a regular file"
    assert rooted.lstat("/fifo").kind == "other"


def test_status_is_that_of_the_link(tree, rooted):
    (tree / "usr/os").chmod(0o640)
    os.utime(tree / "usr/os", (7, 7))
    assert rooted.lstat("/etc/os").kind == "link"
    status = rooted.lstat("/etc/dir/os")
    assert (status.kind, status.mode, status.size, status.mtime) == ("file", 0o640, 10, 7.0)
    assert rooted.lstat("/etc/dir").kind == "link"
    assert rooted.lstat("/").kind == "directory"


def test_exists_follows_links(rooted):
    assert rooted.exists("/etc/dir/os")
    assert not rooted.exists("/etc/out")
    assert not rooted.exists("/etc/loop")


def test_space_of_what_does_not_exist_yet(rooted, tree):
    found = os.statvfs(tree)
    space = rooted.space("/var/crash/202611230930")
    assert space.total == found.f_blocks * found.f_frsize
    assert 0 <= space.free <= space.total


def test_procfs_files_without_a_size_are_read_whole():
    assert LocalHost().read("/proc/self/status").startswith("Name:")
    assert LocalHost().read_line("/proc/sys/kernel/ostype") == "Linux"


def test_run_gives_both_outputs_and_the_end():
    done = LocalHost().run(["sh", "-c", "cat; echo err >&2; exit 3"], stdin="in\u00e9\n")
    assert done == Completed(3, "in\u00e9\n", "err\n")


def test_run_is_in_the_c_locale_whatever_the_caller_has(monkeypatch):
    monkeypatch.setenv("LC_MESSAGES", "de_DE.UTF-8")
    monkeypatch.setenv("LANGUAGE", "de")
    monkeypatch.setenv("PATH", os.environ["PATH"].replace("/usr/sbin", ""))
    script = 'echo "$LC_ALL,${LC_MESSAGES-},${LANGUAGE-},$MORE"; case ":$PATH:" in *:/usr/sbin:*) echo sbin;; esac'
    assert LocalHost().run(["sh", "-c", script], env={"MORE": "more"}).out == "C,,,more\nsbin\n"


def test_run_without_stdin_does_not_wait_for_one():
    assert LocalHost().run(["cat"], timeout_s=20) == Completed(0, "", "")


def test_run_that_does_not_read_its_stdin():
    assert LocalHost().run(["true"], stdin="x" * 1_000_000).rc == 0


def test_run_uses_no_shell():
    assert LocalHost().run(["printf", "%s", "$(id); *"]).out == "$(id); *"


def alive(pid):
    """Whether a process runs; one that waits for its parent's notice does not."""
    try:
        stat = LocalHost().read("/proc/{0}/stat".format(pid))
    except Unreadable:
        return False
    return stat.rsplit(")", 1)[1].split()[0] not in "ZX"


def test_run_kills_the_whole_group_in_time(tmp_path):
    script = "sleep 300 & echo $! > {0}/child; sleep 300".format(tmp_path)
    started = time.monotonic()
    assert reason(LocalHost().run, ["sh", "-c", script], timeout_s=1.5) == "timed out after 1.5 s"
    assert time.monotonic() - started < 60
    child = int((tmp_path / "child").read_text())
    deadline = time.monotonic() + 10
    while alive(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(child)


def test_run_ends_with_the_process_though_a_child_holds_its_output():
    started = time.monotonic()
    child = int(LocalHost().run(["sh", "-c", "sleep 90 & echo $!"], timeout_s=80).out)
    assert time.monotonic() - started < 60
    assert alive(child)
    os.kill(child, signal.SIGKILL)


def test_run_keeps_a_bounded_part_of_an_endless_output(monkeypatch):
    monkeypatch.setattr(local, "OUTPUT_LIMIT", 1000)
    done = LocalHost().run(["sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' x"])
    assert (done.rc, done.out) == (0, "x" * 1000)


def test_run_reasons(tmp_path):
    (tmp_path / "text").write_text("no program")
    host = LocalHost()
    assert reason(host.run, ["no-such-program-at-all"]) == "not found"
    assert reason(host.run, ["a\0b"]) == "not a valid path"
    assert reason(host.run, [str(tmp_path / "text")]).startswith("permission denied")


def test_another_root_is_not_the_running_machine(rooted):
    assert reason(rooted.run, ["true"]) == "commands are not run in another root"
    assert reason(rooted.driver_info, "lo") == "the driver is not asked about another root"


@pytest.mark.parametrize("name", ["no-such-if0", "", "a" * 16, "x/y"])
def test_an_interface_that_is_not_there(name):
    assert reason(LocalHost().driver_info, name) == "not found"


def test_the_loopback_has_no_driver():
    assert reason(LocalHost().driver_info, "lo") == "not supported by the driver"
    assert reason(LocalHost().channels, "lo") == "not supported by the driver"


def test_the_kernel_fills_the_buffer_that_the_request_points_to(monkeypatch):
    """A driver's answer, written where the kernel would write it: through the address in struct ifreq."""
    seen = {}

    def fake_ioctl(_descriptor, number, request):
        seen["number"], seen["name"] = number, request[:16].rstrip(b"\0")
        address = struct.unpack("P", request[16 : 16 + struct.calcsize("P")])[0]
        (buffer,) = [each for each in buffers if each.buffer_info()[0] == address]
        texts = (b"ixgbe", b"5.1.0-k", b"0x61bd0001", b"0000:08:00.0")
        for index, text in enumerate(texts):
            at = 4 + 32 * index
            buffer[at : at + len(text)] = array.array("B", text)
        return 0

    buffers = []

    class Recorded(array.array):
        def __init__(self, *args):
            buffers.append(self)

    monkeypatch.setattr(local.array, "array", Recorded)
    monkeypatch.setattr(fcntl, "ioctl", fake_ioctl)
    assert LocalHost().driver_info("ens1f0") == ("ixgbe", "5.1.0-k", "0x61bd0001", "0000:08:00.0")
    assert seen == {"number": ethtool.SIOCETHTOOL, "name": b"ens1f0"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_user_who_is_not_root_is_told_so():
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setuid(65534)
            os.write(writer, reason(LocalHost().read, "/etc/shadow").encode())
        finally:
            os._exit(0)
    os.close(writer)
    answer = os.read(reader, 200).decode()
    os.close(reader)
    os.waitpid(child, 0)
    assert answer == "permission denied (not root)"


def test_euid():
    assert LocalHost().euid == os.geteuid()

# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Copies of dumps: the real program, as it is put on a host, against a shell, a real sshd, a small filesystem."""

from __future__ import annotations

import fcntl
import getpass
import hashlib
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import time
import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core import ship
from ansible_collections.rackops.crashready.plugins.plugin_utils import host_program

STAMP = "202611232201"
DUMP = bytes(range(256)) * 2048  # 512 KiB
DMESG = b"[    1.000000] Kernel panic - not syncing: sysrq triggered crash\n"
HOST = "203.0.113.9"

#: As ssh would: the last argument is for the shell of the far end. FAR_CUT cuts the connection after so many bytes.
FAKE_SSH = """\
#!/bin/sh
for last; do :; done
echo "$@" >>"$FAR/../argv"
cd "$FAR" || exit 255
case $last in
*'cat >'*dump*)
    if [ -n "$FAR_CUT" ]; then
        head -c "$FAR_CUT" | sh -c "$last"
        echo 'Connection reset by peer' >&2
        exit 255
    fi ;;
esac
[ -z "$FAR_SAYS" ] || { echo "$FAR_SAYS" >&2; exit 255; }
exec sh -c "$last"
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The very file that the role puts on a host."""
    path = tmp_path_factory.mktemp("program") / "ship.pyz"
    path.write_bytes(host_program.build("ship"))
    return path


class Box:
    """A host with one crash, and a far end in a folder."""

    def __init__(self, root: pathlib.Path, program: pathlib.Path) -> None:
        self.root, self.program = root, program
        self.crash = root / "crash" / STAMP
        self.far = root / "far"
        self.env: dict[str, str] = {}
        self.target: dict[str, t.Any] | None = {"kind": "ssh", "folder": "crashes", "host": HOST, "user": "crash"}
        self.more: dict[str, t.Any] = {}
        for folder in (self.crash, self.far, root / "bin"):
            folder.mkdir(parents=True)
        (self.crash / ("dump." + STAMP)).write_bytes(DUMP)
        (self.crash / ("dmesg." + STAMP)).write_bytes(DMESG)
        fake = root / "bin" / "ssh"
        fake.write_text(FAKE_SSH, encoding="ascii")
        fake.chmod(0o755)

    @property
    def kept(self) -> pathlib.Path:
        return self.far / "crashes" / "store1" / STAMP

    @property
    def there(self) -> list[str]:
        return sorted(os.listdir(self.kept)) if self.kept.is_dir() else []

    def settings(self) -> dict[str, t.Any]:
        values: dict[str, t.Any] = {"name": "store1", "crash_folder": str(self.root / "crash"), "target": self.target}
        return {**values, "settle_s": 0, "retry_s": 60, **self.more}

    def argv(self) -> list[str]:
        config = self.root / "ship.json"
        config.write_text(json.dumps(self.settings()), encoding="utf-8")
        return [sys.executable, "-I", str(self.program), str(config), str(self.root / "state" / "ship.json")]

    def run(self, **env: str) -> tuple[int, str]:
        path = "{0}:{1}".format(self.root / "bin", os.environ["PATH"])
        values = {**os.environ, "PATH": path, "FAR": str(self.far), "FAR_CUT": "", "FAR_SAYS": "", **self.env, **env}
        done = subprocess.run(self.argv(), env=values, capture_output=True, text=True, timeout=60, check=False)
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, done.stderr

    def state(self) -> dict[str, t.Any]:
        return ship.parse_state((self.root / "state" / "ship.json").read_text(encoding="utf-8"))[STAMP]

    def again(self) -> None:
        """As if the time until the next try were over."""
        path = self.root / "state" / "ship.json"
        state = ship.parse_state(path.read_text(encoding="utf-8"))
        for entry in state.values():
            entry["next_try_s"] = 0.0
        path.write_text(ship.render_state(state), encoding="utf-8")


@pytest.fixture
def box(tmp_path: pathlib.Path, program: pathlib.Path) -> Box:
    return Box(tmp_path, program)


BOTH = ["dmesg." + STAMP, "dump." + STAMP]


def test_a_crash_is_kept_there_once(box: Box) -> None:
    code, said = box.run()
    assert (code, box.there) == (0, BOTH), said
    assert (box.kept / BOTH[1]).read_bytes() == DUMP
    assert hashlib.sha256(DUMP).hexdigest() in said
    assert all(each[3] for each in box.state()["files"].values())
    commands = (box.root / "argv").read_text(encoding="utf-8").count("\n")
    assert box.run() == (0, "")
    assert (box.root / "argv").read_text(encoding="utf-8").count("\n") == commands, "nothing is asked a second time"


def test_nothing_is_left_to_a_configuration_or_a_question(box: Box) -> None:
    box.run()
    argv = (box.root / "argv").read_text(encoding="utf-8").splitlines()[0]
    for word in ("-F none", "StrictHostKeyChecking=yes", "BatchMode=yes", "IdentityAgent=none", "ControlPath=none"):
        assert word in argv
    assert "UserKnownHostsFile=" + ship.KNOWN_HOSTS in argv


def test_a_connection_cut_in_the_middle_is_taken_up_again(box: Box) -> None:
    code, said = box.run(FAR_CUT="100000")
    assert code == 1
    assert "Connection reset by peer" in said
    assert BOTH[1] not in box.there, "never a half file under the final name"
    (part,) = [name for name in box.there if "dump" in name]
    assert (box.kept / part).stat().st_size == 100000
    assert (box.state()["attempts"], box.state()["next_try_s"] > time.time() + 50) == (1, True)
    code, said = box.run()
    assert (code, "again in" in said) == (1, True), "it waits for its time, and is not green meanwhile"
    box.again()
    assert box.run()[0] == 0
    assert (box.kept / BOTH[1]).read_bytes() == DUMP
    assert box.there == BOTH


def test_what_changed_on_the_way_is_found_there_and_sent_anew(box: Box) -> None:
    box.run(FAR_CUT="100000")
    (part,) = [name for name in box.there if "dump" in name]
    (box.kept / part).write_bytes(b"\0" * 100000)
    box.again()
    code, said = box.run()
    assert (code, "checksum" in said) == (1, True)
    assert BOTH[1] not in box.there
    box.again()
    assert box.run()[0] == 0
    assert (box.kept / BOTH[1]).read_bytes() == DUMP


def test_a_file_of_that_name_is_never_replaced(box: Box) -> None:
    box.kept.mkdir(parents=True)
    (box.kept / BOTH[1]).write_bytes(b"the dump of another host")
    code, said = box.run()
    assert (code, "another file has that name" in said) == (1, True)
    assert (box.kept / BOTH[1]).read_bytes() == b"the dump of another host"
    assert box.there == BOTH, "the kernel log is there all the same"


@pytest.mark.parametrize(
    "said", ["ssh: connect to host 203.0.113.9 port 22: Connection refused", "Host key verification failed."]
)
def test_a_target_that_is_down_or_another_one_is_said(box: Box, said: str) -> None:
    code, told = box.run(FAR_SAYS=said)
    assert (code, said.rstrip(".") in told) == (1, True)
    assert (box.crash / BOTH[1]).exists()


def test_the_wait_doubles_up_to_its_limit() -> None:
    settings = ship.Settings("a", retry_s=300, retry_most_s=3600)
    assert [ship.next_try_s(settings, count, 0) for count in (1, 2, 3, 4, 5, 99)] == [300, 600, 1200, 2400, 3600, 3600]


def test_two_runs_at_once_do_not_meet(box: Box) -> None:
    (box.root / "state").mkdir()
    with (box.root / "state" / "ship.json.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert box.run() == (0, "another run is at work\n")
    assert box.there == []


def test_two_hosts_of_one_name_do_not_write_into_one_file() -> None:
    assert ship.part_name("dump.1", "0123456789abcdef") != ship.part_name("dump.1", "fedcba9876543210")


def test_hostile_names_are_left_alone(box: Box) -> None:
    outside = box.root / "secret"
    outside.write_bytes(b"not for you")
    (box.root / "crash" / "202611232202").symlink_to(outside.parent)
    (box.root / "crash" / "$(touch pwned)").mkdir()
    (box.crash / ("dump." + STAMP + ".gz")).symlink_to(outside)
    (box.crash / "dump.$(touch pwned)").write_bytes(b"x")
    (box.crash / "-rf").write_bytes(b"x")
    (box.crash / "dump-incomplete").write_bytes(b"x")
    (box.crash / "a\n\x1b[31mb").write_bytes(b"x")
    os.mkfifo(box.crash / "vmcore.202611232201")
    code, said = box.run()
    assert (code, box.there) == (0, BOTH)
    assert "\x1b" not in said
    assert "202611232202: no directory of root's alone" in said
    assert not list(box.root.rglob("pwned"))


def test_a_folder_that_others_may_write_to_is_left_alone(box: Box) -> None:
    box.crash.chmod(0o777)
    assert box.run()[0] == 0
    assert box.there == []


def test_what_is_written_to_just_now_waits(box: Box) -> None:
    box.more["settle_s"] = 3600
    assert box.run()[0] == 1
    assert box.there == []


def test_the_rate_is_kept(box: Box) -> None:
    box.more["rate_bytes_s"] = 512 * 1024
    start = time.monotonic()
    assert box.run()[0] == 0
    assert 0.9 < time.monotonic() - start < 10


@pytest.mark.parametrize("text", ["", "{", '{"crashes": 3}', '{"crashes": {"a": {"files": {"b": [1]}}}}', "[" * 2000])
def test_a_state_that_is_garbage_is_none(text: str) -> None:
    for entry in ship.parse_state(text).values():
        assert entry["files"] == {}


# --- encryption -------------------------------------------------------------------------------------------------------


def test_encrypted_and_the_plain_dump_gone(box: Box) -> None:
    if not shutil.which("age"):
        pytest.skip("age is not installed")
    done = subprocess.run(["age-keygen"], capture_output=True, text=True, check=True)
    recipient = next(line.split()[-1] for line in done.stdout.splitlines() if "public key" in line)
    (box.root / "recipients").write_text(recipient + "\n", encoding="ascii")
    (box.root / "identity").write_text(done.stdout, encoding="ascii")
    box.more = {"encrypt": "age", "keep_plain": False, "recipients": str(box.root / "recipients")}
    code, said = box.run()
    assert (code, box.there) == (0, [name + ".age" for name in BOTH]), said
    assert sorted(os.listdir(box.crash)) == [BOTH[0], BOTH[0] + ".age", BOTH[1] + ".age"], "the kernel log stays"
    opened = ["age", "--decrypt", "--identity", str(box.root / "identity"), str(box.kept / (BOTH[1] + ".age"))]
    assert subprocess.run(opened, capture_output=True, check=True).stdout == DUMP
    assert box.run() == (0, "")


def test_encrypted_for_a_key_of_gpg(box: Box) -> None:
    if not shutil.which("gpg"):
        pytest.skip("gpg is not installed")
    home = box.root / "gpg"
    home.mkdir(mode=0o700)
    gpg = ["gpg", "--homedir", str(home), "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""]
    subprocess.run([*gpg, "--quick-gen-key", "crash@example.org", "ed25519"], check=True, capture_output=True)
    show = subprocess.run([*gpg, "--with-colons", "--list-keys"], check=True, capture_output=True, text=True).stdout
    finger = re.findall(r"(?m)^fp.:+([0-9A-F]{40}):", show)[0]
    subprocess.run([*gpg, "--quick-add-key", finger, "cv25519"], check=True, capture_output=True)
    key = subprocess.run([*gpg, "--armor", "--export"], check=True, capture_output=True).stdout
    (box.root / "recipients").write_bytes(key)
    box.target = None
    box.more = {"encrypt": "gpg", "recipients": str(box.root / "recipients")}
    try:
        code, said = box.run()
        assert code == 0, said
        opened = subprocess.run(
            [*gpg, "--decrypt", str(box.crash / (BOTH[1] + ".gpg"))], capture_output=True, check=True
        )
        assert opened.stdout == DUMP
        assert (box.crash / BOTH[1]).exists(), "the plain dump is kept where that is asked for"
    finally:
        subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=False, capture_output=True)


def test_a_program_that_fails_leaves_the_plain_dump_and_nothing_else(box: Box) -> None:
    (box.root / "bin" / "age").write_text("#!/bin/sh\nhead -c 10; echo 'no such recipient' >&2; exit 1\n")
    (box.root / "bin" / "age").chmod(0o755)
    box.more = {"encrypt": "age", "keep_plain": False, "recipients": str(box.root / "recipients")}
    code, said = box.run()
    assert (code, "no such recipient" in said) == (1, True)
    assert sorted(os.listdir(box.crash)) == BOTH
    assert box.there == []


def test_a_drill_that_waits_keeps_the_plain_dump(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    from ansible_collections.rackops.crashready.plugins.module_utils._change import ship as running

    folder = tmp_path / "crash"
    folder.mkdir()
    for name in ("dump.1", "dump.1.age"):
        (folder / name).write_bytes(b"x")
    (tmp_path / "drill.json").write_text("{}")
    monkeypatch.setattr(running, "DRILL_STATE", str(tmp_path / "drill.json"))
    handle = os.open(folder, os.O_RDONLY)
    try:
        crash = running._Crash(ship.Settings("a", encrypt="age", keep_plain=False), "1", handle, {"files": {}})
        crash._remove_plain()
        assert (folder / "dump.1").exists()
        (tmp_path / "drill.json").unlink()
        crash._remove_plain()
        assert not (folder / "dump.1").exists()
    finally:
        os.close(handle)


# --- a mount ----------------------------------------------------------------------------------------------------------


def in_namespace(box: Box, size: str, script: str = "") -> tuple[int, str]:
    """Run the program where `box.far` is a tmpfs of a size, in a mount namespace that the test makes itself."""
    probe = ["unshare", "--user", "--map-root-user", "--mount", "true"]
    if subprocess.run(probe, capture_output=True, check=False).returncode != 0:
        pytest.skip("this machine lets nobody make a mount namespace")
    words = " ".join("'{0}'".format(word) for word in box.argv())
    text = (
        "mount -t tmpfs -o size={0} nas:/crashes '{1}' && "
        "{{ {2} {3}; rc=$?; cd '{1}'; find . -type f | sort >&2; exit $rc; }}"
    )
    command = text.format(size, box.far, script, words)
    done = subprocess.run([*probe[:-1], "sh", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stderr


def test_a_mount_gets_a_whole_copy(box: Box) -> None:
    box.target = {"kind": "folder", "folder": str(box.far)}
    code, said = in_namespace(box, "4m")
    assert code == 0, said
    assert [path.rsplit("/", 1)[-1] for path in said.split()[-2:]] == BOTH


def test_another_mount_than_the_one_that_was_meant(box: Box) -> None:
    box.target = {"kind": "folder", "folder": str(box.far), "export": "other:/crashes"}
    code, said = in_namespace(box, "4m")
    assert (code, "nas:/crashes is mounted there, not other:/crashes" in said) == (1, True), said
    box.target["export"] = "nas:/crashes"
    box.again()
    assert in_namespace(box, "4m")[0] == 0


def test_what_is_not_mounted_is_not_written_below(box: Box) -> None:
    box.target = {"kind": "folder", "folder": str(box.far)}
    code, said = box.run()
    assert (code, "is not mounted" in said) == (1, True)
    assert os.listdir(box.far) == []


def test_a_full_far_end_has_no_half_file(box: Box) -> None:
    box.target = {"kind": "folder", "folder": str(box.far)}
    code, said = in_namespace(box, "300k")
    assert (code, "are free there" in said) == (1, True)
    assert [path.rsplit("/", 1)[-1] for path in said.splitlines() if path.startswith("./")] == BOTH[:1]


def test_a_disk_that_fills_up_over_ssh_is_left_without_a_part(box: Box) -> None:
    """df says that there is room (it lies, or another host was quicker): the write fails, and what there is goes."""
    (box.root / "bin" / "df").write_text("#!/bin/sh\necho head\necho x 1 1 99999999 1% /\n")
    (box.root / "bin" / "df").chmod(0o755)
    path = "PATH='{0}':$PATH FAR='{1}' FAR_CUT= FAR_SAYS=".format(box.root / "bin", box.far)
    code, said = in_namespace(box, "300k", path)
    assert (code, "a full disk?" in said) == (1, True), said
    assert [path.rsplit("/", 1)[-1] for path in said.splitlines() if path.startswith("./")] == BOTH[:1]


# --- a real sshd ------------------------------------------------------------------------------------------------------


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def sshd(box: Box) -> t.Iterator[Box]:
    """Debian's sshd on the loopback, with keys of its own."""
    binary = shutil.which("sshd", path=os.environ["PATH"] + ":/usr/sbin")
    if binary is None or not shutil.which("ssh-keygen"):
        pytest.skip("openssh-server is not installed")
    if os.geteuid() == 0:
        if subprocess.run(["getent", "passwd", "sshd"], capture_output=True, check=False).returncode != 0:
            pytest.skip("as root sshd wants its user sshd")
        os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
    for name in ("host_key", "user_key", "other_key"):
        key = str(box.root / name)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    (box.root / "bin" / "ssh").unlink()
    port, user = _free_port(), getpass.getuser()
    (box.root / "authorized").write_text((box.root / "user_key.pub").read_text())
    config = box.root / "sshd_config"
    config.write_text(
        "Port {0}\nListenAddress 127.0.0.1\nHostKey {1}/host_key\nAuthorizedKeysFile {1}/authorized\nStrictModes no\n"
        "PidFile none\nUsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\n"
        "KbdInteractiveAuthentication no\n".format(port, box.root)
    )
    process = subprocess.Popen([binary, "-D", "-e", "-f", str(config)], stderr=subprocess.PIPE)
    box.target = {"kind": "ssh", "folder": str(box.far / "crashes"), "host": "127.0.0.1", "user": user, "port": port}
    box.more = {"key": str(box.root / "user_key"), "known_hosts": str(box.root / "known_hosts")}
    pin(box, "host_key")
    try:
        for _attempt in range(100):
            with socket.socket() as probe:
                if process.poll() is not None or probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        yield box
    finally:
        process.terminate()
        process.wait(10)
        if process.stderr:
            process.stderr.close()


def pin(box: Box, name: str) -> None:
    key = (box.root / (name + ".pub")).read_text().split()[:2]
    (box.root / "known_hosts").write_text("127.0.0.1 {0}\n".format(" ".join(key)))


def test_a_real_sshd_keeps_a_crash(sshd: Box) -> None:
    code, said = sshd.run()
    assert (code, sshd.there) == (0, BOTH), said
    assert (sshd.kept / BOTH[1]).read_bytes() == DUMP
    assert (sshd.kept / BOTH[1]).stat().st_mode & 0o077 == 0


def test_a_real_sshd_with_another_host_key_gets_nothing(sshd: Box) -> None:
    pin(sshd, "other_key")
    code, said = sshd.run()
    assert (code, "ost key verification failed" in said) == (1, True), said
    assert sshd.there == []


def test_a_real_sshd_that_does_not_know_the_key(sshd: Box) -> None:
    sshd.more["key"] = str(sshd.root / "other_key")
    code, said = sshd.run()
    assert (code, "Permission denied" in said) == (1, True), said


def test_a_connection_over_a_chosen_nic_is_handed_to_ssh(sshd: Box) -> None:
    """ProxyUseFdpass with the program's own `connect`, over the loopback."""
    settings = ship.settings_from(sshd.settings())
    port = settings.target.port if settings.target else 0
    proxy = "{0} -I {1} connect lo 127.0.0.1 {2}".format(sys.executable, sshd.program, port)
    argv = ["ssh", *ship.ssh_options(settings, proxy), "--", "127.0.0.1", "echo arrived"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (0, "arrived\n"), done.stderr


# --- past a NIC -------------------------------------------------------------------------------------------------------

#: Two ways to 203.0.113.9, the usual one over eth0; there a port that takes connections.
NETWORK = """\
set -e
mount -t tmpfs none /run
mkdir -p /run/netns
ip netns add far
for n in 0 1; do
    ip link add eth$n type veth peer name p$n
    ip link set p$n netns far
    ip link set eth$n up
    ip netns exec far ip link set p$n up
done
ip link set lo up
ip addr add 192.0.2.5/24 dev eth0
ip addr add 198.51.100.5/24 dev eth1
ip netns exec far sh -c 'ip link set lo up
    ip addr add 192.0.2.1/24 dev p0; ip addr add 198.51.100.1/24 dev p1; ip addr add 203.0.113.9/32 dev lo'
ip route add default via 192.0.2.1
ip route add default via 198.51.100.1 metric 100
mount -t sysfs none /sys
ip netns exec far $PYTHON -c 'import socket, time
ports = [socket.create_server(("203.0.113.9", 22))]
open("/run/ready", "w").close()
time.sleep(60)' &
listener=$!
trap 'kill $listener' EXIT
while [ ! -e /run/ready ]; do sleep 0.05; done
"""
#: Stands in for ssh: takes the connection that the program makes, as ProxyUseFdpass does, and says where it comes from.
ASKED = """\
#!{python}
import array, socket, subprocess, sys
proxy = [word.partition("=")[2] for word in sys.argv if word.startswith("ProxyCommand=")]
if not proxy:
    sys.exit("no connection of its own was asked for")
here, there = socket.socketpair()
subprocess.run(["sh", "-c", proxy[0]], stdout=there, check=True)
_data, passed, _flags, _from = here.recvmsg(1, 64)
number = array.array("i", passed[0][2][:4])[0]
made = socket.socket(fileno=number)
print("made from", made.getsockname()[0], "to", made.getpeername(), file=sys.stderr)
sys.exit(255)
"""


@pytest.mark.parametrize(
    ("avoid", "more", "told"),
    [
        (["eth0"], {}, "made from 198.51.100.5 to ('203.0.113.9', 22)"),
        ([], {}, "no connection of its own was asked for"),
        (["eth0", "eth1"], {}, "there is no other way"),
        (["eth0", "eth1"], {"suspect": "refuse"}, "refused: over eth0"),
    ],
)
def test_past_a_suspect_nic(box: Box, avoid: list[str], more: dict[str, t.Any], told: str) -> None:
    (box.root / "bin" / "ssh").write_text(ASKED.format(python=sys.executable), encoding="ascii")
    box.more = {"avoid": avoid, **more}
    box.target = {"kind": "ssh", "folder": "crashes", "host": "203.0.113.9", "user": "crash"}
    words = " ".join("'{0}'".format(word) for word in box.argv())
    argv = ["unshare", "--user", "--map-root-user", "--net", "--mount", "sh", "-c", NETWORK + words]
    path = "{0}:/usr/sbin:/usr/bin:/sbin:/bin".format(box.root / "bin")
    env = {"PATH": path, "PYTHON": sys.executable}
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    if STAMP not in done.stderr:
        pytest.skip("no links can be made here: {0}".format(done.stderr.strip()[-200:]))
    assert (done.returncode, told in done.stderr) == (1, True), done.stderr

# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The VM rack: guests, the rack's state, the inventory, the command line. QEMU is played by small scripts."""

from __future__ import annotations

import io
import json
import os
import pathlib
import shutil
import socket
import stat
import subprocess
import sys
import threading
import typing as t

import pytest
import yaml

from crashready.lab import accel, cli, commands, guest, inventory, qmp, rack, spec
from crashready.lab.errors import GuestError, LabError
from crashready.lab.progress import Progress

TCG = accel.Accelerator("tcg", "test")


def a_guest(tmp_path: pathlib.Path, text: str = "web1=trixie,nic=e1000e", port: int = 2201) -> guest.Guest:
    folder = tmp_path / "guests" / "web1"
    folder.mkdir(parents=True, exist_ok=True)
    key = tmp_path / "id_ed25519-trixie"
    return guest.Guest(spec.parse_guest(text), folder, port, key, tmp_path / "known_hosts", tmp_path / "disk.raw")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=trixie", spec.GuestSpec("a", "trixie")),
        ("a=bookworm,memory=4096,cpus=4", spec.GuestSpec("a", "bookworm", memory_mib=4096, cpus=4)),
        ("a=trixie,nic=e1000e,nic=vmxnet3", spec.GuestSpec("a", "trixie", nics=("e1000e", "vmxnet3"))),
        ("a=trixie,nic=e1000e@b,nic=igb", spec.GuestSpec("a", "trixie", nics=("e1000e@b", "igb"))),
        ("a=trixie,group=canary,watchdog=yes", spec.GuestSpec("a", "trixie", groups=("canary",), watchdog=True)),
    ],
)
def test_guests_are_read_from_the_command_line(text: str, expected: spec.GuestSpec) -> None:
    assert spec.parse_guest(text) == expected
    assert spec.GuestSpec.from_json(json.loads(json.dumps(expected.to_json()))) == expected


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("trixie", "NAME=SUITE"),
        ("a=sid", "'sid'"),
        ("A_b=trixie", "host name"),
        ("a;reboot=trixie", "host name"),
        ("a=trixie,memory=lots", "'lots'"),
        ("a=trixie,memory=1", "128 or more"),
        ("a=trixie,nic=ixgbe", "'ixgbe'.*e1000e"),
        ("a=trixie,group=9x", "inventory group"),
        ("a=trixie,colour=red", "'colour'.*memory"),
        ("a=trixie" + ",nic=e1000e" * 9, "8 cards"),
        ("a=trixie,nic=e1000e@", "another guest, not to ''"),
        ("a=trixie,nic=e1000e@a", "another guest, not to 'a'"),
        ("a=trixie,nic=e1000e@../b", "another guest"),
        ("a=trixie,nic=e1000e@b,nic=igb@b", "two wires to b"),
        ("{0}=trixie,nic=e1000e@{0}b".format("a" * 50), "too long for a wire"),
    ],
)
def test_wrong_guests_are_refused_with_the_reason(text: str, complaint: str) -> None:
    with pytest.raises(LabError, match=complaint):
        spec.parse_guest(text)


def test_cards_have_networks_and_addresses_of_their_own(tmp_path: pathlib.Path) -> None:
    made = a_guest(tmp_path, "web1=trixie,nic=e1000e,nic=vmxnet3")
    argv = made.command(TCG)
    networks = [word for word in argv if word.startswith("user,id=card")]
    assert networks == [
        "user,id=card1,restrict=on,net=10.0.101.0/24",
        "user,id=card2,restrict=on,net=10.0.102.0/24",
    ]
    assert len({made.mac(number) for number in range(3)}) == 3
    assert "user,id=ssh,hostfwd=tcp:127.0.0.1:2201-:22" in argv
    assert "-no-reboot" not in argv
    assert not any("vmcoreinfo" in word for word in argv)


def test_a_wire_has_two_ends_that_meet(tmp_path: pathlib.Path) -> None:
    """What one guest takes is what the other sends to, each seen from its own folder."""
    ends = {}
    for name, other in (("web1", "web2"), ("web2", "web1")):
        made = a_guest(tmp_path, "{0}=trixie,nic=vmxnet3,nic=e1000e@{1}".format(name, other))
        (word,) = [word for word in made.command(TCG) if word.startswith("dgram,id=card2,")]
        given = dict(part.split("=", 1) for part in word.split(",")[1:])
        assert given["local.type"] == given["remote.type"] == "unix"
        assert "e1000e,netdev=card2,romfile=,mac={0}".format(made.mac(2)) in made.command(TCG)
        assert "user,id=card1,restrict=on,net=10.0.101.0/24" in made.command(TCG)
        folder = tmp_path / "guests" / name
        ends[name] = [os.path.normpath(folder / given[side]) for side in ("local.path", "remote.path")]
    assert ends["web1"] == list(reversed(ends["web2"]))
    assert ends["web1"][0] == str(tmp_path / "guests" / "web1" / "wire-web2")


def test_qemu_takes_a_wire_whose_other_end_is_not_there_yet(tmp_path: pathlib.Path) -> None:
    """QEMU itself, without a machine and so without a guest."""
    if shutil.which("qemu-system-x86_64") is None:
        pytest.skip("QEMU is not installed")
    folder = tmp_path / "guests" / "web1"
    made = a_guest(tmp_path, "web1=trixie,nic=e1000e@web2")
    (tmp_path / "guests" / "web2").mkdir()
    argv = [guest.QEMU, "-nodefaults", "-no-user-config", "-machine", "none", "-display", "none", "-qmp", "stdio"]
    argv += ["-netdev", made._network(1, "web2")]
    said = '{"execute": "qmp_capabilities"} {"execute": "quit"}'
    done = subprocess.run(argv, cwd=folder, input=said, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert stat.S_ISSOCK((folder / "wire-web2").stat().st_mode)


def test_a_wire_with_one_end_is_refused(tmp_path: pathlib.Path) -> None:
    made = rack.Rack(tmp_path / "run", Progress(quiet=True))
    with pytest.raises(LabError, match="web1 has a wire to web2, which has none to web1"):
        made._add([spec.parse_guest("web1=trixie,nic=e1000e@web2"), spec.parse_guest("web2=trixie")], True, ())
    assert made.guests == {}


def test_ssh_checks_the_host_key_and_reads_no_configuration_of_the_user(tmp_path: pathlib.Path) -> None:
    argv = a_guest(tmp_path).ssh_command()
    assert argv[:3] == ["ssh", "-F", "none"]
    assert "StrictHostKeyChecking=yes" in argv
    assert 'UserKnownHostsFile="{0}"'.format(tmp_path / "known_hosts") in argv
    assert argv[-1] == "root@127.0.0.1"


@pytest.fixture
def process() -> t.Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as child:
        yield child
        child.kill()


def test_only_the_process_that_was_started_is_ever_stopped(
    tmp_path: pathlib.Path, process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    wait = guest.Guest._wait_end
    # It is no QEMU that could be asked to quit: waiting for that takes five seconds.
    monkeypatch.setattr(guest.Guest, "_wait_end", lambda self, limit_s: wait(self, min(limit_s, 0.5)))
    made = a_guest(tmp_path)
    made.pid, made.started = process.pid, guest.process_start(process.pid)
    assert not made.alive()  # the number and the start fit, but its command line is another's
    made.stop()
    assert process.poll() is None
    made.uuid = "sleep"
    made.pid, made.started = process.pid, 1
    assert not made.alive()  # the same number, but begun at another time
    made.stop()
    assert process.poll() is None
    made.pid, made.started = process.pid, guest.process_start(process.pid)
    assert made.alive()
    made.stop()
    assert process.wait(5) == -15


def test_a_process_that_has_ended_is_not_there() -> None:
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert guest.process_start(child.pid) is None  # a zombie
    child.wait()
    assert guest.process_start(child.pid) is None


@pytest.fixture
def fake_qemu(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> t.Callable[[str], None]:
    """Puts a script in QEMU's place."""

    def put(body: str) -> None:
        program = tmp_path / "qemu"
        program.write_text("#!/bin/sh\n" + body)
        program.chmod(0o755)
        monkeypatch.setattr(guest, "QEMU", str(program))
        monkeypatch.setattr(accel, "QEMU", str(program))

    return put


def test_a_qemu_that_does_not_start_says_why(tmp_path: pathlib.Path, fake_qemu: t.Callable[[str], None]) -> None:
    fake_qemu("echo \"qemu: 'igb' is not a valid device model name\" >&2; exit 1\n")
    with pytest.raises(GuestError, match=r"web1: QEMU ended with 1(.|\n)*not a valid device"):
        a_guest(tmp_path).start(TCG)


def test_a_guest_that_does_not_answer_shows_its_console(
    tmp_path: pathlib.Path, process: subprocess.Popen[bytes]
) -> None:
    made = a_guest(tmp_path, port=guest.free_port())
    made.uuid, made.pid, made.started = "sleep", process.pid, guest.process_start(process.pid)
    made.console.write_text("[ OK ] \x1b[1mBoot\x1b[0m\nGave up waiting for root file system device.\n")
    with pytest.raises(GuestError, match=r"no answer over ssh within 0.1 s(.|\n)*\nGave up waiting") as caught:
        made.wait_boot(limit_s=0.1)
    assert "\x1b" not in str(caught.value)
    process.kill()
    process.wait()
    with pytest.raises(GuestError, match="QEMU process has ended"):
        made.wait_boot(limit_s=30)


def test_a_port_that_only_takes_the_connection_is_no_guest(tmp_path: pathlib.Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        made = a_guest(tmp_path, port=server.getsockname()[1])

        def hang_up() -> None:
            server.accept()[0].close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        assert made.boot_id() is None
        thread.join()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("echo '[    1.0] Kernel panic - not syncing: VFS: Unable to mount root fs'\n", ""),
        ("echo 'Assertion failed: nmsrs' >&2; exit 134\n", "did not start: Assertion failed: nmsrs"),
        ("exec sleep 30\n", "did not get through its boot in 0.5 s"),
        ("exit 0\n", "QEMU ended with 0"),
    ],
)
def test_kvm_is_believed_only_when_a_guest_ran(
    tmp_path: pathlib.Path, fake_qemu: t.Callable[[str], None], body: str, reason: str
) -> None:
    fake_qemu(body)
    found = accel.probe_kvm(tmp_path / "vmlinuz", limit_s=0.5, qemu=accel.QEMU)
    assert found.endswith(reason)
    assert bool(found) == bool(reason)


def test_the_probe_is_asked_once_a_boot(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRASHREADY_CACHE", str(tmp_path))
    monkeypatch.delenv("CRASHREADY_ACCEL", raising=False)
    monkeypatch.setattr(os, "access", lambda path, mode: True)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    asked = []

    def probe(kernel: pathlib.Path) -> str:
        asked.append(kernel)
        return "it hangs"

    monkeypatch.setattr(accel, "probe_kvm", probe)
    for _ignored in range(2):
        assert accel.choose(tmp_path / "vmlinuz", Progress(quiet=True)) == accel.Accelerator("tcg", "it hangs")
    assert len(asked) == 1
    kept = json.loads((tmp_path / "accelerator.json").read_text())
    (tmp_path / "accelerator.json").write_text(json.dumps({**kept, "boot_id": "another boot"}))
    accel.choose(tmp_path / "vmlinuz", Progress(quiet=True))
    assert len(asked) == 2
    monkeypatch.setenv("CRASHREADY_ACCEL", "kvm")
    assert accel.choose(tmp_path / "vmlinuz", Progress(quiet=True)).name == "kvm"
    monkeypatch.setenv("CRASHREADY_ACCEL", "warp")
    with pytest.raises(LabError, match="'warp'"):
        accel.choose(tmp_path / "vmlinuz", Progress(quiet=True))


def play_qmp(folder: pathlib.Path, replies: t.Sequence[t.Mapping[str, t.Any]]) -> threading.Thread:
    """A control socket that greets and then gives one reply a line it reads."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(os.path.relpath(folder / "qmp"))
    server.listen(1)

    def serve() -> None:
        with server, server.accept()[0] as link, link.makefile("rw") as stream:
            stream.write('{"QMP": {"version": {}}}\n')
            stream.flush()
            for reply in replies:
                stream.readline()
                stream.write('{"event": "RESET"}\n' + json.dumps(reply) + "\n")
                stream.flush()

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


def test_qmp_works_below_a_path_longer_than_a_socket_address(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    monkeypatch.chdir(folder)
    thread = play_qmp(folder, [{"return": {}}, {"return": {"status": "running"}}])
    assert qmp.execute(folder, "query-status") == {"status": "running"}
    thread.join()


def test_qmp_errors_are_one_kind(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LabError, match="control socket"):
        qmp.execute(tmp_path, "query-status")
    monkeypatch.chdir(tmp_path)
    thread = play_qmp(tmp_path, [{"return": {}}, {"error": {"class": "GenericError", "desc": "no such thing"}}])
    with pytest.raises(LabError, match="no such thing"):
        qmp.execute(tmp_path, "nonsense")
    thread.join()


def test_the_inventory_is_an_ordinary_one(tmp_path: pathlib.Path) -> None:
    web = a_guest(tmp_path, "web1=trixie,group=canary")
    web.spec = spec.GuestSpec(
        "web1", "trixie", groups=("canary",), variables={"kdump_reboot_ok": True, "text": "a: 'b' #", "list": [1, "x"]}
    )
    db = a_guest(tmp_path, "db-1=bookworm", port=2202)
    text = inventory.render_yaml(inventory.inventory([web, db], tmp_path / "known_hosts"))
    top = yaml.safe_load(text)["all"]
    assert top["hosts"]["web1"] == {
        "ansible_host": "127.0.0.1",
        "ansible_port": 2201,
        "ansible_ssh_private_key_file": str(tmp_path / "id_ed25519-trixie"),
        "kdump_reboot_ok": True,
        "text": "a: 'b' #",
        "list": [1, "x"],
    }
    assert top["hosts"]["db-1"]["ansible_port"] == 2202
    assert top["children"] == {
        "trixie": {"hosts": {"web1": {}}},
        "canary": {"hosts": {"web1": {}}},
        "bookworm": {"hosts": {"db-1": {}}},
    }
    assert top["vars"]["ansible_user"] == "root"
    assert "StrictHostKeyChecking=yes" in top["vars"]["ansible_ssh_common_args"]
    assert "UserKnownHostsFile={0}".format(tmp_path / "known_hosts") in top["vars"]["ansible_ssh_common_args"]


def test_the_host_keys_of_an_image_are_known_at_each_port(tmp_path: pathlib.Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "k")], check=True)
    key = " ".join((tmp_path / "k.pub").read_text().split()[:2])
    (tmp_path / "known_hosts").write_text(inventory.known_hosts([(2201, [key]), (2202, [key])]))
    for port, status in ((2201, 0), (2202, 0), (2203, 1)):
        argv = ["ssh-keygen", "-F", "[127.0.0.1]:{0}".format(port), "-f", str(tmp_path / "known_hosts")]
        assert subprocess.run(argv, capture_output=True, check=False).returncode == status


@pytest.fixture
def a_rack(tmp_path: pathlib.Path) -> pathlib.Path:
    """A run directory with one guest that is not running."""
    made = rack.Rack(tmp_path / "run", Progress(quiet=True))
    made.folder.mkdir()
    made.guests["web1"] = made._guest(spec.parse_guest("web1=trixie"), tmp_path / "image" / "disk.raw", port=2201)
    made._save()
    return made.folder


def test_a_rack_is_found_again(a_rack: pathlib.Path) -> None:
    again = rack.Rack(a_rack)
    assert again.guest("web1").spec == spec.parse_guest("web1=trixie")
    assert [(row["name"], row["state"], row["pid"]) for row in again.status()] == [("web1", "stopped", None)]
    with pytest.raises(LabError, match=r"'db1'.*there: web1"):
        again.guest("db1")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 99, "guests": []}', '{"schema": 1, "guests": [{}]}'])
def test_a_damaged_state_is_named(a_rack: pathlib.Path, text: str) -> None:
    (a_rack / "rack.json").write_text(text)
    with pytest.raises(LabError, match=r"rack\.json cannot be used"):
        rack.Rack(a_rack)


def test_down_removes_the_disk_and_keeps_the_console(a_rack: pathlib.Path) -> None:
    folder = a_rack / "guests" / "web1"
    folder.mkdir(parents=True)
    for name in ("disk.qcow2", "console.log"):
        (folder / name).write_text("x")
    rack.Rack(a_rack, Progress(quiet=True)).down()
    assert [path.name for path in folder.iterdir()] == ["console.log"]
    assert rack.Rack(a_rack).guests == {}
    assert yaml.safe_load((a_rack / "hosts.yml").read_text())["all"]["hosts"] == {}


def test_two_commands_do_not_change_a_rack_at_once(a_rack: pathlib.Path) -> None:
    first, second = rack.Rack(a_rack, Progress(quiet=True)), rack.Rack(a_rack, Progress(quiet=True))
    with first.locked(), pytest.raises(LabError, match="another command is at work"):
        second.down()


def test_a_guest_cannot_become_another_one(a_rack: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "require_tools", lambda names, purpose: None)
    with pytest.raises(LabError, match="made otherwise"):
        rack.Rack(a_rack, Progress(quiet=True)).up([spec.parse_guest("web1=bookworm")])


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        ([], 3),
        (["up"], 3),
        (["up", "RUN", "--guest", "a=sid"], 3),
        (["image", "sid"], 3),
        (["up", "RUN", "--guest", "a=trixie", "--var", "a.b"], 3),
        (["status", "--help"], 0),
    ],
)
def test_wrong_usage_ends_with_3(argv: list[str], code: int, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(argv)
    assert caught.value.code == code
    assert bool(capsys.readouterr().out) == (code == 0)


@pytest.mark.parametrize(
    ("argv", "code", "complaint"),
    [
        (["console", "RUN", "nobody"], 4, "no guest 'nobody'"),
        (["up", "RUN", "--guest", "a=trixie", "--guest", "a=bookworm"], 4, "same name"),
        (["up", "RUN", "--guest", "a=trixie", "--var", "b:x=1"], 4, "'b'"),
        (["status", "RUN"], 2, ""),
        (["down", "RUN"], 0, ""),
    ],
)
def test_exit_codes(
    tmp_path: pathlib.Path, argv: list[str], code: int, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([str(tmp_path / "run") if word == "RUN" else word for word in argv]) == code
    captured = capsys.readouterr()
    assert complaint in captured.err
    assert captured.out == ""


def test_status_names_a_guest_that_does_not_run(a_rack: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["status", str(a_rack), "--json"]) == 2
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["name"], row["state"], row["port"]) == ("web1", "stopped", 2201)


def test_the_console_is_printed_without_terminal_sequences(
    a_rack: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = a_rack / "guests" / "web1"
    folder.mkdir(parents=True)
    (folder / "console.log").write_text("one\ntwo \x1b[31mred\x1b[0m\n")
    assert cli.main(["console", str(a_rack), "web1", "-n", "1"]) == 0
    assert capsys.readouterr().out == "two red\n"


def test_a_command_for_a_guest_is_passed_on_as_it_is(a_rack: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []

    def instead(program: str, argv: list[str]) -> t.NoReturn:
        started.append(argv)
        raise SystemExit(0)

    monkeypatch.setattr(os, "execvp", instead)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    with pytest.raises(SystemExit):
        cli.main(["ssh", str(a_rack), "web1", "--user", "admin", "--", "ls", "--user", "-l", "--", "x"])
    assert started[0][-6:] == ["admin@127.0.0.1", "ls", "--user", "-l", "--", "x"]


def test_qemus_of_this_machine_know_every_device_that_guests_get() -> None:
    if shutil.which(accel.QEMU) is None:
        pytest.skip("QEMU is not installed here")
    known = subprocess.run([accel.QEMU, "-device", "help"], capture_output=True, text=True, check=True).stdout
    for name in ("virtio-blk-pci", "virtio-net-pci", "e1000e", "vmxnet3", "i6300esb"):
        assert 'name "{0}"'.format(name) in known

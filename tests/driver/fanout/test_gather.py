# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Racks of real SSH servers: the good, the hostile and the odd. Each costs its own host only, and has its own name."""

from __future__ import annotations

import io
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import typing as t

import paramiko
import pytest
from rich.console import Console

from crashready.fanout.gather import Limits, gather
from crashready.fanout.outcome import CAUSES, Outcome
from crashready.fanout.progress import LiveProgress, PlainProgress, summary
from crashready.inventory_hosts import Asked, read_rack

from .conftest import USER, Lab

SUBSETS = ("kernel",)
QUICK = Limits(forks=20, timeout_s=20, connect_timeout_s=5, retries=0)


class Silent:
    """A watcher that keeps what it heard."""

    def __init__(self) -> None:
        self.total = 0
        self.heard: list[Outcome] = []

    def begin(self, total: int) -> None:
        self.total = total

    def done(self, outcome: Outcome) -> None:
        self.heard.append(outcome)

    def end(self) -> None:
        return


def ask(lab: Lab, limits: Limits = QUICK, **asked: t.Any) -> dict[str, Outcome]:
    watcher = Silent()
    found = gather(read_rack([str(lab.inventory)], Asked(**asked)), SUBSETS, limits, watcher)
    assert watcher.total == len(found) == len({each.host for each in watcher.heard})
    return found


def good(outcome: Outcome) -> bool:
    facts = outcome.facts()
    release = pathlib.Path("/proc/sys/kernel/osrelease").read_text(encoding="ascii").strip()
    return outcome.cause == "" and facts is not None and facts["kernel"]["release"] == release


def test_many_hosts_at_once_with_one_connection_and_one_exec_each(lab: Lab) -> None:
    for number in range(12):
        lab.add("h{0:02d}".format(number))
    found = ask(lab)
    assert list(found) == ["h{0:02d}".format(number) for number in range(12)]
    assert all(good(each) for each in found.values()), found
    assert {(len(host.commands), host.connections) for host in lab.hosts.values()} == {(1, 1)}
    assert all(each.way == "ssh" for each in found.values())


def test_hostile_hosts_cost_themselves_alone_and_are_told_apart(lab: Lab) -> None:
    """One run with all of them: the good ones answer, and the run ends with the slowest limit."""
    lab.add("good")
    lab.add("banner", "banner")
    expected = {
        "hang": ("hang", "timeout"),
        "silent": ("silent", "no-ssh connect-timeout"),
        "http": ("http", "no-ssh"),
        "flood": ("flood", "too-much"),
        "flood-stderr": ("flood-stderr", "too-much"),
        "garbage": ("garbage", "garbage"),
        "cut": ("cut", "lost"),
        "no-exec": ("no-exec", "no-exec"),
        "sftp-only": ("sftp-only", "no-exec"),
        "nologin": ("nologin", "no-shell"),
        "terminal": ("terminal", "sudo-terminal"),
    }
    for name, (habit, _cause) in expected.items():
        lab.add(name, habit)
    lab.add("stranger", known=False)
    lab.add("impostor", known=False)
    lab.know(lab.hosts["impostor"].port, "host2")
    lab.lines["nobody"] = "ansible_host=127.0.0.1 ansible_port=1"
    lab.lines["nowhere"] = "ansible_host=no-such-name.invalid"
    lab.lines["odd"] = "ansible_port='{{ missing_variable }}'"
    lab.lines["unnamed-key"] = "ansible_host=127.0.0.1 ansible_port={0} ansible_ssh_private_key_file={1}".format(
        lab.hosts["good"].port, lab.keys / "other"
    )
    lab.lines["no-python"] = "ansible_host=127.0.0.1 ansible_port={0} ansible_python_interpreter=/nowhere/py".format(
        lab.hosts["good"].port
    )
    start = time.monotonic()
    found = ask(lab, Limits(forks=30, timeout_s=4, connect_timeout_s=2, retries=0))
    assert time.monotonic() - start < 30
    assert good(found["good"])
    assert good(found["banner"]), "what a login shell prints is skipped"
    for name, (_habit, causes) in expected.items():
        assert found[name].cause in causes.split(), (name, found[name])
    others = {
        "stranger": "key-unknown",
        "impostor": "key-changed",
        "nobody": "refused",
        "nowhere": "no-address",
        "odd": "inventory",
        "unnamed-key": "login-refused",
        "no-python": "no-python",
    }
    assert {name: found[name].cause for name in others} == others
    text = summary(found.values())
    assert all(CAUSES[each.cause].title in text for each in found.values() if each.cause)
    assert text.isprintable() or not set(text) & set("\x1b\x07\x00")


def test_control_characters_of_a_host_reach_no_terminal(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    lab.add("garbage", "garbage")
    progress = PlainProgress(sys.stderr)
    found = gather(read_rack([str(lab.inventory)], Asked()), SUBSETS, QUICK, progress)
    print(summary(found.values()), file=sys.stderr)
    shown = capsys.readouterr().err
    assert "boom" in shown
    assert not set(shown) & {chr(number) for number in range(32) if number != 10}


def test_progress_on_a_terminal() -> None:
    stream = io.StringIO()
    progress = LiveProgress(Console(file=stream, force_terminal=True, width=100))
    progress.begin(2)
    progress.done(Outcome("good", "ssh", packed=b""))
    progress.done(Outcome("bad\x1b[2J", "ssh", cause="refused", says="port 22"))
    progress.end()
    shown = stream.getvalue()
    assert "the connection was refused" in shown
    assert "port 22" in shown
    assert "bad\x1b" not in shown


@pytest.mark.parametrize("retries", [0, 1])
def test_a_connection_that_drops_is_tried_again(lab: Lab, retries: int) -> None:
    lab.add("shy", "drop-first")
    found = ask(lab, Limits(forks=1, timeout_s=20, connect_timeout_s=5, retries=retries))["shy"]
    assert found.attempts == retries + 1
    assert good(found) is bool(retries)


def test_a_wrong_login_is_not_tried_again(lab: Lab) -> None:
    lab.add("h", line="ansible_ssh_private_key_file={0}".format(lab.keys / "other"))
    assert ask(lab, Limits(forks=1, retries=3))["h"].attempts == 1


def test_password_login(lab: Lab) -> None:
    key = "ansible_ssh_private_key_file={0}".format(lab.keys / "other")
    lab.add("right", password="s3cret", line=key + " ansible_password=s3cret")
    lab.add("wrong", password="s3cret", line=key + " ansible_password=hunter2")
    found = ask(lab)
    assert good(found["right"])
    assert found["wrong"].cause == "login-refused"
    assert "hunter2" not in json.dumps([each.says for each in found.values()])


@pytest.mark.parametrize(
    ("strict", "known", "cause"),
    [
        ("yes", "", "key-unknown"),
        ("ask", "", "key-unknown"),
        ("accept-new", "", ""),
        ("accept-new", "host2", "key-changed"),
        ("no", "", ""),
        ("no", "host2", ""),
        ("yes", "host", ""),
    ],
)
def test_host_keys(lab: Lab, strict: str, known: str, cause: str) -> None:
    host = lab.add("h", known=False)
    if known:
        lab.know(host.port, known)
    lab.options = "-o StrictHostKeyChecking={0}".format(strict)
    assert ask(lab)["h"].cause == cause
    written = lab.folder / "known_hosts"
    if strict == "accept-new" and not known:
        assert "ssh-ed25519" in written.read_text(), "by its name or by its hash: /etc/ssh/ssh_config decides"
        lab.options = "-o StrictHostKeyChecking=yes"
        assert good(ask(lab)["h"]), "the key that was accepted is known now"


def test_a_host_is_asked_for_the_kind_of_key_that_is_known(lab: Lab) -> None:
    """A server with two keys of which only the ECDSA one is known does not look like a changed host."""
    host = lab.add("h", known=False)
    second = paramiko.ECDSAKey.generate()
    original = paramiko.Transport.add_server_key

    def both(transport: paramiko.Transport, key: paramiko.PKey) -> None:
        original(transport, key)
        original(transport, second)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paramiko.Transport, "add_server_key", both)
        with (lab.folder / "known_hosts").open("a") as stream:
            stream.write("[127.0.0.1]:{0} {1} {2}\n".format(host.port, second.get_name(), second.get_base64()))
        assert good(ask(lab)["h"])


def test_jump_host_is_shared_and_its_key_checked(lab: Lab) -> None:
    jump = lab.add("bastion")
    for number in range(5):
        lab.add("inner{0}".format(number), line="ansible_ssh_extra_args='-J {0}@127.0.0.1:{1}'".format(USER, jump.port))
    user_config = lab.folder / "home" / ".ssh" / "config"
    known = "UserKnownHostsFile {0}\n".format(lab.folder / "known_hosts")
    user_config.write_text("Host 127.0.0.1\n IdentityFile {0}\n {1}".format(lab.keys / "id", known))
    found = ask(lab)
    assert all(good(each) for each in found.values()), found
    assert jump.connections == 2, "one as a host, one for the five behind it"
    assert sorted(jump.forwarded) == sorted(("127.0.0.1", lab.hosts[n].port) for n in lab.hosts if n != "bastion")
    user_config.write_text("Host 127.0.0.1\n IdentityFile {0}\n UserKnownHostsFile /dev/null\n".format(lab.keys / "id"))
    again = ask(lab)
    assert good(again["bastion"])
    assert {again[name].cause for name in again if name != "bastion"} == {"proxy"}
    assert "known_hosts has none" in again["inner0"].says


def test_proxy_command(lab: Lab) -> None:
    host = lab.add("h")
    relay = lab.folder / "relay.py"
    relay.write_text(
        "import os, socket, sys, threading\n"
        "plug = socket.create_connection((sys.argv[1], int(sys.argv[2])))\n"
        "def up():\n"
        "    while data := os.read(0, 65536):\n"
        "        plug.sendall(data)\n"
        "threading.Thread(target=up, daemon=True).start()\n"
        "while data := plug.recv(65536):\n"
        "    os.write(1, data)\n"
    )
    proxy = "ProxyCommand='{0} {1} %h {2}'".format(sys.executable, relay, host.port)
    lab.lines["h"] = 'ansible_host=127.0.0.1 ansible_port={0} ansible_ssh_extra_args="-o {1}"'.format(host.port, proxy)
    assert good(ask(lab)["h"])
    lab.lines["h"] = lab.lines["h"].replace(str(relay), "/nowhere/relay.py")
    assert ask(lab)["h"].cause in ("lost", "no-ssh", "proxy")


def test_aliases_of_the_users_configuration(lab: Lab) -> None:
    host = lab.add("h")
    lab.lines = {"h": "ansible_host=web"}
    (lab.folder / "home" / ".ssh" / "config").write_text("Include work/*\nHost *\n  Compression yes\n")
    work = lab.folder / "home" / ".ssh" / "work"
    work.mkdir()
    (work / "a").write_text("Host web\n  HostName 127.0.0.1\n  Port {0}\n".format(host.port))
    assert good(ask(lab)["h"])


def test_agent(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.add("h", line="ansible_ssh_private_key_file=")
    lab.add("h2", line="ansible_ssh_private_key_file=")
    assert ask(lab)["h"].cause == "login-refused"
    out = subprocess.run(["ssh-agent", "-s"], capture_output=True, text=True, check=True).stdout
    variables = dict(re.findall(r"(SSH_\w+)=([^;]+);", out))
    try:
        monkeypatch.setenv("SSH_AUTH_SOCK", variables["SSH_AUTH_SOCK"])
        subprocess.run(["ssh-add", "-q", str(lab.keys / "id")], check=True, stdin=subprocess.DEVNULL)
        found = ask(lab)
        assert good(found["h"])
        assert good(found["h2"])
        lab.options = "-o IdentityAgent=none"
        assert ask(lab)["h"].cause == "login-refused"
    finally:
        os.kill(int(variables["SSH_AGENT_PID"]), signal.SIGTERM)


# --- privilege escalation -------------------------------------------------------------------------------------------

_SUDO = """#!{python}
# Behaves as sudo 1.9 does towards a program without a terminal.
import os, sys
words = sys.argv[1:]
flags = []
while words and words[0].startswith("-"):
    flag = words.pop(0)
    flags.append(flag)
    if flag in ("-u", "-p"):
        flags.append(words.pop(0))
open({log!r}, "a").write(repr(sys.argv) + "\\n")
mode = {mode!r}
def line():
    text = b""
    while not text.endswith(b"\\n"):
        byte = os.read(0, 1)
        if not byte:
            return None
        text += byte
    return text[:-1].decode()
if mode == "refuse":
    sys.exit("nobody is not in the sudoers file.")
if mode == "password":
    if "-n" in flags:
        sys.exit("sudo: a password is required")
    for attempt in range(3):
        os.write(2, flags[flags.index("-p") + 1].encode())
        said = line()
        if said == "s3cret":
            break
        if said is None:
            sys.exit("sudo: %d incorrect password attempt" % attempt if attempt else "sudo: no password was provided")
        os.write(2, b"Sorry, try again.\\n")
        open({log!r}, "a").write("wrong\\n")
    else:
        sys.exit("sudo: 3 incorrect password attempts")
os.execvp(words[0], words)
"""


def _with_sudo(lab: Lab, name: str, mode: str, line: str = "") -> pathlib.Path:
    folder = lab.folder / ("bin-" + name)
    folder.mkdir()
    log = folder / "log"
    (folder / "sudo").write_text(_SUDO.format(python=sys.executable, log=str(log), mode=mode))
    (folder / "sudo").chmod(0o755)
    lab.add(name, path="{0}:{1}".format(folder, os.environ["PATH"]), line="ansible_become=true " + line)
    return log


def test_sudo(lab: Lab) -> None:
    free = _with_sudo(lab, "free", "free")
    _with_sudo(lab, "needs", "password")
    right = _with_sudo(lab, "right", "password", "ansible_become_password=s3cret")
    wrong = _with_sudo(lab, "wrong", "password", "ansible_become_password=hunter2")
    _with_sudo(lab, "refused", "refuse")
    unasked = _with_sudo(lab, "unasked", "free", "ansible_become_password=s3cret")
    lab.add("missing", path=str(lab.folder / "empty"), shell=("/bin/sh",), line="ansible_become=true")
    found = ask(lab)
    assert {name: each.cause for name, each in found.items()} == {
        "free": "",
        "needs": "sudo-password",
        "right": "",
        "wrong": "sudo-wrong-password",
        "refused": "sudo-refused",
        "unasked": "",
        "missing": "sudo-missing",
    }, found
    assert "'-u', 'root'" in free.read_text()
    assert "-n" in free.read_text()
    assert right.exists()
    assert wrong.read_text().count("wrong\n") == 1, "a wrong password is given once: three may lock an account"
    everything = "".join(path.read_text() for path in (free, right, wrong, unasked))
    assert "s3cret" not in everything, "no password on a command line"
    assert not any("s3cret" in command for host in lab.hosts.values() for command in host.commands)
    assert "s3cret" not in repr(read_rack([str(lab.inventory)], Asked()).targets)


def test_restricted_shell(lab: Lab) -> None:
    shell = shutil.which("rbash")
    if shell is None:
        pytest.skip("rbash is not installed")
    lab.add("h", shell=(shell,), path="/nowhere")
    assert ask(lab)["h"].cause in ("restricted", "no-python")
    lab.hosts["h"].path = os.environ["PATH"]
    assert good(ask(lab)["h"]), "a restricted shell that finds sh is good enough"


# --- the system's ssh, real sshd, Ctrl-C ----------------------------------------------------------------------------


def test_an_option_that_cannot_be_honoured_goes_to_the_systems_ssh(lab: Lab) -> None:
    if shutil.which("ssh") is None:
        pytest.skip("ssh is not installed")
    lab.add("plain")
    lab.add("odd", line="ansible_ssh_extra_args='-o PermitLocalCommand=yes'")
    lab.add("stranger", line="ansible_ssh_extra_args='-o PermitLocalCommand=yes'", known=False)
    found = ask(lab)
    assert (found["plain"].way, found["odd"].way) == ("ssh", "system ssh")
    assert good(found["odd"]), found["odd"]
    assert "permitlocalcommand" in found["odd"].note
    assert "permitlocalcommand" in summary(found.values())
    assert found["stranger"].cause == "key-unknown"


def test_real_sshd(lab: Lab, sshd: int) -> None:
    lab.know(sshd, "host")
    for number in range(4):
        lab.lines["h{0}".format(number)] = "ansible_host=127.0.0.1 ansible_port={0}".format(sshd)
    lab.lines["by-ssh"] = "ansible_host=127.0.0.1 ansible_port={0} ansible_ssh_extra_args='-o Tunnel=no'".format(sshd)
    found = ask(lab)
    assert all(good(each) for each in found.values()), found
    assert found["by-ssh"].way == "system ssh"


def test_ctrl_c_keeps_what_came(lab: Lab) -> None:
    lab.add("good")
    for number in range(3):
        lab.add("slow{0}".format(number), "hang")
    # A job that a script put into the background ignores SIGINT (POSIX, sh), and its children with it.
    argv = ["env", "--default-signal=INT", sys.executable, "-m", "crashready"]
    argv += ["facts", "-i", str(lab.inventory), "--json", "--subset", "kernel"]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not all(host.commands for host in lab.hosts.values()):
        time.sleep(0.1)
    time.sleep(4)
    process.send_signal(signal.SIGINT)
    start = time.monotonic()
    out, err = process.communicate(timeout=30)
    assert time.monotonic() - start < 10
    answer = json.loads(out)
    assert answer["summary"] == {"asked": 4, "answered": 1}
    assert answer["hosts"]["good"]["facts"]["kernel"]["release"]
    assert {answer["hosts"]["slow0"]["failure"]["cause"]} == {"interrupted"}
    assert process.returncode == 2
    assert "Traceback" not in err


def test_hosts_of_other_connection_plugins_go_through_ansible(lab: Lab) -> None:
    lab.add("by-ssh")
    lab.lines["box"] = "ansible_connection=local ansible_python_interpreter={0}".format(sys.executable)
    lab.lines["no-python"] = "ansible_connection=local ansible_python_interpreter=/nowhere/python3"
    found = ask(lab, Limits(timeout_s=60))
    assert good(found["by-ssh"])
    assert good(found["box"]), found["box"]
    assert (found["box"].way, found["box"].note) == ("ansible", "connection plugin local")
    assert found["no-python"].cause == "no-python"
    ours, theirs = found["by-ssh"].facts(), found["box"].facts()
    assert ours is not None
    assert theirs is not None
    assert ours["kernel"] == theirs["kernel"]


def test_command_shows_saves_and_says_who_did_not_answer(
    lab: Lab, crashready: t.Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    lab.add("good")
    lab.lines["../../etc/x"] = "ansible_host=127.0.0.1 ansible_port={0}".format(lab.hosts["good"].port)
    lab.lines["nobody"] = "ansible_host=127.0.0.1 ansible_port=1"
    done = crashready("facts", "-i", str(lab.inventory), "--save", str(lab.folder / "kept"), "--retries", "0")
    assert done.returncode == 2, done.stderr
    assert re.search(r"(?m)^good +\S+", done.stdout)
    assert "the connection was refused (1): nobody" in done.stderr
    # A name that is not a file's is changed, and gets eight digits so that no two hosts share one.
    first, second = sorted(path.name for path in (lab.folder / "kept").iterdir())
    assert re.fullmatch(r"_\._\.\._etc_x-[0-9a-f]{8}\.json", first)
    assert second == "good.json"
    kept = json.loads((lab.folder / "kept" / "good.json").read_text())
    assert kept["schema"] == 1
    assert crashready("facts", "-i", str(lab.inventory), "--limit", "good").returncode == 0
    assert crashready("facts", "-i", str(lab.inventory), "--limit", "nosuch").returncode == 3
    assert crashready("facts", "-i", "/nowhere/rack").returncode == 3


def test_no_thread_is_left(lab: Lab) -> None:
    for number in range(3):
        lab.add("h{0}".format(number))
    before = {each.name for each in threading.enumerate()}
    ask(lab)
    time.sleep(1)
    left = {each.name for each in threading.enumerate() if each.name.startswith("crashready-")} - before
    assert left <= {"crashready-limits"}

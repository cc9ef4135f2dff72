# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""How long a rack's facts take, beside other ways: wall time, controller CPU, memory. Prints, judges nothing.

One sshd on many loopback addresses stands for the hosts, so that hosts and controller
share this machine's cores: what a host computes counts against every way. In a rack it
does not; there the controller's CPU and the round trips are what is left. Ratios within
one run are to be quoted, times are not.

    python tests/bench/bench_facts.py --hosts 10,100 --rtt 0,20 --runs 3

Needs root or user namespaces: it makes a network namespace of its own, where netem delays
the loopback and nothing else. A kernel without netem gets a relay in its place, a process
that holds every byte back for half the time in each direction; it shares the cores too.
Peers are measured
where they are found: pyinfra and parallel-ssh in PATH or with --peers FOLDER (a `bin` of a
virtual environment that has them).
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import pathlib
import pwd
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import typing as t

ROOT = pathlib.Path(__file__).resolve().parents[2]
PORT = 2222
RELAY_PORT = 2223

#: Where netem is missing: a connection begins one round trip late, and each piece waits half of one on its way.
RELAY = """
import asyncio, sys
half, port, target = float(sys.argv[1]) / 2000, int(sys.argv[2]), int(sys.argv[3])
class Side(asyncio.Protocol):
    def __init__(self, other=None):
        self.other, self.waiting, self.loop = other, [], asyncio.get_running_loop()
    def connection_made(self, transport):
        self.transport = transport
        if self.other is None:
            self.loop.call_later(2 * half, lambda: self.loop.create_task(self.connect()))
    async def connect(self):
        self.other = Side(self)
        await self.loop.create_connection(lambda: self.other, "127.0.0.1", target)
        for data in self.waiting:
            self.send(data)
    def send(self, data):
        self.loop.call_later(half, self.other.transport.write, data)
    def data_received(self, data):
        self.send(data) if self.other is not None and hasattr(self.other, "transport") else self.waiting.append(data)
    def connection_lost(self, error):
        if self.other is not None and hasattr(self.other, "transport"):
            self.loop.call_later(half, self.other.transport.close)
async def main():
    server = await asyncio.get_running_loop().create_server(Side, "0.0.0.0", port, backlog=1000)
    print("ready", flush=True)
    await server.serve_forever()
asyncio.run(main())
"""

#: The same connection and exec without our code around it: paramiko, 50 threads, the same program on the hosts.
PLAIN = """
import concurrent.futures, re, socket, sys, zlib
import paramiko
from crashready.fanout.program import build_program
key = paramiko.Ed25519Key.from_private_key_file(sys.argv[1])
program = build_program(("nics", "kernel", "capture", "crashes"), 60) if sys.argv[2] == "program" else None
command = program.command((sys.argv[3],)) if program else sys.argv[3] + " -c 'print(1)'"
def ask(host):
    plug = socket.create_connection((host, {port}))
    plug.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    transport = paramiko.Transport(plug)
    transport.start_client(timeout=60)
    transport.auth_publickey({user!r}, key)
    channel = transport.open_session()
    channel.exec_command(command)
    if program:
        channel.sendall(program.payload)
    channel.shutdown_write()
    out = b"".join(iter(lambda: channel.recv(65536), b""))
    transport.close()
    assert (program.mark.encode() if program else b"1") in out
with concurrent.futures.ThreadPoolExecutor(50) as pool:
    list(pool.map(ask, sys.argv[4:]))
"""

#: The leanest peer: libssh2 in C, one exec of the same interpreter that does nothing.
PSSH = """
import sys
from pssh.clients import ParallelSSHClient
client = ParallelSSHClient(sys.argv[3:], user={user!r}, port={port}, pkey=sys.argv[1], pool_size=50)
out = client.run_command(sys.argv[2] + " -c 'print(1)'")
client.join(out)
assert all(list(each.stdout) == ["1"] for each in out)
"""


@dataclasses.dataclass
class Way:
    """One way to ask all hosts: its command for a list of addresses, its environment."""

    name: str
    command: t.Callable[[list[str]], list[str]]
    env: dict[str, str] = dataclasses.field(default_factory=dict)


class Cost(t.NamedTuple):
    """What one run took."""

    wall_s: float
    cpu_s: float
    rss_mib: float


def _user() -> str:
    return pwd.getpwuid(os.getuid()).pw_name


@contextlib.contextmanager
def hosts(folder: pathlib.Path) -> t.Iterator[None]:
    """sshd on every loopback address, with keys of its own."""
    program = shutil.which("sshd", path=os.environ["PATH"] + ":/usr/sbin")
    if program is None:
        sys.exit("sshd is not installed: apt-get install openssh-server")
    for name in ("host", "id"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)],
            check=True,
            stdin=subprocess.DEVNULL,
        )
    if os.getuid() == 0:
        pathlib.Path("/run/sshd").mkdir(exist_ok=True)
    config = folder / "sshd_config"
    config.write_text(
        "ListenAddress 0.0.0.0:{0}\nHostKey {1}\nAuthorizedKeysFile {2}\nStrictModes no\nUsePAM no\nPidFile none\n"
        "PasswordAuthentication no\nMaxStartups 1000\nMaxSessions 100\nSubsystem sftp internal-sftp\n".format(
            PORT, folder / "host", folder / "id.pub"
        )
    )
    kind, blob = (folder / "host.pub").read_text().split()[:2]
    (folder / "known_hosts").write_text("[127.*]:* {0} {1}\n".format(kind, blob))
    (folder / "ansible.cfg").write_text("")
    process = subprocess.Popen([program, "-D", "-f", str(config)], stderr=subprocess.DEVNULL)
    try:
        for _attempt in range(200):
            if process.poll() is not None:
                sys.exit("sshd does not start")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", PORT), 1):
                break
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(10)


def addresses(count: int) -> list[str]:
    """So many loopback addresses."""
    return ["127.0.{0}.{1}".format(1 + number // 250, 1 + number % 250) for number in range(count)]


def write_inventory(folder: pathlib.Path, count: int, port: int) -> str:
    """An inventory of so many hosts."""
    path = folder / "rack-{0}".format(count)
    lines = ["h{0:04d} ansible_host={1}".format(*pair) for pair in enumerate(addresses(count))]
    values = (
        "ansible_port={0}\nansible_user={1}\nansible_ssh_private_key_file={2}\nansible_python_interpreter={3}\n"
        "ansible_ssh_common_args=-o UserKnownHostsFile={4} -o IdentityAgent=none\n"
    ).format(port, _user(), folder / "id", _python(), folder / "known_hosts")
    path.write_text("[rack]\n{0}\n[rack:vars]\n{1}".format("\n".join(lines), values))
    return str(path)


def pyinfra_inventory(folder: pathlib.Path, chosen: list[str]) -> str:
    """The same hosts as a file of pyinfra's."""
    path = folder / "inventory.py"
    path.write_text("hosts = {0!r}\n".format(chosen))
    return str(path)


def _python() -> str:
    """The hosts' Python: the system's, as on a real host."""
    return "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable


def ways(folder: pathlib.Path, peers: str, port: int) -> list[Way]:
    """Every way that is here; the first is ours."""
    own = os.path.dirname(sys.executable)
    ansible = os.path.join(own, "ansible")
    key, names = str(folder / "id"), {"port": port, "user": _user()}
    quick = {"ANSIBLE_PIPELINING": "1", "ANSIBLE_FORKS": "50"}

    def inventory(chosen: list[str]) -> str:
        return write_inventory(folder, len(chosen), port)

    module = "rackops.crashready.crash_facts"
    found = [
        Way("crashready facts", lambda h: [sys.executable, "-m", "crashready", "facts", "-i", inventory(h), "--json"]),
        Way(
            "paramiko alone, same program",
            lambda h: [sys.executable, "-c", PLAIN.format(**names), key, "program", _python(), *h],
        ),
        Way(
            "paramiko alone, python -c 'print(1)'",
            lambda h: [sys.executable, "-c", PLAIN.format(**names), key, "nothing", _python(), *h],
        ),
        Way(
            "ansible -m crash_facts, 50 forks, pipelining",
            lambda h: [ansible, "all", "-i", inventory(h), "-m", module],
            quick,
        ),
        Way(
            "ansible -m setup, 50 forks, pipelining",
            lambda h: [ansible, "all", "-i", inventory(h), "-m", "setup"],
            quick,
        ),
        Way("ansible -m setup, defaults", lambda h: [ansible, "all", "-i", inventory(h), "-m", "setup"]),
    ]
    path = os.pathsep.join([peers, os.environ["PATH"]]) if peers else os.environ["PATH"]
    pyinfra = shutil.which("pyinfra", path=path)
    if pyinfra:
        found.append(
            Way(
                "pyinfra exec python -c 'print(1)', parallel 50",
                lambda h: [
                    *(pyinfra, "-y", "--parallel", "50", "--ssh-port", str(port), "--ssh-user", _user()),
                    *("--ssh-key", key, "--data", "ssh_known_hosts_file={0}".format(folder / "known_hosts")),
                    *(pyinfra_inventory(folder, h), "exec", "--", _python(), "-c", "print\\(1\\)"),
                ],
            )
        )
    python = os.path.join(peers, "python") if peers else sys.executable
    if subprocess.run([python, "-c", "import pssh"], capture_output=True, check=False).returncode == 0:
        found.append(
            Way(
                "parallel-ssh, python -c 'print(1)'", lambda h: [python, "-c", PSSH.format(**names), key, _python(), *h]
            )
        )
    return found


def measure(way: Way, chosen: list[str], folder: pathlib.Path) -> Cost | str:
    """One run; CPU is that of the command and of all that it waited for. Or why it failed."""
    sockets = folder / "cp"
    shutil.rmtree(sockets, ignore_errors=True)  # no connection that an earlier run left open
    env = {
        **os.environ,
        **way.env,
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(sockets),
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".venv" / "collections"),
        "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),
        "HOME": str(folder),
    }
    command = way.command(chosen)
    with open(folder / "out", "wb") as out:
        start = time.monotonic()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env, cwd=folder)
        _pid, status, used = os.wait4(process.pid, 0)
        wall = time.monotonic() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        return (folder / "out").read_bytes()[-300:].decode("utf-8", "replace").strip() or "no word"
    return Cost(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


@contextlib.contextmanager
def delayed(rtt_ms: int) -> t.Iterator[int]:
    """The port on which the hosts are this far away: netem on this namespace's loopback, else a relay."""
    if rtt_ms == 0:
        yield PORT
        return
    delay = ["tc", "qdisc", "add", "dev", "lo", "root", "netem", "limit", "100000", "delay", "{0}ms".format(rtt_ms / 2)]
    done = subprocess.run(delay, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        yield PORT
        subprocess.run(["tc", "qdisc", "del", "dev", "lo", "root"], capture_output=True, check=False)
        return
    print("no netem in this kernel ({0}): a relay delays in its place".format(done.stderr.strip()), flush=True)
    words = [sys.executable, "-c", RELAY, str(rtt_ms), str(RELAY_PORT), str(PORT)]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as relay:
        assert relay.stdout
        relay.stdout.readline()
        try:
            yield RELAY_PORT
        finally:
            relay.terminate()


def in_namespace() -> None:
    """Start again in namespaces of our own, once."""
    if os.environ.get("BENCH_INSIDE"):
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        return
    os.environ["BENCH_INSIDE"] = "1"
    flags = ["--net", "--mount"] if os.getuid() == 0 else ["--net", "--mount", "--user", "--map-root-user"]
    os.execvp("unshare", ["unshare", *flags, sys.executable, *sys.argv])


def run(arguments: argparse.Namespace, folder: pathlib.Path) -> list[dict[str, t.Any]]:
    """Measure everything; a line as each is done."""
    rows = []
    for rtt in arguments.rtt:
        with delayed(rtt) as port:
            for count in arguments.hosts:
                for way in ways(folder, arguments.peers, port):
                    if re.search(arguments.only, way.name):
                        rows += measured(way, count, rtt, arguments.runs, folder)
    return rows


def measured(way: Way, count: int, rtt: int, runs: int, folder: pathlib.Path) -> list[dict[str, t.Any]]:
    """The medians of some runs of one way, as a row; none where it failed."""
    costs = [measure(way, addresses(count), folder) for _run in range(runs)]
    good = [cost for cost in costs if isinstance(cost, Cost)]
    if not good:
        print("{0}, {1} hosts, {2} ms: failed: {3}".format(way.name, count, rtt, costs[-1]), flush=True)
        return []
    middle = Cost(*(statistics.median(values) for values in zip(*good, strict=True)))
    row = {"way": way.name, "hosts": count, "rtt_ms": rtt, **middle._asdict()}
    print("{way}, {hosts} hosts, {rtt_ms} ms: {wall_s:.2f} s wall, {cpu_s:.2f} s CPU".format(**row), flush=True)
    return [row]


def table(rows: list[dict[str, t.Any]]) -> str:
    """Ratios against the first way, and what each further host costs the controller."""
    lines = []
    for rtt in sorted({row["rtt_ms"] for row in rows}):
        here = [row for row in rows if row["rtt_ms"] == rtt]
        few, many = min(row["hosts"] for row in here), max(row["hosts"] for row in here)
        lines.append("\n{0} ms round-trip time, {1} hosts (medians)\n".format(rtt, many))
        lines.append("| way | wall s | ratio | controller CPU s | ratio | ms CPU a further host | KiB a further host |")
        lines.append("|---|---:|---:|---:|---:|---:|---:|")
        ours = next((row for row in here if row["hosts"] == many), None)
        for row in (row for row in here if row["hosts"] == many):
            small = next((each for each in here if each["way"] == row["way"] and each["hosts"] == few), row)
            further = many - few
            slope = (row["cpu_s"] - small["cpu_s"]) * 1000 / further if further else float("nan")
            memory = (row["rss_mib"] - small["rss_mib"]) * 1024 / further if further else float("nan")
            assert ours is not None
            lines.append(
                "| {way} | {wall_s:.2f} | {0:.2f} | {cpu_s:.2f} | {1:.2f} | {2:.1f} | {3:.0f} |".format(
                    row["wall_s"] / ours["wall_s"], row["cpu_s"] / ours["cpu_s"], slope, memory, **row
                )
            )
    return "\n".join(lines)


def main() -> None:
    """Parse, measure, print."""

    def numbers(text: str) -> list[int]:
        return [int(number) for number in text.split(",")]

    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--hosts", type=numbers, default=[10, 100], help="numbers of hosts (default: 10,100)")
    parser.add_argument("--rtt", type=numbers, default=[0, 20], help="round-trip times in ms (default: 0,20)")
    parser.add_argument("--runs", type=int, default=3, help="runs of each, of which the median counts (default: 3)")
    parser.add_argument("--only", default="", help="only ways that match this expression")
    parser.add_argument("--peers", default="", help="bin folder of an environment with pyinfra and parallel-ssh")
    parser.add_argument("--json", type=pathlib.Path, help="write the figures here too")
    arguments = parser.parse_args()
    in_namespace()
    # Short: ssh's control sockets lie in it, and a socket's path has 107 bytes.
    with tempfile.TemporaryDirectory(prefix="bench-") as name, hosts(pathlib.Path(name)):
        rows = run(arguments, pathlib.Path(name))
    print(table(rows) if rows else "nothing was measured")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()

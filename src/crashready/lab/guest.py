# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""One guest: a QEMU process on an overlay of an image, reached over ssh on a loopback port.

The guest's folder holds its disk overlay (`disk.qcow2`), everything its serial console
said since it was made (`console.log`), QEMU's own words (`qemu.log`) and the control socket
(`qmp`). The process lives on when the command that started it has ended.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import time
import typing as t
import uuid

from . import commands, qmp
from .accel import QEMU, Accelerator
from .errors import GuestError, LabError
from .spec import GuestSpec, wire_path

__all__ = ["Guest", "free_port", "process_start"]

#: Emulation boots to ssh in half a minute on a quiet machine, in minutes on a busy one.
BOOT_LIMIT_S = 600.0
_UUID = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
#: Places where Debian's ovmf package has put the firmware and its variables.
_OVMF = (
    ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
)


def free_port() -> int:
    """A TCP port of the loopback address that nothing uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def process_start(pid: int) -> int | None:
    """When a process began, in clock ticks since boot; None when it is gone or only a zombie (proc(5), stat)."""
    try:
        text = pathlib.Path("/proc", str(pid), "stat").read_text("utf-8", "replace")
        fields = text[text.rindex(")") + 2 :].split()
        return None if fields[0] in "ZX" else int(fields[19])
    except (OSError, ValueError, IndexError):
        return None


@dataclasses.dataclass
class Guest:
    """A guest of a rack, running or not; `to_json` is all that must be kept of it."""

    spec: GuestSpec
    folder: pathlib.Path
    port: int
    private_key: pathlib.Path
    known_hosts: pathlib.Path
    disk: pathlib.Path  #: backing file of the overlay
    uuid: str = dataclasses.field(default_factory=lambda: str(uuid.uuid4()))
    pid: int | None = None
    started: int | None = None  #: of the process, see process_start
    prepared: bool = False  #: its host name has been set

    @property
    def console(self) -> pathlib.Path:
        """Everything the serial console said."""
        return self.folder / "console.log"

    def to_json(self) -> dict[str, t.Any]:
        """What must be kept to find the guest again; paths of the rack itself are left out."""
        kept: dict[str, t.Any] = {key: getattr(self, key) for key in ("port", "uuid", "pid", "started", "prepared")}
        return {"spec": self.spec.to_json(), "disk": str(self.disk), **kept}

    # The process

    def alive(self) -> bool:
        """Whether the process that was started is still there, and still is this guest's QEMU."""
        if self.pid is None or self.started is None or process_start(self.pid) != self.started:
            return False
        try:
            return self.uuid.encode() in pathlib.Path("/proc", str(self.pid), "cmdline").read_bytes()
        except OSError:
            return False

    def create(self) -> None:
        """Make the folder and the overlay, once."""
        self.folder.mkdir(parents=True, exist_ok=True)
        overlay = self.folder / "disk.qcow2"
        if not overlay.exists():
            argv = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(self.disk), str(overlay)]
            commands.run(argv)
        if self.spec.firmware == "uefi" and not (self.folder / "vars.fd").exists():
            shutil.copyfile(_ovmf()[1], self.folder / "vars.fd")

    def start(self, accelerator: Accelerator) -> None:
        """Start QEMU; returns when it answers on its control socket. Raises GuestError with its last words."""
        if self.alive():
            return
        (self.folder / "qmp").unlink(missing_ok=True)
        with (self.folder / "qemu.log").open("ab") as log:
            process = subprocess.Popen(
                self.command(accelerator),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a Ctrl-C at the prompt is not meant for it
            )
        self.pid, self.started = process.pid, process_start(process.pid)
        limit = time.monotonic() + 30
        while time.monotonic() < limit:
            if process.poll() is not None:
                raise self._failure("QEMU ended with {0}".format(process.returncode), self.folder / "qemu.log")
            with contextlib.suppress(LabError):
                qmp.execute(self.folder, "query-status")
                return
            time.sleep(0.1)
        self.stop()
        raise self._failure("QEMU does not answer on its control socket", self.folder / "qemu.log")

    def command(self, accelerator: Accelerator) -> list[str]:
        """The whole command line of QEMU."""
        spec = self.spec
        argv = [QEMU, "-name", "guest=" + spec.name, "-uuid", self.uuid, "-no-user-config", "-nodefaults"]
        argv += ["-machine", "q35", *accelerator.options(), "-smp", str(spec.cpus), "-m", str(spec.memory_mib)]
        argv += ["-vga", "none", "-display", "none", "-qmp", "unix:qmp,server=on,wait=off"]
        argv += ["-chardev", "file,id=console,path=console.log,append=on", "-serial", "chardev:console"]
        # What is lost with the controller's power is a test guest: no flush ever waits for a disk.
        argv += ["-drive", "if=none,id=root,file=disk.qcow2,format=qcow2,cache=unsafe,discard=unmap"]
        argv += ["-device", "virtio-blk-pci,drive=root,bootindex=0"]
        argv += ["-netdev", "user,id=ssh,hostfwd=tcp:127.0.0.1:{0}-:22".format(self.port)]
        argv += ["-device", "virtio-net-pci,netdev=ssh,romfile=,mac={0}".format(self.mac(0))]
        for number, (card, peer) in enumerate(spec.cards(), 1):
            argv += ["-netdev", self._network(number, peer)]
            argv += ["-device", "{0},netdev=card{1},romfile=,mac={2}".format(card, number, self.mac(number))]
        if spec.watchdog:
            argv += ["-device", "i6300esb", "-action", "watchdog=reset"]
        if spec.firmware == "uefi":
            argv += ["-drive", "if=pflash,format=raw,unit=0,readonly=on,file=" + _ovmf()[0]]
            argv += ["-drive", "if=pflash,format=raw,unit=1,file=vars.fd"]
        return argv

    def _network(self, number: int, peer: str | None) -> str:
        """QEMU's other side of a card: a network of its own, or a wire.

        A wire is a pair of datagram sockets: neither end waits for the other, and frames to a guest that is not
        there are lost, as on copper. QEMU 7.2 or later.
        """
        if peer is None:
            # A net= of its own for each, or all cards get the same address and ssh hangs.
            return "user,id=card{0},restrict=on,net=10.0.{1}.0/24".format(number, 100 + number)
        ends = "local.type=unix,local.path={0},remote.type=unix,remote.path={1}".format(
            wire_path(self.spec.name, peer), wire_path(peer, self.spec.name)
        )
        return "dgram,id=card{0},{1}".format(number, ends)

    def mac(self, number: int) -> str:
        """The hardware address of a card, the same at every start; 0 is the one that carries ssh."""
        digest = hashlib.sha256(self.uuid.encode()).digest()
        return "52:54:00:{0:02x}:{1:02x}:{2:02x}".format(digest[0], digest[1], number)

    def stop(self, grace_s: float = 0) -> None:
        """End the process: after `grace_s` seconds for the guest to shut down, by QEMU's own `quit`, by signal.

        A signal is sent only to a process that still is this guest's QEMU, through a pidfd,
        so that a process which got the same number meanwhile is never hit.
        """
        if self.alive() and grace_s:
            with contextlib.suppress(LabError):
                qmp.execute(self.folder, "system_powerdown")
            self._wait_end(grace_s)
        if self.alive():
            with contextlib.suppress(LabError):
                qmp.execute(self.folder, "quit")
            self._wait_end(5)
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self.pid is not None and self.alive():
                with contextlib.suppress(ProcessLookupError):
                    handle = os.pidfd_open(self.pid)
                    try:
                        if self.alive():
                            signal.pidfd_send_signal(handle, number)
                    finally:
                        os.close(handle)
                self._wait_end(5)
        if self.alive():
            raise GuestError("guest {0}: process {1} does not end".format(self.spec.name, self.pid))
        self.pid = self.started = None

    def _wait_end(self, limit_s: float) -> None:
        limit = time.monotonic() + limit_s
        while self.alive() and time.monotonic() < limit:
            time.sleep(0.1)

    def _failure(self, what: str, evidence: pathlib.Path | None = None) -> GuestError:
        """A GuestError with the end of the console (or of another file)."""
        path = evidence or self.console
        tail = commands.clean_tail(self.console_text(path=path)) or "(empty)"
        return GuestError("guest {0}: {1}\n--- end of {2}\n{3}\n---".format(self.spec.name, what, path, tail))

    def console_text(self, since: int = 0, path: pathlib.Path | None = None) -> str:
        """The console from a byte offset on, at most its last 8 MiB."""
        try:
            with (path or self.console).open("rb") as stream:
                size = stream.seek(0, os.SEEK_END)
                stream.seek(max(since, size - (8 << 20)))
                return stream.read().decode("utf-8", "replace")
        except FileNotFoundError:
            return ""

    # The inside

    def ssh_command(self, *, user: str = "root", terminal: bool = False) -> list[str]:
        """ssh into the guest, with its host key checked and nothing of the user's own configuration."""
        options = {
            "UserKnownHostsFile": '"{0}"'.format(self.known_hosts),
            "GlobalKnownHostsFile": "none",
            "StrictHostKeyChecking": "yes",
            "IdentitiesOnly": "yes",
            "BatchMode": "yes",
            # It covers the key exchange too, which takes a busy emulated guest ten seconds and more.
            "ConnectTimeout": "60",
            "ServerAliveInterval": "15",
            "LogLevel": "ERROR",
        }
        argv = ["ssh", "-F", "none", "-i", str(self.private_key), "-p", str(self.port)]
        for name, value in options.items():
            argv += ["-o", "{0}={1}".format(name, value)]
        return [*argv, "-t" if terminal else "-T", "{0}@127.0.0.1".format(user)]

    def ssh(
        self, script: str, *, timeout_s: float = 120, check: bool = True, user: str = "root", stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell script in the guest. Raises LabError on its failure (with `check`) or timeout."""
        return commands.run([*self.ssh_command(user=user), script], timeout_s=timeout_s, check=check, stdin=stdin)

    def _banner(self) -> bool:
        """Whether a ssh server answers: QEMU takes the connection even when nobody listens inside."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as link:
                link.settimeout(5)
                return link.recv(4) == b"SSH-"
        except OSError:
            return False

    def boot_id(self) -> str | None:
        """The random id of the guest's boot; None when it does not answer or is in its capture kernel."""
        if not self._banner():
            return None
        try:
            script = "test ! -e /proc/vmcore && cat /proc/sys/kernel/random/boot_id"
            text = self.ssh(script, timeout_s=90, check=False).stdout.strip()
        except LabError:
            return None
        return text if _UUID.match(text) else None

    def wait_boot(
        self,
        *,
        limit_s: float = BOOT_LIMIT_S,
        other_than: str | None = None,
        given_up: t.Callable[[], bool] = lambda: False,
    ) -> str:
        """Wait until the guest answers over ssh, in another boot than `other_than`; returns its boot id.

        `given_up` is asked now and then, so that Ctrl-C need not wait for the limit.
        """
        limit = time.monotonic() + limit_s
        while time.monotonic() < limit and not given_up():
            if not self.alive():
                raise self._failure("its QEMU process has ended")
            found = self.boot_id()
            if found is not None and found != other_than:
                return found
            time.sleep(1)
        raise self._failure("no answer over ssh within {0:g} s".format(limit_s))

    def wait_settled(self, limit_s: float = BOOT_LIMIT_S) -> str:
        """Wait until systemd has ended its start; returns "running" or "degraded"."""
        done = self.ssh("systemctl is-system-running --wait", timeout_s=limit_s, check=False)
        state = done.stdout.strip()
        if state not in ("running", "degraded"):
            raise self._failure("systemd is {0!r} {1}".format(state, done.stderr.strip()[:200]))
        return state

    def prepare(self) -> None:
        """Give the guest its own name, once."""
        if not self.prepared:
            name = self.spec.name
            self.ssh("hostnamectl set-hostname {0} && sed -i 's/^127.0.1.1 .*/127.0.1.1 {0}/' /etc/hosts".format(name))
            self.prepared = True

    def reboot(self, limit_s: float = BOOT_LIMIT_S) -> str:
        """Reboot in order and wait for the next boot; returns its boot id."""
        before = self.wait_boot(limit_s=60)
        # In the background: a session that dies with the guest would be waited for.
        self.ssh("nohup sh -c 'sleep 1; systemctl reboot' >/dev/null 2>&1 </dev/null &")
        return self.wait_boot(limit_s=limit_s, other_than=before)


def _ovmf() -> tuple[str, str]:
    """Firmware and variables for UEFI guests."""
    for code, variables in _OVMF:
        if os.path.exists(code) and os.path.exists(variables):
            return code, variables
    raise LabError("UEFI guests need the firmware of the package ovmf. Run: sudo apt install ovmf")

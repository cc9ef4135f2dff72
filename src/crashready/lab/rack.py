# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Several guests in a run directory, with the inventory by which Ansible reaches them.

The run directory holds `rack.json` (the state), `hosts.yml`, `known_hosts`, the key of each
image (`id_ed25519-IMAGE`) and a folder per guest under `guests/`.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import fcntl
import json
import os
import pathlib
import shutil
import threading
import typing as t

from . import accel, commands, image
from .errors import LabError
from .guest import BOOT_LIMIT_S, Guest, free_port
from .inventory import inventory, known_hosts, render_yaml
from .progress import Progress
from .spec import GuestSpec

__all__ = ["Rack"]

SCHEMA = 1


class Rack:
    """The rack of one run directory. Every change is written to `rack.json` before the next one is begun."""

    def __init__(self, folder: pathlib.Path, progress: Progress | None = None) -> None:
        self.folder = folder.absolute()
        self.progress = progress or Progress()
        self.guests: dict[str, Guest] = {}
        self._saving = threading.Lock()
        self._given_up = threading.Event()
        self._load()

    @property
    def state_file(self) -> pathlib.Path:
        """The one file that holds the state."""
        return self.folder / "rack.json"

    @property
    def inventory_file(self) -> pathlib.Path:
        """What to give to `ansible-playbook -i`."""
        return self.folder / "hosts.yml"

    def guest(self, name: str) -> Guest:
        """A guest by name. Raises LabError that lists the names there are."""
        if name not in self.guests:
            known = ", ".join(sorted(self.guests)) or "none"
            raise LabError("no guest {0!r} in {1}; there: {2}".format(name, self.folder, known))
        return self.guests[name]

    def _load(self) -> None:
        if not self.state_file.exists():
            return
        try:
            kept = json.loads(self.state_file.read_text("utf-8"))
            if kept["schema"] != SCHEMA:
                raise ValueError("schema {0!r}".format(kept["schema"]))
            for entry in kept["guests"]:
                guest = self._guest(GuestSpec.from_json(entry.pop("spec")), pathlib.Path(entry.pop("disk")), **entry)
                self.guests[guest.spec.name] = guest
        except (KeyError, TypeError, ValueError) as exc:
            raise LabError("{0} cannot be used: {1!r}. Remove the directory.".format(self.state_file, exc)) from exc

    def _guest(self, spec: GuestSpec, disk: pathlib.Path, **state: t.Any) -> Guest:
        return Guest(
            spec=spec,
            folder=self.folder / "guests" / spec.name,
            private_key=self.folder / "id_ed25519-{0}".format(disk.parent.name),
            known_hosts=self.folder / "known_hosts",
            disk=disk,
            **state,
        )

    def _save(self) -> None:
        """Write the state and all that follows from it; several guests boot at once, one writes."""
        with self._saving:
            self._write()

    def _write(self) -> None:
        guests = list(self.guests.values())
        state = {"schema": SCHEMA, "guests": [guest.to_json() for guest in guests]}
        _replace(self.state_file, json.dumps(state, indent=1) + "\n")
        keys = [(guest.port, _host_keys(guest.disk.parent)) for guest in guests]
        _replace(self.folder / "known_hosts", known_hosts(keys))
        listed = inventory(guests, self.folder / "known_hosts")
        _replace(
            self.inventory_file, "# Written by crashready lab; `up` and `down` replace it.\n" + render_yaml(listed)
        )

    @contextlib.contextmanager
    def locked(self) -> t.Iterator[None]:
        """One command at a time changes a rack; a second one says so instead of waiting."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self.folder / ".lock").open("w") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as exc:
                raise LabError("another command is at work on {0}".format(self.folder)) from exc
            self.guests.clear()
            self._load()
            yield

    def up(
        self,
        specs: t.Sequence[GuestSpec],
        *,
        warm: bool = True,
        extra_packages: t.Sequence[str] = (),
        limit_s: float = BOOT_LIMIT_S,
        parallel: int | None = None,
    ) -> None:
        """Bring the guests up and wait until each answers over ssh and has ended its start.

        Guests that are up stay as they are; ones that were stopped start again on their own
        disk. `limit_s` bounds the boot of one guest, `parallel` how many boot at once.
        Raises LabError; guests that came up stay up then, and `down` ends them.
        """
        commands.require_tools(["qemu-img", accel.QEMU, "ssh"], "running guests")
        with self.locked():
            self._add(specs, warm, extra_packages)
            self._save()
            if not self.guests:
                raise LabError("{0}: no guest to bring up; name some".format(self.folder))
            kernel = next(iter(self.guests.values())).disk.parent / "vmlinuz"
            accelerator = accel.choose(kernel, self.progress)
            self.progress.say("accelerator: {0} ({1})".format(accelerator.name, accelerator.reason))
            # An emulated guest wants two processors to itself while it boots.
            cores = os.cpu_count() or 1
            width = parallel or (cores if accelerator.name == "kvm" else max(1, cores // 2))
            with concurrent.futures.ThreadPoolExecutor(width) as pool:
                jobs = [pool.submit(self._bring_up, guest, accelerator, limit_s) for guest in self.guests.values()]
                try:
                    errors = [error for error in (job.exception() for job in jobs) if error is not None]
                except BaseException:  # Ctrl-C: the guests that wait for their boot must hear of it
                    self._given_up.set()
                    raise
            self._save()
            for error in errors:
                raise error

    def _add(self, specs: t.Sequence[GuestSpec], warm: bool, extra_packages: t.Sequence[str]) -> None:
        """Take new guests into the state, with the image and the key each needs."""
        _check_wires([*(guest.spec for guest in self.guests.values()), *specs])
        for spec in specs:
            known = self.guests.get(spec.name)
            if known is not None:
                if known.spec != spec:
                    raise LabError(
                        "guest {0} of {1} is there already, made otherwise; take the rack down first".format(
                            spec.name, self.folder
                        )
                    )
                continue
            recipe = image.current_recipe(
                spec.suite, firmware=spec.firmware, loader=spec.loader, warm=warm, extra_packages=extra_packages
            )
            found = image.ensure(recipe, self.progress)
            guest = self._guest(spec, found.disk, port=free_port())
            shutil.copyfile(found.private_key, guest.private_key)
            guest.private_key.chmod(0o600)
            self.guests[spec.name] = guest

    def _bring_up(self, guest: Guest, accelerator: accel.Accelerator, limit_s: float) -> None:
        """Start one guest and wait for it; the state is written as soon as there is a process."""
        if self._given_up.is_set():
            return
        guest.create()
        guest.start(accelerator)
        self._save()
        with self.progress.step("guest {0} ({1}): boot".format(guest.spec.name, guest.spec.suite)):
            guest.wait_boot(limit_s=limit_s, given_up=self._given_up.is_set)
            guest.wait_settled(limit_s)
            guest.prepare()

    def down(self, names: t.Sequence[str] = (), *, keep_disks: bool = False) -> None:
        """Stop guests (all, unless named); without `keep_disks` their disks go, the consoles stay."""
        if not self.state_file.exists():
            return
        with self.locked():
            chosen = [self.guest(name) for name in names] or list(self.guests.values())
            for guest in chosen:
                with self.progress.step("guest {0}: stop".format(guest.spec.name)):
                    guest.stop(grace_s=120 if keep_disks else 0)
                if not keep_disks:
                    wires = ["wire-" + peer for peer in guest.spec.peers()]
                    for leftover in ("disk.qcow2", "vars.fd", "qmp", *wires):
                        (guest.folder / leftover).unlink(missing_ok=True)
                    del self.guests[guest.spec.name]
                self._save()

    def status(self) -> list[dict[str, t.Any]]:
        """One row a guest: name, suite, port, pid, state ("up", "no ssh", "stopped"), console (path)."""
        rows = []
        for guest in self.guests.values():
            running = guest.alive()
            state = "stopped" if not running else "up" if guest.boot_id() else "no ssh"
            row = {"name": guest.spec.name, "suite": guest.spec.suite, "state": state, "port": guest.port}
            rows.append({**row, "pid": guest.pid if running else None, "console": str(guest.console)})
        return rows


def _check_wires(specs: t.Sequence[GuestSpec]) -> None:
    """Raise LabError about a wire with one end."""
    peers = {spec.name: spec.peers() for spec in specs}
    for name, others in peers.items():
        for other in others:
            if name not in peers.get(other, ()):
                raise LabError("guest {0} has a wire to {1}, which has none to {0}".format(name, other))


def _host_keys(image_folder: pathlib.Path) -> list[str]:
    """The public host keys that lie in an image's folder."""
    return image.Image(image_folder, "", "", "").host_keys()


def _replace(path: pathlib.Path, text: str) -> None:
    """Write a file so that a reader sees the old or the new one, never a half."""
    new = path.with_name(".{0}.{1}".format(path.name, os.getpid()))
    new.write_text(text, "utf-8")
    os.replace(new, path)

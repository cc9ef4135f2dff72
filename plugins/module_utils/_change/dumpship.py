# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Sets up copies of dumps on a host: the program with its units, a key of its own, and dumps that leave directly."""

from __future__ import annotations

import binascii
import contextlib
import os
import typing as t

from .._core import directdump, ship, ship_unit
from .._core.directdump import Direct
from .._core.errors import CoreError
from .._core.kdump import CONFIG
from .._core.plan import Change, as_diff, as_results
from .._core.routes import Way
from .._core.ship import Settings
from .._core.ship_unit import LAYOUT
from .._core.text import clean
from .._host.base import Host, Unreadable, look
from .._host.capture import see_capture
from .._host.kernel import collect_kernel
from .._host.routes import find_way
from . import hostprogram
from .bootloader import must
from .files import Stopped, write_file

__all__ = ["converge", "converge_all", "converge_direct"]

Result = dict[str, t.Any]
_PUBLIC_LIMIT = 4096


def converge(
    host: Host, settings: Settings | None, files: t.Mapping[str, bytes] | None, check_mode: bool = False
) -> Result:
    """The program and its key: {changed, changes, diff, public_key}. Without `settings` all of it goes.

    Copies that were made, and those that lie encrypted beside the dumps, stay. Raises Stopped.
    """
    wants_key = settings is not None and settings.target is not None and settings.target.kind == "ssh"
    # A key that an administrator gave is not ours to make or to remove.
    key = ship.KEY if settings is None or settings.key == ship.KEY else None
    changes = _key_changes(host, key, wants_key)
    done = hostprogram.converge(host, LAYOUT, files, check_mode)
    if not check_mode:
        for change in changes:
            _apply_key(host, change)
        if files is None:
            for path in (ship.STATE, ship.STATE + ".lock"):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
    public = look({}, "key", host.read, (settings.key if settings else ship.KEY) + ".pub", _PUBLIC_LIMIT)
    return {
        "changed": bool(changes) or done["changed"],
        "changes": as_results(changes) + done["changes"],
        "diff": as_diff(changes) + done["diff"],
        "public_key": clean(public, _PUBLIC_LIMIT) if public and wants_key else None,
    }


def _key_changes(host: Host, key: str | None, wanted: bool) -> list[Change]:
    there = key is not None and host.exists(key)
    if key is None or there == wanted:
        return []
    words = {True: "a key (not shown)\n", False: None}
    why = "a key for this one purpose" if wanted else "no copies over SSH are wanted"
    return [Change("ssh_key", key, words[there], words[wanted], why, {"wanted": wanted})]


def _apply_key(host: Host, change: Change) -> None:
    if not change.data["wanted"]:
        for path in (change.target, change.target + ".pub"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        return
    os.makedirs(os.path.dirname(change.target), mode=0o755, exist_ok=True)
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "crashready dump_ship", "-f", change.target]
    must(host, argv, "the key for copies could not be made (openssh-client)")


# --- dumps that leave the capture kernel directly ---------------------------------------------------------------------


def converge_direct(
    host: Host,
    direct: Direct | None,
    avoid: t.Sequence[str] = (),
    suspect: str = "warn",
    check_mode: bool = False,
) -> Result:
    """{changed, changes, diff, armed (null: not wanted), reason, notes}. The target is proved by a write, every time.

    Raises CoreError where it is not proved; then nothing was changed.
    """
    text = look({}, "config", host.read, CONFIG, 1024 * 1024)
    record = look({}, "record", host.read, directdump.RECORD, 65536)
    changes = directdump.plan(direct, text, record)
    notes: list[str] = []
    proved = None
    if direct is not None:
        proved = _prove(host, direct)
        way = _way(host, direct, avoid)
        if way is not None and way.suspect:
            if suspect == "refuse":
                raise CoreError("direct dumps to {0} are refused: {1}".format(direct.target, way.reason))
            notes.append("direct dumps to {0} go {1}".format(direct.target, way.reason))
        if proved is not None and not check_mode:
            raise CoreError("the target {0} is not proved: {1}. Nothing was changed".format(direct.target, proved))
    if not check_mode:
        for change in changes:
            _write(host, change)
    reason = None
    if direct is not None:
        config = see_capture(host, collect_kernel(host))["config"]
        reason = directdump.not_armed(direct, config, proved)
    return {
        "changed": bool(changes),
        "changes": as_results(changes),
        "diff": as_diff(changes),
        "armed": None if direct is None else reason is None,
        "reason": reason,
        "notes": notes,
    }


def _write(host: Host, change: Change) -> None:
    try:
        if change.data["content"] is None:
            os.unlink(change.target)
            return
        mode = change.data["mode"]
        if change.target == directdump.RECORD:
            os.makedirs(os.path.dirname(directdump.RECORD), mode=0o700, exist_ok=True)
        write_file(change.target, change.data["content"], host.lstat(change.target).mode if mode is None else mode)
    except (OSError, Unreadable) as exc:
        raise Stopped("writing {0}".format(change.target), str(exc), "look at the filesystem and run again") from exc


def _prove(host: Host, direct: Direct) -> str | None:
    """None where a write to the target came back, else what was seen."""
    noise = binascii.hexlify(os.urandom(8)).decode("ascii")
    folder = see_folder(host)
    try:
        done = host.run(directdump.probe_argv(direct, folder, noise), timeout_s=120)
    except Unreadable as exc:
        return clean(exc.reason, 200)
    if done.rc == 0 and done.out.split() == ["proved"]:
        return None
    return clean(done.err or done.out, 300) or "rc {0}".format(done.rc)


def see_folder(host: Host) -> str:
    """The crash folder, which kdump-tools uses at the far end of SSH as well."""
    config = see_capture(host, collect_kernel(host))["config"]
    return str(config.get("KDUMP_COREDIR") or "/var/crash")


def _way(host: Host, direct: Direct, avoid: t.Sequence[str]) -> Way | None:
    """How packets go there now; the capture kernel will do the same."""
    if not avoid:
        return None
    try:
        found = host.run(["getent", "ahosts", direct.host], timeout_s=30)
        address = found.out.split()[0] if found.rc == 0 and found.out.split() else ""
        usual = find_way(host, address) if address else None
    except (CoreError, Unreadable):
        return None
    if usual is None:
        return None
    # The capture kernel takes the usual route; another one is of no use to it.
    return find_way(host, address, avoid, usual.device)


# --- all of it --------------------------------------------------------------------------------------------------------


def converge_all(host: Host, given: t.Mapping[str, t.Any], program: bytes, check_mode: bool = False) -> Result:
    """What the module `dump_ship` does with its parameters, checked before anything is changed.

    Raises CoreError and Stopped.
    """
    settings, files, direct = None, None, None
    if given["state"] == "present":
        settings = _settings(given)
        files = ship_unit.wanted_files(settings, program, given["known_hosts"] or "", given["recipients"] or "")
        if given["direct"]:
            direct = directdump.checked(given["direct"], given["direct_target"] or "", given["direct_key"])
        if settings.target is None and not settings.encrypt:
            settings, files = None, None  # direct dumps alone need no program
    sent = converge_direct(host, direct, given["avoid"], given["suspect"], check_mode)
    done = converge(host, settings, files, check_mode)
    return {
        "changed": done["changed"] or sent["changed"],
        "changes": sent["changes"] + done["changes"],
        "diff": sent["diff"] + done["diff"],
        "public_key": done["public_key"],
        "direct": {name: sent[name] for name in ("armed", "reason", "notes")},
    }


def _settings(given: t.Mapping[str, t.Any]) -> Settings:
    kind = given["to"]
    target: dict[str, t.Any] | None = {"kind": kind, "folder": given["folder"]}
    if kind == "none":
        target = None
    elif kind == "ssh" and target is not None:
        target.update(host=given["host"], user=given["user"], port=given["port"])
    elif kind == "nfs" and target is not None:
        target.update(export=given["export"], options=given["nfs_options"])
    elif target is not None:
        target.update(export=given["export"] or "")
    names = ("name", "crash_folder", "rate_bytes_s", "encrypt", "keep_plain", "avoid", "suspect", "retry_s")
    values = {name: given[name] for name in (*names, "retry_most_s")}
    return ship.settings_from({**values, "target": target, "key": given["key_file"] or ship.KEY})

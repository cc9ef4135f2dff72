# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The steps of a crash drill on the host: look, prepare, panic, read what it left, clear."""

from __future__ import annotations

import contextlib
import os
import time
import typing as t

from .._core import drill, drillchannels, drillrecord
from .._core.crashkernel import Suggestion, estimate, propose, render_size, usual
from .._core.drillchannels import Heard
from .._core.drillrecord import Before, CaptureRecord, Proof
from .._core.drillrecorder import DROP_IN, FILES, SCRIPT, panic_script, recorder_files
from .._core.dumpcheck import Expectation
from .._core.errors import CoreError, ParseError
from .._core.problems import Problem, find_problems
from .._core.text import clean, human_bytes
from .._host.base import Host, Unreadable, look
from .._host.capture import see_capture
from .._host.crashes import collect_crashes, is_crash_name
from .._host.drill import (
    boot_id,
    deadline_s,
    dirty_bytes,
    hear_journal,
    hear_pstore,
    hear_receiver,
    read_before,
    read_capture,
    see_drill,
    see_needs,
    traffic,
)
from .._host.kernel import collect_kernel
from .files import Stopped, write_file
from .opendump import prove_dump

__all__ = ["Refused", "check", "clear", "heard", "panic", "peer", "prepare", "read", "shrink"]

_SYNC_LIMIT_S = 300
#: For a capture without a time limit of its own, and for the way back into service after it.
_CAPTURE_S = 2700
_BOOT_S = 900
#: Long enough for the answer of the module to reach the controller.
_PANIC_IN_S = 5
_NMI = "/proc/sys/kernel/unknown_nmi_panic"
_CRASH_SIZE = "/sys/kernel/kexec_crash_size"
_CRASH_LOADED = "/sys/kernel/kexec_crash_loaded"

Result = dict[str, t.Any]


class Refused(CoreError):
    """This host may not go now; carries every reason at once."""

    def __init__(self, blockers: t.Sequence[Problem]) -> None:
        super().__init__("; ".join("{0}. Next: {1}".format(b.message, b.remedy) for b in blockers))
        self.blockers = tuple(blockers)


class _View(t.NamedTuple):
    """One look at the host."""

    kernel: Result
    capture: Result
    seen: Result


def _look(host: Host) -> _View:
    kernel = collect_kernel(host)
    capture = see_capture(host, kernel)
    problems = [problem._asdict() for problem in find_problems(capture)]
    return _View(kernel, capture, see_drill(host, capture, problems))


def peer(host: Host, now_s: float) -> Result:
    """Whether this host is up: {boot_id, in_capture, under_way (text or null)}. Changes nothing, needs no root."""
    try:
        here = boot_id(host)
    except Unreadable as exc:
        raise Stopped("the boot id of this host", exc.reason, "look at /proc/sys/kernel/random/boot_id") from exc
    under_way = None
    try:
        before = read_before(host)
        if before is not None and before.boot_id == here and 0 <= now_s - before.began_s < drill.STALE_S:
            under_way = "a drill ({0}) is under way on it".format(before.drill_id)
    except ParseError as exc:
        # As a user the folder is closed: then only what is up can be told.
        under_way = None if host.euid != 0 else clean(str(exc), 200)
    return {"changed": False, "boot_id": here, "in_capture": host.exists("/proc/vmcore"), "under_way": under_way}


def check(host: Host, asked: drill.Asked, now_s: float) -> Result:
    """May this host panic now? Raises Refused with every reason.

    Gives {resume, boot_id, boot_id_before, drill_id, estimate, limit_s, notes}. `resume` is true where a drill of
    an earlier boot waits to be read: then nothing more is asked.
    """
    view = _look(host)
    waiting = view.seen["state"]
    if waiting is not None and view.seen["boot_id"] not in (None, waiting.boot_id) and host.euid == 0:
        note = "a drill ({0}) panicked and was never read; it is read now, and no further panic is made"
        shown: Result = {
            "drill_id": waiting.drill_id,
            "boot_id_before": waiting.boot_id,
            "estimate": None,
            "limit_s": 0,
        }
        return _checked(view, resume=True, notes=[note.format(waiting.drill_id)], **shown)
    blockers = drill.find_blockers({**view.seen, **_written_out(host)}, asked, now_s)
    if blockers:
        raise Refused(blockers)
    notes = []
    if asked.group is None:
        notes.append("no redundancy group is named (crash_drill_group): nobody looked whether others take over")
    shown = {"drill_id": None, "boot_id_before": None, "estimate": _estimate(host, view)}
    shown["limit_s"] = (deadline_s(host) or _CAPTURE_S) + _BOOT_S
    return _checked(view, resume=False, notes=notes, **shown)


def _checked(view: _View, **shown: t.Any) -> Result:
    return {"changed": False, "boot_id": view.seen["boot_id"], **shown}


def _written_out(host: Host) -> Result:
    """{sync_failed, dirty_bytes} after a sync."""
    failed = _sync(host)
    unread: dict[str, str] = {}
    return {"sync_failed": failed, "dirty_bytes": look(unread, "dirty_bytes", dirty_bytes, host), "unread": unread}


def _sync(host: Host) -> str | None:
    """Write out what waits, and say what failed. Not a change: it would be written anyway."""
    try:
        done = host.run(["sync"], timeout_s=_SYNC_LIMIT_S)
    except Unreadable as exc:
        return exc.reason
    return None if done.rc == 0 else clean(done.err, 200) or "rc {0}".format(done.rc)


def _estimate(host: Host, view: _View) -> Result:
    return _shown(estimate(see_needs(host, view.capture)), view.capture["memory_bytes"] or 0)


def _shown(found: Suggestion, memory_bytes: int) -> Result:
    total = found.total_bytes or 0
    return {
        "crashkernel": render_size(total),
        "bytes": total,
        "parts": [{"for": what, "bytes": size} for what, size in found.parts],
        "reason": found.reason,
        "usual": [entry._asdict() for entry in usual(memory_bytes, total)],
    }


# --- before the panic -------------------------------------------------------------------------------------------------


def prepare(host: Host, asked: drill.Asked, noise: bytes, now_s: float, check_mode: bool) -> Result:
    """Look again, write down what is, and put the recorder in place: {drill_id, boot_id, changed}.

    Raises Refused with nothing changed, and Stopped where something could not be written; then it is taken back.
    """
    view = _look(host)
    blockers = drill.find_blockers({**view.seen, **_written_out(host)}, asked, now_s)
    if blockers:
        raise Refused(blockers)
    drill_id = drillrecord.new_id(noise)
    result = {"changed": True, "drill_id": drill_id, "boot_id": view.seen["boot_id"]}
    if not check_mode:
        stale = view.seen["state"] is not None or view.seen["state_refused"] is not None
        try:
            _put(host, _before(host, view, asked, drill_id, now_s), stale)
        except FileExistsError as exc:
            message = "another drill of this host began at the same moment"
            raise Refused([Problem("under_way", "error", None, message, "wait for it")]) from exc
        except OSError as exc:
            clear(host, False)
            raise Stopped("the drill could not be prepared", str(exc), "free space below /var and /etc") from exc
    return result


def _before(host: Host, view: _View, asked: drill.Asked, drill_id: str, now_s: float) -> Before:
    folder = view.capture["config"].get("KDUMP_COREDIR") or "/var/crash"
    try:
        names = [name for name in host.listdir(folder) if is_crash_name(name)]
    except Unreadable:
        names = []
    nmi = host.read_line(_NMI) if asked.kind == "nmi" else None
    return Before(
        drill_id=drill_id,
        kind=asked.kind,
        boot_id=str(view.seen["boot_id"]),
        began_s=now_s,
        build_id=view.kernel.get("build_id"),
        folder=folder,
        crashes=tuple(names),
        identity=drillrecord.identity_of(view.kernel, view.capture),
        nmi_before=nmi if nmi in ("0", "1") else None,
        channels={each["name"]: each["armed"] for each in view.capture.get("channels") or ()},
    )


def _put(host: Host, before: Before, stale: bool) -> None:
    """The state first, and only where there is none: of two drills at once the second one fails here."""
    os.makedirs(drillrecord.FOLDER, mode=0o700, exist_ok=True)
    if stale:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(drillrecord.STATE_PATH)
    handle = os.open(drillrecord.STATE_PATH, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(drillrecord.render(before))
        stream.flush()
        os.fsync(stream.fileno())
    with contextlib.suppress(FileNotFoundError):
        os.unlink(drillrecord.CAPTURE_PATH)
    for path, text in recorder_files(before.drill_id).items():
        write_file(path, text.encode("ascii"))
    _sync(host)


def panic(host: Host, drill_id: str, asked: drill.Asked, interface: str | None, check_mode: bool) -> Result:
    """Let the host panic in some seconds; for an NMI, let it panic when one comes. Raises Refused or Stopped."""
    before = read_before(host)
    if before is None or before.drill_id != drill_id:
        raise Stopped("the panic", "the drill {0} was not prepared".format(drill_id), "start the drill anew")
    seen = {**_look(host).seen, **_written_out(host), "state": None}
    blockers = list(drill.find_blockers(seen, asked, 0))
    if boot_id(host) != before.boot_id:
        message = "the host has booted since the drill was prepared"
        blockers.append(Problem("booted", "error", None, message, "start the drill anew"))
    if asked.kind == "under_load":
        blockers += _load_blockers(host, interface)
    if blockers:
        raise Refused(blockers)
    if not check_mode:
        _let_panic(host, before)
    return {"changed": True, "drill_id": drill_id, "boot_id": before.boot_id, "waits_for_nmi": asked.kind == "nmi"}


def _load_blockers(host: Host, interface: str | None) -> list[Problem]:
    """Traffic that is not there proves nothing: two looks at the counters, two seconds apart."""
    try:
        first = traffic(host, interface)
        time.sleep(2)
        rate = (traffic(host, interface) - first) // 2
    except Unreadable as exc:
        message = "the traffic of the NIC cannot be seen: {0}".format(exc)
        return [Problem("under_load", "error", None, message, "set crash_drill_load_interface")]
    if rate >= drill.LOAD_LEAST:
        return []
    message = "the NIC carries {0} a second, and at least {1} is wanted for a panic under load".format(
        human_bytes(max(0, rate)), human_bytes(drill.LOAD_LEAST)
    )
    return [Problem("under_load", "error", None, message, "look why crash_drill_load_command makes no traffic")]


def _let_panic(host: Host, before: Before) -> None:
    script = panic_script(before.kind, before.drill_id)
    if before.kind == "nmi":
        try:
            with open(_NMI, "w", encoding="ascii") as stream:
                stream.write("1")
        except OSError as exc:
            raise Stopped("kernel.unknown_nmi_panic", str(exc), "use the kind sysrq") from exc
        argv = ["sh", "-c", script]
    else:
        # A unit of its own: the end of the connection does not take it along.
        argv = ["systemd-run", "--quiet", "--unit=" + drillrecord.marker(before.drill_id)]
        argv += ["--on-active={0}".format(_PANIC_IN_S), "--timer-property=AccuracySec=100ms", "sh", "-c", script]
    try:
        done = host.run(argv, timeout_s=_SYNC_LIMIT_S)
    except Unreadable as exc:
        raise Stopped("the panic could not be arranged", exc.reason, "run it by hand: {0}".format(script)) from exc
    if done.rc != 0:
        seen = clean(done.err, 300) or "rc {0}".format(done.rc)
        raise Stopped("the panic could not be arranged", seen, "run it by hand: {0}".format(script))


# --- after it ---------------------------------------------------------------------------------------------------------


def heard(host: Host, drill_id: str, folder: str) -> Result:
    """On the machine that receives netconsole: {changed, arrived, panic, where}. Changes nothing."""
    if not drill_id:
        raise Stopped("asking the receiver", "no drill_id is given", "give the id that action=prepare returned")
    return {"changed": False, **hear_receiver(host, drill_id, folder)._asdict()}


def read(
    host: Host,
    scratch: str | None,
    check_mode: bool,
    receiver: t.Mapping[str, t.Any] | None = None,
    console: str | None = None,
) -> Result:
    """Open what the drill left, judge it, record the verdict and take the recorder away.

    `receiver` is what `heard` gave elsewhere, `console` what the console said; they tell of channels alone.
    Gives {proven, reasons, record, proposal, opened, channels, changed}. Raises Stopped where no drill was begun.
    """
    before = read_before(host)
    if before is None:
        raise Stopped(
            "reading the drill", "none was begun on this host", "begin one: crashready drill -i INVENTORY HOST"
        )
    kernel = collect_kernel(host)
    capture = see_capture(host, kernel, before.folder)
    found = _what_was_left(host, before, capture, scratch)
    reasons = drill.judge(before, found)
    proof = drill.make_proof(before, found, reasons)
    channels = _channels(host, before, not reasons, receiver, console)
    if not check_mode:
        # A panic that never was says nothing of the capture: an older verdict stays.
        problem = _record(proof) if found.boot_id != before.boot_id else None
        reasons += [problem] if problem else []
        if found.boot_id != before.boot_id:
            _record_channels(before, channels)
        clear(host, False)
    return {
        "changed": True,
        "proven": not reasons,
        "reasons": reasons,
        "record": {**proof._asdict(), "identity": proof.identity._asdict(), "reasons": list(proof.reasons)},
        "proposal": _proposal(host, before, proof, found.capture, capture),
        "opened": found.opened,
        "channels": channels,
    }


def _channels(
    host: Host, before: Before, opened: bool, receiver: t.Mapping[str, t.Any] | None, console: str | None
) -> list[Result]:
    """What came through each channel. Nothing here can make a proven capture unproven."""
    found: dict[str, Heard | None] = {
        "pstore": hear_pstore(host, before.drill_id, before.began_s),
        "journal": hear_journal(host, before.drill_id, before.boot_id),
        "netconsole": None,
        "serial": None,
    }
    if receiver and isinstance(receiver.get("arrived"), bool):
        where = clean(str(receiver.get("where")), 200)
        found["netconsole"] = Heard(receiver["arrived"], receiver.get("panic") is True, where)
    elif receiver:
        told = receiver.get("where") or receiver.get("msg") or "no answer"
        found["netconsole"] = Heard(None, False, "the receiver: {0}".format(clean(str(told), 200)))
    if console:
        found["serial"] = drillchannels.hear(console, before.drill_id, "its console")
    return drillchannels.judge_heard(before.channels, found, opened)


def _record_channels(before: Before, channels: t.Sequence[Result]) -> None:
    with contextlib.suppress(OSError):
        os.makedirs(drillrecord.FOLDER, mode=0o700, exist_ok=True)
        text = drillchannels.render_record(before.drill_id, before.began_s, channels)
        write_file(drillchannels.RECORD_PATH, text.encode("utf-8"), 0o600)


def _what_was_left(host: Host, before: Before, capture: Result, scratch: str | None) -> drill.Found:
    opened = _open(host, before, scratch)
    record: CaptureRecord | None = None
    unread: str | None = "it wrote none"
    try:
        record = read_capture(host)
    except ParseError as exc:
        unread = clean(str(exc), 300)
    if record is not None and record.drill_id != before.drill_id:
        record, unread = None, "what it wrote is of another drill"
    folder = capture["folder"]
    uid, mtime = _dump_status(host, opened)
    return drill.Found(
        boot_id=_this_boot(host),
        opened=opened,
        folder_closed=bool(folder and folder["uid"] == 0 and not folder["mode"] & 0o077),
        dump_uid=uid,
        capture=record,
        capture_unread=unread,
        dump_mtime_s=mtime,
        deadline_s=deadline_s(host),
    )


def _this_boot(host: Host) -> str | None:
    try:
        return boot_id(host)
    except Unreadable:
        return None


def _dump_status(host: Host, opened: Result | None) -> tuple[int | None, float | None]:
    file = (opened or {}).get("file")
    if not file or not (opened or {}).get("dump"):
        return None, None
    try:
        status = host.lstat(file)
    except Unreadable:
        return None, None
    return status.uid, status.mtime


def _open(host: Host, before: Before, scratch: str | None) -> Result | None:
    """Open the dump that is new since the drill began; of several the one that is this drill's, or else the newest."""
    expected = Expectation(
        build_id=before.build_id,
        release=before.identity.release,
        marker=drillrecord.marker(before.drill_id),
        newer_than=before.began_s,
    )
    best = None
    for path in _new_crashes(host, before)[:4]:
        result = prove_dump(host, path, before.folder, scratch, expected, before.build_id)
        if result["opened"]:
            return result
        best = best or result
    return best


def _new_crashes(host: Host, before: Before) -> list[str]:
    """Crash directories, newest first, that were not there or that something was written to since.

    The stamp has minutes: a second crash within one shares the directory of the first (G6).
    """
    try:
        crashes = collect_crashes(host, before.folder)
    except Unreadable:
        return []
    found = []
    for entry in crashes:
        name = entry["path"].rsplit("/", 1)[-1]
        if name not in before.crashes or _written_since(host, entry, before.began_s):
            found.append(entry["path"])
    return found


def _written_since(host: Host, entry: Result, began_s: float) -> bool:
    for item in entry["files"]:
        with contextlib.suppress(Unreadable):
            if host.lstat("{0}/{1}".format(entry["path"], item["name"])).mtime >= began_s:
                return True
    return False


def _record(proof: Proof) -> str | None:
    """Write the verdict. Where that fails an older one must not stay: it could say proven."""
    try:
        os.makedirs(drillrecord.FOLDER, mode=0o700, exist_ok=True)
        write_file(drillrecord.PROOF_PATH, drillrecord.render(proof).encode("utf-8", "surrogateescape"), 0o600)
    except OSError as exc:
        with contextlib.suppress(OSError):
            os.unlink(drillrecord.PROOF_PATH)
        return "the verdict could not be recorded on the host: {0}".format(exc)
    return None


def _proposal(host: Host, before: Before, proof: Proof, record: CaptureRecord | None, capture: Result) -> Result | None:
    """The smallest safe reservation by what was measured; None where the drill proved nothing."""
    reserved = before.identity.reserved_bytes
    if not proof.proven or record is None or reserved is None:
        return None
    found = propose(reserved, record.lowest_available_bytes, see_needs(host, capture))
    return _shown(found, capture["memory_bytes"] or 0)


def clear(host: Host, check_mode: bool) -> Result:
    """Take away what a drill put on the host; the verdict stays. {changed, removed}."""
    try:
        before = read_before(host)
    except ParseError:
        before = None
    paths = [*FILES, drillrecord.CAPTURE_PATH, drillrecord.CAPTURE_PATH + ".new", drillrecord.STATE_PATH]
    there = [path for path in paths if os.path.lexists(path)]
    if not check_mode:
        for path in there:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        for folder in (os.path.dirname(DROP_IN), os.path.dirname(SCRIPT)):
            with contextlib.suppress(OSError):  # something else lies there, or it is gone
                os.rmdir(folder)
        if before is not None and before.nmi_before is not None and before.boot_id == _this_boot(host):
            with contextlib.suppress(OSError), open(_NMI, "w", encoding="ascii") as stream:
                stream.write(before.nmi_before)
    return {"changed": bool(there), "removed": there}


# --- a smaller reservation, until the next boot -----------------------------------------------------------------------


def shrink(host: Host, size_bytes: int, check_mode: bool) -> Result:
    """Give memory of the reservation back to the running kernel: {changed, reserved_bytes, before_bytes}.

    The kernel shrinks a reservation only where nothing is loaded in it (crash_shrink_memory), so the capture kernel is
    unloaded and loaded again; it grows again with the next boot alone. Raises Stopped.
    """
    now = _reserved(host)
    if size_bytes == now:
        return {"changed": False, "reserved_bytes": now, "before_bytes": now}
    if not 32 * drill.MIB <= size_bytes < now:
        seen = "{0} asked for, {1} reserved".format(human_bytes(size_bytes), human_bytes(now))
        raise Stopped("a reservation only shrinks while the host runs", seen, "set kdump_crashkernel and boot again")
    result = {"changed": True, "reserved_bytes": size_bytes, "before_bytes": now}
    if check_mode:
        return result
    _kdump_config(host, "unload")
    seen = "no error"
    try:
        with open(_CRASH_SIZE, "w", encoding="ascii") as stream:
            stream.write(str(size_bytes))
    except OSError as exc:
        seen = str(exc)
    _kdump_config(host, "load")
    result["reserved_bytes"] = after = _reserved(host)
    if host.read_line(_CRASH_LOADED) != "1":
        seen = "kexec_crash_loaded is 0 with {0} reserved".format(human_bytes(after))
        raise Stopped(
            "the capture kernel does not load into that little", seen, "boot the host again: that restores it"
        )
    if after != size_bytes and abs(after - size_bytes) > 16 * drill.MIB:
        raise Stopped("the reservation is {0} now".format(human_bytes(after)), seen, "the host is armed with that")
    return result


def _reserved(host: Host) -> int:
    try:
        text = host.read_line(_CRASH_SIZE)
    except Unreadable as exc:
        raise Stopped("the reservation", exc.reason, "read {0} on the host".format(_CRASH_SIZE)) from exc
    if not text.isdigit() or int(text) == 0:
        raise Stopped("the reservation", "{0!r} in {1}".format(clean(text, 40), _CRASH_SIZE), "run harden-crash.yml")
    return int(text)


def _kdump_config(host: Host, verb: str) -> None:
    """What it says is not believed (G2); the caller looks at the kernel."""
    try:
        host.run(["kdump-config", verb], timeout_s=900)
    except Unreadable as exc:
        raise Stopped("kdump-config {0}".format(verb), exc.reason, "run it by hand, then look at the facts") from exc

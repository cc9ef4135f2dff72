# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Carries out one step of the kernel transaction that `_core.kernel_pin` planned, and looks again."""

from __future__ import annotations

import os
import tempfile
import typing as t

from .._core import health_gate, kernel_pin
from .._core import kernel_pin_files as files
from .._core import kernel_pin_preflight as preflight
from .._core.aptsources import Source, find_suite, render_deb822
from .._core.errors import CoreError
from .._core.kernel_pin import Wanted
from .._core.kernel_pin_state import ARMED, PASSED, STAGED, STATE_FILE, State, render_state
from .._core.plan import Change, as_diff, as_results
from .._core.problems import Problem
from .._core.text import clean
from .._host.base import Host, Unreadable
from .._host.bootentries import ESP_MOUNTS, GRUB_ENV
from .._host.capture import collect_os
from .._host.health import collect_health
from .._host.kernel import collect_kernel
from .._host.kernel_pin import see_kernel_pin
from .._host.preflight import see_preflight
from .._host.trial import collect_evidence
from . import apt
from .bootloader import GRUB_CFG, must
from .files import Snapshot, Stopped, write_file
from .kdump import Blocked

__all__ = ["converge"]

_LOOKS = 4
_PROBE_SETTINGS = (
    "APT::Sandbox::User=root",
    "APT::Update::Error-Mode=any",
    "Acquire::Languages=none",
    "Acquire::Retries=1",
    "Acquire::http::Timeout=30",
    "Acquire::https::Timeout=30",
)


class _View(t.NamedTuple):
    """One look at the host, and what would have to change."""

    seen: dict[str, t.Any]
    findings: list[Problem]
    changes: list[Change]
    probed: bool  #: the offer was read from lists of our own: apt's have to be updated first


def converge(host: Host, wanted: Wanted, check_mode: bool, lock_timeout_s: int = 120) -> dict[str, t.Any]:
    """Plan one step, refuse or carry out, look again. Returns what the module `kernel_pin` returns.

    Raises Blocked where nothing was changed, Stopped where a change failed.
    """
    view = _look(host, wanted)
    blockers = preflight.find_blockers(_adopt(wanted, view.seen), view.seen, view.changes)
    if not blockers and view.changes and _stages(wanted) and view.seen["boot"]["loader"] == "grub":
        view.seen["grub_dry_run"] = see_preflight(host, view.seen["kernel"], True)["grub_dry_run"]
        blockers = preflight.find_blockers(_adopt(wanted, view.seen), view.seen, view.changes)
    if not blockers and _tries(wanted, view) and not _brings(view.changes):
        blockers = preflight.find_arming_blockers(view.seen)
    if blockers:
        raise Blocked(blockers)
    done, after = view.changes, view
    if not check_mode and view.changes:
        done, after = _carry_out(host, wanted, view, lock_timeout_s)
    result = {"changed": bool(done), "changes": as_results(done), "diff": as_diff(done)}
    return {**result, **_outcome(host, wanted, view, after, bool(check_mode and done))}


def _stages(wanted: Wanted) -> bool:
    return wanted.state == "present" and wanted.step == "stage"


def _arms(changes: t.Iterable[Change]) -> bool:
    return any(change.kind == "one_shot" and change.after for change in changes)


def _tries(wanted: Wanted, view: _View) -> bool:
    """Whether these changes lead to a boot of the new kernel."""
    return _stages(wanted) and bool(view.changes) and kernel_pin.phase(view.seen) != "committed"


def _brings(changes: t.Iterable[Change]) -> bool:
    return any(change.kind == "package" for change in changes)


def _adopt(wanted: Wanted, seen: t.Mapping[str, t.Any]) -> Wanted:
    """A transaction that is under way goes on with what it was begun with, whatever the variables say now."""
    codename = seen["os"]["codename"] or ""
    state: State | None = seen["state"]
    if state is not None and wanted.state == "present" and wanted.step != "stage":
        wanted = wanted._replace(package=state.package, version=state.version, suite=state.suite)
    return wanted if wanted.suite else wanted._replace(suite=codename + "-backports")


def _look(host: Host, wanted: Wanted) -> _View:
    kernel = collect_kernel(host)
    guess = wanted if wanted.suite else wanted._replace(suite=(collect_os(host)["codename"] or "") + "-backports")
    seen = see_kernel_pin(host, guess, kernel)
    adopted = _adopt(wanted, seen)
    if adopted != guess:
        seen = see_kernel_pin(host, adopted, kernel)
    probed = False
    if _stages(adopted) and seen["offer"] is None and seen["applicable"]:
        seen, probed = _probed(host, adopted, seen)
    findings = _judge(host, adopted, seen)
    can_plan = seen["offer"] is not None or not _stages(adopted) or kernel_pin.phase(seen) == "committed"
    changes = kernel_pin.plan(adopted, seen) if can_plan and not seen["state_unread"] else []
    if adopted.state == "absent" and seen["state_unread"]:
        changes = kernel_pin.plan(adopted, seen)
    return _View(seen, findings, changes, probed)


def _judge(host: Host, wanted: Wanted, seen: dict[str, t.Any]) -> list[Problem]:
    """Findings of the gate, where a trial runs and is asked about."""
    if wanted.state != "present" or wanted.step != "gate" or kernel_pin.phase(seen) not in ("trial", "passed"):
        return []
    state: State = seen["state"]
    health = collect_health(host, seen["kernel"])
    if state.before is None:
        message = "how well the host was before the trial is not known"
        findings = [Problem("no_before", "error", None, message, "roll back, and stage again")]
    else:
        findings = health_gate.compare(state.before, health, state.new_release)
    seen["gate"] = [finding for finding in findings if finding.severity == "error"]
    return findings


# --- a suite that the host's lists do not have ---------------------------------------------------------------------


def _probed(host: Host, wanted: Wanted, seen: dict[str, t.Any]) -> tuple[dict[str, t.Any], bool]:
    """Ask the mirror itself, with lists in a folder of our own: nothing on the host changes, in check mode either."""
    try:
        source = kernel_pin.suite_source(wanted, seen) or find_suite(
            seen["sources"], wanted.suite, seen["os"]["codename"] or ""
        )
    except CoreError as exc:
        seen["offer_unread"] = str(exc)
        return seen, False
    if source is None:
        return seen, False
    with tempfile.TemporaryDirectory(prefix="crashready-apt-") as folder:
        options = _probe_options(folder, source)
        try:
            done = host.run(["apt-get", "-q", *options, "update"], timeout_s=300)
        except Unreadable as exc:
            seen["offer_unread"] = "apt-get update could not run: {0}".format(exc.reason)
            return seen, False
        if done.rc != 0:
            said = [line for line in done.err.splitlines() if line.startswith("E:")]
            seen["offer_unread"] = "the mirror was asked: {0}".format(clean(" / ".join(said[:2]), 300).rstrip("."))
            return seen, False
        return see_kernel_pin(host, wanted, seen["kernel"], options), True


def _probe_options(folder: str, source: Source) -> list[str]:
    for name in ("lists/partial", "cache/archives/partial"):
        os.makedirs(os.path.join(folder, name), exist_ok=True)
    path = os.path.join(folder, "probe.sources")
    write_file(path, render_deb822(source._replace(components=source.components or ("main",)), "").encode("utf-8"))
    places = {
        "Dir::Etc::SourceList": path,
        "Dir::Etc::SourceParts": os.path.join(folder, "none"),
        "Dir::State::Lists": os.path.join(folder, "lists"),
        "Dir::Cache": os.path.join(folder, "cache"),
    }
    settings = ["{0}={1}".format(key, value) for key, value in places.items()] + list(_PROBE_SETTINGS)
    return [word for setting in settings for word in ("-o", setting)]


# --- carrying out --------------------------------------------------------------------------------------------------


def _carry_out(host: Host, wanted: Wanted, view: _View, lock_timeout_s: int) -> tuple[list[Change], _View]:
    """Up to the packages first; what they bring is looked at before the rest is done."""
    done: list[Change] = []
    for _round in range(_LOOKS):
        changes = view.changes
        if not changes:
            return done, view
        last = max((n for n, change in enumerate(changes) if change.kind == "package"), default=-1)
        now = changes[: last + 1] if last >= 0 else changes
        if last < 0 and _tries(wanted, view):
            blockers = preflight.find_arming_blockers(view.seen)
            if blockers:
                first = "; ".join("{0}. Next: {1}".format(b.message, b.remedy) for b in blockers)
                step = "the running kernel stays the default; mend that, or run the step rollback"
                raise Stopped("the trial boot was not armed", first, step)
        _apply_all(host, wanted, view, now, lock_timeout_s)
        done += [change for change in now if change.name not in {d.name for d in done} or change.kind == "state"]
        view = _look(host, wanted)
    left = ", ".join(change.name for change in view.changes)
    raise Stopped("a second look after the changes", "still to be done: " + left, "run again with -vv and --diff")


def _apply_all(host: Host, wanted: Wanted, view: _View, changes: t.Sequence[Change], lock_timeout_s: int) -> None:
    undo = Snapshot([files.GRUB_DROP_IN, files.GRUB_SCRIPT, GRUB_CFG])
    packages = [change for change in changes if change.kind == "package"]
    for change in changes:
        try:
            if change.kind == "package":
                if change is packages[0]:
                    _install(host, view, packages, lock_timeout_s)
            elif change.kind == "purge":
                apt.purge(host, change.data["packages"], lock_timeout_s)
            elif change.kind == "state":
                _apply_state(host, wanted, change)
            else:
                _APPLY[change.kind](host, change)
        except OSError as exc:
            raise Stopped(change.name, str(exc), "mend that, then the same run again") from exc
        except Stopped:
            if change.kind in ("boot_default", "boot_entry"):
                _undo(undo)
            raise
    if any(change.target == files.GUARD_UNIT for change in changes) and os.path.isdir("/run/systemd/system"):
        must(host, ["systemctl", "daemon-reload"], "systemd could not re-read its units")


def _undo(snapshot: Snapshot) -> None:
    try:
        snapshot.restore()
    except OSError as exc:
        step = "free space below /boot and run update-grub before this host boots again"
        raise Stopped("the boot loader's files could not be put back", str(exc), step) from exc


def _install(host: Host, view: _View, changes: t.Sequence[Change], lock_timeout_s: int) -> None:
    """All packages in one run of apt; where that fails, what came new goes again: the running kernel is not alone."""
    if view.probed:
        apt.update(host, lock_timeout_s)
    names = ["{0}={1}".format(change.target, change.data["version"]) for change in changes]
    try:
        # The metapackage may come from an older suite than the one before.
        apt.install(host, names, lock_timeout_s, ["--allow-downgrades"])
    except Stopped as exc:
        release = str(kernel_pin.new_release(view.seen))
        # Not what was there before, nor firmware; a package that did not come is no error to purge.
        new = [change.target for change in changes if change.before is None and release in change.target]
        try:
            apt.purge(host, new, lock_timeout_s)
        except Stopped as worse:
            raise Stopped("{0} And taking it back failed".format(exc), str(worse), "dpkg --audit") from worse
        raise


def _apply_state(host: Host, wanted: Wanted, change: Change) -> None:
    """Look anew: what the changes before this one did belongs into it."""
    view = _look(host, wanted)
    seen, stage = view.seen, change.data["stage"]
    boot_id = seen["boot_id"]
    if not boot_id:
        raise Stopped("the boot could not be told from others", "no boot id", "is /proc mounted?")
    if stage in (STAGED, ARMED):
        state = _begun(_adopt(wanted, seen), seen, stage)
        if stage == ARMED:
            state = state._replace(before=collect_health(host, seen["kernel"]))
    else:
        state = seen["state"]._replace(stage=stage, boot_id=boot_id)
    if stage == PASSED:
        # First the mark: the guard must not reboot a host that is remembered as proven.
        os.makedirs(os.path.dirname(files.GUARD_MARK), exist_ok=True)
        write_file(files.GUARD_MARK, boot_id.encode("ascii") + b"\n", 0o644)
    write_file(STATE_FILE, render_state(state).encode("utf-8"), 0o600)


def _begun(wanted: Wanted, seen: t.Mapping[str, t.Any], stage: str) -> State:
    offer, earlier = seen["offer"], seen["state"]
    same = earlier is not None and (earlier.new_release, earlier.version) == (offer["release"], offer["version"])
    came = [name for name in offer["packages"] if name not in seen["packages"]]
    return State(
        stage=stage,
        package=wanted.package,
        version=offer["version"],
        suite=wanted.suite,
        old_release=str(kernel_pin.old_release(seen)),
        new_release=offer["release"],
        boot_id=seen["boot_id"],
        installed=tuple(sorted({*came, *(earlier.installed if same else ())})),
        prior_default=earlier.prior_default if same else seen["boot"]["default_pattern"],
        before=None,
    )


def _apply_file(host: Host, change: Change) -> None:
    write_file(change.target, change.data["text"].encode("utf-8", "surrogateescape"), change.data["mode"])


def _apply_remove_file(host: Host, change: Change) -> None:
    if os.path.lexists(change.target):
        os.unlink(change.target)
    if change.target == files.GUARD_SCRIPT and not os.listdir(os.path.dirname(change.target)):
        os.rmdir(os.path.dirname(change.target))


def _apply_forget(host: Host, change: Change) -> None:
    for path in (STATE_FILE, files.GUARD_REPORT):
        if os.path.lexists(path):
            os.unlink(path)


def _menu(host: Host) -> t.Mapping[str, t.Any]:
    return see_kernel_pin(host, Wanted(state="absent"), collect_kernel(host))


def _apply_boot_default(host: Host, change: Change) -> None:
    if change.target == "systemd-boot":
        must(host, ["bootctl", "set-default", change.data["pattern"] or ""], "the default entry could not be set")
        return
    must(host, ["update-grub"], "GRUB's configuration could not be generated (now undone)", 900)
    expected = change.data["release"]
    found = _menu(host)["boot"]["default_release"]
    if expected is not None and found != expected:
        seen = "the menu would boot {0} by default, not {1} (now undone)".format(found, expected)
        step = "look for a later file in /etc/default/grub.d, or a script in /etc/grub.d, that sets the default"
        raise Stopped("the boot menu after the change", seen, step)


def _apply_boot_entry(host: Host, change: Change) -> None:
    must(host, ["update-grub"], "GRUB's configuration could not be generated (now undone)", 900)
    trial = _menu(host)["boot"]["trial"]
    release = change.data["release"]
    if release is None:
        return
    fits = trial is not None and trial["release"] == release and change.data["words"] in trial["cmdline"]
    if not fits:
        seen = "the menu has no trial entry of {0} (now undone)".format(release)
        raise Stopped("the boot menu after the change", seen, "sh -x {0}, and update-grub".format(files.GRUB_SCRIPT))


def _apply_loader_entry(host: Host, change: Change) -> None:
    """The entry file beside the kernel's own one, on whichever partition that is."""
    name = files.TRIAL_ID + ".conf"
    release = change.data["release"]
    if release is None:
        for mount in ESP_MOUNTS:
            if os.path.exists("{0}/loader/entries/{1}".format(mount, name)):
                os.unlink("{0}/loader/entries/{1}".format(mount, name))
        return
    entry = _menu(host)["boot"]["entry_of"].get(release)
    for mount in ESP_MOUNTS:
        original = "{0}/loader/entries/{1}".format(mount, entry)
        if entry and host.exists(original):
            text = files.loader_entry(host.read(original, 64 * 1024), change.data["words"])
            # FAT knows no owner and no mode; a plain replacement is what it has.
            with open("{0}/loader/entries/{1}".format(mount, name), "w", encoding="utf-8") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            return
    seen = "systemd-boot has no entry of {0}".format(release)
    raise Stopped("the trial entry could not be made", seen, "kernel-install add {0} /boot/vmlinuz-{0}".format(release))


def _apply_one_shot(host: Host, change: Change) -> None:
    entry = change.data["entry"]
    what = "the choice for one boot could not be {0}".format("made" if entry else "taken back")
    if change.target == "systemd-boot":
        must(host, ["bootctl", "set-oneshot", entry or ""], what)
    elif entry:
        must(host, ["grub-reboot", entry], what)
    else:
        must(host, ["grub-editenv", GRUB_ENV, "unset", "next_entry"], what)
    found = _menu(host)["one_shot"]["set"]
    if found != entry:
        raise Stopped(what, "it is {0!r} afterwards".format(found), "grub-editenv {0} list".format(GRUB_ENV))


_APPLY: t.Mapping[str, t.Callable[[Host, Change], None]] = {
    "file": _apply_file,
    "remove_file": _apply_remove_file,
    "forget": _apply_forget,
    "boot_default": _apply_boot_default,
    "boot_entry": _apply_boot_entry,
    "loader_entry": _apply_loader_entry,
    "one_shot": _apply_one_shot,
}


# --- what is told --------------------------------------------------------------------------------------------------


def _outcome(host: Host, wanted: Wanted, view: _View, after: _View, predicted: bool) -> dict[str, t.Any]:
    seen = after.seen
    adopted = _adopt(wanted, seen)
    now = kernel_pin.phase(seen)
    offer, state = seen["offer"], seen["state"]
    before = {**view.seen, "firmware_unread": seen["firmware_unread"]}
    notes = preflight.find_notes(adopted, before) if _stages(wanted) and now in ("none", "staged", "armed") else []
    pinned = kernel_pin.still_needed(seen)
    gate = None
    if wanted.step == "gate" and wanted.state == "present":
        gate = {
            "passed": now == "passed" and health_gate.passed(view.findings),
            "findings": [finding._asdict() for finding in view.findings],
            "says": health_gate.render_findings(view.findings),
        }
    return {
        "phase": now,
        "would_arm": predicted and _arms(view.changes),
        "package": adopted.package,
        "version": (offer and offer["version"]) or (state and state.version),
        "suite": adopted.suite,
        "running_release": seen["kernel"]["release"],
        "old_release": state.old_release if state else seen["kernel"]["release"],
        "new_release": kernel_pin.new_release(seen),
        "default_release": seen["boot"]["default_release"],
        "notes": [note._asdict() for note in notes],
        "hang_protected": preflight.hang_protected(seen),
        "reboot_required": now in ("staged", "armed") or (now in ("trial", "passed") and wanted.step == "rollback"),
        "gate": gate,
        "evidence": collect_evidence(host, seen) if now == "returned" else [],
        "needed": pinned["needed"],
        "needed_reason": pinned["reason"],
    }

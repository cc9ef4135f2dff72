# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The kernel transaction's plan: one step at a time from the running kernel to another, with a way back.

Steps: `stage` brings the kernel beside the running one and arms one trial boot; `gate` judges the trial
(health_gate); `commit` makes it what the host boots from then on; `rollback` takes a failed trial away;
state `absent` gives the choice back to the administrator. Everything here is a function of what was seen
(`_host.kernel_pin`) and of what is wanted; carrying it out is `_change.kernel_pin`'s.
"""

from __future__ import annotations

import re
import typing as t

from . import debversion
from . import kernel_pin_files as files
from .aptsources import Source, debian_mirror, find_suite
from .errors import CoreError
from .kernel_pin_state import ARMED, COMMITTED, FAILED, PASSED, STAGED, STATE_FILE
from .plan import Change

__all__ = [
    "PHASES",
    "STEPS",
    "Wanted",
    "expected_default",
    "flavour_of",
    "is_other_wish",
    "line_of",
    "needs_headers",
    "new_release",
    "phase",
    "plan",
    "still_needed",
    "suite_source",
    "wanted_from",
]

STEPS = ("stage", "gate", "commit", "rollback")
#: Where a host stands; see `phase`.
PHASES = ("none", "staged", "armed", "trial", "passed", "returned", "committed", "failed")
DEBIAN_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"

Seen = t.Mapping[str, t.Any]


class Wanted(t.NamedTuple):
    """What the user asked for; the role's variables without their prefix."""

    package: str = "linux-image-amd64"  #: a metapackage: of a flavour, or of one kernel line and a flavour
    version: str | None = None  #: None: the newest of the suite
    suite: str = ""
    state: str = "present"
    step: str = "stage"
    mirror: str | None = None  #: None: the one that the host uses for its own release
    blocked_versions: tuple[str, ...] = ()
    deadline_s: int = 600
    panic_s: int = 30
    watchdog_s: int = 180
    manage_source: bool = True
    arm: bool = True  #: False: everything but the choice of the next boot


# --- what is wanted -------------------------------------------------------------------------------------------

_PACKAGE = re.compile(r"linux-image-(?:(\d{1,2}\.\d{1,3})-)?((?:cloud-|rt-)?(?:amd64|arm64))(?:-unsigned)?\Z")
_SUITE = re.compile(r"[a-z]{2,30}(?:-(?:backports|backports-sloppy|security|updates|proposed-updates))?\Z")
_MIRROR = re.compile(r"(?:https?|mirror\+https?|mirror\+file|file|copy)://?[A-Za-z0-9._:/\[\]%~+-]{1,400}\Z")


def wanted_from(params: t.Mapping[str, t.Any]) -> Wanted:
    """Check a module's parameters and make a `Wanted` of them. Raises CoreError.

    These values end up in files of apt and of the boot loader, so each has a grammar.
    """
    if not _PACKAGE.match(params["package"]):
        message = "package {0!r}: expected the metapackage of a flavour, such as linux-image-amd64 or {1}"
        raise CoreError(message.format(params["package"][:80], "linux-image-6.12-amd64"))
    if params["suite"] and not _SUITE.match(params["suite"]):
        raise CoreError("suite {0!r}: expected a name such as trixie-backports".format(params["suite"][:80]))
    if params["mirror"] is not None and not _MIRROR.match(params["mirror"]):
        raise CoreError("mirror {0!r}: expected the URI of a Debian mirror".format(params["mirror"][:80]))
    versions = [params["version"]] if params["version"] else []
    for version in versions + list(params["blocked_versions"]):
        debversion.parse(version)
    for key, low, high in _NUMBERS:
        if not low <= params[key] <= high:
            raise CoreError("{0}: {1} is not between {2} and {3}".format(key, params[key], low, high))
    return Wanted(
        package=params["package"],
        version=params["version"] or None,
        suite=params["suite"] or "",
        state=params["state"],
        step=params["step"],
        mirror=params["mirror"],
        blocked_versions=tuple(params["blocked_versions"]),
        deadline_s=params["deadline_s"],
        panic_s=params["panic_s"],
        watchdog_s=params["watchdog_s"],
        manage_source=params["manage_source"],
        arm=params["arm"],
    )


_NUMBERS = (("deadline_s", 60, 86400), ("panic_s", 1, 3600), ("watchdog_s", 30, 3600))


def flavour_of(package: str) -> str:
    """Debian's flavour in the name of a metapackage."""
    match = _PACKAGE.match(package)
    if match is None:
        raise CoreError("{0!r} is no metapackage of a kernel".format(package[:80]))
    return match.group(2)


def line_of(wanted: Wanted) -> str | None:
    """The kernel line that the default stays on, such as "6.12"; None where it goes with the suite.

    Backports go from line to line; the release's own suites and a metapackage of one line do not.
    """
    match = _PACKAGE.match(wanted.package)
    if match and match.group(1):
        return match.group(1)
    if "-backports" in wanted.suite or not wanted.version:
        return None
    return ".".join(debversion.upstream(wanted.version).split(".")[:2])


# --- where the host stands ------------------------------------------------------------------------------------


def phase(seen: Seen) -> str:
    """One of PHASES.

    - none: no transaction is under way
    - staged: the kernel is there, or was about to come; the next boot is the old one
    - armed: the next boot is the trial
    - trial: the trial boot runs and waits for the gate
    - passed: the gate was passed in this very boot
    - returned: the trial was booted, or tried, and the host is back on another kernel
    - committed: the new kernel is the default
    - failed: the trial came back and was taken away
    """
    state = seen["state"]
    if state is None:
        return "none"
    if state.stage in (STAGED, COMMITTED, FAILED):
        return str(state.stage)
    same_boot = seen["boot_id"] == state.boot_id
    runs_new = seen["kernel"]["release"] == state.new_release
    if state.stage == PASSED:
        # A boot after the gate and before the commit is the old kernel again, by design.
        return "passed" if same_boot and runs_new else "trial" if runs_new else "staged"
    if runs_new:
        return "trial"
    return "armed" if same_boot else "returned"


def new_release(seen: Seen) -> str | None:
    """The release that this transaction is about."""
    if seen["offer"]:
        return str(seen["offer"]["release"])
    return seen["state"].new_release if seen["state"] else None


def old_release(seen: Seen) -> str:
    """The kernel to come back to: the running one, until a trial runs."""
    if phase(seen) in ("armed", "trial", "passed", "returned"):
        return str(seen["state"].old_release)
    return str(seen["kernel"]["release"])


def needs_headers(seen: Seen) -> bool:
    """Whether modules are built on this host, or somebody keeps headers for that."""
    names = seen["packages"]
    return "dkms" in names or any(name.startswith("linux-headers-") for name in names)


def expected_default(seen: Seen, patterns: t.Sequence[str], never: t.Sequence[str]) -> str | None:
    """The release that `grub_drop_in` with these patterns chooses among the installed kernels."""
    there = [k["release"] for k in seen["kernel"]["installed"] or () if k["vmlinuz"] and k["initrd"]]
    for pattern in patterns:
        python = pattern.replace(r"\(", "(?:").replace(r"\)", ")")
        found = [r for r in there if r not in never and re.fullmatch(_unbasic(python), r)]
        if found:
            return str(found[0])
    return None


def _unbasic(pattern: str) -> str:
    """A plus outside of brackets is a sign in basic regular expressions and an operator in Python's."""
    return re.sub(r"\[[^\]]*\]|\+", lambda m: r"\+" if m.group() == "+" else m.group(), pattern)


def suite_source(wanted: Wanted, seen: Seen) -> Source | None:
    """The source that has to be written for the suite; None where the host has one, or none is wanted.

    Raises CoreError where the host has no mirror of its release to take the address from.
    """
    if not wanted.manage_source:
        return None
    codename = seen["os"]["codename"] or ""
    others = [source for source in seen["sources"] if source.file != files.SOURCE]
    if find_suite(others, wanted.suite, codename):
        return None
    if "-backports" not in wanted.suite:
        # Security has mirrors of its own; a host without it, or without its own release, is mended by a person.
        raise CoreError("no source of this host brings {0}; add it to apt's sources".format(wanted.suite))
    mirror = debian_mirror(others, codename)
    if wanted.mirror:
        return Source(wanted.mirror, wanted.suite, _components(mirror), DEBIAN_KEYRING, files.SOURCE)
    if mirror is None:
        message = "no source of this host brings {0} with its component main, so the mirror for {1} is not known"
        raise CoreError((message + "; set backports_kernel_mirror").format(codename, wanted.suite))
    return Source(mirror.uri, wanted.suite, _components(mirror), mirror.signed_by or DEBIAN_KEYRING, files.SOURCE)


def _components(mirror: Source | None) -> tuple[str, ...]:
    """main, and non-free-firmware where the host has it: firmware packages come from there."""
    found = mirror.components if mirror else ("main",)
    return ("main", *(name for name in found if name == "non-free-firmware"))


# --- the plan -------------------------------------------------------------------------------------------------


def plan(wanted: Wanted, seen: Seen) -> list[Change]:
    """Every change that one step still needs, in the order of carrying out."""
    if wanted.state == "absent":
        return _absent(seen)
    now = phase(seen)
    if wanted.step == "stage":
        if now == "committed" and not is_other_wish(wanted, seen):
            return _committed(wanted, seen)
        return _staged(wanted, seen) if now in ("none", "staged", "armed", "failed", "committed") else []
    if wanted.step == "gate":
        return [_state(seen, PASSED)] if now == "trial" and seen["gate"] == [] else []
    if wanted.step == "commit":
        return _committed(wanted, seen) if now in ("passed", "committed") else []
    return _rolled_back(wanted, seen) if now in _UNDER_WAY else []


_UNDER_WAY = ("staged", "armed", "trial", "passed", "returned", "failed")


def is_other_wish(wanted: Wanted, seen: Seen) -> bool:
    """Whether a committed transaction was about something else: another package, suite, or a newer version."""
    state = seen["state"]
    if (state.package, state.suite) != (wanted.package, wanted.suite):
        return True
    if wanted.version is None:
        return False
    running = seen["kernel"]["package_version"]
    have = [version for version in (state.version, running) if version]
    return all(debversion.compare(version, wanted.version) < 0 for version in have)


def _staged(wanted: Wanted, seen: Seen) -> list[Change]:
    """The way back first, then the kernel, then its one boot (G36)."""
    offer = seen["offer"]
    old = old_release(seen)
    changes: list[Change] = []
    if not _state_fits(seen, offer):
        # First of all, so that a run that breaks off leaves a list of what to take away.
        changes.append(_state(seen, STAGED))
    changes += _apt_files(wanted, seen, old)
    changes += _default(wanted, seen, _hold(seen, old), "the proven kernel is the default until the gate is passed")
    changes += _packages(seen, offer["packages"], "the kernel comes beside the running one")
    changes += _packages(seen, _firmware(seen), "the new kernel's drivers ask for newer firmware files")
    changes += _guard(wanted, seen)
    changes += _trial_entry(wanted, seen)
    chosen = seen["one_shot"]["set"] == _trial_name(seen)
    if not wanted.arm:
        changes += _unset(seen, "no boot of the new kernel is wanted yet")
        if phase(seen) == "armed":
            changes.append(_state(seen, STAGED))
    elif changes or not chosen or phase(seen) != "armed":
        changes.append(_state(seen, ARMED))
        changes.append(
            Change(
                "one_shot",
                seen["boot"]["loader"],
                seen["one_shot"]["set"],
                _trial_name(seen),
                "one boot tries {0}; the one after it is {1} again".format(offer["release"], old),
                {"entry": _trial_name(seen)},
            )
        )
    return changes


def _state_fits(seen: Seen, offer: Seen) -> bool:
    state = seen["state"]
    return bool(state and (state.new_release, state.version) == (offer["release"], offer["version"]))


def _trial_name(seen: Seen) -> str:
    return files.TRIAL_ID + (".conf" if seen["boot"]["loader"] == "systemd-boot" else "")


def _committed(wanted: Wanted, seen: Seen) -> list[Change]:
    state = seen["state"]
    follow = _follow(wanted._replace(version=wanted.version or state.version), seen)
    changes = _apt_files(wanted, seen, state.old_release, follow=True)
    changes += _meta(wanted, seen)
    changes += _no_trial(seen, "the trial is over")
    changes += _default(wanted, seen, follow, "the kernel that passed the gate, and its updates, are the default")
    if state.stage != COMMITTED:
        changes.append(_state(seen, COMMITTED))
    return changes


def _meta(wanted: Wanted, seen: Seen) -> list[Change]:
    """The metapackage, in the very version that was tried: a newer one would come unproven.

    Where the archive has it no longer, nothing is done: the preferences make the next upgrade follow.
    """
    state, offer = seen["state"], seen["offer"]
    if offer is None or offer["version"] != state.version:
        return []
    wish = {wanted.package: offer["version"]}
    if needs_headers(seen) and offer["headers_package"]:
        wish[offer["headers_package"]] = offer["version"]
    line = line_of(wanted._replace(version=offer["version"]))
    missing = {
        name: version for name, version in wish.items() if not _is_there(seen["packages"].get(name), version, line)
    }
    return _packages(seen, missing, "updates of the kernel come with its metapackage")


def _is_there(installed: str | None, version: str, line: str | None) -> bool:
    """Whether a metapackage follows already: this version or a newer one, of the chosen line where there is one."""
    if installed is None or debversion.compare(installed, version) < 0:
        return False
    return line is None or installed == version or debversion.upstream(installed).startswith(line + ".")


def _rolled_back(wanted: Wanted, seen: Seen) -> list[Change]:
    state = seen["state"]
    failed = wanted._replace(blocked_versions=(*wanted.blocked_versions, state.version))
    changes = _no_trial(seen, "the trial is over")
    if seen["kernel"]["release"] == state.new_release:
        # A kernel does not take itself away; the next boot is the old one, and the rest is done from there.
        return changes
    changes += _removals(seen, state.installed)
    changes += _apt_files(failed, seen, None)
    changes += _default(wanted, seen, None, "nothing is held any more")
    if state.stage != FAILED:
        changes.append(_state(seen, FAILED))
    return changes


def _removals(seen: Seen, names: t.Sequence[str]) -> list[Change]:
    version = re.sub(r"-(?:cloud-|rt-)?[a-z0-9]+\Z", "", seen["state"].new_release)
    there = [name for name in names if name in seen["packages"] and "-" + version in name]
    if not there or seen["kernel"]["package"] in there:
        return []
    why = "the kernel that came back is not left to be the newest one"
    return [Change("purge", " ".join(there), "installed", None, why, {"packages": there})]


def _absent(seen: Seen) -> list[Change]:
    changes = _no_trial(seen, "kernel choices are the administrator's again")
    changes += [
        _removed(path, seen, "kernel choices are the administrator's again")
        for path in (files.SOURCE, files.PREFERENCES, files.APT_CONF)
        if seen["files"].get(path)
    ]
    changes += _default(Wanted(), seen, None, "kernel choices are the administrator's again")
    if seen["state"] or seen["state_unread"]:
        stage = seen["state"].stage if seen["state"] else "unreadable"
        changes.append(Change("forget", STATE_FILE, stage, None, "the transaction is over", {}))
    return changes


# --- parts of the plan ----------------------------------------------------------------------------------------


def _file(path: str, seen: Seen, text: str, mode: int, why: str) -> list[Change]:
    found = seen["files"].get(path)
    if found and found["text"] == text and found["mode"] == mode and found["uid"] == 0:
        return []
    before, after = (found["text"] if found else None), text
    if before == after and found:
        before = "mode {0:04o}, owner {1}".format(found["mode"], found["uid"])
        after = "mode {0:04o}, owner 0".format(mode)
    return [Change("file", path, before, after, why, {"text": text, "mode": mode})]


def _removed(path: str, seen: Seen, why: str) -> Change:
    return Change("remove_file", path, seen["files"][path]["text"], None, why, {})


def _apt_files(wanted: Wanted, seen: Seen, protected: str | None, follow: bool = False) -> list[Change]:
    """Source, preferences and protection; one that has nothing to say goes."""
    texts: dict[str, str] = {}
    source = suite_source(wanted, seen) if protected else None
    if source:
        texts[files.SOURCE] = files.source_file(source)
    blocked = list(dict.fromkeys(wanted.blocked_versions))
    flavour = flavour_of(wanted.package)
    pinned = wanted.suite if protected and "-backports" in wanted.suite else None
    if pinned or blocked:
        extra = (*(seen["offer"] or {}).get("pins", _pinned_before(seen)), *sorted(_firmware(seen)))
        headers = needs_headers(seen)
        texts[files.PREFERENCES] = files.preferences(
            flavour, pinned, extra, headers=headers, follow=follow, blocked=blocked
        )
    if protected:
        texts[files.APT_CONF] = files.apt_conf(protected)
    changes: list[Change] = []
    for path, why in _APT_WHY.items():
        if path in texts:
            changes += _file(path, seen, texts[path], 0o644, why)
        elif seen["files"].get(path) and (path != files.SOURCE or not _suite_in_use(seen)):
            changes.append(_removed(path, seen, "it has nothing to say any more"))
    return changes


_APT_WHY = {
    files.SOURCE: "the suite that the kernel comes from",
    files.PREFERENCES: "the kernel's packages are taken from its suite, known bad versions are not",
    files.APT_CONF: "the kernel to come back to is not removed as unused",
}


def _suite_in_use(seen: Seen) -> bool:
    """While a new transaction cannot see its offer, the source that an old one brought stays."""
    return seen["offer"] is None and seen["state"] is not None and seen["state"].stage == COMMITTED


def _pinned_before(seen: Seen) -> tuple[str, ...]:
    """Packages beside the kernel's own that the preferences have already, for a run that sees no offer."""
    found = seen["files"].get(files.PREFERENCES)
    match = re.search(r"(?m)^Package: (.*/\^linux-\S+/.*)$", found["text"]) if found else None
    words = match.group(1).split() if match else []
    return tuple(word for word in words if word == "linux-base" or word.startswith("firmware-"))


class _Default(t.NamedTuple):
    """What the menu's default is to be."""

    patterns: tuple[str, ...]
    never: tuple[str, ...]
    why: str


def _hold(seen: Seen, old: str) -> _Default:
    """This very kernel; where somebody removes it, the newest of its line and flavour."""
    match = re.match(r"(\d+\.\d+)\..*?((?:cloud-|rt-)?[a-z0-9]+)\Z", old)
    branch = (files.branch_pattern(match.group(1), match.group(2)),) if match else ()
    never = tuple(release for release in (new_release(seen),) if release)
    why = "Until the trial is judged the kernel that ran before it is the default"
    return _Default((files.exact_pattern(old), *branch), never, why)


def _follow(wanted: Wanted, seen: Seen) -> _Default:
    """The newest of the chosen line, whatever its ABI is called: never frozen."""
    pattern = files.branch_pattern(line_of(wanted), flavour_of(wanted.package))
    kernels = seen["kernel"]["installed"] or ()
    never = tuple(k["release"] for k in kernels if k["package_version"] in wanted.blocked_versions)
    return _Default((pattern,), never, "The newest installed kernel of the chosen line is the default")


def _default(wanted: Wanted, seen: Seen, choice: _Default | None, why: str) -> list[Change]:
    boot = seen["boot"]
    if boot["loader"] == "systemd-boot":
        return _systemd_boot_default(seen, choice, why)
    if boot["loader"] != "grub":
        return []
    if choice is None:
        if not seen["files"].get(files.GRUB_DROP_IN):
            return []
        changes = [_removed(files.GRUB_DROP_IN, seen, why)]
        return [*changes, Change("boot_default", "grub", boot["default_release"], None, why, {"release": None})]
    text = files.grub_drop_in(boot["template"] or "{release}", choice.patterns, choice.never, choice.why)
    changes = _file(files.GRUB_DROP_IN, seen, text, 0o644, why)
    expected = expected_default(seen, choice.patterns, choice.never)
    if changes or boot["default_release"] != expected:
        data = {"release": expected}
        changes.append(Change("boot_default", "grub", boot["default_release"], expected, why, data))
    return changes


def _systemd_boot_default(seen: Seen, choice: _Default | None, why: str) -> list[Change]:
    """bootctl(1) set-default takes a glob, and the menu has the newest first, so a glob follows updates."""
    boot = seen["boot"]
    prior = seen["state"].prior_default if seen["state"] else None
    if choice is None:
        glob = prior
    else:
        expected = expected_default(seen, choice.patterns, choice.never)
        glob = boot["entry_of"].get(expected)
        if glob and len(choice.patterns) == 1:
            glob = _glob(glob, str(expected))
    if glob == boot["default_pattern"]:
        return []
    return [Change("boot_default", "systemd-boot", boot["default_pattern"], glob, why, {"pattern": glob})]


def _glob(entry: str, release: str) -> str:
    """`token-6.12.117+deb13-amd64.conf` -> `token-6.12.*-amd64.conf`."""
    match = re.match(r"(\d+)\.(\d+)\..*?((?:-cloud|-rt)?-[a-z0-9]+)\Z", release)
    return entry.replace(release, "{0}.{1}.*{2}".format(*match.groups())) if match else entry


def _packages(seen: Seen, wish: t.Mapping[str, str], why: str) -> list[Change]:
    return [
        Change("package", name, seen["packages"].get(name), version, why, {"version": version})
        for name, version in sorted(wish.items(), key=lambda item: (not item[0].startswith("linux-image"), item[0]))
        if seen["packages"].get(name) != version
    ]


def _firmware(seen: Seen) -> dict[str, str]:
    """Firmware packages of the suite that bring what a driver would lose."""
    offered = seen["firmware_offers"]
    found: dict[str, str] = {}
    for loss in seen["firmware_losses"]:
        for name in loss.packages:
            if name in offered and (name in seen["packages"] or len(loss.packages) == 1):
                found[name] = offered[name]
    return found


def _guard(wanted: Wanted, seen: Seen) -> list[Change]:
    why = "a trial that nobody can reach ends by itself"
    return [
        *_file(files.GUARD_SCRIPT, seen, files.guard_script(wanted.deadline_s), 0o755, why),
        *_file(files.GUARD_UNIT, seen, files.guard_unit(), 0o644, why),
    ]


def _trial_entry(wanted: Wanted, seen: Seen) -> list[Change]:
    release = seen["offer"]["release"]
    words = files.trial_words(wanted.panic_s, wanted.watchdog_s if seen["watchdog"]["hardware"] else None)
    why = "one entry for one boot, with panic={0} and the guard".format(wanted.panic_s)
    trial = seen["boot"]["trial"]
    shown = "{0}: {1}".format(release, words)
    if seen["boot"]["loader"] == "systemd-boot":
        fits = trial and trial["release"] == release and trial["cmdline"].endswith(words)
        data = {"release": release, "words": words}
        before = trial and trial["cmdline"]
        return [] if fits else [Change("loader_entry", files.TRIAL_ID, before, shown, why, data)]
    changes = _file(files.GRUB_SCRIPT, seen, files.grub_script(release, words), 0o755, why)
    if changes or not trial or trial["release"] != release or words not in trial["cmdline"]:
        before = trial and "{0}: {1}".format(trial["release"], trial["cmdline"])
        data = {"release": release, "words": words}
        changes.append(Change("boot_entry", files.TRIAL_ID, before, shown, why, data))
    return changes


def _unset(seen: Seen, why: str) -> list[Change]:
    chosen = seen["one_shot"]["set"]
    if chosen != _trial_name(seen):
        return []
    return [Change("one_shot", seen["boot"]["loader"], chosen, None, why, {"entry": None})]


def _no_trial(seen: Seen, why: str) -> list[Change]:
    changes = _unset(seen, why)
    if seen["boot"]["loader"] == "systemd-boot" and seen["boot"]["trial"]:
        changes.append(Change("loader_entry", files.TRIAL_ID, "there", None, why, {"release": None}))
    there = [path for path in (files.GUARD_UNIT, files.GUARD_SCRIPT, files.GRUB_SCRIPT) if seen["files"].get(path)]
    changes += [_removed(path, seen, why) for path in there]
    if files.GRUB_SCRIPT in there or (seen["boot"]["trial"] and seen["boot"]["loader"] == "grub"):
        changes.append(Change("boot_entry", files.TRIAL_ID, "in the menu", None, why, {"release": None}))
    return changes


def _state(seen: Seen, stage: str) -> Change:
    before = seen["state"].stage if seen["state"] else None
    return Change("state", STATE_FILE, before, stage, "the transaction is remembered over the boot", {"stage": stage})


# --- whether it is still needed ---------------------------------------------------------------------------------


def still_needed(seen: Seen) -> dict[str, t.Any]:
    """{"needed": bool | None, "reason"}: whether the release's own suites have caught up with the chosen kernel.

    None where no kernel was chosen or the versions could not be read.
    """
    state, stable = seen["state"], seen["stable_version"]
    if state is None or state.stage != COMMITTED:
        return {"needed": None, "reason": "no kernel is pinned on this host"}
    if stable is None:
        return {"needed": None, "reason": "what the release itself offers could not be read"}
    if debversion.compare(debversion.base(stable), debversion.base(state.version)) >= 0:
        reason = "this pin is no longer needed: the release itself offers {0}, pinned is {1}"
        return {"needed": False, "reason": reason.format(stable, state.version)}
    return {"needed": True, "reason": "the release itself offers {0}, pinned is {1}".format(stable, state.version)}

# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The plan of a kernel transaction: each step leads on, a second plan finds nothing, and there is a way back."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.rackops.crashready.plugins.module_utils._core import kernel_pin
from ansible_collections.rackops.crashready.plugins.module_utils._core import kernel_pin_files as files
from ansible_collections.rackops.crashready.plugins.module_utils._core.errors import CoreError
from ansible_collections.rackops.crashready.plugins.module_utils._core.modfirmware import Loss

from ....seen_pin import NEW, OFFER, OLD, TEMPLATE, VERSION, WANTED, booted, entry, fresh, kernel, run

STATE = "state /var/lib/crashready/kernel_pin.json"
GATE = WANTED._replace(step="gate")
COMMIT = WANTED._replace(step="commit")
ROLLBACK = WANTED._replace(step="rollback")
ABSENT = kernel_pin.Wanted(state="absent")

STAGED = [
    STATE,
    "file " + files.SOURCE,
    "file " + files.PREFERENCES,
    "file " + files.APT_CONF,
    "file " + files.GRUB_DROP_IN,
    "boot_default grub",
    "package linux-image-" + NEW,
    "package linux-modules-" + NEW,
    "file " + files.GUARD_SCRIPT,
    "file " + files.GUARD_UNIT,
    "file " + files.GRUB_SCRIPT,
    "boot_entry crashready-trial",
]
UNTRIED = ["remove_file " + path for path in (files.GUARD_UNIT, files.GUARD_SCRIPT, files.GRUB_SCRIPT)]


def armed(**changed: t.Any) -> dict[str, t.Any]:
    seen = fresh(**changed)
    run(seen)
    return seen


def passed() -> dict[str, t.Any]:
    seen = booted(armed(), NEW)
    seen["gate"] = []
    run(seen, GATE)
    return seen


def committed() -> dict[str, t.Any]:
    seen = passed()
    run(seen, COMMIT)
    return seen


def test_way_back_comes_before_the_kernel_and_the_boot_comes_last() -> None:
    assert run(fresh()) == [*STAGED, STATE, "one_shot grub"]


def test_staging_chooses_no_boot() -> None:
    seen = fresh()
    assert run(seen, WANTED._replace(arm=False)) == STAGED
    assert kernel_pin.phase(seen) == "staged"
    assert run(seen) == [STATE, "one_shot grub"]
    assert kernel_pin.phase(seen) == "armed"


def test_consent_can_be_taken_back() -> None:
    seen = armed()
    assert run(seen, WANTED._replace(arm=False)) == ["one_shot grub", STATE]
    assert seen["one_shot"]["set"] is None
    assert kernel_pin.phase(seen) == "staged"


def test_the_running_kernel_is_the_default_until_the_gate() -> None:
    """G36: whatever is the newest, and whatever somebody installs meanwhile."""
    seen = armed()
    assert seen["boot"]["default_release"] == OLD
    text = seen["files"][files.GRUB_DROP_IN]["text"]
    assert "__crashready_newest '6\\.12\\.117+deb13-amd64'" in text
    assert "grep -v -x -e '7\\.3\\.4+deb13-amd64'" in text
    assert TEMPLATE.split("{")[0] in text


@pytest.mark.parametrize(
    ("release", "phase"),
    [(NEW, "trial"), (OLD, "returned"), ("6.12.99+deb13-amd64", "returned")],
)
def test_phase_after_the_boot(release: str, phase: str) -> None:
    seen = booted(armed(), release)
    assert kernel_pin.phase(seen) == phase
    assert kernel_pin.plan(WANTED, seen) == []


def test_gate_and_commit() -> None:
    seen = booted(armed(), NEW)
    assert kernel_pin.plan(COMMIT, seen) == []
    seen["gate"] = [object()]
    assert kernel_pin.plan(GATE, seen) == []
    seen["gate"] = []
    assert run(seen, GATE) == [STATE]
    assert kernel_pin.phase(seen) == "passed"
    assert run(seen, COMMIT) == [
        "file " + files.PREFERENCES,
        "package linux-image-amd64",
        *UNTRIED,
        "boot_entry crashready-trial",
        "file " + files.GRUB_DROP_IN,
        "boot_default grub",
        STATE,
    ]
    assert seen["boot"]["default_release"] == NEW
    assert kernel_pin.phase(seen) == "committed"


def test_a_boot_between_gate_and_commit_begins_anew() -> None:
    seen = booted(passed(), OLD)
    assert kernel_pin.phase(seen) == "staged"
    assert kernel_pin.plan(COMMIT, seen) == []
    assert run(seen) == [STATE, "one_shot grub"]


def test_committed_host_needs_nothing() -> None:
    seen = committed()
    assert kernel_pin.plan(WANTED, seen) == []
    assert kernel_pin.plan(COMMIT, booted(seen, NEW)) == []
    seen["offer"] = None  # its version has left the archive
    assert kernel_pin.plan(WANTED, seen) == []


@pytest.mark.parametrize("path", [files.GRUB_DROP_IN, files.APT_CONF, files.PREFERENCES])
def test_drift_of_a_committed_host_is_mended(path: str) -> None:
    seen = committed()
    seen["files"][path] = None
    assert "file " + path in run(seen)


def test_default_follows_a_newer_kernel_and_is_not_frozen() -> None:
    seen = committed()
    seen["kernel"]["installed"].insert(0, kernel("7.4.2+deb13-amd64", "7.4.2-1~bpo13+1"))
    seen["boot"]["default_release"] = "7.4.2+deb13-amd64"
    assert kernel_pin.plan(COMMIT, seen) == []
    seen["boot"]["default_release"] = NEW
    (change,) = kernel_pin.plan(COMMIT, seen)
    assert (change.name, change.after) == ("boot_default grub", "7.4.2+deb13-amd64")


def test_a_known_bad_version_is_never_the_default() -> None:
    seen = committed()
    seen["kernel"]["installed"].insert(0, kernel("7.4.2+deb13-amd64", "7.4.2-1~bpo13+1"))
    wanted = COMMIT._replace(blocked_versions=("7.4.2-1~bpo13+1",))
    run(seen, wanted)
    assert seen["boot"]["default_release"] == NEW
    assert "Pin: version 7.4.2-1~bpo13+1" in seen["files"][files.PREFERENCES]["text"]


@pytest.mark.parametrize(
    ("package", "suite", "version", "line"),
    [
        ("linux-image-amd64", "trixie-backports", VERSION, None),
        ("linux-image-amd64", "bookworm-security", "6.1.192-2", "6.1"),
        ("linux-image-6.12-amd64", "bookworm-security", "6.12.117-1~deb12u1", "6.12"),
        ("linux-image-amd64", "trixie", None, None),
    ],
)
def test_line_that_the_default_stays_on(package: str, suite: str, version: str | None, line: str | None) -> None:
    assert kernel_pin.line_of(WANTED._replace(package=package, suite=suite, version=version)) == line


def test_rollback_takes_away_what_came_and_blocks_it() -> None:
    seen = booted(armed(), OLD)
    assert run(seen, ROLLBACK) == [
        *UNTRIED,
        "boot_entry crashready-trial",
        "purge linux-image-{0} linux-modules-{0}".format(NEW),
        "remove_file " + files.SOURCE,
        "file " + files.PREFERENCES,
        "remove_file " + files.APT_CONF,
        "remove_file " + files.GRUB_DROP_IN,
        "boot_default grub",
        STATE,
    ]
    assert kernel_pin.phase(seen) == "failed"
    assert "Pin: version {0}\nPin-Priority: -1".format(VERSION) in seen["files"][files.PREFERENCES]["text"]
    assert seen["boot"]["default_release"] == OLD


def test_rollback_in_the_trial_leaves_the_running_kernel() -> None:
    seen = booted(armed(), NEW)
    assert not [name for name in run(seen, ROLLBACK) if name.startswith("purge")]
    assert kernel_pin.phase(seen) == "trial"
    assert seen["boot"]["default_release"] == OLD


def test_rollback_removes_only_its_own() -> None:
    """A state that names other packages, and a kernel that was there before, stay."""
    seen = booted(armed(), OLD)
    seen["packages"]["bash"] = "5"
    seen["state"] = seen["state"]._replace(installed=("bash", "linux-image-" + OLD, "linux-modules-" + NEW))
    (purge,) = [change for change in kernel_pin.plan(ROLLBACK, seen) if change.kind == "purge"]
    assert purge.data["packages"] == ["linux-modules-" + NEW]


def test_absent_leaves_nothing_of_ours_and_no_kernel_less() -> None:
    for seen in (armed(), booted(armed(), OLD), committed()):
        packages = dict(seen["packages"])
        run(seen, ABSENT)
        assert not any(seen["files"].values())
        assert seen["packages"] == packages
        assert seen["one_shot"]["set"] is None
        assert seen["state"] is None
    assert kernel_pin.plan(ABSENT, fresh()) == []


def test_source_is_written_only_where_there_is_none() -> None:
    own = fresh()["sources"][0]
    assert kernel_pin.suite_source(WANTED, fresh(sources=[own, own._replace(suite="trixie-backports")])) is None
    assert kernel_pin.suite_source(WANTED._replace(manage_source=False), fresh()) is None
    written = kernel_pin.suite_source(WANTED, fresh())
    assert written is not None
    assert (written.uri, written.suite, written.signed_by) == (own.uri, WANTED.suite, kernel_pin.DEBIAN_KEYRING)
    keyed = fresh(sources=[own._replace(signed_by="/etc/apt/keyrings/own.gpg")])
    written = kernel_pin.suite_source(WANTED, keyed)
    assert written is not None
    assert written.signed_by == "/etc/apt/keyrings/own.gpg"
    for wanted, seen in ((WANTED, fresh(sources=[])), (WANTED._replace(suite="trixie-security"), fresh())):
        with pytest.raises(CoreError):
            kernel_pin.suite_source(wanted, seen)


def test_firmware_that_a_driver_would_lose_comes_with_the_kernel() -> None:
    loss = Loss("ice", "x", ("x",), ("y",), ("firmware-intel-misc", "firmware-misc-nonfree"))
    seen = armed(packages={"firmware-intel-misc": "20250410-2"})
    seen.update(firmware_losses=[loss], firmware_offers={"firmware-intel-misc": "20260916-1~bpo13+1"})
    names = [change.name for change in kernel_pin.plan(WANTED, seen)]
    assert "package firmware-intel-misc" in names
    (preferences,) = [c for c in kernel_pin.plan(WANTED, seen) if c.target == files.PREFERENCES]
    assert "firmware-intel-misc" in (preferences.after or "")


def test_headers_come_where_modules_are_built() -> None:
    seen = fresh(packages={"dkms": "3"})
    run(seen)
    assert "headers|kbuild" in seen["files"][files.PREFERENCES]["text"]
    seen = booted(seen, NEW)
    seen["gate"] = []
    run(seen, GATE)
    assert "package linux-headers-amd64" in run(seen, COMMIT)


@pytest.mark.parametrize(
    ("installed", "package", "suite", "version", "comes"),
    [
        (VERSION, "linux-image-amd64", "trixie-backports", VERSION, False),
        ("7.4.1-1~bpo13+1", "linux-image-amd64", "trixie-backports", VERSION, False),
        ("6.12.117-1", "linux-image-amd64", "trixie-backports", VERSION, True),
        # from a backport that is no longer updated back to the release's own line
        ("7.3.4-1~bpo13+1", "linux-image-amd64", "trixie-security", "6.12.118-1", True),
        ("6.12.119-1", "linux-image-amd64", "trixie-security", "6.12.118-1", False),
    ],
)
def test_metapackage(installed: str, package: str, suite: str, version: str, comes: bool) -> None:
    seen = passed()
    source = seen["sources"][0]
    seen["sources"] = [source, source._replace(suite=suite)]
    seen["packages"]["linux-image-amd64"] = installed
    seen["state"] = seen["state"]._replace(suite=suite, version=version)
    seen["offer"] = {**OFFER, "suite": suite, "version": version}
    wanted = COMMIT._replace(package=package, suite=suite, version=version)
    names = [change.name for change in kernel_pin.plan(wanted, seen)]
    assert ("package linux-image-amd64" in names) is comes


def test_another_wish_on_a_committed_host_is_a_transaction_of_its_own() -> None:
    seen = booted(committed(), NEW)
    newer = {**OFFER, "version": "7.4.1-1~bpo13+1", "release": "7.4.1+deb13-amd64", "packages": {"p": "1"}}
    seen["offer"] = newer
    assert kernel_pin.is_other_wish(WANTED._replace(version="7.4.1-1~bpo13+1"), seen)
    names = [change.name for change in kernel_pin.plan(WANTED._replace(version="7.4.1-1~bpo13+1"), seen)]
    assert names[0] == STATE
    assert names[-1] == "one_shot grub"
    (hold,) = [
        c for c in kernel_pin.plan(WANTED._replace(version="7.4.1-1~bpo13+1"), seen) if c.target == files.GRUB_DROP_IN
    ]
    assert "'7\\.3\\.4+deb13-amd64'" in (hold.after or "")


@pytest.mark.parametrize(
    ("stable", "needed"),
    [("6.12.117-1", True), ("7.3.4-1", False), ("7.3.4-1~deb13u1", False), ("8.1.1-1", False), (None, None)],
)
def test_pin_that_is_no_longer_needed(stable: str | None, needed: bool | None) -> None:
    seen = committed()
    seen["stable_version"] = stable
    assert kernel_pin.still_needed(seen)["needed"] is needed
    assert kernel_pin.still_needed(fresh())["needed"] is None


def test_systemd_boot() -> None:
    """The variables of the loader, and its glob: the menu has the newest first."""
    seen = fresh(
        boot={
            "loader": "systemd-boot",
            "template": None,
            "entry_of": {OLD: "debian-{0}.conf".format(OLD), NEW: "debian-{0}.conf".format(NEW)},
        }
    )
    names = run(seen)
    assert "file " + files.GRUB_DROP_IN not in names
    assert names[-3:] == ["loader_entry crashready-trial", STATE, "one_shot systemd-boot"]
    assert seen["one_shot"]["set"] == "crashready-trial.conf"
    assert seen["boot"]["default_pattern"] == "debian-{0}.conf".format(OLD)
    seen = booted(seen, NEW)
    seen["gate"] = []
    run(seen, GATE)
    run(seen, COMMIT)
    assert seen["boot"]["default_pattern"] == "debian-7.3.*-amd64.conf"
    run(seen, ABSENT)
    assert seen["boot"]["default_pattern"] is None


PARAMETERS: dict[str, t.Any] = {
    "package": "linux-image-amd64",
    "version": None,
    "suite": None,
    "state": "present",
    "step": "stage",
    "mirror": None,
    "manage_source": True,
    "arm": True,
    "blocked_versions": [],
    "deadline_s": 600,
    "panic_s": 30,
    "watchdog_s": 180,
}


def test_parameters() -> None:
    wanted = kernel_pin.wanted_from({**PARAMETERS, "package": "linux-image-6.12-cloud-amd64", "version": "6.12.117-1"})
    assert kernel_pin.flavour_of(wanted.package) == "cloud-amd64"
    assert wanted.suite == ""


@pytest.mark.parametrize(
    "bad",
    [
        {"package": "bash"},
        {"package": "linux-image-6.12.117+deb13-amd64"},
        {"package": "linux-image-amd64; reboot"},
        {"version": "1:2:3 4"},
        {"blocked_versions": ["$(reboot)"]},
        {"suite": "trixie backports"},
        {"suite": "../x"},
        {"mirror": "http://x/ y"},
        {"mirror": "gopher://x"},
        {"deadline_s": 5},
        {"panic_s": 0},
        {"watchdog_s": 1},
    ],
)
def test_parameters_have_a_grammar(bad: dict[str, t.Any]) -> None:
    with pytest.raises(CoreError):
        kernel_pin.wanted_from({**PARAMETERS, **bad})


def test_a_removed_kernel_is_no_expected_default() -> None:
    seen = fresh()
    assert kernel_pin.expected_default(seen, [files.exact_pattern(OLD)], []) == OLD
    seen["kernel"]["installed"][0]["initrd"] = False
    assert kernel_pin.expected_default(seen, [files.exact_pattern(OLD)], []) is None


def test_trial_entry_that_lost_a_word_is_made_anew() -> None:
    seen = armed()
    seen["boot"]["trial"] = entry(NEW, cmdline="root=UUID=0 ro quiet")
    assert "boot_entry crashready-trial" in run(seen)

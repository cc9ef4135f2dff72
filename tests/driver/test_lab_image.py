# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The VM rack: recipes, disks and the cache of images. Nothing here needs root."""

from __future__ import annotations

import datetime
import fcntl
import json
import os
import pathlib
import shutil

import pytest

from crashready.lab import apt, commands, disk, image, recipe
from crashready.lab.errors import LabError, ToolError
from crashready.lab.progress import Progress

#: Lines of `apt-config dump` (apt 2.6.1) of a machine behind a proxy, with the defaults around them.
DUMP = """\
APT::Architecture "amd64";
Acquire "";
Acquire::AllowInsecureRepositories "0";
Acquire::IndexTargets::deb::Packages::MetaKey "$(COMPONENT)/binary-$(ARCHITECTURE)/Packages";
Acquire::http "";
Acquire::http::Proxy "http://127.0.0.1:3142/";
Acquire::http::Proxy::mirror.example.org "DIRECT";
Acquire::https::CaInfo "/etc/ssl/own.pem";
Acquire::https::mirror.example.org::Verify-Peer "false";
Acquire::Check-Valid-Until "false";
Acquire::Check-Date "";
Acquire::Languages "";
Acquire::Languages:: "none";
Acquire::GzipIndexes "true";
DPkg::Post-Invoke:: "rm -f /var/cache/apt/archives/*.deb || true";
"""


def a_recipe(**changes: object) -> recipe.Recipe:
    given = {"suite": "trixie", "sources": ("deb http://m/debian trixie main",), "build_settings": ()}
    return recipe.Recipe(**{**given, "guest_settings": (), **changes})  # type: ignore[arg-type]


def test_settings_that_decide_about_reaching_a_mirror_are_carried_over() -> None:
    assert apt.parse_settings(DUMP) == [
        ("Acquire::http::Proxy", "http://127.0.0.1:3142/"),
        ("Acquire::https::mirror.example.org::Verify-Peer", "false"),
        ("Acquire::Check-Valid-Until", "false"),
        ("Acquire::Languages::", "none"),
    ]


@pytest.mark.parametrize(
    ("value", "inside"),
    [
        ("http://127.0.0.1:3142/", "http://10.0.2.2:3142/"),
        ("http://localhost:3142", "http://10.0.2.2:3142"),
        ("http://[::1]:3142/", "http://10.0.2.2:3142/"),
        ("http://localhost.example.org:3142/", "http://localhost.example.org:3142/"),
        ("false", "false"),
    ],
)
def test_a_proxy_on_the_controllers_loopback_is_reached_from_inside(value: str, inside: str) -> None:
    assert apt.guest_setting(("Acquire::http::Proxy", value)) == 'Acquire::http::Proxy "{0}";'.format(inside)


@pytest.mark.parametrize(
    ("sites", "mirror"),
    [
        ("http://m/debian-security\nhttp://m/debian\nhttp://m/debian\n", "http://m/debian"),
        ("http://m/debian/\n", "http://m/debian"),
        ("http://archive/ubuntu\nhttps://packages/node\n", None),
        ("", None),
    ],
)
def test_the_mirror_is_the_machines_own(sites: str, mirror: str | None) -> None:
    assert apt.pick_mirror(sites) == mirror


def test_mirrors_of_the_environment_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEBIAN_MIRROR", "http://own/debian/")
    monkeypatch.delenv("DEBIAN_SECURITY_MIRROR", raising=False)
    assert apt.read_mirrors().sources("trixie") == [
        "deb http://own/debian trixie main non-free-firmware",
        "deb http://own/debian trixie-updates main non-free-firmware",
        "deb http://own/debian trixie-backports main non-free-firmware",
        "deb http://own/debian-security trixie-security main non-free-firmware",
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"suite": "bookworm"},
        {"extra_packages": ("nginx",)},
        {"warm": False},
        {"guest_settings": ('Acquire::Retries "3";',)},
        {"disk_bytes": 8 << 30},
        {"firmware": "uefi"},
        {"loader": "systemd-boot"},
    ],
)
def test_every_part_of_a_recipe_is_in_its_key(changes: dict[str, object]) -> None:
    assert a_recipe().key() == a_recipe().key()
    assert a_recipe(**changes).key() != a_recipe().key()


def test_a_guest_has_debians_own_apt_settings() -> None:
    options = recipe.mmdebstrap_options(a_recipe(), "/staging")
    assert any("rm -f" in option and "apt.conf.d/99mmdebstrap" in option for option in options)
    assert "--skip=cleanup/apt/lists" in options
    assert "grub-pc" in next(o for o in options if o.startswith("--include=")).removeprefix("--include=").split(",")


def test_the_kdump_packages_are_fetched_and_not_installed() -> None:
    assert not {"kdump-tools", "makedumpfile", "kexec-tools"} & set(a_recipe().packages())
    assert "--download-only install kdump-tools" in recipe.chroot_script(a_recipe(), "/dev/loop9", "u")
    assert "kdump-tools" not in recipe.chroot_script(a_recipe(warm=False), "/dev/loop9", "u")


def test_guests_have_a_serial_console_and_no_quiet() -> None:
    script = recipe.chroot_script(a_recipe(), "/dev/loop9", "some-uuid")
    assert "console=ttyS0" in script
    assert "quiet" not in script
    assert "grub-install --target=i386-pc /dev/loop9" in script
    assert "UUID=some-uuid / ext4" in script


@pytest.fixture
def sfdisk() -> str:
    path = shutil.which("sfdisk", path=commands.SEARCH_PATH)
    if path is None:
        pytest.skip("sfdisk (package fdisk) is not installed here")
    return path


@pytest.mark.parametrize(
    ("changes", "label", "types"),
    [
        # The bootable flag is what a BIOS's boot sector looks for.
        ({}, "dos", [("83", 2048, True)]),
        (
            {"firmware": "uefi", "loader": "systemd-boot"},
            "gpt",
            [
                ("C12A7328-F81F-11D2-BA4B-00A0C93EC93B", 2048, False),
                ("0FC63DAF-8483-4772-8E79-3D69D8477DE4", 2048 + recipe.ESP_MIB * 2048, False),
            ],
        ),
    ],
)
def test_partitions_are_what_the_firmware_looks_for(
    tmp_path: pathlib.Path, sfdisk: str, changes: dict[str, object], label: str, types: list[tuple[str, int, bool]]
) -> None:
    path = tmp_path / "disk.raw"
    disk.write_disk(path, 2 << 30, recipe.partition_script(a_recipe(**changes)))
    table = json.loads(commands.run([sfdisk, "--json", str(path)]).stdout)["partitiontable"]
    assert table["label"] == label
    seen = [(part["type"], part["start"], part.get("bootable", False)) for part in table["partitions"]]
    assert seen == types
    last = table["partitions"][-1]
    assert (2 << 30) // 512 - (last["start"] + last["size"]) <= 4096, "the root takes the rest of the disk"


def test_a_disk_is_sparse_and_never_overwritten(tmp_path: pathlib.Path, sfdisk: str) -> None:
    path = tmp_path / "disk.raw"
    disk.write_disk(path, 1 << 30, recipe.partition_script(a_recipe()))
    assert path.stat().st_size == 1 << 30
    assert path.stat().st_blocks * 512 < 1 << 20
    with pytest.raises(FileExistsError):
        disk.write_disk(path, 1 << 30, recipe.partition_script(a_recipe()))


def test_systemd_boot_starts_the_image_by_entries_of_its_own_machine_id() -> None:
    chosen = a_recipe(firmware="uefi", loader="systemd-boot")
    files = recipe.last_files(chosen, "ssh-ed25519 AAAA x")
    assert "/etc/machine-id" not in files, "an empty one would change at the first boot, and the entries bear it"
    assert "console=ttyS0" in files["/etc/kernel/cmdline"]
    script = recipe.chroot_script(chosen, "/dev/loop9", "some-uuid")
    assert "kernel-install add" in script
    assert "grub" not in script


def test_grub_is_started_by_uefi_through_its_signed_image() -> None:
    script = recipe.chroot_script(a_recipe(firmware="uefi"), "/dev/loop9", "some-uuid")
    assert "grubx64.efi.signed /boot/efi/EFI/BOOT/BOOTX64.EFI" in script
    assert "search.fs_uuid some-uuid root" in script
    assert "grub-install" not in script


def test_mounts_of_a_killed_build_are_found_deepest_first() -> None:
    # proc(5): the fifth field is the mount point, blanks in it are \040.
    mountinfo = (
        "30 1 7:0 / /c/images/.build-a/root rw - ext4 /dev/loop0p1 rw\n"
        "31 30 0:5 / /c/images/.build-a/root/dev rw - devtmpfs udev rw\n"
        "32 1 0:9 / /c/images/.build-ab rw - tmpfs none rw\n"
        "33 1 0:9 / /c/other\\040place rw - tmpfs none rw\n"
    )
    assert disk.unmount_below(pathlib.Path("/c/images/.build-a"), mountinfo) == [
        "/c/images/.build-a/root/dev",
        "/c/images/.build-a/root",
    ]
    assert disk.unmount_below(pathlib.Path("/c"), mountinfo)[-1] == "/c/other place"


@pytest.fixture
def cache(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    monkeypatch.setenv("CRASHREADY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def an_image(cache: pathlib.Path, made: recipe.Recipe, day: str, whole: bool = True) -> pathlib.Path:
    path = cache / "images" / "{0}-{1}-{2}-{3}".format(made.suite, made.boot, made.key(), day)
    path.mkdir(parents=True)
    if whole:
        (path / "image.json").write_text("{}")
    return path


def test_the_newest_image_that_is_young_enough_is_taken(cache: pathlib.Path) -> None:
    an_image(cache, a_recipe(), "20261101")
    newest = an_image(cache, a_recipe(), "20261103")
    an_image(cache, a_recipe(), "20261104", whole=False)
    an_image(cache, a_recipe(warm=False), "20261105")
    today = datetime.date(2026, 11, 10)
    found = image.existing(a_recipe(), today=today)
    assert found is not None
    assert (found.path, found.day) == (newest, "20261103")
    assert image.existing(a_recipe(), today=today, max_age_days=6) is None


def test_the_cache_is_private(cache: pathlib.Path) -> None:
    image.existing(a_recipe())
    assert (cache / "images").stat().st_mode & 0o077 == 0


def test_two_builders_do_not_collide(cache: pathlib.Path) -> None:
    with image._builder_lock(a_recipe(), Progress(quiet=True)):
        (lock,) = (cache / "images").glob(".lock-*")
        with lock.open("w") as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_without_root_the_error_has_the_command_to_run(cache: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(LabError, match=r"needs root.*sudo CRASHREADY_CACHE=.* lab image trixie"):
        image.ensure(a_recipe(), Progress(quiet=True))


def test_a_failed_build_leaves_its_log_and_no_image(cache: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(work: pathlib.Path, made: recipe.Recipe, progress: Progress) -> None:
        (work / "build.log").write_text("E: no mirror\n")
        (work / "disk.raw").write_bytes(b"half")
        raise ToolError("mmdebstrap")

    monkeypatch.setattr(image, "_preflight", lambda made: None)
    monkeypatch.setattr(image, "_build_into", broken)
    with pytest.raises(ToolError):
        image.ensure(a_recipe(), Progress(quiet=True))
    left = sorted(path.name for path in (cache / "images").iterdir() if not path.name.startswith(".lock"))
    assert left == ["failed-trixie.log"]


def test_a_build_appears_whole(cache: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def quick(work: pathlib.Path, made: recipe.Recipe, progress: Progress) -> None:
        seen.append(image.existing(made))
        (work / "image.json").write_text("{}")

    monkeypatch.setattr(image, "_preflight", lambda made: None)
    monkeypatch.setattr(image, "_build_into", quick)
    built = image.ensure(a_recipe(), Progress(quiet=True))
    again = image.ensure(a_recipe(), Progress(quiet=True))
    assert (seen, again) == ([None], built)
    rebuilt = image.ensure(a_recipe(), Progress(quiet=True), rebuild=True)
    assert rebuilt == built
    assert not list((cache / "images").glob(".build-*"))


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"suite": "sid"}, "'sid'.*bookworm, trixie"),
        ({"suite": "trixie", "firmware": "coreboot"}, "'coreboot'.*bios with grub, uefi with grub"),
        ({"suite": "trixie", "extra_packages": ["nginx; reboot"]}, "not the name of a package"),
    ],
)
def test_wrong_names_are_refused_before_anything_is_begun(given: dict[str, object], complaint: str) -> None:
    with pytest.raises(LabError, match=complaint):
        image.current_recipe(**given)  # type: ignore[arg-type]


def test_missing_programs_are_named_with_one_command() -> None:
    commands.require_tools(["sh"], "x")
    with pytest.raises(ToolError, match=r"guests: .*no-such-tool.* sudo apt install .*no-such-tool"):
        commands.require_tools(["sh", "no-such-tool"], "guests")


def test_a_command_that_fails_shows_its_last_words(tmp_path: pathlib.Path) -> None:
    log = tmp_path / "log"
    with pytest.raises(ToolError, match=r"ended with 3: sh(.|\n)*no space(.|\n)*log"):
        commands.run(["sh", "-c", "echo no space >&2; exit 3"], log=log)
    assert "no space" in log.read_text()
    with pytest.raises(ToolError, match=r"no end after 0.2 s"):
        commands.run(["sleep", "5"], timeout_s=0.2)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("a\nb\n\n", "a\nb"),
        ("[\x1b[0;32m  OK  \x1b[0m] Reached\r\n", "[  OK  ] Reached"),
        ("\x1b]0;title\x07x\x00\x9b", "x"),
        ("1\n2\n3", "2\n3"),
    ],
)
def test_the_end_of_a_console_is_safe_to_print(text: str, clean: str) -> None:
    assert commands.clean_tail(text, 2) == clean

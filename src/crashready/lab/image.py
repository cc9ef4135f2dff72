# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Bootable Debian disks for guests, built once and kept in the user's cache.

An image is a directory: `disk.raw` (sparse), the kernel of the image (`vmlinuz`, used to
probe KVM), the key pair that opens root, admin and oncall, the public halves of its ssh
host keys, `image.json` and the log of the build.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import fcntl
import json
import os
import pathlib
import re
import shutil
import typing as t
import uuid

from . import apt, commands, disk
from .errors import LabError
from .progress import Progress
from .recipe import (
    BOOTS,
    ESP,
    SUITES,
    Recipe,
    chroot_script,
    first_files,
    last_files,
    mmdebstrap_options,
    partition_script,
)

__all__ = ["Image", "build", "cache_root", "current_recipe", "ensure", "existing"]

#: An image older than this is built anew, so that guests begin near the archive's present state.
MAX_AGE_DAYS = 7
MMDEBSTRAP_LIMIT_S = 1800
_NAME = re.compile(r"^(?P<suite>[a-z]+)-(?P<boot>[a-z]+(-[a-z]+)+)-(?P<key>[0-9a-f]{12})-(?P<day>\d{8})$")


@dataclasses.dataclass(frozen=True)
class Image:
    """A finished image in the cache."""

    path: pathlib.Path  #: its directory
    suite: str
    boot: str  #: firmware and boot loader, such as "bios-grub"
    day: str  #: YYYYMMDD of the build

    @property
    def disk(self) -> pathlib.Path:
        """The raw disk; guests use it as the backing file of an overlay and never write to it."""
        return self.path / "disk.raw"

    @property
    def private_key(self) -> pathlib.Path:
        """The ssh key that opens the guests."""
        return self.path / "id_ed25519"

    @property
    def kernel(self) -> pathlib.Path:
        """A copy of the image's kernel."""
        return self.path / "vmlinuz"

    def host_keys(self) -> list[str]:
        """Public host keys as "TYPE BASE64" of every guest that runs from this image."""
        keys = []
        for path in sorted(self.path.glob("ssh_host_*_key.pub")):
            keys.append(" ".join(path.read_text("utf-8").split()[:2]))
        return keys


def cache_root() -> pathlib.Path:
    """Where the rack keeps what may be thrown away: CRASHREADY_CACHE, else below the user's cache folder."""
    own = os.environ.get("CRASHREADY_CACHE")
    if own:
        return pathlib.Path(own)
    base = os.environ.get("XDG_CACHE_HOME") or str(pathlib.Path.home() / ".cache")
    return pathlib.Path(base, "crashready")


def _images_dir() -> pathlib.Path:
    """The folder of the images, private to its owner: each image holds a private key."""
    path = cache_root() / "images"
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def current_recipe(
    suite: str,
    *,
    firmware: str = "bios",
    loader: str = "grub",
    extra_packages: t.Sequence[str] = (),
    warm: bool = True,
) -> Recipe:
    """The recipe that this machine would build now. Raises LabError on unknown names."""
    if suite not in SUITES:
        raise LabError("no image for {0!r}: choose one of {1}".format(suite, ", ".join(SUITES)))
    if (firmware, loader) not in BOOTS:
        pairs = ", ".join(" with ".join(pair) for pair in BOOTS)
        raise LabError(
            "no image that boots through {0!r} with {1!r}: choose one of {2}".format(firmware, loader, pairs)
        )
    for name in extra_packages:
        if not re.fullmatch(r"[a-z0-9][a-z0-9.+-]+", name):
            raise LabError("not the name of a package: {0!r}".format(name))
    settings = apt.read_settings()
    return Recipe(
        suite=suite,
        firmware=firmware,
        loader=loader,
        extra_packages=tuple(sorted(set(extra_packages))),
        warm=warm,
        sources=tuple(apt.read_mirrors().sources(suite)),
        build_settings=tuple('{0} "{1}";'.format(name, value) for name, value in settings),
        guest_settings=tuple(apt.guest_setting(pair) for pair in settings),
    )


def existing(recipe: Recipe, *, max_age_days: int = MAX_AGE_DAYS, today: datetime.date | None = None) -> Image | None:
    """The newest image of a recipe that is young enough, or None."""
    oldest = (today or datetime.date.today()) - datetime.timedelta(days=max_age_days)
    found = []
    for path in _images_dir().iterdir():
        match = _NAME.match(path.name)
        if match is None or match["key"] != recipe.key() or match["day"] < oldest.strftime("%Y%m%d"):
            continue
        if (path / "image.json").is_file():
            found.append(Image(path, match["suite"], match["boot"], match["day"]))
    return max(found, key=lambda image: image.day, default=None)


def ensure(recipe: Recipe, progress: Progress, *, max_age_days: int = MAX_AGE_DAYS, rebuild: bool = False) -> Image:
    """The image of a recipe, built when there is none that is young enough.

    Two processes that want the same image build it once: the second waits for the first.
    """
    with _builder_lock(recipe, progress):
        image = None if rebuild else existing(recipe, max_age_days=max_age_days)
        if image is not None:
            return image
        with progress.step("image {0} ({1}): build".format(recipe.suite, recipe.boot)):
            return build(recipe, progress)


@contextlib.contextmanager
def _builder_lock(recipe: Recipe, progress: Progress) -> t.Iterator[None]:
    """Hold the lock of one recipe's builds; it goes away with the process."""
    with (_images_dir() / ".lock-{0}-{1}".format(recipe.suite, recipe.key())).open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with progress.step("image {0}: wait for another build of it".format(recipe.suite)):
                fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _preflight(recipe: Recipe) -> None:
    """Everything a build needs of this machine, said before anything is begun."""
    purpose = "building the {0} image".format(recipe.suite)
    if os.geteuid() != 0:
        raise LabError(
            "{0} needs root (loop device, chroot). Run once: sudo CRASHREADY_CACHE={1} {2} image {3}; "
            "guests run without root afterwards.".format(purpose, cache_root(), "./crashready lab", recipe.suite)
        )
    tools = ["mmdebstrap", "losetup", "partx", "mkfs.ext4", "sfdisk", "ssh-keygen", "apt-config", "apt-get"]
    if recipe.firmware == "uefi":
        tools += ["mcopy", "mkfs.vfat"]
    commands.require_tools(tools, purpose)
    if not pathlib.Path("/usr/share/keyrings/debian-archive-keyring.gpg").exists():
        raise LabError(
            "{0}: the keys of the Debian archive are not here. Run: sudo apt install debian-archive-keyring".format(
                purpose
            )
        )
    free = shutil.disk_usage(_images_dir()).free
    if free < 4 * 1024**3:
        raise LabError(
            "{0}: {1} has {2} MiB free, 4096 are needed; set CRASHREADY_CACHE to another place".format(
                purpose, _images_dir(), free >> 20
            )
        )


def build(recipe: Recipe, progress: Progress) -> Image:
    """Build an image now, beside the old ones; the name appears only when it is whole."""
    _preflight(recipe)
    images = _images_dir()
    prefix = ".build-{0}-{1}-".format(recipe.suite, recipe.key())
    _clear_leftovers(images, prefix)
    day = datetime.date.today().strftime("%Y%m%d")
    work = images / (prefix + str(os.getpid()))
    work.mkdir(mode=0o700)
    try:
        _build_into(work, recipe, progress)
        target = images / "{0}-{1}-{2}-{3}".format(recipe.suite, recipe.boot, recipe.key(), day)
        if target.exists():  # a rebuild on the same day: running guests keep their open file
            target.rename(images / "{0}{1}-old".format(prefix, os.getpid()))
        _give_to_owner(work, images)
        work.rename(target)
    except BaseException:
        kept = images / "failed-{0}.log".format(recipe.suite)
        with contextlib.suppress(OSError):
            shutil.copyfile(work / "build.log", kept)
        _clear_leftovers(images, prefix)
        raise
    _clear_leftovers(images, prefix)
    return Image(target, recipe.suite, recipe.boot, day)


def _clear_leftovers(images: pathlib.Path, prefix: str) -> None:
    """Remove work folders of this recipe; its lock is held, so nobody else works there."""
    for path in images.glob(prefix + "*"):
        for point in disk.unmount_below(path, pathlib.Path("/proc/self/mountinfo").read_text()):
            commands.run(["umount", point], check=False)
        left = disk.unmount_below(path, pathlib.Path("/proc/self/mountinfo").read_text())
        if left:  # never remove through a mount
            raise LabError("still mounted from an earlier build: {0}. Unmount it and start again.".format(left[0]))
        shutil.rmtree(path)


def _give_to_owner(work: pathlib.Path, images: pathlib.Path) -> None:
    """Files built by root under sudo belong to whom the cache belongs, who runs the guests."""
    owner = images.stat()
    if "SUDO_UID" in os.environ and "CRASHREADY_CACHE" in os.environ and owner.st_uid == 0:
        uid, gid = int(os.environ["SUDO_UID"]), int(os.environ.get("SUDO_GID", "0"))
        for path in (cache_root(), images):
            os.chown(path, uid, gid)
        owner = images.stat()
    for path in (work, *work.iterdir()):
        os.chown(path, owner.st_uid, owner.st_gid)


def _write_tree(root: pathlib.Path, files: t.Mapping[str, str]) -> None:
    """Write files below a root, replacing links (such as /etc/resolv.conf) instead of following them."""
    for name, text in files.items():
        path = root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_text(text, "utf-8")
        if text.startswith("#!"):
            path.chmod(0o755)


def _build_into(work: pathlib.Path, recipe: Recipe, progress: Progress) -> None:
    """All the steps of a build; everything lands in `work`."""
    log = work / "build.log"
    root_uuid = str(uuid.uuid4())
    first = work / "first"
    _write_tree(first, first_files())
    commands.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "crashready-lab", "-f", str(work / "id_ed25519")]
    )
    disk.write_disk(work / "disk.raw", recipe.disk_bytes, partition_script(recipe), log)
    with disk.attached(work / "disk.raw", 1 if recipe.firmware == "bios" else 2, log) as (device, partitions):
        *esp, root_partition = partitions
        commands.run(["mkfs.ext4", "-q", "-L", "root", "-U", root_uuid, root_partition], log=log)
        for partition in esp:
            commands.run(["mkfs.vfat", "-F", "32", "-n", "ESP", partition], log=log)
        with disk.mounted(root_partition, work / "root", ["-o", "noatime,discard"]) as root:
            with progress.step("image {0}: mmdebstrap".format(recipe.suite)):
                argv = ["mmdebstrap", *mmdebstrap_options(recipe, str(first)), recipe.suite, str(root)]
                commands.run([*argv, *recipe.sources], log=log, timeout_s=MMDEBSTRAP_LIMIT_S)
            with (
                progress.step("image {0}: boot loader, users, package cache".format(recipe.suite)),
                disk.bound(root, root_uuid, root_partition),
                _staged_esp(root, work / "esp", esp, log),
            ):
                _finish(work, root, recipe, device, root_uuid)
            with progress.step("image {0}: write out".format(recipe.suite)):
                commands.run(["fstrim", str(root)], log=log, check=False)
                _take_out(work, root, recipe)
    shutil.rmtree(first)
    (work / "root").rmdir()


def _finish(work: pathlib.Path, root: pathlib.Path, recipe: Recipe, device: str, root_uuid: str) -> None:
    """Files of the finished image and the script inside it; all its file systems are mounted."""
    files = last_files(recipe, (work / "id_ed25519.pub").read_text("utf-8"))
    # The build resolves names as this machine does; the guest's own file is put back afterwards.
    here = pathlib.Path("/etc/resolv.conf").read_text("utf-8")
    _write_tree(root, dict(files, **{"/etc/resolv.conf": here}))
    script = chroot_script(recipe, device, root_uuid)
    commands.run(["chroot", str(root), "sh", "-s"], stdin=script, log=work / "build.log", timeout_s=900)
    _write_tree(root, {"/etc/resolv.conf": files["/etc/resolv.conf"]})


@contextlib.contextmanager
def _staged_esp(
    root: pathlib.Path, folder: pathlib.Path, partitions: t.Sequence[str], log: pathlib.Path
) -> t.Iterator[None]:
    """A folder mounted where guests mount their ESP; at the end its content goes into that partition.

    By mtools, since the kernel of the building machine need not know FAT. A mount it must be:
    kernel-install writes paths relative to the mount point into the loader entries.
    """
    if not partitions:
        yield
        return
    folder.mkdir()
    target = root / ESP.lstrip("/")
    target.mkdir(parents=True, exist_ok=True)
    with disk.mounted(str(folder), target, ["--bind"]):
        yield
    for path in sorted(folder.iterdir()):
        commands.run(["mcopy", "-s", "-i", partitions[0], str(path), "::"], log=log)
    shutil.rmtree(folder)


def _take_out(work: pathlib.Path, root: pathlib.Path, recipe: Recipe) -> None:
    """Copy out what guests are started and checked with."""
    kernels = sorted((root / "boot").glob("vmlinuz-*"))
    if not kernels:
        raise LabError("the {0} image has no kernel in /boot; see its build.log".format(recipe.suite))
    shutil.copyfile(kernels[-1], work / "vmlinuz")
    for path in (root / "etc/ssh").glob("ssh_host_*_key.pub"):
        shutil.copyfile(path, work / path.name)
    facts = {"schema": 1, "recipe": dataclasses.asdict(recipe), "kernel": kernels[-1].name[len("vmlinuz-") :]}
    (work / "image.json").write_text(json.dumps(facts, indent=1) + "\n", "utf-8")

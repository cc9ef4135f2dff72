# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What goes into a guest image. The text of this file is part of the image's key: a change here builds anew."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib
import shlex

__all__ = [
    "BOOTS",
    "ESP",
    "FIRMWARES",
    "LOADERS",
    "SUITES",
    "Recipe",
    "chroot_script",
    "first_files",
    "last_files",
    "mmdebstrap_options",
    "partition_script",
]

SUITES = ("bookworm", "trixie")
FIRMWARES = ("bios", "uefi")
LOADERS = ("grub", "systemd-boot")

#: A small server as an administrator would install it, plus python3 for Ansible. Without dbus
#: `systemctl reboot` fails; without libpam-systemd ssh sessions hang while the guest goes down.
#: No busybox: its hundreds of links are a fifth of the time of building an initramfs under emulation.
PACKAGES = (
    "apt-utils,ca-certificates,dbus,e2fsprogs,file,initramfs-tools,iproute2,iputils-ping,kmod,less,libpam-systemd,"
    "linux-image-amd64,lz4,openssh-server,pci.ids,procps,python3,sudo,systemd-sysv,udev,zstd"
).split(",")
#: (firmware, boot loader) -> its packages: the pairs that an image can be built for.
BOOTS = {
    ("bios", "grub"): ("grub-pc",),
    ("uefi", "grub"): ("grub-efi-amd64", "grub-efi-amd64-signed"),
    ("uefi", "systemd-boot"): ("systemd-boot", "systemd-boot-efi"),
}
ESP = "/boot/efi"
ESP_MIB = 200
#: Guests are no place for secrets, and what the kernel does against speculation (retpolines, filling the return
#: stack) costs an emulator most, which has no speculation to begin with.
KERNEL_CMDLINE = "console=ttyS0,115200 mitigations=off"

#: Fetched into the image's package cache but not installed, so that tests start from a host
#: without kdump and still need no network for it.
WARM_PACKAGES = ("kdump-tools", "makedumpfile", "kexec-tools", "initramfs-tools-core", "crash")

#: What the guest's root disk needs at boot. MODULES=most costs minutes under emulation, for
#: the boot image and again for the capture kernel's, which copies this configuration.
INITRAMFS_MODULES = ("virtio_pci", "virtio_blk", "ext4")

#: udev's hardware database is a third of the initramfs and of no use before the root is mounted.
HWDB_HOOK = """#!/bin/sh
if [ "$1" = prereqs ]; then
    echo udev
    exit 0
fi
rm -f "$DESTDIR"/usr/lib/udev/hwdb.bin "$DESTDIR"/lib/udev/hwdb.bin
"""

#: Password of the users of the image, for tests of sudo. Logging in takes the key of the image.
PASSWORD = "crashready"  # noqa: S105  (no secret: it opens nothing but sudo in a test guest)


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Everything that decides what is in an image; sizes in bytes."""

    suite: str
    sources: tuple[str, ...]  #: lines of sources.list
    build_settings: tuple[str, ...]  #: apt.conf lines while building
    guest_settings: tuple[str, ...]  #: apt.conf lines in the guest
    firmware: str = "bios"
    loader: str = "grub"
    extra_packages: tuple[str, ...] = ()
    warm: bool = True
    disk_bytes: int = 6 * 1024**3

    @property
    def boot(self) -> str:
        """Firmware and boot loader, such as "bios-grub"."""
        return "{0}-{1}".format(self.firmware, self.loader)

    def packages(self) -> list[str]:
        """Names of the packages to install, sorted, without doubles."""
        return sorted({*PACKAGES, *BOOTS[self.firmware, self.loader], *self.extra_packages})

    def key(self) -> str:
        """Twelve hexadecimal digits over the recipe and this file."""
        text = json.dumps(dataclasses.asdict(self), sort_keys=True) + pathlib.Path(__file__).read_text("utf-8")
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def first_files() -> dict[str, str]:
    """Files that must lie there before the kernel is unpacked: they shape its initramfs."""
    return {
        "/etc/initramfs-tools/conf.d/lab": "MODULES=list\nCOMPRESS=lz4\nCOMPRESSLEVEL=1\n",
        "/etc/initramfs-tools/hooks/lab": HWDB_HOOK,
        "/etc/initramfs-tools/modules": "".join(name + "\n" for name in INITRAMFS_MODULES),
    }


def last_files(recipe: Recipe, authorized_key: str) -> dict[str, str]:
    """Files of the finished image, path -> text."""
    files = {
        "/etc/apt/apt.conf.d/90lab": "".join(line + "\n" for line in recipe.guest_settings),
        "/etc/hostname": "lab\n",
        "/etc/hosts": "127.0.0.1 localhost\n127.0.1.1 lab\n::1 localhost ip6-localhost ip6-loopback\n",
        # The name server of QEMU's user network; systemd-resolved is a package of its own in both releases.
        "/etc/resolv.conf": "nameserver 10.0.2.3\n",
        "/etc/systemd/network/10-lab.network": (
            "[Match]\nDriver=virtio_net\n\n[Network]\nDHCP=ipv4\nIPv6AcceptRA=no\nLinkLocalAddressing=no\n"
        ),
        # Cards under test: an address, but no route and no name server, and never waited for.
        "/etc/systemd/network/20-lab-cards.network": (
            "[Match]\nType=ether\n\n[Link]\nRequiredForOnline=no\n\n"
            "[Network]\nDHCP=ipv4\nIPv6AcceptRA=no\nLinkLocalAddressing=no\n\n"
            "[DHCPv4]\nUseRoutes=no\nUseGateway=no\nUseDNS=no\nUseNTP=no\nUseHostname=no\n"
        ),
        "/etc/sudoers.d/lab": "admin ALL=(ALL:ALL) NOPASSWD: ALL\n",
    }
    if recipe.loader == "systemd-boot":
        files["/etc/kernel/cmdline"] = "root=LABEL=root rw {0}\n".format(KERNEL_CMDLINE)
    else:  # systemd-boot's entries bear the machine id: its guests share the one of their image
        files["/etc/machine-id"] = ""
    for home in ("/root", "/home/admin", "/home/oncall"):
        files[home + "/.ssh/authorized_keys"] = authorized_key.rstrip("\n") + "\n"
    return files


def partition_script(recipe: Recipe) -> str:
    """Input of sfdisk(8): the root file system is the last partition; before it, for UEFI, the ESP.

    The first megabyte is left free as usual: GRUB's core image for BIOS lies in it.
    """
    if recipe.firmware == "bios":
        return "label: dos\nstart=2048, type=83, bootable\n"
    return "label: gpt\nstart=2048, size={0}M, type=uefi\ntype=linux\n".format(ESP_MIB)


def _grub() -> list[str]:
    """Commands that write grub.cfg, with GRUB's menu on the serial console too."""
    settings = {
        "GRUB_TIMEOUT": "1",
        "GRUB_CMDLINE_LINUX_DEFAULT": '""',
        "GRUB_CMDLINE_LINUX": '"{0}"'.format(KERNEL_CMDLINE),
    }
    edit = ["s|^{0}=.*|{0}={1}|".format(name, value) for name, value in settings.items()]
    return [
        "sed -i {0} /etc/default/grub".format(" ".join("-e '{0}'".format(rule) for rule in edit)),
        "printf '%s\\n' 'GRUB_TERMINAL=\"console serial\"' 'GRUB_SERIAL_COMMAND=\"serial --speed=115200\"'"
        " >> /etc/default/grub",
        "update-grub",
    ]


def _grub_bios(disk: str, root_uuid: str) -> list[str]:
    """Commands that make a BIOS start GRUB."""
    return [
        *_grub(),
        "grub-install --target=i386-pc {0}".format(disk),
        # An upgrade of grub-pc inside the guest must not ask where to install itself.
        "echo 'grub-pc grub-pc/install_devices multiselect /dev/vda' | debconf-set-selections",
        "echo 'grub-pc grub-pc/install_devices_empty boolean false' | debconf-set-selections",
    ]


def _grub_uefi(disk: str, root_uuid: str) -> list[str]:
    """Commands that make UEFI start GRUB: its signed image, which looks below EFI/debian for where to go on.

    grub-install would write the same, but wants the ESP mounted. The firmware of a new guest
    remembers no boot entry, so the image lies at the removable path.
    """
    return [
        *_grub(),
        "mkdir -p {0}/EFI/BOOT {0}/EFI/debian".format(ESP),
        "cp /usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed {0}/EFI/BOOT/BOOTX64.EFI".format(ESP),
        "printf '%s\\n' 'search.fs_uuid {0} root' 'set prefix=($root)/boot/grub' 'configfile $prefix/grub.cfg'"
        " > {1}/EFI/debian/grub.cfg".format(root_uuid, ESP),
        "echo 'grub-efi-amd64 grub2/force_efi_extra_removable boolean true' | debconf-set-selections",
    ]


def _systemd_boot(disk: str, root_uuid: str) -> list[str]:
    """Commands that make UEFI start systemd-boot, with an entry for the kernel."""
    return [
        "systemd-machine-id-setup",
        # What `bootctl install` writes; it wants the ESP mounted, and udev's word that it is one.
        "mkdir -p {0}/EFI/BOOT {0}/EFI/systemd {0}/loader/entries".format(ESP),
        "for name in BOOT/BOOTX64.EFI systemd/systemd-bootx64.efi; do"
        " cp /usr/lib/systemd/boot/efi/systemd-bootx64.efi {0}/EFI/$name; done".format(ESP),
        "echo 'timeout 1' > {0}/loader/loader.conf".format(ESP),
        "echo type1 > {0}/loader/entries.srel".format(ESP),
        "export BOOT_ROOT={0}".format(ESP),
        "for kernel in /boot/vmlinuz-*; do release=${kernel#/boot/vmlinuz-};"
        ' kernel-install add "$release" "$kernel" "/boot/initrd.img-$release"; done',
    ]


LOADER_COMMANDS = {
    ("bios", "grub"): _grub_bios,
    ("uefi", "grub"): _grub_uefi,
    ("uefi", "systemd-boot"): _systemd_boot,
}


def chroot_script(recipe: Recipe, disk: str, root_uuid: str) -> str:
    """The shell script that finishes the image from inside; /dev, /proc and /sys are mounted.

    `disk` is the loop device that holds the disk, `root_uuid` the UUID of its root file system.
    """
    lines = ["set -eux", "export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8"]
    lines += [
        "echo 'UUID={0} / ext4 errors=remount-ro 0 1' > /etc/fstab".format(root_uuid),
        "for user in admin oncall; do"
        " id $user || useradd --create-home --shell /bin/bash --groups sudo $user;"
        " printf '%s:{0}\\n' $user | chpasswd; chown -R $user:$user /home/$user; done".format(PASSWORD),
        "chmod 0700 /root/.ssh /home/admin/.ssh /home/oncall/.ssh",
        "chmod 0600 /root/.ssh/authorized_keys /home/*/.ssh/authorized_keys",
        "chmod 0440 /etc/sudoers.d/lab",
        "systemctl enable systemd-networkd.service",
        # They would hold the package lock at a moment of their own choice.
        "systemctl mask apt-daily.timer apt-daily-upgrade.timer",
        # Starting a user's own systemd at each login costs an emulated guest several seconds.
        "systemctl mask user@.service",
    ]
    if recipe.warm:
        lines.append("apt-get --yes --download-only install {0}".format(" ".join(WARM_PACKAGES)))
    if recipe.firmware == "uefi":
        lines.append("echo 'LABEL=ESP {0} vfat umask=0077 0 1' >> /etc/fstab".format(ESP))
    lines += LOADER_COMMANDS[recipe.firmware, recipe.loader](disk, root_uuid)
    # Or every guest rebuilds caches at its first boot (ConditionNeedsUpdate= of systemd.unit(5)).
    lines.append("touch /etc/.updated /var/.updated")
    return "\n".join(lines) + "\n"


def mmdebstrap_options(recipe: Recipe, staging: str) -> list[str]:
    """Options of mmdebstrap; `staging` is a directory that holds `first_files`."""
    options = ["--mode=root", "--variant=minbase", "--skip=cleanup/apt/lists"]
    options += ["--aptopt=" + line for line in recipe.build_settings]
    options += ["--dpkgopt=force-unsafe-io", "--dpkgopt=path-exclude=/usr/share/man/*"]
    options += ["--dpkgopt=path-exclude=/usr/share/locale/*", "--dpkgopt=path-exclude=/usr/share/doc/*"]
    options += ["--dpkgopt=path-include=/usr/share/doc/*/copyright"]
    options.append("--include=" + ",".join(recipe.packages()))
    options.append('--essential-hook=cp -R {0}/. "$1"/'.format(shlex.quote(staging)))
    if recipe.firmware == "bios":
        options.append(
            "--essential-hook=echo 'grub-pc grub-pc/install_devices_empty boolean true'"
            ' | chroot "$1" debconf-set-selections'
        )
    # mmdebstrap leaves its own settings behind (no Recommends, no documentation): a real host has none of them.
    options.append('--customize-hook=rm -f "$1"/etc/apt/apt.conf.d/99mmdebstrap "$1"/etc/dpkg/dpkg.cfg.d/99mmdebstrap')
    return options

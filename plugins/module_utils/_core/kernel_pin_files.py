# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Files that the role backports_kernel owns as a whole, as texts.

Every name that goes into them (releases, packages, suites, versions) has passed a grammar before.
"""

from __future__ import annotations

import re
import typing as t

from .aptsources import Source, render_deb822

__all__ = [
    "APT_CONF",
    "GRUB_DROP_IN",
    "GRUB_SCRIPT",
    "GUARD_MARK",
    "GUARD_REPORT",
    "GUARD_SCRIPT",
    "GUARD_UNIT",
    "GUARD_UNIT_NAME",
    "PREFERENCES",
    "SOURCE",
    "TRIAL_ID",
    "TRIAL_MARK",
    "TRIAL_SECTION",
    "apt_conf",
    "branch_pattern",
    "exact_pattern",
    "grub_drop_in",
    "grub_script",
    "guard_script",
    "guard_unit",
    "loader_entry",
    "preferences",
    "source_file",
    "trial_words",
]

SOURCE = "/etc/apt/sources.list.d/crashready-kernel.sources"
PREFERENCES = "/etc/apt/preferences.d/crashready-kernel.pref"
#: Behind 01autoremove, whose list it adds to, and 50unattended-upgrades.
APT_CONF = "/etc/apt/apt.conf.d/52crashready-kernel"
#: Behind what administrators and cloud images name.
GRUB_DROP_IN = "/etc/default/grub.d/zz-crashready-kernel.cfg"
TRIAL_SECTION = "42_crashready"
GRUB_SCRIPT = "/etc/grub.d/" + TRIAL_SECTION
#: The id of the one-shot entry, under GRUB and (with .conf) under systemd-boot.
TRIAL_ID = "crashready-trial"
TRIAL_MARK = "crashready.trial"
GUARD_UNIT_NAME = "crashready-trial-guard.service"
GUARD_UNIT = "/etc/systemd/system/" + GUARD_UNIT_NAME
#: On the root filesystem: /var and /usr/local may be what fails to mount.
GUARD_SCRIPT = "/etc/crashready/trial-guard"
GUARD_MARK = "/run/crashready/gate-passed"
GUARD_REPORT = "/var/lib/crashready/trial-guard.log"

_MANAGED = "# Managed by rackops.crashready (role backports_kernel); changes are overwritten.\n"


def source_file(source: Source) -> str:
    """The suite that the kernel comes from, from the mirror that the host uses already."""
    comment = "Managed by rackops.crashready (role backports_kernel); changes are overwritten.\n"
    comment += "The suite that this host's kernel comes from; nothing else is taken from it unless asked for."
    return render_deb822(source, comment)


def preferences(
    flavour: str, suite: str | None, packages: t.Sequence[str], *, headers: bool, follow: bool, blocked: t.Sequence[str]
) -> str:
    """apt_preferences(5): the kernel's packages are taken from `suite`; versions known as bad are never taken.

    Priority 500 is what the release itself has, so of the two the newer one wins, and the pin loses its
    effect by itself when the release has caught up. `suite` is None where apt takes it without a pin.
    With `follow` the metapackages are pinned too, which bring every next version; during a trial an
    upgrade must not. The names of a kernel's parts are those of Linux 6.1 to 7.3 in Debian; 7.x splits
    the image.
    """
    stanzas = [_block(flavour, version) for version in blocked]
    if suite:
        names = ["linux-{0}-{1}".format(kind, flavour) for kind in _KINDS if follow and kind != "headers"]
        names += ["linux-headers-" + flavour] if follow and headers else []
        kinds = "|".join((*(kind for kind in _KINDS if kind != "headers"), "binary"))
        names.append("/^linux-({0})-[0-9]/".format(kinds + ("|headers|kbuild" if headers else "")))
        stanzas.append(
            "Explanation: the kernel that crashready chose, and what it needs\n"
            "Package: {0}\nPin: release n={1}\nPin-Priority: 500".format(" ".join([*names, *packages]), suite)
        )
    return _MANAGED + "\n\n".join(stanzas) + "\n"


_KINDS = ("image", "headers", "base", "modules")


def _block(flavour: str, version: str) -> str:
    return (
        "Explanation: known as bad for a NIC of this host\n"
        "Package: linux-image-{0} /^linux-(image|binary|modules)-[0-9]/\nPin: version {1}\nPin-Priority: -1"
    ).format(flavour, version)


def apt_conf(release: str) -> str:
    """The kernel to come back to stays, whatever apt or unattended-upgrades take for unused.

    Both ask APT::NeverAutoRemove (apt-pkg/depcache.cc, DefaultRootSetFunc); its words are regular expressions.
    """
    name = re.sub(r"([.+])", r"\\\1", release)
    return (
        "// Managed by rackops.crashready (role backports_kernel); changes are overwritten.\n"
        "// The kernel that this host came from and can come back to.\n"
        'APT::NeverAutoRemove {{ "^linux-(image|binary|modules|base|headers)-{0}$"; }};\n'
    ).format(name)


# --- GRUB ---------------------------------------------------------------------------------------------------


def exact_pattern(release: str) -> str:
    """A basic regular expression (grep -x) for one release."""
    return re.sub(r"([\\.\[\]*^$])", r"\\\1", release)


def branch_pattern(line: str | None, flavour: str) -> str:
    """The same for every release of a kernel line ("6.12") or of all lines, in one flavour.

    Between number and flavour stand signs of a version and numbers of an ABI alone, so that
    6.12.117+deb13-rt-amd64 is none of flavour amd64.
    """
    head = re.escape(line).replace("\\.", "\\.") + r"\." if line else r"[0-9][0-9]*\."
    return head + r"[0-9][0-9a-z.+~]*\(-[0-9][0-9]*\)*-" + flavour


def grub_drop_in(template: str, patterns: t.Sequence[str], never: t.Sequence[str], why: str) -> str:
    """A shell fragment that chooses the default entry each time the menu is generated.

    `template` is the path to an entry with {release} in it, `patterns` are tried in order, and of what
    one matches the newest is taken that has its initrd. A release in `never` is not taken. Where nothing
    matches GRUB_DEFAULT stays as it was, so a kernel that was removed cannot leave a dead default behind.
    """
    before, after = template.split("{release}", 1)
    leave = "".join(" -e '{0}'".format(exact_pattern(release)) for release in never)
    skip = " | grep -v -x{0}".format(leave) if leave else ""
    tries = " || ".join("__crashready_newest '{0}'".format(pattern) for pattern in patterns)
    return (
        _MANAGED + "# {0} (G36 of docs/kdump-on-debian.md).\n"
        "__crashready_newest() {{\n"
        "    __crashready=$(for __crashready_image in /boot/vmlinuz-*; do\n"
        "        __crashready_image=${{__crashready_image#/boot/vmlinuz-}}\n"
        '        if [ -s "/boot/initrd.img-$__crashready_image" ]; then echo "$__crashready_image"; fi\n'
        '    done | grep -x -e "$1"{1} | sort -V | tail -n 1)\n'
        '    [ -n "$__crashready" ]\n'
        "}}\n"
        "if {2}; then\n"
        '    GRUB_DEFAULT="{3}${{__crashready}}{4}"\n'
        "fi\n"
        "unset __crashready __crashready_image\n"
        "unset -f __crashready_newest\n"
    ).format(why, skip, tries, before, after.replace("{release}", "${__crashready}"))


def trial_words(panic_s: int, watchdog_s: int | None) -> str:
    """What the trial's command line has beyond that of the kernel's own entry.

    - panic= ends a kernel panic and the shell of initramfs-tools (its panic() reads the same word)
    - rd.* do the same for an initramfs of dracut (dracut.cmdline(7))
    - systemd.wants= starts the guard, also on the way into emergency mode (systemd-debug-generator(8))
    - systemd.watchdog_sec= lets a hardware watchdog end a hard hang (systemd(1))
    """
    words = ["panic={0}".format(panic_s), "rd.shell=0", "rd.emergency=reboot"]
    words += [TRIAL_MARK + "=1", "systemd.wants=" + GUARD_UNIT_NAME]
    if watchdog_s:
        words.append("systemd.watchdog_sec={0}".format(watchdog_s))
    return " ".join(words)


def grub_script(release: str, words: str) -> str:
    """A script of /etc/grub.d that adds the trial entry: the kernel's own entry with more words.

    It asks 10_linux, so root, encryption, subvolumes and users of GRUB are what they are in every other
    entry, and stay so when the menu is generated anew. Where 10_linux has no such entry there is no trial.
    """
    return (
        "#!/bin/sh\n" + _MANAGED + "# One entry for one boot, never the default: only `grub-reboot {0}` chooses it.\n"
        "set -e\n"
        "release='{1}'\n"
        "words='{2}'\n"
        '[ -s "/boot/vmlinuz-$release" ] && [ -s "/boot/initrd.img-$release" ] || exit 0\n'
        '[ -x "${{0%/*}}/10_linux" ] || exit 0\n'
        '"${{0%/*}}/10_linux" 2>/dev/null | awk -v id="gnulinux-$release-advanced-" -v words="$words" \'\n'
        '    !inside && /^[ \\t]*menuentry / && index($0, "\\047" id) {{\n'
        "        inside = 1\n"
        '        at = index($0, "\\047" id)\n'
        "        rest = substr($0, at + 1)\n"
        '        $0 = substr($0, 1, at) "{0}" substr(rest, index(rest, "\\047"))\n'
        '        sub(/menuentry \\047[^\\047]*\\047/, "menuentry \\047Crashready: one trial boot\\047")\n'
        "    }}\n"
        "    inside && /^[ \\t]*linux[ \\t]/ {{\n"
        '        at = index($0, " -- ")\n'
        '        $0 = at ? substr($0, 1, at) words substr($0, at) : $0 " " words\n'
        "    }}\n"
        '    inside {{ sub(/^\\t/, ""); print }}\n'
        "    inside && /^[ \\t]*}}[ \\t]*$/ {{ exit }}\n"
        "'\n"
    ).format(TRIAL_ID, release, words)


def loader_entry(original: str, words: str) -> str:
    """The same for systemd-boot: an entry file with more words in its options (UAPI.1)."""
    lines = [line for line in original.splitlines() if line.split(None, 1)[:1] not in (["title"], ["sort-key"])]
    # Sorted behind everything, and named: a choice by menu order must not fall on it.
    return "\n".join(["title Crashready: one trial boot", "sort-key zz-crashready", *lines, "options " + words, ""])


# --- the guard ----------------------------------------------------------------------------------------------


def guard_unit() -> str:
    """Runs in a trial boot alone, through whatever the boot runs into."""
    return (
        _MANAGED + "# A trial boot that nobody can reach must end by itself. Nothing enables this unit: the command\n"
        "# line of the trial asks for it. A capture kernel inherits that line and has no part in this.\n"
        "[Unit]\n"
        "Description=End of a kernel trial that is not confirmed in time\n"
        "DefaultDependencies=no\n"
        # Emergency and rescue mode isolate their target; this goes on.
        "IgnoreOnIsolate=yes\n"
        "ConditionKernelCommandLine={0}\n"
        "ConditionPathExists=!/proc/vmcore\n"
        "\n"
        "[Service]\n"
        "Type=simple\n"
        "ExecStart=/bin/sh {1}\n"
    ).format(TRIAL_MARK, GUARD_SCRIPT)


def guard_script(deadline_s: int) -> str:
    """Waits for the mark of the gate until `deadline_s` after the kernel's start, then reboots."""
    return (
        "#!/bin/sh\n" + _MANAGED + "# The next boot is the old kernel: the one-shot choice is spent. Where GRUB could\n"
        "# not write that down (G35) it is taken back from here.\n"
        "PATH=/usr/sbin:/usr/bin:/sbin:/bin\n"
        'started() {{ read -r up rest </proc/uptime; echo "${{up%%.*}}"; }}\n'
        "[ ! -e /boot/grub/grubenv ] || grub-editenv /boot/grub/grubenv unset next_entry\n"
        'while [ "$(started)" -lt {0} ]; do\n'
        "    [ ! -e {1} ] || exit 0\n"
        "    sleep 5\n"
        "done\n"
        "[ ! -e {1} ] || exit 0\n"
        "[ ! -e /boot/grub/grubenv ] || grub-editenv /boot/grub/grubenv unset next_entry\n"
        "said='crashready: the trial of this kernel was not confirmed within {0} s, going back to the old one'\n"
        'echo "$said" >/dev/console\n'
        'echo "$said" >/dev/kmsg\n'
        "umask 077\n"
        "# What the next look at this host finds; a filesystem that hangs must not hold the rest up.\n"
        '( mkdir -p {3} && {{ echo "$said"; uname -r; cat /proc/sys/kernel/random/boot_id;\n'
        "    head -n 5 /sys/class/net/*/operstate; systemctl --failed --plain --no-legend --no-pager; }} >{2} 2>&1\n"
        "  sync ) &\n"
        "sleep 10\n"
        "systemctl --no-block reboot\n"
        "sleep 90\n"
        "echo b >/proc/sysrq-trigger\n"
    ).format(deadline_s, GUARD_MARK, GUARD_REPORT, GUARD_REPORT.rsplit("/", 1)[0])

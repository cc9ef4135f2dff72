# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The effective configuration of a container after the role: what GRUB will boot, what kdump-tools will read."""

from __future__ import annotations

import json
import re
import typing as t

import pytest

OPTIONS = "crashkernel=256M"
CONFIG = "/etc/default/kdump-tools"
DROP_IN = "/etc/default/grub.d/zz-crashready.cfg"


def facts(host: t.Any) -> dict[str, t.Any]:
    return host.ansible("rackops.crashready.crash_facts", check=False)["ansible_facts"]["crashready"]


def kdump(host: t.Any, check: bool) -> list[str]:
    result = host.ansible("rackops.crashready.kdump", OPTIONS, check=check)
    assert "changes" in result, result
    return [change["name"] for change in result["changes"]]


def test_every_generated_boot_entry_has_our_crashkernel_alone(host: t.Any) -> None:
    lines = re.findall(r"(?m)^\s*linux\s+.*$", host.file("/boot/grub/grub.cfg").content_string)
    assert len(lines) >= 2, "a normal and a recovery entry"
    for line in lines:
        assert re.findall(r"crashkernel=\S+", line) == ["crashkernel=256M"], line
    assert all("nmi_watchdog=0" in line for line in lines if "single" not in line), "the administrator's word stays"


def test_menu_keeps_the_language_of_the_host(host: t.Any) -> None:
    """Titles of entries are translated, and GRUB_DEFAULT may name one."""
    assert "set lang=de_DE" in host.file("/boot/grub/grub.cfg").content_string


def test_administrator_s_drop_ins_stay_and_the_last_word_is_ours(host: t.Any) -> None:
    assert host.file("/etc/sysctl.d/99-admin.conf").content_string == "kernel.panic_on_oops = 0\n"
    read = host.check_output("/lib/systemd/systemd-sysctl --cat-config")
    assert re.findall(r"(?m)^kernel\.panic_on_oops\s*=\s*(\d)", read)[-1] == "1", "as systemd applies them at boot"
    assert "watched by the administrator" in host.check_output("systemctl show -p Description kdump-tools.service")
    if host.file("/root/before.txt").contains("^kdump-tools:"):
        assert host.check_output("sh -c '. %s; echo \"$KDUMP_FAIL_CMD\"'" % CONFIG) == "reboot -f"
    changed = host.run("dpkg --verify kdump-tools grub2-common kexec-tools | grep ' c '").stdout
    assert changed == "", "a conffile of a package was edited: an upgrade would ask"


def test_independent_look_at_what_grub_boots(host: t.Any) -> None:
    """The same as our own reader says, by grep."""
    seen = {entry["title"]: entry["crashkernel"] for entry in facts(host)["capture"]["boot"]["entries"]}
    assert set(map(tuple, seen.values())) == {("256M",)}
    count = host.check_output("grep -cE '^[[:space:]]*linux[[:space:]].*crashkernel=256M' /boot/grub/grub.cfg")
    assert int(count) == len(seen)


def test_shell_and_systemd_read_the_same_settings(host: t.Any) -> None:
    by_shell = host.run(
        'sh -c \'. %s; printf "%%s|%%s|%%s" "$USE_KDUMP" "$MAKEDUMP_ARGS" "$KDUMP_CMDLINE_APPEND"\'' % CONFIG
    )
    use, arguments, append = by_shell.stdout.split("|")
    assert use == "1"
    assert re.fullmatch(r"-F -c -d (17|31)", arguments)
    assert append.startswith(
        "reset_devices systemd.unit=kdump-tools-dump.service nr_cpus=1 irqpoll usbcore.nousb panic=10"
    )
    assert "systemd.wants=crashready-capture-deadline.service" in append
    probe = (
        "systemd-run --quiet --pipe --wait -p EnvironmentFile=%s sh -c "
        '\'printf "%%s|%%s|%%s" "$USE_KDUMP" "$MAKEDUMP_ARGS" "$KDUMP_CMDLINE_APPEND"\''
    )
    assert host.check_output(probe % CONFIG) == by_shell.stdout


def test_kdump_tools_reads_them(host: t.Any) -> None:
    shown = host.check_output("kdump-config show")
    assert re.search(r"USE_KDUMP:\s+1", shown)
    assert re.search(r"KDUMP_COREDIR:\s+/var/crash", shown)


def test_crash_folder_is_closed_now_and_after_a_boot(host: t.Any) -> None:
    assert host.file("/var/crash").mode == 0o700
    host.check_output("chmod 755 /var/crash && systemd-tmpfiles --create crashready.conf")
    assert host.file("/var/crash").mode == 0o700


def test_deadline_unit_is_one_that_systemd_takes(host: t.Any) -> None:
    shown = host.check_output(
        "systemd-analyze verify /etc/systemd/system/crashready-capture-deadline.service 2>&1 || true"
    )
    assert "crashready-capture-deadline" not in shown, shown


def test_package_asks_nothing_at_a_reconfiguration(host: t.Any) -> None:
    before = host.file(CONFIG).content_string
    done = host.run("DEBIAN_FRONTEND=readline dpkg-reconfigure -p critical kdump-tools </dev/null 2>&1")
    assert done.rc == 0, done.stdout
    assert "Configuration file" not in done.stdout, "dpkg's conffile prompt"
    assert "modified configuration file" not in done.stdout.lower(), "ucf's"
    assert host.file(CONFIG).content_string == before


def test_facts_say_that_a_container_has_no_capture(host: t.Any) -> None:
    capture = facts(host)["capture"]
    assert capture["applicable"] is False
    assert capture["armed"] is None
    assert "container" in capture["unread"]["armed"]


def test_a_user_gets_facts_too(host: t.Any) -> None:
    result = host.ansible("rackops.crashready.crash_facts", check=False, become=True, become_user="nobody")
    assert result["ansible_facts"]["crashready"]["capture"]["applicable"] is False


# What is damaged, and the one change that mends it. Every managed thing that a container has is here.
DRIFT = {
    "settings": (
        "sed -i 's/^MAKEDUMP_ARGS=.*/MAKEDUMP_ARGS=\"-c -d 1\"/' /etc/default/kdump-tools",
        ["file " + CONFIG],
    ),
    "settings gone": ("rm /etc/default/kdump-tools", ["file " + CONFIG]),
    "sysctl file": (
        "echo 'kernel.panic_on_oops = 0' > /etc/sysctl.d/zz-crashready.conf",
        ["file /etc/sysctl.d/zz-crashready.conf"],
    ),
    "tmpfiles": ("rm /etc/tmpfiles.d/crashready.conf", ["file /etc/tmpfiles.d/crashready.conf"]),
    "deadline unit": (
        "sed -i 's/sleep [0-9]*/sleep 5/' /etc/systemd/system/crashready-capture-deadline.service",
        ["file /etc/systemd/system/crashready-capture-deadline.service"],
    ),
    "mode of a file": ("chmod 600 /etc/tmpfiles.d/crashready.conf", ["file /etc/tmpfiles.d/crashready.conf"]),
    "owner of a file": ("chown 65534 /etc/tmpfiles.d/crashready.conf", ["file /etc/tmpfiles.d/crashready.conf"]),
    "crash folder": ("chmod 755 /var/crash", ["directory /var/crash"]),
    "unit": ("systemctl disable kdump-tools.service", ["unit kdump-tools.service"]),
    "grub drop-in": ("sed -i 's/256M/64M/' " + DROP_IN, ["file " + DROP_IN]),
    "grub.cfg": ("sed -i 's/crashkernel=256M/crashkernel=64M/' /boot/grub/grub.cfg", ["boot_loader grub"]),
    "one entry": ("sed -i '0,/crashkernel=256M/s///' /boot/grub/grub.cfg", ["boot_loader grub"]),
    "debconf": (
        "echo 'kdump-tools kdump-tools/use_kdump boolean false' | debconf-set-selections",
        ["debconf kdump-tools/use_kdump"],
    ),
    "package": ("dpkg --force-depends -r makedumpfile", ["package makedumpfile"]),
}


@pytest.mark.parametrize("name", DRIFT)
def test_drift_is_reported_and_mended(host: t.Any, name: str) -> None:
    damage, expected = DRIFT[name]
    host.check_output(damage)
    assert kdump(host, check=True) == expected
    assert kdump(host, check=False) == expected
    assert kdump(host, check=True) == [], "well after"


def test_digests_follow_the_files(host: t.Any) -> None:
    before = facts(host)["capture"]["managed"]["files"]
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for path, digest in before.items() if path != "/etc/kernel/cmdline")
    host.check_output("echo '# drift' >> /etc/tmpfiles.d/crashready.conf")
    after = facts(host)["capture"]["managed"]["files"]
    assert [path for path in before if before[path] != after[path]] == ["/etc/tmpfiles.d/crashready.conf"]
    assert kdump(host, check=False) == ["file /etc/tmpfiles.d/crashready.conf"]


# --- what stands in the way: the host is left as it was ---------------------------


def refused(host: t.Any) -> str:
    result = host.ansible("rackops.crashready.kdump", OPTIONS, check=False)
    assert "changes" not in result, result
    return str(result["msg"])


@pytest.fixture
def pending_change(host: t.Any) -> t.Iterator[None]:
    """Something for GRUB to do, so that a refusal is about something."""
    host.check_output("sed -i 's/crashkernel=256M/crashkernel=64M/' /boot/grub/grub.cfg")
    yield
    assert kdump(host, check=False) == ["boot_loader grub"]


def test_playbook_in_check_mode_foretells_and_changes_nothing(
    host: t.Any, harden: t.Callable[..., t.Any], pending_change: None
) -> None:
    before = host.file("/boot/grub/grub.cfg").sha256sum
    done = harden("--limit", host.check_output("hostname"), "--check", "-e", "kdump_crashkernel=256M")
    assert done.rc == 0, done.out
    assert re.search(r"would change\n.*- boot_loader grub", done.out), done.out
    assert host.file("/boot/grub/grub.cfg").sha256sum == before


def test_broken_grub_drop_in_of_the_administrator(host: t.Any, pending_change: None) -> None:
    host.check_output("printf 'GRUB_TIMEOUT=\"3\\nif\\n' > /etc/default/grub.d/60-broken.cfg")
    before = host.file("/boot/grub/grub.cfg").sha256sum
    try:
        message = refused(host)
        assert "60-broken.cfg" in message
        assert "Next:" in message
        assert host.file("/boot/grub/grub.cfg").sha256sum == before
    finally:
        host.check_output("rm /etc/default/grub.d/60-broken.cfg")


def test_later_drop_in_that_brings_another_crashkernel(host: t.Any, pending_change: None) -> None:
    host.check_output(
        "echo 'GRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX crashkernel=1G\"' > /etc/default/grub.d/zzz-late.cfg"
    )
    before = host.file("/boot/grub/grub.cfg").sha256sum
    try:
        message = refused(host)
        assert "another crashkernel= than 256M" in message
        assert "/etc/default/grub.d" in message
        assert host.file("/boot/grub/grub.cfg").sha256sum == before, "undone"
    finally:
        host.check_output("rm /etc/default/grub.d/zzz-late.cfg")


def test_dpkg_interrupted(host: t.Any) -> None:
    host.check_output("dpkg --force-depends -r makedumpfile && touch /var/lib/dpkg/updates/0001")
    try:
        message = refused(host)
        assert "dpkg --configure -a" in message
    finally:
        host.check_output("rm /var/lib/dpkg/updates/0001")
    assert kdump(host, check=False) == ["package makedumpfile"]


def test_dpkg_lock_held(host: t.Any) -> None:
    host.check_output("dpkg --force-depends -r makedumpfile")
    hold = (
        "import fcntl,time; f=open('/var/lib/dpkg/lock-frontend','w'); fcntl.lockf(f, fcntl.LOCK_EX); "
        "open('/run/held','w').close(); time.sleep(120)"
    )
    host.check_output('systemd-run --quiet --unit=holder python3 -c "%s"' % hold)
    host.check_output("sh -c 'until [ -e /run/held ]; do sleep 0.1; done'")
    try:
        result = host.ansible("rackops.crashready.kdump", OPTIONS + " lock_timeout_s=2", check=False)
        assert "changes" not in result, result
        assert "lock" in result["msg"]
        assert "Next:" in result["msg"]
    finally:
        host.check_output("systemctl stop holder; rm -f /run/held")
    assert kdump(host, check=False) == ["package makedumpfile"]


def test_not_a_supported_release(host: t.Any) -> None:
    for line, name in (("ID=ubuntu", "Ubuntu"), ("ID=debian", "Debian 10")):
        text = 'PRETTY_NAME="{0}"\n{1}\nVERSION_ID="10"\n'.format(name, line)
        host.check_output(
            "cp -L /etc/os-release /root/os-release && rm /etc/os-release && printf %s > /etc/os-release", text
        )
        try:
            message = refused(host)
            assert name in message
        finally:
            host.check_output("rm /etc/os-release && ln -s ../usr/lib/os-release /etc/os-release")


@pytest.mark.parametrize(
    "option",
    [
        "crashkernel='256M;reboot'",
        "crashkernel=256",
        "crash_folder='/var/crash $(id)'",
        "dump_level=99",
        "capture_blocked_drivers='ixgbe quiet'",
    ],
)
def test_hostile_or_wrong_options_change_nothing(host: t.Any, option: str) -> None:
    before = json.dumps(facts(host)["capture"]["managed"], sort_keys=True)
    result = host.ansible("rackops.crashready.kdump", option, check=False)
    assert "changes" not in result, result
    assert option.partition("=")[0] in result["msg"]
    assert json.dumps(facts(host)["capture"]["managed"], sort_keys=True) == before

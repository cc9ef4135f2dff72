# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""From a panic under load to the proof of its end, step by step, with no hand but the reviewer's."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
import time
import typing as t

import yaml

#: The first soak is long enough for a slow emulated rack to reach the fault.
FIRST_SOAK_S = 300
#: The silence asked for is several times the longest time to panic, and never less than this.
TIMES, LEAST_S = 4, 120


def test_hosts_are_a_bad_pairing_and_know_nothing_of_it(story: t.Any) -> None:
    for box in (story.one, story.two):
        assert box.sh("uname -r") == story.plan["running"]
        assert box.fault("inside") == "Y"
        assert box.fault("fired") == "N"
        assert box.sh("cat /sys/kernel/kexec_crash_loaded") == "1"
    assert story.one.sh("ping -c 3 -I {0} 10.99.0.2 >/dev/null && echo there".format(story.one.nic())) == "there"
    done = story.command("check", "--json")
    assert done.code in (0, 2), done.text
    assert all(host["pairings"]["verdict"] != "bad" for host in done.json["hosts"].values())
    story.kept["boot_two"] = story.two.guest.boot_id()


#: Parameters of the module, each set with one thing wrong; `load` has the right ones.
WRONG = (
    "first=6.12.0 before=7.3 after=1",
    "first=6.12.0 before=7.3 after=1 {offsets} buffer_size=8",
    "first=6.12.0 before=7.3 after=1 {offsets} ring_count=-4",
    "first=6.12.0 before=7.3 after=1 {offsets} ring_count=29",
    "first=6.12.0 before=7.3 after=1 {offsets} ring_buffer_info=4096",
    "first=6.12.0 before=7.3 after=0 {offsets}",
    "first=7.3 before=6.12.0 after=1 {offsets}",
    "first=6.12.0 after=1 {offsets}",
    "first=6.12.0. before=7.3 after=1 {offsets}",
    "first=6.12.0.1 before=7.3 after=1 {offsets}",
    "first=6.12.0 before=7.123456 after=1 {offsets}",
    "first=6.12.0 before=seven after=1 {offsets}",
)
OFFSETS = "ring_buffer_info=56 ring_next_to_clean=34 ring_count=28 buffer_skb=8 buffer_size=40"


def test_the_module_refuses_what_it_cannot_be_sure_of(story: t.Any) -> None:
    box = story.two
    box.sh("rmmod ringfault")
    for wrong in WRONG:
        tried = "insmod /usr/local/lib/story/$(uname -r).ko {0} 2>&1; true".format(wrong.format(offsets=OFFSETS))
        assert "Invalid parameters" in box.sh(tried), wrong
    assert box.sh("lsmod | grep -c ^ringfault; true") == "0"
    box.sh("systemctl restart story-load.service")
    assert box.fault("inside") == "Y"


def test_soak_ends_in_a_panic(story: t.Any) -> None:
    found = story.soak("before", FIRST_SOAK_S)
    assert found["verdict"] == "reproduced", found
    run = story.run_of(found, story.one)
    assert run["outcome"] == "panic", run
    assert run["dump"], run
    story.kept["seconds"] = [run["seconds"]]
    story.say("  {0} panicked after {1:.1f} s of traffic".format(story.one.name, run["seconds"]))


def test_it_was_the_drivers_own_instruction(story: t.Any) -> None:
    """Told by the console, without a line of our code.

    No line "Kernel panic" comes: an armed host goes from the oops into its capture kernel (oops_end in
    arch/x86/kernel/dumpstack.c).
    """
    console = story.one.console()
    assert "BUG: kernel NULL pointer dereference" in console
    assert "RIP: 0010:e1000_clean_rx_irq+" in console


def test_host_came_back_and_is_armed(story: t.Any) -> None:
    story.one.guest.wait_boot(limit_s=1200)
    story.one.wait_armed()
    assert story.one.fault("fired") == "N"


def test_dump_is_opened(story: t.Any) -> None:
    expected = "newest=true expect={'build_id':'running'}"
    result = story.one.host.ansible("rackops.crashready.crash_dump_info", expected, check=False)
    assert result["opened"] is True, result
    assert result["problems"] == [], result
    assert result["dmesg"]["causes"][0].startswith("BUG: kernel NULL pointer dereference"), result


def _fetch(box: t.Any, folder: pathlib.Path) -> pathlib.Path:
    """A copy of the newest crash folder of a host."""
    folder.mkdir()
    newest = box.sh("ls -d /var/crash/2* | sort | tail -n 1")
    with (folder / "crash.tar").open("wb") as stream:
        command = [*box.guest.ssh_command(), "tar -C {0} -c .".format(newest)]
        subprocess.run(command, stdout=stream, stdin=subprocess.DEVNULL, timeout=600, check=True)
    subprocess.run(["tar", "-C", str(folder), "-xf", str(folder / "crash.tar")], timeout=600, check=True)
    (folder / "crash.tar").unlink()
    return folder


def test_triage_names_the_driver(story: t.Any) -> None:
    """A crash was found, so it ends with 1; the draft of an entry comes with it."""
    crash = _fetch(story.one, story.database.parent / "crash")
    draft = story.database.parent / "draft.yml"
    done = story.command(
        "triage", "--json", "--symbols", "never", "--host", "story-one", "--draft", str(draft), str(crash)
    )
    assert done.code == 1, done.text
    record = done.json
    assert (record["kind"], record["path"], record["driver"]) == ("null_deref", "nic_rx", "e1000e"), record
    assert (record["function"], record["module"]) == ("e1000_clean_rx_irq", "e1000e")
    assert record["context"] == "softirq"
    assert [frame["function"] for frame in record["frames"]][:3] == ["e1000_clean_rx_irq", "e1000e_poll", "__napi_poll"]
    assert record["pairing"] == []
    story.kept["signature"] = record["signature"]
    story.say(
        "  triage: {0} in {1} [{2}], path {3}".format(*(record[key] for key in ("kind", "function", "module", "path")))
    )


def test_draft_is_reviewed_into_a_database(story: t.Any) -> None:
    """What the reviewer knows and the crash does not: the range, and what mends it. All else is the draft's."""
    entry = yaml.safe_load((story.database.parent / "draft.yml").read_text("utf-8"))
    entry = story.review(entry)
    assert entry["driver"] == "e1000e"
    assert entry["pci"] == [{"vendor": "8086", "devices": ["10d3"]}]
    assert "e1000_clean_rx_irq" in entry["symptom"]["functions"]
    story.kept["entry"] = entry["id"]
    story.database.mkdir()
    (story.database / (entry["id"] + ".yml")).write_text(yaml.safe_dump(entry, sort_keys=False), "utf-8")
    lint = [str(pathlib.Path(sys.executable).parent / "crashready"), "pairings", "lint", "--dir", str(story.database)]
    done = subprocess.run(lint, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_other_host_is_flagged_before_it_panics(story: t.Any) -> None:
    done = story.command("check", "--json", "--dir", str(story.database))
    assert done.code == 1, done.text
    for box in (story.one, story.two):
        judged = done.json["hosts"][box.name]["pairings"]
        assert judged["verdict"] == "bad", judged
        assert story.kept["entry"] in json.dumps(judged["nics"])
    assert story.two.guest.boot_id() == story.kept["boot_two"]


def test_control_kernel_inside_the_range_panics_again(story: t.Any) -> None:
    """Newer alone is no cure: without this the silence at the end would prove the newness, not the range."""
    box, release = story.one, story.plan["control"]
    # Its linux-base is in backports too.
    install = "DEBIAN_FRONTEND=noninteractive apt-get -y -qq -t trixie-backports install linux-image-{0}"
    box.sh(install.format(release) + " >/root/control.log 2>&1 || { tail /root/control.log; exit 1; }; sync")
    box.mark()
    box.guest.reboot(limit_s=1200)
    box.guest.wait_settled(1200)
    assert box.sh("uname -r") == release
    assert box.fault("inside") == "Y"
    box.wait_armed()
    found = story.soak("after", FIRST_SOAK_S)
    run = story.run_of(found, box)
    assert run["outcome"] == "panic", run
    assert found["verdict"] == "not fixed", found
    assert "RIP: 0010:e1000_clean_rx_irq+" in box.console()
    story.kept["seconds"].append(run["seconds"])
    story.say("  {0} panicked on {1} after {2:.1f} s of traffic".format(box.name, release, run["seconds"]))
    box.guest.wait_boot(limit_s=1200)


def test_harden_replaces_the_kernel(story: t.Any) -> None:
    """Brought, tried, judged by the gate and kept, on both hosts of the pairing."""
    variables = {"crashready_pairings_dirs": [str(story.database)], "backports_kernel_enabled": True}
    names = "{0},{1}".format(story.one.name, story.two.name)
    words = ["harden", "--yes-reboot", names, "-e", json.dumps(variables)]
    done = story.command(*words, store=False)
    assert done.code == 0, done.text
    for box in (story.one, story.two):
        assert box.sh("uname -r") == story.plan["newest"]
        assert box.sh("cat /sys/kernel/kexec_crash_loaded") == "1"
        assert (box.fault("inside"), box.fault("fired")) == ("N", "N")
    assert story.command("check", "--json", "--dir", str(story.database)).code in (0, 2)


def test_drill_proves_the_capture_of_the_new_kernel(story: t.Any) -> None:
    done = story.command("drill", story.one.name, "--yes", story.one.name, "--json", "--timeout", "2400")
    assert done.code == 0, done.text
    assert done.json["hosts"][0]["state"] == "proven", done.text


def test_the_same_soak_is_silent(story: t.Any) -> None:
    """For several times the longest time to panic; and the module has counted beyond where it fired before."""
    box = story.one
    box.guest.wait_settled(1200)
    seconds = int(max(LEAST_S, TIMES * max(story.kept["seconds"])))
    packets = int(box.fault("packets"))
    begun = time.monotonic()
    found = story.soak("after", seconds)
    run = story.run_of(found, box)
    assert run["outcome"] == "silent", run
    assert found["verdict"] == "fixed", found
    counted = int(box.fault("packets")) - packets
    assert counted >= int(box.fault("after")), (counted, time.monotonic() - begun)
    assert (box.fault("inside"), box.fault("fired")) == ("N", "N")
    story.say("  silent for {0} s, {1} packets; it fired at {2}".format(seconds, counted, box.fault("after")))


def test_report_tells_it(story: t.Any) -> None:
    page = story.database.parent / "report.html"
    done = story.command("report", "--html", str(page), "--dir", str(story.database))
    assert done.code in (0, 2), done.text
    text = page.read_text("utf-8")
    for word in (story.one.name, story.two.name, story.plan["newest"], "fixed"):
        assert word in text
    story.say("  report: {0}".format(page))

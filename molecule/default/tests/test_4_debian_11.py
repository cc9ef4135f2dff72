# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Debian 11, Python 3.9: facts work, by module and at a prompt; kdump refuses in words and changes nothing."""

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest
import testinfra

FOLDER = pathlib.Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
NAME = "crashready-bullseye"


@pytest.fixture(scope="module")
def host() -> t.Any:
    """It is none of the group that the verifier names."""
    return testinfra.get_host("ansible://" + NAME, ansible_inventory=str(FOLDER / "rack.yml"))


@pytest.mark.parametrize("options", [{}, {"become": True, "become_user": "nobody"}])
def test_facts(host: t.Any, options: dict[str, t.Any]) -> None:
    assert host.check_output("python3 -c 'import sys; print(sys.version_info[:2])'") == "(3, 9)"
    found = host.ansible("rackops.crashready.crash_facts", check=False, **options)
    facts = found["ansible_facts"]["crashready"]
    assert facts["schema"] == 1
    assert facts["kernel"]["release"] == host.check_output("uname -r")
    assert facts["capture"]["applicable"] is False
    assert facts["capture"]["boot"]["loader"] == "grub"
    assert [entry["release"] for entry in facts["capture"]["boot"]["entries"]][:1] == ["6.1.0-99-amd64"]
    assert facts["crashes"] == []


def test_candidates_and_python_of_the_host(host: t.Any) -> None:
    found = host.ansible("rackops.crashready.crash_facts", "gather_subset=kernel,candidates", check=False)
    assert found["ansible_facts"]["crashready"]["kernel"]["candidates"], "from the lists of its apt"


def test_facts_at_a_prompt(ad_hoc: t.Callable[..., t.Any]) -> None:
    done = ad_hoc(NAME, "-m", "rackops.crashready.crash_facts")
    assert done.rc == 0, done.out
    assert NAME + " | SUCCESS" in done.out
    assert '"crashready": {' in done.out


def test_kdump_refuses_in_words(host: t.Any, harden: t.Callable[..., t.Any]) -> None:
    look = "sh -c 'find /etc /boot -type f -exec sha256sum {} + | sort; dpkg-query -W'"
    before = host.check_output(look)
    done = harden("--limit", NAME)
    assert done.rc != 0
    text = " ".join(done.out.split())
    assert "Debian GNU/Linux 11 (bullseye); kdump is set up on Debian 12 and 13 only" in text, done.out
    assert "facts work on Debian 11" in text
    assert host.check_output(look) == before

# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The matrix of Pythons. `./crashready test` runs everything else; `nox --list` names what is here.

controllers: the driver and the collection as a controller runs them, with the locked packages.
targets: what runs on hosts, from Debian 11's Python on, without Ansible.
fuzz: property tests and the parser of kernel logs with other inputs each time, for CRASHREADY_FUZZ_SECONDS (600).
"""

from __future__ import annotations

import os
import pathlib
import random
import time

import nox

# pyenv's shims of versions that nobody asked for exist and refuse to run, so nox would not find them.
_PYENV = pathlib.Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
_PYTHONS = [str(folder) for folder in sorted(_PYENV.glob("versions/3.*/bin"))]
os.environ["PATH"] = os.pathsep.join([*_PYTHONS, os.environ.get("PATH", os.defpath)])

nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = False
nox.options.sessions = ["controllers", "targets"]


@nox.session(python=["3.11", "3.12", "3.13"])
def controllers(session: nox.Session) -> None:
    """Unit and driver tests on a Python that a controller may have."""
    session.install("--quiet", "--require-hashes", "--requirement", "requirements-dev.lock")
    session.install("--quiet", "--no-deps", "--no-build-isolation", "--editable", ".")
    session.run("python", "-m", "pytest", "tests/unit", "-q")
    session.run("python", "-m", "pytest", "tests/driver", "-q", "-m", "not slow")


@nox.session(python=["3.9", "3.10", "3.11", "3.12", "3.13"])
def targets(session: nox.Session) -> None:
    """Unit tests of module_utils on a Python that a host may have; Ansible is not there."""
    # Not locked: the lock is for controllers, and pytest 9 has left Python 3.9 behind.
    session.install("--quiet", "pytest>=8.3", "hypothesis")
    session.run("python", "-m", "pytest", "tests/unit/plugins/module_utils", "-q")


@nox.session
def fuzz(session: nox.Session) -> None:
    """Half of the time for the coverage-guided run where atheris is, the rest for property tests round after round."""
    seconds = int(os.environ.get("CRASHREADY_FUZZ_SECONDS", "600"))
    session.install("--quiet", "--require-hashes", "--requirement", "requirements-dev.lock")
    session.install("--quiet", "--no-deps", "--no-build-isolation", "--editable", ".")
    end = time.monotonic() + seconds
    # Not locked: it has no build for every Python. Without it the script says so and ends with 2.
    session.run("python", "-m", "pip", "install", "--quiet", "--only-binary=:all:", "atheris", success_codes=range(256))
    found = str(pathlib.Path(session.create_tmp()) / "corpus")
    session.run(
        "python", "tests/fuzz/fuzz_oops.py", found, "-max_total_time={0}".format(seconds // 2), success_codes=[0, 2]
    )
    rounds = 0
    while rounds == 0 or time.monotonic() < end:
        # The tests have their own numbers of examples; another seed is another set of them. nox prints it.
        seed = "--hypothesis-seed={0}".format(random.SystemRandom().randrange(1 << 32))
        session.run("python", "-m", "pytest", "tests/unit", "-q", "-m", "hypothesis", "-p", "no:cacheprovider", seed)
        rounds += 1
    session.log("{0} rounds of property tests, no failure".format(rounds))

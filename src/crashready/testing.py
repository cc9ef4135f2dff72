# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""`crashready test`: every test of the project, quick ones first, as CI runs them.

A step is one program that ends with 0 or not. Its output goes straight through;
afterwards one line says how it went and how long it took. When a quick step
failed, the slow ones (those that start hosts) are left out, since they would
take an hour to say the same. The last line is `N passed, N failed`: a step
without tests of its own counts as one, pytest's are counted by its own report.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
import tempfile
import time
import typing as t
import xml.etree.ElementTree as ElementTree

from .exits import BAD, USAGE, WELL, ToolError
from .setup import ensure_packages, link_typing_tree, prepare
from .version import checkout_root

__all__ = ["Counts", "Result", "Step", "add_arguments", "all_steps", "junit_counts", "run", "run_steps", "summary"]


@dataclasses.dataclass(frozen=True)
class Step:
    """One program to run in the checkout. `argv[0]` is found in .venv/bin first."""

    name: str
    about: str
    argv: tuple[str, ...]
    #: Key of setup.SYSTEM_PACKAGES, "" where a virtual environment is enough.
    packages: str = ""
    #: Whether pytest runs inside and its tests are counted.
    counts_tests: bool = False
    #: Whether hosts are started: these steps come last, and only after the others passed.
    slow: bool = False
    #: Whether it runs only when asked for with --all or by name.
    extra: bool = False
    time_limit_s: int = 900
    #: What the environment has beside the usual, unless --all is given.
    quick_env: t.Mapping[str, str] = dataclasses.field(default_factory=dict)


class Counts(t.NamedTuple):
    """How many tests ran well, failed, and were skipped by their own decision."""

    passed: int
    failed: int
    skipped: int = 0


@dataclasses.dataclass(frozen=True)
class Result:
    """How a step went; `counts` is None for a step that was left out, with the reason in `note`."""

    step: Step
    counts: Counts | None
    seconds: float = 0.0
    note: str = ""


_PYTEST = ("python", "-m", "pytest")
_DOCS = ("--plugin-docs", "--skip-rstcheck", "--validate-collection-refs", "dependent", ".")
_COVERAGE = ("--cov=plugins/module_utils/_core", "--cov-report=term-missing:skip-covered")


def _sources() -> list[Step]:
    return [
        Step("format", "Python is formatted", ("ruff", "format", "--check", "--diff", ".")),
        Step("lint", "Python follows the rules of pyproject.toml", ("ruff", "check", ".")),
        Step("types", "mypy --strict on what runs on hosts and on the driver", ("mypy",)),
        Step("yamllint", "YAML is tidy", ("yamllint", "--strict", ".")),
        Step("ansible-lint", "playbooks and roles, profile production", ("ansible-lint", "--offline", "--nocolor")),
        Step("codespell", "words are spelled", ("codespell",)),
        Step(
            "docs",
            "documentation of plugins and roles is well formed",
            ("antsibull-docs", "lint-collection-docs", *_DOCS),
        ),
        Step(
            "alerts",
            "alert rules fire when they should and else do not",
            ("tools/promtool", "test", "rules", "tests/monitoring/crashready.rules.test.yml"),
            time_limit_s=300,
        ),
    ]


def _python_tests() -> list[Step]:
    return [
        Step("unit", "tables and fake trees", (*_PYTEST, "tests/unit", *_COVERAGE), counts_tests=True),
        Step("driver", "the command, the set-up, the packages", (*_PYTEST, "tests/driver"), counts_tests=True),
        Step(
            "page",
            "the report's page in a real browser",
            (*_PYTEST, "tests/page"),
            packages="report page",
            counts_tests=True,
            time_limit_s=600,
        ),
        Step(
            "sanity",
            "what Ansible asks of a collection, on every Python that is here",
            ("tools/ansible-test", "sanity", "--venv", "--color", "no"),
            packages="checks of the sources",
        ),
        Step(
            "targets",
            "unit tests under every Python of a host that is here",
            ("nox", "--non-interactive", "--session", "targets"),
            extra=True,
        ),
        Step(
            "controllers",
            "all tests of Python code under every Python of a controller that is here",
            ("nox", "--non-interactive", "--session", "controllers"),
            extra=True,
            time_limit_s=3600,
        ),
    ]


def _scenario(name: str, packages: str, about: str, extra: bool = False) -> Step:
    return Step(
        "molecule" if name == "default" else name,
        about,
        ("molecule", "test", "--scenario-name", name),
        packages=packages,
        counts_tests=True,
        slow=True,
        extra=extra,
        # Emulated, each panic or boot takes minutes; only --all waits for the scenarios with many of them.
        time_limit_s=2700 if name == "default" else 10800 if extra else 5400,
        # Two emulated guests on two cores take twice as long as one; the second release is part of the full matrix.
        quick_env={"CRASHREADY_GUESTS": "guests-quick"} if name == "vm" else {},
    )


def all_steps(root: str) -> list[Step]:
    """Every step in order: quick ones, containers, virtual machines, then the scenarios that only --all runs."""
    steps = [*_sources(), *_python_tests()]
    folder = os.path.join(root, "molecule")
    scenarios = sorted(
        name for name in os.listdir(folder) if os.path.isfile(os.path.join(folder, name, "molecule.yml"))
    )
    if "default" in scenarios:
        steps.append(
            _scenario("default", "test containers", "roles in containers: check, converge, idempotence, verify")
        )
    if "vm" in scenarios:
        steps.append(_scenario("vm", "virtual machines", "roles in virtual machines, with reboot, panic and dump"))
    for name in scenarios:
        if name not in ("default", "vm"):
            steps.append(_scenario(name, "virtual machines", "scenario {0}".format(name), extra=True))
    return steps


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which steps to run; all but the full matrix without an option."""
    parser.add_argument("--all", action="store_true", help="the full matrix: every Python, every scenario")
    parser.add_argument("--fast", action="store_true", help="no containers, no virtual machines")
    parser.add_argument("--only", action="append", metavar="STEP", help="this step alone (can be repeated)")
    parser.add_argument("--keep-going", action="store_true", help="slow steps too after a quick one failed")
    parser.add_argument("--list", action="store_true", help="name the steps and run none")
    parser.add_argument("-k", metavar="EXPRESSION", help="only the unit and driver tests that match, as for pytest")


def run(arguments: argparse.Namespace) -> int:
    """Run the chosen steps. BAD when one failed or was left out because of it."""
    root = checkout_root()
    if root is None:
        raise ToolError("the tests are in the repository, not in the installed package: run ./crashready test there")
    steps = all_steps(root)
    if arguments.list:
        for step in steps:
            print("{0:<13} {1}{2}".format(step.name, step.about, " (only with --all)" if step.extra else ""))
        return WELL
    unknown = set(arguments.only or ()) - {step.name for step in steps}
    if unknown:
        names = ", ".join(step.name for step in steps)
        print("crashready test: no step {0}; there are: {1}".format(", ".join(sorted(unknown)), names), file=sys.stderr)
        return USAGE
    prepare(root, dev=True)
    results = run_steps(root, _chosen(steps, arguments), keep_going=arguments.keep_going)
    print(summary(results), flush=True)
    return WELL if all(result.counts and not result.counts.failed for result in results) else BAD


def _chosen(steps: list[Step], arguments: argparse.Namespace) -> list[Step]:
    if arguments.k:
        chosen = [step for step in steps if step.name in (arguments.only or ("unit", "driver"))]
        return [dataclasses.replace(step, argv=(*step.argv, "-k", arguments.k)) for step in chosen]
    if arguments.all:
        steps = [dataclasses.replace(step, quick_env={}) for step in steps]
    if arguments.only:
        return [step for step in steps if step.name in arguments.only]
    return [step for step in steps if (arguments.all or not step.extra) and not (arguments.fast and step.slow)]


def run_steps(root: str, steps: t.Iterable[Step], keep_going: bool = False) -> list[Result]:
    """Run steps in order, in the checkout `root`; output is passed through as it comes."""
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="crashready-") as scratch:
        for step in steps:
            failed = [result.step.name for result in results if result.counts and result.counts.failed]
            if step.slow and failed and not keep_going:
                results.append(Result(step, None, note="not run: {0} failed before".format(", ".join(failed))))
                continue
            print("\n==> {0}: {1}\n    {2}".format(step.name, step.about, " ".join(step.argv)), flush=True)
            results.append(_run_step(root, step, scratch))
            print("<== {0}".format(_line(results[-1])), flush=True)
    return results


def _run_step(root: str, step: Step, scratch: str) -> Result:
    start = time.monotonic()
    try:
        if step.packages and not (step.packages == "test containers" and os.environ.get("CRASHREADY_CONTAINER_ENGINE")):
            ensure_packages(step.packages)
        if step.name == "types":
            link_typing_tree(root)
        report = os.path.join(scratch, step.name + ".xml")
        code, note = _execute(root, step, scratch, report)
    except (ToolError, OSError) as error:
        code, note, report = 1, str(error), ""
    counts = Counts(0, 1) if code else Counts(1, 0)
    if step.counts_tests:
        counts = junit_counts(report, code, own=1 if step.slow else 0)
    return Result(step, counts, time.monotonic() - start, note)


def _environment(root: str, scratch: str, report: str) -> dict[str, str]:
    env = dict(os.environ)
    env["PATH"] = os.path.join(root, ".venv", "bin") + os.pathsep + env.get("PATH", os.defpath)
    # State that molecule kept of an earlier run, of hosts that are gone by now, must not be believed.
    env["ANSIBLE_HOME"] = os.path.join(scratch, "ansible")
    # molecule starts pytest itself, so the report is asked for by the environment.
    env["PYTEST_ADDOPTS"] = " ".join([env.get("PYTEST_ADDOPTS", ""), "--junitxml=" + report]).strip()
    # molecule wraps what it passes on; in a log of 80 columns names of tests are cut in two.
    env.setdefault("COLUMNS", "160")
    for name in ("PYTHONPATH", "ANSIBLE_CONFIG", "ANSIBLE_COLLECTIONS_PATH"):
        env.pop(name, None)
    return env


def _execute(root: str, step: Step, scratch: str, report: str) -> tuple[int, str]:
    """Exit code and a note. The step gets a session of its own, so that what it started can be ended with it."""
    env = {**_environment(root, scratch, report), **step.quick_env}
    process = subprocess.Popen(
        _argv(root, step),
        cwd=root,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if step.name == "types" else None,
        text=True,
        start_new_session=True,
    )
    try:
        if process.stdout is not None:
            for line in process.stdout:
                print(_real_path(root, line), end="", flush=True)
        return process.wait(step.time_limit_s), ""
    except subprocess.TimeoutExpired:
        return 1, "took longer than {0} s and was ended".format(step.time_limit_s)
    finally:
        if process.poll() is None:
            _end(process)


def _argv(root: str, step: Step) -> list[str]:
    program = step.argv[0]
    for place in (os.path.join(root, ".venv", "bin", program), os.path.join(root, program)):
        if os.path.isfile(place):
            return [place, *step.argv[1:]]
    raise ToolError("{0} is missing from .venv/bin: run ./crashready setup --dev".format(program))


def _end(process: subprocess.Popen[str]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
            return


def _real_path(root: str, line: str) -> str:
    """A line of mypy with the file's own path instead of the one in the tree of links."""
    path, colon, rest = line.partition(":")
    if not path.startswith(".venv/typing/"):
        return line
    return os.path.relpath(os.path.realpath(os.path.join(root, path)), os.path.realpath(root)) + colon + rest


def junit_counts(report: str, code: int, own: int = 0) -> Counts:
    """Counts from pytest's JUnit report; `own` is what the step counts beside its tests.

    A step that ended badly counts at least one failure, whatever its report says: pytest can end badly
    without one (nothing collected, an internal error), and so can what ran before it.
    """
    passed = failed = skipped = 0
    try:
        suites = list(ElementTree.parse(report).getroot().iter("testsuite"))  # noqa: S314  our own pytest wrote it
    except (OSError, ElementTree.ParseError):
        suites = []
    for suite in suites:
        bad = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        failed += bad
        skipped += int(suite.get("skipped", 0))
        passed += int(suite.get("tests", 0)) - bad - int(suite.get("skipped", 0))
    if code and not failed:
        return Counts(passed, 1, skipped)
    if not code and not suites and not own:
        return Counts(0, 1, 0)
    return Counts(passed + (0 if code else own), failed, skipped)


def _line(result: Result) -> str:
    if result.counts is None:
        return "{0:<13} {1}".format(result.step.name, result.note)
    word = "FAILED" if result.counts.failed else "passed"
    text = "{0:<13} {1}  {2:7.1f} s".format(result.step.name, word, result.seconds)
    if result.step.counts_tests:
        text += "  {0} passed, {1} failed".format(result.counts.passed, result.counts.failed)
        text += ", {0} skipped".format(result.counts.skipped) if result.counts.skipped else ""
    return text + ("  ({0})".format(result.note) if result.note else "")


def summary(results: t.Sequence[Result]) -> str:
    """The table at the end; its last line is `N passed, N failed`."""
    counted = [result.counts for result in results if result.counts]
    total = sum(result.seconds for result in results)
    lines = ["", "Summary ({0:.0f} s)".format(total)] + ["  " + _line(result) for result in results]
    passed = sum(counts.passed for counts in counted)
    failed = sum(counts.failed for counts in counted)
    return "\n".join([*lines, "", "{0} passed, {1} failed".format(passed, failed)])

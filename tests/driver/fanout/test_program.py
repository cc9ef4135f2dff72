# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The program that a host gets: the same facts as the module's, on every Python and under every shell."""

from __future__ import annotations

import ast
import glob
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import typing as t
import zlib

import pytest

from crashready._host.facts import DEFAULT_SUBSETS, collect_facts
from crashready._host.tree import TreeHost
from crashready.fanout.outcome import Outcome, read_answer
from crashready.fanout.program import NO_PYTHON, OLD_PYTHON, Program, build_program, read_sources

ROOT = pathlib.Path(__file__).resolve().parents[3]
TREES = sorted(path for path in ROOT.glob("tests/unit/cases/trees/*.json") if not path.stem.endswith(".expected"))

#: Runs the module crash_facts, unchanged, on a recorded machine; in a process of its own, because one process must
#: not import the shared code under two names.
_MODULE = """
import json, sys
sys.path.insert(0, {tree!r})
from ansible.module_utils import basic
from ansible.module_utils.testing import patch_module_args
from ansible_collections.rackops.crashready.plugins.module_utils._host.tree import TreeHost
from ansible_collections.rackops.crashready.plugins.modules import crash_facts
crash_facts.LocalHost = lambda: TreeHost(json.load(open({manifest!r})))
with patch_module_args({{}}):
    crash_facts.main()
"""


def canonical(facts: t.Any) -> str:
    return json.dumps(facts, sort_keys=True)


def run(
    program: Program, *interpreter: str, noise: bytes = b"", **options: t.Any
) -> subprocess.CompletedProcess[bytes]:
    words = options.pop("shell", ("sh", "-c"))
    command = program.command(interpreter)
    return subprocess.run(
        [*words, command], input=noise + program.payload, capture_output=True, timeout=60, check=False, **options
    )


def facts_of(program: Program, out: bytes) -> dict[str, t.Any]:
    found = re.search(program.mark.encode() + rb" (\d+) (\d+)\n", out)
    assert found, out[-300:]
    data = out[found.end() :]
    assert (len(data), zlib.crc32(data)) == (int(found[1]), int(found[2]))
    found_facts = Outcome("h", "ssh", packed=read_answer(data)).facts()
    assert found_facts is not None
    return found_facts


@pytest.mark.parametrize("path", TREES, ids=lambda path: path.stem)
def test_program_module_and_command_say_the_same(path: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """Byte for byte, in canonical JSON: by the program, by the module through Ansible's arguments, by the command."""
    manifest = json.loads(path.read_text(encoding="utf-8"))
    program = build_program(DEFAULT_SUBSETS, 60, manifest)
    done = run(program, sys.executable)
    assert done.returncode == 0, done.stderr.decode()
    by_program = canonical(facts_of(program, done.stdout))
    assert by_program == canonical(collect_facts(TreeHost(manifest), DEFAULT_SUBSETS))
    tree = tmp_path / "tree" / "ansible_collections" / "rackops"
    tree.mkdir(parents=True)
    (tree / "crashready").symlink_to(ROOT)
    code = _MODULE.format(tree=str(tmp_path / "tree"), manifest=str(path))
    module = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert module.returncode == 0, module.stderr
    assert canonical(json.loads(module.stdout)["ansible_facts"]["crashready"]) == by_program


def _pythons() -> list[str]:
    home = os.environ.get("PYENV_ROOT", os.path.expanduser("~/.pyenv"))
    found = glob.glob(os.path.join(home, "versions", "3.*", "bin", "python"))
    found += [path for number in range(9, 15) for path in [shutil.which("python3.{0}".format(number))] if path]
    return sorted({path for path in found if "shims" not in path})


def _version(python: str) -> tuple[int, int]:
    out = subprocess.run([python, "-c", "import sys; print(*sys.version_info[:2])"], capture_output=True, check=False)
    major, minor = out.stdout.split() if out.returncode == 0 else (b"0", b"0")
    return int(major), int(minor)


def test_every_python_that_is_here_collects_or_says_that_it_is_too_old() -> None:
    manifest = json.loads(TREES[-1].read_text(encoding="utf-8"))
    program = build_program(DEFAULT_SUBSETS, 60, manifest)
    expected = canonical(collect_facts(TreeHost(manifest), DEFAULT_SUBSETS))
    tried = [python for python in _pythons() if _version(python) != (0, 0)] or [sys.executable]
    for python in tried:
        done = run(program, python)
        if _version(python) < (3, 9):
            assert (done.returncode, done.stdout) == (OLD_PYTHON, b""), python
        else:
            assert canonical(facts_of(program, done.stdout)) == expected, python


def test_a_python_that_is_too_old_is_passed_over(tmp_path: pathlib.Path) -> None:
    program = build_program(("kernel",), 60, {})
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit {0}\n".format(OLD_PYTHON))
    old.chmod(0o755)
    new = tmp_path / "python3.11"
    new.write_text('#!/bin/sh\nexec {0} "$@"\n'.format(sys.executable))
    new.chmod(0o755)
    done = run(program, env={"PATH": "{0}:/usr/bin:/bin".format(tmp_path)})
    assert facts_of(program, done.stdout)["schema"] == 1


def test_a_host_without_python(tmp_path: pathlib.Path) -> None:
    """Names with a path of their own (/usr/bin/python3) are looked for too, so they are taken out here."""
    program = build_program(("kernel",), 60, {})
    (tmp_path / "sh").symlink_to("/bin/sh")
    command = re.sub(r"/usr(?:/local)?/bin/python3", "/nowhere/python3", program.command())
    done = subprocess.run(
        ["/bin/sh", "-c", command], input=program.payload, env={"PATH": str(tmp_path)}, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout) == (NO_PYTHON, b"")
    assert run(program, "/nowhere/python3").returncode == NO_PYTHON


SHELLS = ("sh", "bash", "dash", "zsh", "fish", "csh", "tcsh", "ksh", "mksh", "busybox")


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("given", [True, False], ids=["given", "found"])
def test_login_shells(shell: str, given: bool) -> None:
    if shutil.which(shell) is None:
        pytest.skip("{0} is not installed".format(shell))
    words = (shell, "sh", "-c") if shell == "busybox" else (shell, "-c")
    program = build_program(("kernel",), 60, {})
    done = run(program, *([sys.executable] if given else []), shell=words)
    assert facts_of(program, done.stdout)["schema"] == 1, done.stderr


def test_the_command_has_no_sign_that_a_shell_treats_in_its_own_way() -> None:
    command = build_program(("nics",), 60).command((), ("sudo", "-n"), announce=True)
    head, quoted, tail = command.split("'")
    assert (head, tail) == ("sudo -n sh -c ", "")
    assert not set(quoted) & set("\\`!\n'")
    assert quoted.isascii()


@pytest.mark.parametrize("word", ["/opt/my python", "python3;reboot", "$(reboot)", "py'thon", "a\nb", "py!thon", ""])
def test_words_that_need_quotes_are_refused(word: str) -> None:
    program = build_program(("nics",), 60)
    with pytest.raises(ValueError, match="not every shell"):
        program.command((word,))
    with pytest.raises(ValueError, match="not every shell"):
        program.command((), ("sudo", word))


def test_lines_before_the_program_are_skipped_and_shown_to_nobody() -> None:
    """A password that sudo did not ask for stays in the stream."""
    program = build_program(("kernel",), 60, {})
    done = run(program, sys.executable, noise=b"hunter2\n")
    assert facts_of(program, done.stdout)["schema"] == 1
    assert b"hunter2" not in done.stdout + done.stderr


def test_a_module_in_the_home_directory_is_not_imported(tmp_path: pathlib.Path) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong json')")
    (tmp_path / "zlib.py").write_text("raise SystemExit('the wrong zlib')")
    program = build_program(("kernel",), 60, {})
    assert facts_of(program, run(program, sys.executable, cwd=tmp_path).stdout)["schema"] == 1


def test_nothing_is_written_on_the_host(tmp_path: pathlib.Path) -> None:
    """HOME and TMPDIR lie on a folder that cannot be written, and strace is not needed to see that all went well."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    program = build_program(("kernel",), 60, {})
    done = run(program, sys.executable, cwd=closed, env={"HOME": str(closed), "TMPDIR": str(closed), "PATH": "/bin"})
    assert facts_of(program, done.stdout)["schema"] == 1
    assert list(closed.iterdir()) == []


def test_it_ends_itself_when_nobody_waits_any_more() -> None:
    """A collector that hangs (a FIFO in place of a file, say) does not outlive the time limit."""
    program = build_program(("kernel",), 1, {})
    text = zlib.decompress(program.payload.split(b"\n", 1)[1]).decode()
    hanging = text.replace("def answer():", "def answer():\n    import time\n    time.sleep(60)", 1).encode()
    data = zlib.compress(hanging)
    slow = Program(program.mark, "{0} {1}\n".format(program.mark, len(data)).encode() + data)
    done = run(slow, sys.executable)
    assert done.returncode == 1
    assert b"no answer within the time limit" in done.stderr


def _without_docstrings(source: str) -> str:
    tree = ast.parse(source, feature_version=(3, 9))
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            node.body[0] = ast.Expr(ast.Constant(""), lineno=node.body[0].lineno)
    return ast.dump(tree, include_attributes=False)


def test_sources_are_the_same_code_on_the_same_lines() -> None:
    for name, (_package, source) in read_sources(("_host.facts", "_host.local", "_host.tree")).items():
        if not name:
            continue
        path = ROOT / "plugins" / "module_utils" / pathlib.Path(*name.split("."))
        file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        original = file.read_text(encoding="utf-8")
        assert _without_docstrings(source) == _without_docstrings(original), name
        lines = [
            [(node.name, node.lineno) for node in ast.walk(ast.parse(each)) if isinstance(node, ast.FunctionDef)]
            for each in (source, original)
        ]
        assert lines[0] == lines[1], name
        assert len(source) <= len(original)


def test_every_shared_module_that_is_needed_is_there_and_no_other() -> None:
    names = set(read_sources(("_host.facts", "_host.local")))
    assert {"_core.text", "_host.nics", "_host.capture"} <= names
    assert not {name for name in names if name.startswith(("_change", "_core.judge", "_core.oops"))}

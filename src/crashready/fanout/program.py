# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The collectors as one program that a host gets over standard input and that leaves nothing behind.

The program is the collection's own `_core` and `_host` in one compressed text, so
that its facts are those of the module `crash_facts`. The command that starts it is
one line of plain words in single quotes, which every login shell takes as they are:
no quote, backslash, newline or exclamation mark is in it (csh and fish treat them
each in a way of their own). Nothing of a host's answer is in the command, and no
password either.
"""

from __future__ import annotations

import ast
import dataclasses
import json
import os
import re
import secrets
import typing as t
import zlib

from ..version import collection_root

__all__ = ["INTERPRETERS", "NO_PYTHON", "OLD_PYTHON", "PLAIN_WORD", "Program", "build_program", "read_sources"]

#: Where a Python is looked for, in this order: Debian's own first, then what an administrator may have added.
INTERPRETERS = (
    *("python3", "python3.13", "python3.12", "python3.11", "python3.10", "python3.9"),
    *("/usr/bin/python3", "/usr/local/bin/python3"),
)
#: Exit codes of the command, beside those of a shell (126, 127) and of sudo (1).
OLD_PYTHON = 93
NO_PYTHON = 94

_PACKAGE = "crashready_host"
#: Roots from which imports are followed.
_ROOTS = ("_host.facts", "_host.local")

# The first line that Python runs. It holds no quote of either kind: it stands inside double quotes inside single
# quotes. Python 2 must understand it well enough to say that it is too old. Lines before the mark are skipped: a
# password that sudo did not ask for would be one. In `sys.path` an empty entry is the current directory, which is the
# user's home and may hold a json.py.
_FIRST = (
    "import sys;sys.version_info<(3,9)and sys.exit({old});"
    "sys.path[:]=[p for p in sys.path if p];"
    "import os,zlib;a=sys.argv;m=a[1].encode();a[2:]and(os.write(1,m+a[2].encode()+bytes([10])));"
    "r=sys.stdin.buffer;n=next(l for l in iter(r.readline,bytes())if l.startswith(m));"
    "exec(zlib.decompress(r.read(int(n.split()[1]))))"
)

_GIVEN = "command -v {program} >/dev/null 2>&1 || exit {none}; exec {python} {run}"
_SEARCH = (
    "e={none}; for p in {names}; do command -v $p >/dev/null 2>&1 || continue; "
    "$p {run}; e=$?; [ $e = {old} ] || exit $e; done; exit $e"
)

_LOADER = '''
import sys
from importlib.machinery import ModuleSpec

class Sources:
    """Modules that came with the program."""

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name in SOURCES:
            return ModuleSpec(name, cls, is_package=SOURCES[name][0])

    @staticmethod
    def create_module(spec):
        return None

    @staticmethod
    def exec_module(module):
        name = module.__name__
        exec(compile(SOURCES[name][1], "<crashready>/" + name, "exec", dont_inherit=True), module.__dict__)

sys.meta_path.insert(0, Sources)
sys.dont_write_bytecode = True
'''

_MAIN = """
import json, os, signal, zlib

def late(number, frame):
    # Raised where the collector is, so that programs it started are ended too.
    raise SystemExit("crashready: no answer within the time limit")

signal.signal(signal.SIGALRM, late)
signal.alarm(LIMIT)

def answer():
    try:
        from crashready_host._host.facts import collect_facts
        return {"facts": collect_facts(host(), SUBSETS)}
    except Exception:
        import traceback
        return {"failed": traceback.format_exc(limit=-6)[-4000:]}

text = zlib.compress(json.dumps(answer(), sort_keys=True).encode("utf-8", "backslashreplace"), 6)
data = ("\\n%s %d %d\\n" % (MARK, len(text), zlib.crc32(text))).encode() + text
while data:
    data = data[os.write(1, data):]
"""

_LOCAL = """
def host():
    from crashready_host._host.local import LocalHost
    return LocalHost()
"""

_TREE = """
def host():
    from crashready_host._host.tree import TreeHost
    return TreeHost(json.loads(MANIFEST))
"""

#: A word that every shell leaves as it is, also within the quotes of the command.
PLAIN_WORD = re.compile(r"[A-Za-z0-9_@%+=:,./~-]+\Z")


@dataclasses.dataclass(frozen=True)
class Program:
    """What is sent to a host: the command, and the bytes for its standard input."""

    mark: str
    payload: bytes

    def command(self, interpreter: tuple[str, ...] = (), prefix: tuple[str, ...] = (), announce: bool = False) -> str:
        """The command line for a login shell of any kind.

        `interpreter` is the inventory's (program and arguments); empty, the first of INTERPRETERS that is there and
        new enough. `prefix` comes before it all (sudo with its options). With `announce` the mark and `ready` are
        written before the program is read. Raises ValueError for a word that would need quoting.
        """
        for word in (*interpreter, *prefix):
            if not PLAIN_WORD.match(word):
                raise ValueError("{0!r} has characters that not every shell takes as they are".format(word[:80]))
        script = (_GIVEN if interpreter else _SEARCH).format(
            python=" ".join(interpreter),
            program=interpreter[0] if interpreter else "",
            names=" ".join(INTERPRETERS),
            run='-ESs -c "{0}" {1}{2}'.format(_FIRST.format(old=OLD_PYTHON), self.mark, " ready" if announce else ""),
            none=NO_PYTHON,
            old=OLD_PYTHON,
        )
        # `sh` without a path: a restricted shell refuses a command with a slash in it, and says so.
        return " ".join((*prefix, "sh", "-c", "'{0}'".format(script)))

    @property
    def ready(self) -> bytes:
        """What an announcing command writes before it reads."""
        return (self.mark + "ready\n").encode()


def build_program(
    subsets: t.Sequence[str], limit_s: float = 60, manifest: t.Mapping[str, t.Any] | None = None
) -> Program:
    """The program that collects `subsets`, and that ends itself after `limit_s`.

    With `manifest` (see `_host.tree.TreeHost`) it speaks of that recorded machine; tests do so.
    """
    mark = "crashready" + secrets.token_hex(8)
    sources = read_sources((*_ROOTS, "_host.tree") if manifest is not None else _ROOTS)
    values = {
        "SOURCES": {_full(name): source for name, source in sources.items()},
        "SUBSETS": tuple(subsets),
        "MARK": mark,
        "LIMIT": max(1, int(limit_s)),
    }
    if manifest is not None:
        values["MANIFEST"] = json.dumps(manifest)
    head = "\n".join("{0} = {1!r}".format(name, value) for name, value in values.items())
    text = "\n".join((head, _LOADER, _TREE if manifest is not None else _LOCAL, _MAIN))
    data = zlib.compress(text.encode("utf-8"), 9)
    return Program(mark, "{0} {1}\n".format(mark, len(data)).encode() + data)


def _full(name: str) -> str:
    return _PACKAGE + "." + name if name else _PACKAGE


def read_sources(roots: t.Iterable[str]) -> dict[str, tuple[bool, str]]:
    """The modules of the collection that `roots` import, without comments: {dotted name: (is a package, source)}."""
    found: dict[str, tuple[bool, str]] = {"": (True, "")}
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        path = _file_of(name)
        if name in found or path is None:
            continue
        with open(path, encoding="utf-8") as stream:
            source = stream.read()
        is_package = os.path.basename(path) == "__init__.py"
        nodes = list(_statements(ast.parse(source)))
        found[name] = (is_package, _bare(source, nodes))
        waiting += [name.rpartition(".")[0], *_imports(name, is_package, nodes)]
    return dict(sorted(found.items()))


def _file_of(name: str) -> str | None:
    base = os.path.join(collection_root(), "plugins", "module_utils", *name.split("."))
    for path in (base + ".py", os.path.join(base, "__init__.py")):
        if os.path.isfile(path):
            return path
    return None


def _imports(name: str, is_package: bool, nodes: t.Iterable[ast.stmt | ast.Module]) -> list[str]:
    """Every module that a source may import relatively; names that are no modules are dropped by the caller."""
    parts = name.split(".") if is_package else name.split(".")[:-1]
    wanted = []
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.level:
            base = parts[: len(parts) - node.level + 1] + (node.module.split(".") if node.module else [])
            wanted += [".".join(base), *(".".join([*base, alias.name]) for alias in node.names)]
    return [each for each in wanted if each]


def _statements(node: ast.stmt | ast.Module | ast.ExceptHandler) -> t.Iterator[ast.stmt | ast.Module]:
    """A node and every statement below it; expressions, which are far more, are not looked into."""
    if not isinstance(node, ast.ExceptHandler):
        yield node
    for field in ("body", "orelse", "finalbody", "handlers"):
        for child in getattr(node, field, ()):
            yield from _statements(child)


def _bare(source: str, nodes: t.Iterable[ast.stmt | ast.Module]) -> str:
    """A source without docstrings and lines of comment, each other line where it was: tracebacks stay right."""
    lines = source.split("\n")
    inside: set[int] = set()  # rows that may be part of a text: a # there is perhaps no comment
    for node in nodes:
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                _blank(lines, first)
        elif not hasattr(node, "body") and node.end_lineno != node.lineno:
            last = node.end_lineno or node.lineno
            if any(_begins_long_text(line) for line in lines[node.lineno - 1 : last]):
                inside.update(range(node.lineno, last))
    return "\n".join(
        "" if line.lstrip().startswith("#") and row not in inside else line for row, line in enumerate(lines)
    )


def _begins_long_text(line: str) -> bool:
    """Whether a text may go on in the next line."""
    return '"""' in line or "'''" in line or line.endswith("\\")


def _blank(lines: list[str], node: ast.stmt) -> None:
    """Put an empty text where a docstring was: a body may have nothing else in it."""
    first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
    rest = lines[last].encode()[node.end_col_offset or 0 :].decode()
    start = lines[first].encode()[: node.col_offset].decode()
    for row in range(first, last + 1):
        lines[row] = ""
    lines[first] = start + '""' + (rest if rest.strip() else "")

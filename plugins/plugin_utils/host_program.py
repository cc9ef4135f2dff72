# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Makes the programs that run on a host by themselves: one zip that Python starts.

The same files give the same bytes, so that a second run of the role finds nothing to change; not
compressed, since every zlib does that in its own way.
"""

from __future__ import annotations

import ast
import base64
import io
import os
import typing as t
import zipfile
import zlib

__all__ = ["PROGRAMS", "Program", "build", "pack"]

_PACKAGE = "crashready"
_MAIN = "import sys\n\nfrom crashready.{0} import main\n\nsys.exit(main(sys.argv[1:]))\n"
#: The first moment that a zip can name.
_EPOCH = (1980, 1, 1, 0, 0, 0)
_PLUGINS = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))


class Program(t.NamedTuple):
    """Where a program starts (a file of module_utils with `main(argv)`), and the tables of triage that it reads."""

    start: str
    tables: tuple[str, ...] = ()


PROGRAMS = {
    "triage": Program("_change/afterboot.py", ("core", "drivers", "rules")),
    "metrics": Program("_change/metricsfile.py"),
    "netconsole": Program("_change/netconsole.py"),
    "receiver": Program("_change/receiver.py"),
    "ship": Program("_change/ship.py"),
    "soak": Program("_change/soak.py"),
}


def pack(name: str) -> str:
    """A program as a module's option `program` takes it. Raises OSError and SyntaxError for a broken collection."""
    return base64.b64encode(zlib.compress(build(name), 9)).decode("ascii")


def build(name: str, plugins: str = _PLUGINS) -> bytes:
    """The zip: the start and everything that it imports from module_utils, and its tables."""
    program = PROGRAMS[name]
    root = os.path.join(plugins, "module_utils")
    start = _MAIN.format(program.start.rpartition(".")[0].replace("/", "."))
    files = {"__main__.py": start.encode("ascii"), _PACKAGE + "/__init__.py": b""}
    for name in sorted(_closure(root, program.start)):
        files["{0}/{1}".format(_PACKAGE, name)] = _read(os.path.join(root, name))
    for name in program.tables:
        path = os.path.join(plugins, os.pardir, "data", "triage", name + ".json")
        files["{0}/tables/{1}.json".format(_PACKAGE, name)] = _read(path)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, content in sorted(files.items()):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_STORED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)
    return out.getvalue()


def _read(path: str) -> bytes:
    with open(path, "rb") as stream:
        return stream.read()


def _closure(root: str, start: str) -> set[str]:
    """Files of module_utils that the start needs, by its relative imports and theirs."""
    found: set[str] = set()
    todo = [start]
    while todo:
        name = todo.pop()
        if name in found:
            continue
        found.add(name)
        folder = os.path.dirname(name)
        while folder:
            # Importing a module runs the packages that hold it.
            todo.append(folder + "/__init__.py")
            folder = os.path.dirname(folder)
        todo += _imported(root, name)
    return found


def _imported(root: str, name: str) -> t.Iterator[str]:
    for node in ast.walk(ast.parse(_read(os.path.join(root, name)))):
        if not isinstance(node, ast.ImportFrom) or not node.level:
            continue
        base = name.split("/")[: -node.level] + (node.module.split(".") if node.module else [])
        for path in [base, *([*base, alias.name] for alias in node.names)]:
            for file in ("/".join(path) + ".py", "/".join(path) + "/__init__.py"):
                if path and os.path.isfile(os.path.join(root, file)):
                    yield file

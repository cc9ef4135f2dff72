# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Reads the database of pairings on the controller: YAML and the schemas. What it means is `_core/pairing_entry.py`.

Nothing of `_core` is imported here, so that the command `crashready` can load this
file beside its own copy of it (src/crashready/__init__.py). Files of users are
read as if they came from an enemy: bounded, no aliases, no tags of Python.
"""

from __future__ import annotations

import json
import os
import typing as t

import yaml

try:
    import jsonschema
except ImportError:  # a controller with ansible-core alone
    jsonschema = None

__all__ = [
    "COVERAGE",
    "DERIVED",
    "SHIPPED",
    "Document",
    "Fault",
    "needs",
    "read_coverage",
    "read_derived",
    "read_folders",
    "read_yaml",
]

_DATA = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, os.pardir, "data"))
#: The folder of entries that comes with the collection.
SHIPPED = os.path.join(_DATA, "pairings")
COVERAGE = os.path.join(_DATA, "coverage.yml")
#: The index of CVEs of NIC drivers, made by `crashready pairings import`.
DERIVED = os.path.join(_DATA, "derived", "nic-cves.json")

FILE_LIMIT = 64 * 1024
DERIVED_LIMIT = 64 * 1024 * 1024
FILES_LIMIT = 5000
DEPTH_LIMIT = 16
NODES_LIMIT = 20_000

# libyaml where PyYAML was built with it; both are the safe loader.
_Loader: t.Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Fault(t.NamedTuple):
    """What is wrong, where: `line` is 0 where there is none."""

    path: str
    line: int
    field: str
    message: str

    def __str__(self) -> str:
        where = "{0}:{1}".format(self.path, self.line) if self.line else self.path
        return "{0}: {1}: {2}".format(where, self.field, self.message) if self.field else where + ": " + self.message


class Document(t.NamedTuple):
    """A file that was read: `lines` has the line of each dotted field ("kernel.affected.0")."""

    path: str
    own: bool
    value: dict[str, t.Any]
    lines: dict[str, int]

    def fault(self, field: str, message: str) -> Fault:
        """A fault at a field of this file, with its line or that of the nearest field above it."""
        return Fault(self.path, _line(self.lines, field), field, message)


def needs() -> str:
    """What the controller lacks for reading the database; empty where nothing is missing."""
    if jsonschema is not None:
        return ""
    return (
        "the Python module jsonschema is missing on the controller, so that entries cannot be checked. "
        "Next: pip install jsonschema into the environment of ansible-core (Debian: apt install python3-jsonschema)"
    )


def read_derived() -> str:
    """The text of the index of CVEs. Raises OSError; ValueError where it is larger than an index is."""
    with open(DERIVED, encoding="utf-8") as stream:
        text = stream.read(DERIVED_LIMIT + 1)
    if len(text) > DERIVED_LIMIT:
        raise ValueError("{0} is larger than {1} bytes".format(DERIVED, DERIVED_LIMIT))
    return text


def read_yaml(path: str) -> tuple[t.Any, dict[str, int], list[Fault]]:
    """The value of a YAML file, the lines of its fields, and what is wrong with it (then the value is None)."""
    try:
        if not os.path.isfile(path):
            return None, {}, [Fault(path, 0, "", "not a regular file")]
        with open(path, "rb") as stream:
            data = stream.read(FILE_LIMIT + 1)
        if len(data) > FILE_LIMIT:
            return None, {}, [Fault(path, 0, "", "larger than {0} bytes".format(FILE_LIMIT))]
        text = data.decode("utf-8")
    except OSError as exc:
        return None, {}, [Fault(path, 0, "", exc.strerror or "cannot be read")]
    except UnicodeDecodeError as exc:
        return None, {}, [Fault(path, data.count(b"\n", 0, exc.start) + 1, "", "not UTF-8")]
    return _parse(path, text)


def _parse(path: str, text: str) -> tuple[t.Any, dict[str, int], list[Fault]]:
    try:
        bad = _bounds(path, text)
        if bad is not None:
            return None, {}, [bad]
        node = yaml.compose(text, Loader=_Loader)
        lines: dict[str, int] = {}
        faults = _walk(path, node, "", lines) if node is not None else []
        return (yaml.load(text, Loader=_Loader) if not faults else None), lines, faults  # noqa: S506  a safe loader
    except yaml.YAMLError as exc:
        mark = getattr(exc, "problem_mark", None)
        says = getattr(exc, "problem", None) or getattr(exc, "reason", None) or "not YAML"
        return None, {}, [Fault(path, mark.line + 1 if mark else 0, "", _printable(str(says)))]
    except (ValueError, OverflowError, RecursionError) as exc:
        # A date such as 2026-99-99, or a number without end: the loader's constructors raise plain errors.
        return None, {}, [Fault(path, 0, "", "a value that YAML cannot take: {0}".format(_printable(str(exc))))]


def _bounds(path: str, text: str) -> Fault | None:
    """Refuse by events alone what would cost memory: aliases (they can multiply), depth, sheer number."""
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=_Loader)):
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            return Fault(path, line, "", "anchors and aliases are not taken")
        if isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            depth += 1
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            depth -= 1
        if depth > DEPTH_LIMIT or count > NODES_LIMIT:
            return Fault(path, line, "", "nested deeper than {0}, or too much in it".format(DEPTH_LIMIT))
    return None


def _walk(path: str, node: t.Any, field: str, lines: dict[str, int]) -> list[Fault]:
    """Note the line of every field; a key that stands twice would silently lose one of its values."""
    lines[field] = node.start_mark.line + 1
    faults: list[Fault] = []
    if isinstance(node, yaml.SequenceNode):
        for index, child in enumerate(node.value):
            faults += _walk(path, child, _join(field, str(index)), lines)
    elif isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, child in node.value:
            name = _printable(str(key.value)) if isinstance(key, yaml.ScalarNode) else "?"
            if name in seen:
                faults.append(Fault(path, key.start_mark.line + 1, _join(field, name), "the key stands here twice"))
            seen.add(name)
            faults += _walk(path, child, _join(field, name), lines)
            lines[_join(field, name)] = key.start_mark.line + 1
    return faults


def _join(field: str, name: str) -> str:
    return field + "." + name if field else name


def _line(lines: t.Mapping[str, int], field: str) -> int:
    while field and field not in lines:
        field = field.rpartition(".")[0]
    return lines.get(field, 0)


def _printable(text: str) -> str:
    return "".join(sign if sign.isprintable() else " " for sign in text[:200])


def _validator(schema_path: str) -> t.Any:
    with open(schema_path, encoding="utf-8") as stream:
        return jsonschema.Draft202012Validator(json.load(stream))


def _structure(document: Document, validator: t.Any) -> list[Fault]:
    """Every deviation from the schema, at the field that it is about."""
    faults = []
    for error in validator.iter_errors(document.value):
        field = ".".join(_printable(str(part)) for part in error.absolute_path)
        faults.append(document.fault(field, _said(error)))
    return faults


def _said(error: t.Any) -> str:
    """The library's message, short, and with the reason where a version lost its quotes."""
    message = _printable(error.message)
    if error.validator == "type" and "string" in str(error.validator_value) and not isinstance(error.instance, str):
        message += " (quotes are missing?)"
    if error.validator == "anyOf":
        message = "{0} is none of the forms that are allowed".format(_printable(repr(error.instance))[:80])
    return message


def read_folders(folders: t.Sequence[str] = (), shipped: str = SHIPPED) -> tuple[list[Document], list[Fault]]:
    """Every `*.yml` of the shipped folder and of the user's, checked against the schema.

    Documents with a fault are left out; the faults name file, line and field.
    """
    missing = needs()
    if missing:
        return [], [Fault("crashready", 0, "", missing)]
    validator = _validator(os.path.join(SHIPPED, "schema.json"))
    documents: list[Document] = []
    faults: list[Fault] = []
    for folder in (shipped, *folders):
        names, wrong = _names(folder)
        faults += wrong
        for name in names:
            document, wrong = _entry(os.path.join(folder, name), folder != shipped, validator)
            faults += wrong
            documents += [document] if document is not None else []
    return documents, faults


def _names(folder: str) -> tuple[list[str], list[Fault]]:
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith((".yml", ".yaml")) and name[0] != ".")
    except OSError as exc:
        says = "{0}; crashready_pairings_dirs has folders of the controller".format(exc.strerror)
        return [], [Fault(folder, 0, "", says)]
    if len(names) > FILES_LIMIT:
        return [], [Fault(folder, 0, "", "more than {0} files".format(FILES_LIMIT))]
    return names, []


def _entry(path: str, own: bool, validator: t.Any) -> tuple[Document | None, list[Fault]]:
    value, lines, faults = read_yaml(path)
    if faults:
        return None, faults
    if not isinstance(value, dict):
        return None, [Fault(path, 1, "", "one mapping is needed: one entry a file")]
    document = Document(path, own, value, lines)
    faults = _structure(document, validator)
    stem = os.path.basename(path).rpartition(".")[0]
    if not faults and value["id"] != stem:
        faults = [document.fault("id", "the file of {0} has to be called {0}.yml".format(value["id"]))]
    return (None if faults else document), faults


def read_coverage(path: str = COVERAGE) -> tuple[Document | None, list[Fault]]:
    """data/coverage.yml, checked against its schema."""
    missing = needs()
    if missing:
        return None, [Fault("crashready", 0, "", missing)]
    value, lines, faults = read_yaml(path)
    if faults or not isinstance(value, dict):
        return None, faults or [Fault(path, 1, "", "one mapping is needed")]
    document = Document(path, False, value, lines)
    faults = _structure(document, _validator(os.path.join(_DATA, "coverage.schema.json")))
    return (None if faults else document), faults

# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Kernel command lines: /proc/cmdline, /etc/kernel/cmdline, the `linux` line of a boot entry.

The rules are those of next_arg() and parameq() in the kernel's lib/cmdline.c and
kernel/params.c: blanks separate, a double quote anywhere starts and ends a
stretch in which they do not, there is no escape, `-` and `_` are the same in a name.
"""

from __future__ import annotations

import re
import typing as t

from .errors import CoreError, ParseError

__all__ = ["LINE_LIMIT", "Parameter", "append", "last_value", "parse", "remove", "render", "split", "values"]

#: COMMAND_LINE_SIZE of x86 and arm64: what is longer is cut by the kernel, at the end.
LINE_LIMIT = 2048
#: What is read at all, far beyond any COMMAND_LINE_SIZE (4096 on s390).
TEXT_LIMIT = 64 * 1024

#: isspace() of the kernel: blank, \t \n \v \f \r and the no-break space.
_WORD = re.compile(r'(?:"[^"]*(?:"|\Z)|[^" \t\n\v\f\r\xa0])+')


class Parameter(t.NamedTuple):
    """One word of a command line."""

    name: str
    value: str | None  #: None for a flag without `=`
    raw: str  #: as it stood, quotes included


def split(text: str) -> list[str]:
    """The words as they stand, quotes kept.

    >>> split('ro dyndbg="file a.c +p"  quiet')
    ['ro', 'dyndbg="file a.c +p"', 'quiet']
    """
    if len(text) > TEXT_LIMIT:
        raise ParseError("a command line of {0} characters; {1} at most".format(len(text), TEXT_LIMIT))
    return _WORD.findall(text)


def parse(text: str) -> list[Parameter]:
    """Every word with its name and value, in order; what follows `--` (init's own words) included."""
    return [_parameter(word) for word in split(text)]


def _parameter(word: str) -> Parameter:
    inner = word
    if inner.startswith('"'):
        inner = inner[1:-1] if inner.endswith('"') and len(inner) > 1 else inner[1:]
    name, equals, value = inner.partition("=")
    if not name:  # "=x" is a name for the kernel: `equals` is only noted behind the first character
        return Parameter(inner, None, word)
    if not equals:
        return Parameter(name, None, word)
    if value.startswith('"'):
        value = value[1:-1] if value.endswith('"') and len(value) > 1 else value[1:]
    return Parameter(name, value, word)


def _same(name: str, other: str) -> bool:
    return name.replace("-", "_") == other.replace("-", "_")


def values(text: str, name: str) -> list[str | None]:
    """Every value of a parameter, in order; None for one without `=`.

    >>> values("crashkernel=256M ro crashkernel=128M,high", "crashkernel")
    ['256M', '128M,high']
    """
    return [p.value for p in parse(text) if _same(p.name, name)]


def last_value(text: str, name: str) -> str | None:
    """The value that holds for most parameters, the last; None when it is absent or a flag."""
    found = values(text, name)
    return found[-1] if found else None


def remove(text: str, *names: str) -> str:
    """The line without these parameters, whatever their values.

    >>> remove("ro crashkernel=512M-:192M quiet", "crashkernel")
    'ro quiet'
    """
    return render(p.raw for p in parse(text) if not any(_same(p.name, name) for name in names))


def append(text: str, *words: str) -> str:
    """The line with further words, put before a `--` since what follows that belongs to init."""
    there = split(text)
    at = there.index("--") if "--" in there else len(there)
    return render(there[:at] + list(words) + there[at:])


def render(words: t.Iterable[str]) -> str:
    """One line from words; a word with blanks in it gets quotes where next_arg() takes them off again.

    Raises CoreError on a word that cannot be written: the kernel knows no escape for a double quote.

    >>> render(["ro", "dyndbg=file a.c +p"])
    'ro dyndbg="file a.c +p"'
    """
    return " ".join(_quoted(word) for word in words if word)


def _quoted(word: str) -> str:
    if split(word) == [word]:
        return word
    if '"' in word or "\n" in word or "\x00" in word:
        raise CoreError("not fit for a kernel command line: {0!r}".format(word[:80]))
    name, equals, value = word.partition("=")
    if equals and name and split(name) == [name]:
        return '{0}="{1}"'.format(name, value)
    return '"{0}"'.format(word)

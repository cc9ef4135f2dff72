# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Assignments in files that a shell sources, read and edited without a shell.

/etc/default/grub and /etc/default/grub.d/*.cfg are sourced by grub-mkconfig,
/etc/default/kdump-tools by its init script *and* read by systemd as an
EnvironmentFile=. So a value is read the way dash would set it, and written in
the one form that dash and systemd read alike. What only running the file could
tell (a command substitution, an assignment under an `if`) is None with a reason.
"""

from __future__ import annotations

import re
import typing as t

from .errors import CoreError, ParseError

__all__ = ["Assignment", "Problem", "ShellConf", "edit", "parse_environment_file", "parse_shellconf", "quote"]

#: A configuration file of a Debian package is some kilobytes.
TEXT_LIMIT = 512 * 1024
#: What expansion may make of one value; `A=$A$A` doubles with every line.
VALUE_LIMIT = 64 * 1024

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_ASSIGN = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(\+?)=", re.S)
_BLANK = re.compile(r"(?:[ \t]|\\\n)+")
_COMMENT = re.compile(r"#[^\n]*")
_OPERATOR = re.compile(r"&&|\|\||;;|<<-?|>>|<&|>&|[;&|()<>]")
_PLAIN = re.compile(r"[^\s'\"\\$`;&|()<>]+|[\r\f\v]")
_VARIABLE = re.compile(r"\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)(?:(:?[-+])([^}'\"\\`{]*))?\})")
#: Set by the shell or by whoever calls it, so an assignment that uses one cannot be foretold.
_FOREIGN = frozenset(("HOME", "IFS", "LINENO", "OLDPWD", "OPTARG", "OPTIND", "PATH", "PPID", "PWD", "SHELL", "USER"))

_OPENS = frozenset(("if", "case", "for", "while", "until", "{"))
_CLOSES = frozenset(("fi", "esac", "done", "}"))
_BETWEEN = frozenset(("then", "else", "elif", "do", "in", "!"))


class Assignment(t.NamedTuple):
    """One `KEY=value` of the file, in the order in which the shell meets it."""

    key: str
    value: str | None  #: None where it cannot be foretold
    line: int  #: first line, counted from 1
    reason: str  #: why `value` is None; empty otherwise
    start: int  #: offsets of the whole command, so that an edit can replace it
    end: int
    sole: bool  #: the command is this one assignment at the top level, and nothing else


class Problem(t.NamedTuple):
    """A line that is more than an assignment."""

    line: int
    reason: str
    fatal: bool  #: the shell itself would stop here: nothing after it was read


class ShellConf(t.NamedTuple):
    """What a file sets."""

    assignments: tuple[Assignment, ...]
    problems: tuple[Problem, ...]
    values: dict[str, str | None]  #: what holds at the end; None as in `Assignment`


class _UnforeseenError(Exception):
    """The value depends on something that this module does not run."""


class _BrokenError(Exception):
    """The shell would report a syntax error. Carries the offset."""

    def __init__(self, offset: int, reason: str) -> None:
        super().__init__(reason)
        self.offset = offset
        self.reason = reason


def parse_shellconf(text: str, environment: t.Mapping[str, str | None] | None = None) -> ShellConf:
    """Read what `text` would set, if a POSIX shell sourced it.

    `environment` holds what was set before (an earlier file of the same run);
    the result's `values` contain it too, so that files can be chained.

    >>> parse_shellconf('A="x y"\\nB="$A z" # note\\n').values
    {'A': 'x y', 'B': 'x y z'}
    """
    _check_size(text)
    reader = _Reader(text, environment or {})
    try:
        reader.run()
    except _BrokenError as stop:
        reader.problem(stop.offset, stop.reason, fatal=True)
        reader.forget_open_block()
    return ShellConf(tuple(reader.assignments), tuple(reader.problems), reader.values)


def quote(value: str) -> str:
    """A value as dash and systemd's EnvironmentFile= both read it back.

    Both know `'...'` literally, and inside `"..."` both take a backslash as an
    escape before exactly `"`, `\\`, the backquote and `$` (systemd.exec(5),
    dash(1)). Raises CoreError on a control character: systemd drops such lines.

    >>> quote("crashkernel=256M quiet"), quote('say "hi"')
    ('"crashkernel=256M quiet"', '\\'say "hi"\\'')
    """
    if re.search("[\x00-\x08\x0a-\x1f\x7f]", value):
        raise CoreError("a value with a control character cannot be written to a shell file: {0!r}".format(value[:80]))
    if not re.search(r'["\\`$]', value):
        return '"{0}"'.format(value)
    if "'" not in value:
        return "'{0}'".format(value)
    return '"{0}"'.format(re.sub(r'(["\\`$])', r"\\\1", value))


def edit(text: str, changes: t.Mapping[str, str | None]) -> str:
    """A text in which each key of `changes` has the given value; None takes the assignment out of force.

    The last assignment in force is replaced in place; without one, a commented
    `#KEY=...` is brought into force; without that, a line is added at the end.
    Everything else stays byte for byte, and a text that already says the same to
    dash and to systemd is returned as it is. Raises ParseError when the file
    cannot be read far enough for the result to be known.
    """
    for key in changes:
        if not _NAME.match(key):
            raise CoreError("not a name of a shell variable: {0!r}".format(key[:80]))
    for key, value in changes.items():
        text = _drop(text, key) if value is None else _put(text, key, value)
    return text


def parse_environment_file(text: str) -> dict[str, str]:
    """The same text as systemd reads it for EnvironmentFile= (systemd.exec(5)): no expansion, no trailing comments.

    >>> parse_environment_file("A=b # c\\nB=\\"$A\\"\\n; note\\n")
    {'A': 'b # c', 'B': '$A'}
    """
    _check_size(text)
    values: dict[str, str] = {}
    offset = 0
    while offset < len(text):
        offset, name, value = _systemd_line(text, offset)
        if _NAME.match(name):
            values[name] = value
    return values


def _check_size(text: str) -> None:
    if len(text) > TEXT_LIMIT:
        raise ParseError("a shell configuration file of {0} characters; {1} at most".format(len(text), TEXT_LIMIT))


# --- editing ---------------------------------------------------------------------------------------------------------


def _read_for_edit(text: str, key: str) -> ShellConf:
    conf = parse_shellconf(text)
    for problem in conf.problems:
        if problem.fatal:
            raise ParseError("line {0}: {1}; {2} cannot be set in this file".format(problem.line, problem.reason, key))
    return conf


def _put(text: str, key: str, value: str) -> str:
    conf = _read_for_edit(text, key)
    if conf.values.get(key) == value and parse_environment_file(text).get(key) == value:
        return text
    line = "{0}={1}".format(key, quote(value))
    mine = [a for a in conf.assignments if a.key == key]
    if mine and mine[-1].sole:
        changed = _replace_command(text, mine[-1].start, mine[-1].end, line)
    elif mine:
        changed = _append(text, line)
    else:
        changed = _uncomment(text, key, line) or _append(text, line)
    for candidate in (changed, _append(changed, line)):
        if parse_shellconf(candidate).values.get(key) == value and parse_environment_file(candidate).get(key) == value:
            return candidate
    raise ParseError("{0} cannot be set in this file: what follows the line would undo it".format(key))


def _drop(text: str, key: str) -> str:
    while True:
        conf = _read_for_edit(text, key)
        mine = [a for a in conf.assignments if a.key == key]
        if not mine:
            return text
        last = mine[-1]
        if not last.sole or "\n" in text[last.start : last.end].replace("\\\n", ""):
            raise ParseError("line {0} sets {1} in a way that cannot be taken out safely".format(last.line, key))
        lines = text[last.start : last.end].split("\n")
        text = text[: last.start] + "\n".join("#" + line for line in lines) + text[last.end :]


def _replace_command(text: str, start: int, end: int, line: str) -> str:
    """Put `line` there; a comment behind the old one moves above, since systemd would read it as part of the value."""
    stop = text.find("\n", end)
    stop = len(text) if stop < 0 else stop
    rest = text[end:stop].strip(" \t;\r")
    above = rest + "\n" if rest.startswith("#") else ""
    begin = text.rfind("\n", 0, start) + 1
    return text[:begin] + above + line + text[stop:]


def _append(text: str, line: str) -> str:
    glue = "" if not text or text.endswith("\n") else "\n"
    return text + glue + line + "\n"


def _uncomment(text: str, key: str, line: str) -> str | None:
    """Replace the last `#KEY=one word` that stands at the top level; prose that merely starts so is left alone."""
    reader = _Reader(text, {})
    reader.run()
    for start, end in reversed(reader.comments):
        sample = text[start:end].lstrip("#").strip()
        if not sample.startswith(key + "=") or (start and text[start - 1] != "\n"):
            continue
        found = parse_shellconf(sample)
        if len(found.assignments) == 1 and found.assignments[0].sole and not found.problems:
            return text[:start] + line + text[end:]
    return None


# --- reading like dash -----------------------------------------------------------------------------------------------


class _Reader:
    """One pass over a text, command by command."""

    def __init__(self, text: str, environment: t.Mapping[str, str | None]) -> None:
        self.text = text
        self.offset = 0
        self.values: dict[str, str | None] = dict(environment)
        self.assignments: list[Assignment] = []
        self.problems: list[Problem] = []
        self.comments: list[tuple[int, int]] = []
        self.depth = 0
        self.chained = False  # the command follows `&&` or `||`
        self._line_at = (0, 1)

    def run(self) -> None:
        while self.offset < len(self.text):
            start = self.offset
            words = self._command()
            ending = self._ending()
            if words:
                self._judge(words, start, ending)
            self.chained = ending in ("&&", "||", "|") or (self.chained and not words)
        if self.depth > 0:
            raise _BrokenError(len(self.text), "a block is never closed")

    def problem(self, offset: int, reason: str, fatal: bool = False) -> None:
        line = self._line(offset)
        if not self.problems or self.problems[-1].line != line:
            self.problems.append(Problem(line, reason, fatal))
        elif fatal:
            self.problems[-1] = Problem(line, reason, fatal)

    def forget_open_block(self) -> None:
        """The shell runs nothing of a block with a syntax error; its assignments are unknown already."""
        self.depth = 0

    def _line(self, offset: int) -> int:
        seen, line = self._line_at
        if offset < seen:
            return self.text.count("\n", 0, offset) + 1
        line += self.text.count("\n", seen, offset)
        self._line_at = (offset, line)
        return line

    def _command(self) -> list[tuple[int, int]]:
        """Spans of the words up to the next newline or operator; comments are noted on the way."""
        words: list[tuple[int, int]] = []
        while self.offset < len(self.text):
            blank = _BLANK.match(self.text, self.offset)
            if blank:
                self.offset = blank.end()
                continue
            sign = self.text[self.offset]
            if sign == "#":
                self._comment()
            elif sign == "\n" or _OPERATOR.match(self.text, self.offset):
                break
            else:
                end = _word_end(self.text, self.offset)
                words.append((self.offset, end))
                self.offset = end
        return words

    def _comment(self) -> None:
        match = _COMMENT.match(self.text, self.offset)
        if match:
            if self.depth == 0:
                self.comments.append(match.span())
            self.offset = match.end()

    def _ending(self) -> str:
        """Step over what ended the command; redirections and here-documents are refused as a whole."""
        match = _OPERATOR.match(self.text, self.offset)
        if not match:
            self.offset += 1  # the newline, or past the end
            return "\n"
        sign = match.group()
        if sign.startswith("<<"):
            raise _BrokenError(self.offset, "a here-document: the rest of the file is not read")
        if sign == "(":
            self.depth += 1
        elif sign == ")" and self.depth > 0:
            self.depth -= 1
        self.offset = match.end()
        return sign

    def _judge(self, words: list[tuple[int, int]], start: int, ending: str) -> None:
        texts = [self.text[a:b] for a, b in words]
        while texts and texts[0] in _BETWEEN:
            texts, words = texts[1:], words[1:]
        if not texts:
            return
        if texts[0] in _OPENS:
            self.depth += 1
            self.problem(words[0][0], "a block of commands: what it sets is not known")
        elif texts[0] in _CLOSES:
            self.depth = max(0, self.depth - 1)
        elif texts[0] == "unset" and not self._conditional(ending):
            for name in texts[1:]:
                self.values.pop(name, None)
        else:
            self._assign(texts, words, ending)

    def _conditional(self, ending: str) -> bool:
        return self.depth > 0 or self.chained or ending in ("|", "&", "(")

    def _assign(self, texts: list[str], words: list[tuple[int, int]], ending: str) -> None:
        exported = texts[0] in ("export", "readonly")
        if exported:
            texts, words = texts[1:], words[1:]
        if not all(_ASSIGN.match(word) or (exported and _NAME.match(word)) for word in texts):
            self.problem(words[0][0], "a command, not an assignment: it is not run")
            return
        if ending in ("<", ">", ">>", "<&", ">&"):
            self.problem(words[0][0], "a redirection, not an assignment")
            return
        sole = len(texts) == 1 and not exported and not self._conditional(ending) and ending in ("\n", ";")
        for word, span in zip(texts, words):
            if _ASSIGN.match(word):
                self._set(word, span, ending, sole)

    def _set(self, word: str, span: tuple[int, int], ending: str, sole: bool) -> None:
        match = t.cast("re.Match[str]", _ASSIGN.match(word))
        key, plus = match.groups()
        value: str | None = None
        reason = ""
        if plus:
            reason = "`+=` is not known to dash"
        elif self._conditional(ending):
            reason = "it depends on a condition or a command"
        else:
            try:
                value = _expand(word[match.end() :], self.values)
            except _UnforeseenError as why:
                reason = str(why)
        if reason:
            self.problem(span[0], "{0}: {1}".format(key, reason))
        elif value is not None and value.endswith("\r"):
            self.problem(span[0], "{0}: a carriage return at the end of the line belongs to the value".format(key))
        if not plus:  # dash takes `A+=b` for the name of a command, so nothing is set
            self.values[key] = value
        self.assignments.append(Assignment(key, value, self._line(span[0]), reason, span[0], span[1], sole))


def _word_end(text: str, offset: int) -> int:
    """Offset behind the shell word that starts at `offset`."""
    while offset < len(text):
        match = _PLAIN.match(text, offset)
        if match:
            offset = match.end()
            continue
        sign = text[offset]
        if sign == "'":
            offset = _find(text, "'", offset + 1, "a single quote is never closed") + 1
        elif sign == '"':
            offset = _double_end(text, offset)
        elif sign == "\\":
            offset += 2
        elif sign in "$`":
            offset = _dollar_end(text, offset)
        else:
            break
    return min(offset, len(text))


def _find(text: str, sign: str, offset: int, reason: str) -> int:
    found = text.find(sign, offset)
    if found < 0:
        raise _BrokenError(offset - 1, reason)
    return found


def _double_end(text: str, start: int) -> int:
    offset = start + 1
    while offset < len(text):
        sign = text[offset]
        if sign == '"':
            return offset + 1
        if sign == "\\":
            offset += 2
        elif sign in "$`":
            offset = _dollar_end(text, offset)
        else:
            stop = re.compile(r'["\\$`]').search(text, offset)
            offset = stop.start() if stop else len(text)
    raise _BrokenError(start, "a double quote is never closed")


def _dollar_end(text: str, start: int) -> int:
    """Offset behind `$name`, `${...}`, `$(...)` or a backquoted command. Nesting is counted, not understood."""
    if text[start] == "`":
        end = re.compile(r"(?:[^`\\]|\\.)*`", re.S).match(text, start + 1)
        if not end:
            raise _BrokenError(start, "a backquote is never closed")
        return end.end()
    pair = text[start + 1 : start + 2]
    if pair not in ("{", "("):
        return start + 1
    closing = "}" if pair == "{" else ")"
    depth = 0
    for match in re.compile(r"\\.|'[^']*'|[(){}]", re.S).finditer(text, start + 1):
        sign = match.group()
        depth += 1 if sign == pair else -1 if sign == closing else 0
        if depth == 0:
            return match.end()
    raise _BrokenError(start, "`${0}` is never closed".format(pair))


def _expand(word: str, values: t.Mapping[str, str | None]) -> str:
    """The value of one word: quotes taken away, variables put in. An unset variable is empty, as in sh."""
    if word.startswith("~"):
        raise _UnforeseenError("it depends on the environment (~)")
    out: list[str] = []
    size = 0
    for literal, quoted in _segments(word):
        piece = literal if quoted == "'" else _expand_variables(literal, values, quoted == '"')
        size += len(piece)
        if size > VALUE_LIMIT:
            raise _UnforeseenError("the value grows beyond {0} characters".format(VALUE_LIMIT))
        out.append(piece)
    return "".join(out)


def _segments(word: str) -> t.Iterator[tuple[str, str]]:
    """Pieces of a word with the kind of quotes around each: `'`, `"` or nothing."""
    offset = 0
    while offset < len(word):
        sign = word[offset]
        if sign == "'":
            end = word.index("'", offset + 1)
            yield word[offset + 1 : end], "'"
            offset = end + 1
        elif sign == '"':
            end = _double_end(word, offset)
            yield word[offset + 1 : end - 1], '"'
            offset = end
        else:
            end = offset
            while end < len(word) and word[end] not in "'\"":
                end = end + 2 if word[end] == "\\" else _dollar_end(word, end) if word[end] in "$`" else end + 1
            yield word[offset:end], ""
            offset = end


_TOKEN = re.compile(r"\\(.?)|([$`])|[^\\$`]+", re.S)


def _expand_variables(text: str, values: t.Mapping[str, str | None], in_quotes: bool) -> str:
    out: list[str] = []
    offset = 0
    while offset < len(text):
        token = t.cast("re.Match[str]", _TOKEN.match(text, offset))
        offset = token.end()
        if token.group(2):
            piece, offset = _variable(text, token.start(), values)
        elif token.group(1) is not None:
            piece = _unescape(token.group(1), in_quotes)
        else:
            piece = token.group()
        out.append(piece)
    return "".join(out)


def _unescape(sign: str, in_quotes: bool) -> str:
    if sign == "\n":
        return ""
    return "\\" + sign if in_quotes and sign not in '"\\$`' else sign


def _variable(text: str, offset: int, values: t.Mapping[str, str | None]) -> tuple[str, int]:
    match = _VARIABLE.match(text, offset)
    # sh takes line continuations away before it looks where a name begins and ends.
    if text.startswith("\\\n", match.end() if match and match.group(1) else offset + 1):
        raise _UnforeseenError("a line continuation stands inside an expansion")
    if not match:
        following = text[offset + 1 : offset + 2]
        if text[offset] == "$" and (not following or following not in "({0123456789@*#?$!-"):
            return "$", offset + 1
        raise _UnforeseenError("it needs a command or an expansion that is not run")
    name = match.group(1) or match.group(2)
    if name in _FOREIGN:
        raise _UnforeseenError("it depends on the environment (${0})".format(name))
    value = values.get(name, "")
    if value is None:
        raise _UnforeseenError("it depends on {0}, which is not known".format(name))
    operator, word = match.group(3), match.group(4)
    if operator:
        there = name in values and (value != "" or operator[0] != ":")
        chosen = operator[-1] == "+"
        if there == chosen:
            value = _expand_variables(word, values, True)
        elif chosen:
            value = ""
    return value, match.end()


# --- reading like systemd --------------------------------------------------------------------------------------------

_QUOTED = re.compile(r"[ \t]*(?:'([^']*)(?:'|\Z)|\"((?:[^\"\\]|\\.)*)(?:\"|\Z))", re.S)
_BARE = re.compile(r"[ \t]*((?:[^\\\n\r]|\\.)*)", re.S)


def _systemd_line(text: str, offset: int) -> tuple[int, str, str]:
    """One line from `offset`: (offset of the next, name, value); the name is empty for a comment or garbage."""
    start = re.compile(r"[ \t\n\r]*").match(text, offset)
    offset = start.end() if start else offset
    if text[offset : offset + 1] in ("#", ";", ""):
        return _systemd_comment_end(text, offset), "", ""
    name = re.compile(r"[^=\n\r]*").match(text, offset)
    offset = name.end() if name else offset
    if text[offset : offset + 1] != "=":
        return offset + 1, "", ""
    key = name.group().rstrip(" \t") if name else ""
    offset, value = _systemd_value(text, offset + 1)
    return offset, key, value


def _systemd_comment_end(text: str, offset: int) -> int:
    """A backslash at the end of a comment continues it there; in sh it does not."""
    match = re.compile(r"(?:\\.|[^\\\n\r])*", re.S).match(text, offset)
    return (match.end() if match else offset) + 1


def _systemd_value(text: str, offset: int) -> tuple[int, str]:
    """Quoted pieces first, glued together; from the first bare character on, quotes are ordinary signs."""
    out: list[str] = []
    while True:
        match = _QUOTED.match(text, offset)
        if not match:
            break
        offset = match.end()
        out.append(match[1] if match[1] is not None else re.sub(r"\\(.)", _systemd_escape, match[2], flags=re.S))
    bare = _BARE.match(text, offset)
    if bare:
        offset = bare.end()
        out.append(re.sub(r"\\(.)", lambda m: "" if m[1] in "\n\r" else m[1], bare[1].rstrip(" \t"), flags=re.S))
    return offset + 1, "".join(out)


def _systemd_escape(match: re.Match[str]) -> str:
    sign = match[1]
    if sign in "\n\r":
        return ""
    return sign if sign in '"\\`$' else "\\" + sign

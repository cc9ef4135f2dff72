# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""GRUB's menu as grub.cfg describes it, its environment block, and the entry that it will boot.

The script is read, never run. Its words are those of GRUB's own shell
(grub-core/script/yylex.l): quotes as in sh, but braces end a word. Conditions
are decided where the environment block decides them and left open elsewhere.
How the default is chosen is grub-core/normal/menu.c: get_entry_number() and
grub_menu_execute_entry().
"""

from __future__ import annotations

import re
import typing as t

from .errors import ParseError
from .text import clean

__all__ = ["GrubMenu", "MenuEntry", "NextBoot", "next_boot", "parse_grub_cfg", "parse_grubenv", "spec_of"]

#: grub-mkconfig writes some 10 KiB and 2 KiB more per kernel.
TEXT_LIMIT = 1024 * 1024
ENTRY_LIMIT = 4096
DEPTH_LIMIT = 16
VALUE_LIMIT = 4096
_LINE_LIMIT = 16 * 1024
_BRANCH_LIMIT = 64
_INT_MAX = 2**31 - 1

ENVBLK_SIGNATURE = b"# GRUB Environment Block\n"
#: GRUB writes 1024 bytes; it reads any size.
ENVBLK_LIMIT = 64 * 1024


class MenuEntry(t.NamedTuple):
    """One line of the menu or of a submenu, in the order of the file."""

    title: str
    id: str  #: the title where the entry has no --id, as in GRUB
    position: tuple[
        int, ...
    ]  #: index in each menu from the top, (1, 2) for the third line of the second line's submenu
    submenu: bool
    conditional: bool  #: stands under an `if` that the file alone does not decide
    section: str  #: the script of /etc/grub.d that wrote it, such as "10_linux"; empty when unmarked
    loader: str  #: "linux", "multiboot", "chainloader", or empty
    kernel: str  #: path given to `linux` (to the kernel's module under Xen), on the filesystem GRUB had as root
    cmdline: str  #: what follows the path
    initrds: tuple[str, ...]
    line: int  #: where it starts, counted from 1


class GrubMenu(t.NamedTuple):
    """A whole grub.cfg."""

    entries: tuple[MenuEntry, ...]
    commands: tuple[Command, ...]  #: what runs before the menu shows, in order
    sources: tuple[str, ...]  #: files that it takes in and that may hold more entries


class Command(t.NamedTuple):
    """A command at the top of the script: its words, and the conditions around it."""

    words: tuple[str, ...]
    conditions: tuple[Condition, ...]  #: from the outside in


class Condition(t.NamedTuple):
    """Where in an `if` a command stands: in the branch of the last of these tests, after all others failed."""

    number: int  #: of the `if`, unique in the file
    tests: tuple[tuple[str, ...], ...]  #: the words of each test; empty for `else`


class NextBoot(t.NamedTuple):
    """What the next boot takes, if nobody touches the keyboard."""

    entry: MenuEntry | None
    default: str | None  #: GRUB's variable `default`
    once: bool  #: by next_entry (grub-reboot): for one boot alone, if GRUB can write its block (G35)
    reason: str  #: how it was found, or why it was not


# --- the environment block -------------------------------------------------------------------------------------------


def parse_grubenv(data: bytes) -> dict[str, str]:
    """Variables of /boot/grub/grubenv (grub-core/lib/envblk.c). Raises ParseError on anything else.

    >>> parse_grubenv(b"# GRUB Environment Block\\nsaved_entry=a>b\\n####")
    {'saved_entry': 'a>b'}
    """
    if not data.startswith(ENVBLK_SIGNATURE):
        raise ParseError("not a GRUB environment block: it starts with {0!r}".format(data[:24]))
    if len(data) > ENVBLK_LIMIT:
        raise ParseError("a GRUB environment block of more than {0} bytes".format(ENVBLK_LIMIT))
    text = data[len(ENVBLK_SIGNATURE) :].decode("utf-8", "replace")
    values: dict[str, str] = {}
    # A backslash takes the next character as it is, a newline too.
    for match in re.finditer(r"((?:\\.|[^\\\n])*)\n", text, re.S):
        name, equals, value = match.group(1).partition("=")
        if equals and not name.startswith("#"):
            values[name] = re.sub(r"\\(.)", r"\1", value, flags=re.S)
    return values


# --- the script ------------------------------------------------------------------------------------------------------

_TOKEN = re.compile(
    r"""(?P<blank>[ \t\r]+|\\\n)
    |(?P<comment>\#[^\n]*)
    |(?P<end>\n|;)
    |(?P<brace>[{}])
    |(?P<operator>[|&<>]+)
    |(?P<word>(?:\\.|'[^']*'|"(?:[^"\\]|\\.)*"|\$\{[^}\n]{0,64}\}|\$|[^\s{}|&<>;$'"\\])+)""",
    re.X | re.S,
)
_PIECE = re.compile(r"""\\(?P<escape>.)|'(?P<single>[^']*)'|"(?P<double>(?:[^"\\]|\\.)*)"|(?P<plain>[^\\'"]+)""", re.S)
_SECTION = re.compile(r"### (BEGIN|END) /etc/grub\.d/(\S+) ###")

_LOADERS = {
    "linux": "linux",
    "linux16": "linux",
    "linuxefi": "linux",
    "multiboot": "multiboot",
    "multiboot2": "multiboot",
    "chainloader": "chainloader",
}


def parse_grub_cfg(text: str) -> GrubMenu:
    """The menu of a grub.cfg. Raises ParseError where the script could not be GRUB's either."""
    if len(text) > TEXT_LIMIT:
        raise ParseError("a grub.cfg of {0} characters; {1} at most".format(len(text), TEXT_LIMIT))
    if "\x00" in text:
        raise ParseError("a grub.cfg with NUL bytes")
    reader = _Reader(text)
    reader.run()
    return GrubMenu(tuple(reader.entries), tuple(reader.commands), tuple(reader.sources))


class _Block:
    """One open brace, or one open `if`."""

    def __init__(self, kind: str, line: int) -> None:
        self.kind = kind  # "menuentry", "submenu", "function", "if", "loop" or "group"
        self.line = line
        self.count = 0  # entries so far, for a submenu
        self.number = 0  # of the `if`
        self.tests: tuple[tuple[str, ...], ...] = ()  # of this branch and those before it


class _Reader:
    """One pass over the tokens, one command at a time, with a stack of what is open."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.entries: list[MenuEntry] = []
        self.commands: list[Command] = []
        self.sources: list[str] = []
        self.section = ""
        self.line = 1
        self.top_count = 0
        self.stack: list[_Block] = []
        self.open_entries: list[int] = []  # indexes into `entries`, the submenus around and the entry itself
        self.words: list[str] = []
        self.ifs = 0

    def run(self) -> None:
        offset = 0
        while offset < len(self.text):
            match = _TOKEN.match(self.text, offset)
            if not match:
                raise ParseError("grub.cfg line {0}: a quote that is never closed".format(self.line))
            start_line, kind, word = self.line, match.lastgroup, match.group()
            self.line += word.count("\n")
            offset = match.end()
            if kind == "word":
                self.words.append(word)
            elif kind == "comment":
                self._comment(word)
            elif kind == "brace":
                self._brace(word, start_line)
            elif kind != "blank":
                self._command(start_line)
        self._command(self.line)
        if self.stack:
            block = self.stack[-1]
            raise ParseError("grub.cfg line {0}: this {1} is never closed".format(block.line, block.kind))

    def _comment(self, token: str) -> None:
        match = _SECTION.match(token)
        if match and not self.stack:
            self.section = clean(match.group(2), 64) if match.group(1) == "BEGIN" else ""

    def _push(self, block: _Block) -> None:
        if len(self.stack) >= DEPTH_LIMIT:
            raise ParseError("grub.cfg line {0}: blocks nested deeper than {1}".format(block.line, DEPTH_LIMIT))
        self.stack.append(block)

    def _brace(self, brace: str, line: int) -> None:
        if brace == "{":
            self._open(line)
            return
        self._command(line)
        if not self.stack or self.stack[-1].kind in ("if", "loop"):
            raise ParseError("grub.cfg line {0}: a closing brace without an opening one".format(line))
        if self.stack.pop().kind in ("menuentry", "submenu"):
            self.open_entries.pop()

    def _open(self, line: int) -> None:
        words, self.words = self.words, []
        while words and words[0] in ("then", "else", "do"):
            words = words[1:]
        kind = words[0] if words and words[0] in ("menuentry", "submenu", "function") else "group"
        if kind in ("menuentry", "submenu"):
            self._open_entry(kind, words[1:], line)
        self._push(_Block(kind, line))

    def _open_entry(self, kind: str, words: list[str], line: int) -> None:
        inside = [block for block in self.stack if block.kind in ("menuentry", "submenu", "function")]
        if any(block.kind != "submenu" for block in inside):
            # Made when the function or the entry runs; what it would be then is not known.
            self.open_entries.append(-1)
            return
        if len(self.entries) >= ENTRY_LIMIT:
            raise ParseError("grub.cfg line {0}: more than {1} entries".format(line, ENTRY_LIMIT))
        title, entry_id = _title_and_id(words)
        parent = self.entries[self.open_entries[-1]] if self.open_entries else None
        index = inside[-1].count if inside else self.top_count
        if inside:
            inside[-1].count += 1
        else:
            self.top_count += 1
        self.open_entries.append(len(self.entries))
        self.entries.append(
            MenuEntry(
                title=title,
                id=entry_id or title,
                position=(*(parent.position if parent else ()), index),
                submenu=kind == "submenu",
                conditional=any(block.kind in ("if", "loop") for block in self.stack),
                section=self.section,
                loader="",
                kernel="",
                cmdline="",
                initrds=(),
                line=line,
            )
        )

    def _command(self, line: int) -> None:
        words, self.words = self.words, []
        while words and words[0] in ("then", "do", "else", "elif"):
            if words[0] in ("else", "elif"):
                self._branch(words[0], words[1:], line)
                words = words[1:] if words[0] == "else" else []
            else:
                words = words[1:]
        if not words:
            return
        if words[0] in ("if", "while", "until", "for"):
            self._open_condition(words, line)
        elif words[0] in ("fi", "done"):
            self._close_condition(words[0], line)
        elif self.open_entries:
            self._entry_command(words)
        elif not any(block.kind == "function" for block in self.stack):
            self._top_command(words)

    def _open_condition(self, words: list[str], line: int) -> None:
        if words[0] == "for" and len(words) > 1 and not self.open_entries:
            self.commands.append(Command(("for", words[1]), self._conditions()))
        block = _Block("if" if words[0] == "if" else "loop", line)
        self.ifs += 1
        block.number = self.ifs
        block.tests = (tuple(words[1:]) if words[0] == "if" else ("loop",),)
        self._push(block)

    def _branch(self, word: str, test: list[str], line: int) -> None:
        if not self.stack or self.stack[-1].kind != "if":
            raise ParseError("grub.cfg line {0}: {1} without if".format(line, word))
        if len(self.stack[-1].tests) >= _BRANCH_LIMIT:
            raise ParseError("grub.cfg line {0}: more than {1} branches".format(line, _BRANCH_LIMIT))
        self.stack[-1].tests += (tuple(test) if word == "elif" else (),)

    def _close_condition(self, word: str, line: int) -> None:
        if not self.stack or self.stack[-1].kind != ("if" if word == "fi" else "loop"):
            raise ParseError("grub.cfg line {0}: {1} closes nothing".format(line, word))
        self.stack.pop()

    def _top_command(self, words: list[str]) -> None:
        name = words[0]
        if name in ("source", ".", "configfile") and len(words) > 1:
            self.sources.append(clean(_plain(words[1])))
        if name in ("set", "unset", "load_env") or _is_assignment(name):
            self.commands.append(Command(tuple(words), self._conditions()))

    def _conditions(self) -> tuple[Condition, ...]:
        return tuple(Condition(b.number, b.tests) for b in self.stack if b.kind in ("if", "loop"))

    def _entry_command(self, words: list[str]) -> None:
        index = self.open_entries[-1]
        if index < 0 or self.entries[index].submenu:
            return
        entry = self.entries[index]
        name, arguments = words[0], [_plain(word) for word in words[1:]]
        if name in _LOADERS and arguments:
            kernel = arguments[0] if _LOADERS[name] == "linux" else ""
            entry = entry._replace(loader=_LOADERS[name], kernel=kernel, cmdline=_join(arguments[1:]) if kernel else "")
        elif name in ("module", "module2") and entry.loader == "multiboot" and arguments:
            entry = _xen_module(entry, [word for word in arguments if word != "--nounzip"])
        elif name in ("initrd", "initrd16", "initrdefi"):
            entry = entry._replace(initrds=tuple(clean(word) for word in arguments[:16]))
        self.entries[index] = entry


def _xen_module(entry: MenuEntry, arguments: list[str]) -> MenuEntry:
    """20_linux_xen gives the kernel as the first module with "placeholder" as its name, the initrd as the second."""
    if not arguments:
        return entry
    if not entry.kernel:
        words = arguments[1:]
        return entry._replace(kernel=arguments[0], cmdline=_join(words[1:] if words[:1] == ["placeholder"] else words))
    return entry._replace(initrds=(*entry.initrds, clean(arguments[0]))[:16])


def _join(words: list[str]) -> str:
    """As grub-core/lib/cmdline.c hands them to the kernel: quotes around a word with a blank."""
    line = " ".join('"{0}"'.format(word) if " " in word else word for word in words)
    return clean(line, _LINE_LIMIT)


def _is_assignment(word: str) -> bool:
    return re.match(r"[A-Za-z_][A-Za-z0-9_]*=", word) is not None


def _plain(word: str) -> str:
    """A word without its quotes; variables stay as they are written."""
    out: list[str] = []
    for match in _PIECE.finditer(word):
        double = match.group("double")
        if double is not None:
            out.append(re.sub(r"\\([\"\\$\n])", r"\1", double))
        else:
            out.append(match.group("escape") or match.group("single") or match.group("plain") or "")
    return "".join(out)


def _title_and_id(words: list[str]) -> tuple[str, str]:
    """`menuentry` takes options before and after the title: --class, --users, --hotkey, --id and --unrestricted."""
    title: str | None = None
    entry_id = ""
    takes_value = ""
    for word in words:
        plain = _plain(word)
        if takes_value:
            entry_id = plain if takes_value == "id" else entry_id
            takes_value = ""
        elif word.startswith("--id="):
            entry_id = plain.partition("=")[2]
        elif word in ("--id", "$menuentry_id_option", "${menuentry_id_option}"):
            takes_value = "id"
        elif word in ("--class", "--users", "--hotkey", "--source"):
            takes_value = "other"
        elif not word.startswith("--") and title is None:
            title = plain
    return clean(title or "", VALUE_LIMIT), clean(entry_id, VALUE_LIMIT)


# --- the default -----------------------------------------------------------------------------------------------------


def next_boot(menu: GrubMenu, grubenv: t.Mapping[str, str] | None) -> NextBoot:
    """Which entry GRUB boots by itself. `grubenv` is None when there is no readable environment block.

    The answer's `entry` is None wherever it rests on something that the two
    files do not decide; `reason` says on what.
    """
    variables = _Variables(grubenv)
    for command in menu.commands:
        variables.run(command)
    if "default" in variables.unknown:
        return NextBoot(None, None, False, "grub.cfg sets `default` by something that only GRUB can decide")
    default = variables.values.get("default", "")
    once = bool(grubenv and grubenv.get("next_entry")) and default == (grubenv or {}).get("next_entry")
    entry, reason = _choose(menu, default)
    return NextBoot(entry, clean(default), once, reason)


#: Set by GRUB itself, so that being unset in the script says nothing.
_OWN = frozenset(
    ("chosen", "cmdpath", "config_directory", "config_file", "grub_cpu", "grub_platform", "prefix", "root")
)


class _Variables:
    """GRUB's variables after the commands of the script, as far as they can be known."""

    def __init__(self, grubenv: t.Mapping[str, str] | None) -> None:
        self.block = grubenv
        self.values: dict[str, str] = {}
        self.unknown: set[str] = set()
        self._branches: dict[int, list[bool | None]] = {}

    def run(self, command: Command) -> None:
        holds = self._all_hold(command.conditions)
        if holds is False:
            return
        name = command.words[0]
        if name == "load_env":
            self._load(holds)
        elif name == "for":
            self.unknown.add(command.words[1])
        elif name == "unset":
            for word in command.words[1:]:
                self._set(word, "", holds)
        else:
            words = command.words[1:] if name == "set" else command.words[:1]
            for word in words[:1]:
                key, equals, _value = word.partition("=")
                if equals:
                    self._set(key, self._value(word[len(key) + 1 :]), holds)

    def _load(self, holds: bool | None) -> None:
        # `load_env` runs before anything else sets these; without a block there is nothing to load.
        for key, value in (self.block or {}).items():
            self._set(key, value, holds)

    def _set(self, key: str, value: str | None, holds: bool | None) -> None:
        if (
            holds is None
            and self.values.get(key, "") == (value or "")
            and key not in self.unknown
            and value is not None
        ):
            return
        if holds is None or value is None or len(value) > VALUE_LIMIT:
            self.unknown.add(key)
            return
        self.unknown.discard(key)
        self.values[key] = value

    def _value(self, word: str) -> str | None:
        """The word with variables put in; None when one of them is not known."""
        out: list[str] = []
        for match in _PIECE.finditer(word):
            if match.group("single") is not None:
                out.append(match.group("single"))
                continue
            if match.group("escape") is not None:
                out.append(match.group("escape"))
                continue
            piece = self._substitute(match.group("double") if match.group("double") is not None else match.group())
            if piece is None:
                return None
            out.append(piece)
        return "".join(out)

    def _substitute(self, text: str) -> str | None:
        names = [a or b for a, b in re.findall(r"\$(?:\{([^}]{0,64})\}|([A-Za-z_?0-9]\w*))", text)]
        if any(name in self.unknown or not re.match(r"[A-Za-z_]\w*\Z", name) for name in names):
            return None
        if any(name in _OWN or name.startswith(("feature_", "net_")) for name in names if name not in self.values):
            return None
        return re.sub(r"\$(?:\{([^}]{0,64})\}|([A-Za-z_]\w*))", lambda m: self.values.get(m[1] or m[2], ""), text)

    def _all_hold(self, conditions: tuple[Condition, ...]) -> bool | None:
        answers = [self._holds(condition) for condition in conditions]
        return False if False in answers else None if None in answers else True

    def _holds(self, condition: Condition) -> bool | None:
        """Whether the last branch is taken. Each test counts as it was when first met: branches change variables."""
        seen = self._branches.setdefault(condition.number, [])
        for test in condition.tests[len(seen) :]:
            seen.append(self._test(test) if test else True)
        earlier, own = seen[: len(condition.tests) - 1], seen[len(condition.tests) - 1]
        if True in earlier or own is False:
            return False
        return None if None in earlier else own

    def _test(self, words: tuple[str, ...]) -> bool | None:
        """`[ x ]` with the few forms that grub-mkconfig writes about the environment block; None for all others."""
        if len(words) < 3 or words[0] != "[" or words[-1] != "]":
            return None
        inner = words[1:-1]
        if inner == ("-s", "$prefix/grubenv"):
            return self.block is not None
        if len(inner) == 2 and inner[0] in ("-z", "-n"):
            value = self._value(inner[1])
            return None if value is None else (value == "") == (inner[0] == "-z")
        if len(inner) == 3 and inner[1] in ("=", "==", "!="):
            left, right = self._value(inner[0]), self._value(inner[2])
            return None if left is None or right is None else (left == right) == (inner[1] != "!=")
        value = self._value(inner[0]) if len(inner) == 1 else None
        return None if value is None else value != ""


def spec_of(menu: GrubMenu, entry: MenuEntry) -> str:
    """What GRUB_DEFAULT or `grub-reboot` has to be for an entry: its id, behind those of the submenus around it."""
    ids = {e.position: e.id for e in menu.entries}
    steps = [ids[entry.position[: depth + 1]] for depth in range(len(entry.position))]
    return ">".join(step.replace(">", ">>") for step in steps)


def _choose(menu: GrubMenu, default: str) -> tuple[MenuEntry | None, str]:
    """Follow `default` from the menu into its submenus."""
    parent: tuple[int, ...] = ()
    spec: str | None = default
    steps: list[str] = []
    for _level in range(DEPTH_LIMIT):
        level = [e for e in menu.entries if e.position[:-1] == parent]
        if not level:
            return None, "the menu has no entries" if not parent else "the submenu has no entries"
        entry, how = _pick(level, spec or "")
        if entry is None:
            return None, how
        steps.append(how)
        if not entry.submenu:
            return entry, ", then ".join(steps)
        parent = entry.position
        spec = _rest(spec or "")
    return None, "submenus without end"


#: As grub_strtoul() with base 0 reads the start of a text.
_DIGITS = re.compile(r"\s*(?:0[xX]([0-9a-fA-F]+)|0([0-7]*)|([1-9][0-9]*))")


def _pick(level: list[MenuEntry], spec: str) -> tuple[MenuEntry | None, str]:
    """One menu: a number first, else a title or id, else the first entry.

    Digits in front of a name are taken for a number, even if an entry has that very
    name: seen with GRUB 2.06 and 2.12 of Debian 12 and 13.
    """
    digits = _DIGITS.match(spec)
    if digits:
        return _numbered(level, _number(digits))
    first = _first(spec)
    named = next((e for e in level if first and first in (e.title, e.id)), None)
    if named is not None:
        return _unless_conditional(named, "by name {0!r}".format(clean(first, 120)))
    how = "the first entry: nothing else is set" if not spec else "the first entry: none is called {0!r}"
    return _unless_conditional(level[0], how.format(clean(first, 120)))


def _number(digits: re.Match[str]) -> int:
    hexadecimal, octal, decimal = digits.groups()
    if hexadecimal:
        return int(hexadecimal[:32], 16)
    return int(octal[:32] or "0", 8) if decimal is None else int(decimal[:32])


def _numbered(level: list[MenuEntry], number: int) -> tuple[MenuEntry | None, str]:
    if number > _INT_MAX:
        return None, "the number {0} overflows in one kind of GRUB and wraps in another".format(number)
    if number >= len(level):
        return _unless_conditional(level[0], "the first entry: there is no entry {0}".format(number))
    if any(e.conditional for e in level[: number + 1]):
        return None, "entry {0} comes after entries that only GRUB can decide to show".format(number)
    return level[number], "by number {0}".format(number)


def _unless_conditional(entry: MenuEntry, how: str) -> tuple[MenuEntry | None, str]:
    if entry.conditional:
        return None, "{0!r} is shown under a condition that only GRUB can decide".format(clean(entry.title, 120))
    return entry, how


_SPEC = re.compile(r"((?:[^>]|>>)*)(?:>(?!>)(.*))?", re.S)


def _first(spec: str) -> str:
    """The part of `a>b` for this menu; `>>` stands for one sign of a title."""
    match = _SPEC.match(spec)
    return match.group(1).replace(">>", ">") if match else ""


def _rest(spec: str) -> str:
    match = _SPEC.match(spec)
    return (match.group(2) or "") if match else ""

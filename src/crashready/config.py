# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The user's configuration file and environment: what an option is where the command line does not say it.

The command line comes before the environment, that before the file, and that before
the default. The file is ~/.config/crashready/config.toml, or what CRASHREADY_CONFIG
names. A key is an option's long name with `_` for `-`; at the top it holds for every
command that has the option, in a table for that command alone. In the environment
it is CRASHREADY_FACTS_FORKS for one command and CRASHREADY_FORKS for all.

A yes (to a reboot, a panic, a load) is taken from the command line alone: it is for
the one run in which it was given.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import typing as t

__all__ = ["ConfigError", "Settings", "apply", "config_path", "fill", "read_settings"]

_FILE_LIMIT = 256 * 1024
_PREFIX = "CRASHREADY_"
#: Options that only a person may say, each time: consents, and what changes what the command is.
_NEVER = ("yes", "help", "version", "resume", "check", "ask_", "local")
#: Variables with the prefix that are not options: of the start script and of the tests.
_OTHERS = frozenset(("CONFIG", "PYTHON", "CONTAINER_ENGINE"))


class ConfigError(Exception):
    """The file or a variable cannot be used. The text says which, what was seen and what to do."""


class Settings(t.NamedTuple):
    """What the file says: `general` for every command, `commands` by name; `path` for messages."""

    path: str
    general: dict[str, t.Any]
    commands: dict[str, dict[str, t.Any]]


def config_path(environ: t.Mapping[str, str] = os.environ) -> str:
    """Where the file is looked for."""
    if environ.get(_PREFIX + "CONFIG"):
        return environ[_PREFIX + "CONFIG"]
    base = environ.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
    return os.path.join(base, "crashready", "config.toml")


def read_settings(path: str, commands: t.Collection[str], named: bool = False) -> Settings:
    """Read the file; none is the same as an empty one, unless the user `named` it. Raises ConfigError."""
    try:
        with open(path, "rb") as stream:
            data = stream.read(_FILE_LIMIT + 1)
    except FileNotFoundError:
        if named:
            raise ConfigError("CRASHREADY_CONFIG names {0}, which is not there".format(path)) from None
        return Settings(path, {}, {})
    except OSError as exc:
        raise ConfigError("{0} cannot be read: {1}".format(path, exc.strerror)) from exc
    if len(data) > _FILE_LIMIT:
        raise ConfigError("{0} is larger than {1} bytes".format(path, _FILE_LIMIT))
    values = _parse(path, data)
    tables = {name: value for name, value in values.items() if isinstance(value, dict)}
    for name in tables:
        if name not in commands:
            raise ConfigError("{0}: there is no command [{1}]{2}".format(path, name, _near(name, commands)))
    general = {name: value for name, value in values.items() if name not in tables}
    return Settings(path, general, tables)


def _parse(path: str, data: bytes) -> dict[str, t.Any]:
    try:
        import tomllib
    except ImportError:
        # `crashready facts` runs on a Python from 3.9 on; TOML came with 3.11.
        print("crashready: {0} is not read: this Python has no tomllib (3.11)".format(path), file=sys.stderr)
        return {}
    try:
        return tomllib.loads(data.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as exc:
        raise ConfigError("{0} is not TOML: {1}".format(path, exc)) from exc


def _near(name: str, names: t.Iterable[str]) -> str:
    import difflib

    close = difflib.get_close_matches(name, list(names), 1)
    return "; did you mean {0}?".format(close[0]) if close else ""


def apply(
    parser: argparse.ArgumentParser, command: str, settings: Settings, environ: t.Mapping[str, str] = os.environ
) -> dict[str, t.Any]:
    """Make what the file and the environment say the defaults of a command's parser.

    Returns the values of list options, which `fill` puts in after parsing: argparse would add the command line's to a
    default. Raises ConfigError.
    """
    actions = dict(_settable(parser))
    table = settings.commands.get(command, {})
    for name in table:
        if name not in actions:
            raise ConfigError(
                "{0}: [{1}] has no setting {2}{3}".format(settings.path, command, name, _near(name, actions))
            )
    late: dict[str, t.Any] = {}
    for name, action in actions.items():
        found = _found(name, command, settings, table, environ)
        if found is None:
            continue
        value, origin = found
        value = _converted(action, value, origin)
        action.required = False
        if isinstance(action, argparse._AppendAction):
            late[action.dest] = value
            action.default = None
        else:
            action.default = value
    return late


def fill(arguments: argparse.Namespace, late: t.Mapping[str, t.Any]) -> argparse.Namespace:
    """Put list options in that the command line does not have."""
    for dest, value in late.items():
        if not getattr(arguments, dest, None):
            setattr(arguments, dest, value)
    return arguments


def _settable(parser: argparse.ArgumentParser) -> t.Iterator[tuple[str, argparse.Action]]:
    """Options by the name that a setting has: the long one, with `_` for `-`."""
    for action in parser._actions:
        long = [word[2:].replace("-", "_") for word in action.option_strings if word.startswith("--")]
        if long and not long[0].startswith(_NEVER):
            yield long[0], action


def _found(
    name: str, command: str, settings: Settings, table: t.Mapping[str, t.Any], environ: t.Mapping[str, str]
) -> tuple[t.Any, str] | None:
    """The value that counts and where it stands."""
    for variable in ("{0}{1}_{2}".format(_PREFIX, command.upper(), name.upper()), _PREFIX + name.upper()):
        if variable in environ and name.upper() not in _OTHERS:
            return environ[variable], "the variable {0}".format(variable)
    if name in table:
        return table[name], "{0}: [{1}] {2}".format(settings.path, command, name)
    if name in settings.general:
        return settings.general[name], "{0}: {1}".format(settings.path, name)
    return None


def _converted(action: argparse.Action, value: t.Any, origin: str) -> t.Any:
    """A value as the option itself would have it. Raises ConfigError."""
    try:
        if isinstance(action, (argparse._StoreTrueAction, argparse._StoreFalseAction)):
            return _truth(value)
        if isinstance(action, argparse._AppendAction):
            return [_one(action, each) for each in _list(value)]
        return _one(action, value)
    except (ValueError, TypeError, argparse.ArgumentTypeError) as exc:
        raise ConfigError("{0} cannot be {1!r}: {2}".format(origin, value, exc)) from exc


def _truth(value: t.Any) -> bool:
    if isinstance(value, bool):
        return value
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if not isinstance(value, str) or value.lower() not in words:
        raise ValueError("it is true or false")
    return words[value.lower()]


def _list(value: t.Any) -> list[t.Any]:
    """A list as it is, in the environment as JSON; one value stands for a list of it."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        value = json.loads(value)
    return value if isinstance(value, list) else [value]


def _one(action: argparse.Action, value: t.Any) -> t.Any:
    if isinstance(value, (bool, list, dict)) or not isinstance(value, (str, int, float)):
        raise ValueError("one text or number is needed")
    text = str(value)
    convert = action.type if callable(action.type) else str
    result = convert(text)
    if action.choices is not None and result not in action.choices:
        raise ValueError("it is one of {0}".format(", ".join(str(each) for each in action.choices)))
    return result

# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Copies of dumps elsewhere, after the boot that followed: what goes, how the far end is spoken to, when it is tried.

The dump is written locally first (G3): a capture kernel with one CPU, little memory and the NIC that may just have
died is no place for a network. Under its final name at the far end there is a whole file whose SHA-256 was computed
there, or nothing. Everything here is pure; `_change/ship.py` carries it out.
"""

from __future__ import annotations

import json
import re
import shlex
import typing as t

from .errors import CoreError, ParseError
from .routes import checked_interface
from .text import clean, human_bytes

__all__ = [
    "STATE",
    "Answer",
    "Entry",
    "Settings",
    "Target",
    "chosen_files",
    "commit_script",
    "far_end_error",
    "far_name_error",
    "mount_source",
    "next_try_s",
    "parse",
    "parse_answer",
    "parse_state",
    "part_name",
    "probe_script",
    "put_script",
    "render",
    "render_state",
    "settings_from",
    "ssh_options",
]

STATE = "/var/lib/crashready/ship.json"
KEY = "/etc/crashready/ship_key"
KNOWN_HOSTS = "/etc/crashready/ship_known_hosts"
RECIPIENTS = "/etc/crashready/ship_recipients"
SUFFIXES = {"age": ".age", "gpg": ".gpg"}

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")
_USER = re.compile(r"[a-z_][a-z0-9_.-]{0,63}\Z")
_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?|[0-9a-fA-F:]{2,45})\Z")
_FOLDER = re.compile(r"/?[A-Za-z0-9._][A-Za-z0-9._-]*(?:/[A-Za-z0-9._][A-Za-z0-9._-]*)*\Z")
_EXPORT = re.compile(r"[A-Za-z0-9.:\[\]-]{1,255}:/[A-Za-z0-9._/-]{0,255}\Z")
_OPTIONS = re.compile(r"[a-z0-9_=,.]{0,200}\Z")
#: What kdump-tools calls its files; -incomplete is what a failure left, and may be as large as the memory.
_CRASH_FILE = re.compile(r"(?:dmesg|dump|vmcore)\.\d{12}(?:\.(?:gz|bz2|lz4|xz))?(?P<sealed>\.age|\.gpg)?\Z")


class Target(t.NamedTuple):
    """Where copies go. "ssh": host, port, user, folder. "nfs": export, options, folder. "folder": folder, a mount.

    Of a mount `export` is what has to be mounted there, where it is given.
    """

    kind: str
    folder: str
    host: str = ""
    port: int = 22
    user: str = ""
    export: str = ""
    options: str = ""


class Settings(t.NamedTuple):
    """What the program on the host is told."""

    name: str  #: this host's folder at the far end
    crash_folder: str = "/var/crash"
    target: Target | None = None
    rate_bytes_s: int = 0  #: 0: as fast as it goes
    avoid: tuple[str, ...] = ()
    suspect: str = "warn"
    encrypt: str = ""  #: "age", "gpg" or nothing
    keep_plain: bool = True
    retry_s: int = 300
    retry_most_s: int = 21600
    settle_s: int = 30  #: a folder that was written to since is left for the next time
    key: str = KEY
    known_hosts: str = KNOWN_HOSTS
    recipients: str = RECIPIENTS


_NUMBERS = {
    "rate_bytes_s": (0, 1 << 40),
    "retry_s": (1, 86400),
    "retry_most_s": (1, 7 * 86400),
    "settle_s": (0, 3600),
}


def settings_from(given: t.Mapping[str, t.Any]) -> Settings:
    """Check values of a user or of a file: the fields of Settings, `target` as a mapping. Raises CoreError."""
    values = {**Settings("")._asdict(), **given}
    unknown = set(values) - set(Settings._fields)
    if unknown:
        raise CoreError("shipping: unknown settings: {0}".format(", ".join(sorted(unknown))))
    if not _NAME.match(str(values["name"])):
        raise CoreError("shipping: {0!r} is no plain name for this host".format(clean(str(values["name"]), 80)))
    for name, (low, high) in _NUMBERS.items():
        value = values[name]
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise CoreError("shipping: {0} {1!r} is not between {2} and {3}".format(name, value, low, high))
    if values["encrypt"] not in ("", *SUFFIXES) or values["suspect"] not in ("warn", "refuse"):
        raise CoreError("shipping: encrypt is age, gpg or nothing, and suspect is warn or refuse")
    for name in ("crash_folder", "key", "known_hosts", "recipients"):
        if not str(values[name]).startswith("/") or not str(values[name]).isprintable():
            raise CoreError("shipping: {0} {1!r} is no path".format(name, clean(str(values[name]), 80)))
    if not values["keep_plain"] and not values["encrypt"]:
        raise CoreError("shipping: a dump that is not encrypted is kept; remove old ones by kdump_keep_dumps")
    values["target"] = None if values["target"] is None else _target(values["target"])
    values["avoid"] = tuple(checked_interface(str(name), "an interface to avoid") for name in values["avoid"] or ())
    return Settings(**values)


def _target(given: t.Mapping[str, t.Any]) -> Target:
    if set(given) - set(Target._fields) or given.get("kind") not in ("ssh", "nfs", "folder"):
        raise CoreError("shipping: a target is of the kind ssh, nfs or folder")
    target = Target(**given)
    if not _FOLDER.match(target.folder) or ".." in target.folder.split("/"):
        raise CoreError("shipping: {0!r} is no plain folder at the far end".format(clean(target.folder, 80)))
    if target.kind == "ssh":
        _check_ssh(target)
    if target.kind == "nfs" and not (_EXPORT.match(target.export) and _OPTIONS.match(target.options)):
        raise CoreError("shipping: {0!r} is no export such as nas:/crashes".format(clean(target.export, 80)))
    if target.kind == "folder" and not re.match(r"[!-~]{0,255}\Z", target.export):
        raise CoreError("shipping: {0!r} cannot be what is mounted there".format(clean(target.export, 80)))
    if target.kind == "folder" and not target.folder.startswith("/"):
        raise CoreError("shipping: the folder of a mount is a whole path, not {0!r}".format(clean(target.folder, 80)))
    return target


def _check_ssh(target: Target) -> None:
    if not _HOST.match(target.host) or not _USER.match(target.user):
        raise CoreError(
            "shipping: {0!r} is no host, or {1!r} no user".format(clean(target.host, 80), clean(target.user, 80))
        )
    port: object = target.port  # as a file had it
    if isinstance(port, bool) or not isinstance(port, int) or not 0 < port < 65536:
        raise CoreError("shipping: {0!r} is no port".format(clean(str(port), 80)))


def render(settings: Settings) -> str:
    """The file that the program reads; `parse` takes it back."""
    values = settings._asdict()
    values.update(target=settings.target._asdict() if settings.target else None, avoid=list(settings.avoid))
    return json.dumps(values, indent=1, sort_keys=True) + "\n"


def parse(text: str) -> Settings:
    """Read what `render` wrote. Raises CoreError."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise ParseError("the settings of shipping are no JSON") from exc
    if not isinstance(found, dict) or not isinstance(found.get("target"), (dict, type(None))):
        raise ParseError("the settings of shipping are no object")
    return settings_from(found)


# --- what goes --------------------------------------------------------------------------------------------------------


class Entry(t.NamedTuple):
    """A file in a crash directory, as lstat sees it."""

    name: str
    kind: str
    size: int


def chosen_files(entries: t.Iterable[Entry], encrypt: str) -> tuple[list[str], list[str], list[str]]:
    """(to encrypt, to ship, refused with the reason) of one crash directory. The kernel log first: it is small."""
    there = {entry.name: entry for entry in entries}
    plain, sealed, refused = [], [], []
    for name, entry in sorted(there.items(), key=lambda item: (not item[0].startswith("dmesg"), item[0])):
        match = _CRASH_FILE.match(name)
        if match is None:
            if not name.startswith(".crashready-"):
                refused.append("{0}: no file of kdump-tools".format(clean(name, 80) or "(no name)"))
        elif entry.kind != "file":
            refused.append("{0}: a {1}, no file".format(name, entry.kind))
        elif entry.size == 0:
            refused.append("{0}: 0 bytes".format(name))
        elif match.group("sealed"):
            sealed.append(name)
        else:
            plain.append(name)
    if not encrypt:
        return [], plain, refused
    suffix = SUFFIXES[encrypt]
    seals = [name for name in sealed if name.endswith(suffix)]
    missing = [name for name in plain if name + suffix not in there]
    return missing, sorted([*seals, *(name + suffix for name in missing)], key=lambda n: (n[:5] != "dmesg", n)), refused


def next_try_s(settings: Settings, attempts: int, now_s: float) -> float:
    """When to try again after `attempts` failures in a row: twice as long each time, up to a limit."""
    wait = settings.retry_s << min(max(attempts, 1) - 1, 16)
    return now_s + min(wait, settings.retry_most_s)


def parse_state(text: str) -> dict[str, dict[str, t.Any]]:
    """By crash: {files: {name: [size, mtime, sha256, shipped]}, attempts, next_try_s, said}. Garbage is no state."""
    try:
        found = json.loads(text)["crashes"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {name: _state(value) for name, value in found.items() if isinstance(value, dict)}


def _state(value: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    files = value.get("files")
    attempts, again = value.get("attempts"), value.get("next_try_s")
    kept = {}
    for name, each in files.items() if isinstance(files, dict) else ():
        if isinstance(each, list) and len(each) == 4 and re.match(r"[0-9a-f]{64}\Z", str(each[2])):
            kept[name] = [each[0], each[1], str(each[2]), each[3] is True]
    return {
        "files": kept,
        "attempts": attempts if isinstance(attempts, int) and 0 <= attempts < 1 << 20 else 0,
        "next_try_s": float(again) if isinstance(again, (int, float)) and 0 <= again < 1 << 40 else 0.0,
        "said": clean(str(value.get("said") or ""), 400),
    }


def render_state(state: t.Mapping[str, t.Any]) -> str:
    """JSON with sorted keys."""
    return json.dumps({"schema": 1, "crashes": state}, indent=1, sort_keys=True) + "\n"


# --- the far end ------------------------------------------------------------------------------------------------------


def part_name(name: str, machine: str) -> str:
    """Where a file grows until it is whole; two hosts that were given one name do not write into one file."""
    return ".{0}.{1}.part".format(name, re.sub(r"[^0-9a-f]", "", machine)[:12] or "0")


def _script(folder: str, text: str, **values: t.Any) -> str:
    """One command for any login shell: sh gets the script as it is."""
    quoted = {key: shlex.quote(str(value)) for key, value in values.items()}
    start = "umask 077; mkdir -p -- {0} && cd -- {0} || exit 70; ".format(shlex.quote(folder))
    return "exec sh -c {0}".format(shlex.quote(start + text.format(**quoted)))


def probe_script(folder: str, name: str, part: str) -> str:
    """Asks what is there: "have SHA256", "part BYTES" or "none", and a line of df."""
    text = (
        'if [ -e {name} ] || [ -L {name} ]; then echo "have $(sha256sum <{name} | cut -c1-64)"; '
        'elif [ -f {part} ]; then echo "part $(wc -c <{part})"; else echo none; fi; df -Pk . | tail -n 1'
    )
    return _script(folder, text, name=name, part=part)


def put_script(folder: str, part: str, offset: int) -> str:
    """Takes the rest of a file from standard input. What did not fit goes: a full disk helps nobody there."""
    text = (
        "if [ {offset} -eq 0 ]; then true >{part} || exit 72; fi; "
        '[ "$(wc -c <{part})" -eq {offset} ] || exit 71; cat >>{part} || {{ rm -f -- {part}; exit 72; }}'
    )
    return _script(folder, text, part=part, offset=offset)


def commit_script(folder: str, name: str, part: str, digest: str) -> str:
    """Computes the checksum there, and gives the file its name only where it is right and the name is free."""
    text = (
        "s=$(sha256sum <{part} | cut -c1-64); "
        '[ "$s" = {digest} ] || {{ rm -f -- {part}; echo "differs $s"; exit 73; }}; '
        "sync {part} 2>/dev/null || sync; "
        # A link and not a rename: that would replace a file of this name. Where there are no links, a rename.
        "if ln -- {part} {name} 2>/dev/null; then rm -f -- {part}; "
        "elif [ -e {name} ] || [ -L {name} ]; then exit 74; else mv -- {part} {name} || exit 75; fi; "
        "sync . 2>/dev/null; echo kept {digest}"
    )
    return _script(folder, text, name=name, part=part, digest=digest)


class Answer(t.NamedTuple):
    """What is at the far end."""

    digest: str | None  #: of a whole file of that name
    part_bytes: int
    free_bytes: int | None


def parse_answer(text: str) -> Answer:
    """Read what `probe_script` printed. Raises ParseError."""
    lines = text[:4096].splitlines()
    match = re.match(r"(?:have (?P<have>[0-9a-f]{64})|part\s+(?P<part>\d{1,18})|none)\s*\Z", lines[0] if lines else "")
    if match is None:
        told = clean(lines[0] if lines else "nothing", 120)
        raise ParseError("the far end has no POSIX shell with sha256sum; it said {0!r}".format(told))
    fields = lines[1].split() if len(lines) > 1 else []
    free = int(fields[3]) * 1024 if len(fields) > 5 and re.match(r"\d{1,15}\Z", fields[3]) else None
    return Answer(match.group("have"), int(match.group("part") or 0), free)


_ERRORS = {
    70: "its folder cannot be made or entered there",
    71: "another shipment writes the same file",
    72: "it cannot be written there (a full disk?)",
    73: "the checksum that was computed there differs; it is sent anew",
    74: "another file has that name there already",
    75: "it could not be given its name there",
}


def far_end_error(code: int, said: str) -> str:
    """Why a command at the far end ended badly."""
    # ssh puts advice before its last line.
    lines = [line.strip() for line in said.strip().splitlines()]
    last = clean(" ".join(lines[-1:] if code == 255 else lines[-3:]), 200)
    told = _ERRORS.get(code, "ssh failed" if code == 255 else "the far end ended with {0}".format(code))
    return "{0}: {1}".format(told, last) if last else told


def far_name_error(name: str, there: str, here: str) -> str | None:
    """None where the file that lies at the far end is the one that is to go there."""
    return None if there == here else "{0}: {1}".format(name, _ERRORS[74])


def ssh_options(settings: Settings, proxy: str | None) -> list[str]:
    """Options of ssh(1) that leave nothing to a configuration, an agent or a question.

    `proxy` makes the connection where it has to leave by a certain NIC: ssh itself can only choose an address.
    """
    target = settings.target
    if target is None:
        raise CoreError("no target")
    options = {
        "BatchMode": "yes",
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "IdentityFile": settings.key,
        "PreferredAuthentications": "publickey",
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": settings.known_hosts,
        "GlobalKnownHostsFile": "/dev/null",
        "UpdateHostKeys": "no",
        "HostKeyAlias": target.host,
        "ConnectTimeout": "20",
        "ServerAliveInterval": "10",
        "ServerAliveCountMax": "3",
        "ControlPath": "none",
        "ClearAllForwardings": "yes",
        "ForwardAgent": "no",
        "Compression": "no",
        "LogLevel": "ERROR",
    }
    if proxy is not None:
        options.update(ProxyCommand=proxy, ProxyUseFdpass="yes")
    words = ["-F", "none", "-T", "-x", "-p", str(target.port), "-l", target.user]
    for name, value in options.items():
        words += ["-o", "{0}={1}".format(name, value)]
    return words


def mount_source(mountinfo: str, path: str) -> str | None:
    """What is mounted at a path, by /proc/self/mountinfo (proc(5)); of several the last, which covers the others."""
    found = None
    for line in mountinfo.splitlines():
        left, dash, right = line.partition(" - ")
        fields, of_kind = left.split(" "), right.split(" ")
        if dash and len(fields) > 4 and len(of_kind) > 1 and _unescaped(fields[4]) == path:
            found = _unescaped(of_kind[1])
    return found


def _unescaped(text: str) -> str:
    """The kernel writes blanks and the like as three octal digits."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match.group(1), 8)), text)


def too_large(size_bytes: int, free_bytes: int | None) -> str | None:
    """Why a file does not fit, before a byte of it is sent."""
    if free_bytes is None or size_bytes <= free_bytes:
        return None
    return "it has {0}, and {1} are free there".format(human_bytes(size_bytes), human_bytes(free_bytes))

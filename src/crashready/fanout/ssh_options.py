# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What OpenSSH would do for a host: its configuration files and the inventory's options, first value first.

An option is honoured, harmless to leave out (logging, multiplexing, forwarding
that facts do not need), or it decides something that this program cannot do: then
`HostOptions.system_ssh` says which, and the host is reached by the system's own ssh.
An option that is in none of the lists counts as one that decides something.
"""

from __future__ import annotations

import dataclasses
import getpass
import glob
import os
import re
import shlex
import typing as t

import paramiko

from ..inventory_hosts import Target

__all__ = ["HostOptions", "JumpHost", "SshFiles"]

_FILE_LIMIT = 1024 * 1024
_INCLUDE_DEPTH = 16  # READCONF_MAX_DEPTH, OpenSSH's readconf.c

_HONOURED = frozenset(
    "addressfamily bindaddress canonicalizehostname checkhostip ciphers connecttimeout globalknownhostsfile "
    "hashknownhosts hostkeyalgorithms hostkeyalias hostname identitiesonly identityagent identityfile "
    "kbdinteractiveauthentication challengeresponseauthentication kexalgorithms macs passwordauthentication port "
    "proxycommand proxyjump pubkeyauthentication stricthostkeychecking user userknownhostsfile".split()
)
# Leaving these out changes nothing that facts need: logging, multiplexing, keep-alive, forwarding, what ssh asks a
# person. GSSAPI and host-based logins are looked at again when no other login works (`other_login`).
_HARMLESS = frozenset(
    "addkeystoagent batchmode clearallforwardings compression compressionlevel connectionattempts controlmaster "
    "controlpath controlpersist dynamicforward enableescapecommandline enablesshkeysign escapechar "
    "exitonforwardfailure fingerprinthash forkafterauthentication forwardagent forwardx11 forwardx11timeout "
    "forwardx11trusted gatewayports gssapiauthentication gssapidelegatecredentials gssapikeyexchange "
    "gssapirenewalforcesrekey gssapitrustdns hostbasedacceptedalgorithms hostbasedauthentication ignoreunknown ipqos "
    "kbdinteractivedevices localforward loglevel logverbose numberofpasswordprompts obscurekeystroketiming "
    "permitremoteopen preferredauthentications rekeylimit remoteforward requesttty sendenv serveralivecountmax "
    "serveraliveinterval streamlocalbindmask streamlocalbindunlink syslogfacility tag tcpkeepalive updatehostkeys "
    "useroaming visualhostkey xauthlocation".split()
)
#: Lists of algorithms: taken as they are where they are plain lists.
_ALGORITHMS = {"kexalgorithms": "kex", "ciphers": "ciphers", "macs": "digests", "hostkeyalgorithms": "key_types"}
_MATCHES = frozenset(("all", "final", "host", "originalhost", "user", "localuser"))
_LINE = re.compile(r"\s*([A-Za-z0-9]+)(?:\s*=\s*|\s+)(.*?)\s*\Z")
#: ssh's options with a letter that mean one of ssh_config; the others with an argument are not taken.
_LETTERS = {"i": "identityfile", "l": "user", "p": "port", "J": "proxyjump", "b": "bindaddress"}
_LETTERS |= {"c": "ciphers", "m": "macs"}
_FLAGS = {"4": ("addressfamily", "inet"), "6": ("addressfamily", "inet6")}
_HARMLESS_FLAGS = frozenset("AaCkKnqTtvxXYy")


@dataclasses.dataclass(frozen=True)
class JumpHost:
    """One hop of ProxyJump; what it needs is looked up in the configuration like any other host."""

    name: str
    user: str | None
    port: int | None


@dataclasses.dataclass(frozen=True)
class HostOptions:
    """How to reach one host. `system_ssh` is not empty where this program must not try."""

    address: str
    port: int
    user: str
    key_files: tuple[str, ...]
    default_keys: bool  #: the key files are OpenSSH's default ones: that one is missing is no news
    identities_only: bool
    agent: str | None  #: the agent's socket; None: no agent
    use_keys: bool
    use_password: bool
    known_hosts: tuple[str, ...]
    host_key_name: str  #: as it stands in known_hosts
    strict: str  #: "yes", "accept-new" or "no"
    hash_names: bool
    jumps: tuple[JumpHost, ...]
    proxy_command: str
    family: int  #: 4, 6, or 0 for either
    bind_address: str | None
    algorithms: t.Mapping[str, tuple[str, ...]]  #: "kex", "ciphers", "digests", "key_types"
    connect_timeout_s: float | None
    system_ssh: str = ""
    other_login: str = ""  #: a way to log in that only the system's ssh has


class _Options:
    """Option by option, the first value counts; files of keys add up."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.key_files: list[str] = []
        self.refused: list[str] = []

    def add(self, key: str, value: str) -> None:
        key = key.lower()
        if key == "identityfile":
            if value not in self.key_files:
                self.key_files.append(value)
        else:
            self.values.setdefault(key, value)

    def get(self, key: str, default: str = "") -> str:
        return self.values.get(key, default)

    def says(self, key: str, default: bool) -> bool:
        return self.values[key].lower() in ("yes", "true") if key in self.values else default


class _Config(paramiko.SSHConfig):  # type: ignore[misc]
    """paramiko's reader, without its tokens: what they stand for may come from the inventory."""

    def of(self, name: str, given: t.Mapping[str, str]) -> dict[str, t.Any]:
        """What holds for a host of which some options are given already; Match sees those too."""
        options = self._lookup(name, paramiko.SSHConfigDict(given))
        return dict(self._lookup(name, options, canonical=False, final=True))

    def _allowed_tokens(self, key: str) -> list[str]:
        return []


class SshFiles:
    """OpenSSH's configuration files, read once for a run. For several threads: nothing changes after the start."""

    def __init__(self, user_file: str = "~/.ssh/config", system_file: str = "/etc/ssh/ssh_config") -> None:
        self._user_file, self._system_file = os.path.expanduser(user_file), system_file
        self._read: dict[tuple[str, ...], tuple[_Config, str]] = {}
        self._home = os.path.expanduser("~")
        self._me = getpass.getuser()
        self.of_files((self._user_file, self._system_file))

    def of_files(self, paths: tuple[str, ...]) -> tuple[_Config, str]:
        """The configuration in some files, and why it cannot be honoured; empty where it can."""
        if paths not in self._read:
            config, problem, lines = _Config(), "", []
            try:
                for path in paths:
                    # The second file begins outside of any block of the first.
                    lines += ["Host *", *_lines_of(path, 0, self._home)]
                config.parse(lines)
            except (OSError, ValueError, paramiko.SSHException) as exc:
                config, problem = _Config(), str(exc)
            self._read[paths] = (config, problem)
        return self._read[paths]

    def of_target(self, target: Target) -> HostOptions:
        """What holds for a host of the inventory."""
        options = _Options()
        paths = _take_words(options, target.ssh_args)
        if not target.check_host_keys:
            options.add("stricthostkeychecking", "no")
        for key, value in (("port", target.port), ("user", target.user), ("identityfile", target.key_file)):
            if value is not None:
                options.add(key, str(value))
        paths = _take_words(options, target.ssh_more_args) or paths
        return self._resolve(target.address, options, paths or (self._user_file, self._system_file))

    def of_jump(self, jump: JumpHost) -> HostOptions:
        """What holds for a hop: its own configuration, nothing of the host behind it."""
        options = _Options()
        for key, value in (("port", jump.port), ("user", jump.user)):
            if value is not None:
                options.add(key, str(value))
        return self._resolve(jump.name, options, (self._user_file, self._system_file))

    def _resolve(self, name: str, options: _Options, paths: tuple[str, ...]) -> HostOptions:
        config, problem = self.of_files(paths)
        if problem:
            options.refused.append(problem)
        try:
            for key, value in config.of(name, options.values).items():
                for each in value if isinstance(value, list) else [value]:
                    options.add(key, "none" if each is None else each)
        except (OSError, ValueError, KeyError, paramiko.SSHException) as exc:
            options.refused.append("the ssh configuration cannot be read for {0}: {1}".format(name, exc))
        options.refused += [
            "option {0}".format(key) for key in options.values if key not in _HONOURED and key not in _HARMLESS
        ]
        return self._options(name, options)

    def _options(self, name: str, options: _Options) -> HostOptions:
        port = _number(options, "port", 22)
        user = options.get("user") or self._me
        address = options.get("hostname", name).replace("%h", name).replace("%%", "%")
        files = [self._expanded(path, address, port, user) for path in options.key_files if path.lower() != "none"]
        algorithms = _algorithms(options)
        proxy = options.get("proxycommand")
        if options.get("canonicalizehostname", "no").lower() != "no":
            options.refused.append("option canonicalizehostname")
        return HostOptions(
            address=address,
            port=port,
            user=user,
            key_files=tuple(files) if options.key_files else self._default_keys(),
            default_keys=not options.key_files,
            identities_only=options.says("identitiesonly", False),
            agent=self._agent(options),
            use_keys=options.says("pubkeyauthentication", True),
            use_password=options.says("passwordauthentication", True),
            known_hosts=self._known_hosts(options),
            host_key_name=options.get("hostkeyalias") or (address if port == 22 else "[{0}]:{1}".format(address, port)),
            strict=_strictness(options.get("stricthostkeychecking", "ask")),
            hash_names=options.says("hashknownhosts", False),
            jumps=_jumps(options),
            proxy_command="" if proxy.lower() == "none" else proxy,
            family={"inet": 4, "inet6": 6}.get(options.get("addressfamily").lower(), 0),
            bind_address=options.get("bindaddress") or None,
            algorithms=algorithms,
            connect_timeout_s=float(_number(options, "connecttimeout", 0)) or None,
            system_ssh="; ".join(dict.fromkeys(options.refused)),
            other_login=_other_login(options),
        )

    def _default_keys(self) -> tuple[str, ...]:
        names = ("id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk")
        return tuple(os.path.join(self._home, ".ssh", name) for name in names)

    def _expanded(self, path: str, address: str, port: int, user: str) -> str:
        tokens = {"%%": "%", "%d": self._home, "%h": address, "%p": str(port), "%r": user, "%u": self._me}
        path = re.sub("%.", lambda found: tokens.get(found.group(0), found.group(0)), path)
        return os.path.expanduser(path)

    def _agent(self, options: _Options) -> str | None:
        value = options.get("identityagent", "SSH_AUTH_SOCK")
        if value.lower() == "none":
            return None
        if value == "SSH_AUTH_SOCK":
            return os.environ.get("SSH_AUTH_SOCK") or None
        return os.environ.get(value[1:]) if value.startswith("$") else os.path.expanduser(value)

    def _known_hosts(self, options: _Options) -> tuple[str, ...]:
        users = options.get("userknownhostsfile", "~/.ssh/known_hosts ~/.ssh/known_hosts2")
        system = options.get("globalknownhostsfile", "/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2")
        found = []
        for path in (*_words(users), *_words(system)):
            if path.lower() != "none":
                found.append(self._expanded(path, "", 0, ""))
        return tuple(found)


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def _lines_of(path: str, depth: int, home: str) -> list[str]:
    """The lines of a file with those of its Includes in their place. A file that is not there is empty.

    Raises ValueError for what cannot be laid out flat: an Include inside of a Host or Match block, and a Match on
    something that paramiko does not know (it would take such a block for one that matches).
    """
    if depth > _INCLUDE_DEPTH:
        raise ValueError("{0}: Include is nested deeper than {1}".format(path, _INCLUDE_DEPTH))
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            text = stream.read(_FILE_LIMIT + 1)
    except FileNotFoundError:
        return []
    if len(text) > _FILE_LIMIT:
        raise ValueError("{0} is larger than {1} bytes".format(path, _FILE_LIMIT))
    lines, inside = [], False
    for number, line in enumerate(text.split("\n"), 1):
        found = _LINE.match(line)
        if line.lstrip().startswith("#") or found is None:
            continue
        key, value = found.group(1).lower(), found.group(2)
        if key == "include":
            if inside:
                raise ValueError("{0}:{1}: Include inside of a Host or Match block".format(path, number))
            for each in _included(value, path, home):
                lines += [*_lines_of(each, depth + 1, home), "Host *"]
            continue
        if key == "match":
            _refuse_unknown_match(value, "{0}:{1}".format(path, number))
        inside = (inside or key in ("host", "match")) and not (key == "host" and value == "*")
        lines.append("{0} {1}".format(found.group(1), _without_comment(value)))
    return lines


def _without_comment(value: str) -> str:
    return re.sub(r"\s+#.*\Z", "", value) if '"' not in value else value


def _included(value: str, path: str, home: str) -> list[str]:
    """Files that an Include names, in ssh's order; relative ones lie beside the user's or the system's file."""
    base = "/etc/ssh" if path.startswith("/etc/ssh") else os.path.join(home, ".ssh")
    found = []
    for pattern in _words(value):
        found += sorted(glob.glob(os.path.join(base, os.path.expanduser(pattern))))
    return found


def _refuse_unknown_match(value: str, place: str) -> None:
    words = _words(value)
    while words:
        word = words.pop(0).lstrip("!").lower().split("=", 1)[0]
        if word not in _MATCHES:
            raise ValueError("{0}: Match {1}".format(place, word))
        if word not in ("all", "final") and words:
            words.pop(0)


def _take_words(options: _Options, words: t.Sequence[str]) -> tuple[str, ...]:
    """Take options of ssh's command line. Returns the file of -F, which replaces the others."""
    waiting = list(words)
    files: tuple[str, ...] = ()
    while waiting:
        word = waiting.pop(0)
        letter, rest = word[1:2], word[2:]
        if not word.startswith("-") or not letter:
            options.refused.append("argument {0!r}".format(word[:60]))
        elif letter in ("o", "F") or letter in _LETTERS:
            value = rest or (waiting.pop(0) if waiting else "")
            if letter == "F":
                files = (os.path.expanduser(value),) if value != "none" else ("/dev/null",)
            elif letter == "o":
                _take_option(options, value)
            else:
                options.add(_LETTERS[letter], value)
        else:
            _take_flags(options, word[1:])
    return files


def _take_option(options: _Options, text: str) -> None:
    found = _LINE.match(text)
    if found is None:
        options.refused.append("-o {0!r}".format(text[:60]))
        return
    value = found.group(2)
    options.add(found.group(1), value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value)


def _take_flags(options: _Options, letters: str) -> None:
    for letter in letters:
        if letter in _FLAGS:
            options.add(*_FLAGS[letter])
        elif letter not in _HARMLESS_FLAGS:
            options.refused.append("option -{0}".format(letter))
            return


def _number(options: _Options, key: str, default: int) -> int:
    text = options.get(key) or str(default)
    if not re.fullmatch(r"[0-9]{1,9}", text) or (key == "port" and not 0 < int(text) < 65536):
        options.refused.append("{0} {1!r}".format(key, text[:40]))
        return default
    return int(text)


def _strictness(value: str) -> str:
    """`ask` counts as yes: there is nobody to ask while a rack is gathered."""
    value = value.lower()
    return {"no": "no", "off": "no", "false": "no", "accept-new": "accept-new"}.get(value, "yes")


def _jumps(options: _Options) -> tuple[JumpHost, ...]:
    text = options.get("proxyjump")
    # ssh: of ProxyCommand and ProxyJump the one that came first counts.
    first = next((key for key in options.values if key in ("proxyjump", "proxycommand")), "")
    if not text or text.lower() == "none" or first == "proxycommand":
        return ()
    found = []
    for hop in text.split(","):
        parts = re.fullmatch(
            r"(?:ssh://)?(?:(?P<user>[^@]+)@)?(?:\[(?P<v6>[^\]]+)\]|(?P<name>[^:/]+))(?::(?P<port>[0-9]{1,5}))?/?",
            hop.strip(),
        )
        if parts is None:
            options.refused.append("proxyjump {0!r}".format(text[:80]))
            return ()
        port = parts["port"]
        found.append(JumpHost(parts["v6"] or parts["name"], parts["user"], int(port) if port else None))
    return tuple(found)


def _algorithms(options: _Options) -> dict[str, tuple[str, ...]]:
    """Plain lists as far as paramiko has their members; additions and patterns are left to the system's ssh."""
    found = {}
    for key, name in _ALGORITHMS.items():
        text = options.get(key)
        if not text:
            continue
        known = set(getattr(paramiko.Transport, _KNOWN[name]))
        wanted = [_ALIASES.get(each, each) for each in text.split(",")]
        chosen = tuple(each for each in wanted if each in known)
        if text[0] in "+-^" or "*" in text or not chosen:
            options.refused.append("option {0}={1}".format(key, text[:80]))
            continue
        found[name] = chosen
    return found


_KNOWN = {"kex": "_kex_info", "ciphers": "_cipher_info", "digests": "_mac_info", "key_types": "_key_info"}
#: The name of RFC 8731 and the one before it are the same method.
_ALIASES = {"curve25519-sha256": "curve25519-sha256@libssh.org"}


def _other_login(options: _Options) -> str:
    """Debian's own file allows GSSAPI everywhere: that means something only to a user with a Kerberos ticket."""
    ways = ["hostbasedauthentication"] if options.says("hostbasedauthentication", False) else []
    ticket = os.environ.get("KRB5CCNAME") or os.path.exists("/tmp/krb5cc_{0}".format(os.getuid()))  # noqa: S108
    ways += ["gssapiauthentication"] if ticket and options.says("gssapiauthentication", False) else []
    return ", ".join(ways)

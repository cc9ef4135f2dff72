# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""Which hosts an Ansible inventory has, and how it says that they are reached. Through ansible-core's own classes.

Start-up is what counts for a small rack: of Ansible only the inventory, the
variables and the option definitions of the plugins `ssh` and `sudo` are loaded, no
executor and no command line. A host costs well under a millisecond.
"""

from __future__ import annotations

import dataclasses
import os
import shlex
import typing as t

from ._core.text import clean
from .exits import ToolError

__all__ = ["SSH_PLUGINS", "Become", "NoHosts", "Rack", "Target", "read_rack"]

#: Connection plugins that mean plain SSH.
SSH_PLUGINS = frozenset(
    (
        *("ssh", "ansible.builtin.ssh", "ansible.legacy.ssh", "smart"),
        *("paramiko", "paramiko_ssh", "ansible.builtin.paramiko_ssh", "ansible.builtin.paramiko"),
    )
)
_SUDO = frozenset(("sudo", "ansible.builtin.sudo", "ansible.legacy.sudo"))
_OPTIONS = (
    *("host", "port", "remote_user", "private_key_file", "private_key", "password", "timeout", "host_key_checking"),
    *("ssh_args", "ssh_common_args", "ssh_extra_args", "ssh_executable", "pkcs11_provider"),
)
_BECOME_OPTIONS = ("become_user", "become_exe", "become_flags", "become_pass")
_VARIABLES = (
    *("inventory_hostname", "ansible_connection", "ansible_python_interpreter", "ansible_become"),
    "ansible_become_method",
)
#: What else a user of the database of pairings may say in the inventory.
JUDGE_VARIABLES = ("crashready_waivers", "crashready_pairings_dirs")


class NoHosts(Exception):
    """The inventory or the pattern names no host. The text says which, and what to do."""


@dataclasses.dataclass(frozen=True)
class Become:
    """Privilege escalation by sudo."""

    user: str
    program: str
    flags: tuple[str, ...]
    password: str | None = dataclasses.field(default=None, repr=False)


@dataclasses.dataclass(frozen=True)
class Target:
    """One host and how to reach it. `by_ansible` says why that is left to Ansible, `problem` why nobody can."""

    name: str
    address: str
    port: int | None = None
    user: str | None = None
    key_file: str | None = None
    password: str | None = dataclasses.field(default=None, repr=False)
    ssh_program: str = "ssh"
    ssh_args: tuple[str, ...] = ()  #: before the options of the inventory, as Ansible has them
    ssh_more_args: tuple[str, ...] = ()  #: after them
    check_host_keys: bool = True
    connect_timeout_s: float = 10
    interpreter: tuple[str, ...] = ()  #: empty: to be found
    become: Become | None = None
    by_ansible: str = ""
    problem: str = ""
    variables: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)  #: those that were asked for


@dataclasses.dataclass(frozen=True)
class Asked:
    """What the command line says beside the inventory."""

    limit: str | None = None
    become: bool = False
    become_password: str | None = dataclasses.field(default=None, repr=False)
    vault_ids: tuple[str, ...] = ()
    vault_files: tuple[str, ...] = ()
    ask_vault_password: bool = False
    extra_vars: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()  #: further variables of hosts that the caller wants


@dataclasses.dataclass(frozen=True)
class Rack:
    """The hosts, by name in the inventory's order, and what Ansible needs to find them again."""

    targets: tuple[Target, ...]
    sources: tuple[str, ...]
    asked: Asked


def read_rack(sources: t.Sequence[str], asked: Asked) -> Rack:
    """Read inventories. Raises NoHosts for wrong usage, ToolError where Ansible cannot read them at all."""
    for source in sources:
        if "," not in source and not os.path.exists(source):
            raise NoHosts("there is no inventory {0}".format(source))
    try:
        reader = _Reader(sources, asked)
        targets = tuple(reader.target(host) for host in reader.hosts())
    except (NoHosts, ToolError):
        raise
    except Exception as exc:
        if not _of_ansible(exc):
            raise
        says = "Ansible cannot read the inventory {0}: {1}. Look: ansible-inventory -i {2} --list"
        raise ToolError(says.format(", ".join(sources), clean(str(exc), 600), sources[0])) from exc
    if not targets:
        limit = " with --limit {0}".format(asked.limit) if asked.limit else ""
        raise NoHosts("no host is in {0}{1}".format(", ".join(sources), limit))
    return Rack(targets, tuple(sources), asked)


def _of_ansible(exc: Exception) -> bool:
    from ansible.errors import AnsibleError

    return isinstance(exc, (AnsibleError, OSError, UnicodeError, RecursionError, ValueError))


class _Reader:
    """Ansible's inventory, variables and templates for one run."""

    def __init__(self, sources: t.Sequence[str], asked: Asked) -> None:
        from ansible import constants
        from ansible.inventory.manager import InventoryManager
        from ansible.parsing.dataloader import DataLoader
        from ansible.plugins.loader import become_loader, connection_loader, init_plugin_loader
        from ansible.vars.hostvars import HostVars
        from ansible.vars.manager import VariableManager

        _init_plugins(init_plugin_loader)
        _set_extra_vars(asked.extra_vars)
        self._constants, self._config = constants, constants.config
        self._asked = asked
        self._loader = DataLoader()
        _unlock(self._loader, asked, constants)
        self._inventory = InventoryManager(loader=self._loader, sources=list(sources))
        if asked.limit:
            self._inventory.subset(asked.limit)
        self._variables = VariableManager(loader=self._loader, inventory=self._inventory)
        HostVars(inventory=self._inventory, variable_manager=self._variables, loader=self._loader)
        # Loading a plugin makes its options known to Ansible's configuration.
        connection_loader.get("ssh", class_only=True)
        become_loader.get("sudo", class_only=True)
        self._names = frozenset(
            (
                *_VARIABLES,
                *asked.variables,
                *self._config.get_plugin_vars("connection", "ssh"),
                *self._config.get_plugin_vars("become", "sudo"),
            )
        )
        self._transport = str(constants.DEFAULT_TRANSPORT)

    def hosts(self) -> list[t.Any]:
        """Every host that the pattern leaves; Ansible's own stand-in for localhost is none."""
        return [host for host in self._inventory.list_hosts("all") if not getattr(host, "implicit", False)]

    def target(self, host: t.Any) -> Target:
        """One host; values that cannot be had are the host's own problem."""
        try:
            return self._target(host)
        except Exception as exc:
            if not _of_ansible(exc) and not isinstance(exc, (TypeError, KeyError, AttributeError)):
                raise
            name = clean(str(host.name), 200)
            return Target(name, name, problem=clean(" ".join(str(exc).split()), 400) or type(exc).__name__)

    def _target(self, host: t.Any) -> Target:
        known = self._variables.get_vars(host=host)
        values = self._templated(known)
        option = {name: self._option(name, "connection", "ssh", values) for name in _OPTIONS}
        plugin = str(values.get("ansible_connection") or self._transport)
        interpreter, odd = self._interpreter(values)
        become, foreign = self._become(values)
        return Target(
            name=str(host.name),
            address=str(option["host"] or host.name),
            port=int(option["port"]) if option["port"] else None,
            user=_text(option["remote_user"]),
            key_file=os.path.expanduser(str(option["private_key_file"])) if option["private_key_file"] else None,
            password=_text(option["password"]),
            ssh_program=str(option["ssh_executable"] or "ssh"),
            ssh_args=_words(option["ssh_args"]),
            ssh_more_args=(*_words(option["ssh_common_args"]), *_words(option["ssh_extra_args"])),
            check_host_keys=bool(option["host_key_checking"]),
            connect_timeout_s=float(option["timeout"] or 10),
            interpreter=interpreter,
            become=become,
            by_ansible=_why_ansible(plugin, option) or foreign or odd,
            variables={name: values[name] for name in self._asked.variables if name in values},
        )

    def _templated(self, known: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
        """The variables that matter, templated with all of the host's; only what may be a template costs anything."""
        from ansible.template import Templar

        chosen = {name: known[name] for name in self._names if name in known}
        templar = None
        for name, value in chosen.items():
            if isinstance(value, str) and "{" not in value:
                continue
            if isinstance(value, (bool, int, float)) or value is None:
                continue
            templar = templar or Templar(loader=self._loader, variables=known)
            chosen[name] = templar.template(value)
        return chosen

    def _option(self, name: str, kind: str, plugin: str, values: t.Mapping[str, t.Any]) -> t.Any:
        found = self._config.get_config_value_and_origin(name, plugin_type=kind, plugin_name=plugin, variables=values)
        return found[0]

    def _interpreter(self, values: t.Mapping[str, t.Any]) -> tuple[tuple[str, ...], str]:
        """The words of the interpreter; none where it is to be found. And why only Ansible can start it."""
        value = values.get("ansible_python_interpreter", self._constants.config.get_config_value("INTERPRETER_PYTHON"))
        text = str(value or "").strip()
        if not text or text in ("auto", "auto_silent", "auto_legacy", "auto_legacy_silent"):
            return (), ""
        words = tuple(shlex.split(text))
        odd = [word for word in words if not _is_plain(word)]
        return words, "the interpreter {0!r} needs quotes".format(odd[0][:60]) if odd else ""

    def _become(self, values: t.Mapping[str, t.Any]) -> tuple[Become | None, str]:
        """sudo as the inventory wants it, or why it is left to Ansible."""
        told = values.get("ansible_become", self._asked.become or self._constants.DEFAULT_BECOME)
        if str(told).lower() not in ("true", "yes", "on", "1", "y", "t"):
            return None, ""
        method = str(values.get("ansible_become_method") or self._constants.DEFAULT_BECOME_METHOD)
        if method not in _SUDO:
            return None, "privilege escalation by {0}".format(clean(method, 60))
        option = {name: self._option(name, "become", "sudo", values) for name in _BECOME_OPTIONS}
        # A password on standard input, no prompt of sudo's own, never a question to a terminal: that is ours to say.
        flags = [word for word in _words(option["become_flags"]) if word not in ("-n", "-S", "--stdin")]
        words = [str(option["become_user"] or "root"), str(option["become_exe"] or "sudo"), *flags]
        if not all(_is_plain(word) for word in words):
            return None, "sudo with words that need quotes"
        return Become(words[0], words[1], tuple(flags), _text(option["become_pass"]) or self._asked.become_password), ""


def _is_plain(word: str) -> bool:
    from .fanout.program import PLAIN_WORD

    return PLAIN_WORD.match(word) is not None


def _why_ansible(plugin: str, option: t.Mapping[str, t.Any]) -> str:
    if plugin not in SSH_PLUGINS:
        return "connection plugin {0}".format(clean(plugin, 60))
    if option["private_key"]:
        return "a private key as a value"
    if option["pkcs11_provider"]:
        return "a PKCS#11 provider"
    return ""


def _text(value: t.Any) -> str | None:
    return None if value is None or value == "" else str(value)


def _words(value: t.Any) -> tuple[str, ...]:
    """Words of an option that Ansible splits as a shell does. Raises ValueError for an open quote."""
    return tuple(shlex.split(str(value))) if value else ()


def _init_plugins(init_plugin_loader: t.Callable[[], None]) -> None:
    """Ansible's loader of collections, where no earlier call in this process has made it."""
    from ansible.utils.collection_loader import AnsibleCollectionConfig

    if AnsibleCollectionConfig.collection_finder is None:
        init_plugin_loader()


def _set_extra_vars(words: tuple[str, ...]) -> None:
    from ansible import context
    from ansible.module_utils.common.collections import ImmutableDict

    context.CLIARGS = ImmutableDict({**context.CLIARGS, "extra_vars": words})


def _unlock(loader: t.Any, asked: Asked, constants: t.Any) -> None:
    """Give the loader what opens vaults; Ansible's command line is loaded only where there is something to give."""
    configured = constants.DEFAULT_VAULT_IDENTITY_LIST or constants.DEFAULT_VAULT_PASSWORD_FILE
    if not (asked.vault_ids or asked.vault_files or asked.ask_vault_password or configured):
        _use_secrets(loader, [])
        return
    from ansible.cli import CLI

    secrets = CLI.setup_vault_secrets(
        loader,
        vault_ids=[*(constants.DEFAULT_VAULT_IDENTITY_LIST or ()), *asked.vault_ids],
        vault_password_files=list(asked.vault_files),
        ask_vault_pass=asked.ask_vault_password,
        auto_prompt=False,
        initialize_context=False,
    )
    _use_secrets(loader, secrets)


def _use_secrets(loader: t.Any, secrets: list[t.Any]) -> None:
    """For files and for single values. Even none: without the context, `!vault` would end with an odd error."""
    from ansible.parsing.vault import VaultSecretsContext

    loader.set_vault_secrets(secrets)
    context = VaultSecretsContext.current(optional=True)
    if context is None:
        VaultSecretsContext.initialize(VaultSecretsContext(secrets))
    else:
        context.secrets = secrets

# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""OpenSSH's files and options, as they would hold for a host."""

from __future__ import annotations

import dataclasses
import pathlib
import shutil
import subprocess
import typing as t

import pytest

from crashready.fanout.known_hosts import KnownHosts
from crashready.fanout.ssh_options import HostOptions, JumpHost, SshFiles
from crashready.inventory_hosts import Target


def resolve(home: pathlib.Path, config: str = "", system: str = "", **values: t.Any) -> HostOptions:
    user_file, system_file = home / ".ssh" / "config", home / "ssh_config"
    user_file.write_text(config)
    system_file.write_text(system)
    values.setdefault("address", "web1")
    return SshFiles(str(user_file), str(system_file)).of_target(Target("web1", **values))


@pytest.mark.parametrize(
    ("config", "values", "expected"),
    [
        ("", {}, {"address": "web1", "port": 22, "strict": "yes", "host_key_name": "web1", "system_ssh": ""}),
        ("Host web*\n HostName 10.0.0.%h\n", {}, {"address": "10.0.0.web1"}),
        ("Host web1\n Port 2200\nHost *\n Port 22\n", {}, {"port": 2200, "host_key_name": "[web1]:2200"}),
        ("Host web1\n Port 2200\n", {"port": 2300}, {"port": 2300}),
        ("User deploy\n", {}, {"user": "deploy"}),
        ("User deploy\n", {"user": "root"}, {"user": "root"}),
        ("User deploy\n", {"ssh_args": ("-l", "first"), "user": "root"}, {"user": "first"}),
        ("", {"ssh_more_args": ("-p", "2022")}, {"port": 2022}),
        ("", {"ssh_more_args": ("-p2022", "-4")}, {"port": 2022, "family": 4}),
        ("HostKeyAlias rack\n", {"port": 2200}, {"host_key_name": "rack"}),
        ("StrictHostKeyChecking accept-new\n", {}, {"strict": "accept-new"}),
        ("StrictHostKeyChecking off\n", {}, {"strict": "no"}),
        ("StrictHostKeyChecking yes\n", {"check_host_keys": False}, {"strict": "no"}),
        ("ProxyJump gate\n", {}, {"jumps": (JumpHost("gate", None, None),)}),
        (
            "ProxyJump me@gate:2222,[2001:db8::1]:22\n",
            {},
            {"jumps": (JumpHost("gate", "me", 2222), JumpHost("2001:db8::1", None, 22))},
        ),
        ("ProxyJump none\n", {}, {"jumps": ()}),
        ("ProxyCommand none\n", {}, {"proxy_command": ""}),
        ("ProxyCommand nc %h %p\n", {}, {"proxy_command": "nc %h %p"}),
        ("IdentitiesOnly yes\nIdentityAgent none\n", {}, {"identities_only": True, "agent": None}),
        ("PubkeyAuthentication no\nPasswordAuthentication no\n", {}, {"use_keys": False, "use_password": False}),
        ("ConnectTimeout 3\n", {}, {"connect_timeout_s": 3.0}),
        ("AddressFamily inet6\n", {}, {"family": 6}),
        ("KexAlgorithms curve25519-sha256\n", {}, {"algorithms": {"kex": ("curve25519-sha256@libssh.org",)}}),
        # Harmless here: logging, multiplexing, forwarding, what Debian's own file sets.
        (
            "SendEnv LANG LC_*\nHashKnownHosts yes\nGSSAPIAuthentication yes\n",
            {},
            {"system_ssh": "", "hash_names": True},
        ),
        ("HostbasedAuthentication yes\n", {}, {"other_login": "hostbasedauthentication"}),
        ("ControlMaster auto\nControlPath ~/.ssh/%C\nForwardAgent yes\n# a comment\n", {}, {"system_ssh": ""}),
        ("", {"ssh_args": ("-C", "-o", "ControlMaster=auto", "-oControlPersist=60s")}, {"system_ssh": ""}),
        ("Match host web1 user deploy\n Port 2200\n", {"user": "deploy"}, {"port": 2200}),
        ("Match host web1 user deploy\n Port 2200\n", {"user": "other"}, {"port": 22}),
        ("User deploy\nMatch user deploy\n Port 2200\n", {}, {"port": 2200}),
        ("ProxyCommand nc %h %p\n", {"port": 2299, "address": "web9"}, {"proxy_command": "nc %h %p", "port": 2299}),
        ("IdentityFile /keys/%r/%h-%p\n", {"user": "u", "port": 7}, {"key_files": ("/keys/u/web1-7",)}),
        ("Match host web1\n Port 2200\n", {}, {"port": 2200}),
    ],
)
def test_options(home: pathlib.Path, config: str, values: dict[str, t.Any], expected: dict[str, t.Any]) -> None:
    found = dataclasses.asdict(resolve(home, config, **values))
    found["jumps"] = tuple(JumpHost(**hop) for hop in found["jumps"])
    assert {key: found[key] for key in expected} == expected


def test_gssapi_is_something_for_those_with_a_ticket(home: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KRB5CCNAME", "FILE:/tmp/ticket")
    assert resolve(home, "GSSAPIAuthentication yes\n").other_login == "gssapiauthentication"
    assert resolve(home, "GSSAPIAuthentication no\n").other_login == ""


@pytest.mark.parametrize(
    ("config", "values", "word"),
    [
        ("CertificateFile ~/.ssh/x\n", {}, "certificatefile"),
        ("PermitLocalCommand yes\n", {}, "permitlocalcommand"),
        ("KexAlgorithms +diffie-hellman-group1-sha1\n", {}, "kexalgorithms"),
        ("Ciphers no-such-cipher\n", {}, "ciphers"),
        ("CanonicalizeHostname yes\nCanonicalDomains x.example\n", {}, "canonicalizehostname"),
        ("VerifyHostKeyDNS yes\n", {}, "verifyhostkeydns"),
        ("SomethingNew yes\n", {}, "somethingnew"),
        ("Match exec true\n Port 22\n", {}, "Match exec"),
        ("Match localnetwork 10.0.0.0/8\n Port 22\n", {}, "localnetwork"),
        ("Host web1\n Include more\n", {}, "Include inside"),
        ("Port 99999\n", {}, "port"),
        ("", {"ssh_more_args": ("-W", "a:1")}, "-W"),
        ("", {"ssh_more_args": ("-o", "nonsense")}, "nonsense"),
        ("", {"ssh_args": ("stray",)}, "stray"),
    ],
)
def test_what_cannot_be_honoured_is_named(home: pathlib.Path, config: str, values: dict[str, t.Any], word: str) -> None:
    assert word in resolve(home, config, **values).system_ssh


def test_includes_lie_beside_the_users_file_and_stop_in_a_circle(home: pathlib.Path) -> None:
    (home / ".ssh" / "more").write_text("Host web1\n Port 2201\nHost *\n User someone\n")
    found = resolve(home, "Include more\nHost web1\n Port 1\n User late\n")
    assert (found.port, found.user, found.system_ssh) == (2201, "someone", "")
    (home / ".ssh" / "more").write_text("Include more\n")
    assert "nested deeper" in resolve(home, "Include more\n").system_ssh


def test_a_file_of_ones_own(home: pathlib.Path, tmp_path: pathlib.Path) -> None:
    own = tmp_path / "own"
    own.write_text("Host web1\n Port 2222\n")
    assert resolve(home, "Port 1\n", ssh_more_args=("-F", str(own))).port == 2222
    assert resolve(home, "Port 1\n", ssh_more_args=("-F", "none")).port == 22


@pytest.mark.parametrize(
    "config",
    [
        "Host web1\n HostName 10.1.1.1\n Port 2200\n User deploy\nHost *\n User other\n Port 5\n",
        "Host w* !web1\n Port 5\nHost web?\n Port 6\n",
        "User first\nUser second\nHost web1\n User third\n",
        'Host "web1"\n Port=2200\n User = "quoted"\n',
        "Host web1 other\n\tport 77\n",
        "Match user nobody\n Port 1\nMatch all\n Port 2\n",
    ],
)
def test_as_ssh_itself_would(home: pathlib.Path, config: str) -> None:
    """`ssh -G` prints what OpenSSH makes of the same file."""
    if shutil.which("ssh") is None:
        pytest.skip("ssh is not installed")
    found = resolve(home, config)
    out = subprocess.run(
        ["ssh", "-G", "-F", str(home / ".ssh" / "config"), "web1"], capture_output=True, text=True, check=True
    ).stdout
    theirs = dict(line.split(" ", 1) for line in out.splitlines() if " " in line)
    ours = (found.address, str(found.port), found.user)
    assert ours == (theirs["hostname"], theirs["port"], theirs["user"])


KEY = "AAAAC3NzaC1lZDI1NTE5AAAAIPkzhyNdeIA2cxt1qYfRIzvsSMwNo1t4/6M8v0Lmxq1z"


@pytest.mark.parametrize(
    ("line", "name", "hit"),
    [
        ("web1 ssh-ed25519 {key}", "web1", True),
        ("WEB1 ssh-ed25519 {key}", "web1", True),
        ("web2,web1 ssh-ed25519 {key} a comment", "web1", True),
        ("[web1]:2200 ssh-ed25519 {key}", "[web1]:2200", True),
        ("[web1]:2200 ssh-ed25519 {key}", "web1", False),
        ("web* ssh-ed25519 {key}", "web1", True),
        ("web*,!web1 ssh-ed25519 {key}", "web1", False),
        ("[10.0.*]:2200 ssh-ed25519 {key}", "[10.0.0.9]:2200", True),
        ("# web1 ssh-ed25519 {key}", "web1", False),
        ("web1 ssh-ed25519 not*base64", "web1", False),
        ("web1", "web1", False),
        ("|1|bad|line ssh-ed25519 {key}", "web1", False),
        ("", "web1", False),
    ],
)
def test_known_hosts(tmp_path: pathlib.Path, line: str, name: str, hit: bool) -> None:
    path = tmp_path / "known_hosts"
    path.write_text(line.format(key=KEY) + "\n")
    assert bool(KnownHosts().look_up((str(path), "/nowhere"), name).keys) is hit


def test_known_hosts_markers_and_new_keys(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "sub" / "known_hosts"
    known = KnownHosts()
    assert known.add(str(path), "[web1]:2200", "ssh-ed25519", b"blob", hash_name=True)
    assert "web1" not in path.read_text()
    assert known.look_up((str(path),), "[web1]:2200").keys == (("ssh-ed25519", b"blob"),)
    assert known.look_up((str(path),), "web1").keys == ()
    path.write_text("@cert-authority *.example ssh-ed25519 {0}\n@revoked * ssh-ed25519 {0}\n".format(KEY))
    found = KnownHosts().look_up((str(path),), "a.example")
    assert found.has_authority
    assert found.revoked
    assert not found.keys
    assert not KnownHosts().add("/proc/nowhere/known_hosts", "a", "ssh-ed25519", b"b", hash_name=False)


def test_hashed_names_are_openssh_s(tmp_path: pathlib.Path) -> None:
    if shutil.which("ssh-keygen") is None:
        pytest.skip("ssh-keygen is not installed")
    path = tmp_path / "known_hosts"
    path.write_text("web1 ssh-ed25519 {0}\n".format(KEY))
    subprocess.run(["ssh-keygen", "-H", "-f", str(path)], check=True, capture_output=True)
    assert "web1" not in path.read_text()
    assert KnownHosts().look_up((str(path),), "web1").keys
    assert KnownHosts().add(str(path), "web2", "ssh-ed25519", b"\0\0\0\x0bssh-ed25519" + b"x" * 36, hash_name=True)
    done = subprocess.run(["ssh-keygen", "-F", "web2", "-f", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0

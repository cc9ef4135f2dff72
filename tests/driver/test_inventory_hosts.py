# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""An Ansible inventory as this command sees it: the same hosts and the same values as ansible-inventory shows."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys
import typing as t

import pytest

from crashready.exits import ToolError
from crashready.inventory_hosts import Asked, NoHosts, Target, read_rack

INI = """
[web]
web[1:3] ansible_user=deploy
web1 ansible_host=10.0.0.1 ansible_port=2201

[db]
db1
db1

[rack:children]
web
db

[rack:vars]
ansible_ssh_common_args=-o ProxyJump=gate -o "UserKnownHostsFile=/a b"
"""


@pytest.fixture(autouse=True)
def quiet(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("ANSIBLE_CONFIG", "ANSIBLE_INVENTORY", "ANSIBLE_REMOTE_USER", "ANSIBLE_TRANSPORT"):
        monkeypatch.delenv(name, raising=False)


def read(path: pathlib.Path | str, **asked: t.Any) -> dict[str, Target]:
    return {target.name: target for target in read_rack([str(path)], Asked(**asked)).targets}


def test_groups_ranges_duplicates_and_options(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "rack"
    path.write_text(INI)
    found = read(path)
    assert sorted(found) == ["db1", "web1", "web2", "web3"]
    assert (found["web1"].address, found["web1"].port, found["web1"].user) == ("10.0.0.1", 2201, "deploy")
    assert (found["db1"].address, found["db1"].port, found["db1"].user) == ("db1", None, None)
    assert found["db1"].ssh_more_args == ("-o", "ProxyJump=gate", "-o", "UserKnownHostsFile=/a b")
    assert "ControlMaster=auto" in found["db1"].ssh_args
    assert found["web1"].check_host_keys
    assert sorted(read(path, limit="web:!web2")) == ["web1", "web3"]
    with pytest.raises(NoHosts, match="--limit nosuch"):
        read(path, limit="nosuch")


def test_directory_with_group_and_host_variables_and_templates(tmp_path: pathlib.Path) -> None:
    rack = tmp_path / "rack"
    (rack / "group_vars").mkdir(parents=True)
    (rack / "host_vars").mkdir()
    (rack / "hosts.yml").write_text("all: {children: {rack: {hosts: {a: , b: }}}}\n")
    (rack / "more").write_text("c\n")
    (rack / "group_vars" / "rack.yml").write_text(
        "zone: example.org\nansible_host: '{{ inventory_hostname }}.{{ zone }}'\nansible_become: yes\n"
        "ansible_port: '{{ ports[inventory_hostname] | default(22) }}'\nports: {a: 2022}\n"
    )
    (rack / "host_vars" / "b.yml").write_text("ansible_become: no\nansible_host: \"{{ hostvars['a'].zone }}\"\n")
    found = read(rack)
    assert (found["a"].address, found["a"].port) == ("a.example.org", 2022)
    assert found["b"].address == "example.org"
    assert found["a"].become is not None
    assert (found["a"].become.program, found["a"].become.user) == ("sudo", "root")
    assert found["b"].become is None
    assert found["c"].address == "c"


def test_script_inventory(tmp_path: pathlib.Path) -> None:
    script = tmp_path / "rack.py"
    answer = {"rack": {"hosts": ["s1"]}, "_meta": {"hostvars": {"s1": {"ansible_host": "10.9.9.9"}}}}
    script.write_text("#!{0}\nprint({1!r})\n".format(sys.executable, json.dumps(answer)))
    script.chmod(0o755)
    assert read(script)["s1"].address == "10.9.9.9"


def test_host_list_and_several_sources(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "rack"
    path.write_text("a\n")
    rack = read_rack([str(path), "b,c,"], Asked())
    assert [target.name for target in rack.targets] == ["a", "b", "c"]


def test_vault(tmp_path: pathlib.Path) -> None:
    """In a process of its own: Ansible keeps its secrets for the whole process."""
    secret = tmp_path / "secret"
    secret.write_text("open sesame\n")
    vault = [str(pathlib.Path(sys.executable).parent / "ansible-vault")]
    inline = subprocess.run(
        [*vault, "encrypt_string", "--vault-password-file", str(secret), "s3cret", "--name", "ansible_password"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "all.yml").write_text(inline)
    (tmp_path / "group_vars" / "web.yml").write_text("ansible_user: hidden\n")
    subprocess.run(
        [*vault, "encrypt", "--vault-password-file", str(secret), str(tmp_path / "group_vars" / "web.yml")],
        check=True,
        capture_output=True,
    )
    (tmp_path / "rack").write_text("[web]\na\n")
    code = (
        "from crashready.inventory_hosts import *\nfrom crashready.inventory_hosts import Asked\n"
        "t = read_rack([{0!r}], Asked(vault_files={1!r})).targets[0]\nprint(t.password, t.user, '|', t.problem)\n"
    )

    def ran(*files: str) -> str:
        words = [sys.executable, "-c", code.format(str(tmp_path / "rack"), files)]
        return subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout.strip()

    assert ran(str(secret)) == "s3cret hidden |"
    assert "no vault secrets" in ran().lower()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ansible_connection=local", {"by_ansible": "connection plugin local"}),
        ("ansible_connection=containers.podman.podman", {"by_ansible": "connection plugin containers.podman.podman"}),
        ("ansible_connection=paramiko_ssh", {"by_ansible": ""}),
        ("ansible_become=true ansible_become_method=su", {"by_ansible": "privilege escalation by su"}),
        ("ansible_become=true ansible_become_exe='/opt/my sudo'", {"by_ansible": "sudo with words that need quotes"}),
        ("ansible_python_interpreter=/usr/bin/python3.11", {"interpreter": ("/usr/bin/python3.11",)}),
        ("ansible_python_interpreter=auto_silent", {"interpreter": ()}),
        ("ansible_python_interpreter='/usr/bin/env python3'", {"interpreter": ("/usr/bin/env", "python3")}),
        ("ansible_python_interpreter='/opt/py(3)'", {"by_ansible": "the interpreter '/opt/py(3)' needs quotes"}),
        ("ansible_host_key_checking=false", {"check_host_keys": False}),
        ("ansible_ssh_pass=x ansible_ssh_port=7", {"password": "x", "port": 7}),
        ("ansible_ssh_timeout=3", {"connect_timeout_s": 3.0}),
        ("ansible_ssh_private_key_file=~/k", {"key_file": str(pathlib.Path("~/k").expanduser())}),
    ],
)
def test_values(tmp_path: pathlib.Path, line: str, expected: dict[str, t.Any]) -> None:
    path = tmp_path / "rack"
    path.write_text("a {0}\n".format(line))
    target = read(path)["a"]
    assert not target.problem
    assert {key: getattr(target, key) for key in expected} == expected


def test_configuration_of_ansible_counts(tmp_path: pathlib.Path) -> None:
    (tmp_path / "rack").write_text("a\n")
    (tmp_path / "ansible.cfg").write_text(
        "[defaults]\nremote_user = admin\nhost_key_checking = False\nprivate_key_file = /k\n"
        "[privilege_escalation]\nbecome = True\n[ssh_connection]\nssh_args = -o Compression=yes\n"
    )
    code = (
        "from crashready.inventory_hosts import read_rack, Asked\nt = read_rack(['rack'], Asked()).targets[0]\n"
        "print(t.user, t.check_host_keys, t.key_file, t.become.user, t.ssh_args)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path).stdout
    assert out.strip() == "admin False /k root ('-o', 'Compression=yes')"


@pytest.mark.parametrize("value", ["{{ nothing }}", "{{ 1/0 }}", "{{ lookup('file', '/nowhere') }}", "not a number"])
def test_a_value_that_cannot_be_had_is_the_hosts_own_problem(tmp_path: pathlib.Path, value: str) -> None:
    path = tmp_path / "rack.yml"
    path.write_text(json.dumps({"all": {"hosts": {"bad": {"ansible_port": value}, "good": {}}}}))
    found = read(path)
    assert found["bad"].problem
    assert not found["good"].problem


@pytest.mark.parametrize(
    "text", ["[a:children]\nb\n[b:children]\na\n", "[a\nb", "plugin: nosuch\n", "- just\n- a list\n"]
)
def test_an_inventory_that_cannot_be_read_names_no_host(tmp_path: pathlib.Path, text: str) -> None:
    path = tmp_path / "rack.yml"
    path.write_text(text)
    with pytest.raises((NoHosts, ToolError)):
        read(path)
    with pytest.raises(NoHosts, match="there is no inventory"):
        read(tmp_path / "missing")


def test_ten_thousand_hosts(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "rack"
    path.write_text("[rack]\nh[00001:10000]\n[rack:vars]\nansible_port=22\n")
    found = read(path)
    assert len(found) == 10000
    assert found["h09999"].port == 22


def test_extra_variables_win(tmp_path: pathlib.Path) -> None:
    """In a process of its own: Ansible reads them once."""
    (tmp_path / "rack").write_text("a ansible_port=1 crashready_pairings_dirs='[\"/x\"]'\n")
    code = (
        "from crashready.inventory_hosts import read_rack, Asked\n"
        "t = read_rack(['rack'], Asked(extra_vars=('ansible_port=2',), variables=('crashready_pairings_dirs',)))\n"
        "print(t.targets[0].port, dict(t.targets[0].variables))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path).stdout
    assert out.strip() == "2 {'crashready_pairings_dirs': ['/x']}"

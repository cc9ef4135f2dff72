# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""A host that lies, through everything that shows it: terminal, page, JSON, metrics, files, commands to copy.

docs/security.md promises what is tested here. What a browser makes of such a page is in tests/page.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import html.parser
import io
import json
import os
import pathlib
import re
import stat
import time
import types
import typing as t

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from crashready import cli, metrics, pairings
from crashready._core import metrics as families
from crashready.fanout.connect import _with_tokens
from crashready.fanout.outcome import Failure, Outcome, pack_facts
from crashready.fanout.rack_facts import save, show_table, write_json

ROOT = pathlib.Path(__file__).resolve().parents[2]
TREES = ROOT / "tests" / "unit" / "cases" / "trees"

#: What moves a cursor, hides or reorders text, or ends a line; as `_core/text.py` has it, and some more.
CONTROLS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")

EVIL = {
    "colours": "\x1b[2J\x1b[31mwell\x1b[0m",
    "a title for the window": "\x1b]0;owned\x07\x9b31m",
    "a line of its own": "a\r\nstore9  well  armed\n\x85\x0b\x0c\u2028b",
    "from right to left": "\u202edemra\u202c\u2066x\u2069\ufeff",
    "a script": "</script><script>alert(1)</script><img src=x onerror=alert(1)>",
    "an attribute": "\"'><svg onload=alert(1)>",
    "markup of rich": "[red]well[/red][link=file:///etc/passwd]x[/link]",
    "a shell": "x; touch owned; $(touch owned) `touch owned` && 'touch owned' | \"touch owned\"",
    "a template": "{{ lookup('ansible.builtin.pipe', 'touch owned') }}{% for x in y %}",
    "a path": "../../../../tmp/owned\x00.json",
    "a label": 'a"} 1\ncrashready_armed{host="b"} 1\n# EOF\n',
    "half of a surrogate": "\ud800\udfff",
    "very long": "A\x1b[31m" * 4_000,
    "a very long word": "\u0416" * 20_000,
}


HARDEN = "run harden-crash.yml for this host"


def recorded(name: str = "x710-da4") -> dict[str, t.Any]:
    """Facts of a host that has everything, so that every field can lie."""
    nics = json.loads((TREES / (name + ".expected.json")).read_text(encoding="utf-8"))["nics"]
    return {
        "schema": 1,
        "os": {"id": "debian", "version_id": "13", "pretty_name": "Debian GNU/Linux 13 (trixie)", "unread": {}},
        "nics": nics,
        "kernel": {
            "release": "6.12.57+deb13-amd64",
            "machine": "x86_64",
            "package": "linux-image-6.12.57+deb13-amd64",
            "package_version": "6.12.57-1",
            "upstream_version": "6.12.57",
            "stream": "stable",
            "boot_loader": "grub",
            "firmware_type": "efi",
            "next_boot": {"release": "6.12.57+deb13-amd64", "reason": "the first entry"},
            "taint": {"value": 512, "flags": ["W"]},
            "unread": {"lockdown": "permission denied (not root)"},
        },
        "capture": {
            "applicable": True,
            "armed": False,
            "reserved_bytes": 268435456,
            "suggested_bytes": 536870912,
            "proven": None,
            "config": {"KDUMP_COREDIR": "/var/crash"},
            "space": {"path": "/var/crash", "free_bytes": 1, "needed_bytes": 2, "reason": "measured"},
            "problems": [{"id": "not_armed", "severity": "error", "gap": "G2", "message": "none", "remedy": HARDEN}],
            "channels": [{"name": "pstore", "armed": False, "reason": "no store is registered"}],
            "unread": {"proven": "no drill is recorded on this host"},
        },
        "crashes": [
            {
                "path": "/var/crash/202611231305",
                "stamp": "202611231305",
                "valid": False,
                "reason": "cut",
                "record": {"kind": "bug", "function": "f", "driver": "i40e", "path": "nic_rx", "signature": {}},
            }
        ],
        "unread": {"candidates": "not asked for"},
    }


def lying(value: t.Any, lie: t.Any, names: bool = False) -> t.Any:
    """The same with every text replaced; `names`: keys of what could not be read too."""
    if isinstance(value, dict):
        return {
            (lie if names and key in ("lockdown", "proven", "candidates") and isinstance(lie, str) else key): lying(
                each, lie, names
            )
            for key, each in value.items()
        }
    if isinstance(value, list):
        return [lying(each, lie, names) for each in value]
    return lie if isinstance(value, str) else value


class Done(t.NamedTuple):
    code: int
    out: str
    err: str


def crashready(*words: str) -> Done:
    """The command in this process: what it would print, and no exception may leave it."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.main(list(words))
    return Done(code, out.getvalue(), err.getvalue())


def folder_of(place: pathlib.Path, facts: t.Any, name: str = "store1") -> pathlib.Path:
    folder = place / "facts"
    folder.mkdir(exist_ok=True)
    (folder / (name + ".json")).write_text(json.dumps(facts))
    return folder


class Page(html.parser.HTMLParser):
    """What a browser would see as tags."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.update(name for name, _value in attrs)


@pytest.fixture(scope="module", autouse=True)
def _one_database() -> t.Iterator[None]:
    """The shipped entries are read once: hosts have no part in them."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(pairings, "load_database", functools.lru_cache(pairings.load_database))
        yield


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Page:
    place = tmp_path_factory.mktemp("honest")
    folder = folder_of(place, recorded())
    crashready("report", "--from", str(folder), "--no-store", "--html", str(place / "page.html"))
    return Page((place / "page.html").read_text(encoding="utf-8"))


@pytest.fixture(params=EVIL.values(), ids=EVIL.keys())
def evil(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_terminal(tmp_path: pathlib.Path, evil: str) -> None:
    """No control character, no line of the host's making, no sea of text; and the host is not shown as well."""
    folder = folder_of(tmp_path, lying(recorded(), evil, names=True))
    for words in (["check"], ["report", "--no-store"]):
        done = crashready(*words, "--from", str(folder))
        assert done.code in (1, 2), done.err
        assert not CONTROLS.search(done.out + done.err)
        assert not re.search(r"(?m)^store9", done.out)
        assert not re.search(r"(?m)^store1 +well", done.out)
        assert len(done.out) < 60_000


def test_facts_of_a_rack(tmp_path: pathlib.Path, evil: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The table, the JSON and the saved files, with a host's name that lies as well."""
    facts = lying(recorded(), evil, names=True)
    name = evil[:60]  # the inventory's
    outcomes = {name: Outcome(name, "ssh", packed=pack_facts(facts)), "b": Outcome("b", "ssh", cause="lost", says=evil)}
    show_table(outcomes)
    shown = capsys.readouterr().out
    assert not CONTROLS.search(shown)
    assert not re.search(r"(?m)^store9", shown)
    assert len(shown) < 60_000
    stream = io.StringIO()
    write_json(outcomes, stream)
    assert not CONTROLS.search(stream.getvalue())
    assert len(json.loads(stream.getvalue())["hosts"]) == 2
    save(tmp_path / "kept", outcomes.values())
    (file,) = (tmp_path / "kept").iterdir()
    assert (file.parent, stat.S_IMODE(file.stat().st_mode)) == (tmp_path / "kept", 0o600)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_page(tmp_path: pathlib.Path, evil: str, honest: Page) -> None:
    """The tags of the page are those of a page about an honest host."""
    folder = folder_of(tmp_path, lying(recorded(), evil, names=True))
    done = crashready("report", "--from", str(folder), "--no-store", "--html", str(tmp_path / "page.html"))
    assert done.code in (1, 2), done.err
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    seen = Page(text)
    assert set(seen.tags) <= set(honest.tags)
    assert seen.tags.count("script") == honest.tags.count("script")
    assert not {name for name in seen.attributes - honest.attributes if name.startswith("on") or name == "style"}
    assert not CONTROLS.search(text)
    assert len(text) < 400_000
    assert stat.S_IMODE((tmp_path / "page.html").stat().st_mode) == 0o600


def test_json(tmp_path: pathlib.Path, evil: str) -> None:
    folder = folder_of(tmp_path, lying(recorded(), evil, names=True))
    for words in (["check", "--json"], ["report", "--no-store", "--json"]):
        done = crashready(*words, "--from", str(folder))
        assert not CONTROLS.search(done.out)
        json.loads(done.out)
        assert len(done.out) < 200_000


def test_commands_to_copy(tmp_path: pathlib.Path, evil: str) -> None:
    """A command names the host, which an inventory named, and nothing that the host said."""
    folder = folder_of(tmp_path, lying(recorded(), evil))
    done = crashready("report", "--no-store", "--json", "--from", str(folder))
    for command in _commands(done):
        assert re.fullmatch(r"[A-Za-z0-9 _./:=,@+'-]+", command), command
        assert "owned" not in command


def _commands(done: Done) -> list[str]:
    return [command for remedy in json.loads(done.out)["remedies"] for command in remedy["commands"]]


def test_an_honest_host_has_a_command(tmp_path: pathlib.Path) -> None:
    """Else there would be nothing to attack."""
    done = crashready("report", "--no-store", "--json", "--from", str(folder_of(tmp_path, recorded())))
    assert any("store1" in command for command in _commands(done))


def test_metrics(evil: str) -> None:
    """What Prometheus reads are our families, of this one host, and no more lines than an honest host has."""
    told, lied = ([*_samples("store1", facts)] for facts in (recorded(), lying(recorded(), evil)))
    assert set(lied) <= {family.name for family in families.FAMILIES}
    assert len(lied) <= len(told) + 20
    with_name = _exposition(evil, lying(recorded(), evil))
    assert not CONTROLS.search(with_name)
    hosts = {sample.labels.get("host") for sample in _read(with_name) if "rack" not in sample.name}
    assert len(hosts) == 1


def _exposition(host: str, facts: t.Any) -> str:
    judge = metrics.Judge(types.SimpleNamespace(dir=(), waivers=None))  # type: ignore[arg-type]
    values: metrics.Values = {}
    now = time.time()
    metrics._add(values, host, metrics._samples(judge, host, facts, {}, now))
    exporter = metrics.Exporter()
    assert exporter.take(metrics.Answer(values, 1, 1, now, 1.0))
    return metrics.render(exporter).decode("utf-8")


def _read(text: str) -> list[t.Any]:
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


def _samples(host: str, facts: t.Any) -> list[str]:
    return [sample.name for sample in _read(_exposition(host, facts)) if sample.labels.get("host") == host]


# --- shapes that no host has -----------------------------------------------------------------------------------------

_DEEP: list[t.Any] = []
for _level in range(300):
    _DEEP = [_DEEP]
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([10**400, -1, float("nan"), float("inf"), 1e308, "", "0", [], {}, _DEEP, [None], {"": None}]),
    st.text(max_size=30),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=5), st.none(), max_size=3),
)


def _places(value: t.Any, path: tuple[t.Any, ...] = ()) -> t.Iterator[tuple[t.Any, ...]]:
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in items:
        yield from _places(each, (*path, key))


PLACES = sorted(_places(recorded()), key=str)


@given(st.lists(st.tuples(st.sampled_from(PLACES), ODD), min_size=1, max_size=3))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_shape_of_facts_is_judged_or_refused(
    tmp_path: pathlib.Path, changes: list[tuple[tuple[t.Any, ...], t.Any]]
) -> None:
    """A field that is of another kind than it can be: no traceback, and never well because of it."""
    facts = copy.deepcopy(recorded())
    for path, odd in changes:
        place: t.Any = facts
        with contextlib.suppress(KeyError, IndexError, TypeError):
            for key in path[:-1]:
                place = place[key]
            place[path[-1]] = odd
    folder = folder_of(tmp_path, facts)
    for words in (["check"], ["check", "--json"], ["report", "--no-store"], ["report", "--no-store", "--json"]):
        done = crashready(*words, "--from", str(folder))
        assert done.code in (0, 1, 2), (words, done.err)
        assert not CONTROLS.search(done.out)
    _read(_exposition("store1", facts))


# --- commands that do start a shell ----------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["a b", "a;b", "$(touch owned)", "`x`", "-oProxyCommand=x", "a\nb", "a|b", "", "a'b"])
@pytest.mark.parametrize("field", ["address", "user"])
def test_a_proxy_command_gets_no_name_that_a_shell_reads(field: str, word: str) -> None:
    options = {"address": "192.0.2.1", "user": "root", "port": 22, "proxy_command": "nc %h %p", field: word}
    with pytest.raises(Failure, match="cannot be given to a proxy command"):
        _with_tokens(types.SimpleNamespace(**options))  # type: ignore[arg-type]


def test_an_honest_name_is_filled_in() -> None:
    options = types.SimpleNamespace(address="2001:db8::1", user="me", port=22, proxy_command="nc %% %h %p")
    assert _with_tokens(options) == "nc % 2001:db8::1 22"  # type: ignore[arg-type]


def test_nothing_of_it_was_run(tmp_path: pathlib.Path) -> None:
    """Where the templates and shell words above would have left their file."""
    folder = folder_of(tmp_path, lying(recorded(), EVIL["a template"] + EVIL["a shell"]))
    crashready("report", "--from", str(folder), "--no-store")
    assert not [place for place in (pathlib.Path.cwd(), tmp_path, folder) if (place / "owned").exists()]
    assert not os.path.exists("/tmp/owned.json")

# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""What a release consists of (tools/release) and what it says it is made of (tools/sbom)."""

from __future__ import annotations

import hashlib
import importlib.machinery
import importlib.util
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import types
import typing as t
import zipfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
KEY = "release@example.org"


def run(*argv: str | pathlib.Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in argv],
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def load(name: str) -> types.ModuleType:
    """A program of tools/ as a module; it has no suffix, and no byte code is left beside it."""
    loader = importlib.machinery.SourceFileLoader("tools_" + name, str(ROOT / "tools" / name))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = before
    return module


SBOM = load("sbom")

# --- what it is made of ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def document() -> dict[str, t.Any]:
    return json.loads(SBOM.render(ROOT))


def test_required_fields_of_the_schema(document: dict[str, t.Any]) -> None:
    """What bom-1.6.schema.json asks for in the objects that are used, with its patterns."""
    assert (document["bomFormat"], document["specVersion"], document["version"]) == ("CycloneDX", "1.6", 1)
    assert re.fullmatch(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", document["serialNumber"])
    for component in [document["metadata"]["component"], *document["components"]]:
        assert component["type"] in ("application", "library")
        assert component["name"]
        assert component["purl"] == "pkg:pypi/{0}@{1}".format(component["name"], component["version"])
        for reference in component.get("externalReferences", ()):
            assert (reference["type"], reference["url"][:8]) == ("distribution", "https://")
            contents = [(digest["alg"], digest["content"]) for digest in reference["hashes"]]
            assert all(alg == "SHA-256" and re.fullmatch("[a-f0-9]{64}", content) for alg, content in contents)
            assert len(set(contents)) == len(contents)
    refs = [each["bom-ref"] for each in (document["metadata"]["component"], *document["components"])]
    assert len(set(refs)) == len(refs)
    named = [(each["ref"], each["dependsOn"]) for each in document["dependencies"]]
    assert {name for ref, names in named for name in (ref, *names)} <= set(refs)
    (unknown,) = document["compositions"]
    assert (unknown["aggregate"], set(unknown["dependencies"])) == ("unknown", set(refs[1:]))


def test_it_is_the_lock(document: dict[str, t.Any]) -> None:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    told = {"{0}=={1}".format(each["name"], each["version"]) for each in document["components"]}
    assert told == set(re.findall(r"(?m)^([a-z0-9._-]+==[^\s;]+)", text))
    digests = {
        digest["content"]
        for each in document["components"]
        for reference in each["externalReferences"]
        for digest in reference["hashes"]
    }
    assert digests == set(re.findall(r"sha256:([0-9a-f]{64})", text))
    conditions = {
        each["name"]: each["properties"][0]["value"] for each in document["components"] if "properties" in each
    }
    assert conditions["drgn"] == "platform_machine == 'x86_64' and sys_platform == 'linux'"


def test_what_is_asked_for_is_told_and_tools_of_developers_are_not(document: dict[str, t.Any]) -> None:
    (own,) = document["dependencies"]
    names = {re.split("[/@]", ref)[1] for ref in own["dependsOn"]}
    assert {"ansible-core", "ansible-runner", "pyyaml", "sqlalchemy"} <= names
    assert not names & {"pytest", "mypy", "attrs"}


def test_same_lock_same_bytes_and_another_lock_another_serial() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    project = {"project": {"description": "x", "license": "GPL-3.0-or-later", "dependencies": ["PyYAML>=6"]}}
    first = SBOM.build(lock, project, "1.0")
    assert SBOM.build(lock, project, "1.0") == first
    for other in (SBOM.build(lock, project, "1.1"), SBOM.build(lock.replace("6.0.3", "6.0.4"), project, "1.0")):
        assert other["serialNumber"] != first["serialNumber"]
    assert first["dependencies"][0]["dependsOn"] == ["pkg:pypi/pyyaml@6.0.3"]
    assert SBOM.render(ROOT) == SBOM.render(ROOT)


@pytest.mark.parametrize(
    ("lock", "says"),
    [
        ("", "no package"),
        ("attrs>=26\n", "attrs>=26"),
        ("attrs==26.1.0\n", "with digests"),
        ("attrs==26.1.0 --hash=md5:" + "0" * 32 + "\n", "with digests"),
        ("-r other.lock\n", "-r other.lock"),
        ("attrs @ file:///tmp/x --hash=sha256:" + "0" * 64 + "\n", "attrs @"),
    ],
)
def test_a_lock_that_pins_less_is_refused(lock: str, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        SBOM.parse_lock(lock)


@pytest.mark.parametrize("words", [["one", "two"], ["--help"]])
def test_wrong_usage_of_the_sbom(words: list[str]) -> None:
    assert SBOM.main(words) == 3


# --- the release -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def gnupg() -> t.Iterator[str]:
    """A home of gpg with a key that nobody knows; short, because a path of a socket has at most 108 characters."""
    if not shutil.which("gpg"):
        pytest.skip("gpg is not here: apt-get install gnupg")
    with tempfile.TemporaryDirectory(prefix="gpg-", ignore_cleanup_errors=True) as home:
        made = run(
            *("gpg", "--batch", "--passphrase", "", "--quick-generate-key", KEY, "ed25519", "sign", "1d"),
            GNUPGHOME=home,
        )
        assert made.returncode == 0, made.stderr
        yield home
        run("gpgconf", "--kill", "all", GNUPGHOME=home)


@pytest.fixture(scope="module")
def release(gnupg: str, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("release") / "new"
    done = run(sys.executable, ROOT / "tools/release", "--uncommitted", "--key", KEY, folder, GNUPGHOME=gnupg)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (folder / "SHA256SUMS").read_text()
    return folder


slow = pytest.mark.slow


@slow
def test_sums_name_every_file_and_are_right(release: pathlib.Path) -> None:
    lines = [line.split("  ") for line in (release / "SHA256SUMS").read_text().splitlines()]
    assert {name for _sum, name in lines} == {path.name for path in release.iterdir() if "SHA256" not in path.name}
    assert len(lines) == 5
    for told, name in lines:
        assert hashlib.sha256((release / name).read_bytes()).hexdigest() == told


@slow
def test_signature_is_good_until_a_sum_is_changed(release: pathlib.Path, gnupg: str, tmp_path: pathlib.Path) -> None:
    signature = release / "SHA256SUMS.asc"
    good = run("gpg", "--batch", "--verify", signature, release / "SHA256SUMS", GNUPGHOME=gnupg)
    assert good.returncode == 0, good.stderr
    text = (release / "SHA256SUMS").read_text()
    (tmp_path / "SHA256SUMS").write_text(("1" if text[0] == "0" else "0") + text[1:])
    assert run("gpg", "--batch", "--verify", signature, tmp_path / "SHA256SUMS", GNUPGHOME=gnupg).returncode == 1


@slow
def test_artefacts_have_the_version_and_nothing_that_lay_about(release: pathlib.Path) -> None:
    (version,) = re.findall(r"(?m)^version: (\S+)$", (ROOT / "galaxy.yml").read_text())
    with zipfile.ZipFile(release / "crashready-{0}-py3-none-any.whl".format(version)) as wheel:
        names = wheel.namelist()
    assert "ansible_collections/rackops/crashready/galaxy.yml" in names
    with tarfile.open(release / "crashready-{0}.tar.gz".format(version)) as archive:
        source = archive.getnames()
    assert "crashready-{0}/requirements.lock".format(version) in source
    with tarfile.open(release / "rackops-crashready-{0}.tar.gz".format(version)) as archive:
        collection = archive.getnames()
    assert "MANIFEST.json" in collection
    for every in (names, source, collection):
        assert not [name for name in every if re.search(r"(^|/)(\.venv|\.git|\.nox|__pycache__)/|\.pyc$", name)]
    told = json.loads((release / "crashready-{0}.cdx.json".format(version)).read_text())
    assert told["metadata"]["component"]["version"] == version
    assert os.access(release / "crashready-facts-{0}".format(version), os.X_OK)


def test_a_folder_with_something_in_it_is_refused(tmp_path: pathlib.Path) -> None:
    (tmp_path / "old.whl").write_text("")
    done = run(sys.executable, ROOT / "tools/release", "--uncommitted", tmp_path)
    assert (done.returncode, done.stdout) == (4, "")
    assert "is not empty" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["old.whl"]


@pytest.mark.parametrize("words", [[], ["--key"], ["one", "two"]])
def test_wrong_usage_of_the_release(words: list[str]) -> None:
    assert run(sys.executable, ROOT / "tools/release", *words).returncode == 3


def test_a_checkout_with_changes_is_no_release(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tool = load("release")
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    run("git", "init", "--quiet", checkout)
    (checkout / "new.txt").write_text("x")
    monkeypatch.setattr(tool, "ROOT", checkout)
    with pytest.raises(tool.Failed, match=r"1 changes, such as: \?\? new.txt"):
        tool.copy_sources(tmp_path / "copy", uncommitted=False)
    (tmp_path / "copy").mkdir()
    tool.copy_sources(tmp_path / "copy", uncommitted=True)
    assert [path.name for path in (tmp_path / "copy").iterdir()] == ["new.txt"]


def test_a_key_that_nobody_has_signs_nothing(gnupg: str, tmp_path: pathlib.Path) -> None:
    tool = load("release")
    (tmp_path / "SHA256SUMS").write_text("")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GNUPGHOME", gnupg)
        with pytest.raises(tool.Failed, match=r"nobody@example.org|No secret key"):
            tool.sign(tmp_path / "SHA256SUMS", "nobody@example.org")
    assert not (tmp_path / "SHA256SUMS.asc").exists()

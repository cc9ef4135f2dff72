# Copyright: (c) 2026, The Crashready authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# SPDX-FileCopyrightText: 2026, The Crashready authors
"""The page of `crashready report` in a real browser: filters, keyboard, colours, a phone, hostile texts, many hosts.

Chromium and its driver are Debian's packages. The step `page` of `crashready test` installs them; where they are
missing the tests are skipped, and say so.
"""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import time
import typing as t

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait

from crashready._core import rack_view
from crashready.report_html import page

Row = dict[str, t.Any]
Chrome = webdriver.Chrome

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not CHROMIUM or not DRIVER, reason="needs the packages chromium and chromium-driver")

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
    "--window-size=1280,900",
)
#: Where to write the pictures of the README: docs/pictures, when the page has changed.
PICTURES = os.environ.get("CRASHREADY_PICTURES")
#: What a picture may weigh in the repository.
PICTURE_BYTES = 150_000


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[Chrome]:
    options = Options()
    options.binary_location = str(CHROMIUM)
    for flag in (*FLAGS, "--user-data-dir={0}".format(tmp_path_factory.mktemp("browser"))):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    # With the path named, selenium looks for no driver on the network.
    chrome = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
    yield chrome
    chrome.quit()


@pytest.fixture(scope="module")
def written(report: Row, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(page(report, "Rack report"), encoding="utf-8")
    return path


def show(browser: Chrome, path: pathlib.Path, width: int = 1280, height: int = 900, dark: bool = False) -> None:
    """Open a page as new, in a window of this size; nothing that an earlier test chose counts."""
    screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    for log in ("browser", "performance"):
        browser.get_log(log)
    browser.get(path.as_uri())
    browser.execute_script("localStorage.clear()")
    browser.refresh()
    until(browser, lambda: "hosts shown" in browser.find_element(By.ID, "count").text)


def until(browser: Chrome, holds: t.Callable[[], t.Any]) -> t.Any:
    return WebDriverWait(browser, 30).until(lambda _browser: holds())


@pytest.fixture
def opened(browser: Chrome, written: pathlib.Path) -> Chrome:
    show(browser, written)
    return browser


def said(browser: Chrome) -> str:
    return browser.find_element(By.ID, "count").text


def cells(browser: Chrome) -> list[WebElement]:
    return browser.find_elements(By.CSS_SELECTOR, "#grid .cell")


# --- filters ---------------------------------------------------------------------------------------------------------


def test_filters_leave_what_they_say(opened: Chrome, report: Row) -> None:
    assert said(opened) == "All 42 hosts shown"
    until(opened, lambda: len(cells(opened)) == 42)
    opened.find_element(By.CSS_SELECTOR, "input[value=well]").click()
    left = report["summary"]["hosts"] - report["summary"]["states"]["well"]
    until(opened, lambda: said(opened) == "{0} of 42 hosts shown".format(left))
    until(opened, lambda: len(cells(opened)) == left)
    rows = opened.find_elements(By.CSS_SELECTOR, "#rows tr")
    assert len(rows) == left
    assert not opened.find_elements(By.CSS_SELECTOR, "#rows .chip.well")
    opened.find_element(By.ID, "text").send_keys("VIRT9.example")
    until(opened, lambda: said(opened) == "1 of 42 hosts shown")
    assert "permission denied" in opened.find_element(By.ID, "rows").text
    opened.find_element(By.ID, "reset").click()
    until(opened, lambda: said(opened) == "All 42 hosts shown")
    Select(opened.find_element(By.ID, "driver")).select_by_value("atlantic")
    until(opened, lambda: said(opened) == "2 of 42 hosts shown")
    shown = [line for line in opened.find_elements(By.CSS_SELECTOR, "#matrix tbody tr") if line.is_displayed()]
    assert [line.get_attribute("data-driver") for line in shown] == ["atlantic"]
    status = opened.find_element(By.ID, "count")
    assert (status.get_attribute("role"), status.get_attribute("aria-live")) == ("status", "polite")


def test_more_hosts_come_on_demand(opened: Chrome) -> None:
    rows = opened.find_elements(By.CSS_SELECTOR, "#rows tr")
    more = opened.find_element(By.ID, "more")
    assert (len(rows), more.text) == (25, "Show more hosts (17 left)")
    opened.execute_script("arguments[0].click()", more)
    assert len(opened.find_elements(By.CSS_SELECTOR, "#rows tr")) == 42
    assert not more.is_displayed()


def test_the_keyboard_reaches_everything(opened: Chrome) -> None:
    reached: list[str] = []
    for _step in range(60):
        ActionChains(opened).send_keys(Keys.TAB).perform()
        active = opened.switch_to.active_element
        name = active.get_attribute("id") or active.get_attribute("value") or active.get_attribute("class") or ""
        reached.append(name)
        if active.get_attribute("data-host") and "plain" in name:
            break
    wanted = ["theme", "bad", "unknown", "suspect", "well", "text", "driver", "reset"]
    assert [name for name in reached if name in wanted] == wanted, reached
    assert sum(name.startswith("cell") for name in reached) == 3, "one stop for each rack, arrows inside of it"
    first = cells(opened)[0]
    first.send_keys(Keys.ARROW_RIGHT)
    assert opened.switch_to.active_element == cells(opened)[1]
    opened.switch_to.active_element.send_keys(Keys.END)
    last = opened.switch_to.active_element
    assert "unit 2" in (last.get_attribute("aria-label") or "")
    last.send_keys(Keys.ENTER)
    dialog = opened.find_element(By.ID, "one")
    until(opened, dialog.is_displayed)
    assert "store1.example.org" in dialog.text
    ActionChains(opened).send_keys(Keys.ESCAPE).perform()
    until(opened, lambda: not dialog.is_displayed())
    assert opened.switch_to.active_element == last, "back to where it was opened"


def test_commands_can_be_copied(opened: Chrome, report: Row) -> None:
    button = opened.find_element(By.CSS_SELECTOR, "#remedies [data-copy]")
    command = opened.find_element(By.ID, str(button.get_attribute("data-copy")))
    assert command.text == report["remedies"][0]["commands"][0]
    button.send_keys(Keys.ENTER)
    until(opened, lambda: opened.find_element(By.ID, "said").get_attribute("textContent") == "Copied")


# --- colours and sizes -----------------------------------------------------------------------------------------------

#: Contrast (WCAG 2.2, 1.4.3) of every element with text of its own, by the colours that are computed for it.
CONTRAST = """
const parse = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
const over = (top, below) => {
  const alpha = top.length > 3 ? top[3] : 1;
  return [0, 1, 2].map((at) => top[at] * alpha + below[at] * (1 - alpha));
};
const light = (colour) => {
  const [r, g, b] = colour.map((part) => {
    const share = part / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = (element) => {
  const layers = [];
  for (let each = element; each; each = each.parentElement) layers.push(parse(getComputedStyle(each).backgroundColor));
  return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255]);
};
const worst = [];
for (const element of document.body.querySelectorAll("*")) {
  if (element.closest("script, style, noscript, [hidden]") || !element.getClientRects().length) continue;
  const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
  if (!own && !element.matches("input[type=search], select")) continue;
  const style = getComputedStyle(element);
  const back = behind(element);
  const front = over(parse(element.closest("svg") ? style.fill : style.color), back);
  const [high, low] = [light(front), light(back)].sort((one, other) => other - one);
  const about = element.tagName + "." + element.className + " " + element.textContent.slice(0, 40);
  worst.push([(high + 0.05) / (low + 0.05), about]);
}
return [worst.length, worst.sort((one, other) => one[0] - other[0]).slice(0, 3)];
"""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_texts_have_contrast(browser: Chrome, written: pathlib.Path, dark: bool) -> None:
    show(browser, written, dark=dark)
    until(browser, lambda: len(cells(browser)) == 42)
    looked_at, worst = browser.execute_script(CONTRAST)
    assert looked_at > 150
    assert worst[0][0] >= 4.5, worst


def background(browser: Chrome) -> str:
    return str(browser.execute_script("return getComputedStyle(document.body).backgroundColor"))


def test_colours_follow_the_system_and_the_switch(browser: Chrome, written: pathlib.Path) -> None:
    show(browser, written)
    light = background(browser)
    switch = Select(browser.find_element(By.ID, "theme"))
    switch.select_by_value("dark")
    dark = background(browser)
    assert dark != light
    browser.refresh()
    assert background(browser) == dark, "what was chosen is remembered"
    Select(browser.find_element(By.ID, "theme")).select_by_value("")
    assert background(browser) == light
    show(browser, written, dark=True)
    assert background(browser) == dark
    Select(browser.find_element(By.ID, "theme")).select_by_value("light")
    assert background(browser) == light


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_nothing_is_wider_than_the_screen(browser: Chrome, written: pathlib.Path, width: int) -> None:
    show(browser, written, width=width, height=800)
    wide = browser.execute_script("return [document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide[0] <= wide[1] <= width
    small = browser.execute_script(
        "return [...document.querySelectorAll('button:not(.plain), select, input[type=search]')]"
        ".filter((each) => each.getClientRects().length && each.getBoundingClientRect().height < 24).length"
    )
    assert small == 0, "targets of at least 24 px (WCAG 2.2, 2.5.8)"


# --- what a machine asks of a page -----------------------------------------------------------------------------------

#: Controls without a name, tables without caption or scopes, images without one, ids that are there twice, levels of
#: headings that are left out, references that lead nowhere.
FAULTS = """
const faults = [];
const named = (element) => {
  const by = (element.getAttribute("aria-labelledby") || "").split(/\\s+/).filter(Boolean);
  for (const id of by) if (!document.getElementById(id)) faults.push(`aria-labelledby: no ${id}`);
  const labels = element.labels ? [...element.labels].map((label) => label.textContent).join("") : "";
  const told = by.map((id) => document.getElementById(id)?.textContent || "").join("");
  const own = element.matches("button, a, summary, svg") ? element.textContent : "";
  return (element.getAttribute("aria-label") || told || labels || own).trim();
};
const parts = "a, button, input, select, summary, svg, [role=region], [role=search], dialog[open]";
for (const element of document.querySelectorAll(parts)) {
  if (!named(element)) faults.push("no name: " + element.outerHTML.slice(0, 80));
}
for (const table of document.querySelectorAll("table")) {
  if (!table.caption?.textContent.trim()) faults.push("a table without a caption");
  for (const head of table.querySelectorAll("th")) if (!head.scope) faults.push("no scope: " + head.textContent);
}
const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
if (new Set(ids).size !== ids.length) faults.push("an id twice");
let level = 0;
for (const heading of document.querySelectorAll("main h2, main h3, header h1")) {
  const now = Number(heading.tagName[1]);
  if (now > level + 1) faults.push("a level of headings is left out: " + heading.textContent);
  level = now;
}
if (document.documentElement.lang !== "en" || !document.title) faults.push("no language or no title");
for (const one of ["main", "h1"]) if (document.querySelectorAll(one).length !== 1) faults.push("not one " + one);
for (const link of document.querySelectorAll("a")) {
  if (!document.getElementById(link.getAttribute("href").slice(1))) faults.push("a link to nowhere: " + link.href);
}
for (const cell of document.querySelectorAll(".cell, .chip")) {
  if (!/[^\\s]/.test(cell.textContent)) faults.push("a state by colour alone");
}
return faults;
"""


def test_everything_has_a_name(opened: Chrome) -> None:
    until(opened, lambda: len(cells(opened)) == 42)
    opened.execute_script("document.querySelectorAll('details').forEach((each) => each.open = true)")
    assert opened.execute_script(FAULTS) == []
    opened.execute_script("document.querySelector('.cell').click()")
    assert opened.execute_script(FAULTS) == []


def test_no_request_and_no_error(browser: Chrome, written: pathlib.Path) -> None:
    show(browser, written)
    browser.execute_script("document.querySelectorAll('[data-copy], .cell, #more').forEach((each) => each.click())")
    assert browser.get_log("browser") == []
    asked = []
    for entry in browser.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            asked.append(message["params"]["request"]["url"])
    assert set(asked) - {written.as_uri()} <= {"data:,"}
    # And none could be made: the policy refuses what a script, a style or an image would fetch.
    refused = browser.execute_async_script(
        "const done = arguments[0]; fetch('https://example.org/').then(() => done(false), () => done(true));"
    )
    assert refused is True


HOSTILE = (
    "</script><script>document.title='owned'</script>",
    "<img src=x onerror=\"document.title='owned'\">",
    "'\"><svg onload=document.title='owned'>",
    "{{ 7 * 7 }}{% raw %}",
    "\x1b[31mred\u202eevil\u2028line",
    "<!--<script>",
)


@pytest.mark.parametrize("evil", HOSTILE)
def test_texts_of_hosts_stay_texts(
    browser: Chrome, row_of: t.Callable[..., Row], kit: t.Any, tmp_path: pathlib.Path, evil: str
) -> None:
    facts = kit.facts_of((*kit.X710[:3], evil, evil), (evil, evil, evil), armed=False)
    facts["capture"]["problems"].append({"id": evil, "severity": "error", "message": evil, "remedy": evil})
    facts["nics"][0]["name"] = evil
    rows = [row_of(evil, facts, crashready_rack_name=evil, crashready_rack_unit=evil), row_of("b", None, evil)]
    died = kit.crash(evil, "2026-11-01", evil, kind=evil, path=evil, driver=evil, function=evil, kernel=evil)
    report = rack_view.make_report(rows, "2026-11-23T20:00:00+00:00", [evil], [died])
    path = tmp_path / "report.html"
    path.write_text(page(report, evil), encoding="utf-8")
    show(browser, path)
    until(browser, lambda: len(cells(browser)) == 2)
    browser.execute_script("document.querySelectorAll('.cell').forEach((each) => each.focus())")
    browser.execute_script("document.querySelector('.cell').click()")
    assert browser.title != "owned"
    assert browser.get_log("browser") == []
    assert len(browser.find_elements(By.TAG_NAME, "script")) == 2
    assert not browser.find_elements(By.TAG_NAME, "img")
    assert browser.execute_script("return document.querySelectorAll('[onerror], [onload], [style]').length") == 0
    shown = str(browser.execute_script("return document.body.innerText"))
    assert not set(shown) & set("\x1b\u202e\u2028")
    clean = rows[0]["host"]
    assert clean in shown
    commands = [command for remedy in report["remedies"] for command in remedy["commands"]]
    assert not [command for command in commands if clean in command.split("--limit")[-1]]


# --- soaks -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def with_soaks(kit: t.Any, row_of: t.Callable[..., Row], tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Two experiments, one of them fixed, and one whose texts are hostile."""
    before = [kit.soaked(number, "before", "panic", seconds) for number, seconds in ((1, 88.0), (2, 91.0), (3, 97.0))]
    fixed = kit.judge([*before, kit.soaked(4, "after", "silent", 3600.0)])
    lost = kit.judge([*before, kit.soaked(5, "after", "lost", 30.0)], name="lost-again")
    evil = kit.judge([kit.soaked(6, "before", "panic", 90.0, peer=HOSTILE[0], driver=HOSTILE[1])], name=HOSTILE[2])
    rows = [row_of("store4.example.org", kit.facts_of(kit.X710)), row_of("store5.example.org", kit.facts_of(kit.X710))]
    report = rack_view.make_report(rows, "2026-11-23T20:00:00+00:00", experiments=[fixed, lost, evil])
    path = tmp_path_factory.mktemp("soaks") / "report.html"
    path.write_text(page(report, "Rack report"), encoding="utf-8")
    return path


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (360, False)], ids=["light", "dark", "phone"])
def test_soaks_are_read_and_seen(browser: Chrome, with_soaks: pathlib.Path, width: int, dark: bool) -> None:
    show(browser, with_soaks, width=width, dark=dark)
    soaks = browser.find_element(By.ID, "soaks")
    verdicts = [chip.text.split(maxsplit=1)[1] for chip in soaks.find_elements(By.CSS_SELECTOR, "h3 .chip")]
    assert sorted(verdicts) == ["fixed", "inconclusive", "reproduced"]
    assert "enough for confidence 0.95" in soaks.text
    assert browser.execute_script(FAULTS) == []
    _looked_at, worst = browser.execute_script(CONTRAST)
    assert worst[0][0] >= 4.5, worst
    pictures = soaks.find_elements(By.CSS_SELECTOR, "svg")
    assert len(pictures) == 3
    # What is drawn is told as text too, and its colours are those of the page: black on black would be seen here.
    described = str(browser.execute_script("return arguments[0].querySelector('desc').textContent", pictures[-1]))
    assert "panic after 88 s" in described
    assert "silent for 1 h after, 7.89 min are needed" in described
    colours = "return [...arguments[0].querySelectorAll('rect, circle')].map((each) => getComputedStyle(each).fill)"
    for picture in pictures:
        assert "rgb(0, 0, 0)" not in browser.execute_script(colours, picture)
    wide = browser.execute_script("return [document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide[0] <= wide[1] <= width
    assert browser.title == "Rack report"
    assert len(browser.find_elements(By.TAG_NAME, "script")) == 2
    assert browser.get_log("browser") == []


def test_ten_thousand_hosts(
    browser: Chrome,
    row_of: t.Callable[..., Row],
    kit: t.Any,
    tmp_path: pathlib.Path,
    record_property: t.Callable[[str, t.Any], None],
) -> None:
    """It opens and filters; how long that took is reported, since the machine decides it."""
    kinds = [kit.facts_of(kit.X710), kit.facts_of(kit.CONNECTX), kit.facts_of(kit.X710, kit.BOOKWORM, armed=False)]
    row = [row_of("x", facts) for facts in kinds]
    rows = [
        {
            **(row[number % 2] if number % 97 else row[2]),
            "host": "h{0:05}.example.org".format(number),
            "section": "Rack {0}".format(number // 40) if number < 5000 else "Hall",
        }
        for number in range(10_000)
    ]
    start = time.monotonic()
    path = tmp_path / "report.html"
    path.write_text(page(rack_view.make_report(rows, "2026-11-23T20:00:00+00:00"), "Hall"), encoding="utf-8")
    made = time.monotonic()
    show(browser, path)
    loaded = time.monotonic()
    assert said(browser) == "All 10000 hosts shown"
    assert len(cells(browser)) < 3000, "racks out of sight are not drawn"
    browser.find_element(By.ID, "text").send_keys("h00042")
    until(browser, lambda: said(browser) == "1 of 10000 hosts shown")
    filtered = time.monotonic()
    times = {"made": made - start, "loaded twice": loaded - made, "filtered": filtered - loaded}
    told = {name: round(seconds, 2) for name, seconds in times.items()}
    record_property("seconds", str(told))
    record_property("bytes", path.stat().st_size)
    print("10,000 hosts: {0} bytes, seconds: {1}".format(path.stat().st_size, told))
    assert path.stat().st_size < 4_000_000


def test_pictures(browser: Chrome, written: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """Those of the README: small enough for a repository, and written there when CRASHREADY_PICTURES says so."""
    folder = pathlib.Path(PICTURES) if PICTURES else tmp_path
    for name, width, height, dark in (
        ("report-light", 1100, 860, False),
        ("report-dark", 1100, 860, True),
        ("report-phone", 360, 740, False),
    ):
        show(browser, written, width=width, height=height, dark=dark)
        browser.execute_script("document.documentElement.style.scrollbarWidth = 'none'")
        until(browser, lambda: cells(browser))
        path = folder / (name + ".png")
        browser.save_screenshot(str(path))
        assert path.stat().st_size < PICTURE_BYTES

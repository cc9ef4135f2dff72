
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const field = Object.fromEntries(data.fields.map((name, number) => [name, number]));
  const text = (number) => (number === null ? null : data.texts[number]);
  const value = (host, name) => text(host[field[name]]);
  const byId = (id) => document.getElementById(id);
  const PER_RACK = 240, FIRST = 25, MORE = 100, FEW = 12, RACKS = 60;

  // Nothing of a host ever becomes markup: elements are made here, and texts are text nodes.
  const make = (tag, attributes, ...inside) => {
    const element = document.createElement(tag);
    for (const [name, told] of Object.entries(attributes || {})) {
      if (told === true) element.setAttribute(name, "");
      else if (told !== false && told !== null && told !== undefined) element.setAttribute(name, told);
    }
    element.append(...inside.filter((each) => each !== null && each !== undefined));
    return element;
  };

  const triple = (number) => {
    const [model, ids, driver, firmware, kernel, verdict, odd] = data.triples[number];
    return { model: text(model), ids: text(ids), driver: text(driver), firmware: text(firmware), kernel: text(kernel),
      verdict: text(verdict), odd };
  };
  const nicsOf = (host) => host[field.nics].map(([number, names]) => ({ names: text(names), ...triple(number) }));
  const nicSays = (nic) => `${nic.names}: ${nic.driver || "driver not seen"}, firmware ${nic.firmware || "not seen"}` +
    (nic.odd ? " (odd)" : "");
  const provenSays = (host) => {
    const at = value(host, "drilled_at");
    const word = { true: "yes", false: "no", null: "not known" }[String(host[field.proven])];
    return at ? `${word}, drill of ${at}` : word;
  };
  const armedSays = (host) => value(host, "armed_since") || (value(host, "capture") === "armed" ? "date not known" : "");
  const size = (bytes) => bytes === null ? "not seen" : bytes >= 1073741824 ? `${+(bytes / 1073741824).toFixed(1)} GiB`
    : `${Math.round(bytes / 1048576)} MiB`;
  const chip = (state) => make("span", { class: `chip ${state}` },
    make("span", { "aria-hidden": "true" }, data.glyphs[state] || ""), state);

  // --- filters ---
  const needles = new Array(data.hosts.length);
  const needle = (number) => {
    if (needles[number] === undefined) {
      const host = data.hosts[number];
      const parts = [host[field.host], value(host, "section"), value(host, "group"), value(host, "kernel"),
        value(host, "capture"), ...host[field.says].map(text)];
      for (const nic of nicsOf(host)) parts.push(nic.driver, nic.firmware, nic.model, nic.ids);
      needles[number] = parts.filter(Boolean).join("\n").toLowerCase();
    }
    return needles[number];
  };
  const wanted = () => ({
    states: new Set([...document.querySelectorAll("input[name=state]:checked")].map((box) => box.value)),
    words: byId("text").value.toLowerCase().split(/\s+/).filter(Boolean),
    driver: byId("driver").value,
  });
  const fits = (number, want) => {
    const host = data.hosts[number];
    if (!want.states.has(value(host, "state"))) return false;
    if (want.driver && !host[field.nics].some(([at]) => text(data.triples[at][2]) === want.driver)) return false;
    return want.words.every((word) => needle(number).includes(word));
  };

  // --- racks ---
  const observer = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (entry.isIntersecting) {
        observer.unobserve(entry.target);
        entry.target.fill();
      }
    }
  }, { rootMargin: "600px" });
  const unitOf = (number) => {
    const told = value(data.hosts[number], "unit");
    return told !== null && /^\d+(\.\d+)?$/.test(told) ? Number(told) : null;
  };
  const cell = (number, named) => {
    const host = data.hosts[number], state = value(host, "state"), unit = value(host, "unit");
    const label = `${host[field.host]}: ${state}, ${value(host, "capture")}${unit ? `, unit ${unit}` : ""}`;
    const shown = named ? `${data.glyphs[state]} ${host[field.host]}` : data.glyphs[state];
    return make("li", {}, make("button", { type: "button", class: `cell ${state}${named ? " named" : ""}`, tabindex: "-1",
      "data-host": number, "aria-label": label, title: label }, shown));
  };
  const rack = (name, numbers) => {
    const few = numbers.length <= FEW;
    const box = make("div", { class: few ? "rack few" : "rack", role: "group", "aria-label": name });
    const counts = data.states.map((state) => [state, numbers.filter((at) => value(data.hosts[at], "state") === state).length]);
    const head = make("div", { class: "counts" }, ...counts.filter(([, count]) => count).map(([state, count]) =>
      make("span", { class: `chip ${state}` }, make("span", { "aria-hidden": "true" }, data.glyphs[state]), `${count} ${state}`)));
    box.append(make("h3", {}, name), head);
    if (numbers.some((at) => unitOf(at) !== null)) {
      numbers = [...numbers].sort((one, other) => (unitOf(other) ?? -1) - (unitOf(one) ?? -1));
    }
    box.fill = (limit = PER_RACK) => {
      const list = make("ul", { role: "list" }, ...numbers.slice(0, limit).map((number) => cell(number, few)));
      list.querySelector("button")?.setAttribute("tabindex", "0");
      box.querySelector("ul")?.remove();
      box.querySelector("p")?.remove();
      box.append(list);
      if (numbers.length > limit) {
        const more = make("button", { type: "button", "aria-label": `Show all ${numbers.length} hosts of ${name}` },
          `Show all ${numbers.length}`);
        more.addEventListener("click", () => { box.fill(numbers.length); box.querySelector(".cell")?.focus(); });
        box.append(make("p", {}, more));
      }
    };
    return box;
  };
  let racksShown = RACKS;
  const drawRacks = (numbers) => {
    const sections = new Map();
    for (const number of numbers) {
      const name = value(data.hosts[number], "section") || "Hosts without a place in the inventory";
      if (!sections.has(name)) sections.set(name, []);
      sections.get(name).push(number);
    }
    const names = [...sections.keys()].sort((one, other) => one.localeCompare(other, "en", { numeric: true }));
    observer.disconnect();
    const boxes = names.slice(0, racksShown).map((name) => rack(name, sections.get(name)));
    byId("grid").replaceChildren(...boxes);
    boxes.forEach((box) => observer.observe(box));
    if (names.length > racksShown) {
      const more = make("button", { type: "button" }, `Show all ${names.length} racks and groups`);
      more.addEventListener("click", () => { racksShown = names.length; drawRacks(numbers); });
      byId("grid").append(make("p", {}, more));
    }
  };
  byId("grid").addEventListener("keydown", (event) => {
    const from = event.target.closest(".cell");
    if (!from) return;
    const cells = [...from.closest("ul").querySelectorAll(".cell")], at = cells.indexOf(from);
    const columns = cells.filter((each) => each.offsetTop === cells[0].offsetTop).length;
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns, Home: -at,
      End: cells.length - 1 - at }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const to = cells[at + step];
    if (!to) return;
    from.setAttribute("tabindex", "-1");
    to.setAttribute("tabindex", "0");
    to.focus();
  });

  // --- table of hosts ---
  let shown = [], drawn = 0;
  const row = (number) => {
    const host = data.hosts[number];
    const td = (label, ...inside) => make("td", { role: "cell", "data-label": label }, ...inside);
    const list = (lines) => lines.length ? make("ul", { class: "says" }, ...lines.map((line) => make("li", {}, line))) : "";
    return make("tr", { role: "row" },
      make("th", { scope: "row", role: "rowheader" },
        make("button", { type: "button", class: "plain", "data-host": number }, host[field.host])),
      td("State", chip(value(host, "state"))), td("Capture", value(host, "capture")), td("Armed since", armedSays(host)),
      td("Proven", provenSays(host)), td("Kernel", value(host, "kernel") || "not seen"),
      td("NICs", list(nicsOf(host).map(nicSays))), td("What", list(host[field.says].map(text))));
  };
  const drawRows = () => {
    const part = shown.slice(drawn, drawn + (drawn ? MORE : FIRST));
    byId("rows").append(...part.map(row));
    drawn += part.length;
    const left = shown.length - drawn;
    byId("more").hidden = left === 0;
    byId("more").textContent = `Show more hosts (${left} left)`;
  };
  byId("more").addEventListener("click", () => {
    const first = drawn;
    drawRows();
    byId("rows").children[first]?.querySelector("button")?.focus();
  });

  // --- one host ---
  const open = (number) => {
    const host = data.hosts[number], inside = byId("one-inside");
    const close = make("button", { type: "button" }, "Close");
    close.addEventListener("click", () => byId("one").close());
    const facts = [["State", chip(value(host, "state"))], ["Rack or group", value(host, "section") || "not named"],
      ["Unit", value(host, "unit")], ["Redundancy group", value(host, "group")], ["Capture", value(host, "capture")],
      ["Armed since", armedSays(host) || "not armed"], ["Proven", provenSays(host)],
      ["", host[field.proven] === true ? null : value(host, "proven_says")],
      ["Reserved", size(host[field.reserved])], ["Kernel", value(host, "kernel") || "not seen"],
      ["Pairings", value(host, "verdict")], ["Crashes", String(host[field.crashes])]];
    const list = make("dl", {});
    for (const [name, told] of facts) {
      if (told !== null) list.append(make("dt", {}, name), make("dd", {}, told));
    }
    const nics = nicsOf(host).map((nic) => make("li", {},
      `${nicSays(nic)}, ${nic.model || nic.ids || "model not seen"}, ${nic.verdict}`));
    inside.replaceChildren(
      make("div", { class: "row" }, make("h2", { id: "one-title" }, host[field.host]), close), list,
      ...(nics.length ? [make("h3", {}, "NICs"), make("ul", { class: "says" }, ...nics)] : []),
      ...(host[field.says].length ? [make("h3", {}, "What is bad or unknown"),
        make("ul", { class: "says" }, ...host[field.says].map((line) => make("li", {}, text(line))))] : []));
    byId("one").showModal();
    close.focus();
  };
  document.addEventListener("click", (event) => {
    const host = event.target.closest("[data-host]"), copy = event.target.closest("[data-copy]");
    if (host) open(Number(host.dataset.host));
    if (copy) copyFrom(byId(copy.dataset.copy));
  });

  // --- copy ---
  const say = (words) => { byId("said").textContent = ""; setTimeout(() => { byId("said").textContent = words; }, 50); };
  const copyFrom = async (block) => {
    try {
      await navigator.clipboard.writeText(block.textContent);
      say("Copied");
    } catch {
      const range = document.createRange();
      range.selectNodeContents(block);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      say(document.execCommand("copy") ? "Copied" : "Selected: copy it with the keyboard");
    }
  };

  // --- all of it ---
  const draw = () => {
    const want = wanted();
    shown = data.hosts.map((_, number) => number).filter((number) => fits(number, want));
    drawn = 0;
    byId("rows").replaceChildren();
    drawRows();
    drawRacks(shown);
    for (const line of document.querySelectorAll("#matrix tr[data-driver]")) {
      line.hidden = Boolean(want.driver) && line.dataset.driver !== want.driver;
    }
    byId("count").textContent = shown.length === data.hosts.length ? `All ${shown.length} hosts shown`
      : `${shown.length} of ${data.hosts.length} hosts shown`;
  };
  let waiting = 0;
  const soon = () => { clearTimeout(waiting); waiting = setTimeout(draw, 120); };
  for (const kind of ["input", "change"]) byId("filters").addEventListener(kind, soon);
  byId("filters").addEventListener("reset", () => setTimeout(draw, 0));
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  addEventListener("beforeprint", () => document.querySelectorAll(".rack").forEach((box) => box.fill()));

  const remembered = (told) => {
    try {
      if (told === undefined) return localStorage.getItem("crashready-colours") || "";
      localStorage.setItem("crashready-colours", told);
    } catch { /* a browser may keep nothing for files */ }
    return told || "";
  };
  const colours = (told) => {
    if (told) document.documentElement.dataset.theme = told;
    else delete document.documentElement.dataset.theme;
  };
  byId("theme").value = remembered();
  colours(byId("theme").value);
  byId("theme").addEventListener("change", () => { remembered(byId("theme").value); colours(byId("theme").value); });
  draw();
})();

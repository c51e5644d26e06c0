// The page: what is chosen, the transport bar, keys, search, deep links.
"use strict";

const BUDGETS = [110, 60, 30]; // boxes that are drawn at first: the most that can be read
const READABLE = 0.6; // scale

function start() {
  const byId = (id) => document.getElementById(id);
  const doc = JSON.parse(byId("document").textContent);
  const page = { byId, graph: readGraph(doc), picture: byId("picture"), minimap: byId("minimap"),
    inspector: byId("inspector"), panel: byId("panel"), at: 0, selected: null, element: 0,
    shows: { reverse: true, saved: true, updates: true }, snapshot: 0, openSources: new Set(),
    snapshots: doc.captured?.snapshots || [], camera: { x: 0, y: 0, scale: 1 } };
  page.value = (id) => {
    const found = page.snapshots[page.snapshot]?.values[id];
    return found && Object.assign(found, { dims: page.graph.nodes.get(id).dims });
  };
  page.layer = svg("g");
  page.picture.append(arrowheads(), page.layer);
  byId("facts").textContent = `${page.graph.nodes.size} nodes · ${page.graph.moments.length} ops in ` +
    `${(doc.graph.steps || []).length} kernel calls · arena ${bytes(doc.graph.memory?.arena)}`;
  byId("slider").max = page.graph.moments.length;
  byId("training").hidden = page.snapshots.length < 2;
  byId("snapshot").max = page.snapshots.length - 1;
  setRange(page);
  readTheme(page);
  for (const most of BUDGETS) {
    openAuto(page.graph, most);
    draw(page);
    if (fit(page, 0.4) >= READABLE) break;
  }
  movable(page);
  listen(page);
  legend(page);
  showPanel(page, "schedule");
  followLink(page);
  update(page);
  window.graphnn = page; // for tests, and for the curious
}

function arrowheads() {
  const colours = { data: "forward", gradient: "reverse", turn: "reverse", update: "update",
    write: "update", saved: "soft", delay: "forward" };
  return svg("defs", {}, ...Object.entries(colours).map(([kind, colour]) => svg("marker",
    { id: "to-" + kind, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 8, markerHeight: 8,
      markerUnits: "userSpaceOnUse", orient: "auto" },
    svg("path", { d: "M0,0.5L8,4L0,7.5z", style: `fill:var(--${colour})` }))));
}

function setRange(page) {
  const logs = [...page.graph.nodes.values()].filter((node) => node.pass === "backward")
    .map((node) => page.value(node.id)?.rms).filter((rms) => rms > 0).map(Math.log10);
  page.range = logs.length ? [Math.min(...logs), Math.max(...logs)] : null;
}

function legend(page) {
  const item = (colour, text, style = "solid") => tag("span", {},
    tag("i", { style: `border-color:var(--${colour});border-top-style:${style}` }), text);
  const items = [item("forward", "values →"), item("reverse", "← gradients"),
    item("soft", "saved for the reverse pass", "dashed"), item("update", "updates")];
  if (page.range) items.push(tag("span", {}, tag("i", { class: "scale", style:
    "background:linear-gradient(to right in oklab, color-mix(in oklab,var(--reverse) 28%,var(--paper)),var(--reverse))" }),
    ` rms of the gradient ${short(10 ** page.range[0], 2)} … ${short(10 ** page.range[1], 2)}`));
  page.byId("legend").replaceChildren(...items);
}

// ---------------------------------------------------------------- where we are

function go(page, at) {
  page.at = Math.max(0, Math.min(page.graph.moments.length, at));
  page.selected = page.graph.moments[page.at - 1]?.node ?? null;
  page.element = 0;
  page.kin = null;
  update(page);
  const unit = page.selected && unitOf(page, page.selected);
  if (unit) reveal(page, unit);
}

function select(page, id) {
  page.selected = id;
  page.element = 0;
  const moment = page.graph.momentOf.get(id);
  if (moment !== undefined) page.at = moment + 1;
  update(page);
}

const unitOf = (page, id) => page.view.units.get(page.view.unitOf.get(page.graph.nodes.get(id)?.box));

function update(page) {
  const { moments } = page.graph, slider = page.byId("slider");
  slider.value = page.at;
  const moment = moments[page.at - 1];
  const words = moment ? `op ${page.at} of ${moments.length} · kernel ${moment.step.number}` : `the whole: ${moments.length} ops`;
  page.byId("where").textContent = words;
  slider.setAttribute("aria-valuetext", words);
  page.byId("snapshot-step").textContent = page.snapshots[page.snapshot]?.step ?? "";
  inspect(page);
  paint(page);
  markPanel(page);
  link(page);
}

function paint(page) {
  const now = page.selected && unitOf(page, page.selected);
  for (const [id, shape] of page.shapes) {
    const unit = page.view.units.get(id);
    shape.classList.toggle("now", unit === now);
    shape.classList.toggle("later", page.at > 0 && firstMoment(page, unit) >= page.at);
    shape.classList.toggle("hit", page.hits?.has(id) || false);
    shape.classList.toggle("dim", Boolean(page.kin && !page.kin.has(id)));
  }
  page.view.edges.forEach((edge, i) => {
    page.paths[i].classList.toggle("now", Boolean(now) && (edge.target === now.id || edge.source === now.id));
    page.paths[i].classList.toggle("dim", Boolean(page.kin && !(page.kin.has(edge.source) && page.kin.has(edge.target))));
  });
}

function firstMoment(page, unit) {
  if (unit.last) return page.graph.momentOf.get(unit.last.id) ?? -1;
  const nodes = unit.boxes.flatMap((box) => box.nodes);
  const found = nodes.map((node) => page.graph.momentOf.get(node.id)).filter((x) => x !== undefined);
  return found.length ? Math.min(...found) : -1;
}

// What a box depends on, and what depends on it.
function kin(page, id) {
  const found = new Set([id]);
  const walk = (from, to) => {
    const next = new Map();
    for (const edge of page.view.edges) {
      if (edge.kind === "write" || edge.kind === "delay") continue;
      if (!next.has(edge[from])) next.set(edge[from], []);
      next.get(edge[from]).push(edge[to]);
    }
    const waiting = [id], seen = new Set(waiting);
    while (waiting.length)
      for (const one of next.get(waiting.pop()) || [])
        if (!seen.has(one)) seen.add(one), found.add(one), waiting.push(one);
  };
  walk("source", "target");
  walk("target", "source");
  return found;
}

function toggleGroup(page, path, open) {
  page.graph.groups.get(path).open = open;
  redraw(page);
}

function redraw(page) {
  page.kin = null;
  draw(page);
  searchFor(page, page.byId("search").value, false);
  update(page);
  place(page);
}

function openTo(page, id) {
  const box = page.graph.boxes.get(page.graph.nodes.get(id)?.box);
  let changed = false;
  for (let one = box?.group; one; one = one.parent) changed ||= !one.open, one.open = true;
  if (changed) redraw(page);
}

function searchFor(page, text, move) {
  const wanted = text.trim().toLowerCase();
  page.hits = new Set();
  const nodes = !wanted ? [] : [...page.graph.nodes.values()].filter((node) => node.box &&
    `${node.name} ${node.op} ${node.scope}`.toLowerCase().includes(wanted));
  for (const node of nodes) page.hits.add(page.view.unitOf.get(node.box));
  page.found = nodes;
  page.byId("hits").textContent = wanted ? `${nodes.length} found` : "";
  if (move && nodes.length) {
    page.next = ((page.next ?? -1) + 1) % nodes.length;
    openTo(page, nodes[page.next].id);
    select(page, nodes[page.next].id);
    const unit = unitOf(page, nodes[page.next].id);
    if (unit) reveal(page, unit);
  } else paint(page);
}

// ---------------------------------------------------------------- hands

function listen(page) {
  const on = (id, event, act) => page.byId(id).addEventListener(event, act);
  const { moments } = page.graph;
  on("home", "click", () => go(page, 0));
  on("end", "click", () => go(page, moments.length));
  on("back", "click", () => go(page, page.at - 1));
  on("next", "click", () => go(page, page.at + 1));
  on("play", "click", () => play(page));
  on("slider", "input", (event) => go(page, Number(event.target.value)));
  on("snapshot", "input", (event) => { page.snapshot = Number(event.target.value); setRange(page);
    legend(page); redraw(page); showPanel(page, page.panelName); });
  for (const what of ["reverse", "saved", "updates"])
    on("show-" + what, "change", (event) => { page.shows[what] = event.target.checked; redraw(page); });
  on("collapse-all", "click", () => all(page, false));
  on("expand-all", "click", () => all(page, true));
  on("fit", "click", () => fit(page));
  on("theme", "click", () => { page.dark = !page.dark; paintTheme(page); });
  on("search", "input", (event) => { page.next = -1; searchFor(page, event.target.value, false); });
  on("search", "keydown", (event) => { if (event.key === "Enter") searchFor(page, event.target.value, true); });
  for (const name of Object.keys(PANELS)) on("tab-" + name, "click", () => showPanel(page, name));
  page.picture.addEventListener("click", (event) => { if (!page.dragged) press(page, event.target); });
  for (const part of [page.inspector, page.panel])
    part.addEventListener("click", (event) => pick(page, event.target));
  document.addEventListener("keydown", (event) => key(page, event));
  addEventListener("resize", () => place(page));
  addEventListener("hashchange", () => followLink(page));
}

function all(page, open) {
  for (const group of page.graph.groups.values()) group.open = open || !group.parent;
  redraw(page);
  fit(page);
}

function press(page, target) {
  const path = target.closest("[data-group]")?.dataset.group;
  if (path !== undefined) return toggleGroup(page, path, false);
  const id = target.closest("[data-unit]")?.dataset.unit;
  const unit = id && page.view.units.get(id);
  page.kin = null;
  if (!unit) return paint(page);
  if (unit.kind === "group") return toggleGroup(page, unit.closed.path, true);
  page.kin = kin(page, id);
  select(page, unit.last.id);
}

function pick(page, target) {
  const element = target.closest("[data-element]"), node = target.closest("[data-node]");
  const row = target.closest("[data-moment]");
  if (element) { page.element = Number(element.dataset.element); inspect(page); }
  else if (node) { openTo(page, node.dataset.node); select(page, node.dataset.node); }
  else if (row) go(page, Number(row.dataset.moment));
}

function key(page, event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.matches("input[type=search]");
  if (typing) { if (event.key === "Escape") event.target.blur(); return; }
  const box = page.picture.getBoundingClientRect();
  const onButton = event.target.matches("button, input, summary");
  const onBox = event.target.closest("[data-unit], [data-group], [data-node], [data-moment]");
  const acts = { ArrowRight: () => go(page, event.shiftKey ? kernelAfter(page) : page.at + 1),
    ArrowLeft: () => go(page, event.shiftKey ? kernelBefore(page) : page.at - 1),
    Home: () => go(page, 0), End: () => go(page, page.graph.moments.length),
    "/": () => page.byId("search").focus(), f: () => fit(page),
    "+": () => zoom(page, 1.25, box.width / 2, box.height / 2),
    "-": () => zoom(page, 0.8, box.width / 2, box.height / 2),
    Escape: () => { page.kin = null; go(page, 0); } };
  if (!onButton) acts[" "] = () => play(page);
  if (onBox && !onButton) acts.Enter = () => (page.picture.contains(onBox) ? press : pick)(page, onBox);
  if (!acts[event.key]) return;
  event.preventDefault();
  acts[event.key]();
}

function kernelAfter(page) {
  const { moments } = page.graph, step = moments[page.at - 1]?.step;
  let at = page.at;
  while (at < moments.length && moments[at].step === step) at += 1;
  return at + 1;
}

function kernelBefore(page) {
  const { moments } = page.graph;
  let at = page.at - 2;
  while (at > 0 && moments[at - 1].step === moments[at].step) at -= 1;
  return at + 1;
}

function play(page) {
  const button = page.byId("play");
  if (page.timer) {
    clearInterval(page.timer);
    page.timer = null;
    button.textContent = "▶ play";
    return;
  }
  button.textContent = "❚❚ pause";
  if (page.at >= page.graph.moments.length) go(page, 0);
  page.timer = setInterval(() => {
    go(page, page.at + 1);
    if (page.at >= page.graph.moments.length) play(page);
  }, 900);
}

// ---------------------------------------------------------------- theme and deep links

function readTheme(page) {
  page.dark = matchMedia("(prefers-color-scheme: dark)").matches;
  paintTheme(page);
}

const paintTheme = (page) => document.documentElement.classList.toggle("dark", page.dark);

// #step=17&node=...: the step, and the node that is looked at.
function link(page) {
  const parts = [];
  if (page.at) parts.push(`step=${page.at}`);
  if (page.selected) parts.push("node=" + encodeURIComponent(page.graph.nodes.get(page.selected).name.slice(0, 200)));
  const hash = parts.length ? "#" + parts.join("&") : " ";
  try { history.replaceState(null, "", hash === " " ? location.pathname + location.search : hash); }
  catch { /* some browsers forbid it for files */ }
}

function followLink(page) {
  const asked = new URLSearchParams(location.hash.slice(1));
  const name = asked.get("node"), step = Number(asked.get("step"));
  const moment = page.graph.moments[step - 1];
  const node = name && [...page.graph.nodes.values()].find((one) => one.name.slice(0, 200) === name);
  if (node && node.id !== moment?.node) { openTo(page, node.id); select(page, node.id); }
  else if (step) { if (moment) openTo(page, moment.node); go(page, step); }
}

start();

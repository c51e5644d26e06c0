// The linked panels: the schedule, the arena over time, gradients by layer.
"use strict";

const PANELS = { schedule: scheduleTable, memory: memoryTimeline, gradients: gradientsByLayer };

function showPanel(page, name) {
  page.panelName = name;
  for (const other of Object.keys(PANELS))
    page.byId("tab-" + other).setAttribute("aria-selected", other === name);
  page.panel.setAttribute("aria-labelledby", "tab-" + name);
  page.panel.replaceChildren(...PANELS[name](page));
  markPanel(page);
}

const MOST_ROWS = 400; // drawn around the present step; a table of thousands would be slow

function scheduleTable(page) {
  const { moments, nodes } = page.graph;
  const first = page.firstRow = Math.max(0, Math.min(page.at - MOST_ROWS / 2, moments.length - MOST_ROWS));
  const rows = moments.slice(first, first + MOST_ROWS).map(({ node, step, place }, i) => {
    const one = nodes.get(node);
    const row = tag("tr", { "data-moment": first + i + 1, class: one.pass }, ...[
      place ? "" : step.number, place ? "  ⤷" : step.name, plain(one.name, 60), plain(one.equation, 90),
      shapeOf(one), place ? "" : bytes(step.bytes), step.wait && !place ? "waits" : "",
    ].map((text) => tag("td", {}, String(text))));
    return row;
  });
  return [tag("table", {}, tag("tr", {}, ...["step", "kernel", "value", "equation", "shape", "moves", ""]
    .map((text) => tag("th", {}, text))), ...rows)];
}

function markPanel(page) {
  if (page.panelName === "schedule") {
    if (page.at && !page.panel.querySelector(`[data-moment="${page.at}"]`))
      page.panel.replaceChildren(...scheduleTable(page));
    for (const row of page.panel.querySelectorAll("tr.now")) row.classList.remove("now");
    const now = page.panel.querySelector(`[data-moment="${page.at}"]`);
    now?.classList.add("now");
    if (now) page.panel.scrollTop = now.offsetTop - page.panel.offsetTop - 60;
  }
  const cursor = page.panel.querySelector("#cursor");
  if (cursor) {
    const step = Number(page.graph.moments[page.at - 1]?.step.number.split(".")[0] ?? -1);
    cursor.setAttribute("x", step);
    cursor.style.visibility = step < 0 ? "hidden" : "visible";
  }
}

function memoryTimeline(page) {
  const memory = page.graph.doc.graph.memory || {}, steps = (page.graph.doc.graph.steps || []).length;
  const buffers = memory.buffers || [], height = Math.max(1, memory.arena || 1);
  const chart = svg("svg", { viewBox: `0 0 ${steps + 1} ${height}`, preserveAspectRatio: "none",
    width: "100%", height: 140, role: "img", "aria-label": "Buffers of the arena over the steps" });
  for (const buffer of buffers) {
    const first = page.graph.nodes.get(buffer.nodes?.[0]);
    const rect = svg("rect", { x: buffer.first, y: buffer.offset, height: Math.max(buffer.bytes, height / 140),
      width: buffer.last - buffer.first + 1, style: `fill:var(--${first ? FILL[first.pass] : "line"}-fill,var(--line));` +
        `stroke:var(--${first ? FILL[first.pass] : "soft"});vector-effect:non-scaling-stroke` });
    if (first) rect.dataset.node = first.id;
    const tip = svg("title");
    tip.textContent = `buffer ${buffer.slot}: ${bytes(buffer.bytes)} at ${buffer.offset}, steps ` +
      `${buffer.first}–${buffer.last}: ` + (buffer.nodes || []).map((id) => plain(page.graph.nodes.get(id).name)).join(", then ");
    rect.append(tip);
    chart.append(rect);
  }
  chart.append(svg("rect", { id: "cursor", y: 0, width: 1, height, style:
    "fill:var(--now);opacity:.35;pointer-events:none" }));
  const live = Array.from({ length: steps }, (_, i) => buffers.reduce((sum, one) =>
    sum + (one.first <= i && i <= one.last ? one.bytes : 0), 0));
  return [tag("div", { class: "soft" }, `arena ${bytes(memory.arena)} (peak of live bytes ` +
    `${bytes(live.reduce((a, b) => Math.max(a, b), 0))}; without sharing ${bytes(memory.unshared)}) · ` +
    `parameters ${bytes(memory.parameters)} · steps go right, addresses down; click a buffer`), chart];
}

function gradientsByLayer(page) {
  const rows = [], { nodes } = page.graph;
  for (const node of nodes.values()) {
    const of = node.gradient_of.find((one) => nodes.get(one.node)?.kind === "parameter" && one.whole !== false);
    const value = of && page.value(node.id);
    if (value) rows.push({ node, of: nodes.get(of.node), norm: (value.rms || 0) * Math.sqrt(value.count), value });
  }
  if (!rows.length) return [tag("p", { class: "soft" }, "No values were captured: gn.render(gn.capture(model, data), \"backprop.html\").")];
  const logs = rows.filter((row) => row.norm > 0).map((row) => Math.log10(row.norm));
  const low = Math.floor(Math.min(...logs, 0)) - 0.5, high = Math.max(...logs, low + 1);
  return [tag("div", { class: "soft" }, "‖∂loss/∂parameter‖₂, logarithmic" +
    (page.snapshots.length > 1 ? "; to the right over the captured training steps" : "")),
    tag("table", {}, ...rows.map((row) => {
      const name = tag("td", { "data-node": row.node.id, tabindex: 0, role: "button" }, plain(row.of.name));
      const odd = row.value.nans || row.value.infs;
      const width = row.norm > 0 ? 4 + 300 * (Math.log10(row.norm) - low) / (high - low) : 0;
      const bar = svg("svg", { width: 310, height: 14 }, svg("rect", { width, height: 12, y: 1, rx: 2,
        style: `fill:var(--${odd ? "bad" : "reverse"})` }));
      return tag("tr", {}, name, tag("td", {}, bar), tag("td", { class: odd ? "bad" : "" },
        odd ? "NaN or Inf" : row.norm ? short(row.norm) : "0: no gradient"), tag("td", {}, overTime(page, row.node)));
    }))];
}

function overTime(page, node) {
  if (page.snapshots.length < 2) return "";
  const norms = page.snapshots.map((one) => one.values[node.id]).map((v) => Math.log10((v?.rms || 1e-30) * Math.sqrt(v?.count || 1)));
  const low = Math.min(...norms), high = Math.max(...norms, low + 1e-9), step = 180 / (norms.length - 1);
  const points = norms.map((y, i) => `${(i * step).toFixed(1)},${(14 - 12 * (y - low) / (high - low)).toFixed(1)}`);
  return svg("svg", { width: 184, height: 16 }, svg("polyline", { points: points.join(" "),
    style: "fill:none;stroke:var(--reverse);stroke-width:1.5" }), svg("circle", { r: 3,
    cx: page.snapshot * step, cy: points[page.snapshot].split(",")[1], style: "fill:var(--now)" }));
}

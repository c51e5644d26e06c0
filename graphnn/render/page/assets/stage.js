// The picture: boxes, edges and frames as SVG; pan, zoom and the minimap. Text is only ever set
// as text, so that no name can become markup.
"use strict";

const SVG = "http://www.w3.org/2000/svg";
const FACES = { title: "650 13px system-ui", small: "11px system-ui", vals: "10.5px monospace" };
const pen = document.createElement("canvas").getContext("2d");
const measured = new Map();

function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function widthOf(text, face) {
  const key = face + text;
  if (!measured.has(key)) {
    pen.font = FACES[face];
    measured.set(key, pen.measureText(text).width * 1.04);
  }
  return measured.get(key);
}

// Short and harmless: control and direction marks are shown as what they are.
function plain(text, most = 34) {
  const clean = String(text).slice(0, 400)
    .replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, "\ufffd");
  const letters = [...clean];
  return letters.length > most ? letters.slice(0, most - 1).join("") + "…" : clean;
}

function linesOf(page, unit) {
  if (unit.kind === "sum") return [["Σ", "title"]];
  const title = [plain(unit.title, 26), "title"];
  if (unit.kind === "group") return [title, [`+ ${countOf(unit.boxes.length)}`, "small"]];
  const last = unit.last, lines = [title];
  const sub = unit.kind === "update" ? page.graph.nodes.get(unit.home).name : unit.name;
  if (sub !== unit.title) lines.push([plain(sub, 26), "small " + unit.lane]);
  if (unit.kind !== "update") lines.push([shapeOf(last), "small"]);
  for (const text of shortValue(page.value(last.id))) lines.push([text, "vals " + unit.lane]);
  return lines;
}

const countOf = (count) => (count === 1 ? "1 op" : `${count} ops`);

const shapeOf = (node) =>
  `${node.dims.length ? node.dims.join("×") : "scalar"} ${node.dtype.replace("float", "f").replace("int", "i")}`;

function shortValue(value) {
  if (!value) return [];
  if (value.nans || value.infs) return [`⚠ ${value.nans || 0} NaN, ${value.infs || 0} Inf`];
  if (!value.data || value.count > 16) return [`rms ${short(value.rms)}`];
  const columns = value.dims.length ? value.dims[value.dims.length - 1] || 1 : 1;
  const rows = [];
  for (let i = 0; i < value.data.length && rows.length < 4; i += columns)
    rows.push(value.data.slice(i, i + columns).slice(0, 4).map((x) => short(x, 3)).join("  "));
  return rows;
}

function short(x, digits = 4) {
  if (typeof x === "string") return x;
  if (x === undefined) return "0";
  if (x === 0 || Number.isInteger(x) && Math.abs(x) < 1e6) return String(x).replace("-", "−");
  const text = Math.abs(x) >= 1e-3 && Math.abs(x) < 1e5 ? String(+x.toPrecision(digits))
    : x.toExponential(digits - 2);
  return text.replace(/-/g, "−");
}

function measure(page, unit) {
  unit.lines = linesOf(page, unit);
  if (unit.kind === "sum") { unit.width = unit.height = 26; return; }
  unit.width = 20 + Math.max(36, ...unit.lines.map(([text, face]) => widthOf(text, face.split(" ")[0])));
  unit.height = 12 + 15 * unit.lines.length;
}

function draw(page) {
  const view = page.view = visibleOf(page.graph, page.shows);
  for (const unit of view.units.values()) measure(page, unit);
  page.plan = layOut(view, page.graph);
  const frames = page.plan.frames.map((frame) => frameOf(page, frame));
  page.paths = view.edges.map((edge) => {
    const from = view.units.get(edge.source), to = view.units.get(edge.target);
    const path = svg("path", { class: "edge " + edge.kind, d: routeOf(edge, from, to),
      "marker-end": `url(#to-${edge.kind})` });
    tint(page, path, edge, from);
    return path;
  });
  page.shapes = new Map([...view.units.values()].map((unit) => [unit.id, boxOf(page, unit)]));
  page.layer.replaceChildren(...frames, ...page.paths, ...page.shapes.values());
  drawMinimap(page);
}

function frameOf(page, { group, rect, labelled }) {
  const made = svg("g", { class: "frame" },
    svg("rect", { ...rect, rx: 10 }));
  if (!labelled) return made;
  const text = svg("text", { x: rect.x + 9, y: rect.y + 13, role: "button", tabindex: 0,
    "aria-label": `Collapse ${plain(group.name)}` });
  text.textContent = "− " + plain(group.name);
  text.dataset.group = group.path;
  made.append(text);
  return made;
}

const FILL = { forward: "forward", backward: "reverse", update: "update" };

function boxOf(page, unit) {
  const colour = given(unit) ? "given" : FILL[unit.lane];
  const style = `fill:var(--${colour}-fill);stroke:var(--${colour})` +
    (unit.kind === "loss" ? ";stroke-width:2.6" : "");
  const shape = unit.kind === "sum"
    ? svg("circle", { cx: unit.x + 13, cy: unit.y + 13, r: 13, style })
    : svg("rect", { x: unit.x, y: unit.y, width: unit.width, height: unit.height,
      rx: unit.kind === "group" ? 12 : 6, style });
  if (unit.kind === "group") shape.style.strokeDasharray = "1 0", shape.style.strokeWidth = 2.2;
  const made = svg("g", { class: "box", tabindex: 0, role: "button" }, shape);
  made.dataset.unit = unit.id;
  made.setAttribute("aria-label", plain(`${unit.title} ${unit.name || ""}`, 120));
  unit.lines.forEach(([text, face], i) => {
    const line = svg("text", { class: face, x: unit.x + unit.width / 2, "text-anchor": "middle",
      y: unit.kind === "sum" ? unit.y + 18 : unit.y + 18 + 15 * i });
    line.textContent = text;
    made.append(line);
  });
  const tip = svg("title");
  tip.textContent = unit.last ? plain(`${unit.last.name} = ${unit.last.equation || unit.last.op}`, 300)
    : `${unit.boxes.length} ops: click to expand`;
  made.append(tip);
  return made;
}

// The colour of gradients: log10 of their root mean square, from pale to dark; also told in words.
function tint(page, path, edge, from) {
  if (edge.kind !== "gradient" || !page.range || !from.last) return;
  const value = page.value(from.last.id);
  if (!value) return;
  if (value.nans || value.infs) path.style.stroke = "var(--bad)";
  else if (!value.rms) path.style.stroke = "var(--line)";
  else {
    path.style.stroke = ramp(page, value.rms);
    path.style.strokeWidth = 1.2 + Math.min(4, Math.log10(1 + (from.last.bytes || 1)) * 0.6);
  }
}

function ramp(page, rms) {
  const [low, high] = page.range;
  const at = high > low ? (Math.log10(rms) - low) / (high - low) : 1;
  return `color-mix(in oklab, var(--reverse) ${Math.round(28 + 72 * at)}%, var(--paper))`;
}

// ---------------------------------------------------------------- pan and zoom

function place(page) {
  const { x, y, scale } = page.camera;
  page.layer.setAttribute("transform", `translate(${x},${y}) scale(${scale})`);
  const box = page.picture.getBoundingClientRect();
  for (const [key, value] of Object.entries({ x: -x / scale, y: -y / scale,
    width: box.width / scale, height: box.height / scale })) page.window.setAttribute(key, value);
}

function fit(page, least = 0) {
  const box = page.picture.getBoundingClientRect(), bounds = boundsOf([...page.view.units.values(),
    ...page.plan.frames.map((frame) => frame.rect)], 26);
  bounds.width += 26; // the turn at the loss
  const scale = Math.max(least, Math.min(box.width / bounds.width, (box.height - 24) / bounds.height, 1.35));
  page.camera = { scale, x: Math.max((box.width - bounds.width * scale) / 2, 0) - bounds.x * scale,
    y: (box.height - 24 - bounds.height * scale) / 2 - bounds.y * scale };
  place(page);
  return scale;
}

function zoom(page, factor, cx, cy) {
  const scale = Math.min(4, Math.max(0.02, page.camera.scale * factor));
  const real = scale / page.camera.scale;
  page.camera = { scale, x: cx - (cx - page.camera.x) * real, y: cy - (cy - page.camera.y) * real };
  place(page);
}

function reveal(page, unit) {
  const box = page.picture.getBoundingClientRect(), { x, y, scale } = page.camera;
  const cx = (unit.x + unit.width / 2) * scale + x, cy = (unit.y + unit.height / 2) * scale + y;
  const inside = cx > 70 && cy > 40 && cx < box.width - 70 && cy < box.height - 60;
  if (inside) return;
  page.camera.x += box.width / 2 - cx;
  page.camera.y += box.height / 2 - cy;
  place(page);
}

function drawMinimap(page) {
  const bounds = boundsOf([...page.view.units.values()], 30);
  page.minimap.setAttribute("viewBox", `${bounds.x} ${bounds.y} ${bounds.width} ${bounds.height}`);
  const marks = [...page.view.units.values()].map((unit) => svg("rect", { x: unit.x, y: unit.y,
    width: unit.width, height: unit.height, style: `fill:var(--${FILL[unit.lane]})` }));
  page.window = svg("rect", { style: "fill:none;stroke:var(--now);vector-effect:non-scaling-stroke;stroke-width:2" });
  page.minimap.replaceChildren(...marks, page.window);
}

function movable(page) {
  let held = null;
  const picture = page.picture;
  picture.addEventListener("pointerdown", (event) => { held = [event.clientX, event.clientY]; page.dragged = false; });
  addEventListener("pointermove", (event) => {
    if (!held) return;
    const dx = event.clientX - held[0], dy = event.clientY - held[1];
    if (Math.abs(dx) + Math.abs(dy) < 4 && !page.dragged) return;
    page.dragged = true;
    held = [event.clientX, event.clientY];
    page.camera.x += dx;
    page.camera.y += dy;
    place(page);
  });
  addEventListener("pointerup", () => { held = null; });
  picture.addEventListener("wheel", (event) => {
    event.preventDefault();
    const box = picture.getBoundingClientRect();
    zoom(page, Math.exp(-event.deltaY / 500), event.clientX - box.left, event.clientY - box.top);
  }, { passive: false });
  page.minimap.addEventListener("click", (event) => {
    const point = new DOMPoint(event.clientX, event.clientY)
      .matrixTransform(page.minimap.getScreenCTM().inverse());
    const box = picture.getBoundingClientRect();
    page.camera.x = box.width / 2 - point.x * page.camera.scale;
    page.camera.y = box.height / 2 - point.y * page.camera.scale;
    place(page);
  });
}

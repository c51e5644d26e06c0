// What happens at the present moment: inputs, formula with numbers, contributions, result.
"use strict";

function tag(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

const heading = (text) => tag("h3", {}, text);

function inspect(page) {
  const side = page.inspector;
  const node = page.graph.nodes.get(page.selected);
  if (!node) return side.replaceChildren(...overview(page));
  const moment = page.graph.moments[page.graph.momentOf.get(node.id)];
  side.replaceChildren(...headOf(page, node, moment), ...inputsOf(page, node),
    ...formulaOf(page, node), ...sumOf(page, node), ...resultOf(page, node),
    ...proofOf(page, node), ...factsOf(page, node, moment), ...sourcesOf(page, node, moment));
}

function overview(page) {
  const { doc } = page.graph, memory = doc.graph.memory || {};
  return [tag("h2", {}, "One training step"),
    tag("p", {}, "Data goes right, blame comes back left. Press → to walk through the schedule " +
      "op by op; click a box to see its numbers, a scope to open it."),
    tag("table", {}, ...[["ops", page.graph.moments.length], ["kernel calls", (doc.graph.steps || []).length],
      ["parameters", bytes(memory.parameters)], ["arena", bytes(memory.arena)],
      ["without sharing", bytes(memory.unshared)],
      ["sizes", Object.entries(doc.sizes || {}).map(([k, v]) => `${k} = ${v}`).join(", ") || "fixed"],
    ].map(([key, value]) => tag("tr", {}, tag("th", {}, key), tag("td", {}, String(value))))),
    heading("Keys"), tag("p", { class: "soft" }, "← → one op · Shift+← → one kernel · Space play · " +
      "Home, End · / search · f fit · + − zoom · Esc back to the whole")];
}

function headOf(page, node, moment) {
  const where = !moment ? "given" : `kernel ${moment.step.number} of ` +
    `${(page.graph.doc.graph.steps || []).length} · ${moment.step.name}` +
    (moment.step.nodes.length > 1 ? ` · op ${moment.place + 1} of ${moment.step.nodes.length} fused` : "");
  const lane = { forward: "forward pass", backward: "reverse pass", update: "update" }[node.pass];
  const of = node.gradient_of.map((one) => {
    const loss = page.graph.nodes.get(one.loss), value = page.graph.nodes.get(one.node);
    return `∂${loss ? loss.name : "loss"}/∂${value.name}` + (one.whole === false ? " (a contribution)" : "");
  });
  const more = !again(page.graph, node) ? "" : node.op === "after" ? " · a value, kept" : " · computed again";
  return [tag("div", { class: node.pass }, `${lane}${more} · ${where}`),
    tag("h2", { class: "long" }, node.name),
    of.length ? tag("div", { class: "formula backward long" }, of.join("  =  ")) : null].filter(Boolean);
}

function inputsOf(page, node) {
  if (!node.inputs.length) return [];
  const found = node.inputs.map((id) => page.graph.nodes.get(id));
  const gradients = found.filter((one) => one.pass === "backward" && !written(one) &&
    !again(page.graph, one));
  const others = found.filter((one) => !gradients.includes(one));
  const rows = [];
  if (gradients.length && !page.graph.sums.has(node.id))
    rows.push(heading("Incoming gradient"), ...gradients.map((one) => valueOf(page, one, node)));
  if (others.length) rows.push(heading("Inputs"), ...others.map((one) => valueOf(page, one, node)));
  return rows;
}

// A value: its name, and its elements as a matrix, or what they look like.
function valueOf(page, node, reader) {
  const name = tag("code", { class: "name " + node.pass, tabindex: 0, role: "button" }, node.name);
  name.dataset.node = node.id;
  return tag("div", { class: "value" }, name, elements(page, node, reader));
}

function elements(page, node, reader) {
  if (written(node)) return tag("span", { class: "number" }, "= " + (node.text || node.name));
  const value = page.value(node.id);
  if (!value) return tag("span", { class: "soft" }, shapeOf(node) + whyNot(page, node));
  if (!value.data || value.count > 64) return described(value, node);
  const columns = node.dims.length ? node.dims[node.dims.length - 1] || 1 : 1;
  const matrix = tag("span", { class: `matrix number ${node.pass}`,
    style: `grid-template-columns:repeat(${columns},auto)` });
  value.data.forEach((x, i) => {
    const cell = tag("button", { title: `element ${i}: ${x}`,
      "aria-pressed": !reader && i === page.element }, short(x, 5));
    cell.dataset.element = i;
    matrix.append(cell);
  });
  return matrix;
}

function whyNot(page, node) {
  if (!page.snapshots.length || node.kind === "loop") return "";
  return page.graph.nodes.get(node.loop)?.loop ? " · not captured: in a loop within a loop" : " · not captured";
}

function described(value, node) {
  const odd = (value.nans || 0) + (value.infs || 0);
  const text = `${shapeOf(node)}${value.steps ? ` · all ${value.steps} steps of the loop together` : ""} · mean ${short(value.mean)} · std ${short(value.std)} · ` +
    `${short(value.min)} … ${short(value.max)} · rms ${short(value.rms)}`;
  const made = tag("span", { class: "soft" }, text);
  if (odd) made.append(tag("span", { class: "bad" }, ` ${value.nans || 0} NaN, ${value.infs || 0} Inf`));
  if (value.histogram) {
    const { counts } = value.histogram, most = Math.max(...counts);
    made.append(" ", svg("svg", { width: 130, height: 26, role: "img", "aria-label": "histogram" },
      ...counts.map((count, i) => svg("rect", { x: i * 8, y: 25 - 24 * count / most, width: 7,
        height: 1 + 24 * count / most, style: `fill:var(--${FILL[node.pass]})` }))));
  }
  return made;
}

// ---------------------------------------------------------------- the formula, with numbers

function formulaOf(page, node) {
  const op = page.graph.doc.ops[node.op];
  if (!op || !node.inputs.length) return [];
  const rows = [heading("Formula"),
    tag("div", { class: "formula long" }, tag("code", {}, `${node.name} = ${node.equation}`))];
  if (op.formula) rows.push(tag("div", { class: "formula" }, tag("code", {}, op.formula)));
  const rule = ruleOf(page, node);
  if (rule) rows.push(tag("div", { class: "soft" }, "by the reverse rule of " + rule.of.op),
    tag("div", { class: "formula backward" }, tag("code", {}, rule.text)));
  const numbers = arithmetic(page, node, rule);
  if (numbers) rows.push(heading(`With numbers, element ${page.element}`),
    tag("div", { class: "formula number", id: "numbers" }, numbers));
  return rows;
}

function ruleOf(page, node) {
  const of = node.pass === "backward" && page.graph.nodes.get(node.forward_of);
  const rules = of && page.graph.doc.ops[of.op]?.gradient;
  if (!rules) return null;
  for (const one of node.gradient_of) {
    const place = of.inputs.indexOf(one.node);
    const text = place >= 0 && rules.find((rule) => rule.startsWith(`∂x${place} =`));
    if (text) return { of, text };
  }
  return null;
}

// The element of a value that broadcasting pairs with element i of the result.
function paired(page, node, result, i) {
  if (written(node)) return node.kind === "constant" && node.text ? Number(node.text) : undefined;
  const value = page.value(node.id);
  if (!value?.data) return undefined;
  let rest = i, at = 0, stride = 1;
  const own = [...node.dims].reverse();
  [...result.dims].reverse().forEach((size, axis) => {
    const index = rest % size;
    rest = Math.floor(rest / size);
    if (own[axis] > 1) at += index * stride;
    stride *= own[axis] ?? 1;
  });
  return value.data[at];
}

const SIGNS = { add: " + ", accumulate: " + ", subtract: " − ", multiply: " · ", divide: " / " };

function arithmetic(page, node, rule) {
  const i = page.element, result = page.value(node.id)?.data?.[i];
  const inputs = node.inputs.map((id) => page.graph.nodes.get(id));
  if (result === undefined) return null;
  const op = page.graph.doc.ops[node.op], equals = " = " + short(result, 7);
  if (node.op === "matmul") return product(page, node, inputs, i, equals);
  if (op.form === "Reduction" && inputs.length === 1) return reduction(page, node, inputs[0], equals);
  if (op.form !== "Scalar") return null;
  const numbers = inputs.map((one) => paired(page, one, node, i));
  if (numbers.some((x) => x === undefined)) return null;
  const signed = (x) => (typeof x === "number" && x < 0 ? `(${short(x, 6)})` : short(x, 6));
  if (SIGNS[node.op] && numbers.length === 2) return numbers.map(signed).join(SIGNS[node.op]) + equals;
  const filled = rule && filledRule(page, node, rule, i, signed, inputs);
  if (filled) return filled + equals;
  return `${node.op}(${numbers.map((x) => short(x, 6)).join(", ")})` + equals;
}

function filledRule(page, node, rule, i, signed, inputs) {
  const text = rule.text.split(" = ").slice(1).join(" = ");
  if (/\b(sum|matmul|reshape|broadcast_to|transpose|size|take|where)\(|…/.test(text)) return null;
  const dy = inputs.find((one) => one.pass === "backward" && !written(one));
  let whole = true;
  const filled = text.replace(/\b(dy|y|x(\d+))\b/g, (name, _, place) => {
    const value = name === "dy" ? dy : name === "y" ? rule.of : page.graph.nodes.get(rule.of.inputs[place]);
    const x = value && paired(page, value, node, i);
    whole &&= x !== undefined;
    return signed(x);
  });
  return whole ? filled.replace(/ \* /g, " · ") : null;
}

function product(page, node, [a, b], i, equals) {
  const left = page.value(a.id)?.data, right = page.value(b.id)?.data;
  if (!left || !right || a.dims.length !== 2 || b.dims.length !== 2) return null;
  const [ta, tb] = ["transpose_a", "transpose_b"].map((key) => node.attrs?.[key] === "True");
  const inner = ta ? a.dims[0] : a.dims[1], columns = node.dims[1];
  const row = Math.floor(i / columns), column = i % columns, terms = [];
  for (let k = 0; k < inner && k < 8; k += 1) {
    const x = left[ta ? k * a.dims[1] + row : row * a.dims[1] + k];
    const y = right[tb ? column * b.dims[1] + k : k * b.dims[1] + column];
    const signed = (z) => (z < 0 ? `(${short(z, 5)})` : short(z, 5));
    terms.push(`${signed(x)} · ${signed(y)}`);
  }
  return terms.join("  +  ") + (inner > 8 ? "  + …" : "") + equals;
}

function reduction(page, node, input, equals) {
  const value = page.value(input.id)?.data;
  if (!value || value.length > 16 || node.dims.reduce((a, b) => a * b, 1) !== 1) return null;
  if (node.op !== "sum" && node.op !== "mean") return null;
  const sum = value.map((x) => (x < 0 ? `(${short(x, 5)})` : short(x, 5))).join(" + ");
  return (node.op === "mean" ? `(${sum}) / ${value.length}` : sum) + equals;
}

// ---------------------------------------------------------------- sums, results, proofs

function sumOf(page, node) {
  const sum = page.graph.sums.get(node.id);
  if (!sum) return [];
  let running = 0, known = true;
  const rows = sum.terms.map((id) => {
    const term = page.graph.nodes.get(id), x = paired(page, term, node, page.element);
    known &&= x !== undefined;
    running += Number(x);
    return tag("tr", {}, tag("td", {}, plain(term.name)), tag("td", {}, known ? short(x, 7) : "–"),
      tag("td", {}, known ? short(running, 7) : "–"));
  });
  return [heading("Contributions"), ...sum.terms.map((id) => valueOf(page, page.graph.nodes.get(id), node)),
    tag("table", { id: "contributions" }, tag("tr", {}, tag("th", {}, "from"), tag("th", {}, `element ${page.element}`),
      tag("th", {}, "running Σ")), ...rows)];
}

function resultOf(page, node) {
  const row = valueOf(page, node, null);
  row.id = "result";
  return [heading(node.inputs.length ? "Result" : "Value"), row];
}

function proofOf(page, node) {
  const value = page.value(node.id);
  if (!value?.difference || !value.data) return [];
  const rows = value.difference.slice(0, 16).map((x, i) => tag("tr", {}, tag("td", {}, String(i)),
    tag("td", {}, short(value.data[i], 6)), tag("td", {}, short(x, 6))));
  return [heading("Proof by finite differences"), tag("table", { id: "proof" }, tag("tr", {},
    tag("th", {}, "element"), tag("th", {}, "backprop"), tag("th", {}, "(L(v+ε) − L(v−ε)) / 2ε")), ...rows)];
}

function factsOf(page, node, moment) {
  const buffer = (page.graph.doc.graph.memory?.buffers || []).find((one) => one.slot === node.slot);
  const over = moment?.step.over?.[moment.step.outputs?.indexOf(node.id)];
  const facts = [["shape", `(${(node.shape || []).join(", ")}) ${node.dtype}`], ["bytes", bytes(node.bytes)],
    ["FLOPs", node.flops || 0],
    ["buffer", node.loop || !buffer ? node.home ? "its parameter's own memory" : "in registers" :
      `${buffer.slot} at ${buffer.offset}, ${bytes(buffer.bytes)}`],
    ["written over", over && page.graph.nodes.get(over)?.name],
    ["saved for", page.graph.saved.get(node.id)?.readers.map((id) => page.graph.nodes.get(id).name).join(", ")],
    ["layer", [node.scope, node.layer].filter(Boolean).join(" · ")],
    ["declared", node.at && `${node.at.file}:${node.at.line}`]];
  return [heading("Facts"), tag("table", {}, ...facts.filter(([, value]) => value).map(([key, value]) =>
    tag("tr", {}, tag("th", {}, key), tag("td", { class: "long" }, plain(value, 200)))))];
}

function sourcesOf(page, node, moment) {
  const op = page.graph.doc.ops[node.op], kernel = page.graph.doc.kernels?.[moment?.step.kernel];
  const found = [["Source of the op", op?.source], [`Kernel ${kernel?.name || ""}`, kernel?.source]];
  return found.filter(([, text]) => text).map(([name, text]) => {
    const made = tag("details", {}, tag("summary", {}, name), tag("pre", {}, text));
    made.open = page.openSources.has(name.split(" ")[0]);
    made.addEventListener("toggle", () =>
      page.openSources[made.open ? "add" : "delete"](name.split(" ")[0]));
    return made;
  });
}

function bytes(count = 0) {
  for (const unit of ["B", "KiB", "MiB"]) {
    if (count < 1024) return `${+count.toPrecision(4)} ${unit}`;
    count /= 1024;
  }
  return `${+count.toPrecision(4)} GiB`;
}

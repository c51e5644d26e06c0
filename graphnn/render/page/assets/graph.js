// The document as the page needs it: nodes, boxes, the tree of scopes, and the moments of a run.
"use strict";

const SEP = "\u001f"; // between the scopes of a path: no name that people write has it
const LONG = 40; // boxes of one scope before they are folded into runs

function readGraph(doc) {
  const graph = {
    doc, nodes: new Map(), order: new Map(), readers: new Map(), edges: [], sums: new Map(),
    moments: [], loops: new Map(), saved: new Map(),
  };
  readLevel(graph, doc.graph, "");
  graph.losses = new Set(doc.losses || []);
  graph.boxes = boxesOf(graph);
  graph.groups = groupsOf(graph);
  graph.momentOf = new Map(graph.moments.map((moment, i) => [moment.node, i]));
  return graph;
}

function readLevel(graph, level, loop) {
  for (const node of level.nodes || []) {
    node.inputs ||= []; node.pass ||= "forward"; node.scope ||= ""; node.dims ||= [];
    node.gradient_of ||= []; node.loop = loop;
    graph.order.set(node.id, graph.order.size);
    graph.nodes.set(node.id, node);
    graph.readers.set(node.id, []);
  }
  for (const node of level.nodes || [])
    for (const value of new Set(node.inputs)) graph.readers.get(value)?.push(node.id);
  for (const edge of level.edges || []) graph.edges.push(edge);
  for (const sum of level.sums || []) graph.sums.set(sum.node, sum);
  for (const saved of level.saved || []) graph.saved.set(saved.node, saved);
  const inner = new Map((level.loops || []).map((one) => [one.node, one]));
  for (const step of level.steps || []) {
    step.nodes.forEach((node, i) => graph.moments.push({ node, step, place: i }));
    const one = inner.get(step.loop);
    if (!one) continue;
    graph.loops.set(one.node, one);
    readLevel(graph, one.body || {}, one.node);
    loopEdges(graph, one);
  }
}

function loopEdges(graph, loop) {
  const reverse = graph.nodes.get(loop.node).pass === "backward";
  const add = (source, target, kind) => {
    const from = graph.nodes.get(source);
    if (!from || !target) return;
    const flows = !reverse ? "data" : from.pass === "backward" ? "gradient" : "saved";
    graph.edges.push({ source, target, kind: kind === "data" ? flows : kind });
  };
  for (const carry of loop.carries || []) {
    add(carry.first, carry.slot, "data");
    add(carry.next, carry.slot, "delay");
    add(carry.next, carry.trail || carry.last, "data");
  }
  for (const read of [...(loop.slices || []), ...(loop.outers || [])])
    add(read.value, read.slot, "data");
  for (const read of loop.outers || []) graph.nodes.get(read.slot).shows = read.value;
  if (reverse) savedSlots(graph, loop);
  for (const stack of loop.stacks || []) add(stack.node, stack.part, "data");
}

// What a loop of the reverse pass reads of the forward pass are saved values, not gradients.
function savedSlots(graph, loop) {
  const slots = new Set();
  for (const read of [...(loop.slices || []), ...(loop.outers || [])])
    if (laneOfValue(graph, read.value) === "forward") slots.add(read.slot);
  for (const slot of slots) graph.nodes.get(slot).pass = "forward";
  for (const edge of loop.body?.edges || []) if (slots.has(edge.source)) edge.kind = "saved";
}

function laneOfValue(graph, id) {
  const node = graph.nodes.get(id), root = graph.nodes.get(node?.view_of) || node;
  return (root?.kind === "part" ? graph.nodes.get(root.inputs[0]) : root)?.pass;
}

// The value of a node in the snapshot that is shown; in a loop, at the step that is shown.
function valueIn(page, id) {
  const node = page.graph.nodes.get(id);
  if (node.shows) return valueIn(page, node.shows);
  const found = page.snapshots[page.snapshot]?.values[id];
  const loop = found && page.graph.loops.get(node.loop);
  if (!loop) return found && Object.assign(found, { dims: node.dims });
  if (!found.data) return { ...found, dims: node.dims, steps: loop.length };
  const each = found.count / loop.length, at = each * Math.min(page.turn, loop.length - 1);
  const data = found.data.slice(at, at + each), all = data.filter((x) => typeof x === "number");
  return { data, dims: node.dims, count: each, nans: data.filter((x) => x === "NaN").length,
    infs: data.filter((x) => /Inf/.test(x)).length, zeros: all.filter((x) => x === 0).length,
    rms: Math.hypot(...all) / Math.sqrt(all.length || 1), mean: all.reduce((a, b) => a + b, 0) / (all.length || 1),
    min: all.reduce((a, b) => Math.min(a, b), Infinity), max: all.reduce((a, b) => Math.max(a, b), -Infinity) };
}

// ---------------------------------------------------------------- boxes: which nodes share one

const drawn = (node) => node.kind === "state" && !/^float/.test(node.dtype); // generators

// A forward value in the reverse pass, which is no gradient: what checkpoints keep and compute again.
function again(graph, node) {
  if (node.pass !== "backward" || node.gradient_of.length) return false;
  if (node.op === "after") return graph.nodes.get(node.inputs[0])?.pass === "forward";
  const of = graph.nodes.get(node.forward_of);
  return of?.op === node.op && !node.name.split(".").pop().startsWith("d_");
}

const written = (node) => node.kind === "constant" || node.kind === "size";

function boxesOf(graph) {
  const owner = new Map();
  const taken = new Set();
  const updates = new Map((graph.doc.updates || []).map((one) => [one.parameter, one]));
  for (const update of graph.doc.updates || []) {
    const random = drawn(graph.nodes.get(update.parameter));
    let outer = update;
    while (outer.within && updates.has(outer.within) && outer.within !== outer.parameter)
      outer = updates.get(outer.within);
    for (const id of [...(update.nodes || []), ...(update.state || [])]) {
      if (graph.nodes.get(id).pass === "update" && !owner.has(id))
        owner.set(id, random ? null : "update:" + outer.parameter);
    }
  }
  for (const sum of graph.sums.values())
    for (const id of sum.nodes) owner.set(id, sum.node), taken.add(id);
  const all = [...graph.nodes.values()];
  for (const node of all.reverse()) {
    if (owner.has(node.id) || written(node)) continue;
    owner.set(node.id, ownerOf(graph, node, owner, taken));
  }
  const boxes = new Map();
  for (const node of graph.nodes.values()) {
    const id = owner.get(node.id);
    if (id === undefined || id === null) continue;
    node.box = id;
    if (!boxes.has(id)) boxes.set(id, { id, nodes: [] });
    boxes.get(id).nodes.push(node);
  }
  for (const box of boxes.values()) describe(graph, box);
  return boxes;
}

// The reverse nodes of one forward node that only serve each other share the box of the last.
function ownerOf(graph, node, owner, taken) {
  if (node.kind === "part") return owner.get(node.inputs[0]) || node.inputs[0];
  if (drawn(node)) return null;
  if (node.pass !== "backward" || !node.forward_of) return node.id;
  const boxes = new Set(graph.readers.get(node.id).map((id) => owner.get(id)));
  const [only] = boxes;
  const last = boxes.size === 1 && graph.nodes.get(only);
  if (!last || last.forward_of !== node.forward_of || taken.has(only)) return node.id;
  return last.pass === "backward" ? only : node.id;
}

function describe(graph, box) {
  const last = graph.nodes.get(box.id) || box.nodes[box.nodes.length - 1];
  const update = box.id.startsWith("update:");
  box.last = last;
  box.lane = update ? "update" : laneOf(graph, last);
  box.of = last.forward_of;
  box.home = update ? box.id.slice(7) : null;
  const gradient = last.gradient_of.find((one) => graph.nodes.get(one.node));
  const whole = gradient && gradient.whole !== false;
  box.gradient = gradient && gradient.node;
  if (whole && graph.nodes.get(box.gradient).kind === "parameter" && !update)
    box.home = box.gradient; // a contribution stays under the op that it comes from
  box.kind = update ? "update" : graph.sums.has(last.id) ? "sum"
    : graph.losses.has(last.id) ? "loss" : last.kind;
  box.title = titleOf(graph, box, last);
  box.name = box.gradient && !update ? "∂" + graph.nodes.get(box.gradient).name : last.name;
  box.order = Math.min(...box.nodes.map((node) => graph.order.get(node.id)));
}

// A loop is a room of its own: all that is in it stands in the lane of the loop.
function laneOf(graph, node) {
  while (node.loop) node = graph.nodes.get(node.loop);
  return node.pass;
}

function titleOf(graph, box, last) {
  if (box.kind === "update") {
    const name = graph.nodes.get(box.home)?.home || last.op;
    const new_ = (graph.doc.updates || []).find((one) => one.parameter === box.home);
    return (new_ && graph.nodes.get(new_.new)?.op) || name;
  }
  if (box.kind === "sum") return "Σ";
  if (["input", "parameter", "state", "slot"].includes(last.kind)) return last.label || last.name;
  const of = box.lane === "backward" && graph.nodes.get(box.of);
  return of && of.inputs.length ? of.op.split("#")[0] + "′" : last.op.split("#")[0];
}

// ---------------------------------------------------------------- scopes as a tree of groups

function groupsOf(graph) {
  const root = { path: "", name: "", parent: null, groups: new Map(), boxes: [], open: true };
  const all = new Map([["", root]]);
  const group = (path, name) => {
    if (all.has(path)) return all.get(path);
    const cut = path.lastIndexOf(SEP);
    const parent = group(cut < 0 ? "" : path.slice(0, cut));
    const made = { path, name: name || path.slice(cut + 1), parent, groups: new Map(), boxes: [],
      open: false };
    parent.groups.set(path, made);
    all.set(path, made);
    return made;
  };
  const boxes = [...graph.boxes.values()].sort((a, b) => a.order - b.order);
  for (const box of boxes) box.group = group(pathOf(graph, box)), box.group.boxes.push(box);
  for (const one of [...all.values()]) splitLong(one, all);
  for (const box of boxes) follow(graph, box);
  for (const one of all.values()) one.boxes = [];
  for (const box of boxes) box.group.boxes.push(box);
  for (const scope of graph.doc.scopes || []) {
    const found = all.get(scopePath(scope.path));
    if (found && scope.layer) found.name += ` · ${scope.layer}`;
  }
  for (const [id, loop] of graph.loops) {
    const found = all.get(loopPath(graph, id));
    if (!found) continue;
    found.loop = id;
    found.name = `⟳ ${graph.nodes.get(id).op} ×${loop.length}${loop.reverse ? ", last step first" : ""}`;
  }
  return all;
}

const scopePath = (scope) => scope.split(".").filter(Boolean).join(SEP);
const joined = (...parts) => parts.filter(Boolean).join(SEP);

function loopPath(graph, id) {
  const loop = graph.nodes.get(id);
  const outside = loop.loop ? loopPath(graph, loop.loop) : "";
  return joined(outside || scopePath(loop.scope), "loop " + id.split("/").pop());
}

function pathOf(graph, box) {
  const own = box.nodes.find((node) => graph.loops.has(node.id)); // before the loop that it is in
  const loop = own ? own.id : box.last.loop;
  return loop ? loopPath(graph, loop) : scopePath(box.last.scope);
}

// Long scopes without layers inside fold into runs, so that any graph has a short picture.
function splitLong(group, all) {
  const ops = group.boxes.filter((box) => box.lane === "forward" && box.last.kind !== "input");
  if (ops.length <= LONG) return;
  const each = Math.max(12, Math.ceil(Math.sqrt(ops.length)));
  for (let first = 0; first < ops.length; first += each) {
    const run = ops.slice(first, first + each);
    const path = joined(group.path, `${first + 1}–${first + run.length}`);
    const made = { path, parent: group, groups: new Map(), boxes: [], open: false, run: true,
      name: `${run[0].title} … ${run[run.length - 1].title}` };
    group.groups.set(path, made);
    all.set(path, made);
    for (const box of run) box.group = made;
  }
}

// A gradient and an update are where the forward op or the parameter is.
function follow(graph, box) {
  const of = box.kind === "update" ? box.home : box.lane === "backward" ? box.of : null;
  const found = of && graph.boxes.get(graph.nodes.get(of)?.box);
  if (!found || box.last.loop || graph.loops.has(box.last.id)) return;
  const outside = found.group.path.split(SEP).pop().startsWith("loop ") && !found.last.loop;
  box.group = outside ? found.group.parent : found.group;
}

// Open what a reader can see at once: first the scopes that have others in them, then the rest;
// outer ones before inner ones, equal ones together.
function openAuto(graph, most) {
  const groups = [...graph.groups.values()].sort((a, b) => depthOf(a) - depthOf(b));
  const boxes = new Map(groups.map((group) => [group, 0])); // of its own
  for (const box of graph.boxes.values()) boxes.set(box.group, boxes.get(box.group) + 1);
  const lanes = graph.doc.passes?.includes("backward") ? 2 : 1;
  const cost = (group) => boxes.get(group) + lanes * (group.groups.size - 1);
  const frames = (group) => [...group.groups.values()].some((one) => !one.loop);
  let drawn = lanes + cost(graph.groups.get(""));
  for (const group of groups) group.open = !group.parent;
  for (const structure of [true, false]) {
    const done = new Set();
    for (const group of groups) {
      if (group.open || done.has(group) || !group.parent.open || frames(group) !== structure) continue;
      const equal = groups.filter((one) => !one.open && one.parent.open &&
        depthOf(one) === depthOf(group) && cost(one) === cost(group) && frames(one) === structure);
      for (const one of equal) done.add(one);
      if (drawn + cost(group) * equal.length > most) continue;
      drawn += cost(group) * equal.length;
      for (const one of equal) one.open = true;
    }
  }
}

// What is drawn: boxes of open scopes, and one box a lane for each closed one.
function visibleOf(graph, shows) {
  const units = new Map();
  const unitOf = new Map();
  for (const box of graph.boxes.values()) {
    if (box.lane === "backward" && !shows.reverse) continue;
    if (box.lane === "update" && !shows.updates) continue;
    let closed = null;
    for (let one = box.group; one; one = one.parent) if (!one.open) closed = one;
    box.inside = null;
    if (!closed) {
      const own = box.group.loop === box.id; // the loop itself: the room around its body
      box.inside = own ? [] : null;
      box.room = roomOf(own ? box.group.parent : box.group);
      units.set(box.id, box);
      unitOf.set(box.id, box.id);
      continue;
    }
    const lane = box.lane === "forward" ? "forward" : "backward";
    const id = `${lane}:${closed.path}`;
    if (!units.has(id)) units.set(id, { id, kind: "group", lane, closed, group: closed.parent,
      title: (lane === "backward" ? "∇ " : "") + closed.name, boxes: [], order: box.order,
      given: given(box), room: roomOf(closed.parent) });
    const unit = units.get(id);
    if (unit.given && !given(box)) unit.order = box.order, unit.given = false; // its first op
    unit.boxes.push(box);
    unitOf.set(box.id, id);
  }
  return { units, unitOf, edges: visibleEdges(graph, units, unitOf, shows) };
}

// The innermost open loop in which a scope lies.
function roomOf(group) {
  while (group && !group.loop) group = group.parent;
  return group ? group.loop : "";
}

// Where two units meet: in one room, each as itself or as the loop in which it stands.
function inOneRoom(units, a, b) {
  const ways = [a, b].map((id) => {
    const way = [id];
    while (units.get(way[0]).room) way.unshift(units.get(way[0]).room);
    return way;
  });
  let depth = 0;
  while (ways[0][depth] === ways[1][depth] && ways[0][depth + 1] && ways[1][depth + 1]) depth += 1;
  return [ways[0][depth], ways[1][depth]];
}

function visibleEdges(graph, units, unitOf, shows) {
  const found = new Map();
  const cuts = new Map();
  for (const cut of graph.doc.cuts || [])
    for (const reader of cut.readers) cuts.set(cut.value + " " + reader, cut);
  for (const edge of graph.edges) {
    const from = graph.nodes.get(edge.source), to = graph.nodes.get(edge.target);
    if (!from || !to || (edge.kind === "saved" && !shows.saved)) continue;
    const ends = [unitOf.get(from.box), unitOf.get(to.box)];
    if (!ends[0] || !ends[1] || ends[0] === ends[1]) continue;
    const [source, target] = inOneRoom(units, ...ends);
    if (source === target) continue;
    if (from.pass === "update" && to.pass === "update") continue; // a rate that they share
    const key = `${source}\n${target}`;
    if (!found.has(key)) found.set(key, { source, target, kind: edge.kind, values: new Set() });
    found.get(key).values.add(edge.source);
    found.get(key).cut ||= cuts.get(edge.source + " " + edge.target);
  }
  return [...found.values()];
}

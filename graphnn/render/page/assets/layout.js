// A place for every box: forward lane left to right, the reverse lane mirrored beneath it.
// From top to bottom: forward branches, the main road, what it reads, updates, gradients by
// parameters, the road of the reverse pass, its branches.
"use strict";

const GAP_X = 34, GAP_Y = 26, STACK = 12, FRAME = 10, LABEL = 18, ROOM = 26;

// Loops are rooms: each is laid out by itself, innermost first, and stands as one box among others.
function layOut(view, graph) {
  const units = [...view.units.values()].sort((a, b) => a.order - b.order);
  const rooms = units.filter((unit) => unit.inside);
  const deep = (unit) => (unit.room ? 1 + deep(view.units.get(unit.room)) : 0);
  rooms.sort((a, b) => deep(b) - deep(a));
  for (const room of rooms) furnish(room, units.filter((unit) => unit.room === room.id), view, graph);
  const outer = units.filter((unit) => !unit.room);
  const place = arrange(outer, view, graph, true);
  for (const room of rooms.reverse()) move(room.inside, room.x, room.y);
  return { frames: framesOf(outer, graph, place) };
}

function arrange(units, view, graph, lanes) {
  const place = forwardPlaces(lanes ? units.filter((unit) => unit.lane === "forward") : units, view);
  if (lanes) backwardPlaces(units, view, graph, place);
  const cells = new Map();
  for (const unit of units) {
    const { column, band } = place.get(unit.id);
    const key = column + "|" + band.join(",");
    if (!cells.has(key)) cells.set(key, { column, band, units: [] });
    cells.get(key).units.push(unit);
  }
  const xs = columnMiddles([...cells.values()]);
  setAxes([...cells.values()]);
  for (const cell of cells.values()) {
    stack(cell, xs.get(cell.column).middle, cell.axis);
    for (const unit of cell.units) unit.column = xs.get(cell.column); // its edges: left and right
  }
  return place;
}

// The body of a loop within its box; in the reverse lane it goes from right to left.
function furnish(room, units, view, graph) {
  const title = room.width;
  arrange(units, view, graph, false);
  const bounds = boundsOf(units), columns = units.map((unit) => unit.column);
  const right = bounds.x + bounds.width;
  if (room.lane === "backward") {
    for (const unit of units) unit.x = bounds.x + right - unit.x - unit.width;
    for (const column of new Set(columns))
      [column.left, column.right] = [bounds.x + right - column.right, bounds.x + right - column.left];
  }
  room.inside = units;
  room.width = Math.max(title, bounds.width + 2 * ROOM);
  room.height = bounds.height + 2 * ROOM + LABEL;
  move(units, (room.width - bounds.width) / 2 - bounds.x, LABEL + ROOM - bounds.y);
}

function move(units, dx, dy) {
  for (const unit of units) unit.x += dx, unit.y += dy;
  for (const column of new Set(units.map((unit) => unit.column))) column.left += dx, column.right += dx;
}

function neighbours(units, edges) {
  const order = topological(units, edges);
  const inputs = new Map(units.map((unit) => [unit.id, []]));
  const readers = new Map(units.map((unit) => [unit.id, []]));
  for (const edge of edges) {
    if (!order.has(edge.source) || !order.has(edge.target)) continue;
    if (edge.kind === "delay" || order.get(edge.source) >= order.get(edge.target)) continue; // cycles
    inputs.get(edge.target).push(edge.source);
    readers.get(edge.source).push(edge.target);
  }
  return { inputs, readers, order };
}

// Each unit after those that it reads; where folds make a cycle, the first declared comes first.
function topological(units, edges) {
  const waits = new Map(units.map((unit) => [unit.id, new Set()]));
  const next = new Map(units.map((unit) => [unit.id, []]));
  for (const { source, target, kind } of edges) {
    if (kind === "delay" || kind === "write" || !waits.has(source) || !waits.has(target)) continue;
    waits.get(target).add(source);
    next.get(source).push(target);
  }
  const order = new Map();
  const ready = units.filter((unit) => !waits.get(unit.id).size).map((unit) => unit.id);
  const visit = (id) => {
    if (order.has(id)) return;
    order.set(id, order.size);
    for (const target of next.get(id)) {
      waits.get(target).delete(id);
      if (!waits.get(target).size) ready.push(target);
    }
  };
  for (let i = 0, first = 0; order.size < units.length; ) {
    if (i < ready.length) visit(ready[i++]);
    else visit(units[first++].id);
  }
  return order;
}

const given = (unit) => ["parameter", "state", "input", "slot"].includes(unit.kind);

function forwardPlaces(units, view) {
  const lane = [...units];
  const { inputs, readers, order } = neighbours(lane, view.edges);
  // What is given, or drawn at random for one reader, stands beneath the one who reads it.
  const satellite = (unit) => given(unit) || (unit.kind !== "group" && unit.kind !== "loss" &&
    !inputs.get(unit.id).length && readers.get(unit.id).length === 1);
  lane.sort((a, b) => order.get(a.id) - order.get(b.id));
  const depth = new Map();
  for (const unit of lane)
    depth.set(unit.id, satellite(unit) ? 0
      : 1 + Math.max(0, ...inputs.get(unit.id).map((id) => depth.get(id) ?? 0)));
  const computed = lane.filter((unit) => !satellite(unit));
  const loss = computed.find((unit) => unit.kind === "loss") ||
    computed.reduce((a, b) => (!a || depth.get(b.id) >= depth.get(a.id) ? b : a), null);
  const taken = new Set();
  const chain = (end) => {
    const found = [end];
    for (;;) {
      const free = inputs.get(found[0]).filter((id) => !taken.has(id) && !found.includes(id));
      if (!free.length) break;
      const best = free.reduce((a, b) => (depth.get(b) > depth.get(a) ? b : a));
      const first = view.units.get(best), entry = first.kind === "input" || first.kind === "slot";
      if (satellite(first) && !(entry && readers.get(best).length)) break;
      found.unshift(best);
      if (satellite(first)) break;
    }
    found.forEach((id) => taken.add(id));
    return found;
  };
  const road = loss ? chain(loss.id) : [];
  const onRoad = new Set(road);
  const columns = new Map(), rows = new Map(road.map((id) => [id, 0]));
  for (const unit of lane) columns.set(unit.id, depth.get(unit.id));
  for (const unit of [...lane].reverse()) {
    const after = readers.get(unit.id).map((id) => columns.get(id));
    if (!onRoad.has(unit.id) && after.length) columns.set(unit.id, Math.min(...after) - 1);
  }
  const busy = [];
  for (const unit of [...computed].sort((a, b) => depth.get(b.id) - depth.get(a.id))) {
    if (rows.has(unit.id)) continue;
    const found = chain(unit.id);
    const before = inputs.get(found[0]).map((id) => columns.get(id) + 0.5);
    const after = readers.get(unit.id).map((id) => columns.get(id) - 0.5);
    const span = [Math.min(columns.get(found[0]), ...before),
      Math.max(columns.get(unit.id), ...after)];
    let row = 1;
    while ((busy[row] ||= []).some(([a, b]) => !(span[1] < a || b < span[0]))) row += 1;
    busy[row].push(span);
    found.forEach((id) => rows.set(id, row));
  }
  const place = new Map(), slots = new Map();
  for (const unit of lane) {
    if (rows.has(unit.id)) {
      place.set(unit.id, { column: 2 * columns.get(unit.id), row: rows.get(unit.id),
        band: [0, -rows.get(unit.id), 0] });
      continue;
    }
    const reader = readers.get(unit.id)[0];
    const column = reader ? columns.get(reader) : 0, row = reader ? rows.get(reader) ?? 0 : 0;
    const cell = column + "," + row, slot = slots.get(cell) || 0;
    slots.set(cell, slot + 1);
    place.set(unit.id, { column: 2 * column, row, slot, band: [0, -row, 1 + 2 * slot] });
  }
  return place;
}

function backwardPlaces(units, view, graph, place) {
  const last = Math.max(0, ...[...place.values()].map((one) => one.column));
  let before = { column: last, row: 0 };
  const of = (id) => {
    let unit = view.unitOf.get(graph.nodes.get(id)?.box);
    while (unit && view.units.get(unit).room) unit = view.units.get(unit).room;
    return place.get(unit);
  };
  for (const unit of units) {
    if (unit.lane === "forward") continue;
    if (unit.kind === "group") {
      const twin = place.get("forward:" + unit.closed.path) ||
        unit.boxes.map((box) => of(box.of)).find(Boolean) || before;
      place.set(unit.id, { column: twin.column, row: twin.row, band: [1, twin.row, 99] });
      continue;
    }
    if (unit.lane === "update" && given(unit) && besideLayer(unit, view, place)) continue;
    const home = of(unit.home), twin = of(unit.of) || home || before;
    if (unit.lane === "update" && home)
      place.set(unit.id, { ...home, band: [0, -home.row, 2 + 2 * (home.slot || 0)] });
    else if (unit.home && home && home.slot !== undefined)
      place.set(unit.id, { column: home.column, row: home.row, band: [1, home.row, home.slot] });
    else place.set(unit.id, { column: twin.column + (unit.kind === "sum" ? 1 : 0),
      row: twin.row, band: [1, twin.row, 99] });
    before = { column: twin.column, row: twin.row };
  }
}

// A state that only updates read, as a running mean, stands beneath the op whose value moves it.
function besideLayer(unit, view, place) {
  const update = view.edges.find((edge) => edge.target === unit.id)?.source;
  const reads = view.edges.filter((edge) => edge.target === update).map((edge) => edge.source);
  const ops = (id) => place.has(id) && view.units.get(id).lane === "forward";
  const op = reads.find(ops) || [...view.units.values()].find((one) =>
    one.group === unit.group && !given(one) && ops(one.id))?.id;
  if (!op) return false;
  const { column, row } = place.get(op), taken = [...place.values()]
    .filter((one) => one.column === column && one.row === row).map((one) => one.slot ?? -1);
  const slot = 1 + Math.max(-1, ...taken);
  place.set(unit.id, { column, row, slot, band: [0, -row, 1 + 2 * slot] });
  return true;
}

function columnMiddles(cells) {
  const widths = new Map(), deep = new Map();
  for (const cell of cells)
    for (const unit of cell.units) {
      widths.set(cell.column, Math.max(widths.get(cell.column) || 0, unit.width));
      const open = openDepth(unit);
      deep.set(cell.column, Math.max(open, deep.get(cell.column) || 0));
    }
  const middles = new Map();
  let right = 0;
  for (const column of [...widths.keys()].sort((a, b) => a - b)) {
    const half = widths.get(column) / 2;
    const middle = right + GAP_X + 4 * deep.get(column) + half;
    middles.set(column, { middle, left: middle - half, right: middle + half });
    right = middle + half + 4 * deep.get(column);
  }
  return middles;
}

function openDepth(unit) {
  let depth = 0;
  for (let group = unit.group; group && group.parent; group = group.parent) depth += 1;
  return depth;
}

// The middle of every cell: one line for each band, but what stands beneath a room goes below it.
function setAxes(cells) {
  const bands = new Map();
  for (const cell of cells) {
    const key = cell.band.join(","), [first] = cell.units;
    const whole = cell.units.reduce((sum, unit) => sum + unit.height + STACK, -STACK);
    const band = bands.get(key) || { band: cell.band, above: 0, below: 0, cells: [] };
    cell.above = first.height / 2;
    cell.below = whole - first.height / 2;
    band.above = Math.max(band.above, cell.above);
    if (!first.inside) band.below = Math.max(band.below, cell.below);
    band.cells.push(cell);
    bands.set(key, band);
  }
  const sorted = [...bands.values()].sort((a, b) => a.band[0] - b.band[0] ||
    a.band[1] - b.band[1] || a.band[2] - b.band[2]);
  let bottom = 0, lane = 0, row = null, deepest = 0, columns = new Map();
  for (const { band, above, below, cells: inBand } of sorted) {
    if (band[0] !== lane || band[1] !== row) bottom = Math.max(bottom, deepest), columns = new Map();
    const turn = band[0] !== lane ? 1.6 * GAP_Y : band[2] === 0 ? LABEL : 0;
    [lane, row] = band;
    const axis = bottom + GAP_Y + turn + above;
    for (const cell of inBand) {
      const least = (columns.get(cell.column) ?? -Infinity) + GAP_Y + cell.above;
      cell.axis = Math.max(axis, least);
      columns.set(cell.column, cell.axis + cell.below);
      deepest = Math.max(deepest, cell.axis + cell.below);
    }
    bottom = axis + below;
  }
}

function stack(cell, x, axis) {
  let top = axis - cell.units[0].height / 2;
  for (const unit of cell.units) {
    unit.x = x - unit.width / 2;
    unit.y = top;
    top += unit.height + STACK;
  }
}

function boundsOf(boxes, pad = 0) {
  const left = Math.min(...boxes.map((b) => b.x)), top = Math.min(...boxes.map((b) => b.y));
  const right = Math.max(...boxes.map((b) => b.x + b.width));
  const bottom = Math.max(...boxes.map((b) => b.y + b.height));
  return { x: left - pad, y: top - pad, width: right - left + 2 * pad,
    height: bottom - top + 2 * pad };
}

// A frame around an open scope; its lanes apart where one frame would take in strangers.
function framesOf(units, graph, place) {
  const frames = [];
  for (const group of graph.groups.values()) {
    if (!group.parent || !group.open || group.loop) continue;
    const inside = units.filter((unit) => within(unit, group));
    if (!inside.length) continue;
    const levels = 1 + Math.max(...inside.map((unit) => openDepth(unit))) - depthOf(group);
    const outside = units.filter((unit) => !within(unit, group));
    const clean = (part) => {
      const rect = boundsOf(part);
      return !outside.some((unit) => meet(unit, rect));
    };
    const upper = inside.filter((unit) => unit.lane !== "backward");
    const lower = inside.filter((unit) => unit.lane === "backward");
    const lanes = [upper, lower].filter((part) => part.length);
    const parts = clean(inside) ? [inside]
      : lanes.flatMap((part) => (clean(part) ? [part] : rowsOf(part, place)));
    parts.forEach((part, i) => {
      const rect = boundsOf(part, FRAME * levels * 0.8);
      rect.y -= LABEL * levels * 0.8;
      rect.height += LABEL * levels * 0.8;
      frames.push({ group, rect, depth: depthOf(group), labelled: i === 0 });
    });
  }
  return frames.sort((a, b) => a.depth - b.depth);
}

function rowsOf(units, place) {
  const rows = new Map();
  for (const unit of units) {
    const { row } = place.get(unit.id);
    rows.set(row, [...(rows.get(row) || []), unit]);
  }
  return [...rows.values()];
}

const depthOf = (group) => (group.parent ? 1 + depthOf(group.parent) : 0);

function within(unit, group) {
  for (let one = unit.group; one; one = one.parent) if (one === group) return true;
  return false;
}

const meet = (a, b) => a.x < b.x + b.width && b.x < a.x + a.width &&
  a.y < b.y + b.height && b.y < a.y + a.height;

// A place for every box: forward lane left to right, the reverse lane mirrored beneath it.
// From top to bottom: forward branches, the main road, what it reads, updates, gradients by
// parameters, the road of the reverse pass, its branches.
"use strict";

const GAP_X = 34, GAP_Y = 26, STACK = 12, FRAME = 10, LABEL = 18;

function layOut(view, graph) {
  const units = [...view.units.values()].sort((a, b) => a.order - b.order);
  const place = forwardPlaces(units, view, graph);
  backwardPlaces(units, view, graph, place);
  const cells = new Map();
  for (const unit of units) {
    const { column, band } = place.get(unit.id);
    const key = column + "|" + band.join(",");
    if (!cells.has(key)) cells.set(key, { column, band, units: [] });
    cells.get(key).units.push(unit);
  }
  const xs = columnMiddles([...cells.values()]);
  const ys = bandAxes([...cells.values()]);
  for (const cell of cells.values()) stack(cell, xs.get(cell.column), ys.get(cell.band.join(",")));
  return { frames: framesOf(units, graph, place) };
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

const given = (unit) => ["parameter", "state", "input"].includes(unit.kind);

function forwardPlaces(units, view) {
  const lane = units.filter((unit) => unit.lane === "forward");
  const { inputs, readers, order } = neighbours(lane, view.edges);
  lane.sort((a, b) => order.get(a.id) - order.get(b.id));
  const depth = new Map();
  for (const unit of lane)
    depth.set(unit.id, given(unit) ? 0
      : 1 + Math.max(0, ...inputs.get(unit.id).map((id) => depth.get(id) ?? 0)));
  const computed = lane.filter((unit) => !given(unit));
  const loss = computed.find((unit) => unit.kind === "loss") ||
    computed.reduce((a, b) => (!a || depth.get(b.id) >= depth.get(a.id) ? b : a), null);
  const taken = new Set();
  const chain = (end) => {
    const found = [end];
    for (;;) {
      const free = inputs.get(found[0]).filter((id) => !taken.has(id) && !found.includes(id));
      if (!free.length) break;
      const best = free.reduce((a, b) => (depth.get(b) > depth.get(a) ? b : a));
      const kind = view.units.get(best).kind;
      if (kind === "parameter" || kind === "state") break;
      found.unshift(best);
      if (kind === "input") break;
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
  const of = (id) => id && place.get(view.unitOf.get(graph.nodes.get(id)?.box));
  for (const unit of units) {
    if (unit.lane === "forward") continue;
    if (unit.kind === "group") {
      const twin = place.get("forward:" + unit.closed.path) ||
        unit.boxes.map((box) => of(box.of)).find(Boolean) || before;
      place.set(unit.id, { column: twin.column, row: twin.row, band: [1, twin.row, 99] });
      continue;
    }
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

function columnMiddles(cells) {
  const widths = new Map(), deep = new Map();
  for (const cell of cells)
    for (const unit of cell.units) {
      widths.set(cell.column, Math.max(widths.get(cell.column) || 0, unit.width));
      const open = openDepth(unit);
      if (open >= (deep.get(cell.column)?.length ?? -1)) deep.set(cell.column, open);
    }
  const middles = new Map();
  let right = 0;
  for (const column of [...widths.keys()].sort((a, b) => a - b)) {
    const half = widths.get(column) / 2;
    middles.set(column, right + GAP_X + 4 * deep.get(column) + half);
    right = middles.get(column) + half + 4 * deep.get(column);
  }
  return middles;
}

function openDepth(unit) {
  let depth = 0;
  for (let group = unit.group; group && group.parent; group = group.parent) depth += 1;
  return depth;
}

function bandAxes(cells) {
  const bands = new Map();
  for (const cell of cells) {
    const key = cell.band.join(",");
    const band = bands.get(key) || { band: cell.band, above: 0, below: 0 };
    const heights = cell.units.map((unit) => unit.height);
    const whole = heights.reduce((sum, height) => sum + height + STACK, -STACK);
    band.above = Math.max(band.above, heights[0] / 2);
    band.below = Math.max(band.below, whole - heights[0] / 2);
    bands.set(key, band);
  }
  const sorted = [...bands.values()].sort((a, b) => a.band[0] - b.band[0] ||
    a.band[1] - b.band[1] || a.band[2] - b.band[2]);
  const axes = new Map();
  let bottom = 0, lane = 0;
  for (const { band, above, below } of sorted) {
    const turn = band[0] !== lane ? 1.6 * GAP_Y : band[2] === 0 ? LABEL : 0;
    lane = band[0];
    axes.set(band.join(","), bottom + GAP_Y + turn + above);
    bottom = axes.get(band.join(",")) + below;
  }
  return axes;
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
    if (!group.parent || !group.open) continue;
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

// ---------------------------------------------------------------- the way of an edge

function routeOf(edge, from, to) {
  const mx = from.x + from.width / 2, nx = to.x + to.width / 2;
  const my = from.y + from.height / 2, ny = to.y + to.height / 2;
  if (edge.kind === "turn") {
    const x = Math.max(from.x + from.width, to.x + to.width);
    return `M${from.x + from.width},${my}C${x + 46},${my} ${x + 46},${ny} ${to.x + to.width},${ny}`;
  }
  if (edge.kind === "delay") {
    const y = Math.min(from.y, to.y) - 34;
    return `M${mx},${from.y}C${mx},${y} ${nx},${y} ${nx},${to.y}`;
  }
  const right = nx > mx;
  const gap = right ? to.x - from.x - from.width : from.x - to.x - to.width;
  if (gap < 4) {
    const down = ny > my;
    const y1 = down ? from.y + from.height : from.y, y2 = down ? to.y : to.y + to.height;
    const half = (y2 - y1) / 2;
    return `M${mx},${y1}C${mx},${y1 + half} ${nx},${y2 - half} ${nx},${y2}`;
  }
  const x1 = right ? from.x + from.width : from.x, x2 = right ? to.x : to.x + to.width;
  if (gap > 2.6 * GAP_X && Math.abs(my - ny) < 12) { // over what stands between
    const rise = (edge.kind === "gradient" ? 1 : -1) * (28 + Math.min(60, gap / 12));
    const y1 = rise > 0 ? from.y + from.height : from.y, y2 = rise > 0 ? to.y + to.height : to.y;
    return `M${mx},${y1}C${mx},${y1 + rise} ${nx},${y2 + rise} ${nx},${y2}`;
  }
  const pull = (right ? 1 : -1) * Math.min(Math.max(gap / 2, 14), 70);
  return `M${x1},${my}C${x1 + pull},${my} ${x2 - pull},${ny} ${x2},${ny}`;
}

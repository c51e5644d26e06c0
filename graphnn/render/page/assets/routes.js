// The way of an edge: straight where nothing stands between, else around what does.
"use strict";

const CLEAR = 9; // between an edge and what it goes around
const MANY = 2000; // boxes from which on edges are straight: nobody can follow them then

function routeOf(edge, from, to, view) {
  const mx = from.x + from.width / 2, nx = to.x + to.width / 2;
  const my = from.y + from.height / 2, ny = to.y + to.height / 2;
  const others = view.units.size > MANY ? [] : neighboursOf(view, from, to);
  if (edge.kind === "turn") return turnRoute(from, to, my, ny);
  if (edge.kind === "delay") return delayRoute(from, to, my, ny, view);
  const right = nx > mx;
  const gap = right ? to.x - from.x - from.width : from.x - to.x - to.width;
  if (gap < 4) return uprightRoute(edge, from, to, others);
  const x1 = right ? from.x + from.width : from.x, x2 = right ? to.x : to.x + to.width;
  const level = Math.abs(my - ny) < 12;
  if (level && free(others, x1, x2, my)) {
    const half = (x2 - x1) / 2;
    return `M${x1},${my}C${x1 + half},${my} ${x2 - half},${ny} ${x2},${ny}`;
  }
  // Along one of the two rows where it is free: the turn stands between two columns.
  const out = right ? from.column.right : from.column.left;
  const into = right ? to.column.left : to.column.right;
  const way = Math.sign(into - out) || 1, room = Math.min(GAP_X, Math.max(8, Math.abs(into - out)));
  const bend = (x) => `C${x + way * room * 0.55},${my} ${x + way * room * 0.45},${ny} ${x + way * room},${ny}`;
  if (!level && right === way > 0 && free(others, x1, into - way * room, my)) // late
    return `M${x1},${my}L${into - way * room},${my}${bend(into - way * room)}L${x2},${ny}`;
  if (!level && right === way > 0 && free(others, out + way * room, x2, ny)) // early
    return `M${x1},${my}L${out},${my}${bend(out)}L${x2},${ny}`;
  const side = !level ? 0 : edge.kind === "gradient" ? 1 : -1; // skips go over the road, gradients under
  const lane = right === way > 0 && laneBetween(others, out, into, my, ny, side);
  if (lane) {
    const a = out + way * CLEAR, b = into - way * CLEAR;
    return rounded([[x1, my], [a, my], [a, lane], [b, lane], [b, ny], [x2, ny]], level ? 12 : 7);
  }
  const pull = (right ? 1 : -1) * Math.min(Math.max(gap / 2, 14), 70);
  return `M${x1},${my}C${x1 + pull},${my} ${x2 - pull},${ny} ${x2},${ny}`;
}

function neighboursOf(view, from, to) {
  view.rooms ||= new Map();
  if (!view.rooms.has(from.room))
    view.rooms.set(from.room, [...view.units.values()].filter((unit) => unit.room === from.room));
  return view.rooms.get(from.room).filter((unit) => unit !== from && unit !== to);
}

function free(others, a, b, y) {
  const left = Math.min(a, b), right = Math.max(a, b);
  return !others.some((unit) => unit.x < right && unit.x + unit.width > left &&
    unit.y - 3 < y && unit.y + unit.height + 3 > y);
}

// The free height that is nearest to both ends: just above or beneath what stands between.
function laneBetween(others, a, b, my, ny, side) {
  const left = Math.min(a, b), right = Math.max(a, b);
  const between = others.filter((unit) => unit.x < right && unit.x + unit.width > left);
  const heights = between.flatMap((unit) => [unit.y - CLEAR, unit.y + unit.height + CLEAR])
    .filter((y) => free(between, a, b, y));
  const way = (y) => Math.abs(y - my) + Math.abs(y - ny) + (side * (y - my) < 0 ? 80 : 0);
  return heights.reduce((best, y) => (best === null || way(y) < way(best) ? y : best), null);
}

function turnRoute(from, to, my, ny) {
  const x = Math.max(from.x + from.width, to.x + to.width);
  return `M${from.x + from.width},${my}C${x + 46},${my} ${x + 46},${ny} ${to.x + to.width},${ny}`;
}

// Back to the beginning of the body, beneath all that is in it.
function delayRoute(from, to, my, ny, view) {
  const room = view.units.get(from.room);
  if (!room) return uprightRoute({ kind: "delay" }, from, to, []);
  const way = room.lane === "backward" ? -1 : 1, y = room.y + room.height - CLEAR;
  const x1 = way > 0 ? from.x + from.width : from.x, x2 = way > 0 ? to.x : to.x + to.width;
  const out = (way > 0 ? from.column.right : from.column.left) + way * CLEAR;
  const into = (way > 0 ? to.column.left : to.column.right) - way * CLEAR;
  return rounded([[x1, my], [out, my], [out, y], [into, y], [into, ny], [x2, ny]]);
}

function uprightRoute(edge, from, to, others) {
  const mx = from.x + from.width / 2, nx = to.x + to.width / 2, down = to.y > from.y;
  const y1 = down ? from.y + from.height : from.y, y2 = down ? to.y : to.y + to.height;
  const low = Math.min(y1, y2), high = Math.max(y1, y2), x = (mx + nx) / 2;
  const stands = others.filter((unit) => unit.y < high && unit.y + unit.height > low &&
    unit.x < x + 3 && unit.x + unit.width > x - 3);
  if (!stands.length) {
    const half = (y2 - y1) / 2;
    return `M${mx},${y1}C${mx},${y1 + half} ${nx},${y2 - half} ${nx},${y2}`;
  }
  const my = from.y + from.height / 2, ny = to.y + to.height / 2;
  if (edge.kind === "saved" || edge.kind === "data") {
    const side = Math.max(...[from, to, ...stands].map((unit) => unit.x + unit.width)) + CLEAR;
    return rounded([[from.x + from.width, my], [side, my], [side, ny], [to.x + to.width, ny]]);
  }
  const side = Math.min(...[from, to, ...stands].map((unit) => unit.x)) - CLEAR;
  return rounded([[from.x, my], [side, my], [side, ny], [to.x, ny]]);
}

function rounded(points, radius = 7) {
  let path = `M${points[0]}`;
  for (let i = 1; i < points.length - 1; i += 1) {
    const [before, corner, after] = [points[i - 1], points[i], points[i + 1]];
    const near = (other) => {
      const length = Math.hypot(other[0] - corner[0], other[1] - corner[1]) || 1;
      const part = Math.min(radius, length / 2) / length;
      return [corner[0] + (other[0] - corner[0]) * part, corner[1] + (other[1] - corner[1]) * part];
    };
    path += `L${near(before)}Q${corner} ${near(after)}`;
  }
  return path + `L${points[points.length - 1]}`;
}

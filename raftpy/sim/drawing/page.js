// What the reader does: filters, zoom, pointer, keys.
const tip = document.getElementById("tip"), detail = document.getElementById("detail");
let waiting = false;

function refresh() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    draw();
    drawStrong();
    drawList();
  });
}

// The datagram of the chosen event stands out.
function drawStrong() {
  const row = data.events[chosen.row];
  if (!row) return;
  brush.save();
  brush.beginPath();
  brush.rect(GUTTER, OVERVIEW, lanes.width - GUTTER, lanes.height);
  brush.clip();
  const arrow = row[ROW.number] >= 0 && arrowByNumber.get(row[ROW.number]);
  if (arrow) drawArrow(arrow, true);
  brush.strokeStyle = "#0b57d0";
  brush.setLineDash([4, 3]);
  line(x(row[ROW.time]), OVERVIEW + AXIS, x(row[ROW.time]), lanes.height);
  brush.restore();
}

function tellStatus() {
  const parts = [`${shortTime(view.from, 4)} to ${shortTime(view.to, 4)}`, `${lanes.all.toLocaleString("en")} datagrams in sight`];
  if (lanes.every > 1) parts.push(`too many to draw: one in ${lanes.every} is shown, and all that were lost; zoom in for the rest`);
  document.getElementById("status").textContent = parts.join(" · ");
}

// --- Filters ------------------------------------------------------------------------------------------------------

function checkbox(into, text, checked, changed, colour) {
  const label = document.createElement("label"), box = document.createElement("input");
  box.type = "checkbox";
  box.checked = checked;
  box.addEventListener("change", () => { changed(box.checked); fillList(); refresh(); });
  label.append(box);
  if (colour) {
    const swatch = document.createElement("span");
    swatch.className = "swatch";
    swatch.style.background = colour;
    label.append(swatch);
  }
  label.append(text);
  into.append(label);
}

function makeFilters() {
  const by = (id) => document.getElementById(id);
  const counts = data.types.map(() => 0);
  for (const arrow of data.arrows) for (const type of arrow[ARROW.types]) counts[type]++;
  const order = data.types.map((name, type) => type).sort((a, b) => data.types[a] < data.types[b] ? -1 : 1);
  by("types").append("messages:");
  for (const type of order) {
    checkbox(by("types"), `${data.types[type]} (${counts[type].toLocaleString("en")})`, chosen.types[type],
      (on) => { chosen.types[type] = on; }, colourOf(type));
  }
  by("nodes").append("nodes:");
  for (const node of data.nodes) checkbox(by("nodes"), String(node), true, (on) => chosen.nodes.set(node, on));
  if (data.groups.length > 1) {
    by("groups").append("groups:");
    for (const group of data.groups) checkbox(by("groups"), String(group), true, (on) => chosen.groups.set(group, on));
  }
  by("marks").append("show:");
  for (const name of Object.keys(chosen.marks)) checkbox(by("marks"), name, chosen.marks[name], (on) => { chosen.marks[name] = on; });
  data.kinds.forEach((name, kind) => checkbox(by("kinds"), name, chosen.kinds[kind], (on) => { chosen.kinds[kind] = on; }));
  by("search").addEventListener("input", (event) => { chosen.words = event.target.value.toLowerCase(); fillList(); });
}

// --- What is under the pointer --------------------------------------------------------------------------------------

function under(px, py) {
  if (py > OVERVIEW) {
    for (let place = hits.length - 1; place >= 0; place--) {
      const hit = hits[place];
      if (px >= hit.x0 && px <= hit.x1 && py >= hit.y0 && py <= hit.y1) return hit;
    }
    let best = null, nearest = 6;
    for (const arrow of drawnArrows) {
      for (const piece of pieces(arrow)) {
        const far = distance(px, py, piece);
        if (far < nearest) { nearest = far; best = { arrow }; }
      }
    }
    return best;
  }
  return null;
}

function distance(px, py, { x0, y0, x1, y1 }) {
  const dx = x1 - x0, dy = y1 - y0, square = dx * dx + dy * dy;
  const part = square ? Math.min(Math.max(((px - x0) * dx + (py - y0) * dy) / square, 0), 1) : 0;
  return Math.hypot(px - x0 - part * dx, py - y0 - part * dy);
}

function tell(hit, time) {
  if (hit.arrow) {
    const arrow = hit.arrow;
    const ends = arrow[ARROW.arrivals].map(([at, why]) => why
      ? `lost at ${shortTime(at)}: ${why}` : `arrives at ${shortTime(at)}, after ${((at - arrow[ARROW.time]) * 1000).toFixed(3)} ms`);
    if (ends.length > 1) ends.push(`(${ends.length} copies)`);
    return [`datagram ${arrow[ARROW.number]}: node ${arrow[ARROW.from]} to node ${arrow[ARROW.to]}, ${arrow[ARROW.size]} bytes`,
      `sent at ${shortTime(arrow[ARROW.time])}`, ...(ends.length ? ends : ["does not arrive in what is drawn"]), arrow[ARROW.text]].join("\n");
  }
  if (hit.role) {
    const role = hit.role, made = committedBy(role[ROLE.node], role[ROLE.group]);
    const at = lastUpTo(made, time, (mark) => mark[MARK.time]);
    const leader = role[ROLE.leader] && role[ROLE.name] !== "Leader" ? `, leader node ${role[ROLE.leader]}` : "";
    const group = data.groups.length > 1 ? `, group ${role[ROLE.group]}` : "";
    return [`node ${role[ROLE.node]}${group}: ${role[ROLE.name]} in term ${role[ROLE.term]}${leader}`,
      `from ${shortTime(role[ROLE.from])}${role[ROLE.to] === -1 ? " on" : ` to ${shortTime(role[ROLE.to])}`}`,
      ...(at >= 0 ? [`${made[at][MARK.text]} (at ${shortTime(time, 4)})`] : [])].join("\n");
  }
  if (hit.life) return `node ${hit.life[LIFE.node]}: ${hit.life[LIFE.why]}\nfrom ${shortTime(hit.life[LIFE.from])}${hit.life[LIFE.to] === -1 ? " on" : ` to ${shortTime(hit.life[LIFE.to])}`}`;
  if (hit.span) {
    const span = hit.span, open = span[SPAN.to] === -1;
    return [`client ${span[SPAN.client]}: ${span[SPAN.text]}`, `asked at ${shortTime(span[SPAN.from])}${span[SPAN.node] ? `, node ${span[SPAN.node]}` : ""}`,
      open ? "never answered" : `answered at ${shortTime(span[SPAN.to])}, after ${((span[SPAN.to] - span[SPAN.from]) * 1000).toFixed(3)} ms: ${span[SPAN.result]}`].join("\n");
  }
  if (hit.mark) return `${hit.mark[MARK.node] ? `node ${hit.mark[MARK.node]}: ` : ""}${hit.mark[MARK.text]}\nat ${shortTime(hit.mark[MARK.time])}`;
  return `FAILED: ${hit.failure[1]}\nat ${shortTime(hit.failure[0])}\n${hit.failure[2]}`;
}

function rowOf(hit) {
  if (hit.arrow) return hit.arrow[ARROW.row] >= 0 ? hit.arrow[ARROW.row] : (hit.arrow[ARROW.arrivals][0] || [0, 0, -1])[2];
  if (hit.span) return hit.span[SPAN.asked] >= 0 ? hit.span[SPAN.asked] : hit.span[SPAN.answered];
  if (hit.mark) return hit.mark[MARK.row];
  return -1;
}

// An event is chosen: in the list (then the diagram goes there) or in the diagram (then the list does).
function choose(place, go) {
  chosen.row = place;
  const row = data.events[place];
  const arrow = row[ROW.number] >= 0 && arrowByNumber.get(row[ROW.number]);
  detail.textContent = `${shortTime(row[ROW.time])}  ${row[ROW.node] ? `node ${row[ROW.node]}` : "world"}  ${data.kinds[row[ROW.kind]]}\n`
    + (arrow ? tell({ arrow }) : row[ROW.text]);
  if (!go) scrollTo(place);
  else if (row[ROW.time] < view.from || row[ROW.time] > view.to) centre(row[ROW.time]);
  refresh();
}

function centre(time) {
  const half = (view.to - view.from) / 2;
  show(time - half, time + half);
  follow(time);
  refresh();
}

function zoom(times, time) {
  const at = time ?? (view.from + view.to) / 2, part = (at - view.from) / (view.to - view.from);
  const span = (view.to - view.from) * times;
  show(at - part * span, at + (1 - part) * span);
  refresh();
}

const move = (part) => { const by = (view.to - view.from) * part; show(view.from + by, view.to + by); refresh(); };

// To the landmark before or behind the middle of what is shown; the first beyond the middle itself.
function landmark(direction) {
  const middle = (view.from + view.to) / 2, near = (view.to - view.from) * 1e-3;
  const found = direction > 0 ? landmarks.find((time) => time > middle + near) : landmarks.findLast((time) => time < middle - near);
  if (found !== undefined) centre(found);
}

// --- Pointer and keys -------------------------------------------------------------------------------------------

let grabbed = null;

canvas.addEventListener("wheel", (event) => {
  if (event.ctrlKey || !event.shiftKey && Math.abs(event.deltaY) >= Math.abs(event.deltaX)) zoom(Math.exp(event.deltaY * 0.0015), timeAt(Math.max(event.offsetX, GUTTER)));
  else move((event.deltaX || event.deltaY) / 800);
  event.preventDefault();
}, { passive: false });

canvas.addEventListener("pointerdown", (event) => {
  canvas.setPointerCapture(event.pointerId);
  grabbed = { x: event.offsetX, from: view.from, to: view.to, moved: false, over: event.offsetY < OVERVIEW };
  if (grabbed.over) goTo(event.offsetX);
});

function goTo(position) {
  centre(TOTAL.from + (position - GUTTER) / (lanes.width - GUTTER - 4) * (TOTAL.to - TOTAL.from));
}

canvas.addEventListener("pointermove", (event) => {
  if (grabbed) {
    if (Math.abs(event.offsetX - grabbed.x) > 3) grabbed.moved = true;
    if (grabbed.over) goTo(event.offsetX);
    else if (grabbed.moved) {
      const by = (grabbed.x - event.offsetX) / (lanes.width - GUTTER) * (grabbed.to - grabbed.from);
      show(grabbed.from + by, grabbed.to + by);
      refresh();
    }
    tip.hidden = true;
    return;
  }
  const hit = under(event.offsetX, event.offsetY);
  canvas.style.cursor = hit ? "pointer" : "default";
  tip.hidden = !hit;
  if (!hit) return;
  tip.textContent = tell(hit, timeAt(event.offsetX));
  const left = event.offsetX + 14 + tip.offsetWidth > lanes.width ? event.offsetX - 14 - tip.offsetWidth : event.offsetX + 14;
  const lowest = stage.scrollTop + stage.clientHeight - tip.offsetHeight - 4;
  tip.style.left = `${Math.max(left, 2)}px`;
  tip.style.top = `${Math.max(Math.min(event.offsetY + 14, lowest), 0)}px`;
});

canvas.addEventListener("pointerup", (event) => {
  const was = grabbed;
  grabbed = null;
  if (!was || was.moved || was.over) return;
  const hit = under(event.offsetX, event.offsetY);
  if (!hit) return;
  const place = rowOf(hit);
  if (place >= 0) choose(place, false);
  detail.textContent = tell(hit, timeAt(event.offsetX));
});
canvas.addEventListener("pointerleave", () => { tip.hidden = true; });
canvas.addEventListener("dblclick", (event) => zoom(0.4, timeAt(event.offsetX)));

const COMMANDS = {
  "+": () => zoom(0.6), "=": () => zoom(0.6), "-": () => zoom(1 / 0.6), ArrowLeft: () => move(-0.2), ArrowRight: () => move(0.2),
  a: () => { show(TOTAL.from - MARGIN, TOTAL.to + MARGIN); refresh(); }, n: () => landmark(1), p: () => landmark(-1),
  f: () => { if (data.failure) centre(data.failure[0]); },
};
document.addEventListener("keydown", (event) => {
  if (event.target.tagName === "INPUT" && event.target.type === "search" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (COMMANDS[event.key]) { COMMANDS[event.key](); event.preventDefault(); }
});
for (const [id, key] of [["in", "+"], ["out", "-"], ["all", "a"], ["next", "n"], ["previous", "p"], ["tofailure", "f"]])
  document.getElementById(id).addEventListener("click", COMMANDS[key]);

if (data.failure) {
  document.getElementById("failure").hidden = document.getElementById("tofailure").hidden = false;
  document.getElementById("failure").textContent = `FAILED at ${shortTime(data.failure[0])}: ${data.failure[1]}\n${data.failure[2]}`;
}
if (data.cut) {
  document.getElementById("cut").hidden = false;
  document.getElementById("cut").textContent = data.cut;
}
list.addEventListener("scroll", drawList);
new ResizeObserver(refresh).observe(stage);
makeFilters();
firstView();
fillList();
follow(data.failure ? data.failure[0] : view.from);
refresh();

// The diagram itself, on one canvas: with tens of thousands of arrows, elements of their own would be too slow.
const canvas = document.getElementById("canvas");
const stage = document.getElementById("stage");
const brush = canvas.getContext("2d");

const GUTTER = 84, OVERVIEW = 34, AXIS = 20, WORLD = 44, BAR = 26, CLIENT = 15;
const MOST_ARROWS = 5000;  // drawn at once
let hits = [];             // what stands where, for the pointer; filled while drawing
let drawnArrows = [];
let lanes = { width: 0, height: 0, nodes: new Map(), clients: new Map(), top: 0, bottom: 0 };

const x = (time) => GUTTER + (time - view.from) / (view.to - view.from) * (lanes.width - GUTTER);
const timeAt = (position) => view.from + (position - GUTTER) / (lanes.width - GUTTER) * (view.to - view.from);

function layOut() {
  const width = stage.clientWidth, space = stage.clientHeight;
  const nodes = data.nodes.filter((node) => chosen.nodes.get(node));
  const clients = chosen.marks.clients ? data.clients : [];
  const top = OVERVIEW + AXIS + WORLD;
  const forClients = clients.length ? clients.length * CLIENT + 22 : 0;
  const lane = Math.min(Math.max((space - top - forClients - 8) / Math.max(nodes.length, 1), 76), 190);
  const height = Math.max(space, top + nodes.length * lane + forClients + 8);
  lanes = { width, height, nodes: new Map(), clients: new Map(), top, bottom: top + nodes.length * lane };
  nodes.forEach((node, place) => lanes.nodes.set(node, top + place * lane + lane / 2));
  clients.forEach((client, place) => lanes.clients.set(client, lanes.bottom + 20 + place * CLIENT));
  const ratio = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  brush.setTransform(ratio, 0, 0, ratio, 0, 0);
}

function draw() {
  layOut();
  hits = [];
  brush.fillStyle = "#fff";
  brush.fillRect(0, 0, lanes.width, lanes.height);
  brush.textBaseline = "middle";
  brush.save();
  brush.beginPath();
  brush.rect(GUTTER, OVERVIEW, lanes.width - GUTTER, lanes.height - OVERVIEW);
  brush.clip();
  drawAxis();
  drawLanes();
  drawFaultLines();
  drawArrows();
  drawRoles();
  drawLives();
  drawMarks();
  drawClients();
  drawFaults();
  drawFailure();
  brush.restore();
  drawGutter();
  drawOverview();
  tellStatus();
}

function visible(from, to) {
  return from <= view.to && (to === -1 ? TOTAL.to : to) >= view.from;
}

// --- The ground: axis, lanes, names -----------------------------------------------------------------------------

function step() {
  const wanted = (view.to - view.from) / Math.max((lanes.width - GUTTER) / 90, 1);
  const power = 10 ** Math.floor(Math.log10(wanted));
  return power * [1, 2, 5, 10].find((times) => times * power >= wanted);
}

function drawAxis() {
  const every = step(), digits = Math.max(0, -Math.floor(Math.log10(every) + 1e-9));
  brush.font = "11px system-ui, sans-serif";
  brush.textAlign = "center";
  for (let number = Math.ceil(view.from / every); number * every <= view.to; number++) {
    const at = Math.round(x(number * every)) + 0.5;
    brush.strokeStyle = "#eee";
    line(at, OVERVIEW + AXIS, at, lanes.height);
    brush.fillStyle = "#555";
    brush.fillText(`${(number * every).toFixed(digits)} s`, at, OVERVIEW + AXIS / 2);
  }
}

function line(x0, y0, x1, y1) {
  brush.beginPath();
  brush.moveTo(x0, y0);
  brush.lineTo(x1, y1);
  brush.stroke();
}

function drawLanes() {
  brush.strokeStyle = "#ccc";
  for (const y of lanes.nodes.values()) line(GUTTER, y, lanes.width, y);
  // A node that runs, also where it has no role yet because it still opens its store.
  brush.fillStyle = "#bbb";
  for (const life of data.lives) {
    const y = lanes.nodes.get(life[LIFE.node]);
    if (y === undefined || life[LIFE.state] !== "up" || !visible(life[LIFE.from], life[LIFE.to])) continue;
    const left = Math.max(x(life[LIFE.from]), GUTTER), end = life[LIFE.to] === -1 ? TOTAL.to : life[LIFE.to];
    brush.fillRect(left, y - 3, Math.max(Math.min(x(end), lanes.width) - left, 1), 6);
  }
  brush.strokeStyle = "#bbb";
  line(GUTTER, lanes.top - 0.5, lanes.width, lanes.top - 0.5);
  if (lanes.clients.size) line(GUTTER, Math.round(lanes.bottom) + 0.5, lanes.width, Math.round(lanes.bottom) + 0.5);
}

function drawGutter() {
  brush.fillStyle = "#fafafa";
  brush.fillRect(0, OVERVIEW, GUTTER - 1, lanes.height - OVERVIEW);
  brush.strokeStyle = "#ccc";
  line(GUTTER - 0.5, OVERVIEW, GUTTER - 0.5, lanes.height);
  brush.fillStyle = "#222";
  brush.textAlign = "left";
  brush.font = "11px system-ui, sans-serif";
  brush.fillText("faults", 8, OVERVIEW + AXIS + WORLD / 2);
  if (lanes.clients.size) brush.fillText("clients", 8, lanes.bottom + 10);
  for (const [client, y] of lanes.clients) brush.fillText(String(client).slice(0, 11), 16, y + CLIENT / 2 - 1);
  brush.font = "bold 13px system-ui, sans-serif";
  for (const [node, y] of lanes.nodes) brush.fillText(`node ${node}`, 8, y);
}

// --- Nodes ------------------------------------------------------------------------------------------------------

// Bars of several groups share the height of a lane's bar.
function barOf(node, group) {
  const groups = data.groups.filter((each) => chosen.groups.get(each));
  const middle = lanes.nodes.get(node);
  if (middle === undefined) return null;
  const place = groups.indexOf(group);
  if (groups.length < 2 || place < 0) return { y: middle - BAR / 2, height: BAR };
  const height = BAR / groups.length;
  return { y: middle - BAR / 2 + place * height, height };
}

let stripes = {};
function striped(colour) {
  if (!stripes[colour]) {
    const tile = document.createElement("canvas");
    tile.width = tile.height = 8;
    const pen = tile.getContext("2d");
    pen.strokeStyle = colour;
    pen.lineWidth = 2;
    for (const shift of [-8, 0, 8]) {
      pen.beginPath();
      pen.moveTo(shift, 8);
      pen.lineTo(shift + 8, 0);
      pen.stroke();
    }
    stripes[colour] = brush.createPattern(tile, "repeat");
  }
  return stripes[colour];
}

function drawRoles() {
  for (const role of data.roles) {
    if (!visible(role[ROLE.from], role[ROLE.to]) || !seen(chosen.groups, role[ROLE.group])) continue;
    const bar = barOf(role[ROLE.node], role[ROLE.group]);
    if (bar) drawRole(role, bar);
  }
}

function drawRole(role, bar) {
  const left = Math.max(x(role[ROLE.from]), GUTTER), end = role[ROLE.to] === -1 ? TOTAL.to : role[ROLE.to];
  const width = Math.max(Math.min(x(end), lanes.width) - left, 1);
  const hue = hueOf(role[ROLE.term]), name = role[ROLE.name], leads = name === "Leader";
  const stands = name === "Candidate" || name === "PreCandidate";
  brush.fillStyle = leads ? `hsl(${hue} 70% 38%)` : `hsl(${hue} 65% ${stands ? 84 : 90}%)`;
  if (name === "Quarantined") brush.fillStyle = "#ddd";
  brush.fillRect(left, bar.y, width, bar.height);
  if (stands) {
    brush.fillStyle = striped(`hsl(${hue} 60% 60%)`);
    brush.fillRect(left, bar.y, width, bar.height);
  }
  brush.strokeStyle = `hsl(${hue} 55% 40%)`;
  brush.lineWidth = leads ? 2 : 0.7;
  brush.strokeRect(left, bar.y, width, bar.height);
  brush.lineWidth = 1;
  if (bar.height >= 10 && width > 16) {
    brush.font = leads ? "bold 12px system-ui, sans-serif" : "11px system-ui, sans-serif";
    brush.textAlign = "left";
    brush.fillStyle = leads ? "#fff" : "#333";
    const shown = name.replace("PreC", "Pre-c").toLowerCase();
    const texts = [`${leads ? "LEADER" : shown} · term ${role[ROLE.term]}`, `${name[0]}${role[ROLE.term]}`];
    const text = texts.find((each) => brush.measureText(each).width < width - 8);
    if (text) {
      if (stands) {
        const wide = brush.measureText(text).width + 6;
        brush.fillStyle = `hsl(${hue} 65% 92%)`;
        brush.fillRect(left + 2, bar.y + 2, wide, bar.height - 8);
        brush.fillStyle = "#333";
      }
      brush.fillText(text, left + 5, bar.y + bar.height / 2 - (bar.height === BAR ? 2 : 0));
    }
  }
  hits.push({ x0: left, x1: left + width, y0: bar.y, y1: bar.y + bar.height, role });
}

function drawLives() {
  for (const life of data.lives) {
    const y = lanes.nodes.get(life[LIFE.node]);
    if (y === undefined || life[LIFE.state] === "up" || !visible(life[LIFE.from], life[LIFE.to])) continue;
    const left = Math.max(x(life[LIFE.from]), GUTTER), end = life[LIFE.to] === -1 ? TOTAL.to : life[LIFE.to];
    const width = Math.max(Math.min(x(end), lanes.width) - left, 1);
    if (life[LIFE.state] === "down") {
      brush.fillStyle = "#fff";
      brush.fillRect(left, y - BAR / 2, width, BAR);
      brush.strokeStyle = "#c33";
      brush.setLineDash([3, 4]);
      line(left, y, left + width, y);
      brush.setLineDash([]);
      aside(left + 14, y, width - 18, `down: ${life[LIFE.why]}`, "#a22");
    } else {
      brush.fillStyle = "#ffffffb0";
      brush.fillRect(left, y - BAR / 2, width, BAR);
      brush.fillStyle = striped("#777");
      brush.fillRect(left, y - BAR / 2, width, BAR);
      aside(left + 14, y, width - 18, "paused", "#333");
    }
    hits.push({ x0: left, x1: left + width, y0: y - BAR / 2, y1: y + BAR / 2, life });
  }
}

// A text on a stretch of a lane, if there is room for it.
function aside(left, y, room, text, colour) {
  brush.font = "11px system-ui, sans-serif";
  brush.textAlign = "left";
  const short = text.split(":").slice(0, 2).join(":");
  const shown = [text, short, short.split(":")[0]].find((each) => brush.measureText(each).width + 6 < room);
  if (!shown) return;
  brush.fillStyle = "#fff";
  brush.fillRect(left, y - 7, brush.measureText(shown).width + 6, 14);
  brush.fillStyle = colour;
  brush.fillText(shown, left + 3, y + 0.5);
}

const SIGNS = {
  crash: { sign: "✖", colour: "#c00" }, failed: { sign: "✖", colour: "#c00" }, stop: { sign: "■", colour: "#555" },
  start: { sign: "▲", colour: "#080" }, pause: { sign: "‖", colour: "#333" }, resume: { sign: "▶", colour: "#333" },
};

function drawMarks() {
  const there = new Set();
  const last = lastUpTo(data.marks, view.to, (mark) => mark[MARK.time]);
  for (let place = lastUpTo(data.marks, view.from - 1e-9, (mark) => mark[MARK.time]) + 1; place <= last; place++) {
    const mark = data.marks[place], kind = mark[MARK.kind], y = lanes.nodes.get(mark[MARK.node]);
    if (y === undefined) continue;
    const at = x(mark[MARK.time]), key = `${kind} ${mark[MARK.node]} ${Math.round(at / 4)}`;
    if (kind === "fault" || kind === "healed" || there.has(key)) continue;
    there.add(key);
    if (SIGNS[kind]) drawSign(mark, at, y, SIGNS[kind]);
    else drawTick(mark, at, y, kind);
  }
}

function drawSign(mark, at, y, { sign, colour }) {
  brush.font = "bold 17px system-ui, sans-serif";
  brush.textAlign = "center";
  brush.lineWidth = 4;
  brush.strokeStyle = "#fff";
  brush.strokeText(sign, at, y - BAR / 2 - 10);
  brush.lineWidth = 1;
  brush.fillStyle = brush.strokeStyle = colour;
  brush.fillText(sign, at, y - BAR / 2 - 10);
  line(at, y - BAR / 2 - 3, at, y + BAR / 2);
  hits.push({ x0: at - 7, x1: at + 7, y0: y - BAR / 2 - 19, y1: y - BAR / 2, mark });
}

// Commits stand in the lowest part of the bar, white-rimmed to be seen on any colour; what is rarer stands below the bar.
function drawTick(mark, at, y, kind) {
  const rows = { commit: ["commits", "#0a0", -8], applied: ["applied", "#777", 2], disk: ["disk", "#a60", 9] };
  const [wanted, colour, below] = rows[kind] || ["others", "#a0a", 16];
  if (!chosen.marks[wanted] || !seen(chosen.groups, mark[MARK.group])) return;
  const top = y + BAR / 2 + below;
  brush.fillStyle = "#fff";
  brush.fillRect(at - 2, top - 1, 4, 8);
  brush.fillStyle = colour;
  brush.fillRect(at - 1, top, 2, 6);
  hits.push({ x0: at - 3, x1: at + 3, y0: top - 1, y1: top + 7, mark });
}

// --- Datagrams --------------------------------------------------------------------------------------------------

function drawArrows() {
  const wanted = [], there = new Set();
  let all = 0;
  for (const arrow of data.arrows) {
    const end = arrow[ARROW.arrivals].length ? lastArrival(arrow) : arrow[ARROW.time];
    if (!visible(arrow[ARROW.time], end) || !arrowIsWanted(arrow)) continue;
    all++;
    // What would cover another arrow pixel by pixel need not be drawn.
    const from = Math.round(x(arrow[ARROW.time]) * 2), to = Math.round(x(end) * 2);
    const key = `${from} ${to} ${arrow[ARROW.from]} ${arrow[ARROW.to]} ${typeOf(arrow)} ${lost(arrow)}`;
    if (there.has(key)) continue;
    there.add(key);
    wanted.push(arrow);
  }
  const every = Math.ceil(wanted.length / MOST_ARROWS);
  drawnArrows = every > 1 ? wanted.filter((arrow, place) => place % every === 0 || lost(arrow)) : wanted;
  lanes.all = all;
  lanes.every = every;
  brush.globalAlpha = drawnArrows.length > 2500 ? 0.25 : drawnArrows.length > 900 ? 0.5 : 0.9;
  for (const arrow of drawnArrows) drawArrow(arrow);
  brush.globalAlpha = 1;
  const taken = new Set();
  if (chosen.marks.labels && drawnArrows.length < 400) for (const arrow of drawnArrows) drawLabel(arrow, taken);
}

// Where the pieces of an arrow lie: one for each arrival, or one stub.
function pieces(arrow) {
  const y0 = lanes.nodes.get(arrow[ARROW.from]), y1 = lanes.nodes.get(arrow[ARROW.to]);
  if (y0 === undefined || y1 === undefined) return [];
  const down = y1 > y0 ? 1 : -1, from = y0 + down * BAR / 2, to = y1 - down * BAR / 2, x0 = x(arrow[ARROW.time]);
  if (!arrow[ARROW.arrivals].length) return [{ x0, y0: from, x1: x0 + 14, y1: from + (to - from) * 0.35, fate: "open" }];
  return arrow[ARROW.arrivals].map(([time, why]) => why
    ? { x0, y0: from, x1: Math.max(x(time), x0 + 5), y1: from + (to - from) * 0.6, fate: "lost", why }
    : { x0, y0: from, x1: x(time), y1: to, fate: "there" });
}

function drawArrow(arrow, strong) {
  const type = typeOf(arrow), colour = type === undefined ? "#607d8b" : colourOf(type);
  for (const piece of pieces(arrow)) {
    brush.strokeStyle = brush.fillStyle = colour;
    brush.lineWidth = strong ? 3 : 1.3;
    brush.setLineDash(piece.fate === "open" ? [3, 3] : []);
    line(piece.x0, piece.y0, piece.x1, piece.y1);
    brush.setLineDash([]);
    if (piece.fate === "there") drawHead(piece);
    else if (piece.fate === "lost") drawCross(piece);
  }
  brush.lineWidth = 1;
}

function drawHead({ x0, y0, x1, y1 }) {
  const angle = Math.atan2(y1 - y0, x1 - x0);
  brush.beginPath();
  brush.moveTo(x1, y1);
  brush.lineTo(x1 - 8 * Math.cos(angle - 0.35), y1 - 8 * Math.sin(angle - 0.35));
  brush.lineTo(x1 - 8 * Math.cos(angle + 0.35), y1 - 8 * Math.sin(angle + 0.35));
  brush.fill();
}

function drawCross({ x1, y1 }) {
  brush.strokeStyle = "#d00000";
  brush.lineWidth = 2;
  line(x1 - 4, y1 - 4, x1 + 4, y1 + 4);
  line(x1 - 4, y1 + 4, x1 + 4, y1 - 4);
}

// A label stands near the beginning of its arrow, so that questions and answers keep apart, unless another is there.
function drawLabel(arrow, taken) {
  for (const piece of pieces(arrow)) {
    const long = Math.hypot(piece.x1 - piece.x0, piece.y1 - piece.y0);
    brush.font = "10.5px system-ui, sans-serif";
    const text = piece.why ? `${arrow[ARROW.label]} lost` : arrow[ARROW.label], wide = brush.measureText(text).width;
    if (wide > long * 0.9) continue;
    const turn = Math.atan2(piece.y1 - piece.y0, piece.x1 - piece.x0);
    const part = Math.min((wide / 2 + 12) / long, 0.5);
    const middle = { x: piece.x0 + (piece.x1 - piece.x0) * part, y: piece.y0 + (piece.y1 - piece.y0) * part };
    const steep = Math.abs(piece.y1 - piece.y0) / long, flat = Math.abs(piece.x1 - piece.x0) / long, cells = [];
    for (let along = -wide / 2; along <= wide / 2; along += 8)
      for (const by of [-6, 0, 6]) cells.push(`${Math.round((middle.x + along * flat + by) / 8)} ${Math.round((middle.y + along * steep) / 14)}`);
    if (cells.some((cell) => taken.has(cell))) continue;
    for (const cell of cells) taken.add(cell);
    brush.save();
    brush.translate(middle.x, middle.y);
    brush.rotate(turn);
    brush.textAlign = "center";
    brush.lineWidth = 3;
    brush.strokeStyle = "#ffffffd0";
    brush.strokeText(text, 0, -7);
    brush.lineWidth = 1;
    brush.fillStyle = piece.why ? "#b00" : "#333";
    brush.fillText(text, 0, -7);
    brush.restore();
  }
}

// --- Clients, faults, the failure ---------------------------------------------------------------------------------

function drawClients() {
  const there = new Set();
  for (const span of data.spans) {
    const y = lanes.clients.get(span[SPAN.client]);
    if (y === undefined || !visible(span[SPAN.from], span[SPAN.to])) continue;
    const left = Math.max(x(span[SPAN.from]), GUTTER), open = span[SPAN.to] === -1;
    const width = Math.max((open ? lanes.width : Math.min(x(span[SPAN.to]), lanes.width)) - left - 0.5, 1);
    const key = `${span[SPAN.client]} ${Math.round(left)} ${Math.round(width)}`;
    if (there.has(key)) continue;
    there.add(key);
    const bad = /^(unknown|refused)/.test(span[SPAN.result]);
    brush.fillStyle = open ? "#eee" : bad ? "#f7c9b5" : "#cfe8cf";
    brush.fillRect(left, y, width, CLIENT - 3);
    brush.strokeStyle = open ? "#aaa" : bad ? "#c4633b" : "#5f9c5f";
    brush.strokeRect(left + 0.5, y + 0.5, width, CLIENT - 4);
    if (width > 30) {
      brush.font = "10px system-ui, sans-serif";
      brush.textAlign = "left";
      brush.fillStyle = "#222";
      brush.save();
      brush.beginPath();
      brush.rect(left, y, width - 2, CLIENT);
      brush.clip();
      brush.fillText(span[SPAN.text] + (open ? " (never answered)" : ` → ${span[SPAN.result]}`), left + 4, y + CLIENT / 2 - 1);
      brush.restore();
    }
    hits.push({ x0: left, x1: left + Math.max(width, 3), y0: y, y1: y + CLIENT - 3, span });
  }
}

const faults = data.marks.filter((mark) => mark[MARK.kind] === "fault" || mark[MARK.kind] === "healed");
const faultColour = (mark) => mark[MARK.kind] === "healed" ? "#2e7d32" : "#d66f00";

function drawFaultLines() {
  brush.setLineDash([2, 4]);
  for (const mark of faults) {
    if (!visible(mark[MARK.time], mark[MARK.time])) continue;
    brush.strokeStyle = faultColour(mark);
    line(x(mark[MARK.time]), OVERVIEW + AXIS, x(mark[MARK.time]), lanes.bottom);
  }
  brush.setLineDash([]);
}

function drawFaults() {
  const ends = [-Infinity, -Infinity, -Infinity];
  brush.font = "11px system-ui, sans-serif";
  brush.textAlign = "left";
  for (const mark of faults) {
    if (!visible(mark[MARK.time], mark[MARK.time])) continue;
    const at = x(mark[MARK.time]), node = mark[MARK.node] ? `node ${mark[MARK.node]}: ` : "";
    const row = ends.findIndex((end) => end < at), y = OVERVIEW + AXIS + 7 + Math.max(row, 0) * 14;
    brush.fillStyle = faultColour(mark);
    brush.beginPath();
    brush.moveTo(at, y - 6);
    brush.lineTo(at + 9, y - 2);
    brush.lineTo(at, y + 2);
    brush.fill();
    let wide = 10;
    if (row >= 0) {
      const text = (mark[MARK.kind] === "healed" ? "all healed" : node + mark[MARK.text].split("\n")[0]).slice(0, 60);
      brush.fillText(text, at + 11, y);
      wide = brush.measureText(text).width + 16;
      ends[row] = at + wide;
    }
    hits.push({ x0: at - 2, x1: at + wide, y0: y - 7, y1: y + 6, mark });
  }
}

function drawFailure() {
  if (!data.failure || !visible(data.failure[0], data.failure[0])) return;
  const at = x(data.failure[0]);
  brush.strokeStyle = "#d00000";
  brush.lineWidth = 2.5;
  line(at, OVERVIEW + AXIS, at, lanes.height);
  brush.lineWidth = 1;
  brush.font = "bold 12px system-ui, sans-serif";
  const text = `FAILED: ${data.failure[1]}`, wide = brush.measureText(text).width + 12;
  const left = at + wide > lanes.width ? at - wide : at;
  brush.fillStyle = "#d00000";
  brush.fillRect(left, lanes.top - 18, wide, 17);
  brush.fillStyle = "#fff";
  brush.textAlign = "left";
  brush.fillText(text, left + 6, lanes.top - 9);
  hits.push({ x0: left, x1: left + wide, y0: lanes.top - 18, y1: lanes.top, failure: data.failure });
}

// --- The whole run, at the top --------------------------------------------------------------------------------------

const overX = (time) => GUTTER + (time - TOTAL.from) / (TOTAL.to - TOTAL.from) * (lanes.width - GUTTER - 4);

function drawOverview() {
  brush.fillStyle = "#f3f3f3";
  brush.fillRect(0, 0, lanes.width, OVERVIEW);
  brush.fillStyle = "#222";
  brush.font = "11px system-ui, sans-serif";
  brush.textAlign = "left";
  brush.fillText("whole run", 8, OVERVIEW / 2);
  const height = (OVERVIEW - 8) / Math.max(data.nodes.length, 1);
  for (const role of data.roles) {
    if (role[ROLE.name] !== "Leader") continue;
    const left = Math.max(overX(role[ROLE.from]), GUTTER), end = role[ROLE.to] === -1 ? TOTAL.to : role[ROLE.to];
    brush.fillStyle = `hsl(${hueOf(role[ROLE.term])} 60% 50%)`;
    brush.fillRect(left, 4 + data.nodes.indexOf(role[ROLE.node]) * height, Math.max(overX(end) - left, 1), Math.max(height - 1, 1));
  }
  for (const life of data.lives) {
    if (life[LIFE.state] === "up") continue;
    const left = Math.max(overX(life[LIFE.from]), GUTTER), end = life[LIFE.to] === -1 ? TOTAL.to : life[LIFE.to];
    brush.fillStyle = life[LIFE.state] === "down" ? "#e9a5a5" : "#bbb";
    brush.fillRect(left, 4 + data.nodes.indexOf(life[LIFE.node]) * height, Math.max(overX(end) - left, 1), Math.max(height - 1, 1));
  }
  for (const mark of faults) {
    brush.fillStyle = faultColour(mark);
    brush.fillRect(overX(mark[MARK.time]), 0, 1.5, 5);
  }
  if (data.failure && data.failure[0] >= TOTAL.from && data.failure[0] <= TOTAL.to) {
    brush.fillStyle = "#d00000";
    brush.fillRect(overX(data.failure[0]) - 1, 0, 2.5, OVERVIEW);
  }
  brush.strokeStyle = "#0b57d0";
  brush.fillStyle = "#0b57d01c";
  const left = Math.max(overX(view.from), GUTTER), wide = Math.max(Math.min(overX(view.to), lanes.width) - left, 3);
  brush.fillRect(left, 1, wide, OVERVIEW - 2);
  brush.strokeRect(left, 1, wide, OVERVIEW - 2);
}

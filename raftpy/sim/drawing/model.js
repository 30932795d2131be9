// What is drawn, and what the reader has chosen to see. The names of a list's places are those of picture.py.
const data = JSON.parse(document.getElementById("data").textContent);

const LIFE = { node: 0, from: 1, to: 2, state: 3, why: 4 };
const ROLE = { node: 0, group: 1, from: 2, to: 3, term: 4, name: 5, leader: 6 };
const ARROW = { from: 0, to: 1, time: 2, row: 3, types: 4, label: 5, text: 6, groups: 7, arrivals: 8, size: 9, number: 10 };
const SPAN = { client: 0, from: 1, to: 2, text: 3, result: 4, asked: 5, answered: 6, node: 7 };
const MARK = { time: 0, node: 1, kind: 2, text: 3, row: 4, group: 5 };
const ROW = { time: 0, node: 1, kind: 2, text: 3, number: 4 };

const RARELY_WANTED = new Set(["Heartbeat", "HeartbeatResp", "Hello", "Transport"]);
const COLOURS = {
  App: "#1769d2", AppResp: "#7fb0ea", Heartbeat: "#8a8a8a", HeartbeatResp: "#bdbdbd",
  Vote: "#8e24aa", VoteResp: "#c77fdb", PreVote: "#5e35b1", PreVoteResp: "#a68fd8", Snap: "#e07b00",
  TransferLeader: "#d81b60", TimeoutNow: "#d81b60", ReadIndex: "#00796b", ReadIndexResp: "#5cb8ac", Prop: "#3949ab",
  Hello: "#8d6e63", Refusal: "#b71c1c", Broken: "#d00000",
};
const colourOf = (type) => COLOURS[data.types[type]] || "#607d8b";

// Neighbouring terms get hues that are far apart: the golden angle.
const hueOf = (term) => (200 + term * 137.508) % 360;

const chosen = {
  types: data.types.map((name) => !RARELY_WANTED.has(name)),
  nodes: new Map(data.nodes.map((node) => [node, true])),
  groups: new Map(data.groups.map((group) => [group, true])),
  marks: { commits: true, applied: false, disk: false, others: true, clients: true, labels: true },
  kinds: data.kinds.map((name) => name !== "disk"),
  words: "",
  row: -1,
};

const TOTAL = { from: data.start, to: Math.max(data.end, data.start + 1e-6) };
const MARGIN = (TOTAL.to - TOTAL.from) * 0.02;  // beside the whole run
const view = { from: TOTAL.from, to: TOTAL.to };

// The page opens on the failure, or on the beginning: a whole run is too much for a first look.
function firstView() {
  const whole = TOTAL.to - TOTAL.from;
  const failed = data.failure && data.failure[0] >= TOTAL.from && data.failure[0] <= TOTAL.to;
  if (whole <= 1) show(TOTAL.from - MARGIN, TOTAL.to + MARGIN);
  else if (failed) show(data.failure[0] - 0.6, data.failure[0] + 0.15);
  else show(TOTAL.from, TOTAL.from + 1);
}

function show(from, to) {
  const span = Math.min(Math.max(to - from, 2e-6), TOTAL.to - TOTAL.from + 2 * MARGIN);
  from = Math.min(Math.max(from, TOTAL.from - MARGIN), TOTAL.to + MARGIN - span);
  view.from = from;
  view.to = from + span;
}

const arrowByNumber = new Map(data.arrows.map((arrow) => [arrow[ARROW.number], arrow]));
const lost = (arrow) => arrow[ARROW.arrivals].length > 0 && arrow[ARROW.arrivals].every((arrival) => arrival[1]);
const lastArrival = (arrow) => arrow[ARROW.arrivals].reduce((last, arrival) => Math.max(last, arrival[0]), arrow[ARROW.time]);
const seen = (map, key) => map.get(key) !== false;

function arrowIsWanted(arrow) {
  if (!seen(chosen.nodes, arrow[ARROW.from]) || !seen(chosen.nodes, arrow[ARROW.to])) return false;
  if (arrow[ARROW.types].length && !arrow[ARROW.types].some((type) => chosen.types[type])) return false;
  return !arrow[ARROW.groups].length || arrow[ARROW.groups].some((group) => seen(chosen.groups, group));
}

// The colour and the style of an arrow are those of its first type that is wanted.
const typeOf = (arrow) => arrow[ARROW.types].find((type) => chosen.types[type]) ?? arrow[ARROW.types][0];

// Role by role a leader that was not one before, crashes and their like, and faults: what a reader jumps between.
const landmarks = [
  ...data.roles.filter((role) => role[ROLE.name] === "Leader").map((role) => role[ROLE.from]),
  ...data.marks.filter((mark) => ["crash", "stop", "failed", "pause", "fault", "healed"].includes(mark[MARK.kind]))
    .map((mark) => mark[MARK.time]),
  ...(data.failure ? [data.failure[0]] : []),
].filter((time) => time >= TOTAL.from && time <= TOTAL.to).sort((a, b) => a - b);

// What a node has committed in a group: marks, in order.
const commits = new Map();
const committedBy = (node, group) => commits.get(`${node} ${group}`) || [];
for (const mark of data.marks) if (mark[MARK.kind] === "commit") {
  const key = `${mark[MARK.node]} ${mark[MARK.group]}`;
  if (!commits.has(key)) commits.set(key, []);
  commits.get(key).push(mark);
}

// The last of a list, sorted by what ``key`` gives, that is not behind ``value``; -1: all are.
function lastUpTo(list, value, key) {
  let low = 0, high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (key(list[middle]) <= value) low = middle + 1; else high = middle;
  }
  return low - 1;
}

const shortTime = (time, digits) => `${time.toFixed(digits ?? 6).replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "")} s`;

// The events as a list beside the diagram. Only the rows that can be seen are elements.
const ROW_HEIGHT = 18;
const list = document.getElementById("list"), rows = document.getElementById("rows");
let listed = [];  // places in data.events

function rowIsWanted(row) {
  if (!chosen.kinds[row[ROW.kind]]) return false;
  if (row[ROW.node] && !seen(chosen.nodes, row[ROW.node])) return false;
  if (row[ROW.number] >= 0) {
    const arrow = arrowByNumber.get(row[ROW.number]);
    if (arrow && !arrowIsWanted(arrow)) return false;
  }
  return !chosen.words || `${data.kinds[row[ROW.kind]]} ${row[ROW.node]} ${row[ROW.text]}`.toLowerCase().includes(chosen.words);
}

function fillList() {
  listed = [];
  data.events.forEach((row, place) => { if (rowIsWanted(row)) listed.push(place); });
  rows.style.height = `${listed.length * ROW_HEIGHT}px`;
  document.getElementById("count").textContent = `${listed.length.toLocaleString("en")} of ${data.events.length.toLocaleString("en")}`;
  drawList();
}

function drawList() {
  const first = Math.max(Math.floor(list.scrollTop / ROW_HEIGHT) - 5, 0);
  const count = Math.ceil(list.clientHeight / ROW_HEIGHT) + 10;
  const shown = [];
  for (let at = first; at < Math.min(first + count, listed.length); at++) shown.push(rowElement(at));
  rows.replaceChildren(...shown);
}

function rowElement(at) {
  const place = listed[at], row = data.events[place], kind = data.kinds[row[ROW.kind]];
  const element = document.createElement("div");
  element.className = "row";
  if (place === chosen.row) element.classList.add("chosen");
  if (row[ROW.time] < view.from || row[ROW.time] > view.to) element.classList.add("outside");
  element.style.top = `${at * ROW_HEIGHT}px`;
  const who = row[ROW.node] ? `node ${row[ROW.node]}` : "world";
  const word = document.createElement("span");
  word.textContent = kind.padEnd(8);
  if (["crash", "failed", "drop", "fault"].includes(kind)) word.className = "bad";
  if (["role", "healed"].includes(kind)) word.className = "strong";
  element.append(`${row[ROW.time].toFixed(6).padStart(10)}  ${who.padEnd(7)} `, word, ` ${row[ROW.text]}`);
  element.style.whiteSpace = "pre";
  element.title = row[ROW.text];
  element.addEventListener("click", () => choose(place, true));
  return element;
}

function scrollTo(place) {
  const at = lastUpTo(listed, place, (each) => each);
  if (at < 0) return;
  const top = at * ROW_HEIGHT;
  if (top < list.scrollTop || top > list.scrollTop + list.clientHeight - ROW_HEIGHT) list.scrollTop = top - list.clientHeight / 2;
}

// Shows the events of a moment.
function follow(time) {
  scrollTo(lastUpTo(data.events, time, (row) => row[ROW.time]));
}

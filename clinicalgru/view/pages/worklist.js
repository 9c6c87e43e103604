"use strict";
// Filters, order and the open stay stand in the address after "#", so that a link or a reload shows the same.
const byId = (id) => document.getElementById(id);
let { rows, scored_at: scoredAt } = JSON.parse(byId("data").textContent);
const state = { sort: "risk", down: "1", search: "", ward: "", status: "", threshold: byId("threshold").value, stay: "" };
const firstThreshold = state.threshold;
for (const [name, value] of new URLSearchParams(location.hash.slice(1))) if (name in state) state[name] = value;
const percent = (risk) => {
  if (risk === null) return "–";
  if (risk < 0.001) return "< 0.1 %";
  if (risk > 0.999) return "> 99.9 %";
  return `${(100 * risk).toFixed(risk >= 0.0995 && risk < 0.99 ? 0 : 1)} %`;
};
const points = (change) => {
  if (change === null) return "";
  const size = Math.abs(100 * change);
  if (size < 0.05) return "±0 points";
  return `${change > 0 ? "▲ +" : "▼ −"}${size.toFixed(size >= 0.95 ? 0 : 1)} points`;
};
const isWide = () => innerWidth >= 1400;
const remember = () => {
  const kept = Object.entries(state).filter(([, value]) => value !== "");
  history.replaceState(null, "", `#${new URLSearchParams(kept)}`);
};
const options = (id, name) => {
  const values = [...new Set(rows.map((row) => row[name]).filter((value) => value !== ""))].sort();
  byId(id).replaceChildren(new Option("All", ""), ...values.map((value) => new Option(value, value)));
  byId(id).value = values.includes(state[id]) ? state[id] : "";
  byId(id).closest("label").hidden = !values.length;
};
const order = (first, second) => {
  const [a, b] = [first[state.sort], second[state.sort]];
  if (a === null || b === null) return (a === null) - (b === null); // the unknown comes last
  const way = state.down ? -1 : 1;
  return way * (typeof a === "number" ? a - b : String(a).localeCompare(String(b), undefined, { numeric: true }));
};
const cell = (text, name = "td") => Object.assign(document.createElement(name), { textContent: text });
function line(row, threshold) {
  const element = document.createElement("tr");
  const link = Object.assign(document.createElement("a"), { href: `/stay/${row.key}`, textContent: row.name });
  const name = document.createElement("th");
  name.scope = "row";
  name.append(link);
  const isAbove = row.risk !== null && threshold !== null && row.risk >= threshold;
  const risk = cell(percent(row.risk) + (isAbove ? " ●" : ""));
  if (isAbove) risk.className = "above";
  element.append(name, cell(row.ward), risk, cell(points(row.change)), cell(row.reason || row.status));
  element.dataset.key = row.key;
  if (row.key === state.stay) element.setAttribute("aria-current", "true");
  return element;
}
function draw() {
  const threshold = state.threshold === "" ? null : Number(state.threshold) / 100;
  const words = state.search.toLowerCase();
  const shown = rows.filter((row) => (!state.ward || row.ward === state.ward) && (!state.status || row.status === state.status)
    && (!words || `${row.name} ${row.ward} ${row.reason}`.toLowerCase().includes(words))).sort(order);
  byId("rows").replaceChildren(...shown.map((row) => line(row, threshold)));
  const above = threshold === null ? 0 : shown.filter((row) => row.risk !== null && row.risk >= threshold).length;
  const marked = threshold === null ? "" : `; ${above.toLocaleString("en")} at or above ${state.threshold} % (●)`;
  const when = scoredAt ? `; scored ${scoredAt}` : "";
  byId("count").textContent = `${shown.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")} stays${marked}${when}`;
  for (const button of document.querySelectorAll("thead button")) {
    const head = button.closest("th");
    if (button.dataset.column === state.sort) head.setAttribute("aria-sort", state.down ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  }
  remember();
}
function open(key) {
  state.stay = key;
  remember();
  if (!isWide()) { location.href = `/stay/${key}`; return; }
  const frame = byId("patient");
  frame.hidden = false;
  frame.src = `/stay/${key}`;
  byId("split-view").classList.add("open");
  for (const row of byId("rows").children) {
    if (row.dataset.key === key) row.setAttribute("aria-current", "true");
    else row.removeAttribute("aria-current");
  }
}
async function refresh() {
  const answer = await fetch("/rows.json").catch(() => null);
  if (!answer?.ok) { byId("count").textContent = "The scores could not be read again; shown is what was read before."; return; }
  ({ rows, scored_at: scoredAt } = await answer.json());
  const place = byId("list").scrollTop;
  options("ward", "ward");
  options("status", "status");
  draw();
  byId("list").scrollTop = place;
}
options("ward", "ward");
options("status", "status");
byId("search").value = state.search;
byId("threshold").value = state.threshold;
for (const id of ["search", "ward", "status", "threshold"]) {
  byId(id).addEventListener("input", (event) => { state[id] = event.target.value; draw(); });
}
byId("controls").addEventListener("submit", (event) => event.preventDefault());
byId("refresh").addEventListener("click", refresh);
byId("print").addEventListener("click", () => print());
document.querySelector("thead").addEventListener("click", (event) => {
  const column = event.target.dataset?.column;
  if (!column) return;
  state.down = column === state.sort ? (state.down ? "" : "1") : (column === "risk" || column === "change" ? "1" : "");
  state.sort = column;
  draw();
});
byId("rows").addEventListener("click", (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return; // a new tab
  const row = event.target.closest("tr");
  if (!row) return;
  event.preventDefault();
  open(row.dataset.key);
});
setInterval(() => { if (!document.hidden) refresh(); }, 60000);
draw();
if (state.stay) {
  if (isWide()) open(state.stay);
  document.querySelector(`tr[data-key="${CSS.escape(state.stay)}"]`)?.scrollIntoView({ block: "center" });
}

"use strict";
// Filters, order and the open stay stand in the address after "#", so that a link or a reload shows the same.
const byId = (id) => document.getElementById(id);
let { rows, run, is_risk: isRisk } = JSON.parse(byId("data").textContent);
const state = { sort: "risk", down: "1", search: "", ward: "", status: "", threshold: byId("threshold").value, stay: "" };
const first = { ...state };
// The link back from a page of a stay names the stay only: filters and order are then those of this tab before.
const backTo = () => new URLSearchParams(location.hash.slice(1)).get("back");
const isBack = backTo() !== null;
const address = isBack ? `${sessionStorage.getItem("worklist") ?? ""}&stay=${backTo()}` : location.hash.slice(1);
for (const [name, value] of new URLSearchParams(address)) if (name in state) state[name] = value;
const number = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
const percent = (risk) => {
  if (risk === null) return "–";
  if (!isRisk) return number.format(risk);
  if (risk < 0.001) return "< 0.1 %";
  if (risk > 0.999) return "> 99.9 %";
  return `${(100 * risk).toFixed(risk >= 0.0995 && risk < 0.99 ? 0 : 1)} %`;
};
const points = (change) => {
  if (change === null) return "";
  if (!isRisk) return `${change > 0 ? "▲ +" : change < 0 ? "▼ −" : "±"}${number.format(Math.abs(change))}`;
  const size = Math.abs(100 * change);
  if (size < 0.05) return "±0 points";
  const text = size.toFixed(size >= 0.95 ? 0 : 1);
  return `${change > 0 ? "▲ +" : "▼ −"}${text} point${text === "1" ? "" : "s"}`;
};
const isWide = () => innerWidth >= 1400;
const remember = () => {
  const changed = new URLSearchParams(Object.entries(state).filter(([name, value]) => value !== first[name])).toString();
  history.replaceState(null, "", `#${changed}`);
  sessionStorage.setItem("worklist", changed);
};
const options = (id, name) => {
  const values = [...new Set(rows.map((row) => row[name]).filter((value) => value !== ""))].sort();
  byId(id).replaceChildren(new Option("All", ""), ...values.map((value) => new Option(value, value)));
  byId(id).value = values.includes(state[id]) ? state[id] : "";
  byId(id).closest("label").hidden = !values.length;
};
// One hour of prediction for all stands above the table; where hours differ, each row has its own.
const hours = () => [...new Set(rows.map((row) => row.hours).filter((hour) => hour !== null))];
const said = (row) => row.reason || (row.hours === null || isOneHour ? row.status : `${row.status}, hour ${number.format(row.hours)}`);
let isOneHour = hours().length === 1;
const order = (first, second) => {
  const [a, b] = state.sort === "status" ? [said(first), said(second)] : [first[state.sort], second[state.sort]];
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
  element.append(name, cell(row.ward), risk, cell(points(row.change)), cell(said(row)));
  element.dataset.key = row.key;
  if (row.key === state.stay) element.setAttribute("aria-current", "true");
  return element;
}
const lineOf = (key) => document.querySelector(`tr[data-key="${CSS.escape(key)}"]`);
function draw() {
  const threshold = state.threshold === "" ? null : Number(state.threshold) / 100;
  const words = state.search.toLowerCase();
  const shown = rows.filter((row) => (!state.ward || row.ward === state.ward) && (!state.status || row.status === state.status)
    && (!words || `${row.name} ${row.ward} ${said(row)}`.toLowerCase().includes(words))).sort(order);
  const focused = document.activeElement.closest?.("#rows tr")?.dataset.key; // a keyboard user stays where they were
  byId("rows").replaceChildren(...shown.map((row) => line(row, threshold)));
  if (focused) lineOf(focused)?.querySelector("a").focus({ preventScroll: true });
  const table = byId("rows").closest("table");
  table.classList.toggle("without-ward", rows.every((row) => !row.ward));
  table.classList.toggle("without-change", rows.every((row) => row.change === null));
  const above = threshold === null ? 0 : shown.filter((row) => row.risk !== null && row.risk >= threshold).length;
  const many = (count) => count.toLocaleString("en");
  const filters = [state.ward, state.status, state.search && `“${state.search}”`].filter(Boolean);
  const parts = [
    rows.length ? "" : "The scores hold no stay of this extract",
    `${many(shown.length)} of ${many(rows.length)} stays${filters.length ? ` (${filters.join(", ")})` : ""}`,
    threshold === null ? "" : `${many(above)} at or above ${state.threshold} % (●)`,
    isOneHour ? `predicted at hour ${number.format(hours()[0])} of the stay` : "",
    run.as_of && `data until ${run.as_of}`,
    run.scored_at && `scored ${run.scored_at}`,
    run.before ? `change since ${run.before}` : "no earlier run to compare with",
    run.not_in_extract ? `${many(run.not_in_extract)} more scored stays are not in the extract: start again` : "",
  ];
  byId("count").textContent = parts.filter(Boolean).join("; ");
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
  if (frame.contentWindow.showPage) frame.contentWindow.showPage(`/stay/${key}`);
  else frame.src = `/stay/${key}`;
  byId("split-view").classList.add("open");
  for (const row of byId("rows").children) {
    if (row.dataset.key === key) row.setAttribute("aria-current", "true");
    else row.removeAttribute("aria-current");
  }
}
function closeStay() {
  byId("patient").hidden = true;
  byId("split-view").classList.remove("open");
  lineOf(state.stay)?.querySelector("a").focus();
}
async function refresh() {
  const answer = await fetch("/rows.json").catch(() => null);
  if (!answer?.ok) { byId("count").textContent = "The scores could not be read again; shown is what was read before."; return; }
  const opened = () => JSON.stringify(rows.find(({ key }) => key === state.stay));
  const before = opened();
  ({ rows, run } = await answer.json());
  isOneHour = hours().length === 1;
  const place = byId("list").scrollTop;
  options("ward", "ward");
  options("status", "status");
  draw();
  byId("list").scrollTop = place;
  if (state.stay && !byId("patient").hidden && opened() !== before) open(state.stay); // its page says what the list says
}
options("ward", "ward");
options("status", "status");
byId("search").value = state.search;
byId("threshold").value = state.threshold;
byId("threshold").closest("label").hidden = !isRisk;
for (const id of ["search", "ward", "status", "threshold"]) {
  byId(id).addEventListener("input", (event) => { state[id] = event.target.value; draw(); byId("list").scrollTop = 0; });
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
  byId("list").scrollTop = 0;
});
byId("rows").addEventListener("click", (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return; // a new tab
  const row = event.target.closest("tr");
  if (!row) return;
  event.preventDefault();
  open(row.dataset.key);
});
// The page of a row that is pointed at is made before the click: one at a time, the server keeps it.
let pointedAt, isMaking = false;
const make = async (key) => {
  if (!key || isMaking || key === state.stay) return;
  isMaking = true;
  await fetch(`/stay/${key}`).catch(() => null);
  isMaking = false;
};
for (const type of ["pointerover", "focusin"]) {
  byId("rows").addEventListener(type, (event) => {
    clearTimeout(pointedAt);
    const key = event.target.closest("tr")?.dataset.key;
    if (key) pointedAt = setTimeout(make, 100, key);
  });
}
addEventListener("hashchange", () => { // the link back in the page next to the list, or an address typed by hand
  if (backTo() === null) location.reload();
  else { remember(); closeStay(); }
});
setInterval(() => { if (!document.hidden) refresh(); }, 60000);
draw();
if (isWide() && !(state.stay && !isBack)) byId("patient").src = "/frame"; // plotly is ready before the first stay
make(byId("rows").querySelector("tr")?.dataset.key); // the page on top is made once the list is shown
if (state.stay) {
  if (isWide() && !isBack) open(state.stay);
  lineOf(state.stay)?.scrollIntoView({ block: "center" });
}

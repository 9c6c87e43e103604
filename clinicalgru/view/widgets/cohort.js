// One table drawn from the state; text from the data becomes text, never markup.
const SVG = "http://www.w3.org/2000/svg";

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function sparkline(points, label) {
  const svg = document.createElementNS(SVG, "svg");
  const line = document.createElementNS(SVG, "polyline");
  const sizes = { viewBox: "0 0 100 24", width: "120", height: "24", role: "img", "aria-label": label };
  for (const [key, value] of Object.entries(sizes)) svg.setAttribute(key, value);
  line.setAttribute("points", points);
  svg.append(line);
  return svg;
}

function render({ model, el }) {
  const change = (name, value) => { model.set(name, value); model.save_changes(); };

  function header() {
    const row = element("tr");
    model.get("columns").forEach((name, place) => {
      const sorted = model.get("sort") === place;
      const order = sorted ? (model.get("descending") ? "descending" : "ascending") : "none";
      const arrow = sorted ? (model.get("descending") ? " ▼" : " ▲") : "";
      const cell = element("th", { scope: "col", "aria-sort": order });
      if (model.get("sortable").includes(place)) {
        const button = element("button", { type: "button", "data-column": String(place) }, name + arrow);
        button.addEventListener("click", () => change("sorted_by", { column: place, times: Date.now() }));
        cell.append(button);
      } else cell.append(name);
      row.append(cell);
    });
    return element("thead", {}, row);
  }

  function line({ position, cells, points, label }) {
    const selected = model.get("selected") === position;
    const row = element("tr", { tabindex: "0", "data-position": String(position), "aria-selected": String(selected) });
    cells.forEach((cell, place) => row.append(element(place ? "td" : "th", place ? {} : { scope: "row" }, cell)));
    if (model.get("sparklines")) row.append(element("td", {}, points ? sparkline(points, label) : "–"));
    const open = () => change("selected", position);
    row.addEventListener("click", open);
    row.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); open(); }
      const neighbour = { ArrowDown: row.nextElementSibling, ArrowUp: row.previousElementSibling }[event.key];
      if (neighbour) { event.preventDefault(); event.stopPropagation(); neighbour.focus(); }
    });
    return row;
  }

  function pager() {
    const [page, pages] = [model.get("page"), model.get("pages")];
    const step = (text, to) => {
      const button = element("button", { type: "button" }, text);
      button.disabled = to < 0 || to >= pages;
      button.addEventListener("click", () => change("page", to));
      return button;
    };
    const where = element("span", { role: "status" }, model.get("status"));
    return element("div", { class: "cg-pager" }, step("Previous", page - 1), step("Next", page + 1), where);
  }

  function draw() {
    const focused = el.contains(document.activeElement) ? document.activeElement.dataset : {};
    const head = header();
    const body = element("tbody", {}, ...model.get("rows").map(line));
    const table = element("table", { "aria-label": model.get("caption") }, head, body);
    el.replaceChildren(element("div", { class: "cg-cohort" }, table, pager()));
    for (const [key, value] of Object.entries(focused)) el.querySelector(`[data-${key}="${CSS.escape(value)}"]`)?.focus();
  }

  model.on("change:rows change:selected change:page change:status", draw);
  draw();
}

export default { render };

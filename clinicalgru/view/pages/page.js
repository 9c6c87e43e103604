"use strict";
// The element after each place holds the JSON of its figure; nothing that came with the data is ever run.
const settings = {
  responsive: true, displaylogo: false, modeBarButtonsToRemove: ["lasso2d", "select2d", "autoScale2d"],
  showSendToCloud: false, plotlyServerURL: "",
};
let places = [];
const isDrawn = (place) => place.classList.contains("js-plotly-plot");
const isShown = (place) => isDrawn(place) && place.offsetWidth;
const resize = () => places.filter(isShown).forEach((place) => Plotly.Plots.resize(place));
// A wide figure needs no room for the lines of a wrapped legend; a narrow one has labels above, not next to, effects.
const widen = (place, layout) => {
  const spare = (layout.margin?.t ?? 0) - 46;
  if (spare <= 0 || place.offsetWidth < 720) return;
  layout.margin.t -= spare;
  layout.height -= spare;
  place.style.height = `${layout.height}px`;
};
const narrowTitles = (place, layout) => {
  const titles = (layout.annotations ?? []).filter((one) => one.yref === "paper" && one.yanchor === "bottom");
  const fits = Math.floor((place.offsetWidth - 64) / 6.8);
  for (const one of titles) {
    const isLeft = one.xanchor === "left";
    one.font = { ...one.font, size: isLeft ? 12 : 11 };
    const effect = titles.find((other) => other.y === one.y && other.xanchor === "right");
    const bare = one.text.replace(/<\/?b>/g, "");
    if (!isLeft || !effect || bare.length + effect.text.length < fits) continue;
    one.yshift = 13;
    if (bare.length > fits && !/[<&]/.test(bare)) one.text = `<b>${bare.slice(0, fits - 1)}…</b>`;
  }
};
// Panels in a row are put one above the other where they would be narrow.
const stack = (place, layout) => {
  const panels = Object.keys(layout).filter((name) => /^xaxis/.test(name) && layout[name].domain);
  const rights = new Set(panels.map((name) => layout[name].domain[1]));
  if (panels.length < 2 || rights.size < panels.length) return;
  const share = 1 / panels.length;
  const titles = (layout.annotations ?? []).filter((one) => one.xref === "paper");
  const above = panels.map((name) => titles.filter(({ x }) => layout[name].domain[0] <= x && x <= layout[name].domain[1]));
  panels.forEach((name, row) => {
    const isLast = row === panels.length - 1;
    const ends = [1 - (row + (isLast ? 1 : 0.76)) * share, 1 - (row + 0.06) * share];
    for (const title of above[row]) Object.assign(title, { x: 0.5, y: ends[1] });
    layout[name].domain = [0, 1];
    layout[name.replace("x", "y")].domain = ends;
  });
  layout.height *= 0.75 * panels.length;
  place.style.height = `${layout.height}px`;
};
const draw = (place) => {
  if (isDrawn(place)) return;
  const { data, layout } = JSON.parse(place.nextElementSibling.textContent);
  const narrow = place.offsetWidth && place.offsetWidth < 500;
  if (narrow) {
    stack(place, layout);
    narrowTitles(place, layout);
    const below = layout[Object.keys(layout).filter((name) => /^xaxis/.test(name)).pop()]?.title;
    if (below?.text?.length > 40 && below.text.includes("; ")) {
      Object.assign(below, { text: below.text.replace("; ", ";<br>"), standoff: 12 });
      layout.margin = { ...layout.margin, b: (layout.margin?.b ?? 60) + 16 };
      layout.height += 16;
      place.style.height = `${layout.height}px`;
    }
  }
  widen(place, layout);
  if (narrow && layout.yaxis?.title) layout.yaxis.title.text = "";
  if (narrow) layout.margin = { ...layout.margin, l: Math.min(layout.margin?.l ?? 54, 54), r: 10 };
  Plotly.newPlot(place, data, layout, narrow ? { ...settings, displayModeBar: false } : settings);
  // the group is named by its caption; a list of axis numbers, read aloud, would say less
  for (const drawn of place.querySelectorAll(".main-svg")) drawn.setAttribute("aria-hidden", "true");
};
const isFolded = (place) => place.closest("details:not([open])");
const unfold = () => { places.filter((place) => !isFolded(place)).forEach(draw); resize(); };
const start = () => {
  places = [...document.querySelectorAll(".plot")];
  places.filter((place) => !isFolded(place)).forEach(draw);
  const folded = places.filter(isFolded); // drawn one by one, once the others are on the screen
  const drawNext = () => { const place = folded.shift(); if (place?.isConnected) { draw(place); setTimeout(drawNext, 20); } };
  requestAnimationFrame(() => setTimeout(drawNext, 50));
  for (const fold of document.querySelectorAll("details")) fold.addEventListener("toggle", unfold);
};
// A worklist shows one stay after another in this document: plotly then starts once, not with each stay.
let latest = 0;
globalThis.showPage = async (path) => {
  const turn = ++latest;
  places.filter(isDrawn).forEach((place) => Plotly.purge(place));
  places = [];
  document.title = "Loading";
  document.body.replaceChildren("Loading…"); // never one patient while another is chosen
  const text = await fetch(path).then((answer) => answer.text(), () => "The page could not be read. Is the dashboard running?");
  if (turn !== latest) return;
  const { title, body } = new DOMParser().parseFromString(text, "text/html");
  for (const script of body.querySelectorAll("script:not([type])")) script.remove();
  document.title = title;
  document.body.replaceChildren(...body.childNodes);
  scrollTo(0, 0);
  start();
};
start();
// Drawing again is not done in time for the printer, so the drawn figures are scaled to A4: two to a page, or one of a stay.
addEventListener("beforeprint", () => {
  for (const fold of document.querySelectorAll("details")) fold.open = true;
  places.forEach(draw);
  for (const place of places) {
    const [width, height] = ["width", "height"].map((name) => place.querySelector("svg").getAttribute(name));
    place.style.zoom = Math.min(1, 640 / width, (height > 700 ? 860 : 340) / height);
  }
});
addEventListener("afterprint", () => places.forEach((place) => { place.style.zoom = ""; }));

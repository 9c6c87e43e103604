"use strict";
// The element after each place holds the JSON of its figure; nothing that came with the data is ever run.
const settings = {
  responsive: true, displaylogo: false, modeBarButtonsToRemove: ["lasso2d", "select2d", "autoScale2d"],
  showSendToCloud: false, plotlyServerURL: "",
};
const places = [...document.querySelectorAll(".plot")];
const resize = () => places.filter((place) => place.offsetWidth).forEach((place) => Plotly.Plots.resize(place));
for (const place of places) {
  const { data, layout } = JSON.parse(place.nextElementSibling.textContent);
  const narrow = place.offsetWidth && place.offsetWidth < 500;
  if (narrow && layout.yaxis?.title) layout.yaxis.title.text = "";
  if (narrow) layout.margin = { ...layout.margin, l: Math.min(layout.margin?.l ?? 54, 54), r: 10 };
  Plotly.newPlot(place, data, layout, narrow ? { ...settings, displayModeBar: false } : settings);
  // the group is named by its caption; a list of axis numbers, read aloud, would say less
  for (const drawn of place.querySelectorAll(".main-svg")) drawn.setAttribute("aria-hidden", "true");
}
for (const fold of document.querySelectorAll("details")) fold.addEventListener("toggle", resize);
// Drawing again is not done in time for the printer, so the drawn figures are scaled to a page of A4.
addEventListener("beforeprint", () => {
  for (const fold of document.querySelectorAll("details")) fold.open = true;
  for (const place of places) place.style.zoom = Math.min(1, 640 / place.querySelector("svg").getAttribute("width"));
});
addEventListener("afterprint", () => places.forEach((place) => { place.style.zoom = ""; }));

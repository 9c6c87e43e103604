// The sliders of ipywidgets have a label next to them that screen readers do not connect to the handle, and panels that
// scroll cannot be reached by keyboard: both are mended here, once they are drawn.
function mend(root) {
  for (const slider of root.querySelectorAll(".widget-slider")) {
    const name = slider.querySelector(".widget-label")?.textContent.trim() || "Value";
    const handles = [...slider.querySelectorAll(".noUi-handle")];
    const parts = handles.length > 1 ? [`${name}, from`, `${name}, to`] : [name];
    handles.forEach((handle, place) => handle.setAttribute("aria-label", parts[place]));
  }
  for (const box of root.querySelectorAll(".widget-box")) {
    const isLarger = box.scrollHeight > box.clientHeight || box.scrollWidth > box.clientWidth;
    if (isLarger && /auto|scroll/.test(getComputedStyle(box).overflow)) box.tabIndex = 0;
  }
}

function render({ el }) {
  el.style.display = "none";
  const root = () => el.closest(".clinicalgru") ?? document.createElement("div");
  let waiting = 0;
  const later = () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => mend(root()), 200);
  };
  const observer = new MutationObserver(later);
  addEventListener("resize", later);
  const start = setInterval(() => {
    if (!el.closest(".clinicalgru")) return;
    clearInterval(start);
    observer.observe(root(), { childList: true, subtree: true });
    later();
  }, 100);
  return () => {
    clearInterval(start);
    clearTimeout(waiting);
    observer.disconnect();
    removeEventListener("resize", later);
  };
}

export default { render };

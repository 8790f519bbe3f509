// Pages, theme, printing. Each page is made ready when it is first shown.

const preparations = {
  slices: once(() => startSlices() ?? true),
  examples: once(() => startExamples() ?? true),
  curves: once(() => startCurves() ?? true),
  retrieval: once(() => {
    for (const image of document.querySelectorAll("img[data-picture]")) {
      const source = picturesData()[image.dataset.picture];
      if (source) image.src = source;
      else image.alt = "no preview";
    }
    return true;
  }),
};

function showPage() {
  const wanted = byId(location.hash.slice(1));
  const page = wanted?.classList.contains("page") ? wanted : byId("verdict");
  for (const each of document.querySelectorAll(".page")) each.classList.toggle("current", each === page);
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${page.id}`) {
      link.setAttribute("aria-current", "page");
      link.scrollIntoView({ block: "nearest", inline: "nearest" });
    } else link.removeAttribute("aria-current");
  }
  preparations[page.id]?.();
  window.scrollTo(0, 0);
  setTimeout(() => drawAll(page)); // The page can be read before its charts are drawn.
}

// The middle of a graph that is wider than the page is where its components are.
preparations.lineage = once(() => {
  const graph = document.querySelector(".graph");
  if (graph) graph.scrollLeft = (graph.scrollWidth - graph.clientWidth) / 2;
  return true;
});

const dark = window.matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light")) === "dark";

byId("theme").addEventListener("click", () => {
  document.documentElement.dataset.theme = isDark() ? "light" : "dark";
  redraw();
});
dark.addEventListener("change", () => redraw());

// Paper is white, and may be narrower or wider than the screen.
let themeOnScreen;

window.addEventListener("beforeprint", () => {
  const root = document.documentElement;
  themeOnScreen = root.dataset.theme;
  root.dataset.theme = "light";
  root.classList.add("printing");
  redraw();
  for (const page of document.querySelectorAll(".page")) {
    preparations[page.id]?.();
    drawAll(page);
  }
});
window.addEventListener("afterprint", () => {
  const root = document.documentElement;
  if (themeOnScreen) root.dataset.theme = themeOnScreen;
  else delete root.dataset.theme;
  root.classList.remove("printing");
  redraw();
});
window.addEventListener("hashchange", showPage);

document.documentElement.classList.add("scripted");
startChoices();
showPage();
document.documentElement.dataset.ready = "true";

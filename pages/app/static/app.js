// Start: what there is, which page is shown.

import { about, onAbout, refresh, told } from "./api.js";
import { byId, counted, create } from "./dom.js";
import { startJudging, takePicture, versionChanged } from "./judge.js";
import { shownPage, startPictures } from "./pictures.js";
import { showAlike, startSearching } from "./search.js";

const AGAIN_MS = 3000;
let version = null;

function drawAbout() {
  const { model, threshold, verdicts, milliseconds } = about;
  if (!model) return;
  const latency = milliseconds === undefined ? "" : ` · answered in ${milliseconds < 10 ? milliseconds.toFixed(1) : Math.round(milliseconds)} ms`;
  const note = threshold.isBlessed ? "as it was blessed with" : "not known to be the one it was blessed with";
  byId("about").textContent = `${model.name}, version ${model.version} · threshold ${+(100 * threshold.value).toFixed(1)} % (${note})${latency}`;
  byId("about").title = `${model.where}; threshold: ${threshold.source}`;
  const waiting = verdicts.waiting ? `, and ${counted(verdicts.waiting, "wrong caption")} whose picture has no right one yet` : "";
  byId("kept").replaceChildren(
    ...(verdicts.pairs || verdicts.waiting
      ? [`Your verdicts: ${counted(verdicts.pairs, "pair")} to import${waiting}. `, create("code", {}, `dexmatch data import ${verdicts.file} --out datasets/judged`)]
      : []),
  );
  if (version && version !== model.version) versionChanged();
  version = model.version;
}

function showPage() {
  const shown = shownPage();
  for (const page of document.querySelectorAll(".page")) page.hidden = page.id !== shown;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${shown}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

async function start() {
  if ((await told(async () => (await refresh(), true))) === null) {
    setTimeout(start, AGAIN_MS);
    return;
  }
  onAbout(drawAbout);
  drawAbout();
  startJudging();
  startSearching();
  startPictures({ judge: takePicture, search: showAlike });
  document.documentElement.dataset.ready = "";
}

addEventListener("hashchange", showPage);
showPage();
start();

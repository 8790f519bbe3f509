// The folder: searched by a caption or by a picture, again and again while it is being encoded.

import { about, ask, refresh, told } from "./api.js";
import { announce, byId, count, create, later, percent } from "./dom.js";
import { showIn, takePicture, tagLine } from "./judge.js";
import { Picture } from "./pictures.js";

const TYPING_MS = 300;
const AGAIN_MS = 1500;
const FIRST = 24;
const MOST = 240;

let query = null; // What is searched for: a caption, or a picture.
let top = FIRST;
let searching = new AbortController();
let again;
const drawn = new Map();

function hitItem(hit) {
  if (!drawn.has(hit.id)) {
    const image = create("img", { src: `api/folder/${hit.id}`, alt: hit.name, loading: "lazy" });
    const value = create("span", { class: "value" });
    drawn.set(hit.id, create("li", {}, create("button", { type: "button", click: () => showDetails(hit) }, image, value)));
  }
  const item = drawn.get(hit.id);
  item.querySelector(".value").textContent = query instanceof Picture ? hit.value.toFixed(3) : percent(hit.value);
  item.classList.toggle("match", !(query instanceof Picture) && hit.value >= about.threshold.value);
  return item;
}

function drawFolder(found) {
  const folder = found ?? about.folder;
  const { encoded, total, unjudged, problem } = folder;
  let text = encoded < total ? `${count(encoded)} of ${count(total)} pictures can be found yet` : `${count(total)} pictures`;
  if (unjudged) text += ` (${count(unjudged)} cannot be judged)`;
  if (query instanceof Picture) text += `; how alike ${query.name} they are, as the cosine of what the model makes of them (1 at most)`;
  else if (query) text += "; how likely the caption describes them";
  if (problem) text += `. ${problem}`;
  byId("search-state").textContent = text;
}

async function search() {
  clearTimeout(again);
  searching.abort();
  searching = new AbortController();
  const { signal } = searching;
  const asked = query;
  if (!asked) {
    byId("hits").replaceChildren();
    byId("more").hidden = true;
    drawFolder();
    return;
  }
  const find = asked instanceof Picture ? () => asked.ask("alike", { top }, signal) : () => ask("search", { json: { caption: asked, top }, signal });
  const found = await told(find);
  if (signal.aborted) return;
  if (found) {
    byId("hits").replaceChildren(...found.hits.map(hitItem));
    byId("more").hidden = found.hits.length < top || top >= MOST;
    drawFolder(found);
    const [best] = found.hits;
    if (best) announce(`${found.hits.length} pictures, the best is ${best.name}`);
  }
  // Pictures that are encoded meanwhile may be better, and a model that went away may come back.
  if (!found || found.encoded < found.total) again = setTimeout(search, AGAIN_MS * (found ? 1 : 4));
}

function searchFor(what) {
  query = what;
  top = FIRST;
  return search();
}

export async function showAlike(picture) {
  byId("details").close();
  location.hash = "#search";
  byId("query").value = "";
  if (picture.id || (await told(async () => (await picture.load(), true)))) await searchFor(picture);
}

async function showDetails(hit) {
  const picture = Picture.ofFolder(hit);
  if (!(await told(async () => (await picture.load(), true)))) return;
  byId("details-name").textContent = hit.name;
  showIn(byId("details-picture"), picture);
  const judge = async (caption) => {
    byId("details").close();
    location.hash = "#judge";
    if (caption) byId("caption").value = caption;
    await takePicture(picture);
    if (caption) byId("caption-form").requestSubmit();
  };
  byId("details-judge").onclick = () => judge(query instanceof Picture ? "" : query);
  byId("details-alike").onclick = () => showAlike(picture);
  const tags = byId("details-tags");
  tags.replaceChildren(create("li", { class: "soft" }, about.tags ? "looking …" : "start the app with --captions FILE to choose from its lines"));
  if (!byId("details").open) byId("details").showModal();
  if (!about.tags) return;
  const answer = await told(() => picture.ask("tags", {}));
  tags.replaceChildren(...(answer?.tags ?? []).map((tag) => tagLine(tag, () => judge(tag.caption))));
}

export function startSearching() {
  byId("no-folder").hidden = Boolean(about.folder);
  byId("with-folder").hidden = !about.folder;
  if (!about.folder) return;
  const input = byId("query");
  input.maxLength = about.limits.captionCharacters;
  const typed = () => {
    const text = input.value.trim();
    if (text !== query && (text || !(query instanceof Picture))) searchFor(text || null);
  };
  input.addEventListener("input", later(typed, TYPING_MS));
  byId("search-form").addEventListener("submit", (event) => {
    event.preventDefault();
    typed();
  });
  byId("more").addEventListener("click", () => {
    top = Math.min(MOST, 2 * top);
    search();
  });
  byId("details").addEventListener("click", (event) => {
    if (event.target === byId("details")) byId("details").close(); // Beside it.
  });
  watchFolder();
}

// Tells how far the folder is before anything is searched for.
async function watchFolder() {
  drawFolder();
  if (about.folder.encoded >= about.folder.total) return;
  if (!query && !document.hidden) await told(refresh);
  setTimeout(watchFolder, AGAIN_MS);
}

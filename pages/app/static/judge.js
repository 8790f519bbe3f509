// A picture with captions: answers, what carries them, verdicts.

import { about, told } from "./api.js";
import { Caption, captionCard } from "./captions.js";
import { announce, byId, create, later, percent } from "./dom.js";
import { showAlike } from "./search.js";

const TYPING_MS = 250;
const AGAIN_MS = 5000;
const OUTLINED = 0.4; // Colours of the picture may be the same.
const SVG = "http://www.w3.org/2000/svg";

const page = {
  picture: null,
  captions: [],
  draft: null,
  selected: null,
  select(caption) {
    page.selected = caption;
    redraw();
    explainAll();
  },
  remove(caption) {
    page.captions = page.captions.filter((each) => each !== caption);
    if (page.selected === caption) page.selected = page.captions[0] ?? null;
    redraw();
    byId("caption").focus();
  },
  add,
  redraw,
};
let scoring = new AbortController();
let explaining = new AbortController();
let isExplaining = false;
let again;

// An image as large as its frame allows, whatever the picture's size.
export function showIn(image, picture) {
  image.onload = () => image.parentElement.style.setProperty("--ratio", image.naturalWidth / image.naturalHeight);
  image.src = picture.source;
  image.alt = `The picture ${picture.name}`;
}

const all = () => (page.draft ? [page.draft, ...page.captions] : page.captions);

function strongest(explanation) {
  const drops = (explanation?.cells ?? []).map((cell) => Math.abs(cell[4]));
  return drops.length ? `strongest part: ${(100 * Math.max(...drops)).toFixed(1)} points` : "";
}

function drawParts() {
  const explanation = page.selected?.explanation;
  const svg = byId("parts");
  svg.replaceChildren();
  const isShown = explanation && byId("show-parts").checked;
  byId("parts-state").textContent = isExplaining ? "looking …" : strongest(explanation);
  if (!isShown) return;
  svg.setAttribute("viewBox", `0 0 ${explanation.width} ${explanation.height}`);
  svg.setAttribute("preserveAspectRatio", "none");
  for (const [left, upper, right, lower, drop, weight] of explanation.cells) {
    const cell = document.createElementNS(SVG, "rect");
    const box = { x: left, y: upper, width: right - left, height: lower - upper };
    for (const [name, value] of Object.entries(box)) cell.setAttribute(name, value);
    cell.setAttribute("class", drop > 0 ? "carries" : "weighs");
    cell.setAttribute("fill-opacity", (0.65 * Math.abs(weight)).toFixed(3));
    cell.setAttribute("stroke-opacity", (Math.abs(weight) > OUTLINED ? Math.abs(weight) : 0).toFixed(3));
    svg.append(cell);
  }
}

function redraw() {
  const { value, dataset } = document.activeElement ?? {};
  byId("captions").replaceChildren(
    ...(page.draft ? [captionCard(page, page.draft, true)] : []),
    ...page.captions.map((each) => captionCard(page, each, false)),
  );
  if (dataset?.key) {
    // Whoever goes by keyboard stays where they were.
    const controls = [...byId("captions").querySelectorAll("button, input")];
    const same = controls.find((each) => each.dataset.key === dataset.key);
    if (same?.tagName === "INPUT") same.value = value;
    same?.focus();
  }
  byId("judge-drop").hidden = Boolean(page.picture?.id);
  byId("asked").hidden = !page.picture?.id;
  byId("judge-alike").hidden = !about.folder;
  byId("judge-tags").hidden = !about.tags;
  drawParts();
}

async function scoreAll() {
  clearTimeout(again);
  scoring.abort();
  explaining.abort();
  scoring = new AbortController();
  const { picture } = page;
  const asked = all().filter((each) => each.probability === undefined);
  const { signal } = scoring;
  if (picture?.id && asked.length) {
    for (let start = 0; start < asked.length; start += about.limits.captions) {
      const part = asked.slice(start, start + about.limits.captions);
      const version = about.model.version;
      const answer = await told(() => picture.ask("score", { captions: part.map((each) => each.text) }, signal));
      if (signal.aborted) return;
      if (!answer) {
        // What went away may come back.
        again = setTimeout(scoreAll, AGAIN_MS);
        break;
      }
      if (answer.version !== version) return; // `versionChanged` asks for all of it again.
      for (const [number, caption] of part.entries()) caption.probability = answer.probabilities[number];
    }
    const [first] = asked;
    const said = first.answer(picture);
    announce(`${first.text}: ${said.short}, ${said.long}`);
  }
  redraw();
  await explainAll();
}

// The selected caption first. Given up as soon as something else is asked.
async function explainAll() {
  explaining.abort();
  explaining = new AbortController();
  const { signal } = explaining;
  const { picture } = page;
  const waiting = () => {
    const open = all().filter((each) => each.isJudged && !each.explanation);
    return open.find((each) => each === page.selected) ?? open[0];
  };
  while (picture?.id && !signal.aborted && waiting()) {
    const caption = waiting();
    isExplaining = true;
    drawParts();
    const answer = await told(() => picture.ask("explain", { caption: caption.text }, signal));
    if (signal.aborted) return;
    isExplaining = false;
    if (!answer) break;
    caption.explanation = answer;
    redraw();
  }
  isExplaining = false;
  drawParts();
}

export async function takePicture(picture) {
  scoring.abort();
  explaining.abort();
  if (!picture.id && !(await told(async () => (await picture.load(), true)))) return;
  page.picture = picture;
  for (const caption of all()) caption.forget();
  const image = byId("asked-picture");
  showIn(image, picture);
  byId("judge-tag-list").replaceChildren();
  redraw();
  byId("caption").focus({ preventScroll: true });
  await scoreAll();
}

function add(text) {
  const known = page.captions.find((each) => each.text === text);
  if (known) return known;
  const caption = page.draft?.text === text ? page.draft : new Caption(text);
  if (page.draft === caption) page.draft = null;
  page.captions.unshift(caption);
  page.selected = caption;
  if (caption.probability === undefined) scoreAll();
  else redraw();
  return caption;
}

const typed = later(() => {
  const text = byId("caption").value.trim();
  if (text === (page.draft?.text ?? "")) return;
  const wasSelected = !page.selected || page.selected === page.draft;
  page.draft = text && !page.captions.some((each) => each.text === text) ? new Caption(text) : null;
  if (page.draft) page.selected = page.draft;
  else if (wasSelected) page.selected = page.captions[0] ?? null;
  scoreAll();
}, TYPING_MS);

async function showTags() {
  const list = byId("judge-tag-list");
  list.replaceChildren(create("li", { class: "soft" }, "looking …"));
  const answer = await told(() => page.picture.ask("tags", {}));
  list.replaceChildren(...(answer?.tags ?? []).map((tag) => tagLine(tag, () => add(tag.caption))));
}

export function tagLine(tag, choose) {
  return create("li", {}, create("span", { class: "value" }, percent(tag.value)), create("button", { type: "button", class: "link", dir: "auto", click: choose }, tag.caption));
}

export function versionChanged() {
  for (const caption of all()) {
    caption.probability = undefined;
    caption.explanation = null;
  }
  scoreAll();
}

export function startJudging() {
  const input = byId("caption");
  input.maxLength = about.limits.captionCharacters;
  input.addEventListener("input", typed);
  byId("caption-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = input.value.trim();
    if (!text) return;
    input.value = "";
    add(text);
    page.draft = null;
    redraw();
  });
  input.addEventListener("paste", (event) => {
    const lines = event.clipboardData.getData("text").split("\n").map((line) => line.trim()).filter(Boolean);
    if (lines.length < 2 || event.clipboardData.files.length) return;
    event.preventDefault();
    for (const line of lines.slice(0, about.limits.captions).reverse()) {
      const text = line.slice(0, about.limits.captionCharacters);
      if (!page.captions.some((each) => each.text === text)) page.captions.unshift(new Caption(text));
    }
    page.selected = page.captions[0];
    scoreAll();
  });
  byId("show-parts").addEventListener("change", drawParts);
  byId("judge-alike").addEventListener("click", () => showAlike(page.picture));
  byId("judge-tags").addEventListener("click", showTags);
  redraw();
}

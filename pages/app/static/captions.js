// A caption with its answer, its words, and the user's verdict.

import { about, tell, told } from "./api.js";
import { announce, create, percent } from "./dom.js";

export class Caption {
  constructor(text) {
    this.text = text;
    this.forget();
  }

  // Of another picture, or another version, nothing is known yet.
  forget() {
    this.probability = undefined;
    this.explanation = null;
    this.verdict = null;
  }

  get isJudged() {
    return typeof this.probability === "number";
  }

  answer(picture) {
    if (!picture?.id) return { short: "–", long: "needs a picture" };
    if (this.probability === undefined) return { short: "…", long: "" };
    if (this.probability === null) return { short: "–", long: "cannot be judged: it holds no word" };
    const threshold = about.threshold.value;
    const points = 100 * Math.abs(this.probability - threshold);
    const isMatch = this.probability >= threshold;
    const side = isMatch ? "above" : "below";
    return {
      short: percent(this.probability),
      long: `${isMatch ? "describes it" : "does not describe it"}: ${points.toFixed(1)} points ${side} the threshold`,
      isMatch,
    };
  }
}

function words(caption) {
  const shown = create("span", { class: "words", dir: "auto" });
  for (const [text, drop, weight] of caption.explanation?.words ?? [[caption.text, 0, 0]]) {
    if (!weight) {
      shown.append(text);
      continue;
    }
    const points = `${(100 * Math.abs(drop)).toFixed(1)} points`;
    const title = drop > 0 ? `without it ${points} less` : `without it ${points} more`;
    const mark = create("mark", { class: drop > 0 ? "carries" : "weighs", title }, text);
    mark.style.setProperty("--far", Math.abs(weight));
    shown.append(mark);
  }
  return shown;
}

function bar(caption) {
  const line = create("div", { class: "bar", "aria-hidden": "true" });
  line.style.setProperty("--value", caption.probability ?? 0);
  line.style.setProperty("--threshold", about.threshold.value);
  line.append(create("span"), create("i"));
  return line;
}

async function judge(picture, caption, describes, redraw) {
  const message = { caption: caption.text, describes };
  if (caption.isJudged) Object.assign(message, { probability: caption.probability, version: about.model.version });
  const kept = await told(() => picture.ask("verdicts", message));
  if (!kept) return;
  caption.verdict = describes;
  picture.truths = kept.truths;
  tell({ verdicts: kept });
  announce(describes === null ? "Verdict taken back." : "Verdict kept.");
  redraw();
}

function truthForm(picture, redraw, add) {
  const input = create("input", { dir: "auto", "aria-label": "A caption that does describe the picture", placeholder: "what would be right" });
  const keep = async (event) => {
    event.preventDefault();
    const text = input.value.trim();
    if (!text) return;
    const right = add(text);
    await judge(picture, right, true, redraw);
  };
  return create(
    "form",
    { class: "truth", submit: keep },
    create("span", { class: "soft" }, "It is a row to train on once the picture has a caption that is right:"),
    create("span", { class: "field" }, input, create("button", {}, "Keep")),
  );
}

function verdict(picture, caption, redraw, add) {
  const button = (text, describes) =>
    create("button", { type: "button", "aria-pressed": String(caption.verdict === describes), click: () => judge(picture, caption, caption.verdict === describes ? null : describes, redraw) }, text);
  const shown = create(
    "div",
    { class: "verdict", role: "group", "aria-label": "Your verdict" },
    create("span", { class: "soft" }, "Your verdict:"),
    button("It does", true),
    button("It does not", false),
  );
  if (caption.verdict !== null) shown.append(create("span", { class: "soft" }, "kept; press again to take it back"));
  if (caption.verdict === false && !picture.truths.length) shown.append(truthForm(picture, redraw, add));
  return shown;
}

// The card of a caption. `page` offers picture, selected, select, remove, redraw and add.
export function captionCard(page, caption, isDraft) {
  const answer = caption.answer(page.picture);
  const isSelected = page.selected === caption;
  const card = create("li", { class: `card${isSelected ? " selected" : ""}${isDraft ? " draft" : ""}` });
  const head = create("div", { class: "answer" }, create("b", { class: answer.isMatch === undefined ? "" : answer.isMatch ? "good" : "bad" }, answer.short), create("span", { class: "soft" }, answer.long));
  const remove = create("button", { type: "button", class: "close", "aria-label": `Remove “${caption.text}”`, click: () => page.remove(caption) }, "×");
  card.append(
    ...(isDraft ? [] : [remove]),
    create("button", { type: "button", class: "text", "aria-pressed": String(isSelected), title: "Show what carries this answer", click: () => page.select(caption) }, words(caption)),
    bar(caption),
    head,
  );
  if (page.picture?.id && caption.isJudged) card.append(verdict(page.picture, caption, page.redraw, page.add));
  for (const [at, each] of card.querySelectorAll("button, input").entries()) each.dataset.key = `${at} ${caption.text}`;
  return card;
}

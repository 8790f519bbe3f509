// A picture that is asked about, wherever it is from: a file, the clipboard, or the folder.

import { about, ask, showProblem } from "./api.js";
import { byId, count } from "./dom.js";

export class Picture {
  constructor(name, bring) {
    this.name = name;
    this.bring = bring;
    this.id = null;
    this.truths = [];
  }

  static ofFile(file) {
    return new Picture(file.name || "pasted picture", () => ask("pictures", { body: file }));
  }

  static ofFolder(hit) {
    return new Picture(hit.name, () => ask(`folder/${hit.id}/open`, { json: {} }));
  }

  async load() {
    this.id = (await this.bring()).picture;
  }

  get source() {
    return `api/pictures/${this.id}`;
  }

  // Asks about it. The app holds the latest pictures only, so it may have to be brought again.
  async ask(path, message, signal) {
    const json = () => ({ picture: this.id, ...message });
    try {
      return await ask(path, { json: json(), signal, quiet: [404] });
    } catch (error) {
      if (error.status !== 404) throw error;
      await this.load();
      return await ask(path, { json: json(), signal });
    }
  }
}

const takers = {};
let chosenFor = "judge";

export const shownPage = () => (location.hash === "#search" ? "search" : "judge");

function take(page, file) {
  const most = about.limits?.pictureBytes;
  if (most && file.size > most) {
    showProblem(`${file.name}: larger than the ${count(most / 2 ** 20)} MiB that the app takes`);
    return;
  }
  takers[page](Picture.ofFile(file));
}

const fileOf = (transfer) => [...(transfer?.files ?? [])].find((file) => file.type.startsWith("image/")) ?? transfer?.files?.[0];

// Files that are chosen, dropped or pasted go to the page that is shown.
export function startPictures(byPage) {
  Object.assign(takers, byPage);
  const input = byId("file");
  for (const button of document.querySelectorAll("[data-choose]")) {
    button.addEventListener("click", () => {
      chosenFor = button.dataset.choose;
      input.click();
    });
  }
  input.addEventListener("change", () => {
    if (input.files[0]) take(chosenFor, input.files[0]);
    input.value = ""; // The same file may be chosen again.
  });
  addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("dragging");
  });
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) document.body.classList.remove("dragging");
  });
  addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dragging");
    const file = fileOf(event.dataTransfer);
    if (file) take(shownPage(), file);
    else showProblem("That was no picture file.");
  });
  addEventListener("paste", (event) => {
    const file = fileOf(event.clipboardData);
    if (!file) return;
    event.preventDefault();
    take(shownPage(), file);
  });
}

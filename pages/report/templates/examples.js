// Pairs to look at, of the chosen slice.

let exampleList = 0;

function exampleCard(example) {
  const isRight = (example.score >= pairsData().threshold) === example.isMatch;
  const from = example.isMatch
    ? "its own caption"
    : example.captionId
      ? `caption of ${example.captionId}`
      : "a caption that is true of no picture";
  return create(
    "li",
    {},
    create(
      "figure",
      {},
      create("div", { class: "picture" }, pictureOf(example.picture, `picture of ${example.pictureId}`)),
      create(
        "figcaption",
        {},
        create("b", {}, `${(100 * example.score).toFixed(1)} %`),
        " ",
        create("span", { class: "tag" }, example.kind),
        " ",
        create("span", { class: isRight ? "good" : "bad" }, isRight ? "right" : "wrong"),
        create("span", { class: "caption", dir: "auto" }, example.caption),
        create("small", { class: "soft", dir: "auto" }, `picture of ${example.pictureId}, ${from}`),
      ),
    ),
  );
}

function showExamples() {
  const found = examplesData();
  const name = found.lists[exampleList];
  const positions = found.ofSlices[chosen.slice]?.[name] ?? [];
  byId("example-cards").replaceChildren(...positions.map((at) => exampleCard(found.shown[at])));
  byId("example-count").textContent = positions.length ? `${positions.length} shown` : "there are none";
  for (const [at, button] of [...byId("example-lists").children].entries()) {
    button.setAttribute("aria-pressed", String(at === exampleList));
  }
}

function startExamples() {
  byId("example-lists").append(
    ...examplesData().lists.map((name, at) => {
      const button = create("button", { type: "button" }, name);
      button.addEventListener("click", () => {
        exampleList = at;
        showExamples();
      });
      return button;
    }),
  );
  chosen.listeners.push(showExamples);
  showExamples();
}

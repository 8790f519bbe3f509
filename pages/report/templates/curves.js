// The curves of the chosen slice, and the confusion matrix at the threshold.

const chosenRows = () => members(pairsData(), pairsData().slices[chosen.slice].parts);

drawers.roc = (element) => {
  const { x, y, thresholds, auc } = rocCurve(pairsData(), chosenRows());
  plot(
    element,
    [
      {
        x,
        y,
        text: thresholds.map((each) => (each === null ? "" : `from ${each.toFixed(3)}`)),
        mode: "lines",
        name: `AUC ${shown(auc)}`,
        fill: "tozeroy",
        fillcolor: "rgba(80,140,200,.12)",
      },
      { x: [0, 1], y: [0, 1], mode: "lines", name: "chance", line: { dash: "dot", color: colour("soft") } },
    ],
    {
      showlegend: true,
      xaxis: { title: { text: "false positive rate" }, range: [0, 1] },
      yaxis: { title: { text: "true positive rate" }, range: [0, 1.02] },
    },
  );
};

drawers.pr = (element) => {
  const { recall, precision, thresholds, average, share } = precisionRecallCurve(pairsData(), chosenRows());
  plot(
    element,
    [
      {
        x: recall,
        y: precision,
        text: thresholds.map((each) => `from ${each.toFixed(3)}`),
        mode: "lines",
        line: { shape: "vh" },
        name: `average precision ${shown(average)}`,
      },
      { x: [0, 1], y: [share, share], mode: "lines", name: "chance", line: { dash: "dot", color: colour("soft") } },
    ],
    {
      showlegend: true,
      xaxis: { title: { text: "recall" }, range: [0, 1] },
      yaxis: { title: { text: "precision" }, range: [0, 1.02] },
    },
  );
};

drawers.reliability = (element) => {
  const { bins, ece } = reliability(pairsData(), chosenRows(), pairsData().bins);
  byId("ece").textContent = `ECE ${shown(ece)}`;
  const most = Math.max(1, ...bins.map((bin) => bin.count));
  plot(
    element,
    [
      {
        x: bins.map((bin) => bin.said / bin.count),
        y: bins.map((bin) => bin.true / bin.count),
        text: bins.map((bin) => `${bin.count} pairs`),
        marker: { size: bins.map((bin) => 6 + 16 * Math.sqrt(bin.count / most)) },
        mode: "markers+lines",
        name: "pairs",
      },
      { x: [0, 1], y: [0, 1], mode: "lines", name: "calibrated", line: { dash: "dot", color: colour("soft") } },
    ],
    {
      showlegend: true,
      xaxis: { title: { text: "stated probability" }, range: [0, 1] },
      yaxis: { title: { text: "share of matches" }, range: [-0.02, 1.02] },
    },
  );
};

const scoreBins = 25;

drawers.histogram = (element) => {
  const pairs = pairsData();
  const rows = chosenRows();
  // Outlines, which three kinds can share a chart with.
  const traces = pairs.kindNames.map((name, kind) => {
    const counts = new Array(scoreBins).fill(0);
    for (const at of rows) {
      if (pairs.kinds[at] === kind) counts[Math.min(scoreBins - 1, Math.floor(pairs.scores[at] * scoreBins))]++;
    }
    return {
      x: counts.map((_, bin) => (bin + 0.5) / scoreBins),
      y: counts,
      name,
      mode: "lines",
      line: { shape: "hvh", width: 2 },
    };
  });
  plot(element, traces.filter((trace) => trace.y.some((count) => count)), {
    showlegend: true,
    xaxis: { title: { text: "score" }, range: [0, 1] },
    yaxis: { title: { text: "pairs" } },
  });
};

function showConfusion() {
  const threshold = Number(byId("threshold").value);
  const found = confusionAt(pairsData(), chosenRows(), threshold);
  byId("threshold-value").textContent = threshold.toFixed(3);
  for (const name of ["tp", "fp", "tn", "fn"]) byId(name).textContent = found[name].toLocaleString("en");
  for (const name of ["precision", "recall", "f1", "accuracy"]) {
    byId(`at-${name}`).textContent = shown(found[name], 4);
  }
}

function showCurves() {
  byId("curve-count").textContent = `${chosenRows().length.toLocaleString("en")} pairs`;
  showConfusion();
  redraw("roc", "pr", "reliability", "histogram");
}

function startChoices() {
  for (const select of document.querySelectorAll(".slice-choice")) {
    select.append(
      ...slicesData().rows.map((row, at) => create("option", { value: at }, `${row.name} (${row.pairs})`)),
    );
    select.addEventListener("input", () => choose(Number(select.value)));
  }
}

function startCurves() {
  byId("threshold").addEventListener("input", showConfusion);
  chosen.listeners.push(showCurves);
  showCurves();
}

// The table of slices: sorting, filtering, searching; the worst ones; two columns crossed.

const byName = new Intl.Collator("en", { numeric: true }).compare;

const sliceRows = () => [...byId("slice-table").tBodies[0].rows];

function sortSlices(button) {
  const header = button.closest("th");
  const descending = header.getAttribute("aria-sort") === "ascending";
  for (const each of byId("slice-table").tHead.querySelectorAll("th")) {
    each.setAttribute("aria-sort", "none");
  }
  header.setAttribute("aria-sort", descending ? "descending" : "ascending");
  const key = button.dataset.sort;
  const { rows } = slicesData();
  const valueOf = (row) => (key === "name" || key === "pairs" ? row[key] : row.values[Number(key)]);
  const compare = (a, b) => {
    const [x, y] = [a, b].map((row) => valueOf(rows[Number(row.dataset.index)]));
    if (x === null || y === null) return (x === null) - (y === null); // What has no value comes last.
    const order = typeof x === "string" ? byName(x, y) : x - y;
    return descending ? -order : order;
  };
  byId("slice-table").tBodies[0].append(...sliceRows().sort(compare));
}

function filterSlices() {
  const words = byId("slice-search").value.toLowerCase();
  const column = byId("slice-column").value;
  const fewest = Number(byId("slice-pairs").value);
  const onlyMissed = byId("slice-missed").checked;
  let count = 0;
  for (const row of sliceRows()) {
    const slice = slicesData().rows[Number(row.dataset.index)];
    row.hidden =
      !slice.name.toLowerCase().includes(words) ||
      (column !== "" && slice.column !== column) ||
      slice.pairs < fewest ||
      (onlyMissed && !("missed" in row.dataset));
    count += !row.hidden;
  }
  byId("slice-count").textContent = `${count} of ${slicesData().rows.length} slices`;
}

drawers.worst = (element) => {
  const found = slicesData();
  const metric = byId("worst-metric").value;
  const at = found.metrics.indexOf(metric);
  const lowerIsBetter = found.lowerIsBetter.includes(metric);
  const withSmall = byId("worst-small").checked;
  const worst = found.rows
    .filter((row) => row.column && row.values[at] !== null)
    .filter((row) => withSmall || row.pairs >= found.few)
    .sort((a, b) => (lowerIsBetter ? b.values[at] - a.values[at] : a.values[at] - b.values[at]))
    .slice(0, 15)
    .reverse();
  const overall = found.rows.find((row) => !row.column)?.values[at] ?? null;
  const names = worst.map((row) => plain(row.name, 40));
  const away = (row, end) => (row.intervals[at] ? Math.abs(row.intervals[at][end] - row.values[at]) : 0);
  const traces = [
    {
      y: names,
      x: worst.map((row) => row.values[at]),
      error_x: {
        type: "data",
        symmetric: false,
        array: worst.map((row) => away(row, 1)),
        arrayminus: worst.map((row) => away(row, 0)),
        color: colour("soft"),
      },
      text: worst.map((row) => `${row.pairs} pairs`),
      mode: "markers",
      marker: { size: 9, color: colour("second") },
      name: "candidate",
    },
    {
      y: names,
      x: worst.map((row) => row.baselines[at]),
      mode: "markers",
      marker: { size: 9, symbol: "line-ns-open", color: colour("accent") },
      name: "baseline",
    },
  ].filter((trace) => trace.x.some((value) => value !== null));
  const line = { x0: overall, x1: overall, y0: 0, y1: 1, yref: "paper", type: "line" };
  plot(element, traces, {
    height: Math.max(160, 90 + 24 * worst.length),
    margin: { l: 12, r: 12, t: 8, b: 40 },
    shapes: overall === null ? [] : [{ ...line, line: { color: colour("soft"), dash: "dot" } }],
    xaxis: { title: { text: `${plain(metric)} (dotted: overall)` } },
    yaxis: { type: "category" },
    annotations: worst.length ? [] : [{ text: "no slice is large enough", showarrow: false }],
  });
};

const mostValues = 40;

// In the colours of the table: how far each combination is from the figure over all pairs.
drawers.cross = (element) => {
  const pairs = pairsData();
  const [down, across] = [byId("cross-rows").value, byId("cross-columns").value];
  const metric = byId("cross-metric").value;
  if (!down || !across) return;
  const valuesOf = (name) => [...new Set(pairs.columns[name].values.flat())].sort(byName);
  const shownOf = (name) => valuesOf(name).slice(0, mostValues);
  const title = (name) => {
    const count = valuesOf(name).length;
    return plain(name) + (count > mostValues ? ` (the first ${mostValues} of ${count})` : "");
  };
  const [rows, columns] = [shownOf(down), shownOf(across)];
  const measure = (inside) => {
    if (metric === "count") return inside.length || null;
    const value =
      metric === "auc" ? rocCurve(pairs, inside).auc : confusionAt(pairs, inside, pairs.threshold).accuracy;
    return Number.isNaN(value) ? null : value;
  };
  const cells = rows.map((row) => columns.map((column) => members(pairs, [[down, row], [across, column]])));
  const values = cells.map((line) => line.map(measure));
  const overall = measure(members(pairs, []));
  const see = (name, alpha) => `rgba(${colour(name).split(" ").join(",")},${alpha})`;
  const far = slicesData().fullColour;
  const scale =
    metric === "count"
      ? { z: values, colorscale: [[0, see("better", 0)], [1, see("better", 0.5)]], zmin: 0 }
      : {
          z: values.map((line) => line.map((value) => (value === null ? null : value - overall))),
          colorscale: [
            [0, see("worse", 0.5)],
            [0.5, see("worse", 0)],
            [0.5, see("better", 0)],
            [1, see("better", 0.5)],
          ],
          zmin: -far,
          zmax: far,
        };
  plot(
    element,
    [
      {
        type: "heatmap",
        ...scale,
        x: columns.map((each) => plain(each, 24)),
        y: rows.map((each) => plain(each, 24)),
        text: values.map((line) =>
          line.map((value) => (value === null ? "" : metric === "count" ? String(value) : shown(value, 2))),
        ),
        customdata: cells.map((line) => line.map((inside) => inside.length)),
        hovertemplate: "%{y}, %{x}<br>%{text}<br>%{customdata} pairs<extra></extra>",
        texttemplate: columns.length <= 10 ? "%{text}" : "",
        textfont: { color: colour("ink") },
        showscale: false,
        hoverongaps: false,
        xgap: 1,
        ygap: 1,
      },
    ],
    {
      height: 140 + 28 * rows.length,
      xaxis: { type: "category", title: { text: title(across) }, showgrid: false },
      yaxis: { type: "category", title: { text: title(down) }, showgrid: false, autorange: "reversed" },
    },
  );
};

function startSlices() {
  for (const button of byId("slice-table").tHead.querySelectorAll("button")) {
    button.addEventListener("click", () => sortSlices(button));
  }
  for (const id of ["slice-search", "slice-column", "slice-pairs", "slice-missed"]) {
    byId(id).addEventListener("input", filterSlices);
  }
  byId("slice-table").tBodies[0].addEventListener("click", (event) => {
    const button = event.target.closest(".link");
    if (!button) return;
    choose(Number(button.closest("tr").dataset.index));
    location.hash = "curves";
  });
  for (const id of ["worst-metric", "worst-small"]) {
    byId(id).addEventListener("input", () => redraw("worst"));
  }
  if (!slicesData().rows.some((row) => row.column && row.pairs >= slicesData().few)) {
    byId("worst-small").checked = true;
  }
  const names = slicesData().columns;
  for (const [id, first] of [["cross-rows", 0], ["cross-columns", 1]]) {
    byId(id).append(...names.map((name) => create("option", { value: name }, name)));
    byId(id).value = names[Math.min(first, names.length - 1)] ?? "";
    byId(id).addEventListener("input", () => redraw("cross"));
  }
  byId("cross-metric").addEventListener("input", () => redraw("cross"));
  filterSlices();
}

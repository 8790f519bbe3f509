// Charts are drawn when their page is first shown, in the colours of the theme.

const drawers = {};
const drawn = new Set();

const loadPlotly = once(() => {
  const script = document.createElement("script");
  script.textContent = byId("plotly").textContent;
  document.head.append(script);
  return window.Plotly;
});

const colour = (name) =>
  getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

// Plotly reads a little markup in its texts.
const plain = (text, most = 60) => {
  const short = text.length > most ? `${text.slice(0, most)}…` : text;
  return short.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
};

function plot(element, traces, layout = {}) {
  const axis = {
    gridcolor: colour("grid"),
    zerolinecolor: colour("line"),
    linecolor: colour("line"),
    automargin: true,
    fixedrange: true,
  };
  const { xaxis, yaxis, ...others } = layout;
  loadPlotly().react(
    element,
    traces,
    {
      autosize: true,
      height: 288,
      margin: { l: 48, r: 12, t: 8, b: 40 },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: colour("ink"), family: "system-ui, sans-serif", size: 12 },
      colorway: [colour("accent"), colour("second"), colour("third"), colour("good")],
      hoverlabel: { bgcolor: colour("card"), font: { color: colour("ink") } },
      legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
      ...others,
      xaxis: { ...axis, ...xaxis },
      yaxis: { ...axis, ...yaxis },
    },
    { displayModeBar: false, responsive: true, displaylogo: false },
  );
}

function draw(element) {
  drawers[element.dataset.chart](element);
  drawn.add(element);
}

function drawAll(page) {
  for (const element of page.querySelectorAll(".chart")) {
    if (!drawn.has(element) && element.offsetParent) draw(element);
  }
}

// What is drawn already is drawn again, after a change of the theme, the slice, a control.
function redraw(...names) {
  for (const element of [...drawn]) {
    if (names.length && !names.includes(element.dataset.chart)) continue;
    if (element.offsetParent) draw(element);
    else drawn.delete(element); // Out of sight there is no width to draw at.
  }
}

drawers.training = (element) => {
  const chart = trainingData()[Number(element.dataset.at)];
  const traces = chart.lines.map((line) => ({
    x: line.x,
    y: line.y,
    name: plain(line.name),
    mode: "lines+markers",
  }));
  plot(element, traces, {
    xaxis: { title: { text: "epoch" }, tickformat: "d" },
    yaxis: { tickformat: ".3~g" },
    showlegend: true,
  });
};

function histogram(element, at) {
  const traces = histogramsData()[at].lines.map((line) => {
    const total = line.y.reduce((sum, count) => sum + count, 0) || 1;
    return {
      x: line.x,
      y: line.y.map((count) => (100 * count) / total),
      name: plain(line.name),
      type: "histogram",
      histfunc: "sum",
      nbinsx: 24,
      opacity: 0.75,
    };
  });
  plot(element, traces, { showlegend: true, barmode: "group", yaxis: { ticksuffix: " %" } });
}

drawers.lengths = (element) => histogram(element, 0);
drawers.sides = (element) => histogram(element, 1);

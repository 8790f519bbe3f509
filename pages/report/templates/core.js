"use strict";
// Reading what the page carries, and putting elements together. Text from the data only ever goes
// through textContent and attributes, never through markup.

const byId = (id) => document.getElementById(id);

const once = (make) => {
  let made;
  return () => (made === undefined ? (made = make()) : made);
};

const embedded = (id) => once(() => JSON.parse(byId(id).textContent));

const slicesData = embedded("data-slices");
const examplesData = embedded("data-examples");
const picturesData = embedded("data-pictures");
const trainingData = embedded("data-training");
const histogramsData = embedded("data-data");

function decode(base64, ArrayType) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
  return new ArrayType(bytes.buffer);
}

const pairsData = once(() => {
  const raw = JSON.parse(byId("data-curves").textContent);
  const columns = {};
  for (const [name, column] of Object.entries(raw.columns)) {
    columns[name] = { codes: decode(column.codes, Uint32Array), values: column.values };
  }
  return {
    ...raw,
    scores: decode(raw.scores, Float32Array),
    labels: decode(raw.labels, Uint8Array),
    kinds: decode(raw.kinds, Uint8Array),
    columns,
  };
});

// The positions of the pairs that have all these values; a pair can have several of one column.
function members(pairs, parts) {
  const tests = parts.map(([name, value]) => {
    const column = pairs.columns[name];
    return { codes: column.codes, has: column.values.map((values) => values.includes(value)) };
  });
  const rows = [];
  for (let at = 0; at < pairs.count; at++) {
    if (tests.every((test) => test.has[test.codes[at]])) rows.push(at);
  }
  return rows;
}

function create(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

const shown = (value, places = 3) =>
  value === null || value === undefined || Number.isNaN(value) ? "–" : value.toFixed(places);

function pictureOf(key, alt) {
  const source = picturesData()[key];
  return source ? create("img", { src: source, alt }) : document.createTextNode("no preview");
}

// What is looked at on several pages: the chosen slice.
const chosen = { slice: 0, listeners: [] };

function choose(slice) {
  chosen.slice = slice;
  for (const select of document.querySelectorAll(".slice-choice")) select.value = String(slice);
  for (const listener of chosen.listeners) listener();
}

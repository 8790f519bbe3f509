// Putting elements together. Text of a user only ever goes through textContent and attributes, never
// through markup.

export const byId = (id) => document.getElementById(id);

export function create(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

// Never 0.0 % or 100.0 %: the model is not that sure.
export function percent(value) {
  if (value < 0.0005) return "< 0.1 %";
  return value > 0.9995 ? "> 99.9 %" : `${(100 * value).toFixed(1)} %`;
}

export const count = (number) => number.toLocaleString("en");

export const counted = (number, thing) => `${count(number)} ${thing}${number === 1 ? "" : "s"}`;

export function announce(text) {
  byId("announced").textContent = text;
}

// Calls a function once nothing has called for a while.
export function later(work, milliseconds) {
  let timer;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => work(...given), milliseconds);
  };
}

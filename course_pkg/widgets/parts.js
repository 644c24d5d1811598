// What the widgets share. Text only ever goes in through `element`, as text.

/** An element with attributes (`text` is its text; functions are listeners) and children. */
export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") node.textContent = value;
    else if (typeof value === "function") node.addEventListener(name, value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}

const ALPHA_STOPS = ["#f1f8f2", "#c8e5d7", "#9bd3c5", "#67bfbd", "#3da8b9", "#1990b6", "#0576b0", "#215d9e", "#2a4588", "#2c2e6c", "#261b4b"];

/** The colour of a weight between 0 and 1 on the course's one scale. */
export function alphaColour(weight) {
  const place = Math.min(Math.max(weight, 0), 1) * (ALPHA_STOPS.length - 1);
  const low = Math.min(Math.floor(place), ALPHA_STOPS.length - 2);
  const mix = (at) => {
    const [a, b] = [ALPHA_STOPS[low], ALPHA_STOPS[low + 1]].map((stop) => parseInt(stop.slice(at, at + 2), 16));
    return Math.round(a + (b - a) * (place - low));
  };
  return `rgb(${mix(1)}, ${mix(3)}, ${mix(5)})`;
}

/** Black or white: what can be read on `alphaColour(weight)`. */
export const inkOn = (weight) => (weight > 0.45 ? "#fff" : "#000");

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

/** A number kept between two ends. */
export const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

const ALPHA_STOPS = ["#f1f8f2", "#c8e5d7", "#9bd3c5", "#67bfbd", "#3da8b9", "#1990b6", "#0576b0", "#215d9e", "#2a4588", "#2c2e6c", "#261b4b"];

const DARK_STOPS = ["#23262e", ...ALPHA_STOPS.slice(0, -1).reverse()];

/** The colour of a weight between 0 and 1 on the course's one scale. On a dark page it runs the other way: α = 0 is the ground. */
export function alphaColour(weight, dark = false) {
  const stops = dark ? DARK_STOPS : ALPHA_STOPS;
  const place = clamp(weight, 0, 1) * (stops.length - 1);
  const low = Math.min(Math.floor(place), stops.length - 2);
  const mix = (at) => {
    const [a, b] = [stops[low], stops[low + 1]].map((stop) => parseInt(stop.slice(at, at + 2), 16));
    return Math.round(a + (b - a) * (place - low));
  };
  return `rgb(${mix(1)}, ${mix(3)}, ${mix(5)})`;
}

/** Black or white: what can be read on `alphaColour(weight, dark)`. */
export const inkOn = (weight, dark = false) => ((dark ? weight < 0.43 : weight > 0.57) ? "#fff" : "#000");

/** `colour(dark)` as a declaration that follows the page; a browser without `light-dark()` shows the light one. */
export const onEither = (property, colour) => `${property}: ${colour(false)}; ${property}: light-dark(${colour(false)}, ${colour(true)});`;

/** Where the largest number stands, the first of them. */
export const argmax = (row) => row.indexOf(Math.max(...row));

/** The entropy of a distribution in nats. */
export const entropy = (row) => row.reduce((sum, p) => (p > 0 ? sum - p * Math.log(p) : sum), 0);

/** An SVG element, made like `element`. */
export function shape(tag, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") node.textContent = value;
    else if (value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

const heldHere = new Map();

/** What a reader leaves under `key`: in this browser alone, or only as long as the page where storage is refused. */
export function memory(key) {
  let own = false;
  const storage = (use) => {
    try {
      return use(window.localStorage);
    } catch {
      return null;
    }
  };
  const tell = () => {
    own = true;
    globalThis.dispatchEvent?.(new CustomEvent("course-kept", { detail: key }));
    own = false;
  };
  return {
    read() {
      try {
        return JSON.parse(storage((store) => store.getItem(key)) ?? heldHere.get(key) ?? null);
      } catch {
        return null;
      }
    },
    /** Says whether it will last. */
    write(value) {
      heldHere.set(key, JSON.stringify(value));
      const lasting = storage((store) => (store.setItem(key, heldHere.get(key)), true)) === true;
      tell();
      return lasting;
    },
    forget() {
      heldHere.delete(key);
      storage((store) => store.removeItem(key));
      tell();
    },
    /** Calls when another widget, here or on another page of the site, has changed it; returns how to stop. */
    watch(changed) {
      const listener = (event) => (event.type === "storage" ? event.key === key || event.key === null : event.detail === key && !own) && changed();
      for (const type of ["storage", "course-kept"]) window.addEventListener(type, listener);
      return () => ["storage", "course-kept"].forEach((type) => window.removeEventListener(type, listener));
    },
  };
}

let counted = 0;

/** A fresh id: several widgets share a page. */
export const freshId = (stem) => `course-${stem}-${(counted += 1)}`;

/** A number with two digits after the point. */
export const twoDigits = (value) => (Math.round(value * 100) / 100).toFixed(2);

/** A button. */
export const button = (text, onClick, attributes = {}) => element("button", { type: "button", text, click: onClick, ...attributes });

/** A box to tick: `{ node, input }`. */
export function checkbox(text, checked, onChange) {
  const input = element("input", { type: "checkbox", checked, change: () => onChange(input.checked) });
  return { node: element("label", { class: "course-check" }, input, text), input };
}

/** A labelled slider over 0 … count − 1: `{ node, input, set(value, text), resize(count) }`; `text` says where it stands. */
export function slider(label, count, onInput) {
  const input = element("input", { type: "range", id: freshId("slider"), min: 0, max: count - 1, step: 1, value: 0, input: () => onInput(Number(input.value)) });
  const said = element("output", { for: input.id });
  return {
    node: element("div", { class: "course-slider" }, element("label", { for: input.id, text: label }), input, said),
    input,
    set(value, text) {
      input.value = value;
      input.setAttribute("aria-valuetext", text);
      said.textContent = text;
    },
    resize(next) {
      input.max = next - 1;
    },
  };
}

/** Back, play, on, and a slider: `{ node, set(step, text), resize(count), toggle(), stop() }`. `onStep` is asked, `set` tells. */
export function stepper(label, count, onStep) {
  let at = 0;
  let timer = null;
  const go = (step) => onStep(clamp(step, 0, count - 1));
  const bar = slider(label, count, (step) => {
    stop();
    go(step);
  });
  const play = button("Play", toggle, { class: "course-play" });
  const back = button("◀", () => { stop(); go(at - 1); }, { "aria-label": `${label}: back` });
  const on = button("▶", () => { stop(); go(at + 1); }, { "aria-label": `${label}: on` });
  function stop() {
    clearInterval(timer);
    timer = null;
    play.textContent = "Play";
  }
  function toggle() {
    if (timer !== null) return stop();
    if (at >= count - 1) go(0);
    play.textContent = "Pause";
    timer = setInterval(() => (at >= count - 1 ? stop() : go(at + 1)), 900);
  }
  return {
    node: element("div", { class: "course-stepper" }, back, play, on, bar.node),
    set(step, text) {
      at = step;
      back.disabled = at === 0;
      on.disabled = at === count - 1;
      bar.set(at, text);
    },
    resize(next) {
      count = next;
      bar.resize(next);
    },
    toggle,
    stop,
  };
}

/** Text for screen readers, said once the reader's hand rests: `{ node, say(text), stop() }`. */
export function announcer() {
  const node = element("div", { class: "course-unseen", "aria-live": "polite" });
  let timer = null;
  return {
    node,
    say(text) {
      clearTimeout(timer);
      timer = setTimeout(() => { if (node.textContent !== text) node.textContent = text; }, 250);
    },
    stop: () => clearTimeout(timer),
  };
}

/**
 * A sentence as a line of buttons, one tab stop for all: `{ node, buttons, choose(index), fill(tokens) }`.
 * `onChoose(index)` on click, tap, drag and arrow key; `onHover(index or null)` under a mouse.
 */
export function tokenLine(label, { onChoose, onHover = () => {} }) {
  const node = element("div", { class: "course-tokens", role: "group", "aria-label": label });
  const line = { node, buttons: [], choose, fill };
  const indexOf = (target) => line.buttons.indexOf(target instanceof Element ? target.closest("button") : null);
  let pulled = false;
  function fill(tokens) {
    line.buttons = tokens.map((token) => element("button", { type: "button", tabindex: -1 }, element("bdi", { text: token })));
    node.replaceChildren(...line.buttons);
    if (line.buttons.length) line.buttons[0].tabIndex = 0;
  }
  function choose(index) {
    line.buttons.forEach((one, place) => {
      const [tab, pressed] = [place === Math.max(index, 0) ? 0 : -1, String(place === index)];
      if (one.tabIndex !== tab) one.tabIndex = tab;
      if (one.getAttribute("aria-pressed") !== pressed) one.setAttribute("aria-pressed", pressed);
    });
  }
  node.addEventListener("click", (event) => {
    const index = indexOf(event.target);
    if (index >= 0 && !pulled) onChoose(index, false);
    pulled = false;
  });
  node.addEventListener("pointerdown", (event) => {
    let last = indexOf(event.target);
    if (last < 0) return;
    pulled = false;
    const move = (moved) => {
      const index = indexOf(document.elementFromPoint(moved.clientX, moved.clientY));
      if (index < 0 || index === last) return;
      last = index;
      pulled = true;
      onChoose(index, true);
    };
    const end = () => ["pointermove", "pointerup", "pointercancel"].forEach((name) => document.removeEventListener(name, name === "pointermove" ? move : end));
    document.addEventListener("pointermove", move);
    document.addEventListener("pointerup", end);
    document.addEventListener("pointercancel", end);
  });
  node.addEventListener("pointerover", (event) => { if (event.pointerType === "mouse" && !event.buttons && indexOf(event.target) >= 0) onHover(indexOf(event.target)); });
  node.addEventListener("pointerleave", (event) => { if (event.pointerType === "mouse") onHover(null); });
  node.addEventListener("keydown", (event) => {
    const index = nextPlace(event, indexOf(event.target), line.buttons.length);
    if (index === null) return;
    event.preventDefault();
    event.stopPropagation();
    onChoose(index, true);
    line.buttons[index].focus();
  });
  return line;
}

/** The five likeliest words, with `c_i := h_j`. */
export function wheel(letGo) {
  const title = element("p", { class: "course-title" });
  const about = element("p", { class: "course-note" });
  const list = element("ol", { class: "course-words" });
  const free = button("Let go of the gaze", letGo);
  return {
    node: element("div", { class: "course-steer", role: "group", "aria-label": "Steer the gaze" }, title, about, list, free),
    /** `note` stands above the words; `turned` says whether there is a gaze to let go of. */
    show(text, words, own, { note = "", turned = words.length > 0 } = {}) {
      title.textContent = text;
      about.textContent = note;
      about.hidden = !note;
      free.disabled = !turned;
      list.replaceChildren(
        ...words.map(({ word, share }) => {
          const bar = element("span", { class: "course-bar", "aria-hidden": "true" });
          bar.style.setProperty("--share", share);
          return element("li", { class: word === own && "is-own" }, element("bdi", { text: word }), bar, element("span", { text: twoDigits(share) }));
        }),
      );
    },
  };
}

/** Where an arrow key, Home or End leads from `at` among `count` places; null for any other key. */
export function nextPlace(event, at, count) {
  if (event.altKey || event.ctrlKey || event.metaKey) return null;
  const moves = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: count - 1 };
  return event.key in moves ? clamp(moves[event.key], 0, count - 1) : null;
}

/** Hand the reader a file. */
export function download(name, content, type) {
  const address = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
  const link = element("a", { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

/**
 * One drawing, `draw(pen)`, as SVG text or on a canvas: no picture is loaded for it, which a strict page would refuse.
 * The pen knows `rect(x, y, w, h, fill, stroke, radius)`, `text(x, y, text, { size, fill, anchor, turn, weight })`,
 * `path(d, stroke, width, dash)` and `image(source, x, y, w, h)`, of an `img` that is loaded or a canvas.
 */
export function asSvg(width, height, draw) {
  const root = shape("svg", { viewBox: `0 0 ${width} ${height}`, width, height, "font-family": "sans-serif" });
  draw({
    rect: (x, y, w, h, fill, stroke, radius) => root.append(shape("rect", { x, y, width: w, height: h, fill: fill ?? "none", stroke, rx: radius, "stroke-width": stroke && 1.5 })),
    text: (x, y, text, { size = 12, fill = "#20242c", anchor = "start", turn = 0, weight } = {}) =>
      root.append(shape("text", { x, y, "font-size": size, fill, "text-anchor": anchor, "font-weight": weight, transform: turn ? `rotate(${turn} ${x} ${y})` : undefined, text })),
    path: (d, stroke, width, dash) => root.append(shape("path", { d, fill: "none", stroke, "stroke-width": width, "stroke-linecap": "square", "stroke-dasharray": dash?.join(" ") })),
    image: (source, x, y, w, h) => root.append(shape("image", { href: source.src ?? source.toDataURL(), x, y, width: w, height: h, preserveAspectRatio: "none" })),
  });
  return new XMLSerializer().serializeToString(root);
}

/** The same drawing as a PNG, twice as fine; a promise of a Blob. */
export function asPng(width, height, draw) {
  const canvas = element("canvas", { width: 2 * width, height: 2 * height });
  const context = canvas.getContext("2d");
  context.scale(2, 2);
  context.lineWidth = 1.5;
  draw({
    rect(x, y, w, h, fill, stroke, radius = 0) {
      context.beginPath();
      context.roundRect(x, y, w, h, radius);
      if (fill) { context.fillStyle = fill; context.fill(); }
      if (stroke) { context.strokeStyle = stroke; context.stroke(); }
    },
    text(x, y, text, { size = 12, fill = "#20242c", anchor = "start", turn = 0, weight } = {}) {
      context.save();
      context.translate(x, y);
      context.rotate((turn * Math.PI) / 180);
      context.font = `${weight ?? ""} ${size}px sans-serif`;
      context.fillStyle = fill;
      context.textAlign = anchor === "middle" ? "center" : anchor;
      context.fillText(text, 0, 0);
      context.restore();
    },
    path(d, stroke, width, dash = []) {
      context.save();
      Object.assign(context, { strokeStyle: stroke, lineWidth: width, lineCap: "square" });
      context.setLineDash(dash);
      context.stroke(new Path2D(d));
      context.restore();
    },
    image: (source, x, y, w, h) => context.drawImage(source, x, y, w, h),
  });
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}

/** The value that the page's address holds for a widget (`#key=value`, several joined by &), or null. */
export function fromAddress(key) {
  return new URLSearchParams(window.location.hash.slice(1)).get(key);
}

/** The address of this page with a value for a widget; what other widgets put there stays. */
export function toAddress(key, value) {
  const kept = [...new URLSearchParams(window.location.hash.slice(1))].filter(([name, held]) => held && name !== key);
  return `#${new URLSearchParams([...kept, [key, value]])}`;
}

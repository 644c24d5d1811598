import { button, clamp, element, memory, shape } from "./parts.js";

const plainNumber = (value) => String(Math.round(value * 10) / 10);

/** The guess after the pen went from one spot to another: every place that it passed lies on its way. */
function stroke(guess, from, to, top) {
  const drawn = [...guess];
  const [first, last] = [from.at, to.at].sort((a, b) => a - b);
  for (let place = 0; place < drawn.length; place += 1) {
    if (place >= first && place <= last && from.at !== to.at) {
      drawn[place] = from.value + ((to.value - from.value) * (place - from.at)) / (to.at - from.at);
    }
  }
  drawn[clamp(Math.round(to.at), 0, drawn.length - 1)] = to.value;
  return drawn.map((value) => (value === null ? null : clamp(Math.round(value), 0, top)));
}

/** The distance between a guess and what was measured, in words. */
function distance(guess, truth, labels, unit) {
  const both = labels.map((_, place) => place).filter((place) => guess[place] !== null && truth[place] !== null);
  if (!both.length) return "You have not drawn a curve yet, so there is nothing to compare.";
  const apart = (place) => Math.abs(guess[place] - truth[place]);
  const mean = both.reduce((sum, place) => sum + apart(place), 0) / both.length;
  const worst = both.reduce((one, other) => (apart(other) > apart(one) ? other : one));
  const high = both.filter((place) => guess[place] - truth[place] >= 0.5).length;
  const low = both.filter((place) => truth[place] - guess[place] >= 0.5).length;
  const where = [high && `too high in ${high}`, low && `too low in ${low}`].filter(Boolean).join(" and ");
  return (
    `Your curve lies ${plainNumber(mean)} ${unit} from the measured one on average` +
    (where ? `, ${where} of ${both.length} places. ` : ". ") +
    `Farthest apart, at ${labels[worst]}: you drew ${plainNumber(guess[worst])}, measured is ${plainNumber(truth[worst])}.`
  );
}

/** What was kept, if it is a guess for these axes. */
function asGuess(kept, count, top) {
  const fits = (value) => value === null || (typeof value === "number" && value >= 0 && value <= top);
  return Array.isArray(kept) && kept.length === count && kept.every(fits) ? kept : Array(count).fill(null);
}

/** An SVG path through the points that there are, broken at gaps. */
function path(values, x, y) {
  let pen = "M";
  return values
    .map((value, place) => {
      if (value === null) return (pen = "M"), "";
      const piece = `${pen}${x(place).toFixed(1)} ${y(value).toFixed(1)}`;
      pen = "L";
      return piece;
    })
    .join("");
}

/** The marker of a curve: the first given one is round, the measured one square. */
function marker(kind, x, y) {
  if (kind === "truth") return shape("rect", { x: x - 4.5, y: y - 4.5, width: 9, height: 9 });
  return shape("circle", { cx: x, cy: y, r: 4.5 });
}

function render({ model, el }) {
  const [labels, top, unit] = ["labels", "top", "unit"].map((name) => model.get(name));
  const [given, truth] = [model.get("given"), model.get("truth")];
  const count = labels.length;
  const store = memory(`course:curve:${model.get("key")}`);
  let guess = asGuess(store.read(), count, top);
  let shown = false;
  let kept = true;
  let pen = null;
  let scale = null;

  const chart = shape("svg", { role: "group", "aria-label": model.get("title"), class: "chart" });
  const legend = element("ul", { class: "legend" });
  const words = element("p", { class: "words", "aria-live": "polite" });
  const reveal = button("", () => ((shown = !shown), layout()));
  const reset = button("Start again", () => change(Array(count).fill(null), true));
  const buttons = element("div", { class: "buttons" }, reset);
  if (truth.length) buttons.prepend(reveal);
  const table = element("table");
  const numbers = element("details", {}, element("summary", { text: "All of it as numbers" }), table);
  const root = element(
    "section",
    { class: "course-widget draw-curve", "aria-label": model.get("title") },
    element("p", { class: "title", text: model.get("title") }),
    element("p", { class: "hint", text: "Draw with a finger or the mouse. With the keyboard: Tab to the chart, ← → choose a place, ↑ ↓ raise and lower it." }),
    legend, chart, words, buttons, numbers,
  );
  const [handles, inputs] = [[], []];
  const line = shape("path", { class: "line guess" });

  function change(next, done) {
    guess = next;
    kept = guess.some((value) => value !== null) ? store.write(guess) : (store.forget(), kept);
    place(done);
  }

  function set(at, value, done) {
    change(guess.map((old, place) => (place === at ? value : old)), done);
  }

  /** Moves what the reader draws to where it is now; only a finished stroke is put into words. */
  function place(done) {
    const { x, y } = scale;
    line.setAttribute("d", path(guess, x, y));
    handles.forEach((handle, at) => {
      const drawn = guess[at] !== null;
      const value = drawn ? guess[at] : Math.round(top / 2);
      handle.setAttribute("transform", `translate(${x(at)} ${y(value)})`);
      handle.setAttribute("class", drawn ? "handle" : "handle open");
      handle.setAttribute("aria-valuenow", value);
      handle.setAttribute("aria-valuetext", drawn ? `${value} ${unit}` : "not drawn yet");
      if (inputs[at] !== document.activeElement || !done) inputs[at].value = drawn ? guess[at] : "";
    });
    if (!done) return;
    const number = guess.filter((value) => value !== null).length;
    const keeping = kept ? "It stays in this browser." : "This browser keeps nothing, so it lasts until you leave the page.";
    const state = number < count ? `${number} of ${count} points drawn.` : `Your curve is complete. ${keeping}`;
    words.textContent = shown ? distance(guess, truth[0].values, labels, unit) : state;
  }

  function step(event, at) {
    const now = guess[at] ?? Math.round(top / 2);
    const far = Math.max(1, Math.round(top / 8));
    const values = { ArrowUp: now + 1, ArrowDown: now - 1, PageUp: now + far, PageDown: now - far, Home: 0, End: top };
    if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
      handles[clamp(at + (event.key === "ArrowRight" ? 1 : -1), 0, count - 1)].focus();
    } else if (event.key === "Delete" || event.key === "Backspace") set(at, null, true);
    else if (event.key === "Enter" || event.key === " ") set(at, now, true);
    else if (event.key in values) set(at, clamp(values[event.key], 0, top), true);
    else return;
    event.preventDefault();
  }

  function spot(event) {
    const box = chart.getBoundingClientRect();
    const { left, band, bottom, height, width, tall } = scale;
    // Where the page is enlarged, a pixel of the screen is less than a unit of the drawing.
    const x = ((event.clientX - box.left) * width) / (box.width || width);
    const y = ((event.clientY - box.top) * tall) / (box.height || tall);
    return {
      at: clamp((x - left) / band - 0.5, 0, count - 1),
      value: clamp(((bottom - y) / height) * top, 0, top),
    };
  }

  const press = (event) => {
    if (event.button) return;
    event.preventDefault();
    chart.setPointerCapture(event.pointerId);
    pen = spot(event);
    change(stroke(guess, pen, pen, top));
  };
  const move = (event) => {
    if (!pen) return;
    const next = spot(event);
    change(stroke(guess, pen, next, top));
    pen = next;
  };
  const lift = () => {
    if (pen) place(true);
    pen = null;
  };

  /** One curve that is not the reader's: band, line, points. */
  function curve(kind, one) {
    const { x, y } = scale;
    const group = shape("g", { class: kind, "aria-hidden": "true" });
    if (one.low) {
      const there = one.low.map((_, at) => at).filter((at) => one.low[at] !== null && one.high[at] !== null);
      const edge = (values, places) => places.map((at) => `${x(at).toFixed(1)},${y(values[at]).toFixed(1)}`);
      group.append(shape("polygon", { class: "band", points: [...edge(one.high, there), ...edge(one.low, there.reverse())].join(" ") }));
    }
    group.append(shape("path", { class: "line", d: path(one.values, x, y) }));
    one.values.forEach((value, at) => value !== null && group.append(marker(kind, x(at), y(value))));
    return group;
  }

  function axes() {
    const { left, right, x, y, bottom } = scale;
    const group = shape("g", { class: scale.band < 52 ? "axes tight" : "axes", "aria-hidden": "true" });
    const every = [1, 2, 5, 10, 20, 25, 50, 100].find((size) => top / size <= 5) ?? top;
    for (let value = 0; value <= top; value += every) {
      group.append(shape("line", { x1: left, x2: right, y1: y(value), y2: y(value) }));
      group.append(shape("text", { x: left - 8, y: y(value) + 4, "text-anchor": "end", text: value }));
    }
    labels.forEach((label, at) => group.append(shape("text", { x: x(at), y: bottom + 20, "text-anchor": "middle", text: label })));
    group.append(shape("text", { x: (left + right) / 2, y: bottom + 42, "text-anchor": "middle", text: model.get("xlabel") }));
    group.append(shape("text", { x: 2, y: 14, text: model.get("ylabel") }));
    return group;
  }

  function key() {
    const sample = (kind, label) => {
      const drawing = shape("svg", { width: 34, height: 14, "aria-hidden": "true", class: kind }, shape("path", { class: `line ${kind}`, d: "M1 7L33 7" }));
      if (kind === "guess") drawing.append(shape("circle", { cx: 17, cy: 7, r: 5.5, class: "dot" }));
      else drawing.append(marker(kind, 17, 7));
      return element("li", {}, drawing, element("span", { text: label }));
    };
    const curves = [...given.map((one) => ["given", one.label]), ...(shown ? truth.map((one) => ["truth", one.label]) : [])];
    legend.replaceChildren(...curves.map(([kind, label]) => sample(kind, label)), sample("guess", "your guess"));
  }

  function rows() {
    const measured = [...given, ...(shown ? truth : [])];
    const heads = [model.get("xlabel"), ...measured.map((one) => one.label), "your guess"];
    const body = labels.map((label, at) => {
      const cells = measured.map((one) => element("td", { text: one.values[at] === null ? "–" : one.values[at].toFixed(1) }));
      return element("tr", {}, element("th", { scope: "row", text: label }), ...cells, element("td", {}, inputs[at]));
    });
    table.replaceChildren(
      element("thead", {}, element("tr", {}, ...heads.map((text) => element("th", { scope: "col", text })))),
      element("tbody", {}, ...body),
    );
  }

  function layout() {
    const width = clamp(chart.clientWidth || 640, 240, 760);
    const tall = Math.round(clamp(width * 0.55, 280, 360));
    const [left, right, ceiling, bottom] = [36, width - 6, 30, tall - 52];
    const band = (right - left) / count;
    const height = bottom - ceiling;
    scale = { left, right, bottom, band, height, width, tall, x: (at) => left + band * (at + 0.5), y: (value) => bottom - (value / top) * height };
    const focused = handles.indexOf(document.activeElement);
    chart.setAttribute("height", tall);
    chart.setAttribute("viewBox", `0 0 ${width} ${tall}`);
    const others = [...given.map((one) => curve("given", one)), ...(shown ? truth.map((one) => curve("truth", one)) : [])];
    chart.replaceChildren(axes(), ...others, line, ...handles);
    if (focused >= 0) handles[focused].focus();
    reveal.textContent = shown ? "Hide the measured curve" : "Show the measured curve";
    key();
    rows();
    place(true);
  }

  labels.forEach((label, at) => {
    const handle = shape("g", { role: "slider", tabindex: 0, "aria-orientation": "vertical", "aria-valuemin": 0, "aria-valuemax": top, "aria-label": `your guess at ${label}` });
    handle.append(shape("circle", { r: 14, class: "ring" }), shape("circle", { r: 6.5, class: "dot" }));
    handle.addEventListener("keydown", (event) => step(event, at));
    handles.push(handle);
    const typed = (event) => {
      const value = event.target.value === "" ? null : Math.round(Number(event.target.value));
      set(at, value === null || Number.isNaN(value) ? null : clamp(value, 0, top), true);
    };
    inputs.push(element("input", { type: "number", min: 0, max: top, step: 1, "aria-label": `your guess at ${label}, ${unit}`, change: typed }));
  });
  chart.addEventListener("pointerdown", press);
  chart.addEventListener("pointermove", move);
  chart.addEventListener("pointerup", lift);
  chart.addEventListener("pointercancel", lift);
  const unwatch = store.watch(() => {
    guess = asGuess(store.read(), count, top);
    place(true);
  });
  el.append(root);
  layout();
  let before = chart.clientWidth;
  const watcher = new ResizeObserver(() => {
    if (chart.clientWidth !== before) {
      before = chart.clientWidth;
      layout();
    }
  });
  watcher.observe(chart);
  return () => {
    watcher.disconnect();
    unwatch();
    root.remove();
  };
}

export default { render };

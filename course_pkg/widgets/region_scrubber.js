import { alphaColour, announcer, argmax, asPng, asSvg, button, checkbox, clamp, download, element, entropy, freshId, fromAddress, nextPlace, shape, stepper, toAddress, tokenLine, twoDigits, wheel } from "./parts.js";

const UNITS = 100000; // as region_state.py, of one
const CODE = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const ALIKE = 1.05;
const PLACES = [["upper left", "top", "upper right"], ["left", "centre", "right"], ["lower left", "bottom", "lower right"]];
const SIGMA = 20 / 224; // as region_pictures.py, of each side
const VEIL = 0.8;
const GLOW = 0.25; // in dark pictures
const FINE = 224; // pixels of the veil's longer side, at least
const [CASING, PEAK, GOLD, SPOT] = ["#fff", "#20242c", "#d1451b", "#a8480a"]; // as region_scrubber.css

const threeDigits = (value) => (Math.round(value * 1000) / 1000).toFixed(3);
const number = (text, place) => CODE.indexOf(text[place]) * CODE.length + CODE.indexOf(text[place + 1]);
/** Whether the peak is none. */
const isAlike = (row, peak) => row[peak] * row.length < ALIKE * row.reduce((sum, value) => sum + value, 0);
const largest = (values) => values.reduce((most, value) => Math.max(most, value), 0);

/** The words of one step and one region, likeliest first, and their shares. */
function steered(steer, step, region) {
  return Array.from({ length: steer.top }, (_, rank) => {
    const place = 2 * (region * steer.top + rank);
    return { word: steer.words[number(steer.picks[step], place)], share: number(steer.shares[step], place) / (CODE.length ** 2 - 1) };
  });
}

/** Red, green, blue and opacity of the veil for each of 256 lights: dark below, a glow above in a dark picture; or colours. */
function veilOf(colours, isDark) {
  return Array.from({ length: 256 }, (_, level) => {
    const light = level / 255;
    if (colours) return [...alphaColour(light).match(/\d+/g).map(Number), 184];
    const glow = isDark ? GLOW * light : 0;
    const opacity = 1 - (1 - VEIL * (1 - light)) * (1 - glow);
    const grey = opacity ? (255 * glow) / opacity : 0;
    return [grey, grey, grey, 255 * opacity].map(Math.round);
  });
}

/** In which ninth of the picture the middle of a region lies. */
function placeOf(region, [rows, columns], view) {
  const x = view[0] + ((view[2] - view[0]) * ((region % columns) + 0.5)) / columns;
  const y = view[1] + ((view[3] - view[1]) * (Math.floor(region / columns) + 0.5)) / rows;
  return PLACES[Math.min(2, Math.floor(3 * y))][Math.min(2, Math.floor(3 * x))];
}

/** One axis of the enlargement: for each pixel the share of each cell; a step, or smooth as in region_pictures.py. */
function spread(cells, pixels, smooth) {
  const linear = Array.from({ length: pixels }, (_, pixel) => {
    const row = new Array(cells).fill(0);
    const place = ((pixel + 0.5) * cells) / pixels - 0.5;
    const low = Math.floor(place);
    if (!smooth) row[Math.round(place)] = 1;
    else for (const [cell, share] of [[low, low + 1 - place], [low + 1, place - low]]) row[clamp(cell, 0, cells - 1)] += share;
    return row;
  });
  if (!smooth) return linear;
  const reach = Math.floor(4 * SIGMA * pixels + 0.5);
  const bell = Array.from({ length: 2 * reach + 1 }, (_, place) => Math.exp(-0.5 * ((place - reach) / (SIGMA * pixels)) ** 2));
  const total = bell.reduce((sum, value) => sum + value, 0);
  return linear.map((_, pixel) => {
    const row = new Array(cells).fill(0);
    bell.forEach((value, place) => {
      const turned = (pixel + place - reach + 4 * pixels) % (2 * pixels);
      const seen = linear[turned < pixels ? turned : 2 * pixels - 1 - turned];
      for (let cell = 0; cell < cells; cell += 1) row[cell] += (value / total) * seen[cell];
    });
    return row;
  });
}

/** α of one word as a field, row by row of pixels: `down` and `across` are what `spread` made of each axis. */
function enlarged(weights, down, across) {
  const [rows, columns, width] = [down[0].length, across[0].length, across.length];
  const wide = Array.from({ length: rows }, (_, row) => across.map((shares) => shares.reduce((sum, share, column) => sum + share * weights[row * columns + column], 0)));
  const field = new Float64Array(down.length * width);
  down.forEach((shares, y) => shares.forEach((share, row) => {
    if (share) for (let x = 0; x < width; x += 1) field[y * width + x] += share * wide[row][x];
  }));
  return field;
}

/** Straight lines in shares of a rectangle, as a path on it. */
const trace = (lines, x, y, w, h) => lines.map(([x0, y0, x1, y1]) => `M${x + x0 * w},${y + y0 * h}L${x + x1 * w},${y + y1 * h}`).join("");

const around = ([x0, y0, x1, y1]) => [[x0, y0, x1, y0], [x1, y0, x1, y1], [x1, y1, x0, y1], [x0, y1, x0, y0]];

/** The corners of a region in shares of the picture. */
function cornersOf(region, [rows, columns], view) {
  const [row, column] = [Math.floor(region / columns), region % columns];
  const x = (at) => view[0] + ((view[2] - view[0]) * at) / columns;
  const y = (at) => view[1] + ((view[3] - view[1]) * at) / rows;
  return [x(column), y(row), x(column + 1), y(row + 1)];
}

/** What the model did not see, hatched. */
function outside({ size: [width, height], view: [left, top, right, bottom] }) {
  const id = freshId("hatch");
  const pattern = shape("pattern", { id, width: 8, height: 8, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" });
  pattern.append(shape("rect", { width: 8, height: 8, fill: "#000", "fill-opacity": 0.7 }), shape("rect", { width: 2, height: 8, fill: "#fff", "fill-opacity": 0.35 }));
  const hole = `M${left * width},${top * height}H${right * width}V${bottom * height}H${left * width}Z`;
  return [pattern, shape("path", { "fill-rule": "evenodd", fill: `url(#${id})`, d: `M0,0H${width}V${height}H0Z${hole}` })];
}

/** Two lines, one on the other, that stand out on any picture. */
function cased(kind) {
  const lines = [`region-casing ${kind}-casing`, kind].map((name) => shape("path", { class: name, "vector-effect": "non-scaling-stroke" }));
  return { lines, set: (path) => lines.forEach((line) => line.setAttribute("d", path)) };
}

/** One model's half of the page: its caption, and the picture below the veil. */
function panel(view, shared, hands, beside) {
  const { grid, target, gate, gold } = view;
  const [rows, columns] = grid;
  const alphas = view.weights.map((row) => row.map((units) => units / UNITS));
  const line = tokenLine(hands.many ? `Caption: ${view.name}` : "Caption", { onChoose: (index) => hands.step(index), onHover: (index) => index !== null && hands.step(index) });
  line.fill(target);
  if (gate.length) line.buttons.forEach((one, place) => {
    const bar = element("span", { class: "region-gate", "aria-hidden": "true" });
    bar.style.setProperty("--share", gate[place]);
    one.append(element("small", { text: `β ${twoDigits(gate[place])}` }), bar);
  });
  const photo = element("img", { class: "region-photo", src: shared.image.startsWith("data:image/") ? shared.image : "", width: shared.size[0], height: shared.size[1], draggable: "false" });
  const cell = Math.max(4, Math.ceil(FINE / Math.max(rows, columns)));
  const veil = element("canvas", { class: "region-veil", width: columns * cell, height: rows * cell, "aria-hidden": "true" });
  const [left, top, right, bottom] = shared.view;
  Object.assign(veil.style, { left: `${100 * left}%`, top: `${100 * top}%`, width: `${100 * (right - left)}%`, height: `${100 * (bottom - top)}%` });
  const marks = { gold: cased("region-gold"), peak: cased("region-peak"), spot: cased("region-spot") };
  const isWhole = String(shared.view) === "0,0,1,1";
  const drawn = shape("svg", { class: "region-marks", viewBox: `0 0 ${shared.size.join(" ")}`, "aria-hidden": "true" });
  if (!isWhole) drawn.append(...outside(shared));
  drawn.append(...Object.values(marks).flatMap(({ lines }) => lines));
  const stage = element(
    "div",
    { class: "region-stage", role: "application", tabindex: 0, "aria-label": `${hands.many ? `${view.name}: the` : "The"} picture, ${rows} by ${columns} regions. Arrow keys move a spot over it, Escape takes it away.` },
    photo, veil, drawn,
  );
  stage.style.setProperty("--ratio", shared.size[0] / shared.size[1]);
  const said = element("p", { class: "region-said" });
  const numbers = element("dl", { class: "region-numbers" });
  const most = element("span");
  const scale = element("p", { class: "course-note region-key" }, "α = 0 ", element("span", { class: "region-scale", role: "img", "aria-label": "scale of α" }), most);
  const axes = [true, false].map((smooth) => [spread(rows, rows * cell, smooth), spread(columns, columns * cell, smooth)]);
  const veils = [false, true].map((colours) => new Uint32Array(new Uint8Array(veilOf(colours, shared.dark).flat()).buffer));
  const measured = (field) => ({ field, top: largest(field) });
  const kept = new Map();
  let here = 0;

  /** A word's field, made once. */
  function fieldOf(step, blocks) {
    const key = `${step} ${blocks}`;
    if (!kept.has(key)) {
      kept.set(key, measured(enlarged(alphas[step], ...axes[Number(blocks)])));
    }
    return kept.get(key);
  }

  /** α of the step, or, where the gaze is turned, all of it on one region. */
  function paint(step, look, turned) {
    const blank = alphas[step].map((_, region) => Number(region === turned));
    const { field, top: own } = turned === null ? fieldOf(step, look.blocks) : measured(enlarged(blank, ...axes[Number(look.blocks)]));
    const full = look.common && turned === null ? largest(target.map((_, place) => fieldOf(place, look.blocks).top)) : own;
    const context = veil.getContext("2d");
    const pixels = context.createImageData(veil.width, veil.height);
    const [lights, dots] = [veils[Number(look.colours)], new Uint32Array(pixels.data.buffer)];
    for (let place = 0; place < dots.length; place += 1) dots[place] = lights[Math.round((255 * field[place]) / full)];
    context.putImageData(pixels, 0, 0);
    const note = `${look.blocks ? "" : ", smoothed"}${look.common ? ", the most of all words" : ""}`;
    most.textContent = turned === null ? `α = ${threeDigits(full)}${note}` : "the turned gaze: α = 1";
  }

  /** The step, the spot (a region or null) and the word that a turned gaze writes; returns what is to be said. */
  function show(step, look, spot, instead) {
    here = Math.min(step, target.length - 1);
    const row = alphas[here];
    const peak = argmax(row);
    paint(here, look, instead === null ? null : spot);
    line.choose(here);
    line.buttons.forEach((one, place) => {
      const word = place === here && instead ? instead : target[place];
      if (one.firstChild.textContent !== word) one.firstChild.textContent = word;
      one.classList.toggle("is-steered", place === here && Boolean(instead) && instead !== target[place]);
    });
    const isFlat = isAlike(row, peak);
    const onPicture = (lines) => trace(lines, 0, 0, ...shared.size);
    marks.peak.set(isFlat ? "" : onPicture(around(cornersOf(peak, grid, shared.view))));
    marks.spot.set(spot === null ? "" : onPicture(around(cornersOf(spot, grid, shared.view))));
    marks.gold.set(gold[here] ? onPicture(gold[here].lines) : "");
    const place = isFlat ? "everywhere alike" : `most at the ${placeOf(peak, grid, shared.view)}`;
    said.textContent = `${target[here]} looks ${place}.`;
    const told = [
      ["α there", `${threeDigits(row[peak])}, on average ${threeDigits(1 / row.length)}`],
      ...(gold.some(Boolean) ? [["α inside gold", gold[here] ? `${threeDigits(gold[here].inside)}, of the view ${threeDigits(gold[here].area)}` : "–"]] : []),
      ...(gate.length ? [["gate", `β = ${twoDigits(gate[here])}`]] : []),
      ["entropy", `${twoDigits(entropy(row))} of at most ${twoDigits(Math.log(row.length))} nats`],
      ["at the spot", spot === null ? "–" : `${threeDigits(row[spot])} (row ${Math.floor(spot / columns) + 1}, column ${(spot % columns) + 1})`],
    ];
    numbers.replaceChildren(...told.flatMap(([name, text]) => [element("dt", { text: name }), element("dd", { text })]));
    photo.alt = `${shared.alt ? `${shared.alt} ` : ""}In full light what ${target[here]} looks at: ${isFlat ? "everything alike" : `most of all the ${placeOf(peak, grid, shared.view)}`}.`;
    return `${said.textContent} ${told.filter(([, text]) => text !== "–").map(([name, text]) => `${name}: ${text}`).join("; ")}.`;
  }

  function regionAt(event) {
    const box = stage.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width - left) / (right - left);
    const y = ((event.clientY - box.top) / box.height - top) / (bottom - top);
    return x < 0 || x >= 1 || y < 0 || y >= 1 ? null : Math.floor(y * rows) * columns + Math.floor(x * columns);
  }
  const spotOf = (region) => region === null ? null : [((region % columns) + 0.5) / columns, (Math.floor(region / columns) + 0.5) / rows];
  let pulled = null;
  stage.addEventListener("pointerdown", (event) => { pulled = event.isPrimary ? { from: regionAt(event), moved: false } : null; });
  stage.addEventListener("pointermove", (event) => {
    const region = regionAt(event);
    if (event.buttons && pulled && region !== null && (pulled.moved || region !== pulled.from)) {
      pulled.moved = true;
      hands.gaze(spotOf(region), true);
    } else if (event.pointerType === "mouse" && !event.buttons) hands.hover(spotOf(region));
  });
  stage.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && hands.hover(null));
  stage.addEventListener("click", (event) => {
    const region = regionAt(event);
    if (region !== null && !pulled?.moved) hands.gaze(spotOf(region), false);
    pulled = null;
  });
  stage.addEventListener("keydown", (event) => {
    const from = hands.spot() === null ? argmax(alphas[here]) : api.region(hands.spot());
    const isDown = event.key === "ArrowUp" || event.key === "ArrowDown";
    if (event.key === "Home" || event.key === "End") return;
    const [at, count] = isDown ? [Math.floor(from / columns), rows] : [from % columns, columns];
    const next = nextPlace(event, at, count);
    if (next === null) return;
    event.preventDefault();
    event.stopPropagation();
    hands.gaze(spotOf(from + (next - at) * (isDown ? columns : 1)), true);
  });
  const title = hands.many ? [element("p", { class: "course-name", text: view.name })] : [];
  const api = {
    node: element("section", { class: "region-panel" }, ...title, line.node, element("div", { class: "region-body" }, element("div", { class: "region-figure" }, stage, scale), element("div", { class: "region-side" }, said, numbers, ...beside))),
    show,
    region: (spot) => spot && clamp(Math.floor(spot[1] * rows), 0, rows - 1) * columns + clamp(Math.floor(spot[0] * columns), 0, columns - 1),
    drawing: () => ({ name: view.name, target, gate, photo, veil, step: here, peak: argmax(alphas[here]), grid, gold: gold[here], most: most.textContent }),
  };
  return api;
}

/** Words in lines no wider than `width`: `{ text, place, x, line }`, as `measure` says how wide each is. */
function wrapped(words, width, gap, measure) {
  let [x, row] = [0, 0];
  return words.map((text, place) => {
    const wide = measure(text);
    if (x > 0 && x + wide > width) [x, row] = [0, row + 1];
    const found = { text, place, x, line: row, wide };
    x += wide + gap;
    return found;
  });
}

function render({ model, el }) {
  const [views, steer, key] = ["views", "steer", "key"].map((name) => model.get(name));
  const shared = Object.fromEntries(["image", "size", "view", "alt", "dark"].map((name) => [name, model.get(name)]));
  const steers = Boolean(steer.words);
  const count = Math.max(...views.map(({ target }) => target.length));
  const at = { step: 0, pinned: null, passing: null };
  const look = { blocks: false, colours: false, common: false };
  const hands = {
    many: views.length > 1,
    spot: () => at.passing ?? at.pinned,
    step(step) {
      steps.stop();
      go(step);
    },
    gaze(spot, held) {
      at.passing = null;
      at.pinned = !held && String(spot) === String(at.pinned) ? null : spot;
      show();
    },
    hover(spot) {
      if (String(spot) === String(at.passing)) return;
      at.passing = spot;
      show();
    },
  };
  const turn = steers ? wheel(() => hands.gaze(null, true)) : null;
  const panels = views.map((view, place) => panel(view, shared, hands, turn && !hands.many ? [turn.node] : []));
  const steps = stepper("Step", count, go);
  const live = announcer();
  const link = element("a", { text: "Link to this step", href: "#" });
  const choice = (text, name) => checkbox(text, look[name], (on) => { look[name] = on; root.classList.toggle(`is-${name}`, on); show(); }).node;
  const boxes = [choice("blocks", "blocks"), choice("colours", "colours"), choice("one scale for all words", "common")];
  if (views.some(({ gold }) => gold.some(Boolean))) boxes.push(checkbox("gold regions", true, (on) => root.classList.toggle("hides-gold", !on)).node);
  const whole = () => Promise.all(panels.map((one) => one.drawing().photo.decode()));
  const saves = [
    button("Save SVG", () => whole().then(() => download(`${key}.svg`, asSvg(...picture()), "image/svg+xml"))),
    button("Save PNG", () => whole().then(() => asPng(...picture())).then((blob) => download(`${key}.png`, blob))),
  ];
  const title = model.get("title");
  const root = element(
    "div",
    { class: "course-widget region-scrubber", role: "group", "aria-label": title || "Region scrubber", keydown: onKey },
    ...(title ? [element("p", { class: "region-title", text: title })] : []),
    steps.node,
    element("div", { class: "region-panels" }, ...panels.map((one) => one.node)),
    ...(turn && hands.many ? [turn.node] : []),
    element("div", { class: "course-row" }, ...boxes),
    element("div", { class: "course-row" }, ...saves, link),
    live.node,
  );

  function go(step) {
    at.step = clamp(step, 0, count - 1);
    show();
    keep();
  }

  /** Python, where there is one, sees the step. */
  function keep() {
    if (model.get("step") === at.step) return;
    model.set("step", at.step);
    model.save_changes();
  }

  function show() {
    const spot = hands.spot();
    const first = panels[0].region(spot);
    const isThere = at.step < views[0].target.length; // the other caption may be longer
    const words = steers && spot && isThere ? steered(steer, at.step, first) : [];
    const told = panels.map((one, place) => {
      const text = one.show(at.step, look, one.region(spot), place === 0 && words.length ? words[0].word : null);
      return (hands.many ? `${views[place].name}: ` : "") + text;
    });
    if (turn) told.unshift(steering(words, first));
    const text = `${at.step + 1} of ${count}`;
    steps.set(at.step, text);
    live.say(`Step ${text}. ${told.join(" ")}`);
    root.dataset.step = at.step;
    link.href = toAddress(key, at.pinned ? `${at.step}.${panels[0].region(at.pinned)}` : at.step);
  }

  /** Until the reader turns it, the gaze rests: the words are those of the peak alone. */
  function steering(words, region) {
    const { target, grid } = views[0];
    const step = Math.min(at.step, target.length - 1);
    const [own, peak] = [target[step], argmax(views[0].weights[step])];
    const [it, gaze] = hands.many ? [views[0].name, `the gaze of ${views[0].name}`] : ["it", "the gaze"];
    const ask = `Turn ${gaze}: tap a place in the picture, or move there with the arrow keys.`;
    const answer = words.length && `Looking at this region alone (${placeOf(region, grid, shared.view)}), ${it} writes ${words[0].word}${words[0].word === own ? " all the same" : ` instead of ${own}`}.`;
    const rests = !isAlike(views[0].weights[step], peak);
    const note = words.length ? "The likeliest words then:" : rests ? `It looks most at the framed region (${placeOf(peak, grid, shared.view)}). From there alone it would write:` : "";
    turn.show(answer || ask, words.length ? words : rests ? steered(steer, step, peak) : [], own, { note, turned: words.length > 0 });
    return words.length ? `${answer} ${words.map(({ word, share }) => `${word} ${twoDigits(share)}`).join(", ")}.` : "";
  }

  function onKey(event) {
    const { target } = event;
    const isBar = target.type === "range";
    if (event.key === " " && (isBar || !target.closest("button, a, input, summary"))) {
      event.preventDefault();
      return steps.toggle();
    }
    if (event.key === "Escape") return hands.gaze(null, true);
    if (isBar || target.type === "checkbox") return;
    const next = nextPlace(event, at.step, count);
    if (next === null) return;
    event.preventDefault();
    hands.step(next);
  }

  /** Every panel side by side, as they stand: width, height and what to draw. */
  function picture() {
    const [wide, gap, size] = [480, 24, 15];
    const high = (wide * shared.size[1]) / shared.size[0];
    const ruler = element("canvas").getContext("2d");
    ruler.font = `600 ${size}px sans-serif`;
    const plans = panels.map((one) => {
      const plan = one.drawing();
      const words = wrapped(plan.target.map((word, place) => (plan.gate.length ? `${word} (${twoDigits(plan.gate[place])})` : word)), wide, 8, (text) => ruler.measureText(text).width);
      return { ...plan, words };
    });
    const head = hands.many ? 28 : 0;
    const lines = Math.max(...plans.map(({ words }) => words.at(-1).line + 1));
    const [width, height] = [gap + plans.length * (wide + gap), gap + head + high + 22 * lines + 46];
    const withGold = !root.classList.contains("hides-gold");
    const draw = (pen) => {
      pen.rect(0, 0, width, height, "#fdfcf9");
      plans.forEach((plan, place) => {
        const [x, y] = [gap + place * (wide + gap), gap + head];
        const [x0, y0, x1, y1] = shared.view;
        const on = (mark, stroke) => [[CASING, 5], [stroke, 2.5]].forEach(([colour, thick]) => pen.path(trace(mark, x, y, wide, high), colour, thick));
        if (hands.many) pen.text(x, y - 10, plan.name, { size: 16 });
        pen.image(plan.photo, x, y, wide, high);
        pen.image(plan.veil, x + x0 * wide, y + y0 * high, (x1 - x0) * wide, (y1 - y0) * high);
        for (const [l, t, r, b] of [[0, 0, 1, y0], [0, y1, 1, 1], [0, y0, x0, y1], [x1, y0, 1, y1]]) if (r > l && b > t) pen.rect(x + l * wide, y + t * high, (r - l) * wide, (b - t) * high, "rgba(0, 0, 0, 0.7)");
        on(around(cornersOf(plan.peak, plan.grid, shared.view)), PEAK);
        if (withGold && plan.gold) on(plan.gold.lines, GOLD);
        const spot = panels[place].region(hands.spot());
        if (spot !== null) on(around(cornersOf(spot, plan.grid, shared.view)), SPOT);
        plan.words.forEach((word) => pen.text(x + word.x, y + high + 24 + 22 * word.line, word.text, word.place === plan.step ? { size, weight: 600, fill: SPOT } : { size }));
        pen.text(x, y + high + 24 + 22 * lines, `${look.colours ? "Dark" : "Full light"}: ${plan.most}. Framed: the peak${withGold && plan.gold ? "; red: the gold region" : ""}.${plan.gate.length ? " In brackets: β." : ""}`, { size: 12, fill: "#59606d" });
      });
    };
    return [Math.ceil(width), Math.ceil(height), draw];
  }

  function recall() {
    const [step, region] = (fromAddress(key) ?? "").split(".").map(Number);
    if (!Number.isInteger(step) || !fromAddress(key)) return;
    const [rows, columns] = views[0].grid;
    at.step = clamp(step, 0, count - 1);
    at.pinned = region >= 0 && region < rows * columns ? [((region % columns) + 0.5) / columns, (Math.floor(region / columns) + 0.5) / rows] : null;
    show();
    keep();
    root.scrollIntoView({ block: "nearest" });
  }
  const fromPython = () => {
    if (model.get("step") === at.step) return;
    at.step = clamp(model.get("step"), 0, count - 1);
    show();
  };

  el.append(root);
  at.step = clamp(model.get("step"), 0, count - 1);
  show();
  recall();
  model.on("change:step", fromPython);
  window.addEventListener("hashchange", recall);
  return () => {
    steps.stop();
    live.stop();
    model.off("change:step", fromPython);
    window.removeEventListener("hashchange", recall);
    root.remove();
  };
}

export default { render };

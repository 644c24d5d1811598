import { alphaColour, announcer, argmax, asPng, asSvg, button, checkbox, clamp, download, element, entropy, fromAddress, inkOn, nextPlace, onEither, slider, stepper, toAddress, tokenLine, twoDigits, wheel } from "./parts.js";

const NUMBERED = 400; // cells; a larger matrix is colour alone, and on a canvas, to stay quick
const PERCENTS = Array.from({ length: 101 }, (_, percent) => percent / 100);
const SHADES = PERCENTS.map((weight) => onEither("background", (dark) => alphaColour(weight, dark)) + onEither("color", (dark) => inkOn(weight, dark)));
const COLOURS = [false, true].map((dark) => PERCENTS.map((weight) => alphaColour(weight, dark)));

const shortWeight = (p) => (p < 0.005 ? "" : p >= 0.995 ? "1" : twoDigits(p).slice(1));

/** Pieces to words: what each word is made of, in order of first appearance; null (the end) is a word of its own. */
function grouped(words) {
  const found = new Map();
  words.forEach((word, place) => found.set(word, [...(found.get(word) ?? []), place]));
  return [...found].map(([word, places]) => ({ word, places }));
}

const spelt = (tokens, groups) => groups.map(({ places }) => places.map((place) => tokens[place].replace(/^▁/, "")).join(""));

/** α between words: summed over a source word's pieces, averaged over a target word's. */
function folded(weights, rows, columns) {
  return rows.map((row) => columns.map((column) => row.places.reduce((sum, i) => sum + column.places.reduce((part, j) => part + weights[i][j], 0), 0) / row.places.length));
}

/** One model's half of the page: its two lines of tokens and its matrix. */
function panel(view, hands, linked, beside) {
  const target = tokenLine(`Target: ${view.name}`, { onChoose: (index) => hands.step(index), onHover: (index) => hands.hover(null, index) });
  const source = tokenLine(`Source: ${view.name}`, { onChoose: hands.gaze, onHover: (index) => hands.hover(index) });
  const table = element("table", { class: "course-alpha" });
  const canvas = element("canvas", { "aria-hidden": "true", width: 0, height: 0 });
  const ring = element("span", { class: "course-ring", hidden: true });
  const frame = element("div", { class: "course-scroll", tabindex: 0, role: "group", "aria-label": `Attention weights: ${view.name}` }, canvas, table, ring);
  const redraw = () => shown && isLarge() && place();
  const body = element("div", { class: `course-body${beside.length ? " has-steering" : ""}` }, ...beside, frame);
  const fit = () => { body.style.setProperty("--room", `${body.clientWidth}px`); redraw(); };
  const watches = [new ResizeObserver(fit), new MutationObserver(redraw)]; // the other: a page that turns dark or light
  for (const node of [body, table]) watches[0].observe(node);
  for (const node of [document.documentElement, document.body]) watches[1].observe(node, { attributeFilter: ["class", "data-theme", "data-jp-theme-light"] });
  const isLarge = () => shown.source.length * shown.target.length > NUMBERED;
  const said = element("p", { class: "course-said" });
  let shown = null;
  let cells = [];
  let here = null;
  let grid = null; // where the cells of a large matrix lie

  function build(next) {
    shown = next;
    here = null;
    target.fill(shown.target);
    source.fill(shown.source);
    source.buttons.forEach((one) => one.append(element("small", { "aria-hidden": "true", text: " " })));
    const head = element("tr", {}, element("td"), ...shown.source.map((token) => element("th", { scope: "col" }, element("bdi", { text: token }))));
    const large = isLarge();
    cells = large ? [] : shown.target.map((_, i) => shown.source.map((_, j) => ({ percent: -1, isPeak: false, node: element("td", { class: linked(shown, i, j) && "is-gold" }) })));
    const strip = (i) => (large ? [element("td", { colspan: shown.source.length })] : cells[i].map(({ node }) => node));
    const rows = shown.target.map((token, i) => element("tr", {}, element("th", { scope: "row" }, element("bdi", { text: token })), ...strip(i)));
    table.replaceChildren(element("thead", {}, head), element("tbody", {}, ...rows));
    table.classList.toggle("is-small", large);
    canvas.hidden = !large;
    ring.hidden = true;
    body.style.setProperty("--columns", shown.source.length);
    body.style.setProperty("--letters", Math.max(...shown.target.map((token) => token.length)));
  }

  /** Only what changes is touched. */
  function paint(weights) {
    shown.weights = weights;
    if (isLarge()) return place();
    weights.forEach((row, i) => {
      const peak = argmax(row);
      row.forEach((weight, j) => {
        const cell = cells[i][j];
        const percent = Math.round(weight * 100);
        if (cell.percent !== percent) {
          cell.percent = percent;
          cell.node.style.cssText = SHADES[percent];
          cell.node.textContent = shortWeight(weight);
        }
        if (cell.isPeak !== (j === peak)) cell.isPeak = cell.node.classList.toggle("is-peak", j === peak);
      });
    });
  }

  /** The canvas lies below the rows of a large table, one empty cell each: thousands of cells would be slow to lay out. */
  function place() {
    const [first, all] = [table.tBodies[0].rows[0].cells[1].getBoundingClientRect(), table.getBoundingClientRect()];
    if (!first.width) return;
    const [fine, pitch, size] = [window.devicePixelRatio || 1, (first.width + 1) / shown.source.length, first.height];
    const [width, height] = [pitch * shown.source.length, pitch * shown.target.length];
    grid = { left: first.left - all.left, top: first.top - all.top, pitch, size };
    const layout = [grid.left, grid.top, width, height, fine].join();
    if (canvas.dataset.layout !== layout) {
      canvas.dataset.layout = layout;
      [canvas.width, canvas.height] = [width * fine, height * fine];
      Object.assign(canvas.style, { left: `${grid.left}px`, top: `${grid.top}px`, width: `${width}px`, height: `${height}px` });
    }
    const dark = getComputedStyle(frame).colorScheme === "dark";
    const colours = COLOURS[Number(dark)];
    const context = canvas.getContext("2d");
    context.setTransform(fine, 0, 0, fine, 0, 0);
    context.fillStyle = colours[0]; // most of a large matrix; the gaps are cut out below
    context.fillRect(0, 0, width, height);
    shown.weights.forEach((row, i) => {
      const peak = argmax(row);
      row.forEach((weight, j) => {
        const percent = Math.round(weight * 100);
        if (!percent) return;
        context.fillStyle = colours[percent];
        context.fillRect(j * pitch, i * pitch, size, size);
      });
      context.strokeStyle = inkOn(row[peak], dark);
      context.lineWidth = 1.5;
      context.strokeRect(peak * pitch + 2, i * pitch + 2, size - 4, size - 4);
    });
    shown.source.forEach((_, j) => context.clearRect(j * pitch + size, 0, pitch - size, height));
    shown.target.forEach((_, i) => context.clearRect(0, i * pitch + size, width, pitch - size));
    if (!shown.isFirst || !hands.gold()) return;
    Object.assign(context, { strokeStyle: getComputedStyle(frame).getPropertyValue("--gold"), lineWidth: 2 });
    shown.target.forEach((_, i) => shown.source.forEach((_, j) => {
      if (!linked(shown, i, j)) return;
      context.beginPath();
      context.arc(j * pitch + size / 2, i * pitch + size / 2, size / 2 - 3, 0, 7);
      context.stroke();
    }));
  }

  function point(step, column, instead) {
    const rows = table.tBodies[0].rows;
    const weights = shown.weights[step];
    if (here) {
      for (const node of Object.values(here)) node?.classList.remove("is-here");
    }
    const at = column ?? argmax(weights);
    here = { row: rows[step], head: table.tHead.rows[0].cells[at + 1], cell: column !== null && !isLarge() ? cells[step][column].node : null };
    for (const node of Object.values(here)) node?.classList.add("is-here");
    ring.hidden = column === null || !isLarge() || !grid;
    if (!ring.hidden) ring.style.cssText = `left: ${grid.left + column * grid.pitch}px; top: ${grid.top + step * grid.pitch}px; width: ${grid.size}px; height: ${grid.size}px;`;
    target.choose(step);
    target.buttons.forEach((one, place) => {
      const word = place === step && instead ? instead : shown.target[place];
      if (one.firstChild.textContent !== word) one.firstChild.textContent = word;
      one.classList.toggle("is-steered", place === step && Boolean(instead) && instead !== shown.target[place]);
    });
    source.choose(column ?? -1);
    source.buttons.forEach((one, place) => {
      const percent = Math.round(100 * weights[place]);
      if (one.value === String(percent)) return;
      one.value = percent;
      one.style.cssText = SHADES[percent];
      one.lastChild.firstChild.data = twoDigits(weights[place]);
    });
    if (shown.isFirst) source.buttons.forEach((one, place) => {
      one.classList.toggle("is-gold", linked(shown, step, place));
    });
    keepInView();
  }

  /** Scrolls the matrix alone, never the page. */
  function keepInView() {
    const { offsetTop: top, offsetHeight: height } = here.row;
    const [head, side] = [table.tHead.offsetHeight, here.row.cells[0].offsetWidth];
    if (top - head < frame.scrollTop) frame.scrollTop = top - head;
    else if (top + height > frame.scrollTop + frame.clientHeight) frame.scrollTop = top + height - frame.clientHeight;
    const { offsetLeft: left, offsetWidth: width } = here.head;
    if (left - side < frame.scrollLeft) frame.scrollLeft = left - side;
    else if (left + width > frame.scrollLeft + frame.clientWidth) frame.scrollLeft = left + width - frame.clientWidth;
  }

  function cellOf(event) {
    const cell = event.target instanceof Element ? event.target.closest("td, th") : null;
    const row = cell && cell.parentNode.parentNode === table.tBodies[0] ? cell.parentNode.sectionRowIndex : null;
    if (cell && row !== null && cell.cellIndex && isLarge()) return { row, column: clamp(Math.floor((event.clientX - cell.getBoundingClientRect().left) / grid.pitch), 0, shown.source.length - 1) };
    return cell ? { row, column: cell.cellIndex > 0 ? cell.cellIndex - 1 : null } : null;
  }
  frame.addEventListener("click", (event) => {
    const cell = cellOf(event);
    if (!cell) return;
    if (cell.row !== null) hands.step(cell.row);
    if (cell.column !== null) hands.gaze(cell.column, false);
  });
  frame.addEventListener("pointerover", (event) => {
    const cell = event.pointerType === "mouse" ? cellOf(event) : null;
    if (cell && cell.row !== null) hands.hover(cell.column, cell.row);
  });
  frame.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && hands.hover(null));
  const lines = element("div", { class: "course-lines" }, element("span", { text: "source" }), source.node, element("span", { text: "target" }), target.node);
  const title = hands.many ? [element("p", { class: "course-name", text: view.name })] : [];
  return { node: element("section", { class: "course-panel" }, ...title, lines, said, body), build, paint, point, redraw, said, shown: () => shown, stop: () => watches.forEach((one) => one.disconnect()) };
}

function render({ model, el }) {
  const [pieces, views, gold, labels, steer, key] = ["source", "views", "gold", "labels", "steer", "key"].map((name) => model.get(name));
  const columns = grouped(model.get("source_words"));
  const rowsOf = views.map((view) => grouped(view.words));
  const canFold = columns.length < pieces.length || rowsOf.some((rows, place) => rows.length < views[place].target.length);
  const links = new Set(gold.map(([source, target]) => `${source}-${target}`));
  const steers = Boolean(steer.words);
  const at = { step: 0, peek: null, pinned: null, passing: null, moment: Math.max(0, model.get("moment")), folded: false };
  let all = []; // α of each view as shown, one for each moment

  const linked = (shown, i, j) => shown.isFirst && links.has(`${shown.columns[j]}-${shown.rows[i]}`);
  const hands = {
    many: views.length > 1,
    gold: () => !root.classList.contains("hides-gold"),
    step(step) {
      steps.stop();
      at.passing = null;
      go(step);
    },
    gaze(column, held) {
      at.passing = at.peek = null;
      at.pinned = !held && column === at.pinned ? null : column;
      show();
    },
    /** A passing mouse previews a step or a gaze and leaves nothing behind; a gaze that is held stays. */
    hover(column, step = null) {
      const held = steers && at.pinned !== null;
      [at.passing, at.peek] = held ? [null, null] : [column, step];
      show();
    },
  };
  const turn = steers ? wheel(() => { at.pinned = at.passing = at.peek = null; show(); }) : null;
  const panels = views.map((view, place) => panel(view, hands, linked, turn && place === 0 ? [turn.node] : []));
  const steps = stepper("Step", 1, go);
  const live = announcer();
  const epochs = labels.length > 1 ? slider("Epoch", labels.length, (moment) => { at.moment = moment; repaint(); keep(); }) : null;
  const link = element("a", { text: "Link to this step", href: "#" });
  const boxes = [];
  if (gold.length) boxes.push(checkbox("gold links", true, (on) => { root.classList.toggle("hides-gold", !on); panels.forEach((one) => one.redraw()); }).node);
  if (canFold) boxes.push(checkbox("whole words", false, fold).node);
  const saves = [
    button("Save SVG", () => download(`${key}.svg`, asSvg(...picture()), "image/svg+xml")),
    button("Save PNG", () => asPng(...picture()).then((blob) => download(`${key}.png`, blob))),
  ];
  const legend = element("p", { class: "course-note" }, "α = 0 ", element("span", { class: "course-scale", role: "img", "aria-label": "colour scale from light to dark" }), " α = 1", element("span", { class: "course-keys", text: "framed: the peak of a row" + (gold.length ? " · ring: a gold link" : "") }));
  const root = element(
    "div",
    { class: "course-widget course-scrubber", role: "group", "aria-label": "Alignment scrubber", keydown: onKey },
    steps.node,
    ...(epochs ? [epochs.node] : []),
    element("div", { class: `course-panels${views.length > 1 ? " is-beside" : ""}` }, ...panels.map((one) => one.node)),
    legend,
    element("div", { class: "course-row" }, ...boxes, ...saves, link),
    live.node,
  );

  const isLast = () => at.moment >= labels.length - 1; // what steering was computed for
  const count = () => panels[0].shown().target.length;
  const stepOf = (token) => (at.folded ? rowsOf[0].findIndex(({ places }) => places.includes(token)) : token);
  const tokenOf = (step) => (at.folded ? rowsOf[0][step].places[0] : step);

  function rebuild() {
    const sources = at.folded ? spelt(pieces, columns) : pieces;
    all = views.map((view, place) => (at.folded ? view.moments.map((weights) => folded(weights, rowsOf[place], columns)) : view.moments));
    panels.forEach((one, place) => {
      const { target, words } = views[place];
      one.build({
        isFirst: place === 0,
        source: sources,
        target: at.folded ? spelt(target, rowsOf[place]) : target,
        columns: at.folded ? columns.map(({ word }) => word) : model.get("source_words"),
        rows: at.folded ? rowsOf[place].map(({ word }) => word) : words,
      });
    });
    steps.resize(count());
  }

  function repaint() {
    panels.forEach((one, place) => one.paint(all[place][Math.min(at.moment, all[place].length - 1)]));
    if (epochs) epochs.set(at.moment, `${labels[at.moment]}`);
    show();
  }

  function fold(on) {
    const token = tokenOf(at.step);
    steps.stop();
    at.folded = on;
    at.pinned = at.passing = at.peek = null;
    at.step = stepOf(token);
    rebuild();
    repaint();
    keep();
  }

  function go(step) {
    at.step = clamp(step, 0, count() - 1);
    at.peek = null;
    show();
    keep();
  }

  /** Python, where there is one, sees the step and the moment. */
  function keep() {
    if (model.get("step") === tokenOf(at.step) && model.get("moment") === at.moment) return;
    model.set("step", tokenOf(at.step));
    model.set("moment", at.moment);
    model.save_changes();
  }

  const seen = () => at.peek ?? at.step; // a passing mouse shows another step than the chosen one

  function show() {
    const column = at.passing ?? at.pinned;
    const words = wordsAt(column);
    const told = panels.map((one, place) => {
      const { target, source, weights } = one.shown();
      const step = Math.min(seen(), target.length - 1);
      const row = weights[step];
      const peak = argmax(row);
      one.point(step, column, place === 0 && words.length ? words[0].word : null);
      const aside = column === null || column === peak ? "" : `; at ${source[column]} ${twoDigits(row[column])}`;
      one.said.textContent = `${target[step]} looks most at ${source[peak]}, α = ${twoDigits(row[peak])}${aside}. Entropy ${twoDigits(entropy(row))} of at most ${twoDigits(Math.log(row.length))} nats.`;
      return (hands.many ? `${views[place].name}: ` : "") + one.said.textContent;
    });
    if (turn) told.push(steered(column, words));
    const text = `${at.step + 1} of ${count()}`;
    steps.set(at.step, text);
    live.say(`${at.peek === null ? `Step ${text}. ` : ""}${told.join(" ")}`);
    root.dataset.step = at.step;
    link.href = toAddress(key, `${tokenOf(at.step)}.${at.moment}`);
  }

  /** What the model writes at this step with its gaze on one column alone. */
  function wordsAt(column) {
    if (!steers || at.folded || !isLast() || column === null) return [];
    return steer.picks[seen()][column].map((pick, place) => ({ word: steer.words[pick], share: steer.shares[seen()][column][place] }));
  }

  /** Until the reader turns it, the gaze rests on the peak of the row. */
  function steered(column, words) {
    const { target, source, weights } = panels[0].shown();
    const own = target[seen()];
    const peak = argmax(weights[seen()]);
    const resting = wordsAt(peak);
    let text = "Turn the gaze: drag along the source, tap a source word, or press ← and →. Esc lets go.";
    if (at.folded) text = "The gaze turns piece by piece: unfold the words to steer it.";
    if (!isLast()) text = "The gaze can be turned at the last moment of training.";
    if (words.length) text = `Looking at ${source[column]} alone, it writes ${words[0].word}${words[0].word === own ? " all the same" : ` instead of ${own}`}.`;
    const note = words.length ? "The likeliest words then:" : `It looks most at ${source[peak]}. From ${source[peak]} alone it would write:`;
    turn.show(text, words.length ? words : resting, own, { note: resting.length ? note : "", turned: words.length > 0 });
    return words.length ? `${text} ${words.map(({ word, share }) => `${word} ${twoDigits(share)}`).join(", ")}.${at.pinned === null ? "" : " Escape lets go."}` : "";
  }

  function onKey(event) {
    const { target } = event;
    const isBar = target.type === "range";
    if (event.key === " " && (isBar || !target.closest("button, a, input, summary"))) {
      event.preventDefault();
      return steps.toggle();
    }
    if (event.key === "Escape" && turn) return hands.gaze(at.pinned, false);
    if (isBar || target.type === "checkbox") return;
    const sideways = turn && (event.key === "ArrowLeft" || event.key === "ArrowRight");
    const width = panels[0].shown().source.length;
    const peak = argmax(panels[0].shown().weights[at.step]);
    const next = sideways ? nextPlace(event, at.pinned ?? peak, width) : nextPlace(event, at.step, count());
    if (next === null) return;
    event.preventDefault();
    if (sideways) hands.gaze(next, true);
    else hands.step(next);
  }

  /** Every panel side by side, as they stand, on light paper: width, height and what to draw. */
  function picture() {
    const size = 24;
    const longest = (tokens) => 20 + 7.5 * Math.max(...tokens.map((token) => token.length));
    const plans = panels.map((one, place) => ({ ...one.shown(), name: views[place].name, side: longest(one.shown().target), head: longest(one.shown().source) }));
    const width = plans.reduce((sum, { side, source }) => sum + side + source.length * size + 24, 0);
    const height = Math.max(...plans.map(({ head, target }) => 24 + head + target.length * size + 12));
    const withGold = hands.gold();
    const draw = (pen) => {
      pen.rect(0, 0, width, height, "#fdfcf9");
      let left = 0;
      for (const plan of plans) {
        const [x0, y0] = [left + plan.side, 24 + plan.head];
        if (hands.many) pen.text(x0, 18, plan.name, { size: 14 });
        plan.source.forEach((token, j) => pen.text(x0 + (j + 0.65) * size, y0 - 8, token, { turn: -90 }));
        plan.target.forEach((token, i) => pen.text(x0 - 8, y0 + (i + 0.65) * size, token, { anchor: "end" }));
        plan.weights.forEach((row, i) => {
          const peak = argmax(row);
          row.forEach((weight, j) => {
            const [x, y] = [x0 + j * size, y0 + i * size];
            pen.rect(x + 1, y + 1, size - 2, size - 2, alphaColour(weight), j === peak ? "#20242c" : undefined, 3);
            pen.text(x + size / 2, y + 0.64 * size, shortWeight(weight), { size: 9, anchor: "middle", fill: inkOn(weight) });
            if (withGold && linked(plan, i, j)) pen.rect(x + 3, y + 3, size - 6, size - 6, undefined, "#d1451b", size / 2);
          });
        });
        left += plan.side + plan.source.length * size + 24;
      }
    };
    return [Math.ceil(width), Math.ceil(height), draw];
  }

  function recall() {
    const [step, moment] = (fromAddress(key) ?? "").split(".").map(Number);
    if (!Number.isInteger(step) || fromAddress(key) === null) return false;
    if (moment >= 0 && moment < Math.max(labels.length, 1)) at.moment = moment;
    at.step = clamp(stepOf(step), 0, count() - 1);
    repaint();
    keep();
    root.scrollIntoView({ block: "nearest" });
    return true;
  }
  const fromPython = () => {
    if (model.get("step") === tokenOf(at.step)) return;
    at.step = clamp(stepOf(model.get("step")), 0, count() - 1);
    show();
  };

  el.append(root);
  rebuild();
  at.step = clamp(model.get("step"), 0, count() - 1);
  repaint();
  recall();
  model.on("change:step", fromPython);
  window.addEventListener("hashchange", recall);
  return () => {
    steps.stop();
    live.stop();
    panels.forEach((one) => one.stop());
    model.off("change:step", fromPython);
    window.removeEventListener("hashchange", recall);
    root.remove();
  };
}

export default { render };

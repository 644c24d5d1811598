import { announcer, button, element, memory, nextPlace, shape } from "./parts.js";

const same = (one, other) => one.toLowerCase() === other.toLowerCase();

/** Which of the wanted words were kept in order: true along one longest common subsequence. */
function keptInOrder(wanted, built) {
  const best = Array.from({ length: wanted.length + 1 }, () => Array(built.length + 1).fill(0));
  for (let i = wanted.length - 1; i >= 0; i -= 1) {
    for (let j = built.length - 1; j >= 0; j -= 1) {
      best[i][j] = same(wanted[i], built[j]) ? best[i + 1][j + 1] + 1 : Math.max(best[i + 1][j], best[i][j + 1]);
    }
  }
  const kept = Array(wanted.length).fill(false);
  for (let i = 0, j = 0; i < wanted.length && j < built.length; ) {
    if (same(wanted[i], built[j])) [kept[i], i, j] = [true, i + 1, j + 1];
    else if (best[i + 1][j] >= best[i][j + 1]) i += 1;
    else j += 1;
  }
  return kept;
}

/** How many words stand in their own place, and how many in the right order. */
function score(wanted, built) {
  const place = wanted.filter((word, at) => at < built.length && same(word, built[at])).length;
  return { place, order: keptInOrder(wanted, built).filter(Boolean).length };
}

/** What was kept of earlier visits, if it belongs to these sentences. */
function asResults(kept, sizes) {
  const fits = (one, size) => one && [one.place, one.order].every((n) => Number.isInteger(n) && n >= 0 && n <= size);
  return sizes.map((size, at) => {
    const old = (Array.isArray(kept) && kept[at]) || {};
    return Object.fromEntries(["covered", "sight"].map((way) => [way, old.size === size && fits(old[way], size) ? old[way] : null]));
  });
}

const percent = (part, whole) => `${Math.round((100 * part) / whole)} %`;

/** The share of words kept, against the length of the sentence: the model's line, the reader's two. */
function chart(curves, longest, words) {
  const [width, height, left, bottom, top] = [320, 230, 42, 186, 14];
  const x = (size) => left + (size / longest) * (width - left - 10);
  const y = (share) => bottom - share * (bottom - top);
  const drawing = shape("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": words });
  for (const share of [0, 0.5, 1]) {
    drawing.append(shape("line", { class: "rule", x1: left, x2: width - 10, y1: y(share), y2: y(share) }));
    drawing.append(shape("text", { x: left - 6, y: y(share) + 4, "text-anchor": "end", text: `${100 * share} %` }));
  }
  for (let size = 0; size <= longest; size += 10) drawing.append(shape("text", { x: x(size), y: bottom + 18, "text-anchor": "middle", text: size }));
  drawing.append(shape("text", { x: (left + width - 10) / 2, y: bottom + 36, "text-anchor": "middle", text: "words in the sentence" }));
  for (const { kind, points } of curves) {
    const group = shape("g", { class: kind }, shape("polyline", { points: points.map(([size, share]) => `${x(size)},${y(share)}`).join(" ") }));
    for (const [size, share] of points) group.append(mark(kind, x(size), y(share)));
    drawing.append(group);
  }
  return drawing;
}

function mark(kind, x, y) {
  if (kind === "model") return shape("circle", { cx: x, cy: y, r: 3 });
  if (kind === "covered") return shape("circle", { cx: x, cy: y, r: 6.5 });
  return shape("rect", { x: x - 3.5, y: y - 3.5, width: 7, height: 7 });
}

function render({ model, el }) {
  const [sentences, title] = [model.get("sentences"), model.get("title")];
  const [points, name] = [model.get("points"), model.get("model_name")];
  const sizes = sentences.map((one) => one.words.length);
  const store = memory(`course:cover-up:${model.get("key")}`);
  let results = asResults(store.read(), sizes);
  let [at, phase, way] = [0, "read", "covered"];
  let [built, chosen] = [[], null]; // numbers of words; the chosen place in the row
  let [stays, last] = [true, null]; // last: what was judged last

  const live = announcer();
  const [tabs, hint, sentence, row, tools, pool, verdict, next, report] = [
    element("div", { class: "tabs", role: "group", "aria-label": "Length of the sentence" }),
    element("p", { class: "hint" }),
    element("div", { class: "sentence" }),
    element("div", { class: "tiles built", role: "group", "aria-label": "Your sentence" }),
    element("div", { class: "buttons" }),
    element("div", { class: "tiles pool", role: "group", "aria-label": "Words still to place" }),
    element("p", { class: "verdict" }),
    element("div", { class: "buttons" }),
    element("div", { class: "report" }),
  ];
  const root = element("section", { class: "course-widget cover-up", "aria-label": title }, element("p", { class: "title", text: title }), tabs, hint, sentence, row, tools, pool, verdict, next, report, live.node);

  const current = () => sentences[at];
  const left = () => current().order.filter((word) => !built.includes(word));
  const text = (word) => current().words[word];

  function start(index, how, to) {
    [at, way, phase, built, chosen] = [index, how, to, [], null];
    draw();
    (to === "build" ? pool.querySelector("button") : next.querySelector("button"))?.focus({ preventScroll: true });
  }

  function put(word) {
    const index = left().indexOf(word);
    const spot = chosen === null ? built.length : chosen + 1;
    built.splice(spot, 0, word);
    if (chosen !== null) chosen = spot;
    live.say(`${text(word)}, word ${spot + 1}; ${left().length} to place`);
    draw();
    const tiles = pool.querySelectorAll("button");
    (tiles[Math.min(index, tiles.length - 1)] ?? next.querySelector("button")).focus({ preventScroll: true });
  }

  function take(place) {
    const [word] = built.splice(place, 1);
    chosen = null;
    live.say(`${text(word)} taken out`);
    draw();
    (row.querySelectorAll("button")[Math.min(place, built.length - 1)] ?? pool.querySelector("button")).focus({ preventScroll: true });
  }

  /** Moves a placed word one place; the focus stays where the hand is: on the word, or on the button pressed. */
  function shift(place, by, tool) {
    const to = place + by;
    if (to < 0 || to >= built.length) return;
    [built[place], built[to]] = [built[to], built[place]];
    chosen = to;
    live.say(`${text(built[to])}, now word ${to + 1}`);
    draw();
    (tool === undefined ? row.querySelectorAll("button")[to] : tools.children[tool]).focus({ preventScroll: true });
  }

  function finish() {
    last = score(current().words, built.map(text));
    results = results.map((old, index) => (index === at ? { ...old, [way]: last } : old));
    stays = store.write(results.map((old, index) => ({ ...old, size: sizes[index] })));
    phase = "judged";
    draw();
    live.say(verdict.textContent);
    next.querySelector("button").focus({ preventScroll: true });
  }

  function forget() {
    store.forget();
    results = asResults(null, sizes);
    start(0, "covered", "read");
    live.say("Your results are forgotten.");
  }

  /** One tab stop for a group of tiles: arrow keys lead on. */
  function tiles(node, buttons, stop) {
    node.replaceChildren(...buttons);
    buttons.forEach((one, place) => (one.tabIndex = place === stop ? 0 : -1));
  }

  const walk = (node) => (event) => {
    const buttons = [...node.querySelectorAll("button")];
    const place = buttons.indexOf(event.target);
    if (place < 0) return;
    if (node === row && (event.key === "Delete" || event.key === "Backspace")) take(place);
    else if (node === row && event.shiftKey && (event.key === "ArrowLeft" || event.key === "ArrowRight")) shift(place, event.key === "ArrowLeft" ? -1 : 1);
    else {
      const to = nextPlace(event, place, buttons.length);
      if (to === null) return;
      buttons.forEach((one, index) => (one.tabIndex = index === to ? 0 : -1));
      buttons[to].focus();
    }
    event.preventDefault();
    event.stopPropagation();
  };
  row.addEventListener("keydown", walk(row));
  pool.addEventListener("keydown", walk(pool));

  function drawBuilding() {
    const building = phase === "build";
    for (const node of [row, tools, pool]) node.hidden = !building;
    if (!building) return;
    tiles(row, built.map((word, place) => button(text(word), () => {
      chosen = chosen === place ? null : place;
      draw();
      row.querySelectorAll("button")[place].focus({ preventScroll: true });
    }, { "aria-pressed": String(place === chosen) })), chosen ?? 0);
    const caret = element("span", { class: "caret", "aria-hidden": "true", text: built.length ? "" : "your sentence grows here" });
    if (chosen === null) row.append(caret);
    else row.children[chosen].after(caret);
    tiles(pool, left().map((word) => button(text(word), () => put(word))), 0);
    const idle = chosen === null;
    const tool = (label, use) => button(label, () => chosen !== null && use(), { "aria-disabled": String(idle) });
    tools.replaceChildren(
      tool("← Earlier", () => shift(chosen, -1, 0)),
      tool("Later →", () => shift(chosen, 1, 1)),
      tool("Take out", () => take(chosen)),
    );
  }

  function drawSentence() {
    sentence.hidden = false;
    sentence.className = "sentence";
    if (phase === "judged") {
      const kept = keptInOrder(current().words, built.map(text));
      const marked = kept.flatMap((held, word) => [element(held ? "span" : "s", { class: held ? "kept" : "lost", text: text(word) }), " "]);
      sentence.replaceChildren(...marked);
    } else if (phase === "build" && way === "covered") {
      sentence.className = "sentence lid";
      sentence.replaceChildren(element("span", { text: "covered" }));
    } else sentence.replaceChildren(current().text);
  }

  function draw() {
    const size = sizes[at];
    tabs.replaceChildren(...sentences.map((one, index) => {
      const done = results[index].covered && results[index].sight;
      return button(`${sizes[index]} words${done ? " ✓" : ""}`, () => {
        start(index, "covered", "read");
        tabs.children[index].focus({ preventScroll: true });
      }, { "aria-pressed": String(index === at) });
    }));
    hint.textContent = {
      read: "Read the sentence once, then cover it. Nobody counts the seconds.",
      build: `${way === "covered" ? "Rebuild it." : "The same again, with the sentence in sight."} Choose a tile and it goes to the end, or behind a word of yours that you have chosen. Keys: arrows, Enter; on a placed word Shift with ← → moves it, Delete takes it out.`,
      judged: "What came through is written plainly; what was lost is struck out.",
    }[phase];
    drawSentence();
    drawBuilding();
    verdict.hidden = phase !== "judged";
    if (phase === "judged") {
      verdict.textContent = `${way === "covered" ? "Covered" : "In sight"}: ${last.order} of ${size} words in the right order (${percent(last.order, size)}), ${last.place} in exactly ${last.place === 1 ? "its" : "their"} place.`;
    }
    const longest = at === sentences.length - 1;
    next.replaceChildren(...{
      read: () => [button("Cover it", () => start(at, "covered", "build"))],
      build: () => [button("Done", finish), button("Read it again", () => start(at, "covered", "read"))].slice(0, way === "covered" ? 2 : 1),
      judged: () => way === "covered"
        ? [button("Again, with it in sight", () => start(at, "sight", "build"))]
        : longest ? [button("Once more from the shortest", () => start(0, "covered", "read"))] : [button(`Go on to ${sizes[at + 1]} words`, () => start(at + 1, "covered", "read"))],
    }[phase]());
    next.firstChild.classList.add("main");
    drawReport();
  }

  function drawReport() {
    const any = results.some((one) => one.covered || one.sight);
    report.hidden = !any;
    if (!any) return;
    const yours = (how) => results.flatMap((one, index) => (one[how] ? [[sizes[index], one[how].order / sizes[index]]] : []));
    const curves = [{ kind: "model", points }, { kind: "covered", points: yours("covered") }, { kind: "sight", points: yours("sight") }].filter((one) => one.points.length);
    const names = { model: name, covered: "you, covered", sight: "you, in sight" };
    const legend = curves.map(({ kind }) => element("li", {}, shape("svg", { width: 30, height: 16, class: kind, "aria-hidden": "true" }, shape("polyline", { points: "1,8 29,8" }), mark(kind, 15, 8)), element("span", { text: names[kind] })));
    const cell = (one, size) => element("td", {}, ...(one ? [percent(one.order, size), element("small", { text: `${one.place} of ${size} in place` })] : ["–"]));
    const body = results.map((one, index) => element("tr", {}, element("th", { scope: "row", text: sizes[index] }), cell(one.covered, sizes[index]), cell(one.sight, sizes[index])));
    const where = stays ? "Your results stay in this browser." : "This browser keeps nothing: your results last until you leave the page.";
    report.replaceChildren(
      element("p", { class: "title", text: "Words kept in the right order" }),
      element("ul", { class: "legend" }, ...legend),
      element("div", { class: "beside" },
        chart(curves, Math.max(...sizes, ...points.map(([size]) => size)), `Share of words kept in the right order against the length of the sentence: ${curves.map(({ kind, points: all }) => `${names[kind]} ${all.map(([size, share]) => `${percent(share, 1)} at ${size}`).join(", ")}`).join("; ")}.`),
        element("table", {},
          element("thead", {}, element("tr", {}, ...["words", "covered", "in sight"].map((head) => element("th", { scope: "col", text: head })))),
          element("tbody", {}, ...body)),
      ),
      element("div", { class: "buttons" }, element("span", { class: "hint", text: where }), button("Forget my results", forget)),
    );
  }

  const unwatch = store.watch(() => {
    results = asResults(store.read(), sizes);
    drawReport();
  });
  el.append(root);
  draw();
  return () => {
    unwatch();
    live.stop();
    root.remove();
  };
}

export default { render };

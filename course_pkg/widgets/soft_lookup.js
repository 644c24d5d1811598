import { alphaColour, announcer, button, clamp, element, onEither, shape, slider, twoDigits } from "./parts.js";

const WIDTH = 360;
const HEIGHT = 330;
const HIGHEST = 6; // the sliders' ends, as in soft_lookup.py
const COOLEST = -26; // temperatures are 10 to the power of k / 20, from 0.05 to 20
const STEPS = 10; // of an energy's slider, for each unit

/** The whole lookup: weights, context, and a row of pulls, the derivative of the context, for each energy. */
function lookup(energies, temperature, points) {
  const top = Math.max(...energies);
  const powers = energies.map((energy) => Math.exp((energy - top) / temperature));
  const total = powers.reduce((sum, power) => sum + power, 0);
  const weights = powers.map((power) => power / total);
  const context = [0, 1].map((axis) => points.reduce((sum, point, j) => sum + weights[j] * point[axis], 0));
  const pulls = points.map((point, j) => point.map((number, axis) => (weights[j] * (number - context[axis])) / temperature));
  return { weights, context, pulls };
}

/** The corners of the convex hull, in order round it. */
function hull(points) {
  const sorted = [...points].sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  const turns = (a, b, c) => (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]) > 0;
  const half = (line) => {
    const corners = [];
    for (const point of line) {
      while (corners.length > 1 && !turns(corners.at(-2), corners.at(-1), point)) corners.pop();
      corners.push(point);
    }
    return corners.slice(0, -1);
  };
  return [...half(sorted), ...half(sorted.reverse())];
}

/** Energies that show what a preset is named for; the words that lead now go on leading. */
function preset(name, energies) {
  const ranked = energies.map((_, j) => j).sort((a, b) => energies[b] - energies[a] || a - b);
  if (name === "uniform") return energies.map(() => 0);
  const [leaders, high] = name === "one-hot" ? [1, HIGHEST] : [2, 4];
  return energies.map((_, j) => (ranked.indexOf(j) < leaders ? high : -high));
}

const signed = (number) => {
  const text = twoDigits(number);
  return Number(text) === 0 ? "0.00" : text.replace("-", "−");
};
const pair = (numbers) => `(${numbers.map(signed).join(", ")})`;

/** From points of the plane to the drawing, both axes to one scale, with room for the words. */
function scaleOf(points) {
  const [xs, ys] = [0, 1].map((axis) => points.map((point) => point[axis]));
  const middle = [xs, ys].map((all) => (Math.min(...all) + Math.max(...all)) / 2);
  const [wide, high] = [xs, ys].map((all) => Math.max(...all) - Math.min(...all));
  const unit = Math.min((WIDTH - 110) / (wide || 1), (HEIGHT - 100) / (high || 1));
  const place = ([x, y]) => [WIDTH / 2 + (x - middle[0]) * unit, HEIGHT / 2 - (y - middle[1]) * unit];
  return { unit, place, middle };
}

/** The plane: hull, values, lines as thick as α, the context and its pulls. */
function plane(names, points, axes) {
  const { unit, place, middle } = scaleOf(points);
  const places = points.map(place);
  const reach = 0.4 * WIDTH;
  const svg = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "lookup-plane", role: "img" });
  svg.append(
    shape("text", { x: WIDTH - 8, y: HEIGHT - 8, "text-anchor": "end", class: "lookup-axis", text: `${axes[0]} →` }),
    shape("text", { x: 8, y: 16, class: "lookup-axis", text: `↑ ${axes[1]}` }),
    shape("polygon", { points: hull(places).map((corner) => corner.join(",")).join(" "), class: "lookup-hull" }),
  );
  const lines = places.map(() => shape("line", { class: "lookup-line", "stroke-linecap": "round" }));
  const dots = places.map(([x, y]) => shape("circle", { cx: x, cy: y, r: 9, class: "lookup-value" }));
  const words = places.map(([x, y], j) => {
    const away = points[j][0] < middle[0] - 0.2 ? "end" : points[j][0] > middle[0] + 0.2 ? "start" : "middle";
    const lift = points[j][1] < middle[1] ? 25 : -16;
    return shape("text", { x, y: y + lift, "text-anchor": away, class: "lookup-word", text: names[j] });
  });
  const pulls = places.map(() => shape("g", { class: "lookup-pull" }, shape("line"), shape("path")));
  const context = shape("path", { class: "lookup-context" });
  const named = shape("text", { class: "lookup-word lookup-answer", text: "c" });
  svg.append(...lines, ...dots, ...words, ...pulls, context, named);

  function arrow(group, [x, y], [dx, dy]) {
    const full = Math.hypot(dx, dy) * unit;
    const long = Math.min(full, reach);
    group.setAttribute("visibility", long < 2 ? "hidden" : "visible");
    if (long < 2) return;
    const [ux, uy] = [(dx * unit) / full, (-dy * unit) / full];
    const [tipX, tipY, back] = [x + ux * long, y + uy * long, Math.min(9, long)];
    const [line, head] = group.children;
    for (const [name, value] of Object.entries({ x1: x, y1: y, x2: tipX - ux * back, y2: tipY - uy * back })) line.setAttribute(name, value);
    line.setAttribute("stroke-dasharray", full > reach ? "5 4" : "none");
    const side = (sign) => `${tipX - ux * back - sign * uy * back * 0.5},${tipY - uy * back + sign * ux * back * 0.5}`;
    head.setAttribute("d", `M${tipX},${tipY}L${side(1)}L${side(-1)}Z`);
  }
  return {
    svg,
    choose: (index) => pulls.forEach((group, j) => group.classList.toggle("lookup-chosen", j === index)),
    draw(found) {
      const [x, y] = place(found.context);
      places.forEach(([px, py], j) => {
        const weight = found.weights[j];
        for (const [name, value] of Object.entries({ x1: px, y1: py, x2: x, y2: y })) lines[j].setAttribute(name, value);
        lines[j].setAttribute("stroke-width", weight < 0.005 ? 0 : 1 + 9 * weight);
        dots[j].style.cssText = onEither("fill", (dark) => alphaColour(weight, dark));
        arrow(pulls[j], [x, y], found.pulls[j]);
      });
      context.setAttribute("d", `M${x},${y - 9}L${x + 9},${y}L${x},${y + 9}L${x - 9},${y}Z`);
      named.setAttribute("x", x - 14);
      named.setAttribute("y", y + 24);
      svg.setAttribute("aria-label", `The values ${names.map((name, j) => `${name} at ${pair(points[j])}`).join(", ")}. Their mixture c lies at ${pair(found.context)}.`);
    },
  };
}

/** The table of every number; `fill` writes it anew. */
function numbers(names, points) {
  const heads = ["word", "e", "α", "h", "α·h", "∂c/∂e"];
  const row = (kind, name, count) => {
    const cells = Array.from({ length: count }, () => element("td"));
    return { node: element("tr", {}, element("th", { scope: "row", text: name }), ...cells), cells, kind };
  };
  const rows = names.map((name) => row("word", name, 5));
  const sum = row("sum", "sum", 5);
  const table = element("table", {}, element("thead", {}, element("tr", {}, ...heads.map((text) => element("th", { scope: "col", text })))), element("tbody", {}, ...rows.map(({ node }) => node)), element("tfoot", {}, sum.node));
  const node = element("details", {}, element("summary", { text: "Every number" }), element("div", { class: "lookup-scroll", role: "region", tabindex: 0, "aria-label": "Every number, as a table" }, table));
  return {
    node,
    fill(energies, found) {
      rows.forEach(({ cells }, j) => {
        const share = points[j].map((number) => found.weights[j] * number);
        const texts = [signed(energies[j]), twoDigits(found.weights[j]), pair(points[j]), pair(share), pair(found.pulls[j])];
        cells.forEach((cell, at) => { cell.textContent = texts[at]; });
      });
      ["", "1.00", "", `${pair(found.context)} = c`, pair([0, 0])].forEach((text, at) => { sum.cells[at].textContent = text; });
    },
  };
}

/** One word: its energy's slider, and its weight as a bar. */
function wordRow(name, onEnergy, onChosen) {
  const bar = slider(name, 2 * HIGHEST * STEPS + 1, (at) => onEnergy(at / STEPS - HIGHEST));
  bar.input.setAttribute("aria-label", `energy of ${name}`);
  const fill = element("div");
  const share = element("span");
  const listen = (kind, chosen) => node.addEventListener(kind, () => onChosen(chosen));
  const node = element("div", { class: "lookup-row" }, bar.node, element("div", { class: "lookup-share", "aria-hidden": "true" }, element("div", { class: "lookup-bar" }, fill), share));
  for (const kind of ["focusin", "pointerenter"]) listen(kind, true);
  for (const kind of ["focusout", "pointerleave"]) listen(kind, false);
  return {
    node,
    set(energy, weight) {
      bar.set(Math.round((energy + HIGHEST) * STEPS), `e = ${signed(energy)}`);
      bar.input.setAttribute("aria-valuetext", `${signed(energy)}, weight ${twoDigits(weight)}`);
      fill.style.cssText = `width: ${100 * weight}%; ${onEither("background", (dark) => alphaColour(weight, dark))}`;
      share.textContent = `α = ${twoDigits(weight)}`;
    },
  };
}

function render({ model, el }) {
  const [names, points] = [model.get("names"), model.get("points")];
  const start = { energies: [...model.get("energies")], temperature: model.get("temperature") };
  const picture = plane(names, points, model.get("axes"));
  const table = numbers(names, points);
  const told = announcer();
  const answer = element("p", { class: "lookup-told" });

  function put(energies, temperature) {
    model.set("energies", energies);
    model.set("temperature", temperature);
    model.save_changes();
    update();
  }
  const rows = names.map((name, j) =>
    wordRow(
      name,
      (energy) => put(model.get("energies").map((old, k) => (k === j ? Math.round(energy * STEPS) / STEPS : old)), model.get("temperature")),
      (chosen) => picture.choose(chosen ? j : null),
    ),
  );
  const heat = slider("temperature τ", 1 - 2 * COOLEST, (at) => put(model.get("energies"), Number((10 ** ((at + COOLEST) / 20)).toFixed(5))));
  const presets = [["One-hot", "one-hot"], ["Uniform", "uniform"], ["Two equal peaks", "peaks"]].map(([text, name]) => button(text, () => put(preset(name, model.get("energies")), 1)));
  const again = button("Start again", () => put([...start.energies], start.temperature));

  function update() {
    const [energies, temperature] = [model.get("energies"), model.get("temperature")];
    const found = lookup(energies, temperature, points);
    picture.draw(found);
    table.fill(energies, found);
    rows.forEach((row, j) => row.set(energies[j], found.weights[j]));
    heat.set(clamp(Math.round(20 * Math.log10(temperature)) - COOLEST, 0, -2 * COOLEST), `τ = ${twoDigits(temperature)}`);
    answer.textContent = `c = ${names.map((name, j) => `${twoDigits(found.weights[j])} ${name}`).join(" + ")} = ${pair(found.context)}`;
    told.say(`${names.map((name, j) => `${name} ${twoDigits(found.weights[j])}`).join(", ")}. c is ${pair(found.context)}.`);
  }

  const legend = element(
    "ul",
    { class: "lookup-legend" },
    element("li", {}, element("i", { class: "lookup-key-line" }), "as thick as the weight α"),
    element("li", {}, element("i", { class: "lookup-key-context" }), "c, the mixture"),
    element("li", {}, element("i", { class: "lookup-key-pull", text: "→" }), "∂c/∂e: where c goes as e grows (dashed: cut short)"),
  );
  const root = element(
    "div",
    { class: "course-widget soft-lookup" },
    element("div", { class: "lookup-sides" }, element("div", {}, picture.svg, legend), element("div", { class: "lookup-controls" }, ...rows.map(({ node }) => node), element("div", { class: "lookup-heat" }, heat.node), element("div", { class: "lookup-presets", role: "group", "aria-label": "presets" }, ...presets, again))),
    answer,
    table.node,
    told.node,
  );
  el.replaceChildren(root);
  update();
  for (const name of ["energies", "temperature"]) model.on(`change:${name}`, update);
  return () => {
    told.stop();
    for (const name of ["energies", "temperature"]) model.off(`change:${name}`, update);
  };
}

export default { render };

// Draws the course's widgets on a page without a kernel. `modules` holds one function for each widget class, which
// returns what its module exports. The HTML inside a host says the same, and stays where drawing fails.
function modelOf(state) {
  const listeners = new Map();
  const fire = (name) => [...(listeners.get(name) ?? [])].forEach((listener) => listener());
  const set = (name, value) => {
    const before = state[name];
    state[name] = value;
    return before !== value;
  };
  return {
    get: (name) => state[name],
    set(name, value) {
      const changes = typeof name === "string" ? { [name]: value } : name;
      const changed = Object.keys(changes).filter((key) => set(key, changes[key]));
      changed.forEach((key) => fire(`change:${key}`));
      if (changed.length) fire("change");
    },
    save_changes() {},
    on(names, listener) {
      for (const name of names.split(/\s+/)) listeners.set(name, [...(listeners.get(name) ?? []), listener]);
    },
    off(names, listener) {
      if (!names) listeners.clear();
      else for (const name of names.split(/\s+/)) {
        listeners.set(name, listener ? (listeners.get(name) ?? []).filter((other) => other !== listener) : []);
      }
    },
  };
}

const exported = {};
async function draw(host, models) {
  const { widget, model } = host.dataset;
  const el = document.createElement("div");
  el.className = "course-widget-live";
  host.prepend(el);
  try {
    exported[widget] ??= modules[widget]();
    await exported[widget].render({ model: models.get(model), el });
    const still = host.querySelector(".course-widget-fallback");
    still.remove();
    addEventListener("beforeprint", () => host.append(still)); // on paper nothing can be moved
    addEventListener("afterprint", () => still.remove());
    host.dataset.drawn = "yes";
    performance.mark("course-widget-drawn");
  } catch (error) {
    console.error(error);
    el.className = "course-widget-note";
    el.textContent = "The interactive figure did not start here; what it shows stands below.";
  }
}

const models = new Map();
for (const script of document.querySelectorAll("script.course-widget-state")) {
  models.set(script.dataset.model, modelOf(JSON.parse(script.textContent)));
}
for (const host of document.querySelectorAll(".course-widget-host")) draw(host, models);

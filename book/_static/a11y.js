// Repairs to the theme's markup, so that a screen reader says what a sighted reader sees.
document.addEventListener("DOMContentLoaded", () => {
  const all = (selector) => Array.from(document.querySelectorAll(selector));
  // A label that differs from the visible words hides those words from speech control.
  all(".search-button-field, .theme-switch-button, details.hide summary").forEach((e) => e.removeAttribute("aria-label"));
  all(".theme-switch-button").forEach((button) => {
    const name = document.createElement("span");
    name.className = "visually-hidden";
    name.textContent = "Colour mode";
    button.append(name);
  });
  // The block with the logo lies outside every landmark.
  all(".sidebar-primary-items__start > .sidebar-primary-item:first-child").forEach((block) => {
    block.setAttribute("role", "navigation");
    block.setAttribute("aria-label", "Book title");
  });
  // A list role without list items says nothing.
  all(".citation-list").forEach((list) => {
    list.removeAttribute("role");
    list.querySelectorAll("[role=doc-biblioentry]").forEach((entry) => entry.removeAttribute("role"));
  });
  // The parameters of a long signature stand in a list of definitions that defines nothing.
  all("dt.sig > dl").forEach((list) => list.setAttribute("role", "presentation"));
  // A table's empty corner is no heading.
  all("th").forEach((corner) => {
    if (corner.textContent.trim() || corner.querySelector("img, svg")) return;
    const cell = document.createElement("td");
    cell.className = corner.className;
    corner.replaceWith(cell);
  });
  // What scrolls sideways must be reachable by keyboard, also once a box is opened or the window is narrower.
  const reach = new ResizeObserver((sizes) => sizes.forEach(({ target }) => {
    if (target.scrollWidth > target.clientWidth) target.tabIndex = 0;
    else target.removeAttribute("tabindex");
  }));
  all("div.highlight pre, .table-wrapper, .output, .cell_output, mjx-container[display=true]").forEach((block) => reach.observe(block));
});

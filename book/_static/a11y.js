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
  // What scrolls sideways must be reachable by keyboard.
  all("div.highlight pre, .table-wrapper, .output, mjx-container[display=true]").forEach((block) => {
    if (block.scrollWidth > block.clientWidth) block.tabIndex = 0;
  });
});

// One widget on a page of its own: light or dark as the reader's system has it, and large on a projector.
// In the address: ?projector, ?dark, ?light, joined by &.
(() => {
  const root = document.documentElement;
  const asked = new URLSearchParams(location.search);
  const night = matchMedia("(prefers-color-scheme: dark)");
  const ground = () => { root.dataset.theme = asked.has("dark") || (night.matches && !asked.has("light")) ? "dark" : "light"; };
  ground();
  night.addEventListener("change", ground);
  const large = (yes) => root.classList.toggle("projector", yes);
  large(asked.has("projector") || location.hash === "#projector");
  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("projector");
    const say = () => button.setAttribute("aria-pressed", String(root.classList.contains("projector")));
    button.hidden = false;
    say();
    button.addEventListener("click", () => {
      large(!root.classList.contains("projector"));
      say();
      window.dispatchEvent(new Event("resize"));
    });
  });
})();

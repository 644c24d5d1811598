// What the theme writes as inline handlers, which the pages' policy does not allow.
document.addEventListener("click", (event) => {
  const button = event.target instanceof Element && event.target.closest("[data-course-button]");
  if (!button) return;
  if (button.dataset.courseButton === "print") window.print();
  else toggleFullScreen();
});

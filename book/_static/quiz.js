// Answers the one choice: tells what the page's closed box says of it, and says it aloud to a screen reader.
// Everything told is a copy of what stands on the page; nothing is kept or sent.
document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("fieldset.course-quiz").forEach((quiz) => {
    const inputs = Array.from(quiz.querySelectorAll("input"));
    const answers = Array.from(quiz.querySelectorAll("details li"));
    const said = quiz.querySelector(".said");
    const button = document.createElement("button");
    button.type = "button";
    button.className = "check";
    button.textContent = "Check my answer";
    said.before(button);
    const forget = () => {
      said.replaceChildren();
      inputs.forEach((input) => input.parentElement.classList.remove("right", "wrong"));
    };
    const tell = () => {
      forget();
      const chosen = inputs.findIndex((input) => input.checked);
      const right = chosen >= 0 && answers[chosen].hasAttribute("data-right");
      if (chosen >= 0) inputs[chosen].parentElement.classList.add(right ? "right" : "wrong");
      // A region that is filled a moment after it was emptied is read again, even where it says the same.
      setTimeout(() => {
        if (chosen < 0) said.textContent = "Choose an answer first.";
        else said.append(...answers[chosen].cloneNode(true).childNodes);
      }, 50);
    };
    button.addEventListener("click", tell);
    inputs.forEach((input) => {
      input.addEventListener("change", forget);
      input.addEventListener("keydown", (event) => { if (event.key === "Enter") tell(); });
    });
  });
});

// Putting a transcript right, quicker: from doubt to doubt by Enter, each word shown in the picture.

const form = document.querySelector("#words");
const save = form.querySelector(".bar .main");
for (const element of form.querySelectorAll("[data-script]")) element.hidden = false;

const fields = () => [...form.querySelectorAll(".fields input:not([type=hidden])")];
const grow = (field) => { field.size = Math.max(field.value.length + 1, 3); };

function show(word) {
  for (const rect of document.querySelectorAll("rect.here")) rect.classList.remove("here");
  if (!word) return;
  for (const rect of document.querySelectorAll(`rect[data-word="${word}"]`)) rect.classList.add("here");
}

function confirm(field) {
  field.classList.remove("doubt");
  if (!field.dataset.word || form.elements[field.name.replace("w", "s")]) return;
  const sure = Object.assign(document.createElement("input"), { type: "hidden", name: field.name.replace("w", "s"), value: "1" });
  field.after(sure);
}

function go(from, step) {
  const all = fields();
  const start = all.indexOf(from) + step;
  const rest = step > 0 ? all.slice(start) : all.slice(0, start + 1).reverse();
  const next = rest.find((field) => field.classList.contains("doubt")) ?? save;
  next.focus();
  next.select?.();
}

form.addEventListener("focusin", ({ target }) => show(target.dataset.word));
form.addEventListener("input", ({ target }) => {
  grow(target);
  target.classList.remove("doubt");
});
form.addEventListener("keydown", (event) => {
  const field = event.target;
  if (event.key !== "Enter" || event.isComposing || !field.matches(".fields input")) return;
  event.preventDefault();
  if (event.ctrlKey || event.metaKey) return form.requestSubmit(save);
  if (!event.shiftKey) confirm(field);
  go(field, event.shiftKey ? -1 : 1);
});

// A press on a word in the picture goes to its field.
for (const rect of document.querySelectorAll("rect[data-word]")) {
  rect.setAttribute("pointer-events", "all");
  rect.addEventListener("click", (event) => {
    event.preventDefault();
    form.querySelector(`input[data-word="${rect.dataset.word}"]`)?.focus();
  });
}

const begin = fields().find((field) => field.classList.contains("doubt")) ?? fields()[0];
begin?.focus({ preventScroll: true });
begin?.select();

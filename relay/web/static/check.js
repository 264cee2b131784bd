// Checking replies, quicker: Enter releases what is shown, if nothing else has the focus.

addEventListener("keydown", (event) => {
  const { key, repeat, ctrlKey, altKey, metaKey, target } = event;
  if (key !== "Enter" || ctrlKey || altKey || metaKey || target !== document.body) return;
  if (repeat || localStorage.getItem("keys") === "off") return;  // a key held down releases one reply, not all
  event.preventDefault();
  document.querySelector("[data-enter]")?.click();  // not there while a tick box is unclear
});

// Covering, quicker: a rectangle drawn over the picture takes the place of two presses on its corners.

const form = document.querySelector("#cover");
const how = document.querySelector("#how");
const first = form.querySelector("[name=first]");
// Who has only a finger is told to press, as without this script.
if (!first && matchMedia("(any-pointer: fine)").matches) how.textContent = how.dataset.drawn;

for (const place of form.querySelectorAll(".pointing")) {
  const rect = place.querySelector("rect");
  let from = null;

  const at = (event) => {
    const { left, top, width, height } = place.getBoundingClientRect();
    const share = (value, length) => Math.min(Math.max(value / length, 0), 1);
    return [share(event.clientX - left, width), share(event.clientY - top, height)];
  };
  const box = (to) => [0, 1].map((axis) => [from[axis], to[axis]].sort((a, b) => a - b));
  const draw = ([[left, right], [top, lower]]) => {
    const { width, height } = rect.ownerSVGElement.viewBox.baseVal;
    rect.setAttribute("x", left * width);
    rect.setAttribute("y", top * height);
    rect.setAttribute("width", (right - left) * width);
    rect.setAttribute("height", (lower - top) * height);
    rect.removeAttribute("hidden");
  };

  place.addEventListener("dragstart", (event) => event.preventDefault());
  place.addEventListener("pointerdown", (event) => {
    // A finger scrolls: it presses on two corners, as without a script.
    if (event.pointerType === "touch" || event.button !== 0 || first) return;
    event.preventDefault();
    from = at(event);
    place.setPointerCapture(event.pointerId);
  });
  place.addEventListener("pointermove", (event) => { if (from) draw(box(at(event))); });
  place.addEventListener("pointerup", (event) => {
    if (!from) return;
    const [[left, right], [top, lower]] = box(at(event));
    from = null;
    if (right - left < 0.004 || lower - top < 0.004) return;
    for (const [name, value] of Object.entries({ left, top, right, lower })) {
      const field = Object.assign(document.createElement("input"), { type: "hidden", name, value: (value * 100).toFixed(3) });
      form.append(field);
    }
    form.submit();
  });
  place.addEventListener("click", (event) => {
    if (!first && event.pointerType === "mouse") event.preventDefault();
  });
}

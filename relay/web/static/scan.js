// The scanning, quicker: files are dropped and sent one by one, and the screen keeps up with the reading.
// Nothing here is needed: without it the form sends all files at once, and "watch" reloads the screen.

const AT_ONCE = 2;
const LOOK_EVERY = 3000;
const form = document.querySelector("#upload");
const field = form.querySelector("input[type=file]");
const list = form.querySelector(".uploads");
for (const element of document.querySelectorAll("[data-script]")) element.hidden = false;

// --- what stands on the screen is brought up to date, piece by piece

async function refresh() {
  const answer = await fetch(form.action).catch(() => null);
  if (!answer?.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const old of document.querySelectorAll("[data-live]")) {
    const element = fresh.getElementById(old.id);
    // What has the focus is left alone, or a keyboard would lose its place.
    if (element && element.innerHTML !== old.innerHTML && !old.contains(document.activeElement)) old.replaceWith(element);
  }
  for (const element of document.querySelectorAll("[data-plain]")) element.hidden = true;
  if (fresh.title) document.title = fresh.title;
}
for (const element of document.querySelectorAll("[data-plain]")) element.hidden = true;
setInterval(() => {
  if (document.visibilityState === "visible" && (document.querySelector("[data-unfinished]") || sending)) refresh();
}, LOOK_EVERY);

// --- files are sent, each with its progress

const queue = [];
let sending = 0;

function line(name) {
  const item = document.createElement("li");
  const label = document.createElement("span");
  const state = document.createElement("progress");
  label.textContent = name;
  state.max = 1;
  state.value = 0;
  state.setAttribute("aria-label", name);
  item.append(label, state);
  list.append(item);
  list.hidden = false;
  return item;
}

function tell(item, words, link, kind = "quiet") {
  const told = document.createElement(link ? "a" : "span");
  told.textContent = words;
  told.className = kind;
  if (link) told.href = link;
  item.querySelector("progress").replaceWith(told);
}

function send({ file, item }) {
  const data = new FormData();
  const facility = form.querySelector("select");
  if (facility?.value) data.append("facility", facility.value);
  data.append("files", file);
  const request = new XMLHttpRequest();
  request.open("POST", form.action);
  request.setRequestHeader("Accept", "application/json");
  request.responseType = "json";
  request.upload.addEventListener("progress", ({ loaded, total }) => { item.querySelector("progress").value = loaded / total; });
  request.addEventListener("loadend", () => {
    const { known = [], complaint = form.dataset.failed } = request.response ?? {};
    if (complaint) tell(item, complaint, null, "wrong");
    else if (known.length) tell(item, form.dataset.known, known[0]);
    else tell(item, form.dataset.done);
    sending -= 1;
    next();
    if (!sending) refresh();
  });
  request.send(data);
}

function next() {
  while (sending < AT_ONCE && queue.length) {
    sending += 1;
    send(queue.shift());
  }
}

function take(files) {
  for (const file of files) queue.push({ file, item: line(file.name) });
  next();
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  take(field.files);
  field.value = "";
});
addEventListener("dragover", (event) => {
  if (!event.dataTransfer.types.includes("Files")) return;
  event.preventDefault();
  form.classList.add("over");
});
addEventListener("dragleave", (event) => { if (!event.relatedTarget) form.classList.remove("over"); });
addEventListener("drop", (event) => {
  if (!event.dataTransfer.files.length) return;
  event.preventDefault();
  form.classList.remove("over");
  take(event.dataTransfer.files);
});

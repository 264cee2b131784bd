"use strict";
// Keeps the draft of a translation while it is typed. Without this script there is the button for it.

const PAUSE = 1500; // milliseconds without a key
const AGAIN = 10000; // until the next try after a failure
const form = document.querySelector("form.translation");
const text = form.elements.namedItem("text");
const begunWith = form.elements.namedItem("begun_with");
const status = form.querySelector("[role=status]");
const times = form.querySelectorAll("time"); // until when the letter is the volunteer's, and can be at most
let kept = text.value;
let timer;
let saving = null;
let over = false;

const clock = (moment) => new Date(moment).toLocaleTimeString(document.documentElement.lang, { timeStyle: "short" });
for (const time of times) time.textContent = clock(time.dateTime);

function say(kind, time = "") {
  const sentence = status.dataset[kind].replace("{time}", time);
  status.classList.toggle("wrong", kind !== "saved");
  if (status.textContent !== sentence) status.textContent = sentence; // or it would be read aloud again
}

function later(pause) {
  clearTimeout(timer);
  timer = setTimeout(() => {
    saving ??= save().finally(() => {
      saving = null;
      if (!over && text.value !== kept) later(status.classList.contains("wrong") ? AGAIN : PAUSE);
    });
  }, pause);
}

async function save() {
  if (over || text.value === kept) return;
  const sent = text.value;
  try {
    const answer = await fetch(form.dataset.draft, { method: "POST", body: new URLSearchParams(new FormData(form)) });
    const said = await answer.json();
    if (answer.ok) {
      kept = sent;
      begunWith.value = said.begun_with;
      times[0].textContent = clock(said.until);
      say("saved", clock(Date.now()));
    } else {
      over = true; // only the button helps: it sends the text, and nothing is lost
      say(said.why);
    }
  } catch {
    say("failed");
  }
}

text.addEventListener("input", () => later(PAUSE));
form.addEventListener("submit", async (event) => {
  over = true; // the form carries the text itself
  clearTimeout(timer);
  if (saving) {
    event.preventDefault(); // or the form would say that it began with an older draft than the one just kept
    await saving;
    form.requestSubmit(event.submitter);
  }
});
addEventListener("beforeunload", (event) => {
  if (!over && text.value !== kept) event.preventDefault();
});

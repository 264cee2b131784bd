// The review, quicker: keys, a lease that lasts while the page is used, one press that counts once.
// Nothing here is needed: without it every key is a button.

const find = (selector) => document.querySelector(selector);
for (const element of document.querySelectorAll("[data-script]")) element.hidden = false;
for (const element of document.querySelectorAll("[data-plain]")) element.hidden = true;

const bar = find(".bar");
if (bar) {
  const tell = () => document.documentElement.style.setProperty("--bar-height", `${bar.offsetHeight + 8}px`);
  new ResizeObserver(tell).observe(bar);
}

// --- one press counts once

let sent = false;
addEventListener("pageshow", () => { sent = false; });
addEventListener("submit", (event) => {
  if (event.defaultPrevented || event.target.method === "dialog") return;
  if (sent) event.preventDefault();
  sent = true;
});

// --- keys

const help = find("#keys");
const useKeys = find("#use-keys");
if (useKeys) {
  useKeys.checked = localStorage.getItem("keys") !== "off";
  useKeys.addEventListener("change", () => localStorage.setItem("keys", useKeys.checked ? "on" : "off"));
}

// On a Cyrillic keyboard the key "a" says "ф": then its place counts.
const nameOf = ({ key, code }) => (/^Key[A-Z]$/.test(code) && !/^[a-z]$/i.test(key) ? code[3] : key).toLowerCase();

function press(element) {
  if (element === find('[data-key="?"]')) return help.showModal();
  if (element.tagName !== "DETAILS") return element.click();
  element.open = true;
  element.querySelector("input:not([type=hidden]):checked, input:not([type=hidden]), select, button").focus({ preventScroll: true });
}

addEventListener("keydown", (event) => {
  if (help?.open || event.ctrlKey && event.key !== "Enter" || event.altKey || event.metaKey || event.repeat) return;
  const field = event.target.closest("input, textarea, select");
  const panel = find("details.panel[open]");
  if (event.key === "Escape" && panel) {
    panel.open = false;
    panel.querySelector("summary").focus({ preventScroll: true });
  } else if (event.key === "Enter" && event.ctrlKey && field?.form) {
    field.form.requestSubmit(field.form.querySelector("button"));
  } else if (!field && !event.ctrlKey && (event.key === "?" || localStorage.getItem("keys") !== "off")) {
    const element = find(`[data-key="${CSS.escape(nameOf(event))}"]`);
    if (!element) return;
    event.preventDefault();
    press(element);
  }
});
find('button[data-key="?"]')?.addEventListener("click", () => help.showModal());

// --- the lease

const lease = find("#lease");
if (lease) {
  const MINUTE = 60_000;
  const RENEW_EVERY = 4 * MINUTE;
  const WARNING = 2 * MINUTE;
  const status = lease.querySelector("[role=status]");
  const now = () => Date.now();
  let renewed, until, end, used = 0;

  const take = ({ left, most }) => {
    [renewed, until, end] = [now(), now() + left * 1000, now() + most * 1000];
    const options = { hour: "2-digit", minute: "2-digit" };
    lease.querySelector("time").textContent = new Date(until).toLocaleTimeString(document.documentElement.lang, options);
  };
  const say = (words) => { if (status.textContent !== words) status.textContent = words; };
  const renew = async () => {
    renewed = now();
    const answer = await fetch(lease.dataset.renew, { method: "POST" }).catch(() => null);
    if (answer?.ok) take(await answer.json());
    else if (answer?.status === 409) until = now();
    look();
  };
  const look = () => {
    const { soon, last, over } = status.dataset;
    const left = until - now();
    if (left <= 0) return say(over);
    say(left > WARNING ? "" : until < end ? soon : last);
    const inUse = document.visibilityState === "visible" && used > renewed;
    if (inUse && until < end && (now() - renewed >= RENEW_EVERY || left <= WARNING)) renew();
  };

  take({ left: Number(lease.dataset.left), most: Number(lease.dataset.most) });
  for (const kind of ["pointerdown", "keydown", "scroll", "input"]) {
    addEventListener(kind, () => { used = now(); }, { passive: true, capture: true });
  }
  setInterval(look, MINUTE / 6);
  find("[data-renews]").addEventListener("click", (event) => { event.preventDefault(); renew(); });
}

// --- words are covered by drawing over them

const words = find(".words");
if (words) {
  let first = null, drawn = false;
  words.addEventListener("pointerdown", ({ target, pointerType }) => {
    [first, drawn] = [pointerType === "mouse" ? target.closest("label")?.control : null, false];
  });
  words.addEventListener("pointerover", ({ target, buttons }) => {
    const box = target.closest("label")?.control;
    if (!first || !buttons || !box || (box === first && !drawn)) return;
    if (!drawn) first.checked = !first.checked;
    drawn = true;
    box.checked = first.checked;
  });
  words.addEventListener("click", (event) => { if (drawn) event.preventDefault(); });
}

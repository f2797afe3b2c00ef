// The comfort of the page. Every page works without this module: it keeps times up to date, follows running
// transactions, and helps with forms. It builds elements only from text, never from HTML.

const root = document.documentElement;

// --- Times -----------------------------------------------------------------------------------------------------------

// The clock of the server counts, not that of the computer.
const offset = Number(root.dataset.now) - Date.now();
const units = (root.dataset.units || "d h min s").split(" ");
const sizes = [86400, 3600, 60, 1];
const dateFormat = new Intl.DateTimeFormat(root.lang, { dateStyle: "medium", timeStyle: "long" });

/** Formats a duration in its two largest adjacent units, as the server does. */
function formatSpan(seconds) {
  let rest = Math.floor(seconds);
  const parts = [];
  for (const [position, size] of sizes.entries()) {
    const count = Math.floor(rest / size);
    rest %= size;
    if (count > 0) parts.push(`${count}\u00a0${units[position]}`);
    else if (parts.length > 0) break;
    if (parts.length === 2) break;
  }
  return parts.length > 0 ? parts.join("\u00a0") : `0\u00a0${units[3]}`;
}

/** Formats the distance of a time from now. */
function formatDistance(at) {
  const seconds = (at - (Date.now() + offset)) / 1000;
  return seconds >= 0 ? formatSpan(seconds) : (root.dataset.ago || "{}").replace("{}", formatSpan(-seconds));
}

function updateTimes() {
  for (const element of document.querySelectorAll("time[data-time]")) {
    const at = Date.parse(element.dateTime);
    if (Number.isNaN(at)) continue;
    const local = dateFormat.format(at);
    const utc = `${element.dateTime.slice(0, 16).replace("T", " ")} UTC`;
    const text = element.dataset.time === "relative" ? formatDistance(at) : local;
    if (element.textContent !== text) element.textContent = text;
    element.title = element.dataset.time === "relative" ? `${local} (${utc})` : `${utc}, ${formatDistance(at)}`;
  }
}

updateTimes();
setInterval(() => { if (!document.hidden) updateTimes(); }, 1000);

// --- Running transactions --------------------------------------------------------------------------------------------

/** Follows a transaction: by a stream, and after two failures by asking every two seconds. */
class Follower {
  constructor(element) {
    this.element = element;
    this.id = element.dataset.live;
    this.position = Number(element.dataset.position) || 0;
    this.failures = 0;
    this.ended = false;
    this.spoken = 0;
    document.addEventListener("visibilitychange", () => this.resume());
    this.resume();
  }

  get address() {
    return encodeURIComponent(this.id);
  }

  /** A browser has few connections for one server, so a hidden tab keeps none. */
  resume() {
    if (document.hidden || this.ended) this.stop();
    else if (this.failures >= 2) this.poll();
    else this.listen();
  }

  stop() {
    this.source?.close();
    this.source = undefined;
    clearTimeout(this.timer);
    this.timer = undefined;
  }

  listen() {
    if (this.source) return;
    this.source = new EventSource(`/events?transaction=${this.address}&from=${this.position}`);
    this.source.addEventListener("message", (event) => {
      this.failures = 0;
      this.show(JSON.parse(event.data));
    });
    this.source.addEventListener("error", () => {
      this.failures += 1;
      if (this.failures >= 2 || this.source?.readyState === EventSource.CLOSED) {
        this.failures = Math.max(this.failures, 2);
        this.stop();
        this.resume();
      }
    });
    // A proxy may hold the stream back: if it brings nothing, asking does.
    this.timer = setTimeout(() => {
      if (this.source && this.source.readyState !== EventSource.OPEN) {
        this.failures = 2;
        this.stop();
        this.resume();
      }
    }, 2500);
  }

  async poll() {
    if (this.timer && !this.source) clearTimeout(this.timer);
    try {
      const response = await fetch(`/transactions/${this.address}/progress?from=${this.position}`, { redirect: "error" });
      if (response.status === 404) { this.ended = true; return; }
      if (response.ok) this.show(await response.json());
    } catch {
      // The next attempt may succeed.
    }
    if (!this.ended && !document.hidden) this.timer = setTimeout(() => this.poll(), 2000);
  }

  find(name) {
    return this.element.querySelector(`[data-${name}]`);
  }

  show(update) {
    if (this.ended) return;
    // A reconnected stream may repeat lines that are shown already.
    const known = this.position - (update.position - update.lines.length);
    this.position = Math.max(this.position, update.position);
    const log = this.find("log");
    for (const line of update.lines.slice(Math.max(known, 0))) log?.append(makeLine(line));
    if (this.position > 0) this.find("empty")?.remove();
    const badge = this.find("status")?.querySelector(".badge");
    if (badge) {
      badge.className = `badge ${update.icon}`;
      badge.querySelector("use")?.setAttribute("href", `#i-${update.icon}`);
      badge.lastChild.textContent = update.status;
    }
    const bar = this.find("bar");
    if (bar && update.total > 0) {
      bar.max = update.total;
      bar.value = update.done;
    }
    this.speak(update.message || update.progress, !update.running);
    if (!update.running) this.end(update);
  }

  /** Shows the progress at once. A reader of the screen hears at most one message in five seconds, and the last. */
  speak(text, last) {
    const target = this.find("progress")?.querySelector("bdi");
    if (!target || !text || target.textContent === text) return;
    target.textContent = text;
    const speech = this.find("speech");
    clearTimeout(this.pending);
    const wait = last ? 0 : Math.max(0, this.spoken + 5000 - Date.now());
    this.pending = setTimeout(() => {
      speech.textContent = text;
      this.spoken = Date.now();
    }, wait);
  }

  end(update) {
    this.ended = true;
    this.stop();
    this.find("bar")?.remove();
    this.find("cancel")?.remove();
    const outcome = this.find("outcome");
    if (outcome) outcome.className = `note ${update.icon}`;
    const duration = this.find("duration");
    if (duration) duration.textContent = update.duration;
    // Parts and the button that repairs a failure come from the server.
    setTimeout(() => {
      if (!document.activeElement || document.activeElement === document.body) location.reload();
    }, 1500);
  }
}

function makeLine(line) {
  const item = document.createElement("li");
  item.className = line.level;
  const at = document.createElement("span");
  at.className = "mono";
  at.textContent = line.at;
  const level = document.createElement("span");
  level.textContent = line.word;
  const message = document.createElement("bdi");
  message.textContent = line.message;
  item.append(at, level, message);
  return item;
}

for (const element of document.querySelectorAll("[data-live]")) new Follower(element);

// --- Forms -----------------------------------------------------------------------------------------------------------

// The summary of the errors gets the focus, and its links lead to the controls, also within closed details.
document.querySelector("[data-focus]")?.focus();
for (const link of document.querySelectorAll('.note a[href^="#"]')) {
  link.addEventListener("click", (event) => {
    const target = document.getElementById(link.hash.slice(1));
    if (!target) return;
    event.preventDefault();
    const details = target.closest("details");
    if (details) details.open = true;
    target.focus();
  });
}

// A field that matters only while a flag is on is hidden otherwise. The server decides in any case.
for (const field of document.querySelectorAll("[data-when]")) {
  const flag = document.querySelector(`input[type="checkbox"][name="${CSS.escape(field.dataset.when)}"]`);
  const update = () => { field.hidden = Boolean(flag) && !flag.checked && !field.classList.contains("invalid"); };
  flag?.addEventListener("change", update);
  update();
}

// One check box selects all organizations of the page, and their number is shown.
for (const all of document.querySelectorAll("[data-select-all]")) {
  const form = all.closest("form");
  const control = all.querySelector("input");
  const boxes = [...form.querySelectorAll('input[type="checkbox"][name="pkid"]')];
  const count = form.querySelector("[data-selected]");
  const update = () => {
    const selected = boxes.filter((box) => box.checked).length;
    control.checked = selected > 0 && selected === boxes.length;
    control.indeterminate = selected > 0 && selected < boxes.length;
    count.textContent = selected > 0 ? count.dataset.selected.replace("{}", selected) : "";
  };
  control.addEventListener("change", () => {
    for (const box of boxes) box.checked = control.checked;
    update();
  });
  form.addEventListener("change", update);
  all.hidden = boxes.length === 0;
  update();
}

// A form is sent once. Unsaved changes are asked about by the browser.
let unsaved = false;
for (const form of document.forms) {
  if (form.dataset.guard !== undefined) form.addEventListener("input", () => { unsaved = true; });
  form.addEventListener("submit", () => {
    unsaved = false;
    if (form.method === "get") return;
    // After the browser has collected the values.
    setTimeout(() => { for (const button of form.querySelectorAll("button")) button.disabled = true; });
  });
}
addEventListener("beforeunload", (event) => { if (unsaved) event.preventDefault(); });
// A page that the browser kept, after "back", takes forms again.
addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  for (const button of document.querySelectorAll("form button")) button.disabled = false;
});

for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = !navigator.clipboard;
  const label = button.textContent;
  button.addEventListener("click", async () => {
    const source = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(source.value ?? source.textContent);
      button.textContent = button.dataset.copied;
      setTimeout(() => { button.textContent = label; }, 2000);
    } catch {
      source.focus();
      source.select?.();
    }
  });
}

// "/" leads to the search.
addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input, textarea, select, [contenteditable]");
  if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const search = document.querySelector('input[type="search"]');
  if (search) {
    event.preventDefault();
    search.focus();
  }
});

// --- The end of the session ------------------------------------------------------------------------------------------

const session = document.querySelector("[data-session-ends]");
if (session) {
  let ends = Number(session.dataset.sessionEnds);
  const show = () => { session.hidden = ends - (Date.now() + offset) > 120000; };
  // The typed text stays: the request prolongs the session without leaving the page.
  session.querySelector("button").addEventListener("click", async () => {
    try {
      const response = await fetch("/session", { redirect: "error" });
      if (response.ok) ends = (await response.json()).expires;
      else location.reload();
    } catch {
      location.reload();
    }
    show();
  });
  show();
  setInterval(show, 5000);
}

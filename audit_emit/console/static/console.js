// Keyboard, live tail and progress. Every page works without this file. Values are set as text,
// never as markup.
import { t } from "../messages.js";
import "./over_time.js";

const root = document.body.dataset.root;
const MOST = 500;

const typing = (target) => target.closest("input, textarea, select, [contenteditable]");

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
  const first = document.querySelector("[data-first]");
  if (event.key === "/" && first) { event.preventDefault(); first.focus(); }
  else if (event.key === "?") location.href = `${root}/help`;
  else if (event.key === "j" || event.key === "k") {
    const links = [...document.querySelectorAll("#events tbody a")];
    const at = links.indexOf(document.activeElement);
    const next = event.key === "j" ? at + 1 : Math.max(at - 1, 0);
    links[Math.min(next, links.length - 1)]?.focus();
  }
});

// Times are UTC; what a clock here showed then is the hint of the cell.
function hint(cell) {
  const then = new Date(`${cell.textContent.trim().replace(" ", "T")}Z`);
  if (!Number.isNaN(then.getTime())) cell.title = then.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "long" });
}
document.querySelectorAll("td.time").forEach(hint);

function row(record) {
  const tr = document.createElement("tr");
  tr.classList.add("new");
  tr.classList.toggle("failed", record.failed);
  const time = document.createElement("td");
  time.className = "time";
  const link = document.createElement("a");
  link.href = `${root}/event/${encodeURIComponent(record.link)}`;
  link.textContent = record.ts.slice(0, 23).replace("T", " ");
  time.append(link);
  hint(time);
  tr.append(time);
  for (const text of [record.type, record.actor || "–", record.workspace || "–", record.correlation || "–", record.fields]) {
    const cell = document.createElement("td");
    cell.textContent = text;
    tr.append(cell);
  }
  tr.lastChild.className = "fields";
  return tr;
}

const button = document.getElementById("tail");
const table = document.getElementById("events");
if (button && table) {
  const state = document.getElementById("tail-state");
  // It begins where the page ends, and after a pause where it was paused: no record is between.
  const stream = new URL(table.dataset.stream, location.href);
  let source = null;
  let count = 0;
  const stop = (text) => {
    source?.close();
    source = null;
    button.setAttribute("aria-pressed", "false");
    button.textContent = t("tail");
    state.textContent = text;
  };
  button.hidden = false;
  button.addEventListener("click", () => {
    if (source) { stop(t("paused", { count })); return; }
    count = 0;
    source = new EventSource(stream);
    button.setAttribute("aria-pressed", "true");
    button.textContent = t("pause");
    state.textContent = t("connecting");
    source.addEventListener("open", () => {
      state.textContent = count ? t("new", { count }) : t("waiting");
    });
    source.addEventListener("message", (event) => {
      const body = table.tBodies[0];
      body.prepend(row(JSON.parse(event.data)));
      while (body.rows.length > MOST) body.lastElementChild.remove();
      stream.searchParams.set("after", event.lastEventId);
      count += 1;
      state.textContent = t("new", { count });
    });
    source.addEventListener("lost", () => stop(t("lost")));
    source.addEventListener("error", () => { if (source) state.textContent = t("connecting_again"); });
  });
}

const job = document.getElementById("job");
if (job) {
  const bar = job.querySelector("progress");
  const look = async () => {
    const answer = await fetch(job.dataset.url);
    const found = answer.ok ? await answer.json() : { running: true };
    if (!found.running) { location.href = `${root}/integrity`; return; }
    if (found.of) { bar.max = found.of; bar.value = found.read; }
    setTimeout(look, 500);
  };
  setTimeout(look, 500);
}

const head = document.getElementById("head");
if (head) {
  setInterval(async () => {
    if (document.hidden) return;
    const answer = await fetch(head.dataset.url);
    if (!answer.ok) return;
    const found = await answer.json();
    if (found.head) head.textContent = found.head.seq.toLocaleString("en");
  }, 2000);
}

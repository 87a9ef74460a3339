// The page "Verify in your browser": the key is pinned here, and what was seen is remembered here.
import { visible } from "./sha256.js";

const form = document.getElementById("verify");
const out = document.getElementById("result");
const root = document.body.dataset.root;
const PINNED = "audit_emit.key";
const SEEN = `audit_emit.seen:${root}`;

function said(text, kind = "") {
  const line = document.createElement("p");
  line.className = `verdict ${kind}`;
  line.textContent = visible(text);
  out.replaceChildren(line);
}

function listed(findings) {
  const list = document.createElement("ul");
  for (const one of findings) {
    const item = document.createElement("li");
    const parts = [one.kind, `record ${one.seq}`, one.note];
    if (one.expected || one.actual) parts.push(`expected ${one.expected || "nothing"}, found ${one.actual || "nothing"}`);
    item.textContent = visible(parts.filter(Boolean).join("; "));
    list.append(item);
  }
  return list;
}

function show(found, seconds) {
  const bad = found.count > 0;
  const signed = found.signed
    ? `Signed by ${found.signed.changes ? "the key that the pinned one was replaced by" : "the pinned key"} up to record ${found.signed.seq}; ${found.signed.unsigned} after that.`
    : "No signature was checked: pin a verifier key above.";
  const before = found.extends === null ? "" : found.extends ? " It extends what this browser saw before." : "";
  said(bad ? `The log does not hold: ${found.count} findings.` : `The log holds. ${signed}${before}`, bad ? "bad" : found.signed ? "good" : "unsure");
  if (bad) out.append(listed(found.findings));
  const line = document.createElement("p");
  if (found.pruned) {
    const { last, seq, ts, reason, checked } = found.pruned;
    const gone = document.createElement("p");
    gone.textContent = visible(`Records 1 to ${last} were removed, as record ${seq} of ${ts} says (${reason}); ${checked ? "a key that is trusted here signed that" : "its signature was not checked"}.`);
    out.append(gone);
  }
  line.textContent = `${found.records} records of chain ${found.chain || "(none)"}, ${found.first} to ${found.last}, in ${seconds.toFixed(1)} s. Last hash ${found.hash}. Root ${found.root || "not computed"}.`;
  out.append(line);
  if (!bad && found.root) localStorage.setItem(SEEN, JSON.stringify({ chain: found.chain, size: found.last, root: found.root }));
}

const field = form.elements.namedItem("key");
field.value = localStorage.getItem(PINNED) ?? "";

document.getElementById("forget").addEventListener("click", () => {
  localStorage.removeItem(SEEN);
  said("What this browser saw of the log is forgotten.");
});

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const key = field.value.trim();
  if (key) localStorage.setItem(PINNED, key); else localStorage.removeItem(PINNED);
  if (!globalThis.crypto?.subtle) { said("This browser computes hashes only on https and on localhost.", "bad"); return; }
  said("Fetching…");
  const worker = new Worker(new URL("verify_worker.js", import.meta.url), { type: "module" });
  const remembered = JSON.parse(localStorage.getItem(SEEN) ?? "null");
  worker.addEventListener("message", ({ data }) => {
    if (data.records) said(`${data.records} records…`);
    if (data.error) { said(`No verdict: ${data.error}`, "bad"); worker.terminate(); }
    if (data.found) { show(data.found, data.seconds); worker.terminate(); }
  });
  worker.addEventListener("error", () => said("The verifier cannot be loaded.", "bad"));
  const at = (path) => new URL(`${root}${path}`, location.href).href;
  worker.postMessage({ log: at("/log"), checkpoints: at("/api/audit/checkpoints"), declared: at("/api/audit/events?type=audit.key_rotated+audit.pruned&limit=1000"), key, remembered });
});
// Before, the browser itself would send the form, and load the page anew.
form.querySelector("button").disabled = false;

// The page "Verify in your browser": the key is pinned here, and what was seen is remembered here.
import { t } from "../messages.js";
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
    const parts = [one.kind, t("record", { seq: one.seq }), one.note];
    if (one.expected || one.actual) parts.push(t("expected", { expected: one.expected || t("nothing"), actual: one.actual || t("nothing") }));
    item.textContent = visible(parts.filter(Boolean).join("; "));
    list.append(item);
  }
  return list;
}

function show(found, seconds) {
  if (found.empty) { said(t("is_empty"), "unsure"); return; }
  const bad = found.count > 0;
  const signed = found.signed
    ? t(found.signed.changes ? "signed_by_later" : "signed_by_pinned", found.signed)
    : t("not_signed_pin");
  const before = found.extends ? ` ${t("extends")}` : "";
  said(bad ? t("does_not_hold", found) : `${t("holds")} ${signed}${before}`, bad ? "bad" : found.signed ? "good" : "unsure");
  if (bad) out.append(listed(found.findings));
  const line = document.createElement("p");
  if (found.pruned) {
    const gone = document.createElement("p");
    gone.textContent = visible(`${t("removed", found.pruned)} ${t(found.pruned.checked ? "removed_signed" : "removed_unchecked")}`);
    out.append(gone);
  }
  line.textContent = t("extent", { ...found, chain: found.chain || t("none"), seconds: seconds.toFixed(1), root: found.root || t("not_computed") });
  out.append(line);
  if (!bad && found.root) localStorage.setItem(SEEN, JSON.stringify({ chain: found.chain, size: found.last, root: found.root }));
}

const field = form.elements.namedItem("key");
field.value = localStorage.getItem(PINNED) ?? "";

document.getElementById("forget").addEventListener("click", () => {
  localStorage.removeItem(SEEN);
  said(t("forgotten"));
});

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const key = field.value.trim();
  if (key) localStorage.setItem(PINNED, key); else localStorage.removeItem(PINNED);
  if (!globalThis.crypto?.subtle) { said(t("no_hashes"), "bad"); return; }
  said(t("fetching"));
  const worker = new Worker(new URL("verify_worker.js", import.meta.url), { type: "module" });
  const remembered = JSON.parse(localStorage.getItem(SEEN) ?? "null");
  worker.addEventListener("message", ({ data }) => {
    if (data.records) said(t("so_far", data));
    if (data.error) { said(t("no_verdict", { why: data.error }), "bad"); worker.terminate(); }
    if (data.found) { show(data.found, data.seconds); worker.terminate(); }
  });
  worker.addEventListener("error", () => said(t("not_loaded"), "bad"));
  const at = (path) => new URL(`${root}${path}`, location.href).href;
  worker.postMessage({ log: at("/log"), checkpoints: at("/api/audit/checkpoints"), declared: at("/api/audit/events?type=audit.key_rotated+audit.pruned&limit=1000"), key, remembered });
});
// Before, the browser itself would send the form, and load the page anew.
form.querySelector("button").disabled = false;

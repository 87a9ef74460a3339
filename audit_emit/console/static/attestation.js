// "Check an attestation", on the page that verifies in the browser, with the key that is pinned there.
import { t } from "../messages.js";
import { visible } from "./sha256.js";

const form = document.getElementById("attestation");
const out = document.getElementById("attested");
const root = document.body.dataset.root;

function said(text, kind = "") {
  const line = document.createElement("p");
  line.className = `verdict ${kind}`;
  line.textContent = visible(text);
  out.append(line);
}
function only(text, kind) { out.replaceChildren(); said(text, kind); }

function listed(rows) {
  const list = document.createElement("dl");
  for (const [term, value] of rows) {
    const [dt, dd] = [document.createElement("dt"), document.createElement("dd")];
    dt.textContent = visible(term);
    dd.textContent = visible(value);
    list.append(dt, dd);
  }
  out.append(list);
}

function show(found) {
  const { said: one } = found;
  only(found.ok
    ? t("attested", { records: one.records, first: one.firstSeq, last: one.lastSeq })
    : t("not_verified", { why: found.why }), found.ok ? "good" : "bad");
  listed(found.differences.map((each) => [each.member, t("attested_otherwise", each)]));
  if (found.ok) listed(Object.entries(one).map(([term, value]) => [term, typeof value === "string" ? value : JSON.stringify(value)]));
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const key = document.getElementById("verify").elements.namedItem("key").value.trim();
  const [file] = form.elements.namedItem("file").files;
  if (!key) { only(t("pin_first"), "bad"); return; }
  if (!globalThis.crypto?.subtle) { only(t("no_hashes"), "bad"); return; }
  if (!file || file.size > 65536) { only(t("choose_attestation"), "bad"); return; }
  only(t("fetching"));
  const worker = new Worker(new URL("attestation_worker.js", import.meta.url), { type: "module" });
  worker.addEventListener("message", ({ data }) => {
    if (data.records) only(t("so_far", data));
    if (data.error) { only(t("no_verdict", { why: data.error }), "bad"); worker.terminate(); }
    if (data.found) { show(data.found); worker.terminate(); }
  });
  worker.addEventListener("error", () => only(t("not_loaded"), "bad"));
  const at = (path) => new URL(`${root}${path}`, location.href).href;
  worker.postMessage({ log: at("/log"), checkpoints: at("/api/audit/checkpoints"), declared: at("/api/audit/events?type=audit.pruned&limit=1000"), key, text: await file.text() });
});
// Before, the browser itself would send the form, and load the page anew.
form.querySelector("button").disabled = false;

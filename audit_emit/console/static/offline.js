// The page of the saved verifier: files in, a verdict out, and nothing is sent anywhere.
import { t } from "../messages.js";
import { visible } from "./sha256.js";
import { parseKey } from "./signatures.js";
import { proved } from "./proof.js";
import { removalsIn, verify } from "./verifier.js";

const form = document.getElementById("verify");
const out = document.getElementById("result");
function said(text, kind = "") { const p = document.createElement("p"); p.className = `verdict ${kind}`; p.textContent = visible(text); out.append(p); }
async function* chunksOf(files) {
  const order = (name) => (/^audit\.jsonl/.test(name) ? `~${name}` : name);
  for (const file of [...files].sort((a, b) => (order(a.name) < order(b.name) ? -1 : 1))) {
    const plain = file.name.endsWith(".gz") ? file.stream().pipeThrough(new DecompressionStream("gzip")) : file.stream();
    const reader = plain.getReader();
    for (;;) { const { done, value } = await reader.read(); if (done) break; yield value; }
  }
}
function shown(found) {
  if (found.empty) { said(t("is_empty"), "unsure"); return; }
  const bad = found.count > 0;
  const signed = found.signed ? t(found.signed.changes ? "signed_by_replaced" : "signed_by_this", found.signed) : t("not_signed");
  said(bad ? t("does_not_hold", found) : `${t("holds_records", found)} ${signed}`, bad ? "bad" : found.signed ? "good" : "unsure");
  if (found.pruned) said(`${t("removed", found.pruned)}${found.pruned.checked ? "" : ` ${t("removed_unchecked")}`}`);
  for (const one of found.findings) said(t("finding", one));
  said(t("extent_offline", found));
}
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  out.replaceChildren();
  try {
    const text = form.key.value.trim();
    if (form.proof.files[0]) {
      if (!text) throw new Error(t("proof_needs_key"));
      const one = await proved(await form.proof.files[0].text(), await parseKey(text));
      said(one.said, one.ok ? "good" : "bad");
      return;
    }
    if (!form.log.files.length) throw new Error(t("choose_files"));
    const lines = form.checkpoints.files[0] ? (await form.checkpoints.files[0].text()).split("\n") : [];
    const checkpoints = lines.flatMap((line) => { try { return [JSON.parse(line)]; } catch { return []; } });
    const removals = await removalsIn(chunksOf(form.log.files));
    shown(await verify({ chunks: chunksOf(form.log.files), checkpoints, removals, key: text ? await parseKey(text) : null }));
  } catch (error) { said(t("no_verdict", { why: error.message }), "bad"); }
});
form.querySelector("button").disabled = false;

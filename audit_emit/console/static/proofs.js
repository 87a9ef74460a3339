// "Check a proof", on the page that verifies in the browser: a file, or the record in the address.
import { t } from "../messages.js";
import { visible } from "./sha256.js";
import { parseKey } from "./signatures.js";
import { proved } from "./proof.js";

const form = document.getElementById("proof");
const out = document.getElementById("proved");
const root = document.body.dataset.root;
const [chain, seq] = (new URLSearchParams(location.search).get("record") ?? "").split(":");

function said(text, kind = "") {
  const line = document.createElement("p");
  line.className = `verdict ${kind}`;
  line.textContent = visible(text);
  out.replaceChildren(line);
}

async function check(text) {
  const key = document.getElementById("verify").elements.namedItem("key").value.trim();
  if (!key) { said(t("pin_first"), "bad"); return; }
  if (!globalThis.crypto?.subtle) { said(t("no_hashes"), "bad"); return; }
  try {
    const found = await proved(await text(), await parseKey(key));
    said(found.said, found.ok ? "good" : "bad");
    const line = document.createElement("pre");
    line.className = "raw";
    line.textContent = visible(found.record);
    out.append(line);
  } catch (error) { said(t("no_verdict", { why: error.message }), "bad"); }
}

async function fetched() {
  const answer = await fetch(`${root}/event/${encodeURIComponent(chain)}/${encodeURIComponent(seq)}/proof`);
  if (!answer.ok) throw new Error(t("no_proof", { status: answer.status }));
  return answer.text();
}

const [file, button] = [form.elements.namedItem("file"), form.querySelector("button")];
if (chain && seq) {
  file.required = false;
  button.textContent = t("check_record", { seq });
}
form.addEventListener("submit", (event) => {
  event.preventDefault();
  const [chosen] = file.files;
  if (chosen) check(() => chosen.text());
  else check(fetched);
});
button.disabled = false;
if (chain && seq && document.getElementById("verify").elements.namedItem("key").value) check(fetched);

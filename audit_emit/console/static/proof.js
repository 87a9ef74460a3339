// Checks the proof that a record is in a log (docs/wire-format.md, section 8; RFC 9162, section 2.1.3),
// with the key that the user pins, and without the log.
import { t } from "../messages.js";
import { encoded, hex, leafOf, nodeOf, unhex } from "./sha256.js";
import { signedBy } from "./signatures.js";
import { LINK } from "./removed.js";

const DIGEST = /^[0-9a-f]{64}$/;
const LONGEST_PATH = 64;

function rootOf(leaf, index, size, path) {
  let [node, at, last] = [leaf, index, size - 1];
  const up = () => { at = Math.floor(at / 2); last = Math.floor(last / 2); };
  for (const one of path) {
    if (last === 0) return "";
    if (at % 2 || at === last) {
      node = nodeOf(unhex(one), node);
      while (at % 2 === 0 && at) up();
    } else node = nodeOf(node, unhex(one));
    up();
  }
  return last === 0 ? hex(node) : "";
}

// A time is signed, if at all, by a signature of its own, which is not looked at here: it is only what the file says.
const TIME = /^[0-9]{4}-[0-9T:.-]{1,40}Z$/;

// { ok, said, record }: whether a proof file holds, in words.
export async function proved(text, key) {
  let found;
  try { found = JSON.parse(text); } catch { throw new Error(t("no_proof_file")); }
  const { v, record, leaf_index: index, tree_size: size, inclusion_proof: path, checkpoint } = found ?? {};
  const sound = v === 1 && typeof record === "string" && Number.isSafeInteger(index) && Number.isSafeInteger(size) &&
    index >= 0 && index < size && Array.isArray(path) && path.length <= LONGEST_PATH && path.every((one) => typeof one === "string" && DIGEST.test(one)) &&
    typeof checkpoint === "object" && [1, 2].includes(checkpoint?.v);
  if (!sound) throw new Error(t("no_proof_file"));
  const link = LINK.exec(record.slice(-240));
  const at = TIME.test(checkpoint.at) ? ` ${t("proof_time", { at: checkpoint.at })}` : "";
  const answer = (why) => ({
    ok: !why, record,
    said: why ? t("not_proved", { why: t(why) }) : `${t("proved", { seq: index + 1, chain: link[1] })}${at}`,
  });
  if (!link || record.includes("\n") || Number(link[2]) !== index + 1) return answer("not_of_place");
  const leaf = leafOf(encoded(record));
  if (hex(leaf) !== link[4]) return answer("other_hash");
  if (checkpoint.chain !== link[1] || checkpoint.head_seq !== size) return answer("other_checkpoint");
  if (rootOf(leaf, index, size, path) !== checkpoint.root_hash) return answer("not_in_tree");
  let signed = false;
  try { signed = await signedBy(key, checkpoint); } catch { /* what cannot be read is no signature */ }
  return answer(signed ? "" : "key_did_not_sign");
}

// Records that were removed on purpose: audit.pruned (docs/wire-format.md, sections 6 and 7.7).
import { t } from "../messages.js";
import { encoded, hex, leafOf, nodeOf, unbase64, unhex } from "./sha256.js";
import { idOf, keysOf, signedBy, verifiedBy } from "./signatures.js";

export const LINK = /,"chain":"([0-9a-f]{16})","seq":([1-9][0-9]{0,18}),"prev_hash":"([0-9a-f]{64})","hash":"([0-9a-f]{64})"\}$/;
const SAID = ["origin", "first_seq", "last_seq", "records", "last_hash", "frontier", "size", "root_hash", "head_hash", "reason"];
const ALL = ["v", ...SAID, "carried", "sig_alg", "key_id", "signature"].sort().join();
const HASH = /^[0-9a-f]{64}$/;
const CARRIED = 256;

// The complete subtrees of a growing Merkle tree (RFC 6962, section 2.1), the smallest first.
export class Tree {
  constructor() { this.size = 0; this.levels = []; }
  static of(frontier) {
    const [size, ...roots] = frontier.split(" ");
    const tree = new Tree();
    tree.size = Number(size);
    for (let left = tree.size; left > 0; left = Math.floor(left / 2)) tree.levels.push(left % 2 ? unhex(roots.pop() ?? "") : null);
    if (String(tree.size) !== size || roots.length || tree.levels.some((one) => one && one.length !== 32)) throw new Error(t("bad_frontier"));
    return tree;
  }
  add(leaf) {
    let node = leaf, level = 0;
    for (let left = this.size; left % 2; left = (left - 1) / 2) { node = nodeOf(this.levels[level], node); this.levels[level] = null; level += 1; }
    this.levels[level] = node;
    this.size += 1;
  }
  root() {
    let root = null;
    for (const one of this.levels) if (one) root = root ? nodeOf(one, root) : one;
    return root;
  }
}

// The lines of removed records that still count, each with its number; they must be records of the chain.
function carriedBy(fields, chain) {
  let before = 0;
  return fields.carried.map((text) => {
    const line = encoded(text);
    const link = LINK.exec(text.slice(-240));
    const seq = link ? Number(link[2]) : 0;
    if (!link || link[1] !== chain || seq <= before || seq > fields.last_seq || hex(leafOf(line)) !== link[4]) throw new Error(t("bad_carried"));
    before = seq;
    return { seq, record: JSON.parse(text) };
  });
}

// What a record says about a removal; an error where it is malformed or contradicts itself.
export function removalOf({ chain, seq, hash, ts, fields }) {
  const numbers = ["v", "first_seq", "last_seq", "records", "size"].map((name) => fields?.[name]);
  if (!fields || Object.keys(fields).sort().join() !== ALL || !numbers.every(Number.isSafeInteger)) throw new Error(t("malformed"));
  const texts = [fields.origin, fields.reason, fields.sig_alg, fields.key_id, fields.signature, fields.frontier];
  if (!Array.isArray(fields.carried) || fields.carried.length > CARRIED) throw new Error(t("malformed"));
  if ([...texts, ...fields.carried].some((one) => typeof one !== "string" || one.includes("\n"))) throw new Error(t("malformed"));
  if (![fields.last_hash, fields.root_hash, fields.head_hash].every((one) => typeof one === "string" && HASH.test(one))) throw new Error(t("malformed"));
  const [v, first, last, records, size] = numbers;
  if (v !== 1 || first < 1 || first > last || last > size || size >= seq || records !== last - first + 1) throw new Error(t("contradicts"));
  if (!fields.origin.endsWith(`/${chain}`)) throw new Error(t("other_chain"));
  const tree = Tree.of(fields.frontier);
  if (tree.size !== last) throw new Error(t("contradicts"));
  const carried = carriedBy(fields, chain);
  const changes = carried.filter(({ record }) => record.event_type === "audit.key_rotated").map((one) => ({ seq: one.seq, fields: one.record.fields ?? {} }));
  return { chain, seq, hash, ts, fields, last, tree, changes };
}

// Whether one of these keys signed it: "ok", "mismatch", or "unavailable" where none has its id.
async function signedByOne(known, { seq, fields }) {
  const text = ["audit_emit removal of records, version 1", ...SAID.map((name) => fields[name]), ...fields.carried, fields.sig_alg, fields.key_id];
  for (const { key, until } of known) {
    if (fields.sig_alg !== "ed25519" || await idOf(fields.origin, key.public) !== fields.key_id) continue;
    if (fields.origin !== key.name && !fields.origin.startsWith(`${key.name}/`)) continue;
    const signed = await verifiedBy(key, encoded(text.map((one) => `${one}\n`).join("")), unbase64(fields.signature));
    return signed && until > seq ? "ok" : "mismatch";
  }
  return "unavailable";
}

// The removal that a log may begin with: the newest that the key signed, or one that took its place
// among what is gone; else the newest of which that cannot be said yet.
export async function startOf(key, records) {
  let unknown = null;
  for (const record of [...records].reverse()) {
    try {
      const removal = removalOf(record);
      const known = key ? await keysOf(key, removal.chain, removal.changes, new Map(), () => {}, removal.last) : [];
      const state = await signedByOne(known, removal);
      if (state === "ok") return removal;
      if (state === "unavailable") unknown ??= removal;
    } catch { /* it is judged where the log has it */ }
  }
  return unknown;
}

// Why a removal that a log has is not one; empty where it is, or no key is here that could say so.
export async function refused(record, known, checkpoints) {
  let removal;
  try { removal = removalOf(record); } catch (error) { return { why: error.message, state: "mismatch" }; }
  const { fields, chain } = removal;
  const state = await signedByOne(known, removal);
  if (state === "mismatch") return { why: t("key_did_not", { key: fields.key_id }), state };
  // The server gives the newest checkpoints only: of an older one that covers it nothing is known.
  const own = checkpoints.filter((one) => one?.chain === chain && Number.isSafeInteger(one.head_seq));
  if (state === "ok" && own.some((one) => one.head_seq <= fields.size)) {
    const covers = own.filter((one) => one.head_seq === fields.size && one.root_hash === fields.root_hash && one.head_hash === fields.head_hash);
    let good = false;
    for (const one of covers) for (const { key } of known) good ||= await signedBy(key, one).catch(() => false);
    if (!good) return { why: t("checkpoint_gone", { size: fields.size }), state: "mismatch" };
  }
  return { why: "", state };
}

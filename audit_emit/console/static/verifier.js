// Verifies a log from its exact bytes: every hash, every link, the Merkle root that a checkpoint
// signs, the signature by a key that the user pins, and that the log extends what was seen before.
// docs/wire-format.md, sections 2, 6 and 7. It trusts nothing that the server says of the log.
import { t } from "../messages.js";
import { hashed, hex, leafOf } from "./sha256.js";
import { keysOf, newestOf } from "./signatures.js";
import { LINK, refused, startOf, Tree } from "./removed.js";

const LINK_MOST = 240;
const ZERO = "0".repeat(64);
const KEPT = 100;
const DECLARED = 1000;
const TOLD_EVERY = 4096;
const latin = new TextDecoder("latin1");

// Whole lines out of chunks that are cut anywhere, those of a chunk together.
async function* linesOf(chunks) {
  let rest = new Uint8Array();
  for await (const chunk of chunks) {
    let data = chunk;
    if (rest.length) { data = new Uint8Array(rest.length + chunk.length); data.set(rest); data.set(chunk, rest.length); }
    const lines = [];
    let from = 0;
    for (let at = data.indexOf(10); at >= 0; at = data.indexOf(10, from)) {
      lines.push(data.subarray(from, at));
      from = at + 1;
    }
    rest = data.slice(from);
    yield lines;
  }
  if (rest.length) yield [{ torn: rest.length }];
}

// The type of a record, where it is one of those that say something of the log; it stands behind the
// 53 bytes that every record begins with.
function declaredBy(line) {
  if (line.length < 80 || line[53] !== 97 || line[58] !== 46 || (line[59] !== 107 && line[59] !== 112)) return "";
  const type = latin.decode(line.subarray(53, 72));
  return type === 'audit.key_rotated",' ? "change" : type.startsWith('audit.pruned",') ? "removal" : "";
}

function recordOf(line, link) {
  try {
    const { fields, ts } = JSON.parse(new TextDecoder().decode(line));
    if (fields && typeof fields === "object") return { ...link, fields, ts };
  } catch { /* what cannot be read says nothing */ }
  return null;
}

// The records audit.pruned of a log that does not begin with its first one, for verify().
export async function removalsIn(chunks) {
  const found = [];
  let first = true;
  for await (const lines of linesOf(chunks)) {
    for (const line of lines) {
      if (line.torn || (!first && declaredBy(line) !== "removal")) continue;
      const link = LINK.exec(latin.decode(line.subarray(Math.max(0, line.length - LINK_MOST))));
      if (!link) continue;
      if (first && link[2] === "1") return [];
      first = false;
      const record = declaredBy(line) === "removal" ? recordOf(line, { chain: link[1], seq: Number(link[2]), hash: link[4] }) : null;
      if (record) { found.push(record); if (found.length > DECLARED) found.shift(); }
    }
  }
  return found;
}

// Follows the chain line by line, and adds each record to the tree.
class Follower {
  constructor({ start, sizes, key, each, found }) {
    Object.assign(this, { start, sizes, key, each, found });
    this.tree = new Tree();
    this.roots = new Map();
    this.declared = [];
    this.chain = this.hash = "";
    this.first = this.last = this.records = this.number = 0;
    this.whole = true;
    this.left = null;
    if (sizes.has(0)) this.roots.set(0, hex(hashed(new Uint8Array())));
  }
  root() { return this.whole && this.tree.size ? hex(this.tree.root()) : ""; }
  line(line) {
    const { found } = this;
    this.number += 1;
    if (line.torn) { found("torn-tail", this.last, "", "", t("torn", { bytes: line.torn })); return; }
    const link = LINK.exec(latin.decode(line.subarray(Math.max(0, line.length - LINK_MOST))));
    if (!link) { found("malformed-line", this.last + 1, "", "", t("no_chain", { line: this.number })); return; }
    const seq = Number(link[2]);
    if (!Number.isSafeInteger(seq)) { found("malformed-line", this.last + 1, "", link[2], t("no_number", { line: this.number })); return; }
    if (!this.chain) this.begin(link, seq);
    this.placed(link, seq);
    this.last = seq;
    this.hash = link[4];
    this.records += 1;
    this.each(line, { seq, prev: link[3], hash: link[4] });
    this.declare(line, link, seq);
    this.grow(line, seq);
  }
  // Where the log begins: with its first record, behind what was removed, or nobody knows why there.
  begin(link, seq) {
    this.chain = link[1];
    this.first = seq;
    if (seq === 1) { this.start = null; this.hash = ZERO; return; }
    if (this.start?.chain !== this.chain) this.start = null;
    if (this.start && seq > this.start.last) {
      this.tree = this.start.tree;
      [this.last, this.hash] = [this.start.last, this.start.fields.last_hash];
      if (this.sizes.has(this.last)) this.roots.set(this.last, this.root());
      return;
    }
    // A removal that was interrupted has left some files of what it removed; their first link is believed.
    [this.last, this.hash] = [seq - 1, link[3]];
    if (this.start) return;
    this.whole = false;
    this.found("missing-segment", 1, "1", link[2], t("begins_late"));
  }
  placed(link, seq) {
    const { found } = this;
    if (link[1] !== this.chain) found("chain-id-mismatch", seq, this.chain, link[1]);
    // What follows a record that stands there once more, or too late, may go on from the one before it.
    const left = this.left;
    this.left = null;
    if (left && seq === left.last + 1 && link[3] === left.hash) return;
    if (seq !== this.last + 1) {
      const back = seq <= this.last;
      if (back) this.left = { last: this.last, hash: this.hash };
      const kind = back ? "sequence-duplicate" : this.records ? "sequence-gap" : "missing-segment";
      found(kind, seq, String(this.last + 1), link[2]);
    } else if (link[3] !== this.hash) found("event-prev-hash-mismatch", seq, this.hash, link[3]);
  }
  declare(line, link, seq) {
    const kind = declaredBy(line);
    if (!kind || this.declared.length >= DECLARED) return;
    const record = recordOf(line, { kind, chain: link[1], seq, hash: link[4] });
    if (record) this.declared.push(record);
  }
  grow(line, seq) {
    const leaf = leafOf(line), actual = hex(leaf);
    if (actual !== this.hash) this.found("event-hash-mismatch", seq, this.hash, actual);
    if (this.start && seq <= this.start.last) {
      if (seq < this.start.last) return;
      this.tree = this.start.tree;
      if (this.hash !== this.start.fields.last_hash) this.found("checkpoint-root-mismatch", seq, this.start.fields.last_hash, this.hash, t("other_last"));
    } else this.tree.add(leaf);
    if (this.whole && this.sizes.has(seq)) this.roots.set(seq, this.root());
  }
}

// What the records audit.pruned come to, now that all keys are known: the removal that the log begins with.
async function removedOf({ start, declared }, known, key, checkpoints, found) {
  let pruned = null, state = "";
  for (const record of declared.filter((one) => one.kind === "removal")) {
    const judged = await refused(record, known, checkpoints);
    if (judged.why) found("checkpoint-signature-mismatch", record.seq, "", "", t("bad_removal", judged));
    const is = start && record.seq === start.seq && record.hash === start.hash && JSON.stringify(record.fields) === JSON.stringify(start.fields);
    if (!is) continue;
    state = judged.state;
    pruned = { last: start.last, seq: start.seq, ts: String(record.ts), reason: start.fields.reason, checked: state === "ok" };
  }
  if (start && !(pruned && (state === "ok" || !key))) {
    found("missing-segment", 1, "1", String(start.last + 1), t(pruned ? "gone_unsigned" : "gone_undeclared", start));
    return null;
  }
  return pruned;
}

async function signedOf(log, known, checkpoints, found) {
  const newest = await newestOf(known, checkpoints, log.chain, found);
  const floor = log.start?.last ?? 0;
  if (!newest) found("not-anchored", log.last, "", "", t("no_checkpoint"));
  else if (newest.head_seq > log.last) found("truncated", newest.head_seq, String(newest.head_seq), String(log.last), t("more_signed"));
  else if (!log.whole) found("not-anchored", log.first, "1", String(log.first), t("no_root"));
  else if (newest.head_seq < floor) found("not-anchored", log.last, "", "", t("signed_is_gone"));
  else if (log.roots.get(newest.head_seq) !== newest.root_hash) found("checkpoint-root-mismatch", newest.head_seq, newest.root_hash, log.roots.get(newest.head_seq) ?? "");
  else return { seq: newest.head_seq, at: newest.at, origin: newest.origin, unsigned: log.last - newest.head_seq, changes: known.length - 1 };
  return null;
}

// Whether the log extends what was seen before; null where nothing was, or a key says that it was removed
// since. What no key says of a removal anybody can write who wants another past to be forgotten.
function extensionOf(log, remembered, pruned, found) {
  if (!remembered) return null;
  if (remembered.chain !== log.chain) {
    found("chain-id-mismatch", remembered.size, remembered.chain, log.chain, t("another_log"));
    return false;
  }
  if (log.start && remembered.size < log.start.last) {
    if (pruned?.checked) return null;
    found("missing-segment", remembered.size, remembered.root, "", t("seen_is_gone"));
    return false;
  }
  if (log.last >= remembered.size && log.roots.get(remembered.size) === remembered.root) return true;
  found("truncated", remembered.size, remembered.root, log.roots.get(remembered.size) ?? "", t("not_extended"));
  return false;
}

/*
 * Verify a log.
 *   chunks       async iterable of Uint8Array: the log from the first record that is there on
 *   checkpoints  the lines of checkpoints.jsonl, parsed
 *   key          from parseKey, or null: then nothing is signed
 *   remembered   { chain, size, root } of an earlier time, or null
 *   progress     called with the number of records so far
 *   sizes        sizes whose roots are wanted as well
 *   removals     its records audit.pruned, oldest first: { chain, seq, hash, ts, fields }. They say only
 *                where it may begin; they are judged as the log has them.
 *   each         called with the bytes of each record and { seq, prev, hash }; the bytes are only lent
 * Returns { records, chain, first, last, hash, root, roots, findings, count, empty, signed, extends, pruned }.
 */
export async function verify({ chunks, checkpoints = [], key = null, remembered = null, progress = () => {}, sizes: more = [], removals = [], each = () => {} }) {
  const findings = [];
  let count = 0;
  const found = (kind, seq, expected, actual, note = "") => {
    count += 1;
    if (findings.length < KEPT) findings.push({ kind, seq, expected, actual, note });
  };
  const sizes = new Set([...checkpoints.map((one) => one?.head_seq).filter(Number.isSafeInteger), ...more]);
  if (remembered) sizes.add(remembered.size);
  const log = new Follower({ start: await startOf(key, removals), sizes, key, each, found });
  let told = 0;
  for await (const lines of linesOf(chunks)) {
    for (const line of lines) log.line(line);
    if (log.records >= told + TOLD_EVERY) { told = log.records; progress(told); }
  }
  progress(log.records);
  if (!log.chain) found("nothing-found", 0, "", "", t("no_record"));
  const signs = key && (log.chain || checkpoints.length > 0);
  const changes = [...log.start?.changes ?? [], ...log.declared.filter((one) => one.kind === "change")];
  const known = key ? await keysOf(key, log.chain, changes, log.roots, found, log.start?.last ?? 0) : [];
  const pruned = await removedOf(log, known, key, checkpoints, found);
  const signed = signs ? await signedOf(log, known, checkpoints, found) : null;
  const extended = extensionOf(log, remembered, pruned, found);
  const { records, chain, first, last, hash, roots } = log;
  // Nothing is there, and nothing says that there ever was: neither a fault nor a log that holds.
  const empty = count === 1 && !chain && !checkpoints.length;
  return { records, chain, first, last, hash, root: log.root(), roots, findings, count, empty, signed, extends: extended, pruned };
}

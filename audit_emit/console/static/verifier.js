// Verifies a log from its exact bytes: every hash, every link, the Merkle root that a checkpoint
// signs, the signature by a key that the user pins, and that the log extends what was seen before.
// docs/wire-format.md, sections 2, 6 and 7. It trusts nothing that the server says of the log.
const LINK = /,"chain":"([0-9a-f]{16})","seq":([1-9][0-9]{0,18}),"prev_hash":"([0-9a-f]{64})","hash":"([0-9a-f]{64})"\}$/;
const LINK_MOST = 240;
const HASH_MEMBER = 75;
const ZERO = "0".repeat(64);
const BATCH = 2048;
const KEPT = 100;
const CHANGES = 1000;
const latin = new TextDecoder("latin1");
const utf8 = new TextEncoder();

export const sha256 = async (bytes) => new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
export const hex = (bytes) => Array.from(bytes, (one) => one.toString(16).padStart(2, "0")).join("");
const unhex = (text) => Uint8Array.from(text.match(/../g) ?? [], (two) => parseInt(two, 16));
const base64 = (bytes) => btoa(String.fromCharCode(...bytes));
export const unbase64 = (text) => Uint8Array.from(atob(text), (one) => one.charCodeAt(0));

export const encoded = (text) => utf8.encode(text);

function prefixed(number, ...parts) {
  const whole = new Uint8Array(1 + parts.reduce((sum, one) => sum + one.length, 0));
  whole[0] = number;
  let at = 1;
  for (const part of parts) { whole.set(part, at); at += part.length; }
  return whole;
}

// The complete subtrees of a growing Merkle tree (RFC 6962, section 2.1).
class Tree {
  constructor() { this.size = 0; this.levels = []; }
  async add(leaves) {
    this.size += leaves.length;
    let row = leaves;
    for (let level = 0; row.length; level += 1) {
      if (this.levels[level]) row = [this.levels[level], ...row];
      this.levels[level] = row.length % 2 ? row[row.length - 1] : null;
      const pairs = [];
      for (let at = 0; at + 1 < row.length; at += 2) pairs.push(sha256(prefixed(1, row[at], row[at + 1])));
      row = await Promise.all(pairs);
    }
  }
  async root() {
    let root = null;
    for (const one of this.levels) {
      if (one) root = root ? await sha256(prefixed(1, one, root)) : one;
    }
    return root ?? sha256(new Uint8Array());
  }
}

// Whole lines out of chunks that are cut anywhere.
async function* linesOf(chunks) {
  let rest = new Uint8Array();
  for await (const chunk of chunks) {
    let data = chunk;
    if (rest.length) { data = new Uint8Array(rest.length + chunk.length); data.set(rest); data.set(chunk, rest.length); }
    let from = 0;
    for (let at = data.indexOf(10); at >= 0; at = data.indexOf(10, from)) {
      yield data.subarray(from, at);
      from = at + 1;
    }
    rest = data.slice(from);
  }
  if (rest.length) yield { torn: rest.length };
}

// The id of a key under a name (C2SP signed-note): SHA-256(name || 0x0A || 0x01 || key), 4 bytes.
async function idOf(name, key) {
  const whole = prefixed(0, utf8.encode(name), Uint8Array.of(10, 1), key).subarray(1);
  return hex((await sha256(whole)).subarray(0, 4));
}

// A C2SP verifier key: name, id, public key.
export async function parseKey(text) {
  const found = /^([!-*,-~]{1,255})\+([0-9a-f]{8})\+([A-Za-z0-9+/]+=*)$/.exec(text.trim());
  if (!found) throw new Error("this is no verifier key (name+id+base64)");
  const data = unbase64(found[3]);
  if (data.length !== 33 || data[0] !== 1) throw new Error("this is no verifier key of Ed25519");
  const id = await idOf(found[1], data.subarray(1));
  if (id !== found[2]) throw new Error("the id of this verifier key is not its own");
  return { name: found[1], id, public: data.subarray(1) };
}

// As OpenSSH shows the key: the hash of "ssh-ed25519" and the key, each after its length.
export async function fingerprint(key) {
  const type = utf8.encode("ssh-ed25519");
  const length = (number) => Uint8Array.of(0, 0, 0, number);
  const blob = prefixed(0, length(type.length), type, length(32), key.public).subarray(1);
  return `SHA256:${base64(await sha256(blob)).replace(/=+$/, "")}`;
}

export async function verifiedBy(key, text, signature) {
  const imported = await crypto.subtle.importKey("raw", key.public, { name: "Ed25519" }, false, ["verify"]);
  return crypto.subtle.verify({ name: "Ed25519" }, imported, signature, text);
}

async function signedBy(key, one) {
  const named = one.origin === key.name || one.origin.startsWith(`${key.name}/`);
  if (!named || one.sig_alg !== "ed25519") return false;
  if (await idOf(one.origin, key.public) !== one.key_id) return false;
  const text = utf8.encode(`${one.origin}\n${one.head_seq}\n${base64(unhex(one.root_hash))}\n`);
  return verifiedBy(key, text, unbase64(one.signature));
}

// The newest checkpoint of a chain that a key has signed.
export async function newestSigned(key, checkpoints, chain, most) {
  const newest = checkpoints.filter((one) => Number.isSafeInteger(one?.head_seq)).sort((a, b) => b.head_seq - a.head_seq);
  for (const one of newest) {
    try {
      if (one.chain === chain && one.head_seq <= most && await signedBy(key, one)) return one;
    } catch { /* a line that cannot be read is no signature */ }
  }
  return null;
}

// A record audit.key_rotated, as its type stands behind the 53 bytes that every record begins with.
const isChange = (line) => line.length > 80 && line[53] === 97 && line[59] === 107 &&
  latin.decode(line.subarray(53, 72)) === 'audit.key_rotated",';

const MEMBERS = ["origin", "old_alg", "old_key_id", "new_alg", "new_key_id", "new_key"];

// The key that a change hands over to; null where another key than ours made it (section 6).
async function handedOver(key, chain, fields, roots) {
  const { origin } = fields;
  const named = typeof origin === "string" && (origin === key.name || origin.startsWith(`${key.name}/`));
  if (!named || !origin.endsWith(`/${chain}`) || fields.old_alg !== "ed25519") return null;
  if (await idOf(origin, key.public) !== fields.old_key_id) return null;
  const second = "size" in fields || "root_hash" in fields;
  const values = [...MEMBERS.map((name) => fields[name]), ...(second ? [fields.size, fields.root_hash] : [])];
  const text = [`audit_emit change of key, version ${second ? 2 : 1}`, ...values].map((one) => `${one}\n`).join("");
  if (values.some((one) => String(one).includes("\n"))) throw new Error("it is malformed");
  if (!await verifiedBy(key, utf8.encode(text), unbase64(fields.signature))) throw new Error("the key that it replaces did not sign it");
  if (second && roots.get(fields.size) !== fields.root_hash) throw new Error("it was made for another tree");
  if (fields.new_alg !== "ed25519") throw new Error("the new key is shared (HMAC): give that one to audit-emit verify");
  const next = await parseKey(fields.new_key);
  if (next.name !== origin || next.id !== fields.new_key_id) throw new Error("it names another key than it says");
  return next;
}

// The pinned key and those that took its place, each with the sizes that it may sign.
async function keysOf(key, chain, changes, roots, found) {
  const known = [{ key, from: 0, until: Infinity }];
  for (const { seq, fields } of changes) {
    const newest = known[known.length - 1];
    try {
      const next = await handedOver(newest.key, chain, fields, roots);
      if (!next) continue;
      newest.until = seq;
      known.push({ key: next, from: seq, until: Infinity });
    } catch (error) {
      found("checkpoint-signature-mismatch", seq, "", "", `a change of key was not followed: ${error.message}`);
    }
  }
  return known;
}

// The newest checkpoint that one of these keys signed while it was the newest one.
async function newestOf(known, checkpoints, chain, found) {
  let newest = null;
  for (const { key, from, until } of known) {
    const late = until === Infinity ? null : await newestSigned(key, checkpoints.filter((one) => one?.head_seq >= until), chain, Number.MAX_SAFE_INTEGER);
    if (late) found("checkpoint-signature-mismatch", late.head_seq, "", "", `key ${key.id} signed it after it was replaced`);
    const own = await newestSigned(key, checkpoints.filter((one) => one?.head_seq >= from && one.head_seq < until), chain, Number.MAX_SAFE_INTEGER);
    if (own && (!newest || own.head_seq > newest.head_seq)) newest = own;
  }
  return newest;
}

/*
 * Verify a log.
 *   chunks       async iterable of Uint8Array: the log from its first record on
 *   checkpoints  the lines of checkpoints.jsonl, parsed
 *   key          from parseKey, or null: then nothing is signed
 *   remembered   { chain, size, root } of an earlier time, or null
 *   progress     called with the number of records so far
 *   sizes        sizes whose roots are wanted as well
 *   each         called with the bytes of each record and { seq, prev, hash }; the bytes are only lent
 * Returns { records, chain, first, last, hash, root, roots, findings, count, signed, extends }.
 */
export async function verify({ chunks, checkpoints = [], key = null, remembered = null, progress = () => {}, sizes: more = [], each = () => {} }) {
  const tree = new Tree();
  const findings = [];
  let count = 0;
  const found = (kind, seq, expected, actual, note = "") => {
    count += 1;
    if (findings.length < KEPT) findings.push({ kind, seq, expected, actual, note });
  };
  const roots = new Map();
  const sizes = new Set(checkpoints.map((one) => one?.head_seq).filter(Number.isSafeInteger));
  if (remembered) sizes.add(remembered.size);
  for (const one of more) sizes.add(one);
  if (sizes.has(0)) roots.set(0, hex(await tree.root()));
  const changes = [];
  let chain = "", first = 0, last = 0, hash = "", batch = [], number = 0;

  const flush = async () => {
    const hashes = await Promise.all(batch.map((one) => sha256(one.body)));
    let group = [];
    for (let at = 0; at < batch.length; at += 1) {
      const actual = hex(hashes[at]);
      if (actual !== batch[at].hash) found("event-hash-mismatch", batch[at].seq, batch[at].hash, actual);
      group.push(hashes[at]);
      if (sizes.has(batch[at].seq)) {
        await tree.add(group);
        group = [];
        if (first === 1) roots.set(batch[at].seq, hex(await tree.root()));
      }
    }
    await tree.add(group);
    batch = [];
    progress(tree.size);
  };

  for await (const line of linesOf(chunks)) {
    number += 1;
    if (line.torn) { found("torn-tail", last, "", "", `${line.torn} bytes at the end without a newline`); continue; }
    const end = latin.decode(line.subarray(Math.max(0, line.length - LINK_MOST)));
    const link = LINK.exec(end);
    if (!link) { found("malformed-line", last + 1, "", "", `line ${number} is in no chain`); continue; }
    const seq = Number(link[2]);
    if (!Number.isSafeInteger(seq)) { found("malformed-line", last + 1, "", link[2], `line ${number} has a number that no log reaches`); continue; }
    if (!chain) {
      chain = link[1];
      first = seq;
      if (seq !== 1) found("missing-segment", 1, "1", link[2], "the log does not begin with its first record");
      if (seq === 1 && link[3] !== ZERO) found("event-prev-hash-mismatch", seq, ZERO, link[3]);
    } else {
      if (link[1] !== chain) found("chain-id-mismatch", seq, chain, link[1]);
      if (seq !== last + 1) found(seq > last ? "sequence-gap" : "sequence-duplicate", last + 1, String(last + 1), link[2]);
      if (link[3] !== hash) found("event-prev-hash-mismatch", seq, hash, link[3]);
    }
    last = seq;
    hash = link[4];
    each(line, { seq, prev: link[3], hash });
    if (key && isChange(line) && changes.length < CHANGES) {
      try {
        const { fields } = JSON.parse(new TextDecoder().decode(line));
        if (fields && typeof fields === "object") changes.push({ seq, fields });
      } catch { /* what cannot be read changes no key */ }
    }
    const body = new Uint8Array(line.length - HASH_MEMBER + 2);
    body.set(line.subarray(0, line.length - HASH_MEMBER), 1);
    body[body.length - 1] = 125;
    batch.push({ seq, hash, body });
    if (batch.length === BATCH) await flush();
  }
  await flush();

  if (!chain) found("nothing-found", 0, "", "", "there is no record");
  const root = first === 1 ? hex(await tree.root()) : "";
  let signed = null;
  if (key) {
    const known = await keysOf(key, chain, changes, roots, found);
    const newest = await newestOf(known, checkpoints, chain, found);
    if (!newest) found("not-anchored", last, "", "", "no checkpoint is signed by the pinned key");
    else if (newest.head_seq > last) found("truncated", newest.head_seq, String(newest.head_seq), String(last), "more was signed than is there");
    else if (first !== 1) found("not-anchored", first, "1", String(first), "the log begins later: its root cannot be computed");
    else if (roots.get(newest.head_seq) !== newest.root_hash) found("checkpoint-root-mismatch", newest.head_seq, newest.root_hash, roots.get(newest.head_seq));
    else signed = { seq: newest.head_seq, at: newest.at, origin: newest.origin, unsigned: last - newest.head_seq, changes: known.length - 1 };
  }
  let extended = null;
  if (remembered && remembered.chain !== chain) {
    extended = false;
    found("chain-id-mismatch", remembered.size, remembered.chain, chain, "this browser saw another log here before");
  } else if (remembered) {
    extended = last >= remembered.size && roots.get(remembered.size) === remembered.root;
    if (!extended) found("truncated", remembered.size, remembered.root, roots.get(remembered.size) ?? "", "the log no longer extends what this browser saw before");
  }
  return { records: tree.size, chain, first, last, hash, root, roots, findings, count, signed, extends: extended };
}

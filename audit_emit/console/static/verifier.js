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

// SHA-256 (FIPS 180-4) without a promise for each hash: those cost more than a record's hash does.
const PRIMES = [];
for (let one = 2; PRIMES.length < 64; one += 1) if (PRIMES.every((each) => one % each)) PRIMES.push(one);
const fraction = (number) => Math.floor((number - Math.floor(number)) * 2 ** 32);
const ROUNDS = Int32Array.from(PRIMES, (one) => fraction(Math.cbrt(one)) | 0);
const START = Int32Array.from(PRIMES.slice(0, 8), (one) => fraction(Math.sqrt(one)) | 0);
const words = new Int32Array(64);
const state = new Int32Array(8);
const tail = new Uint8Array(128);

function compress(data, begin) {
  for (let i = 0, at = begin; i < 16; i += 1, at += 4) {
    words[i] = (data[at] << 24) | (data[at + 1] << 16) | (data[at + 2] << 8) | data[at + 3];
  }
  for (let i = 16; i < 64; i += 1) {
    const x = words[i - 15], y = words[i - 2];
    const low = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
    const high = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
    words[i] = (words[i - 16] + low + words[i - 7] + high) | 0;
  }
  let a = state[0], b = state[1], c = state[2], d = state[3], e = state[4], f = state[5], g = state[6], h = state[7];
  for (let i = 0; i < 64; i += 1) {
    const big = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
    const first = (h + big + ((e & f) ^ (~e & g)) + ROUNDS[i] + words[i]) | 0;
    const small = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
    const second = (small + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g; g = f; f = e; e = (d + first) | 0; d = c; c = b; b = a; a = (first + second) | 0;
  }
  state[0] += a; state[1] += b; state[2] += c; state[3] += d; state[4] += e; state[5] += f; state[6] += g; state[7] += h;
}

export function hashed(bytes) {
  state.set(START);
  const whole = bytes.length - (bytes.length % 64);
  for (let at = 0; at < whole; at += 64) compress(bytes, at);
  const rest = bytes.length - whole, end = rest < 56 ? 64 : 128;
  tail.fill(0);
  tail.set(bytes.subarray(whole));
  tail[rest] = 128;
  const bits = bytes.length * 8, high = Math.floor(bits / 2 ** 32);
  for (let i = 0; i < 4; i += 1) { tail[end - 1 - i] = bits >>> (8 * i); tail[end - 5 - i] = high >>> (8 * i); }
  for (let at = 0; at < end; at += 64) compress(tail, at);
  const made = new Uint8Array(32);
  for (let i = 0; i < 8; i += 1) {
    made[4 * i] = state[i] >>> 24; made[4 * i + 1] = state[i] >>> 16; made[4 * i + 2] = state[i] >>> 8; made[4 * i + 3] = state[i];
  }
  return made;
}

// The complete subtrees of a growing Merkle tree (RFC 6962, section 2.1).
class Tree {
  constructor() { this.size = 0; this.levels = []; }
  add(leaves) {
    this.size += leaves.length;
    let row = leaves;
    for (let level = 0; row.length; level += 1) {
      if (this.levels[level]) row = [this.levels[level], ...row];
      this.levels[level] = row.length % 2 ? row[row.length - 1] : null;
      const pairs = [];
      for (let at = 0; at + 1 < row.length; at += 2) pairs.push(hashed(prefixed(1, row[at], row[at + 1])));
      row = pairs;
    }
  }
  root() {
    let root = null;
    for (const one of this.levels) {
      if (one) root = root ? hashed(prefixed(1, one, root)) : one;
    }
    return root ?? hashed(new Uint8Array());
  }
}

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
  if (sizes.has(0)) roots.set(0, hex(tree.root()));
  const changes = [];
  let chain = "", first = 0, last = 0, hash = "", batch = [], number = 0;

  const flush = () => {
    const hashes = batch.map((one) => hashed(one.body));
    let group = [];
    for (let at = 0; at < batch.length; at += 1) {
      const actual = hex(hashes[at]);
      if (actual !== batch[at].hash) found("event-hash-mismatch", batch[at].seq, batch[at].hash, actual);
      group.push(hashes[at]);
      if (sizes.has(batch[at].seq)) {
        tree.add(group);
        group = [];
        if (first === 1) roots.set(batch[at].seq, hex(tree.root()));
      }
    }
    tree.add(group);
    batch = [];
    progress(tree.size);
  };

  const look = (line) => {
    number += 1;
    if (line.torn) { found("torn-tail", last, "", "", `${line.torn} bytes at the end without a newline`); return; }
    const end = latin.decode(line.subarray(Math.max(0, line.length - LINK_MOST)));
    const link = LINK.exec(end);
    if (!link) { found("malformed-line", last + 1, "", "", `line ${number} is in no chain`); return; }
    const seq = Number(link[2]);
    if (!Number.isSafeInteger(seq)) { found("malformed-line", last + 1, "", link[2], `line ${number} has a number that no log reaches`); return; }
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
    if (batch.length === BATCH) flush();
  };
  for await (const lines of linesOf(chunks)) lines.forEach(look);
  flush();

  if (!chain) found("nothing-found", 0, "", "", "there is no record");
  const root = first === 1 ? hex(tree.root()) : "";
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

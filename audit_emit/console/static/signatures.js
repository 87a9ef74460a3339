// Keys that a user pins, what they signed, and which keys took their place (docs/wire-format.md,
// section 6). Nothing that the server says of a key is believed.
import { t } from "../messages.js";
import { base64, encoded, hex, unbase64, unhex } from "./sha256.js";

export const sha256 = async (bytes) => new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));

export function joined(...parts) {
  const whole = new Uint8Array(parts.reduce((sum, one) => sum + one.length, 0));
  let at = 0;
  for (const part of parts) { whole.set(part, at); at += part.length; }
  return whole;
}

// The id of a key under a name (C2SP signed-note): SHA-256(name || 0x0A || 0x01 || key), 4 bytes.
export async function idOf(name, key) {
  const whole = joined(encoded(name), Uint8Array.of(10, 1), key);
  return hex((await sha256(whole)).subarray(0, 4));
}

// A C2SP verifier key: name, id, public key.
export async function parseKey(text) {
  const found = /^([!-*,-~]{1,255})\+([0-9a-f]{8})\+([A-Za-z0-9+/]+=*)$/.exec(text.trim());
  if (!found) throw new Error(t("no_key"));
  const data = unbase64(found[3]);
  if (data.length !== 33 || data[0] !== 1) throw new Error(t("no_ed25519"));
  const id = await idOf(found[1], data.subarray(1));
  if (id !== found[2]) throw new Error(t("other_id"));
  return { name: found[1], id, public: data.subarray(1) };
}

// As OpenSSH shows the key: the hash of "ssh-ed25519" and the key, each after its length.
export async function fingerprint(key) {
  const type = encoded("ssh-ed25519");
  const length = (number) => Uint8Array.of(0, 0, 0, number);
  const blob = joined(length(type.length), type, length(32), key.public);
  return `SHA256:${base64(await sha256(blob)).replace(/=+$/, "")}`;
}

export async function verifiedBy(key, text, signature) {
  const imported = await crypto.subtle.importKey("raw", key.public, { name: "Ed25519" }, false, ["verify"]);
  return crypto.subtle.verify({ name: "Ed25519" }, imported, signature, text);
}

export async function signedBy(key, one) {
  const named = one.origin === key.name || one.origin.startsWith(`${key.name}/`);
  if (!named || one.sig_alg !== "ed25519") return false;
  if (await idOf(one.origin, key.public) !== one.key_id) return false;
  const text = encoded(`${one.origin}\n${one.head_seq}\n${base64(unhex(one.root_hash))}\n`);
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

const MEMBERS = ["origin", "old_alg", "old_key_id", "new_alg", "new_key_id", "new_key"];

// The key that a change hands over to; null where another key than ours made it (section 6).
async function handedOver(key, chain, fields, roots, floor) {
  const { origin } = fields;
  const named = typeof origin === "string" && (origin === key.name || origin.startsWith(`${key.name}/`));
  if (!named || !origin.endsWith(`/${chain}`) || fields.old_alg !== "ed25519") return null;
  if (await idOf(origin, key.public) !== fields.old_key_id) return null;
  const second = "size" in fields || "root_hash" in fields;
  const values = [...MEMBERS.map((name) => fields[name]), ...(second ? [fields.size, fields.root_hash] : [])];
  const text = [`audit_emit change of key, version ${second ? 2 : 1}`, ...values].map((one) => `${one}\n`).join("");
  if (values.some((one) => String(one).includes("\n"))) throw new Error(t("malformed"));
  if (!await verifiedBy(key, encoded(text), unbase64(fields.signature))) throw new Error(t("old_did_not"));
  if (second && fields.size > floor && roots.get(fields.size) !== fields.root_hash) throw new Error(t("other_tree"));
  if (fields.new_alg !== "ed25519") throw new Error(t("shared_key"));
  const next = await parseKey(fields.new_key);
  if (next.name !== origin || next.id !== fields.new_key_id) throw new Error(t("other_key"));
  return next;
}

// The pinned key and those that took its place, each with the sizes that it may sign. Of trees up to
// the size floor no root is known: their records were removed.
export async function keysOf(key, chain, changes, roots, found, floor = 0) {
  const known = [{ key, from: 0, until: Infinity }];
  for (const { seq, fields } of changes) {
    const newest = known[known.length - 1];
    try {
      const next = await handedOver(newest.key, chain, fields, roots, floor);
      if (!next) continue;
      newest.until = seq;
      known.push({ key: next, from: seq, until: Infinity });
    } catch (error) {
      found("checkpoint-signature-mismatch", seq, "", "", t("not_followed", { why: error.message }));
    }
  }
  return known;
}

// The newest checkpoint that one of these keys signed while it was the newest one.
export async function newestOf(known, checkpoints, chain, found) {
  let newest = null;
  for (const { key, from, until } of known) {
    const late = until === Infinity ? null : await newestSigned(key, checkpoints.filter((one) => one?.head_seq >= until), chain, Number.MAX_SAFE_INTEGER);
    if (late) found("checkpoint-signature-mismatch", late.head_seq, "", "", t("signed_late", { key: key.id }));
    const own = await newestSigned(key, checkpoints.filter((one) => one?.head_seq >= from && one.head_seq < until), chain, Number.MAX_SAFE_INTEGER);
    if (own && (!newest || own.head_seq > newest.head_seq)) newest = own;
  }
  return newest;
}

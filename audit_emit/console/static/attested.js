// Checks an attestation about records of a log (docs/attestation.md): its signature by a key that the
// user pins, and every member of its predicate, computed again from the exact bytes of the log.
import { t } from "../messages.js";
import { encoded, hex, unbase64 } from "./sha256.js";
import { fingerprint, joined, newestSigned, sha256, verifiedBy } from "./signatures.js";
import { verify } from "./verifier.js";

const STATEMENT = "https://in-toto.io/Statement/v1";
const PREDICATE = "urn:audit-emit:attestation:log-segment:v1";
const PAYLOAD = "application/vnd.in-toto+json";
const MOST_SIGNED = 4096;
const [FEW, MANY, NAMES, LONGEST, CONFIGURATIONS] = [4, 12, 10000, 128, 4];
const LARGEST = 256 * 1024 * 1024;
const TOOL_CALLS = new Set(["agent.tool_called", "mcp.tool_called"]);
const HELD_BACK = /\[redacted\]|hmac-sha256:[0-9a-f]{8}:[0-9a-f]{16}/g;
const latin = new TextDecoder("latin1");
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function pae(type, payload) {
  return joined(encoded(`DSSEv1 ${encoded(type).length} ${type} ${payload.length} `), payload);
}

// The envelope in a file, bare or in a Sigstore bundle, and the statement in it.
export function parse(text) {
  let found = JSON.parse(text);
  found = found?.dsseEnvelope ?? found;
  const [signed] = found?.signatures ?? [];
  if (found?.signatures?.length !== 1 || found.payloadType !== PAYLOAD) throw new Error(t("no_attestation"));
  const payload = unbase64(found.payload);
  const statement = JSON.parse(utf8.decode(payload));
  const said = statement?.predicate;
  if (statement?._type !== STATEMENT || statement.predicateType !== PREDICATE || typeof said !== "object") throw new Error(t("not_about"));
  const numbers = [said.firstSeq, said.lastSeq, said.checkpoint?.size];
  if (!numbers.every(Number.isSafeInteger) || !(numbers[0] >= 1 && numbers[0] <= numbers[1] && numbers[1] <= numbers[2])) throw new Error(t("bad_attestation"));
  return { payload, statement, said, keyId: signed.keyid ?? "", signature: unbase64(signed.sig) };
}

const name = (value) => (typeof value === "string" ? [...value].slice(0, LONGEST).join("") : "other");
function count(into, value) {
  const text = name(value);
  if (into.has(text) || into.size < NAMES) into.set(text, (into.get(text) ?? 0) + 1);
}

function points(one, other) {
  const [a, b] = [[...one], [...other]];
  for (let at = 0; at < Math.min(a.length, b.length); at += 1) {
    const by = a[at].codePointAt(0) - b[at].codePointAt(0);
    if (by) return by;
  }
  return a.length - b.length;
}

// The most frequent names, and the others together.
function counts(map, most) {
  const kept = [...map].sort((a, b) => b[1] - a[1] || points(a[0], b[0])).slice(0, most);
  const others = [...map.values()].reduce((sum, one) => sum + one, 0) - kept.reduce((sum, one) => sum + one[1], 0);
  const sorted = kept.sort((a, b) => points(a[0], b[0]));
  return Object.fromEntries(others ? [...sorted, ["(others)", others]] : sorted);
}
const names = (map, most) => Object.keys(counts(map, Math.min(most, FEW))).filter((one) => one !== "(others)");

// Counts the records that an attestation is about, as audit_emit/_attestation/tally.py does.
class Tally {
  constructor(said) {
    this.said = said;
    this.parts = [];
    this.size = this.records = this.heldBack = 0;
    this.first = this.last = null;
    [this.types, this.outcomes, this.calls, this.models, this.platforms] = Array.from({ length: 5 }, () => new Map());
    [this.sure, this.maybe] = [new Map(), new Map()];
    this.configurations = [];
    this.named = [];
  }
  line(bytes, link) {
    const { said } = this;
    if (link.seq > said.checkpoint.size) return;
    const run = "correlationId" in said;
    let record = {};
    try { record = JSON.parse(utf8.decode(bytes)); } catch { /* it says nothing */ }
    const fields = record.fields !== null && typeof record.fields === "object" && !Array.isArray(record.fields) ? record.fields : {};
    if (record.event_type === "audit.recovered") count(this.maybe, "recovered-tear");
    else if (record.event_type === "audit.gap" && fields.lost) count(this.maybe, "declared-gap");
    const digest = fields.config_hash;
    if (record.event_type === "audit.started" && typeof digest === "string" && digest.length <= 64) {
      this.configurations = [...this.configurations.filter((one) => one !== digest), digest].slice(-CONFIGURATIONS);
    }
    const wanted = run ? record.correlation_id === said.correlationId : link.seq >= said.firstSeq && link.seq <= said.lastSeq;
    if (!wanted) { if (!this.first) this.maybe.clear(); return; }
    this.add(bytes, link, record, fields);
  }
  add(bytes, link, record, fields) {
    this.first ??= { ...link, ts: record.ts };
    this.last = { ...link, ts: record.ts };
    this.records += 1;
    this.size += bytes.length + 1;
    if (this.size > LARGEST) throw new Error(t("too_many"));
    this.parts.push(bytes.slice());
    const type = typeof record.event_type === "string" ? record.event_type : "";
    count(this.types, record.event_type);
    if ("outcome" in fields) count(this.outcomes, fields.outcome);
    if (TOOL_CALLS.has(type)) count(this.calls, "outcome" in fields ? fields.outcome : "unknown");
    if (type.startsWith("agent.")) {
      if (typeof fields.model === "string") count(this.models, fields.model);
      if (typeof fields.platform === "string") count(this.platforms, fields.platform);
    }
    this.heldBack += latin.decode(bytes).match(HELD_BACK)?.length ?? 0;
    for (const [kind, more] of this.maybe) this.sure.set(kind, (this.sure.get(kind) ?? 0) + more);
    this.maybe.clear();
    this.named = [...this.configurations].sort();
  }
  async digest() {
    const whole = new Uint8Array(this.size);
    let at = 0;
    for (const part of this.parts) { whole.set(part, at); whole[at + part.length] = 10; at += part.length + 1; }
    return hex(await sha256(whole));
  }
  statement(digest, roots, checkpoint, most) {
    const { said, first, last } = this;
    const run = "correlationId" in said;
    return {
      _type: STATEMENT,
      subject: [{ name: `${checkpoint.origin}#${run ? "correlation:" : ""}${first.seq}-${last.seq}`, digest: { sha256: digest } }],
      predicateType: PREDICATE,
      predicate: {
        origin: checkpoint.origin,
        chain: checkpoint.chain,
        ...(run ? { correlationId: said.correlationId } : {}),
        firstSeq: first.seq,
        lastSeq: last.seq,
        records: this.records,
        bytes: this.size,
        firstTime: first.ts,
        lastTime: last.ts,
        prevHash: first.prev,
        firstHash: first.hash,
        lastHash: last.hash,
        rootBefore: roots.get(first.seq - 1),
        rootAfter: roots.get(last.seq),
        checkpoint: { size: checkpoint.head_seq, rootHash: checkpoint.root_hash, keyId: checkpoint.key_id },
        findings: counts(this.sure, Infinity),
        eventTypes: counts(this.types, most),
        outcomes: counts(this.outcomes, most ? FEW : 0),
        agent: {
          models: names(this.models, most),
          platforms: names(this.platforms, most),
          toolCalls: counts(this.calls, most ? FEW : 0),
          secretsHeldBack: this.heldBack,
        },
        configurations: this.named,
        // What the policy was, nobody can tell from the log; it is shown as it was said.
        ...("policy" in said ? { policy: { digest: { sha256: said.policy?.digest?.sha256 } } } : {}),
        generatedAt: said.generatedAt,
        generatedBy: said.generatedBy,
      },
    };
  }
}

const ascii = (value) => JSON.stringify(value).replace(/[\u007f-\uffff]/g, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`);
function sorted(value) {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.keys(value).sort().map((one) => [one, sorted(value[one])]));
}
const shown = (value) => (value === undefined ? t("nothing") : JSON.stringify(sorted(value)));

function* differences(said, found) {
  const flat = (one) => ({ ...one, ...Object.fromEntries(Object.entries(one.predicate).map(([key, value]) => [`predicate.${key}`, value])), predicate: undefined });
  const [a, b] = [flat(said), flat(found)];
  for (const key of new Set([...Object.keys(a), ...Object.keys(b)])) {
    if (shown(a[key]) !== shown(b[key])) yield { member: key, attested: shown(a[key]), log: shown(b[key]) };
  }
}

/*
 * Check an attestation.
 *   text         of its file
 *   chunks, checkpoints, removals, progress   as of verify()
 *   key          from parseKey
 * Returns { ok, why, said, differences }.
 */
export async function check({ text, key, chunks, checkpoints, removals, progress }) {
  const found = parse(text);
  const answer = (why, more = []) => ({ ok: !why, why, said: found.said, differences: more });
  if (found.keyId && found.keyId !== await fingerprint(key)) return answer(t("by_other_key", { key: found.keyId }));
  if (!await verifiedBy(key, pae(PAYLOAD, found.payload), found.signature)) return answer(t("not_by_pinned"));
  const { size } = found.said.checkpoint;
  const sizes = checkpoints.filter((one) => one?.head_seq === size);
  const tally = new Tally(found.said);
  const log = await verify({
    chunks, progress, removals, checkpoints: sizes, key: null,
    sizes: [found.said.firstSeq - 1, found.said.lastSeq],
    each: (bytes, link) => tally.line(bytes, link),
  });
  if (log.count) return answer(t("log_does_not", log.findings[0]));
  const checkpoint = await newestSigned(key, sizes, log.chain, size);
  if (!checkpoint) return answer(t("no_such_checkpoint", { size }));
  if (log.roots.get(size) !== checkpoint.root_hash) return answer(t("does_not_fit", { size }));
  if (!tally.first) return answer(t("no_such_records"));
  const digest = await tally.digest();
  for (const most of [MANY, FEW, 0]) {
    const statement = tally.statement(digest, log.roots, checkpoint, most);
    if (pae(PAYLOAD, encoded(ascii(statement))).length > MOST_SIGNED) continue;
    const different = [...differences(found.statement, statement)];
    return answer(different.length ? t("says_otherwise") : "", different);
  }
  return answer(t("too_long"));
}

// SHA-256 (FIPS 180-4) without a promise for each hash: those cost more than the hash of a record does.
// And the spellings of bytes: hexadecimal, base64, UTF-8; and of texts.
const utf8 = new TextEncoder();
const HEX = Array.from({ length: 256 }, (_, one) => one.toString(16).padStart(2, "0"));

export const encoded = (text) => utf8.encode(text);
export const unhex = (text) => Uint8Array.from(text.match(/../g) ?? [], (two) => parseInt(two, 16));
export const base64 = (bytes) => btoa(String.fromCharCode(...bytes));
export const unbase64 = (text) => Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
// What a screen would obey or not show is spelled out, as on all pages.
export const visible = (text) => String(text).replace(/[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu, (one) => `\\u{${one.codePointAt(0).toString(16)}}`);
export function hex(bytes) {
  let text = "";
  for (let i = 0; i < bytes.length; i += 1) text += HEX[bytes[i]];
  return text;
}

const PRIMES = [];
for (let one = 2; PRIMES.length < 64; one += 1) if (PRIMES.every((each) => one % each)) PRIMES.push(one);
const fraction = (number) => Math.floor((number - Math.floor(number)) * 2 ** 32);
const ROUNDS = Int32Array.from(PRIMES, (one) => fraction(Math.cbrt(one)) | 0);
const START = Int32Array.from(PRIMES.slice(0, 8), (one) => fraction(Math.sqrt(one)) | 0);
const words = new Int32Array(64);
const state = new Int32Array(8);

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
    const first = (h + big + (g ^ (e & (f ^ g))) + ROUNDS[i] + words[i]) | 0;
    const small = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
    const second = (small + ((a & b) | (c & (a | b)))) | 0;
    h = g; g = f; f = e; e = (d + first) | 0; d = c; c = b; b = a; a = (first + second) | 0;
  }
  state[0] += a; state[1] += b; state[2] += c; state[3] += d; state[4] += e; state[5] += f; state[6] += g; state[7] += h;
}

// A message is put together here, with room for what pads it.
let room = new Uint8Array(4096);

function digest(length) {
  const end = Math.ceil((length + 9) / 64) * 64;
  room.fill(0, length, end);
  room[length] = 128;
  const bits = length * 8, high = Math.floor(bits / 2 ** 32);
  for (let i = 0; i < 4; i += 1) { room[end - 1 - i] = bits >>> (8 * i); room[end - 5 - i] = high >>> (8 * i); }
  state.set(START);
  for (let at = 0; at < end; at += 64) compress(room, at);
  const made = new Uint8Array(32);
  for (let i = 0; i < 8; i += 1) {
    const word = state[i];
    made[4 * i] = word >>> 24; made[4 * i + 1] = word >>> 16; made[4 * i + 2] = word >>> 8; made[4 * i + 3] = word;
  }
  return made;
}

function roomFor(length) { if (room.length < length + 72) room = new Uint8Array(2 * length + 72); }

export function hashed(bytes) {
  roomFor(bytes.length);
  room.set(bytes);
  return digest(bytes.length);
}

// The leaf of a record: 0x00, and its line without the member "hash" (docs/wire-format.md, section 2).
const HASH_MEMBER = 75;
export function leafOf(line) {
  const length = line.length - HASH_MEMBER;
  roomFor(length + 2);
  room[0] = 0;
  room.set(line.subarray(0, length), 1);
  room[length + 1] = 125;
  return digest(length + 2);
}

// A node of the Merkle tree (RFC 6962, section 2.1).
export function nodeOf(left, right) {
  room[0] = 1;
  room.set(left, 1);
  room.set(right, 33);
  return digest(65);
}

// Verifying a `.tlog-proof` (C2SP) in the browser, by WebCrypto alone: the entry is in a log whose head a key signed. Nothing
// here asks the gateway anything, so it can be read and run elsewhere.

const utf8 = new TextEncoder();

export class NotProven extends Error {}

// Checks that `entry` (its exact bytes as text) stands at the proof's index under a head that `vkey` signed.
// Gives what was found; raises NotProven with what does not hold.
export async function verify(entry, proof, vkey) {
  const { index, hashes, note } = readProof(proof);
  const key = await readVkey(vkey);
  const head = readHead(note);
  if (head.origin !== key.name) throw new NotProven(`the head is of ${head.origin}, the key of ${key.name}`);
  const signed = await isSigned(note, key);
  if (!signed) throw new NotProven("the head does not carry a good signature by this key");
  const leaf = await sha256([Uint8Array.of(0), utf8.encode(entry)]);
  const root = await rootOf(leaf, index, head.size, hashes);
  if (!same(root, head.root)) throw new NotProven("the hashes of the proof do not lead from the entry to the head's root");
  return { index, size: head.size, origin: head.origin, leaf, root, hashes: hashes.length };
}

export function readProof(text) {
  const gap = text.indexOf("\n\n");
  const lines = text.slice(0, gap).split("\n");
  if (gap < 0 || lines.shift() !== "c2sp.org/tlog-proof@v1") throw new NotProven("this is no tlog-proof");
  if (lines[0]?.startsWith("extra ")) lines.shift();
  const index = decimal((lines.shift() ?? "").replace(/^index /, ""));
  if (lines.length > 63) throw new NotProven("a proof of more than 63 hashes");
  return { index, hashes: lines.map((line) => base64(line, 32)), note: text.slice(gap + 2) };
}

export function readHead(note) {
  const text = note.slice(0, note.indexOf("\n\n") + 1);
  const [origin, size, root] = text.split("\n");
  if (!origin || root === undefined) throw new NotProven("this is no checkpoint");
  return { origin, size: decimal(size), root: base64(root, 32), text };
}

async function readVkey(vkey) {
  const [name, id, encoded, ...more] = vkey.trim().split("+");
  // The key itself is base64 and may hold plus signs.
  const raw = base64([encoded, ...more].join("+"));
  if (!name || !/^[0-9a-f]{8}$/.test(id ?? "") || raw[0] !== 1 || raw.length !== 33) throw new NotProven("this is no Ed25519 vkey (name+id+key)");
  const hash = await sha256([utf8.encode(`${name}\n`), raw]);
  if (hex(hash.subarray(0, 4)) !== id) throw new NotProven("the vkey's id does not belong to its key");
  return { name, id, key: raw.subarray(1) };
}

async function isSigned(note, key) {
  const gap = note.indexOf("\n\n");
  const text = utf8.encode(note.slice(0, gap + 1));
  const found = await crypto.subtle.importKey("raw", key.key, { name: "Ed25519" }, false, ["verify"]);
  for (const line of note.slice(gap + 2).split("\n")) {
    if (!line.startsWith(`\u2014 ${key.name} `)) continue;
    const raw = base64(line.slice(key.name.length + 3));
    if (hex(raw.subarray(0, 4)) !== key.id || raw.length !== 68) continue;
    if (await crypto.subtle.verify({ name: "Ed25519" }, found, raw.subarray(4), text)) return true;
  }
  return false;
}

// RFC 9162, 2.1.3.2. Numbers here stay below 2^53, so no bit operations, which end at 2^31.
export async function rootOf(leaf, index, size, hashes) {
  if (index >= size) throw new NotProven("the entry is not under this head");
  let at = index, last = size - 1, node = leaf;
  for (const hash of hashes) {
    if (last === 0) throw new NotProven("the proof is longer than the tree is high");
    if (at % 2 === 1 || at === last) {
      node = await sha256([Uint8Array.of(1), hash, node]);
      while (at % 2 === 0 && at !== 0) {
        at /= 2;
        last = Math.floor(last / 2);
      }
    } else {
      node = await sha256([Uint8Array.of(1), node, hash]);
    }
    at = Math.floor(at / 2);
    last = Math.floor(last / 2);
  }
  if (last !== 0) throw new NotProven("the proof is too short");
  return node;
}

async function sha256(parts) {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", await new Blob(parts).arrayBuffer()));
}

function base64(text, length = null) {
  let raw;
  try {
    raw = Uint8Array.from(atob(text), (each) => each.charCodeAt(0));
  } catch {
    throw new NotProven("something that should be base64 is not");
  }
  if (length !== null && raw.length !== length) throw new NotProven("a hash has not 32 bytes");
  return raw;
}

function decimal(text) {
  if (!/^(0|[1-9]\d{0,15})$/.test(text ?? "")) throw new NotProven("a number is missing");
  return Number(text);
}

export const hex = (raw) => [...raw].map((each) => each.toString(16).padStart(2, "0")).join("");
const same = (a, b) => a.length === b.length && a.every((each, i) => each === b[i]);

// Opens values sealed in format CI1.  Written from ci1.md alone, for Node 20 or newer; nothing to install.
//
//   import { keyIdOf, open } from "./ci1-reader.mjs";
//   const plaintext = open(sealed, { key: keyOf(keyIdOf(sealed)), keyId: keyIdOf(sealed), context: [["tenant", "acme"], …] });

import { createDecipheriv, createHash, hkdfSync, timingSafeEqual } from "node:crypto";

const PREAMBLE = Buffer.from([0x43, 0x49, 0x01, 0x00, 0x01]); // "CI", version 1, suite 1
const HEADER = 21; // preamble and key id
const BOUND = 53; // header and salt
const PREFIX = 85; // header, salt and commitment
const TAG = 16;
const SHORTEST = PREFIX + TAG;
const LONGEST = SHORTEST + 48 * 1024;
const NONCE = Buffer.alloc(12);

/** The one error, whatever the reason. */
export class CannotOpen extends Error {
  constructor() {
    super("the value cannot be opened");
    this.name = "CannotOpen";
  }
}

/** The id of the key that claims to have sealed this: 16 bytes, not yet believed. */
export function keyIdOf(sealed) {
  if (!Buffer.isBuffer(sealed)) throw new CannotOpen();
  if (sealed.length < SHORTEST || sealed.length > LONGEST) throw new CannotOpen();
  if (!sealed.subarray(0, PREAMBLE.length).equals(PREAMBLE)) throw new CannotOpen();
  return sealed.subarray(PREAMBLE.length, HEADER);
}

/** The bytes of a context, given as [key, value] pairs of strings in any order. */
export function encodeContext(pairs) {
  if (pairs.length > 0xffff) throw new CannotOpen();
  const encoded = pairs.map(([key, value]) => [encodeText(key, 0xffff), encodeText(value, 0xffffffff)]);
  encoded.sort(([one], [other]) => Buffer.compare(one, other));
  const parts = [unsigned(encoded.length, 2)];
  encoded.forEach(([key, value], index) => {
    if (index > 0 && key.equals(encoded[index - 1][0])) throw new CannotOpen();
    parts.push(unsigned(key.length, 2), key, unsigned(value.length, 4), value);
  });
  return Buffer.concat(parts);
}

/** The plaintext, or CannotOpen.  `key` is the 32 bytes named by `keyId`. */
export function open(sealed, { key, keyId, context }) {
  if (!keyIdOf(sealed).equals(keyId) || key.length !== 32) throw new CannotOpen();
  const bound = sealed.subarray(0, BOUND);
  const prefix = sealed.subarray(0, PREFIX);
  const transcript = createHash("sha512").update(bound).update(encodeContext(context)).digest();
  const derive = (label) => {
    const info = Buffer.concat([Buffer.from(`cloud_integrations/1/${label}\0`), transcript]);
    return Buffer.from(hkdfSync("sha512", key, bound.subarray(HEADER), info, 32));
  };
  if (!timingSafeEqual(derive("COMMITKEY"), prefix.subarray(BOUND))) throw new CannotOpen();
  const decipher = createDecipheriv("aes-256-gcm", derive("DERIVEKEY"), NONCE, { authTagLength: TAG });
  decipher.setAAD(prefix);
  decipher.setAuthTag(sealed.subarray(-TAG));
  const plaintext = decipher.update(sealed.subarray(PREFIX, -TAG));
  try {
    decipher.final(); // until here nothing is authenticated
  } catch {
    throw new CannotOpen();
  }
  return plaintext;
}

function encodeText(text, longest) {
  if (!text.isWellFormed()) throw new CannotOpen(); // Buffer.from would write U+FFFD
  const encoded = Buffer.from(text, "utf8");
  if (encoded.length > longest) throw new CannotOpen();
  return encoded;
}

function unsigned(value, length) {
  const bytes = Buffer.alloc(length);
  bytes.writeUIntBE(value, 0, length);
  return bytes;
}

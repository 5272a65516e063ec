// Opens what comes as JSON on standard input with the published reader, and writes what each value opened to, or null.

import { readFileSync } from "node:fs";
import { CannotOpen, open } from "../../docs/reference/ci1-reader.mjs";

const bytes = (hex) => Buffer.from(hex, "hex");

const answers = JSON.parse(readFileSync(0, "utf8")).map(({ sealed, key, key_id, context }) => {
  try {
    return open(bytes(sealed), { key: bytes(key), keyId: bytes(key_id), context }).toString("hex");
  } catch (error) {
    if (error instanceof CannotOpen) return null;
    throw error;
  }
});
process.stdout.write(JSON.stringify(answers));

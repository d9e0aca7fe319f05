/** Digests: `algorithm:hex` (OCI image specification 1.1, descriptor, section Digests). */
import { invalidArgument } from "../base/errors.ts";

/** Registered algorithms and the number of hexadecimal digits each has. */
const hexLengths = { sha256: 64, sha512: 128 } as const;

export type DigestAlgorithm = keyof typeof hexLengths;

export interface Digest {
  readonly algorithm: DigestAlgorithm;
  readonly hex: string;
}

function isAlgorithm(name: string): name is DigestAlgorithm {
  return Object.hasOwn(hexLengths, name);
}

/**
 * Splits a digest. Only the registered algorithms and lower-case digits are taken, so a parsed digest is always safe as
 * a file name. Throws `invalidArgument` with the words of Docker's digest library.
 */
export function parseDigest(text: string): Digest {
  const match = /^([a-z0-9]+(?:[+._-][a-z0-9]+)*):([a-zA-Z0-9=_-]+)$/.exec(text);
  if (match === null) throw invalidArgument(`invalid checksum digest format: ${JSON.stringify(text)}`);
  const algorithm = match[1]!;
  const hex = match[2]!;
  if (!isAlgorithm(algorithm)) throw invalidArgument(`unsupported digest algorithm: ${algorithm}`);
  if (hex.length !== hexLengths[algorithm])
    throw invalidArgument(`invalid checksum digest length: ${JSON.stringify(text)}`);
  if (!/^[0-9a-f]+$/.test(hex))
    throw invalidArgument(`invalid checksum digest format: ${JSON.stringify(text)}`);
  return { algorithm, hex };
}

/** True when {@link parseDigest} would take it. */
export function isDigest(text: string): boolean {
  const [algorithm = "", hex = "", rest] = text.split(":");
  return (
    rest === undefined &&
    isAlgorithm(algorithm) &&
    hex.length === hexLengths[algorithm] &&
    /^[0-9a-f]+$/.test(hex)
  );
}

/** The digest of bytes that are in memory. */
export function digestOf(
  data: string | NodeJS.ArrayBufferView,
  algorithm: DigestAlgorithm = "sha256",
): string {
  // Loaded at the first use: the command line reads references and mostly hashes nothing.
  const { createHash } = process.getBuiltinModule("node:crypto");
  return `${algorithm}:${createHash(algorithm).update(data).digest("hex")}`;
}

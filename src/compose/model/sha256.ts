/**
 * SHA-256 (FIPS 180-4) of a short text: loading the platform's cryptography takes longer than all hashes of a project.
 * Written for a program that has just started, where code is interpreted: plain variables, nothing that allocates.
 */

/** Fractions of the cube roots of the first 64 primes. */
const constants = cubeRootFractions();

function cubeRootFractions(): Uint32Array {
  const fractions = new Uint32Array(64);
  for (let candidate = 2, count = 0; count < 64; candidate++) {
    let factor = 2;
    while (factor * factor <= candidate && candidate % factor !== 0) factor++;
    if (factor * factor <= candidate) continue;
    // A double has 50 bits behind the point of such a root, of which 32 are wanted.
    fractions[count++] = (Math.cbrt(candidate) % 1) * 2 ** 32;
  }
  return fractions;
}

/** The hash of a text's UTF-8 bytes, in hexadecimal digits. */
export function sha256(text: string): string {
  const padded = paddedBytes(text);
  const state = Uint32Array.of(
    0x6a09e667,
    0xbb67ae85,
    0x3c6ef372,
    0xa54ff53a,
    0x510e527f,
    0x9b05688c,
    0x1f83d9ab,
    0x5be0cd19,
  );
  const words = new Int32Array(64);
  for (let offset = 0; offset < padded.length; offset += 64) compress(state, padded, { offset, words });
  return Array.from(state, (word) => word.toString(16).padStart(8, "0")).join("");
}

/** The bytes of a text, a set bit, zeros, and the number of bits (section 5.1.1). */
function paddedBytes(text: string): Uint8Array {
  const bytes = Buffer.from(text);
  const padded = new Uint8Array(Math.ceil((bytes.length + 9) / 64) * 64);
  padded.set(bytes);
  padded[bytes.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setUint32(padded.length - 8, Math.floor(bytes.length / 2 ** 29));
  view.setUint32(padded.length - 4, bytes.length * 8);
  return padded;
}

/** Takes one block of 64 bytes into the state (section 6.2.2). `words` is room to work in. */
function compress(
  state: Uint32Array,
  bytes: Uint8Array,
  { offset, words }: { readonly offset: number; readonly words: Int32Array },
): void {
  let a = state[0]!;
  let b = state[1]!;
  let c = state[2]!;
  let d = state[3]!;
  let e = state[4]!;
  let f = state[5]!;
  let g = state[6]!;
  let h = state[7]!;
  for (let index = 0; index < 64; index++) {
    let word: number;
    if (index < 16) {
      const at = offset + index * 4;
      word = (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
    } else {
      const x = words[index - 15]!;
      const y = words[index - 2]!;
      const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
      const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
      word = (words[index - 16]! + s0 + words[index - 7]! + s1) | 0;
    }
    words[index] = word;
    const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
    const first = (h + s1 + (g ^ (e & (f ^ g))) + constants[index]! + word) | 0;
    const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
    const second = (s0 + ((a & b) | (c & (a | b)))) | 0;
    h = g;
    g = f;
    f = e;
    e = (d + first) | 0;
    d = c;
    c = b;
    b = a;
    a = (first + second) | 0;
  }
  state[0]! += a;
  state[1]! += b;
  state[2]! += c;
  state[3]! += d;
  state[4]! += e;
  state[5]! += f;
  state[6]! += g;
  state[7]! += h;
}

/** The keys that let go of a container's terminal and leave it running; ctrl-p ctrl-q unless told otherwise. */
const defaultDetachKeys = "ctrl-p,ctrl-q";

/**
 * The bytes of keys written as `ctrl-p,ctrl-q` or `a,b`: `ctrl-` takes a-z @ [ \ ] ^ _, anything else is one ASCII
 * character. Undefined when it cannot be read. An empty text stands for the default.
 */
export function parseDetachKeys(text: string): Buffer | undefined {
  const bytes: number[] = [];
  for (const key of (text === "" ? defaultDetachKeys : text).split(",")) {
    const control = /^ctrl-([a-z@[\\\]^_])$/.exec(key);
    if (control !== null) bytes.push(control[1]!.toUpperCase().charCodeAt(0) - 0x40);
    else if (key.length === 1 && key.charCodeAt(0) < 0x80) bytes.push(key.charCodeAt(0));
    else return undefined;
  }
  return Buffer.from(bytes);
}

export interface DetachResult {
  /** What the program gets: the input without the keys. */
  readonly forward: Buffer;
  readonly detached: boolean;
}

/**
 * A filter over a client's input that finds the detach keys, also when they arrive in pieces. Keys that may become the
 * sequence are held back, and given on when the next one breaks it.
 */
export function createDetachFilter(sequence: Buffer): (chunk: Buffer) => DetachResult {
  let matched = 0;
  return (chunk) => {
    const forward: number[] = [];
    for (const byte of chunk) {
      if (byte === sequence[matched]) {
        matched++;
        if (matched === sequence.length) {
          matched = 0;
          return { forward: Buffer.from(forward), detached: true };
        }
        continue;
      }
      forward.push(...sequence.subarray(0, matched));
      matched = byte === sequence[0] ? 1 : 0;
      if (matched === 0) forward.push(byte);
    }
    return { forward: Buffer.from(forward), detached: false };
  };
}

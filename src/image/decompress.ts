/** Archives and layers come plain or compressed; what it is shows in the first bytes, not in names or media types. */
import { spawn } from "node:child_process";
import { pipeline, Readable } from "node:stream";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { EngineError, errorText, invalidArgument } from "../base/errors.ts";
import { isErrno } from "../linux/fs-error.ts";

export type Compression = "none" | "gzip" | "zstd" | "bzip2" | "xz";

const magics: readonly (readonly [Compression, string])[] = [
  ["gzip", "1f8b"],
  ["zstd", "28b52ffd"],
  ["bzip2", "425a68"],
  ["xz", "fd377a585a00"],
];
const magicBytes = 6;

/** What the first six bytes say. */
export function detectCompression(head: Buffer): Compression {
  const hex = head.toString("hex", 0, magicBytes);
  return magics.find(([, magic]) => hex.startsWith(magic))?.[0] ?? "none";
}

/**
 * The stream uncompressed, whatever it was. Damaged data ends in `invalidArgument`. bzip2 and xz need the programs of
 * these names (`unavailable` when they are missing).
 */
export function decompress(source: Readable): Readable {
  return Readable.from(decompressed(source), { objectMode: false, highWaterMark: 256 * 1024 });
}

async function* decompressed(source: Readable): AsyncGenerator<Buffer> {
  const iterator = source[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  let finished = false;
  try {
    let head = Buffer.alloc(0);
    while (head.length < magicBytes) {
      const { value, done } = await iterator.next();
      if (done === true) break;
      head = Buffer.concat([head, value]);
    }
    const compression = detectCompression(head);
    const whole = rest(head, iterator);
    if (compression === "none") yield* whole;
    else yield* inflate(whole, compression);
    finished = true;
  } finally {
    // Only a reader that stopped half-way, or a failure, leaves something unread that nobody wants.
    if (!finished) source.destroy();
  }
}

async function* rest(head: Buffer, iterator: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  if (head.length > 0) yield head;
  for (;;) {
    const { value, done } = await iterator.next();
    if (done === true) return;
    yield value;
  }
}

function inflate(input: AsyncGenerator<Buffer>, compression: Compression): AsyncGenerator<Buffer> {
  return compression === "gzip" || compression === "zstd"
    ? throughZlib(input, compression)
    : throughProgram(input, compression);
}

async function* throughZlib(
  input: AsyncGenerator<Buffer>,
  compression: "gzip" | "zstd",
): AsyncGenerator<Buffer> {
  const options = { chunkSize: 256 * 1024 };
  const decoder = compression === "gzip" ? createGunzip(options) : createZstdDecompress(options);
  // A failure of either side arrives at the reader of the decoder.
  pipeline(Readable.from(input), decoder, () => {});
  try {
    yield* decoder as AsyncIterable<Buffer>;
  } catch (error) {
    if (isErrno(error) && /^(Z_|ZSTD_)/.test(error.code))
      throw invalidArgument(`damaged ${compression} data: ${errorText(error)}`, { cause: error });
    throw error;
  }
}

async function* throughProgram(input: AsyncGenerator<Buffer>, program: string): AsyncGenerator<Buffer> {
  const child = spawn(program, ["-dc"], { stdio: ["pipe", "pipe", "pipe"] });
  let complaint = "";
  child.stderr.on("data", (chunk: Buffer) => {
    complaint = (complaint + chunk.toString()).slice(0, 500);
  });
  const exited = new Promise<{ code: number | null; error?: Error }>((resolve) => {
    child.on("error", (error) => resolve({ code: null, error }));
    child.on("close", (code) => resolve({ code }));
  });
  const fed = new Promise<Error | undefined>((resolve) => {
    pipeline(Readable.from(input), child.stdin, (error) => resolve(error ?? undefined));
  });
  try {
    yield* outputOf(child.stdout);
    const { code, error } = await exited;
    if (error !== undefined) throw missingProgram(program, error);
    const inputError = await fed;
    // The program closes its input when it does not like what it reads; what it says is then the better reason.
    if (inputError !== undefined && !isErrno(inputError, "EPIPE", "ERR_STREAM_PREMATURE_CLOSE"))
      throw inputError;
    if (code !== 0) throw invalidArgument(`damaged ${program} data: ${complaint.trim()}`);
  } finally {
    child.kill();
  }
}

/** Output of a program; of one that could not be started, nothing. */
async function* outputOf(stdout: Readable): AsyncGenerator<Buffer> {
  try {
    yield* stdout as AsyncIterable<Buffer>;
  } catch (error) {
    if (!isErrno(error, "ERR_STREAM_PREMATURE_CLOSE")) throw error;
  }
}

function missingProgram(program: string, cause: Error): EngineError {
  return new EngineError(
    "unavailable",
    `the data is compressed with ${program}, which is not installed here`,
    {
      hint: `install the package ${program === "xz" ? "xz-utils" : program}, or send it as gzip or zstd`,
      cause,
    },
  );
}

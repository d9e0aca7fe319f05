/** What a scanner has written (BuildKit, "SBOM scanning protocol"): in-toto statements in files, by a program that may be anyone's. */
import { closeSync, constants, fstatSync, openSync, opendirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { EngineError, invalidArgument } from "../base/errors.ts";
import { MemoryBudget } from "../base/memory-budget.ts";

/** The kind of statement that a scanner writes. */
export const spdxPredicate = "https://spdx.dev/Document";

/** The name of the result among what is scanned. */
export const mainScan = "sbom";

/** What a scanner says of a result. */
export interface ScannedList {
  /** Name of the scanner's file. */
  readonly name: string;
  readonly predicate: unknown;
}

export interface ScanLimits {
  readonly files: number;
  /** Of all files. */
  readonly sizeBytes: number;
  /** Of what is kept of them in memory; a request's usual share of the heap by default. */
  readonly memoryBytes?: number;
}

/** The list of a large image has some tens of megabytes; there is one for the result, and others are rare. */
const usualLimits: ScanLimits = { files: 64, sizeBytes: 64 * 1024 * 1024 };

/** For each bracket and comma: a list of nothing but empty objects takes half of that for each (measured). */
const valueBytes = 64;

/**
 * Reads a scanner's statements about packages, in the order of their names. Throws `invalidArgument` for what are none,
 * and `resourceExhausted` when they are too many or too large.
 */
export function readStatements(directory: string, scanner: string, limits = usualLimits): ScannedList[] {
  const names = listNames(directory, scanner, limits.files);
  if (names.length === 0)
    throw invalidArgument(`the scanner ${scanner} has written nothing into BUILDKIT_SCAN_DESTINATION`);
  using budget = new MemoryBudget(`the scanner ${scanner} has written too much`, {
    limitBytes: limits.memoryBytes,
  });
  let sizeBytes = 0;
  return names.map((name) => {
    const data = readWritten(join(directory, name), name, limits.sizeBytes - sizeBytes);
    if (data === "too large")
      throw new EngineError(
        "resourceExhausted",
        `the scanner ${scanner} has written more than ${limits.sizeBytes} bytes in its files, with ${name}`,
      );
    sizeBytes += data.length;
    // The bytes, the text, and all that becomes of it: a text of nothing but brackets has twenty times its size then.
    budget.take(3 * data.length + valueBytes * countValues(data));
    const statement = parseStatement(data.toString("utf8"), name);
    if (statement.predicateType !== spdxPredicate)
      throw invalidArgument(
        `the scanner ${scanner} wrote ${name}, which is ${JSON.stringify(statement.predicateType)} and not ${spdxPredicate}`,
      );
    return { name, predicate: statement.predicate };
  });
}

function listNames(directory: string, scanner: string, maxFiles: number): string[] {
  const names: string[] = [];
  using entries = opendirSync(directory);
  for (let entry = entries.readSync(); entry !== null; entry = entries.readSync()) {
    if (names.length === maxFiles)
      throw new EngineError(
        "resourceExhausted",
        `the scanner ${scanner} has written more than ${maxFiles} files`,
      );
    names.push(entry.name);
  }
  // What is said of the result itself comes before what is said of stages and contexts, as BuildKit has it.
  const isMain = (name: string): boolean => name.split(".", 1)[0] === mainScan;
  return names.sort().sort((a, b) => Number(isMain(b)) - Number(isMain(a)));
}

/** A link of the scanner's would lead to files of this machine. */
function readWritten(path: string, name: string, maxBytes: number): Buffer | "too large" {
  const refused = (): EngineError => invalidArgument(`the scanner's ${name} is no file that can be read`);
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    throw refused();
  }
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) throw refused();
    if (stat.size > maxBytes) return "too large";
    return readFileSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** At most as many values are in a JSON text as there are brackets and commas, and one. */
function countValues(text: Buffer): number {
  let count = 1;
  for (let at = 0; at < text.length; at += 1) {
    const byte = text[at];
    if (byte === 0x2c || byte === 0x5b || byte === 0x7b) count += 1;
  }
  return count;
}

function parseStatement(text: string, name: string): { predicateType?: unknown; predicate?: unknown } {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null) return value;
  } catch {
    // Told below.
  }
  throw invalidArgument(`cannot decode in-toto statement ${name} of the scanner`);
}

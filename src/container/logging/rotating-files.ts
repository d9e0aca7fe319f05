/** A log file that is put aside when it is full: `LOG`, `LOG.1` (the last before), `LOG.2` … or `LOG.1.gz` … */
import {
  closeSync,
  createReadStream,
  createWriteStream,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { errorText } from "../../base/errors.ts";
import { log } from "../../base/log.ts";

export interface RotationLimits {
  /** Size from which on a file is put aside; 0 for never. */
  readonly maxSizeBytes: number;
  /** Number of files, the current one included. */
  readonly maxFiles: number;
  readonly compress: boolean;
}

/** The file that was put aside as the `index`th last, compressed or not; undefined when there is none. */
export function findRotated(path: string, index: number): string | undefined {
  for (const candidate of [`${path}.${index}.gz`, `${path}.${index}`])
    if (existsSync(candidate)) return candidate;
  return undefined;
}

export class RotatingFiles {
  readonly path: string;
  readonly limits: RotationLimits;
  /** Counts the files: the current one has this number, the one before it one less. */
  generation = 0;
  #fd = -1;
  #compression: Promise<void> = Promise.resolve();

  constructor(path: string, limits: RotationLimits) {
    this.path = path;
    this.limits = limits;
  }

  /** Opens the current file, made when it is missing, and returns its size in bytes. Throws what the file system says. */
  open(): number {
    if (this.#fd < 0) {
      mkdirSync(dirname(this.path), { recursive: true, mode: 0o700 });
      // A compression that a crash cut off.
      if (this.limits.compress) rmSync(`${this.path}.1.gz.tmp`, { force: true });
      this.#fd = openSync(this.path, "a", 0o640);
    }
    return fstatSync(this.#fd).size;
  }

  /** Appends all of `data`; when the disk is full a part of it may have been written. */
  append(data: Buffer): void {
    for (let at = 0; at < data.length;) at += writeSync(this.#fd, data, at);
  }

  /**
   * Puts the current file aside and begins a new one. It may be repeated when it was cut off in the middle: the files
   * move up into the first gap, and the current file moves last.
   */
  async rotate(): Promise<void> {
    // The file that is being compressed would move away from under it.
    await this.#compression;
    const { maxFiles, compress } = this.limits;
    this.close();
    let gap = 1;
    while (gap < maxFiles - 1 && findRotated(this.path, gap) !== undefined) gap++;
    for (let index = gap; index > 1; index--) this.#move(index - 1, index);
    if (maxFiles > 1) {
      rmSync(`${this.path}.1.gz`, { force: true });
      renameSync(this.path, `${this.path}.1`);
    } else rmSync(this.path, { force: true });
    this.generation++;
    this.open();
    if (compress && maxFiles > 1) this.#compression = compressFile(`${this.path}.1`);
  }

  #move(from: number, to: number): void {
    for (const suffix of ["", ".gz"]) {
      rmSync(`${this.path}.${to}${suffix}`, { force: true });
      if (existsSync(`${this.path}.${from}${suffix}`))
        renameSync(`${this.path}.${from}${suffix}`, `${this.path}.${to}${suffix}`);
    }
  }

  /** Resolves when no file is being compressed. */
  settled(): Promise<void> {
    return this.#compression;
  }

  close(): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }
}

/** Puts `FILE.gz` in the place of `FILE`; at every moment one of them is whole. A failure leaves the file as it was. */
async function compressFile(path: string): Promise<void> {
  const temporary = `${path}.gz.tmp`;
  try {
    await pipeline(createReadStream(path), createGzip(), createWriteStream(temporary, { mode: 0o640 }));
    renameSync(temporary, `${path}.gz`);
    rmSync(path, { force: true });
  } catch (error) {
    log.warn("could not compress a log file", { file: path, error: errorText(error) });
    rmSync(temporary, { force: true });
  }
}

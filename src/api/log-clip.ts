/**
 * How much of a build step's output is kept for clients that ask late, or that are told other steps first. BuildKit keeps
 * as much (util/progress/logs: BUILDKIT_STEP_LOG_MAX_SIZE), and says so in these words.
 */
const mostBytes = 2 * 1024 * 1024;
/** A program that writes byte by byte makes a record of each. */
const mostPieces = 100_000;

export const clippedWords = "\n[output clipped, log limit 2MiB reached]\n";

export class LogClip {
  readonly #kept = new Map<string, { bytes: number; pieces: number }>();

  /** `keep`: the piece belongs to what is kept of this step; `last`: it is the first that does not. */
  take(step: string, sizeBytes: number): "keep" | "last" | "drop" {
    let kept = this.#kept.get(step);
    if (kept === undefined) this.#kept.set(step, (kept = { bytes: 0, pieces: 0 }));
    const hadRoom = kept.bytes <= mostBytes && kept.pieces <= mostPieces;
    kept.bytes += sizeBytes;
    kept.pieces += 1;
    if (kept.bytes <= mostBytes && kept.pieces <= mostPieces) return "keep";
    return hadRoom ? "last" : "drop";
  }
}

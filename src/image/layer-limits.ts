/**
 * What an unpacked layer may grow to. A few kilobytes can say "a hundred terabytes of zeros"; nobody meant to store that.
 */
import { EngineError, invalidArgument } from "../base/errors.ts";

/** gzip makes at most a thousandth of anything; a layer that was made by work shrinks to a hundredth at best. */
const maxRatio = 1000;
/** So much is never too much. */
const harmlessBytes = 1024 * 1024 * 1024;

export interface LayerBudget {
  readonly digest: string;
  /** As it is stored. */
  readonly compressedBytes: number;
  /** Room where it is unpacked to, when it begins. */
  readonly freeBytes: number;
}

const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(1)} GB`;

/** Throws `resourceExhausted` for a layer that cannot fit: unpacked it is hardly ever smaller than packed. */
export function checkRoom({
  what,
  compressedBytes,
  freeBytes,
}: Omit<LayerBudget, "digest"> & { what: string }): void {
  if (compressedBytes <= freeBytes) return;
  throw new EngineError(
    "resourceExhausted",
    `${what} ${gigabytes(compressedBytes)}, and there is room for ${gigabytes(freeBytes)}: no space left on device`,
    { hint: "Make room (gantry image prune, gantry system df), or put the data root on a larger disk." },
  );
}

/** Passes the unpacked bytes on. Throws `invalidArgument` when they are out of proportion. */
export async function* withinBudget(
  unpacked: AsyncIterable<Buffer>,
  budget: LayerBudget,
): AsyncGenerator<Buffer> {
  const { digest, compressedBytes } = budget;
  const limit = Math.max(harmlessBytes, compressedBytes * maxRatio);
  let total = 0;
  for await (const chunk of unpacked) {
    total += chunk.length;
    if (total > limit)
      throw invalidArgument(
        `layer ${digest} unpacks to more than ${maxRatio} times its ${compressedBytes} bytes: it was made to fill disks`,
      );
    yield chunk;
  }
}

import { setImmediate } from "node:timers/promises";
import type { TarEntry, TarReader } from "./tar-reader.ts";

/** How long the event loop may stand still for an archive's entries, in ms. */
const sliceMs = 10;

/** The entries of an archive. Whoever makes files of them without waiting lets others have a turn now and then. */
export async function* entriesInSlices(reader: TarReader): AsyncGenerator<TarEntry, void> {
  let sliceStart = performance.now();
  for (let entry = await reader.next(); entry !== undefined; entry = await reader.next()) {
    yield entry;
    if (performance.now() - sliceStart > sliceMs) {
      await setImmediate();
      sliceStart = performance.now();
    }
  }
}

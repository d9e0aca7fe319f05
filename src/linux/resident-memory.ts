/**
 * Giving memory back, when a daemon has nothing to do. Starting up touches most of the program's file - the runtime's own
 * text and its constant tables - and the kernel maps every page near a touched one; later work needs a small part of that.
 * Pages that are unchanged copies of the file can be dropped at any time: those that are needed again come back from the page
 * cache.
 */
import { readFileSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { errorText } from "../base/errors.ts";
import { log } from "../base/log.ts";
import { libc } from "./libc.ts";

const madvise = libc.func("int madvise(uintptr_t address, size_t length, int advice)");
const MADV_DONTNEED = 4;
const mallocTrim = libc.func("int malloc_trim(size_t pad)");
/** Smaller mappings are not worth a call. */
const worthBytes = 1024 * 1024;

export interface FileMapping {
  readonly start: bigint;
  readonly lengthBytes: number;
}

/**
 * The mappings of /proc/PID/smaps (proc(5)) that hold nothing but unchanged file pages: read-only or executable, private,
 * without one dirty or anonymous page. (Relocated tables are read-only, too, but their pages are ours alone.)
 */
export function cleanFileMappings(smaps: string): FileMapping[] {
  const clean: FileMapping[] = [];
  for (const block of smaps.split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m)) {
    const head = /^([0-9a-f]+)-([0-9a-f]+) r-[x-]p [0-9a-f]+ \S+ [1-9]\d* +\//.exec(block);
    if (head === null) continue;
    const sizes = new Map(
      [...block.matchAll(/^(\w+): +(\d+) kB$/gm)].map((match) => [match[1], Number(match[2])]),
    );
    if (sizes.get("Anonymous") !== 0 || sizes.get("Private_Dirty") !== 0 || sizes.get("Locked") !== 0)
      continue;
    if ((sizes.get("Rss") ?? 0) * 1024 < worthBytes) continue;
    const start = BigInt(`0x${head[1]}`);
    clean.push({ start, lengthBytes: Number(BigInt(`0x${head[2]}`) - start) });
  }
  return clean;
}

/** Drops this process's unchanged file pages. Costs a few page faults afterwards; never loses anything. */
export function releaseFilePages(): void {
  for (const { start, lengthBytes } of cleanFileMappings(readFileSync("/proc/self/smaps", "utf8")))
    madvise(start, lengthBytes, MADV_DONTNEED);
}

const checkMs = 3_000;
const pageBytes = 4096;
/** File pages that a daemon at work has; more than that is left over from a start or a burst. */
const keptFileBytes = 12 * 1024 * 1024;
/** Memory of its own that has to have come together since the last time for a collection to be worth its pause. */
const worthCollectingBytes = 4 * 1024 * 1024;
/** After so many looks it is collected anyway: what was in use at the last time may have become garbage since. */
const longestLooks = 100;
/** Processor time between two looks, as a part of the time, up to which a daemon counts as quiet. */
const quietShare = 0.05;

/** Of /proc/self/statm (proc(5)): pages that are the process's own, and those that are a file's. */
function residentBytes(): { readonly own: number; readonly file: number } {
  const [, resident = 0, shared = 0] = readFileSync("/proc/self/statm", "latin1").split(" ").map(Number);
  return { own: (resident - shared) * pageBytes, file: shared * pageBytes };
}

let collector: (() => void) | undefined;

/**
 * Collects what nobody refers to any more, so that V8 needs less room (it keeps some of the freed pages for itself), and gives
 * malloc's free memory back to the kernel. V8 leaves that until it is short of room, and malloc until the end of its heap is
 * free: after a burst a daemon would keep what the burst took. Stops the program for some 20 ms.
 */
export function collectGarbage(): void {
  if (collector === undefined) {
    // The function is made for contexts that come after the flag.
    setFlagsFromString("--expose-gc");
    collector = runInNewContext("gc") as () => void;
    setFlagsFromString("--no-expose-gc");
  }
  collector();
  mallocTrim(0);
}

/** Gives memory back: file pages whenever many have come together, the rest when the process is quiet after it has grown. */
class Tidier {
  #lastCpuUs = 0;
  #lastOwnBytes = 0;
  #looks = 0;

  /** To be called every {@link checkMs}. */
  look(): void {
    const { own, file } = residentBytes();
    if (file > keptFileBytes) releaseFilePages();
    const { user, system } = process.cpuUsage();
    const usedUs = user + system - this.#lastCpuUs;
    this.#lastCpuUs = user + system;
    const grownBytes = own - this.#lastOwnBytes;
    this.#looks += 1;
    this.#lastOwnBytes = Math.min(this.#lastOwnBytes, own);
    const isDue = grownBytes > worthCollectingBytes || this.#looks >= longestLooks;
    if (usedUs > quietShare * checkMs * 1000 || !isDue) return;
    this.#looks = 0;
    collectGarbage();
    this.#lastOwnBytes = residentBytes().own;
  }
}

/** Gives back what the process does not need at the moment, now and then. Does not keep the process alive. */
export function keepResidentMemorySmall(): NodeJS.Timeout {
  const tidier = new Tidier();
  return setInterval(() => {
    try {
      tidier.look();
    } catch (error) {
      // No descriptor or no memory at this moment: the pages can wait.
      log.debug("memory is not given back", { error: errorText(error) });
    }
  }, checkMs).unref();
}

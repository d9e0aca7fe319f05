/**
 * Giving memory back. Starting up touches most of the program's file - the runtime's own text and its constant tables -
 * and the kernel maps every page near a touched one; later work needs a small part of that. Pages that are unchanged
 * copies of the file can be dropped at any time: those that are needed again come back from the page cache.
 */
import { readFileSync } from "node:fs";
import { errorText } from "../base/errors.ts";
import { log } from "../base/log.ts";
import { libc } from "./libc.ts";

const madvise = libc.func("int madvise(uintptr_t address, size_t length, int advice)");
const MADV_DONTNEED = 4;
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

/** Gives file pages back whenever many of them have come together. Does not keep the process alive. */
export function keepResidentMemorySmall(): NodeJS.Timeout {
  return setInterval(() => {
    try {
      // statm(5): pages in all, resident, resident and shared with files.
      const filePages = Number(readFileSync("/proc/self/statm", "latin1").split(" ")[2]);
      if (filePages * pageBytes > keptFileBytes) releaseFilePages();
    } catch (error) {
      // No descriptor or no memory at this moment: the pages can wait.
      log.debug("memory is not given back", { error: errorText(error) });
    }
  }, checkMs).unref();
}

/** When something is tried again, and after how long. */
import { setTimeout as sleep } from "node:timers/promises";

/** No registry is waited for longer than this, whatever it asks for. */
const longestPauseMs = 60_000;
const longestBackOffMs = 10_000;

/** Statuses that may be different the next time. */
export function isPassingStatus(status: number): boolean {
  return [408, 425, 429, 500, 502, 503, 504].includes(status);
}

/** `Retry-After` (RFC 9110, section 10.2.3) in milliseconds: seconds or a date. Undefined for what is neither. */
export function retryAfterMs(header: string | undefined, nowMs: number): number | undefined {
  if (header === undefined) return undefined;
  if (/^\d+$/.test(header.trim())) return Number(header) * 1000;
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.max(0, date - nowMs);
}

export interface Pause {
  /** 1 after the first failure. */
  readonly failures: number;
  readonly baseMs: number;
  /** What the registry asked for. */
  readonly askedMs: number | undefined;
}

/** How long to wait: what was asked for, else twice as long each time, with some chance in it. Undefined: too long. */
export function pauseMs({ failures, baseMs, askedMs }: Pause, random = Math.random()): number | undefined {
  if (askedMs !== undefined) return askedMs <= longestPauseMs ? askedMs : undefined;
  return Math.min(longestBackOffMs, baseMs * 2 ** (failures - 1)) * (0.75 + random / 2);
}

/** Sleeps; ends at once, by throwing, when the signal is aborted. */
export async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  await sleep(milliseconds, undefined, { signal });
}

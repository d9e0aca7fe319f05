import { constants } from "node:os";

/** Real-time signals as glibc numbers them. */
const rtMin = 34;
const rtMax = 64;

const numbers: ReadonlyMap<string, number> = new Map(
  Object.entries(constants.signals).map(([name, number]) => [name.slice("SIG".length), number]),
);

/**
 * The number of a signal written as `SIGTERM`, `TERM`, `term`, `15`, `RTMIN+3` or `RTMAX-1`; undefined when there is
 * no such signal on Linux.
 */
export function parseSignal(text: string): number | undefined {
  if (/^\d+$/.test(text)) {
    const number = Number(text);
    return number >= 1 && number <= rtMax ? number : undefined;
  }
  const name = text.toUpperCase().replace(/^SIG/, "");
  const known = numbers.get(name);
  if (known !== undefined) return known;
  const realTime = /^RT(MIN|MAX)(?:([+-])(\d+))?$/.exec(name);
  if (realTime === null) return undefined;
  const offset = Number(realTime[3] ?? 0) * (realTime[2] === "-" ? -1 : 1);
  const number = (realTime[1] === "MIN" ? rtMin : rtMax) + offset;
  return number >= rtMin && number <= rtMax ? number : undefined;
}

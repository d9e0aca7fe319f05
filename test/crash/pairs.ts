/** Two fail points in one run: a step and what undoes it, or a kill and another one in the recovery from it. */
import { failPoints, type Point } from "./points.ts";

/** `fail`: both fail. `undo`: the first fails, the daemon is killed at the second. `recovery`: it is killed at both. */
export type Way = "fail" | "undo" | "recovery";

export interface Pair {
  readonly way: Way;
  readonly first: Point;
  readonly second: Point;
}

/** What the undoing of a failed step passes. */
const undoing: readonly (readonly [failed: RegExp, passed: RegExp])[] = [
  [/^container-create\./, /^(snapshot-removed$|volume-remove\.)/],
  [
    /^(container-start\.|monitor-create\.noted)/,
    /^(network-close\.|sandbox-delete\.|monitor-delete\.|container-exit\.(runtime|unmounted|bundle))/,
  ],
  [/^container-remove\./, /^(container-remove\.(log|snapshot|directory)|snapshot-removed$|volume-remove\.)/],
  [/^network-open/, /^(network-close\.|sandbox-delete\.)/],
  [/^network-connect\./, /^network-disconnect\.exchanged/],
  [/^network-create\./, /^network-remove\.recorded/],
  [/^volume-create\./, /^volume-remove\./],
  [/^build-run\./, /^(network-close\.|sandbox-delete\.|snapshot-removed$)/],
  [/^(image|content|snapshot|build)-/, /^(content-(marked|removed)|snapshot-removed|image-remove\.)/],
];

/** What a daemon passes when it finds what another one left. */
const recovering =
  /^(network-close\.|sandbox-|monitor-delete\.|container-exit\.|container-remove\.|volume-remove\.|snapshot-removed|content-removed|image-remove\.|network-remove\.|deferred-sync\.)/;

/** Only these can fail in the middle of a request; the others are places to be killed at. */
function canFail({ isCrashOnly }: Point): boolean {
  return !isCrashOnly;
}

/** Every pair that makes sense. */
function allPairs(): Pair[] {
  const points = failPoints();
  const pairs: Pair[] = [];
  for (const first of points) {
    const passed = undoing.find(([failed]) => failed.test(first.name))?.[1];
    for (const second of points) {
      if (second === first) continue;
      if (canFail(first) && passed?.test(second.name) === true)
        pairs.push({ way: "fail", first, second }, { way: "undo", first, second });
      if (recovering.test(second.name)) pairs.push({ way: "recovery", first, second });
    }
  }
  return pairs;
}

/** So many of each way, in turn, chosen by `random`. */
export function choosePairs(count: number, random: () => number): Pair[] {
  const shuffled = allPairs()
    .map((pair) => ({ pair, order: random() }))
    .sort((a, b) => a.order - b.order)
    .map(({ pair }) => pair);
  const ways: readonly Way[] = ["fail", "undo", "recovery"];
  const byWay = ways.map((way) => shuffled.filter((pair) => pair.way === way));
  return Array.from(
    { length: count },
    (_, index) => byWay[index % ways.length]![Math.floor(index / ways.length)],
  ).filter((pair) => pair !== undefined);
}

/** `way:first:second`, as the test is told a pair by name. Throws for one that is none. */
export function pairNamed(text: string): Pair {
  const [way, first, second] = text.split(":");
  const points = failPoints();
  const pointNamed = (name: string | undefined): Point => {
    const point = points.find((each) => each.name === name);
    if (point === undefined) throw new Error(`there is no fail point ${name}`);
    return point;
  };
  if (way !== "fail" && way !== "undo" && way !== "recovery") throw new Error(`${text} is no pair`);
  return { way, first: pointNamed(first), second: pointNamed(second) };
}

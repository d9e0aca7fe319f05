/** The fail points in the sources, and the work that passes them. */
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { repositoryRoot } from "../helpers/daemon.ts";
import type { Work } from "./load.ts";

/** What passes the points whose names begin so; the first that fits counts. */
const passedBy: readonly (readonly [string, Work])[] = [
  ["container-create.volume-filled", "container"],
  ["container-remove", "oneShot"],
  ["container-", "container"],
  ["monitor-", "container"],
  ["network-open", "container"],
  ["network-close", "container"],
  ["network-connect", "container"],
  ["network-disconnect", "container"],
  ["network-", "network"],
  ["sandbox-", "oneShot"],
  ["volume-", "volume"],
  ["image-pull", "pull"],
  ["image-load", "load"],
  ["image-commit", "commit"],
  ["image-tag", "tag"],
  ["image-", "load"],
  ["content-", "load"],
  ["deferred-sync.", "load"],
  ["snapshot-prepare", "container"],
  ["snapshot-", "load"],
  ["build-", "build"],
];

export interface Point {
  readonly name: string;
  readonly work: Work;
  /** A failure there makes no request fail: it is a place to be killed at. */
  readonly isCrashOnly: boolean;
}

/** Their names in the sources that the pattern fits, each once, in order. */
export const failPointsIn = (pattern: RegExp): string[] => sitesIn(pattern).map(([name]) => name);

/** Names, and whether they are crash points. */
function sitesIn(pattern: RegExp): [name: string, isCrashOnly: boolean][] {
  const sites = globSync("src/**/*.ts", { cwd: repositoryRoot })
    .filter((path) => pattern.test(path) && !path.endsWith(".test.ts"))
    .flatMap((path) => [
      ...readFileSync(join(repositoryRoot, path), "utf8").matchAll(/\b(fail|crash)point\("([^"]+)"\)/g),
    ])
    .map(([, kind, name = ""]) => [name, kind === "crash"] as const);
  return [...new Map(sites)].toSorted(([a], [b]) => (a < b ? -1 : 1));
}

/**
 * Every fail point that the daemon's sources have, in order. The registry is a program of its own; log rotation needs longer
 * logs, and firewalld's zone firewalld (test/integration/firewalld.test.ts): their tests are with them. Throws for one that
 * nothing here is known to pass.
 */
export function failPoints(): Point[] {
  const others = /^src\/(?!registry\/server\/|container\/logging\/|network\/firewalld\.)/;
  return sitesIn(others).map(([name, isCrashOnly]) => {
    const work = passedBy.find(([prefix]) => name.startsWith(prefix))?.[1];
    if (work === undefined) throw new Error(`no work is known to pass the fail point ${name}`);
    return { name, work, isCrashOnly };
  });
}

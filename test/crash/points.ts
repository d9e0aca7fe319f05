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
}

/** Their names in the sources that the pattern fits, each once, in order. */
export function failPointsIn(pattern: RegExp): string[] {
  const names = globSync("src/**/*.ts", { cwd: repositoryRoot })
    .filter((path) => pattern.test(path) && !path.endsWith(".test.ts"))
    .flatMap((path) => [
      ...readFileSync(join(repositoryRoot, path), "utf8").matchAll(/\b(?:fail|crash)point\("([^"]+)"\)/g),
    ])
    .map((match) => match[1] ?? "");
  return [...new Set(names)].toSorted();
}

/**
 * Every fail point that the daemon's sources have, in order. The registry is a program of its own; log rotation needs longer
 * logs, and firewalld's zone firewalld (test/integration/firewalld.test.ts): their tests are with them. Throws for one that
 * nothing here is known to pass.
 */
export function failPoints(): Point[] {
  const others = /^src\/(?!registry\/server\/|container\/logging\/|network\/firewalld\.)/;
  return failPointsIn(others).map((name) => {
    const work = passedBy.find(([prefix]) => name.startsWith(prefix))?.[1];
    if (work === undefined) throw new Error(`no work is known to pass the fail point ${name}`);
    return { name, work };
  });
}

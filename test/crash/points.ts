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

/** Every fail point that the daemon's sources have, in order. Throws for one that nothing here is known to pass. */
export function failPoints(): Point[] {
  const names = globSync("src/**/*.ts", { cwd: repositoryRoot })
    // The registry is a program of its own; log rotation needs longer logs, and firewalld's zone firewalld: their tests are
    // with them.
    .filter(
      (path) =>
        !/\.test\.ts$|^src\/registry\/server\/|^src\/container\/logging\/|^src\/network\/firewalld/.test(
          path,
        ),
    )
    .flatMap((path) => [
      ...readFileSync(join(repositoryRoot, path), "utf8").matchAll(/\b(?:fail|crash)point\("([^"]+)"\)/g),
    ])
    .map((match) => match[1] ?? "");
  return [...new Set(names)].toSorted().map((name) => {
    const work = passedBy.find(([prefix]) => name.startsWith(prefix))?.[1];
    if (work === undefined) throw new Error(`no work is known to pass the fail point ${name}`);
    return { name, work };
  });
}

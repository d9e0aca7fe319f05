import { labels } from "../labels.ts";
import type { Observation } from "../plan.ts";

/**
 * All that a plan looks at in an observation, as a text: with the same project and the same facts a plan is the same. But for
 * ids of containers, which a plan looks at where a service takes another's namespace or volumes, and for what was judged of
 * Docker Compose 1's containers: of neither a memo is written.
 */
export function factsOf({ containers, networks, volumes, images }: Observation): string {
  const sorted = (rows: Iterable<readonly string[]>): string[] =>
    [...rows].map((row) => row.join(" ")).sort();
  return JSON.stringify([
    containers.map(({ name, service, number, isOneOff, state, summary: { Labels: own } }) =>
      [name, service, number, isOneOff, state, own[labels.configHash], own[labels.image]].join(" "),
    ),
    sorted(
      networks
        .entries()
        .map(([name, { labels: own }]) => [name, own[labels.project] ?? "", own[labels.network] ?? ""]),
    ),
    sorted(volumes.entries().map(([name, { labels: own }]) => [name, own[labels.project] ?? ""])),
    sorted(images.entries().map(([name, { Id: id }]) => [name, id])),
  ]);
}

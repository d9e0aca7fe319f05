/** Containers of a project that start while somebody watches it. */
import { setTimeout as delay } from "node:timers/promises";
import type { Client } from "../../client/client.ts";
import { listContainers, type Observed } from "../../compose/engine.ts";

export interface WatchedProject {
  readonly project: string;
  /** Services of interest; all when empty. */
  readonly services: readonly string[];
  readonly known: readonly Observed[];
  /** What is being shown already. */
  readonly shown: readonly Promise<void>[];
  readonly show: (container: Observed, isNew: boolean) => Promise<void>;
}

/** How often it is looked for containers that are new or run again, in ms. */
const lookMs = 500;

/** Shows what starts, until nothing of the project runs and all that was shown has ended. */
export async function newContainers(client: Client, watched: WatchedProject): Promise<void> {
  const open = new Map<string, Promise<void>>();
  const finish = async (id: string, shown: Promise<void>): Promise<void> => {
    await shown.catch(() => {});
    open.delete(id);
  };
  const add = (id: string, shown: Promise<void>): void => void open.set(id, finish(id, shown));
  const seen = new Set(watched.known.map(({ id }) => id));
  for (const [index, shown] of watched.shown.entries()) add(watched.known[index]!.id, shown);
  for (;;) {
    await Promise.race([delay(lookMs), ...open.values()]);
    const running = (await listContainers(client, watched.project, { all: false })).filter(
      ({ service }) => watched.services.length === 0 || watched.services.includes(service),
    );
    for (const container of running) {
      if (seen.has(container.id)) continue;
      seen.add(container.id);
      add(container.id, watched.show(container, true));
    }
    if (running.length === 0 && open.size === 0) return;
    // Everything that runs is shown to its end: nothing is to be looked for more often than so.
    if (open.size === 0) await delay(lookMs);
  }
}

/**
 * `npm run test:crash`: a daemon under a mixed load is killed at random moments and started again. After each time
 * everything that it acknowledged is there, what ran still runs with its log complete, and there is nothing else; at the
 * end nothing at all is left.
 *
 * GANTRY_CRASH_KILLS is how often (20 when not given), GANTRY_CRASH_SEED repeats a run's requests.
 */
import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { TestDaemon } from "../helpers/daemon.ts";
import { busybox, ensureBusybox } from "../helpers/images.ts";
import { assertNoLeaks, takeSettledSnapshot, takeSnapshot, type Snapshot } from "../helpers/leak-check.ts";
import { eventually } from "../helpers/process.ts";
import { Ledger, observe } from "./ledger.ts";
import { randomFrom, Worker } from "./load.ts";

const kills = Number(process.env["GANTRY_CRASH_KILLS"] ?? 20);
const seed = Number(process.env["GANTRY_CRASH_SEED"] ?? randomInt(1_000_000));
const workerCount = 4;
const longestLoadMs = 1_500;

/** Waits until each running container has its monitor and no monitor is without one. */
async function monitorsMatch(daemon: TestDaemon, ledger: Ledger): Promise<void> {
  const running = ledger.entries.filter(({ state }) => state === "running").length;
  let monitors: string[] = [];
  await eventually(
    async () => {
      const { processes } = await takeSnapshot(daemon);
      monitors = processes.filter((name) => name.startsWith("conmon") && !name.includes("--exec"));
      return monitors.length === running;
    },
    { timeoutMs: 15_000, what: `${running} monitors` },
  ).catch((error: unknown) => {
    throw new Error(`${String(error)}; there are\n  ${monitors.join("\n  ")}`);
  });
}

async function removeAll(daemon: TestDaemon, ledger: Ledger): Promise<void> {
  await daemon.removeContainers();
  const { client } = daemon;
  for (const { kind, name, state } of ledger.entries) {
    if (state === "absent") continue;
    if (kind === "network") await client.getNetwork(name).remove();
    if (kind === "volume") await client.getVolume(name).remove();
    if (kind === "image") await client.getImage(name).remove();
  }
}

describe(
  "kill -9 at random moments under load",
  { skip: process.env["GANTRY_TEST_ENGINE"] === "docker" },
  () => {
    test(`${kills} times (seed ${seed})`, { timeout: 60_000 + kills * 30_000 }, async () => {
      await using daemon = await TestDaemon.start();
      await ensureBusybox(daemon);
      const ledger = new Ledger((await observe(daemon)).keys());
      const workers = Array.from(
        { length: workerCount },
        (_, number) => new Worker(daemon, ledger, { number, seed }),
      );
      await daemon.killHard();
      await daemon.launch();
      // What the first container makes and the daemon keeps is no leak.
      await daemon.dockerOk(["run", "--rm", busybox, "true"]);
      const baseline: Snapshot = await takeSettledSnapshot(daemon);
      const random = randomFrom(seed);
      for (let round = 1; round <= kills; round += 1) {
        const killed = Promise.withResolvers<void>();
        const working = Promise.all(workers.map((worker) => worker.work(killed.promise)));
        // A refusal ends the test by itself below; until then nobody listens.
        working.catch(() => {});
        await sleep(random() * longestLoadMs);
        await daemon.killHard();
        // One whose client never settles its promise stays behind; the rest are done by then.
        await Promise.race([working, killed.promise.then(() => sleep(1_000))]);
        await daemon.launch();
        assert.deepEqual(await ledger.reconcile(daemon), [], `after kill ${round} of seed ${seed}`);
        await monitorsMatch(daemon, ledger);
      }
      await removeAll(daemon, ledger);
      // A daemon that worked for a while has descriptors open that a new one opens later.
      await assertNoLeaks(daemon, baseline, { ignore: ["descriptors"], settleMs: 15_000 });
      const requests = workers.reduce((sum, worker) => sum + worker.requests, 0);
      console.log(`# ${kills} kills survived, ${requests} requests, seed ${seed}`);
      assert.ok(requests > kills, "the load was none");
    });
  },
);

/** Kills a daemon under load, starts it again, and compares what is there with what was acknowledged. */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { CheckReport } from "../../src/wire/check.ts";
import { TestDaemon } from "../helpers/daemon.ts";
import { busybox, ensureBusybox } from "../helpers/images.ts";
import { assertNoLeaks, takeSettledSnapshot, takeSnapshot, type Snapshot } from "../helpers/leak-check.ts";
import { eventually } from "../helpers/process.ts";
import { Ledger, observe } from "./ledger.ts";
import { randomFrom, Worker } from "./load.ts";
import type { Point } from "./points.ts";
import { prepareSupplies, type Supplies } from "./supplies.ts";

const workerCount = 4;
const longestLoadMs = 1_500;
/** A client whose library never settles its promise (docker-modem, when an answer is cut in its middle) is left behind. */
const patienceMs = 2_000;

export class CrashDriver implements AsyncDisposable {
  readonly #daemon: TestDaemon;
  readonly #supplies: Supplies;
  readonly #ledger: Ledger;
  readonly #workers: readonly Worker[];
  readonly #baseline: Snapshot;
  readonly #random: () => number;
  kills = 0;

  private constructor(parts: {
    readonly daemon: TestDaemon;
    readonly supplies: Supplies;
    readonly ledger: Ledger;
    readonly workers: readonly Worker[];
    readonly baseline: Snapshot;
    readonly random: () => number;
  }) {
    this.#daemon = parts.daemon;
    this.#supplies = parts.supplies;
    this.#ledger = parts.ledger;
    this.#workers = parts.workers;
    this.#baseline = parts.baseline;
    this.#random = parts.random;
  }

  /** Starts a daemon, and notes what is there before any load. */
  static async start(seed: number): Promise<CrashDriver> {
    const daemon = await TestDaemon.start();
    try {
      await ensureBusybox(daemon);
      const supplies = await prepareSupplies(daemon, workerCount);
      const ledger = new Ledger((await observe(daemon)).keys());
      const workers = Array.from(
        { length: workerCount },
        (_, number) => new Worker(daemon, ledger, { number, seed, supplies }),
      );
      await daemon.killHard();
      await daemon.launch();
      // What the first container makes and the daemon keeps is no leak.
      await daemon.dockerOk(["run", "--rm", busybox, "true"]);
      const baseline = await takeSettledSnapshot(daemon);
      return new CrashDriver({ daemon, supplies, ledger, workers, baseline, random: randomFrom(seed) });
    } catch (error) {
      await daemon[Symbol.asyncDispose]();
      throw error;
    }
  }

  get requests(): number {
    return this.#workers.reduce((sum, worker) => sum + worker.requests, 0);
  }

  /** Kills at a random moment of the load. */
  async killAtRandom(): Promise<void> {
    const load = this.#load(undefined);
    await sleep(this.#random() * longestLoadMs);
    await this.#daemon.killHard();
    await load.end();
    await this.#restartAndCheck("a random moment");
  }

  /** Lets the daemon end at a fail point, when it is passed for the `times`th time. False: nothing passed it. */
  async killAt({ name, work }: Point, times: number): Promise<boolean> {
    const daemon = this.#daemon;
    await daemon.stop();
    const action = { GANTRY_FAILPOINTS: `${name}=exit:${times}` };
    await daemon.launch(action).catch((error: unknown) => {
      // One that is passed at start-up ends the daemon there.
      if (daemon.running) throw error;
    });
    const load = this.#load(work);
    const isReached = await Promise.race([
      daemon.gone(120_000).then(
        () => true,
        () => false,
      ),
      load.failed,
    ]);
    if (!isReached) await daemon.killHard();
    await load.end();
    await this.#restartAndCheck(name);
    return isReached;
  }

  /** Starts the load; `end` waits for what is left of it, and throws what a worker had to complain of. */
  #load(favourite: Worker["favourite"]): { end: () => Promise<void>; failed: Promise<never> } {
    const killed = Promise.withResolvers<void>();
    for (const worker of this.#workers) worker.favourite = favourite;
    const working = Promise.all(this.#workers.map((worker) => worker.work(killed.promise)));
    const failed = new Promise<never>((_, reject) => {
      working.catch(reject);
    });
    failed.catch(() => {});
    const end = async (): Promise<void> => {
      const patience = new AbortController();
      const late = sleep(patienceMs, undefined, { signal: patience.signal }).then(() => killed.resolve());
      late.catch(() => {});
      await working;
      patience.abort();
    };
    return { end, failed };
  }

  async #restartAndCheck(where: string): Promise<void> {
    this.kills += 1;
    await this.#daemon.launch();
    const wrong = await this.#ledger.reconcile(this.#daemon);
    assert.deepEqual(wrong, [], `after kill ${this.kills}, at ${where}`);
    await this.#monitorsMatch();
    const { stdout, stderr } = await this.#daemon.gantry(["system", "check", "--format", "json"], {
      timeoutMs: 120_000,
    });
    const { Faults } = JSON.parse(
      stdout === "" ? `{"Faults":[${JSON.stringify(stderr)}]}` : stdout,
    ) as CheckReport;
    assert.deepEqual(Faults, [], `faults after kill ${this.kills}, at ${where}`);
  }

  /** Waits until each running container has its monitor and no monitor is without one. */
  async #monitorsMatch(): Promise<void> {
    const running = this.#ledger.entries.filter(({ state }) => state === "running").length;
    let monitors: string[] = [];
    await eventually(
      async () => {
        const { processes } = await takeSnapshot(this.#daemon);
        monitors = processes.filter((name) => name.startsWith("conmon") && !name.includes("--exec"));
        return monitors.length === running;
      },
      { timeoutMs: 30_000, what: `${running} monitors` },
    ).catch((error: unknown) => {
      throw new Error(`${String(error)}; there are\n  ${monitors.join("\n  ")}`);
    });
  }

  /** Removes everything, and throws when something else than at the beginning is left. */
  async requireNothingLeft(): Promise<void> {
    const daemon = this.#daemon;
    await daemon.removeContainers();
    const { client } = daemon;
    for (const entry of this.#ledger.entries) {
      const { kind, name, state } = entry;
      entry.state = "absent";
      if (state === "absent") continue;
      if (kind === "network") await client.getNetwork(name).remove();
      if (kind === "volume") await client.getVolume(name).remove();
      if (kind === "image") await client.getImage(name).remove();
    }
    // What was made and not yet named when the daemon ended.
    await daemon.dockerOk(["image", "prune", "-f"]);
    await daemon.dockerOk(["builder", "prune", "-af"]);
    // A daemon that worked for a while has descriptors open that a new one opens later.
    await assertNoLeaks(daemon, this.#baseline, { ignore: ["descriptors"], settleMs: 30_000 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#supplies[Symbol.asyncDispose]();
    await this.#daemon[Symbol.asyncDispose]();
  }
}

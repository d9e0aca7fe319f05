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
import type { Pair } from "./pairs.ts";
import type { Point } from "./points.ts";
import { prepareSupplies, type Supplies } from "./supplies.ts";

const workerCount = 4;
const longestLoadMs = 1_500;
/** A client whose library never settles its promise (docker-modem, when an answer is cut in its middle) is left behind. */
const patienceMs = 2_000;

/** How long the load may take to pass what it is to pass. */
const passingMs = 30_000;

interface Load {
  readonly end: () => Promise<void>;
  readonly stop: () => Promise<void>;
  readonly failed: Promise<never>;
}

const passes = (condition: () => boolean | Promise<boolean>): Promise<boolean> =>
  eventually(condition, { timeoutMs: passingMs, intervalMs: 100 }).then(
    () => true,
    () => false,
  );

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

  /** False: one of the two was not passed. */
  meet({ way, first, second }: Pair): Promise<boolean> {
    if (way === "fail") return this.#failBoth(first, second);
    return way === "undo" ? this.#killInUndo(first, second) : this.#killInRecovery(first, second);
  }

  /**
   * Lets a step fail and then a step of what undoes it, once each. Nobody is killed: what could not be undone at once is
   * undone soon.
   */
  async #failBoth(first: Point, second: Point): Promise<boolean> {
    const daemon = this.#daemon;
    await daemon.stop();
    const logged = (await daemon.log()).length;
    await daemon.launch({ GANTRY_FAILPOINTS: `${first.name}=fail,${second.name}=fail` });
    const load = this.#load(first.work, { isForgiving: true });
    const isTold = async (): Promise<boolean> => {
      const log = (await daemon.log()).slice(logged);
      return [first, second].every(
        ({ name }) =>
          log.includes(`fail point ${name}`) || this.#workers.some(({ toldOf }) => toldOf.has(name)),
      );
    };
    const areBothPassed = await Promise.race([passes(isTold), load.failed]);
    await load.stop();
    await this.#check(`${first.name} and then ${second.name} failed`);
    return areBothPassed;
  }

  /** Lets a step fail, and kills the daemon in the middle of undoing it. */
  async #killInUndo(first: Point, second: Point): Promise<boolean> {
    const daemon = this.#daemon;
    await daemon.stop();
    const actions = { GANTRY_FAILPOINTS: `${first.name}=fail,${second.name}=exit` };
    await this.#launchToItsEnd(actions);
    return this.#endUnderLoad(first, `${first.name} failed and ${second.name} killed`);
  }

  /** Kills a daemon, and the next one while it recovers, or soon afterwards. */
  async #killInRecovery(first: Point, second: Point): Promise<boolean> {
    const daemon = this.#daemon;
    await daemon.stop();
    await this.#launchToItsEnd({ GANTRY_FAILPOINTS: `${first.name}=exit` });
    const load = this.#load(first.work);
    const isReached = await Promise.race([passes(() => !daemon.running), load.failed]);
    if (!isReached) await daemon.killHard();
    await load.end();
    const where = `${first.name} killed, and then ${second.name}`;
    this.kills += 1;
    await this.#launchToItsEnd({ GANTRY_FAILPOINTS: `${second.name}=exit` });
    if (daemon.running && (await this.#reconcileWhileItLives(where)))
      return (await this.#endUnderLoad(second, where)) && isReached;
    await this.#restartAndCheck(where);
    return isReached;
  }

  /** Starts a daemon that may end while it starts. */
  async #launchToItsEnd(env: Record<string, string>): Promise<void> {
    await this.#daemon.launch(env).catch((error: unknown) => {
      if (this.#daemon.running) throw error;
    });
  }

  /** Puts load on a daemon until it ends, or kills it when it does not; then looks at the next. False: it was killed. */
  async #endUnderLoad({ work }: Point, where: string): Promise<boolean> {
    const daemon = this.#daemon;
    const load = this.#load(work, { isForgiving: true });
    const isReached = await Promise.race([passes(() => !daemon.running), load.failed]);
    if (!isReached) await daemon.killHard();
    await load.end();
    await this.#restartAndCheck(where);
    return isReached;
  }

  /**
   * Starts the load. `end` waits for what is left of it when the daemon has gone, `stop` for the answers to what is under
   * way; both throw what a worker had to complain of.
   */
  #load(favourite: Worker["favourite"], { isForgiving = false } = {}): Load {
    const killed = Promise.withResolvers<void>();
    for (const worker of this.#workers) {
      Object.assign(worker, { favourite, isForgiving, isStopping: false });
      worker.toldOf.clear();
    }
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
    const stop = async (): Promise<void> => {
      for (const worker of this.#workers) worker.isStopping = true;
      await working;
    };
    return { end, stop, failed };
  }

  async #restartAndCheck(where: string): Promise<void> {
    this.kills += 1;
    await this.#daemon.launch();
    await this.#reconcile(where);
    await this.#monitorsMatch();
    const faults = await this.#faults();
    assert.deepEqual(faults, [], `faults after kill ${this.kills}, at ${where}`);
  }

  /** False: it ended meanwhile, as it was told to. */
  async #reconcileWhileItLives(where: string): Promise<boolean> {
    try {
      await this.#reconcile(where);
      return true;
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error;
      await this.#daemon.gone(10_000);
      return false;
    }
  }

  async #reconcile(where: string): Promise<void> {
    const wrong = await this.#ledger.reconcile(this.#daemon);
    assert.deepEqual(wrong, [], `after kill ${this.kills}, at ${where}`);
  }

  async #faults(): Promise<CheckReport["Faults"]> {
    const { stdout, stderr } = await this.#daemon.gantry(["system", "check", "--format", "json"], {
      timeoutMs: 120_000,
    });
    const report = stdout === "" ? `{"Faults":[${JSON.stringify(stderr)}]}` : stdout;
    return (JSON.parse(report) as CheckReport).Faults;
  }

  /** Looks at a daemon that goes on, as soon as it has tried again what had failed. */
  async #check(where: string): Promise<void> {
    let faults: CheckReport["Faults"] = [];
    await eventually(async () => (faults = await this.#faults()).length === 0, {
      timeoutMs: 60_000,
      intervalMs: 500,
      what: "a check without faults",
    }).catch(() => {});
    assert.deepEqual(faults, [], `faults after ${where}`);
    await this.#reconcile(where);
    await this.#monitorsMatch();
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
    // One that nobody killed has directories for its work that a new one makes when it needs them.
    await daemon.stop();
    await daemon.launch();
    // A daemon that worked for a while has descriptors open that a new one opens later.
    await assertNoLeaks(daemon, this.#baseline, { ignore: ["descriptors"], settleMs: 30_000 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#supplies[Symbol.asyncDispose]();
    await this.#daemon[Symbol.asyncDispose]();
  }
}

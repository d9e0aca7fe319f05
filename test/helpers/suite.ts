/** One daemon for a test file, with its image, a leak check after each test, and the end of it all. */
import { after, afterEach, before } from "node:test";
import { TestDaemon, type DaemonOptions } from "./daemon.ts";
import { busybox, ensureBusybox } from "./images.ts";
import { assertNoLeaks, takeSettledSnapshot, type LeakKind, type Snapshot } from "./leak-check.ts";

export interface Suite {
  /** The daemon; only inside tests and hooks. */
  readonly daemon: TestDaemon;
}

export interface SuiteOptions extends DaemonOptions {
  /** Kinds of things that tests of this file leave on purpose. */
  readonly leaves?: readonly LeakKind[];
}

/**
 * Registers the hooks. After each test the containers are removed and nothing more may be there than at the file's
 * start, after one container has come and gone (what is opened once and kept is not a leak).
 */
export function useDaemon(options: SuiteOptions = {}): Suite {
  let daemon: TestDaemon | undefined;
  let baseline: Snapshot | undefined;
  before(async () => {
    daemon = await TestDaemon.start(options);
    await ensureBusybox(daemon);
    await warmUp(daemon);
    baseline = await takeSettledSnapshot(daemon);
  });
  afterEach(async () => {
    if (daemon === undefined || baseline === undefined) return;
    await daemon.removeContainers();
    if (daemon.flavour === "gantry") await assertNoLeaks(daemon, baseline, { ignore: options.leaves ?? [] });
  });
  after(() => daemon?.[Symbol.asyncDispose]());
  return {
    get daemon(): TestDaemon {
      if (daemon === undefined) throw new Error("the daemon was not started");
      return daemon;
    },
  };
}

/** One container with an exec and a published port: whatever is opened at first use is open after it. */
async function warmUp(daemon: TestDaemon): Promise<void> {
  const id = await daemon.dockerOk(["run", "-d", "-p", "127.0.0.1::80", busybox, "sleep", "60"]);
  await daemon.dockerOk(["exec", id, "true"]);
  const following = daemon.startDocker(["logs", "-f", id]);
  await daemon.dockerOk(["info"]);
  await daemon.dockerOk(["rm", "-f", id]);
  await following.wait();
  await daemon.dockerOk(["run", "--rm", busybox, "true"]);
}

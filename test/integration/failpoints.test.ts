/**
 * Every fail point in the sources, hit twice: once as an error half-way, once as a power cut. Either way nothing may be
 * left behind, and the next request works.
 */
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { dockerBuild } from "../helpers/build.ts";
import { flavour, repositoryRoot, TestDaemon } from "../helpers/daemon.ts";
import { busybox, busyboxTar, ensureBusybox } from "../helpers/images.ts";
import { assertNoLeaks, takeSettledSnapshot, type Snapshot } from "../helpers/leak-check.ts";
import { eventually } from "../helpers/process.ts";

const names = globSync("src/**/*.ts", { cwd: repositoryRoot })
  // The registry is no part of the daemon: registry-serve.test.ts goes through its own; log-drivers.test.ts through those
  // of logs, which have to be long.
  .filter((path) => !/\.test\.ts$|^src\/registry\/server\/|^src\/container\/logging\//.test(path))
  .flatMap((path) => [
    ...readFileSync(join(repositoryRoot, path), "utf8").matchAll(/failpoint\("([^"]+)"\)/g),
  ])
  .map((match) => match[1] ?? "")
  .toSorted();

describe("fail points", { skip: flavour === "docker" }, () => {
  let daemon: TestDaemon;
  let archive = "";
  let baseline: Snapshot;

  before(async () => {
    daemon = await TestDaemon.start();
    await ensureBusybox(daemon);
    archive = await busyboxTar(daemon.root);
    await daemon.dockerOk(["run", "--rm", "-p", "18500:80", busybox, "true"]);
    // A daemon that was started again is what each round ends with, so it is what is compared with.
    await daemon.stop();
    await daemon.launch();
    await useEverything();
    baseline = await takeSettledSnapshot(daemon);
  });
  after(() => daemon?.[Symbol.asyncDispose]());

  /** One request of each kind; what comes out is told by `works`. */
  async function useEverything(): Promise<boolean> {
    const results = [
      await daemon.docker(["run", "--rm", "-p", "18500:80", busybox, "true"]),
      await daemon.docker(["run", "-d", "--name", "execs", busybox, "sleep", "60"]),
      await daemon.docker(["exec", "execs", "true"]),
      await daemon.docker(["network", "create", "failpoints"]),
      await daemon.docker(["network", "connect", "failpoints", "execs"]),
      await daemon.docker(["network", "disconnect", "failpoints", "execs"]),
      await daemon.docker(["rm", "-f", "execs"]),
      await daemon.docker(["network", "rm", "failpoints"]),
      await daemon.docker(["import", archive, "failpoint/import:1"], { timeoutMs: 60_000 }),
      await daemon.docker(["rmi", "failpoint/import:1"]),
      await dockerBuild(daemon, { Dockerfile: `FROM ${busybox}\nRUN touch /made\n` }, [
        "-t",
        "failpoint/build:1",
      ]),
      await daemon.docker(["rmi", "failpoint/build:1"]),
      await daemon.docker(["builder", "prune", "-af"]),
    ];
    return results.every((result) => result.code === 0);
  }

  test("there are some", () => assert.ok(names.length > 0));

  for (const name of names) {
    for (const action of ["error", "exit"]) {
      test(`${name}=${action}`, async () => {
        await daemon.stop();
        await daemon.launch({ GANTRY_FAILPOINTS: `${name}=${action}` }).catch((error: unknown) => {
          // A point that is passed at start-up ends the daemon there.
          if (action !== "exit") throw error;
        });
        const unharmed = daemon.running && (await useEverything());
        assert.ok(!unharmed, "the fail point was not reached: what it guards is not tested");
        if (daemon.running) await daemon.killHard();
        await daemon.launch();
        await daemon.removeContainers();
        await daemon.docker(["rmi", "failpoint/import:1"]);
        await daemon.docker(["network", "rm", "failpoints"]);
        await eventually(useEverything, {
          timeoutMs: 30_000,
          intervalMs: 500,
          what: "every kind of request to work",
        });
        await assertNoLeaks(daemon, baseline);
      });
    }
  }
});

/**
 * Every fail point in the sources, hit as an error half-way, and many as a kill. Either way nothing may be left behind,
 * and the next request works.
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
  // The registry is no part of the daemon: registry-garbage.test.ts goes through its own; log-drivers.test.ts through those
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
    await use(everything);
    baseline = await takeSettledSnapshot(daemon);
  });
  after(() => daemon?.[Symbol.asyncDispose]());

  const docker = (...args: string[]): Promise<boolean> =>
    daemon.docker(args, { timeoutMs: 60_000 }).then(({ code }) => code === 0);

  /** Requests that pass fail points, by what they are about. Each is made whatever became of the one before. */
  const requests = {
    containers: () => [
      () => docker("run", "--rm", "-p", "18500:80", busybox, "true"),
      () => docker("run", "-d", "--name", "execs", busybox, "sleep", "60"),
      () => docker("exec", "execs", "true"),
      () => docker("rm", "-f", "execs"),
    ],
    networks: () => [
      () => docker("run", "-d", "--name", "execs", "-p", "18500:80", busybox, "sleep", "60"),
      () => docker("network", "create", "failpoints"),
      () => docker("network", "connect", "failpoints", "execs"),
      () => docker("network", "disconnect", "failpoints", "execs"),
      () => docker("rm", "-f", "execs"),
      () => docker("network", "rm", "failpoints"),
    ],
    volumes: () => [
      () => docker("volume", "create", "failpoints"),
      () => docker("create", "--name", "filled", "-v", "failpoints:/bin", busybox),
      () => docker("rm", "filled"),
      () => docker("volume", "rm", "failpoints"),
    ],
    images: () => [
      () => docker("create", "--name", "filled", busybox),
      () => docker("cp", archive, "filled:/added"),
      () => docker("commit", "filled", "failpoint/commit:1"),
      () => docker("save", "-o", join(daemon.root, "saved.tar"), "failpoint/commit:1"),
      () => docker("rm", "filled"),
      () => docker("rmi", "failpoint/commit:1"),
      () => docker("load", "-i", join(daemon.root, "saved.tar")),
      () => docker("rmi", "failpoint/commit:1"),
      () => docker("import", archive, "failpoint/import:1"),
      () => docker("rmi", "failpoint/import:1"),
    ],
    builds: () => [
      () => build(`FROM ${busybox}\nRUN touch /made\n`),
      () => docker("rmi", "failpoint/build:1"),
      () => docker("builder", "prune", "-af"),
    ],
  };
  type Kind = keyof typeof requests;
  const everything = Object.keys(requests) as Kind[];

  async function build(dockerfile: string): Promise<boolean> {
    const { code } = await dockerBuild(daemon, { Dockerfile: dockerfile }, ["-t", "failpoint/build:1"]);
    return code === 0;
  }

  /** True when every request was answered well. */
  async function use(kinds: readonly Kind[]): Promise<boolean> {
    let isWell = true;
    for (const kind of kinds) for (const request of requests[kind]()) isWell = (await request()) && isWell;
    return isWell;
  }

  /** What passes a fail point of this name. */
  function kindsFor(name: string): readonly Kind[] {
    if (/^(container-create|snapshot-prepare)/.test(name)) return ["containers", "volumes"];
    if (/^(container|monitor)-/.test(name)) return ["containers"];
    if (name.startsWith("network-")) return ["networks"];
    if (name.startsWith("volume-")) return ["volumes"];
    if (name.startsWith("build-")) return ["builds"];
    if (/^(image|content|snapshot)-/.test(name)) return ["images"];
    return everything;
  }

  test("there are some", () => assert.ok(names.length > 0));

  for (const [index, name] of names.entries()) {
    // A kill at a third of them: test/crash/ goes through all kills, under load.
    const isKilled = index % 3 === 0;
    for (const action of isKilled ? ["error", "exit"] : ["error"]) {
      test(`${name}=${action}`, async () => {
        await daemon.stop();
        await daemon.launch({ GANTRY_FAILPOINTS: `${name}=${action}` }).catch((error: unknown) => {
          // A point that is passed at start-up ends the daemon there.
          if (action !== "exit") throw error;
        });
        const kinds = kindsFor(name);
        const unharmed = daemon.running && (await use(kinds));
        assert.ok(!unharmed, "the fail point was not reached: what it guards is not tested");
        if (daemon.running) await daemon.killHard();
        await daemon.launch();
        await daemon.removeContainers();
        await docker("rmi", "failpoint/import:1", "failpoint/commit:1");
        await docker("network", "rm", "failpoints");
        await docker("volume", "rm", "failpoints");
        await eventually(() => use(kinds), {
          timeoutMs: 180_000,
          intervalMs: 500,
          what: "every kind of request to work",
        });
        await assertNoLeaks(daemon, baseline);
      });
    }
  }

  test("a restart policy outlives an exit whose handling fails half-way", async () => {
    const places = ["before-record", "recorded", "network-released", "before-answer"];
    await daemon.stop();
    await daemon.launch({
      // The first is before the record: it is tried again. The others are behind it: the rest is done all the same.
      GANTRY_FAILPOINTS: places.map((place) => `container-exit.${place}=fail:2`).join(","),
    });
    await daemon.dockerOk(["run", "-d", "--name", "again", "--restart", "always", busybox, "false"]);
    await eventually(
      async () => Number(await daemon.dockerOk(["inspect", "-f", "{{.RestartCount}}", "again"])) >= 3,
      { timeoutMs: 120_000, what: "the policy to restart the container three times" },
    );
    await daemon.dockerOk(["rm", "-f", "again"]);
    // Now, not when the next daemon has removed what is nobody's.
    await assertNoLeaks(daemon, baseline);
    await daemon.stop();
    await daemon.launch();
    await eventually(() => use(["containers"]), { timeoutMs: 120_000, what: "requests to work" });
    await assertNoLeaks(daemon, baseline);
  });
});

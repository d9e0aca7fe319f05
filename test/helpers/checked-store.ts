/** A daemon with one of everything, to be damaged, and `gantry system check` on it. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before } from "node:test";
import type { CheckReport, Fault } from "../../src/wire/check.ts";
import { dockerBuild } from "./build.ts";
import { TestDaemon } from "./daemon.ts";
import { busybox, ensureBusybox } from "./images.ts";

/** There from the first test of the suite to its last. */
export function useCheckedStore() {
  let daemon: TestDaemon;

  before(async () => {
    daemon = await TestDaemon.start();
    await ensureBusybox(daemon);
    await dockerBuild(daemon, { Dockerfile: `FROM ${busybox}\nRUN echo made > /made\n` }, [
      "-t",
      "check/built:1",
    ]);
    await daemon.dockerOk(["network", "create", "check"]);
    await daemon.dockerOk(["volume", "create", "kept"]);
    await daemon.dockerOk(["create", "--name", "still", "-v", "kept:/data", "check/built:1", "cat", "/made"]);
    await daemon.dockerOk(["run", "-d", "--name", "runs", "-p", "18600:80", busybox, "sleep", "600"]);
    await daemon.dockerOk(["network", "connect", "check", "runs"]);
  });
  after(() => daemon?.[Symbol.asyncDispose]());

  /** Asks the running daemon, or with `atRest` looks where it lies. */
  async function check(
    options: { repair?: boolean; atRest?: boolean; execRoot?: string } = {},
  ): Promise<CheckReport & { code: number }> {
    const { dataRoot } = daemon;
    const { execRoot = daemon.execRoot } = options;
    const places = ["--data-root", dataRoot, "--exec-root", execRoot, "--config-file", await configFile()];
    const words = ["system", "check", "--format", "json"];
    if (options.repair === true) words.push("--repair");
    const command = [...daemon.gantryCommand(words), ...(options.atRest === true ? places : [])];
    const { code, stdout, stderr } = await daemon.host.run(command, { timeoutMs: 120_000 });
    assert.ok(stdout !== "", stderr);
    return { ...(JSON.parse(stdout) as CheckReport), code };
  }

  /** What of the daemon's flags a check at rest has to know. */
  function configFile(): Promise<string> {
    return daemon.file("daemon.json", JSON.stringify({ "cgroup-parent": daemon.cgroupParent }));
  }

  const kinds = (faults: readonly Fault[]): string[] =>
    [...new Set(faults.map(({ Kind }) => Kind))].toSorted();

  async function requireClean(atRest: boolean): Promise<void> {
    const report = await check({ atRest });
    assert.deepEqual(report.Faults, []);
    assert.equal(report.code, 0);
  }

  /** Damages, looks, repairs, and looks again. `left`: kinds that stay until `mend` has been called. */
  async function tryFault(fault: {
    readonly kinds: readonly string[];
    readonly atRest?: boolean;
    damage(): unknown;
    readonly left?: readonly string[];
    mend?(): unknown;
  }): Promise<void> {
    const { atRest = false, left = [] } = fault;
    await fault.damage();
    const found = await check({ atRest });
    assert.deepEqual(kinds(found.Faults), fault.kinds.toSorted(), JSON.stringify(found.Faults, undefined, 1));
    assert.equal(found.code, 1);
    const repaired = await check({ atRest, repair: true });
    assert.equal(
      repaired.code,
      left.length > 0 && fault.kinds.some((kind) => left.includes(kind)) ? 1 : 0,
      JSON.stringify(repaired.Faults),
    );
    const again = await check({ atRest });
    assert.deepEqual(kinds(again.Faults), left.toSorted(), JSON.stringify(again.Faults, undefined, 1));
    await fault.mend?.();
    if (left.length > 0) await requireClean(atRest);
  }

  /** A process in a control group that nothing here knows is another daemon's. */
  async function requireSpared(atRest: boolean): Promise<void> {
    const hierarchy = existsSync("/sys/fs/cgroup/memory") ? "/sys/fs/cgroup/memory" : "/sys/fs/cgroup";
    const group = join(hierarchy, daemon.cgroupParent, newId());
    mkdirSync(join(group, "inner"), { recursive: true });
    const other = spawn("sleep", ["600"], { stdio: "ignore" });
    try {
      writeFileSync(join(group, "inner/cgroup.procs"), String(other.pid));
      const { Faults, code } = await check({ atRest, repair: true });
      assert.deepEqual(Faults, []);
      assert.equal(code, 0);
      assert.match(
        readFileSync(join(group, "inner/cgroup.procs"), "utf8"),
        new RegExp(`^${other.pid}$`, "m"),
      );
    } finally {
      const ended = once(other, "exit");
      other.kill("SIGKILL");
      await ended;
    }
    // Nobody's any more.
    assert.deepEqual(kinds((await check({ atRest, repair: true })).Faults), ["cgroup-leftover"]);
    assert.equal(existsSync(group), false);
  }

  const blobs = (): string => join(daemon.dataRoot, "content/blobs/sha256");
  const layers = (): string => join(daemon.dataRoot, "snapshots/overlay2");
  const newId = (): string => randomBytes(32).toString("hex");

  /** The largest blob: the layer of busybox. */
  function largestBlob(): string {
    const sizes = readdirSync(blobs()).map((name) => ({
      name,
      size: readFileSync(join(blobs(), name)).length,
    }));
    return join(blobs(), sizes.toSorted((a, b) => b.size - a.size)[0]!.name);
  }

  function layerWith(path: string): string {
    const found = readdirSync(join(layers(), "layers")).find((hex) =>
      existsSync(join(layers(), "layers", hex, "diff", path)),
    );
    return join(layers(), "layers", found!);
  }

  function inDatabase<T>(work: (database: DatabaseSync) => T): T {
    const database = new DatabaseSync(join(daemon.dataRoot, "gantry.db"));
    try {
      database.exec("PRAGMA busy_timeout = 5000");
      return work(database);
    } finally {
      database.close();
    }
  }

  return {
    get daemon() {
      return daemon;
    },
    check,
    kinds,
    requireClean,
    tryFault,
    requireSpared,
    blobs,
    layers,
    newId,
    largestBlob,
    layerWith,
    inDatabase,
  };
}

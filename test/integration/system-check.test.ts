/** `gantry system check`: a store that is whole, and one that was damaged in each way, looked at and repaired. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before, describe, test } from "node:test";
import type { CheckReport, Fault } from "../../src/wire/check.ts";
import { dockerBuild } from "../helpers/build.ts";
import { flavour, TestDaemon } from "../helpers/daemon.ts";
import { busybox, ensureBusybox } from "../helpers/images.ts";
import { eventually, mustRun } from "../helpers/process.ts";

describe("system check", { skip: flavour === "docker" }, () => {
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

  describe("of a daemon that runs", () => {
    test("finds nothing where nothing is wrong, and says how much it looked at", async () => {
      const report = await check();
      assert.deepEqual(report.Faults, []);
      assert.equal(report.code, 0);
      const { Blobs, BlobBytes, Layers, Images, Containers, Volumes, Networks } = report.Checked;
      assert.deepEqual(
        { Images, Containers, Volumes, Networks },
        { Images: 2, Containers: 2, Volumes: 1, Networks: 1 },
      );
      assert.ok(Blobs >= 6 && Layers === 2 && BlobBytes > 500_000, JSON.stringify(report.Checked));
      const { stdout } = await daemon.gantry(["system", "check", "--quick"]);
      assert.match(stdout, /2 images, 2 containers.*contents not read\.\n\nNothing is wrong\.\n$/);
    });

    test("a damaged blob is set aside, and the next pull fetches it", () =>
      tryFault({
        kinds: ["blob-damaged"],
        damage: () => appendFileSync(largestBlob(), "x"),
        left: ["blob-missing"],
        mend: () => daemon.dockerOk(["pull", busybox], { timeoutMs: 60_000 }),
      }));

    test("a blob that is missing", async () => {
      rmSync(largestBlob());
      const { Faults, code } = await check({ repair: true });
      assert.deepEqual(kinds(Faults), ["blob-missing"]);
      assert.match(Faults[0]?.Remedy ?? "", /^gantry pull (check\/built:1|gantry\/busybox:latest)/);
      assert.equal(code, 1);
      await daemon.dockerOk(["pull", busybox], { timeoutMs: 60_000 });
      await requireClean(false);
    });

    test("blobs that nobody needs, and files that are no blobs", () =>
      tryFault({
        kinds: ["blob-misnamed", "blob-orphan"],
        damage() {
          const hex = createHash("sha256").update("nobody's").digest("hex");
          writeFileSync(join(blobs(), hex), "nobody's");
          writeFileSync(join(blobs(), "README"), "what is this?");
        },
      }));

    test("a layer that is not as its blob says is unpacked again, unless something runs on it", async () => {
      const made = join(layerWith("made"), "diff/made");
      await tryFault({ kinds: ["layer-damaged"], damage: () => truncateSync(made, 0) });
      assert.equal(readFileSync(join(layerWith("made"), "diff/made"), "utf8"), "made\n");
      assert.equal(await daemon.dockerOk(["start", "-a", "still"]), "made");
      const program = join(layerWith("bin/busybox"), "diff/etc/passwd");
      const before = readFileSync(program);
      writeFileSync(program, "root:x:0:0:root:/root:/bin/false\n");
      const { Faults } = await check({ repair: true });
      assert.deepEqual(kinds(Faults), ["layer-damaged"]);
      assert.match(Faults[0]?.Failure ?? "", /running containers are on this layer: stop runs first/);
      writeFileSync(program, before);
      await requireClean(false);
    });

    test("layers that nobody needs, short names that lead nowhere, writable layers of nobody", async () => {
      const link = readdirSync(join(layers(), "l"))[0]!;
      const target = readlinkSync(join(layers(), "l", link));
      const chainId = `sha256:${newId()}`;
      await tryFault({
        kinds: [
          "layer-link-missing",
          "layer-link-orphan",
          "layer-orphan",
          "layer-unreadable",
          "snapshot-orphan",
        ],
        damage() {
          rmSync(join(layers(), "l", link));
          symlinkSync("../layers/nowhere/diff", join(layers(), "l", "zz"));
          const directory = join(layers(), "layers", chainId.slice(7));
          mkdirSync(join(directory, "diff"), { recursive: true });
          writeFileSync(
            join(directory, "record.json"),
            JSON.stringify({ chainId, diffId: chainId, sizeBytes: 0, inodes: 0 }),
          );
          mkdirSync(join(layers(), "layers", newId()));
          const active = join(layers(), "active", newId());
          mkdirSync(join(active, "diff"), { recursive: true });
          symlinkSync("none", join(active, "parent"));
        },
      });
      assert.equal(readlinkSync(join(layers(), "l", link)), target);
    });

    test("directories of containers", async () => {
      const id = await daemon.dockerOk(["inspect", "-f", "{{.Id}}", "still"]);
      await tryFault({
        kinds: ["container-directory-missing", "container-directory-orphan"],
        damage() {
          rmSync(join(daemon.dataRoot, "containers", id), { recursive: true });
          mkdirSync(join(daemon.dataRoot, "containers", newId()));
        },
      });
      assert.equal(await daemon.dockerOk(["start", "-a", "still"]), "made");
    });

    test("tasks, mounts and control groups of nobody", () =>
      tryFault({
        kinds: ["cgroup-leftover", "mount-leftover", "task-leftover"],
        async damage() {
          const [mounted, noted, grouped] = [newId(), newId(), newId()];
          const bundle = join(daemon.execRoot, "containers", mounted, "rootfs");
          mkdirSync(bundle, { recursive: true });
          await mustRun(daemon.host.command(["mount", "-t", "tmpfs", "none", bundle]));
          writeFileSync(join(daemon.execRoot, "exits", noted), "0");
          const hierarchy = existsSync("/sys/fs/cgroup/memory") ? "/sys/fs/cgroup/memory" : "/sys/fs/cgroup";
          mkdirSync(join(hierarchy, daemon.cgroupParent, grouped), { recursive: true });
        },
      }));

    test("what another daemon runs below the same parent stays", () => requireSpared(false));

    test("volumes: data without a record becomes a volume again, a record without data goes when nobody has it", async () => {
      const volumes = join(daemon.dataRoot, "volumes");
      await daemon.dockerOk(["volume", "create", "lost"]);
      await tryFault({
        kinds: ["volume-leftover", "volume-missing"],
        damage() {
          rmSync(join(volumes, "lost"), { recursive: true });
          mkdirSync(join(volumes, ".removing-abc/_data"), { recursive: true });
        },
      });
      assert.equal((await daemon.docker(["volume", "inspect", "lost"])).code, 1);
      await daemon.stop();
      mkdirSync(join(volumes, "found/_data"), { recursive: true });
      writeFileSync(join(volumes, "found/_data/precious"), "data");
      const at = await check({ atRest: true, repair: true });
      assert.deepEqual(kinds(at.Faults), ["volume-unrecorded"]);
      assert.equal(at.code, 0);
      await daemon.launch();
      assert.equal(
        await daemon.dockerOk(["run", "--rm", "-v", "found:/f", busybox, "cat", "/f/precious"]),
        "data",
      );
      await daemon.dockerOk(["volume", "rm", "found"]);
    });

    test("a volume whose data is gone and that a container has is nobody's to forget", async () => {
      const directory = join(daemon.dataRoot, "volumes/kept");
      renameSync(directory, `${daemon.root}/kept`);
      const { Faults, code } = await check({ repair: true });
      assert.deepEqual(kinds(Faults), ["volume-missing"]);
      assert.equal(Faults[0]?.State, "found");
      assert.equal(code, 1);
      renameSync(`${daemon.root}/kept`, directory);
      await requireClean(false);
    });

    test("network devices and namespaces of nobody; a bridge that is gone", async () => {
      const tag = createHash("sha256").update(daemon.execRoot).digest("hex").slice(0, 6);
      await tryFault({
        kinds: ["device-orphan", "namespace-orphan"],
        async damage() {
          await mustRun(daemon.host.command(["ip", "link", "add", `ve${tag}abcdef`, "type", "veth"]));
          writeFileSync(join(daemon.execRoot, "netns", "0123456789ab"), "");
        },
      });
      await daemon.dockerOk(["network", "create", "cut"]);
      const id = await daemon.dockerOk(["network", "inspect", "-f", "{{.Id}}", "cut"]);
      await mustRun(daemon.host.command(["ip", "link", "del", `br-${id.slice(0, 12)}`]));
      const { Faults } = await check({ repair: true });
      assert.deepEqual(kinds(Faults), ["device-missing"]);
      await daemon.dockerOk(["network", "rm", "cut"]);
    });

    test("published ports that nobody holds", async () => {
      const change = (from: number, to: number): unknown =>
        inDatabase((database) =>
          database.prepare("UPDATE network_ports SET host_port = ? WHERE host_port = ?").run(to, from),
        );
      change(18600, 18601);
      const { Faults } = await check();
      assert.deepEqual(kinds(Faults), ["port-rule-missing", "port-rule-orphan", "port-unheld"]);
      change(18601, 18600);
      await requireClean(false);
    });
  });

  describe("of a data root at rest", () => {
    before(() => daemon.stop());
    after(() => daemon.launch());

    test("finds nothing where nothing is wrong, while containers run", () => requireClean(true));

    test("is refused while a daemon has it", async () => {
      await daemon.launch();
      const { code, stderr } = await daemon.gantry(["system", "check", "--data-root", daemon.dataRoot]);
      assert.equal(code, 1);
      assert.match(stderr, /another one uses/);
      await daemon.stop();
    });

    test("what another daemon runs below the same parent stays", () => requireSpared(true));

    test("what was never finished", () =>
      tryFault({
        atRest: true,
        kinds: ["ingest-leftover", "layer-unreadable"],
        damage() {
          writeFileSync(join(daemon.dataRoot, "content/ingest/abc"), "half");
          mkdirSync(join(layers(), "tmp/abc"));
        },
      }));

    test("a volume that is still mounted in what is left of a start keeps its files", async () => {
      const volume = join(daemon.dataRoot, "volumes/kept/_data");
      writeFileSync(join(volume, "precious"), "data");
      await tryFault({
        atRest: true,
        kinds: ["mount-leftover", "task-leftover"],
        async damage() {
          const part = join(daemon.execRoot, "containers", newId(), "mounts/part-0");
          mkdirSync(part, { recursive: true });
          await mustRun(daemon.host.command(["mount", "--bind", volume, part]));
        },
      });
      assert.equal(readFileSync(join(volume, "precious"), "utf8"), "data");
      rmSync(join(volume, "precious"));
    });

    test("what is left below an exec root that is a link is found by its real place", async () => {
      const link = join(daemon.root, "exec-link");
      symlinkSync(daemon.execRoot, link);
      const rootfs = join(daemon.execRoot, "containers", newId(), "rootfs");
      mkdirSync(rootfs, { recursive: true });
      await mustRun(daemon.host.command(["mount", "-t", "tmpfs", "none", rootfs]));
      const { Faults } = await check({ atRest: true, execRoot: link });
      assert.deepEqual(kinds(Faults), ["mount-leftover", "task-leftover"]);
      assert.equal(Faults.find(({ Kind }) => Kind === "mount-leftover")?.Object, rootfs);
      await check({ atRest: true, repair: true, execRoot: link });
      rmSync(link);
      await requireClean(true);
    });

    test("a layer that is gone is unpacked again from its blob", async () => {
      await tryFault({
        atRest: true,
        kinds: ["layer-link-orphan", "layer-missing"],
        damage: () => rmSync(layerWith("made"), { recursive: true }),
      });
      assert.ok(existsSync(join(layerWith("made"), "diff/made")));
    });

    test("a container without its writable layer is told, and stays", async () => {
      const records = inDatabase((database) => database.prepare("SELECT id, name FROM containers").all());
      const id = String(records.find(({ name }) => name === "still")?.["id"]);
      const directory = join(layers(), "active", id);
      renameSync(directory, `${daemon.root}/active`);
      const { Faults, code } = await check({ atRest: true, repair: true });
      assert.deepEqual(kinds(Faults), ["container-layer-missing"]);
      assert.equal(code, 1);
      renameSync(`${daemon.root}/active`, directory);
      await requireClean(true);
    });

    test("addresses, ports and networks of nobody on record", () =>
      tryFault({
        atRest: true,
        kinds: ["network-incomplete", "sandbox-orphan"],
        damage: () =>
          inDatabase((database) => {
            database.prepare("INSERT INTO network_sandboxes VALUES (?, 'nobody', '/nowhere')").run(newId());
            const id = newId();
            database.prepare("INSERT INTO network_networks VALUES (?, 'half', 'bridge', '')").run(id);
            const definition = database.prepare("SELECT definition FROM network_definitions").get()?.[
              "definition"
            ];
            database.prepare("INSERT INTO network_definitions VALUES (?, 0, ?)").run(id, String(definition));
          }),
      }));

    test("an address outside of its network", async () => {
      const change = (from: string, to: string): unknown =>
        inDatabase((database) =>
          database.prepare("UPDATE network_endpoints SET endpoint = replace(endpoint, ?, ?)").run(from, to),
        );
      const endpoint = inDatabase((database) =>
        database
          .prepare('SELECT endpoint FROM network_endpoints WHERE endpoint LIKE \'%"networkName":"check"%\'')
          .get(),
      );
      const { ipv4Address } = JSON.parse(String(endpoint?.["endpoint"])) as { ipv4Address: string };
      change(`"ipv4Address":"${ipv4Address}"`, '"ipv4Address":"192.0.2.77"');
      assert.deepEqual(kinds((await check({ atRest: true })).Faults), ["address-outside"]);
      change('"ipv4Address":"192.0.2.77"', `"ipv4Address":"${ipv4Address}"`);
      await requireClean(true);
    });

    test("a database whose rows do not fit together", async () => {
      inDatabase((database) => {
        database.exec("PRAGMA foreign_keys = OFF");
        database.prepare("INSERT INTO network_addresses VALUES ('a', '192.0.2.1', 'nobody')").run();
      });
      const found = await check({ atRest: true });
      assert.deepEqual([kinds(found.Faults), found.code], [["database-damaged"], 1]);
      const { Faults, code } = await check({ atRest: true, repair: true });
      assert.deepEqual(
        [Faults.map(({ Kind, State }) => `${Kind} ${State}`), code],
        [["database-damaged repaired"], 0],
      );
      assert.match(Faults[0]?.Message ?? "", /lost: network_addresses/);
      await requireClean(true);
    });

    test("a namespace that is gone", async () => {
      const path = inDatabase((database) =>
        String(database.prepare("SELECT path FROM network_sandboxes").get()?.["path"]),
      );
      await mustRun(daemon.host.command(["umount", path]));
      const { Faults } = await check({ atRest: true });
      assert.deepEqual(kinds(Faults), ["sandbox-missing"]);
      assert.equal(Faults[0]?.Remedy, "gantry restart runs");
      await daemon.launch();
      await daemon.dockerOk(["restart", "-t", "0", "runs"]);
      await eventually(async () => (await check()).Faults.length === 0, {
        timeoutMs: 60_000,
        what: "a clean check",
      });
      await daemon.stop();
    });
  });
});

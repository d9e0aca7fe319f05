/** `gantry system check`: a store that is whole, and one that was damaged in each way, looked at and repaired. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
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
import { after, before, describe, test } from "node:test";
import { flavour } from "../helpers/daemon.ts";
import { busybox } from "../helpers/images.ts";
import { eventually, mustRun } from "../helpers/process.ts";
import { useCheckedStore } from "../helpers/checked-store.ts";

describe("system check", { skip: flavour === "docker" }, () => {
  const store = useCheckedStore();
  const {
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
  } = store;

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
      const { stdout } = await store.daemon.gantry(["system", "check", "--quick"]);
      assert.match(stdout, /2 images, 2 containers.*contents not read\.\n\nNothing is wrong\.\n$/);
    });

    test("a damaged blob is set aside, and the next pull fetches it", () =>
      tryFault({
        kinds: ["blob-damaged"],
        damage: () => appendFileSync(largestBlob(), "x"),
        left: ["blob-missing"],
        mend: () => store.daemon.dockerOk(["pull", busybox], { timeoutMs: 60_000 }),
      }));

    test("a blob that is missing", async () => {
      rmSync(largestBlob());
      const { Faults, code } = await check({ repair: true });
      assert.deepEqual(kinds(Faults), ["blob-missing"]);
      assert.match(Faults[0]?.Remedy ?? "", /^gantry pull (check\/built:1|gantry\/busybox:latest)/);
      assert.equal(code, 1);
      await store.daemon.dockerOk(["pull", busybox], { timeoutMs: 60_000 });
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
      assert.equal(await store.daemon.dockerOk(["start", "-a", "still"]), "made");
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
      const id = await store.daemon.dockerOk(["inspect", "-f", "{{.Id}}", "still"]);
      await tryFault({
        kinds: ["container-directory-missing", "container-directory-orphan"],
        damage() {
          rmSync(join(store.daemon.dataRoot, "containers", id), { recursive: true });
          mkdirSync(join(store.daemon.dataRoot, "containers", newId()));
        },
      });
      assert.equal(await store.daemon.dockerOk(["start", "-a", "still"]), "made");
    });

    test("tasks, mounts and control groups of nobody", () =>
      tryFault({
        kinds: ["cgroup-leftover", "mount-leftover", "task-leftover"],
        async damage() {
          const [mounted, noted, grouped] = [newId(), newId(), newId()];
          const bundle = join(store.daemon.execRoot, "containers", mounted, "rootfs");
          mkdirSync(bundle, { recursive: true });
          await mustRun(store.daemon.host.command(["mount", "-t", "tmpfs", "none", bundle]));
          writeFileSync(join(store.daemon.execRoot, "exits", noted), "0");
          const hierarchy = existsSync("/sys/fs/cgroup/memory") ? "/sys/fs/cgroup/memory" : "/sys/fs/cgroup";
          mkdirSync(join(hierarchy, store.daemon.cgroupParent, grouped), { recursive: true });
        },
      }));

    test("what another daemon runs below the same parent stays", () => requireSpared(false));

    test("volumes: data without a record becomes a volume again, a record without data goes when nobody has it", async () => {
      const volumes = join(store.daemon.dataRoot, "volumes");
      await store.daemon.dockerOk(["volume", "create", "lost"]);
      await tryFault({
        kinds: ["volume-leftover", "volume-missing"],
        damage() {
          rmSync(join(volumes, "lost"), { recursive: true });
          mkdirSync(join(volumes, ".removing-abc/_data"), { recursive: true });
          // Nobody's volume, and nothing of the engine's.
          mkdirSync(join(volumes, "backup/of/somebody"), { recursive: true });
        },
      });
      rmSync(join(volumes, "backup/of/somebody"), { recursive: true });
      rmSync(join(volumes, "backup"), { recursive: true });
      assert.equal((await store.daemon.docker(["volume", "inspect", "lost"])).code, 1);
      await store.daemon.stop();
      mkdirSync(join(volumes, "found/_data"), { recursive: true });
      writeFileSync(join(volumes, "found/_data/precious"), "data");
      const at = await check({ atRest: true, repair: true });
      assert.deepEqual(kinds(at.Faults), ["volume-unrecorded"]);
      assert.equal(at.code, 0);
      await store.daemon.launch();
      assert.equal(
        await store.daemon.dockerOk(["run", "--rm", "-v", "found:/f", busybox, "cat", "/f/precious"]),
        "data",
      );
      await store.daemon.dockerOk(["volume", "rm", "found"]);
    });

    test("a volume whose data is gone and that a container has is nobody's to forget", async () => {
      const directory = join(store.daemon.dataRoot, "volumes/kept");
      renameSync(directory, `${store.daemon.root}/kept`);
      const { Faults, code } = await check({ repair: true });
      assert.deepEqual(kinds(Faults), ["volume-missing"]);
      assert.equal(Faults[0]?.State, "found");
      assert.equal(code, 1);
      renameSync(`${store.daemon.root}/kept`, directory);
      await requireClean(false);
    });

    test("network devices and namespaces of nobody; a bridge that is gone", async () => {
      const tag = createHash("sha256").update(store.daemon.execRoot).digest("hex").slice(0, 6);
      await tryFault({
        kinds: ["device-orphan", "namespace-orphan"],
        async damage() {
          await mustRun(store.daemon.host.command(["ip", "link", "add", `ve${tag}abcdef`, "type", "veth"]));
          writeFileSync(join(store.daemon.execRoot, "netns", "0123456789ab"), "");
        },
      });
      await store.daemon.dockerOk(["network", "create", "cut"]);
      const id = await store.daemon.dockerOk(["network", "inspect", "-f", "{{.Id}}", "cut"]);
      await mustRun(store.daemon.host.command(["ip", "link", "del", `br-${id.slice(0, 12)}`]));
      const { Faults } = await check({ repair: true });
      assert.deepEqual(kinds(Faults), ["device-missing"]);
      await store.daemon.dockerOk(["network", "rm", "cut"]);
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
    before(() => store.daemon.stop());
    after(() => store.daemon.launch());

    test("finds nothing where nothing is wrong, while containers run", () => requireClean(true));

    test("is refused while a daemon has it", async () => {
      await store.daemon.launch();
      const { code, stderr } = await store.daemon.gantry([
        "system",
        "check",
        "--data-root",
        store.daemon.dataRoot,
      ]);
      assert.equal(code, 1);
      assert.match(stderr, /another one uses/);
      await store.daemon.stop();
    });

    test("what another daemon runs below the same parent stays", () => requireSpared(true));

    test("what was never finished", () =>
      tryFault({
        atRest: true,
        kinds: ["ingest-leftover", "layer-unreadable"],
        damage() {
          writeFileSync(join(store.daemon.dataRoot, "content/ingest/abc"), "half");
          mkdirSync(join(layers(), "tmp/abc"));
        },
      }));

    test("a volume that is still mounted in what is left of a start keeps its files", async () => {
      const volume = join(store.daemon.dataRoot, "volumes/kept/_data");
      writeFileSync(join(volume, "precious"), "data");
      await tryFault({
        atRest: true,
        kinds: ["mount-leftover", "task-leftover"],
        async damage() {
          const part = join(store.daemon.execRoot, "containers", newId(), "mounts/part-0");
          mkdirSync(part, { recursive: true });
          await mustRun(store.daemon.host.command(["mount", "--bind", volume, part]));
        },
      });
      assert.equal(readFileSync(join(volume, "precious"), "utf8"), "data");
      rmSync(join(volume, "precious"));
    });

    test("what is left below an exec root that is a link is found by its real place", async () => {
      const link = join(store.daemon.root, "exec-link");
      symlinkSync(store.daemon.execRoot, link);
      const rootfs = join(store.daemon.execRoot, "containers", newId(), "rootfs");
      mkdirSync(rootfs, { recursive: true });
      await mustRun(store.daemon.host.command(["mount", "-t", "tmpfs", "none", rootfs]));
      const { Faults } = await check({ atRest: true, execRoot: link });
      assert.deepEqual(kinds(Faults), ["mount-leftover", "task-leftover"]);
      assert.equal(Faults.find(({ Kind }) => Kind === "mount-leftover")?.Object, rootfs);
      await check({ atRest: true, repair: true, execRoot: link });
      rmSync(link);
      await requireClean(true);
    });

    test("an image whose record is lost is put on record again, with its name", async () => {
      const names = (): unknown[] =>
        inDatabase((database) => database.prepare("SELECT reference FROM image_names ORDER BY 1").all());
      const before = names();
      await tryFault({
        atRest: true,
        kinds: ["image-unrecorded"],
        damage: () =>
          inDatabase((database) =>
            database.exec(`PRAGMA foreign_keys = ON;
              DELETE FROM images WHERE id IN (SELECT image FROM image_names WHERE reference LIKE '%check/built%')`),
          ),
      });
      assert.deepEqual(names(), before);
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
      renameSync(directory, `${store.daemon.root}/active`);
      const { Faults, code } = await check({ atRest: true, repair: true });
      assert.deepEqual(kinds(Faults), ["container-layer-missing"]);
      assert.equal(code, 1);
      renameSync(`${store.daemon.root}/active`, directory);
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
      assert.match(found.Faults[0]?.Remedy ?? "", /--repair --data-root \/\S+' saves/);
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
      await mustRun(store.daemon.host.command(["umount", path]));
      const { Faults } = await check({ atRest: true });
      assert.deepEqual(kinds(Faults), ["sandbox-missing"]);
      assert.equal(Faults[0]?.Remedy, "gantry restart runs");
      await store.daemon.launch();
      await store.daemon.dockerOk(["restart", "-t", "0", "runs"]);
      await eventually(async () => (await check()).Faults.length === 0, {
        timeoutMs: 60_000,
        what: "a clean check",
      });
      await store.daemon.stop();
    });
  });
});

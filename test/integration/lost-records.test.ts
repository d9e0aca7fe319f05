/**
 * A database that is whole and is not the one that belongs to the data root: an older one from a backup. Nothing that was
 * made since is taken for a leftover.
 */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { copyFile, mkdir, readdir, readFile, rm, rmdir, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before, describe, test } from "node:test";
import type { CheckReport } from "../../src/wire/check.ts";
import { dockerBuild } from "../helpers/build.ts";
import { flavour, gantryProgram, TestDaemon } from "../helpers/daemon.ts";
import { busybox, ensureBusybox } from "../helpers/images.ts";
import { eventually } from "../helpers/process.ts";

const patient = { timeoutMs: 120_000 };

describe("lost records", { skip: flavour === "docker" }, () => {
  let daemon: TestDaemon;
  const ok = (...args: string[]): Promise<string> => daemon.dockerOk(args, patient);
  const records = (): string => join(daemon.dataRoot, "gantry.db");
  const older = (): string => join(daemon.root, "older.db");
  const idOf = (name: string): Promise<string> => ok("inspect", "-f", "{{.Id}}", name);

  async function bringBackOlder(): Promise<void> {
    for (const suffix of ["-wal", "-shm"]) await rm(records() + suffix, { force: true });
    await copyFile(older(), records());
  }

  async function check(...words: string[]): Promise<CheckReport["Faults"]> {
    const isAtRest = words.includes("--data-root");
    const command = ["system", "check", "--quick", "--format", "json", ...words];
    const { stdout, stderr } = isAtRest
      ? await daemon.host.run([gantryProgram, ...command], patient)
      : await daemon.gantry(command, patient);
    assert.ok(stdout.startsWith("{"), stderr);
    return (JSON.parse(stdout) as CheckReport).Faults;
  }
  const atRest = (): string[] => ["--data-root", daemon.dataRoot, "--exec-root", daemon.execRoot];

  before(async () => {
    daemon = await TestDaemon.start();
    await ensureBusybox(daemon);
    await ok("create", "--name", "old", busybox, "echo", "old");
    await daemon.stop();
    await copyFile(records(), older());
    await daemon.launch();
  });
  after(() => daemon?.[Symbol.asyncDispose]());

  test("containers, running and ended, and the image of one are there again; those that were removed are not", async () => {
    await dockerBuild(daemon, { Dockerfile: `FROM ${busybox}\nRUN echo made >/made\n` }, [
      "-t",
      "lost/built:1",
    ]);
    await dockerBuild(daemon, { Dockerfile: `FROM ${busybox}\nRUN echo other >/made\n` }, [
      "-t",
      "lost/unused:1",
    ]);
    await ok("tag", busybox, "lost/untagged:1");
    await ok("rmi", "lost/untagged:1");
    await ok(
      "run",
      "--name",
      "writes",
      "-v",
      "/data",
      busybox,
      "sh",
      "-c",
      "echo kept >/kept; echo data >/data/f",
    );
    await ok("create", "--name", "made", "lost/built:1", "cat", "/made");
    const talk = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.1; done";
    await ok("run", "-d", "--name", "talker", "--restart", "unless-stopped", busybox, "sh", "-c", talk);
    await ok("create", "--name", "removed", busybox, "true");
    await ok("rm", "removed");
    await ok("rename", "made", "renamed");
    const pid = await ok("inspect", "-f", "{{.State.Pid}}", "talker");
    await daemon.killHard();
    await bringBackOlder();
    await daemon.launch();
    const names = (await ok("ps", "-a", "--format", "{{.Names}}")).split("\n").toSorted();
    assert.deepEqual(names, ["old", "renamed", "talker", "writes"]);
    assert.equal(await ok("inspect", "-f", "{{.State.Pid}} {{.State.Status}}", "talker"), `${pid} running`);
    const last = async (): Promise<number> => Number((await ok("logs", "-n", "1", "talker")).trim());
    const seen = await last();
    await eventually(async () => (await last()) > seen, { timeoutMs: 60_000, what: "its log to go on" });
    assert.equal(await ok("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "writes"), "exited 0");
    assert.equal(await ok("cp", "writes:/kept", join(daemon.root, "kept")), "");
    assert.equal(await readFile(join(daemon.root, "kept"), "utf8"), "kept\n");
    // Nothing but its own note knew of this one.
    assert.equal(await ok("run", "--rm", "lost/unused:1", "cat", "/made"), "other");
    const images = (await ok("images", "--format", "{{.Repository}}:{{.Tag}}")).split("\n").toSorted();
    assert.deepEqual(images, [`${busybox}:latest`, "lost/built:1", "lost/unused:1"].toSorted());
    const mount = "{{(index .Mounts 0).Name}}";
    const volume = await ok("inspect", "-f", mount, "writes");
    assert.equal(await ok("run", "--rm", "-v", `${volume}:/v`, busybox, "cat", "/v/f"), "data");
    assert.equal(await ok("start", "-a", "renamed"), "made", "its image has a record again");
    assert.match(await daemon.log(), /record was lost; it has one again by the copy.*name=writes/);
    assert.deepEqual(await check(), []);
    await ok("rm", "-f", "writes", "talker", "renamed");
    await ok("volume", "rm", volume);
    await ok("rmi", "lost/built:1", "lost/unused:1");
    assert.deepEqual(await check(), []);
  });

  test("a check at rest tells of them, and puts them on record again under another name when theirs is taken", async () => {
    await ok("create", "--name", "taken", busybox, "echo", "first");
    const id = await idOf("taken");
    await daemon.stop();
    await bringBackOlder();
    const database = new DatabaseSync(records());
    database.exec("UPDATE containers SET name = 'taken', record = json_set(record, '$.name', 'taken')");
    database.close();
    const [found, ...others] = await check(...atRest());
    assert.deepEqual(others, []);
    assert.equal(`${found?.Kind} ${found?.State}`, "container-unrecorded found");
    assert.match(found?.Message ?? "", /record of this container is lost; a copy of it is there: taken/);
    const repaired = await check("--repair", ...atRest());
    assert.deepEqual(
      repaired.map(({ Kind, State }) => `${Kind} ${State}`),
      ["container-unrecorded repaired"],
    );
    await daemon.launch();
    assert.equal(await ok("start", "-a", id), "first");
    assert.equal(await ok("start", "-a", "taken"), "old");
    assert.equal(await ok("inspect", "-f", "{{.Name}}", id), `/taken-${id.slice(0, 12)}`);
    await ok("rm", id);
  });

  test("a copy that cannot be read, and files of somebody else: kept, and told", async () => {
    await ok("run", "--name", "spoilt", busybox, "sh", "-c", "echo kept >/kept");
    const id = await idOf("spoilt");
    const directory = join(daemon.dataRoot, "containers", id);
    const layer = join(daemon.dataRoot, "snapshots/overlay2/active", id);
    await daemon.stop();
    await bringBackOlder();
    const copy = await readFile(join(directory, "record.json"), "utf8");
    await writeFile(join(directory, "record.json"), copy.slice(0, 100));
    const foreign = join(daemon.dataRoot, "containers/notes");
    await mkdir(foreign);
    await daemon.launch();
    assert.equal(await readFile(join(layer, "diff/kept"), "utf8"), "kept\n");
    assert.ok(existsSync(foreign));
    await rmdir(foreign);
    const [fault, ...others] = await check("--repair");
    assert.deepEqual(others, []);
    assert.equal(`${fault?.Kind} ${fault?.State}`, "container-unrecorded found");
    assert.match(
      `${fault?.Message} ${fault?.Remedy}`,
      /copy beside its files cannot be read.*files are kept in/,
    );
    await daemon.stop();
    await writeFile(join(directory, "record.json"), copy);
    await daemon.launch();
    assert.equal(await ok("inspect", "-f", "{{.Id}}", "spoilt"), id);
    await ok("rm", "spoilt");
    assert.deepEqual(await check(), []);
  });

  test("a writable layer that nothing names, with files in it, is kept, and set aside when it is asked for", async () => {
    await ok("run", "--name", "layer", busybox, "sh", "-c", "echo kept >/kept");
    const id = await idOf("layer");
    await daemon.stop();
    await bringBackOlder();
    await rm(join(daemon.dataRoot, "containers", id), { recursive: true });
    await daemon.launch();
    const layer = join(daemon.dataRoot, "snapshots/overlay2/active", id);
    assert.equal(await readFile(join(layer, "diff/kept"), "utf8"), "kept\n");
    assert.deepEqual(
      (await check("--repair")).map(({ Kind, State }) => `${Kind} ${State}`),
      ["snapshot-orphan repaired"],
    );
    assert.ok(!existsSync(layer));
    const aside = join(daemon.dataRoot, "damaged");
    const [kept = ""] = (await readdir(aside)).filter((name) => name.startsWith(`writable-${id}`));
    assert.equal(await readFile(join(aside, kept, "diff/kept"), "utf8"), "kept\n");
    assert.deepEqual(await check(), []);
  });

  test("a writable layer whose link is gone, and layers whose records cannot be read: nothing of a container is lost", async () => {
    await ok("run", "--name", "linkless", busybox, "sh", "-c", "cat /kept || echo kept >/kept");
    const id = await idOf("linkless");
    await daemon.stop();
    const layers = join(daemon.dataRoot, "snapshots/overlay2");
    await rm(join(layers, "active", id, "parent"));
    for (const hex of await readdir(join(layers, "layers")))
      await truncate(join(layers, "layers", hex, "record.json"));
    await daemon.launch();
    assert.equal(await ok("start", "-a", "linkless"), "kept");
    assert.deepEqual(await readdir(join(layers, "unreadable")), []);
    assert.deepEqual(await check(), []);
    await ok("rm", "linkless");
    assert.deepEqual(await check(), []);
  });
});

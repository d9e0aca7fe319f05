/** Records that are gone or damaged: the daemon does not start, removes nothing, and says what to do; that then works. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { copyFile, mkdir, readdir, rm, rmdir, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before, describe, test } from "node:test";
import type { CheckReport } from "../../src/wire/check.ts";
import { flavour, gantryProgram, TestDaemon } from "../helpers/daemon.ts";
import { busybox, ensureBusybox } from "../helpers/images.ts";

const patient = { timeoutMs: 120_000 };

describe("damaged records", { skip: flavour === "docker" }, () => {
  let daemon: TestDaemon;
  const records = (): string => join(daemon.dataRoot, "gantry.db");
  const ok = (...args: string[]): Promise<string> => daemon.dockerOk(args, patient);

  before(async () => {
    daemon = await TestDaemon.start();
    await ensureBusybox(daemon);
    await ok("run", "--name", "writes", busybox, "sh", "-c", "echo kept >/kept");
    await ok("run", "--rm", "-v", "data:/data", busybox, "sh", "-c", "echo kept >/data/file");
    for (const name of ["one", "two", "three"]) await ok("create", "--name", name, busybox, "echo", name);
    await daemon.stop();
    await copyFile(records(), join(daemon.root, "sound.db"));
  });
  after(() => daemon?.[Symbol.asyncDispose]());

  const refuses = async (words: RegExp): Promise<void> => {
    const before = await places();
    await writeFile(daemon.logFile, "");
    await assert.rejects(daemon.launch(), /the daemon ended at start/);
    assert.equal(await daemon.gone(), 1);
    const said = await daemon.log();
    assert.match(said, words);
    assert.match(said, /Nothing was changed or removed.*gantry system check --repair --data-root \//);
    assert.deepEqual(await places(), before);
  };
  const places = async (): Promise<string[]> => {
    const inRoot = ["containers", "volumes", "snapshots/overlay2/active", "content/blobs/sha256"];
    const lists = inRoot
      .filter((name) => existsSync(join(daemon.dataRoot, name)))
      .map(async (name) => (await readdir(join(daemon.dataRoot, name))).map((each) => `${name}/${each}`));
    return (await Promise.all(lists)).flat().toSorted();
  };
  const roots = (): string[] => ["--data-root", daemon.dataRoot, "--exec-root", daemon.execRoot];
  const repair = async (): Promise<CheckReport> => {
    const { stdout, stderr } = await daemon.host.run(
      [gantryProgram, "system", "check", "--quick", "--repair", "--format", "json", ...roots()],
      patient,
    );
    assert.ok(stdout.startsWith("{"), stderr);
    return JSON.parse(stdout) as CheckReport;
  };
  const restore = async (): Promise<void> => {
    for (const suffix of ["-wal", "-shm"]) await rm(records() + suffix, { force: true });
    await copyFile(join(daemon.root, "sound.db"), records());
  };

  test("a missing or empty file: nobody takes everything for a leftover", async () => {
    await rm(records());
    await refuses(
      /gantry\.db are damaged: the file is missing, and there is what needs records \(containers: 4/,
    );
    assert.ok(!existsSync(records()), "no new one was made");
    await writeFile(records(), "");
    await refuses(/the file is empty/);
    await restore();
    await daemon.launch();
    assert.equal(await ok("start", "-a", "two"), "two", "with a backup it goes on as if nothing had been");
    await daemon.stop();
    await restore();
  });

  test("a file that was cut off, one that is something else: refused", async () => {
    await truncate(records(), 40_960);
    await refuses(/gantry\.db are damaged: .*malformed/);
    await writeFile(records(), "something else ".repeat(1_000));
    await refuses(/gantry\.db are damaged: file is not a database/);
    await restore();
  });

  test("a record that cannot be read: the others, and the files of the one, are saved", async () => {
    const database = new DatabaseSync(records());
    const { id } = database.prepare("SELECT id FROM containers WHERE name = 'writes'").get() as {
      id: string;
    };
    database.exec("UPDATE containers SET record = substr(record, 1, 100) WHERE name IN ('writes', 'two')");
    // Of the first the copy beside its files is spoilt, too.
    await truncate(join(daemon.dataRoot, "containers", id, "record.json"), 100);
    database.exec("UPDATE images SET record = substr(record, 1, 100)");
    database.close();
    await refuses(/gantry\.db are damaged: a record is no JSON/);
    const [first, ...others] = (await repair()).Faults;
    assert.equal(`${first?.Kind} ${first?.State}`, "database-damaged repaired");
    assert.match(
      first?.Message ?? "",
      /lost: [^;]*containers writes[^;]*; containers that have a record again, by the copy beside their files: two; images that have a record again.*set aside is in/,
    );
    assert.doesNotMatch(first?.Message ?? "", /lost: [^;]*containers two/);
    assert.deepEqual(
      others.filter(({ State }) => State !== "repaired"),
      [],
    );
    await daemon.launch();
    const names = (await ok("ps", "-a", "--format", "{{.Names}}")).split("\n").toSorted();
    assert.deepEqual(names, ["one", "three", "two"]);
    assert.equal(await ok("start", "-a", "one"), "one", "its image has a record again");
    assert.equal(await ok("start", "-a", "two"), "two", "it has its record again");
    const image = await ok("images", "-q", "--no-trunc");
    assert.equal(await ok("run", "--rm", "-v", "data:/data", image, "cat", "/data/file"), "kept");
    const aside = join(daemon.dataRoot, "damaged");
    const [set = ""] = await readdir(aside);
    const kept = await readdir(join(aside, set), { recursive: true });
    assert.ok(
      kept.some((path) => path.endsWith(`active/${id}/diff/kept`) || path.endsWith("/kept")),
      kept.join("\n"),
    );
    assert.ok(kept.includes("gantry.db"));
    const { Faults } = JSON.parse(
      (await daemon.gantry(["system", "check", "--quick", "--format", "json"], patient)).stdout,
    ) as CheckReport;
    assert.deepEqual(Faults, []);
  });

  test("a volume's record and a network's that cannot be read: refused, and what is repaired starts", async () => {
    await ok("network", "create", "--subnet", "10.213.99.0/28", "spoilt");
    await daemon.stop();
    for (const [table, where] of [
      ["volumes SET record = substr(record, 1, 20)", "name = 'data'"],
      ["network_definitions SET definition = substr(definition, 1, 20)", "TRUE"],
    ] as const) {
      const database = new DatabaseSync(records());
      const { changes } = database.prepare(`UPDATE ${table} WHERE ${where}`).run();
      database.close();
      assert.equal(Number(changes), 1, table);
      await refuses(/gantry\.db are damaged: a record is no JSON/);
      const { Faults } = await repair();
      assert.equal(`${Faults[0]?.Kind} ${Faults[0]?.State}`, "database-damaged repaired");
      assert.deepEqual(
        Faults.filter(({ State }) => State !== "repaired"),
        [],
      );
    }
    await daemon.launch();
    const image = await ok("images", "-q", "--no-trunc");
    assert.equal(await ok("run", "--rm", "-v", "data:/data", image, "cat", "/data/file"), "kept");
  });

  test("volumes alone, brought back from a backup: put on record; those of another engine are left alone", async () => {
    const root = join(daemon.root, "brought-back");
    await mkdir(join(root, "volumes/data/_data"), { recursive: true });
    await mkdir(join(root, "volumes/lost+found"));
    await mkdir(join(root, "image"));
    await writeFile(join(root, "volumes/data/_data/file"), "kept");
    const places = ["--data-root", root, "--exec-root", join(daemon.root, "brought-back-run")];
    const check = () =>
      daemon.host.run(
        [gantryProgram, "system", "check", "--quick", "--repair", "--format", "json", ...places],
        patient,
      );
    assert.match((await check()).stderr, /no data root of gantry's/);
    await rmdir(join(root, "image"));
    const { stdout, stderr } = await check();
    assert.ok(stdout.startsWith("{"), stderr);
    const { Faults } = JSON.parse(stdout) as CheckReport;
    assert.deepEqual(
      Faults.map(({ Kind, State }) => `${Kind} ${State}`),
      ["database-damaged repaired", "volume-unrecorded repaired"],
    );
    assert.deepEqual((await readdir(join(root, "volumes"))).toSorted(), ["data", "lost+found"]);
  });

  test("records of a later version: refused, in words that say which", async () => {
    await daemon.stop();
    const database = new DatabaseSync(records());
    database.exec("UPDATE schema_versions SET version = 99 WHERE room = 'container'");
    database.close();
    await writeFile(daemon.logFile, "");
    await assert.rejects(daemon.launch(), /the daemon ended at start/);
    assert.match(
      await daemon.log(),
      /written by a later version of gantry: its container records have form 99/,
    );
    const checked = await daemon.host.run([gantryProgram, "system", "check", ...roots()]);
    assert.equal(checked.code, 1);
    assert.match(checked.stderr, /later version of gantry.*\n.*Start that version again/);
  });
});

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { VolumePlugin } from "../../test/helpers/volume-plugin.ts";
import { openDatabase } from "../base/database.ts";
import { isKind } from "../base/errors.ts";
import { unmount } from "../linux/mount.ts";
import type { VolumeInspect } from "../wire/volume.ts";
import { PluginDriver } from "./plugin-driver.ts";
import { findPlugin, pluginNames } from "./plugin-registry.ts";
import { mountHanging, mountUnanswering, needsFuse } from "./unanswering.fixture.ts";
import { createVolumeStore } from "./volume-store.ts";

const directory = mkdtempSync(join(tmpdir(), "gantry-plugins-"));
const database = openDatabase(join(directory, "db"));
after(() => {
  database.close();
  rmSync(directory, { recursive: true });
});
const root = join(directory, "volumes");
const directories = { sockets: join(directory, "run"), specifications: [join(directory, "etc")] };
mkdirSync(directories.specifications[0]!, { recursive: true });
const specification = (file: string, content: string): void =>
  writeFileSync(join(directories.specifications[0]!, file), content);

test("plugins are found by socket, by a socket in a directory, by .spec and by .json", async () => {
  await using flat = await VolumePlugin.start(
    join(directories.sockets, "flat.sock"),
    join(directory, "flat"),
  );
  await using nested = await VolumePlugin.start(
    join(directories.sockets, "nested", "nested.sock"),
    join(directory, "nested"),
  );
  await using tcp = await VolumePlugin.start(0, join(directory, "tcp"));
  specification("spec.spec", `tcp://127.0.0.1:${tcp.port}\n`);
  specification("json.json", JSON.stringify({ Name: "json", Addr: `http://127.0.0.1:${tcp.port}` }));
  specification("bad.spec", "somewhere\n");
  specification(
    "secure.json",
    JSON.stringify({ Addr: "https://h:1", TLSConfig: { InsecureSkipVerify: true, CAFile: "/ca" } }),
  );
  assert.deepEqual(pluginNames(directories), ["bad", "flat", "json", "nested", "secure", "spec"]);
  assert.deepEqual(findPlugin(directories, "secure").tls, {
    skipVerify: true,
    caFile: "/ca",
    certFile: "",
    keyFile: "",
  });
  const store = createVolumeStore(database, root, directories);
  for (const driver of ["flat", "nested", "spec", "json"]) {
    const { volume } = await store.create({ name: `by-${driver}`, driver });
    assert.deepEqual([volume.Driver, volume.Scope], [driver, "global"]);
  }
  assert.deepEqual([...tcp.volumes.keys()], ["by-spec", "by-json"]);
  assert.deepEqual([...flat.volumes.keys(), ...nested.volumes.keys()], ["by-flat", "by-nested"]);
  await assert.rejects(store.create({ name: "xx", driver: "bad" }), /names no address: want unix:\/\/\/PATH/);
  await assert.rejects(store.create({ name: "xx", driver: "../../etc" }), /plugin "..\/..\/etc" not found/);
  for (const driver of ["flat", "nested", "spec", "json"]) await store.remove(`by-${driver}`);
  for (const file of ["spec.spec", "json.json", "bad.spec", "secure.json"])
    rmSync(join(directories.specifications[0]!, file));
});

test("a plugin's volume is made, mounted, unmounted and removed; its words reach the user", async () => {
  await using plugin = await VolumePlugin.start(
    join(directories.sockets, "keep.sock"),
    join(directory, "keep"),
  );
  const store = createVolumeStore(database, root, directories);
  const made = await store.create({
    name: "data",
    driver: "keep",
    driverOptions: { size: "3" },
    labels: { a: "b" },
  });
  assert.deepEqual(made.volume, {
    Name: "data",
    Driver: "keep",
    Mountpoint: "",
    CreatedAt: "2020-01-02T03:04:05Z",
    Labels: { a: "b" },
    Scope: "global",
    Options: { size: "3" },
    Status: { size: "3" },
  });
  const place = await store.mount("data", "one");
  assert.equal(await store.mount("data", "two"), place);
  assert.deepEqual(plugin.users("data"), ["one", "two"]);
  assert.equal((await store.inspect("data")).Mountpoint, place);
  await store.unmount("data", "one");
  // Another process takes the other user over.
  const later = createVolumeStore(database, root, directories);
  later.adopt("data", "two");
  await later.unmount("data", "two");
  assert.deepEqual(plugin.users("data"), []);
  plugin.failures.set("Mount", "the tape is torn");
  await assert.rejects(
    later.mount("data", "x"),
    /^EngineError: error while mounting volume 'data': the tape is torn$/,
  );
  plugin.failures.set("Remove", "no");
  await assert.rejects(later.remove("data"), /^EngineError: remove data: no$/);
  await later.create({ name: "held", driver: "keep" });
  plugin.failures.set("Remove", "no");
  await assert.rejects(later.remove("held", { force: true }), /^EngineError: remove held: no$/);
  assert.ok(!later.records().some(({ Name }) => Name === "held"));
  await later.remove("held");
  plugin.failures.set("Create", "full");
  await assert.rejects(later.create({ name: "more", driver: "keep" }), /^EngineError: create more: full$/);
  await assert.rejects(
    later.create({ name: "data", driver: "local" }),
    /create data: driver 'keep' already has volume 'data': volume name must be unique/,
  );
  assert.equal((await later.create({ name: "data" })).isNew, false);
  await later.remove("data");
  assert.deepEqual([...plugin.volumes.keys()], []);
  await assert.rejects(later.inspect("data"), /no such volume/);
});

test("a plugin that ends each connection without having said so is asked by new ones", async (t) => {
  const socket = join(directories.sockets, "curt.sock");
  mkdirSync(directories.sockets, { recursive: true });
  const made = new Set<string>();
  const answer = (method: string, name: string): object => {
    if (method === "Plugin.Activate") return { Implements: ["VolumeDriver"] };
    if (method === "VolumeDriver.Create") made.add(name);
    return made.has(name) ? { Volume: { Name: name, Mountpoint: "/" } } : { Err: "no" };
  };
  // As servers do that know of HTTP/1.1 little more than its name: one request a connection, closed some time afterwards.
  const requests = new WeakMap<Socket, number>();
  const server = createServer((connection) => {
    let received = "";
    connection.on("error", () => {});
    connection.on("data", (chunk) => {
      received += chunk.toString();
      const [, method, head, body = ""] = /^POST \/(\S+) (.*?)\r\n\r\n(.*)$/s.exec(received) ?? [];
      if (body.length < Number(/content-length: (\d+)/i.exec(head ?? "")?.[1] ?? Infinity)) return;
      received = "";
      const count = (requests.get(connection) ?? 0) + 1;
      requests.set(connection, count);
      if (count > 1) return void connection.destroy();
      const { Name = "" } = JSON.parse(body) as { Name?: string };
      const text = JSON.stringify(answer(method!, Name));
      connection.write(`HTTP/1.1 200 OK\r\ncontent-length: ${text.length}\r\n\r\n${text}`);
    });
  });
  server.listen(socket);
  await once(server, "listening");
  t.after(() => void server.close());
  const store = createVolumeStore(database, root, directories);
  for (const name of ["one", "two", "three"]) await store.create({ name, driver: "curt" });
  assert.deepEqual([...made], ["one", "two", "three"]);
  for (const name of made) await store.remove(name);
});

test("volumes that were made elsewhere are seen, and what a plugin lost is gone", async () => {
  await using plugin = await VolumePlugin.start(
    join(directories.sockets, "far.sock"),
    join(directory, "far"),
  );
  const store = createVolumeStore(database, root, directories);
  plugin.volumes.set("theirs", { options: {}, users: new Set() });
  const { volumes, warnings } = await store.list();
  assert.deepEqual([volumes.map(({ Name }) => Name), warnings], [["theirs"], []]);
  assert.equal((await store.inspect("theirs")).Driver, "far");
  const { volume, isNew } = await store.create({ name: "theirs" });
  assert.deepEqual([volume.Driver, isNew], ["far", false]);
  plugin.volumes.delete("theirs");
  assert.deepEqual((await store.list()).volumes, []);
  assert.equal((await store.create({ name: "theirs", driver: "far" })).isNew, true);
  await store.remove("theirs");
});

test(
  "what a plugin has mounted and nobody serves ends the start, and holds up nothing",
  needsFuse,
  async () => {
    await using plugin = await VolumePlugin.start(
      join(directories.sockets, "slow.sock"),
      join(directory, "slow"),
    );
    const driver = await PluginDriver.open(directories, "slow", { retry: false, answerTimeoutMs: 300 });
    for (const [name, mountIt] of Object.entries({ away: mountUnanswering, hung: mountHanging })) {
      await driver.create(name, {});
      const path = join(directory, "slow", name);
      const server = mountIt(path);
      let ticks = 0;
      const timer = setInterval(() => (ticks += 1), 10);
      try {
        for (const user of ["one", "two"])
          await assert.rejects(
            driver.mount({ Name: name } as VolumeInspect, user),
            (error) =>
              isKind(error, "unavailable") &&
              error.message ===
                `no answer from what plugin slow has mounted on ${directory}/slow/view-${name} within 0.3 seconds` &&
              /plugin slow .* work/.test(error.hint ?? ""),
          );
        assert.deepEqual(plugin.users(name), []);
        assert.ok(ticks > 1, "nothing else went on meanwhile");
      } finally {
        clearInterval(timer);
        server.end();
        unmount(path);
      }
      const patient = await PluginDriver.open(directories, "slow", { retry: false });
      assert.ok((await patient.mount({ Name: name } as VolumeInspect, "one")).endsWith(`view-${name}`));
      await driver.unmount({ Name: name } as VolumeInspect, "one");
      await driver.remove({ Name: name } as VolumeInspect);
    }
  },
);

test("a plugin that is away is said to be away, and its volumes can be forgotten by force", async () => {
  {
    await using _plugin = await VolumePlugin.start(
      join(directories.sockets, "gone.sock"),
      join(directory, "gone"),
    );
    await createVolumeStore(database, root, directories).create({ name: "lost", driver: "gone" });
  }
  const store = createVolumeStore(database, root, directories);
  await assert.rejects(store.create({ name: "xx", driver: "gone" }), /plugin "gone" not found/);
  assert.deepEqual(
    (await store.list()).volumes.map(({ Name }) => Name),
    ["lost"],
  );
  await assert.rejects(
    store.inspect("lost"),
    /: get lost: error looking up volume plugin gone: plugin "gone" not/,
  );
  await assert.rejects(store.remove("lost"), /plugin "gone" not found/);
  await store.remove("lost", { force: true });
  assert.deepEqual((await store.list()).volumes, []);
  // Its socket is there, and nobody listens.
  await using dead = await VolumePlugin.start(
    join(directories.sockets, "dead.sock"),
    join(directory, "dead"),
  );
  await store.create({ name: "kept", driver: "dead" });
  dead.failures.set("List", "out of order");
  const listing = await store.list();
  assert.deepEqual(
    listing.volumes.map(({ Name }) => Name),
    ["kept"],
  );
  assert.deepEqual(listing.warnings, ["list dead: out of order"]);
  await store.remove("kept");
});

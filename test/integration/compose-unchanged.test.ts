/** `up -d` that knows by what it noted that nothing has changed, and what it must notice all the same. */
import assert from "node:assert/strict";
import { readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { ComposeProject, service } from "../helpers/compose.ts";
import { busybox } from "../helpers/images.ts";
import { useDaemon } from "../helpers/suite.ts";

const files = {
  "compose.yaml": `
services:
  web:
    image: ${busybox}
    command: ${service()}
    environment: { COLOUR: "\${COLOUR:-blue}" }
    env_file: [ { path: web.env, required: false } ]
    volumes: [ "data:/data" ]
  db: { image: ${busybox}, command: ${service()} }
volumes: { data: }
`,
};

describe("compose up -d where nothing has changed", () => {
  const suite = useDaemon();

  const memosOf = async (app: ComposeProject): Promise<string[]> => {
    const directory = join(app.cacheDirectory, "gantry/compose");
    return (await readdir(directory)).map((name) => join(directory, name));
  };
  /** Makes the project, and has it noted; what is noted is marked, so that its use is seen. */
  const prepared = async (): Promise<ComposeProject> => {
    const app = await ComposeProject.make(suite.daemon, files);
    await app.ok(["up", "-d"]);
    await app.ok(["up", "-d"]);
    const [memo = ""] = await memosOf(app);
    await writeFile(memo, (await readFile(memo, "utf8")).replace("Container shop-web-1", "Noted shop-web-1"));
    return app;
  };
  const up = async (app: ComposeProject, env: Record<string, string> = {}): Promise<string> => {
    const { code, stderr } = await app.run(["up", "-d"], { env });
    assert.equal(code, 0, stderr);
    return stderr;
  };

  test("says so by what it noted, which is for its owner alone", async () => {
    await using app = await prepared();
    const ids = await app.ids();
    assert.equal(await up(app), " Container shop-db-1  Running\n Noted shop-web-1  Running\n");
    assert.deepEqual(await app.ids(), ids);
    const [memo = ""] = await memosOf(app);
    assert.equal((await stat(memo)).mode & 0o777, 0o600);
    assert.doesNotMatch(await readFile(memo, "utf8"), /COLOUR|blue/);
  });

  test("makes anew what a file changed: the compose file, .env, an env_file that was not there", async () => {
    for (const change of [
      (app: ComposeProject) => app.write("compose.yaml", files["compose.yaml"].replace("blue", "red")),
      (app: ComposeProject) => app.write(".env", "COLOUR=red\n"),
      (app: ComposeProject) => app.write("web.env", "COLOR=red\n"),
      (app: ComposeProject) =>
        app.write("compose.override.yaml", "services: { web: { environment: { COLOUR: red } } }\n"),
    ]) {
      await using app = await prepared();
      const before = await app.ids();
      await change(app);
      await up(app);
      const after = await app.ids();
      assert.notEqual(after["shop-web-1"], before["shop-web-1"]);
      assert.equal(after["shop-db-1"], before["shop-db-1"]);
    }
  });

  test("looks anew in another environment", async () => {
    await using app = await prepared();
    const before = await app.ids();
    await up(app, { COLOUR: "red" });
    assert.notEqual((await app.ids())["shop-web-1"], before["shop-web-1"]);
    // The first environment's note speaks of containers that are no more as they were.
    assert.match(await up(app), /Container shop-web-1 {2}Recreated/);
  });

  test("makes and starts what is gone: containers, their number, a volume, the image's name", async () => {
    await using app = await prepared();
    await suite.daemon.dockerOk(["stop", "-t", "5", "shop-web-1"]);
    assert.match(await up(app), /Container shop-web-1 {2}Started/);
    assert.match(await up(app), /Noted/);
    await suite.daemon.dockerOk(["rm", "-f", "shop-web-1"]);
    assert.match(await up(app), /Container shop-web-1 {2}Created/);
    await app.ok(["up", "-d", "--scale", "db=2"]);
    assert.match(await up(app), /Container shop-db-2 {2}Removed/);
    await suite.daemon.dockerOk(["rm", "-f", "shop-web-1"]);
    await suite.daemon.dockerOk(["volume", "rm", "shop_data"]);
    assert.match(await up(app), /Volume "shop_data" {2}Created/);
    await rm(join(app.directory, "compose.yaml"));
    assert.match((await app.run(["up", "-d"])).stderr, /no configuration file provided/);
  });

  test("notes nothing of services that take others' namespaces, nor where something is to be said", async () => {
    const one = `{ image: ${busybox}, command: ${service()}`;
    for (const text of [
      `services: { a: ${one} }, b: ${one}, network_mode: "service:a" } }\n`,
      `services: { a: ${one}, environment: { A: "$UNSET" } } }\n`,
    ]) {
      await using app = await ComposeProject.make(suite.daemon, { "compose.yaml": text });
      await app.ok(["up", "-d"]);
      await app.ok(["up", "-d"]);
      await assert.rejects(memosOf(app), /ENOENT/);
    }
  });
});

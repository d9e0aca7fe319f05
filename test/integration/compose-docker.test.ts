/** Docker's own Compose, unchanged, beside ours on the same daemon. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ComposeProject, compose1, compose2, service, shop } from "../helpers/compose.ts";
import { busybox } from "../helpers/images.ts";
import { useDaemon } from "../helpers/suite.ts";

describe("compose and Docker's own Compose", () => {
  // Builds leave their cache.
  const suite = useDaemon({ leaves: ["data-root", "exec-root"] });

  test("either takes over the other's project, and makes nothing anew (2.26)", async (context) => {
    const tool = await compose2();
    if (tool === undefined) return context.skip("Docker Compose 2.26 cannot be had");
    await using app = await ComposeProject.make(suite.daemon, { "compose.yaml": shop });
    await app.ok(["up", "-d"]);
    const ours = await app.ids();
    await app.other(tool, ["up", "-d"]);
    assert.deepEqual(await app.ids(), ours);
    assert.match((await app.other(tool, ["ps"])).stdout, /shop-web-1/);
    await app.other(tool, ["down", "-v"]);
    assert.deepEqual(await app.ids(), {});
    await app.other(tool, ["up", "-d"]);
    const theirs = await app.ids();
    await app.ok(["up", "-d"]);
    assert.deepEqual(await app.ids(), theirs);
    await app.ok(["down", "-v"]);
    assert.deepEqual(await app.ids(), {});
  });

  test("what 2.26 builds ours finds as it should be, and the other way round", async (context) => {
    const tool = await compose2();
    if (tool === undefined) return context.skip("Docker Compose 2.26 cannot be had");
    const files = {
      "compose.yaml": `services: { app: { build: ., command: ${service("cat /word")} } }\n`,
      Dockerfile: `FROM ${busybox}\nRUN echo built > /word\n`,
    };
    await using app = await ComposeProject.make(suite.daemon, files);
    await app.other(tool, ["up", "-d", "--build"]);
    const theirs = await app.ids();
    await app.ok(["up", "-d"]);
    await app.other(tool, ["up", "-d"]);
    assert.deepEqual(await app.ids(), theirs);
    await app.ok(["down", "--rmi", "all"]);
    await app.ok(["up", "-d", "--build"]);
    const ours = await app.ids();
    await app.other(tool, ["up", "-d"]);
    assert.deepEqual(await app.ids(), ours);
    assert.match((await app.other(tool, ["logs", "app"])).stdout, /built/);
    await app.other(tool, ["down", "--rmi", "all"]);
  });

  test("Docker Compose 1.29 runs the same application", async (context) => {
    const tool = await compose1();
    if (tool === undefined) return context.skip("Docker Compose 1.29 cannot be had");
    await using app = await ComposeProject.make(suite.daemon, {
      "docker-compose.yml": `version: "3.8"\n${shop}`,
    });
    await app.other(tool, ["up", "-d"]);
    const theirs = await app.ids();
    assert.deepEqual(Object.keys(theirs), ["shop_db_1", "shop_web_1"]);
    await app.other(tool, ["up", "-d"]);
    assert.deepEqual(await app.ids(), theirs);
    assert.equal(
      (await app.other(tool, ["exec", "-T", "web", "sh", "-c", "ping -c 1 db >/dev/null && echo found"]))
        .stdout,
      "found\n",
    );
    // It makes anew what has changed, and carries volumes over.
    await app.other(tool, ["exec", "-T", "web", "sh", "-c", "echo kept > /anonymous/file"]);
    await app.write("docker-compose.yml", `version: "3.8"\n${shop.replace("blue", "green")}`);
    await app.other(tool, ["up", "-d"]);
    const changed = await app.ids();
    assert.equal(changed["shop_db_1"], theirs["shop_db_1"]);
    assert.notEqual(changed["shop_web_1"], theirs["shop_web_1"]);
    assert.equal(
      (await app.other(tool, ["exec", "-T", "web", "sh", "-c", "cat /anonymous/file; echo $COLOUR"])).stdout,
      "kept\ngreen\n",
    );
    assert.equal((await app.other(tool, ["run", "--rm", "web", "echo", "ran"])).stdout.trim(), "ran");
    // What it has made is seen, and taken away, by ours.
    assert.match(await app.ok(["ps"]), /shop_web_1/);
    await app.other(tool, ["down", "-v"]);
    assert.deepEqual(await app.ids(), {});
  });

  const older = `
agent:
  image: ${busybox}
  command: ${service()}
  net: host
db:
  image: ${busybox}
  command: ${service()}
  environment: { WORD: kept }
  ipc: host
  labels: [ "tier=back" ]
web:
  image: ${busybox}
  command: sh -c 'trap "exit 0" TERM; while :; do sleep 1 & wait; done'
  links: [ "db:data" ]
  ports: [ "127.0.0.1:28191:80", "81" ]
  volumes: [ "./src:/src:ro", "/anonymous" ]
  working_dir: /src
  restart: always
`;
  const newer = `version: "3.8"
services:
${older.replaceAll(/^(?=.)/gm, "  ")}    networks: { inner: { aliases: [ front ] }, default: {} }
    depends_on: [ db ]
    healthcheck: { test: "true", interval: 30s }
    stop_grace_period: 5s
networks: { inner: {} }
`
    .replace('    links: [ "db:data" ]\n', "")
    .replace("net: host", "network_mode: host");

  for (const [group, file, text] of [
    ["fig", "docker-compose.yml", older],
    ["compose", "docker-compose.yml", newer],
  ] as const) {
    test(`what 1.29 has made ${group} takes over as it is, and makes anew what has changed`, async (context) => {
      const tool = await compose1();
      if (tool === undefined) return context.skip("Docker Compose 1.29 cannot be had");
      await using app = await ComposeProject.make(suite.daemon, { [file]: text, "src/file": "" });
      await app.other(tool, ["up", "-d"]);
      const theirs = await app.ids();
      for (let time = 0; time < 2; time++) await app.ok(["up", "-d"], { group });
      assert.deepEqual(await app.ids(), theirs);
      const changes: readonly (readonly [string, string])[] = [
        ["WORD: kept", "WORD: other"],
        ["ipc: host", "tty: false"],
        ['"tier=back"', '"tier=front"'],
        [":/src:ro", ":/src"],
        ['"81"', '"82"'],
        ["restart: always", "restart: unless-stopped"],
        group === "fig" ? ["db:data", "db:store"] : ["front ]", "gate ]"],
      ];
      for (const [old, changed] of changes) {
        await app.write(file, text.replace(old, changed));
        const plan = await app.ok(["up", "-d", "--dry-run"], { group });
        assert.match(plan, /recreate as \S+ \(its configuration has changed\)/, `${old} to ${changed}`);
      }
      // Nothing is noted of such containers: what is changed behind the file's back is seen.
      await app.write(file, text);
      await suite.daemon.dockerOk(["update", "--restart", "unless-stopped", "shop_web_1"]);
      await app.ok(["up", "-d"], { group });
      const mended = await app.ids();
      assert.equal(Object.values(mended).includes(theirs["shop_web_1"]!), false);
      assert.equal(mended["shop_agent_1"], theirs["shop_agent_1"]);
      await app.write(file, text.replace("WORD: kept", "WORD: other"));
      await app.ok(["up", "-d"], { group });
      const ours = await app.ids();
      assert.equal(Object.values(ours).includes(theirs["shop_db_1"]!), false);
      await app.ok(["up", "-d"], { group });
      assert.deepEqual(await app.ids(), ours);
      await app.ok(["down", "-v"], { group });
    });
  }
});

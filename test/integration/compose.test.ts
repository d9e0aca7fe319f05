/** Applications of several containers: what compose does to the daemon, and what is in the containers then. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ComposeProject, compose1, compose2, service } from "../helpers/compose.ts";
import { busybox } from "../helpers/images.ts";
import { eventually } from "../helpers/process.ts";
import { startOnPty } from "../helpers/pty.ts";
import { useDaemon } from "../helpers/suite.ts";

const shop = `
services:
  web:
    image: ${busybox}
    command: ${service("echo web is up")}
    depends_on: [db]
    environment: { COLOUR: blue }
    volumes: [ "data:/data", "/anonymous" ]
  db:
    image: ${busybox}
    command: ${service("echo db is up")}
volumes: { data: }
`;

describe("compose", () => {
  const suite = useDaemon();
  const project = (files: Record<string, string>, name?: string): Promise<ComposeProject> =>
    ComposeProject.make(suite.daemon, files, name);

  test("creates, finds, and takes away: networks, volumes, names and labels as Compose 2's", async () => {
    await using app = await project({ "compose.yaml": shop });
    const { stderr } = await app.run(["up", "-d"]);
    assert.match(stderr, /Network shop_default {2}Created/);
    assert.match(stderr, /Container shop-web-1 {2}Started/);
    assert.deepEqual(Object.keys(await app.ids()), ["shop-db-1", "shop-web-1"]);
    const label = (name: string): Promise<string> =>
      suite.daemon.dockerOk([
        "inspect",
        "-f",
        `{{index .Config.Labels "com.docker.compose.${name}"}}`,
        "shop-web-1",
      ]);
    assert.equal(await label("service"), "web");
    assert.equal(await label("container-number"), "1");
    assert.equal(await label("depends_on"), "db:service_started:false");
    assert.equal(
      await label("config-hash"),
      (await app.ok(["config", "--hash", "web"])).trim().split(" ")[1],
    );
    // Names of services are found, and the data of one is in the volume of the project.
    await app.ok(["exec", "-T", "web", "sh", "-c", "ping -c 1 db && echo kept > /data/file"]);
    assert.equal(
      await suite.daemon.dockerOk(["volume", "ls", "-q", "--filter", "name=shop_data"]),
      "shop_data",
    );
    assert.match(await app.ok(["ps"]), /shop-web-1 .* web .* Up/);
    assert.match(await app.ok(["ls"]), /^shop +running\(2\) +.*compose\.yaml$/m);
    await app.ok(["down", "-v"]);
    assert.deepEqual(await app.ids(), {});
    assert.equal(await suite.daemon.dockerOk(["volume", "ls", "-q", "--filter", "name=shop_data"]), "");
    assert.equal(await suite.daemon.dockerOk(["network", "ls", "-q", "--filter", "name=shop_default"]), "");
  });

  test("changes only what has changed, and carries volumes without a name over", async () => {
    await using app = await project({ "compose.yaml": shop });
    await app.ok(["up", "-d"]);
    const before = await app.ids();
    await app.ok(["exec", "-T", "web", "sh", "-c", "echo kept > /anonymous/file"]);
    await app.ok(["up", "-d"]);
    assert.deepEqual(await app.ids(), before);
    await app.write("compose.yaml", shop.replace("blue", "red"));
    const plan = await app.ok(["up", "-d", "--dry-run"]);
    assert.match(plan, /Container shop-web-1 {2}recreate as shop-web-1 \(its configuration has changed\)/);
    assert.match(plan, /Container shop-db-1 {2}keep \(running\)/);
    assert.deepEqual(await app.ids(), before, "a plan does nothing");
    await app.ok(["up", "-d"]);
    const after = await app.ids();
    assert.equal(after["shop-db-1"], before["shop-db-1"]);
    assert.notEqual(after["shop-web-1"], before["shop-web-1"]);
    assert.equal(await app.ok(["exec", "-T", "web", "cat", "/anonymous/file"]), "kept\n");
    assert.equal(await app.ok(["exec", "-T", "web", "sh", "-c", "echo $COLOUR"]), "red\n");
  });

  test("leaves the old container running when the new one cannot be made", async () => {
    await using app = await project({ "compose.yaml": shop });
    await app.ok(["up", "-d"]);
    const before = await app.ids();
    await app.write("compose.yaml", shop.replace("environment:", "mem_limit: 1m\n    environment:"));
    const { code, stderr } = await app.run(["up", "-d"]);
    assert.notEqual(code, 0);
    assert.match(stderr, /Minimum memory limit allowed is 6MB/);
    assert.deepEqual(await app.ids(), before);
    assert.match(await app.ok(["ps", "web"]), /Up/);
  });

  test("waits for dependencies: healthy, completed, and one that fails", async () => {
    const files = {
      "compose.yaml": `
services:
  web:
    image: ${busybox}
    command: ${service("echo web is up")}
    depends_on:
      db: { condition: service_healthy }
      setup: { condition: service_completed_successfully }
  db:
    image: ${busybox}
    command: ${service("sleep 0.5; touch /ready")}
    healthcheck: { test: "test -f /ready", interval: 200ms, retries: 30 }
  setup: { image: ${busybox}, command: "sh -c 'exit \${SETUP_CODE:-0}'" }
`,
    };
    await using app = await project(files);
    await app.ok(["up", "-d", "--wait"]);
    assert.match(await app.ok(["ps", "db"]), /\(healthy\)/);
    await app.ok(["down"]);
    const { code, stderr } = await app.run(["up", "-d"], { env: { SETUP_CODE: "3" } });
    assert.equal(code, 1);
    assert.match(stderr, /service "setup" didn't complete successfully: exit 3/);
    assert.doesNotMatch(await app.ok(["ps", "--status", "running", "--services"]), /web/);
  });

  test("scales up and down, and removes orphans when it is told", async () => {
    await using app = await project({ "compose.yaml": shop });
    await app.ok(["up", "-d", "--scale", "db=3"]);
    assert.deepEqual(Object.keys(await app.ids()), ["shop-db-1", "shop-db-2", "shop-db-3", "shop-web-1"]);
    await app.ok(["scale", "db=1"]);
    assert.deepEqual(Object.keys(await app.ids()), ["shop-db-1", "shop-web-1"]);
    await app.write(
      "compose.yaml",
      `services: { db: { image: ${busybox}, command: ${service("echo db is up")} } }`,
    );
    const { stderr } = await app.run(["up", "-d"]);
    assert.match(stderr, /Found orphan containers \(\[shop-web-1\]\)/);
    await app.ok(["up", "-d", "--remove-orphans"]);
    assert.deepEqual(Object.keys(await app.ids()), ["shop-db-1"]);
  });

  test("shows output line by line, ends with the code of one service, and stops on Ctrl-C", async () => {
    const files = {
      "compose.yaml": `
services:
  tests: { image: ${busybox}, command: "sh -c 'echo one; echo two >&2; exit 5'", depends_on: [server] }
  server: { image: ${busybox}, command: ${service("echo serving")} }
`,
    };
    await using app = await project(files);
    const ended = await app.run(["up", "--exit-code-from", "tests"]);
    assert.equal(ended.code, 5);
    assert.match(ended.stdout, /^Attaching to server-1, tests-1$/m);
    assert.match(ended.stdout, /^server-1 {2}\| serving$/m);
    assert.match(ended.stdout, /^tests-1 {3}\| one$/m);
    assert.match(ended.stderr, /^tests-1 {3}\| two$/m);
    assert.match(ended.stderr, /Container shop-server-1 {2}Stopped/);
    const running = app.start(["up", "server"]);
    await running.waitForOutput(/serving/);
    running.process.kill("SIGINT");
    const { code, stderr } = await running.wait(30_000);
    assert.equal(code, 130);
    assert.match(stderr, /Gracefully stopping/);
    assert.equal(
      await suite.daemon.dockerOk([
        "inspect",
        "-f",
        "{{.State.Status}} {{.State.ExitCode}}",
        "shop-server-1",
      ]),
      "exited 0",
    );
  });

  test("a second Ctrl-C kills what does not want to end", async () => {
    const deaf = `["sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 1; done"]`;
    await using app = await project({
      "compose.yaml": `services: { deaf: { image: ${busybox}, command: ${deaf} } }`,
    });
    const running = app.start(["up"]);
    await running.waitForOutput(/\| deaf/);
    running.process.kill("SIGINT");
    await eventually(async () => /Gracefully/.test(running.stderr()), { what: "the word that it stops" });
    running.process.kill("SIGINT");
    assert.equal((await running.wait(8_000)).code, 130);
    // The signal is sent when compose ends; the record of the end may follow a moment later.
    const exitCode = (): Promise<string> =>
      suite.daemon.dockerOk(["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "shop-deaf-1"]);
    await eventually(async () => (await exitCode()) === "exited 137", { timeoutMs: 5_000, what: "the kill" });
  });

  test("moves its lines on a terminal", async () => {
    await using app = await project({ "compose.yaml": shop });
    const program = startOnPty(
      suite.daemon.gantryCommand(["compose", "-f", `${app.directory}/compose.yaml`, "up", "-d"]),
    );
    assert.equal(await program.wait(60_000), 0);
    assert.match(program.output(), /\[\+\] Running \d\/4/);
    assert.match(program.output(), /\u2714.*Container shop-web-1 +Started/);
  });

  test("runs one command: dependencies, variables, exit code, and nothing left with --rm", async () => {
    await using app = await project({ "compose.yaml": shop });
    const { code, stdout } = await app.run([
      "run",
      "--rm",
      "-e",
      "EXTRA=1",
      "web",
      "sh",
      "-c",
      "echo $COLOUR $EXTRA; ping -c 1 db >/dev/null && exit 4",
    ]);
    assert.equal(stdout, "blue 1\n");
    assert.equal(code, 4);
    assert.deepEqual(Object.keys(await app.ids()), ["shop-db-1"]);
    const name = (await app.ok(["run", "-d", "web", "sleep", "60"])).trim();
    assert.match(name, /^shop-web-run-[0-9a-f]{12}$/);
    assert.match(await app.ok(["ps", "-a"]), new RegExp(name));
    const input = await app.run(["run", "--rm", "-T", "--no-deps", "web", "cat"], { input: "through\n" });
    assert.equal(input.stdout, "through\n");
  });

  test("logs, top, port, images, cp, stop, start, restart, pause, kill, rm", async () => {
    const text = shop.replace("environment:", 'ports: ["127.0.0.1::80"]\n    environment:');
    await using app = await project({ "compose.yaml": text, file: "copied\n" });
    await app.ok(["up", "-d"]);
    await eventually(async () => /web-1 {2}\| web is up/.test(await app.ok(["logs", "web"])), {
      what: "the log",
    });
    assert.match(await app.ok(["logs", "--no-log-prefix", "--tail", "1", "db"]), /^db is up$/m);
    assert.match(await app.ok(["top", "web"]), /sleep 1/);
    assert.match(await app.ok(["port", "web", "80"]), /^127\.0\.0\.1:\d+$/m);
    assert.match(await app.ok(["images"]), /shop-web-1 +gantry\/busybox +latest/);
    await app.ok(["cp", "file", "web:/tmp/file"]);
    assert.equal(await app.ok(["exec", "-T", "web", "cat", "/tmp/file"]), "copied\n");
    const state = (name: string): Promise<string> =>
      suite.daemon.dockerOk(["inspect", "-f", "{{.State.Status}}", `shop-${name}-1`]);
    await app.ok(["pause", "web"]);
    assert.equal(await state("web"), "paused");
    await app.ok(["unpause", "web"]);
    await app.ok(["stop", "db"]);
    assert.equal(await state("db"), "exited");
    await app.ok(["start", "db"]);
    assert.equal(await state("db"), "running");
    await app.ok(["restart", "web"]);
    assert.equal(await state("web"), "running");
    await app.ok(["kill", "web"]);
    assert.equal(await state("web"), "exited");
    await app.ok(["rm", "-f", "web"]);
    assert.deepEqual(Object.keys(await app.ids()), ["shop-db-1"]);
    assert.deepEqual(JSON.parse((await app.ok(["ps", "--format", "json"])).trim()).Service, "db");
  });

  test("watch copies what has changed, and takes away what is gone", async () => {
    const files = {
      "compose.yaml": `
services:
  app:
    image: ${busybox}
    command: ${service()}
    develop: { watch: [ { path: ./src, action: sync, target: /app, ignore: [ "*.tmp" ] } ] }
`,
      "src/first": "1",
    };
    await using app = await project(files);
    await app.ok(["up", "-d"]);
    const watching = app.start(["watch", "--no-up"]);
    await eventually(async () => /Watch enabled/.test(watching.stderr()), { what: "the watch" });
    await app.write("src/skipped.tmp", "no");
    await app.write("src/below/second", "2");
    const list = async (): Promise<string> =>
      (await app.run(["exec", "-T", "app", "find", "/app", "-type", "f"])).stdout;
    await eventually(async () => /\/app\/below\/second/.test(await list()), {
      timeoutMs: 15_000,
      what: "the copy",
    });
    assert.doesNotMatch(await list(), /skipped/);
    watching.process.kill("SIGINT");
    assert.equal((await watching.wait()).code, 130);
  });

  test("fig: fig.yml, names with underscores, links with variables", async () => {
    const files = {
      "fig.yml": `
db:
  image: ${busybox}
  command: ${service("(nc -ll -p 3306 -e echo data &)")}
  expose: [ "3306" ]
web:
  image: ${busybox}
  command: ${service()}
  links: [ db ]
`,
    };
    await using app = await project(files, "old-shop");
    await app.ok(["up", "-d"], { group: "fig" });
    assert.deepEqual(
      (await suite.daemon.dockerOk(["ps", "--format", "{{.Names}}"]))
        .split("\n")
        .map((name) => name.split(",")[0]!)
        .sort(),
      ["oldshop_db_1", "oldshop_web_1"],
    );
    const shown = await app.ok(
      ["run", "--rm", "web", "sh", "-c", "echo $DB_1_PORT_3306_TCP_ADDR; nc -w 2 db_1 3306 </dev/null"],
      { group: "fig" },
    );
    const address = await suite.daemon.dockerOk([
      "inspect",
      "-f",
      "{{.NetworkSettings.IPAddress}}",
      "oldshop_db_1",
    ]);
    assert.equal(shown, `${address}\ndata\n`);
    await app.ok(["down"], { group: "fig" });
    assert.equal(await suite.daemon.dockerOk(["ps", "-aq"]), "");
  });
});

describe("compose that builds", () => {
  // Builds leave their cache.
  const suite = useDaemon({ leaves: ["data-root", "exec-root"] });

  test("builds an image, and hands configurations, secrets and hooks to a container", async () => {
    const files = {
      "compose.yaml": `
services:
  app:
    build: { context: ., args: { WORD: hello } }
    command: ${service("cat /word")}
    configs: [ { source: settings, target: /etc/settings } ]
    secrets: [ token, { source: file, target: other } ]
    post_start: [ { command: "sh -c 'echo started > /hook'" } ]
    pre_stop: [ { command: "sh -c 'echo stopping > /proc/1/fd/1'" } ]
configs: { settings: { content: "a = \${NUMBER}" } }
secrets: { token: { environment: TOKEN }, file: { file: ./secret.txt } }
`,
      Dockerfile: `FROM ${busybox}\nARG WORD\nRUN echo "$WORD" > /word\nCOPY kept /kept\n`,
      ".dockerignore": "ignored\n",
      kept: "kept\n",
      ignored: "ignored\n",
      "secret.txt": "in a file",
      ".env": "NUMBER=7\nTOKEN=in a variable\n",
    };
    await using app = await ComposeProject.make(suite.daemon, files);
    await app.ok(["up", "-d", "--build"]);
    const show = (path: string): Promise<string> => app.ok(["exec", "-T", "app", "cat", path]);
    assert.equal(await show("/word"), "hello\n");
    assert.equal(await show("/etc/settings"), "a = 7");
    assert.equal(await show("/run/secrets/token"), "in a variable");
    assert.equal(await show("/run/secrets/other"), "in a file");
    assert.equal(await show("/hook"), "started\n");
    await app.ok(["stop"]);
    assert.match(await app.ok(["logs", "app"]), /stopping/);
    await app.ok(["down", "--rmi", "local"]);
    assert.equal(await suite.daemon.dockerOk(["images", "-q", "shop-app"]), "");
  });
});

describe("compose that builds in a session", () => {
  const suite = useDaemon({ leaves: ["data-root", "exec-root"] });

  test("secrets, further contexts and the images of other services", async () => {
    const files = {
      "compose.yaml": `
services:
  app:
    build:
      context: .
      dockerfile_inline: |
        FROM ${busybox}
        RUN --mount=type=secret,id=token cat /run/secrets/token > /token
        COPY --from=more file /file
        COPY --from=base /made /made
        CMD ["cat", "/token", "/file", "/made"]
      secrets: [ token ]
      additional_contexts: { more: ./more, base: "service:base" }
  base:
    build: { context: ., dockerfile_inline: "FROM ${busybox}\\nRUN echo made > /made\\n" }
    command: "true"
secrets: { token: { environment: TOKEN } }
`,
      "more/file": "of another directory\n",
      ".env": "TOKEN=secret\n",
    };
    await using app = await ComposeProject.make(suite.daemon, files);
    await app.ok(["build"]);
    assert.equal(await app.ok(["run", "--rm", "app"]), "secretof another directory\nmade\n");
  });
});

describe("compose and Docker's own Compose", () => {
  const suite = useDaemon();

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
    assert.equal((await app.other(tool, ["run", "--rm", "web", "echo", "ran"])).stdout.trim(), "ran");
    // What it has made is seen, and taken away, by ours.
    assert.match(await app.ok(["ps"]), /shop_web_1/);
    await app.other(tool, ["down", "-v"]);
    assert.deepEqual(await app.ids(), {});
  });
});

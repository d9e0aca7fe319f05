/** Applications of several containers: what compose does to the daemon, and what is in the containers then. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ComposeProject, service, shop } from "../helpers/compose.ts";
import { busybox } from "../helpers/images.ts";
import { eventually } from "../helpers/process.ts";
import { startOnPty } from "../helpers/pty.ts";
import { useDaemon } from "../helpers/suite.ts";

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

  test("makes anew who depends on what is made anew: order, namespaces, volumes", async () => {
    const files = {
      "compose.yaml": `
x-one: &one { image: ${busybox}, command: ${service()} }
services:
  db: { <<: *one, environment: { V: "\${V:-1}" }, volumes: [ /data ] }
  web: { <<: *one, depends_on: { db: { condition: service_started, restart: true } } }
  behind: { <<: *one, depends_on: [ web ] }
  net: { <<: *one, network_mode: "service:db" }
  volumes: { <<: *one, volumes_from: [ db ] }
  other: { <<: *one }
`,
    };
    await using app = await project(files);
    await app.ok(["up", "-d"]);
    const before = await app.ids();
    await app.ok(["exec", "-T", "db", "sh", "-c", "echo kept > /data/file"]);
    const changed = { env: { V: "2" } };
    assert.match(
      (await app.run(["up", "-d", "--dry-run"], changed)).stdout,
      /behind-1 .*\(web is made anew\)/,
    );
    await app.ok(["up", "-d"], changed);
    const after = await app.ids();
    const kept = Object.keys(before).filter((name) => before[name] === after[name]);
    assert.deepEqual([Object.keys(after), kept], [Object.keys(before), ["shop-other-1"]]);
    assert.equal(await app.ok(["exec", "-T", "volumes", "cat", "/data/file"], changed), "kept\n");
    const namespace = (name: string): Promise<string> =>
      app.ok(["exec", "-T", name, "readlink", "/proc/self/ns/net"], changed);
    assert.equal(await namespace("net"), await namespace("db"));
    // Nothing is left to do, and a service that was asked for alone takes nobody with it.
    await app.ok(["up", "-d"], changed);
    assert.deepEqual(await app.ids(), after);
    await app.ok(["up", "-d", "--no-deps", "db"]);
    const alone = await app.ids();
    assert.deepEqual(
      Object.keys(after).filter((name) => after[name] !== alone[name]),
      ["shop-db-1"],
    );
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

  test("create makes containers and starts none, anew when it is told", async () => {
    await using app = await project({ "compose.yaml": shop });
    const states = async (): Promise<string> =>
      (await app.ok(["ps", "-a", "--format", "{{.Name}} {{.State}}"])).trim().replaceAll("\n", ", ");
    assert.match((await app.run(["create", "--dry-run"])).stdout, /shop-web-1 {2}create/);
    await app.ok(["create"]);
    assert.equal(await states(), "shop-db-1 created, shop-web-1 created");
    const before = await app.ids();
    await app.ok(["create", "--scale", "web=2"]);
    await app.ok(["create", "--force-recreate", "--no-deps", "db"]);
    const { "shop-db-1": db, "shop-web-1": web, ...more } = await app.ids();
    assert.notEqual(db, before["shop-db-1"]);
    assert.equal(web, before["shop-web-1"]);
    assert.deepEqual(Object.keys(more), ["shop-web-2"]);
    assert.equal(await states(), "shop-db-1 created, shop-web-1 created, shop-web-2 created");
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
    const env = { COMPOSE_IGNORE_ORPHANS: "1" };
    assert.doesNotMatch((await app.run(["up", "-d"], { env })).stderr, /orphan/);
    const both = await app.run(["up", "-d", "--remove-orphans"], { env });
    assert.deepEqual(
      [both.code, both.stderr],
      [1, "cannot combine COMPOSE_IGNORE_ORPHANS and --remove-orphans\n"],
    );
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
    await eventually(async () => (await exitCode()) === "exited 137", {
      timeoutMs: 60_000,
      what: "the kill",
    });
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
    const id = (await app.ok(["run", "-d", "web", "sleep", "60"])).trim();
    assert.match(id, /^[0-9a-f]{64}$/);
    const name = await suite.daemon.dockerOk(["inspect", "-f", "{{.Name}}", id]);
    assert.match(name, /^\/shop-web-run-[0-9a-f]{12}$/);
    assert.match(await app.ok(["ps", "-a"]), new RegExp(name.slice(1)));
    // Neither what runs already of the service itself is told of, nor takes what it does without for an orphan.
    await app.ok(["up", "-d"]);
    const beside = await app.run(["run", "--rm", "web", "true"]);
    assert.equal(beside.stderr, " Container shop-db-1  Running\n");
    assert.equal((await app.run(["run", "--rm", "--no-deps", "web", "true"])).stderr, "");
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
    assert.match(await app.ok(["top", "web"]), /^shop-web-1\nUID +PID +PPID +C {4}STIME [^]* done +\n/);
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

  test("draws the services, shows the variables, and ends as Compose 2 does where something is wrong", async () => {
    await using app = await project({ "compose.yaml": shop, "wrong.yaml": "services: [ a" });
    assert.equal(
      await app.ok(["alpha", "viz", "--image", "--spaces"]),
      `digraph "shop" {
 layout=dot;
${["db", "web"].map((name) => ` "${name}" [style="filled" label=<<font point-size="15">${name}</font><font point-size="10"><br/><br/><b>Image:</b><br/>${busybox}</font>>];\n`).join("")}
 "web" -> "db";
}

`,
    );
    assert.match(
      await app.ok(["config", "--environment"], { env: { SOME_COLOUR: "blue" } }),
      /^SOME_COLOUR=blue$/m,
    );
    const failures: readonly (readonly [line: string, code: number, message: RegExp])[] = [
      ["up nobody", 1, /^no such service: nobody$/m],
      ["config --hash nobody", 1, /^no such service: nobody: not found$/m],
      ["-f wrong.yaml config", 15, /wrong\.yaml:1:\d+: yaml: |wrong\.yaml:2:1: yaml: /],
      ["-f none.yaml config", 14, /none\.yaml: no such file or directory/],
      ["-f unreachable.yaml pull", 18, /^Error response from daemon: /m],
      ["wait web", 1, /^no containers for project "shop"$/m],
      ["ls --filter nonsense=1", 1, /^invalid filter 'nonsense'$/m],
      ["scale web", 1, /^invalid scale specifier: web$/m],
      ["scale web=x", 1, /^invalid scale specifier: can't parse replica value as int: web=x$/m],
      ["logs --index 2 web", 1, /^service "web" is not running container #2$/m],
      ["logs --index 2", 1, /^--index requires one service to be selected$/m],
      ["up --exit-code-from nobody", 1, /^no such service: nobody: not found$/m],
      ["up -d --exit-code-from web", 1, /^--detach cannot be combined with --abort-on-container-exit, /m],
    ];
    await app.write("unreachable.yaml", "services: { web: { image: localhost:1/nothing } }");
    for (const [line, code, message] of failures) {
      const result = await app.run(line.split(" "));
      assert.equal(result.code, code, `${line}: ${result.stderr}`);
      assert.match(result.stderr, message, line);
    }
    assert.deepEqual(await app.ids(), {});
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

/** `develop.watch`: what is done to containers when a file changes. */
import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import { constants } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { stripVTControlCharacters } from "node:util";
import { ComposeProject, service } from "../helpers/compose.ts";
import { busybox } from "../helpers/images.ts";
import { eventually, type RunningProgram } from "../helpers/process.ts";
import { startOnPty } from "../helpers/pty.ts";
import { useDaemon } from "../helpers/suite.ts";

const waiting = { timeoutMs: 90_000 };

/** A running watch, which is ended as a user does. */
async function startWatch(
  app: ComposeProject,
  args: readonly string[] = ["watch", "--no-up"],
): Promise<RunningProgram> {
  const watching = app.start(args);
  await eventually(async () => /Watch enabled/.test(watching.stderr()), { ...waiting, what: "the watch" });
  return watching;
}

async function end(watching: RunningProgram): Promise<void> {
  watching.process.kill("SIGINT");
  assert.equal((await watching.wait(60_000)).code, 130);
}

/** The project with one service, which watches by these rules. */
const withRules = (rules: string, more = ""): string => `
services:
  app:
    image: ${busybox}
    command: ${service("echo up")}
    ${more}
    develop: { watch: [ ${rules} ] }
`;

describe("compose watch", () => {
  const suite = useDaemon();
  const inApp = async (app: ComposeProject, ...words: string[]): Promise<string> =>
    (await app.run(["exec", "-T", "app", ...words])).stdout;
  const files = (app: ComposeProject): Promise<string> => inApp(app, "find", "/app", "-type", "f");
  const startedAt = (): Promise<string> =>
    suite.daemon.dockerOk(["inspect", "-f", "{{.Id}} {{.State.StartedAt}}", "shop-app-1"]);

  test("sync copies what has changed, and takes away what is gone", async () => {
    await using app = await ComposeProject.make(suite.daemon, {
      "compose.yaml": withRules(`{ path: ./src, action: sync, target: /app, ignore: [ "*.tmp", made/ ] }`),
      "src/first": "1",
      "src/made/old": "made here",
    });
    await app.ok(["up", "-d"]);
    const watching = await startWatch(app);
    await app.write("src/skipped.tmp", "no");
    await app.write("src/made/skipped", "no");
    await app.write("src/below/second", "2");
    await eventually(async () => /\/app\/below\/second/.test(await files(app)), {
      ...waiting,
      what: "the copy",
    });
    // What was there before the watch is nobody's change.
    assert.equal((await files(app)).trim(), "/app/below/second");
    await rm(join(app.directory, "src/below"), { recursive: true });
    await eventually(async () => (await files(app)).trim() === "", { ...waiting, what: "the removal" });
    await end(watching);
  });

  test("initial_sync copies what is there at the start, include says what is meant", async () => {
    await using app = await ComposeProject.make(suite.daemon, {
      "compose.yaml": withRules(
        `{ path: ./src, action: sync, target: /app, initial_sync: true, ignore: [ secret ], include: [ "*.py" ] }`,
      ),
      "src/a.py": "a",
      "src/below/b.py": "b",
      "src/a.txt": "no",
      "src/secret/c.py": "no",
    });
    await app.ok(["up", "-d"]);
    const watching = await startWatch(app);
    await eventually(async () => /b\.py/.test(await files(app)), { ...waiting, what: "the first copy" });
    await app.write("src/later.txt", "no");
    await app.write("src/later.py", "yes");
    await eventually(async () => /later\.py/.test(await files(app)), { ...waiting, what: "the second copy" });
    const found = (await files(app)).trim().split("\n").sort();
    assert.deepEqual(found, ["/app/a.py", "/app/below/b.py", "/app/later.py"]);
    await end(watching);
  });

  test("restart starts the same container again, and copies nothing", async () => {
    await using app = await ComposeProject.make(suite.daemon, {
      "compose.yaml": withRules("{ path: ./settings, action: restart }"),
      settings: "1",
    });
    await app.ok(["up", "-d"]);
    const before = await startedAt();
    const watching = await startWatch(app);
    await app.write("settings", "2");
    await eventually(async () => (await startedAt()) !== before, { ...waiting, what: "the restart" });
    assert.equal((await startedAt()).split(" ")[0], before.split(" ")[0]);
    assert.equal((await files(app)).trim(), "");
    await end(watching);
  });

  test("sync+restart copies, then starts the same container again", async () => {
    await using app = await ComposeProject.make(suite.daemon, {
      "compose.yaml": withRules("{ path: ./settings, action: sync+restart, target: /app/settings }"),
      settings: "1",
    });
    await app.ok(["up", "-d"]);
    const before = await startedAt();
    const watching = await startWatch(app);
    await app.write("settings", "2");
    await eventually(async () => (await startedAt()) !== before, { ...waiting, what: "the restart" });
    await eventually(async () => (await inApp(app, "cat", "/app/settings")) === "2", {
      ...waiting,
      what: "the settings in the container",
    });
    assert.equal((await startedAt()).split(" ")[0], before.split(" ")[0]);
    await end(watching);
  });

  test("sync+exec copies, then runs a command; one that fails is told, and the watch goes on", async () => {
    await using app = await ComposeProject.make(suite.daemon, {
      "compose.yaml": withRules(
        `{ path: ./src, action: sync+exec, target: /app, exec: { command: sh -c 'cat /app/list >> /seen; exit $$(cat /app/code)' } }`,
      ),
      "src/code": "0",
    });
    await app.ok(["up", "-d"]);
    const watching = await startWatch(app);
    await app.write("src/code", "3");
    await app.write("src/list", "one\n");
    const seen = (): Promise<string> => inApp(app, "cat", "/seen");
    await eventually(async () => /exited with status 3/.test(watching.stderr()) && /one/.test(await seen()), {
      ...waiting,
      what: "the failure",
    });
    await app.write("src/code", "0");
    await app.write("src/list", "two\n");
    await eventually(async () => /one[^]*two/.test(await seen()), {
      ...waiting,
      what: "the second command",
    });
    await end(watching);
  });

  test("up --menu turns it on and off by a key, detaches by another, and ends on Ctrl-C", async () => {
    await using app = await ComposeProject.make(suite.daemon, {
      "compose.yaml": withRules("{ path: ./src, target: /app, action: sync }"),
      "src/a.py": "first",
    });
    const flags = ["compose", "-f", join(app.directory, "compose.yaml"), "up"];
    const up = startOnPty(suite.daemon.gantryCommand([...flags, "--menu"]));
    const plain = (): string => stripVTControlCharacters(up.output());
    const shows = (pattern: RegExp): Promise<void> =>
      eventually(() => pattern.test(plain()), { ...waiting, what: () => `${pattern} in ${plain()}` });
    await shows(/app-1 {2}\| up\r\n(.*\r)?w Enable Watch {3}d Detach$/);
    up.type("w");
    await shows(/Watch enabled\r\n.*w Disable Watch {3}d Detach$/);
    await app.write("src/a.py", "second");
    await eventually(async () => /a\.py/.test(await files(app)), { ...waiting, what: "the copy" });
    up.type("w");
    await shows(/Watch disabled\r\n.*w Enable Watch {3}d Detach$/);
    up.type("d");
    assert.equal(await up.wait(), 0);
    // What is left of the line: nothing.
    assert.ok(up.output().endsWith("\r\u001b[J"), JSON.stringify(up.output()));
    assert.match(await app.ok(["ps", "app"]), /Up/);

    const again = startOnPty(suite.daemon.gantryCommand(flags), { env: { COMPOSE_MENU: "1" } });
    await again.waitFor(/Detach/, waiting.timeoutMs);
    again.type("\u0003");
    assert.equal(await again.wait(), 130);
    assert.match(again.output(), /Gracefully stopping/);
    assert.doesNotMatch(await app.ok(["ps", "app"]), /Up/);
  });

  test("up --menu that a signal ends leaves the terminal as it was", async () => {
    await using app = await ComposeProject.make(suite.daemon, {
      "compose.yaml": withRules("{ path: ./src, target: /app, action: sync }"),
      "src/a.py": "first",
    });
    const command = ["compose", "-f", join(app.directory, "compose.yaml"), "up", "--menu"];
    const inner = `sh -c 'echo pid $$; exec "$@"' inner "$@"`;
    const script = `stty -g; ${inner}; echo ended $?; stty -g`;
    const shell = startOnPty(["sh", "-c", script, "outer", ...suite.daemon.gantryCommand(command)]);
    await shell.waitFor(/Detach/, waiting.timeoutMs);
    process.kill(Number(/pid (\d+)/.exec(shell.output())![1]), "SIGHUP");
    assert.equal(await shell.wait(), 0);
    const lines = stripVTControlCharacters(shell.output())
      .trim()
      .split(/\r?\n|\r/);
    assert.equal(lines.at(-2), `ended ${128 + constants.signals.SIGHUP}`, shell.output());
    assert.equal(lines.at(-1), lines[0]);
  });

  test("says what it cannot watch", async () => {
    await using app = await ComposeProject.make(suite.daemon, {
      "compose.yaml": withRules("{ path: ./none, action: sync, target: /app }"),
    });
    const none = await app.run(["watch"]);
    assert.equal(none.code, 1);
    assert.match(none.stderr, /none' is not there[^]*none of the selected services is configured for watch/);
    await app.write("compose.yaml", withRules("{ path: ., action: rebuild }"));
    assert.match(
      (await app.run(["watch"])).stderr,
      /can't watch service "app" with action rebuild without a build/,
    );
    // Nothing was started for it.
    assert.deepEqual(await app.ids(), {});
  });
});

describe("compose watch that builds", () => {
  // Builds leave their cache.
  const suite = useDaemon({ leaves: ["data-root", "exec-root"] });

  test("rebuild makes image and container anew, with up --watch, whose output goes on", async () => {
    await using app = await ComposeProject.make(suite.daemon, {
      "compose.yaml": `
services:
  app:
    build: .
    develop: { watch: [ { path: ., action: rebuild, ignore: [ notes ] } ] }
`,
      Dockerfile: `FROM ${busybox}\nCOPY word /word\nCMD ${service("echo the word is $(cat /word)")}\n`,
      word: "first\n",
      ".dockerignore": "ignored\n",
    });
    const watching = await startWatch(app, ["up", "--build", "--watch"]);
    await eventually(async () => /the word is first/.test(watching.stdout()), {
      ...waiting,
      what: "first words",
    });
    const { "shop-app-1": before } = await app.ids();
    await app.write("ignored", "nothing");
    await app.write("notes", "nothing");
    await app.write("word", "second\n");
    await eventually(async () => /the word is second/.test(watching.stdout()), {
      ...waiting,
      what: "second words",
    });
    assert.notEqual((await app.ids())["shop-app-1"], before);
    // A build that fails leaves the container as it is, and the next one comes.
    await app.write("Dockerfile", "FROM nowhere/nothing:none\n");
    await eventually(async () => /Error/.test(watching.stderr()), { ...waiting, what: "the failed build" });
    const { "shop-app-1": kept } = await app.ids();
    await app.write("Dockerfile", `FROM ${busybox}\nCMD ${service("echo mended")}\n`);
    await eventually(async () => /mended/.test(watching.stdout()), { ...waiting, what: "the mended build" });
    assert.notEqual((await app.ids())["shop-app-1"], kept);
    await end(watching);
  });
});

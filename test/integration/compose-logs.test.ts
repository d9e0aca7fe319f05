/** Output of a project that somebody watches: over restarts and containers made anew, each line once. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { ComposeProject, service } from "../helpers/compose.ts";
import { busybox } from "../helpers/images.ts";
import { eventually } from "../helpers/process.ts";
import { useDaemon } from "../helpers/suite.ts";

const waiting = { timeoutMs: 60_000 };
const count = (text: string, line: string): number => text.split(`${line}\n`).length - 1;

/** Fails six times with 200 numbered lines each, on both streams: the numbers go on over the runs. */
const counting = `
services:
  again:
    image: ${busybox}
    restart: on-failure:5
    volumes: [ ./count:/count ]
    command:
      - sh
      - -c
      - |
        n=$$(cat /count/n 2>/dev/null || echo 0)
        for i in $$(seq 1 200); do n=$$((n + 1)); echo line $$n; done
        echo $$n > /count/n
        exit 3
`;
const allLines = Array.from({ length: 1200 }, (_, index) => `line ${index + 1}`);
const numbered = (text: string): string[] => text.match(/line \d+$/gm) ?? [];

describe("compose logs -f and up in the foreground", () => {
  const suite = useDaemon();
  const project = async (file: string): Promise<ComposeProject> => {
    const app = await ComposeProject.make(suite.daemon, { "compose.yaml": file });
    await mkdir(join(app.directory, "count"));
    return app;
  };

  test("show every line of a container that its policy restarts, once, and each of its ends", async () => {
    for (const follow of [
      async (app: ComposeProject): Promise<string> => {
        await app.ok(["up", "-d"]);
        return await app.ok(["logs", "-f"]);
      },
      (app: ComposeProject): Promise<string> => app.ok(["up"]),
    ]) {
      await using app = await project(counting);
      const output = await follow(app);
      assert.deepEqual(numbered(output), allLines);
      // The command may begin to listen when some runs are over, but never behind the last one.
      assert.match(output, /line 1200\nagain-1 exited with code 3\n$/);
      await app.ok(["down"]);
    }
  });

  test("go on with what is restarted, made anew, added and started, and end when everything has ended", async () => {
    const file = (hello: string): string => `
services:
  web: { image: ${busybox}, command: ${service(`echo ${hello}`)} }
  all: { image: ${busybox}, command: ${service()} }
  new: { image: ${busybox}, command: ${service("echo new is up")}, profiles: [more] }
`;
    await using app = await project(file("hello"));
    await app.ok(["up", "-d"]);
    const logs = app.start(["logs", "-f"]);
    const attached = app.start(["up"]);
    const shows = (line: string, times = 1, programs = [logs, attached]): Promise<unknown> =>
      eventually(() => programs.every((program) => count(program.stdout(), line) === times), {
        ...waiting,
        what: `${line} (${times} times)`,
      });
    await shows("web-1  | hello", 1, [logs]);
    await eventually(() => attached.stdout().includes("Attaching to all-1, web-1"), {
      ...waiting,
      what: "the foreground",
    });
    // Somebody else works on the project meanwhile.
    await app.ok(["--profile", "more", "up", "-d", "--scale", "web=2"]);
    await shows("web-2  | hello");
    await shows("new-1  | new is up", 1, [logs]);
    await app.ok(["restart", "web"]);
    await shows("web-1 exited with code 0");
    await shows("web-2  | hello", 2);
    await app.write("compose.yaml", file("hello again"));
    await app.ok(["up", "-d", "--scale", "web=2"]);
    await shows("web-1 has been recreated");
    await shows("web-1  | hello again");
    await app.ok(["--profile", "more", "down", "-t", "5"]);
    assert.equal((await logs.wait(60_000)).code, 0);
    assert.equal((await attached.wait(60_000)).code, 0);
    await shows("web-1  | hello", 2, [logs]);
    await shows("web-2  | hello", 2);
    await shows("web-2  | hello again");
    await shows("web-2 exited with code 0", 3);
    assert.doesNotMatch(attached.stdout(), /new/);
  });

  test("listen to a container whose driver keeps nothing where it runs, over restarts", async () => {
    await using app = await project(`
services:
  mute:
    image: ${busybox}
    logging: { driver: none }
    restart: on-failure:2
    command: ["sh", "-c", "while ! rm /count/go; do sleep 0.1; done 2>/dev/null; echo said; exit 3"]
    volumes: [ ./count:/count ]
`);
    const up = app.start(["up"]);
    for (let run = 1; run <= 3; run++) {
      await eventually(async () => (await app.ok(["ps", "--format", "{{.State}}"])).trim() === "running", {
        ...waiting,
        what: `run ${run}`,
      });
      await app.write("count/go", "");
      await eventually(() => count(up.stdout(), "mute-1 exited with code 3") === run, {
        ...waiting,
        what: `the end of run ${run}`,
      });
    }
    assert.equal((await up.wait(60_000)).code, 0);
    // Of a later run that is listened to only once it has begun, what it says before that can be had nowhere.
    assert.match(up.stdout(), /^Attaching to mute-1\nmute-1 {2}\| said\nmute-1 exited with code 3\n/);
    await app.ok(["down"]);
    // One that has ended again before it can be listened to.
    await app.write(
      "compose.yaml",
      `services:
  short: { image: ${busybox}, logging: { driver: none }, restart: "on-failure:3", command: ["sh", "-c", "exit 3"] }`,
    );
    const short = app.start(["up"]);
    assert.equal((await short.wait(60_000)).code, 0);
    assert.equal(count(short.stdout(), "short-1 exited with code 3"), 4);
  });

  test("end when a policy's restart is given up or taken back, of which no event tells", async () => {
    // Each takes away what its next start needs.
    const job = (name: string, policy: string): string => `
  ${name}:
    image: ${busybox}
    restart: ${policy}
    command: ["sh", "-c", "echo ${name}; rmdir /count/${name}; exit 3"]
    volumes:
      - ./count:/count
      - { type: bind, source: ./count/${name}, target: /own, bind: { create_host_path: false } }
`;
    await using app = await project(`services:${job("few", '"on-failure:1"')}${job("always", "always")}`);
    await mkdir(join(app.directory, "count/few"));
    await mkdir(join(app.directory, "count/always"));
    const up = app.start(["up"]);
    for (const name of ["few", "always"]) {
      await eventually(() => count(up.stdout(), `${name}-1 exited with code 3`) === 1, {
        ...waiting,
        what: `the end of ${name}`,
      });
    }
    const logs = app.start(["logs", "-f", "always"]);
    await eventually(() => count(logs.stdout(), "always-1  | always") === 1, { ...waiting, what: "the log" });
    const id = (await app.ids())["shop-always-1"]!;
    const state = async (): Promise<string> =>
      (await suite.daemon.dockerOk(["inspect", "-f", "{{.State.Status}}", id])).trim();
    await eventually(async () => (await state()) === "restarting", { ...waiting, what: "the back-off" });
    await suite.daemon.dockerOk(["kill", id]);
    assert.equal((await logs.wait(60_000)).code, 0);
    assert.equal((await up.wait(60_000)).code, 0);
    assert.equal(await state(), "exited");
  });

  test("up tells of a container that ends while others are made anew, before it can be listened to", async () => {
    const file = (slow: string): string => `
services:
  job:
    image: ${busybox}
    command: ["sh", "-c", "echo before; while ! [ -e /count/end ]; do sleep 0.1; done; echo last; echo words >&2; exit 4"]
    volumes: [ ./count:/count ]
  slow:
    image: ${busybox}
    command: ${slow}
    stop_grace_period: 2m
    volumes: [ ./count:/count ]
`;
    const slow = `["sh", "-c", "trap 'touch /count/told; until [ -e /count/go ]; do sleep 0.1; done; exit' TERM; while :; do sleep 0.1; done"]`;
    await using app = await project(file(slow));
    await app.ok(["up", "-d"]);
    const said = async (): Promise<boolean> => (await app.ok(["logs", "job"])).includes("before");
    await eventually(said, { ...waiting, what: "what the job says first" });
    await app.write("compose.yaml", file(`["echo", "anew"]`));
    const up = app.start(["up"]);
    const told = join(app.directory, "count/told");
    await eventually(() => existsSync(told), { ...waiting, what: "the stop of what is made anew" });
    await app.write("count/end", "");
    await eventually(
      async () => (await app.ok(["ps", "-a", "--format", "{{.State}}", "job"])).trim() === "exited",
      {
        ...waiting,
        what: "the end of the job",
      },
    );
    await app.write("count/go", "");
    assert.equal((await up.wait(60_000)).code, 0);
    // What it has said since is in its log; what it said before up is not for up to show.
    assert.match(up.stdout(), /job-1 +\| last\n[^]*job-1 exited with code 4\n/);
    assert.deepEqual([count(up.stdout(), "| last"), count(up.stderr(), "| words")], [1, 1]);
    assert.doesNotMatch(up.stdout(), /before/);
    assert.match(up.stdout(), /slow-1 {2}\| anew\n[^]*slow-1 exited with code 0\n/);
  });

  test("show the lines of short runs, once, with their times and where somebody else makes the containers", async () => {
    await using app = await project(`
services:
  job: { image: ${busybox}, command: ["echo", "done"] }
  web: { image: ${busybox}, command: ${service("echo web")} }
`);
    const ended = /^Attaching to job-1\njob-1 {2}\| [\dT:.-]+Z done\njob-1 exited with code 0\n$/;
    for (let run = 1; run <= 6; run++)
      assert.match(await app.ok(["up", "--timestamps", "job"]), ended, `run ${run}`);
    await app.ok(["up", "-d", "web"]);
    const logs = app.start(["logs", "-f"]);
    const lines = (): number => count(logs.stdout(), "job-1  | done");
    await eventually(() => lines() === 6 && count(logs.stdout(), "web-1  | web") === 1, {
      ...waiting,
      what: "what there is",
    });
    for (let run = 1; run <= 6; run++) {
      await app.ok(["up", "-d", "job", ...(run % 2 === 0 ? ["--force-recreate"] : [])]);
      await eventually(() => count(logs.stdout(), "job-1 exited with code 0") === run, {
        ...waiting,
        what: `the end of run ${run}`,
      });
      assert.equal(lines(), 6 + run, logs.stdout());
    }
    await app.ok(["down"]);
    assert.equal((await logs.wait(60_000)).code, 0);
  });

  test("show a long line between lines of the other stream, and words without an end, once a run", async () => {
    const xs = `head -c 20000 /dev/zero | tr '\\0' x`;
    await using app = await project(`
services:
  long:
    image: ${busybox}
    restart: on-failure:2
    command: ["sh", "-c", ${JSON.stringify(`${xs}; sleep 0.2; echo between >&2; sleep 0.2; ${xs}; echo; exit 3`)}]
  open:
    image: ${busybox}
    restart: on-failure:2
    command: ["sh", "-c", "echo first; printf 'no end'; exit 3"]
  web: { image: ${busybox}, command: ${service("echo web")} }
`);
    await app.ok(["up", "-d", "web"]);
    const following = app.start(["logs", "-f"]);
    await eventually(() => count(following.stdout(), "| web") === 1, { ...waiting, what: "the log" });
    await app.ok(["up", "-d"]);
    const ends = (name: string): number => count(following.stdout(), `${name}-1 exited with code 3`);
    await eventually(() => ends("long") === 3 && ends("open") === 3, {
      ...waiting,
      what: () => `the ends in ${following.stdout()}`,
    });
    await app.ok(["down"]);
    const { code, stdout, stderr } = await following.wait(60_000);
    assert.equal(code, 0, stderr);
    const said = (name: string): string[] =>
      stdout.split("\n").flatMap((line) => {
        const [, text] = line.split(new RegExp(`^${name}-1 +\\| `));
        return text === undefined ? [] : [text.replace(/x+/g, (each) => `${each.length} x`)];
      });
    assert.deepEqual(said("long"), ["between", "40000 x", "between", "40000 x", "between", "40000 x"]);
    assert.deepEqual(said("open"), ["first", "no end", "first", "no end", "first", "no end"]);
  });

  test("up waits for what was asked for, and stops the others when it is to", async () => {
    await using app = await project(`
services:
  job: { image: ${busybox}, command: ["sh", "-c", "echo job; exit 4"], depends_on: [web] }
  web: { image: ${busybox}, command: ${service("trap 'exit 3' TERM; echo web")} }
`);
    const job = await app.run(["up", "job"]);
    assert.deepEqual(
      [job.code, job.stdout],
      [0, "Attaching to job-1\njob-1  | job\njob-1 exited with code 4\n"],
    );
    assert.match(await app.ok(["ps", "web"]), /Up/, "what it depends on goes on");
    const from = await app.run(["up", "--exit-code-from", "web", "--attach", "job"]);
    assert.equal(from.code, 3);
    assert.match(from.stdout, /^Attaching to job-1\njob-1 {2}\| job\njob-1 exited with code 4\n$/);
    assert.match(from.stderr, /Aborting on container exit\.\.\.\n[^]*Container shop-web-1 {2}Stopped/);
    const abort = await app.run(["up", "--abort-on-container-exit"]);
    assert.equal(abort.code, 4);
    assert.match(abort.stdout, /job-1 exited with code 4\n/);
    const unseen = await app.run(["up", "--no-attach", "job", "--exit-code-from", "job"]);
    assert.equal(unseen.code, 4);
    assert.doesNotMatch(unseen.stdout, /job/);
    const nobody = await app.run(["up", "--attach", "nobody"]);
    assert.deepEqual([nobody.code, nobody.stdout], [1, ""]);
    assert.match(nobody.stderr, /cannot attach to services not included in up: nobody/);
    await app.ok(["down"]);
  });
});

/** gantry's own command line: the same flows, the same output as Docker's, byte for byte where both can be asked. */
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { flavour, gantryProgram, repositoryRoot, TestDaemon } from "../helpers/daemon.ts";
import { busybox, ensureBusybox } from "../helpers/images.ts";
import { eventually, run } from "../helpers/process.ts";
import { startOnPty } from "../helpers/pty.ts";
import { useDaemon } from "../helpers/suite.ts";
import { openTestHost } from "../helpers/test-host.ts";

const skip = flavour === "docker";

describe("gantry's command line", { skip }, () => {
  const suite = useDaemon();
  const gantry = (...args: string[]): ReturnType<typeof suite.daemon.gantry> => suite.daemon.gantry(args);

  /** Standard output of a command that must succeed. */
  async function ok(...args: string[]): Promise<string> {
    const result = await gantry(...args);
    assert.equal(result.code, 0, `gantry ${args.join(" ")}: ${result.stderr}`);
    return result.stdout.trimEnd();
  }

  const codes: [string[], number, RegExp][] = [
    [["true"], 0, /^$/],
    [["sh", "-c", "exit 3"], 3, /^$/],
    [["no-such-program"], 127, /executable file not found|no such file/i],
    [["/etc"], 126, /permission denied|is a directory/i],
  ];
  for (const [command, code, stderr] of codes) {
    test(`run ${command.join(" ")} exits with ${code}`, async () => {
      const result = await gantry("run", "--rm", busybox, ...command);
      assert.equal(result.code, code);
      assert.match(result.stderr, stderr);
    });
  }

  test("run exits with 125 for what it refuses", async () => {
    assert.equal((await gantry("run", "--no-such-flag", busybox)).code, 125);
    assert.equal((await gantry("run", "--network", "nonet", busybox, "true")).code, 125);
  });

  test("run: streams apart, input, both letters of -ti, -d=false, flags after the image are the program's", async () => {
    const split = await gantry("run", "--rm", "-d=false", busybox, "sh", "-c", "echo out; echo err >&2");
    assert.deepEqual([split.stdout, split.stderr], ["out\n", "err\n"]);
    const input = await suite.daemon.gantry(["run", "--rm", "-i", busybox, "cat"], { input: "through" });
    assert.equal(input.stdout, "through");
    assert.equal(await ok("run", "--rm", busybox, "echo", "-d", "--rm"), "-d --rm");
  });

  test("run -it on a terminal: size, resize, ctrl-c, exit code", async () => {
    const script = "trap 'exit 9' INT; sleep 0.3; stty size; while :; do sleep 0.1; stty size; done";
    const command = suite.daemon.gantryCommand(["run", "--rm", "-ti", busybox, "sh", "-c", script]);
    const terminal = startOnPty(command, { rows: 28, columns: 88 });
    await terminal.waitFor(/28 88/);
    terminal.resize(41, 133);
    await terminal.waitFor(/41 133/);
    terminal.type("\u0003");
    assert.equal(await terminal.wait(), 9);
  });

  test("detach keys, attach again", async () => {
    const start = suite.daemon.gantryCommand(["run", "-it", "--name", "left", busybox, "sh"]);
    const terminal = startOnPty(start);
    await terminal.waitFor(/# /);
    terminal.type("\u0010\u0011");
    assert.equal(await terminal.wait(), 0);
    assert.equal(await ok("inspect", "-f", "{{.State.Running}}", "left"), "true");
    const again = startOnPty(suite.daemon.gantryCommand(["attach", "left"]));
    await again.waitFor(/# /);
    again.type("exit 5\n");
    assert.equal(await again.wait(), 5);
  });

  test("create, start, stop, restart, kill, wait, rename, top, logs, rm", async () => {
    const script = "trap 'exit 7' TERM; echo up; while :; do sleep 0.05; done";
    assert.match(await ok("create", "--name", "box", busybox, "sh", "-c", script), /^[0-9a-f]{64}$/);
    assert.equal(await ok("start", "box"), "box");
    await eventually(async () => (await ok("logs", "box")) === "up");
    assert.match(await ok("top", "box"), /^UID\s+PID/);
    assert.equal(await ok("restart", "box"), "box");
    await eventually(async () => (await ok("logs", "box")) === "up\nup");
    assert.equal(await ok("stop", "box"), "box");
    assert.equal(await ok("wait", "box"), "7");
    await ok("rename", "box", "fox");
    await ok("start", "fox");
    assert.equal(await ok("kill", "-s", "KILL", "fox"), "fox");
    assert.equal(await ok("wait", "fox"), "137");
    assert.equal(await ok("rm", "fox"), "fox");
    const missing = await gantry("rm", "fox");
    assert.equal(missing.code, 1);
    assert.match(missing.stderr, /No such container: fox/);
  });

  test("exec: code, input, user, directory, detached", async () => {
    await ok("run", "-d", "--name", "box", busybox, "sleep", "60");
    assert.equal((await gantry("exec", "box", "sh", "-c", "exit 4")).code, 4);
    assert.equal((await gantry("exec", "box", "no-such")).code, 127);
    const input = await suite.daemon.gantry(["exec", "-i", "box", "cat"], { input: "in" });
    assert.equal(input.stdout, "in");
    assert.match(await ok("exec", "-u", "1", "-w", "/etc", "box", "sh", "-c", "id -u; pwd"), /^1\n\/etc$/);
    assert.equal(await ok("exec", "-d", "box", "touch", "/proof"), "");
    await eventually(async () => (await gantry("exec", "box", "ls", "/proof")).code === 0);
  });

  test("images: tag, history, save and load, import, rmi", async () => {
    const archive = join(suite.daemon.root, "saved.tar");
    await ok("tag", busybox, "local/copy:1");
    assert.match(await ok("history", "local/copy:1"), /^IMAGE\s+CREATED\s+CREATED BY\s+SIZE\s+COMMENT\n/);
    await ok("save", "-o", archive, "local/copy:1");
    assert.equal(await ok("rmi", "local/copy:1"), "Untagged: local/copy:1");
    assert.equal(await ok("load", "-i", archive), "Loaded image: local/copy:1");
    await ok("rmi", "local/copy:1");
    await rm(archive);
  });

  test("events as they happen", async () => {
    const { daemon } = suite;
    const since = (Date.now() / 1000).toFixed(3);
    await ok("run", "--rm", busybox, "true");
    const until = (Date.now() / 1000 + 0.1).toFixed(3);
    const flags = ["--since", since, "--until", until, "--filter", "type=container"];
    const ours = await ok("events", ...flags, "--format", "{{.Action}}");
    assert.equal(ours, await daemon.dockerOk(["events", ...flags, "--format", "{{.Action}}"]));
    assert.match(ours, /^create\nattach\nstart\ndie\ndestroy$/);
  });

  // Docker's own client is asked the same; its answer is what is expected.
  const same: string[][] = [
    ["ps", "-a"],
    ["ps", "-a", "--no-trunc"],
    ["ps", "-aq"],
    [
      "ps",
      "-a",
      "--format",
      "{{.Names}}|{{.Image}}|{{.Command}}|{{.State}}|{{.Ports}}|{{.Networks}}|{{.Labels}}",
    ],
    ["ps", "-a", "--format", "table {{.Names}}\t{{.Status}}"],
    ["ps", "-a", "--filter", "label=k=v", "-q"],
    ["container", "ls", "-a", "--format", "{{.ID}}"],
    ["images"],
    ["images", "--no-trunc", "--digests"],
    ["image", "ls", "-q"],
    ["images", "--format", "{{.Repository}}:{{.Tag}} {{.Size}}"],
    ["history", "--no-trunc", busybox],
    ["history", "-q", busybox],
    ["port", "web"],
    ["inspect", "-f", "{{json .Config}}", "web"],
    ["inspect", "-f", "{{.Config}}", "web"],
    ["inspect", "-f", "{{.Config.ExposedPorts}} {{.Config.StopTimeout}}", "done"],
    ["inspect", "-f", "{{.Name}} {{range .Mounts}}{{.Source}}{{end}} {{len .Args}}", "web"],
    ["inspect", "-f", '{{index .Config.Labels "k"}}', "web"],
    ["image", "inspect", "-f", "{{.Id}} {{.RepoTags}} {{.Os}}/{{.Architecture}}", busybox],
    // The whole object differs by the fields that Docker dropped after the version that its own client speaks.
    ["inspect", "-f", "{{json .State}}", "web"],
    ["inspect", "-f", "{{json .HostConfig}}", "web"],
    ["inspect", "-f", "{{json .NetworkSettings.Networks}}", "web"],
    ["logs", "done"],
    ["logs", "-t", "done"],
    ["top", "web", "-o", "comm"],
    ["info", "--format", "{{.Driver}} {{.Containers}} {{.CgroupVersion}}"],
    ["version", "--format", "{{.Server.APIVersion}}"],
    ["inspect", "nobody"],
    ["inspect", "-f", "{{.Id}}", "nobody"],
    ["logs", "nobody"],
    ["rm", "nobody"],
    ["rmi", "nobody"],
  ];
  test("shows what Docker's command line shows", async () => {
    const { daemon } = suite;
    const flags = ["--name", "web", "--label", "k=v", "-p", "127.0.0.1:18700:80"];
    await daemon.dockerOk(["run", "-d", ...flags, busybox, "sleep", "60"]);
    await daemon.dockerOk(["run", "--name", "done", busybox, "echo", "a line"]);
    const differences: string[] = [];
    for (const command of same) {
      const [theirs, ours] = [await daemon.docker(command), await daemon.gantry(command)];
      for (const what of ["stdout", "stderr", "code"] as const)
        if (!isSame(withoutAges(ours[what]), withoutAges(theirs[what])))
          differences.push(
            `${command.join(" ")}: ${what} is ${JSON.stringify(ours[what])}, Docker's ${JSON.stringify(theirs[what])}`,
          );
    }
    assert.deepEqual(differences, []);
  });

  test("tables, as golden transcripts", async () => {
    const { daemon } = suite;
    await daemon.dockerOk(["run", "-d", "--name", "web", "-p", "127.0.0.1:18701:80", busybox, "sleep", "60"]);
    await daemon.docker(["run", "--name", "failed", busybox, "sh", "-c", "exit 3"]);
    const tables: Record<string, string[]> = {
      ps: ["ps"],
      "ps-all": ["ps", "-a"],
      images: ["images"],
      history: ["history", busybox],
      port: ["port", "web"],
    };
    for (const [name, command] of Object.entries(tables))
      golden(name, `$ gantry ${command.join(" ")}\n${await ok(...command)}\n`);
  });
});

/** An age such as "9 seconds ago" may change between two commands, and with it the width of its column. */
function withoutAges(output: string | number): string | number {
  if (typeof output === "number") return output;
  return output
    .replaceAll(/(?:Less than a|About a|\d+) (?:second|minute)s?(?: ago)?/g, "AGE")
    .replaceAll(/AGE +/g, "AGE  ")
    .replaceAll(/(CREATED|STATUS) +/g, "$1  ");
}

/** JSON is the same in any order of its keys. */
function isSame(ours: string | number, theirs: string | number): boolean {
  const isJson = typeof ours === "string" && typeof theirs === "string" && /^(\[|\{")/.test(ours);
  return isJson ? isDeepStrictEqual(JSON.parse(ours), JSON.parse(theirs)) : ours === theirs;
}

/** Compares with test/fixtures/golden/tables/NAME.txt; `UPDATE_GOLDEN=1` writes it. Ids, ages and sizes are masked. */
function golden(name: string, text: string): void {
  const masked = text
    .replaceAll(/\b[0-9a-f]{12}\b/g, "ID__________")
    .replaceAll(
      /(Less than a second|About a minute|\d+ (?:seconds?|minutes?|hours?|days?|weeks?|months?|years?)) ago/g,
      "AGE ago",
    )
    .replaceAll(/Up (Less than a second|\d+ seconds?|About a minute)/g, "Up AGE")
    .replaceAll(/\d+(\.\d+)?(kB|MB)/g, "SIZE")
    .replaceAll(/ {2,}/g, "  ");
  const path = join(repositoryRoot, "test/fixtures/golden/tables", `${name}.txt`);
  if (process.env["UPDATE_GOLDEN"] === "1") {
    mkdirSync(join(path, ".."), { recursive: true });
    writeFileSync(path, masked);
  }
  assert.equal(masked, readFileSync(path, "utf8"));
}

describe("gantry without a daemon", { skip }, () => {
  test("the first command starts one, the next use it, at its default places", async () => {
    await using host = await openTestHost();
    // The default directories of this host are its own.
    for (const directory of ["/run", "/var/lib/gantry"])
      await host.run(["sh", "-c", `mkdir -p ${directory} && mount -t tmpfs none ${directory}`]);
    const environment = { env: { DOCKER_HOST: undefined, GANTRY_HOST: undefined }, timeoutMs: 60_000 };
    const first = await host.run([gantryProgram, "run", "--rm", busybox, "echo", "hello"], environment);
    assert.equal(first.stdout, "hello\n", first.stderr);
    const pid = (await host.run(["cat", "/run/gantry/gantry.pid"])).stdout.trim();
    try {
      const again = await host.run([gantryProgram, "run", "--rm", busybox, "echo", "again"], environment);
      assert.equal(again.stdout, "again\n", again.stderr);
      assert.equal((await host.run(["cat", "/run/gantry/gantry.pid"])).stdout.trim(), pid);
      const named = await host.run([gantryProgram, "-H", "unix:///run/nobody.sock", "ps"], environment);
      assert.equal(named.code, 1);
      assert.match(named.stderr, /\/run\/nobody\.sock/);
    } finally {
      process.kill(Number(pid), "SIGTERM");
      await eventually(async () => (await run(["kill", "-0", pid])).code !== 0, { what: "the daemon's end" });
    }
  });
});

describe("image bootstrap", { skip }, () => {
  test(
    "makes a Debian image from a mirror, that is configured as the official one",
    { timeout: 240_000 },
    async () => {
      await using daemon = await TestDaemon.start();
      await ensureBusybox(daemon);
      const made = await daemon.gantry(["image", "bootstrap", "debian:bookworm"], { timeoutMs: 200_000 });
      assert.equal(made.code, 0, made.stderr);
      const info = await daemon.client.getImage("debian:bookworm").inspect();
      assert.deepEqual(info.Config.Cmd, ["bash"]);
      assert.deepEqual(info.Config.Env, [
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      ]);
      const release = await daemon.dockerOk([
        "run",
        "--rm",
        "debian:bookworm",
        "bash",
        "-c",
        ". /etc/os-release; echo $VERSION_CODENAME; dpkg -l | grep -c ^ii",
      ]);
      assert.match(release, /^bookworm\n\d{2,3}$/);
      assert.match(await daemon.dockerOk(["history", "debian:bookworm"]), /\d+(\.\d+)?MB/);
    },
  );

  test("refuses what it cannot make, and leaves nothing", async () => {
    await using daemon = await TestDaemon.start();
    const result = await daemon.gantry(["image", "bootstrap", "--suite", "no-such-suite", "debian:none"], {
      timeoutMs: 60_000,
    });
    assert.notEqual(result.code, 0);
    assert.match(result.stderr, /no-such-suite/);
    assert.equal(await daemon.dockerOk(["images", "-q"]), "");
  });
});

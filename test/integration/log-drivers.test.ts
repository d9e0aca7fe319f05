/** Log drivers: json-file with its options, local, syslog, none; the daemon's own choice; over kills of the daemon. */
import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { TestDaemon } from "../helpers/daemon.ts";
import { busybox, ensureBusybox } from "../helpers/images.ts";
import { eventually } from "../helpers/process.ts";
import { useDaemon } from "../helpers/suite.ts";

interface JsonLine {
  readonly log: string;
  readonly stream: string;
  readonly attrs?: Record<string, string>;
  readonly time: string;
}

async function logPath(daemon: TestDaemon, name: string): Promise<string> {
  return daemon.dockerOk(["inspect", "-f", "{{.LogPath}}", name]);
}

/** Once the container has ended: the lines of its json-file. */
async function jsonLines(daemon: TestDaemon, name: string): Promise<JsonLine[]> {
  const path = await logPath(daemon, name);
  await eventually(() => !existsSync(join(dirname(path), "container.log")), {
    what: "the log to be carried",
  });
  return readFileSync(path, "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as JsonLine);
}

const withOptions = (...options: string[]): string[] => options.flatMap((option) => ["--log-opt", option]);

describe("json-file", () => {
  const suite = useDaemon();
  const run = (...args: string[]): Promise<unknown> => suite.daemon.docker(["run", "--name", "box", ...args]);

  test("LogPath has Docker's lines, while it runs and after", async () => {
    const { daemon } = suite;
    const script = "echo out; echo err >&2; sleep 300";
    const id = await daemon.dockerOk(["run", "-d", "--name", "box", busybox, "sh", "-c", script]);
    const path = await logPath(daemon, "box");
    assert.equal(path, join(daemon.dataRoot, "containers", id, `${id}-json.log`));
    await eventually(() => readFileSync(path, "utf8").split("\n").length === 3);
    await daemon.dockerOk(["stop", "-t", "0", "box"]);
    const lines = await jsonLines(daemon, "box");
    assert.deepEqual(
      lines.map(({ log, stream }) => [stream, log]),
      [
        ["stdout", "out\n"],
        ["stderr", "err\n"],
      ],
    );
    for (const { time } of lines) assert.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$/);
    assert.deepEqual(Object.keys(lines[0] ?? {}), ["log", "stream", "time"]);
    const { stdout } = await daemon.host.run(["stat", "-c", "%a", path]);
    assert.equal(stdout.trim(), "640");
  });

  test("labels, env and tag are on each line, and shown by --details", async () => {
    const { daemon } = suite;
    const options = withOptions(
      "labels=team",
      "labels-regex=^com[.]x",
      "env=A",
      "tag={{.Name}}/{{.ImageName}}",
    );
    const said = ["--label", "team=red", "--label", "com.x.a=1", "-e", "A=b c", "-e", "B=no"];
    await run(...said, ...options, busybox, "echo", "hi");
    const [line] = await jsonLines(daemon, "box");
    assert.deepEqual(line?.attrs, { A: "b c", "com.x.a": "1", tag: `box/${busybox}`, team: "red" });
    assert.deepEqual(Object.keys(line ?? {}), ["log", "stream", "attrs", "time"]);
    assert.equal(
      await daemon.dockerOk(["logs", "--details", "box"]),
      "A=b+c,com.x.a=1,tag=box%2Fgantry%2Fbusybox,team=red hi",
    );
    assert.equal(await daemon.dockerOk(["logs", "box"]), "hi");
  });

  test("rotates: max-size, max-file, compress; logs reads all that is left", async () => {
    const { daemon } = suite;
    const options = withOptions("max-size=10k", "max-file=3", "compress=true");
    await run(...options, busybox, "seq", "1", "1000");
    await jsonLines(daemon, "box");
    const path = await logPath(daemon, "box");
    const name = path.slice(path.lastIndexOf("/") + 1);
    await eventually(() => existsSync(`${path}.1.gz`) && existsSync(`${path}.2.gz`));
    const files = readdirSync(dirname(path)).filter((file) => file.startsWith(name));
    assert.deepEqual(files.sort(), [name, `${name}.1.gz`, `${name}.2.gz`]);
    const size = gunzipSync(readFileSync(`${path}.1.gz`)).length;
    assert.ok(size >= 10_000 && size < 11_000, `${size} bytes`);
    const lines = (await daemon.dockerOk(["logs", "box"])).split("\n").map(Number);
    assert.equal(lines.at(-1), 1000);
    assert.ok(lines.length > 200 && lines.length < 1000);
    assert.ok(lines.every((line, index) => line === 1001 - lines.length + index));
    const tail = (await daemon.dockerOk(["logs", "--tail", "250", "box"])).split("\n").map(Number);
    assert.deepEqual([tail.length, tail[0], tail.at(-1)], [250, 751, 1000]);
  });

  test("logs -f goes on over rotations and loses nothing", async () => {
    const { daemon } = suite;
    const script = "i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo line-$i; done; sleep 0.3; seq 1 500";
    const options = withOptions("max-size=20k", "max-file=50");
    await daemon.dockerOk([
      "create",
      "--name",
      "box",
      ...options,
      busybox,
      "sh",
      "-c",
      `sleep 0.5; ${script}`,
    ]);
    await daemon.dockerOk(["start", "box"]);
    const result = await daemon.docker(["logs", "-f", "box"], { timeoutMs: 60_000 });
    const lines = result.stdout.trimEnd().split("\n");
    assert.equal(lines.length, 3500);
    assert.ok(lines.slice(0, 3000).every((line, index) => line === `line-${index + 1}`));
    assert.equal(lines.at(-1), "500");
  });

  test("refused values name what is wrong, at create", async () => {
    const { daemon } = suite;
    const cases: [string[], RegExp][] = [
      [["--log-opt", "max-file=0"], /max-file cannot be less than 1/],
      [["--log-opt", "nope=1"], /unknown log opt 'nope' for json-file log driver/],
      [["--log-opt", "mode=odd"], /logger: logging mode not supported: odd/],
      [["--log-driver", "gelf"], /--log-driver gelf is not served/],
      [["--log-driver", "syslog", "--log-opt", "syslog-facility=x"], /invalid syslog facility/],
    ];
    for (const [flags, message] of cases) {
      const result = await daemon.docker(["create", ...flags, busybox, "true"]);
      assert.equal(result.code, 1);
      assert.match(result.stderr, message);
    }
  });

  test("a log of 100 MB is read without the daemon growing with it", async () => {
    const { daemon } = suite;
    const line = "x".repeat(99);
    const script = `yes ${line} | head -n 1000000`;
    await daemon.dockerOk(["run", "-d", "--name", "box", busybox, "sh", "-c", script]);
    await daemon.dockerOk(["wait", "box"], { timeoutMs: 120_000 });
    const memoryKb = async (): Promise<number> => {
      const { stdout } = await daemon.host.run(["grep", "VmHWM", `/proc/${daemon.pid}/status`]);
      return Number(/(\d+) kB/.exec(stdout)?.[1]);
    };
    await jsonPathReady(daemon);
    const before = await memoryKb();
    const { stdout } = await daemon.host.run(
      ["sh", "-c", `docker -H unix://${daemon.socket} logs box | wc -lc`],
      { timeoutMs: 120_000 },
    );
    assert.deepEqual(stdout.trim().split(/\s+/), ["1000000", "100000000"]);
    assert.ok((await memoryKb()) - before < 60_000, "the log's size went into memory");
  });

  async function jsonPathReady(daemon: TestDaemon): Promise<void> {
    const path = await logPath(daemon, "box");
    await eventually(() => !existsSync(join(dirname(path), "container.log")), { timeoutMs: 60_000 });
  }
});

describe("local, none and syslog", () => {
  const suite = useDaemon();

  test("local keeps every byte, rotates, has no LogPath", async () => {
    const { daemon } = suite;
    const script = "printf 'odd \\377\\376 bytes\\n'; echo err >&2; printf end";
    await daemon.docker(["run", "--name", "box", "--log-driver", "local", busybox, "sh", "-c", script]);
    const logs = await daemon.docker(["logs", "box"]);
    assert.equal(logs.stdoutBytes.toString("latin1"), "odd \u00ff\u00fe bytes\nend");
    assert.equal(logs.stderr, "err\n");
    assert.equal(await logPath(daemon, "box"), "");
    await daemon.dockerOk(["rm", "box"]);
    const options = ["--log-driver", "local", ...withOptions("max-size=10k", "max-file=3")];
    await daemon.docker(["run", "--name", "box", ...options, busybox, "seq", "1", "2000"]);
    const lines = (await daemon.dockerOk(["logs", "box"])).split("\n").map(Number);
    assert.ok(lines.length < 2000 && lines.every((line, index) => line === 2001 - lines.length + index));
    assert.equal(await daemon.dockerOk(["logs", "--tail", "3", "box"]), "1998\n1999\n2000");
  });

  test("none has nothing to read", async () => {
    const { daemon } = suite;
    assert.equal(
      await daemon.dockerOk(["run", "--name", "box", "--log-driver", "none", busybox, "echo", "seen"]),
      "seen",
    );
    const result = await daemon.docker(["logs", "box"]);
    assert.equal(result.code, 1);
    assert.match(result.stderr, /configured logging driver does not support reading/);
  });

  test("syslog by UDP: facility, format and tag; nothing to read", async () => {
    const { daemon } = suite;
    const port = await receiverOnHost(daemon);
    const options = withOptions(
      `syslog-address=udp://127.0.0.1:${port.number}`,
      "syslog-facility=local3",
      "syslog-format=rfc5424",
      "tag={{.Name}}",
    );
    const script = "echo out; echo err >&2";
    const flags = ["--name", "box", "--log-driver", "syslog", ...options];
    await daemon.dockerOk(["run", ...flags, busybox, "sh", "-c", script]);
    await eventually(() => port.lines().length === 2, { what: "two messages" });
    const messages = port.lines();
    await port.close();
    // local3 is 19; info 6, err 3 (RFC 5424, section 6.2.1).
    assert.match(messages[0] ?? "", /^<158>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ \S+ box \d+ box - out$/);
    assert.match(messages[1] ?? "", /^<155>1 .* box \d+ box - err$/);
    const result = await daemon.docker(["logs", "box"]);
    assert.match(result.stderr, /configured logging driver does not support reading/);
  });

  test("syslog that nobody serves: the start fails in Docker's words, and leaves nothing", async () => {
    const { daemon } = suite;
    const options = ["--log-driver", "syslog", ...withOptions("syslog-address=tcp://127.0.0.1:1")];
    const result = await daemon.docker(["run", "--name", "box", ...options, busybox, "true"]);
    assert.equal(result.code, 127 - 2);
    assert.match(result.stderr, /failed to initialize logging driver: .*ECONNREFUSED/);
  });

  test("syslog by a unix stream: all lines arrive, in order, over a server that is started anew", async () => {
    const { daemon } = suite;
    const path = join(daemon.root, "syslog.sock");
    let text = "";
    const open = (): Promise<{ close(): void }> =>
      new Promise((resolve) => {
        const sockets: { destroy(): void }[] = [];
        const server = createServer((socket) => {
          sockets.push(socket);
          socket.on("data", (chunk: Buffer) => (text += chunk.toString()));
        });
        server.listen(path, () =>
          resolve({
            close: () => {
              server.close();
              for (const socket of sockets) socket.destroy();
            },
          }),
        );
      });
    const first = await open();
    const options = ["--log-driver", "syslog", ...withOptions(`syslog-address=unix://${path}`)];
    const script = "echo one; sleep 1; echo two; sleep 300";
    await daemon.dockerOk(["run", "-d", "--name", "box", ...options, busybox, "sh", "-c", script]);
    await eventually(() => text.includes(": one\n"));
    first.close();
    const second = await open();
    await eventually(() => text.includes(": two\n"), { timeoutMs: 60_000, what: "the second line" });
    assert.equal(text.match(/: one\n/g)?.length, 1);
    second.close();
    await daemon.dockerOk(["rm", "-f", "box"]);
  });
});

interface Receiver {
  readonly number: number;
  lines(): string[];
  close(): Promise<void>;
}

/** A UDP receiver on the daemon's host: its network is not the test's. */
async function receiverOnHost(daemon: TestDaemon): Promise<Receiver> {
  const probe = createSocket("udp4");
  await new Promise<void>((resolve) => {
    probe.bind(0, "127.0.0.1", resolve);
  });
  const { port } = probe.address();
  probe.close();
  const script = `const s=require("node:dgram").createSocket("udp4");s.on("message",(m)=>process.stdout.write(m));s.bind(${port},"127.0.0.1",()=>process.stdout.write("ready\\n"))`;
  const program = daemon.host.start([process.execPath, "-e", script]);
  await program.waitForOutput(/ready/);
  return {
    number: port,
    lines: () =>
      program
        .stdout()
        .replace("ready\n", "")
        .split("\n")
        .filter((line) => line !== ""),
    async close() {
      program.process.kill("SIGTERM");
      await program.wait();
    },
  };
}

describe("the daemon's log driver", () => {
  let daemon: TestDaemon;
  before(async () => {
    const flags = ["--log-driver", "local", "--log-opt", "max-size=1m", "--log-opt", "max-file=2"];
    daemon = await TestDaemon.start({ flags });
    await ensureBusybox(daemon);
  });
  after(() => daemon[Symbol.asyncDispose]());

  test("holds for containers that choose none", async () => {
    await daemon.dockerOk(["create", "--name", "plain", busybox, "true"]);
    await daemon.dockerOk(["create", "--name", "more", "--log-opt", "max-file=4", busybox, "true"]);
    await daemon.dockerOk(["create", "--name", "other", "--log-driver", "json-file", busybox, "true"]);
    const config = (name: string): Promise<string> =>
      daemon.dockerOk(["inspect", "-f", "{{json .HostConfig.LogConfig}}", name]);
    assert.deepEqual(JSON.parse(await config("plain")), {
      Type: "local",
      Config: { "max-size": "1m", "max-file": "2" },
    });
    assert.deepEqual(JSON.parse(await config("more")), {
      Type: "local",
      Config: { "max-size": "1m", "max-file": "4" },
    });
    assert.deepEqual(JSON.parse(await config("other")), { Type: "json-file", Config: {} });
    assert.equal(await daemon.dockerOk(["info", "-f", "{{.LoggingDriver}}"]), "local");
  });
});

describe("logs over kills of the daemon", () => {
  let daemon: TestDaemon;
  before(async () => {
    daemon = await TestDaemon.start();
    await ensureBusybox(daemon);
  });
  after(() => daemon[Symbol.asyncDispose]());

  test("killed at any moment, no line is lost or doubled", async () => {
    const script = "i=0; while [ $i -lt 40000 ]; do i=$((i+1)); echo $i; done";
    for (const driver of ["json-file", "local"]) {
      const options = [
        "--log-driver",
        driver,
        ...withOptions("max-size=50k", "max-file=1000", "compress=true"),
      ];
      await daemon.dockerOk(["run", "-d", "--name", driver, ...options, busybox, "sh", "-c", script]);
    }
    for (let kills = 0; kills < 6; kills++) {
      await daemon.host.run(["sleep", `0.${1 + kills}`]);
      await daemon.killHard();
      await daemon.launch();
    }
    await daemon.dockerOk(["wait", "json-file", "local"], { timeoutMs: 60_000 });
    for (const driver of ["json-file", "local"]) {
      const lines = (await daemon.dockerOk(["logs", driver], { timeoutMs: 60_000 })).split("\n").map(Number);
      assert.equal(lines.length, 40_000, driver);
      assert.ok(
        lines.every((line, index) => line === index + 1),
        driver,
      );
    }
  });

  for (const point of ["log.before-note", "log.before-rotation", "log.after-rotation"])
    test(`killed at ${point}`, async () => {
      await daemon.stop();
      await daemon.launch({ GANTRY_FAILPOINTS: `${point}=exit` });
      const options = withOptions("max-size=2k", "max-file=100");
      const script = "sleep 0.3; seq 1 200";
      await daemon.docker(["run", "-d", "--name", point, ...options, busybox, "sh", "-c", script]);
      await daemon.gone();
      await daemon.launch();
      await daemon.dockerOk(["wait", point]);
      const lines = (await daemon.dockerOk(["logs", point])).split("\n").map(Number);
      assert.deepEqual(
        lines,
        Array.from({ length: 200 }, (_, index) => index + 1),
      );
    });
});

/**
 * No memory: the daemon in a control group with little of it, with a small heap. What one client asks, sends or does not
 * read must not end it; a child that the kernel kills for memory fails its request alone; and when the kernel kills the
 * daemon itself, containers go on and the next daemon finds them.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { after, afterEach, before, describe, test } from "node:test";
import { createGzip } from "node:zlib";
import { TestDaemon } from "../helpers/daemon.ts";
import { assertAtRest } from "../helpers/faults.ts";
import { busybox, ensureBusybox } from "../helpers/images.ts";
import { assertNoLeaks, takeSettledSnapshot, type Snapshot } from "../helpers/leak-check.ts";
import { MemoryGroup } from "../helpers/memory-group.ts";
import { eventually, mustRun, type RunResult } from "../helpers/process.ts";

const patient = { timeoutMs: 120_000 };
const slow = { timeoutMs: 120_000 };
const mebibyte = 1024 * 1024;
/** Far more than the daemon needs, and far less than what is sent to it here and asked of it. */
const limitBytes = 320 * mebibyte;
const heapMebibytes = 128;
const manyMebibytes = 300;

describe("with little memory", { skip: process.env["GANTRY_TEST_ENGINE"] === "docker" }, () => {
  const group = new MemoryGroup(`gantry-test-memory-${process.pid}`);
  let daemon: TestDaemon;
  let programs = "";
  let baseline: Snapshot;
  const clients: Socket[] = [];

  const ok = (...args: string[]): Promise<string> => daemon.dockerOk(args, patient);
  const docker = (...args: string[]): Promise<RunResult> => daemon.docker(args, patient);

  before(async () => {
    programs = await mkdtemp(join(tmpdir(), "gantry-test-programs-"));
    const { stdout: crun } = await mustRun(["sh", "-c", "command -v crun || command -v runc"]);
    // A runtime that needs more memory than there is, when told so; the kernel shall take it before the daemon.
    const script = `#!/bin/sh
for word in "$@"; do case $word in create|start|exec|delete|kill) verb=$word; break;; esac; done
if [ -e ${programs}/hungry-$verb ]; then echo 1000 >/proc/self/oom_score_adj; exec tail /dev/zero; fi
exec ${crun.trim()} "$@"
`;
    await writeFile(join(programs, "hungry"), script, { mode: 0o755 });
    await group.make(limitBytes);
    daemon = await TestDaemon.start({
      flags: ["--add-runtime", `hungry=${join(programs, "hungry")}`],
      env: { NODE_OPTIONS: `--max-old-space-size=${heapMebibytes}` },
    });
    await group.take(daemon.pid);
    await ensureBusybox(daemon);
    await ok("run", "--rm", "--runtime", "hungry", busybox, "true");
    await ok("run", "-d", "--name", "warm", busybox, "sleep", "60");
    await ok("exec", "warm", "true");
    await daemon.removeContainers();
    baseline = await takeSettledSnapshot(daemon);
  });
  afterEach(async () => {
    for (const client of clients.splice(0)) client.destroy();
    assert.ok(daemon.running, `the daemon ended:\n${(await daemon.log()).slice(-3_000)}`);
    await daemon.removeContainers();
    await assertNoLeaks(daemon, baseline, {
      settleMs: 60_000,
      ignore: ["data-root", "exec-root", "descriptors"],
    });
  });
  after(async () => {
    await daemon[Symbol.asyncDispose]();
    await group.remove();
    await rm(programs, { recursive: true, force: true });
  });

  /** A client that sends a request, waits for the head of its answer, and reads nothing more. */
  const askAndSleep = async (request: string): Promise<Socket> => {
    const socket = connect({ path: daemon.socket, allowHalfOpen: true });
    clients.push(socket);
    socket.on("error", () => {});
    socket.write(request);
    await once(socket, "readable");
    return socket;
  };
  const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;
  const upgrade = (path: string, body = ""): string =>
    `POST ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  /** Writes so many MiB of lines, in words that no other process on this machine has in its arguments. */
  const floodLine = `flood-${process.pid}-`.padEnd(99, "x");
  const flood = `yes ${floodLine} | head -c ${manyMebibytes * mebibyte}`;
  const isFlooding = async (): Promise<boolean> =>
    (await daemon.host.run(["pgrep", "-f", `yes ${floodLine}`])).code === 0;
  /** What the flood has written so far, by the kernel's count; undefined when it is over. */
  const writtenByFlood = async (): Promise<number | undefined> => {
    const { stdout } = await daemon.host.run([
      "sh",
      "-c",
      `for p in $(pgrep -f 'yes ${floodLine}'); do cat /proc/$p/io; done 2>/dev/null`,
    ]);
    const counts = [...stdout.matchAll(/^wchar: (\d+)$/gm)].map(([, count]) => Number(count));
    return counts.length === 0 ? undefined : Math.max(...counts);
  };
  /** The value that `read` has come to when it changes no more. */
  const standstill = async <T>(read: () => Promise<T>): Promise<T> => {
    let last = await read();
    let equal = 0;
    await eventually(
      async () => {
        const next = await read();
        equal = next === last ? equal + 1 : 0;
        last = next;
        return equal === 10;
      },
      { ...slow, intervalMs: 500, what: "a standstill" },
    );
    return last;
  };
  /** Asks for a build in the words of Docker's classic builder, and reads nothing of the answer. */
  const startBuild = async (dockerfile: string): Promise<Socket> => {
    const { stdout: archive } = await tarOf({ Dockerfile: dockerfile });
    const socket = connect({ path: daemon.socket, allowHalfOpen: true });
    clients.push(socket);
    socket.on("error", () => {});
    socket.write(
      `POST /build?nocache=1 HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-tar\r\nContent-Length: ${archive.length}\r\n\r\n`,
    );
    socket.write(archive);
    return socket;
  };
  const lives = async (): Promise<void> => {
    assert.equal(await ok("run", "--rm", busybox, "echo", "works"), "works");
    await assertAtRest(daemon);
  };

  test("clients that do not read logs, output and archives: what waits for them is small", async () => {
    const id = await ok("run", "-d", "--name", "box", "-i", "--log-opt", "max-size=64m", busybox, "sh");
    await ok("exec", "box", "sh", "-c", `dd if=/dev/zero of=/big bs=1048576 count=${manyMebibytes}`);
    const create = (command: string): Promise<string> =>
      daemon.client
        .getContainer(id)
        .exec({ Cmd: ["sh", "-c", command], AttachStdout: true })
        .then((exec) => exec.id);
    const started = JSON.stringify({ Detach: false, Tty: false });
    const talker = await ok("run", "-d", "--log-opt", "max-size=32m", busybox, "sh", "-c", flood);
    await askAndSleep(get(`/containers/${talker}/logs?stdout=1&follow=1`));
    await askAndSleep(get(`/containers/${id}/archive?path=/big`));
    await askAndSleep(get(`/containers/${id}/export`));
    await askAndSleep(upgrade(`/exec/${await create(flood)}/start`, started));
    await ok("wait", talker);
    // A replay of a long log, to one who does not read it.
    await askAndSleep(upgrade(`/containers/${talker}/attach?logs=1&stream=0&stdout=1`));
    await lives();
  });

  test("a build's output: of a slow client it waits in the step, of BuildKit's it is cut where BuildKit cuts it", async () => {
    const socket = await startBuild(`FROM ${busybox}\nRUN ${flood}\n`);
    // The step writes until nobody takes it any more; then it stands still, with next to all of it still to be written.
    await eventually(isFlooding, { ...slow, what: "the step to write" });
    const written = await standstill(writtenByFlood);
    assert.ok(daemon.running && written !== undefined, "somebody has taken what no client did");
    assert.ok(written < 16 * mebibyte, `${written} bytes were taken for a client that takes none`);
    await assertAtRest(daemon);
    socket.destroy();
    await eventually(async () => !(await isFlooding()), { ...slow, what: "the step to end" });
    const context = await mkdtemp(join(tmpdir(), "gantry-test-context-"));
    try {
      await writeFile(join(context, "Dockerfile"), `FROM ${busybox}\nRUN ${flood}\nRUN echo after\n`);
      const built = await daemon.gantry(["build", "--no-cache", "--progress=plain", context], patient);
      assert.equal(built.code, 0, built.stderr.slice(-1_000));
      const said = built.stdout + built.stderr;
      assert.match(said, /\[output clipped, log limit 2MiB reached\]/);
      assert.match(said, /after/);
      assert.ok(said.length < 8 * mebibyte, `${said.length} bytes of output`);
    } finally {
      await rm(context, { recursive: true });
    }
    await lives();
  });

  test("a build's output that waits for an earlier step is cut, and the step goes on", async () => {
    const firstStep = `sleep ${1_000_000 + process.pid}`;
    const socket = await startBuild(
      `FROM ${busybox} AS first\nRUN ${firstStep}\nFROM ${busybox} AS second\nRUN ${flood}; touch /done\nFROM first\nCOPY --from=second /done /\n`,
    );
    let said = 0;
    socket.on("data", (chunk: Buffer) => (said += chunk.length));
    await eventually(isFlooding, { ...slow, what: "the step to write" });
    await eventually(async () => !(await isFlooding()), { ...slow, what: "the step to have written all" });
    await assertAtRest(daemon);
    assert.ok(said < mebibyte, `${said} bytes were told of a step whose turn it is not`);
    assert.equal(
      (await daemon.host.run(["pgrep", "-f", `^${firstStep}$`])).code,
      0,
      "the first step goes on",
    );
    socket.destroy();
    await lives();
  });

  test("contexts and archives with names without end are refused", async () => {
    const many = 700_000;
    const names = await answerTo("/build", tarOfNames(many, "file"));
    assert.match(names, /the build context has too many files: what is kept of them in memory would be more/);
    const links = await answerTo("/images/load?quiet=1", tarOfNames(many, "symlink"));
    assert.match(links, /the archive names too many files: what is kept of them in memory would be more/);
    await lives();
  });

  test("large requests: a layer, a context and a body of hundreds of MB pass through or are refused", async () => {
    const image = await mkdtemp(join(tmpdir(), "gantry-test-large-"));
    try {
      const zeros = ["sh", "-c", `head -c ${manyMebibytes}M /dev/urandom > ${image}/big`];
      await mustRun(zeros, patient);
      await writeFile(join(image, "Dockerfile"), `FROM ${busybox}\nCOPY big /\n`);
      const environment = { env: { DOCKER_BUILDKIT: "0" }, timeoutMs: 240_000 };
      await daemon.dockerOk(["build", "-q", "-t", "large", image], environment);
      await daemon.dockerOk(["save", "-o", join(image, "large.tar"), "large"], { timeoutMs: 240_000 });
      await ok("rmi", "large");
      await ok("builder", "prune", "-af");
      await daemon.dockerOk(["load", "-i", join(image, "large.tar")], { timeoutMs: 240_000 });
      await ok("rmi", "large");
    } finally {
      await rm(image, { recursive: true });
    }
    const body = async function* (): AsyncGenerator<Buffer> {
      yield Buffer.from('{"Image":"');
      for (let n = 0; n < manyMebibytes; n++) yield Buffer.alloc(mebibyte, "x");
      yield Buffer.from('"}');
    };
    assert.match(await answerTo("/containers/create", body(), "application/json"), /larger than \d+ bytes/);
    await lives();
  });

  test("a runtime that the kernel kills for memory: start and exec fail in words, nothing is left, the daemon lives", async () => {
    await ok("create", "--name", "made", "--runtime", "hungry", busybox, "echo", "works");
    await ok("run", "-d", "--name", "box", "--runtime", "hungry", busybox, "sleep", "300");
    const hungry = async (verb: string, words: RegExp, ...args: string[]): Promise<void> => {
      const killed = await group.kills();
      await writeFile(join(programs, `hungry-${verb}`), "");
      const result = await docker(...args);
      await rm(join(programs, `hungry-${verb}`));
      assert.notEqual(result.code, 0, result.stdout);
      assert.match(
        result.stdout + result.stderr,
        words,
        `exit code ${result.code}, the daemon ${daemon.running ? "lives" : "is dead"}`,
      );
      assert.ok((await group.kills()) > killed, "the kernel killed nobody");
    };
    await hungry("create", /the runtime ended, or was killed, without a message/, "start", "made");
    await hungry("start", /was ended by signal 9 in its start/, "start", "made");
    await hungry("exec", /the runtime ended, or was killed, without a message/, "exec", "box", "true");
    assert.equal(await ok("exec", "box", "echo", "in"), "in");
    await ok("start", "made");
    await eventually(async () => (await ok("logs", "made")) === "works", slow);
    await lives();
  });

  test("the daemon killed by the kernel for memory: containers go on, and the next daemon has all of them", async () => {
    const script = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.2; done";
    await ok("run", "-d", "--name", "talker", busybox, "sh", "-c", script);
    await ok("run", "-d", "--name", "again", "--restart", "always", busybox, "sh", "-c", "sleep 2; exit 3");
    const pid = await ok("inspect", "-f", "{{.State.Pid}}", "talker");
    const [killed, before] = [await group.kills(), daemon.pid];
    // Not even its own pages: whatever it touches next is too much.
    await group.squeeze();
    const asking = Array.from({ length: 8 }, () =>
      answerTo(
        "/containers/create",
        Readable.from([JSON.stringify({ Image: busybox, Env: ["A".repeat(3_000_000)] })]),
        "application/json",
      ).catch(() => ""),
    );
    await eventually(() => !daemon.running, { ...slow, what: `the kernel to kill the daemon ${before}` });
    await Promise.all(asking);
    assert.ok((await group.kills()) > killed);
    await group.limit(limitBytes);
    await daemon.launch();
    await group.take(daemon.pid);
    assert.equal(await ok("inspect", "-f", "{{.State.Status}} {{.State.Pid}}", "talker"), `running ${pid}`);
    await eventually(async () => {
      const lines = (await ok("logs", "talker")).split("\n");
      assert.deepEqual(
        lines,
        lines.map((_, n) => String(n + 1)),
      );
      return lines.length > 20;
    }, slow);
    await eventually(
      async () => (await daemon.client.getContainer("again").inspect()).RestartCount > 0,
      slow,
    );
    await lives();
  });

  /** Sends a body in chunks and returns the answer's text. */
  async function answerTo(
    path: string,
    body: AsyncIterable<Buffer | string>,
    type = "application/x-tar",
  ): Promise<string> {
    const socket = connect({ path: daemon.socket, allowHalfOpen: true });
    clients.push(socket);
    let text = "";
    socket.on("data", (chunk: Buffer) => (text += chunk.toString()));
    // The daemon's end is the end: it may come before it has read everything.
    socket.on("end", () => socket.destroy());
    socket.on("error", () => {});
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    socket.on("close", () => end());
    socket.write(
      `POST ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: ${type}\r\nTransfer-Encoding: chunked\r\n\r\n`,
    );
    // The daemon may answer, and hang up, before it has everything.
    for await (const piece of body) {
      if (!socket.writable) break;
      socket.write(`${piece.length.toString(16)}\r\n`);
      socket.write(piece);
      if (!socket.write("\r\n")) await Promise.race([once(socket, "drain").catch(() => {}), ended]);
    }
    socket.write("0\r\n\r\n");
    await ended;
    return text;
  }
});

/** A compressed archive of so many empty files or links; of some megabytes, whatever it says. */
function tarOfNames(count: number, kind: "file" | "symlink"): AsyncIterable<Buffer> {
  const header = Buffer.alloc(512);
  header.write("0000644\0", 100);
  header.write("0000000\0", 108);
  header.write("0000000\0", 116);
  header.write("00000000000\0", 124);
  header.write("00000000000\0", 136);
  header.write(kind === "file" ? "0" : "2", 156);
  if (kind === "symlink") header.write("manifest.json", 157);
  header.write("ustar\0", 257);
  header.write("00", 263);
  header.write("        ", 148);
  let rest = 0;
  for (const byte of header) rest += byte;
  const batch = 2_000;
  const blocks = async function* (): AsyncGenerator<Buffer> {
    for (let at = 0; at < count; at += batch) {
      const block = Buffer.alloc(512 * batch);
      for (let n = 0; n < batch; n++) {
        const name = Buffer.from(`a/${String(at + n)}`);
        const sum = name.reduce((total, byte) => total + byte, rest);
        header.copy(block, n * 512);
        name.copy(block, n * 512);
        block.write(`${sum.toString(8).padStart(6, "0")}\0 `, n * 512 + 148);
      }
      yield block;
    }
    yield Buffer.alloc(1024);
  };
  return Readable.from(blocks()).pipe(createGzip({ level: 1 }));
}

/** A small archive. */
async function tarOf(files: Readonly<Record<string, string>>): Promise<{ stdout: Buffer }> {
  const directory = await mkdtemp(join(tmpdir(), "gantry-test-tar-"));
  try {
    for (const [name, text] of Object.entries(files)) await writeFile(join(directory, name), text);
    const { stdoutBytes } = await mustRun(["tar", "-C", directory, "-cf", "-", "."]);
    return { stdout: stdoutBytes };
  } finally {
    await rm(directory, { recursive: true });
  }
}

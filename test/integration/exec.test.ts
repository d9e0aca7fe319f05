/** `docker exec`: attached, detached, on a terminal; exit codes; inspect. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { PassThrough } from "node:stream";
import { beforeEach, describe, test } from "node:test";
import { busybox } from "../helpers/images.ts";
import { eventually } from "../helpers/process.ts";
import { useDaemon } from "../helpers/suite.ts";

describe("exec", () => {
  const suite = useDaemon();
  const exec = (...args: string[]): ReturnType<typeof suite.daemon.docker> =>
    suite.daemon.docker(["exec", ...args]);

  beforeEach(() =>
    suite.daemon.dockerOk([
      "run",
      "-d",
      "--name",
      "box",
      "-e",
      "FROM=run",
      "-w",
      "/tmp",
      busybox,
      "sleep",
      "120",
    ]),
  );

  test("runs in the container, streams apart, exit code through", async () => {
    const result = await exec("box", "sh", "-c", "echo out; echo err >&2; exit 21");
    assert.deepEqual([result.code, result.stdout, result.stderr], [21, "out\n", "err\n"]);
  });

  test("shows what a program said that had ended before its terminal got its size", async () => {
    const box = suite.daemon.client.getContainer("box");
    for (let time = 0; time < 20; time++) {
      const made = await box.exec({ Cmd: ["sh", "-c", "echo said; exit 3"], Tty: true, AttachStdout: true });
      const stream = await made.start({ Tty: true, hijack: true, ConsoleSize: [24, 80] } as never);
      let output = "";
      stream.on("data", (data: Buffer) => (output += data.toString()));
      if (!stream.readableEnded) await once(stream, "end");
      const { ExitCode: exitCode, Running: isRunning } = await made.inspect();
      assert.deepEqual([output, exitCode, isRunning], ["said\r\n", 3, false]);
    }
  });

  test("is in the container's namespaces and cgroups, with its limits of rights", async () => {
    const { daemon } = suite;
    const pid = await daemon.dockerOk(["inspect", "-f", "{{.State.Pid}}", "box"]);
    for (const name of ["pid", "mnt", "net", "uts", "ipc"]) {
      const own = await daemon.dockerOk(["exec", "box", "readlink", `/proc/self/ns/${name}`]);
      assert.equal(own, (await daemon.host.run(["readlink", `/proc/${pid}/ns/${name}`])).stdout.trim(), name);
    }
    const status = await daemon.dockerOk(["exec", "box", "cat", "/proc/self/status"]);
    assert.match(status, /^CapEff:\t00000000a80425fb$/m);
    assert.match(status, /^Seccomp:\t2$/m);
  });

  test("its output is not in the container's log", async () => {
    await exec("box", "sh", "-c", "echo from-exec; echo from-exec >&2");
    const logs = await suite.daemon.docker(["logs", "box"]);
    assert.deepEqual([logs.stdout, logs.stderr], ["", ""]);
  });

  test("takes input with -i, 1 MB unharmed", async () => {
    const data = randomBytes(1_000_000);
    const result = await suite.daemon.docker(["exec", "-i", "box", "cat"], { input: data });
    assert.ok(result.stdoutBytes.equals(data), `got ${result.stdoutBytes.length} bytes`);
  });

  test("environment, user, working directory", async () => {
    assert.match((await exec("-e", "MORE=1", "box", "env")).stdout, /^FROM=run$[^]*^MORE=1$/m);
    assert.equal((await exec("box", "pwd")).stdout, "/tmp\n");
    assert.equal((await exec("-w", "/etc", "box", "pwd")).stdout, "/etc\n");
    assert.match((await exec("-u", "daemon", "box", "id")).stdout, /^uid=1\(daemon\) gid=1\(daemon\)/);
    assert.match((await exec("-u", "5:6", "box", "id")).stdout, /^uid=5 gid=6/);
  });

  test("--privileged has all capabilities that the daemon has", async (context) => {
    const own =
      /^CapBnd:\t(.*)$/m.exec((await suite.daemon.host.run(["cat", "/proc/self/status"])).stdout)?.[1] ?? "";
    if (suite.daemon.flavour === "docker") return context.skip("20.10 wants all of the kernel's");
    const status = (await exec("--privileged", "box", "cat", "/proc/self/status")).stdout;
    assert.equal(/^CapEff:\t(.*)$/m.exec(status)?.[1], own);
  });

  test("-t on a terminal: size, resize, exit code", async () => {
    const terminal = suite.daemon.dockerOnPty(["exec", "-it", "box", "sh"], { rows: 29, columns: 91 });
    await terminal.waitFor(/[#$] /);
    terminal.type("stty size\n");
    await terminal.waitFor(/29 91/);
    terminal.resize(35, 111);
    await eventually(
      () => {
        terminal.type("stty size\n");
        return /35 111/.test(terminal.output());
      },
      { intervalMs: 200 },
    );
    terminal.type("exit 14\n");
    assert.equal(await terminal.wait(), 14);
  });

  test("detach keys leave it running", async () => {
    const { daemon } = suite;
    const terminal = daemon.dockerOnPty(["exec", "-it", "box", "sh", "-c", "echo ready; sleep 33"]);
    await terminal.waitFor(/ready/);
    terminal.type("\u0010\u0011");
    assert.equal(await terminal.wait(), 1);
    assert.match(terminal.output(), /read escape sequence/);
    assert.match(await daemon.dockerOk(["top", "box"]), /sleep 33/);
  });

  test("-d returns at once and goes on", async () => {
    const { daemon } = suite;
    const result = await exec("-d", "box", "sh", "-c", "sleep 0.3; echo done > /tmp/proof");
    assert.deepEqual([result.code, result.stdout], [0, ""]);
    await eventually(async () => (await exec("box", "cat", "/tmp/proof")).stdout === "done\n");
    assert.equal(await daemon.dockerOk(["inspect", "-f", "{{.State.Running}}", "box"]), "true");
  });

  test("a program that is not there", async () => {
    const result = await exec("box", "no-such-program");
    // 20.10 answers 126 for both; newer tells them apart.
    assert.equal(result.code, suite.daemon.flavour === "docker" ? 126 : 127);
    assert.match(`${result.stdout}${result.stderr}`, /executable file not found|no such file/i);
    assert.equal((await exec("box", "/etc/passwd")).code, 126);
  });

  test("in a container that does not run, and in none", async () => {
    const { daemon } = suite;
    await daemon.dockerOk(["kill", "box"]);
    const stopped = await exec("box", "true");
    assert.equal(stopped.code, 1);
    assert.match(stopped.stderr, /is not running/);
    const missing = await exec("nobody", "true");
    assert.equal(missing.code, 1);
    assert.match(missing.stderr, /No such container: nobody/);
  });

  test("an exec ends with its container", async () => {
    const { daemon } = suite;
    const running = daemon.startDocker(["exec", "box", "sh", "-c", "echo up; sleep 60"]);
    await running.waitForOutput(/up/);
    await daemon.dockerOk(["kill", "box"]);
    assert.equal((await running.wait()).code, 137);
  });

  test("inspect: running, then the exit code", async () => {
    const container = suite.daemon.client.getContainer("box");
    const created = await container.exec({
      Cmd: ["sh", "-c", "read line; exit 17"],
      AttachStdin: true,
      AttachStdout: true,
      AttachStderr: true,
    });
    const before = await created.inspect();
    assert.equal(before.Running, false);
    assert.equal(before.ExitCode, null);
    const stream = await created.start({ hijack: true, stdin: true });
    await eventually(async () => (await created.inspect()).Pid > 0);
    const during = await created.inspect();
    assert.equal(during.Running, true);
    assert.equal(during.ProcessConfig.entrypoint, "sh");
    assert.deepEqual(during.ProcessConfig.arguments, ["-c", "read line; exit 17"]);
    stream.resume();
    stream.end("go\n");
    await once(stream, "close");
    await eventually(async () => !(await created.inspect()).Running);
    assert.equal((await created.inspect()).ExitCode, 17);
    const ids = (await container.inspect()).ExecIDs as string[] | null;
    assert.ok(ids === null || !ids.includes(created.id) || suite.daemon.flavour === "docker");
  });

  test("dockerode demultiplexes", async () => {
    const created = await suite.daemon.client
      .getContainer("box")
      .exec({ Cmd: ["sh", "-c", "echo out; echo err >&2"], AttachStdout: true, AttachStderr: true });
    const stream = await created.start({});
    const [out, err] = [new PassThrough(), new PassThrough()];
    suite.daemon.client.modem.demuxStream(stream, out, err);
    stream.resume();
    await once(stream, "end");
    assert.deepEqual([String(out.read()), String(err.read())], ["out\n", "err\n"]);
  });

  test("starting twice is refused, an unknown exec is 404", async () => {
    const created = await suite.daemon.client.getContainer("box").exec({ Cmd: ["true"], AttachStdout: true });
    const stream = await created.start({});
    stream.resume();
    await once(stream, "close");
    // Docker hijacks first and writes the refusal into the stream.
    const answer = await created.start({}).then(
      async (again) => (await again.toArray()).join(""),
      (error: Error & { statusCode?: number }) => `${error.statusCode} ${error.message}`,
    );
    assert.match(answer, /already run|^409/);
    await assert.rejects(suite.daemon.client.getExec("0".repeat(64)).inspect(), { statusCode: 404 });
  });

  test("20 at once", async () => {
    const results = await Promise.all(
      Array.from({ length: 20 }, (_, n) =>
        suite.daemon.docker(["exec", "box", "sh", "-c", `echo ${n}; exit ${n}`], { timeoutMs: 60_000 }),
      ),
    );
    for (const [n, result] of results.entries())
      assert.deepEqual([result.stdout, result.code], [`${n}\n`, n]);
  });

  test("hundreds in a row leave nothing: no descriptor, process, file or growing memory", async () => {
    const { daemon } = suite;
    const container = daemon.client.getContainer("box");
    const one = async (): Promise<void> => {
      const made = await container.exec({ Cmd: ["echo", "x"], AttachStdout: true });
      const stream = await made.start({});
      stream.resume();
      await once(stream, "end");
    };
    const resident = async (): Promise<number> => {
      const { stdout } = await daemon.host.run(["grep", "VmRSS", `/proc/${daemon.pid}/status`]);
      return Number(/(\d+) kB/.exec(stdout)?.[1]);
    };
    // The heap's own ups and downs are larger than a leak would be at first, but a leak does not pause: one round of 250
    // without growth shows that there is none. The records of execs are kept for five minutes, a kilobyte or two each.
    const growths: number[] = [];
    let before = 0;
    do {
      for (let n = 0; n < 250; n++) await one();
      const now = await resident();
      growths.push(now - before);
      before = now;
    } while (growths.length < 8 && growths.at(-1)! > 2_000);
    assert.ok(growths.at(-1)! <= 2_000, `memory grows with execs: ${growths.slice(1).join(", ")} kB`);
    // The rest is the leak check's.
  });
});

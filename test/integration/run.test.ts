/** `docker run`: output, exit codes, input. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, test } from "node:test";
import { busybox } from "../helpers/images.ts";
import { useDaemon } from "../helpers/suite.ts";

describe("run", () => {
  const suite = useDaemon();

  test("prints what the program prints", async () => {
    assert.equal(await suite.daemon.dockerOk(["run", "--rm", busybox, "echo", "hello"]), "hello");
  });

  const exitCodes: [string, string[], number, RegExp][] = [
    ["of success", ["true"], 0, /^$/],
    ["of the program", ["sh", "-c", "exit 3"], 3, /^$/],
    ["255", ["sh", "-c", "exit 255"], 255, /^$/],
    [
      "127 for a program that is not there",
      ["no-such-program"],
      127,
      /executable file not found|no such file/i,
    ],
    ["127 for a path that is not there", ["/no/such/program"], 127, /no such file or directory/i],
    ["126 for a directory", ["/etc"], 126, /permission denied|is a directory/i],
    ["126 for a file without the x bit", ["/etc/passwd"], 126, /permission denied/i],
  ];
  for (const [name, command, code, stderr] of exitCodes) {
    test(`exit code ${name}`, async () => {
      const result = await suite.daemon.docker(["run", "--rm", busybox, ...command]);
      assert.equal(result.code, code, result.stderr);
      assert.match(result.stderr, stderr);
    });
  }

  test("exit code 128 + signal when the program is killed", async () => {
    const { daemon } = suite;
    const running = daemon.startDocker(["run", "--name", "victim", busybox, "sleep", "60"]);
    await untilRunning("victim");
    await daemon.dockerOk(["kill", "victim"]);
    assert.equal((await running.wait()).code, 137);
    assert.equal(await daemon.dockerOk(["inspect", "-f", "{{.State.ExitCode}}", "victim"]), "137");
  });

  test("exit code 125 for an error of the daemon", async () => {
    const result = await suite.daemon.docker(["run", "--rm", "--network", "no-such-net", busybox, "true"]);
    assert.equal(result.code, 125);
    assert.match(result.stderr, /network no-such-net not found/);
  });

  test("exit code 125 for an error of the client", async () => {
    const result = await suite.daemon.docker(["run", "--no-such-flag", busybox, "true"]);
    assert.equal(result.code, 125);
    assert.match(result.stderr, /unknown flag/);
  });

  test("keeps standard output and standard error apart", async () => {
    const result = await suite.daemon.docker([
      "run",
      "--rm",
      busybox,
      "sh",
      "-c",
      "echo to-out; echo to-err >&2",
    ]);
    assert.equal(result.stdout, "to-out\n");
    assert.equal(result.stderr, "to-err\n");
  });

  test("takes standard input with -i", async () => {
    const result = await suite.daemon.docker(["run", "--rm", "-i", busybox, "cat"], {
      input: "over the pipe",
    });
    assert.equal(result.stdout, "over the pipe");
  });

  test("ends input at once when -i has nothing to read", async () => {
    const result = await suite.daemon.docker(["run", "--rm", "-i", busybox, "wc", "-c"], { input: "" });
    assert.equal(result.stdout.trim(), "0");
  });

  test("gives no input without -i", async () => {
    const result = await suite.daemon.docker(["run", "--rm", busybox, "wc", "-c"], { input: "ignored" });
    assert.equal(result.stdout.trim(), "0");
  });

  test("carries 1 MB of binary data through unharmed", async () => {
    const data = randomBytes(1_000_000);
    const result = await suite.daemon.docker(["run", "--rm", "-i", busybox, "cat"], { input: data });
    assert.equal(result.code, 0, result.stderr);
    assert.ok(result.stdoutBytes.equals(data), `got ${result.stdoutBytes.length} bytes`);
  });

  test("carries 20 MB of output to a slow reader", async () => {
    const { daemon } = suite;
    const command = daemon.dockerCommand(["run", "--rm", busybox, "head", "-c", "20000000", "/dev/zero"]);
    const quoted = command.map((part) => `'${part}'`).join(" ");
    const counted = await daemon.host.run(["sh", "-c", `${quoted} | (sleep 1; wc -c)`], {
      timeoutMs: 60_000,
    });
    assert.equal(counted.stdout.trim(), "20000000");
  });

  test("output of the last microsecond arrives and is logged, 100 times", async () => {
    const { daemon } = suite;
    // Ten at a time: what is raced for is the end of the program against the end of its streams.
    const script = "printf 'first\\n'; printf last; printf err >&2";
    for (let round = 0; round < 10; round++) {
      const results = await Promise.all(
        Array.from({ length: 10 }, (_, n) =>
          daemon.docker(["run", "--name", `last-${round}-${n}`, busybox, "sh", "-c", script], {
            timeoutMs: 60_000,
          }),
        ),
      );
      for (const [n, result] of results.entries()) {
        assert.deepEqual([result.code, result.stdout, result.stderr], [0, "first\nlast", "err"]);
        if (n !== 0) continue;
        const logs = await daemon.docker(["logs", `last-${round}-${n}`]);
        assert.deepEqual([logs.stdout, logs.stderr], ["first\nlast", "err"]);
      }
      await daemon.removeContainers();
    }
  });

  test("-d prints the id and leaves it running", async () => {
    const { daemon } = suite;
    const id = await daemon.dockerOk(["run", "-d", busybox, "sleep", "60"]);
    assert.match(id, /^[0-9a-f]{64}$/);
    assert.equal(await daemon.dockerOk(["inspect", "-f", "{{.State.Status}}", id]), "running");
  });

  test("--rm removes the container, attached and detached", async () => {
    const { daemon } = suite;
    await daemon.dockerOk(["run", "--rm", "--name", "gone", busybox, "true"]);
    assert.equal(await daemon.dockerOk(["ps", "-aq"]), "");
    const id = await daemon.dockerOk(["run", "-d", "--rm", busybox, "sleep", "60"]);
    await daemon.dockerOk(["kill", id]);
    const waited = await daemon.docker(["wait", id]);
    assert.ok(waited.code === 0 || /No such container/i.test(waited.stderr), waited.stderr);
    await daemon.host.run(["sleep", "0.3"]);
    assert.equal(await daemon.dockerOk(["ps", "-aq"]), "");
  });

  test("an unknown image is asked for, and the refusal ends with 125", async () => {
    const result = await suite.daemon.docker(["run", "--rm", "no-such-image.invalid/x:y", "true"], {
      timeoutMs: 60_000,
    });
    assert.equal(result.code, 125);
    assert.match(result.stderr, /Unable to find image 'no-such-image.invalid\/x:y' locally/);
  });

  test("signals reach the program through the client", async () => {
    const { daemon } = suite;
    const script = "trap 'echo caught; exit 42' TERM; echo ready; while :; do sleep 0.1; done";
    const running = daemon.startDocker(["run", "--rm", busybox, "sh", "-c", script]);
    await running.waitForOutput(/ready/);
    running.process.kill("SIGTERM");
    const result = await running.wait();
    assert.match(result.stdout, /caught/);
    assert.equal(result.code, 42);
  });

  async function untilRunning(name: string): Promise<void> {
    for (let tries = 0; tries < 200; tries++) {
      const state = await suite.daemon.docker(["inspect", "-f", "{{.State.Running}}", name]);
      if (state.stdout.trim() === "true") return;
    }
    throw new Error(`${name} does not run`);
  }
});

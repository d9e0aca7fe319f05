/**
 * A container's input: closed once its client has ended it (StdinOnce), left open for the next client, or none at all.
 * The same holds for dockerd (`GANTRY_TEST_ENGINE=docker`).
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import type { Duplex } from "node:stream";
import { describe, test } from "node:test";
import type { TestDaemon } from "../helpers/daemon.ts";
import { busybox } from "../helpers/images.ts";
import { eventually } from "../helpers/process.ts";
import { useDaemon } from "../helpers/suite.ts";

/** Repeats its input and says when that has ended. */
const repeat = ["sh", "-c", "while read -r line; do echo got $line; done; echo end"];

describe("a container's input", () => {
  const suite = useDaemon();
  const logs = async (name: string): Promise<string> => suite.daemon.dockerOk(["logs", name]);
  const state = (name: string): Promise<string> =>
    suite.daemon.dockerOk(["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", name]);
  const flags = (name: string): Promise<string> =>
    suite.daemon.dockerOk(["inspect", "-f", "{{.Config.OpenStdin}} {{.Config.StdinOnce}}", name]);
  const logged = (name: string, text: string): Promise<void> =>
    eventually(async () => (await logs(name)) === text, {
      timeoutMs: 60_000,
      what: `the log of ${name} to be ${JSON.stringify(text)}`,
    });

  /** A raw attachment by the API. */
  async function attach(daemon: TestDaemon, name: string, stdin: boolean): Promise<Duplex> {
    const stream = await daemon.client
      .getContainer(name)
      .attach({ stream: true, hijack: true, stdin, stdout: true, stderr: true });
    stream.on("error", () => {});
    stream.resume();
    return stream as Duplex;
  }

  test("run -i: the end of the client's input is the end of the container's", async () => {
    const { daemon } = suite;
    const result = await daemon.docker(["run", "-i", "--name", "box", busybox, ...repeat], {
      input: "one\ntwo\n",
    });
    assert.deepEqual([result.code, result.stdout], [0, "got one\ngot two\nend\n"]);
    assert.equal(await flags("box"), "true true");
    const again = await daemon.docker(["start", "-ai", "box"], { input: "three\n" });
    assert.deepEqual([again.code, again.stdout], [0, "got three\nend\n"]);
    const nothing = await daemon.docker(["run", "-i", "--rm", busybox, ...repeat], { input: "" });
    assert.equal(nothing.stdout, "end\n");
  });

  test("run -i: a client that is killed ends the container's input too", async () => {
    const { daemon } = suite;
    const client = daemon.startDocker(["run", "-i", "--name", "box", busybox, ...repeat], { input: "" });
    client.process.stdin!.write("one\n");
    await client.waitForOutput(/got one/);
    client.process.kill("SIGKILL");
    await logged("box", "got one\nend");
    await eventually(async () => (await state("box")) === "exited 0", { timeoutMs: 60_000 });
  });

  test("run -di: left open from client to client", async () => {
    const { daemon } = suite;
    await daemon.dockerOk(["run", "-di", "--name", "box", busybox, ...repeat]);
    assert.equal(await flags("box"), "true false");
    for (const word of ["one", "two"]) {
      const stream = await attach(daemon, "box", true);
      stream.write(`${word}\n`);
      stream.end();
      await eventually(async () => (await logs("box")).endsWith(`got ${word}`), { timeoutMs: 60_000 });
      stream.destroy();
    }
    assert.equal(await state("box"), "running 0");
    const client = daemon.startDocker(["attach", "--sig-proxy=false", "box"], { input: "" });
    client.process.stdin!.end("three\n");
    await logged("box", "got one\ngot two\ngot three");
    assert.equal(await state("box"), "running 0");
    client.process.kill("SIGKILL");
    await client.wait().catch(() => {});
  });

  test("create -i, started without a client: it waits for one, whose end is its end", async () => {
    const { daemon } = suite;
    await daemon.dockerOk(["create", "-i", "--name", "box", busybox, ...repeat]);
    assert.equal(await flags("box"), "true true");
    await daemon.dockerOk(["start", "box"]);
    const result = await daemon.docker(["attach", "box"], { input: "one\n" });
    assert.equal(result.stdout, "got one\nend\n");
    assert.equal(await state("box"), "exited 0");
  });

  test("somebody who only watches does not end the input when he leaves", async () => {
    const { daemon } = suite;
    await daemon.dockerOk(["create", "-i", "--name", "box", busybox, ...repeat]);
    const owner = await attach(daemon, "box", true);
    await daemon.dockerOk(["start", "box"]);
    owner.write("one\n");
    await logged("box", "got one");
    const watcher = await attach(daemon, "box", false);
    owner.write("two\n");
    await logged("box", "got one\ngot two");
    watcher.destroy();
    const other = await attach(daemon, "box", false);
    other.end();
    owner.write("three\n");
    await logged("box", "got one\ngot two\ngot three");
    owner.end();
    await logged("box", "got one\ngot two\ngot three\nend");
    if (!owner.destroyed && !owner.readableEnded) await once(owner, "close");
    other.destroy();
  });

  test("without -i there is nothing to read, whoever sends something", async () => {
    const { daemon } = suite;
    const plain = await daemon.docker(["run", "--rm", busybox, ...repeat], { input: "one\n" });
    assert.equal(plain.stdout, "end\n");
    assert.equal(await daemon.dockerOk(["run", "--rm", busybox, "readlink", "/proc/self/fd/0"]), "/dev/null");
    const script = "sleep 600";
    await daemon.dockerOk(["run", "-d", "--init", "--name", "box", busybox, "sh", "-c", script]);
    const stream = await attach(daemon, "box", true);
    stream.write("one\n");
    stream.end();
    assert.equal(await state("box"), "running 0");
    stream.destroy();
  });

  test("exec: with -i to the end of the client's input, without it none", async () => {
    const { daemon } = suite;
    await daemon.dockerOk(["run", "-di", "--name", "box", busybox, ...repeat]);
    const given = await daemon.docker(["exec", "-i", "box", ...repeat], { input: "one\n" });
    assert.equal(given.stdout, "got one\nend\n");
    const none = await daemon.docker(["exec", "box", ...repeat], { input: "one\n" });
    assert.equal(none.stdout, "end\n");
    assert.equal(await logs("box"), "", "the container's own input is another");
  });

  test("a terminal is left by the client and keeps its input", async () => {
    const { daemon } = suite;
    await daemon.dockerOk(["run", "-dit", "--name", "box", busybox, ...repeat]);
    for (const word of ["one", "two"]) {
      const stream = await attach(daemon, "box", true);
      stream.write(`${word}\n`);
      await eventually(async () => (await logs("box")).includes(`got ${word}`), { timeoutMs: 60_000 });
      stream.destroy();
    }
    assert.equal(await state("box"), "running 0");
    const stream = await attach(daemon, "box", true);
    // The key of a terminal that ends input (ctrl-d).
    stream.write("\u0004");
    await eventually(async () => (await state("box")) === "exited 0", { timeoutMs: 60_000 });
    stream.destroy();
  });
});

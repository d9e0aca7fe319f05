/** Attach: the hijacked stream, its frames, several clients, and the websocket. */
import assert from "node:assert/strict";
import { request } from "node:http";
import type { Duplex } from "node:stream";
import { once } from "node:events";
import { describe, test } from "node:test";
import { WebSocket } from "ws";
import { busybox } from "../helpers/images.ts";
import { eventually } from "../helpers/process.ts";
import { useDaemon } from "../helpers/suite.ts";

interface Hijacked {
  readonly status: number;
  readonly contentType: string | undefined;
  readonly socket: Duplex;
  received(): Buffer;
}

describe("attach", () => {
  const suite = useDaemon();

  /** Opens a hijacked stream as the docker CLI does. */
  async function hijack(path: string): Promise<Hijacked> {
    const asked = request({
      socketPath: suite.daemon.socket,
      path,
      method: "POST",
      headers: { Connection: "Upgrade", Upgrade: "tcp", "Content-Type": "text/plain" },
    });
    asked.end();
    const [response, socket, head] = (await once(asked, "upgrade")) as [
      { statusCode: number; headers: Record<string, string> },
      Duplex,
      Buffer,
    ];
    const chunks = [head];
    socket.on("data", (chunk: Buffer) => chunks.push(chunk));
    socket.on("error", () => {});
    return {
      status: response.statusCode,
      contentType: response.headers["content-type"],
      socket,
      received: () => Buffer.concat(chunks),
    };
  }

  test("the CLI sees output from now on, gives input and the exit code", async () => {
    const { daemon } = suite;
    const script = "echo before; read line; echo got $line; exit 12";
    await daemon.dockerOk(["run", "-d", "-i", "--name", "box", busybox, "sh", "-c", script]);
    await eventually(async () => (await daemon.dockerOk(["logs", "box"])).includes("before"));
    const result = await daemon.docker(["attach", "box"], { input: "this\n" });
    assert.equal(result.stdout, "got this\n");
    assert.equal(result.code, 12);
  });

  test("two clients see the same output", async () => {
    const { daemon } = suite;
    await daemon.dockerOk([
      "run",
      "-d",
      "-i",
      "--name",
      "box",
      busybox,
      "sh",
      "-c",
      "read line; echo seen; exit 0",
    ]);
    const one = daemon.startDocker(["attach", "--no-stdin", "box"]);
    const two = daemon.startDocker(["attach", "--no-stdin", "box"]);
    await daemon.host.run(["sleep", "0.4"]);
    await daemon.docker(["attach", "box"], { input: "go\n" });
    assert.equal((await one.wait()).stdout, "seen\n");
    assert.equal((await two.wait()).stdout, "seen\n");
  });

  test("a wait is answered when attached clients have read their output: the CLI of 28.0 stops reading then", async () => {
    const { daemon } = suite;
    const script = "trap 'echo last words; exit 5' USR1; echo ready; while :; do sleep 0.1; done";
    const client = daemon.startDocker(["run", "--name", "box", busybox, "sh", "-c", script]);
    await client.waitForOutput(/ready/);
    const container = daemon.client.getContainer("box");
    let isAnswered = false;
    const waiting = container.wait({ condition: "next-exit" }).then(() => (isAnswered = true));
    client.process.kill("SIGSTOP");
    try {
      await container.kill({ signal: "SIGUSR1" });
      await eventually(async () => !(await container.inspect()).State.Running);
      // An answer that came too soon would be here by now: the same daemon answers each of these.
      for (let asked = 0; asked < 20; asked++) await daemon.client.ping();
      assert.equal(isAnswered, false);
    } finally {
      client.process.kill("SIGCONT");
    }
    await waiting;
    const { stdout, code } = await client.wait();
    assert.deepEqual([stdout, code], ["ready\nlast words\n", 5]);
  });

  test("a client that goes away leaves the container running", async () => {
    const { daemon } = suite;
    await daemon.dockerOk([
      "run",
      "-d",
      "--name",
      "box",
      busybox,
      "sh",
      "-c",
      "while :; do echo tick; sleep 0.05; done",
    ]);
    const attached = daemon.startDocker(["attach", "--sig-proxy=false", "box"]);
    await attached.waitForOutput(/tick/);
    attached.process.kill("SIGKILL");
    await daemon.host.run(["sleep", "0.2"]);
    assert.equal(await daemon.dockerOk(["inspect", "-f", "{{.State.Running}}", "box"]), "true");
  });

  test("answers 101, frames both streams, and half-close does not end output", async () => {
    const { daemon } = suite;
    const { id } = await daemon.client.createContainer({
      Image: busybox,
      Cmd: ["sh", "-c", "cat; echo end >&2"],
      OpenStdin: true,
      StdinOnce: true,
    });
    const stream = await hijack(`/v1.41/containers/${id}/attach?stream=1&stdin=1&stdout=1&stderr=1`);
    assert.equal(stream.status, 101);
    assert.equal(stream.contentType, "application/vnd.docker.raw-stream");
    await daemon.client.getContainer(id).start();
    stream.socket.write("abc\n");
    stream.socket.end();
    await once(stream.socket, "end");
    const frame = (type: number, text: string): Buffer =>
      Buffer.concat([Buffer.from([type, 0, 0, 0, 0, 0, 0, text.length]), Buffer.from(text)]);
    assert.deepEqual(stream.received(), Buffer.concat([frame(1, "abc\n"), frame(2, "end\n")]));
  });

  test("from API 1.42 the content type tells the frames", async (context) => {
    const { daemon } = suite;
    if (daemon.flavour === "docker") return context.skip("20.10 speaks 1.41");
    const { id } = await daemon.client.createContainer({ Image: busybox, Cmd: ["true"] });
    const stream = await hijack(`/v1.42/containers/${id}/attach?stream=1&stdout=1`);
    assert.equal(stream.contentType, "application/vnd.docker.multiplexed-stream");
    stream.socket.destroy();
  });

  test("logs=1 sends first what was written", async () => {
    const { daemon } = suite;
    await daemon.dockerOk(["run", "--name", "box", busybox, "echo", "old"]);
    const stream = await hijack("/v1.41/containers/box/attach?logs=1&stdout=1&stderr=1");
    await once(stream.socket, "end");
    assert.equal(stream.received().subarray(8).toString(), "old\n");
  });

  test("dockerode: attach, start, and both streams apart", async () => {
    const { daemon } = suite;
    const container = await daemon.client.createContainer({
      Image: busybox,
      Cmd: ["sh", "-c", "echo out; echo err >&2"],
      Tty: false,
    });
    const stream = await container.attach({ stream: true, stdout: true, stderr: true });
    const { PassThrough } = await import("node:stream");
    const [out, err] = [new PassThrough(), new PassThrough()];
    daemon.client.modem.demuxStream(stream, out, err);
    // The stream of a short program may end before the answer to its start has come.
    const ended = once(stream, "end");
    await container.start();
    await ended;
    assert.equal(String(out.read()), "out\n");
    assert.equal(String(err.read()), "err\n");
  });

  test("websocket: input and output of a terminal", async () => {
    const { daemon } = suite;
    await daemon.dockerOk(["run", "-dit", "--name", "box", busybox, "sh"]);
    const socket = new WebSocket(
      `ws+unix:${daemon.socket}:/v1.41/containers/box/attach/ws?stream=1&stdin=1&stdout=1&stderr=1`,
      { headers: { Origin: "http://localhost" } },
    );
    let seen = "";
    socket.on("message", (data: Buffer) => (seen += data.toString()));
    await once(socket, "open");
    socket.send("echo $((6*7)) over-ws\n");
    await eventually(() => /42 over-ws/.test(seen), { what: () => `the answer in ${JSON.stringify(seen)}` });
    socket.send("exit\n");
    await once(socket, "close");
  });

  test("an unknown container is 404, before any hijack", async () => {
    await assert.rejects(suite.daemon.client.getContainer("nobody").attach({ stream: true, stdout: true }), {
      statusCode: 404,
    });
  });
});

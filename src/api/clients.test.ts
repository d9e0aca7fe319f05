/** The official `docker` command and dockerode against the API, with an engine that plays one container. */
import assert from "node:assert/strict";
import { execFile, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { promisify } from "node:util";
import Docker from "dockerode";
import { notFound } from "../base/errors.ts";
import type { Engine, StdioSession } from "../engine/engine.ts";
import type { ContainerInspect, ContainerSummary, WaitResponse } from "../wire/container.ts";
import { startApi, type TestApi } from "./test-support.ts";

const hasDocker = ((): boolean => {
  try {
    execFileSync("docker", ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
})();
const needsDocker = { skip: hasDocker ? false : "no docker command on this machine" };

const id = "0123456789abcdef".repeat(4);

/** A container whose program reads a line (or to the end), writes it to both outputs, and exits with 7. */
function playContainer(tty = false): Partial<Engine> {
  const started = Promise.withResolvers<void>();
  const exited = Promise.withResolvers<WaitResponse>();
  const session: StdioSession = {
    tty,
    run: async (sink) => {
      await started.promise;
      let text = "";
      for await (const chunk of sink.input ?? []) {
        text += String(chunk);
        if (text.endsWith("\n")) break;
      }
      text = text.trim();
      sink.write("stdout", Buffer.from(`out ${text}\n`));
      sink.write("stderr", Buffer.from(`err ${text}\n`));
      exited.resolve({ StatusCode: 7 });
    },
  };
  return {
    containerCreate: async () => ({ Id: id, Warnings: [] }),
    containerAttach: async () => session,
    containerWait: () => ({ result: exited.promise }),
    containerStart: async () => started.resolve(),
    containerResize: async () => {},
    containerInspect: async () => inspected(tty),
    containerRemove: async () => {},
    execCreate: async () => ({ Id: "e1" }),
    execStart: async (_id, request) => {
      started.resolve();
      return request.Detach === true ? undefined : session;
    },
    execInspect: async () => ({
      ID: "e1",
      Running: false,
      ExitCode: 3,
      ProcessConfig: { tty, entrypoint: "x", arguments: [], privileged: false },
      OpenStdin: false,
      OpenStderr: true,
      OpenStdout: true,
      CanRemove: false,
      ContainerID: id,
      DetachKeys: "",
      Pid: 1,
    }),
  };
}

function inspected(tty: boolean): ContainerInspect {
  return {
    Id: id,
    Name: "/c",
    State: { Status: "running", Running: true },
    Config: { Tty: tty, OpenStdin: true },
    HostConfig: {},
    NetworkSettings: { SandboxID: "", SandboxKey: "", Ports: {}, Networks: {} },
  } as unknown as ContainerInspect;
}

interface Result {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

async function docker(t: TestApi, args: readonly string[], input = ""): Promise<Result> {
  const child = spawn("docker", ["-H", `unix://${t.socketPath}`, ...args]);
  const result = { stdout: "", stderr: "" };
  child.stdout.on("data", (chunk: Buffer) => (result.stdout += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (result.stderr += chunk.toString()));
  child.stdin.end(input);
  const [code] = (await once(child, "close")) as [number | null];
  return { code, ...result };
}

test("docker run: output, input, exit code", needsDocker, async () => {
  await using t = await startApi(playContainer());
  assert.deepEqual(await docker(t, ["run", "image"]), { code: 7, stdout: "out \n", stderr: "err \n" });
  await using withInput = await startApi(playContainer());
  assert.deepEqual(await docker(withInput, ["run", "--rm", "-i", "image"], "hello"), {
    code: 7,
    stdout: "out hello\n",
    stderr: "err hello\n",
  });
});

test("docker exec: attached and detached", needsDocker, async () => {
  await using t = await startApi(playContainer());
  assert.deepEqual(await docker(t, ["exec", "-i", "c", "x"], "in"), {
    code: 3,
    stdout: "out in\n",
    stderr: "err in\n",
  });
  assert.deepEqual(await docker(t, ["exec", "-d", "c", "x"]), { code: 0, stdout: "", stderr: "" });
});

test("docker logs --timestamps takes the frames apart", needsDocker, async () => {
  await using t = await startApi({
    ...playContainer(),
    containerLogs: async () => ({
      tty: false,
      entries: (async function* () {
        const attributes = undefined;
        const [first, second] = ["1970-01-01T00:00:00.000000001Z", "1970-01-01T00:00:00.000000002Z"] as const;
        yield [
          { stream: "stdout" as const, time: first, line: Buffer.from("a\n"), attributes },
          { stream: "stderr" as const, time: second, line: Buffer.from("b\n"), attributes },
        ];
      })(),
    }),
  });
  assert.deepEqual(await docker(t, ["logs", "-t", "-f", "c"]), {
    code: 0,
    stdout: "1970-01-01T00:00:00.000000001Z a\n",
    stderr: "1970-01-01T00:00:00.000000002Z b\n",
  });
});

test("docker ps, inspect, pull, load and what is refused", needsDocker, async () => {
  const seen: unknown[] = [];
  await using t = await startApi({
    containerList: async (options) => {
      seen.push(Object.fromEntries(options.filters), options.all);
      return [summary];
    },
    containerInspect: (name) => Promise.reject(notFound(`No such container: ${name}`)),
    imageInspect: (name) => Promise.reject(notFound(`No such image: ${name}`)),
    networkInspect: (name) => Promise.reject(notFound(`network ${name} not found`)),
    volumeInspect: (name) => Promise.reject(notFound(`get ${name}: no such volume`)),
    info: async () => ({ Swarm: { LocalNodeState: "inactive" } }),
    imagePull: async function* ({ image, tag }) {
      yield { status: `Pulling from ${image}`, id: tag ?? "" };
      throw notFound("registry is not reachable");
    },
    imageLoad: async function* (archive) {
      let sizeBytes = 0;
      for await (const chunk of archive) sizeBytes += (chunk as Buffer).length;
      yield { stream: `Loaded ${sizeBytes} bytes\n` };
    },
  });
  const ps = await docker(t, [
    "ps",
    "-a",
    "--filter",
    "name=c",
    "--format",
    "{{.ID}} {{.Names}} {{.Status}}",
  ]);
  assert.deepEqual(ps, { code: 0, stdout: "0123456789ab c Up 1 second\n", stderr: "" });
  assert.deepEqual(seen, [{ name: ["c"] }, true]);
  const inspect = await docker(t, ["inspect", "none"]);
  assert.deepEqual(
    [inspect.code, inspect.stdout.trim(), inspect.stderr.trim()],
    [1, "[]", "Error: No such object: none"],
  );
  const pull = await docker(t, ["pull", "reg.io:5000/a/b:1"]);
  assert.equal(pull.code, 1);
  assert.match(pull.stdout, /1: Pulling from reg.io:5000\/a\/b/);
  assert.match(pull.stderr, /registry is not reachable/);
  assert.deepEqual(await docker(t, ["load", "-q"], "x".repeat(300_000)), {
    code: 0,
    stdout: "Loaded 300000 bytes\n",
    stderr: "",
  });
  const swarm = await docker(t, ["swarm", "init"]);
  assert.equal(swarm.code, 1);
  assert.match(swarm.stderr, /swarm mode is not served by gantry/);
});

const summary: ContainerSummary = {
  Id: id,
  Names: ["/c"],
  Image: "i",
  ImageID: "sha256:1",
  Command: "x",
  Created: 1,
  Ports: [],
  Labels: {},
  State: "running",
  Status: "Up 1 second",
  HostConfig: { NetworkMode: "default" },
  NetworkSettings: { Networks: {} },
  Mounts: [],
};

test("an older client version in the path is served", needsDocker, async () => {
  await using t = await startApi({ containerList: async () => [summary] });
  const run = promisify(execFile);
  for (const version of ["1.24", "1.41", "1.50"]) {
    const { stdout } = await run("docker", ["-H", `unix://${t.socketPath}`, "ps", "-q"], {
      env: { ...process.env, DOCKER_API_VERSION: version },
    });
    assert.equal(stdout, "0123456789ab\n");
  }
});

for (const hijack of [true, false]) {
  test(`dockerode: attach with input, ${hijack ? "hijacked" : "without upgrade"}`, async () => {
    await using t = await startApi(playContainer());
    const client = new Docker({ socketPath: t.socketPath });
    const container = await client.createContainer({ Image: "i" });
    const stream = await container.attach({ stream: true, stdin: true, stdout: true, stderr: true, hijack });
    const outputs = { stdout: new PassThrough(), stderr: new PassThrough() };
    container.modem.demuxStream(stream, outputs.stdout, outputs.stderr);
    await container.start();
    // Without upgrade this client has no way to end its input.
    stream.write("hel");
    stream.write("lo\n");
    assert.deepEqual(await container.wait(), { StatusCode: 7 });
    await once(stream, "end");
    assert.equal(String(outputs.stdout.read()), "out hello\n");
    assert.equal(String(outputs.stderr.read()), "err hello\n");
  });
}

test("dockerode: exec, events and errors", async () => {
  await using t = await startApi({
    ...playContainer(),
    containerKill: () => Promise.reject(notFound("No such container: c")),
    events: async function* () {
      yield {
        Type: "container",
        Action: "die",
        Actor: { ID: id, Attributes: {} },
        scope: "local",
        time: 1,
        timeNano: 1,
      };
    },
  });
  const client = new Docker({ socketPath: t.socketPath });
  const exec = await client.getContainer("c").exec({ Cmd: ["x"], AttachStdout: true, AttachStdin: true });
  const stream = await exec.start({ hijack: true, stdin: true });
  stream.end("in");
  let received = "";
  stream.on("data", (chunk: Buffer) => (received += chunk.toString("latin1")));
  await once(stream, "end");
  assert.equal(received, "\x01\0\0\0\0\0\0\x07out in\n\x02\0\0\0\0\0\0\x07err in\n");
  const events = await client.getEvents();
  const [line] = (await once(events, "data")) as [Buffer];
  assert.equal((JSON.parse(line.toString()) as { Action: string }).Action, "die");
  await assert.rejects(client.getContainer("c").kill(), { statusCode: 404, reason: "no such container" });
});

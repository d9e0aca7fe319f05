/** Requests that meet: what one of them changes while another waits for its turn. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { busybox } from "../helpers/images.ts";
import { useDaemon } from "../helpers/suite.ts";

describe("requests at the same time", () => {
  const suite = useDaemon({ leaves: ["data-root", "records", "descriptors"] });

  const create = (name: string, ...command: string[]) =>
    suite.daemon.client.createContainer({ Image: busybox, Cmd: command, name });

  test("a removal that meets a start never removes a running container's record", async () => {
    for (let delayMs = 0; delayMs < 30; delayMs += 5) {
      const container = await create("met", "sleep", "60");
      const [start, removal] = await Promise.allSettled([
        container.start(),
        sleep(delayMs).then(() => container.remove()),
      ]);
      assert.ok(start.status !== removal.status, `after ${delayMs} ms: ${start.status}, ${removal.status}`);
      if (start.status === "fulfilled") assert.equal((await container.inspect()).State.Status, "running");
      await container.remove({ force: true }).catch(() => {});
    }
  });

  test("a forced removal that meets a start ends what was started", async () => {
    for (let delayMs = 0; delayMs < 30; delayMs += 5) {
      const container = await create("met", "sleep", "60");
      await Promise.allSettled([
        container.start(),
        sleep(delayMs).then(() => container.remove({ force: true })),
      ]);
      await assert.rejects(container.inspect(), { statusCode: 404 });
    }
  });

  test("of several removals at once one removes, the others are told so", async () => {
    const { daemon } = suite;
    for (let round = 0; round < 5; round++) {
      await daemon.dockerOk(["run", "-d", "--name", "box", busybox, "sleep", "300"]);
      const container = daemon.client.getContainer("box");
      const answers = await Promise.allSettled(
        Array.from({ length: 5 }, () => container.remove({ force: true })),
      );
      assert.equal(answers.filter(({ status }) => status === "fulfilled").length, 1);
      for (const answer of answers)
        if (answer.status === "rejected")
          assert.match(
            String(answer.reason),
            /removal of container box is already in progress|No such container/,
          );
    }
  });

  test("a stop holds, whatever its restart policy is just doing", async () => {
    const container = await suite.daemon.client.createContainer({
      Image: busybox,
      Cmd: ["sh", "-c", "exit 3"],
      HostConfig: { RestartPolicy: { Name: "always" } },
    });
    for (const delayMs of [0, 90, 110, 130, 320]) {
      await container.start();
      await sleep(delayMs);
      await container.stop({ t: 1 }).catch((error: unknown) => {
        assert.equal((error as { statusCode?: number }).statusCode, 304);
      });
      await sleep(600);
      assert.equal((await container.inspect()).State.Status, "exited", `stopped after ${delayMs} ms`);
    }
  });

  test("a client that attaches during the start sees the output", async () => {
    for (let delayMs = 0; delayMs < 30; delayMs += 5) {
      const container = await create("seen", "sh", "-c", "sleep 0.3; echo done");
      const started = container.start();
      await sleep(delayMs);
      const stream = await container.attach({ stream: true, stdout: true });
      let output = "";
      stream.on("data", (chunk: Buffer) => (output += chunk.toString()));
      const ended = new Promise<void>((resolve) => {
        stream.on("end", resolve);
        stream.on("close", resolve);
      });
      await started;
      await Promise.race([ended, sleep(5000, undefined, { ref: false })]);
      assert.match(output, /done/, `attached after ${delayMs} ms`);
      await container.remove({ force: true });
    }
  });

  test("a start that fails tells so once: no wait answers, and every connect has its disconnect", async () => {
    const { daemon } = suite;
    const since = String(Date.now() / 1000 - 1);
    await daemon.dockerOk([
      "run",
      "-d",
      "--name",
      "holder",
      "-p",
      "127.0.0.1:18077:80",
      busybox,
      "sleep",
      "60",
    ]);
    const busy = await daemon.docker(["run", "-d", "-p", "127.0.0.1:18077:80", busybox, "true"]);
    assert.equal(busy.code, 125);
    assert.doesNotMatch(busy.stderr, /Error waiting for container/);
    assert.equal((await daemon.docker(["run", "--rm", busybox, "/no/such/program"])).code, 127);
    await daemon.dockerOk(["rm", "-f", "holder"]);
    const until = String(Date.now() / 1000);
    const format = "{{.Action}} {{.Actor.Attributes.container}}";
    const bounds = ["--since", since, "--until", until];
    const events = await daemon.dockerOk(["events", ...bounds, "-f", "type=network", "--format", format]);
    const lines = events.split("\n");
    assert.match(events, /^connect/m);
    for (const line of lines)
      if (line.startsWith("connect")) assert.ok(lines.includes(`dis${line}`), `${line} has no disconnect`);
  });

  test("a crash while a container is made leaves none of its volumes, and keeps those of others", async () => {
    const { daemon } = suite;
    await daemon.dockerOk(["run", "--name", "owner", "-v", "/data", "-v", "kept:/kept", busybox, "true"]);
    const before = await daemon.dockerOk(["volume", "ls", "-q"]);
    await daemon.stop();
    await daemon.launch({ GANTRY_FAILPOINTS: "container-create.before-record=exit" });
    await daemon.docker(["create", "-v", "/data", busybox, "true"]);
    await daemon.gone();
    await daemon.launch();
    assert.equal(await daemon.dockerOk(["volume", "ls", "-q"]), before);
    await daemon.dockerOk(["rm", "-v", "owner"]);
  });
});

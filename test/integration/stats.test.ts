/** `docker stats`: what the kernel counts is what is shown. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { flavour } from "../helpers/daemon.ts";
import { busybox } from "../helpers/images.ts";
import { eventually, start } from "../helpers/process.ts";
import { useDaemon } from "../helpers/suite.ts";

describe("stats", () => {
  const suite = useDaemon();
  const ok = (...args: string[]): Promise<string> => suite.daemon.dockerOk(args);
  const format = "{{.Name}}|{{.CPUPerc}}|{{.MemUsage}}|{{.PIDs}}|{{.NetIO}}|{{.BlockIO}}|{{.MemPerc}}";
  const lines = async (): Promise<string[][]> => {
    const clients = [
      (await suite.daemon.docker(["stats", "--no-stream", "--format", format])).stdout,
      ...(flavour === "docker"
        ? []
        : [(await suite.daemon.gantry(["stats", "--no-stream", "--format", format])).stdout]),
    ];
    return clients.map((text) => text.trim().split("|"));
  };

  test("processor, memory, processes and network of one that works", async () => {
    await ok(
      "run",
      "-d",
      "--name",
      "box",
      "-m",
      "64m",
      "--cpus",
      "0.5",
      busybox,
      "sh",
      "-c",
      "sleep 200 & while :; do :; done",
    );
    for (const [name, cpu = "", memory = "", pids, network = "", , percent = ""] of await lines()) {
      assert.equal(name, "box");
      assert.ok(Number.parseFloat(cpu) > 10 && Number.parseFloat(cpu) < 90, cpu);
      assert.match(memory, /^[\d.]+(KiB|MiB) \/ 64MiB$/);
      assert.equal(pids, "2");
      assert.match(network, /^[\d.]+k?B \/ [\d.]+k?B$/);
      assert.ok(Number.parseFloat(percent) > 0 && Number.parseFloat(percent) < 100, percent);
    }
  });

  test("the API: fields, one shot, stream, and one that does not run", async () => {
    const id = await ok(
      "run",
      "-d",
      "--name",
      "box",
      "-m",
      "64m",
      "--pids-limit",
      "50",
      busybox,
      "sh",
      "-c",
      "ping -c 3 127.0.0.1; sleep 200",
    );
    const container = suite.daemon.client.getContainer(id);
    const one = await container.stats({ stream: false, "one-shot": true });
    assert.equal(one.preread, "0001-01-01T00:00:00Z");
    assert.equal(one.memory_stats.limit, 64 * 1024 * 1024);
    assert.equal(one.pids_stats?.limit, 50);
    assert.ok(one.cpu_stats.cpu_usage.total_usage > 0);
    assert.ok((one.cpu_stats.system_cpu_usage ?? 0) > 0);
    assert.ok(one.networks?.["eth0"] !== undefined);
    const two = await container.stats({ stream: false });
    assert.ok(two.precpu_stats.cpu_usage.total_usage > 0);
    const apart = Date.parse(two.read) - Date.parse(two.preread);
    assert.ok(apart > 800 && apart < 3000, String(apart));
    const stream = await container.stats({ stream: true });
    let seen = 0;
    stream.on("data", () => (seen += 1));
    await eventually(() => seen >= 2);
    (stream as NodeJS.ReadableStream & { destroy(): void }).destroy();
    await ok("stop", "-t", "0", "box");
    const stopped = await container.stats({ stream: false });
    assert.equal(stopped.id, id);
    assert.deepEqual(stopped.pids_stats, {});
    assert.match(
      await ok("stats", "--no-stream", "-a", "--format", "{{.Name}} {{.CPUPerc}}"),
      /^box (--|0.00%)$/,
    );
    assert.match(
      (await suite.daemon.docker(["stats", "--no-stream", "nobody"])).stderr,
      /No such container: nobody/,
    );
  });

  test("gantry's own table", async (context) => {
    if (flavour === "docker") return context.skip("gantry's command line only");
    await ok("run", "-d", "--name", "box", busybox, "sleep", "200");
    const table = (await suite.daemon.gantry(["stats", "--no-stream"])).stdout.split("\n");
    assert.match(
      table[0] ?? "",
      /^CONTAINER ID +NAME +CPU % +MEM USAGE \/ LIMIT +MEM % +NET I\/O +BLOCK I\/O +PIDS$/,
    );
    assert.match(
      table[1] ?? "",
      /^[0-9a-f]{12} +box +\d+\.\d\d% +[\d.]+\w+ \/ [\d.]+GiB +\d+\.\d\d% +.* +1$/,
    );
    const terminal = start(suite.daemon.gantryCommand(["stats", "box"]));
    await terminal.waitForOutput(/box +\d+\.\d\d%/);
    await ok("rm", "-f", "box");
    assert.equal((await terminal.wait()).code, 0);
    assert.match((await suite.daemon.gantry(["stats", "nobody"])).stderr, /No such container: nobody/);
    return undefined;
  });
});

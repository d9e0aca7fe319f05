/**
 * `npm run test:load`: many containers that write logs, end, are started again and have health checks, for a while; many
 * short lives one after the other; many clients at once. Prints what the daemon used and how soon it answered; ends with
 * failure when that grows, when a request fails, or when something is left behind.
 *
 * GANTRY_LOAD_CONTAINERS (300), GANTRY_LOAD_MINUTES (30), GANTRY_LOAD_CYCLES (2000), GANTRY_LOAD_CLIENTS (64).
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type Docker from "dockerode";
import { TestDaemon } from "../helpers/daemon.ts";
import { busybox, ensureBusybox } from "../helpers/images.ts";
import { assertNoLeaks, takeSettledSnapshot } from "../helpers/leak-check.ts";
import { growthOf, heapEnvironment, heapGrowth, heapMib, type Sample, takeSample } from "./samples.ts";

const setting = (name: string, value: number): number => Number(process.env[`GANTRY_LOAD_${name}`] ?? value);
const containers = setting("CONTAINERS", 300);
const minutes = setting("MINUTES", 30);
const cycles = setting("CYCLES", 2_000);
const clients = setting("CLIENTS", 64);

const startedAtOnce = 6;
const sampleEveryMs = Math.max(2_000, Math.min(15_000, minutes * 1_000));
const requestsOfClient = 20;
const second = 1_000_000_000;

let isFailed = false;
const say = (text: string): void => void process.stdout.write(`${text}\n`);
function fail(text: string): void {
  isFailed = true;
  say(`FAILED: ${text}`);
}

/** Does `work` for each number, `lanes` at once. */
async function inLanes(count: number, lanes: number, work: (number: number) => Promise<void>): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: Math.min(lanes, count) }, lane));
}

/** Writes a line a second, ends after half a minute or so, and is started again; every third has a health check. */
async function startOne(daemon: TestDaemon, number: number): Promise<void> {
  const lives = 20 + (number % 30);
  const script = `i=0; while [ $i -lt ${lives} ]; do echo line $i of ${number}; i=$((i+1)); sleep 1; done; exit 1`;
  const container = await daemon.client.createContainer({
    name: `load-${number}`,
    Image: busybox,
    Cmd: ["sh", "-c", script],
    ...(number % 3 === 0
      ? { Healthcheck: { Test: ["CMD", "true"], Interval: 10 * second, Timeout: 30 * second } }
      : {}),
    HostConfig: {
      RestartPolicy: { Name: "always" },
      LogConfig: { Type: "json-file", Config: { "max-size": "64k", "max-file": "2" } },
      ...(number % 10 === 0 ? { PortBindings: { "80/tcp": [{ HostIp: "127.0.0.1", HostPort: "" }] } } : {}),
    },
    ExposedPorts: { "80/tcp": {} },
  });
  await container.start();
}

async function crowd(daemon: TestDaemon): Promise<void> {
  const begun = performance.now();
  await inLanes(containers, startedAtOnce, (number) => startOne(daemon, number));
  say(`${containers} containers started in ${((performance.now() - begun) / 1000).toFixed(1)} s`);
  const samples: Sample[] = [];
  const startedMs = performance.now();
  let earlyHeap: number | undefined;
  while (performance.now() - startedMs < minutes * 60_000) {
    if (performance.now() - startedMs > minutes * 9_000) earlyHeap ??= await heapMib(daemon);
    const sample = await takeSample(daemon, startedMs);
    samples.push(sample);
    say(
      `${String(sample.atS).padStart(5)} s  ${sample.memoryMib.toFixed(0)} MiB  ${sample.descriptors} descriptors  ` +
        `list ${sample.listMs.toFixed(1)} ms  inspect ${sample.inspectMs.toFixed(1)} ms`,
    );
    await sleep(sampleEveryMs);
  }
  const running = await daemon.client.listContainers();
  const restarts = await Promise.all(
    running.map(async ({ Id }) => (await daemon.client.getContainer(Id).inspect()).RestartCount),
  );
  const unhealthy = running.filter(({ Status }) => Status.includes("unhealthy"));
  say(
    `${running.length} run, ${restarts.reduce((sum, count) => sum + count, 0)} restarts, ${unhealthy.length} unhealthy`,
  );
  if (unhealthy.length > 0) fail("a check that cannot fail has failed");
  const lateHeap = await heapMib(daemon);
  for (const { what, early, late, isGrowing } of [
    ...growthOf(samples),
    heapGrowth(earlyHeap ?? lateHeap, lateHeap),
  ]) {
    say(`${what}: ${early.toFixed(1)} early, ${late.toFixed(1)} late`);
    if (isGrowing) fail(`${what} grows`);
  }
}

async function shortLives(daemon: TestDaemon): Promise<void> {
  const before = await takeSample(daemon, performance.now());
  const heapBefore = await heapMib(daemon);
  const begun = performance.now();
  await inLanes(cycles, 4, async () => {
    const container = await daemon.client.createContainer({ Image: busybox, Cmd: ["true"] });
    await container.start();
    await container.wait();
    await container.remove();
  });
  const tookS = (performance.now() - begun) / 1000;
  const after = await takeSample(daemon, performance.now());
  say(
    `${cycles} cycles of create, start, remove in ${tookS.toFixed(0)} s (${(cycles / tookS).toFixed(1)} a second); memory ` +
      `${before.memoryMib.toFixed(0)} to ${after.memoryMib.toFixed(0)} MiB, descriptors ${before.descriptors} to ${after.descriptors}`,
  );
  const heap = heapGrowth(heapBefore, await heapMib(daemon));
  say(`alive in the heap: ${heap.early.toFixed(1)} to ${heap.late.toFixed(1)} MiB`);
  for (const { what, isGrowing } of [...growthOf([before, before, before, after, after]), heap])
    if (isGrowing) fail(`${what} grows with short lives`);
}

async function execTrue(container: Docker.Container): Promise<void> {
  const exec = await container.exec({ Cmd: ["true"] });
  const answer = await exec.start({ Detach: true });
  // Until it is read, the connection stays.
  answer.resume();
}

async function manyClients(daemon: TestDaemon): Promise<void> {
  const { client } = daemon;
  const times: number[] = [];
  const timed = async (work: () => Promise<unknown>): Promise<void> => {
    const begun = performance.now();
    await work();
    times.push(performance.now() - begun);
  };
  const one = async (number: number): Promise<void> => {
    const container = await client.createContainer({
      Image: busybox,
      Cmd: ["sh", "-c", "echo x; sleep 600"],
      StopSignal: "KILL",
    });
    await timed(() => container.start());
    for (let count = 0; count < requestsOfClient; count += 1) {
      await timed(() => container.inspect());
      await timed(() => client.listContainers({ all: true }));
      await timed(() => container.logs({ stdout: true }));
      if (count % 10 === number % 10) await timed(() => execTrue(container));
    }
    await timed(() => container.remove({ force: true }));
  };
  await Promise.all(Array.from({ length: clients }, (_, number) => one(number)));
  times.sort((a, b) => a - b);
  const at = (share: number): string => (times[Math.floor(times.length * share)] ?? 0).toFixed(0);
  say(
    `${clients} clients at once: ${times.length} requests, median ${at(0.5)} ms, 99 of 100 within ${at(0.99)} ms, the last ${at(0.9999)} ms`,
  );
}

await using directories = new AsyncDisposableStack();
const root = await mkdtemp(join(tmpdir(), "gantry-test-"));
directories.defer(() => rm(root, { recursive: true, force: true, maxRetries: 5 }));
await using daemon = await TestDaemon.start({ bip: "10.207.0.1/20", root, env: heapEnvironment(root) });
await ensureBusybox(daemon);
// What is opened once and kept is no growth.
await startOne(daemon, 0);
await daemon.removeContainers();
const baseline = await takeSettledSnapshot(daemon);
const parts = [
  ["a crowd", containers > 0 && minutes > 0, crowd],
  ["short lives", cycles > 0, shortLives],
  ["many clients", clients > 0, manyClients],
] as const;
for (const [name, isWanted, part] of parts) {
  if (!isWanted) continue;
  try {
    await part(daemon);
  } catch (error) {
    fail(`${name}: ${String(error)}`);
  }
  const all = await daemon.client.listContainers({ all: true });
  await inLanes(all.length, startedAtOnce, async (number) => {
    await daemon.client.getContainer(all[number]!.Id).remove({ force: true, v: true });
  });
}
const errors = (await daemon.log()).split("\n").filter((line) => / level=(error|fatal) /.test(line));
if (errors.length > 0) fail(`the daemon's log has errors:\n${errors.slice(0, 10).join("\n")}`);
try {
  await assertNoLeaks(daemon, baseline, { settleMs: 120_000 });
  say("nothing is left behind");
} catch (error) {
  fail(String(error));
}
if (isFailed) process.exitCode = 1;

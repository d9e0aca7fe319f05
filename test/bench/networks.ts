/**
 * `node test/bench/networks.ts`: what a network costs. The start of a container on the default bridge and on a network of
 * a user's beside the same without a network, by turns; the last of 200 starts with five published ports each beside the
 * first; connections and bytes through a published port, from the host by its loopback and its own address, beside
 * dockerd. Ratios of one run; prints and ends as `bench.ts` does. GANTRY_BENCH_ONLY (starts,ports,traffic) leaves out the rest.
 */
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { loopFileSystem } from "../../src/snapshot/loop.fixture.ts";
import { busybox, ensureBusybox } from "../helpers/images.ts";
import { gantryProgram, TestDaemon } from "../helpers/daemon.ts";
import { prepareHybridHost, startEngines } from "./engines.ts";
import { finish, type Measurement, median } from "./report.ts";

const rounds = Number(process.env["GANTRY_BENCH_ROUNDS"] ?? 25);
const only = process.env["GANTRY_BENCH_ONLY"]?.split(",");
const isWanted = (name: string): boolean => only === undefined || only.includes(name);
const settleMs = 4_000;
const containerCount = Number(process.env["GANTRY_BENCH_CONTAINERS"] ?? 200);

/** Makes a container, and how long its start takes through the API: the command line is the same for all. */
async function startMs(daemon: TestDaemon, hostConfig: Record<string, unknown>): Promise<number> {
  const container = await daemon.client.createContainer({
    Image: busybox,
    Cmd: ["sleep", "3600"],
    HostConfig: hostConfig,
  });
  const begun = performance.now();
  await container.start();
  return performance.now() - begun;
}

async function compareModes(daemon: TestDaemon, modes: readonly string[]): Promise<number[]> {
  const samples = modes.map((): number[] => []);
  for (let round = -2; round < rounds; round++) {
    for (const [i, mode] of modes.entries()) {
      const tookMs = await startMs(daemon, { NetworkMode: mode });
      if (round >= 0) samples[i]!.push(tookMs);
      await daemon.removeContainers();
    }
  }
  return samples.map(median);
}

function ratio(name: string, [measured, base]: readonly [number, number], otherName: string): Measurement {
  return { name, unit: "ms", gantry: measured, other: base, otherName, ratio: measured / base, limit: 1.3 };
}

/** Makes and starts a container with five published ports, others for each `number`. */
async function startWithPorts(daemon: TestDaemon, number: number): Promise<number> {
  const ports = [1, 2, 3, 4, 5].map((i): [string, { HostPort: string }[]] => [
    `${i}/tcp`,
    [{ HostPort: String(20_000 + number * 5 + i) }],
  ]);
  return await startMs(daemon, { NetworkMode: "bridge", PortBindings: Object.fromEntries(ports) });
}

/**
 * Medians of the last ten of many starts and of the first ten, of several times: a shared machine is not as fast at the
 * end of a minute as at its beginning.
 */
async function compareFirstAndLast(daemon: TestDaemon): Promise<[number, number]> {
  const startMany = async (count: number): Promise<number[]> => {
    const samples: number[] = [];
    for (let n = 0; n < count; n++) samples.push(await startWithPorts(daemon, n));
    await daemon.removeContainers();
    // What is removed is answered before it is all gone, which is none of the next starts.
    await sleep(settleMs);
    return samples;
  };
  // What a new daemon does for the first time is none of this.
  await startMany(10);
  const first: number[] = [];
  const last: number[] = [];
  for (let times = Math.ceil(rounds / 5); times > 0; times--) {
    const samples = await startMany(containerCount);
    first.push(...samples.slice(0, 10));
    last.push(...samples.slice(-10));
  }
  return [median(last), median(first)];
}

/** Prints the median time of a connection in µs, to the server's first byte: a proxy accepts before it has connected. */
const connectScript = `
const [address, port, count] = process.argv.slice(1);
const times = [];
for (let i = 0; i < Number(count); i++) {
  const begun = performance.now();
  const socket = require("node:net").connect(Number(port), address);
  await new Promise((resolve, reject) => socket.once("data", resolve).once("error", reject));
  times.push((performance.now() - begun) * 1000);
  await new Promise((resolve) => socket.once("close", resolve).resetAndDestroy());
}
console.log(times.sort((a, b) => a - b)[times.length >> 1]);`;

/** Reads a connection to its end and prints ms for each 100 MB. */
const readScript = `
const [address, port] = process.argv.slice(1);
let bytes = 0, begun = 0;
for await (const chunk of require("node:net").connect(Number(port), address)) {
  if (begun === 0) begun = performance.now();
  bytes += chunk.length;
}
if (bytes < 1e8) throw new Error("only " + bytes + " bytes");
console.log((performance.now() - begun) / (bytes / 1e8));`;

const port = 18_900;

/** Greets who connects to port 80, and sends 100 MB to each on port 81. */
const serverScript = `
const net = require("node:net");
const block = Buffer.alloc(1 << 20);
const ignore = (socket) => socket.on("error", () => {});
net.createServer((socket) => ignore(socket).resume().write("x")).listen(80, "0.0.0.0");
net.createServer((socket) => {
  ignore(socket);
  let left = 100;
  const write = () => {
    while (left-- > 0) if (!socket.write(block)) return socket.once("drain", write);
    socket.end();
  };
  write();
}).listen(81, "0.0.0.0", () => console.log("ready"));`;

/** A container behind two published ports, and a server in its network namespace; ends with the result. */
async function serve(daemon: TestDaemon): Promise<Disposable> {
  const id = await daemon.dockerOk([
    "run",
    "-d",
    "-p",
    `${port}:80`,
    "-p",
    `${port + 1}:81`,
    busybox,
    "sleep",
    "3600",
  ]);
  const pid = await daemon.dockerOk(["inspect", "-f", "{{.State.Pid}}", id]);
  await daemon.host.run(["ip", "addr", "add", "198.51.100.2/32", "dev", "lo"]);
  const server = daemon.host.start(["nsenter", "-t", pid, "-n", process.execPath, "-e", serverScript]);
  await server.waitForOutput(/ready/);
  return { [Symbol.dispose]: () => void server.process.kill("SIGKILL") };
}

async function sample(daemon: TestDaemon, script: string, args: readonly string[]): Promise<number> {
  const command = [process.execPath, "--input-type=commonjs", "-e", `(async () => {${script}})()`, ...args];
  const { code, stdout, stderr } = await daemon.host.run(command, { timeoutMs: 120_000 });
  if (code !== 0) throw new Error(stderr);
  return Number(stdout);
}

/** Connections and bytes through published ports, both engines by turns. */
async function compareTraffic(): Promise<Measurement[]> {
  await using engines = await startEngines();
  using _gantry = await serve(engines.gantry);
  using _docker = await serve(engines.docker);
  const results: Measurement[] = [];
  for (const [where, address] of [
    ["127.0.0.1", "127.0.0.1"],
    ["the host's address", "198.51.100.2"],
  ] as const)
    for (const [what, unit, script, args] of [
      ["a connection", "µs", connectScript, [address, String(port), "1500"]],
      ["100 MB", "ms", readScript, [address, String(port + 1)]],
    ] as const) {
      const both = [engines.gantry, engines.docker] as const;
      const samples: [number[], number[]] = [[], []];
      // Each goes first every other time.
      for (let turn = 0; turn < 2 * Math.ceil(rounds / 2); turn++) {
        const which = (turn >> 1) % 2 === 0 ? turn % 2 : 1 - (turn % 2);
        samples[which]!.push(await sample(both[which]!, script, args));
      }
      const [gantry, other] = samples.map(median) as [number, number];
      const name = `${what} through a published port by ${where}`;
      // At least as good as dockerd; a twentieth is what two medians of the same differ by.
      results.push({
        name,
        unit,
        gantry,
        other,
        otherName: "dockerd",
        ratio: gantry / other,
        limit: 1.05,
      });
    }
  return results;
}

async function compareStarts(): Promise<Measurement[]> {
  await using daemon = await TestDaemon.start({ flavour: "gantry" });
  await ensureBusybox(daemon);
  await daemon.dockerOk(["network", "create", "gt-bench"]);
  const [none = 0, bridge = 0, user = 0] = await compareModes(daemon, ["none", "bridge", "gt-bench"]);
  return [
    ratio("start on the default bridge", [bridge, none], "--network none"),
    ratio("start on a network of a user's", [user, none], "--network none"),
  ];
}

/**
 * On a file system with a journal, as nearly all are: ext4 without one looks at each file that was deleted in the last five
 * minutes when it makes another (fs/ext4/ialloc.c, recently_deleted), so that each start makes the next ones slower.
 */
async function comparePorts(): Promise<Measurement[]> {
  using disk = loopFileSystem("ext4");
  if (disk.path === undefined) process.stderr.write(`bench: on this machine's own disk: ${disk.why}\n`);
  const root = disk.path === undefined ? {} : { root: join(disk.path, "root") };
  await using daemon = await TestDaemon.start({ flavour: "gantry", ...root });
  await ensureBusybox(daemon);
  const name = `start of the last of ${containerCount} containers with 5 ports each`;
  return [ratio(name, await compareFirstAndLast(daemon), "the first")];
}

async function measure(): Promise<Measurement[]> {
  return [
    ...(isWanted("starts") ? await compareStarts() : []),
    ...(isWanted("ports") ? await comparePorts() : []),
    ...(isWanted("traffic") ? await compareTraffic() : []),
  ];
}

await prepareHybridHost();
process.stderr.write(`bench: ${rounds} rounds of each, ${gantryProgram}\n`);
finish(await measure(), rounds);

/**
 * `node test/bench/names.ts`: what a name costs. A program in a container asks for another container's name 1,000 times a
 * second for five seconds, by turns with the same under dockerd; medians from sending to receiving. Prints and ends as
 * `bench.ts` does.
 */
import { busybox } from "../helpers/images.ts";
import type { TestDaemon } from "../helpers/daemon.ts";
import { prepareHybridHost, startEngines } from "./engines.ts";
import { finish, type Measurement, median } from "./report.ts";

const rounds = Number(process.env["GANTRY_BENCH_ROUNDS"] ?? 5);
const queriesASecond = 1_000;
const seconds = 5;

/** Prints the median time of an answer in ms, and fails when one of them is missing. */
const askScript = `
const [name, perSecond, seconds] = process.argv.slice(1);
const question = Buffer.concat([...name.split(".").map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)])),
  Buffer.from([0, 0, 1, 0, 1])]);
const total = Number(perSecond) * Number(seconds);
const sent = new Float64Array(total);
const times = [];
const socket = require("node:dgram").createSocket("udp4");
await new Promise((resolve) => socket.connect(53, "127.0.0.11", resolve));
const done = new Promise((resolve, reject) => {
  setTimeout(() => reject(new Error(times.length + " of " + total + " answers")), (Number(seconds) + 5) * 1000);
  socket.on("message", (answer) => {
    if ((answer[3] & 0xf) !== 0 || answer.readUInt16BE(6) !== 1) reject(new Error("a wrong answer"));
    times.push(performance.now() - sent[answer.readUInt16BE(0)]);
    if (times.length === total) resolve();
  });
});
const begun = performance.now();
let next = 0;
const timer = setInterval(() => {
  const due = Math.min(total, Math.floor((performance.now() - begun) / 1000 * Number(perSecond)));
  for (; next < due; next++) {
    const header = Buffer.alloc(12);
    header.writeUInt16BE(next, 0);
    header.writeUInt16BE(0x0100, 2);
    header.writeUInt16BE(1, 4);
    sent[next] = performance.now();
    socket.send(Buffer.concat([header, question]));
  }
  if (next === total) clearInterval(timer);
}, 1);
await done;
console.log(times.sort((a, b) => a - b)[times.length >> 1]);
process.exit(0);`;

async function setUp(daemon: TestDaemon): Promise<void> {
  await daemon.dockerOk(["network", "create", "gt-bench"]);
  for (const name of ["target", "asker"])
    await daemon.dockerOk(["run", "-d", "--name", name, "--network", "gt-bench", busybox, "sleep", "3600"]);
}

async function sample(daemon: TestDaemon): Promise<number> {
  const pid = await daemon.dockerOk(["inspect", "-f", "{{.State.Pid}}", "asker"]);
  const script = `(async () => {${askScript}})().catch((error) => { console.error(error.message); process.exit(1); })`;
  const asker = [process.execPath, "--input-type=commonjs", "-e", script, "target"];
  const command = ["nsenter", "-t", pid, "-n", "--", ...asker, String(queriesASecond), String(seconds)];
  const { code, stdout, stderr } = await daemon.host.run(command, { timeoutMs: 30_000 });
  if (code !== 0) throw new Error(stderr);
  return Number(stdout);
}

async function measure(): Promise<Measurement[]> {
  await using engines = await startEngines();
  const samples: [number[], number[]] = [[], []];
  for (const daemon of [engines.gantry, engines.docker]) await setUp(daemon);
  for (let round = -1; round < rounds; round++)
    for (const [i, daemon] of [engines.gantry, engines.docker].entries()) {
      const tookMs = await sample(daemon);
      if (round >= 0) samples[i]!.push(tookMs);
    }
  const [gantry, other] = samples.map(median) as [number, number];
  const name = `a container's name at ${queriesASecond} queries a second`;
  return [
    { name, unit: "ms", gantry, other: 1, otherName: "1 ms", ratio: gantry, limit: 1 },
    { name, unit: "ms", gantry, other, otherName: "dockerd", ratio: gantry / other, limit: 1.5 },
  ];
}

await prepareHybridHost();
process.stderr.write(`bench: ${rounds} rounds\n`);
finish(await measure(), rounds);

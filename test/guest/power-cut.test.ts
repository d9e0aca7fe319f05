/**
 * `npm run test:powercut`: a machine whose power goes while its daemon works. A guest makes things and says on its console
 * what was acknowledged; qemu is killed in the middle, with what the guest has not flushed to its disk; the next boot must
 * have everything that was acknowledged, run what restart policies want, and find nothing wrong (`gantry system check`).
 *
 * GANTRY_POWER_CUTS is how many (50), GANTRY_POWER_SEED repeats the moments. GANTRY_TEST_KVM=1 does not emulate the processor.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { once } from "node:events";
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { prepareSupplies } from "../crash/supplies.ts";
import { randomFrom } from "../crash/load.ts";
import { TestDaemon } from "../helpers/daemon.ts";
import { ensureBusybox } from "../helpers/images.ts";
import { mustRun } from "../helpers/process.ts";
import { cloudKernel, type Kernel, makeDisk, makeInitramfs } from "./image.ts";
import { makeOverlay, rawSize } from "./qcow2.ts";
import { machineWords } from "./run-guest.ts";

const cuts = Number(process.env["GANTRY_POWER_CUTS"] ?? 50);
const seed = Number(process.env["GANTRY_POWER_SEED"] ?? randomInt(1_000_000));
const phases = ["pull", "build", "create", "records"] as const;
const bootLimitMs = 600_000;
/** At so many acknowledged requests, and so much later, the power goes at the latest. */
const mostAnswers = 8;
const longestAfterMs = 1_500;

/** What was acknowledged, by kind and name; undefined while a request is under way. */
class Acknowledged {
  readonly #states = new Map<string, string | undefined>();

  note(line: string): void {
    const [, verb, kind, name, state] = /^(try|ack) (\w+) (\S+) (\S+)$/.exec(line) ?? [];
    if (verb !== undefined) this.#states.set(`${kind} ${name}`, verb === "ack" ? state : undefined);
  }

  /** The guest removes all containers before it goes on. */
  forgetContainers(): void {
    for (const key of this.#states.keys()) if (key.startsWith("container ")) this.#states.delete(key);
  }

  get size(): number {
    return this.#states.size;
  }

  /** What is not as it was acknowledged. What was under way is taken as it came out. */
  compare(found: ReadonlyMap<string, string>): string[] {
    const wrong: string[] = [];
    for (const [key, state] of this.#states) {
      const actual = found.get(key) ?? "absent";
      if (state === undefined) {
        this.#states.set(key, actual);
        continue;
      }
      // What no policy starts again ended with the machine.
      const isRunning =
        state === "running" && key.startsWith("container stopped-") ? ["running", "exited"] : [state];
      if (!isRunning.includes(actual)) wrong.push(`${key} was acknowledged as ${state} and is ${actual}`);
    }
    return wrong;
  }
}

interface Boot {
  readonly kernel: Kernel;
  readonly initramfs: string;
  readonly system: string;
  readonly data: string;
  readonly cut: number;
  readonly phase: string;
}

function startMachine({ kernel, initramfs, system, data, cut, phase }: Boot): ChildProcess {
  return spawn(
    "qemu-system-x86_64",
    [
      "-nographic",
      "-no-reboot",
      ...machineWords,
      ..."-smp 2 -m 1536 -nic none".split(" "),
      "-kernel",
      kernel.image,
      "-initrd",
      initramfs,
      "-append",
      `console=ttyS0 quiet panic=-1 no_timer_check mitigations=off guest=power-cut cut=${cut} phase=${phase}`,
      // The system's own disk is as new at each boot.
      "-drive",
      `file=${system},format=raw,if=virtio,cache=unsafe,snapshot=on`,
      // A large cache: allocations stay in memory until the guest flushes.
      "-drive",
      `file=${data},format=qcow2,if=virtio,cache=writeback,l2-cache-size=8M`,
    ],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
}

interface Session {
  readonly found: Map<string, string>;
  readonly complaints: string[];
}

/** Boots, reads what is there, compares, lets it work, and cuts its power. */
async function bootAndCut(boot: Boot, known: Acknowledged, random: () => number): Promise<Session> {
  const session: Session = { found: new Map(), complaints: [] };
  const machine = startMachine(boot);
  const ended = once(machine, "exit");
  const limit = setTimeout(() => machine.kill("SIGKILL"), bootLimitMs);
  let answersLeft = 1 + Math.floor(random() * mostAnswers);
  let isVerified = false;
  let isWorking = false;
  const last: string[] = [];
  try {
    for await (const raw of createInterface({ input: machine.stdout! })) {
      const line = raw.replace(/\r$/, "");
      last.push(line);
      if (process.env["GANTRY_TEST_GUEST_CONSOLE"] !== undefined) process.stderr.write(`${line}\n`);
      const [, kind, name, state] = /^have (\w+) (\S+) (\S+)$/.exec(line) ?? [];
      if (kind !== undefined) session.found.set(`${kind} ${name}`, state!);
      if (/^(fatal|check|kernel|broken|failed)\b/.test(line) && line !== "check 0")
        session.complaints.push(line);
      if (line.startsWith("fatal")) break;
      if (line === "verified") {
        isVerified = true;
        session.complaints.push(...known.compare(session.found));
      }
      if (line === "cleared") known.forgetContainers();
      if (isVerified) known.note(line);
      if (line === "working") isWorking = true;
      if (isWorking && line.startsWith("ack ")) answersLeft -= 1;
      if (isWorking && answersLeft <= 0) break;
    }
    // The moment is anywhere in the requests that follow; what they say until then counts.
    if (machine.exitCode === null && isWorking) {
      const reading = readOn(machine, known, session);
      await sleep(random() * longestAfterMs);
      machine.kill("SIGKILL");
      await reading;
    }
  } finally {
    machine.kill("SIGKILL");
    await ended;
    clearTimeout(limit);
  }
  if (!isWorking)
    session.complaints.push(`the guest did not come to its work:\n${last.slice(-15).join("\n")}`);
  return session;
}

async function readOn(machine: ChildProcess, known: Acknowledged, { complaints }: Session): Promise<void> {
  for await (const raw of createInterface({ input: machine.stdout! })) {
    const line = raw.replace(/\r$/, "");
    // A line that was cut off is no fact.
    known.note(line);
    if (line.startsWith("failed ")) complaints.push(line);
  }
}

/** The guest's system disk, with a registry that has images to pull and a context to build. */
async function makeSystem(kernel: Kernel, directory: string): Promise<string> {
  await using daemon = await TestDaemon.start();
  await ensureBusybox(daemon);
  const supplies = await prepareSupplies(daemon, 3);
  const registry = join(directory, "registry");
  cpSync(supplies.registryRoot, registry, { recursive: true });
  await supplies[Symbol.asyncDispose]();
  const context = join(directory, "context");
  mkdirSync(context);
  writeFileSync(
    join(context, "Dockerfile"),
    "FROM gantry/busybox\nARG n=0\nCOPY own /own\nRUN echo $n > /made\n",
  );
  writeFileSync(join(context, "own"), "what was copied\n".repeat(10_000));
  return makeDisk(kernel, directory, { "/registry": registry, "/context": context });
}

const isAsked = process.env["GANTRY_POWER_CUTS"] !== undefined;

describe(
  "power cuts",
  { skip: !isAsked && "asked for with GANTRY_POWER_CUTS or npm run test:powercut" },
  () => {
    test(`${cuts} cuts (seed ${seed})`, { timeout: 600_000 + cuts * bootLimitMs }, async () => {
      assert.ok(
        existsSync("/usr/bin/qemu-system-x86_64"),
        "qemu is missing: apt-get install qemu-system-x86",
      );
      const directory = mkdtempSync(join(tmpdir(), "gantry-test-power-"));
      try {
        const kernel = await cloudKernel();
        const initramfs = await makeInitramfs(kernel, directory);
        const system = await makeSystem(kernel, directory);
        const empty = join(directory, "data.raw");
        await mustRun(["mke2fs", "-q", "-t", "ext4", empty, "3G"], { timeoutMs: 120_000 });
        const sizeBytes = rawSize(empty);
        let below: { path: string; format: "raw" | "qcow2" } = { path: empty, format: "raw" };
        const known = new Acknowledged();
        const random = randomFrom(seed);
        // The last boot only looks.
        for (let cut = 0; cut <= cuts; cut += 1) {
          const data = join(directory, `data-${cut}.qcow2`);
          makeOverlay(data, below, sizeBytes);
          const phase = phases[cut % phases.length]!;
          const { complaints, found } = await bootAndCut(
            { kernel, initramfs, system, data, cut, phase },
            known,
            random,
          );
          assert.deepEqual(
            complaints,
            [],
            `after cut ${cut} (seed ${seed}); there were ${found.size} objects`,
          );
          if (cut > 0) console.log(`# ${cut} of ${cuts} cuts survived, ${known.size} objects known`);
          below = { path: data, format: "qcow2" };
        }
      } finally {
        rmSync(directory, { recursive: true, force: true });
      }
    });
  },
);

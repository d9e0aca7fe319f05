/**
 * The machine gives the daemon nothing more: no descriptors, no processes, no addresses, no lock on its database. Each is
 * injected into a daemon at work; what is asked fails with the reason and what to do, what runs goes on, nothing is lost,
 * nothing is left, and the daemon is at rest meanwhile.
 */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { DatabaseSync } from "node:sqlite";
import { describe, test } from "node:test";
import type { TestDaemon } from "../helpers/daemon.ts";
import { assertAtRest, withProcessLimit } from "../helpers/faults.ts";
import { busybox } from "../helpers/images.ts";
import { eventually, mustRun } from "../helpers/process.ts";
import { useDaemon } from "../helpers/suite.ts";

const slow = { timeoutMs: 120_000 };
const patient = { timeoutMs: 90_000 };

describe("a daemon at its limits", { skip: process.env["GANTRY_TEST_ENGINE"] === "docker" }, () => {
  // A daemon that starts anew, as the database's test has it, opens other descriptors than one that ran for a while.
  const suite = useDaemon({ leaves: ["descriptors"] });

  const state = (name: string): Promise<string> =>
    suite.daemon.dockerOk(["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", name], patient);
  const becomes = (name: string, wanted: string): Promise<void> =>
    eventually(async () => (await state(name)) === wanted, { ...slow, what: `${name} to be ${wanted}` });
  const start = (name: string, script: string, ...options: string[]): Promise<string> =>
    suite.daemon.dockerOk(["run", "-d", "--name", name, ...options, busybox, "sh", "-c", script], patient);
  const fails = async (expected: RegExp, ...args: string[]): Promise<void> => {
    const { code, stdout, stderr } = await suite.daemon.docker(args, patient);
    assert.notEqual(code, 0, `${args.join(" ")} did not fail: ${stdout}`);
    assert.match(`${stdout}${stderr}`, expected);
  };
  const works = async (name: string): Promise<void> => {
    const said = (): Promise<string> => suite.daemon.dockerOk(["logs", name], patient);
    const before = await said();
    await suite.daemon.dockerOk(["start", name], patient);
    await becomes(name, "exited 0");
    assert.equal((await said()).slice(before.length).trim(), "works");
    assert.equal(await suite.daemon.dockerOk(["run", "--rm", busybox, "echo", "new"], patient), "new");
  };

  test("no descriptors: new requests are refused in words, exits are still noted, and all works again", async () => {
    const { daemon } = suite;
    await daemon.dockerOk(["create", "--name", "made", busybox, "echo", "works"]);
    await start("box", "exec sleep 300");
    await start("ends", "trap 'exit 9' TERM; echo up; while :; do sleep 0.1; done");
    await eventually(async () => (await daemon.dockerOk(["logs", "ends"])).includes("up"), slow);
    const clients = await takeDescriptors(daemon, { limit: 256, left: 24 });
    try {
      const words = /too many open files: .* of the \d+ that it may have.*LimitNOFILE/s;
      await fails(words, "start", "made");
      await fails(words, "create", busybox);
      await fails(words, "exec", "box", "true");
      await fails(words, "logs", "box");
      await fails(words, "network", "create", "gt-faults-none");
      // What tells how things are, and what ends something, is answered.
      assert.match(await daemon.dockerOk(["ps", "--format", "{{.Names}}"]), /box/);
      await daemon.dockerOk(["kill", "-s", "TERM", "ends"]);
      await becomes("ends", "exited 9");
      await daemon.dockerOk(["rm", "-f", "ends"]);
      await assertAtRest(daemon);
    } finally {
      for (const client of clients) client.destroy();
    }
    // With the clients gone there is room again, and not a limit was raised.
    await eventually(async () => (await daemon.docker(["start", "made"], patient)).code === 0, slow);
    await becomes("made", "exited 0");
    await works("made");
    assert.equal(await daemon.dockerOk(["exec", "box", "echo", "in"]), "in");
    await allowDescriptors(daemon);
  });

  test("not one descriptor: the daemon lives, containers end as they do, and all works again", async () => {
    const { daemon } = suite;
    await daemon.dockerOk(["create", "--name", "made", busybox, "echo", "works"]);
    await start("ends", "sleep 2; echo last words; exit 9");
    await start("again", "sleep 2; exit 3", "--restart", "on-failure:50");
    const before = (await daemon.client.getContainer("again").inspect()).RestartCount;
    await takeAllDescriptors(daemon);
    try {
      assert.equal((await daemon.docker(["start", "made"], patient)).code, 1);
      await daemon.host.run(["sleep", "4"]);
      await assertAtRest(daemon);
    } finally {
      await allowDescriptors(daemon);
    }
    await becomes("ends", "exited 9");
    assert.equal(await daemon.dockerOk(["logs", "ends"]), "last words");
    await eventually(
      async () => (await daemon.client.getContainer("again").inspect()).RestartCount > before + 1,
      { ...slow, what: "its policy to start the container again" },
    );
    await works("made");
  });

  test("no processes: starts say so, exits are noted, what could not be cleaned up is cleaned up afterwards", async () => {
    const { daemon } = suite;
    await daemon.dockerOk(["create", "--name", "made", busybox, "echo", "works"]);
    await start("box", "exec sleep 300");
    await start("ends", "sleep 2; echo last words; exit 9");
    // It runs long enough that its policy's delay begins anew with each run: that must not hold for starts that fail.
    await start("again", "sleep 11; exit 3", "--restart", "on-failure:500");
    await daemon.host.run(["sleep", "9"]);
    await withProcessLimit(daemon, async () => {
      const words = /resource temporarily unavailable.*TasksMax=/s;
      await fails(words, "start", "made");
      await fails(words, "exec", "box", "true");
      await becomes("ends", "exited 9");
      await daemon.dockerOk(["kill", "box"]);
      await becomes("box", "exited 137");
      await eventually(async () => (await daemon.client.getContainer("again").inspect()).RestartCount >= 3, {
        ...slow,
        what: "attempts to start the container again",
      });
      await assertAtRest(daemon);
      const { RestartCount: count } = await daemon.client.getContainer("again").inspect();
      // The delays double: 0.1, 0.2, 0.4 … seconds. At 0.1 s each there would be hundreds.
      assert.ok(count < 20, `${count} attempts`);
    });
    await becomes("again", "running 0");
    await works("made");
    await daemon.dockerOk(["start", "box"]);
    assert.equal(await daemon.dockerOk(["exec", "box", "echo", "in"]), "in");
  });

  test("no addresses: the network is named, running ones keep theirs, and one that is given back is taken", async () => {
    const { daemon } = suite;
    await daemon.dockerOk(["network", "create", "--subnet", "10.203.9.0/29", "gt-faults-few"]);
    try {
      for (let n = 0; n < 5; n++) await start(`box${n}`, "exec sleep 300", "--network", "gt-faults-few");
      await daemon.dockerOk([
        "create",
        "--name",
        "made",
        "--network",
        "gt-faults-few",
        busybox,
        "echo",
        "works",
      ]);
      await fails(
        /no available IPv4 addresses on this network's address pools: gt-faults-few/,
        "start",
        "made",
      );
      await assertAtRest(daemon);
      await daemon.dockerOk(["rm", "-f", "box3"]);
      await works("made");
    } finally {
      await daemon.removeContainers();
      await daemon.dockerOk(["network", "rm", "gt-faults-few"]);
    }
  });

  test("a locked database: changes are refused, exits are kept and stored afterwards, the daemon answers all the time", async () => {
    const { daemon } = suite;
    await daemon.dockerOk(["create", "--name", "made", busybox, "echo", "works"]);
    await start("box", "exec sleep 300");
    await start("ends", "sleep 2; exit 9");
    await start("again", "sleep 2; exit 3", "--restart", "on-failure:500");
    const other = new DatabaseSync(`${daemon.dataRoot}/gantry.db`, { timeout: 30_000 });
    other.exec("BEGIN IMMEDIATE");
    try {
      const words = /gantry\.db: another process holds a lock on the database.*End that process/s;
      await fails(words, "create", "--name", "refused", busybox);
      await fails(words, "volume", "create", "gt-faults-refused");
      await fails(words, "network", "create", "gt-faults-refused");
      await fails(words, "start", "made");
      assert.equal(await daemon.dockerOk(["exec", "box", "echo", "in"]), "in");
      await becomes("ends", "exited 9");
      await daemon.dockerOk(["kill", "box"]);
      await becomes("box", "exited 137");
      await assertAtRest(daemon);
    } finally {
      other.exec("ROLLBACK");
      other.close();
    }
    const stored = (): string[] => {
      const reader = new DatabaseSync(`${daemon.dataRoot}/gantry.db`, { readOnly: true, timeout: 30_000 });
      const rows = reader.prepare("SELECT record FROM containers").all();
      reader.close();
      return rows.map((row) => {
        const record = JSON.parse(String(row["record"])) as {
          name: string;
          state: { status: string; exitCode: number };
        };
        return `${record.name} ${record.state.status} ${record.state.exitCode}`;
      });
    };
    await eventually(() => ["ends exited 9", "box exited 137"].every((row) => stored().includes(row)), {
      ...slow,
      what: () => `the states to be stored: ${stored().join(", ")}`,
    });
    await daemon.killHard();
    await daemon.launch();
    assert.deepEqual([await state("ends"), await state("box")], ["exited 9", "exited 137"]);
    await becomes("again", "running 0");
    assert.equal((await daemon.docker(["inspect", "refused"])).code, 1);
    assert.equal(await daemon.dockerOk(["volume", "ls", "-q"]), "");
    await works("made");
  });
});

const setLimit = (daemon: TestDaemon, limit: number): Promise<unknown> =>
  mustRun(["prlimit", "--pid", String(daemon.pid), `--nofile=${limit}:`]);
const openDescriptors = (daemon: TestDaemon): Set<number> =>
  new Set(readdirSync(`/proc/${daemon.pid}/fd`).map(Number));

async function allowDescriptors(daemon: TestDaemon): Promise<void> {
  await setLimit(daemon, 1_024);
}

/** No descriptor more than the daemon has open now. */
async function takeAllDescriptors(daemon: TestDaemon): Promise<void> {
  const open = openDescriptors(daemon);
  let limit = 0;
  while (open.has(limit)) limit++;
  await setLimit(daemon, limit);
}

/** Clients that connect and say nothing, until the daemon has so many descriptors left. */
async function takeDescriptors(
  daemon: TestDaemon,
  { limit, left }: { readonly limit: number; readonly left: number },
): Promise<Socket[]> {
  await setLimit(daemon, limit);
  const free = (): number => limit - [...openDescriptors(daemon)].filter((fd) => fd < limit).length;
  const clients = Array.from({ length: free() - left }, () => connect(daemon.socket));
  for (const client of clients) client.on("error", () => {});
  // What the daemon has open for itself comes and goes by a few.
  await eventually(() => free() < left + 10, { ...slow, what: "the clients to be taken" });
  return clients;
}

/** Published ports of a sandbox whose networks change while something stands in the way. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { conflict } from "../base/errors.ts";
import { LiveChanges, type LiveChangeParts } from "./live-changes.ts";
import { started } from "./manager.fixture.ts";
import { OpenSandboxes } from "./open-sandboxes.ts";
import type { SandboxRecord } from "./records.ts";
import { ask, serve, tcp, type TestManager } from "./network.fixture.ts";

const binding = "com.docker.network.bridge.host_binding_ipv4";

/** A container on two networks, published on 127.0.0.1 by the first and on 127.0.0.2 by the other. */
async function onTwoNetworks(manager: TestManager, hostPort: number): Promise<{ first: string }> {
  const made = [];
  for (const [name, hostIp] of [
    ["a", "127.0.0.1"],
    ["b", "127.0.0.2"],
  ] as const)
    made.push(await manager.create({ Name: name, Options: { [binding]: hostIp } }));
  const { netns } = await manager.openContainer({ id: "box", network: "a", ports: [tcp(80, hostPort)] });
  await manager.connect("box", { network: "b", aliases: [] });
  await serve(netns, 80, "here");
  assert.match((await ask(undefined, "127.0.0.1", hostPort)) ?? "", /^here /);
  return { first: made[0]!.id };
}

async function becomesPublished(manager: TestManager, hostIp: string, port: number): Promise<void> {
  const end = performance.now() + 60_000;
  while (manager.get("box")?.ports[0]?.hostIp !== hostIp) {
    assert.ok(performance.now() < end, `the ports are not published on ${hostIp}`);
    await delay(50);
  }
  assert.match((await ask(undefined, hostIp, port)) ?? "", /^here /);
}

test("ports that cannot be recorded while their network goes are published when they can be", async (t) => {
  const manager = await started(t, { bridge: "gt-liv0", bip: "10.233.0.1/24" });
  const { first } = await onTwoNetworks(manager, 8170);
  manager.database.exec(
    "CREATE TRIGGER full BEFORE DELETE ON network_ports BEGIN SELECT RAISE(ABORT, 'no room'); END",
  );
  await manager.disconnect("box", first);
  assert.deepEqual(manager.get("box")?.ports, []);
  manager.database.exec("DROP TRIGGER full");
  await becomesPublished(manager, "127.0.0.2", 8170);
});

test("ports that stay taken are recorded as unpublished once, and tried at growing distances", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const counts = { tries: 0, writes: 0 };
  let isFull = true;
  const open = new OpenSandboxes();
  const changes = new LiveChanges({
    open,
    networks: { firewall: undefined },
    records: {
      replacePorts() {
        counts.writes += 1;
        if (isFull) throw new Error("no room");
      },
    },
    ways: {
      isPublished: () => false,
      forwards: () => [],
      kindOfWayIn: () => "127.0.0.1",
      publish() {
        counts.tries += 1;
        throw conflict("port is already allocated");
      },
    },
  } as unknown as LiveChangeParts);
  t.after(() => changes.stop());
  const record = { containerId: "box", endpoints: [], ports: [], requests: [tcp(80, 8171)], wayIn: "" };
  await open.add({ record: record as unknown as SandboxRecord, publication: undefined });
  await changes.catchUp("box");
  assert.deepEqual(counts, { tries: 1, writes: 1 });
  const triesAfter = async (ms: number): Promise<number> => {
    t.mock.timers.tick(ms);
    // A try has no other waits than those of resolved promises.
    for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => void setImmediate(resolve));
    return counts.tries;
  };
  assert.equal(await triesAfter(2_000), 2);
  assert.equal(counts.writes, 2, "what could not be recorded is recorded again");
  isFull = false;
  const seen: number[] = [];
  for (const ms of [3_999, 1, 7_999, 1, 15_999, 1, 29_999, 1, 29_999, 1]) seen.push(await triesAfter(ms));
  assert.deepEqual(seen, [2, 3, 3, 4, 4, 5, 5, 6, 6, 7]);
  assert.equal(counts.writes, 3);
});

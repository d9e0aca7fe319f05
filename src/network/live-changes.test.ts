/** Published ports of a sandbox whose networks change while something stands in the way. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { started } from "./manager.fixture.ts";
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

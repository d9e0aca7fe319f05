import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import type { ErrorKind } from "../base/errors.ts";
import { RouteSocket } from "../linux/rtnetlink.ts";
import { clean, host, newRoot, rejects, started } from "./manager.fixture.ts";
import type { NetworkConfig } from "./network-config.ts";
import { testManager, traces } from "./network.fixture.ts";

test("a free pool is chosen, and kept when the host changes", async (t) => {
  execFileSync("ip", ["route", "add", "172.17.128.0/24", "via", "198.18.0.2"]);
  const root = newRoot();
  const first = testManager(root, { bridge: "gt-man9" });
  await first.restore(() => false);
  assert.equal(first.inspect("bridge").IPAM.Config?.[0]?.Subnet, "172.18.0.0/16");
  await first.shutdown({ removeAll: true });
  execFileSync("ip", ["route", "del", "172.17.128.0/24"]);
  const second = await started(t, { bridge: "gt-man9" }, root);
  assert.equal(second.inspect("bridge").IPAM.Config?.[0]?.Subnet, "172.18.0.0/16");
});

test("an administrator's bridge is used with its address, and stays", async (t) => {
  execFileSync("ip", ["link", "add", "gt-manA", "type", "bridge"]);
  t.after(() => execFileSync("ip", ["link", "del", "gt-manA"]));
  execFileSync("ip", ["addr", "add", "10.232.10.9/24", "dev", "gt-manA"]);
  const manager = testManager(newRoot(), { bridge: "gt-manA" });
  await manager.restore(() => false);
  assert.deepEqual(manager.inspect("bridge").IPAM.Config, [
    { Subnet: "10.232.10.0/24", Gateway: "10.232.10.9" },
  ]);
  await manager.openContainer({ id: "c" });
  manager.close("c");
  await manager.shutdown({ removeAll: true });
  using route = RouteSocket.open();
  assert.ok(route.link("gt-manA"));
});

test("settings that cannot work are refused", async () => {
  const refused = async (config: Partial<NetworkConfig>, kind: ErrorKind, words: RegExp): Promise<void> => {
    const manager = testManager(newRoot(), config);
    await rejects(
      manager.restore(() => false),
      kind,
      words,
    );
    await manager.shutdown({ removeAll: true });
  };
  await refused({ bridge: "gt-manB", bip: "10.232.11.0/24" }, "invalidArgument", /--bip 10\.232\.11\.0\/24/);
  await refused({ bridge: "gt-manB", bip: "10.232.11.1" }, "invalidArgument", /--bip/);
  await refused({ bridge: "gt-manB", bip: "10.232.11.1/31" }, "invalidArgument", /--bip/);
  await refused(
    { bridge: "gt-manB", bip: "10.232.11.1/24", fixedCidr: "10.9.0.0/16" },
    "invalidArgument",
    /--fixed-cidr/,
  );
  await refused({ bridge: 'x"; flush' }, "invalidArgument", /bridge name/);
  await refused({ bridge: "a-name-that-is-too-long" }, "invalidArgument", /bridge name/);
  await refused({ bridge: "wire" }, "conflict", /wire is there and is not a bridge/);
});

test("without a default bridge there are host and none", async () => {
  const manager = testManager(newRoot(), { bridge: "none" });
  await manager.restore(() => false);
  assert.deepEqual(
    manager.list().map(({ Name }) => Name),
    ["host", "none"],
  );
  await rejects(manager.openContainer(), "notFound", /network bridge not found/);
  await manager.open({ containerId: "n", containerName: "n", mode: "none", endpoints: [], ports: [] });
  manager.close("n");
  await manager.shutdown({ removeAll: true });
  assert.deepEqual(traces(host.directory).links, clean.links);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import type { HostConfig } from "../wire/container.ts";
import type { KernelLimits } from "./kernel-limits.ts";
import { checkUlimit, containerResources, containerRlimits, ownHardLimit } from "./resources.ts";

const everything: KernelLimits = {
  version: 1,
  memory: true,
  swap: true,
  swappiness: true,
  oomKillDisable: true,
  cpuShares: true,
  cpuQuota: true,
  cpuset: true,
  pids: true,
  blkioWeight: true,
  blkioThrottle: true,
};
const nothing = Object.fromEntries(
  Object.entries(everything).map(([name, value]) => [name, value === true ? false : value]),
) as unknown as KernelLimits;

test("limits of a request become those of the OCI runtime", () => {
  const table: [HostConfig, object][] = [
    [{}, {}],
    [{ Memory: 64e6, MemorySwap: 128e6 }, { memory: { limit: 64e6, swap: 128e6 } }],
    [{ Memory: 64e6, MemorySwap: -1 }, { memory: { limit: 64e6, swap: -1 } }],
    [{ MemoryReservation: 1e6, MemorySwappiness: 0 }, { memory: { reservation: 1e6, swappiness: 0 } }],
    [{ OomKillDisable: true }, { memory: { disableOOMKiller: true } }],
    [{ NanoCpus: 1.5e9 }, { cpu: { period: 100_000, quota: 150_000 } }],
    [{ CpuPeriod: 50_000, CpuQuota: 25_000 }, { cpu: { period: 50_000, quota: 25_000 } }],
    [
      { CpuShares: 512, CpusetCpus: "0-1", CpusetMems: "0" },
      { cpu: { shares: 512, cpus: "0-1", mems: "0" } },
    ],
    [{ PidsLimit: 20 }, { pids: { limit: 20 } }],
    [{ PidsLimit: -1 }, {}],
    [{ BlkioWeight: 300 }, { blockIO: { weight: 300 } }],
  ];
  for (const [host, resources] of table) {
    assert.deepEqual(
      containerResources(host, [], everything),
      { devices: [], ...resources },
      JSON.stringify(host),
    );
    assert.deepEqual(containerResources(host, [], nothing), { devices: [] }, JSON.stringify(host));
  }
});

test("ulimits become rlimits, or say what is wrong", () => {
  assert.deepEqual(containerRlimits([{ Name: "nofile", Soft: 100, Hard: 200 }], []), [
    { type: "RLIMIT_NOFILE", soft: 100, hard: 200 },
  ]);
  assert.throws(() => checkUlimit({ Name: "nope", Soft: 1, Hard: 1 }), /nope/);
  assert.throws(
    () => checkUlimit({ Name: "nofile", Soft: 2, Hard: 1 }),
    /soft limit must be less than or equal to hard limit: 2 > 1/,
  );
});

test("a hard limit is read out of /proc/PID/limits", () => {
  const limits =
    "Limit                     Soft Limit           Hard Limit           Units     \n" +
    "Max open files            1024                 4096                 files     \n" +
    "Max core file size        0                    unlimited            bytes     \n";
  assert.equal(ownHardLimit(limits, "nofile"), 4096);
  assert.equal(ownHardLimit(limits, "core"), Infinity);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import type { HostConfig } from "../wire/container.ts";
import type { KernelLimits } from "./kernel-limits.ts";
import { bfqWeights, checkUlimit, containerResources, containerRlimits, ownHardLimit } from "./resources.ts";

const everything: KernelLimits = {
  version: 1,
  memory: true,
  swap: true,
  swappiness: true,
  oomKillDisable: true,
  cpuShares: true,
  cpuQuota: true,
  cpuRealtime: true,
  cpuset: true,
  pids: true,
  blkioWeight: true,
  blkioBfq: false,
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
    [
      { CpuRealtimePeriod: 1_000_000, CpuRealtimeRuntime: 950_000 },
      { cpu: { realtimePeriod: 1_000_000, realtimeRuntime: 950_000 } },
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

test("weights of the BFQ scheduler are written beside the runtime", () => {
  const bfq = { ...everything, blkioBfq: true };
  const host = { BlkioWeight: 300, BlkioWeightDevice: [{ Path: "/dev/null", Weight: 20 }] };
  assert.deepEqual(containerResources(host, [], bfq), { devices: [] });
  assert.deepEqual(bfqWeights(host, bfq), [
    ["blkio.bfq.weight", "300"],
    ["blkio.bfq.weight_device", "1:3 20"],
  ]);
  assert.deepEqual(bfqWeights(host, everything), []);
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

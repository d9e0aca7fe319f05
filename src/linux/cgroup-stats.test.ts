import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { cgroupCounters, parseNetDev, parseSystemCpu } from "./cgroup-stats.ts";
import type { CgroupLayout } from "./cgroup.ts";

function withFiles(files: Readonly<Record<string, string>>, check: (root: string) => void): void {
  const root = mkdtempSync(join(tmpdir(), "gantry-stats-"));
  try {
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), text);
    }
    check(root);
  } finally {
    rmSync(root, { recursive: true });
  }
}

test("version 1: a directory a controller", () => {
  const files = {
    "cpuacct/x/cpuacct.usage": "5000\n",
    "cpuacct/x/cpuacct.usage_percpu": "2000 3000 \n",
    "cpuacct/x/cpuacct.stat": "user 3\nsystem 2\n",
    "cpu/x/cpu.stat": "nr_periods 4\nnr_throttled 1\nthrottled_time 77\n",
    "memory/x/memory.usage_in_bytes": "4096\n",
    "memory/x/memory.max_usage_in_bytes": "8192\n",
    "memory/x/memory.failcnt": "2\n",
    "memory/x/memory.limit_in_bytes": "9223372036854771712\n",
    "memory/x/memory.stat": "cache 1\ntotal_inactive_file 1024\n",
    "pids/x/pids.current": "3\n",
    "pids/x/pids.max": "max\n",
    "blkio/x/blkio.throttle.io_service_bytes_recursive": "8:0 Read 10\n8:0 Write 20\nTotal 30\n",
  };
  withFiles(files, (root) => {
    const names = ["cpu", "cpuacct", "memory", "pids", "blkio"];
    const layout: CgroupLayout = {
      version: 1,
      isHybrid: false,
      roots: new Map(),
      v1: new Map(names.map((name) => [name, join(root, name)])),
      unified: undefined,
    };
    const counters = cgroupCounters(layout, "/x");
    assert.deepEqual(counters.cpu, {
      totalNs: 5000,
      userNs: 3e7,
      kernelNs: 2e7,
      perCpuNs: [2000, 3000],
      periods: 4,
      throttledPeriods: 1,
      throttledNs: 77,
    });
    assert.equal(counters.memory?.usageBytes, 4096);
    assert.equal(counters.memory?.maxUsageBytes, 8192);
    assert.equal(counters.memory?.details["total_inactive_file"], 1024);
    assert.deepEqual(counters.pids, { current: 3, limit: undefined });
    assert.deepEqual(counters.blockBytes, [
      { major: 8, minor: 0, operation: "Read", value: 10 },
      { major: 8, minor: 0, operation: "Write", value: 20 },
    ]);
    assert.equal(counters.blockOperations, undefined);
    assert.equal(cgroupCounters(layout, "/gone").cpu, undefined);
  });
});

test("version 2: one directory", () => {
  const files = {
    "x/cpu.stat":
      "usage_usec 5\nuser_usec 3\nsystem_usec 2\nnr_periods 4\nnr_throttled 1\nthrottled_usec 7\n",
    "x/memory.current": "4096\n",
    "x/memory.max": "16384\n",
    "x/memory.stat": "inactive_file 1024\n",
    "x/memory.events": "low 0\noom 3\noom_kill 1\n",
    "x/pids.current": "3\n",
    "x/pids.max": "10\n",
    "x/io.stat": "8:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n",
  };
  withFiles(files, (root) => {
    const layout: CgroupLayout = {
      version: 2,
      isHybrid: false,
      v1: new Map(),
      unified: root,
      roots: new Map(),
    };
    const counters = cgroupCounters(layout, "/x");
    assert.deepEqual([counters.cpu?.totalNs, counters.cpu?.throttledNs], [5000, 7000]);
    assert.deepEqual([counters.memory?.limitBytes, counters.memory?.failures], [16384, 3]);
    assert.deepEqual(counters.pids, { current: 3, limit: 10 });
    assert.deepEqual(
      counters.blockOperations?.map(({ operation, value }) => [operation, value]),
      [
        ["read", 1],
        ["write", 2],
      ],
    );
  });
});

test("the machine's processors and a namespace's interfaces", () => {
  const stat = "cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 1 2 3 4 5 6 7 8 9 10\ncpu1 0 0 0 0 0 0 0 0 0 0\nintr 5\n";
  assert.deepEqual(parseSystemCpu(stat), { totalNs: 28e7, onlineCpus: 2 });
  const dev =
    "Inter-|   Receive\n face |bytes packets\n    lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n  eth0:    5 4 3 2 0 0 0 0 9 8 7 6 0 0 0 0\n";
  assert.deepEqual(
    [...parseNetDev(dev)],
    [
      [
        "eth0",
        {
          rx: { bytes: 5, packets: 4, errors: 3, dropped: 2 },
          tx: { bytes: 9, packets: 8, errors: 7, dropped: 6 },
        },
      ],
    ],
  );
});

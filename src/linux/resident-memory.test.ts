import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { getHeapStatistics } from "node:v8";
import { cleanFileMappings, collectGarbage, releaseFilePages } from "./resident-memory.ts";

function mapping(head: string, sizes: Record<string, number>): string {
  const all = { Rss: 4096, Anonymous: 0, Private_Dirty: 0, Locked: 0, ...sizes };
  return `${head}\n${Object.entries(all)
    .map(([key, kb]) => `${key}: ${kb} kB\n`)
    .join("")}VmFlags: rd mr\n`;
}

test("only unchanged pages of files are taken for giving back", () => {
  const smaps = [
    mapping("00400000-00800000 r-xp 00000000 fe:00 123    /usr/bin/node", {}),
    mapping("00800000-00c00000 r--p 00400000 fe:00 123    /usr/bin/node", {}),
    mapping("01000000-01400000 r--p 00800000 fe:00 123    /usr/bin/node", {
      Anonymous: 24,
      Private_Dirty: 24,
    }),
    mapping("02000000-02400000 rw-p 00c00000 fe:00 123    /usr/bin/node", {}),
    mapping("03000000-03400000 r-xs 00000000 fe:00 123    /usr/lib/shared", {}),
    mapping("04000000-04400000 r-xp 00000000 00:00 0 ", {}),
    mapping("05000000-05400000 r-xp 00000000 fe:00 9    /usr/lib/small.so", { Rss: 64 }),
    mapping("06000000-06400000 r-xp 00000000 fe:00 9    /usr/lib/locked.so", { Locked: 4096 }),
  ].join("");
  assert.deepEqual(cleanFileMappings(smaps), [
    { start: 0x400000n, lengthBytes: 0x400000 },
    { start: 0x800000n, lengthBytes: 0x400000 },
  ]);
});

test("this process goes on with less memory", () => {
  const residentKb = (): number =>
    Number(/^Rss: +(\d+)/m.exec(readFileSync("/proc/self/smaps_rollup", "utf8"))![1]);
  const before = residentKb();
  releaseFilePages();
  assert.ok(residentKb() < before, "nothing was given back");
  // Code that was dropped comes back when it is called.
  assert.equal(JSON.stringify(JSON.parse('{"still":["works"]}')), '{"still":["works"]}');
});

test("what nobody refers to is collected", () => {
  const usedBytes = (): number => getHeapStatistics().used_heap_size;
  // In a call of its own: what a frame that goes on has had in a register counts as referred to.
  const grow = (): number => {
    const burst = Array.from({ length: 1_000_000 }, (_, index) => ({ index }));
    const grown = usedBytes();
    assert.equal(burst.length, 1_000_000);
    return grown;
  };
  collectGarbage();
  const before = usedBytes();
  const grown = grow();
  assert.ok(grown > before + 20e6, `${before} bytes, ${grown} with the burst`);
  collectGarbage();
  const left = usedBytes();
  assert.ok(left < before + (grown - before) / 4, `${before} bytes, ${grown} with the burst, ${left} after`);
});

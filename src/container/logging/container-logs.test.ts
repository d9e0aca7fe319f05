import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { parseRfc3339Ns } from "../../base/time.ts";
import type { ContainerRecord } from "../container.ts";
import { ContainerLogs, jsonFilePath, type LogRead } from "./container-logs.ts";

test("a log whose clock was put back: --since and --until take each line by its time", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "gantry-test-logs-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const lines = [
    ["2036", "wrong"],
    ["2026", "right"],
    ["2027", "later"],
  ].map(([year, log]) =>
    JSON.stringify({ log: `${log}\n`, stream: "stdout", time: `${year}-01-01T00:00:00Z` }),
  );
  writeFileSync(jsonFilePath(directory, "id"), `${lines.join("\n")}\n`);
  const logs = new ContainerLogs(() => ({ directory, raw: join(directory, "container.log") }));
  const container = {
    id: "id",
    hostConfig: { LogConfig: { Type: "json-file", Config: {} } },
    state: { status: "exited" },
  } as unknown as ContainerRecord;
  const read = async (bounds: Partial<LogRead>): Promise<string[]> => {
    const { signal } = new AbortController();
    const all: LogRead = {
      stdout: true,
      stderr: true,
      follow: false,
      tail: undefined,
      sinceNs: 0n,
      untilNs: 0n,
      signal,
    };
    const found: string[] = [];
    for await (const block of await logs.read(container, { ...all, ...bounds }))
      for (const { line } of block) found.push(line.toString().trimEnd());
    return found;
  };
  const at = (year: number): bigint => parseRfc3339Ns(`${year}-06-01T00:00:00Z`)!;
  assert.deepEqual(await read({}), ["wrong", "right", "later"]);
  assert.deepEqual(await read({ untilNs: at(2026) }), ["right"]);
  assert.deepEqual(await read({ sinceNs: at(2026) }), ["wrong", "later"]);
  assert.deepEqual(await read({ sinceNs: at(2025), untilNs: at(2030) }), ["right", "later"]);
});

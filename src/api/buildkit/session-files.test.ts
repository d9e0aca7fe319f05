import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryBudget } from "../../base/memory-budget.ts";
import { packetTypes } from "../../wire/buildkit/filesync.ts";
import type { ClientSession } from "./client-session.ts";
import { remoteDirectory } from "./session-files.ts";

const stats = [
  ...["a", "b"].map((path) => ({
    type: packetTypes.stat,
    stat: { path, mode: 0o644, linkname: "", xattrs: new Map() },
  })),
  { type: packetTypes.stat },
];

/** A client that sends these packets, and then nothing more. */
function sessionOf(packets: readonly unknown[]): ClientSession {
  const left = [...packets];
  const session = {
    id: "s",
    sharedKey: "",
    serves: () => true,
    connection: {
      open: () => ({
        receive: () => Promise.resolve(left.shift()),
        send: () => {},
        end: () => {},
        cancel: () => {},
        outcome: Promise.resolve(undefined),
      }),
    },
  };
  return session as unknown as ClientSession;
}

async function list(packets: readonly unknown[]): Promise<string[]> {
  const signal = new AbortController().signal;
  await using listing = await remoteDirectory(sessionOf(packets), "context").open({
    include: [],
    exclude: [],
    followPaths: [],
    signal,
  });
  const names: string[] = [];
  for await (const { path } of listing.files) names.push(path);
  assert.ok(MemoryBudget.keptBytes > 1_000, String(MemoryBudget.keptBytes));
  return names;
}

test("a client's list counts as kept in memory until it is closed, in good order or not", async () => {
  assert.deepEqual(await list([...stats, { type: packetTypes.finished }]), ["a", "b"]);
  assert.equal(MemoryBudget.keptBytes, 0);
  // The client goes away before its end.
  assert.deepEqual(await list(stats), ["a", "b"]);
  assert.equal(MemoryBudget.keptBytes, 0);
  const fault = { type: packetTypes.error, data: Buffer.from("no such directory") };
  await assert.rejects(list([stats[0], fault]), /cannot read the client's files: .*no such directory/);
  assert.equal(MemoryBudget.keptBytes, 0);
});

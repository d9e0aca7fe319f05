import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { DatagramReceiver } from "../../test/helpers/datagram-receiver.ts";
import { UnixDatagram } from "./unix-datagram.ts";

test("packets come, and a receiver that does not read holds nobody up for longer than they want", async () => {
  const directory = mkdtempSync(join(tmpdir(), "gantry-datagram-"));
  try {
    using receiver = new DatagramReceiver(join(directory, "socket"));
    using sender = UnixDatagram.connect(receiver.path);
    await sender.send(Buffer.from("first"));
    assert.deepEqual(receiver.received(), ["first"]);
    // The kernel's queue (net.unix.max_dgram_qlen) has some hundred places at most.
    const fill = async (signal: AbortSignal): Promise<void> => {
      for (let n = 0; n < 100_000; n++) await sender.send(Buffer.from("more"), signal);
    };
    await assert.rejects(fill(AbortSignal.timeout(200)), { name: "TimeoutError" });
    assert.equal(receiver.received().at(-1), "more");
    await sender.send(Buffer.from("last"));
    assert.equal(receiver.received().at(-1), "last");
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("nobody at an abstract name is an error", async () => {
  assert.throws(() => UnixDatagram.connect(`@gantry-nobody-${process.pid}`), /connect to @gantry-nobody/);
});

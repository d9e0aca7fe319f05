import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { isKind } from "../base/errors.ts";
import { libc } from "./libc.ts";
import { connectSeqpacket } from "./seqpacket.ts";

const socket = libc.func("int socket(int domain, int type, int protocol)");
const bind = libc.func("int bind(int fd, void *address, unsigned int length)");
const listen = libc.func("int listen(int fd, int backlog)");
const accept = libc.func("int accept(int fd, void *a, void *b)");
const recv = libc.func("int64 recv(int fd, void *buffer, size_t length, int flags)");
const send = libc.func("int64 send(int fd, void *buffer, size_t length, int flags)");
const close = libc.func("int close(int fd)");

/** A listening socket in a directory whose path is far longer than a socket address. */
function server(): { path: string; fd: number; [Symbol.dispose](): void } {
  const root = mkdtempSync(join(tmpdir(), "gt-seqpacket-"));
  const directory = join(root, "x".repeat(120));
  mkdirSync(directory);
  const before = process.cwd();
  const name = Buffer.alloc(110);
  name.writeUInt16LE(1, 0);
  name.write("attach", 2);
  const fd = socket(1, 5, 0);
  process.chdir(directory);
  bind(fd, name, name.length);
  process.chdir(before);
  listen(fd, 5);
  return {
    path: join(directory, "attach"),
    fd,
    [Symbol.dispose]() {
      close(fd);
      rmSync(root, { recursive: true });
    },
  };
}
const openFds = () => readdirSync("/proc/self/fd").length;

test("packets both ways, end of input, end of output", async () => {
  const before = openFds();
  {
    using listener = server();
    const client = connectSeqpacket(listener.path, 8193);
    const peer = accept(listener.fd, null, null);
    const buffer = Buffer.alloc(100);
    await client.send(Buffer.from("hello"));
    assert.equal(Number(recv(peer, buffer, 100, 0)), 5);
    client.endWrites();
    assert.equal(Number(recv(peer, buffer, 100, 0)), 0);
    await assert.rejects(client.send(Buffer.from("x")));
    const packets: string[] = [];
    const ended = new Promise<void>((resolve) =>
      client.read(
        (packet) => {
          packets.push(packet.toString());
          return true;
        },
        () => resolve(),
      ),
    );
    for (const text of ["one", "two", "three"]) send(peer, Buffer.from(text), text.length, 0);
    close(peer);
    await ended;
    assert.deepEqual(packets, ["one", "two", "three"]);
  }
  assert.equal(openFds(), before);
});

test("a paused reader loses nothing and goes on", async () => {
  using listener = server();
  const client = connectSeqpacket(listener.path, 8193);
  const peer = accept(listener.fd, null, null);
  const packets: number[] = [];
  const { promise: ended, resolve } = Promise.withResolvers<void>();
  client.read(
    (packet) => {
      packets.push(packet[0]!);
      return packets.length % 3 !== 0;
    },
    () => resolve(),
  );
  for (let index = 0; index < 10; index += 1) send(peer, Buffer.from([index]), 1, 0);
  close(peer);
  await sleep(20);
  assert.equal(packets.length, 3);
  const timer = setInterval(() => client.resume(), 2);
  await ended;
  clearInterval(timer);
  assert.deepEqual(
    packets,
    Array.from({ length: 10 }, (_, index) => index),
  );
});

test("sends wait for a full socket", async () => {
  using listener = server();
  const client = connectSeqpacket(listener.path, 8193);
  const peer = accept(listener.fd, null, null);
  let sent = 0;
  const sendOne = async (): Promise<void> => {
    await client.send(Buffer.alloc(8192));
    sent += 1;
  };
  const all = Promise.all(Array.from({ length: 300 }, sendOne));
  await sleep(20);
  assert.ok(sent < 300, String(sent));
  const buffer = Buffer.alloc(9000);
  for (let read = 0; read < 300;) {
    if (Number(recv(peer, buffer, 9000, 0x40)) > 0) read += 1;
    else await sleep(1);
  }
  await all;
  client.close();
  close(peer);
});

test("nobody listens: notFound", () => {
  assert.throws(
    () => connectSeqpacket("/tmp/gt-none/attach", 10),
    (error) => (error as NodeJS.ErrnoException).code === "ENOENT",
  );
  using listener = server();
  assert.throws(
    () => connectSeqpacket(`${listener.path}2`, 10),
    (error) => isKind(error, "notFound"),
  );
});

test("a server that closes without reading all of ours has its last packets read", async () => {
  using listener = server();
  const client = connectSeqpacket(listener.path, 8193);
  const peer = accept(listener.fd, null, null);
  await client.send(Buffer.from("never read"));
  send(peer, Buffer.from("last words"), 10, 0);
  close(peer);
  const packets: string[] = [];
  const error = await new Promise<Error | undefined>((resolve) =>
    client.read((packet) => {
      packets.push(packet.toString());
      return true;
    }, resolve),
  );
  assert.deepEqual([packets, error], [["last words"], undefined]);
});

test("a connection is accepted when the server has accepted it", () => {
  using listener = server();
  const client = connectSeqpacket(listener.path, 8193);
  assert.equal(client.isAccepted(), false);
  const peer = accept(listener.fd, null, null);
  assert.equal(client.isAccepted(), true);
  close(peer);
  assert.equal(client.isAccepted(), true);
  client.close();
});

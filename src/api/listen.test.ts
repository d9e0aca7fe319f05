import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { spawn } from "node:child_process";
import { test } from "node:test";
import { isKind } from "../base/errors.ts";
import { log } from "../base/log.ts";
import { type ListenAddress, parseListenAddress } from "./listen.ts";
import { createApiServer } from "./server.ts";
import { fakeBuilder, fakeEngine } from "./test-support.ts";

const addresses: readonly [spec: string, address: ListenAddress | undefined][] = [
  ["unix:///run/x.sock", { type: "unix", path: "/run/x.sock" }],
  ["unix://x.sock", undefined],
  ["unix://", undefined],
  ["tcp://", { type: "tcp", host: "127.0.0.1", port: 2375 }],
  ["tcp://:4243", { type: "tcp", host: "127.0.0.1", port: 4243 }],
  ["tcp://0.0.0.0:1", { type: "tcp", host: "0.0.0.0", port: 1 }],
  ["tcp://host", { type: "tcp", host: "host", port: 2375 }],
  ["tcp://[::1]:2", { type: "tcp", host: "::1", port: 2 }],
  ["tcp://[::1", undefined],
  ["tcp://h:65536", undefined],
  ["tcp://h:x", undefined],
  ["http://h:1", undefined],
  ["fd://", { type: "fd", fd: undefined }],
  ["fd://*", { type: "fd", fd: undefined }],
  ["fd://4", { type: "fd", fd: 4 }],
  ["fd://x", undefined],
  ["fd:///run/x.sock", undefined],
  ["", undefined],
];

for (const [spec, address] of addresses) {
  test(`address "${spec}"`, () => {
    if (address !== undefined) assert.deepEqual(parseListenAddress(spec), address);
    else
      assert.throws(
        () => parseListenAddress(spec),
        (error) => isKind(error, "invalidArgument"),
      );
  });
}

function newApi(warnings: string[] = []): ReturnType<typeof createApiServer> {
  return createApiServer({
    engine: fakeEngine({}),
    builder: fakeBuilder(),
    versionInfo: { version: "0.1.0" },
    log: { ...log, info: () => {}, warn: (message) => void warnings.push(message) },
  });
}

function withDirectory(): Disposable & { readonly path: string } {
  const path = mkdtempSync(join(tmpdir(), "gantry-api-listen-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

test("several listeners serve the same API and are closed cleanly", async () => {
  using directory = withDirectory();
  const path = join(directory.path, "made", "api.sock");
  const warnings: string[] = [];
  const api = newApi(warnings);
  const [unix, loopback, all] = await api.listen([`unix://${path}`, "tcp://127.0.0.1:0", "tcp://0.0.0.0:0"]);
  assert.equal(unix, `unix://${path}`);
  assert.equal(statSync(path).mode & 0o777, 0o660);
  for (const address of [loopback, all]) {
    const answer = await fetch(`${address!.replace("tcp:", "http:").replace("0.0.0.0", "127.0.0.1")}/_ping`);
    assert.equal(await answer.text(), "OK");
  }
  assert.equal(warnings.length, 1);
  assert.match(warnings[0]!, /without encryption/);
  await api.close();
  assert.equal(existsSync(path), false);
});

test("the socket belongs to the group, by name or number", async () => {
  using directory = withDirectory();
  const path = join(directory.path, "api.sock");
  for (const group of ["daemon", "1"]) {
    const api = newApi();
    await api.listen([`unix://${path}`], { group });
    assert.equal(statSync(path).gid, 1);
    await api.close();
  }
  await assert.rejects(newApi().listen([`unix://${path}`], { group: "no-such-group" }), /no-such-group/);
});

test("a stale socket is replaced, a living one and a file are not", async () => {
  using directory = withDirectory();
  const path = join(directory.path, "api.sock");
  // A process that is killed leaves its socket behind.
  const program = `require("net").createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, "SIGKILL"))`;
  await once(spawn(process.execPath, ["-e", program]), "exit");
  assert.ok(existsSync(path));
  const api = newApi();
  await api.listen([`unix://${path}`]);
  await assert.rejects(newApi().listen([`unix://${path}`]), /another daemon is listening there/);
  await api.close();
  writeFileSync(path, "precious");
  await assert.rejects(newApi().listen([`unix://${path}`]), /no socket/);
  assert.ok(existsSync(path));
});

test("when one address cannot be had none stays open", async () => {
  using directory = withDirectory();
  const path = join(directory.path, "api.sock");
  const other = createServer().listen(0, "127.0.0.1");
  await once(other, "listening");
  const { port } = other.address() as { port: number };
  const api = newApi();
  await assert.rejects(
    api.listen([`unix://${path}`, `tcp://127.0.0.1:${port}`]),
    (error) => isKind(error, "unavailable") && /EADDRINUSE/.test(error.message),
  );
  assert.equal(existsSync(path), false);
  other.close();
});

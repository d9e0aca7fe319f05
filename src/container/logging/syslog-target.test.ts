import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { test } from "node:test";
import { SyslogTarget } from "./syslog-target.ts";

test("a server that accepts and says nothing holds up neither the end of the log nor what waits for it", async (t) => {
  const accepted: Socket[] = [];
  const server = createServer((socket) => {
    socket.on("error", () => {});
    accepted.push(socket);
  });
  t.after(() => {
    for (const socket of accepted) socket.destroy();
    server.close();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const target = new SyslogTarget({ "syslog-address": `tcp+tls://127.0.0.1:${port}` }, "tag", undefined);
  const connected = assert.rejects(target.connect(), /the log was closed/);
  await once(server, "connection");
  await target.close();
  await connected;
  await assert.rejects(target.connect(), /the log was closed/);
});

test("a server that never answers is given up", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const server = createServer((socket) => socket.on("error", () => {}));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const target = new SyslogTarget({ "syslog-address": `tcp+tls://127.0.0.1:${port}` }, "tag", undefined);
  const connected = assert.rejects(target.connect(), /did not answer within 10 s/);
  await once(server, "connection");
  t.mock.timers.tick(10_000);
  await connected;
});

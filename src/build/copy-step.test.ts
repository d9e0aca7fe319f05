import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import type { BuildEvent } from "./build.ts";
import { testBuilder } from "./builder.fixture.ts";

test("what ADD downloads is shown without the password in its address", async () => {
  await using it = await testBuilder();
  const server = createServer((_request, response) => response.end("text"));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  try {
    const place = `127.0.0.1:${(server.address() as AddressInfo).port}/file`;
    const buildArgs = { PLACE: `user:token@${place}`, SUM: `sha256:${"0".repeat(64)}` };
    const Dockerfile = 'FROM scratch\nARG PLACE\nARG SUM\nADD --checksum=$SUM "http://$PLACE" /file\n';
    const events: BuildEvent[] = [];
    const building = it.build({ Dockerfile }, { buildArgs, onEvent: (event) => events.push(event) });
    await assert.rejects(building, (error: Error) => {
      assert.match(error.message, /^digest mismatch sha256:/);
      assert.ok(error.message.endsWith(` for http://xxxxx:xxxxx@${place}`), error.message);
      return true;
    });
    const names = new Set(events.flatMap((event) => (event.kind === "vertex" ? [event.name] : [])));
    assert.ok(names.has(`http://xxxxx:xxxxx@${place}`), [...names].join("\n"));
    const plain = `FROM scratch\nADD http://user:token@${place} /file\n`;
    const built = await it.build({ Dockerfile: plain }, { onEvent: (event) => events.push(event) });
    const titles = events.flatMap((event) =>
      event.kind === "vertex" ? [event.name] : event.kind === "step" ? [event.text] : [],
    );
    assert.ok(titles.includes(`[2/2] ADD http://xxxxx:xxxxx@${place} /file`), titles.join("\n"));
    const records = await it.builder.cacheList();
    const told = JSON.stringify([titles, built.images[0]!.config.history, records]);
    assert.doesNotMatch(told, /user:|token/);
    assert.match(told, /xxxxx:xxxxx@127/);
  } finally {
    server.close();
    server.closeAllConnections();
  }
});

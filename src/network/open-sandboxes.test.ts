import assert from "node:assert/strict";
import { test } from "node:test";
import { OpenSandboxes } from "./open-sandboxes.ts";
import type { SandboxRecord } from "./records.ts";

const record: SandboxRecord = {
  containerId: "c1",
  containerName: "web",
  path: "/run/web",
  endpoints: [],
  ports: [],
};

test("a watcher that fails keeps neither a sandbox from closing nor others from hearing of it", async () => {
  const open = new OpenSandboxes();
  const heard: string[] = [];
  open.watch({
    closed: () => {
      throw new Error("no room for a change of the firewall");
    },
  });
  open.watch({ closed: ({ containerId }) => heard.push(containerId) });
  await open.add({ record, publication: undefined });
  assert.equal(open.remove("c1")?.record, record);
  assert.deepEqual(heard, ["c1"]);
  assert.equal(open.get("c1"), undefined);
});

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { deviceEdits } from "./cdi.ts";

const gpus = `
cdiVersion: 0.6.0
kind: example.com/gpu
containerEdits:
  env: [COMMON=yes]
devices:
  - name: "10"
    containerEdits: {env: [TENTH=1]}
  - name: "2"
    containerEdits:
      deviceNodes: [{path: /dev/second, hostPath: /dev/null, permissions: rw}]
      mounts: [{hostPath: /usr/lib, containerPath: /gpu/lib}]
      hooks: [{hookName: createContainer, path: /bin/true, args: [true]}]
      additionalGids: [44]
  - name: all
    containerEdits: {env: [EVERY=1]}
`;

describe("CDI devices", () => {
  let root: string;
  let directories: string[];
  before(() => {
    root = mkdtempSync(join(tmpdir(), "gantry-cdi-"));
    directories = ["low", "high", "missing"].map((name) => join(root, name));
    for (const directory of directories.slice(0, 2)) mkdirSync(directory);
    writeFileSync(join(root, "low/gpu.yaml"), gpus);
    writeFileSync(join(root, "low/broken.json"), "{");
    const fpga = (env: string): string =>
      JSON.stringify({ kind: "example.com/fpga", devices: [{ name: "a", containerEdits: { env: [env] } }] });
    writeFileSync(join(root, "low/fpga.json"), fpga("FROM=low"));
    writeFileSync(join(root, "high/fpga.json"), fpga("FROM=high"));
  });
  after(() => rmSync(root, { recursive: true }));

  const byName = (...names: string[]) => deviceEdits([{ Driver: "cdi", DeviceIDs: names }], directories);

  test("a device gets its own edits and those of its specification", async () => {
    const edits = await byName("example.com/gpu=2");
    assert.deepEqual(edits.env, ["COMMON=yes"]);
    assert.deepEqual(edits.additionalGids, [44]);
    assert.deepEqual(edits.rules, [{ allow: true, type: "c", major: 1, minor: 3, access: "rw" }]);
    assert.equal(edits.devices[0]!.path, "/dev/second");
    assert.deepEqual(edits.mounts, [
      { destination: "/gpu/lib", type: "bind", source: "/usr/lib", options: ["rbind", "rprivate", "ro"] },
    ]);
    assert.deepEqual(edits.hooks, { createContainer: [{ path: "/bin/true", args: [true] }] });
  });

  test("a later directory wins, and the same device is taken once", async () => {
    assert.deepEqual((await byName("example.com/fpga=a", "example.com/fpga=a")).env, ["FROM=high"]);
  });

  const requests = [
    [{ Count: -1, Capabilities: [["gpu"]] }, ["EVERY=1", "COMMON=yes"]],
    [{ Count: 1, Capabilities: [["gpu"]] }, ["COMMON=yes"]],
    [{ Count: 2, Capabilities: [["compute", "gpu"]] }, ["TENTH=1", "COMMON=yes"]],
    [{ DeviceIDs: ["10"], Capabilities: [["gpu"]] }, ["TENTH=1", "COMMON=yes"]],
    [{ DeviceIDs: ["example.com/gpu=10"], Capabilities: [["gpu"]] }, ["TENTH=1", "COMMON=yes"]],
  ] as const;
  for (const [request, env] of requests)
    test(`--gpus ${JSON.stringify(request)}`, async () => {
      assert.deepEqual((await deviceEdits([request], directories)).env, env);
    });

  test("what is not there is refused in Docker's words", async () => {
    await assert.rejects(byName("example.com/gpu=7", "none.com/x=y"), {
      kind: "invalidArgument",
      message: "CDI device injection failed: unresolvable CDI devices example.com/gpu=7, none.com/x=y",
    });
    await assert.rejects(deviceEdits([{ Count: -1, Capabilities: [["gpu"]] }], []), {
      kind: "invalidArgument",
      message: 'could not select device driver "" with capabilities: [[gpu]]',
    });
    await assert.rejects(deviceEdits([{ Count: 3, Capabilities: [["gpu"]] }], directories), /there are 2/);
  });
});

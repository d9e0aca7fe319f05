import assert from "node:assert/strict";
import { test } from "node:test";
import { withHostDefaults } from "./host-config-defaults.ts";

const defaults = {
  runtime: "crun",
  logging: { Type: "json-file", Config: {} },
  cgroupVersion: 1,
  networkMode: "bridge",
} as const;

test("an empty request gets every field that Docker writes", () => {
  const hostConfig = withHostDefaults({}, defaults);
  assert.deepEqual(hostConfig.RestartPolicy, { Name: "no", MaximumRetryCount: 0 });
  assert.deepEqual(hostConfig.LogConfig, { Type: "json-file", Config: {} });
  const { AutoRemove, Binds, CapAdd, Memory, NetworkMode, PidsLimit, Privileged, ShmSize } = hostConfig;
  assert.deepEqual(
    { AutoRemove, Binds, CapAdd, Memory, NetworkMode, PidsLimit, Privileged, ShmSize },
    {
      AutoRemove: false,
      Binds: null,
      CapAdd: null,
      Memory: 0,
      NetworkMode: "bridge",
      PidsLimit: null,
      Privileged: false,
      ShmSize: 64 * 1024 * 1024,
    },
  );
});

test("what was asked for stays", () => {
  const hostConfig = withHostDefaults({ Memory: 6 << 20, NetworkMode: "none", PidsLimit: -1 }, defaults);
  assert.equal(hostConfig.Memory, 6 << 20);
  assert.equal(hostConfig.MemorySwap, 12 << 20);
  assert.equal(hostConfig.NetworkMode, "none");
  assert.equal(hostConfig.PidsLimit, null);
});

test("the default network is the daemon's", () => {
  for (const NetworkMode of ["", "default"])
    assert.equal(withHostDefaults({ NetworkMode }, { ...defaults, networkMode: "none" }).NetworkMode, "none");
});

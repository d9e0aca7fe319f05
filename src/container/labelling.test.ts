import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { EngineError } from "../base/errors.ts";
import { isSelinuxOn } from "../linux/selinux.ts";
import type { ContainerRecord } from "./container.ts";
import { plainDefaults } from "./defaults.ts";
import { buildExecProcess } from "./exec-process.ts";
import { labelsInUse, openLabelling, type SelinuxHost } from "./labelling.ts";
import { buildSpec } from "./spec.ts";

const contexts =
  'process = "system_u:system_r:container_t:s0"\nfile = "system_u:object_r:container_file_t:s0"\n';

/** A host whose kernel has SELinux and knows all labels; `labelled` gets what is labelled. */
function host(change: Partial<SelinuxHost> = {}, labelled: string[] = []): SelinuxHost {
  return {
    isSelinuxOn: () => true,
    isKnownLabel: () => true,
    read: (path) => (path.endsWith("lxc_contexts") ? contexts : ""),
    relabel: async (path, label, checkPlace) => {
      checkPlace?.(path);
      labelled.push(`${path} ${label}`);
      return Promise.resolve();
    },
    ...change,
  };
}

test("there is labelling where it is asked for and the kernel has SELinux", () => {
  assert.ok(openLabelling(true, host()));
  assert.equal(openLabelling(false, host()), undefined);
  assert.equal(openLabelling(true, host({ isSelinuxOn: () => false })), undefined);
});

test("a kernel that does not answer is no reason not to start", () => {
  const isKnownLabel = (): boolean => {
    throw new EngineError("internal", "ask the SELinux policy: read-only file system (EROFS)");
  };
  assert.equal(openLabelling(true, host({ isKnownLabel })), undefined);
});

test("a policy that does not know its own labels gives none, and one that is asked for is refused", () => {
  const none = openLabelling(true, host({ isKnownLabel: () => false }))!;
  assert.equal(none.choose([], []).processLabel, "");
  const some = openLabelling(true, host({ isKnownLabel: (label) => !label.includes("odd_t") }))!;
  assert.match(some.choose([], []).processLabel, /^system_u:system_r:container_t:s0:c\d+,c\d+$/);
  assert.throws(() => some.choose(["type:odd_t"], []), {
    kind: "invalidArgument",
    message: /does not know the label system_u:system_r:odd_t:/,
  });
});

test("sources are labelled as their modes ask for, and the system's own are not", async () => {
  const labelled: string[] = [];
  const labelling = openLabelling(true, host({}, labelled))!;
  const label = "system_u:object_r:container_file_t:s0:c1,c2";
  for (const mode of ["", "ro", "z", "ro,Z"]) await labelling.relabelSource("/srv/data", mode, label);
  assert.deepEqual(labelled, ["/srv/data system_u:object_r:container_file_t:s0", `/srv/data ${label}`]);
  await assert.rejects(
    labelling.relabelSource("/usr", "z", label),
    /SELinux relabeling of \/usr is not allowed/,
  );
  assert.equal(labelled.length, 2);
});

const labels = { processLabel: "system_u:system_r:container_t:s0:c1,c2", mountLabel: "a:b:c_t:s0:c1,c2" };

test("a runtime gets the labels that the kernel takes", () => {
  const on = (): boolean => true;
  assert.deepEqual(labelsInUse({ ...labels, hostConfig: {} }, on), labels);
  assert.deepEqual(
    labelsInUse({ ...labels, hostConfig: {} }, () => false),
    {},
  );
  const { mountLabel } = labels;
  assert.deepEqual(labelsInUse({ ...labels, hostConfig: { Privileged: true } }, on), { mountLabel });
  assert.deepEqual(labelsInUse({ mountLabel, processLabel: "", hostConfig: {} }, on), { mountLabel });
  assert.deepEqual(
    labelsInUse({ hostConfig: {} }, () => assert.fail("nothing is to be asked")),
    {},
  );
});

test(
  "a container of another kernel has no labels here, and no process in it",
  { skip: isSelinuxOn() },
  (t) => {
    const rootfs = mkdtempSync(join(tmpdir(), "gantry-labelling-"));
    t.after(() => rmSync(rootfs, { recursive: true }));
    const container = {
      id: "a".repeat(64),
      name: "labelled",
      path: "/bin/true",
      args: [],
      mounts: [],
      config: {},
      hostConfig: {},
      ...labels,
    } as unknown as ContainerRecord;
    const files = { hosts: "/hosts", hostname: "/hostname", resolvConf: "/resolv.conf" };
    const { spec } = buildSpec(container, { ...files, rootfs, sandboxPath: undefined, cgroupPath: "/none" });
    const process = buildExecProcess(container, { Cmd: ["true"] }, { rootfs, defaults: plainDefaults });
    for (const made of [spec, process]) assert.doesNotMatch(JSON.stringify(made), /Label"|c1,c2/);
  },
);

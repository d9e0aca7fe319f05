import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { isKind } from "../base/errors.ts";
import {
  cgroupControllers,
  cgroupDirectories,
  cgroupOfPid,
  cgroupPids,
  controllerDirectory,
  detectCgroups,
  endCgroup,
  memoryEvents,
  parseCgroupMounts,
  parsePidCgroup,
  removeCgroup,
} from "./cgroup.ts";

const v2Line = "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate";
const v1Lines = [
  "31 30 0:27 / /sys/fs/cgroup/memory rw,nosuid shared:10 - cgroup cgroup rw,memory",
  "32 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct",
  "33 30 0:29 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,release_agent=/x,name=systemd",
];

test("the layout is read from the mounts", () => {
  const two = parseCgroupMounts(`${v2Line}\n`);
  assert.deepEqual([two.version, two.isHybrid, two.unified], [2, false, "/sys/fs/cgroup"]);
  const one = parseCgroupMounts(v1Lines.join("\n"));
  assert.deepEqual([one.version, one.isHybrid, one.unified], [1, false, undefined]);
  assert.equal(one.v1.get("cpuacct"), "/sys/fs/cgroup/cpu,cpuacct");
  assert.deepEqual(cgroupControllers(one), ["cpu", "cpuacct", "memory"]);
  const hybrid = parseCgroupMounts(
    [...v1Lines, v2Line.replace("/sys/fs/cgroup ", "/sys/fs/cgroup/uni\\040fied ")].join("\n"),
  );
  assert.deepEqual([hybrid.version, hybrid.isHybrid, hybrid.unified], [1, true, "/sys/fs/cgroup/uni fied"]);
  // systemd's own hierarchy beside version 2 has no controller: limits work by version 2.
  assert.equal(parseCgroupMounts([v1Lines[2], v2Line].join("\n")).version, 2);
});

test("what is mounted of a hierarchy in a container is known", () => {
  const inside = parseCgroupMounts(
    v1Lines.map((line) => line.replace(" / /sys", " /gantry/outer /sys")).join("\n"),
  );
  assert.equal(inside.roots.get("/sys/fs/cgroup/memory"), "/gantry/outer");
  const own = cgroupOfPid(process.pid, { ...inside, v1: new Map(), roots: new Map() });
  assert.ok(own !== undefined && own.size > 0);
  assert.equal(parseCgroupMounts(v2Line).roots.size, 0);
});

test("a process's cgroups", () => {
  assert.deepEqual(
    [...parsePidCgroup("4:memory:/a\n3:cpu,cpuacct:/b:c\n1:name=systemd:/\n0::/d\n")],
    [
      ["memory", "/a"],
      ["cpu", "/b:c"],
      ["cpuacct", "/b:c"],
      ["name=systemd", "/"],
      ["", "/d"],
    ],
  );
  assert.ok(cgroupOfPid(process.pid, detectCgroups()));
  assert.equal(cgroupOfPid(4_194_305, detectCgroups()), undefined);
});

test("a tree with a process in it is listed, kept, and removed when the process is gone", async () => {
  const layout = detectCgroups();
  const path = `/gantry-test-${process.pid}`;
  const controller = layout.version === 2 ? "" : "pids";
  const directory = controllerDirectory(layout, controller, path)!;
  mkdirSync(join(directory, "inner"), { recursive: true });
  const memory = controllerDirectory(layout, "memory", path)!;
  mkdirSync(memory, { recursive: true });
  const child = spawn("sleep", ["60"]);
  try {
    writeFileSync(join(directory, "inner", "cgroup.procs"), String(child.pid));
    assert.deepEqual(cgroupPids(layout, path), [child.pid]);
    assert.ok(cgroupDirectories(layout, path).includes(directory));
    if (existsSync(join(memory, "memory.oom_control"))) assert.equal(memoryEvents(layout, path)?.oomKills, 0);
    await assert.rejects(
      removeCgroup(layout, path, 30),
      (error) => isKind(error, "conflict") && error.message.includes(String(child.pid)),
    );
  } finally {
    const exit = once(child, "exit");
    child.kill("SIGKILL");
    await exit;
    await removeCgroup(layout, path);
  }
  assert.deepEqual(cgroupDirectories(layout, path), []);
  assert.deepEqual(cgroupPids(layout, path), []);
  assert.equal(memoryEvents(layout, path), undefined);
});

test("a cgroup is ended with everything in it", async () => {
  const layout = detectCgroups();
  const path = `/gantry-unit-${process.pid}-end`;
  const directory = controllerDirectory(layout, layout.version === 2 ? "" : "pids", path)!;
  mkdirSync(join(directory, "below"), { recursive: true });
  // Forks for as long as it lives: those that come while the first are killed end too.
  const child = spawn("sh", ["-c", "read go; while :; do sleep 600 & sleep 0.01; done"], {
    stdio: ["pipe", "ignore", "ignore"],
  });
  const exit = once(child, "exit");
  writeFileSync(join(directory, "below", "cgroup.procs"), String(child.pid));
  child.stdin.end("go\n");
  while (cgroupPids(layout, path).length < 3) await sleep(5);
  await endCgroup(layout, path);
  await exit;
  assert.deepEqual(cgroupDirectories(layout, path), []);
});

test("the root is never removed", async () => {
  const layout = detectCgroups();
  for (const path of ["", "/", "//", "/a/../.."])
    await assert.rejects(removeCgroup(layout, path), (error) => isKind(error, "invalidArgument"));
});

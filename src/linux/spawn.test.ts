import assert from "node:assert/strict";
import { spawn as nodeSpawn } from "node:child_process";
import { closeSync, openSync, readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { isKind } from "../base/errors.ts";
import { libc } from "./libc.ts";
import { Pidfd, waitForEnd } from "./pidfd.ts";
import { openPipe, runProcess, spawnProcess } from "./spawn.ts";

const env = { PATH: "/usr/bin:/bin" };
const sh = (script: string) => ({ path: "/bin/sh", argv: ["sh", "-c", script], env });
const openFds = () => readdirSync("/proc/self/fd").length;
const dup = libc.func("int dup(int fd)") as (fd: number) => number;

test("exit codes and signals come through", async () => {
  assert.deepEqual(await spawnProcess(sh("exit 7")).exited, { code: 7, signal: undefined });
  assert.deepEqual(await spawnProcess(sh("kill -9 $$")).exited, { code: undefined, signal: 9 });
});

test("output and errors are collected, bounded, and nothing leaks", async () => {
  await runProcess(sh("true"));
  const before = openFds();
  const result = await runProcess(sh("echo out; echo err >&2; exit 3"));
  assert.deepEqual(result, { code: 3, signal: undefined, stdout: "out\n", stderr: "err\n" });
  const big = await runProcess({ ...sh("head -c 300000 /dev/zero | tr '\\0' x"), maxOutputBytes: 1000 });
  assert.equal(big.stdout.length, 1000);
  assert.equal((await runProcess({ path: "/bin/cat", argv: ["cat"], env, input: "in" })).stdout, "in");
  assert.equal(openFds(), before);
});

test("a program that is not there is an error of kind notFound, and leaks nothing", async () => {
  const before = openFds();
  await assert.rejects(runProcess({ path: "/does/not/exist", argv: ["x"], env }), (error) =>
    isKind(error, "notFound"),
  );
  assert.equal(openFds(), before);
});

test("the child has the descriptors it was given and no other", async () => {
  // Node opens everything close-on-exec; a library may not. What dup(2) returns is not, below and above what is given.
  const opened = openSync("/dev/null", "r");
  const leaky = [dup(opened)];
  const [read, write] = openPipe();
  leaky.push(dup(opened));
  const { stdout } = await (async () => {
    const [outRead, outWrite] = openPipe();
    const child = spawnProcess({
      path: "/bin/ls",
      argv: ["ls", "/proc/self/fd"],
      env,
      fds: { 1: outWrite, 7: read, [read]: write },
    });
    closeSync(outWrite);
    await child.exited;
    const text = readFileSync(outRead, "utf8");
    closeSync(outRead);
    return { stdout: text };
  })();
  for (const fd of [...leaky, opened, read, write]) closeSync(fd);
  const numbers = stdout.trim().split("\n").map(Number);
  // 3 is the directory that ls itself reads (or a lower free number).
  const expected = new Set([0, 1, 2, 7, read]);
  assert.equal(numbers.filter((fd) => !expected.has(fd)).length, 1, stdout);
});

test("session, directory and signal dispositions of the child", async () => {
  const { stdout } = await runProcess({
    ...sh("pwd; cut -d' ' -f6 /proc/$$/stat; echo $$; grep SigIgn /proc/$$/status"),
    cwd: "/usr",
    newSession: true,
  });
  const [cwd, session, pid, ignored] = stdout.split("\n");
  assert.equal(cwd, "/usr");
  assert.equal(session, pid);
  assert.equal(ignored, "SigIgn:\t0000000000000000");
});

test("children of node:child_process still get their exit events", async () => {
  const theirs = Array.from({ length: 5 }, () => {
    const child = nodeSpawn("/bin/sh", ["-c", "exit 5"]);
    return new Promise<number | null>((resolve) => child.on("exit", resolve));
  });
  const ours = Array.from({ length: 5 }, () => spawnProcess(sh("exit 4")).exited);
  assert.deepEqual(await Promise.all(theirs), [5, 5, 5, 5, 5]);
  for (const status of await Promise.all(ours)) assert.equal(status.code, 4);
});

test("kill reaches it, a pidfd tells its end", async () => {
  const child = spawnProcess({ path: "/bin/sleep", argv: ["sleep", "60"], env });
  const ended = waitForEnd(child.pid);
  child.kill(15);
  await ended;
  assert.deepEqual(await child.exited, { code: undefined, signal: 15 });
  assert.equal(Pidfd.open(child.pid), undefined);
  child.kill(15);
});

test("a command that takes too long is killed", async () => {
  const result = await runProcess({ ...sh("sleep 30"), timeoutMs: 50 });
  assert.equal(result.signal, 9);
});

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { waitForEnd } from "./pidfd.ts";
import { killSession } from "./session.ts";

test("kills what a process started, and nothing of another session", async () => {
  const script = "echo $$; sleep 60 & echo $!; sleep 60 & echo $!; wait";
  const leader = spawn("setsid", ["sh", "-c", script], { stdio: ["ignore", "pipe", "ignore"] });
  const other = spawn("sleep", ["60"], { stdio: "ignore" });
  let text = "";
  for await (const chunk of leader.stdout as AsyncIterable<Buffer>) {
    text += chunk.toString();
    if (text.split("\n").length > 3) break;
  }
  const pids = text.trim().split("\n").map(Number);
  const ended = once(leader, "exit");
  killSession(pids[0]!);
  await ended;
  await Promise.all(pids.map((pid) => waitForEnd(pid)));
  assert.equal(other.exitCode, null);
  other.kill();
  await once(other, "exit");
  killSession(other.pid!);
});

test("kills the process alone when its session is its parent's", async () => {
  const child = spawn("sleep", ["60"], { stdio: "ignore" });
  const sibling = spawn("sleep", ["60"], { stdio: "ignore" });
  killSession(child.pid!);
  const [, signal] = (await once(child, "exit")) as [number, string];
  assert.equal(signal, "SIGKILL");
  assert.equal(sibling.exitCode, null);
  sibling.kill();
  await once(sibling, "exit");
});

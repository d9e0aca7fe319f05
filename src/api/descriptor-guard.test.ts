import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import { test } from "node:test";
import { DescriptorGuard } from "./descriptor-guard.ts";
import type { Route } from "./exchange.ts";

const socketWith = (fd: number): Socket =>
  Object.assign(new EventEmitter(), { _handle: { fd } }) as unknown as Socket;
const route = (method: string, path: string): Route => ({ method, path, handle: () => {} });
const create = route("POST", "/containers/create");

test("requests are refused while a connection is open that got one of the last descriptors", () => {
  let open = 961;
  let nowMs = 5_000;
  const guard = new DescriptorGuard(
    () => 1_024,
    () => open,
    () => nowMs,
  );
  guard.watch(socketWith(959));
  guard.check(create);
  const late = socketWith(960);
  guard.watch(late);
  assert.equal(guard.isLate(late), true);
  assert.throws(() => guard.check(create), {
    kind: "unavailable",
    message: /too many open files: .* of the 1024/,
  });
  guard.check(route("POST", "/containers/{id}/stop"));
  guard.check(route("HEAD", "/_ping"));
  guard.watch(socketWith(12));
  assert.throws(() => guard.check(create), { kind: "unavailable" });
  nowMs += 1_000;
  assert.throws(() => guard.check(create), { kind: "unavailable" });
  // The others have gone, the late one stays: the next count sees it.
  open = 959;
  assert.throws(() => guard.check(create), { kind: "unavailable" });
  nowMs += 1_000;
  guard.check(create);
  const later = socketWith(961);
  guard.watch(later);
  assert.throws(() => guard.check(create), { kind: "unavailable" });
  later.emit("close");
  late.emit("close");
  guard.check(create);
});

test("a small limit keeps a quarter, no limit nothing", () => {
  const small = new DescriptorGuard(
    () => 100,
    () => 76,
  );
  small.watch(socketWith(74));
  small.check(create);
  small.watch(socketWith(75));
  assert.throws(() => small.check(create), { kind: "unavailable" });
  const free = new DescriptorGuard(() => Number.POSITIVE_INFINITY);
  free.watch(socketWith(1_000_000));
  free.check(create);
});

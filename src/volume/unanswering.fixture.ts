/** File systems that do not answer, as of a server that went away. */
import { closeSync, existsSync, openSync, read, readSync, writeSync } from "node:fs";
import { mount } from "../linux/mount.ts";

export const needsFuse = { skip: !existsSync("/dev/fuse") && "there is no /dev/fuse" };

/** A file system in user space that nobody serves: who asks it waits until `end`, and fails from then on (fuse(4)). */
export function mountUnanswering(target: string): { end: () => void } {
  const device = openSync("/dev/fuse", "r+");
  const options = [`fd=${device}`, "rootmode=40000", "user_id=0", "group_id=0"];
  mount({ type: "fuse", source: "nobody", options }, target);
  return { end: () => closeSync(device) };
}

/** The same by a server that takes the first request: who made it does not end before `end`, not by SIGKILL either. */
export function mountHanging(target: string): { end: () => void } {
  const device = openSync("/dev/fuse", "r+");
  const options = [`fd=${device}`, "rootmode=40000", "user_id=0", "group_id=0"];
  mount({ type: "fuse", source: "somebody", options }, target);
  const request = Buffer.alloc(1 << 17);
  readSync(device, request);
  // struct fuse_out_header and fuse_init_out of linux/fuse.h.
  const answer = Buffer.alloc(16 + 64);
  answer.writeUInt32LE(answer.length, 0);
  request.copy(answer, 8, 8, 16);
  answer.writeUInt32LE(7, 16);
  answer.writeUInt32LE(31, 20);
  answer.writeUInt32LE(4096, 36);
  writeSync(device, answer);
  read(device, request, () => {});
  return { end: () => closeSync(device) };
}

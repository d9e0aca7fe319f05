import assert from "node:assert/strict";
import { once } from "node:events";
import {
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { Worker } from "node:worker_threads";
import { copyTree } from "./copy-tree.ts";
import { getXattr, makeNode, pathBytes, setTimes, setXattr } from "./inode.ts";

let root = "";
before(() => {
  root = mkdtempSync(join(tmpdir(), "gantry-copy-tree-"));
});
after(() => rmSync(root, { recursive: true }));

const make = (name: string): string => {
  const path = join(root, name);
  mkdirSync(path, { mode: 0o711 });
  return path;
};

test("files, links, nodes, owners, modes, times and attributes come over", () => {
  const source = make("source");
  const target = make("target");
  mkdirSync(join(source, "sub"), { mode: 0o750 });
  writeFileSync(join(source, "sub/file"), "text", { mode: 0o4711 });
  linkSync(join(source, "sub/file"), join(source, "same"));
  symlinkSync("/nowhere", join(source, "link"));
  makeNode(pathBytes(join(source, "pipe")), 0o010640, { major: 0, minor: 0 });
  const hasXattrs = setXattr(pathBytes(join(source, "sub/file")), "user.word", Buffer.from("value"));
  setTimes(pathBytes(join(source, "sub/file")), 1_000_000_000_123_456_789n);
  setTimes(pathBytes(join(source, "sub")), 1_000_000_001_000_000_001n);
  setTimes(pathBytes(join(source, "link")), 1_000_000_002_000_000_002n);
  copyTree(source, target);
  const stat = (name: string): ReturnType<typeof lstatSync> & object =>
    lstatSync(join(target, name), { bigint: true });
  assert.equal(readFileSync(join(target, "sub/file"), "utf8"), "text");
  assert.equal(readlinkSync(join(target, "link")), "/nowhere");
  assert.equal(stat("sub").mode, 0o040750n);
  assert.equal(stat("pipe").mode, 0o010640n);
  assert.equal(stat("same").ino, stat("sub/file").ino);
  for (const name of ["sub", "sub/file", "link"]) {
    const copied = lstatSync(join(target, name), { bigint: true });
    const first = lstatSync(join(source, name), { bigint: true });
    assert.deepEqual([copied.mode, copied.mtimeNs], [first.mode, first.mtimeNs], name);
  }
  assert.equal(lstatSync(target).mode & 0o777, 0o711);
  if (hasXattrs) assert.equal(String(getXattr(pathBytes(join(target, "sub/file")), "user.word")), "value");
});

/** Replaces each directory of the target by a link to the outside as soon as it is there. */
const swapping = `
  const { workerData, parentPort } = require("node:worker_threads");
  const fs = require("node:fs");
  const { target, kept, outside, ended } = workerData;
  const flag = new Int32Array(ended);
  parentPort.postMessage("ready");
  let count = 0;
  while (Atomics.load(flag, 0) === 0)
    for (const entry of fs.readdirSync(target, { withFileTypes: true })) {
      if (!entry.isDirectory()) continue;
      try {
        fs.renameSync(target + "/" + entry.name, kept + "/" + count++);
        fs.symlinkSync(outside, target + "/" + entry.name);
      } catch {}
    }
`;

function fill(source: string, target: string): void {
  try {
    copyTree(source, target);
  } catch (error) {
    // What is gone from under the copy may end it.
    assert.match(
      String(error),
      /ENOENT|ENOTDIR|ELOOP|EEXIST|not found|no such file|not a directory|replaced/i,
    );
  }
}

test("whoever swaps directories for links while they are filled gets nothing outside", async () => {
  const source = make("tree");
  for (let count = 0; count < 400; count += 1) {
    const directory = join(source, `d${count}`);
    mkdirSync(directory);
    for (const name of ["a", "b", "c"]) writeFileSync(join(directory, `${name}${count}`), "x");
    linkSync(join(directory, `a${count}`), join(directory, `l${count}`));
  }
  const [target, kept, outside] = [make("filled"), make("kept"), make("outside")];
  const before = lstatSync(outside, { bigint: true });
  const ended = new SharedArrayBuffer(4);
  const worker = new Worker(swapping, { eval: true, workerData: { target, kept, outside, ended } });
  await once(worker, "message");
  try {
    // Once the two have met, it is shown.
    for (let round = 0; round < 200 && readdirSync(kept).length === 0; round += 1) {
      for (const name of readdirSync(target)) {
        try {
          rmSync(join(target, name), { recursive: true, force: true });
        } catch {
          // The other one was faster.
        }
      }
      fill(source, target);
    }
  } finally {
    Atomics.store(new Int32Array(ended), 0, 1);
  }
  await once(worker, "exit");
  assert.deepEqual(readdirSync(outside), []);
  assert.deepEqual(lstatSync(outside, { bigint: true }).mode, before.mode);
  assert.ok(readdirSync(kept).length > 0, "nothing was swapped");
});

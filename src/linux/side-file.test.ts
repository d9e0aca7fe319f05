import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import {
  appendFileSync,
  closeSync,
  fsyncSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { dropSideFile, removeSideFile, writeSideFile } from "./side-file.ts";

test("one is whole or not there, for root alone", (t) => {
  const root = mkdtempSync(join(tmpdir(), "gantry-side-"));
  t.after(() => rmSync(root, { recursive: true }));
  const path = join(root, "record.json");
  for (const text of ["one", "two"]) {
    writeSideFile(path, text);
    assert.equal(readFileSync(path, "utf8"), text);
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.deepEqual(readdirSync(root), ["record.json"]);
  }
  removeSideFile(path);
  removeSideFile(path);
  dropSideFile(path);
  assert.deepEqual(readdirSync(root), []);
  mkdirSync(path);
  writeFileSync(join(path, "in-the-way"), "");
  assert.throws(() => writeSideFile(path, "three"));
  assert.deepEqual(readdirSync(root), ["record.json"]);
  assert.throws(() => removeSideFile(path), /remove .*record\.json: /);
});

/** What is there after a loss of power: the device as it is at this moment, mounted anew. */
function fileSystemsHere(): string[] {
  const known = readFileSync("/proc/filesystems", "utf8");
  const has = (name: string): boolean =>
    known.includes(`\t${name}\n`) && spawnSync(`mkfs.${name}`, ["-V"]).error === undefined;
  return ["ext4", "xfs", "btrfs"].filter(has);
}

for (const type of fileSystemsHere())
  test(`${type}: what was removed before another file was synced does not come back with the power`, (t) => {
    const root = mkdtempSync(join(tmpdir(), "gantry-side-"));
    const run = (...[program, ...args]: string[]): string =>
      execFileSync(program!, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
    const mounted: string[] = [];
    const mount = (image: string, name: string): string => {
      const target = join(root, name);
      mkdirSync(target);
      run("mount", "-t", type, "-o", "loop", join(root, image), target);
      mounted.push(target);
      return target;
    };
    const unmount = (): void => {
      for (const target of mounted.splice(0)) run("umount", target);
    };
    t.after(() => {
      unmount();
      rmSync(root, { recursive: true });
    });
    run("truncate", "-s", "320M", join(root, "disk"));
    run(`mkfs.${type}`, "-q", join(root, "disk"));
    const live = mount("disk", "live");
    mkdirSync(join(live, "files"));
    writeSideFile(join(live, "files/record.json"), "record");
    writeFileSync(join(live, "log"), "one");
    run("sync", "-f", live);
    removeSideFile(join(live, "files/record.json"));
    appendFileSync(join(live, "log"), "two");
    const fd = openSync(join(live, "log"), "r");
    fsyncSync(fd);
    closeSync(fd);
    run("cp", "--sparse=always", join(root, "disk"), join(root, "after"));
    // Only then: btrfs takes two devices of one name for the same.
    unmount();
    rmSync(join(root, "disk"));
    const after = mount("after", "again");
    assert.equal(readFileSync(join(after, "log"), "utf8"), "onetwo");
    assert.deepEqual(readdirSync(join(after, "files")), []);
  });

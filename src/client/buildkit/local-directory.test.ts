import assert from "node:assert/strict";
import { linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { unixMode } from "../../wire/buildkit/filesync.ts";
import { type Selection, localDirectory } from "./local-directory.ts";

const root = mkdtempSync(join(tmpdir(), "gantry-directory-"));
after(() => rmSync(root, { recursive: true, force: true }));
for (const path of [
  "a/b/deep",
  "a/other",
  "a.txt",
  "src/main.ts",
  "src/main.test.ts",
  "node_modules/x/index.js",
]) {
  mkdirSync(join(root, path, ".."), { recursive: true });
  writeFileSync(join(root, path), path);
}
symlinkSync("a/b", join(root, "link"));
linkSync(join(root, "a.txt"), join(root, "z-hard"));
writeFileSync(Buffer.concat([Buffer.from(`${root}/`), Buffer.from([0x66, 0xff])]), "no UTF-8");

async function listed(selection: Partial<Selection>): Promise<string[]> {
  const paths: string[] = [];
  const files = localDirectory(root).list({ include: [], exclude: [], followPaths: [], ...selection });
  for await (const { stat } of files) paths.push(stat.path ?? "");
  return paths;
}

test("everything is listed, directories first, names in the order of their bytes", async () => {
  assert.deepEqual(await listed({}), [
    "a",
    "a/b",
    "a/b/deep",
    "a/other",
    "a.txt",
    "f\xff",
    "link",
    "node_modules",
    "node_modules/x",
    "node_modules/x/index.js",
    "src",
    "src/main.test.ts",
    "src/main.ts",
    "z-hard",
  ]);
});

test("what is excluded stays out, exceptions come back with their directories", async () => {
  assert.deepEqual(await listed({ exclude: ["node_modules", "**/*.test.ts", "a", "f*"] }), [
    "a.txt",
    "link",
    "src",
    "src/main.ts",
    "z-hard",
  ]);
  assert.deepEqual(await listed({ exclude: ["*", "!a/b"] }), ["a", "a/b", "a/b/deep"]);
  assert.deepEqual(await listed({ include: ["src/*.ts"], exclude: ["**/*.test.ts"] }), [
    "src",
    "src/main.ts",
  ]);
  assert.deepEqual(await listed({ include: ["nothing"] }), []);
});

test("links that are asked for bring what they lead to", async () => {
  assert.deepEqual(await listed({ followPaths: ["link/deep"] }), ["a", "a/b", "a/b/deep", "link"]);
});

test("kinds, links and bytes are told as they are", async () => {
  const directory = localDirectory(root);
  const files = new Map();
  for await (const file of directory.list({ include: [], exclude: [], followPaths: [] }))
    files.set(file.stat.path, file);
  assert.equal(unixMode(files.get("link").stat.mode) & 0o170000, 0o120000);
  assert.equal(files.get("link").stat.linkname, "a/b");
  assert.equal(files.get("z-hard").stat.linkname, "a.txt");
  const chunks = [];
  for await (const chunk of directory.read(files.get("f\xff"))) chunks.push(chunk);
  assert.equal(Buffer.concat(chunks).toString(), "no UTF-8");
});

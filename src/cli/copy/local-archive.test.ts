import assert from "node:assert/strict";
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { tarEnd, tarHeader, tarPadding, type TarHeader } from "../../oci/tar-writer.ts";
import { packLocal, unpackLocal } from "./local-archive.ts";

let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "gantry-copy-"));
  mkdirSync(join(directory, "to"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const to = (...parts: string[]): string => join(directory, "to", ...parts);

async function* archive(...entries: (TarHeader & { text?: string })[]): AsyncGenerator<Buffer, void> {
  for (const { text = "", ...header } of entries) {
    yield tarHeader({ ...header, sizeBytes: text.length });
    yield Buffer.from(text);
    yield tarPadding(text.length);
  }
  yield tarEnd();
}

const unpack = (tar: AsyncIterable<Uint8Array>): Promise<void> =>
  unpackLocal(tar, { directory: to(), rebase: undefined, keepOwners: false });

test("what is packed comes out the same", async () => {
  const from = join(directory, "from");
  mkdirSync(join(from, "sub"), { recursive: true });
  writeFileSync(join(from, "sub/file"), "x".repeat(700_001), { mode: 0o751 });
  symlinkSync("sub/file", join(from, "link"));
  await unpackLocal(packLocal(from, "new"), { directory: to(), rebase: undefined, keepOwners: false });
  assert.equal(readFileSync(to("new/sub/file"), "utf8").length, 700_001);
  assert.equal(lstatSync(to("new/sub/file")).mode & 0o777, 0o751);
  assert.equal(readlinkSync(to("new/link")), "sub/file");
});

test("no entry leaves the directory", async () => {
  const file = { type: "file", mode: 0o644, text: "harm" } as const;
  await assert.rejects(unpack(archive({ ...file, name: "../out" })), /outside of its top/);
  await assert.rejects(
    unpack(
      archive(
        { name: "way", type: "symlink", mode: 0o777, linkName: directory },
        { ...file, name: "way/out" },
      ),
    ),
    /is no directory/,
  );
  await unpack(
    archive(
      { name: "link", type: "symlink", mode: 0o777, linkName: join(directory, "out") },
      { ...file, name: "link" },
    ),
  );
  assert.equal(lstatSync(to("link")).isFile(), true);
  assert.throws(() => lstatSync(join(directory, "out")));
});

test("a directory and a file never take each other's place", async () => {
  mkdirSync(to("d"));
  writeFileSync(to("f"), "");
  await assert.rejects(
    unpack(archive({ name: "d", type: "file", mode: 0o644 })),
    /cannot overwrite directory/,
  );
  await assert.rejects(
    unpack(archive({ name: "f/", type: "directory", mode: 0o755 })),
    /cannot overwrite non-directory/,
  );
});

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { after, test } from "node:test";
import { type UnpackTarget, unpackLayer } from "./apply.ts";
import { verifyLayer } from "./verify-layer.ts";

const directory = mkdtempSync(join(tmpdir(), "gantry-verify-"));
after(() => rmSync(directory, { recursive: true }));

/** The tar of a tree that `script` makes. */
function tarOf(script: string): Buffer {
  const tree = mkdtempSync(join(directory, "tree-"));
  const made = spawnSync("sh", ["-ec", `cd "$1"; ${script}; tar -cf - .`, "sh", tree], {
    maxBuffer: 2 ** 26,
  });
  assert.equal(made.status, 0, made.stderr.toString());
  return made.stdout;
}

const read = (tar: Buffer): Readable => Readable.from([tar], { objectMode: false });

const lowerTar = tarOf(
  "mkdir -p usr/lib usr/share/doc/a; ln -s usr/lib lib; echo x >usr/lib/x; echo d >usr/share/doc/a/d; echo gone >gone",
);
// Files through a link of the layer below, a directory that replaces one, names that are deleted, links of both kinds.
const upperTar = tarOf(
  "mkdir -p lib usr/share/doc; echo y >lib/y; touch usr/share/doc/.wh..wh..opq usr/share/doc/.wh.a usr/share/doc/new; " +
    "touch .wh.gone .wh.nowhere; ln lib/y hard; ln -s y lib/soft; mkfifo fifo; echo long >'a name with spaces'",
);

async function unpacked(form: UnpackTarget["form"]): Promise<UnpackTarget> {
  const lower = mkdtempSync(join(directory, "lower-"));
  await unpackLayer(read(lowerTar), { root: lower, form });
  assert.deepEqual(await verifyLayer(read(lowerTar), { root: lower, form }), []);
  if (form === "merged") {
    const target = { root: lower, form };
    await unpackLayer(read(upperTar), target);
    return target;
  }
  const target = { root: mkdtempSync(join(directory, "upper-")), form, lowers: [lower] };
  await unpackLayer(read(upperTar), target);
  return target;
}

for (const form of ["overlay", "merged"] as const) {
  test(`${form}: a layer as it was unpacked`, async () => {
    assert.deepEqual(await verifyLayer(read(upperTar), await unpacked(form)), []);
  });

  test(`${form}: everything that is not`, async () => {
    const target = await unpacked(form);
    const at = (path: string): string => join(target.root, path);
    truncateSync(at("lib/y"), 0);
    rmSync(at("lib/soft"));
    symlinkSync("elsewhere", at("lib/soft"));
    rmSync(at("usr/share/doc/new"));
    rmSync(at("fifo"));
    mkdirSync(at("fifo"));
    writeFileSync(at("a name with spaces"), "LONG\n");
    if (form === "overlay") rmSync(at("gone"));
    else writeFileSync(at("gone"), "");
    assert.deepEqual((await verifyLayer(read(upperTar), target)).toSorted(), [
      "a name with spaces has other bytes than the layer's tar",
      "fifo is no fifo",
      "gone is there, though the layer deletes it",
      "lib/soft leads elsewhere",
      "lib/y has 0 bytes instead of 2",
      "usr/share/doc/new is missing",
    ]);
  });
}

test("what was below a directory that the same tar replaces by a file is not looked for, what comes there after it is", async () => {
  const tree = mkdtempSync(join(directory, "replaced-"));
  const script = `cd "$1"; mkdir -p 1/a/b 2 3/a; echo x >1/a/x; echo x >1/a/b/x; echo f >2/a; echo y >3/a/y
    tar -cf t -C 1 a/x a/b/x; tar -rf t -C "$1/2" a; cp t u; tar -rf u -C "$1/3" a`;
  const made = spawnSync("sh", ["-ec", script, "sh", tree]);
  assert.equal(made.status, 0, made.stderr.toString());
  for (const [name, path, difference] of [
    ["t", "a", "a is missing"],
    ["u", "a/y", "a/y is missing"],
  ] as const) {
    const tar = readFileSync(join(tree, name));
    const target: UnpackTarget = { root: mkdtempSync(join(directory, "unpacked-")), form: "merged" };
    await unpackLayer(read(tar), target);
    assert.deepEqual(await verifyLayer(read(tar), target), []);
    rmSync(join(target.root, path));
    assert.deepEqual(await verifyLayer(read(tar), target), [difference]);
  }
});

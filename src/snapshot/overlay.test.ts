import assert from "node:assert/strict";
import { lstatSync, mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { test } from "node:test";
import { isKind } from "../base/errors.ts";
import { mount, unmount } from "../linux/mount.ts";
import { chainIds } from "../oci/chain-id.ts";
import { digestOf } from "../oci/digest.ts";
import { createSnapshotter } from "./create-snapshotter.ts";
import { isOpaque, isWhiteout } from "./merged-view.ts";
import { OverlaySnapshotter } from "./overlay.ts";
import { layerOf } from "./snapshot.fixture.ts";
import { snapshotterSuite } from "./snapshot.suite.ts";

snapshotterSuite("overlay2", (root) => new OverlaySnapshotter(root));

/** Applies `count` layers, each with one file `f<n>`; makes a container's snapshot "deep" over them. */
async function stackOf(root: string, count: number): Promise<OverlaySnapshotter> {
  const snapshotter = new OverlaySnapshotter(root);
  const layers = Array.from({ length: count }, (_, index) => layerOf({ name: `f${index}`, text: "x" }));
  const ids = chainIds(layers.map((layer) => digestOf(layer)));
  for (const [index, layer] of layers.entries())
    await snapshotter.applyLayer({
      chainId: ids[index]!,
      parent: ids[index - 1],
      tar: Readable.from([layer]),
    });
  snapshotter.prepare("deep", ids.at(-1));
  return snapshotter;
}

/** What a container sees in a stack of so many layers. */
async function deepStack(root: string, count: number): Promise<string[]> {
  using snapshotter = await stackOf(root, count);
  const target = join(root, "mnt");
  mkdirSync(target);
  const [what] = snapshotter.mounts("deep");
  assert.ok(what!.options.join(",").length < 4096);
  mount(what!, target);
  try {
    return readdirSync(target);
  } finally {
    unmount(target);
  }
}

test("a stack of 128 layers can be mounted, below a long path too", async () => {
  for (const prefix of ["gantry-deep-", `gantry-deep-${"long".repeat(20)}-`]) {
    const root = mkdtempSync(join(tmpdir(), prefix));
    try {
      assert.equal((await deepStack(root, 128)).length, 128);
    } finally {
      rmSync(root, { recursive: true });
    }
  }
});

test("a container's SELinux label has its place beside the layers", async () => {
  const longest = `,context="system_u:object_r:container_file_t:s0:c1022,c1023"${" ".repeat(100)}`;
  let most = 0;
  // One of the lengths is next to the page's: each step is shorter than the label.
  for (let length = 140; length < 180; length += 5) {
    const base = mkdtempSync(join(tmpdir(), "gantry-label-"));
    try {
      const root = join(base, "x".repeat(length - base.length));
      mkdirSync(root);
      using snapshotter = await stackOf(root, 20);
      const [what] = snapshotter.mounts("deep");
      const { length: used } = what!.options.join(",");
      assert.ok(used + longest.length < 4096, `${used} of a page, below a path of ${length}`);
      most = Math.max(most, used);
    } finally {
      rmSync(base, { recursive: true });
    }
  }
  assert.ok(most > 3600, `${most} is so little that nothing was tried`);
});

test("a data root with colons, commas and backslashes can be mounted", async () => {
  const root = mkdtempSync(join(tmpdir(), "gantry-odd,na:me\\-"));
  try {
    assert.deepEqual(await deepStack(root, 2), ["f0", "f1"]);
  } finally {
    rmSync(root, { recursive: true });
  }
});

test("on disk: whiteouts, opaque marks and short links are overlayfs's", async () => {
  const root = mkdtempSync(join(tmpdir(), "gantry-overlay-"));
  try {
    const snapshotter = new OverlaySnapshotter(root);
    const layer = layerOf({ name: ".wh.gone" }, { name: "dir/.wh..wh..opq" });
    const chainId = digestOf(layer);
    await snapshotter.applyLayer({ chainId, parent: undefined, tar: Readable.from([layer]) });
    const diff = snapshotter.graphData(chainId)["UpperDir"]!;
    assert.ok(isWhiteout(lstatSync(join(diff, "gone"), { bigint: true })));
    assert.ok(isOpaque(join(diff, "dir")));
    const [link] = readdirSync(join(root, "l"));
    assert.equal(join(root, "l", readlinkSync(join(root, "l", link!))), diff);
    snapshotter.remove(chainId);
    assert.deepEqual(readdirSync(join(root, "l")), []);
    await snapshotter.idle();
  } finally {
    rmSync(root, { recursive: true });
  }
});

test("the driver is chosen by name, tried out, and described", () => {
  const root = mkdtempSync(join(tmpdir(), "gantry-driver-"));
  try {
    assert.equal(createSnapshotter({ driver: undefined, root }).name, "overlay2");
    assert.equal(createSnapshotter({ driver: "vfs", root }).name, "vfs");
    assert.throws(
      () => createSnapshotter({ driver: "zfs", root }),
      (error: unknown) => isKind(error, "invalidArgument"),
    );
    const status = Object.fromEntries(createSnapshotter({ driver: "overlay2", root }).status());
    assert.equal(status["Supports d_type"], "true");
    assert.equal(status["Native Overlay Diff"], "true");
    assert.deepEqual(
      readdirSync(join(root, "overlay2")).filter((name) => name.startsWith("probe")),
      [],
    );
  } finally {
    rmSync(root, { recursive: true });
  }
});

test("a directory that cannot hold overlay mounts is refused, and nothing stays in it", () => {
  const root = mkdtempSync(join(tmpdir(), "gantry-driver-"));
  const target = join(root, "mnt");
  try {
    for (const name of ["lower", "upper", "work", "mnt"]) mkdirSync(join(root, name));
    // overlayfs takes no overlay as its upper layer
    const at = (name: string): string => `${name}dir=${join(root, name)}`;
    mount({ type: "overlay", source: "overlay", options: ["lower", "upper", "work"].map(at) }, target);
    assert.throws(
      () => createSnapshotter({ driver: "overlay2", root: target }),
      (error: unknown) =>
        isKind(error, "unavailable") && /overlay2 does not work in .*overlayfs/.test(error.message),
    );
    assert.deepEqual(readdirSync(join(target, "overlay2")), []);
    // fuse-overlayfs where it is installed
    const chosen = createSnapshotter({ driver: undefined, root: target });
    assert.match(chosen.name, /^(fuse-overlayfs|vfs)$/);
    const why = Object.fromEntries(chosen.status())["Chosen Because"];
    assert.match(why ?? "", /overlay2 does not work in .*lies on an overlay itself.*btrfs does not work/);
    // Layers that are there are not left for a driver that has none.
    mkdirSync(join(target, "overlay2/layers/some"), { recursive: true });
    assert.throws(
      () => createSnapshotter({ driver: undefined, root: target }),
      (error: unknown) =>
        isKind(error, "unavailable") &&
        /stored by overlay2, which cannot be used now: .*lies on an overlay itself/.test(error.message),
    );
    assert.equal(createSnapshotter({ driver: "vfs", root: target }).name, "vfs");
  } finally {
    unmount(target);
    rmSync(root, { recursive: true });
  }
});

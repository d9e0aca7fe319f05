import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { mount, unmount } from "../linux/mount.ts";
import { digestOf } from "../oci/digest.ts";
import { layerOf } from "../snapshot/snapshot.fixture.ts";
import { ImageBench, kind } from "./image.fixture.ts";

const it = new ImageBench();

test("the built-in busybox is pulled, runs, and is the same each time", async () => {
  const messages = await it.pull("gantry/busybox", "latest");
  const [image] = it.images.list();
  assert.deepEqual(messages[0], { status: "Pulling from gantry/busybox", id: "latest" });
  assert.deepEqual(
    messages.slice(1, -2).map(({ status }) => status),
    [
      "Pulling fs layer",
      "Downloading",
      "Verifying Checksum",
      "Download complete",
      "Extracting",
      "Pull complete",
    ],
  );
  assert.deepEqual(messages.slice(-2), [
    { status: `Digest: ${image!.manifestDigest}` },
    { status: "Status: Downloaded newer image for gantry/busybox:latest" },
  ]);
  assert.deepEqual(it.events, ["image pull gantry/busybox:latest gantry/busybox"]);
  const target = join(it.work, "mnt");
  mkdirSync(target);
  it.snapshotter.prepare("container", image!.chainId);
  mount(it.snapshotter.mounts("container")[0]!, target);
  try {
    const script = "id -un; ls -ld /tmp | cut -c1-10; env -i sh -c 'echo ok'; ls /bin | wc -l";
    const output = execFileSync("chroot", [target, "/bin/sh", "-c", script], { encoding: "utf8" }).split(
      "\n",
    );
    assert.deepEqual(output.slice(0, 3), ["root", "drwxrwxrwt", "ok"]);
    assert.ok(Number(output[3]) > 100);
  } finally {
    unmount(target);
    it.snapshotter.remove("container");
  }
  const again = await it.pull("docker.io/gantry/busybox");
  assert.equal(again.at(-1)!.status, "Status: Image is up to date for gantry/busybox:latest");
  assert.ok(again.some(({ status }) => status === "Already exists"));
  const { manifestDigest, id } = image!;
  assert.deepEqual(it.images.resolve(id).repoDigests, [`gantry/busybox@${manifestDigest}`]);
  await it.cases.imageRemove(id, { force: true, noPrune: false });
  await it.assertNothingLeft();
  await it.pull("gantry/busybox", manifestDigest);
  assert.equal(it.images.resolve(`gantry/busybox@${manifestDigest}`).id, id);
});

test("pulls that cannot be served say so", async () => {
  await assert.rejects(
    it.pull("127.0.0.1:1/debian", "bookworm"),
    kind("unavailable", /registry 127\.0\.0\.1:1:/),
  );
  await assert.rejects(
    it.pull("gantry/busybox", "1.0"),
    kind("notFound", /^manifest for gantry\/busybox:1.0 not found/),
  );
  await assert.rejects(it.pull("gantry/busybox", undefined, "linux/s390x"), kind("notFound", /linux\/s390x/));
  await assert.rejects(it.pull("gantry/busybox", `sha256:${"0".repeat(64)}`), kind("notFound"));
  await assert.rejects(it.pull("gantry/Busybox"), kind("invalidArgument"));
  await it.assertNothingLeft();
});

test("names are removed first, images with their last one", async () => {
  const base = layerOf({ name: "base", text: "1" });
  const id = await it.importTar(base, "one:1");
  await it.cases.imageTag("one:1", "one", "2");
  await it.cases.imageTag(id, "two", "");
  const other = await it.importTar(layerOf({ name: "x" }), "x:1");
  const remove = (name: string, force = false) => it.cases.imageRemove(name, { force, noPrune: false });
  it.events.length = 0;
  await assert.rejects(
    remove(id),
    kind(
      "conflict",
      `conflict: unable to delete ${id.slice(7, 19)} (must be forced) - image is referenced in multiple repositories`,
    ),
  );
  assert.deepEqual(await remove("one:2"), [{ Untagged: "one:2" }]);
  assert.deepEqual(await remove("two"), [{ Untagged: "two:latest" }]);
  assert.deepEqual(await remove("one:1"), [
    { Untagged: "one:1" },
    { Deleted: id },
    { Deleted: digestOf(base) },
  ]);
  assert.deepEqual(it.events, [
    `image untag ${id} ${id}`,
    `image untag ${id} ${id}`,
    `image untag ${id} ${id}`,
    `image delete ${id} ${id}`,
  ]);
  await assert.rejects(remove("one:1"), kind("notFound", "No such image: one:1"));
  assert.equal((await remove(other.slice(7, 15)))[0]!.constructor, Object);
  await it.assertNothingLeft();
});

test("what containers use is kept", async () => {
  const id = await it.importTar(layerOf({ name: "a" }), "used:1");
  const remove = (name: string, force = false) => it.cases.imageRemove(name, { force, noPrune: false });
  const container = "c".repeat(64);
  it.users.set(id, [{ containerId: container, running: false }]);
  const short = id.slice(7, 19);
  await assert.rejects(
    remove("used:1"),
    kind(
      "conflict",
      `conflict: unable to remove repository reference "used:1" (must force) - container ${"c".repeat(12)} is using its referenced image ${short}`,
    ),
  );
  await assert.rejects(
    remove(id),
    kind(
      "conflict",
      `conflict: unable to delete ${short} (must be forced) - image is being used by stopped container ${"c".repeat(12)}`,
    ),
  );
  it.users.set(id, [{ containerId: container, running: true }]);
  await assert.rejects(
    remove(id, true),
    kind(
      "conflict",
      `conflict: unable to delete ${short} (cannot be forced) - image is being used by running container ${"c".repeat(12)}`,
    ),
  );
  assert.deepEqual(await remove("used:1", true), [{ Untagged: "used:1" }]);
  assert.deepEqual(it.images.resolve(id).repoTags, []);
  // forced with a stopped one: the image goes, the layers below the container's snapshot stay until it is gone
  it.users.set(id, [{ containerId: container, running: false }]);
  it.snapshotter.prepare(container, it.images.resolve(id).chainId);
  assert.deepEqual(await remove(short, true), [{ Deleted: id }]);
  assert.equal(it.snapshotter.list().length, 2);
  it.snapshotter.remove(container);
  await it.snapshotter.idle();
  it.database.close();
  it.open();
  await it.assertNothingLeft();
});

test("layers and blobs that another image uses stay", async () => {
  const base = layerOf({ name: "a", text: "1" });
  const one = await it.importTar(base, "one:1", ["LABEL n=1"]);
  const two = await it.importTar(base, "two:1", ["LABEL n=2"]);
  assert.notEqual(one, two);
  assert.deepEqual(await it.cases.imageRemove("one:1", { force: false, noPrune: false }), [
    { Untagged: "one:1" },
    { Deleted: one },
  ]);
  assert.ok(it.content.has(digestOf(base)));
  assert.ok(it.snapshotter.has(digestOf(base)));
});

test("layers that a container stands on are on the disk before the blobs go, also while it is being made", async (t) => {
  const id = await it.importTar(layerOf({ name: "a", text: "1" }), "x:1");
  const { chainId } = it.images.byId(id)!;
  const blobs = it.content.list().length;
  const flushed: (readonly string[])[] = [];
  const flush = t.mock.method(it.snapshotter, "flush", async (layers: readonly string[]) => {
    assert.equal(it.content.list().length, blobs);
    flushed.push(layers);
  });
  // No record has it yet: its volumes are being filled.
  it.snapshotter.prepare("making", chainId);
  flush.mock.mockImplementationOnce(() => Promise.reject(new Error("input/output error")));
  for (const force of [false, true]) {
    if (force) flush.mock.mockImplementationOnce(() => Promise.reject(new Error("input/output error")));
    await assert.rejects(
      it.cases.imageRemove("x:1", { force, noPrune: false }),
      kind("unavailable", /containers stand on its layers, which are not on the disk: input\/output error/),
    );
    assert.deepEqual(it.images.byId(id)?.repoTags, ["x:1"]);
    assert.equal(it.content.list().length, blobs);
  }
  // A name that is not the last one may go.
  await it.cases.imageTag(id, "y", "1");
  flush.mock.mockImplementationOnce(() => Promise.reject(new Error("input/output error")));
  await it.cases.imageRemove("y:1", { force: false, noPrune: false });
  assert.deepEqual(flushed, []);
  await it.cases.imageRemove("x:1", { force: false, noPrune: false });
  assert.deepEqual(flushed, [[chainId]]);
  assert.deepEqual(it.content.list(), []);
  assert.ok(it.snapshotter.has(chainId!));

  // Nobody waits for the disk where nothing stays.
  await it.importTar(layerOf({ name: "b", text: "1" }), "z:1");
  await it.cases.imageRemove("z:1", { force: true, noPrune: false });
  assert.equal(flushed.length, 1);
  it.snapshotter.remove("making");
});

test("tags: malformed ones are refused, one that exists moves", async () => {
  const one = await it.importTar(layerOf({ name: "1" }), "x:1");
  const two = await it.importTar(layerOf({ name: "2" }));
  await it.cases.imageTag(two, "x", "1");
  assert.equal(it.images.resolve("x:1").id, two);
  assert.deepEqual(it.images.resolve(one).repoTags, []);
  await it.cases.imageTag(two, "localhost:5000/y:tag", "");
  assert.equal(it.images.resolve("localhost:5000/y:tag").id, two);
  await assert.rejects(it.cases.imageTag(two, "X", "1"), kind("invalidArgument", /must be lowercase/));
  await assert.rejects(it.cases.imageTag(two, "x", "no good"), kind("invalidArgument"));
  await assert.rejects(
    it.cases.imageTag(two, `x@sha256:${"0".repeat(64)}`, ""),
    kind("invalidArgument", /digest reference/),
  );
  await assert.rejects(
    it.cases.imageTag("nothing", "x", "1"),
    kind("notFound", "No such image: nothing:latest"),
  );
  await assert.rejects(it.save("x.tar", "nothing"), kind("notFound", "No such image: nothing:latest"));
});

test("listing: filters, sizes, users", async () => {
  const base = layerOf({ name: "a", text: "12345" });
  const one = await it.importTar(base, "one/app:1", ["LABEL l=1 m="]);
  await it.cases.imageTag(one, "two/app", "2");
  await new Promise((resolve) => setTimeout(resolve, 5));
  const two = await it.importTar(base, "three:1", ["LABEL l=2"]);
  const none = await it.importTar(layerOf({ name: "b", text: "1" }));
  it.users.set(one, [{ containerId: "c", running: false }]);
  const list = (filters: Record<string, string[]>, sharedSize = false) =>
    it.cases.imageList({ all: false, filters: new Map(Object.entries(filters)), sharedSize });
  const ids = async (filters: Record<string, string[]>): Promise<string[]> =>
    (await list(filters)).map(({ Id }) => Id).sort();
  const table: [Record<string, string[]>, string[]][] = [
    [{}, [one, two, none]],
    [{ dangling: ["true"] }, [none]],
    [{ dangling: ["0"] }, [one, two]],
    [{ label: ["l"] }, [one, two]],
    [{ label: ["l=2"] }, [two]],
    [{ label: ["l", "m="] }, [one]],
    [{ reference: ["*/app"] }, [one]],
    [{ reference: ["*"] }, [two]],
    [{ reference: ["th[a-r]ee:?"] }, [two]],
    [{ reference: ["app"] }, []],
    [{ before: ["three:1"] }, [one]],
    [{ since: ["one/app:1"] }, [two, none]],
    [{ until: ["1h"] }, []],
    [{ until: ["2100-01-01T00:00:00Z"] }, [one, two, none]],
  ];
  for (const [filters, expected] of table)
    assert.deepEqual(await ids(filters), expected.sort(), JSON.stringify(filters));
  assert.deepEqual((await list({ reference: ["two/*"] }))[0]!.RepoTags, ["two/app:2"]);
  const [summary] = await list({ label: ["l=1"] }, true);
  assert.deepEqual([summary!.Size, summary!.SharedSize, summary!.Containers], [5, 5, 1]);
  assert.equal((await list({ dangling: ["true"] }, true))[0]!.SharedSize, 0);
  await assert.rejects(list({ foo: ["1"] }), kind("invalidArgument", "invalid filter 'foo'"));
  await assert.rejects(list({ dangling: ["maybe"] }), kind("invalidArgument"));
  await assert.rejects(list({ before: ["nothing"] }), kind("notFound", "No such image: nothing:latest"));
});

/** Images that were made from others: what keeps them, what goes with them, what of them is shown. */
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { flavour } from "../helpers/daemon.ts";
import { busybox } from "../helpers/images.ts";
import { useDaemon } from "../helpers/suite.ts";

describe("images that were made from others", () => {
  // Layers of images that were removed are collected later.
  const suite = useDaemon({ leaves: ["data-root"] });
  const ok = (...args: string[]): Promise<string> =>
    suite.daemon.dockerOk(args, { timeoutMs: 60_000, env: { DOCKER_BUILDKIT: "0" } });
  const refusal = async (...args: string[]): Promise<string> => {
    const { code, stderr } = await suite.daemon.docker(args);
    assert.equal(code, 1, stderr);
    return stderr;
  };
  const idOf = (name: string): Promise<string> => ok("image", "inspect", "-f", "{{.Id}}", name);
  const parentOf = (name: string): Promise<string> => ok("image", "inspect", "-f", "{{.Parent}}", name);
  const ids = async (...args: string[]): Promise<string[]> =>
    (await ok("images", "-q", "--no-trunc", ...args)).split("\n").filter((line) => line !== "");

  /** Commits a container of an image that wrote a file. */
  async function makeChild(from: string, name: string, file: string): Promise<string> {
    await ok("run", "--name", "maker", "--network", "none", from, "sh", "-c", `echo ${file} > /${file}`);
    const id = await ok("commit", "maker", ...(name === "" ? [] : [name]));
    await ok("rm", "maker");
    return id;
  }

  test("what an image was made from cannot be removed by its id, nor by force", async () => {
    const parent = await makeChild(busybox, "family/parent:1", "one");
    const child = await makeChild("family/parent:1", "family/child:1", "two");
    assert.equal(await parentOf("family/child:1"), parent);
    assert.equal(await parentOf("family/parent:1"), await idOf(busybox));
    const words = `conflict: unable to delete ${parent.slice(7, 19)} (cannot be forced) - image has dependent child images`;
    assert.ok((await refusal("rmi", parent)).includes(words));
    assert.ok((await refusal("rmi", "-f", parent)).includes(words));
    assert.deepEqual(await ids("family/parent"), [parent]);

    // By its name it loses the name alone, and is shown with -a only.
    assert.equal(await ok("rmi", "family/parent:1"), "Untagged: family/parent:1");
    assert.equal((await ids()).includes(parent), false);
    assert.ok((await ids("-a")).includes(parent));
    assert.deepEqual(await ids("--filter", "dangling=true"), []);
    assert.deepEqual(await ids("-a", "--filter", "dangling=true"), []);
    assert.equal(await ok("image", "prune", "-f"), "Total reclaimed space: 0B");

    // It goes with the last that was made from it.
    const removed = (await ok("rmi", "family/child:1")).split("\n");
    assert.equal(removed[0], "Untagged: family/child:1");
    assert.deepEqual(
      removed.filter((line) => line === `Deleted: ${child}` || line === `Deleted: ${parent}`),
      [`Deleted: ${child}`, `Deleted: ${parent}`],
    );
    assert.equal((await ids("-a")).includes(parent), false);
    assert.deepEqual(await ids(busybox), [await idOf(busybox)]);
  });

  test("--no-prune keeps it; a prune takes a whole line of images without names", async () => {
    const parent = await makeChild(busybox, "", "one");
    const child = await makeChild(parent, "", "two");
    const grandchild = await makeChild(child, "family/last:1", "three");
    assert.deepEqual(
      (await ok("rmi", "--no-prune", "family/last:1"))
        .split("\n")
        .filter((line) => line.startsWith("Untagged:") || line.endsWith(grandchild)),
      ["Untagged: family/last:1", `Deleted: ${grandchild}`],
    );
    assert.deepEqual(await ids("--filter", "dangling=true"), [child]);
    assert.deepEqual(new Set(await ids("-a")), new Set([child, parent, await idOf(busybox)]));
    const pruned = await ok("image", "prune", "-f");
    assert.match(pruned, new RegExp(`deleted: ${child}`, "i"));
    assert.match(pruned, new RegExp(`deleted: ${parent}`, "i"));
    assert.deepEqual(await ids("-a"), [await idOf(busybox)]);
  });

  test("what has a name or a container of its own stays when its child goes", async () => {
    const parent = await makeChild(busybox, "", "one");
    const named = await makeChild(parent, "family/named:1", "two");
    const used = await makeChild("family/named:1", "", "three");
    const last = await makeChild(used, "family/last:1", "four");
    await ok("create", "--name", "user", used, "true");
    assert.match(await ok("rmi", "family/last:1"), new RegExp(`Deleted: ${last}`));
    assert.deepEqual(new Set(await ids()), new Set([used, named, await idOf(busybox)]));
    assert.match(await refusal("rmi", used), /\(must be forced\) - image is being used by stopped container/);
    await ok("rm", "user");
    assert.match(await ok("rmi", used), new RegExp(`Deleted: ${used}`));
    assert.deepEqual(new Set(await ids()), new Set([named, await idOf(busybox)]));
    assert.match(await ok("rmi", named), new RegExp(`Deleted: ${named}[^]*Deleted: ${parent}`));
    assert.deepEqual(await ids("-a"), [await idOf(busybox)]);
  });

  test("the classic builder's steps are images: run, listed with -a, named by history, gone with the last", async () => {
    const context = await mkdtemp(join(tmpdir(), "gantry-test-steps-"));
    try {
      await writeFile(
        join(context, "Dockerfile"),
        `FROM ${busybox}\nENV A=b\nRUN echo one > /one\nCMD ["cat", "/one"]\n`,
      );
      const output = await ok("build", "-t", "family/built:1", context);
      const told = [...output.matchAll(/^ ---> ([0-9a-f]{12})$/gm)].map(([, id]) => id!);
      assert.equal(told.length, 4);
      const history = (await ok("history", "-q", "family/built:1")).split("\n");
      assert.deepEqual(history.slice(0, 4), told.toReversed());
      assert.equal(await ok("run", "--rm", "--network", "none", told[2]!, "cat", "/one"), "one");
      assert.equal(await ok("run", "--rm", "--network", "none", told[1]!, "sh", "-c", "echo $A"), "b");
      const all = (await ids("-a")).map((id) => id.slice(7, 19));
      assert.deepEqual(new Set(all), new Set(told));
      assert.deepEqual(new Set((await ids()).map((id) => id.slice(7, 19))), new Set([told[0], told[3]]));
      assert.match(await refusal("rmi", "-f", told[2]!), /image has dependent child images/);
      // The same again is the same images.
      await ok("build", "-t", "family/built:2", context);
      assert.equal(await idOf("family/built:2"), await idOf("family/built:1"));
      await ok("rmi", "family/built:1");
      const removed = await ok("rmi", "family/built:2");
      for (const id of told.slice(1)) assert.match(removed, new RegExp(`Deleted: sha256:${id}`));
      assert.deepEqual(await ids("-a"), [await idOf(busybox)]);
    } finally {
      await rm(context, { recursive: true });
      if (flavour === "gantry") await ok("builder", "prune", "-af");
    }
  });

  test("parents outlive the daemon", { skip: flavour === "docker" }, async () => {
    const parent = await makeChild(busybox, "", "one");
    await makeChild(parent, "family/child:1", "two");
    await suite.daemon.killHard();
    await suite.daemon.launch();
    assert.equal(await parentOf("family/child:1"), parent);
    assert.match(await refusal("rmi", parent), /image has dependent child images/);
    assert.match(await ok("rmi", "family/child:1"), new RegExp(`Deleted: ${parent}`));
    assert.match(await refusal("image", "inspect", parent), /No such image/);
  });
});

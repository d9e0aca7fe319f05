/** A machine that cannot do what is asked: a sentence that names the thing, and nothing left behind. */
import assert from "node:assert/strict";
import { mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { flavour, TestDaemon } from "../helpers/daemon.ts";
import { busybox, ensureBusybox } from "../helpers/images.ts";
import { takeSettledSnapshot, assertNoLeaks } from "../helpers/leak-check.ts";
import { openTestHost } from "../helpers/test-host.ts";
import { eventually, mustRun } from "../helpers/process.ts";

interface SmallDisk extends AsyncDisposable {
  readonly daemon: TestDaemon;
  /** Takes all the room that there is. */
  fill(): Promise<unknown>;
  makeRoom(): Promise<unknown>;
}

/** A daemon with busybox whose data root is a file system of 48 MB; it is mounted where only the daemon sees it. */
async function smallDisk(): Promise<SmallDisk> {
  await using undo = new AsyncDisposableStack();
  const host = undo.use(await openTestHost());
  const root = await mkdtemp(join(tmpdir(), "gantry-test-full-"));
  undo.defer(() => rm(root, { recursive: true, force: true }));
  const dataRoot = join(root, "data");
  await mkdir(dataRoot);
  await mustRun(host.command(["mount", "-t", "tmpfs", "-o", "size=48m", "none", dataRoot]));
  const daemon = undo.use(await TestDaemon.start({ host, root }));
  await ensureBusybox(daemon);
  const owned = undo.move();
  return {
    daemon,
    fill: () => host.run(["sh", "-c", `head -c 100m /dev/zero > ${dataRoot}/ballast`]),
    makeRoom: () => mustRun(host.command(["rm", `${dataRoot}/ballast`])),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

describe("errors of the machine", () => {
  test("an address pool run dry names the pool, and nothing is left behind", async () => {
    await using daemon = await TestDaemon.start({ bip: "10.251.9.1/30" });
    await ensureBusybox(daemon);
    await daemon.dockerOk(["run", "--rm", busybox, "true"]);
    const first = await daemon.dockerOk(["run", "-d", busybox, "sleep", "60"]);
    const before = await takeSettledSnapshot(daemon);
    const result = await daemon.docker(["run", "-d", "--name", "dry", busybox, "sleep", "60"]);
    assert.equal(result.code, 125);
    assert.match(result.stderr, /no available IPv4 addresses|address pool/i);
    await daemon.dockerOk(["rm", "dry"]);
    if (daemon.flavour === "gantry") await assertNoLeaks(daemon, before);
    await daemon.dockerOk(["rm", "-f", first]);
    await daemon.dockerOk(["run", "--rm", busybox, "true"]);
  });

  test("a full disk is named, nothing is left behind, and room makes it work again", async () => {
    await using disk = await smallDisk();
    const { daemon } = disk;
    await daemon.dockerOk(["run", "--rm", busybox, "true"]);
    const before = await takeSettledSnapshot(daemon);
    await disk.fill();
    const result = await daemon.docker(["run", "--name", "full", busybox, "true"]);
    assert.equal(result.code, 125);
    assert.match(result.stderr, /no space left on device/i);
    await disk.makeRoom();
    assert.equal(await daemon.dockerOk(["ps", "-aq"]), "");
    if (daemon.flavour === "gantry") await assertNoLeaks(daemon, before);
    assert.equal(await daemon.dockerOk(["run", "--rm", busybox, "echo", "room again"]), "room again");
  });

  test("on a full disk an exit is noted for good, and rm works and gives room", async (context) => {
    if (flavour === "docker") return context.skip("Docker's own records cannot be written then");
    await using disk = await smallDisk();
    const { daemon } = disk;
    const script =
      "head -c 4m /dev/zero > /filling; trap 'exit 7' TERM; echo up; while :; do sleep 0.05; done";
    await daemon.dockerOk(["run", "-d", "--name", "box", busybox, "sh", "-c", script]);
    await eventually(async () => (await daemon.dockerOk(["logs", "box"])).includes("up"));
    await disk.fill();
    await daemon.dockerOk(["stop", "box"]);
    await daemon.killHard();
    await daemon.launch();
    const state = ["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "box"];
    assert.equal(await daemon.dockerOk(state), "exited 7");
    await daemon.dockerOk(["rm", "box"]);
    assert.equal(await daemon.dockerOk(["ps", "-aq"]), "");
    // The container's file was bigger than what a new container takes.
    await eventually(async () => (await daemon.docker(["run", "--rm", busybox, "true"])).code === 0, {
      what: "the room of the removed container",
    });
    return undefined;
  });

  test("a runtime that left the configuration still ends what it started", async () => {
    await using daemon = await TestDaemon.prepare({});
    const crun = (await daemon.host.run(["sh", "-c", "command -v crun"])).stdout.trim();
    const config = await daemon.file("daemon.json", JSON.stringify({ runtimes: { other: { path: crun } } }));
    const withFile = await TestDaemon.start({
      root: daemon.root,
      host: daemon.host,
      flags: ["--config-file", config],
    });
    try {
      await ensureBusybox(withFile);
      const flags = ["-d", "--init", "--runtime", "other"];
      for (const name of ["one", "two"])
        await withFile.dockerOk(["run", ...flags, "--name", name, busybox, "sleep", "300"]);
      await withFile.stop();
      await daemon.file("daemon.json", "{}");
      await withFile.launch();
      assert.equal(await withFile.dockerOk(["exec", "one", "echo", "in"]), "in");
      await withFile.dockerOk(["pause", "one"]);
      await withFile.dockerOk(["unpause", "one"]);
      await withFile.dockerOk(["stop", "one"]);
      await withFile.dockerOk(["rm", "-f", "one", "two"]);
      await eventually(async () => (await readdir(`${withFile.execRoot}/containers`)).length === 0, {
        what: "what the containers had to go",
      });
    } finally {
      await withFile[Symbol.asyncDispose]();
    }
  });

  test("a runtime that is missing is named", async () => {
    await using daemon = await TestDaemon.start({ flags: ["--add-runtime", "ghost=/no/such/runtime"] });
    await ensureBusybox(daemon);
    await daemon.dockerOk(["run", "--rm", busybox, "true"]);
    const before = await takeSettledSnapshot(daemon);
    const result = await daemon.docker(["run", "--runtime", "ghost", "--name", "haunted", busybox, "true"]);
    assert.notEqual(result.code, 0);
    assert.match(result.stderr, /ghost|\/no\/such\/runtime/);
    await daemon.docker(["rm", "haunted"]);
    if (daemon.flavour === "gantry") await assertNoLeaks(daemon, before);
  });
});

/** A daemon that is started beside another: what it would share is refused before anything is touched. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { flavour, gantryProgram } from "../helpers/daemon.ts";
import { busybox } from "../helpers/images.ts";
import { useDaemon } from "../helpers/suite.ts";

describe("a second daemon", { skip: flavour === "docker" }, () => {
  const suite = useDaemon();

  /** The flags of a daemon that shares nothing, with some of them replaced. */
  async function startSecond(shared: Record<string, string>): Promise<string> {
    const { daemon } = suite;
    const flags = {
      host: `unix://${join(daemon.root, "second.sock")}`,
      "data-root": join(daemon.root, "second-data"),
      "exec-root": join(daemon.root, "second-exec"),
      bridge: "gt-second",
      bip: "10.246.7.1/24",
      ...shared,
    };
    const words = Object.entries(flags).map(([flag, value]) => `--${flag}=${value}`);
    const result = await daemon.host.run([gantryProgram, "daemon", ...words]);
    assert.equal(result.code, 1);
    return result.stderr;
  }

  test("is refused the data root, exec root, bridge and socket of the first, whose containers go on", async () => {
    const { daemon } = suite;
    const id = await daemon.dockerOk(["run", "-d", "-p", "127.0.0.1::80", busybox, "sleep", "60"]);
    assert.match(await startSecond({ "data-root": daemon.dataRoot }), /another one uses the data root/);
    assert.equal(existsSync(join(daemon.root, "second-exec")), false, "nothing is left of a refused start");
    assert.match(await startSecond({ "exec-root": daemon.execRoot }), /another one uses the exec root/);
    assert.match(await startSecond({ bridge: "gantry0" }), /another one uses the bridge gantry0/);
    assert.match(await startSecond({ host: `unix://${daemon.socket}` }), /another daemon is listening/);
    assert.equal(await daemon.dockerOk(["exec", id, "echo", "alive"]), "alive");
    assert.equal((await daemon.host.run(["ip", "link", "show", "gt-second"])).code, 1);
    await daemon.dockerOk(["rm", "-f", id]);
  });

  test("with another exec root than the one before it is refused while containers run, and touches nothing of theirs", async () => {
    const { daemon } = suite;
    const run = (...words: string[]): Promise<string> =>
      daemon.dockerOk(["run", "-d", ...words, busybox, "sleep", "600"]);
    const ids = [
      await run("--name", "plain", "--restart", "always"),
      await run("--rm", "--name", "auto", "-v", "/data"),
    ];
    const pids = async (): Promise<string> => daemon.dockerOk(["inspect", "-f", "{{.State.Pid}}", ...ids]);
    const before = await pids();
    await daemon.dockerOk(["exec", "auto", "sh", "-c", "echo kept >/data/file"]);
    await daemon.killHard();
    const said = await startSecond({ "data-root": daemon.dataRoot });
    assert.match(
      said,
      /cannot start the daemon: containers run of which the exec root .*second-exec knows nothing/,
    );
    assert.match(said, /plain \(process \d+\), auto \(process \d+\)/);
    assert.ok(
      said.includes(`They were started with --exec-root ${daemon.execRoot}: start the daemon with that`),
      said,
    );
    await daemon.launch();
    assert.equal(await pids(), before);
    assert.equal(await daemon.dockerOk(["exec", "auto", "cat", "/data/file"]), "kept");
    await daemon.dockerOk(["rm", "-f", "-v", ...ids]);
    assert.equal(await daemon.dockerOk(["volume", "ls", "-q"]), "");
  });
});

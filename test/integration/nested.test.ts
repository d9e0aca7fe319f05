/** The engine in a container: a daemon inside of a privileged container, and a command line with the daemon's socket. */
import assert from "node:assert/strict";
import { realpathSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { gantryProgram, repositoryRoot } from "../helpers/daemon.ts";
import { busybox } from "../helpers/images.ts";
import { eventually } from "../helpers/process.ts";
import { useDaemon } from "../helpers/suite.ts";

/** The host's programs and gantry's own files, for containers of an image that has none. */
const programs = [
  "/usr",
  "/lib",
  "/lib64",
  "/bin",
  "/sbin",
  repositoryRoot,
  realpathSync(join(repositoryRoot, "node_modules")),
].flatMap((path) => ["-v", `${path}:${path}:ro`]);

describe("the engine in a container", () => {
  const suite = useDaemon();

  test("Docker's command line in a container works through the mounted socket", async () => {
    const { daemon } = suite;
    const inside = (...words: string[]): Promise<string> =>
      daemon.dockerOk([
        "run",
        "--rm",
        ...programs,
        "-v",
        `${daemon.socket}:/var/run/docker.sock`,
        busybox,
        "docker",
        ...words,
      ]);
    assert.equal(await inside("run", "--rm", busybox, "echo", "a sibling"), "a sibling");
    const id = await daemon.dockerOk(["run", "-d", "--name", "seen", busybox, "sleep", "600"]);
    assert.equal(await inside("ps", "-q", "--no-trunc", "--filter", "name=seen"), id);
    assert.equal(await inside("exec", "seen", "echo", "through the socket"), "through the socket");
    // The command line cuts times down to whole seconds: an event is in the past from the next second on.
    await eventually(async () =>
      /container create/.test(
        await inside("events", "--since", "1m", "--until", "0s", "--filter", "container=seen"),
      ),
    );
  });

  test("a daemon inside: containers, limits, networks, exec, stats, and nothing left", async () => {
    const { daemon } = suite;
    const socket = "/run/gantry/gantry.sock";
    await daemon.dockerOk([
      "run",
      "-d",
      "--privileged",
      "--name",
      "outer",
      ...programs,
      "-v",
      "rig-inner:/var/lib/gantry",
      "--tmpfs",
      "/run:exec",
      "-e",
      "HOME=/root",
      busybox,
      gantryProgram,
      "daemon",
      "--bip",
      "10.204.77.1/24",
    ]);
    const inner = (...words: string[]): Promise<string> =>
      daemon.dockerOk(["exec", "outer", "docker", "-H", `unix://${socket}`, ...words], { timeoutMs: 60_000 });
    try {
      await eventually(
        async () =>
          (await daemon.docker(["exec", "outer", "docker", "-H", `unix://${socket}`, "version"])).code === 0,
        {
          timeoutMs: 60_000,
          intervalMs: 300,
          what: "the daemon inside",
        },
      );
      await daemon.dockerOk(["exec", "outer", gantryProgram, "pull", busybox]);
      assert.equal(await inner("run", "--rm", busybox, "echo", "twice inside"), "twice inside");
      assert.match(await inner("info", "-f", "{{.Driver}}"), /^overlay2?$/);
      await inner(
        "run",
        "-d",
        "--name",
        "deep",
        "-m",
        "32m",
        "-p",
        "8080:80",
        busybox,
        "sh",
        "-c",
        "echo deep > /index.html; httpd -f -p 80",
      );
      assert.equal(await inner("exec", "deep", "cat", "/index.html"), "deep");
      const page = (): Promise<string> =>
        daemon.dockerOk(["exec", "outer", "busybox", "wget", "-qO-", "http://127.0.0.1:8080/"]);
      await eventually(async () => (await page().catch(() => "")) === "deep", {
        what: "the published port inside",
      });
      assert.match(
        await inner("stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}} {{.PIDs}}", "deep"),
        /^deep [1-9].* \/ 32MiB [1-9]/,
      );
      assert.match(await inner("top", "deep"), /httpd -f -p 80/);
      await inner("pause", "deep");
      await inner("unpause", "deep");
      const eater = await daemon.docker([
        "exec",
        "outer",
        "docker",
        "-H",
        `unix://${socket}`,
        "run",
        "--name",
        "eater",
        "-m",
        "16m",
        busybox,
        "tail",
        "/dev/zero",
      ]);
      assert.equal(eater.code, 137);
      assert.equal(await inner("inspect", "-f", "{{.State.OOMKilled}}", "eater"), "true");
      // The daemon outside sees it as one container, with all that is inside.
      assert.match(await daemon.dockerOk(["top", "outer"]), /httpd -f -p 80/);
      await inner("rm", "-f", "deep", "eater");
      // Killed with everything inside, it starts again on the same volume.
      await inner("run", "-d", "--name", "kept", "--restart", "always", busybox, "sleep", "600");
      await daemon.dockerOk(["restart", "-t", "0", "outer"]);
      await eventually(
        async () => (await inner("ps", "-q", "--filter", "name=kept").catch(() => "")) !== "",
        {
          timeoutMs: 60_000,
          intervalMs: 300,
          what: "the container that is to be restarted inside",
        },
      );
    } finally {
      await daemon.dockerOk(["rm", "-f", "-v", "outer"]);
      await daemon.dockerOk(["volume", "rm", "rig-inner"]);
    }
  });
});

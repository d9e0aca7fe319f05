/** What `inspect` and `ps` tell: fields, filters, formats. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { TestDaemon } from "../helpers/daemon.ts";
import { busybox, ensureBusybox } from "../helpers/images.ts";

describe("inspect and ps", () => {
  let daemon: TestDaemon;
  let runningId = "";

  before(async () => {
    daemon = await TestDaemon.start();
    await ensureBusybox(daemon);
    const labels = ["--label", "team=red", "--label", "tier"];
    runningId = await daemon.dockerOk([
      "run",
      "-d",
      "--name",
      "runs",
      ...labels,
      "-p",
      "127.0.0.1:18300:80",
      busybox,
      "sleep",
      "120",
    ]);
    await daemon.docker([
      "run",
      "--name",
      "failed",
      "--label",
      "team=blue",
      busybox,
      "sh",
      "-c",
      "sleep 0.1; exit 9",
    ]);
    await daemon.dockerOk(["run", "--name", "done", "--network", "none", busybox, "true"]);
    await daemon.dockerOk(["create", "--name", "fresh", "-v", "/data", busybox, "true"]);
  });
  after(() => daemon?.[Symbol.asyncDispose]());

  const names = async (...flags: string[]): Promise<string[]> => {
    const shown = await daemon.dockerOk(["ps", "--format", "{{.Names}}", ...flags]);
    return shown === "" ? [] : shown.split("\n").toSorted();
  };

  test("ps shows the running, -a all, -n and -l the newest", async () => {
    assert.deepEqual(await names(), ["runs"]);
    assert.deepEqual(await names("-a"), ["done", "failed", "fresh", "runs"]);
    assert.deepEqual(await names("-n", "2"), ["done", "fresh"]);
    assert.deepEqual(await names("-l"), ["fresh"]);
  });

  test("ps has Docker's columns", async () => {
    const [head = "", line = ""] = (await daemon.dockerOk(["ps"])).split("\n");
    assert.match(head, /^CONTAINER ID\s+IMAGE\s+COMMAND\s+CREATED\s+STATUS\s+PORTS\s+NAMES$/);
    assert.match(
      line,
      new RegExp(
        `^${runningId.slice(0, 12)}\\s+gantry/busybox\\s+"sleep 120"\\s+.* ago\\s+Up .*\\s+127.0.0.1:18300->80/tcp\\s+runs$`,
      ),
    );
  });

  test("the words for states", async () => {
    const status = async (name: string): Promise<string> =>
      daemon.dockerOk(["ps", "-a", "--filter", `name=^/${name}$`, "--format", "{{.Status}}"]);
    assert.match(await status("runs"), /^Up (Less than a second|\d+ seconds?|About a minute)$/);
    assert.match(await status("failed"), /^Exited \(9\) .* ago$/);
    assert.equal(await status("fresh"), "Created");
  });

  const filters: [string, string[], string[]][] = [
    ["by status", ["status=exited"], ["done", "failed"]],
    ["by two values of status", ["status=exited", "status=created"], ["done", "failed", "fresh"]],
    ["by exit code", ["exited=9"], ["failed"]],
    ["by name", ["name=f"], ["failed", "fresh"]],
    ["by name, anchored", ["name=^/?done$"], ["done"]],
    ["by label", ["label=team"], ["failed", "runs"]],
    ["by label and value", ["label=team=red"], ["runs"]],
    ["by two labels", ["label=team", "label=tier"], ["runs"]],
    ["by image", [`ancestor=${busybox}`], ["done", "failed", "fresh", "runs"]],
    ["by network", ["network=none"], ["done"]],
    ["by published port", ["publish=18300"], ["runs"]],
    ["by exposed port", ["expose=80"], ["runs"]],
    ["by volume", ["volume=/data"], ["fresh"]],
    ["before another", ["before=done"], ["failed", "runs"]],
    ["since another", ["since=failed"], ["done", "fresh"]],
    ["by nothing that matches", ["name=nobody"], []],
  ];
  for (const [name, values, expected] of filters) {
    test(`ps filters ${name}`, async () => {
      assert.deepEqual(await names("-a", ...values.flatMap((value) => ["--filter", value])), expected);
    });
  }

  test("ps filters by id", async () => {
    assert.deepEqual(await names("-a", "--filter", `id=${runningId.slice(0, 10)}`), ["runs"]);
  });

  test("an unknown filter is 400", async () => {
    await assert.rejects(
      daemon.client.listContainers({ filters: { nonsense: ["x"] } }),
      (error: Error & { statusCode?: number }) => {
        assert.equal(error.statusCode, 400);
        assert.match(error.message, /invalid filter 'nonsense'/i);
        return true;
      },
    );
  });

  test("inspect has the fields that clients read", async () => {
    const info = await daemon.client.getContainer("runs").inspect();
    assert.equal(info.Id, runningId);
    assert.equal(info.Name, "/runs");
    assert.equal(info.Path, "sleep");
    assert.deepEqual(info.Args, ["120"]);
    assert.match(info.Image, /^sha256:[0-9a-f]{64}$/);
    assert.equal(info.Config.Image, busybox);
    assert.deepEqual(info.Config.Cmd, ["sleep", "120"]);
    assert.equal(info.Config.Hostname, runningId.slice(0, 12));
    assert.equal(info.Config.Labels["team"], "red");
    assert.deepEqual(
      { ...info.State, Pid: 0, StartedAt: "", FinishedAt: "" },
      {
        Status: "running",
        Running: true,
        Paused: false,
        Restarting: false,
        OOMKilled: false,
        Dead: false,
        Pid: 0,
        ExitCode: 0,
        Error: "",
        StartedAt: "",
        FinishedAt: "",
      },
    );
    assert.match(info.State.StartedAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/);
    assert.equal(info.State.FinishedAt, "0001-01-01T00:00:00Z");
    assert.equal(info.Platform, "linux");
    assert.deepEqual(info.HostConfig.PortBindings, {
      "80/tcp": [{ HostIp: "127.0.0.1", HostPort: "18300" }],
    });
    assert.deepEqual(info.NetworkSettings.Ports, { "80/tcp": [{ HostIp: "127.0.0.1", HostPort: "18300" }] });
    assert.equal(info.HostConfig.ShmSize, 64 * 1024 * 1024);
    assert.equal(info.HostConfig.RestartPolicy?.Name, "no");
    assert.equal(info.HostConfig.LogConfig?.Type, "json-file");
    // gantry's log is in conmon's format, in a file that does not pretend to be Docker's (docs/architecture.md).
    if (daemon.flavour === "docker") assert.ok(info.LogPath.endsWith(`${runningId}-json.log`), info.LogPath);
    else assert.ok(existsSync(info.LogPath) && info.LogPath.includes(runningId), info.LogPath);
    for (const key of ["ResolvConfPath", "HostnamePath", "HostsPath"] as const)
      assert.ok(info[key].startsWith("/"), key);
    const endpoint = info.NetworkSettings.Networks["bridge"];
    assert.equal(endpoint?.Gateway, daemon.gateway);
    assert.equal(endpoint?.IPPrefixLen, 24);
    assert.match(endpoint?.NetworkID ?? "", /^[0-9a-f]{64}$/);
  });

  test("inspect of one that ended", async () => {
    const info = await daemon.client.getContainer("failed").inspect();
    assert.equal(info.State.ExitCode, 9);
    assert.equal(info.State.Status, "exited");
    assert.ok(Date.parse(info.State.FinishedAt) >= Date.parse(info.State.StartedAt));
    assert.equal(info.NetworkSettings.Networks["bridge"]?.IPAddress, "");
  });

  test("inspect finds images, networks, and says what it does not find", async () => {
    assert.match(
      await daemon.dockerOk(["inspect", "-f", "{{.RepoTags}}", busybox]),
      /gantry\/busybox:latest/,
    );
    assert.equal(await daemon.dockerOk(["inspect", "-f", "{{.Driver}}", "bridge"]), "bridge");
    const missing = await daemon.docker(["inspect", "nobody"]);
    assert.equal(missing.code, 1);
    assert.equal(missing.stdout.trim(), "[]");
    assert.match(missing.stderr, /No such object: nobody/);
  });

  test("ps -s and inspect -s measure the writable layer", async () => {
    await daemon.dockerOk([
      "run",
      "--name",
      "writer",
      busybox,
      "sh",
      "-c",
      "head -c 100000 /dev/zero > /file",
    ]);
    const info = JSON.parse(await daemon.dockerOk(["inspect", "-s", "writer"])) as {
      SizeRw: number;
      SizeRootFs: number;
    }[];
    assert.ok(
      (info[0]?.SizeRw ?? 0) >= 100_000 && (info[0]?.SizeRw ?? 0) < 200_000,
      `SizeRw ${info[0]?.SizeRw}`,
    );
    assert.ok((info[0]?.SizeRootFs ?? 0) > 1_000_000);
    assert.match(
      await daemon.dockerOk(["ps", "-as", "--filter", "name=writer", "--format", "{{.Size}}"]),
      /^1\d\dkB \(virtual .*MB\)$/,
    );
    await daemon.dockerOk(["rm", "writer"]);
  });

  test("version and info", async () => {
    const version = await daemon.client.version();
    assert.match(version.ApiVersion, /^1\.\d+$/);
    assert.equal(version.Os, "linux");
    const info = (await daemon.client.info()) as Record<string, unknown>;
    assert.deepEqual(
      [info["Containers"], info["ContainersRunning"], info["ContainersStopped"], info["ContainersPaused"]],
      [4, 1, 3, 0],
    );
    assert.equal(info["DockerRootDir"], daemon.dataRoot);
    assert.equal(info["NCPU"], (await import("node:os")).cpus().length);
    await daemon.dockerOk(["info"]);
    await daemon.dockerOk(["version"]);
  });
});

/** The daemon's own flags and daemon.json. */
import assert from "node:assert/strict";
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import Docker from "dockerode";
import { flavour, TestDaemon } from "../helpers/daemon.ts";
import { busybox, ensureBusybox } from "../helpers/images.ts";
import { eventually } from "../helpers/process.ts";
import { openTestHost } from "../helpers/test-host.ts";

describe("--live-restore=false and --restart=false", () => {
  const flags = ["--live-restore=false"];
  const stateOf = (daemon: TestDaemon, name: string): Promise<string> =>
    daemon.dockerOk(["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}} {{.RestartCount}}", name]);

  async function startSome(daemon: TestDaemon): Promise<void> {
    await ensureBusybox(daemon);
    const script = "trap 'echo bye; exit 5' TERM; echo up; while :; do sleep 0.05; done";
    for (const policy of ["no", "always", "unless-stopped", "on-failure"]) {
      const options = ["--name", policy, "--restart", policy];
      await daemon.dockerOk(["run", "-d", ...options, busybox, "sh", "-c", script]);
    }
    await daemon.dockerOk([
      "run",
      "-d",
      "--rm",
      "--init",
      "--name",
      "gone",
      "-v",
      "/data",
      busybox,
      "sleep",
      "300",
    ]);
    await daemon.dockerOk([
      "run",
      "-d",
      "--name",
      "stopped",
      "--restart",
      "unless-stopped",
      busybox,
      "sleep",
      "9",
    ]);
    await daemon.dockerOk(["stop", "-t", "0", "stopped"]);
    for (const name of ["no", "always"])
      await eventually(async () => (await daemon.dockerOk(["logs", name])).includes("up"));
  }

  test("containers stop with the daemon, in their own way, and policies start them again", async () => {
    await using daemon = await TestDaemon.start({ flags });
    assert.equal(await daemon.dockerOk(["info", "-f", "{{.LiveRestoreEnabled}}"]), "false");
    await startSome(daemon);
    assert.equal(await daemon.stop(), 0);
    const { stdout } = await daemon.host.run(["find", `${daemon.execRoot}/containers`, "-mindepth", "1"]);
    assert.equal(stdout, "", "nothing of a container is left");
    await daemon.launch();
    for (const name of ["always", "unless-stopped", "on-failure"])
      await eventually(async () => (await stateOf(daemon, name)).startsWith("running"), { what: name });
    assert.equal(await stateOf(daemon, "no"), "exited 5 0");
    assert.match(await stateOf(daemon, "stopped"), /^exited/);
    assert.match(await daemon.dockerOk(["logs", "no"]), /up\nbye/);
    assert.equal(await daemon.dockerOk(["ps", "-aq", "-f", "name=gone"]), "");
    assert.equal(await daemon.dockerOk(["volume", "ls", "-q"]), "");
  });

  test("what a killed daemon left running is stopped by the next one", async () => {
    await using daemon = await TestDaemon.start({ flags });
    await ensureBusybox(daemon);
    await daemon.dockerOk(["run", "-d", "--init", "--name", "box", busybox, "sleep", "300"]);
    await daemon.killHard();
    await daemon.launch();
    await eventually(async () => (await stateOf(daemon, "box")).startsWith("exited"));
  });

  test("--restart=false leaves containers as they are, whatever their policy", async () => {
    await using daemon = await TestDaemon.start({ flags: [...flags, "-r=false"] });
    await ensureBusybox(daemon);
    await daemon.dockerOk([
      "run",
      "-d",
      "--init",
      "--name",
      "box",
      "--restart",
      "always",
      busybox,
      "sleep",
      "300",
    ]);
    await daemon.stop();
    await daemon.launch();
    await daemon.host.run(["sleep", "1"]);
    assert.match(await stateOf(daemon, "box"), /^exited/);
  });
});

describe("daemon flags", () => {
  test("several -H: a unix and a tcp socket", async () => {
    await using daemon = await TestDaemon.start({ flags: ["-H", "tcp://127.0.0.1:23751"] });
    const url = "http://127.0.0.1:23751/_ping";
    const fetched = await daemon.host.run([
      process.execPath,
      "-e",
      `fetch("${url}").then((r) => r.text()).then(console.log)`,
    ]);
    assert.equal(fetched.stdout, "OK\n");
    assert.ok(await daemon.ping());
  });

  test("--group owns the socket", async () => {
    await using daemon = await TestDaemon.start({ flags: ["-G", "daemon"] });
    const { gid, mode } = statSync(daemon.socket);
    assert.equal(gid, 1);
    assert.equal(mode & 0o777, 0o660);
  });

  test("--bip, --mtu, --dns and --bridge", async () => {
    await using host = await openTestHost();
    await using daemon = await TestDaemon.start({
      host,
      bip: "10.248.7.1/26",
      flags: ["--mtu", "1400", "--dns", "192.0.2.1", "--dns-search", "a.example", "--dns-opt", "ndots:2"],
    });
    await ensureBusybox(daemon);
    const output = await daemon.dockerOk([
      "run",
      "--rm",
      busybox,
      "sh",
      "-c",
      "cat /sys/class/net/eth0/mtu /etc/resolv.conf; ip -4 -o addr show eth0",
    ]);
    assert.match(output, /^1400$/m);
    assert.match(output, /^nameserver 192\.0\.2\.1$/m);
    assert.match(output, /^search a\.example$/m);
    assert.match(output, /^options ndots:2$/m);
    assert.match(output, /inet 10\.248\.7\.\d+\/26/);
  });

  test("--ip is where ports are published by default", async () => {
    await using daemon = await TestDaemon.start({ flags: ["--ip", "127.0.0.1"] });
    await ensureBusybox(daemon);
    await daemon.dockerOk(["run", "-d", "--name", "web", "-p", "18600:80", busybox, "sleep", "60"]);
    assert.equal(await daemon.dockerOk(["port", "web"]), "80/tcp -> 127.0.0.1:18600");
  });

  test("--icc=false keeps containers apart", async () => {
    await using daemon = await TestDaemon.start({ flags: ["--icc=false"] });
    await ensureBusybox(daemon);
    await daemon.dockerOk([
      "run",
      "-d",
      "--name",
      "one",
      busybox,
      "nc",
      "-ll",
      "-p",
      "80",
      "-e",
      "echo",
      "one",
    ]);
    const address = await daemon.dockerOk([
      "inspect",
      "-f",
      "{{.NetworkSettings.Networks.bridge.IPAddress}}",
      "one",
    ]);
    const asked = await daemon.docker(["run", "--rm", busybox, "nc", "-w", "2", address, "80"]);
    assert.notEqual(asked.code, 0);
    assert.equal(asked.stdout, "");
  });

  test("-D and --log-level", async () => {
    await using daemon = await TestDaemon.start({ flags: ["-D"] });
    await daemon.client.version();
    await eventually(async () => /debug/i.test(await daemon.log()));
  });

  test("one directory for both roots: said, also when it has two names", async () => {
    await using daemon = await TestDaemon.prepare();
    await daemon.host.run(["mkdir", daemon.dataRoot]);
    await daemon.host.run(["ln", "-s", daemon.dataRoot, daemon.execRoot]);
    const result = await daemon.host.run(daemon.commandLine(), { timeoutMs: 60_000 });
    assert.equal(result.code, 1);
    assert.match(result.stderr, /the data root and the exec root are one directory/);
    assert.match(result.stderr, /Give --exec-root a directory of its own/);
  });

  test("a machine without conmon, without a runtime: said, with the package to install", async () => {
    await using daemon = await TestDaemon.prepare();
    await hide(daemon, "crun");
    await hide(daemon, "runc");
    // Images and volumes are served all the same.
    await daemon.launch();
    await ensureBusybox(daemon);
    const run = await daemon.docker(["run", "--rm", busybox, "true"]);
    assert.equal(run.code, 125);
    assert.match(run.stderr, /no OCI runtime is installed: containers cannot be started/);
    assert.match(await daemon.dockerOk(["info", "-f", "{{json .Warnings}}"]), /no OCI runtime is installed/);
    await daemon.stop();
    await hide(daemon, "conmon");
    const noMonitor = await daemon.host.run(daemon.commandLine(), { timeoutMs: 60_000 });
    assert.equal(noMonitor.code, 1);
    assert.match(noMonitor.stderr, /conmon is not installed: containers cannot be started without it/);
    assert.match(noMonitor.stderr, /apt-get install conmon/);
  });

  test("conmon goes while the daemon runs: the start says so, and works when it is back", async () => {
    await using daemon = await TestDaemon.start();
    await ensureBusybox(daemon);
    const path = (await daemon.host.run(["sh", "-c", "command -v conmon"])).stdout.trim();
    await daemon.host.run(["mount", "--bind", "/dev/null", path]);
    const result = await daemon.docker(["run", "--name", "box", busybox, "echo", "back"]);
    assert.notEqual(result.code, 0);
    assert.match(result.stderr, /conmon cannot be started/);
    await daemon.host.run(["umount", path]);
    assert.equal(await daemon.dockerOk(["start", "-a", "box"]), "back");
  });

  test("an unknown flag, log level, storage driver: said, and the daemon does not start", async () => {
    await using daemon = await TestDaemon.prepare();
    for (const flags of [["--no-such-flag"], ["-l", "loud"], ["--storage-driver", "floppy"]]) {
      const result = await daemon.host.run(daemon.commandLine(flags), { timeoutMs: 60_000 });
      assert.notEqual(result.code, 0, flags.join(" "));
      assert.ok(
        `${result.stderr}${result.stdout}`.includes((flags.at(-1) ?? "").replace(/^--/, "")),
        result.stderr,
      );
    }
  });
});

describe("daemon.json", () => {
  test("gives what flags do not", async () => {
    await using prepared = await TestDaemon.prepare();
    const path = await prepared.file(
      "daemon.json",
      JSON.stringify({ debug: true, labels: ["a=b"], mtu: 1300 }),
    );
    await using daemon = await TestDaemon.start({
      host: prepared.host,
      root: join(prepared.root, "configured"),
      flags: ["--config-file", path],
    });
    await ensureBusybox(daemon);
    const info = (await daemon.client.info()) as { Labels: string[]; Debug: boolean };
    assert.deepEqual([info.Labels, info.Debug], [["a=b"], true]);
    assert.equal(await daemon.dockerOk(["run", "--rm", busybox, "cat", "/sys/class/net/eth0/mtu"]), "1300");
  });

  const refused: [string, string, RegExp][] = [
    [
      "a key that is a flag, too",
      JSON.stringify({ bip: "10.1.1.1/24" }),
      /specified both as a flag and in the configuration file.*bip/s,
    ],
    [
      "an unknown key",
      JSON.stringify({ "no-such-key": 1 }),
      /don't match any configuration option.*no-such-key/s,
    ],
    ["no JSON", "{ oops", /daemon\.json|JSON|invalid character/],
    ["a value of the wrong type", JSON.stringify({ mtu: "wide" }), /mtu|unmarshal/],
  ];
  for (const [name, content, message] of refused) {
    test(`is refused with ${name}`, async () => {
      await using daemon = await TestDaemon.prepare();
      const path = await daemon.file("daemon.json", content);
      const result = await daemon.host.run(daemon.commandLine(["--config-file", path]), {
        timeoutMs: 60_000,
      });
      assert.notEqual(result.code, 0);
      assert.match(`${result.stderr}${result.stdout}`, message);
    });
  }

  test("--validate says whether flags and file can be used, and starts nothing", async () => {
    await using daemon = await TestDaemon.prepare();
    const check = async (content: object, ...flags: string[]): Promise<[number, string]> => {
      const path = await daemon.file("daemon.json", JSON.stringify(content));
      const command = daemon.commandLine(["--config-file", path, "--validate", ...flags]);
      const { code, stderr } = await daemon.host.run(command, { timeoutMs: 60_000 });
      return [code, stderr];
    };
    const [fine, said] = await check({ debug: true, "default-shm-size": "8m" });
    assert.equal(fine, 0, said);
    assert.match(said, /^configuration OK$/m);
    const [code, words] = await check({ "default-shm-size": "big" });
    assert.notEqual(code, 0);
    assert.match(words, /invalid/);
    assert.notEqual((await check({}, "--default-ulimit", "nofile=5:4"))[0], 0);
    assert.ok(!existsSync(daemon.dataRoot) && !existsSync(daemon.socket));
  });

  test("a config file that is named and not there is an error", async () => {
    await using daemon = await TestDaemon.prepare();
    const flags = ["--config-file", join(daemon.root, "missing.json")];
    const result = await daemon.host.run(daemon.commandLine(flags), { timeoutMs: 60_000 });
    assert.notEqual(result.code, 0);
    assert.match(`${result.stderr}${result.stdout}`, /missing\.json/);
  });
});

describe("API versions", () => {
  test("the path may name any version from the lowest to the highest", async () => {
    await using daemon = await TestDaemon.start();
    const version = (await daemon.client.version()) as Docker.DockerVersion & { MinAPIVersion: string };
    for (const wanted of [version.MinAPIVersion, "1.30", "1.41", version.ApiVersion]) {
      const client = new Docker({ socketPath: daemon.socket, version: `v${wanted}` });
      assert.equal((await client.version()).ApiVersion, version.ApiVersion);
    }
    if (flavour === "gantry") {
      assert.equal(version.ApiVersion, "1.55");
      assert.equal(version.MinAPIVersion, "1.24");
    }
    const pinned = await daemon.docker(["version", "--format", "{{.Client.APIVersion}}"], {
      env: { DOCKER_API_VERSION: "1.40" },
    });
    assert.equal(pinned.stdout, "1.40\n");
  });
});

/** Takes a program away from the daemon's host: what cannot be executed counts as missing. */
async function hide(daemon: TestDaemon, name: string): Promise<void> {
  for (const directory of ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin"])
    if (existsSync(`${directory}/${name}`))
      await daemon.host.run(["mount", "--bind", "/dev/null", `${directory}/${name}`]);
}

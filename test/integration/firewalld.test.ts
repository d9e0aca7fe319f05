/**
 * Beside firewalld itself, as a Debian release has it: `GANTRY_TEST_FIREWALLD=trixie` (2.3, which owns its table) or
 * `bookworm` (1.3). Its root is made by mmdebstrap once and kept in ~/.cache/gantry.
 */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, renameSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { failPointsIn } from "../crash/points.ts";
import { TestDaemon } from "../helpers/daemon.ts";
import { busybox, ensureBusybox } from "../helpers/images.ts";
import { eventually, mustRun, type RunningProgram } from "../helpers/process.ts";
import { connectOutside, openTestHost, type Outside, type TestHost } from "../helpers/test-host.ts";

const release = process.env["GANTRY_TEST_FIREWALLD"] ?? "";
const words = (line: string): string[] => line.split(" ");

async function releaseRoot(): Promise<string> {
  const cache = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "gantry");
  const root = join(cache, `firewalld-${release}`);
  if (existsSync(root)) return root;
  mkdirSync(cache, { recursive: true });
  const made = `${root}.${process.pid}`;
  const packages = "--include=firewalld,dbus,nftables,iptables";
  await mustRun(["mmdebstrap", "--variant=apt", packages, release, made, "http://deb.debian.org/debian"], {
    timeoutMs: 600_000,
  });
  renameSync(made, root);
  return root;
}

const directory = "/mnt";

/** A machine of its own that firewalld runs on, with the world outside. */
class FirewalldHost implements AsyncDisposable {
  readonly host: TestHost;
  readonly outside: Outside;
  readonly programs: RunningProgram[] = [];
  #owned = new AsyncDisposableStack();

  private constructor(host: TestHost, outside: Outside) {
    this.host = host;
    this.outside = outside;
  }

  /** firewalld is started, and answers. */
  static async open(): Promise<FirewalldHost> {
    const root = await releaseRoot();
    await using undo = new AsyncDisposableStack();
    const host = undo.use(await openTestHost());
    const outside = undo.use(await connectOutside(host));
    const opened = new FirewalldHost(host, outside);
    undo.defer(() => opened.programs.forEach((program) => program.process.kill("SIGKILL")));
    await opened.#prepare(root);
    await opened.startFirewalld();
    opened.#owned = undo.move();
    return opened;
  }

  /** A root whose changes go with the host's mount namespace, a D-Bus in it, and a firewall-cmd outside of it. */
  async #prepare(root: string): Promise<void> {
    const script = `
      mount -t tmpfs none ${directory} && cd ${directory} && mkdir upper work root bin
      mount -t overlay -o lowerdir=${root},upperdir=upper,workdir=work none root
      mount -t tmpfs none root/run && mkdir -p root/run/dbus
      for name in proc sys dev; do mount --rbind /$name root/$name; done
      printf '%s' "$1" >bin/firewall-cmd && chmod +x bin/firewall-cmd`;
    const wrapper = `#!/bin/sh\nexec chroot ${directory}/root firewall-cmd "$@"\n`;
    const made = await this.host.run(["sh", "-ec", script, "sh", wrapper]);
    assert.equal(made.code, 0, made.stderr);
    this.#start("dbus-daemon --system --nofork --nopidfile");
  }

  #start(line: string): RunningProgram {
    const program = this.host.start(words(`chroot ${directory}/root ${line}`));
    this.programs.push(program);
    return program;
  }

  async startFirewalld(): Promise<RunningProgram> {
    const program = this.#start("firewalld --nofork --nopid");
    await eventually(async () => (await this.firewallCmd("--state")) === "running", {
      timeoutMs: 60_000,
      what: "firewalld",
    });
    return program;
  }

  async firewallCmd(...args: string[]): Promise<string> {
    return (await this.host.run(["chroot", `${directory}/root`, "firewall-cmd", ...args])).stdout.trim();
  }

  async stopFirewalld(): Promise<void> {
    const firewalld = this.programs.findLast(({ process }) => process.spawnargs.includes("firewalld"));
    firewalld?.process.kill("SIGTERM");
    await firewalld?.wait(60_000);
  }

  /** A daemon that finds firewall-cmd. */
  prepareDaemon(): Promise<TestDaemon> {
    const env = { PATH: `${directory}/bin:${process.env["PATH"] ?? ""}` };
    return TestDaemon.prepare({ host: this.host, env });
  }

  async inZone(devices: number, when: string): Promise<void> {
    await eventually(
      async () => {
        const listed = await this.firewallCmd("--zone=docker", "--list-interfaces");
        return words(listed).filter(Boolean).length === devices;
      },
      { timeoutMs: 60_000, what: `${devices} devices in the zone, ${when}` },
    );
  }

  /** Starts a container, and programs that it and those outside reach; returns a check that all of them do. */
  async serve(daemon: TestDaemon): Promise<(when: string) => Promise<void>> {
    const { host, outside } = this;
    this.programs.push(outside.start(words("busybox nc -ll -p 7000 -e echo world")));
    this.programs.push(host.start(words("busybox nc -ll -p 7001 -e echo service")));
    await daemon.dockerOk(words(`run -d --name web -p 8080:80 ${busybox} nc -ll -p 80 -e echo served`));
    const asked: readonly [string, () => Promise<{ readonly stdout: string }>][] = [
      ["served", () => outside.run(words(`timeout 5 busybox nc ${outside.hostAddress} 8080`))],
      ["served", () => host.run(words("timeout 5 busybox nc 127.0.0.1 8080"))],
      ["world", () => daemon.docker(words(`exec web timeout 5 nc ${outside.address} 7000`))],
      ["service", () => daemon.docker(words(`exec web timeout 5 nc ${daemon.gateway} 7001`))],
    ];
    return async (when) => {
      for (const [answer, ask] of asked)
        await eventually(async () => (await ask()).stdout.includes(answer), {
          timeoutMs: 60_000,
          what: `${answer}, ${when}`,
        });
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned.disposeAsync();
  }
}

/** Where a daemon is killed, at which time that it comes there, and what it is asked for until then. */
const kills: readonly (readonly [point: string, time: number, ...requests: string[]])[] = [
  // The zone first, then the policy.
  ["firewalld.made", 1],
  ["firewalld.made", 2],
  ["firewalld.set", 1],
  ["firewalld.set", 2],
  ["firewalld.loaded", 1],
  // The default bridge first, then the network's.
  ["firewalld.admitted", 1],
  ["firewalld.admitted", 2, "network create more"],
  ["firewalld.removed", 1, "network create more", "network rm more"],
  // Of networks that the next daemon removes firewalld knows already, or still.
  ["network-create.firewall", 1, "network create more"],
  ["network-remove.marked", 1, "network create more", "network rm more"],
  ["network-remove.recorded", 1, "network create more", "network rm more"],
];

test("every fail point of firewalld's is one that a daemon is killed at", () => {
  const killed = new Set(kills.map(([point]) => point).filter((point) => point.startsWith("firewalld.")));
  assert.deepEqual([...killed].toSorted(), failPointsIn(/^src\/network\/firewalld\./));
});

describe(
  "beside firewalld",
  { skip: release === "" && "asked for with GANTRY_TEST_FIREWALLD=trixie" },
  () => {
    test("ports, ways out and zones, over its reloads and restarts", { timeout: 900_000 }, async () => {
      await using firewalld = await FirewalldHost.open();
      await using daemon = await firewalld.prepareDaemon();
      await daemon.launch();
      await ensureBusybox(daemon);
      const docker = (line: string): Promise<string> => daemon.dockerOk(words(line));
      const works = await firewalld.serve(daemon);
      await works("at the start");
      await firewalld.inZone(1, "at the start");
      for (const reload of ["--reload", "--complete-reload"]) {
        assert.equal(await firewalld.firewallCmd(reload), "success");
        await works(`after ${reload}`);
        await firewalld.inZone(1, `after ${reload}`);
      }
      await docker("network create more");
      await firewalld.inZone(2, "with a network");
      await docker("network connect more web");
      await firewalld.stopFirewalld();
      await works("without firewalld");
      await firewalld.startFirewalld();
      await works("after its restart");
      await firewalld.inZone(2, "after its restart");
      await docker("rm -f web");
      await docker("network rm more");
      await firewalld.inZone(1, "when the network is gone");
      await daemon.stop();
      await firewalld.inZone(0, "when the daemon is gone");
    });

    for (const [point, time, ...requests] of kills)
      test(`a daemon that is killed at ${point} (${time})`, { timeout: 300_000 }, async () => {
        await using firewalld = await FirewalldHost.open();
        await using daemon = await firewalld.prepareDaemon();
        const launched = daemon.launch({ GANTRY_FAILPOINTS: `${point}=exit:${time}` });
        await launched.catch((error: unknown) => {
          // Without a request it ends while it starts.
          if (daemon.running || requests.length > 0) throw error;
        });
        for (const request of requests) await daemon.docker(words(request));
        assert.equal(await daemon.gone(), undefined, "it was killed");
        await daemon.launch();
        await ensureBusybox(daemon);
        assert.equal(await daemon.dockerOk(words("network ls -q --filter type=custom")), "");
        const works = await firewalld.serve(daemon);
        await works("with the next daemon");
        await firewalld.inZone(1, "with the next daemon");
        for (const info of ["--info-zone=docker", "--info-policy=docker-forwarding"])
          for (const kept of [[], ["--permanent"]])
            assert.match(await firewalld.firewallCmd(...kept, info), /^\s*target: ACCEPT$/m);
        await daemon.dockerOk(words("rm -f web"));
        await daemon.stop();
        await firewalld.inZone(0, "when it is gone");
      });
  },
);

/**
 * Beside firewalld itself, as a Debian release has it: `GANTRY_TEST_FIREWALLD=trixie` (2.3, which owns its table) or
 * `bookworm` (1.3). Its root is made by mmdebstrap once and kept in ~/.cache/gantry.
 */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, renameSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { TestDaemon } from "../helpers/daemon.ts";
import { busybox, ensureBusybox } from "../helpers/images.ts";
import { eventually, mustRun, type RunningProgram } from "../helpers/process.ts";
import { connectOutside, openTestHost, type TestHost } from "../helpers/test-host.ts";

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

/** A root whose changes go with the host's mount namespace, and a D-Bus in it. */
async function prepare(host: TestHost, root: string, directory: string): Promise<RunningProgram> {
  const script = `
    mount -t tmpfs none ${directory} && cd ${directory} && mkdir upper work root
    mount -t overlay -o lowerdir=${root},upperdir=upper,workdir=work none root
    mount -t tmpfs none root/run && mkdir -p root/run/dbus
    for name in proc sys dev; do mount --rbind /$name root/$name; done`;
  const made = await host.run(["sh", "-ec", script]);
  assert.equal(made.code, 0, made.stderr);
  return host.start(words(`chroot ${directory}/root dbus-daemon --system --nofork --nopidfile`));
}

describe(
  "beside firewalld",
  { skip: release === "" && "asked for with GANTRY_TEST_FIREWALLD=trixie" },
  () => {
    test("ports, ways out and zones, over its reloads and restarts", { timeout: 900_000 }, async () => {
      const root = await releaseRoot();
      await using host = await openTestHost();
      await using outside = await connectOutside(host);
      const directory = "/mnt";
      const bus = await prepare(host, root, directory);
      const programs: RunningProgram[] = [bus];
      using _ = {
        [Symbol.dispose]: () => programs.forEach((program) => program.process.kill("SIGKILL")),
      };
      const start = (): RunningProgram => {
        const program = host.start(words(`chroot ${directory}/root firewalld --nofork --nopid`));
        programs.push(program);
        return program;
      };
      const firewallCmd = async (...args: string[]): Promise<string> =>
        (await host.run(["chroot", `${directory}/root`, "firewall-cmd", ...args])).stdout.trim();
      const runs = (): Promise<void> =>
        eventually(async () => (await firewallCmd("--state")) === "running", {
          timeoutMs: 60_000,
          what: "firewalld",
        });
      let firewalld = start();
      await runs();
      const bin = join(directory, "bin");
      const wrapper = `#!/bin/sh\nexec chroot ${directory}/root firewall-cmd "$@"\n`;
      await host.run([
        "sh",
        "-ec",
        `mkdir ${bin} && printf '%s' "$1" >${bin}/firewall-cmd && chmod +x ${bin}/firewall-cmd`,
        "sh",
        wrapper,
      ]);
      await using daemon = await TestDaemon.start({
        host,
        env: { PATH: `${bin}:${process.env["PATH"] ?? ""}` },
      });
      await ensureBusybox(daemon);
      const docker = (line: string): Promise<string> => daemon.dockerOk(words(line));
      programs.push(outside.start(words("busybox nc -ll -p 7000 -e echo world")));
      programs.push(host.start(words("busybox nc -ll -p 7001 -e echo service")));
      await docker(`run -d --name web -p 8080:80 ${busybox} nc -ll -p 80 -e echo served`);
      const works = async (when: string): Promise<void> => {
        const asked: readonly [string, () => Promise<string>][] = [
          [
            "served",
            async () => (await outside.run(words(`timeout 5 busybox nc ${outside.hostAddress} 8080`))).stdout,
          ],
          ["served", async () => (await host.run(words("timeout 5 busybox nc 127.0.0.1 8080"))).stdout],
          [
            "world",
            async () => (await daemon.docker(words(`exec web timeout 5 nc ${outside.address} 7000`))).stdout,
          ],
          [
            "service",
            async () => (await daemon.docker(words(`exec web timeout 5 nc ${daemon.gateway} 7001`))).stdout,
          ],
        ];
        for (const [answer, ask] of asked)
          await eventually(async () => (await ask()).includes(answer), {
            timeoutMs: 60_000,
            what: `${answer}, ${when}`,
          });
      };
      const inZone = async (devices: number, when: string): Promise<void> =>
        eventually(
          async () =>
            words(await firewallCmd("--zone=docker", "--list-interfaces")).filter(Boolean).length === devices,
          {
            timeoutMs: 60_000,
            what: `${devices} devices in the zone, ${when}`,
          },
        );
      await works("at the start");
      await inZone(1, "at the start");
      for (const reload of ["--reload", "--complete-reload"]) {
        assert.equal(await firewallCmd(reload), "success");
        await works(`after ${reload}`);
        await inZone(1, `after ${reload}`);
      }
      await docker("network create more");
      await inZone(2, "with a network");
      await docker("network connect more web");
      firewalld.process.kill("SIGTERM");
      await firewalld.wait(60_000);
      await works("without firewalld");
      firewalld = start();
      await runs();
      await works("after its restart");
      await inZone(2, "after its restart");
      await docker("rm -f web");
      await docker("network rm more");
      await inZone(1, "when the network is gone");
      await daemon.stop();
      await inZone(0, "when the daemon is gone");
    });
  },
);

/**
 * Faults of other engines that were found and mended, each tried here: rights that were too many, sockets that were too
 * open, manifests that crash, images that pass for a build's cache. docs/security.md has the table.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, test } from "node:test";
import { busybox } from "../helpers/images.ts";
import { eventually, type RunResult } from "../helpers/process.ts";
import { useDaemon } from "../helpers/suite.ts";

describe("known faults of engines", { skip: process.env["GANTRY_TEST_ENGINE"] === "docker" }, () => {
  const suite = useDaemon({ leaves: ["data-root"] });
  const patient = { timeoutMs: 90_000 };
  const ok = (...args: string[]): Promise<string> => suite.daemon.dockerOk(args, patient);
  const docker = (...args: string[]): Promise<RunResult> => suite.daemon.docker(args, patient);
  const build = async (dockerfile: string, ...args: string[]): Promise<string> => {
    const options = { input: dockerfile, env: { DOCKER_BUILDKIT: "0" }, timeoutMs: 120_000 };
    const { code, stdout, stderr } = await suite.daemon.docker(["build", ...args, "-"], options);
    assert.equal(code, 0, stderr);
    return stdout;
  };

  test("CVE-2022-24769: nobody's capabilities are inheritable or ambient", async () => {
    const look = ["grep", "-E", "^Cap(Inh|Amb)", "/proc/self/status"];
    const none = "CapInh:\t0000000000000000\nCapAmb:\t0000000000000000";
    await ok("run", "-d", "--name", "box", "--cap-add", "SYS_PTRACE", busybox, "sleep", "600");
    for (const user of [[], ["-u", "1000"]]) {
      assert.equal(await ok("run", "--rm", "--cap-add", "SYS_PTRACE", ...user, busybox, ...look), none);
      assert.equal(await ok("exec", ...user, "box", ...look), none);
      assert.equal(await ok("exec", "--privileged", ...user, "box", ...look), none);
    }
    assert.ok(
      (
        await build(`FROM ${busybox}\nRUN grep -E '^Cap(Inh|Amb)' /proc/self/status\n`, "--no-cache")
      ).includes(none),
    );
  });

  test("CVE-2022-36109: the primary group is among the groups, so what it is denied stays denied", async () => {
    const groups = ["sed", "-n", "s/^Groups:.//p", "/proc/self/status"];
    const listed = async (...args: string[]): Promise<string[]> =>
      (await ok(...args, ...groups)).split(/\s+/);
    await ok("run", "-d", "--name", "box", busybox, "sleep", "600");
    assert.ok((await listed("run", "--rm", "-u", "1000:2345", busybox)).includes("2345"));
    assert.ok((await listed("exec", "-u", "1000:2345", "box")).includes("2345"));
    const built = await build(
      `FROM ${busybox}\nUSER 1000:2345\nRUN sed -n 's/^Groups:.//p' /proc/self/status\n`,
      "--no-cache",
    );
    assert.match(built, /^.*\b2345\b/m);
  });

  test("CVE-2020-15257: on the host's network no abstract socket of the engine's does anything", async () => {
    const { daemon } = suite;
    await ok("run", "-d", "--name", "box", "--network", "host", busybox, "sleep", "600");
    const table = await ok("exec", "box", "cat", "/proc/net/unix");
    const names = [...new Set([...table.matchAll(/ (@\S+)$/gm)].map((match) => match[1] ?? ""))];
    // The claim of a bridge, which hangs up on everybody, is the one that there is.
    assert.ok(names.length > 0, table);
    for (const name of names) assert.match(name, /^@gantry-bridge-/);
    const knock = `
      const socket = require("node:net").connect("\\0" + process.argv[1], () => socket.write("GET /info HTTP/1.0\\r\\n\\r\\n"));
      socket.on("data", (chunk) => process.stdout.write(chunk));
      socket.on("error", () => {});
      socket.on("connect", () => process.stdout.write("open "));
      socket.on("close", () => process.stdout.write("closed"));`;
    for (const name of names) {
      const said = await daemon.host.run([process.execPath, "-e", knock, name.slice(1)]);
      assert.equal(said.stdout, "open closed", `${name} ${said.stderr}`);
    }
  });

  test("CVE-2021-21285: manifests that are none are refused, and the daemon lives", async () => {
    const { daemon } = suite;
    const digest = `sha256:${"a".repeat(64)}`;
    const config = { mediaType: "application/vnd.docker.container.image.v1+json", digest, size: 2 };
    const wrong: readonly unknown[] = [
      null,
      [],
      5,
      "text",
      {},
      { schemaVersion: 2 },
      { schemaVersion: 2, config: null, layers: null },
      { schemaVersion: 2, config, layers: [null] },
      { schemaVersion: 2, config, layers: [{ digest: 5, size: -1 }] },
      { schemaVersion: 2, config, layers: { length: 1e9 } },
      { schemaVersion: 2, config: { ...config, size: 1e300 }, layers: [] },
      { schemaVersion: 2, config: { ...config, digest: "sha256:../../../etc/passwd" }, layers: [] },
      { schemaVersion: 2, manifests: null },
      { schemaVersion: 2, manifests: [{ platform: null, digest: {} }] },
      { schemaVersion: 1, fsLayers: null, history: [{}] },
      { schemaVersion: 1, name: "x", tag: "x", architecture: "amd64", fsLayers: [], history: [] },
    ];
    let answer = "";
    let type = "";
    const registry = createServer((request, response) => {
      if (request.url === "/v2/") response.end("{}");
      else if (request.url?.includes("/blobs/") === true) response.end("{}");
      else {
        const claimed = `sha256:${createHash("sha256").update(answer).digest("hex")}`;
        response.writeHead(200, { "Content-Type": type, "Docker-Content-Digest": claimed }).end(answer);
      }
    });
    registry.listen(0, "127.0.0.1");
    await once(registry, "listening");
    const name = `127.0.0.1:${(registry.address() as AddressInfo).port}/team/app:1`;
    try {
      for (const manifest of wrong)
        for (type of [
          "application/vnd.docker.distribution.manifest.v2+json",
          "application/vnd.docker.distribution.manifest.list.v2+json",
          "application/vnd.docker.distribution.manifest.v1+prettyjws",
          "application/vnd.oci.image.index.v1+json",
        ]) {
          answer = JSON.stringify(manifest);
          const pulled = await docker("pull", name);
          assert.notEqual(pulled.code, 0, `${type}: ${answer}`);
          assert.doesNotMatch(
            pulled.stderr,
            /TypeError|undefined|Cannot read|not iterable|unexpected fault/,
            `${type}: ${answer}`,
          );
        }
      assert.ok(daemon.running);
      assert.equal(await ok("images", "-q", name), "");
      assert.doesNotMatch(await daemon.log(), /level=error/);
    } finally {
      registry.closeAllConnections();
      registry.close();
    }
  });

  test("CVE-2024-24557: an image that somebody made to look like a step's outcome is not its cache", async () => {
    const command = "echo good > /outcome";
    await ok("create", "--name", "poison", busybox, "/bin/sh", "-c", command);
    await ok("start", "-a", "poison");
    await ok("cp", "/etc/hostname", "poison:/outcome");
    await ok("commit", "--change", `CMD ["/bin/sh","-c","${command}"]`, "poison", "poison:1");
    try {
      const dockerfile = `FROM ${busybox}\nRUN ${command}\n`;
      for (const more of [[], ["--cache-from", "poison:1"]]) {
        await build(dockerfile, ...more, "-t", "good:1");
        assert.equal(await ok("run", "--rm", "good:1", "cat", "/outcome"), "good");
      }
    } finally {
      await suite.daemon.removeContainers();
      await docker("rmi", "-f", "good:1", "poison:1");
    }
  });

  test("CVE-2025-54410: networks stay apart when a firewall's reload has taken the rules away", async () => {
    const { daemon } = suite;
    await ok("network", "create", "--subnet", "10.203.17.0/24", "gt-known-a");
    await ok("network", "create", "--subnet", "10.203.18.0/24", "gt-known-b");
    try {
      const serve = "while :; do echo served | nc -l -p 80; done";
      for (const net of ["one", "two"])
        await ok(
          "run",
          "-d",
          "--name",
          net,
          "--network",
          `gt-known-${net === "one" ? "a" : "b"}`,
          "--ip",
          `10.203.1${net === "one" ? 7 : 8}.9`,
          busybox,
          "sh",
          "-c",
          serve,
        );
      await ok("run", "-d", "--name", "neighbour", "--network", "gt-known-b", busybox, "sleep", "600");
      const ask = async (from: string): Promise<string> =>
        (await docker("exec", from, "nc", "-w", "3", "10.203.18.9", "80")).stdout.trim();
      const check = async (): Promise<void> => {
        await eventually(async () => (await ask("neighbour")) === "served", { timeoutMs: 60_000 });
        assert.equal(await ask("one"), "");
      };
      await check();
      // Without the numbers of handles and counted packets.
      const rules = async (): Promise<number> =>
        (await daemon.host.run(["nft", "list", "ruleset"])).stdout.split("\n").length;
      const before = await rules();
      await daemon.host.run(["nft", "flush", "ruleset"]);
      const isWhole = async (): Promise<boolean> => (await rules()) === before;
      await eventually(isWhole, { timeoutMs: 60_000, what: "the table to be written again" });
      await check();
    } finally {
      await daemon.removeContainers();
      await ok("network", "rm", "gt-known-a", "gt-known-b");
    }
  });
});

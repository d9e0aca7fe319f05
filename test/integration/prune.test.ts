/** Volumes, and removing what nobody uses. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { flavour } from "../helpers/daemon.ts";
import { busybox } from "../helpers/images.ts";
import type { RunResult } from "../helpers/process.ts";
import { useDaemon } from "../helpers/suite.ts";

describe("volumes and prune", () => {
  const suite = useDaemon();
  const ok = (...args: string[]): Promise<string> => suite.daemon.dockerOk(args);
  const clients: readonly (readonly [string, (...args: string[]) => Promise<RunResult>])[] = [
    ["docker", (...args) => suite.daemon.docker(args)],
    ...(flavour === "docker" ? [] : [["gantry", (...args: string[]) => suite.daemon.gantry(args)] as const]),
  ];

  for (const [client, call] of clients) {
    const out = async (...args: string[]): Promise<string> => {
      const result = await call(...args);
      assert.equal(result.code, 0, `${args.join(" ")}: ${result.stderr}`);
      return result.stdout.trimEnd();
    };

    test(`${client}: a volume is made, listed, used, kept and removed`, async () => {
      assert.equal(await out("volume", "create", "--label", "a=b", "data"), "data");
      assert.equal(await out("volume", "create", "data"), "data");
      assert.match(await out("volume", "create"), /^[0-9a-f]{64}$/);
      assert.match(
        await out("volume", "ls"),
        /^DRIVER +VOLUME NAME\nlocal +([0-9a-f]{64}\nlocal +data|data\nlocal +[0-9a-f]{64})$/,
      );
      assert.equal(await out("volume", "ls", "-q", "-f", "label=a"), "data");
      assert.equal(
        await out("volume", "inspect", "-f", "{{.Name}} {{.Driver}} {{.Labels.a}}", "data"),
        "data local b",
      );
      await ok("run", "--rm", "-v", "data:/data", busybox, "sh", "-c", "echo kept >/data/file");
      await ok("create", "--name", "box", "-v", "data:/data", busybox);
      const used = await call("volume", "rm", "data");
      assert.match(used.stderr, /remove data: volume is in use - \[[0-9a-f]{64}\]/);
      assert.equal(await ok("run", "--rm", "-v", "data:/data", busybox, "cat", "/data/file"), "kept");
      await ok("rm", "box");
      const options = ["-o", "type=tmpfs", "-o", "o=size=1m", "-o", "device=tmpfs"];
      await ok("volume", "create", "--label", "z=1", "--label", "y=2", ...options, "memory");
      const shown = (JSON.parse(await ok("volume", "inspect", "memory")) as [Record<string, object>])[0];
      const fields = ["CreatedAt", "Driver", "Labels", "Mountpoint", "Name", "Options", "Scope"];
      assert.deepEqual(Object.keys(shown), fields, "in Docker's order");
      assert.deepEqual(Object.keys(shown["Options"]!), ["device", "o", "type"]);
      assert.deepEqual(Object.keys(shown["Labels"]!), ["y", "z"]);
      // Only the one without a name, then both; one with options says where somebody's files are.
      assert.match(
        await out("volume", "prune", "-f"),
        /^Deleted Volumes:\n[0-9a-f]{64}\n\nTotal reclaimed space: 0B$/,
      );
      assert.match(
        await out("volume", "prune", "-f", "-a"),
        /^Deleted Volumes:\ndata\n\nTotal reclaimed space: 5B$/,
      );
      await ok("volume", "rm", "memory");
      assert.match((await call("volume", "rm", "data")).stderr, /get data: no such volume/);
      await out("volume", "rm", "-f", "data");
      assert.equal((await call("volume", "create", "-d", "other", "x")).code, 1);
      assert.equal((await call("volume", "create", "../x")).code, 1);
    });

    test(`${client}: stopped containers go, the others stay; filters`, async () => {
      await ok("run", "-d", "--name", "runs", busybox, "sleep", "100");
      await ok("run", "--name", "ended", "--label", "keep=1", busybox, "sh", "-c", "echo 12345 >/file");
      const id = await ok("create", "--name", "new", busybox);
      assert.equal(
        await out("container", "prune", "-f", "--filter", "until=1h"),
        "Total reclaimed space: 0B",
      );
      const first = await out("container", "prune", "-f", "--filter", "label!=keep");
      assert.equal(first, `Deleted Containers:\n${id}\n\nTotal reclaimed space: 0B`);
      const second = await out("container", "prune", "-f");
      assert.match(second, /^Deleted Containers:\n[0-9a-f]{64}\n\nTotal reclaimed space: 6B$/);
      assert.equal(await ok("ps", "-a", "--format", "{{.Names}}"), "runs");
      assert.equal((await call("container", "prune", "-f", "--filter", "nonsense=1")).code, 1);
    });

    test(`${client}: two prunes at once both come to their end, and nothing is there then`, async () => {
      for (const kind of ["network", "container"]) {
        const count = 8;
        for (let i = 0; i < count; i++)
          if (kind === "network")
            await ok("network", "create", "--subnet", `10.203.${i}.0/24`, `gt-prune${i}`);
          else await ok("create", busybox);
        const results = await Promise.all([0, 1, 2].map(() => call(kind, "prune", "-f")));
        for (const { code, stderr } of results) assert.equal(code, 0, stderr);
        const left =
          kind === "network"
            ? ["network", "ls", "-q", "-f", "type=custom"]
            : ["ps", "-aq", "-f", "status=created"];
        assert.equal(await ok(...left), "");
      }
    });

    test(`${client}: images without a name go, with -a all that are not used`, async () => {
      await ok("create", "--name", "box", busybox);
      const dangling = await ok("commit", "-m", "dangling", "box");
      await ok("commit", "-m", "named", "box", "named:1");
      const first = await out("image", "prune", "-f");
      assert.match(first, /^Deleted Images:\ndeleted: sha256:/);
      assert.ok(first.includes(dangling));
      assert.ok((await ok("images", "-q", "named:1")) !== "");
      const second = await out("image", "prune", "-f", "-a");
      assert.match(second, /untagged: named:1/);
      assert.ok((await ok("images", "-q", busybox)) !== "", "a container uses it");
      assert.equal(await out("image", "prune", "-f"), "Total reclaimed space: 0B");
    });
  }

  test("gantry asks before it removes", async (context) => {
    if (flavour === "docker") return context.skip("gantry's command line only");
    await ok("create", "--name", "box", busybox);
    const no = await suite.daemon.gantry(["container", "prune"], { input: "n\n" });
    // As with Docker's command line 28, saying no is no failure.
    assert.equal(no.code, 0);
    assert.match(
      no.stdout,
      /^WARNING! This will remove all stopped containers\.\nAre you sure .* \[y\/N\] $/,
    );
    const yes = await suite.daemon.gantry(["container", "prune"], { input: "y\n" });
    assert.match(yes.stdout, /Deleted Containers:/);
    return undefined;
  });

  test("system prune and df -v: as Docker's command line has them", async () => {
    const { daemon } = suite;
    const make = async (): Promise<void> => {
      await ok("run", "--name", "gone", "-v", "/data", busybox, "true");
      await ok("run", "-d", "--name", "kept", "-v", "named:/data", busybox, "sleep", "300");
      await ok("network", "create", "unused");
    };
    /** What differs from call to call. */
    const masked = (text: string): string =>
      text.replaceAll(/[0-9a-f]{64}/g, "ID").replaceAll(/[\d.]+k?B|\d+ seconds?|Less than a second/g, "N");
    const answers: string[] = [];
    for (const call of [daemon.docker.bind(daemon), daemon.gantry.bind(daemon)]) {
      await make();
      const answer: string[] = [];
      const verbose = await call(["system", "df", "-v"]);
      answer.push(verbose.stdout.replaceAll(/[0-9a-f]{12,}/g, "ID").replaceAll(/ {2,}/g, "  "));
      const no = await call(["system", "prune", "-a", "--volumes", "--filter", "label=x"], { input: "n\n" });
      answer.push(no.stdout, String(no.code));
      const until = await call(["system", "prune", "-f", "--volumes", "--filter", "until=1h"]);
      answer.push(until.stderr, String(until.code));
      answer.push((await call(["system", "prune", "-f", "--filter", "label=nobody"])).stdout);
      answer.push((await call(["system", "prune", "-f", "--volumes"])).stdout);
      answers.push(masked(answer.join("\n---\n")));
      await daemon.removeContainers();
      await ok("volume", "rm", "named");
    }
    assert.equal(answers[1], answers[0]);
    assert.match(
      answers[1] ?? "",
      /Deleted Containers:\nID\n\nDeleted Networks:\nunused\n\nDeleted Volumes:\nID\n/,
    );
    const all = await daemon.gantry(["system", "prune", "-af"]);
    assert.match(all.stdout, /Deleted Images:\nuntagged: gantry\/busybox:latest/);
    await ok("pull", busybox);
    const lists = await daemon.gantry(["system", "df", "-v", "--format", "json"]);
    assert.deepEqual(Object.keys(JSON.parse(lists.stdout) as object).sort(), [
      "BuildCache",
      "Containers",
      "Images",
      "Volumes",
    ]);
  });
});

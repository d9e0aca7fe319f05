/** The local driver's options, volume plugins, and who owns what is in a volume. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { busybox } from "../helpers/images.ts";
import { eventually } from "../helpers/process.ts";
import { useDaemon } from "../helpers/suite.ts";
import { VolumePlugin } from "../helpers/volume-plugin.ts";

describe("volumes", () => {
  const suite = useDaemon();
  const ok = (...args: string[]): Promise<string> => suite.daemon.dockerOk(args);
  const mounts = async (): Promise<string> =>
    (await suite.daemon.host.run(["cat", "/proc/self/mountinfo"])).stdout;
  const isMounted = async (volume: string): Promise<boolean> =>
    (await mounts()).includes(`/volumes/${volume}/_data `);
  const notMounted = (volume: string): Promise<void> =>
    eventually(async () => !(await isMounted(volume)), { what: `the end of the mount of ${volume}` });

  test("memory with a size: mounted with the first container, unmounted after the last", async () => {
    await ok(
      "volume",
      "create",
      "-o",
      "type=tmpfs",
      "-o",
      "device=tmpfs",
      "-o",
      "o=size=64k,mode=711",
      "scratch",
    );
    assert.equal(
      await ok("volume", "inspect", "-f", "{{json .Options}}", "scratch"),
      '{"device":"tmpfs","o":"size=64k,mode=711","type":"tmpfs"}',
    );
    assert.equal(await isMounted("scratch"), false);
    await ok("run", "-d", "--name", "one", "-v", "scratch:/s", busybox, "sleep", "600");
    await ok("run", "-d", "--name", "two", "-v", "scratch:/s", busybox, "sleep", "600");
    assert.match(await ok("exec", "one", "grep", " /s ", "/proc/mounts"), /^tmpfs \/s tmpfs rw.*size=64k/);
    assert.equal(await ok("exec", "one", "stat", "-c", "%a", "/s"), "711");
    await ok("exec", "one", "sh", "-c", "echo seen >/s/file");
    assert.equal(await ok("exec", "two", "cat", "/s/file"), "seen");
    const full = await suite.daemon.docker([
      "exec",
      "two",
      "dd",
      "if=/dev/zero",
      "of=/s/big",
      "bs=1k",
      "count=100",
    ]);
    assert.match(full.stderr, /No space left on device/);
    await ok("rm", "-f", "one");
    assert.equal(await isMounted("scratch"), true);
    // The daemon dies: the mount is the running container's, and the next daemon knows it.
    await suite.daemon.killHard();
    await suite.daemon.launch();
    assert.equal(await ok("exec", "two", "cat", "/s/file"), "seen");
    assert.equal(await isMounted("scratch"), true);
    await ok("run", "--rm", "-v", "scratch:/s", busybox, "cat", "/s/file");
    assert.equal(await isMounted("scratch"), true);
    await ok("rm", "-f", "two");
    await notMounted("scratch");
    await ok("volume", "rm", "scratch");
  });

  test("a directory of the host by options; cp into a stopped container reaches it", async () => {
    const directory = mkdtempSync(join(tmpdir(), "gantry-bind-"));
    try {
      await ok("volume", "create", "-o", "type=none", "-o", "o=bind", "-o", `device=${directory}`, "dir");
      await ok("run", "--rm", "-v", "dir:/d", busybox, "sh", "-c", "echo there >/d/file");
      await notMounted("dir");
      await ok("create", "--name", "box", "-v", "dir:/d", busybox, "cat", "/d/copied");
      await ok("cp", `${directory}/file`, "box:/d/copied");
      await notMounted("dir");
      assert.equal(await ok("start", "-a", "box"), "there");
      await ok("rm", "box");
      await ok("volume", "rm", "dir");
      assert.equal((await suite.daemon.host.run(["cat", `${directory}/copied`])).stdout, "there\n");
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  test("what a mount forbids, it forbids in containers: by a volume's options, and where a bind's source is mounted", async () => {
    const { daemon } = suite;
    const directory = mkdtempSync(join(daemon.root, "forbids-"));
    const forbidden = (volume: string): Promise<string> =>
      ok("run", "--rm", "-v", volume, busybox, "sh", "-c", "grep ' /d ' /proc/mounts; touch /d/file");
    const options = ["-o", `device=${directory}`];
    await ok("volume", "create", "-o", "type=none", "-o", "o=bind,ro", ...options, "readonly");
    await assert.rejects(forbidden("readonly:/d:nocopy"), /Read-only file system/);
    await ok(
      "volume",
      "create",
      "-o",
      "type=tmpfs",
      "-o",
      "device=tmpfs",
      "-o",
      "o=noexec,nosuid,nodev",
      "strict",
    );
    assert.match(await forbidden("strict:/d"), /^tmpfs \/d tmpfs rw,nosuid,nodev,noexec,/);
    await ok("volume", "rm", "readonly", "strict");
    await daemon.host.run(["mount", "-t", "tmpfs", "-o", "nosuid,nodev", "tmpfs", directory]);
    try {
      assert.match(await forbidden(`${directory}:/d`), /^tmpfs \/d tmpfs rw,nosuid,nodev,/);
      await daemon.host.run(["mount", "-o", "remount,bind,ro", directory]);
      await assert.rejects(forbidden(`${directory}:/d`), /Read-only file system/);
    } finally {
      await daemon.host.run(["umount", directory]);
    }
  });

  test("what cannot be mounted fails the start, names the reason, and leaves nothing", async () => {
    await ok("volume", "create", "-o", "type=none", "-o", "o=bind", "-o", "device=/no/such", "bad");
    const failed = await suite.daemon.docker(["run", "--rm", "-v", "bad:/d:nocopy", busybox, "true"]);
    assert.match(
      failed.stderr,
      /error while mounting volume '.*\/bad\/_data': failed to mount local volume: mount \/no\/such:/,
    );
    await ok("volume", "rm", "bad");
    const refused: readonly (readonly [string[], RegExp])[] = [
      [["-o", "x=y"], /create no: invalid option: "x"/],
      [["-o", "type=tmpfs"], /create no: missing required option: "device"/],
      [["-o", "size=1g"], /create no: quota size requested but no quota support/],
      [["-d", "nobody"], /create no: error looking up volume plugin nobody: plugin "nobody" not found/],
    ];
    for (const [flags, words] of refused) {
      const result = await suite.daemon.docker(["volume", "create", ...flags, "no"]);
      if (result.code === 0 && flags[1] === "size=1g") await ok("volume", "rm", "no");
      else assert.match(result.stderr, words);
    }
    assert.equal(await ok("volume", "ls", "-q"), "");
  });

  test("an empty volume takes the image's files with their owners, once", async () => {
    const make = "mkdir -p /data/sub && echo image >/data/sub/f && chown -R 33:34 /data && chmod 2750 /data";
    await ok("run", "--name", "maker", busybox, "sh", "-c", make);
    await ok("commit", "maker", "gt-nam/owned");
    await ok("rm", "maker");
    const look = "stat -c '%u:%g %a' /data /data/sub/f; cat /data/sub/f";
    const run = (image: string): Promise<string> =>
      ok("run", "--rm", "-v", "owned:/data", image, "sh", "-c", look);
    assert.equal(await run("gt-nam/owned"), "33:34 2750\n33:34 644\nimage");
    await ok("run", "--rm", "-v", "owned:/data", busybox, "sh", "-c", "echo mine >/data/sub/f");
    assert.equal(await run("gt-nam/owned"), "33:34 2750\n33:34 644\nmine");
    assert.equal(await ok("run", "--rm", "-v", "bare:/data:nocopy", "gt-nam/owned", "ls", "-A", "/data"), "");
    await ok("volume", "rm", "owned", "bare");
    await ok("rmi", "gt-nam/owned");
  });

  test("an empty volume on /etc can be mounted read-only from the first", async () => {
    const script = "cat /etc/hostname; ls /etc; touch /etc/new 2>&1";
    const { stdout } = await suite.daemon.docker([
      "run",
      "--rm",
      "-h",
      "named",
      "-v",
      "settings:/etc:ro",
      busybox,
      "sh",
      "-c",
      script,
    ]);
    assert.match(stdout, /^named\n.*\bhosts\n.*\bresolv\.conf\n.*Read-only file system/s);
    assert.match(await ok("run", "--rm", "-v", "settings:/s", busybox, "sh", "-c", "wc -c /s/hosts"), /^0 /);
    await ok("volume", "rm", "settings");
  });

  test("listing and removing: dangling, names, and the words of a swarm's volumes", async () => {
    await ok("volume", "create", "--label", "tier=db", "used");
    await ok("volume", "create", "free");
    await ok("create", "--name", "box", "-v", "used:/u", busybox);
    const names = (...filter: string[]): Promise<string> =>
      ok("volume", "ls", "-q", ...filter.flatMap((f) => ["-f", f]));
    assert.equal(await names("dangling=true"), "free");
    assert.equal(await names("dangling=false"), "used");
    assert.equal(await names("label=tier=db", "driver=local", "name=us"), "used");
    assert.equal(await names("driver=other"), "");
    assert.deepEqual(
      JSON.parse(await ok("system", "df", "-v", "--format", "{{json .Volumes}}"))
        .map(({ Name, Links, Size }: Record<string, string>) => [Name, Links, Size])
        .toSorted(),
      [
        ["free", "0", "0B"],
        ["used", "1", "0B"],
      ],
    );
    for (const [args, words] of [
      [["create", "--type", "mount", "c"], /This node is not a swarm manager/],
      [["update", "--availability", "pause", "free"], /[Cc]an only update cluster volumes/],
      [["update", "nobody"], /no such volume/],
    ] as const)
      assert.match((await suite.daemon.gantry(["volume", ...args])).stderr, words);
    assert.equal((await suite.daemon.gantry(["volume", "ls", "-q", "--cluster"])).stdout, "");
    await ok("rm", "box");
    await ok("volume", "rm", "used", "free");
  });

  describe("of a plugin", () => {
    const name = `gt-nam-${process.pid}`;
    const directory = mkdtempSync(join(tmpdir(), "gantry-plugin-"));
    let plugin: VolumePlugin;
    before(async () => {
      plugin = await VolumePlugin.start(`/run/docker/plugins/${name}.sock`, directory);
    });
    after(async () => {
      await plugin[Symbol.asyncDispose]();
      rmSync(directory, { recursive: true });
    });

    test("is made, mounted for each container, kept by another daemon, and given back", async () => {
      await ok("volume", "create", "-d", name, "-o", "kind=slow", "far");
      assert.equal(
        await ok(
          "volume",
          "inspect",
          "-f",
          "{{.Driver}} {{.Scope}} {{.Options.kind}} {{.Status.kind}}",
          "far",
        ),
        `${name} global slow slow`,
      );
      assert.match(await ok("volume", "ls"), new RegExp(`^${name} +far$`, "m"));
      const id = await ok("run", "-d", "--name", "box", "-v", "far:/f", busybox, "sleep", "600");
      assert.deepEqual(plugin.users("far"), [id]);
      await ok("exec", "box", "sh", "-c", "echo kept >/f/file");
      assert.match(
        await ok("inspect", "-f", "{{range .Mounts}}{{.Driver}} {{.Source}} {{json .Mode}}{{end}}", "box"),
        new RegExp(`^${name} ${directory}/view-far ""$`),
      );
      await suite.daemon.killHard();
      await suite.daemon.launch();
      assert.deepEqual(plugin.users("far"), [id]);
      const used = await suite.daemon.docker(["volume", "rm", "far"]);
      assert.match(used.stderr, /remove far: volume is in use - \[[0-9a-f]{64}\]/);
      await ok("rm", "-f", "box");
      await eventually(() => plugin.users("far").length === 0, { what: "the end of the plugin's mount" });
      assert.equal(await ok("run", "--rm", "-v", "far:/f", busybox, "cat", "/f/file"), "kept");
      await ok("volume", "rm", "far");
      assert.deepEqual([...plugin.volumes.keys()], []);
    });

    test("fails a start with the plugin's words and leaves nothing mounted", async () => {
      await ok("volume", "create", "-d", name, "far");
      await ok("volume", "create", "-d", name, "near");
      await ok("create", "--name", "box", "-v", "near:/n", "-v", "far:/f", busybox, "true");
      plugin.failures.set("Mount", "the tape is torn");
      const failed = await suite.daemon.docker(["start", "box"]);
      assert.match(failed.stderr, /error while mounting volume '(near|far)': the tape is torn/);
      await ok("start", "-a", "box");
      await eventually(() => plugin.users("far").length + plugin.users("near").length === 0, {
        what: "no user",
      });
      await ok("rm", "box");
      await ok("volume", "rm", "near", "far");
    });

    test("--volume-driver makes the volumes of a run, also when copying the image's files ends badly", async () => {
      plugin.failures.set("Unmount", "somebody looks at it");
      await ok("run", "--rm", "--volume-driver", name, "-v", "own:/o", busybox, "true");
      assert.deepEqual([...plugin.volumes.keys()], ["own"]);
      await ok("volume", "rm", "own");
    });
  });
});

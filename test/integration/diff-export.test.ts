/** `docker diff` and `docker export`. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { busybox } from "../helpers/images.ts";
import { flavour } from "../helpers/daemon.ts";
import { run } from "../helpers/process.ts";
import { useDaemon } from "../helpers/suite.ts";

for (const driver of flavour === "docker" ? ["overlay2"] : ["overlay2", "vfs"]) {
  describe(`diff and export (${driver})`, () => {
    const suite = useDaemon({ flags: ["--storage-driver", driver] });
    const runBox = (script: string, ...flags: string[]): Promise<string> =>
      suite.daemon.dockerOk([
        "run",
        "-d",
        "--name",
        "box",
        ...flags,
        busybox,
        "sh",
        "-c",
        `${script}; sleep 300`,
      ]);
    const diff = async (): Promise<string[]> =>
      (await suite.daemon.dockerOk(["diff", "box"])).split("\n").sort();

    test("a container that did nothing has changed nothing", async () => {
      await suite.daemon.dockerOk(["create", "--name", "box", busybox]);
      assert.equal(await suite.daemon.dockerOk(["diff", "box"]), "");
      await suite.daemon.dockerOk(["rm", "box"]);
      await runBox("true", "-v", "/data");
      assert.deepEqual(
        (await diff()).filter((line) => line !== "A /data"),
        [],
      );
    });

    test("a container has the link /etc/mtab, which is no change", async () => {
      await runBox("true");
      const inside = (...args: string[]): Promise<string> => suite.daemon.dockerOk(["exec", "box", ...args]);
      assert.equal(await inside("readlink", "/etc/mtab"), "/proc/mounts");
      assert.match(await inside("cat", "/etc/mtab"), / \/proc proc /);
      assert.deepEqual(await diff(), [""]);
      // One that the image has stays: here a file of the commit's.
      await inside("sh", "-c", "rm /etc/mtab; echo mine >/etc/mtab");
      await suite.daemon.dockerOk(["commit", "box", "with-mtab"]);
      const kept = ["run", "--rm", "with-mtab", "cat", "/etc/mtab"];
      assert.equal(await suite.daemon.dockerOk(kept), "mine");
      await suite.daemon.dockerOk(["rm", "-f", "box"]);
      await suite.daemon.dockerOk(["rmi", "with-mtab"]);
    });

    test("what was added, changed and deleted, running and stopped", async () => {
      await runBox(
        "mkdir /new; echo x >/new/file; echo y >>/etc/passwd; rm /bin/vi; chmod 711 /root; touch /tmp/t",
      );
      const expected = [
        "A /new",
        "A /new/file",
        "A /tmp/t",
        "C /bin",
        "C /etc",
        "C /etc/passwd",
        "C /root",
        "C /tmp",
        "D /bin/vi",
      ];
      await suite.daemon.dockerOk(["exec", "box", "sh", "-c", "until test -e /tmp/t; do :; done; sleep 0.1"]);
      assert.deepEqual(await diff(), expected);
      await suite.daemon.dockerOk(["stop", "-t", "0", "box"]);
      assert.deepEqual(await diff(), expected);
      if (flavour === "gantry") {
        const own = await suite.daemon.gantry(["diff", "box"]);
        assert.deepEqual(own.stdout.trimEnd().split("\n").sort(), expected);
      }
    });

    test("every directory above a change is a change", async () => {
      const { daemon } = suite;
      const made = ["run", "--name", "base", busybox, "sh", "-c", "mkdir -p /a/b/c; echo x >/a/b/c/file"];
      await daemon.dockerOk(made);
      await daemon.dockerOk(["commit", "base", "deep:1"]);
      await daemon.dockerOk([
        "run",
        "--name",
        "box",
        "deep:1",
        "sh",
        "-c",
        "echo y >>/a/b/c/file; >/a/b/new",
      ]);
      assert.deepEqual(await diff(), ["A /a/b/new", "C /a", "C /a/b", "C /a/b/c", "C /a/b/c/file"]);
      await daemon.dockerOk(["rm", "base", "box"]);
      await daemon.dockerOk(["rmi", "deep:1"]);
    });

    test("a directory that was removed and made again", async () => {
      await runBox(
        "cp -a /etc /tmp/keep; rm -r /etc; mkdir /etc; cp /tmp/keep/passwd /etc/passwd; echo >/done",
      );
      await suite.daemon.dockerOk(["exec", "box", "sh", "-c", "until test -e /done; do :; done"]);
      const changes = await diff();
      assert.ok(changes.includes("D /etc/group"), changes.join(","));
      assert.ok(!changes.some((line) => line.endsWith(" /etc/hosts")));
    });

    test("export has the changes, not the volumes; running and stopped", async () => {
      const directory = await mkdtemp(join(tmpdir(), "gantry-export-"));
      try {
        await runBox("echo mine >/tmp/mine; echo vol >/data/file; rm /bin/vi; echo >/done", "-v", "/data");
        await suite.daemon.dockerOk(["exec", "box", "sh", "-c", "until test -e /done; do :; done"]);
        for (const round of [1, 2]) {
          const archive = join(directory, `${round}.tar`);
          await suite.daemon.dockerOk(["export", "-o", archive, "box"]);
          const names = (await run(["tar", "-tf", archive])).stdout.split("\n");
          assert.ok(names.includes("tmp/mine") && names.includes("bin/busybox") && names.includes("data/"));
          assert.ok(!names.includes("data/file") && !names.includes("bin/vi"));
          assert.equal((await run(["tar", "-xOf", archive, "tmp/mine"])).stdout, "mine\n");
          await suite.daemon.dockerOk(["stop", "-t", "0", "box"]);
        }
        // What was exported can be imported, and runs.
        await suite.daemon.dockerOk(["import", join(directory, "2.tar"), "again:1"]);
        assert.equal(await suite.daemon.dockerOk(["run", "--rm", "again:1", "cat", "/tmp/mine"]), "mine");
        await suite.daemon.dockerOk(["rmi", "again:1"]);
        if (flavour === "gantry") {
          const own = await suite.daemon.gantry(["export", "box"]);
          assert.ok((await run(["tar", "-t"], { input: own.stdoutBytes })).stdout.includes("tmp/mine"));
        }
      } finally {
        await rm(directory, { recursive: true, force: true });
      }
    });

    test("an unknown container", async () => {
      for (const command of ["diff", "export"]) {
        const result = await suite.daemon.docker([command, "nobody"]);
        assert.match(result.stderr, /No such container: nobody/);
      }
    });
  });
}

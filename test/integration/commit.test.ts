/** `docker commit`: the new image has the container's changes and configuration, and runs. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { flavour } from "../helpers/daemon.ts";
import { busybox } from "../helpers/images.ts";
import { useDaemon } from "../helpers/suite.ts";

for (const driver of flavour === "docker" ? ["overlay2"] : ["overlay2", "vfs"]) {
  describe(`commit (${driver})`, () => {
    const suite = useDaemon({ flags: ["--storage-driver", driver] });
    const ok = (...args: string[]): Promise<string> => suite.daemon.dockerOk(args);
    const runBox = async (script: string, ...flags: string[]): Promise<void> => {
      await ok(
        "run",
        "-d",
        "--name",
        "box",
        ...flags,
        busybox,
        "sh",
        "-c",
        `${script}; echo >/tmp/done; sleep 300`,
      );
      await ok("exec", "box", "sh", "-c", "until test -e /tmp/done; do :; done");
    };

    test("the time to stop is kept", async () => {
      await ok("create", "--name", "slow", "--stop-timeout", "7", "--stop-signal", "INT", busybox);
      const id = await ok("commit", "slow");
      const { Config } = await suite.daemon.client.getImage(id).inspect();
      const { StopSignal, StopTimeout } = Config as { StopSignal?: string; StopTimeout?: number };
      assert.deepEqual([StopSignal, StopTimeout], ["INT", 7]);
      await ok("rmi", id);
    });

    test("changes, deletions, links and modes are in the image, over the parent's layers", async () => {
      const change =
        "mkdir -p /a/b; echo new >/a/b/file; ln /a/b/file /a/hard; ln -s b/file /a/soft; chmod 2750 /a/b";
      await runBox(`${change}; rm /bin/vi; rm -r /root; mkdir /root; echo r >/root/r; mkfifo /a/fifo`);
      const id = await ok("commit", "-a", "Somebody <s@example.org>", "-m", "with changes", "box", "made:1");
      assert.match(id, /^sha256:[0-9a-f]{64}$/);
      assert.equal(await ok("inspect", "-f", "{{.State.Status}}", "box"), "running");
      const seen = await ok(
        "run",
        "--rm",
        "made:1",
        "sh",
        "-c",
        "cat /a/hard /a/soft /root/r; stat -c '%a %h' /a/b /a/hard; test -p /a/fifo && echo fifo; ls /bin/vi 2>&1; ls -A /root",
      );
      assert.match(seen, /^new\nnew\nr\n2750 2\n644 2\nfifo\nls: \/bin\/vi: No such file or directory\nr$/);
      const [image] = JSON.parse(await ok("image", "inspect", "made:1")) as [
        { Author: string; RootFS: { Layers: string[] }; Comment: string },
      ];
      const [parent] = JSON.parse(await ok("image", "inspect", busybox)) as [
        { RootFS: { Layers: string[] } },
      ];
      assert.equal(image.Author, "Somebody <s@example.org>");
      assert.equal(image.Comment, "with changes");
      assert.deepEqual(image.RootFS.Layers.slice(0, -1), parent.RootFS.Layers);
      const [top] = (
        await ok("history", "--no-trunc", "--format", "{{.CreatedBy}}|{{.Comment}}", "made:1")
      ).split("\n");
      assert.match(top ?? "", /^sh -c mkdir -p .*\|with changes$/);
      // The image and what is made of it can be committed again, saved and loaded.
      await ok("run", "--name", "next", "made:1", "sh", "-c", "echo two >/two; rm /a/soft");
      await ok("commit", "next", "made:2");
      assert.equal(await ok("run", "--rm", "made:2", "sh", "-c", "cat /two; ls /a"), "two\nb\nfifo\nhard");
      await ok("rm", "-f", "box", "next");
      await ok("rmi", "made:2", "made:1");
    });

    test("the configuration: the container's, then the instructions; an image without changes", async () => {
      await ok("create", "--name", "box", "-e", "A=1", "-w", "/tmp", "--label", "x=y", busybox, "pwd");
      await ok(
        "commit",
        "-c",
        "ENV B=2",
        "-c",
        'ENTRYPOINT ["sh", "-c"]',
        "-c",
        "EXPOSE 80",
        "-c",
        'CMD ["echo $A$B"]',
        "box",
        "conf",
      );
      assert.equal(await ok("run", "--rm", "conf"), "12");
      const config = await ok(
        "image",
        "inspect",
        "-f",
        "{{.Config.WorkingDir}} {{json .Config.ExposedPorts}} {{.Config.Labels.x}}",
        "conf",
      );
      assert.equal(config, '/tmp {"80/tcp":{}} y');
      const bad = await suite.daemon.docker(["commit", "-c", "FROM x", "box"]);
      assert.match(bad.stderr, /FROM is not a valid change command/i);
      await ok("rmi", "conf");
    });

    test("freezes a running container meanwhile, unless it is told not to", async () => {
      await runBox("true");
      const actions = async (...flags: string[]): Promise<string> => {
        const since = String(Math.floor(Date.now() / 1000));
        await new Promise((resolve) => setTimeout(resolve, 1100));
        const id = await ok("commit", ...flags, "box");
        await ok("rmi", id);
        const until = String(Math.ceil(Date.now() / 1000) + 1);
        return ok(
          "events",
          "--since",
          since,
          "--until",
          until,
          "--filter",
          "container=box",
          "--format",
          "{{.Action}}",
        );
      };
      assert.deepEqual((await actions()).split("\n").slice(-3), ["pause", "commit", "unpause"]);
      assert.deepEqual((await actions("--pause=false")).split("\n").slice(-1), ["commit"]);
    });

    test("bad names and containers", async () => {
      await ok("create", "--name", "box", busybox);
      const fails = async (pattern: RegExp, ...args: string[]): Promise<void> => {
        assert.match((await suite.daemon.docker(["commit", ...args])).stderr, pattern);
      };
      await fails(/invalid reference format|must be lowercase/, "box", "UPPER");
      await fails(/No such container: nobody/, "nobody");
      if (flavour === "docker") return;
      const own = await suite.daemon.gantry(["commit", "-m", "own", "box", "own:1"]);
      assert.match(own.stdout, /^sha256:[0-9a-f]{64}\n$/);
      await ok("rmi", "own:1");
    });
  });
}

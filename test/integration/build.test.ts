/** Builds through the classic door, by Docker's own command line: every instruction, its result on the kernel, its cache. */
import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { dockerBuild, makeContext, type TestFile } from "../helpers/build.ts";
import { busybox } from "../helpers/images.ts";
import { start } from "../helpers/process.ts";
import { useDaemon } from "../helpers/suite.ts";

type Files = Readonly<Record<string, TestFile>>;

describe("build", () => {
  // Images and cache stay: what is left of them is looked at in the last test.
  const suite = useDaemon({ leaves: ["data-root", "records"] });

  async function built(files: Files, args: readonly string[] = []): Promise<string> {
    const result = await dockerBuild(suite.daemon, files, ["-t", "test/built", ...args]);
    assert.equal(result.code, 0, result.stdout + result.stderr);
    return result.stdout;
  }

  /** Out of the log, which has everything once the command has ended. */
  async function shell(command: string): Promise<string> {
    const { daemon } = suite;
    const id = await daemon.dockerOk(["run", "-d", "--entrypoint", "/bin/sh", "test/built", "-c", command]);
    await daemon.dockerOk(["wait", id]);
    const output = await daemon.dockerOk(["logs", id]);
    await daemon.dockerOk(["rm", id]);
    return output;
  }

  async function inspected(field: string): Promise<unknown> {
    return JSON.parse(
      await suite.daemon.dockerOk(["image", "inspect", "-f", `{{json ${field}}}`, "test/built"]),
    ) as unknown;
  }

  /** What the built image shows when a command runs in it. */
  const shapes: readonly {
    readonly name: string;
    readonly dockerfile: string;
    readonly files?: Files;
    readonly args?: readonly string[];
    readonly command: string;
    readonly output: string;
  }[] = [
    {
      name: "COPY of a file, of a directory's content, and of several files",
      dockerfile: "COPY a.txt /one\nCOPY dir /two\nCOPY a.txt dir/b.txt /three/",
      files: { "a.txt": "A", "dir/b.txt": "B", "dir/deep/c.txt": "C" },
      command: "cd /; find one two three -type f | sort | xargs grep -H .",
      output: "one:A\nthree/a.txt:A\nthree/b.txt:B\ntwo/b.txt:B\ntwo/deep/c.txt:C",
    },
    {
      name: "patterns, --parents and --exclude",
      dockerfile:
        "COPY *.txt /w/\nCOPY --parents src/**/x.c /p/\nCOPY --parents ./src/./deep/x.c /q/\nCOPY --exclude=*.log dir /e/",
      files: {
        "a.txt": "1",
        "b.txt": "2",
        "c.md": "3",
        "src/x.c": "4",
        "src/deep/x.c": "5",
        "dir/k": "6",
        "dir/l.log": "7",
      },
      command: "find /w /p /q /e -type f | sort",
      output: "/e/k\n/p/src/deep/x.c\n/p/src/x.c\n/q/deep/x.c\n/w/a.txt\n/w/b.txt",
    },
    {
      name: "owners by name, modes by number and by letter",
      dockerfile:
        "COPY --chown=nobody:nogroup a /o/\nCOPY --chown=5 a /n\nCOPY --chmod=640 a /m\nCOPY --chmod=u=rwx,go=r a /s",
      files: { a: "1" },
      command: "stat -c '%n %u:%g %a' /o /o/a /n /m /s",
      output: "/o 65534:65534 755\n/o/a 65534:65534 644\n/n 5:5 644\n/m 0:0 640\n/s 0:0 744",
    },
    {
      name: "links of the image lead inside it, links of the context stay links",
      dockerfile: "RUN mkdir /real && ln -s /real /link\nCOPY a /link/a\nCOPY l /l",
      files: { a: "1", "l/x": { link: "../../../etc/passwd" } },
      command: "cat /real/a; readlink /l/x",
      output: "1../../../etc/passwd",
    },
    {
      name: "a link in a context leads nowhere out of it",
      dockerfile: "COPY out /out",
      files: { out: { link: "../../../../secret" }, secret: "inside" },
      command: "cat /out",
      output: "inside",
    },
    {
      name: "ENV, ARG, USER and WORKDIR are what RUN sees",
      dockerfile:
        'ARG WHO=nobody\nENV GREETING="hello $WHO" N=1\nWORKDIR /w\nWORKDIR deep\nRUN chmod 777 .\nUSER nobody\nRUN echo "$GREETING $(id -un) $(pwd) $N" > out',
      args: ["--build-arg", "WHO=you"],
      command: "cat /w/deep/out; stat -c ' %U' /w/deep/out",
      output: "hello you nobody /w/deep 1\n nobody",
    },
    {
      name: "here-documents of RUN and COPY",
      dockerfile:
        "ARG V=7\nRUN <<EOF\necho one > /x\necho two >> /x\nEOF\nCOPY <<EOF <<'RAW' /d/\nv=$V\nEOF\nv=$V\nRAW\nRUN <<EOF\n#!/bin/sh\necho script > /y\nEOF",
      command: "cat /x /d/EOF /d/RAW /y",
      output: "one\ntwo\nv=7\nv=$V\nscript",
    },
    {
      name: "ADD unpacks an archive of the context, COPY does not",
      dockerfile: "ADD t.tgz /t/\nCOPY t.tgz /c/",
      files: { "t.tgz": archive() },
      command: "cat /t/inner; ls /c",
      output: "packed\nt.tgz",
    },
    {
      name: "COPY --link stands on any layer",
      dockerfile: "COPY --link a /l/a\nRUN test -f /l/a",
      files: { a: "linked" },
      command: "cat /l/a",
      output: "linked",
    },
    {
      name: "mounts of RUN leave nothing",
      dockerfile:
        "RUN --mount=type=bind,source=dir,target=/b --mount=type=tmpfs,target=/t --mount=type=cache,target=/c " +
        "cat /b/x > /out && touch /t/y /c/z && grep -c ' /t tmpfs' /proc/mounts >> /out",
      files: { "dir/x": "bound\n" },
      command: "cat /out; ls -d /b /t /c 2>/dev/null; true",
      output: "bound\n1",
    },
    {
      name: "stages by name and number, and files of an image",
      dockerfile: `RUN echo a > /a\nFROM ${busybox} AS Two\nRUN echo b > /b\nFROM ${busybox}\nCOPY --from=0 /a /\nCOPY --from=two /b /\nCOPY --from=${busybox} /bin/busybox /copied`,
      command: "cat /a /b; cmp /bin/busybox /copied && echo same",
      output: "a\nb\nsame",
    },
    {
      name: "SHELL, and commands as lists",
      dockerfile: 'SHELL ["/bin/sh", "-ec"]\nRUN echo $0 > /s\nRUN ["/bin/sh", "-c", "echo list >> /s"]',
      command: "cat /s",
      output: "/bin/sh\nlist",
    },
    {
      name: "what one step deletes is gone in the next",
      dockerfile: "RUN mkdir /d && touch /d/a /d/b\nRUN rm /d/a\nRUN rm -r /d && mkdir /d && touch /d/c",
      command: "ls /d",
      output: "c",
    },
    {
      name: ".dockerignore with exceptions",
      dockerfile: "COPY . /c/",
      files: {
        ".dockerignore": "*\n!keep\n!dir/in\n# a comment\n",
        keep: "",
        gone: "",
        "dir/in": "",
        "dir/out": "",
      },
      command: "cd /c; find . -type f | sort",
      output: "./dir/in\n./keep",
    },
    {
      name: "no network",
      dockerfile: "RUN --network=none ls /sys/class/net > /n",
      command: "cat /n",
      output: "lo",
    },
    {
      name: "extra hosts and the size of /dev/shm",
      dockerfile: "RUN grep one /etc/hosts > /h; df -k /dev/shm | tail -1 | awk '{print $2}' >> /h",
      args: ["--add-host", "one:10.1.2.3", "--shm-size", "1m"],
      command: "cat /h",
      output: "10.1.2.3\tone\n1024",
    },
  ];
  for (const { name, dockerfile, files = {}, args = [], command, output } of shapes)
    test(name, async () => {
      await built({ Dockerfile: `FROM ${busybox}\n${dockerfile}\n`, ...files }, args);
      assert.equal(await shell(command), output);
    });

  test("metadata and history are those of BuildKit", async () => {
    await built({
      Dockerfile: [
        `FROM ${busybox}`,
        "LABEL a=b",
        "EXPOSE 443/udp 80",
        "VOLUME /v",
        "STOPSIGNAL SIGINT",
        'HEALTHCHECK --interval=5s --retries=2 CMD ["true"]',
        "ARG A=1",
        "RUN true",
        'ENTRYPOINT ["/bin/echo"]',
        "CMD hi there",
        "ONBUILD RUN echo triggered > /triggered",
        "",
      ].join("\n"),
    });
    assert.deepEqual(await inspected(".Config.Labels"), { a: "b" });
    assert.deepEqual(await inspected(".Config.ExposedPorts"), { "443/udp": {}, "80/tcp": {} });
    assert.deepEqual(await inspected(".Config.Volumes"), { "/v": {} });
    assert.deepEqual(await inspected(".Config.Cmd"), ["/bin/sh", "-c", "hi there"]);
    assert.deepEqual(await inspected(".Config.Healthcheck"), {
      Test: ["CMD", "true"],
      Interval: 5_000_000_000,
      Retries: 2,
    });
    const history = await suite.daemon.dockerOk([
      "history",
      "--no-trunc",
      "--format",
      "{{.CreatedBy}}",
      "test/built",
    ]);
    assert.deepEqual(history.split("\n").slice(0, 9), [
      'CMD ["/bin/sh" "-c" "hi there"]',
      'ENTRYPOINT ["/bin/echo"]',
      "RUN |1 A=1 /bin/sh -c true # buildkit",
      "ARG A=1",
      `HEALTHCHECK &{["CMD" "true"] "5s" "0s" "0s" "0s" '\\x02'}`,
      "STOPSIGNAL SIGINT",
      "VOLUME [/v]",
      "EXPOSE map[443/udp:{} 80/tcp:{}]",
      "LABEL a=b",
    ]);
    await suite.daemon.dockerOk(["tag", "test/built", "test/onbuild"]);
    await built({ Dockerfile: "FROM test/onbuild\n" });
    assert.equal(await shell("cat /triggered"), "triggered");
    assert.equal(await inspected(".Config.OnBuild"), null);
  });

  test("the same build again takes everything from the cache; what changes is built", async () => {
    const Dockerfile = `FROM ${busybox}\nCOPY a /a\nRUN cat /a > /b\nRUN date +%N > /c\n`;
    await built({ Dockerfile, a: "1" }, ["--no-cache"]);
    const first = await shell("cat /c");
    const again = await built({ Dockerfile, a: "1" });
    assert.equal(again.match(/Using cache/g)?.length, 3);
    assert.equal(await shell("cat /c"), first);
    const changed = await built({ Dockerfile, a: "2" });
    assert.doesNotMatch(changed, /Using cache/);
    assert.equal(await shell("cat /b"), "2");
  });

  test("only stages that are needed run, and a target ends the build", async () => {
    const Dockerfile = `FROM ${busybox} AS good\nRUN echo good\nFROM ${busybox} AS bad\nRUN exit 3\nFROM good\n`;
    await built({ Dockerfile });
    const result = await dockerBuild(suite.daemon, { Dockerfile }, ["--target", "bad"]);
    assert.equal(result.code, 3);
  });

  test("SOURCE_DATE_EPOCH gives the same image twice", async () => {
    const Dockerfile = `FROM ${busybox}\nCOPY a /d/a\nRUN date > /now-$(date +%Y) && touch -d @1 /old && rm /now*\nWORKDIR /w\n`;
    const args = ["-q", "--no-cache", "--build-arg", "SOURCE_DATE_EPOCH=1700000000"];
    const first = await built({ Dockerfile, a: "1" }, args);
    const second = await built({ Dockerfile, a: "1" }, args);
    assert.match(first, /^sha256:[0-9a-f]{64}\n$/);
    assert.equal(second, first);
    assert.equal(await inspected(".Created"), "2023-11-14T22:13:20Z");
  });

  test("what a failed command wrote comes before the failure", async () => {
    const result = await dockerBuild(suite.daemon, {
      Dockerfile: `FROM ${busybox}\nRUN echo last words; exit 7\n`,
    });
    assert.match(
      result.stdout,
      /Step 2\/2 : RUN echo last words; exit 7\n ---> Running in [0-9a-f]{12}\nlast words\n/,
    );
  });

  test("a client that goes ends the build", async () => {
    const { daemon } = suite;
    await using context = await makeContext({
      // The step's own line does not have the word that its output has.
      Dockerfile: `FROM ${busybox}\nRUN echo be"gun"; sleep 600\n`,
    });
    const client = start(daemon.dockerCommand(["build", "--no-cache", context.directory]), {
      env: { DOCKER_BUILDKIT: "0" },
    });
    await client.waitForOutput(/begun/);
    client.process.kill("SIGKILL");
    await client.wait();
    // The leak check after this test sees whether the container is gone.
  });

  test("a client that goes while the step's container is made leaves nothing of it", async () => {
    const { daemon } = suite;
    await using context = await makeContext({ Dockerfile: `FROM ${busybox}\nRUN sleep 600\n` });
    for (let moment = 0; moment < 20; moment++) {
      const client = start(daemon.dockerCommand(["build", "--no-cache", context.directory]), {
        env: { DOCKER_BUILDKIT: "0" },
      });
      await client.waitForOutput(/Step 2\/2/);
      await sleep(moment * 5);
      client.process.kill("SIGKILL");
      await client.wait();
    }
  });

  test("nothing but the base is left after image and builder prune", async () => {
    const { daemon } = suite;
    const reclaimed = await daemon.dockerOk(["builder", "prune", "-af"]);
    assert.match(reclaimed, /Total reclaimed space/);
    // Images that lost their name to a later build go first: some were made from one that has its name still.
    await daemon.dockerOk(["image", "prune", "-f"]);
    const images = (await daemon.dockerOk(["images", "-q", "--filter", "reference=test/*"])).split("\n");
    await daemon.dockerOk(["rmi", "-f", ...new Set(images)]);
    assert.equal(await daemon.dockerOk(["images", "-aq", "--filter", "dangling=true"]), "");
    await daemon.dockerOk(["builder", "prune", "-af"]);
    const [driver = ""] = await readdir(join(daemon.dataRoot, "snapshots"));
    const layers = await readdir(join(daemon.dataRoot, "snapshots", driver, "layers"));
    const { RootFS } = JSON.parse(
      await daemon.dockerOk(["image", "inspect", "-f", "{{json .}}", busybox]),
    ) as {
      RootFS: { Layers: string[] };
    };
    assert.equal(layers.length, RootFS.Layers.length);
    assert.deepEqual(await readdir(join(daemon.dataRoot, "snapshots", driver, "active")), []);
  });
});

/** A gzipped tar with the one file `inner`. */
function archive(): Buffer {
  return Buffer.from(
    "H4sIAAAAAAACA8vMy0stYqAtMAACMxMTMA0E6DQQmCOxQeLmIErBgIEOoLS4JLEIaCXDyAQFicnZqSlcDKNgFIyCUTAKRhYAAGB9+wgACAAA",
    "base64",
  );
}

/** `-v`, `--mount`, `--tmpfs`, `--volumes-from` and `--workdir`: what the container's mount table says. */
import assert from "node:assert/strict";
import { mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { busybox } from "../helpers/images.ts";
import { useDaemon } from "../helpers/suite.ts";

describe("mounts", () => {
  const suite = useDaemon();
  const run = (flags: readonly string[], script: string) =>
    suite.daemon.docker(["run", "--rm", ...flags, busybox, "sh", "-c", script]);
  const shell = (flags: readonly string[], script: string): Promise<string> =>
    suite.daemon.dockerOk(["run", "--rm", ...flags, busybox, "sh", "-c", script]);
  /** Options and optional fields of what is mounted on `target`. */
  const mountLine = async (flags: readonly string[], target: string): Promise<string> =>
    shell(flags, `grep ' ${target} ' /proc/self/mountinfo`);
  const onHost = async (...command: string[]): Promise<string> => {
    const result = await suite.daemon.host.run(command);
    assert.equal(result.code, 0, result.stderr);
    return result.stdout.trimEnd();
  };
  const directory = async (name: string): Promise<string> => {
    const path = join(suite.daemon.root, name);
    await mkdir(path, { recursive: true });
    return path;
  };

  test("bind propagation: private, slave and shared, with -v and --mount", async () => {
    const { daemon } = suite;
    const source = await directory("propagation");
    await onHost("sh", "-c", `mount -t tmpfs none ${source} && mount --make-shared ${source}`);
    try {
      for (const [word, expected] of [
        ["rprivate", /^(?!.*(shared|master):)/],
        ["private", /^(?!.*(shared|master):)/],
        ["rslave", /master:/],
        ["slave", /master:/],
        ["rshared", /shared:/],
        ["shared", /shared:/],
      ] as const) {
        assert.match(await mountLine(["-v", `${source}:/in:${word}`], "/in"), expected, `-v ${word}`);
        const mount = `type=bind,src=${source},dst=/in,bind-propagation=${word}`;
        assert.match(await mountLine(["--mount", mount], "/in"), expected, `--mount ${word}`);
      }
      // What the host mounts later is seen by a slave, not by a private mount.
      for (const [name, word] of [
        ["slave", "rslave"],
        ["private", "rprivate"],
      ] as const)
        await daemon.dockerOk([
          "run",
          "-d",
          "--name",
          name,
          "-v",
          `${source}:/in:${word}`,
          busybox,
          "sleep",
          "600",
        ]);
      await onHost(
        "sh",
        "-c",
        `mkdir ${source}/late && mount -t tmpfs none ${source}/late && touch ${source}/late/file`,
      );
      assert.equal(await daemon.dockerOk(["exec", "slave", "ls", "/in/late"]), "file");
      assert.equal(await daemon.dockerOk(["exec", "private", "ls", "/in/late"]), "");
      await daemon.dockerOk(["rm", "-f", "slave", "private"]);
    } finally {
      await onHost("sh", "-c", `umount -R ${source}`);
    }
    const plain = await run(["-v", `${source}:/in:rshared`], "true");
    assert.notEqual(plain.code, 0);
    assert.match(plain.stderr, /is mounted on .* but it is not a shared mount/);
  });

  test("a read-only bind is so with what is mounted below it, unless told otherwise", async () => {
    const source = await directory("recursive");
    await onHost("sh", "-c", `mkdir -p ${source}/below && mount -t tmpfs none ${source}/below`);
    try {
      const script = "touch /in/a 2>/dev/null && echo top; touch /in/below/a 2>/dev/null && echo below; true";
      const base = `type=bind,src=${source},dst=/in`;
      assert.equal(await shell(["-v", `${source}:/in`], script), "top\nbelow");
      assert.equal(await shell(["-v", `${source}:/in:ro`], script), "");
      assert.equal(await shell(["--mount", `${base},readonly`], script), "");
      assert.equal(await shell(["--mount", `${base},readonly,bind-recursive=writable`], script), "below");
      const forced = `${base},readonly,bind-recursive=readonly,bind-propagation=rprivate`;
      assert.equal(await shell(["--mount", forced], script), "");
      assert.doesNotMatch(
        await shell(["--mount", `${base},bind-recursive=disabled`], "cat /proc/self/mountinfo"),
        / \/in\/below /,
      );
      assert.doesNotMatch(
        await shell(["--mount", `${base},bind-nonrecursive`], "cat /proc/self/mountinfo"),
        / \/in\/below /,
      );
    } finally {
      await onHost("sh", "-c", `umount -R ${source}/below`);
    }
  });

  test("--mount type=volume: its label and options, nocopy, and a part of it", async () => {
    const { daemon } = suite;
    try {
      assert.match(await shell(["--mount", "type=volume,src=rig-copied,dst=/etc"], "ls /etc"), /passwd/);
      assert.doesNotMatch(
        await shell(["--mount", "type=volume,src=rig-empty,dst=/etc,volume-nocopy"], "ls /etc"),
        /passwd/,
      );
      assert.doesNotMatch(await shell(["-v", "rig-empty-2:/etc:nocopy"], "ls /etc"), /passwd/);
      const labelled = "type=volume,src=rig-labelled,dst=/v,volume-label=a=b,volume-driver=local";
      await shell(
        ["--mount", labelled],
        "mkdir -p /v/part/inner; echo word > /v/part/inner/file; ln -s /etc /v/out; echo one > /v/single",
      );
      assert.equal(await daemon.dockerOk(["volume", "inspect", "-f", "{{.Labels.a}}", "rig-labelled"]), "b");
      const part = (subpath: string): string[] => [
        "--mount",
        `type=volume,src=rig-labelled,dst=/p,volume-subpath=${subpath}`,
      ];
      assert.equal(await shell(part("part/inner"), "cat /p/file; echo more >> /p/file"), "word");
      assert.equal(await shell(part("single"), "cat /p"), "one");
      // A link in the volume leads inside the volume, never to the host's /etc.
      const escaped = await run(part("out"), "true");
      assert.notEqual(escaped.code, 0);
      assert.match(escaped.stderr, /cannot access path .*\/out/);
      const missing = await run(part("nothing"), "true");
      assert.match(missing.stderr, /cannot access path .*nothing/);
      for (const [mount, message] of [
        [
          "type=volume,src=rig-labelled,dst=/p,volume-subpath=../x",
          /subpath must be a relative path within the volume/,
        ],
        [
          "type=volume,src=rig-labelled,dst=/p,volume-subpath=/x",
          /subpath must be a relative path within the volume/,
        ],
        ["type=volume,dst=/p,volume-subpath=x", /must not set Subpath when using anonymous volumes/],
      ] as const)
        assert.match((await run(["--mount", mount], "true")).stderr, message);
      // Files go into and out of a stopped container's part, too.
      await daemon.dockerOk(["create", "--name", "stopped", ...part("part"), busybox, "true"]);
      assert.match(
        await onHost("sh", "-c", `docker -H unix://${daemon.socket} cp stopped:/p/inner/file - | tar xO`),
        /^word\nmore$/,
      );
    } finally {
      await daemon.removeContainers();
      await daemon.dockerOk(["volume", "rm", "rig-copied", "rig-empty", "rig-empty-2", "rig-labelled"]);
    }
  });

  test("--mount type=tmpfs and --tmpfs: size, mode and options", async () => {
    const line = await shell(
      ["--mount", "type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=1750"],
      "grep ' /t ' /proc/mounts; stat -c %a /t",
    );
    assert.match(line, /^tmpfs \/t tmpfs rw,nosuid,nodev,noexec,relatime,size=1024k,mode=1750.*\n1750$/);
    assert.match(
      await shell(["--tmpfs", "/t:exec,size=64k,uid=5"], "grep ' /t ' /proc/mounts"),
      /^tmpfs \/t tmpfs rw,nosuid,nodev,relatime,size=64k,.*uid=5/,
    );
    assert.match(
      await shell(["--mount", "type=tmpfs,dst=/t,readonly"], "grep ' /t ' /proc/mounts"),
      /^tmpfs \/t tmpfs ro/,
    );
    const { daemon } = suite;
    await daemon.dockerOk(["create", "--name", "tmp", "--mount", "type=tmpfs,dst=/t", busybox, "true"]);
    assert.equal(
      await daemon.dockerOk([
        "inspect",
        "-f",
        "{{range .Mounts}}{{.Type}} {{.Destination}} {{.RW}}{{end}}",
        "tmp",
      ]),
      "tmpfs /t true",
    );
  });

  test("--mount type=image: another image's files, and a part of them", async () => {
    const image = `type=image,src=${busybox},dst=/img`;
    const script = "cat /img/etc/passwd | head -1; touch /img/x";
    const result = await run(["--mount", image], script);
    assert.match(result.stdout, /^root:/);
    assert.match(result.stderr, /Read-only file system/);
    assert.match(await shell(["--mount", `${image},image-subpath=etc`], "cat /img/passwd"), /^root:/);
    const missing = await run(["--mount", "type=image,src=no-such-image-here,dst=/img"], "true");
    assert.match(missing.stderr, /No such image: no-such-image-here/);
    assert.match(
      (await run(["--mount", "type=image,dst=/img"], "true")).stderr,
      /field Source must not be empty/,
    );
  });

  test("--mount type=image: always read-only; parts through links and by detours; kept while it is mounted", async () => {
    const { daemon } = suite;
    const script =
      "mkdir -p /a/b; echo word > /a/b/file; ln -s b /a/link; ln -s /etc /a/out; echo secret > /a/etc";
    await daemon.dockerOk(["run", "--name", "maker", busybox, "sh", "-c", script]);
    await daemon.dockerOk(["commit", "maker", "rig-other:1"]);
    const image = "type=image,src=rig-other:1,dst=/img";
    const part = (path: string, command: string): Promise<string> =>
      shell(["--mount", `${image},image-subpath=${path}`], command);
    assert.equal(await part("a/b", "cat /img/file"), "word");
    assert.equal(await part("a/link", "cat /img/file"), "word");
    assert.equal(await part("a/b/file", "cat /img"), "word");
    assert.equal(await part("a/../a/b", "cat /img/file"), "word");
    assert.equal(await part(".", "cat /img/a/b/file"), "word");
    // A link's root is the image's, not the host's.
    assert.equal(await part("a/out", "cat /img/passwd"), await shell([], "cat /etc/passwd"));
    assert.match(
      (await run(["--mount", `${image},image-subpath=../x`], "true")).stderr,
      /must be a relative path/,
    );
    const missing = await run(["--mount", `${image},image-subpath=a/none`], "true");
    assert.match(missing.stderr, /cannot access path .*a\/none: .*no such file or directory/i);
    const writing = await run(["--mount", `${image},readonly=false`], "touch /img/x");
    assert.match(writing.stderr, /Read-only file system/);
    const options = [
      "--mount",
      `${image},image-subpath=a`,
      "--mount",
      `type=image,src=${busybox},dst=/again`,
    ];
    await daemon.dockerOk(["run", "-d", "--name", "box", "--init", ...options, busybox, "sleep", "600"]);
    const shown = "{{range .Mounts}}{{.Type}} {{.Name}} {{.Destination}} {{.RW}}\n{{end}}";
    assert.deepEqual(
      (await daemon.dockerOk(["inspect", "-f", shown.replace("\\n", "\n"), "box"])).trim().split("\n").sort(),
      [`image ${busybox} /again false`, "image rig-other:1 /img false"],
    );
    const kept = await daemon.docker(["rmi", "-f", "rig-other:1"]);
    assert.equal(await daemon.dockerOk(["exec", "box", "cat", "/img/b/file"]), "word", kept.stderr);
    await daemon.stop();
    await daemon.launch();
    assert.equal(await daemon.dockerOk(["exec", "box", "cat", "/img/b/file"]), "word");
    await daemon.dockerOk(["restart", "-t", "0", "box"]);
    assert.equal(await daemon.dockerOk(["exec", "box", "cat", "/img/b/file"]), "word");
    await daemon.dockerOk(["rm", "-f", "box", "maker"]);
    await daemon.docker(["image", "prune", "-f"]);
  });

  test("--volumes-from: all mounts, read-only or not, and the container's own go first", async () => {
    const { daemon } = suite;
    const bound = await directory("from");
    await writeFile(join(bound, "word"), "bound\n");
    await daemon.dockerOk([
      "run",
      "--name",
      "data",
      "-v",
      "/anonymous",
      "-v",
      `${bound}:/bound`,
      busybox,
      "sh",
      "-c",
      "echo kept > /anonymous/file",
    ]);
    assert.equal(
      await shell(["--volumes-from", "data"], "cat /anonymous/file /bound/word; touch /bound/new"),
      "kept\nbound",
    );
    assert.equal(await readFile(join(bound, "new"), "utf8"), "");
    const script = "touch /anonymous/x 2>/dev/null || touch /bound/x 2>/dev/null || echo refused";
    assert.equal(await shell(["--volumes-from", "data:ro"], script), "refused");
    assert.equal(await shell(["--volumes-from", "data:rw"], "touch /bound/y && echo written"), "written");
    assert.equal(await shell(["--volumes-from", "data", "--tmpfs", "/bound"], "ls /bound | wc -l"), "0");
    // Anonymous volumes live as long as somebody has them.
    await daemon.dockerOk([
      "create",
      "--name",
      "heir",
      "--volumes-from",
      "data",
      busybox,
      "cat",
      "/anonymous/file",
    ]);
    await daemon.dockerOk(["rm", "-v", "data"]);
    assert.equal(await daemon.dockerOk(["start", "-a", "heir"]), "kept");
    for (const [value, message] of [
      ["nobody", /No such container: nobody/],
      ["heir:sometimes", /invalid mode: sometimes/],
      ["", /volumes-from specification cannot be an empty string/],
    ] as const) {
      const result = await run([`--volumes-from=${value}`], "true");
      assert.equal(result.code, 125);
      assert.match(result.stderr, message);
    }
  });

  test("--workdir is made when missing, with a read-only root and through links", async () => {
    assert.equal(await shell(["-w", "/made/here"], "pwd; stat -c '%a %u' ."), "/made/here\n755 0");
    assert.equal(await shell(["--read-only", "-w", "/made/here"], "pwd"), "/made/here");
    assert.equal(await shell(["-u", "1", "-w", "/made/here"], "pwd; stat -c %u ."), "/made/here\n0");
    const result = await run(["-w", "relative"], "true");
    assert.match(
      result.stderr,
      /the working directory 'relative' is invalid, it needs to be an absolute path/,
    );
    const file = await run(["-w", "/etc/passwd"], "true");
    assert.notEqual(file.code, 0);
    assert.match(file.stderr, /not a directory/i);
  });

  test("a bind's source may be a link, and its target one inside the image", async () => {
    const source = await directory("real");
    await writeFile(join(source, "file"), "through a link\n");
    await symlink(source, join(suite.daemon.root, "link"));
    assert.equal(
      await shell(["-v", `${join(suite.daemon.root, "link")}:/in`], "cat /in/file"),
      "through a link",
    );
  });

  const wrong: [string[], RegExp][] = [
    [["-v", "/a:/b:rw,ro"], /invalid mode: rw,ro/],
    [["-v", "/a:/b:strange"], /invalid mode: strange/],
    [["-v", "/a:relative"], /invalid mount path: 'relative' mount path must be absolute/],
    [["-v", "/a:/"], /destination can't be '\/'/],
    [["-v", "x:/b:rshared"], /field BindOptions must not be specified|volume name is too short/],
    [["-v", "/a:/b", "-v", "/c:/b"], /Duplicate mount point: \/b/],
    [["-v", "/a:/b", "--tmpfs", "/b"], /Duplicate mount point: \/b/],
    [
      ["--mount", "type=bind,src=/a,dst=/b,bind-propagation=odd"],
      /invalid propagation mode: odd|Invalid propagation mode/i,
    ],
    [["--mount", "type=odd,dst=/b"], /mount type unknown/],
    [["--mount", "type=bind,src=relative,dst=/b"], /mount path must be absolute/],
    [
      ["--mount", "type=bind,src=/no/such/source,dst=/b"],
      /bind source path does not exist: \/no\/such\/source/,
    ],
    [["--mount", "type=tmpfs,src=/a,dst=/b"], /field Source must not be specified/],
    [["--tmpfs", "/t:odd"], /invalid tmpfs option \["odd"\]/],
  ];
  for (const [flags, message] of wrong)
    test(`${flags.join(" ")} is refused`, async () => {
      const result = await run(flags, "true");
      assert.equal(result.code, 125, result.stderr);
      assert.match(result.stderr, message);
      assert.equal(await suite.daemon.dockerOk(["ps", "-aq"]), "");
    });
});

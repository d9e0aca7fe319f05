/** `docker cp` and the archive API: both ways, stopped and running containers, volumes, and containers that mean harm. */
import assert from "node:assert/strict";
import { existsSync, lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { tarEnd, tarHeader, tarPadding } from "../../src/oci/tar-writer.ts";
import { flavour } from "../helpers/daemon.ts";
import { busybox } from "../helpers/images.ts";
import { run, type RunResult } from "../helpers/process.ts";
import { useDaemon } from "../helpers/suite.ts";

describe("cp", () => {
  const suite = useDaemon();
  let directory = "";
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "gantry-cp-"));
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  const runBox = (...more: string[]): Promise<string> =>
    suite.daemon.dockerOk(["run", "-d", "--name", "box", ...more, busybox, "sleep", "300"]);
  const createBox = (...more: string[]): Promise<string> =>
    suite.daemon.dockerOk(["create", "--name", "box", ...more, busybox, "sleep", "300"]);
  const inBox = (script: string): Promise<string> =>
    suite.daemon.dockerOk(["exec", "box", "sh", "-c", script]);

  /** The same with the official command line and with gantry's own. */
  const clients: readonly (readonly [string, (...args: string[]) => Promise<RunResult>])[] = [
    ["docker", (...args) => suite.daemon.docker(["cp", ...args])],
    ...(process.env["GANTRY_TEST_ENGINE"] === "docker"
      ? []
      : [["gantry", (...args: string[]) => suite.daemon.gantry(["cp", ...args])] as const]),
  ];

  for (const [name, cp] of clients) {
    const ok = async (...args: string[]): Promise<void> => {
      const result = await cp(...args);
      assert.equal(result.code, 0, result.stderr);
    };

    for (const [state, make] of [
      ["running", runBox],
      ["never started", createBox],
    ] as const) {
      test(`${name}: files and directories go both ways (${state})`, async () => {
        await make();
        const from = join(directory, "from");
        await mkdir(join(from, "sub"), { recursive: true });
        await writeFile(join(from, "sub", "file"), "content\n", { mode: 0o640 });
        await symlink("sub/file", join(from, "link"));
        await ok(from, "box:/tmp");
        await ok(`${from}/.`, "box:/root");
        await ok(join(from, "sub/file"), "box:/etc/renamed");
        await ok("box:/tmp/from", join(directory, "back"));
        await ok("box:/root/sub/.", directory);
        await ok("box:/etc/renamed", join(directory, "one"));
        assert.equal(readFileSync(join(directory, "back/sub/file"), "utf8"), "content\n");
        assert.equal(lstatSync(join(directory, "back/sub/file")).mode & 0o777, 0o640);
        assert.equal(readlinkSync(join(directory, "back/link")), "sub/file");
        assert.equal(readFileSync(join(directory, "file"), "utf8"), "content\n");
        assert.equal(readFileSync(join(directory, "one"), "utf8"), "content\n");
      });
    }

    test(`${name}: to a link that leads to nothing, what it leads to is made`, async () => {
      await createBox();
      const link = join(directory, "link");
      await symlink("made", link);
      await ok("box:/etc/group", link);
      assert.equal(readlinkSync(link), "made");
      assert.match(readFileSync(join(directory, "made"), "utf8"), /^root:/);
      await symlink("nowhere", join(directory, "broken"));
      const refused = await cp("-L", join(directory, "broken"), "box:/tmp");
      assert.equal(refused.code, 1);
      assert.equal(refused.stderr.trim(), `lstat ${join(directory, "nowhere")}: no such file or directory`);
    });

    test(`${name}: links are copied as links, with -L what they lead to`, async () => {
      await runBox();
      await inBox("echo real >/tmp/real; ln -s real /tmp/link; ln -s /tmp /root/dir");
      await ok("box:/tmp/link", join(directory, "as-link"));
      await ok("-L", "box:/tmp/link", join(directory, "as-file"));
      await ok("-L", "box:/tmp/link", directory);
      assert.equal(readlinkSync(join(directory, "as-link")), "real");
      assert.equal(readFileSync(join(directory, "as-file"), "utf8"), "real\n");
      assert.equal(readFileSync(join(directory, "link"), "utf8"), "real\n");
      await ok(join(directory, "as-file"), "box:/root/dir");
      assert.equal(await inBox("cat /tmp/as-file"), "real");
    });

    test(`${name}: says what cannot be copied`, async () => {
      await runBox();
      const file = join(directory, "file");
      await writeFile(file, "x");
      const fails = async (pattern: RegExp, ...args: string[]): Promise<void> => {
        const result = await cp(...args);
        assert.equal(result.code, 1);
        assert.match(result.stderr, pattern);
      };
      await fails(/Could not find the file \/nowhere in container box/, "box:/nowhere", directory);
      await fails(/No such container: nobody/, "nobody:/etc", directory);
      await fails(/No such container: nobody/, file, "nobody:/etc");
      await fails(/copying between containers is not supported/, "box:/etc", "box:/tmp");
      await fails(/must specify at least one container source/, file, directory);
      await fails(/no such directory/, file, "box:/tmp/none/");
      await fails(/cannot copy directory/, directory, "box:/etc/passwd");
      await fails(/no such file or directory/, join(directory, "none"), "box:/tmp");
      await fails(
        /invalid output path: directory ".*none" does not exist/,
        "box:/etc/passwd",
        join(directory, "none/x"),
      );
    });
  }

  for (const [name, cp] of clients)
    test(`${name}: all files of a running container, without those that the kernel makes up`, async () => {
      await runBox();
      await inBox("echo mine >/root/mine");
      const all = join(directory, "all");
      const copied = await cp("box:/", all);
      assert.equal(copied.code, 0, copied.stderr);
      assert.equal(readFileSync(join(all, "root/mine"), "utf8"), "mine\n");
      for (const made of ["proc", "sys"]) assert.deepEqual(readdirSync(join(all, made)), [], made);
      assert.equal(existsSync(join(all, "dev/null")), false);
      if (flavour === "gantry") assert.equal((await cp("box:/proc", join(directory, "proc"))).code, 0);
    });

  test("through standard input and output, as tar", async () => {
    await runBox();
    await writeFile(join(directory, "a"), "from tar\n");
    const tar = (await run(["tar", "-C", directory, "-c", "a"])).stdoutBytes;
    assert.equal((await suite.daemon.docker(["cp", "-", "box:/tmp"], { input: tar })).code, 0);
    assert.equal(await inBox("cat /tmp/a"), "from tar");
    const packed = await suite.daemon.docker(["cp", "box:/tmp/a", "-"]);
    assert.equal((await run(["tar", "-xO", "a"], { input: packed.stdoutBytes })).stdout, "from tar\n");
    const listed = await suite.daemon.docker(["cp", "box:/etc", "-"]);
    const names = (await run(["tar", "-t"], { input: listed.stdoutBytes })).stdout.split("\n");
    assert.equal(names[0], "etc/");
    assert.ok(names.includes("etc/passwd"));
    const gzipped = (await run(["gzip", "-c"], { input: tar })).stdoutBytes;
    assert.equal((await suite.daemon.docker(["cp", "-", "box:/root"], { input: gzipped })).code, 0);
    assert.equal(await inBox("cat /root/a"), "from tar");
  });

  test("owners: the archive's, and with -a the container's user", async () => {
    await runBox("-u", "1:1");
    const file = join(directory, "mine");
    await writeFile(file, "x");
    await run(["chown", "123:456", file]);
    await suite.daemon.dockerOk(["cp", file, "box:/tmp/plain"]);
    await suite.daemon.dockerOk(["cp", "-a", file, "box:/tmp/archive"]);
    assert.equal(await inBox("stat -c %u:%g /tmp/plain /tmp/archive"), "123:456\n1:1");
  });

  test("volumes and bind mounts are seen as the container sees them, also of one that never ran", async () => {
    const bound = join(directory, "bound");
    await mkdir(bound);
    await writeFile(join(bound, "there"), "bound\n");
    await createBox("-v", "/data", "-v", `${bound}:/bound/deep`, "-v", `${bound}:/locked:ro`);
    await suite.daemon.dockerOk(["cp", join(bound, "there"), "box:/data/kept"]);
    await suite.daemon.dockerOk(["cp", join(bound, "there"), "box:/bound/deep/new"]);
    assert.equal(readFileSync(join(bound, "new"), "utf8"), "bound\n");
    const refused = await suite.daemon.docker(["cp", join(bound, "there"), "box:/locked/"]);
    assert.match(refused.stderr, /mounted volume is marked read-only/);
    await suite.daemon.dockerOk(["start", "box"]);
    assert.equal(await inBox("cat /data/kept"), "bound");
    await suite.daemon.dockerOk(["cp", "box:/data/kept", join(directory, "out")]);
    assert.equal(readFileSync(join(directory, "out"), "utf8"), "bound\n");
    const again = await suite.daemon.docker(["cp", join(bound, "there"), "box:/locked/"]);
    assert.match(again.stderr, /mounted volume is marked read-only/);
  });

  for (const start of [true, false]) {
    test(`a read-only root is not written (${start ? "running" : "never started"})`, async () => {
      await (start ? runBox : createBox)("--read-only", "-v", "/data");
      const file = join(directory, "file");
      await writeFile(file, "x");
      const refused = await suite.daemon.docker(["cp", file, "box:/etc/"]);
      assert.match(refused.stderr, /container rootfs is marked read-only/);
      await suite.daemon.dockerOk(["cp", file, "box:/data/"]);
    });
  }

  test("a link that leads out of the container leads into it", async () => {
    await runBox();
    const outside = join(directory, "outside");
    await mkdir(outside);
    await writeFile(join(outside, "secret"), "host\n");
    await inBox(
      `ln -s ${outside} /tmp/out; ln -s ../../../../../../../../${outside} /tmp/up; ln -s ${outside}/secret /tmp/file`,
    );
    const file = join(directory, "file");
    await writeFile(file, "harm");
    for (const path of ["/tmp/out/", "/tmp/up/", "/tmp/out/secret", "/tmp/file"]) {
      const read = await suite.daemon.docker(["cp", "-L", `box:${path}`, join(directory, "got")]);
      assert.equal(read.code, 1, path);
      await suite.daemon.docker(["cp", file, `box:${path}`]);
    }
    assert.equal(readFileSync(join(outside, "secret"), "utf8"), "host\n");
    // The container has a directory of that name itself: then the link leads there.
    await inBox(`mkdir -p ${outside}`);
    await suite.daemon.dockerOk(["cp", file, "box:/tmp/out/"]);
    assert.equal(await inBox(`cat ${outside}/file`), "harm");
    assert.throws(() => lstatSync(join(outside, "file")));
  });

  test("an archive cannot leave the directory, by .. or by its own links", async () => {
    await runBox();
    const outside = join(directory, "outside");
    await mkdir(outside);
    const send = (...steps: string[]): Promise<RunResult> => {
      const entries = steps.map((step) => {
        const [name = "", type = "", linkName = ""] = step.split(",");
        return type === "f"
          ? Buffer.concat([
              tarHeader({ name, type: "file", mode: 0o644, sizeBytes: 4 }),
              Buffer.from("harm"),
              tarPadding(4),
            ])
          : tarHeader({ name, type: type === "l" ? "symlink" : "link", mode: 0o777, linkName });
      });
      const input = Buffer.concat([...entries, tarEnd()]);
      return suite.daemon.docker(["cp", "-", "box:/tmp"], { input });
    };
    assert.match((await send("../up,f,")).stderr, /outside of the directory/);
    await send(`way,l,${outside}`, "way/file,f,");
    await send(`up,l,../../../../../..${outside}`, "up/file,f,");
    await send("hard,h,../etc/passwd");
    assert.throws(() => lstatSync(join(outside, "file")));
    assert.equal(await inBox("ls -A /tmp | sort | tr '\\n' ' '"), "up way");
  });

  test("a directory that is swapped for a link all the time never leads to the host", async () => {
    await runBox();
    const outside = join(directory, "outside");
    await mkdir(outside);
    await writeFile(join(outside, "secret"), "host\n");
    await suite.daemon.dockerOk([
      "exec",
      "-d",
      "box",
      "sh",
      "-c",
      `mkdir -p /tmp/a; echo mine >/tmp/a/secret
       while :; do mv /tmp/a /tmp/b; ln -s ${outside} /tmp/a; rm /tmp/a; mv /tmp/b /tmp/a; done`,
    ]);
    const file = join(directory, "harm");
    await writeFile(file, "harm");
    for (let round = 0; round < 15; round += 1) {
      await suite.daemon.docker(["cp", file, "box:/tmp/a/"]);
      const got = await suite.daemon.docker(["cp", "box:/tmp/a/secret", "-"]);
      assert.ok(!got.stdout.includes("host\n"));
    }
    assert.throws(() => lstatSync(join(outside, "harm")));
    assert.equal(readFileSync(join(outside, "secret"), "utf8"), "host\n");
  });

  test("the API: stat header, statuses", async () => {
    await runBox();
    await inBox("ln -s /etc/passwd /tmp/link; chmod 4755 /tmp; mkfifo /tmp/fifo");
    const ask = (path: string): ReturnType<typeof fetchHead> => fetchHead(suite.daemon.socket, path);
    const link = await ask("/containers/box/archive?path=/tmp/link");
    assert.equal(link.status, 200);
    assert.equal(link.stat["name"], "link");
    assert.equal(link.stat["mode"], 2 ** 27 + 0o777);
    assert.equal(link.stat["linkTarget"], "/etc/passwd");
    const tmp = await ask("/containers/box/archive?path=/tmp/");
    assert.equal(tmp.stat["mode"], 2 ** 31 + 2 ** 23 + 0o755);
    assert.equal((await ask("/containers/box/archive?path=/tmp/fifo")).stat["mode"], 2 ** 25 + 0o644);
    assert.equal((await ask("/containers/box/archive?path=/")).stat["name"], "/");
    assert.equal((await ask("/containers/box/archive?path=/none")).status, 404);
    assert.equal((await ask("/containers/box/archive")).status, 400);
    assert.equal((await ask("/containers/none/archive?path=/")).status, 404);
    // A pipe that nobody writes to does not make the daemon wait.
    assert.equal((await suite.daemon.docker(["cp", "box:/tmp/fifo", "-"])).code, 0);
  });
});

/** HEAD as it is on the wire. */
function fetchHead(
  socketPath: string,
  path: string,
): Promise<{ status: number; stat: Record<string, unknown> }> {
  return new Promise((resolve, reject) => {
    const asking = request({ socketPath, method: "HEAD", path: `/v1.45${path}` }, (response) => {
      response.resume();
      const header = response.headers["x-docker-container-path-stat"] ?? "";
      const text = Buffer.from(String(header), "base64").toString();
      const stat = text === "" ? {} : (JSON.parse(text) as Record<string, unknown>);
      resolve({ status: response.statusCode ?? 0, stat });
    });
    asking.on("error", reject).end();
  });
}

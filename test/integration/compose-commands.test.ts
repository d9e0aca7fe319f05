import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { compose2, ComposeProject, service } from "../helpers/compose.ts";
import { startGantryRegistry } from "../helpers/gantry-registry.ts";
import { busybox } from "../helpers/images.ts";
import { eventually, mustRun } from "../helpers/process.ts";
import { hasRegistry, startRegistry } from "../helpers/registry.ts";
import { useDaemon } from "../helpers/suite.ts";

const pair = `
services:
  web:
    image: ${busybox}
    command: ${service()}
    scale: 2
`;

describe("compose cp", () => {
  const suite = useDaemon();
  const started = async (): Promise<ComposeProject> => {
    const app = await ComposeProject.make(suite.daemon, { "compose.yaml": pair, file: "copied\n" });
    await app.ok(["up", "-d"]);
    return app;
  };
  const inside = (app: ComposeProject, number: number, path: string): Promise<string> =>
    app.ok(["exec", "-T", "--index", String(number), "web", "cat", path]);
  const lines = (text: string): string[] => text.split("\n").sort().slice(1);

  test("copies into every container of a service, and says so as Compose 2.26", async () => {
    await using app = await started();
    const { code, stdout, stderr } = await app.run(["cp", "file", "web:/tmp/file"]);
    assert.equal(code, 0);
    assert.equal(stdout, "");
    const told = [1, 2].flatMap((number) =>
      ["Copied", "Copying"].map(
        (word) => ` shop-web-${number} copy file to shop-web-${number}:/tmp/file ${word}`,
      ),
    );
    assert.deepEqual(lines(stderr), told);
    for (const number of [1, 2]) assert.equal(await inside(app, number, "/tmp/file"), "copied\n");
    assert.equal((await app.run(["--progress", "quiet", "cp", "file", "web:/tmp/file"])).stderr, "");
  });

  test("copies out of the first container, or of the one with the index", async () => {
    await using app = await started();
    await app.ok(["exec", "-T", "--index", "2", "web", "sh", "-c", "echo second > /tmp/own"]);
    const { stderr } = await app.run(["cp", "--index", "2", "web:/tmp/own", "own"]);
    assert.match(stderr, /^ shop-web-2 copy shop-web-2:\/tmp\/own to own Copied$/m);
    assert.equal((await mustRun(["cat", join(app.directory, "own")])).stdout, "second\n");
    const failed = await app.run(["cp", "web:/tmp/own", "nothing"]);
    assert.equal(failed.code, 1);
    assert.match(failed.stderr, /^ shop-web-1 {2}Error {2}Could not find the file \/tmp\/own/m);
  });

  test("gives what comes on standard input to all of them", async () => {
    await using app = await started();
    const directory = await mkdtemp(join(tmpdir(), "gantry-test-cp-"));
    try {
      // Larger than what pipes hold: one container's copy must not wait for the other's end.
      await mustRun(["sh", "-c", `head -c 3000000 /dev/zero | tr '\\0' x > ${directory}/large`]);
      await mustRun(["tar", "-C", directory, "-cf", join(app.directory, "in.tar"), "large"]);
      const copied = await mustRun(
        [
          "sh",
          "-c",
          `"$@" < in.tar`,
          "sh",
          ...suite.daemon.gantryCommand(["compose", "--parallel", "1", "cp", "-", "web:/tmp"]),
        ],
        { cwd: app.directory },
      );
      assert.match(copied.stderr, /^ shop-web-2 copy - to shop-web-2:\/tmp Copied$/m);
      for (const number of [1, 2]) {
        const size = await app.ok([
          "exec",
          "-T",
          "--index",
          String(number),
          "web",
          "stat",
          "-c",
          "%s",
          "/tmp/large",
        ]);
        assert.equal(size, "3000000\n");
      }
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });

  test("refuses what it cannot do in the words of Compose 2.26", async () => {
    await using app = await started();
    const refused: readonly (readonly [args: string[], words: string])[] = [
      [["", "web:/x"], "source can not be empty"],
      [["web:/x", ""], "destination can not be empty"],
      [["web:/a", "db:/b"], "copying between services is not supported"],
      [["--all", "web:/a", "."], "cannot use the --all flag when copying from a service"],
      [["--index", "7", "file", "web:/"], 'service "web" is not running container #7'],
    ];
    for (const [args, words] of refused) {
      const { code, stderr } = await app.run(["cp", ...args]);
      assert.deepEqual([code, stderr], [1, `${words}\n`], args.join(" "));
    }
  });
});

describe("compose pull", () => {
  const suite = useDaemon();

  test("brings an image of several services once, and says so as Compose 2.26", async () => {
    const text = `services: { a: { image: ${busybox} }, b: { image: ${busybox} } }`;
    await using app = await ComposeProject.make(suite.daemon, { "compose.yaml": text });
    const { code, stderr } = await app.run(["pull"]);
    assert.equal(code, 0);
    const told = stderr.split("\n").slice(0, -1);
    assert.deepEqual(told.slice(0, 2), [" b Skipped - Image is already being pulled by a ", " a  Pulling"]);
    assert.equal(told.at(-1), " a  Pulled");
    for (const line of told.slice(2, -1)) assert.match(line, /^ a [0-9a-f]{12} {2}/);
  });
});

describe("compose push", () => {
  // Builds leave their cache and their images.
  const suite = useDaemon({ leaves: ["data-root", "exec-root", "records"] });

  test("pushes what has a name of its own, tags too, and skips the rest", async (context) => {
    if (!(await hasRegistry())) return context.skip("no docker-registry");
    await using registry = await startRegistry({ host: suite.daemon.host });
    const name = `${registry.address}/shop/web`;
    const from = (line: string): string => `{ dockerfile_inline: "FROM ${busybox}\\nRUN ${line}\\n" }`;
    const text = `
services:
  web:
    image: ${name}
    build: { dockerfile_inline: "FROM ${busybox}\\nRUN echo web > /web\\n", tags: ["${name}:other"] }
  unnamed: { build: ${from("echo unnamed > /unnamed")} }
  pulled: { image: ${busybox} }
  lost: { image: "127.0.0.1:1/lost", build: ${from("echo lost > /lost")} }
`;
    await using app = await ComposeProject.make(suite.daemon, { "compose.yaml": text });
    await app.ok(["build", "-q"]);
    const { code, stderr } = await app.run(["push", "web", "unnamed", "pulled"]);
    assert.equal(code, 0);
    for (const skipped of ["unnamed", "pulled"])
      assert.match(stderr, new RegExp(`^ ${skipped} Skipped $`, "m"));
    for (const tag of ["", ":other"])
      assert.match(
        stderr,
        new RegExp(`^ Pushing ${name}${tag}: [0-9a-f]{12} (Pushed|Layer already exists) $`, "m"),
      );
    assert.doesNotMatch(stderr, /%/);
    const tags = await suite.daemon.host.run([
      "curl",
      "-s",
      `http://${registry.address}/v2/shop/web/tags/list`,
    ]);
    assert.deepEqual(JSON.parse(tags.stdout).tags.sort(), ["latest", "other"]);

    const failed = await app.run(["push", "lost"]);
    assert.equal(failed.code, 1);
    const ignored = await app.run(["push", "--ignore-push-failures", "lost", "web"]);
    assert.equal(ignored.code, 0);
    assert.match(ignored.stderr, /^Pushing lost: .*127\.0\.0\.1:1/m);
    assert.equal((await app.run(["push", "-q", "web"])).stderr, "");
    assert.match(
      await app.ok(["push", "--dry-run"]),
      new RegExp(`^Image ${name} {2}push \\(for web\\)$`, "m"),
    );
    const built = await app.run(["build", "--push", "unnamed"]);
    assert.equal(built.code, 0);
    assert.match(built.stderr, /^ unnamed Skipped $/m);
  });
});

describe("compose alpha publish and oci:// files", () => {
  const suite = useDaemon();

  const files = {
    "compose.yaml": `
services:
  web:
    image: ${busybox}
    command: ${service("cat /data/word; echo $$WORD")}
    env_file: [ { path: web.env, required: false } ]
    volumes: [ "./data:/data" ]
`,
    "over.yaml": `
services:
  web: { environment: { WORD: "\${WORD:-none}" } }
`,
  };

  /** Publishes, and runs what was published from a directory where nothing of it is. */
  async function roundTrip(registry: string): Promise<void> {
    await using shop = await ComposeProject.make(suite.daemon, files);
    const name = `${registry}/somebody/shop`;
    const published = await shop.run([
      "-f",
      "compose.yaml",
      "-f",
      "over.yaml",
      "alpha",
      "publish",
      `${name}:1`,
    ]);
    assert.equal(published.code, 0, published.stderr);
    const told = [
      'WARNING: service "web": its env_file is not published',
      " web Skipped ",
      ` ${name}:1 publishing `,
      ` ${name}:1 published `,
    ];
    assert.equal(published.stderr, told.map((line) => `${line}\n`).join(""));
    await using user = await ComposeProject.make(
      suite.daemon,
      { "compose.yaml": `include: [ "oci://${name}:1" ]\n` },
      "somebody",
    );
    const remote = ["-f", `oci://${name}:1`];
    const text = await user.ok([...remote, "config"], { env: { WORD: "given" } });
    assert.match(text, /^name: somebody$/m);
    assert.match(text, /WORD: given/);
    const source = /source: (\S+\/docker-compose\/[0-9a-f]{64}\/data)$/m.exec(text)?.[1];
    assert.ok(source !== undefined, text);
    await mustRun(["mkdir", "-p", source]);
    await mustRun(["sh", "-c", `echo of the application > ${source}/word`]);
    await user.ok([...remote, "up", "-d"], { env: { WORD: "given" } });
    await eventually(async () => /of the application\n[^]*given/.test(await user.ok(["logs", "web"])), {
      timeoutMs: 60_000,
      what: "the words of what was published",
    });
    // The same by `include`, whose variables are those here.
    assert.match(await user.ok(["config"], { env: { WORD: "included" } }), /WORD: included/);
    // Docker Compose finds the project as it should be, in the same directory.
    const other = await compose2();
    if (other !== undefined) {
      const before = await user.ids();
      const variables = [
        "COMPOSE_EXPERIMENTAL_OCI_REMOTE=1",
        "WORD=given",
        `XDG_CACHE_HOME=${user.cacheDirectory}`,
      ];
      await user.other(["env", ...variables, ...other], [...remote, "up", "-d"]);
      assert.deepEqual(await user.ids(), before);
    }
    await user.ok([...remote, "down"]);

    for (const [path, words] of [
      [`oci://${name}:none`, /failed to pull OCI resource ".*:none": not found/],
      ["oci://UPPER", /invalid reference format: UPPER/],
    ] as const) {
      const failed = await user.run(["-f", path, "config"]);
      assert.equal(failed.code, 1);
      assert.match(failed.stderr, words);
    }
    const off = await user.run([...remote, "config"], { env: { COMPOSE_EXPERIMENTAL_OCI_REMOTE: "0" } });
    assert.match(off.stderr, /OCI remote resource is disabled/);
  }

  test("go through Debian's registry", async (context) => {
    if (!(await hasRegistry())) return context.skip("no docker-registry");
    await using registry = await startRegistry();
    await roundTrip(registry.address);
  });

  test("go through gantry's registry, in the form of OCI 1.0, too", async () => {
    await using registry = await startGantryRegistry();
    await roundTrip(registry.address);
    await using shop = await ComposeProject.make(suite.daemon, files);
    const name = `${registry.address}/somebody/shop:old`;
    await shop.ok(["alpha", "publish", "--oci-version", "1.0", name]);
    assert.match(await shop.ok(["-f", `oci://${name}`, "config", "--services"]), /^web$/m);
    for (const [args, words] of [
      [["publish"], /accepts 1 arg\(s\), received 0/],
      [["publish", "--oci-version", "2.0", name], /unsupported OCI version: 2\.0/],
      [["publish", "--ports", name], /unknown flag: --ports/],
      [["viz", name], /accepts 0 arg\(s\), received 1/],
    ] as const) {
      const refused = await shop.run(["alpha", ...args]);
      assert.equal(refused.code, 1);
      assert.match(refused.stderr, words);
    }
  });
});

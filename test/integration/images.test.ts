/** Images: list, inspect, history, tag, load and save, import, remove. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { busybox } from "../helpers/images.ts";
import { eventually, mustRun } from "../helpers/process.ts";
import { useDaemon } from "../helpers/suite.ts";

describe("images", () => {
  // Layers of images that were removed are collected later.
  const suite = useDaemon({ leaves: ["data-root"] });
  let directory = "";
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "gantry-test-images-"));
  });
  after(() => rm(directory, { recursive: true, force: true }));

  const id = (name: string): Promise<string> =>
    suite.daemon.dockerOk(["image", "inspect", "-f", "{{.Id}}", name]);

  /** Names of unpacked layers on the disk. */
  const layersOf = async ({ dataRoot }: { dataRoot: string }): Promise<string[]> =>
    (await readdir(join(dataRoot, "snapshots/overlay2/layers"))).toSorted();

  /** A root file system tar with a file of its own. */
  async function rootTar(name: string, content: string): Promise<string> {
    const root = join(directory, `${name}-root`);
    await mkdir(root, { recursive: true });
    await writeFile(join(root, "marker"), content);
    await mustRun(["cp", "-a", "/bin/busybox", join(root, "sh")]);
    const archive = join(directory, `${name}.tar`);
    await mustRun(["tar", "-C", root, "-cf", archive, "."]);
    return archive;
  }

  test("list: columns, digests, filters, quiet", async () => {
    const { daemon } = suite;
    const [head = "", line = ""] = (await daemon.dockerOk(["images"])).split("\n");
    assert.match(head, /^REPOSITORY\s+TAG\s+IMAGE ID\s+CREATED\s+SIZE$/);
    assert.match(line, /^gantry\/busybox\s+latest\s+[0-9a-f]{12}\s+.*\s+\d+(\.\d+)?MB$/);
    assert.equal(await daemon.dockerOk(["images", "-q", "--no-trunc", busybox]), await id(busybox));
    assert.equal(await daemon.dockerOk(["images", "-q", "no/such"]), "");
    assert.equal(
      await daemon.dockerOk(["images", "--filter", "reference=gantry/*", "--format", "{{.Repository}}"]),
      busybox,
    );
    assert.equal(await daemon.dockerOk(["images", "--filter", "dangling=true", "-q"]), "");
    const digests = await daemon.dockerOk(["images", "--digests", "--format", "{{.Digest}}"]);
    assert.match(digests, /^(<none>|sha256:[0-9a-f]{64})$/);
  });

  test("inspect has the fields that clients read", async () => {
    const info = await suite.daemon.client.getImage(busybox).inspect();
    assert.match(info.Id, /^sha256:[0-9a-f]{64}$/);
    assert.deepEqual(info.RepoTags, [`${busybox}:latest`]);
    assert.equal(info.Architecture, process.arch === "x64" ? "amd64" : process.arch);
    assert.equal(info.Os, "linux");
    assert.ok(info.Size > 1_000_000);
    assert.equal(info.RootFS.Type, "layers");
    assert.equal(info.RootFS.Layers?.length, 1);
    assert.deepEqual(info.Config.Cmd, ["sh"]);
  });

  test("history", async () => {
    const lines = (await suite.daemon.dockerOk(["history", busybox])).split("\n");
    assert.match(lines[0] ?? "", /^IMAGE\s+CREATED\s+CREATED BY\s+SIZE\s+COMMENT$/);
    assert.ok(lines.length >= 2);
    assert.ok((await id(busybox)).includes((lines[1] ?? "").slice(0, 12)));
  });

  test("an image is found by name, name:tag, full id and short id", async () => {
    const full = await id(busybox);
    for (const name of [`${busybox}:latest`, `docker.io/${busybox}`, full, full.slice(7), full.slice(7, 19)])
      assert.equal(await id(name), full, name);
  });

  test("tag, and remove by tag: the last one takes the image with it", async () => {
    const { daemon } = suite;
    const archive = await rootTar("tagged", "tagged");
    await daemon.dockerOk(["import", archive, "local/one:1"]);
    await daemon.dockerOk(["tag", "local/one:1", "registry.example:5000/two:2"]);
    await daemon.dockerOk(["tag", "local/one:1", "three"]);
    const full = await id("local/one:1");
    assert.equal(await id("registry.example:5000/two:2"), full);
    assert.equal(await id("three:latest"), full);
    assert.equal(await daemon.dockerOk(["rmi", "local/one:1"]), "Untagged: local/one:1");
    await daemon.dockerOk(["rmi", "three"]);
    const removed = await daemon.dockerOk(["rmi", "registry.example:5000/two:2"]);
    assert.match(removed, /^Untagged: registry\.example:5000\/two:2\nDeleted: sha256:/);
    assert.match((await daemon.docker(["image", "inspect", full])).stderr, /No such image/);
  });

  test("tagging a name moves it", async () => {
    const { daemon } = suite;
    await daemon.dockerOk(["import", await rootTar("mv1", "1"), "local/moved"]);
    const first = await id("local/moved");
    await daemon.dockerOk(["import", await rootTar("mv2", "2"), "local/moved"]);
    assert.notEqual(await id("local/moved"), first);
    assert.equal(await daemon.dockerOk(["images", "-q", "--no-trunc", "--filter", "dangling=true"]), first);
    await daemon.dockerOk(["rmi", first, "local/moved"]);
  });

  test("rmi: several tags by id need -f, a used image is refused", async () => {
    const { daemon } = suite;
    await daemon.dockerOk(["import", await rootTar("used", "used"), "local/used:1"]);
    await daemon.dockerOk(["tag", "local/used:1", "local/used2:1"]);
    const full = await id("local/used:1");
    const several = await daemon.docker(["rmi", full]);
    assert.equal(several.code, 1);
    assert.match(several.stderr, /must be forced.*referenced in multiple repositories/);
    await daemon.dockerOk(["rmi", "local/used2:1"]);
    const container = await daemon.dockerOk(["create", "local/used:1", "/sh"]);
    const inUse = await daemon.docker(["rmi", "local/used:1"]);
    assert.equal(inUse.code, 1);
    assert.match(inUse.stderr, /must force|is using its referenced image|must be forced/);
    assert.ok(inUse.stderr.includes(container.slice(0, 12)));
    await daemon.dockerOk(["rm", container]);
    await daemon.dockerOk(["rmi", "local/used:1"]);
    const missing = await daemon.docker(["rmi", "local/used:1"]);
    assert.match(missing.stderr, /No such image: local\/used:1/);
  });

  test("rmi -f of the image of a stopped container leaves the container alone", async () => {
    const { daemon } = suite;
    await daemon.dockerOk(["import", await rootTar("forced", "forced"), "local/forced:1"]);
    const container = await daemon.dockerOk(["create", "local/forced:1", "/sh", "-c", "cat /marker"]);
    await daemon.dockerOk(["rmi", "-f", "local/forced:1"]);
    assert.equal(await daemon.dockerOk(["inspect", "-f", "{{.State.Status}}", container]), "created");
  });

  test("save and load: the same image comes back, from a file and through pipes", async () => {
    const { daemon } = suite;
    await daemon.dockerOk([
      "import",
      "-c",
      'CMD ["/sh", "-c", "echo saved"]',
      "-c",
      "ENV A=b",
      await rootTar("saved", "x"),
      "local/saved:1",
    ]);
    await daemon.dockerOk(["tag", "local/saved:1", "local/saved:2"]);
    const full = await id("local/saved:1");
    const archive = join(directory, "saved-archive.tar");
    await daemon.dockerOk(["save", "-o", archive, "local/saved:1", "local/saved:2"]);
    const names = (await mustRun(["tar", "-tf", archive])).stdout.split("\n");
    assert.ok(names.includes("manifest.json"), names.join(" "));
    if (daemon.flavour === "gantry")
      for (const name of ["oci-layout", "index.json"]) assert.ok(names.includes(name), name);
    await daemon.dockerOk(["rmi", "local/saved:1", "local/saved:2"]);
    const loaded = await daemon.dockerOk(["load", "-i", archive]);
    assert.deepEqual(
      loaded
        .split("\n")
        .filter((line) => line.startsWith("Loaded"))
        .toSorted(),
      ["Loaded image: local/saved:1", "Loaded image: local/saved:2"],
    );
    assert.equal(await id("local/saved:1"), full);
    await daemon.dockerOk(["rmi", "local/saved:1", "local/saved:2"]);
    const zipped = await mustRun(["gzip", "-c", archive]);
    await daemon.dockerOk(["load"], { input: zipped.stdoutBytes });
    assert.equal(await id("local/saved:2"), full);
    assert.equal(await daemon.dockerOk(["image", "inspect", "-f", "{{json .Config.Env}}", full]), '["A=b"]');
    await daemon.dockerOk(["rmi", "local/saved:1", "local/saved:2"]);
  });

  test("the saved layer has the digest that the image names", async () => {
    const { daemon } = suite;
    const piped = await daemon.docker(["save", busybox]);
    const archive = await daemon.file("piped.tar", piped.stdoutBytes);
    const out = join(directory, "unpacked");
    await mkdir(out, { recursive: true });
    await mustRun(["tar", "-C", out, "-xf", archive]);
    const manifest = JSON.parse(await readFile(join(out, "manifest.json"), "utf8")) as {
      Config: string;
      Layers: string[];
    }[];
    const config = await readFile(join(out, manifest[0]?.Config ?? ""));
    assert.equal(`sha256:${createHash("sha256").update(config).digest("hex")}`, await id(busybox));
    const layer = await readFile(join(out, manifest[0]?.Layers[0] ?? ""));
    const { rootfs } = JSON.parse(config.toString()) as { rootfs: { diff_ids: string[] } };
    assert.equal(`sha256:${createHash("sha256").update(layer).digest("hex")}`, rootfs.diff_ids[0]);
  });

  test("load takes an OCI layout and skopeo reads what save wrote", async (context) => {
    const { daemon } = suite;
    if (daemon.flavour === "docker") return context.skip("20.10 has no OCI layout");
    if ((await daemon.host.run(["sh", "-c", "command -v skopeo"])).code !== 0)
      return context.skip("skopeo is not installed here");
    const archive = join(directory, "for-skopeo.tar");
    const layout = join(directory, "layout");
    await daemon.dockerOk(["save", "-o", archive, busybox]);
    await mustRun(["skopeo", "copy", "-q", `docker-archive:${archive}`, `oci:${layout}:copied/busybox:1`], {
      timeoutMs: 60_000,
    });
    await mustRun(["tar", "-C", layout, "-cf", join(directory, "layout.tar"), "."]);
    const told = await daemon.dockerOk(["load", "-i", join(directory, "layout.tar")]);
    assert.match(told, /Loaded image: copied\/busybox:1|Loaded image ID: sha256:/);
    const loadedId = /sha256:[0-9a-f]{64}/.exec(told)?.[0] ?? "copied/busybox:1";
    assert.equal(await daemon.dockerOk(["run", "--rm", loadedId, "echo", "ran"]), "ran");
    await daemon.dockerOk(["rmi", "-f", loadedId]);
  });

  test("import: from stdin, with message and changes", async () => {
    const { daemon } = suite;
    const archive = await rootTar("imported", "hello from import\n");
    const printed = await daemon.dockerOk(
      [
        "import",
        "-m",
        "made by hand",
        "-c",
        'ENTRYPOINT ["/sh"]',
        "-c",
        'CMD ["-c", "echo default"]',
        "-c",
        "WORKDIR /w",
        "-c",
        "EXPOSE 81",
        "-c",
        "LABEL k=v",
        "-",
        "local/imported:1",
      ],
      { input: await readFile(archive) },
    );
    assert.match(printed, /^sha256:[0-9a-f]{64}$/);
    const info = await daemon.client.getImage("local/imported:1").inspect();
    assert.deepEqual(info.Config.Entrypoint, ["/sh"]);
    assert.deepEqual(info.Config.Cmd, ["-c", "echo default"]);
    assert.equal(info.Config.WorkingDir, "/w");
    assert.deepEqual(info.Config.ExposedPorts, { "81/tcp": {} });
    assert.deepEqual(info.Config.Labels, { k: "v" });
    assert.equal(info.Comment, "made by hand");
    await daemon.dockerOk(["rmi", "local/imported:1"]);
  });

  test("files of a layer have their modes, owners and links", async () => {
    const { daemon } = suite;
    const container = await daemon.dockerOk([
      "create",
      busybox,
      "sh",
      "-c",
      "stat -c '%a %u:%g %h' /tmp /bin/busybox; test -x /bin/sh",
    ]);
    const output = await daemon.dockerOk(["start", "-a", container]);
    assert.match(output, /^1777 0:0 /);
    assert.match(output, /^755 0:0 \d+$/m);
  });

  test("--tree shows the platform of each image, to both command lines", async () => {
    const { daemon } = suite;
    await daemon.dockerOk(["create", "--name", "user", "--network", "none", busybox, "true"]);
    const ours = await daemon.gantry(["images", "--tree", busybox]);
    const [head = "", image = "", platform = ""] = ours.stdout.split("\n");
    assert.match(head, /^IMAGE\s+ID\s+DISK USAGE\s+CONTENT SIZE\s+EXTRA$/);
    assert.match(image, /^gantry\/busybox:latest\s+[0-9a-f]{12}\s+\d\S*B\s+\d\S*B\s+U$/);
    assert.match(platform, /^└─ linux\/\w+\s+[0-9a-f]{12}\s+\d\S*B\s+\d\S*B\s+U$/);
    const theirs = await daemon.docker(["images", "--tree", busybox]);
    assert.match(theirs.stdout, /└─ linux\/\w+\s+[0-9a-f]{12}\s+\S+B\s+\S+B/, theirs.stderr);
    assert.match(
      (await daemon.gantry(["images", "--tree", "-q"])).stderr,
      /--quiet is not yet supported with --tree/,
    );
    await daemon.dockerOk(["rm", "user"]);
  });

  test("an image that was removed by force leaves its container startable, and no layer after it", async () => {
    const { daemon } = suite;
    await daemon.dockerOk(["tag", busybox, "forced/base:1"]);
    await daemon.dockerOk([
      "run",
      "--name",
      "maker",
      "--network",
      "none",
      busybox,
      "sh",
      "-c",
      "echo one > /one",
    ]);
    await daemon.dockerOk(["commit", "maker", "forced/own:1"], { timeoutMs: 60_000 });
    await daemon.dockerOk(["rm", "maker"]);
    const before = await layersOf(daemon);
    await daemon.dockerOk(["create", "--name", "kept", "--network", "none", "forced/own:1", "cat", "/one"]);
    const refused = await daemon.docker(["rmi", "forced/own:1"]);
    assert.match(refused.stderr, /\(must force\) - container \w{12} is using its referenced image/);
    const removed = await daemon.dockerOk(["rmi", "-f", "forced/own:1"]);
    assert.match(removed, /^Untagged: forced\/own:1$/m);
    assert.equal(await daemon.dockerOk(["start", "-a", "kept"]), "one");
    assert.deepEqual(await layersOf(daemon), before);
    await daemon.dockerOk(["rm", "kept"]);
    await daemon.dockerOk(["rmi", "forced/base:1"]);
    await eventually(async () => (await layersOf(daemon)).length === before.length - 1, {
      what: "the layer of the image that is no more",
    });
    assert.equal(
      await daemon.dockerOk(["run", "--rm", "--network", "none", busybox, "echo", "still"]),
      "still",
    );
  });
});

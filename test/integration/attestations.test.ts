/** What is attested of images: lists of what is in them by a scanner's image, and what they were made of. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type Manifest, readArchive, readIndex } from "../helpers/attestations.ts";
import { buildxConfig, findBuildx } from "../helpers/buildx.ts";
import { busybox } from "../helpers/images.ts";
import { mustRun, type RunResult } from "../helpers/process.ts";
import { hasRegistry, startRegistry, type TestRegistry } from "../helpers/registry.ts";
import { useDaemon } from "../helpers/suite.ts";

interface FileStatement {
  readonly predicateType: string;
  readonly subject: readonly { readonly name: string; readonly digest: { readonly sha256: string } }[];
  readonly predicate: { readonly name: string; readonly files: readonly string[] };
}

/** By BuildKit's protocol: the files below BUILDKIT_SCAN_SOURCE, as a statement in BUILDKIT_SCAN_DESTINATION. */
const scan = `
touch /tmp/room || exit 3
for target in "$BUILDKIT_SCAN_SOURCE" \${BUILDKIT_SCAN_SOURCE_EXTRAS:+$BUILDKIT_SCAN_SOURCE_EXTRAS/*}; do
  [ -d "$target" ] || continue
  cd "$target" || exit 1
  touch "$target/written" 2>/dev/null && exit 2
  files=$(find . -name 'of-*' | sort | sed 's/.*/"&"/' | paste -s -d, -)
  printf '{"_type":"https://in-toto.io/Statement/v0.1","predicateType":"%s","predicate":{"name":"%s","comment":"%s","files":[%s]}}' \\
    "\${BUILDKIT_SCAN_KIND:-https://spdx.dev/Document}" "$(basename $target)" "$BUILDKIT_SCAN_LEVEL" "$files" \\
    > "$BUILDKIT_SCAN_DESTINATION/$(basename $target).spdx.json"
done
[ -z "$BUILDKIT_SCAN_LINK" ] || ln -sf "$BUILDKIT_SCAN_LINK" "$BUILDKIT_SCAN_DESTINATION/sbom.spdx.json"
echo scanned; [ -z "$BUILDKIT_SCAN_FAIL" ] || { echo cannot scan this >&2; exit 7; }
`;
const plugin = await findBuildx();
const registrySkip = !(await hasRegistry()) && "docker-registry is not installed";
const timeoutMs = 120_000;

describe("attestations", () => {
  const suite = useDaemon({ leaves: ["data-root", "records"] });
  let work: string;
  let image: string;

  before(async () => {
    work = await mkdtemp(join(tmpdir(), "gantry-attest-test-"));
    const scanner = join(work, "scanner");
    await mkdir(scanner);
    await writeFile(join(scanner, "scan"), scan);
    await writeFile(
      join(scanner, "Dockerfile"),
      `FROM ${busybox}\nCOPY scan /scan\nENTRYPOINT ["sh"]\nCMD ["/scan"]\n`,
    );
    await gantryOk("build", "-q", "-t", "local/scanner:1", scanner);
    image = join(work, "image");
    await mkdir(image);
    await writeFile(
      join(image, "Dockerfile"),
      `FROM ${busybox} AS base\nRUN echo 1 > /of-base\nFROM base\nRUN echo 2 > /of-image\n`,
    );
  });
  after(() => rm(work, { recursive: true, force: true }));

  const gantry = (...args: string[]): Promise<RunResult> => suite.daemon.gantry(args, { timeoutMs });
  async function gantryOk(...args: string[]): Promise<string> {
    const result = await gantry(...args);
    assert.equal(result.code, 0, `${args.join(" ")}\n${result.stderr}`);
    return result.stderr;
  }

  test("a scanner that is named lists the result's files", async () => {
    const archive = join(work, "own.tar");
    const shown = await gantryOk(
      "build",
      "--progress=plain",
      "--attest",
      "type=sbom,generator=local/scanner:1,LEVEL=Deep",
      "--provenance=true",
      "-o",
      `type=oci,dest=${archive}`,
      image,
    );
    assert.match(shown, /generating sbom using docker\.io\/local\/scanner:1/);
    assert.match(shown, /\d scanned$/m);
    const { statements } = await readArchive(archive);
    assert.deepEqual(
      statements.map(({ predicateType }) => predicateType),
      ["https://spdx.dev/Document", "https://slsa.dev/provenance/v0.2"],
    );
    assert.deepEqual(statements[0]!.predicate, {
      name: "sbom",
      comment: "Deep",
      files: ["./of-base", "./of-image"],
    });
  });

  const readStatement = async (path: string): Promise<FileStatement> =>
    JSON.parse(await readFile(path, "utf8")) as FileStatement;
  const sumOf = async (path: string): Promise<string> =>
    createHash("sha256")
      .update(await readFile(path))
      .digest("hex");
  const namesOf = async (statement: FileStatement, root: string): Promise<string[]> => {
    for (const { name, digest } of statement.subject)
      assert.equal(digest.sha256, await sumOf(join(root, name)), name);
    return statement.subject.map(({ name }) => name);
  };

  test("files of a result have their attestations beside them", async () => {
    const small = join(work, "small");
    await mkdir(small);
    const Dockerfile = `FROM ${busybox} AS made\nRUN mkdir -p /out/in && echo 1 > /out/in/of-file && echo 2 > /out/top\nFROM scratch\nCOPY --from=made /out /\n`;
    await writeFile(join(small, "Dockerfile"), Dockerfile);
    const flags = ["--provenance=true", "--attest", "type=sbom,generator=local/scanner:1"];
    const local = join(work, "local-out");
    await gantryOk("build", ...flags, "-o", `type=local,dest=${local}`, small);
    assert.deepEqual((await readdir(local)).sort(), ["in", "provenance.json", "sbom.spdx.json", "top"]);
    const provenance = await readStatement(join(local, "provenance.json"));
    assert.equal(provenance.predicateType, "https://slsa.dev/provenance/v0.2");
    assert.deepEqual(await namesOf(provenance, local), ["in/of-file", "top"]);
    const sbom = await readStatement(join(local, "sbom.spdx.json"));
    assert.deepEqual(await namesOf(sbom, local), ["in/of-file", "top"]);
    assert.deepEqual(sbom.predicate.files, ["./in/of-file"]);
    const archive = join(work, "files.tar");
    const options = "attestation-prefix=of-build-,source-date-epoch=86400";
    await gantryOk("build", ...flags, "-o", `type=tar,dest=${archive},${options}`, small);
    const { stdout } = await mustRun(["tar", "--utc", "--full-time", "-tvf", archive]);
    const listed = stdout.split("\n").filter((line) => line.startsWith("-"));
    assert.deepEqual(
      listed.map((line) => line.split(" ").slice(-3).join(" ")),
      ["in/of-file", "of-build-provenance.json", "of-build-sbom.spdx.json", "top"].map(
        (name) => `1970-01-02 00:00:00 ${name}`,
      ),
    );
    assert.match(listed[1]!, /^-rw------- 0\/0 /);
  });

  test("files of several platforms have theirs in each directory, or under its name", async () => {
    const small = join(work, "platforms");
    await mkdir(small);
    await writeFile(join(small, "Dockerfile"), "FROM scratch\nARG TARGETARCH\nCOPY data /data-$TARGETARCH\n");
    await writeFile(join(small, "data"), "data");
    const flags = ["--platform=linux/amd64,linux/arm64", "--provenance=mode=max"];
    const split = join(work, "split-out");
    await gantryOk("build", ...flags, "-o", `type=local,dest=${split}`, small);
    assert.deepEqual((await readdir(split)).sort(), ["linux_amd64", "linux_arm64"]);
    const arm = join(split, "linux_arm64");
    assert.deepEqual(await namesOf(await readStatement(join(arm, "provenance.json")), arm), ["data-arm64"]);
    const whole = join(work, "whole-out");
    await gantryOk("build", ...flags, "-o", `type=local,dest=${whole},platform-split=false`, small);
    assert.deepEqual((await readdir(whole)).sort(), [
      "data-amd64",
      "data-arm64",
      "provenance.linux_amd64.json",
      "provenance.linux_arm64.json",
    ]);
    await writeFile(join(small, "Dockerfile"), "FROM scratch\nCOPY data /data\n");
    const refused = await gantry(
      "build",
      ...flags,
      "-o",
      `type=local,dest=${whole},platform-split=false`,
      small,
    );
    assert.notEqual(refused.code, 0);
    assert.match(
      refused.stderr,
      /cannot overwrite data from linux\/amd64 with linux\/arm64 when split option is disabled/,
    );
  });

  test("an archive of the type docker has no place for attestations", async () => {
    const output = `type=docker,dest=${join(work, "docker.tar")}`;
    const result = await gantry("build", "--provenance=true", "-o", output, image);
    assert.notEqual(result.code, 0);
    assert.match(result.stderr, /cannot export attestations with "oci-mediatypes=false"/);
  });

  const scans: readonly (readonly [string, string, string, readonly string[], readonly string[]])[] = [
    ["no stage by itself", "", "", [], ["sbom"]],
    [
      "a stage that says so, and the one on it",
      "",
      "ARG BUILDKIT_SBOM_SCAN_STAGE=true",
      [],
      ["sbom", "sbom-base", "sbom-stage-1"],
    ],
    ["every stage", "ARG BUILDKIT_SBOM_SCAN_STAGE=true", "", [], ["sbom", "sbom-base", "sbom-stage-1"]],
    ["stages by name", "ARG BUILDKIT_SBOM_SCAN_STAGE=other,base", "", [], ["sbom", "sbom-base"]],
    [
      "a stage that says no, and the one on it",
      "ARG BUILDKIT_SBOM_SCAN_STAGE=true",
      "ARG BUILDKIT_SBOM_SCAN_STAGE=false",
      [],
      ["sbom"],
    ],
    [
      "what the command line says of declared arguments",
      "ARG BUILDKIT_SBOM_SCAN_STAGE",
      "",
      ["--build-arg", "BUILDKIT_SBOM_SCAN_STAGE=stage-1", "--build-arg", "BUILDKIT_SBOM_SCAN_CONTEXT=true"],
      ["sbom", "sbom-stage-1"],
    ],
    ["the context", "ARG BUILDKIT_SBOM_SCAN_CONTEXT=1", "", [], ["sbom", "sbom-context"]],
  ];
  for (const [index, [name, global, own, flags, expected]] of scans.entries())
    test(`scanned: ${name}`, async () => {
      const directory = join(work, `scan-${index}`);
      await mkdir(directory);
      await writeFile(join(directory, "of-context"), "");
      await writeFile(
        join(directory, "Dockerfile"),
        `${global}\nFROM ${busybox} AS base\n${own}\nRUN echo 1 > /of-base; env | grep -c SBOM_SCAN && exit 1 || true\n` +
          "FROM base\nRUN echo 2 > /of-second\nFROM scratch AS unused\nFROM scratch\nCOPY --from=1 /of-second /\n",
      );
      const output = join(directory, "out");
      const sbom = ["--attest", "type=sbom,generator=local/scanner:1"];
      await gantryOk("build", ...sbom, ...flags, "-o", output, directory);
      const lists = (await readdir(output)).filter((file) => file.endsWith(".spdx.json"));
      assert.deepEqual(lists.map((file) => file.replace(".spdx.json", "")).sort(), expected);
      const files: Readonly<Record<string, readonly string[]>> = {
        sbom: ["./of-second"],
        "sbom-base": ["./of-base"],
        "sbom-stage-1": ["./of-base", "./of-second"],
        "sbom-context": ["./of-context"],
      };
      for (const list of expected) {
        const statement = await readStatement(join(output, `${list}.spdx.json`));
        assert.deepEqual(statement.predicate, { name: list, comment: "", files: files[list]! });
        assert.deepEqual(await namesOf(statement, output), ["of-second"]);
      }
    });

  const faults: readonly (readonly [string, string, RegExp])[] = [
    [
      "a scanner that fails",
      ",FAIL=1",
      /generating sbom using .*: exit code: 7: (scanned\n)?cannot scan this/,
    ],
    [
      "another kind of statement",
      ",KIND=https://other",
      /"https:\/\/other" and not https:\/\/spdx\.dev\/Document/,
    ],
    ["a link out of its directory", ",LINK=/etc/passwd", /sbom\.spdx\.json is no file that can be read/],
  ];
  for (const [name, more, words] of faults)
    test(`refused: ${name}`, async () => {
      const result = await gantry(
        "build",
        "--attest",
        `type=sbom,generator=local/scanner:1${more}`,
        "-o",
        `type=oci,dest=${join(work, "refused.tar")}`,
        image,
      );
      assert.notEqual(result.code, 0);
      assert.match(result.stderr, words);
    });

  test("a scanner that cannot be had is told, with what to do", async () => {
    const result = await gantry(
      "build",
      "--attest",
      "type=sbom,generator=127.0.0.1:1/no/scanner",
      "-o",
      `type=oci,dest=${join(work, "none.tar")}`,
      image,
    );
    assert.notEqual(result.code, 0);
    assert.match(result.stderr, /cannot list what is in the image \(SBOM\): .*127\.0\.0\.1:1\/no\/scanner/);
    assert.match(result.stderr, /generator=IMAGE/);
  });

  describe("by docker buildx", { skip: plugin === undefined && "docker-buildx cannot be had" }, () => {
    let config: string;
    before(async () => {
      config = await buildxConfig(plugin!);
    });
    after(() => rm(config, { recursive: true, force: true }));

    async function buildx(...args: string[]): Promise<string> {
      const words = ["buildx", "build", "--builder", "default", "--progress=plain", ...args];
      const env = { DOCKER_CONFIG: config, BUILDX_CONFIG: join(config, "buildx") };
      const result = await suite.daemon.docker(words, { timeoutMs, env });
      assert.equal(result.code, 0, result.stderr);
      return result.stderr;
    }

    test("into an archive", async () => {
      const archive = join(work, "buildx.tar");
      await buildx("--sbom=generator=local/scanner:1", "-o", `type=oci,dest=${archive}`, image);
      const { statements } = await readArchive(archive);
      assert.deepEqual(statements[0]!.predicate.files, ["./of-base", "./of-image"]);
    });

    describe("pushed", { skip: registrySkip }, () => {
      let registry: TestRegistry;
      const name = "127.0.0.1:5007/attested/app";
      before(async () => {
        registry = await startRegistry({ host: suite.daemon.host, port: 5007 });
      });
      after(() => registry[Symbol.asyncDispose]());

      async function fetchText(path: string): Promise<string> {
        const program = `fetch('http://127.0.0.1:5007/v2/attested/app/${path}',{headers:{Accept:'application/vnd.oci.image.index.v1+json,application/vnd.oci.image.manifest.v1+json'}}).then(async(r)=>console.log(await r.text()))`;
        return (await suite.daemon.host.run([process.execPath, "-e", program])).stdout;
      }
      const blob = async (digest: string): Promise<string> => {
        const text = await fetchText(`manifests/${digest}`);
        return text.includes('"errors"') ? fetchText(`blobs/${digest}`) : text;
      };

      test("by its digest alone", async () => {
        const repository = "127.0.0.1:5007/attested/app";
        const metadata = join(work, "digest.json");
        const output = `type=image,name=${repository},push-by-digest=true,push=true`;
        for (const flags of [["--provenance=true"], ["--provenance=false"]]) {
          await gantryOk("build", ...flags, "-o", output, "--metadata-file", metadata, image);
          const told = JSON.parse(await readFile(metadata, "utf8")) as Record<string, string>;
          const digest = told["containerimage.digest"]!;
          const text = await fetchText(`manifests/${digest}`);
          assert.equal(`sha256:${createHash("sha256").update(text.slice(0, -1)).digest("hex")}`, digest);
          assert.equal("manifests" in (JSON.parse(text) as object), flags[0] === "--provenance=true");
        }
        assert.match(await fetchText("manifests/latest"), /MANIFEST_UNKNOWN/);
        const tagged = `type=image,name=${repository}:1,push-by-digest=true,push=true`;
        const refused = await gantry("build", "-o", tagged, image);
        assert.match(refused.stderr, /can't push tagged ref 127\.0\.0\.1:5007\/attested\/app:1 by digest/);
        await suite.daemon.dockerOk(["rmi", repository]);
      });

      test("with a push of the name, as long as the image is that one", async () => {
        const flags = ["--sbom=generator=local/scanner:1", "--provenance=mode=min", "-t", name];
        await buildx(...flags, "--push", image);
        const first = await readIndex(JSON.parse(await fetchText("manifests/latest")) as Manifest, blob);
        assert.equal(first.statements.length, 2);
        // Later, and after everything that nobody needs has gone.
        await buildx(...flags, image);
        await suite.daemon.dockerOk(["image", "prune", "-f"]);
        await suite.daemon.dockerOk(["push", "-q", name]);
        const second = await readIndex(JSON.parse(await fetchText("manifests/latest")) as Manifest, blob);
        assert.equal(second.statements.length, 2);
        // Nothing is left out without a word.
        const { manifests } = JSON.parse(await fetchText("manifests/latest")) as Manifest;
        const hex = manifests[1]!.digest.slice("sha256:".length);
        await rm(join(suite.daemon.dataRoot, "content/blobs/sha256", hex));
        const said = await suite.daemon.dockerOk(["push", name]);
        assert.match(said, new RegExp(`Skipped attestation ${hex.slice(0, 12)}: it is no longer here`));
        assert.doesNotMatch(await fetchText("manifests/latest"), /"manifests"/);
        await buildx("-t", name, image);
        await suite.daemon.dockerOk(["push", "-q", name]);
        assert.doesNotMatch(await fetchText("manifests/latest"), /"manifests"/);
        await suite.daemon.dockerOk(["rmi", name]);
      });
    });
  });
});

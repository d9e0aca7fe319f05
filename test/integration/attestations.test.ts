/** What is attested of images: lists of what is in them by a scanner's image, and what they were made of. */
import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { buildxConfig, findBuildx } from "../helpers/buildx.ts";
import { busybox } from "../helpers/images.ts";
import { mustRun, type RunResult } from "../helpers/process.ts";
import { hasRegistry, startRegistry, type TestRegistry } from "../helpers/registry.ts";
import { useDaemon } from "../helpers/suite.ts";

interface Manifest {
  readonly manifests: readonly {
    readonly digest: string;
    readonly platform: { readonly architecture: string };
    readonly annotations?: Record<string, string>;
  }[];
  readonly layers: readonly { readonly digest: string; readonly annotations: Record<string, string> }[];
}

interface Statement {
  readonly predicateType: string;
  readonly subject: readonly { readonly digest: { readonly sha256: string } }[];
  readonly predicate: { readonly name: string; readonly comment: string; readonly files: readonly string[] };
}

/** By BuildKit's protocol: the files below BUILDKIT_SCAN_SOURCE, as a statement in BUILDKIT_SCAN_DESTINATION. */
const scan = `
cd "$BUILDKIT_SCAN_SOURCE" || exit 1
touch "$BUILDKIT_SCAN_SOURCE/written" 2>/dev/null && exit 2
files=$(find . -name 'of-*' | sort | sed 's/.*/"&"/' | paste -s -d, -)
printf '{"_type":"https://in-toto.io/Statement/v0.1","predicateType":"%s","predicate":{"name":"%s","comment":"%s","files":[%s]}}' \\
  "\${KIND:-https://spdx.dev/Document}" "$(basename $BUILDKIT_SCAN_SOURCE)" "$LEVEL" "$files" \\
  > "$BUILDKIT_SCAN_DESTINATION/sbom.spdx.json"
[ -z "$LINK" ] || ln -sf "$LINK" "$BUILDKIT_SCAN_DESTINATION/sbom.spdx.json"
echo scanned; [ -z "$FAIL" ] || { echo cannot scan this >&2; exit 7; }
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

  /** Statements about the one image of an OCI archive, and the image's digest. */
  async function readArchive(path: string): Promise<{ subject: string; statements: Statement[] }> {
    const directory = `${path}.d`;
    await mkdir(directory);
    await mustRun(["tar", "-C", directory, "-xf", path]);
    const read = async (name: string): Promise<string> =>
      (await mustRun(["cat", join(directory, name)])).stdout;
    const blob = async (digest: string): Promise<string> => read(`blobs/sha256/${digest.split(":")[1]}`);
    const top = JSON.parse(await read("index.json")) as Manifest;
    return readIndex(JSON.parse(await blob(top.manifests[0]!.digest)) as Manifest, blob);
  }

  async function readIndex(
    index: Manifest,
    blob: (digest: string) => Promise<string>,
  ): Promise<{ subject: string; statements: Statement[] }> {
    const [own, attestation] = index.manifests;
    assert.equal(attestation?.platform.architecture, "unknown");
    assert.equal(attestation?.annotations?.["vnd.docker.reference.digest"], own!.digest);
    const { layers } = JSON.parse(await blob(attestation.digest)) as Manifest;
    const statements: Statement[] = [];
    for (const { digest, annotations } of layers) {
      const statement = JSON.parse(await blob(digest)) as Statement;
      assert.equal(annotations["in-toto.io/predicate-type"], statement.predicateType);
      assert.equal(`sha256:${statement.subject[0]?.digest.sha256}`, own!.digest);
      statements.push(statement);
    }
    return { subject: own!.digest, statements };
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

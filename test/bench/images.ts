/**
 * `node test/bench/images.ts`: moving images, gantry beside Debian's dockerd, from and to one local registry (Debian's
 * docker-registry), with the same docker CLI. Rounds alternate; what counts are medians and their ratio.
 *
 * GANTRY_BENCH_ARCHIVE names an archive of a Debian image: gantry image bootstrap debian:bookworm, then gantry save -o
 * FILE debian:bookworm. GANTRY_BENCH_ONLY (pull,files,push,save,load) leaves out the rest. Prints a table, writes it as JSON where `--json FILE` says, exits with 1 when a
 * ratio is over its limit.
 */
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Flavour, TestDaemon } from "../helpers/daemon.ts";
import { eventually, mustRun } from "../helpers/process.ts";
import { startRegistry } from "../helpers/registry.ts";
import { openTestHost, type TestHost } from "../helpers/test-host.ts";
import { finish, type Measurement, median } from "./report.ts";

const rounds = Number(process.env["GANTRY_BENCH_ROUNDS"] ?? 5);
const only = process.env["GANTRY_BENCH_ONLY"]?.split(",");
const isWanted = (name: string): boolean => only === undefined || only.includes(name);

const layerCount = 20;
const filesPerLayer = 2_500;

type Daemons = Readonly<Record<Flavour, TestDaemon>>;

const flavours = ["gantry", "docker"] satisfies Flavour[];

const step = (text: string): void => void process.stderr.write(`bench: ${text}\n`);

/** The same work by turns; `prepare` is not measured. The first round warms up. */
async function compare(
  daemons: Daemons,
  measured: {
    readonly name: string;
    readonly limit: number;
    readonly prepare: (daemon: TestDaemon) => Promise<unknown>;
    readonly command: (daemon: TestDaemon) => readonly string[];
  },
): Promise<Measurement> {
  const samples: Record<Flavour, number[]> = { gantry: [], docker: [] };
  for (let round = -1; round < rounds; round += 1)
    for (const flavour of round % 2 === 0 ? flavours : flavours.toReversed()) {
      const daemon = daemons[flavour];
      await measured.prepare(daemon);
      const argv = measured.command(daemon);
      await mustRun(["sync"]);
      const begun = performance.now();
      await mustRun(argv, { timeoutMs: 300_000 });
      const tookMs = performance.now() - begun;
      if (round >= 0) samples[flavour].push(tookMs);
    }
  const gantry = median(samples.gantry);
  const other = median(samples.docker);
  const { name, limit } = measured;
  step(`${name}: ${gantry.toFixed(0)} ms, dockerd ${other.toFixed(0)} ms, ${(gantry / other).toFixed(2)}`);
  return { name, unit: "ms", gantry, other, otherName: "dockerd", ratio: gantry / other, limit };
}

const removeImages = async (daemon: TestDaemon): Promise<void> => {
  const ids = await daemon.dockerOk(["images", "-aq"]);
  if (ids !== "") await daemon.dockerOk(["rmi", "-f", ...new Set(ids.split("\n"))], { timeoutMs: 300_000 });
  // gantry answers before the files are deleted, dockerd afterwards: neither does it while it is measured.
  if (daemon.flavour === "gantry")
    await eventually(() => readdirSync(join(daemon.dataRoot, "snapshots/overlay2/trash")).length === 0, {
      timeoutMs: 300_000,
      what: "removed layers to be deleted",
    });
};

/** An image of many small files, as a directory for `docker build` would be: twenty layers of 2,500 files. */
async function pushManyFiles(host: TestHost, directory: string, reference: string): Promise<void> {
  const layout = join(directory, "files");
  const blobs = join(layout, "blobs/sha256");
  mkdirSync(blobs, { recursive: true });
  const script = `
    set -e
    put() { sum=$(sha256sum "$1" | cut -d' ' -f1); size=$(stat -c %s "$1"); mv "$1" "${blobs}/$sum"; }
    diffs= layers=
    for n in $(seq ${layerCount}); do
      tar -C "$1/$n" --sort=name --owner=0 --group=0 -cf "$1/layer.tar" .
      diffs="$diffs\${diffs:+,}\\"sha256:$(sha256sum "$1/layer.tar" | cut -d' ' -f1)\\""
      gzip -f "$1/layer.tar"; put "$1/layer.tar.gz"
      layers="$layers\${layers:+,}{\\"mediaType\\":\\"application/vnd.oci.image.layer.v1.tar+gzip\\",\\"digest\\":\\"sha256:$sum\\",\\"size\\":$size}"
    done
    printf '{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[%s]}}' "$diffs" > "$1/config"
    put "$1/config"
    printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:%s","size":%s},"layers":[%s]}' "$sum" "$size" "$layers" > "$1/manifest"
    put "$1/manifest"
    printf '{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:%s","size":%s,"annotations":{"org.opencontainers.image.ref.name":"x"}}]}' "$sum" "$size" > "${layout}/index.json"
    printf '{"imageLayoutVersion":"1.0.0"}' > "${layout}/oci-layout"`;
  const trees = join(directory, "trees");
  for (let layer = 1; layer <= layerCount; layer += 1)
    for (let file = 0; file < filesPerLayer; file += 1) {
      const place = join(trees, String(layer), `usr/lib/package-${layer}/part-${Math.floor(file / 100)}`);
      if (file % 100 === 0) mkdirSync(place, { recursive: true });
      writeFileSync(join(place, `module-${file}.js`), randomBytes(300).toString("hex"));
    }
  await mustRun(["sh", "-c", script, "sh", trees], { timeoutMs: 120_000 });
  await mustRun(
    host.command(["skopeo", "copy", "--dest-tls-verify=false", `oci:${layout}:x`, `docker://${reference}`]),
    {
      timeoutMs: 120_000,
    },
  );
}

async function pushDebian(daemons: Daemons, reference: string): Promise<void> {
  const archive = process.env["GANTRY_BENCH_ARCHIVE"];
  const { gantry } = daemons;
  // A mirror is out of the reach of a test host, so it cannot be made here.
  if (archive === undefined)
    throw new Error("set GANTRY_BENCH_ARCHIVE to an archive made by: gantry save -o FILE debian:bookworm");
  const loaded = await gantry.dockerOk(["load", "-q", "-i", archive], { timeoutMs: 120_000 });
  const name = /^Loaded image: (.*)$/m.exec(loaded)?.[1] ?? "";
  await gantry.dockerOk(["tag", name, reference]);
  await gantry.dockerOk(["push", reference], { timeoutMs: 120_000 });
}

async function measure(daemons: Daemons, host: TestHost, directory: string): Promise<Measurement[]> {
  await using registry = await startRegistry({ host });
  const debian = `${registry.address}/bench/debian:1`;
  const files = `${registry.address}/bench/files:1`;
  step("making images");
  await pushDebian(daemons, debian);
  if (isWanted("files")) await pushManyFiles(host, directory, files);
  const results: Measurement[] = [];
  const pull = (reference: string) => (daemon: TestDaemon) => daemon.dockerCommand(["pull", "-q", reference]);
  if (isWanted("pull"))
    results.push(
      await compare(daemons, {
        name: "pull of a Debian image",
        limit: 0.7,
        prepare: removeImages,
        command: pull(debian),
      }),
    );
  if (isWanted("files"))
    results.push(
      await compare(daemons, {
        name: `pull of ${layerCount} layers with ${layerCount * filesPerLayer} files`,
        limit: 1,
        prepare: removeImages,
        command: pull(files),
      }),
    );
  for (const flavour of flavours) {
    await removeImages(daemons[flavour]);
    await daemons[flavour].dockerOk(["pull", "-q", debian], { timeoutMs: 120_000 });
  }
  const archive = (daemon: TestDaemon): string => join(daemon.root, "image.tar");
  if (isWanted("push")) results.push(await measurePush(daemons, host, debian));
  if (isWanted("save"))
    results.push(
      await compare(daemons, {
        name: "save of the Debian image",
        limit: 1,
        prepare: async () => {},
        command: (daemon) => daemon.dockerCommand(["save", "-o", archive(daemon), debian]),
      }),
    );
  if (isWanted("load")) {
    for (const flavour of flavours)
      await daemons[flavour].dockerOk(["save", "-o", archive(daemons[flavour]), debian], {
        timeoutMs: 120_000,
      });
    for (const [what, of] of [
      ["an archive of its own", (daemon: TestDaemon) => archive(daemon)],
      ["Docker's archive", () => archive(daemons.docker)],
    ] as const)
      results.push(
        await compare(daemons, {
          name: `load of the Debian image, ${what}`,
          limit: 1,
          prepare: removeImages,
          command: (daemon) => daemon.dockerCommand(["load", "-q", "-i", of(daemon)]),
        }),
      );
  }
  return results;
}

/** Each time to a registry that has nothing, at an address that nobody knows: all of it travels. */
async function measurePush(daemons: Daemons, host: TestHost, debian: string): Promise<Measurement> {
  await using stack = new AsyncDisposableStack();
  const names = new Map<TestDaemon, string>();
  return await compare(daemons, {
    name: "push of the Debian image",
    limit: 0.8,
    prepare: async (daemon) => {
      const empty = stack.use(await startRegistry({ host }));
      names.set(daemon, `${empty.address}/bench/debian:1`);
      await daemon.dockerOk(["tag", debian, names.get(daemon)!]);
    },
    command: (daemon) => daemon.dockerCommand(["push", "-q", names.get(daemon)!]),
  });
}

const directory = mkdtempSync(join(tmpdir(), "gantry-bench-"));
let results: Measurement[];
try {
  await using host = await openTestHost();
  await using gantry = await TestDaemon.start({ flavour: "gantry", host });
  await using docker = await TestDaemon.start({ flavour: "docker", host });
  results = await measure({ gantry, docker }, host, directory);
} finally {
  rmSync(directory, { recursive: true, force: true });
}
finish(results, rounds);

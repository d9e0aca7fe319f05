/**
 * Lists of what is in an image, made by a scanner's image that the client names (BuildKit, "SBOM scanning protocol"):
 * it runs over the result's files and writes in-toto statements.
 */
import { mkdirSync, rmSync } from "node:fs";
import { EngineError, errorText, invalidArgument } from "../base/errors.ts";
import { formatPlatform, hostPlatform } from "../oci/platform.ts";
import type { RuntimeMount } from "../oci/runtime-spec.ts";
import type { BaseImage } from "./base-images.ts";
import { parseBoolean } from "./dockerfile/values.ts";
import type { PlatformResult } from "./export.ts";
import { emptyTree } from "./files/file-tree.ts";
import { type Layers, mountSnapshot, snapshotKey, topOf, unmountSnapshot } from "./layers.ts";
import type { VertexProgress } from "./progress.ts";
import { type MountOrigin, placeFiles } from "./run-mounts.ts";
import { runStep, stepContainerId } from "./run-step.ts";
import { mainScan, readStatements, type ScannedList } from "./scan-output.ts";
import type { BuildSession } from "./session.ts";
import type { SessionParts } from "./session-parts.ts";

/** What BuildKit takes when the client names no scanner. */
const defaultScanner = "docker/buildkit-syft-scanner:stable-1";

const sourcePlace = `/run/src/core/${mainScan}`;
const extrasPlace = "/run/src/extras";
const outputPlace = "/run/out";
const lastBytes = 4096;

/** Runs the scanner over a result. Returns what it wrote. */
export async function scanResult(
  parts: Omit<SessionParts, "platform">,
  { platform, state, session }: PlatformResult,
): Promise<readonly ScannedList[]> {
  const { images, progress, request } = parts;
  const { generator = defaultScanner } = request.sbom ?? {};
  const scanner = await scannerImage(() => images.get(generator, hostPlatform()));
  const vertex = progress.vertex(
    `sbom ${request.id} ${formatPlatform(platform)}`,
    `[${formatPlatform(platform)}] generating sbom using ${scanner.name}`,
  );
  return vertex.run(async () => {
    const extras = await extraTargets(session);
    using _slot = await parts.slots.acquire();
    return await runScanner(parts, { scanner, source: topOf(state.layers), extras, vertex });
  });
}

async function scannerImage(get: () => Promise<BaseImage>): Promise<BaseImage> {
  try {
    return await get();
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    throw new EngineError(error.kind, `cannot list what is in the image (SBOM): ${errorText(error)}`, {
      cause: error,
      hint: "The scanner is an image: name one that can be had with --attest type=sbom,generator=IMAGE.",
    });
  }
}

async function runScanner(
  { host, contexts, request, signal }: Omit<SessionParts, "platform">,
  scan: {
    readonly scanner: BaseImage;
    /** Top layer of the result. */
    readonly source: string | undefined;
    readonly extras: readonly ExtraTarget[];
    readonly vertex: VertexProgress;
  },
): Promise<readonly ScannedList[]> {
  const { scanner, source, extras, vertex } = scan;
  const config = scanner.config.config ?? {};
  const argv = [...(config.Entrypoint ?? []), ...(config.Cmd ?? [])];
  if (argv.length === 0) throw invalidArgument(`scanner ${scanner.name} does not have cmd`);
  await using undo = new AsyncDisposableStack();
  const output = contexts.temporaryPath();
  mkdirSync(output, { mode: 0o755 });
  undo.defer(() => rmSync(output, { recursive: true, force: true }));
  const key = snapshotKey();
  host.snapshotter.prepare(key, topOf(scanner.layers));
  undo.defer(() => host.snapshotter.remove(key));
  // The step's own mount is read-only; what is mounted here is a snapshot of its own all the same.
  const sourceKey = snapshotKey();
  host.snapshotter.prepare(sourceKey, source);
  undo.defer(() => host.snapshotter.remove(sourceKey));
  const root = mountSnapshot(host, sourceKey);
  undo.defer(() => unmountSnapshot(root));
  const mounts = [bind(root, sourcePlace, "ro"), bind(output, outputPlace, "rw"), temporary];
  for (const { name, origin } of extras) {
    const files = await placeFiles(origin, { source: "/", isReadOnly: true }, { host, undo });
    mounts.push(bind(files, `${extrasPlace}/${mainScan}-${name}`, "ro"));
  }
  let last = "";
  const exitCode = await runStep(host, {
    id: stepContainerId(),
    snapshot: key,
    argv,
    env: [
      ...(config.Env ?? []),
      `BUILDKIT_SCAN_DESTINATION=${outputPlace}/`,
      `BUILDKIT_SCAN_SOURCE=${sourcePlace}`,
      ...(extras.length === 0 ? [] : [`BUILDKIT_SCAN_SOURCE_EXTRAS=${extrasPlace}/`]),
      ...Object.entries(request.sbom?.parameters ?? {}).map(
        ([name, value]) => `BUILDKIT_SCAN_${name}=${value}`,
      ),
    ],
    workingDirectory: config.WorkingDir || "/",
    user: config.User ?? "",
    network: "bridge",
    privileged: false,
    extraHosts: [],
    hostname: "buildkitsandbox",
    limits: request.limits ?? {},
    devices: undefined,
    mounts,
    onOutput: (stream, data) => {
      last = (last + Buffer.from(data).toString()).slice(-lastBytes);
      vertex.log(stream, data);
    },
    signal,
  });
  if (exitCode !== 0)
    throw invalidArgument(
      `generating sbom using ${scanner.name}: exit code: ${exitCode}${last.trim() === "" ? "" : `: ${last.trim()}`}`,
    );
  return readStatements(output, scanner.name);
}

const temporary: RuntimeMount = {
  destination: "/tmp",
  type: "tmpfs",
  source: "tmpfs",
  options: ["nosuid", "nodev", "mode=1777"],
};

/** What is scanned beside the result. */
interface ExtraTarget {
  readonly name: string;
  readonly origin: MountOrigin;
}

/**
 * Stages that the result came from, and the context, as the arguments BUILDKIT_SBOM_SCAN_STAGE and
 * BUILDKIT_SBOM_SCAN_CONTEXT ask for (BuildKit, "SBOMs", "Dockerfile configuration"): true, false or names of stages,
 * before the first FROM for all stages, or in a stage for this one; the context is asked for by the target's stage.
 */
async function extraTargets(session: BuildSession): Promise<ExtraTarget[]> {
  const { plan, meta } = session.parts;
  const found: ExtraTarget[] = [];
  for (const stage of plan.stages) {
    const { layers, scope } = await session.stage(stage);
    const name = stage.name ?? `stage-${stage.index}`;
    const isAsked = (arg: string): boolean => {
      const own = scope.args.findLast(({ key, value }) => key === arg && value !== undefined)?.value;
      return isEnabled(name, own ?? meta.get(arg));
    };
    if (stage !== plan.target) {
      if (isAsked("BUILDKIT_SBOM_SCAN_STAGE")) found.push({ name, origin: layersOrigin(layers, name) });
    } else if (isAsked("BUILDKIT_SBOM_SCAN_CONTEXT"))
      found.unshift({ name: "context", origin: await session.origin(stage, undefined) });
  }
  return found;
}

function isEnabled(stage: string, value: string | undefined): boolean {
  return value !== undefined && (parseBoolean(value) ?? value.split(",").includes(stage));
}

/** Layers are mounted: nobody looks into them here. */
const layersOrigin = (layers: Layers, name: string): MountOrigin => ({
  tree: emptyTree,
  chainId: topOf(layers),
  isLayers: true,
  name: `stage ${name}`,
});

const bind = (source: string, destination: string, access: "ro" | "rw"): RuntimeMount => ({
  destination,
  type: "bind",
  source,
  options: ["rbind", "rprivate", access],
});

/**
 * Lists of what is in an image, made by a scanner's image that the client names (BuildKit, "SBOM scanning protocol"):
 * it runs over the result's files and writes in-toto statements.
 */
import { mkdirSync, rmSync } from "node:fs";
import { EngineError, errorText, invalidArgument } from "../base/errors.ts";
import { formatPlatform, hostPlatform } from "../oci/platform.ts";
import type { RuntimeMount } from "../oci/runtime-spec.ts";
import type { BaseImage } from "./base-images.ts";
import type { PlatformResult } from "./export.ts";
import { mountSnapshot, snapshotKey, topOf, unmountSnapshot } from "./layers.ts";
import type { VertexProgress } from "./progress.ts";
import { runStep, stepContainerId } from "./run-step.ts";
import { readStatements, type ScannedList } from "./scan-output.ts";
import type { SessionParts } from "./session-parts.ts";

/** What BuildKit takes when the client names no scanner. */
export const defaultScanner = "docker/buildkit-syft-scanner:stable-1";

const sourcePlace = "/run/src/core/sbom";
const outputPlace = "/run/out";
const lastBytes = 4096;

/** Runs the scanner over a result. Returns what it wrote. */
export async function scanResult(
  parts: Omit<SessionParts, "platform">,
  { platform, state }: PlatformResult,
): Promise<readonly ScannedList[]> {
  const { images, progress, request, isMultiPlatform } = parts;
  const { generator = defaultScanner } = request.sbom ?? {};
  const scanner = await scannerImage(() => images.get(generator, hostPlatform()));
  const prefix = isMultiPlatform ? `[${formatPlatform(platform)}] ` : "";
  const vertex = progress.vertex(
    `sbom ${request.id} ${formatPlatform(platform)}`,
    `${prefix}generating sbom using ${scanner.name}`,
  );
  return vertex.run(async () => {
    using _slot = await parts.slots.acquire();
    return await runScanner(parts, { scanner, source: topOf(state.layers), vertex });
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
  scan: { readonly scanner: BaseImage; readonly source: string | undefined; readonly vertex: VertexProgress },
): Promise<readonly ScannedList[]> {
  const { scanner, source, vertex } = scan;
  const config = scanner.config.config ?? {};
  const argv = [...(config.Entrypoint ?? []), ...(config.Cmd ?? [])];
  if (argv.length === 0) throw invalidArgument(`scanner ${scanner.name} does not have a command`);
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
  let last = "";
  const exitCode = await runStep(host, {
    id: stepContainerId(),
    snapshot: key,
    argv,
    env: [
      ...(config.Env ?? []),
      ...Object.entries(request.sbom?.parameters ?? {}).map(([name, value]) => `${name}=${value}`),
      `BUILDKIT_SCAN_DESTINATION=${outputPlace}/`,
      `BUILDKIT_SCAN_SOURCE=${sourcePlace}`,
    ],
    workingDirectory: config.WorkingDir || "/",
    user: config.User ?? "",
    network: "bridge",
    privileged: false,
    extraHosts: [],
    hostname: "buildkitsandbox",
    limits: request.limits ?? {},
    devices: undefined,
    mounts: [bind(root, sourcePlace, "ro"), bind(output, outputPlace, "rw")],
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

const bind = (source: string, destination: string, access: "ro" | "rw"): RuntimeMount => ({
  destination,
  type: "bind",
  source,
  options: ["rbind", "rprivate", access],
});

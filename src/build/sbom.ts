/**
 * Lists of what is in an image, made by a scanner's image that the client names (BuildKit, "SBOM scanning protocol"):
 * it runs over the result's files and writes in-toto statements.
 */
import {
  closeSync,
  constants,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
} from "node:fs";
import { join } from "node:path";
import { EngineError, errorText, invalidArgument } from "../base/errors.ts";
import { formatPlatform, hostPlatform } from "../oci/platform.ts";
import type { RuntimeMount } from "../oci/runtime-spec.ts";
import type { BaseImage } from "./base-images.ts";
import type { PlatformResult } from "./export.ts";
import { mountSnapshot, snapshotKey, topOf, unmountSnapshot } from "./layers.ts";
import type { VertexProgress } from "./progress.ts";
import { runStep, stepContainerId } from "./run-step.ts";
import type { SessionParts } from "./session-parts.ts";

/** What BuildKit takes when the client names no scanner. */
export const defaultScanner = "docker/buildkit-syft-scanner:stable-1";

/** The kind of statement that a scanner writes. */
export const spdxPredicate = "https://spdx.dev/Document";

const sourcePlace = "/run/src/core/sbom";
const outputPlace = "/run/out";
/** A list of a large image has some tens of megabytes. */
const maxStatementBytes = 256 * 1024 * 1024;
const lastBytes = 4096;

/** Runs the scanner over a result. Returns the predicates that it wrote. */
export async function scanResult(
  parts: Omit<SessionParts, "platform">,
  { platform, state }: PlatformResult,
): Promise<readonly unknown[]> {
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
): Promise<readonly unknown[]> {
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

/** Throws `invalidArgument` for what are no statements about packages. */
function readStatements(directory: string, scanner: string): readonly unknown[] {
  const names = readdirSync(directory).sort();
  if (names.length === 0)
    throw invalidArgument(`the scanner ${scanner} has written nothing into BUILDKIT_SCAN_DESTINATION`);
  return names.map((name) => {
    const statement = parseStatement(readWritten(join(directory, name), name), name);
    if (statement.predicateType !== spdxPredicate)
      throw invalidArgument(
        `the scanner ${scanner} wrote ${name}, which is ${JSON.stringify(statement.predicateType)} and not ${spdxPredicate}`,
      );
    return statement.predicate;
  });
}

/** A link of the scanner's would lead to files of this machine. */
function readWritten(path: string, name: string): string {
  const refused = (): EngineError => invalidArgument(`the scanner's ${name} is no file that can be read`);
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    throw refused();
  }
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile() || stat.size > maxStatementBytes) throw refused();
    return readFileSync(fd, "utf8");
  } finally {
    closeSync(fd);
  }
}

function parseStatement(text: string, name: string): { predicateType?: unknown; predicate?: unknown } {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null) return value;
  } catch {
    // Told below.
  }
  throw invalidArgument(`cannot decode in-toto statement ${name} of the scanner`);
}

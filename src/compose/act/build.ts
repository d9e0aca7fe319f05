/** Builds images of services through the daemon's `POST /build`. */
import { errorText } from "../../base/errors.ts";
import { readFileSync, statSync } from "node:fs";
import { isAbsolute, join, relative } from "node:path";
import type { BuildQuery } from "../../client/build.ts";
import { packContext } from "../build-context.ts";
import { inDependencyOrder } from "../dependency-order.ts";
import type { Session } from "../engine.ts";
import { ComposeError } from "../errors.ts";
import { composeVersion, labels } from "../labels.ts";
import { imageOf, type BuildConfig, type Project } from "../model/project.ts";
import { defined } from "../request/resources.ts";

export interface BuildOptions {
  readonly noCache?: boolean;
  readonly pull?: boolean;
  /** `NAME=text`, or `NAME` for that of the environment. */
  readonly args?: Readonly<Record<string, string | null>>;
  readonly memoryBytes?: number;
  /** Told what the build says, piece by piece, with the service's name. */
  readonly onOutput?: (service: string, text: string) => void;
  /** Builds what needs a session with the builder: secrets, ssh, further contexts, several platforms. */
  readonly buildInSession?: (project: Project, service: string) => Promise<void>;
  /** Builds every service in a session, if the daemon has a builder for it; undefined: where that is better. */
  readonly preferSession?: boolean | undefined;
  /** Credentials for base images, by their registries. */
  readonly registries?: () => Promise<Readonly<Record<string, unknown>>>;
}

/** Builds services, those that others take parts of first. Returns image ids by service. Throws {@link ComposeError}. */
export async function buildServices(
  session: Session,
  project: Project,
  names: readonly string[],
  options: BuildOptions,
): Promise<Map<string, string>> {
  const ids = new Map<string, string>();
  const isInSession = options.buildInSession !== undefined && (await wantsSession(session, options));
  const registries = isInSession ? undefined : await options.registries?.();
  const order = new Map(
    names.map((name) => {
      const contexts = Object.values(project.services[name]?.build?.additional_contexts ?? {});
      return [name, contexts.flatMap((context) => /^service:(.*)$/.exec(context)?.[1] ?? [])];
    }),
  );
  await inDependencyOrder(order, (name) =>
    session.limit(async () => {
      ids.set(name, await buildService(session, project, name, { ...options, isInSession, registries }));
    }),
  );
  return ids;
}

/**
 * Gantry's daemon builds the same either way, and its `POST /build` is the quicker one. Docker's knows today's Dockerfiles
 * only in sessions; it says which builder it would take (`Builder-Version`), which Docker's tools go by.
 */
async function wantsSession({ client }: Session, { preferSession }: BuildOptions): Promise<boolean> {
  if (preferSession !== undefined) return preferSession;
  const [{ builderVersion }, version] = await Promise.all([client.ping(), client.version()]);
  return builderVersion === "2" && version.Platform?.Name !== "gantry";
}

interface BuildRun extends Omit<BuildOptions, "registries"> {
  readonly isInSession: boolean;
  readonly registries: Readonly<Record<string, unknown>> | undefined;
}

async function buildService(
  session: Session,
  project: Project,
  name: string,
  options: BuildRun,
): Promise<string> {
  const service = project.services[name]!;
  const build = service.build!;
  const { client, report } = session;
  const id = `Image ${imageOf(project, name, service)}`;
  const foreign = needsSession(build);
  if (foreign !== undefined && options.buildInSession === undefined) {
    throw new ComposeError(`services.${name}.build.${foreign} needs a session with the builder`);
  }
  report({ id, kind: "working", text: "Building" });
  if (foreign !== undefined || options.isInSession) return await inSession(session, project, name, options);
  const query = buildQuery(project, name, build, options);
  let image = "";
  try {
    for await (const { stream, status, aux } of client.imageBuild(query)) {
      if (stream !== undefined) options.onOutput?.(name, stream);
      else if (status !== undefined) options.onOutput?.(name, `${status}\n`);
      if (aux?.ID !== undefined) image = aux.ID;
    }
  } catch (error) {
    const why = errorText(error);
    report({ id, kind: "error", text: "Error", detail: why });
    throw new ComposeError(`failed to build service ${name}: ${why}`, { exitCode: 17, cause: error });
  }
  report({ id, kind: "done", text: "Built" });
  return image;
}

async function inSession(
  { client, report }: Session,
  project: Project,
  name: string,
  { buildInSession }: BuildRun,
): Promise<string> {
  const image = imageOf(project, name, project.services[name]!);
  const id = `Image ${image}`;
  try {
    await buildInSession!(project, name);
  } catch (error) {
    const why = errorText(error);
    report({ id, kind: "error", text: "Error" });
    throw new ComposeError(`failed to build service ${name}: ${why}`, { exitCode: 17, cause: error });
  }
  report({ id, kind: "done", text: "Built" });
  return (await client.imageInspect(image)).Id;
}

/** The first key that the classic protocol has no words for. */
function needsSession(build: BuildConfig): string | undefined {
  const keys = {
    secrets: build.secrets?.length ?? 0,
    ssh: Object.keys(build.ssh ?? {}).length,
    additional_contexts: Object.keys(build.additional_contexts ?? {}).length,
    platforms: Math.max(0, (build.platforms?.length ?? 0) - 1),
    entitlements: build.entitlements?.length ?? 0,
    cache_to: build.cache_to?.length ?? 0,
    privileged: build.privileged === true ? 1 : 0,
    provenance: isWanted(build.provenance) ? 1 : 0,
    sbom: isWanted(build.sbom) ? 1 : 0,
  };
  return Object.entries(keys).find(([, count]) => count > 0)?.[0];
}

const isWanted = (attestation: string | undefined): boolean =>
  !["", "false", "0"].includes(attestation ?? "");

/** Labels of an image that compose builds: the service's own, and whose it is. */
export function imageLabels(project: Project, name: string): Record<string, string> {
  return {
    ...project.services[name]?.build?.labels,
    [labels.project]: project.name,
    [labels.service]: name,
    [labels.version]: composeVersion,
  };
}

function buildQuery(project: Project, name: string, build: BuildConfig, options: BuildRun): BuildQuery {
  const service = project.services[name]!;
  const args = Object.entries({ ...build.args, ...options.args }).flatMap(([key, value]) => {
    const text = value ?? project.environment[key];
    return text === undefined ? [] : [[key, text] as const];
  });
  return {
    ...contextOf(build),
    tags: [imageOf(project, name, service), ...(build.tags ?? [])],
    buildArgs: Object.fromEntries(args),
    labels: imageLabels(project, name),
    noCache: build.no_cache === true || options.noCache === true,
    pull: build.pull === true || options.pull === true,
    extraHosts: Object.entries(build.extra_hosts ?? {}).flatMap(([host, addresses]) =>
      addresses.map((address) => `${host}:${address}`),
    ),
    ...defined({
      target: build.target,
      cacheFrom: build.cache_from,
      networkMode: build.network,
      platform: service.platform ?? build.platforms?.[0],
      shmSizeBytes: build.shm_size,
      memoryBytes: options.memoryBytes,
      registries: options.registries,
      ulimits: ulimitsOf(build),
    }),
  };
}

function ulimitsOf(build: BuildConfig): BuildQuery["ulimits"] {
  if (build.ulimits === undefined) return undefined;
  return Object.entries(build.ulimits).map(([limit, { single = 0, soft, hard }]) => ({
    Name: limit,
    Soft: soft ?? single,
    Hard: hard ?? single,
  }));
}

/** A name that no file of a context has. */
const inlineName = ".dockerfile-inline";

function contextOf(build: BuildConfig): Pick<BuildQuery, "context" | "remote" | "dockerfile"> {
  const { context, dockerfile_inline: inline } = build;
  if (/^([a-z]+:\/\/|git@|github\.com\/)/.test(context)) {
    return { remote: context, dockerfile: build.dockerfile ?? "Dockerfile" };
  }
  if (statSync(context, { throwIfNoEntry: false })?.isDirectory() !== true) {
    throw new ComposeError(`unable to prepare context: path "${context}" not found`);
  }
  if (inline !== undefined) {
    return {
      context: packContext(context, {
        dockerfile: inlineName,
        extra: [{ path: inlineName, content: Buffer.from(inline), mode: 0o600 }],
      }),
      dockerfile: inlineName,
    };
  }
  const file = build.dockerfile ?? "Dockerfile";
  const path = isAbsolute(file) ? file : join(context, file);
  const inner = relative(context, path);
  if (!inner.startsWith("..")) {
    if (statSync(path, { throwIfNoEntry: false }) === undefined) {
      throw new ComposeError(`unable to prepare context: Dockerfile ${path} not found`);
    }
    return { context: packContext(context, { dockerfile: inner }), dockerfile: inner };
  }
  // A Dockerfile from outside goes with the context under a name of its own.
  const content = readFileSync(path);
  return {
    context: packContext(context, {
      dockerfile: inlineName,
      extra: [{ path: inlineName, content, mode: 0o600 }],
    }),
    dockerfile: inlineName,
  };
}

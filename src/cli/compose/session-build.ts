/** Builds of services by BuildKit's protocol: the same as `gantry build` with the flags that the file's keys stand for. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { isAbsolute, join } from "node:path";
import { imageLabels } from "../../compose/act/build.ts";
import { imageOf, type BuildConfig, type Project } from "../../compose/model/project.ts";
import type { CommandContext } from "../command.ts";
import { parseArguments } from "../parser.ts";

export interface SessionBuildOptions {
  readonly noCache?: boolean;
  readonly pull?: boolean;
  readonly isQuiet?: boolean;
  readonly args?: Readonly<Record<string, string | null>>;
}

/** Throws what `gantry build` throws. */
export async function buildInSession(
  context: CommandContext,
  project: Project,
  name: string,
  options: SessionBuildOptions,
): Promise<void> {
  const { default: command } = await import("../commands/build.ts");
  const service = project.services[name]!;
  const build = service.build!;
  const work = await mkdtemp(join(tmpdir(), "gantry-compose-build-"));
  try {
    const words = buildWords(project, name, build, options);
    if (build.dockerfile_inline !== undefined) {
      const file = join(work, "Dockerfile");
      await writeFile(file, build.dockerfile_inline);
      words.push(`--file=${file}`);
    } else {
      const file = build.dockerfile ?? "Dockerfile";
      words.push(`--file=${isAbsolute(file) ? file : join(build.context, file)}`);
    }
    // Secrets out of variables may come from the project's .env.
    const own = Object.create(context, { env: { value: project.environment } }) as CommandContext;
    await command.run(own, parseArguments([...words, build.context], command.flags));
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

const all = (flag: string, values: readonly string[] = []): string[] =>
  values.map((value) => `--${flag}=${value}`);

function buildWords(
  project: Project,
  name: string,
  build: BuildConfig,
  options: SessionBuildOptions,
): string[] {
  const service = project.services[name]!;
  const args = Object.entries({ ...build.args, ...options.args }).flatMap(([key, value]) => {
    const text = value ?? project.environment[key];
    return text === undefined ? [] : [`${key}=${text}`];
  });
  const platforms = build.platforms ?? (service.platform === undefined ? [] : [service.platform]);
  return [
    ...all("tag", [imageOf(project, name, service), ...(build.tags ?? [])]),
    ...all("build-arg", args),
    ...all("label", pairs(imageLabels(project, name))),
    ...all("secret", secretsOf(project, build)),
    ...all(
      "ssh",
      Object.entries(build.ssh ?? {}).map(([id, path]) => (path === null ? id : `${id}=${path}`)),
    ),
    ...all("build-context", contextsOf(project, build)),
    ...all("cache-from", (build.cache_from ?? []).map(cacheEntry)),
    ...all("cache-to", (build.cache_to ?? []).map(cacheEntry)),
    ...all("allow", [
      ...(build.entitlements ?? []),
      ...(build.privileged === true ? ["security.insecure"] : []),
    ]),
    ...all("add-host", hostsOf(build)),
    ...all("ulimit", ulimitsOf(build)),
    ...(platforms.length === 0 ? [] : [`--platform=${platforms.join(",")}`]),
    ...(build.provenance === undefined ? [] : [`--provenance=${build.provenance}`]),
    ...(build.sbom === undefined ? [] : [`--sbom=${build.sbom}`]),
    ...(build.target === undefined ? [] : [`--target=${build.target}`]),
    ...(build.network === undefined ? [] : [`--network=${build.network}`]),
    ...(build.shm_size === undefined ? [] : [`--shm-size=${build.shm_size}`]),
    ...(build.no_cache === true || options.noCache === true ? ["--no-cache"] : []),
    ...(build.pull === true || options.pull === true ? ["--pull"] : []),
    `--progress=${options.isQuiet === true ? "quiet" : "plain"}`,
  ];
}

const pairs = (map: Readonly<Record<string, string>> = {}): string[] =>
  Object.entries(map).map(([key, value]) => `${key}=${value}`);

function secretsOf(project: Project, build: BuildConfig): string[] {
  return (build.secrets ?? []).map(({ source, target }) => {
    const { file, environment } = project.secrets[source]!;
    const id = target === undefined || target === "" ? source : target;
    return environment === undefined ? `id=${id},src=${file ?? ""}` : `id=${id},env=${environment}`;
  });
}

/** `service:NAME` is the image of another service. */
function contextsOf(project: Project, build: BuildConfig): string[] {
  return Object.entries(build.additional_contexts ?? {}).map(([key, context]) => {
    const other = /^service:(.*)$/.exec(context)?.[1];
    if (other === undefined) return `${key}=${context}`;
    return `${key}=docker-image://${imageOf(project, other, project.services[other]!)}`;
  });
}

/** A name alone is an image's. */
const cacheEntry = (text: string): string => (text.includes("=") ? text : `type=registry,ref=${text}`);

function hostsOf(build: BuildConfig): string[] {
  return Object.entries(build.extra_hosts ?? {}).flatMap(([host, addresses]) =>
    addresses.map((address) => `${host}=${address}`),
  );
}

function ulimitsOf(build: BuildConfig): string[] {
  return Object.entries(build.ulimits ?? {}).map(
    ([limit, { single = 0, soft, hard }]) => `${limit}=${soft ?? single}:${hard ?? single}`,
  );
}

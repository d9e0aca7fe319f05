/** Parts of a project: by profiles, by names of services, and without what nobody uses. Nothing here changes its argument. */
import { ComposeError } from "../errors.ts";
import { DotenvError, parseDotenv, parseRawEnv } from "../file/dotenv.ts";
import type { Lookup } from "../file/interpolate.ts";
import { kindAt, readText } from "../file/disk.ts";
import type { EnvFile } from "./decode.ts";
import type { Dependency, Project, Service } from "./project.ts";

function hasProfile(service: Service, profiles: readonly string[]): boolean {
  const own = service.profiles ?? [];
  return own.length === 0 || profiles.includes("*") || own.some((profile) => profiles.includes(profile));
}

/** The project with the services of these profiles, and those without one. */
export function withProfiles(project: Project, profiles: readonly string[]): Project {
  const services: Record<string, Service> = {};
  const disabled: Record<string, Service> = {};
  for (const [name, service] of Object.entries({ ...project.services, ...project.disabled })) {
    (hasProfile(service, profiles) ? services : disabled)[name] = service;
  }
  return { ...project, services, disabled };
}

/** Services that are named are wanted, whatever the profiles; and those of the same profiles. */
export function withServicesEnabled(project: Project, names: readonly string[]): Project {
  const extra = names.flatMap((name) => project.disabled[name]?.profiles ?? []);
  if (extra.length === 0) return project;
  const active = Object.values(project.services).flatMap(({ profiles }) => profiles ?? []);
  return withProfiles(project, [...active, ...extra]);
}

export type Follow = "dependencies" | "dependents" | "nothing";

/** The project with only these services and what they need (or what needs them). Throws {@link ComposeError}. */
export function withServices(
  project: Project,
  names: readonly string[],
  follow: Follow = "dependencies",
): Project {
  if (names.length === 0) return project;
  const wanted = new Set<string>();
  const visit = (name: string, isRequired: boolean): void => {
    const service = project.services[name];
    if (service === undefined) {
      if (isRequired) throw new ComposeError(`no such service: ${name}`);
      return;
    }
    if (wanted.has(name)) return;
    wanted.add(name);
    for (const [other, { required }] of related(project, name, service, follow)) visit(other, required);
  };
  for (const name of names) visit(name, true);
  const services: Record<string, Service> = {};
  const disabled = { ...project.disabled };
  for (const [name, service] of Object.entries(project.services)) {
    if (!wanted.has(name)) {
      disabled[name] = service;
      continue;
    }
    const kept = Object.entries(service.depends_on ?? {}).filter(([other]) => wanted.has(other));
    const { depends_on: _depends, ...rest } = service;
    services[name] = kept.length === 0 ? rest : { ...rest, depends_on: Object.fromEntries(kept) };
  }
  return { ...project, services, disabled };
}

function related(project: Project, name: string, service: Service, follow: Follow): [string, Dependency][] {
  if (follow === "nothing") return [];
  if (follow === "dependencies") return Object.entries(service.depends_on ?? {});
  return Object.entries(project.services).flatMap(([other, { depends_on: dependsOn }]) => {
    const dependency = dependsOn?.[name];
    return dependency === undefined ? [] : [[other, dependency] as [string, Dependency]];
  });
}

/** The project without networks, volumes, secrets and configurations that no service uses. */
export function withoutUnused(project: Project): Project {
  const used = {
    networks: new Set<string>(),
    volumes: new Set<string>(),
    secrets: new Set<string>(),
    configs: new Set<string>(),
  };
  for (const service of Object.values(project.services)) {
    for (const name of Object.keys(service.networks ?? {})) used.networks.add(name);
    for (const { type, source } of service.volumes ?? [])
      if (type === "volume") used.volumes.add(source ?? "");
    for (const { source } of [...(service.secrets ?? []), ...(service.build?.secrets ?? [])])
      used.secrets.add(source);
    for (const { source } of service.configs ?? []) used.configs.add(source);
  }
  const only = <T>(parts: Record<string, T>, names: ReadonlySet<string>): Record<string, T> =>
    Object.fromEntries(Object.entries(parts).filter(([name]) => names.has(name)));
  return {
    ...project,
    networks: only(project.networks, used.networks),
    volumes: only(project.volumes, used.volumes),
    secrets: only(project.secrets, used.secrets),
    configs: only(project.configs, used.configs),
  };
}

function mapServices(project: Project, change: (service: Service, name: string) => Service): Project {
  const services = Object.entries(project.services).map(([name, service]) => [name, change(service, name)]);
  return { ...project, services: Object.fromEntries(services) as Record<string, Service> };
}

/** The project with the variables of `env_file`s in its services' environments. Throws {@link ComposeError}. */
export function withEnvFiles(project: Project): Project {
  const known: Lookup = (name) => (name in project.environment ? project.environment[name] : undefined);
  return mapServices(project, (service, name) => {
    const { env_file: files, ...rest } = service;
    const environment: Record<string, string | null> = {};
    for (const file of files ?? []) {
      Object.assign(
        environment,
        readEnvFile(file, (key) => environment[key] ?? known(key), name),
      );
    }
    for (const [key, value] of Object.entries(service.environment ?? {})) {
      environment[key] = value ?? known(key) ?? null;
    }
    return Object.keys(environment).length === 0 && service.environment === undefined
      ? rest
      : { ...rest, environment };
  });
}

function readEnvFile(file: EnvFile, lookup: Lookup, service: string): Record<string, string> {
  if (kindAt(file.path) === "none") {
    if (!file.required) return {};
    throw new ComposeError(
      `env file ${file.path} not found: stat ${file.path}: no such file or directory (services.${service}.env_file)`,
      { exitCode: 14 },
    );
  }
  if (file.format !== "" && file.format !== "raw") {
    throw new ComposeError(`services.${service}.env_file: unsupported env_file format "${file.format}"`, {
      exitCode: 15,
    });
  }
  const parse = file.format === "raw" ? parseRawEnv : parseDotenv;
  try {
    return Object.fromEntries(parse(readText(file.path), lookup));
  } catch (error) {
    if (!(error instanceof DotenvError)) throw error;
    throw new ComposeError(`failed to read ${file.path}: ${error.message}`, { exitCode: 14, cause: error });
  }
}

/** The project with the labels of `label_file`s. Throws {@link ComposeError}. */
export function withLabelFiles(project: Project): Project {
  return mapServices(project, (service, name) => {
    const { label_file: files, ...rest } = service;
    if (files === undefined) return service;
    const labels: Record<string, string> = {};
    for (const path of files) {
      if (kindAt(path) === "none") {
        throw new ComposeError(`label file ${path} not found (services.${name}.label_file)`, {
          exitCode: 14,
        });
      }
      Object.assign(
        labels,
        readEnvFile({ path, required: true, format: "" }, (key) => labels[key], name),
      );
    }
    return { ...rest, labels: { ...labels, ...service.labels } };
  });
}

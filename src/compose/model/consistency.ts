/** What is wrong with a project as a whole. */
import type { ComposeError } from "../errors.ts";
import type { TreePath } from "../tree.ts";
import { scaleOf, type Project, type Service } from "./project.ts";

type Fail = (path: TreePath, message: string) => ComposeError;

/** Throws what `fail` makes of the first thing in a project that does not fit the rest. */
export function checkConsistency(project: Project, fail: Fail): void {
  for (const [name, service] of Object.entries(project.services)) {
    const refuse = (key: string, message: string): never => {
      throw fail(["services", name, ...(key === "" ? [] : key.split("."))], message);
    };
    checkSource(name, service, project, refuse);
    checkReferences(name, service, project, refuse);
    checkLimits(name, service, refuse);
  }
  for (const [name, secret] of Object.entries(project.secrets)) {
    if (secret.external === true || secret.driver !== undefined) continue;
    if (secret.file === undefined && secret.environment === undefined) {
      throw fail(["secrets", name], `secret "${name}" must declare either \`file\` or \`environment\``);
    }
  }
  checkCycles(project, fail);
}

type Refuse = (key: string, message: string) => never;

function checkSource(name: string, service: Service, project: Project, refuse: Refuse): void {
  const { build, image, platform } = service;
  if (build === undefined && (image ?? "") === "") {
    refuse(
      "",
      `service "${name}" has neither an image nor a build context specified: invalid compose project`,
    );
  }
  if (build === undefined) return;
  if ((build.dockerfile_inline ?? "") !== "" && (build.dockerfile ?? "") !== "") {
    refuse("build", `service "${name}" declares mutualy exclusive dockerfile and dockerfile_inline`);
  }
  for (const [key, context] of Object.entries(build.additional_contexts ?? {})) {
    const target = /^service:(.*)$/.exec(context)?.[1];
    if (target === undefined) continue;
    const other = project.services[target];
    if (other === undefined) {
      refuse(
        "build.additional_contexts",
        `declares unknown service "${target}" as additional contexts ${key}`,
      );
    } else if (other.build === undefined) {
      refuse(
        "build.additional_contexts",
        `declares non-buildable service "${target}" as additional contexts ${key}`,
      );
    }
  }
  if (platform !== undefined && (build.platforms?.length ?? 0) > 0 && !build.platforms!.includes(platform)) {
    refuse("build.platforms", `service.build.platforms MUST include service.platform "${platform}"`);
  }
  for (const { source } of build.secrets ?? []) {
    if (!(source in project.secrets)) {
      refuse(
        "build.secrets",
        `service "${name}" refers to undefined build secret ${source}: invalid compose project`,
      );
    }
  }
}

function checkReferences(name: string, service: Service, project: Project, refuse: Refuse): void {
  const undefinedIn = (key: string, kind: string, other: string): never =>
    refuse(key, `service "${name}" refers to undefined ${kind} ${other}: invalid compose project`);
  if (service.network_mode !== undefined && Object.keys(service.networks ?? {}).length > 0) {
    refuse(
      "network_mode",
      `service ${name} declares mutually exclusive \`network_mode\` and \`networks\`: invalid compose project`,
    );
  }
  for (const network of Object.keys(service.networks ?? {})) {
    if (!(network in project.networks)) undefinedIn(`networks.${network}`, "network", network);
  }
  const first = service.healthcheck?.test?.[0];
  if (first !== undefined && !["CMD", "CMD-SHELL", "NONE"].includes(first)) {
    refuse("healthcheck.test", 'healthcheck.test must start either by "CMD", "CMD-SHELL" or "NONE"');
  }
  for (const [other, { required }] of Object.entries(service.depends_on ?? {})) {
    if (other in project.services || (other in project.disabled && !required)) continue;
    const why = other in project.disabled ? `: its profile is not active` : "";
    refuse(
      "depends_on",
      `service "${name}" depends on undefined service "${other}"${why}: invalid compose project`,
    );
  }
  for (const [key, mode] of [
    ["network_mode", service.network_mode],
    ["ipc", service.ipc],
    ["pid", service.pid],
  ] as const) {
    const other = /^service:(.*)$/.exec(mode ?? "")?.[1];
    if (other !== undefined && !(other in project.services)) {
      refuse(key, `service "${other}" not found for ${key} 'service:${other}'`);
    }
  }
  for (const [index, { type, source }] of (service.volumes ?? []).entries()) {
    if (type === "volume" && (source ?? "") !== "" && !Object.hasOwn(project.volumes, source!)) {
      undefinedIn(`volumes.${index}`, "volume", source!);
    }
  }
  for (const { source } of service.configs ?? []) {
    if (!(source in project.configs)) undefinedIn("configs", "config", source);
  }
  for (const { source } of service.secrets ?? []) {
    if (!(source in project.secrets)) undefinedIn("secrets", "secret", source);
  }
}

function checkLimits(name: string, service: Service, refuse: Refuse): void {
  const { deploy, scale } = service;
  const limits = deploy?.resources?.limits;
  const reservations = deploy?.resources?.reservations;
  if (deploy !== undefined && scale !== undefined) {
    if (deploy.replicas !== undefined && deploy.replicas !== scale) {
      refuse("scale", "can't set distinct values on 'scale' and 'deploy.replicas': invalid compose project");
    }
    deploy.replicas = scale;
  }
  const pairs: [
    key: string,
    own: number | undefined,
    part: object | undefined,
    other: number | undefined,
    otherKey: string,
  ][] = [
    ["cpus", service.cpus, limits, limits?.cpus, "deploy.resources.limits.cpus"],
    ["mem_limit", service.mem_limit, limits, limits?.memory, "deploy.resources.limits.memory"],
    [
      "mem_reservation",
      service.mem_reservation,
      reservations,
      reservations?.memory,
      "deploy.resources.reservations.memory",
    ],
    ["pids_limit", service.pids_limit, limits, limits?.pids, "deploy.resources.limits.pids"],
  ];
  for (const [key, own, part, other, otherKey] of pairs) {
    if ((own ?? 0) !== 0 && part !== undefined && (other ?? 0) !== own) {
      refuse(key, `can't set distinct values on '${key}' and '${otherKey}': invalid compose project`);
    }
  }
  if (scaleOf(service) > 1 && service.container_name !== undefined) {
    const key = scale === undefined ? "deploy.replicas" : "scale";
    refuse(
      key,
      `can't set container_name and ${name} as container name must be unique: invalid compose project`,
    );
  }
  for (const { action, target } of service.develop?.watch ?? []) {
    if ((target ?? "") === "" && action !== "rebuild" && action !== "restart") {
      refuse("develop.watch", "target is required for non-rebuild actions: invalid compose project");
    }
  }
}

function checkCycles(project: Project, fail: Fail): void {
  const done = new Set<string>();
  const visit = (name: string, chain: readonly string[]): void => {
    const start = chain.indexOf(name);
    if (start >= 0) {
      const circle = [...chain.slice(start), name].join(" -> ");
      throw fail(["services", name, "depends_on"], `dependency cycle detected: ${circle}`);
    }
    if (done.has(name)) return;
    for (const other of Object.keys(project.services[name]?.depends_on ?? {}).sort()) {
      if (other in project.services) visit(other, [...chain, name]);
    }
    done.add(name);
  };
  for (const name of Object.keys(project.services).sort()) visit(name, []);
}

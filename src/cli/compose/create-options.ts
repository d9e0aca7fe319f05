/** Flags of the commands that make containers. */
import { ComposeError } from "../../compose/errors.ts";
import { isTrue } from "../../compose/go-values.ts";
import type { Project, Service } from "../../compose/model/project.ts";
import type { CreateOptions } from "../../compose/up.ts";
import type { FlagSpec } from "../flags.ts";
import type { ParsedArguments } from "../parser.ts";
import { oneOf, type ComposeApp } from "./app.ts";
import { buildOptions } from "./build-output.ts";

export const noDepsFlag: FlagSpec = {
  name: "no-deps",
  type: "bool",
  help: "Leave out what services depend on",
};

export const quietPullFlag: FlagSpec = {
  name: "quiet-pull",
  type: "bool",
  help: "Pull without showing amounts",
};

export const removeOrphansFlag: FlagSpec = {
  name: "remove-orphans",
  type: "bool",
  help: "Remove containers of services that the files no longer have",
};

export const createFlags: readonly FlagSpec[] = [
  { name: "always-recreate-deps", type: "bool", help: "Make containers of dependencies anew, too" },
  { name: "force-recreate", type: "bool", help: "Make containers anew, also those that need not be" },
  noDepsFlag,
  { name: "no-recreate", type: "bool", help: "Leave containers that are there as they are" },
  quietPullFlag,
  removeOrphansFlag,
  {
    name: "renew-anon-volumes",
    short: "V",
    type: "bool",
    help: "Begin with new volumes without a name, instead of carrying them over",
  },
  { name: "scale", type: "list", placeholder: "SERVICE=NUM", help: "How many containers a service has" },
];

export const buildFlags: readonly FlagSpec[] = [
  { name: "build", type: "bool", help: "Build images before the containers are made" },
  { name: "no-build", type: "bool", help: "Do not build, even images that are missing" },
  {
    name: "pull",
    type: "string",
    default: "policy",
    placeholder: "WHEN",
    help: "When to pull images: always, missing, never, build, or as the files say: policy",
    validate: oneOf("always", "missing", "never", "build", "policy"),
  },
];

/** What these flags say. */
export function createOptions(app: ComposeApp, parsed: ParsedArguments, project: Project): CreateOptions {
  const pull = parsed.string("pull");
  if (pull !== "" && pull !== "policy") {
    for (const service of Object.values(project.services)) service.pull_policy = pull;
  }
  const isForced = parsed.bool("force-recreate");
  return {
    services: parsed.positional,
    recreate: parsed.bool("no-recreate") ? "never" : isForced ? "force" : "diverged",
    recreateDependencies: parsed.bool("always-recreate-deps")
      ? "force"
      : parsed.bool("no-recreate")
        ? "never"
        : isForced && parsed.positional.length === 0
          ? "force"
          : "diverged",
    removeOrphans: parsed.bool("remove-orphans") || isTrue(app.context.env["COMPOSE_REMOVE_ORPHANS"]),
    renewVolumes: parsed.bool("renew-anon-volumes"),
    quietPull: parsed.bool("quiet-pull"),
    build: parsed.bool("build") ? true : parsed.bool("no-build") ? false : undefined,
    buildOptions: buildOptions(app),
  };
}

/** The project with other numbers of containers. Throws {@link ComposeError} for what is no `SERVICE=NUM`. */
export function scaled(project: Project, scales: readonly string[]): Project {
  if (scales.length === 0) return project;
  const services: Record<string, Service> = { ...project.services };
  for (const text of scales) {
    const [, name = "", count = ""] = /^([^=]+)=(\d+)$/.exec(text) ?? [];
    if (name === "") throw new ComposeError(`invalid --scale option "${text}". Should be SERVICE=NUM`);
    const service = services[name];
    if (service === undefined) throw new ComposeError(`no such service: ${name}`);
    if (Number(count) > 1 && service.container_name !== undefined) {
      throw new ComposeError(
        `The "${name}" service is using the custom container name "${service.container_name}". Docker requires each container to have a unique name. Remove the custom name to scale the service`,
      );
    }
    services[name] = { ...service, scale: Number(count) };
  }
  return { ...project, services };
}

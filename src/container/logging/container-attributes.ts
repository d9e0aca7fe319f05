/** What a log driver says about the container beside its lines: chosen labels and variables, and the tag. */
import { Template } from "../../base/template/template.ts";
import { GoStruct } from "../../base/template/values.ts";
import { hostname } from "node:os";
import { errorText, invalidArgument } from "../../base/errors.ts";

/** The container, as far as log drivers look at it. */
export interface LoggedContainer {
  readonly id: string;
  readonly name: string;
  readonly imageId: string;
  readonly imageName: string;
  readonly command: string;
  /** RFC 3339. */
  readonly createdAt: string;
  readonly labels: Readonly<Record<string, string>>;
  /** `NAME=value`. */
  readonly env: readonly string[];
}

type Options = Readonly<Record<string, string>>;

/** The labels and variables that the options `labels`, `labels-regex`, `env` and `env-regex` choose. */
export function chosenAttributes(container: LoggedContainer, options: Options): Record<string, string> {
  const env: Record<string, string> = {};
  for (const entry of container.env) {
    const at = entry.indexOf("=");
    if (at > 0) env[entry.slice(0, at)] = entry.slice(at + 1);
  }
  return {
    ...chosen(container.labels, options["labels"], options["labels-regex"]),
    ...chosen(env, options["env"], options["env-regex"]),
  };
}

function chosen(from: Options, names = "", pattern = ""): Record<string, string> {
  const wanted = new Set(names.split(","));
  const expression = pattern === "" ? undefined : new RegExp(pattern);
  return Object.fromEntries(
    Object.entries(from).filter(([name]) => wanted.has(name) || expression?.test(name) === true),
  );
}

/** The tag: the option `tag` as a Go template over the container (Docker's log tags). Throws `invalidArgument`. */
export function logTag(container: LoggedContainer, template: string): string {
  const shortImage = container.imageId.replace(/^sha256:/, "").slice(0, 12);
  try {
    return new Template(template).execute(
      new GoStruct("logger.Info", {
        ID: container.id.slice(0, 12),
        FullID: container.id,
        Name: container.name,
        ContainerID: container.id,
        ContainerName: `/${container.name}`,
        ImageID: shortImage,
        ImageFullID: container.imageId,
        ImageName: container.imageName,
        Command: container.command,
        Created: container.createdAt,
        DaemonName: "docker",
        Hostname: hostname(),
        ExtraAttributes: new Map(),
      }),
    );
  } catch (error) {
    throw invalidArgument(`failed to initialize logging driver: ${errorText(error)}`, { cause: error });
  }
}

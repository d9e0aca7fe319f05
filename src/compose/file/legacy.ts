/**
 * Files of before the Compose specification. Version 1 (`fig.yml` of 2014, `docker-compose.yml` without `version:`) has
 * its services at the top and no networks; versions 2 and 3 differ from today's form by a few keys.
 */
import { ComposeError } from "../errors.ts";
import { isMap, treeMap, type Tree, type TreeMap, type TreePath } from "../tree.ts";
import type { Positions } from "./positions.ts";

const topLevel = new Set([
  "version",
  "name",
  "include",
  "services",
  "models",
  "networks",
  "volumes",
  "secrets",
  "configs",
]);

/** True for a file in the form of version 1: everything at its top is a service. */
export function isVersionOne(file: TreeMap): boolean {
  if ("services" in file || "include" in file) return false;
  const keys = Object.keys(file).filter((key) => !key.startsWith("x-"));
  if (keys.length === 0) return false;
  const looksLikeService = (value: Tree): boolean =>
    isMap(value) &&
    ["image", "build", "extends"].some((key) => typeof value[key] === "string" || isMap(value[key]));
  return (
    keys.every((key) => !topLevel.has(key) || looksLikeService(file[key]!)) &&
    keys.some((key) => looksLikeService(file[key]!))
  );
}

/** A file of version 1 in today's form: each service on the default bridge, with links where there are any. */
export function fromVersionOne(file: TreeMap): TreeMap {
  const names = new Set(Object.keys(file));
  const volumes = treeMap();
  const services = treeMap();
  for (const [name, service] of Object.entries(file)) {
    services[name] = isMap(service) ? serviceOfOne(service, names, volumes) : service;
  }
  const result = treeMap([["services", services]]);
  if (Object.keys(volumes).length > 0) result["volumes"] = volumes;
  return result;
}

function serviceOfOne(service: TreeMap, names: ReadonlySet<string>, volumes: TreeMap): TreeMap {
  const { build, dockerfile, net, log_driver: driver, log_opt: options, ...rest } = service;
  const result = treeMap(Object.entries(rest));
  if (build !== undefined) {
    result["build"] =
      dockerfile === undefined
        ? build
        : treeMap([
            ["context", build],
            ["dockerfile", dockerfile],
          ]);
  }
  result["network_mode"] = networkMode(net, names);
  if (driver !== undefined || options !== undefined) {
    const logging = treeMap();
    if (driver !== undefined) logging["driver"] = driver;
    if (options !== undefined) logging["options"] = options;
    result["logging"] = logging;
  }
  if (Array.isArray(result["volumes"])) declareVolumes(result["volumes"], volumes);
  if (Array.isArray(result["volumes_from"])) {
    result["volumes_from"] = result["volumes_from"].map((source) => {
      if (typeof source !== "string") return source;
      return names.has(source.split(":")[0]!) ? source : `container:${source}`;
    });
  }
  return result;
}

function networkMode(net: Tree | undefined, names: ReadonlySet<string>): Tree {
  if (typeof net !== "string") return "bridge";
  const container = /^container:(.*)$/.exec(net)?.[1];
  return container !== undefined && names.has(container) ? `service:${container}` : net;
}

/** Version 1 has no project's volumes: a name is the volume's own. */
function declareVolumes(list: readonly Tree[], volumes: TreeMap): void {
  for (const entry of list) {
    const source = typeof entry === "string" && entry.includes(":") ? entry.split(":")[0]! : "";
    if (source === "" || /^[./~]/.test(source) || source.includes("$")) continue;
    volumes[source] = treeMap([
      ["name", source],
      ["external", false],
    ]);
  }
}

/** Refuses a version that no tool reads. */
export function checkVersion(file: TreeMap, positions: Positions): void {
  const { version } = file;
  if (typeof version !== "string" || /^[123](\.\d+)*$/.test(version)) return;
  throw positions.error(
    ["version"],
    `Version ${JSON.stringify(version)} is unsupported: use 2.x, 3.x or no version`,
  );
}

/** Keys of version 2 that today's specification has no place for; they are kept out of its check. */
export function takeVersionTwoKeys(file: TreeMap): { readonly file: TreeMap; readonly taken: TreeMap } {
  const taken = treeMap();
  const { version, services } = file;
  if (typeof version !== "string" || !version.startsWith("2") || !isMap(services)) return { file, taken };
  const kept = treeMap();
  for (const [name, service] of Object.entries(services)) {
    if (isMap(service) && "volume_driver" in service) {
      const { volume_driver: driver, ...rest } = service;
      taken[name] = treeMap([["volume_driver", driver!]]);
      kept[name] = treeMap(Object.entries(rest));
    } else kept[name] = service;
  }
  return { file: treeMap([...Object.entries(file), ["services", kept]]), taken };
}

/** Refuses what needs a program that gantry does not have. */
export function refuseForeign(file: TreeMap, positions: Positions): void {
  const refuse = (path: TreePath, what: string): never => {
    throw positions.error(
      path,
      `${what} are not served by gantry; remove the key, or run the service as a container`,
    );
  };
  if (isMap(file["models"]) && Object.keys(file["models"]).length > 0) {
    refuse(["models"], "AI models of a model runner");
  }
  if (!isMap(file["services"])) return;
  for (const [name, service] of Object.entries(file["services"])) {
    if (!isMap(service)) continue;
    if ("provider" in service) refuse(["services", name, "provider"], "services of external providers");
    if ("models" in service) refuse(["services", name, "models"], "AI models of a model runner");
    if (service["use_api_socket"] === true) {
      throw new ComposeError(
        `services.${name}.use_api_socket: mount the daemon's socket as a volume instead`,
        { position: positions.get(["services", name, "use_api_socket"]), exitCode: 15 },
      );
    }
  }
}

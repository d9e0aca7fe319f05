/** What a file leaves unsaid: names of networks and volumes, the default network, implied dependencies. */
import { posix } from "node:path";
import { sprint } from "../go-values.ts";
import { isMap, treeMap, type Tree, type TreeMap } from "../tree.ts";
import type { Lookup } from "./interpolate.ts";

/** The file with defaults of short keys: contexts of builds, targets of secrets, protocols of ports. */
export function withDefaults(file: TreeMap): TreeMap {
  const services = file["services"];
  if (!isMap(services)) return file;
  const all = Object.entries(services).map(([name, service]) => {
    return [name, isMap(service) ? serviceDefaults(service) : service] as const;
  });
  return treeMap([...Object.entries(file), ["services", treeMap(all)]]);
}

function serviceDefaults(service: TreeMap): TreeMap {
  const result = treeMap(Object.entries(service));
  const change = (key: string, each: (entry: TreeMap) => TreeMap): void => {
    const list = result[key];
    if (Array.isArray(list)) result[key] = list.map((entry) => (isMap(entry) ? each(entry) : entry));
  };
  if (isMap(result["build"])) result["build"] = withAbsent(result["build"], { context: "." });
  change("secrets", (entry) =>
    withAbsent(entry, { target: `/run/secrets/${sprint(entry["source"] ?? "")}` }),
  );
  change("ports", (entry) => withAbsent(entry, { protocol: "tcp", mode: "ingress" }));
  change("gpus", allDevices);
  const deploy = result["deploy"];
  if (isMap(deploy)) result["deploy"] = reservedDevices(deploy);
  return result;
}

function withAbsent(map: TreeMap, defaults: Readonly<Record<string, Tree>>): TreeMap {
  const result = treeMap(Object.entries(map));
  for (const [key, value] of Object.entries(defaults)) if (!(key in result)) result[key] = value;
  return result;
}

function allDevices(entry: TreeMap): TreeMap {
  return "count" in entry || "device_ids" in entry ? entry : withAbsent(entry, { count: "all" });
}

function reservedDevices(deploy: TreeMap): TreeMap {
  const { resources } = deploy;
  if (!isMap(resources) || !isMap(resources["reservations"])) return deploy;
  const { devices } = resources["reservations"];
  if (!Array.isArray(devices)) return deploy;
  const all = devices.map((entry) => (isMap(entry) ? allDevices(entry) : entry));
  const reservations = treeMap([...Object.entries(resources["reservations"]), ["devices", all]]);
  const changed = treeMap([...Object.entries(resources), ["reservations", reservations]]);
  return treeMap([...Object.entries(deploy), ["resources", changed]]);
}

/** Values of variables that a file names without one: `environment: [HOME]`. */
export function withEnvironment(file: TreeMap, lookup: Lookup): TreeMap {
  const result = treeMap(Object.entries(file));
  if (isMap(result["services"])) {
    result["services"] = mapValues(result["services"], (service) => {
      const list = service["environment"];
      if (!Array.isArray(list)) return service;
      const environment = list.map((entry) => {
        const found = typeof entry === "string" ? lookup(entry) : undefined;
        return found === undefined ? entry : `${sprint(entry)}=${found}`;
      });
      return withValue(service, "environment", environment);
    });
  }
  if (isMap(result["configs"])) {
    result["configs"] = mapValues(result["configs"], (config) => {
      const name = config["environment"];
      const found = typeof name === "string" ? lookup(name) : undefined;
      return found === undefined ? config : withValue(config, "content", found);
    });
  }
  return result;
}

function mapValues(map: TreeMap, change: (value: TreeMap) => TreeMap): TreeMap {
  return treeMap(Object.entries(map).map(([key, value]) => [key, isMap(value) ? change(value) : value]));
}

function withValue(map: TreeMap, key: string, value: Tree): TreeMap {
  return treeMap([...Object.entries(map), [key, value]]);
}

/** The file with everything that it implies, under the project's name. */
export function normalize(file: TreeMap, project: string, lookup: Lookup): TreeMap {
  const result = withNetworks(file);
  if (isMap(result["services"])) {
    result["services"] = mapValues(result["services"], (service) => normalizeService(service, lookup));
  }
  for (const kind of ["networks", "volumes", "configs", "secrets"]) {
    const resources = result[kind];
    if (!isMap(resources)) continue;
    result[kind] = treeMap(
      Object.entries(resources).map(([key, value]) => {
        const resource = isMap(value) ? value : treeMap();
        const name = isTrue(resource["external"]) ? key : `${project}_${key}`;
        return [key, (resource["name"] ?? null) === null ? withValue(resource, "name", name) : resource];
      }),
    );
  }
  return result;
}

function isTrue(value: Tree | undefined): boolean {
  return ["1", "t", "T", "TRUE", "true", "True"].includes(sprint(value ?? null));
}

function withNetworks(file: TreeMap): TreeMap {
  const result = treeMap(Object.entries(file));
  const networks = isMap(result["networks"]) ? treeMap(Object.entries(result["networks"])) : treeMap();
  let isDefaultUsed = false;
  if (isMap(result["services"])) {
    result["services"] = mapValues(result["services"], (service) => {
      if ("network_mode" in service) return service;
      const own = service["networks"];
      if (isMap(own) && Object.keys(own).length > 0) {
        if ("default" in own) isDefaultUsed = true;
        return service;
      }
      isDefaultUsed = true;
      return withValue(service, "networks", treeMap([["default", null]]));
    });
  }
  if (isDefaultUsed && !("default" in networks)) networks["default"] = null;
  if (Object.keys(networks).length > 0) result["networks"] = networks;
  return result;
}

function normalizeService(service: TreeMap, lookup: Lookup): TreeMap {
  const result = treeMap(Object.entries(service));
  if (result["pull_policy"] === "if_not_present") result["pull_policy"] = "missing";
  if (isMap(result["build"])) result["build"] = normalizeBuild(result["build"], lookup);
  if ("environment" in result) result["environment"] = resolved(result["environment"], lookup, true);
  const dependsOn = isMap(result["depends_on"]) ? treeMap(Object.entries(result["depends_on"])) : treeMap();
  for (const [name, restart] of impliedDependencies(result)) {
    if (name in dependsOn) continue;
    dependsOn[name] = treeMap([
      ["condition", "service_started"],
      ["restart", restart],
      ["required", true],
    ]);
  }
  if (Object.keys(dependsOn).length > 0) result["depends_on"] = dependsOn;
  if (Array.isArray(result["volumes"])) {
    result["volumes"] = result["volumes"].map((entry) => {
      if (!isMap(entry) || typeof entry["target"] !== "string") return entry;
      return withValue(entry, "target", cleanPath(entry["target"]));
    });
  }
  return result;
}

/** Go's `path.Clean`. */
export function cleanPath(path: string): string {
  const clean = posix.normalize(path);
  return clean.length > 1 && clean.endsWith("/") ? clean.slice(0, -1) : clean;
}

function normalizeBuild(build: TreeMap, lookup: Lookup): TreeMap {
  const result = treeMap(Object.entries(build));
  result["context"] ??= ".";
  if ((result["dockerfile"] ?? result["dockerfile_inline"] ?? null) === null)
    result["dockerfile"] = "Dockerfile";
  if ("args" in result) result["args"] = resolved(result["args"], lookup, false);
  return result;
}

/** Services that another one must follow, with whether it is restarted with them. */
function impliedDependencies(service: TreeMap): [name: string, restart: boolean][] {
  const found: [string, boolean][] = [];
  for (const link of listOf(service["links"])) {
    const parts = link.split(":");
    found.push([parts.length === 2 ? parts[0]! : link, true]);
  }
  for (const namespace of ["network_mode", "ipc", "pid", "uts", "cgroup"]) {
    const mode = service[namespace];
    if (typeof mode === "string" && mode.startsWith("service:")) found.push([mode.slice(8), true]);
  }
  for (const source of listOf(service["volumes_from"])) {
    if (!source.startsWith("container:")) found.push([source.split(":")[0]!, false]);
  }
  return found;
}

function listOf(value: Tree | undefined): string[] {
  return Array.isArray(value) ? value.map(sprint) : [];
}

function resolved(value: Tree, lookup: Lookup, keepUnknown: boolean): Tree {
  if (Array.isArray(value)) {
    return value.flatMap((entry): Tree[] => {
      const text = sprint(entry);
      if (text.includes("=")) return [text];
      const found = lookup(text);
      if (found !== undefined) return [`${text}=${found}`];
      return keepUnknown ? [text] : [];
    });
  }
  if (!isMap(value)) return value;
  const result = treeMap();
  for (const [key, each] of Object.entries(value)) {
    const found = each ?? lookup(key);
    if (found !== undefined) result[key] = found;
    else if (keepUnknown) result[key] = null;
  }
  return result;
}

/** What a later file does to an earlier one. Compose specification, "Merge". */
import { sprint } from "../go-values.ts";
import { cloneTree, isMap, PathTable, treeMap, type Tree, type TreeMap, type TreePath } from "../tree.ts";
import { ComposeError } from "../errors.ts";

type Merger = (base: Tree, over: Tree, path: TreePath) => Tree;

const specials = new PathTable<Merger>({
  "networks.*.ipam.config": mergeIpam,
  "networks.*.labels": appendEntries,
  "volumes.*.labels": appendEntries,
  "services.*.annotations": appendEntries,
  "services.*.build": mergeBuild,
  "services.*.build.args": appendEntries,
  "services.*.build.additional_contexts": appendEntries,
  "services.*.build.extra_hosts": appendHosts,
  "services.*.build.labels": appendEntries,
  "services.*.command": replace,
  "services.*.depends_on": mergeDependsOn,
  "services.*.deploy.labels": appendEntries,
  "services.*.dns": appendEntries,
  "services.*.dns_opt": appendEntries,
  "services.*.dns_search": appendEntries,
  "services.*.entrypoint": replace,
  "services.*.env_file": appendEntries,
  "services.*.label_file": appendEntries,
  "services.*.environment": appendEntries,
  "services.*.extra_hosts": appendHosts,
  "services.*.healthcheck.test": replace,
  "services.*.labels": appendEntries,
  "services.*.logging": mergeLogging,
  "services.*.networks": mergeNetworks,
  "services.*.sysctls": appendEntries,
  "services.*.tmpfs": appendEntries,
  "services.*.ulimits.*": replace,
});

/** The file `base` with `over` on top; neither is changed. Throws {@link ComposeError} where the two do not fit. */
export function mergeFiles(base: TreeMap, over: TreeMap): TreeMap {
  return mergeMaps(base, over, []);
}

/** The service `base` with what a service that extends it says. */
export function mergeServices(base: TreeMap, over: TreeMap): TreeMap {
  return mergeMaps(base, over, ["services", "x"]);
}

function mergeTrees(base: Tree, over: Tree, path: TreePath): Tree {
  const special = specials.get(path);
  if (special !== undefined) return special(base, over, path);
  if (over === null) return base;
  if (isMap(base)) {
    if (!isMap(over)) throw new ComposeError(`cannot override ${path.join(".")}`, { exitCode: 15 });
    return mergeMaps(base, over, path);
  }
  if (Array.isArray(base)) {
    if (!Array.isArray(over)) throw new ComposeError(`cannot override ${path.join(".")}`, { exitCode: 15 });
    return [...base, ...over];
  }
  return over;
}

function mergeMaps(base: TreeMap, over: TreeMap, path: TreePath): TreeMap {
  const merged = treeMap(Object.entries(base));
  for (const [key, value] of Object.entries(over)) {
    const earlier = merged[key];
    merged[key] =
      earlier === undefined || key.startsWith("x-") ? value : mergeTrees(earlier, value, [...path, key]);
  }
  return merged;
}

function replace(_base: Tree, over: Tree): Tree {
  return over;
}

function appendEntries(base: Tree, over: Tree): Tree {
  return [...toEntries(base), ...toEntries(over)];
}

function appendHosts(base: Tree, over: Tree): Tree {
  const first = toEntries(base);
  return [...first, ...toEntries(over).filter((entry) => !first.includes(entry))];
}

/** `{A: 1}` as `["A=1"]`. */
function toEntries(value: Tree): Tree[] {
  if (Array.isArray(value)) return value;
  if (typeof value === "string") return [value];
  if (!isMap(value)) return [];
  const entries: string[] = [];
  for (const [key, each] of Object.entries(value)) {
    if (each === null) entries.push(key);
    else for (const one of Array.isArray(each) ? each : [each]) entries.push(`${key}=${sprint(one)}`);
  }
  return entries.sort();
}

function mergeBuild(base: Tree, over: Tree, path: TreePath): Tree {
  return mergeMaps(toBuild(base), toBuild(over), path);
}

function toBuild(value: Tree): TreeMap {
  if (typeof value === "string") return treeMap([["context", value]]);
  return isMap(value) ? value : treeMap();
}

function mergeDependsOn(base: Tree, over: Tree, path: TreePath): Tree {
  const byDefault = treeMap([
    ["condition", "service_started"],
    ["required", true],
  ]);
  return mergeMaps(toMap(base, byDefault), toMap(over, byDefault), path);
}

function mergeNetworks(base: Tree, over: Tree, path: TreePath): Tree {
  return mergeMaps(toMap(base, null), toMap(over, null), path);
}

function toMap(value: Tree, byDefault: Tree): TreeMap {
  if (isMap(value)) return value;
  if (!Array.isArray(value)) return treeMap();
  return treeMap(value.map((name) => [sprint(name), cloneTree(byDefault)] as const));
}

function mergeLogging(base: Tree, over: Tree, path: TreePath): Tree {
  if (!isMap(base)) return over;
  if (!isMap(over)) return base;
  const isOther = "driver" in base && "driver" in over && base["driver"] !== over["driver"];
  return isOther ? over : mergeMaps(base, over, path);
}

/** Pools of addresses are the same when their subnets are. */
function mergeIpam(base: Tree, over: Tree, path: TreePath): Tree {
  if (!Array.isArray(base) || !Array.isArray(over)) return over;
  const pools: TreeMap[] = [];
  const put = (pool: TreeMap): void => {
    const index = pools.findIndex((each) => each["subnet"] === pool["subnet"]);
    if (index < 0) pools.push(pool);
    else pools[index] = pool;
  };
  for (const original of base.filter(isMap)) {
    for (const other of over.filter(isMap)) {
      if (other["subnet"] === original["subnet"]) put(mergeMaps(original, other, path));
      else if (!pools.some((each) => each["subnet"] === other["subnet"])) pools.push(other);
    }
  }
  return pools;
}

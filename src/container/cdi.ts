/**
 * Devices by the Container Device Interface (CDI specification 1.0, SPEC.md): files of the host in JSON or YAML say what a
 * container needs for a device such as `vendor.com/gpu=0`: nodes, mounts, environment, hooks and groups.
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { EngineError, errorText, invalidArgument } from "../base/errors.ts";
import { log } from "../base/log.ts";
import type {
  DeviceCgroupRule,
  RuntimeDevice,
  RuntimeHook,
  RuntimeHooks,
  RuntimeMount,
} from "../oci/runtime-spec.ts";
import { deviceNumbers } from "./devices.ts";

interface CdiDeviceNode {
  readonly path: string;
  readonly hostPath?: string;
  readonly type?: string;
  readonly major?: number;
  readonly minor?: number;
  readonly fileMode?: number;
  readonly permissions?: string;
  readonly uid?: number;
  readonly gid?: number;
}

interface CdiEdits {
  readonly env?: readonly string[];
  readonly deviceNodes?: readonly CdiDeviceNode[];
  readonly mounts?: readonly {
    readonly hostPath: string;
    readonly containerPath: string;
    readonly type?: string;
    readonly options?: readonly string[];
  }[];
  readonly hooks?: readonly (RuntimeHook & { readonly hookName: string })[];
  readonly additionalGids?: readonly number[];
}

interface CdiSpec {
  readonly kind: string;
  readonly containerEdits?: CdiEdits;
  readonly devices: readonly { readonly name: string; readonly containerEdits?: CdiEdits }[];
}

/** What the devices of a container change in its OCI configuration. */
export interface DeviceEdits {
  readonly env: string[];
  readonly devices: RuntimeDevice[];
  readonly rules: DeviceCgroupRule[];
  readonly mounts: RuntimeMount[];
  readonly hooks: RuntimeHooks;
  readonly additionalGids: number[];
}

/** Definition `DeviceRequest` of the Engine API: `--gpus`, and `--device` with a CDI name. */
export interface DeviceRequest {
  readonly Driver?: string;
  /** -1 for all. */
  readonly Count?: number;
  readonly DeviceIDs?: readonly string[] | null;
  readonly Capabilities?: readonly (readonly string[])[] | null;
}

interface KnownDevice {
  readonly spec: CdiSpec;
  readonly edits: CdiEdits;
}

/**
 * What a container's device requests come to. What a later directory has goes before the same device in an earlier one. Throws `invalidArgument` with Docker's words for a device that no
 * specification has and for a request that no driver serves.
 */
export async function deviceEdits(
  requests: readonly DeviceRequest[],
  directories: readonly string[],
): Promise<DeviceEdits> {
  const known = await readDevices(directories);
  const names = requests.flatMap((request) => requestedNames(request, known));
  const missing = names.filter((name) => !known.has(name));
  if (missing.length > 0)
    throw invalidArgument(`CDI device injection failed: unresolvable CDI devices ${missing.join(", ")}`);
  const result: DeviceEdits = { env: [], devices: [], rules: [], mounts: [], hooks: {}, additionalGids: [] };
  const specs = new Set<CdiSpec>();
  for (const name of new Set(names)) {
    const { spec, edits } = known.get(name)!;
    applyEdits(edits, result);
    specs.add(spec);
  }
  for (const { containerEdits } of specs) applyEdits(containerEdits ?? {}, result);
  return result;
}

function requestedNames(request: DeviceRequest, known: ReadonlyMap<string, KnownDevice>): string[] {
  const { Driver: driver = "", DeviceIDs, Capabilities } = request;
  const ids = [...(DeviceIDs ?? [])];
  if (driver === "cdi") return ids;
  const capabilities = Capabilities ?? [];
  const kind = capabilities.some((list) => list.includes("gpu")) ? gpuKind(driver, known) : undefined;
  if (kind === undefined) {
    const list = capabilities.map((words) => `[${words.join(" ")}]`).join(" ");
    throw invalidArgument(
      `could not select device driver ${JSON.stringify(driver)} with capabilities: [${list}]`,
    );
  }
  if (ids.length > 0) return ids.map((id) => (id.includes("=") ? id : `${kind}=${id}`));
  const all = [...known.keys()].filter((name) => name.startsWith(`${kind}=`));
  const single = all
    .filter((name) => name !== `${kind}=all`)
    .sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  const count = request.Count ?? 0;
  if (count < 0) return all.includes(`${kind}=all`) ? [`${kind}=all`] : single;
  if (count > single.length)
    throw invalidArgument(`could not select ${count} devices of ${kind}: there are ${single.length}`);
  return single.slice(0, count);
}

/** The kind of a host's GPUs: `nvidia.com/gpu` goes before others; a driver's name is the start of its vendor. */
function gpuKind(driver: string, known: ReadonlyMap<string, KnownDevice>): string | undefined {
  const kinds = [...new Set([...known.keys()].map((name) => name.slice(0, name.indexOf("="))))]
    .filter((kind) => kind.endsWith("/gpu") && kind.startsWith(driver))
    .sort();
  return kinds.find((kind) => kind.startsWith("nvidia.com/")) ?? kinds[0];
}

/** Every device that the directories describe, by its full name. A file that cannot be read is logged and left out. */
async function readDevices(directories: readonly string[]): Promise<Map<string, KnownDevice>> {
  const known = new Map<string, KnownDevice>();
  for (const directory of directories)
    for (const name of namesOfSpecs(directory)) {
      const path = join(directory, name);
      try {
        const spec = await readSpec(path);
        for (const device of spec.devices)
          known.set(`${spec.kind}=${device.name}`, { spec, edits: device.containerEdits ?? {} });
      } catch (error) {
        log.warn("a CDI specification cannot be read", { file: path, error: errorText(error) });
      }
    }
  return known;
}

function namesOfSpecs(directory: string): string[] {
  try {
    return readdirSync(directory)
      .filter((name) => /\.(json|ya?ml)$/.test(name))
      .sort();
  } catch {
    return [];
  }
}

async function readSpec(path: string): Promise<CdiSpec> {
  const text = readFileSync(path, "utf8");
  const value = (
    path.endsWith(".json") ? JSON.parse(text) : (await import("yaml")).parse(text)
  ) as Partial<CdiSpec>;
  const { kind, devices } = value;
  if (typeof kind !== "string" || !/^[^/=\s]+\/[^/=\s]+$/.test(kind) || !Array.isArray(devices))
    throw new Error("it has no kind such as vendor.com/class, or no list of devices");
  return value as CdiSpec;
}

function applyEdits(edits: CdiEdits, into: DeviceEdits): void {
  into.env.push(...(edits.env ?? []));
  into.additionalGids.push(...(edits.additionalGids ?? []));
  for (const node of edits.deviceNodes ?? []) {
    const device = nodeDevice(node);
    into.devices.push(device);
    const { type, major, minor } = device;
    into.rules.push({ allow: true, type, major, minor, access: node.permissions || "rwm" });
  }
  for (const { hostPath, containerPath, type, options } of edits.mounts ?? [])
    into.mounts.push({
      destination: containerPath,
      type: type || "bind",
      source: hostPath,
      options: [...(options ?? ["rbind", "rprivate", "ro"])],
    });
  for (const { hookName, ...hook } of edits.hooks ?? [])
    (into.hooks[hookName as keyof RuntimeHooks] ??= []).push(hook);
}

/** What the specification leaves out is the host's own. */
function nodeDevice(node: CdiDeviceNode): RuntimeDevice {
  const onHost = node.hostPath || node.path;
  const stat = statSync(onHost, { throwIfNoEntry: false });
  if (stat === undefined || (!stat.isCharacterDevice() && !stat.isBlockDevice())) {
    if (node.type === undefined || node.major === undefined)
      throw new EngineError(
        "unavailable",
        `CDI device injection failed: ${onHost} is no device of this host`,
      );
  }
  const numbers = stat === undefined ? { major: 0, minor: 0 } : deviceNumbers(stat);
  return {
    path: node.path,
    type: (node.type ?? (stat?.isBlockDevice() === true ? "b" : "c")) === "b" ? "b" : "c",
    major: node.major ?? numbers.major,
    minor: node.minor ?? numbers.minor,
    fileMode: node.fileMode ?? (stat === undefined ? 0o666 : stat.mode & 0o7777),
    uid: node.uid ?? stat?.uid ?? 0,
    gid: node.gid ?? stat?.gid ?? 0,
  };
}

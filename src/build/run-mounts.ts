/** `RUN --mount`: what is mounted for one command and gone after it. */
import { chmodSync, chownSync, existsSync, mkdirSync, renameSync, rmSync, statSync } from "node:fs";
import { join, posix } from "node:path";
import { invalidArgument, notFound } from "../base/errors.ts";
import type { KeyedLock } from "../base/keyed-lock.ts";
import { resolveInRoot } from "../linux/resolve-in-root.ts";
import { byteStringOf } from "../oci/tar-reader.ts";
import type { RuntimeMount } from "../oci/runtime-spec.ts";
import { openAgentSocket } from "./agent-socket.ts";
import type { BuildRequest } from "./build.ts";
import type { CacheStore } from "./cache-store.ts";
import type { RunMount } from "./dockerfile/ast.ts";
import type { FileTree } from "./files/file-tree.ts";
import { cleanParts } from "./files/file-tree.ts";
import { layerTar } from "./files/layer-tar.ts";
import { LayerPlan } from "./files/place.ts";
import { selectionDigest, selectSources } from "./files/select.ts";
import type { BuildHost } from "./host.ts";
import { hashParts, mountSnapshot, snapshotKey, stepsDirectory, unmountSnapshot } from "./layers.ts";
import { nowNs } from "./progress.ts";
import { writePrivateFile } from "./run-step.ts";

/** Where a mount's files come from. */
export interface MountOrigin {
  readonly tree: FileTree;
  /** Top layer, when it is a stack of layers; else the files are taken out of `tree`. */
  readonly chainId: string | undefined;
  readonly isLayers: boolean;
  readonly name: string;
}

export interface MountPreparation {
  readonly host: BuildHost;
  readonly cache: CacheStore;
  readonly cacheLocks: KeyedLock;
  readonly request: BuildRequest;
  readonly stepId: string;
  readonly workingDirectory: string;
  readonly undo: AsyncDisposableStack;
  origin(from: string | undefined): Promise<MountOrigin>;
}

export interface PreparedMounts {
  readonly mounts: RuntimeMount[];
  readonly env: string[];
}

/** Where a mount goes, absolute. */
function mountTarget(mount: RunMount, workingDirectory: string): string {
  const target =
    mount.target ??
    (mount.type === "secret"
      ? `/run/secrets/${posix.basename(mount.id ?? "")}`
      : mount.type === "ssh"
        ? "/run/buildkit/ssh_agent.0"
        : "");
  if (target === "") throw invalidArgument(`a mount of type ${mount.type} needs a target`);
  return posix.resolve(workingDirectory === "" ? "/" : workingDirectory, target);
}

/** What of a mount decides whether a step is the same: files by their content, secrets never. */
export async function mountKey(
  mount: RunMount,
  workingDirectory: string,
  origin: (from: string | undefined) => Promise<MountOrigin>,
): Promise<string> {
  const { type, source, readonly: isReadOnly, sizeBytes, id, sharing, env, mode, uid, gid } = mount;
  const target = mount.target === undefined && type === "secret" ? "" : mountTarget(mount, workingDirectory);
  const parts = [type, target, source, String(isReadOnly), String(sizeBytes), id, sharing, env];
  const rights = [mode, uid, gid].map(String);
  if (type !== "bind" && (type !== "cache" || mount.from === undefined))
    return hashParts([...parts, ...rights]);
  const { tree, name } = await origin(mount.from);
  const selections = selectSources(tree, {
    sources: [source ?? "/"],
    parents: false,
    isExcluded: undefined,
    treeName: name,
  });
  return hashParts([...parts, ...rights, selectionDigest(tree, selections)]);
}

/** Makes everything ready; each undo is on `preparation.undo`. */
export async function prepareMounts(
  mounts: readonly RunMount[],
  preparation: MountPreparation,
): Promise<PreparedMounts> {
  const prepared: PreparedMounts = { mounts: [], env: [] };
  await lockCaches(mounts, preparation);
  let agents = 0;
  for (const mount of mounts) {
    const target =
      mount.type === "secret" && mount.target === undefined && mount.env !== undefined
        ? undefined
        : mountTarget(
            mount.type === "ssh" && mount.target === undefined
              ? { ...mount, target: `/run/buildkit/ssh_agent.${agents}` }
              : mount,
            preparation.workingDirectory,
          );
    if (mount.type === "secret") await addSecret(mount, target, preparation, prepared);
    else if (mount.type === "ssh") {
      await addAgent(mount, { target: target!, index: agents }, preparation, prepared);
      agents += 1;
    } else if (mount.type === "tmpfs") prepared.mounts.push(tmpfs(mount, target!));
    else if (mount.type === "cache") prepared.mounts.push(await cacheMount(mount, target!, preparation));
    else prepared.mounts.push(await bindMount(mount, target!, preparation));
  }
  return prepared;
}

const bind = (source: string, destination: string, access: "ro" | "rw"): RuntimeMount => ({
  destination,
  type: "bind",
  source,
  options: ["rbind", "rprivate", access],
});

function tmpfs({ sizeBytes }: RunMount, destination: string): RuntimeMount {
  const size = sizeBytes === undefined ? [] : [`size=${sizeBytes}`];
  return { destination, type: "tmpfs", source: "tmpfs", options: ["nosuid", "nodev", "mode=1777", ...size] };
}

function privateDirectory({ host, stepId }: MountPreparation): string {
  const directory = join(stepsDirectory(host), stepId, "private");
  mkdirSync(directory, { recursive: true, mode: 0o711 });
  return directory;
}

async function addSecret(
  mount: RunMount,
  target: string | undefined,
  preparation: MountPreparation,
  prepared: PreparedMounts,
): Promise<void> {
  const id = mount.id ?? posix.basename(mount.target ?? "");
  const data = await preparation.request.secrets?.get(id);
  if (data === undefined) {
    if (mount.required)
      throw notFound(`secret ${id}: not found`, { hint: `Give it with --secret id=${id}.` });
    return;
  }
  if (mount.env !== undefined) prepared.env.push(`${mount.env || id}=${Buffer.from(data).toString()}`);
  if (target === undefined) return;
  // On the exec root, which is a tmpfs: a secret never reaches a disk.
  const path = join(privateDirectory(preparation), `secret-${prepared.mounts.length}`);
  writePrivateFile(path, data, { uid: mount.uid ?? 0, gid: mount.gid ?? 0, mode: mount.mode ?? 0o400 });
  prepared.mounts.push(bind(path, target, "ro"));
}

async function addAgent(
  mount: RunMount,
  place: { readonly target: string; readonly index: number },
  preparation: MountPreparation,
  prepared: PreparedMounts,
): Promise<void> {
  const { ssh } = preparation.request;
  const id = mount.id ?? "default";
  if (ssh === undefined || !(await ssh.has(id))) {
    if (mount.required)
      throw notFound(`no SSH key ${JSON.stringify(id)} forwarded from the client`, {
        hint: `Give it with --ssh ${id}.`,
      });
    return;
  }
  const directory = privateDirectory(preparation);
  const name = `agent-${place.index}.sock`;
  const { path } = preparation.undo.use(await openAgentSocket(ssh, id, { directory, name }));
  chownSync(path, mount.uid ?? 0, mount.gid ?? 0);
  chmodSync(path, mount.mode ?? 0o600);
  prepared.mounts.push(bind(path, place.target, "rw"));
  if (place.index === 0) prepared.env.push(`SSH_AUTH_SOCK=${place.target}`);
}

const cacheName = (mount: RunMount, target: string): string =>
  hashParts([mount.id ?? target, mount.from, mount.source]).slice(0, 32);

/** Waits for the caches that one step at a time may use; always in the same order, so that no two wait for each other. */
async function lockCaches(
  mounts: readonly RunMount[],
  { cacheLocks, undo, workingDirectory }: MountPreparation,
): Promise<void> {
  const names = mounts
    .filter(({ type, sharing }) => type === "cache" && sharing === "locked")
    .map((mount) => cacheName(mount, mountTarget(mount, workingDirectory)));
  for (const name of [...new Set(names)].sort()) undo.use(await cacheLocks.acquire(name));
}

/** One directory a cache; `locked` waits for it, `private` takes another one when it is in use. */
async function cacheMount(
  mount: RunMount,
  target: string,
  preparation: MountPreparation,
): Promise<RuntimeMount> {
  const { host, cache, undo } = preparation;
  const id = mount.id ?? target;
  const base = cacheName(mount, target);
  let name = base;
  if (mount.sharing === "private") {
    for (let index = 0; cache.isHeld(`mount:${name}`); index += 1) name = `${base}-${index}`;
    undo.use(cache.hold(`mount:${name}`));
  }
  const directory = join("cache-mounts", name);
  const place = join(host.config.dataRoot, "build", directory);
  if (!existsSync(place)) {
    using _filling = await preparation.cacheLocks.acquire(`fill ${name}`);
    if (!existsSync(place)) await fillCacheMount(mount, place, preparation);
  }
  const key = `mount:${name}`;
  const record =
    cache.find(key) ??
    cache.put([key], {
      type: "exec.cachemount",
      description: `cached mount ${target} from exec with id ${JSON.stringify(id)}`,
      layers: [],
      directory,
      parents: [],
      sizeBytes: 0,
      createdAt: new Date().toISOString(),
    });
  undo.use(cache.hold(record.id));
  undo.defer(() => cache.touch(record.id));
  return bind(place, target, mount.readonly ? "ro" : "rw");
}

/** Makes a cache's directory, whole or not at all: what is there is never filled again. */
async function fillCacheMount(mount: RunMount, place: string, preparation: MountPreparation): Promise<void> {
  const fresh = `${place}.new`;
  rmSync(fresh, { recursive: true, force: true });
  try {
    mkdirSync(fresh, { recursive: true, mode: 0o755 });
    let own = { uid: 0, gid: 0, mode: 0o755 };
    if (mount.from !== undefined) {
      const { copyTree } = await import("../linux/copy-tree.ts");
      const source = await bindSource({ ...mount, readonly: true }, preparation);
      copyTree(source, fresh);
      own = statSync(source);
    }
    chownSync(fresh, mount.uid ?? own.uid, mount.gid ?? own.gid);
    chmodSync(fresh, mount.mode ?? own.mode & 0o7777);
    renameSync(fresh, place);
  } catch (error) {
    rmSync(fresh, { recursive: true, force: true });
    throw error;
  }
}

async function bindMount(
  mount: RunMount,
  target: string,
  preparation: MountPreparation,
): Promise<RuntimeMount> {
  return bind(await bindSource(mount, preparation), target, mount.readonly ? "ro" : "rw");
}

/** A path with the files; what is written there is dropped after the step. */
async function bindSource(mount: RunMount, preparation: MountPreparation): Promise<string> {
  const wanted = { source: mount.source ?? "/", isReadOnly: mount.readonly };
  return placeFiles(await preparation.origin(mount.from), wanted, preparation);
}

/** Puts what is at a path of an origin's on this machine until `undo`. Throws `notFound`. */
export async function placeFiles(
  { tree, chainId, isLayers, name }: MountOrigin,
  { source, isReadOnly }: { readonly source: string; readonly isReadOnly: boolean },
  { host, undo }: Pick<MountPreparation, "host" | "undo">,
): Promise<string> {
  let key = chainId;
  if (!isLayers || !isReadOnly || chainId === undefined) {
    key = snapshotKey();
    host.snapshotter.prepare(key, isLayers ? chainId : undefined);
    undo.defer(() => host.snapshotter.remove(key!));
    if (!isLayers) await unpackTree(host, key, { tree, source, name });
  }
  const root = mountSnapshot(host, key!);
  undo.defer(() => unmountSnapshot(root));
  const path = resolveInRoot(root, source);
  if (!existsSync(path)) throw notFound(`${source}: not found in ${name}`);
  return path;
}

async function unpackTree(
  host: BuildHost,
  key: string,
  { tree, source, name }: { readonly tree: FileTree; readonly source: string; readonly name: string },
): Promise<void> {
  const path = `/${cleanParts(source).join("/")}`;
  const selections = selectSources(tree, {
    sources: [path],
    parents: false,
    isExcluded: undefined,
    treeName: name,
  });
  const isDirectory = selections[0]?.top.type === "directory";
  const destination = isDirectory ? `${path === "/" ? "" : path}/` : path;
  const plan = new LayerPlan(
    { stat: () => undefined, list: () => [], read: () => [], digest: () => byteStringOf("") },
    { destination, owner: undefined, chmod: undefined, nowNs: nowNs(), timeNs: undefined },
  );
  plan.add(tree, selections);
  async function* pieces(): AsyncGenerator<Buffer> {
    yield* layerTar(plan.items);
  }
  await host.snapshotter.unpackInto(key, pieces());
}

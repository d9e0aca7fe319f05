/** Unpacked layers and writable layers against the records, and against the blobs that layers were unpacked from. */
import { existsSync, lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { errorText } from "../../base/errors.ts";
import { decompress } from "../../image/decompress.ts";
import { chainIds } from "../../oci/chain-id.ts";
import { isDigest, parseDigest } from "../../oci/digest.ts";
import { byteStringOf } from "../../oci/tar-reader.ts";
import { verifyLayer } from "../../snapshot/verify-layer.ts";
import { type CheckedStore, type Found, imageName } from "./store.ts";
import { createReadStream } from "node:fs";

interface Layer {
  readonly chainId: string;
  readonly parent: string | undefined;
  /** Its directory. */
  readonly path: string;
  readonly link: string | undefined;
  /** The driver's directory. */
  readonly root: string;
}

export interface LayerCheck {
  readonly found: Found[];
  readonly count: number;
}

/** Where a layer's bytes come from, and who needs it. */
interface Need {
  readonly blob: string;
  readonly users: string[];
}

/** `good`: the blobs that are whole; without `verify` the layers' files are not looked at. */
export async function checkLayers(
  store: CheckedStore,
  options: { readonly verify: boolean; readonly good: ReadonlySet<string>; readonly signal: AbortSignal },
): Promise<LayerCheck> {
  const found: Found[] = [];
  const layers = new Map<string, Layer>();
  const active = new Map<string, string | undefined>();
  for (const root of driverRoots(store)) {
    readLayers(root, layers, found);
    readActive(root, active);
    if (store.live === undefined) found.push(...halfMade(root));
  }
  const needed = neededLayers(store);
  const pinned = new Set(store.pins());
  const below = new Set([...[...layers.values()].map(({ parent }) => parent), ...active.values()]);
  for (const { chainId } of layers.values())
    if (
      !needed.has(chainId) &&
      !pinned.has(chainId) &&
      !below.has(chainId) &&
      store.live?.isHeld(chainId) !== true
    )
      found.push({
        kind: "layer-orphan",
        object: chainId,
        message: "no image, container or build step needs this layer",
      });
  found.push(...missingLayers(needed, layers, options.good));
  for (const layer of layers.values()) found.push(...checkLink(layer));
  for (const root of driverRoots(store)) found.push(...orphanLinks(root, layers));
  found.push(...checkActive(store, active, { layers, needed }));
  if (options.verify)
    for (const layer of layers.values()) {
      options.signal.throwIfAborted();
      const blob = needed.get(layer.chainId)?.blob;
      if (blob !== undefined && options.good.has(blob))
        found.push(...(await compareWithBlob(store, { layer, layers, blob })));
    }
  return { found, count: layers.size };
}

function driverRoots({ dataRoot }: CheckedStore): string[] {
  const root = join(dataRoot, "snapshots");
  if (!existsSync(root)) return [];
  return readdirSync(root)
    .map((name) => join(root, name))
    .filter((path) => existsSync(join(path, "layers")));
}

function readLayers(root: string, layers: Map<string, Layer>, found: Found[]): void {
  for (const name of readdirSync(join(root, "layers"))) {
    const path = join(root, "layers", name);
    const record = readRecord(path);
    if (record === undefined || parseDigest(record.chainId).hex !== name) {
      if (existsSync(path))
        found.push({ kind: "layer-unreadable", object: path, message: "this layer's record cannot be read" });
      continue;
    }
    layers.set(record.chainId, { ...record, path, root });
  }
}

function readRecord(path: string): Pick<Layer, "chainId" | "parent" | "link"> | undefined {
  try {
    const record = JSON.parse(readFileSync(join(path, "record.json"), "utf8")) as Layer;
    return isDigest(record.chainId)
      ? { chainId: record.chainId, parent: record.parent, link: record.link }
      : undefined;
  } catch {
    return undefined;
  }
}

function readActive(root: string, active: Map<string, string | undefined>): void {
  for (const name of readdirSync(join(root, "active"))) {
    const parent = readLink(join(root, "active", name, "parent"));
    active.set(name, parent === "none" ? undefined : parent);
  }
}

function halfMade(root: string): Found[] {
  const messages = {
    tmp: "a layer that was never finished",
    trash: "a layer that is not deleted yet",
    unreadable: "the files of a layer whose record could not be read",
  };
  return Object.entries(messages).flatMap(([place, message]) =>
    (existsSync(join(root, place)) ? readdirSync(join(root, place)) : []).map((name): Found => ({
      kind: "layer-unreadable",
      object: join(root, place, name),
      message,
    })),
  );
}

function neededLayers(store: CheckedStore): Map<string, Need> {
  const needed = new Map<string, Need>();
  for (const image of store.images.list())
    for (const [index, chainId] of chainIds(image.config.rootfs.diff_ids).entries()) {
      const need = needed.get(chainId) ?? { blob: image.manifest.layers[index]?.digest ?? "", users: [] };
      need.users.push(imageName(image));
      needed.set(chainId, need);
    }
  return needed;
}

function missingLayers(
  needed: ReadonlyMap<string, Need>,
  layers: ReadonlyMap<string, Layer>,
  good: ReadonlySet<string>,
): Found[] {
  const found: Found[] = [];
  for (const [chainId, { blob, users }] of needed) {
    if (layers.has(chainId)) continue;
    const isRepairable = good.has(blob);
    found.push({
      kind: "layer-missing",
      object: chainId,
      message: `this layer is not unpacked; needed by ${users.join(", ")}`,
      isRepairable,
      ...(isRepairable ? {} : { remedy: `gantry pull ${users[0]}` }),
    });
  }
  return found;
}

function checkLink({ chainId, link, root, path }: Layer): Found[] {
  if (link === undefined) return [];
  const leadsTo = readLink(join(root, "l", link));
  if (leadsTo !== undefined && join(root, "l", leadsTo) === join(path, "diff")) return [];
  return [
    { kind: "layer-link-missing", object: chainId, message: `its short name ${link} does not lead to it` },
  ];
}

function orphanLinks(root: string, layers: ReadonlyMap<string, Layer>): Found[] {
  const directory = join(root, "l");
  if (!existsSync(directory)) return [];
  const used = new Set([...layers.values()].map(({ link }) => link));
  return readdirSync(directory)
    .filter((name) => !used.has(name))
    .map((name) => ({
      kind: "layer-link-orphan",
      object: join(directory, name),
      message: "a short name of no layer",
    }));
}

/** Writable layers without a container, containers without theirs, and those that stand on nothing. */
function checkActive(
  store: CheckedStore,
  active: ReadonlyMap<string, string | undefined>,
  { layers, needed }: { layers: ReadonlyMap<string, Layer>; needed: ReadonlyMap<string, Need> },
): Found[] {
  const found: Found[] = [];
  for (const key of active.keys()) {
    // Steps of builds that run.
    if (store.live !== undefined && key.startsWith("build-")) continue;
    // It is told with the rest of the container.
    if (store.containers.unrecorded(key) !== undefined) continue;
    if (store.containers.byId(key) === undefined && store.live?.isBusy(key) !== true)
      found.push({ kind: "snapshot-orphan", object: key, message: "a writable layer of no container" });
  }
  for (const { id, name } of store.containers.list()) {
    const lost = (what: string): Found => ({
      kind: "container-layer-missing",
      object: name,
      message: what,
      remedy: `gantry rm ${name}, and make it anew: its own files are lost`,
    });
    if (!active.has(id)) found.push(lost("its writable layer is not there"));
    for (let layer = active.get(id); layer !== undefined; layer = layers.get(layer)?.parent)
      if (!layers.has(layer)) {
        // What an image has is told once.
        if (!needed.has(layer)) found.push(lost(`the layer ${layer} that it stands on is not there`));
        break;
      }
  }
  return found;
}

async function compareWithBlob(
  store: CheckedStore,
  { layer, layers, blob }: { layer: Layer; layers: ReadonlyMap<string, Layer>; blob: string },
): Promise<Found[]> {
  const isOverlay = !/\/(vfs|btrfs)$/.test(layer.root);
  const lowers: string[] = [];
  for (let at = isOverlay ? layer.parent : undefined; at !== undefined; at = layers.get(at)?.parent) {
    const lower = layers.get(at);
    if (lower !== undefined) lowers.push(byteStringOf(join(lower.path, "diff")));
  }
  const { algorithm, hex } = parseDigest(blob);
  const source = createReadStream(join(store.dataRoot, "content/blobs", algorithm, hex), {
    highWaterMark: 256 * 1024,
  });
  try {
    const differences = await verifyLayer(decompress(source), {
      root: byteStringOf(join(layer.path, "diff")),
      form: isOverlay ? "overlay" : "merged",
      lowers,
    });
    if (differences.length === 0) return [];
    const more = differences.length > 1 ? ` (and ${differences.length - 1} more)` : "";
    return [{ kind: "layer-damaged", object: layer.chainId, message: `${differences[0]}${more}` }];
  } catch (error) {
    // It went meanwhile, with the image that it was of.
    if (!existsSync(layer.path) || !existsSync(join(store.dataRoot, "content/blobs", algorithm, hex)))
      return [];
    return [
      { kind: "layer-damaged", object: layer.chainId, message: `it cannot be compared: ${errorText(error)}` },
    ];
  } finally {
    source.destroy();
  }
}

function readLink(path: string): string | undefined {
  try {
    return lstatSync(path).isSymbolicLink() ? readlinkSync(path) : undefined;
  } catch {
    return undefined;
  }
}

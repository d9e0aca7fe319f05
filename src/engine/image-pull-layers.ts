/** Configuration and layers of an image that is being pulled: several on their way at once, unpacked in their order. */
import { invalidArgument } from "../base/errors.ts";
import { crashpoint } from "../base/failpoint.ts";
import { checkRoom } from "../image/layer-limits.ts";
import { maxMetadataBytes, readMetadata, registerImage, type StoredImage } from "../image/register.ts";
import { parseImageConfig } from "../image/parse.ts";
import { chainIds } from "../oci/chain-id.ts";
import type { Descriptor, ImageConfigFile, ImageManifest } from "../oci/image-spec.ts";
import type { RegistrySession } from "../registry/session.ts";
import type { DownloadWatcher } from "./blob-downloads.ts";
import type { ImageContext } from "./image-context.ts";
import { amountReporter, type Report } from "./progress-report.ts";

interface Source {
  readonly sessions: readonly RegistrySession[];
  readonly signal: AbortSignal;
}

const nobody: DownloadWatcher = { onWaiting() {}, onProgress() {}, onRetry() {} };

/** The image's configuration, fetched when it is not here. Throws `invalidArgument` for one that does not fit the manifest. */
export async function fetchConfig(
  context: ImageContext,
  { manifest, sessions, signal }: Source & { readonly manifest: ImageManifest },
): Promise<ImageConfigFile> {
  const descriptor = manifest.config;
  if (descriptor.size > maxMetadataBytes)
    throw invalidArgument(
      `image configuration ${descriptor.digest} is larger than ${maxMetadataBytes} bytes`,
    );
  await context.downloads.fetch({ sessions, descriptor, watcher: nobody, signal });
  const what = `image configuration ${descriptor.digest}`;
  crashpoint("image-pull.config-stored");
  const config = parseImageConfig(
    what,
    readMetadata(context.content, "image configuration", descriptor.digest),
  );
  if (config.rootfs.diff_ids.length !== manifest.layers.length)
    throw invalidArgument(
      `the manifest has ${manifest.layers.length} layers, its configuration has ${config.rootfs.diff_ids.length}`,
    );
  return config;
}

export interface LayersToFetch extends Source {
  readonly image: StoredImage;
  readonly lease: { add(key: string): void };
  readonly report: Report;
}

/** Fetches and unpacks the layers that are not here, and writes the image's record. The first failure ends everything. */
export async function fetchLayers(context: ImageContext, task: LayersToFetch): Promise<void> {
  const { image, lease, report } = task;
  const { layers } = image.manifest;
  const stop = new AbortController();
  const signal = AbortSignal.any([task.signal, stop.signal]);
  const chain = chainIds(image.config.rootfs.diff_ids);
  for (const id of chain) lease.add(id);
  const isHere = layers.map(
    ({ digest }, index) => context.snapshotter.has(chain[index]!) && context.content.has(digest),
  );
  const missingBytes = layers.reduce(
    (sum, { digest, size }) => sum + (context.content.has(digest) ? 0 : size),
    0,
  );
  // Before anything travels: what does not fit packed does not fit at all.
  checkRoom({
    what: `the image has layers of`,
    compressedBytes: missingBytes,
    freeBytes: context.snapshotter.freeBytes(),
  });
  for (const [index, { digest }] of layers.entries())
    report({
      status: isHere[index] ? "Already exists" : "Pulling fs layer",
      progressDetail: {},
      id: lineId(digest),
    });
  const arrivals = layers.map((layer, index) => {
    const arrival = isHere[index] ? Promise.resolve() : fetchLayer(context, layer, { ...task, signal });
    // One that fails ends the others, also the one that is being unpacked.
    arrival.catch((error: unknown) => stop.abort(error));
    return arrival;
  });
  const amounts = layers.map(({ digest, size }) =>
    amountReporter(report, { id: lineId(digest), total: size }),
  );
  const register = registerImage(context, image, lease, {
    ready: (index) => arrivals[index]!,
    onUnpacked: (index, bytes) => amounts[index]!("Extracting", bytes),
    signal,
  });
  try {
    let index = 0;
    for await (const { descriptor } of register) {
      if (!isHere[index++])
        report({ status: "Pull complete", progressDetail: {}, id: lineId(descriptor.digest) });
    }
  } catch (error) {
    task.signal.throwIfAborted();
    throw stop.signal.aborted ? stop.signal.reason : error;
  } finally {
    stop.abort();
    await Promise.allSettled(arrivals);
  }
}

async function fetchLayer(
  context: ImageContext,
  descriptor: Descriptor,
  { sessions, report, signal }: Pick<LayersToFetch, "sessions" | "report" | "signal">,
): Promise<void> {
  const id = lineId(descriptor.digest);
  const amount = amountReporter(report, { id, total: descriptor.size });
  await context.downloads.fetch({
    sessions,
    descriptor,
    watcher: {
      onWaiting: () => report({ status: "Waiting", progressDetail: {}, id }),
      onProgress: (bytes) => amount("Downloading", bytes),
      onRetry: (waitMs) =>
        report({ status: `Retrying in ${Math.ceil(waitMs / 1000)} seconds`, progressDetail: {}, id }),
    },
    signal,
  });
  crashpoint("image-pull.layer-stored");
  report({ status: "Verifying Checksum", progressDetail: {}, id });
  report({ status: "Download complete", progressDetail: {}, id });
}

/** How a layer is named in progress messages: the first digits of its digest. */
function lineId(digest: string): string {
  return digest.slice(digest.indexOf(":") + 1).slice(0, 12);
}

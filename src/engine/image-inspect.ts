import { dirname, join } from "node:path";
import { chainIds } from "../oci/chain-id.ts";
import type { ImageHistoryEntry, ImageInspect } from "../wire/image.ts";
import type { ImageRecord } from "../image/image.ts";
import type { ImageDeps } from "./image-deps.ts";

/** Everything about one image. Throws `notFound`. */
export async function imageInspect(deps: ImageDeps, nameOrId: string): Promise<ImageInspect> {
  const image = deps.images.resolve(nameOrId);
  const { config } = image;
  return {
    Id: image.id,
    RepoTags: [...image.repoTags],
    RepoDigests: [...image.repoDigests],
    Parent: image.parentId ?? "",
    Comment: config.history?.at(-1)?.comment ?? "",
    ...(config.created === undefined ? {} : { Created: config.created }),
    DockerVersion: "",
    Author: config.author ?? "",
    Config: config.config ?? {},
    Architecture: config.architecture,
    ...(config.variant ? { Variant: config.variant } : {}),
    Os: config.os,
    Size: image.sizeBytes,
    GraphDriver: {
      Data: image.chainId === undefined ? null : withMerged(deps.snapshotter.graphData(image.chainId)),
      Name: deps.snapshotter.name,
    },
    RootFS: { Type: "layers", Layers: config.rootfs.diff_ids },
    Metadata: { LastTagTime: image.lastTagTime },
  };
}

/** Docker names a place for the merged view too, though an image is never mounted there. */
function withMerged(data: Record<string, string>): Record<string, string> {
  const upper = data["UpperDir"];
  return upper === undefined ? data : { ...data, MergedDir: join(dirname(upper), "merged") };
}

/** How an image was made, last step first. Steps that are images here (parents) have their ids, as with Docker. */
export async function imageHistory(deps: ImageDeps, nameOrId: string): Promise<ImageHistoryEntry[]> {
  const image = deps.images.resolve(nameOrId);
  const steps = image.config.history ?? [];
  const sizes = await layerSizes(deps, image.config.rootfs.diff_ids);
  let layer = 0;
  const entries = steps.map((step): ImageHistoryEntry => ({
    Id: "<missing>",
    Created: Math.floor((Date.parse(step.created ?? "") || 0) / 1000),
    CreatedBy: step.created_by ?? "",
    Tags: null,
    Size: step.empty_layer === true ? 0 : (sizes[layer++] ?? 0),
    Comment: step.comment ?? "",
  }));
  // Images of other tools may have layers without a history.
  for (; layer < sizes.length; layer++)
    entries.push({
      Id: "<missing>",
      Created: 0,
      CreatedBy: "",
      Tags: null,
      Size: sizes[layer]!,
      Comment: "",
    });
  nameSteps(deps, image, entries);
  return entries.toReversed();
}

/** Gives the last step the image's id, and the steps that its ancestors end with theirs. */
function nameSteps(deps: ImageDeps, image: ImageRecord, entries: readonly ImageHistoryEntry[]): void {
  let end = entries.length;
  let made: ImageRecord | undefined = image;
  while (made !== undefined) {
    const entry = entries[end - 1];
    if (entry === undefined) return;
    if (entry.Id === "<missing>") {
      entry.Id = made.id;
      entry.Tags = made.repoTags.length > 0 ? [...made.repoTags] : null;
    }
    made = made.parentId === undefined ? undefined : deps.images.byId(made.parentId);
    // One with labels of the build's request alone has its parent's history.
    end = Math.min(end, made?.config.history?.length ?? 0);
  }
}

/** Unpacked bytes of each layer. */
async function layerSizes(deps: ImageDeps, diffIds: readonly string[]): Promise<number[]> {
  return Promise.all(
    chainIds(diffIds).map(async (chainId) =>
      deps.snapshotter.has(chainId) ? (await deps.snapshotter.usage(chainId)).sizeBytes : 0,
    ),
  );
}

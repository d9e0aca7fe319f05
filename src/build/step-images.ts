/**
 * Images of single steps, as the classic builder makes them: each the parent of the next, so that what a step printed can
 * be run, and history and `images -a` show them. Those of the target's stage go on record when the build has come to its
 * end; a build that fails leaves nothing.
 */
import { storeManifest } from "../image/build-manifest.ts";
import type { StoredImage } from "../image/register.ts";
import type { ImageConfigFile } from "../oci/image-spec.ts";
import { digestOf } from "../oci/digest.ts";
import { datedHistory } from "./image-config.ts";
import type { Layers } from "./layers.ts";
import { goTime } from "./progress.ts";
import type { SessionParts, StageState } from "./session-parts.ts";

export interface StepImage {
  readonly id: string;
  readonly config: ImageConfigFile;
  readonly layers: Layers;
}

const epochZero = "1970-01-01T00:00:00Z";

/** The configuration file of what a stage has come to. The same build gives the same bytes. */
export function imageFile(
  state: Pick<StageState, "config" | "history" | "layers" | "author" | "imagePlatform">,
  options: { readonly epochNs: bigint | undefined; readonly labels?: Readonly<Record<string, string>> },
): ImageConfigFile {
  const { epochNs } = options;
  const labels = { ...state.config.Labels, ...options.labels };
  const config = { ...state.config, ...(Object.keys(labels).length > 0 ? { Labels: labels } : {}) };
  const history = datedHistory(state.history).map((entry, index) =>
    // Entries of the base keep their times.
    epochNs === undefined || state.history[index]?.created !== undefined
      ? entry
      : { ...entry, created: isoOf(epochNs) },
  );
  const created = epochNs === undefined ? (history.at(-1)?.created ?? epochZero) : isoOf(epochNs);
  const { architecture, os, variant } = state.imagePlatform;
  return {
    architecture,
    os,
    ...(variant === undefined ? {} : { variant }),
    config,
    created,
    ...(state.author === undefined ? {} : { author: state.author }),
    history,
    rootfs: { type: "layers", diff_ids: state.layers.map(({ diffId }) => diffId) },
  };
}

const isoOf = (ns: bigint): string => goTime(new Date(Number(ns / 1_000_000n)));

/** Notes what the last step has come to, if the build keeps that; answers the id of its image. */
export function noteStep(
  { request, epochNs }: Pick<SessionParts, "request" | "epochNs">,
  state: StageState,
): { readonly id?: string } {
  if (request.keepsSteps !== true) return {};
  const config = structuredClone(imageFile(state, { epochNs }));
  const id = digestOf(JSON.stringify(config));
  if (state.steps.at(-1)?.id !== id) state.steps = [...state.steps, { id, config, layers: state.layers }];
  return { id };
}

/** Puts the images of a stage's steps on record, but for the one that is the build's result. Answers that one's parent. */
export async function recordSteps(
  { host, lease }: Pick<SessionParts, "host" | "lease">,
  { baseId, steps }: StageState,
  resultId: string,
): Promise<string | undefined> {
  const made: { readonly id: string; readonly stored: StoredImage | undefined }[] = [];
  for (const { id, config, layers } of steps) {
    if (id === resultId) break;
    const isKnown = host.images.byId(id) !== undefined;
    const image = { config, layers: layers.map(({ descriptor }) => descriptor) };
    made.push({ id, stored: isKnown ? undefined : await storeManifest(host.content, image, lease) });
  }
  // Records come after all that is stored: the first one writes everything to the disk, and the others find it there.
  let parentId = baseId !== undefined && host.images.byId(baseId) !== undefined ? baseId : undefined;
  for (const { id, stored } of made) {
    if (stored !== undefined)
      await host.register({ ...stored, ...(parentId === undefined ? {} : { parentId }) }, lease);
    parentId = id;
  }
  return parentId;
}

import type { ImageRecord } from "../image/image.ts";
import { registerImage, type StoredImage } from "../image/register.ts";
import type { RegistryClient } from "../registry/client.ts";
import { attemptNow } from "./attempt.ts";
import type { Engine } from "./engine.ts";
import { createImageContext } from "./image-context.ts";
import type { ImageDeps } from "./image-deps.ts";
import { type CommitRequest, imageCommit } from "./image-commit.ts";
import { imageImport } from "./image-import.ts";
import { imageHistory, imageInspect } from "./image-inspect.ts";
import { imageList } from "./image-list.ts";
import { checkImagePlatform } from "./image-platform.ts";
import { imageLoad } from "./image-load.ts";
import { distributionInspect } from "./distribution-inspect.ts";
import { imagePull } from "./image-pull.ts";
import { imagePush } from "./image-push.ts";
import { registryLogin } from "./registry-login.ts";
import { imageRemove } from "./image-remove.ts";
import { imageSave } from "./image-save.ts";
import { imageSearch } from "./image-search.ts";
import { imageTag } from "./image-tag.ts";

export type ImageUseCases = Pick<
  Engine,
  | "imageList"
  | "imageCheckPlatform"
  | "imageSearch"
  | "imageInspect"
  | "imageHistory"
  | "imageLoad"
  | "imageSave"
  | "imageImport"
  | "imageTag"
  | "imageRemove"
  | "imagePull"
  | "imagePush"
  | "registryLogin"
  | "distributionInspect"
>;

/** What those need who make images themselves: the builder. */
export interface ImageWork {
  readonly registry: RegistryClient;
  /** Holds blobs and layers; at its end, what of them nothing refers to is removed. */
  lease(): Disposable & { add(key: string): void };
  /** True while some operation holds this digest or chainID. */
  isHeld(key: string): boolean;
  /** Removes those of the blobs and layers that nothing refers to. */
  collect(candidates: ReadonlySet<string>): void;
  /** Unpacks what is not unpacked yet, and puts the image on record. */
  register(image: StoredImage, lease: { add(key: string): void }): Promise<ImageRecord>;
}

/** All that the engine does with images. What an earlier process left behind is removed first. */
export function createImageUseCases(
  deps: ImageDeps,
): ImageUseCases & { imageCommit: (request: CommitRequest) => Promise<ImageRecord>; imageWork: ImageWork } {
  const context = createImageContext(deps);
  // What cannot be removed is no reason not to start.
  attemptNow("remove unfinished downloads", () => deps.content.sweep());
  attemptNow("remove unfinished layers", () => deps.snapshotter.sweep());
  attemptNow("remove blobs and layers that nothing refers to", () => void context.garbage.collect());
  return {
    imageList: (options) => imageList(context, options),
    imageCheckPlatform: async (nameOrId, platform) => checkImagePlatform(context, nameOrId, platform),
    imageSearch: (options) => imageSearch(context, options),
    imageInspect: (nameOrId) => imageInspect(context, nameOrId),
    imageHistory: (nameOrId) => imageHistory(context, nameOrId),
    imageLoad: (archive, options) => imageLoad(context, archive, options),
    imageSave: (namesOrIds) => imageSave(context, namesOrIds),
    imageImport: (options) => imageImport(context, options),
    imageCommit: (request) => imageCommit(context, request),
    imageWork: {
      registry: context.registry,
      lease: () => context.garbage.lease(),
      isHeld: (key) => context.garbage.isHeld(key),
      collect: (candidates) => void context.garbage.collect(candidates),
      async register(image, lease) {
        const register = registerImage(context, image, lease);
        let progress = await register.next();
        while (progress.done !== true) progress = await register.next();
        return progress.value;
      },
    },
    imageTag: (nameOrId, repository, tag) => imageTag(context, nameOrId, repository, tag),
    imageRemove: (nameOrId, options) => imageRemove(context, nameOrId, options),
    imagePull: (options) => imagePull(context, options),
    imagePush: (options) => imagePush(context, options),
    registryLogin: (credentials, signal) => registryLogin(context, credentials, signal),
    distributionInspect: (options) => distributionInspect(context, options),
  };
}

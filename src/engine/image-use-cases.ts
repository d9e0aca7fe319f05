import type { ImageRecord } from "../image/image.ts";
import type { Engine } from "./engine.ts";
import { createImageContext } from "./image-context.ts";
import type { ImageDeps } from "./image-deps.ts";
import { type CommitRequest, imageCommit } from "./image-commit.ts";
import { imageImport } from "./image-import.ts";
import { imageHistory, imageInspect } from "./image-inspect.ts";
import { imageList } from "./image-list.ts";
import { imageLoad } from "./image-load.ts";
import { distributionInspect } from "./distribution-inspect.ts";
import { imagePull } from "./image-pull.ts";
import { imagePush } from "./image-push.ts";
import { registryLogin } from "./registry-login.ts";
import { imageRemove } from "./image-remove.ts";
import { imageSave } from "./image-save.ts";
import { imageTag } from "./image-tag.ts";

export type ImageUseCases = Pick<
  Engine,
  | "imageList"
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

/** All that the engine does with images. What an earlier process left behind is removed first. */
export function createImageUseCases(
  deps: ImageDeps,
): ImageUseCases & { imageCommit: (request: CommitRequest) => Promise<ImageRecord> } {
  const context = createImageContext(deps);
  deps.content.sweep();
  deps.snapshotter.sweep();
  context.garbage.collect();
  return {
    imageList: (options) => imageList(context, options),
    imageInspect: (nameOrId) => imageInspect(context, nameOrId),
    imageHistory: (nameOrId) => imageHistory(context, nameOrId),
    imageLoad: (archive, options) => imageLoad(context, archive, options),
    imageSave: (namesOrIds) => imageSave(context, namesOrIds),
    imageImport: (options) => imageImport(context, options),
    imageCommit: (request) => imageCommit(context, request),
    imageTag: (nameOrId, repository, tag) => imageTag(context, nameOrId, repository, tag),
    imageRemove: (nameOrId, options) => imageRemove(context, nameOrId, options),
    imagePull: (options) => imagePull(context, options),
    imagePush: (options) => imagePush(context, options),
    registryLogin: (credentials, signal) => registryLogin(context, credentials, signal),
    distributionInspect: (options) => distributionInspect(context, options),
  };
}

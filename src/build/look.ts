/** Looking at files and images without a build: for clients that drive builds themselves. */
import { errorText } from "../base/errors.ts";
import { log } from "../base/log.ts";
import { hostPlatform, platformMatches } from "../oci/platform.ts";
import type { Platform } from "../oci/image-spec.ts";
import { type BaseImage, BaseImages } from "./base-images.ts";
import type { ContextSource, LookingRequest, OpenedFiles } from "./build.ts";
import type { ContextStore } from "./contexts.ts";
import type { BuildHost } from "./host.ts";
import { openRoot, topOf } from "./layers.ts";
import { openContextTree } from "./open-context.ts";
import { Progress } from "./progress.ts";
import { remoteConfig } from "./remote-config.ts";

interface LookingParts {
  readonly host: BuildHost;
  readonly contexts: ContextStore;
}

/** Images are opened for this machine's platform. */
export async function openFiles(
  { host, contexts }: LookingParts,
  source: ContextSource,
  asked: LookingRequest,
): Promise<OpenedFiles> {
  await using undo = new AsyncDisposableStack();
  const progress = new Progress(asked.onEvent);
  const lease = undo.use(host.lease());
  const images = new BaseImages({ host, request: asked, progress, lease });
  const image = await findImage(images, source);
  const vertex = progress.vertex(`look ${asked.id} ${source.kind}`, `[internal] load ${nameOf(source)}`);
  const tree =
    image === undefined
      ? await vertex.run(() =>
          openContextTree({ contexts, signal: asked.signal, request: asked, undo }, source, vertex),
        )
      : undo.use(openRoot(host, topOf(image.layers))).tree;
  const kept = undo.move();
  return { tree, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

/** Undefined for what is no image. */
async function findImage(images: BaseImages, source: ContextSource): Promise<BaseImage | undefined> {
  const platform = hostPlatform();
  switch (source.kind) {
    case "image":
      return await images.get(source.reference, source.platform ?? platform);
    case "layout":
      return await images.fromLayout(source, platform);
    case "built":
      return images.fromBuild(source, source.images[0]?.platform ?? platform);
    default:
      return undefined;
  }
}

const nameOf = (source: ContextSource): string =>
  source.kind === "http" || source.kind === "git" ? source.url : source.kind;

/** The configuration's bytes, and the digest that the image is known by. Of an image in a registry nothing else is fetched. */
export async function imageConfig(
  { host }: LookingParts,
  reference: string,
  platform: Platform | undefined,
  asked: LookingRequest,
): Promise<{ digest: string; config: Uint8Array }> {
  using lease = host.lease();
  const wanted = platform ?? hostPlatform();
  const local = host.images.find(reference);
  if (asked.pull === true || local === undefined || !platformMatches(wanted, local.config)) {
    try {
      const { digest, bytes } = await remoteConfig({ host, request: asked, lease }, reference, wanted);
      return { digest, config: bytes };
    } catch (error) {
      // An older one here, or one that is made here: bringing it in says what cannot be had.
      asked.signal.throwIfAborted();
      log.debug("no configuration from a registry", { reference, error: errorText(error) });
    }
  }
  const images = new BaseImages({ host, request: asked, progress: new Progress(asked.onEvent), lease });
  const { id, digest } = await images.get(reference, wanted);
  return { digest: digest ?? id, config: host.content.read(id) };
}

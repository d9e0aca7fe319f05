import { KeyedJobs } from "./keyed-jobs.ts";
import type { ContentStore } from "../content/content.ts";
import { errorText } from "../base/errors.ts";
import { log } from "../base/log.ts";
import type { Descriptor } from "../oci/image-spec.ts";
import { downloadBlob } from "../registry/download.ts";
import type { RegistrySession } from "../registry/session.ts";
import { Slots } from "./slots.ts";

/** What a download tells those who wait for it. */
export interface DownloadWatcher {
  /** Others are before it. */
  onWaiting(): void;
  onProgress(bytes: number): void;
  onRetry(waitMs: number): void;
}

export interface BlobDownload {
  /** Asked in this order; a later one when an earlier one fails. */
  readonly sessions: readonly RegistrySession[];
  readonly descriptor: Pick<Descriptor, "digest" | "size" | "urls"> & { readonly mediaType?: string };
  readonly watcher: DownloadWatcher;
  readonly signal: AbortSignal;
}

/** Blobs on their way into the content store: one job a digest, whoever asks, and only so many at once. */
export class BlobDownloads {
  readonly #content: ContentStore;
  readonly #slots: Slots;
  readonly #jobs = new KeyedJobs<DownloadWatcher>();

  constructor(content: ContentStore, limit: () => number) {
    this.#content = content;
    this.#slots = new Slots(limit);
  }

  /**
   * Resolves when the blob is in the content store. The caller's lease holds it already. When the last who waits goes
   * away, the download ends.
   */
  async fetch({ sessions, descriptor, watcher, signal }: BlobDownload): Promise<void> {
    const { digest } = descriptor;
    for (;;) {
      if (this.#content.has(digest)) return;
      const isMine = !this.#jobs.has(digest);
      try {
        await this.#jobs.join(digest, { watcher, signal }, async (watchers, jobSignal) => {
          if (this.#slots.isFull) for (const it of watchers) it.onWaiting();
          using _slot = await this.#slots.take(jobSignal);
          await this.#fetchFrom(sessions, descriptor, { watchers, signal: jobSignal });
        });
        return;
      } catch (error) {
        signal.throwIfAborted();
        // What somebody else could not get from a registry of his, we may get from ours.
        if (isMine) throw error;
      }
    }
  }

  async #fetchFrom(
    sessions: readonly RegistrySession[],
    descriptor: Pick<Descriptor, "digest" | "size" | "urls"> & { readonly mediaType?: string },
    { watchers, signal }: { watchers: ReadonlySet<DownloadWatcher>; signal: AbortSignal },
  ): Promise<void> {
    const places = [
      ...sessions.map((session) => ({ session, url: undefined })),
      // What may not be given away by registries lies elsewhere; the digest says that it is the same.
      ...foreignUrls(descriptor).map((url) => ({ session: sessions.at(-1)!, url })),
    ];
    for (const [index, { session, url }] of places.entries()) {
      try {
        await downloadBlob(session, this.#content, {
          descriptor,
          ...(url === undefined ? {} : { url }),
          signal,
          onProgress: (bytes) => {
            for (const watcher of watchers) watcher.onProgress(bytes);
          },
          onRetry: (waitMs) => {
            for (const watcher of watchers) watcher.onRetry(waitMs);
          },
        });
        return;
      } catch (error) {
        signal.throwIfAborted();
        if (index === places.length - 1) throw error;
        log.warn("blob comes from the next place", { registry: session.host, error: errorText(error) });
      }
    }
  }
}

/**
 * The web addresses that a descriptor names (OCI image specification 1.1, descriptor, `urls`); only of layers that may not
 * be handed on, so that no image has the daemon ask around for anything else.
 */
function foreignUrls({ urls, mediaType }: { urls?: string[]; mediaType?: string }): URL[] {
  if (!/nondistributable|foreign/.test(mediaType ?? "")) return [];
  return (urls ?? [])
    .filter((text) => URL.canParse(text))
    .map((text) => new URL(text))
    .filter(({ protocol }) => protocol === "https:" || protocol === "http:");
}

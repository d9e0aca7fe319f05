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
  readonly descriptor: Pick<Descriptor, "digest" | "size">;
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
    descriptor: Pick<Descriptor, "digest" | "size">,
    { watchers, signal }: { watchers: ReadonlySet<DownloadWatcher>; signal: AbortSignal },
  ): Promise<void> {
    for (const [index, session] of sessions.entries()) {
      try {
        await downloadBlob(session, this.#content, {
          descriptor,
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
        if (index === sessions.length - 1) throw error;
        log.warn("blob comes from the next registry", { registry: session.host, error: errorText(error) });
      }
    }
  }
}

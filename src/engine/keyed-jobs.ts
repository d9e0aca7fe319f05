interface Job<W> {
  readonly watchers: Set<W>;
  readonly stop: AbortController;
  readonly done: Promise<void>;
}

/** Work that several may wait for: one job a key, which ends when nobody waits for it any more. */
export class KeyedJobs<W> {
  readonly #jobs = new Map<string, Job<W>>();

  /** True while such a job is under way. */
  has(key: string): boolean {
    return this.#jobs.has(key);
  }

  /**
   * Waits for the job of `key`, starting it when there is none. Throws what the job throws, and the signal's reason when
   * this one is aborted; the last to go ends the job and waits for its end.
   */
  async join(
    key: string,
    { watcher, signal }: { watcher: W; signal: AbortSignal },
    work: (watchers: ReadonlySet<W>, signal: AbortSignal) => Promise<void>,
  ): Promise<void> {
    signal.throwIfAborted();
    const job = this.#jobs.get(key) ?? this.#start(key, watcher, work);
    job.watchers.add(watcher);
    const aborted = Promise.withResolvers<never>();
    const onAbort = (): void => aborted.reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      await Promise.race([job.done, aborted.promise]);
    } finally {
      signal.removeEventListener("abort", onAbort);
      job.watchers.delete(watcher);
      if (job.watchers.size === 0) {
        if (this.#jobs.get(key) === job) this.#jobs.delete(key);
        job.stop.abort();
        await job.done.catch(() => {});
      }
    }
  }

  #start(
    key: string,
    watcher: W,
    work: (watchers: ReadonlySet<W>, signal: AbortSignal) => Promise<void>,
  ): Job<W> {
    const watchers = new Set([watcher]);
    const stop = new AbortController();
    const job: Job<W> = {
      watchers,
      stop,
      done: work(watchers, stop.signal).finally(() => {
        if (this.#jobs.get(key) === job) this.#jobs.delete(key);
      }),
    };
    job.done.catch(() => {});
    this.#jobs.set(key, job);
    return job;
  }
}

/** Follows containers from their start to their end, over restarts. */
import { setTimeout as delay } from "node:timers/promises";
import type { Client } from "../../client/client.ts";
import { isNotFound } from "../../client/errors.ts";
import type { ContainerInspect } from "../../wire/container.ts";
import { showOutput, type LogView } from "./log-view.ts";

export interface Followed {
  readonly id: string;
  /** As it is shown. */
  readonly name: string;
  readonly service: string;
}

/** A container that has ended, and is not started again. */
export interface Ended extends Followed {
  readonly exitCode: number;
}

export interface FollowOptions {
  readonly timestamps: boolean;
  /** Tells of an end; what it returns is waited for. */
  readonly onEnd?: (ended: Ended) => void;
}

/** Containers that are listened to. */
export class Follower {
  readonly #client: Client;
  readonly #view: LogView;
  readonly #options: FollowOptions;
  readonly #running = new Map<string, Promise<void>>();
  #isClosed = false;

  constructor(client: Client, view: LogView, options: FollowOptions) {
    this.#client = client;
    this.#view = view;
    this.#options = options;
  }

  /** Listens to a container that is about to start, or runs. Resolves when its output is connected. */
  async attach(container: Followed, tty: boolean, isSilent = false): Promise<void> {
    this.#view.register(container.name);
    if (isSilent) {
      this.#running.set(container.id, this.#followEnd(container));
      return;
    }
    if (this.#options.timestamps) {
      // Only logs know when a line was written.
      this.#running.set(container.id, this.#followLogs(container, tty));
      return;
    }
    const stdio = await this.#client.containerAttach(container.id, { stdout: true, stderr: true, tty });
    stdio.input.on("error", () => {});
    const shown = showOutput(this.#view, container.name, stdio.output()).catch(() => {});
    this.#running.set(container.id, this.#afterOutput(container, shown, tty));
  }

  /** Resolves when everything that is followed has ended. */
  async ended(): Promise<void> {
    for (let size = -1; size !== this.#running.size;) {
      size = this.#running.size;
      await Promise.all(this.#running.values());
    }
  }

  /** Leaves off. */
  close(): void {
    this.#isClosed = true;
  }

  async #afterOutput(container: Followed, shown: Promise<void>, tty: boolean): Promise<void> {
    let output = shown;
    for (;;) {
      await output;
      const state = await this.#stateAfterOutput(container);
      if (state === undefined || !state.State.Running) return await this.#end(container, state);
      await this.#view.status(container.name, "has been restarted");
      output = this.#logsSince(container, state.State.StartedAt, tty);
    }
  }

  async #followLogs(container: Followed, tty: boolean): Promise<void> {
    await this.#started(container);
    await this.#afterOutput(container, this.#logsSince(container, undefined, tty), tty);
  }

  async #followEnd(container: Followed): Promise<void> {
    await this.#started(container);
    for (;;) {
      const wait = await this.#client.containerWait(container.id, "not-running").catch(() => undefined);
      await wait?.result.catch(() => undefined);
      const state = await this.#stateAfterOutput(container);
      if (state === undefined || !state.State.Running) return await this.#end(container, state);
    }
  }

  /** Logs of one that has not been started end at once. */
  async #started({ id }: Followed): Promise<void> {
    for (let attempt = 0; !this.#isClosed; attempt++) {
      const state = await this.#inspect(id);
      if (state === undefined || state.State.Status !== "created") return;
      await delay(Math.min(20 * (attempt + 1), 200));
    }
  }

  async #logsSince({ id, name }: Followed, since: string | undefined, tty: boolean): Promise<void> {
    try {
      const reader = await this.#client.containerLogs(id, {
        stdout: true,
        stderr: true,
        follow: true,
        tty,
        timestamps: this.#options.timestamps,
        ...(since === undefined ? {} : { since: unixTime(since) }),
      });
      await showOutput(this.#view, name, reader.output());
    } catch {
      // A container that is gone has nothing more to say.
    }
  }

  /** The state once it is known whether the container is started again. */
  async #stateAfterOutput({ id }: Followed): Promise<ContainerInspect | undefined> {
    for (let attempt = 0; ; attempt++) {
      const found = await this.#inspect(id);
      if (found === undefined || this.#isClosed) return found;
      const { Status: status } = found.State;
      if (status === "exited" || status === "dead" || status === "created") return found;
      // The output may end a moment before the program has: whether it runs again is seen by a later start.
      if (status === "running" && attempt >= 10) return found;
      await delay(Math.min(20 * (attempt + 1), 200));
    }
  }

  async #inspect(id: string): Promise<ContainerInspect | undefined> {
    try {
      return await this.#client.containerInspect(id);
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  async #end(container: Followed, state: ContainerInspect | undefined): Promise<void> {
    const exitCode = state?.State.ExitCode ?? 0;
    this.#running.delete(container.id);
    await this.#view.status(container.name, `exited with code ${exitCode}`);
    this.#options.onEnd?.({ ...container, exitCode });
  }
}

/** An RFC 3339 time as the unix seconds, with all its digits, that the API takes. */
export function unixTime(text: string): string {
  const match = /^(.*?)(?:\.(\d+))?Z$/.exec(text);
  if (match === null) return String(Date.parse(text) / 1000);
  return `${Math.trunc(Date.parse(`${match[1]!}Z`) / 1000)}.${(match[2] ?? "0").padEnd(9, "0")}`;
}

/** What the containers that are followed say: read from their logs, or heard where they run. */
import { fixedRfc3339, rfc3339Nano } from "../../base/time.ts";
import type { Client } from "../../client/client.ts";
import type { LogsQuery } from "../../client/containers.ts";
import { isNotFound } from "../../client/errors.ts";
import { hasStatus } from "../../compose/engine.ts";
import type { ContainerInspect } from "../../wire/container.ts";
import { CliError } from "../errors.ts";
import { unixTime, type FollowOptions, type Track } from "./follow-track.ts";
import { showOutput, watched, type LogView } from "./log-view.ts";
import { timedLines, type TimedLine } from "./timed-lines.ts";

/** How long a connection to what has just ended may be silent, ms. */
const silenceMs = 1_000;

export interface TrackOutputParts {
  readonly client: Client;
  readonly view: LogView;
  readonly options: FollowOptions;
  /** Ends all reading. */
  readonly signal: AbortSignal;
}

export class TrackOutput {
  readonly #client: Client;
  readonly #view: LogView;
  readonly #options: FollowOptions;
  readonly #signal: AbortSignal;
  /** Asked for once: one answer is true of all containers. */
  #aheadMs: Promise<number> | undefined;

  constructor({ client, view, options, signal }: TrackOutputParts) {
    this.#client = client;
    this.#view = view;
    this.#options = options;
    this.#signal = signal;
  }

  /** The time of the last line in a log; empty where there is none, undefined where it cannot be read. */
  async lastTime(track: Track): Promise<string | undefined> {
    let last = "";
    try {
      for await (const { endTime } of await this.#openLog(track, { follow: false, tail: "1" }))
        if (endTime > last) last = endTime;
    } catch (error) {
      if (isNotFound(error) || this.#signal.aborted) return "";
      if (!hasStatus(error, 501)) throw error;
      return undefined;
    }
    return last;
  }

  async #openLog(track: Track, query: LogsQuery, seen = ""): Promise<AsyncIterable<TimedLine>> {
    track.tty ??= (await this.#client.containerInspect(track.id)).Config.Tty === true;
    const { tty } = track;
    const signal = this.#signal;
    const asked = { stdout: true, stderr: true, timestamps: true, tty, ...query, signal };
    const reader = await this.#client.containerLogs(track.id, asked);
    return timedLines(reader.output(), { tty, seen });
  }

  /** Shows what of a log has not been seen, from `position` on, and keeps that up to date. */
  async read(track: Track, query: Pick<LogsQuery, "tail" | "follow" | "until">): Promise<void> {
    const { name } = track;
    const { timestamps, since, until } = this.#options;
    const seen = track.position ?? "";
    const from = seen === "" ? since : unixTime(seen);
    try {
      const bounds = {
        ...(from === undefined ? {} : { since: from }),
        ...(until === undefined ? {} : { until }),
      };
      const lines = await this.#openLog(track, { follow: true, ...bounds, ...query }, seen);
      for await (const { time, endTime, text, stream } of lines) {
        if (endTime > (track.position ?? "")) track.position = endTime;
        await this.#view.line(name, timestamps ? `${time} ${text}` : text, stream);
      }
    } catch (error) {
      if (isNotFound(error) || this.#signal.aborted) return;
      if (!hasStatus(error, 501)) throw error;
      this.#options.warn(`Can't retrieve logs for "${name}": ${(error as Error).message}`);
      if (query.follow !== false && track.isUp) await this.#listen(track);
    }
  }

  /** Its log driver keeps nothing to read: what is said from now on can be had where it runs, if it still does. */
  async #listen(track: Track): Promise<void> {
    try {
      const shown = await this.connect(track);
      await shown();
    } catch (error) {
      if (!hasStatus(error, 404, 409)) throw error;
    }
  }

  /** Connects to where a container runs. What is returned shows what comes, to the end. */
  async connect({ id, name, tty = false, isUp }: Track): Promise<() => Promise<void>> {
    const stdio = await this.#client.containerAttach(id, { stdout: true, stderr: true, tty });
    stdio.input.on("error", () => {});
    // A connection to what has just ended may be one to its next start, which perhaps never comes.
    const isLate = isUp && (await this.inspect(id))?.State.Running !== true;
    const silence = isLate ? setTimeout(() => stdio.close(), silenceMs) : undefined;
    const output = watched(stdio.output(), () => clearTimeout(silence));
    this.#signal.addEventListener("abort", () => stdio.close(), { once: true });
    return async () => {
      // A connection that breaks is the end of what it brings.
      await showOutput(this.#view, name, output).catch((error: unknown) => {
        if (error instanceof CliError) throw error;
      });
    };
  }

  /** When somebody began to watch, by the daemon's clock, which may be another machine's; undefined where nobody says. */
  async beginning(): Promise<string | undefined> {
    const { beganMs } = this.#options;
    if (beganMs === undefined) return undefined;
    this.#aheadMs ??= this.#askClock();
    return fixedRfc3339(rfc3339Nano(BigInt(Math.floor(beganMs + (await this.#aheadMs))) * 1_000_000n));
  }

  /** How far the daemon's clock is ahead of this machine's, ms. */
  async #askClock(): Promise<number> {
    const askedMs = Date.now();
    const { SystemTime } = await this.#client.info();
    const answeredMs = Date.now();
    const daemonMs = Date.parse(String(SystemTime));
    const isSameClock = daemonMs >= askedMs && daemonMs <= answeredMs;
    return isSameClock ? 0 : daemonMs - (askedMs + answeredMs) / 2;
  }

  /** Undefined for a container that is gone. */
  async inspect(id: string): Promise<ContainerInspect | undefined> {
    try {
      return await this.#client.containerInspect(id);
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }
}

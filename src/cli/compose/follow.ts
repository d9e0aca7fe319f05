/**
 * Follows the containers of a project from their start to their end, over restarts: those that are there, and those that are
 * started while somebody watches. What happens is learnt from the daemon's events, what is said from the logs; each line has
 * its time, so that the next run's reading begins where the last one's ended.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Client } from "../../client/client.ts";
import { hasStatus } from "../../compose/engine.ts";
import { labels } from "../../compose/labels.ts";
import type { EventMessage } from "../../wire/system.ts";
import { CliError } from "../errors.ts";
import {
  endBefore,
  eventName,
  eventTime,
  newTrack,
  unixTime,
  type EndOfRun,
  type Followed,
  type FollowOptions,
  type Track,
} from "./follow-track.ts";
import type { LogView } from "./log-view.ts";
import { TrackOutput } from "./track-output.ts";

/** How long it is waited for the start of what was stopped, which may be half of a restart. */
const restartMs = 3_000;

/** How often it is looked whether what waits for its policy's restart still does. */
const lookEveryMs = 1_000;

/** Containers that are listened to. */
export class Follower implements Disposable {
  readonly #output: TrackOutput;
  readonly #view: LogView;
  readonly #options: FollowOptions;
  readonly #tracks = new Map<string, Track>();
  readonly #expected = new Set<string>();
  readonly #replaced = new Set<string>();
  /** Made while somebody watches: everything that they say is new. */
  readonly #created = new Set<string>();
  readonly #abort = new AbortController();
  readonly #over = Promise.withResolvers<void>();
  readonly #noRestarts = new AbortController();
  #events: AsyncIterable<EventMessage> | undefined;
  #isArmed = false;

  private constructor(client: Client, view: LogView, options: FollowOptions) {
    this.#output = new TrackOutput({ client, view, options, signal: this.#abort.signal });
    this.#view = view;
    this.#options = options;
    this.#over.promise.catch(() => {});
  }

  /** Begins to listen: what happens from now on is seen, and acted upon after {@link begin}. */
  static async open(client: Client, view: LogView, options: FollowOptions): Promise<Follower> {
    const follower = new Follower(client, view, options);
    const events = await client.openEvents({
      filters: {
        type: ["container"],
        event: ["create", "start", "kill", "die", "stop", "destroy"],
        label: [`${labels.project}=${options.project}`],
      },
      signal: follower.#abort.signal,
    });
    follower.#events = events;
    return follower;
  }

  /** Containers that are there are known now: what happens is acted upon. */
  begin(): void {
    const events = this.#events;
    this.#events = undefined;
    if (events !== undefined) void this.#watch(events);
  }

  /** Waits for the end of a container that is about to start, or runs. */
  expect(container: Followed): void {
    this.#track(container);
    if (this.#options.required?.has(container.service) !== false) this.#expected.add(container.id);
  }

  /** Listens to a container that is about to start, or runs. Resolves when its output is connected. */
  async attach(container: Followed, { tty, isRunning }: { tty: boolean; isRunning: boolean }): Promise<void> {
    const track = this.#track(container);
    this.expect(container);
    track.tty = tty;
    track.isUp = isRunning;
    if (!track.isShown && !this.#expected.has(track.id)) return;
    if (isRunning && (await this.#hasEnded(track))) return;
    if (!track.isShown || track.reading !== undefined) return;
    // Only logs know when a line was written; they begin with the event of the start.
    if (this.#options.timestamps && !isRunning) {
      track.position ??= await this.#output.lastTime(track);
      return;
    }
    if (this.#options.timestamps) {
      track.position = await this.#output.beginning();
      return void this.#begin(track, () => this.#output.read(track, {}));
    }
    track.awaitsStart = !isRunning;
    track.endsAtPosition = true;
    void this.#begin(track, await this.#connectOrRead(track));
  }

  /** What is paused, or waits for its policy's restart, takes no connection, but has a log. */
  async #connectOrRead(track: Track): Promise<() => Promise<void>> {
    try {
      return await this.#output.connect(track);
    } catch (error) {
      if (!hasStatus(error, 404, 409)) throw error;
      return () => this.#output.read(track, { tail: "0" });
    }
  }

  /**
   * Tells of the end of what was seen running, and has ended before there was anybody to hear of it. Its last words are in
   * its log.
   */
  async #hasEnded(track: Track): Promise<boolean> {
    const state = (await this.#output.inspect(track.id))?.State;
    if (state?.Restarting === true) void this.#watchBackOff(track);
    if (state?.Running === true) return false;
    track.isUp = false;
    track.isEndTold = true;
    if (state !== undefined) {
      if (track.isShown) track.position = await this.#output.beginning();
      track.telling = this.#tellEnd(track, state.ExitCode, { isSeen: false, isReplaced: false });
    }
    void this.#leaveAfter(track, track.telling);
    return true;
  }

  /** Shows what a container has said, and what it goes on to say. */
  readLogs(container: Followed, first: { readonly tail: string; readonly isRunning: boolean }): void {
    const track = this.#track(container);
    track.isUp = first.isRunning;
    if (first.isRunning) {
      this.expect(container);
      void this.#watchBackOff(track);
    }
    // Of a log of which nothing is shown no line tells how far it has been seen.
    track.endsAtPosition = first.tail === "0";
    if (!track.endsAtPosition) track.position = "";
    void this.#begin(track, async () => {
      if (track.endsAtPosition && !first.isRunning) track.position = await this.#output.lastTime(track);
      await this.#output.read(track, { tail: first.tail });
    });
  }

  /**
   * Resolves when everything that is waited for has ended and has been shown. Throws when the daemon or the reader of the
   * lines is gone.
   */
  async ended(): Promise<void> {
    this.begin();
    this.#isArmed = true;
    void this.#settle();
    await this.#over.promise;
  }

  /** What is stopped from now on is not to be started again. */
  expectNoRestarts(): void {
    this.#noRestarts.abort();
  }

  /** Leaves off. */
  close(): void {
    this.#abort.abort();
    this.#noRestarts.abort();
    this.#over.resolve();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #track({ id, name, service }: Followed): Track {
    const known = this.#tracks.get(id);
    if (known !== undefined) return known;
    const isShown = this.#options.isShown?.(service) ?? true;
    if (isShown) this.#view.register(name);
    const track = newTrack({ id, name, service }, isShown);
    this.#tracks.set(id, track);
    return track;
  }

  async #watch(events: AsyncIterable<EventMessage>): Promise<void> {
    try {
      for await (const event of events) await this.#onEvent(event);
      if (!this.#abort.signal.aborted) throw new CliError("the daemon has ended the connection", 1);
    } catch (error) {
      if (!this.#abort.signal.aborted) this.#over.reject(error);
    }
  }

  async #onEvent(event: EventMessage): Promise<void> {
    const { ID: id, Attributes: own } = event.Actor;
    const service = own[labels.service] ?? "";
    const number = Number(own[labels.number] ?? 0);
    if (own[labels.oneOff] === "True" || !this.#options.isOfInterest(service, number)) return;
    const container = {
      id,
      service,
      name: eventName(own, { project: this.#options.project, service, number }),
    };
    const known = this.#tracks.get(id);
    switch (event.Action) {
      case "create":
        this.#onCreate(container, own[labels.replaces]);
        break;
      case "start":
        this.#onStart(this.#track(container), eventTime(event));
        break;
      case "kill":
        if (known !== undefined) known.wasKilled = true;
        break;
      case "die":
        if (known !== undefined) await this.#onDie(known, event);
        break;
      case "stop":
        if (known !== undefined) await this.#onStop(known);
        break;
      case "destroy":
        if (known !== undefined) this.#onDestroy(known);
        break;
    }
  }

  /** What takes another's place is waited for as that one is. */
  #onCreate(container: Followed, replaces: string | undefined): void {
    this.#created.add(container.id);
    if (replaces === undefined || !this.#tracks.has(replaces)) return;
    this.#replaced.add(replaces);
    if (this.#expected.has(replaces)) this.expect(container);
  }

  #onStart(track: Track, time: string): void {
    track.isUp = true;
    track.wasKilled = false;
    track.backOff = undefined;
    track.isEndTold = false;
    this.expect(track);
    if (track.awaitsStart || !track.isShown) track.awaitsStart = false;
    else if (track.reading !== undefined) track.staleSince = time;
    else this.#readOn(track, time);
  }

  async #onDie(track: Track, event: EventMessage): Promise<void> {
    if (track.isEndTold) return;
    const isSeen = track.position === undefined && track.endsAtPosition;
    if (isSeen) track.position = eventTime(event);
    const state = (await this.#output.inspect(track.id))?.State;
    const goesOn = state !== undefined && (state.Running || state.Restarting);
    track.isUp = goesOn;
    if (state?.Restarting === true) void this.#watchBackOff(track);
    const isReplaced = this.#replaced.delete(track.id);
    const exitCode = Number(event.Actor.Attributes["exitCode"] ?? 0);
    const before = track.telling;
    const tell = async (): Promise<void> => {
      await before;
      await this.#tellEnd(track, exitCode, {
        isSeen,
        isReplaced,
        ...(goesOn ? { until: eventTime(event) } : {}),
      });
    };
    const telling = tell();
    track.telling = telling;
    void this.#leaveAfter(track, telling);
  }

  /**
   * A wait for the policy's restart may end without an event: with a start that failed and was the last one, or because
   * somebody has taken it back. Two looks have to agree: between two failed starts a daemon may show the end of the first.
   */
  async #watchBackOff(track: Track): Promise<void> {
    const own = (track.backOff = Symbol(track.id));
    const isWaiting = (): boolean => track.isUp && track.backOff === own && !this.#abort.signal.aborted;
    let wasOver = false;
    try {
      while (isWaiting()) {
        await delay(lookEveryMs, undefined, { signal: this.#abort.signal }).catch(() => {});
        const state = isWaiting() ? (await this.#output.inspect(track.id))?.State : undefined;
        // Of a start and a removal events tell.
        if (state === undefined || (state.Running && !state.Restarting) || !isWaiting()) return;
        const isOver = !state.Restarting;
        if (isOver && wasOver) {
          track.isUp = false;
          await this.#leaveAfter(track, track.telling);
        }
        wasOver = isOver;
      }
    } catch (error) {
      this.#over.reject(error);
    }
  }

  async #leaveAfter(track: Track, telling: Promise<void> | undefined): Promise<void> {
    try {
      await telling;
      if (track.telling === telling) track.telling = undefined;
      await this.#leave(track);
    } catch (error) {
      this.#over.reject(error);
    }
  }

  /** The end is told behind what was said before it. */
  async #tellEnd(track: Track, exitCode: number, { isSeen, isReplaced, until }: EndOfRun): Promise<void> {
    const { id, name, service } = track;
    await track.reading;
    // Docker's daemon may end a log that is followed before its last lines.
    if (!isSeen && track.isShown && track.reading === undefined) {
      await this.#begin(track, () => this.#output.read(track, { follow: false, ...this.#before(until) }));
    }
    if (track.isShown) await this.#view.status(name, `exited with code ${exitCode}`);
    if (track.isShown && isReplaced) await this.#view.status(name, "has been recreated");
    this.#options.onEnd?.({ id, name, service, exitCode });
  }

  /** The next run, which may be on its way, is read from its beginning: lines that were written at once have one time. */
  #before(end: string | undefined): { readonly until?: string } {
    if (end === undefined) return {};
    const [until, own] = [unixTime(end), this.#options.until];
    return own !== undefined && Number(own) < Number(until) ? {} : { until };
  }

  /** One that was to be restarted by its policy has no end to tell of. */
  async #onStop(track: Track): Promise<void> {
    if (!track.isUp) return;
    const state = (await this.#output.inspect(track.id))?.State;
    if (state?.Running === true || state?.Restarting === true) return;
    track.isUp = false;
    track.wasKilled = true;
    void this.#leaveAfter(track, track.telling);
  }

  #onDestroy(track: Track): void {
    track.isUp = false;
    track.wasKilled = false;
    this.#replaced.delete(track.id);
    this.#created.delete(track.id);
    void this.#leaveAfter(track, track.telling);
  }

  async #leave(track: Track): Promise<void> {
    if (track.isUp) return;
    if (track.wasKilled) {
      await delay(restartMs, undefined, { signal: this.#noRestarts.signal }).catch(() => {});
      if (track.isUp || !track.wasKilled) return;
    }
    this.#expected.delete(track.id);
    await this.#settle();
  }

  /** Ends when nothing is left to wait for, and everything has been shown. */
  async #settle(): Promise<void> {
    while (this.#isArmed && this.#expected.size === 0) {
      const ended = [...this.#tracks.values()].filter(({ isUp }) => !isUp);
      const open = ended.flatMap(({ reading, telling }) => [reading, telling]);
      const busy = open.filter((work) => work !== undefined);
      if (busy.length === 0) return this.close();
      await Promise.all(busy);
    }
  }

  /** Reads what has not been seen, where a container was started at this time. */
  #readOn(track: Track, startedAt: string): void {
    void this.#begin(track, async () => {
      track.position ??= await this.#endBefore(track.id, startedAt);
      await this.#output.read(track, {});
    });
  }

  /** Reads, and again when the container was started meanwhile. */
  #begin(track: Track, read: () => Promise<void>): Promise<void> {
    const reading = async (): Promise<void> => {
      try {
        await read();
      } catch (error) {
        this.#over.reject(error);
      }
      track.reading = undefined;
      const startedAt = track.staleSince;
      track.staleSince = undefined;
      if (startedAt !== undefined && !this.#abort.signal.aborted) this.#readOn(track, startedAt);
    };
    return (track.reading = reading());
  }

  async #endBefore(id: string, startedAt: string): Promise<string> {
    return this.#created.has(id) ? "" : endBefore((await this.#output.inspect(id))?.State, startedAt);
  }
}

/** The logs of all containers: what conmon writes goes to the driver that the container has, and comes back from it. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { EngineError, errorText } from "../../base/errors.ts";
import { log } from "../../base/log.ts";
import { fixedRfc3339, rfc3339Nano } from "../../base/time.ts";
import type { ContainerRecord } from "../container.ts";
import { Checkpoint } from "./checkpoint.ts";
import { chosenAttributes, type LoggedContainer, logTag } from "./container-attributes.ts";
import { driverName, isReadable, notReadable, rotationLimits, waitingLimit } from "./driver-options.ts";
import { jsonFileTarget, localTarget } from "./file-target.ts";
import { goJson } from "./json-lines.ts";
import { containerFields, JournaldTarget, readJournal } from "./journald.ts";
import { LogPump } from "./log-pump.ts";
import { LogSignal } from "./log-signal.ts";
import type { LogEntry } from "./message.ts";
import { jsonFormat, localFormat, type LogFiles, readLogFiles } from "./read-files.ts";
import { RotatingFiles } from "./rotating-files.ts";
import { driverFailure, SyslogTarget } from "./syslog-target.ts";
import type { LogTarget } from "./target.ts";

/** Where a container's log lies. */
export interface LogPlaces {
  /** The container's directory. */
  readonly directory: string;
  /** conmon's file. */
  readonly raw: string;
}

export interface LogRead {
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly follow: boolean;
  /** Last lines only; undefined for all. */
  readonly tail: number | undefined;
  /** ns since the epoch; 0n for no bound. */
  readonly sinceNs: bigint;
  readonly untilNs: bigint;
  readonly signal: AbortSignal;
}

/** How long a container's end waits for a log server, ms. */
const patienceMs = 10_000;

/** What a container's log has while it is written. */
interface Open {
  readonly pump: LogPump;
  readonly writer: LogSignal | undefined;
  readonly target: LogTarget;
}

export class ContainerLogs {
  readonly #placesOf: (id: string) => LogPlaces;
  readonly #open = new Map<string, Open>();

  constructor(placesOf: (id: string) => LogPlaces) {
    this.#placesOf = placesOf;
  }

  /**
   * Makes the log of a container that is about to start ready, and returns where conmon has to write, empty for nowhere.
   * Throws when the driver cannot be had.
   */
  async open(container: ContainerRecord): Promise<string> {
    const { id } = container;
    const { raw } = this.#placesOf(id);
    if (driverName(container.hostConfig.LogConfig) === "none") return "";
    // An earlier run's, which the driver had not taken yet.
    if (this.#open.has(id) || existsSync(raw)) await this.finish(container);
    const { target, pump } = this.#openPump(container);
    try {
      if (target instanceof SyslogTarget) await target.connect();
    } catch (error) {
      this.#open.delete(id);
      await pump.close();
      throw new EngineError("internal", driverFailure(error), { cause: error });
    }
    return raw;
  }

  #openPump(container: ContainerRecord): Open {
    const { target, writer } = this.#makeTarget(container);
    const { raw, directory } = this.#placesOf(container.id);
    const checkpoint = new Checkpoint(join(directory, "container.log.taken"));
    const pump = new LogPump({ rawPath: raw, checkpoint, target, containerId: container.id });
    try {
      pump.open();
    } catch (error) {
      void target.close();
      checkpoint.close();
      throw new EngineError("internal", driverFailure(error), { cause: error });
    }
    const open = { pump, writer, target };
    this.#open.set(container.id, open);
    return open;
  }

  #makeTarget(container: ContainerRecord): { target: LogTarget; writer: LogSignal | undefined } {
    const options = container.hostConfig.LogConfig?.Config ?? {};
    const driver = driverName(container.hostConfig.LogConfig);
    const logged = loggedContainer(container);
    const tag = (fallback: string): string => {
      const template = options["tag"] || fallback;
      return template === "" ? "" : logTag(logged, template);
    };
    const attributes = chosenAttributes(logged, options);
    switch (driver) {
      case "syslog":
        return {
          target: new SyslogTarget(options, tag("{{.ID}}"), waitingLimit(options)),
          writer: undefined,
        };
      case "journald": {
        const writer = new LogSignal(() => 0);
        const fields = containerFields(logged, tag("{{.ID}}"), attributes);
        return { target: new JournaldTarget(fields, waitingLimit(options), writer.written), writer };
      }
      case "local":
      case "json-file": {
        const files = new RotatingFiles(this.#files(container).path, rotationLimits(driver, options));
        const writer = new LogSignal(() => files.generation);
        if (driver === "local") return { target: localTarget(files, writer.written), writer };
        if (tag("") !== "") attributes["tag"] = tag("");
        return { target: jsonFileTarget(files, attributesJson(attributes), writer.written), writer };
      }
      case "none":
        throw new EngineError("internal", "the log driver none takes nothing");
    }
  }

  #files(container: ContainerRecord): LogFiles {
    const { directory } = this.#placesOf(container.id);
    const driver = driverName(container.hostConfig.LogConfig) === "local" ? "local" : "json-file";
    const { maxFiles } = rotationLimits(driver, container.hostConfig.LogConfig?.Config ?? {});
    return driver === "local"
      ? { path: join(directory, "local-logs", "container.log"), format: localFormat, maxFiles }
      : { path: jsonFilePath(directory, container.id), format: jsonFormat, maxFiles };
  }

  /** Begins to carry what conmon writes; conmon must have started. */
  follow(id: string): void {
    this.#open.get(id)?.pump.follow();
  }

  /** Takes up the log of a container that a daemon before this one started. A driver that cannot be had is tried later. */
  resume(container: ContainerRecord): void {
    if (driverName(container.hostConfig.LogConfig) === "none") return;
    try {
      if (!this.#open.has(container.id)) this.#openPump(container);
      this.follow(container.id);
    } catch (error) {
      log.error("a container's log is not carried on", { container: container.id, error: errorText(error) });
    }
  }

  /** The container has ended: carries the rest of its log. Throws never. */
  async finish(container: ContainerRecord): Promise<void> {
    const { id } = container;
    try {
      if (!this.#open.has(id)) {
        if (driverName(container.hostConfig.LogConfig) === "none" || !existsSync(this.#placesOf(id).raw))
          return;
        this.#openPump(container);
      }
      const open = this.#open.get(id)!;
      // A server that takes nothing more must not keep the container from being started again.
      const timer = setTimeout(() => {
        if (isElsewhere(container)) void open.target.close();
      }, patienceMs).unref();
      await open.pump.finish();
      clearTimeout(timer);
      open.writer?.ended();
      if (this.#open.get(id) === open) this.#open.delete(id);
    } catch (error) {
      log.error("the rest of a container's log was not carried", { container: id, error: errorText(error) });
    }
  }

  /** The container goes, and its log with it. What a driver elsewhere has to get is carried first. */
  async discard(container: ContainerRecord): Promise<void> {
    const open = this.#open.get(container.id);
    const hasReaders = (open?.pump.followers ?? 0) > 0;
    if (hasReaders || isElsewhere(container)) await this.finish(container);
    this.#open.delete(container.id);
    await open?.pump.close();
    open?.writer?.ended();
  }

  /** Stops carrying; the next daemon goes on. */
  async close(): Promise<void> {
    await Promise.all([...this.#open.values()].map(({ pump }) => pump.close()));
    this.#open.clear();
  }

  /** The entries of a container's log by blocks, oldest first. Throws `notImplemented` when the driver keeps none. */
  async read(container: ContainerRecord, read: LogRead): Promise<AsyncIterable<LogEntry[]>> {
    const driver = driverName(container.hostConfig.LogConfig);
    if (!isReadable(driver)) throw notReadable();
    if (!this.#open.has(container.id) && existsSync(this.#placesOf(container.id).raw))
      await this.finish(container);
    const open = this.#open.get(container.id);
    await open?.pump.drain();
    const writer = read.follow ? open?.writer : undefined;
    if (driver === "journald") {
      const journal = readJournal({
        containerId: container.id,
        tail: read.tail,
        writer,
        signal: read.signal,
      });
      return chosen(counted(journal, writer === undefined ? undefined : open?.pump), read);
    }
    const files = readLogFiles(this.#files(container), { tail: read.tail, writer, signal: read.signal });
    return chosen(counted(files, writer === undefined ? undefined : open?.pump), read);
  }
}

/** The lines go to a server, which may not take them. */
function isElsewhere(container: ContainerRecord): boolean {
  return ["journald", "syslog"].includes(driverName(container.hostConfig.LogConfig));
}

/** Docker's place for the json-file log; it is the container's `LogPath`. */
export function jsonFilePath(directory: string, id: string): string {
  return join(directory, `${id}-json.log`);
}

function attributesJson(attributes: Record<string, string>): string {
  const entries = Object.entries(attributes).sort(([a], [b]) => (a < b ? -1 : 1));
  if (entries.length === 0) return "";
  return Buffer.from(goJson(Object.fromEntries(entries)), "utf8").toString("latin1");
}

function loggedContainer(container: ContainerRecord): LoggedContainer {
  return {
    id: container.id,
    name: container.name,
    imageId: container.imageId,
    imageName: container.image,
    command: [container.path, ...container.args].join(" "),
    createdAt: container.createdAt,
    labels: container.config.Labels ?? {},
    env: container.config.Env ?? [],
  };
}

/** Lets the pump know that somebody waits for what comes. */
async function* counted(
  entries: AsyncGenerator<LogEntry[]>,
  pump: LogPump | undefined,
): AsyncGenerator<LogEntry[]> {
  if (pump !== undefined) pump.followers++;
  try {
    yield* entries;
  } finally {
    if (pump !== undefined) pump.followers--;
  }
}

/** The entries of the wanted streams and times. */
async function* chosen(blocks: AsyncIterable<LogEntry[]>, read: LogRead): AsyncGenerator<LogEntry[]> {
  const since = read.sinceNs > 0n ? fixedRfc3339(rfc3339Nano(read.sinceNs)) : "";
  const until = read.untilNs > 0n ? fixedRfc3339(rfc3339Nano(read.untilNs)) : "";
  const isAll = read.stdout && read.stderr && since === "" && until === "";
  for await (const block of blocks) {
    if (isAll) {
      yield block;
      continue;
    }
    const wanted: LogEntry[] = [];
    for (const entry of block) {
      const time = fixedRfc3339(entry.time);
      if (until !== "" && time > until) {
        // A clock that was put back: earlier lines may come after later ones. What is followed has to end somewhere.
        if (!read.follow) continue;
        if (wanted.length > 0) yield wanted;
        return;
      }
      if (read[entry.stream] && time >= since) wanted.push(entry);
    }
    if (wanted.length > 0) yield wanted;
  }
}

/** The sandboxes that are open, who is found in them by which name, and who is told of their changes. */
import { conflict, errorText } from "../base/errors.ts";
import { log } from "../base/log.ts";
import { EndpointIndex } from "./endpoint-index.ts";
import type { NetworkMember, Sandbox, SandboxWatcher } from "./network.ts";
import type { Publication } from "./port-publisher.ts";
import type { SandboxRecord } from "./records.ts";

export interface OpenSandbox {
  readonly record: SandboxRecord;
  /** The ports that this process holds for it; undefined when it holds none. */
  readonly publication: Publication | undefined;
}

export class OpenSandboxes {
  readonly #open = new Map<string, OpenSandbox>();
  readonly #index = new EndpointIndex();
  readonly #watchers: SandboxWatcher[] = [];

  get size(): number {
    return this.#open.size;
  }

  get(containerId: string): OpenSandbox | undefined {
    return this.#open.get(containerId);
  }

  /** Throws `conflict` for a container that has none. */
  require(containerId: string): OpenSandbox {
    const opened = this.#open.get(containerId);
    if (opened === undefined)
      throw conflict(`container ${containerId} has no network sandbox: it does not run`);
    return opened;
  }

  list(): OpenSandbox[] {
    return [...this.#open.values()];
  }

  records(): SandboxRecord[] {
    return this.list().map(({ record }) => record);
  }

  watch(watcher: SandboxWatcher): void {
    this.#watchers.push(watcher);
  }

  /** Adds one and tells of it. Throws what a watcher throws; the sandbox is there then and wants closing. */
  async add(opened: OpenSandbox): Promise<void> {
    const { record } = opened;
    this.#open.set(record.containerId, opened);
    this.#index.put(undefined, record);
    for (const watcher of this.#watchers) await watcher.opened?.(record);
  }

  /** Puts another state in the place of one and tells of it. */
  async change(before: SandboxRecord, after: OpenSandbox): Promise<void> {
    const { record } = after;
    this.#open.set(record.containerId, after);
    this.#index.put(before, record);
    for (const watcher of this.#watchers)
      try {
        await watcher.changed?.(record);
      } catch (error) {
        // The networks are as they are to be; names that lag behind do not undo that.
        log.error("names could not follow a container's networks", { container: record.containerId, error });
      }
  }

  /** Puts back what holds its ports; nobody is told, for nothing has changed. */
  restore(opened: OpenSandbox): void {
    this.#open.set(opened.record.containerId, opened);
  }

  /** Takes one out and tells of it; undefined when there is none. What a watcher throws stops nothing: it is gone. */
  remove(containerId: string): OpenSandbox | undefined {
    const opened = this.#open.get(containerId);
    if (opened === undefined) return undefined;
    this.#open.delete(containerId);
    this.#index.put(opened.record, undefined);
    for (const watcher of this.#watchers)
      try {
        watcher.closed?.(opened.record);
      } catch (error) {
        log.error("not everything followed the end of a container's networks", {
          container: containerId,
          error: errorText(error),
        });
      }
    return opened;
  }

  members(networkId: string): NetworkMember[] {
    return this.#index.members(networkId);
  }

  lookUp(networkId: string, name: string): readonly NetworkMember[] {
    return this.#index.lookUp(networkId, name);
  }

  /** A container's IPv4 address on a network; empty when it has none. */
  addressOn(networkId: string | undefined, containerId: string): string {
    const endpoints: Sandbox["endpoints"] = this.#open.get(containerId)?.record.endpoints ?? [];
    return endpoints.find((endpoint) => endpoint.networkId === networkId)?.ipv4Address ?? "";
  }
}

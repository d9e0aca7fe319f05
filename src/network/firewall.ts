/** Keeps a daemon's nftables table as its bridges and open sandboxes need it. */
import { errorText, isKind } from "../base/errors.ts";
import { crashpoint } from "../base/failpoint.ts";
import { log } from "../base/log.ts";
import { nft } from "../linux/nftables.ts";
import { Firewalld } from "./firewalld.ts";
import { ForeignChains } from "./foreign-chains.ts";
import {
  type BridgeRules,
  changeBridge,
  changeElements,
  changeForwards,
  directElements,
  type FirewallOptions,
  linkElements,
  type LinkPath,
  type PortForward,
  type SetElement,
  wholeTable,
} from "./ruleset.ts";
import { readUserRules, type UserRules } from "./user-rules.ts";
import type { DeviceNotes } from "./zone-leftovers.ts";

const keyOf = ({ protocol, hostIp, hostPort }: PortForward): string => `${protocol} ${hostIp} ${hostPort}`;

/** Each element once: several ports may lead to one place. */
const unique = (elements: readonly SetElement[]): SetElement[] => [
  ...new Map(elements.map((element) => [`${element.set} ${element.key}`, element])).values(),
];

/** The elements of `one` that are not in `other`. */
function without(one: readonly SetElement[], other: readonly SetElement[]): SetElement[] {
  const known = new Set(other.map(({ set, key }) => `${set} ${key}`));
  return one.filter(({ set, key }) => !known.has(`${set} ${key}`));
}

/** How soon after a failure the table is written again, and how long it may take when that fails too, ms. */
const firstRepairMs = 1_000;
const longestRepairMs = 60_000;

export class Firewall {
  readonly table: string;
  readonly #options: FirewallOptions;
  readonly #userRules: UserRules;
  readonly #foreign: ForeignChains;
  readonly #firewalld: Firewalld;
  readonly #bridges = new Map<string, BridgeRules>();
  readonly #forwards = new Map<string, PortForward>();
  /** By the container that they are for. */
  readonly #links = new Map<string, readonly LinkPath[]>();
  #isInstalled = false;
  /** A change failed: the table is not what it is to be, and the next change writes it whole. */
  #isBehind = false;
  /** Writes it even if there is no next change. */
  #timer: NodeJS.Timeout | undefined;
  #repairDelayMs = firstRepairMs;

  constructor(
    table: string,
    userRules: UserRules,
    options: FirewallOptions & { readonly zoneNotes?: DeviceNotes },
  ) {
    this.table = table;
    this.#firewalld = new Firewalld(undefined, options.zoneNotes);
    this.#options = options;
    this.#userRules = userRules;
    this.#foreign = new ForeignChains(table);
  }

  /** Writes the whole table in one transaction. The administrator's rules stay as they are there, else as they were kept. */
  install(bridges: readonly BridgeRules[], forwards: readonly PortForward[]): void {
    this.#bridges.clear();
    this.#forwards.clear();
    for (const bridge of bridges) this.#bridges.set(bridge.name, bridge);
    for (const forward of forwards) this.#forwards.set(keyOf(forward), forward);
    this.keepUserRules();
    this.repair();
  }

  /**
   * Writes the whole table again as it should be, and has other firewalls let our bridges through. Throws when that fails; it
   * is tried again then until it works.
   */
  repair(): void {
    this.#isInstalled = true;
    this.#isBehind = true;
    try {
      this.#writeAll();
    } catch (error) {
      this.#repairLater();
      throw error;
    }
    this.#isBehind = false;
    this.#repairDelayMs = firstRepairMs;
    this.syncForeignChains();
  }

  #writeAll(): void {
    const kept = this.#userRules.kept();
    try {
      this.#write(kept);
    } catch (error) {
      if (kept.length === 0) throw error;
      log.error("the administrator's rules cannot be written; the table is written without them", { error });
      this.#write([]);
    }
  }

  #write(userRules: readonly string[]): void {
    const parts = {
      options: this.#options,
      bridges: [...this.#bridges.values()],
      forwards: [...this.#forwards.values()],
      elements: this.#derived(),
      userRules,
    };
    nft(`write the nftables table ${this.table}`, wholeTable(this.table, parts));
  }

  /** Remembers the administrator's rules as they are now. */
  keepUserRules(): void {
    const rules = readUserRules(this.table);
    if (rules !== undefined) this.#userRules.keep(rules);
  }

  /** Has other firewalls let through the packets of the bridges that there are; firewalld by and by. */
  syncForeignChains(): void {
    const bridges = [...this.#bridges.keys()];
    this.#foreign.sync(bridges);
    this.#firewalld.sync(bridges);
  }

  /** A bridge of an earlier daemon's that is gone: other firewalls are told so with the next change. */
  forgetBridge(name: string): void {
    this.#firewalld.forget(name);
  }

  /** Resolves when other firewalls know of the bridges that there are. */
  async foreignSettled(): Promise<void> {
    await this.#firewalld.settled();
  }

  addBridge(bridge: BridgeRules): void {
    this.#bridges.set(bridge.name, bridge);
    try {
      this.#change(`add bridge ${bridge.name} to`, changeBridge("add", this.table, bridge));
    } catch (error) {
      this.#bridges.delete(bridge.name);
      throw error;
    }
    this.syncForeignChains();
  }

  removeBridge(name: string): void {
    const bridge = this.#bridges.get(name);
    if (bridge === undefined) return;
    this.#bridges.delete(name);
    this.#change(`delete bridge ${name} from`, changeBridge("delete", this.table, bridge));
    this.syncForeignChains();
  }

  /** Elements that follow from all ports and links together. */
  #derived(): SetElement[] {
    const direct = this.#options.allowDirectRouting ? directElements([...this.#forwards.values()]) : [];
    return unique([...direct, ...linkElements([...this.#links.values()].flat())]);
  }

  /** Makes a change to what the table is made from; gives the commands for what follows from it. */
  #deriving(change: () => void): string {
    const before = this.#derived();
    change();
    const after = this.#derived();
    return [
      changeElements("delete", this.table, without(before, after)),
      changeElements("add", this.table, without(after, before)),
    ].join("\n");
  }

  /**
   * Opens these ways for a container, in place of those that it had. On failure none is to be there: the old ones lead
   * perhaps to somebody else now.
   */
  setLinks(containerId: string, paths: readonly LinkPath[]): void {
    if (paths.length === 0 && !this.#links.has(containerId) && !this.#isBehind) return;
    const commands = this.#deriving(() => {
      if (paths.length === 0) this.#links.delete(containerId);
      else this.#links.set(containerId, paths);
    });
    if (commands.trim() === "" && !this.#isBehind) return;
    try {
      this.#change("change the ways of links in", commands);
    } catch (error) {
      this.#links.delete(containerId);
      throw error;
    }
  }

  /** Adds forwards in one transaction. On failure none of them is there. */
  add(forwards: readonly PortForward[]): void {
    if (forwards.length === 0) return;
    const derived = this.#deriving(() => {
      for (const forward of forwards) this.#forwards.set(keyOf(forward), forward);
    });
    try {
      this.#change("add published ports to", `${changeForwards("add", this.table, forwards)}\n${derived}`);
    } catch (error) {
      for (const forward of forwards) this.#forwards.delete(keyOf(forward));
      throw error;
    }
  }

  /** Removes forwards. Those that cannot be removed now go with the next change. */
  remove(forwards: readonly PortForward[]): void {
    if (forwards.length === 0) return;
    const derived = this.#deriving(() => {
      for (const forward of forwards) this.#forwards.delete(keyOf(forward));
    });
    this.#change(
      "delete published ports from",
      `${changeForwards("delete", this.table, forwards)}\n${derived}`,
      () => crashpoint("network-close.before-firewall"),
    );
  }

  /**
   * Lets ports lead to another address, in one transaction: there is no moment without them. On failure they lead where
   * they did.
   */
  move(before: readonly PortForward[], after: readonly PortForward[]): void {
    if (before.length + after.length === 0) return;
    const derived = this.#deriving(() => {
      for (const forward of before) this.#forwards.delete(keyOf(forward));
      for (const forward of after) this.#forwards.set(keyOf(forward), forward);
    });
    const commands = [
      changeForwards("delete", this.table, before),
      changeForwards("add", this.table, after),
      derived,
    ].join("\n");
    try {
      this.#change("move published ports in", commands);
    } catch (error) {
      for (const forward of after) this.#forwards.delete(keyOf(forward));
      for (const forward of before) this.#forwards.set(keyOf(forward), forward);
      throw error;
    }
  }

  #change(what: string, commands: string, before: () => void = () => {}): void {
    const table = this.table;
    if (this.#isBehind) {
      this.repair();
      return;
    }
    try {
      before();
      nft(`${what} nftables table ${table}`, commands);
    } catch (error) {
      this.#isBehind = true;
      this.#repairLater();
      if (!isKind(error, "notFound", "alreadyExists")) throw error;
      log.warn("the nftables table was changed by somebody else; writing it again", { table, error });
      this.repair();
    }
  }

  /** A port that nobody has any more must not lead to who gets its address next, also when nothing else changes. */
  #repairLater(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      if (!this.#isBehind || !this.#isInstalled) return;
      this.#repairDelayMs = Math.min(this.#repairDelayMs * 2, longestRepairMs);
      try {
        this.repair();
        log.info("the nftables table is as it should be again", { table: this.table });
      } catch (error) {
        log.warn("the nftables table cannot be written; it is tried again", { error: errorText(error) });
      }
    }, this.#repairDelayMs).unref();
  }

  /** Deletes the table that this process wrote; no error when there is none. */
  uninstall(): void {
    if (!this.#isInstalled) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const table = this.table;
    this.#bridges.clear();
    this.#forwards.clear();
    this.#links.clear();
    this.#isBehind = false;
    this.syncForeignChains();
    nft(`delete the nftables table ${table}`, `table inet ${table} { }\ndelete table inet ${table}`);
  }
}

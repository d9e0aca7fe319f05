/** Keeps a daemon's nftables table as its bridges and open sandboxes need it. */
import { isKind } from "../base/errors.ts";
import { log } from "../base/log.ts";
import { nft, nftList } from "../linux/nftables.ts";
import { type BridgeRules, changeBridge, changeForwards, type PortForward, wholeTable } from "./ruleset.ts";

const keyOf = ({ protocol, hostIp, hostPort }: PortForward): string => `${protocol} ${hostIp} ${hostPort}`;

export class Firewall {
  readonly #table: string;
  readonly #bridges = new Map<string, BridgeRules>();
  readonly #forwards = new Map<string, PortForward>();
  #isInstalled = false;

  constructor(table: string) {
    this.#table = table;
  }

  /** Writes the whole table in one transaction: at start-up, and when somebody flushed the ruleset. */
  install(bridges: readonly BridgeRules[], forwards: readonly PortForward[]): void {
    this.#bridges.clear();
    this.#forwards.clear();
    for (const bridge of bridges) this.#bridges.set(bridge.name, bridge);
    for (const forward of forwards) this.#forwards.set(keyOf(forward), forward);
    this.#rewrite();
  }

  #rewrite(): void {
    this.#isInstalled = true;
    nft(
      `write the nftables table ${this.#table}`,
      wholeTable(this.#table, [...this.#bridges.values()], [...this.#forwards.values()]),
    );
  }

  addBridge(bridge: BridgeRules): void {
    this.#bridges.set(bridge.name, bridge);
    try {
      this.#change(`add bridge ${bridge.name} to`, changeBridge("add", this.#table, bridge));
    } catch (error) {
      this.#bridges.delete(bridge.name);
      throw error;
    }
  }

  removeBridge(name: string): void {
    const bridge = this.#bridges.get(name);
    if (bridge === undefined) return;
    this.#bridges.delete(name);
    this.#change(`delete bridge ${name} from`, changeBridge("delete", this.#table, bridge));
  }

  /** Adds forwards in one transaction. On failure none of them is there. */
  add(forwards: readonly PortForward[]): void {
    if (forwards.length === 0) return;
    for (const forward of forwards) this.#forwards.set(keyOf(forward), forward);
    try {
      this.#change("add published ports to", changeForwards("add", this.#table, forwards));
    } catch (error) {
      for (const forward of forwards) this.#forwards.delete(keyOf(forward));
      throw error;
    }
  }

  remove(forwards: readonly PortForward[]): void {
    if (forwards.length === 0) return;
    for (const forward of forwards) this.#forwards.delete(keyOf(forward));
    this.#change("delete published ports from", changeForwards("delete", this.#table, forwards));
  }

  /** Lets ports lead to another address, in one transaction: there is no moment without them. */
  move(before: readonly PortForward[], after: readonly PortForward[]): void {
    if (before.length + after.length === 0) return;
    for (const forward of before) this.#forwards.delete(keyOf(forward));
    for (const forward of after) this.#forwards.set(keyOf(forward), forward);
    this.#change(
      "move published ports in",
      `${changeForwards("delete", this.#table, before)}\n${changeForwards("add", this.#table, after)}`,
    );
  }

  #change(what: string, commands: string): void {
    const table = this.#table;
    try {
      nft(`${what} nftables table ${table}`, commands);
    } catch (error) {
      if (!isKind(error, "notFound", "alreadyExists")) throw error;
      log.warn("the nftables table was changed by somebody else; writing it again", { table, error });
      this.#rewrite();
    }
  }

  /** Deletes the table that this process wrote; no error when there is none. */
  uninstall(): void {
    if (!this.#isInstalled) return;
    const table = this.#table;
    this.#bridges.clear();
    this.#forwards.clear();
    nft(`delete the nftables table ${table}`, `table inet ${table} { }\ndelete table inet ${table}`);
  }

  /**
   * Other tables whose chain drops forwarded packets unless a rule accepts them: our rules cannot overrule that
   * (an accept ends one chain only). As `table ip filter, chain FORWARD`.
   */
  foreignDrops(): string[] {
    return nftList("list the nftables chains", "list chains")
      .map((entry) => entry["chain"])
      .filter((chain) => chain !== undefined)
      .filter(
        (chain) =>
          chain["hook"] === "forward" &&
          chain["policy"] === "drop" &&
          (chain["family"] === "ip" || chain["family"] === "inet") &&
          chain["table"] !== this.#table,
      )
      .map(
        (chain) =>
          `table ${String(chain["family"])} ${String(chain["table"])}, chain ${String(chain["name"])}`,
      );
  }
}

/** Keeps one bridge's nftables table as the open sandboxes need it. */
import { isKind } from "../base/errors.ts";
import { log } from "../base/log.ts";
import { nft, nftList } from "../linux/nftables.ts";
import { changeForwards, type PortForward, type RulesetOptions, wholeTable } from "./ruleset.ts";

const keyOf = ({ protocol, hostIp, hostPort }: PortForward): string => `${protocol} ${hostIp} ${hostPort}`;

export class Firewall {
  readonly #options: RulesetOptions;
  readonly #forwards = new Map<string, PortForward>();

  constructor(options: RulesetOptions) {
    this.#options = options;
  }

  /** Writes the whole table in one transaction: at start-up, and when somebody flushed the ruleset. */
  install(forwards: readonly PortForward[]): void {
    this.#forwards.clear();
    for (const forward of forwards) this.#forwards.set(keyOf(forward), forward);
    this.#rewrite();
  }

  #rewrite(): void {
    nft(
      `write the nftables table ${this.#options.table}`,
      wholeTable(this.#options, [...this.#forwards.values()]),
    );
  }

  /** Adds forwards in one transaction. On failure none of them is there. */
  add(forwards: readonly PortForward[]): void {
    if (forwards.length === 0) return;
    for (const forward of forwards) this.#forwards.set(keyOf(forward), forward);
    try {
      this.#change("add", forwards);
    } catch (error) {
      for (const forward of forwards) this.#forwards.delete(keyOf(forward));
      throw error;
    }
  }

  remove(forwards: readonly PortForward[]): void {
    if (forwards.length === 0) return;
    for (const forward of forwards) this.#forwards.delete(keyOf(forward));
    this.#change("delete", forwards);
  }

  #change(verb: "add" | "delete", forwards: readonly PortForward[]): void {
    const { table } = this.#options;
    try {
      nft(`${verb} published ports in nftables table ${table}`, changeForwards(verb, table, forwards));
    } catch (error) {
      if (!isKind(error, "notFound", "alreadyExists")) throw error;
      log.warn("the nftables table was changed by somebody else; writing it again", { table, error });
      this.#rewrite();
    }
  }

  /** Deletes the table; no error when there is none. */
  uninstall(): void {
    const { table } = this.#options;
    this.#forwards.clear();
    nft(`delete the nftables table ${table}`, `table ip ${table} { }\ndelete table ip ${table}`);
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
          chain["table"] !== this.#options.table,
      )
      .map(
        (chain) =>
          `table ${String(chain["family"])} ${String(chain["table"])}, chain ${String(chain["name"])}`,
      );
  }
}

/**
 * Chains of other firewalls that drop forwarded packets unless one of their own rules accepts them (Docker's and ufw's
 * FORWARD, firewalld's, a host's own): an accept in our table does not end theirs. Each gets two rules a bridge, marked by
 * a comment, which let our bridges' packets through; what may pass is still for our own table to say.
 */
import { errorText, isKind } from "../base/errors.ts";
import { log } from "../base/log.ts";
import { nft, nftList } from "../linux/nftables.ts";

interface Chain {
  readonly family: string;
  readonly table: string;
  readonly name: string;
}

interface MarkedRule {
  readonly handle: number;
  readonly comment: string;
}

/** Names that can be written into a command as they are. */
const plainName = /^[A-Za-z_][\w.-]*$/;

const place = ({ family, table, name }: Chain): string => `${family} ${table} ${name}`;

export class ForeignChains {
  readonly #ownTable: string;
  #lastFailure = "";

  constructor(ownTable: string) {
    this.#ownTable = ownTable;
  }

  /** Puts what is missing into other firewalls' chains and takes out what is there for bridges that are gone. */
  sync(bridges: readonly string[]): void {
    const wanted = new Map(
      bridges.flatMap((bridge) => [
        [this.#mark("from", bridge), `iifname "${bridge}" accept`] as const,
        [this.#mark("to", bridge), `oifname "${bridge}" accept`] as const,
      ]),
    );
    try {
      let failure: unknown;
      for (const chain of this.#chains())
        try {
          this.#syncChain(chain, wanted);
        } catch (error) {
          // A newer firewalld owns its table: it is told in its own way.
          if (chain.table !== "firewalld" || !isKind(error, "permissionDenied")) failure = error;
        }
      if (failure !== undefined) throw failure;
      this.#lastFailure = "";
    } catch (error) {
      // Another firewall is being written at this moment, perhaps: its next change brings us here again.
      const text = errorText(error);
      if (text !== this.#lastFailure)
        log.warn("another firewall that drops forwarded packets could not be told of our bridges", {
          error: text,
        });
      this.#lastFailure = text;
    }
  }

  #mark(direction: string, bridge: string): string {
    return `${this.#ownTable}: ${direction} ${bridge}`;
  }

  #syncChain(chain: Chain, wanted: ReadonlyMap<string, string>): void {
    const found = this.#marked(chain);
    const commands = [
      ...found
        .filter(({ comment }) => !wanted.has(comment))
        .map(({ handle }) => `delete rule ${place(chain)} handle ${handle}`),
      ...[...wanted]
        .filter(([comment]) => !found.some((rule) => rule.comment === comment))
        .map(([comment, rule]) => `insert rule ${place(chain)} ${rule} comment "${comment}"`),
    ];
    if (commands.length > 0)
      nft(`change the rules for our bridges in chain ${place(chain)}`, commands.join("\n"));
  }

  #chains(): Chain[] {
    return nftList("list the nftables chains", "list chains")
      .map((entry) => entry["chain"])
      .filter((chain) => chain !== undefined)
      .filter(
        ({ hook, policy, table, name }) =>
          hook === "forward" &&
          // firewalld's chain accepts by policy and rejects by its last rule.
          (policy === "drop" || (table === "firewalld" && name === "filter_FORWARD")) &&
          table !== this.#ownTable,
      )
      .map(({ family, table, name }) => ({
        family: String(family),
        table: String(table),
        name: String(name),
      }))
      .filter(
        ({ family, table, name }) =>
          ["ip", "ip6", "inet"].includes(family) && plainName.test(table) && plainName.test(name),
      );
  }

  #marked(chain: Chain): MarkedRule[] {
    return nftList(`list chain ${place(chain)}`, `list chain ${place(chain)}`)
      .map((entry) => entry["rule"])
      .filter((rule) => rule !== undefined)
      .map(({ handle, comment }) => ({
        handle: Number(handle),
        comment: typeof comment === "string" ? comment : "",
      }))
      .filter(({ comment }) => comment.startsWith(`${this.#ownTable}: `));
  }
}

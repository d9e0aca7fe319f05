/** Keeps the firewall as it should be while others change the host's rules. */
import { errorText } from "../base/errors.ts";
import { log } from "../base/log.ts";
import { type NftChange, watchNftables } from "../linux/nft-monitor.ts";
import type { Firewall } from "./firewall.ts";
import { userChain } from "./user-rules.ts";

/** Others often change their rules in several transactions. */
const settleMs = 50;

/**
 * Writes the table again when somebody else has changed or flushed it, keeps the administrator's own rules when those
 * were changed, and has other firewalls' chains looked at when they changed. Dispose it to stop.
 */
export class FirewallGuard implements Disposable {
  readonly #firewall: Firewall;
  readonly #watch: Disposable;
  #timer: NodeJS.Timeout | undefined;
  #isBroken = false;

  constructor(firewall: Firewall) {
    this.#firewall = firewall;
    this.#watch = watchNftables((change) => this.#onChange(change));
  }

  #onChange({ isOwn, isIncomplete, tables }: NftChange): void {
    if (isOwn) return;
    const ours = tables.get(this.#firewall.table);
    const isUsersOnly =
      ours !== undefined && !ours.others && [...ours.chains].every((chain) => chain === userChain);
    if (isIncomplete || (ours !== undefined && !isUsersOnly)) this.#isBroken = true;
    else if (isUsersOnly)
      this.#attempt("keep the administrator's rules", () => this.#firewall.keepUserRules());
    this.#timer ??= setTimeout(() => this.#settle(), settleMs);
    this.#timer.unref();
  }

  #settle(): void {
    this.#timer = undefined;
    if (this.#isBroken) {
      this.#isBroken = false;
      log.info("somebody changed the nftables table; it is written again", { table: this.#firewall.table });
      this.#attempt("write the nftables table again", () => this.#firewall.repair());
    } else this.#firewall.syncForeignChains();
  }

  #attempt(what: string, work: () => void): void {
    try {
      work();
    } catch (error) {
      log.error(`could not ${what}`, { error: errorText(error) });
    }
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#watch[Symbol.dispose]();
  }
}

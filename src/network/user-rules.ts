/**
 * The administrator's own rules: the chain `user` of the daemon's table, which every forwarded packet goes through first.
 * Whoever changes it with nft(8) changes it for good: it is kept when the table is written anew, and over restarts.
 */
import type { Database } from "../base/database.ts";
import { isKind } from "../base/errors.ts";
import { nftText } from "../linux/nftables.ts";

export const userChain = "user";

export class UserRules {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
    database.exec(
      "CREATE TABLE IF NOT EXISTS firewall_user_rules (position INTEGER PRIMARY KEY, rule TEXT NOT NULL) STRICT",
    );
  }

  /** The rules that were kept last, each as nft(8) writes it. */
  kept(): string[] {
    const rows = this.#database.prepare("SELECT rule FROM firewall_user_rules ORDER BY position").all();
    return rows.map((row) => String(row["rule"]));
  }

  keep(rules: readonly string[]): void {
    const before = this.kept();
    if (before.length === rules.length && before.every((rule, index) => rule === rules[index])) return;
    this.#database.exec("BEGIN");
    try {
      this.#database.exec("DELETE FROM firewall_user_rules");
      const insert = this.#database.prepare("INSERT INTO firewall_user_rules (position, rule) VALUES (?, ?)");
      rules.forEach((rule, position) => insert.run(position, rule));
      this.#database.exec("COMMIT");
    } catch (error) {
      this.#database.exec("ROLLBACK");
      throw error;
    }
  }
}

/** The rules that are in the chain now; undefined when there is no such chain. */
export function readUserRules(table: string): string[] | undefined {
  let listed: string;
  try {
    listed = nftText("read the administrator's rules", `list chain inet ${table} ${userChain}`);
  } catch (error) {
    if (isKind(error, "notFound")) return undefined;
    throw error;
  }
  return parseChain(listed);
}

/** The rules of a chain as `list chain` prints it. */
export function parseChain(listed: string): string[] {
  const lines = listed.split("\n").map((line) => line.trim());
  const start = lines.findIndex((line) => /^chain \S+ \{$/.test(line));
  const end = lines.indexOf("}", start);
  return start < 0 || end < 0 ? [] : lines.slice(start + 1, end).filter((line) => line !== "");
}

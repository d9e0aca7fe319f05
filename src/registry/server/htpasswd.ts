/** Who may use the registry: an htpasswd file with bcrypt hashes (`htpasswd -B`), read anew when it changes. */
import { createHash } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { compare } from "bcryptjs";
import { errorText, invalidArgument } from "../../base/errors.ts";
import { log } from "../../base/log.ts";

/** A hash costs tens of milliseconds of a processor: who was right is believed for so long. */
const rememberMs = 5 * 60_000;
const maxRemembered = 10_000;
/** Compared with when there is no such user, so that an answer takes as long as for one that there is. */
const nobodysHash = "$2b$10$CwTycUXWue0Thq9StjUM0uJ8.1sFqFUmSkG2rEYvWFf0nCzK7ZK7e";

export class Htpasswd {
  readonly #path: string;
  #hashes: ReadonlyMap<string, string>;
  #version: string;
  readonly #remembered = new Map<string, number>();

  /** Throws `invalidArgument` for a file that cannot be read or has another form of hash. */
  constructor(path: string) {
    this.#path = path;
    this.#version = versionOf(path);
    this.#hashes = readHashes(path);
  }

  /** True for a user of the file with the right password. */
  async verify(user: string, password: string): Promise<boolean> {
    this.#refresh();
    const hash = this.#hashes.get(user);
    const key = createHash("sha256")
      .update(JSON.stringify([user, password, hash]))
      .digest("base64");
    const until = this.#remembered.get(key);
    if (until !== undefined && until > Date.now()) return true;
    const isRight = await compare(password, hash ?? nobodysHash);
    if (!isRight || hash === undefined) return false;
    if (this.#remembered.size >= maxRemembered) this.#remembered.clear();
    this.#remembered.set(key, Date.now() + rememberMs);
    return true;
  }

  #refresh(): void {
    const version = versionOf(this.#path);
    if (version === this.#version || version === "") return;
    this.#version = version;
    try {
      this.#hashes = readHashes(this.#path);
      this.#remembered.clear();
    } catch (error) {
      log.error("the users stay as they were", { error: errorText(error) });
    }
  }
}

function versionOf(path: string): string {
  const stat = statSync(path, { throwIfNoEntry: false, bigint: true });
  return stat === undefined ? "" : `${stat.ino}:${stat.mtimeNs}:${stat.size}`;
}

function readHashes(path: string): Map<string, string> {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw invalidArgument(`cannot read the users in ${path}: ${errorText(error)}`);
  }
  const hashes = new Map<string, string>();
  for (const [index, line] of text.split("\n").entries()) {
    if (line.trim() === "" || line.startsWith("#")) continue;
    const at = line.indexOf(":");
    const hash = line.slice(at + 1).trim();
    if (at < 1 || !/^\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}$/.test(hash))
      throw invalidArgument(`${path}, line ${index + 1}: want USER:HASH with a bcrypt hash`, {
        hint: "Make such a line with: gantry registry htpasswd USER (or htpasswd -nB USER)",
      });
    hashes.set(line.slice(0, at), hash);
  }
  return hashes;
}

/** User and password of a `Basic` header (RFC 7617); undefined for anything else. */
export function parseBasic(header: string | undefined): { user: string; password: string } | undefined {
  const match = /^basic +([A-Za-z0-9+/=_-]+)$/i.exec(header ?? "");
  if (match === null) return undefined;
  const text = Buffer.from(match[1]!, "base64").toString("utf8");
  const at = text.indexOf(":");
  return at < 0 ? undefined : { user: text.slice(0, at), password: text.slice(at + 1) };
}

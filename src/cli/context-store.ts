/**
 * Contexts, Docker's named endpoints, in Docker's own files: `contexts/meta/<sha256 of the name>/meta.json` and
 * `contexts/tls/<sha256>/docker/{ca,cert,key}.pem` below the client's directory; the current one's name is in config.json.
 * Both command lines so have the same.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CliError } from "./errors.ts";

/** What a context's meta.json holds. Fields of others' are kept as they are. */
export interface ContextMeta {
  Name: string;
  Metadata: { Description?: string } & Record<string, unknown>;
  Endpoints: { docker?: { Host?: string; SkipTLSVerify: boolean } } & Record<string, unknown>;
}

export const tlsFileNames = ["ca.pem", "cert.pem", "key.pem"] as const;
export type TlsFiles = Partial<Record<(typeof tlsFileNames)[number], Buffer>>;

const namePattern = /^[a-zA-Z0-9][a-zA-Z0-9_.+-]+$/;

/** Throws `CliError` in Docker's words. */
export function checkContextName(name: string): void {
  if (name === "") throw new CliError("context name cannot be empty");
  if (name === "default") throw new CliError('"default" is a reserved context name');
  if (!namePattern.test(name))
    throw new CliError(
      `context name "${name}" is invalid, names are validated against regexp "^[a-zA-Z0-9][a-zA-Z0-9_.+-]+$"`,
    );
}

/** The contexts below one directory of client's settings. */
export class ContextStore {
  readonly #root: string;

  constructor(configDirectory: string) {
    this.#root = join(configDirectory, "contexts");
  }

  #id(name: string): string {
    // Loaded here: most command lines have no contexts.
    const { createHash } = process.getBuiltinModule("node:crypto");
    return createHash("sha256").update(name).digest("hex");
  }

  metaPath(name: string): string {
    return join(this.#root, "meta", this.#id(name));
  }

  tlsPath(name: string): string {
    return join(this.#root, "tls", this.#id(name));
  }

  /** All contexts, by name. One that cannot be read is left out. */
  list(): ContextMeta[] {
    let directories: string[];
    try {
      directories = readdirSync(join(this.#root, "meta"));
    } catch {
      return [];
    }
    return directories
      .flatMap((directory) => {
        try {
          return [parseMeta(readFileSync(join(this.#root, "meta", directory, "meta.json"), "utf8"))];
        } catch {
          return [];
        }
      })
      .sort((a, b) => a.Name.localeCompare(b.Name, "en", { numeric: true }));
  }

  has(name: string): boolean {
    return this.#read(name) !== undefined;
  }

  #read(name: string): ContextMeta | undefined {
    let text: string;
    try {
      text = readFileSync(join(this.metaPath(name), "meta.json"), "utf8");
    } catch {
      return undefined;
    }
    return parseMeta(text);
  }

  /** Throws `CliError` in Docker's words when there is none. */
  get(name: string): ContextMeta {
    const meta = this.#read(name);
    if (meta === undefined)
      throw new CliError(
        `context "${name}": context not found: open ${join(this.metaPath(name), "meta.json")}: no such file or directory`,
      );
    return meta;
  }

  put(meta: ContextMeta): void {
    mkdirSync(this.metaPath(meta.Name), { recursive: true, mode: 0o755 });
    writeFileSync(join(this.metaPath(meta.Name), "meta.json"), JSON.stringify(meta), { mode: 0o644 });
  }

  tls(name: string): TlsFiles {
    const files: TlsFiles = {};
    for (const file of tlsFileNames)
      try {
        files[file] = readFileSync(join(this.tlsPath(name), "docker", file));
      } catch {
        // It need not have each of them.
      }
    return files;
  }

  /** Replaces the certificates of a context. */
  putTls(name: string, files: TlsFiles): void {
    rmSync(this.tlsPath(name), { recursive: true, force: true });
    for (const [file, content] of Object.entries(files)) {
      mkdirSync(join(this.tlsPath(name), "docker"), { recursive: true, mode: 0o700 });
      writeFileSync(join(this.tlsPath(name), "docker", file), content, { mode: 0o600 });
    }
  }

  remove(name: string): void {
    rmSync(this.metaPath(name), { recursive: true, force: true });
    rmSync(this.tlsPath(name), { recursive: true, force: true });
  }
}

/** Reads the text of a meta.json. Throws `CliError` for what is none. */
export function parseMeta(text: string): ContextMeta {
  const value = JSON.parse(text) as Partial<ContextMeta> | null;
  if (typeof value?.Name !== "string") throw new CliError("meta.json of a context has no name");
  return { ...value, Name: value.Name, Metadata: value.Metadata ?? {}, Endpoints: value.Endpoints ?? {} };
}

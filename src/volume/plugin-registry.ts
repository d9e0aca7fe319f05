/**
 * Where volume plugins of Docker's legacy protocol are found: a socket `NAME.sock` or `NAME/NAME.sock` below the run
 * directory, `NAME.spec` (one line, an address) or `NAME.json` (address and certificates) in the specification
 * directories. Sockets come before files, and nothing is kept: a plugin may come and go while the daemon runs.
 */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { errorText, EngineError, invalidArgument } from "../base/errors.ts";

export interface PluginDirectories {
  readonly sockets: string;
  readonly specifications: readonly string[];
}

export const pluginDirectories: PluginDirectories = {
  sockets: "/run/docker/plugins",
  specifications: ["/etc/docker/plugins", "/usr/lib/docker/plugins"],
};

export interface PluginTls {
  readonly skipVerify: boolean;
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
}

export interface PluginAddress {
  readonly name: string;
  /** `unix:///run/x.sock`, `tcp://host:port`, `http://…`, `https://…`. */
  readonly address: string;
  readonly tls: PluginTls | undefined;
}

function entriesOf(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function isSocket(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isSocket() === true;
}

function socketOf(directories: PluginDirectories, name: string): string | undefined {
  return [join(directories.sockets, `${name}.sock`), join(directories.sockets, name, `${name}.sock`)].find(
    isSocket,
  );
}

/** Names of all plugins that are there, whatever they implement. */
export function pluginNames(directories: PluginDirectories): string[] {
  const sockets = entriesOf(directories.sockets)
    .map((entry) => basename(entry, ".sock"))
    .filter((name) => socketOf(directories, name) !== undefined);
  const files = directories.specifications.flatMap((directory) =>
    entriesOf(directory)
      .filter((entry) => /\.(spec|json)$/.test(entry))
      .map((entry) => entry.replace(/\.(spec|json)$/, "")),
  );
  return [...new Set([...sockets, ...files])].sort();
}

/** Throws `notFound` in Docker's words, `invalidArgument` for a file that says nothing sensible. */
export function findPlugin(directories: PluginDirectories, name: string): PluginAddress {
  if (/^[\w.:-]{1,200}$/.test(name) && name !== "." && name !== "..") {
    const socket = socketOf(directories, name);
    if (socket !== undefined) return { name, address: `unix://${socket}`, tls: undefined };
    for (const directory of directories.specifications)
      for (const kind of ["spec", "json"] as const) {
        const path = join(directory, `${name}.${kind}`);
        if (existsSync(path)) return kind === "spec" ? readSpec(name, path) : readJson(name, path);
      }
  }
  throw new EngineError("notFound", `error looking up volume plugin ${name}: plugin "${name}" not found`);
}

function readSpec(name: string, path: string): PluginAddress {
  return checked({ name, address: readFileSync(path, "utf8").trim(), tls: undefined }, path);
}

/** `{"Name", "Addr", "TLSConfig": {"InsecureSkipVerify", "CAFile", "CertFile", "KeyFile"}}`. */
function readJson(name: string, path: string): PluginAddress {
  let read: Record<string, unknown>;
  try {
    read = JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;
  } catch (error) {
    throw invalidArgument(`plugin ${name}: cannot read ${path}: ${errorText(error)}`, { cause: error });
  }
  const text = (value: unknown): string => (typeof value === "string" ? value : "");
  const tls = read["TLSConfig"] as Record<string, unknown> | null | undefined;
  return checked(
    {
      name,
      address: text(read["Addr"]),
      tls:
        typeof tls === "object" && tls !== null
          ? {
              skipVerify: tls["InsecureSkipVerify"] === true,
              caFile: text(tls["CAFile"]),
              certFile: text(tls["CertFile"]),
              keyFile: text(tls["KeyFile"]),
            }
          : undefined,
    },
    path,
  );
}

function checked(plugin: PluginAddress, path: string): PluginAddress {
  if (/^(unix:\/\/\/|(tcp|https?):\/\/[^/])/.test(plugin.address)) return plugin;
  throw invalidArgument(
    `plugin ${plugin.name}: ${path} names no address: want unix:///PATH or tcp://HOST:PORT, got "${plugin.address}"`,
  );
}

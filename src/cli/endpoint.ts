/** Which daemon a command line talks to, and how: flags, environment and contexts, in Docker's order. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { defaultHost } from "../base/paths.ts";
import type { ClientTls } from "../client/dial.ts";
import { ContextStore } from "./context-store.ts";
import { CliError } from "./errors.ts";

/** What flags in front of the command say. */
export interface EndpointFlags {
  readonly host?: string | undefined;
  readonly context?: string | undefined;
  readonly tls?: TlsFlags | undefined;
}

export interface TlsFlags {
  readonly tls: boolean;
  /** Undefined when the flag was not given. */
  readonly verify: boolean | undefined;
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

export interface Endpoint {
  readonly host: string;
  /** Somebody named it; then it is somebody's to start. */
  readonly isNamed: boolean;
  readonly tls: ClientTls | undefined;
}

type Environment = Readonly<Record<string, string | undefined>>;

interface Surroundings {
  readonly env: Environment;
  readonly configDirectory: string;
  /** `currentContext` of config.json. */
  readonly currentContext: () => string;
}

/**
 * Name of the context that is used; `default` stands for flags and environment. Throws `CliError` when both a host and
 * a context are named by flag.
 */
export function contextName(flags: EndpointFlags, { env, currentContext }: Surroundings): string {
  if (flags.context) {
    if (flags.host) throw new CliError("conflicting options: cannot specify both --host and --context");
    return flags.context;
  }
  if (flags.host || env["GANTRY_HOST"] || env["DOCKER_HOST"]) return "default";
  return env["DOCKER_CONTEXT"] || currentContext() || "default";
}

/** Throws `CliError` for a context that is not there and for files of TLS that cannot be read. */
export function chooseEndpoint(flags: EndpointFlags, surroundings: Surroundings): Endpoint {
  const name = contextName(flags, surroundings);
  if (name === "default") return defaultEndpoint(flags, surroundings);
  const store = new ContextStore(surroundings.configDirectory);
  const endpoint = store.get(name).Endpoints.docker;
  const files = store.tls(name);
  const hasTls = Object.keys(files).length > 0 || endpoint?.SkipTLSVerify === true;
  return {
    host: endpoint?.Host || defaultHost,
    isNamed: true,
    tls: hasTls
      ? {
          ca: files["ca.pem"]?.toString(),
          cert: files["cert.pem"]?.toString(),
          key: files["key.pem"]?.toString(),
          skipVerify: endpoint?.SkipTLSVerify === true,
        }
      : undefined,
  };
}

function defaultEndpoint(flags: EndpointFlags, surroundings: Surroundings): Endpoint {
  const { env } = surroundings;
  const named = flags.host || env["GANTRY_HOST"] || env["DOCKER_HOST"];
  return { host: named || defaultHost, isNamed: Boolean(named), tls: defaultTls(flags.tls, surroundings) };
}

/**
 * `--tls` takes any certificate, `--tlsverify` (or `DOCKER_TLS_VERIFY`) one of the authority's. Files that were not named
 * lie in `DOCKER_CERT_PATH`, else in the client's directory, and need not be there, except for the authority's.
 */
function defaultTls(
  flags: TlsFlags | undefined,
  { env, configDirectory }: Surroundings,
): ClientTls | undefined {
  const verify = flags?.verify ?? Boolean(env["DOCKER_TLS_VERIFY"]);
  if (flags?.tls !== true && !verify && !env["DOCKER_TLS"]) return undefined;
  const directory = env["DOCKER_CERT_PATH"] || configDirectory;
  const read = (named: string | undefined, file: string, isNeeded: boolean): string | undefined => {
    const path = named || join(directory, file);
    try {
      return readFileSync(path, "utf8");
    } catch (error) {
      if (!named && !isNeeded) return undefined;
      throw new CliError(
        `unable to resolve docker endpoint: open ${path}: ${(error as NodeJS.ErrnoException).code === "ENOENT" ? "no such file or directory" : (error as Error).message}`,
        1,
        { cause: error },
      );
    }
  };
  return {
    ca: verify ? read(flags?.ca, "ca.pem", true) : undefined,
    cert: read(flags?.cert, "cert.pem", false),
    key: read(flags?.key, "key.pem", false),
    skipVerify: !verify,
  };
}

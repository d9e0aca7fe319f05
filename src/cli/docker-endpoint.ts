/** `--docker key=value,…` of `context create` and `context update`. */
import { readFileSync } from "node:fs";
import { parseHost } from "../client/host.ts";
import type { CommandContext } from "./command.ts";
import type { ContextMeta, ContextStore, TlsFiles } from "./context-store.ts";
import { CliError, exitUsage, UsageError } from "./errors.ts";
import { parseBool, parseCommaSeparated } from "./flag-values.ts";

export interface DockerEndpoint {
  readonly endpoint: NonNullable<ContextMeta["Endpoints"]["docker"]>;
  readonly tls: TlsFiles;
}

const keys = ["from", "host", "ca", "cert", "key", "skip-tls-verify"];

/** Reads the values; undefined when there are none. Throws `CliError` in Docker's words. */
export function dockerEndpoint(
  context: CommandContext,
  store: ContextStore,
  values: readonly string[],
): DockerEndpoint | undefined {
  const settings = new Map<string, string>();
  for (const field of values.flatMap(parseCommaSeparated)) {
    const at = field.indexOf("=");
    if (at < 0)
      throw new UsageError(
        `invalid argument "${field}" for "--docker" flag: ${field} must be formatted as key=value`,
        exitUsage,
      );
    settings.set(field.slice(0, at), field.slice(at + 1));
  }
  if (settings.size === 0) return undefined;
  for (const key of settings.keys())
    if (!keys.includes(key))
      throw new CliError(`unable to create docker endpoint config: unrecognized config key: ${key}`);
  const from = settings.get("from");
  if (from !== undefined) return copiedEndpoint(context, store, from);
  const host = settings.get("host") ?? "";
  const skip = settings.get("skip-tls-verify");
  const tls: TlsFiles = {};
  for (const [key, file] of [
    ["ca", "ca.pem"],
    ["cert", "cert.pem"],
    ["key", "key.pem"],
  ] as const)
    if (settings.get(key)) tls[file] = readTlsFile(settings.get(key)!);
  try {
    if (host !== "") parseHost(host);
    return {
      endpoint: {
        ...(host === "" ? {} : { Host: host }),
        SkipTLSVerify: skip === undefined ? false : parseBool(skip),
      },
      tls,
    };
  } catch (error) {
    throw new CliError(`unable to create docker endpoint config: ${(error as Error).message}`, 1, {
      cause: error,
    });
  }
}

/** The endpoint of another context; that of `default` is what flags and environment say now. */
export function copiedEndpoint(context: CommandContext, store: ContextStore, from: string): DockerEndpoint {
  if (from !== "default")
    return { endpoint: store.get(from).Endpoints.docker ?? { SkipTLSVerify: false }, tls: store.tls(from) };
  const { host, tls } = context.endpoint();
  const files: TlsFiles = {};
  if (tls?.ca !== undefined) files["ca.pem"] = Buffer.from(tls.ca);
  if (tls?.cert !== undefined) files["cert.pem"] = Buffer.from(tls.cert);
  if (tls?.key !== undefined) files["key.pem"] = Buffer.from(tls.key);
  return { endpoint: { Host: host, SkipTLSVerify: tls?.skipVerify === true }, tls: files };
}

function readTlsFile(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new CliError(
      `unable to create docker endpoint config: open ${path}: ${(error as NodeJS.ErrnoException).code === "ENOENT" ? "no such file or directory" : (error as Error).message}`,
      1,
      { cause: error },
    );
  }
}

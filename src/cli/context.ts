import { readFileSync } from "node:fs";
import { defaultHost } from "../base/paths.ts";
import { connect, type Client } from "../client/client.ts";
import type { ClientConfig, CommandContext } from "./command.ts";
import { chooseEndpoint, contextName, type Endpoint, type EndpointFlags } from "./endpoint.ts";
import { CliError } from "./errors.ts";
import type { ParsedArguments } from "./parser.ts";
import { gantryVersion } from "./version-number.ts";
import { writeAll } from "./write-all.ts";

export interface ContextOptions {
  /** The command line without the program's name. */
  readonly words?: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** What `-H`, `--context` and `--tls*` say. */
  readonly endpoint?: EndpointFlags | undefined;
  /** Directory that `--config` named. */
  readonly configDirectory?: string | undefined;
  /** Only looks for a daemon, starts none. */
  readonly noDaemonStart?: boolean;
  /** Runs the daemon: given by the composition root, because the command line may not know the engine. */
  readonly runDaemon?: ((parsed: ParsedArguments) => Promise<number>) | undefined;
  /** Runs a registry, or collects its garbage: given by the composition root too. */
  readonly runRegistry?: CommandContext["runRegistry"] | undefined;
  /** Speaks to registries for the `manifest` commands: given by the composition root too. */
  readonly manifestRegistry?: CommandContext["manifestRegistry"] | undefined;
  /** Looks at a data root and a machine without a daemon: given by the composition root too. */
  readonly maintenance?: CommandContext["maintenance"] | undefined;
}

/** The context of a command that runs as this process. Nothing of it is made before it is used. */
export function processContext(options: ContextOptions): CommandContext {
  const { env } = options;
  let client: Client | undefined;
  let config: ClientConfig | undefined;
  const configDirectory =
    options.configDirectory ?? env["DOCKER_CONFIG"] ?? `${env["HOME"] ?? "/root"}/.docker`;
  const readOnce = (): ClientConfig => (config ??= readConfig(configDirectory));
  const flags = options.endpoint ?? {};
  const surroundings = { env, configDirectory, currentContext: () => readOnce().currentContext ?? "" };
  const endpoint = (): Endpoint => chooseEndpoint(flags, surroundings);
  return {
    get client() {
      if (client !== undefined) return client;
      const { host, isNamed, tls } = endpoint();
      client = connect(host, {
        tls,
        apiVersion: firstSet(env["DOCKER_API_VERSION"]),
        userAgent: `gantry/${gantryVersion} (linux)`,
        // A daemon that somebody names is somebody's to start.
        ...(!isNamed && options.noDaemonStart !== true ? { onUnreachable: startDaemonFor } : {}),
      });
      return client;
    },
    get stdin() {
      return process.stdin;
    },
    get stdout() {
      return process.stdout;
    },
    get stderr() {
      return process.stderr;
    },
    words: options.words ?? [],
    env,
    contextName: () => contextName(flags, surroundings),
    defaultHost: () => env["GANTRY_HOST"] || env["DOCKER_HOST"] || defaultHost,
    endpoint,
    configDirectory,
    runDaemon(parsed) {
      if (options.runDaemon === undefined) throw new CliError("This program is a client without a daemon.");
      return options.runDaemon(parsed);
    },
    runRegistry(command, parsed) {
      if (options.runRegistry === undefined)
        throw new CliError("This program is a client without a registry.");
      return options.runRegistry(command, parsed);
    },
    manifestRegistry() {
      if (options.manifestRegistry === undefined)
        throw new CliError("This program is a client that speaks to no registry.");
      return options.manifestRegistry();
    },
    maintenance() {
      if (options.maintenance === undefined) throw new CliError("This program is a client without a daemon.");
      return options.maintenance();
    },
    print: (text) => writeAll(1, text),
    printError: (line) => writeAll(2, `${line}\n`),
    config: readOnce,
  };
}

async function startDaemonFor(error: { readonly code: string }): Promise<boolean> {
  if (error.code !== "ENOENT" && error.code !== "ECONNREFUSED") return false;
  const { startDaemon } = await import("./start-daemon.ts");
  await startDaemon();
  return true;
}

function firstSet(...values: (string | undefined)[]): string | undefined {
  return values.find((value) => value !== undefined && value !== "");
}

function readConfig(directory: string): ClientConfig {
  let text: string;
  try {
    text = readFileSync(`${directory}/config.json`, "utf8");
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "")) return {};
    throw new CliError(`Cannot read ${directory}/config.json: ${(error as Error).message}`, 1, {
      cause: error,
    });
  }
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null) return value;
    throw new Error("it is no JSON object");
  } catch (error) {
    throw new CliError(`Cannot use ${directory}/config.json: ${(error as Error).message}`, 1, {
      cause: error,
    });
  }
}

/** Log drivers and their options: which there are, and what they may say (moby, daemon/logger). */
import { EngineError, errorText, invalidArgument, notImplemented } from "../../base/errors.ts";
import { parseBytes } from "../../base/sizes.ts";
import type { LogConfig } from "../../wire/container.ts";
import type { RotationLimits } from "./rotating-files.ts";
import { parseSyslogAddress, syslogFacilities, syslogFormats } from "./syslog-options.ts";

export type DriverName = "json-file" | "local" | "journald" | "syslog" | "none";

/** Drivers of Docker's that need a service which is not on the machine itself. */
const otherDrivers = ["awslogs", "etwlogs", "fluentd", "gcplogs", "gelf", "logentries", "splunk"];

type Options = Readonly<Record<string, string>>;

const choosing = ["labels", "labels-regex", "env", "env-regex", "tag"];
const fileOptions = ["max-size", "max-file", "compress"];
/** Options of each driver beside those that all have. */
const optionsOf: Readonly<Record<DriverName, readonly string[]>> = {
  "json-file": [...fileOptions, ...choosing],
  local: fileOptions,
  journald: choosing,
  syslog: [
    ...choosing,
    "syslog-address",
    "syslog-facility",
    "syslog-format",
    "syslog-tls-ca-cert",
    "syslog-tls-cert",
    "syslog-tls-key",
    "syslog-tls-skip-verify",
  ],
  none: [],
};

/** Names of the drivers, for `info`. */
export const logDrivers: readonly string[] = Object.keys(optionsOf).sort();

/** Whether the lines of a driver can be read again (`docker logs`). */
export function isReadable(driver: DriverName): boolean {
  return driver === "json-file" || driver === "local" || driver === "journald";
}

/** The driver of a container's configuration. */
export function driverName(config: LogConfig | null | undefined): DriverName {
  return (config?.Type || "json-file") as DriverName;
}

/**
 * Checks what a container or the daemon asks of its log driver. Throws `invalidArgument` in Docker's words; also for what
 * Docker would only find at the container's start.
 */
export function validateLogging(config: LogConfig): void {
  const type = config.Type || "json-file";
  const options = config.Config ?? {};
  if (type === "none") return;
  validateMode(options);
  if (otherDrivers.includes(type))
    throw notImplemented(`--log-driver ${type} is not served by this engine; ${logDrivers.join(", ")} are`);
  if (!Object.hasOwn(optionsOf, type))
    throw invalidArgument(`error looking up logging plugin ${type}: plugin "${type}" not found`);
  for (const name of Object.keys(options)) {
    // They are about a copy that `docker logs` reads for drivers that cannot be read.
    if (name.startsWith("cache-")) throw notImplemented(`--log-opt ${name} is not served by this engine`);
    if (name !== "mode" && name !== "max-buffer-size" && !optionsOf[type as DriverName].includes(name))
      throw invalidArgument(
        `unknown log opt '${name}' for ${type === "local" ? "log driver local" : `${type} log driver`}`,
      );
  }
  for (const name of ["labels-regex", "env-regex"]) validateExpression(options[name]);
  if (type === "json-file" || type === "local") rotationLimits(type, options);
  if (type === "syslog") validateSyslog(options);
}

function validateMode(options: Options): void {
  const mode = options["mode"] ?? "";
  if (!["", "blocking", "non-blocking"].includes(mode))
    throw invalidArgument(`logger: logging mode not supported: ${mode}`);
  const buffer = options["max-buffer-size"];
  if (buffer === undefined) return;
  if (mode !== "non-blocking")
    throw invalidArgument("logger: max-buffer-size option is only supported with 'mode=non-blocking'");
  bytesOf(buffer, (text) => `error parsing option max-buffer-size: ${text}`);
}

/** Bytes that may wait in non-blocking mode; undefined in blocking mode, in which nothing is dropped. */
export function waitingLimit(options: Options): number | undefined {
  if (options["mode"] !== "non-blocking") return undefined;
  return parseBytes(options["max-buffer-size"] ?? "1m");
}

function validateExpression(text: string | undefined): void {
  if (text === undefined) return;
  try {
    // oxlint-disable-next-line no-new
    new RegExp(text);
  } catch (error) {
    throw invalidArgument(`error parsing regexp: ${errorText(error)}`, { cause: error });
  }
}

function validateSyslog(options: Options): void {
  parseSyslogAddress(options["syslog-address"] ?? "");
  const facility = options["syslog-facility"] ?? "";
  const isNumber = /^\d+$/.test(facility) && Number(facility) <= 23;
  if (facility !== "" && !isNumber && !Object.hasOwn(syslogFacilities, facility))
    throw invalidArgument("invalid syslog facility");
  if (!syslogFormats.includes(options["syslog-format"] ?? "")) throw invalidArgument("Invalid syslog format");
}

function bytesOf(text: string, words: (reason: string) => string): number {
  try {
    return parseBytes(text);
  } catch (error) {
    throw invalidArgument(words(errorText(error)), { cause: error });
  }
}

/** json-file counts in thousands (go-units' FromHumanSize), local in 1024s (RAMInBytes). */
function sizeOf(driver: "json-file" | "local", text: string): number {
  const bytes = bytesOf(text, (reason) => reason);
  if (driver === "local") return bytes;
  const power = " kmgtp".indexOf(/([kmgtp])i?b?$/i.exec(text)?.[1]?.toLowerCase() ?? " ");
  return Math.trunc((bytes / 1024 ** power) * 1000 ** power);
}

/** How files of a driver rotate. Throws like {@link validateLogging}. */
export function rotationLimits(driver: "json-file" | "local", options: Options): RotationLimits {
  const isLocal = driver === "local";
  const size = options["max-size"];
  const maxSizeBytes = size === undefined ? (isLocal ? 20 * 1024 * 1024 : 0) : sizeOf(driver, size);
  if (size !== undefined && maxSizeBytes <= 0 && !isLocal)
    throw invalidArgument("max-size must be a positive number");
  const files = options["max-file"];
  if (files !== undefined && !/^[+-]?\d+$/.test(files))
    throw invalidArgument(`strconv.Atoi: parsing ${JSON.stringify(files)}: invalid syntax`);
  const maxFiles = files === undefined ? (isLocal ? 5 : 1) : Number(files);
  if (maxFiles < 1) throw invalidArgument("max-file cannot be less than 1");
  const compress = booleanOf(options["compress"], isLocal && maxFiles > 1);
  if (compress && (maxFiles < 2 || maxSizeBytes === 0))
    throw invalidArgument("compress cannot be true when max-file is less than 2 or max-size is not set");
  return { maxSizeBytes, maxFiles, compress };
}

function booleanOf(text: string | undefined, fallback: boolean): boolean {
  if (text === undefined) return fallback;
  if (/^(1|t|T|TRUE|true|True)$/.test(text)) return true;
  if (/^(0|f|F|FALSE|false|False)$/.test(text)) return false;
  throw invalidArgument(`strconv.ParseBool: parsing ${JSON.stringify(text)}: invalid syntax`);
}

/** The daemon's configuration put under a container's: its driver when the container names none, its options with it. */
export function withDaemonLogging(config: LogConfig | null | undefined, daemon: LogConfig): LogConfig {
  const Type = config?.Type || daemon.Type || "json-file";
  const inherited = Type === (daemon.Type || "json-file") ? daemon.Config : {};
  return { Type, Config: { ...inherited, ...config?.Config } };
}

/** Docker's words when the driver keeps nothing that could be read. */
export function notReadable(): EngineError {
  return new EngineError("notImplemented", "configured logging driver does not support reading");
}

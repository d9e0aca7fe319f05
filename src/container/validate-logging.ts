import { invalidArgument, notImplemented } from "../base/errors.ts";
import type { LogConfig } from "../wire/container.ts";

const otherDrivers: readonly string[] = [
  "awslogs",
  "etwlogs",
  "fluentd",
  "gcplogs",
  "gelf",
  "journald",
  "local",
  "splunk",
  "syslog",
];

const jsonFileOptions: readonly string[] = [
  "max-size",
  "max-file",
  "compress",
  "labels",
  "labels-regex",
  "env",
  "env-regex",
  "tag",
  "mode",
  "max-buffer-size",
];

/** `json-file` without options and `none` are served. Throws for everything else. */
export function validateLogging({ Type: type = "", Config: options }: LogConfig): void {
  if (otherDrivers.includes(type))
    throw notImplemented(`--log-driver ${type} is not served by this engine; json-file and none are`);
  if (type !== "" && type !== "json-file" && type !== "none")
    throw invalidArgument(`logger: no log driver named '${type}' is registered`);
  for (const [name, value] of Object.entries(options ?? {})) {
    if (!jsonFileOptions.includes(name))
      throw invalidArgument(`unknown log opt '${name}' for ${type || "json-file"} log driver`);
    if (name === "mode" && value === "blocking") continue;
    throw notImplemented(`--log-opt ${name} is not served by this engine`);
  }
}

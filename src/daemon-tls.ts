/** The daemon's certificates. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { ServerTls } from "./api/listen.ts";
import { errorText, invalidArgument } from "./base/errors.ts";
import type { DaemonOptions } from "./daemon-config.ts";

/** Reads the files of `--tls*`. Throws `invalidArgument` with Docker's words for one that cannot be read. */
export function readServerTls(options: DaemonOptions): ServerTls | undefined {
  if (!options.tls && !options.tlsVerify) return undefined;
  const directory = process.env["DOCKER_CERT_PATH"] || join(process.env["HOME"] ?? "/root", ".docker");
  const read = (path: string, name: string): string => {
    const file = path || join(directory, name);
    try {
      return readFileSync(file, "utf8");
    } catch (error) {
      throw invalidArgument(`could not read the file ${file} for TLS: ${errorText(error)}`, {
        hint: "Name the files with --tlscacert, --tlscert and --tlskey.",
      });
    }
  };
  return {
    cert: read(options.tlsCert, "cert.pem"),
    key: read(options.tlsKey, "key.pem"),
    clientCa: options.tlsVerify ? read(options.tlsCaCert, "ca.pem") : undefined,
  };
}

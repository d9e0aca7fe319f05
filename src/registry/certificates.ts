/** Certificates for one registry, from Docker's directory of them. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { EngineError, errorText } from "../base/errors.ts";
import { isErrno } from "../linux/fs-error.ts";

export interface RegistryCertificates {
  readonly ca?: string[];
  readonly cert?: string;
  readonly key?: string;
}

/**
 * What lies in `<directory>/<host>/`: every `*.crt` is an authority beside the usual ones; the first `*.cert` with its
 * `*.key` is shown to the registry. Throws `unavailable` for a certificate without its key and a file that cannot be read.
 */
export function registryCertificates(directory: string, host: string): RegistryCertificates {
  const place = join(directory, host);
  let names: string[];
  try {
    names = readdirSync(place).sort();
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return {};
    throw unreadable(place, error);
  }
  const read = (name: string): string => {
    try {
      return readFileSync(join(place, name), "utf8");
    } catch (error) {
      throw unreadable(join(place, name), error);
    }
  };
  const authorities = names.filter((name) => name.endsWith(".crt")).map(read);
  const certificate = names.find((name) => name.endsWith(".cert"));
  const ca = authorities.length > 0 ? { ca: [...systemAuthorities(), ...authorities] } : {};
  if (certificate === undefined) return ca;
  const key = certificate.replace(/\.cert$/, ".key");
  if (!names.includes(key))
    throw new EngineError(
      "unavailable",
      `missing key ${key} for client certificate ${certificate} in ${place}`,
      {
        hint: "Note that CA certificates must use the extension .crt.",
      },
    );
  return { ...ca, cert: read(certificate), key: read(key) };
}

/** Node's own list, and what the machine's administrator added to Debian's. */
function systemAuthorities(): string[] {
  const { rootCertificates } = process.getBuiltinModule("node:tls");
  try {
    return [...rootCertificates, readFileSync("/etc/ssl/certs/ca-certificates.crt", "utf8")];
  } catch {
    return [...rootCertificates];
  }
}

/** The machine's authorities, for a registry that has no directory of its own. */
export function machineAuthorities(): string[] {
  return systemAuthorities();
}

function unreadable(path: string, error: unknown): EngineError {
  return new EngineError(
    "unavailable",
    `cannot read the registry certificates in ${path}: ${errorText(error)}`,
    {
      cause: error,
    },
  );
}

/** Options of the syslog driver (moby, daemon/logger/syslog). */
import { isAbsolute } from "node:path";
import { invalidArgument } from "../../base/errors.ts";

/** Facilities by name, as numbers of RFC 5424, section 6.2.1. */
export const syslogFacilities: Readonly<Record<string, number>> = {
  kern: 0,
  user: 1,
  mail: 2,
  daemon: 3,
  auth: 4,
  syslog: 5,
  lpr: 6,
  news: 7,
  uucp: 8,
  cron: 9,
  authpriv: 10,
  ftp: 11,
  local0: 16,
  local1: 17,
  local2: 18,
  local3: 19,
  local4: 20,
  local5: 21,
  local6: 22,
  local7: 23,
};

export const syslogFormats: readonly string[] = ["", "rfc3164", "rfc5424", "rfc5424micro"];

export type SyslogAddress =
  | { readonly kind: "host" }
  | { readonly kind: "unix" | "unixgram"; readonly path: string }
  | { readonly kind: "udp" | "tcp" | "tcp+tls"; readonly host: string; readonly port: number };

/** `udp://host:514`, `tcp://…`, `tcp+tls://…`, `unix:///path`, `unixgram:///path`; empty for the host's own. */
export function parseSyslogAddress(text: string): SyslogAddress {
  if (text === "") return { kind: "host" };
  const [, kind = "", rest = ""] = /^([a-z][a-z0-9+.-]*):(?:\/\/)?(.*)$/i.exec(text) ?? [];
  if (kind === "unix" || kind === "unixgram") {
    if (!isAbsolute(rest))
      throw invalidArgument(`syslog-address should be in form proto://address, got ${text}`);
    return { kind, path: rest };
  }
  if (kind !== "udp" && kind !== "tcp" && kind !== "tcp+tls")
    throw invalidArgument(`unsupported scheme: '${kind}'`, {
      hint: "syslog-address has the form proto://address, with udp, tcp, tcp+tls, unix or unixgram.",
    });
  const match = /^(\[[^\]]+\]|[^:/]*)(?::(\d+))?\/?$/.exec(rest);
  const port = Number(match?.[2] ?? 514);
  if (match === null || port < 1 || port > 65_535)
    throw invalidArgument(`invalid syslog address ${text}: want ${kind}://host:port`);
  return { kind, host: match[1]!.replaceAll(/[[\]]/g, "") || "localhost", port };
}

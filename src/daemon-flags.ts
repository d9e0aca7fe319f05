/** What the command line of `gantry daemon` says, as options. */
import { parseAddressPool, parseNetworkOptions } from "./daemon-network-options.ts";
import { errorText, invalidArgument } from "./base/errors.ts";
import type { ParsedArguments } from "./cli/parser.ts";
import { ulimit } from "./cli/run/values.ts";
import { daemonOptionRules, type DaemonOptions } from "./daemon-config.ts";

export interface DaemonStart {
  /** Options that were given as flags. */
  readonly flags: Partial<DaemonOptions>;
  readonly configFile: string;
  /** The file was named by flag: it must be there. */
  readonly configFileRequired: boolean;
}

/** Reads what the command line of `gantry daemon` says. Throws `invalidArgument` for a runtime without a path. */
export function daemonStart(parsed: ParsedArguments): DaemonStart {
  const flags: Record<string, unknown> = {};
  for (const { option, flag, kind } of daemonOptionRules) {
    if (flag === "" || !parsed.changed(flag)) continue;
    if (kind === "list") flags[option] = [...parsed.list(flag)];
    else if (kind === "runtimes") flags[option] = parseRuntimes(parsed.list(flag));
    else if (kind === "pools") flags[option] = parsed.list(flag).map(parseAddressPool);
    else if (kind === "maps") flags[option] = parseNetworkOptions(parsed.list(flag));
    else if (kind === "map") flags[option] = parseMap(parsed.list(flag));
    else if (kind === "ulimits") flags[option] = parseUlimits(parsed.list(flag));
    else if (kind === "boolean") flags[option] = parsed.bool(flag);
    else flags[option] = kind === "number" ? parsed.number(flag) : parsed.string(flag);
  }
  return {
    flags,
    configFile: parsed.string("config-file"),
    configFileRequired: parsed.changed("config-file"),
  };
}

/** `KEY=VALUE`; a key alone has an empty value. */
function parseMap(entries: readonly string[]): Record<string, string> {
  const pairs = entries.map((entry) => {
    const at = entry.indexOf("=");
    return at < 0 ? [entry, ""] : [entry.slice(0, at), entry.slice(at + 1)];
  });
  return Object.fromEntries(pairs) as Record<string, string>;
}

function parseRuntimes(entries: readonly string[]): DaemonOptions["runtimes"] {
  const runtimes: DaemonOptions["runtimes"] = {};
  for (const entry of entries) {
    const at = entry.indexOf("=");
    if (at < 1 || at === entry.length - 1)
      throw invalidArgument(`invalid runtime "${entry}": want NAME=PATH, as in kata=/usr/bin/kata-runtime`);
    runtimes[entry.slice(0, at)] = { path: entry.slice(at + 1) };
  }
  return runtimes;
}

/** `nofile=1024:2048`; of several with one name the last holds. */
function parseUlimits(entries: readonly string[]): DaemonOptions["defaultUlimits"] {
  const limits: DaemonOptions["defaultUlimits"] = {};
  for (const entry of entries) {
    try {
      const limit = ulimit(entry);
      limits[limit.Name!] = limit;
    } catch (error) {
      throw invalidArgument(`invalid default ulimit "${entry}": ${errorText(error)}`, { cause: error });
    }
  }
  return limits;
}

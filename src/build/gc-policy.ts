/** What of the build cache goes by itself, and which entitlements steps may have: the key `builder` of daemon.json. */
import { statfsSync } from "node:fs";
import { errorText, invalidArgument } from "../base/errors.ts";
import { parseDuration } from "../base/duration.ts";
import { parseBytes } from "../base/sizes.ts";

/** One rule of garbage collection (moby, daemon/config/builder.go; BuildKit, solver/llbsolver GCPolicy). */
export interface GcRule {
  /** Also what images have and what is internal. */
  readonly all: boolean;
  /** `type`, `id`, `description`, `parent`, `inuse`, `shared`, `private`. */
  readonly filters: Readonly<Record<string, readonly string[]>>;
  /** Only what was not used for so long. */
  readonly unusedForMs?: number;
  /** So much of the cache stays at least. */
  readonly reservedBytes?: number;
  /** So much of the cache stays at most. */
  readonly maxUsedBytes?: number;
  /** As much goes as the disk lacks to this. */
  readonly minFreeBytes?: number;
}

export interface BuilderSettings {
  /** Undefined when nothing goes by itself. */
  readonly gc: { readonly rules: readonly GcRule[] | undefined; readonly defaults: GcLimits } | undefined;
  /** Entitlements that a client may grant to steps. */
  readonly entitlements: ReadonlySet<string>;
}

type GcLimits = Pick<GcRule, "reservedBytes" | "maxUsedBytes" | "minFreeBytes">;

export const defaultBuilderSettings: BuilderSettings = {
  gc: { rules: undefined, defaults: {} },
  entitlements: new Set(["network.host"]),
};

/** Share of the disk that the cache may have when nobody says otherwise. */
const defaultShare = 0.1;
const minimumLimitBytes = 2 * 1024 ** 3;
const transientBytes = 512 * 1024 ** 2;
const hourMs = 3_600_000;

/** The rules that hold, those of Docker's when none were given. */
export function gcRules({ gc }: BuilderSettings, dataRoot: string): readonly GcRule[] {
  if (gc === undefined) return [];
  if (gc.rules !== undefined) return gc.rules;
  const { blocks, bsize } = statfsSync(dataRoot);
  const share = Math.max(minimumLimitBytes, Math.floor(blocks * bsize * defaultShare));
  const limits =
    gc.defaults.maxUsedBytes === undefined ? { ...gc.defaults, maxUsedBytes: share } : gc.defaults;
  const transient = ["source.local", "exec.cachemount", "source.git.checkout"];
  return [
    { all: false, filters: { type: transient }, unusedForMs: 48 * hourMs, maxUsedBytes: transientBytes },
    { all: false, filters: {}, ...limits },
    { all: true, filters: {}, ...limits },
  ];
}

const filterKeys = new Set("id parent type description inuse shared private unused-for until".split(" "));

/** Reads the value of `builder`. Throws `invalidArgument`, which names the key. */
export function parseBuilderSettings(value: unknown): BuilderSettings {
  const builder = object(value, "builder", ["gc", "entitlements"]);
  const entitlements = object(builder["entitlements"], "builder.entitlements", [
    "network-host",
    "security-insecure",
  ]);
  return {
    gc: parseGc(builder["gc"]),
    entitlements: new Set([
      ...(flag(entitlements["network-host"], "builder.entitlements.network-host", true)
        ? ["network.host"]
        : []),
      ...(flag(entitlements["security-insecure"], "builder.entitlements.security-insecure", false)
        ? ["security.insecure"]
        : []),
    ]),
  };
}

function parseGc(value: unknown): BuilderSettings["gc"] {
  const gc = object(value, "builder.gc", [
    "enabled",
    "policy",
    "defaultKeepStorage",
    "defaultReservedSpace",
    "defaultMaxUsedSpace",
    "defaultMinFreeSpace",
  ]);
  if (!flag(gc["enabled"], "builder.gc.enabled", true)) return undefined;
  const { policy } = gc;
  if (policy !== undefined && !Array.isArray(policy))
    throw invalidArgument(`"builder.gc.policy" must be a list`);
  const defaults = limitsOf(gc, "builder.gc", {
    keep: "defaultKeepStorage",
    reserved: "defaultReservedSpace",
    maxUsed: "defaultMaxUsedSpace",
    minFree: "defaultMinFreeSpace",
  });
  const rules = (policy as unknown[] | undefined)?.map((rule, index) =>
    parseRule(rule, `builder.gc.policy[${index}]`),
  );
  return { rules: rules !== undefined && rules.length > 0 ? rules : undefined, defaults };
}

function parseRule(value: unknown, where: string): GcRule {
  const rule = object(value, where, [
    "all",
    "filter",
    "keepStorage",
    "reservedSpace",
    "maxUsedSpace",
    "minFreeSpace",
  ]);
  const filters: Record<string, string[]> = {};
  let unusedForMs: number | undefined;
  const given = rule["filter"] ?? [];
  if (!Array.isArray(given)) throw invalidArgument(`"${where}.filter" must be a list`);
  for (const text of given as unknown[]) {
    const [, key = "", filter = ""] = /^([\w-]+)==?(.*)$/.exec(String(text)) ?? [];
    if (!filterKeys.has(key))
      throw invalidArgument(`"${where}.filter": invalid filter ${JSON.stringify(text)}`);
    if (key === "unused-for" || key === "until") {
      const ns = parseDuration(filter);
      if (ns === undefined)
        throw invalidArgument(`"${where}.filter": invalid duration ${JSON.stringify(filter)}`);
      unusedForMs = ns / 1e6;
    } else filters[key] = [...(filters[key] ?? []), filter];
  }
  return {
    all: flag(rule["all"], `${where}.all`, false),
    filters,
    ...(unusedForMs === undefined ? {} : { unusedForMs }),
    ...limitsOf(rule, where, {
      keep: "keepStorage",
      reserved: "reservedSpace",
      maxUsed: "maxUsedSpace",
      minFree: "minFreeSpace",
    }),
  };
}

/** `keepStorage` is what the others were before Docker 28: as much is kept, and no more. */
function limitsOf(
  values: Record<string, unknown>,
  where: string,
  keys: {
    readonly keep: string;
    readonly reserved: string;
    readonly maxUsed: string;
    readonly minFree: string;
  },
): GcLimits {
  const bytes = (key: string): number | undefined => {
    const value = values[key];
    if (value === undefined || value === "") return undefined;
    try {
      return typeof value === "number" ? value : parseBytes(typeof value === "string" ? value : "");
    } catch (error) {
      throw invalidArgument(`"${where}.${key}": ${errorText(error)}`, { cause: error });
    }
  };
  const keep = bytes(keys.keep);
  const reserved = bytes(keys.reserved);
  const maxUsed = bytes(keys.maxUsed) ?? keep;
  const minFree = bytes(keys.minFree);
  return {
    ...(reserved === undefined ? {} : { reservedBytes: reserved }),
    ...(maxUsed === undefined ? {} : { maxUsedBytes: maxUsed }),
    ...(minFree === undefined ? {} : { minFreeBytes: minFree }),
  };
}

/** An object with these keys, in any case of letters, as Go reads JSON. */
function object(value: unknown, where: string, keys: readonly string[]): Record<string, unknown> {
  if (value === undefined) return {};
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw invalidArgument(`"${where}" must be an object`);
  return Object.fromEntries(
    Object.entries(value).map(([key, entry]): [string, unknown] => {
      const known = keys.find((candidate) => candidate.toLowerCase() === key.toLowerCase());
      if (known === undefined)
        throw invalidArgument(`"${where}.${key}" is no setting: there are ${keys.join(", ")}`);
      return [known, entry];
    }),
  );
}

function flag(value: unknown, where: string, otherwise: boolean): boolean {
  if (value === undefined) return otherwise;
  if (typeof value !== "boolean") throw invalidArgument(`"${where}" must be true or false`);
  return value;
}

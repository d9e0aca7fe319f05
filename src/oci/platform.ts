/** Platforms: `os[/architecture[/variant]]`, with Go's names for systems and processors. */
import { arch } from "node:process";
import { invalidArgument } from "../base/errors.ts";
import type { Platform } from "./image-spec.ts";

const operatingSystems = new Set([
  "aix",
  "android",
  "darwin",
  "dragonfly",
  "freebsd",
  "illumos",
  "ios",
  "js",
  "linux",
  "netbsd",
  "openbsd",
  "plan9",
  "solaris",
  "wasip1",
  "windows",
]);

const architectures = new Set([
  "386",
  "amd64",
  "arm",
  "arm64",
  "loong64",
  "mips",
  "mips64",
  "mips64le",
  "mipsle",
  "ppc64",
  "ppc64le",
  "riscv64",
  "s390x",
  "wasm",
]);

/** Other names of a processor: `[architecture, variant]`; an undefined variant keeps what was given. */
const aliases: Readonly<Record<string, readonly [string, string | undefined]>> = {
  i386: ["386", ""],
  i686: ["386", ""],
  x86_64: ["amd64", undefined],
  "x86-64": ["amd64", undefined],
  aarch64: ["arm64", undefined],
  armhf: ["arm", "v7"],
  armel: ["arm", "v6"],
};

/** Node's `process.arch` in Go's words. */
const hostArchitectures: Readonly<Record<string, string>> = { x64: "amd64", ia32: "386", mipsel: "mipsle" };

/** One spelling for what is the same: `aarch64` and `arm64/v8` are `arm64`, `arm` is `arm/v7`, `amd64/v1` is `amd64`. */
export function normalizePlatform<T extends Platform>(platform: T): T {
  let architecture = platform.architecture.toLowerCase();
  let variant = (platform.variant ?? "").toLowerCase();
  const alias = aliases[architecture];
  if (alias !== undefined) {
    architecture = alias[0];
    variant = alias[1] ?? variant;
  }
  if (/^\d+$/.test(variant)) variant = `v${variant}`;
  if (architecture === "arm64" && variant === "v8") variant = "";
  if (architecture === "amd64" && variant === "v1") variant = "";
  if (architecture === "arm" && variant === "") variant = "v7";
  const normalized = { ...platform, os: platform.os.toLowerCase() || "linux", architecture };
  delete normalized.variant;
  return variant === "" ? normalized : { ...normalized, variant };
}

/** The platform that this process runs on. */
export function hostPlatform(): Platform {
  return normalizePlatform({ os: "linux", architecture: hostArchitectures[arch] ?? arch });
}

/** Reads `linux/arm64/v8`, `linux/amd64`, `arm64` or `linux`; what is left out is the host's. Throws `invalidArgument`. */
export function parsePlatform(text: string): Platform {
  const parts = text.split("/");
  const word = /^[A-Za-z0-9_.-]+$/;
  const wrong = parts.find((part) => !word.test(part));
  if (wrong !== undefined)
    throw invalidArgument(
      `${JSON.stringify(wrong)} is an invalid component of ${JSON.stringify(text)}: ` +
        `platform specifier component must match ${JSON.stringify(word.source)}: invalid argument`,
    );
  if (parts.length > 3)
    throw invalidArgument(`${JSON.stringify(text)}: cannot parse platform specifier: invalid argument`);
  const [first = "", second, variant] = parts;
  if (second === undefined) {
    if (operatingSystems.has(first.toLowerCase())) return { ...hostPlatform(), os: first.toLowerCase() };
    const platform = normalizePlatform({ os: "linux", architecture: first });
    if (architectures.has(platform.architecture)) return platform;
    throw invalidArgument(
      `${JSON.stringify(text)}: unknown operating system or architecture: invalid argument`,
    );
  }
  return normalizePlatform({
    os: first,
    architecture: second,
    ...(variant === undefined ? {} : { variant }),
  });
}

/** What an image's configuration says that it is for; undefined when it does not say. */
export function platformOf({ os, architecture, variant }: Platform): Platform | undefined {
  if (!os || !architecture) return undefined;
  return normalizePlatform({ os, architecture, ...(variant === undefined ? {} : { variant }) });
}

/** `os/architecture[/variant]`. */
export function formatPlatform(platform: Platform): string {
  const { os, architecture, variant } = platform;
  return variant === undefined || variant === ""
    ? `${os}/${architecture}`
    : `${os}/${architecture}/${variant}`;
}

/**
 * True when something made for `offered` runs on `wanted`. arm is downward compatible (v5 runs on v7), so is amd64
 * (v1 runs on v3); no variant is the lowest for amd64.
 */
export function platformMatches(wanted: Platform, offered: Platform): boolean {
  const need = normalizePlatform(wanted);
  const have = normalizePlatform(offered);
  if (need.os !== have.os || need.architecture !== have.architecture) return false;
  if (need.variant === have.variant) return true;
  if (need.architecture === "arm" || need.architecture === "amd64")
    return variantLevel(have.variant) <= variantLevel(need.variant);
  return have.variant === undefined;
}

function variantLevel(variant: string | undefined): number {
  return variant === undefined ? 1 : Number.parseInt(variant.slice(1), 10);
}

/** The best of several offers for `wanted`: the nearest variant; undefined when nothing fits. The first wins a tie. */
export function selectPlatform<T extends { readonly platform?: Platform }>(
  wanted: Platform,
  offers: readonly T[],
): T | undefined {
  let best: T | undefined;
  let bestLevel = -1;
  for (const offer of offers) {
    if (offer.platform === undefined || !platformMatches(wanted, offer.platform)) continue;
    const level = variantLevel(normalizePlatform(offer.platform).variant);
    if (level > bestLevel) {
      best = offer;
      bestLevel = level;
    }
  }
  return best;
}

import { readdirSync, readFileSync } from "node:fs";
import { familiarReference, parseReference, withDefaultTag } from "../../oci/reference.ts";
import { CliError } from "../errors.ts";

/** What to build: all that `image bootstrap` decides before it starts. */
export interface BootstrapPlan {
  /** Name of the image: `debian:bookworm`. */
  readonly image: string;
  readonly suite: string;
  /** Lines of sources.list. */
  readonly sources: readonly string[];
  readonly variant: string;
  readonly include: readonly string[];
  /** Leave out manuals and documentation, as Debian's slim images do. */
  readonly isSlim: boolean;
}

export interface PlanOptions {
  readonly name: string;
  readonly suite: string;
  readonly mirror: string;
  readonly variant: string;
  readonly include: readonly string[];
  /** A moment of Debian's archive, `20260901` or `20260901T120000Z`; empty for what it is now. */
  readonly snapshot: string;
}

export interface Mirrors {
  readonly main: string;
  readonly security: string;
}

const defaultMirrors: Mirrors = {
  main: "http://deb.debian.org/debian",
  security: "http://deb.debian.org/debian-security",
};

/** Tags of Debian's images and the suites behind them. */
const debianSuites: Readonly<Record<string, string>> = {
  "11": "bullseye",
  "12": "bookworm",
  "13": "trixie",
  bullseye: "bullseye",
  bookworm: "bookworm",
  trixie: "trixie",
  oldstable: "oldstable",
  stable: "stable",
  testing: "testing",
  latest: "stable",
  sid: "sid",
  unstable: "unstable",
};

/** Suites without updates and security fixes of their own. */
const rollingSuites = new Set(["sid", "unstable"]);

export const variants = ["minbase", "apt", "required", "buildd", "important", "standard"] as const;

const packageName = /^[a-z0-9][a-z0-9+.-]+(?:[:=/][A-Za-z0-9.+~:-]+)?$/;

/**
 * Reads what the user asked for. `debian:<suite>` and `debian:<suite>-slim` say everything; another name needs
 * `--suite` and, outside of Debian, `--mirror`. Throws `CliError`.
 */
export function bootstrapPlan(options: PlanOptions, host: Mirrors = hostMirrors()): BootstrapPlan {
  const reference = withDefaultTag(parseReference(options.name));
  if (reference.digest !== undefined)
    throw new CliError("a new image has no digest yet: give it a name and a tag");
  const isDebian = reference.domain === "docker.io" && reference.path === "library/debian";
  const tag = reference.tag ?? "latest";
  const isSlim = isDebian && tag.endsWith("-slim");
  const known = isDebian ? debianSuites[tag.replace(/-slim$/, "")] : undefined;
  const suite = options.suite === "" ? known : options.suite;
  if (suite === undefined) throw new CliError(unknownName(options.name, isDebian));
  if (!/^[a-z0-9][a-z0-9.-]*$/.test(suite)) throw new CliError(`"${suite}" is no name of a suite`);
  if (!isDebian && options.mirror === "" && !Object.values(debianSuites).includes(suite)) {
    throw new CliError(`Where is the suite "${suite}"? Name its mirror: --mirror http://host/path`);
  }
  if (!variants.some((variant) => variant === options.variant)) {
    throw new CliError(`unknown variant "${options.variant}": use ${variants.join(", ")}`);
  }
  const bad = options.include.find((name) => !packageName.test(name));
  if (bad !== undefined) throw new CliError(`--include: "${bad}" is no name of a package`);
  const sources = sourceLines(suite, options, host);
  const { variant, include } = options;
  return { image: familiarReference(reference), suite, sources, variant, include, isSlim };
}

function unknownName(name: string, isDebian: boolean): string {
  if (!isDebian)
    return `"${name}" is none of the images known here: say what it is made from with --suite and --mirror`;
  const tags = Object.keys(debianSuites).filter((tag) => tag !== "latest");
  return `"${name}" is none of Debian's suites known here (${tags.join(", ")}): name it with --suite`;
}

const snapshotHost = "http://snapshot.debian.org/archive";

/** Where the packages of a moment are kept for ever. Their lists have expired, which is no fault there. */
function snapshotSources(suite: string, moment: string): string[] {
  if (!/^\d{8}(T\d{6}Z)?$/.test(moment))
    throw new CliError(`--snapshot: "${moment}" is no moment: write it as 20260901 or 20260901T120000Z`);
  const stamp = moment.length === 8 ? `${moment}T000000Z` : moment;
  const line = (archive: string, name: string): string =>
    `deb [check-valid-until=no] ${snapshotHost}/${archive}/${stamp} ${name} main`;
  if (rollingSuites.has(suite)) return [line("debian", suite)];
  return [
    line("debian", suite),
    line("debian", `${suite}-updates`),
    line("debian-security", `${suite}-security`),
  ];
}

function sourceLines(
  suite: string,
  { mirror, snapshot }: Pick<PlanOptions, "mirror" | "snapshot">,
  host: Mirrors,
): string[] {
  if (snapshot !== "" && mirror !== "")
    throw new CliError("--snapshot names a mirror by itself: leave out --mirror");
  if (snapshot !== "") return snapshotSources(suite, snapshot);
  if (mirror !== "") {
    if (!/^(https?|file|copy|ftp):\/?\/\S+$/.test(mirror)) {
      throw new CliError(`"${mirror}" is no address of a mirror: use http://host/path`);
    }
    return [`deb ${mirror} ${suite} main`];
  }
  const lines = [`deb ${host.main} ${suite} main`];
  if (rollingSuites.has(suite)) return lines;
  return [...lines, `deb ${host.main} ${suite}-updates main`, `deb ${host.security} ${suite}-security main`];
}

/** The mirrors that this machine's apt uses, when it is a Debian host; Debian's own otherwise. */
export function hostMirrors(root = ""): Mirrors {
  try {
    if (!/^ID=debian$/m.test(readFileSync(`${root}/etc/os-release`, "utf8"))) return defaultMirrors;
  } catch {
    return defaultMirrors;
  }
  const addresses = aptSources(root).map((address) => address.replace(/\/+$/, ""));
  return {
    main: addresses.find((address) => address.endsWith("/debian")) ?? defaultMirrors.main,
    security: addresses.find((address) => address.endsWith("/debian-security")) ?? defaultMirrors.security,
  };
}

/** Addresses of binary packages in apt's two formats (sources.list(5)). */
function aptSources(root: string): string[] {
  const addresses: string[] = [];
  for (const path of sourceFiles(`${root}/etc/apt`)) {
    let text: string;
    try {
      text = readFileSync(path, "utf8");
    } catch {
      continue;
    }
    const pattern = path.endsWith(".sources") ? /^URIs:\s*(.+)$/gm : /^deb\s+(?:\[[^\]]*\]\s+)?(\S+)/gm;
    for (const match of text.matchAll(pattern)) addresses.push(...match[1]!.split(/\s+/));
  }
  return addresses;
}

function sourceFiles(directory: string): string[] {
  let names: string[] = [];
  try {
    names = readdirSync(`${directory}/sources.list.d`).sort();
  } catch {
    // A machine without the directory has the file alone.
  }
  return [`${directory}/sources.list`, ...names.map((name) => `${directory}/sources.list.d/${name}`)];
}

/** The mirror of a line of sources.list. */
export const mirrorOf = (line: string): string => line.replace(/^deb (\[[^\]]*\] )?/, "").split(" ")[0]!;

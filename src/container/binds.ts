/** Mounts as `-v` writes them, `SOURCE:TARGET[:MODES]`, read with Docker's rules and answered with its words. */
import { posix } from "node:path";
import { invalidArgument } from "../base/errors.ts";

export interface Bind {
  readonly type: "bind" | "volume";
  /** A host path, or a volume's name; empty for a volume without a name. */
  readonly source: string;
  /** Absolute and cleaned. */
  readonly target: string;
  readonly readOnly: boolean;
  /** The volume is not filled from the image. */
  readonly noCopy: boolean;
  /** The third part as it was written. */
  readonly mode: string;
  readonly propagation: string;
}

const propagations: readonly string[] = ["private", "rprivate", "slave", "rslave", "shared", "rshared"];

/** Words of which at most one may be in a mode. */
const modeGroups: readonly (readonly string[])[] = [
  ["ro", "rw"],
  ["z", "Z"],
  ["nocopy"],
  propagations,
  ["consistent", "cached", "delegated"],
];

/**
 * Reads one `-v` text. A source without a slash at its start is a volume's name. Throws `invalidArgument` for a text
 * with empty or too many parts, a mode that is unknown or contradicts itself, a target that is not absolute or is `/`.
 */
export function parseBind(text: string): Bind {
  const parts = text.split(":");
  if (parts.length > 3 || parts[0] === "" || parts[1] === "") throw badSpecification(text);
  if (parts.length === 2 && isMode(parts[1]!)) throw badSpecification(text);
  const mode = parts[2] ?? "";
  if (!isMode(mode)) throw invalidArgument(`invalid mode: ${mode}`);
  const words = mode === "" ? [] : mode.split(",");
  const source = parts.length === 1 ? "" : parts[0]!;
  const type = source.startsWith("/") ? "bind" : "volume";
  const propagation = words.find((word) => propagations.includes(word));
  const noCopy = words.includes("nocopy");
  const target = parts.length === 1 ? parts[0]! : parts[1]!;
  const refuse = (reason: string): never => {
    throw badSpecification(text, `invalid mount config for type "${type}": ${reason}`);
  };
  if (!target.startsWith("/")) refuse(`invalid mount path: '${target}' mount path must be absolute`);
  if (posix.normalize(target) === "/") refuse("invalid specification: destination can't be '/'");
  if (type === "volume" && propagation !== undefined) refuse("field BindOptions must not be specified");
  if (type === "bind" && noCopy) refuse("field VolumeOptions must not be specified");
  if (type === "volume" && source !== "") checkVolumeName(source);
  return {
    type,
    source: type === "bind" ? cleanPath(source) : source,
    target: cleanPath(target),
    readOnly: words.includes("ro"),
    noCopy,
    mode,
    propagation: propagationOf(propagation ?? ""),
  };
}

/** Reads a `--volumes-from` text, `NAME[:MODES]`. Throws `invalidArgument` with Docker's words. */
export function parseVolumesFrom(text: string): { readonly name: string; readonly mode: string } {
  if (text === "") throw invalidArgument("volumes-from specification cannot be an empty string");
  const colon = text.indexOf(":");
  const name = colon < 0 ? text : text.slice(0, colon);
  const mode = colon < 0 ? "" : text.slice(colon + 1);
  const words = mode.split(",");
  if (!isMode(mode) || words.some((word) => propagations.includes(word) || word === "nocopy"))
    throw invalidArgument(`invalid mode: ${mode}`);
  return { name, mode };
}

/** A mount's propagation, `rprivate` when none is named. Throws `invalidArgument` for an unknown word. */
export function propagationOf(text: string): string {
  if (text === "") return "rprivate";
  if (!propagations.includes(text)) throw invalidArgument(`invalid propagation mode: ${text}`);
  return text;
}

/** A path without `.`, `..`, doubled slashes and a slash at the end. */
export function cleanPath(path: string): string {
  const normal = posix.normalize(path);
  return normal.length > 1 && normal.endsWith("/") ? normal.slice(0, -1) : normal;
}

/** Docker's rule for names of volumes. Throws `invalidArgument`. */
export function checkVolumeName(name: string): void {
  if (name.length < 2)
    throw invalidArgument(
      `create ${name}: volume name is too short, names should be at least two alphanumeric characters`,
    );
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/.test(name))
    throw invalidArgument(
      `create ${name}: "${name}" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path`,
    );
}

function isMode(text: string): boolean {
  if (text === "") return true;
  const words = text.split(",");
  if (!words.every((word) => modeGroups.some((group) => group.includes(word)))) return false;
  return modeGroups.every((group) => words.filter((word) => group.includes(word)).length <= 1);
}

function badSpecification(text: string, reason?: string): Error {
  return invalidArgument(
    `invalid volume specification: '${text}'${reason === undefined ? "" : `: ${reason}`}`,
  );
}

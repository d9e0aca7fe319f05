import { resolve } from "node:path";
import type { MountRequest } from "../../wire/container.ts";
import { parseBool, parseBytes, parseCommaSeparated } from "../flag-values.ts";

type BindOptions = NonNullable<MountRequest["BindOptions"]>;
type VolumeOptions = NonNullable<MountRequest["VolumeOptions"]>;

/** A value of `--mount` while it is read. */
interface Draft {
  readonly mount: MountRequest & { Type: string };
  readonly bind: BindOptions;
  readonly volume: VolumeOptions;
  readonly tmpfs: NonNullable<MountRequest["TmpfsOptions"]>;
  readonly image: NonNullable<MountRequest["ImageOptions"]>;
}

/**
 * Reads a value of `--mount`: comma-separated `key=value`, such as `type=bind,src=/x,dst=/y,readonly`. Relative sources
 * that start with a dot are taken from the working directory. Throws `Error` in Docker's words.
 */
export function mountRequest(text: string): MountRequest {
  if (text === "") throw new Error("EOF");
  const draft: Draft = { mount: { Type: "volume" }, bind: {}, volume: {}, tmpfs: {}, image: {} };
  for (const field of parseCommaSeparated(text)) {
    const equals = field.indexOf("=");
    const key = (equals < 0 ? field : field.slice(0, equals)).toLowerCase();
    if (equals < 0) setFlag(draft, key, field);
    else setField(draft, key, field);
  }
  return finish(draft);
}

function setFlag(draft: Draft, key: string, field: string): void {
  if (key === "readonly" || key === "ro") draft.mount.ReadOnly = true;
  else if (key === "volume-nocopy") draft.volume.NoCopy = true;
  else if (key === "bind-nonrecursive") draft.bind.NonRecursive = true;
  else throw new Error(`invalid field '${field}' must be a key=value pair`);
}

function setField(draft: Draft, key: string, field: string): void {
  const value = field.slice(field.indexOf("=") + 1);
  const { mount } = draft;
  switch (key) {
    case "type":
      mount.Type = value.toLowerCase();
      return;
    case "source":
    case "src":
      mount.Source = value === "." || value.startsWith("./") ? resolve(value) : value;
      return;
    case "target":
    case "dst":
    case "destination":
      mount.Target = value;
      return;
    case "readonly":
    case "ro":
      mount.ReadOnly = boolean(key, value);
      return;
    case "consistency":
      mount.Consistency = value.toLowerCase();
      return;
    default:
      setOption(draft, key, field);
  }
}

function setOption(draft: Draft, key: string, field: string): void {
  const value = field.slice(field.indexOf("=") + 1);
  const { bind, volume, tmpfs } = draft;
  switch (key) {
    case "bind-propagation":
      bind.Propagation = value.toLowerCase();
      return;
    case "bind-nonrecursive":
      bind.NonRecursive = boolean(key, value);
      return;
    case "bind-recursive":
      setRecursive(bind, value);
      return;
    case "volume-subpath":
      volume.Subpath = value;
      return;
    case "volume-nocopy":
      volume.NoCopy = boolean(key, value);
      return;
    case "volume-label":
      volume.Labels = withPair(volume.Labels, value);
      return;
    case "volume-driver":
      volume.DriverConfig = { ...volume.DriverConfig, Name: value };
      return;
    case "volume-opt":
      volume.DriverConfig = {
        ...volume.DriverConfig,
        Options: withPair(volume.DriverConfig?.Options, value),
      };
      return;
    case "image-subpath":
      draft.image.Subpath = value;
      return;
    case "tmpfs-size":
      tmpfs.SizeBytes = size(key, value);
      return;
    case "tmpfs-mode":
      if (!/^[0-7]{1,10}$/.test(value)) throw new Error(`invalid value for ${key}: ${value}`);
      tmpfs.Mode = Number.parseInt(value, 8);
      return;
    default:
      throw new Error(`unexpected key '${key}' in '${field}'`);
  }
}

function setRecursive(bind: BindOptions, value: string): void {
  if (value === "disabled") bind.NonRecursive = true;
  else if (value === "writable") bind.ReadOnlyNonRecursive = true;
  else if (value === "readonly") bind.ReadOnlyForceRecursive = true;
  else if (value !== "enabled") {
    throw new Error(
      `invalid value for bind-recursive: ${value} (must be "enabled", "disabled", "writable", or "readonly")`,
    );
  }
}

function withPair(pairs: Record<string, string> | null | undefined, text: string): Record<string, string> {
  const equals = text.indexOf("=");
  const key = equals < 0 ? text : text.slice(0, equals);
  return key === "" ? { ...pairs } : { ...pairs, [key]: equals < 0 ? "" : text.slice(equals + 1) };
}

function boolean(key: string, value: string): boolean {
  try {
    return parseBool(value);
  } catch {
    throw new Error(`invalid value for ${key}: ${value}`);
  }
}

function size(key: string, value: string): number {
  try {
    const bytes = parseBytes(value);
    if (bytes >= 0) return bytes;
  } catch {
    // Said below, in Docker's words.
  }
  throw new Error(`invalid value for ${key}: ${value}`);
}

function finish(draft: Draft): MountRequest {
  const { mount, bind } = draft;
  if (mount.Type === "") throw new Error("type is required");
  if ((mount.Target ?? "") === "") throw new Error("target is required");
  const kinds = {
    volume: "VolumeOptions",
    image: "ImageOptions",
    bind: "BindOptions",
    tmpfs: "TmpfsOptions",
  } as const;
  for (const [kind, field] of Object.entries(kinds)) {
    const options: Record<string, unknown> = draft[kind as keyof typeof kinds];
    if (Object.keys(options).length === 0) continue;
    // Docker's client writes an empty driver beside any option of a volume, and leaves out what is empty otherwise.
    if (kind === "volume") options["DriverConfig"] = withoutEmpty(draft.volume.DriverConfig ?? {});
    if (mount.Type !== kind)
      throw new Error(`cannot mix '${kind}-*' options with mount type '${mount.Type}'`);
    Object.assign(mount, { [field]: withoutEmpty(options, "DriverConfig") });
  }
  if (bind.ReadOnlyNonRecursive === true && mount.ReadOnly !== true) {
    throw new Error("option 'bind-recursive=writable' requires 'readonly' to be specified in conjunction");
  }
  if (bind.ReadOnlyForceRecursive === true) {
    const needs =
      mount.ReadOnly === true
        ? bind.Propagation === "rprivate"
          ? ""
          : "bind-propagation=rprivate"
        : "readonly";
    if (needs !== "") {
      throw new Error(`option 'bind-recursive=readonly' requires '${needs}' to be specified in conjunction`);
    }
  }
  if (mount.ReadOnly === false) delete mount.ReadOnly;
  if (mount.Source === "") delete mount.Source;
  return mount;
}

/** The fields of `value` that say something; `kept` stays in any case. */
function withoutEmpty(value: object, kept?: string): Record<string, unknown> {
  const says = (field: unknown): boolean =>
    typeof field === "object" && field !== null ? Object.keys(field).length > 0 : Boolean(field);
  return Object.fromEntries(Object.entries(value).filter(([key, field]) => key === kept || says(field)));
}

/** Values of `-v`: those with a source are binds, those with a target alone anonymous volumes. */
export interface VolumeFlags {
  readonly binds: string[] | null;
  readonly volumes: Record<string, Record<string, never>>;
}

/** Sorts the values of `-v`. The daemon reads the rest of each. Throws `Error` in Docker's words. */
export function volumeFlags(values: readonly string[]): VolumeFlags {
  const binds = new Set<string>();
  const volumes: Record<string, Record<string, never>> = {};
  for (const value of values) {
    const source = volumeSource(value);
    if (source === undefined) volumes[value] = {};
    else if (source.startsWith(".")) binds.add(`${resolve(source)}${value.slice(source.length)}`);
    else binds.add(value);
  }
  return { binds: binds.size === 0 ? null : [...binds], volumes };
}

/** The part in front of the target, where there is one. A letter and a colon are read as a drive of Windows. */
function volumeSource(text: string): string | undefined {
  if (text === "") throw new Error("invalid empty volume spec");
  if (text.length <= 2) return undefined;
  const sections: string[] = [""];
  for (const char of text) {
    const last = sections.length - 1;
    if (char === ":" && !/^\p{L}$/u.test(sections[last]!)) sections.push("");
    else sections[last] += char;
  }
  if (sections.includes("")) throw new Error(`invalid spec: ${text}: empty section between colons`);
  if (sections.length > 3) throw new Error(`invalid spec: ${text}: too many colons`);
  return sections.length === 1 ? undefined : sections[0]!;
}

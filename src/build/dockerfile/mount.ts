/** `RUN --mount=…` and `--device=…` (Dockerfile reference, "RUN --mount"). Faults are plain `Error`s without a place. */
import type { CacheSharing, MountType, RunMount } from "./ast.ts";
import { csvFields } from "./csv.ts";
import { didYouMean } from "./suggest.ts";
import { ramInBytes } from "../../base/sizes.ts";
import { parseBoolean } from "./values.ts";

const mountTypes: readonly string[] = ["bind", "cache", "tmpfs", "secret", "ssh"] satisfies MountType[];
const sharingModes: readonly string[] = ["shared", "private", "locked"] satisfies CacheSharing[];
const mountKeys = [
  "type",
  "from",
  "source",
  "target",
  "readonly",
  "id",
  "sharing",
  "required",
  "size",
  "mode",
  "uid",
  "gid",
  "src",
  "dst",
  "destination",
  "ro",
  "rw",
  "readwrite",
  "env",
];

type Draft = { -readonly [Key in keyof RunMount]?: RunMount[Key] } & { type: MountType };

/** Checks what can be told before variables have values: the list's form, and that `from` has none. */
export function checkMount(flag: string): void {
  for (const field of csvFields(flag)) {
    const [key, value] = keyAndValue(field);
    if (key === "from" && value !== undefined && /\$./.test(value))
      throw new Error(`'from' doesn't support variable expansion, define alias stage instead`);
  }
}

/** Reads one mount; `expand` replaces the variables in a value. */
export function parseMount(flag: string, expand: (value: string) => string): RunMount {
  const draft: Draft = { type: "bind" };
  for (const field of csvFields(flag)) {
    const [key, written] = keyAndValue(field);
    if (written === undefined) {
      if (!["readonly", "ro", "readwrite", "rw", "required"].includes(key))
        throw new Error(`invalid field '${field}' must be a key=value pair`);
      setField(draft, key, "true", field);
    } else {
      setField(draft, key, expand(written), field);
    }
  }
  checkTogether(draft);
  return {
    ...draft,
    readonly: draft.readonly ?? (draft.type !== "cache" && draft.type !== "tmpfs"),
    required: draft.required ?? false,
  };
}

function keyAndValue(field: string): [string, string | undefined] {
  const at = field.indexOf("=");
  return at === -1
    ? [field.toLowerCase(), undefined]
    : [field.slice(0, at).toLowerCase(), field.slice(at + 1)];
}

function boolean(key: string, value: string): boolean {
  const parsed = parseBoolean(value);
  if (parsed === undefined) throw new Error(`invalid value for ${key}: ${value}`);
  return parsed;
}

function number(key: string, value: string, base: 8 | 10): number {
  const parsed = (base === 8 ? /^[0-7]+$/ : /^\d+$/).test(value) ? Number.parseInt(value, base) : Number.NaN;
  if (!(parsed < 2 ** 32)) throw new Error(`invalid value ${value} for ${key}`);
  return parsed;
}

function onlyFor(draft: Draft, key: string, ...types: MountType[]): void {
  if (!types.includes(draft.type)) throw new Error(`unexpected key '${key}' for mount type '${draft.type}'`);
}

function setField(draft: Draft, key: string, value: string, field: string): void {
  switch (key) {
    case "type": {
      const type = value.toLowerCase();
      if (!mountTypes.includes(type))
        throw new Error(`unsupported mount type ${JSON.stringify(value)}${didYouMean(value, mountTypes)}`);
      draft.type = type as MountType;
      return;
    }
    case "env":
      draft.env = value;
      return;
    case "from":
    case "id":
      if (value !== "") draft[key] = value;
      return;
    case "source":
    case "src":
      draft.source = value;
      return;
    case "target":
    case "dst":
    case "destination":
      draft.target = value;
      return;
    case "readonly":
    case "ro":
      draft.readonly = boolean(key, value);
      return;
    case "readwrite":
    case "rw":
      draft.readonly = !boolean(key, value);
      return;
    case "required":
      onlyFor(draft, key, "secret", "ssh");
      draft.required = boolean(key, value);
      return;
    case "size": {
      onlyFor(draft, key, "tmpfs");
      const size = ramInBytes(value);
      if (size === undefined) throw new Error(`invalid value for ${key}: ${value}`);
      draft.sizeBytes = size;
      return;
    }
    case "sharing": {
      const sharing = value.toLowerCase();
      if (!sharingModes.includes(sharing))
        throw new Error(
          `unsupported sharing value ${JSON.stringify(value)}${didYouMean(value, sharingModes)}`,
        );
      draft.sharing = sharing as CacheSharing;
      return;
    }
    case "mode":
      draft.mode = number(key, value, 8);
      return;
    case "uid":
    case "gid":
      draft[key] = number(key, value, 10);
      return;
    default:
      throw new Error(`unexpected key '${key}' in '${field}'${didYouMean(key, mountKeys)}`);
  }
}

function checkTogether(draft: Draft): void {
  if (!["secret", "ssh", "cache"].includes(draft.type))
    for (const key of ["mode", "uid", "gid"] as const)
      if (draft[key] !== undefined) throw new Error(`${key} not allowed for "${draft.type}" type mounts`);
  if (draft.type === "secret") {
    if (draft.from !== undefined) throw new Error("secret mount should not have a from");
    if (draft.sharing !== undefined) throw new Error("secret mount should not define sharing");
    if (!draft.source && !draft.target && draft.id === undefined)
      throw new Error("invalid secret mount. one of source, target required");
    if (draft.source && draft.id !== undefined) throw new Error("both source and id can't be set");
  }
  if (draft.sharing !== undefined && draft.type !== "cache")
    throw new Error(`invalid cache sharing set for ${draft.type} mount`);
}

/** `vendor.com/class=name`, `name=…`, with `required` behind it. */
export interface RunDevice {
  readonly name: string;
  readonly required: boolean;
}

export function parseDevice(flag: string): RunDevice {
  let name = "";
  let required = false;
  for (const field of csvFields(flag)) {
    const [key, value] = keyAndValue(field);
    if (key === "required") required = value === undefined || boolean(key, value);
    else if (name === "") name = key === "name" && value !== undefined ? value : field;
    else if (value === undefined) throw new Error(`invalid field '${field}' must be a key=value pair`);
    else if (key === "name") throw new Error(`device name already set to ${name}`);
    else throw new Error(`unexpected key '${key}' in '${field}'${didYouMean(key, ["name", "required"])}`);
  }
  return { name, required };
}

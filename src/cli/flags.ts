/** The type of a flag's value; decides how it is read and what its placeholder in the help is. */
export type FlagType =
  | "bool"
  | "string"
  | "int"
  | "uint"
  | "uint16"
  /** Bytes with a binary unit. */
  | "bytes"
  /** Go duration; nanoseconds. */
  | "duration"
  /** Number of processors; billionths. */
  | "decimal"
  /** May be given several times; every value stays as it is. */
  | "list"
  /** May be given several times, and each value is a comma-separated list. */
  | "strings"
  /** `key=value`, several times; a later key wins. */
  | "map"
  /** `key=value`, several times; values of a key add up. */
  | "filter";

export type FlagValue =
  | boolean
  | string
  | number
  | readonly string[]
  | Readonly<Record<string, string>>
  | Readonly<Record<string, readonly string[]>>;

/** One flag of a command. */
export interface FlagSpec {
  /** Long name, without dashes. */
  readonly name: string;
  /** One letter. */
  readonly short?: string;
  readonly type: FlagType;
  /** One or two sentences of help; a line feed starts a new line there. */
  readonly help: string;
  /** Value when the flag is not given: `false`, `""`, `0`, `[]` or `{}` by type unless said otherwise. */
  readonly default?: boolean | string | number;
  /** What the help shows for the value, instead of the type's name. */
  readonly placeholder?: string;
  /** Value for the flag when it is given without `=value`; only such flags and `bool` may stand alone. */
  readonly optionalValue?: string;
  /** Known, but not in the help. */
  readonly hidden?: boolean;
  /** Another spelling of this flag, whose value it sets. */
  readonly aliasOf?: string;
  /** Says why gantry refuses this flag of Docker's; using it then fails instead of doing nothing. */
  readonly refused?: string;
  /** Looks at a value of a `list`, `strings`, `map` or `string` flag when it is read; throws `Error` for a bad one. */
  readonly validate?: (value: string) => void;
}

/** `-m, --memory`, or `--cpus`: how messages name a flag. */
export function flagLabel(flag: FlagSpec): string {
  return flag.short === undefined ? `--${flag.name}` : `-${flag.short}, --${flag.name}`;
}

/** The value of a flag that is not given. */
export function defaultValue(flag: FlagSpec): FlagValue {
  if (flag.default !== undefined) return flag.default;
  switch (flag.type) {
    case "bool":
      return false;
    case "string":
      return "";
    case "int":
    case "uint":
    case "uint16":
    case "bytes":
    case "duration":
    case "decimal":
      return 0;
    case "list":
    case "strings":
      return [];
    default:
      return {};
  }
}

/** The short form of a service's volume: `[SOURCE:]TARGET[:OPTIONS]`. */
import { ComposeError } from "../errors.ts";
import { treeMap, type TreeMap } from "../tree.ts";
import { cleanPath } from "./normalize.ts";

export interface ShortVolume {
  type: "bind" | "volume";
  source: string;
  target: string;
  readOnly: boolean;
  noCopy: boolean;
  propagation: string;
  selinux: string;
}

const propagations = new Set(["rprivate", "private", "rshared", "shared", "rslave", "slave"]);

/** Reads the short form. Throws {@link ComposeError}. */
export function parseVolume(text: string): ShortVolume {
  const volume: ShortVolume = {
    type: "volume",
    source: "",
    target: "",
    readOnly: false,
    noCopy: false,
    propagation: "",
    selinux: "",
  };
  if (text === "") throw invalid(text, "invalid empty volume spec");
  if (text.length <= 2) return { ...volume, target: text };
  // A drive letter's colon is no separator.
  const parts = text.split(/(?<!(?:^|:)[a-zA-Z]):/);
  if (parts.includes("")) throw invalid(text, "empty section between colons");
  if (parts.length > 3) throw invalid(text, "too many colons");
  const [first, second, options] = parts as [string, string?, string?];
  volume.target = second ?? first;
  volume.source = second === undefined ? "" : first;
  for (const option of options?.split(",") ?? []) {
    if (option === "ro") volume.readOnly = true;
    else if (option === "rw") volume.readOnly = false;
    else if (option === "nocopy") volume.noCopy = true;
    else if (propagations.has(option)) volume.propagation = option;
    else if (option === "z" || option === "Z") volume.selinux = option;
  }
  if (isPath(volume.source)) volume.type = "bind";
  return volume;
}

function invalid(text: string, why: string): ComposeError {
  return new ComposeError(text === "" ? why : `invalid spec: ${text}: ${why}`, { exitCode: 15 });
}

/** What names a place of the host, rather than a volume. */
function isPath(source: string): boolean {
  return /^([./~]|\\\\|[a-zA-Z]:)/.test(source);
}

/** The long form of a short one. */
export function longVolume(text: string): TreeMap {
  const short = parseVolume(text);
  const long = treeMap([["type", short.type]]);
  if (short.source !== "") long["source"] = short.source;
  long["target"] = cleanPath(short.target);
  if (short.readOnly) long["read_only"] = true;
  const bind = treeMap();
  if (short.selinux !== "") bind["selinux"] = short.selinux;
  if (short.propagation !== "") bind["propagation"] = short.propagation;
  if (short.type === "bind") {
    bind["create_host_path"] = true;
    long["bind"] = bind;
    if (short.noCopy) long["volume"] = treeMap([["nocopy", true]]);
  } else {
    if (Object.keys(bind).length > 0) long["bind"] = bind;
    // A specification of one or two letters is taken as it is, without options.
    if (text.length > 2) long["volume"] = treeMap(short.noCopy ? [["nocopy", true]] : []);
  }
  return long;
}

/** `--security-opt` texts. */
import { invalidArgument, notImplemented } from "../base/errors.ts";

export interface SecurityOptions {
  readonly noNewPrivileges: boolean;
  /** `default`, `unconfined` or a profile as JSON. */
  readonly seccomp: string;
  /** /sys/fs/cgroup can be written to, without the container being privileged. */
  readonly writableCgroups: boolean;
}

/**
 * Reads all of them; both `key=value` and the older `key:value`. Throws `invalidArgument` for what cannot be read and
 * `notImplemented` for AppArmor profiles and SELinux labels.
 */
export function parseSecurityOptions(texts: readonly string[]): SecurityOptions {
  let noNewPrivileges = false;
  let seccomp = "default";
  let writableCgroups = false;
  for (const text of texts) {
    if (text === "no-new-privileges") {
      noNewPrivileges = true;
      continue;
    }
    if (text === "disable") continue;
    const match = /^([^=:]+)[=:]([\s\S]*)$/.exec(text);
    if (match === null) throw invalidArgument(`invalid --security-opt 1: "${text}"`);
    const [, key = "", value = ""] = match;
    if (key === "no-new-privileges") noNewPrivileges = parseBoolean(text, value);
    else if (key === "writable-cgroups") writableCgroups = parseBoolean(text, value);
    else if (key === "seccomp") seccomp = value === "builtin" || value === "" ? "default" : value;
    else if (key === "systempaths" && value === "unconfined") continue;
    else if (key === "apparmor") {
      if (value !== "unconfined")
        throw notImplemented(
          `--security-opt apparmor=${value}: AppArmor profiles are not served; only apparmor=unconfined is`,
        );
    } else if (key === "label") {
      if (value !== "disable")
        throw notImplemented(
          `--security-opt label=${value}: SELinux labels are not served; only label=disable is`,
        );
    } else throw invalidArgument(`invalid --security-opt 2: "${text}"`);
  }
  return { noNewPrivileges, seccomp, writableCgroups };
}

/** The words that Go's strconv.ParseBool takes. */
function parseBoolean(text: string, value: string): boolean {
  if (["1", "t", "T", "TRUE", "true", "True"].includes(value)) return true;
  if (["0", "f", "F", "FALSE", "false", "False"].includes(value)) return false;
  throw invalidArgument(`invalid --security-opt 2: "${text}"`);
}

/** `--security-opt` texts. */
import { invalidArgument } from "../base/errors.ts";

export interface SecurityOptions {
  /** Undefined when nothing was said: then the daemon's default holds. */
  readonly noNewPrivileges: boolean | undefined;
  /** `default`, `builtin`, `unconfined` or a profile as JSON. */
  readonly seccomp: string;
  /** /sys/fs/cgroup can be written to, without the container being privileged. */
  readonly writableCgroups: boolean;
  /** Name of an AppArmor profile; empty for the default one. */
  readonly apparmor: string;
  /** SELinux words, `disable` or `type:…`; empty when none was given. */
  readonly labels: readonly string[];
}

/** Reads all of them; both `key=value` and the older `key:value`. Throws `invalidArgument` for what cannot be read. */
export function parseSecurityOptions(texts: readonly string[]): SecurityOptions {
  let noNewPrivileges: boolean | undefined;
  let seccomp = "default";
  let writableCgroups = false;
  let apparmor = "";
  const labels: string[] = [];
  for (const text of texts) {
    if (text === "no-new-privileges") {
      noNewPrivileges = true;
      continue;
    }
    if (text === "disable") {
      labels.push(text);
      continue;
    }
    const separator = text.includes("=") ? "=" : ":";
    const at = text.indexOf(separator);
    if (at < 0) throw invalidArgument(`invalid --security-opt 1: ${JSON.stringify(text)}`);
    const key = text.slice(0, at);
    const value = text.slice(at + 1);
    if (key === "no-new-privileges") noNewPrivileges = parseBoolean(text, value);
    else if (key === "writable-cgroups") writableCgroups = parseBoolean(text, value);
    else if (key === "seccomp") seccomp = value === "" ? "default" : value;
    else if (key === "apparmor") apparmor = value;
    else if (key === "label") labels.push(value);
    else if (key !== "systempaths" || value !== "unconfined")
      throw invalidArgument(`invalid --security-opt 2: ${JSON.stringify(text)}`);
  }
  return { noNewPrivileges, seccomp, writableCgroups, apparmor, labels };
}

/** The words that Go's strconv.ParseBool takes. */
function parseBoolean(text: string, value: string): boolean {
  if (["1", "t", "T", "TRUE", "true", "True"].includes(value)) return true;
  if (["0", "f", "F", "FALSE", "false", "False"].includes(value)) return false;
  throw invalidArgument(`invalid --security-opt 2: ${JSON.stringify(text)}`);
}

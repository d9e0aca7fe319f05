/**
 * SELinux labels of containers, as Docker gives them: a process label that says what the container may do, and a mount label
 * for its files. Containers are kept from each other by a pair of categories (`s0:c12,c345`) that no other one has.
 */
import { randomInt } from "node:crypto";
import { invalidArgument } from "../base/errors.ts";

/** A security context, `user:role:type[:level]` (a level has colons of its own). */
export interface SecurityContext {
  readonly user: string;
  readonly role: string;
  readonly type: string;
  /** Empty for a policy without levels. */
  readonly level: string;
}

/** What a container is labelled with; a label is empty where there is none. */
export interface ContainerLabels {
  readonly processLabel: string;
  readonly mountLabel: string;
}

/** Undefined for what is no context. */
export function parseContext(text: string): SecurityContext | undefined {
  const [user, role, type, ...level] = text.split(":");
  if (user === undefined || role === undefined || type === undefined) return undefined;
  return { user, role, type, level: level.join(":") };
}

export function formatContext({ user, role, type, level }: SecurityContext): string {
  return [user, role, type, ...(level === "" ? [] : [level])].join(":");
}

/** The level of a label; empty when it has none. */
export function levelOf(label: string): string {
  return parseContext(label)?.level ?? "";
}

/**
 * What a policy says for containers: the file `contexts/lxc_contexts` of it, with lines as `process = "…"`. Undefined when
 * it says nothing for processes or for files.
 */
export function parseContainerContexts(
  text: string,
): { readonly process: SecurityContext; readonly file: SecurityContext } | undefined {
  const entries = new Map<string, string>();
  for (const line of text.split("\n")) {
    const [, key = "", value = ""] = /^\s*([^#;=\s][^=]*?)\s*=\s*"?([^"]*?)"?\s*$/.exec(line) ?? [];
    if (key !== "") entries.set(key, value);
  }
  const process = parseContext(entries.get("process") ?? "");
  const file = parseContext(entries.get("file") ?? "");
  return process === undefined || file === undefined ? undefined : { process, file };
}

/** The type of policy in the text of /etc/selinux/config (selinux_config(5)); `targeted` when it says none. */
export function policyType(config: string): string {
  return /^\s*SELINUXTYPE\s*=\s*(\S+)/m.exec(config)?.[1] ?? "targeted";
}

/** Categories that containers get two of: 0 to 1023. */
const categoryCount = 1024;

/** A level with two categories, in ascending order, that `isTaken` does not know. */
export function freshLevel(isTaken: (level: string) => boolean, random = randomInt): string {
  for (;;) {
    const [first, second] = [random(categoryCount), random(categoryCount)].toSorted((a, b) => a - b);
    const level = `s0:c${first},c${second}`;
    // The last two are those of files that no confined container may have.
    if (first !== second && level !== unlabelledLevel && !isTaken(level)) return level;
  }
}

const unlabelledLevel = `s0:c${categoryCount - 2},c${categoryCount - 1}`;

/**
 * A container's labels by the words of `--security-opt label=…`: `disable`, or `user:`, `role:`, `type:`, `level:` and
 * `filetype:` with a value. With `disable` processes have no label, and files one that no confined container reaches. Throws
 * `invalidArgument` in Docker's words.
 */
export function chooseLabels(
  base: { readonly process: SecurityContext; readonly file: SecurityContext },
  words: readonly string[],
  newLevel: () => string,
): ContainerLabels {
  const changes = new Map<string, string>();
  for (const word of words) {
    if (word === "disable")
      return { processLabel: "", mountLabel: formatContext({ ...base.file, level: unlabelledLevel }) };
    const at = word.indexOf(":");
    if (at < 0)
      throw invalidArgument(
        `bad label option ${JSON.stringify(word)}, valid options 'disable' or \n'user, role, level, type, filetype' followed by ':' and a value`,
      );
    const key = word.slice(0, at);
    if (!["user", "role", "type", "level", "filetype"].includes(key))
      throw invalidArgument(
        `bad label option ${JSON.stringify(key)}, valid options 'disable, user, role, level, type, filetype'`,
      );
    changes.set(key, word.slice(at + 1));
  }
  // A policy without levels gives none either.
  const level = changes.get("level") ?? (base.process.level === "" ? "" : newLevel());
  const of = (key: keyof SecurityContext): string => changes.get(key) ?? base.process[key];
  return {
    processLabel: formatContext({ user: of("user"), role: of("role"), type: of("type"), level }),
    mountLabel: formatContext({
      ...base.file,
      user: changes.get("user") ?? base.file.user,
      type: changes.get("filetype") ?? base.file.type,
      level: level === "" ? base.file.level : level,
    }),
  };
}

/** The words that give another container the same process label, without `label=`; none for a container without one. */
export function wordsOf(processLabel: string): string[] {
  const context = parseContext(processLabel);
  if (context === undefined) return [];
  const { user, role, type, level } = context;
  return [`user:${user}`, `role:${role}`, `type:${type}`, ...(level === "" ? [] : [`level:${level}`])];
}

/** What the mode of a mount asks for: `z` a label that all containers may use, `Z` this container's own. */
export function relabelling(mode: string): "shared" | "private" | undefined {
  const words = mode.split(",");
  if (words.includes("z")) return "shared";
  return words.includes("Z") ? "private" : undefined;
}

/** The label of files that all containers may use. */
export function sharedLabel(mountLabel: string): string {
  const context = parseContext(mountLabel);
  return context === undefined ? "" : formatContext({ ...context, level: "s0" });
}

const systemDirectories: ReadonlySet<string> = new Set(
  (
    "/ /bin /boot /dev /etc /etc/passwd /etc/pki /etc/shadow /home /lib /lib64 /media /opt /proc /root /run /sbin /srv " +
    "/sys /tmp /usr /var /var/lib /var/log"
  ).split(" "),
);

/** Throws `invalidArgument` for a place whose labels the system itself needs; `home` is that of the daemon's user. */
export function checkRelabel(path: string, home: string | undefined): void {
  const clean = path.length > 1 ? path.replace(/\/+$/, "") || "/" : path;
  if (systemDirectories.has(clean) || clean === home)
    throw invalidArgument(`SELinux relabeling of ${clean} is not allowed`);
}

/** The mount option that gives every file of a mount one label; in quotes, since levels have commas. */
export function contextOption(mountLabel: string): string[] {
  return mountLabel === "" ? [] : [`context=${JSON.stringify(mountLabel)}`];
}

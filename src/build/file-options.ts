/** `--chown` and `--chmod` of COPY and ADD. */
import { errorText, invalidArgument, isKind } from "../base/errors.ts";
import { resolveUser } from "../container/user.ts";
import type { FileEntry } from "./files/file-tree.ts";

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/**
 * {@link parseOwner} as BuildKit has it: a name that is not there means root, which is said to `warn`.
 */
export function ownerOrRoot(text: string, root: string | undefined, warn: (words: string) => void): Owner {
  const [user = "", group = ""] = text.split(":");
  const found = (name: string, whenMissing: Owner): Owner => {
    try {
      return parseOwner(name, root);
    } catch (error) {
      if (!isKind(error, "invalidArgument")) throw error;
      warn(errorText(error));
      return whenMissing;
    }
  };
  const owner = user === "" ? { uid: 0, gid: 0 } : found(user, { uid: 0, gid: 0 });
  return group === "" ? owner : { uid: owner.uid, gid: found(`0:${group}`, owner).gid };
}

/**
 * `user[:group]`, by names out of the root's own passwd and group. A user by number without a group has the group of
 * the same number. Throws `invalidArgument` for a name that is not there.
 */
export function parseOwner(text: string, root: string | undefined): Owner {
  if (/^\d+$/.test(text)) return { uid: Number(text), gid: Number(text) };
  if (/^\d+:\d+$/.test(text)) {
    const [uid = "", gid = ""] = text.split(":");
    return { uid: Number(uid), gid: Number(gid) };
  }
  if (root === undefined)
    throw invalidArgument(
      `unable to convert uid/gid chown string to host mapping: can't find the names of ${text} in an empty image`,
    );
  const [user = "", group] = text.split(":");
  if (/^\d+$/.test(user) && (group === undefined || group === ""))
    return { uid: Number(user), gid: Number(user) };
  const { uid, gid } = resolveUser(root, text);
  return { uid, gid };
}

/** Octal bits, or chmod(1)'s symbolic form (`u=rwX,go-w`). Throws `invalidArgument`. */
export function parseMode(text: string): (entry: Pick<FileEntry, "mode" | "type">) => number {
  if (/^[0-7]{1,5}$/.test(text)) {
    const mode = Number.parseInt(text, 8);
    if (mode <= 0o7777) return () => mode;
  }
  const clauses = text.split(",").map((clause) => /^([ugoa]*)((?:[+=-][rwxXst]*)+)$/.exec(clause));
  if (text === "" || clauses.some((clause) => clause === null))
    throw invalidArgument(
      `invalid chmod parameter: '${text}'. it should be octal string and between 0 and 07777`,
    );
  return (entry) => {
    let mode = entry.mode;
    for (const clause of clauses)
      for (const [, operator = "", letters = ""] of clause![2]!.matchAll(/([+=-])([rwxXst]*)/g))
        mode = applyClause(mode, { who: clause![1]!, operator, letters, entry });
    return mode;
  };
}

function applyClause(
  mode: number,
  clause: {
    readonly who: string;
    readonly operator: string;
    readonly letters: string;
    readonly entry: Pick<FileEntry, "type">;
  },
): number {
  const { operator, letters, entry } = clause;
  const who = clause.who === "" || clause.who.includes("a") ? "ugo" : clause.who;
  const canExecute = entry.type === "directory" || (mode & 0o111) !== 0;
  let bits = 0;
  let mask = 0;
  for (const [person, shift, special] of [
    ["u", 6, 0o4000],
    ["g", 3, 0o2000],
    ["o", 0, 0],
  ] as const) {
    if (!who.includes(person)) continue;
    let own = 0;
    if (letters.includes("r")) own |= 4;
    if (letters.includes("w")) own |= 2;
    if (letters.includes("x") || (letters.includes("X") && canExecute)) own |= 1;
    bits |= own << shift;
    if (letters.includes("s")) bits |= special;
    mask |= (7 << shift) | special;
  }
  if (letters.includes("t")) bits |= 0o1000;
  if (operator === "+") return mode | bits;
  if (operator === "-") return mode & ~bits;
  return (mode & ~mask) | bits;
}

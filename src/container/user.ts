/** Users and groups of a container: `USER` texts looked up in the root's own /etc/passwd and /etc/group. */
import { closeSync, constants, fstatSync, readFileSync } from "node:fs";
import { invalidArgument } from "../base/errors.ts";
import { isErrno } from "../linux/fs-error.ts";
import { openInRoot } from "../linux/resolve-in-root.ts";

export interface ContainerUser {
  readonly uid: number;
  readonly gid: number;
  /** Supplementary groups, with the primary one. */
  readonly additionalGids: number[];
  /** `/` when passwd does not say. */
  readonly home: string;
}

interface PasswdEntry {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

interface GroupEntry {
  readonly name: string;
  readonly gid: number;
  readonly members: readonly string[];
}

const maxId = 2147483647;
/** Files of a foreign root: what is larger than this is no list of users. */
const maxFileBytes = 16 * 1024 * 1024;

/**
 * Looks up `user`, `uid`, `user:group`, `uid:gid` or a mix; an empty text is uid 0. A number is always an id. Groups
 * that list the user are added only when no group is named; `groupAdd` (names or ids) always. Links in the root are
 * followed inside it only. Throws `invalidArgument` with Docker's words for a name that is not there.
 */
export function resolveUser(rootfs: string, text: string, groupAdd: readonly string[] = []): ContainerUser {
  return findUser(text, groupAdd, {
    passwd: parsePasswd(readText(rootfs, "/etc/passwd")),
    groups: parseGroups(readText(rootfs, "/etc/group")),
  });
}

/** {@link resolveUser} on lists that were read. Pure. */
export function findUser(
  text: string,
  groupAdd: readonly string[],
  { passwd, groups }: { readonly passwd: readonly PasswdEntry[]; readonly groups: readonly GroupEntry[] },
): ContainerUser {
  const colon = text.indexOf(":");
  const userText = colon < 0 ? text : text.slice(0, colon);
  const groupText = colon < 0 ? "" : text.slice(colon + 1);
  const uidAsked = userText === "" ? 0 : parseId(userText);
  const entry = passwd.find((e) => (uidAsked === undefined ? e.name === userText : e.uid === uidAsked));
  if (entry === undefined && uidAsked === undefined)
    throw invalidArgument(`unable to find user ${userText}: no matching entries in passwd file`);
  let gid = entry?.gid ?? 0;
  const additional = new Set<number>();
  if (groupText !== "")
    gid = findGroup(groupText, groups, (name) => `unable to find group ${name}: ${noSuchGroup}`);
  else if (entry !== undefined)
    for (const group of groups) if (group.members.includes(entry.name)) additional.add(group.gid);
  additional.add(gid);
  for (const name of groupAdd)
    additional.add(findGroup(name, groups, (n) => `Unable to find group ${n}: ${noSuchGroup}`));
  return { uid: entry?.uid ?? uidAsked ?? 0, gid, additionalGids: [...additional], home: entry?.home || "/" };
}

const noSuchGroup = "no matching entries in group file";

function findGroup(text: string, groups: readonly GroupEntry[], message: (name: string) => string): number {
  const id = parseId(text);
  if (id !== undefined) return id;
  const entry = groups.find((group) => group.name === text);
  if (entry === undefined) throw invalidArgument(message(text));
  return entry.gid;
}

/** Undefined for a name. Throws for a number that is no id. */
function parseId(text: string): number | undefined {
  if (!/^-?\d+$/.test(text)) return undefined;
  const id = Number(text);
  if (id < 0 || id > maxId) throw invalidArgument(`uids and gids must be in range 0-${maxId}`);
  return id;
}

/** passwd(5); lines that cannot be read are left out. */
export function parsePasswd(text: string): PasswdEntry[] {
  const entries: PasswdEntry[] = [];
  for (const line of text.split("\n")) {
    const [name = "", , uid = "", gid = "", , home = ""] = line.trim().split(":");
    if (name !== "" && isNumber(uid)) entries.push({ name, uid: Number(uid), gid: Number(gid) || 0, home });
  }
  return entries;
}

/** group(5); lines that cannot be read are left out. */
export function parseGroups(text: string): GroupEntry[] {
  const entries: GroupEntry[] = [];
  for (const line of text.split("\n")) {
    const [name = "", , gid = "", members = ""] = line.trim().split(":");
    if (name !== "" && isNumber(gid)) entries.push({ name, gid: Number(gid), members: members.split(",") });
  }
  return entries;
}

const isNumber = (text: string): boolean => /^\d+$/.test(text);

/** Empty when there is no such file. Never waits, whatever the image has put there. */
function readText(rootfs: string, path: string): string {
  let fd: number;
  try {
    fd = openInRoot(rootfs, path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR", "ELOOP")) return "";
    throw error;
  }
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) return "";
    if (stat.size > maxFileBytes)
      throw invalidArgument(`${path} of the image is too large: ${stat.size} bytes, at most ${maxFileBytes}`);
    return readFileSync(fd, "utf8");
  } finally {
    closeSync(fd);
  }
}

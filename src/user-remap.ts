/** `--userns-remap` of the daemon: whose subordinate ids containers get. */
import { appendFileSync, readFileSync } from "node:fs";
import { invalidArgument } from "./base/errors.ts";
import { freeRange, type IdMap, type IdRange, subordinateRange } from "./linux/user-namespace.ts";

const defaultUser = "dockremap";

/**
 * Reads `default`, `USER`, `USER:GROUP`, names or numbers. For `default` the ranges are added to /etc/subuid and /etc/subgid
 * when there are none, as dockerd does. Undefined for an empty text. Throws `invalidArgument` with Docker's words.
 */
export function parseUserRemap(text: string): IdMap | undefined {
  if (text === "") return undefined;
  const parts = text.split(":");
  if (parts.length > 2 || parts.includes(""))
    throw invalidArgument(`invalid user/group specification in --userns-remap: "${text}"`);
  const isDefault = text === "default";
  const [user = "", group = user] = isDefault ? [defaultUser] : parts;
  const uids = rangeOf("/etc/subuid", namesOf("/etc/passwd", user, isDefault), isDefault);
  const gids = rangeOf("/etc/subgid", namesOf("/etc/group", group, isDefault || group === user), isDefault);
  if (uids === undefined)
    throw invalidArgument(`can't create ID mappings: no subuid ranges found for user "${user}"`, hint(user));
  if (gids === undefined)
    throw invalidArgument(
      `can't create ID mappings: no subgid ranges found for group "${group}"`,
      hint(group),
    );
  return { uids, gids };
}

const hint = (name: string): { hint: string } => ({
  hint: `Add a line such as ${name}:100000:65536 to /etc/subuid and /etc/subgid.`,
});

/** Name and number of an entry of passwd(5) or group(5), as the files of ranges may have either. */
function namesOf(file: string, asked: string, mayBeMissing: boolean): string[] {
  for (const line of readFileSync(file, "utf8").split("\n")) {
    const [name = "", , id = ""] = line.split(":");
    if (name !== "" && (name === asked || id === asked)) return [name, id];
  }
  if (/^\d+$/.test(asked) || mayBeMissing) return [asked];
  throw invalidArgument(
    `error during "${asked}" lookup: no such ${file === "/etc/passwd" ? "user" : "group"} in ${file}`,
  );
}

function rangeOf(file: string, names: readonly string[], makeIt: boolean): IdRange | undefined {
  let text = "";
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
  const found = subordinateRange(text, names);
  if (found !== undefined || !makeIt) return found;
  const range = freeRange(text);
  const separator = text === "" || text.endsWith("\n") ? "" : "\n";
  appendFileSync(file, `${separator}${names[0]}:${range.first}:${range.size}\n`, { mode: 0o644 });
  return range;
}

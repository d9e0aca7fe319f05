/** The walk along a path whose links lead inside a tree, whatever the tree is made of. */

/** As many links in one path as Linux follows before it answers ELOOP. */
const maxLinks = 40;

/**
 * The parts of where `parts` lead: `..` stops at the root, and an absolute link begins there again. `readLink` gives the
 * target of the link at a path of parts that are no links, undefined for whatever is no link. With `followLast: false` a
 * link at the end is left alone. Undefined when there are too many links.
 */
export function followLinks(
  parts: readonly string[],
  readLink: (path: string) => string | undefined,
  followLast = true,
): string[] | undefined {
  const resolved: string[] = [];
  const pending = parts.toReversed();
  let links = 0;
  while (pending.length > 0) {
    const part = pending.pop()!;
    if (part === "" || part === ".") continue;
    if (part === "..") {
      resolved.pop();
      continue;
    }
    resolved.push(part);
    if (!followLast && pending.every((rest) => rest === "" || rest === ".")) break;
    const target = readLink(resolved.join("/"));
    if (target === undefined) continue;
    links += 1;
    if (links > maxLinks) return undefined;
    resolved.pop();
    if (target.startsWith("/")) resolved.length = 0;
    pending.push(...target.split("/").toReversed());
  }
  return resolved;
}

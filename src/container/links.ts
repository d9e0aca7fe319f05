/** The environment of links between containers on the default bridge, which applications of Docker's first years read. */

/** A container that another one is linked to. */
export interface LinkedContainer {
  /** `/PARENT/ALIAS`. */
  readonly name: string;
  readonly alias: string;
  readonly address: string;
  /** Keys of ExposedPorts: `80/tcp`. */
  readonly exposedPorts: readonly string[];
  readonly env: readonly string[];
}

interface LinkPort {
  readonly port: number;
  readonly protocol: string;
}

/** What an image's build leaves in every environment. */
const unlinked = new Set(["HOME", "PATH"]);

function sortedPorts(keys: readonly string[]): LinkPort[] {
  const rank = ({ protocol }: LinkPort): number => (protocol === "tcp" ? 0 : 1);
  return keys
    .map((key) => ({ port: Number(key.split("/")[0]), protocol: key.split("/")[1] ?? "tcp" }))
    .sort((a, b) => a.port - b.port || rank(a) - rank(b));
}

/** Runs of ports that follow each other, by the same protocol; only those of two and more. */
function ranges(ports: readonly LinkPort[]): [first: LinkPort, last: LinkPort][] {
  const found: [LinkPort, LinkPort][] = [];
  for (const port of ports) {
    const open = found.at(-1);
    if (open !== undefined && open[1].protocol === port.protocol && open[1].port + 1 === port.port)
      open[1] = port;
    else found.push([port, port]);
  }
  return found.filter(([first, last]) => first !== last);
}

/**
 * The variables of one link: `DB_PORT`, for each port `DB_PORT_3306_TCP` with its `_ADDR`, `_PORT` and `_PROTO`, the ends of
 * ranges, `DB_NAME`, and the linked container's own variables as `DB_ENV_…`.
 */
export function linkEnvironment({ name, alias, address, exposedPorts, env }: LinkedContainer): string[] {
  const prefix = alias.replaceAll("-", "_").toUpperCase();
  const ports = sortedPorts(exposedPorts);
  const url = ({ port, protocol }: LinkPort): string => `${protocol}://${address}:${port}`;
  const key = ({ port, protocol }: LinkPort): string => `${prefix}_PORT_${port}_${protocol.toUpperCase()}`;
  const result: string[] = [];
  const [first] = ports;
  if (first !== undefined) result.push(`${prefix}_PORT=${url(first)}`);
  for (const [from, to] of ranges(ports))
    result.push(
      `${key(from)}_START=${url(from)}`,
      `${key(from)}_ADDR=${address}`,
      `${key(from)}_PROTO=${from.protocol}`,
      `${key(from)}_PORT_START=${from.port}`,
      `${key(to)}_END=${url(to)}`,
      `${key(to)}_PORT_END=${to.port}`,
    );
  for (const port of ports)
    result.push(
      `${key(port)}=${url(port)}`,
      `${key(port)}_ADDR=${address}`,
      `${key(port)}_PORT=${port.port}`,
      `${key(port)}_PROTO=${port.protocol}`,
    );
  result.push(`${prefix}_NAME=${name}`);
  for (const entry of env) {
    const at = entry.indexOf("=");
    if (at > 0 && !unlinked.has(entry.slice(0, at))) result.push(`${prefix}_ENV_${entry}`);
  }
  return result;
}

/** Reads `NAME[:ALIAS]`, also as inspect shows it (`/db:/web/alias`). Undefined for what is no link. */
export function parseLink(text: string): { name: string; alias: string } | undefined {
  const parts = text.split(":");
  const [name = "", given = name] = parts;
  const alias = given.split("/").at(-1) ?? "";
  return parts.length > 2 || name === "" || alias === ""
    ? undefined
    : { name: name.replace(/^\//, ""), alias };
}

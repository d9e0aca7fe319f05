/** What commands of Docker's say that gantry has not: where it has words for a daemon outside of a swarm, those. */

const notManager =
  'Error response from daemon: This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.';
const notPart = "This node is not part of a swarm";
const noSwarm =
  "Error response from daemon: this node cannot be in a swarm: swarm mode is not served by gantry";

const words = (text: string): ReadonlySet<string> => new Set(text.split(" "));

/** Commands that ask a swarm's manager. */
const managers: Readonly<Record<string, ReadonlySet<string>>> = {
  config: words("create inspect ls list rm remove"),
  node: words("demote inspect ls list promote ps rm remove update"),
  secret: words("create inspect ls list rm remove"),
  service: words("create inspect logs ls list ps rm remove rollback scale update"),
  stack: words("deploy up ls list ps rm remove down services"),
  swarm: words("ca join-token update"),
};

const pluginsByName = words("disable enable inspect push rm remove set upgrade");

/** Docker's words for a command of a group, as far as it has any; `rest` is what stands behind. Undefined for others. */
export function unservedWords(group: string, command: string, rest: readonly string[]): string | undefined {
  if (managers[group]?.has(command) === true) return notManager;
  if (group === "swarm") {
    if (command === "init" || command === "join") return noSwarm;
    if (command === "leave") return `Error response from daemon: ${notPart}`;
    if (command === "unlock") return `Error: ${notPart}`;
    if (command === "unlock-key") return `could not fetch unlock key: ${notManager}`;
  }
  const name = rest.find((word) => !word.startsWith("-"));
  if (group === "plugin" && pluginsByName.has(command) && name !== undefined)
    return `Error response from daemon: plugin "${name}" not found`;
  return undefined;
}

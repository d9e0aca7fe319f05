/** What a daemon has acknowledged, object by object, and whether that is what it has after a crash. */
import type { TestDaemon } from "../helpers/daemon.ts";

export type Kind = "container" | "network" | "volume" | "image";
/** `unknown`: the daemon ended between request and answer, so either outcome is right. */
export type State = "absent" | "present" | "created" | "running" | "exited" | "unknown";

export interface Entry {
  readonly kind: Kind;
  readonly name: string;
  state: State;
  /** While it runs: its process, which no restart of the daemon may change. */
  pid: number;
  /** What a container was made with, so that nobody removes it under the container. */
  uses: readonly string[];
}

/** Reads what is there by name: containers with their state, everything else as `present`. */
export async function observe(daemon: TestDaemon): Promise<Map<string, State>> {
  const { client } = daemon;
  const found = new Map<string, State>();
  const mounted = new Set<string>();
  for (const container of await client.listContainers({ all: true })) {
    for (const name of container.Names) found.set(`container ${name.slice(1)}`, container.State as State);
    for (const { Name } of container.Mounts) if (Name !== undefined) mounted.add(Name);
  }
  for (const network of await client.listNetworks()) found.set(`network ${network.Name}`, "present");
  // Anonymous volumes belong to their containers; what a plugin of this machine has is another test's.
  const { Volumes } = await client.listVolumes();
  for (const { Name } of Volumes.filter(({ Driver }) => Driver === "local"))
    if (!(/^[0-9a-f]{64}$/.test(Name) && mounted.has(Name))) found.set(`volume ${Name}`, "present");
  for (const image of await client.listImages())
    for (const tag of image.RepoTags ?? []) found.set(`image ${tag}`, "present");
  return found;
}

export class Ledger {
  readonly entries: Entry[] = [];
  /** What was there before the load: predefined networks, the image of the containers. */
  readonly #given: Set<string>;

  constructor(given: Iterable<string>) {
    this.#given = new Set(given);
  }

  add(kind: Kind, name: string): Entry {
    const entry: Entry = { kind, name, state: "absent", pid: 0, uses: [] };
    this.entries.push(entry);
    return entry;
  }

  /** Compares with what a daemon has that was started again; what nobody knew is taken over. Returns what is wrong. */
  async reconcile(daemon: TestDaemon): Promise<string[]> {
    const found = await observe(daemon);
    const wrong: string[] = [];
    for (const entry of this.entries) {
      const key = `${entry.kind} ${entry.name}`;
      const state = found.get(key) ?? "absent";
      found.delete(key);
      if (entry.state === "unknown") {
        if (!isSound(entry.kind, state)) wrong.push(`${key} came back as ${state}`);
        entry.state = state;
        entry.pid = 0;
      } else if (entry.state !== state) {
        wrong.push(`${key} was acknowledged as ${entry.state} and is ${state}`);
      }
      if (entry.kind === "container" && state === "running")
        wrong.push(...(await checkRunning(daemon, entry)));
    }
    for (const key of found.keys()) if (!this.#given.has(key)) wrong.push(`${key} was never asked for`);
    return wrong;
  }
}

/** Asks for one object. */
export async function stateOf({ client }: TestDaemon, { kind, name }: Entry): Promise<State> {
  try {
    if (kind === "container") return (await client.getContainer(name).inspect()).State.Status as State;
    if (kind === "network") await client.getNetwork(name).inspect();
    if (kind === "volume") await client.getVolume(name).inspect();
    if (kind === "image") await client.getImage(name).inspect();
    return "present";
  } catch (error) {
    if ((error as { statusCode?: number }).statusCode === 404) return "absent";
    throw error;
  }
}

/** Whether an object may be found so at rest. */
export function isSound(kind: Kind, state: State): boolean {
  const sound: readonly State[] =
    kind === "container" ? ["absent", "created", "running", "exited"] : ["absent", "present"];
  return sound.includes(state);
}

async function checkRunning(daemon: TestDaemon, entry: Entry): Promise<string[]> {
  const container = daemon.client.getContainer(entry.name);
  const { Pid } = (await container.inspect()).State;
  const wrong: string[] = [];
  if (entry.pid !== 0 && entry.pid !== Pid) wrong.push(`${entry.name} has pid ${Pid}, it had ${entry.pid}`);
  entry.pid = Pid;
  const log = (await daemon.dockerOk(["logs", entry.name])).split("\n");
  // Each start counts from 1 again.
  let expected = 1;
  for (const [index, line] of log.entries()) {
    if (line !== String(expected) && line !== "1")
      wrong.push(`${entry.name}: line ${index + 1} of its log is ${JSON.stringify(line)}, not ${expected}`);
    expected = Number(line) + 1;
  }
  return wrong.slice(0, 3);
}

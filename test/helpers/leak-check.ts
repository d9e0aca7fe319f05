/**
 * What a daemon has in the kernel and on disk, taken as lists, so that a test can say: after this, nothing more is there
 * than before.
 *
 * Random parts of names are written as `*` and lists are compared as multisets: a warm pool may exchange one namespace
 * for another, yet one more than before is a leak. What the engine puts off (unmounting, deleting a namespace) is given
 * a few seconds.
 */
import { readdir, readFile, readlink } from "node:fs/promises";
import { join } from "node:path";
import type { TestDaemon } from "./daemon.ts";
import { run } from "./process.ts";

export type LeakKind =
  | "mounts"
  | "namespaces"
  | "links"
  | "cgroups"
  | "nftables"
  | "processes"
  | "descriptors"
  | "exec-root"
  | "data-root"
  | "records";

export type Snapshot = Record<LeakKind, readonly string[]>;

/** Takes the lists. Costs some ten milliseconds. */
export async function takeSnapshot(daemon: TestDaemon): Promise<Snapshot> {
  const [mounts, namespaces, links, cgroups, nftables] = await Promise.all([
    mountsBelow(daemon),
    namespaceFiles(),
    linksOf(daemon),
    cgroupsBelow(daemon.cgroupParent),
    nftRules(daemon),
  ]);
  const [processes, descriptors, execRoot, dataRoot, records] = await Promise.all([
    processesOf(daemon),
    descriptorsOf(daemon),
    filesBelow(daemon.execRoot, 6),
    filesBelow(daemon.dataRoot, 4),
    recordsOf(daemon),
  ]);
  return {
    mounts,
    namespaces,
    links,
    cgroups,
    nftables,
    processes,
    descriptors,
    "exec-root": execRoot,
    "data-root": dataRoot,
    records,
  };
}

/** A snapshot of a daemon at rest: what it puts off is done, what it keeps ready is ready. */
export async function takeSettledSnapshot(daemon: TestDaemon): Promise<Snapshot> {
  let last = await takeSnapshot(daemon);
  for (let equal = 0, tries = 0; equal < 3 && tries < 40; tries++) {
    await new Promise((resolve) => setTimeout(resolve, 200));
    const next = await takeSnapshot(daemon);
    const isEqual = leaksBetween(last, next).length === 0 && leaksBetween(next, last).length === 0;
    equal = isEqual ? equal + 1 : 0;
    last = next;
  }
  return last;
}

/** What `after` has more than `before`, one line each; empty when nothing leaked. */
export function leaksBetween(before: Snapshot, after: Snapshot, ignore: readonly LeakKind[] = []): string[] {
  const leaks: string[] = [];
  for (const [kind, entries] of Object.entries(after) as [LeakKind, readonly string[]][]) {
    if (ignore.includes(kind)) continue;
    const known = new Map<string, number>();
    for (const entry of before[kind]) known.set(entry, (known.get(entry) ?? 0) + 1);
    for (const entry of entries) {
      const left = known.get(entry) ?? 0;
      if (left === 0) leaks.push(`${kind}: ${entry}`);
      else known.set(entry, left - 1);
    }
  }
  return leaks;
}

export interface LeakCheckOptions {
  /** Kinds that the test changes on purpose. */
  readonly ignore?: readonly LeakKind[];
  /** How long what the engine puts off may take. */
  readonly settleMs?: number;
}

/**
 * Runs `action` and throws when it left something behind. Runs against gantry only: what Docker's daemon keeps is not
 * this suite's business.
 */
export async function withoutLeaks<T>(
  daemon: TestDaemon,
  action: () => Promise<T>,
  options: LeakCheckOptions = {},
): Promise<T> {
  if (daemon.flavour !== "gantry") return action();
  const before = await takeSettledSnapshot(daemon);
  const result = await action();
  await assertNoLeaks(daemon, before, options);
  return result;
}

/** Waits until nothing more is there than in `before`; throws with the list of what stays. */
export async function assertNoLeaks(
  daemon: TestDaemon,
  before: Snapshot,
  options: LeakCheckOptions = {},
): Promise<void> {
  const deadline = performance.now() + (options.settleMs ?? 30_000);
  for (;;) {
    const leaks = leaksBetween(before, await takeSnapshot(daemon), options.ignore);
    if (leaks.length === 0) return;
    if (performance.now() > deadline) throw new Error(`left behind:\n  ${leaks.join("\n  ")}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Random parts of names: ids in hex, and the numbers and suffixes of interface names. */
function mask(text: string): string {
  return text
    .replaceAll(/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, "*")
    .replaceAll(/[0-9a-f]{6,}/g, "*");
}

/** All mounts under the daemon's directories, and pinned namespaces anywhere, as the daemon sees them. */
async function mountsBelow(daemon: TestDaemon): Promise<string[]> {
  const table = await readFile(`/proc/${daemon.host.pid || "self"}/mountinfo`, "utf8");
  const found: string[] = [];
  for (const line of table.split("\n")) {
    const fields = line.split(" ");
    const target = fields[4] ?? "";
    const type = fields[fields.indexOf("-") + 1] ?? "";
    if (target.startsWith(`${daemon.root}/`) || (type === "nsfs" && daemon.host.pid !== 0))
      found.push(mask(`${type} ${target.replace(daemon.root, "ROOT")}`));
  }
  return found;
}

async function namespaceFiles(): Promise<string[]> {
  const names = await readdir("/run/netns").catch(() => []);
  // Tests of other files make namespaces, too; those are theirs.
  return names.filter((name) => !name.startsWith("gantry-test-")).map(mask);
}

/** All links on a host of its own; on the real host only those of the daemon's bridge. */
async function linksOf(daemon: TestDaemon): Promise<string[]> {
  const { stdout } = await daemon.host.run(["ip", "-j", "link"]);
  const links = JSON.parse(stdout || "[]") as { ifname: string; master?: string }[];
  return links
    .filter(({ master }) => daemon.host.pid !== 0 || (master !== undefined && master === daemon.bridge))
    .map(
      (link) =>
        `${link.ifname.replace(/^(veth|[a-z-]+?)[0-9a-f]{4,}$/, "$1*")} of ${link.master ?? "nobody"}`,
    );
}

async function cgroupsBelow(parent: string): Promise<string[]> {
  const hierarchies = (await readdir("/sys/fs/cgroup", { withFileTypes: true }))
    .filter((entry) => entry.isDirectory())
    .map((entry) => join("/sys/fs/cgroup", entry.name));
  const parents = ["/sys/fs/cgroup", ...hierarchies].map((hierarchy) => join(hierarchy, parent));
  const { stdout } = await run(["find", ...parents, "-mindepth", "1", "-type", "d"]);
  const found = stdout.split("\n").filter((line) => line !== "");
  return found.map(mask);
}

async function nftRules(daemon: TestDaemon): Promise<string[]> {
  const { stdout } = await daemon.host.run(["nft", "-j", "list", "ruleset"]);
  if (stdout.trim() === "") return [];
  const { nftables } = JSON.parse(stdout) as { nftables: Record<string, Record<string, unknown>>[] };
  const found: string[] = [];
  for (const object of nftables) {
    for (const [type, value] of Object.entries(object)) {
      if (type === "metainfo") continue;
      // On the real host other daemons' tables come and go.
      const table = type === "table" ? value["name"] : value["table"];
      if (daemon.host.pid === 0 && table !== `gantry-${daemon.bridge}`) continue;
      const { elem, handle: _handle, expr, ...rest } = value;
      const counterless = JSON.stringify(expr)?.replaceAll(/"(packets|bytes)":\d+/g, '"$1":0');
      found.push(`${type} ${JSON.stringify(rest)} ${counterless ?? ""}`);
      for (const element of Array.isArray(elem) ? elem : [])
        found.push(`element of ${String(rest["name"])}: ${JSON.stringify(element)}`);
    }
  }
  return found.map(mask);
}

/**
 * Processes that belong to the daemon: in its containers' cgroups, in a network namespace of its host, or with one of
 * its directories on the command line. The daemon itself and the test's own helpers are not counted; a zombie is.
 */
async function processesOf(daemon: TestDaemon): Promise<string[]> {
  const found: string[] = [];
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(Number);
  for (const pid of pids) {
    if (pid === process.pid || pid === daemon.host.pid || (daemon.running && pid === daemon.pid)) continue;
    const [command, cgroups, stat] = await Promise.all([
      readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => ""),
      readFile(`/proc/${pid}/cgroup`, "utf8").catch(() => ""),
      readFile(`/proc/${pid}/stat`, "utf8").catch(() => ""),
    ]);
    const [, name = "", state = "", parent = ""] = /^\d+ \((.*)\) (\S) (\d+)/s.exec(stat) ?? [];
    const zombieOfOurs = state === "Z" && daemon.running && Number(parent) === daemon.pid;
    const ofDaemon =
      cgroups.includes(`/${daemon.cgroupParent}`) ||
      (command.includes(daemon.root) && Number(parent) !== process.pid);
    if (zombieOfOurs) found.push(`zombie ${name}`);
    else if (ofDaemon)
      found.push(mask(`${name}: ${command.replaceAll("\0", " ").replaceAll(daemon.root, "ROOT")}`));
  }
  return found;
}

/** Open descriptors of the daemon by what they point at, without the numbers of sockets and pipes. */
async function descriptorsOf(daemon: TestDaemon): Promise<string[]> {
  if (!daemon.running) return [];
  const directory = `/proc/${daemon.pid}/fd`;
  const found: string[] = [];
  for (const name of await readdir(directory).catch(() => [])) {
    const target = await readlink(join(directory, name)).catch(() => undefined);
    // SQLite opens and closes its -wal and -shm files as it likes.
    if (target === undefined || /-(wal|shm|journal)$/.test(target)) continue;
    found.push(mask(target.replace(/:\[\d+\]/, "").replace(daemon.root, "ROOT")));
  }
  return found;
}

async function filesBelow(directory: string, depth: number): Promise<string[]> {
  const { stdout } = await run([
    "find",
    directory,
    "-xdev",
    "-mindepth",
    "1",
    "-maxdepth",
    String(depth),
    "-printf",
    "%P\n",
  ]);
  return (
    stdout
      .split("\n")
      // The journal of events has one predecessor when many things have happened (engine/event-journal.ts).
      .filter((line) => line !== "" && line !== "events.jsonl.1" && !/-(wal|shm|journal)$/.test(line))
      .map(mask)
  );
}

/** Containers and networks as the API lists them. */
async function recordsOf(daemon: TestDaemon): Promise<string[]> {
  if (!daemon.running) return [];
  const containers = await daemon.client.listContainers({ all: true });
  const networks = await daemon.client.listNetworks();
  return [
    ...containers.map((container) => `container ${container.Names.join(",")}`),
    ...networks.map((network) => `network ${network.Name}`),
  ];
}

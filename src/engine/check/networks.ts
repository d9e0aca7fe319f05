/** Networks, sandboxes, addresses and published ports: the records against each other and against the kernel. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { isIPv6 } from "node:net";
import { join } from "node:path";
import { isKind } from "../../base/errors.ts";
import { realPath } from "../../linux/mount.ts";
import { nftList } from "../../linux/nftables.ts";
import { RouteSocket } from "../../linux/rtnetlink.ts";
import { parseAddress, parsePrefix, prefixContains } from "../../network/ip.ts";
import type { NetworkRecord, SandboxRecord } from "../../network/records.ts";
import type { PublishedPort } from "../../network/network.ts";
import { type PortForward, tableName } from "../../network/ruleset.ts";
import { SandboxNames } from "../../network/sandbox-kernel.ts";
import { forwardsOf, isExposed, isNamespace } from "../../network/sandbox-record.ts";
import { type CheckedStore, type Found, isRunning } from "./store.ts";

export interface NetworkCheck {
  readonly found: Found[];
  readonly count: number;
}

/** Whether devices, rules and held ports are there is only looked at while a daemon runs: without one they need not be. */
export function checkNetworks(store: CheckedStore): NetworkCheck {
  const networks = store.networks.networks();
  const sandboxes = store.networks.sandboxes();
  const live = sandboxes.filter(({ containerId }) => isRunning(store.containers.byId(containerId)));
  const names = new SandboxNames(store.execRoot);
  const found: Found[] = [
    ...networks
      .filter(({ isComplete }) => !isComplete)
      .map(({ name }): Found => ({
        kind: "network-incomplete",
        object: name,
        message: "this network was being made or removed",
      })),
    ...orphanSandboxes(store, sandboxes),
    ...live.flatMap((sandbox) => checkSandbox(store, sandbox, networks)),
    ...orphanNamespaces(store, names, sandboxes),
    ...checkDevices(store, names, { networks, sandboxes }),
  ];
  if (store.live !== undefined) {
    found.push(...live.flatMap((sandbox) => unheldPorts(store, sandbox)));
    found.push(...checkRules(store, names, live));
  }
  return { found, count: networks.length };
}

function orphanSandboxes(store: CheckedStore, sandboxes: readonly SandboxRecord[]): Found[] {
  return (
    sandboxes
      .filter(({ containerId }) => !isRunning(store.containers.byId(containerId)))
      .filter(({ containerId }) => store.live?.isBusy(containerId) !== true)
      .filter(({ containerId }) => store.containers.unrecorded(containerId) === undefined)
      // Those of steps of builds that run.
      .filter(
        ({ containerId }) =>
          store.live === undefined || !existsSync(join(store.execRoot, "build", containerId)),
      )
      .map(({ containerId, endpoints, ports }) => ({
        kind: "sandbox-orphan",
        object: containerId,
        message: `a container that does not run has ${describe(endpoints, ports)} on record`,
      }))
  );
}

function describe(endpoints: SandboxRecord["endpoints"], ports: readonly PublishedPort[]): string {
  const addresses = endpoints
    .map(({ ipv4Address, ipv6Address }) => ipv4Address || ipv6Address)
    .filter(Boolean);
  const published = ports.map(({ hostPort, protocol }) => `${hostPort}/${protocol}`);
  return (
    [
      ...(addresses.length > 0 ? [`the addresses ${addresses.join(", ")}`] : []),
      ...(published.length > 0 ? [`the ports ${published.join(", ")}`] : []),
    ].join(" and ") || "a network sandbox"
  );
}

function checkSandbox(
  store: CheckedStore,
  { containerId, path, endpoints }: SandboxRecord,
  networks: readonly NetworkRecord[],
): Found[] {
  const name = store.containers.byId(containerId)!.name;
  // A reboot takes the namespaces; the daemon that starts next knows.
  if (!isNamespace(path))
    return existsSync(join(store.execRoot, "containers", containerId))
      ? [
          {
            kind: "sandbox-missing",
            object: name,
            message: `its network namespace ${path} is gone`,
            remedy: `gantry restart ${name}`,
          },
        ]
      : [];
  const found: Found[] = [];
  for (const { networkId, networkName, ipv4Address, ipv6Address } of endpoints) {
    const subnets = networks.find(({ id }) => id === networkId)?.definition.subnets;
    for (const address of [ipv4Address, ipv6Address])
      if (subnets !== undefined && address !== "" && !subnets.some(({ subnet }) => isIn(address, subnet)))
        found.push({
          kind: "address-outside",
          object: name,
          message: `its address ${address} is not in network ${networkName}`,
          remedy: `gantry restart ${name}`,
        });
  }
  return found;
}

function isIn(address: string, subnet: string): boolean {
  const parsed = parseAddress(address);
  const prefix = parsePrefix(subnet)?.prefix;
  return parsed !== undefined && prefix !== undefined && prefixContains(prefix, parsed);
}

function orphanNamespaces(
  store: CheckedStore,
  names: SandboxNames,
  sandboxes: readonly SandboxRecord[],
): Found[] {
  if (!existsSync(names.directory)) return [];
  // The exec root has other names where a part of it is a link.
  const known = new Set(sandboxes.map(({ path }) => realPath(path)));
  return readdirSync(names.directory)
    .map((name) => join(names.directory, name))
    .filter((path) => !known.has(realPath(path)) && store.live?.isReady(path) !== true)
    .map((path) => ({
      kind: "namespace-orphan",
      object: path,
      message: "a network namespace of no container",
    }));
}

function checkDevices(
  store: CheckedStore,
  names: SandboxNames,
  records: { readonly networks: readonly NetworkRecord[]; readonly sandboxes: readonly SandboxRecord[] },
): Found[] {
  using host = RouteSocket.open();
  const links = new Set(host.links().map(({ name }) => name));
  const wanted = new Set(
    records.sandboxes.flatMap(({ endpoints }) => endpoints.map((it) => it.hostInterface)),
  );
  const found: Found[] = [...links]
    .filter((name) => names.isOurs(name) && !wanted.has(name) && store.live?.isReady(name) !== true)
    .map((name) => ({ kind: "device-orphan", object: name, message: "a network device of no container" }));
  if (store.live === undefined) return found;
  const bridges = [
    { name: "bridge", device: store.bridge === "none" ? "" : store.bridge },
    ...records.networks
      .filter(({ driver, definition }) => driver === "bridge" && !definition.configOnly)
      .map(({ name, definition }) => ({ name, device: definition.device })),
  ];
  for (const { name, device } of bridges)
    if (device !== "" && !links.has(device))
      found.push({
        kind: "device-missing",
        object: name,
        message: `the device ${device} of this network is gone`,
        remedy: "restart the daemon: it makes it again, and containers go on",
      });
  return found;
}

const listenState = { tcp: "0A", udp: "07" } as const;

/** Published ports that no socket of this machine holds. */
function unheldPorts(store: CheckedStore, { containerId, ports }: SandboxRecord): Found[] {
  const name = store.containers.byId(containerId)!.name;
  return ports
    .filter(({ protocol, hostIp, hostPort }) => {
      if (protocol === "sctp") return false;
      const file = `/proc/thread-self/net/${protocol}${isIPv6(hostIp) ? "6" : ""}`;
      const port = hostPort.toString(16).toUpperCase().padStart(4, "0");
      return !readFileSync(file, "utf8")
        .split("\n")
        .some((line) => {
          const [, local = "", , state] = line.trim().split(/\s+/);
          return local.endsWith(`:${port}`) && state === listenState[protocol];
        });
    })
    .map(({ protocol, hostIp, hostPort }) => ({
      kind: "port-unheld",
      object: name,
      message: `its published port ${hostIp}:${hostPort}/${protocol} is held by nobody`,
      remedy: `gantry restart ${name}`,
    }));
}

const ruleMaps = ["ports4", "ports6", "address_ports4", "address_ports6", "exposed4", "exposed6"];

/** The elements of the firewall's port maps against the records of published ports. */
function checkRules(store: CheckedStore, names: SandboxNames, sandboxes: readonly SandboxRecord[]): Found[] {
  const table = tableName(store.bridge, names.tag);
  const actual = new Set(readElements(table));
  // Without the table rules are not this daemon's to make.
  if (actual.size === 0 && !hasTable(table)) return [];
  const expected = new Map<string, string>();
  const possible = new Set<string>();
  for (const sandbox of sandboxes) {
    const name = store.containers.byId(sandbox.containerId)!.name;
    const forwards = sandbox.endpoints.map((endpoint) =>
      forwardsOf(sandbox, endpoint).map((it) => keyOf(it, isExposed(it, endpoint))),
    );
    for (const key of forwards.flat()) possible.add(key);
    // Which endpoint they lead to is the daemon's choice: any of them will do.
    if (
      forwards.length > 0 &&
      forwards[0]!.length > 0 &&
      !forwards.some((keys) => keys.every((key) => actual.has(key)))
    )
      for (const key of forwards[0]!) if (!actual.has(key)) expected.set(key, name);
  }
  const found: Found[] = [...expected].map(([key, name]) => ({
    kind: "port-rule-missing",
    object: name,
    message: `the firewall's table ${table} does not lead ${key}`,
  }));
  for (const key of actual)
    if (!possible.has(key))
      found.push({
        kind: "port-rule-orphan",
        object: `${table}: ${key}`,
        message: "a published port of no container",
      });
  return found;
}

function keyOf(
  { protocol, hostIp, hostPort, containerAddress, containerPort }: PortForward,
  exposed: boolean,
): string {
  const from = ["0.0.0.0", "::"].includes(hostIp) ? "" : `${hostIp} `;
  return exposed
    ? `${hostIp} ${protocol} ${hostPort}`
    : `${from}${protocol} ${hostPort} to ${containerAddress} ${containerPort}`;
}

function hasTable(table: string): boolean {
  try {
    nftList("look for the firewall's table", `list table inet ${table}`);
    return true;
  } catch (error) {
    if (isKind(error, "notFound")) return false;
    throw error;
  }
}

/** `tcp 8080 to 172.17.0.2 80` of each element of the port maps. */
function readElements(table: string): string[] {
  if (!hasTable(table)) return [];
  const found: string[] = [];
  for (const object of nftList("read the firewall's ports", `list table inet ${table}`)) {
    const { name, elem } = object["map"] ?? object["set"] ?? {};
    if (!ruleMaps.includes(String(name)) || !Array.isArray(elem)) continue;
    for (const element of elem as unknown[]) {
      const [key, value] =
        object["map"] === undefined ? [element, undefined] : (element as [unknown, unknown]);
      found.push(value === undefined ? wordsOf(key) : `${wordsOf(key)} to ${wordsOf(value)}`);
    }
  }
  return found;
}

const protocolNames: Readonly<Record<string, string>> = { "6": "tcp", "17": "udp", "132": "sctp" };

/** The parts of a concatenation; a protocol by its name, where it is a number. */
function wordsOf(value: unknown): string {
  const { concat = [] } = (value ?? {}) as { concat?: unknown[] };
  const words = concat.map(String);
  // The last but one of a key is the protocol, and the last of it the port.
  return words
    .map((word, index) => (index === words.length - 2 ? (protocolNames[word] ?? word) : word))
    .join(" ");
}

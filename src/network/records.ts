/** What the network room stores: networks, and the open sandboxes with their endpoints and published ports. */
import { type Database, transaction } from "../base/database.ts";
import { newId } from "../base/ids.ts";
import { nowRfc3339 } from "../base/time.ts";
import type { Endpoint, NetworkDriver, PublishedPort, Sandbox } from "./network.ts";

export interface NetworkRecord {
  readonly id: string;
  readonly name: string;
  readonly driver: NetworkDriver;
  readonly createdAt: string;
}

/** An open sandbox, and what of it the kernel must lose again. */
export interface SandboxRecord extends Sandbox {
  /** Host ends of the sandbox's veth devices. */
  readonly hostInterfaces: readonly string[];
}

/** The default bridge as it was set up last. */
export interface BridgeRecord {
  /** `172.17.0.1/16` */
  readonly address: string;
  /** False when the administrator made the bridge: then it stays. */
  readonly isOurs: boolean;
}

const schema = `
CREATE TABLE IF NOT EXISTS network_networks (
  id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, driver TEXT NOT NULL, created_at TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS network_bridges (
  name TEXT PRIMARY KEY, address TEXT NOT NULL, is_ours INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS network_sandboxes (
  container_id TEXT PRIMARY KEY, container_name TEXT NOT NULL, path TEXT NOT NULL, host_interfaces TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS network_endpoints (
  id TEXT PRIMARY KEY,
  container_id TEXT NOT NULL REFERENCES network_sandboxes ON DELETE CASCADE,
  network_id TEXT NOT NULL,
  address TEXT,
  endpoint TEXT NOT NULL,
  UNIQUE (network_id, address)
) STRICT;
CREATE TABLE IF NOT EXISTS network_ports (
  container_id TEXT NOT NULL REFERENCES network_sandboxes ON DELETE CASCADE,
  protocol TEXT NOT NULL, container_port INTEGER NOT NULL, host_ip TEXT NOT NULL, host_port INTEGER NOT NULL,
  UNIQUE (protocol, host_ip, host_port)
) STRICT;
`;

type Row = Record<string, unknown>;

/** What records of the first version lack. */
const missing: Pick<
  Endpoint,
  | "driver"
  | "ipv6Address"
  | "ipv6PrefixLength"
  | "ipv6Gateway"
  | "linkLocalAddresses"
  | "links"
  | "dnsNames"
  | "gatewayPriority"
> = {
  driver: "bridge",
  ipv6Address: "",
  ipv6PrefixLength: 0,
  ipv6Gateway: "",
  linkLocalAddresses: [],
  links: [],
  dnsNames: [],
  gatewayPriority: 0,
};

export class NetworkRecords {
  readonly #database: Database;
  readonly #statements: ReturnType<typeof prepare>;
  readonly #dropped = new Set<string>();

  constructor(database: Database) {
    this.#database = database;
    database.exec(schema);
    this.#statements = prepare(database);
  }

  /** The predefined networks, made with new ids when this is the first start. */
  predefined(): NetworkRecord[] {
    const drivers = { bridge: "bridge", host: "host", none: "null" } as const;
    for (const [name, driver] of Object.entries(drivers))
      this.#statements.addNetwork.run(newId(), name, driver, nowRfc3339());
    return this.#statements.networks.all().map((row) => ({
      id: String(row["id"]),
      name: String(row["name"]),
      driver: row["driver"] as NetworkRecord["driver"],
      createdAt: String(row["created_at"]),
    }));
  }

  bridge(name: string): BridgeRecord | undefined {
    const row = this.#statements.bridge.get(name);
    return row === undefined ? undefined : { address: String(row["address"]), isOurs: row["is_ours"] === 1 };
  }

  saveBridge(name: string, { address, isOurs }: BridgeRecord): void {
    this.#statements.saveBridge.run(name, address, isOurs ? 1 : 0);
  }

  sandboxes(): SandboxRecord[] {
    const byContainer = <T>(rows: Row[], read: (row: Row) => T): Map<string, T[]> => {
      const groups = new Map<string, T[]>();
      for (const row of rows) {
        const id = String(row["container_id"]);
        groups.set(id, [...(groups.get(id) ?? []), read(row)]);
      }
      return groups;
    };
    const endpoints = byContainer(this.#statements.endpoints.all(), (row) => ({
      ...missing,
      ...(JSON.parse(String(row["endpoint"])) as Endpoint),
    }));
    const ports = byContainer(this.#statements.ports.all(), readPort);
    return this.#statements.sandboxes.all().map((row) => {
      const containerId = String(row["container_id"]);
      return {
        containerId,
        containerName: String(row["container_name"]),
        path: String(row["path"]),
        hostInterfaces: JSON.parse(String(row["host_interfaces"])) as string[],
        endpoints: endpoints.get(containerId) ?? [],
        ports: ports.get(containerId) ?? [],
      };
    });
  }

  /** Writes the sandbox whole. Throws when an address or port is recorded already: two owners must never be. */
  insert(sandbox: SandboxRecord): void {
    transaction(this.#database, () => {
      for (const id of this.#dropped) this.#statements.removeSandbox.run(id);
      this.#write(sandbox);
    });
    this.#dropped.clear();
  }

  #write(sandbox: SandboxRecord): void {
    const { containerId, containerName, path, hostInterfaces } = sandbox;
    this.#statements.addSandbox.run(containerId, containerName, path, JSON.stringify(hostInterfaces));
    for (const endpoint of sandbox.endpoints) {
      const address = endpoint.ipv4Address === "" ? null : endpoint.ipv4Address;
      const text = JSON.stringify(endpoint);
      this.#statements.addEndpoint.run(endpoint.id, containerId, endpoint.networkId, address, text);
    }
    for (const { protocol, containerPort, hostIp, hostPort } of sandbox.ports)
      this.#statements.addPort.run(containerId, protocol, containerPort, hostIp, hostPort);
  }

  /** Writes a sandbox whole in place of the one with the same container. */
  replace(sandbox: SandboxRecord): void {
    transaction(this.#database, () => {
      this.#statements.removeSandbox.run(sandbox.containerId);
      this.#write(sandbox);
    });
  }

  /** When it throws (a full disk), the record goes with the next one that can be written. */
  remove(containerId: string): void {
    this.#dropped.add(containerId);
    this.#statements.removeSandbox.run(containerId);
    this.#dropped.delete(containerId);
  }
}

function readPort(row: Row): PublishedPort {
  return {
    protocol: row["protocol"] as PublishedPort["protocol"],
    containerPort: Number(row["container_port"]),
    hostIp: String(row["host_ip"]),
    hostPort: Number(row["host_port"]),
  };
}

function prepare(database: Database) {
  return {
    addNetwork: database.prepare("INSERT OR IGNORE INTO network_networks VALUES (?, ?, ?, ?)"),
    networks: database.prepare("SELECT * FROM network_networks ORDER BY name"),
    bridge: database.prepare("SELECT * FROM network_bridges WHERE name = ?"),
    saveBridge: database.prepare("INSERT OR REPLACE INTO network_bridges VALUES (?, ?, ?)"),
    sandboxes: database.prepare("SELECT * FROM network_sandboxes"),
    endpoints: database.prepare("SELECT * FROM network_endpoints ORDER BY rowid"),
    ports: database.prepare("SELECT * FROM network_ports ORDER BY rowid"),
    addSandbox: database.prepare("INSERT INTO network_sandboxes VALUES (?, ?, ?, ?)"),
    addEndpoint: database.prepare("INSERT INTO network_endpoints VALUES (?, ?, ?, ?, ?)"),
    addPort: database.prepare("INSERT INTO network_ports VALUES (?, ?, ?, ?, ?)"),
    removeSandbox: database.prepare("DELETE FROM network_sandboxes WHERE container_id = ?"),
  };
}

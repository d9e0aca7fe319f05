/** What the network room stores: networks, and the open sandboxes with their endpoints and published ports. */
import { type Database, parseColumn, transaction } from "../base/database.ts";
import { crashpoint, failpoint } from "../base/failpoint.ts";
import { newId } from "../base/ids.ts";
import { openTables } from "../base/schema.ts";
import { nowRfc3339 } from "../base/time.ts";
import { emptyDefinition, type NetworkDefinition } from "./definition.ts";
import type { Endpoint, NetworkDriver, PortRequest, PublishedPort, Sandbox } from "./network.ts";
import { networkSchema } from "./records-schema.ts";
import { UserRules } from "./user-rules.ts";
import { ZoneLeftovers } from "./zone-leftovers.ts";

export interface NetworkRecord {
  readonly id: string;
  readonly name: string;
  readonly driver: NetworkDriver;
  readonly createdAt: string;
  /** Of a predefined network what the daemon's options say is not here. */
  readonly definition: NetworkDefinition;
}

/** An endpoint, and what of it the kernel must lose again. */
export interface EndpointRecord extends Endpoint {
  /** Host end of its veth; empty where it has none. */
  readonly hostInterface: string;
}

export interface SandboxRecord extends Sandbox {
  readonly endpoints: readonly EndpointRecord[];
  /** What was asked to be published; without it (an older daemon's record) the ports that are. */
  readonly requests?: readonly PortRequest[];
  /**
   * The kind of way in by which they were published; empty when they could not be. Where it is not that of the endpoints,
   * a change was cut off. An older daemon's record has none.
   */
  readonly wayIn?: string;
}

/** The default bridge as it was set up last. */
export interface BridgeRecord {
  /** `172.17.0.1/16` */
  readonly address: string;
  /** Empty without IPv6. */
  readonly ipv6Address: string;
  /** False when the administrator made the bridge: then it stays. */
  readonly isOurs: boolean;
}

type Row = Record<string, unknown>;

/** What records of the first version lack. */
const missing: Pick<
  EndpointRecord,
  | "hostInterface"
  | "driver"
  | "ipv6Address"
  | "ipv6PrefixLength"
  | "ipv6Gateway"
  | "linkLocalAddresses"
  | "links"
  | "dnsNames"
  | "gatewayPriority"
> = {
  hostInterface: "",
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

  /** The administrator's own rules of the firewall. */
  readonly userRules: UserRules;
  readonly zoneLeftovers: ZoneLeftovers;

  constructor(database: Database) {
    this.#database = database;
    openTables(database, networkSchema);
    this.#statements = prepare(database);
    this.userRules = new UserRules(database);
    this.zoneLeftovers = new ZoneLeftovers(database);
  }

  /** The predefined networks, made with new ids when this is the first start. */
  predefined(): NetworkRecord[] {
    const drivers = { bridge: "bridge", host: "host", none: "null" } as const;
    for (const [name, driver] of Object.entries(drivers))
      this.#statements.addNetwork.run(newId(), name, driver, nowRfc3339());
    return this.#statements.networks
      .all()
      .filter((row) => row["definition"] === null)
      .map((row) => readNetwork(this.#database, row));
  }

  /** Networks of users. Those that are not complete were being made or removed when the daemon was cut off. */
  networks(): (NetworkRecord & { readonly isComplete: boolean })[] {
    return this.#statements.networks
      .all()
      .filter((row) => row["definition"] !== null)
      .map((row) => ({ ...readNetwork(this.#database, row), isComplete: row["is_complete"] === 1 }));
  }

  /** Writes a network that is not complete yet. */
  addNetwork({ id, name, driver, createdAt, definition }: NetworkRecord): void {
    transaction(this.#database, () => {
      this.#statements.addNetwork.run(id, name, driver, createdAt);
      this.#statements.addDefinition.run(id, JSON.stringify(definition));
    });
  }

  markNetwork(id: string, { isComplete }: { readonly isComplete: boolean }): void {
    this.#statements.markNetwork.run(isComplete ? 1 : 0, id);
  }

  removeNetwork(id: string): void {
    this.#statements.removeNetwork.run(id);
  }

  bridge(name: string): BridgeRecord | undefined {
    const row = this.#statements.bridge.get(name);
    if (row === undefined) return undefined;
    const ipv6 = this.#statements.bridge6.get(name);
    return {
      address: String(row["address"]),
      ipv6Address: ipv6 === undefined ? "" : String(ipv6["address"]),
      isOurs: row["is_ours"] === 1,
    };
  }

  /** An IPv6 address that it had is remembered while it has none. */
  saveBridge(name: string, { address, ipv6Address, isOurs }: BridgeRecord): void {
    transaction(this.#database, () => {
      this.#statements.saveBridge.run(name, address, isOurs ? 1 : 0);
      if (ipv6Address !== "") this.#statements.saveBridge6.run(name, ipv6Address);
    });
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
      ...(parseColumn(this.#database, row["endpoint"]) as Endpoint),
    }));
    const ports = byContainer(this.#statements.ports.all(), readPort);
    const requests = byContainer(
      this.#statements.portRequests.all(),
      (row) => parseColumn(this.#database, row["requests"]) as PortRequest[],
    );
    const waysIn = byContainer(this.#statements.waysIn.all(), (row) => String(row["way_in"]));
    return this.#statements.sandboxes.all().map((row) => {
      const containerId = String(row["container_id"]);
      const asked = requests.get(containerId)?.[0];
      const wayIn = waysIn.get(containerId)?.[0];
      return {
        containerId,
        containerName: String(row["container_name"]),
        path: String(row["path"]),
        endpoints: endpoints.get(containerId) ?? [],
        ports: ports.get(containerId) ?? [],
        ...(asked && { requests: asked }),
        ...(wayIn !== undefined && { wayIn }),
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
    const { containerId, containerName, path } = sandbox;
    this.#statements.addSandbox.run(containerId, containerName, path);
    for (const endpoint of sandbox.endpoints) this.#writeEndpoint(containerId, endpoint);
    const { requests = [] } = sandbox;
    if (requests.length > 0) this.#statements.addPortRequests.run(containerId, JSON.stringify(requests));
    this.#writePorts(sandbox);
  }

  #writePorts({ containerId, ports, wayIn }: SandboxRecord): void {
    if (wayIn !== undefined) this.#statements.saveWayIn.run(containerId, wayIn);
    for (const { protocol, containerPort, hostIp, hostPort } of ports)
      this.#statements.addPort.run(containerId, protocol, containerPort, hostIp, hostPort);
  }

  /** Writes the published ports of a sandbox, and by which way in, in place of those that it had. */
  replacePorts(sandbox: SandboxRecord): void {
    transaction(this.#database, () => {
      this.#statements.removePorts.run(sandbox.containerId);
      this.#writePorts(sandbox);
    });
  }

  #writeEndpoint(containerId: string, endpoint: EndpointRecord): void {
    const { id, networkId, ipv4Address, ipv6Address } = endpoint;
    this.#statements.addEndpoint.run(id, containerId, networkId, JSON.stringify(endpoint));
    for (const address of [ipv4Address, ipv6Address])
      if (address !== "") this.#statements.addAddress.run(networkId, address, id);
  }

  /** Adds an endpoint to a sandbox. Throws when one of its addresses is recorded already. */
  addEndpoint(containerId: string, endpoint: EndpointRecord): void {
    transaction(this.#database, () => {
      this.#writeEndpoint(containerId, endpoint);
      failpoint("network-connect.recorded");
    });
    crashpoint("network-connect.endpoint-recorded");
  }

  removeEndpoint(id: string): void {
    crashpoint("network-disconnect.exchanged");
    this.#statements.removeEndpoint.run(id);
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
    crashpoint("network-close.recorded");
    this.#dropped.delete(containerId);
  }
}

function readNetwork(database: Database, row: Row): NetworkRecord {
  const definition = row["definition"];
  return {
    id: String(row["id"]),
    name: String(row["name"]),
    driver: row["driver"] as NetworkDriver,
    createdAt: String(row["created_at"]),
    definition: {
      ...emptyDefinition,
      ...(typeof definition === "string" ? (parseColumn(database, definition) as NetworkDefinition) : {}),
    },
  };
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
    networks: database.prepare(
      "SELECT * FROM network_networks LEFT JOIN network_definitions ON network_id = id ORDER BY name",
    ),
    addDefinition: database.prepare("INSERT INTO network_definitions VALUES (?, 0, ?)"),
    markNetwork: database.prepare("UPDATE network_definitions SET is_complete = ? WHERE network_id = ?"),
    removeNetwork: database.prepare("DELETE FROM network_networks WHERE id = ?"),
    bridge: database.prepare("SELECT * FROM network_bridges WHERE name = ?"),
    saveBridge: database.prepare("INSERT OR REPLACE INTO network_bridges VALUES (?, ?, ?)"),
    bridge6: database.prepare("SELECT * FROM network_bridges_ipv6 WHERE name = ?"),
    saveBridge6: database.prepare("INSERT OR REPLACE INTO network_bridges_ipv6 VALUES (?, ?)"),
    sandboxes: database.prepare("SELECT * FROM network_sandboxes"),
    endpoints: database.prepare("SELECT * FROM network_endpoints ORDER BY rowid"),
    ports: database.prepare("SELECT * FROM network_ports ORDER BY rowid"),
    portRequests: database.prepare("SELECT * FROM network_port_requests"),
    addPortRequests: database.prepare("INSERT INTO network_port_requests VALUES (?, ?)"),
    waysIn: database.prepare("SELECT * FROM network_ways_in"),
    saveWayIn: database.prepare("INSERT OR REPLACE INTO network_ways_in VALUES (?, ?)"),
    removePorts: database.prepare("DELETE FROM network_ports WHERE container_id = ?"),
    addSandbox: database.prepare("INSERT INTO network_sandboxes VALUES (?, ?, ?)"),
    addEndpoint: database.prepare("INSERT INTO network_endpoints VALUES (?, ?, ?, ?)"),
    removeEndpoint: database.prepare("DELETE FROM network_endpoints WHERE id = ?"),
    addAddress: database.prepare("INSERT INTO network_addresses VALUES (?, ?, ?)"),
    addPort: database.prepare("INSERT INTO network_ports VALUES (?, ?, ?, ?, ?)"),
    removeSandbox: database.prepare("DELETE FROM network_sandboxes WHERE container_id = ?"),
  };
}

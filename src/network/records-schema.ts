/** The tables of the network room, and how earlier forms of them become today's. */
import type { Database } from "../base/database.ts";
import { hasColumn, type RoomSchema } from "../base/schema.ts";

const tables = `
CREATE TABLE IF NOT EXISTS network_networks (
  id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, driver TEXT NOT NULL, created_at TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS network_definitions (
  network_id TEXT PRIMARY KEY REFERENCES network_networks ON DELETE CASCADE,
  is_complete INTEGER NOT NULL,
  definition TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS network_bridges (
  name TEXT PRIMARY KEY, address TEXT NOT NULL, is_ours INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS network_bridges_ipv6 (name TEXT PRIMARY KEY, address TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS network_sandboxes (
  container_id TEXT PRIMARY KEY, container_name TEXT NOT NULL, path TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS network_port_requests (
  container_id TEXT PRIMARY KEY REFERENCES network_sandboxes ON DELETE CASCADE, requests TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS network_ways_in (
  container_id TEXT PRIMARY KEY REFERENCES network_sandboxes ON DELETE CASCADE, way_in TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS network_endpoints (
  id TEXT PRIMARY KEY,
  container_id TEXT NOT NULL REFERENCES network_sandboxes ON DELETE CASCADE,
  network_id TEXT NOT NULL,
  endpoint TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS network_addresses (
  network_id TEXT NOT NULL, address TEXT NOT NULL,
  endpoint_id TEXT NOT NULL REFERENCES network_endpoints ON DELETE CASCADE,
  PRIMARY KEY (network_id, address)
) STRICT;
CREATE TABLE IF NOT EXISTS network_ports (
  container_id TEXT NOT NULL REFERENCES network_sandboxes ON DELETE CASCADE,
  protocol TEXT NOT NULL, container_port INTEGER NOT NULL, host_ip TEXT NOT NULL, host_port INTEGER NOT NULL,
  UNIQUE (protocol, host_ip, host_port)
) STRICT;
`;

/**
 * gantry 0.1.0 had the default bridge alone: a sandbox named the host's ends of its devices, an endpoint had one address.
 * Its endpoints have theirs by themselves now, and addresses are rows of their own.
 */
function fromOneNetwork(database: Database): void {
  database.exec(`
DROP TABLE IF EXISTS network_addresses; -- a renamed table takes references to it along
ALTER TABLE network_endpoints RENAME TO network_endpoints_1;
${tables}
INSERT INTO network_endpoints
  SELECT id, container_id, network_id,
    json_set(endpoint, '$.hostInterface', coalesce(json_extract(host_interfaces, '$[0]'), ''))
  FROM network_endpoints_1 JOIN network_sandboxes USING (container_id);
INSERT INTO network_addresses
  SELECT network_id, address, id FROM network_endpoints_1 WHERE address IS NOT NULL;
DROP TABLE network_endpoints_1;
ALTER TABLE network_sandboxes DROP COLUMN host_interfaces;
`);
}

export const networkSchema: RoomSchema = {
  room: "network",
  tables,
  migrations: [fromOneNetwork],
  unnoted: (database) => (hasColumn(database, "network_sandboxes", "host_interfaces") ? 1 : 2),
};

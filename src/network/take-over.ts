/** Start-up: which sandboxes of an earlier daemon go on, and what of them was cut off half-way. */
import { log } from "../base/log.ts";
import { interfacesIn } from "./endpoint-kernel.ts";
import type { Networks } from "./networks.ts";
import type { NetworkRecords, SandboxRecord } from "./records.ts";
import { reattach, type SandboxNames, sweepSandboxes } from "./sandbox-kernel.ts";
import { isNamespace } from "./sandbox-record.ts";

/** Keeps the sandboxes of containers that are live; deletes records, devices and namespaces of all others. */
export async function keepSandboxes(from: {
  readonly records: NetworkRecords;
  readonly networks: Networks;
  readonly names: SandboxNames;
  readonly isLive: (containerId: string) => boolean;
}): Promise<SandboxRecord[]> {
  const { records, networks, names, isLive } = from;
  const kept: SandboxRecord[] = [];
  for (const record of records.sandboxes()) {
    if (isLive(record.containerId) && isNamespace(record.path))
      kept.push(dropHalfMade(record, records, networks));
    else records.remove(record.containerId);
  }
  await sweepSandboxes(names, {
    paths: new Set(kept.map(({ path }) => path)),
    hostInterfaces: new Set(kept.flatMap(({ endpoints }) => endpoints.map((e) => e.hostInterface))),
  });
  return kept;
}

/** A crash between an endpoint's record and its device leaves a record without one, or one of no network. */
function dropHalfMade(record: SandboxRecord, records: NetworkRecords, networks: Networks): SandboxRecord {
  const present = interfacesIn(record.path);
  const endpoints = record.endpoints.filter(({ id, networkId, networkName, interfaceName }) => {
    const isWhole = interfaceName === "" || present.has(interfaceName);
    if (isWhole && networks.byId(networkId) !== undefined) return true;
    log.info("dropping an endpoint that was being made or removed", {
      container: record.containerId,
      network: networkName,
    });
    records.removeEndpoint(id);
    return false;
  });
  return { ...record, endpoints };
}

/** A bridge that was deleted and made again has lost its devices. */
export function reattachDevices(kept: readonly SandboxRecord[], networks: Networks): void {
  for (const { record, bridge } of networks.list()) {
    if (bridge === undefined) continue;
    const devices = kept
      .flatMap(({ endpoints }) => endpoints)
      .filter(({ networkId }) => networkId === record.id)
      .map(({ hostInterface }) => hostInterface);
    reattach(devices, bridge);
  }
}

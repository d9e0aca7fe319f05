/** Opens sandboxes: a namespace, its endpoints, its published ports and its record, or nothing of it. */
import { failpoint } from "../base/failpoint.ts";
import type { Attacher, Owner, PlannedEndpoint } from "./attacher.ts";
import type { DeferredWork } from "./deferred-work.ts";
import { changeMac, detach } from "./endpoint-kernel.ts";
import { emptyEndpoint } from "./endpoint-request.ts";
import type { SandboxRequest } from "./network.ts";
import type { Networks } from "./networks.ts";
import type { OpenSandbox } from "./open-sandboxes.ts";
import type { EndpointRecord, NetworkRecords, SandboxRecord } from "./records.ts";
import { deleteSandbox, makeBareSandbox, sandboxInterface, type SandboxNames } from "./sandbox-kernel.ts";
import { forgetFlowsTo } from "./udp-flows.ts";
import type { WarmSandboxes } from "./warm-sandboxes.ts";
import type { WaysOut } from "./ways-out.ts";

export interface OpenerParts {
  readonly records: NetworkRecords;
  readonly networks: Networks;
  readonly names: SandboxNames;
  readonly attacher: Attacher;
  readonly ways: WaysOut;
  readonly warm: WarmSandboxes;
  readonly deferred: DeferredWork;
}

export class SandboxOpener {
  readonly #parts: OpenerParts;

  constructor(parts: OpenerParts) {
    this.#parts = parts;
  }

  /** A sandbox without a network: a loopback device, and the entry of network `none`. */
  openBare(request: SandboxRequest): OpenSandbox {
    const { records, networks, names, ways } = this.#parts;
    const { containerId, containerName, mode, ports } = request;
    const endpoint = { ...emptyEndpoint(networks.find("none").record), hostInterface: "" };
    const endpoints = mode === "none" ? [endpoint] : [];
    const record: SandboxRecord = {
      containerId,
      containerName,
      path: names.newPath(),
      endpoints,
      ports: [],
      requests: ports,
      wayIn: ways.kindOfWayIn({ endpoints }),
    };
    records.insert(record);
    try {
      makeBareSandbox(record.path, request.namespaceOfPid);
    } catch (error) {
      records.remove(containerId);
      throw error;
    }
    return { record, publication: undefined };
  }

  async openConnected(request: SandboxRequest, planned: readonly PlannedEndpoint[]): Promise<OpenSandbox> {
    const { records, networks, ways } = this.#parts;
    const { containerId, containerName } = request;
    await using undo = new AsyncDisposableStack();
    const { path, endpoints } = await this.#connect(request, planned, undo);
    const publication = await ways.publish(request, endpoints);
    undo.defer(() => publication?.close());
    const ports = publication?.ports ?? [];
    const record: SandboxRecord = {
      containerId,
      containerName,
      path,
      endpoints,
      ports,
      requests: request.ports,
      wayIn: ways.kindOfWayIn({ endpoints }),
    };
    records.insert(record);
    undo.defer(() => records.remove(containerId));
    failpoint("network-open-recorded");
    const forwards = ways.forwards(record);
    networks.firewall?.add(forwards);
    undo.defer(() => networks.firewall?.remove(forwards));
    failpoint("network-open-published");
    forgetFlowsTo(forwards);
    undo.move();
    return { record, publication };
  }

  /** The namespace with its devices and routes. */
  async #connect(
    request: SandboxRequest,
    planned: readonly PlannedEndpoint[],
    undo: AsyncDisposableStack,
  ): Promise<Pick<SandboxRecord, "path" | "endpoints">> {
    const { names, attacher, ways } = this.#parts;
    const endpoints: EndpointRecord[] = [];
    const warm =
      request.namespaceOfPid === undefined ? this.#openWarm(request, planned[0]!, undo) : undefined;
    const path = warm?.path ?? names.newPath();
    if (warm === undefined) {
      makeBareSandbox(path, request.namespaceOfPid);
      undo.defer(() => deleteSandbox(path, []));
    } else endpoints.push(warm.endpoint);
    for (const each of planned.slice(warm === undefined ? 0 : 1)) {
      const endpoint = await attacher.plan(each, request, endpoints, undo);
      await attacher.makeDevice(path, each, endpoint);
      // Before its addresses are given back.
      undo.defer(() => detach(path, endpoint.interfaceName, endpoint.hostInterface));
      endpoints.push(endpoint);
    }
    if (warm === undefined || endpoints.length > 1) ways.setRoutes(path, endpoints);
    return { path, endpoints };
  }

  /** A ready sandbox, if it fits the first endpoint and one is there. */
  #openWarm(
    owner: Owner,
    planned: PlannedEndpoint,
    undo: AsyncDisposableStack,
  ): { path: string; endpoint: EndpointRecord } | undefined {
    const { attacher, warm, deferred } = this.#parts;
    const ready = warm.take(planned);
    if (ready === undefined) return undefined;
    // A sandbox that some container was promised is not given to the next one: it is made anew.
    undo.defer(() => deferred.add(() => warm.destroy(ready)));
    const { macAddress } = planned.request;
    if (macAddress !== undefined) changeMac(ready.path, sandboxInterface, macAddress);
    const endpoint: EndpointRecord = {
      ...attacher.describe(planned, owner, ready),
      interfaceName: sandboxInterface,
      macAddress: macAddress ?? ready.macAddress,
      hostInterface: ready.hostInterface,
    };
    return { path: ready.path, endpoint };
  }
}

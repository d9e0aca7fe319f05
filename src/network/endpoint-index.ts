/** Who is on which network, and by which names: what the name server asks. Kept in memory, fed by the manager. */
import type { Endpoint, NetworkMember, Sandbox } from "./network.ts";

interface OneNetwork {
  /** By endpoint id. */
  readonly members: Map<string, NetworkMember>;
  /** By name in small letters. */
  readonly names: Map<string, Map<string, NetworkMember>>;
}

export class EndpointIndex {
  readonly #networks = new Map<string, OneNetwork>();

  /** Takes in all endpoints of a sandbox, in place of those it had. */
  put(before: Sandbox | undefined, after: Sandbox | undefined): void {
    for (const endpoint of before?.endpoints ?? []) this.#remove(endpoint);
    if (after === undefined) return;
    const { containerId, containerName } = after;
    for (const endpoint of after.endpoints) this.#add({ containerId, containerName, endpoint });
  }

  members(networkId: string): NetworkMember[] {
    return [...(this.#networks.get(networkId)?.members.values() ?? [])];
  }

  lookUp(networkId: string, name: string): readonly NetworkMember[] {
    return [...(this.#networks.get(networkId)?.names.get(name.toLowerCase())?.values() ?? [])];
  }

  #add(member: NetworkMember): void {
    const { endpoint } = member;
    let network = this.#networks.get(endpoint.networkId);
    if (network === undefined)
      this.#networks.set(endpoint.networkId, (network = { members: new Map(), names: new Map() }));
    network.members.set(endpoint.id, member);
    for (const name of endpoint.dnsNames) {
      const key = name.toLowerCase();
      let named = network.names.get(key);
      if (named === undefined) network.names.set(key, (named = new Map()));
      named.set(endpoint.id, member);
    }
  }

  #remove(endpoint: Endpoint): void {
    const network = this.#networks.get(endpoint.networkId);
    if (network === undefined) return;
    network.members.delete(endpoint.id);
    for (const name of endpoint.dnsNames) {
      const key = name.toLowerCase();
      const named = network.names.get(key);
      named?.delete(endpoint.id);
      if (named?.size === 0) network.names.delete(key);
    }
    if (network.members.size === 0) this.#networks.delete(endpoint.networkId);
  }
}

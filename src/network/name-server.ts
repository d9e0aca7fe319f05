/** The name server of every container that is on a network of a user's. */
import { decode, encode, type DecodedPacket, type Packet } from "dns-packet";
import { errorText } from "../base/errors.ts";
import { log } from "../base/log.ts";
import { answerLocally, responseTo, truncated } from "./dns-answer.ts";
import { type DnsProtocol, forwardQuery, type UpstreamServer } from "./dns-forward.ts";
import { type DnsListener, listenInNetns } from "./dns-listener.ts";
import type { NetworkManager, Sandbox, SandboxWatcher } from "./network.ts";

/** How the queries of one container are to be forwarded. */
export interface ForwardSettings {
  /** Servers that were named for the container; without any the host's are asked. */
  readonly servers: readonly string[];
  /** The container's user set `ndots` above 0: names without a dot are no business of other servers. */
  readonly keepsShortNames: boolean;
}

export interface NameServerParts {
  readonly networks: Pick<NetworkManager, "find" | "members" | "lookUp">;
  /** Asked at every forwarded query. */
  readonly settingsOf: (containerId: string) => ForwardSettings;
  /** Name servers of the host. */
  readonly hostServers: () => readonly string[];
}

/** Forwarded queries of one container that are under way; what comes beyond is refused. */
const maxPending = 256;
const plainUdpBytes = 512;
const dnsPort = 53;
const headerBytes = 12;

interface Served {
  sandbox: Sandbox;
  listener: DnsListener | undefined;
  pending: number;
  isClosed: boolean;
}

export class NameServer implements SandboxWatcher {
  readonly #parts: NameServerParts;
  readonly #served = new Map<string, Served>();

  constructor(parts: NameServerParts) {
    this.#parts = parts;
  }

  async opened(sandbox: Sandbox): Promise<void> {
    const served: Served = { sandbox, listener: undefined, pending: 0, isClosed: false };
    this.#served.set(sandbox.containerId, served);
    try {
      await this.#listen(served);
    } catch (error) {
      this.closed(sandbox);
      throw error;
    }
  }

  async changed(sandbox: Sandbox): Promise<void> {
    const served = this.#served.get(sandbox.containerId);
    if (served === undefined) return;
    served.sandbox = sandbox;
    await this.#listen(served);
  }

  closed({ containerId }: Sandbox): void {
    const served = this.#served.get(containerId);
    if (served === undefined) return;
    served.isClosed = true;
    served.listener?.close();
    this.#served.delete(containerId);
  }

  /** Only a network of a user's has names; once there, the server stays for as long as the sandbox. */
  async #listen(served: Served): Promise<void> {
    const hasNames = served.sandbox.endpoints.some(
      ({ networkId }) => this.#parts.networks.find(networkId).isUserDefined,
    );
    if (served.listener !== undefined || !hasNames) return;
    const listener = await listenInNetns(served.sandbox.path, (query, protocol) =>
      this.#answer(served, query, protocol),
    );
    if (served.isClosed) listener.close();
    else served.listener = listener;
  }

  /** Never rejects. */
  async #answer(served: Served, message: Buffer, protocol: DnsProtocol): Promise<Buffer | undefined> {
    let query: DecodedPacket;
    try {
      query = decode(message);
    } catch {
      return malformed(message);
    }
    // Answers to nobody's question are not answered: two servers could go on for ever.
    if (query.type !== "query") return undefined;
    try {
      if (opcodeOf(message) !== 0) return encode(responseTo(query, "NOTIMP"));
      if (query.questions?.length !== 1) return encode(responseTo(query, "FORMERR"));
      const local = answerLocally(query, served.sandbox, this.#parts.networks);
      if (local !== undefined) return fitted(local, query, protocol);
      return await this.#forward(served, query, message, protocol);
    } catch (error) {
      log.debug("a name query failed", { container: served.sandbox.containerId, error: errorText(error) });
      return encode(responseTo(query, "SERVFAIL"));
    }
  }

  async #forward(
    served: Served,
    query: DecodedPacket,
    message: Buffer,
    protocol: DnsProtocol,
  ): Promise<Buffer> {
    const { containerId, endpoints, path } = served.sandbox;
    const settings = this.#parts.settingsOf(containerId);
    const [question] = query.questions ?? [];
    const isAddress = question?.type === "A" || question?.type === "AAAA";
    if (settings.keepsShortNames && isAddress && !question.name.includes("."))
      return encode(responseTo(query, "NOERROR"));
    // From an internal network nothing goes out, questions neither.
    const hasWayOut = endpoints.some(({ networkId }) => !this.#parts.networks.find(networkId).isInternal);
    if (!hasWayOut) return encode(responseTo(query, "SERVFAIL"));
    if (served.pending >= maxPending) return encode(responseTo(query, "REFUSED"));
    served.pending++;
    try {
      const servers = upstreamServers(settings.servers, this.#parts.hostServers, path);
      return (await forwardQuery(message, servers, protocol)) ?? encode(responseTo(query, "SERVFAIL"));
    } finally {
      served.pending--;
    }
  }
}

/** Servers that were named for the container are asked from where it is: they may be its neighbours. */
function upstreamServers(
  named: readonly string[],
  hostServers: () => readonly string[],
  netns: string,
): UpstreamServer[] {
  if (named.length > 0) return named.map((address) => ({ address, port: dnsPort, netns }));
  return hostServers().map((address) => ({ address, port: dnsPort, netns: undefined }));
}

/** RFC 1035, 4.1.1: 0 is a plain query. */
const opcodeOf = (message: Buffer): number => (message[2]! >> 3) & 0xf;

/** What cannot be read is told so, when at least its header can. */
function malformed(message: Buffer): Buffer | undefined {
  if (message.length < headerBytes || (message[2]! & 0x80) !== 0) return undefined;
  return encode(responseTo({ id: message.readUInt16BE(0), flags: 0, questions: [] }, "FORMERR"));
}

/** The response as bytes; a datagram that the asker could not take becomes one that tells it to use TCP. */
function fitted(response: Packet, query: DecodedPacket, protocol: DnsProtocol): Buffer {
  const bytes = encode(response);
  if (protocol === "tcp") return bytes;
  const option = query.additionals?.find(({ type }) => type === "OPT");
  const limit =
    option !== undefined && "udpPayloadSize" in option
      ? Math.max(option.udpPayloadSize, plainUdpBytes)
      : plainUdpBytes;
  return bytes.length <= limit ? bytes : encode(truncated(response));
}

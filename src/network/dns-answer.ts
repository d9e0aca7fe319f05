/**
 * What the name server of a container answers by itself: names, aliases, links and addresses of the networks that the
 * container is on. Pure. Everything else is forwarded.
 */
import { randomInt } from "node:crypto";
import type { Answer, DecodedPacket, Packet } from "dns-packet";
import { parseReverseName, reverseName } from "./dns-names.ts";
import type { NetworkMember, Sandbox } from "./network.ts";

/** What the answers are made of; the network manager is one. */
export interface NameDirectory {
  members(networkId: string): readonly NetworkMember[];
  lookUp(networkId: string, name: string): readonly NetworkMember[];
}

/** As Docker's; long enough for nobody to ask twice for one connection. */
const ttlSeconds = 600;

const AUTHORITATIVE_ANSWER = 1 << 10;
const TRUNCATED_RESPONSE = 1 << 9;
const OPCODE = 0x7800;
const RECURSION_DESIRED = 1 << 8;
const RECURSION_AVAILABLE = 1 << 7;

export type ResponseCode = "NOERROR" | "FORMERR" | "SERVFAIL" | "NXDOMAIN" | "NOTIMP" | "REFUSED";
const codes: Readonly<Record<ResponseCode, number>> = {
  NOERROR: 0,
  FORMERR: 1,
  SERVFAIL: 2,
  NXDOMAIN: 3,
  NOTIMP: 4,
  REFUSED: 5,
};

/** A response without answers. */
export function responseTo(
  query: Pick<DecodedPacket, "id" | "flags" | "questions">,
  code: ResponseCode,
): Packet {
  return {
    type: "response",
    id: query.id ?? 0,
    flags: ((query.flags ?? 0) & (OPCODE | RECURSION_DESIRED)) | RECURSION_AVAILABLE | codes[code],
    questions: query.questions ?? [],
    answers: [],
  };
}

/** The same without its answers, with the mark that tells the asker to come by TCP (RFC 1035, 4.1.1). */
export function truncated(response: Packet): Packet {
  return { ...response, flags: (response.flags ?? 0) | TRUNCATED_RESPONSE, answers: [] };
}

/**
 * The response to a query about something on the asker's networks, or undefined when it is about nothing of theirs.
 * A name that is known has no records but addresses: other types, and an address family that it has not, are answered
 * with none.
 */
export function answerLocally(
  query: DecodedPacket,
  asker: Sandbox,
  directory: NameDirectory,
): Packet | undefined {
  const question = query.questions?.[0];
  if (
    question === undefined ||
    (question.class !== undefined && question.class !== "IN" && question.class !== "ANY")
  )
    return undefined;
  const { name, type } = question;
  if (type === "PTR") {
    const address = parseReverseName(name);
    const found = address === undefined ? undefined : nameOf(address, asker, directory);
    return found === undefined
      ? undefined
      : withAnswers(query, [{ type: "PTR", name, ttl: ttlSeconds, data: found }]);
  }
  const members = resolve(name, asker, directory);
  if (members.length === 0) return undefined;
  const answers: Answer[] = [];
  if (type === "A" || type === "AAAA") {
    const addresses = members.map(({ endpoint }) =>
      type === "A" ? endpoint.ipv4Address : endpoint.ipv6Address,
    );
    for (const data of shuffle([...new Set(addresses)].filter((address) => address !== "")))
      answers.push({ type, name, ttl: ttlSeconds, data });
  }
  return withAnswers(query, answers);
}

function withAnswers(query: DecodedPacket, answers: Answer[]): Packet {
  const response = responseTo(query, "NOERROR");
  return { ...response, flags: (response.flags ?? 0) | AUTHORITATIVE_ANSWER, answers };
}

/**
 * Who goes by `name` for the asker, on the first of its networks where somebody does. `NAME.NETWORK` asks one network
 * alone; the asker's own links come before names.
 */
function resolve(name: string, asker: Sandbox, directory: NameDirectory): readonly NetworkMember[] {
  const asked = name.toLowerCase().replace(/\.$/, "");
  if (asked === "") return [];
  const splits = [
    [asked, ""] as const,
    ...dotsOf(asked).map((at) => [asked.slice(0, at), asked.slice(at + 1)] as const),
  ];
  for (const [host, network] of splits)
    for (const { networkId, networkName, links } of asker.endpoints) {
      if (network !== "" && network !== networkName.toLowerCase()) continue;
      for (const link of links) {
        const [target = "", alias = target] = link.split(":");
        if (alias.toLowerCase() !== host) continue;
        const linked = directory.lookUp(networkId, target.replace(/^\//, ""));
        if (linked.length > 0) return linked;
      }
      const found = directory.lookUp(networkId, host);
      if (found.length > 0) return found;
    }
  return [];
}

/** Where the dots are, the last one first. */
function dotsOf(name: string): number[] {
  const found: number[] = [];
  for (let at = name.lastIndexOf("."); at > 0; at = name.lastIndexOf(".", at - 1)) found.push(at);
  return found;
}

/** `CONTAINER.NETWORK` of an address on one of the asker's networks. */
function nameOf(address: string, asker: Sandbox, directory: NameDirectory): string | undefined {
  const wanted = reverseName(address);
  for (const { networkId, networkName } of asker.endpoints)
    for (const { containerName, endpoint } of directory.members(networkId)) {
      if (endpoint.dnsNames.length === 0) continue;
      for (const own of [endpoint.ipv4Address, endpoint.ipv6Address])
        if (own !== "" && reverseName(own) === wanted) return `${containerName}.${networkName}`;
    }
  return undefined;
}

function shuffle<T>(items: T[]): T[] {
  for (let i = items.length - 1; i > 0; i--) {
    const j = randomInt(i + 1);
    [items[i], items[j]] = [items[j]!, items[i]!];
  }
  return items;
}

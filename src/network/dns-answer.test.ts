import assert from "node:assert/strict";
import { test } from "node:test";
import { decode, encode, type RecordType } from "dns-packet";
import { answerLocally, truncated } from "./dns-answer.ts";
import { EndpointIndex } from "./endpoint-index.ts";
import { emptyEndpoint } from "./endpoint-request.ts";
import type { Sandbox } from "./network.ts";

interface Member {
  readonly network: string;
  readonly ipv4?: string;
  readonly ipv6?: string;
  readonly names: readonly string[];
  readonly links?: readonly string[];
}

const sandbox = (name: string, ...members: Member[]): Sandbox => ({
  containerId: name,
  containerName: name,
  path: "",
  ports: [],
  endpoints: members.map(({ network, ipv4 = "", ipv6 = "", names, links = [] }) => ({
    ...emptyEndpoint({ id: network, name: network, driver: "bridge" }),
    ipv4Address: ipv4,
    ipv6Address: ipv6,
    dnsNames: names,
    links,
  })),
});

const directory = new EndpointIndex();
const web = sandbox(
  "web",
  { network: "front", ipv4: "10.0.0.2", names: ["web", "www"], links: ["db:store", "/api:hidden"] },
  { network: "back", ipv4: "10.1.0.2", ipv6: "fd00::2", names: ["web"], links: ["db:sql"] },
  { network: "bridge", ipv4: "172.17.0.2", names: [] },
);
const db = sandbox("db", { network: "back", ipv4: "10.1.0.3", names: ["db", "all"] });
const api = sandbox("api", {
  network: "front",
  ipv4: "10.0.0.4",
  ipv6: "fd01::4",
  names: ["api", "all", "a.b"],
});
const other = sandbox("other", { network: "elsewhere", ipv4: "10.9.0.1", names: ["other", "db"] });
for (const each of [web, db, api, other]) directory.put(undefined, each);

function ask(asker: Sandbox, type: RecordType, name: string): readonly unknown[] | undefined {
  const query = decode(encode({ type: "query", id: 7, flags: 1 << 8, questions: [{ type, name }] }));
  const response = answerLocally(query, asker, directory);
  if (response === undefined) return undefined;
  const packet = decode(encode(response));
  assert.deepEqual(
    [packet.id, packet.flag_qr, packet.flag_ra, (packet.flags ?? 0) & 0xf],
    [7, true, true, 0],
  );
  return (packet.answers ?? []).map((answer) => ("data" in answer ? answer.data : ""));
}

test("who is found by whom, and by which name", () => {
  const cases: readonly (readonly [Sandbox, RecordType, string, readonly string[] | undefined])[] = [
    [web, "A", "db", ["10.1.0.3"]],
    [web, "A", "DB.", ["10.1.0.3"]],
    [web, "A", "web", ["10.0.0.2"]],
    [web, "A", "web.back", ["10.1.0.2"]],
    [web, "A", "a.b", ["10.0.0.4"]],
    [web, "A", "a.b.front", ["10.0.0.4"]],
    [web, "A", "a.b.back", undefined],
    // The first network that knows it.
    [web, "A", "all", ["10.0.0.4"]],
    [db, "A", "all", ["10.1.0.3"]],
    // A link leads to who is on the same network.
    [web, "A", "sql", ["10.1.0.3"]],
    [web, "A", "store", undefined],
    [web, "A", "hidden", ["10.0.0.4"]],
    [api, "A", "hidden", undefined],
    [web, "AAAA", "api", ["fd01::4"]],
    [web, "AAAA", "db", []],
    [web, "MX", "db", []],
    [web, "A", "other", undefined],
    [other, "A", "db", ["10.9.0.1"]],
    [web, "SRV", "_http._tcp.web", undefined],
    [web, "PTR", "3.0.1.10.in-addr.arpa", ["db.back"]],
    [api, "PTR", "3.0.1.10.in-addr.arpa", undefined],
    [web, "PTR", "2.0.17.172.in-addr.arpa", undefined],
    [web, "PTR", "db", undefined],
    [web, "A", "", undefined],
  ];
  for (const [asker, type, name, expected] of cases)
    assert.deepEqual(ask(asker, type, name), expected, `${asker.containerName} asks for ${type} ${name}`);
});

test("a truncated response has its mark and no answers", () => {
  const query = decode(encode({ type: "query", id: 1, questions: [{ type: "A", name: "db" }] }));
  const packet = decode(encode(truncated(answerLocally(query, web, directory)!)));
  assert.equal(packet.flag_tc, true);
  assert.deepEqual(packet.answers, []);
});

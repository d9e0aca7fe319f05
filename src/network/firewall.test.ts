/** What the table is after a change that nftables refused, and after the change behind it. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, beforeEach, test } from "node:test";
import { openDatabase } from "../base/database.ts";
import { nftText } from "../linux/nftables.ts";
import { Firewall } from "./firewall.ts";
import { becomePretendHost, leavePretendHost } from "./network.fixture.ts";
import type { LinkPath, PortForward } from "./ruleset.ts";
import { UserRules } from "./user-rules.ts";

const host = becomePretendHost();
const database = openDatabase(join(host.directory, "test.db"));
const firewall = new Firewall("gantry-gt-fw", new UserRules(database), {
  families: { ipv4: true, ipv6: true },
  acceptMark: undefined,
  allowDirectRouting: true,
});
after(() => {
  firewall.uninstall();
  database.close();
  leavePretendHost(host);
});

/** Nothing that nftables takes for an address. */
const nonsense = "no address";

const forward = (hostPort: number, containerAddress: string): PortForward => ({
  protocol: "tcp",
  hostIp: "0.0.0.0",
  hostPort,
  containerPort: 80,
  containerAddress,
});
const path = (to: string): LinkPath => ({ from: "10.202.20.2", to, protocol: "tcp", port: 80 });

/** The elements of a set or map, as nft(8) writes them. */
function elements(kind: "map" | "set", name: string): string[] {
  const text = nftText("list a set", `list ${kind} inet gantry-gt-fw ${name}`);
  const list = /elements = \{([^}]*)\}/.exec(text)?.[1] ?? "";
  return list.split(",").flatMap((element) => (element.trim() === "" ? [] : [element.trim()]));
}
const ports = (): string[] => elements("map", "ports4").toSorted();

const refused = { kind: "internal" } as const;

beforeEach(() => firewall.install([], [forward(8001, "10.202.20.2")]));

const first = "tcp . 8001 : 10.202.20.2 . 80";
const second = "tcp . 8002 : 10.202.20.3 . 80";

test("ports that could not be removed go with the next change", () => {
  const noPort = forward(70_000, "10.202.20.2");
  assert.throws(() => firewall.remove([forward(8001, "10.202.20.2"), noPort]), refused);
  assert.deepEqual(ports(), [first]);
  firewall.add([forward(8002, "10.202.20.3")]);
  assert.deepEqual(ports(), [second]);
  assert.deepEqual(elements("set", "direct4"), ["10.202.20.3 . tcp . 80"]);
});

test("ports that could not be added or moved are as before", () => {
  assert.throws(() => firewall.add([forward(8002, nonsense)]), refused);
  assert.throws(() => firewall.move([forward(8001, "10.202.20.2")], [forward(8001, nonsense)]), refused);
  assert.deepEqual(ports(), [first]);
  firewall.add([forward(8002, "10.202.20.3")]);
  assert.deepEqual(ports(), [first, second]);
  firewall.repair();
  assert.deepEqual(ports(), [first, second]);
});

test("ways of links that could not be changed are closed with the next change", () => {
  firewall.setLinks("c1", [path("10.202.20.3")]);
  assert.equal(elements("set", "links4").length, 1);
  assert.throws(() => firewall.setLinks("c1", [path(nonsense)]), refused);
  firewall.setLinks("c1", []);
  assert.deepEqual(elements("set", "links4"), []);
  assert.deepEqual(ports(), [first]);
});
